/* SPDX-License-Identifier: MIT */
/* Torture: one chosen system call of the loop fails, or that one and others after it. The world
 * asks here before each call that can fail (world_failures); the tool chooses. A point is a call,
 * with the file behind its descriptor, for which a manual page allows an errno; points are counted
 * from 1 in each world. Only the simulated kernel can be asked to fail. */
#ifndef ETALON_TORTURE_H
#define ETALON_TORTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "../world/world.h"

#define TORTURE_ERRORS_MAX 32 /* of one call */
#define TORTURE_POINTS_MAX 32768

enum torture_mode {
    TORTURE_ONCE, /* that call */
    TORTURE_SAME, /* and all later ones of its name, as long as the errno makes sense for them */
    /* and all later calls, with an errno of their own where this one makes no sense */
    TORTURE_ON,
    TORTURE_MODES
};

struct torture_setting {
    uint64_t point; /* 0: none fails */
    int error;
    enum torture_mode mode;
};

struct torture_point {
    uint8_t call; /* enum world_call */
    uint8_t file; /* enum world_file */
    bool own;     /* of the loop itself */
};

/* From now on, in every world that begins; without a setting nothing is counted and nothing fails.
 */
void torture_set(const struct torture_setting *setting);

/* Of the latest world: its points, and the first TORTURE_POINTS_MAX of them. */
uint64_t torture_points(void);
const struct torture_point *torture_point(uint64_t point);

/* The errnos that make sense for a point, in `error`; returns their number. */
unsigned torture_errors(const struct torture_point *point, int error[TORTURE_ERRORS_MAX]);

const char *torture_call_name(unsigned call);
const char *torture_mode_name(unsigned mode); /* "once", "same" or "on" */

#endif

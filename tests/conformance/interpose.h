/* The C library's calls for time and waiting, and those that a judge wants to see, as a subject meets them (interpose.c). */
#ifndef ETALON_INTERPOSE_H
#define ETALON_INTERPOSE_H

#include <stdbool.h>
#include <stdint.h>

enum interpose_mode {
    INTERPOSE_NOTHING, /* every call goes to Linux */
    INTERPOSE_WORLD, /* the subject's calls go to the world that is begun (fuzz/wrap.c), which may be a simulated one */
    INTERPOSE_TIME,  /* they go to Linux, but time is virtual: a wait that would sleep lets it jump */
};

#define INTERPOSE_NEVER UINT64_MAX

struct interpose_hooks {
    uint64_t (*clock)(void);
    void (*advance)(uint64_t clock_ns); /* nothing can happen before: time moves on */
    int (*wait_begins)(
        int64_t timeout_ns);             /* < 0: without limit. Returns an errno by which the wait is to fail, or 0 */
    bool (*blocked)(int64_t timeout_ns); /* it would sleep now. True: the world was changed, look again */
    void (*wait_ends)(int ready);        /* how many descriptors, or a negated errno */
    void (*forever)(void);               /* nothing can end this wait any more; does not return */
    bool (*of_program)(int fd);          /* a descriptor of the program */
};

void interpose_begin(enum interpose_mode mode, const struct interpose_hooks *hooks);

/* Whether the calls that come now are the subject's. Returns what it was before. */
bool interpose_inside(bool inside);

#endif

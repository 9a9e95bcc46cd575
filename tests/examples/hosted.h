/* SPDX-License-Identifier: MIT */
/* What the two hosts (hosted_glib.c, hosted_uv.c) run Etalon for: an echo server on the loopback
 * interface, whose client is a thread that writes, waits and compares, and a timer that moves
 * itself on. A host waits for the loop's descriptor and its timeout, calls hosted_turn, and ends
 * when hosted_is_done. */
#ifndef HOSTED_H
#define HOSTED_H

#include <stdbool.h>

#include "../../src/etalon.h"

extern struct et_loop hosted_loop;

void hosted_begin(void);
/* Runs the loop without waiting. */
void hosted_turn(void);
/* Everything has come: the host may end. */
bool hosted_is_done(void);
/* Says what came, and whether the host has turned more often than something happened; own_ticks:
 * how often a timer of the host's own has come meanwhile. Returns the program's exit status. */
int hosted_end(const char *host, unsigned own_ticks);

#endif

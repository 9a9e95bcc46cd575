/* SPDX-License-Identifier: MIT */
/* The loop of a load, and how it is run until it is told to end, in its own calls. The floor has
 * its own in each load. Included by the one file of each program. */
#ifndef ETALON_BENCH_RUN_H
#define ETALON_BENCH_RUN_H

#include "bench.h"

#if defined LOOP_etalon || defined LOOP_etalon_polls
#include <etalon.h>

static struct et_loop loop;

static inline void run(void) {
    must(et_loop_run(&loop, ET_RUN_UNTIL_DONE) == 0, "et_loop_run");
}

static inline void end_run(void) {
    et_loop_stop(&loop);
}

#elif defined LOOP_libuv
#include <uv.h>

static uv_loop_t loop;

static inline void run(void) {
    uv_run(&loop, UV_RUN_DEFAULT);
}

static inline void end_run(void) {
    uv_stop(&loop);
}

#elif defined LOOP_libev
#include <ev.h>

static struct ev_loop *loop;

static inline void run(void) {
    ev_run(loop, 0);
}

static inline void end_run(void) {
    ev_break(loop, EVBREAK_ALL);
}

#elif defined LOOP_libevent
#include <event2/event.h>
#include <event2/event_struct.h>

static struct event_base *loop;

static inline void run(void) {
    event_base_dispatch(loop);
}

static inline void end_run(void) {
    event_base_loopbreak(loop);
}
#endif

#endif

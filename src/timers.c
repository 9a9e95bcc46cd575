/* SPDX-License-Identifier: MIT */
/* Time, and the timer phase. For the files of src/ only. */
#include "internal.h"

#include <time.h>

uint64_t eti_clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 * NANOSECONDS_PER_MS + (uint64_t)t.tv_nsec;
}

void eti_update_time(struct et_loop *loop) {
    uint64_t now_ns = eti_clock_ns();
    if (now_ns > loop->now_ns) /* ET-TIME-3 */
        loop->now_ns = now_ns;
}

/* What has expired is taken out of the heap before the first callback: no reset that a callback
 * applies brings its timer back into this phase, however the clock moves (ET-EXPIRE-5). */
void eti_expire_timers(struct et_loop *loop) {
    assert(loop->expired == NULL);
    eti_update_time(loop);
    uint64_t now_ms = loop->now_ns / NANOSECONDS_PER_MS;
    loop->expired = eti_heap_take_due(loop->timers, now_ms);
    loop->expired_before = loop->order;
    while (eti_is_ours(loop) && loop->expired != NULL)
        eti_finish(loop, loop->expired, 0);
}

/* SPDX-License-Identifier: MIT */
/* libuv, ET-RESET-4: a timer that is active and is started anew fires up to a millisecond before
 * its new delay has gone by since the time of the loop, which was updated right before: the time is
 * in whole milliseconds, rounded down. Whatever wakes the loop up in time shows it: an idle handle.
 *
 * Build: -luv */
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#define DELAY_MS 10
#define TIMERS   20

static uint64_t began_ns, shortest_ns = UINT64_MAX;
static int early;

static void idle(uv_idle_t *handle) {
    (void)handle;
}

static void fired(uv_timer_t *timer) {
    uint64_t lasted_ns = uv_hrtime() - began_ns;
    early += lasted_ns < DELAY_MS * UINT64_C(1000000);
    shortest_ns = lasted_ns < shortest_ns ? lasted_ns : shortest_ns;
    uv_stop(timer->loop);
}

int main(void) {
    uv_loop_t loop;
    uv_timer_t timer;
    uv_idle_t awake;
    if (uv_loop_init(&loop) != 0)
        return EXIT_FAILURE;
    uv_timer_init(&loop, &timer);
    uv_idle_init(&loop, &awake);
    uv_idle_start(&awake, idle);
    for (int i = 0; i < TIMERS; i++) {
        while (uv_hrtime() % 1000000 < 700000) /* late in a millisecond */
            ;
        began_ns = uv_hrtime();
        uv_update_time(&loop);
        uv_timer_start(&timer, fired, 1000 * DELAY_MS, 0);
        uv_timer_start(&timer, fired, DELAY_MS, 0);
        uv_run(&loop, UV_RUN_DEFAULT);
    }
    printf("expected: no timer of %d ms lasts less; seen: %d of %d do, the shortest %.2f ms\n",
           DELAY_MS, early, TIMERS, (double)shortest_ns / 1e6);
    return early > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

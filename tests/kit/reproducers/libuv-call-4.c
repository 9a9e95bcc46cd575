/* SPDX-License-Identifier: MIT */
/* libuv before 1.48, ET-CALL-4: a timer of 0 ms that its callback starts again is run in the same
 * pass, over and over: a run that is asked not to wait does not return, and a descriptor that is
 * ready is not served.
 *
 * Build: -luv */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#define ENOUGH 1000

static int calls, served_after = -1;

static void fired(uv_timer_t *timer) {
    if (++calls < ENOUGH)
        uv_timer_start(timer, fired, 0, 0);
}

static void ready(uv_poll_t *poll, int status, int events) {
    (void)status, (void)events;
    served_after = calls;
    uv_poll_stop(poll);
}

int main(void) {
    uv_loop_t loop;
    uv_timer_t timer;
    uv_poll_t poll;
    int ends[2];
    if (uv_loop_init(&loop) != 0 || pipe(ends) != 0 || write(ends[1], "x", 1) != 1)
        return EXIT_FAILURE;
    uv_timer_init(&loop, &timer);
    uv_poll_init(&loop, &poll, ends[0]);
    uv_poll_start(&poll, UV_READABLE, ready);
    uv_timer_start(&timer, fired, 0, 0);
    uv_run(&loop, UV_RUN_NOWAIT);
    printf("expected: one run fires the timer once, and serves the descriptor; seen: fired %d "
           "times, the descriptor was served after %d\n",
           calls, served_after);
    return calls == ENOUGH && served_after == ENOUGH ? 0 : 1;
}

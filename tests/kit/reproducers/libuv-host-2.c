/* SPDX-License-Identifier: MIT */
/* libuv, ET-HOST-2: uv_backend_timeout says how long a timer takes from the time of the loop on,
 * which stands still until the loop is run, and not from now on. A program that waits by
 * uv_backend_fd and uv_backend_timeout, and has events of its own in between, waits for the whole
 * delay each time: with one every 10 ms a timer of 50 ms does not fire. And with nothing to wait
 * for, where -1 would say so, it is 0.
 *
 * Build: -luv */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#define DELAY_MS 50
#define EVENT_MS 10 /* of the host's own */
#define HOST_MS  500

static int fired;

static void on_timer(uv_timer_t *timer) {
    (void)timer;
    fired = 1;
}

int main(void) {
    uv_loop_t loop;
    uv_timer_t timer;
    if (uv_loop_init(&loop) != 0)
        return EXIT_FAILURE;
    int of_nothing = uv_backend_timeout(&loop);
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_timer, DELAY_MS, 0);
    uv_run(&loop, UV_RUN_NOWAIT);
    struct pollfd backend = {.fd = uv_backend_fd(&loop), .events = POLLIN};
    for (uint64_t end = uv_hrtime() + HOST_MS * UINT64_C(1000000); !fired && uv_hrtime() < end;) {
        int timeout = uv_backend_timeout(&loop);
        int mine = timeout < 0 || timeout > EVENT_MS;
        int ready = poll(&backend, 1, mine ? EVENT_MS : timeout);
        if (ready > 0 || !mine) /* else it was an event of the host's own */
            uv_run(&loop, UV_RUN_NOWAIT);
    }
    printf("expected: a timer of %d ms fires in a host that asks for the timeout before each wait, "
           "and a timeout of -1 without one; seen: in %d ms it %s, and %d\n",
           DELAY_MS, HOST_MS, fired ? "fires" : "does not fire", of_nothing);
    return !fired && of_nothing == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: MIT */
/* libuv, ET-RUN-5: uv_run(UV_RUN_ONCE), which polls once, goes on sleeping when a signal has
 * interrupted its wait: a flag that the handler has set is looked at when the timer has fired.
 *
 * Build: -luv */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <uv.h>

#define SIGNAL_MS 20
#define TIMER_MS  300

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
}

static void on_timer(uv_timer_t *timer) {
    (void)timer;
}

int main(void) {
    uv_loop_t loop;
    uv_timer_t timer;
    struct sigaction action = {.sa_handler = on_signal};
    struct itimerval alarm = {.it_value.tv_usec = SIGNAL_MS * 1000};
    if (uv_loop_init(&loop) != 0 || sigaction(SIGALRM, &action, NULL) != 0)
        return EXIT_FAILURE;
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, on_timer, TIMER_MS, 0);
    uint64_t began_ns = uv_hrtime();
    setitimer(ITIMER_REAL, &alarm, NULL);
    while (!interrupted)
        uv_run(&loop, UV_RUN_ONCE);
    int took_ms = (int)((uv_hrtime() - began_ns) / 1000000);
    printf("expected: a turn ends with the signal after %d ms; seen: after %d ms\n", SIGNAL_MS,
           took_ms);
    return took_ms > SIGNAL_MS + TIMER_MS / 2 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* SPDX-License-Identifier: MIT */
/* sd-event, ET-RUN-2: sd_event_run without a limit says that it has dispatched a source (1) when
 * its wait was interrupted by a signal, and nothing was dispatched.
 *
 * Build: $(pkg-config --cflags --libs libsystemd) */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <systemd/sd-event.h>
#include <time.h>

static int calls;

static int called(sd_event_source *source, uint64_t usec, void *unused) {
    (void)source, (void)usec, (void)unused;
    calls++;
    return 0;
}

static void interrupt(int number) {
    (void)number;
}

int main(void) {
    sd_event *event;
    struct sigaction action = {.sa_handler = interrupt}; /* without SA_RESTART */
    struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    if (sd_event_new(&event) < 0 ||
        sd_event_add_time_relative(event, NULL, CLOCK_MONOTONIC, 300000, 1, called, NULL) < 0)
        return EXIT_FAILURE;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    int result = sd_event_run(event, UINT64_MAX);
    printf("expected: 1, and the source was dispatched; seen: %d, dispatched %d times\n", result,
           calls);
    return result == 1 && calls == 0 ? 0 : 1;
}

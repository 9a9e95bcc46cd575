/* SPDX-License-Identifier: MIT */
/* sd-event, ET-PROGRESS-2: a deferred source that its handler enables again is dispatched in each
 * iteration, and a descriptor that is ready in none. Both have the same priority.
 *
 * Build: $(pkg-config --cflags --libs libsystemd) */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#define ENOUGH 1000 /* iterations */

static int deferrals, ready;

static int deferred(sd_event_source *source, void *unused) {
    (void)unused;
    deferrals++;
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int is_ready(sd_event_source *source, int fd, uint32_t events, void *unused) {
    (void)source, (void)fd, (void)events, (void)unused;
    ready++;
    return 0;
}

int main(void) {
    sd_event *event = NULL;
    int ends[2];
    if (pipe(ends) != 0 || sd_event_new(&event) < 0)
        return EXIT_FAILURE;
    if (sd_event_add_defer(event, NULL, deferred, NULL) < 0 ||
        sd_event_add_io(event, NULL, ends[1], EPOLLOUT, is_ready, NULL) < 0)
        return EXIT_FAILURE;
    for (int i = 0; i < ENOUGH; i++)
        if (sd_event_run(event, UINT64_MAX) < 0)
            return EXIT_FAILURE;
    printf("expected: in %d iterations both sources are dispatched; seen: the deferred one %d "
           "times, the pipe, which can be written to, %d times\n",
           ENOUGH, deferrals, ready);
    return ready == 0 ? 0 : 1;
}

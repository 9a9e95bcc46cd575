/* SPDX-License-Identifier: MIT */
/* Wayland, ET-RUN-2: a dispatch without a limit returns without having called anything, at the
 * deadline that a timer had before it was set to later, or was removed.
 *
 * Build: $(pkg-config --cflags --libs wayland-server) */
#include <stdio.h>
#include <stdlib.h>
#include <wayland-server-core.h>

static int calls;

static int called(void *unused) {
    (void)unused;
    calls++;
    return 0;
}

/* How many callbacks one dispatch without a limit makes. */
static int dispatch(struct wl_event_loop *loop) {
    calls = 0;
    wl_event_loop_dispatch(loop, -1);
    return calls;
}

int main(void) {
    struct wl_event_loop *loop = wl_event_loop_create();
    struct wl_event_source *soon = wl_event_loop_add_timer(loop, called, NULL);
    struct wl_event_source *other = wl_event_loop_add_timer(loop, called, NULL);
    wl_event_source_timer_update(soon, 20);
    wl_event_source_timer_update(other, 300);
    wl_event_source_timer_update(soon, 300);
    int after_later = dispatch(loop);
    wl_event_source_timer_update(soon, 20);
    wl_event_source_timer_update(other, 300);
    wl_event_source_remove(soon);
    int after_removal = dispatch(loop);
    printf("expected: a callback by each dispatch; seen: %d when a timer was set to later, %d when "
           "one was removed\n",
           after_later, after_removal);
    return after_later == 0 && after_removal == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

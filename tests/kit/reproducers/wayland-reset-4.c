/* SPDX-License-Identifier: MIT */
/* Wayland, ET-RESET-4: a timer that the callback of another one puts off by a second, when both
 * have expired, is called at once all the same.
 *
 * Build: $(pkg-config --cflags --libs wayland-server) */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <wayland-server-core.h>

static struct wl_event_source *put_off;
static int early;

static int first(void *unused) {
    (void)unused;
    wl_event_source_timer_update(put_off, 1000);
    return 0;
}

static int second(void *unused) {
    (void)unused;
    early++;
    return 0;
}

int main(void) {
    struct wl_event_loop *loop = wl_event_loop_create();
    struct wl_event_source *timer = wl_event_loop_add_timer(loop, first, NULL);
    put_off = wl_event_loop_add_timer(loop, second, NULL);
    wl_event_source_timer_update(timer, 10);
    wl_event_source_timer_update(put_off, 20);
    usleep(50000);
    wl_event_loop_dispatch(loop, 0);
    printf("expected: not called for a second after it was put off; seen: called %d times\n",
           early);
    return early > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

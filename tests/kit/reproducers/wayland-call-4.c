/* SPDX-License-Identifier: MIT */
/* Wayland, ET-CALL-4: an idle callback that adds itself again is called over and over, before the
 * dispatch asks for descriptors, one of which is ready.
 *
 * Build: $(pkg-config --cflags --libs wayland-server) */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <wayland-server-core.h>

#define ENOUGH 100000

static struct wl_event_loop *loop;
static int calls, ready;

static void idle(void *unused) {
    if (++calls < ENOUGH)
        (void)wl_event_loop_add_idle(loop, idle, unused);
}

static int is_ready(int fd, uint32_t mask, void *unused) {
    (void)fd, (void)mask, (void)unused;
    ready = calls;
    return 0;
}

int main(void) {
    int ends[2];
    loop = wl_event_loop_create();
    if (loop == NULL || pipe(ends) != 0)
        return EXIT_FAILURE;
    if (wl_event_loop_add_fd(loop, ends[1], WL_EVENT_WRITABLE, is_ready, NULL) == NULL)
        return EXIT_FAILURE;
    (void)wl_event_loop_add_idle(loop, idle, NULL);
    (void)wl_event_loop_dispatch(loop, 0);
    printf("expected: a descriptor that is ready has its turn between idle callbacks; seen: after "
           "%d of them\n",
           ready);
    return ready == ENOUGH ? 0 : 1;
}

/* SPDX-License-Identifier: MIT */
/* libev, ET-EVENT-6: a number names one file, then another by dup2, then the first one again, and
 * each is watched in its turn. The watcher of the first is called for what the second still
 * reports, although poll says that the number is not readable.
 *
 * Build: -lev */
#include <ev.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int calls;

static void called(struct ev_loop *loop, ev_io *watcher, int events) {
    (void)loop, (void)watcher, (void)events;
    calls++;
}

/* Watches the number for one turn of the loop; returns how often it was said to be readable. */
static int watch(struct ev_loop *loop, int number) {
    ev_io watcher;
    calls = 0;
    ev_io_init(&watcher, called, number, EV_READ);
    ev_io_start(loop, &watcher);
    ev_run(loop, EVRUN_NOWAIT);
    ev_io_stop(loop, &watcher);
    return calls;
}

int main(void) {
    struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL);
    int silent[2], full[2];
    if (loop == NULL || pipe(silent) != 0 || pipe(full) != 0 || write(full[1], "x", 1) != 1)
        return EXIT_FAILURE;
    int number = dup(silent[0]);
    int before = watch(loop, number);
    dup2(full[0], number);
    int between = watch(loop, number);
    dup2(silent[0], number);
    struct pollfd p = {.fd = number, .events = POLLIN};
    int readable = poll(&p, 1, 0), after = watch(loop, number);
    printf("expected: called 0, 1, 0 times; seen: %d, %d, %d, and poll says %d\n", before, between,
           after, readable);
    return before == 0 && between == 1 && readable == 0 && after > 0 ? 0 : 1;
}

/* SPDX-License-Identifier: MIT */
/* libevent, ET-CALL-4: a loop that is asked not to wait calls an event that its callback adds again
 * over and over, and does not return.
 *
 * Build: -levent */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ENOUGH 1000

static struct event_base *base;
static struct event *event;
static int calls;

static void called(evutil_socket_t fd, short what, void *unused) {
    (void)fd, (void)what, (void)unused;
    if (++calls < ENOUGH)
        event_add(event, NULL);
    else
        event_base_loopbreak(base);
}

int main(void) {
    int ends[2];
    base = event_base_new();
    if (base == NULL || pipe(ends) != 0 || write(ends[1], "x", 1) != 1)
        return EXIT_FAILURE;
    event = event_new(base, ends[0], EV_READ, called, NULL);
    event_add(event, NULL);
    event_base_loop(base, EVLOOP_NONBLOCK);
    printf("expected: called once by one loop that does not wait; seen: %d times%s\n", calls,
           calls == ENOUGH ? ", when it was broken off" : "");
    return calls == ENOUGH ? 0 : 1;
}

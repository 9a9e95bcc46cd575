/* SPDX-License-Identifier: MIT */
/* libevent, ET-EVENT-5: events of one descriptor are called last in, first out.
 *
 * Build: -levent */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char order[4];
static int calls;

static void called(evutil_socket_t fd, short what, void *name) {
    (void)fd, (void)what;
    if (calls < 3)
        order[calls++] = *(const char *)name;
}

int main(void) {
    struct event_base *base = event_base_new();
    int ends[2];
    if (base == NULL || pipe(ends) != 0)
        return EXIT_FAILURE;
    for (int i = 0; i < 3; i++)
        event_add(event_new(base, ends[0], EV_READ, called, (char *)"abc" + i), NULL);
    if (write(ends[1], "x", 1) != 1)
        return EXIT_FAILURE;
    event_base_loop(base, EVLOOP_ONCE);
    printf("expected: abc, as they were added; seen: %s\n", order);
    return order[0] == 'c' ? 0 : 1;
}

/* SPDX-License-Identifier: MIT */
/* libevent, ET-CALL-4: an event that its own callback makes active is called again and again, while
 * a timer is due.
 *
 * Build: -levent */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DELAY_MS  5
#define ENOUGH_MS 100

static struct event_base *base;
static struct event *active;
static int calls, expired;
static double begun_ms;

static double milliseconds(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void called(evutil_socket_t fd, short what, void *unused) {
    (void)fd, (void)what, (void)unused;
    calls++;
    if (milliseconds() - begun_ms < ENOUGH_MS)
        event_active(active, EV_TIMEOUT, 0);
    else
        event_base_loopbreak(base);
}

static void expires(evutil_socket_t fd, short what, void *unused) {
    (void)fd, (void)what, (void)unused;
    expired = 1;
    event_base_loopbreak(base);
}

int main(void) {
    struct timeval delay = {0, DELAY_MS * 1000};
    base = event_base_new();
    if (base == NULL)
        return EXIT_FAILURE;
    active = event_new(base, -1, 0, called, NULL);
    struct event *timer = event_new(base, -1, 0, expires, NULL);
    event_active(active, EV_TIMEOUT, 0);
    event_add(timer, &delay);
    begun_ms = milliseconds();
    event_base_loop(base, 0);
    printf("expected: the timer of %d ms expires between calls of the other event; seen: %s, %d "
           "calls in %.0f ms\n",
           DELAY_MS, expired ? "it does" : "it does not", calls, milliseconds() - begun_ms);
    return expired ? 1 : 0;
}

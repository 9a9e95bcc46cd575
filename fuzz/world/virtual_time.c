/* SPDX-License-Identifier: MIT */
/* The virtual wait, and timerfds that a virtual clock sets off (virtual_time.h).
 *
 * The calls of the system are raw ones: the C library's names lead to the runner's own definitions
 * where those are linked in. */
#include "virtual_time.h"

#include <poll.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define SECOND_NS INT64_C(1000000000)

int64_t virtual_duration(const struct timespec *duration) {
    if (duration == NULL)
        return -1;
    int64_t seconds = duration->tv_sec < 0 ? 0 : duration->tv_sec;
    return seconds < INT64_MAX / SECOND_NS ? seconds * SECOND_NS + duration->tv_nsec : INT64_MAX;
}

uint64_t virtual_later(uint64_t clock_ns, uint64_t value_ns) {
    uint64_t longest = VIRTUAL_END - clock_ns;
    return clock_ns + (value_ns < longest ? value_ns : longest);
}

uint64_t virtual_later_us(uint64_t clock_ns, uint64_t value_us) {
    return virtual_later(clock_ns, value_us < UINT64_MAX / 1000 ? 1000 * value_us : UINT64_MAX);
}

int64_t virtual_wait(const struct virtual_wait *wait, void *call, uint64_t deadline) {
    int grace_ms = 0;
    for (bool patient = wait->others != NULL;;) {
        int64_t ready = wait->look(call, grace_ms);
        if (ready != 0 || wait->clock() >= deadline)
            return ready;
        grace_ms = 0;
        if (patient && wait->others(false)) {
            patient = false;
            grace_ms = wait->grace_ms;
            continue;
        }
        if (wait->blocked(call)) {
            patient = wait->others != NULL;
            continue;
        }
        uint64_t next = wait->next();
        next = next < deadline ? next : deadline;
        if (patient && next == VIRTUAL_NEVER && wait->others(true)) {
            patient = false;
            grace_ms = wait->grace_ms;
            continue;
        }
        if (next == VIRTUAL_NEVER)
            return wait->forever();
        wait->advance(next);
    }
}

bool virtual_timer_add(struct virtual_timers *timers, int fd) {
    if (timers->count == VIRTUAL_TIMERS_MAX)
        return false;
    timers->timer[timers->count++] = (struct virtual_timer){.fd = fd, .expiry = VIRTUAL_NEVER};
    return true;
}

struct virtual_timer *virtual_timer_of(struct virtual_timers *timers, int fd) {
    for (unsigned i = 0; i < timers->count; i++)
        if (timers->timer[i].fd == fd)
            return &timers->timer[i];
    return NULL;
}

void virtual_timer_forget(struct virtual_timers *timers, int fd) {
    struct virtual_timer *timer = virtual_timer_of(timers, fd);
    if (timer != NULL)
        *timer = timers->timer[--timers->count];
}

void virtual_timer_arm(struct virtual_timers *timers, struct virtual_timer *timer, uint64_t expiry,
                       uint64_t interval) {
    struct itimerspec never = {.it_value.tv_sec = 0};
    syscall(SYS_timerfd_settime, timer->fd, 0, &never, NULL);
    timer->expiry = expiry;
    timer->interval = interval;
    timer->armed = ++timers->armings;
}

uint64_t virtual_timers_next(const struct virtual_timers *timers) {
    uint64_t next = VIRTUAL_NEVER;
    for (unsigned i = 0; i < timers->count; i++)
        if (timers->timer[i].expiry < next)
            next = timers->timer[i].expiry;
    return next;
}

/* By a time that is long past. */
static bool set_off(int fd) {
    struct itimerspec past = {.it_value.tv_nsec = 1};
    struct pollfd until = {.fd = fd, .events = POLLIN};
    struct timespec limit = {.tv_sec = 5};
    return syscall(SYS_timerfd_settime, fd, TFD_TIMER_ABSTIME, &past, NULL) == 0 &&
           syscall(SYS_ppoll, &until, 1, &limit, NULL, 0) == 1;
}

static bool comes_before(const struct virtual_timer *a, const struct virtual_timer *b) {
    return a->expiry < b->expiry || (a->expiry == b->expiry && a->armed < b->armed);
}

bool virtual_timers_expire(struct virtual_timers *timers, uint64_t clock_ns) {
    bool done[VIRTUAL_TIMERS_MAX] = {false}; /* one with an interval may be due again */
    for (;;) {
        struct virtual_timer *first = NULL;
        for (unsigned i = 0; i < timers->count; i++)
            if (!done[i] && timers->timer[i].expiry <= clock_ns &&
                (first == NULL || comes_before(&timers->timer[i], first)))
                first = &timers->timer[i];
        if (first == NULL)
            return true;
        done[first - timers->timer] = true;
        first->expiry = first->interval != 0 ? first->expiry + first->interval : VIRTUAL_NEVER;
        if (!set_off(first->fd))
            return false;
    }
}

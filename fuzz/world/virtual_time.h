/* SPDX-License-Identifier: MIT */
/* Time that stands still, except where a wait or a command moves it. The wait is the same for every
 * world and for the runner: look, let the surroundings act, else let time jump. So is the way in
 * which a clock that is not Linux's own sets off timerfds, which are. For wrap.c,
 * real_world.c and interpose.c. All times are in nanoseconds. */
#ifndef ETALON_VIRTUAL_TIME_H
#define ETALON_VIRTUAL_TIME_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define VIRTUAL_NEVER UINT64_MAX
/* The clock goes no further: Linux counts nanoseconds in 63 bits, 292 years from its start. */
#define VIRTUAL_END ((uint64_t)INT64_MAX)

/* A length of time as the C library takes it; INT64_MAX: as long or longer. NULL: -1. */
int64_t virtual_duration(const struct timespec *duration);

/* So much after clock_ns, but not beyond the end. */
uint64_t virtual_later(uint64_t clock_ns, uint64_t value_ns);
uint64_t virtual_later_us(uint64_t clock_ns, uint64_t value_us);

/* ---- the wait -------------------------------------------------------------------------------- */

struct virtual_wait {
    uint64_t (*clock)(void);
    /* What is there: how much, or a negated errno; 0: nothing. It sleeps for grace_ms of real time
     * at the most. */
    int64_t (*look)(void *call, int grace_ms);
    /* It would sleep now. True: the surroundings were changed, look again. */
    bool (*blocked)(void *call);
    uint64_t (*next)(void); /* when something happens by itself, or VIRTUAL_NEVER */
    void (*advance)(uint64_t clock_ns);
    /* Nothing can end this wait any more; its result, if it returns. */
    int64_t (*forever)(void);
    /* Whether other threads may be about to end it, which takes them real time: as it stands, or
     * (at_the_end) rather than wait for ever. NULL: there are none. */
    bool (*others)(bool at_the_end);
    int grace_ms; /* of real time, that they then get */
};

/* Waits until something is there, or the clock stands at `deadline`; returns what `look` does. */
int64_t virtual_wait(const struct virtual_wait *wait, void *call, uint64_t deadline);

/* ---- timerfds -------------------------------------------------------------------------------- */

#define VIRTUAL_TIMERS_MAX 64

struct virtual_timer {
    int fd;
    uint64_t expiry;   /* or VIRTUAL_NEVER */
    uint64_t interval; /* 0: it expires once */
    uint64_t armed;    /* in this order among equals */
    bool wall, by_day; /* its clock can be set; it expires at a time of that; for what arms it */
};

struct virtual_timers {
    unsigned count;
    uint64_t armings;
    struct virtual_timer timer[VIRTUAL_TIMERS_MAX];
};

/* A new one of Linux's timerfds, not armed. False: there is no room for it. */
bool virtual_timer_add(struct virtual_timers *timers, int fd);
struct virtual_timer *virtual_timer_of(struct virtual_timers *timers, int fd); /* or NULL */
void virtual_timer_forget(struct virtual_timers *timers, int fd);
/* Forgets what has expired of it. */
void virtual_timer_arm(struct virtual_timers *timers, struct virtual_timer *timer, uint64_t expiry,
                       uint64_t interval);
/* When the next one expires, or VIRTUAL_NEVER. */
uint64_t virtual_timers_next(const struct virtual_timers *timers);
/* Sets off those whose time has come, each once. False: Linux does not play along. */
bool virtual_timers_expire(struct virtual_timers *timers, uint64_t clock_ns);

#endif

/* SPDX-License-Identifier: MIT */
/* Clock and waits of a subject that is judged from outside: what it asks Linux for, and what it
 * gets (RUNNER.md, "A run"). */
#ifndef ETALON_WITHOUT_KIT

#include <sys/syscall.h>
#include <unistd.h>

#include "outside.h"

#include "../../model/words.h"

/* waits in a row that only let time pass: a long wait in slices, or one for ever */
#define BARREN_MAX 1000

static uint64_t clock_now(void) {
    return world_real.clock();
}

static void clock_is_read(void) {
    struct command moment = {.kind = COMMAND_ADVANCE, .value = READING_NS};
    world_real.command(&moment);
}

/* Also what is orphaned, and may be tried on the next file of its number (section 15, 12). */
static bool any_falsely_ready(void) {
    for (unsigned c = 0; c < COUNT; c++) {
        const struct item *i = &observer.item[c];
        bool orphaned = waits_on(i) && world_real.installed(i->d.fd) != i->installed;
        if (i->in_use && (orphaned || ready_now(i) != 0) && falsely_ready(i))
            return true;
    }
    return false;
}

/* What the promise would blame, when the loop goes on to be told of what cannot be had. */
static bool anything_due(void) {
    for (unsigned c = 0; c < COUNT; c++)
        if (observer.promise.completion[c].due != PROMISE_NOT_DUE)
            return true;
    return false;
}

static int wait_begins(int64_t timeout_ns) {
    /* no call of the kernel takes no time at all */
    struct command moment = {.kind = COMMAND_ADVANCE, .value = READING_NS};
    const char *undriven = interpose_undriven();
    if (undriven != NULL)
        snprintf(observer.result->undriven, sizeof observer.result->undriven, "%s", undriven);
    observer.result->waits++;
    observer.wait_ns = timeout_ns;
    TELL(EVENT_WAIT, .result = timeout_ns, .coarse = true);
    world_real.command(&moment);
    if (timeout_ns < 0)
        note('w', -1, "wait without limit");
    else
        note('w', -1, "wait %lld ns", (long long)timeout_ns);
    if (observer.promise.spins >= PROMISE_WAITS_MAX && any_falsely_ready() && !anything_due()) {
        note('e', -1,
             "the kernel reports again and again what cannot be had: the program ends here");
        end_run();
    }
    if (observer.fail_wait_error != 0 && --observer.fail_wait_at == 0) {
        int error = observer.fail_wait_error;
        observer.fail_wait_error = 0;
        note('o', -1, "the wait fails: %s", errno_name(error));
        return error;
    }
    return 0;
}

static bool owes_now(const struct item *i) {
    uint32_t ready = (uint16_t)ready_now(i);
    return ready != 0 && !is_stale(i, ready);
}

/* As far as is to be seen. */
static bool looks_unlawful(void) {
    bool due = observer.promise.wake_pending || anything_due();
    for (unsigned c = 0; c < COUNT; c++)
        due = due || (observer.item[c].in_use && owes_now(&observer.item[c]));
    return due;
}

static bool blocked(int64_t timeout_ns) {
    const struct program *p = observer.program;
    (void)timeout_ns;
    settle_unseen();
    tell_ready(true);
    check_forgotten_errors();
    TELL(EVENT_SLEEP);
    if (observer.world_next >= p->count[PROGRAM_BODY_WORLD] || observer.commands >= COMMANDS_MAX)
        return false;
    perform(&p->command[p->first[PROGRAM_BODY_WORLD] + observer.world_next++]);
    note_pending_errors();
    return true;
}

static void forever(void) {
    TELL(EVENT_SLEEP, .result = -1);
    note('e', -1, "the loop waits for what will never come, as it may: the program ends here");
    end_run();
}

/* The clock moves by whole microseconds here: what a loop rounds away that counts in those is not
 * seen. */
uint64_t whole_us(uint64_t ns) {
    return ns > UINT64_MAX - 999 ? ns : (ns + 999) / 1000 * 1000;
}

static bool timer_in_use(void) {
    for (unsigned c = 0; c < COUNT; c++)
        if (observer.item[c].in_use && observer.item[c].d.operation == ET_TIMER)
            return true;
    return false;
}

static void advance(uint64_t clock_ns) {
    uint64_t now = world_real.clock();
    clock_ns = clock_ns < VIRTUAL_END ? clock_ns : VIRTUAL_END;
    if (clock_ns < VIRTUAL_END)
        TELL(EVENT_SLEEP, .result = clock_ns > now ? (int64_t)(clock_ns - now) : 0);
    if (clock_ns == VIRTUAL_END) {
        note('e', -1, "no kernel's clock goes as far as the loop waits: the program ends here");
        end_run();
    }
    if (clock_ns <= now)
        return;
    struct command forward = {.kind = COMMAND_ADVANCE, .value = whole_us(clock_ns - now)};
    world_real.command(&forward);
    if (++observer.barren_waits <= BARREN_MAX)
        return;
    if (!timer_in_use())
        forever();
    note('e', -1, "%u waits in a row only let time pass: the program ends here",
         observer.barren_waits);
    end_run();
}

static bool of_program(int fd) {
    return world_real.installed(fd) != 0;
}

/* One descriptor alone has ended the wait, and it is the loop's own. */
static bool ended_by_its_own(int fd) {
    bool own = fd >= 0 && !of_program(fd) && !interpose_is_timer(fd);
    for (unsigned a = 0; a < ETALON_SUBJECT_ASYNCS; a++)
        own = own && !observer.async_open[a];
    return own && !interpose_other_threads();
}

/* A timerfd of its own has let it wait, as a timeout would have. */
static bool is_its_timer(int fd) {
    return fd >= 0 && !of_program(fd) && interpose_is_timer(fd);
}

static void wait_ends(int ready) {
    uint32_t events;
    observer.waits++;
    observer.reported = ready > 0;
    tell_ready(true);
    /* what alone has ended it: Linux is asked once, as that takes long */
    int fd = ready == 1 ? interpose_reported(&events) : -1;
    bool own = ended_by_its_own(fd);
    uint32_t claimed = own ? (uint32_t)fd + 1 : 0;
    /* something of the program's, or what has no descriptor any more */
    bool of_others = ready > 1 || (ready == 1 && (fd < 0 || of_program(fd)));
    TELL(EVENT_WOKEN, .result = ready < 0 ? ready : 0, .events = ready > 0, .claimed = claimed,
         .others = of_others, .forgiven = interpose_is_full());
    if (own)
        observer.own = (int)claimed - 1;
    note('w', -1, "woken, %d ready, the clock stands at +%llu us", ready,
         (unsigned long long)((world_real.clock() - KIT_CLOCK_NS) / 1000));
    if (ready > 0 && !is_its_timer(fd))
        observer.barren_waits = 0;
}

/* The kernel tells of it, also where nothing waits for that. */
static bool is_reported(int fd) {
    struct pollfd p = {.fd = fd, .events = (short)(observer.registered[fd] & POLLED)};
    struct timespec none = {0};
    return syscall(SYS_ppoll, &p, 1, &none, NULL, 8) > 0;
}

/* Waits that have ended since anything has happened to it. */
static unsigned quiet_for(int fd) {
    unsigned last =
        observer.stirred[fd] > observer.stirred_all ? observer.stirred[fd] : observer.stirred_all;
    return observer.waits - last;
}

/* What is registered stays so. The refusal is of what is not. */
static int controls(int fd, uint32_t events) {
    (void)events;
    observer.controls++;
    if (fd < FILES && quiet_for(fd) >= 2 && !is_reported(fd) &&
        ++observer.idle_calls[fd] == IDLE_CALLS)
        advised("ET-REGISTER-10",
                "epoll_ctl is called again and again about descriptor %d, to which nothing happens",
                fd);
    for (unsigned k = 0; k < REFUSALS; k++) {
        if (observer.refusal[k].at != observer.controls)
            continue;
        observer.refusal[k].at = 0;
        for (unsigned c = 0; c < COUNT; c++)
            if (observer.item[c].in_use && waits_on(&observer.item[c]) &&
                observer.item[c].d.fd == fd && !is_covered(&observer.item[c]))
                observer.item[c].refused = observer.refusal[k].error;
        note('o', -1, "epoll_ctl of descriptor %d fails: %s", fd,
             errno_name(observer.refusal[k].error));
        return observer.refusal[k].error;
    }
    return 0;
}

static void controlled(int fd, uint32_t events) {
    if (fd < FILES)
        observer.registered[fd] = events;
}

static void took_error(int fd, int error) {
    observer.taken.installed = world_real.installed(fd);
    observer.taken.error = error;
}

const struct interpose_hooks outside_hooks = {
    clock_now, clock_is_read, advance,    wait_begins, looks_unlawful, blocked,
    wait_ends, forever,       of_program, controls,    controlled,     took_error};

#else
typedef int nothing_here;
#endif

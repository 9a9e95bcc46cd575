/* SPDX-License-Identifier: MIT */
/* The C library's calls for time and waiting, and those that a judge wants to see, as a subject
 * meets them (interpose.c). */
#ifndef ETALON_INTERPOSE_H
#define ETALON_INTERPOSE_H

#include <stdbool.h>
#include <stdint.h>

#include "../../src/etalon_vocabulary.h"

enum interpose_mode {
    INTERPOSE_NOTHING, /* every call goes to Linux */
    /* the subject's calls go to the world that is begun (wrap.c), which may be a simulated one
     */
    INTERPOSE_WORLD,
    /* they go to Linux, but time is virtual: a wait that would sleep lets it jump */
    INTERPOSE_TIME,
};

struct interpose_hooks {
    uint64_t (*clock)(void);
    void (*clock_is_read)(void);        /* by the subject, on the first thread; may be null */
    void (*advance)(uint64_t clock_ns); /* nothing can happen before: time moves on */
    int (*wait_begins)(
        /* < 0: without limit. Returns an errno by which the wait is to fail, or 0 */
        int64_t timeout_ns);
    bool (*looks_unlawful)(
        /* as far as is to be seen, it should not sleep now; other threads may be about to end it */
        void);
    /* it would sleep now. True: the world was changed, look again */
    bool (*blocked)(int64_t timeout_ns);
    void (*wait_ends)(int ready); /* how many descriptors, or a negated errno */
    void (*forever)(void);        /* nothing can end this wait any more; does not return */
    bool (*of_program)(int fd);   /* a descriptor of the program */
    /* epoll_ctl is called for a descriptor of the program; 0: it is removed. Returns an errno by
     * which it is to fail, or 0. May be null */
    int (*controls)(int fd, uint32_t events);
    void (*controlled)(int fd, uint32_t events); /* it was, then */
    /* its pending error was asked for, which Linux tells once. May be null */
    void (*took_error)(int fd, int error);
};

void interpose_begin(enum interpose_mode mode, const struct interpose_hooks *hooks);

/* Whether the calls that come now are the subject's. Returns what it was before. */
bool interpose_inside(bool inside);

/* The first descriptor that the last wait with a report told of, and for what; -1: that
 * registration has no number any more. */
int interpose_reported(uint32_t *events);

/* Whether the last wait has reported as many as it had room for. */
bool interpose_is_full(void);

/* The subject's last wait as it was called: "epoll_wait(timeout = 10)"; empty: there was none. */
const char *interpose_wait_call(void);

/* Why the subject may not be driven by virtual time: what it does takes its time from Linux, or
 * from another thread; NULL: nothing of that was seen. */
const char *interpose_undriven(void);

/* The process has more threads than this one: what they do takes real time. */
bool interpose_other_threads(void);
/* Gives them some real time. */
void interpose_grace(void);

/* A timerfd of the subject's. */
bool interpose_is_timer(int fd);
/* Those whose time has come can be read, as at the beginning of a wait. */
void interpose_expire_timers(void);

/* ---- threads that the subject makes, and that call back
 * -----------------------------------------------
 *
 * They are real, and run as they like; one of them at a time, or the first thread, is the runner's
 * (interpose_inside). When all of them wait, the world goes on, and time. */

/* From now on, until the next interpose_begin: what the subject's threads wait for is virtual, too.
 * To be called before it makes any. */
void interpose_drive_threads(void);
/* By the runner: goes on when every other thread has done what it can, or is at its end. */
void interpose_settle(void);
/* As interpose_inside(before), after a call that has only asked: nobody else has anything to do. */
void interpose_asked(bool before);
/* This thread is the one that has begun the interposition. */
bool interpose_is_first(void);

/* ---- threads that the subject makes: participants
 * ------------------------------------------------------
 *
 * They are real threads of the subject's own code, but one of them runs at a time, while the first
 * thread waits, and only when it is told to: from one stop to the next. A thread stops before and
 * after a system call of the kind that a pool makes, before it locks a mutex (when asked to), and
 * where it would wait for a condition; from there it goes on only after somebody has told of it. */

#define INTERPOSE_THREADS_MAX 16

struct participant;

enum interpose_stop {
    INTERPOSE_CALL,   /* before a read, pread, write, pwrite or close: interpose_call tells which */
    INTERPOSE_CALLED, /* after it */
    INTERPOSE_LOCK,   /* before it locks a mutex, or while another thread has that */
    INTERPOSE_PARKED, /* in pthread_cond_wait */
    INTERPOSE_ENDED,
};

struct interpose_call {
    enum et_operation operation;
    int fd;
    const void *identity; /* the buffer; of a close: NULL */
};

/* From now on threads that the subject's first thread makes are participants: in a world that is
 * begun, whose observer is told of each
 * (`created`, `joined`: with the participant). Until the next interpose_begin. */
void interpose_participants(void);
/* It waits for a condition of which nobody has told since, or has ended: a step would do nothing.
 */
bool interpose_sleeps(const struct participant *participant);
/* Lets it run to its next stop. at_locks: to the next mutex that it locks, too. */
enum interpose_stop interpose_step(struct participant *participant, bool at_locks);
/* What it is about to do, or has just done. */
struct interpose_call interpose_call(const struct participant *participant);
/* How many have not ended. */
unsigned interpose_participants_left(void);

#endif

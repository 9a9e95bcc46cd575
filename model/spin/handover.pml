/* SPDX-License-Identifier: MIT */
/* The way of a completion through the pool, and every wake-up: threads, hand-over, eventfd, waiting
 * loop, deinit. HANDOVER.md explains it, handover.py judges it (`make handover`).
 *
 * A step of the model is one atomic operation, one critical section or one system call of the
 * source. A comment names the place that it stands for: file, function, and there either the label
 * of a comment ("hand-over: push") or, in quotes, code. handover.py checks that each exists, and
 * that those of one function stand in the same order here and there.
 *
 *   -DPRODUCERS=N     threads of the pool: 0 to 3; and as many completions, but at least 2
 *   -DWAKER           another thread calls et_loop_wakeup again and again, also while the loop ends
 *   -DASYNC           it calls et_async_notify as well, and a completion of the loop waits on the
 *                     async
 *
 * The assertions: no thread touches a completion that has been given back to the caller, nor a
 * loop, a pool or a descriptor that is gone; delivered is what was handed over, once, in the order
 * of handing over. Invalid end states: nobody waits for ever, neither the loop while the pool has
 * work of it, nor a thread, nor a deinit. The formulas are at the end of the declarations.
 *
 * What -D switches break the model on purpose is listed in handover.py, with the property that must
 * notice. */

#ifndef PRODUCERS
#define PRODUCERS 2
#endif
#if PRODUCERS == 3
#define COMPLETIONS 3
#else
#define COMPLETIONS 2
#endif
#define NONE COMPLETIONS

#ifdef ASYNC
#define WAKER
#define COUNTERS 2
#else
#define COUNTERS 1
#endif
#define WAKEUP 0 /* the loop's eventfd; 1 is the async's */

mtype = { DEAD, QUEUED, EXECUTING, HANDED_OVER };

/* ---- the completions: DEAD is the caller's, who may have freed it ---------------------------- */

mtype place[COMPLETIONS] = DEAD;
bit deleted[COMPLETIONS]; /* while a thread has it, or it is handed over: ET-POOL-8 */
byte next[COMPLETIONS] = NONE;

/* ---- the pool: under its mutex; a critical section is one step ------------------------------- */

chan queue = [COMPLETIONS] of { byte };
byte threads, idle; /* created so far; of these, not at work */
byte executing;     /* of the loop: threads that may still touch it */
bit ending;
bit asleep[PRODUCERS + 1]; /* waits for the condition `work` */
bit owner_asleep;          /* the loop's deinit waits for the condition `left` */
byte exited;
bit pool_gone;

/* ---- the loop -------------------------------------------------------------------------------- */

byte handed_over = NONE; /* the last first */
bit loop_gone;

/* ---- what other threads may raise: eventfds -------------------------------------------------- */

bit open[COUNTERS];    /* the bit OPEN of `users` */
byte users[COUNTERS];  /* the rest of it */
bit counter[COUNTERS]; /* whether it is more than 0: what it amounts to is never looked at */
bit closed[COUNTERS];
bit owed[COUNTERS];    /* ghost: was raised, and no wait has ended since */
bit outside = 1;       /* ghost: the other thread is in none of our functions */

/* ---- what is checked ------------------------------------------------------------------------- */

chan order = [COMPLETIONS] of { byte }; /* ghost: in which they were handed over */
bit ending_loop;                        /* ghost: in et_loop_deinit */

/* Three producers are searched in a smaller model, or it would not end: threads that are in the
 * same place are interchangeable, so the first of them moves; so are completions that are free, so
 * the first is submitted; and three reductions of no consequence for what is left: what a thread
 * has is not deleted, a thread's wake-up is one step (the loop cannot go meanwhile), and in the
 * searches of the formulas (-DONCE) every completion is submitted once. */
#if PRODUCERS == 3
bit ready[PRODUCERS]; /* is about to look for work */
#define BECOMES_READY(me, is) ready[me] = is
#define GOES_FIRST(me) ((me) == 0 || (!ready[0] && ((me) == 1 || !ready[1])))
#define CAN_DELETE(c) (place[c] == QUEUED)
#ifdef ONCE
byte submitted;
#define CAN_SUBMIT(c) (place[c] == DEAD && (c) == submitted)
#define COUNT_SUBMISSION submitted++
#else
#define CAN_SUBMIT(c)                                                                              \
    (place[c] == DEAD && ((c) == 0 || (place[0] != DEAD && ((c) == 1 || place[1] != DEAD))))
#define COUNT_SUBMISSION skip
#endif
#define WAKE_ONE :: asleep[0] -> asleep[0] = 0 :: !asleep[0] && asleep[1] -> asleep[1] = 0 \
    :: !asleep[0] && !asleep[1] && asleep[2] -> asleep[2] = 0
#else
#define BECOMES_READY(me, is) skip
#define GOES_FIRST(me) true
#define CAN_DELETE(c) (place[c] != DEAD && !deleted[c])
#define CAN_SUBMIT(c) (place[c] == DEAD)
#define COUNT_SUBMISSION skip
#if PRODUCERS == 2
#define WAKE_ONE :: asleep[0] -> asleep[0] = 0 :: asleep[1] -> asleep[1] = 0
#else
#define WAKE_ONE :: asleep[0] -> asleep[0] = 0
#endif
#endif

#define MINE(c)   assert(place[c] != DEAD)
#define LOOP_IS   assert(!loop_gone)
#define POOL_IS   assert(!pool_gone)
#define RAISED    (counter[WAKEUP] || counter[COUNTERS - 1])
#define LOOK                                                                                       \
    d_step {                                                                                       \
        reported[WAKEUP] = counter[WAKEUP];                                                        \
        reported[COUNTERS - 1] = counter[COUNTERS - 1]                                             \
    }
#define IN_POOL   (place[0] != DEAD || place[1] != DEAD || place[COMPLETIONS - 1] != DEAD)

#ifndef TRACKED
#define TRACKED 0 /* the completion that the formulas speak of */
#endif
#ifdef CHECK_LTL
ltl delivered { [] ((place[TRACKED] == HANDED_OVER) -> <> (place[TRACKED] != HANDED_OVER)) }
ltl taken { [] ((place[TRACKED] == QUEUED) -> <> (place[TRACKED] != QUEUED)) }
ltl woken { [] (owed[WAKEUP] -> <> !owed[WAKEUP]) }
ltl ended { [] (ending_loop -> <> !ending_loop) }
/* Does not hold: the push is free of locks, but not of waiting. Others may always be faster. */
ltl handed { [] ((place[TRACKED] == EXECUTING) -> <> (place[TRACKED] != EXECUTING)) }
#ifdef ASYNC
ltl notified { [] (owed[1] -> <> !owed[1]) }
#endif
#endif

/* ---- async.c --------------------------------------------------------------------------------- */

inline raise(which) {
#ifdef RAISE_WITHOUT_LOOK
    if
    :: true
#else
    if
    :: !open[which] /* src/async.c: eti_raise: "atomic_load_explicit" */
    :: open[which]
#endif
        ->
#ifdef RAISE_WITHOUT_COUNT
        opened = 1;
#else
        atomic {
            opened = open[which]; /* src/async.c: eti_raise: "atomic_fetch_add_explicit" */
#ifdef RAISE_BY_FIRST_LOOK
            opened = 1;
#endif
            users[which]++
        };
#endif
        atomic {
            if
            :: opened -> /* src/async.c: eti_raise: "write(*fd" */
                assert(!closed[which]);
                counter[which] = 1;
                owed[which] = 1
            :: else
            fi;
            opened = 0
        };
#ifndef RAISE_WITHOUT_COUNT
        atomic { /* src/async.c: eti_raise: "atomic_fetch_sub_explicit" */
            assert(users[which] > 0);
            users[which]--
        }
#endif
    fi
}

inline raise_begins(which) {
    d_step {
        closed[which] = 0;
        counter[which] = 0;
        owed[which] = 0;
        open[which] = 1 /* src/async.c: eti_raise_begins: "atomic_fetch_or_explicit" */
    }
}

/* src/loop.c: release: "eti_raise_ends(&loop->wakers)"
 * src/async.c: et_async_deinit: "eti_raise_ends(" */
inline raise_ends(which) {
#ifdef CLOSE_BEFORE_RAISE_ENDS
    closed[which] = 1;
#endif
    open[which] = 0;    /* src/async.c: eti_raise_ends: "atomic_fetch_and_explicit" */
    users[which] == 0;  /* src/async.c: eti_raise_ends: "atomic_load_explicit" */
    d_step {
        /* src/loop.c: release: "close(loop->wakeup)"
         * src/async.c: et_async_deinit: "close(async->fd)" */
        closed[which] = 1;
        counter[which] = 0;
        owed[which] = 0
    }
}

/* ---- pool.c: a thread ------------------------------------------------------------------------ */

inline leave_loop() {
    atomic {
        LOOP_IS;
        POOL_IS;
#ifndef LEAVE_BEFORE_WAKE
        wakes = 0;
#endif
        idle++;
        BECOMES_READY(me, 1);
        executing--; /* src/pool.c: leave_loop: leave */
#ifndef LEAVE_WITHOUT_SIGNAL
        if
        /* src/pool.c: leave_loop: "pthread_cond_broadcast(&pool->left)" */
        :: executing == 0 -> owner_asleep = 0
        :: else
        fi
#endif
    }
}

#if PRODUCERS > 0
proctype worker(byte me) {
    byte c = NONE, last = NONE;
    bit wakes, opened;
end_not_created:
    atomic { threads > me -> BECOMES_READY(me, 1) };
    do
    :: atomic {
        GOES_FIRST(me) ->
            POOL_IS;
            if
            /* src/pool.c: take: "pthread_cond_wait(&pool->work" */
            :: len(queue) == 0 && !ending -> asleep[me] = 1
            :: len(queue) > 0 ->
                queue?c; /* src/pool.c: take: "leave_queue" */
                idle--;
                executing++; /* src/pool.c: take: "worker->loop->executing++" */
                place[c] = EXECUTING
            /* src/pool.c: take: "goes_on" */
            :: len(queue) == 0 && ending -> BECOMES_READY(me, 0); break
            fi;
            BECOMES_READY(me, 0)
       };
       if
       :: c == NONE ->
/* may stay so; one that is not woken for queued work fails `taken`, or the loop waits for ever */
end_asleep:
            atomic { !asleep[me] -> BECOMES_READY(me, 1) }
       :: else ->
#ifdef WAKE_BEFORE_PUSH
            wakes = (handed_over == NONE);
            if
            :: wakes -> raise(WAKEUP)
            :: else
            fi;
            wakes = 0;
#endif
            atomic {
                MINE(c); /* src/pool.c: execute: "value = read(fd" */
                LOOP_IS;
                last = handed_over; /* src/pool.c: hand_over: "atomic_load_explicit" */
#ifndef LINK_AFTER_PUSH
                next[c] = last; /* src/pool.c: hand_over: "c->internal.next = last" */
#endif
#ifdef EMPTY_BY_FIRST_LOOK
                wakes = (last == NONE)
#endif
            };
            do
            :: atomic {
#ifdef TORN_PUSH
                true ->
#else
                handed_over == last ->
#endif
                    LOOP_IS;
                    /* src/pool.c: hand_over: push  src/pool.c: eti_pool_step: "hand_over(" */
                    handed_over = c;
                    place[c] = HANDED_OVER;
                    order!c;
#if !defined(EMPTY_BY_FIRST_LOOK) && !defined(WAKE_BEFORE_PUSH)
                    wakes = (last == NONE); /* src/pool.c: hand_over: "return last == NULL" */
#endif
#if !defined(LINK_AFTER_PUSH) && !defined(TOUCH_AFTER_PUSH)
                    c = NONE;
#endif
#ifndef LINK_AFTER_PUSH
                    last = NONE;
#endif
                    break
               }
#ifndef TORN_PUSH
            :: atomic {
                handed_over != last -> /* and again */
                    LOOP_IS;
                    last = handed_over;
#ifndef LINK_AFTER_PUSH
                    next[c] = last
#endif
               }
#endif
            od;
#ifdef LINK_AFTER_PUSH
            atomic { next[c] = last; last = NONE; c = NONE };
#endif
#ifdef TOUCH_AFTER_PUSH
            atomic { MINE(c); c = NONE };
#endif
#ifdef LEAVE_BEFORE_WAKE
            leave_loop();
#endif
            if
            :: !wakes
            :: wakes -> /* src/pool.c: eti_pool_step: wake */
                LOOP_IS;
#if PRODUCERS == 3
                atomic {
                    assert(open[WAKEUP] && !closed[WAKEUP]); counter[WAKEUP] = 1; owed[WAKEUP] = 1
                }
#else
                raise(WAKEUP)
#endif
            fi;
#ifndef LEAVE_BEFORE_WAKE
            leave_loop() /* src/pool.c: eti_pool_step: "leave_loop(" */
#endif
       fi
    od;
    exited++
}
#endif

#ifdef WAKER
proctype waker() {
    bit opened;
    do
    :: break /* it may also be the last time */
    :: atomic { !pool_gone -> outside = 0 };
        raise(WAKEUP);
        outside = 1
#ifdef ASYNC
    :: atomic { !pool_gone -> outside = 0 };
        raise(1);
        outside = 1
#endif
    od
}
#endif

/* ---- pool.c: the loop's side ----------------------------------------------------------------- */

inline submit(may, c) {
    atomic {
        may && CAN_SUBMIT(c) ->
            COUNT_SUBMISSION;
            place[c] = QUEUED;
            queue!c; /* src/pool.c: eti_pool_queue: "join_queue" */
            if
            /* src/pool.c: eti_pool_queue: "create_thread" */
            :: len(queue) > idle && threads < PRODUCERS -> threads++; idle++
            :: else
            fi;
#ifndef JOIN_WITHOUT_SIGNAL
            if /* src/pool.c: eti_pool_queue: "pthread_cond_signal(&pool->work)" */
            WAKE_ONE
            :: else
            fi
#endif
    }
}

/* A delete, or (the same for the pool) a cancel. */
inline delete(may, c) {
    atomic {
        may && CAN_DELETE(c) ->
#ifdef TORN_RECALL
            torn = (place[c] == QUEUED)
    };
    atomic {
        if
        :: torn ->
            if
            :: queue??[eval(c)] -> queue??eval(c)
            :: else
            fi;
            place[c] = DEAD
        :: else -> deleted[c] = (place[c] != DEAD)
        fi;
        torn = 0
    }
#else
            if
            :: place[c] == QUEUED -> /* src/pool.c: eti_pool_recall: "leave_queue" */
                queue??eval(c);
                place[c] = DEAD
#ifdef DELETE_RELEASES
            :: place[c] == EXECUTING -> place[c] = DEAD
            :: place[c] == HANDED_OVER -> deleted[c] = 1
#else
            :: else -> deleted[c] = 1
#endif
            fi
    }
#endif
}

#if COMPLETIONS > 2
#define COMMANDS                                                                                   \
    :: submit(true, 0) :: submit(true, 1) :: submit(true, 2)                                       \
    :: delete(true, 0) :: delete(true, 1) :: delete(true, 2)
#else
#define COMMANDS :: submit(true, 0) :: submit(true, 1) :: delete(true, 0) :: delete(true, 1)
#endif

inline take() {
#ifdef TORN_TAKE
    c = handed_over;
#endif
    d_step {
#ifndef TORN_TAKE
        c = handed_over; /* src/pool.c: take_handed_over: take */
#endif
        handed_over = NONE;
#ifdef NO_REVERSAL
        delivering = c;
#else
        k = 0;
        do /* src/pool.c: take_handed_over: "c->internal.next = in_order" */
        :: c != NONE ->
            assert(k < COMPLETIONS);
            k++;
            MINE(c);
            before = next[c];
            next[c] = delivering;
            delivering = c;
            c = before
        :: else -> break
        od;
        k = 0;
        before = NONE;
#endif
        c = NONE
    }
}

/* The episode of the first in `delivering` ends. */
inline end_first() {
    c = delivering;
    MINE(c);
    assert(place[c] == HANDED_OVER);
#ifndef LINK_AFTER_CALLBACK
    /* src/pool.c: eti_deliver_handed_over: "loop->delivering = c->internal.next" */
    delivering = next[c];
    next[c] = NONE;
#endif
    order?k;
    assert(k == c);
    k = 0;
    place[c] = DEAD; /* src/pool.c: eti_deliver_handed_over: "eti_finish(" */
    lingered = deleted[c]; /* src/pool.c: eti_deliver_handed_over: "eti_end_lingering" */
    deleted[c] = 0
}

inline deliver_handed_over() {
    do
    :: atomic {
        delivering != NONE ->
            end_first();
            if /* the callback: not after a delete. It may delete another one, also of this list */
            :: true
            :: delete(!lingered, 0)
            :: delete(!lingered, 1)
            :: submit(!lingered, c)
            fi;
#ifdef LINK_AFTER_CALLBACK
            MINE(c);
            delivering = next[c];
            next[c] = NONE;
#endif
            lingered = 0;
            c = NONE
       }
    :: else -> break
    od
}

/* ---- the loop's thread ----------------------------------------------------------------------- */

inline drain(which) {
    if
    /* src/kernel_phase.c: drain_wakeup: "read(loop->wakeup" */
    :: reported[which] -> counter[which] = 0
    :: else
    fi;
    reported[which] = 0
}

/* Level-triggered. Waits only while something is active: work of the pool, or else something that
 * may never come, then the program may end here. */
inline ask_kernel() {
    /* src/kernel_phase.c: eti_ask_kernel: "bool blocks"
     * src/kernel_phase.c: eti_ask_kernel: "wait_for_reports" */
    if
    :: LOOK /* without waiting: ET-WAIT-1 */
    :: IN_POOL -> d_step { RAISED -> LOOK }
    :: !IN_POOL ->
end_idle:
        d_step { RAISED -> LOOK }
    fi;
#if !defined(DRAIN_AFTER_TAKE) && !defined(DRAIN_AFTER_CALLBACKS)
    atomic {
        owed[WAKEUP] = owed[WAKEUP] && !reported[WAKEUP];
        drain(WAKEUP) /* src/kernel_phase.c: eti_ask_kernel: "drain_wakeup" */
    };
#else
    owed[WAKEUP] = owed[WAKEUP] && !reported[WAKEUP];
#endif
    /* Then what else was reported, and callbacks, which may wake the loop.
     * src/kernel_phase.c: eti_ask_kernel: "deliver(" */
#ifdef ASYNC
    if
    :: reported[1] ->
#ifdef READ_AFTER_CALLBACK
        owed[1] = 0;
        raise(WAKEUP);
        drain(1)
#else
        atomic { owed[1] = 0; drain(1) }; /* src/kernel_phase.c: serve: "eti_try_operation" */
        raise(WAKEUP) /* src/kernel_phase.c: serve: "eti_finish" */
#endif
    :: else
    fi;
#endif
#ifdef DRAIN_AFTER_CALLBACKS
    drain(WAKEUP);
#endif
}

inline detach() {
    atomic {
        do
        /* src/pool.c: eti_pool_detach: "leave_queue" */
        :: len(queue) > 0 -> queue?c; place[c] = DEAD
        :: else -> break
        od;
        c = NONE;
        owner_asleep = (executing > 0)
    };
#ifndef DEINIT_DOES_NOT_WAIT
    do /* src/pool.c: eti_pool_detach: "pthread_cond_wait(&pool->left" */
    :: atomic { !owner_asleep && executing > 0 -> owner_asleep = 1 }
    :: atomic { !owner_asleep && executing == 0 -> break }
    od;
#else
    owner_asleep = 0;
#endif
    take(); /* src/pool.c: eti_pool_detach: forget */
    do
    :: atomic { delivering != NONE -> end_first(); c = NONE; lingered = 0 }
    :: else -> break
    od
}

init {
    byte c = NONE, before = NONE, k, delivering = NONE;
    bit reported[COUNTERS], lingered, opened;
#ifdef TORN_RECALL
    bit torn;
#endif
    atomic {
#if PRODUCERS > 0
        run worker(0);
#endif
#if PRODUCERS > 1
        run worker(1);
#endif
#if PRODUCERS > 2
        run worker(2);
#endif
#ifdef WAKER
        run waker();
#endif
    };
begin: /* a loop, the first one or a later one of the same pool, in the same memory */
    raise_begins(WAKEUP);
#ifdef ASYNC
    raise_begins(1);
#endif
    do
    :: true -> break
    :: true ->
#if PRODUCERS > 0
        /* one call at most between two rounds: a program that never comes to its loop has only
         * itself to blame */
        if
        :: true
        COMMANDS
        fi;
#endif
        take(); /* src/loop.c: make_round: "eti_deliver_handed_over" */
#ifdef DRAIN_AFTER_TAKE
        drain(WAKEUP);
#endif
        deliver_handed_over();
        ask_kernel() /* src/loop.c: make_round: "eti_ask_kernel" */
    od;
    ending_loop = 1;
    detach(); /* src/loop.c: et_loop_deinit: "eti_pool_detach" */
    raise_ends(WAKEUP); /* src/loop.c: et_loop_deinit: "release(" */
    loop_gone = 1;
#ifdef ASYNC
    raise_ends(1);
#endif
    ending_loop = 0;
    if
#ifdef INIT_UNDER_WAKEUP
    :: true ->
#else
    :: outside -> /* the caller owes that: init writes to all of the loop */
#endif
        atomic { users[WAKEUP] = 0; users[COUNTERS - 1] = 0; loop_gone = 0 };
        goto begin
    :: true
    fi;
    atomic {
        ending = 1; /* src/pool.c: et_pool_deinit: "pool->ending" */
#ifdef END_SIGNALS_ONE
        if
        WAKE_ONE
        :: else
        fi
#else
        /* src/pool.c: et_pool_deinit: "pthread_cond_broadcast(&pool->work)" */
        for (k : 0 .. PRODUCERS) { asleep[k] = 0 };
        k = 0
#endif
    };
    exited == threads; /* src/pool.c: et_pool_deinit: "pthread_join" */
    pool_gone = 1
}

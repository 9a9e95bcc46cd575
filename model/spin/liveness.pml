/* SPDX-License-Identifier: MIT */
/* The law's lifecycle and its round, and what must come to an end. LIVENESS.md explains it,
 * liveness.py judges it (`make liveness`).
 *
 * Five completions: a noop, a timer, two operations that wait on one descriptor, a cancel. A
 * program adds some of them and calls run(UNTIL_DONE); after that everything happens in callbacks,
 * each of which may make one call and return disarm or rearm, for ever. The world: a clock under
 * which every timer expires some time, and a peer that makes the descriptor ready. With -DFAIR_PEER
 * it does so again and again, otherwise it may stop. Both, and the loop, are weakly fair: what can
 * go on for ever without a pause does go on.
 *
 *   -DPRESENT=MASK   which completions the program has, one bit each
 *
 * What -D switches break the model on purpose is listed in liveness.py, with the formula that must
 * notice. */

#ifndef PRESENT
#define PRESENT 31
#endif
#define HAS(c) ((PRESENT >> (c)) & 1)

#define NOOP   0
#define TIMER  1
#define READ   2 /* two of them, on one descriptor */
#define READ_2 3
#define CANCEL 4
#define COMPLETIONS 5

mtype = { DEAD, ADDING, ACTIVE, DELETING };

mtype state[COMPLETIONS] = DEAD;
chan submissions = [COMPLETIONS] of { byte };
chan deletions = [COMPLETIONS] of { byte };
chan waiting = [2] of { byte }; /* on the descriptor, in the order of starting */
/* the submissions in this round: not before the next one (ET-SUBMIT-1) */
bit joined[COMPLETIONS];
byte target;                    /* of the cancel */
byte count;                    /* as the loop counts */
bit ready;                      /* the descriptor, level-triggered */
bit expired;                    /* the timer's deadline has come */
bit running;                    /* in run(UNTIL_DONE) */
bit stopped;
bit closing;                    /* the program adds nothing any more */
#if defined(REFIRES) || defined(REARM_KEEPS_PLACE)
byte phase; /* in which the callback is called */
bit first;  /* the second read stands before the first one */
#define IN_PHASE(n) phase = n
#else
#define IN_PHASE(n) skip
#endif
bit answered = 1;               /* ghost: by its callback, unless it was deleted */

#define ENDED(c) (state[c] == DEAD || state[c] == DELETING || stopped)

#ifdef CHECK_LTL
#define COMPLETED(c) (state[c] != DELETING || stopped)
/* Every submission ends. */
ltl ends_noop { [] ((state[NOOP] == ADDING) -> <> ENDED(NOOP)) }
ltl ends_timer { [] ((state[TIMER] == ADDING) -> <> ENDED(TIMER)) }
ltl ends_read { [] ((state[READ] == ADDING) -> <> ENDED(READ)) }
ltl ends_read_2 { [] ((state[READ_2] == ADDING) -> <> ENDED(READ_2)) }
/* Every deletion is completed. */
ltl deleted_noop { [] ((state[NOOP] == DELETING) -> <> COMPLETED(NOOP)) }
ltl deleted_timer { [] ((state[TIMER] == DELETING) -> <> COMPLETED(TIMER)) }
ltl deleted_read { [] ((state[READ] == DELETING) -> <> COMPLETED(READ)) }
ltl deleted_read_2 { [] ((state[READ_2] == DELETING) -> <> COMPLETED(READ_2)) }
ltl deleted_cancel { [] ((state[CANCEL] == DELETING) -> <> COMPLETED(CANCEL)) }
/* Every cancel is answered. */
ltl ends_cancel { [] (!answered -> <> (answered || stopped)) }
/* run(UNTIL_DONE) ends when nothing new is added. */
ltl done { [] ((closing && running) -> <> !running) }
/* Nobody starves, whatever rearms itself for ever. */
ltl served {
    [] ((state[READ] == ACTIVE && ready) -> <> (state[READ] != ACTIVE || !ready || stopped))
}
#endif

/* ---- the calls ------------------------------------------------------------------------------- */

inline join_submissions(c) {
    state[c] = ADDING;
    joined[c] = 1;
    submissions!c
}

/* Out of wherever an adding or active completion is. */
inline withdraw(c) {
    if
    :: state[c] == ADDING -> submissions??eval(c); joined[c] = 0
    :: else ->
        count--;
        if
        :: c == READ || c == READ_2 -> waiting??eval(c)
        :: else -> expired = expired && c != TIMER
        fi
    fi
}

inline add(c) { /* ET-ADD-1, ET-ADD-4 */
    if
    :: state[c] == DELETING -> deletions??eval(c)
    :: else
    fi;
    join_submissions(c);
    if
    :: c == TIMER -> expired = 0
    :: c == TIMER -> expired = 1 /* a delay of 0 */
    :: c != TIMER
    fi
}

/* Of the calls of a program, those that change something. */
inline program_adds(c) {
    atomic {
        HAS(c) && c != CANCEL && (state[c] == DEAD || state[c] == DELETING) -> add(c)
    }
}

inline program_deletes(c) {
    atomic {
        HAS(c) && (state[c] == ADDING || state[c] == ACTIVE) -> /* ET-DELETE-2, ET-DELETE-3 */
#ifdef COUNT_NOT_LOWERED_BY_DELETE
            if
            :: state[c] == ACTIVE -> count++
            :: else
            fi;
#endif
            withdraw(c);
            state[c] = DELETING;
            answered = answered || c == CANCEL;
            deletions!c
    }
}

inline program_cancels(c) {
    atomic {
        /* ET-CANCEL-1 */
        HAS(CANCEL) && HAS(c) && (state[CANCEL] == DEAD || state[CANCEL] == DELETING) ->
            target = c;
            answered = 0;
            add(CANCEL)
    }
}

/* ---- callbacks: the completion has been dead since a step ago (ET-CALL-1), which the formulas can
 * see ---- */

inline callback(c) {
    if
    :: atomic { c == CANCEL -> answered = 1 }
    :: c != CANCEL
    fi;
    if /* one call, or none */
    :: true
    :: !closing && !stopped -> closing = 1
    :: !closing && !stopped -> stopped = 1
    :: atomic { !closing -> if
        :: true
        :: program_adds(NOOP)
        :: program_adds(TIMER)
        :: program_adds(READ)
        :: program_adds(READ_2)
        :: program_deletes(NOOP)
        :: program_deletes(TIMER)
        :: program_deletes(READ)
        :: program_deletes(READ_2)
        :: program_deletes(CANCEL)
        :: program_cancels(NOOP)
        :: program_cancels(TIMER)
        :: program_cancels(READ)
        fi }
    fi;
    if
    :: true /* disarm */
    :: atomic { !closing && (state[c] == DEAD || state[c] == DELETING) -> /* rearm: ET-CALL-3 */
        answered = answered && c != CANCEL;
        add(c);
#ifdef REFIRES
        if
        :: c == TIMER && phase == 3 ->
            submissions??eval(c); joined[c] = 0; state[c] = ACTIVE; count++
        :: else
        fi
#endif
#ifdef REARM_KEEPS_PLACE
        if
        :: c == READ_2 && phase == 5 ->
            submissions??eval(c); joined[c] = 0; state[c] = ACTIVE; count++; first = 1
        :: else
        fi
#endif
       }
    fi
}

/* ---- the loop -------------------------------------------------------------------------------- */

inline start_cancel() {
    atomic { state[CANCEL] = ACTIVE; count++ };
    if
    /* ET-CANCEL-4, ET-CANCEL-5 */
    :: (state[target] == ADDING || state[target] == ACTIVE) && target != CANCEL ->
#ifdef COUNT_NOT_LOWERED_BY_CANCEL
        atomic {
            if
            :: state[target] == ACTIVE -> count++
            :: else
            fi;
            withdraw(target);
            state[target] = DEAD
        };
#elif defined(COUNT_LOWERED_TWICE)
        atomic {
            if
            :: state[target] == ACTIVE && count > 1 -> count--
            :: else
            fi;
            withdraw(target);
            state[target] = DEAD
        };
#else
        atomic { withdraw(target); state[target] = DEAD };
#endif
        callback(target)
#ifdef CANCEL_LOST_WHEN_DEAD
    :: else -> goto cancel_lost
#else
    :: else /* ET-CANCEL-6 */
#endif
    fi;
#ifdef CANCEL_LOST_WITH_ITS_TARGET
    atomic { state[CANCEL] == ACTIVE -> count--; state[CANCEL] = DEAD };
#else
    if
    :: atomic { state[CANCEL] == ACTIVE -> count--; state[CANCEL] = DEAD };
        callback(CANCEL)
    :: state[CANCEL] != ACTIVE /* ET-CANCEL-7: deleted by the target's callback */
    fi;
#endif
cancel_lost:
    skip
}

/* A timer or read becomes count; a noop ends at once. */
inline start(c) {
    if
    :: c == NOOP -> state[c] = DEAD; callback(c)
    :: c == TIMER -> atomic { state[c] = ACTIVE; count++ }
    :: c == READ || c == READ_2 -> atomic { state[c] = ACTIVE; count++; waiting!c }
    :: c == CANCEL -> start_cancel()
    fi
}

inline process_submissions() {
    d_step {
        for (k : 0 .. COMPLETIONS - 1) { joined[k] = 0 };
        k = 0
    };
    do
#ifdef SAME_ROUND
    :: atomic { len(submissions) > 0 -> submissions?c; joined[c] = 0 };
#else
    :: atomic { len(submissions) > 0 -> submissions?<c>;
        if
        :: joined[c] -> c = COMPLETIONS; break
        :: else -> submissions?c
        fi };
#endif
        start(c);
        c = COMPLETIONS
    :: len(submissions) == 0 -> break
    od
}

inline process_deletions() {
    do
#ifdef ONLY_READ_IS_DELETED
    :: atomic { deletions??[READ] -> deletions??READ; state[READ] = DEAD }
    :: !deletions??[READ] -> break
#else
    /* silently: ET-RETIRE-1 */
    :: atomic { len(deletions) > 0 -> deletions?c; state[c] = DEAD; c = COMPLETIONS }
    :: len(deletions) == 0 -> break
#endif
    od
}

inline expire_timers() {
    do
    :: atomic {
            state[TIMER] == ACTIVE && expired ->
                IN_PHASE(3); withdraw(TIMER); state[TIMER] = DEAD
        };
        callback(TIMER);
        IN_PHASE(1)
    :: !(state[TIMER] == ACTIVE && expired) -> break
    od
}

#define TIMER_DUE (state[TIMER] == ACTIVE && expired)
#define REPORTED  (ready && len(waiting) > 0)

inline ask_kernel() {
    if /* ET-WAIT-1 */
#ifdef BLOCKS_DESPITE_QUEUE
    :: count == 0
    :: count > 0 ->
#else
    :: len(submissions) > 0 || len(deletions) > 0 || count == 0
    :: len(submissions) == 0 && len(deletions) == 0 && count > 0 ->
#endif
end_waiting:
#ifdef WAITS_WITHOUT_LIMIT
        REPORTED
#else
        REPORTED || TIMER_DUE
#endif
    fi;
    if /* one report of the descriptor serves the one that was started first: ET-EVENT-10 */
    :: atomic { REPORTED -> 
#ifdef REARM_KEEPS_PLACE
        if
        :: first -> c = READ_2; first = 0
        :: else -> waiting?<c>
        fi;
        count--;
        waiting??eval(c);
#elif defined(READ_OVERTAKES)
        if
        :: waiting??[READ] -> c = READ
        :: else -> waiting?<c>
        fi;
        withdraw(c);
#else
        waiting?<c>;
        withdraw(c);
#endif
        IN_PHASE(5);
        state[c] = DEAD;
        if
        :: ready = 0
        :: true /* it has not taken all that there was */
        fi };
        callback(c);
        IN_PHASE(1);
        c = COMPLETIONS
    :: !REPORTED
    fi
}

init {
    byte c = COMPLETIONS, k;
    atomic {
        run clock();
        run peer();
        if :: program_adds(NOOP) :: true fi;
        if :: program_adds(TIMER) :: true fi;
        if :: program_adds(READ) :: true fi;
        if :: program_adds(READ_2) :: true fi;
        if :: program_cancels(NOOP) :: program_cancels(TIMER) :: program_cancels(READ) :: true fi;
        running = 1
    };
    do
    /* a round: ET-TICK-4 */
    :: !stopped && (count > 0 || len(submissions) > 0 || len(deletions) > 0) ->
        process_submissions();
        if
        :: stopped -> break /* ET-STOP-2 */
        :: else
        fi;
#ifdef DELETIONS_WAIT_FOR_SUBMISSIONS
        if
        :: len(submissions) > 0
        :: len(submissions) == 0 -> process_deletions()
        fi;
#else
        process_deletions();
#endif
#ifdef TIMERS_WAIT_FOR_SUBMISSIONS
        if
        :: len(submissions) > 0
        :: len(submissions) == 0 -> expire_timers()
        fi;
#else
        expire_timers();
#endif
        if
        :: stopped -> break
        :: else
        fi;
#ifdef KERNEL_WAITS_FOR_SUBMISSIONS
        if
        :: len(submissions) > 0
        :: len(submissions) == 0 -> ask_kernel()
        fi
#else
        ask_kernel()
#endif
    :: else -> break
    od;
    running = 0
}

/* ---- the world ------------------------------------------------------------------------------- */

proctype clock() {
end_clock:
    do
    :: atomic { state[TIMER] == ACTIVE && !expired -> expired = 1 }
    od
}

proctype peer() {
end_peer:
    do
    :: atomic { !ready -> ready = 1 }
#ifndef FAIR_PEER
    :: break
#endif
    od
}

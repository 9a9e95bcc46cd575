/* SPDX-License-Identifier: MIT */
/* The dispatch of an epoll loop: what happens between epoll_wait and the callback. One model, four
 * variants; spec/findings.md explains it, run.sh judges it (`make dispatch`).
 *
 *   -DPUBLISHED            libxev, src/backend/epoll.zig at commit a82a04e
 *   -DGUARD                the same with the guard that its pull request #239 proposes
 *   -DGUARD -DCANCEL_237   the same, and a cancel looks at its target's state, as pull request
 *                          #237 describes
 *   -DLAW                  the rule of etalon.md: a report carries a generation, a useless
 *                          registration is removed
 *
 * What is checked, by compilation:
 *
 *   -DCHECK_ACTIVE      a callback is called only for a completion that is active (ET-EVENT-6)
 *   -DCHECK_DELETED     ... not for one that was deleted and is still in the deletions
 *                       (ET-DELETE-4)
 *   -DCHECK_EPISODE     ... in the episode that registered what was reported (ET-EVENT-6)
 *   -DCHECK_CONTROL     no EPOLL_CTL_DEL fails where libxev calls its failure unreachable
 *   -DCHECK_REGISTERED  when the kernel is asked, whatever waits is registered (ET-REGISTER-1)
 *   -DCHECK_TURNS       at most two waits in a row return reports that nothing comes of
 *                       (ET-REGISTER-7)
 *   -DCHECK_SERVED      a completion that waits on a file that stays ready is called some time
 *                       (LTL; ET-EVENT-10)
 *   -DNP                the loop does not turn for ever without progress (non-progress cycles)
 *
 * -DNO_CLOSE leaves out closing and opening; -DCOMMANDS=N bounds the calls in one callback;
 * -DSEED=1 to 5 plants a defect in the law's variant, to show that the checks see it:
 *   1 no generation check   2 a useless registration is not removed
 *   3 the epoll instance is not created anew   4 the new instance does not learn what waits
 *   5 a report is delivered to a completion that is being deleted
 *
 * What the model leaves out is listed in spec/findings.md. */

#ifndef COMMANDS
#define COMMANDS 2 /* at most so many calls in one callback */
#endif
#ifndef SEED
#define SEED 0
#endif

#define COMPLETIONS 2
#define NUMBERS     2 /* descriptor numbers */
#define FILES       3 /* open file descriptions */
#define NONE        FILES
/* The kernel keys what is registered by number and file. Here fd0 is closed and opened again, as
 * file 0 or 1, and fd1 is file 2 for ever; so the file alone is the key. */
#define FD(file) ((file) / 2)
#define NAME(c)     ('A' + (c))

mtype = { DEAD, ADDING, ACTIVE, DELETING };

/* ---- the completions, in the caller's memory ------------------------------------------------- */

mtype state[COMPLETIONS] = DEAD;
/* the descriptor in the description; a new description in the same memory overwrites it */
byte number[COMPLETIONS] = NUMBERS;
bit attached[COMPLETIONS]; /* ghost: the number still names the file that it named at the start */

/* ---- the kernel ------------------------------------------------------------------------------ */

byte file[NUMBERS] = { 0, 2 }; /* what a number names, or NONE */
/* a duplicate elsewhere keeps the file open: another descriptor, another process */
bit held[FILES];
bit ready[FILES + 1];  /* level-triggered: reported as long as it is set; that of NONE never is */

bit registered[FILES + 1]; /* [NONE] never */
/* the opaque data: libxev's pointer to the completion. For the law a ghost: which registered
 * last */
byte data[FILES + 1];
bit same[FILES];        /* ghost: the episode that registered is not over */
/* the law's data, the generation, is that of the number. One bit: only equality is ever asked */
bit current[FILES];

bit batch[FILES];       /* the reports of one epoll_wait: copies, which nobody can take back */
byte batch_data[FILES];
bit batch_same[FILES];
bit batch_current[FILES];

/* ---- the loop -------------------------------------------------------------------------------- */

chan submissions = [4] of { bit, byte }; /* (is a cancel, the completion or the cancel's target) */
bit queued[COMPLETIONS];
bit cancel_queued[COMPLETIONS];
/* in epoll_wait: only the world or a timer's callback goes on from here */
bit blocked = 1;
bit believed[NUMBERS];     /* law: something is registered under this number in its generation */
bit useless[NUMBERS];      /* law: it was reported while nobody waited on the number */
bit epoll_stale;           /* law: something is registered that no number names any more */

/* scratch, as are these; zero when not in use, or they would multiply the states */
bit failed, delivers;
byte c, f, fd_before, i, k, left, reported;

/* ---- what is checked ------------------------------------------------------------------------- */

#if defined(CHECK_ACTIVE)
#define MUST_BE_ACTIVE assert(state[c] == ACTIVE)
#elif defined(CHECK_DELETED)
#define MUST_BE_ACTIVE assert(state[c] != DELETING)
#else
#define MUST_BE_ACTIVE skip
#endif

#ifdef CHECK_EPISODE
#define MUST_BE_SAME                                                                               \
    assert(state[c] != ACTIVE || (batch_same[reported] && batch_data[reported] == c))
#else
#define MUST_BE_SAME skip
#endif

#ifdef CHECK_CONTROL
#define UNREACHABLE assert(!failed)
#else
#define UNREACHABLE skip
#endif

#define WAITS(c)     (state[c] == ACTIVE && attached[c])
#define HAS_KEY(c)   (registered[file[number[c]]] && data[file[number[c]]] == c)
#ifdef CHECK_REGISTERED
#define MUST_BE_REGISTERED(c) assert(!WAITS(c) || HAS_KEY(c))
#else
#define MUST_BE_REGISTERED(c) skip
#endif

#ifdef CHECK_TURNS
byte turns; /* waits since something came of one */
#define PROGRESS turns = 0
#define COUNT_TURN turns++
#define MUST_NOT_TURN assert(turns <= 2)
#else
#define PROGRESS skip
#define COUNT_TURN skip
#define MUST_NOT_TURN skip
#endif

#ifdef CHECK_SERVED
/* of the first completion: nothing tells the two apart */
ltl served { [] <> !(WAITS(0) && ready[file[number[0]]]) }
#endif

/* ---- epoll_ctl ------------------------------------------------------------------------------- */

inline drop(f) { registered[f] = 0; data[f] = 0; same[f] = 0; current[f] = 0 }

inline set(f, whose) { registered[f] = 1; data[f] = whose; same[f] = 1; current[f] = 1 }

/* EPOLL_CTL_DEL: EBADF when the number is closed, ENOENT when what it names now is not registered
 * under it. */
inline control_delete(fd) {
    failed = !registered[file[fd]];
    if
    :: failed -> printf("    epoll_ctl: DEL fd%d is refused\n", fd)
    :: else -> printf("    epoll_ctl: DEL fd%d\n", fd); drop(file[fd])
    fi
}

/* For the ghosts: whatever is registered or fetched for this completion is of a former episode from
 * now on. */
inline end_episode(whose) {
    attached[whose] = 0;
    for (k : 0 .. FILES - 1) {
        same[k] = same[k] && data[k] != whose;
        batch_same[k] = batch_same[k] && batch_data[k] != whose
    };
    k = 0
}

/* Law: a new generation. What is registered or fetched under this number carries a former one. */
inline forget_registration(fd) {
    believed[fd] = 0;
    for (k : 0 .. FILES - 1) {
        current[k] = current[k] && FD(k) != fd;
        batch_current[k] = batch_current[k] && FD(k) != fd
    };
    k = 0
}

/* Law: makes what is registered under a number fit the completion that waits there. A refused
 * modification becomes an addition, a refused addition a modification (ET-REGISTER-2,
 * ET-REGISTER-4). */
inline register(whose, fd) {
    failed = (file[fd] == NONE);
    if
    :: failed
    :: else ->
        if
        :: believed[fd] && !registered[file[fd]] -> forget_registration(fd)
        :: else
        fi;
        set(file[fd], whose);
        believed[fd] = 1
    fi
}

/* ---- what a callback may do, or the program between two ticks -------------------------------- */

/* one operation to a number at a time */
#define BUSY(c, fd) (state[c] == ADDING || state[c] == ACTIVE) && number[c] == fd

/* The memory of a completion that is dead, or being deleted, may take a new description. */
inline add(whose, fd) {
    d_step {
        (state[whose] == DEAD || state[whose] == DELETING) && file[fd] != NONE &&
            !(BUSY(1 - whose, fd));
        printf("    add %c, waiting on fd%d\n", NAME(whose), fd);
        end_episode(whose);
        number[whose] = fd;
        state[whose] = ADDING;
        if
        :: !queued[whose] -> submissions!0, whose; queued[whose] = 1
        :: else
        fi
    }
}

inline delete(whose) {
    d_step {
        state[whose] == ACTIVE || state[whose] == ADDING;
        printf("    delete %c\n", NAME(whose));
        state[whose] = DELETING
    }
}

inline cancel(whose) {
    d_step {
        number[whose] < NUMBERS && !cancel_queued[whose];
        printf("    cancel %c\n", NAME(whose));
        submissions!1, whose;
        cancel_queued[whose] = 1
    }
}

/* With the last descriptor of a file the kernel drops what is registered for it, and not before. */
inline close(fd, lives_on) {
    d_step {
        file[fd] != NONE;
        f = file[fd];
        file[fd] = NONE;
        for (k : 0 .. COMPLETIONS - 1) { attached[k] = attached[k] && number[k] != fd };
        k = 0;
        if
        :: lives_on -> printf("    close fd%d, a duplicate of its file lives on\n", fd); held[f] = 1
        :: else -> printf("    close fd%d\n", fd); ready[f] = 0; drop(f)
        fi;
        f = 0
    }
}

inline open(fd) {
    d_step {
        file[fd] == NONE && !(held[0] && held[1]);
        printf("    open: fd%d is a new file\n", fd);
        file[fd] = held[0]
    }
}

inline command() {
    if
    :: add(0, 0)
    :: add(0, 1)
    :: add(1, 0)
    :: add(1, 1)
    :: delete(0)
    :: delete(1)
    :: cancel(0)
    :: cancel(1)
#ifndef NO_CLOSE
    :: close(0, false)
    :: close(0, true)
    :: open(0)
#endif
    fi
}

/* ---- starting and ending --------------------------------------------------------------------- */

/* libxev's start(): EPOLL_CTL_ADD; when that is refused the callback gets the error. */
inline start(whose) {
#ifdef LAW
    register(whose, number[whose]);
#else
    failed = (file[number[whose]] == NONE || registered[file[number[whose]]]); /* EBADF, EEXIST */
    if
    :: failed
    :: else -> set(file[number[whose]], whose)
    fi;
#endif
    if
    :: failed ->
        printf("  start %c: epoll_ctl ADD fd%d is refused, %c gets the error\n", NAME(whose),
               number[whose], NAME(whose));
        state[whose] = DEAD
    :: else ->
        printf("  start %c: fd%d is registered\n", NAME(whose), number[whose]);
        state[whose] = ACTIVE;
        attached[whose] = 1
    fi;
    failed = 0
}

/* libxev's stop_completion(): the descriptor is looked up in the completion, whatever its state and
 * what it describes now. The law's loop leaves what is registered to the first report that nobody
 * waits for (ET-REGISTER-5). */
inline stop_completion(whose) {
    printf("  stop %c\n", NAME(whose));
#ifndef LAW
    control_delete(number[whose]);
    UNREACHABLE;
    failed = 0;
#endif
    state[whose] = DEAD;
    end_episode(whose)
}

/* libxev's start(), branch .cancel. As published it tests its own state, which is always adding
 * there (#230). */
inline start_cancel(whose) {
    if
#if defined(LAW) || defined(CANCEL_237)
    :: state[whose] == ACTIVE -> stop_completion(whose)
    :: state[whose] == ADDING -> state[whose] = DEAD
    :: else
#else
    :: true -> stop_completion(whose)
#endif
    fi
}

/* Law: before the kernel is asked. What was reported to nobody is removed; when that is refused, or
 * the number is in use by another generation, only a new epoll instance ends the reports
 * (ET-REGISTER-5, ET-REGISTER-7). */
inline prepare_wait() {
    if
    :: epoll_stale && SEED != 3 ->
        printf("  a new epoll instance\n");
        for (i : 0 .. FILES - 1) { drop(i) };
        forget_registration(0);
        forget_registration(1);
        for (i : 0 .. COMPLETIONS - 1) {
            if
            :: state[i] == ACTIVE && SEED != 4 ->
                register(i, number[i]);
                if
                :: failed -> state[i] = DEAD; end_episode(i) /* ET-REGISTER-3 */
                :: else
                fi;
                failed = 0
            :: else
            fi
        };
        i = 0
    :: else
    fi;
    epoll_stale = 0;
    for (i : 0 .. NUMBERS - 1) {
        if
        :: useless[i] && SEED != 2 && believed[i] && !(state[0] == ACTIVE && number[0] == i) &&
                !(state[1] == ACTIVE && number[1] == i) ->
            control_delete(i);
            failed = 0;
            forget_registration(i)
        :: else
        fi;
        useless[i] = 0
    };
    i = 0
}

/* ---- dispatch: the variants ------------------------------------------------------------------ */

inline dispatch() {
    d_step {
        c = batch_data[reported];
        printf("  report of fd%d, registered for %c\n", FD(reported), NAME(c));
#if defined(PUBLISHED)
        delivers = 1;
#elif defined(GUARD)
        delivers = (state[c] == ACTIVE); /* #239; otherwise the next report */
#elif defined(LAW)
        c = (number[0] == FD(reported) && state[0] == ACTIVE -> 0 : 1);
        delivers = (number[c] == FD(reported) &&
                    (state[c] == ACTIVE || (SEED == 5 && state[c] == DELETING)));
        if
        /* of a former generation: another file had this number */
        :: !batch_current[reported] && SEED != 1 ->
            delivers = 0;
            if
            :: believed[FD(reported)] -> epoll_stale = 1
            :: else -> control_delete(FD(reported)); epoll_stale = epoll_stale || failed; failed = 0
            fi
        :: else -> useless[FD(reported)] = useless[FD(reported)] || !delivers
        fi;
#endif
        if
        :: delivers ->
            MUST_BE_ACTIVE;
            MUST_BE_SAME;
            printf("  CALLBACK of %c\n", NAME(c));
            fd_before = number[c]; /* libxev takes the descriptor before the callback */
            state[c] = DEAD;
            left = COMMANDS;
            PROGRESS
        :: else -> printf("    nothing comes of it\n"); MUST_NOT_TURN; c = 0
        fi;
        batch[reported] = 0; batch_data[reported] = 0;
        batch_same[reported] = 0; batch_current[reported] = 0;
        reported = 0
    };
    if
    :: delivers ->
progress_callback:
        if /* reading takes all that made the file ready, or not */
        :: ready[file[fd_before]] -> ready[file[fd_before]] = 0
        :: true
        fi;
        do
        :: left > 0 -> left--; command()
        :: true -> left = 0; break
        od;
        if
        :: disarm()
        :: rearm()
        fi;
        d_step { fd_before = 0; delivers = 0; c = 0 }
    :: else
    fi
}

/* What the action that the callback returned entails; the descriptor is that from before the
 * callback. */
inline disarm() {
    d_step {
        printf("    returns: disarm\n");
#ifndef LAW
        control_delete(fd_before);
        UNREACHABLE;
        failed = 0;
#endif
        if
        :: state[c] == DEAD -> end_episode(c)
        :: else /* the callback has added it anew */
        fi
    }
}

inline rearm() {
    d_step {
        state[c] == DEAD && !(BUSY(1 - c, number[c]));
        printf("    returns: rearm\n");
#ifdef LAW
        end_episode(c); /* ET-CALL-3: as add */
        state[c] = ADDING;
        if
        :: !queued[c] -> submissions!0, c; queued[c] = 1
        :: else
        fi
#else
        state[c] = ACTIVE /* what is registered stays, for the same operation */
#endif
    }
}

/* ---- the loop -------------------------------------------------------------------------------- */

inline becomes_ready(which) {
    d_step {
        !ready[which] && (held[which] || file[0] == which || file[1] == which);
        printf("file %d becomes ready\n", which);
        ready[which] = 1;
        PROGRESS
    }
}

active proctype loop() {
between_ticks: /* or in another callback, a timer's: one command, or the world, or neither */
    if
    :: !blocked
    :: command();
progress_command:
        PROGRESS
    :: becomes_ready(0)
    :: becomes_ready(1)
    :: becomes_ready(2)
    fi;
    d_step {
        blocked = 0;

        /* tick(): the submissions, a snapshot of the queue */
        left = len(submissions);
        do
        :: left > 0 ->
            left--;
            submissions?failed, c;
            if
            :: failed -> failed = 0; cancel_queued[c] = 0; start_cancel(c)
            :: else ->
                queued[c] = 0;
                if
                :: state[c] == ADDING -> start(c)
                :: else
                fi
            fi
        :: else -> break
        od;
        c = 0;

        /* the deletions */
        for (i : 0 .. COMPLETIONS - 1) {
            if
            :: state[i] == DELETING -> stop_completion(i)
            :: else
            fi
        };
        i = 0;

        /* epoll_wait: level-triggered, and the batch is larger than what can be registered */
#ifdef LAW
        prepare_wait();
#endif
        MUST_BE_REGISTERED(0);
        MUST_BE_REGISTERED(1);
        blocked = 1;
        for (k : 0 .. FILES - 1) {
            if
            :: registered[k] && ready[k] ->
                batch[k] = 1; batch_data[k] = data[k];
                batch_same[k] = same[k]; batch_current[k] = current[k];
                blocked = 0
            :: else
            fi
        };
        k = 0;
        if
        :: blocked -> printf("epoll_wait blocks\n")
        :: else -> printf("epoll_wait returns\n"); COUNT_TURN
        fi
    };

    /* the reports, in any order */
    do
    :: batch[0] || batch[1] || batch[2] ->
        if
        :: batch[0] -> reported = 0
#ifndef NO_CLOSE
        :: batch[1] -> reported = 1
#endif
        :: batch[2] -> reported = 2
        fi;
        dispatch()
    :: else -> break
    od;
    goto between_ticks
}

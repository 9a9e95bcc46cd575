/* SPDX-License-Identifier: MIT */
/* The exhaustive search (make explore): what Spin's pan knows of the loop, the model and the
 * simulated kernel, and what the two files that look inside them tell each other. README.md says
 * how it works; the scope below can be set by -D. */
#ifndef ETALON_EXPLORE_H
#define ETALON_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- the scope: which programs there are ----------------------------------------------------- */

#ifndef COMPLETIONS
#define COMPLETIONS 3
#endif
#ifndef DESCRIPTORS
#define DESCRIPTORS 2
#endif
#ifndef DELAYS /* of timers, in milliseconds */
#define DELAYS 0, 1, 2
#endif
#ifndef OPERATIONS /* see below */
#define OPERATIONS (DO_RECV)
#endif
#ifndef WORLD /* see below */
#define WORLD (WORLD_WRITES | WORLD_TIME)
#endif
#ifndef FAILURES /* see below */
#define FAILURES FAIL_REGISTER
#endif
#ifndef FAILED /* how many of them happen in a program */
#define FAILED 1
#endif
#ifndef AGAIN /* 1: and again as many, whenever the last one has left no trace */
#define AGAIN 1
#endif
#ifndef FAILED_AT /* they hit the next call of their kind, or one up to this */
#define FAILED_AT 1
#endif
#ifndef CALLS /* that the main sequence makes between two ticks; 0: no limit */
#define CALLS 0
#endif
#ifndef COMMANDS /* that all callbacks of one tick together make */
#define COMMANDS 1
#endif
#ifndef WAITED /* commands of the world while the loop waits, in one tick */
#define WAITED 2
#endif
#ifndef LAG /* milliseconds that pass between two ticks */
#define LAG 1
#endif
#ifndef STEP_US /* the microseconds of each step in which they pass */
#define STEP_US 1000
#endif
/* 1: a callback that rearmed does so each time until its episode is ended otherwise, as the body of
 * a trace would. */
#ifndef BOUND
#define BOUND 0
#endif
#ifndef DEPTH /* commands of the main sequence; 0: no limit */
#define DEPTH 0
#endif

/* What a completion can be besides a timer and a cancel; without an operand: what can be done with
 * timers. */
#define DO_RECV    1
#define DO_POLL    2 /* for EPOLLIN */
#define DO_SEND    4
#define DO_CLOSE   8
#define DO_NOOP    16
#define DO_RESET   32  /* timer_reset, to the last of the delays */
#define DO_STOP    64  /* in a callback */
#define DO_REFUSED 128 /* calls that the law refuses, or that change nothing */
#define DO_ALONE   256 /* timer_reset without a carrier, to the last of the delays */

/* What the world does. */
#define WORLD_WRITES 1 /* the other end of a descriptor writes a byte, when none is on its way */
#define WORLD_TIME   2 /* the clock moves on while nothing waits */
#define WORLD_CLOSES 4 /* a descriptor is closed behind the loop's back, and opened again */
#define WORLD_WAKES  8
/* The program also runs the loop until a callback was called: it waits, and the world goes on
 * meanwhile. */
#define WORLD_WAITS 16
/* The last handle becomes a duplicate of the first descriptor, and is closed again. */
#define WORLD_DUPS  32
#define WORLD_FULL  64  /* the descriptors' send buffers are full until the other end reads */
#define WORLD_TURNS 128 /* the program also makes one turn, which may wait, as with WORLD_WAITS */

#define FAIL_REGISTER 1  /* epoll_ctl: ENOMEM */
#define FAIL_WAIT     2  /* epoll_wait: EINTR */
#define FAIL_CLOSE    4  /* close: EINTR */
#define FAIL_RECV     8  /* recv: ECONNRESET */
#define FAIL_MISSING  16 /* epoll_ctl: ENOENT */

/* The masks, which may have been set as sums. */
enum { EXPLORE_OPERATIONS = OPERATIONS, EXPLORE_WORLD = WORLD, EXPLORE_FAILURES = FAILURES };

/* ---- how states are told apart --------------------------------------------------------------- */

#ifndef CANONICAL /* 0: concrete memory is matched, with all its counters, times and names; for    \
                     comparison */
#define CANONICAL 1
#endif
#ifndef ORDERED /* 0: commands of the world may come anywhere between the calls; for comparison */
#define ORDERED CANONICAL
#endif
#ifndef SWAPPED /* 1: descriptors are equal, too; only where none is ever closed, or the lowest    \
                   free number tells them apart */
#define SWAPPED                                                                                    \
    (CANONICAL && (EXPLORE_WORLD & (WORLD_CLOSES | WORLD_DUPS)) == 0 &&                            \
     (EXPLORE_OPERATIONS & DO_CLOSE) == 0)
#endif
#ifndef MERGED /* 0: each way through the callbacks and the waits of a tick is followed by itself, \
                  also where it comes to where another has been; for comparison, and for trails */
#define MERGED (ORDERED && !BOUND && !HISTORY && DEPTH == 0)
#endif
#ifndef HISTORY /* 1: what was observed so far is matched too, and written to explore.observed;    \
                   for comparison */
#define HISTORY 0
#endif
#ifndef BLIND /* breaks the abstraction on purpose: 1 drops what a completion's operation is, 2    \
                 the order of the submissions, 3 the kernel's queues, 4 (where ways meet) what the \
                 completion was whose callback runs */
#define BLIND 0
#endif
#ifndef WHOLE /* 1: all memory is tracked, and not only what the scope can reach; for comparison   \
               */
#define WHOLE 0
#endif

/* ---- for explore.pml ------------------------------------------------------------------------- */

#define EXPLORE_OPTIONS 96
#if WHOLE
#define EXPLORE_SNAPSHOT 110000
#else
#define EXPLORE_SNAPSHOT (2560 + 352 * COMPLETIONS + 320 * DESCRIPTORS)
#endif
#ifndef EXPLORE_STATE
#define EXPLORE_STATE (CANONICAL ? 40 + 16 * HISTORY + 14 * COMPLETIONS + 26 * DESCRIPTORS : 16)
#endif

/* What is tracked and restored, and what is matched. */
extern unsigned char explore_snapshot[EXPLORE_SNAPSHOT];
extern unsigned char explore_state[EXPLORE_STATE];

/* The head of the snapshot: where the search stands. */
struct explore_position {
    uint32_t serial; /* tells whose memory this is */
    uint8_t options; /* how many ways it goes on from here; the i-th is taken by explore_take(i) */
    uint8_t pending; /* a command has not got to its end: a callback, or a wait, has to choose */
    /* this is no state to be matched: pending, or the world is at work before a tick */
    bool inside;
    uint8_t choices; /* made so far in that command */
    uint8_t choice[26];
    uint8_t first; /* the command's number in its list */
    /* since the last tick: how many, and the last one's place in the order (ORDERED) */
    uint8_t calls, rank;
    uint8_t failures; /* injected failures that have been asked for */
    /* the world has let the loop wait: it does nothing any more while the loop waits */
    bool world_over;
    uint8_t depth;
    uint32_t bound[COMPLETIONS]; /* userdata of the episode whose callback is known to rearm */
    uint64_t history;
};
#define explore_head ((struct explore_position *)(void *)explore_snapshot)

/* trail: a path is being followed, and its program is to be written to explore.trace when it ends
 * badly. */
void explore_begin(int trail);
/* Returns whether that led to a difference, a failed assertion, a crash or a hang. */
int explore_take(unsigned option);

/* ---- between explore_loop.c and explore_kernel.c --------------------------------------------- */

struct explore_range {
    void *start;
    size_t size;
};
#define EXPLORE_RANGES_MAX 64

/* Numbers that the program's descriptors get: from FIRST_NUMBER, one for each handle. */
#define FIRST_NUMBER 3

/* What a number is called in the abstract state, and which number is called so. */
extern uint8_t explore_name[64], explore_number[64];

unsigned explore_kernel_ranges(struct explore_range *ranges);
/* Writes the kernel's part of the abstract state; generation[i] is what the loop now takes for true
 * of FIRST_NUMBER + i. Returns the end. */
unsigned char *explore_kernel_state(unsigned char *to, const uint32_t *generation);
/* NULL, or why the scope is too large for the tables that are tracked. */
const char *explore_kernel_limits(void);
bool explore_kernel_is_open(unsigned handle);
bool explore_kernel_is_registered(unsigned handle); /* with any epoll instance */
/* The newest epoll instance has the number's present file, for these events, by that generation of
 * the loop. */
bool explore_kernel_has_watch(unsigned number, uint32_t events, uint32_t generation);
unsigned explore_kernel_watches(void);
bool explore_kernel_has_data(unsigned handle); /* or it has no other end */
bool explore_kernel_is_full(unsigned handle);
bool explore_kernel_fails(void); /* the injected failure is still to come */

#endif

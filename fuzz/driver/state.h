/* SPDX-License-Identifier: MIT */
/* What the driver knows while a program runs, and single steps of it: for lockstep.c itself, and
 * for the exhaustive search (model/spin/explore_loop.c), which saves, restores and abstracts it. */
#ifndef ETALON_LOCKSTEP_STATE_H
#define ETALON_LOCKSTEP_STATE_H

#include <setjmp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "../../model/model.h"
#include "lockstep.h"

/* How much of the tables a program uses. What is compiled for few knows it beforehand. */
#ifdef ETALON_MANY
#define COUNT           driver.completions
#define HANDLES         driver.handles
#define NUMBERS         driver.numbers
#define DESCRIPTORS_MAX 8192
#else
#define COUNT           PROGRAM_COMPLETIONS
#define HANDLES         PROGRAM_HANDLES
#define NUMBERS         DESCRIPTORS_MAX
#define DESCRIPTORS_MAX 64
#endif
#define BUFFER 4096

/* A set of descriptors' numbers, below DESCRIPTORS_MAX. */
#ifdef ETALON_MANY
typedef struct {
    uint64_t word[DESCRIPTORS_MAX / 64];
} number_set;
#define WORD_OF(set, fd) (set)->word[(fd) / 64]
#define NO_NUMBERS       ((number_set){{0}})
#else
typedef uint64_t number_set;
#define WORD_OF(set, fd) *(set)
#define NO_NUMBERS       0
#endif
static inline bool is_number(int fd) {
    return fd >= 0 && fd < DESCRIPTORS_MAX;
}
static inline bool has_number(const number_set *set, int fd) {
    return is_number(fd) && (WORD_OF(set, fd) >> (fd % 64) & 1) != 0;
}
static inline void put_number(number_set *set, int fd) {
    if (is_number(fd))
        WORD_OF(set, fd) |= UINT64_C(1) << (fd % 64);
}
static inline void drop_number(number_set *set, int fd) {
    if (is_number(fd))
        WORD_OF(set, fd) &= ~(UINT64_C(1) << (fd % 64));
}

/* The at-th command of a body, or NULL: for what chooses a program while it runs. */
typedef const struct command *(*lockstep_chooser)(unsigned body, unsigned at);

/* What the driver keeps for one completion of the program. */
struct slot {
    uint64_t length; /* in bytes, of the buffer that was described */
    int64_t offset;
    uint16_t into;   /* of an accept: the handle that the accepted descriptor becomes */
    int flags;       /* that were described */
    bool own_memory; /* it waits on an async, and reads into whatever memory its loop likes */
    struct sockaddr_storage address;
    socklen_t address_length;
    struct iovec iov[2];
    struct msghdr message;
};

/* A thread of the pool. */
struct thread {
    void *handle;
    struct lockstep_thread at;
    /* the condition that it waits for, until it is told; the handle: it has ended */
    const void *sleeps;
};

struct lockstep {
    struct slot slot[PROGRAM_COMPLETIONS];
    char buffer[PROGRAM_COMPLETIONS][BUFFER];
    struct model model;
    unsigned completions, handles, numbers; /* that the program uses */
    unsigned long_by; /* it may do so many times more than others: PROGRAM_LONG, or 1 */
    /* Of a long program's observations: callbacks in a row that are not written down yet, and what
     * the command that is being repeated has come to. */
    struct {
        unsigned callbacks, first, last;
        int64_t result;
        const struct command *repeating, *one; /* as a whole, and this time */
        bool known;
        char outcome[64]; /* the first time */
    } unwritten;
    uint64_t named[DESCRIPTORS_MAX]; /* the file that the number names, by world.installed */
    uint32_t told[DESCRIPTORS_MAX];  /* what the kernel took last, and has not denied since */
    const struct lockstep_subject *subject;
    const struct program *program;
    lockstep_chooser choose; /* asked in the place of the program's bodies, unless null */
    const struct world_kind_functions *world;
    struct lockstep_report *report;
    lockstep_log log;
    void *log_self;
    struct etalon_subject_host host;
    void *self;             /* the subject's loop, or null */
    int descriptor;         /* by which it is hosted; -1: nobody has asked for it */
    void *pool;             /* the subject's, or null */
    bool busy;              /* in init or deinit: the subject is not to be asked anything */
    bool deiniting;         /* in deinit of the loop */
    unsigned async_is_gone; /* mask of handles: its descriptor was closed behind its back */
    jmp_buf stuck;          /* out of a call that would never return */
    /* What the kernel would have reported when the last wait ended; not kept by what chooses the
     * program while it runs (ET-PROGRESS-2). */
    struct {
        uint64_t order;      /* of the operation: by this it is known that it is the same */
        bool is_ready;       /* it was, and has not been tried since */
        unsigned overlooked; /* by so many waits in a row */
        unsigned bound;      /* of that */
    } progress[PROGRAM_COMPLETIONS];
    unsigned batch; /* reports that a wait can bring; 0: as many as there are */

    /* ---- from here on, what the search tracks ---- */

    /* what a difference is blamed on, whatever the model says of it; or null */
    const char *context;
    uint32_t serial;     /* makes each userdata unique */
    uint64_t now_ns;     /* the loop time, when it was compared last */
    uint64_t latest_ns;  /* the latest that the clock has been */
    unsigned world_next; /* in the body of the world */
    unsigned idle_waits;
    /* What the kernel has claimed of the files that the numbers name. It is the truth, but where a
     * failure was injected; the loop, and so the model, must go by the claim. */
    /* numbers: an addition was refused with EEXIST, so that there is a registration, and
     * nothing was said since: what it is for, nobody but the kernel knows */
    number_set claimed;
    number_set reported; /* by the last wait, for the file that they name */
    struct {
        int fd, operation, error;
        uint32_t kept, claimed; /* as model_refused has them */
        /* the other way was just refused, as if this one were right: final, or it would go on for
         * ever */
        bool both_ways;
    } refused;        /* not final yet: the loop may try otherwise; fd -1: none */
    bool faults;      /* the program has asked for failures, or was disturbed */
    int disturbed_by; /* the first failure since init was called */
    bool disturbed;   /* since the last wait */
    bool wake_pending, wake_credit;
    struct {
        bool open;
        uint64_t end_ns;
        int64_t timeout_ns;
        unsigned reports;
        bool counts; /* by ET-PROGRESS-2: it did not fail */
    } wait;
    uint64_t allocations;
    unsigned pool_threads_max;             /* 0: there is no pool */
    struct thread thread[PROGRAM_WORKERS]; /* in the order of their creation */
    unsigned threads;
    struct thread *stepping; /* whose step is being made */
    const void *awaited;     /* the condition that the loop's thread waits for */
    unsigned joined;         /* threads that pool_deinit has waited for */
    int64_t unreleased;      /* blocks of memory that were there before the loop */
    unsigned executed;       /* system calls that this step has made */
    bool closing;            /* in deinit of an async */
    int async_fd[PROGRAM_HANDLES];
    unsigned asyncs; /* mask of handles: those that are one */
    /* … whose counter a notify has raised and nothing has read since */
    unsigned notified;
    struct {
        unsigned number;    /* of the async; 0: none */
        uint64_t installed; /* when its counter came to this handle */
    } counter[PROGRAM_HANDLES];
    unsigned asyncs_made;
    model_set moved; /* forgotten since their last callback began */
    /* in a row, of a file that has left this number, with nothing waiting */
    uint8_t stale_reports[DESCRIPTORS_MAX];
};
extern struct lockstep driver;

/* A new world, and nothing in it. */
void lockstep_begin(const struct lockstep_subject *subject, const struct program *program,
                    const struct world_kind_functions *world, lockstep_log log, void *self,
                    struct lockstep_report *report);
/* A new loop in it: ET-INIT-1. */
void lockstep_init(void);
/* Performs one command. */
void lockstep_command(const struct command *command);
/* The subject must be as the model has it. */
void lockstep_compare(void);

#endif

/* Reading recordings: one event of a loop's life on each line, as JSON (spec/trace-format.md,
 * section 3). For `etalon judge`. */
#ifndef ETALON_TESTS_RECORDING_H
#define ETALON_TESTS_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define OBSERVABLE 5
enum {
    OBSERVES_TIME = 1,
    OBSERVES_STATES = 2,
    OBSERVES_WAITS = 4,
    OBSERVES_READINESS = 8,
    OBSERVES_POOL = 16
};

extern const char *const recording_observes[OBSERVABLE]; /* their names, in this order */

enum event_kind {
    EVENT_ADD,
    EVENT_DELETE,
    EVENT_TIMER,
    EVENT_RESET,
    EVENT_CANCEL,
    EVENT_STOP,
    EVENT_UPDATE_NOW,
    EVENT_DEINIT,
    EVENT_WAKEUP,
    EVENT_ASYNC_WAIT,
    EVENT_NOTIFY,
    EVENT_ASYNC_DEINIT,
    EVENT_TICK,
    EVENT_RUN,
    EVENT_END, /* of a tick or run, or of a deinit that waits for a pool */
    EVENT_CALLBACK,
    EVENT_RETURNED,
    EVENT_WAIT,
    EVENT_WOKEN,
    EVENT_REPORT,
    EVENT_TRY,
    EVENT_REFUSED,
    EVENT_MOVED,  /* a number has come to name another file, or none */
    EVENT_THREAD, /* the pool has tried to make one */
    EVENT_TOOK,   /* a thread, from the pool's queue */
    EVENT_EXECUTED,
    EVENT_GAVE_BACK,
    EVENT_IDLE,
    EVENT_POOL, /* the loop has one, from now on */
    EVENT_DEAD, /* seen to have ended, without a callback */
};

enum {
    HAS_NOW = 1,
    HAS_CLOCK = 2,
    HAS_USERDATA = 4,
    HAS_C = 8,
    HAS_ACTIVE = 16,
    HAS_RETURNS = 32,
    HAS_DESCRIPTION = 64,
    HAS_BY = 128
};
#define NO_STATE 0xff

struct event {
    enum event_kind kind;
    unsigned has;
    uint64_t line;
    uint64_t c;  /* the completion that the event is about; of a cancel: the target */
    uint64_t by; /* the cancel, the carrier */
    /* the description: */
    unsigned operation;
    int fd;
    uint32_t events;
    uint64_t target, delay_ms;
    bool pool, has_callback, has_target;
    uint32_t userdata;
    int64_t result; /* or what the call returned, or the limit of a wait, or a positive errno */
    uint64_t callbacks;
    int mode;
    bool rearm, stale, forgiven, of_deinit;
    uint32_t kept, claimed, active, threads_max, threads;
    uint8_t state;
    uint64_t now_ms, clock_ns;
};

struct recording {
    FILE *file;
    const char *name;
    uint64_t line;
    unsigned observes;
    int descriptors_max;
    char subject[80];
    char error[200]; /* what is wrong with that line; line 0: with the file */
    char *text;
};

/* False: there is no JSON reader in this build; what to do about it is in error. */
bool recording_open(struct recording *recording, FILE *file, const char *name);
void recording_close(struct recording *recording);
/* 1: an event; 0: the end; -1: an error. */
int recording_next(struct recording *recording, struct event *event);

/* One sentence for a person: "callback of 5 with -ECANCELED". */
void event_text(const struct event *event, char *text, size_t size);
/* "-EBUSY", or a number. */
const char *result_text(int64_t result, char *text, size_t size);

struct difference {
    uint64_t line;
    const char *clause;
    bool should; /* the clause is a SHOULD */
    char expected[200], observed[120];
};

struct judgement {
    const char *name;
    const struct recording *recording;
    uint64_t events, differences, not_strict;
    /* stopped at the first difference, or where no sense can be made of the rest */
    bool unfinished;
    const struct difference *difference;
    unsigned kept;
};
/* Writes a judgement as JSON. False when it cannot be written. */
bool judgement_write(const struct judgement *judgement, FILE *out);

#endif

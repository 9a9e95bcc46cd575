/* SPDX-License-Identifier: MIT */
/* What the files of the observer share, which sees a subject as its caller does (outside.c). It
 * does not know right from wrong: it tells the promise (model/promise.h) what was seen. */
#ifndef ETALON_OUTSIDE_H
#define ETALON_OUTSIDE_H

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "../../fuzz/world/interpose.h"
#include "../../fuzz/world/kernel.h"
#include "../../model/promise.h"
#include "kit.h"
#include "text.h"

#define COUNT  observer.completions /* that the program uses */
#define BUFFER 4096
#define MS_NS  UINT64_C(1000000)
/* A clock that stands still while it is read again and again would give timers one deadline that no
 * real clock gives one. A call of the subject may read it so often before it takes the time. */
#define READING_NS    1000
#define READINGS_MAX  64
#define COMMANDS_MAX  (4000 * observer.long_by)
#define CALLBACKS_MAX (KIT_CALLBACKS_MAX * observer.long_by)
#define POLLED        (POLLIN | POLLPRI | POLLOUT | POLLRDHUP)
#define STREAMS       64
#define MARKS         32
#define FILES         8192
#define REFUSALS      8 /* of registrations, that the program has asked for */
#define IDLE_CALLS    4 /* about a descriptor to which nothing happens */
#define MOVED_AWAY    UINT64_MAX
#define ERRNO_BEFORE  4000 /* of a thread that wakes the loop */
#define CONTROL       128  /* bytes for what comes with a message */
#define ASYNC_WAIT    1000 /* the operation of a completion that waits on an async */

/* What its caller knows of a completion. */
struct item {
    bool in_use, ever;
    uint32_t told; /* what it was last told to be ready for */
    /* Of a poll of an edge-triggered loop: what its descriptor had when it was looked at last, and
     * of that, what has come so that no callback has told it yet; the promise was told that there
     * is none of this. */
    uint32_t level, edges;
    bool stale;
    bool redescribed; /* the subject knows nothing of what it is described as now */
    bool moved;       /* forgotten, since its last callback began */
    struct etalon_subject_description d;
    unsigned body;
    uint64_t serial;    /* order of submission */
    uint64_t installed; /* the file behind its descriptor */
    bool deleted;       /* … and not submitted again */
    bool quiet;         /* deleted, told to be dead, and its buffer was cleared since */
    uint16_t into;      /* which handle an accept makes, or a connect or message names */
    uint64_t listener;  /* of a connect: what its address named, and listened; 0: nothing did */
    unsigned async;     /* that it waits on */
    int refused;        /* by which error its registration was refused, or 0 */
    unsigned reads;     /* of the other end, when it was submitted */
    uint64_t came;      /* of a read: bytes that had come for its stream by then */
    /* an error of its descriptor has waited for it; how many had been told of that by then */
    bool error_waits;
    unsigned errors_told;
    /* of a recvmsg: whose message was the first that waited; how many had been taken by then */
    bool sender_known;
    unsigned takes;
    socklen_t sender_length;
    struct sockaddr_storage sender;
    bool left;        /* there was no other end any more, when it was submitted */
    unsigned passing; /* causes of errors, at that time (answers.h) */
    struct sockaddr_storage address;
    socklen_t address_length;
    struct iovec iov[2];
    struct msghdr message;
    _Alignas(struct cmsghdr) char control[CONTROL];
};

struct stream {
    uint64_t installed; /* 0: free */
    bool placed;        /* it is certain which byte, or message, is read next: */
    unsigned char next;
    unsigned messages; /* datagrams that were taken */
    /* bytes that had come to the other end when the first was written, and have been written since
     */
    uint64_t before, given;
    bool certain;     /* which of the bytes there are whose */
    unsigned urgents; /* bytes that were sent so */
    /* what the other end has sent that has come, and of that was told as taken; how much had come
     * each time that some did; as long as that is known */
    bool counted;
    unsigned marks;
    uint64_t arrived, taken, mark[MARKS];
    unsigned errors, takes; /* that were told */
    bool is_read;           /* or was */
    bool refused;           /* datagrams: somebody was told; a stream: … that it was reset */
};

/* Of a descriptor of the program, as it was given to it. */
struct mode {
    uint64_t installed;
    int status, flags; /* F_GETFL, F_GETFD */
};

/* What the process holds, looked at again and again. */
struct held {
    unsigned looks, memory_grew, descriptors_grew; /* how often, and how often in a row */
    unsigned waits;                                /* when it was looked last */
    uint64_t memory, descriptors;
    unsigned releases_grew; /* in a row */
    uint64_t after_release; /* memory, when a loop was released last; 0: none was */
};

struct observation {
    const struct etalon_subject *subject;
    const struct program *program;
    struct kit_result *result;
    void *self;
    struct etalon_subject_host host;
    struct promise promise;      /* which decides */
    unsigned completions, files; /* how much of the tables the program uses */
    unsigned long_by;            /* it may do so many times more than others: PROGRAM_LONG, or 1 */
    struct item item[PROGRAM_COMPLETIONS];
    /* enum kit_state, of a subject that cannot be asked */
    int8_t known[PROGRAM_COMPLETIONS];
    bool async_open[ETALON_SUBJECT_ASYNCS]; /* that the program has made */
    char buffer[PROGRAM_COMPLETIONS][BUFFER];
    struct stream stream[STREAMS];
    bool duplicated; /* a file may have several numbers */
    bool busy;       /* init or deinit runs: the subject is not to be asked anything */
    bool running, in_callback;
    /* what the subject leaves undefined is left out of a program, instead of ending it */
    bool lenient;
    bool reported; /* something, by the last wait */
    uint64_t serial;
    unsigned commands, world_next, tokens, callbacks;
    uint64_t stop_at;    /* so many callbacks, when a run ends by a stop alone; 0: it does not */
    bool stopped_for_it; /* the loop was, by the runner */
    unsigned nested;     /* runs that are in progress within others */
    unsigned connects;   /* that were asked for, by the program or its peers */
    struct mode mode[FILES];
    bool others[FILES];   /* numbers that were open before there was a loop */
    bool to_close[FILES]; /* a close of the number was submitted, ever */
    struct held held;
    bool given_lost;       /* something was taken back that may have given bytes */
    unsigned endings;      /* what may have ended a direction of some stream */
    unsigned barren_waits; /* in a row that only let time pass */
    int fail_wait_at, fail_wait_error;
    bool fails_init;   /* the next loop finds no number for a descriptor */
    unsigned controls; /* of descriptors of the program, by epoll_ctl */
    struct refusal {
        unsigned at; /* the how many-th control; 0: none */
        int error;
    } refusal[REFUSALS];
    uint32_t registered[FILES]; /* events, as the loop has said last */
    /* Waits that have ended; at which of them something last happened to any descriptor, and to
     * this one; calls about it in vain since. */
    unsigned waits, stirred_all, stirred[FILES], idle_calls[FILES];
    uint64_t file[FILES];      /* what each number names, as the promise was told */
    uint64_t changes;          /* … when the world had changed so often; UINT64_MAX: not all */
    int64_t wait_ns, sleep_ns; /* what the last wait asks for, and how long it sleeps */
    int own;                   /* the loop's descriptor that has ended a wait last */
    uint32_t called_for;       /* the number that a callback was called for */
    int hosted_by;             /* the loop's descriptor for a host, plus 1; 0: not asked for */
    struct { /* the pending error of a descriptor, which the loop has asked for last */
        uint64_t installed; /* 0: it was told, or may be another's */
        int error;
    } taken;
    char seen[120]; /* what was seen, in words, for what is told next; or empty */
};
extern struct observation observer;

/* ---- outside_verdicts.c: what the promise is told, and what is told of its verdicts ---------- */

struct promise_settings outside_settings(void);
/* Adds the clock. Whether it was as it should be; where nothing can excuse what was not, the run
 * ends here. */
bool tell(struct event event);
#define TELL(...) tell((struct event){.kind = __VA_ARGS__})
/* A breach that the observer sees by itself, of a clause that no event is about. */
void observed(const char *clause, const char *format, ...);
/* A SHOULD that is missed, likewise. */
void advised(const char *clause, const char *format, ...);
/* What c came to is not so (enum promise_untrue). */
void untrue(unsigned c, enum promise_untrue how, const char *format, ...);
/* The program needs what the subject does not offer: its run ends here. */
void lacks(const char *what);
#define LACKS(what)                                                                                \
    do {                                                                                           \
        if (observer.lenient)                                                                      \
            return;                                                                                \
        lacks(what);                                                                               \
    } while (0)
void note(char kind, int c, const char *format, ...);
void end_run(void);

static inline bool offers(uint64_t what) {
    return (observer.subject->offers & what) == what;
}
static inline bool tells_states(void) {
    return (observer.subject->offers & (ETALON_OFFERS_STATE | ETALON_OFFERS_IN_USE)) != 0;
}
/* What has no callback ends unseen, unless one can ask for it. */
static inline bool may_be_null(void) {
    return offers(ETALON_OFFERS_NULL_CALLBACK) && tells_states();
}

/* ---- outside_descriptors.c: what descriptors are ready for ----------------------------------- */

unsigned item_traits(const struct item *i);
bool waits_on(const struct item *i);
short ready_now(const struct item *i);
/* It is said to be ready, but a try of it would be unanswered. */
bool falsely_ready(const struct item *i);
bool is_addressed(const struct item *i);
bool is_stream(int fd);
int domain_of(int fd); /* of a socket; AF_UNSPEC: it is none */
/* Something has happened to the descriptor that i waits on. */
void stir(const struct item *i);
/* What is registered for its descriptor would end its wait. */
bool is_covered(const struct item *i);
/* What waits is told of what its descriptor is ready for, when that has changed. settled: a thread
 * of the subject's, if there is one, has done what it can. */
void tell_ready(bool settled);
/* More bytes have come to the descriptor. */
void note_edge(int fd);
/* The callback of i tells its events, or an error. */
void take_edges(struct item *i, int64_t result);
/* It is ready, and its callbacks have told all of that: an edge-triggered loop need not tell it
 * again. */
bool is_stale(const struct item *i, uint32_t ready);

/* ---- outside_results.c: whether what a completion came to is so ------------------------------ */

bool takes_bytes(const struct item *i);
bool gives_bytes(const struct item *i);
/* When c, which gives or takes bytes, is submitted. */
void begin_bytes(struct item *i);
/* Which byte of any stream comes next is not known any more. */
void lose_place(void);
/* The other end of fd has sent an urgent byte. */
void note_urgent(int fd);
void check_result(unsigned c, int64_t result);
/* Who was to be told of an error that the loop has asked for may have gone. */
void lose_error(const struct item *i);
/* The buffer of what was deleted, and is dead, belongs to the caller again. */
void check_buffer(unsigned c, bool dead);

/* ---- outside_lengths.c: whether it has moved as many bytes as it could ----------------------- */

size_t whole_length(const struct item *i);
/* Nobody else has moved bytes, on the file of c, of which nothing was told yet. */
bool is_alone(unsigned c, bool takes);
/* What is known of this file (world_real.installed); where that is nothing, the next record that is
 * free, whose `installed` is 0. NULL: there is none. */
struct stream *stream_named(uint64_t installed);
/* What is known of the file that the number names; or NULL. */
struct stream *stream_at(int fd);
/* Nothing was taken of it yet, which is certain or not. */
void begin_counting(struct stream *stream, int fd, bool certain);
/* When i is submitted, which takes bytes of it. */
void begin_taking(struct item *i, const struct stream *stream);
/* What waits where the command writes, before it does, and that it has. */
uint64_t before_arrival(const struct command *command);
void note_arrival(const struct command *command, uint64_t before);
/* c has ended with this. */
void check_length_taken(unsigned c, struct stream *stream, int64_t result);
void check_length_given(unsigned c, int64_t result);
/* … and so many have come to the other end of the stream. */
void check_more_given(unsigned c, const struct stream *stream, uint64_t received);
/* c, a pread or pwrite of a file, has ended with this. */
void check_length_there(unsigned c, int64_t result);

/* ---- outside_messages.c: addresses, and errors of datagrams and of the network --------------- */

/* Nothing that has happened can have made Linux say so. */
bool datagram_is_refused_in_vain(const struct item *i, int64_t result);
/* … by this error. */
bool connection_is_refused_otherwise(const struct item *i, int64_t result);
/* When i is submitted, which gives or takes bytes. */
void begin_message(struct item *i, struct stream *stream);
/* The world has changed while the loop sleeps. */
void note_pending_errors(void);
/* … which it does in vain where it has taken one, and told nobody. */
void check_forgotten_errors(void);
/* There may be a message for i now. */
void note_sender(struct item *i);
/* c, which gives or takes bytes, has ended. */
void check_message_ends(unsigned c, int64_t result);

/* ---- outside_peers.c: what others have got of what the caller gave --------------------------- */

/* What is written by c: bytes that tell it from what others write. */
void fill_bytes(unsigned c);
/* When c is submitted. */
void begin_at_peers(struct item *i);
/* Which bytes at any other end are whose is not known any more. */
void lose_given(void);
/* c has given so many bytes, from this place on, if that is certain. */
void check_given_bytes(unsigned c, uint64_t place, bool certain, int64_t result);
/* c, a pread or pwrite, has ended with this. */
void check_place(unsigned c, int64_t result);
void check_accepted(unsigned c, int fd);
void check_shut(unsigned c);
/* c, a recvmsg, has got a message, which had so many bytes; SIZE_MAX: nobody knows. */
void check_message(unsigned c, int64_t result, size_t length);
/* What no caller can have had in mind: before anything else is told. */
void check_signals(void);
/* How many numbers are open. */
unsigned open_descriptors(void);
/* Those that are open now are not the loop's. */
void note_others(void);
/* A number names a file that the program has just opened or accepted. */
void note_mode(int fd);
/* What the loop holds grows with each episode: in each of so many of them by something. */
void check_growth(void);
/* A loop was released. */
void check_release(void);
/* The descriptors of the program, and the loop's own. */
void check_descriptors(void);

/* ---- outside_waits.c: clock and waits (interpose.h) ------------------------------------------ */

extern const struct interpose_hooks outside_hooks;
uint64_t whole_us(uint64_t ns);

/* ---- outside_calls.c: calls that name a completion or an async ------------------------------- */

/* The calls of the subject's, as its own; `answer` is what they return. */
#define SUBJECT(call)                                                                              \
    bool before_call = interpose_inside(true);                                                     \
    int answer = (call);                                                                           \
    (void)interpose_inside(before_call)

/* A call has returned. */
void tell_call(const struct command *command, struct event event);
void run_submit(const struct command *command);
void run_delete(const struct command *command);
void run_timer(const struct command *command);
void run_reset(const struct command *command);
void run_cancel(const struct command *command);
void run_async_wait(const struct command *command);
/* Whether the command is about an async and no more; then it was carried out. */
bool touches_async(const struct command *command);
bool needs_its_descriptor(const struct command *command);
int descriptor(unsigned d);
int ask_state(unsigned c);
/* What has no callback ends unseen: the subject's word is taken for when. */
void settle_unseen(void);
/* It carries a reset, or may: the subject says that it is in use, and nobody submitted it. */
bool is_carrying(unsigned c);
/* It was deleted, and that may not have taken effect yet. */
bool is_leaving(unsigned c);
/* The subject is asked which completions are in use, and what time it is. */
void ask_in_use(void);
/* … or only c, where asking of all would take a long program too long. */
void ask_about(unsigned c);
void ask_now(void);
/* For the events of the run. A subject is not asked while it is made or released. */
void ask_states(int8_t *known);
/* Another loop begins. */
void forget_all(void);

/* ---- outside.c ------------------------------------------------------------------------------- */

/* At the end of a callback: the loop is stopped where a program would do that, as nothing else ends
 * its run. */
void stop_where_it_ends(bool is_rearmed);

/* ---- outside_callbacks.c --------------------------------------------------------------------- */

enum etalon_subject_action outside_called(uint32_t c, int64_t result, uint32_t userdata);
/* By the return of c's callback. */
void begin_again(unsigned c);
struct event event_of(unsigned c, enum event_kind kind, int64_t result);
const char *undefined_submission(unsigned c, bool is_rearm);

/* ---- outside.c ------------------------------------------------------------------------------- */

/* As often as it says. */
void perform(const struct command *command);

#endif

/* SPDX-License-Identifier: MIT */
/* Stress of everything that crosses threads, on the real kernel: loops that share a pool, each
 * driven by a thread of its own; their work deleted, cancelled, added again in every phase, from
 * callbacks and between ticks; loops deinitialised while their work executes; other threads and a
 * signal handler that notify and wake loops which are being deinitialised.
 *
 * usage: stress [--operations N] [--seconds N] [--loops N] [--threads N] [--notifiers N] [--alone]
 * [--watchdog SECONDS] [--seed N]
 *
 * --alone: no notifiers, no signal, no wake-up by an operation; every epoch ends by waiting,
 * without limit and without a timer, for what is under way. A wake-up that is lost is not made good
 * by the next disturbance then.
 *
 * What must hold: each episode has exactly one callback or none where the law says none; what was
 * read is what the file holds; nothing is written to a buffer after the callback of its completion
 * (or, if that was deleted, after the loop's deinit); no wait outlasts its notification or
 * hand-over (a watchdog, which looks at each loop, ends the program); as many descriptors at the
 * end as at the beginning. Ends after N operations, or N seconds, whichever comes first. Exit
 * status 1 on a breach; meant to run under ThreadSanitizer, AddressSanitizer and Valgrind too. */
#include "../../src/etalon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define LOOPS_MAX   16
#define ITEMS       32
#define BLOCK       64
#define FILE_BLOCKS 256
#define PINGS       200 /* an epoch */
#define ROUNDS      200 /* an epoch, at most */
#define AFTER_DEATH 0x5a

enum life { LIFE_FREE, LIFE_PENDING, LIFE_DELETED };

struct item {
    struct et_completion completion, cancel;
    enum life life;
    bool cancelling, cancelled; /* a cancel is under way; one was asked for in this episode */
    unsigned block;
    int64_t expected;
    unsigned char buffer[BLOCK];
};

/* One loop and the thread that drives it. */
struct driver {
    struct et_loop loop;
    struct et_async async;
    struct item item[ITEMS];
    struct et_completion waiter, timer;
    pthread_t thread;
    uint64_t random;
    uint64_t submitted, handed_over, delivered, deleted, cancelled, refused, dropped;
    _Atomic(uint64_t) epochs, steps; /* steps: what the watchdog looks at */
    unsigned pending;                /* episodes that owe a callback */
    unsigned left;                   /* operations that this epoch may still submit */
    _Atomic(bool) ended;
    bool closing;
    _Atomic(uint64_t) asked, seen; /* notifications that must be answered */
    /* threads and signal handlers that may be in a wake-up or notification of this loop */
    _Atomic(unsigned) guests;
    /* none may come in: the memory is being initialised (etalon.md, section 15) */
    _Atomic(bool) beginning;
};

static struct driver driver[LOOPS_MAX];
static struct et_pool pool;
static unsigned loops = 4, notifiers = 2, watchdog_s = 60;
static bool alone;
static int data_file, sink_file;
static _Atomic(bool) over;
static _Atomic(uint64_t) operations, operations_max = 20000;

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "stress: %s:%d: %s: ", __FILE__, __LINE__, #condition);                \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "\n");                                                                 \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static uint64_t next_random(uint64_t *random) {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

static unsigned choose(struct driver *d, unsigned below) {
    return (unsigned)(next_random(&d->random) >> 33) % below;
}

static unsigned char content(unsigned block, unsigned byte) {
    return (unsigned char)(block * 31 + byte * 7 + 1);
}

#ifdef UNWATCH_ONCE /* annotate.h */
static void unwatch_atomics(void) {
    UNWATCH_ONCE(&over);
    UNWATCH_ONCE(&operations);
    for (unsigned i = 0; i < LOOPS_MAX; i++) {
        UNWATCH_ONCE(&driver[i].loop.handed_over);
        UNWATCH_ONCE(&driver[i].loop.wakers);
        UNWATCH_ONCE(&driver[i].async.users);
        UNWATCH_ONCE(&driver[i].asked);
        UNWATCH_ONCE(&driver[i].seen);
        UNWATCH_ONCE(&driver[i].guests);
        UNWATCH_ONCE(&driver[i].beginning);
        UNWATCH_ONCE(&driver[i].epochs);
        UNWATCH_ONCE(&driver[i].steps);
        UNWATCH_ONCE(&driver[i].ended);
    }
}
#else
static void unwatch_atomics(void) {}
#endif

/* ---- operations ------------------------------------------------------------------------------ */

static void act(struct driver *d);

static void finish(struct driver *d, struct item *i, int64_t result) {
    CHECK(i->life == LIFE_PENDING, "a callback of an episode that %s",
          i->life == LIFE_FREE ? "has ended" : "was deleted");
    CHECK(et_completion_state(&i->completion) == ET_DEAD, "not dead in its callback");
    if (result == -ECANCELED) {
        CHECK(i->cancelled, "cancelled by nobody");
        d->cancelled++;
    } else {
        CHECK(result == i->expected, "result %lld", (long long)result);
        for (unsigned b = 0; i->completion.operation == ET_PREAD && b < BLOCK; b++)
            CHECK(i->buffer[b] == content(i->block, b), "byte %u of block %u", b, i->block);
        d->delivered++;
        d->handed_over += i->completion.on_pool;
    }
    i->life = LIFE_FREE;
    d->pending--;
    memset(i->buffer, AFTER_DEATH, sizeof i->buffer);
}

static enum et_action on_end(struct et_loop *loop, struct et_completion *c, int64_t result,
                             void *userdata) {
    struct driver *d = (struct driver *)loop; /* its first member */
    struct item *i = userdata;
    CHECK(c == &i->completion, "another completion");
    finish(d, i, result);
    if (choose(d, 4) == 0)
        act(d);
    if (d->closing || i->life != LIFE_FREE || et_completion_state(c) != ET_DEAD ||
        choose(d, 3) != 0)
        return ET_DISARM;
    i->life = LIFE_PENDING;       /* the same again, by rearming */
    i->cancelled = i->cancelling; /* one that was asked for before may still come */
    d->pending++;
    d->submitted++;
    return ET_REARM;
}

static enum et_action on_cancel(struct et_loop *loop, struct et_completion *c, int64_t result,
                                void *userdata) {
    struct item *i = userdata;
    (void)loop, (void)c;
    CHECK(result == 0 || result == -ENOENT || result == -EALREADY, "a cancel's result is %lld",
          (long long)result);
    i->cancelling = false;
    return ET_DISARM;
}

static void submit(struct driver *d, struct item *i) {
    struct et_completion *c = &i->completion;
    if (et_completion_state(c) != ET_DEAD) {
        /* Deleted: adding it again ends a deletion that is not lingering, and is refused otherwise.
         */
        if (i->life != LIFE_DELETED)
            return;
        int error = et_loop_add(&d->loop, c);
        CHECK(error == 0 || error == -EBUSY, "add of a deleting completion: %d", error);
        d->refused += error != 0;
        if (error != 0)
            return;
    } else {
        if (i->life == LIFE_DELETED) /* nothing may have been written since it died, save before */
            memset(i->buffer, AFTER_DEATH, sizeof i->buffer);
        for (unsigned b = 0; b < BLOCK; b++)
            CHECK(i->buffer[b] == AFTER_DEATH, "byte %u was written after the completion was dead",
                  b);
        i->block = choose(d, FILE_BLOCKS);
        c->on_pool = choose(d, 8) != 0;
        c->operation = !c->on_pool ? ET_NOOP : choose(d, 3) == 0 ? ET_PWRITE : ET_PREAD;
        c->fd = c->operation == ET_PWRITE ? sink_file : data_file;
        c->pread.buffer = i->buffer;
        c->pread.length = BLOCK;
        c->pread.offset = (int64_t)i->block * BLOCK;
        c->callback = on_end;
        c->userdata = i;
        i->expected = c->operation == ET_NOOP ? 0 : BLOCK;
        int error = et_loop_add(&d->loop, c);
        CHECK(error == 0, "add: %d", error);
    }
    i->life = LIFE_PENDING;
    i->cancelled = i->cancelling; /* one that was asked for before may still come */
    d->pending++;
    d->submitted++;
    if (d->left > 0)
        d->left--;
}

static void delete_item(struct driver *d, struct item *i) {
    if (i->life != LIFE_PENDING)
        return;
    CHECK(et_loop_delete(&d->loop, &i->completion) == 0, "delete");
    i->life = LIFE_DELETED;
    d->pending--;
    d->deleted++;
}

static void cancel_item(struct driver *d, struct item *i) {
    if (i->cancelling)
        return;
    CHECK(et_loop_cancel(&d->loop, &i->cancel, &i->completion, on_cancel, i) == 0, "cancel");
    i->cancelling = i->cancelled = true;
}

static void act(struct driver *d) {
    struct item *i = &d->item[choose(d, ITEMS)];
    switch (choose(d, 8)) {
    case 0: delete_item(d, i); break;
    case 1: cancel_item(d, i); break;
    case 2:
        if (!alone)
            et_loop_wakeup(&d->loop);
        break;
    default:
        if (!d->closing)
            submit(d, i);
    }
}

/* ---- waking ---------------------------------------------------------------------------------- */

/* Whoever asks raises `asked` before notifying: what is seen here must reach what was asked before
 * the last notification. */
static enum et_action on_notified(struct et_loop *loop, struct et_completion *c, int64_t result,
                                  void *userdata) {
    struct driver *d = userdata;
    (void)loop, (void)c;
    CHECK(result == 8, "an async's wait: %lld", (long long)result);
    atomic_store(&d->seen, atomic_load(&d->asked));
    return ET_REARM;
}

static enum et_action on_tick(struct et_loop *loop, struct et_completion *c, int64_t result,
                              void *userdata) {
    struct driver *d = userdata;
    (void)loop, (void)c, (void)result;
    act(d);
    return d->closing ? ET_DISARM : ET_REARM;
}

/* From elsewhere: a wake-up and a notification may meet deinit, but not init, of the same memory.
 */
static void disturb(struct driver *d, bool notifies) {
    atomic_fetch_add(&d->guests, 1);
    if (!atomic_load(&d->beginning) && notifies) {
        atomic_fetch_add(&d->asked, 1);
        (void)et_async_notify(&d->async);
    } else if (!atomic_load(&d->beginning)) {
        et_loop_wakeup(&d->loop);
    }
    atomic_fetch_sub(&d->guests, 1);
}

static void on_signal(int number) {
    static _Atomic(unsigned) next;
    (void)number;
    unsigned i = atomic_fetch_add(&next, 1) % loops;
    disturb(&driver[i], i % 2 == 0);
}

static void *notify_others(void *argument) {
    uint64_t random = (uint64_t)(uintptr_t)argument * 0x9e3779b97f4a7c15u + 1;
    while (!atomic_load(&over)) {
        disturb(&driver[(next_random(&random) >> 33) % loops],
                (next_random(&random) >> 40 & 1) != 0);
        if ((next_random(&random) >> 40 & 15) == 0)
            usleep(50);
    }
    return NULL;
}

/* ---- epochs ---------------------------------------------------------------------------------- */

static void begin_epoch(struct driver *d) {
    struct et_options options = {.descriptors_max = 256, .pool = &pool};
    atomic_store(&d->beginning, true);
    while (atomic_load(&d->guests) > 0)
        sched_yield();
    CHECK(et_loop_init(&d->loop, &options) == 0, "init");
    CHECK(et_async_init(&d->async) == 0, "async_init");
    atomic_store(&d->beginning, false);
    d->closing = false;
    d->left = 256 + choose(d, 2048);
    d->pending = 0;
    for (unsigned i = 0; i < ITEMS; i++) {
        memset(&d->item[i].completion, 0, sizeof d->item[i].completion);
        memset(&d->item[i].cancel, 0, sizeof d->item[i].cancel);
        memset(d->item[i].buffer, AFTER_DEATH, BLOCK);
        d->item[i].life = LIFE_FREE;
        d->item[i].cancelling = d->item[i].cancelled = false;
    }
    memset(&d->waiter, 0, sizeof d->waiter);
    memset(&d->timer, 0, sizeof d->timer);
    CHECK(et_async_wait(&d->loop, &d->async, &d->waiter, on_notified, d) == 0, "async_wait");
    CHECK(et_loop_timer(&d->loop, &d->timer, 1, on_tick, d) == 0, "timer");
}

/* Every wait here is without limit but for hand-overs and notifications: one that is lost stops the
 * program, and the watchdog says so. */
static void drain(struct driver *d) {
    d->closing = true;
    while (d->pending > 0)
        CHECK(et_loop_run(&d->loop, ET_RUN_ONCE) == 0, "run");
    atomic_fetch_add(&d->steps, 1);
    CHECK(et_loop_delete(&d->loop, &d->timer) == 0, "delete");
    for (unsigned i = 0; i < PINGS; i++) {
        struct item *item = &d->item[choose(d, ITEMS)];
        uint64_t before = atomic_fetch_add(&d->asked, 1);
        CHECK(et_async_notify(&d->async) == 0, "notify");
        while (atomic_load(&d->seen) <= before)
            CHECK(et_loop_run(&d->loop, ET_RUN_ONCE) == 0, "run");
        if (item->life == LIFE_FREE && et_completion_state(&item->completion) == ET_DEAD)
            submit(d, item);
        while (d->pending > 0)
            CHECK(et_loop_run(&d->loop, ET_RUN_ONCE) == 0, "run");
        atomic_fetch_add(&d->steps, 1);
    }
    CHECK(et_loop_delete(&d->loop, &d->waiter) == 0, "delete");
    for (unsigned i = 0; i < ITEMS; i++)
        CHECK(!d->item[i].cancelling || et_loop_delete(&d->loop, &d->item[i].cancel) == 0,
              "delete");
    /* ends: lingering work comes back */
    CHECK(et_loop_run(&d->loop, ET_RUN_UNTIL_DONE) == 0, "run");
    for (unsigned i = 0; i < ITEMS; i++)
        CHECK(et_completion_state(&d->item[i].completion) == ET_DEAD, "item %u is not dead", i);
}

static void end_epoch(struct driver *d) {
    if (choose(d, 2) == 0 || alone)
        drain(d);
    d->dropped += d->pending;
    CHECK(et_loop_deinit(&d->loop) == 0, "deinit");
    CHECK(et_async_deinit(&d->async) == 0, "async_deinit"); /* after what waits on it */
    for (unsigned i = 0; i < ITEMS; i++) {
        CHECK(et_completion_state(&d->item[i].completion) == ET_DEAD, "not dead after deinit");
        memset(d->item[i].buffer, AFTER_DEATH, BLOCK); /* looked at again by the next use */
    }
    sched_yield();
    for (unsigned i = 0; i < ITEMS; i++)
        for (unsigned b = 0; b < BLOCK; b++)
            CHECK(d->item[i].buffer[b] == AFTER_DEATH, "item %u was written to after deinit", i);
    atomic_fetch_add(&d->epochs, 1);
    atomic_fetch_add(&d->steps, 1);
}

static void *drive(void *argument) {
    struct driver *d = argument;
    while (!atomic_load(&over)) {
        uint64_t before = d->submitted;
        begin_epoch(d);
        for (unsigned round = 0; round < ROUNDS && d->left > 0 && !atomic_load(&over); round++) {
            for (unsigned k = choose(d, ITEMS); k > 0; k--)
                act(d);
            int error = choose(d, 2) == 0 ? et_loop_tick(&d->loop, choose(d, 8))
                                          : et_loop_run(&d->loop, ET_RUN_NO_WAIT);
            CHECK(error == 0, "tick: %d", error);
            atomic_fetch_add(&d->steps, 1);
        }
        end_epoch(d);
        if (atomic_fetch_add(&operations, d->submitted - before) + d->submitted - before >=
            operations_max)
            atomic_store(&over, true);
    }
    atomic_store(&d->ended, true);
    return NULL;
}

/* ---- the program ----------------------------------------------------------------------------- */

static unsigned descriptors_open(void) {
    unsigned count = 0;
    DIR *directory = opendir("/proc/self/fd");
    CHECK(directory != NULL, "/proc/self/fd");
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static void make_files(void) {
    unsigned char block[BLOCK];
    data_file = memfd_create("data", MFD_CLOEXEC);
    sink_file = memfd_create("sink", MFD_CLOEXEC);
    CHECK(data_file >= 0 && sink_file >= 0, "memfd_create");
    for (unsigned k = 0; k < FILE_BLOCKS; k++) {
        for (unsigned b = 0; b < BLOCK; b++)
            block[b] = content(k, b);
        CHECK(pwrite(data_file, block, BLOCK, (off_t)k * BLOCK) == BLOCK, "pwrite");
    }
}

static uint64_t clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec;
}

/* The main thread: waits until all loops have ended, shows progress on a terminal, and ends the
 * program when a loop gets nowhere. */
static void watch(unsigned seconds) {
    uint64_t begun_s = clock_s(), moved_s[LOOPS_MAX], last[LOOPS_MAX] = {0};
    for (unsigned i = 0; i < loops; i++)
        moved_s[i] = begun_s;
    for (unsigned going = loops; going > 0;) {
        nanosleep(&(struct timespec){0, 50000000}, NULL); /* the signal may cut it short */
        uint64_t now_s = clock_s();
        going = 0;
        for (unsigned i = 0; i < loops; i++) {
            uint64_t now = atomic_load(&driver[i].steps);
            bool ended = atomic_load(&driver[i].ended);
            if (now != last[i] || ended)
                moved_s[i] = now_s;
            last[i] = now;
            going += !ended;
            CHECK(
                now_s - moved_s[i] < watchdog_s,
                "loop %u has not got on for %u s: a wake-up was lost, or something waits for ever",
                i, watchdog_s);
        }
        if (isatty(2))
            fprintf(stderr, "\r%u s, %llu operations ", (unsigned)(now_s - begun_s),
                    (unsigned long long)atomic_load(&operations));
        if (seconds > 0 && now_s - begun_s >= seconds)
            atomic_store(&over, true);
    }
}

static int report(unsigned before, uint64_t seconds) {
    struct driver all = {0};
    for (unsigned i = 0; i < loops; i++) {
        all.submitted += driver[i].submitted, all.delivered += driver[i].delivered,
            all.deleted += driver[i].deleted;
        all.cancelled += driver[i].cancelled, all.dropped += driver[i].dropped,
            all.epochs += driver[i].epochs;
        all.refused += driver[i].refused, all.handed_over += driver[i].handed_over;
    }
    CHECK(descriptors_open() == before, "%u descriptors at the beginning, %u at the end", before,
          descriptors_open());
    printf("stress: %llu operations in %llu s: %llu delivered (%llu by pool threads), %llu "
           "cancelled, %llu deleted, %llu dropped by %llu deinits of loops, "
           "%llu times refused while lingering; nothing lost, nothing twice\n",
           (unsigned long long)all.submitted, (unsigned long long)seconds,
           (unsigned long long)all.delivered, (unsigned long long)all.handed_over,
           (unsigned long long)all.cancelled, (unsigned long long)all.deleted,
           (unsigned long long)all.dropped, (unsigned long long)all.epochs,
           (unsigned long long)all.refused);
    return 0;
}

static uint64_t number(const char *option, const char *text, uint64_t least, uint64_t most) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || value < least || value > most) {
        fprintf(stderr, "stress: --%s: '%s' is not a number from %llu to %llu\n", option, text,
                (unsigned long long)least, (unsigned long long)most);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"operations", 1, 0, 'o'}, {"seconds", 1, 0, 's'},   {"loops", 1, 0, 'l'},
        {"threads", 1, 0, 't'},    {"notifiers", 1, 0, 'n'}, {"alone", 0, 0, 'a'},
        {"watchdog", 1, 0, 'w'},   {"seed", 1, 0, 'r'},      {0}};
    uint64_t seed = 1;
    unsigned seconds = 0, threads = 3;
    for (int o, index; (o = getopt_long(argc, argv, "", options, &index)) != -1;)
        switch (o) {
        case 'o': operations_max = number("operations", optarg, 1, UINT64_C(1) << 40); break;
        case 's': seconds = (unsigned)number("seconds", optarg, 1, 86400); break;
        case 'l': loops = (unsigned)number("loops", optarg, 1, LOOPS_MAX); break;
        case 't': threads = (unsigned)number("threads", optarg, 1, 64); break;
        case 'n': notifiers = (unsigned)number("notifiers", optarg, 0, 64); break;
        case 'a': alone = true; break;
        case 'w': watchdog_s = (unsigned)number("watchdog", optarg, 1, 86400); break;
        case 'r': seed = number("seed", optarg, 1, UINT32_MAX); break;
        default: return 2;
        }
    if (optind < argc) {
        fprintf(stderr, "stress: what is '%s'?\n", argv[optind]);
        return 2;
    }
    unsigned before = descriptors_open();
    unwatch_atomics();
    make_files();
    CHECK(et_pool_init(&pool, &(struct et_pool_options){.threads_max = threads}) == 0, "pool_init");
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0, "sigaction");
    struct itimerval each = {{0, alone ? 0 : 2000}, {0, alone ? 0 : 2000}};
    if (alone)
        notifiers = 0;
    CHECK(setitimer(ITIMER_REAL, &each, NULL) == 0, "setitimer");
    pthread_t notifier[64];
    for (unsigned i = 0; i < loops; i++) {
        driver[i].random = seed * 0x9e3779b97f4a7c15u + i + 1;
        CHECK(pthread_create(&driver[i].thread, NULL, drive, &driver[i]) == 0, "pthread_create");
    }
    for (unsigned i = 0; i < notifiers; i++)
        CHECK(pthread_create(&notifier[i], NULL, notify_others, (void *)(uintptr_t)(i + 1)) == 0,
              "pthread_create");
    uint64_t begun_s = clock_s();
    watch(seconds);
    for (unsigned i = 0; i < loops; i++)
        pthread_join(driver[i].thread, NULL);
    for (unsigned i = 0; i < notifiers; i++)
        pthread_join(notifier[i], NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    CHECK(et_pool_deinit(&pool) == 0, "pool_deinit");
    close(data_file);
    close(sink_file);
    return report(before, clock_s() - begun_s);
}

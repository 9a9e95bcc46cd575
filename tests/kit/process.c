/* SPDX-License-Identifier: MIT */
/* One process for each run (process.h). What it does there, it does to itself: its memory is a
 * copy, its standard streams lead nowhere, its process group is killed with it, and of what it
 * writes into the shared result nothing is believed unseen. */
#ifndef ETALON_WITHOUT_KIT

#include "process.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../tool/child.h"
#include "crash.h"
#include "object.h"
#include "text.h"

/* for what makes no call that could be counted */
#define WATCHDOG_NS    (process_watchdog_s * UINT64_C(1000000000))
#define PARALLEL_MAX   64
#define DEPTH_MAX      2
#define FILE_BYTES_MAX (16 << 20)
#define STARVED        6 /* times the watchdog: so long a process may work on a busy machine */

unsigned process_watchdog_s = 10;

/* When a process is looked at next, and how much processor time it must have used by then. */
struct patience {
    uint64_t end_ns, look_ns, used_ns;
};

static struct slot {
    pid_t pid; /* 0: free */
    unsigned job;
    uint64_t begun_ns;
    struct patience patience;
    void *shared;
    size_t size;
    int said; /* its standard error */
} slots[DEPTH_MAX * PARALLEL_MAX];
static unsigned depth; /* process_run in the done() of another */

static uint64_t real_clock(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct patience patience(void) {
    uint64_t now = real_clock();
    return (struct patience){now + STARVED * WATCHDOG_NS, now + WATCHDOG_NS, 0};
}

/* A process without an end is one that has used hardly any processor time since it was looked at
 * last, when its time is over: on a busy machine a process that works may get a tenth of a
 * processor. One that spins comes to its limit of processor time instead. */
static bool is_late(pid_t pid, struct patience *patience) {
    uint64_t now = real_clock(), used = 0;
    struct timespec processor;
    clockid_t clock;
    if (now < patience->look_ns)
        return false;
    if (clock_getcpuclockid(pid, &clock) == 0 && syscall(SYS_clock_gettime, clock, &processor) == 0)
        used = (uint64_t)processor.tv_sec * 1000000000 + (uint64_t)processor.tv_nsec;
    bool works = now < patience->end_ns && used >= patience->used_ns;
    patience->look_ns = now + WATCHDOG_NS / 10;
    patience->used_ns = used + WATCHDOG_NS / 10 / 100; /* a hundredth of a processor, at least */
    return !works;
}

static void *shared_memory(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("etalon: mmap");
        exit(2);
    }
    return memory;
}

/* ---- what is the runner's alone -------------------------------------------------------------- */

#define LISTS_MAX 4

static struct {
    void *memory;
    size_t size;
} lists[LISTS_MAX];
static unsigned lists_count;

/* What a list points to is not lost: for a checker of leaks, which knows the heap alone. */
extern void __lsan_register_root_region(const void *, size_t) __attribute__((weak));
extern void __lsan_unregister_root_region(const void *, size_t) __attribute__((weak));

void *process_list(size_t count, size_t size) {
    assert(lists_count < LISTS_MAX);
    void *memory =
        mmap(NULL, count * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("etalon: mmap");
        exit(2);
    }
    lists[lists_count].memory = memory;
    lists[lists_count++].size = count * size;
    if (__lsan_register_root_region != NULL)
        __lsan_register_root_region(memory, count * size);
    return memory;
}

/* Not before, as the runner itself is a child of the command (child_guard). */
static void keep_lists_from_runs(void) {
    static unsigned kept;
    for (; kept < lists_count; kept++)
        (void)madvise(lists[kept].memory, lists[kept].size, MADV_DONTFORK);
}

/* ---- a process ------------------------------------------------------------------------------- */

static struct {
    struct sigaction action; /* of SIGCHLD, as the runner was given it */
    sigset_t mask;
} ends;

static void has_ended(int number) {
    (void)number;
}

/* While runs are in progress, the end of one interrupts who waits for that, also when it comes
 * before. */
static void await_ends(bool begin) {
    if (begin) {
        struct sigaction action = {.sa_handler = has_ended};
        sigset_t child;
        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        sigprocmask(SIG_BLOCK, &child, &ends.mask);
        sigaction(SIGCHLD, &action, &ends.action);
    } else {
        sigaction(SIGCHLD, &ends.action, NULL);
        sigprocmask(SIG_SETMASK, &ends.mask, NULL);
    }
}

/* In the new process: no descriptor of the runner's is left here, nor a standard stream. `said`
 * takes what is written to standard error, -1: nothing does. */
static void seclude(const void *mine, int said) {
    struct rlimit none = {0, 0}, processor = {process_watchdog_s, process_watchdog_s + 1},
                  file = {FILE_BYTES_MAX, FILE_BYTES_MAX};
    child_unguard();
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_CPU, &processor);
    setrlimit(RLIMIT_FSIZE, &file);
    signal(SIGXFSZ, SIG_IGN); /* too long a text on standard error is cut, and no crash */
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd <= STDERR_FILENO && null >= 0; fd++)
        dup2(fd == STDERR_FILENO && said >= 0 ? said : null, fd);
    syscall(SYS_close_range, 3U, ~0U, 0U);
    for (unsigned i = 0; i < DEPTH_MAX * PARALLEL_MAX; i++)
        if (slots[i].shared != NULL && slots[i].shared != mine)
            munmap(slots[i].shared, slots[i].size);
    for (unsigned i = 0; i < lists_count; i++) { /* they are not here: a checker has to know */
        munmap(lists[i].memory, lists[i].size);
        if (__lsan_unregister_root_region != NULL)
            __lsan_unregister_root_region(lists[i].memory, lists[i].size);
    }
    if (depth > 0)
        await_ends(false);
}

/* ---- loading --------------------------------------------------------------------------------- */

struct look {
    bool good;
    char error[320];
    struct subject subject;
    uint32_t magic;
};

static bool valid_name(const char *name) {
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._+";
    return name != NULL && *name != '\0' && strlen(name) < 40 &&
           strspn(name, letters) == strlen(name);
}

#define ASYNCS (ETALON_OFFERS_ASYNC | ETALON_OFFERS_ASYNC_KEPT)
#define OPERATIONS                                                                                 \
    (UINT64_C(0xffffffff) << 24 &                                                                  \
     ~(ETALON_OFFERS_ROUNDS | ETALON_OFFERS_HOSTED | ETALON_OFFERS_THREADS | ASYNCS))

/* What an adapter has that was made before the later members were added. */
#define SIZE_MIN offsetof(struct etalon_subject, pool_init)
#define END_OF(member)                                                                             \
    (offsetof(struct etalon_subject, member) + sizeof(((struct etalon_subject *)0)->member))

/* As this runner knows subjects: what its members are too few for is not offered. */
static struct etalon_subject completed(const struct etalon_subject *s) {
    struct etalon_subject subject = {.abi = 0};
    memcpy(&subject, s, s->size < sizeof subject ? s->size : sizeof subject);
    if (s->size < END_OF(async_wait))
        subject.offers &= ~(ETALON_OFFERS_POOL | ASYNCS);
    if (s->size < END_OF(descriptor))
        subject.offers &= ~ETALON_OFFERS_HOSTED;
    /* The strict judge has one thread; a callback beside another one is not of an inner run. */
    if ((subject.offers & ETALON_OFFERS_THREADS) != 0)
        subject.offers &= ~(ETALON_OFFERS_ROUNDS | ETALON_OFFERS_DESCRIPTOR_LIMIT |
                            ETALON_OFFERS_POOL | ETALON_OFFERS_NESTS);
    if ((subject.offers & ETALON_OFFERS_UNTIL_STOPPED) != 0)
        subject.offers |= ETALON_OFFERS_STOP; /* what else should end it? */
    subject.slack_ms = subject.slack_ms == ETALON_EXACT                      ? 0
                       : s->size < END_OF(slack_ms) || subject.slack_ms == 0 ? 1
                                                                             : subject.slack_ms;
    if (s->size < END_OF(completions_max) || subject.completions_max == 0)
        subject.completions_max = ETALON_SUBJECT_COMPLETIONS;
    return subject;
}

/* The first function that a capability needs and that is null. */
static const char *incomplete(const struct etalon_subject *s) {
    const struct {
        uint64_t bits;
        bool there;
        const char *name;
    } needs[] = {
        {~UINT64_C(0), s->init != NULL, "init"},
        {~UINT64_C(0), s->run != NULL || s->tick != NULL, "run"},
        {ETALON_OFFERS_TIMERS, s->timer != NULL, "timer"},
        {ETALON_OFFERS_RESET, s->timer_reset != NULL, "timer_reset"},
        {ETALON_OFFERS_CANCEL, s->cancel != NULL, "cancel"},
        {ETALON_OFFERS_DELETE | ETALON_OFFERS_DELETES_LATER, s->remove != NULL, "remove"},
        {ETALON_OFFERS_READD, s->submit != NULL, "submit"},
        {ETALON_OFFERS_NO_WAIT | ETALON_OFFERS_ONCE | ETALON_OFFERS_UNTIL_DONE, s->run != NULL,
         "run"},
        {ETALON_OFFERS_UNTIL_STOPPED, s->run != NULL, "run"},
        {ETALON_OFFERS_UNTIL_STOPPED, s->stop != NULL, "stop"},
        {ETALON_OFFERS_TICK, s->tick != NULL, "tick"},
        {ETALON_OFFERS_STOP, s->stop != NULL, "stop"},
        {ETALON_OFFERS_STOPPED, s->stopped != NULL, "stopped"},
        {ETALON_OFFERS_WAKEUP, s->wakeup != NULL, "wakeup"},
        {ETALON_OFFERS_NOW, s->now != NULL, "now"},
        {ETALON_OFFERS_UPDATE_NOW, s->update_now != NULL, "update_now"},
        {ETALON_OFFERS_STATE | ETALON_OFFERS_IN_USE, s->state != NULL, "state"},
        {ETALON_OFFERS_DEINIT, s->deinit != NULL, "deinit"},
        {ETALON_OFFERS_FORGET, s->forget != NULL, "forget"},
        {OPERATIONS, s->submit != NULL, "submit"},
        {ETALON_OFFERS_POOL, s->pool_init != NULL, "pool_init"},
        {ETALON_OFFERS_POOL, s->pool_deinit != NULL, "pool_deinit"},
        {ETALON_OFFERS_ASYNC, s->async_init != NULL, "async_init"},
        {ETALON_OFFERS_ASYNC, s->async_deinit != NULL, "async_deinit"},
        {ETALON_OFFERS_ASYNC, s->async_notify != NULL, "async_notify"},
        {ETALON_OFFERS_ASYNC, s->async_wait != NULL, "async_wait"},
        {ETALON_OFFERS_HOSTED, s->timeout != NULL, "timeout"},
        {ETALON_OFFERS_HOSTED, s->descriptor != NULL, "descriptor"},
    };
    for (unsigned i = 0; i < sizeof needs / sizeof *needs; i++)
        if ((i < 2 || (s->offers & needs[i].bits) != 0) && !needs[i].there)
            return needs[i].name;
    return NULL;
}

#define ROUNDS_NEED                                                                                \
    (ETALON_OFFERS_TIMERS | ETALON_OFFERS_RESET | ETALON_OFFERS_CANCEL | ETALON_OFFERS_DELETE |    \
     ETALON_OFFERS_READD | ETALON_OFFERS_STATE | ETALON_OFFERS_NOW | ETALON_OFFERS_UPDATE_NOW |    \
     ETALON_OFFERS_TICK | ETALON_OFFERS_STOPPED | ETALON_OFFERS_STOP | ETALON_OFFERS_DEINIT |      \
     ETALON_OFFERS_CHECKED | ETALON_OFFERS_GUARDED | ETALON_OFFERS_GUARDED_DEINIT |                \
     ETALON_OFFERS_WAKEUP)

/* NULL after a sentence in `error`. */
static const struct etalon_subject *load_subject(const char *path, char *error, size_t size) {
    static struct etalon_subject subject;
    if (!object_possible(path, error, size))
        return NULL;
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (object == NULL) {
        object_explain(path, dlerror(), error, size);
        return NULL;
    }
    const struct etalon_subject *s = dlsym(object, "etalon_subject");
    if (s == NULL) {
        snprintf(error, size,
                 "exports no symbol 'etalon_subject': a library, and no adapter of one "
                 "(ADAPTERS.md)");
        return NULL;
    }
    if (s->abi != ETALON_SUBJECT_ABI) {
        snprintf(error, size,
                 "is made for version %u of etalon_subject.h, this runner knows version %d", s->abi,
                 ETALON_SUBJECT_ABI);
        return NULL;
    }
    /* A newer adapter has more members than this runner knows of, an older one fewer. */
    if (s->size < SIZE_MIN) {
        snprintf(error, size,
                 "says that its struct etalon_subject has %u bytes, expected at least %zu", s->size,
                 SIZE_MIN);
        return NULL;
    }
    subject = completed(s);
    s = &subject;
    if (!valid_name(s->name)) {
        snprintf(error, size,
                 "has no name, or one with other than letters, digits, '-', '.', '_', '+'");
        return NULL;
    }
    const char *missing = incomplete(s);
    if (missing != NULL) {
        snprintf(error, size, "offers what needs the function '%s', which is null", missing);
        return NULL;
    }
    for (const struct etalon_subject_difference *d = s->differences; d != NULL && d->clause != NULL;
         d++)
        if (outside_refuses(d->clause) != NULL) {
            snprintf(error, size, "documents the difference '%.40s', %s", d->clause,
                     outside_refuses(d->clause));
            return NULL;
        }
    const uint64_t both = ETALON_OFFERS_GUARDED | ETALON_OFFERS_NESTS;
    if ((s->offers & both) == both) {
        snprintf(error, size, "offers that a run inside a callback is refused, and carried out");
        return NULL;
    }
    if ((s->offers & ETALON_OFFERS_ROUNDS) != 0 && (s->offers & ROUNDS_NEED) != ROUNDS_NEED) {
        snprintf(error, size,
                 "offers rounds, but not all of the calls that are judged with them (RUNNER.md)");
        return NULL;
    }
    return s;
}

static void look_here(const char *path, struct look *look) {
    const struct etalon_subject *s = load_subject(path, look->error, sizeof look->error);
    if (s != NULL) {
        struct subject *to = &look->subject;
        snprintf(to->name, sizeof to->name, "%s", s->name);
        const char *version = s->version != NULL ? s->version() : NULL;
        snprintf(to->version, sizeof to->version, "%s", version != NULL ? version : "unknown");
        snprintf(to->notes, sizeof to->notes, "%s", s->notes != NULL ? s->notes : "");
        to->offers = s->offers;
        to->completions_max = s->completions_max;
        to->slack_ms = s->slack_ms;
        for (unsigned i = 0;
             s->differences != NULL && s->differences[i].clause != NULL && i < SUBJECT_DIFFERENCES;
             i++) {
            const char *failure = s->differences[i].clause, *slash = strchr(failure, '/');
            snprintf(to->difference[i].clause, sizeof to->difference[i].clause, "%.*s",
                     (int)strcspn(failure, "/"), failure);
            snprintf(to->difference[i].kind, sizeof to->difference[i].kind, "%s",
                     slash != NULL ? slash + 1 : "");
            snprintf(to->difference[i].why, sizeof to->difference[i].why, "%s",
                     s->differences[i].why);
            to->differences = i + 1;
        }
        look->good = true;
    }
    look->magic = KIT_MAGIC;
}

static const char *signal_name(int number) {
    static char text[16];
    static const struct {
        int number;
        const char *name;
    } known[] = {{SIGABRT, "ABRT"}, {SIGALRM, "ALRM"}, {SIGBUS, "BUS"},   {SIGFPE, "FPE"},
                 {SIGHUP, "HUP"},   {SIGILL, "ILL"},   {SIGINT, "INT"},   {SIGKILL, "KILL"},
                 {SIGPIPE, "PIPE"}, {SIGPROF, "PROF"}, {SIGQUIT, "QUIT"}, {SIGSEGV, "SEGV"},
                 {SIGSYS, "SYS"},   {SIGTERM, "TERM"}, {SIGTRAP, "TRAP"}, {SIGUSR1, "USR1"},
                 {SIGUSR2, "USR2"}, {SIGXCPU, "XCPU"}, {SIGXFSZ, "XFSZ"}};
    snprintf(text, sizeof text, "signal %d", number);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].number == number)
            snprintf(text, sizeof text, "SIG%s", known[i].name);
    return text;
}

/* What a terminal or a reader would take for something else than a letter: the controls (also
 * U+0080 to U+009F, by which an escape sequence can begin), the ends of lines and paragraphs, and
 * what turns the direction of the text. */
static bool is_control(const unsigned char *p, unsigned length) {
    unsigned three = length == 3 ? (p[0] & 0xfU) << 12 | (p[1] & 0x3fU) << 6 | (p[2] & 0x3fU) : 0;
    return (length == 1 && (*p < ' ' || *p == 0x7f)) ||
           (length == 2 && p[0] == 0xc2 && p[1] < 0xa0) || (three >= 0x200b && three <= 0x200f) ||
           (three >= 0x2028 && three <= 0x202e) || (three >= 0x2060 && three <= 0x206f) ||
           three == 0xfeff;
}

/* What a subject says of itself is told on one line, and to a terminal. Other texts than ASCII
 * stay. */
static void make_printable(char *text, size_t size) {
    text[size - 1] = '\0';
    for (unsigned char *p = (unsigned char *)text; *p != '\0';) {
        unsigned length = utf8_length(p);
        if (length == 0 || is_control(p, length))
            memset(p, '?', length > 0 ? length : 1);
        p += length > 0 ? length : 1;
    }
}

/* The first line that a library wrote before it ended the process: a reason, as of
 * AddressSanitizer. */
static void add_reason(char *error, size_t size, int said) {
    char line[201] = "";
    ssize_t length = said >= 0 ? pread(said, line, sizeof line - 1, 0) : 0;
    line[length > 0 ? strcspn(line, "\n") : 0] = '\0';
    make_printable(line, sizeof line);
    size_t used = strlen(error);
    if (*line != '\0')
        snprintf(error + used, size - used, ": %s", line);
}

bool subject_look(const char *path, struct subject *subject, char *error, size_t error_size) {
    char absolute[4096];
    error[0] = '\0';
    if (realpath(path, absolute) == NULL) {
        snprintf(error, error_size, "%s", strerror(errno));
        return false;
    }
    struct look *look = shared_memory(sizeof *look);
    int said = memfd_create("said", MFD_CLOEXEC);
    child_adopt();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        seclude(NULL, said);
        look_here(absolute, look);
        syscall(SYS_exit_group, 0);
    }
    int status = 0;
    struct patience left = patience();
    pid_t ended = 0;
    while (child > 0 && (ended = waitpid(child, &status, WNOHANG)) == 0 && !is_late(child, &left))
        usleep(200);
    if (child > 0 && ended == 0) {
        kill(-child, SIGKILL);
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
    }
    if (child > 0)
        kill(-child, SIGKILL); /* whatever it has started */
    child_end_orphans();
    bool good = false;
    if (child < 0)
        snprintf(error, error_size, "%s", strerror(errno));
    else if (ended == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU))
        snprintf(error, error_size, "hangs when it is loaded");
    else if (WIFSIGNALED(status))
        snprintf(error, error_size, "crashes when it is loaded: %s", signal_name(WTERMSIG(status)));
    else if (look->magic != KIT_MAGIC)
        snprintf(error, error_size, "ends the process when it is loaded");
    else if (!look->good)
        snprintf(error, error_size, "%.300s", look->error);
    else
        good = true;
    if (!good && child > 0 && ended > 0 && look->magic != KIT_MAGIC)
        add_reason(error, error_size, said);
    make_printable(error, error_size);
    if (said >= 0)
        close(said);
    if (good) {
        *subject = look->subject;
        snprintf(subject->path, sizeof subject->path, "%s", absolute);
        const char *slash = strrchr(absolute, '/');
        snprintf(subject->file, sizeof subject->file, "%.200s", slash + 1);
        make_printable(subject->file, sizeof subject->file);
        make_printable(subject->name, sizeof subject->name);
        make_printable(subject->version, sizeof subject->version);
        for (unsigned i = 0; i < subject->differences && i < SUBJECT_DIFFERENCES; i++) {
            make_printable(subject->difference[i].clause, sizeof subject->difference[i].clause);
            make_printable(subject->difference[i].kind, sizeof subject->difference[i].kind);
            make_printable(subject->difference[i].why, sizeof subject->difference[i].why);
        }
    }
    munmap(look, sizeof *look);
    return good;
}

/* ---- a run ----------------------------------------------------------------------------------- */

static void run_here(const struct job *job, struct kit_result *result) {
    char error[320];
    const struct world_kind_functions *world =
        job->trace->simulated_only ? &world_simulated : &world_real;
    if (job->reference) {
        reference_run(&job->trace->program, world, result);
        return;
    }
    const struct etalon_subject *subject = load_subject(job->subject->path, error, sizeof error);
    if (subject == NULL)
        return; /* it was one when it was looked at */
    crash_watch(&result->crash);
    struct etalon_subject held = *subject;
    held.offers = job->subject->offers; /* perhaps fewer: --outside */
    if ((held.offers & ETALON_OFFERS_ROUNDS) != 0)
        strict_run(&held, &job->trace->program, world, result);
    else
        outside_run(&held, &job->trace->program, job->lenient, result);
}

/* The system call that the process sleeps in, by its number; -1: it does not, or nobody knows. */
static long sleeps_in(pid_t pid) {
    char path[64];
    long number = -1;
    snprintf(path, sizeof path, "/proc/%d/syscall", (int)pid);
    FILE *file = fopen(path, "r");
    if (file != NULL && fscanf(file, "%ld", &number) != 1)
        number = -1;
    if (file != NULL)
        fclose(file);
    return number;
}

static void make_event_printable(struct kit_event *event) {
    make_printable(event->text, sizeof event->text);
    make_printable(event->raw, sizeof event->raw);
}

static bool believable(struct kit_result *result) {
    if (result->magic != KIT_MAGIC || result->verdict >= VERDICTS ||
        result->events > KIT_EVENTS_MAX)
        return false;
    make_printable(result->clause, sizeof result->clause);
    make_printable(result->kind, sizeof result->kind);
    make_printable(result->undriven, sizeof result->undriven);
    make_printable(result->message, sizeof result->message);
    for (unsigned i = 0; i < result->events; i++)
        make_event_printable(&result->event[i]);
    return true;
}

static void keep(struct outcome *outcome, struct kit_result *result) {
    outcome->verdict = (enum verdict)result->verdict;
    snprintf(outcome->clause, sizeof outcome->clause, "%s", result->clause);
    snprintf(outcome->kind, sizeof outcome->kind, "%s", result->kind);
    snprintf(outcome->undriven, sizeof outcome->undriven, "%s", result->undriven);
    snprintf(outcome->message, sizeof outcome->message, "%s", result->message);
    outcome->callbacks = result->callbacks;
    outcome->waits = result->waits;
}

static void keep_events(struct outcome *outcome, struct kit_result *result) {
    unsigned count = result->events <= KIT_EVENTS_MAX ? result->events : 0;
    outcome->event = calloc(count + 1, sizeof *outcome->event);
    if (outcome->event == NULL)
        return;
    memcpy(outcome->event, result->event, count * sizeof *outcome->event);
    for (unsigned i = 0; i < count; i++)
        make_event_printable(&outcome->event[i]);
    outcome->events = count;
}

/* Why it has ended, or else what it has said last: a sanitizer's reason is followed by much. */
static void keep_said(struct outcome *outcome, int said) {
    static char text[32768];
    off_t size = said >= 0 ? lseek(said, 0, SEEK_END) : 0, most = sizeof text - 1;
    ssize_t length = size > 0 ? pread(said, text, (size_t)most, size > most ? size - most : 0) : 0;
    text[length > 0 ? length : 0] = '\0';
    for (ssize_t i = 0; i < length; i++)
        if (text[i] == '\0')
            text[i] = '?';
    const char *from = crash_reason(text);
    if (from == NULL)
        from = length >= (ssize_t)sizeof outcome->said ? text + length - sizeof outcome->said + 1
                                                       : text;
    snprintf(outcome->said, sizeof outcome->said, "%.*s", (int)sizeof outcome->said - 1, from);
    for (char *line = outcome->said; *line != '\0';) {
        size_t end = strcspn(line, "\n");
        bool last = line[end] == '\0';
        line[end] = '\0';
        make_printable(line, end + 1);
        line[end] = last ? '\0' : '\n';
        line += end + !last;
    }
}

static void keep_crash(struct outcome *outcome, const struct kit_result *result, int status) {
    static struct crash_record record;
    memcpy(&record, &result->crash, sizeof record);
    outcome->verdict = VERDICT_CRASH;
    if (WIFSIGNALED(status)) {
        snprintf(outcome->signal, sizeof outcome->signal, "%s", signal_name(WTERMSIG(status)));
        if (record.signal == (uint32_t)WTERMSIG(status))
            crash_stack(&record, outcome->stack, sizeof outcome->stack);
        make_printable(outcome->stack, sizeof outcome->stack);
    }
    crash_place(outcome->stack, outcome->said, WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                outcome->place, sizeof outcome->place);
    make_printable(outcome->place, sizeof outcome->place);
    const char *in = outcome->stack[0] != '\0' ? ", in " : "";
    if (WIFSIGNALED(status))
        snprintf(outcome->message, sizeof outcome->message, "it crashes: %s%s%.250s",
                 outcome->signal, in, outcome->stack);
    else
        snprintf(outcome->message, sizeof outcome->message,
                 "it ends the process by itself, with status %d", WEXITSTATUS(status));
}

static void conclude(struct slot *slot, const struct job *job, int status, bool timed_out) {
    struct kit_result *result = slot->shared;
    struct outcome *outcome = job->outcome;
    memset(outcome, 0, sizeof *outcome);
    outcome->ended = true;
    outcome->seconds = (double)(real_clock() - slot->begun_ns) / 1e9;
    keep_said(outcome, slot->said);
    bool ended_by_itself =
        !timed_out && WIFEXITED(status) && WEXITSTATUS(status) == 0 && believable(result);
    if (ended_by_itself) {
        keep(outcome, result);
    } else if (timed_out || (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)) {
        outcome->waits = result->waits;
        outcome->verdict = VERDICT_HANG;
        snprintf(outcome->message, sizeof outcome->message,
                 "no end: it makes no call that could be counted");
    } else {
        keep_crash(outcome, result, status);
    }
    keep_events(outcome, result);
    munmap(slot->shared, slot->size);
    if (slot->said >= 0)
        close(slot->said);
    *slot = (struct slot){0};
}

/* What a run takes from the runner, whose lists no run has (process_list). */
static struct trace trace_of_run;

static void begin(struct slot *slot, const struct job *job, unsigned number) {
    struct job mine = *job;
    trace_of_run = *job->trace;
    mine.trace = &trace_of_run;
    slot->size = sizeof(struct kit_result);
    slot->shared = shared_memory(slot->size);
    slot->job = number;
    slot->begun_ns = real_clock();
    slot->patience = patience();
    slot->said = memfd_create("said", MFD_CLOEXEC);
    fflush(NULL);
    slot->pid = fork();
    if (slot->pid < 0) {
        perror("etalon: fork");
        exit(2);
    }
    if (slot->pid > 0)
        return;
    seclude(slot->shared, slot->said);
    run_here(&mine, slot->shared);
    syscall(SYS_exit_group, 1);
}

/* Until one of them has ended, or is to be looked at. SIGCHLD comes here and nowhere else. */
static void wait_for_any(const struct slot *slot, unsigned count) {
    uint64_t now = real_clock(), until = now + WATCHDOG_NS;
    for (unsigned i = 0; i < count; i++)
        if (slot[i].pid != 0 && slot[i].patience.look_ns < until)
            until = slot[i].patience.look_ns;
    uint64_t left = until > now ? until - now : 0;
    struct timespec time = {(time_t)(left / 1000000000), (long)(left % 1000000000)};
    sigset_t mask = ends.mask;
    sigdelset(&mask, SIGCHLD);
    (void)syscall(SYS_ppoll, NULL, 0, &time, &mask, 8);
}

void process_run(struct job *job, unsigned jobs, unsigned parallel,
                 void (*progress)(unsigned done, unsigned all)) {
    unsigned next = 0, done = 0;
    assert(depth < DEPTH_MAX);
    if (depth == 0)
        await_ends(true);
    struct slot *own = &slots[depth++ * PARALLEL_MAX];
    child_adopt();
    keep_lists_from_runs();
    parallel = parallel == 0 ? 1 : parallel > PARALLEL_MAX ? PARALLEL_MAX : parallel;
    while (done < jobs) {
        bool moved = false;
        for (unsigned i = 0; i < parallel; i++) {
            struct slot *slot = &own[i];
            int status = 0;
            if (slot->pid == 0 && next < jobs) {
                begin(slot, &job[next], next);
                next++;
                moved = true;
            }
            if (slot->pid == 0)
                continue;
            pid_t ended = waitpid(slot->pid, &status, WNOHANG);
            bool late = ended == 0 && is_late(slot->pid, &slot->patience);
            if (ended == 0 && !late)
                continue;
            long asleep = late ? sleeps_in(slot->pid) : -1;
            if (late) {
                kill(-slot->pid, SIGKILL);
                kill(slot->pid, SIGKILL);
                waitpid(slot->pid, &status, 0);
            }
            kill(-slot->pid, SIGKILL); /* whatever it has started */
            const struct job *ended_job = &job[slot->job];
            conclude(slot, ended_job, status, late);
            ended_job->outcome->asleep_in = asleep;
            moved = true;
            done++;
            if (progress != NULL)
                progress(done, jobs);
        }
        if (!moved)
            wait_for_any(own, parallel);
    }
    depth--;
    if (depth == 0) {
        await_ends(false);
        child_end_orphans();
    }
}

bool outcome_alike(const struct outcome *a, const struct outcome *b) {
    return a->verdict == b->verdict && strcmp(a->clause, b->clause) == 0 &&
           strcmp(a->kind, b->kind) == 0 && strcmp(a->signal, b->signal) == 0 &&
           strcmp(a->place, b->place) == 0;
}

void outcome_failure(const struct outcome *outcome, char name[OUTCOME_FAILURE]) {
    bool by_clause = outcome->clause[0] != '\0';
    const char *first = by_clause                           ? outcome->clause
                        : outcome->signal[0] != 0           ? outcome->signal
                        : outcome->verdict == VERDICT_CRASH ? "exit"
                                                            : "";
    const char *second = by_clause ? outcome->kind : outcome->place;
    snprintf(name, OUTCOME_FAILURE, "%s%s%s", first, *second != '\0' ? "/" : "", second);
    if (*name == '\0')
        strcpy(name, "-");
}

void outcome_free(struct outcome *outcome) {
    free(outcome->event);
    memset(outcome, 0, sizeof *outcome);
}

#else
typedef int nothing_here;
#endif

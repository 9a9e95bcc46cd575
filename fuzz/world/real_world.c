/* SPDX-License-Identifier: MIT */
/* The real Linux with virtual time: world_real of fuzz/world/world.h. Descriptors, system calls and
 * epoll are real; the clock stands still except where a wait or a command moves it, and nothing
 * sleeps (fuzz/world/wrap.c plays the waits).
 *
 * The other ends of the program's descriptors have high numbers, so that the program and the loop
 * get the same low ones as in the simulated world. A number that this world did not give out is
 * closed to the loop, even when the test process uses it for something else. Every call here that
 * is wrapped by the linker is made by its __real_ name. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "handles.h"
#include "kernel.h"

#ifdef ETALON_MANY
#define NUMBERS 8192
#define FILES   (PROGRAM_HANDLES + KERNEL_FILES)
#define WATCHES (PROGRAM_HANDLES + KERNEL_WATCHES)
#else
#define NUMBERS 256
#define FILES   KERNEL_FILES
#define WATCHES KERNEL_WATCHES
#endif
#define PEERS_FROM        500 /* numbers of the other ends */
#define NONE              (-1)
#define CLIENTS           8
#define PAGE              4096
#define READ_THERE        (16 * PAGE) /* of what the other end has read last, for a judge */
#define MESSAGES          64
#define WORLD_OWN_EPOLL   WORLD_REAL_KINDS
#define WORLD_OWN_EVENTFD (WORLD_REAL_KINDS + 1)
#define WORLD_OWN_OUTER   (WORLD_REAL_KINDS + 2) /* an epoll instance that contains another one */

/* An open file, as the simulated kernel has it: all that the real one does not tell. */
struct open_file {
    unsigned kind; /* enum world_kind, or WORLD_OWN_… */
    unsigned numbers;
    int peer; /* number of the other end, or NONE */
    /* of a listener: the clients that wait for accept; NONE for one of the program's own */
    int client[CLIENTS];
    unsigned clients;
    uint64_t sent, taken; /* bytes that the other end has sent, and those that it has read */
    unsigned reads;       /* of the other end */
    unsigned messages;    /* datagrams that it has sent */
    bool peer_left;       /* there was another end */
    bool reset;           /* … of a stream, which had not read all */
    bool has_errors;      /* its error queue was given something */
    unsigned name;        /* of a listener; of an epoll instance: the higher, the newer */
};

struct watch {
    bool used;
    int epoll, number, file;
    uint32_t events;
    epoll_data_t data;
};

static struct {
    uint64_t clock_ns, installs, releases;
    unsigned names;
    uint64_t limit; /* the program gets no number from here on; 0: no limit */
    bool was_full;  /* there was a limit, or no room for a file */
    int handle[PROGRAM_HANDLES];
    struct {
        int file;
        unsigned watch; /* the one that was made last for it, perhaps none any more */
        uint64_t installed;
        bool by_loop;             /* it has closed it */
    } number[NUMBERS];            /* installed 0: not ours */
    struct open_file file[FILES]; /* numbers 0: free */
    struct watch watch[WATCHES];
    struct virtual_timers timers; /* the program's timerfds */
    int gives; /* the handle that the next eventfd becomes, plus 1; 0: it is the loop's own */
    struct sigaction sigpipe;
    unsigned interrupt_close;   /* the how many-th next close is; 0: none */
    uint64_t interrupted_close; /* as world_installed has called the last, or 0 */
    unsigned kept_open;         /* files that have no number of the program's, and do not end */
} reality;

/* Of each file: what the other end has read, by its place, modulo; and where the datagrams that it
 * has sent begin, and how long they are. Not cleared with each world, whose counts tell what is of
 * its own. */
static unsigned char read_there[FILES][READ_THERE];
static struct {
    uint64_t place;
    size_t length;
} messages[FILES][MESSAGES];

static bool gives_credentials;             /* with each datagram */
static volatile sig_atomic_t broken_pipes; /* how often SIGPIPE came */

static int64_t outcome(int64_t result) {
    return result < 0 ? -errno : result;
}

/* The world itself cannot go on: a fault of the machine, not of the loop. */
static int must(int result, const char *what) {
    if (result >= 0)
        return result;
    perror(what);
    exit(2); /* as for bad input: it is no difference that was found */
}

/* ---- descriptor numbers and open files ------------------------------------------------------- */

static bool known(int fd) {
    return fd >= 0 && fd < NUMBERS && reality.number[fd].installed != 0;
}

static struct open_file *named(int fd) {
    return known(fd) ? &reality.file[reality.number[fd].file] : NULL;
}

static void install(int fd, int file) {
    must(fd < NUMBERS ? 0 : -1, "real world: too many descriptors");
    reality.number[fd].file = file;
    reality.number[fd].installed = ++reality.installs;
    reality.number[fd].by_loop = false;
    reality.file[file].numbers++;
}

static int file_free(void) {
    int file = 0;
    while (file < FILES && reality.file[file].numbers > 0)
        file++;
    return file < FILES ? file : NONE;
}

/* A program may open files without end, as by accepts of which nobody hears: this world has as many
 * as the simulated one, and refuses more as Linux would. */
static bool has_room(void) {
    reality.was_full = reality.was_full || file_free() == NONE;
    return file_free() != NONE;
}

static int file_new(int fd, unsigned kind) {
    int file = file_free();
    assert(file != NONE);
    reality.file[file] = (struct open_file){.kind = kind, .peer = NONE};
    install(fd, file);
    return file;
}

static int moved(int fd, int from) {
    int copy = must(fcntl(fd, F_DUPFD_CLOEXEC, from), "fcntl");
    __real_close(fd);
    return copy;
}

/* The limit concerns what the program opens, not the ends that this world holds, nor the loop's own
 * descriptors. */
static void limit_numbers(bool on) {
    static struct rlimit usual;
    if (reality.limit == 0)
        return;
    if (on)
        must(getrlimit(RLIMIT_NOFILE, &usual), "getrlimit");
    struct rlimit limit = {on ? (rlim_t)reality.limit : usual.rlim_cur, usual.rlim_max};
    must(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
}

/* The lowest number that the program can get, or NONE. */
static int lowest_copy(int fd) {
    limit_numbers(true);
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    limit_numbers(false);
    return copy < 0 ? NONE : copy;
}

/* The smallest that Linux allows, so that a program can fill it. */
static void small_buffer(int fd) {
    int size = 1;
    must(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), "setsockopt");
}

/* Of what was closed by its last number: the other end has to see that. */
static bool sees_end(const struct open_file *f) {
    struct pollfd p = {.fd = f->peer, .events = POLLIN};
    struct timespec none = {0};
    if (f->peer == NONE || f->kind == WORLD_DATAGRAM || f->kind >= WORLD_KINDS)
        return true;
    return syscall(SYS_ppoll, &p, 1, &none, NULL, 8) > 0 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

static void file_release(int file) {
    struct open_file *f = &reality.file[file];
    reality.kept_open += !sees_end(f);
    for (unsigned i = 0; i < WATCHES; i++)
        if (reality.watch[i].file == file || reality.watch[i].epoll == file)
            reality.watch[i].used = false;
    if (f->peer != NONE && f->kind == WORLD_PIDFD)
        handles_end_process(f->peer, true);
    else if (f->peer != NONE)
        __real_close(f->peer);
    for (unsigned i = 0; i < f->clients; i++)
        if (f->client[i] != NONE)
            __real_close(f->client[i]);
}

static struct virtual_timer *timer_of(int file) {
    for (unsigned i = 0; i < reality.timers.count; i++)
        if (reality.number[reality.timers.timer[i].fd].file == file)
            return &reality.timers.timer[i];
    return NULL;
}

/* A timerfd is set off by another of its numbers, where it has one. */
static void timer_leaves(int fd, int file) {
    struct virtual_timer *timer = virtual_timer_of(&reality.timers, fd);
    for (int other = 0; timer != NULL && other < NUMBERS; other++)
        if (known(other) && reality.number[other].file == file) {
            timer->fd = other;
            return;
        }
    virtual_timer_forget(&reality.timers, fd);
}

static int64_t number_release(int fd) {
    int file = reality.number[fd].file;
    reality.number[fd].installed = 0;
    reality.releases++;
    for (unsigned d = 0; d < PROGRAM_HANDLES; d++)
        if (reality.handle[d] == fd)
            reality.handle[d] = NONE;
    int64_t result = outcome(__real_close(fd));
    timer_leaves(fd, file);
    if (--reality.file[file].numbers == 0)
        file_release(file);
    return result;
}

/* ---- the calls ------------------------------------------------------------------------------- */

static int64_t call_epoll_create1(int flags) {
    if (!has_room())
        return -ENFILE;
    int fd = __real_epoll_create1(flags);
    if (fd >= 0)
        fd = moved(fd, KERNEL_OWN_FROM);
    if (fd >= 0)
        reality.file[file_new(fd, WORLD_OWN_EPOLL)].name = ++reality.names;
    return outcome(fd);
}

/* The loop puts a new epoll instance in the place of its old one. */
static int64_t call_dup3(int fd, int copy, int flags) {
    if (fd == copy)
        return -EINVAL;
    /* never over a descriptor of the test process */
    if (!known(fd) || (!known(copy) && fcntl(copy, F_GETFD) >= 0))
        return -EBADF;
    int file = reality.number[fd].file;
    int64_t result = outcome(__real_dup3(fd, copy, flags));
    if (result < 0)
        return result;
    if (known(copy)) { /* Linux has closed it */
        int old = reality.number[copy].file;
        if (--reality.file[old].numbers == 0)
            file_release(old);
    }
    install(copy, file);
    return result;
}

/* Of an async: a descriptor of the program. */
static int64_t given_new(unsigned value, int flags) {
    int high = moved(must(__real_eventfd(value, flags), "eventfd"), PEERS_FROM);
    int fd = lowest_copy(high);
    __real_close(high);
    if (fd < 0)
        return -EMFILE;
    file_new(fd, WORLD_EVENTFD);
    reality.handle[reality.gives - 1] = fd;
    return fd;
}

static int64_t call_eventfd(unsigned value, int flags) {
    if (!has_room())
        return -ENFILE;
    if (reality.gives != 0)
        return given_new(value, flags);
    int fd = __real_eventfd(value, flags);
    if (fd >= 0)
        fd = moved(fd, KERNEL_OWN_FROM);
    if (fd >= 0)
        file_new(fd, WORLD_OWN_EVENTFD);
    return outcome(fd);
}

static bool is_watch_of(const struct watch *w, int epoll, int fd) {
    return w->used && w->epoll == epoll && w->number == fd && w->file == reality.number[fd].file;
}

static struct watch *watch_of(int epoll, int fd) {
    if (known(fd) && is_watch_of(&reality.watch[reality.number[fd].watch], epoll, fd))
        return &reality.watch[reality.number[fd].watch];
    for (unsigned i = 0; known(fd) && i < WATCHES; i++)
        if (is_watch_of(&reality.watch[i], epoll, fd))
            return &reality.watch[i];
    return NULL;
}

static struct watch *watch_new(int epoll, int fd) {
    unsigned i = 0;
    while (i < WATCHES && reality.watch[i].used)
        i++;
    if (i == WATCHES)
        return NULL;
    reality.watch[i] = (struct watch){
        .epoll = epoll, .number = fd, .file = known(fd) ? reality.number[fd].file : NONE};
    if (known(fd))
        reality.number[fd].watch = i;
    return &reality.watch[i];
}

/* The kernel gets the index of our own record as its data: so each report can be traced to its
 * registration. */
static int64_t call_epoll_ctl(int epfd, int op, int fd, const struct epoll_event *event,
                              struct kernel_control *told) {
    if (!known(epfd))
        return -EBADF;
    struct watch *w = watch_of(reality.number[epfd].file, fd);
    told->kept = w != NULL ? w->events : 0;
    if (w == NULL)
        w = watch_new(reality.number[epfd].file, fd);
    if (w == NULL)
        return -ENOSPC;
    struct epoll_event translated = {.events = event != NULL ? event->events : 0,
                                     .data.u64 = (uint64_t)(w - reality.watch)};
    int64_t result = outcome(__real_epoll_ctl(epfd, op, known(fd) ? fd : -1, &translated));
    if (result < 0)
        return result;
    if (op == EPOLL_CTL_ADD && named(fd)->kind == WORLD_OWN_EPOLL)
        named(epfd)->kind = WORLD_OWN_OUTER;
    w->used = op != EPOLL_CTL_DEL;
    w->events = translated.events;
    told->kept = w->used ? w->events : 0;
    if (event != NULL)
        w->data = event->data;
    return 0;
}

/* A number that this world did not give out is closed to the loop. */
#define CALL_NONE(name, parameters, arguments)
#define CALL_KEPT(name, parameters, arguments)
#define CALL_PASSED(name, parameters, arguments)                                                   \
    static int64_t call_##name parameters {                                                        \
        if (!known(fd))                                                                            \
            fd = -1;                                                                               \
        return outcome(__real_##name arguments);                                                   \
    }
#define CALL(name, way, real, exported, errors, result, parameters, arguments, told)               \
    CALL_##real(name, parameters, arguments)
#include "calls.def"

/* Connections are accepted in the order in which they were made: so the other end of this one is
 * known. */
static int64_t call_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
    struct open_file *listener = named(fd);
    if (listener == NULL)
        return -EBADF;
    if (!has_room())
        return -ENFILE;
    limit_numbers(true);
    int accepted = __real_accept4(fd, address, length, flags);
    limit_numbers(false);
    if (accepted < 0)
        return outcome(accepted);
    bool inet = listener->kind == WORLD_INET_LISTENER;
    if (!inet)
        small_buffer(accepted);
    int file = file_new(accepted, inet ? WORLD_INET_STREAM : WORLD_STREAM);
    assert(listener->clients > 0);
    reality.file[file].peer = listener->client[0];
    memmove(&listener->client[0], &listener->client[1],
            --listener->clients * sizeof listener->client[0]);
    return accepted;
}

static socklen_t listener_address(struct sockaddr_un *address, unsigned name) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int written = snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "etalon.%d.%u",
                           (int)getpid(), name);
    return (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1 + (socklen_t)written;
}

static struct open_file *inet_listener_at(const struct sockaddr *address, socklen_t length) {
    struct sockaddr_storage own;
    for (int fd = 0; fd < NUMBERS; fd++)
        if (known(fd) && named(fd)->kind == WORLD_INET_LISTENER &&
            handles_address(fd, &own) == length && memcmp(&own, address, length) == 0)
            return named(fd);
    return NULL;
}

static struct open_file *listener_at(const struct sockaddr *address, socklen_t length) {
    struct sockaddr_un own;
    if (address->sa_family == AF_INET)
        return inet_listener_at(address, length);
    for (unsigned i = 0; i < FILES; i++)
        if (reality.file[i].numbers > 0 && reality.file[i].kind == WORLD_LISTENER &&
            listener_address(&own, reality.file[i].name) == length &&
            memcmp(&own, address, length) == 0)
            return &reality.file[i];
    return NULL;
}

/* On the network a socket can connect to itself, where nothing listens. */
static int64_t connected(int result, const struct sockaddr *address, socklen_t length, int client) {
    int64_t told = outcome(result);
    bool begun = told == -EINPROGRESS && address->sa_family == AF_INET;
    if (told < 0 && !begun)
        return told;
    struct open_file *listener = listener_at(address, length);
    assert(begun ||
           (listener != NULL ? listener->clients < CLIENTS : address->sa_family == AF_INET));
    if (listener != NULL && listener->clients < CLIENTS)
        listener->client[listener->clients++] = client;
    return told;
}

static int64_t call_connect(int fd, const struct sockaddr *address, socklen_t length) {
    if (!known(fd))
        return -EBADF;
    return connected(__real_connect(fd, address, length), address, length, NONE);
}

static int64_t call_close(int fd) {
    uint64_t installed = known(fd) ? reality.number[fd].installed : 0;
    int64_t result = known(fd) ? number_release(fd) : -EBADF;
    if (installed != 0)
        reality.number[fd].by_loop = true;
    if (result != 0 || reality.interrupt_close == 0 || --reality.interrupt_close > 0)
        return result;
    reality.interrupted_close = installed;
    return -EINTR; /* the number is free all the same */
}

bool real_world_closed_by_loop(int fd) {
    return fd >= 0 && fd < NUMBERS && !known(fd) && reality.number[fd].by_loop;
}

void real_world_interrupt_close(unsigned at) {
    reality.interrupt_close = at;
}

uint64_t real_world_interrupted_close(void) {
    return reality.interrupted_close;
}

static bool own(int fd) {
    const struct open_file *f = named(fd);
    return f != NULL && f->kind >= WORLD_OWN_EPOLL;
}

/* ---- time and waiting ------------------------------------------------------------------------ */

static uint64_t clock_now(void) {
    return reality.clock_ns;
}

static uint64_t next_expiry(void) {
    return virtual_timers_next(&reality.timers);
}

static void timers_expire(void) {
    must(virtual_timers_expire(&reality.timers, reality.clock_ns) ? 0 : -1,
         "real world: a timerfd does not expire");
}

static void advance(uint64_t clock_ns) {
    if (clock_ns > reality.clock_ns)
        reality.clock_ns = clock_ns;
    timers_expire();
}

static int asked(void) {
    return 0;
}

static int thread(void) {
    return 0;
}

static int look(int epfd, struct epoll_event *events, int max, struct kernel_report *reports) {
    if (!known(epfd))
        return -EBADF;
    int count = (int)outcome(__real_epoll_wait(epfd, events, max, 0));
    for (int i = 0; i < count; i++) {
        const struct watch *w = &reality.watch[events[i].data.u64];
        assert(w->used);
        events[i].data = w->data;
        reports[i] = (struct kernel_report){.fd = w->number,
                                            .events = events[i].events,
                                            .stale = !known(w->number) ||
                                                     reality.number[w->number].file != w->file,
                                            .own = reality.file[w->file].kind >= WORLD_OWN_EPOLL};
    }
    return count;
}

static const struct kernel real = {
#define CALL(name, way, real, exported, errors, result, parameters, arguments, told)               \
    KERNEL_ENTRY_##way(name)
#include "calls.def"
    KERNEL_PARTS,
};

/* ---- commands -------------------------------------------------------------------------------- */

static int open_regular(void) {
    /* not a memfd: any regular file will do, and this one is the usual kind */
    char path[] = "/tmp/etalon.XXXXXX";
    int fd = must(mkostemp(path, O_CLOEXEC), "mkostemp");
    must(unlink(path), "unlink");
    for (unsigned i = 0; i < KERNEL_FILE_SIZE; i++) {
        unsigned char byte = real_world_byte(i);
        must((int)__real_write(fd, &byte, 1), "write");
    }
    must((int)lseek(fd, 0, SEEK_SET), "lseek");
    return fd;
}

static int open_listener(unsigned name) {
    struct sockaddr_un address;
    socklen_t length = listener_address(&address, name);
    int fd = must(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
    must(bind(fd, (const struct sockaddr *)&address, length), "bind");
    must(listen(fd, KERNEL_BACKLOG), "listen");
    return fd; /* no data passes here: its buffer does not matter */
}

static int open_port(unsigned name) {
    struct sockaddr_un address;
    socklen_t length = listener_address(&address, name);
    int fd = must(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
    must(bind(fd, (const struct sockaddr *)&address, length), "bind");
    small_buffer(fd);
    return fd;
}

/* Both ends of what has two: end[0] is the program's. Returns the number of ends. */
static unsigned open_ends(unsigned kind, int end[2]) {
    const int yes = 1;
    int type = (kind == WORLD_DATAGRAM ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int reader_and_writer[2];
    switch (kind) {
    case WORLD_PIPE_READER:
    case WORLD_PIPE_WRITER:
        must(pipe2(reader_and_writer, O_NONBLOCK | O_CLOEXEC), "pipe2");
        end[0] = reader_and_writer[kind == WORLD_PIPE_WRITER];
        end[1] = reader_and_writer[kind != WORLD_PIPE_WRITER];
        must(fcntl(end[0], F_SETPIPE_SZ, KERNEL_PAGES * PAGE), "fcntl");
        return 2;
    case WORLD_STREAM:
    case WORLD_DATAGRAM:
        must(socketpair(AF_UNIX, type, 0, end), "socketpair");
        small_buffer(end[0]);
        small_buffer(end[1]);
        if (kind == WORLD_DATAGRAM && gives_credentials)
            must(setsockopt(end[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes), "setsockopt");
        return 2;
    case WORLD_LISTENER: end[0] = open_listener(++reality.names); return 1;
    case WORLD_PORT: end[0] = open_port(++reality.names); return 1;
    case WORLD_SOCKET:
        end[0] = must(socket(AF_UNIX, type, 0), "socket");
        small_buffer(end[0]);
        return 1;
    case WORLD_EVENTFD:
        end[0] = must(__real_eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd");
        return 1;
    case WORLD_TIMERFD:
        end[0] =
            must(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd_create");
        return 1;
    case WORLD_FILE: end[0] = open_regular(); return 1;
    default: return (unsigned)must(handles_open(kind, end), "open");
    }
}

/* Whether there is room for the handle d and all before it, both ends of each. The usual limit of a
 * process has some for what few programs need. */
static bool has_room_for(unsigned d) {
    const rlim_t needed = 2 * (rlim_t)(d + 1) + PEERS_FROM;
    struct rlimit limit;
    if (d < PROGRAM_FEW || reality.limit != 0)
        return true;
    must(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    if (limit.rlim_cur >= needed)
        return true;
    limit.rlim_cur = limit.rlim_max < NUMBERS ? limit.rlim_max : NUMBERS;
    return limit.rlim_cur >= needed && setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static void open_handle(unsigned d, uint64_t kind) {
    int end[2];
    if (reality.handle[d] != NONE || kind >= WORLD_REAL_KINDS || !has_room())
        return;
    if (kind == WORLD_ASYNC) /* nobody has asked for the interface's own */
        kind = WORLD_EVENTFD;
    unsigned ends = open_ends((unsigned)kind, end);
    int peer = ends == 2 ? moved(end[1], PEERS_FROM) : NONE;
    int high = moved(end[0], PEERS_FROM);
    int fd = lowest_copy(high); /* now that no other end takes its place */
    __real_close(high);
    if (fd < 0 && peer != NONE)
        __real_close(peer);
    if (fd < 0)
        return;
    struct open_file *f = &reality.file[file_new(fd, (unsigned)kind)];
    if (kind == WORLD_TIMERFD)
        must(virtual_timer_add(&reality.timers, fd) ? 0 : -1, "real world: too many timerfds");
    f->peer = peer;
    f->name = reality.names;
    reality.handle[d] = fd;
}

static void duplicate(unsigned d, unsigned copy) {
    if (d == copy || copy >= PROGRAM_HANDLES)
        return;
    if (reality.handle[copy] != NONE)
        number_release(reality.handle[copy]);
    reality.handle[copy] = lowest_copy(reality.handle[d]);
    if (reality.handle[copy] >= 0)
        install(reality.handle[copy], reality.number[reality.handle[d]].file);
}

/* What the other ends read has no content. Their failures are those of a peer that cannot go on:
 * nothing happens. */
static char scrap[16 * PAGE];

/* More than there is room for is as good as all of it, with the same odd bytes: a pipe has another
 * place for these. */
static size_t scraps(uint64_t value) {
    return (size_t)(value < sizeof scrap ? value : sizeof scrap - PAGE + value % PAGE);
}

/* So that a reader can be held to what was sent: each byte follows from its place. */
static const char *letter(const struct open_file *f, size_t length) {
    static char text[sizeof scrap];
    for (size_t i = 0; i < length; i++)
        text[i] = (char)real_world_byte(f->sent + i);
    return text;
}

/* Each stranger sends one datagram, as the buffer of one does not take them all. */
static void fill_port(const struct open_file *f, size_t length) {
    struct sockaddr_un address;
    socklen_t size = listener_address(&address, f->name);
    for (long sent = 0; sent >= 0;) {
        int stranger = must(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
        small_buffer(stranger);
        sent = syscall(SYS_sendto, stranger, scrap, length, MSG_DONTWAIT, &address, size);
        __real_close(stranger);
    }
}

static void peer_write(struct open_file *f, int fd, uint64_t value) {
    size_t length = scraps(value);
    ssize_t sent = 0;
    if (f->kind == WORLD_PORT)
        fill_port(f, length);
    else if (f->kind >= WORLD_KINDS) {
        handles_write(f->kind, fd, f->peer, letter(f, length), value, &f->sent);
    } else if (f->kind == WORLD_EVENTFD) {
        (void)!__real_write(fd, &value, sizeof value);
    } else if (f->kind == WORLD_TIMERFD) {
        virtual_timer_arm(&reality.timers, timer_of((int)(f - reality.file)),
                          virtual_later_us(reality.clock_ns, value), 0);
        timers_expire();
    } else if (f->peer != NONE && f->kind == WORLD_PIPE_READER) {
        sent = __real_write(f->peer, letter(f, length), length);
    } else if (f->peer != NONE && (f->kind == WORLD_STREAM || f->kind == WORLD_DATAGRAM)) {
        sent = __real_send(f->peer, letter(f, length), length, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (f->kind == WORLD_DATAGRAM && sent >= 0 && f->peer != NONE) {
        messages[f - reality.file][f->messages % MESSAGES].place = f->sent;
        messages[f - reality.file][f->messages++ % MESSAGES].length = (size_t)sent;
    }
    f->sent += sent > 0 ? (uint64_t)sent : 0;
}

static void peer_read(struct open_file *f, uint64_t value) {
    size_t length = scraps(value);
    ssize_t taken = 0;
    if (f->peer == NONE)
        return;
    if (f->kind == WORLD_PIPE_WRITER || f->kind == WORLD_TERMINAL)
        taken = __real_read(f->peer, scrap, length);
    else if (f->kind == WORLD_STREAM || f->kind == WORLD_DATAGRAM || f->kind == WORLD_INET_STREAM ||
             f->kind == WORLD_INET_DATAGRAM)
        taken = __real_recv(f->peer, scrap, length, MSG_DONTWAIT);
    unsigned char *kept = read_there[f - reality.file];
    for (ssize_t i = 0; i < taken; i++)
        kept[(f->taken + (uint64_t)i) % READ_THERE] = (unsigned char)scrap[i];
    f->taken += taken > 0 ? (uint64_t)taken : 0;
    f->reads++;
}

uint64_t real_world_changes(void) {
    return reality.installs + reality.releases;
}

unsigned char real_world_byte(uint64_t place) {
    return (unsigned char)(0x80 + place % 127);
}

bool real_world_letters(int fd) {
    const struct open_file *f = named(fd);
    return f != NULL && (f->peer != NONE || f->peer_left) && f->kind != WORLD_PIPE_WRITER &&
           f->kind != WORLD_INOTIFY && f->kind != WORLD_PIDFD;
}

bool real_world_received(int fd, uint64_t *bytes) {
    const struct open_file *f = named(fd);
    int left = 0;
    if (f == NULL || f->peer == NONE || (f->kind != WORLD_PIPE_WRITER && f->kind != WORLD_STREAM) ||
        ioctl(f->peer, FIONREAD, &left) != 0)
        return false;
    *bytes = f->taken + (uint64_t)left;
    return true;
}

/* Up to `size` bytes that wait at the other end, which stay there. */
static ssize_t look_at_waiting(const struct open_file *f, void *bytes, size_t size) {
    int copy[2];
    if (f->kind != WORLD_PIPE_WRITER)
        return __real_recv(f->peer, bytes, size, MSG_PEEK | MSG_DONTWAIT);
    must(pipe2(copy, O_NONBLOCK | O_CLOEXEC), "pipe2");
    ssize_t length = tee(f->peer, copy[1], size, SPLICE_F_NONBLOCK);
    if (length > 0)
        length = __real_read(copy[0], bytes, (size_t)length);
    __real_close(copy[0]);
    __real_close(copy[1]);
    return length;
}

bool real_world_came(int fd, uint64_t place, const void *bytes, size_t length) {
    static unsigned char waiting[16 * PAGE];
    const unsigned char *expected = bytes;
    const struct open_file *f = named(fd);
    uint64_t received;
    if (f == NULL || !real_world_received(fd, &received) || place + length > received ||
        place + READ_THERE < f->taken)
        return true; /* nobody knows */
    ssize_t there = look_at_waiting(f, waiting, sizeof waiting);
    for (uint64_t i = place; i < place + length; i++) {
        if (i >= f->taken && i - f->taken >= (uint64_t)(there > 0 ? there : 0))
            return true;
        unsigned char came =
            i < f->taken ? read_there[f - reality.file][i % READ_THERE] : waiting[i - f->taken];
        if (came != expected[i - place])
            return false;
    }
    return true;
}

/* Linux gives one after the other to whoever looks from an offset on. */
bool real_world_message(int fd, unsigned reads, const void *bytes, size_t length) {
    static char message[8192];
    const struct open_file *f = named(fd);
    int offset = 0, off = -1;
    bool found = false;
    if (f == NULL || f->kind != WORLD_DATAGRAM || f->peer == NONE || f->reads != reads ||
        length == 0)
        return true;
    must(setsockopt(f->peer, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset), "setsockopt");
    for (ssize_t got = 0; got >= 0 && !found;) {
        got = __real_recv(f->peer, message, sizeof message, MSG_PEEK | MSG_DONTWAIT);
        found = got == (ssize_t)length && memcmp(message, bytes, length) == 0;
    }
    must(setsockopt(f->peer, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof off), "setsockopt");
    return found;
}

bool real_world_sent(int fd, unsigned number, uint64_t *place, size_t *length) {
    const struct open_file *f = named(fd);
    if (f == NULL || f->kind != WORLD_DATAGRAM || number >= f->messages ||
        number + MESSAGES < f->messages)
        return false;
    *place = messages[f - reality.file][number % MESSAGES].place;
    *length = messages[f - reality.file][number % MESSAGES].length;
    return true;
}

void real_world_give_credentials(void) {
    gives_credentials = true;
}

unsigned real_world_reads(int fd) {
    const struct open_file *f = named(fd);
    return f != NULL ? f->reads : 0;
}

bool real_world_was_full(void) {
    return reality.was_full;
}

bool real_world_reset(int fd) {
    const struct open_file *f = named(fd);
    return f != NULL && f->reset;
}

bool real_world_has_errors(int fd) {
    const struct open_file *f = named(fd);
    return f != NULL && f->has_errors;
}

bool real_world_left(int fd) {
    const struct open_file *f = named(fd);
    return f != NULL && f->peer_left;
}

unsigned real_world_kept_open(void) {
    return reality.kept_open;
}

unsigned real_world_broken_pipes(void) {
    unsigned came = (unsigned)broken_pipes;
    broken_pipes = 0;
    return came;
}

static void count_broken_pipe(int number) {
    (void)number;
    broken_pipes++;
}

static void peer_close(struct open_file *f, int fd) {
    int left = 0;
    if (f->kind == WORLD_STREAM && f->peer != NONE)
        (void)ioctl(f->peer, FIONREAD, &left);
    if (f->peer != NONE && f->kind == WORLD_PIDFD) {
        handles_end_process(f->peer, false);
        return;
    }
    if (f->peer != NONE) {
        if (f->kind >= WORLD_KINDS)
            handles_give_up(f->kind, fd, f->peer);
        else
            __real_close(f->peer);
        f->reset = f->kind == WORLD_STREAM && left > 0;
        f->peer_left = true;
    }
    f->peer = NONE;
}

static void peer_shutdown(const struct open_file *f, int fd) {
    if (f->peer == NONE)
        return;
    (void)__real_shutdown(f->peer, SHUT_WR); /* of a pipe: refused, as it should be */
    handles_settle(f->kind == WORLD_INET_STREAM ? f->kind : 0, fd, EPOLLRDHUP);
}

/* Linux sends it at once. */
static void peer_urgent(const struct open_file *f, int fd) {
    const char byte = REAL_WORLD_URGENT;
    if (f->kind == WORLD_INET_STREAM && f->peer != NONE &&
        __real_send(f->peer, &byte, 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
        handles_settle(f->kind, fd, POLLPRI);
}

static void peer_error(struct open_file *f, int fd) {
    handles_error(f->kind, fd);
    f->has_errors = true;
}

static void peer_connect(struct open_file *f, int fd) {
    struct sockaddr_un address;
    if (f->kind == WORLD_INET_LISTENER && f->clients < CLIENTS) {
        int visitor = moved(must(handles_client(fd), "connect"), PEERS_FROM);
        f->client[f->clients++] = visitor;
    }
    if (f->kind != WORLD_LISTENER)
        return;
    socklen_t length = listener_address(&address, f->name);
    int client = moved(
        must(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"), PEERS_FROM);
    small_buffer(client);
    const struct sockaddr *to = (const struct sockaddr *)&address;
    if (connected(__real_connect(client, to, length), to, length, client) < 0)
        __real_close(client);
}

static bool world_command(const struct command *command) {
    unsigned d = command->d;
    struct open_file *f = d < PROGRAM_HANDLES ? named(reality.handle[d]) : NULL;
    switch (command->kind) {
    case COMMAND_ADVANCE: advance(virtual_later(reality.clock_ns, command->value)); return true;
    case COMMAND_REWIND: return false;
    case COMMAND_ORDER: return true; /* Linux has its own */
    case COMMAND_LIMIT:
        reality.limit = command->value;
        reality.was_full = true;
        return true;
    case COMMAND_OPEN:
        if (command->value == WORLD_TCP || !has_room_for(d))
            return false;
        if (d < PROGRAM_HANDLES)
            open_handle(d, command->value);
        return true;
    default: break;
    }
    bool apart = (command->kind == COMMAND_PEER_URGENT || command->kind == COMMAND_PEER_ERROR) &&
                 f != NULL && f->kind >= WORLD_KINDS;
    if (command->kind < COMMAND_CLOSE || (command->kind > COMMAND_PEER_CONNECT && !apart))
        return false;
    if (f == NULL)
        return true;
    switch (command->kind) {
    case COMMAND_CLOSE: number_release(reality.handle[d]); break;
    case COMMAND_DUP: duplicate(d, command->other); break;
    case COMMAND_PEER_WRITE: peer_write(f, reality.handle[d], command->value); break;
    case COMMAND_PEER_READ: peer_read(f, command->value); break;
    case COMMAND_PEER_CLOSE: peer_close(f, reality.handle[d]); break;
    case COMMAND_PEER_SHUTDOWN: peer_shutdown(f, reality.handle[d]); break;
    case COMMAND_PEER_CONNECT: peer_connect(f, reality.handle[d]); break;
    case COMMAND_PEER_URGENT: peer_urgent(f, reality.handle[d]); break;
    case COMMAND_PEER_ERROR: peer_error(f, reality.handle[d]); break;
    default: break;
    }
    return true;
}

/* ---- sizes ----------------------------------------------------------------------------------- */

/* What waits at a port is one datagram more than that, as on Linux the last one is put behind. */
static uint32_t port_size(void) {
    unsigned size = 10;
    FILE *file = fopen("/proc/sys/net/unix/max_dgram_qlen", "r");
    if (file != NULL && fscanf(file, "%u", &size) != 1)
        size = 10;
    if (file != NULL)
        fclose(file);
    return size + 1;
}

/* What a message weighs depends on the version of Linux: it is sent, and the socket asked what is
 * on its way. */
static void measure(struct kernel_sizes *sizes, uint16_t *cost, unsigned room) {
    int end[2], size;
    socklen_t length = sizeof size;
    must(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, end), "socketpair");
    small_buffer(end[0]);
    must(__real_getsockopt(end[0], SOL_SOCKET, SO_SNDBUF, &size, &length), "getsockopt");
    *sizes = (struct kernel_sizes){.page = (uint32_t)sysconf(_SC_PAGESIZE),
                                   .send_buffer = (uint32_t)size,
                                   .writable = (uint32_t)size / 4 - 1, /* Linux counts from 1 */
                                   .piece = (uint32_t)size / 2 - 64,
                                   .message = (uint32_t)size - 32,
                                   .port = port_size(),
                                   .cost = cost};
    must(sizes->message < room ? 0 : -1, "real world: too large a buffer");
    for (unsigned i = 0; i <= sizes->message; i++) {
        int weight = 0;
        must((int)__real_send(end[0], scrap, i, MSG_DONTWAIT), "send");
        must(ioctl(end[0], TIOCOUTQ, &weight), "ioctl");
        must(weight > 0 && weight <= UINT16_MAX ? 0 : -1, "real world: a message of no weight");
        cost[i] = (uint16_t)weight;
        must((int)__real_recv(end[1], scrap, sizeof scrap, MSG_DONTWAIT), "recv");
    }
    __real_close(end[0]);
    __real_close(end[1]);
}

const struct kernel_sizes *real_world_sizes(void) {
    static struct kernel_sizes sizes;
    static uint16_t cost[8192];
    if (sizes.page == 0)
        measure(&sizes, cost, sizeof cost / sizeof *cost);
    return &sizes;
}

/* ---- the world ------------------------------------------------------------------------------- */

static void world_begin(const struct world_observer *observer, void *self, uint64_t clock_ns) {
    unsigned names = reality.names; /* never used twice, not even in two worlds */
    memset(&reality, 0, sizeof reality);
    reality.clock_ns = clock_ns;
    reality.names = names;
    for (unsigned d = 0; d < PROGRAM_HANDLES; d++)
        reality.handle[d] = NONE;
    /* The caller's part of section 15, 6: what a send to a socket must not need is counted. */
    struct sigaction action = {.sa_handler = count_broken_pipe, .sa_flags = SA_RESTART};
    must(sigaction(SIGPIPE, &action, &reality.sigpipe), "sigaction");
    broken_pipes = 0;
    wrap_begin(&real, observer, self);
}

static int world_owned(void) {
    int owned = 0;
    for (int fd = 0; fd < NUMBERS; fd++)
        owned += known(fd) && own(fd);
    return owned;
}

static bool world_is_socket(int fd) {
    int type;
    socklen_t length = sizeof type;
    return __real_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0;
}

static int world_end(void) {
    int unreleased = world_owned();
    for (int fd = 0; fd < NUMBERS; fd++) {
        if (known(fd))
            number_release(fd);
    }
    wrap_end();
    must(sigaction(SIGPIPE, &reality.sigpipe, NULL), "sigaction");
    return unreleased;
}

static int world_descriptor(unsigned handle) {
    return handle < PROGRAM_HANDLES ? reality.handle[handle] : NONE;
}

static bool world_adopt(unsigned handle, int fd) {
    if (!known(fd) || own(fd) || handle >= PROGRAM_HANDLES)
        return false;
    if (reality.handle[handle] != NONE) {
        number_release(fd);
        return false;
    }
    reality.handle[handle] = fd;
    return true;
}

static const void *world_address(unsigned listener, unsigned *length) {
    static struct sockaddr_un address[PROGRAM_HANDLES + 1];
    static struct sockaddr_storage inet[PROGRAM_FEW];
    *length =
        listener < PROGRAM_FEW ? handles_address(reality.handle[listener], &inet[listener]) : 0;
    if (*length > 0)
        return &inet[listener];
    unsigned d = listener < PROGRAM_HANDLES ? listener : PROGRAM_HANDLES;
    const struct open_file *f = d < PROGRAM_HANDLES ? named(reality.handle[d]) : NULL;
    *length = listener_address(&address[d], f != NULL && f->kind == WORLD_LISTENER ? f->name : 0);
    return &address[d];
}

static const void *world_port(unsigned handle, unsigned *length) {
    static struct sockaddr_un address[PROGRAM_HANDLES + 1];
    unsigned d = handle < PROGRAM_HANDLES ? handle : PROGRAM_HANDLES;
    const struct open_file *f = d < PROGRAM_HANDLES ? named(reality.handle[d]) : NULL;
    *length = listener_address(&address[d], f != NULL && f->kind == WORLD_PORT ? f->name : 0);
    return &address[d];
}

static uint32_t world_ready(int fd) {
    struct pollfd p = {.fd = known(fd) ? fd : -1,
                       .events = (short)(POLLIN | POLLPRI | POLLOUT | EPOLLRDHUP)};
    struct timespec none = {0};
    return syscall(SYS_ppoll, &p, 1, &none, NULL, 8) > 0 ? (uint32_t)(uint16_t)p.revents : 0;
}

/* While the loop replaces its epoll instance it has two; the newest one that lives counts. */
static int waited_on(void) {
    int newest = NONE;
    for (int i = 0; i < FILES; i++)
        if (reality.file[i].numbers > 0 && reality.file[i].kind == WORLD_OWN_EPOLL &&
            (newest == NONE || reality.file[i].name > reality.file[newest].name))
            newest = i;
    return newest;
}

static uint32_t world_registered(int fd, bool *any) {
    int newest = waited_on();
    const struct watch *w = newest != NONE ? watch_of(newest, fd) : NULL;
    *any = w != NULL;
    return w != NULL ? w->events : 0;
}

/* By the system call: a wait would change the order of what comes next, and poll is interposed. */
static bool world_readable(int fd) {
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    const uint64_t at_once[2] = {0}; /* a struct timespec, however wide */
    return known(fd) && syscall(SYS_ppoll, &polled, 1, at_once, NULL, 8) == 1;
}

static bool world_has_reports(void) {
    int newest = waited_on(), fd = 0;
    while (fd < NUMBERS && (!known(fd) || reality.number[fd].file != newest))
        fd++;
    return fd < NUMBERS && world_readable(fd);
}

static uint64_t world_installed(int fd) {
    return known(fd) ? reality.number[fd].installed : 0;
}

static void world_gives(int handle) {
    reality.gives = handle + 1;
}

const struct world_kind_functions world_real = WORLD_TABLE("real");

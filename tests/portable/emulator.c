/* SPDX-License-Identifier: MIT */
/* What the unit tests run on may lack something of Linux, where that is an emulator: prints a name
 * for each of such things that is tried here and goes wrong. No part of Etalon is in it, so none of
 * it is Etalon's fault. tests/portable/exempt says which test needs what. Linux itself lacks
 * nothing.
 *
 * Each trial is a process of its own, since some end it. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES 4096
#define TRIAL_S    20

static __thread int own; /* of each thread */
static int gate[2];

static void *wait_at_gate(void *unused) {
    char byte;
    own = 2;
    if (read(gate[0], &byte, 1) < 0)
        perror("read");
    return unused;
}

static bool add_thread(pthread_t *thread) {
    return pipe(gate) == 0 && pthread_create(thread, NULL, wait_at_gate, NULL) == 0;
}

static bool end_thread(pthread_t thread) {
    return write(gate[1], "x", 1) == 1 && pthread_join(thread, NULL) == 0;
}

static void on_signal(int number) {
    (void)number;
}

/* QEMU before 8.0: the descriptor tables of i386, by which a thread finds what is its own, are one
 * for all threads (its issue 1405). The return from a handler then takes the last thread's. */
static bool keeps_a_thread_apart_after_a_signal(void) {
    pthread_t thread;
    own = 1;
    signal(SIGUSR1, on_signal);
    if (!add_thread(&thread))
        return false;
    usleep(20000);
    raise(SIGUSR1);
    __asm__ volatile("" ::: "memory");
    return own == 1 && end_thread(thread);
}

static bool ends_well(pid_t process) {
    int status;
    return process > 0 && waitpid(process, &status, 0) == process && status == 0;
}

static void *nothing(void *unused) {
    return unused;
}

static bool is_busy = true;

static void *make_calls(void *unused) {
    while (__atomic_load_n(&is_busy, __ATOMIC_RELAXED))
        getppid();
    return unused;
}

/* What is forked while other threads work, and makes threads of its own. */
static bool forks_beside_threads(void) {
    pthread_t busy[2], thread;
    bool good = true;
    for (int i = 0; i < 2; i++)
        if (pthread_create(&busy[i], NULL, make_calls, NULL) != 0)
            return false;
    for (int i = 0; i < 50 && good; i++) {
        pid_t process = fork();
        if (process == 0) {
            alarm(5);
            for (int j = 0; j < 3; j++)
                if (pthread_create(&thread, NULL, nothing, NULL) != 0 ||
                    pthread_join(thread, NULL) != 0)
                    _exit(1);
            _exit(0);
        }
        good = ends_well(process);
    }
    __atomic_store_n(&is_busy, false, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++)
        pthread_join(busy[i], NULL);
    return good;
}

static bool wipes_on_fork(void) {
    char *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || madvise(page, PAGE_BYTES, MADV_WIPEONFORK) != 0)
        return false;
    page[0] = 1;
    pid_t process = fork();
    if (process == 0)
        _exit(page[0]);
    return ends_well(process);
}

static bool limits_address_space(void) {
    const struct rlimit none = {0, 0};
    return setrlimit(RLIMIT_AS, &none) == 0 && malloc(64 << 20) == NULL;
}

/* Who asks for no name has its length left as it was. */
static bool leaves_length_alone(void) {
    int ends[2];
    char byte = 0;
    struct iovec vector = {&byte, 1};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_namelen = 77;
    return socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && write(ends[1], "x", 1) == 1 &&
           recvmsg(ends[0], &message, 0) == 1 && message.msg_namelen == 77;
}

static bool waits_in_nanoseconds(void) {
    struct epoll_event event;
    const long long none[2] = {0, 0};
    return syscall(441, epoll_create1(0), &event, 1, none, NULL, 8) == 0;
}

/* Whoever writes 1 through a copy has written 1. QEMU swaps the bytes of an eventfd where the
 * machine's order is not that of the kernel below, by the number of the descriptor, and forgets it
 * for a copy by F_DUPFD. */
static bool counts_through_copies(void) {
    uint64_t value = 1;
    int fd = eventfd(0, EFD_NONBLOCK);
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 100);
    return write(copy, &value, sizeof value) == sizeof value &&
           read(fd, &value, sizeof value) == sizeof value && value == 1;
}

static bool expires_through_copies(void) {
    const struct itimerspec at_once = {{0, 0}, {0, 1}};
    uint64_t expirations = 0;
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 100);
    return timerfd_settime(fd, 0, &at_once, NULL) == 0 &&
           read(copy, &expirations, sizeof expirations) == sizeof expirations && expirations == 1;
}

static long resident_pages(void) {
    long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld %ld", &all, &resident) != 2)
        exit(1);
    fclose(file);
    return resident;
}

/* What is mapped and never touched takes no memory. QEMU has a word for each page of it. */
static bool maps_for_nothing(void) {
    size_t bytes = (size_t)1 << (sizeof bytes > 4 ? 36 : 29);
    long before = resident_pages();
    void *pages = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return pages != MAP_FAILED && mprotect(pages, bytes, PROT_READ | PROT_WRITE) == 0 &&
           resident_pages() - before < 4096;
}

/* The last real-time signals. QEMU keeps two of the kernel's for itself, and has none to send. */
static bool sends_high_signals(void) {
    sigset_t set;
    struct signalfd_siginfo told;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMAX - 1);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return false;
    int fd = signalfd(-1, &set, SFD_NONBLOCK);
    kill(getpid(), SIGRTMAX - 1);
    return read(fd, &told, sizeof told) == sizeof told;
}

static const struct {
    const char *name;
    bool (*holds)(void);
} trials[] = {
    {"threads-after-signals", keeps_a_thread_apart_after_a_signal},
    {"forks-beside-threads", forks_beside_threads},
    {"wiping-on-fork", wipes_on_fork},
    {"limits-of-memory", limits_address_space},
    {"messages-without-names", leaves_length_alone},
    {"epoll_pwait2", waits_in_nanoseconds},
    {"copies-of-eventfds", counts_through_copies},
    {"copies-of-timerfds", expires_through_copies},
    {"large-mappings", maps_for_nothing},
    {"high-signals", sends_high_signals},
};

/* Within TRIAL_S; else it is killed, with what it has forked: an emulator that spins may not even
 * heed an alarm. */
static bool ends_well_in_time(pid_t process) {
    int status = 0;
    pid_t ended = 0;
    for (int i = 0; i < TRIAL_S * 100 && ended == 0; i++) {
        ended = waitpid(process, &status, WNOHANG);
        if (ended == 0)
            usleep(10000);
    }
    kill(-process, SIGKILL);
    if (ended == 0)
        waitpid(process, &status, 0);
    return ended == process && status == 0;
}

int main(void) {
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) {
        pid_t process = fork();
        if (process > 0)
            setpgid(process, process);
        if (process == 0) {
            setpgid(0, 0);
            /* an emulator that breaks has its say on either */
            if (freopen("/dev/null", "w", stderr) == NULL ||
                freopen("/dev/null", "w", stdout) == NULL)
                _exit(1);
            _exit(trials[i].holds() ? 0 : 1);
        }
        if (process < 0 || !ends_well_in_time(process))
            puts(trials[i].name);
        fflush(stdout);
    }
    return 0;
}

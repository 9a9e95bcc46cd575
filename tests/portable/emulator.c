/* SPDX-License-Identifier: MIT */
/* What the unit tests run on may lack something of Linux, where that is an emulator: prints a name
 * for each of such things that is tried here and goes wrong. No part of Etalon is in it, so none of
 * it is Etalon's fault. tests/portable/run.sh knows which test needs what. Linux itself lacks
 * nothing.
 *
 * Each trial is a process of its own, since some end it. */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE_BYTES 4096
#define TRIAL_S    30

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
};

int main(void) {
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) {
        pid_t process = fork();
        if (process == 0) {
            alarm(TRIAL_S);
            /* an emulator that breaks has its say on either */
            if (freopen("/dev/null", "w", stderr) == NULL ||
                freopen("/dev/null", "w", stdout) == NULL)
                _exit(1);
            _exit(trials[i].holds() ? 0 : 1);
        }
        if (!ends_well(process))
            puts(trials[i].name);
        fflush(stdout);
    }
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* Counts the system calls of what a load measures: those of all threads between the two readings
 * of the processor time in bench.h. Called by bench.py.
 *
 * usage: count PROGRAM ARGUMENT…    prints the number; exit status 1 when the program has failed */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 64
#define OPTIONS     (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL)

static struct {
    pid_t thread;
    bool inside; /* a system call: its end stops the thread, too */
} threads[THREADS_MAX];
static uint64_t calls;
static unsigned readings;

static bool *inside(pid_t thread) {
    for (int i = 0; i < THREADS_MAX; i++)
        if (threads[i].thread == thread || threads[i].thread == 0) {
            threads[i].thread = thread;
            return &threads[i].inside;
        }
    fprintf(stderr, "count: more than %d threads\n", THREADS_MAX);
    exit(2);
}

static void enters(pid_t thread) {
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) <= 0 ||
        info.op != PTRACE_SYSCALL_INFO_ENTRY)
        return;
    if (info.entry.nr == SYS_clock_gettime && info.entry.args[0] == CLOCK_PROCESS_CPUTIME_ID)
        readings++;
    else
        calls += readings == 1;
}

static int run(char **argv) {
    int status, ended = 1;
    pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0)
            execv(argv[1], argv + 1);
        fprintf(stderr, "count: %s: %s\n", argv[1], strerror(errno));
        _exit(2);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
        return 2;
    ptrace(PTRACE_SETOPTIONS, child, NULL, OPTIONS);
    ptrace(PTRACE_SYSCALL, child, NULL, NULL);
    for (pid_t thread; (thread = waitpid(-1, &status, __WALL)) > 0;) {
        if (!WIFSTOPPED(status)) {
            if (thread == child)
                ended = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
            continue;
        }
        int number = WSTOPSIG(status);
        bool call = number == (SIGTRAP | 0x80), event = number == SIGTRAP || number == SIGSTOP;
        bool *is_inside = inside(thread);
        if (call && (*is_inside = !*is_inside))
            enters(thread);
        ptrace(PTRACE_SYSCALL, thread, NULL, call || event ? 0 : (long)number);
    }
    return ended;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: count PROGRAM ARGUMENT...\n");
        return 2;
    }
    int status = run(argv);
    if (status == 0 && readings == 2)
        fprintf(stderr, "%llu\n", (unsigned long long)calls);
    return status != 0 || readings != 2;
}

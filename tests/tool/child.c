/* SPDX-License-Identifier: MIT */
/* Processes that die with the tool (child.h). */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* of what a child has started: what goes on forking for longer is left */
#define GENERATIONS_MAX 100
#define OTHERS_MAX      256
#define CHILDREN_BYTES  4096

/* ---- orphans --------------------------------------------------------------------------------- */

/* What this process had when it adopted the first is not of a run. */
static struct {
    bool known;
    unsigned count;
    pid_t pid[OTHERS_MAX];
} others;

/* At most so many; the rest is there the next time. Also in the handler of a signal. */
static unsigned read_children(pid_t *pid, unsigned most) {
    char text[CHILDREN_BYTES];
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text);
    unsigned count = 0;
    pid_t number = 0;
    if (fd >= 0)
        close(fd);
    for (ssize_t i = 0; i < length && count < most; i++) { /* each has a blank behind it */
        if (text[i] >= '0' && text[i] <= '9') {
            number = number * 10 + (text[i] - '0');
        } else if (number != 0) {
            pid[count++] = number;
            number = 0;
        }
    }
    return count;
}

static bool is_other(pid_t pid) {
    for (unsigned i = 0; i < others.count; i++)
        if (others.pid[i] == pid)
            return true;
    return false;
}

void child_adopt(void) {
    if (!others.known)
        others.count = read_children(others.pid, OTHERS_MAX);
    others.known = true;
    prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL); /* all five: Valgrind looks at them */
}

/* What orphans have started comes when they end. */
static bool end_orphans(void) {
    pid_t child[CHILDREN_BYTES / 2];
    unsigned count = read_children(child, CHILDREN_BYTES / 2);
    bool any = false;
    for (unsigned i = 0; i < count; i++) {
        if (is_other(child[i]))
            continue;
        any = true;
        kill(child[i], SIGKILL);
        waitpid(child[i], NULL, 0);
    }
    return any;
}

void child_end_orphans(void) {
    for (unsigned i = 0; i < GENERATIONS_MAX && end_orphans(); i++) {
    }
}

/* ---- a child --------------------------------------------------------------------------------- */

pid_t child_fork(void) {
    pid_t parent = getpid();
    fflush(NULL);
    child_adopt(); /* what it has started comes to this process */
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) /* it has ended before that took effect */
            _exit(128 + SIGKILL);
    }
    return child;
}

bool child_wait(pid_t child, int *status) {
    pid_t ended;
    do
        ended = waitpid(child, status, 0);
    while (ended < 0 && errno == EINTR);
    int error = errno;
    child_end_orphans();
    errno = error;
    return ended == child;
}

void child_limit(unsigned processor_s, unsigned real_s) {
    struct itimerval limit = {.it_value = {.tv_sec = (time_t)processor_s}};
    signal(SIGPROF, SIG_DFL); /* whatever the caller of the tool has set */
    signal(SIGALRM, SIG_DFL);
    setitimer(ITIMER_PROF, &limit, NULL);
    alarm(real_s);
}

/* ---- the guard ------------------------------------------------------------------------------- */

#define PARENT_ENDED SIGUSR2
#define SIGNALS      NSIG

/* What ends no process, cannot be taken, or is a crash: after that the parent ends what is left. */
static const int not_guarded[] = {SIGKILL, SIGSTOP, SIGCHLD,  SIGCONT, SIGTSTP, SIGTTIN,
                                  SIGTTOU, SIGURG,  SIGWINCH, SIGILL,  SIGTRAP, SIGABRT,
                                  SIGBUS,  SIGFPE,  SIGSEGV,  SIGSYS};

static bool is_guarded[SIGNALS];

/* Nothing of this process is left, whatever ends it. */
static void on_end(int number) {
    child_end_orphans();
    _exit(128 + number);
}

static void take_signals(void) {
    struct sigaction action = {.sa_handler = on_end}, before;
    sigfillset(&action.sa_mask);
    for (int number = 1; number < SIGNALS; number++) {
        bool guards = true;
        for (size_t i = 0; i < sizeof not_guarded / sizeof *not_guarded; i++)
            guards = guards && number != not_guarded[i];
        if (!guards || sigaction(number, NULL, &before) != 0)
            continue;                                /* or it is the C library's own */
        bool ignored = before.sa_handler == SIG_IGN; /* as after nohup */
        if (number == PARENT_ENDED || !ignored)
            is_guarded[number] = sigaction(number, &action, NULL) == 0;
    }
}

void child_unguard(void) {
    for (int number = 1; number < SIGNALS; number++)
        if (is_guarded[number])
            signal(number, SIG_DFL);
}

static bool is_traced(void) {
    char line[128];
    int tracer = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "TracerPid: %d", &tracer) == 1)
            break;
    if (status != NULL)
        fclose(status);
    return tracer != 0;
}

/* Ends as the child does; what a child leaves that could not end it comes to this process. */
static void wait_and_end(pid_t child) {
    int status = 0;
    (void)child_wait(child, &status);
    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

void child_guard(void) {
    pid_t parent = getpid();
    if (is_traced())
        return;
    fflush(NULL);
    child_adopt();
    pid_t child = fork();
    if (child > 0)
        wait_and_end(child);
    if (child < 0)
        return; /* it works without */
    memset(&others, 0, sizeof others);
    take_signals();
    prctl(PR_SET_PDEATHSIG, PARENT_ENDED);
    if (getppid() != parent)
        on_end(PARENT_ENDED);
    child_adopt();
}

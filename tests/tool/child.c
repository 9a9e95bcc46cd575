/* SPDX-License-Identifier: MIT */
/* Processes that die with the tool (child.h). */
#include "child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* of what a child has started: who goes on forking for longer is left */
#define GENERATIONS_MAX 100

pid_t child_fork(void) {
    pid_t parent = getpid();
    fflush(NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* what it has started comes to this process */
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) /* it has ended before that took effect */
            _exit(128 + SIGKILL);
    }
    return child;
}

/* What orphans have started comes when they end. */
static bool end_orphans(void) {
    char path[64];
    int child;
    bool any = false;
    snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)syscall(SYS_gettid));
    FILE *children = fopen(path, "r");
    while (children != NULL && fscanf(children, "%d", &child) == 1) {
        any = true;
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    if (children != NULL)
        fclose(children);
    return any;
}

bool child_wait(pid_t child, int *status) {
    pid_t ended;
    do
        ended = waitpid(child, status, 0);
    while (ended < 0 && errno == EINTR);
    int error = errno;
    for (unsigned i = 0; i < GENERATIONS_MAX && end_orphans(); i++) {
    }
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

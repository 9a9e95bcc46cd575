/* SPDX-License-Identifier: MIT */
/* Processes that die with the tool (child.h). */
#include "child.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <unistd.h>

pid_t child_fork(void) {
    pid_t parent = getpid();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) /* it has ended before that took effect */
            _exit(128 + SIGKILL);
    }
    return child;
}

void child_limit(unsigned processor_s, unsigned real_s) {
    struct itimerval limit = {.it_value = {.tv_sec = (time_t)processor_s}};
    signal(SIGPROF, SIG_DFL); /* whatever the caller of the tool has set */
    signal(SIGALRM, SIG_DFL);
    setitimer(ITIMER_PROF, &limit, NULL);
    alarm(real_s);
}

/* SPDX-License-Identifier: MIT */
/* Processes that the tool starts to run a program in, since a program may crash the loop or never
 * end. For etalon.c and torture.c. */
#ifndef ETALON_TESTS_CHILD_H
#define ETALON_TESTS_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

/* As fork(), of a process that is killed when its parent ends, however that ends. What is buffered
 * for output is written before. */
pid_t child_fork(void);

/* Until the child has ended, and then until all is gone that it has started, which is killed.
 * False, with errno: there is no such child. */
bool child_wait(pid_t child, int *status);

/* In the child: the signal SIGPROF ends it after so much processor time, or SIGALRM after so much
 * real time. The first does not depend on what else the machine does, the second is for what waits.
 */
void child_limit(unsigned processor_s, unsigned real_s);

#endif

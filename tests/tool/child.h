/* SPDX-License-Identifier: MIT */
/* Processes that the tool starts to run a program in, since a program may crash the loop or never
 * end. For etalon.c and torture.c, and for those of a check (process.c). */
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

/* From here on orphans come to this process, also those that have left the group of their run by
 * setsid(2). */
void child_adopt(void);

/* Kills all children of this process, and what they have started, which comes when they end: but
 * not what it had before it adopted any, as a shell leaves it that became this program. */
void child_end_orphans(void);

/* From here on a child of this process does its work, and this one waits for it and ends as it
 * does. When one of the two is killed, all ends that the child has started, of which the kernel
 * would tell nobody: but not when SIGKILL ends both at once. Nothing happens under a debugger,
 * which follows this process. */
void child_guard(void);

/* In a child of such a process: its signals are its own again. */
void child_unguard(void);

#endif

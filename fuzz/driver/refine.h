/* SPDX-License-Identifier: MIT */
/* Part II refines Part I, as a check: while a program runs, the promise (model/promise.h) is told
 * what the model does, and what it forbids is a difference of the driver's, by the clause of Part
 * I. So each program also proves that what Part II allows, Part I allows.
 *
 * For lockstep.c alone. Most is seen by the model's observer; what is no event of the model's, the
 * driver tells by these. They do nothing unless lockstep_refines is set. */
#ifndef ETALON_REFINE_H
#define ETALON_REFINE_H

#include <stdbool.h>

/* Around a program: the world, the subject and the report are known. */
void refine_begin(void);
void refine_end(void);

void refine_woken_up(void); /* the loop, by a wakeup */
void refine_sleeps(void);   /* the wait in progress would, now */
/* Something that waits on no async has read the counter of the async with this descriptor. */
void refine_counter_read(int fd);
/* The loop is as the model has it. */
void refine_compare(void);

#endif

/* SPDX-License-Identifier: MIT */
/* The model with room for thousands of completions at once, for traces of programs that were not
 * written for a test: model.c, compiled once more with MODEL_WIDE, as wide_init and wide_step.
 * Beside them: what a judge needs to go past the things that a recorder could not see. Whoever
 * includes this has no other model. */
#ifndef ETALON_WIDE_H
#define ETALON_WIDE_H

#ifndef MODEL_WIDE
#define MODEL_WIDE
#endif
#include "model.h"

enum wide_due {
    WIDE_CALLBACK,
    WIDE_TRY,
    WIDE_CHOICE,
    WIDE_THREAD,
    WIDE_UNSEEN,
    WIDE_WAIT,
    WIDE_WOKEN,
    WIDE_DELIVERY,
    WIDE_END
};

/* What must be observed next. Of WIDE_CALLBACK, WIDE_TRY and WIDE_CHOICE: of what. */
enum wide_due wide_due(struct model *m, unsigned *c);
/* Leaves what was only allowed: a try at the start, further reports. False: nothing can be left. */
bool wide_move_on(struct model *m);
/* A limit of a wait that would be lawful now. */
int64_t wide_lawful_limit(const struct model *m);
/* A readiness of the descriptor of c that nobody saw, just enough to end c with this result. False:
 * c does not wait in this episode. */
bool wide_ready_unseen(struct model *m, unsigned c, int64_t result);
/* More may have been ready at the last wait than was seen: its delivery lasts until something else
 * comes. */
void wide_hold(struct model *m);
/* The kernel refused to register c; nobody saw what became of others on that descriptor. */
void wide_refused_unseen(struct model *m, unsigned c, int error);
/* Unseen, a round has started the adding timer or waiting operation c. */
void wide_start(struct model *m, unsigned c);
/* Or has not, although the model went that far. */
void wide_unstart(struct model *m, unsigned c);
/* The time is not known: the timer c may fire from now on. */
void wide_expire(struct model *m, unsigned c);
/* The loop time is known to the millisecond alone: the timer c fires when now_ms is the earlier of
 * its two deadlines, if it is (ET-ADD-7). */
void wide_settle(struct model *m, unsigned c, uint64_t now_ms);
/* A callback with this result would be lawful at this very place. */
bool wide_may_end(const struct model *m, unsigned c, int64_t result);
/* Whether it is a waiting operation, and one that the submission phase started before the kernel
 * was asked. */
bool wide_waits(const struct model *m, unsigned c);
/* After a difference: c is dead from now on, whatever it was. */
void wide_bury(struct model *m, unsigned c);
/* Whether the model has room for this async. */
bool wide_knows_async(const struct model *m, int fd);
/* As an assignment, of what is in use only. */
void wide_copy(struct model *to, const struct model *from);

#endif

/* The model with room for a thousand completions at once, for traces of programs that were not
 * written for a test. The text is model/model.c, compiled once more (wide_model.c); here the
 * names get a prefix of their own, since the tool holds both. Beside the model's interface: what a
 * judge needs to go past the things that a recorder could not see. */
#ifndef ETALON_WIDE_MODEL_H
#define ETALON_WIDE_MODEL_H

#pragma GCC diagnostic ignored                                                                     \
    "-Wpsabi" /* sets as large as these are passed within this program only */

#define MODEL_WIDE
#define model              wide_model
#define model_init         wide_model_init
#define model_clock        wide_model_clock
#define model_describe     wide_model_describe
#define model_forget       wide_model_forget
#define model_add          wide_model_add
#define model_delete       wide_model_delete
#define model_timer        wide_model_timer
#define model_reset        wide_model_reset
#define model_cancel       wide_model_cancel
#define model_stop         wide_model_stop
#define model_update_now   wide_model_update_now
#define model_deinit       wide_model_deinit
#define model_tick         wide_model_tick
#define model_try          wide_model_try
#define model_refused      wide_model_refused
#define model_wait         wide_model_wait
#define model_woken        wide_model_woken
#define model_report       wide_model_report
#define model_moved        wide_model_moved
#define model_callback     wide_model_callback
#define model_returned     wide_model_returned
#define model_settled      wide_model_settled
#define model_tick_end     wide_model_tick_end
#define model_deinit_end   wide_model_deinit_end
#define model_async_wait   wide_model_async_wait
#define model_async_deinit wide_model_async_deinit
#define model_notify       wide_model_notify
#define model_thread       wide_model_thread
#define model_took         wide_model_took
#define model_executed     wide_model_executed
#define model_gave_back    wide_model_gave_back
#define model_idle         wide_model_idle
#include "../../model/model.h"

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

/* What must be observed next. Of WIDE_CALLBACK, WIDE_TRY and WIDE_CHOICE: for whom. */
enum wide_due wide_due(struct model *m, unsigned *c);
/* Leaves what was only allowed: a try at the start, further reports. False: nothing can be left. */
bool wide_move_on(struct model *m);
/* A wait that nobody saw, by every clause as it must be, ends with `error` when the clock stands at
 * clock_ns. */
const char *wide_wait_unseen(struct model *m, uint64_t clock_ns, int error);
/* model_wait, when the time is not known: of the limit only whether there is one. */
const char *wide_wait_untimed(struct model *m, int64_t limit);
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

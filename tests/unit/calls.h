/* SPDX-License-Identifier: MIT */
/* Each event as a function: the model by hand, in one line of a test. A call returns what the
 * subject must return, an observation the clause that it breaks or NULL. model/event.h says what
 * each one means. */
#ifndef ETALON_TEST_CALLS_H
#define ETALON_TEST_CALLS_H

#include "../../model/model.h"

static inline int model_call(struct model *m, struct event event) {
    return model_step(m, &event).returns;
}

static inline const char *model_see(struct model *m, struct event event) {
    return model_step(m, &event).broken;
}

#define MODEL_CALL(...) model_call(m, (struct event){.kind = __VA_ARGS__})
#define MODEL_SEE(...)  model_see(m, (struct event){.kind = __VA_ARGS__})

static inline int model_add(struct model *m, unsigned c) {
    return MODEL_CALL(EVENT_ADD, .c = c);
}
static inline int model_delete(struct model *m, unsigned c) {
    return MODEL_CALL(EVENT_DELETE, .c = c);
}
static inline int model_timer(struct model *m, unsigned c, uint64_t delay_ms, bool has_callback,
                              uint32_t userdata) {
    return MODEL_CALL(EVENT_TIMER, .c = c, .delay_ms = delay_ms, .has_callback = has_callback,
                      .userdata = userdata);
}
static inline int model_reset(struct model *m, unsigned c, unsigned carrier, uint64_t delay_ms,
                              bool has_callback, uint32_t userdata) {
    return MODEL_CALL(EVENT_RESET, .c = c, .by = model_named(carrier), .delay_ms = delay_ms,
                      .has_callback = has_callback, .userdata = userdata);
}
static inline int model_cancel(struct model *m, unsigned cancel, unsigned target, bool has_callback,
                               uint32_t userdata) {
    return MODEL_CALL(EVENT_CANCEL, .c = model_named(target), .by = cancel,
                      .has_callback = has_callback, .userdata = userdata);
}
static inline int model_async_wait(struct model *m, unsigned c, int fd, bool has_callback,
                                   uint32_t userdata) {
    return MODEL_CALL(EVENT_ASYNC_WAIT, .c = c, .fd = fd, .has_callback = has_callback,
                      .userdata = userdata);
}
static inline int model_notify(struct model *m, int fd) {
    return MODEL_CALL(EVENT_NOTIFY, .fd = fd);
}
static inline int model_async_deinit(struct model *m, int fd) {
    return MODEL_CALL(EVENT_ASYNC_DEINIT, .fd = fd);
}
static inline int model_stop(struct model *m) {
    return MODEL_CALL(EVENT_STOP);
}
static inline int model_update_now(struct model *m) {
    return MODEL_CALL(EVENT_UPDATE_NOW);
}
static inline int model_deinit(struct model *m) {
    return MODEL_CALL(EVENT_DEINIT);
}
static inline int model_tick(struct model *m, uint64_t callbacks) {
    return MODEL_CALL(EVENT_TICK, .callbacks = callbacks);
}
/* mode: or a negative number, one that no loop knows. */
static inline int model_run(struct model *m, int mode) {
    return MODEL_CALL(EVENT_RUN, .mode = (int8_t)mode);
}
static inline const char *model_deinit_end(struct model *m) {
    return MODEL_SEE(EVENT_END, .of_deinit = true);
}
static inline const char *model_tick_end(struct model *m, int result) {
    return MODEL_SEE(EVENT_END, .result = result);
}
static inline const char *model_callback(struct model *m, unsigned c, int64_t result,
                                         uint32_t userdata) {
    return MODEL_SEE(EVENT_CALLBACK, .c = c, .result = result, .userdata = userdata);
}
static inline const char *model_returned(struct model *m, enum et_action action) {
    return MODEL_SEE(EVENT_RETURNED, .c = m->in_callback, .rearm = action == ET_REARM);
}
static inline const char *model_wait(struct model *m, int64_t timeout_ns) {
    return MODEL_SEE(EVENT_WAIT, .result = timeout_ns, .forgiven = m->forgive_registration);
}
static inline const char *model_woken(struct model *m, int error) {
    return MODEL_SEE(EVENT_WOKEN, .result = -error);
}
static inline const char *model_report(struct model *m, int fd, uint32_t events,
                                       enum model_source source) {
    return MODEL_SEE(EVENT_REPORT, .fd = fd, .events = events, .source = (uint8_t)source);
}
static inline const char *model_try(struct model *m, unsigned c, enum et_operation operation,
                                    int fd, int64_t result) {
    return MODEL_SEE(EVENT_TRY, .c = model_named(c), .operation = (uint8_t)operation, .fd = fd,
                     .result = result);
}
static inline const char *model_refused(struct model *m, int fd, int error, uint32_t kept,
                                        uint32_t claimed) {
    return MODEL_SEE(EVENT_REFUSED, .fd = fd, .result = -error, .events = kept, .claimed = claimed);
}
static inline void model_moved(struct model *m, int fd) {
    (void)MODEL_SEE(EVENT_MOVED, .fd = fd);
}
static inline const char *model_thread(struct model *m, int error) {
    return MODEL_SEE(EVENT_THREAD, .result = -error);
}
static inline const char *model_took(struct model *m, unsigned c) {
    return MODEL_SEE(EVENT_TOOK, .c = c);
}
static inline const char *model_executed(struct model *m, unsigned c, enum et_operation operation,
                                         int fd, int64_t result) {
    return MODEL_SEE(EVENT_EXECUTED, .c = c, .operation = (uint8_t)operation, .fd = fd,
                     .result = result);
}
static inline const char *model_gave_back(struct model *m, unsigned c) {
    return MODEL_SEE(EVENT_GAVE_BACK, .c = c);
}
static inline const char *model_idle(struct model *m) {
    return MODEL_SEE(EVENT_IDLE);
}
static inline const char *model_settled(struct model *m, model_set dead) {
    return MODEL_SEE(EVENT_DEAD, .c = EVENT_NOBODY, .dead = &dead);
}

#undef MODEL_CALL
#undef MODEL_SEE

#endif

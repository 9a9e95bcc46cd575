/* SPDX-License-Identifier: MIT */
/* Etalon in a libuv loop: a uv_poll on its descriptor, and a uv_timer that a uv_prepare sets to its
 * timeout right before each wait. Beside them, a timer of libuv's own.
 *
 * Build: $(pkg-config --cflags --libs libuv) */
#include <uv.h>

#include "hosted.h"

static uv_loop_t loop;
static uv_poll_t readable;
static uv_prepare_t before_wait;
static uv_timer_t due, own;
static unsigned own_ticks;

static void turn(void) {
    hosted_turn();
    if (hosted_is_done())
        uv_stop(&loop);
}

static void on_readable(uv_poll_t *handle, int status, int events) {
    (void)handle;
    (void)status;
    (void)events;
    turn();
}

static void on_due(uv_timer_t *handle) {
    (void)handle;
    turn();
}

static void on_prepare(uv_prepare_t *handle) {
    int64_t left_ms = et_loop_timeout(&hosted_loop);
    (void)handle;
    uv_update_time(&loop); /* a timer counts from the time that the loop knows */
    if (left_ms < 0)
        uv_timer_stop(&due);
    else
        uv_timer_start(&due, on_due, (uint64_t)left_ms, 0);
}

static void on_own(uv_timer_t *handle) {
    (void)handle;
    own_ticks++;
}

static void close_it(uv_handle_t *handle, void *unused) {
    (void)unused;
    uv_close(handle, NULL);
}

int main(void) {
    uv_loop_init(&loop);
    hosted_begin();
    uv_poll_init(&loop, &readable, et_loop_descriptor(&hosted_loop));
    uv_prepare_init(&loop, &before_wait);
    uv_timer_init(&loop, &due);
    uv_timer_init(&loop, &own);
    uv_poll_start(&readable, UV_READABLE, on_readable);
    uv_prepare_start(&before_wait, on_prepare);
    uv_timer_start(&own, on_own, 7, 7);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_walk(&loop, close_it, NULL); /* before the descriptor is closed */
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return hosted_end("libuv", own_ticks);
}

/* SPDX-License-Identifier: MIT */
/* Etalon in GLib's main loop: a GSource that is prepared with the loop's timeout and watches its
 * descriptor. Beside it, a timeout source of GLib's own.
 *
 * Build: $(pkg-config --cflags --libs glib-2.0) */
#include <glib-unix.h>
#include <limits.h>

#include "hosted.h"

struct etalon_source {
    GSource base;
    gpointer tag;
    GMainLoop *main;
};

/* Asked right before GLib waits. */
static gboolean prepare(GSource *source, gint *timeout_ms) {
    int64_t left_ms = et_loop_timeout(&hosted_loop);
    (void)source;
    *timeout_ms = left_ms > INT_MAX ? INT_MAX : (gint)left_ms;
    return left_ms == 0;
}

static gboolean check(GSource *source) {
    struct etalon_source *etalon = (struct etalon_source *)source;
    return g_source_query_unix_fd(source, etalon->tag) != 0 || et_loop_timeout(&hosted_loop) == 0;
}

static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer userdata) {
    (void)callback;
    (void)userdata;
    hosted_turn();
    if (hosted_is_done())
        g_main_loop_quit(((struct etalon_source *)source)->main);
    return G_SOURCE_CONTINUE;
}

static gboolean tick(gpointer ticks) {
    ++*(unsigned *)ticks;
    return G_SOURCE_CONTINUE;
}

int main(void) {
    static GSourceFuncs functions = {.prepare = prepare, .check = check, .dispatch = dispatch};
    unsigned own_ticks = 0;
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);
    GSource *source = g_source_new(&functions, sizeof(struct etalon_source));
    struct etalon_source *etalon = (struct etalon_source *)source;
    hosted_begin();
    etalon->main = loop;
    etalon->tag = g_source_add_unix_fd(source, et_loop_descriptor(&hosted_loop), G_IO_IN);
    g_source_attach(source, NULL);
    g_timeout_add(7, tick, &own_ticks);
    g_main_loop_run(loop);
    g_source_destroy(source); /* before the descriptor is closed */
    g_source_unref(source);
    g_main_loop_unref(loop);
    return hosted_end("GLib", own_ticks);
}

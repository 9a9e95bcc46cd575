/* SPDX-License-Identifier: MIT */
/* GLib, ET-EXPIRE-2: of two timeouts that have passed, the later one is called first, because it
 * was attached first.
 *
 * Build: $(pkg-config --cflags --libs glib-2.0) */
#include <glib.h>
#include <stdio.h>
#include <unistd.h>

static unsigned first_ms;

static gboolean called(gpointer delay_ms) {
    if (first_ms == 0)
        first_ms = GPOINTER_TO_UINT(delay_ms);
    return G_SOURCE_REMOVE;
}

int main(void) {
    g_timeout_add(30, called, GUINT_TO_POINTER(30));
    g_timeout_add(10, called, GUINT_TO_POINTER(10));
    usleep(40000); /* a callback that takes long, say */
    while (g_main_context_pending(NULL))
        g_main_context_iteration(NULL, FALSE);
    printf("expected: the timeout of 10 ms before that of 30 ms; seen first: %u ms\n", first_ms);
    return first_ms == 30 ? 0 : 1;
}

/* SPDX-License-Identifier: MIT */
/* GLib, ET-INIT-1: g_main_context_new ends the process when there is no descriptor left for it.
 *
 * Build: $(pkg-config --cflags --libs glib-2.0) */
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {.rlim_cur = 3, .rlim_max = 3}, core = {0, 0};
        closefrom(3);
        setrlimit(RLIMIT_NOFILE, &none);
        setrlimit(RLIMIT_CORE, &core);
        (void)g_main_context_new();
        _exit(0);
    }
    waitpid(child, &status, 0);
    printf("expected: a context that cannot be made is an error; seen: the process ends by %s\n",
           WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "itself");
    return WIFSIGNALED(status) ? 0 : 1;
}

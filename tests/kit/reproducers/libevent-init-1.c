/* SPDX-License-Identifier: MIT */
/* libevent, ET-INIT-1: event_base_new, which returns a null pointer when it fails, ends the process
 * when there is no descriptor left for it.
 *
 * Build: -levent */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {.rlim_cur = 3, .rlim_max = 3};
        closefrom(3);
        setrlimit(RLIMIT_NOFILE, &none);
        struct event_base *base = event_base_new();
        _exit(base == NULL ? 2 : 3);
    }
    waitpid(child, &status, 0);
    int returned = WIFEXITED(status) && WEXITSTATUS(status) >= 2;
    printf("expected: event_base_new returns NULL; seen: it %s\n",
           returned ? "returns" : "ends the process");
    return WIFEXITED(status) && !returned ? EXIT_SUCCESS : EXIT_FAILURE;
}

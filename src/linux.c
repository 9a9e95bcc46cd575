/* SPDX-License-Identifier: MIT */
/* What the loop asks of Linux and not every C library has, under the name that it has elsewhere, so
 * that the linker's --wrap finds it there, too. Weak: where a program has one of its own, it is the
 * same. */
#include "internal.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef ETI_LACKS_EPOLL_PWAIT2

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441 /* as on every machine; headers older than Linux 5.11 */
#endif
#define KERNEL_SIGSET_BYTES (NSIG / 8)

__attribute__((weak)) int epoll_pwait2(int epfd, struct epoll_event *events, int max,
                                       const struct timespec *timeout, const sigset_t *mask) {
    /* the kernel's, which does not depend on what the C library takes for a time_t */
    struct {
        int64_t seconds, nanoseconds;
    } limit = {0, 0};
    if (timeout != NULL) {
        limit.seconds = timeout->tv_sec;
        limit.nanoseconds = timeout->tv_nsec;
    }
    return (int)syscall(SYS_epoll_pwait2, epfd, events, max, timeout != NULL ? &limit : NULL, mask,
                        KERNEL_SIGSET_BYTES);
}

#endif

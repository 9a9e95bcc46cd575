/* SPDX-License-Identifier: MIT */
/* For MemorySanitizer, which knows what the C library's functions write, and of clang 14's time not
 * those below: each makes the call itself and says which bytes the kernel has written. Linked into
 * all programs of the variant msan. */
#include <sanitizer/msan_interface.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
                 const sigset_t *mask) {
    int count = (int)syscall(SYS_epoll_pwait2, epfd, events, max, timeout, mask, NSIG / 8);
    if (count > 0)
        __msan_unpoison(events, (size_t)count * sizeof *events);
    return count;
}

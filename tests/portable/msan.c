/* SPDX-License-Identifier: MIT */
/* For MemorySanitizer, which knows what the C library's functions write. The tool has functions of
 * its own in their place, which make the system calls by syscall(), of which it knows nothing: so
 * that is here, and says which bytes the kernel has written. Linked into all programs of the
 * variant msan, which is for x86-64. Weak, where the tool has its own, which then comes here by
 * interpose_syscall and the linker's --wrap. */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <sanitizer/linux_syscall_hooks.h>
#include <sanitizer/msan_interface.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define ERRNO_MAX 4095
/* A call has fewer arguments than six, mostly. */
#define UNCHECKED __attribute__((no_sanitize("memory")))

UNCHECKED static long kernel(long number, const long argument[6]) {
    long result;
    register long fourth __asm__("r10") = argument[3];
    register long fifth __asm__("r8") = argument[4];
    register long sixth __asm__("r9") = argument[5];
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(argument[0]), "S"(argument[1]), "d"(argument[2]),
                       "r"(fourth), "r"(fifth), "r"(sixth)
                     : "rcx", "r11", "memory");
    return result;
}

static void written(long address, size_t bytes) {
    if (address != 0 && bytes > 0)
        __msan_unpoison((void *)(uintptr_t)address, bytes);
}

/* What a call that has gone well has written. */
static void note_written(long number, long result, const long a[6]) {
    switch (number) {
    case SYS_read:
    case SYS_pread64: written(a[1], (size_t)result); break;
    case SYS_recvfrom:
        __sanitizer_syscall_post_recvfrom(result, a[0], a[1], a[2], a[3], a[4], a[5]);
        break;
    case SYS_recvmsg: __sanitizer_syscall_post_recvmsg(result, a[0], a[1], a[2]); break;
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
    case SYS_epoll_pwait2: written(a[1], (size_t)result * sizeof(struct epoll_event)); break;
    case SYS_poll:
    case SYS_ppoll: written(a[0], (size_t)a[1] * sizeof(struct pollfd)); break;
    case SYS_pselect6:
        for (int set = 1; set <= 3; set++)
            written(a[set], sizeof(fd_set));
        break;
    case SYS_getsockopt:
        written(a[4], sizeof(socklen_t));
        written(a[3], *(const socklen_t *)(uintptr_t)a[4]);
        break;
    case SYS_clock_gettime: written(a[1], sizeof(struct timespec)); break;
    case SYS_timerfd_gettime: written(a[1], sizeof(struct itimerspec)); break;
    case SYS_timerfd_settime: written(a[3], sizeof(struct itimerspec)); break;
    case SYS_rt_sigtimedwait: written(a[1], sizeof(siginfo_t)); break;
    case SYS_setitimer: written(a[2], sizeof(struct itimerval)); break;
    default: break;
    }
}

UNCHECKED static long call(long number, const long argument[6]) {
    long result = kernel(number, argument);
    if (result < 0 && result >= -ERRNO_MAX) {
        errno = (int)-result;
        return -1;
    }
    note_written(number, result, argument);
    return result;
}

long __wrap_interpose_syscall(long number, long a, long b, long c, long d, long e, long f);
UNCHECKED long __wrap_interpose_syscall(long number, long a, long b, long c, long d, long e,
                                        long f) {
    return call(number, (const long[6]){a, b, c, d, e, f});
}

UNCHECKED __attribute__((weak)) long syscall(long number, ...) {
    long argument[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        argument[i] = va_arg(arguments, long);
    va_end(arguments);
    return call(number, argument);
}

/* The C library's is unknown to clang 14's MemorySanitizer. The tool has its own. */
__attribute__((weak)) int epoll_pwait2(int epfd, struct epoll_event *events, int max,
                                       const struct timespec *timeout, const sigset_t *mask) {
    return (int)syscall(SYS_epoll_pwait2, epfd, events, max, timeout, mask, NSIG / 8);
}

/* Its allocator is in the place of the C library's, which has nothing to tell. */
struct mallinfo2 mallinfo2(void) {
    return (struct mallinfo2){0};
}

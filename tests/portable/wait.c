/* SPDX-License-Identifier: MIT */
/* What src/linux.c asks of the kernel: its epoll_pwait2 has a duration of two words of 64 bits on
 * every machine, and a time_t of 32 bits must not be taken for one. Neither the C library of most
 * machines of 32 bits nor an emulator lets that be seen, so syscall(2) is here, and looks. Exit
 * status 1 when it sees something else. Compiled by portable.py, with src/linux.c. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
                 const sigset_t *mask);

static struct epoll_event events[3];
static const int64_t *asked;
static int64_t seconds, nanoseconds;
static bool is_good = true;

static void expect(bool condition) {
    is_good = is_good && condition;
}

long syscall(long number, ...) {
    va_list arguments;
    va_start(arguments, number);
    expect(number == 441);
    expect(va_arg(arguments, int) == 7);
    expect(va_arg(arguments, struct epoll_event *) == events);
    expect(va_arg(arguments, int) == 3);
    asked = va_arg(arguments, const int64_t *);
    expect(va_arg(arguments, const sigset_t *) == NULL);
    va_end(arguments);
    if (asked != NULL) {
        seconds = asked[0];
        nanoseconds = asked[1];
    }
    return 5;
}

static void wait_for(time_t s, long ns) {
    const struct timespec limit = {.tv_sec = s, .tv_nsec = ns};
    expect(epoll_pwait2(7, events, 3, &limit, NULL) == 5);
    expect(asked != NULL && seconds == s && nanoseconds == ns);
}

int main(void) {
    wait_for(0, 0);
    wait_for(0, 999999999);
    wait_for(1099511627, 776000000); /* the longest that the loop asks for */
    expect(epoll_pwait2(7, events, 3, NULL, NULL) == 5);
    expect(asked == NULL);
    return is_good ? 0 : 1;
}

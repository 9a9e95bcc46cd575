/* SPDX-License-Identifier: MIT */
/* For Frama-C, before everything else: what src/ uses of Linux and of gcc, and Frama-C's C library
 * lacks, or says too little of. What stands here in a contract is believed. */
#ifndef ETALON_PROOFS_LINUX_ONLY_H
#define ETALON_PROOFS_LINUX_ONLY_H

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

#define POLLRDHUP       0x2000
#define MADV_WIPEONFORK 18
#define MSG_ERRQUEUE    0x2000

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
int dup3(int old, int new, int flags);
int madvise(void *page, size_t bytes, int advice);
int pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
long syscall(long number, ...);

/* The kernel counts its monotonic clock in nanoseconds, in 63 bits, from its start. */
uint64_t clock_ns;
/*@ requires clock == CLOCK_MONOTONIC && \valid(now);
    assigns *now, clock_ns;
    ensures \result == 0 && 0 <= now->tv_sec && 0 <= now->tv_nsec < 1000000000;
    ensures clock_ns == now->tv_sec * 1000000000 + now->tv_nsec <= INT64_MAX; */
int monotonic_clock(clockid_t clock, struct timespec *now);
#define clock_gettime(clock, now) monotonic_clock(clock, now)

/* Gcc's manual: how many zeros there are above the highest bit, or below the lowest. */
/*@ requires word != 0;
    assigns \nothing;
    ensures 0 <= \result <= 63;
    ensures (1 << (63 - \result)) <= word && word < (1 << (64 - \result)); */
int __builtin_clzll(unsigned long long word);
/*@ requires word != 0;
    assigns \nothing;
    ensures 0 <= \result <= 63; */
int __builtin_ctzll(unsigned long long word);
/*@ requires word != 0;
    assigns \nothing;
    ensures 0 <= \result <= 31; */
int __builtin_ctz(unsigned word);

#endif

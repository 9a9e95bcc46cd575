/* SPDX-License-Identifier: MIT */
/* What the loads of `make bench` share: the measurement, a clock that the load moves, random
 * numbers, bad arguments. Included by the one file of each program.
 *
 * A program is a set of loads in the calls of one loop. It runs one load once without measuring, so
 * that memory is mapped and caches are as they will be, and then once measured, and prints as JSON
 * how many operations that were and what they took. bench.py alternates the programs. */
#ifndef ETALON_BENCH_H
#define ETALON_BENCH_H

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char *bench_name;
static unsigned bench_share = 1; /* of the operations: one in so many is made */
static char bench_more[256];     /* what a load has to say beside: ", \"name\": value" */

#define BENCH_SECONDS_MAX 280 /* a load that loses something would wait for ever */

static inline void must(bool good, const char *what) {
    if (good)
        return;
    fprintf(stderr, "%s: %s: it failed\n", bench_name, what);
    exit(2);
}

/* ---- the clock that the loop sees: it stands still unless the load moves it ------------------ */

#ifdef BENCH_VIRTUAL_TIME
static uint64_t bench_now_ns = UINT64_C(1000000) * 1000000;

/* Takes the place of the C library's, also for the loops in shared objects. */
int clock_gettime(clockid_t clock, struct timespec *t) {
    if (clock != CLOCK_PROCESS_CPUTIME_ID && clock != CLOCK_THREAD_CPUTIME_ID) {
        t->tv_sec = (time_t)(bench_now_ns / 1000000000);
        t->tv_nsec = (long)(bench_now_ns % 1000000000);
        return 0;
    }
    return (int)syscall(SYS_clock_gettime, clock, t);
}
#endif

/* ---- the measurement ------------------------------------------------------------------------- */

/* Of this process, all its threads, user and system: what else the machine does is not in it. */
static inline uint64_t bench_cpu_ns(void) {
    struct timespec t;
    must(syscall(SYS_clock_gettime, CLOCK_PROCESS_CPUTIME_ID, &t) == 0, "clock_gettime");
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static inline uint64_t bench_wall_ns(void) {
    struct timespec t;
    must(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t) == 0, "clock_gettime");
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* What the program has taken from malloc: its own watchers and what the loop adds to them. */
static inline uint64_t bench_heap_bytes(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static uint64_t bench_begun_cpu_ns, bench_begun_wall_ns, bench_took_cpu_ns, bench_took_wall_ns;
static uint64_t bench_heap_before, bench_heap_after;

/* Each load calls these two around what is measured; valgrind's callgrind counts between them. */
__attribute__((noinline)) static void bench_begin(void) {
    bench_heap_after = bench_heap_bytes();
    bench_begun_wall_ns = bench_wall_ns();
    bench_begun_cpu_ns = bench_cpu_ns(); /* count.c counts system calls from this one */
}

__attribute__((noinline)) static void bench_end(void) {
    bench_took_cpu_ns = bench_cpu_ns() - bench_begun_cpu_ns; /* to this one */
    bench_took_wall_ns = bench_wall_ns() - bench_begun_wall_ns;
    uint64_t heap = bench_heap_bytes();
    if (heap > bench_heap_after)
        bench_heap_after = heap;
}

static inline uint64_t bench_random(void) {
    static uint64_t seed = 88172645463325252u;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed >> 16;
}

/* ---- the program ----------------------------------------------------------------------------- */

struct bench_load {
    const char *name;
    /* Makes `count` of what the load is made of go through it once; returns the operations. */
    uint64_t (*run)(size_t count);
    bool runs_twice;
};

static inline size_t bench_number(const char *text, size_t max) {
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || value == 0 || value > max) {
        fprintf(stderr, "%s: %s is no number from 1 to %zu\n", bench_name, text, max);
        exit(2);
    }
    return value;
}

/* usage: PROGRAM LOAD COUNT [cold]    cold: without the run that is not measured, and fewer
 * operations: for what counts instead of measuring */
static inline int bench_main(int argc, char **argv, const struct bench_load *loads, size_t count,
                             size_t max, void (*init)(size_t)) {
    bench_name = argv[0];
    bool cold = argc == 4 && strcmp(argv[3], "cold") == 0;
    for (size_t i = 0; i < count && (argc == 3 || cold); i++) {
        if (strcmp(loads[i].name, argv[1]) != 0)
            continue;
        size_t n = bench_number(argv[2], max);
        alarm(BENCH_SECONDS_MAX);
        bench_heap_before = bench_heap_bytes();
        init(n);
        if (cold)
            bench_share = 20;
        else if (loads[i].runs_twice)
            loads[i].run(n);
        uint64_t operations = loads[i].run(n);
        must(operations > 0, "a load of any operations");
        printf("{\"operations\": %" PRIu64 ", \"cpu_ns\": %" PRIu64 ", \"wall_ns\": %" PRIu64
               ", \"heap_bytes\": %" PRIu64 "%s}\n",
               operations, bench_took_cpu_ns, bench_took_wall_ns,
               bench_heap_after - bench_heap_before, bench_more);
        return 0;
    }
    fprintf(stderr, "usage: %s LOAD COUNT [cold]; the loads are:", argv[0]);
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, " %s", loads[i].name);
    fprintf(stderr, "\n");
    return 2;
}

#endif

/* SPDX-License-Identifier: MIT */
/* The fuzz target: every input is a program, which must run on the loop and on the model without a
 * difference. For libFuzzer, for AFL++ (afl-clang-fast -fsanitize=fuzzer) and for replay.c. */
#include "driver/lockstep.h"
#include "seen.h"
#include "shared_counts.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

struct counts {
    _Atomic uint64_t executions, commands, differences;
};

static struct counts own, *counts = &own;
static struct timespec started;

/* One in so many inputs is also checked against Part I (refine.h), which takes twice as long; 0:
 * none. Which ones depends on their bytes alone, so that what a fuzzer finds is found again. */
static unsigned long refines = 16;

static void read_refines(void) {
    const char *text = getenv("ETALON_REFINES");
    char *end;
    if (text == NULL)
        return;
    errno = 0;
    refines = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0) {
        fprintf(stderr, "etalon-fuzz: ETALON_REFINES=%s: not a number of inputs\n", text);
        exit(2);
    }
}

static bool is_chosen(const uint8_t *data, size_t size) {
    uint32_t sum = 2166136261;
    for (size_t i = 0; i < size && refines > 1; i++)
        sum = (sum ^ data[i]) * 16777619;
    return refines > 0 && (sum >> 8) % refines == 0;
}

static void count(_Atomic uint64_t *counter, uint64_t more) {
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

/* fuzz/bench.sh reads this line. */
static void print_totals(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double seconds =
        (double)(now.tv_sec - started.tv_sec) + (double)(now.tv_nsec - started.tv_nsec) / 1e9;
    fprintf(stderr, "etalon-fuzz: executions=%llu commands=%llu seconds=%.3f differences=%llu\n",
            (unsigned long long)counts->executions, (unsigned long long)counts->commands, seconds,
            (unsigned long long)counts->differences);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    clock_gettime(CLOCK_MONOTONIC, &started);
    counts = shared_counts("ETALON_FUZZ_COUNTS", &own, sizeof own);
    read_refines();
    seen_begin();
    atexit(print_totals);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct program program;
    struct lockstep_report report;
    program_decode(&program, data, size);
    lockstep_refines = is_chosen(data, size);
    lockstep_run(&lockstep_reference, &program, &world_simulated, NULL, NULL, &report);
    count(&counts->executions, 1);
    count(&counts->commands, report.commands);
    if (report.differs) {
        count(&counts->differences, 1);
        fprintf(stderr, "etalon-fuzz: difference: %s: %s\n", report.clause, report.what);
        print_totals();
        abort(); /* the fuzzers keep the input of a crash */
    }
    return 0;
}

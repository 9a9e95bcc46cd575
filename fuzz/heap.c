/* SPDX-License-Identifier: MIT */
/* The fuzz target of the timer heap (make fuzz-heap): an input is the number of timers, the time,
 * and steps (driver/heap.h), after each of which the heap must be sound and agree with a naive one.
 * For libFuzzer, for AFL++ and for replay.c. */
#include "driver/heap.h"

#include <stdio.h>
#include <stdlib.h>

#define HEADER    2
#define STEPS_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct heap_pair pair;
    if (size < HEADER)
        return 0;
    heap_pair_begin(&pair, data[0] + 1u, (UINT64_C(1) << data[1] % 64) - 1);
    for (size_t at = HEADER, step = 0; size - at >= HEAP_STEP && step < STEPS_MAX; step++) {
        const char *wrong = heap_step(&pair, data + at);
        if (wrong == NULL)
            wrong = heap_check(&pair.heap, pair.count);
        if (wrong == NULL && step % 16 == 0)
            wrong = heap_check_unused(&pair.heap);
        if (wrong != NULL) {
            fprintf(stderr, "heap: step %zu (%u %u %u %u): %s\n", step, data[at], data[at + 1],
                    data[at + 2], data[at + 3], wrong);
            abort();
        }
        at += HEAP_STEP;
    }
    return 0;
}

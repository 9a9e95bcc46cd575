/* SPDX-License-Identifier: MIT */
/* The fuzz target of the timer heap (make fuzz-heap): an input is the number of timers, the time,
 * and steps (driver/heap.h), after each of which the heap must be sound and agree with a naive one.
 * For libFuzzer and AFL++, and with -DETALON_REPLAY a program that runs the files it is given. */
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

#ifdef ETALON_REPLAY
int main(int argc, char **argv) {
    static uint8_t data[HEADER + HEAP_STEP * STEPS_MAX];
    if (argc < 2)
        fprintf(stderr, "usage: %s FILE...\n", argv[0]);
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL) {
            perror(argv[i]);
            return 2;
        }
        LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof data, file));
        fclose(file);
    }
    return argc < 2 ? 2 : 0;
}
#endif

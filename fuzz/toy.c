/* SPDX-License-Identifier: MIT */
/* The yardstick of the lockstep harness: a toy target of up to 50 operations on a small binary heap
 * for each input.
 *
 * Commands per second mean little from machine to machine. This is about the cheapest target that
 * still does something with its input; run beside the harness, with the same flags, it tells how
 * far the harness is from that. Built like the harness: for libFuzzer, for AFL++ and for
 * replay.c. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define HEAP_MAX       64
#define OPERATIONS_MAX 50

static int heap[HEAP_MAX];
static unsigned count;
static uint64_t executions, commands, begun_ns;

static uint64_t clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void swap(unsigned a, unsigned b) {
    int kept = heap[a];
    heap[a] = heap[b];
    heap[b] = kept;
}

static void sift_up(unsigned at) {
    while (at > 0 && heap[at] < heap[(at - 1) / 2]) {
        swap(at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static void sift_down(unsigned at) {
    for (;;) {
        unsigned least = 2 * at + 1;
        if (least >= count)
            return;
        if (least + 1 < count && heap[least + 1] < heap[least])
            least++;
        if (heap[at] <= heap[least])
            return;
        swap(at, least);
        at = least;
    }
}

static void push(int value) {
    if (count == HEAP_MAX)
        return;
    heap[count++] = value;
    sift_up(count - 1);
}

static void remove_at(unsigned at) {
    if (at >= count)
        return;
    heap[at] = heap[--count];
    if (at < count) {
        sift_down(at);
        sift_up(at);
    }
}

static void operate(uint8_t operation, uint8_t operand) {
    switch (operation % 6) {
    case 0:
    case 1: push(operand); break;
    case 2: remove_at(0); break;
    case 3: remove_at(operand % HEAP_MAX); break;
    case 4: /* a new key at the root */
        if (count > 0) {
            heap[0] = operand;
            sift_down(0);
        }
        break;
    case 5: /* a smaller key somewhere */
        if (operand < count) {
            heap[operand]--;
            sift_up(operand);
        }
        break;
    }
}

static void summarise(void) {
    double seconds = begun_ns == 0 ? 0.0 : (double)(clock_ns() - begun_ns) / 1e9;
    fprintf(stderr, "etalon-toy: executions=%llu commands=%llu seconds=%.3f\n",
            (unsigned long long)executions, (unsigned long long)commands, seconds);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    return atexit(summarise);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    if (begun_ns == 0)
        begun_ns = clock_ns();
    count = 0;
    executions++;
    for (size_t i = 0; i + 1 < size && i / 2 < OPERATIONS_MAX; i += 2) {
        operate(bytes[i], bytes[i + 1]);
        commands++;
    }
    for (unsigned at = 1; at < count; at++) {
        if (heap[at] < heap[(at - 1) / 2])
            abort();
    }
    return 0;
}

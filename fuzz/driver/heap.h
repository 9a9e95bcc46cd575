/* SPDX-License-Identifier: MIT */
/* The timer heap of src/heap.c beside a naive one, which is an array that is looked through: one
 * step at a time, of four bytes. For the fuzz target (fuzz/heap.c) and tests/unit/test_heap.c. */
#ifndef ETALON_FUZZ_HEAP_H
#define ETALON_FUZZ_HEAP_H

#include "../../src/internal.h"

#include <string.h>

#define HEAP_STEP    4 /* bytes */
#define HEAP_NUMBERS 256

struct heap_pair {
    struct et_heap heap;
    struct et_completion timer[HEAP_NUMBERS];
    bool is_in[HEAP_NUMBERS]; /* the naive heap: what is in it, and not held */
    size_t numbers, count;    /* timers that are used; that are in it */
    uint64_t now_ms, order;
};

static inline void heap_pair_begin(struct heap_pair *pair, size_t numbers, uint64_t now_ms) {
    memset(pair, 0, sizeof *pair);
    pair->numbers = numbers;
    pair->now_ms = pair->heap.base_ms = now_ms;
}

static inline bool heap_is_before(const struct et_completion *a, const struct et_completion *b) {
    return a->internal.deadline_ms != b->internal.deadline_ms
               ? a->internal.deadline_ms < b->internal.deadline_ms
               : a->internal.order < b->internal.order;
}

static inline struct et_completion *heap_naive_first(struct heap_pair *pair) {
    struct et_completion *first = NULL;
    for (size_t i = 0; i < pair->numbers; i++)
        if (pair->is_in[i] && (first == NULL || heap_is_before(&pair->timer[i], first)))
            first = &pair->timer[i];
    return first;
}

/* Small, about a power of two (so also about each boundary between levels), or without end. */
static inline uint64_t heap_distance(uint8_t kind, uint8_t value) {
    uint64_t power = UINT64_C(1) << kind % 64;
    if (kind < 64)
        return value % 4;
    return kind == 255 ? UINT64_MAX : power + value % 5 - 2;
}

static inline uint64_t heap_later(uint64_t now_ms, uint64_t distance) {
    return distance > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + distance;
}

/* ---- the insides: every timer stands where its deadline says, and nothing stands elsewhere --- */

static inline const char *heap_check_timer(const struct et_heap *heap,
                                           const struct et_completion *c, unsigned level,
                                           unsigned slot) {
    uint64_t base = heap->base_ms, deadline = c->internal.deadline_ms;
    unsigned shift = level * DIGIT_BITS;
    bool in_slot = level == 0 || slot > 0; /* and not in the level's ring */
    if (deadline < base)
        deadline = base;
    if (in_slot && (deadline >> shift & (SLOTS - 1)) != slot)
        return "a timer is in the slot of another deadline";
    if ((c->internal.place == PLACE_HEAP) != in_slot)
        return "a timer does not know whether it is in a slot";
    if (level < LEVELS - 1 && (deadline ^ base) >> shift >> DIGIT_BITS != 0)
        return "a timer is in too low a level";
    if (level > 0 && (deadline ^ base) >> shift == 0)
        return "a timer is in too high a level";
    return NULL;
}

/* Counts a tree, without recursion: down by child, on by wait_next, up by the first one's
 * wait_previous. More than count_max: it may be no tree. */
static inline const char *heap_check_tree(const struct et_heap *heap,
                                          const struct et_completion *root, unsigned level,
                                          unsigned slot, size_t *count, size_t count_max) {
    const struct et_completion *c = root;
    for (;;) {
        const char *wrong = heap_check_timer(heap, c, level, slot);
        *count += c->internal.place != PLACE_HELD;
        if (wrong != NULL || *count > count_max)
            return wrong != NULL ? wrong : "more timers are in the heap than were put";
        if (c->internal.place != PLACE_HEAP) { /* `child` may be the carrier */
            return NULL;
        } else if (c->internal.child != NULL) {
            if (c->internal.child->internal.wait_previous != c)
                return "a first child does not know its parent";
            c = c->internal.child;
        } else {
            while (c != root && c->internal.wait_next == NULL) {
                while (c->internal.wait_previous->internal.child != c)
                    c = c->internal.wait_previous;
                c = c->internal.wait_previous;
            }
            if (c == root)
                return NULL;
            if (c->internal.wait_next->internal.wait_previous != c)
                return "a sibling does not know the one before it";
            c = c->internal.wait_next;
        }
        const struct et_completion *parent = c;
        while (parent->internal.wait_previous->internal.child != parent)
            parent = parent->internal.wait_previous;
        if (!heap_is_before(parent->internal.wait_previous, c))
            return "a child is before its parent";
    }
}

static inline const char *heap_check_ring(const struct et_heap *heap, unsigned level, unsigned slot,
                                          size_t *count, size_t count_max) {
    const struct et_completion *first = heap->first[level][slot], *c = first, *next;
    bool sorted = level == 0 && (heap->is_mixed >> slot & 1) == 0;
    if (first == NULL)
        return "`used` says otherwise than the slot";
    do {
        const char *wrong = heap_check_tree(heap, c, level, slot, count, count_max);
        if (wrong != NULL)
            return wrong;
        next = c->internal.wait_next;
        if (next == NULL || next->internal.wait_previous != c)
            return "a ring is torn";
        if (sorted && (c->internal.child != NULL || (next != first && !heap_is_before(c, next))))
            return "a slot is mixed, and not said to be";
    } while ((c = next) != first);
    return NULL;
}

/* Looks at the slots that are used. */
static inline const char *heap_check(const struct et_heap *heap, size_t count_expected) {
    size_t count = 0;
    if ((heap->is_mixed & ~heap->used[0]) != 0)
        return "an empty slot is mixed";
    for (unsigned level = 0; level < LEVELS; level++) {
        if ((heap->levels >> level & 1) != (heap->used[level] != 0))
            return "`levels` says otherwise than `used`";
        for (uint64_t used = heap->used[level]; used != 0; used &= used - 1) {
            const char *wrong = heap_check_ring(heap, level, (unsigned)__builtin_ctzll(used),
                                                &count, count_expected);
            if (wrong != NULL)
                return wrong;
        }
    }
    return count == count_expected ? NULL : "a timer is missing";
}

static inline const char *heap_check_unused(const struct et_heap *heap) {
    for (unsigned level = 0; level < LEVELS; level++)
        for (unsigned slot = 0; slot < SLOTS; slot++)
            if ((heap->used[level] >> slot & 1) == 0 && heap->first[level][slot] != NULL)
                return "`used` says otherwise than the slot";
    return NULL;
}

/* ---- what completion.c does with a timer ----------------------------------------------------- */

static inline void heap_remove(struct heap_pair *pair, size_t i) {
    struct et_completion *c = &pair->timer[i];
    if (pair->is_in[i] || (c->internal.place == PLACE_HELD && c->internal.wait_next != NULL))
        eti_heap_remove(&pair->heap, c);
    c->internal.place = PLACE_NOWHERE;
    pair->count -= pair->is_in[i];
    pair->is_in[i] = false;
}

/* Its carrier is submitted. */
static inline void heap_hold(struct heap_pair *pair, size_t i) {
    struct et_completion *c = &pair->timer[i];
    if (!pair->is_in[i] || c->internal.place != PLACE_LEVEL) {
        heap_remove(pair, i);
        c->internal.wait_next = NULL; /* a list of what is due leaves it */
    }
    c->internal.place = PLACE_HELD;
    c->internal.partner = &pair->timer[0];
    pair->count -= pair->is_in[i];
    pair->is_in[i] = false;
}

/* It is held, and gets another deadline. */
static inline void heap_set_held(struct heap_pair *pair, size_t i, uint64_t deadline_ms) {
    struct et_completion *c = &pair->timer[i];
    bool moves = c->internal.wait_next != NULL && !eti_heap_keeps(&pair->heap, c, deadline_ms);
    if (moves)
        eti_heap_remove(&pair->heap, c);
    c->internal.deadline_ms = deadline_ms;
    if (moves)
        eti_heap_insert_held(&pair->heap, c);
}

/* Started, reset, or held no longer. */
static inline void heap_start(struct heap_pair *pair, size_t i, uint64_t deadline_ms) {
    struct et_completion *c = &pair->timer[i];
    bool was_in_slot = (pair->is_in[i] && c->internal.place == PLACE_HEAP) ||
                       (c->internal.place == PLACE_HELD && c->internal.wait_next == NULL);
    bool is_linked = (pair->is_in[i] && c->internal.place == PLACE_LEVEL) ||
                     (c->internal.place == PLACE_HELD && c->internal.wait_next != NULL);
    bool stays = is_linked && eti_heap_keeps(&pair->heap, c, deadline_ms);
    if (!stays)
        heap_remove(pair, i);
    c->internal.deadline_ms = deadline_ms;
    c->internal.order = pair->order++;
    if (stays)
        c->internal.place = PLACE_LEVEL, c->internal.partner = NULL;
    else if (was_in_slot)
        eti_heap_insert_sorted(&pair->heap, c);
    else
        eti_heap_insert(&pair->heap, c);
    pair->count += !pair->is_in[i];
    pair->is_in[i] = true;
}

/* ---- one step: NULL, or what is wrong -------------------------------------------------------- */

static inline const char *heap_take(struct heap_pair *pair, uint64_t now_ms) {
    struct et_completion *before = NULL, *c = eti_heap_take_due(&pair->heap, now_ms);
    pair->now_ms = now_ms;
    for (; c != NULL; before = c, c = c->internal.wait_next) {
        if (c != heap_naive_first(pair))
            return "what is due comes in another order";
        if (c->internal.deadline_ms > now_ms)
            return "what is not due is taken";
        if (c->internal.wait_previous != before)
            return "the list of what is due is torn";
        pair->is_in[c - pair->timer] = false;
        pair->timer[c - pair->timer].internal.place = PLACE_NOWHERE;
        pair->count--;
    }
    c = heap_naive_first(pair);
    return c != NULL && c->internal.deadline_ms <= now_ms ? "what is due is left" : NULL;
}

static inline const char *heap_step(struct heap_pair *pair, const uint8_t step[HEAP_STEP]) {
    const size_t i = step[1] % pair->numbers;
    struct et_completion *c = &pair->timer[i], *first;
    uint64_t distance = heap_distance(step[2], step[3]);
    switch (step[0] % 8) {
    case 0:
        first = eti_heap_first(&pair->heap);
        return first == heap_naive_first(pair) ? NULL : "another one is the earliest";
    case 1: return heap_take(pair, heap_later(pair->now_ms, distance));
    case 2: /* to the earliest, or right before it */
        first = heap_naive_first(pair);
        if (first == NULL || first->internal.deadline_ms - step[3] % 2 <= pair->now_ms)
            return NULL;
        return heap_take(pair, first->internal.deadline_ms - step[3] % 2);
    case 3:
        if (step[3] % 4 == 0 && (pair->is_in[i] || c->internal.place == PLACE_NOWHERE))
            heap_hold(pair, i);
        else
            heap_remove(pair, i);
        return NULL;
    case 5:
        if (c->internal.place == PLACE_HELD && step[3] % 2 == 0) {
            heap_set_held(pair, i, heap_later(pair->now_ms, distance));
            return NULL;
        } /* fallthrough */
    default:
        heap_start(pair, i,
                   step[0] % 8 == 4 ? pair->now_ms - step[3] % 8 /* overdue */
                                    : heap_later(pair->now_ms, distance));
        return NULL;
    }
}

#endif

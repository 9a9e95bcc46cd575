/* SPDX-License-Identifier: MIT */
/* The timer heap: a wheel whose slots are heaps. For the files of src/ only.
 *
 * Seen from base_ms, a deadline belongs to the level of the highest digit (of DIGIT_BITS bits) in
 * which the two differ, and there to the slot of its own digit. So what is in a level comes before
 * all that is in the levels above, the slots of a level are in order, and the first slot is found
 * by counting zeros.
 *
 * A slot is a ring of heaps, and until its earliest is asked for a ring of single timers, the last
 * one started last: to start, stop or reset a timer changes a few links. Who asks, before a wait,
 * has the ring of the first slot melded into one pairing heap, whose root is the answer, exact, and
 * stays so until it leaves.
 *
 * Above the lowest level a timer is in no slot at first, but in its level's ring (PLACE_LEVEL; in
 * slot 0, which no deadline there has). It stays there for as long as its deadline is of the level,
 * whatever that is: a reset changes nothing but the timer, and looks at none of its neighbours,
 * which may be anywhere in memory. When the earliest of the level is asked for, or its first slot
 * is reached, the ring is spread over the slots. What was in a slot is put into one when it is
 * reset: otherwise it would be spread each time.
 *
 * When base_ms reaches a slot of a higher level, its timers move into the levels below. A slot of
 * the lowest level has one deadline, and those that come in the order of starting stay so without
 * being compared. Where that is not so (timers of a melded slot that moves, or that were reset in
 * their level's ring; those that are overdue when they are inserted, all in the slot of base_ms)
 * the slot is_mixed, and is melded when it is taken. */
#include "internal.h"

/*@ requires \valid_read(a) && \valid_read(b) && comparable(a, b);
    assigns \nothing;
    ensures \result <==> precedes(a, b); */
static bool earlier(const struct et_completion *a, const struct et_completion *b) {
    if (a->internal.deadline_ms != b->internal.deadline_ms)
        return a->internal.deadline_ms < b->internal.deadline_ms;
    assert(a->internal.order != b->internal.order);
    return a->internal.order < b->internal.order;
}

/* ---- pairing heaps: siblings are a list; the first one's wait_previous is the parent --------- */

/* The later root becomes the earlier one's first child. */
/*@ requires root(b) && \separated(b, b->internal.child);
    requires a == \null || root(a) && \separated(a, b) && comparable(a, b);
    requires a != \null && a->internal.child != \null ==> \separated(a->internal.child, b);
    requires a != \null && b->internal.child != \null ==> \separated(b->internal.child, a);
    assigns a->internal.wait_next, a->internal.wait_previous, a->internal.child,
            b->internal.wait_next, b->internal.wait_previous, b->internal.child,
            a->internal.child->internal.wait_previous, b->internal.child->internal.wait_previous;
    ensures alone: a == \null ==> \result == b && b->internal.child == \old(b->internal.child);
    ensures a_first: a != \null && precedes(a, b) ==> \result == a && first_child_of(b, a) &&
            b->internal.wait_next == \old(a->internal.child) &&
            b->internal.child == \old(b->internal.child);
    ensures b_first: a != \null && precedes(b, a) ==> \result == b && first_child_of(a, b) &&
            a->internal.wait_next == \old(b->internal.child) &&
            a->internal.child == \old(a->internal.child); */
static struct et_completion *meld(struct et_completion *a, struct et_completion *b) {
    if (a == NULL)
        return b;
    if (earlier(b, a)) {
        struct et_completion *later = a;
        a = b;
        b = later;
    }
    b->internal.wait_next = a->internal.child;
    b->internal.wait_previous = a;
    if (a->internal.child != NULL)
        a->internal.child->internal.wait_previous = b;
    a->internal.child = b;
    return a;
}

/* Melds a list of siblings into one root: in pairs from the left, then all pairs from the right.
 * Two passes without recursion, or a long list would overflow the stack. */
static struct et_completion *meld_siblings(struct et_completion *sibling) {
    struct et_completion *pairs = NULL, *root = NULL;
    while (sibling != NULL) {
        struct et_completion *a = sibling;
        struct et_completion *b = a->internal.wait_next;
        sibling = b != NULL ? b->internal.wait_next : NULL;
        if (b != NULL)
            a = meld(a, b);
        a->internal.wait_next = pairs;
        pairs = a;
    }
    while (pairs != NULL) {
        struct et_completion *next = pairs->internal.wait_next;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

/* ---- slots ----------------------------------------------------------------------------------- */

struct place_in_heap {
    unsigned level, slot;
};

#define UNSORTED 0 /* the slot of a level's ring: there base_ms has this digit, or a greater one */

static unsigned level_of(const struct et_heap *heap, uint64_t deadline_ms) {
    if (deadline_ms <= heap->base_ms)
        return 0; /* overdue, or due at this moment */
    return (63 - (unsigned)__builtin_clzll(deadline_ms ^ heap->base_ms)) / DIGIT_BITS;
}

static struct place_in_heap slot_in(const struct et_heap *heap, unsigned level,
                                    uint64_t deadline_ms) {
    if (deadline_ms < heap->base_ms)
        deadline_ms = heap->base_ms; /* overdue */
    return (struct place_in_heap){level, deadline_ms >> level * DIGIT_BITS & (SLOTS - 1)};
}

static bool is_unsorted(struct place_in_heap at) {
    return at.level > 0 && at.slot == UNSORTED;
}

/* Where the earliest are; something must be. */
static struct place_in_heap first_place(const struct et_heap *heap) {
    unsigned level = (unsigned)__builtin_ctz(heap->levels);
    return (struct place_in_heap){level, (unsigned)__builtin_ctzll(heap->used[level])};
}

static void empty(struct et_heap *heap, struct place_in_heap at) {
    heap->first[at.level][at.slot] = NULL;
    heap->used[at.level] &= ~(UINT64_C(1) << at.slot);
    if (heap->used[at.level] == 0)
        heap->levels &= ~(1U << at.level);
    if (at.level == 0)
        heap->is_mixed &= ~(UINT64_C(1) << at.slot);
}

/* A ring becomes a ring of one heap, the root of which is the earliest. */
static struct et_completion *meld_ring(struct et_completion **first) {
    struct et_completion *root = *first;
    if (root->internal.wait_next == root)
        return root;
    root->internal.wait_previous->internal.wait_next = NULL;
    root = meld_siblings(root);
    root->internal.wait_next = root->internal.wait_previous = root;
    return *first = root;
}

/* A ring becomes a list, and its slot is empty. */
static struct et_completion *take_ring(struct et_heap *heap, struct place_in_heap at) {
    struct et_completion *first = heap->first[at.level][at.slot];
    first->internal.wait_previous->internal.wait_next = NULL;
    empty(heap, at);
    return first;
}

/* ---- what the loop calls --------------------------------------------------------------------- */

static void append(struct et_heap *heap, struct place_in_heap at, struct et_completion *c) {
    struct et_completion *first = heap->first[at.level][at.slot], *last;
    if (first == NULL) {
        c->internal.wait_next = c->internal.wait_previous = c;
        heap->first[at.level][at.slot] = c;
        heap->used[at.level] |= UINT64_C(1) << at.slot;
        heap->levels |= 1U << at.level;
        return;
    }
    last = first->internal.wait_previous;
    if (at.level == 0 && earlier(c, last))
        heap->is_mixed |= UINT64_C(1) << at.slot;
    c->internal.wait_next = first;
    c->internal.wait_previous = last;
    first->internal.wait_previous = last->internal.wait_next = c;
}

static void put_into_slot(struct et_heap *heap, unsigned level, struct et_completion *c) {
    c->internal.place = PLACE_HEAP;
    c->internal.child = NULL;
    append(heap, slot_in(heap, level, c->internal.deadline_ms), c);
}

void eti_heap_insert(struct et_heap *heap, struct et_completion *c) {
    unsigned level = level_of(heap, c->internal.deadline_ms);
    if (level == 0) {
        put_into_slot(heap, 0, c);
        return;
    }
    c->internal.place = PLACE_LEVEL;
    c->internal.child = NULL;
    append(heap, (struct place_in_heap){level, UNSORTED}, c);
}

void eti_heap_insert_sorted(struct et_heap *heap, struct et_completion *c) {
    put_into_slot(heap, level_of(heap, c->internal.deadline_ms), c);
}

void eti_heap_insert_held(struct et_heap *heap, struct et_completion *c) {
    unsigned level = level_of(heap, c->internal.deadline_ms);
    if (level > 0)
        append(heap, (struct place_in_heap){level, UNSORTED}, c);
}

static void leave_level(struct et_heap *heap, struct et_completion *c) {
    struct place_in_heap at = {level_of(heap, c->internal.deadline_ms), UNSORTED};
    struct et_completion *next = c->internal.wait_next, *previous = c->internal.wait_previous;
    if (next == c) {
        empty(heap, at);
    } else {
        next->internal.wait_previous = previous;
        previous->internal.wait_next = next;
        if (heap->first[at.level][UNSORTED] == c)
            heap->first[at.level][UNSORTED] = next;
    }
    c->internal.wait_next = c->internal.wait_previous = NULL;
}

/* c's children, melded, take its place; or else what comes after it. */
static void leave_slot(struct et_heap *heap, struct et_completion *c) {
    uint64_t deadline_ms = c->internal.deadline_ms;
    struct place_in_heap at = slot_in(heap, level_of(heap, deadline_ms), deadline_ms);
    struct et_completion **first = &heap->first[at.level][at.slot];
    struct et_completion *next = c->internal.wait_next, *previous = c->internal.wait_previous;
    struct et_completion *child = c->internal.child;
    struct et_completion *heir = child != NULL ? meld_siblings(child) : NULL;
    if (heir != NULL) {
        heir->internal.wait_next = next == c ? heir : next;
        heir->internal.wait_previous = previous == c ? heir : previous;
        if (next != NULL && next != c)
            next->internal.wait_previous = heir;
    } else {
        if (next != NULL)
            next->internal.wait_previous = previous;
        heir = next;
    }
    if (previous->internal.wait_next == c)
        previous->internal.wait_next = heir;
    else
        previous->internal.child = heir;
    if (*first == c) {
        *first = heir;
        if (heir == c)
            empty(heap, at);
    }
    c->internal.child = c->internal.wait_next = c->internal.wait_previous = NULL;
}

void eti_heap_remove(struct et_heap *heap, struct et_completion *c) {
    if (c->internal.place != PLACE_HEAP)
        leave_level(heap, c);
    else
        leave_slot(heap, c);
}

bool eti_heap_keeps(const struct et_heap *heap, const struct et_completion *c,
                    uint64_t deadline_ms) {
    return level_of(heap, deadline_ms) == level_of(heap, c->internal.deadline_ms);
}

/* A level's ring goes into the slots, but for those that are held, which nobody may find. */
static void spread(struct et_heap *heap, unsigned level) {
    struct et_completion *next;
    for (struct et_completion *c = take_ring(heap, (struct place_in_heap){level, UNSORTED});
         c != NULL; c = next) {
        next = c->internal.wait_next;
        if (c->internal.place == PLACE_HELD)
            c->internal.wait_next = c->internal.wait_previous = NULL;
        else
            put_into_slot(heap, level, c);
    }
}

struct et_completion *eti_heap_first(struct et_heap *heap) {
    while (heap->levels != 0) {
        struct place_in_heap at = first_place(heap);
        struct et_completion **first = &heap->first[at.level][at.slot];
        if (at.level == 0 && (heap->is_mixed >> at.slot & 1) == 0)
            return *first;
        if (!is_unsorted(at))
            return meld_ring(first);
        spread(heap, at.level);
    }
    return NULL;
}

/* base_ms reaches a slot of a higher level: each of its timers goes down, as far as it can. */
static void move_down(struct et_heap *heap, struct place_in_heap at) {
    struct et_completion *next;
    for (struct et_completion *c = take_ring(heap, at); c != NULL; c = next) {
        struct et_completion *last = c->internal.child;
        next = c->internal.wait_next;
        if (last != NULL) { /* its children come next */
            struct et_completion *after = next;
            next = last;
            while (last->internal.wait_next != NULL)
                last = last->internal.wait_next;
            last->internal.wait_next = after;
        }
        put_into_slot(heap, level_of(heap, c->internal.deadline_ms), c);
    }
}

static void join(struct et_completion **head, struct et_completion **tail,
                 struct et_completion *first, struct et_completion *last) {
    first->internal.wait_previous = *tail;
    if (*tail != NULL)
        (*tail)->internal.wait_next = first;
    else
        *head = first;
    *tail = last;
}

struct et_completion *eti_heap_take_due(struct et_heap *heap, uint64_t now_ms) {
    struct et_completion *due = NULL, *tail = NULL;
    while (heap->levels != 0) {
        struct place_in_heap at = first_place(heap);
        unsigned shift = at.level * DIGIT_BITS;
        if (is_unsorted(at)) {
            if (((heap->base_ms >> shift) + 1) << shift > now_ms) /* where its first slot starts */
                break;
            spread(heap, at.level);
            continue;
        }
        uint64_t start_ms = (heap->base_ms >> shift & ~(uint64_t)(SLOTS - 1)) | at.slot;
        start_ms <<= shift;
        if (start_ms > now_ms)
            break;
        heap->base_ms = start_ms;
        if (at.level > 0) {
            move_down(heap, at);
        } else if ((heap->is_mixed >> at.slot & 1) == 0) {
            struct et_completion *last = heap->first[0][at.slot]->internal.wait_previous;
            join(&due, &tail, take_ring(heap, at), last);
        } else {
            for (struct et_completion *c; (c = heap->first[0][at.slot]) != NULL;) {
                c = meld_ring(&heap->first[0][at.slot]);
                eti_heap_remove(heap, c);
                join(&due, &tail, c, c);
            }
        }
    }
    if (heap->base_ms < now_ms)
        heap->base_ms = now_ms;
    return due;
}

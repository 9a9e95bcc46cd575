/* SPDX-License-Identifier: MIT */
/* The timer queue: an intrusive pairing heap, ordered by deadline and then by the order of starting
 * or being reset. Any element can be removed. For the files of src/ only. */
#include "internal.h"

static bool earlier(const struct et_completion *a, const struct et_completion *b) {
    if (a->internal.deadline_ms != b->internal.deadline_ms)
        return a->internal.deadline_ms < b->internal.deadline_ms;
    assert(a->internal.order != b->internal.order);
    return a->internal.order < b->internal.order;
}

/* The later root becomes the earlier one's first child, whose wait_previous is its parent. */
static struct et_completion *meld(struct et_completion *a, struct et_completion *b) {
    if (a == NULL)
        return b;
    if (b == NULL)
        return a;
    if (earlier(b, a)) {
        struct et_completion *later = a;
        a = b;
        b = later;
    }
    assert(a->internal.wait_previous == NULL && b->internal.wait_previous == NULL); /* both roots */
    assert(a->internal.wait_next == NULL && b->internal.wait_next == NULL);
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
    struct et_completion *pairs = NULL;
    while (sibling != NULL) {
        struct et_completion *a = sibling;
        struct et_completion *b = a->internal.wait_next;
        sibling = b != NULL ? b->internal.wait_next : NULL;
        a->internal.wait_next = a->internal.wait_previous = NULL;
        if (b != NULL)
            b->internal.wait_next = b->internal.wait_previous = NULL;
        a = meld(a, b);
        a->internal.wait_next = pairs;
        pairs = a;
    }
    struct et_completion *root = NULL;
    while (pairs != NULL) {
        struct et_completion *next = pairs->internal.wait_next;
        pairs->internal.wait_next = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

void eti_heap_insert(struct et_completion **root, struct et_completion *c) {
    c->internal.child = c->internal.wait_next = c->internal.wait_previous = NULL;
    *root = meld(*root, c);
}

void eti_heap_remove(struct et_completion **root, struct et_completion *c) {
    struct et_completion *children = meld_siblings(c->internal.child);
    assert((c == *root) == (c->internal.wait_previous == NULL));
    if (c == *root) {
        *root = children;
    } else {
        struct et_completion *previous = c->internal.wait_previous;
        struct et_completion *next = c->internal.wait_next;
        assert(previous->internal.child == c || previous->internal.wait_next == c);
        if (previous->internal.child == c)
            previous->internal.child = next;
        else
            previous->internal.wait_next = next;
        if (next != NULL)
            next->internal.wait_previous = previous;
        *root = meld(*root, children);
    }
    c->internal.child = c->internal.wait_next = c->internal.wait_previous = NULL;
}

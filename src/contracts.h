/* SPDX-License-Identifier: MIT */
/* What the contracts of src/, the comments that begin with an at sign, speak of. Only Frama-C reads
 * it: `make prove` shows that the code keeps them (tests/proofs/README.md). */
#ifndef ETALON_CONTRACTS_H
#define ETALON_CONTRACTS_H

/* The kernel's clock, as it was read last. It counts in 63 bits: that is 292 years. */
extern uint64_t clock_ns;

/*@ logic integer ms(integer nanoseconds) = nanoseconds / 1000000;
    logic integer ns(integer milliseconds) = milliseconds * 1000000;
    logic integer ns_of(struct timespec time) = time.tv_sec * 1000000000 + time.tv_nsec; */

/* ---- lists, linked by next and previous ------------------------------------------------------ */

/* A list is told by what is in it, and what comes after and before it; none is in it twice. */
/*@ axiomatic Lists {
      type list;
      logic struct et_completion *first(list l);
      logic struct et_completion *last(list l);
      predicate in(struct et_completion *c, list l);
      logic struct et_completion *after(list l, struct et_completion *c);
      logic struct et_completion *before(list l, struct et_completion *c);

      axiom empty: \forall list l; first(l) == \null <==> last(l) == \null;
      axiom first_in: \forall list l; first(l) != \null ==> in(first(l), l);
      axiom last_in: \forall list l; last(l) != \null ==> in(last(l), l);
      axiom first_before: \forall list l, struct et_completion *c;
        in(c, l) ==> (before(l, c) == \null <==> c == first(l));
      axiom last_after: \forall list l, struct et_completion *c;
        in(c, l) ==> (after(l, c) == \null <==> c == last(l));
      axiom after_in: \forall list l, struct et_completion *c;
        in(c, l) && after(l, c) != \null ==> in(after(l, c), l);
      axiom before_in: \forall list l, struct et_completion *c;
        in(c, l) && before(l, c) != \null ==> in(before(l, c), l);
      axiom after_before: \forall list l, struct et_completion *c;
        in(c, l) && before(l, c) != \null ==> after(l, before(l, c)) == c;
      axiom before_after: \forall list l, struct et_completion *c;
        in(c, l) && after(l, c) != \null ==> before(l, after(l, c)) == c;
    }

    axiomatic WithLast {
      logic list with_last(list l, struct et_completion *c);
      axiom with_last_ends: \forall list l, struct et_completion *c;
        c != \null && !in(c, l) ==> last(with_last(l, c)) == c &&
        first(with_last(l, c)) == (last(l) == \null ? c : first(l));
      axiom with_last_in: \forall list l, struct et_completion *c, *x;
        c != \null && !in(c, l) ==> (in(x, with_last(l, c)) <==> in(x, l) || x == c);
      axiom with_last_after: \forall list l, struct et_completion *c, *x;
        c != \null && !in(c, l) ==> after(with_last(l, c), x) ==
        (x == c ? (struct et_completion *)\null : x == last(l) ? c : after(l, x));
      axiom with_last_before: \forall list l, struct et_completion *c, *x;
        c != \null && !in(c, l) ==>
        before(with_last(l, c), x) == (x == c ? last(l) : before(l, x));
    }

    axiomatic Without {
      logic list without(list l, struct et_completion *c);
      axiom without_ends: \forall list l, struct et_completion *c; in(c, l) ==>
        first(without(l, c)) == (first(l) == c ? after(l, c) : first(l)) &&
        last(without(l, c)) == (last(l) == c ? before(l, c) : last(l));
      axiom without_in: \forall list l, struct et_completion *c, *x;
        in(x, without(l, c)) <==> in(x, l) && x != c;
      axiom without_after: \forall list l, struct et_completion *c, *x; in(c, l) ==>
        after(without(l, c), x) == (after(l, x) == c ? after(l, c) : after(l, x));
      axiom without_before: \forall list l, struct et_completion *c, *x; in(c, l) ==>
        before(without(l, c), x) == (before(l, x) == c ? before(l, c) : before(l, x));
    }

    predicate apart(list l, struct et_completion *c) = c != \null && !in(c, l) &&
        \forall struct et_completion *x; in(x, l) ==> \separated(x, c);

    predicate forth{L}(list l) =
        \forall struct et_completion *x; in(x, l) ==> x->internal.next == after(l, x);
    predicate back{L}(list l) =
        \forall struct et_completion *x; in(x, l) ==> x->internal.previous == before(l, x);

    predicate placed{L}(list l) =
        (\forall struct et_completion *x; in(x, l) ==> \valid(x)) &&
        (\forall struct et_completion *x, *y; in(x, l) && in(y, l) && x != y ==>
            \separated(x, y));

    predicate beside{L}(struct et_completion **end, list l) = \valid(end) &&
        \forall struct et_completion *x; in(x, l) ==> \separated(x, end);

    predicate ends{L}(struct et_completion **head, struct et_completion **tail, list l) =
        \separated(head, tail) && beside(head, l) && beside(tail, l) &&
        *head == first(l) && *tail == last(l);

    predicate queue{L}(struct et_completion **head, struct et_completion **tail, list l) =
        placed(l) && ends(head, tail, l) && forth(l) && back(l);

    lemma nodes_apart: \forall struct et_completion *p, *q; \separated(p, q) ==>
        &p->internal.next != &q->internal.next &&
        &p->internal.previous != &q->internal.previous &&
        &p->internal.next != &q->internal.previous && &p->internal.previous != &q->internal.next;
    lemma ends_apart: \forall struct et_completion *p, **end; \separated(p, end) ==>
        &p->internal.next != end && &p->internal.previous != end; */

/* ---- timers ---------------------------------------------------------------------------------- */

/*@ predicate precedes{L}(struct et_completion *a, struct et_completion *b) =
        a->internal.deadline_ms < b->internal.deadline_ms ||
        a->internal.deadline_ms == b->internal.deadline_ms &&
            a->internal.order < b->internal.order;

    predicate comparable{L}(struct et_completion *a, struct et_completion *b) =
        precedes(a, b) || precedes(b, a);

    // The root of a heap, whose first child, if it has one, is elsewhere.
    predicate root{L}(struct et_completion *r) = \valid(r) &&
        (r->internal.child == \null ||
         \valid(r->internal.child) && \separated(r, r->internal.child));

    predicate first_child_of{L}(struct et_completion *c, struct et_completion *parent) =
        parent->internal.child == c && c->internal.wait_previous == parent &&
        (c->internal.wait_next == \null ||
         c->internal.wait_next->internal.wait_previous == c); */

#endif

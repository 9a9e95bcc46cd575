/* SPDX-License-Identifier: MIT */
/* Tells helgrind or drd what C11 atomics order, which they cannot see (valgrind 3.19): put before
 * everything else by -include, for the stress test alone. Nothing is suppressed: an access that no
 * atomic, mutex, condition variable or thread's end orders is reported still.
 *
 * A releasing operation is announced before it is made, an acquiring one after; the atomic objects
 * themselves, on which every access is a "race" to these tools, are not watched. -DANNOTATE_DRD for
 * drd, otherwise for helgrind. */
#ifndef ANNOTATE_H
#define ANNOTATE_H

#include <stdatomic.h>

#ifdef ANNOTATE_DRD
#include <valgrind/drd.h>
#define UNWATCHED(object) ((void)0)
/* too slow for every access */
#define UNWATCH_ONCE(object) ANNOTATE_BENIGN_RACE_SIZED(object, sizeof *(object), "atomic")
#else
#include <valgrind/helgrind.h>
#define UNWATCHED(object)    VALGRIND_HG_DISABLE_CHECKING(object, sizeof *(object))
#define UNWATCH_ONCE(object) UNWATCHED(object)
#endif

#define RELEASES(order)                                                                            \
    ((order) == memory_order_release || (order) == memory_order_acq_rel ||                         \
     (order) == memory_order_seq_cst)
#define ACQUIRES(order)                                                                            \
    ((order) == memory_order_acquire || (order) == memory_order_acq_rel ||                         \
     (order) == memory_order_seq_cst)
#define BEFORE(object, order)                                                                      \
    do {                                                                                           \
        UNWATCHED(object);                                                                         \
        if (RELEASES(order))                                                                       \
            ANNOTATE_HAPPENS_BEFORE(object);                                                       \
    } while (0)
#define AFTER(object, order)                                                                       \
    do {                                                                                           \
        if (ACQUIRES(order))                                                                       \
            ANNOTATE_HAPPENS_AFTER(object);                                                        \
    } while (0)
#define ANNOTATED(object, order, operation)                                                        \
    __extension__({                                                                                \
        BEFORE(object, order);                                                                     \
        __auto_type annotated = (operation);                                                       \
        AFTER(object, order);                                                                      \
        annotated;                                                                                 \
    })

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit
#undef atomic_compare_exchange_weak_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_load
#undef atomic_store
#undef atomic_fetch_add
#undef atomic_fetch_sub

#define atomic_load_explicit(object, order) ANNOTATED(object, order, __atomic_load_n(object, order))
#define atomic_store_explicit(object, value, order)                                                \
    __extension__({                                                                                \
        BEFORE(object, order);                                                                     \
        __atomic_store_n(object, value, order);                                                    \
    })
#define atomic_exchange_explicit(object, value, order)                                             \
    ANNOTATED(object, order, __atomic_exchange_n(object, value, order))
#define atomic_fetch_add_explicit(object, value, order)                                            \
    ANNOTATED(object, order, __atomic_fetch_add(object, value, order))
#define atomic_fetch_sub_explicit(object, value, order)                                            \
    ANNOTATED(object, order, __atomic_fetch_sub(object, value, order))
#define atomic_fetch_or_explicit(object, value, order)                                             \
    ANNOTATED(object, order, __atomic_fetch_or(object, value, order))
#define atomic_fetch_and_explicit(object, value, order)                                            \
    ANNOTATED(object, order, __atomic_fetch_and(object, value, order))
#define atomic_compare_exchange_weak_explicit(object, expected, value, order, failure)             \
    ANNOTATED(object, order,                                                                       \
              __atomic_compare_exchange_n(object, expected, value, 1, order, failure))
#define atomic_compare_exchange_strong_explicit(object, expected, value, order, failure)           \
    ANNOTATED(object, order,                                                                       \
              __atomic_compare_exchange_n(object, expected, value, 0, order, failure))
#define atomic_load(object)         atomic_load_explicit(object, memory_order_seq_cst)
#define atomic_store(object, value) atomic_store_explicit(object, value, memory_order_seq_cst)
#define atomic_fetch_add(object, value)                                                            \
    atomic_fetch_add_explicit(object, value, memory_order_seq_cst)
#define atomic_fetch_sub(object, value)                                                            \
    atomic_fetch_sub_explicit(object, value, memory_order_seq_cst)

#endif

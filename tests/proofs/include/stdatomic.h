/* SPDX-License-Identifier: MIT */
/* For Frama-C, which knows no atomic types: the memory as one thread sees it that is alone. What
 * other threads may do in between is asked of Spin, Relacy and the race detectors, not of proofs.
 * The qualifier of a pointer, `*_Atomic`, is taken away by prove.py: a macro cannot. */
#ifndef ETALON_PROOFS_STDATOMIC_H
#define ETALON_PROOFS_STDATOMIC_H

#define _Atomic(type) type

#define atomic_load_explicit(object, order)         (*(object))
#define atomic_store_explicit(object, value, order) (*(object) = (value))
#define atomic_exchange_explicit(object, value, order)                                             \
    __extension__({                                                                                \
        __typeof__(*(object)) former_ = *(object);                                                 \
        *(object) = (value);                                                                       \
        former_;                                                                                   \
    })
#define atomic_fetch_(object, operation, value)                                                    \
    __extension__({                                                                                \
        __typeof__(*(object)) former_ = *(object);                                                 \
        *(object) = former_ operation(value);                                                      \
        former_;                                                                                   \
    })
#define atomic_fetch_add_explicit(object, value, order) atomic_fetch_(object, +, value)
#define atomic_fetch_sub_explicit(object, value, order) atomic_fetch_(object, -, value)
#define atomic_fetch_or_explicit(object, value, order)  atomic_fetch_(object, |, value)
#define atomic_fetch_and_explicit(object, value, order) atomic_fetch_(object, &, value)
#define atomic_compare_exchange_strong_explicit(object, expected, value, success, failure)         \
    (*(object) == *(expected) ? (*(object) = (value), 1) : (*(expected) = *(object), 0))
#define atomic_compare_exchange_weak_explicit(object, expected, value, success, failure)           \
    atomic_compare_exchange_strong_explicit(object, expected, value, success, failure)

#endif

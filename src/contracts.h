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

#endif

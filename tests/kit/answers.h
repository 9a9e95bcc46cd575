/* SPDX-License-Identifier: MIT */
/* What Linux can have answered to an operation, as far as what its descriptor is now tells: for the
 * judge from outside. */
#ifndef ETALON_ANSWERS_H
#define ETALON_ANSWERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "../../fuzz/driver/etalon_subject.h"

/* What a loop that tries at once may meet, and what may be over when it tells: bits. */
#define CAUSE_UNCONNECTED 1U /* the socket has no other end yet */
#define CAUSE_NOT_URGENT  2U /* there are no urgent data yet, which it asks for */

/* Those of an operation that is about to be submitted. */
unsigned passing_causes(const struct etalon_subject_description *d);

/* The operation, on a descriptor that was not closed since, can have met this error (a positive
 * errno): because of what the descriptor is, or of what has happened to it, or of what was so when
 * it was submitted (passing). Other causes are for good here, so a loop may tell late. */
bool error_has_a_cause(const struct etalon_subject_description *d, int error, unsigned passing);

/* It is a socket of this address that listens, and was not shut down. */
bool takes_connections(int fd, const struct sockaddr *address, socklen_t length);

/* Nothing more can come from it: the other end has gone or has shut down, or it is a file. */
bool can_be_at_its_end(int fd);

/* Linux cannot have carried it out. left: it has no other end any more. */
bool is_to_be_refused(const struct etalon_subject_description *d, bool left);

/* A shutdown that nothing else has come before has shut down the other direction, too. */
bool is_shut_too_far(const struct etalon_subject_description *d);

/* What a connect, shutdown or close that ended with 0 was to bring about is so. */
bool is_brought_about(const struct etalon_subject_description *d);

#endif

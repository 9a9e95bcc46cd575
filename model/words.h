/* SPDX-License-Identifier: MIT */
/* What the shared words (src/etalon_vocabulary.h) mean beyond their numbers: what each operation
 * does with its descriptor, and the names of states. For the model, the drivers and every test; the
 * loop has its own opinion. */
#ifndef ETALON_WORDS_H
#define ETALON_WORDS_H

#include <stdint.h>
#include <sys/socket.h>

#include "../src/etalon_vocabulary.h"

/* What an operation does with its descriptor. Those without any of the first five do not wait; the
 * first four are the classes of the law's section 2. */
enum {
    WAITS_IN = 1,
    WAITS_OUT = 2,
    WAITS_PRIORITY = 4, /* by its flags: MSG_OOB */
    WAITS_ERROR = 8,    /* … MSG_ERRQUEUE */
    WAITS_CLASS = WAITS_IN | WAITS_OUT | WAITS_PRIORITY | WAITS_ERROR,
    WAITS_POLL = 16,
    WAITS_AT_ALL = WAITS_CLASS | WAITS_POLL,
    TRIED_AT_ONCE = 32, /* ET-SUBMIT-8 */
    POOLABLE = 64,
    TAKES_BYTES = 128,
    GIVES_BYTES = 256,
    POSITIONED = 512,
    FLAGGED = 1024, /* its description has flags: MSG_… */
};
extern const uint16_t traits_of[ET_OPERATIONS];
/* Of any number: 0 for what is no operation; flags: of its description. */
static inline unsigned operation_traits(unsigned operation, int flags) {
    unsigned traits = operation < ET_OPERATIONS ? traits_of[operation] : 0;
    if ((flags & (MSG_ERRQUEUE | MSG_OOB)) == 0 || (traits & FLAGGED) == 0 ||
        (traits & WAITS_IN) == 0)
        return traits;
    return (traits & ~(unsigned)WAITS_IN) |
           ((flags & MSG_ERRQUEUE) != 0 ? (unsigned)WAITS_ERROR : (unsigned)WAITS_PRIORITY);
}
/* What it is registered for, by its traits; `polled` of a poll; 0: nothing, or it does not wait. */
uint32_t traits_await(unsigned traits, uint32_t polled);
/* The classes of a report with these events. */
unsigned classes_of(uint32_t events);

extern const char *const state_names[ET_DELETING + 1];
const char *state_name(unsigned state); /* or "no state" */

#endif

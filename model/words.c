/* SPDX-License-Identifier: MIT */
/* What each operation does with its descriptor, and the names of states (words.h). */
#include "words.h"

#include <sys/epoll.h>

const uint8_t traits_of[ET_OPERATIONS] = {
    [ET_ACCEPT] = WAITS_IN,
    [ET_CONNECT] = WAITS_OUT,
    [ET_POLL] = WAITS_POLL,
    [ET_READ] = WAITS_IN | TAKES_BYTES | POOLABLE,
    [ET_PREAD] = WAITS_IN | TAKES_BYTES | POOLABLE | POSITIONED,
    [ET_WRITE] = WAITS_OUT | GIVES_BYTES | POOLABLE,
    [ET_PWRITE] = WAITS_OUT | GIVES_BYTES | POOLABLE | POSITIONED,
    [ET_SEND] = WAITS_OUT | GIVES_BYTES | TRIED_AT_ONCE,
    [ET_RECV] = WAITS_IN | TAKES_BYTES | TRIED_AT_ONCE,
    [ET_SENDMSG] = WAITS_OUT | GIVES_BYTES | TRIED_AT_ONCE,
    [ET_RECVMSG] = WAITS_IN | TAKES_BYTES | TRIED_AT_ONCE,
    [ET_CLOSE] = POOLABLE,
};
const char *const state_names[] = {"dead", "adding", "active", "deleting"};

unsigned operation_traits(unsigned operation) {
    return operation < ET_OPERATIONS ? traits_of[operation] : 0;
}

uint32_t operation_awaits(unsigned operation, uint32_t polled) {
    unsigned traits = operation_traits(operation);
    return (traits & WAITS_POLL) != 0  ? polled
           : (traits & WAITS_OUT) != 0 ? EPOLLOUT
           : (traits & WAITS_IN) != 0  ? EPOLLIN
                                       : 0;
}

const char *state_name(unsigned state) {
    return state <= ET_DELETING ? state_names[state] : "no state";
}

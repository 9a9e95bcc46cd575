/* SPDX-License-Identifier: MIT */
/* What each operation does with its descriptor, and the names of states (words.h). */
#include "words.h"

#include <sys/epoll.h>

const uint16_t traits_of[ET_OPERATIONS] = {
    [ET_ACCEPT] = WAITS_IN,
    [ET_CONNECT] = WAITS_OUT,
    [ET_POLL] = WAITS_POLL,
    [ET_READ] = WAITS_IN | TAKES_BYTES | POOLABLE,
    [ET_PREAD] = WAITS_IN | TAKES_BYTES | POOLABLE | POSITIONED,
    [ET_WRITE] = WAITS_OUT | GIVES_BYTES | POOLABLE,
    [ET_PWRITE] = WAITS_OUT | GIVES_BYTES | POOLABLE | POSITIONED,
    [ET_SEND] = WAITS_OUT | GIVES_BYTES | TRIED_AT_ONCE | FLAGGED,
    [ET_RECV] = WAITS_IN | TAKES_BYTES | TRIED_AT_ONCE | FLAGGED,
    [ET_SENDMSG] = WAITS_OUT | GIVES_BYTES | TRIED_AT_ONCE | FLAGGED,
    [ET_RECVMSG] = WAITS_IN | TAKES_BYTES | TRIED_AT_ONCE | FLAGGED,
    [ET_CLOSE] = POOLABLE,
};
const char *const state_names[] = {"dead", "adding", "active", "deleting"};

uint32_t traits_await(unsigned traits, uint32_t polled) {
    return ((traits & WAITS_POLL) != 0 ? polled : 0) |
           ((traits & WAITS_IN) != 0 ? (uint32_t)EPOLLIN : 0) |
           ((traits & WAITS_OUT) != 0 ? (uint32_t)EPOLLOUT : 0) |
           ((traits & WAITS_PRIORITY) != 0 ? (uint32_t)EPOLLPRI : 0);
}

unsigned classes_of(uint32_t events) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0)
        return WAITS_CLASS;
    return ((events & (EPOLLIN | EPOLLRDHUP)) != 0 ? (unsigned)WAITS_IN : 0) |
           ((events & EPOLLOUT) != 0 ? (unsigned)WAITS_OUT : 0) |
           ((events & EPOLLPRI) != 0 ? (unsigned)WAITS_PRIORITY : 0);
}

const char *state_name(unsigned state) {
    return state <= ET_DELETING ? state_names[state] : "no state";
}

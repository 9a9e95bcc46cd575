/* SPDX-License-Identifier: MIT */
/* For Frama-C, whose C library has no epoll: what src/ uses of it. */
#ifndef ETALON_PROOFS_EPOLL_H
#define ETALON_PROOFS_EPOLL_H

#include <signal.h>
#include <stdint.h>
#include <time.h>

#define EPOLL_CLOEXEC 02000000
#define EPOLL_CTL_ADD 1
#define EPOLL_CTL_DEL 2
#define EPOLL_CTL_MOD 3
#define EPOLLIN       0x001U
#define EPOLLPRI      0x002U
#define EPOLLOUT      0x004U
#define EPOLLERR      0x008U
#define EPOLLHUP      0x010U
#define EPOLLRDHUP    0x2000U

typedef union epoll_data {
    void *ptr;
    int fd;
    uint32_t u32;
    uint64_t u64;
} epoll_data_t;

struct epoll_event {
    uint32_t events;
    epoll_data_t data;
};

int epoll_create1(int flags);
int epoll_ctl(int epfd, int operation, int fd, struct epoll_event *event);
int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms);
int epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
                 const sigset_t *mask);

#endif

/* SPDX-License-Identifier: MIT */
/* The work of the two hosts: hosted.h. */
#include "hosted.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TICKS         20
#define TICK_MS       10
#define MESSAGES      100
#define MESSAGE_BYTES 64

struct et_loop hosted_loop;
static struct et_completion acceptor, transfer, ticker, watchdog;
static char buffer[MESSAGE_BYTES];
static pthread_t client;
static struct sockaddr_in address = {.sin_family = AF_INET};
static unsigned ticks, echoes, turns, callbacks;
static bool gone, late;

static void must(bool good, const char *what) {
    if (good)
        return;
    perror(what);
    exit(EXIT_FAILURE);
}

static enum et_action echoed(struct et_loop *loop, struct et_completion *c, int64_t result,
                             void *userdata);

static enum et_action received(struct et_loop *loop, struct et_completion *c, int64_t result,
                               void *userdata) {
    (void)userdata;
    callbacks++;
    must(result >= 0, "recv");
    if (result == 0) {
        gone = true;
        close(c->fd);
        return ET_DISARM;
    }
    c->operation = ET_SEND;
    c->callback = echoed;
    c->send.length = (size_t)result;
    et_loop_add(loop, c);
    return ET_DISARM;
}

static void receive(struct et_loop *loop) {
    transfer.operation = ET_RECV;
    transfer.callback = received;
    transfer.recv.buffer = buffer;
    transfer.recv.length = sizeof buffer;
    transfer.recv.flags = 0;
    must(et_loop_add(loop, &transfer) == 0, "et_loop_add");
}

static enum et_action echoed(struct et_loop *loop, struct et_completion *c, int64_t result,
                             void *userdata) {
    (void)userdata;
    callbacks++;
    must(result == (int64_t)c->send.length, "send");
    echoes++;
    receive(loop);
    return ET_DISARM;
}

static enum et_action accepted(struct et_loop *loop, struct et_completion *c, int64_t result,
                               void *userdata) {
    (void)userdata;
    callbacks++;
    must(result >= 0, "accept");
    transfer.fd = (int)result;
    receive(loop);
    close(c->fd);
    return ET_DISARM;
}

static enum et_action ticked(struct et_loop *loop, struct et_completion *c, int64_t result,
                             void *userdata) {
    (void)loop;
    (void)c;
    (void)result;
    (void)userdata;
    callbacks++;
    /* it need not come while the loop is busy otherwise */
    et_loop_timer_reset(loop, &watchdog, NULL, UINT64_C(100) * TICK_MS, watchdog.callback, NULL);
    return ++ticks < TICKS ? ET_REARM : ET_DISARM;
}

static enum et_action too_late(struct et_loop *loop, struct et_completion *c, int64_t result,
                               void *userdata) {
    (void)loop;
    (void)c;
    (void)result;
    (void)userdata;
    late = true;
    return ET_DISARM;
}

static void *converse(void *unused) {
    char sent[MESSAGE_BYTES], heard[MESSAGE_BYTES];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)unused;
    must(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    for (unsigned i = 0; i < MESSAGES; i++) {
        memset(sent, 'a' + (int)(i % 26), sizeof sent);
        must(send(fd, sent, sizeof sent, MSG_NOSIGNAL) == sizeof sent, "client's send");
        must(recv(fd, heard, sizeof heard, MSG_WAITALL) == sizeof heard, "client's recv");
        must(memcmp(sent, heard, sizeof sent) == 0, "the echo is another text");
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    close(fd);
    return NULL;
}

void hosted_begin(void) {
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 1) == 0 &&
             getsockname(listener, (struct sockaddr *)&address, &length) == 0,
         "listen");
    must(et_loop_init(&hosted_loop, NULL) == 0, "et_loop_init");
    acceptor = (struct et_completion){.operation = ET_ACCEPT, .fd = listener, .callback = accepted};
    acceptor.accept.flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    must(et_loop_add(&hosted_loop, &acceptor) == 0, "et_loop_add");
    must(et_loop_timer(&hosted_loop, &watchdog, UINT64_C(100) * TICK_MS, too_late, NULL) == 0 &&
             et_loop_timer(&hosted_loop, &ticker, TICK_MS, ticked, NULL) == 0,
         "et_loop_timer");
    must(pthread_create(&client, NULL, converse, NULL) == 0, "pthread_create");
}

void hosted_turn(void) {
    turns++;
    must(et_loop_run(&hosted_loop, ET_RUN_NO_WAIT) == 0, "et_loop_run");
}

bool hosted_is_done(void) {
    return late || (gone && ticks == TICKS);
}

int hosted_end(const char *host, unsigned own_ticks) {
    pthread_join(client, NULL);
    et_loop_deinit(&hosted_loop);
    bool all = !late && echoes == MESSAGES && ticks == TICKS && own_ticks > 0;
    /* each callback takes a turn that brings it, and one that starts what it has submitted */
    bool spins = turns > 2 * callbacks + 10;
    printf("%s: %u echoes, %u ticks, %u of the host's own, %u callbacks in %u turns%s\n", host,
           echoes, ticks, own_ticks, callbacks, turns, spins ? ": it spins" : "");
    return all && !spins ? EXIT_SUCCESS : EXIT_FAILURE;
}

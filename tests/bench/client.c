/* SPDX-License-Identifier: MIT */
/* The client of the loads over the network, the same for every loop, so that what is measured is
 * the loop alone: it opens connections, or one datagram socket, to a port of this machine, has so
 * many messages under way at once, checks each answer, and reports how long they took. In C's own
 * calls and epoll. Started by net_loads.c, which says by a byte when to begin.
 *
 * usage: client tcp PORT IDLE BUSY BYTES MESSAGES    IDLE connections say nothing
 *        client udp PORT 0 BUSY BYTES MESSAGES       BUSY datagrams are under way */
#include "client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BYTES_MAX   4096
#define SECONDS_MAX 100 /* it ends by itself, whatever becomes of the other side */
#define SILENCE_S   10  /* so long without an answer, and a message is lost */

static struct connection {
    int fd;
    uint64_t message; /* under way */
    size_t received;  /* bytes of its answer */
} * connections;
static uint64_t *sent_ns, *latencies_ns, messages, sent, answered;
static size_t bytes;

static void must(bool good, const char *what) {
    if (good)
        return;
    fprintf(stderr, "client: %s: %s\n", what, errno != 0 ? strerror(errno) : "it failed");
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* What message number `message` consists of: no two that are under way at once are the same, but
 * for those of a single byte. */
static void write_message(char *to, uint64_t message) {
    memset(to, (int)(message * 7 + 1) & 0xff, bytes);
    if (bytes >= sizeof message)
        memcpy(to, &message, sizeof message);
}

static void is_answered(uint64_t message) {
    must(message < sent && sent_ns[message] != 0, "an answer to what was asked, and the first");
    latencies_ns[message] = now_ns() - sent_ns[message];
    sent_ns[message] = 0;
    answered++;
}

static int open_socket(int type, const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(port)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    must(fd >= 0, "socket");
    must(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    return fd;
}

/* ---- over connections ------------------------------------------------------------------------ */

static void ask(struct connection *c) {
    char message[BYTES_MAX];
    if (sent == messages)
        return;
    c->message = sent;
    c->received = 0;
    write_message(message, sent);
    sent_ns[sent++] = now_ns();
    must(send(c->fd, message, bytes, MSG_NOSIGNAL) == (ssize_t)bytes, "send");
}

static void hear(struct connection *c) {
    char message[BYTES_MAX], answer[BYTES_MAX];
    ssize_t count = recv(c->fd, answer, bytes - c->received, MSG_DONTWAIT);
    must(count > 0, "an answer on each connection");
    write_message(message, c->message);
    must(memcmp(answer, message + c->received, (size_t)count) == 0, "the bytes that were sent");
    c->received += (size_t)count;
    if (c->received < bytes)
        return;
    is_answered(c->message);
    ask(c);
}

static void over_connections(size_t idle, size_t busy) {
    struct epoll_event events[256];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    must(epoll >= 0, "epoll_create1");
    for (size_t i = idle; i < idle + busy; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
        must(epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &event) == 0, "epoll_ctl");
        ask(&connections[i]);
    }
    while (answered < messages) {
        int count = epoll_wait(epoll, events, 256, SILENCE_S * 1000);
        must(count > 0, "no message is lost");
        for (int i = 0; i < count; i++)
            hear(events[i].data.ptr);
    }
}

static void connect_all(const char *port, size_t count) {
    int one = 1;
    connections = calloc(count, sizeof *connections);
    must(connections != NULL, "calloc");
    for (size_t i = 0; i < count; i++) {
        connections[i].fd = open_socket(SOCK_STREAM, port);
        must(setsockopt(connections[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0,
             "TCP_NODELAY");
    }
}

/* ---- over datagrams -------------------------------------------------------------------------- */

static void over_datagrams(int fd, size_t busy) {
    char message[BYTES_MAX], answer[BYTES_MAX + 1];
    struct timeval limit = {.tv_sec = SILENCE_S};
    must(bytes >= sizeof sent, "a datagram that has room for its number");
    must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0, "SO_RCVTIMEO");
    while (answered < messages) {
        while (sent < messages && sent - answered < busy) {
            write_message(message, sent);
            sent_ns[sent++] = now_ns();
            must(send(fd, message, bytes, 0) == (ssize_t)bytes, "send");
        }
        uint64_t number;
        must(recv(fd, answer, sizeof answer, 0) == (ssize_t)bytes, "no datagram is lost");
        memcpy(&number, answer, sizeof number);
        write_message(message, number);
        must(memcmp(answer, message, bytes) == 0, "the bytes that were sent");
        is_answered(number);
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int compare(const void *left, const void *right) {
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static void report(uint64_t wall_ns) {
    qsort(latencies_ns, messages, sizeof *latencies_ns, compare);
    struct client_report r = {.answered = answered,
                              .wall_ns = wall_ns,
                              .half_ns = latencies_ns[messages / 2],
                              .ninety_ns = latencies_ns[messages * 90 / 100],
                              .ninety_nine_ns = latencies_ns[messages * 99 / 100],
                              .thousandth_ns = latencies_ns[messages * 999 / 1000],
                              .longest_ns = latencies_ns[messages - 1]};
    must(send(CLIENT_FD, &r, sizeof r, MSG_NOSIGNAL) == sizeof r, "the report");
}

static void use_all_descriptors(void) {
    struct rlimit limit;
    must(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    must(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
}

int main(int argc, char **argv) {
    bool tcp = argc == 7 && strcmp(argv[1], "tcp") == 0;
    char byte;
    int fd = -1;
    if (!tcp && (argc != 7 || strcmp(argv[1], "udp") != 0)) {
        fprintf(stderr, "usage: client tcp|udp PORT IDLE BUSY BYTES MESSAGES\n");
        return 2;
    }
    alarm(SECONDS_MAX);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    use_all_descriptors();
    size_t idle = strtoul(argv[3], NULL, 10), busy = strtoul(argv[4], NULL, 10);
    bytes = strtoul(argv[5], NULL, 10);
    messages = strtoull(argv[6], NULL, 10);
    must(busy > 0 && messages > 0 && bytes > 0 && bytes <= BYTES_MAX, "arguments");
    sent_ns = calloc(messages, sizeof *sent_ns);
    latencies_ns = calloc(messages, sizeof *latencies_ns);
    must(sent_ns != NULL && latencies_ns != NULL, "calloc");
    if (tcp)
        connect_all(argv[2], idle + busy);
    else
        fd = open_socket(SOCK_DGRAM, argv[2]);
    must(recv(CLIENT_FD, &byte, 1, 0) == 1, "the word to begin");
    uint64_t begun_ns = now_ns();
    if (tcp)
        over_connections(idle, busy);
    else
        over_datagrams(fd, busy);
    report(now_ns() - begun_ns);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* echo_server: a TCP server on the loopback interface that sends back what it receives, to many
 * connections at once.
 *
 *   echo_server [--port N] [--connections N] [--idle-ms N] [--exit-after N]
 *
 * A connection that is silent for --idle-ms (10000; 0: no limit) is closed. SIGINT, SIGTERM, or
 * --exit-after closed connections end the server. All memory is allocated at the start. */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../../src/etalon.h"

#define BUFFER_BYTES    4096
#define ACCEPT_RETRY_MS 50

struct connection {
    /* recv and send in turn: nothing is read before the last echo is out */
    struct et_completion transfer;
    struct et_completion idle;    /* the timer that closes a silent connection … */
    struct et_completion carrier; /* … and what moves it to a later deadline */
    struct et_completion close;
    struct connection *next_free;
    int fd; /* -1: the slot is free */
    bool closing;
    size_t received, sent; /* bytes of the buffer */
    char buffer[BUFFER_BYTES];
};

static struct et_loop loop;
static struct et_completion acceptor, accept_retry, signals;
static struct signalfd_siginfo signal_info;
static struct connection *connections, *free_connections;
static unsigned long port, connections_max = 1024, idle_ms = 10000, exit_after;
static unsigned long accepted, refused, closed, idle_closed, bytes, errors;
static bool shutting_down;

/* For calls without which this program cannot go on. */
static void must(int result, const char *what) {
    if (result < 0) {
        fprintf(stderr, "echo_server: %s: %s\n", what, strerror(-result));
        exit(EXIT_FAILURE);
    }
}

static bool dead(const struct et_completion *completion) {
    return et_completion_state(completion) == ET_DEAD;
}

static void shut_down(void);

/* ---- one connection -------------------------------------------------------------------------- */

static enum et_action closed_connection(struct et_loop *l, struct et_completion *c, int64_t result,
                                        void *userdata);
static enum et_action received(struct et_loop *l, struct et_completion *c, int64_t result,
                               void *userdata);
static enum et_action sent(struct et_loop *l, struct et_completion *c, int64_t result,
                           void *userdata);

static void describe_recv(struct connection *connection) {
    struct et_completion *c = &connection->transfer;
    c->operation = ET_RECV;
    c->callback = received;
    c->recv.buffer = connection->buffer;
    c->recv.length = sizeof connection->buffer;
    c->recv.flags = 0;
}

static void describe_send(struct connection *connection) {
    struct et_completion *c = &connection->transfer;
    c->operation = ET_SEND;
    c->callback = sent;
    c->send.buffer = connection->buffer + connection->sent;
    c->send.length = connection->received - connection->sent;
    c->send.flags = 0;
}

/* May be called at any time of a connection's life, in any callback. */
static void hang_up(struct connection *connection) {
    if (connection->fd < 0 || connection->closing)
        return;
    connection->closing = true;
    et_loop_delete(&loop, &connection->transfer);
    /* before its carrier, which then has nothing to apply */
    et_loop_delete(&loop, &connection->idle);
    et_loop_delete(&loop, &connection->carrier);
    connection->close.operation = ET_CLOSE;
    connection->close.fd = connection->fd;
    connection->close.callback = closed_connection;
    connection->close.userdata = connection;
    must(et_loop_add(&loop, &connection->close), "close");
}

static enum et_action idle_expired(struct et_loop *l, struct et_completion *c, int64_t result,
                                   void *userdata) {
    (void)l, (void)c, (void)result;
    idle_closed++;
    hang_up(userdata);
    return ET_DISARM;
}

static enum et_action received(struct et_loop *l, struct et_completion *c, int64_t result,
                               void *userdata) {
    (void)c;
    struct connection *connection = userdata;
    if (result <= 0) { /* the end of the stream, or an error such as ECONNRESET */
        errors += result < 0;
        hang_up(connection);
        return ET_DISARM;
    }
    /* The loop's time is as old as this round, maybe older than the message: the limit would come
     * too early. */
    et_loop_update_now(l);
    if (idle_ms > 0)
        must(et_loop_timer_reset(l, &connection->idle, &connection->carrier, idle_ms, idle_expired,
                                 connection),
             "timer");
    connection->received = (size_t)result;
    connection->sent = 0;
    describe_send(connection);
    return ET_REARM;
}

static enum et_action sent(struct et_loop *l, struct et_completion *c, int64_t result,
                           void *userdata) {
    (void)l, (void)c;
    struct connection *connection = userdata;
    if (result < 0) {
        errors++;
        hang_up(connection);
        return ET_DISARM;
    }
    bytes += (unsigned long)result;
    connection->sent += (size_t)result;
    if (connection->sent < connection->received)
        describe_send(connection);
    else
        describe_recv(connection);
    return ET_REARM;
}

static void open_connection(int fd) {
    struct connection *connection = free_connections;
    free_connections = connection->next_free;
    connection->fd = fd;
    connection->closing = false;
    connection->transfer.fd = fd;
    connection->transfer.userdata = connection;
    describe_recv(connection);
    must(et_loop_add(&loop, &connection->transfer), "recv");
    if (idle_ms > 0)
        must(et_loop_timer(&loop, &connection->idle, idle_ms, idle_expired, connection), "timer");
}

/* ---- the server ------------------------------------------------------------------------------ */

static void accept_more(void) {
    if (!shutting_down && free_connections != NULL && dead(&acceptor) && dead(&accept_retry))
        must(et_loop_add(&loop, &acceptor), "accept");
}

static enum et_action retry_accept(struct et_loop *l, struct et_completion *c, int64_t result,
                                   void *userdata) {
    (void)l, (void)c, (void)result, (void)userdata;
    accept_more();
    return ET_DISARM;
}

static enum et_action connection_accepted(struct et_loop *l, struct et_completion *c,
                                          int64_t result, void *userdata) {
    (void)c, (void)userdata;
    if (result >= 0) {
        accepted++;
        open_connection((int)result);
        /* While all slots are in use, clients wait in the listener's backlog. */
        return free_connections != NULL ? ET_REARM : ET_DISARM;
    }
    if (result == -ECONNABORTED) /* that client has gone again; others may wait */
        return ET_REARM;
    /* EMFILE and the like: the client stays in the backlog, so accepting at once would fail again
     * at once, for ever. */
    refused++;
    must(et_loop_timer(l, &accept_retry, ACCEPT_RETRY_MS, retry_accept, NULL), "timer");
    return ET_DISARM;
}

/* The end of a connection. What hang_up deleted is dead after the second phase of this round; only
 * then can the slot serve again, so a noop comes back in the next round to see to it. */
static enum et_action closed_connection(struct et_loop *l, struct et_completion *c, int64_t result,
                                        void *userdata) {
    (void)l;
    struct connection *connection = userdata;
    errors += result < 0;
    if (!dead(&connection->transfer) || !dead(&connection->idle) || !dead(&connection->carrier)) {
        c->operation = ET_NOOP;
        return ET_REARM;
    }
    connection->fd = -1;
    connection->next_free = free_connections;
    free_connections = connection;
    closed++;
    if (closed == exit_after)
        shut_down();
    accept_more();
    return ET_DISARM;
}

/* Ends all that is under way; the loop then runs out of work, and et_loop_run returns. */
static void shut_down(void) {
    shutting_down = true;
    et_loop_delete(&loop, &acceptor);
    et_loop_delete(&loop, &accept_retry);
    et_loop_delete(&loop, &signals);
    for (unsigned long i = 0; i < connections_max; i++)
        hang_up(&connections[i]);
}

static enum et_action signal_received(struct et_loop *l, struct et_completion *c, int64_t result,
                                      void *userdata) {
    (void)l, (void)c, (void)userdata;
    must(result < 0 ? (int)result : 0, "signals");
    shut_down();
    return ET_DISARM;
}

static int open_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    int fd = sigprocmask(SIG_BLOCK, &set, NULL) < 0
                 ? -1
                 : signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    must(fd < 0 ? -errno : 0, "signalfd");
    return fd;
}

static int listen_on_loopback(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, SOMAXCONN) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        must(-errno, "listen");
    printf("listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
    must(fflush(stdout) == 0 ? 0 : -errno, "standard output");
    return fd;
}

static void read_options(int argc, char **argv) {
    static const struct {
        const char *name;
        unsigned long *value, min, max;
    } options[] = {{"--port", &port, 0, 65535},
                   {"--connections", &connections_max, 1, 1000000},
                   {"--idle-ms", &idle_ms, 0, 86400000},
                   {"--exit-after", &exit_after, 0, 1000000000}};
    for (int i = 1; i < argc; i += 2) {
        size_t option = 0;
        while (option < 4 && strcmp(argv[i], options[option].name) != 0)
            option++;
        char *end = NULL;
        unsigned long value = option < 4 && i + 1 < argc ? strtoul(argv[i + 1], &end, 10) : 0;
        if (end == NULL || end == argv[i + 1] || *end != '\0' || value < options[option].min ||
            value > options[option].max) {
            fprintf(stderr,
                    "usage: %s [--port N] [--connections N] [--idle-ms N] [--exit-after N]\n",
                    argv[0]);
            exit(2);
        }
        *options[option].value = value;
    }
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    connections = calloc(connections_max, sizeof *connections);
    must(connections == NULL ? -ENOMEM : 0, "connections");
    for (unsigned long i = connections_max; i-- > 0; free_connections = &connections[i]) {
        connections[i].fd = -1;
        connections[i].next_free = free_connections;
    }
    must(et_loop_init(&loop, NULL), "et_loop_init");

    signals = (struct et_completion){
        .operation = ET_READ, .fd = open_signals(), .callback = signal_received};
    signals.read.buffer = &signal_info;
    signals.read.length = sizeof signal_info;
    must(et_loop_add(&loop, &signals), "signals");

    acceptor = (struct et_completion){
        .operation = ET_ACCEPT, .fd = listen_on_loopback(), .callback = connection_accepted};
    acceptor.accept.flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    must(et_loop_add(&loop, &acceptor), "accept");

    must(et_loop_run(&loop, ET_RUN_UNTIL_DONE), "et_loop_run");
    must(et_loop_deinit(&loop), "et_loop_deinit");
    close(acceptor.fd);
    close(signals.fd);
    free(connections);
    printf("echo_server: %lu accepted (%lu refusals), %lu closed (%lu when idle), %lu bytes, %lu "
           "errors\n",
           accepted, refused, closed, idle_closed, bytes, errors);
    return EXIT_SUCCESS;
}

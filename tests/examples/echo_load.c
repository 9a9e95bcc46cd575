/* SPDX-License-Identifier: MIT */
/* echo_load: drives echo_server with many connections from one loop, and checks every byte that
 * comes back.
 *
 *   echo_load --port N [--connections N] [--messages N] [--size BYTES] [--idle N] [--idle-ms N]
 * [--timeout-ms N]
 *
 * Every connection sends its messages one after the other, each when the one before has come back.
 * The first --idle of them then stay silent until the server closes them, which it must not do
 * before --idle-ms. Prints one line; the exit status is 1 when anything went wrong. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/etalon.h"

#define COMPLAINTS_MAX 5

struct client {
    struct et_completion connect, send, recv, close;
    unsigned long number, messages; /* messages: that came back */
    size_t sent, received;          /* bytes of the current message */
    uint64_t silent_since_ms;
    unsigned char *out, *in;
    bool finished;
};

static struct et_loop loop;
static struct et_completion watchdog;
static struct sockaddr_in server;
static struct client *clients;
static unsigned long port, connections = 1000, messages = 10, size = 64, idle = ULONG_MAX,
                           idle_ms = 500, timeout_ms = 30000;
static unsigned long connected, messages_done, idle_closed, finished, errors;
static uint64_t late_ms_max;

/* For calls without which this program cannot go on. */
static void must(int result, const char *what) {
    if (result < 0) {
        fprintf(stderr, "echo_load: %s: %s\n", what, strerror(-result));
        exit(EXIT_FAILURE);
    }
}

/* ---- the end of a client --------------------------------------------------------------------- */

static enum et_action closed(struct et_loop *l, struct et_completion *c, int64_t result,
                             void *userdata) {
    (void)c, (void)userdata;
    errors += result < 0;
    if (++finished == connections)
        et_loop_delete(l, &watchdog); /* the loop is out of work then, and et_loop_run returns */
    return ET_DISARM;
}

static void finish(struct client *client) {
    client->finished = true;
    et_loop_delete(&loop, &client->connect);
    et_loop_delete(&loop, &client->send);
    et_loop_delete(&loop, &client->recv);
    client->close.operation = ET_CLOSE;
    client->close.callback = closed;
    must(et_loop_add(&loop, &client->close), "close");
}

static enum et_action fail(struct client *client, const char *what, int64_t result) {
    if (errors++ < COMPLAINTS_MAX)
        fprintf(stderr, "echo_load: connection %lu, message %lu: %s%s%s\n", client->number,
                client->messages, what, result < 0 ? ": " : "",
                result < 0 ? strerror((int)-result) : "");
    finish(client);
    return ET_DISARM;
}

/* ---- messages -------------------------------------------------------------------------------- */

static enum et_action silence_ended(struct et_loop *l, struct et_completion *c, int64_t result,
                                    void *userdata) {
    (void)c;
    struct client *client = userdata;
    if (result != 0)
        return fail(client, result < 0 ? "idle" : "idle: got more than was sent", result);
    et_loop_update_now(l);
    uint64_t silent_ms = et_loop_now(l) - client->silent_since_ms;
    if (silent_ms < idle_ms)
        return fail(client, "idle: closed too early", 0);
    if (silent_ms - idle_ms > late_ms_max)
        late_ms_max = silent_ms - idle_ms;
    idle_closed++;
    finish(client);
    return ET_DISARM;
}

static void describe_send(struct client *client) {
    client->send.send.buffer = client->out + client->sent;
    client->send.send.length = size - client->sent;
}

static void describe_recv(struct client *client) {
    client->recv.recv.buffer = client->in + client->received;
    client->recv.recv.length = size - client->received;
}

/* Sends and receives at the same time, so that a message may be larger than all buffers on its way.
 */
static void begin_message(struct client *client) {
    for (size_t i = 0; i < size; i++)
        client->out[i] = (unsigned char)(client->number * 31 + client->messages * 7 + i);
    memset(client->in, 0, size);
    client->sent = client->received = 0;
    client->silent_since_ms = et_loop_now(&loop);
    describe_send(client);
    describe_recv(client);
    must(et_loop_add(&loop, &client->send), "send");
    must(et_loop_add(&loop, &client->recv), "recv");
}

static enum et_action sent(struct et_loop *l, struct et_completion *c, int64_t result,
                           void *userdata) {
    (void)l, (void)c;
    struct client *client = userdata;
    if (result < 0)
        return fail(client, "send", result);
    client->sent += (size_t)result;
    if (client->sent == size)
        return ET_DISARM;
    describe_send(client);
    return ET_REARM;
}

static enum et_action received(struct et_loop *l, struct et_completion *c, int64_t result,
                               void *userdata) {
    (void)l;
    struct client *client = userdata;
    if (result <= 0)
        return fail(client, result < 0 ? "recv" : "closed by the server", result);
    client->received += (size_t)result;
    if (client->received < size) {
        describe_recv(client);
        return ET_REARM;
    }
    /* The last byte came back, so it was sent: the send has had its callback. */
    if (memcmp(client->in, client->out, size) != 0)
        return fail(client, "came back changed", 0);
    messages_done++;
    if (++client->messages < messages) {
        begin_message(client);
    } else if (client->number < idle) {
        c->recv.buffer = client->in;
        c->recv.length = 1;
        c->callback = silence_ended;
        return ET_REARM;
    } else {
        finish(client);
    }
    return ET_DISARM;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static enum et_action connection_made(struct et_loop *l, struct et_completion *c, int64_t result,
                                      void *userdata) {
    (void)l, (void)c;
    struct client *client = userdata;
    if (result < 0)
        return fail(client, "connect", result);
    connected++;
    begin_message(client);
    return ET_DISARM;
}

static void start(struct client *client) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(fd < 0 ? -errno : 0, "socket");
    client->send = (struct et_completion){
        .operation = ET_SEND, .fd = fd, .callback = sent, .userdata = client};
    client->recv = (struct et_completion){
        .operation = ET_RECV, .fd = fd, .callback = received, .userdata = client};
    client->close.fd = fd;
    client->connect = (struct et_completion){
        .operation = ET_CONNECT, .fd = fd, .callback = connection_made, .userdata = client};
    client->connect.connect.address = (const struct sockaddr *)&server;
    client->connect.connect.address_length = sizeof server;
    must(et_loop_add(&loop, &client->connect), "connect");
}

static enum et_action time_is_up(struct et_loop *l, struct et_completion *c, int64_t result,
                                 void *userdata) {
    (void)l, (void)c, (void)result, (void)userdata;
    for (unsigned long i = 0; i < connections; i++) {
        if (!clients[i].finished)
            fail(&clients[i], "not finished in time", 0);
    }
    return ET_DISARM;
}

static void read_options(int argc, char **argv) {
    static const struct {
        const char *name;
        unsigned long *value, min, max;
    } options[] = {{"--port", &port, 1, 65535},
                   {"--connections", &connections, 1, 1000000},
                   {"--messages", &messages, 1, 1000000},
                   {"--size", &size, 1, 1 << 24},
                   {"--idle", &idle, 0, 1000000},
                   {"--idle-ms", &idle_ms, 0, 86400000},
                   {"--timeout-ms", &timeout_ms, 1, 86400000}};
    const size_t count = sizeof options / sizeof *options;
    for (int i = 1; i < argc || port == 0; i += 2) {
        size_t option = 0;
        while (option < count && i < argc && strcmp(argv[i], options[option].name) != 0)
            option++;
        char *end = NULL;
        unsigned long value = option < count && i + 1 < argc ? strtoul(argv[i + 1], &end, 10) : 0;
        if (end == NULL || end == argv[i + 1] || *end != '\0' || value < options[option].min ||
            value > options[option].max) {
            fprintf(stderr,
                    "usage: %s --port N [--connections N] [--messages N] [--size BYTES] [--idle N] "
                    "[--idle-ms N] [--timeout-ms N]\n",
                    argv[0]);
            exit(2);
        }
        *options[option].value = value;
    }
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    if (idle == ULONG_MAX)
        idle = connections / 10;
    clients = calloc(connections, sizeof *clients);
    unsigned char *buffers = calloc(connections, 2 * size);
    must(clients == NULL || buffers == NULL ? -ENOMEM : 0, "connections");
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    must(et_loop_init(&loop, NULL), "et_loop_init");
    const uint64_t begun_ms = et_loop_now(&loop);
    must(et_loop_timer(&loop, &watchdog, timeout_ms, time_is_up, NULL), "timer");
    for (unsigned long i = 0; i < connections; i++) {
        clients[i].number = i;
        clients[i].out = buffers + 2 * size * i;
        clients[i].in = clients[i].out + size;
        start(&clients[i]);
    }
    must(et_loop_run(&loop, ET_RUN_UNTIL_DONE), "et_loop_run");
    et_loop_update_now(&loop);
    const uint64_t took_ms = et_loop_now(&loop) - begun_ms;
    must(et_loop_deinit(&loop), "et_loop_deinit");
    free(clients);
    free(buffers);
    printf("echo_load: %lu connections, %lu messages, %lu bytes, %lu closed when idle (at most "
           "%" PRIu64 " ms late), %lu errors, %" PRIu64 " ms\n",
           connected, messages_done, messages_done * size, idle_closed, late_ms_max, errors,
           took_ms);
    return errors == 0 && finished == connections ? EXIT_SUCCESS : EXIT_FAILURE;
}

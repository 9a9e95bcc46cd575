/* SPDX-License-Identifier: MIT */
/* The loads of `make bench` that go over the network of this machine: a server that echoes what
 * client.c sends it by TCP or UDP, and connections that come and go. Compiled once for each loop in
 * its own calls (-DLOOP_etalon, …) and for a floor, which is epoll and nothing else. Called by
 * bench.py; bench.h has the usage. BENCH_CLIENT is the path of the client, or else it is beside
 * this program.
 *
 * What a loop provides: init (for so many descriptors), accept_on (every connection that comes is
 * echoed until its end, or closed at once), echo_datagrams, await_client (client_ends when fd can
 * be read), dial (a connection to this very server, until that closes it), run, and end_run.
 * A loop that tells what is ready provides begin and end (of a wait on a descriptor), and
 * net_ready.h does the rest with the calls of Linux. */
#include "bench.h"
#include "run.h"

#include "client.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define CONNECTIONS_MAX 10000
#define BUSY_BESIDE     10 /* connections that are not idle */
#define MESSAGES        100000
#define MESSAGES_ONE    30000 /* where each is waited for by both sides */
#define DIALS           20000
#define ECHO_BYTES      512
#define DATAGRAM_BYTES  64
#define BYTES_MAX       512

static size_t bytes_max = 1; /* of a message */
static bool closes_at_once;  /* what it has accepted, instead of echoing */
static struct sockaddr_in server;

/* ---- what the loops tell the loads ----------------------------------------------------------- */

static size_t expected, accepted_so_far, dials_left, dials_open;
static uint64_t echoed_bytes;
static int client_fd = -1;

static void tell_client_to_begin(void) {
    bench_begin();
    must(send(client_fd, "g", 1, MSG_NOSIGNAL) == 1, "a client that waits for the word to begin");
}

static void accepted(void) {
    if (++accepted_so_far == expected && !closes_at_once)
        tell_client_to_begin();
}

static void echoed(size_t bytes) {
    echoed_bytes += bytes;
}

static void client_ends(void) {
    bench_end();
}

/* A socket that is about to be connected. It will be closed by a reset, so that neither side
 * remembers the connection (TIME_WAIT), and the ports last for any number of runs. */
static inline int dial_socket(void) {
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    must(fd >= 0, "socket");
    must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none) == 0, "SO_LINGER");
    return fd;
}

/* A connection was made, has been closed by the server, and by us. Whether to dial again; when the
 * last one has ended, so does the load. */
static void end_run(void);
static bool dialled(void) {
    if (dials_left > 0) {
        dials_left--;
        return true;
    }
    if (--dials_open == 0) {
        bench_end();
        end_run();
    }
    return false;
}

/* ---- the loops ------------------------------------------------------------------------------- */

#if defined LOOP_etalon

struct connection {
    struct et_completion in, out; /* out: connects or sends, and closes */
    char *buffer;
};

static struct datagram { /* received by the first that is free */
    struct et_completion send;
    struct msghdr message;
    struct iovec piece;
    struct sockaddr_in from;
    char buffer[BYTES_MAX];
} datagrams[64];

static struct connection *connections;
static struct et_completion acceptor, end_wait, datagram_wait;
static char *buffers;

static void init(size_t count) {
    must(et_loop_init(&loop, NULL) == 0, "et_loop_init");
    must((connections = calloc(count, sizeof *connections)) != NULL, "calloc");
    must((buffers = calloc(count, bytes_max)) != NULL, "calloc");
}

static void submit(struct et_completion *c) {
    must(et_loop_add(&loop, c) == 0, "et_loop_add");
}

static enum et_action on_closed(struct et_loop *l, struct et_completion *c, int64_t result,
                                void *userdata) {
    (void)l, (void)c, (void)userdata;
    must(result == 0, "close");
    return ET_DISARM;
}

static enum et_action on_sent(struct et_loop *l, struct et_completion *c, int64_t result,
                              void *userdata) {
    (void)l, (void)userdata;
    must(result == (int64_t)c->send.length, "send");
    return ET_DISARM;
}

static void close_by_loop(struct et_completion *c, int fd, et_callback callback, void *userdata) {
    c->operation = ET_CLOSE;
    c->fd = fd;
    c->callback = callback;
    c->userdata = userdata;
    submit(c);
}

static enum et_action on_received(struct et_loop *l, struct et_completion *c, int64_t result,
                                  void *userdata) {
    struct connection *x = userdata;
    (void)l;
    must(result >= 0, "recv");
    if (result == 0) {
        close_by_loop(&x->out, c->fd, on_closed, NULL);
        return ET_DISARM;
    }
    echoed((size_t)result);
    x->out.send.length = (size_t)result;
    submit(&x->out);
    return ET_REARM;
}

static enum et_action on_accepted(struct et_loop *l, struct et_completion *c, int64_t result,
                                  void *userdata) {
    (void)l, (void)c, (void)userdata;
    must(result >= 0, "accept");
    size_t i = accepted_so_far % expected;
    struct connection *x = &connections[i];
    if (closes_at_once) {
        must(et_completion_state(&x->out) == ET_DEAD, "a connection that is free");
        close_by_loop(&x->out, (int)result, on_closed, NULL);
    } else {
        x->buffer = buffers + i * bytes_max;
        x->in = (struct et_completion){.operation = ET_RECV,
                                       .fd = (int)result,
                                       .callback = on_received,
                                       .userdata = x,
                                       .recv = {x->buffer, bytes_max, 0}};
        x->out = (struct et_completion){.operation = ET_SEND,
                                        .fd = (int)result,
                                        .callback = on_sent,
                                        .send = {x->buffer, 0, 0}};
        submit(&x->in);
    }
    accepted();
    return ET_REARM;
}

static void accept_on(int fd) {
    acceptor = (struct et_completion){
        .operation = ET_ACCEPT, .fd = fd, .callback = on_accepted, .accept.flags = SOCK_NONBLOCK};
    submit(&acceptor);
}

static struct datagram *free_datagram(void) {
    for (size_t i = 0; i < sizeof datagrams / sizeof *datagrams; i++) {
        struct datagram *d = &datagrams[i];
        if (et_completion_state(&d->send) != ET_DEAD)
            continue;
        d->piece = (struct iovec){d->buffer, sizeof d->buffer};
        d->message = (struct msghdr){.msg_name = &d->from,
                                     .msg_namelen = sizeof d->from,
                                     .msg_iov = &d->piece,
                                     .msg_iovlen = 1};
        return d;
    }
    must(false, "a datagram that is free");
    return NULL;
}

static enum et_action on_datagram_sent(struct et_loop *l, struct et_completion *c, int64_t result,
                                       void *userdata) {
    struct datagram *d = userdata;
    (void)l, (void)c;
    must(result == (int64_t)d->piece.iov_len, "sendmsg");
    return ET_DISARM;
}

static enum et_action on_datagram(struct et_loop *l, struct et_completion *c, int64_t result,
                                  void *userdata) {
    struct datagram *d = c->userdata;
    (void)l, (void)userdata;
    must(result > 0, "recvmsg");
    echoed((size_t)result);
    d->piece.iov_len = (size_t)result;
    d->send = (struct et_completion){.operation = ET_SENDMSG,
                                     .fd = c->fd,
                                     .callback = on_datagram_sent,
                                     .userdata = d,
                                     .sendmsg.message = &d->message};
    submit(&d->send);
    struct datagram *next = free_datagram();
    c->userdata = next;
    c->recvmsg.message = &next->message;
    return ET_REARM;
}

static void echo_datagrams(int fd) {
    struct datagram *d = free_datagram();
    datagram_wait = (struct et_completion){.operation = ET_RECVMSG,
                                           .fd = fd,
                                           .callback = on_datagram,
                                           .userdata = d,
                                           .recvmsg.message = &d->message};
    submit(&datagram_wait);
}

static enum et_action on_end(struct et_loop *l, struct et_completion *c, int64_t result,
                             void *userdata) {
    (void)c, (void)result, (void)userdata;
    client_ends();
    et_loop_stop(l);
    return ET_DISARM;
}

static void await_client(int fd) {
    end_wait = (struct et_completion){
        .operation = ET_POLL, .fd = fd, .callback = on_end, .poll.events = EPOLLIN};
    submit(&end_wait);
}

static void dial(size_t i);
static enum et_action on_dial_closed(struct et_loop *l, struct et_completion *c, int64_t result,
                                     void *userdata) {
    (void)l, (void)c;
    must(result == 0, "close");
    if (dialled())
        dial((size_t)((struct connection *)userdata - connections));
    return ET_DISARM;
}

static enum et_action on_dial_ended(struct et_loop *l, struct et_completion *c, int64_t result,
                                    void *userdata) {
    struct connection *x = userdata;
    (void)l;
    must(result == 0, "the end of a connection that was closed");
    close_by_loop(&x->out, c->fd, on_dial_closed, x);
    return ET_DISARM;
}

static enum et_action on_dial_made(struct et_loop *l, struct et_completion *c, int64_t result,
                                   void *userdata) {
    struct connection *x = userdata;
    (void)l;
    must(result == 0, "connect");
    x->in = (struct et_completion){.operation = ET_RECV,
                                   .fd = c->fd,
                                   .callback = on_dial_ended,
                                   .userdata = x,
                                   .recv = {buffers, 1, 0}};
    submit(&x->in);
    return ET_DISARM;
}

/* The lower half of the connections is for those that are accepted. */
static void dial(size_t i) {
    struct connection *x = &connections[i];
    x->out = (struct et_completion){.operation = ET_CONNECT,
                                    .fd = dial_socket(),
                                    .callback = on_dial_made,
                                    .userdata = x,
                                    .connect = {(struct sockaddr *)&server, sizeof server}};
    submit(&x->out);
}

#elif defined LOOP_libuv

static uv_tcp_t listener, *connections;
static uv_udp_t udp;
static uv_poll_t end_wait;
static struct dialling {
    uv_tcp_t tcp;
    uv_connect_t request;
} * diallings;

static void init(size_t count) {
    must(uv_loop_init(&loop) == 0, "uv_loop_init");
    must((connections = calloc(count, sizeof *connections)) != NULL, "calloc");
    if (closes_at_once)
        must((diallings = calloc(count, sizeof *diallings)) != NULL, "calloc");
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buffer) {
    static char bytes[65536];
    (void)handle, (void)size;
    *buffer = uv_buf_init(bytes, sizeof bytes);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
    if (count == 0)
        return;
    if (count == UV_EOF) {
        uv_close((uv_handle_t *)stream, NULL);
        return;
    }
    must(count > 0, "uv_read");
    echoed((size_t)count);
    uv_buf_t reply = uv_buf_init(buffer->base, (unsigned)count);
    must(uv_try_write(stream, &reply, 1) == count, "uv_try_write");
}

static void on_connection(uv_stream_t *stream, int status) {
    must(status == 0, "uv_listen");
    uv_tcp_t *x = &connections[accepted_so_far % expected];
    must(!closes_at_once || accepted_so_far < expected || uv_is_closing((uv_handle_t *)x),
         "a connection that is free");
    must(uv_tcp_init(&loop, x) == 0, "uv_tcp_init");
    must(uv_accept(stream, (uv_stream_t *)x) == 0, "uv_accept");
    if (closes_at_once)
        uv_close((uv_handle_t *)x, NULL);
    else
        must(uv_read_start((uv_stream_t *)x, on_alloc, on_read) == 0, "uv_read_start");
    accepted();
}

static void accept_on(int fd) {
    must(uv_tcp_init(&loop, &listener) == 0, "uv_tcp_init");
    must(uv_tcp_open(&listener, fd) == 0, "uv_tcp_open");
    must(uv_listen((uv_stream_t *)&listener, SOMAXCONN, on_connection) == 0, "uv_listen");
}

static void on_datagram(uv_udp_t *handle, ssize_t count, const uv_buf_t *buffer,
                        const struct sockaddr *from, unsigned flags) {
    (void)flags;
    must(count >= 0, "uv_udp_recv");
    if (from == NULL)
        return;
    echoed((size_t)count);
    uv_buf_t reply = uv_buf_init(buffer->base, (unsigned)count);
    must(uv_udp_try_send(handle, &reply, 1, from) == count, "uv_udp_try_send");
}

static void echo_datagrams(int fd) {
    must(uv_udp_init(&loop, &udp) == 0, "uv_udp_init");
    must(uv_udp_open(&udp, fd) == 0, "uv_udp_open");
    must(uv_udp_recv_start(&udp, on_alloc, on_datagram) == 0, "uv_udp_recv_start");
}

static void on_end(uv_poll_t *p, int status, int events) {
    (void)status, (void)events;
    client_ends();
    uv_poll_stop(p);
    uv_stop(&loop);
}

static void await_client(int fd) {
    must(uv_poll_init(&loop, &end_wait, fd) == 0, "uv_poll_init");
    must(uv_poll_start(&end_wait, UV_READABLE, on_end) == 0, "uv_poll_start");
}

static void dial(size_t i);
static void on_dial_closed(uv_handle_t *handle) {
    if (dialled())
        dial((size_t)((struct dialling *)handle->data - diallings));
}

static void on_dial_ended(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
    (void)buffer;
    if (count == 0)
        return;
    must(count == UV_EOF, "the end of a connection that was closed");
    must(uv_tcp_close_reset((uv_tcp_t *)stream, on_dial_closed) == 0, "uv_tcp_close_reset");
}

static void on_dial_made(uv_connect_t *request, int status) {
    must(status == 0, "uv_tcp_connect");
    must(uv_read_start(request->handle, on_alloc, on_dial_ended) == 0, "uv_read_start");
}

static void dial(size_t i) {
    struct dialling *d = &diallings[i];
    must(uv_tcp_init(&loop, &d->tcp) == 0, "uv_tcp_init");
    d->tcp.data = d;
    must(uv_tcp_connect(&d->request, &d->tcp, (struct sockaddr *)&server, on_dial_made) == 0,
         "uv_tcp_connect");
}

#else
#include "net_ready.h"
#endif

/* ---- the loads ------------------------------------------------------------------------------- */

static int open_server(int type) {
    socklen_t length = sizeof server;
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(fd >= 0, "socket");
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    must(bind(fd, (struct sockaddr *)&server, sizeof server) == 0, "bind");
    must(getsockname(fd, (struct sockaddr *)&server, &length) == 0, "getsockname");
    must(type == SOCK_DGRAM || listen(fd, SOMAXCONN) == 0, "listen");
    return fd;
}

/* The C library's, as a loop may have put its own in its place. */
static pid_t start_client(const char *protocol, size_t idle, size_t busy, size_t messages) {
    char path[4096], numbers[5][24];
    const char *given = getenv("BENCH_CLIENT"), *slash = strrchr(bench_name, '/');
    int both[2];
    snprintf(path, sizeof path, "%.*s", (int)(slash != NULL ? slash + 1 - bench_name : 0),
             bench_name);
    snprintf(path + strlen(path), sizeof path - strlen(path), "client");
    const size_t values[] = {ntohs(server.sin_port), idle, busy, bytes_max, messages};
    for (int i = 0; i < 5; i++)
        snprintf(numbers[i], sizeof numbers[i], "%zu", values[i]);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) == 0, "socketpair");
    pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        if (both[1] == CLIENT_FD)
            fcntl(CLIENT_FD, F_SETFD, 0);
        else
            dup2(both[1], CLIENT_FD);
        execl(given != NULL ? given : path, "client", protocol, numbers[0], numbers[1], numbers[2],
              numbers[3], numbers[4], (char *)NULL);
        fprintf(stderr, "%s: %s: %s\n", bench_name, given != NULL ? given : path, strerror(errno));
        _exit(2);
    }
    close(both[1]);
    client_fd = both[0];
    return child;
}

/* The end of a client that has ended well, and nothing is missing. */
static uint64_t hear_report(pid_t client, size_t messages) {
    struct client_report r;
    int status;
    bool whole = recv(client_fd, &r, sizeof r, MSG_WAITALL) == sizeof r;
    must(waitpid(client, &status, 0) == client && status == 0, "the client");
    must(whole && r.answered == messages, "an answer to every message");
    must(echoed_bytes == messages * bytes_max, "every byte echoed, once");
    snprintf(bench_more, sizeof bench_more,
             ", \"latency_us\": {\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p99.9\": %.1f, "
             "\"max\": %.1f}, \"per_second\": %.0f",
             (double)r.half_ns / 1e3, (double)r.ninety_ns / 1e3, (double)r.ninety_nine_ns / 1e3,
             (double)r.thousandth_ns / 1e3, (double)r.longest_ns / 1e3,
             (double)messages * 1e9 / (double)r.wall_ns);
    return messages;
}

static uint64_t serve(size_t idle, size_t busy, size_t messages) {
    messages /= bench_share;
    expected = idle + busy;
    accept_on(open_server(SOCK_STREAM));
    pid_t client = start_client("tcp", idle, busy, messages);
    await_client(client_fd);
    run();
    must(accepted_so_far == expected, "every connection accepted");
    return hear_report(client, messages);
}

/* A byte goes to the server and comes back on each of `count` connections. */
static uint64_t tcp(size_t count) {
    return serve(0, count, count == 1 ? MESSAGES_ONE : MESSAGES);
}

/* The same on ten, beside `count` that say nothing. */
static uint64_t idle(size_t count) {
    return serve(count, BUSY_BESIDE, MESSAGES);
}

/* Messages of ECHO_BYTES on `count` connections; the client says how long each took. */
static uint64_t echo(size_t count) {
    return serve(0, count, MESSAGES);
}

/* `count` datagrams are under way at once. */
static uint64_t udp_echo(size_t count) {
    size_t messages = MESSAGES / bench_share;
    echo_datagrams(open_server(SOCK_DGRAM));
    pid_t client = start_client("udp", 0, count, messages);
    await_client(client_fd);
    tell_client_to_begin();
    run();
    return hear_report(client, messages);
}

/* `count` connections at once are made, accepted, closed by the server and then by who made them,
 * and made again, all in one loop. */
static uint64_t churn(size_t count) {
    size_t dials = DIALS / bench_share;
    expected = count;
    must(count <= dials, "no more connections at once than in all");
    accept_on(open_server(SOCK_STREAM));
    bench_begin();
    dials_open = count;
    dials_left = dials - count;
    for (size_t i = 0; i < count; i++)
        dial(i + count);
    run();
    must(dials_open == 0 && accepted_so_far == dials, "every connection made, accepted and closed");
    return dials;
}

static const struct bench_load loads[] = {
    {"tcp", tcp, false},      {"idle", idle, false},   {"echo", echo, false},
    {"udp", udp_echo, false}, {"churn", churn, false},
};

static void use_all_descriptors(size_t count) {
    struct rlimit limit;
    must(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    must(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    must(limit.rlim_max >= count + BUSY_BESIDE + 64, "descriptors enough by the hard limit");
}

static void begin_program(size_t count) {
    use_all_descriptors(count);
    init(closes_at_once ? 2 * count : count + BUSY_BESIDE);
}

int main(int argc, char **argv) {
    const char *load = argc > 1 ? argv[1] : "";
    closes_at_once = strcmp(load, "churn") == 0;
    bytes_max = strcmp(load, "echo") == 0  ? ECHO_BYTES
                : strcmp(load, "udp") == 0 ? DATAGRAM_BYTES
                                           : 1;
    return bench_main(argc, argv, loads, sizeof loads / sizeof *loads, CONNECTIONS_MAX,
                      begin_program);
}

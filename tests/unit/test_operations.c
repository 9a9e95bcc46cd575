/* SPDX-License-Identifier: MIT */
/* The sixteen operations end to end: real pipes, sockets and other descriptors of this kernel, in
 * real time. */
#include "fixture.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#define LARGE (4 << 20) /* more than a socket's or pipe's buffer holds */

static char in[4][256];
static char large[LARGE];

/* ---- noop, cancel, timer --------------------------------------------------------------------- */

static void ET_SUBMIT_2_noop_ends_with_0(void **state) {
    (void)state;
    submit_noop(&c[0]);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[0], 0});
}

static void ET_CANCEL_4_read_is_cancelled(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    submit_read(&c[0], p[0], in[0], sizeof in[0]);
    run(ET_RUN_NO_WAIT);
    submit_cancel(&c[1], &c[0]);
    put(p[1], "not read");
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], -ECANCELED}, {&c[1], 0});
    assert_int_equal(read(p[0], in[0], sizeof in[0]), 8);
}

static void ET_EXPIRE_1_timer_ends_with_0(void **state) {
    (void)state;
    submit_timer(&c[0], 5);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 0});
}

/* Longer than any page or buffer that a loop may be tempted to think in. */
static void ET_OP_2_the_whole_length_is_asked_for(void **state) {
    (void)state;
    const int there = 150000, size = 1 << 20;
    int p[2];
    open_pair(p, SOCK_STREAM);
    assert_int_equal(setsockopt(p[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(write(p[1], large, (size_t)there), there);
        if (i == 0)
            submit_read(&c[i], p[0], large, LARGE);
        else
            submit_recv(&c[i], p[0], large, LARGE);
        run(ET_RUN_UNTIL_DONE);
    }
    submit_write(&c[2], p[1], large, (size_t)there);
    run(ET_RUN_UNTIL_DONE);
    assert_int_equal(read(p[0], large, LARGE), there);
    submit_send(&c[3], p[1], large, (size_t)there);
    run(ET_RUN_UNTIL_DONE);
    assert_int_equal(read(p[0], large, LARGE), there);
    EXPECT({&c[0], there}, {&c[1], there}, {&c[2], there}, {&c[3], there});
}

/* ---- accept, connect ------------------------------------------------------------------------- */

static int tcp_socket(void) {
    return keep(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

static void submit_connect(struct et_completion *x, int fd, const void *address, socklen_t length) {
    submit(x,
           (struct et_completion){.operation = ET_CONNECT, .fd = fd, .connect = {address, length}});
}

static void submit_accept(struct et_completion *x, int fd) {
    submit(x, (struct et_completion){
                  .operation = ET_ACCEPT, .fd = fd, .accept = {NULL, NULL, SOCK_CLOEXEC}});
}

static void ET_OP_1_accept_and_connect_meet_over_tcp(void **state) {
    (void)state;
    struct sockaddr_in server, client, peer = {0};
    socklen_t client_length = sizeof client, peer_length = sizeof peer;
    int listener = open_listener(8, &server), socket_fd = tcp_socket();
    submit(&c[0],
           (struct et_completion){
               .operation = ET_ACCEPT,
               .fd = listener,
               .accept = {(struct sockaddr *)&peer, &peer_length, SOCK_NONBLOCK | SOCK_CLOEXEC},
           });
    submit_connect(&c[1], socket_fd, &server, sizeof server);
    run(ET_RUN_UNTIL_DONE);
    assert_int_equal(events_count, 2);
    struct event *accepted = &events[events[0].completion != &c[0]],
                 *connected = &events[accepted == events];
    assert_ptr_equal(connected->completion, &c[1]);
    assert_int_equal(connected->result, 0);
    int fd = keep((int)accepted->result);
    assert_int_equal(getsockname(socket_fd, (struct sockaddr *)&client, &client_length), 0);
    assert_int_equal(peer_length, sizeof peer);
    assert_int_equal(peer.sin_port, client.sin_port);
    assert_int_equal(peer.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    put(socket_fd, "hello");
    assert_int_equal(read(fd, in[0], sizeof in[0]), 5);
}

static void ET_OP_2_accept_passes_no_flags_of_its_own(void **state) {
    (void)state;
    struct sockaddr_in server;
    int listener = open_listener(8, &server), socket_fd = tcp_socket();
    submit(&c[0], (struct et_completion){.operation = ET_ACCEPT, .fd = listener});
    submit_connect(&c[1], socket_fd, &server, sizeof server);
    run(ET_RUN_UNTIL_DONE);
    assert_int_equal(events_count, 2);
    int fd = keep((int)events[events[0].completion != &c[0]].result);
    assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_false(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void ET_EVENT_1_accepts_serve_in_the_order_of_starting(void **state) {
    (void)state;
    struct sockaddr_in server;
    int listener = open_listener(8, &server);
    for (int i = 0; i < 3; i++)
        submit_accept(&c[i], listener);
    for (int i = 3; i < 6; i++)
        submit_connect(&c[i], tcp_socket(), &server, sizeof server);
    run(ET_RUN_UNTIL_DONE);
    assert_int_equal(events_count, 6);
    struct et_completion *next = &c[0];
    for (int i = 0; i < 6; i++)
        if (events[i].completion < &c[3]) {
            assert_ptr_equal(events[i].completion, next++);
            keep((int)events[i].result);
        } else {
            assert_int_equal(events[i].result, 0);
        }
}

static void ET_OP_1_accept_on_a_socket_that_does_not_listen(void **state) {
    (void)state;
    submit_accept(&c[0], tcp_socket());
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], -EINVAL});
}

static void ET_OP_3_connect_is_refused_by_a_closed_port(void **state) {
    (void)state;
    struct sockaddr_in server;
    drop(open_listener(1, &server));
    submit_connect(&c[0], tcp_socket(), &server, sizeof server);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], -ECONNREFUSED});
}

static void ET_OP_3_connect_stays_while_it_is_in_progress(void **state) {
    (void)state;
    struct sockaddr_in server;
    open_listener(0, &server);
    /* fills the backlog: the next gets no answer */
    submit_connect(&c[0], tcp_socket(), &server, sizeof server);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 0});
    int fd = tcp_socket();
    submit_connect(&c[1], fd, &server, sizeof server);
    submit_timer(&c[2], 10);
    run(ET_RUN_ONCE);
    EXPECT({&c[2], 0});
    EXPECT_STATE(&c[1], ET_ACTIVE);
    submit_connect(&c[3], fd, &server, sizeof server);
    run(ET_RUN_ONCE);
    EXPECT({&c[3], -EALREADY});
    submit_cancel(&c[2], &c[1]);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[1], -ECANCELED}, {&c[2], 0});
}

/* A listening socket of the Unix domain with a name that the kernel chooses. */
static int open_unix_listener(int backlog, struct sockaddr_un *where, socklen_t *length) {
    int fd = keep(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    *where = (struct sockaddr_un){.sun_family = AF_UNIX};
    *length = sizeof *where;
    assert_int_equal(bind(fd, (struct sockaddr *)where, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)where, length), 0);
    return fd;
}

static int unix_socket(void) {
    return keep(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

static void ET_SUBMIT_7_connect_that_is_answered_at_once_ends_there(void **state) {
    (void)state;
    struct sockaddr_un server;
    socklen_t length;
    open_unix_listener(1, &server, &length);
    int fd = unix_socket();
    submit_connect(&c[0], fd, &server, length);
    submit_noop(&c[1]);
    submit_connect(&c[2], fd, &server, length);
    submit_connect(&c[3], unix_socket(), &server, 1);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[0], 0}, {&c[1], 0}, {&c[2], -EISCONN}, {&c[3], -EINVAL});
}

/* Of a Unix socket whose listener's backlog is full; poll(2) would not tell when there is room. */
static void ET_SUBMIT_7_connect_that_says_EAGAIN(void **state) {
    (void)state;
    struct sockaddr_un server;
    socklen_t length;
    open_unix_listener(0, &server, &length);
    submit_connect(&c[0], unix_socket(), &server, length);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 0});
    submit_connect(&c[1], unix_socket(), &server, length);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[1], -EAGAIN});
}

/* ---- poll ------------------------------------------------------------------------------------ */

static void ET_EVENT_4_poll_tells_what_it_asked_for(void **state) {
    (void)state;
    int p[2];
    open_pair(p, SOCK_STREAM);
    put(p[1], "x");
    submit_poll(&c[0], p[0], POLLIN);
    submit_poll(&c[1], p[0], POLLOUT);
    submit_poll(&c[2], p[0], POLLIN | POLLOUT);
    submit_poll(&c[3], p[0], POLLRDHUP);
    submit_poll(&c[4], p[0], 0);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[0], POLLIN}, {&c[1], POLLOUT}, {&c[2], POLLIN | POLLOUT});
    EXPECT_STATE(&c[3], ET_ACTIVE);
    EXPECT_STATE(&c[4], ET_ACTIVE);
    assert_int_equal(shutdown(p[1], SHUT_WR), 0);
    run(ET_RUN_ONCE);
    EXPECT({&c[3], POLLRDHUP});
    drop(p[1]);
    run(ET_RUN_ONCE);
    EXPECT({&c[4], POLLHUP});
}

static void ET_EVENT_4_poll_tells_errors_unasked(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    submit_poll(&c[0], p[1], 0);
    submit_poll(&c[1], p[0], POLLPRI);
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
    drop(p[0]);
    run(ET_RUN_ONCE);
    EXPECT({&c[0], POLLERR});
    /* its descriptor is gone, nobody will report it */
    assert_int_equal(et_loop_delete(&loop, &c[1]), 0);
    run(ET_RUN_UNTIL_DONE);
    EXPECT_NOTHING();
}

static void ET_EVENT_4_poll_of_urgent_data(void **state) {
    (void)state;
    struct sockaddr_in server;
    int listener = open_listener(1, &server), client = tcp_socket();
    submit_accept(&c[0], listener);
    assert_int_equal(connect(client, (struct sockaddr *)&server, sizeof server), -1);
    run(ET_RUN_UNTIL_DONE);
    int fd = keep((int)events[0].result);
    events_count = 0;
    submit_poll(&c[1], fd, POLLPRI);
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
    assert_int_equal(send(client, "!", 1, MSG_OOB), 1);
    run(ET_RUN_ONCE);
    EXPECT({&c[1], POLLPRI});
    submit(&c[2],
           (struct et_completion){.operation = ET_RECV, .fd = fd, .recv = {in[0], 1, MSG_OOB}});
    run(ET_RUN_ONCE);
    EXPECT({&c[2], 1});
    assert_int_equal(in[0][0], '!');
    /* TCP says EINVAL to what asks for urgent data where there are none: not when others come */
    submit(&c[2],
           (struct et_completion){.operation = ET_RECV, .fd = fd, .recv = {in[0], 1, MSG_OOB}});
    submit(&c[3], (struct et_completion){.operation = ET_RECV, .fd = fd, .recv = {in[1], 8, 0}});
    put(client, "ab");
    run(ET_RUN_ONCE);
    EXPECT({&c[3], 2});
    assert_int_equal(send(client, "?", 1, MSG_OOB), 1);
    run(ET_RUN_ONCE);
    EXPECT({&c[2], 1});
    assert_int_equal(in[0][0], '?');
}

/* A datagram that is too long for IP is an error that IP itself puts into the socket's queue, and
 * of which nothing else is told. */
static void make_error(int fd) {
    static char long_one[65530];
    errno = 0;
    assert_int_equal(send(fd, long_one, sizeof long_one, 0), -1);
    assert_int_equal(errno, EMSGSIZE);
}

static void ET_EVENT_10_error_queue_beside_a_receive(void **state) {
    (void)state;
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = keep(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
        peer = keep(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    assert_int_equal(bind(peer, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(connect(peer, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(peer, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on), 0);
    char control[256];
    struct iovec iov = {in[0], sizeof in[0]};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    submit(&c[0], (struct et_completion){
                      .operation = ET_RECVMSG, .fd = fd, .recvmsg = {&message, MSG_ERRQUEUE}});
    submit(&c[1], (struct et_completion){.operation = ET_RECV, .fd = fd, .recv = {in[1], 8, 0}});
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
    put(peer, "data");
    run(ET_RUN_ONCE);
    EXPECT({&c[1], 4});
    submit(&c[1], (struct et_completion){.operation = ET_RECV, .fd = fd, .recv = {in[1], 8, 0}});
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
    make_error(fd);
    run(ET_RUN_ONCE);
    EXPECT({&c[0], 0});
    assert_true((message.msg_flags & MSG_ERRQUEUE) != 0);
    put(peer, "more");
    run(ET_RUN_ONCE);
    EXPECT({&c[1], 4});
}

/* ---- read, write, pread, pwrite -------------------------------------------------------------- */

static void ET_OP_1_read_and_write_on_a_pipe(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    submit_read(&c[0], p[0], in[0], sizeof in[0]);
    submit_write(&c[1], p[1], "hello", 5);
    run(ET_RUN_ONCE);
    EXPECT({&c[1], 5});
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 5});
    assert_memory_equal(in[0], "hello", 5);
    submit_read(&c[0], p[0], in[0], sizeof in[0]);
    drop(p[1]);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 0});
}

static void ET_EVENT_8_read_and_write_wait_for_a_report(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    /* a read that is tried now would block for ever */
    assert_int_equal(fcntl(p[0], F_SETFL, 0), 0);
    submit_read(&c[0], p[0], in[0], 0);
    submit_read(&c[1], p[0], in[1], 4);
    run(ET_RUN_NO_WAIT);
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
    put(p[1], "data");
    run(ET_RUN_ONCE);
    EXPECT({&c[0], 0});
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[1], 4});
}

static void ET_OP_1_write_to_a_pipe_without_a_reader(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    drop(p[0]);
    void (*former)(int) = signal(SIGPIPE, SIG_IGN);
    submit_write(&c[0], p[1], "x", 1);
    run(ET_RUN_UNTIL_DONE);
    signal(SIGPIPE, former);
    EXPECT({&c[0], -EPIPE});
}

static void ET_EVENT_3_write_to_a_full_pipe_waits_for_room(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    submit_write(&c[0], p[1], large, LARGE);
    submit_write(&c[1], p[1], "y", 1);
    run(ET_RUN_ONCE);
    assert_int_equal(events_count, 1);
    assert_ptr_equal(events[0].completion, &c[0]);
    int64_t written = events[0].result;
    assert_in_range(written, 4096, LARGE - 1);
    events_count = 0;
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
    assert_int_equal(read(p[0], large, LARGE), written);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[1], 1});
}

static void ET_OP_2_pread_passes_its_offset(void **state) {
    (void)state;
    char whole[64];
    /* One of the few files with a position that epoll takes. */
    int fd = keep(open("/proc/self/mounts", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    assert_int_equal(pread(fd, whole, sizeof whole, 0), sizeof whole);
    submit(&c[0], (struct et_completion){.operation = ET_PREAD, .fd = fd, .pread = {in[0], 16, 7}});
    submit(&c[1],
           (struct et_completion){.operation = ET_PREAD, .fd = fd, .pread = {in[1], 16, 1 << 30}});
    submit(&c[2],
           (struct et_completion){.operation = ET_PREAD, .fd = fd, .pread = {in[2], 16, -1}});
    submit_read(&c[3], fd, in[3], 16);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 16}, {&c[1], 0}, {&c[2], -EINVAL}, {&c[3], 16});
    assert_memory_equal(in[0], whole + 7, 16);
    assert_memory_equal(in[3], whole, 16);
}

static void ET_OP_1_pread_and_pwrite_on_a_pipe(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    submit(&c[0],
           (struct et_completion){.operation = ET_PREAD, .fd = p[0], .pread = {in[0], 1, 0}});
    submit(&c[1],
           (struct et_completion){.operation = ET_PWRITE, .fd = p[1], .pwrite = {"x", 1, 0}});
    run(ET_RUN_ONCE);
    EXPECT({&c[1], -ESPIPE});
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING(); /* the pread waits for a report like any other read */
    put(p[1], "x");
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], -ESPIPE});
}

/* No file that epoll takes can be written at a position without privileges; the kernel's complaints
 * tell offsets apart. */
static void ET_OP_2_pwrite_passes_its_offset(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    submit(&c[0],
           (struct et_completion){.operation = ET_PWRITE, .fd = p[1], .pwrite = {"x", 1, 3}});
    submit(&c[1],
           (struct et_completion){.operation = ET_PWRITE, .fd = p[1], .pwrite = {"x", 1, -3}});
    submit(&c[2], (struct et_completion){
                      .operation = ET_PWRITE, .fd = p[1], .pwrite = {"x", 1, INT64_MIN}});
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], -ESPIPE}, {&c[1], -EINVAL}, {&c[2], -EINVAL});
}

static void ET_REGISTER_3_regular_file_gives_EPERM(void **state) {
    (void)state;
    int p[2], fd = keep(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    open_pipe(p);
    submit_read(&c[0], p[0], in[0], 1);
    submit_read(&c[1], fd, in[1], 1);
    submit(&c[2], (struct et_completion){.operation = ET_PWRITE, .fd = fd, .pwrite = {"x", 1, 0}});
    submit_poll(&c[3], fd, POLLIN);
    submit(&c[4], (struct et_completion){.operation = ET_PREAD, .fd = fd, .pread = {in[2], 1, 0}});
    submit_write(&c[5], fd, "x", 1);
    submit_accept(&c[6], fd);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[1], -EPERM}, {&c[2], -EPERM}, {&c[3], -EPERM}, {&c[4], -EPERM}, {&c[5], -EPERM},
           {&c[6], -EPERM});
    EXPECT_STATE(&c[0], ET_ACTIVE);
    submit_read(&c[1], fd, in[1], 1); /* and again */
    run(ET_RUN_ONCE);
    EXPECT({&c[1], -EPERM});
    put(p[1], "x");
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 1});
}

static void ET_REGISTER_3_descriptor_that_is_not_open_gives_EBADF(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    drop(p[0]);
    submit_read(&c[0], p[0], in[0], 1);
    submit_poll(&c[1], p[0], POLLIN);
    submit_accept(&c[2], p[0]);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[0], -EBADF}, {&c[1], -EBADF}, {&c[2], -EBADF});
    submit_send(&c[0], p[0], "x", 1);
    submit_recv(&c[1], p[0], in[0], 1);
    submit_connect(&c[2], p[0], large, 16);
    run(ET_RUN_UNTIL_DONE);
    assert_int_equal(events_count, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(events[i].result, -EBADF);
}

/* ---- other descriptors ----------------------------------------------------------------------- */

static void ET_OP_1_eventfd(void **state) {
    (void)state;
    uint64_t most = UINT64_MAX - 1, one = 1, got = 0;
    int fd = keep(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    submit_write(&c[0], fd, &most, sizeof most);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 8});
    submit_write(&c[0], fd, &one, sizeof one); /* the counter is full */
    run(ET_RUN_NO_WAIT);
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
    submit_read(&c[1], fd, &got, sizeof got);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[1], 8}, {&c[0], 8});
    assert_true(got == most);
    submit_read(&c[2], fd, &got, 7);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[2], -EINVAL});
}

static void ET_OP_1_timerfd(void **state) {
    (void)state;
    uint64_t expirations = 0;
    int fd = keep(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    struct itimerspec when = {.it_value.tv_nsec = 5000000, .it_interval.tv_nsec = 5000000};
    submit_read(&c[0], fd, &expirations, sizeof expirations);
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
    assert_int_equal(timerfd_settime(fd, 0, &when, NULL), 0);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 8});
    assert_true(expirations >= 1);
}

/* ---- send, recv ------------------------------------------------------------------------------ */

static void ET_OP_1_send_and_recv_on_a_stream(void **state) {
    (void)state;
    int p[2];
    open_pair(p, SOCK_STREAM);
    submit_recv(&c[0], p[0], in[0], 3);
    submit_send(&c[1], p[1], "hello", 5);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[1], 5}, {&c[0], 3}); /* nothing to receive before it was sent */
    submit_recv(&c[0], p[0], in[0] + 3, 8);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 2});
    assert_memory_equal(in[0], "hello", 5);
    drop(p[1]);
    submit_recv(&c[0], p[0], in[0], 8);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 0});
}

static void ET_OP_2_recv_passes_its_flags(void **state) {
    (void)state;
    int p[2];
    open_pair(p, SOCK_STREAM);
    put(p[1], "ab");
    submit(&c[0],
           (struct et_completion){.operation = ET_RECV, .fd = p[0], .recv = {in[0], 8, MSG_PEEK}});
    submit(&c[1], (struct et_completion){
                      .operation = ET_RECV, .fd = p[0], .recv = {in[1], 8, MSG_WAITALL}});
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 2}, {&c[1], 2});
    assert_memory_equal(in[0], "ab", 2);
    assert_memory_equal(in[1], "ab", 2);
}

/* Both descriptors block: without MSG_DONTWAIT the second recv and the second send would stop the
 * loop. */
static void ET_OP_2_socket_operations_do_not_block_on_a_blocking_socket(void **state) {
    (void)state;
    int p[2];
    open_pair(p, SOCK_STREAM);
    submit_recv(&c[0], p[0], in[0], 8);
    submit_recv(&c[1], p[0], in[1], 8);
    put(p[1], "x");
    run(ET_RUN_ONCE);
    EXPECT({&c[0], 1});
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
    EXPECT_STATE(&c[1], ET_ACTIVE);
    submit_send(&c[2], p[0], large, LARGE);
    submit_send(&c[3], p[0], "y", 1);
    run(ET_RUN_ONCE);
    assert_int_equal(events_count, 1);
    assert_ptr_equal(events[0].completion, &c[2]);
    assert_in_range(events[0].result, 1, LARGE - 1);
    int64_t left = events[0].result;
    events_count = 0;
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
    while (left > 0)
        left -= read(p[1], large, LARGE);
    run(ET_RUN_ONCE);
    EXPECT({&c[3], 1});
    put(p[1], "z");
    run(ET_RUN_ONCE);
    EXPECT({&c[1], 1});
}

static void ET_OP_2_message_operations_do_not_block_on_a_blocking_socket(void **state) {
    (void)state;
    int p[2];
    struct iovec part = {in[0], 8}, whole = {large, LARGE};
    struct msghdr into = {.msg_iov = &part, .msg_iovlen = 1},
                  from = {.msg_iov = &whole, .msg_iovlen = 1};
    open_pair(p, SOCK_STREAM);
    submit(&c[0],
           (struct et_completion){.operation = ET_RECVMSG, .fd = p[0], .recvmsg = {&into, 0}});
    submit(&c[1],
           (struct et_completion){.operation = ET_SENDMSG, .fd = p[0], .sendmsg = {&from, 0}});
    submit(&c[2],
           (struct et_completion){.operation = ET_SENDMSG, .fd = p[0], .sendmsg = {&from, 0}});
    run(ET_RUN_ONCE);
    run(ET_RUN_NO_WAIT);
    assert_int_equal(events_count, 1);
    assert_ptr_equal(events[0].completion, &c[1]);
    events_count = 0;
    submit_cancel(&c[3], &c[2]);
    put(p[1], "x");
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[2], -ECANCELED}, {&c[3], 0}, {&c[0], 1});
}

static volatile sig_atomic_t pipe_signals;

static void count_signal(int number) {
    (void)number;
    pipe_signals++;
}

static void ET_OP_2_send_and_sendmsg_raise_no_SIGPIPE(void **state) {
    (void)state;
    int p[2];
    struct iovec part = {large, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    open_pair(p, SOCK_STREAM);
    drop(p[1]);
    pipe_signals = 0;
    void (*former)(int) = signal(SIGPIPE, count_signal);
    submit_send(&c[0], p[0], "x", 1);
    submit(&c[1],
           (struct et_completion){.operation = ET_SENDMSG, .fd = p[0], .sendmsg = {&message, 0}});
    run(ET_RUN_UNTIL_DONE);
    signal(SIGPIPE, former);
    EXPECT({&c[0], -EPIPE}, {&c[1], -EPIPE});
    assert_int_equal(pipe_signals, 0);
}

static void ET_OP_4_a_reset_connection_is_the_error_of_one(void **state) {
    (void)state;
    struct sockaddr_in server;
    int listener = open_listener(1, &server), client = tcp_socket();
    submit_accept(&c[0], listener);
    submit_connect(&c[1], client, &server, sizeof server);
    run(ET_RUN_UNTIL_DONE);
    int fd = keep((int)events[events[0].completion != &c[0]].result);
    events_count = 0;
    submit_recv(&c[2], fd, in[0], 8);
    submit_recv(&c[3], fd, in[1], 8);
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
    struct linger at_once = {.l_onoff = 1};
    assert_int_equal(setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    drop(client);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[2], -ECONNRESET}, {&c[3], 0});
}

static void ET_SUBMIT_8_recv_does_not_overtake(void **state) {
    (void)state;
    int p[2];
    open_pair(p, SOCK_STREAM | SOCK_NONBLOCK);
    submit_read(&c[0], p[0], in[0], 1);
    submit_recv(&c[1], p[0], in[1], 1);
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
    put(p[1], "abc");
    submit_recv(&c[2], p[0], in[2], 1);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 1}, {&c[1], 1}, {&c[2], 1});
    assert_int_equal(in[0][0], 'a');
    assert_int_equal(in[1][0], 'b');
    assert_int_equal(in[2][0], 'c');
}

static void ET_OP_1_socket_operations_on_a_pipe(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    put(p[1], "x");
    submit_recv(&c[0], p[0], in[0], 1);
    run(ET_RUN_UNTIL_DONE);
    submit_send(&c[1], p[1], "x", 1);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], -ENOTSOCK}, {&c[1], -ENOTSOCK});
}

/* ---- sendmsg, recvmsg ------------------------------------------------------------------------ */

static void submit_message(struct et_completion *x, enum et_operation operation, int fd,
                           struct msghdr *m, int flags) {
    if (operation == ET_SENDMSG)
        submit(x, (struct et_completion){.operation = ET_SENDMSG, .fd = fd, .sendmsg = {m, flags}});
    else
        submit(x, (struct et_completion){.operation = ET_RECVMSG, .fd = fd, .recvmsg = {m, flags}});
}

static void ET_OP_2_messages_carry_descriptors(void **state) {
    (void)state;
    int p[2], pipe_ends[2], received;
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } out = {{0}}, into = {{0}};
    struct iovec text = {large, 2}, space = {in[0], 8};
    struct msghdr sent = {
        .msg_iov = &text, .msg_iovlen = 1, .msg_control = &out, .msg_controllen = sizeof out};
    struct msghdr got = {
        .msg_iov = &space, .msg_iovlen = 1, .msg_control = &into, .msg_controllen = sizeof into};
    open_pair(p, SOCK_DGRAM);
    open_pipe(pipe_ends);
    *CMSG_FIRSTHDR(&sent) = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&sent)), &pipe_ends[1], sizeof(int));
    submit_message(&c[0], ET_RECVMSG, p[0], &got, MSG_CMSG_CLOEXEC);
    run(ET_RUN_NO_WAIT);
    submit_message(&c[1], ET_SENDMSG, p[1], &sent, 0);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[1], 2}, {&c[0], 2});
    struct cmsghdr *control = CMSG_FIRSTHDR(&got);
    assert_non_null(control);
    assert_int_equal(control->cmsg_type, SCM_RIGHTS);
    memcpy(&received, CMSG_DATA(control), sizeof received);
    keep(received);
    assert_true(fcntl(received, F_GETFD) & FD_CLOEXEC);
    put(received, "through");
    assert_int_equal(read(pipe_ends[0], in[1], 8), 7);
}

static void ET_OP_2_truncation_is_reported(void **state) {
    (void)state;
    int p[2];
    struct iovec space[2] = {{in[0], 2}, {in[1], 1}};
    struct msghdr got = {.msg_iov = space, .msg_iovlen = 2};
    open_pair(p, SOCK_DGRAM);
    put(p[1], "abcdef");
    put(p[1], "ghijkl");
    put(p[1], "mno");
    submit_message(&c[0], ET_RECVMSG, p[0], &got, 0);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 3});
    assert_true(got.msg_flags & MSG_TRUNC);
    submit_message(&c[0], ET_RECVMSG, p[0], &got, MSG_TRUNC); /* asks for the true length */
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 6});
    assert_true(got.msg_flags & MSG_TRUNC);
    submit_message(&c[0], ET_RECVMSG, p[0], &got, 0);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 3});
    assert_false(got.msg_flags & MSG_TRUNC);
    assert_memory_equal(in[0], "mn", 2);
    assert_int_equal(in[1][0], 'o');
}

/* A UDP socket on the loopback interface, and where. */
static int open_udp(struct sockaddr_in *where) {
    int fd = keep(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    socklen_t length = sizeof *where;
    *where = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)where, sizeof *where), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)where, &length), 0);
    return fd;
}

static void ET_OP_2_datagrams_carry_addresses(void **state) {
    (void)state;
    struct sockaddr_in server, client, peer = {0};
    int fd = open_udp(&server), sender = open_udp(&client);
    struct iovec text = {large, 0}, space = {in[0], 8};
    struct msghdr sent = {
        .msg_name = &server, .msg_namelen = sizeof server, .msg_iov = &text, .msg_iovlen = 1};
    struct msghdr got = {
        .msg_name = &peer, .msg_namelen = sizeof peer, .msg_iov = &space, .msg_iovlen = 1};
    submit_message(&c[0], ET_RECVMSG, fd, &got, 0);
    submit_message(&c[1], ET_SENDMSG, sender, &sent, 0);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[1], 0}, {&c[0], 0}); /* an empty datagram is not the end of anything */
    assert_int_equal(peer.sin_port, client.sin_port);
}

static void ET_OP_4_a_refused_datagram_is_the_error_of_one(void **state) {
    (void)state;
    struct sockaddr_in server, client;
    int gone = open_udp(&server), sender = open_udp(&client);
    drop(gone);
    assert_int_equal(connect(sender, (struct sockaddr *)&server, sizeof server), 0);
    submit_recv(&c[0], sender, in[0], 8);
    submit_recv(&c[1], sender, in[1], 8);
    run(ET_RUN_NO_WAIT);
    submit_send(&c[2], sender, "x", 1);
    run(ET_RUN_ONCE);
    run(ET_RUN_NO_WAIT);
    EXPECT({&c[2], 1}, {&c[0], -ECONNREFUSED});
    EXPECT_STATE(&c[1], ET_ACTIVE);
}

/* ---- shutdown, close ------------------------------------------------------------------------- */

static void ET_SUBMIT_9_shutdown(void **state) {
    (void)state;
    int p[2], q[2];
    open_pair(p, SOCK_STREAM);
    open_pipe(q);
    submit_recv(&c[0], p[0], in[0], 8);
    put(p[1], "bye");
    submit(&c[2],
           (struct et_completion){.operation = ET_SHUTDOWN, .fd = p[1], .shutdown = {SHUT_WR}});
    submit(&c[3],
           (struct et_completion){.operation = ET_SHUTDOWN, .fd = q[1], .shutdown = {SHUT_WR}});
    submit(&c[4], (struct et_completion){
                      .operation = ET_SHUTDOWN, .fd = tcp_socket(), .shutdown = {SHUT_WR}});
    submit(&c[5], (struct et_completion){.operation = ET_SHUTDOWN, .fd = p[1], .shutdown = {77}});
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[2], 0}, {&c[3], -ENOTSOCK}, {&c[4], -ENOTCONN}, {&c[5], -EINVAL}, {&c[0], 3});
    submit_recv(&c[0], p[0], in[0], 8);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], 0});
    assert_int_equal(send(p[0], "still open", 10, 0), 10);
}

static void ET_SUBMIT_9_shutdown_ends_the_waiting_recv_by_its_own_try(void **state) {
    (void)state;
    int p[2];
    open_pair(p, SOCK_STREAM);
    submit_recv(&c[0], p[0], in[0], 8);
    run(ET_RUN_NO_WAIT);
    submit(&c[1],
           (struct et_completion){.operation = ET_SHUTDOWN, .fd = p[0], .shutdown = {SHUT_RD}});
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[1], 0}, {&c[0], 0});
}

static void ET_CLOSE_2_close_closes(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    submit_close(&c[0], p[1]);
    submit_close(&c[1], p[1]);
    run(ET_RUN_UNTIL_DONE);
    forget(p[1]);
    EXPECT({&c[0], 0}, {&c[1], -EBADF});
    assert_int_equal(fcntl(p[1], F_GETFD), -1);
    assert_int_equal(read(p[0], in[0], 1), 0);
}

static int close_fd;
static bool open_in_callback[EVENTS_MAX];

static enum et_action note_whether_open(struct et_loop *l, struct et_completion *x, int64_t result,
                                        void *userdata) {
    open_in_callback[events_count] = fcntl(close_fd, F_GETFD) >= 0;
    return note(l, x, result, userdata);
}

static void ET_CLOSE_1_close_ends_who_waits_before_it_closes(void **state) {
    (void)state;
    int p[2];
    open_pair(p, SOCK_STREAM | SOCK_NONBLOCK);
    close_fd = p[0];
    submit(&c[0], (struct et_completion){.operation = ET_READ,
                                         .fd = p[0],
                                         .callback = note_whether_open,
                                         .read = {in[0], 1}});
    submit(&c[1], (struct et_completion){.operation = ET_POLL,
                                         .fd = p[0],
                                         .callback = note_whether_open,
                                         .poll = {POLLRDHUP}});
    submit_read(&c[2], p[1], in[1], 8);
    run(ET_RUN_NO_WAIT);
    submit_recv(&c[3], p[0], in[2], 1);
    submit(&c[4], (struct et_completion){
                      .operation = ET_CLOSE, .fd = p[0], .callback = note_whether_open});
    run(ET_RUN_UNTIL_DONE);
    forget(p[0]);
    EXPECT({&c[0], -ECANCELED}, {&c[1], -ECANCELED}, {&c[3], -ECANCELED}, {&c[4], 0}, {&c[2], 0});
    assert_true(open_in_callback[0]);
    assert_true(open_in_callback[1]);
    assert_false(open_in_callback[3]);
    assert_int_equal(fcntl(p[0], F_GETFD), -1);
}

static void ET_CLOSE_1_close_leaves_the_submissions_alone(void **state) {
    (void)state;
    int p[2];
    open_pipe(p);
    submit_close(&c[0], p[0]);
    submit_read(&c[1], p[0], in[0], 1);
    run(ET_RUN_UNTIL_DONE);
    forget(p[0]);
    EXPECT({&c[0], 0}, {&c[1], -EBADF});
}

static enum et_action note_and_delete_close(struct et_loop *l, struct et_completion *x,
                                            int64_t result, void *userdata) {
    note(l, x, result, et_completion_state(&c[3]) == ET_ACTIVE ? &c[3] : NULL);
    et_loop_delete(l, &c[3]);
    if (userdata != NULL)
        et_loop_add(l, &c[3]); /* the next episode: still not this one's business */
    return ET_DISARM;
}

static void delete_the_close(void *again) {
    int p[2];
    open_pipe(p);
    submit(&c[0], (struct et_completion){.operation = ET_READ,
                                         .fd = p[0],
                                         .callback = note_and_delete_close,
                                         .userdata = again,
                                         .read = {in[0], 1}});
    submit_read(&c[1], p[0], in[1], 1);
    submit_poll(&c[2], p[0], POLLIN);
    run(ET_RUN_NO_WAIT);
    submit_close(&c[3], p[0]);
    run(ET_RUN_NO_WAIT);
    assert_ptr_equal(events[0].userdata, &c[3]);
    EXPECT({&c[0], -ECANCELED});
    EXPECT_STATE(&c[1], ET_ACTIVE);
    EXPECT_STATE(&c[2], ET_ACTIVE);
    assert_true(fcntl(p[0], F_GETFD) >= 0);
    if (again == NULL) {
        put(p[1], "x");
        run(ET_RUN_UNTIL_DONE);
        assert_int_equal(events_count, 2);
    } else {
        run(ET_RUN_UNTIL_DONE);
        EXPECT({&c[1], -ECANCELED}, {&c[2], -ECANCELED}, {&c[3], 0});
        forget(p[0]);
    }
}

static void ET_CLOSE_3_close_that_is_deleted_does_not_close(void **state) {
    (void)state;
    delete_the_close(NULL);
}

static void ET_CLOSE_3_close_that_is_deleted_and_added_begins_anew(void **state) {
    (void)state;
    delete_the_close(&c[3]);
}

/* ---- numbers that are no descriptors --------------------------------------------------------- */

static const uint8_t waiting[] = {ET_ACCEPT, ET_CONNECT, ET_POLL, ET_READ,    ET_PREAD,  ET_WRITE,
                                  ET_PWRITE, ET_SEND,    ET_RECV, ET_SENDMSG, ET_RECVMSG};
#define WAITING (sizeof waiting)

static void ET_SUBMIT_4_negative_descriptors(void **state) {
    (void)state;
    const int numbers[] = {-1, INT32_MIN};
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < WAITING; k++)
            submit(&c[k], (struct et_completion){.operation = waiting[k], .fd = numbers[i]});
        submit(&c[WAITING], (struct et_completion){.operation = ET_CLOSE, .fd = numbers[i]});
        submit(&c[WAITING + 1], (struct et_completion){.operation = ET_SHUTDOWN, .fd = numbers[i]});
        run(ET_RUN_UNTIL_DONE);
        assert_int_equal(events_count, WAITING + 2);
        for (size_t k = 0; k < WAITING + 2; k++) {
            assert_ptr_equal(events[k].completion, &c[k]);
            assert_int_equal(events[k].result, -EBADF);
        }
        events_count = 0;
    }
}

static void ET_SUBMIT_5_descriptors_beyond_the_limit(void **state) {
    (void)state;
    assert_int_equal(et_loop_deinit(&loop), 0);
    int p[2];
    open_pair(p, SOCK_STREAM);
    int high = keep(fcntl(p[0], F_DUPFD_CLOEXEC, p[1] + 1)), numbers[] = {high, INT32_MAX};
    assert_int_equal(et_loop_init(&loop, &(struct et_options){.descriptors_max = (unsigned)high}),
                     0);
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < WAITING; k++)
            submit(&c[k], (struct et_completion){.operation = waiting[k], .fd = numbers[i]});
        run(ET_RUN_NO_WAIT);
        assert_int_equal(events_count, WAITING);
        for (size_t k = 0; k < WAITING; k++)
            assert_int_equal(events[k].result, -EMFILE);
        events_count = 0;
    }
    submit_recv(&c[0], high - 1 == p[1] ? p[1] : p[0], in[0], 1);
    run(ET_RUN_NO_WAIT);
    EXPECT_NOTHING();
    EXPECT_STATE(&c[0], ET_ACTIVE);
    submit(&c[1],
           (struct et_completion){.operation = ET_SHUTDOWN, .fd = high, .shutdown = {SHUT_RDWR}});
    submit_close(&c[2], high);
    run(ET_RUN_UNTIL_DONE);
    forget(high);
    EXPECT({&c[1], 0}, {&c[2], 0}, {&c[0], 0});
}

static void ET_SUBMIT_5_the_limit_is_that_of_the_process_by_default(void **state) {
    (void)state;
    struct rlimit before, low;
    assert_int_equal(et_loop_deinit(&loop), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = 40;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    int error = et_loop_init(&loop, NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(error, 0);
    submit_read(&c[0], 40, in[0], 1);
    submit_read(&c[1], 39, in[1], 1);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], -EMFILE}, {&c[1], -EBADF});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(ET_SUBMIT_2_noop_ends_with_0),
        TEST(ET_CANCEL_4_read_is_cancelled),
        TEST(ET_EXPIRE_1_timer_ends_with_0),
        TEST(ET_OP_2_the_whole_length_is_asked_for),
        TEST(ET_OP_1_accept_and_connect_meet_over_tcp),
        TEST(ET_OP_2_accept_passes_no_flags_of_its_own),
        TEST(ET_EVENT_1_accepts_serve_in_the_order_of_starting),
        TEST(ET_OP_1_accept_on_a_socket_that_does_not_listen),
        TEST(ET_OP_3_connect_is_refused_by_a_closed_port),
        TEST(ET_OP_3_connect_stays_while_it_is_in_progress),
        TEST(ET_SUBMIT_7_connect_that_is_answered_at_once_ends_there),
        TEST(ET_SUBMIT_7_connect_that_says_EAGAIN),
        TEST(ET_EVENT_4_poll_tells_what_it_asked_for),
        TEST(ET_EVENT_4_poll_tells_errors_unasked),
        TEST(ET_EVENT_4_poll_of_urgent_data),
        TEST(ET_EVENT_10_error_queue_beside_a_receive),
        TEST(ET_OP_1_read_and_write_on_a_pipe),
        TEST(ET_EVENT_8_read_and_write_wait_for_a_report),
        TEST(ET_OP_1_write_to_a_pipe_without_a_reader),
        TEST(ET_EVENT_3_write_to_a_full_pipe_waits_for_room),
        TEST(ET_OP_2_pread_passes_its_offset),
        TEST(ET_OP_1_pread_and_pwrite_on_a_pipe),
        TEST(ET_OP_2_pwrite_passes_its_offset),
        TEST(ET_REGISTER_3_regular_file_gives_EPERM),
        TEST(ET_REGISTER_3_descriptor_that_is_not_open_gives_EBADF),
        TEST(ET_OP_1_eventfd),
        TEST(ET_OP_1_timerfd),
        TEST(ET_OP_1_send_and_recv_on_a_stream),
        TEST(ET_OP_2_recv_passes_its_flags),
        TEST(ET_OP_2_socket_operations_do_not_block_on_a_blocking_socket),
        TEST(ET_OP_2_message_operations_do_not_block_on_a_blocking_socket),
        TEST(ET_OP_2_send_and_sendmsg_raise_no_SIGPIPE),
        TEST(ET_OP_4_a_reset_connection_is_the_error_of_one),
        TEST(ET_SUBMIT_8_recv_does_not_overtake),
        TEST(ET_OP_1_socket_operations_on_a_pipe),
        TEST(ET_OP_2_messages_carry_descriptors),
        TEST(ET_OP_2_truncation_is_reported),
        TEST(ET_OP_2_datagrams_carry_addresses),
        TEST(ET_OP_4_a_refused_datagram_is_the_error_of_one),
        TEST(ET_SUBMIT_9_shutdown),
        TEST(ET_SUBMIT_9_shutdown_ends_the_waiting_recv_by_its_own_try),
        TEST(ET_CLOSE_2_close_closes),
        TEST(ET_CLOSE_1_close_ends_who_waits_before_it_closes),
        TEST(ET_CLOSE_1_close_leaves_the_submissions_alone),
        TEST(ET_CLOSE_3_close_that_is_deleted_does_not_close),
        TEST(ET_CLOSE_3_close_that_is_deleted_and_added_begins_anew),
        TEST(ET_SUBMIT_4_negative_descriptors),
        TEST(ET_SUBMIT_5_descriptors_beyond_the_limit),
        TEST(ET_SUBMIT_5_the_limit_is_that_of_the_process_by_default),
    };
    return cmocka_run_group_tests_name("operations", tests, NULL, NULL);
}

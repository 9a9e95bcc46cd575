/* SPDX-License-Identifier: MIT */
/* The loads over the network for loops that tell what is ready: each gives a wait on a descriptor
 * in its own calls (begin, end), and what is done then, by Linux's calls, is the same for all.
 * Included by net_loads.c alone.
 *
 * A wait reports for as long as it is not ended, and is ended in its own callback. */
#ifndef ETALON_BENCH_NET_READY_H
#define ETALON_BENCH_NET_READY_H

#define DATAGRAMS_AT_ONCE 32 /* before the loop is asked again */

enum role { ACCEPTS, ECHOES, ECHOES_DATAGRAMS, AWAITS_CLIENT, CONNECTS, AWAITS_CLOSE };

struct slot;
static void begin(struct slot *s, int fd, bool for_output);
static void end(struct slot *s);
static void ready(struct slot *s);
static void end_run(void);

#if defined LOOP_etalon_polls

struct slot {
    struct et_completion poll;
    enum role role;
    int fd;
    bool ended;
};
static enum et_action on_polled(struct et_loop *l, struct et_completion *c, int64_t result,
                                void *userdata) {
    struct slot *s = userdata;
    (void)l, (void)result;
    ready(s);
    return s->ended || et_completion_state(c) != ET_DEAD ? ET_DISARM : ET_REARM;
}

static void begin(struct slot *s, int fd, bool for_output) {
    s->fd = fd;
    s->ended = false;
    s->poll = (struct et_completion){.operation = ET_POLL,
                                     .fd = fd,
                                     .callback = on_polled,
                                     .userdata = s,
                                     .poll.events = for_output ? EPOLLOUT : EPOLLIN};
    must(et_loop_add(&loop, &s->poll) == 0, "et_loop_add");
}

static void end(struct slot *s) {
    s->ended = true;
}

static void init_loop(void) {
    must(et_loop_init(&loop, NULL) == 0, "et_loop_init");
}

#elif defined LOOP_libev

struct slot {
    ev_io io;
    enum role role;
    int fd;
};
static void on_io(struct ev_loop *l, ev_io *w, int events) {
    (void)l, (void)events;
    ready(w->data);
}

static void begin(struct slot *s, int fd, bool for_output) {
    s->fd = fd;
    ev_io_init(&s->io, on_io, fd, for_output ? EV_WRITE : EV_READ);
    s->io.data = s;
    ev_io_start(loop, &s->io);
}

static void end(struct slot *s) {
    ev_io_stop(loop, &s->io);
}

static void init_loop(void) {
    must((loop = ev_loop_new(EVFLAG_AUTO)) != NULL, "ev_loop_new");
}

#elif defined LOOP_libevent

struct slot {
    struct event event;
    enum role role;
    int fd;
};
static void on_event(evutil_socket_t fd, short events, void *s) {
    (void)fd, (void)events;
    ready(s);
}

static void begin(struct slot *s, int fd, bool for_output) {
    short events = (short)((for_output ? EV_WRITE : EV_READ) | EV_PERSIST);
    s->fd = fd;
    must(event_assign(&s->event, loop, fd, events, on_event, s) == 0, "event_assign");
    must(event_add(&s->event, NULL) == 0, "event_add");
}

static void end(struct slot *s) {
    event_del(&s->event);
}

static void init_loop(void) {
    must((loop = event_base_new()) != NULL, "event_base_new");
}

#elif defined LOOP_floor

struct slot {
    enum role role;
    int fd;
};
static int epoll_fd;
static bool run_ends;

/* A wait for input may follow one for output on the same descriptor. Closing ends either. */
static void begin(struct slot *s, int fd, bool for_output) {
    struct epoll_event event = {.events = for_output ? EPOLLOUT : EPOLLIN, .data.ptr = s};
    int how = s->role == AWAITS_CLOSE ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    s->fd = fd;
    must(epoll_ctl(epoll_fd, how, fd, &event) == 0, "epoll_ctl");
}

static void end(struct slot *s) {
    (void)s;
}

static void init_loop(void) {
    must((epoll_fd = epoll_create1(EPOLL_CLOEXEC)) >= 0, "epoll_create1");
}

static void run(void) {
    struct epoll_event events[256];
    while (!run_ends) {
        int count = epoll_wait(epoll_fd, events, 256, -1);
        must(count > 0, "epoll_wait");
        for (int i = 0; i < count && !run_ends; i++)
            ready(events[i].data.ptr);
    }
}

static void end_run(void) {
    run_ends = true;
}
#endif

/* ---- what is done ---------------------------------------------------------------------------- */

static struct slot *slots, listener, end_wait, udp;

static void init(size_t count) {
    init_loop();
    must((slots = calloc(count, sizeof *slots)) != NULL, "calloc");
}

static void begin_as(struct slot *s, enum role role, int fd) {
    s->role = role;
    begin(s, fd, role == CONNECTS);
}

static void accept_one(int listening) {
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK);
    must(fd >= 0, "accept4");
    if (closes_at_once)
        must(close(fd) == 0, "close");
    else
        begin_as(&slots[accepted_so_far % expected], ECHOES, fd);
    accepted();
}

static void close_slot(struct slot *s) {
    end(s);
    must(close(s->fd) == 0, "close");
}

static void echo_one(struct slot *s) {
    char bytes[BYTES_MAX];
    ssize_t count = read(s->fd, bytes, sizeof bytes);
    must(count >= 0, "read");
    if (count == 0) {
        close_slot(s);
        return;
    }
    echoed((size_t)count);
    must(write(s->fd, bytes, (size_t)count) == count, "write");
}

static void echo_some_datagrams(int fd) {
    for (int i = 0; i < DATAGRAMS_AT_ONCE; i++) {
        char bytes[BYTES_MAX];
        struct sockaddr_in from;
        socklen_t length = sizeof from;
        ssize_t count = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &length);
        if (count < 0 && errno == EAGAIN)
            return;
        must(count > 0, "recvfrom");
        echoed((size_t)count);
        must(sendto(fd, bytes, (size_t)count, 0, (struct sockaddr *)&from, length) == count,
             "sendto");
    }
}

static void dial(size_t i) {
    int fd = dial_socket();
    bool made = connect(fd, (struct sockaddr *)&server, sizeof server) == 0;
    must(made || errno == EINPROGRESS, "connect");
    begin_as(&slots[i], CONNECTS, fd);
}

static void is_connected(struct slot *s) {
    int error = 0;
    socklen_t length = sizeof error;
    must(getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0, "connect");
    end(s);
    begin_as(s, AWAITS_CLOSE, s->fd);
}

static void is_closed(struct slot *s) {
    char byte;
    must(read(s->fd, &byte, 1) == 0, "the end of a connection that was closed");
    close_slot(s);
    if (dialled())
        dial((size_t)(s - slots));
}

static void ready(struct slot *s) {
    switch (s->role) {
    case ACCEPTS: accept_one(s->fd); break;
    case ECHOES: echo_one(s); break;
    case ECHOES_DATAGRAMS: echo_some_datagrams(s->fd); break;
    case AWAITS_CLIENT:
        client_ends();
        end(s);
        end_run();
        break;
    case CONNECTS: is_connected(s); break;
    case AWAITS_CLOSE: is_closed(s); break;
    }
}

static void accept_on(int fd) {
    begin_as(&listener, ACCEPTS, fd);
}

static void echo_datagrams(int fd) {
    begin_as(&udp, ECHOES_DATAGRAMS, fd);
}

static void await_client(int fd) {
    begin_as(&end_wait, AWAITS_CLIENT, fd);
}

#endif

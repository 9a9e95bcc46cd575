/* SPDX-License-Identifier: MIT */
/* Boost.Asio (an io_context on its epoll reactor), for `etalon check`.
 *
 * Compiler: g++ Build: -std=c++17 -DBOOST_ASIO_NO_DEPRECATED -Wno-maybe-uninitialized
 *
 * A completion is one asynchronous operation. A descriptor belongs to one I/O object as long as an
 * operation is in progress on it: a socket, an acceptor or a stream_descriptor, which is released
 * before the last operation's callback. A timer is kept, and set anew.
 *
 *   noop, wakeup  asio::post
 *   timer         steady_timer::expires_after, async_wait
 *   timer_reset   expires_after, which cancels the wait, and async_wait anew
 *   read, write   stream_descriptor::async_read_some, async_write_some; of a socket as recv, send
 *   send, recv    async_send, async_receive
 *   accept        async_accept into a socket, which is released; flags and address by the adapter
 *   connect       async_connect
 *   poll          async_wait: wait_read, wait_write, or both; the first to come ends it
 *   cancel        cancel() of the timer or the I/O object; the cancel's own callback is posted
 *   remove        the same; the handler that then comes with operation_aborted calls nobody
 *   run           poll, run_one, run, after restart() unless it was stopped
 *   stop          stop(); stopped until the loop is made anew
 *   deinit        the timers and the io_context are destroyed, the descriptors released
 *
 * Not offered: now and update_now (each timer reads the clock), sendmsg and recvmsg (there are
 * none), close and shutdown (they are not asynchronous), the descriptors of regular files (no file
 * is an I/O object of a POSIX system), asyncs, refusals (a run inside a handler is allowed). */
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <utility>
#include <variant>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <boost/asio.hpp>

#include "etalon_subject.h"

namespace asio = boost::asio;
using boost::system::error_code;
using stream = asio::generic::stream_protocol;
using datagram = asio::generic::datagram_protocol;
using acceptor = asio::basic_socket_acceptor<stream>;

namespace {

/* An I/O object, and how many operations are in progress on it. */
struct object {
    std::variant<stream::socket, datagram::socket, acceptor, asio::posix::stream_descriptor> io;
    unsigned operations = 0;
};

struct completion {
    bool in_use = false;
    uint32_t episode = 0; /* what an older handler belongs to is over */
    etalon_subject_description d = {};
    std::unique_ptr<asio::steady_timer> timer;
    bool cancelled = false; /* it ended so last */
};

struct subject {
    explicit subject(const etalon_subject_host *of) : host(of) {}
    const etalon_subject_host *host;
    asio::io_context context{1};
    std::map<int, object> objects;
    std::map<uint32_t, completion> completions; /* each is there when it is named first */
    bool stopped = false;
};

int64_t result_of(const error_code &error, size_t bytes) {
    if (!error)
        return static_cast<int64_t>(bytes);
    return error == asio::error::eof ? 0 : -error.value();
}

/* The first operation makes the object. */
object &object_of(subject *s, int fd, uint32_t operation) {
    auto found = s->objects.find(fd);
    if (found != s->objects.end())
        return found->second;
    struct stat status = {};
    int type = 0, domain = 0, listens = 0;
    socklen_t size = sizeof type;
    if (fstat(fd, &status) != 0)
        throw boost::system::system_error(errno, boost::system::system_category());
    object made{asio::posix::stream_descriptor(s->context)};
    if (S_ISSOCK(status.st_mode)) {
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
        getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &(size = sizeof domain));
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &(size = sizeof listens));
        if (listens != 0 || operation == ETALON_ACCEPT)
            made.io = acceptor(s->context, stream(domain, 0), fd);
        else if (type == SOCK_STREAM)
            made.io = stream::socket(s->context, stream(domain, 0), fd);
        else
            made.io = datagram::socket(s->context, datagram(domain, 0), fd);
    } else {
        std::get<asio::posix::stream_descriptor>(made.io).assign(fd);
    }
    return s->objects.emplace(fd, std::move(made)).first->second;
}

void release(object &of) {
    std::visit([](auto &io) { io.release(); }, of.io);
}

void leave(subject *s, const completion &c) {
    auto found = s->objects.find(c.d.fd);
    if (c.d.operation == ETALON_TIMER || c.d.operation == ETALON_NOOP ||
        c.d.operation == ETALON_CANCEL || found == s->objects.end() ||
        --found->second.operations > 0)
        return;
    release(found->second);
    s->objects.erase(found);
}

int start(subject *s, uint32_t number);

void end(subject *s, uint32_t number, uint32_t episode, int64_t result) {
    completion &c = s->completions[number];
    if (c.episode != episode)
        return;
    c.episode++;
    c.in_use = false;
    c.cancelled = result == -ECANCELED;
    leave(s, c);
    uint32_t after = c.episode;
    if (s->host->called(number, result, c.d.userdata) == ETALON_REARM && c.episode == after)
        (void)start(s, number);
}

/* A handler of this episode. */
auto ends(subject *s, uint32_t number) {
    return [s, number, episode = s->completions[number].episode](const error_code &error,
                                                                 size_t bytes) {
        end(s, number, episode, result_of(error, bytes));
    };
}

void start_wait(subject *s, uint32_t number, object &on) {
    uint32_t events = s->completions[number].d.events;
    auto ended = ends(s, number);
    std::visit(
        [&](auto &io) {
            if ((events & EPOLLIN) != 0)
                io.async_wait(io.wait_read,
                              [ended](const error_code &error) { ended(error, EPOLLIN); });
            if ((events & EPOLLOUT) != 0)
                io.async_wait(io.wait_write,
                              [ended](const error_code &error) { ended(error, EPOLLOUT); });
        },
        on.io);
}

void start_accept(subject *s, uint32_t number, acceptor &on) {
    auto peer = std::make_shared<stream::socket>(s->context);
    const etalon_subject_description d = s->completions[number].d;
    on.async_accept(*peer, [peer, d, ended = ends(s, number)](const error_code &error) {
        if (error)
            return ended(error, 0);
        int fd = peer->release();
        (void)fcntl(fd, F_SETFD, (d.flags & SOCK_CLOEXEC) != 0 ? FD_CLOEXEC : 0);
        int flags = fcntl(fd, F_GETFL) & ~O_NONBLOCK;
        (void)fcntl(fd, F_SETFL, flags | ((d.flags & SOCK_NONBLOCK) != 0 ? O_NONBLOCK : 0));
        if (d.address != nullptr)
            (void)getpeername(fd, d.address, d.address_length);
        ended(error, static_cast<size_t>(fd));
    });
}

void start_connect(subject *s, uint32_t number, stream::socket &on) {
    const etalon_subject_description &d = s->completions[number].d;
    stream::endpoint to(d.address, *d.address_length);
    on.async_connect(to, [ended = ends(s, number)](const error_code &error) { ended(error, 0); });
}

template <typename socket> void start_transfer(subject *s, uint32_t number, socket &on) {
    const etalon_subject_description &d = s->completions[number].d;
    bool reads = d.operation == ETALON_READ || d.operation == ETALON_RECV;
    if constexpr (std::is_same_v<socket, asio::posix::stream_descriptor>) {
        if (reads)
            on.async_read_some(asio::buffer(d.buffer, d.length), ends(s, number));
        else
            on.async_write_some(asio::buffer(d.buffer, d.length), ends(s, number));
    } else if (reads) {
        on.async_receive(asio::buffer(d.buffer, d.length), d.flags, ends(s, number));
    } else {
        on.async_send(asio::buffer(d.buffer, d.length), d.flags, ends(s, number));
    }
}

struct misplaced {};

void start_on(subject *s, uint32_t number, object &on) {
    uint32_t operation = s->completions[number].d.operation;
    if (operation == ETALON_POLL)
        return start_wait(s, number, on);
    std::visit(
        [&](auto &io) {
            using type = std::decay_t<decltype(io)>;
            if constexpr (std::is_same_v<type, acceptor>) {
                if (operation != ETALON_ACCEPT)
                    throw misplaced();
                start_accept(s, number, io);
            } else if (operation == ETALON_ACCEPT) {
                throw misplaced();
            } else if (operation == ETALON_CONNECT) {
                if constexpr (std::is_same_v<type, stream::socket>)
                    start_connect(s, number, io);
                else
                    throw misplaced();
            } else {
                start_transfer(s, number, io);
            }
        },
        on.io);
}

void start_timer(subject *s, uint32_t number) {
    completion &c = s->completions[number];
    if (c.timer == nullptr)
        c.timer = std::make_unique<asio::steady_timer>(s->context);
    c.timer->expires_after(std::chrono::milliseconds(c.d.delay_ms));
    c.timer->async_wait([ended = ends(s, number)](const error_code &error) { ended(error, 0); });
}

/* Its handlers come with operation_aborted, unless it has ended already. */
void abort(subject *s, const completion &c) {
    error_code ignored;
    if (c.d.operation == ETALON_TIMER)
        c.timer->cancel();
    auto found = s->objects.find(c.d.fd);
    if (c.d.operation != ETALON_TIMER && found != s->objects.end())
        std::visit([&](auto &io) { io.cancel(ignored); }, found->second.io);
}

/* What becomes of the target is known when the cancel's handler runs: behind the target's. */
void start_cancel(subject *s, uint32_t number) {
    uint32_t target = s->completions[number].d.target;
    completion &other = s->completions[target];
    bool there = other.in_use && target != number;
    if (there)
        abort(s, other);
    asio::post(s->context, [s, number, &other, there, episode = other.episode,
                            mine = s->completions[number].episode] {
        bool ended = other.episode != episode;
        end(s, number, mine,
            !there || (ended && !other.cancelled) ? -ENOENT
            : ended                               ? 0
                                                  : -EALREADY);
    });
}

/* The completion is out of use; it is described. */
int start(subject *s, uint32_t number) {
    completion &c = s->completions[number];
    c.episode++;
    c.in_use = true;
    if (c.d.operation == ETALON_TIMER) {
        start_timer(s, number);
        return 0;
    }
    if (c.d.operation == ETALON_CANCEL) {
        start_cancel(s, number);
        return 0;
    }
    if (c.d.operation == ETALON_NOOP) {
        asio::post(s->context, [ended = ends(s, number)] { ended(error_code(), 0); });
        return 0;
    }
    try {
        object &on = object_of(s, c.d.fd, c.d.operation);
        on.operations++;
        start_on(s, number, on);
        return 0;
    } catch (const boost::system::system_error &error) {
        c.in_use = false;
        return -error.code().value();
    } catch (const misplaced &) {
        c.in_use = false;
        leave(s, c);
        return -EINVAL;
    }
}

int init(const etalon_subject_host *host, void **self) {
    try {
        *self = new subject(host);
        return 0;
    } catch (const boost::system::system_error &error) {
        return -error.code().value();
    } catch (const std::bad_alloc &) {
        return -ENOMEM;
    }
}

int deinit(void *self) {
    auto *s = static_cast<subject *>(self);
    for (auto &[fd, object] : s->objects)
        release(object);
    delete s;
    return 0;
}

int submit(void *self, uint32_t number, const etalon_subject_description *d) {
    auto *s = static_cast<subject *>(self);
    s->completions[number].d = *d;
    return start(s, number);
}

int timer_reset(void *self, uint32_t number, uint32_t, uint64_t delay_ms, uint32_t userdata, int) {
    auto *s = static_cast<subject *>(self);
    completion &c = s->completions[number];
    if (delay_ms > std::numeric_limits<int64_t>::max() / 1000000)
        return -ERANGE;
    c.d = {};
    c.d.operation = ETALON_TIMER;
    c.d.fd = -1;
    c.d.delay_ms = delay_ms;
    c.d.userdata = userdata;
    return start(s, number);
}

int timer(void *self, uint32_t c, uint64_t delay_ms, uint32_t userdata, int has_callback) {
    return timer_reset(self, c, ETALON_NOBODY, delay_ms, userdata, has_callback);
}

int cancel(void *self, uint32_t number, uint32_t target, uint32_t userdata, int) {
    auto *s = static_cast<subject *>(self);
    completion &c = s->completions[number];
    c.d = {};
    c.d.operation = ETALON_CANCEL;
    c.d.fd = -1;
    c.d.target = target;
    c.d.userdata = userdata;
    return start(s, number);
}

int remove_completion(void *self, uint32_t number) {
    auto *s = static_cast<subject *>(self);
    completion &c = s->completions[number];
    if (!c.in_use)
        return 0;
    abort(s, c);
    c.episode++;
    c.in_use = false;
    leave(s, c);
    return 0;
}

int state(void *self, uint32_t number) {
    return static_cast<subject *>(self)->completions[number].in_use ? ETALON_ACTIVE : ETALON_DEAD;
}

int run(void *self, uint32_t mode) {
    auto *s = static_cast<subject *>(self);
    if (!s->stopped)
        s->context.restart();
    try {
        if (mode == ETALON_RUN_NO_WAIT)
            s->context.poll();
        else if (mode == ETALON_RUN_ONCE)
            s->context.run_one();
        else
            s->context.run();
    } catch (const boost::system::system_error &error) {
        return -error.code().value();
    }
    return 0;
}

void stop(void *self) {
    auto *s = static_cast<subject *>(self);
    s->stopped = true;
    s->context.stop();
}

int stopped(void *self) {
    return static_cast<subject *>(self)->stopped;
}

void wakeup(void *self) {
    asio::post(static_cast<subject *>(self)->context, [] {});
}

const char *version() {
    static char text[24];
    std::snprintf(text, sizeof text, "%d.%d.%d", BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000,
                  BOOST_VERSION % 100);
    return text;
}

#define ONE_HANDLER                                                                                \
    "run_one() dispatches one handler, also that of a wait that was cancelled: "                   \
    "io_context::run_one(), basic_waitable_timer::cancel()"
#define UNTIL_NONE_IS_READY                                                                        \
    "poll() runs handlers until none is ready, also those that became so meanwhile: "              \
    "io_context::poll()"

const etalon_subject_difference differences[] = {
    {"ET-RUN-2/woken", ONE_HANDLER},
    {"ET-RUN-2/ended", ONE_HANDLER},
    {"ET-RUN-2/early", ONE_HANDLER},
    {"ET-CALL-4/round", UNTIL_NONE_IS_READY},
    {"ET-CANCEL-8", "cancel() is of all operations of the object: posix::descriptor::cancel()"},
    {"ET-CANCEL-10", "cancel() is of all operations of the object: posix::descriptor::cancel()"},
    {"ET-TIMER-1/long", "a duration is 64 bits of nanoseconds: steady_timer"},
    {"ET-RESET-3/long", "a duration is 64 bits of nanoseconds: steady_timer"},
    {nullptr, nullptr},
};

etalon_subject adapter() {
    etalon_subject subject = {};
    subject.abi = ETALON_SUBJECT_ABI;
    subject.size = sizeof subject;
    subject.name = "asio";
    subject.notes = "A completion is one asynchronous operation of an io_context; a descriptor "
                    "belongs to one I/O object while any is in progress on it. A removal is "
                    "cancel(), whose handler then calls nobody. run is poll, run_one or run, stop "
                    "lasts until the loop is made anew.";
    subject.offers = ETALON_OFFERS_TIMERS | ETALON_OFFERS_RESET | ETALON_OFFERS_RESET_ALONE |
                     ETALON_OFFERS_CANCEL | ETALON_OFFERS_DELETE | ETALON_OFFERS_REARM |
                     ETALON_OFFERS_NO_WAIT | ETALON_OFFERS_ONCE | ETALON_OFFERS_UNTIL_DONE |
                     ETALON_OFFERS_STOP | ETALON_OFFERS_STOPPED | ETALON_OFFERS_WAKEUP |
                     ETALON_OFFERS_IN_USE | ETALON_OFFERS_DEINIT | ETALON_OFFERS_POLL |
                     ETALON_OFFERS_NOOP | ETALON_OFFERS_READ | ETALON_OFFERS_SEND |
                     ETALON_OFFERS_ACCEPT | ETALON_OFFERS_CONNECT;
    subject.differences = differences;
    subject.version = version;
    subject.init = init;
    subject.deinit = deinit;
    subject.submit = submit;
    subject.timer = timer;
    subject.timer_reset = timer_reset;
    subject.cancel = cancel;
    subject.remove = remove_completion;
    subject.state = state;
    subject.run = run;
    subject.stop = stop;
    subject.stopped = stopped;
    subject.wakeup = wakeup;
    subject.completions_max = ETALON_SUBJECT_MANY;
    return subject;
}

} // namespace

ETALON_SUBJECT = adapter();

/* SPDX-License-Identifier: MIT */
/* See handles.h. Everything stays on this machine: 127.0.0.1, one process that does nothing, one
 * file in /tmp that has lost its name. */
#include "handles.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "../../model/program.h"

#define SETTLE_MS 200
#define BACKLOG   16

/* ---- the loopback device --------------------------------------------------------------------- */

static int bound(int type) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

socklen_t handles_address(int fd, struct sockaddr_storage *address) {
    socklen_t length = sizeof *address;
    bool has = fd >= 0 && getsockname(fd, (struct sockaddr *)address, &length) == 0 &&
               address->ss_family == AF_INET;
    return has ? length : 0;
}

static int connect_to(int fd, int other) {
    struct sockaddr_storage address;
    socklen_t length = handles_address(other, &address);
    int result = connect(fd, (const struct sockaddr *)&address, length);
    return result != 0 && errno != EINPROGRESS ? -1 : 0;
}

static int listening(void) {
    int fd = bound(SOCK_STREAM);
    if (fd >= 0 && listen(fd, BACKLOG) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int handles_client(int listener) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0 || connect_to(fd, listener) != 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    handles_settle(WORLD_INET_LISTENER, listener, POLLIN);
    return fd;
}

static int open_connection(int end[2]) {
    int listener = listening(), on = 1;
    end[1] = listener >= 0 ? handles_client(listener) : -1;
    end[0] = end[1] >= 0 ? accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
    if (listener >= 0)
        close(listener);
    if (end[0] < 0)
        return -1;
    (void)setsockopt(end[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    handles_settle(WORLD_INET_STREAM, end[1], POLLOUT);
    return 2;
}

static int open_datagrams(int end[2]) {
    end[0] = bound(SOCK_DGRAM);
    end[1] = bound(SOCK_DGRAM);
    return end[0] >= 0 && end[1] >= 0 && connect_to(end[0], end[1]) == 0 &&
                   connect_to(end[1], end[0]) == 0
               ? 2
               : -1;
}

/* ---- others ---------------------------------------------------------------------------------- */

/* The program has the controlling side, as of a terminal that it runs something in. */
static int open_terminal(int end[2]) {
    struct termios settings;
    char name[64];
    end[0] = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (end[0] < 0 || unlockpt(end[0]) != 0 || ptsname_r(end[0], name, sizeof name) != 0)
        return -1;
    end[1] = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (end[1] < 0 || tcgetattr(end[1], &settings) != 0)
        return -1;
    cfmakeraw(&settings);
    return tcsetattr(end[1], TCSANOW, &settings) == 0 ? 2 : -1;
}

static int told_by(void) {
    return SIGRTMAX - 1;
}

static int open_signals(int end[2]) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, told_by());
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return -1;
    end[0] = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return end[0] >= 0 ? 1 : -1;
}

static int open_watch(int end[2]) {
    char path[] = "/tmp/etalon.XXXXXX";
    end[0] = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    end[1] = mkostemp(path, O_CLOEXEC);
    bool watched = end[0] >= 0 && end[1] >= 0 && inotify_add_watch(end[0], path, IN_MODIFY) >= 0;
    if (end[1] >= 0)
        unlink(path);
    return watched ? 2 : -1;
}

/* It ends with this process, however that ends. */
static void do_nothing(pid_t parent) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (getppid() == parent)
        syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0); /* some machines have no pause(2) */
    _exit(0);
}

static int open_process(int end[2]) {
    pid_t parent = getpid(), child = fork();
    if (child == 0)
        do_nothing(parent);
    end[0] = child > 0 ? (int)syscall(SYS_pidfd_open, child, O_NONBLOCK) : -1;
    end[1] = end[0] >= 0 ? fcntl(end[0], F_DUPFD_CLOEXEC, 0) : -1;
    if (end[1] >= 0)
        return 2;
    if (child > 0) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    return -1;
}

int handles_open(unsigned kind, int end[2]) {
    end[0] = end[1] = -1;
    int ends;
    switch (kind) {
    case WORLD_INET_STREAM: ends = open_connection(end); break;
    case WORLD_INET_DATAGRAM: ends = open_datagrams(end); break;
    case WORLD_INET_LISTENER: ends = (end[0] = listening()) >= 0 ? 1 : -1; break;
    case WORLD_INET_SOCKET: ends = (end[0] = bound(SOCK_STREAM)) >= 0 ? 1 : -1; break;
    case WORLD_TERMINAL: ends = open_terminal(end); break;
    case WORLD_SIGNALFD: ends = open_signals(end); break;
    case WORLD_INOTIFY: ends = open_watch(end); break;
    default: ends = open_process(end); break;
    }
    int error = errno;
    for (unsigned i = 0; ends < 0 && i < 2; i++)
        if (end[i] >= 0)
            close(end[i]);
    errno = error;
    return ends;
}

/* ---- what the world does --------------------------------------------------------------------- */

void handles_settle(unsigned kind, int fd, short events) {
    struct pollfd polled = {.fd = fd, .events = events};
    const struct timespec a_moment = {0, 1000000};
    if (kind < WORLD_INET_STREAM || kind > WORLD_TERMINAL)
        return;
    for (unsigned i = 0; i < SETTLE_MS; i++) {
        const struct timespec none = {0};
        if (syscall(SYS_ppoll, &polled, 1, &none, NULL, 8) > 0)
            return;
        syscall(SYS_nanosleep, &a_moment, NULL);
    }
}

void handles_write(unsigned kind, int fd, int peer, const char *bytes, uint64_t value,
                   uint64_t *sent) {
    size_t length = value < 4096 ? (size_t)value : 4096;
    ssize_t written = 0;
    switch (kind) {
    case WORLD_INET_STREAM:
    case WORLD_INET_DATAGRAM:
        if (peer >= 0)
            written = send(peer, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        break;
    case WORLD_TERMINAL:
        if (peer >= 0)
            written = write(peer, bytes, length);
        break;
    case WORLD_SIGNALFD: /* each is one that can be read: it is a real-time signal */
        for (uint64_t i = 0; i < value && i < 16; i++)
            syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), told_by());
        break;
    case WORLD_INOTIFY: /* equal ones that nobody has read between are one */
        (void)!pwrite(peer, bytes, 1, 0);
        break;
    default: break;
    }
    if (written > 0)
        *sent += (uint64_t)written;
    if (written > 0 || (kind == WORLD_INET_DATAGRAM && written == 0 && peer >= 0))
        handles_settle(kind, fd, POLLIN);
}

void handles_error(unsigned kind, int fd) {
    static const char bytes[65520] = {0};
    int on = 1;
    if (kind != WORLD_INET_DATAGRAM || setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on) != 0)
        return;
    (void)!send(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void handles_end_process(int pidfd, bool for_good) {
    struct pollfd polled = {.fd = pidfd, .events = POLLIN};
    siginfo_t unused;
    syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    while (syscall(SYS_ppoll, &polled, 1, NULL, NULL, 8) < 0 && errno == EINTR) {
    }
    if (!for_good) /* until then it can be told of, and nobody else gets its number */
        return;
    (void)waitid(P_PIDFD, (id_t)pidfd, &unused, WEXITED);
    close(pidfd);
}

void handles_give_up(unsigned kind, int fd, int peer) {
    close(peer);
    if (kind != WORLD_INET_DATAGRAM)
        handles_settle(kind, fd, POLLIN | POLLHUP);
}

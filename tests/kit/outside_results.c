/* SPDX-License-Identifier: MIT */
/* Whether what a completion came to is so: its bytes, its end, the cause of its error. The observer
 * (outside.h) tells the promise what is not. */
#ifndef ETALON_WITHOUT_KIT

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../fuzz/world/kernel.h"
#include "../../model/words.h"
#include "answers.h"
#include "outside.h"

/* ---- bytes ----------------------------------------------------------------------------------- */

/* From or to where the last ones have ended, which is what can be counted. */
static bool in_sequence(const struct item *i, unsigned trait) {
    return (item_traits(i) & trait) != 0 && (item_traits(i) & POSITIONED) == 0;
}

bool takes_bytes(const struct item *i) {
    return in_sequence(i, TAKES_BYTES);
}

bool gives_bytes(const struct item *i) {
    return in_sequence(i, GIVES_BYTES);
}

/* What was submitted for the file that the number had before may be tried on this one (section 15,
 * 12): whose bytes there are is not known. */
static bool has_orphans(const struct item *i) {
    for (unsigned c = 0; c < COUNT; c++)
        if (observer.item[c].in_use && observer.item[c].d.fd == i->d.fd &&
            observer.item[c].installed != i->installed &&
            (takes_bytes(&observer.item[c]) || gives_bytes(&observer.item[c])))
            return true;
    return false;
}

/* What is known of the open file that i waits on. */
static struct stream *stream_of(const struct item *i) {
    struct stream *stream = stream_named(i->installed);
    if (stream != NULL && stream->installed == 0) {
        if (!real_world_received(i->d.fd, &stream->before))
            stream->before = UINT64_MAX;
        bool certain = !observer.duplicated && !has_orphans(i);
        stream->placed = certain; /* nothing was read of it */
        stream->next = real_world_byte(0);
        stream->certain = is_stream(i->d.fd) && certain;
        begin_counting(stream, i->d.fd, certain);
        stream->installed = i->installed;
    }
    return stream;
}

static bool is_inet(int fd) {
    return domain_of(fd) == AF_INET;
}

void begin_bytes(struct item *i) {
    if (!takes_bytes(i) && !gives_bytes(i))
        return;
    struct stream *stream = stream_of(i);
    if (stream == NULL)
        return;
    if (takes_bytes(i))
        begin_taking(i, stream);
    begin_message(i, stream);
}

/* Whoever takes a read back may have bytes already: the place of the next is not known then. */
void lose_place(void) {
    for (unsigned k = 0; k < STREAMS; k++)
        observer.stream[k].placed = observer.stream[k].counted = false;
}

/* There is one such byte at a time: the one before becomes one of the others. */
void note_urgent(int fd) {
    const struct item there = {.installed = world_real.installed(fd), .d.fd = fd};
    struct stream *stream = stream_of(&there);
    if (stream != NULL)
        stream->urgents++;
}

static unsigned char after(unsigned char byte) {
    return byte == real_world_byte(126) ? real_world_byte(0) : (unsigned char)(byte + 1);
}

/* Of datagrams. Returns the length of the one that was taken, or SIZE_MAX where nobody knows. */
static size_t check_datagram(unsigned c, struct stream *stream, int64_t result) {
    const struct item *i = &observer.item[c];
    uint64_t place;
    size_t length, room = whole_length(i);
    const unsigned char *bytes = (const unsigned char *)observer.buffer[c];
    if (!stream->placed || room == 0 ||
        !real_world_sent(i->d.fd, stream->messages, &place, &length)) {
        stream->placed = false;
        return SIZE_MAX;
    }
    size_t got = length < room || (i->d.flags & MSG_TRUNC) != 0 ? length : room;
    if (result != (int64_t)got)
        untrue(c, PROMISE_UNTRUE_BYTES,
               "c%u ends with %lld byte%s, but the next datagram has %zu, and it has room for %zu",
               c, (long long)result, plural((uint64_t)result), length, room);
    else if (got > 0 && bytes[0] != real_world_byte(place))
        untrue(c, PROMISE_UNTRUE_BYTES, "c%u ends with %lld byte%s, but others were to come before",
               c, (long long)result, plural((uint64_t)result));
    stream->messages += (i->d.flags & MSG_PEEK) == 0;
    return length;
}

/* Whether nothing more is to be said of what was taken. */
static bool check_apart(unsigned c, struct stream *stream, int64_t result) {
    const struct item *i = &observer.item[c];
    bool datagrams = !is_stream(i->d.fd) && real_world_letters(i->d.fd) && stream != NULL;
    size_t length = SIZE_MAX;
    if (result < 0 || (i->d.flags & (MSG_OOB | MSG_ERRQUEUE)) != 0)
        return false;
    if (datagrams)
        length = check_datagram(c, stream, result);
    if (i->d.operation == ET_RECVMSG)
        check_message(c, result, length);
    return datagrams && length != SIZE_MAX && length == 0;
}

static bool hides_a_reset(const struct item *i, const struct stream *stream) {
    return real_world_reset(i->d.fd) && !stream->refused && stream->placed &&
           !observer.given_lost && !observer.duplicated;
}

/* As MSG_TRUNC asks a stream on the network: it writes none into the buffer. */
static bool are_thrown_away(const struct item *i) {
    return (i->d.flags & MSG_TRUNC) != 0 && is_stream(i->d.fd) && is_inet(i->d.fd);
}

/* The bytes are those that the other end has sent next, as far as that is certain. */
static void check_taken(unsigned c, int64_t result) {
    struct item *i = &observer.item[c];
    struct stream *stream = stream_of(i);
    const unsigned char *bytes = (const unsigned char *)observer.buffer[c];
    if (check_apart(c, stream, result))
        return;
    if (result == 0 && i->d.length > 0 && i->d.operation != ET_RECVMSG &&
        !can_be_at_its_end(i->d.fd))
        untrue(c, PROMISE_UNTRUE_END,
               "c%u ends with 0, the end of a stream, but its descriptor %d is at no end", c,
               i->d.fd);
    if (result == 0 && whole_length(i) > 0 && stream != NULL && hides_a_reset(i, stream))
        untrue(c, PROMISE_UNTRUE_ERROR,
               "c%u ends with 0, but Linux has said -ECONNRESET, and nobody was told", c);
    if (stream != NULL && real_world_letters(i->d.fd))
        check_length_taken(c, stream, result);
    if (result <= 0 || !real_world_letters(i->d.fd) || stream == NULL || whole_length(i) == 0)
        return;
    if ((i->d.flags & (MSG_OOB | MSG_ERRQUEUE)) != 0) { /* what that takes follows no place */
        if ((i->d.flags & MSG_ERRQUEUE) == 0 && is_inet(i->d.fd) && is_stream(i->d.fd) &&
            bytes[0] != REAL_WORLD_URGENT)
            untrue(c, PROMISE_UNTRUE_BYTES, "c%u ends with the byte %#x, which is not urgent", c,
                   bytes[0]);
        stream->placed = false;
        return;
    }
    if (stream->urgents > 1 || are_thrown_away(i)) {
        stream->placed = false;
        return;
    }
    if ((i->d.flags & MSG_TRUNC) != 0 && result > (int64_t)whole_length(i))
        result = (int64_t)whole_length(i); /* told was the length of the whole datagram */
    for (int64_t k = 0; k < result && k < BUFFER; k++) {
        bool follows = k > 0 ? bytes[k] == after(bytes[k - 1])
                             : bytes[0] >= real_world_byte(0) && bytes[0] <= real_world_byte(126);
        if (!follows)
            untrue(
                c, PROMISE_UNTRUE_BYTES,
                "c%u ends with %lld byte%s, but byte %lld in its buffer (%#x) is not what was sent",
                c, (long long)result, plural((uint64_t)result), (long long)k, bytes[k]);
    }
    if (!is_stream(i->d.fd)) /* which was judged above */
        return;
    if (stream->placed && bytes[0] != stream->next)
        untrue(c, PROMISE_UNTRUE_BYTES, "c%u ends with %lld byte%s, but others were to come before",
               c, (long long)result, plural((uint64_t)result));
    if ((i->d.flags & MSG_PEEK) != 0)
        return;
    stream->placed = !observer.duplicated;
    stream->next = after(bytes[result - 1]);
}

/* Linux tells of the other end that has gone once, and after that of none. */
static void check_refusal(unsigned c, struct stream *stream, int64_t result) {
    const struct item *i = &observer.item[c];
    if (stream == NULL || is_stream(i->d.fd) || is_addressed(i))
        return;
    stream->refused = stream->refused || result == -ECONNREFUSED;
    if (i->left && result == -ENOTCONN && !stream->refused && !observer.given_lost)
        untrue(c, PROMISE_UNTRUE_ERROR,
               "c%u ends with -ENOTCONN, but Linux has said -ECONNREFUSED before, and nobody was "
               "told",
               c);
}

/* So many bytes have come to the other end of what c has written to. */
static void check_received(unsigned c, struct stream *stream, uint64_t received, int64_t result) {
    const struct item *i = &observer.item[c];
    stream->certain = stream->certain && (i->d.flags & MSG_OOB) == 0;
    uint64_t place = stream->before + stream->given;
    stream->given += (uint64_t)result;
    if (received - stream->before < stream->given)
        untrue(
            c, PROMISE_UNTRUE_BYTES,
            "c%u ends with %lld byte%s, but %llu less than were written have come to the other end",
            c, (long long)result, plural((uint64_t)result),
            (unsigned long long)(stream->given - (received - stream->before)));
    check_more_given(c, stream, received);
    check_given_bytes(c, place, stream->certain, result);
}

/* What is written is in the pipe or socket, where the other end finds it. */
static void check_given(unsigned c, int64_t result) {
    const struct item *i = &observer.item[c];
    struct stream *stream = stream_of(i);
    uint64_t received;
    check_refusal(c, stream, result);
    if (result == 0 && i->d.length > 0)
        untrue(c, PROMISE_UNTRUE_BYTES, "c%u ends with 0 bytes of %zu", c, i->d.length);
    check_given_bytes(c, 0, false, result);
    if (result > 0 && stream != NULL && stream->before != UINT64_MAX &&
        real_world_received(i->d.fd, &received))
        check_received(c, stream, received, result);
    check_length_given(c, result);
}

/* It has taken bytes of the file that its number names now: which are the next, is not known. */
static void took_anothers(const struct item *i) {
    struct item now = *i;
    now.installed = world_real.installed(i->d.fd);
    (void)stream_of(&now);
    lose_place();
}

void check_buffer(unsigned c, bool dead) {
    struct item *i = &observer.item[c];
    if (!dead || !i->deleted || !takes_bytes(i) || i->d.on_pool)
        return;
    if (!i->quiet)
        memset(observer.buffer[c], 0, BUFFER);
    i->quiet = true;
    for (unsigned k = 0; k < BUFFER; k++)
        if (observer.buffer[c][k] != 0)
            untrue(c, PROMISE_UNTRUE_BUFFER,
                   "the buffer of c%u is written to, which was deleted and is dead", c);
}

/* ---- errors and ends ------------------------------------------------------------------------- */

/* It was closed behind the loop's back, and its number may name another file now; or it is not
 * open, or too high (ET-SUBMIT-5). */
static bool is_of_no_descriptor(const struct item *i, int64_t result) {
    uint64_t installed = world_real.installed(i->d.fd);
    return result < 0 && (installed != i->installed || (result == -EBADF && installed == 0) ||
                          (result == -EMFILE && i->d.fd >= (int)observer.host.descriptors_max));
}

static void check_poll(unsigned c, int64_t result) {
    const struct item *i = &observer.item[c];
    if (result >= 0 || is_of_no_descriptor(i, result) || result == -i->refused)
        return;
    if (result <= -4096 || i->installed == 0 || !error_has_a_cause(&i->d, (int)-result, i->passing))
        untrue(c, PROMISE_UNTRUE_ERROR, "the poll c%u ends with %lld, it asks for %#x", c,
               (long long)result, i->d.events);
}

/* What a connect named has been listening all the time, and had room: one more than its backlog. */
static bool is_refused_in_vain(const struct item *i, int64_t result) {
    int fd = descriptor(i->into);
    bool there = i->d.operation == ET_CONNECT && i->listener != 0 && is_stream(i->d.fd) &&
                 world_real.installed(fd) == i->listener &&
                 takes_connections(fd, i->d.address, i->address_length);
    return there &&
           (result == -ECONNREFUSED || (result == -ENOTCONN && i->address.ss_family == AF_UNIX) ||
            (result == -EAGAIN && observer.connects <= KERNEL_BACKLOG + 1));
}

void lose_error(const struct item *i) {
    if (observer.taken.installed == i->installed)
        observer.taken.installed = 0;
}

/* Linux tells of a pending error once: whoever asks for it has to tell what waits. */
static void check_taken_error(unsigned c, int64_t result) {
    const struct item *i = &observer.item[c];
    if (observer.taken.installed == 0 || observer.taken.installed != i->installed)
        return;
    if (result != -observer.taken.error)
        untrue(c, PROMISE_UNTRUE_ERROR,
               "c%u ends with %s, but Linux has said %s to who asked for the pending error of its "
               "descriptor %d, and nobody was told",
               c, kit_result_name(result), kit_result_name(-observer.taken.error), i->d.fd);
    lose_error(i);
}

/* Of what an operation other than a poll tells. */
static void check_operation(unsigned c, int64_t result) {
    const struct item *i = &observer.item[c];
    if (result < 0 && result == -i->refused)
        return;
    bool same = i->installed != 0 && world_real.installed(i->d.fd) == i->installed;
    bool bytes = i->d.operation >= ET_READ && i->d.operation <= ET_RECV;
    bool truncated = (i->d.flags & MSG_TRUNC) != 0 && !is_stream(i->d.fd);
    if (bytes && !truncated && result > (int64_t)i->d.length)
        untrue(c, PROMISE_UNTRUE_LENGTH, "c%u ends with %lld byte%s of %zu", c, (long long)result,
               plural((uint64_t)result), i->d.length);
    if (!same) {
        if (result < 0 && !is_of_no_descriptor(i, result))
            untrue(c, PROMISE_UNTRUE_ERROR, "c%u ends with %s, but its descriptor is not open", c,
                   kit_result_name(result));
        if (result > 0)
            took_anothers(i);
        return; /* closed behind the loop's back */
    }
    check_taken_error(c, result);
    if (result >= 0 && is_to_be_refused(&i->d, i->left))
        untrue(c, PROMISE_UNTRUE_ERROR,
               "c%u ends with %lld, but Linux can only have refused it with an error", c,
               (long long)result);
    if (result < 0 &&
        (result < -4095 || is_refused_in_vain(i, result) ||
         datagram_is_refused_in_vain(i, result) || connection_is_refused_otherwise(i, result) ||
         !error_has_a_cause(&i->d, (int)-result, i->passing)))
        untrue(
            c, PROMISE_UNTRUE_ERROR,
            "c%u ends with %s, which has no cause: what Linux has to answer on its descriptor %d "
            "is another thing",
            c, kit_result_name(result), i->d.fd);
    if (result == 0 && !is_brought_about(&i->d))
        untrue(c, PROMISE_UNTRUE_END, "c%u ends with 0, but what it is for has not happened", c);
    if (result == 0 && i->d.operation == ET_SHUTDOWN)
        check_shut(c);
    if (i->d.operation == ET_PREAD || i->d.operation == ET_PWRITE)
        check_place(c, result);
    if (result == -ECONNRESET && is_stream(i->d.fd) && stream_of(i) != NULL)
        stream_of(i)->refused = true;
    if (takes_bytes(i))
        check_taken(c, result);
    if (gives_bytes(i))
        check_given(c, result);
    if (takes_bytes(i) || gives_bytes(i))
        check_message_ends(c, result);
}

static void check_close(unsigned c, int64_t result) {
    const struct item *i = &observer.item[c];
    bool open = i->installed != 0 && world_real.installed(i->d.fd) == i->installed &&
                syscall(SYS_fcntl, i->d.fd, 1 /* F_GETFD */, 0) >= 0;
    if (result != 0 && i->installed != 0 && real_world_interrupted_close() == i->installed) {
        untrue(c, PROMISE_UNTRUE_CLOSES,
               "the close c%u ends with %s: it was interrupted, and descriptor %d was closed all "
               "the same",
               c, kit_result_name(result), i->d.fd);
        return;
    }
    if (result > 0 || (result < 0 && i->installed != 0 && (open || result != -EBADF)))
        untrue(c, PROMISE_UNTRUE_ERROR, "the close c%u ends with %s", c, kit_result_name(result));
    if (result == 0 && open && !interpose_other_threads())
        untrue(c, PROMISE_UNTRUE_END, "the close c%u ends with 0, but descriptor %d is open", c,
               i->d.fd);
}

static void check_accept(unsigned c, int64_t result) {
    if (result >= 0 && syscall(SYS_fcntl, (int)result, 1 /* F_GETFD */, 0) < 0)
        untrue(c, PROMISE_UNTRUE_END, "the accept c%u ends with descriptor %lld, which is not open",
               c, (long long)result);
    check_operation(c, result);
    if (result >= 0)
        check_accepted(c, (int)result);
    if (result >= 0)
        world_real.adopt(observer.item[c].into, (int)result);
    if (result >= 0)
        note_mode((int)result);
}

void check_result(unsigned c, int64_t result) {
    if (result == -ECANCELED) { /* it may have taken bytes already, or given some */
        lose_place();
        lose_error(&observer.item[c]);
        if (gives_bytes(&observer.item[c]))
            lose_given();
        return;
    }
    switch (observer.item[c].d.operation) {
    case ET_TIMER:
    case ET_NOOP:
    case ET_CANCEL:
    case ASYNC_WAIT: break; /* the promise knows all of these */
    case ET_POLL: check_poll(c, result); break;
    case ET_CLOSE: check_close(c, result); break;
    case ET_ACCEPT: check_accept(c, result); break;
    default: check_operation(c, result);
    }
}

#else
typedef int nothing_here;
#endif

/* SPDX-License-Identifier: MIT */
/* The exhaustive search: the simulated kernel seen from inside, whose tables (kernel_state.h) the
 * search saves, restores and abstracts. */
#include "explore.h"

#include <string.h>

#include "../../fuzz/world/kernel_state.h"

/* both ends of each, two epoll instances while the loop renews its one, the eventfd */
#define FILES   (2 * DESCRIPTORS + 3)
#define WATCHES (2 * DESCRIPTORS + 2)
#define OWN     4 /* numbers from KERNEL_OWN_FROM on */

unsigned explore_kernel_ranges(struct explore_range *ranges) {
    unsigned n = 0;
    if (WHOLE) {
        ranges[n++] = (struct explore_range){&simulation, sizeof simulation};
        return n;
    }
    ranges[n++] = (struct explore_range){&simulation, offsetof(struct simulation, fault)};
    ranges[n++] = (struct explore_range){simulation.fault, FAILED * sizeof simulation.fault[0]};
    ranges[n++] = (struct explore_range){&simulation.number[FIRST_NUMBER],
                                         DESCRIPTORS * sizeof simulation.number[0]};
    ranges[n++] = (struct explore_range){&simulation.number[KERNEL_OWN_FROM],
                                         OWN * sizeof simulation.number[0]};
    ranges[n++] = (struct explore_range){simulation.file, FILES * sizeof simulation.file[0]};
    ranges[n++] = (struct explore_range){simulation.watch, WATCHES * sizeof simulation.watch[0]};
    return n;
}

const char *explore_kernel_limits(void) {
    const uint64_t numbers = NUMBERS_AT_ALL | ((bit(DESCRIPTORS) - 1) << FIRST_NUMBER) |
                             ((bit(OWN) - 1) << KERNEL_OWN_FROM);
    if (simulation.files_used >> FILES != 0)
        return "more files than are tracked";
    if (simulation.watches_used >> WATCHES != 0)
        return "more registrations than are tracked";
    if ((simulation.numbers_used & ~numbers) != 0)
        return "more descriptors than are tracked";
    if (simulation.faults > FAILED || simulation.timers != 0 || simulation.connecting != 0)
        return "more of the world than is tracked";
    return kernel_limit_met ? "a table of the simulated kernel is full" : NULL;
}

bool explore_kernel_is_open(unsigned handle) {
    return simulation.handle[handle] >= 0;
}

bool explore_kernel_is_registered(unsigned handle) {
    for (uint64_t left = simulation.watches_used; left != 0; left &= left - 1)
        if (simulation.watch[lowest(left)].number == simulation.handle[handle])
            return true;
    return false;
}

bool explore_kernel_has_watch(unsigned number, uint32_t events, uint32_t generation) {
    /* what it named before it was closed is no part of the state */
    if ((simulation.numbers_used & bit(number)) == 0)
        return false;
    for (uint64_t left = simulation.watches_used; left != 0; left &= left - 1) {
        const struct watch *w = &simulation.watch[lowest(left)];
        if (w->number == number && w->file == simulation.number[number].file &&
            w->epoll == simulation.newest_epoll)
            return w->events == events && (uint32_t)(w->data.u64 >> 32) == generation;
    }
    return false;
}

unsigned explore_kernel_watches(void) {
    return (unsigned)__builtin_popcountll(simulation.watches_used);
}

bool explore_kernel_has_data(unsigned handle) {
    const struct file *f = named(simulation.handle[handle]);
    return f == NULL || f->peer == NONE || f->count > 0;
}

bool explore_kernel_is_full(unsigned handle) {
    const struct file *f = named(simulation.handle[handle]);
    return f != NULL && f->peer != NONE && simulation.file[f->peer].queued > kernel_sizes->writable;
}

bool explore_kernel_fails(void) {
    return simulation.faults > 0;
}

/* The lowest number that names the file, as a name that does not depend on where the file stands in
 * the table. */
static unsigned char name_of(unsigned file) {
    for (unsigned n = FIRST_NUMBER; n < KERNEL_NUMBERS; n++)
        if ((simulation.numbers_used & bit(n)) != 0 && simulation.number[n].file == file)
            return explore_name[n];
    return NONE;
}

static unsigned char *number_state(unsigned char *to, unsigned n) {
    if ((simulation.numbers_used & bit(n)) == 0) {
        memset(to, 0xee, 7);
        return to + 7;
    }
    const struct file *f = &simulation.file[simulation.number[n].file];
    const struct file *peer = peer_of(f);
    *to++ = name_of(simulation.number[n].file);
    *to++ = (unsigned char)(f->kind | f->state << 4);
    *to++ =
        (unsigned char)(f->shutdown | (peer != NULL) << 2 | f->peer_gone << 3 | f->was_full << 4);
    *to++ = (unsigned char)f->error;
    *to++ = (unsigned char)(f->count | (f->begun != 0) << 7);
    *to++ = (unsigned char)f->queued;
    *to++ = (unsigned char)(peer != NULL ? peer->queued : 0);
    return to;
}

/* One registration: for which number and file, for what, of which generation in the loop's eyes,
 * and its place among the ready ones. */
static unsigned char *watch_state(unsigned char *to, unsigned index, const uint32_t *generation) {
    const struct watch *w = &simulation.watch[index];
    const struct file *epoll = &simulation.file[w->epoll];
    unsigned place = 0;
    while (w->ready && place < epoll->epoll.count && epoll->epoll.ready[place] != index)
        place++;
    bool own = simulation.file[w->file].own;
    bool current = own || (uint32_t)(w->data.u64 >> 32) == generation[w->number - FIRST_NUMBER];
    *to++ = (unsigned char)(explore_name[w->number] | current << 6 | w->ready << 7);
    *to++ = (unsigned char)(name_of(w->file) | (w->epoll == simulation.newest_epoll) << 7);
    *to++ = (unsigned char)((w->events & 0x1f) | (place << 5 & 0xe0));
    return to;
}

unsigned char *explore_kernel_state(unsigned char *to, const uint32_t *generation) {
    unsigned char *end;
    if (BLIND != 3)
        for (unsigned i = 0; i < DESCRIPTORS; i++)
            to = number_state(to, explore_number[FIRST_NUMBER + i]);
    for (uint64_t left = simulation.epolls; left != 0; left &= left - 1)
        *to++ = name_of(lowest(left));
    for (uint64_t left = simulation.files_used; left != 0; left &= left - 1) {
        const struct file *f = &simulation.file[lowest(left)];
        if (f->own && f->kind == FILE_EVENTFD)
            *to++ = (unsigned char)f->counter;
    }
    for (unsigned i = 0; i < FAILED; i++) {
        *to++ = (unsigned char)(i < simulation.faults ? simulation.fault[i].call + 1 : 0);
        *to++ = (unsigned char)(i < simulation.faults ? (unsigned)simulation.fault[i].error |
                                                            (unsigned)simulation.fault[i].after << 6
                                                      : 0);
    }
    /* By the file that the loop's name for them leads to, and of one file in the order in which
     * they were made, which is that of being woken. */
    end = to + 3 * WATCHES;
    struct watch_key {
        uint64_t key;
        unsigned index;
    } watch[KERNEL_WATCHES];
    unsigned count = 0;
    for (uint64_t left = simulation.watches_used; left != 0; left &= left - 1) {
        const struct watch *w = &simulation.watch[lowest(left)];
        struct watch_key here = {(uint64_t)name_of(w->file) << 56 | w->serial, lowest(left)};
        unsigned at = count++;
        for (; at > 0 && watch[at - 1].key > here.key; at--)
            watch[at] = watch[at - 1];
        watch[at] = here;
    }
    for (unsigned i = 0; i < count && to < end; i++)
        to = watch_state(to, watch[i].index, generation);
    return to;
}

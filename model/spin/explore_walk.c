/* SPDX-License-Identifier: MIT */
/* Whether states that the search takes for one go on alike. A random walk through the scope; each
 * time it meets an abstract state again, with other memory behind it, all steps are taken from
 * both, and what comes of them must be the same: the abstract states, what is observed on the way,
 * and whether it goes wrong. Takes the place of pan (explore.sh, EXPLORE_WALK); called by
 * explore_sound.sh.
 *
 * usage: walk STEPS SEED      Exit status 1: two states that are taken for one go on differently,
 * or no two were compared. */
#include "explore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN_MAX (1u << 18)
#define COMPARED  4 /* times for each state */

struct set {
    uint64_t *item;
    size_t count, room;
};

static struct known {
    unsigned char state[EXPLORE_STATE], *snapshot;
    struct set successors;
    unsigned compared;
} * known[2 * KNOWN_MAX];

static uint64_t seed;

static unsigned random_below(unsigned limit) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)((seed >> 20) % limit);
}

static void *allocate(void *old, size_t size) {
    void *memory = realloc(old, size);
    if (memory == NULL) {
        perror("explore: walk");
        exit(2);
    }
    return memory;
}

static void *copy(const void *from, size_t size) {
    return memcpy(allocate(NULL, size), from, size);
}

static uint64_t hash(const unsigned char *bytes, size_t size, uint64_t from) {
    for (size_t i = 0; i < size; i++) {
        from = (from ^ bytes[i]) * UINT64_C(0x9e3779b97f4a7c15);
        from ^= from >> 29;
    }
    return from;
}

static void put(struct set *set, uint64_t item) {
    if (set->count == set->room)
        set->item = allocate(set->item, (set->room = 2 * set->room + 64) * sizeof *set->item);
    set->item[set->count++] = item;
}

static int by_value(const void *a, const void *b) {
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* All that can come of one step from the snapshot, the choices inside it included. */
static void expand(struct set *set) {
    unsigned char *from = copy(explore_snapshot, EXPLORE_SNAPSHOT), state[EXPLORE_STATE];
    unsigned options = explore_head->options;
    memcpy(state, explore_state, sizeof state);
    for (unsigned i = 0; i < options; i++) {
        memcpy(explore_snapshot, from, EXPLORE_SNAPSHOT);
        memcpy(explore_state, state, sizeof state);
        if (explore_take(i))
            put(set, 0);
        else if (explore_head->inside)
            expand(set);
        else
            put(set, hash(explore_state, EXPLORE_STATE, explore_head->history | 1));
    }
    free(from);
}

static struct set successors(const unsigned char *snapshot) {
    struct set set = {NULL, 0, 0};
    size_t kept = 0;
    memcpy(explore_snapshot, snapshot, EXPLORE_SNAPSHOT);
    explore_head->history = 0;
    expand(&set);
    qsort(set.item, set.count, sizeof *set.item, by_value);
    for (size_t i = 0; i < set.count; i++)
        if (kept == 0 || set.item[kept - 1] != set.item[i])
            set.item[kept++] = set.item[i];
    set.count = kept;
    return set;
}

static struct known **find(void) {
    size_t at = hash(explore_state, EXPLORE_STATE, 1) % (2 * KNOWN_MAX);
    while (known[at] != NULL && memcmp(known[at]->state, explore_state, EXPLORE_STATE) != 0)
        at = (at + 1) % (2 * KNOWN_MAX);
    return &known[at];
}

int main(int argc, char **argv) {
    unsigned long steps = argc == 3 ? strtoul(argv[1], NULL, 10) : 0, states = 0, pairs = 0,
                  differ = 0;
    if (steps == 0) {
        fprintf(stderr, "usage: walk STEPS SEED\n");
        return 2;
    }
    seed = UINT64_C(88172645463325252) ^ strtoul(argv[2], NULL, 10) * 7919;
    explore_begin(1); /* what happens is observed on a trail */
    unsigned char *start = copy(explore_snapshot, EXPLORE_SNAPSHOT);
    while (steps-- > 0) {
        if (explore_head->options == 0 || explore_take(random_below(explore_head->options)))
            memcpy(explore_snapshot, start, EXPLORE_SNAPSHOT);
        if (explore_head->inside || explore_head->options == 0)
            continue;
        struct known **slot = find(), *other = *slot;
        if (other == NULL) {
            if (states == KNOWN_MAX)
                break;
            states++;
            *slot = other = allocate(NULL, sizeof *other);
            memset(other, 0, sizeof *other);
            memcpy(other->state, explore_state, EXPLORE_STATE);
            other->snapshot = copy(explore_snapshot, EXPLORE_SNAPSHOT);
        } else if (other->compared++ < COMPARED) {
            unsigned char *here = copy(explore_snapshot, EXPLORE_SNAPSHOT);
            if (other->successors.item == NULL)
                other->successors = successors(other->snapshot);
            struct set mine = successors(here);
            pairs++;
            differ +=
                mine.count != other->successors.count ||
                memcmp(mine.item, other->successors.item, mine.count * sizeof *mine.item) != 0;
            free(mine.item);
            memcpy(explore_snapshot, here, EXPLORE_SNAPSHOT);
            free(here);
        }
    }
    printf("%lu abstract states met, %lu times two of one compared, %lu go on differently\n",
           states, pairs, differ);
    return differ > 0 || pairs == 0;
}

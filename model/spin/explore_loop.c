/* SPDX-License-Identifier: MIT */
/* The exhaustive search: performs one step of a program on loop and model, and abstracts what they
 * have become. Called by Spin's pan (explore.pml). It performs single commands of the lockstep
 * driver, and has to save, restore and abstract the driver's memory (state.h); driver and loop are
 * the object code of build/default.
 *
 * A callback cannot be left in the midst of the loop's C code to ask Spin which way to go. So a
 * command is carried out from its start with the choices that are known; where one is missing it is
 * abandoned (longjmp), its memory restored, and it is begun again once Spin has chosen. */
#include "explore.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "../../fuzz/driver/etalon_loop.h"
#include "../../fuzz/driver/state.h"
#include "../../fuzz/driver/heap.h"
#include "../../src/internal.h"

/* the body that every callback is given: what it does is chosen when it first runs */
#define FIRST_SCRIPT 1
#define RECORDED_MAX 4096
#define SEND_LENGTH  128 /* the first one fills the send buffer */
/* seconds of processor time in one step: what else the machine does makes no difference */
#define TICKS_HUNG 3

unsigned char explore_snapshot[EXPLORE_SNAPSHOT] __attribute__((aligned(64)));
unsigned char explore_state[EXPLORE_STATE] __attribute__((aligned(8)));

uint8_t explore_name[64], explore_number[64];

static struct et_loop *const loop = &etalon_loop.loop;

static const uint64_t delays[] = {DELAYS};
#define DELAYS_COUNT (sizeof delays / sizeof *delays)

/* What a callback does: at most one command, then its action. */
struct script {
    bool known, has_command, rearms;
    struct command command;
    uint32_t of; /* the script of that command's own callback: the userdata that it will set */
};

static struct explore {
    struct explore_range range[EXPLORE_RANGES_MAX];
    unsigned ranges;
    uint32_t live, serials; /* whose memory the live one is; 0: nobody's */
    sigjmp_buf out;
    unsigned asked;    /* choices that this attempt has met */
    unsigned commands; /* of callbacks, in this step */
    unsigned waited;
    struct lockstep_report report;
    bool trail;
    const char *broken;
    uint64_t steps, steps_seen, seconds_hung;
    FILE *observed;
    const struct command *carried_out; /* of the main sequence */
    struct command chosen;             /* what the chooser returns */
    struct script script_of_callback;
    unsigned callback_at;
    /* for a trail */
    struct script script[RECORDED_MAX]; /* by serial number of userdata */
    struct command main[PROGRAM_COMMANDS_MAX], world[PROGRAM_COMMANDS_MAX];
    uint32_t main_script[PROGRAM_COMMANDS_MAX];
    unsigned mains, worlds, worlds_before;
    char saying[1 << 16]; /* what the command has led to so far */
    size_t said;
} search;

enum { OUT_CHOOSE = 1, OUT_MET, OUT_BROKEN };

/* ---- memory ---------------------------------------------------------------------------------- */

static void add_range(void *start, size_t size) {
    if (search.ranges < EXPLORE_RANGES_MAX)
        search.range[search.ranges++] = (struct explore_range){start, size};
}

/* Of the heap only what is used: its other slots are empty. */
static struct kept_heap {
    uint64_t base_ms, is_mixed;
    struct kept_ring {
        struct et_completion *first;
        uint64_t level, slot;
    } ring[COMPLETIONS];
} kept;

static void keep_heap(void) {
    const struct et_heap *heap = loop->timers;
    struct kept_ring *ring = kept.ring;
    memset(&kept, 0, sizeof kept);
    kept.base_ms = heap->base_ms;
    kept.is_mixed = heap->is_mixed;
    for (unsigned level = 0; level < LEVELS; level++)
        for (uint64_t used = heap->used[level]; used != 0; used &= used - 1) {
            unsigned slot = (unsigned)__builtin_ctzll(used);
            *ring++ = (struct kept_ring){heap->first[level][slot], level, slot};
        }
}

static void restore_heap(void) {
    struct et_heap *heap = loop->timers;
    for (unsigned level = 0; level < LEVELS; level++) {
        for (uint64_t used = heap->used[level]; used != 0; used &= used - 1)
            heap->first[level][__builtin_ctzll(used)] = NULL;
        heap->used[level] = 0;
    }
    heap->levels = 0;
    heap->base_ms = kept.base_ms;
    heap->is_mixed = kept.is_mixed;
    for (const struct kept_ring *ring = kept.ring;
         ring < kept.ring + COMPLETIONS && ring->first != NULL; ring++) {
        heap->first[ring->level][ring->slot] = ring->first;
        heap->used[ring->level] |= UINT64_C(1) << ring->slot;
        heap->levels |= 1U << ring->level;
    }
}

/* All that a program of the scope can change. The slots' addresses and vectors and the buffers have
 * no content that matters. */
static void set_ranges(void) {
    search.ranges = 0;
    add_range(&kept, sizeof kept);
    if (WHOLE) {
        add_range(&driver, sizeof driver);
        add_range(&etalon_loop, sizeof etalon_loop);
        add_range(loop->descriptors, DESCRIPTORS_MAX * sizeof *loop->descriptors);
    } else {
        add_range(loop, sizeof *loop);
        add_range(etalon_loop.memory[0], COMPLETIONS * sizeof etalon_loop.memory[0][0]);
        for (unsigned i = 0; i < COMPLETIONS; i++)
            add_range(&driver.slot[i], offsetof(struct slot, address));
        add_range(driver.model.completion, COMPLETIONS * sizeof driver.model.completion[0]);
        add_range(&driver.model.completions,
                  offsetof(struct model, useless) - offsetof(struct model, completions));
        for (unsigned i = 0; i < 2; i++)
            add_range(driver.model.useless[i],
                      (DESCRIPTORS + 2) * sizeof driver.model.useless[0][0]);
        add_range(driver.model.useless_count,
                  offsetof(struct model, report) - offsetof(struct model, useless_count));
        add_range(&driver.model.tick, sizeof driver.model.tick);
        add_range(&driver.named[FIRST_NUMBER], DESCRIPTORS * sizeof driver.named[0]);
        add_range(&driver.told[FIRST_NUMBER], DESCRIPTORS * sizeof driver.told[0]);
        add_range(&driver.context, sizeof driver - offsetof(struct lockstep, context));
        add_range(&loop->descriptors[FIRST_NUMBER], DESCRIPTORS * sizeof *loop->descriptors);
    }
    search.ranges += explore_kernel_ranges(&search.range[search.ranges]);
    size_t size = sizeof(struct explore_position);
    for (unsigned i = 0; i < search.ranges; i++)
        size += search.range[i].size;
    if (size > EXPLORE_SNAPSHOT) {
        fprintf(stderr, "explore: %zu bytes are to be tracked, EXPLORE_SNAPSHOT is %d\n", size,
                EXPLORE_SNAPSHOT);
        exit(2);
    }
}

static void save(void) {
    unsigned char *to = explore_snapshot + sizeof(struct explore_position);
    keep_heap();
    for (unsigned i = 0; i < search.ranges; i++) {
        memcpy(to, search.range[i].start, search.range[i].size);
        to += search.range[i].size;
    }
    search.live = explore_head->serial = ++search.serials;
}

static void load(void) {
    const unsigned char *from = explore_snapshot + sizeof(struct explore_position);
    if (search.live == explore_head->serial)
        return;
    for (unsigned i = 0; i < search.ranges; i++) {
        memcpy(search.range[i].start, from, search.range[i].size);
        from += search.range[i].size;
    }
    restore_heap();
    search.live = explore_head->serial;
}

/* ---- what can be done ------------------------------------------------------------------------ */

struct list {
    struct command command[EXPLORE_OPTIONS];
    uint8_t rank[EXPLORE_OPTIONS];
    unsigned count;
};

static void put(struct list *list, unsigned rank, struct command command) {
    if (ORDERED && rank < explore_head->rank && driver.model.in_callback == MODEL_NONE &&
        !driver.model.in_tick)
        return;
    if (list->count == EXPLORE_OPTIONS) {
        fprintf(stderr, "explore: more than %d ways to go on\n", EXPLORE_OPTIONS);
        exit(2);
    }
    list->rank[list->count] = (uint8_t)rank;
    list->command[list->count++] = command;
}

/* Whether another completion names it, as what it cancels or resets: then it is not like any other,
 * even when it is dead. */
static bool is_named(unsigned c) {
    for (unsigned i = 0; i < COMPLETIONS; i++) {
        const struct model_completion *m = &driver.model.completion[i];
        if (m->state == ET_DEAD || i == c)
            continue;
        if ((m->operation == ET_CANCEL && m->description.target == c) ||
            etalon_completion(i)->internal.partner == etalon_completion(c))
            return true;
    }
    return false;
}

/* Dead completions that nothing names, but for the one whose callback runs, are equal. */
static bool is_any(unsigned c) {
    return CANONICAL && driver.model.completion[c].state == ET_DEAD &&
           driver.model.in_callback != c && !is_named(c);
}

/* The first of them, beside c, stands for all of them. */
static bool is_double_beside(unsigned other, unsigned c) {
    for (unsigned i = 0; i < other && is_any(other); i++)
        if (i != c && is_any(i))
            return true;
    return false;
}

static bool is_double(unsigned c) {
    return is_double_beside(c, MODEL_NONE);
}

static void list_submissions(struct list *list, unsigned c) {
    unsigned state = driver.model.completion[c].state;
    bool refused = state == ET_ACTIVE || state == ET_ADDING;
    bool timer = state == ET_ADDING && driver.model.completion[c].operation == ET_TIMER;
    struct command submit = {.kind = COMMAND_SUBMIT, .c = (uint8_t)c, .body = FIRST_SCRIPT};
    if (!refused || timer || (EXPLORE_OPERATIONS & DO_REFUSED) != 0)
        for (unsigned i = 0; i < DELAYS_COUNT; i++)
            put(list, 0,
                (struct command){.kind = COMMAND_TIMER,
                                 .c = (uint8_t)c,
                                 .value = delays[i],
                                 .body = FIRST_SCRIPT});
    if (refused && (EXPLORE_OPERATIONS & DO_REFUSED) == 0)
        return;
    if (state == ET_DELETING) { /* it is described already: this adds it again as it is */
        put(list, 0, submit);
        return;
    }
    for (unsigned d = 0; d < DESCRIPTORS && !refused; d++) {
        submit.d = (uint8_t)d;
        submit.value = 1;
        submit.operation = ET_RECV;
        if ((EXPLORE_OPERATIONS & DO_RECV) != 0)
            put(list, 0, submit);
        submit.operation = ET_SEND;
        submit.value = SEND_LENGTH;
        if ((EXPLORE_OPERATIONS & DO_SEND) != 0)
            put(list, 0, submit);
        submit.value = 1;
        submit.operation = ET_POLL;
        if ((EXPLORE_OPERATIONS & DO_POLL) != 0)
            put(list, 0, submit);
        submit.value = 0;
        submit.operation = ET_CLOSE;
        if ((EXPLORE_OPERATIONS & DO_CLOSE) != 0)
            put(list, 0, submit);
    }
    submit.value = submit.d = 0;
    submit.operation = ET_NOOP;
    if ((EXPLORE_OPERATIONS & DO_NOOP) != 0 || refused)
        put(list, 0, submit);
}

static void list_calls(struct list *list) {
    for (unsigned c = 0; c < COMPLETIONS; c++) {
        const struct model_completion *of = &driver.model.completion[c];
        bool all = (EXPLORE_OPERATIONS & DO_REFUSED) != 0,
             free = of->state == ET_DEAD || of->state == ET_DELETING;
        if (is_double(c))
            continue;
        list_submissions(list, c);
        if (of->state == ET_ADDING || of->state == ET_ACTIVE || all)
            put(list, 0, (struct command){.kind = COMMAND_DELETE, .c = (uint8_t)c});
        bool resets = of->state == ET_ACTIVE && of->operation == ET_TIMER;
        struct command reset = {.kind = COMMAND_RESET,
                                .c = (uint8_t)c,
                                .other = PROGRAM_COMPLETIONS,
                                .value = delays[DELAYS_COUNT - 1],
                                .body = FIRST_SCRIPT};
        if ((EXPLORE_OPERATIONS & DO_ALONE) != 0 && (resets || all))
            put(list, 0, reset);
        for (unsigned other = 0; other < COMPLETIONS; other++) {
            if (other == c || is_double_beside(other, c))
                continue;
            if (free || all)
                put(list, 0,
                    (struct command){.kind = COMMAND_CANCEL,
                                     .c = (uint8_t)c,
                                     .other = (uint8_t)other,
                                     .body = FIRST_SCRIPT});
            reset.other = (uint8_t)other;
            if ((EXPLORE_OPERATIONS & DO_RESET) != 0 && (resets || all))
                put(list, 0, reset);
        }
    }
}

/* Closing and opening do not commute with submissions, which name a number: they have their rank.
 */
static void list_closes(struct list *list) {
    for (unsigned d = 0; d < DESCRIPTORS && (EXPLORE_WORLD & (WORLD_CLOSES | WORLD_DUPS)) != 0;
         d++) {
        bool copy = (EXPLORE_WORLD & WORLD_DUPS) != 0 && d == DESCRIPTORS - 1;
        struct command command = {.kind = COMMAND_OPEN, .d = (uint8_t)d, .value = WORLD_STREAM};
        if (explore_kernel_is_open(d))
            command = (struct command){.kind = COMMAND_CLOSE, .d = (uint8_t)d};
        else if (copy)
            command = (struct command){.kind = COMMAND_DUP, .d = 0, .other = (uint8_t)d};
        else if (d > 0 && !explore_kernel_is_open(d - 1))
            continue; /* so that a handle always gets the same number */
        if (command.kind == COMMAND_DUP && !explore_kernel_is_open(0))
            continue;
        if (command.kind != COMMAND_CLOSE && driver.model.in_callback != MODEL_NONE &&
            (EXPLORE_WORLD & WORLD_CLOSES) == 0)
            continue;
        put(list, 0, command);
    }
}

static bool is_starting(int fd) {
    for (unsigned i = 0; i < driver.model.submissions.count; i++) {
        const struct model_completion *c =
            &driver.model.completion[driver.model.submissions.item[i]];
        if (c->operation != ET_TIMER && c->operation != ET_CANCEL &&
            (fd < 0 || c->description.fd == fd))
            return true;
    }
    return false;
}

/* Loop and kernel agree on all that is registered. */
static bool registrations_agree(void) {
    unsigned registered = 0;
    for (unsigned i = 0; i < DESCRIPTORS; i++) {
        const struct et_descriptor *d = &loop->descriptors[FIRST_NUMBER + i];
        if (d->is_registered &&
            !explore_kernel_has_watch(FIRST_NUMBER + i, d->registered, d->generation))
            return false;
        registered += d->is_registered;
    }
    /* one is the loop's own */
    return !loop->epoll_stale && registered + 1 == explore_kernel_watches();
}

/* Whether the next tick can call epoll_ctl at all: otherwise a failure of it would be met by none
 * (settle). What callbacks add is not started in the same tick, if it has one round. */
static bool may_register(void) {
    return (EXPLORE_WORLD & (WORLD_CLOSES | WORLD_DUPS | WORLD_WAITS | WORLD_TURNS)) != 0 ||
           (EXPLORE_OPERATIONS & DO_CLOSE) != 0 || loop->changed_head >= 0 || is_starting(-1) ||
           !registrations_agree();
}

static void list_failures(struct list *list) {
    static const struct {
        unsigned bit;
        uint8_t call;
        uint16_t error;
    } failure[] = {{FAIL_REGISTER, FAULTY_EPOLL_CTL, ENOMEM},
                   {FAIL_WAIT, FAULTY_EPOLL_WAIT, EINTR},
                   {FAIL_CLOSE, FAULTY_CLOSE, EINTR},
                   {FAIL_RECV, FAULTY_RECV, ECONNRESET},
                   {FAIL_MISSING, FAULTY_EPOLL_CTL, ENOENT}};
    for (unsigned i = 0; i < sizeof failure / sizeof *failure && explore_head->failures < FAILED;
         i++)
        for (unsigned at = 1; at <= FAILED_AT && (EXPLORE_FAILURES & failure[i].bit) != 0 &&
                              (!ORDERED || failure[i].call != FAULTY_EPOLL_CTL || may_register());
             at++)
            put(list, 5,
                (struct command){.kind = COMMAND_FAIL,
                                 .call = failure[i].call,
                                 .error = failure[i].error,
                                 .value = at});
}

static uint64_t lag_ms(void) {
    return driver.world->clock() / NANOSECONDS_PER_MS - driver.model.now_ms;
}

/* Whether it matters that time goes on: a timer has not expired yet, or a callback comes before the
 * tick has looked at the clock, and may set a timer by the old time; or it goes on by parts of a
 * millisecond, from which the next deadlines are rounded up. Else all that changes is how long ago
 * things were. */
static bool time_matters(void) {
    for (unsigned c = 0; c < COMPLETIONS; c++) {
        const struct model_completion *of = &driver.model.completion[c];
        bool timer = of->operation == ET_TIMER,
             waits = of->operation == ET_RECV || of->operation == ET_POLL;
        if ((of->state == ET_ADDING || of->state == ET_ACTIVE) && timer &&
            of->deadline_ms > driver.model.now_ms)
            return true;
        if (of->state == ET_ADDING && !timer && !waits)
            return true;
    }
    return !ORDERED || STEP_US % 1000 != 0;
}

/* Whether the next tick can meet what is written to a descriptor: something is registered for it,
 * or waits to be. Otherwise it is left to be written later; that commutes with the tick, which has
 * one round and does not start what its callbacks add. */
static bool may_be_noticed(unsigned d) {
    const struct et_descriptor *of = &loop->descriptors[FIRST_NUMBER + d];
    if (!ORDERED ||
        (EXPLORE_WORLD & (WORLD_CLOSES | WORLD_DUPS | WORLD_WAITS | WORLD_TURNS)) != 0 ||
        (EXPLORE_OPERATIONS & DO_CLOSE) != 0)
        return true;
    if (of->is_registered || of->is_changed || explore_kernel_is_registered(d))
        return true;
    return is_starting((int)(FIRST_NUMBER + d));
}

static void list_world(struct list *list, bool waiting) {
    for (unsigned d = 0; d < DESCRIPTORS; d++) {
        if ((EXPLORE_WORLD & WORLD_WRITES) != 0 && !explore_kernel_has_data(d) && may_be_noticed(d))
            put(list, 1, (struct command){.kind = COMMAND_PEER_WRITE, .d = (uint8_t)d, .value = 1});
        if ((EXPLORE_WORLD & WORLD_FULL) != 0 && explore_kernel_is_full(d))
            put(list, 1,
                (struct command){.kind = COMMAND_PEER_READ, .d = (uint8_t)d, .value = 1000});
    }
    bool limited = waiting && driver.wait.timeout_ns > 0;
    if (waiting ? limited : (EXPLORE_WORLD & WORLD_TIME) != 0 && lag_ms() < LAG && time_matters())
        put(list, 3, (struct command){.kind = COMMAND_ADVANCE, .value = 1000 * STEP_US});
    if ((EXPLORE_WORLD & WORLD_WAKES) != 0 && !driver.wake_pending)
        put(list, 4, (struct command){.kind = COMMAND_WAKEUP});
    if (!waiting)
        list_failures(list);
}

/* The commands of the main sequence. A stopped loop does nothing any more: one tick shows it. */
static void list_main(struct list *list) {
    list->count = 0;
    if (DEPTH != 0 && explore_head->depth == DEPTH)
        return;
    if (!driver.model.stopped && (CALLS == 0 || explore_head->calls != CALLS)) {
        list_calls(list);
        list_closes(list);
    }
    if (!driver.model.stopped)
        list_world(list, false);
    put(list, 6, (struct command){.kind = COMMAND_TICK});
    if ((EXPLORE_WORLD & WORLD_WAITS) != 0)
        put(list, 6, (struct command){.kind = COMMAND_RUN, .value = ET_RUN_ONCE});
    if ((EXPLORE_WORLD & WORLD_TURNS) != 0)
        put(list, 6, (struct command){.kind = COMMAND_RUN, .value = ET_RUN_TURN});
}

static void list_for_callback(struct list *list) {
    list->count = 0;
    put(list, 0, (struct command){.kind = COMMAND_RETURN, .value = ET_DISARM});
    put(list, 0, (struct command){.kind = COMMAND_RETURN, .value = ET_REARM});
    if (search.commands >= COMMANDS || driver.model.stopped)
        return;
    list_calls(list);
    list_closes(list);
    if ((EXPLORE_OPERATIONS & DO_STOP) != 0)
        put(list, 0, (struct command){.kind = COMMAND_STOP});
    if ((EXPLORE_WORLD & WORLD_WAKES) != 0 && !driver.wake_pending)
        put(list, 0, (struct command){.kind = COMMAND_WAKEUP});
}

/* ---- choosing -------------------------------------------------------------------------------- */

static void leave_broken(const char *why) __attribute__((noreturn));
static void leave_broken(const char *why) {
    search.broken = why;
    siglongjmp(search.out, OUT_BROKEN);
}

static bool was_here(unsigned body);

/* The choice that Spin has made here, or none: then the step ends. */
static unsigned choose(unsigned body, unsigned options) {
    struct explore_position *h = explore_head;
    if (search.asked == sizeof h->choice)
        leave_broken("callbacks without end");
    if (search.asked < h->choices)
        return h->choice[search.asked++];
    if (MERGED && !search.trail && was_here(body))
        siglongjmp(search.out, OUT_MET);
    h->options = (uint8_t)options;
    siglongjmp(search.out, OUT_CHOOSE);
}

static uint32_t *bound(void) {
    return &explore_head->bound[driver.model.in_callback];
}

static void choose_script(void) {
    struct list list;
    uint32_t userdata = driver.model.completion[driver.model.in_callback].description.userdata;
    struct script *script = &search.script_of_callback;
    *script = (struct script){.known = true};
    if (BOUND && *bound() == userdata) {
        script->rearms = true;
        return;
    }
    list_for_callback(&list);
    const struct command *command = &list.command[choose(FIRST_SCRIPT, list.count)];
    script->has_command = command->kind != COMMAND_RETURN;
    script->rearms = !script->has_command && command->value == ET_REARM;
    if (script->rearms)
        *bound() = userdata;
    if (script->has_command) {
        search.commands++;
        script->command = *command;
        script->of = driver.serial + 1;
    }
    if (search.trail && userdata >> 3 < RECORDED_MAX)
        search.script[userdata >> 3] = *script;
}

static const struct command *choose_world(void) {
    struct list list = {.count = 0};
    if (explore_head->world_over)
        return NULL;
    put(&list, 0, (struct command){.kind = COMMAND_RETURN}); /* nothing any more */
    if (search.waited < WAITED)
        list_world(&list, true);
    search.chosen = list.command[choose(PROGRAM_BODY_WORLD, list.count)];
    if (search.chosen.kind == COMMAND_RETURN) {
        explore_head->world_over = true;
        return NULL;
    }
    search.waited++;
    if (search.trail && search.worlds < PROGRAM_COMMANDS_MAX)
        search.world[search.worlds++] = search.chosen;
    return &search.chosen;
}

static const struct command *chooser(unsigned body, unsigned at) {
    if (body == PROGRAM_BODY_WORLD)
        return choose_world();
    if (at == 0)
        choose_script();
    const struct script *script = &search.script_of_callback;
    if (script->has_command && at == 0) {
        search.chosen = script->command;
        return &search.chosen;
    }
    search.chosen =
        (struct command){.kind = COMMAND_RETURN, .value = script->rearms ? ET_REARM : ET_DISARM};
    return &search.chosen;
}

/* ---- what is observed ------------------------------------------------------------------------ */

static void remember(uint64_t what) {
    explore_head->history = (explore_head->history ^ what) * UINT64_C(0x9e3779b97f4a7c15);
    explore_head->history ^= explore_head->history >> 29;
}

/* Commands and callbacks by what they are and their results, without names. */
static void observe(void *self, char mark, const char *line) {
    (void)self;
    /* kept until it is known that the command gets to its end */
    if (search.trail && search.said < sizeof search.saying)
        search.said +=
            (size_t)snprintf(search.saying + search.said, sizeof search.saying - search.said,
                             "  %c %s\n", mark, line);
    if (mark != '>')
        return;
    for (const char *at = line; *at != '\0'; at++) {
        remember((unsigned char)*at);
        if ((*at == 'c' || *at == 'd') && at[1] >= '0' && at[1] <= '9')
            at++; /* the number of a completion or a handle is a name */
    }
}

/* ---- the abstract state ---------------------------------------------------------------------- */

#define ABSENT 0xff

/* place[c]: where completion c stands in the canonical order. */
static unsigned char position(const uint8_t *place, unsigned c) {
    return c < COMPLETIONS ? place[c] : ABSENT;
}

static unsigned char place_of(const uint8_t *place, const struct et_completion *c) {
    return c == NULL ? ABSENT : position(place, etalon_number(c));
}

static unsigned char after_now(uint64_t ms) {
    int64_t distance = (int64_t)(ms - driver.model.now_ms);
    return (unsigned char)(ms == UINT64_MAX ? 100 : distance > 99 ? 99 : distance);
}

/* Whether it can ever matter which of two active completions was started first: of timers with one
 * deadline (or which a reset may give one), and of those that wait on one descriptor. */
static bool compete(unsigned a, unsigned b) {
    const struct model_completion *m = driver.model.completion;
    if (m[a].state != ET_ACTIVE || m[b].state != ET_ACTIVE ||
        (m[a].operation == ET_TIMER) != (m[b].operation == ET_TIMER))
        return false;
    if (m[a].operation == ET_TIMER)
        return (EXPLORE_OPERATIONS & (DO_RESET | DO_ALONE)) != 0 ||
               m[a].deadline_ms == m[b].deadline_ms;
    return m[a].description.fd == m[b].description.fd;
}

/* How many of its competitors were started before it: the counter itself goes on for ever. */
static unsigned char rank(unsigned c) {
    unsigned model = 0, actual = 0;
    for (unsigned i = 0; i < COMPLETIONS; i++) {
        if (!compete(i, c))
            continue;
        model += driver.model.completion[i].order < driver.model.completion[c].order;
        actual += etalon_completion(i)->internal.order < etalon_completion(c)->internal.order;
    }
    return (unsigned char)(model | actual << 4);
}

static unsigned char delay_index(uint64_t delay) {
    for (unsigned i = 0; i < DELAYS_COUNT; i++)
        if (delays[i] == delay)
            return (unsigned char)i;
    return ABSENT;
}

static unsigned char name(int fd) {
    return fd < 0 || fd >= DESCRIPTORS_MAX ? (unsigned char)fd : explore_name[fd];
}

static bool is_in_heap(const struct et_completion *c) {
    return c->internal.state == ET_ACTIVE &&
           (c->internal.place == PLACE_HEAP || c->internal.place == PLACE_LEVEL);
}

#define OWN_BYTES 9

/* What of a completion names no other one. What a dead one was has no consequences: every call on
 * it describes it anew. Only whether another names it. */
static void own_state(unsigned i, unsigned char *to) {
    const struct model_completion *m = &driver.model.completion[i];
    const struct et_completion *c = etalon_completion(i);
    memset(to, ABSENT, OWN_BYTES);
    to[0] = (unsigned char)(c->internal.state | (m->state << 2));
    bool may_rearm = driver.model.in_callback == i && BLIND != 4;
    if (m->state == ET_DEAD && c->internal.state == ET_DEAD && !may_rearm) {
        to[1] = is_named(i);
        return;
    }
    bool active = m->state == ET_ACTIVE,
         called = c->callback != NULL || m->description.has_callback;
    bool rearms = BOUND && called && explore_head->bound[i] == m->description.userdata;
    bool same_userdata = called && (uint32_t)(uintptr_t)c->userdata == m->description.userdata;
    to[1] = (unsigned char)(c->operation | m->is_carrier << 5 | rearms << 6 | same_userdata << 7);
    const uint8_t place = is_in_heap(c) ? PLACE_HEAP : c->internal.place;
    to[2] = (unsigned char)((active ? place : 0) |
                            (!active && c->operation != ET_CANCEL && c->internal.trusted) << 3 |
                            (c->callback != NULL) << 4 | m->description.has_callback << 5);
    to[2] = (unsigned char)(to[2] | (driver.model.refused >> i & 1) << 6 |
                            (driver.model.maybe_dead >> i & 1) << 7);
    if (c->operation == ET_TIMER) {
        bool runs = m->state != ET_DELETING;
        to[3] = delay_index(m->description.delay_ms);
        to[4] = runs ? after_now(c->internal.deadline_ms) : 0;
        to[5] = runs ? after_now(m->deadline_ms) : 0;
    } else if (c->operation != ET_CANCEL && c->operation != ET_NOOP) {
        to[3] = name(m->description.fd);
        to[4] = (unsigned char)((driver.model.orphaned >> i & 1) | (m->vouches >= 0 ? 2u : 0u) |
                                (driver.model.doubtful >> i & 1) << 2);
        to[5] = name(c->fd);
    }
    to[6] = active ? rank(i) : 0;
    to[7] =
        (unsigned char)(m->operation | (unsigned)(c->operation != m->description.operation) << 7);
    to[8] = (unsigned char)c->internal.operation;
    if (BLIND == 1)
        memset(to + 1, 0, OWN_BYTES - 1);
}

/* … and what does: four bytes. How the heap holds its timers has no consequences as long as it is
 * sound, which explore_take asks: what it answers follows from the deadlines and the order. */
static unsigned char *links_of(unsigned char *to, unsigned i, const uint8_t *place) {
    const struct model_completion *m = &driver.model.completion[i];
    const struct et_completion *c = etalon_completion(i);
    bool dead = m->state == ET_DEAD && c->internal.state == ET_DEAD;
    bool in_heap = is_in_heap(c), held = c->internal.place == PLACE_HELD;
    *to++ = dead || in_heap ? ABSENT : place_of(place, c->internal.partner);
    *to++ = dead || c->operation != ET_CANCEL ? ABSENT : position(place, m->description.target);
    *to++ = dead ? ABSENT
                 : (unsigned char)(position(place, m->carrier) << 4 |
                                   (position(place, m->carries) & 0xf));
    *to++ = c->internal.state == ET_ACTIVE && !in_heap && !held
                ? place_of(place, c->internal.wait_next)
                : ABSENT;
    return to;
}

static unsigned char *queues_state(unsigned char *to, const uint8_t *place) {
    unsigned n = 0;
    for (unsigned i = 0; i < driver.model.submissions.count; i++)
        *to++ = BLIND == 2 ? 0 : position(place, driver.model.submissions.item[i]);
    *to++ = ABSENT;
    for (const struct et_completion *c = loop->submissions_head; c != NULL && n <= COMPLETIONS;
         c = c->internal.next, n++)
        *to++ = BLIND == 2 ? 0 : place_of(place, c);
    *to++ = ABSENT;
    for (unsigned i = 0; i < driver.model.deletions.count; i++)
        *to++ = position(place, driver.model.deletions.item[i]);
    return to;
}

static unsigned char *descriptors_state(unsigned char *to, const uint8_t *place) {
    for (unsigned i = 0; i < DESCRIPTORS; i++) {
        const unsigned number = explore_number[FIRST_NUMBER + i];
        const struct et_descriptor *d = &loop->descriptors[number];
        *to++ = (unsigned char)((d->registered & 0x7) | d->is_registered << 3 | d->is_changed << 4 |
                                d->is_no_socket << 5 | d->is_useless << 6);
        *to++ = (unsigned char)(place_of(place, d->in.head) << 4 |
                                (place_of(place, d->out.head) & 0xf));
        *to++ = place_of(place, d->others.head);
        *to++ = (unsigned char)(d->is_changed ? name(d->next_changed) : 0);
        *to++ = driver.stale_reports[number];
    }
    *to++ = name(loop->changed_head);
    const unsigned last = driver.model.useless_last;
    for (unsigned i = 0; i < driver.model.useless_count[last]; i++) {
        *to++ = name(driver.model.useless[last][i].fd);
        *to++ = (unsigned char)driver.model.useless[last][i].events;
    }
    *to++ = ABSENT;
    return to;
}

/* of a millisecond: the clock stands at no others */
static unsigned tenths(uint64_t ns) {
    return (unsigned)(ns % NANOSECONDS_PER_MS / 100000);
}

static unsigned char *common_state(unsigned char *to) {
    uint64_t clock_ns = driver.world->clock();
    const struct explore_position *h = explore_head;
    *to++ = (unsigned char)(tenths(clock_ns) | lag_ms() << 4);
    *to++ = (unsigned char)(tenths(driver.model.now_rest) | tenths(loop->now_ns) << 4);
    *to++ = (unsigned char)(driver.model.stopped | loop->stopped << 1 | driver.faults << 3 |
                            driver.wake_pending << 4 | driver.wake_credit << 5 |
                            h->world_over << 6 | loop->epoll_stale << 7);
    *to++ = (unsigned char)(driver.model.forgive_registration | loop->no_pwait2 << 1 |
                            (driver.claimed >> FIRST_NUMBER) << 2);
    *to++ = (unsigned char)(driver.model.in_tick ? 0 : h->calls << 4 | h->rank);
    *to++ = (unsigned char)(loop->active << 4 | h->failures);
    return to;
}

/* ---- … within a tick ------------------------------------------------------------------------- */

#define WITHIN_BYTES 640

static unsigned char *append_bytes(unsigned char *to, const void *from, size_t size) {
    memcpy(to, from, size);
    return to + size;
}
#define APPEND(to, value) ((to) = append_bytes(to, &(value), sizeof(value)))

static unsigned char *set_state(unsigned char *to, const uint8_t *place, model_set set) {
    unsigned char renamed = 0;
    static_assert(COMPLETIONS <= 8, "a byte holds a set of them");
    for (unsigned i = 0; i < COMPLETIONS; i++)
        renamed = (unsigned char)(renamed | (model_has(&set, i) ? 1u << place[i] : 0));
    *to++ = renamed;
    return to;
}

/* Where in the tick the model is. Of counters, what they are compared with. */
static unsigned char *tick_state(unsigned char *to, const uint8_t *place) {
    const struct model *m = &driver.model;
    const struct model_tick_state *t = &m->tick;
    const uint64_t called = t->called < t->asked ? t->called : t->asked;
    const model_set sets[] = {t->snapshot,   t->expiring, t->delivering, t->delivering_owed,
                              t->recent,     m->refused,  m->doubtful,   m->orphaned,
                              m->maybe_dead, driver.moved};
    const uint8_t bits[] = {t->one_round,
                            t->fresh,
                            t->collecting,
                            t->delivering_fixed,
                            t->placed,
                            m->forgiven,
                            loop->in_callback,
                            loop->called == t->called,
                            t->phase,
                            t->step,
                            t->due,
                            t->due_event};
    const unsigned named[] = {m->in_callback, t->current, t->answered, t->due_completion,
                              t->unanswered};
    APPEND(to, bits);
    APPEND(to, t->asked);
    APPEND(to, called);
    APPEND(to, t->error);
    APPEND(to, t->answered_result);
    APPEND(to, t->due_result);
    APPEND(to, t->due_clause);
    APPEND(to, t->run_clause);
    for (unsigned i = 0; i < sizeof named / sizeof *named; i++)
        *to++ = position(place, named[i]);
    for (unsigned i = 0; i < sizeof sets / sizeof *sets; i++)
        to = set_state(to, place, sets[i]);
    for (unsigned r = 0; r < m->reports; r++) {
        const struct model_report *report = &m->report[r];
        *to++ = name(report->fd);
        APPEND(to, report->events);
        *to++ = report->source;
        *to++ = report->tries_owed;
        to = set_state(to, place, report->polls);
        to = set_state(to, place, report->tried);
    }
    *to++ = ABSENT;
    for (unsigned i = 0; i < m->useless_count[!m->useless_last]; i++) {
        *to++ = name(m->useless[!m->useless_last][i].fd);
        APPEND(to, m->useless[!m->useless_last][i].events);
    }
    *to++ = ABSENT;
    return to;
}

/* … and the loop, the part of whose state that is on its stack follows from this: which phase, of
 * which completion, at which of the reports. */
static unsigned char *round_state(unsigned char *to, const uint8_t *place, const uint8_t *order) {
    const struct model_tick_state *t = &driver.model.tick;
    const struct et_completion *lists[] = {loop->expired, loop->delivering, loop->deletions_head};
    *to++ = place_of(place, loop->current);
    for (unsigned i = 0; i < sizeof lists / sizeof *lists; i++) {
        unsigned n = 0;
        for (const struct et_completion *c = lists[i]; c != NULL && n < COMPLETIONS; n++) {
            *to++ = place_of(place, c);
            c = i == 0 ? c->internal.wait_next : c->internal.next;
        }
        *to++ = ABSENT;
    }
    for (unsigned i = 0; i < COMPLETIONS; i++) {
        const struct model_completion *m = &driver.model.completion[order[i]];
        const struct et_completion *c = etalon_completion(order[i]);
        bool active = m->state == ET_ACTIVE, adding = m->state == ET_ADDING;
        *to++ =
            (unsigned char)((active && m->order < t->orders_timers) |
                            (active && m->order < t->orders_asked) << 1 |
                            (active && c->internal.order < loop->expired_before) << 2 |
                            (adding && c->internal.round == loop->round) << 3 | m->is_vague << 4);
        *to++ = name(m->vouches);
        APPEND(to, m->refusal);
        *to++ = driver.model.in_callback == order[i] && m->operation == ET_CANCEL
                    ? position(place, m->description.target)
                    : ABSENT;
    }
    return to;
}

static unsigned char *driver_state(unsigned char *to, unsigned body) {
    const uint64_t clock_ns = driver.world->clock(), ends_in_ns = driver.wait.end_ns - clock_ns;
    const uint8_t bits[] = {(uint8_t)body,
                            search.carried_out->kind,
                            (uint8_t)search.carried_out->value,
                            (uint8_t)search.commands,
                            (uint8_t)search.waited,
                            driver.disturbed,
                            driver.wait.open,
                            driver.wait.counts,
                            driver.refused.both_ways,
                            name(driver.refused.fd),
                            driver.latest_ns == clock_ns};
    APPEND(to, bits);
    APPEND(to, ends_in_ns);
    APPEND(to, driver.wait.timeout_ns);
    APPEND(to, driver.wait.reports);
    APPEND(to, driver.refused.operation);
    APPEND(to, driver.refused.error);
    APPEND(to, driver.refused.kept);
    APPEND(to, driver.refused.claimed);
    APPEND(to, driver.disturbed_by);
    APPEND(to, driver.idle_waits);
    APPEND(to, driver.context);
    for (unsigned i = 0; i < DESCRIPTORS; i++) {
        const int number = explore_number[FIRST_NUMBER + i];
        APPEND(to, driver.told[number]);
        *to++ = (unsigned char)(has_number(&driver.reported, number) |
                                (driver.named[number] == driver.world->installed(number)) << 1);
    }
    return to;
}

/* The state that is being written, and the least so far. */
static struct {
    unsigned char *least;
    size_t size;
    unsigned body; /* of the choice within a tick; 0: between two ticks */
} written;

static void write_state(unsigned char *state, const uint8_t *order,
                        unsigned char own[][OWN_BYTES]) {
    uint8_t place[COUNT];
    uint32_t generation[DESCRIPTORS];
    unsigned char buffer[1024], *to = buffer;
    static_assert(EXPLORE_STATE + WITHIN_BYTES <= sizeof buffer, "any state has room");
    memset(buffer, 0, written.size);
    for (unsigned i = 0; i < COMPLETIONS; i++)
        place[order[i]] = (uint8_t)i;
    for (unsigned i = 0; i < DESCRIPTORS; i++)
        generation[i] = loop->descriptors[FIRST_NUMBER + i].generation;
    to = common_state(to);
    for (unsigned i = 0; i < COMPLETIONS; i++) {
        memcpy(to, own[order[i]], OWN_BYTES);
        to = links_of(to + OWN_BYTES, order[i], place);
    }
    to = queues_state(to, place);
    to = descriptors_state(to, place);
    to = explore_kernel_state(to, generation);
    if (HISTORY || DEPTH != 0)
        *to++ = explore_head->depth;
    if (HISTORY) {
        memcpy(to, &explore_head->history, sizeof explore_head->history);
        to += sizeof explore_head->history;
    }
    if (written.body != 0) {
        to = tick_state(to, place);
        to = round_state(to, place, order);
        to = driver_state(to, written.body);
    }
    if ((size_t)(to - buffer) > written.size) {
        fprintf(stderr, "explore: the abstract state takes %zd bytes, and there is room for %zu\n",
                to - buffer, written.size);
        exit(2);
    }
    memcpy(state, buffer, written.size);
}

/* All ways to order completions that cannot be told apart by what is their own; the least state is
 * the canonical one. */
static void least_state(uint8_t *order, unsigned from, unsigned char own[][OWN_BYTES], bool *any) {
    unsigned char state[EXPLORE_STATE + WITHIN_BYTES];
    if (from == COMPLETIONS) {
        write_state(state, order, own);
        if (!*any || memcmp(state, written.least, written.size) < 0)
            memcpy(written.least, state, written.size);
        *any = true;
        return;
    }
    for (unsigned i = from; i < COMPLETIONS; i++) {
        if (i != from && memcmp(own[order[i]], own[order[from]], OWN_BYTES) != 0)
            break;
        /* no links: any order is the same */
        if (i != from && own[order[i]][0] == ET_DEAD && own[order[i]][1] == 0)
            break;
        uint8_t swapped = order[from];
        order[from] = order[i];
        order[i] = swapped;
        least_state(order, from + 1, own, any);
        swapped = order[from];
        order[from] = order[i];
        order[i] = swapped;
    }
}

static void hash_into(uint64_t *hash, const void *start, size_t size) {
    const unsigned char *bytes = start;
    for (size_t i = 0; i < size; i++) {
        hash[0] = (hash[0] ^ bytes[i]) * UINT64_C(0x100000001b3);
        hash[1] = (hash[1] + bytes[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash[1] ^= hash[1] >> 31;
    }
}

/* The least state under all renamings of completions, or what is there already, if that is less. */
static void abstract_as_named(bool *any) {
    unsigned char own[COMPLETIONS][OWN_BYTES];
    uint8_t order[COMPLETIONS];
    for (unsigned i = 0; i < COMPLETIONS; i++) {
        unsigned at = i;
        own_state(i, own[i]);
        for (; at > 0 && memcmp(own[order[at - 1]], own[i], OWN_BYTES) > 0; at--)
            order[at] = order[at - 1];
        order[at] = (uint8_t)i;
    }
    least_state(order, 0, own, any);
}

static void swap_names(void) {
    uint8_t first = explore_name[FIRST_NUMBER];
    explore_number[FIRST_NUMBER] = explore_name[FIRST_NUMBER] = explore_name[FIRST_NUMBER + 1];
    explore_number[FIRST_NUMBER + 1] = explore_name[FIRST_NUMBER + 1] = first;
}

static void write_least(void) {
    bool any = false;
    abstract_as_named(&any);
    if (SWAPPED && DESCRIPTORS == 2) {
        swap_names();
        abstract_as_named(&any);
        swap_names();
    }
}

static void abstract(void) {
    if (!CANONICAL) { /* all tracked memory, but for the number of the snapshot */
        uint64_t hash[2] = {UINT64_C(0xcbf29ce484222325), 1};
        hash_into(hash, explore_snapshot + sizeof explore_head->serial,
                  EXPLORE_SNAPSHOT - sizeof explore_head->serial);
        memcpy(explore_state, hash, sizeof hash < EXPLORE_STATE ? sizeof hash : EXPLORE_STATE);
        return;
    }
    written.least = explore_state;
    written.size = EXPLORE_STATE;
    written.body = 0;
    write_least();
}

/* ---- where ways through a tick meet ---------------------------------------------------------- */

/* What was met at a choice within a tick, by two hashes of it: what can come after was followed
 * from there once. It is no part of what Spin restores. */
static struct {
    uint64_t (*item)[2]; /* 0, 0: none */
    size_t room, count;
} met;

static uint64_t *find_met(const uint64_t hash[2]) {
    size_t at = hash[1] & (met.room - 1);
    while ((met.item[at][0] | met.item[at][1]) != 0 &&
           (met.item[at][0] != hash[0] || met.item[at][1] != hash[1]))
        at = (at + 1) & (met.room - 1);
    return met.item[at];
}

/* By mmap(2): an allocation would be counted as the loop's. */
static void make_room(void) {
    uint64_t(*old)[2] = met.item;
    const size_t before = met.room;
    met.room = before == 0 ? (size_t)1 << 16 : 2 * before;
    met.item = mmap(NULL, met.room * sizeof *met.item, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (met.item == MAP_FAILED) {
        fprintf(stderr, "explore: no memory for %zu choices\n", met.room);
        exit(2);
    }
    for (size_t i = 0; i < before; i++)
        if ((old[i][0] | old[i][1]) != 0)
            memcpy(find_met(old[i]), old[i], sizeof old[i]);
    if (old != NULL)
        munmap(old, before * sizeof *old);
}

static bool was_here(unsigned body) {
    static unsigned char state[EXPLORE_STATE + WITHIN_BYTES];
    uint64_t hash[2] = {UINT64_C(0xcbf29ce484222325), 1}, *slot;
    written.least = state;
    written.size = sizeof state;
    written.body = body;
    write_least();
    hash_into(hash, state, sizeof state);
    if (2 * met.count >= met.room)
        make_room();
    slot = find_met(hash);
    if ((slot[0] | slot[1]) != 0)
        return true;
    memcpy(slot, hash, sizeof hash);
    met.count++;
    return false;
}

/* ---- a step ---------------------------------------------------------------------------------- */

/* Instead of the C library's: a failed assertion of loop, model or kernel is a finding, and not the
 * end of the search. */
void __assert_fail(const char *assertion, const char *file, unsigned line, const char *function) {
    static char text[200];
    (void)function;
    snprintf(text, sizeof text, "%s:%u: assertion failed: %s", file, line, assertion);
    leave_broken(text);
}

static void on_signal(int number) {
    if (number == SIGPROF && search.steps != search.steps_seen) {
        search.steps_seen = search.steps;
        search.seconds_hung = 0;
        return;
    }
    if (number == SIGPROF && (++search.seconds_hung < TICKS_HUNG || search.live != 0))
        return;
    leave_broken(number == SIGPROF   ? "the loop does not end"
                 : number == SIGABRT ? "the loop aborts"
                                     : "the loop crashes");
}

/* On a stack of its own: where the loop has used up the stack, there is no other. */
static void set_signals(void) {
    static unsigned char memory[1 << 16];
    const stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};
    struct sigaction action = {.sa_handler = on_signal,
                               .sa_flags = SA_NODEFER | SA_RESTART | SA_ONSTACK};
    struct itimerval second = {{1, 0}, {1, 0}};
    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGABRT, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
    sigaction(SIGPROF, &action, NULL);
    setitimer(ITIMER_PROF, &second, NULL);
}

static void record(const struct command *command, uint32_t script) {
    if (search.said > 0 && getenv("EXPLORE_VERBOSE") != NULL)
        fputs(search.saying, stdout);
    if (!search.trail || search.mains == PROGRAM_COMMANDS_MAX)
        return;
    search.main_script[search.mains] = script;
    search.main[search.mains++] = *command;
}

static void carry_out(const struct command *command) {
    search.asked = search.commands = search.waited = 0;
    search.said = 0;
    memset(&search.report, 0, sizeof search.report);
    search.worlds = search.worlds_before;
    search.carried_out = command;
    lockstep_command(command);
}

/* What a step leaves behind in the head. */
static void conclude(const struct list *list, unsigned first) {
    struct explore_position *h = explore_head;
    const struct command *command = &list->command[first];
    bool ticked = command->kind == COMMAND_TICK || command->kind == COMMAND_RUN;
    h->failures = (uint8_t)(h->failures + (command->kind == COMMAND_FAIL));
    h->rank = (uint8_t)(ticked || !ORDERED ? 0 : list->rank[first]);
    h->calls = (uint8_t)(ticked || CALLS == 0 ? 0 : h->calls + (list->rank[first] == 0));
    if (DEPTH != 0)
        h->depth++;
    for (unsigned i = 0; i < COMPLETIONS; i++) /* what it was bound to is over */
        if (driver.model.completion[i].state == ET_DEAD)
            h->bound[i] = 0;
    h->pending = h->choices = h->first = 0;
    h->inside = ORDERED && h->rank > 0;
    memset(h->choice, 0, sizeof h->choice);
}

/* An injected failure has left no trace: loop and kernel agree again on all that is registered. The
 * driver may then judge as strictly as before, and the next failure may come. */
static void recover(void) {
    if (!AGAIN || explore_head->failures == 0 || explore_kernel_fails() ||
        driver.model.forgive_registration || driver.claimed != 0 || !registrations_agree())
        return;
    for (unsigned i = 0; i < DESCRIPTORS; i++)
        if (driver.stale_reports[FIRST_NUMBER + i] != 0)
            return;
    driver.faults = driver.disturbed = false;
    explore_head->failures = 0;
}

static void settle(void) {
    struct list list;
    const char *limits = explore_kernel_limits();
    if (limits != NULL || driver.report->not_possible ||
        loop->descriptors_used > FIRST_NUMBER + DESCRIPTORS) {
        fprintf(stderr, "explore: %s\n", limits != NULL ? limits : "the scope cannot be tracked");
        exit(2);
    }
    recover();
    list_main(&list);
    explore_head->options = (uint8_t)list.count;
    if (list.count == 0) /* DEPTH is reached */
        explore_head->inside = false;
    if (ORDERED && explore_kernel_fails() && !explore_head->inside) {
        /* The failure has met no call of that tick. The same program with the failure asked for
         * later is another path. */
        explore_head->options = 0;
        memset(explore_state, ABSENT, EXPLORE_STATE);
        return;
    }
    save();
    if (!explore_head->inside)
        abstract();
    if (HISTORY && search.observed != NULL)
        fprintf(search.observed, "%016llx\n", (unsigned long long)explore_head->history);
}

static int ends_badly(const struct command *command);

static size_t timers_in_heap(void) {
    size_t count = 0;
    for (unsigned i = 0; i < COMPLETIONS; i++)
        count += is_in_heap(etalon_completion(i));
    return count;
}

int explore_take(unsigned option) {
    struct explore_position *h = explore_head;
    struct list list;
    load();
    list_main(&list);
    if (h->pending)
        h->choice[h->choices++] = (uint8_t)option;
    else
        h->first = (uint8_t)option;
    const struct command *command = &list.command[h->first];
    struct explore_position before = *h;
    uint32_t script = driver.serial + 1;
    search.steps++;
    search.live = 0;
    search.broken = NULL;
    switch (sigsetjmp(search.out, 0)) {
    case 0: carry_out(command); break;
    case OUT_CHOOSE: {
        uint8_t options = h->options;
        *h = before;
        h->options = options;
        h->pending = 1;
        h->inside = true;
        return 0;
    }
    case OUT_MET: /* back to where it began, and Spin has been */
        *h = before;
        h->pending = h->choices = h->first = 0;
        h->inside = false;
        return 0;
    default: break;
    }
    if (search.trail)
        record(command, script);
    if (search.broken == NULL)
        search.broken = heap_check(loop->timers, timers_in_heap());
    if (search.broken != NULL || search.report.differs)
        return ends_badly(command);
    search.worlds_before = search.worlds;
    conclude(&list, h->first);
    settle();
    return 0;
}

void explore_begin(int trail) {
    static const struct program nothing;
    search.trail = trail != 0;
    lockstep_begin(&lockstep_reference, &nothing, &world_simulated,
                   HISTORY || search.trail ? observe : NULL, NULL, &search.report);
    lockstep_init();
    driver.choose = chooser;
    set_ranges();
    for (unsigned i = 0; i < sizeof explore_name; i++)
        explore_name[i] = explore_number[i] = (uint8_t)i;
    for (unsigned d = 0; d < DESCRIPTORS; d++) {
        struct command open = {.kind = COMMAND_OPEN, .d = (uint8_t)d, .value = WORLD_STREAM};
        if ((EXPLORE_WORLD & WORLD_DUPS) != 0 && d == DESCRIPTORS - 1)
            break;
        record(&open, 0);
        lockstep_command(&open);
    }
    if (HISTORY)
        search.observed = fopen("explore.observed", "w");
    lockstep_compare();
    set_signals();
    settle();
}

/* ---- the trail as a trace -------------------------------------------------------------------- */

struct bodies {
    struct command command[PROGRAM_BODIES][2];
    unsigned count;
};

/* The body of that script, made if there is none like it yet; 0: it never ran and needs none, or
 * there is no room. */
static unsigned body_of(struct bodies *bodies, uint32_t serial, unsigned nested) {
    const struct script *script = serial < RECORDED_MAX ? &search.script[serial] : NULL;
    struct command command[2] = {{.kind = 0}};
    if (script == NULL || nested > 8)
        return 0;
    if (script->has_command) {
        command[0] = script->command;
        if (command[0].body != 0)
            command[0].body = (uint8_t)body_of(bodies, script->of, nested + 1);
    }
    command[1] =
        (struct command){.kind = COMMAND_RETURN, .value = script->rearms ? ET_REARM : ET_DISARM};
    for (unsigned i = 1; i <= bodies->count; i++)
        if (memcmp(bodies->command[i], command, sizeof command) == 0)
            return i;
    if (bodies->count == PROGRAM_BODY_WORLD - 1)
        return 0;
    bodies->count++;
    memcpy(bodies->command[bodies->count], command, sizeof command);
    return bodies->count;
}

static void append(struct program *p, struct command command) {
    if (p->commands < PROGRAM_COMMANDS_MAX)
        p->command[p->commands++] = command;
}

static void fill_program(struct program *p) {
    struct bodies bodies = {.count = 0};
    for (unsigned i = 0; i < search.mains; i++)
        if (search.main[i].body != 0)
            search.main[i].body = (uint8_t)body_of(&bodies, search.main_script[i], 0);
    for (unsigned body = 0; body < PROGRAM_BODIES; body++) {
        p->first[body] = p->commands;
        if (body == 0)
            for (unsigned i = 0; i < search.mains; i++)
                append(p, search.main[i]);
        else if (body == PROGRAM_BODY_WORLD)
            for (unsigned i = 0; i < search.worlds; i++)
                append(p, search.world[i]);
        else if (body <= bodies.count)
            for (unsigned i =
                     bodies.command[body][0].kind == 0 && bodies.command[body][0].body == 0;
                 i < 2; i++)
                append(p, bodies.command[body][i]);
        p->count[body] = (uint16_t)(p->commands - p->first[body]);
    }
}

static int ends_badly(const struct command *command) {
    static struct trace trace;
    const char *clause = search.broken != NULL ? "" : search.report.clause,
               *what = search.broken != NULL ? search.broken : search.report.what;
    (void)command;
    if (!search.trail) {
        fprintf(stderr, "explore: %s%s%s\n", clause, *clause != '\0' ? ": " : "", what);
        return 1;
    }
    memset(&trace, 0, sizeof trace);
    snprintf(trace.title, sizeof trace.title, "%.23s%s%.120s", clause, *clause != '\0' ? ": " : "",
             what);
    trace.simulated_only = true;
    if (*clause != '\0')
        snprintf(trace.clause[trace.clauses++], sizeof trace.clause[0], "%s", clause);
    fill_program(&trace.program);
    FILE *out = fopen("explore.trace", "w");
    if (out == NULL) {
        perror("explore: explore.trace");
        exit(2);
    }
    trace_write(out, &trace);
    fclose(out);
    return 1;
}

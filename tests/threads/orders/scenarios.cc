/* SPDX-License-Identifier: MIT */
/* What `make orders` asks Relacy about: small programs of two and three threads on the real pool.c,
 * async.c and completion.c, and what the kernel does for them. Built and called by orders.py.
 *
 * usage: scenarios [--weaken 'FUNCTION OPERATION[ failing]=ORDER'] [--every-point] [--history]
 *                  SCENARIO
 *        scenarios --list
 *
 * Prints one line of JSON. Exit status: 0 all executions were tried, and none is bad; 1 one is bad;
 * 2 wrong arguments, or an order that the operation cannot have. A search is never cut short: it
 * ends when the tree of all choices is done, and an execution that is longer than Relacy's limit is
 * a bad one ("LIVELOCK"). */
#include "internal.h"

#include <iostream>
#include <sstream>

/* ---- sites ----------------------------------------------------------------------------------- */

const char *const order_names[] = {"plain", "relaxed", "acquire", "release", "acq_rel", "seq_cst"};
struct site *sites;
bool has_plain, every_point;
unsigned spurious;
static std::string weakened; /* FUNCTION OPERATION[ failing] */
static enum order weaker;

site::site(const char *function, const char *operation, enum order order, enum order failure)
    : function(function), operation(operation), orders{order, failure}, uses(0), next(sites) {
    /* Without a std::string: what is allocated in an execution, Relacy makes a choice of. */
    size_t length = strlen(function);
    const char *rest = weakened.c_str() + length + 1;
    if (weakened.size() > length && weakened.compare(0, length, function) == 0) {
        if (strcmp(rest, operation) == 0)
            orders[0] = weaker;
        else if (strncmp(rest, operation, strlen(operation)) == 0 &&
                 strcmp(rest + strlen(operation), " failing") == 0)
            orders[1] = weaker;
    }
    sites = this;
}

/* ---- memory ---------------------------------------------------------------------------------- */

struct descriptor_fields descriptor_fields;
struct allocation *allocations;

void machine_free(void *memory) {
    if (memory == nullptr)
        return;
    auto *freed = reinterpret_cast<struct allocation *>(static_cast<char *>(memory) -
                                                        offsetof(struct allocation, memory));
    RL_ASSERT(!freed->is_freed);
    freed->is_freed = true;
    freed->destroy(freed->memory, freed->count);
}

static bool give_back_memory() {
    bool all_freed = true;
    while (allocations != nullptr) {
        struct allocation *next = allocations->next;
        all_freed = all_freed && allocations->is_freed;
        (::free)(allocations);
        allocations = next;
    }
    return all_freed;
}

/* ---- the kernel ------------------------------------------------------------------------------ */

#define NUMBERS   4
#define USE       rl::debug_info("", "the descriptor", 0)
#define FILE_FD   100 /* a regular file, of FILE_BYTE */
#define FILE_BYTE 7

/* Numbers of eventfds. `use` is stored to by what makes or closes one, and loaded by what uses it:
 * a use must be ordered with both. */
static struct descriptor {
    bool is_open;
    unsigned long long count;
    union { /* made anew for each execution */
        rl::waitset<THREADS> waiting;
    };
    union {
        rl::var<int> use;
    };
    descriptor() {}
    ~descriptor() {}
} descriptors[NUMBERS];

int machine_errno;

int machine_eventfd() {
    rl::ctx().sched();
    for (int fd = 0; fd < NUMBERS; fd++)
        if (!descriptors[fd].is_open) {
            descriptors[fd].is_open = true;
            descriptors[fd].count = 0;
            descriptors[fd].use(USE).store(0);
            return fd;
        }
    RL_ASSERT(!"a descriptor is left");
    return -1;
}

static struct descriptor *used(int fd) {
    RL_ASSERT(fd >= 0 && fd < NUMBERS && descriptors[fd].is_open);
    (void)descriptors[fd].use(USE).load();
    return &descriptors[fd];
}

int machine_close(int fd) {
    if (fd == FILE_FD)
        return 0;
    rl::ctx().sched();
    RL_ASSERT(fd >= 0 && fd < NUMBERS && descriptors[fd].is_open);
    descriptors[fd].use(USE).store(0);
    descriptors[fd].is_open = false;
    return 0;
}

ssize_t machine_read(int fd, void *buffer, size_t bytes) {
    RL_ASSERT(fd == FILE_FD && bytes == 1);
    *static_cast<watched<char> *>(buffer) = FILE_BYTE;
    return 1;
}

ssize_t machine_write(const int &fd, const void *, size_t) {
    for (unsigned i = 0; i < descriptor_fields.count; i++)
        if (descriptor_fields.known[i].address == std::addressof(fd))
            (void)descriptor_fields.known[i].field->load();
    rl::ctx().sched();
    struct descriptor *d = used(fd);
    d->count++;
    d->waiting.unpark_all(rl::ctx(), RL_INFO);
    return 8;
}

/* Waits, if it must, until the eventfd is readable, and reads it. */
static void wait_for(int fd) {
    rl::ctx().sched();
    while (used(fd)->count == 0)
        used(fd)->waiting.park_current(rl::ctx(), false, false, false, RL_INFO);
    used(fd)->count = 0;
}

/* ---- what else the files call ---------------------------------------------------------------- */

int eti_number_process(uint32_t *process) {
    *process = 1;
    return 0;
}

bool eti_is_inherited(uint32_t process) {
    RL_ASSERT(process == 1);
    return false;
}

/* No scenario has a timer. */
struct et_completion *eti_heap_take_due(struct et_heap *, uint64_t) {
    return nullptr;
}

/* ---- a loop and its thread ------------------------------------------------------------------- */

#define WORKS 2

/* Everything that one execution has. */
struct world {
    struct et_pool pool {};
    struct et_loop *loop = nullptr;
    struct et_async *async = nullptr;
    struct et_completion *work[WORKS] = {};
    watched<char> *buffer[WORKS] = {};
    struct eti_worker *worker = nullptr;
    unsigned delivered = 0; /* by the loop's thread alone */
};
static struct world *world;

/* The loop is done with the completion: its memory, and the buffer, are the caller's, who frees. */
static enum et_action delivered(struct et_loop *loop, struct et_completion *c, int64_t result,
                                void *userdata) {
    auto i = static_cast<unsigned>(reinterpret_cast<uintptr_t>(userdata));
    RL_ASSERT(loop == world->loop && c == world->work[i] && result == 1);
    RL_ASSERT(*world->buffer[i] == FILE_BYTE);
    world->delivered++;
    machine_free(world->buffer[i]);
    machine_free(c);
    world->work[i] = nullptr;
    return ET_DISARM;
}

static void begin_loop() {
    struct et_loop *loop = world->loop = machine_calloc{1};
    loop->wakeup = eventfd(0, 0);
    loop->epoll = loop->outer = -1;
    struct et_heap *memory = machine_calloc{1}; /* the one allocation */
    loop->timers = memory;
    loop->descriptors = reinterpret_cast<struct et_descriptor *>(memory + 1);
    loop->process = 1;
    eti_raise_begins(&loop->wakers);
}

static void begin_pool(unsigned threads) {
    struct et_pool_options options = {threads, 0};
    RL_ASSERT(et_pool_init(&world->pool, &options) == 0);
    RL_ASSERT(eti_pool_attach(world->loop, &world->pool) == 0);
}

/* As an operation of the pool is described, added and started (operations.c: start_pooled). */
static void describe(unsigned i) {
    struct et_completion *c = world->work[i] = machine_calloc{1};
    world->buffer[i] = machine_calloc{1};
    c->operation = ET_READ;
    c->on_pool = true;
    c->fd = FILE_FD;
    c->read.buffer = static_cast<void *>(world->buffer[i]);
    c->read.length = 1;
    c->callback = delivered;
    c->userdata = reinterpret_cast<void *>(static_cast<uintptr_t>(i));
    RL_ASSERT(et_loop_add(world->loop, c) == 0);
    c->internal.fd = static_cast<int>(c->fd);
    eti_become_active(world->loop, c, PLACE_NOWHERE);
    eti_join_pooled(world->loop, c);
}

static void submit(unsigned i) {
    describe(i);
    RL_ASSERT(eti_pool_queue(world->loop, world->work[i]) == 0);
}

/* Rounds: the pool's phase, and a wait as long as something is active (kernel_phase.c). */
static void run() {
    struct et_loop *loop = world->loop;
    for (;;) {
        eti_deliver_handed_over(loop);
        if (loop->active == 0 && loop->lingering == 0)
            return;
        wait_for(loop->wakeup);
    }
}

static void free_work() {
    for (unsigned i = 0; i < WORKS; i++)
        if (world->work[i] != nullptr) {
            RL_ASSERT(world->work[i]->internal.state == ET_DEAD);
            machine_free(world->buffer[i]);
            machine_free(world->work[i]);
            world->work[i] = nullptr;
        }
}

/* What belongs to the caller after et_loop_deinit is freed at once: the loop, too, where no other
 * thread may still be in et_loop_wakeup. */
static void end_loop(bool frees) {
    RL_ASSERT(et_loop_deinit(world->loop) == 0);
    free_work();
    if (frees) {
        machine_free(world->loop);
        world->loop = nullptr;
    }
}

static void end_pool() {
    RL_ASSERT(et_pool_deinit(&world->pool) == 0);
}

/* Threads of the pool in the middle of their work: `threads` have taken one each. */
static void put_to_work(unsigned threads) {
    world->worker = machine_calloc{threads};
    world->pool.process = 1;
    for (unsigned i = 0; i < threads; i++) {
        struct eti_worker *worker = &world->worker[i];
        describe(i);
        worker->pool = &world->pool;
        worker->work = world->work[i];
        worker->loop = world->loop;
        worker->phase = ETI_EXECUTES;
        world->loop->executing++;
    }
}

static void work_until_idle(unsigned i) {
    do
        RL_ASSERT(eti_pool_step(&world->worker[i]));
    while (world->worker[i].phase != ETI_IDLE);
}

/* ---- the scenarios --------------------------------------------------------------------------- */

template <typename scenario, int static_threads, int dynamic_threads = 0>
struct program : rl::test_suite<scenario, static_threads> {
    static rl::thread_id_t const dynamic_thread_count = dynamic_threads;
    struct world here;

    void before() {
        give_back_memory();
        descriptor_fields.count = 0;
        machine_errno = 0;
        spurious = scenario::spurious_wakeups;
        world = &here;
        for (struct descriptor &each : descriptors) {
            each.is_open = false;
            new (&each.waiting) rl::waitset<THREADS>;
            new (&each.use) rl::var<int>(0);
        }
        static_cast<scenario *>(this)->set_up();
    }
    void after() {
        static_cast<scenario *>(this)->tear_down();
        for (struct descriptor &each : descriptors) {
            RL_ASSERT(!each.is_open);
            each.use.~var();
        }
        RL_ASSERT(give_back_memory());
    }

    static constexpr unsigned spurious_wakeups = 0;
    void tear_down() {}
};

/* Threads that have taken work execute it, hand it over, wake the loop and leave; the loop delivers
 * what it gets, waits for the rest, and ends. */
template <typename self, int threads> struct hand_over : program<self, threads + 1> {
    void set_up() {
        begin_loop();
        begin_pool(threads);
        put_to_work(threads);
    }
    void thread(unsigned i) {
        if (i > 0) {
            work_until_idle(i - 1);
            return;
        }
        run();
        RL_ASSERT(world->delivered == threads);
        end_loop(true);
    }
    void tear_down() {
        machine_free(world->worker);
        end_pool();
    }
};
struct hand_over_one : hand_over<hand_over_one, 1> {};

/* The same, and the loop ends at once. */
template <typename self, int threads> struct end_at_once : hand_over<self, threads> {
    void thread(unsigned i) {
        if (i > 0) {
            work_until_idle(i - 1);
            return;
        }
        end_loop(true);
    }
};
struct end_at_once_one : end_at_once<end_at_once_one, 1> {};
struct end_at_once_two : end_at_once<end_at_once_two, 2> {};

/* All of a pool's life with one thread: made when there is work, fed, ended. */
template <typename self, int works> struct life : program<self, 1, 1> {
    static constexpr unsigned spurious_wakeups = 1;
    void set_up() {}
    void thread(unsigned) {
        begin_loop();
        begin_pool(1);
        for (unsigned i = 0; i < works; i++)
            submit(i);
        static_cast<self *>(this)->rest();
        end_loop(true);
        end_pool();
    }
};
struct life_run : life<life_run, 1> {
    void rest() {
        run();
        RL_ASSERT(world->delivered == 1);
    }
};
struct life_end_at_once : life<life_end_at_once, 1> {
    void rest() {}
};
struct life_delete : life<life_delete, 1> {
    void rest() {
        RL_ASSERT(et_loop_delete(world->loop, world->work[0]) == 0);
        run();
        RL_ASSERT(world->delivered == 0);
    }
};

/* Two threads hand over, and the loop looks twice. The rest is done by one thread afterwards. */
struct push_two : program<push_two, 3> {
    void set_up() {
        begin_loop();
        begin_pool(2);
        put_to_work(2);
    }
    void thread(unsigned i) {
        if (i == 0) {
            eti_deliver_handed_over(world->loop);
            eti_deliver_handed_over(world->loop);
        } else {
            while (world->worker[i - 1].phase != ETI_WAKES)
                RL_ASSERT(eti_pool_step(&world->worker[i - 1]));
        }
    }
    void tear_down() {
        RL_ASSERT(world->worker[0].wakes || world->worker[1].wakes);
        work_until_idle(0);
        work_until_idle(1);
        eti_deliver_handed_over(world->loop);
        RL_ASSERT(world->delivered == 2);
        end_loop(true);
        machine_free(world->worker);
        end_pool();
    }
};

/* Two threads look for work, of which there is one, and it is deleted. They end when there is none:
 * the pool is told to end before. */
struct take_two : program<take_two, 3> {
    void set_up() {
        begin_loop();
        begin_pool(2);
        world->pool.threads = 2;
        world->pool.idle = 2;
        submit(0);
        world->pool.ending = true;
        world->worker = machine_calloc{2};
        world->worker[0].pool = world->worker[1].pool = &world->pool;
    }
    void thread(unsigned i) {
        if (i == 0) {
            RL_ASSERT(et_loop_delete(world->loop, world->work[0]) == 0);
            end_loop(true);
        } else {
            while (eti_pool_step(&world->worker[i - 1]))
                continue;
        }
    }
    void tear_down() {
        world->pool.threads = 0;
        machine_free(world->worker);
        end_pool();
    }
};

/* Other threads wake a loop, which ends. Another descriptor gets the number then. */
template <typename self, int wakers> struct wake : program<self, wakers + 1> {
    void set_up() {
        begin_loop();
    }
    void thread(unsigned i) {
        if (i > 0) {
            et_loop_wakeup(world->loop);
            return;
        }
        end_loop(false);
        int other = eventfd(0, 0);
        RL_ASSERT(other == 0 && descriptors[other].count == 0);
        close(other);
    }
    void tear_down() {
        machine_free(world->loop);
    }
};
struct wake_one : wake<wake_one, 1> {};
struct wake_two : wake<wake_two, 2> {};

/* The loop waits to be woken, and ends. */
struct wake_waited : program<wake_waited, 2> {
    void set_up() {
        begin_loop();
    }
    void thread(unsigned i) {
        if (i > 0) {
            et_loop_wakeup(world->loop);
            return;
        }
        wait_for(world->loop->wakeup);
        end_loop(false);
    }
    void tear_down() {
        machine_free(world->loop);
    }
};

/* Other threads notify an async, which its owner deinitialises. */
template <typename self, int notifiers> struct notify : program<self, notifiers + 1> {
    int result[notifiers + 1];
    void set_up() {
        world->async = machine_calloc{1};
        RL_ASSERT(et_async_init(world->async) == 0);
    }
    void thread(unsigned i) {
        if (i > 0) {
            result[i] = et_async_notify(world->async);
            RL_ASSERT(result[i] == 0 || result[i] == -EINVAL);
            return;
        }
        RL_ASSERT(et_async_deinit(world->async) == 0);
        int other = eventfd(0, 0);
        RL_ASSERT(other == 0 && descriptors[other].count == 0);
        close(other);
    }
    void tear_down() {
        RL_ASSERT(et_async_notify(world->async) == -EINVAL);
        machine_free(world->async);
    }
};
struct notify_one : notify<notify_one, 1> {};
struct notify_two : notify<notify_two, 2> {};

/* The async is made by one thread, which tells another one by the weakest means that C11 has for
 * that: a release that is acquired. */
struct notify_made : program<notify_made, 2> {
    rl::atomic<int> is_made;
    void set_up() {
        is_made(RL_INFO).store(0, rl::mo_relaxed);
        world->async = machine_calloc{1};
    }
    void thread(unsigned i) {
        if (i == 0) {
            RL_ASSERT(et_async_init(world->async) == 0);
            is_made(RL_INFO).store(1, rl::mo_release);
            RL_ASSERT(et_async_deinit(world->async) == 0);
        } else if (is_made(RL_INFO).load(rl::mo_acquire) == 1) {
            (void)et_async_notify(world->async);
        }
    }
    void tear_down() {
        machine_free(world->async);
    }
};

/* The same by a relaxed flag. That is the caller's fault, and a race whatever the async does. */
struct notify_unordered : program<notify_unordered, 2> {
    rl::atomic<int> is_made;
    void set_up() {
        is_made(RL_INFO).store(0, rl::mo_relaxed);
        world->async = machine_calloc{1};
    }
    void thread(unsigned i) {
        if (i == 0) {
            RL_ASSERT(et_async_init(world->async) == 0);
            is_made(RL_INFO).store(1, rl::mo_relaxed);
        } else if (is_made(RL_INFO).load(rl::mo_relaxed) == 1) {
            (void)et_async_notify(world->async);
        }
    }
    void tear_down() {
        RL_ASSERT(et_async_deinit(world->async) == 0);
        machine_free(world->async);
    }
};

/* ---- the search ------------------------------------------------------------------------------ */

struct verdict {
    rl::test_result_e result;
    rl::iteration_t executions;
    std::string history; /* of the bad one */
};

/* As rl::simulate, which would compile each scenario for two more schedulers. A bad execution is
 * repeated, for its history. */
template <typename scenario> static verdict search() {
    using scheduler = rl::full_search_scheduler<scenario::params::thread_count>;
    rl::test_params params;
    rl::ostringstream output, progress, state, unused; /* others would allocate from Relacy */
    params.search_type = rl::sched_full;
    params.output_stream = &output;
    params.progress_stream = &progress;
    params.execution_depth_limit = 2000;
    rl::test_result_e result = rl::run_test<scenario, scheduler>(params, state, false);
    rl::iteration_t executions = params.stop_iteration;
    if (result != rl::test_result_success) {
        params.initial_state = state.str();
        params.collect_history = true;
        if (rl::run_test<scenario, scheduler>(params, unused, true) != result)
            abort();
    }
    return {result, executions, output.str().c_str()};
}

static const struct {
    const char *name;
    verdict (*search)();
} scenarios[] = {
#define SCENARIO(name) {#name, search<name>},
    SCENARIO(hand_over_one) SCENARIO(end_at_once_one) SCENARIO(end_at_once_two) SCENARIO(life_run)
        SCENARIO(life_end_at_once) SCENARIO(life_delete) SCENARIO(push_two) SCENARIO(take_two)
            SCENARIO(wake_one) SCENARIO(wake_two) SCENARIO(wake_waited) SCENARIO(notify_one)
                SCENARIO(notify_two) SCENARIO(notify_made) SCENARIO(notify_unordered)
#undef SCENARIO
};

static int usage(const char *what) {
    std::cerr << "scenarios: " << what << "\n";
    return 2;
}

/* 'FUNCTION OPERATION[ failing]=ORDER' */
static bool read_weakening(const std::string &text) {
    size_t at = text.rfind('=');
    for (int i = PLAIN; at != std::string::npos && i <= SEQ_CST; i++)
        if (text.substr(at + 1) == order_names[i]) {
            weakened = text.substr(0, at);
            weaker = static_cast<enum order>(i);
            has_plain = weaker == PLAIN;
            return true;
        }
    return false;
}

/* Where the bad execution ended: a field, or else a function. */
static std::string place(const verdict &found) {
    size_t at = found.history.find(std::string(": ") + rl::test_result_str(found.result) + " (");
    size_t end = found.history.find('\n', at);
    at = at == std::string::npos ? at : found.history.rfind(", in ", end);
    if (at == std::string::npos)
        return "";
    std::string text = found.history.substr(at + 5, end - at - 5); /* FUNCTION, FILE(LINE) */
    size_t comma = text.find(", ");
    return comma > 0 ? text.substr(0, comma) : text.substr(2, text.find('(') - 2);
}

static void print(const char *name, const verdict &found) {
    std::cout << "{\"scenario\": \"" << name << "\", \"result\": \""
              << rl::test_result_str(found.result) << "\", \"place\": \"" << place(found)
              << "\", \"executions\": " << found.executions << ", \"sites\": {";
    const char *comma = "";
    for (struct site *each = sites; each != nullptr; each = each->next, comma = ", ")
        std::cout << comma << "\"" << each->function << " " << each->operation
                  << "\": " << each->uses;
    std::cout << "}}" << std::endl;
}

int main(int count, char **arguments) {
    const char *name = nullptr;
    bool shows_history = false;
    for (int i = 1; i < count; i++) {
        std::string argument = arguments[i];
        if (argument == "--list") {
            for (const auto &each : scenarios)
                std::cout << each.name << "\n";
            return 0;
        } else if (argument == "--every-point") {
            every_point = true;
        } else if (argument == "--history") {
            shows_history = true;
        } else if (argument == "--weaken" && i + 1 < count) {
            if (!read_weakening(arguments[++i]))
                return usage("--weaken 'FUNCTION OPERATION[ failing]=ORDER'");
        } else if (argument[0] != '-' && name == nullptr) {
            name = arguments[i];
        } else {
            return usage("usage: [--weaken …] [--every-point] [--history] SCENARIO | --list");
        }
    }
    for (const auto &each : scenarios)
        if (name != nullptr && each.name == std::string(name)) {
            verdict found = each.search();
            if (shows_history)
                std::cerr << found.history;
            print(name, found);
            return found.result == rl::test_result_success ? 0 : 1;
        }
    return usage("no scenario has such a name (--list)");
}

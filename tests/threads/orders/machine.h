/* SPDX-License-Identifier: MIT */
/* What pool.c, async.c and completion.c find instead of C11's atomics, pthreads and Linux when
 * `make orders` compiles them as C++: Relacy's, which tries every interleaving, and every older
 * value that a load may still see. Put before everything else by -include.
 *
 * Each atomic operation is a site, named by its function and what it does ("hand_over exchange").
 * The order that the source asks for can be replaced at one site (--weaken), down to PLAIN: an
 * ordinary access, which must not meet an atomic one.
 *
 * Kernel: a system call orders nothing. Linux orders more, but POSIX does not promise it, and a
 * hand-over that needed it would be found by nobody else. */
#ifndef MACHINE_H
#define MACHINE_H

#define RL_DO_ASSERT 1 /* Relacy checks itself: that a search is the same when it is repeated */
#include <relacy/relacy.hpp>
#include <relacy/pthread.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#undef assert
#undef errno

#define THREADS 4

/* ---- fields that Relacy watches -------------------------------------------------------------- */

/* The value stands apart from what Relacy knows of it, so that its address can be taken: of a
 * pointer by eti_append and eti_unlink, which is taken for a change of it; of a descriptor by
 * eti_raise, which looks at it later (read_descriptor). */
template <typename type> class watched {
  public:
    explicit watched(const char *name = "") : name(name), value() {
        begin();
    }
    watched(type value) : name(""), value(value) {
        begin();
    }
    watched(const watched &other) : name(other.name), value(other.load()) {
        begin();
    }
    ~watched();

    watched &operator=(const watched &other) {
        return store(other.load());
    }
    watched &operator=(type new_value) {
        return store(new_value);
    }
    operator type() const {
        return load();
    }
    template <typename other, typename = std::enable_if_t<std::is_enum_v<other>>>
    explicit operator other() const {
        return static_cast<other>(load());
    }
    type operator->() const {
        return load();
    }
    type operator++() {
        store(static_cast<type>(load() + 1));
        return value;
    }
    type operator++(int) {
        type before = load();
        store(static_cast<type>(before + 1));
        return before;
    }
    type operator--(int) {
        type before = load();
        store(static_cast<type>(before - 1));
        return before;
    }
    auto operator&() {
        if constexpr (std::is_same_v<type, int>) {
            return static_cast<const int *>(&value);
        } else {
            store(load());
            return &value;
        }
    }

    type load() const {
        (void)access(here()).load();
        return value;
    }

  private:
    const char *name;
    type value;
    mutable rl::var<uint64_t> history;

    rl::debug_info here() const {
        return rl::debug_info("", name, 0);
    }
    rl::var_proxy<uint64_t> access(const rl::debug_info &info) const {
        return history(info);
    }
    uint64_t shown() const {
        if constexpr (std::is_pointer_v<type>)
            return reinterpret_cast<uintptr_t>(value);
        else
            return static_cast<uint64_t>(value);
    }
    watched &store(type new_value) {
        value = new_value;
        access(here()).store(shown());
        return *this;
    }
    void begin();
};

/* The descriptors that are fields, so that eti_raise's look at one by its address is seen. */
struct descriptor_fields {
    struct {
        const int *address;
        const watched<int> *field;
    } known[64];
    unsigned count;
};
extern struct descriptor_fields descriptor_fields;

template <typename type> void watched<type>::begin() {
    access(here()).store(shown());
    if constexpr (std::is_same_v<type, int>)
        if (name[0] != '\0' && descriptor_fields.count < 64)
            descriptor_fields.known[descriptor_fields.count++] = {&value, this};
}

template <typename type> watched<type>::~watched() {
    if constexpr (std::is_same_v<type, int>)
        for (unsigned i = 0; i < descriptor_fields.count; i++)
            if (descriptor_fields.known[i].field == this) {
                descriptor_fields.known[i] = descriptor_fields.known[--descriptor_fields.count];
                break;
            }
}

template <typename type> void clear(watched<type> &field) {
    field = type();
}

inline void clear(rl::rl_pthread_mutex_t &) {}
inline void clear(rl::rl_pthread_cond_t &) {}
inline void clear(int &) { /* the attributes of threads */
}

/* ---- atomic operations ----------------------------------------------------------------------- */

enum order { PLAIN, RELAXED, ACQUIRE, RELEASE, ACQ_REL, SEQ_CST };
extern const char *const order_names[];

/* One operation of the source. orders[1] is that of a compare-exchange that fails. */
struct site {
    const char *function, *operation;
    enum order orders[2];
    unsigned long long uses;
    struct site *next;
    site(const char *function, const char *operation, enum order order, enum order failure);
};
extern struct site *sites;
extern bool has_plain; /* one site is PLAIN */

inline rl::memory_order relacys(enum order order) {
    switch (order) {
    case PLAIN:
    case RELAXED: return rl::mo_relaxed;
    case ACQUIRE: return rl::mo_acquire;
    case RELEASE: return rl::mo_release;
    case ACQ_REL: return rl::mo_acq_rel;
    case SEQ_CST: return rl::mo_seq_cst;
    }
    abort();
}

struct without_switch {
    without_switch() {
        rl::ctx().disable_preemption();
    }
    ~without_switch() {
        rl::ctx().enable_preemption();
    }
};

/* An atomic object, and what else meets it: a memset, which must be ordered with every atomic
 * operation (`changed`: by these a load, by the memset a store), and an operation of a site that is
 * PLAIN, which must be ordered with those that store (`looked`, one for each thread: its own). */
template <typename type> class watched_atomic {
  public:
    watched_atomic() {
        without_switch quiet;
        value(RL_INFO).store(type(), rl::mo_relaxed);
        changed(RL_INFO).store(0);
        for (auto &each : looked)
            each(RL_INFO).store(0);
    }
    watched_atomic(const watched_atomic &) : watched_atomic() {}

    type load(struct site &site, rl::debug_info_param info) {
        begin(site, true, site.orders[0], info);
        return value(info).load(relacys(site.orders[0]));
    }
    void store(struct site &site, type with, rl::debug_info_param info) {
        begin(site, false, site.orders[0], info);
        value(info).store(with, relacys(site.orders[0]));
    }
    template <typename operation>
    type change(struct site &site, operation what, rl::debug_info_param info) {
        begin(site, false, site.orders[0], info);
        return what(value(info), relacys(site.orders[0]));
    }
    bool exchange_weak(struct site &site, type *expected, type with, rl::debug_info_param info) {
        begin(site, false, site.orders[0], info);
        return value(info).compare_exchange_weak(*expected, with, relacys(site.orders[0]),
                                                 relacys(site.orders[1]));
    }
    void clear(rl::debug_info_param info) {
        without_switch quiet;
        changed(info).store(0);
        value(info).store(type(), rl::mo_relaxed);
    }

  private:
    rl::atomic<type> value;
    rl::var<int> changed, looked[THREADS];

    void begin(struct site &site, bool only_looks, enum order order, rl::debug_info_param info) {
        site.uses++;
        if (order == PLAIN && !only_looks)
            changed(info).store(0);
        else
            (void)changed(info).load();
        if (order == PLAIN)
            looked[rl::thread_index()](info).store(0);
        else if (has_plain && !only_looks)
            for (auto &each : looked)
                (void)each(info).load();
    }
};

template <typename type> void clear(watched_atomic<type> &object) {
    object.clear(RL_INFO);
}

#define memory_order_relaxed RELAXED
#define memory_order_acquire ACQUIRE
#define memory_order_release RELEASE
#define memory_order_acq_rel ACQ_REL
#define memory_order_seq_cst SEQ_CST
#define _Atomic(type) watched_atomic<type>

#define SITE(operation, order, failure)                                                            \
    ([](const char *function) -> struct site & {                                                   \
        static struct site here(function, operation, order, failure);                              \
        return here;                                                                               \
    }(__func__))
#define CHANGE(object, operation, call, order)                                                     \
    ((object)->change(                                                                             \
        SITE(operation, order, PLAIN),                                                             \
        [&](auto &&proxy, rl::memory_order relacys_order) { return call; }, RL_INFO))

#define atomic_load_explicit(object, order) ((object)->load(SITE("load", order, PLAIN), RL_INFO))
#define atomic_store_explicit(object, value, order)                                                \
    ((object)->store(SITE("store", order, PLAIN), value, RL_INFO))
#define atomic_exchange_explicit(object, value, order)                                             \
    CHANGE(object, "exchange", proxy.exchange(value, relacys_order), order)
#define atomic_fetch_add_explicit(object, value, order)                                            \
    CHANGE(object, "fetch_add", proxy.fetch_add(value, relacys_order), order)
#define atomic_fetch_sub_explicit(object, value, order)                                            \
    CHANGE(object, "fetch_sub", proxy.fetch_sub(value, relacys_order), order)
#define atomic_fetch_or_explicit(object, value, order)                                             \
    CHANGE(object, "fetch_or", proxy.fetch_or(value, relacys_order), order)
#define atomic_fetch_and_explicit(object, value, order)                                            \
    CHANGE(object, "fetch_and", proxy.fetch_and(value, relacys_order), order)
#define atomic_compare_exchange_weak_explicit(object, expected, value, order, failure)             \
    ((object)->exchange_weak(SITE("compare_exchange_weak", order, failure), expected, value,       \
                             RL_INFO))

/* ---- threads --------------------------------------------------------------------------------- */

/* Where a thread may be interrupted: before each atomic operation, each lock and each system call,
 * and where it waits. Not before an unlock or a signal: what others could do there they can do
 * before the lock's last access or after the unlock, with the same result, since what the mutex
 * protects is watched for races. `every_point` gives that up. */
extern bool every_point;
extern unsigned spurious; /* wake-ups of a condition that nobody has signalled, in one execution */

struct quiet {
    explicit quiet(bool is_quiet = !every_point) : is_quiet(is_quiet) {
        if (is_quiet)
            rl::ctx().disable_preemption();
    }
    ~quiet() {
        if (is_quiet)
            rl::ctx().enable_preemption();
    }
    bool is_quiet;
};

struct waits_quietly {
    rl::rl_pthread_mutex_t &mutex;
    void lock(rl::debug_info_param info) {
        mutex.lock_exclusive(info);
    }
    void unlock(rl::debug_info_param info) {
        quiet here;
        mutex.unlock_exclusive(info);
    }
};

inline int machine_unlock(rl::rl_pthread_mutex_t *mutex, rl::debug_info_param info) {
    quiet here;
    return rl::rl_pthread_mutex_unlock(mutex, info);
}
inline int machine_wait(rl::rl_pthread_cond_t *condition, rl::rl_pthread_mutex_t *mutex,
                        rl::debug_info_param info) {
    waits_quietly lock{*mutex};
    if (spurious > 0 && rl::rand(2) == 1) {
        spurious--;
        lock.unlock(info);
        lock.lock(info);
    } else {
        condition->wait(lock, false, info);
    }
    return 0;
}
inline int machine_signal(rl::rl_pthread_cond_t *condition, bool all, rl::debug_info_param info) {
    quiet here;
    all ? condition->notify_all(info) : condition->notify_one(info);
    return 0;
}
inline int machine_join(rl::rl_pthread_t thread, rl::debug_info_param info) {
    void *result;
    rl::ctx().sched();
    return rl::rl_pthread_join(thread, &result, info);
}

/* No thread is cancelled here. */
inline int machine_cancelling(int *before) {
    if (before != nullptr)
        *before = 0;
    return 0;
}

#define pthread_t                       rl::rl_pthread_t
#define pthread_mutex_t                 rl::rl_pthread_mutex_t
#define pthread_cond_t                  rl::rl_pthread_cond_t
#define pthread_attr_t                  int
#define pthread_attr_init(a)            (*(a) = 0)
#define pthread_attr_destroy(a)         ((void)(a), 0)
#define pthread_attr_setstacksize(a, b) ((void)(a), (void)(b), 0)
#define pthread_mutex_init(a, b)        rl::rl_pthread_mutex_init(a, 0, RL_INFO)
#define pthread_mutex_destroy(a)        rl::rl_pthread_mutex_destroy(a, RL_INFO)
#define pthread_mutex_lock(a)           rl::rl_pthread_mutex_lock(a, RL_INFO)
#define pthread_mutex_unlock(a)         machine_unlock(a, RL_INFO)
#define pthread_cond_init(a, b)         rl::rl_pthread_cond_init(a, 0, RL_INFO)
#define pthread_cond_destroy(a)         rl::rl_pthread_cond_destroy(a, RL_INFO)
#define pthread_cond_wait(a, b)         machine_wait(a, b, RL_INFO)
#define pthread_cond_signal(a)          machine_signal(a, false, RL_INFO)
#define pthread_cond_broadcast(a)       machine_signal(a, true, RL_INFO)
#define pthread_create(a, b, c, d)      rl::rl_pthread_create(a, 0, c, d, RL_INFO)
#define pthread_join(a, b)              machine_join(a, RL_INFO)
#define pthread_sigmask(a, b, c)        ((void)(b), (void)(c), 0)
#define pthread_setcancelstate(a, b)    machine_cancelling(b)
#define sched_yield()                   rl::rl_sched_yield(RL_INFO)

#define assert(condition)                                                                          \
    ((condition) ? (void)0                                                                         \
                 : rl::ctx().fail_test("assertion: " #condition,                                   \
                                       rl::test_result_user_assert_failed, RL_INFO))

/* ---- memory ---------------------------------------------------------------------------------- */

/* What is freed is destroyed, so that Relacy sees what comes too late. It goes back to the C
 * library when the execution is over (scenarios.cc). */
struct allocation {
    struct allocation *next;
    size_t count;
    void (*destroy)(void *, size_t);
    bool is_freed;
    alignas(16) char memory[];
};
extern struct allocation *allocations;

struct machine_calloc {
    size_t count;
    template <typename type> operator type *() const {
        auto *made = static_cast<struct allocation *>(
            (::malloc)(sizeof(struct allocation) + count * sizeof(type)));
        type *objects = reinterpret_cast<type *>(made->memory);
        for (size_t i = 0; i < count; i++)
            new (static_cast<void *>(objects + i)) type();
        made->next = allocations;
        made->count = count;
        made->is_freed = false;
        made->destroy = [](void *all, size_t number) {
            for (size_t i = 0; i < number; i++)
                static_cast<type *>(all)[i].~type();
        };
        allocations = made;
        return objects;
    }
};
void machine_free(void *memory);

#define calloc(count, bytes)        (machine_calloc{count})
#define free(memory)                machine_free(memory)
#define memset(object, byte, bytes) clear(*(object), bytes)

/* ---- Linux ----------------------------------------------------------------------------------- */

extern int machine_errno;
int machine_eventfd();
int machine_close(int fd);
ssize_t machine_read(int fd, void *buffer, size_t bytes);
ssize_t machine_write(const int &fd, const void *buffer, size_t bytes);

#define errno                 machine_errno
#define eventfd(value, flags) machine_eventfd()
#define close(fd)             machine_close(fd)
#define read(fd, buffer, n)   machine_read(fd, buffer, n)
#define write(fd, buffer, n)  machine_write(fd, buffer, n)
#define pread(fd, b, n, at)   machine_read(fd, b, n)
#define pwrite(fd, b, n, at)  machine_write(fd, b, n)

#define _Static_assert static_assert

#endif

/* SPDX-License-Identifier: MIT */
/* What init and pool_init make of what the system says of itself, and of parts of a pool that the C
 * library cannot make: it is asked through functions of this file, which say what a test wants. */
#include "fixture.h"

#define LIMIT_MAX (1 << 20)
#define PARTS_MAX 8

static struct et_pool pool;

/* ---- what the system says of itself ---------------------------------------------------------- */

static bool lies;
static int limit_error;
static rlim_t limit;
static long processors;

#if defined(__GLIBC__) && !defined(__LP64__) /* the name for files of any size */
int __real_getrlimit(int resource, struct rlimit *is) __asm__("__real_getrlimit64");
int __wrap_getrlimit(int resource, struct rlimit *is) __asm__("__wrap_getrlimit64");
#endif
int __real_getrlimit(int resource, struct rlimit *is);
int __wrap_getrlimit(int resource, struct rlimit *is);
long __real_sysconf(int name);
long __wrap_sysconf(int name);

/* MemorySanitizer asks these before it can look at anything, and so does not see what they write.
 */
extern void __msan_unpoison(const volatile void *, size_t) __attribute__((weak));
#if defined(__clang__) && __clang_major__ >= 14
#define UNSEEN __attribute__((disable_sanitizer_instrumentation))
#else
#define UNSEEN
#endif

UNSEEN int __wrap_getrlimit(int resource, struct rlimit *is) {
    if (!lies)
        return __real_getrlimit(resource, is);
    assert_int_equal(resource, RLIMIT_NOFILE);
    is->rlim_cur = is->rlim_max = limit;
    if (__msan_unpoison != NULL)
        __msan_unpoison(is, sizeof *is);
    errno = limit_error;
    return limit_error != 0 ? -1 : 0;
}

UNSEEN long __wrap_sysconf(int name) {
    return lies && name == _SC_NPROCESSORS_ONLN ? processors : __real_sysconf(name);
}

static void expect_limit(int expected) {
    assert_int_equal(et_loop_deinit(&loop), 0);
    lies = true;
    assert_int_equal(et_loop_init(&loop, NULL), 0);
    lies = false;
    assert_int_equal(loop.descriptors_max, expected);
    submit_poll(&c[0], expected, POLLIN);
    run(ET_RUN_UNTIL_DONE);
    EXPECT({&c[0], -EMFILE});
    submit_poll(&c[0], expected - 1, POLLIN);
    run(ET_RUN_NO_WAIT); /* the number is nobody's, or somebody's that a poll may wait for */
    for (unsigned i = 0; i < events_count; i++)
        assert_int_not_equal(events[i].result, -EMFILE);
    events_count = 0;
}

static void ET_INIT_4_the_limit_of_the_process(void **state) {
    (void)state;
    limit = 5;
    expect_limit(5);
    limit = LIMIT_MAX;
    expect_limit(LIMIT_MAX);
    limit = LIMIT_MAX + 1;
    expect_limit(LIMIT_MAX);
    limit = RLIM_INFINITY;
    expect_limit(LIMIT_MAX);
}

/* No room for a descriptor, or nobody says for how many: the loop must be one that can be used. */
static void ET_INIT_4_a_limit_that_says_nothing(void **state) {
    (void)state;
    limit = 0;
    expect_limit(1);
    limit = 7;
    limit_error = EPERM;
    expect_limit(LIMIT_MAX);
    limit_error = 0;
}

static void expect_threads(long told, unsigned expected) {
    lies = true;
    processors = told;
    assert_int_equal(et_pool_init(&pool, NULL), 0);
    lies = false;
    assert_int_equal(pool.threads_max, expected);
    assert_int_equal(et_pool_deinit(&pool), 0);
}

static void ET_POOL_15_as_many_threads_as_processors(void **state) {
    (void)state;
    expect_threads(1, 1);
    expect_threads(3, 3);
    expect_threads(1024, 1024);
    expect_threads(5000, 1024); /* no pool has more: ET-INIT-3 */
    expect_threads(0, 1);
    expect_threads(-1, 1); /* it is not known */
}

/* ---- the parts of a pool --------------------------------------------------------------------- */

static bool counts;
static unsigned attempts, fails_at; /* the attempts to make a part, from 1 */
static const void *parts[PARTS_MAX];

static unsigned parts_made(void) {
    unsigned count = 0;
    for (unsigned i = 0; i < PARTS_MAX; i++)
        count += parts[i] != NULL;
    return count;
}

static void replace(const void *old, const void *new) {
    for (unsigned i = 0; counts && i < PARTS_MAX; i++)
        if (parts[i] == old) {
            parts[i] = new;
            return;
        }
    assert_false(counts); /* made one too many, or ended one that is not there */
}

static bool fails(void) {
    return counts && ++attempts == fails_at;
}

#define PART(type, name, parameters, arguments)                                                    \
    int __real_pthread_##name##_init parameters;                                                   \
    int __wrap_pthread_##name##_init parameters;                                                   \
    int __real_pthread_##name##_destroy(type *part);                                               \
    int __wrap_pthread_##name##_destroy(type *part);                                               \
    int __wrap_pthread_##name##_init parameters {                                                  \
        if (fails())                                                                               \
            return ENOMEM;                                                                         \
        replace(NULL, part);                                                                       \
        return __real_pthread_##name##_init arguments;                                             \
    }                                                                                              \
    int __wrap_pthread_##name##_destroy(type *part) {                                              \
        replace(part, NULL);                                                                       \
        return __real_pthread_##name##_destroy(part);                                              \
    }

PART(pthread_attr_t, attr, (pthread_attr_t * part), (part))
PART(pthread_mutex_t, mutex, (pthread_mutex_t * part, const pthread_mutexattr_t *how), (part, how))
PART(pthread_cond_t, cond, (pthread_cond_t * part, const pthread_condattr_t *how), (part, how))

static void expect_no_pool(int error, size_t stack_bytes) {
    struct et_loop other;
    attempts = 0;
    counts = true;
    assert_int_equal(et_pool_init(&pool, &(struct et_pool_options){1, stack_bytes}), error);
    counts = false;
    assert_int_equal(parts_made(), 0);
    assert_int_equal(et_pool_deinit(&pool), -EINVAL);
    assert_int_equal(et_loop_init(&other, &(struct et_options){.pool = &pool}), -EINVAL);
}

static void ET_INIT_3_a_part_of_a_pool_cannot_be_made(void **state) {
    (void)state;
    for (fails_at = 1; fails_at <= 4; fails_at++)
        expect_no_pool(-ENOMEM, 0);
    fails_at = 0;
    expect_no_pool(-EINVAL, 1); /* a stack on which no thread can run */
}

static void ET_POOL_14_the_parts_of_a_pool_are_released(void **state) {
    (void)state;
    counts = true;
    fails_at = 0;
    assert_int_equal(et_pool_init(&pool, NULL), 0);
    assert_int_equal(parts_made(), 4);
    assert_int_equal(et_pool_deinit(&pool), 0);
    counts = false;
    assert_int_equal(parts_made(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(ET_INIT_4_the_limit_of_the_process),
        TEST(ET_INIT_4_a_limit_that_says_nothing),
        TEST(ET_POOL_15_as_many_threads_as_processors),
        TEST(ET_INIT_3_a_part_of_a_pool_cannot_be_made),
        TEST(ET_POOL_14_the_parts_of_a_pool_are_released),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

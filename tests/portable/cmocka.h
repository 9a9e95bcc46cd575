/* SPDX-License-Identifier: MIT */
/* The part of cmocka that the unit tests use, for targets for which Debian has no libcmocka: same
 * names, same lines of output. It stands before the real one by -I, in the variants for other
 * machines and C libraries. A failed assertion ends its test and not the program. */
#ifndef PORTABLE_CMOCKA_H
#define PORTABLE_CMOCKA_H

#include <fnmatch.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*test_func)(void **state);
    int (*setup_func)(void **state), (*teardown_func)(void **state);
    void *initial_state;
};

static struct {
    jmp_buf out;
    const char *filter;
    bool skipped;
} portable_cmocka;

#define cmocka_unit_test(test)                                                                     \
    { #test, test, NULL, NULL, NULL }
#define cmocka_unit_test_setup(test, set_up)                                                       \
    { #test, test, set_up, NULL, NULL }
#define cmocka_unit_test_setup_teardown(test, set_up, tear_down)                                   \
    { #test, test, set_up, tear_down, NULL }
#define cmocka_run_group_tests(tests, set_up, tear_down)                                           \
    _cmocka_run_group_tests(#tests, tests, sizeof(tests) / sizeof *(tests), set_up, tear_down)
#define cmocka_run_group_tests_name(name, tests, set_up, tear_down)                                \
    _cmocka_run_group_tests(name, tests, sizeof(tests) / sizeof *(tests), set_up, tear_down)

static inline void cmocka_set_test_filter(const char *pattern) {
    portable_cmocka.filter = pattern;
}

#define print_error(...)   fprintf(stderr, __VA_ARGS__)
#define print_message(...) printf(__VA_ARGS__)

__attribute__((noreturn)) static inline void _fail(const char *file, int line) {
    print_error("[   LINE   ] --- %s:%d: error: Failure!\n", file, line);
    longjmp(portable_cmocka.out, 1);
}

__attribute__((noreturn)) static inline void portable_skip(void) {
    portable_cmocka.skipped = true;
    longjmp(portable_cmocka.out, 1);
}

static inline void portable_numbers(bool good, uintmax_t a, uintmax_t b, const char *what,
                                    const char *file, int line) {
    if (good)
        return;
    print_error("%#jx, %#jx: not as in %s\n", a, b, what);
    _fail(file, line);
}

static inline void portable_range(uint64_t a, uint64_t low, uint64_t high, const char *file,
                                  int line) {
    if (a >= low && a <= high)
        return;
    print_error("%#" PRIx64 " is not from %#" PRIx64 " to %#" PRIx64 "\n", a, low, high);
    _fail(file, line);
}

static inline void portable_strings(const char *a, const char *b, const char *file, int line) {
    if (strcmp(a, b) == 0)
        return;
    print_error("\"%s\" != \"%s\"\n", a, b);
    _fail(file, line);
}

/* As cmocka's: whole numbers of up to 64 bits, of either sign. */
#define PORTABLE_NUMBERS(a, operator, b)                                                           \
    do {                                                                                           \
        const uint64_t one_ = (uint64_t)(a), other_ = (uint64_t)(b);                               \
        portable_numbers(one_ operator other_, one_, other_, #a " " #operator" " #b, __FILE__,     \
                         __LINE__);                                                                \
    } while (0)
#define assert_int_equal(a, b)          PORTABLE_NUMBERS(a, ==, b)
#define assert_int_not_equal(a, b)      PORTABLE_NUMBERS(a, !=, b)
#define assert_true(a)                  portable_numbers(!!(a), 0, 1, #a, __FILE__, __LINE__)
#define assert_false(a)                 portable_numbers(!(a), 1, 0, #a, __FILE__, __LINE__)
#define assert_null(a)                  assert_true((a) == NULL)
#define assert_non_null(a)              assert_true((a) != NULL)
#define assert_ptr_equal(a, b)          assert_true((const void *)(a) == (const void *)(b))
#define assert_string_equal(a, b)       portable_strings(a, b, __FILE__, __LINE__)
#define assert_memory_equal(a, b, size) assert_true(memcmp(a, b, size) == 0)
#define assert_in_range(a, low, high)                                                              \
    portable_range((uint64_t)(a), (uint64_t)(low), (uint64_t)(high), __FILE__, __LINE__)
#define fail() _fail(__FILE__, __LINE__)
#define skip() portable_skip()
#define fail_msg(...)                                                                              \
    do {                                                                                           \
        print_error("ERROR: " __VA_ARGS__);                                                        \
        print_error("\n");                                                                         \
        fail();                                                                                    \
    } while (0)

/* 0, or that one of the three parts has failed. */
static inline bool portable_fails(const struct CMUnitTest *test) {
    static volatile bool failed;
    void *state = test->initial_state;
    failed = true;
    portable_cmocka.skipped = false;
    if (setjmp(portable_cmocka.out) == 0) {
        if (test->setup_func == NULL || test->setup_func(&state) == 0) {
            test->test_func(&state);
            failed = false;
        }
    }
    if (setjmp(portable_cmocka.out) == 0) {
        if (test->teardown_func != NULL && test->teardown_func(&state) != 0)
            failed = true;
    } else {
        failed = true;
    }
    return failed && !portable_cmocka.skipped;
}

/* Whether it is one of the names, with spaces between, that portable.py leaves out. */
static inline bool portable_is_to_skip(const char *name) {
    const char *list = getenv("ETALON_TEST_SKIP");
    const size_t length = strlen(name);
    for (const char *at = list; at != NULL && (at = strstr(at, name)) != NULL; at += length)
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

typedef int (*portable_fixture)(void **state);

static inline int _cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests,
                                          size_t count, portable_fixture set_up,
                                          portable_fixture tear_down) {
    (void)name, (void)set_up, (void)tear_down; /* of a group: no file here has them */
    unsigned ran = 0, failed = 0, skipped = 0;
    for (size_t i = 0; i < count; i++) {
        if (portable_is_to_skip(tests[i].name) ||
            (portable_cmocka.filter != NULL &&
             fnmatch(portable_cmocka.filter, tests[i].name, 0) != 0))
            continue;
        ran++;
        printf("[ RUN      ] %s\n", tests[i].name);
        fflush(stdout);
        bool bad = portable_fails(&tests[i]);
        failed += bad;
        skipped += portable_cmocka.skipped;
        printf("[ %s ] %s\n",
               bad                       ? " FAILED "
               : portable_cmocka.skipped ? " SKIPPED"
                                         : "      OK",
               tests[i].name);
    }
    printf("[==========] %u test(s) run.\n[  PASSED  ] %u test(s).\n", ran, ran - failed - skipped);
    if (skipped > 0)
        printf("[  SKIPPED ] %u test(s)\n", skipped);
    if (failed > 0)
        printf("[  FAILED  ] %u test(s)\n", failed);
    fflush(stdout);
    return (int)failed;
}

#endif

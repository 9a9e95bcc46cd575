/* SPDX-License-Identifier: MIT */
/* The timer heap: beside a naive one over millions of random steps, and what is easy to get wrong,
 * by name. fuzz/driver/heap.h has the steps, and what must hold inside after each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "filter.h"

#include "../../fuzz/driver/heap.h"

#define YEAR_MS (UINT64_C(365) * 24 * 3600 * 1000)

static struct heap_pair pair;

static void must_hold(const char *wrong) {
    if (wrong == NULL)
        wrong = heap_check(&pair.heap, pair.count);
    if (wrong == NULL)
        wrong = heap_check_unused(&pair.heap);
    if (wrong != NULL)
        fail_msg("%s", wrong);
}

static void start(size_t i, uint64_t deadline_ms) {
    heap_start(&pair, i, deadline_ms);
    must_hold(NULL);
}

static void first_is(size_t i) {
    assert_ptr_equal(eti_heap_first(&pair.heap), &pair.timer[i]);
    must_hold(NULL);
}

static uint64_t random_number(void) {
    static uint64_t seed = 88172645463325252u;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed >> 16;
}

static void run_at_random(size_t numbers, unsigned long steps, unsigned long checked) {
    heap_pair_begin(&pair, numbers, 1000);
    for (unsigned long i = 0; i < steps; i++) {
        uint64_t bits = random_number();
        uint8_t step[HEAP_STEP] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16),
                                   (uint8_t)(bits >> 24)};
        /* distances beyond some months are rare: the time has an end */
        if (step[2] >= 64 && (i % 1024 != 0 || step[0] % 8 == 1))
            step[2] = (uint8_t)(64 + step[2] % 34);
        const char *wrong = heap_step(&pair, step);
        if (wrong == NULL && i % checked == 0)
            wrong = heap_check(&pair.heap, pair.count);
        if (wrong == NULL && i % 64 == 0)
            wrong = heap_check_unused(&pair.heap);
        if (wrong != NULL)
            fail_msg("step %lu: %s", i, wrong);
        if (pair.now_ms > UINT64_MAX / 4)
            heap_pair_begin(&pair, numbers, random_number() % (1 << 20));
    }
}

static void random_steps_with_few_timers(void **state) {
    (void)state;
    run_at_random(3, 500000, 1);
    run_at_random(12, 2000000, 16);
}

static void random_steps_with_many_timers(void **state) {
    (void)state;
    run_at_random(HEAP_NUMBERS, 1000000, 64);
}

static void an_empty_heap_has_no_earliest(void **state) {
    (void)state;
    heap_pair_begin(&pair, 1, 0);
    assert_null(eti_heap_first(&pair.heap));
    assert_null(eti_heap_take_due(&pair.heap, YEAR_MS));
    must_hold(NULL);
}

/* A slot of a higher level holds many deadlines; the earliest of them is asked for and taken out,
 * again and again. */
static void the_earliest_is_exact_when_it_is_always_the_one_that_moves(void **state) {
    (void)state;
    heap_pair_begin(&pair, 200, 0);
    for (size_t i = 0; i < 200; i++)
        start(i, 100000 + 7 * i);
    for (size_t i = 0; i < 2000; i++) {
        first_is(i % 200);
        start(i % 200, 100000 + 7 * (200 + i));
    }
}

static void the_earliest_is_exact_as_deadlines_become_earlier(void **state) {
    (void)state;
    heap_pair_begin(&pair, 256, 5);
    for (size_t i = 0; i < 256; i++) {
        start(i, 1000000 - 11 * i);
        first_is(i);
    }
}

static void equal_deadlines_keep_the_order_of_starting(void **state) {
    (void)state;
    for (uint64_t apart = 1; apart < YEAR_MS; apart *= 3) {
        heap_pair_begin(&pair, 60, 0);
        for (size_t i = 0; i < 60; i++)
            start(i, apart + i % 2);
        for (size_t i = 0; i < 30; i++) /* some of them again, after the slot was asked */
            if (i % 5 == 0) {
                first_is(i == 0 ? 0 : 2);
                start(i, apart + i % 2);
            }
        must_hold(heap_take(&pair, apart - 1));
        assert_int_equal(pair.count, 60);
        must_hold(heap_take(&pair, apart));
        assert_int_equal(pair.count, 30);
        must_hold(heap_take(&pair, apart + 1));
        assert_int_equal(pair.count, 0);
    }
}

/* A reset leaves a timer where it is linked while its deadline is of the same level, so that no
 * other is touched; and it comes last among its equals all the same. */
static void a_reset_within_its_level_touches_no_other_timer(void **state) {
    (void)state;
    heap_pair_begin(&pair, 5, 0);
    for (size_t i = 0; i < 5; i++)
        start(i, 5000);
    const struct heap_pair before = pair;
    start(1, 9000);
    start(3, 4096);
    start(1, 5000);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(pair.timer[i].internal.place, PLACE_LEVEL);
        if (i != 1 && i != 3)
            assert_memory_equal(&pair.timer[i], &before.timer[i], sizeof pair.timer[i]);
    }
    assert_memory_equal(&pair.heap, &before.heap, sizeof pair.heap);
    first_is(3);
    assert_int_equal(pair.timer[1].internal.place, PLACE_HEAP);
    start(1, 5000); /* was in a slot, and is put into one */
    assert_int_equal(pair.timer[1].internal.place, PLACE_HEAP);
    must_hold(heap_take(&pair, 5000)); /* which asks for 3, 0, 2, 4, 1 */
    assert_int_equal(pair.count, 0);
}

static void a_reset_to_another_level_leaves_the_ring(void **state) {
    (void)state;
    heap_pair_begin(&pair, 3, 0);
    for (size_t i = 0; i < 3; i++)
        start(i, 5000);
    start(0, 70);
    start(2, 300000);
    start(1, 63);
    first_is(1);
    must_hold(heap_take(&pair, 70));
    assert_int_equal(pair.count, 1);
    first_is(2);
}

/* It stays linked until its level's ring is spread; nobody finds it, and it holds nobody up. */
static void what_is_held_is_not_found(void **state) {
    (void)state;
    heap_pair_begin(&pair, 3, 0);
    for (size_t i = 0; i < 3; i++) {
        start(i, 5000);
        heap_hold(&pair, i);
        must_hold(NULL);
        assert_non_null(pair.timer[i].internal.wait_next);
    }
    start(1, 6000); /* its carrier has ended, and it is where it was */
    first_is(1);
    assert_null(pair.timer[0].internal.wait_next);
    assert_null(pair.timer[2].internal.wait_next);
    start(0, 5500);
    first_is(0);
    heap_hold(&pair, 1);
    assert_null(pair.timer[1].internal.wait_next); /* it was in a slot */
    must_hold(heap_take(&pair, YEAR_MS));
    assert_int_equal(pair.count, 0);
}

static void what_is_held_is_linked_where_it_will_be(void **state) {
    (void)state;
    heap_pair_begin(&pair, 2, 0);
    start(0, 5000);
    start(1, 300000);
    heap_hold(&pair, 0);
    heap_set_held(&pair, 0, 400000);
    must_hold(NULL);
    assert_ptr_equal(pair.timer[0].internal.wait_next, &pair.timer[1]);
    start(0, 400000);
    assert_int_equal(pair.timer[0].internal.place, PLACE_LEVEL);
    heap_hold(&pair, 0);
    heap_set_held(&pair, 0, 1); /* which anybody would find */
    must_hold(NULL);
    assert_null(pair.timer[0].internal.wait_next);
    start(0, 400000); /* as it was in a slot, or would be */
    assert_int_equal(pair.timer[0].internal.place, PLACE_HEAP);
    first_is(1);
}

static void a_level_may_hold_nothing_but_what_is_held(void **state) {
    (void)state;
    heap_pair_begin(&pair, 2, 0);
    for (size_t i = 0; i < 2; i++) {
        start(i, 5000);
        heap_hold(&pair, i);
    }
    assert_null(eti_heap_first(&pair.heap));
    must_hold(NULL);
    heap_remove(&pair, 0);
    start(0, 5000);
    heap_hold(&pair, 0);
    must_hold(heap_take(&pair, 4095)); /* where the level's first slot is not reached */
    assert_non_null(pair.timer[0].internal.wait_next);
    must_hold(heap_take(&pair, 4096));
    assert_null(pair.timer[0].internal.wait_next);
}

/* Started later than its deadline: what has a delay of 0 and waits for its round. */
static void the_overdue_fire_by_their_deadlines(void **state) {
    (void)state;
    heap_pair_begin(&pair, 5, 1000);
    start(0, 999);
    start(1, 1000);
    start(2, 3);
    start(3, 999);
    start(4, 1001);
    first_is(2);
    must_hold(heap_take(&pair, 1000)); /* which asks for 2, 0, 3, 1 */
    assert_int_equal(pair.count, 1);
}

static void a_clock_that_jumps_by_years(void **state) {
    (void)state;
    heap_pair_begin(&pair, 100, 1);
    for (size_t i = 0; i < 90; i++)
        start(i, 1 + (i + 1) * YEAR_MS / 60 + i % 3);
    first_is(0);
    must_hold(heap_take(&pair, 1 + YEAR_MS));
    assert_int_equal(pair.count, 90 - 59);
    for (size_t i = 90; i < 100; i++)
        start(i, pair.now_ms + i - 90);
    must_hold(heap_take(&pair, pair.now_ms));
    must_hold(heap_take(&pair, 100 * YEAR_MS));
    assert_int_equal(pair.count, 0);
}

static void the_last_millisecond_there_is(void **state) {
    (void)state;
    heap_pair_begin(&pair, 3, 0);
    start(0, UINT64_MAX);
    start(1, UINT64_MAX - 1);
    start(2, UINT64_MAX);
    first_is(1);
    must_hold(heap_take(&pair, UINT64_MAX - 1));
    first_is(0);
    must_hold(heap_take(&pair, UINT64_MAX));
    assert_int_equal(pair.count, 0);
    start(0, UINT64_MAX);
    first_is(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_heap_has_no_earliest),
        cmocka_unit_test(the_earliest_is_exact_when_it_is_always_the_one_that_moves),
        cmocka_unit_test(the_earliest_is_exact_as_deadlines_become_earlier),
        cmocka_unit_test(equal_deadlines_keep_the_order_of_starting),
        cmocka_unit_test(a_reset_within_its_level_touches_no_other_timer),
        cmocka_unit_test(a_reset_to_another_level_leaves_the_ring),
        cmocka_unit_test(what_is_held_is_not_found),
        cmocka_unit_test(what_is_held_is_linked_where_it_will_be),
        cmocka_unit_test(a_level_may_hold_nothing_but_what_is_held),
        cmocka_unit_test(the_overdue_fire_by_their_deadlines),
        cmocka_unit_test(a_clock_that_jumps_by_years),
        cmocka_unit_test(the_last_millisecond_there_is),
        cmocka_unit_test(random_steps_with_few_timers),
        cmocka_unit_test(random_steps_with_many_timers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

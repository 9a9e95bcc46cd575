/* SPDX-License-Identifier: MIT */
/* Counts (seen.h). The file belongs to fuzz/report, which reads it while the fuzzer runs: 64-bit
 * numbers, first one for each place in the model's table of the lifecycle, by event, state and
 * condition, then one for each result of each operation. A fuzzer kills its processes, so they
 * count in the file itself; several may, and one increment in a million that is lost is no harm. */
#include "seen.h"

#include <assert.h>
#include <stdint.h>

#include "../model/model.h"
#include "shared_counts.h"

#define ROWS    352 /* 11 events, 4 states, 8 conditions */
#define RESULTS 136 /* 0, the errnos up to 133, more than 0, any other error */

struct seen {
    uint64_t row[ROWS];
    uint64_t result[ET_OPERATIONS][RESULTS];
};

static struct seen own, *seen = &own;

void model_row_used(unsigned row) {
    assert(row < ROWS);
    seen->row[row]++;
}

static unsigned place_of(int64_t result) {
    if (result > 0)
        return RESULTS - 2;
    return result > 2 - RESULTS ? (unsigned)-result : RESULTS - 1;
}

static void see(const struct model *m, const struct event *event,
                const struct model_answer *answer) {
    if (event->kind != EVENT_CALLBACK || answer != NULL || event->c >= m->completions)
        return;
    unsigned operation = m->completion[event->c].operation;
    if (operation < ET_OPERATIONS)
        seen->result[operation][place_of(event->result)]++;
}

void seen_begin(void) {
    seen = shared_counts("ETALON_FUZZ_SEEN", &own, sizeof own);
    model_observer = see;
}

/* SPDX-License-Identifier: MIT */
/* Counts (seen.h). The file belongs to fuzz/report, which reads it while the fuzzer runs: 64-bit
 * numbers, first one for each place in the model's table of the lifecycle, by event, state and
 * condition, then one for each result of each operation. A fuzzer kills its processes, so they
 * count in the file itself; several may, and one increment in a million that is lost is no harm. */
#include "seen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../model/model.h"

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
    const char *path = getenv("ETALON_FUZZ_SEEN");
    model_observer = see;
    if (path == NULL)
        return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0 && lseek(fd, 0, SEEK_END) != (off_t)sizeof *seen)
        errno = EINVAL, close(fd), fd = -1;
    void *shared =
        fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED) {
        fprintf(stderr, "etalon-fuzz: ETALON_FUZZ_SEEN=%s: %s\n", path, strerror(errno));
        exit(2);
    }
    close(fd);
    seen = shared;
}

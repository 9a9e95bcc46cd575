/* SPDX-License-Identifier: MIT */
/* A caller of the library, compiled by portable.py as C and as C++, and on machines of 32
 * bits with either size of off_t. Prints the sizes of what it shares with the library, which must
 * not depend on any of that, and writes a byte beyond 4 GiB, which must not come out at the
 * beginning of the file. Exit status 1 when it does. */
#include "../../src/etalon.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FAR (((int64_t)1 << 32) + 16) /* in 32 bits: 16 */

static enum et_action note(struct et_loop *loop, struct et_completion *completion, int64_t result,
                           void *userdata) {
    (void)loop, (void)completion;
    *(int64_t *)userdata = result;
    return ET_DISARM;
}

/* Moves one byte at an offset, by a thread of the pool. */
static int64_t move(struct et_loop *loop, enum et_operation operation, int fd, char *byte,
                    int64_t offset) {
    struct et_completion completion;
    int64_t result = -1;
    memset(&completion, 0, sizeof completion);
    completion.operation = (uint8_t)operation;
    completion.on_pool = true;
    completion.fd = fd;
    completion.callback = note;
    completion.userdata = &result;
    if (operation == ET_PREAD) {
        completion.pread.buffer = byte;
        completion.pread.length = 1;
        completion.pread.offset = offset;
    } else {
        completion.pwrite.buffer = byte;
        completion.pwrite.length = 1;
        completion.pwrite.offset = offset;
    }
    if (et_loop_add(loop, &completion) != 0 || et_loop_run(loop, ET_RUN_UNTIL_DONE) != 0)
        return -1;
    return result;
}

static bool keeps_far_offsets(struct et_loop *loop, int fd) {
    char first = 'a', far = 'z', seen = 0;
    return move(loop, ET_PWRITE, fd, &first, 16) == 1 &&
           move(loop, ET_PWRITE, fd, &far, FAR) == 1 && move(loop, ET_PREAD, fd, &seen, 16) == 1 &&
           seen == 'a' && move(loop, ET_PREAD, fd, &seen, FAR) == 1 && seen == 'z' &&
           move(loop, ET_PREAD, fd, &seen, FAR + 1) == 0;
}

int main(void) {
    struct et_pool pool;
    struct et_loop loop;
    struct et_options options;
    memset(&options, 0, sizeof options);
    options.pool = &pool;
    printf("%zu %zu %zu %zu %zu %zu\n", sizeof(struct et_completion), sizeof loop, sizeof pool,
           sizeof(struct et_async), sizeof(struct et_pread),
           offsetof(struct et_completion, internal));
    if (et_pool_init(&pool, NULL) != 0 || et_loop_init(&loop, &options) != 0)
        return 1;
    int fd = memfd_create("far", MFD_CLOEXEC);
    bool good = fd >= 0 && keeps_far_offsets(&loop, fd);
    close(fd);
    et_loop_deinit(&loop);
    et_pool_deinit(&pool);
    return good ? 0 : 1;
}

/* SPDX-License-Identifier: MIT */
/* Copies files through the thread pool, with a progress bar, while a timer keeps ticking; says at
 * the end how late the ticks were. Reading and writing a file blocks whoever does it, whatever the
 * descriptor's mode: here that is a pool thread, and the loop goes on.
 *
 *   copy [--tick-ms N] [--block-kib N] [--threads N] FROM TO [FROM TO…]
 *
 * Every file has a pipeline of its own: one block is read while the one before is written. A copy
 * that fails or is interrupted leaves no half-written file: it is written under a name of its own
 * and gets the right one at the end. SIGINT, SIGTERM and SIGHUP reach the loop as a notification; a
 * second one ends the program at once. Exit status 1 when a copy failed, 2 for wrong usage. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../src/etalon.h"

#define FILES_MAX   64
#define BLOCKS      2 /* of a file at once: one is read while the other is written */
#define LATE_MAX_MS 1000
#define BAR         30

struct block {
    struct et_completion completion;
    struct file *file;
    char *buffer;
    size_t length, done; /* of what is read, then of what is written */
    int64_t offset;
};

struct file {
    const char *from, *to;
    char *partial; /* the name that it has until it is complete */
    int in, out, error;
    int64_t size;       /* as it said at the beginning: files of /proc say 0 and hold something */
    int64_t next, done; /* where the next read begins; how much is written */
    bool read;          /* to its end */
    unsigned busy;      /* blocks under way */
    mode_t mode;
    struct block block[BLOCKS];
};

static struct et_loop loop;
static struct et_pool pool;
static struct et_async interruption;
static struct et_completion ticker, interrupted;
static volatile sig_atomic_t signal_seen;
static struct file file[FILES_MAX];
static unsigned files, unfinished, failures;
static uint64_t tick_ms = 10, due_ms, ticks;
static uint64_t late[LATE_MAX_MS + 1]; /* how many ticks were that many ms late */
static size_t block_bytes = 256 * 1024;
static int64_t bytes_all, bytes_done;

/* ---- a file ---------------------------------------------------------------------------------- */

static enum et_action on_read(struct et_loop *, struct et_completion *, int64_t, void *);
static enum et_action on_written(struct et_loop *, struct et_completion *, int64_t, void *);

/* Reads or writes what is left of the block. */
static void submit(struct block *b, uint8_t operation) {
    b->completion.operation = operation;
    b->completion.on_pool = true;
    b->completion.fd = operation == ET_PREAD ? b->file->in : b->file->out;
    b->completion.callback = operation == ET_PREAD ? on_read : on_written;
    b->completion.userdata = b;
    b->completion.pread.buffer = b->buffer + b->done; /* of a pwrite it is the same place */
    b->completion.pread.length = b->length - b->done;
    b->completion.pread.offset = b->offset + (int64_t)b->done;
    int error = et_loop_add(&loop, &b->completion);
    if (error != 0) { /* cannot be: it is dead and described well */
        fprintf(stderr, "copy: add: %s\n", strerror(-error));
        abort();
    }
}

/* Renames what is complete, or removes what is not. */
static void finish(struct file *f) {
    if (f->error == 0 && f->done < f->size)
        f->error = EIO; /* it has become shorter meanwhile */
    if (f->error == 0 && fchmod(f->out, f->mode) != 0)
        f->error = errno;
    if (close(f->out) != 0 && f->error == 0) /* what could not be written may be told only now */
        f->error = errno;
    close(f->in);
    if (f->error == 0 && rename(f->partial, f->to) != 0)
        f->error = errno;
    if (f->error != 0) {
        unlink(f->partial);
        fprintf(stderr, "%scopy: %s to %s: %s\n", isatty(2) ? "\r\033[K" : "", f->from, f->to,
                strerror(f->error));
        failures++;
    }
    if (--unfinished == 0) {
        et_loop_delete(&loop, &ticker);
        et_loop_delete(&loop, &interrupted);
    }
}

static void fail(struct file *f, int error) {
    if (f->error == 0)
        f->error = error;
    f->read = true; /* nothing more is */
}

static void next_block(struct block *b) {
    struct file *f = b->file;
    if (!f->read) {
        b->offset = f->next;
        b->length = block_bytes;
        b->done = 0;
        f->next += (int64_t)b->length;
        submit(b, ET_PREAD);
    } else if (--f->busy == 0) {
        finish(f);
    }
}

static enum et_action on_read(struct et_loop *l, struct et_completion *c, int64_t result,
                              void *userdata) {
    struct block *b = userdata;
    (void)l, (void)c;
    if (result < 0)
        fail(b->file, (int)-result);
    if (result == 0) { /* the end of the file: what the block holds is its last piece */
        b->file->read = true;
        b->length = b->done;
    }
    b->done += result > 0 ? (size_t)result : 0;
    if (b->file->error != 0 || b->length == 0) {
        next_block(b);
    } else if (b->done < b->length) {
        submit(b, ET_PREAD);
    } else {
        b->done = 0;
        submit(b, ET_PWRITE);
    }
    return ET_DISARM;
}

static enum et_action on_written(struct et_loop *l, struct et_completion *c, int64_t result,
                                 void *userdata) {
    struct block *b = userdata;
    (void)l, (void)c;
    if (result < 0) {
        fail(b->file, (int)-result);
    } else {
        bytes_done += result;
        b->file->done += result;
        b->done += (size_t)result;
    }
    if (b->file->error == 0 &&
        /* a disk that is nearly full takes a part, and says why at the next write */
        b->done < b->length)
        submit(b, ET_PWRITE);
    else
        next_block(b);
    return ET_DISARM;
}

static int begin(struct file *f) {
    struct stat status, same;
    /* a FIFO would wait for a writer; a file does not mind */
    f->in = open(f->from, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (f->in < 0 || fstat(f->in, &status) != 0)
        return errno;
    if (!S_ISREG(status.st_mode))
        return S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    bool exists = stat(f->to, &same) == 0;
    if (exists && same.st_dev == status.st_dev && same.st_ino == status.st_ino)
        return EEXIST;                    /* the same file */
    if (exists && !S_ISREG(same.st_mode)) /* a rename would put a file in the place of a device */
        return EINVAL;
    size_t size = strlen(f->to) + sizeof ".XXXXXX";
    f->partial = malloc(size);
    if (f->partial == NULL)
        return ENOMEM;
    snprintf(f->partial, size, "%s.XXXXXX", f->to);
    f->out = mkostemp(f->partial, O_CLOEXEC);
    if (f->out < 0)
        return errno;
    f->mode = status.st_mode & 0777;
    f->size = status.st_size;
    for (unsigned i = 0; i < BLOCKS; i++) {
        f->block[i].file = f;
        f->block[i].buffer = malloc(block_bytes);
        if (f->block[i].buffer == NULL) {
            close(f->out);
            unlink(f->partial);
            return ENOMEM;
        }
    }
    bytes_all += f->size;
    f->busy = BLOCKS;
    unfinished++;
    for (unsigned i = 0; i < BLOCKS; i++)
        next_block(&f->block[i]);
    return 0;
}

static void release(struct file *f) {
    for (unsigned i = 0; i < BLOCKS; i++)
        free(f->block[i].buffer);
    free(f->partial);
}

/* ---- the ticks ------------------------------------------------------------------------------- */

static void show_progress(void) {
    char bar[BAR + 1];
    int64_t full = bytes_all > 0 ? bytes_done * BAR / bytes_all : BAR;
    if (!isatty(2))
        return;
    for (int i = 0; i < BAR; i++)
        bar[i] = i < full ? '#' : '.';
    bar[BAR] = '\0';
    fprintf(stderr, "\r[%s] %lld of %lld KiB, %llu ticks ", bar, (long long)(bytes_done / 1024),
            (long long)(bytes_all / 1024), (unsigned long long)ticks);
}

/* The loop time is a fraction more than et_loop_now says, and deadlines are rounded up. */
static uint64_t due_after_tick(const struct et_loop *l) {
    return et_loop_now(l) + 1 + tick_ms;
}

static enum et_action on_tick(struct et_loop *l, struct et_completion *c, int64_t result,
                              void *userdata) {
    struct timespec t;
    (void)c, (void)result, (void)userdata;
    clock_gettime(CLOCK_MONOTONIC, &t); /* not the loop's time: how late is the callback itself? */
    uint64_t now_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    uint64_t late_ms = now_ms > due_ms ? now_ms - due_ms : 0;
    late[late_ms < LATE_MAX_MS ? late_ms : LATE_MAX_MS]++;
    ticks++;
    show_progress();
    due_ms = due_after_tick(l);
    return ET_REARM;
}

/* ---- interruption ---------------------------------------------------------------------------- */

static void on_signal(int number) {
    signal_seen = number;
    (void)et_async_notify(&interruption);
}

/* Each block under way ends, the last of a file removes it. */
static enum et_action on_interrupted(struct et_loop *l, struct et_completion *c, int64_t result,
                                     void *userdata) {
    (void)l, (void)c, (void)result, (void)userdata;
    for (unsigned i = 0; i < files; i++)
        if (file[i].busy > 0)
            fail(&file[i], EINTR);
    return ET_DISARM;
}

static int watch_signals(void) {
    const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    int error = et_async_init(&interruption);
    if (error != 0)
        return error;
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i],
                  &(struct sigaction){.sa_handler = on_signal,
                                      .sa_flags = (int)(SA_RESTART | SA_RESETHAND)},
                  NULL);
    return et_async_wait(&loop, &interruption, &interrupted, on_interrupted, NULL);
}

static uint64_t lateness(uint64_t per_mille) {
    uint64_t seen = 0, ms = 0;
    while (ms < LATE_MAX_MS && (seen += late[ms]) * 1000 < ticks * per_mille)
        ms++;
    return ms;
}

/* ---- the program ----------------------------------------------------------------------------- */

static uint64_t number(const char *option, const char *text, uint64_t most) {
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value < 1 || value > most) {
        fprintf(stderr, "copy: --%s: '%s' is not a number from 1 to %llu\n", option, text,
                (unsigned long long)most);
        exit(2);
    }
    return value;
}

static void read_arguments(int argc, char **argv, struct et_pool_options *pool_options) {
    static const struct option options[] = {
        {"tick-ms", 1, 0, 't'}, {"block-kib", 1, 0, 'b'}, {"threads", 1, 0, 'n'}, {0}};
    for (int o, index; (o = getopt_long(argc, argv, "", options, &index)) != -1;)
        switch (o) {
        case 't': tick_ms = number("tick-ms", optarg, 60000); break;
        case 'b': block_bytes = (size_t)number("block-kib", optarg, 65536) * 1024; break;
        case 'n': pool_options->threads_max = (unsigned)number("threads", optarg, 64); break;
        default: exit(2);
        }
    if (optind == argc || (argc - optind) % 2 != 0 || (argc - optind) / 2 > FILES_MAX) {
        fprintf(stderr,
                "usage: copy [--tick-ms N] [--block-kib N] [--threads N] FROM TO [FROM TO...]   "
                "(at most %d)\n",
                FILES_MAX);
        exit(2);
    }
    for (int i = optind; i < argc; i += 2) {
        file[files].from = argv[i];
        file[files++].to = argv[i + 1];
    }
}

int main(int argc, char **argv) {
    struct et_pool_options pool_options = {.threads_max = 4};
    read_arguments(argc, argv, &pool_options);
    int error = et_pool_init(&pool, &pool_options);
    if (error == 0)
        error = et_loop_init(&loop, &(struct et_options){.pool = &pool});
    if (error == 0)
        error = watch_signals();
    if (error != 0) {
        fprintf(stderr, "copy: %s\n", strerror(-error));
        return 1;
    }
    for (unsigned i = 0; i < files; i++) {
        error = begin(&file[i]);
        if (error == 0)
            continue;
        fprintf(stderr, "copy: %s to %s: %s\n", file[i].from, file[i].to,
                error == EEXIST   ? "the same file"
                : error == EINVAL ? "not a regular file"
                                  : strerror(error));
        if (file[i].in >= 0)
            close(file[i].in);
        failures++;
    }
    if (unfinished > 0) {
        due_ms = due_after_tick(&loop);
        et_loop_timer(&loop, &ticker, tick_ms, on_tick, NULL);
        error = et_loop_run(&loop, ET_RUN_UNTIL_DONE);
        show_progress();
        if (isatty(2))
            fputc('\n', stderr);
    }
    if (error < 0)
        fprintf(stderr, "copy: run: %s\n", strerror(-error));
    et_loop_deinit(&loop);
    et_async_deinit(&interruption);
    et_pool_deinit(&pool);
    for (unsigned i = 0; i < files; i++)
        release(&file[i]);
    printf("%lld bytes copied, %u failed; %llu ticks of %llu ms, late by %llu ms (median), %llu ms "
           "(99 %%), %llu ms (worst)\n",
           (long long)bytes_done, failures, (unsigned long long)ticks, (unsigned long long)tick_ms,
           (unsigned long long)lateness(500), (unsigned long long)lateness(990),
           (unsigned long long)lateness(1000));
    fflush(stdout);
    if (signal_seen != 0)
        raise(signal_seen); /* whose handler was reset */
    return failures > 0 || error < 0;
}

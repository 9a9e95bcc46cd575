/* SPDX-License-Identifier: MIT */
/* Counts of a fuzz target. A fuzzer runs it in processes that it kills, so that what they print in
 * the end is lost: they count together in a file that the fuzzer's starter has made and named in
 * the environment. */
#ifndef ETALON_SHARED_COUNTS_H
#define ETALON_SHARED_COUNTS_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The counts in the file that the variable names, which has this size; `own` where it is not set.
 * Ends the process where the file is of no use. */
static void *shared_counts(const char *variable, void *own, size_t size) {
    const char *path = getenv(variable);
    if (path == NULL)
        return own;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0 && lseek(fd, 0, SEEK_END) != (off_t)size)
        errno = EINVAL, close(fd), fd = -1;
    void *shared =
        fd < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED) {
        fprintf(stderr, "etalon-fuzz: %s=%s: %s\n", variable, path, strerror(errno));
        exit(2);
    }
    close(fd);
    return shared;
}

#endif

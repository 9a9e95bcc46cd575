/* SPDX-License-Identifier: MIT */
/* Files that the tool writes (output.h). */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE      4096 /* of realpath too */
#define READER_WAIT_US 10000
#define READER_WAITS   1000

struct target {
    char path[PATH_SIZE]; /* behind symbolic links */
    mode_t mode;          /* of the file that is replaced, or of a new one */
    bool replaces, is_standard;
};

static mode_t mode_of_new(void) {
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

/* False when the name is too long. What cannot be written is found out by writing. */
static bool find_target(const char *path, struct target *target) {
    struct stat there, link, standard;
    if (strlen(path) >= PATH_SIZE - 16)
        return false;
    *target = (struct target){.mode = mode_of_new(), .replaces = true};
    strcpy(target->path, path);
    bool exists = stat(path, &there) == 0, regular = exists && S_ISREG(there.st_mode);
    if (!regular) { /* a link that leads to nothing yet makes its file where it leads to */
        target->replaces = !exists && !(lstat(path, &link) == 0 && S_ISLNK(link.st_mode));
        return true;
    }
    target->is_standard = fstat(STDOUT_FILENO, &standard) == 0 && standard.st_dev == there.st_dev &&
                          /* replaced, it would lose what else is printed */
                          standard.st_ino == there.st_ino;
    char *real = realpath(path, NULL);
    target->replaces = !target->is_standard && real != NULL && strlen(real) < PATH_SIZE - 16;
    target->mode = there.st_mode & 0777;
    if (target->replaces)
        strcpy(target->path, real);
    free(real);
    return true;
}

/* The new file, opened; its name is left in `temporary`. Errno says why not. */
static FILE *open_part(const struct target *target, char *temporary, size_t size) {
    snprintf(temporary, size, "%.*s.XXXXXX.part", PATH_SIZE - 16, target->path);
    int fd = mkstemps(temporary, 5);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "wb");
    if (out != NULL && fchmod(fd, target->mode) == 0)
        return out;
    int error = errno;
    if (fd >= 0)
        unlink(temporary);
    if (out != NULL)
        fclose(out);
    else if (fd >= 0)
        close(fd);
    errno = error;
    return NULL;
}

/* A pipe that nobody reads would keep the tool for ever; one that is read a little later is waited
 * for. */
static FILE *open_there(const char *path) {
    int fd = -1;
    for (unsigned waits = 0; waits < READER_WAITS; waits++) {
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != ENXIO)
            break;
        usleep(READER_WAIT_US);
        errno = ENXIO;
    }
    if (fd < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) != 0)
        return NULL;
    return fdopen(fd, "wb");
}

static FILE *open_target(const struct target *target, char *temporary, size_t size) {
    if (target->replaces)
        return open_part(target, temporary, size);
    if (!target->is_standard)
        return open_there(target->path);
    fflush(stdout);
    int fd = dup(STDOUT_FILENO);
    return fd < 0 ? NULL : fdopen(fd, "wb");
}

static bool complain(const char *path, int error) {
    struct stat there;
    bool unread = error == ENXIO && stat(path, &there) == 0 && S_ISFIFO(there.st_mode);
    fprintf(stderr, "etalon: %s: %s\n", path, unread ? "nobody reads this pipe" : strerror(error));
    return false;
}

static bool complain_of_length(const char *path) {
    fprintf(stderr, "etalon: %.60s...: the name is too long\n", path);
    return false;
}

bool write_whole(const char *path, void (*write)(FILE *, const void *), const void *what) {
    char temporary[PATH_SIZE + 16];
    struct target target;
    if (path == NULL) {
        write(stdout, what);
        return fflush(stdout) == 0;
    }
    if (!find_target(path, &target))
        return complain_of_length(path);
    FILE *out = open_target(&target, temporary, sizeof temporary);
    if (out == NULL)
        return complain(path, errno);
    errno = 0;
    write(out, what);
    bool failed = ferror(out) != 0;
    failed = fclose(out) != 0 || failed;
    if (!failed && (!target.replaces || rename(temporary, target.path) == 0))
        return true;
    int error = errno;
    if (target.replaces)
        unlink(temporary);
    return complain(path, error != 0 ? error : EIO);
}

/* The folder of the path, in place. */
static const char *folder_of(char *path) {
    char *slash = strrchr(path, '/');
    if (slash == NULL)
        return ".";
    slash[slash == path] = '\0';
    return path;
}

bool output_possible(const char *option, const char *path) {
    char name[PATH_SIZE + 64];
    struct target target;
    struct stat there;
    if (!find_target(path, &target))
        return complain_of_length(path);
    snprintf(name, sizeof name, "%s %s", option, path);
    if (*path == '\0')
        return complain(name, ENOENT);
    bool exists = stat(path, &there) == 0;
    if (exists && S_ISDIR(there.st_mode))
        return complain(name, EISDIR);
    if (!target.replaces)
        return !exists || access(path, W_OK) == 0 || complain(name, errno);
    const char *folder = folder_of(target.path);
    if (access(folder, W_OK | X_OK) != 0)
        return complain(name, errno);
    return (stat(folder, &there) == 0 && S_ISDIR(there.st_mode)) || complain(name, ENOTDIR);
}

bool output_is_standard(const char *path) {
    struct stat there, standard;
    if (strcmp(path, "-") == 0)
        return true;
    if (stat(path, &there) != 0 || fstat(STDOUT_FILENO, &standard) != 0 ||
        there.st_dev != standard.st_dev || there.st_ino != standard.st_ino)
        return false;
    return !S_ISCHR(there.st_mode) || isatty(STDOUT_FILENO); /* /dev/null takes anything */
}

bool output_same(const char *a, const char *b) {
    struct stat one, other;
    struct target of_a, of_b;
    if (a == NULL || b == NULL)
        return false;
    bool exists = stat(a, &one) == 0, both = stat(b, &other) == 0 && exists;
    if (both)
        return !S_ISCHR(one.st_mode) && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
    if (exists || !find_target(a, &of_a) || !find_target(b, &of_b))
        return false;
    const char *slash_a = strrchr(of_a.path, '/'), *slash_b = strrchr(of_b.path, '/');
    if (strcmp(slash_a != NULL ? slash_a + 1 : a, slash_b != NULL ? slash_b + 1 : b) != 0)
        return false;
    return stat(folder_of(of_a.path), &one) == 0 && stat(folder_of(of_b.path), &other) == 0 &&
           one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

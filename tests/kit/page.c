/* SPDX-License-Identifier: MIT */
/* The page of `etalon check --html` (check.h), which report.py makes, and where the files are that
 * belong to the tool. */
#ifndef ETALON_WITHOUT_KIT

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

extern char **environ;

/* An installed tool has its files in ../share/etalon, one that was built has them in the tree. */
char *tool_file(const char *installed, const char *in_the_tree) {
    char self[4096], path[8192];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0)
        return NULL;
    self[length] = '\0';
    *strrchr(self, '/') = '\0';
    snprintf(path, sizeof path, "%s/../share/etalon/%s", self, installed);
    if (access(path, F_OK) != 0)
        snprintf(path, sizeof path, "%s/../../%s", self, in_the_tree);
    return access(path, F_OK) == 0 ? realpath(path, NULL) : NULL;
}

const char *tool_path(const char *given, const char *installed, const char *in_the_tree) {
    const char *found = given != NULL ? given : tool_file(installed, in_the_tree);
    return found != NULL ? found : in_the_tree;
}

/* The exit status of Python with these arguments, or -1 after a complaint. */
static int python(char *const arguments[]) {
    pid_t child;
    int status = 0, error = posix_spawnp(&child, "python3", NULL, NULL, arguments, environ);
    if (error != 0) {
        fprintf(stderr, "etalon: --html: python3, which makes the page, cannot be run: %s\n",
                strerror(error));
        return -1;
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool page_possible(void) {
    char *old_enough[] = {"python3", "-c", "import sys; sys.exit(sys.version_info < (3, 9))", NULL};
    char *script = tool_file("report.py", "tests/kit/report.py");
    if (script == NULL)
        fputs(
            "etalon: --html: report.py, which makes the page, is neither in ../share/etalon nor in "
            "../../tests/kit beside this program\n",
            stderr);
    free(script);
    if (script == NULL)
        return false;
    int status = python(old_enough);
    if (status > 0)
        fputs(
            "etalon: --html: python3, which makes the page, does not start or is older than 3.9\n",
            stderr);
    return status == 0;
}

/* report.py writes the page whole or not at all, and complains by itself. */
bool page_write(const char *path, const struct check *check) {
    char json[32];
    char *script = tool_file("report.py", "tests/kit/report.py");
    int memory = memfd_create("conform.json", 0);
    int copy = memory < 0 ? -1 : dup(memory);
    FILE *out = copy < 0 ? NULL : fdopen(copy, "w");
    bool written = out != NULL;
    if (out != NULL) {
        report_full(out, check);
        written = ferror(out) == 0;
        written = fclose(out) == 0 && written;
    }
    if (!written)
        fprintf(stderr, "etalon: --html %s: %s\n", path, strerror(errno));
    if (script == NULL)
        fputs("etalon: --html: report.py is gone\n", stderr);
    snprintf(json, sizeof json, "/dev/fd/%d", memory);
    char *const make[] = {"python3", script, json, (char *)path, NULL};
    int status = written && script != NULL ? python(make) : -1;
    if (status > 0)
        fprintf(stderr, "etalon: --html %s: not written\n", path);
    if (memory >= 0)
        close(memory);
    free(script);
    return status == 0;
}

#else
typedef int nothing_here;
#endif

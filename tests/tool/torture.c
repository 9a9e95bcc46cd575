/* SPDX-License-Identifier: MIT */
/* etalon torture: every program runs once to count the calls that can fail, then again for each of
 * them, each errno of its manual page and each mode (torture.h). A run may end in any way that
 * the model allows; it must not differ, crash, hang or leave anything behind.
 *
 * Each program runs in a process of its own, so that a crash costs one run: the parent notes it and
 * goes on behind it. */
#include "../kit/text.h"
#include "child.h"
#include "torture.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../fuzz/driver/lockstep.h"

#define FAILURES_SHOWN_MAX 5 /* of one program */
#define HANG_SECONDS       10

/* What a child tells its parent, even by dying. */
static struct shared {
    bool done;
    uint64_t run; /* that is being made, or was the last; the next child goes on after it */
    struct torture_setting setting;
    uint64_t points, runs, failures;
    uint32_t errors[ET_OPERATIONS][LOCKSTEP_ERRORS];
} * shared;

static struct {
    uint64_t points, runs, failures;
    uint32_t errors[ET_OPERATIONS][LOCKSTEP_ERRORS];
} total;

/* ---- settings -------------------------------------------------------------------------------- */

bool torture_parse(const char *text, struct torture_setting *setting) {
    char *colon;
    unsigned mode = TORTURE_ONCE;
    setting->point = strtoull(text, &colon, 10);
    if (setting->point == 0 || *colon != ':')
        return false;
    const char *name = colon + 1;
    size_t length = strcspn(name, ":");
    if (name[length] == ':')
        while (mode < TORTURE_MODES && strcmp(name + length + 1, torture_mode_name(mode)) != 0)
            mode++;
    setting->error = errno_number(name, length);
    setting->mode = (enum torture_mode)mode;
    return setting->error != 0 && mode < TORTURE_MODES;
}

void torture_prolong(struct program *program) {
    unsigned end = program->first[0] + program->count[0];
    if (program->commands + 2u > PROGRAM_COMMANDS_MAX)
        return;
    memmove(&program->command[end + 2], &program->command[end],
            (program->commands - end) * sizeof *program->command);
    for (unsigned body = 0; body < PROGRAM_BODIES; body++)
        if (program->first[body] >= end && body != 0)
            program->first[body] = (uint16_t)(program->first[body] + 2);
    program->command[end] = program->command[end + 1] = (struct command){.kind = COMMAND_TICK};
    program->count[0] = (uint16_t)(program->count[0] + 2);
    program->commands = (uint16_t)(program->commands + 2);
}

/* ---- one program ----------------------------------------------------------------------------- */

static void show_failure(const char *path, const struct torture_setting *setting,
                         const struct torture_point *point, const char *clause, const char *what) {
    const char *mode = torture_mode_name(setting->mode);
    bool once = setting->mode == TORTURE_ONCE;
    if (shared->failures++ >= FAILURES_SHOWN_MAX)
        return;
    printf("%s: point %llu%s%s%s fails with %s%s%s: %s: %s\n  again: etalon replay --fail "
           "%llu:%s%s%s %s\n",
           path, (unsigned long long)setting->point, point != NULL ? ", " : "",
           point != NULL ? torture_call_name(point->call) : "",
           point != NULL && point->own ? " of the loop's own," : "", errno_name(setting->error),
           once ? "" : ", and so ", once ? "" : mode, clause, what,
           (unsigned long long)setting->point, errno_name(setting->error), once ? "" : ":",
           once ? "" : mode, path);
    fflush(stdout);
}

/* False: this setting would only repeat another one, or cannot be. */
static bool makes_sense(const struct torture_point *point, enum torture_mode mode) {
    bool single = point->call == WORLD_CALL_allocation || point->call == WORLD_CALL_eventfd;
    if (mode == TORTURE_SAME && single)
        return false;
    /* An eventfd that is readable and for ever cannot be read does not exist. */
    return !(mode == TORTURE_SAME && point->own && point->call == WORLD_CALL_read);
}

static bool is_sampled(uint64_t run, const struct torture_options *options) {
    uint64_t mixed =
        (run + 1) * UINT64_C(0x9e3779b97f4a7c15) + options->seed * UINT64_C(0xbf58476d1ce4e5b9);
    mixed ^= mixed >> 29;
    return options->sample <= 1 ||
           mixed * UINT64_C(0x94d049bb133111eb) % 1000003 % options->sample == 0;
}

static void run_tortured(const char *path, const struct program *program,
                         const struct torture_point *point) {
    struct lockstep_report report;
    torture_set(&shared->setting);
    lockstep_run(&lockstep_reference, program, &world_simulated, NULL, NULL, &report);
    shared->runs++;
    if (report.differs)
        show_failure(path, &shared->setting, point, report.clause, report.what);
    else if (torture_points() < shared->setting.point)
        show_failure(path, &shared->setting, point, "torture",
                     "the run did not come as far as the one before");
    alarm(HANG_SECONDS);
}

/* The clean run; the points are copied, since every further run counts anew. Null after a
 * complaint. */
static struct torture_point *count_points(const char *path, const struct program *program) {
    struct lockstep_report report;
    torture_set(&(struct torture_setting){0});
    lockstep_run(&lockstep_reference, program, &world_simulated, NULL, NULL, &report);
    shared->points = torture_points() < TORTURE_POINTS_MAX ? torture_points() : TORTURE_POINTS_MAX;
    if (report.differs) {
        shared->failures++;
        printf("%s: differs without torture: %s: %s\n", path, report.clause, report.what);
        return NULL;
    }
    struct torture_point *points = calloc((size_t)shared->points + 1, sizeof *points);
    for (uint64_t i = 0; points != NULL && i < shared->points; i++)
        points[i] = *torture_point(i + 1);
    return points;
}

/* In the child: the runs behind shared->run. The program's name takes part in the sampling: other
 * runs of each. */
static void torture_program(const char *path, const struct program *program,
                            const struct torture_options *options, uint64_t salt) {
    int error[TORTURE_ERRORS_MAX];
    uint64_t run = 0, begin = shared->run;
    alarm(HANG_SECONDS);
    struct torture_point *points = count_points(path, program);
    for (uint64_t i = 0; points != NULL && i < shared->points; i++) {
        unsigned errors = torture_errors(&points[i], error);
        for (unsigned e = 0; e < errors * TORTURE_MODES; e++) {
            shared->setting =
                (struct torture_setting){i + 1, error[e / TORTURE_MODES], e % TORTURE_MODES};
            if (++run <= begin || !makes_sense(&points[i], shared->setting.mode) ||
                !is_sampled(run + salt, options))
                continue;
            shared->run = run;
            run_tortured(path, program, &points[i]);
        }
    }
    free(points);
    memcpy(shared->errors, lockstep_errors, sizeof shared->errors);
    shared->done = true;
}

/* Reports a child that did not end as it should. False: there is no use in another one. */
static bool judge_child(const char *path, int status) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && shared->done)
        return false;
    /* somebody has called exit: the rest was not run */
    bool early = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    bool hang = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    show_failure(path, &shared->setting, NULL, hang ? "hang" : "crash",
                 hang                  ? "the loop does not come back"
                 : early               ? "the process has ended itself"
                 : WIFSIGNALED(status) ? strsignal(WTERMSIG(status))
                                       : "see above");
    return shared->failures < FAILURES_SHOWN_MAX;
}

static void torture_file(const char *path, const struct program *program,
                         const struct torture_options *options, uint64_t salt) {
    int status;
    memset(shared, 0, sizeof *shared);
    do {
        pid_t child = child_fork();
        if (child == 0) {
            torture_program(path, program, options, salt);
            fflush(NULL);
            _exit(0);
        }
        if (child < 0 || !child_wait(child, &status)) {
            shared->failures++;
            printf("%s: no process: %s\n", path, strerror(errno));
            break;
        }
    } while (judge_child(path, status));
    if (shared->failures > FAILURES_SHOWN_MAX)
        printf("%s: %llu failures, of which the first are shown\n", path,
               (unsigned long long)shared->failures);
    total.points += shared->points;
    total.runs += shared->runs;
    total.failures += shared->failures;
    for (unsigned o = 0; o < ET_OPERATIONS; o++)
        for (unsigned e = 0; e < LOCKSTEP_ERRORS; e++)
            total.errors[o][e] += shared->errors[o][e];
}

/* ---- the table of errors --------------------------------------------------------------------- */

#define REASON_MAX 200

struct expectation {
    bool is_listed, is_met;
    char reason[REASON_MAX]; /* why it cannot be met */
};
static struct expectation expected[ET_OPERATIONS][LOCKSTEP_ERRORS];

static unsigned operation_number(const char *name) {
    unsigned operation = 0;
    while (operation < ET_OPERATIONS && strcmp(operation_name(operation), name) != 0)
        operation++;
    return operation;
}

/* "OPERATION ERRNO… met" or "OPERATION ERRNO… never: REASON". */
static bool read_expectation(char *line) {
    char *rest = line, *word = strtok_r(rest, " \n", &rest);
    if (word == NULL || word[0] == '#')
        return true;
    unsigned operation = operation_number(word), listed[LOCKSTEP_ERRORS], count = 0;
    while ((word = strtok_r(NULL, " \n", &rest)) != NULL && word[0] == 'E' &&
           count < LOCKSTEP_ERRORS) {
        int error = errno_number(word, strlen(word));
        if (error <= 0 || error >= LOCKSTEP_ERRORS)
            return false;
        listed[count++] = (unsigned)error;
    }
    bool is_met = word != NULL && strcmp(word, "met") == 0,
         is_never = word != NULL && strcmp(word, "never:") == 0;
    if (operation == ET_OPERATIONS || count == 0 || is_met == is_never ||
        (is_never && strcspn(rest, "\n") == 0))
        return false;
    for (unsigned i = 0; i < count; i++) {
        struct expectation *of = &expected[operation][listed[i]];
        if (of->is_listed) /* twice: one of the two lines would win */
            return false;
        of->is_listed = true;
        of->is_met = is_met;
        snprintf(of->reason, sizeof of->reason, "%.*s", (int)strcspn(rest, "\n"), rest);
    }
    return true;
}

bool torture_read_expectations(const char *path) {
    char line[512];
    unsigned number = 0;
    bool good = true;
    memset(expected, 0, sizeof expected);
    FILE *in = fopen(path, "r");
    while (in != NULL && good && fgets(line, sizeof line, in) != NULL) {
        number++;
        good = read_expectation(line);
    }
    good = good && in != NULL && ferror(in) == 0 && number > 0;
    if (in == NULL || !good)
        fprintf(stderr, "etalon: %s: line %u: %s\n", path, number,
                in == NULL ? strerror(errno) : "cannot be read");
    if (in != NULL)
        fclose(in);
    return in != NULL && good;
}

/* Returns how many pairs are not as expected: met and not listed, listed and not met, or the other
 * way round. */
static unsigned compare_errors(const char *path) {
    unsigned wrong = 0;
    for (unsigned o = 0; o < ET_OPERATIONS; o++)
        for (unsigned e = 1; e < LOCKSTEP_ERRORS; e++) {
            bool met = total.errors[o][e] > 0;
            if (met == (expected[o][e].is_listed && expected[o][e].is_met))
                continue;
            wrong++;
            printf("%s: %s %s was %s\n", path, operation_name(o), errno_name((int)e),
                   !met                        ? "never met"
                   : !expected[o][e].is_listed ? "met, and is not listed"
                                               : "met, though it should not be possible");
        }
    return wrong;
}

static void write_errors(FILE *out) {
    bool used[LOCKSTEP_ERRORS] = {false};
    fputs(
        "# Errors by operation\n\nGenerated by `make torture`: how often a callback has ended an "
        "operation with an "
        "errno, over all "
        "runs.\n`-`: its manual page does not have it, and no clause; `0`: explained below.\n\n| |",
        out);
    for (unsigned o = 0; o < ET_OPERATIONS; o++)
        fprintf(out, " %s |", operation_name(o));
    fputs("\n|---|", out);
    for (unsigned o = 0; o < ET_OPERATIONS; o++)
        fputs("---|", out);
    for (unsigned e = 1; e < LOCKSTEP_ERRORS; e++) {
        for (unsigned o = 0; o < ET_OPERATIONS; o++)
            used[e] = used[e] || total.errors[o][e] > 0 || expected[o][e].is_listed;
        if (!used[e])
            continue;
        fprintf(out, "\n| %s |", errno_name((int)e));
        for (unsigned o = 0; o < ET_OPERATIONS; o++)
            if (total.errors[o][e] > 0 || expected[o][e].is_listed)
                fprintf(out, " %u |", total.errors[o][e]);
            else
                fputs(" - |", out);
    }
    fputs("\n\n## Why some are never met\n\n", out);
    for (unsigned o = 0; o < ET_OPERATIONS; o++)
        for (unsigned e = 1; e < LOCKSTEP_ERRORS; e++)
            if (expected[o][e].is_listed && !expected[o][e].is_met)
                fprintf(out, "- %s %s: %s\n", operation_name(o), errno_name((int)e),
                        expected[o][e].reason);
}

static bool write_reports(const char *folder, unsigned programs) {
    char path[4096];
    snprintf(path, sizeof path, "%s/errors.md", folder);
    FILE *errors = fopen(path, "w");
    snprintf(path, sizeof path, "%s/torture.json", folder);
    FILE *json = fopen(path, "w");
    if (errors != NULL)
        write_errors(errors);
    if (json != NULL)
        fprintf(json, "{\"points\": %llu, \"failures\": %llu, \"programs\": %u, \"runs\": %llu}\n",
                (unsigned long long)total.points, (unsigned long long)total.failures, programs,
                (unsigned long long)total.runs);
    bool written = errors != NULL && json != NULL;
    if (errors != NULL)
        written = fclose(errors) == 0 && written;
    if (json != NULL)
        written = fclose(json) == 0 && written;
    if (!written)
        fprintf(stderr, "etalon: %s: the reports could not be written\n", folder);
    return written;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void show_progress(int done, int count) {
    static bool shown;
    if (!isatty(STDERR_FILENO))
        return;
    if (done < count)
        fprintf(stderr, "\r%d of %d program%s, %llu run%s, %llu failure%s ", done, count,
                plural((uint64_t)count), (unsigned long long)total.runs, plural(total.runs),
                (unsigned long long)total.failures, plural(total.failures));
    else if (shown)
        fputs("\r\033[K", stderr);
    shown = true;
}

int torture_all(char **files, int count, bool (*load)(const char *path, struct trace *trace),
                const struct torture_options *options) {
    int status = 0;
    if (options->expected != NULL && !torture_read_expectations(options->expected))
        return 2;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        abort();
    for (int i = 0; i < count; i++) {
        struct trace trace;
        show_progress(i, count);
        if (!load(files[i], &trace)) {
            status = 2;
            continue;
        }
        unsigned completions, handles; /* a long one would take hours */
        if (trace.real_only || program_needs(&trace.program, &completions, &handles)) {
            trace_free(&trace);
            continue;
        }
        torture_prolong(&trace.program);
        torture_file(files[i], &trace.program, options, (uint64_t)i << 32);
        trace_free(&trace);
    }
    show_progress(count, count);
    if (options->expected != NULL && options->sample <= 1)
        total.failures += compare_errors(options->expected);
    if (options->report != NULL && !write_reports(options->report, (unsigned)count))
        status = 2;
    printf("%llu run%s, %s: one call fails, or it and those after it, with every errno of its "
           "manual page\n",
           (unsigned long long)total.runs, plural(total.runs),
           options->sample > 1 ? "a sample" : "all");
    printf("%llu point%s in %d program%s, %llu failure%s\n", (unsigned long long)total.points,
           plural(total.points), count, plural((uint64_t)count), (unsigned long long)total.failures,
           plural(total.failures));
    return status != 0 ? status : total.failures > 0;
}

/* SPDX-License-Identifier: MIT */
/* Checks the simulated kernel against the real one by whole programs (compare.h). A program runs in
 * lockstep on both, and all that is seen must be equal: calls and their results, callbacks, what
 * the loop asked of the kernel and was answered, what was reported ready, and the model's verdict.
 * Only within the deliveries of one wait may the order differ.
 *
 * The simulated kernel gets the sizes of the real one, so that full buffers are compared too. A
 * program that meets a size of the simulation's own tables is not comparable, and counted apart. */
#include "compare.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../fuzz/world/kernel.h"
#include "../../fuzz/driver/lockstep.h"
#include "../../fuzz/driver/generator.h"
#include "../../fuzz/driver/shrink.h"
#include "../kit/text.h"
#include "options.h"

#define DIFFERENCES_MAX 5 /* then the comparison ends: mostly they have one cause */
#define LINES_MAX       (1u << 17)
#define TEXT_MAX        (1u << 23)
#define CONTEXT         12
#define COLUMN          66

/* What was seen of one run. */
struct sight {
    char text[TEXT_MAX];
    size_t used;
    size_t line[LINES_MAX]; /* where in text each begins: the mark, then the words */
    unsigned lines;
    uint64_t excess;
    struct lockstep_report report;
};

static struct sight simulated, real;

struct options {
    uint64_t random; /* how many programs */
    uint64_t seed;
    const char *folder;
};

/* UNLAWFUL: the same was seen on both, and the model finds the same fault in it: it is the loop
 * that is to blame. */
enum outcome { SAME, REORDERED, UNLAWFUL, DIFFERENT, NOT_COMPARABLE, NOT_POSSIBLE };

/* Allocates nothing: the driver would take that for an allocation of the loop. What exceeds the
 * space is kept as a sum. */
static void on_line(void *self, char mark, const char *line) {
    struct sight *sight = self;
    size_t length = strlen(line) + 1;
    if (sight->lines == LINES_MAX || length + 1 > TEXT_MAX - sight->used) {
        for (; *line != '\0'; line++)
            sight->excess = (sight->excess ^ (unsigned char)*line) * UINT64_C(0x100000001b3);
        return;
    }
    sight->line[sight->lines++] = sight->used;
    sight->text[sight->used] = mark;
    memcpy(sight->text + sight->used + 1, line, length);
    sight->used += length + 1;
}

static const char *line_of(const struct sight *sight, unsigned i) {
    return i < sight->lines ? sight->text + sight->line[i] : "";
}

static void see(struct sight *sight, const struct program *p,
                const struct world_kind_functions *world) {
    sight->used = sight->lines = 0;
    sight->excess = 0;
    lockstep_run(&lockstep_reference, p, world, on_line, sight, &sight->report);
}

/* ---- are they equal? ------------------------------------------------------------------------- */

static bool begins(const char *line, const char *with) {
    return strncmp(line, with, strlen(with)) == 0;
}

/* From the end of a wait on, until the next one or the end of the tick. */
static unsigned deliveries_end(const struct sight *sight, unsigned i) {
    while (i < sight->lines && !begins(line_of(sight, i), ".wait") &&
           !begins(line_of(sight, i), ">tick") && !begins(line_of(sight, i), ">run"))
        i++;
    return i;
}

static const struct sight *sorted;

static int by_text(const void *a, const void *b) {
    return strcmp(sorted->text + *(const size_t *)a, sorted->text + *(const size_t *)b);
}

static void sort_deliveries(struct sight *sight) {
    for (unsigned i = 0; i < sight->lines; i++) {
        if (!begins(line_of(sight, i), ".woken"))
            continue;
        unsigned end = deliveries_end(sight, i + 1);
        sorted = sight;
        qsort(&sight->line[i + 1], end - i - 1, sizeof *sight->line, by_text);
        i = end - 1;
    }
}

static unsigned first_difference(void) {
    unsigned i = 0;
    while ((i < simulated.lines || i < real.lines) &&
           strcmp(line_of(&simulated, i), line_of(&real, i)) == 0)
        i++;
    return i;
}

static bool equal(void) {
    return simulated.lines == real.lines && simulated.excess == real.excess &&
           first_difference() == real.lines;
}

static enum outcome compare_program(const struct program *p) {
    see(&real, p, &world_real);
    if (real.report.not_possible)
        return NOT_POSSIBLE;
    kernel_limit_met = false;
    see(&simulated, p, &world_simulated);
    const struct lockstep_report *a = &simulated.report, *b = &real.report;
    if (kernel_limit_met)
        return NOT_COMPARABLE;
    if (a->differs != b->differs || strcmp(a->clause, b->clause) != 0 ||
        strcmp(a->what, b->what) != 0)
        return DIFFERENT;
    if (a->commands != b->commands || a->callbacks != b->callbacks || a->waits != b->waits)
        return DIFFERENT;
    if (equal())
        return a->differs ? UNLAWFUL : SAME;
    sort_deliveries(&simulated);
    sort_deliveries(&real);
    return equal() ? REORDERED : DIFFERENT;
}

static bool shows(const struct program *p, void *self) {
    const enum outcome *wanted = self;
    return compare_program(p) == *wanted;
}

/* ---- telling --------------------------------------------------------------------------------- */

static void print_verdict(const struct sight *sight, const char *world) {
    const struct lockstep_report *report = &sight->report;
    if (report->differs)
        printf("  on the %s kernel the loop breaks %s: %s\n", world, report->clause, report->what);
}

static void print_difference(const struct program *p) {
    compare_program(p);
    see(&real, p, &world_real); /* in their own order */
    see(&simulated, p, &world_simulated);
    unsigned at = first_difference();
    print_verdict(&simulated, "simulated");
    print_verdict(&real, "real");
    printf("  %-*s| %s\n", COLUMN, "simulated", "real");
    for (unsigned i = at > CONTEXT ? at - CONTEXT : 0; i < at + CONTEXT / 2; i++) {
        const char *left = line_of(&simulated, i), *right = line_of(&real, i);
        if (*left != '\0' || *right != '\0')
            printf("%c %-*.*s| %s\n", i == at ? '*' : ' ', COLUMN, COLUMN, left, right);
    }
}

static void tell_difference(const struct program *p, const char *name,
                            const struct options *options, enum outcome outcome, unsigned number) {
    struct trace trace = {.program = *p};
    char path[4096];
    const char *what = outcome == DIFFERENT ? "the kernels differ"
                                            : "the loop breaks its law, on both kernels alike";
    printf("%s: %s\n", name, what);
    fflush(stdout);
    shrink_program(&trace.program, shows, &outcome);
    print_difference(&trace.program);
    snprintf(trace.title, sizeof trace.title, "%s (%.80s)", what, name);
    snprintf(path, sizeof path, "%s/difference-%u.trace", options->folder, number);
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        fprintf(stderr, "etalon: %s: %s\n", path, strerror(errno));
        return;
    }
    trace_write(out, &trace);
    if (fclose(out) == 0)
        printf("  the shortest program found that shows it: %s\n", path);
}

/* ---- the comparison -------------------------------------------------------------------------- */

struct tally {
    uint64_t of[NOT_POSSIBLE + 1];
};

static uint64_t compared(const struct tally *tally) {
    return tally->of[SAME] + tally->of[REORDERED] + tally->of[UNLAWFUL] + tally->of[DIFFERENT];
}

static void count(struct tally *tally, const struct program *p, const char *name,
                  const struct options *options) {
    enum outcome outcome = compare_program(p);
    if (++tally->of[outcome] <= DIFFERENCES_MAX && (outcome == DIFFERENT || outcome == UNLAWFUL))
        tell_difference(p, name, options, outcome,
                        (unsigned)(tally->of[DIFFERENT] + tally->of[UNLAWFUL]));
}

static void compare_random(struct tally *tally, const struct program *const *bases,
                           unsigned base_count, const struct options *options) {
    static struct program p;
    bool shown = isatty(STDERR_FILENO) != 0;
    for (uint64_t i = 0; i < options->random && tally->of[DIFFERENT] < DIFFERENCES_MAX; i++) {
        char name[80];
        uint64_t state = options->seed << 32 ^ i; /* so that any one of them can be made again */
        if (shown && i % 500 == 0)
            fprintf(stderr, "\retalon: %llu of %llu program%s ", (unsigned long long)i,
                    (unsigned long long)options->random, plural(options->random));
        generate_program(&p, &state, bases, base_count, NULL);
        snprintf(name, sizeof name, "random program %llu of seed %llu", (unsigned long long)i,
                 (unsigned long long)options->seed);
        count(tally, &p, name, options);
    }
    if (shown)
        fprintf(stderr, "\r%40s\r", "");
}

static bool write_report(const struct tally *tally, const struct options *options) {
    char path[4096];
    snprintf(path, sizeof path, "%s/compare.json", options->folder);
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        fprintf(stderr, "etalon: %s: %s\n", path, strerror(errno));
        return false;
    }
    fprintf(out, "{\"programs\": %llu, \"not_comparable\": %llu, \"differences\": %llu}\n",
            (unsigned long long)compared(tally), (unsigned long long)tally->of[NOT_COMPARABLE],
            (unsigned long long)tally->of[DIFFERENT]);
    return fclose(out) == 0;
}

static int compare_all(const struct trace *traces, char *const *names, unsigned trace_count,
                       const struct options *options) {
    struct tally tally = {{0}};
    unsigned bases = 0;
    const struct program **base = calloc(trace_count + 1, sizeof *base);
    if (base == NULL || (mkdir(options->folder, 0777) != 0 && errno != EEXIST)) {
        fprintf(stderr, "etalon: %s: %s\n", options->folder, strerror(errno));
        free(base);
        return 2;
    }
    kernel_sizes = real_world_sizes();
    for (unsigned i = 0; i < trace_count; i++) {
        unsigned completions, handles; /* many are the real one's alone */
        if (traces[i].real_only || program_needs(&traces[i].program, &completions, &handles))
            continue;
        base[bases++] = &traces[i].program;
        if (!generator_only_simulated(&traces[i].program))
            count(&tally, &traces[i].program, names[i], options);
    }
    compare_random(&tally, base, bases, options);
    kernel_sizes = &kernel_small;
    free(base);
    if (!write_report(&tally, options))
        return 2;
    printf("%llu program%s compared, %llu not comparable, %llu difference%s\n",
           (unsigned long long)compared(&tally), plural(compared(&tally)),
           (unsigned long long)tally.of[NOT_COMPARABLE], (unsigned long long)tally.of[DIFFERENT],
           plural(tally.of[DIFFERENT]));
    if (tally.of[REORDERED] > 0)
        printf("(%llu of them with another order within a batch)\n",
               (unsigned long long)tally.of[REORDERED]);
    if (tally.of[UNLAWFUL] > 0)
        printf("in %llu program%s the loop breaks its law, on both kernels alike\n",
               (unsigned long long)tally.of[UNLAWFUL], plural(tally.of[UNLAWFUL]));
    if (compared(&tally) == 0)
        return 2;
    return tally.of[DIFFERENT] > 0 || tally.of[UNLAWFUL] > 0;
}

static bool read_number(const char *option, const char *text, uint64_t *number) {
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && *end == '\0' && errno == 0)
        return true;
    fprintf(stderr, "etalon: compare: %s: '%s' is not a number\n", option, text);
    return false;
}

static const char usage[] =
    "usage: etalon compare [--random N] [--seed S] [--output FOLDER] [FILE...]\n"
    "\n"
    "Runs the programs of the FILEs, and N random ones, on the simulated and on the real kernel:\n"
    "all that is seen must be the same.\n"
    "\n"
    "  --random N       so many random programs\n"
    "  --seed S         other ones, always the same for the same S\n"
    "  --output FOLDER  where compare.json and each difference are written (build/report)\n"
    "\n"
    "Exit status: 0 no difference, 1 a difference, 2 nothing could be compared, bad input or\n"
    "arguments, or an output that cannot be written.\n";

int compare_main(int argc, char **argv, bool (*load)(const char *path, struct trace *trace)) {
    static const struct option long_options[] = {{"random", required_argument, NULL, 'n'},
                                                 {"seed", required_argument, NULL, 's'},
                                                 {"output", required_argument, NULL, 'o'},
                                                 {"help", no_argument, NULL, 'h'},
                                                 {0}};
    struct options options = {.folder = "build/report"};
    int letter;
    bool valid = true;
    while (valid &&
           (letter = options_next("compare", argc, argv, ":n:s:o:h", long_options)) != -1) {
        if (letter == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (letter == 'o')
            options.folder = optarg;
        else if (letter == 'n')
            valid = read_number("--random", optarg, &options.random);
        else
            valid = letter == 's' && read_number("--seed", optarg, &options.seed);
    }
    unsigned files = (unsigned)(argc - optind);
    struct trace *traces = calloc(files + 1, sizeof *traces);
    if (valid && files == 0 && options.random == 0)
        fputs(usage, stderr);
    if (!valid || traces == NULL || (files == 0 && options.random == 0)) {
        free(traces);
        return 2;
    }
    unsigned loaded = 0;
    while (loaded < files && load(argv[optind + (int)loaded], &traces[loaded]))
        loaded++;
    int status = loaded == files ? compare_all(traces, argv + optind, files, &options) : 2;
    for (unsigned i = 0; i < loaded; i++)
        trace_free(&traces[i]);
    free(traces);
    return status;
}

/* SPDX-License-Identifier: MIT */
/* `etalon check`: checks loops that are given as adapters against the law (RUNNER.md is the
 * contract). Reads the cases, runs each on each subject in a process of its own (process.c), and
 * lets tell: a person (tell.c), and programs by the test-anything protocol (tap.c), JUnit's XML
 * (junit.c) and JSON (report.c). */
#include "check.h"

#include <stdio.h>

#ifndef ETALON_WITHOUT_KIT

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../tool/child.h"
#include "../tool/options.h"
#include "../tool/output.h"
#include "baseline.h"
#include "claim.h"
#include "shorten.h"

#define BAD_INPUT    2
#define PATTERNS_MAX 128
#define BATCH        256 /* random programs at a time */
#define KINDS_MAX    64  /* of failures by random programs that are told, for each subject */
#define SHRUNK_MAX   12  /* … of which so many are made as short as they get */
#define RERUNS_MAX   32
#define PROBE_MS     50
#define PROBE_S      3

struct options {
    const char *cases, *law, *profiles, *json, *summary, *tap, *junit, *html, *gate, *baseline;
    const char *case_pattern[PATTERNS_MAX], *clause_pattern[PATTERNS_MAX];
    unsigned case_patterns, clause_patterns, jobs;
    bool list, dry_run, matrix, outside, update_baseline;
    struct { /* random programs, by the names that were told of them */
        uint64_t seed, number;
        const char *subject, *name; /* subject: empty for all */
    } rerun[RERUNS_MAX];
    unsigned reruns;
};

static struct check check;
static struct options options;
static struct claim_suite suite;
static struct baseline baseline;

static void complain(const char *what, const char *why) {
    fprintf(stderr, "etalon: %s: %s\n", what, why);
}

char *check_claim(const struct check *of, unsigned subject) {
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (out != NULL) {
        claim_write(out, &suite, of, subject);
        fclose(out);
    }
    return text;
}

void check_profiles(FILE *out, const struct check *of, unsigned subject) {
    claim_profiles(out, &suite, of, subject);
}

/* ---- cases ----------------------------------------------------------------------------------- */

/* The comments before the first body, as prose. */
static char *description_of(const char *path) {
    char line[1024], *text = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "r"), *out = open_memstream(&text, &size);
    while (file != NULL && out != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "main", 4) == 0 || strncmp(line, "body", 4) == 0)
            break;
        char *words = line + strspn(line, " \t");
        if (*words != '#')
            continue;
        words += strspn(words, "# \t");
        words[strcspn(words, "\n")] = '\0';
        fprintf(out, "%s%s", ftell(out) > 0 ? " " : "", words);
    }
    if (file != NULL)
        fclose(file);
    if (out != NULL)
        fclose(out);
    return text;
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_trace(const struct dirent *entry) {
    size_t length = strlen(entry->d_name);
    return length > 6 && length < 60 && strcmp(entry->d_name + length - 6, ".trace") == 0;
}

static bool new_case(const char *path, const char *name,
                     bool (*load)(const char *path, struct trace *trace)) {
    struct check_case *c = &check.cases_list[check.cases];
    size_t length = strlen(name);
    bool suffix = length > 6 && strcmp(name + length - 6, ".trace") == 0;
    if (!load(path, &c->trace))
        return false;
    for (const char *p = name; *p != '\0'; p++)
        /* results would be another line, or a directive */
        if ((unsigned char)*p < ' ' || *p == 0x7f || *p == '#') {
            fputs("etalon: the name of a case has a '#' or an unprintable character\n", stderr);
            return false;
        }
    snprintf(c->id, sizeof c->id, "%.*s", (int)(suffix ? length - 6 : length), name);
    c->description = description_of(path);
    check.cases++;
    return true;
}

/* How many cases there can be, beside those of the folder. */
static size_t others(void) {
    return SUBJECTS_MAX * (KINDS_MAX + options.reruns) + 1;
}

/* --cases: a folder of traces, or one of them. */
static bool load_cases(const char *folder, bool (*load)(const char *path, struct trace *trace)) {
    struct dirent **entry = NULL;
    struct stat status;
    if (stat(folder, &status) == 0 && S_ISREG(status.st_mode)) {
        const char *slash = strrchr(folder, '/');
        check.cases_list = process_list(1 + others(), sizeof *check.cases_list);
        return new_case(folder, slash != NULL ? slash + 1 : folder, load);
    }
    int count = scandir(folder, &entry, is_trace, by_name);
    bool good = count > 0;
    if (count < 0)
        complain(folder, strerror(errno));
    else if (count == 0)
        complain(folder,
                 "no case (*.trace) is there; --cases says where they are, or which file is one");
    check.cases_list =
        process_list((size_t)(count > 0 ? count : 0) + others(), sizeof *check.cases_list);
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%.3800s/%s", folder, entry[i]->d_name);
        good = good && new_case(path, entry[i]->d_name, load);
        free(entry[i]);
    }
    free(entry);
    return good;
}

static bool in_range(const char *pattern, unsigned number) {
    char *end;
    unsigned long from = strtoul(pattern, &end, 10), to = from;
    if (end == pattern)
        return false;
    if (*end == '-')
        to = strtoul(end + 1, &end, 10);
    return *end == '\0' && number >= from && number <= to;
}

static bool by_case(const struct check_case *c, unsigned number, const char *pattern) {
    return in_range(pattern, number) || fnmatch(pattern, c->id, 0) == 0;
}

static bool by_clause(const struct check_case *c, const char *pattern) {
    for (unsigned k = 0; k < c->trace.clauses; k++)
        if (fnmatch(pattern, c->trace.clause[k], 0) == 0)
            return true;
    return false;
}

static bool chosen(const struct check_case *c, unsigned number) {
    bool named = options.case_patterns == 0 && (options.reruns == 0 || options.clause_patterns > 0);
    bool about = options.clause_patterns == 0;
    for (unsigned i = 0; i < options.case_patterns; i++)
        named = named || by_case(c, number, options.case_pattern[i]);
    for (unsigned i = 0; i < options.clause_patterns; i++)
        about = about || by_clause(c, options.clause_pattern[i]);
    return named && about;
}

/* Each pattern has to choose something by itself. */
static bool patterns_choose(void) {
    char option[200];
    bool good = true;
    for (unsigned i = 0; i < options.case_patterns; i++) {
        bool found = false;
        for (unsigned k = 0; k < check.cases && !found; k++)
            found = by_case(&check.cases_list[k], k + 1, options.case_pattern[i]);
        snprintf(option, sizeof option, "--case %.160s", options.case_pattern[i]);
        if (!found)
            complain(option, "no case has such a name or number (etalon check --list)");
        good = good && found;
    }
    for (unsigned i = 0; i < options.clause_patterns; i++) {
        bool found = false, in_law = false;
        for (unsigned k = 0; k < check.cases && !found; k++)
            found = by_clause(&check.cases_list[k], options.clause_pattern[i]);
        for (unsigned k = 0; k < check.law.clauses && !in_law; k++)
            in_law = fnmatch(options.clause_pattern[i], check.law.clause[k].id, 0) == 0;
        snprintf(option, sizeof option, "--clause %.160s", options.clause_pattern[i]);
        if (!found)
            complain(option,
                     in_law ? "no case is about this clause" : "the law has no such clause");
        good = good && found;
    }
    return good;
}

/* Keeps the chosen ones. The numbers that a case is chosen by are its places in the whole list. */
static bool choose_cases(void) {
    unsigned kept = 0;
    check.all_cases = check.cases;
    if (!patterns_choose())
        return false;
    for (unsigned i = 0; i < check.cases; i++) {
        struct check_case *c = &check.cases_list[i];
        bool wanted = chosen(c, i + 1);
        if (options.list && wanted) {
            printf("%3u  %-36s ", i + 1, c->id);
            for (unsigned k = 0; k < c->trace.clauses; k++)
                printf(" %s", c->trace.clause[k]);
            putchar('\n');
        }
        if (wanted) {
            struct check_case moved = *c;
            *c = check.cases_list[kept];
            check.cases_list[kept++] = moved;
        }
    }
    check.cases = kept;
    if (kept > 0 || (options.reruns > 0 && !options.list))
        return true;
    complain("etalon check",
             "no case is chosen by all of these patterns together (etalon check --list)");
    return false;
}

/* ---- running --------------------------------------------------------------------------------- */

static void clear_progress(void) {
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

static struct check_result *new_result(unsigned subject, unsigned of_case) {
    struct check_result *grown = realloc(check.result, (check.results + 1) * sizeof *grown);
    if (grown == NULL) {
        perror("etalon");
        exit(BAD_INPUT);
    }
    check.result = grown;
    struct check_result *r = &check.result[check.results++];
    memset(r, 0, sizeof *r);
    r->subject = subject;
    r->of_case = of_case;
    return r;
}

static void run_references(unsigned from) {
    unsigned count = check.cases - from;
    struct job *job = calloc(count + 1, sizeof *job);
    for (unsigned i = 0; job != NULL && i < count; i++)
        job[i] = (struct job){.trace = &check.cases_list[from + i].trace,
                              .reference = true,
                              .outcome = &check.cases_list[from + i].reference};
    if (job != NULL)
        process_run(job, count, options.jobs, NULL);
    free(job);
}

static void tell_ended(unsigned done, unsigned all);

static void run_cases(void) {
    unsigned jobs = 0;
    struct job *job = calloc((size_t)check.cases * check.subjects + 1, sizeof *job);
    for (unsigned s = 0; s < check.subjects; s++)
        for (unsigned c = 0; c < check.cases; c++)
            new_result(s, c);
    /* the list does not grow from here on */
    for (unsigned i = 0; job != NULL && i < check.results; i++) {
        struct check_result *r = &check.result[i];
        struct etalon_subject subject = subject_shape(&check.subject[r->subject]);
        const char *lacks = kit_lacks(&subject, &check.cases_list[r->of_case].trace);
        if (lacks != NULL) {
            r->outcome.verdict = VERDICT_NOT_OFFERED;
            r->outcome.ended = true;
            snprintf(r->outcome.message, sizeof r->outcome.message, "%s", lacks);
            continue;
        }
        job[jobs++] = (struct job){.subject = &check.subject[r->subject],
                                   .trace = &check.cases_list[r->of_case].trace,
                                   .outcome = &r->outcome};
    }
    if (job != NULL && !options.dry_run)
        process_run(job, jobs, options.jobs, tell_ended);
    if (!options.dry_run)
        tell_ended(jobs, jobs);
    free(job);
}

bool is_bad(enum verdict verdict) {
    return verdict == VERDICT_FAIL || verdict == VERDICT_HANG || verdict == VERDICT_CRASH;
}

/* ---- shrinking ------------------------------------------------------------------------------- */

/* Finds the shortest program that is judged alike, if there is a shorter one, and its run. */
static void shrink(struct check_result *r, bool lenient) {
    const struct trace *trace = &check.cases_list[r->of_case].trace;
    struct program *p = malloc(sizeof *p);
    if (p == NULL)
        return;
    shorten(&check.subject[r->subject], trace, &r->outcome, lenient, p, &r->shortest);
    snprintf(r->shrunk_message, sizeof r->shrunk_message, "%s", r->shortest.message);
    if (p->commands < trace->program.commands)
        r->shrunk = p;
    else
        free(p);
}

static bool shrinks(void) {
    return options.json != NULL || options.html != NULL ||
           (!check.quiet && (!options.matrix || options.tap != NULL || options.junit != NULL));
}

static bool is_gate(unsigned subject) {
    return options.gate != NULL && strcmp(options.gate, check.subject[subject].name) == 0;
}

/* Whether it is a failure in this check. */
static bool is_failure(unsigned subject, const struct outcome *outcome) {
    char failure[OUTCOME_FAILURE];
    outcome_failure(outcome, failure);
    bool strictly = (check.strict || is_gate(subject)) && !kit_tolerates(failure);
    return is_bad(outcome->verdict) || (strictly && outcome->verdict == VERDICT_NOT_STRICT);
}

/* … and one that is known. */
static void rate(struct check_result *r) {
    r->counts = is_failure(r->subject, &r->outcome);
    if (check.baseline != NULL)
        baseline_meet(check.baseline, &check, r);
}

static void conclude(struct check_result *r) {
    rate(r);
    if (is_bad(r->outcome.verdict) && !r->known && shrinks())
        shrink(r, false);
}

/* ---- random programs ------------------------------------------------------------------------- */

/* The result of those from this one on that tells of such a failure, or NULL. */
static struct check_result *known_kind(unsigned s, unsigned from, const struct outcome *outcome) {
    for (unsigned i = from; i < check.results; i++)
        if (check.result[i].subject == s && outcome_alike(&check.result[i].outcome, outcome))
            return &check.result[i];
    return NULL;
}

/* The file that is standard output. */
static bool is_dash(const char *path) {
    return path != NULL && output_is_standard(path);
}

static void tell_now(unsigned number) {
    clear_progress();
    if (is_dash(options.tap))
        tap_result(stdout, &check, number);
    fflush(stdout);
}

/* A random program that is worth telling becomes a case of its own, as short as it gets. */
static void tell_random(unsigned s, uint64_t seed, uint64_t number, const struct trace *trace,
                        struct outcome *outcome, bool shorten) {
    struct check_case *c = &check.cases_list[check.cases];
    memset(c, 0, sizeof *c);
    snprintf(c->id, sizeof c->id, "random-%llu-%llu-%s", (unsigned long long)seed,
             (unsigned long long)number, check.subject[s].name);
    snprintf(c->trace.title, sizeof c->trace.title, "random program %llu of seed %llu, for %s",
             (unsigned long long)number, (unsigned long long)seed, check.subject[s].name);
    c->trace.program = trace->program;
    if (outcome->clause[0] != '\0') {
        snprintf(c->trace.clause[0], sizeof c->trace.clause[0], "%s", outcome->clause);
        c->trace.clauses = 1;
    }
    unsigned of_case = check.cases++;
    struct check_result *r = new_result(s, of_case);
    r->outcome = *outcome;
    r->random = true;
    r->programs = 1;
    rate(r);
    if (r->counts && !r->known && shorten)
        shrink(r, true);
    if (r->shrunk != NULL) {
        c->trace.program = *r->shrunk;
        struct outcome again = {.verdict = VERDICT_PASS};
        struct job job = {
            .subject = &check.subject[s], .trace = &c->trace, .lenient = true, .outcome = &again};
        process_run(&job, 1, 1, NULL);
        if (outcome_alike(&again, &r->outcome)) {
            outcome_free(outcome);
            r->outcome = again;
        } else { /* it comes and goes: what was seen stays said, of the program as it was */
            outcome_free(&again);
            c->trace.program = trace->program;
            free(r->shrunk);
            r->shrunk = NULL;
        }
    }
    run_references(of_case);
    tell_now(check.results - 1);
}

static struct {
    unsigned subject, first, kinds; /* first: of its results */
    uint64_t from;                  /* the number of the first program */
    unsigned count, told;
    struct trace *trace; /* so many as BATCH */
    struct outcome outcome[BATCH];
    struct job job[BATCH];
} batch;

/* In the order of their numbers, whichever comes first. */
static void tell_batch(unsigned done, unsigned all) {
    unsigned s = batch.subject;
    (void)all;
    for (; batch.told < batch.count && batch.outcome[batch.told].ended; batch.told++) {
        struct outcome *outcome = &batch.outcome[batch.told];
        check.tally[s].programs++;
        check.tally[s].judged += outcome->verdict != VERDICT_NOT_OFFERED;
        check.tally[s].bad += is_bad(outcome->verdict);
        check.tally[s].excused += outcome->verdict == VERDICT_NOT_STRICT;
        struct check_result *alike =
            is_failure(s, outcome) ? known_kind(s, batch.first, outcome) : NULL;
        bool is_new = is_failure(s, outcome) && alike == NULL;
        if (alike != NULL)
            alike->programs++;
        check.tally[s].too_many = check.tally[s].too_many || (is_new && batch.kinds == KINDS_MAX);
        if (is_new && batch.kinds < KINDS_MAX)
            tell_random(s, check.seed, batch.from + batch.told, &batch.trace[batch.told], outcome,
                        batch.kinds++ < SHRUNK_MAX);
        else
            outcome_free(outcome);
    }
    if (isatty(STDERR_FILENO) && done % 16 == 0)
        fprintf(stderr, "\retalon: %s: %llu of %llu random program%s ", check.subject[s].name,
                (unsigned long long)(batch.from + done), (unsigned long long)check.random,
                plural(check.random));
}

static void run_random_of(unsigned s) {
    struct etalon_subject subject = subject_shape(&check.subject[s]);
    if (batch.trace == NULL)
        batch.trace = process_list(BATCH, sizeof *batch.trace);
    batch.subject = s;
    batch.first = check.results;
    batch.kinds = 0;
    for (batch.from = 0; batch.from < check.random; batch.from += BATCH) {
        batch.count =
            check.random - batch.from < BATCH ? (unsigned)(check.random - batch.from) : BATCH;
        batch.told = 0;
        memset(batch.outcome, 0, sizeof batch.outcome);
        for (unsigned i = 0; i < batch.count; i++) {
            memset(&batch.trace[i], 0, sizeof batch.trace[i]);
            random_program(&batch.trace[i].program, check.seed, batch.from + i, &subject);
            batch.job[i] = (struct job){.subject = &check.subject[s],
                                        .trace = &batch.trace[i],
                                        .lenient = true,
                                        .outcome = &batch.outcome[i]};
        }
        process_run(batch.job, batch.count, options.jobs, tell_batch);
    }
    clear_progress();
}

/* Random programs that were named: told whatever comes of them. */
static bool rerun(void) {
    static struct trace trace;
    for (unsigned i = 0; i < options.reruns; i++) {
        bool found = false;
        for (unsigned s = 0; s < check.subjects; s++) {
            struct etalon_subject subject = subject_shape(&check.subject[s]);
            struct outcome outcome = {.ended = false};
            struct job job = {.subject = &check.subject[s],
                              .trace = &trace,
                              .lenient = true,
                              .outcome = &outcome};
            if (options.rerun[i].subject[0] != '\0' &&
                strcmp(options.rerun[i].subject, subject.name) != 0)
                continue;
            found = true;
            memset(&trace, 0, sizeof trace);
            random_program(&trace.program, options.rerun[i].seed, options.rerun[i].number,
                           &subject);
            process_run(&job, 1, 1, NULL);
            tell_random(s, options.rerun[i].seed, options.rerun[i].number, &trace, &outcome, true);
        }
        if (!found) {
            complain(options.rerun[i].name, "no subject has the name at its end");
            return false;
        }
    }
    return true;
}

/* ---- telling --------------------------------------------------------------------------------- */

/* For the exit status. */
static bool counts_as_bad(const struct check_result *r) {
    return r->counts && !r->known && (options.gate == NULL || is_gate(r->subject));
}

/* Cases that have ended are shrunk and told in their order, as they come. The plan is the last line
 * when random programs may add to it. */
static void tell_ended(unsigned done, unsigned all) {
    static unsigned told;
    for (; told < check.results && check.result[told].outcome.ended; told++) {
        conclude(&check.result[told]);
        tell_now(told);
    }
    if (isatty(STDERR_FILENO) && done < all)
        fprintf(stderr, "\retalon: %u of %u run%s ", done, all, plural(all));
}

static bool plan_comes_last(void) {
    return check.random > 0 || options.reruns > 0 || check.baseline != NULL;
}

static void begin_telling(void) {
    if (!is_dash(options.tap))
        return;
    puts("TAP version 13");
    if (!plan_comes_last())
        printf("1..%u\n", check.cases * check.subjects);
    fflush(stdout);
}

static void print_matrix(void) {
    printf("%-12s %-12s", "subject", "version");
    for (unsigned v = 0; v < VERDICTS; v++)
        printf(" %12s", verdict_name[v]);
    putchar('\n');
    for (unsigned s = 0; s < check.subjects; s++) {
        unsigned count[VERDICTS] = {0};
        for (unsigned i = 0; i < check.results; i++)
            if (check.result[i].subject == s)
                count[check.result[i].outcome.verdict]++;
        printf("%-12s %-12.12s", check.subject[s].name, check.subject[s].version);
        for (unsigned v = 0; v < VERDICTS; v++)
            printf(" %12u", count[v]);
        putchar('\n');
    }
}

static void print_random(void) {
    for (unsigned s = 0; s < check.subjects && check.random > 0; s++)
        printf("# %s: %llu random program%s of seed %llu, %llu judged, %llu not as the law has it, "
               "%llu not strict (a SHOULD is missed, or it is documented)\n",
               check.subject[s].name, (unsigned long long)check.tally[s].programs,
               plural(check.tally[s].programs), (unsigned long long)check.seed,
               (unsigned long long)check.tally[s].judged, (unsigned long long)check.tally[s].bad,
               (unsigned long long)check.tally[s].excused);
}

/* What may be said of each subject; nothing when only some cases were looked at. */
static void print_claims(void) {
    for (unsigned s = 0; s < check.subjects; s++) {
        char *text = check_claim(&check, s);
        if (text != NULL && *text != '\0')
            printf("# claim: %s\n", text);
        free(text);
    }
}

static int dry_run(void) {
    for (unsigned i = 0; i < check.results; i++) {
        const struct check_result *r = &check.result[i];
        bool runs = r->outcome.verdict != VERDICT_NOT_OFFERED;
        printf("%s %s/%s%s%s\n", runs ? "would run" : "not offered", check.subject[r->subject].name,
               check.cases_list[r->of_case].id, runs ? "" : ": ", r->outcome.message);
    }
    return 0;
}

/* ---- the command ----------------------------------------------------------------------------- */

static void check_usage(FILE *out) {
    fputs(
        "usage: etalon check [OPTION...] ADAPTER.so...\n"
        "       etalon check --list [--case PATTERN] [--clause PATTERN]\n"
        "\n"
        "Checks each loop against the law: runs the cases on it, each in a process of its own\n"
        "and under virtual time. Tells what fails, each sort of failure once, with the shortest\n"
        "program that shows it; what may be claimed; and what was not asked.\n"
        "\n"
        "  --case PATTERN     only cases whose name matches (a glob), or with this number or\n"
        "                     range (12, 3-9); or the random program that was told by this name\n"
        "                     (random-1-446-NAME)\n"
        "  --clause PATTERN   only cases about a clause that matches: 'ET-RESET-*'\n"
        "  --list             print the cases with their numbers and clauses; nothing is written\n"
        "  --dry-run          say what would be run, and what is not offered; nothing is written\n"
        "  --random N         also N random programs for each subject, of what it offers\n"
        "  --seed S           which random programs (default: 1)\n"
        "  --jobs N           runs at a time (default: the number of processors)\n"
        "  --watchdog S       seconds after which a run counts as one without an end (default: "
        "10)\n"
        "  --strict           a SHOULD that is missed is a failure too\n"
        "  --outside          judge every subject by what its caller can see, also one that "
        "offers rounds\n"
        "  --gate NAME        only this subject decides the exit status, strictly\n"
        "  --tolerate FAILURE  go on behind this failure, CLAUSE or CLAUSE/KIND, which then does\n"
        "                     not count; no claim is made\n"
        "  --baseline FILE    fail only on what this file does not have, and on what it has and\n"
        "                     does not fail any more\n"
        "  --update-baseline  write that file\n"
        "  --matrix           print subjects and counts instead\n"
        "  --quiet            print no programs and clauses\n"
        "  --tap FILE         write the test-anything protocol\n"
        "  --junit FILE       write JUnit's XML\n"
        "  --json FILE        write everything, for report.py and others\n"
        "  --html FILE        write a page of it, with a picture for each case (needs python3)\n"
        "  --summary FILE     write the counts\n"
        "                     ('-' as FILE of --tap, --junit, --json or --summary is standard\n"
        "                     output, where nothing else is printed then)\n"
        "  --cases PATH       where the cases are, if not where the tool has them: a folder, or "
        "one trace\n"
        "  --law FILE         where the law is, likewise\n"
        "  --profiles FOLDER  where the lists of the profiles' cases are, likewise\n"
        "\n"
        "Exit status: 0 nothing failed, 1 something did (fail, hang, crash; with --baseline:\n"
        "anything else than it has), 2 bad input or arguments, or an output that cannot be "
        "written.\n",
        out);
}

static bool number(const char *option, const char *text, uint64_t least, uint64_t most,
                   uint64_t *result) {
    char *end;
    errno = 0;
    *result = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *result >= least &&
        *result <= most)
        return true;
    fprintf(stderr, "etalon: --%s %s: not a number from %llu to %llu\n", option, text,
            (unsigned long long)least, (unsigned long long)most);
    return false;
}

/* One subject's only when it has a name at its end. False: it is no name of a random program. */
static bool add_rerun(const char *name) {
    if (options.reruns == RERUNS_MAX ||
        !random_name(name, &options.rerun[options.reruns].seed,
                     &options.rerun[options.reruns].number, &options.rerun[options.reruns].subject))
        return false;
    options.rerun[options.reruns++].name = name;
    return true;
}

static bool add_pattern(const char **list, unsigned *count, const char *pattern) {
    if (*count == PATTERNS_MAX) {
        complain(pattern, "too many patterns");
        return false;
    }
    list[(*count)++] = pattern;
    return true;
}

enum {
    CASE = 256,
    CLAUSE,
    LIST,
    DRY_RUN,
    RANDOM,
    SEED,
    JOBS,
    STRICT,
    OUTSIDE,
    GATE,
    MATRIX,
    QUIET,
    JSON,
    HTML,
    TAP,
    JUNIT,
    TOLERATE,
    BASELINE,
    UPDATE_BASELINE,
    SUMMARY,
    CASES,
    LAW,
    PROFILES,
    WATCHDOG
};

static bool tolerate(const char *failure) {
    char option[200];
    const char *why = kit_tolerate(failure);
    check.tolerant = true;
    snprintf(option, sizeof option, "--tolerate %.160s", failure);
    if (why != NULL)
        complain(option, why);
    return why == NULL;
}

/* What is given a second time would silently take the place of the first. */
static bool take_word(int letter) {
    static struct {
        int letter;
        const char *option, **into;
        bool given;
    } words[] = {{JSON, "--json", &options.json, false},
                 {HTML, "--html", &options.html, false},
                 {TAP, "--tap", &options.tap, false},
                 {JUNIT, "--junit", &options.junit, false},
                 {SUMMARY, "--summary", &options.summary, false},
                 {BASELINE, "--baseline", &options.baseline, false},
                 {GATE, "--gate", &options.gate, false},
                 {CASES, "--cases", &options.cases, false},
                 {LAW, "--law", &options.law, false},
                 {PROFILES, "--profiles", &options.profiles, false}};
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
        if (words[i].letter != letter)
            continue;
        if (words[i].given) {
            fprintf(stderr, "etalon: %s %s: it was given already, as %s\n", words[i].option, optarg,
                    *words[i].into);
            return false;
        }
        *words[i].into = optarg;
        words[i].given = true;
        check.other_cases = check.other_cases || letter == CASES;
        return true;
    }
    return false;
}

static bool take_option(int letter) {
    uint64_t value = 0;
    switch (letter) {
    case CASE:
        return add_rerun(optarg) ||
               add_pattern(options.case_pattern, &options.case_patterns, optarg);
    case CLAUSE: return add_pattern(options.clause_pattern, &options.clause_patterns, optarg);
    case LIST: options.list = true; return true;
    case DRY_RUN: options.dry_run = true; return true;
    case RANDOM: return number("random", optarg, 0, RANDOM_MAX, &check.random);
    case SEED: return number("seed", optarg, 0, UINT32_MAX, &check.seed);
    case JOBS:
        if (!number("jobs", optarg, 1, 64, &value))
            return false;
        options.jobs = (unsigned)value;
        return true;
    case WATCHDOG:
        if (!number("watchdog", optarg, 1, 3600, &value))
            return false;
        process_watchdog_s = (unsigned)value;
        return true;
    case STRICT: check.strict = true; return true;
    case OUTSIDE: options.outside = true; return true;
    case MATRIX: options.matrix = true; return true;
    case QUIET: check.quiet = true; return true;
    case TOLERATE: return tolerate(optarg);
    case UPDATE_BASELINE: options.update_baseline = true; return true;
    default: return take_word(letter);
    }
}

static bool take_options(int argc, char **argv) {
    static const struct option long_options[] = {
        {"case", required_argument, NULL, CASE},
        {"clause", required_argument, NULL, CLAUSE},
        {"list", no_argument, NULL, LIST},
        {"dry-run", no_argument, NULL, DRY_RUN},
        {"random", required_argument, NULL, RANDOM},
        {"seed", required_argument, NULL, SEED},
        {"jobs", required_argument, NULL, JOBS},
        {"strict", no_argument, NULL, STRICT},
        {"outside", no_argument, NULL, OUTSIDE},
        {"watchdog", required_argument, NULL, WATCHDOG},
        {"gate", required_argument, NULL, GATE},
        {"matrix", no_argument, NULL, MATRIX},
        {"quiet", no_argument, NULL, QUIET},
        {"json", required_argument, NULL, JSON},
        {"html", required_argument, NULL, HTML},
        {"tap", required_argument, NULL, TAP},
        {"junit", required_argument, NULL, JUNIT},
        {"tolerate", required_argument, NULL, TOLERATE},
        {"baseline", required_argument, NULL, BASELINE},
        {"update-baseline", no_argument, NULL, UPDATE_BASELINE},
        {"summary", required_argument, NULL, SUMMARY},
        {"cases", required_argument, NULL, CASES},
        {"law", required_argument, NULL, LAW},
        {"profiles", required_argument, NULL, PROFILES},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int letter;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    options.jobs = processors > 0 && processors < 64 ? (unsigned)processors : 2;
    check.seed = 1;
    while ((letter = options_next("check", argc, argv, ":h", long_options)) != -1) {
        if (letter == 'h') {
            check_usage(stdout);
            exit(fflush(stdout) != 0 ? BAD_INPUT : 0);
        }
        if (!take_option(letter))
            return false;
    }
    options.cases = tool_path(options.cases, "cases", "spec/cases");
    options.law = tool_path(options.law, "etalon.md", "spec/etalon.md");
    options.profiles = tool_path(options.profiles, "profiles", "spec/profiles");
    return true;
}

static bool look_at_subjects(char **paths, int count) {
    if (count > SUBJECTS_MAX) {
        complain(paths[SUBJECTS_MAX], "too many adapters");
        return false;
    }
    for (int i = 0; i < count; i++) {
        char error[400];
        struct subject *s = &check.subject[check.subjects];
        if (!subject_look(paths[i], s, error, sizeof error)) {
            complain(paths[i], error);
            return false;
        }
        if (options.outside) /* an async that outlives its loop can only be judged with rounds */
            s->offers &= ~(ETALON_OFFERS_ROUNDS | ETALON_OFFERS_DESCRIPTOR_LIMIT |
                           ETALON_OFFERS_POOL | ETALON_OFFERS_ASYNC);
        for (unsigned k = 0; k < check.subjects; k++)
            if (strcmp(check.subject[k].name, s->name) == 0) {
                complain(paths[i], "another adapter has the same name");
                return false;
            }
        check.subjects++;
    }
    return true;
}

/* The name of a call that nothing replaces when the kernel is asked for it by number, or by another
 * call of the C library. */
static const char *call_name(long number) {
    switch (number) {
    case SYS_futex: return "futex (a condition variable or a semaphore)";
    case SYS_epoll_pwait: return "epoll_pwait, asked of the kernel itself";
#ifdef SYS_epoll_wait
    case SYS_epoll_wait: return "epoll_wait, asked of the kernel itself";
#endif
    case SYS_ppoll: return "ppoll, asked of the kernel itself";
#ifdef SYS_poll
    case SYS_poll: return "poll, asked of the kernel itself";
#endif
    case SYS_pselect6: return "pselect, asked of the kernel itself";
    case SYS_nanosleep:
    case SYS_clock_nanosleep: return "nanosleep, asked of the kernel itself";
    case SYS_read: return "read, of a descriptor that blocks";
    case SYS_rt_sigtimedwait: return "sigtimedwait";
#ifdef SYS_io_uring_enter
    case SYS_io_uring_enter: return "io_uring_enter";
#endif
    default: return "a call that is not replaced";
    }
}

/* A loop that waits by other calls than those that are replaced gets no virtual time, and every
 * verdict on it would be wrong: so it is asked to wait, once. */
static bool can_be_driven(const struct subject *s) {
    static struct trace trace;
    struct outcome outcome = {.ended = false};
    struct job job = {.subject = s, .trace = &trace, .outcome = &outcome};
    const uint64_t needs = ETALON_OFFERS_TIMERS | ETALON_OFFERS_ONCE;
    if ((s->offers & needs) != needs || (s->offers & ETALON_OFFERS_ROUNDS) != 0)
        return true;
    memset(&trace, 0, sizeof trace);
    trace.program.command[0] =
        (struct command){.kind = COMMAND_TIMER, .value = PROBE_MS, .body = 1};
    trace.program.command[1] = (struct command){.kind = COMMAND_RUN, .value = ET_RUN_ONCE};
    trace.program.count[0] = trace.program.commands = 2;
    for (unsigned b = 1; b < PROGRAM_BODIES; b++)
        trace.program.first[b] = 2;
    unsigned watchdog_s = process_watchdog_s;
    process_watchdog_s = watchdog_s < PROBE_S ? watchdog_s : PROBE_S;
    process_run(&job, 1, 1, NULL);
    process_watchdog_s = watchdog_s;
    bool slept = outcome.verdict == VERDICT_HANG
                     ? outcome.clause[0] == '\0' && outcome.asleep_in >= 0
                     : outcome.callbacks > 0 && outcome.seconds >= PROBE_MS / 1000.0;
    bool has_own = outcome.undriven[0] != '\0' && is_bad(outcome.verdict);
    bool good = (outcome.waits > 0 || !slept) && !has_own;
    if (has_own)
        fprintf(stderr,
                "etalon: %s: cannot be driven, because %s, and no virtual time comes from there "
                "(RUNNER.md); etalon judge takes recordings\n",
                s->file, outcome.undriven);
    else if (!good)
        fprintf(stderr,
                "etalon: %s: cannot be driven, because it waits by %s, and not by a call of the C "
                "library that virtual time replaces (RUNNER.md); etalon judge takes recordings\n",
                s->file, call_name(outcome.asleep_in));
    outcome_free(&outcome);
    return good;
}

static bool all_can_be_driven(void) {
    for (unsigned s = 0; s < check.subjects; s++)
        if (!can_be_driven(&check.subject[s]))
            return false;
    return true;
}

static bool gate_exists(void) {
    bool found = options.gate == NULL;
    for (unsigned s = 0; s < check.subjects && !found; s++)
        found = strcmp(check.subject[s].name, options.gate) == 0;
    if (!found)
        complain(options.gate, "no subject has this name (--gate)");
    return found;
}

/* The files that are written; each is given by its option. */
struct check_output {
    const char *option, *path;
    void (*write)(FILE *out, const void *what);
};
#define OUTPUTS 6

static void all_outputs(struct check_output output[OUTPUTS]) {
    const struct check_output all[OUTPUTS] = {
        {"--json", options.json, report_full},
        {"--summary", options.summary, report_short},
        {"--tap", options.tap, tap_write},
        {"--junit", options.junit, junit_write},
        {"--baseline", options.update_baseline ? options.baseline : NULL, baseline_write},
        {"--html", options.html, NULL}};
    memcpy(output, all, sizeof all);
}

/* One that cannot be written keeps no other from being written. The protocol on standard output has
 * been told by now. */
static bool write_outputs(void) {
    struct check_output output[OUTPUTS];
    bool written = true;
    all_outputs(output);
    for (unsigned i = 0; i < OUTPUTS; i++) {
        const struct check_output *o = &output[i];
        bool told = o->write == tap_write && is_dash(o->path);
        if (o->path == NULL || told)
            continue;
        written =
            (o->write == NULL ? page_write(o->path, &check)
                              : write_whole(is_dash(o->path) ? NULL : o->path, o->write, &check)) &&
            written;
    }
    return written;
}

/* What standard output is for: the name of an option, or NULL: it is for people. */
static const char *standard_output(bool *twice) {
    struct check_output output[OUTPUTS];
    const char *found = options.matrix ? "--matrix" : NULL;
    all_outputs(output);
    *twice = false;
    for (unsigned i = 0; i < OUTPUTS; i++)
        if (is_dash(output[i].path)) {
            *twice = *twice || found != NULL;
            found = output[i].option;
        }
    return found;
}

/* An output does not take the place of an adapter, nor of the baseline, which only its own update
 * writes. */
static bool spares_what_is_read(const char *option, const char *path,
                                void (*write)(FILE *, const void *)) {
    bool spares = write == baseline_write || !output_same(path, options.baseline);
    for (unsigned s = 0; s < check.subjects; s++)
        spares = spares && !output_same(path, check.subject[s].path);
    if (!spares)
        fprintf(stderr, "etalon: %s %s: it is read, and would be overwritten\n", option, path);
    return spares;
}

/* The cases take minutes, so what will not work in the end is looked for before them. */
static bool outputs_possible(void) {
    struct check_output output[OUTPUTS];
    bool twice;
    const char *standard = standard_output(&twice);
    all_outputs(output);
    if (twice) {
        fprintf(stderr, "etalon: %s: standard output has another use already\n", standard);
        return false;
    }
    for (unsigned i = 0; i < OUTPUTS; i++) {
        bool dash = is_dash(output[i].path);
        if (dash && (output[i].write == NULL || output[i].write == baseline_write)) {
            fprintf(stderr, "etalon: %s %s: it is no standard output, but a file\n",
                    output[i].option, output[i].path);
            return false;
        }
        if (output[i].path == NULL || dash)
            continue;
        if (!output_possible(output[i].option, output[i].path))
            return false;
        for (unsigned k = 0; k < i; k++)
            if (output_same(output[i].path, output[k].path)) {
                fprintf(stderr, "etalon: %s %s: the same file as that of %s\n", output[i].option,
                        output[i].path, output[k].option);
                return false;
            }
        if (!spares_what_is_read(output[i].option, output[i].path, output[i].write))
            return false;
    }
    return options.html == NULL || page_possible();
}

/* What does not run finds nothing to write. */
static bool outputs_make_sense(void) {
    struct check_output output[OUTPUTS];
    const char *without = options.list ? "--list" : options.dry_run ? "--dry-run" : NULL;
    all_outputs(output);
    for (unsigned i = 0; i < OUTPUTS && without != NULL; i++)
        if (output[i].path != NULL) {
            fprintf(stderr, "etalon: %s %s: nothing is run with %s, and nothing to be written\n",
                    output[i].write == baseline_write ? "--update-baseline" : output[i].option,
                    output[i].path, without);
            return false;
        }
    return true;
}

static bool baseline_possible(void) {
    if (options.update_baseline && options.baseline == NULL) {
        complain("--update-baseline", "needs --baseline FILE, which it writes");
        return false;
    }
    if (options.baseline == NULL)
        return true;
    if (!baseline_read(&baseline, options.baseline, options.update_baseline))
        return false;
    check.baseline = &baseline;
    return true;
}

static void tell_gated(void) {
    for (unsigned i = 0; i < check.results; i++) {
        const struct check_result *r = &check.result[i];
        if (counts_as_bad(r) && options.gate != NULL)
            printf("# %s/%s: %s: %s %s\n", check.subject[r->subject].name,
                   check.cases_list[r->of_case].id, verdict_name[r->outcome.verdict],
                   r->outcome.clause, r->outcome.message);
    }
}

static bool any_is_bad(void) {
    const struct baseline_entry *entry;
    for (unsigned i = 0; i < check.results; i++)
        if (counts_as_bad(&check.result[i]))
            return true;
    for (unsigned at = 0; (entry = baseline_gone(&check, &at, false)) != NULL;)
        if (options.gate == NULL || strcmp(options.gate, entry->subject) == 0)
            return true;
    return false;
}

/* 0 or 1; what was written into the baseline is no failure. */
static int tell(void) {
    bool twice, bad = any_is_bad();
    const char *standard = standard_output(&twice);
    if (options.matrix)
        print_matrix();
    else if (is_dash(options.tap) && plan_comes_last())
        printf("1..%u\n", tap_gone(stdout, &check));
    if (options.matrix || is_dash(options.tap)) {
        print_random();
        print_claims();
        tell_gated();
    } else if (standard == NULL) {
        tell_people(stdout, &check);
    }
    bool written = write_outputs();
    if (written && options.update_baseline && standard == NULL)
        printf("%s was written\n", options.baseline);
    return !written ? BAD_INPUT : bad && !options.update_baseline ? 1 : 0;
}

int check_main(int argc, char **argv, bool (*load)(const char *path, struct trace *trace)) {
    if (!take_options(argc, argv))
        return BAD_INPUT;
    int files = argc - optind;
    if ((files == 0) != options.list) {
        check_usage(stderr);
        return BAD_INPUT;
    }
    if (!outputs_make_sense() || (!options.list && !baseline_possible()))
        return BAD_INPUT;
    if (!law_read(&check.law, options.law) || !claim_read(&suite, options.profiles) ||
        !load_cases(options.cases, load) || !choose_cases() || !baseline_makes_sense(&check))
        return BAD_INPUT;
    if (options.list)
        return 0;
    child_guard();
    if (!look_at_subjects(argv + optind, files) || !gate_exists())
        return BAD_INPUT;
    if (!options.dry_run && (!outputs_possible() || !all_can_be_driven()))
        return BAD_INPUT;
    if (!options.dry_run)
        begin_telling();
    run_cases();
    if (options.dry_run)
        return dry_run();
    if (options.json != NULL || options.html != NULL)
        run_references(0);
    if (!rerun())
        return BAD_INPUT;
    for (unsigned s = 0; s < check.subjects && check.random > 0; s++)
        run_random_of(s);
    return tell();
}

#else

int check_main(int argc, char **argv, bool (*load)(const char *path, struct trace *trace)) {
    (void)argc, (void)argv, (void)load;
    fputs("etalon: this build has no conformance kit\n", stderr);
    return 2;
}

#endif

/* SPDX-License-Identifier: MIT */
/* The baseline of a check (baseline.h). */
#ifndef ETALON_WITHOUT_KIT

#include "baseline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FIRST_LINE  "etalon-baseline 1"
#define LINE_MAX    1024
#define ENTRIES_MAX 100000
#define WORDS_MAX   16

/* ---- reading --------------------------------------------------------------------------------- */

static bool same_key(const struct baseline_entry *a, const struct baseline_entry *b) {
    return a->random == b->random && strcmp(a->subject, b->subject) == 0 &&
           (a->random ? a->verdict == b->verdict && strcmp(a->failure, b->failure) == 0
                      : strcmp(a->of_case, b->of_case) == 0);
}

static const char *add(struct baseline *baseline, const struct baseline_entry *entry) {
    static char text[80];
    for (unsigned i = 0; i < baseline->entries; i++)
        if (same_key(&baseline->entry[i], entry)) {
            snprintf(text, sizeof text, "the same is said in line %u", baseline->entry[i].line);
            return text;
        }
    struct baseline_entry *grown =
        realloc(baseline->entry, (baseline->entries + 1) * sizeof *grown);
    if (grown == NULL || baseline->entries == ENTRIES_MAX)
        return "too many entries";
    baseline->entry = grown;
    baseline->entry[baseline->entries++] = *entry;
    return NULL;
}

static bool take(char *into, size_t size, const char *word) {
    if (strlen(word) >= size)
        return false;
    strcpy(into, word);
    return true;
}

static bool take_number(uint64_t *into, const char *word) {
    char *end;
    errno = 0;
    *into = strtoull(word, &end, 10);
    return *word >= '0' && *word <= '9' && *end == '\0' && errno == 0;
}

static bool take_verdict(enum verdict *into, const char *word) {
    for (unsigned v = 0; v < VERDICTS; v++)
        if (strcmp(word, verdict_name[v]) == 0 && v != VERDICT_PASS && v != VERDICT_NOT_OFFERED) {
            *into = (enum verdict)v;
            return true;
        }
    return false;
}

/* "SUBJECT case VERDICT FAILURE CASE", or "SUBJECT random VERDICT FAILURE of N programs with seed
 * S". */
static const char *read_entry(struct baseline *baseline, char *line, unsigned number) {
    struct baseline_entry entry = {.line = number};
    char *word[WORDS_MAX] = {NULL}, *rest = line;
    unsigned words = 0;
    while (words < 4 && *rest != '\0') {
        word[words++] = rest;
        rest += strcspn(rest, " ");
        if (*rest != '\0')
            *rest++ = '\0';
    }
    if (words < 4 || *rest == '\0')
        return "expected 'SUBJECT case VERDICT FAILURE CASE', or 'SUBJECT random VERDICT FAILURE "
               "of N programs with seed S'";
    entry.random = strcmp(word[1], "random") == 0;
    if (!entry.random && strcmp(word[1], "case") != 0)
        return "expected 'case' or 'random' behind the name of the subject";
    if (!take_verdict(&entry.verdict, word[2]))
        return "expected fail, hang, crash or not_strict as the third word";
    if (!take(entry.subject, sizeof entry.subject, word[0]) ||
        !take(entry.failure, sizeof entry.failure, word[3]))
        return "too long a word";
    if (!entry.random)
        return take(entry.of_case, sizeof entry.of_case, rest) ? add(baseline, &entry)
                                                               : "too long a name of a case";
    char programs[24], seed[24];
    int length = 0;
    if (sscanf(rest, "of %23s programs with seed %23s%n", programs, seed, &length) != 2 ||
        rest[length] != '\0' || !take_number(&entry.programs, programs) ||
        !take_number(&entry.seed, seed))
        return "expected 'of N programs with seed S' at its end";
    return add(baseline, &entry);
}

static const char *read_line(struct baseline *baseline, char *line, size_t length,
                             unsigned number) {
    if (strlen(line) != length)
        return "a byte 0";
    if (length >= LINE_MAX)
        return "too long a line";
    if (length > 0 && line[length - 1] == '\n')
        line[length - 1] = '\0';
    for (const unsigned char *p = (const unsigned char *)line; *p != '\0'; p++)
        if (*p < ' ' || *p == 0x7f)
            return "a control character";
    if (number == 1)
        return strcmp(line, FIRST_LINE) == 0 ? NULL : "expected '" FIRST_LINE "'";
    return *line == '\0' || *line == '#' ? NULL : read_entry(baseline, line, number);
}

bool baseline_read(struct baseline *baseline, const char *path, bool may_be_new) {
    char *line = NULL;
    size_t size = 0;
    unsigned number = 0;
    const char *wrong = NULL;
    *baseline = (struct baseline){.path = path};
    struct stat status;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        fprintf(stderr, "etalon: --baseline %s: no regular file\n", path);
        return false;
    }
    FILE *file = fopen(path, "r");
    if (file == NULL && may_be_new && errno == ENOENT)
        return true;
    if (file == NULL) {
        fprintf(stderr, "etalon: --baseline %s: %s%s\n", path, strerror(errno),
                errno == ENOENT ? " (--update-baseline makes it)" : "");
        return false;
    }
    errno = 0;
    for (ssize_t length; wrong == NULL && (length = getline(&line, &size, file)) >= 0;)
        wrong = read_line(baseline, line, (size_t)length, ++number);
    bool failed = ferror(file) != 0;
    int error = errno;
    fclose(file);
    free(line);
    if (failed)
        fprintf(stderr, "etalon: --baseline %s: %s\n", path, strerror(error));
    else if (wrong != NULL)
        fprintf(stderr, "etalon: %s:%u: %s\n", path, number, wrong);
    else if (number == 0)
        fprintf(stderr, "etalon: %s:1: expected '" FIRST_LINE "'\n", path);
    return !failed && wrong == NULL && number > 0;
}

/* ---- comparing ------------------------------------------------------------------------------- */

void baseline_meet(struct baseline *baseline, const struct check *check,
                   struct check_result *result) {
    char failure[OUTCOME_FAILURE];
    const char *subject = check->subject[result->subject].name;
    const char *of_case = check->cases_list[result->of_case].id;
    outcome_failure(&result->outcome, failure);
    for (unsigned i = 0; i < baseline->entries; i++) {
        struct baseline_entry *entry = &baseline->entry[i];
        if (entry->random != result->random || strcmp(entry->subject, subject) != 0 ||
            (!entry->random && strcmp(entry->of_case, of_case) != 0))
            continue;
        bool so = entry->verdict == result->outcome.verdict && strcmp(entry->failure, failure) == 0;
        entry->met = entry->met || so;
        result->known = result->known || so;
        if (!entry->random)
            result->expected = entry;
    }
}

static bool subject_is_here(const struct check *check, const char *name) {
    for (unsigned s = 0; s < check->subjects; s++)
        if (strcmp(check->subject[s].name, name) == 0)
            return true;
    return false;
}

static const struct check_result *result_of(const struct check *check,
                                            const struct baseline_entry *entry) {
    for (unsigned i = 0; i < check->results; i++)
        if (check->result[i].expected == entry)
            return &check->result[i];
    return NULL;
}

static bool is_a_case(const struct check *check, const char *name) {
    for (unsigned i = 0; i < check->all_cases; i++)
        if (strcmp(check->cases_list[i].id, name) == 0)
            return true;
    return false;
}

/* Could this check have met it? */
static bool looked_at(const struct check *check, const struct baseline_entry *entry) {
    if (!subject_is_here(check, entry->subject))
        return false;
    if (entry->random)
        return check->random >= entry->programs && check->seed == entry->seed;
    return result_of(check, entry) != NULL ||
           (!check->other_cases && !is_a_case(check, entry->of_case));
}

const struct baseline_entry *baseline_gone(const struct check *check, unsigned *at,
                                           bool without_results) {
    const struct baseline *baseline = check->baseline;
    while (baseline != NULL && *at < baseline->entries) {
        const struct baseline_entry *entry = &baseline->entry[(*at)++];
        if (!entry->met && looked_at(check, entry) &&
            !(without_results && result_of(check, entry) != NULL))
            return entry;
    }
    return NULL;
}

const char *baseline_why(const struct check *check, const struct baseline_entry *entry) {
    static char text[640];
    const struct check_result *result = result_of(check, entry);
    char failure[OUTCOME_FAILURE];
    if (result != NULL)
        outcome_failure(&result->outcome, failure);
    if (entry->random)
        snprintf(text, sizeof text, "no random program is a %s by %s any more",
                 verdict_name[entry->verdict], entry->failure);
    else if (result == NULL)
        snprintf(text, sizeof text, "there is no case of this name any more");
    else if (result->outcome.verdict == VERDICT_NOT_OFFERED)
        snprintf(text, sizeof text, "it is not offered any more (%.300s)", result->outcome.message);
    else if (is_bad(result->outcome.verdict))
        snprintf(text, sizeof text, "it is now a %s by %s, and was a %s by %s",
                 verdict_name[result->outcome.verdict], failure, verdict_name[entry->verdict],
                 entry->failure);
    else
        snprintf(text, sizeof text, "it is now %s, and was a %s by %s",
                 result->outcome.verdict == VERDICT_PASS ? "a pass" : "not strict",
                 verdict_name[entry->verdict], entry->failure);
    return text;
}

/* ---- what can be ----------------------------------------------------------------------------- */

/* "ET-RUN-2/woken" of the law, and of a crash or a hang what is no clause. */
static const char *impossible_failure(const struct check *check,
                                      const struct baseline_entry *entry) {
    char clause[OUTCOME_FAILURE];
    bool by_clause = strncmp(entry->failure, "ET-", 3) == 0;
    snprintf(clause, sizeof clause, "%.*s", (int)strcspn(entry->failure, "/"), entry->failure);
    if (!by_clause)
        return entry->verdict == VERDICT_FAIL || entry->verdict == VERDICT_NOT_STRICT
                   ? "expected a clause of the law as the fourth word"
                   : NULL;
    if (law_text(&check->law, clause) == NULL)
        return "the law has no such clause";
    if (strchr(entry->failure, '/') != NULL && !outside_finds(entry->failure))
        return "this clause has no such kind of failure (RUNNER.md has the table of them)";
    return NULL;
}

bool baseline_makes_sense(const struct check *check) {
    for (unsigned i = 0; check->baseline != NULL && i < check->baseline->entries; i++) {
        const struct baseline_entry *entry = &check->baseline->entry[i];
        const char *wrong = impossible_failure(check, entry), *of = entry->failure;
        if (wrong == NULL && !entry->random && strchr(entry->of_case, ' ') != NULL &&
            !is_a_case(check, entry->of_case)) {
            wrong = "expected nothing behind the name of the case";
            of = strchr(entry->of_case, ' ') + 1;
        }
        if (wrong == NULL)
            continue;
        fprintf(stderr, "etalon: %s:%u: %s: %s\n", check->baseline->path, entry->line, of, wrong);
        return false;
    }
    return true;
}

/* ---- writing --------------------------------------------------------------------------------- */

struct lines {
    unsigned count;
    char **line;
};

static void keep(struct lines *lines, const struct baseline_entry *entry) {
    char text[LINE_MAX], *copy;
    if (entry->random)
        snprintf(text, sizeof text, "%s random %s %s of %llu programs with seed %llu",
                 entry->subject, verdict_name[entry->verdict], entry->failure,
                 (unsigned long long)entry->programs, (unsigned long long)entry->seed);
    else
        snprintf(text, sizeof text, "%s case %s %s %s", entry->subject,
                 verdict_name[entry->verdict], entry->failure, entry->of_case);
    char **grown = realloc(lines->line, (lines->count + 1) * sizeof *grown);
    if (grown == NULL || (copy = strdup(text)) == NULL) {
        perror("etalon");
        exit(2);
    }
    lines->line = grown;
    lines->line[lines->count++] = copy;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct baseline_entry entry_of(const struct check *check, const struct check_result *r) {
    struct baseline_entry entry = {.random = r->random,
                                   .programs = check->random,
                                   .seed = check->seed,
                                   .verdict = r->outcome.verdict};
    snprintf(entry.subject, sizeof entry.subject, "%s", check->subject[r->subject].name);
    snprintf(entry.of_case, sizeof entry.of_case, "%s", check->cases_list[r->of_case].id);
    outcome_failure(&r->outcome, entry.failure);
    return entry;
}

/* Whether a result of this check takes the entry's place. */
static bool is_replaced(const struct check *check, const struct baseline_entry *old) {
    for (unsigned i = 0; i < check->results; i++) {
        const struct baseline_entry now = entry_of(check, &check->result[i]);
        if (check->result[i].counts && same_key(&now, old))
            return true;
    }
    return false;
}

void baseline_write(FILE *out, const void *what) {
    const struct check *check = what;
    struct lines lines = {0, NULL};
    for (unsigned i = 0; i < check->baseline->entries; i++) {
        const struct baseline_entry *entry = &check->baseline->entry[i];
        if (!looked_at(check, entry) && !is_replaced(check, entry))
            keep(&lines, entry);
    }
    for (unsigned i = 0; i < check->results; i++) {
        const struct baseline_entry entry = entry_of(check, &check->result[i]);
        if (check->result[i].counts)
            keep(&lines, &entry);
    }
    if (lines.count > 0)
        qsort(lines.line, lines.count, sizeof *lines.line, by_text);
    fputs(FIRST_LINE "\n"
                     "# What is known to fail: etalon check --baseline FILE fails on anything "
                     "else, and on what does not\n"
                     "# fail any more; with --update-baseline it writes this file.\n",
          out);
    for (unsigned i = 0; i < lines.count; i++)
        if (i == 0 || strcmp(lines.line[i], lines.line[i - 1]) != 0)
            fprintf(out, "%s\n", lines.line[i]);
    for (unsigned i = 0; i < lines.count; i++)
        free(lines.line[i]);
    free(lines.line);
}

#else
typedef int nothing_here;
#endif

/* SPDX-License-Identifier: MIT */
/* The claim of a subject (claim.h). */
#ifndef ETALON_WITHOUT_KIT

#include "claim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/etalon.h"

#define PROFILE_VERSION "1.0"
#define EXCEPTIONS_MAX  64

/* In the order of the law; what a subject offers of each. */
static const struct {
    const char *name;
    uint64_t offers;
} profiles[CLAIM_PROFILES] = {
    {"Timers", ETALON_OFFERS_TIMERS},
    {"Readiness", ETALON_OFFERS_POLL},
    {"Threads", ETALON_OFFERS_WAKEUP | ETALON_OFFERS_ASYNC},
    {"Completion", ETALON_OFFERS_READ | ETALON_OFFERS_POSITIONED | ETALON_OFFERS_SEND |
                       ETALON_OFFERS_MESSAGES | ETALON_OFFERS_ACCEPT | ETALON_OFFERS_CONNECT |
                       ETALON_OFFERS_CLOSE | ETALON_OFFERS_SHUTDOWN},
    {"Pool", ETALON_OFFERS_POOL},
};

/* ---- the lists ------------------------------------------------------------------------------- */

static int profile_named(const char *name) {
    for (int i = 0; i < CLAIM_PROFILES; i++)
        if (strcmp(profiles[i].name, name) == 0)
            return i;
    return -1;
}

/* "CASE PROFILE…" */
static const char *read_entry(struct claim_profile *profile, char *line) {
    struct claim_entry *grown =
        realloc(profile->entry, (profile->entries + 1) * sizeof *profile->entry);
    char *rest, *word = strtok_r(line, " ", &rest);
    if (grown == NULL)
        return "not enough memory";
    profile->entry = grown;
    struct claim_entry *entry = &grown[profile->entries];
    *entry = (struct claim_entry){.besides = 0};
    if (strlen(word) >= sizeof entry->of_case)
        return "too long a name of a case";
    strcpy(entry->of_case, word);
    while ((word = strtok_r(NULL, " ", &rest)) != NULL) {
        int besides = profile_named(word);
        if (besides < 0)
            return "expected the name of a profile behind that of the case";
        entry->besides |= 1u << besides;
    }
    profile->entries++;
    return NULL;
}

static const char *read_line(struct claim_suite *suite, struct claim_profile *profile, char *line) {
    size_t length = strcspn(line, "\n");
    if (line[length] != '\n')
        return "too long a line, or one without an end";
    line[length] = '\0';
    if (line[strspn(line, " ")] == '\0' || *line == '#')
        return NULL;
    if (strncmp(line, "suite ", 6) != 0)
        return *suite->version == '\0' ? "expected 'suite' and its version first"
                                       : read_entry(profile, line);
    if (strlen(line + 6) >= sizeof suite->version)
        return "too long a version of the suite";
    if (*suite->version != '\0' && strcmp(suite->version, line + 6) != 0)
        return "another version of the suite than that of the other profiles";
    strcpy(suite->version, line + 6);
    return NULL;
}

bool claim_read_list(struct claim_suite *suite, unsigned number, const char *path) {
    struct claim_profile *profile = &suite->profile[number];
    char line[512];
    unsigned lines = 0;
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "etalon: %s: %s (--profiles says where the lists are)\n", path,
                strerror(errno));
        return false;
    }
    const char *wrong = NULL;
    while (wrong == NULL && fgets(line, sizeof line, file) != NULL) {
        lines++;
        wrong = read_line(suite, profile, line);
    }
    fclose(file);
    if (wrong == NULL && profile->entries == 0)
        wrong = "no case is listed";
    if (wrong != NULL)
        fprintf(stderr, "etalon: %s:%u: %s\n", path, lines, wrong);
    return wrong == NULL;
}

bool claim_read(struct claim_suite *suite, const char *folder) {
    for (unsigned i = 0; i < CLAIM_PROFILES; i++) {
        char path[4096];
        suite->profile[i].name = profiles[i].name;
        snprintf(path, sizeof path, "%.3800s/%s-%s.txt", folder, profiles[i].name, PROFILE_VERSION);
        if (!claim_read_list(suite, i, path))
            return false;
    }
    return true;
}

/* ---- the claim ------------------------------------------------------------------------------- */

static unsigned offered(const struct subject *subject) {
    unsigned mask = 0;
    for (unsigned i = 0; i < CLAIM_PROFILES; i++)
        if ((subject->offers & profiles[i].offers) != 0)
            mask |= 1u << i;
    return mask;
}

static const struct outcome *outcome_of(const struct check *check, unsigned subject,
                                        const char *of_case) {
    for (unsigned i = 0; i < check->results; i++) {
        const struct check_result *r = &check->result[i];
        if (r->subject == subject && strcmp(check->cases_list[r->of_case].id, of_case) == 0)
            return &r->outcome;
    }
    return NULL;
}

struct exceptions {
    unsigned count;
    char name[EXCEPTIONS_MAX][128];
};

/* By its clause; what has none, as a crash, by its case. */
static void except(struct exceptions *all, const struct outcome *outcome, const char *of_case) {
    char name[128];
    if (outcome->clause[0] != '\0')
        snprintf(name, sizeof name, "%s", outcome->clause);
    else
        snprintf(name, sizeof name, "a %s in %.96s", verdict_name[outcome->verdict], of_case);
    for (unsigned i = 0; i < all->count; i++)
        if (strcmp(all->name[i], name) == 0)
            return;
    if (all->count < EXCEPTIONS_MAX)
        strcpy(all->name[all->count++], name);
}

static bool collect(struct exceptions *all, const struct claim_profile *profile, unsigned mask,
                    const struct check *check, unsigned subject) {
    for (unsigned i = 0; i < profile->entries; i++) {
        const struct claim_entry *entry = &profile->entry[i];
        if ((entry->besides & ~mask) != 0)
            continue;
        const struct outcome *outcome = outcome_of(check, subject, entry->of_case);
        if (outcome == NULL)
            return false;
        if (is_bad(outcome->verdict))
            except(all, outcome, entry->of_case);
    }
    return true;
}

struct share {
    unsigned asked, good;
};

static struct share share_of(const struct claim_profile *profile, const struct check *check,
                             unsigned subject) {
    struct share share = {0, 0};
    for (unsigned i = 0; i < profile->entries; i++) {
        const struct outcome *o = outcome_of(check, subject, profile->entry[i].of_case);
        if (o == NULL || o->verdict == VERDICT_NOT_OFFERED)
            continue;
        share.asked++;
        share.good += !is_bad(o->verdict);
    }
    return share;
}

static const char *separator(unsigned at, unsigned count) {
    return at == 0 ? "" : at + 1 == count ? " and " : ", ";
}

/* In three places, so that the lines of all profiles are alike. */
static void write_number(FILE *out, unsigned number) {
    fprintf(out, "%s%s%u", number < 100 ? JOINED : "", number < 10 ? JOINED : "", number);
}

static void tell_profile(FILE *out, const char *name, struct share share,
                         const struct exceptions *all) {
    char *text = NULL;
    size_t size;
    FILE *line = open_memstream(&text, &size);
    if (line == NULL)
        return;
    write_number(line, share.good);
    fputs(" of ", line);
    write_number(line, share.asked);
    fprintf(line, " case%s asked %s good", share.asked == 1 ? "" : "s",
            share.good == 1 ? "is" : "are");
    for (unsigned i = 0; i < all->count; i++)
        fprintf(line, "%s%s", i == 0 ? ", except by " : separator(i, all->count), all->name[i]);
    fclose(line);
    if (text != NULL)
        paragraph(out, name, text);
    free(text);
}

void claim_profiles(FILE *out, const struct claim_suite *suite, const struct check *check,
                    unsigned subject) {
    unsigned mask = offered(&check->subject[subject]);
    struct exceptions all[CLAIM_PROFILES] = {{.count = 0}};
    for (unsigned i = 0; i < CLAIM_PROFILES; i++)
        if ((mask & 1u << i) != 0 && !collect(&all[i], &suite->profile[i], mask, check, subject))
            return;
    for (unsigned i = 0; i < CLAIM_PROFILES; i++)
        if ((mask & 1u << i) != 0)
            tell_profile(out, profiles[i].name, share_of(&suite->profile[i], check, subject),
                         &all[i]);
}

void claim_write(FILE *out, const struct claim_suite *suite, const struct check *check,
                 unsigned subject) {
    const struct subject *s = &check->subject[subject];
    struct exceptions all = {.count = 0};
    unsigned mask = offered(s), count = 0, at = 0;
    for (unsigned i = 0; i < CLAIM_PROFILES; i++)
        if ((mask & 1u << i) != 0) {
            count++;
            if (!collect(&all, &suite->profile[i], mask, check, subject))
                return;
        }
    if (count == 0 || check->tolerant)
        return;
    fprintf(out, "%s %s: Etalon %s ", s->name, s->version, ET_SPECIFICATION);
    for (unsigned i = 0; i < CLAIM_PROFILES; i++)
        if ((mask & 1u << i) != 0) {
            fprintf(out, "%s%s", separator(at++, count), profiles[i].name);
            if (i == 0)
                fprintf(out, "@%ums", s->slack_ms);
        }
    fprintf(out, ", suite %s", suite->version);
    for (unsigned i = 0; i < all.count; i++)
        fprintf(out, "%s%s", i == 0 ? ", except " : separator(i, all.count), all.name[i]);
}

#else
typedef int nothing_here;
#endif

/* SPDX-License-Identifier: MIT */
/* What `etalon check` says to a person (check.h): what fails, each sort of failure once, by its
 * shortest program; what may be claimed; and in one line what was not asked. */
#ifndef ETALON_WITHOUT_KIT

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "baseline.h"
#include "check.h"

#define COLUMNS           100
#define INDENT            13
#define LAW_COLUMNS       320 /* of a clause's text */
#define LAW_COLUMNS_BRIEF 170 /* of many sorts, each */
#define EVENTS_SHOWN      4
#define LINES_SAID        4
#define CASES_SHOWN       6
#define LACKING_SHOWN     6

/* ---- lines ----------------------------------------------------------------------------------- */

static unsigned columns(const char *text, size_t length) {
    unsigned count = 0;
    for (size_t i = 0; i < length; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

void paragraph(FILE *out, const char *margin, const char *text) {
    unsigned column = INDENT;
    fprintf(out, "  %-*s", INDENT - 2, margin);
    for (const char *word = text + strspn(text, " "); *word != '\0';) {
        size_t length = strcspn(word, " ");
        unsigned width = columns(word, length);
        if (column > INDENT && column + 1 + width > COLUMNS) {
            fprintf(out, "\n%*s", INDENT, "");
            column = INDENT;
        }
        fputs(column > INDENT ? " " : "", out);
        for (size_t i = 0; i < length; i++)
            fputc(word[i] == *JOINED ? ' ' : word[i], out);
        column += width + (column > INDENT);
        word += length;
        word += strspn(word, " ");
    }
    fputc('\n', out);
}

/* A clause's first sentences, without the profiles in brackets before them. */
static void tell_law(FILE *out, const char *text, size_t columns) {
    char part[LAW_COLUMNS + 8];
    if (*text == '(' && strchr(text, ')') != NULL)
        text = strchr(text, ')') + 1;
    text += strspn(text, " ");
    size_t length = strlen(text);
    if (length > columns) {
        for (length = columns; length > 0 && text[length] != ' '; length--)
            ;
        snprintf(part, sizeof part, "%.*s …", (int)length, text);
        text = part;
    }
    paragraph(out, "expected", text);
}

/* ---- a program ------------------------------------------------------------------------------- */

/* "main: timer c0 10ms do b1 · run once", a paragraph for each body. */
static void tell_program(FILE *out, const struct program *p) {
    struct trace *bare = calloc(1, sizeof *bare);
    char *text = NULL, *line = NULL, *save = NULL;
    size_t size = 0, used = 0;
    FILE *memory = open_memstream(&text, &size);
    if (bare != NULL && memory != NULL) {
        bare->program = *p;
        trace_write(memory, bare);
    }
    if (memory != NULL)
        fclose(memory);
    free(bare);
    char *body = calloc(1, 2 * size + 64); /* a separator is longer than the end of a line */
    bool first = true;
    for (line = text != NULL && body != NULL ? strtok_r(text, "\n", &save) : NULL; line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        bool head = *line != ' ';
        line += strspn(line, " ");
        if (strncmp(line, "etalon-trace", 12) == 0)
            continue;
        if (head && used > 0) {
            paragraph(out, first ? "program" : "", body);
            first = false;
            used = 0;
        }
        if (head)
            used = (size_t)sprintf(body, "%s:", strncmp(line, "body ", 5) == 0 ? line + 5 : line);
        for (char *blank = line; !head && (blank = strchr(blank, ' ')) != NULL;)
            *blank = *JOINED;
        if (!head)
            used += (size_t)sprintf(body + used, "%s %s", body[used - 1] == ':' ? "" : " ·", line);
    }
    if (used > 0)
        paragraph(out, first ? "program" : "", body);
    free(body);
    free(text);
}

/* ---- what was seen --------------------------------------------------------------------------- */

/* Those that say what came just before: the judge's own remark has been said already. */
static bool is_telling(const struct kit_event *e, const char *message) {
    return e->kind != 's' && !(e->kind == 'e' && strncmp(message, e->text, strlen(e->text)) == 0);
}

static void tell_event(FILE *out, const struct kit_event *e, bool first) {
    unsigned long long us = e->at_us;
    fprintf(out, "  %-*s%8llu.%03llu ms  %s\n", INDENT - 2, first ? "before" : "", us / 1000,
            us % 1000, e->raw[0] != '\0' ? e->raw : e->text);
}

static void tell_events(FILE *out, const struct outcome *o) {
    unsigned found = 0, from = o->events;
    while (from > 0 && found < EVENTS_SHOWN) {
        from--;
        found += is_telling(&o->event[from], o->message);
    }
    bool first = true;
    for (unsigned i = from; i < o->events; i++)
        if (is_telling(&o->event[i], o->message)) {
            tell_event(out, &o->event[i], first);
            first = false;
        }
}

static void tell_said(FILE *out, const char *said) {
    const char *line = said;
    for (unsigned lines = 0; *line != '\0' && lines < LINES_SAID; lines++) {
        char text[320];
        size_t length = strcspn(line, "\n");
        snprintf(text, sizeof text, "%.*s", (int)(length < 300 ? length : 300), line);
        paragraph(out, lines == 0 ? "it said" : "", text);
        line += length + (line[length] == '\n');
    }
}

/* ---- sorts of failures ----------------------------------------------------------------------- */

static bool is_new(const struct check_result *r, unsigned subject) {
    return r->subject == subject && r->counts && !r->known;
}

static const struct program *program_of(const struct check *check, const struct check_result *r) {
    return r->shrunk != NULL ? r->shrunk : &check->cases_list[r->of_case].trace.program;
}

static bool alike(const struct check_result *a, const struct check_result *b) {
    return a->subject == b->subject && outcome_alike(&a->outcome, &b->outcome);
}

/* The sort's first result has come already. */
static bool was_told(const struct check *check, unsigned number) {
    for (unsigned i = 0; i < number; i++)
        if (is_new(&check->result[i], check->result[number].subject) &&
            alike(&check->result[i], &check->result[number]))
            return true;
    return false;
}

static void tell_head(FILE *out, const struct check *check, const struct check_result *first,
                      const struct check_result *shown, bool colour) {
    char failure[OUTCOME_FAILURE], *list = NULL;
    size_t size;
    unsigned more = 0, listed = 0;
    uint64_t programs = shown->programs;
    FILE *names = open_memstream(&list, &size);
    outcome_failure(&first->outcome, failure);
    if (names == NULL)
        return;
    fprintf(names, "%s", check->cases_list[shown->of_case].id);
    for (unsigned i = 0; i < check->results; i++) {
        const struct check_result *r = &check->result[i];
        if (r == shown || !is_new(r, first->subject) || !alike(r, first))
            continue;
        programs += r->programs;
        if (++listed < CASES_SHOWN)
            fprintf(names, ", %s", check->cases_list[r->of_case].id);
        else
            more++;
    }
    if (more > 0)
        fprintf(names, " and %u more", more);
    if (programs > 1)
        fprintf(names, "; it is so in %llu random programs", (unsigned long long)programs);
    fclose(names);
    fprintf(out, "\n%s%s %s%s\n", colour ? "\033[1;31m" : "", verdict_name[first->outcome.verdict],
            strcmp(failure, "-") != 0 ? failure : "", colour ? "\033[0m" : "");
    paragraph(out, "case", list);
    free(list);
}

#define SORTS_IN_FULL 4 /* of more, what came before does not fit on a screen */

static void tell_sort(FILE *out, const struct check *check, unsigned number, bool in_full,
                      bool colour) {
    const struct check_result *first = &check->result[number], *shown = first;
    for (unsigned i = number; i < check->results; i++) {
        const struct check_result *r = &check->result[i];
        if (is_new(r, first->subject) && alike(r, first) &&
            program_of(check, r)->commands < program_of(check, shown)->commands)
            shown = r;
    }
    tell_head(out, check, first, shown, colour);
    const struct outcome *o = shown->shortest.events > 0 ? &shown->shortest : &shown->outcome;
    const char *law = law_expects(&check->law, o->clause);
    if (law != NULL && !check->quiet)
        tell_law(out, law, in_full ? LAW_COLUMNS : LAW_COLUMNS_BRIEF);
    paragraph(out, "seen", o->message);
    tell_said(out, o->said);
    if (check->quiet)
        return;
    tell_program(out, program_of(check, shown));
    if (in_full)
        tell_events(out, o);
}

/* ---- the rest -------------------------------------------------------------------------------- */

/* The capability that a case needs and lacks: words of "needs read send", or in brackets at the end
 * of what the judge says. Calls `count` with each. */
static void each_lacking(const char *message, void (*count)(const char *name, void *self),
                         void *self) {
    char text[320], *save = NULL;
    const char *bracket = strrchr(message, '(');
    snprintf(text, sizeof text, "%s",
             bracket != NULL                      ? bracket + 1
             : strncmp(message, "needs ", 6) == 0 ? message + 6
                                                  : "");
    for (char *word = strtok_r(text, " ,)", &save); word != NULL;
         word = strtok_r(NULL, " ,)", &save))
        for (unsigned bit = 0; bit < 64; bit++)
            if (capability_name(bit) != NULL && strcmp(capability_name(bit), word) == 0)
                count(word, self);
}

struct lacking {
    bool rounds, any;
    unsigned count[64];
    unsigned one[64]; /* in the case at hand */
};

static void count_lacking(const char *name, void *self) {
    struct lacking *lacking = self;
    for (unsigned bit = 0; bit < 64; bit++)
        if (capability_name(bit) != NULL && strcmp(capability_name(bit), name) == 0) {
            lacking->one[bit] = 1;
            lacking->any = true;
            lacking->rounds = lacking->rounds || UINT64_C(1) << bit == ETALON_OFFERS_ROUNDS;
        }
}

/* What is lacked, the most frequent first; a case that lacks several is counted with each. */
static void list_lacking(FILE *text, struct lacking *lacking, const char *before) {
    for (unsigned listed = 0;; listed++) {
        unsigned most = 0;
        for (unsigned bit = 1; bit < 64; bit++)
            if (lacking->count[bit] > lacking->count[most])
                most = bit;
        if (lacking->count[most] == 0)
            break;
        if (listed == LACKING_SHOWN) {
            fputs(", … (--dry-run says which)", text);
            break;
        }
        fprintf(text, "%s%u %s", listed > 0 ? ", " : before, lacking->count[most],
                capability_name(most));
        lacking->count[most] = 0;
    }
}

static void tell_not_asked(FILE *out, const struct check *check, unsigned subject) {
    struct lacking lacking = {false, false, {0}, {0}};
    unsigned all = 0, none = 0, rounds = 0, other = 0;
    for (unsigned i = 0; i < check->results; i++) {
        const struct check_result *r = &check->result[i];
        if (r->subject != subject || r->random)
            continue;
        all++;
        if (r->outcome.verdict != VERDICT_NOT_OFFERED)
            continue;
        none++;
        lacking.rounds = lacking.any = false;
        memset(lacking.one, 0, sizeof lacking.one);
        each_lacking(r->outcome.message, count_lacking, &lacking);
        rounds += lacking.rounds;
        other += !lacking.any;
        for (unsigned bit = 0; bit < 64 && !lacking.rounds; bit++)
            lacking.count[bit] += lacking.one[bit];
    }
    char *text = NULL;
    size_t size;
    FILE *memory = none > 0 ? open_memstream(&text, &size) : NULL;
    if (memory == NULL)
        return;
    fprintf(memory, "%u of %u case%s", none, all, plural(all));
    const char *before = ":";
    if (rounds > 0) {
        fprintf(memory, ": %u %s about rounds (Part II of the law)", rounds,
                rounds == 1 ? "is" : "are");
        before = ";";
    }
    if (other > 0) {
        fprintf(memory, "%s %u need%s what only the simulated kernel can do", before, other,
                other == 1 ? "s" : "");
        before = ";";
    }
    unsigned left = none - rounds - other;
    if (left > 0) {
        fprintf(memory, "%s %u need%s what is not offered", before, left, left == 1 ? "s" : "");
        list_lacking(memory, &lacking, ": ");
    }
    fclose(memory);
    paragraph(out, "not asked", text);
    free(text);
}

static void tell_not_strict(FILE *out, const struct check *check, unsigned subject) {
    char text[1024] = "";
    size_t used = 0;
    for (unsigned i = 0; i < check->results && used < sizeof text - 2 * OUTCOME_FAILURE; i++) {
        const struct check_result *r = &check->result[i];
        char failure[OUTCOME_FAILURE];
        bool told = false;
        unsigned count = 0;
        if (r->subject != subject || r->counts || r->outcome.verdict != VERDICT_NOT_STRICT)
            continue;
        for (unsigned k = 0; k < check->results; k++) {
            bool same = alike(&check->result[k], r);
            told = told || (same && k < i);
            count += same;
        }
        outcome_failure(&r->outcome, failure);
        if (!told)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s in %u case%s",
                                     used > 0 ? ", " : "", failure, count, plural(count));
    }
    if (used > 0)
        paragraph(out, "not strict", text);
}

static void tell_baseline(FILE *out, const struct check *check, unsigned subject) {
    const struct baseline_entry *entry;
    unsigned known = 0;
    for (unsigned i = 0; i < check->results; i++)
        known += check->result[i].subject == subject && check->result[i].counts &&
                 check->result[i].known;
    if (known > 0)
        fprintf(out, "  %-*s%u failure%s that %s has\n", INDENT - 2, "known", known, plural(known),
                check->baseline->path);
    for (unsigned at = 0; (entry = baseline_gone(check, &at, false)) != NULL;)
        if (strcmp(entry->subject, check->subject[subject].name) == 0) {
            char text[1024];
            snprintf(text, sizeof text, "%s:%u: %s%s%s", check->baseline->path, entry->line,
                     entry->of_case, entry->random ? "" : ": ", baseline_why(check, entry));
            paragraph(out, "gone", text);
        }
}

static void tell_random(FILE *out, const struct check *check, unsigned subject) {
    const struct check_tally *tally = &check->tally[subject];
    char text[320];
    if (tally->programs == 0)
        return;
    snprintf(text, sizeof text,
             "%llu program%s of seed %llu, %llu judged, %llu not as the law has it, %llu not "
             "strict%s",
             (unsigned long long)tally->programs, plural(tally->programs),
             (unsigned long long)check->seed, (unsigned long long)tally->judged,
             (unsigned long long)tally->bad, (unsigned long long)tally->excused,
             tally->too_many ? "; there are more sorts of failures than are told here" : "");
    paragraph(out, "random", text);
}

static void tell_subject(FILE *out, const struct check *check, unsigned subject, bool colour) {
    unsigned asked = 0, count[VERDICTS] = {0}, sorts = 0;
    for (unsigned i = 0; i < check->results; i++) {
        const struct check_result *r = &check->result[i];
        if (r->subject == subject && !r->random)
            count[r->outcome.verdict]++;
        if (is_new(r, subject) && !was_told(check, i))
            sorts++;
    }
    for (unsigned v = 0; v < VERDICTS; v++)
        asked += v != VERDICT_NOT_OFFERED ? count[v] : 0;
    fprintf(out, "%s%s %s%s: %u case%s asked", colour ? "\033[1m" : "",
            check->subject[subject].name, check->subject[subject].version, colour ? "\033[0m" : "",
            asked, plural(asked));
    static const char *const said[VERDICTS] = {"passed", "not strict", "failed",
                                               NULL,     "hung",       "crashed"};
    for (unsigned v = 0; v < VERDICTS; v++)
        if (said[v] != NULL && (count[v] > 0 || v == VERDICT_PASS))
            fprintf(out, ", %u %s", count[v], said[v]);
    if (sorts > 0)
        fprintf(out, "; %u sort%s of %sfailure%s", sorts, plural(sorts),
                check->baseline != NULL ? "new " : "", plural(sorts));
    fputc('\n', out);
    for (unsigned i = 0; i < check->results; i++)
        if (is_new(&check->result[i], subject) && !was_told(check, i))
            tell_sort(out, check, i, sorts <= SORTS_IN_FULL, colour);
    if (sorts > 0)
        fputc('\n', out);
    tell_baseline(out, check, subject);
    tell_not_strict(out, check, subject);
    tell_random(out, check, subject);
    char *claim = check_claim(check, subject);
    if (claim != NULL && *claim != '\0')
        paragraph(out, "claim", claim);
    free(claim);
    check_profiles(out, check, subject);
    tell_not_asked(out, check, subject);
}

void tell_people(FILE *out, const void *what) {
    const struct check *check = what;
    bool colour = out == stdout && isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL;
    for (unsigned s = 0; s < check->subjects; s++) {
        if (s > 0)
            fputc('\n', out);
        tell_subject(out, check, s, colour);
    }
}

#else
typedef int nothing_here;
#endif

/* SPDX-License-Identifier: MIT */
/* The files that a check writes (check.h), and the law as they quote it. */
#ifndef ETALON_WITHOUT_KIT

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../src/etalon.h"
#include "check.h"
#include "text.h"

/* ---- the law --------------------------------------------------------------------------------- */

static void trim(char *text) {
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        text[--length] = '\0';
}

static void append(char *text, size_t size, const char *line) {
    while (isspace((unsigned char)*line))
        line++;
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s", used > 0 ? " " : "", line);
    trim(text);
}

static const char *level_of(const char *text) {
    return strstr(text, "MUST") != NULL     ? "MUST"
           : strstr(text, "SHOULD") != NULL ? "SHOULD"
                                            : "MAY";
}

static bool clause_begin(struct law *law, const char *line, const char *section) {
    struct law_clause *grown = realloc(law->clause, (law->clauses + 1) * sizeof *grown);
    const char *end = strstr(line + 4, "** ");
    if (grown == NULL)
        return false;
    law->clause = grown; /* the old one is gone */
    if (end == NULL || (size_t)(end - line) - 4 >= sizeof grown->id)
        return false;
    struct law_clause *clause = &law->clause[law->clauses++];
    memset(clause, 0, sizeof *clause);
    memcpy(clause->id, line + 4, (size_t)(end - line) - 4);
    snprintf(clause->section, sizeof clause->section, "%s", section);
    append(clause->text, sizeof clause->text, end + 3);
    return true;
}

bool law_read(struct law *law, const char *path) {
    char line[4096], chapter[80] = "", section[80] = "";
    FILE *file = fopen(path, "r");
    bool inside = false, good = true;
    unsigned number = 0;
    if (file == NULL) {
        fprintf(stderr, "etalon: %s: %s (--law FILE says where the law is)\n", path,
                strerror(errno));
        return false;
    }
    while (good && fgets(line, sizeof line, file) != NULL) {
        number++;
        trim(line);
        if (strncmp(line, "## ", 3) == 0) {
            snprintf(chapter, sizeof chapter, "%.70s", line + 3);
            snprintf(section, sizeof section, "%s", chapter);
        } else if (strncmp(line, "### ", 4) == 0) {
            snprintf(section, sizeof section, "%.40s / %.30s", chapter, line + 4);
        }
        if (strncmp(line, "- **ET-", 7) == 0)
            inside = good = clause_begin(law, line, section);
        else if (*line == '\0' || *line == '#' || *line == '-')
            inside = false;
        else if (inside)
            append(law->clause[law->clauses - 1].text, sizeof law->clause->text, line);
    }
    fclose(file);
    for (unsigned i = 0; i < law->clauses; i++)
        snprintf(law->clause[i].level, sizeof law->clause[i].level, "%s",
                 level_of(law->clause[i].text));
    if (!good)
        fprintf(stderr, "etalon: %s:%u: no number of a clause between '- **' and '** '\n", path,
                number);
    else if (law->clauses == 0)
        fprintf(stderr, "etalon: %s: no numbered clauses\n", path);
    return good && law->clauses > 0;
}

const char *law_text(const struct law *law, const char *id) {
    for (unsigned i = 0; i < law->clauses; i++)
        if (strcmp(law->clause[i].id, id) == 0)
            return law->clause[i].text;
    return NULL;
}

const char *law_expects(const struct law *law, const char *id) {
    static const struct {
        const char *clause, *text;
    } in_other_words[] = {
        {"ET-RUN-1", "run(NO_WAIT), which is tick(0), calls the callbacks of what is due when it "
                     "begins, and returns without having slept."},
        {"ET-RUN-2", "run(ONCE), which is tick(1), goes on, and sleeps, until one callback has "
                     "been called, nothing is in use, or the loop is stopped; then it returns."},
        {"ET-RUN-3", "run(UNTIL_DONE) goes on, however many callbacks have been called, until "
                     "nothing is in use or the loop is stopped; then it returns."},
    };
    for (size_t i = 0; i < sizeof in_other_words / sizeof *in_other_words; i++)
        if (strcmp(in_other_words[i].clause, id) == 0)
            return in_other_words[i].text;
    return law_text(law, id);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* Names and messages come from strangers: whatever their bytes are, this is JSON. */
static void string(FILE *out, const char *text) {
    fputc('"', out);
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0';) {
        unsigned length = utf8_length(p);
        if (*p == '"' || *p == '\\')
            fprintf(out, "\\%c", *p);
        else if (*p == '\n')
            fputs("\\n", out);
        else if (*p < 0x20 || length == 0)
            fputs(length == 0 ? "?" : " ", out);
        else
            fwrite(p, 1, length, out);
        p += length > 0 ? length : 1;
    }
    fputc('"', out);
}

static void member(FILE *out, const char *name, const char *text) {
    fprintf(out, "\"%s\":", name);
    if (text == NULL || *text == '\0')
        fputs("null", out);
    else
        string(out, text);
}

static const char *kind_name(char kind) {
    switch (kind) {
    case 'c': return "call";
    case 'b': return "callback";
    case 's': return "state";
    case 'o': return "world";
    case 'e': return "end";
    default: return "wait";
    }
}

/* The event's own completion's, and what has changed of the others. */
static void states(FILE *out, const struct kit_event *e, int8_t *known) {
    static const char *const name[KIT_STATES] = {"dead",      "adding", "active",
                                                 "deleting",  "unused", "in_use",
                                                 "submitted", "called", "silent"};
    bool any = false;
    int own = e->kind == 'c' || e->kind == 'b' ? e->completion : -1;
    if (own >= 0 && own < PROGRAM_FEW && e->state[own] >= 0 && e->state[own] < KIT_STATES)
        fprintf(out, ",\"state\":\"%s\"", name[e->state[own]]);
    for (int c = 0; c < PROGRAM_FEW; c++) {
        int8_t state = e->state[c];
        if (state < 0 || state >= KIT_STATES)
            continue;
        if (c != own && state != known[c] &&
            (known[c] >= 0 || (state != KIT_DEAD && state != KIT_UNUSED))) { /* as it begins */
            fprintf(out, "%s\"c%d\":\"%s\"", any ? "," : ",\"states\":{", c, name[state]);
            any = true;
        }
        known[c] = state;
    }
    fputs(any ? "}" : "", out);
}

static void events(FILE *out, const char *name, const struct outcome *outcome) {
    int8_t known[PROGRAM_FEW];
    for (unsigned c = 0; c < PROGRAM_FEW; c++)
        known[c] = -1;
    fprintf(out, "\"%s\":[", name);
    for (unsigned i = 0; i < outcome->events; i++) {
        const struct kit_event *e = &outcome->event[i];
        fprintf(out, "%s{\"at_us\":%llu,\"kind\":\"%s\",\"completion\":", i > 0 ? "," : "",
                (unsigned long long)e->at_us, kind_name(e->kind));
        if (e->completion >= 0 && e->completion < PROGRAM_COMPLETIONS)
            fprintf(out, "\"c%d\"", e->completion);
        else
            fputs("null", out);
        fputs(",\"text\":", out);
        string(out, e->text);
        if (e->raw[0] != '\0') {
            fputs(",\"raw\":", out);
            string(out, e->raw);
        }
        states(out, e, known);
        fputc('}', out);
    }
    fputc(']', out);
}

static void program(FILE *out, const char *name, const struct program *p) {
    char *text = NULL;
    size_t size = 0;
    struct trace *bare = calloc(1, sizeof *bare);
    FILE *memory = open_memstream(&text, &size);
    fprintf(out, "\"%s\":", name);
    if (bare != NULL && memory != NULL) {
        bare->program = *p;
        trace_write(memory, bare);
    }
    if (memory != NULL)
        fclose(memory);
    char *first = text != NULL ? strchr(text, '\n') : NULL; /* without "etalon-trace 1" */
    string(out, first != NULL ? first + 1 : "");
    free(text);
    free(bare);
}

static void write_subject(FILE *out, const struct check *check, unsigned number) {
    const struct subject *s = &check->subject[number];
    char *claim = check_claim(check, number);
    bool any = false;
    fputc('{', out);
    member(out, "name", s->name);
    fputc(',', out);
    member(out, "version", s->version);
    fputc(',', out);
    member(out, "file", s->file);
    fprintf(out, ",\"slack_ms\":%u,", s->slack_ms);
    member(out, "claim", claim);
    free(claim);
    fputs(",\"offers\":[", out);
    for (unsigned bit = 0; bit < 64; bit++) {
        const char *name = (s->offers >> bit & 1) != 0 ? capability_name(bit) : NULL;
        if (name != NULL)
            fprintf(out, "%s\"%s\"", any ? "," : "", name);
        any = any || name != NULL;
    }
    fputs("],\"notes\":", out);
    string(out, s->notes);
    fputs(",\"differences\":[", out);
    for (unsigned i = 0; i < s->differences; i++) {
        fputs(i > 0 ? ",{" : "{", out);
        member(out, "clause", s->difference[i].clause);
        fputc(',', out);
        member(out, "kind", s->difference[i].kind);
        fputc(',', out);
        member(out, "why", s->difference[i].why);
        fputc('}', out);
    }
    fputs("]}", out);
}

static void write_case(FILE *out, const struct check_case *c) {
    fputc('{', out);
    member(out, "id", c->id);
    fputs(",\"title\":", out);
    string(out, c->trace.title);
    fputs(",\"description\":", out);
    string(out, c->description != NULL ? c->description : "");
    fputs(",\"clauses\":[", out);
    for (unsigned i = 0; i < c->trace.clauses; i++) {
        fputs(i > 0 ? "," : "", out);
        string(out, c->trace.clause[i]);
    }
    fputs("],", out);
    program(out, "program", &c->trace.program);
    fputc('}', out);
}

static void write_result(FILE *out, const struct check *check, const struct check_result *r) {
    const struct check_case *c = &check->cases_list[r->of_case];
    const struct outcome *o = &r->outcome;
    static const struct outcome none;
    fputc('{', out);
    member(out, "subject", check->subject[r->subject].name);
    fputc(',', out);
    member(out, "case", c->id);
    fprintf(out, ",\"verdict\":\"%s\",", verdict_name[o->verdict]);
    member(out, "clause", o->clause);
    fputc(',', out);
    member(out, "kind", o->kind);
    fputs(",\"message\":", out);
    string(out, o->message);
    fputc(',', out);
    member(out, "signal", o->signal);
    fputc(',', out);
    member(out, "place", o->place);
    fputc(',', out);
    member(out, "stack", o->stack);
    fputc(',', out);
    member(out, "said", o->said);
    fputc(',', out);
    if (check->baseline != NULL)
        fprintf(out, "\"known\":%s,", r->known ? "true" : "false");
    if (r->random)
        fprintf(out, "\"programs\":%llu,", (unsigned long long)r->programs);
    events(out, "expected", o->verdict == VERDICT_NOT_OFFERED ? &none : &c->reference);
    fputc(',', out);
    events(out, "observed", o);
    fputc(',', out);
    if (r->shrunk != NULL)
        program(out, "program", r->shrunk);
    else
        fputs("\"program\":null", out);
    fputc(',', out);
    member(out, "program_message", r->shrunk != NULL ? r->shrunk_message : NULL);
    fputc('}', out);
}

void report_full(FILE *out, const void *what) {
    const struct check *check = what;
    char created[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    fprintf(out,
            "{\"etalon\":\"%s\",\"spec\":\"" ET_SPECIFICATION
            "\",\"abi\":%d,\"created\":\"%s\",\"seed\":%llu,"
            "\"random\":%llu,"
            "\"strict\":%s,\n\"clauses\":[",
            ET_VERSION, ETALON_SUBJECT_ABI, created, (unsigned long long)check->seed,
            (unsigned long long)check->random, check->strict ? "true" : "false");
    for (unsigned i = 0; i < check->law.clauses; i++) {
        const struct law_clause *c = &check->law.clause[i];
        fputs(i > 0 ? ",\n{" : "\n{", out);
        member(out, "id", c->id);
        fputc(',', out);
        member(out, "section", c->section);
        fputc(',', out);
        member(out, "level", c->level);
        fputc(',', out);
        member(out, "text", c->text);
        fputc('}', out);
    }
    fputs("],\n\"subjects\":[", out);
    for (unsigned i = 0; i < check->subjects; i++) {
        fputs(i > 0 ? ",\n" : "\n", out);
        write_subject(out, check, i);
    }
    fputs("],\n\"cases\":[", out);
    for (unsigned i = 0; i < check->cases; i++) {
        fputs(i > 0 ? ",\n" : "\n", out);
        write_case(out, &check->cases_list[i]);
    }
    fputs("],\n\"results\":[", out);
    for (unsigned i = 0; i < check->results; i++) {
        fputs(i > 0 ? ",\n" : "\n", out);
        write_result(out, check, &check->result[i]);
    }
    fputs("]}\n", out);
}

void report_short(FILE *out, const void *what) {
    const struct check *check = what;
    fputs("{\"subjects\": {", out);
    for (unsigned s = 0; s < check->subjects; s++) {
        unsigned count[VERDICTS] = {0};
        for (unsigned i = 0; i < check->results; i++)
            if (check->result[i].subject == s)
                count[check->result[i].outcome.verdict]++;
        fprintf(out, "%s\"%s\": {", s > 0 ? ", " : "", check->subject[s].name);
        for (unsigned v = 0; v < VERDICTS; v++)
            fprintf(out, "%s\"%s\": %u", v > 0 ? ", " : "", verdict_name[v], count[v]);
        char *claim = check_claim(check, s);
        fputs(", ", out);
        member(out, "claim", claim != NULL && *claim != '\0' ? claim : NULL);
        fputc('}', out);
        free(claim);
    }
    fputs("}}\n", out);
}

#else
typedef int nothing_here;
#endif

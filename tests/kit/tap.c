/* SPDX-License-Identifier: MIT */
/* The results of a check in the test-anything protocol (check.h). */
#ifndef ETALON_WITHOUT_KIT

#include <stdlib.h>
#include <string.h>

#include "baseline.h"
#include "check.h"

static void print_program(FILE *to, const struct program *p) {
    static struct trace bare;
    char *text = NULL;
    size_t size = 0;
    memset(&bare, 0, sizeof bare);
    bare.program = *p;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return;
    trace_write(out, &bare);
    fclose(out);
    for (char *line = text; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        fprintf(to, "#     %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
    free(text);
}

static void print_said(FILE *out, const char *said) {
    for (const char *line = said; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        fprintf(out, "#   it said: %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
}

/* A failure that the baseline does not have any more. */
static bool is_gone(const struct check_result *r) {
    return r->expected != NULL && !r->expected->met && !r->counts;
}

static void print_head(FILE *out, const struct check *check, unsigned number) {
    const struct check_result *r = &check->result[number];
    const struct outcome *o = &r->outcome;
    bool bad = r->counts || is_gone(r);
    fprintf(out, "%sok %u - %s/%s", bad ? "not " : "", number + 1, check->subject[r->subject].name,
            check->cases_list[r->of_case].id);
    if (is_gone(r))
        fprintf(out, ": %s\n#   the baseline: %s", verdict_name[o->verdict],
                baseline_why(check, r->expected));
    else if (o->verdict == VERDICT_NOT_OFFERED)
        fprintf(out, " # SKIP not offered: %s", o->message);
    else if (o->verdict != VERDICT_PASS)
        fprintf(out, ": %s%s", verdict_name[o->verdict],
                r->counts && r->known ? " # TODO the baseline has it" : "");
    fputc('\n', out);
}

void tap_result(FILE *out, const struct check *check, unsigned number) {
    const struct check_result *r = &check->result[number];
    const struct outcome *o = &r->outcome;
    print_head(out, check, number);
    if (o->verdict == VERDICT_PASS || o->verdict == VERDICT_NOT_OFFERED)
        return;
    fprintf(out, "#   %s%s%s%s%s\n", o->clause, o->kind[0] != '\0' ? "/" : "", o->kind,
            o->clause[0] != '\0' ? ": " : "", o->message);
    print_said(out, o->said);
    const char *law = law_text(&check->law, o->clause);
    if (law != NULL && !check->quiet)
        fprintf(out, "#   the law: %s\n", law);
    if (!r->counts || r->known || check->quiet)
        return;
    bool other = r->shrunk != NULL && strcmp(r->shrunk_message, o->message) != 0;
    fprintf(out, "#   %s%s%s:\n",
            r->shrunk != NULL ? "the shortest program found that shows it" : "the program",
            other ? ", in which " : "", other ? r->shrunk_message : "");
    print_program(out,
                  r->shrunk != NULL ? r->shrunk : &check->cases_list[r->of_case].trace.program);
}

unsigned tap_gone(FILE *out, const struct check *check) {
    const struct baseline_entry *entry;
    unsigned number = check->results;
    for (unsigned at = 0; (entry = baseline_gone(check, &at, true)) != NULL;)
        fprintf(out, "not ok %u - %s/%s: gone\n#   the baseline: %s\n", ++number, entry->subject,
                entry->random ? "random programs" : entry->of_case, baseline_why(check, entry));
    return number;
}

void tap_write(FILE *out, const void *what) {
    const struct check *check = what;
    fputs("TAP version 13\n", out);
    for (unsigned i = 0; i < check->results; i++)
        tap_result(out, check, i);
    fprintf(out, "1..%u\n", tap_gone(out, check));
}

#else
typedef int nothing_here;
#endif

/* SPDX-License-Identifier: MIT */
/* The results of a check in JUnit's XML, which CI systems read (check.h). Each subject is a test
 * suite, each case a test; what is not offered, and what the baseline knows, is skipped. The file
 * is as the schemas of Jenkins and of Ant have it, which tests/suites/kit/junit.xsd puts into one.
 */
#ifndef ETALON_WITHOUT_KIT

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../src/etalon.h"
#include "baseline.h"
#include "check.h"
#include "text.h"

/* Whatever the bytes are, this is XML: what XML 1.0 has no character for becomes '?'. */
static void escaped(FILE *out, const char *text) {
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0';) {
        unsigned length = utf8_length(p);
        /* U+FFFE and U+FFFF */
        bool nobody = length == 3 && p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xbe;
        if (length == 0 || nobody || (*p < ' ' && *p != '\n' && *p != '\t') || *p == 0x7f)
            fputc('?', out);
        else if (*p == '&')
            fputs("&amp;", out);
        else if (*p == '<')
            fputs("&lt;", out);
        else if (*p == '>')
            fputs("&gt;", out);
        else if (*p == '"')
            fputs("&quot;", out);
        else if (*p == '\n')
            fputs("&#10;", out);
        else
            fwrite(p, 1, length, out);
        p += length > 0 ? length : 1;
    }
}

static void attribute(FILE *out, const char *name, const char *text) {
    fprintf(out, " %s=\"", name);
    escaped(out, text);
    fputc('"', out);
}

/* ---- a test ---------------------------------------------------------------------------------- */

enum ending { GOOD, SKIPPED, FAILURE, ERROR };

/* The unexpected pass of a case. */
static bool is_gone(const struct check_result *r) {
    return r->expected != NULL && !r->expected->met && !r->counts;
}

static enum ending ending_of(const struct check_result *r) {
    if (is_gone(r))
        return FAILURE;
    if (r->outcome.verdict == VERDICT_NOT_OFFERED || (r->counts && r->known))
        return SKIPPED;
    if (!r->counts)
        return GOOD;
    return r->outcome.verdict == VERDICT_CRASH || r->outcome.verdict == VERDICT_HANG ? ERROR
                                                                                     : FAILURE;
}

static void write_details(FILE *out, const struct check *check, const struct check_result *r) {
    const struct check_case *c = &check->cases_list[r->of_case];
    const char *law = law_text(&check->law, r->outcome.clause);
    char *text = NULL;
    size_t size;
    struct trace *bare = calloc(1, sizeof *bare);
    FILE *memory = open_memstream(&text, &size);
    if (memory != NULL && bare != NULL) {
        bare->program = r->shrunk != NULL ? *r->shrunk : c->trace.program;
        if (law != NULL)
            fprintf(memory, "The law: %s\n", law);
        if (r->outcome.said[0] != '\0')
            fprintf(memory, "It said: %s\n", r->outcome.said);
        fprintf(memory, "The shortest program found that shows it:\n");
        trace_write(memory, bare);
    }
    if (memory != NULL)
        fclose(memory);
    escaped(out, text != NULL ? text : "");
    free(text);
    free(bare);
}

static void write_test(FILE *out, const struct check *check, const struct check_result *r) {
    char failure[OUTCOME_FAILURE], message[512];
    static const char *const element[] = {NULL, "skipped", "failure", "error"};
    enum ending ending = ending_of(r);
    outcome_failure(&r->outcome, failure);
    fputs("    <testcase", out);
    attribute(out, "classname", check->subject[r->subject].name);
    attribute(out, "name", check->cases_list[r->of_case].id);
    fprintf(out, " time=\"%.3f\"", r->outcome.seconds);
    if (ending == GOOD) {
        fputs("/>\n", out);
        return;
    }
    snprintf(message, sizeof message, "%s%s: %s", ending == SKIPPED && r->counts ? "known: " : "",
             verdict_name[r->outcome.verdict], r->outcome.message);
    fprintf(out, ">\n      <%s", element[ending]);
    attribute(out, "message", is_gone(r) ? baseline_why(check, r->expected) : message);
    if (ending == SKIPPED || is_gone(r)) {
        if (ending != SKIPPED)
            attribute(out, "type", "gone");
        fputs("/>\n", out);
    } else {
        attribute(out, "type", failure);
        fputc('>', out);
        write_details(out, check, r);
        fprintf(out, "</%s>\n", element[ending]);
    }
    fputs("    </testcase>\n", out);
}

/* What the baseline has and no result tells: of random programs, and of cases that are gone. */
static void write_gone(FILE *out, const struct check *check, const struct baseline_entry *entry) {
    char name[512];
    snprintf(name, sizeof name, "%s%s", entry->random ? "random programs: " : "",
             entry->random ? entry->failure : entry->of_case);
    fputs("    <testcase", out);
    attribute(out, "classname", entry->subject);
    attribute(out, "name", name);
    fputs(" time=\"0.000\">\n      <failure", out);
    attribute(out, "message", baseline_why(check, entry));
    attribute(out, "type", "gone");
    fputs("/>\n    </testcase>\n", out);
}

/* ---- a suite --------------------------------------------------------------------------------- */

struct counts {
    unsigned tests, of[4];
    double seconds;
};

static struct counts count(const struct check *check, unsigned subject) {
    struct counts counts = {0, {0}, 0};
    const struct baseline_entry *entry;
    for (unsigned i = 0; i < check->results; i++)
        if (check->result[i].subject == subject) {
            counts.tests++;
            counts.of[ending_of(&check->result[i])]++;
            counts.seconds += check->result[i].outcome.seconds;
        }
    for (unsigned at = 0; (entry = baseline_gone(check, &at, true)) != NULL;)
        if (strcmp(entry->subject, check->subject[subject].name) == 0) {
            counts.tests++;
            counts.of[FAILURE]++;
        }
    return counts;
}

static void property(FILE *out, const char *name, const char *value) {
    fputs("      <property", out);
    attribute(out, "name", name);
    attribute(out, "value", value);
    fputs("/>\n", out);
}

static void write_suite(FILE *out, const struct check *check, unsigned subject, const char *now) {
    const struct subject *s = &check->subject[subject];
    const struct counts counts = count(check, subject);
    const struct baseline_entry *entry;
    char *claim = check_claim(check, subject);
    fputs("  <testsuite", out);
    attribute(out, "name", s->name);
    attribute(out, "package", "etalon");
    fprintf(out,
            " id=\"%u\" timestamp=\"%s\" hostname=\"localhost\" tests=\"%u\" failures=\"%u\" "
            "errors=\"%u\" skipped=\"%u\" time=\"%.3f\">\n    <properties>\n",
            subject, now, counts.tests, counts.of[FAILURE], counts.of[ERROR], counts.of[SKIPPED],
            counts.seconds);
    property(out, "version", s->version);
    property(out, "etalon", ET_VERSION);
    property(out, "specification", ET_SPECIFICATION);
    if (claim != NULL && *claim != '\0')
        property(out, "claim", claim);
    free(claim);
    fputs("    </properties>\n", out);
    for (unsigned i = 0; i < check->results; i++)
        if (check->result[i].subject == subject)
            write_test(out, check, &check->result[i]);
    for (unsigned at = 0; (entry = baseline_gone(check, &at, true)) != NULL;)
        if (strcmp(entry->subject, s->name) == 0)
            write_gone(out, check, entry);
    fputs("    <system-out/>\n    <system-err/>\n  </testsuite>\n", out);
}

void junit_write(FILE *out, const void *what) {
    const struct check *check = what;
    char now[32];
    struct tm utc;
    time_t seconds = time(NULL);
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &utc));
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n", out);
    for (unsigned s = 0; s < check->subjects; s++)
        write_suite(out, check, s, now);
    fputs("</testsuites>\n", out);
}

#else
typedef int nothing_here;
#endif

/* SPDX-License-Identifier: MIT */
/* Reads and writes traces: programs as text, with what must be seen when they run
 * (spec/trace-format.md).
 *
 * The reader takes any bytes, for the fuzzers feed it too. It refuses whatever it does not
 * understand completely: a conformance case that is silently read as something else proves nothing.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../src/etalon_vocabulary.h"
#include "notation.h"
#include "program.h"

#define LINE_MAX_BYTES 1023
#define NO_BODY        PROGRAM_BODIES
#define ABSENT         UINT16_MAX

struct word {
    const char *text;
    size_t length; /* 0: the line has ended */
};

struct reader {
    struct trace *trace;
    const char *at, *end; /* what is left of the line */
    unsigned line;
    bool headed, titled;
    /* that the next command belongs to, or NO_BODY */
    unsigned body;
    uint16_t times; /* of the command that is read: it is repeated so often; 0: it is not */
    /* in the order of the text; first may be ABSENT */
    uint16_t first[PROGRAM_BODIES], count[PROGRAM_BODIES];
    unsigned observations_room;
    char *error;
    size_t error_size;
};

/* ---- errors ---------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static int wrong(struct reader *r, const char *format, ...) {
    char message[256];
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof message, format, list);
    va_end(list);
    snprintf(r->error, r->error_size, "line %u: %s", r->line, message);
    return -1;
}

/* A word as it may stand in a message of one line, whatever its bytes are. */
static void quote(char out[96], struct word word) {
    size_t at = 0;
    out[at++] = '"';
    for (size_t i = 0; i < word.length; i++) {
        unsigned char byte = (unsigned char)word.text[i];
        if (at > 80) {
            at += (size_t)snprintf(out + at, 96 - at, "...");
            break;
        }
        if (byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\')
            out[at++] = (char)byte;
        else
            at += (size_t)snprintf(out + at, 96 - at, "\\x%02x", byte);
    }
    snprintf(out + at, 96 - at, "\"");
}

static int expected(struct reader *r, const char *what, struct word word) {
    char quoted[96];
    if (word.length == 0)
        return wrong(r, "expected %s, not the end of the line", what);
    quote(quoted, word);
    return wrong(r, "expected %s, not %s", what, quoted);
}

/* ---- words ----------------------------------------------------------------------------------- */

static bool blank(char byte) {
    return byte == ' ' || byte == '\t';
}

static struct word next_word(struct reader *r) {
    while (r->at < r->end && blank(*r->at))
        r->at++;
    struct word word = {r->at, 0};
    while (r->at < r->end && !blank(*r->at))
        r->at++;
    word.length = (size_t)(r->at - word.text);
    return word;
}

/* What is left of the line, without the blanks around it. */
static struct word rest_of_line(struct reader *r) {
    struct word rest = {r->at, (size_t)(r->end - r->at)};
    r->at = r->end;
    while (rest.length > 0 && blank(*rest.text)) {
        rest.text++;
        rest.length--;
    }
    while (rest.length > 0 && blank(rest.text[rest.length - 1]))
        rest.length--;
    return rest;
}

static bool is(struct word word, const char *name) {
    return word.length == strlen(name) && memcmp(word.text, name, word.length) == 0;
}

static int end_of_line(struct reader *r) {
    struct word word = next_word(r);
    return word.length == 0 ? 0 : expected(r, "the end of the line", word);
}

/* Takes the next word if it is this one. */
static bool optional(struct reader *r, const char *name) {
    const char *before = r->at;
    if (is(next_word(r), name))
        return true;
    r->at = before;
    return false;
}

static bool digit(char byte) {
    return byte >= '0' && byte <= '9';
}

/* A decimal number without sign; false when it is none or larger than 64 bits hold. */
static bool number_of(struct word word, uint64_t *value) {
    uint64_t sum = 0;
    for (size_t i = 0; i < word.length; i++) {
        unsigned next = (unsigned)(word.text[i] - '0');
        if (!digit(word.text[i]) || sum > (UINT64_MAX - next) / 10)
            return false;
        sum = sum * 10 + next;
    }
    *value = sum;
    return word.length > 0;
}

/* A letter and a number without leading zeros: c0, d12, b1. */
static bool index_of(struct word word, char letter, unsigned first, unsigned last,
                     uint16_t *index) {
    struct word digits = {word.text + 1, word.length - 1};
    uint64_t value;
    if (word.length < 2 || word.length > 5 || word.text[0] != letter ||
        !number_of(digits, &value) || (digits.length > 1 && digits.text[0] == '0'))
        return false;
    *index = (uint16_t)value;
    return value >= first && value <= last;
}

/* What is left of a word from this byte on, which it loses; nothing when it has none. */
static struct word cut_from(struct word *word, char byte) {
    const char *at = word->length > 0 ? memchr(word->text, byte, word->length) : NULL;
    struct word rest = {word->text + word->length, 0};
    if (at != NULL) {
        rest = (struct word){at + 1, (size_t)(word->text + word->length - at - 1)};
        word->length = (size_t)(at - word->text);
    }
    return rest;
}

/* ---- fields of commands ---------------------------------------------------------------------- */

struct range {
    char field;
    uint64_t least, most;
    const char *what;
};

static const struct range ranges[] = {
    {'n', 0, UINT64_MAX, "a number up to 18446744073709551615"},
    {'i', 1, UINT64_MAX, "a number from 1 to 18446744073709551615"},
    {'t', 0, UINT32_MAX, "a number of callbacks up to 4294967295"},
    {'l', 0, NOTATION_LENGTH_MAX, "a length up to 4096"},
    {'P', 0, PROGRAM_WORKERS, "a number of threads up to 4"},
};

/* A step or size of a series, with its unit. */
static bool series_number(struct word word, const char *unit, uint32_t *number) {
    size_t length = strlen(unit);
    uint64_t value;
    if (word.length < length || memcmp(word.text + word.length - length, unit, length) != 0)
        return false;
    word.length -= length;
    if (!number_of(word, &value) || value == 0 || value > UINT32_MAX)
        return false;
    *number = (uint32_t)value;
    return true;
}

/* Takes what follows a number, "+BY" or "+BY%OF", off the word: how it goes on when the command is
 * repeated. `last`: what it comes to at most, if it starts from 0. */
static int take_series(struct reader *r, struct word *word, const char *unit,
                       struct command_series *series, uint64_t *last) {
    struct word whole = *word, by = cut_from(word, '+');
    bool any = word->length < whole.length;
    bool has_size = any && memchr(by.text, '%', by.length) != NULL;
    struct word of = cut_from(&by, '%');
    *last = 0;
    if (!any)
        return 0;
    if (!series_number(by, unit, &series->by) ||
        (has_size && !series_number(of, unit, &series->of)))
        return expected(r, "a step such as c0+1, 5ms+2ms or c0+7%100 with its units", whole);
    if (r->times == 0)
        return expected(r, "no step, as nothing is repeated here", whole);
    *last = has_size ? series->of - 1U : (uint64_t)series->by * (r->times - 1U);
    return 0;
}

static int read_number(struct reader *r, char field, struct command *command) {
    const struct range *range = ranges;
    uint64_t *value = &command->value, last;
    while (range->field != field)
        range++;
    struct word whole = next_word(r), word = whole;
    if (take_series(r, &word, "", &command->value_series, &last) < 0)
        return -1;
    if (!number_of(word, value) || *value < range->least || *value > range->most ||
        last > range->most - *value)
        return expected(r, range->what, whole);
    return 0;
}

static int read_delay(struct reader *r, struct command *command) {
    struct word whole = next_word(r), word = whole;
    uint64_t *value = &command->value, last;
    if (take_series(r, &word, "ms", &command->value_series, &last) < 0)
        return -1;
    if (word.length > 2 && memcmp(word.text + word.length - 2, "ms", 2) == 0) {
        word.length -= 2;
        if (number_of(word, value) && last <= UINT64_MAX - *value)
            return 0;
    }
    return expected(r, "a delay such as 10ms, up to 18446744073709551615ms", whole);
}

static int read_duration(struct reader *r, uint64_t *value) {
    struct word word = next_word(r), digits = {word.text, 0};
    while (digits.length < word.length && digit(word.text[digits.length]))
        digits.length++;
    struct word unit = {word.text + digits.length, word.length - digits.length};
    for (const struct named *u = duration_units; u->name; u++)
        if (is(unit, u->name) && number_of(digits, value) && *value <= UINT64_MAX / u->value) {
            *value *= u->value;
            return 0;
        }
    return expected(r, "a duration in ns, us, ms or s, up to 18446744073709551615ns", word);
}

static bool named_value(const struct named *names, struct word word, uint64_t *value) {
    for (; names->name; names++)
        if (is(word, names->name)) {
            *value = names->value;
            return true;
        }
    return false;
}

static int read_bits(struct reader *r, const struct named *names, uint64_t most, const char *what,
                     uint64_t *value) {
    struct word word = next_word(r);
    *value = 0;
    for (size_t from = 0, i = 0; i <= word.length; i++) {
        if (i < word.length && word.text[i] != '|')
            continue;
        struct word item = {word.text + from, i - from};
        uint64_t bits = 0;
        if (!named_value(names, item, &bits) && (!number_of(item, &bits) || bits > most))
            return expected(r, what, word);
        *value |= bits;
        from = i + 1;
    }
    return 0;
}

static int read_events(struct reader *r, uint64_t *value) {
    return read_bits(r, event_names, UINT32_MAX,
                     "events: in, pri, out, err, hup, rdhup or 32 bits as a number, joined by |",
                     value);
}

static int read_flags(struct reader *r, uint16_t *flags) {
    uint64_t value = 0;
    if (optional(r, "flags") &&
        read_bits(r, flag_names, UINT16_MAX,
                  "flags: oob, peek, waitall, trunc, errqueue or 16 bits as a number, joined by |",
                  &value) < 0)
        return -1;
    *flags = (uint16_t)value;
    return 0;
}

static int read_name(struct reader *r, char field, uint64_t *value) {
    struct word word = next_word(r);
    if (named_value(names_of(field), word, value))
        return 0;
    switch (field) {
    case 'w': /* a value that the kernel refuses can be written, too */
        if (number_of(word, value) && *value <= INT32_MAX)
            return 0;
        return expected(r, "rd, wr, rdwr or a number up to 2147483647", word);
    case 'r': /* and a mode that the loop must refuse */
        if (number_of(word, value) && *value <= INT32_MAX)
            return 0;
        return expected(r, "no_wait, once, until_done, turn or a number up to 2147483647", word);
    case 'a': return expected(r, "disarm or rearm", word);
    case 'k': return expected(r, "a kind of descriptor", word);
    default: return expected(r, "a system call that can fail", word);
    }
}

#ifdef ETALON_MANY
#define LAST_HANDLE     "d2047"
#define LAST_COMPLETION "c4095"
static_assert(PROGRAM_HANDLES == 2048 && PROGRAM_COMPLETIONS == 4096, "as they are called here");
#else
#define LAST_HANDLE     "d7"
#define LAST_COMPLETION "c7"
static_assert(PROGRAM_HANDLES == 8 && PROGRAM_COMPLETIONS == 8, "as they are called here");
#endif

/* c12, or c12+1%100 of a command that is repeated: all that it comes to there must be. */
static int read_indices(struct reader *r, char letter, unsigned count, const char *what,
                        uint16_t *index, struct command_series *series) {
    struct word word = next_word(r), first = word;
    uint64_t last;
    if (take_series(r, &first, "", series, &last) < 0)
        return -1;
    if (index_of(first, letter, 0, count - 1, index) && last < count - *index)
        return 0;
    return expected(r, what, word);
}

static int read_handle(struct reader *r, bool any, uint16_t *d, struct command_series *series) {
    bool bad = any && optional(r, "bad"), huge = any && !bad && optional(r, "huge");
    *d = bad ? PROGRAM_HANDLES : PROGRAM_HANDLES + 1;
    return bad || huge ? 0
                       : read_indices(r, 'd', PROGRAM_HANDLES,
                                      any ? "a handle, d0 to " LAST_HANDLE ", bad or huge"
                                          : "a handle, d0 to " LAST_HANDLE,
                                      d, series);
}

static int read_destination(struct reader *r, uint16_t *to) {
    struct command_series none = {0};
    if (!optional(r, "to"))
        return 0;
    uint16_t d;
    if (read_handle(r, false, &d, &none) < 0)
        return -1;
    if (none.by != 0)
        return wrong(r, "where a message goes to is the same each time");
    *to = (uint16_t)(d + 1);
    return 0;
}

static int read_completion(struct reader *r, uint16_t *c, struct command_series *series) {
    return read_indices(r, 'c', PROGRAM_COMPLETIONS, "a completion, c0 to " LAST_COMPLETION, c,
                        series);
}

/* A target, which may be a null pointer. */
static int read_target(struct reader *r, uint16_t *c, struct command_series *series) {
    *c = PROGRAM_COMPLETIONS;
    return optional(r, "none")
               ? 0
               : read_indices(r, 'c', PROGRAM_COMPLETIONS,
                              "a completion, c0 to " LAST_COMPLETION ", or none", c, series);
}

static int read_thread(struct reader *r, uint16_t *thread) {
    struct word word = next_word(r);
    return index_of(word, 'w', 0, PROGRAM_WORKERS - 1, thread)
               ? 0
               : expected(r, "a thread, w0 to w3", word);
}

static int read_callback(struct reader *r, uint8_t *body) {
    uint16_t number;
    if (!optional(r, "do"))
        return 0;
    struct word word = next_word(r);
    if (!index_of(word, 'b', 1, PROGRAM_BODY_WORLD - 1, &number))
        return expected(r, "a callback, b1 to b6", word);
    *body = (uint8_t)number;
    return 0;
}

static int read_error(struct reader *r, uint16_t *error) {
    struct word word = next_word(r);
    *error = (uint16_t)errno_number(word.text, word.length);
    return *error != 0 ? 0 : expected(r, "the name of an errno", word);
}

static int read_call(struct reader *r, uint8_t *call) {
    uint64_t value = 0;
    if (read_name(r, 'f', &value) < 0)
        return -1;
    *call = (uint8_t)value;
    return 0;
}

static int read_format(struct reader *r, const char *format, struct command *command);

static int read_operation(struct reader *r, struct command *command) {
    struct word word = next_word(r);
    for (unsigned operation = 0; operation < ET_OPERATIONS; operation++)
        if (is(word, operation_name(operation))) {
            command->operation = (uint8_t)operation;
            return read_format(r, operation_format[operation], command);
        }
    command->operation = ET_OPERATIONS;
    return is(word, operation_name(ET_OPERATIONS)) ? 0 : expected(r, "an operation", word);
}

static int read_field(struct reader *r, char field, struct command *command) {
    switch (field) {
    case 'p': return read_operation(r, command);
    case 'c': return read_completion(r, &command->c, &command->c_series);
    case 'N': return read_target(r, &command->other, &command->other_series);
    case 'd': return read_handle(r, false, &command->d, &command->d_series);
    case 'D': return read_handle(r, true, &command->d, &command->d_series);
    case 'h': return read_handle(r, false, &command->other, &command->other_series);
    case 'W': return read_thread(r, &command->other);
    case 'm': return read_delay(r, command);
    case 'u': return read_duration(r, &command->value);
    case 'e': return read_events(r, &command->value);
    case 'E': return read_error(r, &command->error);
    case 'f': return read_call(r, &command->call);
    case 'b': return read_callback(r, &command->body);
    case 'x': command->pool = optional(r, "on_pool"); return 0;
    case 'y':
        command->other = PROGRAM_COMPLETIONS;
        return optional(r, "by") ? read_completion(r, &command->other, &command->other_series) : 0;
    case 'T': return read_destination(r, &command->to);
    case 'g': return read_flags(r, &command->flags);
    default:
        return names_of(field) ? read_name(r, field, &command->value)
                               : read_number(r, field, command);
    }
}

static int read_format(struct reader *r, const char *format, struct command *command) {
    while (*format) {
        size_t length = strcspn(format, " ");
        if (*format == '%') {
            if (read_field(r, format[1], command) < 0)
                return -1;
        } else {
            char literal[16];
            assert(length < sizeof literal);
            memcpy(literal, format, length);
            literal[length] = 0;
            struct word word = next_word(r);
            if (!is(word, literal))
                return expected(r, literal, word);
        }
        format += length;
        format += *format == ' ';
    }
    return 0;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static bool names_async(const struct command *command) {
    return command->kind == COMMAND_NOTIFY || command->kind == COMMAND_ASYNC_WAIT ||
           (command->kind == COMMAND_OPEN && command->value == WORLD_ASYNC);
}

static int read_times(struct reader *r) {
    struct word word = next_word(r);
    uint64_t times;
    if (!number_of(word, &times) || times < 1 || times > PROGRAM_TIMES_MAX)
        return expected(r, "how often it is repeated, 1 to 10000", word);
    r->times = (uint16_t)times;
    return 0;
}

static int read_command(struct reader *r, struct word word) {
    struct program *p = &r->trace->program;
    unsigned kind = 0;
    r->times = 0;
    if (is(word, "repeat")) {
        if (read_times(r) < 0)
            return -1;
        word = next_word(r);
    }
    while (kind < COMMAND_KINDS && !is(word, command_text[kind].word))
        kind++;
    if (kind == COMMAND_KINDS)
        return expected(r, "a command", word);
    const char *name = command_text[kind].word;
    if (r->body == NO_BODY)
        return wrong(r, "%s before the first body", name);
    if (r->body == PROGRAM_BODY_WORLD && kind < COMMAND_FIRST_OF_WORLD)
        return wrong(r, "%s in the body of the world, which cannot call the loop", name);
    if (r->body == 0 && kind == COMMAND_RETURN)
        return wrong(r, "return in main");
    if (r->times > 0 && kind == COMMAND_RETURN)
        return wrong(r, "return is repeated");
    if (p->commands == PROGRAM_COMMANDS_MAX)
        return wrong(r, "more than %d commands", PROGRAM_COMMANDS_MAX);

    struct command *command = &p->command[p->commands];
    command->kind = (uint8_t)kind;
    command->times = r->times;
    if (read_format(r, command_text[kind].format, command) < 0)
        return -1;
    if (names_async(command) && command->d + command->d_series.by * (r->times > 1) >= PROGRAM_FEW)
        return wrong(r, "an async has one of the handles d0 to d7");
    p->commands++;
    r->count[r->body]++;
    return end_of_line(r);
}

static int begin_body(struct reader *r, unsigned body, const char *name) {
    if (r->first[body] != ABSENT)
        return wrong(r, "a second %s", name);
    r->body = body;
    r->first[body] = r->trace->program.commands;
    return end_of_line(r);
}

static int read_body(struct reader *r) {
    struct word word = next_word(r);
    uint64_t body = 0;
    if (is(word, "world"))
        return begin_body(r, PROGRAM_BODY_WORLD, "body world");
    if (word.length != 1 || !number_of(word, &body) || body < 1 || body >= PROGRAM_BODY_WORLD)
        return expected(r, "a body, 1 to 6 or world", word);
    return begin_body(r, (unsigned)body, "body of that number");
}

static int read_title(struct reader *r) {
    struct trace *t = r->trace;
    struct word title = rest_of_line(r);
    if (r->titled)
        return wrong(r, "a second title");
    if (title.length == 0 || title.length >= sizeof t->title)
        return wrong(r, "expected a title of 1 to %zu bytes", sizeof t->title - 1);
    memcpy(t->title, title.text, title.length);
    r->titled = true;
    return 0;
}

static bool clause_shaped(struct word word) {
    if (word.length < 4 || memcmp(word.text, "ET-", 3) != 0)
        return false;
    for (size_t i = 3; i < word.length; i++) {
        char byte = word.text[i];
        if (!(byte >= 'A' && byte <= 'Z') && !digit(byte) && byte != '-')
            return false;
    }
    return true;
}

static int read_clauses(struct reader *r) {
    struct trace *t = r->trace;
    struct word word = next_word(r);
    do {
        if (!clause_shaped(word) || word.length >= sizeof t->clause[0])
            return expected(r, "a clause such as ET-ADD-1, of at most 23 bytes", word);
        if (t->clauses == TRACE_CLAUSES_MAX)
            return wrong(r, "more than %d clauses", TRACE_CLAUSES_MAX);
        memcpy(t->clause[t->clauses++], word.text, word.length);
        word = next_word(r);
    } while (word.length > 0);
    return 0;
}

static int read_kernel(struct reader *r, bool *only) {
    *only = true;
    if (r->trace->simulated_only && r->trace->real_only)
        return wrong(r, "simulated and real: no kernel is both");
    return end_of_line(r);
}

static int read_simulated(struct reader *r) {
    return read_kernel(r, &r->trace->simulated_only);
}

static int read_real(struct reader *r) {
    return read_kernel(r, &r->trace->real_only);
}

static int read_header(struct reader *r) {
    if (!is(next_word(r), "etalon-trace"))
        return wrong(r, "expected the header \"etalon-trace 1\"");
    struct word version = next_word(r);
    if (!is(version, "1"))
        return expected(r, "version 1", version);
    r->headed = true;
    return end_of_line(r);
}

static int read_observation(struct reader *r) {
    struct trace *t = r->trace;
    r->at++; /* the mark */
    struct word text = rest_of_line(r);
    if (text.length == 0 || text.length >= sizeof t->observed[0])
        return wrong(r, "expected an observation of 1 to %zu bytes", sizeof t->observed[0] - 1);
    if (t->observations == TRACE_OBSERVATIONS_MAX)
        return wrong(r, "more than %d observations", TRACE_OBSERVATIONS_MAX);
    if (t->observations == r->observations_room) {
        unsigned room = r->observations_room == 0 ? 16 : r->observations_room * 2;
        void *more = realloc(t->observed, room * sizeof *t->observed);
        if (!more)
            return wrong(r, "out of memory");
        t->observed = more;
        r->observations_room = room;
    }
    char *place = t->observed[t->observations++];
    memset(place, 0, sizeof *t->observed);
    memcpy(place, text.text, text.length);
    return 0;
}

/* Only a title and an observation may contain the comment mark: both cite what others wrote. */
static void cut_comment(struct reader *r) {
    for (const char *p = r->at; p < r->end; p++)
        if (*p == '#' && (p == r->at || blank(p[-1])))
            r->end = p;
}

static const struct {
    const char *word;
    int (*read)(struct reader *r);
} header_lines[] = {{"title", read_title},
                    {"clause", read_clauses},
                    {"simulated", read_simulated},
                    {"real", read_real}};

static int read_line(struct reader *r) {
    while (r->at < r->end && blank(*r->at))
        r->at++;
    const char *start = r->at;
    if (r->headed && start < r->end && *start == '>')
        return read_observation(r);
    if (!(r->headed && is(next_word(r), "title"))) {
        r->at = start;
        cut_comment(r);
    }
    r->at = start;
    if (start == r->end)
        return 0;
    if (!r->headed)
        return read_header(r);

    struct word word = next_word(r);
    for (size_t i = 0; i < sizeof header_lines / sizeof *header_lines; i++)
        if (is(word, header_lines[i].word))
            return r->body == NO_BODY ? header_lines[i].read(r)
                                      : wrong(r, "%s after the first body", header_lines[i].word);
    if (is(word, "main"))
        return begin_body(r, 0, "main");
    if (is(word, "body"))
        return read_body(r);
    return read_command(r, word);
}

static int check_bytes(struct reader *r) {
    if (r->end - r->at > LINE_MAX_BYTES)
        return wrong(r, "longer than %d bytes", LINE_MAX_BYTES);
    for (const char *p = r->at; p < r->end; p++) {
        unsigned char byte = (unsigned char)*p;
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return wrong(r, "the control byte \\x%02x at column %d", byte, (int)(p - r->at) + 1);
    }
    return 0;
}

static int read_lines(struct reader *r, const char *text, size_t size) {
    for (size_t at = 0; at < size;) {
        const char *newline = memchr(text + at, '\n', size - at);
        r->line++;
        r->at = text + at;
        r->end = newline ? newline : text + size;
        at = (size_t)(r->end - text) + 1;
        if (check_bytes(r) < 0 || read_line(r) < 0)
            return -1;
    }
    if (r->line == 0)
        r->line = 1;
    if (!r->headed)
        return wrong(r, "expected the header \"etalon-trace 1\"");
    if (r->first[0] == ABSENT)
        return wrong(r, "the trace ends without main");
    return 0;
}

/* The text has the bodies in any order, main usually last; the program has them in the order of
 * their numbers. */
static void sort_bodies(struct program *p, const uint16_t first[], const uint16_t count[]) {
    struct command as_read[PROGRAM_COMMANDS_MAX];
    uint16_t next = 0;
    memcpy(as_read, p->command, p->commands * sizeof *as_read);
    for (unsigned body = 0; body < PROGRAM_BODIES; body++) {
        p->first[body] = next;
        p->count[body] = count[body];
        if (count[body] > 0)
            memcpy(p->command + next, as_read + first[body], count[body] * sizeof *as_read);
        next = (uint16_t)(next + count[body]);
    }
    assert(next == p->commands);
}

int trace_read(struct trace *t, const char *text, size_t size, char *error, size_t error_size) {
    struct reader r = {.trace = t, .body = NO_BODY, .error = error, .error_size = error_size};
    for (unsigned body = 0; body < PROGRAM_BODIES; body++)
        r.first[body] = ABSENT;
    /* also what lies between the fields: programs are compared by memcmp */
    memset(t, 0, sizeof *t);
    if (read_lines(&r, text, size) < 0)
        return -1;
    sort_bodies(&t->program, r.first, r.count);
    return 0;
}

void trace_free(struct trace *t) {
    free(t->observed);
    t->observed = NULL;
    t->observations = 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_body(FILE *out, const struct program *p, unsigned body) {
    if (body == 0)
        fputs("main\n", out);
    else if (p->count[body] == 0)
        return;
    else if (body == PROGRAM_BODY_WORLD)
        fputs("body world\n", out);
    else
        fprintf(out, "body %u\n", body);
    for (unsigned i = 0; i < p->count[body]; i++) {
        fputs("  ", out);
        command_write(out, &p->command[p->first[body] + i]);
        putc('\n', out);
    }
}

void trace_write(FILE *out, const struct trace *t) {
    fputs("etalon-trace 1\n", out);
    if (t->title[0])
        fprintf(out, "title %s\n", t->title);
    for (unsigned i = 0; i < t->clauses; i++)
        fprintf(out, "%s %s%s", i == 0 ? "clause" : "", t->clause[i],
                i + 1 == t->clauses ? "\n" : "");
    if (t->simulated_only)
        fputs("simulated\n", out);
    if (t->real_only)
        fputs("real\n", out);
    for (unsigned body = 1; body < PROGRAM_BODIES; body++)
        write_body(out, &t->program, body);
    write_body(out, &t->program, 0);
    for (unsigned i = 0; i < t->observations; i++)
        fprintf(out, "  > %s\n", t->observed[i]);
}

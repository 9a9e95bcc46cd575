/* SPDX-License-Identifier: MIT */
/* etalon: the command-line tool. Replays programs, checks cases, converts and shrinks (help.c).
 * Exit status: 0 all is as it must be, 1 a difference was found, 2 bad input or arguments, or the
 * output cannot be written; no file is ever left half-written. */
#include "../../fuzz/driver/lockstep.h"
#include "../../model/program.h"
#include "../../src/etalon.h"
#include "child.h"
#include "compare.h"
#include "../kit/check.h"
#include "../kit/reproduce.h"
#include "../kit/text.h"
#include "help.h"
#include "judge.h"
#include "options.h"
#include "output.h"
#include "record.h"
#include "../../fuzz/driver/shrink.h"
#include "torture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FILE_SIZE_MAX (1 << 20)
#define BAD_INPUT     2
#define TEXT_MIN      8  /* so short a file may be printable by accident */
#define TEXT_OPEN_MIN 32 /* … and one that does not end like a text */
#define SHA1_DIGITS   40
#define FROM_INPUT    "decoded from a fuzz input of "
#define CASE_SECONDS  10 /* of processor time for a case, if --seconds does not say otherwise */
#define WAITING       3  /* so many times as much real time, for a case that waits for ever */

static const struct world_kind_functions *const worlds[] = {&world_simulated, &world_real};

struct options {
    const struct world_kind_functions *world;
    const char *output;
    bool quiet;
    bool events;                 /* of record: NDJSON */
    bool no_fork;                /* of replay: for a debugger */
    unsigned number;             /* of a case among those that are checked */
    unsigned seconds;            /* of shrink: 0: as long as it takes; of a case */
    struct torture_setting fail; /* of replay; point 0: nothing fails */
    struct torture_options torture;
};

static void complain(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("etalon: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* ---- reading and writing --------------------------------------------------------------------- */

static bool ends_with(const char *path, const char *end) {
    size_t length = strlen(path), of_end = strlen(end);
    return length > of_end && strcmp(path + length - of_end, end) == 0;
}

/* As encode, libFuzzer and AFL++ name them: whatever the bytes are. */
static bool named_as_input(const char *path) {
    const char *base = base_name(path);
    size_t length = strlen(base), digits = 0;
    while (digits < length && strchr("0123456789abcdef", base[length - digits - 1]) != NULL)
        digits++;
    return ends_with(base, ".bin") || digits == SHA1_DIGITS || strncmp(base, "id:", 3) == 0;
}

/* All of it is printable, and ends like a text: what a fuzzer has found hardly ever is. */
static bool is_printable(const char *bytes, size_t size) {
    if (size < TEXT_MIN || (bytes[size - 1] != '\n' && size < TEXT_OPEN_MIN))
        return false;
    for (size_t i = 0; i < size;) { /* there is a 0 behind the last byte */
        unsigned char byte = (unsigned char)bytes[i];
        unsigned length = utf8_length((const unsigned char *)bytes + i);
        if (length == 0 || byte == 0x7f || (byte < ' ' && strchr("\t\n\r", byte) == NULL))
            return false;
        i += length;
    }
    return true;
}

static bool begins_with(const char *bytes, size_t size, const char *start, size_t length) {
    return size >= length && memcmp(bytes, start, length) == 0;
}
#define BEGINS_WITH(bytes, size, start) begins_with(bytes, size, start, sizeof(start) - 1)

/* The whole line: there is a 0 behind the last byte. */
static bool has_header(const char *bytes) {
    static const char header[] = "etalon-trace 1";
    return strncmp(bytes, header, sizeof header - 1) == 0 &&
           strchr(" \t\r\n", bytes[sizeof header - 1]) != NULL;
}

/* What a trace became that was saved or packed in another way. NULL: none of these. */
static const char *disguised_as(const char *bytes, size_t size) {
    return BEGINS_WITH(bytes, size, "\357\273\277etalon-trace")
               ? "a text with a byte order mark: save it without one"
           : BEGINS_WITH(bytes, size, "\377\376e\0t\0a\0") ||
                   BEGINS_WITH(bytes, size, "\376\377\0e\0t\0a")
               ? "UTF-16: save it as UTF-8"
           : BEGINS_WITH(bytes, size, "\x1f\x8b\b") ? "compressed by gzip: unpack it"
                                                    : NULL;
}

/* It was meant for a trace, if it is none. The name of an input decides, unless it is one. */
static bool is_text(const char *path, const char *bytes, size_t size) {
    if (ends_with(path, ".trace") || has_header(bytes))
        return true;
    return !named_as_input(path) &&
           (disguised_as(bytes, size) != NULL || is_printable(bytes, size) ||
            strncasecmp(bytes + strspn(bytes, " \t\r\n"), "etalon", 6) == 0);
}

static void complain_of_trace(const char *path, const char *bytes, size_t size, const char *error) {
    const char *disguise = disguised_as(bytes, size);
    bool named = ends_with(path, ".trace") || has_header(bytes);
    if (disguise != NULL)
        complain("%s: this is %s%s", path, disguise, named ? "" : " (a fuzz input is named .bin)");
    else
        complain("%s: %s%s", path, error,
                 named ? "" : " (a fuzz input that is a text is named .bin)");
}

/* Reads a trace or, when the file is no text, a fuzz input. Returns false after a complaint. */
static bool load(const char *path, struct trace *trace) {
    static char bytes[FILE_SIZE_MAX + 2];
    char error[200];
    memset(trace, 0, sizeof *trace);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        complain("%s: %s", path, strerror(errno));
        return false;
    }
    size_t size = fread(bytes, 1, sizeof bytes - 1, file);
    bool failed = ferror(file) != 0;
    fclose(file);
    bytes[size] = '\0';
    if (failed || size > FILE_SIZE_MAX) {
        complain("%s: %s", path, failed ? "cannot be read" : "longer than 1 MiB");
        return false;
    }
    if (!is_text(path, bytes, size)) {
        snprintf(trace->title, sizeof trace->title, FROM_INPUT "%zu byte%s", size, plural(size));
        program_decode(&trace->program, (const uint8_t *)bytes, size);
        return true;
    }
    if (trace_read(trace, bytes, size, error, sizeof error) == 0)
        return true;
    complain_of_trace(path, bytes, size, error);
    trace_free(trace);
    return false;
}

static void write_trace(FILE *out, const void *trace) {
    trace_write(out, trace);
}

/* ---- running --------------------------------------------------------------------------------- */

/* The observations of a run, collected beside those that the trace demands. */
struct run {
    const struct trace *trace;
    FILE *out; /* null: nothing is printed */
    unsigned seen;
    char unexpected[224]; /* the first observation that is not as demanded */
    char (*kept)[96];     /* for `record`; null: not kept */
};

static void on_line(void *self, char mark, const char *line) {
    struct run *run = self;
    if (run->out != NULL)
        fprintf(run->out, "  %c %s\n", mark, line);
    if (mark != '>')
        return;
    unsigned i = run->seen++;
    if (run->kept != NULL && i < TRACE_OBSERVATIONS_MAX)
        snprintf(run->kept[i], sizeof *run->kept, "%s", line);
    if (run->trace->observations == 0 || run->unexpected[0] != '\0' || run->kept != NULL)
        return;
    const char *expected = i < run->trace->observations ? run->trace->observed[i] : "nothing more";
    if (strcmp(expected, line) != 0)
        snprintf(run->unexpected, sizeof run->unexpected, "seen \"%.90s\", demanded \"%.90s\"",
                 line, expected);
}

static void run_trace(const struct trace *trace, const struct options *options, struct run *run,
                      struct lockstep_report *report) {
    run->trace = trace;
    lockstep_run(&lockstep_reference, &trace->program, options->world, on_line, run, report);
    if (!report->differs && run->unexpected[0] == '\0' && run->kept == NULL &&
        run->seen < trace->observations)
        snprintf(run->unexpected, sizeof run->unexpected, "seen nothing more, demanded \"%.90s\"",
                 trace->observed[run->seen]);
}

/* The exit status: what cannot be written must not look like success. */
static int with_output(int status) {
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return status;
    complain("standard output: %s", strerror(errno));
    return BAD_INPUT;
}

/* Runs one file in a process of its own, since a program may crash the loop. Returns its exit
 * status, or 128 + signal. */
static int apart(int (*run)(const char *, const struct options *), const char *path,
                 const struct options *options) {
    pid_t child = child_fork();
    if (child == 0) {
        if (options->number != 0) /* a case */
            child_limit(options->seconds, WAITING * options->seconds);
        exit(with_output(run(path, options)));
    }
    int status = 0;
    if (child < 0 || !child_wait(child, &status)) {
        complain("%s: %s", path, strerror(errno));
        return BAD_INPUT;
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int replay_here(const char *path, const struct options *options) {
    struct trace trace;
    struct lockstep_report report;
    struct run run = {.out = options->quiet ? NULL : stdout};
    if (!load(path, &trace))
        return BAD_INPUT;
    if (!(options->quiet && named_as_input(path)) &&
        strncmp(trace.title, FROM_INPUT, sizeof FROM_INPUT - 1) == 0)
        complain("%s: no trace: it is read as a fuzz input", path);
    setvbuf(stdout, NULL, _IOLBF, 0); /* should the run crash, what has happened is seen */
    if (!options->quiet) {
        trace_write(stdout, &trace);
        printf("\nWhat happened on the %s kernel:\n", options->world->name);
    }
    if (options->fail.point != 0) { /* the observations are those of a run in which nothing fails */
        trace.observations = 0;
        torture_prolong(&trace.program);
        torture_set(&options->fail);
    }
    run_trace(&trace, options, &run, &report);
    int status = 0;
    if (options->fail.point != 0 && torture_points() < options->fail.point && !report.differs) {
        printf("%s: --fail %llu was not reached: the program makes %llu call%s that can fail\n",
               path, (unsigned long long)options->fail.point, (unsigned long long)torture_points(),
               plural(torture_points()));
        status = BAD_INPUT;
    } else if (report.init_error != 0 && options->fail.point != 0 && !report.differs) {
        printf("%s: init returned -%s, and left nothing behind\n", path,
               errno_name(report.init_error));
    } else if (report.differs) {
        printf("%s: difference: %s: %s\n", path, report.clause, report.what);
        status = 1;
    } else if (report.not_possible) {
        printf("%s: the %s kernel cannot do what this program asks for\n", path,
               options->world->name);
        status = BAD_INPUT;
    } else if (run.unexpected[0] != '\0') {
        printf("%s: loop and model agree, but the trace demands otherwise: %s\n", path,
               run.unexpected);
        status = 1;
    } else {
        printf("%s: no difference in %llu command%s, %llu callback%s, %llu wait%s\n", path,
               (unsigned long long)report.commands, plural(report.commands),
               (unsigned long long)report.callbacks, plural(report.callbacks),
               (unsigned long long)report.waits, plural(report.waits));
    }
    trace_free(&trace);
    return status;
}

static int replay(const char *path, const struct options *options) {
    if (options->no_fork)
        return replay_here(path, options);
    int status = apart(replay_here, path, options);
    if (status <= BAD_INPUT)
        return status;
    printf("\n%s: difference: the loop crashes: %s\n", path,
           status > 128 ? strsignal(status - 128) : "a sanitizer's report");
    return 1;
}

/* One line of the test-anything protocol. */
static int check_case_here(const char *path, const struct options *options) {
    unsigned number = options->number;
    struct trace trace;
    struct lockstep_report report;
    struct run run = {0};
    const char *base = base_name(path);
    if (!load(path, &trace)) {
        printf("not ok %u - %s: cannot be read\n", number, base);
        return BAD_INPUT;
    }
    int status = 0;
    if (trace.simulated_only && options->world != &world_simulated) {
        printf("ok %u - %s # SKIP needs the simulated kernel\n", number, base);
    } else if (trace.real_only && options->world != &world_real) {
        printf("ok %u - %s # SKIP needs the real kernel\n", number, base);
    } else {
        run_trace(&trace, options, &run, &report);
        status = report.differs || report.not_possible || run.unexpected[0] != '\0' ||
                 trace.observations == 0;
        /* would begin a directive */
        for (char *mark = trace.title; (mark = strchr(mark, '#')) != NULL;)
            *mark = '.';
        printf("%s %u - %s: %s\n", status != 0 ? "not ok" : "ok", number, base, trace.title);
        if (report.differs)
            printf("# %s: %s\n", report.clause, report.what);
        else if (report.not_possible)
            printf("# the %s kernel cannot do what this program asks for\n", options->world->name);
        else if (trace.observations == 0)
            printf("# the case demands no observations\n");
        else if (status != 0)
            printf("# %s\n", run.unexpected);
    }
    fflush(stdout);
    trace_free(&trace);
    return status;
}

/* The exit status of a run that is recorded: 0, or that of what is complained of. Of what is not
 * possible nothing is written. */
static int recorded(const char *path, const struct options *options,
                    const struct lockstep_report *report) {
    if (report->not_possible)
        complain("%s: the %s kernel cannot do what this program asks for", path,
                 options->world->name);
    else if (report->differs)
        complain("%s: %s: %s", path, report->clause, report->what);
    return report->not_possible ? BAD_INPUT : report->differs;
}

struct bytes {
    const void *first;
    size_t size;
};

static void write_bytes(FILE *out, const void *what) {
    const struct bytes *bytes = what;
    fwrite(bytes->first, 1, bytes->size, out);
}

/* Writes each event of a run, as `etalon judge` reads them. */
static int record_events(const char *path, const struct options *options) {
    struct trace trace;
    char *text = NULL;
    size_t size = 0;
    struct lockstep_report report;
    FILE *memory = open_memstream(&text, &size);
    if (memory == NULL || !load(path, &trace)) {
        if (memory == NULL)
            complain("%s: %s", path, strerror(errno));
        else
            fclose(memory);
        free(text);
        return BAD_INPUT;
    }
    record_to(memory);
    lockstep_run(&lockstep_reference, &trace.program, options->world, NULL, NULL, &report);
    record_to(NULL);
    bool failed = fclose(memory) != 0;
    if (failed)
        complain("%s: %s", path, strerror(errno));
    int status = failed ? BAD_INPUT : recorded(path, options, &report);
    if (status != BAD_INPUT &&
        !write_whole(options->output, write_bytes, &(struct bytes){text, size}))
        status = BAD_INPUT;
    free(text);
    trace_free(&trace);
    return status;
}

/* Prints the trace with the observations of a run on the chosen kernel in place of its own. */
static int record(const char *path, const struct options *options) {
    static char kept[TRACE_OBSERVATIONS_MAX][96];
    struct trace trace;
    struct lockstep_report report;
    struct run run = {.kept = kept};
    if (options->events || (options->output != NULL && ends_with(options->output, ".ndjson")))
        return record_events(path, options);
    if (!load(path, &trace))
        return BAD_INPUT;
    run_trace(&trace, options, &run, &report);
    int status = recorded(path, options, &report);
    char(*own)[96] = trace.observed;
    trace.observed = kept;
    trace.observations = run.seen;
    if (status == BAD_INPUT) {
        trace.observations = 0;
    } else if (run.seen > TRACE_OBSERVATIONS_MAX) {
        complain("%s: %u observations, a trace holds %d", path, run.seen, TRACE_OBSERVATIONS_MAX);
        status = BAD_INPUT;
    } else if (!write_whole(options->output, write_trace, &trace)) {
        status = BAD_INPUT;
    }
    trace.observed = own;
    trace_free(&trace);
    return status;
}

static int decode(const char *path, const struct options *options) {
    struct trace trace;
    if (!load(path, &trace))
        return BAD_INPUT;
    bool written = write_whole(options->output, write_trace, &trace);
    trace_free(&trace);
    return written ? 0 : BAD_INPUT;
}

static int encode(const char *path, const struct options *options) {
    struct trace trace;
    uint8_t encoded[PROGRAM_COMMANDS_MAX * PROGRAM_RECORD];
    const char *name = base_name(path);
    char target[4096];
    if (!load(path, &trace))
        return BAD_INPUT;
    size_t size = program_encode(&trace.program, encoded, sizeof encoded);
    trace_free(&trace);
    if (options->output == NULL) {
        complain("encode needs --output FOLDER");
        return BAD_INPUT;
    }
    if (mkdir(options->output, 0777) != 0 && errno != EEXIST) {
        complain("%s: %s", options->output, strerror(errno));
        return BAD_INPUT;
    }
    if (snprintf(target, sizeof target, "%s/%s.bin", options->output, name) >= (int)sizeof target) {
        complain("%.60s...: the name is too long", path);
        return BAD_INPUT;
    }
    return write_whole(target, write_bytes, &(struct bytes){encoded, size}) ? 0 : BAD_INPUT;
}

/* ---- shrinking ------------------------------------------------------------------------------- */

/* Runs in a process of its own, since a program may crash the loop. The outcome is the broken
 * clause, or the signal. */
static void outcome(const struct program *program, const struct options *options, char *clause,
                    size_t size) {
    static struct lockstep_report *shared;
    if (shared == NULL)
        shared =
            mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        abort();
    memset(shared, 0, sizeof *shared);
    pid_t child = child_fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        if (null >= 0)
            dup2(null, STDERR_FILENO);
        /* A program that spins is known after a second of work, one that waits after ten. */
        child_limit(1, 10);
        lockstep_run(&lockstep_reference, program, options->world, NULL, NULL, shared);
        _exit(0);
    }
    int status = 0;
    if (child < 0 || !child_wait(child, &status))
        snprintf(clause, size, "no process");
    else if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGALRM || WTERMSIG(status) == SIGPROF))
        snprintf(clause, size, "hang");
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        snprintf(clause, size, "crash");
    else
        snprintf(clause, size, "%s", shared->differs ? shared->clause : "");
}

struct wanted {
    const struct options *options;
    time_t until; /* on the monotonic clock; 0: no limit */
    char clause[24];
};

static time_t monotonic_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static bool still_fails(const struct program *p, void *self) {
    const struct wanted *wanted = self;
    char clause[24];
    if (wanted->until != 0 && monotonic_s() >= wanted->until)
        return false; /* so that what has been reached is the end */
    outcome(p, wanted->options, clause, sizeof clause);
    return strcmp(clause, wanted->clause) == 0;
}

static int shrink(const char *path, const struct options *options) {
    struct trace trace;
    struct wanted wanted = {.options = options};
    if (!load(path, &trace))
        return BAD_INPUT;
    trace.observations = 0;
    outcome(&trace.program, options, wanted.clause, sizeof wanted.clause);
    if (wanted.clause[0] == '\0') {
        complain("%s: this program shows no difference", path);
        trace_free(&trace);
        return BAD_INPUT;
    }
    if (options->seconds != 0)
        wanted.until = monotonic_s() + (time_t)options->seconds;
    shrink_program(&trace.program, still_fails, &wanted);
    snprintf(trace.title, sizeof trace.title, "the shortest program found that shows: %s",
             wanted.clause);
    trace.simulated_only = options->world == &world_simulated;
    bool written = write_whole(options->output, write_trace, &trace);
    trace_free(&trace);
    return written ? 1 : BAD_INPUT;
}

/* ---- the command line ------------------------------------------------------------------------ */

static bool read_number(const char *text, unsigned least, unsigned *number) {
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || value < least ||
        value > 1000000) {
        complain("%s: not a number from %u to 1000000", text, least);
        return false;
    }
    *number = (unsigned)value;
    return true;
}

/* Whether two files would become one in the folder that encode writes. */
static bool names_collide(char **files, int count) {
    for (int i = 0; i < count; i++)
        for (int k = 0; k < i; k++) {
            if (strcmp(base_name(files[i]), base_name(files[k])) == 0) {
                complain("%s and %s have the same name", files[k], files[i]);
                return true;
            }
        }
    return false;
}

static int check_cases(char **files, int count, const struct options *options) {
    int worst = 0;
    struct options numbered = *options;
    if (numbered.seconds == 0)
        numbered.seconds = CASE_SECONDS;
    printf("1..%d\n", count);
    for (int i = 0; i < count; i++) {
        numbered.number = (unsigned)i + 1;
        int status = apart(check_case_here, files[i], &numbered);
        if (status == 128 + SIGPROF || status == 128 + SIGALRM) {
            printf("not ok %d - %s: no end within %u s of %s time\n", i + 1, files[i],
                   status == 128 + SIGPROF ? numbered.seconds : WAITING * numbered.seconds,
                   status == 128 + SIGPROF ? "processor" : "real");
            status = 1;
        } else if (status > BAD_INPUT) {
            printf("not ok %d - %s: the loop crashes: %s\n", i + 1, files[i],
                   status > 128 ? strsignal(status - 128) : "a sanitizer's report");
            status = 1;
        }
        worst = status > worst ? status : worst;
    }
    return worst;
}

static int judge_recordings(int argc, char **argv, bool (*load_it)(const char *, struct trace *)) {
    (void)load_it;
    return judge_main(argc, argv);
}

static const struct {
    const char *name;
    int (*run)(const char *, const struct options *);                  /* null: all files at once */
    int (*main)(int, char **, bool (*)(const char *, struct trace *)); /* reads its own options */
} commands[] = {
    {"replay", replay, NULL},
    {"record", record, NULL},
    {"decode", decode, NULL},
    {"encode", encode, NULL},
    {"shrink", shrink, NULL},
    {"check-cases", NULL, NULL},
    {"torture", NULL, NULL},
    {"check", NULL, check_main},
    {"compare", NULL, compare_main},
    {"judge", NULL, judge_recordings},
    {"reproduce", NULL, reproduce_main},
};
#define COMMANDS (sizeof commands / sizeof *commands)

/* COMMANDS: it is none. */
static size_t command_of(const char *name) {
    size_t k = 0;
    while (k < COMMANDS && strcmp(name, commands[k].name) != 0)
        k++;
    return k;
}

static int for_each_file(const char *command, char **files, int count,
                         const struct options *options) {
    if (options->torture.expected != NULL && options->torture.sample > 1) {
        complain("torture holds errors against a list only without --sample");
        return BAD_INPUT;
    }
    if (options->fail.point != 0 && options->world != &world_simulated) {
        complain("--fail is for replay on the simulated kernel");
        return BAD_INPUT;
    }
    if (strcmp(command, "torture") == 0)
        return torture_all(files, count, load, &options->torture);
    if (strcmp(command, "check-cases") == 0)
        return check_cases(files, count, options);
    size_t k = command_of(command);
    int worst = 0;
    if (count > 1 && options->output != NULL && commands[k].run != encode) {
        complain("%s: --output takes one file at a time", command);
        return BAD_INPUT;
    }
    if (commands[k].run == encode && names_collide(files, count))
        return BAD_INPUT;
    for (int i = 0; i < count; i++) {
        int status = commands[k].run(files[i], options);
        worst = status > worst ? status : worst;
    }
    return worst;
}

static bool read_world(const char *name, struct options *options) {
    for (size_t i = 0; i < sizeof worlds / sizeof *worlds; i++)
        if (strcmp(name, worlds[i]->name) == 0) {
            options->world = worlds[i];
            return true;
        }
    complain("--world %s: neither 'simulated' nor 'real'", name);
    return false;
}

static bool read_failure(const char *text, struct options *options) {
    if (torture_parse(text, &options->fail))
        return true;
    complain("--fail %s: not N:ERRNO, N:ERRNO:same or N:ERRNO:on", text);
    return false;
}

enum reading { GO_ON, HELP_ASKED, NOT_UNDERSTOOD };

#define LETTERS ":w:o:qh"

static const struct option long_options[] = {
    {"world", required_argument, NULL, 'w'},
    {"output", required_argument, NULL, 'o'},
    {"quiet", no_argument, NULL, 'q'},
    {"fail", required_argument, NULL, 'f'},
    {"sample", required_argument, NULL, 'n'},
    {"seed", required_argument, NULL, 's'},
    {"expect", required_argument, NULL, 'e'},
    {"report", required_argument, NULL, 'r'},
    {"seconds", required_argument, NULL, 't'},
    {"events", no_argument, NULL, 'v'},
    {"no-fork", no_argument, NULL, 'k'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* Whether the word is one of a list, as it is told. */
static bool is_listed(const char *list, const char *word) {
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += length)
        if ((at == list || at[-1] == ' ') && strchr(", ", at[length]) != NULL)
            return true;
    return false;
}

/* The options that belong to some commands. `given` has a bit for each letter. */
static bool has_its_options(const char *command, uint32_t given) {
    static const struct {
        char letter;
        const char *commands;
    } of[] = {{'w', "replay, check-cases, record and shrink"},
              {'o', "record, decode, encode, shrink, compare and reproduce"},
              {'q', "replay, check and judge"},
              {'f', "replay"},
              {'k', "replay"},
              {'v', "record"},
              {'n', "torture"},
              {'s', "torture, check and compare"},
              {'e', "torture"},
              {'r', "torture"},
              {'t', "shrink and check-cases"}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        if ((given >> (of[i].letter - 'a') & 1) == 0 || is_listed(of[i].commands, command))
            continue;
        for (const struct option *o = long_options; o->name != NULL; o++)
            if (o->val == of[i].letter)
                options_complain(command, "--%s is for %s", o->name, of[i].commands);
        return false;
    }
    return true;
}

/* The first word that is a command which reads no options of its own, for what is said of the
 * options, or NULL. */
static const char *find_command(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        size_t k = command_of(argv[i]);
        if (k < COMMANDS && commands[k].main == NULL)
            return argv[i];
    }
    return NULL;
}

/* Of the first word that is neither an option nor an argument of one. Returns the exit status. */
static int give_help(int argc, char **argv) {
    while (getopt_long(argc, argv, LETTERS, long_options, NULL) != -1) {
    } /* behind these are the words */
    if (optind == argc) {
        help(stdout);
        return 0;
    }
    size_t k = command_of(argv[optind]);
    if (k == COMMANDS) {
        complain("unknown command '%s'; see etalon --help", argv[optind]);
        return BAD_INPUT;
    }
    if (commands[k].main == NULL) {
        help_on(stdout, commands[k].name);
        return 0;
    }
    char *asked[] = {argv[optind], "--help", NULL};
    optind = 0; /* begin again */
    return commands[k].main(2, asked, load);
}

/* Reads the options of all commands that have no main of their own. */
static enum reading read_options(int argc, char **argv, struct options *options, uint32_t *given) {
    const char *command = find_command(argc, argv);
    bool good = true;
    int letter;
    while (good && (letter = options_next(command, argc, argv, LETTERS, long_options)) != -1) {
        switch (letter) {
        case 'w': good = read_world(optarg, options); break;
        case 'o': options->output = optarg; break;
        case 'q': options->quiet = true; break;
        case 'v': options->events = true; break;
        case 'k': options->no_fork = true; break;
        case 'f': good = read_failure(optarg, options); break;
        case 'n': good = read_number(optarg, 1, &options->torture.sample); break;
        case 's': good = read_number(optarg, 0, &options->torture.seed); break;
        case 'e': options->torture.expected = optarg; break;
        case 't': good = read_number(optarg, 1, &options->seconds); break;
        case 'r': options->torture.report = optarg; break;
        case 'h': return HELP_ASKED;
        default: return NOT_UNDERSTOOD;
        }
        *given |= UINT32_C(1) << (letter - 'a');
    }
    return good ? GO_ON : NOT_UNDERSTOOD;
}

/* What is left of the caller's would shift the numbers on the real kernel. */
static void close_descriptors(void) {
    for (int fd = STDERR_FILENO + 1; fd < 64; fd++)
        close(fd);
}

int main(int argc, char **argv) {
    struct options options = {.world = &world_simulated};
    uint32_t given = 0;
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("etalon " ET_VERSION ", specification " ET_SPECIFICATION);
        return 0;
    }
    close_descriptors();
    size_t first = argc > 1 ? command_of(argv[1]) : COMMANDS;
    if (first < COMMANDS && commands[first].main != NULL)
        return with_output(commands[first].main(argc - 1, argv + 1, load));
    switch (read_options(argc, argv, &options, &given)) {
    case GO_ON: break;
    case HELP_ASKED: return with_output(give_help(argc, argv));
    case NOT_UNDERSTOOD: return BAD_INPUT;
    }
    if (optind == argc) {
        help(stderr);
        return BAD_INPUT;
    }
    size_t k = command_of(argv[optind]);
    if (k == COMMANDS) {
        complain("unknown command '%s'; see etalon --help", argv[optind]);
        return BAD_INPUT;
    }
    if (commands[k].main != NULL) {
        options_complain(argv[optind], "its options stand behind it");
        return BAD_INPUT;
    }
    if (argc - optind < 2) {
        options_complain(argv[optind], "no FILE is given");
        return BAD_INPUT;
    }
    if (!has_its_options(argv[optind], given))
        return BAD_INPUT;
    return with_output(for_each_file(argv[optind], argv + optind + 1, argc - optind - 1, &options));
}

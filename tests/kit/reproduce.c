/* SPDX-License-Identifier: MIT */
/* `etalon reproduce CASE ADAPTER`: builds the adapter, runs the case on it, makes the program as
 * short as it gets, and writes one file of it, in C or C++ as the adapter is: the adapter with the
 * types that it needs, the driver (reproducers/driver.h), and the program as calls. That file
 * compiles with the loop alone, and shows the failure on the real kernel and the real clock. */
#include "reproduce.h"

#include <stdio.h>

#ifndef ETALON_WITHOUT_KIT

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tool/child.h"
#include "../tool/options.h"
#include "../tool/output.h"
#include "check.h"
#include "shorten.h"
#include "source.h"

#define BAD_INPUT    2
#define SECONDS_MAX  20 /* of the program's own time, beyond which nobody waits */
#define SECONDS_MORE 5
#define LATE_US      20000
#define LATE_US_MIN  1500
#define PATH_BYTES   4096

extern char **environ;

static struct {
    const char *of_case, *adapter, *cases, *law, *output, *object;
    bool whole;
} options;

static struct {
    struct trace trace; /* the case, or the random program */
    bool lenient;
    struct subject subject;
    struct outcome outcome, shortest;
    struct program program;
    struct law law;
    char *adapter, *header, *driver; /* texts */
    char build[1024];                /* what the adapter is compiled and linked with */
    char compiler[64];               /* that it needs, or empty */
    bool cpp;
} work;

static bool complain(const char *what, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "etalon: %s: ", what);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return false;
}

/* ---- the case -------------------------------------------------------------------------------- */

static bool load_case(bool (*load)(const char *path, struct trace *trace)) {
    char path[PATH_BYTES];
    struct stat status;
    uint64_t seed, number;
    const char *name;
    if (random_name(options.of_case, &seed, &number, &name)) {
        struct etalon_subject subject = subject_shape(&work.subject);
        random_program(&work.trace.program, seed, number, &subject);
        work.lenient = true;
        return true;
    }
    bool is_file = stat(options.of_case, &status) == 0 && S_ISREG(status.st_mode);
    if (is_file)
        return load(options.of_case, &work.trace);
    if (snprintf(path, sizeof path, "%s/%s.trace", options.cases, options.of_case) >=
        (int)sizeof path)
        return complain("the name of the case", "too long");
    if (stat(path, &status) != 0)
        return complain(options.of_case,
                        "neither a case (etalon check --list) nor a file of a trace nor a random "
                        "program (random-1-446)");
    return load(path, &work.trace);
}

/* ---- the adapter ----------------------------------------------------------------------------- */

/* As make conform has it: the one that the head names, or that of the environment. */
static const char *compiler(void) {
    const char *usual = getenv(work.cpp ? "CXX" : "CC");
    return work.compiler[0] != '\0'            ? work.compiler
           : usual != NULL && usual[0] != '\0' ? usual
           : work.cpp                          ? "c++"
                                               : "cc";
}

/* The shell expands what the head says, as make conform does: "$(pkg-config …)". */
static bool compile(const char *object) {
    static const char *const script =
        "source=$1 object=$2 header=$3 folder=$4 compiler=$5 standard=$6\n"
        "eval \"set -- $7\"\n"
        "exec $compiler $standard -D_GNU_SOURCE -O1 -g -w -shared -fPIC -pthread -I\"$header\" "
        "-I\"$folder\" \"$source\" -o \"$object\" \"$@\" 1>&2";
    char *header = tool_file("../../include/etalon_subject.h", "fuzz/driver/etalon_subject.h");
    char *folder = strdup(options.adapter), *slash = folder != NULL ? strrchr(folder, '/') : NULL;
    pid_t child;
    int status = 0;
    if (header == NULL || folder == NULL) {
        free(header);
        free(folder);
        return complain("etalon_subject.h", "not where the tool is installed or built");
    }
    *strrchr(header, '/') = '\0';
    if (slash != NULL)
        *slash = '\0';
    char *const arguments[] = {"sh",
                               "-c",
                               (char *)script,
                               "etalon reproduce",
                               (char *)options.adapter,
                               (char *)object,
                               header,
                               slash != NULL ? folder : ".",
                               (char *)compiler(),
                               work.cpp ? "-std=c++17" : "-std=c11",
                               work.build,
                               NULL};
    int error = posix_spawnp(&child, "sh", NULL, NULL, arguments, environ);
    while (error == 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    free(header);
    free(folder);
    if (error != 0)
        return complain("sh", "%s", strerror(error));
    return status == 0 || complain(options.adapter, "does not compile (with: %s)", work.build);
}

static bool look(const char *object) {
    char error[400];
    if (!subject_look(object, &work.subject, error, sizeof error))
        return complain(options.object != NULL ? object : options.adapter, "%s", error);
    /* it is shown what a caller can see */
    work.subject.offers &=
        ~(ETALON_OFFERS_ROUNDS | ETALON_OFFERS_DESCRIPTOR_LIMIT | ETALON_OFFERS_POOL);
    return true;
}

/* What is not strict, as the loop's manual has it or as a SHOULD is missed, is shown as a failure
 * is. */
static bool differs(const struct outcome *o) {
    return is_bad(o->verdict) || o->verdict == VERDICT_NOT_STRICT;
}

/* Runs the case, and makes its program short. */
static bool run(void) {
    struct etalon_subject shape = subject_shape(&work.subject);
    const char *lacks = kit_lacks(&shape, &work.trace);
    struct job job = {.subject = &work.subject,
                      .trace = &work.trace,
                      .lenient = work.lenient,
                      .outcome = &work.outcome};
    if (lacks != NULL)
        return complain(options.of_case, "not offered: %s", lacks);
    process_run(&job, 1, 1, NULL);
    if (work.outcome.verdict == VERDICT_NOT_OFFERED)
        return complain(options.of_case, "not offered: %s", work.outcome.message);
    work.program = work.trace.program;
    if (differs(&work.outcome) && !options.whole)
        shorten(&work.subject, &work.trace, &work.outcome, work.lenient, &work.program,
                &work.shortest);
    if (work.shortest.events == 0)
        work.shortest = work.outcome;
    return true;
}

/* The adapter is built into a folder of its own, which is gone before anything is written. */
static bool build_and_run(bool (*load)(const char *path, struct trace *trace)) {
    const char *base = getenv("TMPDIR");
    char folder[PATH_BYTES], object[PATH_BYTES + 16];
    if (options.object != NULL)
        return look(options.object) && load_case(load) && run();
    if (snprintf(folder, sizeof folder, "%s/etalon.XXXXXX",
                 base != NULL && *base != '\0' ? base : "/tmp") >= (int)sizeof folder ||
        mkdtemp(folder) == NULL)
        return complain(folder, "%s", strerror(errno));
    snprintf(object, sizeof object, "%s/adapter.so", folder);
    bool good = compile(object) && look(object) && load_case(load) && run();
    unlink(object);
    rmdir(folder);
    return good;
}

/* ---- what is to be shown --------------------------------------------------------------------- */

/* Which check of driver.h shows a failure: of the clause, and of the kind where that matters. */
static const struct shown {
    const char *failure, *check;
} shown_by[] = {
    {"ET-EXPIRE-4", "RP_EARLY"},
    {"ET-RESET-4", "RP_EARLY"},
    {"ET-REPEAT-1", "RP_EARLY"},
    {"ET-EXPIRE-2", "RP_ORDER"},
    {"ET-WAIT-2/late", "RP_LATE"},
    {"ET-WAIT-2/forever", "RP_LATE"},
    {"ET-EXPIRE-1/waits", "RP_LATE"},
    {"ET-EXPIRE-1/returns", "RP_LATE"},
    {"ET-STATE-3", "RP_UNUSED"},
    {"ET-DELETE-4", "RP_UNUSED"},
    {"ET-CALL-2", "RP_OTHER"},
    {"ET-CALL-5", "RP_BESIDE"},
    {"ET-EXPIRE-1/result", "RP_RESULT"},
    {"ET-SUBMIT-2/result", "RP_RESULT"},
    {"ET-EVENT-4/result", "RP_RESULT"},
    {"ET-OP-1/error", "RP_RESULT"},
    {"ET-EVENT-4/bits", "RP_UNREADY"},
    {"ET-EVENT-6", "RP_UNREADY"},
    {"ET-EVENT-4/returns", "RP_UNSERVED"},
    {"ET-EVENT-1", "RP_UNSERVED"},
    {"ET-EVENT-5", "RP_ORDER"},
    {"ET-SUBMIT-2/waits", "RP_UNSERVED"},
    {"ET-SUBMIT-2/returns", "RP_UNSERVED"},
    {"ET-REGISTER-1", "RP_UNSERVED"},
    {"ET-PROGRESS-1", "RP_UNSERVED"},
    {"ET-CALL-4/round", "RP_AGAIN"},
    {"ET-CALL-4/starved", "RP_STARVED"},
    {"ET-PROGRESS-2", "RP_STARVED"},
    {"ET-RUN-2", "RP_RETURNS"},
    {"ET-RUN-3", "RP_RETURNS"},
    {"ET-RUN-6", "RP_RETURNS"},
    {"ET-STOP-2", "RP_WAITS"},
    {"ET-TICK-4/spins", "RP_SPINS"},
    {"ET-TICK-4", "RP_RETURNS"},
    {"ET-WAIT-1", "RP_WAITS"},
    {"ET-RUN-1", "RP_WAITS"},
    {"ET-WAKE-1", "RP_UNWOKEN"},
    {"ET-WAIT-3", "RP_SPINS"},
    {"ET-WAIT-2/spins", "RP_SPINS"},
    {"ET-REGISTER-5", "RP_SPINS"},
    {"ET-TICK-3", "RP_SPINS"},
    {"ET-TIMER-1", "RP_REFUSED"},
    {"ET-RESET-3", "RP_REFUSED"},
    {"ET-ADD-1", "RP_REFUSED"},
    {"ET-DELETE-1", "RP_REFUSED"},
    {"ET-DELETE-3", "RP_REFUSED"},
    {"ET-CANCEL-1", "RP_REFUSED"},
    {"ET-TICK-7", "RP_REFUSED"},
    {"ET-INIT-2", "RP_REFUSED"},
    {"ET-DEINIT-2", "RP_REFUSED"},
    {"ET-STATE-2", "RP_STATE"},
    {"ET-LINGER-2", "RP_STATE"},
    {"ET-TIME-1", "RP_TIME"},
    {"ET-TIME-2", "RP_TIME"},
    {"ET-TIME-3", "RP_TIME"},
    {"ET-DEINIT-3", "RP_LEAK"},
    {"ET-RUN-5/again", "RP_TURNS"},
    {"ET-HOST-2/late", "RP_HOST_LATE"},
    {"ET-HOST-2/early", "RP_HOST_EARLY"},
    {"ET-HOST-2/vain", "RP_HOST_VAIN"},
    {"ET-HOST-3", "RP_HOST_STOPPED"},
    {"ET-HOST-1", "RP_HOST_HIDDEN"},
    {"ET-HOST-5/hidden", "RP_HOST_HIDDEN"},
    {"ET-HOST-5/stopped", "RP_HOST_SHOWN"},
    {"ET-HOST-4", "RP_HOST_OTHER"},
};

/* NULL: nothing without the kit can show it. */
static const char *check_for(const struct outcome *o) {
    char failure[OUTCOME_FAILURE];
    outcome_failure(o, failure);
    if (!differs(o))
        return "RP_NOTHING";
    if (o->verdict == VERDICT_CRASH)
        return "RP_CRASH";
    if (o->clause[0] == '\0')
        return "RP_SPINS";
    for (unsigned i = 0; i < sizeof shown_by / sizeof *shown_by; i++)
        if (strcmp(shown_by[i].failure, failure) == 0 ||
            strcmp(shown_by[i].failure, o->clause) == 0)
            return shown_by[i].check;
    return NULL;
}

/* How late it was: half of that is late. */
static unsigned long long late_us(const char *message) {
    unsigned long long us = 0;
    const char *at = strstr(message, ", for ");
    if (at == NULL || sscanf(at, ", for %llu us too long", &us) != 1)
        return LATE_US;
    return us / 2 > LATE_US_MIN ? us / 2 : LATE_US_MIN;
}

/* ---- the program as calls -------------------------------------------------------------------- */

static void call_text(const struct command *command, char *text, size_t size) {
    FILE *out = fmemopen(text, size, "w");
    memset(text, 0, size);
    if (out == NULL)
        return;
    command_write(out, command);
    fclose(out);
    text[size - 1] = '\0';
}

static const char *body_name(unsigned body) {
    static char name[2][24];
    static unsigned next;
    char *text = name[next++ % 2];
    bool any = body > 0 && body < PROGRAM_BODIES && work.program.count[body] > 0;
    snprintf(text, sizeof name[0], any ? "rp_body_%u" : "NULL", body);
    return text;
}

static const char *kind_name(uint64_t kind) {
    switch (kind) {
    case WORLD_PIPE_READER: return "pipe_reader";
    case WORLD_PIPE_WRITER: return "pipe_writer";
    case WORLD_STREAM: return "stream";
    case WORLD_DATAGRAM: return "datagram";
    case WORLD_EVENTFD: return "eventfd";
    case WORLD_LISTENER: return "listener";
    case WORLD_SOCKET: return "socket";
    case WORLD_PORT: return "port";
    case WORLD_FILE: return "file";
    default: return NULL;
    }
}

/* The operation's name in etalon_subject.h, or NULL: the driver does not know it. */
static const char *operation_word(unsigned operation) {
    switch (operation) {
    case ET_NOOP: return "ETALON_NOOP";
    case ET_POLL: return "ETALON_POLL";
    case ET_READ: return "ETALON_READ";
    case ET_WRITE: return "ETALON_WRITE";
    case ET_PREAD: return "ETALON_PREAD";
    case ET_PWRITE: return "ETALON_PWRITE";
    case ET_SENDMSG: return "ETALON_SENDMSG";
    case ET_RECVMSG: return "ETALON_RECVMSG";
    case ET_SEND: return "ETALON_SEND";
    case ET_RECV: return "ETALON_RECV";
    case ET_SHUTDOWN: return "ETALON_SHUTDOWN";
    default: return NULL;
    }
}

/* What names a second descriptor, or takes one away. False: it is another operation. */
static bool write_of_sockets(FILE *out, const struct command *c, const char *text) {
    const char *body = body_name(c->body);
    if (c->d >= PROGRAM_HANDLES)
        return false;
    switch (c->operation) {
    case ET_ACCEPT:
        fprintf(out, "rp_accept(%u, %u, %u, %s, \"%s\");\n", c->c, c->d, c->other, body, text);
        return c->other < PROGRAM_HANDLES;
    case ET_CONNECT:
        fprintf(out, "rp_connect(%u, %u, %u, %s, \"%s\");\n", c->c, c->d, c->other, body, text);
        return c->other < PROGRAM_HANDLES;
    case ET_CLOSE:
        fprintf(out, "rp_close_by_loop(%u, %u, %s, \"%s\");\n", c->c, c->d, body, text);
        return true;
    default: return false;
    }
}

static bool write_submit(FILE *out, const struct command *c, const char *text) {
    const char *word = operation_word(c->operation);
    bool has_buffer = c->operation >= ET_READ && c->operation <= ET_RECV;
    unsigned long long value = c->value, length = value < 4096 ? value : 4096;
    if (c->operation == ET_TIMER) {
        fprintf(out, "rp_timer(%u, %lluu, %s, \"%s\");\n", c->c, value, body_name(c->body), text);
        return true;
    }
    if (c->operation == ET_CANCEL && c->other < PROGRAM_COMPLETIONS) {
        fprintf(out, "rp_cancel(%u, %u, %s, \"%s\");\n", c->c, c->other, body_name(c->body), text);
        return true;
    }
    if (c->pool == 0 && write_of_sockets(out, c, text))
        return true;
    if (word == NULL || c->pool != 0 || (c->operation != ET_NOOP && c->d >= PROGRAM_HANDLES))
        return false;
    if (c->operation == ET_SENDMSG || c->operation == ET_RECVMSG) {
        fprintf(out, "rp_message(%u, %s, rp.fd[%u], %llu, %u, %d, %s, \"%s\");\n", c->c, word, c->d,
                length, c->flags, c->to - 1, body_name(c->body), text);
        return c->to <= PROGRAM_HANDLES;
    }
    fprintf(out, "rp_submit(%u, %s, ", c->c, word);
    if (c->operation == ET_NOOP)
        fputs("-1, ", out);
    else
        fprintf(out, "rp.fd[%u], ", c->d);
    fprintf(out, "0x%llx, %llu, %llu, %s, \"%s\");\n", c->operation == ET_POLL ? value : 0,
            has_buffer ? length : 0,
            c->operation == ET_SHUTDOWN ? value
            : has_buffer                ? c->flags
                                        : 0ULL,
            body_name(c->body), text);
    return true;
}

/* The loop has a run that ends by a stop alone, and none for this. */
static bool is_until_stopped(const struct command *c) {
    uint64_t offers = work.subject.offers;
    bool until_done = c->kind == COMMAND_RUN && c->value == ET_RUN_UNTIL_DONE;
    bool turn = c->kind == COMMAND_RUN && c->value == ET_RUN_TURN;
    uint64_t others =
        until_done ? ETALON_OFFERS_UNTIL_DONE : ETALON_OFFERS_ONCE | ETALON_OFFERS_TICK;
    return (offers & ETALON_OFFERS_UNTIL_STOPPED) != 0 && (offers & others) == 0 && !turn &&
           c->value != 0;
}

static void write_run_until_stopped(FILE *out, const struct command *c, const char *text) {
    const struct program *p = &work.program;
    const unsigned first = p->first[PROGRAM_BODY_WORLD];
    if (c->kind == COMMAND_RUN && c->value == ET_RUN_UNTIL_DONE)
        fputs("rp_run_until_stopped(UINT32_MAX, \"", out);
    else
        fprintf(out, "rp_run_until_stopped(%lluu, \"", (unsigned long long)c->value);
    for (unsigned i = 0; i < p->count[PROGRAM_BODY_WORLD]; i++)
        fputc(p->command[first + i].kind == COMMAND_WAKEUP ? 'w' : '-', out);
    fprintf(out, "\", \"%s\");\n", text);
}

static void write_run(FILE *out, const struct command *c, const char *text) {
    uint64_t offers = work.subject.offers;
    bool until_done = c->kind == COMMAND_RUN && c->value == ET_RUN_UNTIL_DONE;
    if (is_until_stopped(c))
        write_run_until_stopped(out, c, text);
    else if (until_done && (offers & ETALON_OFFERS_UNTIL_DONE) != 0)
        fprintf(out, "rp_run(ETALON_RUN_UNTIL_DONE, UINT32_MAX, \"%s\");\n", text);
    else if (until_done)
        fprintf(out, "rp_run_repeatedly(UINT32_MAX, \"%s\");\n", text);
    else if (c->value == 0)
        fprintf(out, "rp_run(ETALON_RUN_NO_WAIT, 0, \"%s\");\n", text);
    else if (c->value == 1)
        fprintf(out, "rp_run(ETALON_RUN_ONCE, 1, \"%s\");\n", text);
    else if (c->kind == COMMAND_RUN)
        fprintf(out, "rp_run(ETALON_RUN_TURN, 1, \"%s\");\n", text);
    else
        fprintf(out, "rp_run_repeatedly(%lluu, \"%s\");\n", (unsigned long long)c->value, text);
}

static bool write_open(FILE *out, const struct command *c, const char *text) {
    const char *kind = kind_name(c->value);
    if (c->value == WORLD_ASYNC && c->d < ETALON_SUBJECT_ASYNCS)
        fprintf(out, "rp_async_open(%u, \"%s\");\n", c->d, text);
    else if (kind != NULL)
        fprintf(out, "rp_open(%u, \"%s\");\n", c->d, kind);
    return kind != NULL || c->value == WORLD_ASYNC;
}

/* Some other command opens an async by this number. */
static bool is_async(unsigned d) {
    for (unsigned i = 0; i < work.program.commands; i++)
        if (work.program.command[i].kind == COMMAND_OPEN && work.program.command[i].d == d &&
            work.program.command[i].value == WORLD_ASYNC)
            return true;
    return false;
}

/* False when it needs the kit. */
static bool write_world(FILE *out, const struct command *c, const char *text) {
    unsigned long long value = c->value;
    switch ((enum command_kind)c->kind) {
    case COMMAND_WAKEUP: fputs("rp_wakeup();\n", out); return true;
    case COMMAND_NOTIFY: fprintf(out, "rp_notify(%u);\n", c->d); return true;
    case COMMAND_OPEN: return write_open(out, c, text);
    case COMMAND_CLOSE:
        fprintf(out, is_async(c->d) ? "rp_async_close(%u);\n" : "rp_close(%u);\n", c->d);
        return true;
    case COMMAND_DUP: fprintf(out, "rp_dup(%u, %u);\n", c->d, c->other); return true;
    case COMMAND_PEER_WRITE: fprintf(out, "rp_peer_write(%u, %llu);\n", c->d, value); return true;
    case COMMAND_PEER_READ: fprintf(out, "rp_peer_read(%u, %llu);\n", c->d, value); return true;
    case COMMAND_PEER_CLOSE: fprintf(out, "rp_peer_close(%u);\n", c->d); return true;
    case COMMAND_PEER_SHUTDOWN: fprintf(out, "rp_peer_shutdown(%u);\n", c->d); return true;
    case COMMAND_PEER_CONNECT: fprintf(out, "rp_peer_connect(%u);\n", c->d); return true;
    case COMMAND_ADVANCE: fprintf(out, "rp_advance(%lluu); /* %s */\n", value, text); return true;
    case COMMAND_ORDER: fprintf(out, "/* %s: Linux has its own */\n", text); return true;
    case COMMAND_FAIL:
        fprintf(out, "rp_interrupt(); /* %s */\n", text);
        return c->call == FAULTY_EPOLL_WAIT && c->error == EINTR;
    default: return false;
    }
}

static bool write_one(FILE *out, const struct command *c, bool top) {
    char text[128];
    unsigned long long value = c->value;
    call_text(c, text, sizeof text);
    switch ((enum command_kind)c->kind) {
    case COMMAND_SUBMIT: return write_submit(out, c, text);
    case COMMAND_DELETE: fprintf(out, "rp_delete(%u, \"%s\");\n", c->c, text); return true;
    case COMMAND_TIMER:
        fprintf(out, "rp_timer(%u, %lluu, %s, \"%s\");\n", c->c, value, body_name(c->body), text);
        return true;
    case COMMAND_RESET:
        fprintf(out, "rp_reset(%u, ", c->c);
        if (c->other < PROGRAM_COMPLETIONS)
            fprintf(out, "%u", c->other);
        else
            fputs("ETALON_NOBODY", out);
        fprintf(out, ", %lluu, %s, \"%s\");\n", value, body_name(c->body), text);
        return true;
    case COMMAND_CANCEL:
        fprintf(out, "rp_cancel(%u, %u, %s, \"%s\");\n", c->c, c->other, body_name(c->body), text);
        return c->other < PROGRAM_COMPLETIONS;
    case COMMAND_TICK:
    case COMMAND_RUN:
        write_run(out, c, text);
        return c->value <= ET_RUN_TURN || c->kind == COMMAND_TICK;
    case COMMAND_STOP: fputs("rp_stop();\n", out); return true;
    case COMMAND_TIMEOUT:
    case COMMAND_DESCRIPTOR: fprintf(out, "rp_hosted(); /* %s */\n", text); return true;
    case COMMAND_UPDATE_NOW:
        fputs((work.subject.offers & ETALON_OFFERS_UPDATE_NOW) != 0
                  ? "rp_update_now();\n"
                  : "/* update_now: the loop has no such call */\n",
              out);
        return true;
    case COMMAND_ASYNC_WAIT:
        fprintf(out, "rp_async_wait(%u, %u, %s, \"%s\");\n", c->c, c->d, body_name(c->body), text);
        return c->d < ETALON_SUBJECT_ASYNCS;
    case COMMAND_FORGET: fprintf(out, "rp_forget(%u);\n", c->c); return true;
    case COMMAND_DEINIT: fputs("rp_deinit();\n    rp_init();\n", out); return top;
    case COMMAND_RETURN:
        fprintf(out, "return %s;\n", value == 1 ? "ETALON_REARM" : "ETALON_DISARM");
        return !top;
    default: return write_world(out, c, text);
    }
}

/* Each time that it is repeated, one below the other. */
static bool write_call(FILE *out, const struct command *c, bool top) {
    bool good = c->times > 0 || write_one(out, c, top);
    for (unsigned i = 0; i < c->times && good; i++) {
        struct command one = command_repeated(c, i);
        fputs(i > 0 ? "    " : "", out);
        good = write_one(out, &one, top);
    }
    return good;
}

/* ---- the file -------------------------------------------------------------------------------- */

static void write_sentence(FILE *out, const char *text) {
    unsigned column = 3;
    for (const char *word = text; *word != '\0';) {
        size_t length = strcspn(word, " ");
        if (column + length + 1 > 98) {
            fputs("\n *", out);
            column = 2;
        }
        fputc(' ', out);
        for (size_t i = 0; i < length; i++) /* nothing may end the comment */
            fputc(word[i] == '*' || word[i] == '\n' ? '.' : word[i], out);
        column += (unsigned)length + 1;
        word += length + (word[length] == ' ');
    }
    fputc('\n', out);
}

static void write_head(FILE *out) {
    const struct outcome *o = &work.shortest;
    bool documented = strstr(o->message, "; documented: ") != NULL;
    const char *what = is_bad(o->verdict) ? "the failure"
                       : !differs(o)      ? "that"
                       : documented       ? "what is documented, which is no failure of the loop"
                                          : "that a SHOULD is missed, which is no failure";
    const char *verdict = is_bad(o->verdict) ? verdict_name[o->verdict]
                          : documented       ? "a documented difference,"
                                             : "a SHOULD that is missed,";
    char failure[OUTCOME_FAILURE], text[1600];
    outcome_failure(o, failure);
    if (differs(o))
        snprintf(text, sizeof text, "%s %s, %s %s: %s", work.subject.name, work.subject.version,
                 verdict, failure, o->message);
    else
        snprintf(text, sizeof text, "%s %s, %s: nothing is wrong here.", work.subject.name,
                 work.subject.version, options.of_case);
    fputs("/* SPDX-License-Identifier: MIT */\n/*", out);
    write_sentence(out, text);
    fputs(" *\n *", out);
    snprintf(
        text, sizeof text,
        "Written by etalon reproduce %.200s. It needs the loop alone, and the real clock. It "
        "says \"shown\" and ends with 0 when it has shown %s; else it says \"not shown\" and "
        "ends with 1, or with 2 when it cannot run.%s The program is at the end, the driver of "
        "Etalon and the adapter of the loop stand before it.",
        options.of_case, what,
        work.program.commands < work.trace.program.commands
            ? " This is the shortest program that shows it to Etalon, under virtual time: if "
              "it shows nothing here, try --whole."
            : "");
    write_sentence(out, text);
    fputs(" *\n *", out);
    fprintf(out, " Build: %s repro.%s %s -o repro */\n",
            work.compiler[0] != '\0' ? work.compiler
            : work.cpp               ? "c++"
                                     : "cc",
            work.cpp ? "cpp" : "c", work.build);
}

/* A body that nothing names would be a function that nobody calls. */
static void find_named(bool named[PROGRAM_BODIES]) {
    const struct program *p = &work.program;
    named[0] = named[PROGRAM_BODY_WORLD] = true;
    for (unsigned round = 0; round < PROGRAM_BODIES; round++)
        for (unsigned b = 0; b < PROGRAM_BODIES; b++)
            for (unsigned i = 0; named[b] && i < p->count[b]; i++)
                named[p->command[p->first[b] + i].body] = true;
}

static void write_bodies(FILE *out) {
    const struct program *p = &work.program;
    bool named[PROGRAM_BODIES] = {false};
    find_named(named);
    for (unsigned b = 1; b < PROGRAM_BODY_WORLD; b++)
        if (p->count[b] > 0 && named[b])
            fprintf(out, "static enum etalon_subject_action rp_body_%u(void);\n", b);
    for (unsigned b = 1; b < PROGRAM_BODY_WORLD; b++) {
        bool returned = false;
        if (p->count[b] == 0 || !named[b])
            continue;
        fprintf(out, "\nstatic enum etalon_subject_action rp_body_%u(void) {\n", b);
        for (unsigned i = 0; i < p->count[b] && !returned; i++) {
            fputs("    ", out);
            (void)write_call(out, &p->command[p->first[b] + i], false);
            returned = p->command[p->first[b] + i].kind == COMMAND_RETURN;
        }
        fputs(returned ? "}\n" : "    return ETALON_DISARM;\n}\n", out);
    }
    if (p->count[PROGRAM_BODY_WORLD] == 0)
        return;
    fputs("\n/* What the world does, a step each time that the loop sleeps. */\n"
          "static void rp_world(unsigned step) {\n    switch (step) {\n",
          out);
    for (unsigned i = 0; i < p->count[PROGRAM_BODY_WORLD]; i++) {
        fprintf(out, "    case %u: ", i);
        (void)write_call(out, &p->command[p->first[PROGRAM_BODY_WORLD] + i], false);
        fputs("        break;\n", out);
    }
    fputs("    default: break;\n    }\n}\n", out);
}

/* How long it can take, by its own delays. */
static unsigned seconds(void) {
    uint64_t ms = 0;
    for (unsigned i = 0; i < work.program.commands; i++) {
        const struct command *c = &work.program.command[i];
        bool delay = c->kind == COMMAND_TIMER || c->kind == COMMAND_RESET ||
                     (c->kind == COMMAND_SUBMIT && c->operation == ET_TIMER);
        uint64_t more = delay ? c->value : c->kind == COMMAND_ADVANCE ? c->value / 1000000 : 0;
        ms = more > SECONDS_MAX * 1000 - ms ? SECONDS_MAX * 1000 : ms + more;
    }
    return (unsigned)(ms / 1000) + SECONDS_MORE;
}

static void write_c_string(FILE *out, const char *text) {
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc(*text == '\n' ? ' ' : *text, out);
    }
    fputc('"', out);
}

static void write_expected(FILE *out) {
    const struct outcome *o = &work.shortest;
    const char *law = law_expects(&work.law, o->clause);
    char text[1200];
    if (law != NULL && *law == '(' && strchr(law, ')') != NULL) /* its profiles */
        law = strchr(law, ')') + 1 + strspn(strchr(law, ')') + 1, " ");
    snprintf(text, sizeof text, "%s%s%s", o->clause, law != NULL ? ": " : "",
             law != NULL  ? law
             : differs(o) ? "that it neither crashes nor hangs"
                          : "that nothing breaks the law");
    fprintf(out,
            "\n/* ---- what is to be shown ---- */\n\n"
            "#define RP_EXPECTED %s\n#define RP_SLACK_MS UINT64_C(%u)\n#define RP_LATE_US %llu\n"
            "#define RP_SHOULD \\\n    ",
            check_for(o), work.subject.slack_ms, late_us(o->message));
    write_c_string(out, text);
    fputs("\n\n", out);
}

/* Names of the C library that the driver's headers declare, and perhaps not the adapter's. Another
 * one is given to such a function of the adapter, and to the member of that name. */
static void write_other_names(FILE *out) {
    static const char *const name[] = {"remove", "rename", "wait",  "pause", "link",  "unlink",
                                       "sync",   "access", "dup",   "nice",  "index", "raise",
                                       "kill",   "pipe",   "sleep", "abort", "exit",  "time"};
    for (unsigned i = 0; i < sizeof name / sizeof *name; i++)
        if (source_defines(work.adapter, name[i]))
            fprintf(out, "#define %s rp_adapter_%s\n", name[i], name[i]);
}

static void write_reproducer(FILE *out, const void *unused) {
    const struct program *p = &work.program;
    unsigned steps = p->count[PROGRAM_BODY_WORLD];
    const char *driver = source_behind_head(work.driver);
    (void)unused;
    write_head(out);
    fputs("#ifndef _GNU_SOURCE\n#define _GNU_SOURCE\n#endif\n", out);
    unsigned completions, handles;
    (void)program_needs(p, &completions, &handles);
    if (completions > PROGRAM_FEW || handles > PROGRAM_FEW)
        fprintf(out, "#define RP_COUNT %u\n#define RP_HANDLES %u\n", completions, handles);
    fwrite(driver, 1, (size_t)(source_behind_includes(driver) - driver), out);
    fputs("\n/* ---- the types of an adapter, from etalon_subject.h ---- */\n\n", out);
    write_other_names(out);
    source_without_comments(out, work.header);
    fputs("\n/* ---- the adapter ---- */\n\n", out);
    source_without_line(out, work.adapter, "etalon_subject.h");
    write_expected(out);
    fputs("/* ---- the driver ---- */\n\n", out);
    fputs(source_behind_includes(driver), out);
    fputs("\n/* ---- the program ---- */\n\n", out);
    write_bodies(out);
    fputs("\nstatic void rp_program(void) {\n", out);
    for (unsigned i = 0; i < p->count[0]; i++) {
        fputs("    ", out);
        (void)write_call(out, &p->command[p->first[0] + i], true);
    }
    fprintf(out, "}\n\nint main(void) {\n    return rp_main(rp_program, %s, %u, %u);\n}\n",
            steps > 0 ? "rp_world" : "NULL", steps, seconds());
}

/* ---- the command ----------------------------------------------------------------------------- */

static bool can_be_written(void) {
    const struct program *p = &work.program;
    FILE *nowhere = fopen("/dev/null", "w");
    char text[128], failure[OUTCOME_FAILURE];
    bool good = nowhere != NULL;
    for (unsigned b = 0; good && b < PROGRAM_BODIES; b++)
        for (unsigned i = 0; good && i < p->count[b]; i++) {
            const struct command *c = &p->command[p->first[b] + i];
            call_text(c, text, sizeof text);
            good = write_call(nowhere, c, b == 0) ||
                   complain(options.of_case, "'%s' cannot be done without the kit", text);
        }
    if (nowhere != NULL)
        fclose(nowhere);
    outcome_failure(&work.shortest, failure);
    if (good && check_for(&work.shortest) == NULL)
        good = complain(options.of_case, "%s (%s) cannot be seen without the kit", failure,
                        work.shortest.message);
    return good;
}

static bool read_texts(void) {
    char *driver = tool_file("driver.h", "tests/kit/reproducers/driver.h");
    char *header = tool_file("../../include/etalon_subject.h", "fuzz/driver/etalon_subject.h");
    bool good = driver != NULL && header != NULL;
    if (!good)
        complain(driver == NULL ? "driver.h" : "etalon_subject.h",
                 "not where the tool is installed or built");
    good = good && source_read(driver, &work.driver) && source_read(header, &work.header) &&
           source_read(options.adapter, &work.adapter);
    free(driver);
    free(header);
    const char *dot = strrchr(options.adapter, '.');
    work.cpp = source_is_cpp(options.adapter);
    if (good && !work.cpp && (dot == NULL || strcmp(dot, ".c") != 0))
        good = complain(options.adapter, "no source in C or C++: what is written is one");
    if (good && !source_has_line(work.adapter, "etalon_subject.h"))
        good = complain(options.adapter, "it does not include etalon_subject.h: no adapter");
    if (good && !source_build(work.adapter, work.build, sizeof work.build))
        good =
            complain(options.adapter, "its head does not say how it is built ('Build: -lmyloop')");
    if (good)
        source_compiler(work.adapter, work.compiler, sizeof work.compiler);
    return good;
}

static void reproduce_usage(FILE *out) {
    fputs(
        "usage: etalon reproduce [OPTION...] CASE ADAPTER.c|ADAPTER.cpp\n"
        "\n"
        "Runs the case, a file of a trace, or a random program by the name that was told of it,\n"
        "on the loop of the adapter, which is built as the 'Build:' of its head says. Writes one\n"
        "file, in C or C++ as the adapter is, that shows what was found on the real kernel and\n"
        "the real clock, and compiles with the loop alone.\n"
        "\n"
        "  --output FILE      write there, not on standard output\n"
        "  --adapter FILE.so  the adapter as it is built already\n"
        "  --whole            the case's own program, not the shortest one that shows the same\n"
        "  --cases FOLDER     where the cases are, if not where the tool has them\n"
        "  --law FILE         where the law is, likewise\n"
        "\n"
        "Exit status: 0 it is written, 2 bad input or arguments, what cannot be shown without\n"
        "the kit, or an output that cannot be written.\n",
        out);
}

static bool take_once(const char *option, const char **into) {
    if (*into != NULL)
        return complain(option, "it was given already, as %s", *into);
    *into = optarg;
    return true;
}

static bool take_options(int argc, char **argv) {
    static const struct option long_options[] = {{"output", required_argument, NULL, 'o'},
                                                 {"adapter", required_argument, NULL, 'a'},
                                                 {"cases", required_argument, NULL, 'c'},
                                                 {"law", required_argument, NULL, 'l'},
                                                 {"whole", no_argument, NULL, 'w'},
                                                 {"help", no_argument, NULL, 'h'},
                                                 {0}};
    int letter;
    while ((letter = options_next("reproduce", argc, argv, ":o:h", long_options)) != -1)
        switch (letter) {
        case 'o':
            if (!take_once("--output", &options.output))
                return false;
            break;
        case 'a':
            if (!take_once("--adapter", &options.object))
                return false;
            break;
        case 'c':
            if (!take_once("--cases", &options.cases))
                return false;
            break;
        case 'l':
            if (!take_once("--law", &options.law))
                return false;
            break;
        case 'w': options.whole = true; break;
        case 'h': reproduce_usage(stdout); exit(fflush(stdout) != 0 ? BAD_INPUT : 0);
        default: return false;
        }
    options.cases = tool_path(options.cases, "cases", "spec/cases");
    options.law = tool_path(options.law, "etalon.md", "spec/etalon.md");
    if (argc - optind != 2) {
        reproduce_usage(stderr);
        return false;
    }
    options.of_case = argv[optind];
    options.adapter = argv[optind + 1];
    return true;
}

/* The reproducer does not take the place of what it is made from. */
static bool spares_what_is_read(void) {
    const char *to = options.output;
    return !(output_same(to, options.adapter) || output_same(to, options.object) ||
             output_same(to, options.of_case) || output_same(to, options.law)) ||
           complain("--output", "%s: it is read, and would be overwritten", to);
}

int reproduce_main(int argc, char **argv, bool (*load)(const char *path, struct trace *trace)) {
    if (!take_options(argc, argv) || !spares_what_is_read() ||
        (options.output != NULL && !output_possible("--output", options.output)) ||
        !law_read(&work.law, options.law) || !read_texts())
        return BAD_INPUT;
    child_guard();
    if (!build_and_run(load) || !can_be_written())
        return BAD_INPUT;
    return write_whole(options.output, write_reproducer, NULL) ? 0 : BAD_INPUT;
}

#else

int reproduce_main(int argc, char **argv, bool (*load)(const char *path, struct trace *trace)) {
    (void)argc, (void)argv, (void)load;
    fputs("etalon: this build has no conformance kit\n", stderr);
    return 2;
}

#endif

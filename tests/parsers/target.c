/* SPDX-License-Identifier: MIT */
/* What the fuzz targets of the parsers share (target.h). */
#include "target.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../model/program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file = -1;
static char *said;
static size_t said_size;
static FILE *complaints, *nowhere, *true_stderr, *true_stdout;

const char *file_of(const char *text, size_t size) {
    static char path[64];
    file = memfd_create("input", MFD_CLOEXEC);
    expect(file >= 0 && write(file, text, size) == (ssize_t)size, "no file can be made");
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return path;
}

/* By the name of the stream and not by its descriptor, which the sanitizers write to. */
void keep_complaints(void) {
    complaints = open_memstream(&said, &said_size);
    expect(complaints != NULL, "no memory");
    true_stderr = stderr;
    stderr = complaints;
}

void silence_output(void) {
    nowhere = fopen("/dev/null", "w");
    expect(nowhere != NULL, "no /dev/null");
    true_stdout = stdout;
    stdout = nowhere;
}

static void restore(void) {
    if (nowhere != NULL) {
        stdout = true_stdout;
        fclose(nowhere);
        nowhere = NULL;
    }
    if (complaints != NULL) {
        stderr = true_stderr;
        fclose(complaints);
        free(said);
        complaints = NULL;
    }
    if (file >= 0)
        close(file);
    file = -1;
}

void expect(bool condition, const char *what) {
    if (condition)
        return;
    if (complaints != NULL) {
        fflush(complaints);
        stderr = true_stderr;
        fprintf(stderr, "it has said: %s\n", said);
    }
    fprintf(stderr, "parser: %s\n", what);
    abort();
}

static void expect_shown(const char *text, size_t size, size_t lines) {
    size_t ends = 0;
    for (size_t i = 0; i < size; i++) {
        ends += text[i] == '\n';
        expect(text[i] == '\n' || (unsigned char)text[i] >= ' ', "a control character is printed");
    }
    expect(ends == lines, "the complaint is not one line");
}

void expect_complaint(bool refused) {
    fflush(complaints);
    expect((said_size > 0) == refused,
           refused ? "refused without a word" : "taken, and complained");
    if (refused)
        expect_shown(said, said_size, 1);
}

void expect_line(const char *line) {
    expect(*line != '\0', "refused without a word");
    expect_shown(line, strlen(line), 0);
}

bool same_program(const struct program *a, const struct program *b) {
    return memcmp(a->first, b->first, sizeof a->first) == 0 &&
           memcmp(a->count, b->count, sizeof a->count) == 0 && a->commands == b->commands &&
           memcmp(a->command, b->command, a->commands * sizeof *a->command) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    parse(text, size);
    restore();
    free(text);
    return 0;
}

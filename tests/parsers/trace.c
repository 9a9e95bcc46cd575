/* SPDX-License-Identifier: MIT */
/* The fuzz target of traces: what is read is written, and read back it is the same. */
#include "target.h"

#include <stdlib.h>
#include <string.h>

#include "../../model/program.h"

void parse(const char *text, size_t size) {
    static struct trace first, second;
    static uint8_t bytes[PROGRAM_COMMANDS_MAX * PROGRAM_RECORD];
    char error[200] = "", *written = NULL;
    size_t length = 0;
    if (trace_read(&first, text, size, error, sizeof error) != 0) {
        expect(strncmp(error, "line ", 5) == 0, "an error without its line");
        expect_line(error);
        trace_free(&first);
        return;
    }
    FILE *out = open_memstream(&written, &length);
    expect(out != NULL, "no memory");
    trace_write(out, &first);
    fclose(out);
    expect(trace_read(&second, written, length, error, sizeof error) == 0,
           "what was written cannot be read");
    expect(same_program(&first.program, &second.program),
           "another program is read than was written");
    expect(program_encode(&first.program, bytes, sizeof bytes) ==
               (size_t)first.program.commands * PROGRAM_RECORD,
           "a command has no bytes");
    trace_free(&first);
    trace_free(&second);
    free(written);
}

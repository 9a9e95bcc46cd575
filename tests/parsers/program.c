/* SPDX-License-Identifier: MIT */
/* The fuzz target of the binary notation: any bytes are a program, whose text is read back, and
 * which no encoding changes. */
#include "target.h"

#include <stdlib.h>
#include <string.h>

#include "../../model/program.h"

void parse(const char *text, size_t size) {
    static struct trace trace, again;
    static struct program decoded;
    static uint8_t bytes[PROGRAM_COMMANDS_MAX * PROGRAM_RECORD];
    char error[200] = "", *written = NULL;
    size_t length = 0;
    memset(&trace, 0, sizeof trace);
    program_decode(&trace.program, (const uint8_t *)text, size);
    expect(trace.program.commands <= PROGRAM_COMMANDS_MAX, "too many commands");
    FILE *out = open_memstream(&written, &length);
    expect(out != NULL, "no memory");
    trace_write(out, &trace);
    fclose(out);
    expect(trace_read(&again, written, length, error, sizeof error) == 0, error);
    expect(same_program(&trace.program, &again.program), "its text is another program");
    size_t encoded = program_encode(&trace.program, bytes, sizeof bytes);
    program_decode(&decoded, bytes, encoded);
    expect(same_program(&trace.program, &decoded), "its bytes are another program");
    trace_free(&again);
    free(written);
}

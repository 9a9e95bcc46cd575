/* SPDX-License-Identifier: MIT */
/* The fuzz target of C sources as texts: what a reproducer makes of an adapter. */
#include "../kit/source.h"

#include <stdlib.h>
#include <string.h>

#include "target.h"

static void write_into(char **written, size_t *length, const char *text,
                       void (*write)(FILE *out, const char *text)) {
    FILE *out = open_memstream(written, length);
    expect(out != NULL, "no memory");
    write(out, text);
    fclose(out);
}

static void without_header(FILE *out, const char *text) {
    source_without_line(out, text, "etalon_subject.h");
}

void parse(const char *text, size_t size) {
    char *read = NULL, *bare = NULL, *again = NULL, *other = NULL, build[200];
    size_t bare_length = 0, again_length = 0, other_length = 0;
    const char *path = file_of(text, size);
    keep_complaints();
    bool taken = source_read(path, &read);
    expect_complaint(!taken);
    if (!taken)
        return;
    expect(strcmp(read, text) == 0, "another text is read");
    (void)source_defines(read, "main");
    expect(source_behind_head(read) <= read + size, "beyond the end");
    expect(source_behind_includes(read) <= read + size, "beyond the end");
    if (source_build(read, build, sizeof build))
        expect(strlen(build) < sizeof build && strchr(build, '\n') == NULL, "no line of a build");
    write_into(&other, &other_length, read, without_header);
    expect(!source_has_line(other, "etalon_subject.h"), "a line is still there");
    write_into(&bare, &bare_length, read, source_without_comments);
    write_into(&again, &again_length, bare, source_without_comments);
    expect(strcmp(bare, again) == 0, "there was a comment left");
    free(read);
    free(bare);
    free(again);
    free(other);
}

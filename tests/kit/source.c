/* SPDX-License-Identifier: MIT */
/* C sources as texts (source.h). */
#ifndef ETALON_WITHOUT_KIT

#include "source.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE_MAX (4 << 20)

bool source_read(const char *path, char **text) {
    FILE *file = fopen(path, "rb");
    char *bytes = malloc(SOURCE_MAX + 1);
    if (file == NULL || bytes == NULL) {
        fprintf(stderr, "etalon: %s: %s\n", path, strerror(errno));
        free(bytes);
        if (file != NULL)
            fclose(file);
        return false;
    }
    size_t size = fread(bytes, 1, SOURCE_MAX, file);
    bool failed = ferror(file) != 0, whole = feof(file) != 0;
    fclose(file);
    bytes[size] = '\0';
    const char *why = failed                           ? "cannot be read"
                      : !whole                         ? "longer than 4 MiB"
                      : memchr(bytes, 0, size) != NULL ? "has a byte 0: no C or C++ source"
                                                       : NULL;
    if (why != NULL) {
        fprintf(stderr, "etalon: %s: %s\n", path, why);
        free(bytes);
        return false;
    }
    *text = bytes;
    return true;
}

static bool includes(const char *line, size_t length, const char *header) {
    const char *at = line + strspn(line, " \t");
    if (*at != '#')
        return false;
    at += 1 + strspn(at + 1, " \t");
    if (strncmp(at, "include", 7) != 0)
        return false;
    const char *found = strstr(at, header);
    return found != NULL && found < line + length &&
           (found[-1] == '"' || found[-1] == '<' || found[-1] == '/');
}

static size_t line_length(const char *text) {
    size_t length = strcspn(text, "\n");
    return length + (text[length] == '\n');
}

bool source_has_line(const char *text, const char *header) {
    for (; *text != '\0'; text += line_length(text))
        if (includes(text, line_length(text), header))
            return true;
    return false;
}

void source_without_line(FILE *out, const char *text, const char *header) {
    for (; *text != '\0'; text += line_length(text))
        if (!includes(text, line_length(text), header))
            fwrite(text, 1, line_length(text), out);
}

/* The end of a comment, a string or a character that begins here, or of one other character. */
static const char *behind(const char *text) {
    if (strncmp(text, "/*", 2) == 0) {
        const char *end = strstr(text + 2, "*/");
        return end != NULL ? end + 2 : text + strlen(text);
    }
    if (strncmp(text, "//", 2) == 0)
        return text + strcspn(text, "\n");
    if (*text != '"' && *text != '\'')
        return text + 1;
    const char *end = text + 1;
    while (*end != '\0' && *end != *text)
        end += *end == '\\' && end[1] != '\0' ? 2 : 1;
    return *end != '\0' ? end + 1 : end;
}

static bool is_comment(const char *text) {
    return strncmp(text, "/*", 2) == 0 || strncmp(text, "//", 2) == 0;
}

bool source_defines(const char *text, const char *function) {
    for (; *text != '\0'; text += line_length(text)) {
        const char *at = strncmp(text, "static ", 7) == 0 ? strstr(text, function) : NULL;
        if (at != NULL && at < text + line_length(text) && at[strlen(function)] == '(' &&
            (at[-1] == ' ' || at[-1] == '*'))
            return true;
    }
    return false;
}

const char *source_behind_includes(const char *text) {
    while (strncmp(text, "#include", 8) == 0)
        text += line_length(text);
    return text;
}

void source_without_comments(FILE *out, const char *text) {
    char *bare = malloc(strlen(text) + 2);
    size_t used = 0;
    if (bare == NULL)
        return;
    for (const char *next; *text != '\0'; text = next) {
        next = behind(text);
        if (is_comment(text))
            bare[used++] = ' ';
        else
            while (text < next)
                bare[used++] = *text++;
    }
    bare[used] = '\0';
    for (char *line = bare; *line != '\0';) {
        size_t length = line_length(line), end = length;
        while (end > 0 && isspace((unsigned char)line[end - 1]))
            end--;
        if (end > 0)
            fprintf(out, "%.*s\n", (int)end, line);
        line += length;
    }
    free(bare);
}

const char *source_behind_head(const char *text) {
    for (;;) {
        text += strspn(text, " \t\n");
        if (!is_comment(text))
            return text;
        text = behind(text);
    }
}

bool source_is_cpp(const char *path) {
    static const char *const ends[] = {".cpp", ".cc", ".cxx"};
    const char *dot = strrchr(path, '.');
    for (unsigned i = 0; dot != NULL && i < sizeof ends / sizeof *ends; i++)
        if (strcmp(dot, ends[i]) == 0)
            return true;
    return false;
}

void source_compiler(const char *text, char *compiler, size_t size) {
    static const char word[] = "Compiler:";
    const char *build = strstr(text, "Build:"), *at = strstr(text, word);
    *compiler = '\0';
    if (build == NULL || at == NULL || at > build)
        return;
    at += sizeof word - 1;
    at += strspn(at, " \t");
    size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789+-");
    snprintf(compiler, size, "%.*s", (int)length, at);
}

bool source_build(const char *text, char *build, size_t size) {
    const char *at = strstr(text, "Build:");
    if (at == NULL)
        return false;
    at += strlen("Build:");
    at += strspn(at, " \t");
    size_t length = strcspn(at, "\n");
    for (size_t i = 0; i + 1 < length; i++)
        if (strncmp(at + i, "*/", 2) == 0)
            length = i;
    while (length > 0 && isspace((unsigned char)at[length - 1]))
        length--;
    if (length >= size)
        return false;
    memcpy(build, at, length);
    build[length] = '\0';
    return true;
}

#else
typedef int nothing_here;
#endif

/* SPDX-License-Identifier: MIT */
/* Files that are no adapters (object.h). The dynamic linker calls each "invalid ELF header", and
 * waits for a pipe for ever. */
#ifndef ETALON_WITHOUT_KIT

#include "object.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "source.h"

static const char how[] = "an adapter is built by 'cc -shared -fPIC my.c -lmyloop -o my.so' "
                          "(ADAPTERS.md)";

static bool ends_with(const char *path, const char *end) {
    size_t length = strlen(path), of_end = strlen(end);
    return length > of_end && strcmp(path + length - of_end, end) == 0;
}

/* What begins with these bytes, or has this name. NULL: it may be a shared object. */
static const char *kind_of(const char *path, const char *bytes, size_t size) {
    static const char archive[] = "!<arch>\n";
    Elf64_Half type; /* at the same place in both classes */
    if (ends_with(path, ".c") || source_is_cpp(path))
        return "a source file";
    if (size == 0)
        return "an empty file";
    if (size >= sizeof archive - 1 && memcmp(bytes, archive, sizeof archive - 1) == 0)
        return "a static archive";
    if (size < SELFMAG || memcmp(bytes, ELFMAG, SELFMAG) != 0)
        return "no program code (ELF)";
    if (size < EI_NIDENT + sizeof type)
        return NULL;
    memcpy(&type, bytes + EI_NIDENT, sizeof type);
    return type == ET_REL    ? "an object file that is not linked"
           : type == ET_EXEC ? "a program"
                             : NULL;
}

static void extend(uint64_t *end, uint64_t from, uint64_t size) {
    uint64_t sum = from > UINT64_MAX - size ? UINT64_MAX : from + size;
    *end = sum > *end ? sum : *end;
}

/* Where the file must end at least, by its headers: behind its segments and its table of sections.
 * The dynamic linker does not look, and touches pages behind the end. 0: no header of this machine,
 * of which the dynamic linker says what is wrong. */
static uint64_t end_by_headers(FILE *file) {
    ElfW(Ehdr) head;
    ElfW(Phdr) segment;
    uint64_t end = 0;
    if (fseek(file, 0, SEEK_SET) != 0 || fread(&head, sizeof head, 1, file) != 1 ||
        head.e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) ||
        head.e_version != EV_CURRENT || head.e_phentsize != sizeof segment)
        return 0;
    extend(&end, head.e_shoff, head.e_shoff != 0 ? (uint64_t)head.e_shnum * head.e_shentsize : 0);
    extend(&end, head.e_phoff, (uint64_t)head.e_phnum * sizeof segment);
    if (fseek(file, (long)head.e_phoff, SEEK_SET) != 0)
        return end;
    for (unsigned i = 0; i < head.e_phnum && fread(&segment, sizeof segment, 1, file) == 1; i++)
        if (segment.p_filesz != 0)
            extend(&end, segment.p_offset, segment.p_filesz);
    return end;
}

bool object_possible(const char *path, char *error, size_t size) {
    char bytes[64];
    struct stat status;
    const char *kind = NULL;
    uint64_t end = 0;
    bool there = stat(path, &status) == 0;
    if (there && !S_ISREG(status.st_mode))
        kind = S_ISDIR(status.st_mode) ? "a folder" : "no regular file";
    FILE *file = there && kind == NULL ? fopen(path, "rb") : NULL;
    if (kind == NULL && file == NULL) {
        snprintf(error, size, "%s", strerror(errno));
        return false;
    }
    if (file != NULL) {
        kind = kind_of(path, bytes, fread(bytes, 1, sizeof bytes, file));
        end = kind == NULL ? end_by_headers(file) : 0;
        fclose(file);
    }
    if (end > (uint64_t)status.st_size) {
        snprintf(error, size,
                 "the file is cut off: by its headers it has at least %llu bytes, and %lld are "
                 "there",
                 (unsigned long long)end, (long long)status.st_size);
        return false;
    }
    if (kind != NULL)
        snprintf(error, size, "this is %s, and no shared object: %s", kind, how);
    return kind == NULL;
}

void object_explain(const char *path, const char *said, char *error, size_t size) {
    size_t length = strlen(path);
    if (strncmp(said, path, length) == 0 && strncmp(said + length, ": ", 2) == 0)
        said += length + 2; /* the caller names the file */
    if (strstr(said, "executable") != NULL)
        snprintf(error, size, "this is a program, and no shared object: %s", how);
    else
        snprintf(error, size, "cannot be loaded: %s%s", said,
                 strstr(said, "undefined symbol") != NULL ? " (is it linked with its loop?)" : "");
}

#else
typedef int nothing_here;
#endif

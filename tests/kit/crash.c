/* SPDX-License-Identifier: MIT */
/* The place of a crash (crash.h). The process that crashes writes down addresses only; the names
 * are looked up by the runner, in the symbol tables of the files, as most functions of a loop are
 * not exported. */
#ifndef ETALON_WITHOUT_KIT

#include "crash.h"

#include <ctype.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <unwind.h>
#endif

#define STACK_BYTES  (64 << 10)
#define FRAMES_SHOWN 6

static struct crash_record *mine;

/* ---- in the process that crashes ------------------------------------------------------------- */

static void add_frame(void *address, unsigned back) {
    Dl_info found;
    if (mine->frames >= CRASH_FRAMES_MAX || dladdr(address, &found) == 0 || found.dli_fname == NULL)
        return;
    uint32_t at = mine->frames;
    snprintf(mine->frame[at].object, sizeof mine->frame[at].object, "%s", found.dli_fname);
    mine->frame[at].offset = (uint64_t)((char *)address - (char *)found.dli_fbase) - back;
    mine->frames = at + 1;
}

/* Where the signal came is known even when the stack has been overwritten. */
static void *interrupted_at(const ucontext_t *context) {
#if defined(__x86_64__)
    return (void *)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (void *)context->uc_mcontext.pc;
#elif defined(__riscv)
    return (void *)context->uc_mcontext.__gregs[REG_PC];
#else
    (void)context;
    return NULL;
#endif
}

#ifdef __GLIBC__
struct walk {
    void *after; /* frames count from behind this one */
    unsigned frames;
    bool begun;
};

static _Unwind_Reason_Code walk_on(struct _Unwind_Context *context, void *self) {
    struct walk *walk = self;
    void *address = (void *)_Unwind_GetIP(context);
    if (walk->begun)
        add_frame(address, 1); /* where the call was, not where it returns to */
    walk->begun = walk->begun || address == walk->after;
    return ++walk->frames < CRASH_FRAMES_MAX + 4 ? _URC_NO_REASON : _URC_END_OF_STACK;
}

static void walk_from(void *first) {
    struct walk walk = {first, 0, first == NULL};
    _Unwind_Backtrace(walk_on, &walk);
}
#else /* the compiler's library walks no stack beside another C library: one function is told */
static void walk_from(void *first) {
    (void)first;
}
#endif

/* A second signal in here ends the process: the first one has been reset. */
static void caught(int number, siginfo_t *info, void *context) {
    void *first = interrupted_at(context);
    (void)info;
    mine->signal = (uint32_t)number;
    if (first != NULL)
        add_frame(first, 0);
    walk_from(first);
    raise(number);
}

void crash_watch(struct crash_record *record) {
    static const int deadly[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    stack_t stack = {.ss_sp = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                     .ss_size = STACK_BYTES};
    mine = record;
    walk_from(NULL); /* loads what it needs, now */
    record->frames = 0;
    if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL) != 0)
        return;
    for (unsigned i = 0; i < sizeof deadly / sizeof *deadly; i++) {
        struct sigaction before,
            action = {.sa_sigaction = caught,
                      .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | (int)SA_RESETHAND};
        if (sigaction(deadly[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(deadly[i], &action, NULL);
    }
}

/* ---- names ----------------------------------------------------------------------------------- */

struct image {
    const char *bytes;
    size_t size;
};

static bool inside(const struct image *image, uint64_t offset, uint64_t size) {
    return offset <= image->size && size <= image->size - offset;
}

/* The section's header, or NULL when it does not lie in the file. */
static const ElfW(Shdr) * section(const struct image *image, unsigned number) {
    const ElfW(Ehdr) *head = (const void *)image->bytes;
    uint64_t at = head->e_shoff + (uint64_t)number * sizeof(ElfW(Shdr));
    bool good = number < head->e_shnum && head->e_shentsize == sizeof(ElfW(Shdr)) &&
                at % _Alignof(ElfW(Shdr)) == 0 && inside(image, at, sizeof(ElfW(Shdr)));
    return good ? (const void *)(image->bytes + at) : NULL;
}

/* The function of this symbol table that the offset lies in. */
static bool in_table(const struct image *image, const ElfW(Shdr) * table, uint64_t offset,
                     char *name, size_t size) {
    const ElfW(Shdr) *strings = section(image, table->sh_link);
    if (strings == NULL || !inside(image, table->sh_offset, table->sh_size) ||
        !inside(image, strings->sh_offset, strings->sh_size) ||
        table->sh_offset % _Alignof(ElfW(Sym)) != 0)
        return false;
    const ElfW(Sym) *symbol = (const void *)(image->bytes + table->sh_offset);
    for (uint64_t i = 0; i < table->sh_size / sizeof *symbol; i++) {
        if (ELF64_ST_TYPE(symbol[i].st_info) != STT_FUNC || symbol[i].st_shndx == SHN_UNDEF ||
            offset < symbol[i].st_value || offset - symbol[i].st_value >= symbol[i].st_size ||
            symbol[i].st_name >= strings->sh_size)
            continue;
        size_t left = strings->sh_size - symbol[i].st_name;
        const char *text = image->bytes + strings->sh_offset + symbol[i].st_name;
        snprintf(name, size, "%.*s", (int)(left < 100 ? left : 100), text);
        return *name != '\0';
    }
    return false;
}

static bool in_image(const struct image *image, uint64_t offset, char *name, size_t size) {
    const ElfW(Ehdr) *head = (const void *)image->bytes;
    if (image->size < sizeof *head || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
        head->e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32))
        return false;
    static const unsigned kinds[] = {SHT_SYMTAB, SHT_DYNSYM};
    for (unsigned k = 0; k < 2; k++)
        for (unsigned i = 0; i < head->e_shnum; i++) {
            const ElfW(Shdr) *table = section(image, i);
            if (table != NULL && table->sh_type == kinds[k] &&
                in_table(image, table, offset, name, size))
                return true;
        }
    return false;
}

static bool function_at(const char *object, uint64_t offset, char *name, size_t size) {
    struct stat status;
    bool found = false;
    int fd = open(object, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
        struct image image = {NULL, (size_t)status.st_size};
        void *bytes = mmap(NULL, image.size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes != MAP_FAILED) {
            image.bytes = bytes;
            found = in_image(&image, offset, name, size);
            munmap(bytes, image.size);
        }
    }
    close(fd);
    return found;
}

/* What everybody's stack has says nothing of the loop. */
static bool tells_nothing(const char *object) {
    static char self[4096];
    static const char *const common[] = {"libc.so",  "libc-",      "ld-linux",
                                         "ld-musl",  "libpthread", "linux-vdso",
                                         "libgcc_s", "libasan",    "libubsan"};
    const char *slash = strrchr(object, '/'), *base = slash != NULL ? slash + 1 : object;
    if (*self == '\0' && readlink("/proc/self/exe", self, sizeof self - 1) <= 0)
        return false;
    char *real = realpath(object, NULL);
    bool own = real != NULL && strcmp(real, self) == 0;
    free(real);
    for (unsigned i = 0; i < sizeof common / sizeof *common; i++)
        own = own || strncmp(base, common[i], strlen(common[i])) == 0;
    return own || strchr(object, '/') == NULL; /* the tool, as it was called */
}

void crash_stack(const struct crash_record *record, char *text, size_t size) {
    size_t used = 0;
    unsigned shown = 0;
    *text = '\0';
    for (unsigned i = 0; i < record->frames && i < CRASH_FRAMES_MAX && shown < FRAMES_SHOWN; i++) {
        char object[sizeof record->frame[i].object], name[128];
        snprintf(object, sizeof object, "%.*s", (int)sizeof object - 1, record->frame[i].object);
        if (tells_nothing(object))
            continue;
        const char *slash = strrchr(object, '/');
        if (!function_at(object, record->frame[i].offset, name, sizeof name))
            snprintf(name, sizeof name, "%.80s+0x%llx", slash != NULL ? slash + 1 : object,
                     (unsigned long long)record->frame[i].offset);
        if (used + strlen(name) + 4 > size)
            return;
        used += (size_t)snprintf(text + used, size - used, "%s%s", shown++ > 0 ? " < " : "", name);
    }
}

/* ---- the place ------------------------------------------------------------------------------- */

static const char *line_with(const char *said, const char *const *words, unsigned count) {
    const char *best = NULL;
    for (unsigned i = 0; i < count; i++) {
        const char *at = strstr(said, words[i]);
        if (at != NULL && (best == NULL || at < best))
            best = at;
    }
    while (best != NULL && best > said && best[-1] != '\n')
        best--;
    return best;
}

/* The time of day, or GLib's "(name:number of the process):". */
static bool is_of_this_run(const char *word, size_t length) {
    const char *colon = memchr(word, ':', length);
    if (length > 0 && word[0] == '(' && colon != NULL) {
        size_t digits = strspn(colon + 1, "0123456789");
        return digits > 0 && colon + 1 + digits < word + length && colon[1 + digits] == ')';
    }
    return colon != NULL && memchr(colon + 1, ':', (size_t)(word + length - colon - 1)) != NULL &&
           strspn(word, "0123456789:.") >= length;
}

/* Appends a word of the text, without what differs from run to run. */
static void add_word(char *place, size_t size, const char *word, size_t length) {
    size_t used = strlen(place);
    for (size_t i = 0; i < length; i++)
        if (word[i] == '/') { /* of a path its end */
            word += i + 1;
            length -= i + 1;
            i = (size_t)-1;
        }
    bool is_address = length > 2 && word[0] == '0' && word[1] == 'x';
    bool is_number = length > 3 && strspn(word, "0123456789") >= length;
    bool of_valgrind = length > 4 && strncmp(word, "==", 2) == 0 && isdigit((unsigned char)word[2]);
    if (length == 0 || is_address || is_number || is_of_this_run(word, length))
        return;
    if (of_valgrind) {
        size_t skipped = 2 + strspn(word + 2, "0123456789=");
        word += skipped < length ? skipped : length;
        length -= skipped < length ? skipped : length;
    }
    for (size_t i = 0; i < length && used + 2 < size; i++) {
        bool plain = isalnum((unsigned char)word[i]) || strchr("_.:+", word[i]) != NULL;
        if (plain)
            place[used++] = word[i];
        else if (used > 0 && place[used - 1] != '-')
            place[used++] = '-';
    }
    if (used > 0 && used + 1 < size && place[used - 1] != '-')
        place[used++] = '-';
    place[used] = '\0';
}

static void add_line(char *place, size_t size, const char *line) {
    size_t length = strcspn(line, "\n");
    const char *end = line + length;
    while (line < end) {
        line += strspn(line, " \t");
        size_t word = strcspn(line, " \t\n");
        if (line < end)
            add_word(place, size, line, word);
        line += word;
    }
}

const char *crash_reason(const char *said) {
    static const char *const why[] = {"ERROR: ", "panic", "ssertion", "runtime error", "FATAL"};
    return line_with(said, why, sizeof why / sizeof *why);
}

static void place_of_text(const char *said, char *place, size_t size) {
    static const char *const where[] = {"#0 ", " in "};
    const char *line = crash_reason(said);
    if (line == NULL)
        line = said + strspn(said, "\n");
    const char *own = "etalon: "; /* of an assertion: the name of the process */
    if (strncmp(line, own, strlen(own)) == 0)
        line += strlen(own);
    const char *next = strchr(line, '\n'),
               *deeper = next == NULL ? NULL : line_with(next, where, sizeof where / sizeof *where);
    add_line(place, deeper != NULL ? size / 2 : size, line);
    if (deeper != NULL)
        add_line(place, size, deeper);
    size_t length = strlen(place);
    if (length > 0 && place[length - 1] == '-')
        place[length - 1] = '\0';
}

void crash_place(const char *stack, const char *said, int signal, char *place, size_t size) {
    *place = '\0';
    /* 0: it ends itself, as a sanitizer does */
    if ((signal == SIGABRT || signal == SIGTRAP || signal == 0) && *said != '\0')
        place_of_text(said, place, size);
    if (*place == '\0')
        snprintf(place, size, "%.*s", (int)strcspn(stack, " "), stack);
    if (*place == '\0' && *said != '\0')
        place_of_text(said, place, size);
}

#else
typedef int nothing_here;
#endif

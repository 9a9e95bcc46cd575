/* SPDX-License-Identifier: MIT */
/* The main of a fuzz target without a fuzzer: runs it over files, and over the files of folders. */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv); /* not every target's */

static bool replay_file(const char *path) {
    static uint8_t bytes[1 << 20];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        return false;
    }
    size_t size = fread(bytes, 1, sizeof bytes, file);
    bool complete = ferror(file) == 0;
    fclose(file);
    if (!complete) {
        fprintf(stderr, "replay: %s: cannot be read\n", path);
        return false;
    }
    /* A copy of the exact size, so that AddressSanitizer sees a read beyond the input. */
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL)
        return false;
    memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    return true;
}

static bool replay_folder(DIR *folder, const char *path) {
    bool read_all = true;
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        read_all = replay_file(name) && read_all;
    }
    closedir(folder);
    return read_all;
}

int main(int argc, char **argv) {
    bool read_all = argc > 1;
    (void)setenv("ETALON_REFINES", "1", 0); /* the harness checks every input */
    if (LLVMFuzzerInitialize != NULL)
        (void)LLVMFuzzerInitialize(&argc, &argv);
    if (argc < 2)
        fprintf(stderr, "usage: %s FILE-OR-FOLDER...\n", argv[0]);
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        read_all =
            (folder != NULL ? replay_folder(folder, argv[i]) : replay_file(argv[i])) && read_all;
    }
    return read_all ? 0 : 2;
}

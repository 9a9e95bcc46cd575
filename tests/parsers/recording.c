/* SPDX-License-Identifier: MIT */
/* The fuzz target of recordings: lines of JSON, and the judge that they are given to. */
#include "target.h"

#include <getopt.h>
#include <string.h>

#include "../tool/judge.h"
#include "../tool/recording.h"

/* What can be read can also be written, and be said in words. */
static void show(const struct event *event) {
    char words[200];
    FILE *out = fopen("/dev/null", "w");
    expect(out != NULL, "no /dev/null");
    event_write(event, out);
    event_text(event, words, sizeof words);
    fclose(out);
}

static void read_all(const char *text, size_t size) {
    struct recording recording;
    struct event event;
    int status = -1;
    FILE *file = fmemopen((void *)(uintptr_t)text, size, "rb");
    expect(file != NULL, "no memory");
    if (recording_open(&recording, file, "input"))
        while ((status = recording_next(&recording, &event)) == 1)
            show(&event);
    if (status != 0)
        expect_line(recording.error);
    recording_close(&recording);
    fclose(file);
}

void parse(const char *text, size_t size) {
    char *arguments[] = {"judge", "--keep-going", NULL, NULL};
    if (size > 0)
        read_all(text, size);
    arguments[2] = (char *)(uintptr_t)file_of(text, size);
    keep_complaints();
    silence_output();
    optind = 0; /* from the beginning */
    int status = judge_main(3, arguments);
    expect(status >= 0 && status <= 2, "an exit status that is none");
    expect_complaint(status == 2);
}

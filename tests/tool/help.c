/* SPDX-License-Identifier: MIT */
/* Texts of --help (help.h). */
#include "help.h"

#include <string.h>

static const char summary[] =
    "usage: etalon COMMAND [OPTION...] FILE...\n"
    "       etalon check [OPTION...] ADAPTER.so...\n"
    "       etalon reproduce [OPTION...] CASE ADAPTER\n"
    "       etalon judge [OPTION...] RECORDING...\n"
    "       etalon COMMAND --help | --help | --version\n"
    "\n"
    "of an event loop, shown by an adapter or by a recording:\n"
    "  check        check other loops, shown by an adapter, against the law\n"
    "  reproduce    write what a case shows of another loop as one file that needs no Etalon\n"
    "  judge        check a recording of any loop, - for standard input, against the law\n"
    "\n"
    "of the reference loop, run beside the model of its law:\n"
    "  replay       print the program, what happened, and the first difference with its clause\n"
    "  check-cases  run traces against their observations\n"
    "  record       print the trace with the observations of this run, or each event\n"
    "  shrink       write the shortest program that shows the same difference\n"
    "  torture      run programs again for each system call that can fail, with that call failing\n"
    "  compare      run programs on the simulated and on the real kernel\n"
    "  decode       print a fuzz input as a trace\n"
    "  encode       write traces as fuzz inputs\n"
    "\n"
    "A FILE is a trace (spec/trace-format.md), or bytes that are no text: a fuzz input.\n"
    "\n"
    "Exit status: 0 no difference, 1 a difference, 2 bad input or arguments, or an output that\n"
    "cannot be written.\n";

#define WORLD                                                                                      \
    "  --world simulated|real  the kernel: the simulated one (the default), or Linux with\n"       \
    "                          virtual time\n"
#define QUIET "  --quiet                 print the verdict alone\n"

static const struct {
    const char *command, *text;
} parts[] = {
    {"replay",
     "usage: etalon replay [OPTION...] FILE...\n"
     "\n"
     "Prints the program, what happened, and the first difference between the loop and the model\n"
     "of its law, with its clause. A FILE is a trace or a fuzz input.\n"
     "\n" WORLD QUIET "  --fail N:ERRNO[:same|:on]\n"
     "                          let the N-th system call that can fail do so; same: and all\n"
     "                          later ones of its name; on: and all later ones\n"
     "  --no-fork               run the program in the tool's own process, for a debugger\n"
     "\n"
     "Exit status: 0 no difference, 1 a difference, 2 bad input or arguments.\n"},
    {"check-cases",
     "usage: etalon check-cases [OPTION...] FILE...\n"
     "\n"
     "Runs traces, each in a process of its own, against the observations that they contain.\n"
     "Prints the test-anything protocol.\n"
     "\n" WORLD
     "  --seconds N             of processor time for a case, 10 without this option; it "
     "has\n"
     "                          three times as much real time\n"
     "\n"
     "Exit status: 0 all are as they must be, 1 one is not, 2 bad input or arguments.\n"},
    {"record",
     "usage: etalon record [OPTION...] FILE...\n"
     "\n"
     "Prints the trace with the observations of this run in place of its own.\n"
     "\n" WORLD "  --output PATH           write there, of one FILE; a name that ends in .ndjson: "
     "as --events\n"
     "  --events                write each event instead, as etalon judge reads them\n"
     "\n"
     "Exit status: 0 no difference, 1 a difference, 2 bad input or arguments, or an output that\n"
     "cannot be written.\n"},
    {"decode",
     "usage: etalon decode [--output PATH] FILE...\n"
     "\n"
     "Prints a fuzz input, or a trace, as a trace.\n"
     "\n"
     "  --output PATH           write there, of one FILE\n"
     "\n"
     "Exit status: 0 it is written, 2 bad input or arguments, or an output that cannot be "
     "written.\n"},
    {"encode",
     "usage: etalon encode --output FOLDER FILE...\n"
     "\n"
     "Writes each trace as a fuzz input, FOLDER/NAME.bin.\n"
     "\n"
     "  --output FOLDER         where to; it is made when it is not there\n"
     "\n"
     "Exit status: 0 they are written, 2 bad input or arguments, or an output that cannot be\n"
     "written.\n"},
    {"shrink",
     "usage: etalon shrink [OPTION...] FILE...\n"
     "\n"
     "Writes the shortest program that shows the same difference.\n"
     "\n" WORLD "  --output PATH           write there, of one FILE\n"
     "  --seconds N             then write what has been found until then\n"
     "\n"
     "Exit status: 1 it is written, 2 the program shows no difference, bad input or arguments, or\n"
     "an output that cannot be written.\n"},
    {"torture",
     "usage: etalon torture [OPTION...] FILE...\n"
     "\n"
     "Runs each program again for each system call that can fail, with that call failing by each\n"
     "errno of its manual page.\n"
     "\n"
     "  --sample N              make one run in N\n"
     "  --seed S                other ones, always the same for the same S\n"
     "  --expect FILE           check the errors that were met against this list\n"
     "  --report FOLDER         write errors.md and torture.json there\n"
     "\n"
     "Exit status: 0 no difference, 1 a difference, 2 bad input or arguments, or an output that\n"
     "cannot be written.\n"},
};

void help(FILE *out) {
    fputs(summary, out);
}

void help_on(FILE *out, const char *command) {
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcmp(parts[i].command, command) == 0) {
            fputs(parts[i].text, out);
            return;
        }
    help(out);
}

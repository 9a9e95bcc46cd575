/* SPDX-License-Identifier: MIT */
/* Linked into the coverage build alone: a program that ends by abort() would leave no counts, so
 * they are written first. The programs of tests that expect an abort are counted that way, too. */
#include <signal.h>

extern void __gcov_dump(void);

static void dump(int number) {
    (void)number;
    __gcov_dump();
}

__attribute__((constructor)) static void install_dump(void) {
    signal(SIGABRT, dump); /* abort() ends the process after the handler has returned */
}

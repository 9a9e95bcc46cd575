/* SPDX-License-Identifier: MIT */
/* Linked into the builds for make coverage and make mcdc alone: a program that ends by abort() or
 * by _exit(), as a child of fork(2) does, would leave no counts, so they are written first. The
 * programs of tests that expect an abort, and the children that a test makes, are counted that way,
 * too. */
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __clang__
extern int __llvm_profile_write_file(void);
extern void __llvm_profile_reset_counters(void);
#define WRITE_COUNTS __llvm_profile_write_file
#define RESET_COUNTS __llvm_profile_reset_counters
#else
extern void __gcov_dump(void), __gcov_reset(void);
#define WRITE_COUNTS __gcov_dump
#define RESET_COUNTS __gcov_reset
#endif

static void dump(int number) {
    (void)number;
    WRITE_COUNTS();
}

__attribute__((constructor)) static void install_dump(void) {
    signal(SIGABRT, dump); /* abort() ends the process after the handler has returned */
}

/* The C library's, with the counts. A child of vfork(2) ends in its parent's memory: what it has
 * written must not be written again, and what the parent then counts must be. */
void _exit(int status) {
    WRITE_COUNTS();
    RESET_COUNTS();
    for (;;)
        syscall(SYS_exit_group, status);
}

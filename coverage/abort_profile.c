/* SPDX-License-Identifier: MIT */
/* Linked into the build that measures conditions (make mcdc) alone: as abort.c, for clang's
 * counts. */
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

extern int __llvm_profile_write_file(void);
extern void __llvm_profile_reset_counters(void);

static void dump(int number) {
    (void)number;
    __llvm_profile_write_file();
}

__attribute__((constructor)) static void install_dump(void) {
    signal(SIGABRT, dump); /* abort() ends the process after the handler has returned */
}

/* The C library's, with the counts. A child of vfork(2) ends in its parent's memory: what it has
 * written must not be written again, and what the parent then counts must be. */
void _exit(int status) {
    __llvm_profile_write_file();
    __llvm_profile_reset_counters();
    for (;;)
        syscall(SYS_exit_group, status);
}

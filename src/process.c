/* SPDX-License-Identifier: MIT */
/* Which process this is, without asking the kernel each time: in a child of fork(2), what the
 * parent had made must not be used (ET-FORK-3). For the files of src/ only.
 *
 * A word that is wiped when a process is copied holds the number of this process, or 0 as long as
 * it has made nothing. The kernel wipes it (MADV_WIPEONFORK): a handler of pthread_atfork(3) comes
 * late, since a signal may arrive in the child before it, whose handler would then notify the
 * parent; and in a child of _Fork(3) or of a bare clone(2) it never comes. That handler stands by
 * where the kernel does not: Linux before 4.14, and emulators, of which qemu 7 says that it will.
 * The child of vfork(2) has the parent's memory and not a copy: it is the parent to us. */
#include "internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic(uint32_t) nothing_yet; /* stays 0 */
_Atomic(uint32_t) *_Atomic eti_process_word = &nothing_yet;
static _Atomic(uint32_t) last_number; /* is copied, and so never given twice in a line of descent */

static _Atomic(uint32_t) parents_number;

static void before_fork(void) {
    _Atomic(uint32_t) *here = atomic_load_explicit(&eti_process_word, memory_order_relaxed);
    atomic_store_explicit(&parents_number, atomic_load_explicit(here, memory_order_relaxed),
                          memory_order_relaxed);
}

/* Only what the kernel has left: another handler that came before may have made a loop. */
static void wipe(void) {
    _Atomic(uint32_t) *here = atomic_load_explicit(&eti_process_word, memory_order_relaxed);
    uint32_t number = atomic_load_explicit(&parents_number, memory_order_relaxed);
    (void)atomic_compare_exchange_strong_explicit(here, &number, 0, memory_order_relaxed,
                                                  memory_order_relaxed);
}

/* The page stays for as long as the process lives. */
static int make_word(void) {
    size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return -errno;
    _Atomic(uint32_t) *none = &nothing_yet;
    (void)madvise(page, bytes, MADV_WIPEONFORK);
    int error = pthread_atfork(before_fork, NULL, wipe);
    if (error != 0 ||
        !atomic_compare_exchange_strong_explicit(&eti_process_word, &none, page,
                                                 memory_order_release, memory_order_relaxed))
        munmap(page, bytes); /* or another thread was faster */
    return -error;
}

int eti_number_process(uint32_t *process) {
    if (atomic_load_explicit(&eti_process_word, memory_order_relaxed) == &nothing_yet) {
        int error = make_word();
        if (error != 0)
            return error;
    }
    _Atomic(uint32_t) *here = atomic_load_explicit(&eti_process_word, memory_order_acquire);
    uint32_t number = atomic_load_explicit(here, memory_order_relaxed);
    if (number == 0) {
        uint32_t next = atomic_fetch_add_explicit(&last_number, 1, memory_order_relaxed) + 1;
        if (atomic_compare_exchange_strong_explicit(here, &number, next, memory_order_relaxed,
                                                    memory_order_relaxed))
            number = next;
    }
    *process = number;
    return 0;
}

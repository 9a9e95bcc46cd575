/* SPDX-License-Identifier: MIT */
/* Machines that are new to Linux have no pause(2), which fuzz/world/handles.c calls by its number;
 * a ppoll(2) of nothing without an end is the same. Included in front of each file by the flags of
 * the variants for these machines. */
#ifndef PORTABLE_PAUSE_H
#define PORTABLE_PAUSE_H

#include <stddef.h>
#include <sys/syscall.h>

#ifndef SYS_pause
#define SYS_pause SYS_ppoll, NULL, 0, NULL, NULL
#endif

#endif

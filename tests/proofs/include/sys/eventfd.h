/* SPDX-License-Identifier: MIT */
/* For Frama-C, whose C library has no eventfd: what src/ uses of it. */
#ifndef ETALON_PROOFS_EVENTFD_H
#define ETALON_PROOFS_EVENTFD_H

#define EFD_CLOEXEC  02000000
#define EFD_NONBLOCK 00004000

int eventfd(unsigned count, int flags);

#endif

/* SPDX-License-Identifier: MIT */
/* Texts of strangers, in files of a form (report.c, junit.c) and where a text is told from other
 * bytes (process.c, etalon.c). */
#ifndef ETALON_TEXT_H
#define ETALON_TEXT_H

#include <stdint.h>

/* What stands behind the word for so many: "case", "cases". */
const char *plural(uint64_t count);

/* How many bytes of valid UTF-8 begin here, 0 if it is none. */
unsigned utf8_length(const unsigned char *p);

#endif

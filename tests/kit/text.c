/* SPDX-License-Identifier: MIT */
/* Texts of strangers (text.h). */
#include "text.h"

const char *plural(uint64_t count) {
    return count == 1 ? "" : "s";
}

unsigned utf8_length(const unsigned char *p) {
    unsigned length = *p < 0x80                 ? 1
                      : *p >= 0xc2 && *p < 0xe0 ? 2
                      : *p >= 0xe0 && *p < 0xf0 ? 3
                      : *p >= 0xf0 && *p < 0xf5 ? 4
                                                : 0;
    for (unsigned i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if (length == 3 && ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f)))
        return 0;
    if (length == 4 && ((*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f)))
        return 0;
    return length;
}

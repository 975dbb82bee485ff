/* SPDX-License-Identifier: Apache-2.0 */
/* Files that were put into the program at build time by tools/embed.py: `embed.py NAME out.c FILES`
 * defines `const struct gy_embedded NAME[]`, in the order given, and `const size_t NAME_count`.
 * Immutable. */
#ifndef GY_BASE_EMBED_H
#define GY_BASE_EMBED_H

#include <stddef.h>

struct gy_embedded {
    const char *name;  /* the file's name without folders */
    const char *bytes; /* size bytes and a NUL */
    size_t size;
    const char *sha256; /* lower-case hex of the bytes */
};

#endif

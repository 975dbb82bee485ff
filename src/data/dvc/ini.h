/* SPDX-License-Identifier: Apache-2.0 */
/* The ini dialect of DVC's configuration files (Python's configobj), as far as DVC uses it: one
 * level of sections, quoted names, values with quotes, lists and comments. Read into views that
 * know where they stand, so that an edit is a splice and comments stay. Left out, and refused with
 * the line: values over several lines, sections in sections, %(name)s. Pure functions. */
#ifndef GY_DATA_DVC_INI_H
#define GY_DATA_DVC_INI_H

#include "base/arena.h"
#include "base/buf.h"

struct gy_ini_section {
    struct gy_str name; /* lower case: "core", "remote \"store\"" */
    size_t line, after; /* its header line in the text, and what follows it */
    size_t name_at, name_bytes;
};

struct gy_ini_entry {
    size_t section;           /* index; SIZE_MAX: before the first */
    struct gy_str key, value; /* key in lower case; items of a list joined by ',' */
    size_t line, after;       /* its line in the text */
    size_t key_at;            /* what stands before it is the indentation */
    size_t value_at, value_bytes;
};

struct gy_ini {
    struct gy_str text;
    struct gy_ini_section *sections;
    struct gy_ini_entry *entries;
    size_t n_sections, n_entries;
};

/* text must stay; the rest is in the arena. name is for messages. Fails: PARSE with name:line,
 * TOOBIG (GY_DVC_MAX_KEYS), NOMEM. */
GY_CHECKED gy_status gy_ini_parse(struct gy_str text, const char *name, struct gy_arena *a,
                                  struct gy_ini *ret, struct gy_err *err);
/* NULL: none. */
const struct gy_ini_section *gy_ini_section(const struct gy_ini *ini, struct gy_str name);
const struct gy_ini_entry *gy_ini_entry(const struct gy_ini *ini, struct gy_str section,
                                        struct gy_str key);

/* The text with section.key = value (value absent: without it; key absent: without the section),
 * appended to out. What is not there is put where configobj under DVC puts it: plain sections
 * before the first of a remote, remotes before machines. A plain section that has no key any more
 * goes, unless someone left a comment in it. Fails: INVALID (a text that no quotes can hold),
 * NOMEM. */
GY_CHECKED gy_status gy_ini_set(const struct gy_ini *ini, struct gy_str section, struct gy_str key,
                                struct gy_str value, struct gy_buf *out, struct gy_err *err);
/* The text with another name for the section, appended to out. Fails: NOTFOUND, INVALID, NOMEM. */
GY_CHECKED gy_status gy_ini_rename(const struct gy_ini *ini, struct gy_str section,
                                   struct gy_str to, struct gy_buf *out, struct gy_err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* gy_settings: what a learner or a feature step can be told, as a table: the reader of params.yaml,
 * the help, the search and the record of a run all go by it. A value is kept as the text that a
 * person wrote, so that nothing is lost on the way to a library or into the record. */
#ifndef GY_LEARN_SETTINGS_H
#define GY_LEARN_SETTINGS_H

#include "base/json.h"

#define GY_SETTINGS_MAX 24

struct gy_arena;
struct gy_yaml;
struct gy_yaml_node;

enum gy_setting_kind {
    GY_SETTING_NUMBER,
    GY_SETTING_WHOLE,
    GY_SETTING_FLAG, /* true, false */
    GY_SETTING_WORD, /* one of `words` */
    GY_SETTING_TEXT,
    GY_SETTING_LIST /* texts or numbers; kept joined by one line feed each */
};

/* One row of a table; the table ends with a row without key. */
struct gy_setting_spec {
    const char *key;
    enum gy_setting_kind kind;
    double min, max;          /* NUMBER, WHOLE; of each item of a LIST when max > min */
    const char *usual;        /* the value when none is given; NULL: the setting is then absent */
    const char *const *words; /* WORD: NULL-terminated; NUMBER, LIST: words allowed instead */
    const char *help;
};

struct gy_settings {
    const struct gy_setting_spec *specs;   /* MAY be NULL: there are none */
    struct gy_str values[GY_SETTINGS_MAX]; /* beside specs; absent: not given */
};

size_t gy_settings_count(const struct gy_setting_spec *specs);

/* Read a map of settings into s (specs set by the caller). `also` (NULL-terminated, MAY be NULL):
 * further keys that are somebody else's. Texts live in the arena. Fails: INVALID with name:line,
 * NOMEM. */
GY_CHECKED gy_status gy_settings_read(struct gy_settings *s, const struct gy_yaml *y,
                                      const struct gy_yaml_node *map, const char *const *also,
                                      struct gy_arena *a, struct gy_err *err);
/* One value: a scalar, or a sequence for a LIST. */
GY_CHECKED gy_status gy_settings_read_one(struct gy_settings *s, size_t index,
                                          const struct gy_yaml *y, const struct gy_yaml_node *value,
                                          struct gy_arena *a, struct gy_err *err);
/* Set one by its text (a search does). Fails: INVALID. */
GY_CHECKED gy_status gy_settings_set(struct gy_settings *s, struct gy_str key, struct gy_str value,
                                     struct gy_err *err);

/* `columns:` of a step or of a row filter: a name or a list of names, which live in the arena.
 * Fails: INVALID with name:line, NOMEM. */
GY_CHECKED gy_status gy_settings_names(const struct gy_yaml *y, const struct gy_yaml_node *list,
                                       struct gy_arena *a, const struct gy_str **ret, size_t *ret_n,
                                       struct gy_err *err);

/* The value given, else the usual one; the absent string when there is neither. The key must be in
 * the table. */
struct gy_str gy_setting_text(const struct gy_settings *s, const char *key);
bool gy_setting_given(const struct gy_settings *s, const char *key);
/* NaN when absent or a word. */
double gy_setting_number(const struct gy_settings *s, const char *key);
int64_t gy_setting_whole(const struct gy_settings *s, const char *key);
bool gy_setting_flag(const struct gy_settings *s, const char *key);
/* The next item of a LIST's text; false at the end. */
bool gy_setting_next(struct gy_str *rest, struct gy_str *ret_item);

/* {"key": value, ...} of the settings in force, as members of an open object. */
void gy_settings_write(struct gy_jw *w, const struct gy_settings *s);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/settings.h"

#include <math.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/yaml.h"

size_t gy_settings_count(const struct gy_setting_spec *specs)
{
    size_t n = 0;
    while (specs && specs[n].key) {
        n++;
    }
    return n;
}

static size_t find(const struct gy_setting_spec *specs, struct gy_str key)
{
    size_t i = 0;
    while (specs && specs[i].key && !gy_str_eqc(key, specs[i].key)) {
        i++;
    }
    return i;
}

static bool is_word(const struct gy_setting_spec *spec, struct gy_str text)
{
    for (size_t i = 0; spec->words && spec->words[i]; i++) {
        if (gy_str_eqc(text, spec->words[i])) {
            return true;
        }
    }
    return false;
}

static bool is_number(const struct gy_setting_spec *spec, struct gy_str text, bool whole)
{
    double v = 0;
    return gy_parse_f64(text, &v, NULL) == GY_OK && v >= spec->min && v <= spec->max &&
           (!whole || v == floor(v));
}

static bool fits(const struct gy_setting_spec *spec, struct gy_str text)
{
    switch (spec->kind) {
    case GY_SETTING_NUMBER:
        return is_number(spec, text, false) || is_word(spec, text);
    case GY_SETTING_WHOLE:
        return is_number(spec, text, true) || is_word(spec, text);
    case GY_SETTING_FLAG:
        return gy_str_eqc(text, "true") || gy_str_eqc(text, "false");
    case GY_SETTING_WORD:
        return is_word(spec, text);
    case GY_SETTING_TEXT:
        return text.n > 0;
    case GY_SETTING_LIST:
        return spec->max > spec->min ? is_number(spec, text, false) || is_word(spec, text)
                                     : text.n > 0;
    }
    return false;
}

/* "eta must be a number from 0 to 1" */
static void say_wanted(const struct gy_setting_spec *spec, char *out, size_t n)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf words;
    gy_buf_init(&words, 400);
    for (size_t i = 0; spec->words && spec->words[i]; i++) {
        gy_buf_addf(&words, "%s%s", i ? ", " : "", spec->words[i]);
    }
    const char *or_words = words.n ? words.p : "";
    const char *sep = words.n ? " or one of " : "";
    switch (spec->kind) {
    case GY_SETTING_NUMBER:
        (void)snprintf(out, n, "%s must be a number from %g to %g%s%s", spec->key, spec->min,
                       spec->max, sep, or_words);
        return;
    case GY_SETTING_WHOLE:
        (void)snprintf(out, n, "%s must be a whole number from %.0f to %.0f%s%s", spec->key,
                       spec->min, spec->max, sep, or_words);
        return;
    case GY_SETTING_FLAG:
        (void)snprintf(out, n, "%s must be true or false", spec->key);
        return;
    case GY_SETTING_WORD:
        (void)snprintf(out, n, "%s must be one of %s", spec->key, or_words);
        return;
    case GY_SETTING_TEXT:
        (void)snprintf(out, n, "%s must be a text", spec->key);
        return;
    case GY_SETTING_LIST:
        if (spec->max > spec->min) {
            (void)snprintf(out, n, "%s must be a list of numbers from %g to %g%s%s", spec->key,
                           spec->min, spec->max, sep, or_words);
        } else {
            (void)snprintf(out, n, "%s must be a list", spec->key);
        }
        return;
    }
}

static gy_status refuse(const struct gy_setting_spec *spec, const struct gy_yaml *y,
                        const struct gy_yaml_node *v, struct gy_err *err)
{
    char why[600];
    say_wanted(spec, why, sizeof why);
    return gy_yaml_err(y, v, err, "%s", why);
}

gy_status gy_settings_read_one(struct gy_settings *s, size_t index, const struct gy_yaml *y,
                               const struct gy_yaml_node *v, struct gy_arena *a, struct gy_err *err)
{
    const struct gy_setting_spec *spec = &s->specs[index];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf joined;
    bool list = spec->kind == GY_SETTING_LIST && v->kind == GY_YAML_SEQ;
    gy_buf_init(&joined, GY_MAX_YAML);
    if (!list && (v->kind == GY_YAML_SEQ || v->kind == GY_YAML_MAP || !fits(spec, v->text))) {
        return refuse(spec, y, v, err);
    }
    for (size_t i = 0; list && i < v->n_items; i++) {
        const struct gy_yaml_node *item = &v->items[i];
        if (!item->text.p || !fits(spec, item->text) || gy_str_find(item->text, '\n') != SIZE_MAX) {
            return refuse(spec, y, item, err);
        }
        gy_buf_addf(&joined, "%s%" GY_STR_F, i ? "\n" : "", GY_STR_A(item->text));
    }
    if (list && v->n_items == 0) {
        return refuse(spec, y, v, err);
    }
    GY_TRY(gy_buf_check(&joined, spec->key, err));
    s->values[index] = gy_arena_str(a, list ? gy_buf_str(&joined) : v->text);
    return s->values[index].p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "reading parameters");
}

gy_status gy_settings_read(struct gy_settings *s, const struct gy_yaml *y,
                           const struct gy_yaml_node *map, const char *const *also,
                           struct gy_arena *a, struct gy_err *err)
{
    const char *allowed[GY_SETTINGS_MAX + 8];
    size_t n = 0;
    for (size_t i = 0; s->specs && s->specs[i].key; i++) {
        allowed[n++] = s->specs[i].key;
    }
    for (size_t i = 0; also && also[i] && n < GY_SETTINGS_MAX + 7; i++) {
        allowed[n++] = also[i];
    }
    allowed[n] = NULL;
    if (map->kind == GY_YAML_NULL) {
        return GY_OK;
    }
    GY_TRY(gy_yaml_only(y, map, allowed, err));
    for (size_t i = 0; s->specs && s->specs[i].key; i++) {
        const struct gy_yaml_node *v = gy_yaml_get(map, s->specs[i].key);
        if (v) {
            GY_TRY(gy_settings_read_one(s, i, y, v, a, err));
        }
    }
    return GY_OK;
}

gy_status gy_settings_set(struct gy_settings *s, struct gy_str key, struct gy_str value,
                          struct gy_err *err)
{
    size_t i = find(s->specs, key);
    if (!s->specs || !s->specs[i].key) {
        return gy_err_set(err, GY_E_INVALID, "there is no setting '%" GY_STR_F "'", GY_STR_A(key));
    }
    if (!fits(&s->specs[i], value)) {
        char why[600];
        say_wanted(&s->specs[i], why, sizeof why);
        return gy_err_set(err, GY_E_INVALID, "%s", why);
    }
    s->values[i] = value;
    return GY_OK;
}

gy_status gy_settings_names(const struct gy_yaml *y, const struct gy_yaml_node *list,
                            struct gy_arena *a, const struct gy_str **ret, size_t *ret_n,
                            struct gy_err *err)
{
    size_t n = list->kind == GY_YAML_SEQ ? list->n_items : 1;
    struct gy_str *names = gy_arena_calloc(a, n + 1, sizeof *names);
    if (!names) {
        return gy_err_set(err, GY_E_NOMEM, "reading parameters");
    }
    for (size_t i = 0; i < n; i++) {
        const struct gy_yaml_node *v = list->kind == GY_YAML_SEQ ? &list->items[i] : list;
        if (!v->text.p || v->text.n == 0) {
            return gy_yaml_err(y, v, err, "columns must be a list of names");
        }
        names[i] = gy_arena_str(a, v->text);
        if (!names[i].p) {
            return gy_err_set(err, GY_E_NOMEM, "reading parameters");
        }
    }
    *ret = names;
    *ret_n = n;
    return n ? GY_OK : gy_yaml_err(y, list, err, "columns must be a list of names");
}

struct gy_str gy_setting_text(const struct gy_settings *s, const char *key)
{
    size_t i = find(s->specs, gy_str_c(key));
    GY_REQUIRE(s->specs && s->specs[i].key);
    return s->values[i].p ? s->values[i] : gy_str_c(s->specs[i].usual);
}

bool gy_setting_given(const struct gy_settings *s, const char *key)
{
    size_t i = find(s->specs, gy_str_c(key));
    return s->specs && s->specs[i].key && s->values[i].p;
}

double gy_setting_number(const struct gy_settings *s, const char *key)
{
    double v = NAN;
    struct gy_str text = gy_setting_text(s, key);
    return text.p && gy_parse_f64(text, &v, NULL) == GY_OK ? v : NAN;
}

int64_t gy_setting_whole(const struct gy_settings *s, const char *key)
{
    double v = gy_setting_number(s, key);
    return isnan(v) ? 0 : (int64_t)v;
}

bool gy_setting_flag(const struct gy_settings *s, const char *key)
{
    return gy_str_eqc(gy_setting_text(s, key), "true");
}

bool gy_setting_next(struct gy_str *rest, struct gy_str *ret_item)
{
    return rest->p && gy_str_next(rest, '\n', ret_item);
}

static void write_text(struct gy_jw *w, const struct gy_setting_spec *spec, struct gy_str text)
{
    double v = 0;
    bool number = spec->kind == GY_SETTING_NUMBER || spec->kind == GY_SETTING_WHOLE ||
                  (spec->kind == GY_SETTING_LIST && spec->max > spec->min);
    if (spec->kind == GY_SETTING_FLAG) {
        gy_jw_bool(w, gy_str_eqc(text, "true"));
    } else if (number && gy_parse_f64(text, &v, NULL) == GY_OK) {
        char room[32];
        gy_jw_raw(w, gy_str_n(room, gy_fmt_f64_trim(v, room)));
    } else {
        gy_jw_str(w, text);
    }
}

void gy_settings_write(struct gy_jw *w, const struct gy_settings *s)
{
    for (size_t i = 0; s->specs && s->specs[i].key; i++) {
        struct gy_str text = gy_setting_text(s, s->specs[i].key);
        if (!text.p) {
            continue;
        }
        gy_jw_key(w, s->specs[i].key);
        if (s->specs[i].kind != GY_SETTING_LIST) {
            write_text(w, &s->specs[i], text);
            continue;
        }
        struct gy_str item;
        gy_jw_arr(w);
        while (gy_setting_next(&text, &item)) {
            write_text(w, &s->specs[i], item);
        }
        gy_jw_arr_end(w);
    }
}

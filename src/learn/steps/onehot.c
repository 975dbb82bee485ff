/* SPDX-License-Identifier: Apache-2.0 */
/* onehot: a column that names things becomes a column of 0 and 1 for each thing, "season=winter",
 * at the place where it stood. What training has not seen is all zeros, or the column "season=*"
 * (other) where there is one. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "learn/steps/steps.h"

#define NO_SLOT UINT32_MAX /* a key without a column: all zeros */

/* One column worked on. */
struct coded {
    struct gy_keys keys;
    uint32_t *slots; /* beside keys: which of the new columns, or NO_SLOT */
    uint32_t other;  /* of a key that is not known */
    uint32_t missing;
    uint32_t width;
};

struct onehot {
    struct coded *columns; /* beside step->chosen */
};

enum drop { DROP_NONE, DROP_FIRST, DROP_BINARY };
static const char *const g_drops[] = {"none", "first", "if_binary", NULL};
static const char *const g_unseen[] = {"zeros", "other", NULL};
static const char *const g_missing[] = {"zeros", "column", NULL};

static int compare_counts(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x < y) - (x > y);
}

/* The N most frequent keys get columns; of equally frequent ones the first. */
static gy_status keep_top(struct coded *c, size_t top, struct gy_err *err)
{
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, c->keys.n + 1, sizeof(uint32_t));
    uint32_t *counts = (uint32_t *)(void *)room;
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "fitting a feature step");
    }
    memcpy(counts, c->keys.counts, c->keys.n * sizeof *counts);
    qsort(counts, c->keys.n, sizeof *counts, compare_counts);
    uint32_t least = counts[top - 1];
    size_t above = 0;
    while (counts[above] > least) {
        above++;
    }
    size_t even = top - above; /* how many of those with exactly `least` rows */
    for (size_t i = 0; i < c->keys.n; i++) {
        bool take = c->keys.counts[i] > least || (c->keys.counts[i] == least && even > 0);
        even -= take && c->keys.counts[i] == least;
        c->slots[i] = take ? 0 : NO_SLOT;
    }
    return GY_OK;
}

static void number_slots(struct coded *c, enum drop drop, bool other, bool missing)
{
    size_t n_kept = 0;
    for (size_t i = 0; i < c->keys.n; i++) {
        n_kept += c->slots[i] != NO_SLOT;
    }
    bool skip = drop == DROP_FIRST || (drop == DROP_BINARY && c->keys.n == 2);
    bool rest = other || n_kept < c->keys.n;
    c->width = 0;
    for (size_t i = 0; i < c->keys.n; i++) {
        if (c->slots[i] != NO_SLOT) {
            c->slots[i] = skip ? NO_SLOT - 1 : c->width++;
            skip = false;
        }
    }
    c->other = rest ? c->width++ : NO_SLOT;
    c->missing = missing ? c->width++ : NO_SLOT;
    for (size_t i = 0; i < c->keys.n; i++) {
        c->slots[i] = c->slots[i] == NO_SLOT       ? c->other
                      : c->slots[i] == NO_SLOT - 1 ? NO_SLOT
                                                   : c->slots[i];
    }
}

static gy_status fit_column(struct gy_step *s, struct coded *c, size_t column,
                            const struct gy_step_rows *rows, struct gy_arena *a, struct gy_err *err)
{
    struct gy_str drop = gy_setting_text(&s->settings, "drop");
    size_t top = (size_t)gy_setting_whole(&s->settings, "top");
    GY_TRY(gy_step_keys(s, rows, column, a, &c->keys, err));
    c->slots = gy_arena_calloc(a, c->keys.n + 1, sizeof *c->slots);
    if (!c->slots) {
        return gy_err_set(err, GY_E_NOMEM, "fitting a feature step");
    }
    if (top > 0 && top < c->keys.n) {
        GY_TRY(keep_top(c, top, err));
    }
    number_slots(c,
                 gy_str_eqc(drop, "first")       ? DROP_FIRST
                 : gy_str_eqc(drop, "if_binary") ? DROP_BINARY
                                                 : DROP_NONE,
                 gy_str_eqc(gy_setting_text(&s->settings, "unseen"), "other"),
                 gy_str_eqc(gy_setting_text(&s->settings, "missing"), "column"));
    return GY_OK;
}

/* The new columns of one old one. */
static gy_status name_columns(const struct gy_feature *in, const struct coded *c,
                              struct gy_feature *out, struct gy_arena *a, struct gy_err *err)
{
    char scratch[40];
    if (c->other != NO_SLOT) {
        GY_TRY(gy_step_named(&out[c->other],
                             gy_arena_printf(a, "%" GY_STR_F "=*", GY_STR_A(in->name)), err));
    }
    if (c->missing != NO_SLOT) {
        GY_TRY(gy_step_named(&out[c->missing],
                             gy_arena_printf(a, "%" GY_STR_F "=?", GY_STR_A(in->name)), err));
    }
    for (size_t i = 0; i < c->keys.n; i++) {
        struct gy_str text = gy_key_text(in, c->keys.values[i], scratch);
        if (c->slots[i] != NO_SLOT && c->slots[i] != c->other) {
            GY_TRY(gy_step_named(
                &out[c->slots[i]],
                gy_arena_printf(a, "%" GY_STR_F "=%" GY_STR_F, GY_STR_A(in->name), GY_STR_A(text)),
                err));
        }
    }
    return GY_OK;
}

static gy_status outputs(struct gy_step *s, const struct onehot *m, struct gy_arena *a,
                         struct gy_err *err)
{
    size_t n_out = s->n_in - s->n_chosen;
    for (size_t k = 0; k < s->n_chosen; k++) {
        n_out += m->columns[k].width;
    }
    GY_TRY(gy_step_outputs(s, n_out, a, err));
    for (size_t i = 0, k = 0, at = 0; i < s->n_in; i++) {
        if (k < s->n_chosen && s->chosen[k] == i) {
            GY_TRY(name_columns(&s->in[i], &m->columns[k], s->out + at, a, err));
            at += m->columns[k++].width;
        } else {
            s->out[at++] = s->in[i];
        }
    }
    return GY_OK;
}

static struct onehot *new_self(const struct gy_step *s, struct gy_arena *a)
{
    struct onehot *m = gy_arena_calloc(a, 1, sizeof *m);
    if (m) {
        m->columns = gy_arena_calloc(a, s->n_chosen + 1, sizeof *m->columns);
    }
    return m && m->columns ? m : NULL;
}

static gy_status fit(struct gy_step *s, const struct gy_step_rows *rows, struct gy_arena *a,
                     struct gy_err *err)
{
    struct onehot *m = new_self(s, a);
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "fitting %zu features", s->n_in);
    }
    if (s->n_chosen == 0) {
        return gy_step_no_category(s, err);
    }
    for (size_t k = 0; k < s->n_chosen; k++) {
        GY_TRY(fit_column(s, &m->columns[k], s->chosen[k], rows, a, err));
    }
    s->self = m;
    return outputs(s, m, a, err);
}

static void encode(const struct coded *c, double v, double *out)
{
    size_t i = isnan(v) ? SIZE_MAX : gy_keys_find(&c->keys, v);
    uint32_t slot = isnan(v) ? c->missing : i == SIZE_MAX ? c->other : c->slots[i];
    for (uint32_t k = 0; k < c->width; k++) {
        out[k] = 0;
    }
    if (slot != NO_SLOT) {
        out[slot] = 1;
    }
}

static void apply(const struct gy_step *s, const double *in, size_t n_rows, double *out)
{
    const struct onehot *m = s->self;
    for (size_t r = 0; r < n_rows; r++, in += s->n_in) {
        for (size_t i = 0, k = 0; i < s->n_in; i++) {
            if (k < s->n_chosen && s->chosen[k] == i) {
                encode(&m->columns[k], in[i], out);
                out += m->columns[k++].width;
            } else {
                *out++ = in[i];
            }
        }
    }
}

static void write_slot(struct gy_jw *w, uint32_t slot)
{
    if (slot == NO_SLOT) {
        gy_jw_null(w);
    } else {
        gy_jw_u64(w, slot);
    }
}

static void write(struct gy_jw *w, const struct gy_step *s)
{
    const struct onehot *m = s->self;
    gy_jw_key(w, "onehot");
    gy_jw_arr(w);
    for (size_t k = 0; k < s->n_chosen; k++) {
        const struct coded *c = &m->columns[k];
        gy_jw_obj(w);
        gy_step_write_numbers(w, "values", c->keys.values, c->keys.n);
        gy_jw_key(w, "slots");
        gy_jw_arr(w);
        for (size_t i = 0; i < c->keys.n; i++) {
            write_slot(w, c->slots[i]);
        }
        gy_jw_arr_end(w);
        gy_jw_key(w, "other");
        write_slot(w, c->other);
        gy_jw_key(w, "missing");
        write_slot(w, c->missing);
        gy_jw_kv_i64(w, "width", c->width);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

static gy_status read_slot(yyjson_val *v, uint32_t width, uint32_t *ret, bool *named,
                           struct gy_err *err)
{
    *ret = NO_SLOT;
    if (yyjson_is_null(v)) {
        return GY_OK;
    }
    if (!yyjson_is_uint(v) || yyjson_get_uint(v) >= width) {
        return gy_err_set(err, GY_E_CORRUPT, "a slot of onehot is out of range");
    }
    *ret = (uint32_t)yyjson_get_uint(v);
    named[*ret] = true;
    return GY_OK;
}

/* Every new column must belong to something, or it would have no name. */
static gy_status check_named(const bool *named, uint32_t width, struct gy_err *err)
{
    for (uint32_t i = 0; i < width; i++) {
        if (!named[i]) {
            return gy_err_set(err, GY_E_CORRUPT, "a column of onehot stands for nothing");
        }
    }
    return GY_OK;
}

static gy_status read_column(struct coded *c, const struct gy_feature *in, yyjson_val *v,
                             struct gy_arena *a, struct gy_err *err)
{
    yyjson_val *slots = NULL;
    int64_t width = 0;
    GY_TRY(gy_keys_read(v, "values", in, a, &c->keys, err));
    GY_TRY(gy_json_need_arr(v, "slots", &slots, err));
    GY_TRY(gy_json_need_i64(v, "width", &width, err));
    if (yyjson_arr_size(slots) != c->keys.n || width < 0 || width > GY_FEATURES_MAX) {
        return gy_err_set(err, GY_E_CORRUPT, "a column of onehot has too many slots");
    }
    c->width = (uint32_t)width;
    c->slots = gy_arena_calloc(a, c->keys.n + 1, sizeof *c->slots);
    bool *named = gy_arena_calloc(a, c->width + 1, sizeof *named);
    if (!c->slots || !named) {
        return gy_err_set(err, GY_E_NOMEM, "a feature step");
    }
    for (size_t i = 0; i < c->keys.n; i++) {
        GY_TRY(read_slot(yyjson_arr_get(slots, i), c->width, &c->slots[i], named, err));
    }
    GY_TRY(read_slot(gy_json_get(v, "other"), c->width, &c->other, named, err));
    GY_TRY(read_slot(gy_json_get(v, "missing"), c->width, &c->missing, named, err));
    return check_named(named, c->width, err);
}

static gy_status read(struct gy_step *s, yyjson_val *v, struct gy_arena *a, struct gy_err *err)
{
    struct onehot *m = new_self(s, a);
    yyjson_val *array = NULL;
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "a feature step");
    }
    GY_TRY(gy_json_need_arr(v, "onehot", &array, err));
    if (yyjson_arr_size(array) != s->n_chosen) {
        return gy_err_set(err, GY_E_CORRUPT, "there must be values for every column of onehot");
    }
    for (size_t k = 0; k < s->n_chosen; k++) {
        GY_TRY(read_column(&m->columns[k], &s->in[s->chosen[k]], yyjson_arr_get(array, k), a, err));
    }
    s->self = m;
    return outputs(s, m, a, err);
}

static const struct gy_setting_spec g_settings[] = {
    {"top", GY_SETTING_WHOLE, 1, GY_FEATURES_MAX, NULL, NULL,
     "columns for the N most frequent values; the rest share NAME=*"},
    {"unseen", GY_SETTING_WORD, 0, 0, "zeros", g_unseen,
     "what training has not seen: no 1 at all, or the column NAME=*"},
    {"missing", GY_SETTING_WORD, 0, 0, "zeros", g_missing, "no 1 at all, or the column NAME=?"},
    {"drop", GY_SETTING_WORD, 0, 0, "none", g_drops,
     "leave out the first value's column, for least squares"},
    {0}};

const struct gy_step_ops gy_step_onehot = {.version = 1,
                                           .name = "onehot",
                                           .summary = "a column of 0 and 1 for each category",
                                           .settings = g_settings,
                                           .takes = gy_step_takes_categories,
                                           .can = gy_step_can_tell_apart,
                                           .fit = fit,
                                           .apply = apply,
                                           .write = write,
                                           .read = read};

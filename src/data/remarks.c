/* SPDX-License-Identifier: Apache-2.0 */
#include "data/remarks.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define ARENA_MAX (4 * GY_MIB)
#define LEAST_ROWS 20 /* fewer say nothing about leaks and keys */

const char *gy_remark_name(enum gy_remark_kind kind)
{
    static const char *const names[] = {
#define X(name) #name,
        GY_REMARKS(X)
#undef X
    };
    return kind < GY_REMARK_N ? names[kind] : "";
}

struct making {
    const struct gy_statistics *s;
    struct gy_remarks *r;
    bool no_memory;
};

static void add(struct making *m, enum gy_remark_kind kind, struct gy_str column, const char *fmt,
                ...) GY_PRINTF(4, 5);
static void add(struct making *m, enum gy_remark_kind kind, struct gy_str column, const char *fmt,
                ...)
{
    char text[768];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (m->r->total++ >= GY_REMARKS_MAX) {
        return;
    }
    struct gy_str kept = gy_arena_str(&m->r->arena, gy_str_c(text));
    m->no_memory = m->no_memory || !kept.p;
    m->r->items[m->r->n++] = (struct gy_remark){kind, column, kept};
}

static double share(int64_t part, int64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

/* Of columns i and k of the correlations. */
static void look_at_pair(struct making *m, enum gy_remark_kind kind, size_t i, size_t k)
{
    const struct gy_statistics *s = m->s;
    const struct gy_statistics_column *a = &s->columns[s->numbers[i]],
                                      *b = &s->columns[s->numbers[k]];
    double r = s->correlations[i * s->n_numbers + k];
    bool a_label = a->role == GY_ROLE_LABEL, b_label = b->role == GY_ROLE_LABEL;
    if (a->count < LEAST_ROWS || b->count < LEAST_ROWS || isnan(r)) {
        return;
    }
    if (kind == GY_REMARK_leak && a_label != b_label && fabs(r) > GY_REMARK_LEAK) {
        add(m, kind, a_label ? b->name : a->name,
            "as good as says the label '%" GY_STR_F
            "' (r = %.4f): is it known before the label is?",
            GY_STR_A(a_label ? a->name : b->name), r);
    }
    if (kind == GY_REMARK_correlated && !a_label && !b_label && fabs(r) > GY_REMARK_CORRELATED) {
        add(m, kind, a->name, "goes with '%" GY_STR_F "' (r = %.3f)", GY_STR_A(b->name), r);
    }
}

static void look_at_table(struct making *m, enum gy_remark_kind kind)
{
    const struct gy_statistics *s = m->s;
    int64_t repeated = s->rows - s->broken - s->distinct_rows;
    /* An estimate tells only of many. */
    double least = s->distinct_rows_exact ? 0 : 0.03;
    if (kind == GY_REMARK_broken && s->broken > 0) {
        add(m, kind, GY_STR_NULL, "%lld records can not be read (%.2f %%)", (long long)s->broken,
            100 * share(s->broken, s->rows));
    } else if (kind == GY_REMARK_duplicates && share(repeated, s->rows) > least) {
        add(m, kind, GY_STR_NULL, "%s%lld rows repeat an earlier one (%.2f %%)",
            s->distinct_rows_exact ? "" : "about ", (long long)repeated,
            100 * share(repeated, s->rows));
    } else if (kind == GY_REMARK_leak || kind == GY_REMARK_correlated) {
        for (size_t i = 0; i < s->n_numbers; i++) {
            for (size_t k = i + 1; k < s->n_numbers; k++) {
                look_at_pair(m, kind, i, k);
            }
        }
    }
}

static void look_at_label(struct making *m, const struct gy_statistics_column *c)
{
    const struct gy_statistics_value *rare = c->n_top ? &c->top[c->n_top - 1] : NULL;
    bool classes = c->top_is_all && c->n_top > 1 && c->n_top <= 50 &&
                   !(c->type == GY_TYPE_FLOAT && c->n_top > 10);
    if (classes && share(rare->count, c->count) < GY_REMARK_RARE_CLASS) {
        add(m, GY_REMARK_imbalance, c->name,
            "the class '%" GY_STR_F "' has %lld rows of %lld (%.2f %%)", GY_STR_A(rare->value),
            (long long)rare->count, (long long)c->count, 100 * share(rare->count, c->count));
    }
}

static void look_at_column(struct making *m, enum gy_remark_kind kind,
                           const struct gy_statistics_column *c)
{
    const struct gy_statistics *s = m->s;
    const bool is_text = c->type == GY_TYPE_STRING && !c->list;
    int64_t invalid = c->invalid - s->broken;
    bool all_differ = c->count == s->rows - s->broken && c->distinct == c->count &&
                      c->distinct_exact && c->count >= LEAST_ROWS;
    if (kind == GY_REMARK_invalid && invalid > 0) {
        add(m, kind, c->name, "%lld values are not of type %s (%.2f %%)", (long long)invalid,
            gy_type_name(c->type), 100 * share(invalid, s->rows));
    } else if (kind == GY_REMARK_empty && c->count == 0 && s->rows > 0) {
        add(m, kind, c->name, "no row has a value");
    } else if (kind == GY_REMARK_constant && c->distinct == 1 && c->count > 1 && c->n_top == 1) {
        add(m, kind, c->name, "every value is '%" GY_STR_F "'", GY_STR_A(c->top[0].value));
    } else if (kind == GY_REMARK_missing && c->count > 0 &&
               share(c->missing, s->rows) > GY_REMARK_MISSING) {
        add(m, kind, c->name, "%lld rows have no value (%.1f %%)", (long long)c->missing,
            100 * share(c->missing, s->rows));
    } else if (kind == GY_REMARK_imbalance && c->role == GY_ROLE_LABEL) {
        look_at_label(m, c);
    } else if (kind == GY_REMARK_key && all_differ && c->role == GY_ROLE_FEATURE &&
               (is_text || c->type == GY_TYPE_INT)) {
        add(m, kind, c->name, "every row has another value: it names rows, and teaches nothing");
    } else if (kind == GY_REMARK_many_values && is_text && !all_differ &&
               c->role == GY_ROLE_FEATURE && c->distinct >= GY_REMARK_MANY_VALUES_LEAST &&
               share(c->distinct, c->count) > GY_REMARK_MANY_VALUES) {
        add(m, kind, c->name, "%lld different texts in %lld rows", (long long)c->distinct,
            (long long)c->count);
    }
}

gy_status gy_remarks_make(const struct gy_statistics *s, struct gy_remarks *ret, struct gy_err *err)
{
    struct making m = {.s = s, .r = ret};
    ret->n = ret->total = 0;
    gy_arena_init(&ret->arena, ARENA_MAX);
    for (int kind = 0; kind < GY_REMARK_N; kind++) {
        look_at_table(&m, (enum gy_remark_kind)kind);
        for (size_t i = 0; i < s->n_columns; i++) {
            look_at_column(&m, (enum gy_remark_kind)kind, &s->columns[i]);
        }
    }
    if (m.no_memory) {
        gy_remarks_done(ret);
        return gy_err_set(err, GY_E_NOMEM, "out of memory for remarks");
    }
    return GY_OK;
}

void gy_remarks_done(struct gy_remarks *r)
{
    if (r) {
        gy_arena_done(&r->arena);
        r->n = 0;
    }
}

void gy_remarks_write(struct gy_jw *w, const struct gy_remarks *r)
{
    gy_jw_arr(w);
    for (size_t i = 0; i < r->n; i++) {
        gy_jw_obj(w);
        gy_jw_kv_strc(w, "kind", gy_remark_name(r->items[i].kind));
        gy_jw_kv_str(w, "column", r->items[i].column);
        gy_jw_kv_str(w, "text", r->items[i].text);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

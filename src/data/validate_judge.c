/* SPDX-License-Identifier: Apache-2.0 */
/* What a table that was counted is worth: the thresholds of the schema, the comparators, and words
 * for people. */
#include <inttypes.h>
#include <math.h>

#include "data/validate_internal.h"

/* Findings as they come, in the arena of the validation. */
struct judging {
    struct gy_table_tally *t;
    struct gy_anomaly *anomalies;
    size_t n, cap;
    struct gy_comparison *comparisons;
    size_t n_comparisons;
    struct gy_buf text;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for a validation");
}

/* Add a finding whose words are in j->text; an ignored one is dropped. */
static gy_status add(struct judging *j, const struct gy_column *c, struct gy_str column,
                     enum gy_anomaly_kind kind, const struct gy_note *note, int64_t count,
                     struct gy_err *err)
{
    struct gy_arena *arena = &j->t->v->arena;
    enum gy_severity severity = gy_schema_severity(j->t->o->schema, c, kind);
    if (severity == GY_SEVERITY_IGNORE) {
        gy_buf_reset(&j->text);
        return GY_OK;
    }
    GY_TRY(gy_buf_check(&j->text, "a finding", err));
    if (j->n == j->cap) {
        size_t cap = j->cap ? 2 * j->cap : 32;
        struct gy_anomaly *grown = gy_arena_calloc(arena, cap, sizeof *grown);
        if (!grown) {
            return no_memory(err);
        }
        if (j->n > 0) {
            memcpy(grown, j->anomalies, j->n * sizeof *grown);
        }
        j->anomalies = grown;
        j->cap = cap;
    }
    struct gy_anomaly *a = &j->anomalies[j->n];
    *a = (struct gy_anomaly){.column = column,
                             .kind = kind,
                             .severity = severity,
                             .count = count,
                             .text = gy_arena_str(arena, gy_buf_str(&j->text))};
    gy_buf_reset(&j->text);
    if (!a->text.p) {
        return no_memory(err);
    }
    if (note && note->count > 0) {
        a->n_examples =
            note->count < GY_VALIDATE_EXAMPLES ? (size_t)note->count : GY_VALIDATE_EXAMPLES;
        struct gy_example *copy = gy_arena_calloc(arena, a->n_examples, sizeof *copy);
        if (!copy) {
            return no_memory(err);
        }
        memcpy(copy, note->examples, a->n_examples * sizeof *copy);
        a->examples = copy;
    }
    j->n++;
    return GY_OK;
}

static const char *number(double x, char out[32])
{
    (void)gy_fmt_f64_trim(x, out);
    return out;
}

static const char *percent(double share, char out[32])
{
    (void)snprintf(out, 32, "%.4g %%", 100 * share);
    return out;
}

/* ---- presence ---- */

static gy_status judge_presence(struct judging *j, struct gy_tally *t, struct gy_err *err)
{
    const struct gy_column *c = t->column;
    char a[32], b[32];
    const int64_t rows = j->t->v->rows - j->t->v->broken;
    const double wanted = c->required ? 1 : c->min_fraction;
    const double share = rows > 0 ? (double)t->present / (double)rows : 1;
    bool asked = (wanted > 0 || c->min_count > 0) && !gy_column_optional(c) &&
                 gy_column_in(c, j->t->o->environment);
    bool there = t->field != SIZE_MAX && (!j->t->json || t->present > 0);
    if (!asked) {
        return GY_OK;
    }
    if (!there) {
        gy_buf_addc(&j->text, gy_anomaly_text(GY_ANOMALY_SCHEMA_MISSING_COLUMN));
        return add(j, c, c->name, GY_ANOMALY_SCHEMA_MISSING_COLUMN, NULL, -1, err);
    }
    if (t->present == 0 && rows > 0) {
        gy_buf_addc(&j->text, gy_anomaly_text(GY_ANOMALY_FEATURE_TYPE_NOT_PRESENT));
        return add(j, c, c->name, GY_ANOMALY_FEATURE_TYPE_NOT_PRESENT, NULL, rows, err);
    }
    if (share < wanted) {
        gy_buf_addf(&j->text, "%s of the rows have a value, %s are wanted: %" PRId64 " have none",
                    percent(share, a), percent(wanted, b), rows - t->present);
        GY_TRY(add(j, c, c->name, GY_ANOMALY_FEATURE_TYPE_LOW_FRACTION_PRESENT, NULL,
                   rows - t->present, err));
    }
    if (t->present < c->min_count) {
        gy_buf_addf(&j->text, "%" PRId64 " rows have a value, %" PRId64 " are wanted", t->present,
                    c->min_count);
        return add(j, c, c->name, GY_ANOMALY_FEATURE_TYPE_LOW_NUMBER_PRESENT, NULL, t->present,
                   err);
    }
    return GY_OK;
}

/* ---- values ---- */

static gy_status judge_domain(struct judging *j, struct gy_tally *t, struct gy_err *err)
{
    const struct gy_note *note = &t->notes[GY_ANOMALY_ENUM_TYPE_UNEXPECTED_STRING_VALUES];
    double mass = t->values > 0 ? 1 - (double)note->count / (double)t->values : 1;
    char a[32];
    if (note->count == 0 || mass >= t->column->min_domain_mass) {
        return GY_OK;
    }
    gy_buf_addf(&j->text,
                "%" PRId64 " of %" PRId64 " values (%s) are none of the allowed ones:", note->count,
                t->values, percent(1 - mass, a));
    for (size_t i = 0; i < t->n_unexpected; i++) {
        gy_buf_addf(&j->text, "%s '%" GY_STR_F "' (%" PRId64 ")", i ? "," : "",
                    GY_STR_A(t->unexpected_text[i]), t->unexpected_counts[i]);
    }
    gy_buf_addc(&j->text, t->n_unexpected == GY_VALIDATE_UNEXPECTED ? " and maybe more" : "");
    return add(j, t->column, t->column->name, GY_ANOMALY_ENUM_TYPE_UNEXPECTED_STRING_VALUES, note,
               note->count, err);
}

/* What the note's kind means for these values. */
static void say_bound(struct judging *j, const struct gy_tally *t, enum gy_anomaly_kind kind)
{
    char a[32], b[32];
    const struct gy_column *c = t->column;
    bool low = kind == GY_ANOMALY_INT_TYPE_SMALL_INT || kind == GY_ANOMALY_FLOAT_TYPE_SMALL_FLOAT;
    bool high = kind == GY_ANOMALY_INT_TYPE_BIG_INT || kind == GY_ANOMALY_FLOAT_TYPE_BIG_FLOAT;
    if (low || high) {
        gy_buf_addf(&j->text, " %s; the %s is %s", number(low ? c->min : c->max, a),
                    low ? "smallest" : "largest", number(low ? t->low : t->high, b));
    }
}

static gy_status judge_notes(struct judging *j, struct gy_tally *t, struct gy_err *err)
{
    for (int k = 0; k < GY_ANOMALY_N; k++) {
        enum gy_anomaly_kind kind = (enum gy_anomaly_kind)k;
        const struct gy_note *note = &t->notes[k];
        if (note->count == 0 || kind == GY_ANOMALY_ENUM_TYPE_UNEXPECTED_STRING_VALUES) {
            continue;
        }
        gy_buf_addf(&j->text, "%" PRId64 " %s", note->count, gy_anomaly_text(kind));
        say_bound(j, t, kind);
        GY_TRY(add(j, t->column, t->column->name, kind, note, note->count, err));
    }
    return judge_domain(j, t, err);
}

static gy_status judge_distinct(struct judging *j, struct gy_tally *t, struct gy_err *err)
{
    const struct gy_column *c = t->column;
    int64_t n = t->distinct ? (int64_t)t->distinct->n : 0;
    if (!t->distinct || t->field == SIZE_MAX) {
        return GY_OK;
    }
    if (n < c->min_distinct) {
        gy_buf_addf(&j->text, "%" PRId64 " different values, %" PRId64 " are wanted", n,
                    c->min_distinct);
        GY_TRY(add(j, c, c->name, GY_ANOMALY_FEATURE_TYPE_LOW_UNIQUE, NULL, n, err));
    }
    if (c->max_distinct >= 0 && n > c->max_distinct) {
        gy_buf_addf(&j->text, "%" PRId64 " different values, at most %" PRId64 " are wanted", n,
                    c->max_distinct);
        return add(j, c, c->name, GY_ANOMALY_FEATURE_TYPE_HIGH_UNIQUE, NULL, n, err);
    }
    return GY_OK;
}

/* ---- beside other tables ---- */

static enum gy_anomaly_kind kind_of_measure(enum gy_measure m)
{
    switch (m) {
    case GY_MEASURE_L_INFTY:
        return GY_ANOMALY_COMPARATOR_L_INFTY_HIGH;
    case GY_MEASURE_JENSEN_SHANNON:
        return GY_ANOMALY_COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH;
    case GY_MEASURE_ABS_DIFFERENCE:
        break;
    }
    return GY_ANOMALY_COMPARATOR_NORMALIZED_ABSOLUTE_DIFFERENCE_HIGH;
}

static gy_status judge_measure(struct judging *j, const struct gy_column *c, bool skew,
                               enum gy_measure m, const struct gy_statistics_column *here,
                               const struct gy_statistics_column *there, struct gy_err *err)
{
    char a[32], b[32];
    bool categorical = c->categorical || c->n_values > 0 || c->type == GY_TYPE_BOOL;
    struct gy_comparison *x = &j->comparisons[j->n_comparisons++];
    *x = (struct gy_comparison){.column = c->name,
                                .skew = skew,
                                .measure = m,
                                .value = NAN,
                                .limit = gy_comparator_limit(skew ? &c->skew : &c->drift, m)};
    if (here && there) {
        GY_TRY(gy_compare(m, here, there, categorical, &x->value, err));
    }
    if (isnan(x->value)) {
        gy_buf_addf(&j->text, "%s: the %s data has no values of it", skew ? "skew" : "drift",
                    !there || there->count == 0 ? (skew ? "serving" : "previous") : "table's own");
        return add(j, c, c->name, GY_ANOMALY_COMPARATOR_CONTROL_DATA_MISSING, NULL, -1, err);
    }
    if (!(x->value > x->limit)) {
        return GY_OK;
    }
    gy_buf_addf(&j->text, "%s: %s is %s, above %s (%s)", skew ? "skew" : "drift",
                gy_measure_name(m), number(x->value, a), number(x->limit, b),
                gy_measure_formula(m));
    return add(j, c, c->name, kind_of_measure(m), NULL, -1, err);
}

static gy_status judge_beside(struct judging *j, const struct gy_column *c, bool skew,
                              struct gy_err *err)
{
    const struct gy_validate_options *o = j->t->o;
    const struct gy_statistics *control = skew ? o->serving : o->previous;
    if (!control || !o->current) {
        return GY_OK;
    }
    const struct gy_statistics_column *here = gy_statistics_find(o->current, c->name),
                                      *there = gy_statistics_find(control, c->name);
    for (int m = 0; m <= GY_MEASURE_ABS_DIFFERENCE; m++) {
        if (!isnan(gy_comparator_limit(skew ? &c->skew : &c->drift, (enum gy_measure)m))) {
            GY_TRY(judge_measure(j, c, skew, (enum gy_measure)m, here, there, err));
        }
    }
    return GY_OK;
}

/* ---- the table ---- */

static gy_status judge_rows(struct judging *j, struct gy_err *err)
{
    const struct gy_schema *s = j->t->o->schema;
    const struct gy_statistics *before = j->t->o->previous;
    const int64_t rows = j->t->v->rows;
    char a[32], b[32];
    if (rows < s->min_rows) {
        gy_buf_addf(&j->text, "%" PRId64 " rows, %" PRId64 " are wanted", rows, s->min_rows);
        GY_TRY(add(j, NULL, GY_STR_NULL, GY_ANOMALY_DATASET_LOW_NUM_EXAMPLES, NULL, rows, err));
    }
    if (s->max_rows >= 0 && rows > s->max_rows) {
        gy_buf_addf(&j->text, "%" PRId64 " rows, at most %" PRId64 " are wanted", rows,
                    s->max_rows);
        GY_TRY(add(j, NULL, GY_STR_NULL, GY_ANOMALY_DATASET_HIGH_NUM_EXAMPLES, NULL, rows, err));
    }
    if (!before || before->rows <= 0) {
        return GY_OK;
    }
    double share = (double)rows / (double)before->rows;
    bool low = share<s->min_rows_drift, high = share> s->max_rows_drift; /* NaN: neither */
    if (low || high) {
        gy_buf_addf(&j->text, "%s times the rows of before, %s %s is wanted", number(share, a),
                    low ? "at least" : "at most",
                    number(low ? s->min_rows_drift : s->max_rows_drift, b));
        return add(j, NULL, GY_STR_NULL,
                   low ? GY_ANOMALY_COMPARATOR_LOW_NUM_EXAMPLES
                       : GY_ANOMALY_COMPARATOR_HIGH_NUM_EXAMPLES,
                   NULL, rows, err);
    }
    return GY_OK;
}

static gy_status judge_table(struct judging *j, struct gy_err *err)
{
    const struct gy_table_tally *t = j->t;
    for (size_t i = 0; i < t->n_unknown; i++) {
        gy_buf_addc(&j->text, gy_anomaly_text(GY_ANOMALY_SCHEMA_NEW_COLUMN));
        if (t->unknown[i].count >= 0) {
            gy_buf_addf(&j->text, "; %" PRId64 " records have it", t->unknown[i].count);
        }
        GY_TRY(add(j, NULL, t->unknown[i].name, GY_ANOMALY_SCHEMA_NEW_COLUMN, NULL,
                   t->unknown[i].count, err));
    }
    if (t->broken.count > 0) {
        gy_buf_addf(&j->text, "%" PRId64 " of %" PRId64 " %s", t->broken.count, t->v->rows,
                    gy_anomaly_text(GY_ANOMALY_RECORD_BROKEN));
        GY_TRY(
            add(j, NULL, GY_STR_NULL, GY_ANOMALY_RECORD_BROKEN, &t->broken, t->broken.count, err));
    }
    return judge_rows(j, err);
}

static gy_status judge(struct judging *j, struct gy_err *err)
{
    const size_t most = j->t->n_columns * 2 * (GY_MEASURE_ABS_DIFFERENCE + 1);
    j->comparisons = gy_arena_calloc(&j->t->v->arena, most + 1, sizeof *j->comparisons);
    if (!j->comparisons) {
        return no_memory(err);
    }
    for (size_t i = 0; i < j->t->n_columns; i++) {
        struct gy_tally *t = &j->t->columns[i];
        GY_TRY(judge_presence(j, t, err));
        GY_TRY(judge_notes(j, t, err));
        GY_TRY(judge_distinct(j, t, err));
        GY_TRY(judge_beside(j, t->column, true, err));
        GY_TRY(judge_beside(j, t->column, false, err));
    }
    return judge_table(j, err);
}

/* Names live as long as the validation, not as the schema. */
static gy_status keep_names(struct judging *j, struct gy_err *err)
{
    struct gy_arena *arena = &j->t->v->arena;
    for (size_t i = 0; i < j->n; i++) {
        struct gy_str *name = &j->anomalies[i].column;
        struct gy_str copy = name->p ? gy_arena_str(arena, *name) : GY_STR_NULL;
        if (name->p && !copy.p) {
            return no_memory(err);
        }
        *name = copy;
    }
    for (size_t i = 0; i < j->n_comparisons; i++) {
        j->comparisons[i].column = gy_arena_str(arena, j->comparisons[i].column);
        if (!j->comparisons[i].column.p) {
            return no_memory(err);
        }
    }
    return GY_OK;
}

gy_status gy_validate_judge(struct gy_table_tally *t, struct gy_err *err)
{
    struct judging j = {.t = t};
    gy_buf_init(&j.text, 64 * GY_KIB);
    gy_status status = judge(&j, err);
    if (status == GY_OK) {
        status = keep_names(&j, err);
    }
    gy_buf_done(&j.text);
    GY_TRY(status);
    struct gy_validation *v = t->v;
    v->anomalies = j.anomalies;
    v->n_anomalies = j.n;
    v->comparisons = j.comparisons;
    v->n_comparisons = j.n_comparisons;
    for (size_t i = 0; i < j.n; i++) {
        v->n_errors += j.anomalies[i].severity == GY_SEVERITY_ERROR;
        v->n_warnings += j.anomalies[i].severity == GY_SEVERITY_WARNING;
    }
    return GY_OK;
}

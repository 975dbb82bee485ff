/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/gate.h"

#include <math.h>

#include "learn/evaluate.h"

#define CHECKS_A_BOUND 6
#define CHECKS_OF_GROUNDS 5 /* servable, held_out, clean, pinned, usecase */

struct judge {
    const struct gy_gate_side *candidate, *champion;
    struct gy_arena *arena;
    struct gy_gate_result *r;
    struct gy_err *err;
};

static const struct gy_gate_group *find_group(const struct gy_gate_side *side, struct gy_str slice)
{
    for (size_t i = 0; side && i < side->n_groups; i++) {
        const struct gy_gate_group *g = &side->groups[i];
        if ((g->slice.p == NULL) == (slice.p == NULL) && gy_str_eq(g->slice, slice)) {
            return g;
        }
    }
    return NULL;
}

static const struct gy_gate_value *find_value(const struct gy_gate_group *g, struct gy_str name)
{
    for (size_t i = 0; g && i < g->n_values; i++) {
        if (gy_str_eq(g->values[i].name, name)) {
            return &g->values[i];
        }
    }
    return NULL;
}

static gy_status out_of_memory(struct judge *j)
{
    return gy_err_set(j->err, GY_E_NOMEM, "out of memory judging a model");
}

/* What a check is about when not about the value itself. */
static const char *end_of_interval(const struct gy_gate_check *c)
{
    return strcmp(c->kind, "low_min") == 0    ? "the interval's lower end "
           : strcmp(c->kind, "high_max") == 0 ? "the interval's upper end "
                                              : "";
}

/* Numbers in reasons are for people: 4 digits say enough, the exact values stand beside them. */
static gy_status explain(struct judge *j, struct gy_gate_check *c)
{
    bool change = strstr(c->kind, "champion") != NULL;
    bool least = strstr(c->kind, "min") != NULL;
    const char *end = end_of_interval(c);
    double found = change                             ? c->value - c->champion
                   : strcmp(c->kind, "low_min") == 0  ? c->low
                   : strcmp(c->kind, "high_max") == 0 ? c->high
                                                      : c->value;
    bool held = least ? found >= c->limit : found <= c->limit;
    c->result = held ? GY_CHECK_PASSED : GY_CHECK_FAILED;
    if (change) {
        c->reason = gy_arena_printf(
            j->arena, "%.4f is %+.4f against the champion's %.4f, %s %+.4f %s", c->value, found,
            c->champion, least ? "at least" : "at most", c->limit, held ? "allowed" : "was asked");
    } else {
        c->reason = gy_arena_printf(
            j->arena, "%s%.4f is %s %.4f", end, found,
            least ? (held ? "at least" : "below") : (held ? "at most" : "above"), c->limit);
    }
    return c->reason ? GY_OK : out_of_memory(j);
}

static void settle(struct gy_gate_check *c, enum gy_check_result result, const char *reason)
{
    c->result = result;
    c->reason = reason;
}

static gy_status check_one(struct judge *j, const struct gy_gate_bound *b,
                           const struct gy_gate_group *g, const char *kind, double limit)
{
    bool slice = g->slice.p != NULL;
    struct gy_gate_check *c = &j->r->checks[j->r->n_checks++];
    *c = (struct gy_gate_check){.metric = b->metric,
                                .slice = g->slice,
                                .kind = kind,
                                .limit = limit,
                                .value = NAN,
                                .low = NAN,
                                .high = NAN,
                                .champion = NAN,
                                .rows = g->rows};
    const struct gy_gate_value *v = find_value(g, b->metric);
    const struct gy_gate_value *against = find_value(find_group(j->champion, g->slice), b->metric);
    c->champion = against ? against->value : NAN;
    if (slice && g->rows == 0) {
        settle(c, GY_CHECK_SKIPPED, "no row is in this slice");
        return GY_OK;
    }
    if (!v) {
        settle(c, GY_CHECK_FAILED, "this metric was not computed");
        return GY_OK;
    }
    c->value = v->value;
    c->low = v->low;
    c->high = v->high;
    if (isnan(v->value)) {
        settle(c, slice ? GY_CHECK_SKIPPED : GY_CHECK_FAILED,
               "this metric is not defined on these rows");
        return GY_OK;
    }
    if (end_of_interval(c)[0] && (isnan(v->low) || isnan(v->high))) {
        settle(c, slice ? GY_CHECK_SKIPPED : GY_CHECK_FAILED, "there is no interval on these rows");
        return GY_OK;
    }
    if (strstr(kind, "champion") && isnan(c->champion)) {
        settle(c, GY_CHECK_SKIPPED,
               j->champion ? "the champion has no such number on these rows"
                           : "there is no champion yet");
        return GY_OK;
    }
    return explain(j, c);
}

static gy_status check_group(struct judge *j, const struct gy_gate_bound *b,
                             const struct gy_gate_group *g)
{
    const struct {
        const char *kind;
        double limit;
    } rows[CHECKS_A_BOUND] = {{"min", b->min},
                              {"max", b->max},
                              {"low_min", b->low_min},
                              {"high_max", b->high_max},
                              {"champion_change_min", b->champion_change_min},
                              {"champion_change_max", b->champion_change_max}};
    for (size_t i = 0; i < CHECKS_A_BOUND; i++) {
        if (!isnan(rows[i].limit)) {
            GY_TRY(check_one(j, b, g, rows[i].kind, rows[i].limit));
        }
    }
    return GY_OK;
}

/* A candidate that can not be served must not be promoted, however good; and numbers from training
 * rows prove nothing. */
static gy_status check_grounds(struct judge *j, struct gy_str servable, struct gy_str reason)
{
    const struct gy_gate_group *all = find_group(j->candidate, GY_STR_NULL);
    struct gy_gate_check *c = &j->r->checks[j->r->n_checks++];
    *c = (struct gy_gate_check){.metric = GY_STR("servable"),
                                .kind = "servable",
                                .limit = NAN,
                                .value = NAN,
                                .low = NAN,
                                .high = NAN,
                                .champion = NAN,
                                .rows = all->rows,
                                .reason = "it loads and answers"};
    if (!gy_str_eqc(servable, "yes")) {
        const char *why =
            gy_arena_printf(j->arena, "not proven servable (%" GY_STR_F ")%s%" GY_STR_F,
                            GY_STR_A(servable.n ? servable : GY_STR("unknown")),
                            reason.n ? ": " : "", GY_STR_A(reason));
        if (!why) {
            return out_of_memory(j);
        }
        settle(c, GY_CHECK_FAILED, why);
    }
    c = &j->r->checks[j->r->n_checks++];
    *c = (struct gy_gate_check){.metric = GY_STR("held_out"),
                                .kind = "held_out",
                                .limit = NAN,
                                .value = NAN,
                                .low = NAN,
                                .high = NAN,
                                .champion = NAN,
                                .rows = all->rows,
                                .reason = "judged on rows that it was not trained on"};
    if (j->candidate->trained_on > 0 || all->rows == 0) {
        const char *why = all->rows == 0
                              ? "there is no row to judge it on"
                              : gy_arena_printf(j->arena, "it was trained on %lld of these rows",
                                                (long long)j->candidate->trained_on);
        if (!why) {
            return out_of_memory(j);
        }
        settle(c, GY_CHECK_FAILED, why);
    }
    return GY_OK;
}

static struct gy_gate_check *origin_check(struct judge *j, const char *kind)
{
    struct gy_gate_check *c = &j->r->checks[j->r->n_checks++];
    *c = (struct gy_gate_check){.metric = gy_str_c(kind),
                                .kind = kind,
                                .limit = NAN,
                                .value = NAN,
                                .low = NAN,
                                .high = NAN,
                                .champion = NAN,
                                .rows = find_group(j->candidate, GY_STR_NULL)->rows};
    return c;
}

static gy_status settle_origin(struct judge *j, struct gy_gate_check *c,
                               enum gy_check_result result, const char *reason)
{
    settle(c, result, reason);
    return reason ? GY_OK : out_of_memory(j);
}

static gy_status check_clean(struct judge *j, const struct gy_gate_origin *o, bool versioned)
{
    struct gy_gate_check *c = origin_check(j, "clean");
    struct gy_str rev = gy_str_sub(o->code_revision, 0, 12);
    if (o->dirty || gy_str_ends(o->code_revision, GY_STR("+dirty"))) {
        return settle_origin(j, c, GY_CHECK_FAILED,
                             gy_arena_printf(j->arena,
                                             "the run's code differs from commit %" GY_STR_F
                                             ": it is dirty",
                                             GY_STR_A(rev)));
    }
    return versioned ? settle_origin(j, c, GY_CHECK_PASSED,
                                     gy_arena_printf(j->arena, "the code is commit %" GY_STR_F,
                                                     GY_STR_A(rev)))
                     : settle_origin(j, c, GY_CHECK_SKIPPED,
                                     "no code revision is known; `unpinned` asks for one");
}

static gy_status check_pinned(struct judge *j, const struct gy_gate_origin *o, bool versioned)
{
    struct gy_gate_check *c = origin_check(j, "pinned");
    bool data = o->data_sha256.n == 64;
    if (data && versioned) {
        return settle_origin(j, c, GY_CHECK_PASSED,
                             gy_arena_printf(j->arena, "data %.12s, code %" GY_STR_F,
                                             o->data_sha256.p,
                                             GY_STR_A(gy_str_sub(o->code_revision, 0, 12))));
    }
    return settle_origin(j, c, GY_CHECK_FAILED,
                         data ? "the run names no code revision: it is unpinned"
                         : versioned
                             ? "the run names no bytes of data (sha256): it is unpinned"
                             : "the run names neither data (sha256) nor a code revision: it "
                               "is unpinned");
}

static gy_status check_usecase(struct judge *j, const struct gy_gate_origin *o)
{
    struct gy_gate_check *c = origin_check(j, "usecase");
    if (o->usecase.n == 0) {
        return settle_origin(j, c, GY_CHECK_FAILED,
                             "the model is attached to no use case (gyre usecase attach)");
    }
    bool approved = gy_str_eqc(o->usecase_state, "approved");
    return settle_origin(j, c, approved ? GY_CHECK_PASSED : GY_CHECK_FAILED,
                         gy_arena_printf(j->arena, "use case '%" GY_STR_F "' is %" GY_STR_F,
                                         GY_STR_A(o->usecase), GY_STR_A(o->usecase_state)));
}

/* What numbers can not tell: whether the version can be made again, and what it is for. */
static gy_status check_origin(struct judge *j, const struct gy_gate_spec *spec)
{
    const struct gy_gate_origin *o = &j->candidate->origin;
    bool versioned = o->code_revision.n > 0 && !gy_str_eqc(o->code_revision, "unversioned");
    if (spec->refuse_dirty) {
        GY_TRY(check_clean(j, o, versioned));
    }
    if (spec->refuse_unpinned) {
        GY_TRY(check_pinned(j, o, versioned));
    }
    return spec->needs_usecase ? check_usecase(j, o) : GY_OK;
}

gy_status gy_gate_check(const struct gy_gate_spec *spec, const struct gy_gate_side *candidate,
                        const struct gy_gate_side *champion, struct gy_str servable,
                        struct gy_str servable_reason, struct gy_arena *a,
                        struct gy_gate_result *ret, struct gy_err *err)
{
    struct judge j = {candidate, champion, a, ret, err};
    const struct gy_gate_group *all = find_group(candidate, GY_STR_NULL);
    if (spec->n_bounds == 0) {
        (void)gy_err_set(err, GY_E_INVALID,
                         "the gate has no metrics: there is nothing to judge by");
        (void)gy_err_hint(err, "gyre.yaml: gate: {metrics: [{name: recall, min: 0.75}]}");
        return GY_E_INVALID;
    }
    if (!all) {
        return gy_err_set(err, GY_E_INVALID, "the candidate was not evaluated on all rows");
    }
    *ret = (struct gy_gate_result){.blessed = true};
    ret->checks = gy_arena_calloc(
        a, CHECKS_OF_GROUNDS + spec->n_bounds * CHECKS_A_BOUND * (1 + spec->n_slices),
        sizeof *ret->checks);
    if (!ret->checks) {
        return out_of_memory(&j);
    }
    GY_TRY(check_grounds(&j, servable, servable_reason));
    GY_TRY(check_origin(&j, spec));
    for (size_t i = 0; i < spec->n_bounds; i++) {
        const struct gy_gate_bound *b = &spec->bounds[i];
        if (b->where != GY_GATE_SLICES) {
            GY_TRY(check_group(&j, b, all));
        }
        for (size_t k = 0; b->where != GY_GATE_OVERALL && k < spec->n_slices; k++) {
            const struct gy_gate_group *g = find_group(candidate, spec->slices[k]);
            const struct gy_gate_group missing = {.slice = spec->slices[k]};
            GY_TRY(check_group(&j, b, g ? g : &missing));
        }
    }
    for (size_t i = 0; i < ret->n_checks; i++) {
        ret->blessed &= ret->checks[i].result != GY_CHECK_FAILED;
    }
    return GY_OK;
}

static void number_or_null(struct gy_jw *w, const char *key, double v)
{
    if (isnan(v)) {
        gy_jw_kv_null(w, key);
    } else {
        gy_jw_kv_f64(w, key, v);
    }
}

static void write_check(struct gy_jw *w, const struct gy_gate_check *c)
{
    char number[32];
    gy_jw_obj(w);
    gy_jw_kv_str(w, "metric", c->metric);
    gy_jw_kv_str(w, "slice", c->slice);
    gy_jw_kv_strc(w, "kind", c->kind);
    gy_jw_key(w, "bound");
    if (isnan(c->limit)) {
        gy_jw_null(w);
    } else {
        (void)gy_fmt_f64_trim(c->limit, number);
        gy_jw_strf(w, "%s%s %s",
                   strstr(c->kind, "champion")        ? "champion "
                   : strcmp(c->kind, "low_min") == 0  ? "low "
                   : strcmp(c->kind, "high_max") == 0 ? "high "
                                                      : "",
                   strstr(c->kind, "min") ? ">=" : "<=", number);
    }
    number_or_null(w, "limit", c->limit);
    number_or_null(w, "value", c->value);
    number_or_null(w, "low", c->low);
    number_or_null(w, "high", c->high);
    number_or_null(w, "champion", c->champion);
    gy_jw_kv_i64(w, "rows", c->rows);
    if (c->result == GY_CHECK_SKIPPED) {
        gy_jw_kv_null(w, "passed");
    } else {
        gy_jw_kv_bool(w, "passed", c->result == GY_CHECK_PASSED);
    }
    gy_jw_kv_strc(w, "reason", c->reason);
    gy_jw_obj_end(w);
}

void gy_gate_write(struct gy_jw *w, const struct gy_gate_result *r)
{
    gy_jw_arr(w);
    for (size_t i = 0; i < r->n_checks; i++) {
        write_check(w, &r->checks[i]);
    }
    gy_jw_arr_end(w);
}

const char *gy_gate_verdict(const struct gy_gate_result *r)
{
    return r->blessed ? "BLESSED" : "NOT_BLESSED";
}

gy_status gy_gate_side_of(const struct gy_eval *e, struct gy_arena *a, struct gy_gate_side *ret,
                          struct gy_err *err)
{
    struct gy_gate_group *groups = gy_arena_calloc(a, e->n_groups + 1, sizeof *groups);
    if (!groups) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory judging a model");
    }
    for (size_t i = 0; i < e->n_groups; i++) {
        const struct gy_eval_group *from = &e->groups[i];
        struct gy_gate_value *values = gy_arena_calloc(a, from->metrics.n + 1, sizeof *values);
        if (!values) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory judging a model");
        }
        for (size_t k = 0; !from->empty && k < from->metrics.n; k++) {
            const struct gy_metric *m = &from->metrics.items[k];
            values[k] = (struct gy_gate_value){gy_str_c(m->name), m->value, m->low, m->high};
        }
        groups[i] = (struct gy_gate_group){.slice = from->slice,
                                           .rows = from->empty ? 0 : (int64_t)from->metrics.n_rows,
                                           .values = values,
                                           .n_values = from->empty ? 0 : from->metrics.n};
    }
    *ret =
        (struct gy_gate_side){gy_str_c(e->digest), (int64_t)e->n_trained_on, groups, e->n_groups};
    return GY_OK;
}

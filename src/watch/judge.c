/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/judge.h"

#include <math.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "watch/diagnose.h"

#define PROFILE_ARENA (1024 * GY_MIB)

/* A training profile, for as many windows as come: reading one costs more than judging by it. */
struct gy_judge_profile {
    struct gy_judge_profile *next;
    char digest[128];
    struct gy_arena arena;
    struct gy_profile profile;
    int users; /* open windows */
};

/* A window and what it is held against. */
struct judged {
    struct gy_arena arena; /* of the version, and of a profile that is not shared */
    struct gy_str version;
    struct gy_judge_profile *shared; /* NULL: none */
    struct gy_profile profile;
    bool has_profile, from_window;
    struct gy_drift_window *window;
    /* Without a profile: the rows themselves, by column, to make one of. */
    size_t n_inputs, max_rows, rows;
    double *columns;
};

static void judge_close(void *self, void *window)
{
    (void)self;
    struct judged *j = window;
    if (j->shared) {
        j->shared->users--;
    }
    gy_drift_window_free(j->window);
    gy_arena_done(&j->arena);
    gy_free(j->columns);
    gy_free(j);
}

/* ---- training profiles ---- */

static void profile_free(struct gy_judge_profile *p)
{
    if (p) {
        gy_arena_done(&p->arena);
        gy_free(p);
    }
}
GY_DEFINE_AUTO(struct gy_judge_profile *, profile_free);

void gy_judge_done(struct gy_judge *j)
{
    while (j->profiles) {
        struct gy_judge_profile *next = j->profiles->next;
        profile_free(j->profiles);
        j->profiles = next;
    }
}

/* Room for one more: those that were used longest ago go, if no window needs them. */
static void make_room(struct gy_judge *judge)
{
    for (;;) {
        size_t n = 0;
        struct gy_judge_profile **oldest = NULL;
        for (struct gy_judge_profile **at = &judge->profiles; *at; at = &(*at)->next) {
            n++;
            oldest = (*at)->users == 0 ? at : oldest;
        }
        if (n < GY_JUDGE_MAX_PROFILES || !oldest) {
            return;
        }
        struct gy_judge_profile *gone = *oldest;
        *oldest = gone->next;
        profile_free(gone);
    }
}

/* The profile of the package with this digest, from memory or read; newest use first. NOTFOUND and
 * what else reading says. */
static gy_status get_profile(struct gy_judge *judge, struct gy_str digest,
                             struct gy_judge_profile **ret, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    for (struct gy_judge_profile **at = &judge->profiles; *at; at = &(*at)->next) {
        if (gy_str_eqc(digest, (*at)->digest)) {
            *ret = *at;
            *at = (*ret)->next;
            (*ret)->next = judge->profiles;
            judge->profiles = *ret;
            return GY_OK;
        }
    }
    GY_AUTO(profile_free) struct gy_judge_profile *p = gy_calloc(1, sizeof *p);
    if (!p) {
        return gy_err_set(err, GY_E_NOMEM, "the training profile of a model");
    }
    gy_arena_init(&p->arena, PROFILE_ARENA);
    memcpy(p->digest, digest.p, digest.n); /* the caller has seen that it fits */
    GY_TRY(gy_path_join(dir, sizeof dir, judge->cache_dir, p->digest, err));
    GY_TRY(gy_profile_read(dir, &p->arena, &p->profile, err));
    make_room(judge);
    p->next = judge->profiles;
    judge->profiles = p;
    *ret = GY_TAKE(p);
    return GY_OK;
}

/* The profile of the package. None, or one that can not be read: the window has none. */
static gy_status training_profile(struct gy_judge *judge, const struct gy_window_scope *s,
                                  struct judged *j, struct gy_err *err)
{
    const struct gy_shape_variant *v = gy_shape_variant(s->shape, s->version);
    struct gy_judge_profile *found = NULL;
    struct gy_err why = GY_ERR_INIT;
    if (!v || !v->digest.p || v->digest.n >= sizeof found->digest) {
        return GY_OK;
    }
    gy_status st = get_profile(judge, v->digest, &found, &why);
    if (st == GY_E_NOMEM) {
        return gy_err_set(err, GY_E_NOMEM, "the training profile of a model");
    }
    if (st == GY_OK) {
        j->has_profile = true;
        j->shared = found;
        j->profile = found->profile;
        found->users++;
    } else if (st != GY_E_NOTFOUND) {
        gy_log_err(GY_LOG_WARN, "watch", "the training profile of a model can not be read", &why);
    }
    return GY_OK;
}

static gy_status find_profile(struct gy_judge *judge, const struct gy_window_scope *s,
                              struct judged *j, struct gy_err *err)
{
    if (s->settings->reference == GY_WATCH_TRAINING) {
        GY_TRY(training_profile(judge, s, j, err));
    }
    if (j->has_profile || !s->reference.p) {
        return GY_OK;
    }
    gy_status st = gy_profile_parse(s->reference, &j->arena, &j->profile, NULL);
    if (st == GY_E_NOMEM) {
        return gy_err_set(err, GY_E_NOMEM, "the reference of a window");
    }
    j->has_profile = j->from_window = st == GY_OK; /* else this window becomes it */
    return GY_OK;
}

static gy_status open_judged(struct gy_judge *judge, const struct gy_window_scope *s,
                             struct judged *j, struct gy_err *err)
{
    GY_TRY(find_profile(judge, s, j, err));
    j->version = gy_arena_str(&j->arena, s->version);
    if (!j->version.p) {
        return gy_err_set(err, GY_E_NOMEM, "a window");
    }
    j->n_inputs = s->shape->n_inputs;
    j->max_rows = (size_t)s->rows;
    if (!j->has_profile) {
        j->columns = gy_reallocarray(NULL, j->n_inputs * j->max_rows + 1, sizeof *j->columns);
        if (!j->columns) {
            return gy_err_set(err, GY_E_NOMEM, "the rows of a window");
        }
    }
    return gy_drift_window_new(s->shape->inputs, s->shape->n_inputs, j->max_rows, false, &j->window,
                               err);
}

static gy_status judge_open(void *self, const struct gy_window_scope *scope, void **ret,
                            struct gy_err *err)
{
    struct judged *j = gy_calloc(1, sizeof *j);
    if (!j) {
        return gy_err_set(err, GY_E_NOMEM, "a window");
    }
    gy_arena_init(&j->arena, PROFILE_ARENA);
    gy_status st = open_judged(self, scope, j, err);
    if (st != GY_OK) {
        judge_close(self, j);
        return st;
    }
    *ret = j;
    return GY_OK;
}

static gy_status judge_rows(void *self, void *window, const struct gy_shape *shape,
                            const struct gy_record *r, uint32_t from, uint32_t n,
                            struct gy_err *err)
{
    (void)self;
    struct judged *j = window;
    uint32_t taken = 0;
    GY_TRY(gy_drift_window_record(j->window, shape, j->version, r, from, &taken, err));
    GY_REQUIRE(taken == n); /* both are full at the same row */
    for (uint32_t i = from; j->columns && i < from + n; i++, j->rows++) {
        for (size_t c = 0; c < j->n_inputs; c++) {
            j->columns[c * j->max_rows + j->rows] = r->inputs[(size_t)i * r->n_inputs + c];
        }
    }
    return GY_OK;
}

/* ---- the first window as a reference ---- */

static gy_status make_reference(const struct gy_window_scope *s, const struct judged *j,
                                struct gy_arena *a, struct gy_str *ret, struct gy_err *err)
{
    struct gy_profile_column *columns = gy_arena_calloc(a, j->n_inputs + 1, sizeof *columns);
    if (!columns) {
        return gy_err_set(err, GY_E_NOMEM, "the reference of a window");
    }
    for (size_t c = 0; c < j->n_inputs; c++) {
        struct gy_values v;
        GY_TRY(gy_values_of(j->columns + c * j->max_rows, NULL, j->rows, a, &v, err));
        GY_TRY(gy_profile_describe(&v, j->n_inputs, a, &columns[c], err));
        columns[c].name = s->shape->inputs[c];
        columns[c].input = c < s->shape->n_model_inputs;
    }
    const struct gy_profile p = {.rows = j->rows,
                                 .columns = columns,
                                 .n_columns = j->n_inputs,
                                 .task = GY_TASK_REGRESSION, /* nothing is known of its target */
                                 .target = GY_STR(""),
                                 .positive_share = NAN};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_PROFILE_MAX_BYTES);
    GY_TRY(gy_profile_write(&p, &b, err));
    *ret = gy_arena_str(a, gy_buf_str(&b));
    return ret->p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "the reference of a window");
}

static gy_status first_window(const struct gy_window_scope *s, const struct judged *j,
                              struct gy_arena *a, struct gy_window_verdict *ret, struct gy_err *err)
{
    GY_TRY(make_reference(s, j, a, &ret->reference, err));
    ret->share = 0;
    const char *why = s->settings->reference == GY_WATCH_FIRST_WINDOW
                          ? "gyre.yaml asks for it"
                          : "the model's package has no training profile";
    char *text = gy_arena_printf(a,
                                 "{\"reference\":\"first_window\",\"note\":\"this window is the "
                                 "reference of the next ones: %s\",\"rows\":%zu,\"features\":[]}",
                                 why, j->rows);
    ret->result = gy_str_c(text);
    return text ? GY_OK : gy_err_set(err, GY_E_NOMEM, "the result of a window");
}

/* ---- labels ---- */

static uint64_t whole(double n)
{
    return n > 0 ? (uint64_t)(n + 0.5) : 0;
}

static gy_status read_labels(const struct gy_judge *judge, const struct gy_window_scope *s,
                             const struct judged *j, struct gy_drift_labels *ret,
                             struct gy_err *err)
{
    int64_t since = gy_drift_window_since_us(j->window);
    struct gy_join_query q = {.endpoint = s->endpoint, .version = s->version, .since_us = since};
    struct gy_join_counts now;
    struct gy_join_counts before;
    GY_TRY(gy_join_counts(judge->join, &q, NULL, &now, err));
    q.since_us = 0;
    q.until_us = since;
    GY_TRY(gy_join_counts(judge->join, &q, NULL, &before, err));
    *ret = (struct gy_drift_labels){
        .fresh = now.labelled,
        .rule_tp_before = whole(before.by[GY_BY_RULE].tp.n),
        .rule_fp_before = whole(before.by[GY_BY_RULE].fp.n),
        .rule_tp_now = whole(now.by[GY_BY_RULE].tp.n),
        .rule_fp_now = whole(now.by[GY_BY_RULE].fp.n),
        .model_tp_before = whole(before.by[GY_BY_MODEL].tp.n),
        .model_fn_before = whole(before.by[GY_BY_MODEL].fn.n),
        .model_tp_now = whole(now.by[GY_BY_MODEL].tp.n),
        .model_fn_now = whole(now.by[GY_BY_MODEL].fn.n),
    };
    /* Labels of this population began to come when it did. */
    if (s->drift_since_us && s->drift_since_us < since) {
        q = (struct gy_join_query){
            .endpoint = s->endpoint, .version = s->version, .since_us = s->drift_since_us};
        GY_TRY(gy_join_counts(judge->join, &q, NULL, &now, err));
        ret->fresh = now.labelled;
    }
    return GY_OK;
}

/* ---- the verdict ---- */

static gy_status names_of(const struct gy_drift_diagnosis *d, struct gy_arena *a,
                          struct gy_str *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    struct gy_jw w;
    gy_buf_init(&b, 16 * GY_MIB);
    gy_jw_init(&w, &b);
    gy_jw_arr(&w);
    for (size_t i = 0; i < d->n_features; i++) {
        gy_jw_str(&w, d->features[i]);
    }
    gy_jw_arr_end(&w);
    *ret = gy_arena_str(a, gy_buf_str(&b));
    return b.failed == GY_OK && ret->p ? GY_OK
                                       : gy_err_set(err, GY_E_NOMEM, "the features that drifted");
}

/* The members of gy_drift_write behind ours, in one object. */
static gy_status write_result(const struct judged *j, const struct gy_drift_result *r,
                              const struct gy_drift_diagnosis *d, struct gy_arena *a,
                              struct gy_str *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf members;
    struct gy_jw w;
    gy_buf_init(&b, 64 * GY_MIB);
    gy_buf_init(&members, 64 * GY_MIB);
    gy_jw_init(&w, &members);
    gy_drift_write(&w, r);
    gy_buf_addf(
        &b, "{\"reference\":\"%s\",\"diagnosis\":", j->from_window ? "first_window" : "training");
    gy_jw_init(&w, &b);
    gy_drift_diagnosis_write(&w, d);
    gy_buf_add_char(&b, ',');
    gy_buf_add(&b, gy_str_sub(gy_buf_str(&members), 1, SIZE_MAX));
    GY_TRY(gy_buf_check(&members, "the result of a window", err));
    GY_TRY(gy_buf_check(&b, "the result of a window", err));
    *ret = gy_arena_str(a, gy_buf_str(&b));
    return ret->p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "the result of a window");
}

static gy_status judge_judge(void *self, void *window, const struct gy_window_scope *s,
                             struct gy_arena *a, struct gy_window_verdict *ret, struct gy_err *err)
{
    const struct gy_judge *judge = self;
    const struct judged *j = window;
    struct gy_drift_result r;
    struct gy_drift_diagnosis d;
    struct gy_drift_labels labels = {0};
    struct gy_drift_options o = s->settings->drift;
    if (!j->has_profile) {
        return first_window(s, j, a, ret, err);
    }
    o.rule_reference = gy_share_of(s->rule_hits, s->rule_rows);
    GY_TRY(gy_drift_evaluate(&j->profile, j->window, &o, a, &r, err));
    /* Counting labels goes over all rows of the version: only when there is something to explain.
     */
    bool ask_labels = judge->join && (r.detected || r.dataset_drift);
    if (ask_labels) {
        GY_TRY(read_labels(judge, s, j, &labels, err));
    }
    GY_TRY(gy_drift_diagnose(&r, ask_labels ? &labels : NULL, GY_DRIFT_MIN_LABELS, a, &d, err));
    ret->drift = r.dataset_drift;
    ret->share = r.share;
    ret->sensor = d.cause == GY_CAUSE_SENSOR;
    ret->told = r.dataset_drift || ret->sensor || d.cause == GY_CAUSE_POPULATION;
    ret->may_retrain = d.may_retrain;
    if (ret->told) {
        ret->cause = gy_str_c(gy_drift_cause_name(d.cause));
        ret->reason = d.reason;
        ret->retrain_reason = d.retrain_reason;
        GY_TRY(names_of(&d, a, &ret->features, err));
    }
    if (ret->sensor && d.n_faults > 0) {
        ret->feature = d.faults[0].feature;
        ret->offset = d.faults[0].kind == GY_FAULT_OFFSET ? d.faults[0].offset : NAN;
    }
    return write_result(j, &r, &d, a, &ret->result, err);
}

const struct gy_window_ops gy_judge_ops = {1,          "profile",   judge_open,
                                           judge_rows, judge_judge, judge_close};

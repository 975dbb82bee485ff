/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/shape.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

#include "base/map.h"
#include "base/mem.h"
#include "serve/endpoint.h"
#include "serve/logging.h"
#include "base/time.h"
#include "learn/cells.h"

#define SHAPES_ARENA (256 * GY_MIB)

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "reading the shape of a revision");
}

/* ---- reading ---- */

static gy_status read_task(struct gy_shape *s, struct gy_err *err)
{
    static const char *const names[] = {"binary", "multiclass", "regression"};
    struct gy_str task = gy_json_str(s->config, "task");
    for (int i = 0; i < 3; i++) {
        if (gy_str_eqc(task, names[i])) {
            s->task = (enum gy_task)i;
            return GY_OK;
        }
    }
    return gy_err_set(err, GY_E_CORRUPT, "revision %lld of '%" GY_STR_F "' names no task",
                      (long long)s->revision, GY_STR_A(s->endpoint));
}

static gy_status read_names(yyjson_val *list, struct gy_arena *a, const struct gy_str **ret,
                            size_t *ret_n, struct gy_err *err)
{
    size_t n = yyjson_arr_size(list);
    struct gy_str *names = gy_arena_calloc(a, n + 1, sizeof *names);
    if (!names) {
        return no_memory(err);
    }
    size_t i;
    size_t max;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, max, one)
    {
        names[i] = gy_json_val_str(one);
    }
    *ret = names;
    *ret_n = n;
    return GY_OK;
}

/* What the log does not have as it came gets another name. */
static gy_status read_inputs(struct gy_shape *s, struct gy_arena *a, struct gy_err *err)
{
    GY_TRY(read_names(gy_json_get(s->config, "inputs"), a, &s->inputs, &s->n_inputs, err));
    struct gy_str *names = (struct gy_str *)(uintptr_t)s->inputs; /* ours so far */
    for (size_t i = 0; gy_json_get(s->config, "log") && i < s->n_inputs; i++) {
        const char *how = gy_logging_column_name(gy_logging_column_of(s->config, names[i]));
        if (how) {
            names[i] = gy_str_c(gy_arena_printf(a, "%" GY_STR_F " (%s)", GY_STR_A(names[i]), how));
            if (!names[i].p) {
                return no_memory(err);
            }
        }
    }
    return GY_OK;
}

static gy_status read_classes(struct gy_shape *s, struct gy_arena *a, struct gy_err *err)
{
    GY_TRY(read_names(gy_json_get(s->config, "classes"), a, &s->classes, &s->n_classes, err));
    double *values = gy_arena_calloc(a, s->n_classes + 1, sizeof *values);
    if (!values) {
        return no_memory(err);
    }
    bool numeric = gy_json_bool(s->config, "numeric_classes", false);
    for (size_t i = 0; i < s->n_classes; i++) {
        values[i] = (double)i;
        if (numeric) {
            GY_TRY(gy_parse_f64(s->classes[i], &values[i], err));
        }
    }
    s->class_values = values;
    return GY_OK;
}

/* "prediction" of a rule is text or a number. */
static double rule_value(const struct gy_shape *s, yyjson_val *v)
{
    if (yyjson_is_num(v)) {
        char text[32];
        return gy_shape_label(s, gy_str_n(text, gy_fmt_f64_trim(yyjson_get_num(v), text)));
    }
    return v ? gy_shape_label(s, gy_json_val_str(v)) : NAN;
}

static gy_status read_rules(struct gy_shape *s, struct gy_arena *a, struct gy_err *err)
{
    yyjson_val *list = gy_json_get(s->config, "rules");
    s->n_rules = yyjson_arr_size(list);
    struct gy_shape_rule *rules = gy_arena_calloc(a, s->n_rules + 1, sizeof *rules);
    if (!rules) {
        return no_memory(err);
    }
    size_t i;
    size_t max;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, max, one)
    {
        yyjson_val *then = gy_json_get(one, "then");
        rules[i] = (struct gy_shape_rule){
            .name = gy_json_str(one, "name"),
            .reason = gy_json_str(then, "reason"),
            .decides = gy_json_get(then, "prediction") != NULL,
            .skip_model = gy_json_bool(then, "skip_model", false),
            .after = gy_json_bool(one, "after", false),
            .prediction = rule_value(s, gy_json_get(then, "prediction")),
        };
    }
    s->rules = rules;
    return GY_OK;
}

static enum gy_variant_role role_of(yyjson_val *weight)
{
    struct gy_str role = gy_json_str(weight, "role");
    return gy_str_eqc(role, "canary")   ? GY_VARIANT_CANARY
           : gy_str_eqc(role, "shadow") ? GY_VARIANT_SHADOW
                                        : GY_VARIANT_STABLE;
}

static gy_status read_variants(struct gy_shape *s, struct gy_arena *a, struct gy_err *err)
{
    yyjson_val *list = gy_json_get(s->config, "weights");
    double threshold = gy_json_f64(s->config, "threshold", 0.5);
    s->n_variants = yyjson_arr_size(list);
    struct gy_shape_variant *variants = gy_arena_calloc(a, s->n_variants + 1, sizeof *variants);
    if (!variants) {
        return no_memory(err);
    }
    size_t i;
    size_t max;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, max, one)
    {
        char *version = gy_arena_printf(a, "%lld", (long long)gy_json_i64(one, "version", 0));
        if (!version) {
            return no_memory(err);
        }
        variants[i] = (struct gy_shape_variant){
            .role = role_of(one),
            .model = gy_json_str(one, "model"),
            .version = gy_str_c(version),
            .digest = gy_json_str(one, "digest"),
            .weight = gy_json_f64(one, "weight", 0),
            .threshold = gy_json_f64(one, "threshold", threshold),
        };
    }
    s->variants = variants;
    return GY_OK;
}

gy_status gy_shape_read(const struct gy_revision *r, struct gy_arena *a, yyjson_doc **ret_doc,
                        struct gy_shape *ret, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(r->config, &doc, err));
    struct gy_shape s = {
        .endpoint = r->endpoint, .revision = r->revision, .config = yyjson_doc_get_root(doc)};
    GY_TRY(read_task(&s, err));
    GY_TRY(read_inputs(&s, a, err));
    s.n_model_inputs = (size_t)gy_json_i64(s.config, "model_inputs", (int64_t)s.n_inputs);
    GY_TRY(read_classes(&s, a, err));
    GY_TRY(read_rules(&s, a, err));
    GY_TRY(read_variants(&s, a, err));
    s.rule_shadow = gy_json_f64(s.config, "rule_shadow", GY_ENDPOINT_RULE_SHADOW);
    s.sample = gy_logging_sample_of(s.config);
    *ret = s;
    *ret_doc = GY_TAKE(doc);
    return GY_OK;
}

/* ---- meaning ---- */

const struct gy_shape_variant *gy_shape_variant(const struct gy_shape *s, struct gy_str version)
{
    for (size_t i = 0; i < s->n_variants; i++) {
        if (gy_str_eq(s->variants[i].version, version)) {
            return &s->variants[i];
        }
    }
    return NULL;
}

const struct gy_shape_rule *gy_shape_rule(const struct gy_shape *s,
                                          const struct gy_rule_outcome *outcome)
{
    bool hit = outcome && outcome->rule >= 0 && (size_t)outcome->rule < s->n_rules;
    return hit ? &s->rules[outcome->rule] : NULL;
}

static size_t best_class(const double *p, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        best = p[i] > p[best] ? i : best;
    }
    return best;
}

double gy_shape_model_value(const struct gy_shape *s, struct gy_str version, const double *outputs,
                            size_t n_outputs)
{
    switch (s->task) {
    case GY_TASK_REGRESSION:
        return outputs[n_outputs > 1 ? 1 : 0];
    case GY_TASK_BINARY: {
        const struct gy_shape_variant *v = gy_shape_variant(s, version);
        double threshold = v ? v->threshold : 0.5;
        if (n_outputs < 2 || isnan(outputs[1]) || s->n_classes < 2) {
            return NAN;
        }
        return s->class_values[outputs[1] >= threshold ? 1 : 0];
    }
    case GY_TASK_MULTICLASS:
        break;
    }
    size_t n = n_outputs - 1 < s->n_classes ? n_outputs - 1 : s->n_classes;
    return n == 0 || isnan(outputs[1]) ? NAN : s->class_values[best_class(outputs + 1, n)];
}

double gy_shape_score(const struct gy_shape *s, const double *outputs, size_t n_outputs)
{
    switch (s->task) {
    case GY_TASK_REGRESSION:
        return outputs[n_outputs > 1 ? 1 : 0];
    case GY_TASK_BINARY:
        return n_outputs > 1 ? outputs[1] : NAN;
    case GY_TASK_MULTICLASS:
        break;
    }
    return n_outputs > 1 && !isnan(outputs[1]) ? outputs[1 + best_class(outputs + 1, n_outputs - 1)]
                                               : NAN;
}

double gy_shape_label(const struct gy_shape *s, struct gy_str text)
{
    double number = NAN;
    if (gy_parse_f64(text, &number, NULL) != GY_OK || !isfinite(number)) {
        number = gy_str_eqc(text, "true") ? 1 : gy_str_eqc(text, "false") ? 0 : NAN;
    }
    if (s->task == GY_TASK_REGRESSION) {
        return number;
    }
    for (size_t i = 0; i < s->n_classes; i++) {
        if (gy_str_eq(s->classes[i], text)) {
            return s->class_values[i];
        }
    }
    /* "1.0" and "true" for the class "1" */
    for (size_t i = 0; i < s->n_classes; i++) {
        double label;
        if (gy_parse_f64(s->classes[i], &label, NULL) == GY_OK && label == number) {
            return s->class_values[i];
        }
    }
    return NAN;
}

struct gy_str gy_shape_logged_text(yyjson_val *config, struct gy_str input, double logged,
                                   char scratch[40])
{
    yyjson_val *all = gy_json_get(config, "described");
    yyjson_val *its = all && input.p ? yyjson_obj_getn(all, input.p, input.n) : NULL;
    struct gy_str kind = gy_json_str(its, "kind");
    if (!kind.p || !isfinite(logged)) {
        return GY_STR_NULL;
    }
    if (gy_str_eqc(kind, "time")) {
        return fabs(logged) < 9e12
                   ? gy_str_n(scratch, gy_time_iso((int64_t)llround(logged * 1e6), scratch))
                   : GY_STR_NULL;
    }
    if (gy_str_eqc(kind, "image")) {
        int n = snprintf(scratch, 40, "sha256:%013llx", (unsigned long long)logged);
        return gy_str_n(scratch, (size_t)n);
    }
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(gy_json_get(its, "values"), i, n, v)
    {
        if (gy_cell_hash(gy_json_val_str(v)) == logged) {
            return gy_json_val_str(v);
        }
    }
    return GY_STR_NULL;
}

struct gy_str gy_shape_text(const struct gy_shape *s, double class_value, char scratch[32])
{
    for (size_t i = 0; i < s->n_classes; i++) {
        if (s->class_values[i] == class_value) {
            return s->classes[i];
        }
    }
    return isnan(class_value) ? GY_STR_NULL
                              : gy_str_n(scratch, gy_fmt_f64_trim(class_value, scratch));
}

/* ---- the cache ---- */

struct gy_shapes {
    struct gy_store *store;
    pthread_mutex_t mu; /* all below */
    struct gy_arena arena;
    struct gy_map by_name;       /* "endpoint/revision" to struct gy_shape */
    const struct gy_shape *last; /* that was asked for: records come in runs of one revision */
    struct kept {
        yyjson_doc *doc;
        struct kept *next;
    } * docs;
};

gy_status gy_shapes_new(struct gy_store *store, struct gy_shapes **ret, struct gy_err *err)
{
    struct gy_shapes *s = gy_calloc(1, sizeof *s);
    if (!s) {
        return no_memory(err);
    }
    s->store = store;
    (void)pthread_mutex_init(&s->mu, NULL); /* can not fail on Linux */
    gy_arena_init(&s->arena, SHAPES_ARENA);
    gy_map_init(&s->by_name, GY_SHAPES_MAX);
    *ret = s;
    return GY_OK;
}

void gy_shapes_free(struct gy_shapes *s)
{
    if (!s) {
        return;
    }
    for (struct kept *k = s->docs; k; k = k->next) {
        gy_json_free(k->doc);
    }
    gy_map_done(&s->by_name);
    gy_arena_done(&s->arena);
    (void)pthread_mutex_destroy(&s->mu);
    gy_free(s);
}

struct finding {
    struct gy_str endpoint;
    int64_t revision;
    struct gy_arena *a;
    struct gy_revision r;
};

static gy_status find(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct finding *f = ctx;
    return gy_revision_get(db, f->endpoint, f->revision, f->a, &f->r, err);
}

/* With the lock held: a miss is rare and the same miss of two threads should read once. A revision
 * that is asked for again and again and can not be kept takes no memory. */
static gy_status load(struct gy_shapes *s, struct gy_str endpoint, int64_t revision,
                      struct gy_str key, struct gy_shape **ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_shape read;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    struct finding f = {.endpoint = endpoint, .revision = revision, .a = &a};
    if (s->by_name.n_live >= GY_SHAPES_MAX) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d revisions in the log", GY_SHAPES_MAX);
    }
    GY_TRY(gy_store_read(s->store, find, &f, err));
    GY_TRY(gy_shape_read(&f.r, &a, &doc, &read, err)); /* can it be read? */
    gy_json_free(GY_TAKE(doc));
    f.r.endpoint = gy_arena_str(&s->arena, f.r.endpoint);
    struct gy_shape *shape = gy_arena_calloc(&s->arena, 1, sizeof *shape);
    struct kept *kept = gy_arena_calloc(&s->arena, 1, sizeof *kept);
    if (!f.r.endpoint.p || !shape || !kept) {
        return no_memory(err);
    }
    GY_TRY(gy_shape_read(&f.r, &s->arena, &kept->doc, shape, err));
    kept->next = s->docs;
    s->docs = kept;
    GY_TRY(gy_map_put(&s->by_name, key, shape, err));
    *ret = shape;
    return GY_OK;
}

gy_status gy_shapes_get(struct gy_shapes *s, struct gy_str endpoint, int64_t revision,
                        const struct gy_shape **ret, struct gy_err *err)
{
    char key[GY_MAX_NAME + 32];
    if (revision <= 0) { /* 0 would be "the current one", which changes */
        return gy_err_set(err, GY_E_CORRUPT, "a log record without a revision");
    }
    (void)pthread_mutex_lock(&s->mu);
    const struct gy_shape *last = s->last;
    (void)pthread_mutex_unlock(&s->mu);
    if (last && last->revision == revision && gy_str_eq(last->endpoint, endpoint)) {
        *ret = last;
        return GY_OK;
    }
    int n =
        snprintf(key, sizeof key, "%" GY_STR_F "/%lld", GY_STR_A(endpoint), (long long)revision);
    if (n < 0 || (size_t)n >= sizeof key) {
        return gy_err_set(err, GY_E_TOOBIG, "the name of an endpoint is too long");
    }
    (void)pthread_mutex_lock(&s->mu);
    struct gy_shape *shape = gy_map_get(&s->by_name, gy_str_n(key, (size_t)n));
    gy_status st =
        shape ? GY_OK : load(s, endpoint, revision, gy_str_n(key, (size_t)n), &shape, err);
    s->last = st == GY_OK ? shape : s->last;
    (void)pthread_mutex_unlock(&s->mu);
    if (st == GY_OK) {
        *ret = shape;
    }
    return st;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows of a log record become review items. */
#include <math.h>

#include "base/id.h"
#include "serve/gap.h"
#include "base/mem.h"
#include "watch/review_internal.h"

#define SAMPLE_SEED 0x7265766965770001ULL /* not the one that other samples of rows use */
#define MAX_INPUTS_JSON (8 * GY_MIB)

/* The policy of the revision that was offered last: records come in runs of one revision. */
struct source {
    struct gy_str endpoint;
    int64_t revision;
    struct gy_review_policy policy;
    struct gy_str text; /* the policy as JSON */
};

struct gy_review_batch {
    struct gy_arena arena;
    struct gy_buf scratch;
    struct source source;
    struct gy_review_item *first, *last;
    size_t n;
};

/* One row on its way. */
struct row {
    const struct gy_record *r;
    const struct gy_shape *s;
    uint32_t i; /* in the record */
    const double *outputs;
    const struct gy_rule_outcome *outcome;
    double margin;
};

gy_status gy_review_nomem(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for reviews");
}

gy_status gy_review_batch_new(size_t max_bytes, struct gy_review_batch **ret, struct gy_err *err)
{
    struct gy_review_batch *b = gy_calloc(1, sizeof *b);
    if (!b) {
        return gy_review_nomem(err);
    }
    gy_arena_init(&b->arena, max_bytes ? max_bytes : GY_REVIEW_BATCH_BYTES);
    gy_buf_init(&b->scratch, MAX_INPUTS_JSON);
    *ret = b;
    return GY_OK;
}

void gy_review_batch_free(struct gy_review_batch *b)
{
    if (b) {
        gy_buf_done(&b->scratch);
        gy_arena_done(&b->arena);
        gy_free(b);
    }
}

void gy_review_batch_reset(struct gy_review_batch *b)
{
    gy_arena_reset(&b->arena);
    b->source = (struct source){.revision = 0};
    b->first = b->last = NULL;
    b->n = 0;
}

size_t gy_review_batch_count(const struct gy_review_batch *b)
{
    return b->n;
}

const struct gy_review_item *gy_review_batch_first(const struct gy_review_batch *b)
{
    return b->first;
}

/* ---- choosing ---- */

static double lead_of(const double *p, size_t n)
{
    double best = -INFINITY, second = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (p[i] > best) {
            second = best;
            best = p[i];
        } else if (p[i] > second) {
            second = p[i];
        }
    }
    return n > 1 ? best - second : GY_REVIEW_NO_MARGIN;
}

/* How near the model was to another answer. */
static double margin_of(const struct row *row)
{
    const struct gy_shape *s = row->s;
    if (s->task == GY_TASK_REGRESSION || row->r->n_outputs < 2 || isnan(row->outputs[1])) {
        return GY_REVIEW_NO_MARGIN;
    }
    if (s->task == GY_TASK_MULTICLASS) {
        return lead_of(row->outputs + 1, (size_t)row->r->n_outputs - 1);
    }
    const struct gy_shape_variant *v = gy_shape_variant(s, row->r->model_version);
    return fabs(row->outputs[1] - (v ? v->threshold : 0.5));
}

/* Uniform in [0, 1), the same for a row whenever it is asked. */
static double chance_of(const unsigned char id[16], int64_t row)
{
    unsigned char key[24];
    memcpy(key, id, 16);
    memcpy(key + 16, &row, sizeof row);
    uint64_t h = gy_str_hash(gy_str_n((const char *)key, sizeof key), SAMPLE_SEED);
    return (double)(h >> 11) * 0x1p-53;
}

/* Does the policy pick the row, by which of its branches and with what chance? What is certain
 * comes first, so that the chance of a row is 1 where any branch is sure to take it. */
static bool picks(const struct gy_review_policy *p, const struct row *row, const char **ret_by,
                  double *ret_probability)
{
    *ret_probability = 1;
    if (p->kind == GY_REVIEW_ALL) {
        *ret_by = "all";
        return true;
    }
    if (p->rule_hits && gy_shape_rule(row->s, row->outcome)) {
        *ret_by = "rule";
        return true;
    }
    if (p->margin >= 0 && row->margin <= p->margin) {
        *ret_by = "uncertain";
        return true;
    }
    *ret_by = "sample";
    *ret_probability = p->share;
    return p->share > 0 && chance_of(row->r->id, (int64_t)row->r->first_row + row->i) < p->share;
}

/* ---- keeping ---- */

static gy_status write_inputs(struct gy_review_batch *b, const struct row *row, struct gy_str *ret,
                              struct gy_err *err)
{
    const struct gy_shape *s = row->s;
    const double *inputs = row->r->inputs + (size_t)row->i * row->r->n_inputs;
    struct gy_jw w;
    gy_buf_reset(&b->scratch);
    gy_jw_init(&w, &b->scratch);
    gy_jw_obj(&w);
    for (size_t k = 0; k < s->n_inputs && k < row->r->n_inputs; k++) {
        gy_jw_keys(&w, s->inputs[k]);
        char text[32], scratch[40];
        struct gy_str named = gy_shape_logged_text(s->config, s->inputs[k], inputs[k], scratch);
        if (named.p) {
            gy_jw_str(&w, named);
        } else if (isnan(inputs[k])) {
            gy_jw_null(&w);
        } else if (isinf(inputs[k])) {
            gy_jw_f64(&w, inputs[k]);
        } else {
            gy_jw_raw(&w, gy_str_n(text, gy_fmt_f64_trim(inputs[k], text)));
        }
    }
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&b->scratch, "the inputs of a review", err));
    *ret = gy_arena_str(&b->arena, gy_buf_str(&b->scratch));
    return ret->p ? GY_OK : gy_review_nomem(err);
}

/* Copies; an absent text stays absent. */
static bool copy(struct gy_arena *a, struct gy_str from, struct gy_str *ret)
{
    *ret = from.p ? gy_arena_str(a, from) : GY_STR_NULL;
    return !from.p || ret->p;
}

static gy_status keep(struct gy_review_batch *b, const struct row *row, const char *by,
                      double probability, struct gy_str actor, struct gy_err *err)
{
    const struct gy_record *r = row->r;
    const struct gy_shape *s = row->s;
    const struct gy_shape_rule *rule = gy_shape_rule(s, row->outcome);
    struct gy_review_item *item = gy_arena_calloc(&b->arena, 1, sizeof *item);
    char id[GY_UUID_TEXT], number[32];
    if (!item) {
        return gy_review_nomem(err);
    }
    gy_uuid_text(r->id, id);
    item->r = (struct gy_review){.row = (int64_t)r->first_row + row->i,
                                 .request_rows = r->total_rows,
                                 .endpoint = b->source.endpoint,
                                 .revision = s->revision,
                                 .score = gy_shape_score(s, row->outputs, r->n_outputs),
                                 .margin = row->margin,
                                 .policy = b->source.text,
                                 .picked_by = gy_str_c(by),
                                 .probability = probability,
                                 .blind = b->source.policy.blind,
                                 .predicted_us = r->time_us};
    item->max_open = b->source.policy.max_open;
    struct gy_arena *a = &b->arena;
    struct gy_str predicted = gy_shape_text(s, row->outputs[0], number);
    bool copied = copy(a, gy_str_c(id), &item->r.prediction_id) &&
                  copy(a, r->model_version, &item->r.model_version) &&
                  copy(a, r->request_id, &item->r.request_id) &&
                  copy(a, predicted.p ? predicted : GY_STR(""), &item->r.predicted) &&
                  copy(a, rule ? rule->name : GY_STR_NULL, &item->r.rule) &&
                  copy(a, rule ? rule->reason : GY_STR_NULL, &item->r.rule_reason) &&
                  copy(a, actor, &item->actor);
    if (!copied) {
        return gy_review_nomem(err);
    }
    GY_TRY(write_inputs(b, row, &item->r.inputs, err));
    *(b->last ? &b->last->next : &b->first) = item;
    b->last = item;
    b->n++;
    return GY_OK;
}

/* ---- offering ---- */

static gy_status find_source(struct gy_review_batch *b, const struct gy_shape *s,
                             struct gy_err *err)
{
    struct source *source = &b->source;
    if (source->revision == s->revision && gy_str_eq(source->endpoint, s->endpoint)) {
        return GY_OK;
    }
    yyjson_val *review = gy_json_get(s->config, "review");
    struct source found = {.revision = s->revision};
    /* Deploying checks it: what fails here is older than that check. */
    if (gy_review_policy_read(review, &found.policy, NULL) != GY_OK) {
        found.policy.kind = GY_REVIEW_NONE;
    }
    struct gy_jw w;
    gy_buf_reset(&b->scratch);
    gy_jw_init(&w, &b->scratch);
    if (review) {
        gy_jw_val(&w, review);
    } else {
        gy_jw_null(&w);
    }
    GY_TRY(gy_buf_check(&b->scratch, "the review policy", err));
    found.text = gy_arena_str(&b->arena, gy_buf_str(&b->scratch));
    found.endpoint = gy_arena_str(&b->arena, s->endpoint);
    if (!found.text.p || !found.endpoint.p) {
        return gy_review_nomem(err);
    }
    *source = found;
    return GY_OK;
}

/* only: this row alone; GY_ALL_ROWS: each. */
#define GY_ALL_ROWS UINT32_MAX

static gy_status offer_rows(struct gy_review_batch *b, const struct gy_record *r, uint32_t only,
                            const struct gy_shape *s, struct gy_str actor, struct gy_err *err)
{
    GY_TRY(find_source(b, s, err));
    if (r->status != 200 || r->n_outputs == 0 ||
        (!actor.p && b->source.policy.kind == GY_REVIEW_NONE)) {
        return GY_OK;
    }
    for (uint32_t i = 0; i < r->n_rows; i++) {
        struct row row = {.r = r,
                          .s = s,
                          .i = i,
                          .outputs = r->outputs + (size_t)i * r->n_outputs,
                          .outcome = r->rules ? &r->rules[i] : NULL};
        const char *by = "person";
        double probability = NAN;
        if (gy_gap_row(r, i) || (only != GY_ALL_ROWS && i != only)) {
            continue;
        }
        row.margin = margin_of(&row);
        if (actor.p || picks(&b->source.policy, &row, &by, &probability)) {
            GY_TRY(keep(b, &row, by, probability, actor, err));
        }
    }
    return GY_OK;
}

/* All rows or none: what a full batch took of the record is forgotten. */
static gy_status offer(struct gy_review_batch *b, const struct gy_record *r, uint32_t only,
                       const struct gy_shape *s, struct gy_str actor, struct gy_err *err)
{
    struct gy_review_item *last = b->last;
    size_t n = b->n;
    bool held = n > 0 || b->source.revision != 0; /* something that storing it gives back */
    struct gy_err why = GY_ERR_INIT;
    gy_status status = offer_rows(b, r, only, s, actor, &why);
    if (status == GY_OK) {
        return GY_OK;
    }
    b->last = last;
    b->n = n;
    *(last ? &last->next : &b->first) = NULL;
    if (status == GY_E_NOMEM && held) {
        return gy_err_set(err, GY_E_BUSY, "the batch of reviews is full");
    }
    if (err) {
        *err = why;
    }
    return status;
}

gy_status gy_review_offer(struct gy_review_batch *b, const struct gy_record *r,
                          const struct gy_shape *s, struct gy_err *err)
{
    return offer(b, r, GY_ALL_ROWS, s, GY_STR_NULL, err);
}

gy_status gy_review_pick(struct gy_review_batch *b, const struct gy_record *r,
                         const struct gy_shape *s, struct gy_str actor, struct gy_err *err)
{
    return offer(b, r, GY_ALL_ROWS, s, actor.p ? actor : GY_STR(""), err);
}

gy_status gy_review_pick_row(struct gy_review_batch *b, const struct gy_record *r, uint32_t row,
                             const struct gy_shape *s, struct gy_str actor, struct gy_err *err)
{
    return offer(b, r, row, s, actor.p ? actor : GY_STR(""), err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Who judges what, and verdicts. */
#include <math.h>
#include <stdio.h>

#include "base/id.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/actor.h"
#include "store/events.h"
#include "watch/review_internal.h"

#define MAX_ENDPOINTS 1000 /* endpoints that the verdicts of one call are about */

/* ---- assigning ---- */

gy_status gy_review_assign(struct gy_db *db, struct gy_str prediction_id, int64_t row,
                           struct gy_str assignee, bool take, struct gy_str actor,
                           struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_review r;
    gy_arena_init(&a, 16 * GY_MIB);
    GY_TRY(gy_actor_need(actor, "assigning a review", err));
    GY_TRY(gy_review_get(db, prediction_id, row, &a, &r, err));
    bool was = gy_str_eqc(r.state, "assigned"), now = assignee.n > 0;
    if (gy_str_eqc(r.state, "done")) {
        return gy_err_set(err, GY_E_CONFLICT, "this review is decided (by %" GY_STR_F ")",
                          GY_STR_A(r.reviewer));
    }
    if (was && !take && !gy_str_eq(r.assignee, now ? assignee : actor)) {
        (void)gy_err_set(err, GY_E_CONFLICT, "%" GY_STR_F " has this review", GY_STR_A(r.assignee));
        return gy_err_hint(err, "--take (\"take\": true) takes it over");
    }
    GY_TRY(
        gy_db_exec(db,
                   "UPDATE reviews SET state = ?, assignee = ?, assigned_us = ? "
                   "WHERE prediction_id = ? AND row = ?",
                   GY_VALS(gy_vc(now ? "assigned" : "open"), now ? gy_vs(assignee) : gy_vnull(),
                           now ? gy_vi(gy_now_us()) : gy_vnull(), gy_vs(prediction_id), gy_vi(row)),
                   NULL, err));
    struct gy_review_queue delta = {.endpoint = r.endpoint,
                                    .open = (now ? 0 : 1) - (was ? 0 : 1),
                                    .assigned = (now ? 1 : 0) - (was ? 1 : 0)};
    return gy_review_count(db, &delta, err);
}

/* ---- tags ---- */

gy_status gy_review_tags(yyjson_val *tags, struct gy_buf *out, bool *ret_simulated,
                         struct gy_err *err)
{
    struct gy_jw w;
    size_t i, n;
    yyjson_val *tag;
    *ret_simulated = false;
    if (!tags || yyjson_is_null(tags)) {
        return GY_OK;
    }
    if (!yyjson_is_arr(tags) || yyjson_arr_size(tags) > GY_REVIEW_MAX_TAGS) {
        return gy_err_set(err, GY_E_INVALID, "'tags' is a list of at most %d texts",
                          GY_REVIEW_MAX_TAGS);
    }
    yyjson_arr_foreach(tags, i, n, tag)
    {
        struct gy_str text = gy_json_val_str(tag);
        if (text.n == 0 || text.n > GY_REVIEW_MAX_TAG) {
            return gy_err_set(err, GY_E_INVALID, "a tag is a text of 1 to %d bytes",
                              GY_REVIEW_MAX_TAG);
        }
        *ret_simulated = *ret_simulated || gy_str_eqc(text, GY_REVIEW_SIMULATED);
    }
    gy_jw_init(&w, out);
    gy_jw_val(&w, tags);
    return gy_buf_check(out, "the tags", err);
}

/* ---- deciding ---- */

/* What the verdicts of a call do to one endpoint. */
struct judged {
    struct gy_review_queue delta;
    int64_t corrected, simulated;
};

struct deciding {
    struct gy_db *db;
    struct gy_arena *a;
    struct gy_str reviewer;
    int64_t now_us;
    /* The revision that the last verdict was about: verdicts come in runs of one. */
    struct gy_shape shape;
    yyjson_doc *doc;
    struct gy_map endpoints; /* to struct judged */
    struct gy_feedback *feedback;
    struct gy_review_decided out;
};

static void deciding_done(struct deciding *d)
{
    gy_json_free(d->doc);
    gy_map_done(&d->endpoints);
}
GY_DEFINE_AUTO_DONE(struct deciding, deciding_done);

static gy_status shape_of(struct deciding *d, const struct gy_review *r, struct gy_err *err)
{
    if (d->doc && d->shape.revision == r->revision && gy_str_eq(d->shape.endpoint, r->endpoint)) {
        return GY_OK;
    }
    struct gy_revision revision;
    GY_TRY(gy_revision_get(d->db, r->endpoint, r->revision, d->a, &revision, err));
    gy_json_free(d->doc);
    d->doc = NULL;
    return gy_shape_read(&revision, d->a, &d->doc, &d->shape, err);
}

static gy_status not_a_class(const struct gy_shape *s, struct gy_str verdict, struct gy_err *err)
{
    char list[192] = "";
    size_t at = 0;
    (void)gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is no answer of endpoint '%" GY_STR_F "'",
                     GY_STR_A(verdict), GY_STR_A(s->endpoint));
    for (size_t i = 0; i < s->n_classes && at < sizeof list; i++) {
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%" GY_STR_F, i ? ", " : "",
                               GY_STR_A(s->classes[i]));
    }
    return gy_err_hint(err, s->n_classes ? "one of: %s" : "a number is wanted%s", list);
}

/* The label that a verdict means, as the model writes it; in the arena. */
static gy_status label_of(struct deciding *d, const struct gy_review *r, struct gy_str verdict,
                          struct gy_str *ret, struct gy_err *err)
{
    const struct gy_shape *s = &d->shape;
    char number[32];
    double value = gy_shape_label(s, verdict);
    bool agree = gy_str_eqc(verdict, "agree"), disagree = gy_str_eqc(verdict, "disagree");
    if (isnan(value) && (agree || disagree)) {
        if (r->blind) {
            (void)gy_err_set(err, GY_E_INVALID,
                             "a blind review takes a label: there is no answer "
                             "to agree with");
            return gy_err_hint(err, "the verdict comes before the answer is shown");
        }
        if (disagree && s->task != GY_TASK_BINARY) {
            return gy_err_set(err, GY_E_INVALID,
                              "'disagree' says too little where there are not two classes: give "
                              "the label");
        }
        value = gy_shape_label(s, r->predicted);
        if (disagree && s->n_classes == 2) {
            value = s->class_values[value == s->class_values[0] ? 1 : 0];
        }
    }
    if (isnan(value)) {
        return not_a_class(s, verdict, err);
    }
    *ret = gy_arena_str(d->a, gy_shape_text(s, value, number));
    return ret->p ? GY_OK : gy_review_nomem(err);
}

static gy_status judged_of(struct deciding *d, struct gy_str endpoint, struct judged **ret,
                           struct gy_err *err)
{
    *ret = gy_map_get(&d->endpoints, endpoint);
    if (*ret) {
        return GY_OK;
    }
    struct judged *j = gy_arena_calloc(d->a, 1, sizeof *j);
    if (!j) {
        return gy_review_nomem(err);
    }
    j->delta.endpoint = endpoint;
    GY_TRY(gy_map_put(&d->endpoints, endpoint, j, err));
    *ret = j;
    return GY_OK;
}

static gy_status write_verdict(struct deciding *d, const struct gy_review *r, struct gy_err *err)
{
    return gy_db_exec(d->db,
                      "UPDATE reviews SET state = 'done', verdict = ?, agrees = ?, reason = ?, "
                      "tags = ?, simulated = ?, reviewer = ?, decided_us = ? "
                      "WHERE prediction_id = ? AND row = ?",
                      GY_VALS(gy_vs(r->verdict), gy_vi(r->agrees), gy_vs(r->reason), gy_vs(r->tags),
                              gy_vi(r->simulated), gy_vs(r->reviewer), gy_vi(r->decided_us),
                              gy_vs(r->prediction_id), gy_vi(r->row)),
                      NULL, err);
}

static gy_status write_info(struct deciding *d, const struct gy_review *r, struct gy_str *ret,
                            struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_FEEDBACK_MAX_INFO);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "reviewer", r->reviewer);
    gy_jw_kv_str(&w, "reason", r->reason);
    gy_jw_key(&w, "tags");
    gy_jw_raw(&w, r->tags.p ? r->tags : GY_STR("[]"));
    gy_jw_key(&w, "policy");
    gy_jw_raw(&w, r->policy);
    gy_jw_kv_str(&w, "picked_by", r->picked_by);
    gy_jw_key(&w, "probability");
    if (isnan(r->probability)) {
        gy_jw_null(&w);
    } else {
        gy_jw_f64(&w, r->probability);
    }
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&out, "what is told of a verdict", err));
    *ret = gy_arena_str(d->a, gy_buf_str(&out));
    return ret->p ? GY_OK : gy_review_nomem(err);
}

/* A verdict is a label like any other. */
static gy_status add_feedback(struct deciding *d, const struct gy_review *r, struct gy_err *err)
{
    struct gy_feedback *f = &d->feedback[d->out.n_feedback];
    *f = (struct gy_feedback){.row = (uint32_t)r->row,
                              .label = r->verdict,
                              .reward = NAN,
                              .source = gy_str_c(r->simulated ? "simulated" : "review"),
                              .actor = r->reviewer,
                              .given_us = r->decided_us,
                              .created_us = r->decided_us};
    GY_TRY(gy_uuid_parse(r->prediction_id, f->id, err));
    GY_TRY(write_info(d, r, &f->info, err));
    d->out.n_feedback++;
    return GY_OK;
}

/* From what it was to what it is. */
static void count(struct judged *j, const struct gy_review *was, const struct gy_review *now)
{
    bool done = was->verdict.p;
    j->delta.open -= gy_str_eqc(was->state, "open");
    j->delta.assigned -= gy_str_eqc(was->state, "assigned");
    j->delta.done += !done;
    j->delta.agreed += now->agrees - (done && was->agrees);
    j->delta.simulated += now->simulated - (done && was->simulated);
    j->corrected += done;
    j->simulated += now->simulated && !done;
}

static gy_status decide_one(struct deciding *d, const struct gy_review_verdict *v,
                            struct gy_review *ret, struct gy_err *err)
{
    struct gy_review was;
    struct gy_str label;
    struct judged *j;
    GY_TRY(gy_review_get(d->db, v->prediction_id, v->row, d->a, &was, err));
    GY_TRY(shape_of(d, &was, err));
    GY_TRY(label_of(d, &was, v->verdict, &label, err));
    bool done = was.verdict.p;
    if (done && gy_str_eq(was.verdict, label) && gy_str_eq(was.reviewer, d->reviewer)) {
        d->out.unchanged++;
        *ret = was;
        return GY_OK;
    }
    if (done && v->simulated && !was.simulated) {
        return gy_err_set(err, GY_E_CONFLICT,
                          "%" GY_STR_F " has judged this: a simulated verdict does not replace it",
                          GY_STR_A(was.reviewer));
    }
    if (done && was.blind) {
        (void)gy_err_set(err, GY_E_CONFLICT, "this review is decided (by %" GY_STR_F ")",
                         GY_STR_A(was.reviewer));
        return gy_err_hint(err, "it is blind: after its verdict the answer was to be seen");
    }
    struct gy_review now = was;
    now.state = GY_STR("done");
    now.verdict = label;
    now.agrees = gy_str_eq(label, was.predicted);
    now.reason = v->reason;
    now.tags = v->tags;
    now.simulated = v->simulated;
    now.reviewer = d->reviewer;
    now.decided_us = d->now_us;
    GY_TRY(write_verdict(d, &now, err));
    GY_TRY(add_feedback(d, &now, err));
    GY_TRY(judged_of(d, now.endpoint, &j, err));
    count(j, &was, &now);
    *(done ? &d->out.corrected : &d->out.decided) += 1;
    *ret = now;
    return GY_OK;
}

static gy_status tell(struct deciding *d, const struct judged *j, struct gy_err *err)
{
    const struct gy_review_queue *q = &j->delta;
    int64_t total = 0;
    bool found;
    GY_TRY(gy_review_count(d->db, q, err));
    GY_TRY(gy_db_get_i64(d->db, "SELECT done FROM review_queues WHERE endpoint = ?",
                         GY_VALS(gy_vs(q->endpoint)), &found, &total, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf data;
    struct gy_jw w;
    gy_buf_init(&data, GY_MIB);
    gy_jw_init(&w, &data);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "endpoint", q->endpoint);
    gy_jw_kv_i64(&w, "count", q->done);
    gy_jw_kv_i64(&w, "corrected", j->corrected);
    gy_jw_kv_i64(&w, "simulated", j->simulated);
    gy_jw_kv_i64(&w, "total", total);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&data, "the event", err));
    struct gy_str node = gy_review_node(q->endpoint, d->a);
    if (!node.p) {
        return gy_review_nomem(err);
    }
    return gy_event_add(d->db, "review.verdict", node, d->reviewer, gy_buf_str(&data), err);
}

gy_status gy_review_decide(struct gy_db *db, const struct gy_review_verdict *verdicts, size_t n,
                           struct gy_str reviewer, struct gy_arena *a,
                           struct gy_review_decided *ret, struct gy_err *err)
{
    GY_TRY(gy_actor_need(reviewer, "a verdict", err));
    if (n > GY_REVIEW_MAX_VERDICTS) {
        return gy_err_set(err, GY_E_TOOBIG, "at most %d verdicts a call", GY_REVIEW_MAX_VERDICTS);
    }
    GY_AUTO_DONE(deciding_done)
    struct deciding d = {.db = db, .a = a, .reviewer = reviewer, .now_us = gy_now_us()};
    gy_map_init(&d.endpoints, MAX_ENDPOINTS);
    struct gy_review *items = gy_arena_calloc(a, n + 1, sizeof *items);
    d.feedback = gy_arena_calloc(a, n + 1, sizeof *d.feedback);
    if (!items || !d.feedback) {
        return gy_review_nomem(err);
    }
    for (size_t i = 0; i < n; i++) {
        GY_TRY(decide_one(&d, &verdicts[i], &items[i], err));
    }
    GY_TRY(gy_feedback_add(db, d.feedback, d.out.n_feedback, NULL, err));
    size_t pos = 0;
    for (struct gy_map_entry *e = gy_map_next(&d.endpoints, &pos); e;
         e = gy_map_next(&d.endpoints, &pos)) {
        GY_TRY(tell(&d, e->value, err));
    }
    d.out.items = items;
    d.out.feedback = d.feedback;
    *ret = d.out;
    return GY_OK;
}

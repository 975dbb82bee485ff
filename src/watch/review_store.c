/* SPDX-License-Identifier: Apache-2.0 */
/* The table of review items: from a batch into it, and out of it again. */
#include <math.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/events.h"
#include "store/lineage.h"
#include "watch/review_internal.h"

#define MAX_QUEUES 10000 /* endpoints that a list of queues has */
#define MEDIAN_OF 10000  /* the newest verdicts that a median is taken over */

static struct gy_val text_or_empty(struct gy_str s)
{
    return gy_vs(s.p ? s : GY_STR(""));
}

struct gy_str gy_review_node(struct gy_str endpoint, struct gy_arena *a)
{
    return gy_str_c(gy_arena_printf(a, "reviews:%" GY_STR_F, GY_STR_A(endpoint)));
}

/* ---- queues ---- */

gy_status gy_review_count(struct gy_db *db, const struct gy_review_queue *delta, struct gy_err *err)
{
    return gy_db_exec(
        db,
        "INSERT INTO review_queues (endpoint, open, assigned, done, agreed, simulated, skipped, "
        "actor, created_us) VALUES (?,?,?,?,?,?,?,'gyre',?) "
        "ON CONFLICT (workspace_id, endpoint) DO UPDATE SET "
        "open = review_queues.open + excluded.open, assigned = review_queues.assigned + "
        "excluded.assigned, "
        "done = review_queues.done + excluded.done, agreed = review_queues.agreed + "
        "excluded.agreed, "
        "simulated = review_queues.simulated + excluded.simulated, skipped = review_queues.skipped "
        "+ excluded.skipped",
        GY_VALS(gy_vs(delta->endpoint), gy_vi(delta->open), gy_vi(delta->assigned),
                gy_vi(delta->done), gy_vi(delta->agreed), gy_vi(delta->simulated),
                gy_vi(delta->skipped), gy_vi(gy_now_us())),
        NULL, err);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of the newest predictions that are decided. */
static gy_status median_hours(struct gy_db *db, struct gy_review_queue *q, struct gy_arena *a,
                              struct gy_err *err)
{
    double *hours = gy_arena_calloc(a, MEDIAN_OF, sizeof *hours);
    if (!hours) {
        return gy_review_nomem(err);
    }
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT decided_us - created_us FROM reviews WHERE state = 'done' AND "
                       "endpoint = ? ORDER BY prediction_id DESC, row DESC LIMIT ?",
                       GY_VALS(gy_vs(q->endpoint), gy_vi(MEDIAN_OF)), &st, err));
    size_t n = 0;
    bool row = false;
    GY_TRY(gy_stmt_step(st, &row, err));
    while (row && n < MEDIAN_OF) {
        hours[n++] = (double)gy_col_i64(st, 0) / 3.6e9;
        GY_TRY(gy_stmt_step(st, &row, err));
    }
    qsort(hours, n, sizeof *hours, by_size);
    q->median_hours = n ? (hours[(n - 1) / 2] + hours[n / 2]) / 2 : NAN;
    return GY_OK;
}

gy_status gy_review_queues(struct gy_db *db, struct gy_str endpoint, bool medians,
                           struct gy_arena *a, struct gy_review_queue **ret, size_t *ret_n,
                           struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    struct gy_review_queue *list = NULL;
    size_t n = 0, cap = 0;
    GY_TRY(gy_db_query(db,
                       "SELECT endpoint, open, assigned, done, agreed, simulated, skipped FROM "
                       "review_queues WHERE (? = '' OR endpoint = ?) ORDER BY endpoint LIMIT ?",
                       GY_VALS(text_or_empty(endpoint), text_or_empty(endpoint), gy_vi(MAX_QUEUES)),
                       &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        if (n == cap) {
            struct gy_review_queue *more = gy_arena_calloc(a, cap * 2 + 16, sizeof *more);
            if (!more) {
                return gy_review_nomem(err);
            }
            if (n) {
                memcpy(more, list, n * sizeof *more);
            }
            list = more;
            cap = cap * 2 + 16;
        }
        struct gy_review_queue *q = &list[n++];
        GY_TRY(gy_col_copy(st, 0, a, &q->endpoint, err));
        int64_t *counts[] = {&q->open,   &q->assigned,  &q->done,
                             &q->agreed, &q->simulated, &q->skipped};
        for (int i = 0; i < 6; i++) {
            *counts[i] = gy_col_i64(st, i + 1);
        }
        q->median_hours = NAN;
    }
    for (size_t i = 0; medians && i < n; i++) {
        GY_TRY(median_hours(db, &list[i], a, err));
    }
    *ret = list;
    *ret_n = n;
    return GY_OK;
}

/* ---- storing ---- */

/* What a batch does to the queue of one endpoint. */
struct filling {
    struct gy_review_queue delta;
    int64_t undecided; /* before this batch */
};

static gy_status filling_of(struct gy_db *db, struct gy_map *map, struct gy_str endpoint,
                            struct gy_arena *a, struct filling **ret, struct gy_err *err)
{
    *ret = gy_map_get(map, endpoint);
    if (*ret) {
        return GY_OK;
    }
    struct filling *f = gy_arena_calloc(a, 1, sizeof *f);
    bool found;
    if (!f) {
        return gy_review_nomem(err);
    }
    f->delta.endpoint = endpoint;
    GY_TRY(gy_db_get_i64(db, "SELECT open + assigned FROM review_queues WHERE endpoint = ?",
                         GY_VALS(gy_vs(endpoint)), &found, &f->undecided, err));
    GY_TRY(gy_map_put(map, endpoint, f, err));
    *ret = f;
    return GY_OK;
}

static gy_status insert(struct gy_db *db, const struct gy_review_item *item, int64_t now_us,
                        int64_t *ret_added, struct gy_err *err)
{
    const struct gy_review *r = &item->r;
    return gy_db_exec(
        db,
        "INSERT INTO reviews (prediction_id, row, endpoint, revision, model_version, request_id, "
        "request_rows, predicted, score, margin, rule, rule_reason, inputs, policy, picked_by, "
        "probability, blind, state, predicted_us, actor, created_us) "
        "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,'open',?,?,?) ON CONFLICT DO NOTHING",
        GY_VALS(gy_vs(r->prediction_id), gy_vi(r->row), gy_vs(r->endpoint), gy_vi(r->revision),
                text_or_empty(r->model_version), text_or_empty(r->request_id),
                gy_vi(r->request_rows), gy_vs(r->predicted), gy_vf(r->score), gy_vf(r->margin),
                gy_vs(r->rule), gy_vs(r->rule_reason), gy_vs(r->inputs), gy_vs(r->policy),
                gy_vs(r->picked_by), gy_vf(r->probability), gy_vi(r->blind), gy_vi(r->predicted_us),
                gy_vs(item->actor.n ? item->actor : GY_STR("gyre")), gy_vi(now_us)),
        ret_added, err);
}

/* A record that is read again, as after a restart, has rows that are in the queue already. */
static gy_status is_stored(struct gy_db *db, const struct gy_review *r, bool *ret,
                           struct gy_err *err)
{
    int64_t one = 0;
    return gy_db_get_i64(db, "SELECT 1 FROM reviews WHERE prediction_id = ? AND row = ?",
                         GY_VALS(gy_vs(r->prediction_id), gy_vi(r->row)), ret, &one, err);
}

static gy_status tell_created(struct gy_db *db, const struct filling *f, struct gy_arena *a,
                              struct gy_err *err)
{
    const struct gy_review_queue *d = &f->delta;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf data;
    struct gy_jw w;
    gy_buf_init(&data, GY_MIB);
    gy_jw_init(&w, &data);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "endpoint", d->endpoint);
    gy_jw_kv_i64(&w, "count", d->open);
    gy_jw_kv_i64(&w, "undecided", f->undecided + d->open);
    gy_jw_kv_i64(&w, "skipped", d->skipped);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&data, "the event", err));
    struct gy_str node = gy_review_node(d->endpoint, a);
    if (!node.p) {
        return gy_review_nomem(err);
    }
    return gy_event_add(db, "review.created", node, GY_STR("gyre"), gy_buf_str(&data), err);
}

gy_status gy_review_store(struct gy_db *db, const struct gy_review_batch *b, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO_DONE(gy_map_done) struct gy_map map;
    gy_arena_init(&a, 16 * GY_MIB);
    gy_map_init(&map, MAX_QUEUES);
    int64_t now_us = gy_now_us();
    for (const struct gy_review_item *i = gy_review_batch_first(b); i; i = i->next) {
        struct filling *f;
        GY_TRY(filling_of(db, &map, i->r.endpoint, &a, &f, err));
        if (f->undecided + f->delta.open >= i->max_open) {
            bool stored = false;
            GY_TRY(is_stored(db, &i->r, &stored, err));
            f->delta.skipped += !stored;
            continue;
        }
        int64_t added = 0;
        GY_TRY(insert(db, i, now_us, &added, err));
        f->delta.open += added;
    }
    size_t pos = 0;
    for (struct gy_map_entry *e = gy_map_next(&map, &pos); e; e = gy_map_next(&map, &pos)) {
        const struct filling *f = e->value;
        if (f->delta.open > 0 || f->delta.skipped > 0) {
            GY_TRY(gy_review_count(db, &f->delta, err));
        }
        if (f->delta.open > 0) {
            GY_TRY(tell_created(db, f, &a, err));
        }
    }
    return GY_OK;
}

/* ---- reading ---- */

#define PROBLEMS(what, order)                                                                     \
    "(SELECT " what " FROM problems p WHERE p.prediction_id = reviews.prediction_id AND p.row = " \
    "reviews.row" order ")"
#define COLUMNS                                                                                    \
    "SELECT prediction_id, endpoint, model_version, request_id, predicted, rule, rule_reason, "    \
    "inputs, policy, picked_by, state, assignee, verdict, reason, reviewer, tags, row, "           \
    "request_rows, revision, score, margin, probability, blind, agrees, simulated, predicted_us, " \
    "created_us, assigned_us, decided_us, " PROBLEMS("COUNT(*)", "") ", " PROBLEMS(                \
        "p.reason", " ORDER BY p.id DESC LIMIT 1") " FROM reviews "

static gy_status read_item(struct gy_stmt *st, struct gy_arena *a, struct gy_review *r,
                           struct gy_err *err)
{
    struct gy_str *texts[] = {&r->prediction_id, &r->endpoint,  &r->model_version, &r->request_id,
                              &r->predicted,     &r->rule,      &r->rule_reason,   &r->inputs,
                              &r->policy,        &r->picked_by, &r->state,         &r->assignee,
                              &r->verdict,       &r->reason,    &r->reviewer,      &r->tags};
    for (int i = 0; i < 16; i++) {
        GY_TRY(gy_col_copy(st, i, a, texts[i], err));
    }
    r->row = gy_col_i64(st, 16);
    r->request_rows = gy_col_i64(st, 17);
    r->revision = gy_col_i64(st, 18);
    r->score = gy_col_null(st, 19) ? NAN : gy_col_f64(st, 19);
    r->margin = gy_col_f64(st, 20);
    r->probability = gy_col_null(st, 21) ? NAN : gy_col_f64(st, 21);
    r->blind = gy_col_i64(st, 22) != 0;
    r->agrees = gy_col_i64(st, 23) != 0;
    r->simulated = gy_col_i64(st, 24) != 0;
    r->predicted_us = gy_col_i64(st, 25);
    r->created_us = gy_col_i64(st, 26);
    r->assigned_us = gy_col_i64(st, 27);
    r->decided_us = gy_col_i64(st, 28);
    r->problems = gy_col_i64(st, 29);
    GY_TRY(gy_col_copy(st, 30, a, &r->problem, err));
    return GY_OK;
}

gy_status gy_review_get(struct gy_db *db, struct gy_str prediction_id, int64_t row,
                        struct gy_arena *a, struct gy_review *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    bool found = false;
    GY_TRY(gy_db_query(db, COLUMNS "WHERE prediction_id = ? AND row = ?",
                       GY_VALS(gy_vs(prediction_id), gy_vi(row)), &st, err));
    GY_TRY(gy_stmt_step(st, &found, err));
    if (!found) {
        return gy_err_set(err, GY_E_NOTFOUND, "no review of prediction %" GY_STR_F ", row %lld",
                          GY_STR_A(prediction_id), (long long)row);
    }
    return read_item(st, a, ret, err);
}

/* The statement of a list; each '?' is one of `vals`, in order. */
static gy_status build(struct gy_db *db, const struct gy_review_query *q, struct gy_buf *sql,
                       struct gy_val vals[16], size_t *ret_n, struct gy_err *err)
{
    size_t n = 0;
    bool nearest = q->order == GY_REVIEW_NEAREST;
    gy_buf_addc(sql, COLUMNS "WHERE 1 = 1");
    if (q->endpoint.p) {
        gy_buf_addc(sql, " AND endpoint = ?");
        vals[n++] = gy_vs(q->endpoint);
    }
    if (q->state.p || nearest) {
        gy_buf_addc(sql, " AND state = ?");
        vals[n++] = gy_vs(q->state.p ? q->state : GY_STR("open"));
    }
    if (q->assignee.p) {
        gy_buf_addc(sql, " AND assignee = ?");
        vals[n++] = gy_vs(q->assignee);
    }
    if (q->since_us) {
        gy_buf_addc(sql, " AND decided_us >= ?");
        vals[n++] = gy_vi(q->since_us);
    }
    if (q->after_id.p && nearest) {
        GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
        gy_arena_init(&a, 16 * GY_MIB);
        struct gy_review last;
        GY_TRY(gy_review_get(db, q->after_id, q->after_row, &a, &last, err));
        gy_buf_addc(sql, " AND (margin, prediction_id, row) > (?, ?, ?)");
        vals[n++] = gy_vf(last.margin);
    } else if (q->after_id.p) {
        gy_buf_addc(sql, q->order == GY_REVIEW_NEWEST ? " AND (prediction_id, row) < (?, ?)"
                                                      : " AND (prediction_id, row) > (?, ?)");
    }
    if (q->after_id.p) {
        vals[n++] = gy_vs(q->after_id);
        vals[n++] = gy_vi(q->after_row);
    }
    static const char *const orders[] = {" ORDER BY prediction_id, row LIMIT ?",
                                         " ORDER BY prediction_id DESC, row DESC LIMIT ?",
                                         " ORDER BY margin, prediction_id, row LIMIT ?"};
    gy_buf_addc(sql, orders[q->order]);
    vals[n++] = gy_vi((int64_t)q->limit);
    *ret_n = n;
    return gy_buf_check(sql, "the question", err);
}

gy_status gy_review_list(struct gy_db *db, const struct gy_review_query *q, struct gy_arena *a,
                         struct gy_review **ret, size_t *ret_n, struct gy_err *err)
{
    if (q->limit < 1 || q->limit > GY_REVIEW_MAX_LIST) {
        return gy_err_set(err, GY_E_INVALID, "reviews come 1 to %d at a time", GY_REVIEW_MAX_LIST);
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf sql;
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    struct gy_val vals[16];
    size_t n_vals, n = 0;
    gy_buf_init(&sql, 4 * GY_KIB);
    GY_TRY(build(db, q, &sql, vals, &n_vals, err));
    struct gy_review *list = gy_arena_calloc(a, q->limit, sizeof *list);
    if (!list) {
        return gy_review_nomem(err);
    }
    GY_TRY(gy_db_query(db, sql.p, vals, n_vals, &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row || n == q->limit) {
            break;
        }
        GY_TRY(read_item(st, a, &list[n++], err));
    }
    *ret = list;
    *ret_n = n;
    return GY_OK;
}

/* ---- telling ---- */

static void kv_number(struct gy_jw *w, const char *key, double v, bool hidden)
{
    if (hidden || isnan(v)) {
        gy_jw_kv_null(w, key);
    } else {
        gy_jw_kv_f64(w, key, v);
    }
}

static void kv_json(struct gy_jw *w, const char *key, struct gy_str json)
{
    gy_jw_key(w, key);
    if (json.n) {
        gy_jw_raw(w, json);
    } else {
        gy_jw_null(w);
    }
}

static void kv_time(struct gy_jw *w, const char *key, int64_t time_us)
{
    char text[32];
    if (time_us) {
        gy_jw_kv_str(w, key, gy_str_n(text, gy_time_iso(time_us, text)));
    } else {
        gy_jw_kv_null(w, key);
    }
}

static void write_verdict(struct gy_jw *w, const struct gy_review *r)
{
    gy_jw_kv_str(w, "verdict", r->verdict);
    gy_jw_key(w, "agrees");
    if (r->verdict.p) {
        gy_jw_bool(w, r->agrees);
    } else {
        gy_jw_null(w);
    }
    gy_jw_kv_str(w, "reason", r->reason);
    kv_json(w, "tags", r->tags.p ? r->tags : GY_STR("[]"));
    gy_jw_kv_str(w, "reviewer", r->reviewer);
}

void gy_review_write(struct gy_jw *w, const struct gy_review *r)
{
    bool hidden = r->blind && !r->verdict.p;
    gy_jw_obj(w);
    gy_jw_kv_str(w, "prediction_id", r->prediction_id);
    gy_jw_kv_i64(w, "row", r->row);
    gy_jw_kv_i64(w, "rows", r->request_rows);
    gy_jw_kv_str(w, "request_id", r->request_id);
    gy_jw_kv_str(w, "endpoint", r->endpoint);
    gy_jw_kv_i64(w, "revision", r->revision);
    gy_jw_kv_str(w, "model_version", r->model_version);
    gy_jw_kv_str(w, "state", r->state);
    gy_jw_kv_bool(w, "blind", r->blind);
    gy_jw_kv_bool(w, "hidden", hidden);
    kv_json(w, "inputs", r->inputs);
    gy_jw_kv_str(w, "predicted", hidden ? GY_STR_NULL : r->predicted);
    kv_number(w, "score", r->score, hidden);
    kv_number(w, "margin", r->margin, hidden || r->margin >= GY_REVIEW_NO_MARGIN);
    gy_jw_kv_str(w, "rule", hidden ? GY_STR_NULL : r->rule);
    gy_jw_kv_str(w, "rule_reason", hidden ? GY_STR_NULL : r->rule_reason);
    kv_json(w, "policy", r->policy);
    /* Which branch picked it, and so with what chance, tells of the score or the rule. */
    gy_jw_kv_str(w, "picked_by", hidden ? GY_STR_NULL : r->picked_by);
    kv_number(w, "probability", r->probability, hidden);
    gy_jw_kv_str(w, "assignee", r->assignee);
    write_verdict(w, r);
    gy_jw_kv_bool(w, "simulated", r->simulated);
    gy_jw_kv_i64(w, "problems", r->problems);
    gy_jw_kv_str(w, "problem", r->problem);
    kv_time(w, "predicted_at", r->predicted_us);
    kv_time(w, "created", r->created_us);
    kv_time(w, "assigned", r->assigned_us);
    kv_time(w, "decided", r->decided_us);
    gy_jw_obj_end(w);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/logquery.h"

#include <math.h>

#include "base/expr.h"
#include "base/file.h"
#include "base/mem.h"
#include "serve/gap.h"
#include "serve/tail.h"

#define BATCH 1024
#define EXTRA 3 /* slots behind the inputs: prediction, probability, latency_us */
/* An id is made before its prediction is logged, by the time it takes; clocks are set. */
#define SLACK_US ((int64_t)10 * 60 * 1000000)

/* A where, compiled for one revision. */
struct compiled {
    const struct gy_shape *shape;
    struct gy_expr *expr; /* NULL: it names what the revision does not have */
    struct compiled *next;
};

struct walk {
    const struct gy_logquery *q;
    struct gy_log_marks *place;
    gy_logquery_fn fn;
    void *ctx;
    struct gy_logquery_result *ret;
    struct compiled *compiled;
    size_t n_compiled;
    bool ended;         /* a bound was reached */
    uint64_t looked_at; /* bytes of the log */
    /* Of the stream whose segments are listed one after the other: something young was seen. */
    unsigned char young_boot[16];
    uint32_t young_ring;
    bool any_young;
    struct gy_arena a; /* of one record */
};

static int64_t id_us(const unsigned char id[16])
{
    int64_t ms = 0;
    for (int i = 0; i < 6; i++) {
        ms = ms << 8 | id[i];
    }
    return ms * 1000;
}

/* ---- where to begin ---- */

static bool is_young(struct walk *w, const char *path, const unsigned char boot[16], uint32_t ring,
                     struct gy_segment_info *info)
{
    unsigned char least[16], greatest[16];
    uint64_t n = 0;
    if (w->any_young && w->young_ring == ring && memcmp(w->young_boot, boot, 16) == 0) {
        return true; /* what comes behind it must be read, whatever the clock said */
    }
    if (gy_segment_ids(path, least, greatest, &n, NULL) == GY_OK && n > 0 &&
        id_us(greatest) + SLACK_US < w->q->since_us &&
        gy_segment_sealed(path, info, NULL) == GY_OK) {
        return false;
    }
    w->any_young = true;
    w->young_ring = ring;
    memcpy(w->young_boot, boot, 16);
    return true;
}

/* A sealed segment without anything young enough is as if it had been read. */
static gy_status pass_over(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct walk *w = ctx;
    unsigned char boot[16];
    uint32_t ring, number;
    char path[GY_MAX_PATH];
    struct gy_segment_info info;
    if (is_dir || !gy_segment_parse_name(name, boot, &ring, &number)) {
        return GY_OK;
    }
    GY_TRY(gy_path_join(path, sizeof path, w->q->dir, name, err));
    if (is_young(w, path, boot, ring, &info)) {
        return GY_OK;
    }
    const struct gy_log_mark *have = gy_log_marks_get(w->place, boot, ring);
    return have && have->seq >= info.last_seq
               ? GY_OK
               : gy_log_marks_set(w->place, boot, ring, info.last_seq, 0, err);
}

/* ---- where ---- */

static bool resolve(void *ctx, struct gy_str name, size_t *ret_slot, enum gy_expr_type *ret_type)
{
    static const char *const extra[EXTRA] = {"prediction", "probability", "latency_us"};
    const struct gy_shape *s = ctx;
    *ret_type = GY_EXPR_NUM;
    for (size_t i = 0; i < s->n_inputs; i++) {
        if (gy_str_eq(s->inputs[i], name)) {
            *ret_slot = i;
            return true;
        }
    }
    for (size_t i = 0; i < EXTRA; i++) {
        if (gy_str_eqc(name, extra[i])) {
            *ret_slot = s->n_inputs + i;
            return true;
        }
    }
    return false;
}

static gy_status compile(struct walk *w, const struct gy_shape *s, const struct gy_expr **ret,
                         struct gy_err *err)
{
    struct compiled *c = w->compiled;
    while (c && c->shape != s) {
        c = c->next;
    }
    if (!c) {
        c = w->n_compiled++ < GY_LOGQUERY_MAX_REVISIONS ? gy_calloc(1, sizeof *c) : NULL;
        if (!c) {
            return gy_err_set(err, GY_E_NOMEM, "a condition on logged rows");
        }
        c->shape = s;
        c->next = w->compiled;
        w->compiled = c;
        struct gy_err why = GY_ERR_INIT;
        if (gy_expr_compile(w->q->where, resolve, (void *)(uintptr_t)s, &c->expr, &why) == GY_OK) {
            w->ret->right = true;
            w->ret->wrong = (struct gy_err)GY_ERR_INIT;
        } else if (!w->ret->right) {
            w->ret->wrong = why;
        }
    }
    *ret = c->expr;
    return GY_OK;
}

static bool row_matches(const struct gy_expr *e, const struct gy_shape *s,
                        const struct gy_record *r, uint32_t row, double *slots)
{
    const double *out = r->outputs + (size_t)row * r->n_outputs;
    memcpy(slots, r->inputs + (size_t)row * r->n_inputs, r->n_inputs * sizeof *slots);
    slots[s->n_inputs] = r->n_outputs ? out[0] : NAN;
    slots[s->n_inputs + 1] = r->n_outputs ? gy_shape_score(s, out, r->n_outputs) : NAN;
    slots[s->n_inputs + 2] = (double)r->latency_ns / 1e3;
    return gy_expr_test_f64(e, slots, s->n_inputs + EXTRA) == 1;
}

/* Which rows; *ret_n: how many. */
static gy_status match_rows(struct walk *w, const struct gy_record *r, const struct gy_shape *s,
                            bool *rows, uint32_t *ret_n, struct gy_err *err)
{
    const struct gy_expr *e = NULL;
    double *slots = gy_arena_calloc(&w->a, (size_t)r->n_inputs + EXTRA, sizeof *slots);
    if (!slots) {
        return gy_err_set(err, GY_E_NOMEM, "a condition on logged rows");
    }
    if (w->q->where.n) {
        if (!s || s->n_inputs != r->n_inputs) {
            return GY_OK; /* nobody knows what its values are called */
        }
        GY_TRY(compile(w, s, &e, err));
        if (!e) {
            return GY_OK;
        }
    }
    for (uint32_t i = 0; i < r->n_rows; i++) {
        rows[i] = !e || (!gy_gap_row(r, i) && row_matches(e, s, r, i, slots));
        *ret_n += rows[i];
    }
    return GY_OK;
}

static bool is_asked_for(const struct gy_logquery *q, const struct gy_record *r)
{
    return (!q->since_us || r->time_us >= q->since_us) &&
           (!q->until_us || r->time_us < q->until_us) &&
           (!q->endpoint.n || gy_str_eq(q->endpoint, r->endpoint)) &&
           (!q->version.n || gy_str_eq(q->version, r->model_version)) &&
           (!q->request_id.n || gy_str_eq(q->request_id, r->request_id));
}

/* Is there no room for another record? */
static bool is_full(const struct walk *w)
{
    const struct gy_logquery *q = w->q;
    return (q->max_records && w->ret->records >= q->max_records) ||
           (q->written && w->ret->records && *q->written >= q->max_bytes);
}

static gy_status end_page(struct walk *w, struct gy_err *err)
{
    w->ret->more = w->ended = true;
    return gy_err_set(err, GY_E_CANCELLED, "the page is full"); /* the record comes again */
}

static gy_status one_record(void *ctx, const struct gy_log_place *place, const struct gy_record *r,
                            struct gy_err *err)
{
    struct walk *w = ctx;
    const struct gy_shape *shape = NULL;
    uint32_t n = 0;
    w->ret->scanned++;
    if (w->q->until_us && id_us(place->boot) - SLACK_US > w->q->until_us) {
        w->ended = true; /* this server and all that follow started later */
        return gy_err_set(err, GY_E_CANCELLED, "the end");
    }
    if (w->q->max_scan_bytes && w->looked_at >= w->q->max_scan_bytes) {
        return end_page(w, err);
    }
    w->looked_at += gy_record_frame_bytes(r);
    if (!is_asked_for(w->q, r)) {
        return GY_OK;
    }
    if (is_full(w)) {
        return end_page(w, err);
    }
    gy_arena_reset(&w->a);
    bool *rows = gy_arena_calloc(&w->a, (size_t)r->n_rows + 1, sizeof *rows);
    if (!rows) {
        return gy_err_set(err, GY_E_NOMEM, "logged rows");
    }
    gy_status st = gy_shapes_get(w->q->shapes, r->endpoint, r->revision, &shape, err);
    if (st == GY_E_NOTFOUND || st == GY_E_CORRUPT || st == GY_E_TOOBIG) {
        shape = NULL;
    } else {
        GY_TRY(st);
    }
    GY_TRY(match_rows(w, r, shape, rows, &n, err));
    if (n == 0) {
        return GY_OK;
    }
    w->ret->records++;
    w->ret->rows += n;
    return w->fn(w->ctx, r, rows, shape, err);
}

static gy_status read_on(struct walk *w, struct gy_log_cursor *c, struct gy_err *err)
{
    for (size_t n = BATCH; n == BATCH && !w->ended;) {
        struct gy_err why = GY_ERR_INIT;
        gy_status st = gy_log_tail(c, BATCH, one_record, w, &n, &why);
        if (st != GY_OK && !w->ended) {
            if (err) {
                *err = why;
            }
            return st;
        }
    }
    return gy_log_marks_copy(w->place, gy_log_cursor_marks(c), err);
}

static bool resolve_any(void *ctx, struct gy_str name, size_t *ret_slot,
                        enum gy_expr_type *ret_type)
{
    (void)ctx;
    (void)name;
    *ret_slot = 0;
    *ret_type = GY_EXPR_NUM;
    return true;
}

/* What is no expression for any inputs is refused at once, whatever is logged. */
static gy_status check_where(struct gy_str where, struct gy_err *err)
{
    struct gy_expr *e = NULL;
    gy_status st = where.n ? gy_expr_compile(where, resolve_any, NULL, &e, err) : GY_OK;
    gy_expr_free(e);
    return st == GY_OK ? GY_OK : gy_err_wrap(err, "where");
}

static gy_status run(struct walk *w, struct gy_err *err)
{
    GY_AUTO(gy_log_cursor_free) struct gy_log_cursor *c = NULL;
    bool whole = w->place->n == 0; /* else others may have seen revisions of which it is right */
    GY_TRY(check_where(w->q->where, err));
    if (!gy_path_is_dir(w->q->dir)) {
        return GY_OK;
    }
    if (w->q->since_us) {
        GY_TRY(gy_dir_each(w->q->dir, pass_over, w, err));
    }
    GY_TRY(gy_log_cursor_new(w->q->dir, &c, err));
    GY_TRY(gy_log_cursor_seek(c, w->place, err));
    GY_TRY(read_on(w, c, err));
    if (w->ret->wrong.code != GY_OK && whole && !w->ret->more) {
        if (err) {
            *err = w->ret->wrong;
        }
        return gy_err_wrap(err, "where");
    }
    return GY_OK;
}

gy_status gy_logquery_run(const struct gy_logquery *q, struct gy_log_marks *place,
                          gy_logquery_fn fn, void *ctx, struct gy_logquery_result *ret,
                          struct gy_err *err)
{
    struct walk w = {.q = q, .place = place, .fn = fn, .ctx = ctx, .ret = ret};
    *ret = (struct gy_logquery_result){.wrong = GY_ERR_INIT};
    gy_arena_init(&w.a, GY_MAX_REQUEST_ARENA);
    gy_status st = run(&w, err);
    while (w.compiled) {
        struct compiled *next = w.compiled->next;
        gy_expr_free(w.compiled->expr);
        gy_free(w.compiled);
        w.compiled = next;
    }
    gy_arena_done(&w.a);
    return st;
}

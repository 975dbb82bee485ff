/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/subject.h"

#include <math.h>
#include <stdlib.h>

#include "base/id.h"
#include "base/mem.h"
#include "base/time.h"
#include "watch/feedback.h"
#include "watch/problem.h"
#include "watch/review_internal.h"

#define BATCH 500         /* rows that one closure removes */
#define PAGE_ARENA GY_GIB /* of a page of reviews */
#define MAX_FOUND GY_GIB  /* bytes of what is to be removed */
#define ENTRY 20          /* id, row as big endian */

/* ---- rows of predictions ---- */

void gy_subject_rows_init(struct gy_subject_rows *r)
{
    *r = (struct gy_subject_rows){.sorted = true};
    gy_buf_init(&r->entries, (size_t)GY_SUBJECT_MAX_ROWS * ENTRY);
}

void gy_subject_rows_done(struct gy_subject_rows *r)
{
    gy_buf_done(&r->entries);
}

static void make_entry(const unsigned char id[16], uint32_t row, unsigned char out[ENTRY])
{
    memcpy(out, id, 16);
    for (int i = 0; i < 4; i++) {
        out[16 + i] = (unsigned char)(row >> (24 - 8 * i));
    }
}

gy_status gy_subject_rows_add(struct gy_subject_rows *r, const unsigned char id[16], uint32_t row,
                              struct gy_err *err)
{
    unsigned char entry[ENTRY];
    make_entry(id, row, entry);
    gy_buf_add_bytes(&r->entries, entry, sizeof entry);
    r->sorted = false;
    return gy_buf_check(&r->entries, "rows of predictions", err);
}

static int entry_cmp(const void *a, const void *b)
{
    return memcmp(a, b, ENTRY);
}

bool gy_subject_rows_has(struct gy_subject_rows *r, const unsigned char id[16], uint32_t row)
{
    unsigned char entry[ENTRY];
    size_t n = gy_subject_rows_count(r);
    if (n == 0) {
        return false;
    }
    if (!r->sorted) {
        qsort(r->entries.p, n, ENTRY, entry_cmp);
        r->sorted = true;
    }
    make_entry(id, row, entry);
    return bsearch(entry, r->entries.p, n, ENTRY, entry_cmp) != NULL;
}

size_t gy_subject_rows_count(const struct gy_subject_rows *r)
{
    return r->entries.n / ENTRY;
}

/* ---- what both share ---- */

static bool in_text(const struct gy_subject_judged *o, struct gy_str text)
{
    return text.n > 0 && gy_subject_named(o->subject, text, NULL, NULL);
}

static bool is_column(const struct gy_subject_judged *o, struct gy_str name)
{
    for (size_t i = 0; i < o->n_columns; i++) {
        if (gy_str_eq(o->columns[i], name)) {
            return true;
        }
    }
    return false;
}

/* The inputs of a review. */
static bool inputs_name(const struct gy_subject_judged *o, struct gy_str json)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (!json.n || gy_json_parse(json, &doc, NULL) != GY_OK) {
        return false;
    }
    yyjson_obj_iter it = yyjson_obj_iter_with(yyjson_doc_get_root(doc));
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        yyjson_val *v = yyjson_obj_iter_get_val(key);
        if (!is_column(o, gy_json_val_str(key))) {
            continue;
        }
        if (yyjson_is_num(v) ? gy_subject_is_number(o->subject, yyjson_get_num(v))
                             : yyjson_is_str(v) && gy_subject_is(o->subject, gy_json_val_str(v))) {
            return true;
        }
    }
    return false;
}

static bool row_goes(const struct gy_subject_judged *o, struct gy_str prediction_id, int64_t row)
{
    unsigned char id[16];
    return gy_uuid_parse(prediction_id, id, NULL) == GY_OK &&
           gy_subject_rows_has(o->rows, id, (uint32_t)row);
}

static gy_status tell(const struct gy_subject_judged *o, struct gy_buf *json, struct gy_err *err)
{
    GY_TRY(gy_buf_check(json, "what is told of a subject", err));
    return o->fn(o->ctx, gy_buf_str(json), err);
}

/* ---- reviews ---- */

struct page {
    struct gy_review_query q;
    struct gy_arena a;
    struct gy_review *list;
    size_t n;
};

static gy_status read_page(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct page *p = ctx;
    return gy_review_list(db, &p->q, &p->a, &p->list, &p->n, err);
}

static bool review_goes(const struct gy_subject_judged *o, const struct gy_review *r)
{
    return row_goes(o, r->prediction_id, r->row) ||
           (r->request_id.n && gy_subject_in(o->subject, r->request_id, NULL, NULL)) ||
           inputs_name(o, r->inputs) || in_text(o, r->reason) || in_text(o, r->tags) ||
           in_text(o, r->inputs);
}

struct removing {
    const struct gy_review *list;
    size_t n;
};

static gy_status remove_reviews(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct removing *x = ctx;
    for (size_t i = 0; i < x->n; i++) {
        const struct gy_review *r = &x->list[i];
        int64_t gone = 0;
        GY_TRY(gy_db_exec(db, "DELETE FROM reviews WHERE prediction_id = ? AND row = ?",
                          GY_VALS(gy_vs(r->prediction_id), gy_vi(r->row)), &gone, err));
        bool done = gy_str_eqc(r->state, "done");
        const struct gy_review_queue delta = {
            .endpoint = r->endpoint,
            .open = -gy_str_eqc(r->state, "open"),
            .assigned = -gy_str_eqc(r->state, "assigned"),
            .done = -(int64_t)done,
            .agreed = -(int64_t)(done && r->agrees),
            .simulated = -(int64_t)(done && r->simulated),
        };
        if (gone) {
            GY_TRY(gy_review_count(db, &delta, err));
        }
    }
    return GY_OK;
}

/* Those of a page that go are moved to its front. */
static gy_status take_page(struct gy_store *store, const struct gy_subject_judged *o,
                           struct page *p, int64_t *ret_n, struct gy_err *err)
{
    struct removing x = {.list = p->list};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, 16 * GY_MIB);
    for (size_t i = 0; i < p->n; i++) {
        if (!review_goes(o, &p->list[i])) {
            continue;
        }
        p->list[x.n++] = p->list[i];
        if (o->fn) {
            struct gy_jw w;
            gy_buf_reset(&json);
            gy_jw_init(&w, &json);
            struct gy_review shown = p->list[i];
            shown.blind = false; /* a person may know what was said of them */
            gy_review_write(&w, &shown);
            GY_TRY(tell(o, &json, err));
        }
    }
    *ret_n += (int64_t)x.n;
    return o->remove && x.n ? gy_store_write(store, remove_reviews, &x, err) : GY_OK;
}

gy_status gy_subject_reviews(struct gy_store *store, const struct gy_subject_judged *o,
                             int64_t *ret_n, struct gy_err *err)
{
    struct page p = {.q = {.order = GY_REVIEW_OLDEST, .limit = GY_REVIEW_MAX_LIST}};
    char last[GY_UUID_TEXT];
    gy_status status = GY_OK;
    *ret_n = 0;
    gy_arena_init(&p.a, PAGE_ARENA);
    for (bool more = true; more && status == GY_OK;) {
        gy_arena_reset(&p.a);
        status = gy_store_read(store, read_page, &p, err);
        more = status == GY_OK && p.n == GY_REVIEW_MAX_LIST;
        if (more) { /* before the list is changed */
            const struct gy_review *r = &p.list[p.n - 1];
            size_t n = r->prediction_id.n < sizeof last ? r->prediction_id.n : sizeof last - 1;
            memcpy(last, r->prediction_id.p, n);
            p.q.after_id = gy_str_n(last, n);
            p.q.after_row = r->row;
        }
        if (status == GY_OK) {
            status = take_page(store, o, &p, ret_n, err);
        }
    }
    gy_arena_done(&p.a);
    return status;
}

/* ---- problems ---- */

struct problem_page {
    struct gy_str after;
    struct gy_arena a;
    struct gy_problem *list;
    size_t n, n_go; /* those that go are moved to the front */
};

static gy_status read_problems(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct problem_page *p = ctx;
    return gy_problem_page(db, p->after, GY_PROBLEM_MAX_PAGE, &p->a, &p->list, &p->n, err);
}

static gy_status remove_problems(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct problem_page *p = ctx;
    for (size_t i = 0; i < p->n_go; i++) {
        GY_TRY(gy_problem_remove(db, &p->list[i], err));
    }
    return GY_OK;
}

static gy_status take_problems(struct gy_store *store, const struct gy_subject_judged *o,
                               struct problem_page *p, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, GY_MIB);
    p->n_go = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct gy_problem *one = &p->list[i];
        struct gy_jw w;
        if (!row_goes(o, one->prediction_id, one->row) && !in_text(o, one->reason) &&
            !in_text(o, one->text)) {
            continue;
        }
        p->list[p->n_go++] = *one;
        if (o->fn) {
            gy_buf_reset(&json);
            gy_jw_init(&w, &json);
            gy_problem_write(&w, &p->list[p->n_go - 1]);
            GY_TRY(tell(o, &json, err));
        }
    }
    return o->remove && p->n_go ? gy_store_write(store, remove_problems, p, err) : GY_OK;
}

gy_status gy_subject_problems(struct gy_store *store, const struct gy_subject_judged *o,
                              int64_t *ret_n, struct gy_err *err)
{
    struct problem_page p = {.after = GY_STR_NULL};
    char last[GY_UUID_TEXT];
    gy_status status = GY_OK;
    *ret_n = 0;
    gy_arena_init(&p.a, PAGE_ARENA);
    for (bool more = true; more && status == GY_OK;) {
        gy_arena_reset(&p.a);
        status = gy_store_read(store, read_problems, &p, err);
        more = status == GY_OK && p.n == GY_PROBLEM_MAX_PAGE;
        if (more) { /* before the list is changed */
            struct gy_str id = p.list[p.n - 1].id;
            id.n = id.n < sizeof last ? id.n : sizeof last - 1;
            memcpy(last, id.p, id.n);
            p.after = gy_str_n(last, id.n);
        }
        if (status == GY_OK) {
            status = take_problems(store, o, &p, err);
            *ret_n += (int64_t)p.n_go;
        }
    }
    gy_arena_done(&p.a);
    return status;
}

/* ---- feedback ---- */

/* The key of a piece that goes. */
struct piece {
    bool by_request;
    struct gy_str target, source, label;
    int64_t row, given_us;
};

struct pieces {
    const struct gy_subject_judged *o;
    struct gy_arena a;
    struct piece *list;
    size_t n, cap;
    size_t from, to; /* those that the closure removes */
    struct gy_buf json;
};

static gy_status keep_piece(struct pieces *x, const struct gy_feedback *f, struct gy_err *err)
{
    if (x->n == x->cap) {
        size_t cap = x->cap ? x->cap * 2 : 64;
        struct piece *list = gy_arena_calloc(&x->a, cap, sizeof *list);
        if (!list) {
            return gy_err_set(err, GY_E_NOMEM, "feedback of a subject");
        }
        if (x->n) {
            memcpy(list, x->list, x->n * sizeof *list);
        }
        x->list = list;
        x->cap = cap;
    }
    struct gy_str id = gy_str_n((const char *)f->id, sizeof f->id);
    struct piece *p = &x->list[x->n];
    *p = (struct piece){.by_request = f->by_request,
                        .target = gy_arena_str(&x->a, f->by_request ? f->request_id : id),
                        .source = gy_arena_str(&x->a, f->source),
                        .label = gy_arena_str(&x->a, f->label.p ? f->label : GY_STR("")),
                        .row = f->row,
                        .given_us = f->given_us};
    if (!p->target.p || !p->source.p || !p->label.p) {
        return gy_err_set(err, GY_E_NOMEM, "feedback of a subject");
    }
    x->n++;
    return GY_OK;
}

static gy_status tell_piece(struct pieces *x, const struct gy_feedback *f, struct gy_err *err)
{
    struct gy_jw w;
    char id[GY_UUID_TEXT], time[32];
    gy_buf_reset(&x->json);
    gy_jw_init(&w, &x->json);
    gy_jw_obj(&w);
    if (f->by_request) {
        gy_jw_kv_str(&w, "request_id", f->request_id);
    } else {
        gy_uuid_text(f->id, id);
        gy_jw_kv_strc(&w, "prediction_id", id);
    }
    gy_jw_kv_i64(&w, "row", f->row);
    gy_jw_kv_str(&w, "label", f->label);
    if (!isnan(f->reward)) {
        gy_jw_kv_f64(&w, "reward", f->reward);
    }
    gy_jw_kv_str(&w, "source", f->source);
    gy_jw_kv_str(&w, "actor", f->actor);
    gy_jw_kv_str(&w, "given", gy_str_n(time, gy_time_iso(f->given_us, time)));
    gy_jw_key(&w, "info");
    gy_jw_raw(&w, f->info.n ? f->info : GY_STR("{}"));
    gy_jw_obj_end(&w);
    return tell(x->o, &x->json, err);
}

static gy_status take_piece(void *ctx, const struct gy_feedback *f, struct gy_err *err)
{
    struct pieces *x = ctx;
    const struct gy_subject_judged *o = x->o;
    bool goes = f->by_request ? gy_subject_in(o->subject, f->request_id, NULL, NULL)
                              : gy_subject_rows_has(o->rows, f->id, f->row);
    if (!goes && !in_text(o, f->info)) {
        return GY_OK;
    }
    GY_TRY(keep_piece(x, f, err));
    return o->fn ? tell_piece(x, f, err) : GY_OK;
}

static gy_status read_feedback(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_feedback_each(db, 0, take_piece, ctx, err);
}

static gy_status remove_feedback(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct pieces *x = ctx;
    for (size_t i = x->from; i < x->to; i++) {
        const struct piece *p = &x->list[i];
        GY_TRY(gy_db_exec(db,
                          "DELETE FROM feedback WHERE by_request = ? AND target = ? AND row_no = ? "
                          "AND source = ? AND given_us = ? AND label = ?",
                          GY_VALS(gy_vi(p->by_request), gy_vb(p->target), gy_vi(p->row),
                                  gy_vs(p->source), gy_vi(p->given_us), gy_vs(p->label)),
                          NULL, err));
    }
    return GY_OK;
}

gy_status gy_subject_feedback(struct gy_store *store, const struct gy_subject_judged *o,
                              int64_t *ret_n, struct gy_err *err)
{
    struct pieces x = {.o = o};
    gy_arena_init(&x.a, MAX_FOUND);
    gy_buf_init(&x.json, 16 * GY_MIB);
    gy_status status = gy_store_read(store, read_feedback, &x, err);
    *ret_n = (int64_t)x.n;
    for (size_t at = 0; status == GY_OK && o->remove && at < x.n; at = x.to) {
        x.from = at;
        x.to = x.n - at < BATCH ? x.n : at + BATCH;
        status = gy_store_write(store, remove_feedback, &x, err);
    }
    gy_arena_done(&x.a);
    gy_buf_done(&x.json);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/erase.h"

#include <math.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/time.h"
#include "flow/erase_internal.h"
#include "learn/cells.h"
#include "serve/gap.h"
#include "serve/logging.h"
#include "store/audit.h"
#include "store/scope.h"
#include "watch/subject.h"

/* Tables that an erasure deletes from, and those whose texts it changes. */
static gy_status compact(struct gy_store *store, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf tables;
    gy_buf_init(&tables, 16 * GY_KIB);
    gy_buf_addc(&tables, "reviews, feedback, dataset_letters, artifacts");
    gy_erase_text_tables(&tables);
    gy_buf_add_char(&tables, '\0');
    GY_TRY(gy_buf_check(&tables, "the tables to write anew", err));
    return gy_store_compact(store, tables.p, err);
}

gy_status gy_erasing_nomem(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory looking for a subject");
}

gy_status gy_erasing_add(struct gy_erasing *e, struct gy_str **list, size_t *n, size_t *cap,
                         struct gy_str text, struct gy_err *err)
{
    for (size_t i = 0; i < *n; i++) {
        if (gy_str_eq((*list)[i], text)) {
            return GY_OK;
        }
    }
    if (*n == *cap) {
        size_t more = *cap ? *cap * 2 : 16;
        struct gy_str *bigger = gy_arena_calloc(e->a, more, sizeof *bigger);
        if (!bigger) {
            return gy_erasing_nomem(err);
        }
        if (*n) {
            memcpy(bigger, *list, *n * sizeof **list);
        }
        *list = bigger;
        *cap = more;
    }
    (*list)[*n] = gy_arena_str(e->a, text);
    return (*list)[(*n)++].p ? GY_OK : gy_erasing_nomem(err);
}

struct item {
    struct gy_str erasure, item;
    const char *kind;
    int64_t n;
};

static gy_status add_item(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct item *i = ctx;
    return gy_erasure_item(db, i->erasure, i->kind, i->item, i->n, err);
}

gy_status gy_erasing_tell(struct gy_erasing *e, const char *kind, struct gy_str where, int64_t n,
                          const char *state, struct gy_str note, struct gy_err *err)
{
    bool found = strcmp(state, "found") == 0;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf shown;
    gy_buf_init(&shown, 64 * GY_KIB);
    /* A path or a text may have the id in it: what is written down must not. */
    gy_subject_blank(e->o->subject, gy_str_sub(where, 0, 4000), &shown);
    GY_TRY(gy_buf_check(&shown, "a place", err));
    struct gy_erase_finding f = {kind, where, n, state, note};
    if (found && gy_erasing_takes_out(e)) {
        struct item item = {e->o->erasure->id, gy_buf_str(&shown), kind, n};
        GY_TRY(gy_store_write(e->src->store, add_item, &item, err));
        f.state = "erased";
        f.where = gy_buf_str(&shown);
    }
    e->ret->places += found;
    e->ret->items += found ? n : 0;
    e->ret->possible += strcmp(state, "possible") == 0;
    return e->o->found ? e->o->found(e->o->ctx, &f, err) : GY_OK;
}

gy_status gy_erasing_record(void *erasing, struct gy_str json, struct gy_err *err)
{
    struct gy_erasing *e = erasing;
    return e->o->mode == GY_ERASE_EXPORT && e->o->record
               ? e->o->record(e->o->ctx, e->kind, e->where, json, err)
               : GY_OK;
}

gy_status gy_erasing_progress(struct gy_erasing *e, const char *phase, int64_t done, int64_t total,
                              struct gy_err *err)
{
    return e->o->progress ? e->o->progress(e->o->ctx, phase, done, total, err) : GY_OK;
}

/* ---- predictions, and what hangs on them ---- */

/* Names of inputs of one revision; the log has only their order. */
struct named {
    struct gy_str endpoint;
    uint32_t revision;
    bool *identifies;  /* n of them */
    double *hashed[2]; /* what the id looks like in a column that is logged as a hash; NaN: it is
                          not, as a number and as a text */
    size_t n;
    struct named *next;
};

struct looking {
    struct gy_erasing *e;
    struct named *revisions;
    const struct gy_record *record; /* of which `whole` is known */
    uint64_t seq;
    unsigned char id[16];
    bool known, whole;
    bool untold; /* a record was met of which only the id itself could tell */
    struct gy_subject_rows rows;
    gy_status failed;
    struct gy_err *err;
    struct gy_buf json;
};

struct config_call {
    struct gy_str endpoint;
    uint32_t revision;
    struct gy_arena *a;
    struct gy_str config;
};

static gy_status read_config(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct config_call *c = ctx;
    bool found;
    return gy_db_get_str(db,
                         "SELECT config FROM endpoint_revisions WHERE endpoint = ? AND revision = "
                         "? ORDER BY workspace_id LIMIT 1",
                         GY_VALS(gy_vs(c->endpoint), gy_vi(c->revision)), c->a, &found, &c->config,
                         err);
}

static bool identifies(const struct gy_erasing *e, struct gy_str name)
{
    for (size_t i = 0; i < e->ret->n_columns; i++) {
        if (gy_str_eq(e->columns[i], name)) {
            return true;
        }
    }
    return false;
}

static bool is_text(yyjson_val *config, struct gy_str name)
{
    yyjson_val *all = gy_json_get(config, "described");
    yyjson_val *its = all && name.p ? yyjson_obj_getn(all, name.p, name.n) : NULL;
    return gy_str_eqc(gy_json_str(its, "kind"), "text");
}

/* Columns that identify people and of which the log has a hash, since they are texts
 * (learn/cells.h) or by the endpoint's setting (serve/logging.h): what the subject's id would be
 * there. Of a subject that is itself known by a hash alone that can not be told. */
static gy_status hash_subject(struct looking *l, yyjson_val *config, struct named *one,
                              struct gy_err *err)
{
    const struct gy_subject *s = l->e->o->subject;
    unsigned char key[GY_LOGGING_KEY];
    double number;
    yyjson_val *names = gy_json_get(config, "inputs");
    for (int k = 0; k < 2; k++) {
        one->hashed[k] = gy_arena_calloc(l->e->a, one->n + 1, sizeof *one->hashed[k]);
        if (!one->hashed[k]) {
            return gy_erasing_nomem(err);
        }
    }
    bool can = s->id.p && l->e->o->key;
    bool is_number = can && gy_parse_f64(s->id, &number, NULL) == GY_OK;
    double as_text = s->id.p ? gy_cell_hash(s->id) : NAN;
    if (can) {
        gy_logging_key(l->e->o->key, key);
    }
    for (size_t i = 0; i < one->n; i++) {
        struct gy_str name = gy_json_val_str(yyjson_arr_get(names, i));
        enum gy_log_column how = gy_logging_column_of(config, name);
        bool hashed = one->identifies[i] && how == GY_LOG_HASHED;
        bool text = one->identifies[i] && how == GY_LOG_AS_IS && is_text(config, name);
        l->untold = l->untold || (hashed && !can) || (text && !s->id.p);
        hashed = hashed && can;
        one->hashed[0][i] = hashed && is_number ? gy_logging_hash(key, number) : NAN;
        one->hashed[1][i] = hashed ? gy_logging_hash(key, as_text) : text ? as_text : NAN;
    }
    return GY_OK;
}

/* A revision that can not be read, or is not known here (of gyre serve it has the number 0), has no
 * names: then only request ids tell. */
static gy_status load_revision(struct looking *l, const struct gy_record *r, struct named **ret,
                               struct gy_err *err)
{
    struct gy_erasing *e = l->e;
    struct config_call c = {r->endpoint, r->revision, e->a, GY_STR_NULL};
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct named *one = gy_arena_calloc(e->a, 1, sizeof *one);
    if (!one || !(one->endpoint = gy_arena_str(e->a, r->endpoint)).p) {
        return gy_erasing_nomem(err);
    }
    one->revision = r->revision;
    GY_TRY(gy_store_read(e->src->store, read_config, &c, err));
    if (c.config.n && gy_json_parse(c.config, &doc, NULL) == GY_OK) {
        yyjson_val *names = gy_json_get(yyjson_doc_get_root(doc), "inputs");
        one->n = yyjson_arr_size(names);
        one->identifies = gy_arena_calloc(e->a, one->n + 1, sizeof *one->identifies);
        if (!one->identifies) {
            return gy_erasing_nomem(err);
        }
        for (size_t i = 0; i < one->n; i++) {
            one->identifies[i] = identifies(e, gy_json_val_str(yyjson_arr_get(names, i)));
        }
        GY_TRY(hash_subject(l, yyjson_doc_get_root(doc), one, err));
    }
    l->untold = l->untold || (one->n < r->n_inputs);
    one->next = l->revisions;
    l->revisions = one;
    *ret = one;
    return GY_OK;
}

static gy_status revision_of(struct looking *l, const struct gy_record *r, struct named **ret,
                             struct gy_err *err)
{
    for (struct named *n = l->revisions; n; n = n->next) {
        if (n->revision == r->revision && gy_str_eq(n->endpoint, r->endpoint)) {
            *ret = n;
            return GY_OK;
        }
    }
    return load_revision(l, r, ret, err);
}

static bool input_is(const struct looking *l, const struct named *n, const struct gy_record *r,
                     uint32_t row)
{
    for (size_t i = 0; i < r->n_inputs && i < n->n; i++) {
        double v = r->inputs[(size_t)row * r->n_inputs + i];
        if (n->identifies[i] && (v == n->hashed[0][i] || v == n->hashed[1][i] ||
                                 gy_subject_is_number(l->e->o->subject, v))) {
            return true;
        }
    }
    return false;
}

/* As the export tells a row; the names of values are the trace's business. */
static gy_status tell_row(struct looking *l, const struct gy_record *r, uint32_t row,
                          struct gy_err *err)
{
    struct gy_jw w;
    char id[GY_UUID_TEXT], time[32];
    gy_buf_reset(&l->json);
    gy_jw_init(&w, &l->json);
    gy_jw_obj(&w);
    gy_uuid_text(r->id, id);
    gy_jw_kv_strc(&w, "prediction_id", id);
    gy_jw_kv_i64(&w, "row", (int64_t)r->first_row + row);
    gy_jw_kv_str(&w, "time", gy_str_n(time, gy_time_iso(r->time_us, time)));
    gy_jw_kv_str(&w, "endpoint", r->endpoint);
    gy_jw_kv_i64(&w, "revision", r->revision);
    gy_jw_kv_str(&w, "model_version", r->model_version);
    gy_jw_kv_str(&w, "request_id", r->request_id);
    gy_jw_key(&w, "inputs");
    gy_jw_arr(&w);
    for (size_t i = 0; i < r->n_inputs; i++) {
        gy_jw_f64(&w, r->inputs[(size_t)row * r->n_inputs + i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_key(&w, "outputs");
    gy_jw_arr(&w);
    for (size_t i = 0; i < r->n_outputs; i++) {
        gy_jw_f64(&w, r->outputs[(size_t)row * r->n_outputs + i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&l->json, "a prediction", err));
    return gy_erasing_record(l->e, gy_buf_str(&l->json), err);
}

/* Is the row the subject's: by the request's id, or by an input that identifies people? A failure
 * is kept, since the log's walk takes only a yes or no. */
static bool row_goes(void *ctx, const struct gy_record *r, uint32_t row)
{
    struct looking *l = ctx;
    struct named *n = NULL;
    if (l->failed != GY_OK) {
        return false;
    }
    if (!l->known || l->seq != r->seq || memcmp(l->id, r->id, sizeof l->id) != 0) {
        l->known = true;
        l->seq = r->seq;
        memcpy(l->id, r->id, sizeof l->id);
        l->whole =
            (r->request_id.n > 0 && gy_subject_in(l->e->o->subject, r->request_id, NULL, NULL)) ||
            (r->body.n > 0 && gy_subject_named(l->e->o->subject, r->body, NULL, NULL));
    }
    bool goes = l->whole;
    if (!goes && l->e->ret->n_columns > 0) {
        l->failed = revision_of(l, r, &n, l->err);
        goes = l->failed == GY_OK && input_is(l, n, r, row);
    }
    if (goes && l->failed == GY_OK) {
        l->failed = gy_subject_rows_add(&l->rows, r->id, r->first_row + row, l->err);
    }
    if (goes && l->failed == GY_OK && l->e->o->mode == GY_ERASE_EXPORT) {
        l->failed = tell_row(l, r, row, l->err);
    }
    return goes && l->failed == GY_OK;
}

static bool damage_goes(void *ctx, struct gy_str bytes)
{
    struct looking *l = ctx;
    return gy_subject_named(l->e->o->subject, bytes, NULL, NULL);
}

static gy_status log_progress(void *ctx, int64_t done, int64_t total, struct gy_err *err)
{
    struct looking *l = ctx;
    return gy_erasing_progress(l->e, "predictions", done, total, err);
}

/* One walk over the log. take_out false: only look. */
static gy_status walk_log(struct looking *l, bool take_out, struct gy_gap_result *ret,
                          struct gy_err *err)
{
    struct gy_erasing *e = l->e;
    char dir[GY_MAX_PATH];
    struct gy_gap_order order = {.row = row_goes, .damage = damage_goes, .ctx = l};
    GY_TRY(gy_home_path(e->src->home, "log", dir, err));
    if (take_out) {
        order.now_us = gy_now_us();
        order.key = e->o->key;
        GY_TRY(gy_uuid_parse(e->o->erasure->id, order.erasure, err));
    }
    l->known = false;
    l->failed = GY_OK;
    l->err = err;
    gy_buf_reset(&l->rows.entries);
    gy_status status = gy_predlog_erase(e->src->log, dir, &order, log_progress, l, ret, err);
    return status == GY_OK ? l->failed : status;
}

static gy_status judged(struct looking *l, struct gy_err *err)
{
    struct gy_erasing *e = l->e;
    int64_t n = 0;
    struct gy_subject_judged o = {.subject = e->o->subject,
                                  .columns = e->columns,
                                  .n_columns = e->ret->n_columns,
                                  .rows = &l->rows,
                                  .fn = gy_erasing_record,
                                  .ctx = e,
                                  .remove = gy_erasing_takes_out(e)};
    GY_TRY(gy_erasing_progress(e, "reviews", 0, 0, err));
    e->kind = "reviews";
    e->where = GY_STR("reviews");
    GY_TRY(gy_subject_reviews(e->src->store, &o, &n, err));
    GY_TRY(n ? gy_erasing_tell(e, e->kind, e->where, n, "found", GY_STR_NULL, err) : GY_OK);
    e->kind = "problems";
    e->where = GY_STR("problems");
    GY_TRY(gy_subject_problems(e->src->store, &o, &n, err));
    GY_TRY(n ? gy_erasing_tell(e, e->kind, e->where, n, "found", GY_STR_NULL, err) : GY_OK);
    GY_TRY(gy_erasing_progress(e, "feedback", 0, 0, err));
    e->kind = "feedback";
    e->where = GY_STR("feedback");
    GY_TRY(gy_subject_feedback(e->src->store, &o, &n, err));
    return n ? gy_erasing_tell(e, e->kind, e->where, n, "found", GY_STR_NULL, err) : GY_OK;
}

static gy_status tell_log(struct looking *l, const struct gy_gap_result *got, struct gy_err *err)
{
    struct gy_erasing *e = l->e;
    if (got->rows) {
        GY_TRY(
            gy_erasing_tell(e, "predictions", GY_STR("log"), got->rows, "found", GY_STR_NULL, err));
    }
    return got->damaged ? gy_erasing_tell(e, "predictions", GY_STR("log, damaged places"),
                                          got->damaged, "found", GY_STR_NULL, err)
                        : GY_OK;
}

static gy_status erase_predictions(struct looking *l, struct gy_err *err)
{
    struct gy_gap_result seen = {0}, gone = {0};
    l->e->kind = "predictions";
    l->e->where = GY_STR("log");
    GY_TRY(walk_log(l, false, &seen, err));
    GY_TRY(judged(l, err));
    if (!gy_erasing_takes_out(l->e)) {
        return tell_log(l, &seen, err);
    }
    GY_TRY(walk_log(l, true, &gone, err));
    if (gone.rows > seen.rows) { /* answered meanwhile: reviewed already, perhaps */
        GY_TRY(judged(l, err));
    }
    return tell_log(l, &gone, err);
}

static gy_status predictions(struct gy_erasing *e, struct gy_err *err)
{
    struct looking l = {.e = e};
    gy_subject_rows_init(&l.rows);
    gy_buf_init(&l.json, 64 * GY_MIB);
    gy_status status = erase_predictions(&l, err);
    gy_subject_rows_done(&l.rows);
    gy_buf_done(&l.json);
    return status;
}

gy_status gy_erase_concerns(const struct gy_erase_source *src, const struct gy_subject *subject,
                            const char *segment, struct gy_arena *a, bool *ret, struct gy_err *err)
{
    struct gy_erase_result result = {0};
    const struct gy_erase_options o = {.mode = GY_ERASE_FIND, .subject = subject};
    struct gy_erasing e = {.src = src, .o = &o, .a = a, .ret = &result};
    struct looking l = {.e = &e, .err = err};
    struct gy_gap_result got = {0};
    const struct gy_gap_order order = {.row = row_goes, .damage = damage_goes, .ctx = &l};
    GY_TRY(gy_erase_columns(&e, err));
    gy_subject_rows_init(&l.rows);
    gy_status status = gy_segment_erase(segment, &order, &got, err);
    gy_subject_rows_done(&l.rows);
    status = status == GY_OK ? l.failed : status;
    *ret = status == GY_OK && (got.rows > 0 || got.damaged > 0 || l.untold);
    return status;
}

/* ---- what can only be told ---- */

static gy_status tell_archive(void *ctx, const char *dir, struct gy_err *err)
{
    return gy_erasing_tell(ctx, "backup", gy_str_c(dir), 0, "told",
                           GY_STR("snapshots are not changed; gyre restore takes out what was "
                                  "erased; gyre backup prune drops old ones"),
                           err);
}

/* ---- all of it ---- */

static gy_status run_all(struct gy_erasing *e, struct gy_err *err)
{
    GY_TRY(gy_erase_columns(e, err));
    GY_TRY(gy_erase_datasets(e, err));
    if (e->o->dataset.p) {
        return gy_erasing_takes_out(e) ? gy_erase_objects(e, err) : GY_OK;
    }
    GY_TRY(gy_erase_letters(e, err));
    GY_TRY(gy_erase_artifacts(e, err));
    GY_TRY(predictions(e, err));
    GY_TRY(gy_erase_texts(e, err));
    GY_TRY(gy_erase_objects(e, err));
    GY_TRY(gy_erase_home(e, err));
    return gy_ledger_each_archive(e->src->home, tell_archive, e, err);
}

gy_status gy_erase_run(const struct gy_erase_source *src, const struct gy_erase_options *o,
                       struct gy_arena *a, struct gy_erase_result *ret, struct gy_err *err)
{
    struct gy_erasing e = {.src = src, .o = o, .a = a, .ret = ret};
    *ret = (struct gy_erase_result){0};
    GY_TRY(run_all(&e, err));
    ret->columns = e.columns;
    ret->md5 = e.md5;
    ret->n_md5 = e.n_md5;
    if (o->mode == GY_ERASE_TAKE_OUT) {
        GY_TRY(gy_erasing_progress(&e, "database", 0, 0, err));
        GY_TRY(compact(src->store, err));
    }
    return GY_OK;
}

/* ---- again, after a restore ---- */

struct again {
    const struct gy_erasure *e;
    struct gy_arena *a;
};

static gy_status begin_again(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct again *g = ctx;
    struct gy_erasure begun;
    bool resumed;
    return gy_erasure_begin(db, g->e, g->a, &begun, &resumed, err);
}

static gy_status finish_again(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct again *g = ctx;
    char subject[128];
    (void)snprintf(subject, sizeof subject, "subject=%.16s erasure=%" GY_STR_F,
                   g->e->subject_hash.p, GY_STR_A(g->e->id));
    const struct gy_audit row = {.actor = g->e->actor,
                                 .workspace = GY_STR(GY_WORKSPACE_DEFAULT),
                                 .action = GY_STR("erased again after a restore"),
                                 .subject = gy_str_c(subject),
                                 .outcome = GY_STR("done"),
                                 .peer = GY_STR("local")};
    GY_TRY(gy_audit_add(db, &row, err));
    return gy_erasure_finish(db, g->e->id, err);
}

static gy_status one_again(const struct gy_erase_source *src, const struct gy_erase_options *o,
                           const struct gy_erasure_key *key, const char *folder,
                           const struct gy_erasure *entry, struct gy_arena *a, struct gy_err *err)
{
    unsigned char hash[1][GY_ERASURE_HASH];
    struct gy_subject subject;
    struct gy_erase_result result;
    struct gy_erase_options again = *o;
    struct again g = {entry, a};
    if (!gy_unhex(entry->subject_hash, hash[0], sizeof hash[0])) {
        return gy_err_set(err, GY_E_CORRUPT, "an erasure has no hash");
    }
    gy_subject_init_hashes(&subject, key, hash, 1);
    again.mode = GY_ERASE_TAKE_OUT;
    again.subject = &subject;
    again.possible = entry->possible;
    again.dataset = entry->dataset;
    again.erasure = entry;
    again.key = key;
    again.actor = entry->actor;
    GY_TRY(gy_store_write(src->store, begin_again, &g, err));
    GY_TRY(gy_erase_run(src, &again, a, &result, err));
    GY_TRY(gy_store_write(src->store, finish_again, &g, err));
    return gy_ledger_write(folder, key, entry, err);
}

gy_status gy_erase_again(const struct gy_erase_source *src, const char *ledger,
                         const struct gy_erase_options *o, struct gy_arena *a, size_t *ret_n,
                         struct gy_err *err)
{
    struct gy_erasure_key key;
    struct gy_erasure *list = NULL;
    char folder[GY_MAX_PATH];
    GY_TRY(gy_ledger_read(ledger, &key, a, &list, ret_n, err));
    GY_TRY(gy_home_path(src->home, GY_ERASURES_DIR, folder, err));
    for (size_t i = 0; i < *ret_n; i++) {
        GY_TRY(one_again(src, o, &key, folder, &list[i], a, err));
    }
    return GY_OK;
}

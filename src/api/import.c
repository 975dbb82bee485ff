/* SPDX-License-Identifier: Apache-2.0 */
/* Routes for moving whole stores in (gyre import): lines of track/transfer.h with their ids and
 * times, safe to repeat. "source" names the store that they come from.
 *   POST /import/batch?source=   lines of JSON, each an entity, or {"kind":"item","what","id",
 *        "fingerprint","params","tags","points","links"} once all of one is here
 *        -> {"applied", "experiments":[{"source_id","id","place"}], "rejected":[{"line","error"}]}
 *        A rejected line is left out; the lines between two of them are stored together.
 *   POST /import/known {"source","kind","ids":[..]}      -> {"items":[{"id","fingerprint",..}]}
 *   GET  /import/counts?source=    -> what came and what is stored, by experiment; what differs
 *   GET  /import/files?path=dir    -> {"files":[{"path","sha256","size"}]} below a folder */
#include <stdio.h>

#include "api/app.h"
#include "api/body.h"
#include "api/prover.h"
#include "base/limits.h"
#include "store/scope.h"
#include "track/import.h"

#define BASE "/api/gyre/v1"
#define MAX_BATCH (16 * GY_MIB)

enum { MAX_LINES = 100000, MAX_REJECTED_TEXT = 400, MAX_IDS = 1000, MAX_FILES = 200000 };

struct rejected {
    size_t line;
    const char *error;
};

struct moved {
    int64_t source_id, id;
    enum gy_import_place place;
};

struct batch {
    struct gy_str source, actor;
    struct gy_str *lines;
    size_t n_lines;
    struct gy_arena *keep;     /* of the request */
    struct rejected *rejected; /* of the lines, n_lines of room */
    bool *skip;                /* line was rejected */
    size_t n_rejected;
    struct moved *moved;
    size_t n_moved, applied;          /* of the lines before `to` */
    size_t from, to, at;              /* the lines of this transaction; the one being applied */
    size_t moved_before, done_before; /* n_moved and applied of the lines before `from` */
    bool any_object; /* whoever imports may name bytes of every workspace, having all of them */
};

static gy_status nomem(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory");
}

/* ---- one line ---- */

static gy_status apply_experiment(struct gy_db *db, int64_t import, struct batch *b, yyjson_val *o,
                                  struct gy_arena *a, struct gy_err *err)
{
    struct gy_experiment e;
    struct moved *m = &b->moved[b->n_moved];
    GY_TRY(gy_transfer_read_experiment(o, a, &e, err));
    GY_TRY(gy_import_experiment(db, import, &e, b->actor, a, &m->id, &m->place, err));
    m->source_id = e.id;
    b->n_moved++;
    return GY_OK;
}

static gy_status apply_item(struct gy_db *db, int64_t import, yyjson_val *o, struct gy_err *err)
{
    struct gy_import_item item = {
        .n_params = gy_json_i64(o, "params", 0),
        .n_tags = gy_json_i64(o, "tags", 0),
        .n_points = gy_json_i64(o, "points", 0),
        .n_links = gy_json_i64(o, "links", 0),
    };
    GY_TRY(gy_json_need_str(o, "what", &item.kind, err));
    GY_TRY(gy_json_need_str(o, "id", &item.id, err));
    GY_TRY(gy_json_need_str(o, "fingerprint", &item.fingerprint, err));
    static const char *const kinds[] = {"experiment", "run", "logged_model", "model", "version"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (gy_str_eqc(item.kind, kinds[i])) {
            return gy_import_note(db, import, &item, err);
        }
    }
    return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is no kind of item",
                      GY_STR_A(gy_str_sub(item.kind, 0, 100)));
}

static gy_status apply_registry(struct gy_db *db, struct batch *b, struct gy_str kind,
                                yyjson_val *o, struct gy_arena *a, struct gy_err *err)
{
    if (gy_str_eqc(kind, "model")) {
        struct gy_registered_model m;
        GY_TRY(gy_transfer_read_model(o, a, &m, err));
        return gy_import_model(db, &m, b->actor, err);
    }
    if (gy_str_eqc(kind, "version")) {
        struct gy_transfer_version v;
        GY_TRY(gy_transfer_read_version(o, a, &v, err));
        return gy_import_version(db, &v, b->actor, err);
    }
    struct gy_str model, alias;
    int64_t version = 0;
    GY_TRY(gy_transfer_read_alias(o, &model, &alias, &version, err));
    struct gy_model_why why = {.actor = b->actor, .reason = GY_STR("imported")};
    return gy_registry_move_alias(db, model, alias, version, &why, err);
}

static gy_status apply_line(struct gy_db *db, int64_t import, struct batch *b, yyjson_val *o,
                            struct gy_arena *a, struct gy_err *err)
{
    struct gy_str kind;
    GY_TRY(gy_json_need_str(o, "kind", &kind, err));
    if (gy_str_eqc(kind, "points")) {
        struct gy_transfer_points p;
        GY_TRY(gy_transfer_read_points(o, a, &p, err));
        return gy_import_points(db, &p, err);
    }
    if (gy_str_eqc(kind, "run")) {
        struct gy_run r;
        GY_TRY(gy_transfer_read_run(o, a, &r, err));
        return gy_import_run(db, &r, b->actor, err);
    }
    if (gy_str_eqc(kind, "item")) {
        return apply_item(db, import, o, err);
    }
    if (gy_str_eqc(kind, "artifact")) {
        struct gy_artifact f;
        struct gy_str path;
        GY_TRY(gy_transfer_read_artifact(o, &f, err));
        GY_TRY(gy_artifact_clean_path(f.path, a, &path, err));
        /* To name bytes is to read them. */
        bool readable = b->any_object;
        if (!readable) {
            GY_TRY(gy_artifact_object_readable(db, f.sha256, &readable, err));
        }
        return readable
                   ? gy_artifact_put(db, path, f.sha256, f.size_bytes, b->actor, err)
                   : gy_err_set(err, GY_E_NOTFOUND, "the object of '%" GY_STR_F "' is not here",
                                GY_STR_A(gy_str_sub(f.path, 0, 200)));
    }
    if (gy_str_eqc(kind, "experiment")) {
        return apply_experiment(db, import, b, o, a, err);
    }
    if (gy_str_eqc(kind, "logged_model")) {
        struct gy_logged_model m;
        GY_TRY(gy_transfer_read_logged(o, a, &m, err));
        return gy_import_logged(db, &m, b->actor, err);
    }
    if (gy_str_eqc(kind, "model") || gy_str_eqc(kind, "version") || gy_str_eqc(kind, "alias")) {
        return apply_registry(db, b, kind, o, a, err);
    }
    return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is no kind of line",
                      GY_STR_A(gy_str_sub(kind, 0, 100)));
}

/* ---- the batch ---- */

static gy_status apply_batch(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct batch *b = ctx;
    int64_t import = 0;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    b->n_moved = b->moved_before;
    b->applied = b->done_before;
    b->at = SIZE_MAX;
    GY_TRY(gy_import_open(db, b->source, b->actor, &import, err));
    for (size_t i = b->from; i < b->to; i++) {
        if (b->skip[i]) {
            continue;
        }
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        b->at = i;
        gy_arena_reset(&a);
        GY_TRY(gy_json_parse(b->lines[i], &doc, err));
        GY_TRY(apply_line(db, import, b, yyjson_doc_get_root(doc), &a, err));
        b->applied++;
    }
    b->at = SIZE_MAX;
    return GY_OK;
}

/* Is it the line's fault, and not that of the machine or the database? */
static bool is_rejection(gy_status status)
{
    switch ((int)status) {
    case GY_E_INVALID:
    case GY_E_PARSE:
    case GY_E_NOTFOUND:
    case GY_E_CONFLICT:
    case GY_E_EXISTS:
    case GY_E_TOOBIG:
    case GY_E_NOTBLESSED:
        return true;
    default:
        return false;
    }
}

/* A line that fails takes back what its transaction has written. The lines before it are written
 * again, alone, and the work goes on behind it: each is written twice at most, however many fail.
 */
static gy_status run_batch(struct gy_app *app, struct batch *b, struct gy_err *err)
{
    b->to = b->n_lines;
    for (;;) {
        struct gy_err why = GY_ERR_INIT;
        gy_status status = gy_store_write(app->store, apply_batch, b, &why);
        if (status == GY_OK && b->to == b->n_lines) {
            return GY_OK;
        }
        if (status == GY_OK) {
            b->from = b->to; /* which is skipped */
            b->to = b->n_lines;
            b->moved_before = b->n_moved;
            b->done_before = b->applied;
            continue;
        }
        if (b->at == SIZE_MAX || !is_rejection(status)) {
            if (err) {
                *err = why;
            }
            return status;
        }
        const char *text =
            gy_arena_strdup(b->keep, gy_str_sub(gy_str_c(why.msg), 0, MAX_REJECTED_TEXT));
        if (!text) {
            return nomem(err);
        }
        b->rejected[b->n_rejected++] = (struct rejected){b->at, text};
        b->skip[b->at] = true;
        b->to = b->at;
    }
}

/* A name of bytes that are not here is left out. Not inside the closure: it may ask a far store. */
static gy_status check_objects(struct gy_app *app, struct batch *b, struct gy_err *err)
{
    for (size_t i = 0; i < b->n_lines; i++) {
        char sha256[GY_SHA256_HEX];
        struct gy_artifact f;
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        if (gy_str_find_str(b->lines[i], GY_STR("\"artifact\"")) == SIZE_MAX ||
            gy_json_parse(b->lines[i], &doc, NULL) != GY_OK ||
            !gy_str_eqc(gy_json_str(yyjson_doc_get_root(doc), "kind"), "artifact") ||
            gy_transfer_read_artifact(yyjson_doc_get_root(doc), &f, NULL) != GY_OK) {
            continue; /* another kind, or refused below */
        }
        (void)snprintf(sha256, sizeof sha256, "%" GY_STR_F, GY_STR_A(f.sha256));
        if (strspn(sha256, "0123456789abcdef") == GY_SHA256_HEX - 1 && f.size_bytes >= 0 &&
            gy_objects_has(app->objects, sha256)) {
            continue;
        }
        const char *text = gy_arena_printf(b->keep, "the object of '%" GY_STR_F "' is not here",
                                           GY_STR_A(gy_str_sub(f.path, 0, 200)));
        if (!text) {
            return nomem(err);
        }
        b->rejected[b->n_rejected++] = (struct rejected){i, text};
        b->skip[i] = true;
    }
    return GY_OK;
}

static gy_status split_lines(struct batch *b, struct gy_str body, struct gy_err *err)
{
    size_t n = 1;
    for (size_t i = 0; i < body.n; i++) {
        n += body.p[i] == '\n';
    }
    if (n > MAX_LINES) {
        return gy_err_set(err, GY_E_TOOBIG, "a batch has at most %d lines", MAX_LINES);
    }
    b->lines = gy_arena_calloc(b->keep, n, sizeof *b->lines);
    b->rejected = gy_arena_calloc(b->keep, n, sizeof *b->rejected);
    b->skip = gy_arena_calloc(b->keep, n, sizeof *b->skip);
    b->moved = gy_arena_calloc(b->keep, n, sizeof *b->moved);
    if (!b->lines || !b->rejected || !b->skip || !b->moved) {
        return nomem(err);
    }
    struct gy_str rest = body, line;
    while (gy_str_next(&rest, '\n', &line)) {
        if (gy_str_trim(line).n > 0) {
            b->lines[b->n_lines++] = line;
        }
    }
    return GY_OK;
}

static gy_status need_source(struct gy_request *req, struct gy_str *ret, struct gy_err *err)
{
    *ret = gy_req_query(req, "source");
    return ret->n > 0 ? GY_OK : gy_err_set(err, GY_E_INVALID, "missing 'source'");
}

static gy_status post_batch(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    static const char *const places[] = {"kept", "merged", "numbered"};
    struct gy_app *app = ctx;
    const struct gy_scope *scope = gy_scope_current();
    /* Admins of "default" keep users, and so all workspaces. */
    struct batch b = {.actor = req->actor,
                      .keep = req->arena,
                      .any_object = req->peer != GY_PEER_TCP || !scope || !scope->workspace.p};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&body, MAX_BATCH);
    gy_buf_init(&out, GY_MAX_REPLY);
    GY_TRY(need_source(req, &b.source, err));
    GY_TRY(gy_req_read_body(req, &body, err));
    GY_TRY(split_lines(&b, gy_buf_str(&body), err));
    GY_TRY(check_objects(app, &b, err));
    GY_TRY(gy_experiments_enter(app->store, err));
    GY_TRY(run_batch(app, &b, err));
    gy_prover_wake(app->prover); /* versions may be among them */
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "applied", (int64_t)b.applied);
    gy_jw_key(&w, "experiments");
    gy_jw_arr(&w);
    for (size_t i = 0; i < b.n_moved; i++) {
        gy_jw_obj(&w);
        gy_jw_kv_i64(&w, "source_id", b.moved[i].source_id);
        gy_jw_kv_i64(&w, "id", b.moved[i].id);
        gy_jw_kv_strc(&w, "place", places[b.moved[i].place]);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_key(&w, "rejected");
    gy_jw_arr(&w);
    for (size_t i = 0; i < b.n_rejected; i++) {
        gy_jw_obj(&w);
        gy_jw_kv_i64(&w, "line", (int64_t)b.rejected[i].line);
        gy_jw_kv_strc(&w, "error", b.rejected[i].error);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- what is known ---- */

struct known {
    struct gy_str source, kind;
    yyjson_val *ids;
    struct gy_arena *arena;
    struct gy_jw *w;
};

static void write_counts(struct gy_jw *w, const struct gy_import_counts *c)
{
    gy_jw_kv_i64(w, "params", c->params);
    gy_jw_kv_i64(w, "tags", c->tags);
    gy_jw_kv_i64(w, "points", c->points);
    gy_jw_kv_i64(w, "links", c->links);
}

static gy_status read_known(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct known *k = ctx;
    int64_t import = 0;
    struct gy_err why = GY_ERR_INIT;
    gy_status status = gy_import_find(db, k->source, &import, &why);
    if (status != GY_OK) { /* the first time: nothing is known */
        return status == GY_E_NOTFOUND ? GY_OK : gy_err_set(err, status, "%s", why.msg);
    }
    size_t i, n;
    yyjson_val *id;
    yyjson_arr_foreach(k->ids, i, n, id)
    {
        struct gy_import_item item;
        bool found = false;
        GY_TRY(gy_import_known(db, import, k->kind, gy_json_val_str(id), k->arena, &found, &item,
                               err));
        if (found) {
            struct gy_import_counts c = {item.n_params, item.n_tags, item.n_points, item.n_links};
            gy_jw_obj(k->w);
            gy_jw_kv_str(k->w, "id", item.id);
            gy_jw_kv_str(k->w, "fingerprint", item.fingerprint);
            write_counts(k->w, &c);
            gy_jw_obj_end(k->w);
        }
    }
    return GY_OK;
}

static gy_status post_known(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    struct known k = {.arena = req->arena, .w = &w};
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    GY_TRY(gy_api_object(req, GY_MAX_JSON_BODY, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    GY_TRY(gy_json_need_str(root, "source", &k.source, err));
    GY_TRY(gy_json_need_str(root, "kind", &k.kind, err));
    GY_TRY(gy_json_need_arr(root, "ids", &k.ids, err));
    if (yyjson_arr_size(k.ids) > MAX_IDS) {
        return gy_err_set(err, GY_E_TOOBIG, "at most %d ids at a time", MAX_IDS);
    }
    gy_jw_obj(&w);
    gy_jw_key(&w, "items");
    gy_jw_arr(&w);
    GY_TRY(gy_store_read(app->store, read_known, &k, err));
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- the comparison ---- */

struct total { /* of one kind in one experiment */
    const char *kind;
    int64_t experiment, items, present;
    struct gy_import_counts expected, stored;
};

struct comparison {
    struct gy_str source;
    struct gy_arena *arena;
    struct total *totals;
    size_t n_totals, cap, last, lacking, more;
    struct gy_jw *w; /* into the list of differing items */
};

static void add_counts(struct gy_import_counts *to, const struct gy_import_counts *c)
{
    to->params += c->params;
    to->tags += c->tags;
    to->points += c->points;
    to->links += c->links;
}

/* Items of one experiment mostly come one after another. */
static gy_status find_total(struct comparison *x, const struct gy_import_check *c,
                            struct total **ret, struct gy_err *err)
{
    for (size_t k = 0; k < x->n_totals; k++) {
        size_t i = (x->last + x->n_totals - k) % x->n_totals;
        if (x->totals[i].experiment == c->experiment && gy_str_eqc(c->kind, x->totals[i].kind)) {
            x->last = i;
            *ret = &x->totals[i];
            return GY_OK;
        }
    }
    void *items = x->totals;
    GY_TRY(gy_track_grow(x->arena, &items, x->n_totals, &x->cap, sizeof *x->totals, err));
    x->totals = items;
    x->last = x->n_totals++;
    *ret = &x->totals[x->last];
    **ret = (struct total){.kind = gy_arena_strdup(x->arena, c->kind), .experiment = c->experiment};
    return (*ret)->kind ? GY_OK : nomem(err);
}

static gy_status compare_item(void *ctx, const struct gy_import_check *c, struct gy_err *err)
{
    struct comparison *x = ctx;
    struct total *t = NULL;
    GY_TRY(find_total(x, c, &t, err));
    t->items++;
    t->present += c->present;
    add_counts(&t->expected, &c->expected);
    add_counts(&t->stored, &c->stored);
    bool lacks = gy_import_lacks(c);
    bool same = !lacks && c->stored.params == c->expected.params &&
                c->stored.tags == c->expected.tags && c->stored.points == c->expected.points &&
                c->stored.links == c->expected.links;
    x->lacking += lacks;
    x->more += !lacks && !same;
    if (same || x->lacking + x->more > GY_IMPORT_MAX_DIFFERENT) {
        return GY_OK;
    }
    gy_jw_obj(x->w);
    gy_jw_kv_str(x->w, "kind", c->kind);
    gy_jw_kv_str(x->w, "id", c->id);
    gy_jw_kv_bool(x->w, "present", c->present);
    gy_jw_kv_bool(x->w, "lacks", lacks);
    gy_jw_key(x->w, "source");
    gy_jw_obj(x->w);
    write_counts(x->w, &c->expected);
    gy_jw_obj_end(x->w);
    gy_jw_key(x->w, "stored");
    gy_jw_obj(x->w);
    write_counts(x->w, &c->stored);
    gy_jw_obj_end(x->w);
    gy_jw_obj_end(x->w);
    return GY_OK;
}

static gy_status compare(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct comparison *x = ctx;
    int64_t import = 0;
    GY_TRY(gy_import_find(db, x->source, &import, err));
    return gy_import_compare(db, import, compare_item, x, err);
}

static gy_status get_counts(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct gy_app *app = ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    struct comparison x = {.arena = req->arena, .w = &w};
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    GY_TRY(need_source(req, &x.source, err));
    gy_jw_obj(&w);
    gy_jw_key(&w, "different");
    gy_jw_arr(&w);
    GY_TRY(gy_store_read(app->store, compare, &x, err));
    gy_jw_arr_end(&w);
    gy_jw_kv_i64(&w, "lacking", (int64_t)x.lacking);
    gy_jw_kv_i64(&w, "more", (int64_t)x.more);
    gy_jw_key(&w, "totals");
    gy_jw_arr(&w);
    for (size_t i = 0; i < x.n_totals; i++) {
        const struct total *t = &x.totals[i];
        gy_jw_obj(&w);
        gy_jw_kv_strc(&w, "kind", t->kind);
        gy_jw_kv_i64(&w, "experiment", t->experiment);
        gy_jw_kv_i64(&w, "items", t->items);
        gy_jw_kv_i64(&w, "present", t->present);
        gy_jw_key(&w, "source");
        gy_jw_obj(&w);
        write_counts(&w, &t->expected);
        gy_jw_obj_end(&w);
        gy_jw_key(&w, "stored");
        gy_jw_obj(&w);
        write_counts(&w, &t->stored);
        gy_jw_obj_end(&w);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- files ---- */

struct tree {
    struct gy_str dir;
    struct gy_arena *arena;
    struct gy_artifact *files;
    size_t n;
};

static gy_status read_tree(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct tree *t = ctx;
    return gy_artifact_tree(db, t->dir, MAX_FILES, t->arena, &t->files, &t->n, err);
}

static gy_status get_files(void *ctx, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct tree t = {.arena = req->arena};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    GY_TRY(gy_artifact_clean_path(gy_req_query(req, "path"), req->arena, &t.dir, err));
    GY_TRY(gy_store_read(app->store, read_tree, &t, err));
    gy_jw_obj(&w);
    gy_jw_key(&w, "files");
    gy_jw_arr(&w);
    for (size_t i = 0; i < t.n; i++) {
        gy_jw_obj(&w);
        gy_jw_kv_str(&w, "path", t.files[i].path);
        gy_jw_kv_str(&w, "sha256", t.files[i].sha256);
        gy_jw_kv_i64(&w, "size", t.files[i].size_bytes);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static const struct gy_route routes[] = {
    {"POST", BASE "/import/batch", post_batch, NULL, MAX_BATCH, "Entities of another store",
     GY_ACCESS_ADMIN, GY_ROUTE_NAMED | GY_ROUTE_SCOPED},
    {"POST", BASE "/import/known", post_known, NULL, 0, "Which items of a source came in before",
     GY_ACCESS_ADMIN, GY_ROUTE_NAMED | GY_ROUTE_SCOPED},
    {"GET", BASE "/import/counts", get_counts, NULL, 0, "What came and what is stored",
     GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"GET", BASE "/import/files", get_files, NULL, 0, "Artifacts below a folder with digests",
     GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
};

gy_status gy_api_import_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}

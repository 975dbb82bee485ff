/* SPDX-License-Identifier: Apache-2.0 */
/* Routes of the dead letters of uploads (data/letters.h).
 *   GET  /datasets/{name}/deadletters ?state=dead|replayed &code= &version= &after= &limit=
 *                       -> {"letters":[{id,state,version,codes,error,...}],"next": seq or null}
 *   GET  /datasets/{name}/deadletters/{id}   -> one, with the whole letter
 *   POST /datasets/{name}/deadletters/replay {"ids","code","version","schema","environment",
 *        "edits":[{"id","data"}],"dry_run"}
 *                       -> 201 {"tried","accepted","refused","left","version",...}; 200: no version
 * A replay appends to the version asked for (else the newest), from letters of the uploads that it
 * stands on; marks and version are one transaction. */
#include <unistd.h>

#include "api/data_internal.h"
#include "api/data_work.h"
#include "base/file.h"
#include "base/map.h"
#include "data/deadletter.h"
#include "data/letter.h"
#include "data/letters.h"
#include "data/replay.h"

#define PATH GY_DATASETS_PATH "/{name}/deadletters"
#define PAGE 100           /* letters of an answer that does not say how many */
#define MAX_REPLAYED 10000 /* letters that one request tries */
#define MAX_BYTES (64 * GY_MIB)
#define MAX_CHAIN 1000 /* versions that letters were replayed into, one after the other */
#define MAX_TOLD 50    /* refused letters in an answer */

/* ---- reading ---- */

static void write_letter(struct gy_jw *w, const struct gy_stored_letter *l, bool whole)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    yyjson_val *letter = NULL;
    if (gy_json_parse(l->json, &doc, NULL) == GY_OK) {
        letter = yyjson_doc_get_root(doc);
    }
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "seq", l->seq);
    gy_jw_kv_str(w, "id", l->id);
    gy_jw_kv_strc(w, "state", l->replayed_version ? "replayed" : "dead");
    gy_jw_kv_i64(w, "version", l->version);
    gy_jw_kv_i64(w, "refusals", l->refusals);
    gy_jw_key(w, "replayed_version");
    l->replayed_version ? gy_jw_i64(w, l->replayed_version) : gy_jw_null(w);
    gy_jw_kv_str(w, "replayed_by", l->replayed_by);
    gy_api_kv_time(w, "replayed", l->replayed_us);
    if (whole) {
        gy_jw_key(w, "letter");
        letter ? gy_jw_val(w, letter) : gy_jw_null(w);
    } else {
        gy_jw_kv_str(w, "file", gy_json_str(letter, "file"));
        gy_jw_kv_i64(w, "row", gy_json_i64(letter, "row", -1));
        gy_jw_key(w, "codes");
        yyjson_val *codes = gy_json_get(letter, "codes");
        codes ? gy_jw_val(w, codes) : gy_jw_null(w);
        gy_jw_kv_str(w, "column", gy_json_str(letter, "column"));
        gy_jw_kv_str(w, "error", gy_str_sub(gy_json_str(letter, "error"), 0, GY_KIB));
    }
    gy_jw_obj_end(w);
}

struct list_call {
    struct gy_str name;
    struct gy_letters_filter filter;
    int64_t limit;
    struct gy_arena *arena;
    struct gy_stored_letter *list;
    size_t n;
};

static gy_status need_dataset(struct gy_db *db, struct gy_str name, struct gy_arena *a,
                              struct gy_err *err)
{
    struct gy_dataset_version v;
    return gy_dataset_resolve(db, name, a, &v, err);
}

static gy_status list_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct list_call *c = ctx;
    GY_TRY(need_dataset(db, c->name, c->arena, err));
    return gy_letters_list(db, c->name, &c->filter, (size_t)c->limit + 1, c->arena, &c->list, &c->n,
                           err);
}

static gy_status read_state(struct gy_str state, struct gy_letters_filter *f, struct gy_err *err)
{
    f->dead = gy_str_eqc(state, "dead");
    f->replayed = gy_str_eqc(state, "replayed");
    return !state.p || f->dead || f->replayed
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "'state' is dead or replayed");
}

static gy_status get_letters(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct list_call call = {.name = gy_req_param(req, "name"), .arena = req->arena};
    GY_TRY(gy_dataset_check_name(call.name, err));
    GY_TRY(read_state(gy_req_query(req, "state"), &call.filter, err));
    call.filter.code = gy_req_query(req, "code");
    GY_TRY(gy_api_query_number(req, "limit", PAGE, 1, GY_LETTERS_PAGE, &call.limit, err));
    GY_TRY(gy_api_query_number(req, "after", 0, 0, INT64_MAX, &call.filter.after, err));
    GY_TRY(gy_api_query_number(req, "version", 0, 1, INT64_MAX, &call.filter.version, err));
    GY_TRY(gy_store_read(app->store, list_closure, &call, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", call.name);
    gy_jw_key(&w, "letters");
    gy_jw_arr(&w);
    const bool more = call.n > (size_t)call.limit;
    const size_t n = more ? (size_t)call.limit : call.n;
    for (size_t i = 0; i < n; i++) {
        write_letter(&w, &call.list[i], false);
    }
    gy_jw_arr_end(&w);
    gy_jw_key(&w, "next");
    more ? gy_jw_i64(&w, call.list[n - 1].seq) : gy_jw_null(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

struct one_call {
    struct gy_str name, id;
    struct gy_arena *arena;
    struct gy_stored_letter l;
};

static gy_status one_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct one_call *c = ctx;
    return gy_letters_get(db, c->name, c->id, c->arena, &c->l, err);
}

static gy_status get_letter(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct one_call call = {
        .name = gy_req_param(req, "name"), .id = gy_req_param(req, "id"), .arena = req->arena};
    GY_TRY(gy_dataset_check_name(call.name, err));
    GY_TRY(gy_store_read(app->store, one_closure, &call, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    write_letter(&w, &call.l, true);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- replay ---- */

/* What became of a letter. */
struct fate {
    const struct gy_stored_letter *l;
    struct gy_str json, codes; /* of one that stays dead; absent: it was accepted */
};

struct replay_call {
    struct gy_app *app;
    struct gy_request *req;
    struct gy_str name, code, environment;
    int64_t wanted; /* version; 0: the newest */
    bool dry_run;
    struct gy_map ids, edits; /* ids: empty: all */
    struct gy_arena *arena;
    struct gy_dataset_version base;
    int64_t *chain; /* the base and what it stands on */
    size_t n_chain;
    struct fate *fates;
    size_t n;
    int64_t left, bytes;
    struct gy_schema *schema;
    struct gy_replay_result result;
    int64_t version;
    bool is_new;
    struct gy_dataset_version v; /* the new one */
};

static gy_status add_to_chain(struct replay_call *c, int64_t version, struct gy_err *err)
{
    if (c->n_chain == MAX_CHAIN) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d replays one after the other", MAX_CHAIN);
    }
    c->chain[c->n_chain++] = version;
    return GY_OK;
}

static gy_status find_chain(struct gy_db *db, struct replay_call *c, struct gy_err *err)
{
    c->chain = gy_arena_calloc(c->arena, MAX_CHAIN, sizeof *c->chain);
    if (!c->chain) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    GY_TRY(add_to_chain(c, c->base.version, err));
    for (int64_t at = c->base.base_version; at > 0;) {
        GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
        struct gy_dataset_version v;
        gy_arena_init(&a, GY_MAX_YAML + GY_MIB);
        GY_TRY(add_to_chain(c, at, err));
        GY_TRY(gy_dataset_get(db, c->name, at, &a, &v, err));
        at = v.base_version;
    }
    return GY_OK;
}

static bool is_in_chain(const struct replay_call *c, int64_t version)
{
    for (size_t i = 0; i < c->n_chain; i++) {
        if (c->chain[i] == version) {
            return true;
        }
    }
    return false;
}

static bool is_wanted(const struct replay_call *c, const struct gy_stored_letter *l)
{
    return is_in_chain(c, l->version) && (c->ids.n_live == 0 || gy_map_has(&c->ids, l->id)) &&
           (c->edits.n_live == 0 || gy_map_has(&c->edits, l->id));
}

/* An id that is given must be of a letter that can be replayed, or somebody waits in vain. */
static gy_status check_asked(struct gy_db *db, const struct replay_call *c,
                             const struct gy_map *map, struct gy_err *err)
{
    size_t pos = 0;
    for (struct gy_map_entry *e; (e = gy_map_next(map, &pos)) != NULL;) {
        GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
        struct gy_stored_letter l;
        gy_arena_init(&a, 4 * GY_DLQ_MAX_LINE);
        GY_TRY(gy_letters_get(db, c->name, e->key, &a, &l, err));
        if (!is_in_chain(c, l.version)) {
            return gy_err_set(err, GY_E_CONFLICT,
                              "letter %" GY_STR_F " is of the upload of version %lld, and version "
                              "%lld does not stand on that",
                              GY_STR_A(e->key), (long long)l.version, (long long)c->base.version);
        }
    }
    return GY_OK;
}

static gy_status take_page(struct replay_call *c, const struct gy_stored_letter *list, size_t n,
                           struct gy_err *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct gy_stored_letter *l = &list[i];
        if (!is_wanted(c, l)) {
            continue;
        }
        if (c->n == MAX_REPLAYED || c->bytes > (int64_t)MAX_BYTES) {
            c->left++;
            continue;
        }
        struct gy_stored_letter *kept = gy_arena_alloc(c->arena, sizeof *kept);
        if (!kept) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for letters");
        }
        *kept = *l;
        kept->id = gy_arena_str(c->arena, l->id);
        kept->json = gy_arena_str(c->arena, l->json);
        if (!kept->id.p || !kept->json.p) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for letters");
        }
        c->bytes += (int64_t)l->json.n;
        c->fates[c->n++].l = kept;
    }
    return GY_OK;
}

static gy_status find_letters(struct gy_db *db, struct replay_call *c, struct gy_err *err)
{
    struct gy_letters_filter f = {.code = c->code, .dead = true};
    c->fates = gy_arena_calloc(c->arena, MAX_REPLAYED, sizeof *c->fates);
    if (!c->fates) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for letters");
    }
    for (size_t n = GY_LETTERS_PAGE; n == GY_LETTERS_PAGE;) {
        GY_AUTO_DONE(gy_arena_done) struct gy_arena page;
        struct gy_stored_letter *list = NULL;
        gy_arena_init(&page, GY_GIB);
        GY_TRY(gy_letters_list(db, c->name, &f, GY_LETTERS_PAGE, &page, &list, &n, err));
        GY_TRY(take_page(c, list, n, err));
        f.after = n > 0 ? list[n - 1].seq : f.after;
    }
    return GY_OK;
}

static gy_status find_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct replay_call *c = ctx;
    if (c->wanted) {
        GY_TRY(gy_dataset_get(db, c->name, c->wanted, c->arena, &c->base, err));
    } else {
        GY_TRY(gy_dataset_resolve(db, c->name, c->arena, &c->base, err));
    }
    if (c->base.deleted_us || c->base.gone_us) {
        return gy_err_set(err, GY_E_NOTFOUND, "%" GY_STR_F "@%lld was deleted", GY_STR_A(c->name),
                          (long long)c->base.version);
    }
    GY_TRY(find_chain(db, c, err));
    GY_TRY(check_asked(db, c, &c->ids, err));
    GY_TRY(check_asked(db, c, &c->edits, err));
    return find_letters(db, c, err);
}

/* ---- the body of a replay ---- */

static gy_status read_ids(struct replay_call *c, yyjson_val *ids, struct gy_err *err)
{
    size_t i, max;
    yyjson_val *id;
    if (ids && !yyjson_is_arr(ids)) {
        return gy_err_set(err, GY_E_INVALID, "'ids' is a list of letters' ids");
    }
    if (ids && yyjson_arr_size(ids) == 0) {
        return gy_err_set(err, GY_E_INVALID, "'ids' is empty; without it all letters are tried");
    }
    yyjson_arr_foreach(ids, i, max, id)
    {
        struct gy_str text = gy_json_val_str(id);
        if (!gy_letter_is_id(text)) {
            return gy_err_set(err, GY_E_INVALID, "'ids' is a list of letters' ids");
        }
        GY_TRY(gy_map_put(&c->ids, text, c, err));
    }
    return GY_OK;
}

static gy_status read_edits(struct replay_call *c, yyjson_val *edits, struct gy_err *err)
{
    size_t i, max;
    yyjson_val *edit;
    if (edits && (!yyjson_is_arr(edits) || yyjson_arr_size(edits) == 0)) {
        return gy_err_set(err, GY_E_INVALID, "'edits' is a list of {\"id\", \"data\"}");
    }
    yyjson_arr_foreach(edits, i, max, edit)
    {
        struct gy_str id = gy_json_str(edit, "id");
        yyjson_val *data = gy_json_get(edit, "data");
        if (!gy_letter_is_id(id) || !yyjson_is_str(data) || gy_map_has(&c->edits, id)) {
            return gy_err_set(err, GY_E_INVALID,
                              "'edits' is a list of {\"id\", \"data\"}, each id once");
        }
        GY_TRY(gy_map_put(&c->edits, id, data, err));
    }
    return GY_OK;
}

static gy_status read_schema(struct replay_call *c, yyjson_val *schema, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_jw w;
    gy_buf_init(&text, GY_MAX_YAML);
    if (!schema || yyjson_is_null(schema)) {
        return GY_OK;
    }
    gy_jw_init(&w, &text);
    gy_jw_val(&w, schema);
    GY_TRY(gy_buf_check(&text, "the schema", err));
    /* As a text it may be schema.yaml. */
    return gy_schema_parse(yyjson_is_str(schema) ? gy_json_val_str(schema) : gy_buf_str(&text),
                           "schema", &c->schema, err);
}

static gy_status read_request(struct replay_call *c, yyjson_val *body, struct gy_err *err)
{
    c->name = gy_req_param(c->req, "name");
    GY_TRY(gy_dataset_check_name(c->name, err));
    GY_TRY(gy_api_text(body, "code", GY_MAX_NAME, &c->code, err));
    GY_TRY(gy_api_text(body, "environment", GY_MAX_NAME, &c->environment, err));
    c->dry_run = gy_json_bool(body, "dry_run", false);
    if (gy_json_get(body, "version")) {
        GY_TRY(gy_json_need_i64(body, "version", &c->wanted, err));
        if (c->wanted < 1) {
            return gy_err_set(err, GY_E_INVALID, "versions are numbered from 1");
        }
    }
    GY_TRY(read_ids(c, gy_json_get(body, "ids"), err));
    GY_TRY(read_edits(c, gy_json_get(body, "edits"), err));
    return read_schema(c, gy_json_get(body, "schema"), err);
}

/* ---- trying ---- */

static gy_status try_letter(struct replay_call *c, struct gy_replay *r, struct fate *f,
                            struct gy_buf *scratch, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    const struct gy_reasons *why = NULL;
    struct gy_letter l;
    GY_TRY(gy_json_parse(f->l->json, &doc, err));
    GY_TRY(gy_letter_read(yyjson_doc_get_root(doc), scratch, &l, err));
    yyjson_val *edit = gy_map_get(&c->edits, f->l->id);
    l.bytes = edit ? gy_json_val_str(edit) : l.bytes;
    GY_TRY(gy_replay_letter(r, &l, &why, err));
    if (why->codes == 0) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, 2 * GY_DLQ_MAX_LINE);
    gy_letters_codes(&text, why->codes);
    const size_t n = text.n;
    gy_letters_with_reasons(&text, yyjson_doc_get_root(doc), why);
    GY_TRY(gy_buf_check(&text, "a letter", err));
    f->codes = gy_arena_str(c->arena, gy_str_n(text.p, n));
    f->json = gy_arena_str(c->arena, gy_str_sub(gy_buf_str(&text), n, SIZE_MAX));
    return f->codes.p && f->json.p ? GY_OK
                                   : gy_err_set(err, GY_E_NOMEM, "out of memory for letters");
}

static gy_status try_all(struct replay_call *c, struct gy_replay *r, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf scratch;
    gy_buf_init(&scratch, GY_DLQ_MAX_LINE);
    for (size_t i = 0; i < c->n; i++) {
        GY_TRY(try_letter(c, r, &c->fates[i], &scratch, err));
    }
    return gy_replay_end(r, &c->result, err);
}

/* ---- keeping ---- */

static gy_status keep_refused(struct gy_db *db, const struct replay_call *c, struct gy_err *err)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct fate *f = &c->fates[i];
        if (f->codes.p) {
            GY_TRY(gy_letters_refused(db, c->name, f->l->id, f->json, f->codes, err));
        }
    }
    return GY_OK;
}

static gy_status refused_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return keep_refused(db, ctx, err);
}

/* The base must still be what it was taken for; each letter is marked, or nothing happens. */
static gy_status keep_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct replay_call *c = ctx;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_dataset_version now;
    gy_arena_init(&a, GY_MAX_YAML + GY_MIB);
    if (c->wanted) {
        GY_TRY(gy_dataset_get(db, c->name, c->wanted, &a, &now, err));
    } else {
        GY_TRY(gy_dataset_resolve(db, c->name, &a, &now, err));
    }
    if (now.version != c->base.version || now.deleted_us) {
        return gy_err_set(err, GY_E_CONFLICT,
                          "%" GY_STR_F " has a newer version meanwhile: nothing was replayed",
                          GY_STR_A(c->name));
    }
    GY_TRY(gy_dataset_add(db, &c->v, &c->version, &c->is_new, err));
    for (size_t i = 0; i < c->n; i++) {
        if (!c->fates[i].codes.p) {
            GY_TRY(gy_letters_replayed(db, c->name, c->fates[i].l->id, c->version, c->req->actor,
                                       err));
        }
    }
    return keep_refused(db, c, err);
}

static gy_status keep(struct replay_call *c, const char *table, struct gy_err *err)
{
    const struct gy_replay_result *r = &c->result;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf schema;
    char sha256[GY_SHA256_HEX];
    gy_buf_init(&schema, GY_MAX_YAML);
    if (r->accepted == 0) {
        return c->n > 0 ? gy_store_write(c->app->store, refused_closure, c, err) : GY_OK;
    }
    gy_schema_json(c->schema, &schema);
    GY_TRY(gy_buf_check(&schema, "the schema", err));
    GY_TRY(gy_objects_put_file(c->app->objects, table, sha256, err));
    GY_TRY(gy_api_refuse_erased(c->app, sha256, err));
    if (strcmp(sha256, r->sha256) != 0) {
        return gy_err_set(err, GY_E_CORRUPT, "the table changed while it was stored");
    }
    const int64_t rows = r->base_rows + r->accepted;
    const int64_t dead = c->base.dead > r->accepted ? c->base.dead - r->accepted : 0;
    c->v = (struct gy_dataset_version){.name = c->name,
                                       .sha256 = gy_str_c(r->sha256),
                                       .md5 = gy_str_c(r->md5),
                                       .size_bytes = r->size_bytes,
                                       .rows = rows,
                                       .read = rows + dead,
                                       .accepted = rows,
                                       .dead = dead,
                                       .schema_json = gy_buf_str(&schema),
                                       .source = GY_STR("dead letters"),
                                       .base_version = c->base.version,
                                       .actor = c->req->actor};
    return gy_store_write(c->app->store, keep_closure, c, err);
}

static gy_status replay(struct replay_call *c, struct gy_err *err)
{
    GY_AUTO_DONE(gy_work_end) struct gy_work work = {.counted = false};
    GY_AUTO(gy_replay_free) struct gy_replay *r = NULL;
    char base[64], out[GY_MAX_PATH];
    int fd = -1;
    GY_TRY(gy_work_begin(c->app, &work, err));
    GY_TRY(gy_work_turn(&work, err));
    GY_TRY(gy_store_read(c->app->store, find_closure, c, err));
    if (!c->schema) {
        if (!c->base.schema_json.p) {
            return gy_err_set(err, GY_E_INVALID, "the version has no schema: give one");
        }
        GY_TRY(gy_schema_parse(c->base.schema_json, "the version's schema", &c->schema, err));
    }
    GY_TRY(gy_work_path(&work, "data.csv", out, err));
    GY_TRY(gy_work_object(c->app, c->base.sha256, base, &fd, err));
    const struct gy_replay_options o = {
        .schema = c->schema, .environment = c->environment, .base = base, .out = out};
    gy_status status = gy_replay_open(&o, &r, err);
    (void)close(fd); /* it was read */
    GY_TRY(status);
    GY_TRY(try_all(c, r, err));
    if (!gy_str_eqc(c->base.sha256, c->result.base_sha256)) {
        return gy_err_set(err, GY_E_CORRUPT, "the bytes of the version are damaged");
    }
    if (c->dry_run) {
        return GY_OK;
    }
    GY_TRY(gy_replay_commit(r, err));
    return keep(c, out, err);
}

static gy_status answer_replay(struct gy_reply *reply, const struct replay_call *c,
                               struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "tried", (int64_t)c->n);
    gy_jw_kv_i64(&w, "accepted", c->result.accepted);
    gy_jw_kv_i64(&w, "refused", c->result.refused);
    gy_jw_kv_i64(&w, "left", c->left);
    gy_jw_kv_bool(&w, "dry_run", c->dry_run);
    gy_jw_kv_str(&w, "dataset", c->name);
    gy_jw_kv_i64(&w, "base_version", c->base.version);
    gy_jw_key(&w, "version");
    c->version ? gy_jw_i64(&w, c->version) : gy_jw_null(&w);
    gy_jw_kv_bool(&w, "new", c->is_new);
    gy_jw_kv_i64(&w, "rows", c->result.base_rows + c->result.accepted);
    gy_jw_kv_strc(&w, "sha256", c->result.sha256);
    gy_jw_kv_strc(&w, "md5", c->result.md5);
    gy_jw_key(&w, "letters");
    gy_jw_arr(&w);
    int64_t told = 0;
    for (size_t i = 0; i < c->n && told < MAX_TOLD; i++) {
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        const struct fate *f = &c->fates[i];
        if (f->codes.p && gy_json_parse(f->json, &doc, NULL) == GY_OK) {
            yyjson_val *letter = yyjson_doc_get_root(doc);
            gy_jw_obj(&w);
            gy_jw_kv_str(&w, "id", f->l->id);
            gy_jw_key(&w, "codes");
            gy_jw_val(&w, gy_json_get(letter, "codes"));
            gy_jw_kv_str(&w, "error", gy_str_sub(gy_json_str(letter, "error"), 0, GY_KIB));
            gy_jw_obj_end(&w);
            told++;
        }
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, c->version && c->is_new ? 201 : 200, &out, err);
}

static gy_status post_replay(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    gy_arena_init(&arena, 4 * MAX_BYTES);
    GY_TRY(gy_api_object(req, GY_MAX_JSON_BODY, &doc, err));
    struct replay_call call = {.app = ctx, .req = req, .arena = &arena};
    gy_map_init(&call.ids, MAX_REPLAYED);
    gy_map_init(&call.edits, MAX_REPLAYED);
    gy_status status = read_request(&call, yyjson_doc_get_root(doc), err);
    if (status == GY_OK) {
        status = replay(&call, err);
    }
    if (status == GY_OK) {
        status = answer_replay(reply, &call, err);
    }
    gy_schema_free(call.schema);
    gy_map_done(&call.ids);
    gy_map_done(&call.edits);
    return status;
}

static const struct gy_route routes[] = {
    {"GET", PATH, get_letters, NULL, 0, "The dead letters of a dataset's uploads",
     GY_ACCESS_DEFAULT, GY_ROUTE_SCOPED},
    {"GET", PATH "/{id}", get_letter, NULL, 0, "One dead letter in full", GY_ACCESS_DEFAULT,
     GY_ROUTE_SCOPED},
    {"POST", PATH "/replay", post_replay, NULL, GY_MAX_JSON_BODY,
     "Check dead letters again; those that are good now come into a new version",
     GY_ACCESS_OPERATOR, GY_ROUTE_SCOPED},
};

gy_status gy_api_data_letters_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}

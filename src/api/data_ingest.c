/* SPDX-License-Identifier: Apache-2.0 */
/* POST /datasets/{name}/ingest: an upload of records becomes a new version, as `gyre data ingest`
 * would make it; what it does not accept becomes dead letters of the dataset (data_letters.c).
 *   body: the records (CSV, JSON, JSONL, also packed), or a form (multipart/form-data) with a part
 *         "file" and, if wanted, a part "schema" (schema.yaml)
 *   ?format=csv|json|jsonl (else by Content-Type, name and content) &delimiter= &environment=
 *    &max_dead=12|2% &on_duplicate=dead|last|first &file=NAME
 *    &schema=latest (the newest version's, if there is one; else inferred) | infer | VERSION | TAG
 *   -> 201 (200: these bytes were a version already) the report of the ingest;
 *      422 with the report and the first letters when more records are dead than max_dead allows:
 *      then nothing is kept.
 *
 * The upload is spooled into a file without a name, so it never lies in memory, and a client that
 * goes away leaves nothing; version and letters are one transaction. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "api/data_internal.h"
#include "api/data_work.h"
#include "base/file.h"
#include "data/ingest.h"
#include "data/letters.h"
#include "net/multipart.h"

#define MAX_UPLOAD GY_MAX_OBJECT_BYTES
#define MAX_FORM_VALUE ((size_t)64)
#define SHOWN_LETTERS 20 /* of an upload that is refused */

struct upload {
    struct gy_app *app;
    struct gy_request *req;
    struct gy_work work;
    struct gy_str name;
    int fd; /* the spooled records; -1: none yet */
    int64_t bytes;
    struct gy_str file, content_type; /* of the records */
    struct gy_buf schema_text;        /* of a form; empty: none */
    struct gy_schema *schema;
    struct gy_source *source;
    struct gy_ingest_options options;
    struct gy_ingest_result result;
    char dlq[GY_MAX_PATH], path[64];
};

/* ---- the body ---- */

static gy_status spool(struct upload *u, struct gy_reader *in, struct gy_err *err)
{
    char buf[64 * 1024];
    if (u->fd >= 0) {
        return gy_err_set(err, GY_E_INVALID, "the form has more than one file");
    }
    GY_TRY(gy_file_aside(u->work.dir, &u->fd, err));
    for (;;) {
        size_t n = 0;
        GY_TRY(in->read(in, buf, sizeof buf, &n, err));
        if (n == 0) {
            return GY_OK;
        }
        u->bytes += (int64_t)n;
        if (u->bytes > MAX_UPLOAD) {
            return gy_err_set(err, GY_E_TOOBIG, "an upload has at most %lld bytes",
                              (long long)MAX_UPLOAD);
        }
        GY_TRY(gy_fd_write(u->fd, "the upload", gy_str_n(buf, n), err));
    }
}

static gy_status read_part(struct gy_reader *in, struct gy_buf *out, struct gy_err *err)
{
    char buf[4096];
    for (size_t n = 1; n > 0;) {
        GY_TRY(in->read(in, buf, sizeof buf, &n, err));
        gy_buf_add(out, gy_str_n(buf, n));
        GY_TRY(gy_buf_check(out, "a part of the form", err));
    }
    return GY_OK;
}

static gy_status keep(struct upload *u, struct gy_str text, struct gy_str *ret, struct gy_err *err)
{
    *ret = text.p ? gy_arena_str(u->req->arena, text) : GY_STR_NULL;
    return !text.p || ret->p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

static gy_status read_form(struct upload *u, struct gy_reader *body, struct gy_str type,
                           struct gy_err *err)
{
    GY_AUTO(gy_multipart_free) struct gy_multipart *form = NULL;
    GY_TRY(gy_multipart_open(body, type, &form, err));
    for (;;) {
        struct gy_part part;
        bool more = false;
        GY_TRY(gy_multipart_next(form, &part, &more, err));
        if (!more) {
            break;
        }
        if (gy_str_eqc(part.name, "file")) {
            GY_TRY(keep(u, part.filename, &u->file, err));
            GY_TRY(keep(u, part.content_type, &u->content_type, err));
            GY_TRY(spool(u, part.body, err));
        } else if (gy_str_eqc(part.name, "schema")) {
            GY_TRY(read_part(part.body, &u->schema_text, err));
        } else {
            return gy_err_set(err, GY_E_INVALID,
                              "the form has a part '%" GY_STR_F "'; known are file and schema",
                              GY_STR_A(gy_str_sub(part.name, 0, MAX_FORM_VALUE)));
        }
    }
    return u->fd >= 0 ? GY_OK : gy_err_set(err, GY_E_INVALID, "the form has no part 'file'");
}

static gy_status read_body(struct upload *u, struct gy_err *err)
{
    struct gy_mem_reader none;
    struct gy_reader *body = u->req->body ? u->req->body : gy_mem_reader_init(&none, GY_STR(""));
    struct gy_str type = gy_req_header(u->req, "Content-Type");
    if (gy_multipart_is(type)) {
        GY_TRY(read_form(u, body, type, err));
    } else {
        u->content_type = type;
        GY_TRY(spool(u, body, err));
    }
    return u->bytes > 0 ? GY_OK : gy_err_set(err, GY_E_INVALID, "the upload is empty");
}

/* ---- what is asked for ---- */

static enum gy_ingest_format format_of_type(struct gy_str content_type)
{
    static const struct {
        const char *type;
        enum gy_ingest_format format;
    } known[] = {{"text/csv", GY_INGEST_CSV},
                 {"text/tab-separated-values", GY_INGEST_CSV},
                 {"application/csv", GY_INGEST_CSV},
                 {"application/x-ndjson", GY_INGEST_JSONL},
                 {"application/jsonl", GY_INGEST_JSONL},
                 {"application/jsonlines", GY_INGEST_JSONL},
                 {"application/x-jsonlines", GY_INGEST_JSONL}};
    struct gy_str type, rest;
    (void)gy_str_cut(content_type, ';', &type, &rest);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (gy_str_ieq(gy_str_trim(type), gy_str_c(known[i].type))) {
            return known[i].format;
        }
    }
    /* application/json may be lines, too; curl says x-www-form-urlencoded of anything. */
    return GY_INGEST_AUTO;
}

static gy_status read_delimiter(struct gy_str text, char *ret, struct gy_err *err)
{
    *ret = gy_str_eqc(text, "tab") ? '\t' : text.n == 1 ? text.p[0] : '\0';
    return !text.p || *ret || gy_str_eqc(text, "auto")
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "'delimiter' is , ; | tab or auto");
}

static gy_status read_options(struct upload *u, struct gy_err *err)
{
    const struct gy_request *req = u->req;
    struct gy_ingest_options *o = &u->options;
    struct gy_str format = gy_req_query(req, "format"), file = gy_req_query(req, "file"),
                  max_dead = gy_req_query(req, "max_dead"),
                  on_duplicate = gy_req_query(req, "on_duplicate");
    u->name = gy_req_param(req, "name");
    o->max_dead = -1;
    o->max_dead_share = -1;
    o->environment = gy_req_query(req, "environment");
    GY_TRY(gy_dataset_check_name(u->name, err));
    GY_TRY(read_delimiter(gy_req_query(req, "delimiter"), &o->delimiter, err));
    if (max_dead.p) {
        GY_TRY(gy_ingest_parse_max_dead(max_dead, o, err));
    }
    if (on_duplicate.p) {
        GY_TRY(gy_ingest_parse_on_duplicate(on_duplicate, &o->on_duplicate, err));
    }
    if (format.p) {
        enum gy_ingest_format unused;
        GY_TRY(gy_ingest_parse_format(format, &unused, err));
    }
    if (file.n > GY_MAX_NAME || (file.p && !gy_str_is_utf8(file))) {
        return gy_err_set(err, GY_E_INVALID, "'file' is a name of at most %d bytes", GY_MAX_NAME);
    }
    u->file = file;
    return GY_OK;
}

static gy_status open_source(struct upload *u, struct gy_err *err)
{
    struct gy_str format = gy_req_query(u->req, "format"),
                  file = gy_str_sub(u->file, 0, GY_MAX_NAME);
    const char *name = file.n > 0 ? gy_arena_strdup(u->req->arena, file) : "upload";
    if (!name) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    (void)snprintf(u->path, sizeof u->path, "/proc/self/fd/%d", u->fd);
    GY_TRY(gy_source_file(u->path, name, &u->source, err));
    u->source->format = format_of_type(u->content_type);
    return format.p ? gy_ingest_parse_format(format, &u->source->format, err) : GY_OK;
}

struct schema_call {
    struct gy_str ref;
    struct gy_arena *arena;
    struct gy_dataset_version v;
};

static gy_status schema_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct schema_call *c = ctx;
    return gy_dataset_resolve(db, c->ref, c->arena, &c->v, err);
}

static gy_status find_schema(struct upload *u, struct gy_err *err)
{
    struct gy_str wanted = gy_req_query(u->req, "schema");
    struct gy_err why = GY_ERR_INIT;
    if (u->schema_text.n > 0) {
        return gy_schema_parse(gy_buf_str(&u->schema_text), "schema", &u->schema, err);
    }
    if (gy_str_eqc(wanted, "infer")) {
        return gy_source_infer(u->source, &u->schema, err);
    }
    const bool latest = !wanted.p || gy_str_eqc(wanted, "latest");
    char *ref = gy_arena_printf(u->req->arena, "%" GY_STR_F "@%" GY_STR_F, GY_STR_A(u->name),
                                GY_STR_A(wanted.p ? wanted : GY_STR("latest")));
    if (!ref) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    struct schema_call call = {.ref = gy_str_c(ref), .arena = u->req->arena};
    gy_status status = gy_store_read(u->app->store, schema_closure, &call, &why);
    if (status == GY_E_NOTFOUND && latest) {
        return gy_source_infer(u->source, &u->schema, err);
    }
    if (status != GY_OK) {
        return gy_err_set(err, status, "%s", why.msg);
    }
    return call.v.schema_json.p
               ? gy_schema_parse(call.v.schema_json, "the version's schema", &u->schema, err)
               : gy_source_infer(u->source, &u->schema, err);
}

/* ---- what comes out ---- */

struct add_call {
    const struct upload *u;
    struct gy_dataset_version v;
    int64_t version;
    bool is_new;
};

static gy_status add_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct add_call *c = ctx;
    GY_TRY(gy_dataset_add(db, &c->v, &c->version, &c->is_new, err));
    return c->u->result.dead > 0
               ? gy_letters_add(db, c->v.name, c->version, c->u->dlq, c->v.actor, err)
               : GY_OK;
}

static gy_status put_version(struct upload *u, struct add_call *c, struct gy_err *err)
{
    const struct gy_ingest_result *r = &u->result;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf schema;
    char sha256[GY_SHA256_HEX];
    gy_buf_init(&schema, GY_MAX_YAML);
    gy_schema_json(u->schema, &schema);
    GY_TRY(gy_buf_check(&schema, "the schema", err));
    GY_TRY(gy_objects_put_file(u->app->objects, r->path, sha256, err));
    GY_TRY(gy_api_refuse_erased(u->app, sha256, err));
    if (strcmp(sha256, r->sha256) != 0) {
        return gy_err_set(err, GY_E_CORRUPT, "the table changed while it was stored");
    }
    c->u = u;
    c->v = (struct gy_dataset_version){.name = u->name,
                                       .sha256 = gy_str_c(r->sha256),
                                       .md5 = gy_str_c(r->md5),
                                       .size_bytes = r->size_bytes,
                                       .rows = r->accepted,
                                       .read = r->read - r->replaced,
                                       .accepted = r->accepted,
                                       .dead = r->dead,
                                       .schema_json = gy_buf_str(&schema),
                                       .source = u->file.n > 0 ? u->file : GY_STR("upload"),
                                       .source_sha256 = gy_str_c(r->source_sha256),
                                       .actor = u->req->actor};
    return gy_store_write(u->app->store, add_closure, c, err);
}

static gy_status answer(struct upload *u, const struct add_call *c, struct gy_reply *reply,
                        struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 64 * GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_ingest_report(&w, &u->result);
    gy_jw_kv_str(&w, "dataset", u->name);
    gy_jw_kv_i64(&w, "version", c->version);
    gy_jw_kv_bool(&w, "new", c->is_new);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, c->is_new ? 201 : 200, &out, err);
}

struct showing {
    struct gy_jw *w;
    int64_t n;
};

static bool show_letter(void *ctx, int64_t number, struct gy_str line, yyjson_val *letter)
{
    struct showing *s = ctx;
    (void)number;
    if (letter && line.n < 64 * GY_KIB) {
        gy_jw_raw(s->w, line);
    }
    return ++s->n < SHOWN_LETTERS;
}

/* More are dead than is allowed: problem+json with the report. */
static gy_status answer_refused(struct upload *u, const struct gy_err *failed,
                                struct gy_reply *reply, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    struct showing s = {.w = &w};
    gy_buf_init(&out, 2 * GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "type", "about:blank");
    gy_jw_kv_strc(&w, "title", gy_http_reason(422));
    gy_jw_kv_i64(&w, "status", 422);
    gy_jw_kv_strc(&w, "detail", failed->msg);
    gy_jw_kv_strc(&w, "code", "SCHEMA");
    gy_jw_kv_strc(&w, "hint", "nothing was kept; the first letters say why");
    gy_jw_key(&w, "report");
    gy_jw_obj(&w);
    gy_ingest_report(&w, &u->result);
    gy_jw_kv_str(&w, "dataset", u->name);
    gy_jw_obj_end(&w);
    gy_jw_key(&w, "letters");
    gy_jw_arr(&w);
    GY_TRY(gy_dlq_each(u->dlq, show_letter, &s, err));
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&out, "the report", err));
    return gy_reply_send(reply, 422, "application/problem+json", gy_buf_str(&out), err);
}

static gy_status ingest(struct upload *u, struct gy_reply *reply, struct gy_err *err)
{
    struct gy_ingest_options *o = &u->options;
    struct add_call call = {.version = 0};
    struct gy_err why = GY_ERR_INIT;
    GY_TRY(read_options(u, err));
    GY_TRY(gy_work_begin(u->app, &u->work, err));
    GY_TRY(read_body(u, err));
    GY_TRY(gy_work_turn(&u->work, err));
    GY_TRY(open_source(u, err));
    GY_TRY(find_schema(u, err));
    GY_TRY(gy_work_path(&u->work, "dlq.log", u->dlq, err));
    o->sources = &u->source;
    o->n_sources = 1;
    o->out_dir = u->work.dir;
    o->dlq = u->dlq;
    o->schema = u->schema;
    gy_status status = gy_ingest(o, &u->result, &why);
    if (status == GY_E_SCHEMA && u->result.read > 0 && u->result.dead > 0) {
        return answer_refused(u, &why, reply, err);
    }
    if (status != GY_OK) {
        (void)gy_err_set(err, status, "%s", why.msg);
        return why.hint[0] ? gy_err_hint(err, "%s", why.hint) : status;
    }
    if (u->result.dead > GY_LETTERS_MAX) {
        (void)gy_err_set(&why, GY_E_SCHEMA, "%lld of %lld records are dead; at most %d are kept",
                         (long long)u->result.dead, (long long)u->result.read, GY_LETTERS_MAX);
        return answer_refused(u, &why, reply, err);
    }
    GY_TRY(put_version(u, &call, err));
    return answer(u, &call, reply, err);
}

static gy_status post_ingest(void *ctx, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    struct upload u = {.app = ctx, .req = req, .fd = -1};
    gy_buf_init(&u.schema_text, GY_MAX_YAML);
    gy_status status = ingest(&u, reply, err);
    gy_source_free(u.source);
    gy_schema_free(u.schema);
    gy_buf_done(&u.schema_text);
    if (u.fd >= 0) {
        (void)close(u.fd); /* and gone it is */
    }
    gy_work_end(&u.work);
    return status;
}

static const struct gy_route routes[] = {
    {"POST", GY_DATASETS_PATH "/{name}/ingest", post_ingest, NULL, SIZE_MAX,
     "Upload records; the accepted ones are a new version, the others dead letters",
     GY_ACCESS_OPERATOR, GY_ROUTE_SCOPED},
};

gy_status gy_api_data_ingest_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Erasing in datasets: each version that holds the subject is given up (its row stays: digests,
 * counts, when and by which erasure), and the newest one of a name gets a successor without the
 * subject first. Older versions get none: what stood on them stands on bytes that are gone, and a
 * table that nobody had made would only pretend to be what somebody had used. */
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/time.h"
#include "data/dataset.h"
#include "data/schema.h"
#include "flow/erase_internal.h"
#include "store/scope.h"

#define MAX_VERSIONS 1000000

struct version {
    struct gy_str workspace;
    struct gy_dataset_version v;
    bool newest; /* of those of its name that are there */
};

struct versions {
    struct gy_erasing *e;
    struct version *list;
    size_t n, cap;
};

static gy_status read_version(struct gy_erasing *e, struct gy_stmt *st, struct version *x,
                              struct gy_err *err)
{
    *x = (struct version){.workspace = gy_col_dup(st, 0, e->a),
                          .v = {.name = gy_col_dup(st, 1, e->a),
                                .version = gy_col_i64(st, 2),
                                .sha256 = gy_col_dup(st, 3, e->a),
                                .md5 = gy_col_dup(st, 4, e->a),
                                .rows = gy_col_i64(st, 5),
                                .read = gy_col_i64(st, 6),
                                .accepted = gy_col_i64(st, 7),
                                .dead = gy_col_i64(st, 8),
                                .schema_json = gy_col_dup(st, 9, e->a),
                                .source = gy_col_dup(st, 10, e->a),
                                .deleted_us = gy_col_i64(st, 11),
                                .gone_us = gy_col_i64(st, 12),
                                .statistics_sha256 = gy_col_dup(st, 13, e->a)}};
    return x->workspace.p && x->v.name.p && x->v.sha256.p && x->v.md5.p ? GY_OK
                                                                        : gy_erasing_nomem(err);
}

/* All versions of all workspaces, the newest of each name first. */
static gy_status read_versions(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct versions *x = ctx;
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT workspace_id, name, version, sha256, md5, row_count, read_count, "
                       "accepted_count, dead_count, schema_json, source, deleted_us, gone_us, "
                       "statistics_sha256 FROM dataset_versions "
                       "ORDER BY workspace_id, name, version DESC",
                       GY_NO_VALS, &st, err));
    for (bool row;;) {
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        if (x->n == MAX_VERSIONS) {
            return gy_err_set(err, GY_E_TOOBIG, "more than %d dataset versions", MAX_VERSIONS);
        }
        if (x->n == x->cap) {
            size_t cap = x->cap ? x->cap * 2 : 64;
            struct version *list = gy_arena_calloc(x->e->a, cap, sizeof *list);
            if (!list) {
                return gy_erasing_nomem(err);
            }
            if (x->n) {
                memcpy(list, x->list, x->n * sizeof *list);
            }
            x->list = list;
            x->cap = cap;
        }
        GY_TRY(read_version(x->e, st, &x->list[x->n++], err));
    }
}

static void mark_newest(struct versions *x)
{
    bool seen = false;
    for (size_t i = 0; i < x->n; i++) {
        struct version *v = &x->list[i];
        if (i == 0 || !gy_str_eq(v->v.name, x->list[i - 1].v.name) ||
            !gy_str_eq(v->workspace, x->list[i - 1].workspace)) {
            seen = false;
        }
        v->newest = !seen && !v->v.deleted_us && !v->v.gone_us;
        seen = seen || v->newest;
    }
}

/* Columns of a role in a schema as a version keeps it. A schema that can not be read has none. */
static gy_status role_columns(struct gy_erasing *e, struct gy_str schema_json, enum gy_role role,
                              struct gy_str **ret, size_t *ret_n, struct gy_err *err)
{
    size_t cap = 0;
    GY_AUTO(gy_schema_free) struct gy_schema *s = NULL;
    *ret = NULL;
    *ret_n = 0;
    if (!schema_json.n || gy_schema_parse(schema_json, "schema", &s, NULL) != GY_OK) {
        return GY_OK;
    }
    for (size_t i = 0; i < s->n_columns; i++) {
        if (s->columns[i].role == role) {
            GY_TRY(gy_erasing_add(e, ret, ret_n, &cap, s->columns[i].name, err));
        }
    }
    return GY_OK;
}

gy_status gy_erase_columns(struct gy_erasing *e, struct gy_err *err)
{
    struct versions x = {.e = e};
    GY_TRY(gy_store_read(e->src->store, read_versions, &x, err));
    for (size_t i = 0; i < x.n; i++) {
        struct gy_str *names;
        size_t n;
        GY_TRY(role_columns(e, x.list[i].v.schema_json, GY_ROLE_SUBJECT, &names, &n, err));
        for (size_t k = 0; k < n; k++) {
            GY_TRY(
                gy_erasing_add(e, &e->columns, &e->ret->n_columns, &e->cap_columns, names[k], err));
        }
    }
    return GY_OK;
}

/* ---- one version ---- */

/* The version is given up: by its own workspace's name, with the tags that named it. */
struct giving_up {
    struct gy_erasing *e;
    const struct version *x;
    int64_t rows;
    const struct gy_dataset_version *successor; /* NULL: none */
    int64_t ret_successor;
};

static struct gy_str blanked(struct gy_erasing *e, struct gy_str text, struct gy_err *err,
                             gy_status *status)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_YAML);
    if (!text.p || !gy_subject_named(e->o->subject, text, NULL, NULL)) {
        return text;
    }
    gy_subject_blank(e->o->subject, text, &out);
    *status = gy_buf_check(&out, "what is kept of a version", err);
    struct gy_str copy = gy_arena_str(e->a, gy_buf_str(&out));
    if (!copy.p && *status == GY_OK) {
        *status = gy_erasing_nomem(err);
    }
    return copy;
}

/* A version that came meanwhile would be followed by one that lacks what it brought. */
static gy_status check_newest(struct gy_db *db, const struct gy_dataset_version *v,
                              struct gy_err *err)
{
    int64_t last = 0;
    bool found = false;
    GY_TRY(gy_db_get_i64(db,
                         "SELECT COALESCE(MAX(version), 0) FROM dataset_versions WHERE "
                         "workspace_id = ? AND name = ? AND deleted_us IS NULL AND gone_us IS NULL",
                         GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(v->name)), &found, &last, err));
    if (last <= v->version) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_BUSY, "%" GY_STR_F "@%lld was registered while its dataset was read",
                     GY_STR_A(v->name), (long long)last);
    return gy_err_hint(err, "the erasure is not finished: ask for it again");
}

static gy_status give_up(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct giving_up *g = ctx;
    const struct gy_dataset_version *v = &g->x->v;
    gy_status status = GY_OK;
    char reason[96];
    bool is_new;
    if (g->successor) {
        GY_TRY(check_newest(db, v, err));
        GY_TRY(gy_dataset_add(db, g->successor, &g->ret_successor, &is_new, err));
    }
    (void)snprintf(reason, sizeof reason, "erasure %" GY_STR_F, GY_STR_A(g->e->o->erasure->id));
    if (!v->deleted_us) {
        GY_TRY(gy_dataset_delete(db, v->name, v->version, true, gy_str_c(reason), g->e->o->actor,
                                 err));
    }
    struct gy_str source = blanked(g->e, v->source, err, &status);
    struct gy_str schema = blanked(g->e, v->schema_json, err, &status);
    GY_TRY(status);
    return gy_db_exec(
        db,
        "UPDATE dataset_versions SET gone_us = ?, gone_why = 'erased', erasure_id = ?, "
        "erased_rows = ?, statistics_sha256 = NULL, source = ?, schema_json = ? WHERE "
        "workspace_id = ? AND name = ? AND version = ?",
        GY_VALS(gy_vi(gy_now_us()), gy_vs(g->e->o->erasure->id), gy_vi(g->rows), gy_vs(source),
                gy_vs(schema), gy_vs(g->x->workspace), gy_vs(v->name), gy_vi(v->version)),
        NULL, err);
}

static gy_status take_out(struct gy_erasing *e, const struct version *x,
                          struct gy_subject_scan *scan, struct gy_err *err)
{
    struct giving_up g = {.e = e, .x = x, .rows = scan->hits + (scan->mentions ? scan->named : 0)};
    struct gy_dataset_version next = x->v;
    struct gy_erase_copy copy;
    struct gy_scope scope = {.workspace = x->workspace, .actor = e->o->actor};
    char note[128] = "";
    gy_status status = GY_OK;
    if (x->newest) {
        GY_TRY(gy_erase_copy_object(e, scan, x->v.sha256.p, false, &copy, err));
        int64_t kept = x->v.rows - g.rows;
        next.sha256 = gy_str_c(copy.sha256);
        next.md5 = gy_str_c(copy.md5);
        next.size_bytes = copy.size_bytes;
        next.rows = next.accepted = kept;
        next.read = kept + x->v.dead;
        next.source_sha256 = GY_STR_NULL; /* it is not what was read from there */
        next.base_version = x->v.version; /* it goes on where that one was (taken.h) */
        next.actor = e->o->actor;
        next.created_us = 0;
        next.statistics_sha256 = GY_STR_NULL;
        next.source = blanked(e, x->v.source, err, &status);
        next.schema_json = blanked(e, x->v.schema_json, err, &status);
        GY_TRY(status);
        g.successor = &next;
    }
    gy_scope_enter(&scope);
    status = gy_store_write(e->src->store, give_up, &g, err);
    gy_scope_leave(&scope);
    GY_TRY(status);
    if (g.ret_successor) {
        (void)snprintf(note, sizeof note, "version %lld follows without the subject",
                       (long long)g.ret_successor);
    }
    char *where =
        gy_arena_printf(e->a, "%" GY_STR_F "@%lld", GY_STR_A(x->v.name), (long long)x->v.version);
    return where ? gy_erasing_tell(e, "dataset", gy_str_c(where), g.rows, "found",
                                   note[0] ? gy_str_c(note) : GY_STR_NULL, err)
                 : gy_erasing_nomem(err);
}

/* What a column of role id says is a guess: an id need not be a person's. */
static gy_status scan_version(struct gy_erasing *e, const struct version *x,
                              struct gy_subject_scan *scan, bool *ret_sure, bool *ret_there,
                              struct gy_err *err)
{
    struct gy_str *subject, *id;
    size_t n_subject, n_id;
    int64_t size = 0;
    int fd = -1;
    struct gy_err why = GY_ERR_INIT;
    GY_TRY(role_columns(e, x->v.schema_json, GY_ROLE_SUBJECT, &subject, &n_subject, err));
    GY_TRY(role_columns(e, x->v.schema_json, GY_ROLE_ID, &id, &n_id, err));
    *ret_sure = n_subject > 0;
    *scan =
        (struct gy_subject_scan){.subject = e->o->subject,
                                 .columns = n_subject ? subject : id,
                                 .n_columns = n_subject ? n_subject : n_id,
                                 .mentions = true,
                                 .delimiter = ',',
                                 .row = e->o->mode == GY_ERASE_EXPORT ? gy_erasing_record : NULL,
                                 .ctx = e};
    gy_status status = gy_objects_open_fd(e->src->objects, x->v.sha256.p, &fd, &size, &why);
    *ret_there = status == GY_OK;
    if (status == GY_E_NOTFOUND) {
        return GY_OK;
    }
    if (status != GY_OK) {
        return gy_err_set(err, status, "%s", why.msg);
    }
    status = gy_subject_scan_csv(scan, fd, size, err);
    (void)close(fd); /* only read from */
    return status;
}

static gy_status one_version(struct gy_erasing *e, const struct version *x, struct gy_err *err)
{
    struct gy_subject_scan scan;
    bool sure, there;
    char *where =
        gy_arena_printf(e->a, "%" GY_STR_F "@%lld", GY_STR_A(x->v.name), (long long)x->v.version);
    if (!where) {
        return gy_erasing_nomem(err);
    }
    e->kind = "dataset";
    e->where = gy_str_c(where);
    GY_TRY(scan_version(e, x, &scan, &sure, &there, err));
    int64_t n = scan.hits + scan.named;
    if (!there || n == 0) {
        return GY_OK;
    }
    if (!sure && !e->o->possible) {
        return gy_erasing_tell(e, "dataset", e->where, n, "possible",
                               GY_STR("no column has role subject; --possible counts it as found"),
                               err);
    }
    if (!gy_erasing_takes_out(e)) {
        return gy_erasing_tell(e, "dataset", e->where, n, "found", GY_STR_NULL, err);
    }
    scan.row = NULL;
    return take_out(e, x, &scan, err);
}

/* All that are given up, whoever did it: their bytes must not be anywhere. */
static gy_status note_gone(struct gy_erasing *e, const struct version *x, struct gy_err *err)
{
    GY_TRY(gy_erasing_add(e, &e->md5, &e->n_md5, &e->cap_md5, x->v.md5, err));
    return gy_erasing_add(e, &e->sha256, &e->n_sha256, &e->cap_sha256, x->v.sha256, err);
}

static gy_status read_erased(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct versions *x = ctx;
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT workspace_id, name, version, sha256, md5, row_count, read_count, "
                       "accepted_count, dead_count, NULL, NULL, deleted_us, gone_us, NULL FROM "
                       "dataset_versions WHERE gone_why = 'erased' ORDER BY workspace_id, name, "
                       "version",
                       GY_NO_VALS, &st, err));
    for (bool row;;) {
        struct version one;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        GY_TRY(read_version(x->e, st, &one, err));
        GY_TRY(note_gone(x->e, &one, err));
    }
}

gy_status gy_erase_datasets(struct gy_erasing *e, struct gy_err *err)
{
    struct versions x = {.e = e};
    GY_TRY(gy_store_read(e->src->store, read_versions, &x, err));
    mark_newest(&x);
    for (size_t i = 0; i < x.n; i++) {
        struct version *v = &x.list[i];
        GY_TRY(gy_erasing_progress(e, "datasets", (int64_t)i, (int64_t)x.n, err));
        if (v->v.gone_us || (e->o->dataset.p && !gy_str_eq(e->o->dataset, v->v.name))) {
            continue;
        }
        GY_TRY(one_version(e, v, err));
    }
    return gy_store_read(e->src->store, read_erased, &x, err);
}

/* ---- dead letters of uploads ---- */

struct letter {
    int64_t seq;
    struct gy_str name;
};

struct letters {
    struct gy_erasing *e;
    struct gy_subject_letter_reader *reader;
    struct letter *found;
    size_t n, cap;
};

static gy_status keep_letter(struct letters *x, int64_t seq, struct gy_str name, struct gy_err *err)
{
    if (x->n == x->cap) {
        size_t cap = x->cap ? x->cap * 2 : 16;
        struct letter *found = gy_arena_calloc(x->e->a, cap, sizeof *found);
        if (!found) {
            return gy_erasing_nomem(err);
        }
        if (x->n) {
            memcpy(found, x->found, x->n * sizeof *found);
        }
        x->found = found;
        x->cap = cap;
    }
    x->found[x->n] = (struct letter){seq, gy_arena_str(x->e->a, name)};
    return x->found[x->n++].name.p ? GY_OK : gy_erasing_nomem(err);
}

static gy_status read_letters(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct letters *x = ctx;
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, "SELECT seq, name, letter FROM dataset_letters ORDER BY name, seq",
                       GY_NO_VALS, &st, err));
    for (bool row;;) {
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        if (!gy_subject_letter_is(x->reader, gy_col_str(st, 2))) {
            continue;
        }
        GY_TRY(keep_letter(x, gy_col_i64(st, 0), gy_col_str(st, 1), err));
        x->e->where = x->found[x->n - 1].name;
        GY_TRY(gy_erasing_record(x->e, gy_col_str(st, 2), err));
    }
}

static gy_status remove_letters(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct letters *x = ctx;
    for (size_t i = 0; i < x->n; i++) {
        GY_TRY(gy_db_exec(db, "DELETE FROM dataset_letters WHERE seq = ?",
                          GY_VALS(gy_vi(x->found[i].seq)), NULL, err));
    }
    return GY_OK;
}

gy_status gy_erase_letters(struct gy_erasing *e, struct gy_err *err)
{
    struct letters x = {.e = e};
    GY_AUTO(gy_subject_letter_reader_free) struct gy_subject_letter_reader *reader = NULL;
    e->kind = "letters";
    GY_TRY(gy_erasing_progress(e, "dead letters", 0, 0, err));
    GY_TRY(
        gy_subject_letter_reader_new(e->o->subject, e->columns, e->ret->n_columns, &reader, err));
    x.reader = reader;
    GY_TRY(gy_store_read(e->src->store, read_letters, &x, err));
    if (gy_erasing_takes_out(e) && x.n) {
        GY_TRY(gy_store_write(e->src->store, remove_letters, &x, err));
    }
    for (size_t i = 0, n; i < x.n; i += n) {
        for (n = 1; i + n < x.n && gy_str_eq(x.found[i + n].name, x.found[i].name);) {
            n++;
        }
        GY_TRY(
            gy_erasing_tell(e, "letters", x.found[i].name, (int64_t)n, "found", GY_STR_NULL, err));
    }
    return GY_OK;
}

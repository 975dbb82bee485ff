/* SPDX-License-Identifier: Apache-2.0 */
/* Erasing in bytes: artifacts of runs (tables lose the subject's rows, other files go as a whole),
 * the objects of versions that were given up, and objects that nothing names, which would otherwise
 * wait for gyre gc. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/time.h"
#include "flow/erase_internal.h"
#include "serve/refs.h"
#include "store/scope.h"

#define UNFINISHED_US (INT64_C(60) * 1000000)

/* ---- a copy without the subject ---- */

static gy_status keep_bytes(void *ctx, struct gy_str bytes, struct gy_err *err)
{
    return gy_file_writer_write(ctx, bytes, err);
}

static gy_status copy_to(struct gy_erasing *e, struct gy_subject_scan *scan, int fd, int64_t size,
                         bool lines, const char *path, struct gy_erase_copy *ret,
                         struct gy_err *err)
{
    char stored[GY_SHA256_HEX];
    GY_AUTO(gy_file_writer_free) struct gy_file_writer *w = NULL;
    GY_TRY(gy_file_writer_open(path, 0600, &w, err));
    scan->keep = keep_bytes;
    scan->row = NULL;
    scan->ctx = w;
    scan->rows = scan->hits = scan->named = 0;
    GY_TRY(lines ? gy_subject_scan_lines(scan, fd, size, err)
                 : gy_subject_scan_csv(scan, fd, size, err));
    GY_TRY(gy_file_writer_commit(w, NULL, err));
    GY_TRY(gy_file_digest(path, ret->sha256, ret->md5, &ret->size_bytes, err));
    GY_TRY(gy_objects_put_file(e->src->objects, path, stored, err));
    return strcmp(stored, ret->sha256) == 0
               ? GY_OK
               : gy_err_set(err, GY_E_CORRUPT, "'%s' changed while it was stored", path);
}

gy_status gy_erase_copy_object(struct gy_erasing *e, struct gy_subject_scan *scan,
                               const char *sha256, bool lines, struct gy_erase_copy *ret,
                               struct gy_err *err)
{
    char name[64], path[GY_MAX_PATH];
    int64_t size = 0;
    int fd = -1;
    (void)snprintf(name, sizeof name, "cache/erase-%d.part", (int)getpid());
    GY_TRY(gy_home_path(e->src->home, name, path, err));
    GY_TRY(gy_dir_make_for(path, err));
    GY_TRY(gy_objects_open_fd(e->src->objects, sha256, &fd, &size, err));
    gy_status status = copy_to(e, scan, fd, size, lines, path, ret, err);
    (void)close(fd);    /* only read from */
    (void)unlink(path); /* without the subject's rows; a leftover is only clutter */
    return status;
}

/* ---- artifacts ---- */

enum shape { CSV, LINES, OTHER };

static enum shape shape_of(struct gy_str path)
{
    if (gy_str_ends(path, GY_STR(".csv")) || gy_str_ends(path, GY_STR(".tsv"))) {
        return CSV;
    }
    return gy_str_ends(path, GY_STR(".jsonl")) || gy_str_ends(path, GY_STR(".ndjson")) ? LINES
                                                                                       : OTHER;
}

struct artifact {
    struct gy_str workspace, path, sha256;
    bool package; /* a file of a model's package: the digest of the version stands on it */
    const char *new_sha256; /* NULL: the row goes */
    int64_t new_size;
};

struct artifacts {
    struct gy_erasing *e;
    struct artifact *list;
    size_t n, cap;
};

static gy_status read_artifacts(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct artifacts *x = ctx;
    struct gy_arena *a = x->e->a;
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT a.workspace_id, a.path, a.sha256, (SELECT COUNT(*) FROM "
                       "model_version_files f WHERE f.sha256 = a.sha256) FROM artifacts a ORDER BY "
                       "a.sha256, a.workspace_id, a.path",
                       GY_NO_VALS, &st, err));
    for (bool row;;) {
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        if (x->n == x->cap) {
            size_t cap = x->cap ? x->cap * 2 : 256;
            struct artifact *list = gy_arena_calloc(a, cap, sizeof *list);
            if (!list) {
                return gy_erasing_nomem(err);
            }
            if (x->n) {
                memcpy(list, x->list, x->n * sizeof *list);
            }
            x->list = list;
            x->cap = cap;
        }
        struct artifact *one = &x->list[x->n++];
        *one = (struct artifact){gy_col_dup(st, 0, a),
                                 gy_col_dup(st, 1, a),
                                 gy_col_dup(st, 2, a),
                                 gy_col_i64(st, 3) > 0,
                                 NULL,
                                 0};
        if (!one->workspace.p || !one->path.p || !one->sha256.p) {
            return gy_erasing_nomem(err);
        }
    }
}

/* Only while it is what was looked into: a file that was logged anew meanwhile is not replaced. */
static gy_status change_artifact(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct artifact *x = ctx;
    if (!x->new_sha256) {
        return gy_db_exec(
            db, "DELETE FROM artifacts WHERE workspace_id = ? AND path = ? AND sha256 = ?",
            GY_VALS(gy_vs(x->workspace), gy_vs(x->path), gy_vs(x->sha256)), NULL, err);
    }
    return gy_db_exec(db,
                      "UPDATE artifacts SET sha256 = ?, size_bytes = ? WHERE workspace_id = ? AND "
                      "path = ? AND sha256 = ?",
                      GY_VALS(gy_vc(x->new_sha256), gy_vi(x->new_size), gy_vs(x->workspace),
                              gy_vs(x->path), gy_vs(x->sha256)),
                      NULL, err);
}

/* What a file holds of the subject: rows of a table, or (OTHER) 1 when it names it. */
static gy_status scan_object(struct gy_erasing *e, struct gy_str sha256, enum shape shape,
                             struct gy_subject_scan *scan, int64_t *ret_n, struct gy_err *err)
{
    int64_t size = 0;
    int fd = -1;
    bool named = false;
    struct gy_err why = GY_ERR_INIT;
    *ret_n = 0;
    *scan =
        (struct gy_subject_scan){.subject = e->o->subject,
                                 .columns = e->columns,
                                 .n_columns = e->ret->n_columns,
                                 .mentions = true,
                                 .row = e->o->mode == GY_ERASE_EXPORT ? gy_erasing_record : NULL,
                                 .ctx = e};
    gy_status status = gy_objects_open_fd(e->src->objects, sha256.p, &fd, &size, &why);
    if (status == GY_E_NOTFOUND) {
        return GY_OK; /* it went meanwhile */
    }
    if (status != GY_OK) {
        return gy_err_set(err, status, "%s", why.msg);
    }
    if (shape == CSV) {
        status = gy_subject_scan_csv(scan, fd, size, err);
    } else if (shape == LINES) {
        status = gy_subject_scan_lines(scan, fd, size, err);
    } else {
        status = gy_subject_search(e->o->subject, fd, size, !e->o->subject->id.p, &named, err);
    }
    (void)close(fd); /* only read from */
    *ret_n = shape == OTHER ? named : scan->hits + scan->named;
    return status;
}

static gy_status one_artifact(struct gy_erasing *e, struct artifact *x, struct gy_err *err)
{
    struct gy_subject_scan scan;
    struct gy_erase_copy copy;
    enum shape shape = shape_of(x->path);
    int64_t n;
    e->kind = "artifact";
    e->where = x->path;
    GY_TRY(scan_object(e, x->sha256, shape, &scan, &n, err));
    if (n == 0) {
        return GY_OK;
    }
    if (x->package) {
        return gy_erasing_tell(
            e, "artifact", x->path, n, "told",
            GY_STR("a model's package holds it: delete the version, then gyre gc"), err);
    }
    if (gy_erasing_takes_out(e)) {
        if (shape != OTHER) {
            GY_TRY(gy_erase_copy_object(e, &scan, x->sha256.p, shape == LINES, &copy, err));
            x->new_sha256 = copy.sha256;
            x->new_size = copy.size_bytes;
        }
        GY_TRY(gy_store_write(e->src->store, change_artifact, x, err));
    }
    return gy_erasing_tell(e, "artifact", x->path, n, "found",
                           shape == OTHER ? GY_STR("the file as a whole") : GY_STR_NULL, err);
}

gy_status gy_erase_artifacts(struct gy_erasing *e, struct gy_err *err)
{
    struct artifacts x = {.e = e};
    GY_TRY(gy_store_read(e->src->store, read_artifacts, &x, err));
    for (size_t i = 0; i < x.n; i++) {
        GY_TRY(gy_erasing_progress(e, "artifacts", (int64_t)i, (int64_t)x.n, err));
        GY_TRY(one_artifact(e, &x.list[i], err));
    }
    return GY_OK;
}

/* ---- objects ---- */

struct sweep {
    struct gy_erasing *e;
    struct gy_refs refs;
    int64_t seen, removed;
};

static gy_status read_refs(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct sweep *s = ctx;
    return gy_refs_add(&s->refs, db, false, err);
}

static bool was_erased(const struct gy_erasing *e, const char *sha256)
{
    for (size_t i = 0; i < e->n_sha256; i++) {
        if (gy_str_eqc(e->sha256[i], sha256)) {
            return true;
        }
    }
    return false;
}

/* What nothing names has no kind either: it is read as a table, and as text. */
static gy_status holds(struct gy_erasing *e, const char *sha256, bool *ret, struct gy_err *err)
{
    struct gy_subject_scan scan;
    int64_t n;
    e->kind = "object";
    e->where = gy_str_c(sha256);
    GY_TRY(scan_object(e, gy_str_c(sha256), OTHER, &scan, &n, err));
    if (n == 0 && e->ret->n_columns > 0) {
        GY_TRY(scan_object(e, gy_str_c(sha256), CSV, &scan, &n, err));
        n = scan.has_column ? scan.hits : 0;
    }
    *ret = n > 0;
    return GY_OK;
}

static gy_status named_now(struct gy_erasing *e, const char *sha256, bool *ret, struct gy_err *err)
{
    struct gy_ref_asked asked = {.sha256 = gy_str_c(sha256)};
    GY_TRY(gy_store_read(e->src->store, gy_refs_ask, &asked, err));
    *ret = asked.named;
    return GY_OK;
}

static gy_status sweep_one(void *ctx, const char *sha256, int64_t size_bytes, int64_t modified_us,
                           struct gy_err *err)
{
    struct sweep *s = ctx;
    struct gy_erasing *e = s->e;
    bool goes = false;
    (void)size_bytes;
    (void)modified_us;
    if (gy_refs_has(&s->refs, sha256)) {
        return GY_OK;
    }
    if ((++s->seen & 63) == 0) {
        GY_TRY(gy_erasing_progress(e, "objects", s->seen, 0, err));
    }
    if (was_erased(e, sha256)) {
        goes = true;
    } else if (!e->o->dataset.p) {
        GY_TRY(holds(e, sha256, &goes, err));
    }
    if (!goes) {
        return GY_OK;
    }
    if (gy_erasing_takes_out(e)) {
        /* Somebody may have named it since the walk began. */
        bool named = false;
        GY_TRY(named_now(e, sha256, &named, err));
        if (named) {
            return GY_OK;
        }
        GY_TRY(gy_objects_remove(e->src->objects, sha256, err));
    }
    return was_erased(e, sha256) ? GY_OK /* told as the version it was */
                                 : gy_erasing_tell(e, "object", gy_str_c(sha256), 1, "found",
                                                   GY_STR("bytes that nothing names"), err);
}

gy_status gy_erase_objects(struct gy_erasing *e, struct gy_err *err)
{
    struct sweep s = {.e = e};
    gy_status status = gy_store_read(e->src->store, read_refs, &s, err);
    if (status == GY_OK) {
        status = gy_objects_list(e->src->objects, sweep_one, &s, err);
    }
    if (status == GY_OK && gy_erasing_takes_out(e)) {
        /* Halves of puts that were given up; one that goes on writes more often. */
        status = gy_objects_clean(e->src->objects, gy_now_us() - UNFINISHED_US, NULL, err);
    }
    gy_refs_done(&s.refs);
    return status;
}

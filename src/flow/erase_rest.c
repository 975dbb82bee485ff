/* SPDX-License-Identifier: Apache-2.0 */
/* Erasing where people write freely: texts of tables and files of the home. The id is replaced by
 * "[erased]"; what can be made again is removed. The audit log can not be changed: it is told. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "flow/erase_internal.h"

#define MAX_TEXT_FILE (256 * GY_MIB) /* a file of the home that is rewritten */
#define MAX_DEPTH 32                 /* folders within the home */
#define MAX_CHANGED 100000           /* different texts of one column */

/* ---- texts of tables ---- */

static const struct {
    const char *table, *column;
} texts[] = {
    {"comment_texts", "body"},
    {"run_params", "value"},
    {"run_tags", "value"},
    {"experiment_tags", "value"},
    {"logged_model_params", "value"},
    {"logged_model_tags", "value"},
    {"registered_models", "description"},
    {"registered_model_tags", "value"},
    {"model_versions", "description"},
    {"model_version_tags", "value"},
    {"model_cards", "stated"},
    {"model_cards", "card"},
    {"model_changes", "reason"},
    {"model_alias_history", "reason"},
    {"flow_runs", "error"},
    {"flow_steps", "cmd"},
    {"flow_steps", "log"},
    {"flow_steps", "error"},
    {"jobs", "reason"},
    {"jobs", "error"},
    {"alerts", "text"},
    {"alerts", "data"},
    {"events", "data"},
    {"webhook_outbox", "body"},
    {"run_datasets", "source"},
    {"run_datasets", "schema"},
    {"run_datasets", "profile"},
    {"datasets", "description"},
    {"dataset_versions", "source"},
    {"dataset_versions", "schema_json"},
    {"dataset_tag_changes", "reason"},
    {"drift_windows", "result"},
    {"approvals", "reason"},
    {"use_cases", "spec"},
    {"use_case_changes", "spec"},
    {"use_case_changes", "reason"},
};

void gy_erase_text_tables(struct gy_buf *out)
{
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (i == 0 || strcmp(texts[i].table, texts[i - 1].table) != 0) {
            gy_buf_addf(out, ", %s", texts[i].table);
        }
    }
}

struct column {
    struct gy_erasing *e;
    const char *table, *column;
    struct gy_str like; /* what the database looks for first; absent: every text is read */
    struct gy_str *found;
    size_t n, cap;
};

/* "%id%" with the wild cards of LIKE escaped. */
static gy_status like_of(struct gy_erasing *e, struct gy_str *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    struct gy_str id = e->o->subject->id;
    gy_buf_init(&b, 16 * GY_KIB);
    gy_buf_add_char(&b, '%');
    for (size_t i = 0; i < id.n; i++) {
        if (id.p[i] == '%' || id.p[i] == '_' || id.p[i] == '!') {
            gy_buf_add_char(&b, '!');
        }
        gy_buf_add_char(&b, id.p[i]);
    }
    gy_buf_add_char(&b, '%');
    GY_TRY(gy_buf_check(&b, "a search", err));
    *ret = gy_arena_str(e->a, gy_buf_str(&b));
    return ret->p ? GY_OK : gy_erasing_nomem(err);
}

static gy_status read_texts(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct column *c = ctx;
    char sql[256];
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    (void)snprintf(sql, sizeof sql, "SELECT DISTINCT %s FROM %s WHERE %s IS NOT NULL%s%s%s",
                   c->column, c->table, c->column, c->like.p ? " AND " : "",
                   c->like.p ? c->column : "", c->like.p ? " LIKE ? ESCAPE '!'" : "");
    if (c->like.p) {
        GY_TRY(gy_db_query(db, sql, GY_VALS(gy_vs(c->like)), &st, err));
    } else {
        GY_TRY(gy_db_query(db, sql, GY_NO_VALS, &st, err));
    }
    for (bool row;;) {
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        struct gy_str text = gy_col_str(st, 0);
        if (!gy_subject_named(c->e->o->subject, text, NULL, NULL)) {
            continue;
        }
        if (c->n == MAX_CHANGED) {
            return gy_err_set(err, GY_E_TOOBIG, "the subject is named in more than %d texts of %s",
                              MAX_CHANGED, c->table);
        }
        GY_TRY(gy_erasing_add(c->e, &c->found, &c->n, &c->cap, text, err));
    }
}

/* By their text, so that no table's key need be known here. */
static gy_status blank_texts(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct column *c = ctx;
    char sql[256];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 256 * GY_MIB);
    (void)snprintf(sql, sizeof sql, "UPDATE %s SET %s = ? WHERE %s = ?", c->table, c->column,
                   c->column);
    for (size_t i = 0; i < c->n; i++) {
        gy_buf_reset(&out);
        gy_subject_blank(c->e->o->subject, c->found[i], &out);
        GY_TRY(gy_buf_check(&out, "a text", err));
        GY_TRY(
            gy_db_exec(db, sql, GY_VALS(gy_vs(gy_buf_str(&out)), gy_vs(c->found[i])), NULL, err));
    }
    return GY_OK;
}

static gy_status record_texts(struct column *c, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, 512 * GY_MIB);
    for (size_t i = 0; i < c->n; i++) {
        struct gy_jw w;
        gy_buf_reset(&json);
        gy_jw_init(&w, &json);
        gy_jw_obj(&w);
        gy_jw_kv_str(&w, "text", c->found[i]);
        gy_jw_obj_end(&w);
        GY_TRY(gy_buf_check(&json, "a text", err));
        GY_TRY(gy_erasing_record(c->e, gy_buf_str(&json), err));
    }
    return GY_OK;
}

static gy_status one_column(struct column *c, struct gy_err *err)
{
    struct gy_erasing *e = c->e;
    char *where = gy_arena_printf(e->a, "%s.%s", c->table, c->column);
    if (!where) {
        return gy_erasing_nomem(err);
    }
    e->kind = "text";
    e->where = gy_str_c(where);
    GY_TRY(gy_store_read(e->src->store, read_texts, c, err));
    GY_TRY(record_texts(c, err));
    if (gy_erasing_takes_out(e) && c->n) {
        GY_TRY(gy_store_write(e->src->store, blank_texts, c, err));
    }
    return c->n ? gy_erasing_tell(e, "text", e->where, (int64_t)c->n, "found", GY_STR_NULL, err)
                : GY_OK;
}

/* Where nothing can be changed: the chain of the audit log would break, and a source that is read
 * on from a mark would be read anew. */
static gy_status tell_fixed(struct gy_erasing *e, struct gy_str like, struct gy_err *err)
{
    static const struct {
        const char *kind, *table, *column, *note;
    } fixed[] = {
        {"audit", "audit", "subject", "the audit log is never changed"},
        {"audit", "audit", "request_id", "the audit log is never changed"},
        {"audit", "audit", "detail", "the audit log is never changed"},
        {"audit", "audit", "actor", "the audit log is never changed"},
        {"text", "dataset_sources", "source", "a query: change it, and ingest under its new text"},
        {"text", "dataset_sources", "watermark", "where an ingest goes on"},
        {"text", "dataset_source_objects", "object", "the name of an object that was read"},
    };
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        struct column c = {
            .e = e, .table = fixed[i].table, .column = fixed[i].column, .like = like};
        char where[128];
        GY_TRY(gy_store_read(e->src->store, read_texts, &c, err));
        (void)snprintf(where, sizeof where, "%s.%s", c.table, c.column);
        GY_TRY(c.n ? gy_erasing_tell(e, fixed[i].kind, gy_str_c(where), (int64_t)c.n, "told",
                                     gy_str_c(fixed[i].note), err)
                   : GY_OK);
    }
    return GY_OK;
}

gy_status gy_erase_texts(struct gy_erasing *e, struct gy_err *err)
{
    struct gy_str like = GY_STR_NULL;
    size_t n = sizeof texts / sizeof texts[0];
    if (!gy_subject_is_telling(e->o->subject)) {
        return GY_OK; /* 42 is in many texts, and means nobody there */
    }
    if (e->o->subject->id.p) {
        GY_TRY(like_of(e, &like, err));
    }
    for (size_t i = 0; i < n; i++) {
        struct column c = {
            .e = e, .table = texts[i].table, .column = texts[i].column, .like = like};
        GY_TRY(gy_erasing_progress(e, "texts", (int64_t)i, (int64_t)n, err));
        GY_TRY(one_column(&c, err));
    }
    return tell_fixed(e, like, err);
}

/* ---- files of the home ---- */

struct walk {
    struct gy_erasing *e;
    char below[GY_MAX_PATH]; /* of the home; "" is the home itself */
    int depth;
    bool cache; /* what is here can be made again */
};

/* Kept in other ways, or looked at by others. */
static bool is_left_out(const struct walk *w, const char *name)
{
    static const char *const own[] = {"gyre.db",     "gyre.db-wal", "gyre.db-shm",
                                      "objects",     "log",         GY_ERASURES_DIR,
                                      "server.lock", "sock",        "archives"};
    for (size_t i = 0; w->depth == 0 && i < sizeof own / sizeof own[0]; i++) {
        if (strcmp(name, own[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_database_copy(const struct walk *w, const char *name)
{
    return w->depth == 0 && strncmp(name, "gyre.db.bak-", 12) == 0;
}

/* Files of caches are named by what they were made from. */
static bool names_erased(const struct gy_erasing *e, const char *name)
{
    struct gy_str s = gy_str_c(name);
    for (size_t i = 0; i < e->n_sha256; i++) {
        if (gy_str_find_str(s, e->sha256[i]) != SIZE_MAX ||
            (s.n >= 62 && gy_str_find_str(s, gy_str_sub(e->sha256[i], 2, 62)) != SIZE_MAX)) {
            return true;
        }
    }
    return false;
}

static gy_status search_file(struct gy_erasing *e, const char *path, bool *ret_found,
                             struct gy_err *err)
{
    struct stat st;
    *ret_found = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return errno == ENOENT || errno == ELOOP || errno == ENXIO
                   ? GY_OK
                   : gy_err_sys(err, errno, "opening '%s'", path);
    }
    gy_status status = GY_OK;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        status =
            gy_subject_search(e->o->subject, fd, st.st_size, !e->o->subject->id.p, ret_found, err);
    }
    (void)close(fd); /* only read from */
    return status;
}

static gy_status blank_file(struct gy_erasing *e, const char *path, struct gy_err *err)
{
    struct stat st;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&text, MAX_TEXT_FILE);
    gy_buf_init(&out, 2 * MAX_TEXT_FILE);
    if (stat(path, &st) != 0) {
        return gy_err_sys(err, errno, "stat '%s'", path);
    }
    GY_TRY(gy_file_read(path, &text, err));
    gy_subject_blank(e->o->subject, gy_buf_str(&text), &out);
    GY_TRY(gy_buf_check(&out, "a file of the home", err));
    return gy_file_write(path, gy_buf_str(&out), st.st_mode & 0777, err);
}

static gy_status one_file(const struct walk *w, const char *name, const char *path,
                          const char *below, struct gy_err *err)
{
    struct gy_erasing *e = w->e;
    bool copy = is_database_copy(w, name), made_from = names_erased(e, name), named = false;
    if (made_from) {
        return gy_erasing_takes_out(e) && unlink(path) != 0 && errno != ENOENT
                   ? gy_err_sys(err, errno, "removing '%s'", path)
                   : GY_OK; /* told as what it was made from */
    }
    if (copy) {
        named = true; /* it holds what the database held, whatever the id looks like */
    } else {
        GY_TRY(search_file(e, path, &named, err));
    }
    if (!named) {
        return GY_OK;
    }
    if (gy_erasing_takes_out(e) && (w->cache || copy)) {
        if (unlink(path) != 0 && errno != ENOENT) {
            return gy_err_sys(err, errno, "removing '%s'", path);
        }
    } else if (gy_erasing_takes_out(e)) {
        GY_TRY(blank_file(e, path, err));
    }
    return gy_erasing_tell(
        e, "file", gy_str_c(below), 1, "found",
        copy ? GY_STR("a copy of the database from before a migration: it is removed")
             : GY_STR_NULL,
        err);
}

static gy_status walk_entry(void *ctx, const char *name, bool is_dir, struct gy_err *err);

static gy_status walk_dir(const struct walk *w, const char *name, struct gy_err *err)
{
    struct walk below = {.e = w->e, .depth = w->depth + 1};
    char path[GY_MAX_PATH];
    if (below.depth > MAX_DEPTH) {
        return gy_err_set(err, GY_E_TOOBIG, "the home has more than %d folders within each other",
                          MAX_DEPTH);
    }
    below.cache = w->cache || (w->depth == 0 && strcmp(name, "cache") == 0);
    if (w->depth == 0) {
        (void)snprintf(below.below, sizeof below.below, "%s", name);
    } else {
        GY_TRY(gy_path_join(below.below, sizeof below.below, w->below, name, err));
    }
    GY_TRY(gy_home_path(w->e->src->home, below.below, path, err));
    return gy_dir_each(path, walk_entry, &below, err);
}

static gy_status walk_entry(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct walk *w = ctx;
    char below[GY_MAX_PATH], path[GY_MAX_PATH];
    if (is_left_out(w, name)) {
        return GY_OK;
    }
    if (is_dir) {
        return walk_dir(w, name, err);
    }
    if (w->depth == 0) {
        (void)snprintf(below, sizeof below, "%s", name);
    } else {
        GY_TRY(gy_path_join(below, sizeof below, w->below, name, err));
    }
    GY_TRY(gy_home_path(w->e->src->home, below, path, err));
    return one_file(w, name, path, below, err);
}

gy_status gy_erase_home(struct gy_erasing *e, struct gy_err *err)
{
    struct walk w = {.e = e};
    GY_TRY(gy_erasing_progress(e, "files", 0, 0, err));
    e->kind = "file";
    return gy_dir_each(e->src->home->dir, walk_entry, &w, err);
}

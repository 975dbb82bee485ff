/* SPDX-License-Identifier: Apache-2.0 */
#include "data/source_parquet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/duck.h"
#include "data/schema.h"
#include "net/call.h"

#define COPY_BYTES (256 * GY_KIB)
#define LINES_MAX (64 * GY_MIB) /* of the rows that are given next */
#define LINES_SOME (256 * GY_KIB)

struct parquet {
    struct gy_source source;
    struct gy_reader reader;
    char *path, *name, *folder;
    struct gy_source *inner; /* instead of path */
    int fd;                  /* -1: not open */
    struct stat before;
    struct gy_duck *duck;
    struct gy_duck_rows *rows;
    enum how { AS_IS, NANOSECONDS, WITH_ZONE, REAL } * how; /* of each column */
    size_t n, at; /* rows at hand, and how many of them are written */
    bool end;
    struct gy_buf lines;
    struct gy_str rest; /* of lines */
};

static struct parquet *parquet_of(struct gy_source *s)
{
    return (struct parquet *)(void *)s;
}

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for a Parquet file");
}

bool gy_source_is_parquet_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (gy_str_ieq(gy_str_c(dot), GY_STR(".parquet")) ||
                   gy_str_ieq(gy_str_c(dot), GY_STR(".pq")));
}

/* ---- opening ---- */

static gy_status copy_inner(struct parquet *p, struct gy_err *err)
{
    struct gy_reader *in = NULL;
    size_t got = 0;
    GY_AUTO(gy_free) char *buf = gy_malloc(COPY_BYTES);
    if (!buf) {
        return no_memory(err);
    }
    GY_TRY(gy_file_aside(gy_temp_dir(), &p->fd, err));
    GY_TRY(gy_source_open(p->inner, &in, err));
    do {
        GY_TRY(in->read(in, buf, COPY_BYTES, &got, err));
        GY_TRY(gy_fd_write(p->fd, p->name, gy_str_n(buf, got), err));
    } while (got > 0);
    gy_source_close(p->inner);
    return GY_OK;
}

static gy_status check_magic(const struct parquet *p, struct gy_err *err)
{
    char magic[4] = "";
    const off_t size = p->before.st_size;
    const bool whole = size >= 12 && pread(p->fd, magic, 4, size - 4) == 4;
    if (whole && memcmp(magic, "PAR1", 4) == 0) {
        return GY_OK;
    }
    return gy_err_set(err, GY_E_PARSE,
                      memcmp(magic, "PARE", 4) == 0
                          ? "'%s' is an encrypted Parquet file"
                          : "'%s' is no Parquet file, or was cut off: its last "
                            "bytes are not PAR1",
                      p->name);
}

static gy_status open_file(struct parquet *p, struct gy_err *err)
{
    if (p->inner) {
        GY_TRY(copy_inner(p, err));
    } else {
        p->fd = open(p->path, O_RDONLY | O_CLOEXEC);
    }
    if (p->fd < 0 || fstat(p->fd, &p->before) != 0) {
        return gy_err_sys(err, errno, "opening '%s'", p->name);
    }
    if (!S_ISREG(p->before.st_mode)) {
        return gy_err_set(err, GY_E_INVALID, "'%s' is no file: Parquet is read from its end",
                          p->name);
    }
    p->source.size_bytes = p->before.st_size;
    return check_magic(p, err);
}

static bool is_nested(const char *type)
{
    static const char *const nested[] = {"LIST", "ARRAY", "STRUCT", "MAP", "UNION"};
    for (size_t i = 0; i < sizeof nested / sizeof nested[0]; i++) {
        if (strcmp(type, nested[i]) == 0) {
            return true;
        }
    }
    return false;
}

static enum how how_of(const char *type)
{
    return strcmp(type, "TIMESTAMP_NS") == 0                           ? NANOSECONDS
           : strcmp(type, "TIMESTAMP_TZ") == 0                         ? WITH_ZONE
           : strcmp(type, "DOUBLE") == 0 || strcmp(type, "FLOAT") == 0 ? REAL
                                                                       : AS_IS;
}

static gy_status check_columns(struct parquet *p, struct gy_err *err)
{
    gy_free(p->how);
    p->how = gy_calloc(gy_duck_n_columns(p->rows) + 1, sizeof *p->how);
    if (!p->how) {
        return no_memory(err);
    }
    for (size_t i = 0; i < gy_duck_n_columns(p->rows); i++) {
        p->how[i] = how_of(gy_duck_type(p->rows, i));
        if (is_nested(gy_duck_type(p->rows, i))) {
            (void)gy_err_set(err, GY_E_INVALID, "the column '%s' of '%s' is nested (%.100s)",
                             gy_duck_name(p->rows, i), p->name, gy_duck_type(p->rows, i));
            return gy_err_hint(err,
                               "take apart what is needed of it: gyre data query \"SELECT a.b, "
                               "... FROM 'x.parquet'\" -o flat.parquet");
        }
    }
    return GY_OK;
}

/* DuckDB is given the open file, not its name: that would be a pattern, and could be another file
 * by now. */
static gy_status start(struct parquet *p, struct gy_err *err)
{
    char path[64], sql[128];
    GY_TRY(open_file(p, err));
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", p->fd);
    (void)snprintf(sql, sizeof sql, "SELECT * FROM read_parquet('%s')", path);
    const char *const readable[] = {path};
    const struct gy_duck_options o = {
        .memory_bytes = (int64_t)GY_SOURCE_PARQUET_MEMORY, .readable = readable, .n_readable = 1};
    GY_TRY(gy_duck_open(&o, &p->duck, err));
    gy_status status = gy_duck_query(p->duck, gy_str_c(sql), NULL, 0, &p->rows, err);
    if (status != GY_OK) {
        return gy_err_wrap(err, "'%s'", p->name);
    }
    return check_columns(p, err);
}

static gy_status parquet_check(struct gy_source *s, struct gy_err *err)
{
    const struct parquet *p = parquet_of(s);
    return p->path && access(p->path, R_OK) != 0 ? gy_err_sys(err, errno, "opening '%s'", s->name)
                                                 : GY_OK;
}

/* ---- rows ---- */

/* What DuckDB spells otherwise than we read it: nanoseconds with nine digits, most of which are
 * none, and "+00". */
static void add_respelt(const struct parquet *p, size_t row, size_t column, struct gy_jw *w)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_KIB);
    if (!gy_duck_cell(p->rows, row, column, &text)) {
        gy_jw_null(w);
        return;
    }
    struct gy_str t = gy_buf_str(&text);
    if (p->how[column] == NANOSECONDS) {
        while (gy_str_find(t, '.') != SIZE_MAX && t.p[t.n - 1] == '0') {
            t.n--;
        }
    } else if (gy_str_ends(t, GY_STR("+00"))) {
        text.p[t.n - 3] = 'Z';
        t.n -= 2;
    }
    gy_jw_str(w, t);
}

static void add_row(struct parquet *p, size_t row)
{
    struct gy_jw w;
    gy_jw_init(&w, &p->lines);
    gy_jw_obj(&w);
    for (size_t i = 0; i < gy_duck_n_columns(p->rows); i++) {
        gy_jw_key(&w, gy_duck_name(p->rows, i));
        const size_t before = p->lines.n;
        if (p->how[i] == NANOSECONDS || p->how[i] == WITH_ZONE) {
            add_respelt(p, row, i, &w);
            continue;
        }
        gy_duck_cell_json(p->rows, row, i, &w);
        /* Not a number is a text in JSON: the marker of a missing value, as we spell it. */
        if (p->how[i] == REAL && p->lines.n == before + 5 &&
            memcmp(p->lines.p + before, "\"nan\"", 5) == 0) {
            memcpy(p->lines.p + before, "\"NaN\"", 5);
        }
    }
    gy_jw_obj_end(&w);
    gy_buf_add_char(&p->lines, '\n');
}

static gy_status check_unchanged(const struct parquet *p, struct gy_err *err)
{
    struct stat now;
    if (fstat(p->fd, &now) != 0) {
        return gy_err_sys(err, errno, "reading '%s'", p->name);
    }
    return now.st_size == p->before.st_size && now.st_mtim.tv_sec == p->before.st_mtim.tv_sec &&
                   now.st_mtim.tv_nsec == p->before.st_mtim.tv_nsec
               ? GY_OK
               : gy_err_set(err, GY_E_CONFLICT, "'%s' changed while it was read", p->name);
}

static gy_status next_lines(struct parquet *p, struct gy_err *err)
{
    gy_buf_reset(&p->lines);
    while (!p->end && p->lines.n < LINES_SOME) {
        if (p->at == p->n) {
            p->at = 0;
            gy_status status = gy_duck_next(p->rows, &p->n, err);
            if (status != GY_OK) {
                return gy_err_wrap(err, "'%s'", p->name);
            }
            p->end = p->n == 0;
            continue;
        }
        add_row(p, p->at++);
    }
    GY_TRY(gy_buf_check(&p->lines, "rows of a Parquet file", err));
    p->rest = gy_buf_str(&p->lines);
    double share = p->end ? 1 : gy_duck_progress(p->duck);
    int64_t done = (int64_t)((double)p->source.size_bytes * (share > 0 ? share : 0));
    p->source.done_bytes = done > p->source.done_bytes ? done : p->source.done_bytes;
    return p->end ? check_unchanged(p, err) : GY_OK;
}

static gy_status parquet_read(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                              struct gy_err *err)
{
    struct parquet *p = (struct parquet *)(void *)((char *)self - offsetof(struct parquet, reader));
    if (p->rest.n == 0 && !p->end) {
        GY_TRY(next_lines(p, err));
    }
    *ret_n = p->rest.n < n ? p->rest.n : n;
    memcpy(buf, p->rest.n ? p->rest.p : "", *ret_n);
    p->rest = gy_str_sub(p->rest, *ret_n, SIZE_MAX);
    return GY_OK;
}

static gy_status parquet_open(struct gy_source *s, struct gy_reader **ret, struct gy_err *err)
{
    struct parquet *p = parquet_of(s);
    p->n = p->at = 0;
    p->end = false;
    p->rest = GY_STR("");
    if (!p->rows) {
        GY_TRY(start(p, err));
    }
    p->reader = (struct gy_reader){.read = parquet_read, .size_bytes = -1};
    *ret = &p->reader;
    return GY_OK;
}

static void parquet_close(struct gy_source *s)
{
    struct parquet *p = parquet_of(s);
    gy_duck_rows_free(GY_TAKE(p->rows));
    gy_duck_free(GY_TAKE(p->duck));
    gy_buf_done(&p->lines);
    if (p->inner) {
        gy_source_close(p->inner);
    }
    if (p->fd >= 0) {
        (void)close(p->fd); /* it was only read */
        p->fd = -1;
    }
}

static void parquet_free(struct gy_source *s)
{
    struct parquet *p = parquet_of(s);
    parquet_close(s);
    gy_source_free(p->inner);
    gy_free(p->path);
    gy_free(p->name);
    gy_free(p->folder);
    gy_free(p->how);
    gy_free(p);
}

/* ---- columns ---- */

static const char *type_of(const char *duck)
{
    static const struct {
        const char *duck, *type;
    } known[] = {{"BOOLEAN", "bool"},      {"TINYINT", "int"},       {"SMALLINT", "int"},
                 {"INTEGER", "int"},       {"BIGINT", "int"},        {"UTINYINT", "int"},
                 {"USMALLINT", "int"},     {"UINTEGER", "int"},      {"UBIGINT", "int"},
                 {"FLOAT", "float"},       {"DOUBLE", "float"},      {"HUGEINT", "float"},
                 {"DATE", "time"},         {"TIMESTAMP", "time"},    {"TIMESTAMP_S", "time"},
                 {"TIMESTAMP_MS", "time"}, {"TIMESTAMP_NS", "time"}, {"TIMESTAMP_TZ", "time"},
                 {"DECIMAL", "float"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(duck, known[i].duck) == 0) {
            return known[i].type;
        }
    }
    return "string";
}

static gy_status parquet_schema(struct gy_source *s, struct gy_schema **ret, struct gy_err *err)
{
    struct parquet *p = parquet_of(s);
    if (!p->rows) {
        GY_TRY(start(p, err));
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    struct gy_jw w;
    gy_buf_init(&json, GY_MAX_YAML);
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_jw_key(&w, "columns");
    gy_jw_arr(&w);
    for (size_t i = 0; i < gy_duck_n_columns(p->rows); i++) {
        const char *duck = gy_duck_type(p->rows, i);
        gy_jw_obj(&w);
        gy_jw_kv_strc(&w, "name", gy_duck_name(p->rows, i));
        gy_jw_kv_strc(&w, "type", type_of(duck));
        if (gy_str_starts(gy_str_c(duck), GY_STR("TIMESTAMP")) &&
            strcmp(duck, "TIMESTAMP_TZ") != 0) {
            gy_jw_kv_strc(&w, "zone", "none");
        }
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&json, "a Parquet file's columns", err));
    return gy_schema_parse(gy_buf_str(&json), s->name, ret, err);
}

static const struct gy_source_ops parquet_ops = {"Parquet file", parquet_open, parquet_close,
                                                 parquet_check,  parquet_free, parquet_schema};

static gy_status new_parquet(const char *path, const char *name, struct gy_source *inner,
                             struct gy_source **ret, struct gy_err *err)
{
    struct parquet *p = gy_calloc(1, sizeof *p);
    if (!p) {
        gy_source_free(inner);
        return no_memory(err);
    }
    p->inner = inner;
    p->fd = -1;
    gy_buf_init(&p->lines, LINES_MAX);
    GY_AUTO(gy_source_free) struct gy_source *s = &p->source;
    const char *slash = path ? strrchr(path, '/') : NULL;
    p->path = path ? gy_strdup(path) : NULL;
    p->name = gy_strdup(name);
    p->folder = !path   ? NULL
                : slash ? gy_strndup(path, (size_t)(slash - path) + 1)
                        : gy_strdup(".");
    *s = (struct gy_source){.ops = &parquet_ops,
                            .name = p->name,
                            .folder = p->folder,
                            .format = GY_INGEST_JSONL,
                            .size_bytes = inner ? inner->size_bytes : gy_file_size(path)};
    if (!p->name || (path && (!p->path || !p->folder))) {
        return no_memory(err);
    }
    *ret = GY_TAKE(s);
    return GY_OK;
}

gy_status gy_source_parquet(const char *path, const char *name, struct gy_source **ret,
                            struct gy_err *err)
{
    return new_parquet(path, name ? name : path, NULL, ret, err);
}

gy_status gy_source_parquet_of(struct gy_source *inner, struct gy_source **ret, struct gy_err *err)
{
    return new_parquet(NULL, inner->name, inner, ret, err);
}

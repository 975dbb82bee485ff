/* SPDX-License-Identifier: Apache-2.0 */
#include "data/source_pg.h"

#include "base/json.h"
#include "base/mem.h"
#include "data/schema.h"
#include "net/call.h"
#include "store/url.h"

struct pg {
    struct gy_source source;
    struct gy_reader reader;
    struct gy_arena arena;
    struct gy_pg_rows_options options;
    struct gy_pg_rows *rows; /* NULL: not connected */
    struct gy_str rest;      /* of the row at hand */
    bool row, end;           /* row: there is one, its newline is due */
    char *watermark;         /* NULL: none yet */
};

static struct pg *pg_of(const struct gy_source *s)
{
    return (struct pg *)(void *)(uintptr_t)s;
}

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for a query");
}

static gy_status keep_watermark(struct pg *p, struct gy_err *err)
{
    struct gy_str mark = gy_pg_rows_watermark(p->rows);
    gy_free(p->watermark);
    p->watermark = mark.p ? gy_strndup(mark.p, mark.n) : NULL;
    return mark.p && !p->watermark ? no_memory(err) : GY_OK;
}

static gy_status next_row(struct pg *p, struct gy_err *err)
{
    gy_status status = gy_pg_rows_next(p->rows, &p->rest, &p->row, err);
    if (status != GY_OK) {
        return gy_err_wrap(err, "'%s'", p->source.name);
    }
    p->end = !p->row;
    return p->end ? keep_watermark(p, err) : GY_OK;
}

static gy_status pg_read(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                         struct gy_err *err)
{
    struct pg *p = (struct pg *)(void *)((char *)self - offsetof(struct pg, reader));
    size_t at = 0;
    while (at < n && !p->end) {
        if (!p->row) {
            GY_TRY(next_row(p, err));
            continue;
        }
        size_t piece = p->rest.n < n - at ? p->rest.n : n - at;
        memcpy(buf + at, p->rest.p, piece);
        p->rest = gy_str_sub(p->rest, piece, SIZE_MAX);
        at += piece;
        if (p->rest.n == 0 && at < n) {
            buf[at++] = '\n';
            p->row = false;
        }
    }
    p->source.done_bytes += (int64_t)at;
    *ret_n = at;
    return GY_OK;
}

static gy_status pg_check(struct gy_source *s, struct gy_err *err)
{
    struct pg *p = pg_of(s);
    if (p->rows) {
        return GY_OK;
    }
    gy_status status = gy_pg_rows_open(&p->options, &p->rows, err);
    return status == GY_OK ? GY_OK : gy_err_wrap(err, "'%s'", s->name);
}

static gy_status pg_open(struct gy_source *s, struct gy_reader **ret, struct gy_err *err)
{
    struct pg *p = pg_of(s);
    GY_TRY(pg_check(s, err));
    p->row = p->end = false;
    p->reader = (struct gy_reader){.read = pg_read, .size_bytes = -1};
    *ret = &p->reader;
    return GY_OK;
}

static void pg_close(struct gy_source *s)
{
    struct pg *p = pg_of(s);
    gy_pg_rows_free(GY_TAKE(p->rows));
}

static void pg_free(struct gy_source *s)
{
    struct pg *p = pg_of(s);
    gy_pg_rows_free(p->rows);
    gy_free(p->watermark);
    gy_arena_done(&p->arena);
    gy_free(p);
}

/* The types are known, even of columns that hold nothing yet. What is nested is left out. */
static gy_status pg_schema(struct gy_source *s, struct gy_schema **ret, struct gy_err *err)
{
    static const char *const types[] = {
        [GY_PG_KIND_INT] = "int",   [GY_PG_KIND_FLOAT] = "float",     [GY_PG_KIND_BOOL] = "bool",
        [GY_PG_KIND_TIME] = "time", [GY_PG_KIND_LOCAL_TIME] = "time", [GY_PG_KIND_TEXT] = "string",
    };
    struct pg *p = pg_of(s);
    GY_TRY(pg_check(s, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, GY_MAX_YAML);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_jw_key(&w, "columns");
    gy_jw_arr(&w);
    for (size_t i = 0; i < gy_pg_rows_n_columns(p->rows); i++) {
        enum gy_pg_kind kind;
        const char *name = gy_pg_rows_column(p->rows, i, &kind);
        if (kind != GY_PG_KIND_NESTED) {
            gy_jw_obj(&w);
            gy_jw_kv_strc(&w, "name", name);
            gy_jw_kv_strc(&w, "type", types[kind]);
            if (kind == GY_PG_KIND_LOCAL_TIME) {
                gy_jw_kv_strc(&w, "zone", "none");
            }
            gy_jw_obj_end(&w);
        }
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&json, "a query's columns", err));
    return gy_schema_parse(gy_buf_str(&json), s->name, ret, err);
}

static const struct gy_source_ops pg_ops = {"query",  pg_open, pg_close,
                                            pg_check, pg_free, pg_schema};

static bool copy(struct pg *p, const char *text, const char **to)
{
    *to = text ? gy_arena_strdup(&p->arena, gy_str_c(text)) : NULL;
    return !text || *to;
}

gy_status gy_source_pg(const struct gy_pg_rows_options *o, struct gy_source **ret,
                       struct gy_err *err)
{
    char place[GY_STORE_URL_SHOWN];
    struct pg *p = gy_calloc(1, sizeof *p);
    if (!p) {
        return no_memory(err);
    }
    gy_arena_init(&p->arena, 4 * GY_MIB);
    p->source = (struct gy_source){.ops = &pg_ops, .format = GY_INGEST_JSONL, .size_bytes = -1};
    p->options = *o;
    if (!copy(p, o->url, &p->options.url) || !copy(p, o->query, &p->options.query) ||
        !copy(p, o->watermark, &p->options.watermark) || !copy(p, o->after, &p->options.after) ||
        !copy(p, gy_store_url_place(o->url, place), &p->source.name)) {
        pg_free(&p->source);
        return no_memory(err);
    }
    *ret = &p->source;
    return GY_OK;
}

struct gy_str gy_source_pg_watermark(const struct gy_source *s)
{
    return gy_str_c(pg_of(s)->watermark);
}

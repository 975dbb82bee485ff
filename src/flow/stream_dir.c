/* SPDX-License-Identifier: Apache-2.0 */
/* A folder as a source of a stream: each file of records that appears in it is read once, in the
 * order of names. A file is to be renamed into the folder when it is whole. When all its records
 * are decided, NAME.done stands beside it; ".NAME.at" says how far an unfinished one is, so that
 * whoever is killed goes on there. A file that is none of records gets NAME.failed. */
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/jsonrec.h"
#include "data/source.h"
#include "flow/record_json.h"
#include "flow/stream_internal.h"

struct dir_source {
    struct stream_source base;
    struct gy_record_kinds *kinds;
    char *dir;
    char name[256]; /* of the file at hand; "": none */
    struct gy_source *source;
    struct gy_csv *csv;
    struct gy_jsonrec *json;
    struct gy_csv_field *fields;
    struct gy_buf text, scratch;
    int64_t records, skip; /* read of the file at hand; those decided by an earlier run */
    struct gy_err broken; /* why the rest of the file at hand can not be read; code GY_OK: it can */
    bool ended;           /* the file at hand */
};

/* ---- names ---- */

static gy_status beside(const struct dir_source *d, const char *before, const char *name,
                        const char *after, char path[GY_MAX_PATH], struct gy_err *err)
{
    char full[300];
    int n = snprintf(full, sizeof full, "%s%s%s", before, name, after);
    if (n < 0 || (size_t)n >= sizeof full) {
        return gy_err_set(err, GY_E_TOOBIG, "the file name '%.100s...' is too long", name);
    }
    return gy_path_join(path, GY_MAX_PATH, d->dir, full, err);
}

static bool marked(const struct dir_source *d, const char *name, const char *mark)
{
    char path[GY_MAX_PATH];
    return beside(d, "", name, mark, path, NULL) == GY_OK && gy_path_exists(path);
}

static gy_status look_at(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct dir_source *d = ctx;
    (void)err;
    if (d->name[0] || is_dir || name[0] == '.' || name[0] == '_' ||
        strlen(name) >= sizeof d->name || !gy_ingest_is_data_name(name) ||
        marked(d, name, ".done") || marked(d, name, ".failed")) {
        return GY_OK;
    }
    memcpy(d->name, name, strlen(name) + 1);
    return GY_OK;
}

/* ---- a file ---- */

static void close_file(struct dir_source *d)
{
    gy_csv_free(GY_TAKE(d->csv));
    gy_jsonrec_free(GY_TAKE(d->json));
    gy_source_free(GY_TAKE(d->source));
    d->name[0] = '\0';
    d->records = d->skip = 0;
    d->ended = false;
    d->broken.code = GY_OK;
}

/* How far an earlier run was. */
static void read_place(struct dir_source *d)
{
    char path[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, 64);
    d->skip = 0;
    if (beside(d, ".", d->name, ".at", path, NULL) == GY_OK &&
        gy_file_read(path, &text, NULL) == GY_OK &&
        gy_parse_i64(gy_str_trim(gy_buf_str(&text)), 0, INT64_MAX, &d->skip, NULL) != GY_OK) {
        d->skip = 0; /* it is read from its start: at least once */
    }
}

static gy_status open_records(struct dir_source *d, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    struct gy_reader *reader = NULL;
    enum gy_ingest_format format = GY_INGEST_AUTO;
    GY_TRY(beside(d, "", d->name, "", path, err));
    GY_TRY(gy_source_path(path, &d->source, err));
    GY_TRY(gy_source_format(d->source, &format, err));
    GY_TRY(gy_source_open(d->source, &reader, err));
    if (format == GY_INGEST_CSV) {
        const struct gy_csv_options csv = {0};
        return gy_csv_open(reader, &csv, &d->csv, err);
    }
    const struct gy_jsonrec_options json = {.shape = format == GY_INGEST_JSONL ? GY_JSONREC_LINES
                                                                               : GY_JSONREC_ARRAY};
    return gy_jsonrec_open(reader, &json, &d->json, err);
}

/* What is wrong with a file is its own affair: it is marked, and the next one comes. */
static gy_status set_aside(struct dir_source *d, const struct gy_err *why, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, 4 * GY_KIB);
    gy_buf_addf(&text, "%s: %s\n", gy_status_name(why->code), why->msg);
    gy_log_err(GY_LOG_ERROR, "stream", "a file can not be read", why);
    GY_TRY(beside(d, "", d->name, ".failed", path, err));
    close_file(d);
    return gy_file_write(path, gy_buf_str(&text), 0666, err);
}

static gy_status next_item(struct dir_source *d, struct gy_csv_item *item, bool *ret_more,
                           struct gy_err *err)
{
    if (d->json) {
        return gy_jsonrec_next(d->json, item, ret_more, err);
    }
    GY_TRY(gy_csv_next(d->csv, item, ret_more, err));
    if (!*ret_more || item->kind != GY_CSV_HEADER) {
        return GY_OK;
    }
    GY_TRY(gy_record_header(d->kinds, item, gy_csv_delimiter(d->csv), err));
    gy_free(d->fields);
    d->fields = gy_calloc(gy_record_n_columns(d->kinds) + 1, sizeof *d->fields);
    return d->fields ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory for columns");
}

static gy_status add_record(struct dir_source *d, const struct gy_csv_item *item,
                            struct stream_batch *b, struct gy_err *err)
{
    struct stream_message *m = gy_stream_add(b);
    struct gy_str value = item->raw;
    const char *id = gy_arena_printf(&b->arena, "%s/%lld", d->name, (long long)item->row);
    m->fault = gy_record_fault(item);
    if (!m->fault && d->csv) {
        gy_buf_reset(&d->text);
        if (gy_record_json(d->kinds, item, gy_csv_delimiter(d->csv), d->fields, &d->scratch,
                           &d->text)) {
            value = gy_buf_str(&d->text);
        } else {
            m->fault = "the record has not the header's columns, or is not UTF-8";
        }
        GY_TRY(gy_buf_check(&d->text, "a record", err));
    }
    m->id = gy_str_c(id);
    m->value.p = value.p ? gy_arena_strdup(&b->arena, value) : NULL;
    m->value.n = value.n;
    return id && (m->value.p || !value.p)
               ? GY_OK
               : gy_err_set(err, GY_E_NOMEM, "out of memory for records");
}

static gy_status read_file(struct dir_source *d, size_t max, struct stream_batch *b,
                           struct gy_err *err)
{
    size_t bytes = 0;
    while (b->n < max && bytes < GY_STREAM_BATCH_BYTES) {
        struct gy_csv_item item;
        bool more = false;
        GY_TRY(next_item(d, &item, &more, err));
        if (!more) {
            d->ended = true;
            return GY_OK;
        }
        if (item.kind != GY_CSV_RECORD || d->records++ < d->skip) {
            continue;
        }
        item.row = d->records - 1;
        bytes += (size_t)item.size_bytes;
        GY_TRY(add_record(d, &item, b, err));
    }
    return GY_OK;
}

/* ---- the source ---- */

static gy_status dir_done(struct stream_source *s, const struct stream_batch *b, bool *ret_kept,
                          struct gy_err *err)
{
    struct dir_source *d = (struct dir_source *)(void *)s;
    char at[GY_MAX_PATH], path[GY_MAX_PATH], text[64];
    (void)b;
    *ret_kept = true;
    GY_TRY(beside(d, ".", d->name, ".at", at, err));
    GY_TRY(beside(d, "", d->name, ".done", path, err));
    int n = snprintf(text, sizeof text, "%lld\n", (long long)d->records);
    GY_TRY(gy_file_write(d->ended ? path : at, gy_str_n(text, (size_t)n), 0666, err));
    if (d->ended) {
        (void)unlink(at); /* the mark that it is done counts more */
        close_file(d);
    }
    return GY_OK;
}

static gy_status dir_take(struct stream_source *s, int wait_ms, size_t max, struct stream_batch *b,
                          bool *ret_end, struct gy_err *err)
{
    struct dir_source *d = (struct dir_source *)(void *)s;
    struct gy_err why = GY_ERR_INIT;
    *ret_end = false;
    if (!d->name[0]) {
        GY_TRY(gy_dir_each(d->dir, look_at, d, err));
        if (!d->name[0]) {
            (void)usleep((useconds_t)wait_ms * 1000);
            return GY_OK;
        }
        read_place(d);
        if (open_records(d, &why) != GY_OK) {
            return set_aside(d, &why, err);
        }
    }
    if (d->broken.code != GY_OK) {
        return set_aside(d, &d->broken, err);
    }
    gy_status status = read_file(d, max, b, &d->broken);
    if (status == GY_E_NOMEM) {
        return gy_err_set(err, status, "%s", d->broken.msg);
    }
    if (status != GY_OK && b->n == 0) {
        return set_aside(d, &d->broken, err);
    }
    bool kept; /* what was read before the damage is decided first */
    return d->ended && b->n == 0 ? dir_done(s, b, &kept, err) : GY_OK;
}

static void dir_free(struct stream_source *s)
{
    struct dir_source *d = (struct dir_source *)(void *)s;
    close_file(d);
    gy_record_kinds_free(d->kinds);
    gy_buf_done(&d->text);
    gy_buf_done(&d->scratch);
    gy_free(d->fields);
    gy_free(d->dir);
    gy_free(d);
}

static const struct stream_source_ops dir_ops = {dir_take, dir_done, NULL, NULL, dir_free};

gy_status gy_stream_from_dir(const struct gy_stream_options *o, const char *path,
                             struct stream_source **ret, struct gy_err *err)
{
    if (!gy_path_is_dir(path)) {
        return gy_err_set(err, GY_E_NOTFOUND, "no such folder: %s", path);
    }
    struct dir_source *d = gy_calloc(1, sizeof *d);
    if (!d) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a source");
    }
    d->base.ops = &dir_ops;
    gy_buf_init(&d->text, 2 * GY_STREAM_MAX_MESSAGE);
    gy_buf_init(&d->scratch, GY_STREAM_MAX_MESSAGE);
    d->dir = gy_strdup(path);
    gy_status status = d->dir ? gy_record_kinds_ask(o->server, o->endpoint, &d->kinds, err)
                              : gy_err_set(err, GY_E_NOMEM, "out of memory for a source");
    if (status != GY_OK) {
        dir_free(&d->base);
        return status;
    }
    *ret = &d->base;
    return GY_OK;
}

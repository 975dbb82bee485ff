/* SPDX-License-Identifier: Apache-2.0 */
/* Sources become batches of records. */
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/ingest_internal.h"
#include "data/jsonrec.h"
#include "net/call.h"

#define BATCH_BYTES (512 * GY_KIB)
#define IMAGE_BATCH_BYTES (4 * GY_KIB) /* each record has a file to be decoded */

/* ---- batches ---- */

void gy_ingest_batch_init(struct ingest_batch *b)
{
    *b = (struct ingest_batch){.spill = -1};
    gy_buf_init(&b->bytes, GY_GIB);
    gy_buf_init(&b->out, GY_GIB);
    gy_buf_init(&b->texts, GY_GIB);
    gy_buf_init(&b->keys, GY_GIB);
    gy_unknown_init(&b->unknown);
}

static void close_spill(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

void gy_ingest_batch_done(struct ingest_batch *b)
{
    gy_buf_done(&b->bytes);
    gy_buf_done(&b->out);
    gy_buf_done(&b->texts);
    gy_buf_done(&b->keys);
    gy_unknown_done(&b->unknown);
    gy_free(b->pieces);
    gy_free(b->dead);
    gy_free(b->keyed);
    close_spill(&b->spill);
}

static void reset_batch(struct ingest_batch *b)
{
    gy_buf_reset(&b->bytes);
    gy_buf_reset(&b->out);
    gy_buf_reset(&b->texts);
    gy_buf_reset(&b->keys);
    gy_unknown_reset(&b->unknown);
    close_spill(&b->spill);
    b->n_pieces = b->n_dead = b->n_keyed = 0;
    b->records = b->accepted = b->record_bytes = b->blank_bytes = 0;
    b->last = b->leads = false;
}

void *gy_ingest_more(void *items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) {
        return items;
    }
    size_t more = *cap ? 2 * *cap : 64;
    void *grown = gy_reallocarray(items, more, size);
    *cap = grown ? more : *cap;
    return grown;
}

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for reading records");
}

static gy_status add_piece(struct ingest_batch *b, const struct gy_csv_item *item,
                           struct gy_err *err)
{
    struct ingest_piece *pieces =
        gy_ingest_more(b->pieces, b->n_pieces, &b->cap_pieces, sizeof *pieces);
    if (!pieces) {
        return no_memory(err);
    }
    b->pieces = pieces;
    pieces[b->n_pieces++] = (struct ingest_piece){*item, b->bytes.n};
    if (item->raw.p) {
        gy_buf_add(&b->bytes, item->raw);
    }
    return gy_buf_check(&b->bytes, "the records", err);
}

/* ---- bytes ---- */

struct digest {
    struct gy_reader reader;
    struct ingest_read *r;
    struct gy_reader *in;
};

static gy_status digest_read(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                             struct gy_err *err)
{
    const struct digest *d = (const struct digest *)(const void *)self;
    struct ingest_read *r = d->r;
    GY_TRY(d->in->read(d->in, buf, n, ret_n, err));
    struct gy_str got = gy_str_n(buf, *ret_n);
    gy_hash_add(r->sha256, got);
    if (r->one) {
        gy_hash_add(r->one, got);
    }
    r->bytes += (int64_t)got.n;
    if (r->o->progress) {
        r->o->progress(r->o->progress_ctx, r->done_before + r->o->sources[r->source]->done_bytes);
    }
    return GY_OK;
}

static gy_status spill_write(struct gy_spill *self, struct gy_str bytes, struct gy_err *err)
{
    struct ingest_spill *s = (struct ingest_spill *)(void *)self;
    if (s->fd < 0) {
        GY_TRY(gy_file_aside(s->dir, &s->fd, err));
    }
    GY_TRY(gy_fd_write(s->fd, s->dir, bytes, err));
    s->bytes += (int64_t)bytes.n;
    return GY_OK;
}

/* What was put aside belongs to the item just read: the batch gets it with the record, and nothing
 * more. */
static void hand_over_spill(struct ingest_spill *s, struct ingest_batch *b, bool record)
{
    if (s->bytes > 0 && record) {
        b->spill = s->fd;
    } else if (s->bytes > 0) {
        (void)close(s->fd);
    }
    if (s->bytes > 0) {
        s->fd = -1;
        s->bytes = 0;
    }
}

gy_status gy_ingest_read_init(struct ingest_read *r, const struct gy_ingest_options *o,
                              struct gy_err *err)
{
    *r = (struct ingest_read){.o = o, .delimiter = o->delimiter};
    r->spill = (struct ingest_spill){{spill_write}, o->out_dir, -1, 0};
    gy_buf_init(&r->canonical, GY_MIB + (size_t)GY_MAX_COLUMNS * GY_MAX_NAME * 2);
    struct digest *d = gy_calloc(1, sizeof *d);
    if (!d) {
        return no_memory(err);
    }
    *d = (struct digest){{.read = digest_read, .size_bytes = -1}, r, NULL};
    r->reader = &d->reader;
    r->files = gy_calloc(o->n_sources, sizeof *r->files);
    if (!r->files) {
        return no_memory(err);
    }
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &r->sha256, err));
    return o->n_sources > 1 ? gy_hash_new(GY_HASH_SHA256, &r->one, err) : GY_OK;
}

void gy_ingest_file_free(struct ingest_file *f)
{
    if (f) {
        gy_free(f->line ? f->fields : NULL);
        gy_free(f->line);
        gy_free(f);
    }
}

void gy_ingest_read_done(struct ingest_read *r)
{
    for (size_t i = 0; r->files && i < r->o->n_sources; i++) {
        gy_ingest_file_free(r->files[i]);
    }
    gy_free(r->files);
    gy_csv_free(r->csv);
    gy_jsonrec_free(r->json);
    gy_jsonfields_free(r->fields);
    gy_checker_free(r->checker);
    gy_hash_free(r->sha256);
    gy_hash_free(r->one);
    gy_buf_done(&r->canonical);
    gy_free(r->reader);
    if (r->spill.fd >= 0) {
        (void)close(r->spill.fd);
    }
}

/* ---- headers ---- */

/* The header is one that the schema knows, and gives the columns of the files before. */
static gy_status map_header(struct ingest_read *r, struct gy_err *err)
{
    const struct gy_ingest_options *o = r->o;
    const struct ingest_file *f = r->at;
    const bool first = !r->checker;
    gy_status status =
        first ? gy_checker_new(o->schema, o->environment, f->fields, f->n_fields, &r->checker, err)
              : gy_checker_next_file(r->checker, f->fields, f->n_fields, err);
    if (status != GY_OK) {
        (void)gy_err_wrap(err, "'%s'", f->source->name);
        return status;
    }
    r->header_seen = true;
    if (first) {
        gy_checker_header(r->checker, &r->canonical);
    }
    return gy_buf_check(&r->canonical, "the canonical header", err);
}

static gy_status take_header(struct ingest_read *r, const struct gy_csv_item *item,
                             struct gy_err *err)
{
    struct ingest_file *f = r->at;
    if (item->fault != GY_CSV_FINE || !gy_str_is_utf8(item->raw)) {
        return gy_err_set(err, GY_E_PARSE, "'%s': the header line is %s", f->source->name,
                          item->fault == GY_CSV_QUOTE     ? "broken: a quoted name never ends well"
                          : item->fault == GY_CSV_TOOLONG ? "too long"
                                                          : "not UTF-8");
    }
    f->delimiter = r->delimiter = gy_csv_delimiter(r->csv);
    r->header_bytes += item->size_bytes;
    f->line = gy_strndup(item->raw.p, item->raw.n);
    f->fields = gy_calloc(GY_MAX_COLUMNS, sizeof *f->fields);
    if (!f->line || !f->fields) {
        gy_free(GY_TAKE(f->fields)); /* it is freed with the line alone */
        return no_memory(err);
    }
    f->line_bytes = item->raw.n;
    f->n_fields = gy_csv_split(gy_str_n(f->line, f->line_bytes), item->quotes, f->delimiter,
                               f->fields, GY_MAX_COLUMNS);
    return map_header(r, err);
}

/* ---- sources ---- */

static gy_status open_json(struct ingest_read *r, struct gy_err *err)
{
    const struct gy_ingest_options *o = r->o;
    struct ingest_file *f = r->at;
    const struct gy_jsonrec_options json = {
        .shape = f->format == GY_INGEST_JSONL ? GY_JSONREC_LINES : GY_JSONREC_ARRAY,
        .record_max = o->record_max,
        .chunk_bytes = o->chunk_bytes,
        .spill = &r->spill.to};
    if (!r->fields) {
        GY_TRY(gy_jsonfields_new(o->schema, o->environment, &r->fields, err));
    }
    GY_TRY(gy_jsonrec_open(r->reader, &json, &r->json, err));
    /* Never written through: the header of JSON is the schema's. */
    f->fields = (struct gy_csv_field *)(uintptr_t)gy_jsonfields_header(r->fields, &f->n_fields);
    return map_header(r, err);
}

static gy_status open_source(struct ingest_read *r, struct gy_err *err)
{
    const struct gy_ingest_options *o = r->o;
    struct gy_source *s = o->sources[r->source];
    struct ingest_file *f = gy_calloc(1, sizeof *f);
    if (!f) {
        return no_memory(err);
    }
    f->index = r->source;
    f->source = s;
    r->files[r->source] = r->at = f;
    r->header_seen = false;
    GY_TRY(gy_source_format(s, &f->format, err));
    struct digest *d = (struct digest *)(void *)r->reader;
    GY_TRY(gy_source_open(s, &d->in, err));
    if (f->format != GY_INGEST_CSV) {
        return open_json(r, err);
    }
    const struct gy_csv_options csv = {o->delimiter, o->record_max, o->chunk_bytes, &r->spill.to};
    return gy_csv_open(r->reader, &csv, &r->csv, err);
}

/* The source at hand is read to its end. */
static gy_status end_source(struct ingest_read *r, struct gy_err *err)
{
    struct gy_source *s = r->o->sources[r->source];
    if (r->json) {
        r->unclosed += gy_jsonrec_unclosed(r->json) ? 1 : 0;
    } else if (!r->header_seen && !r->checker) {
        return gy_err_set(err, GY_E_PARSE, "'%s' is empty: not even a header line", s->name);
    }
    gy_csv_free(GY_TAKE(r->csv));
    gy_jsonrec_free(GY_TAKE(r->json));
    if (r->one) {
        gy_hash_hex(r->one, r->at->sha256);
    } else {
        gy_hash_hex(r->sha256, r->at->sha256);
    }
    r->done_before += s->done_bytes;
    gy_source_close(s);
    r->source++;
    return GY_OK;
}

/* The next item of the source at hand. */
static gy_status next_item(struct ingest_read *r, size_t max, struct gy_csv_item *item,
                           bool *ret_more, struct gy_err *err)
{
    if (r->csv) {
        return gy_csv_more(r->csv, max, item, ret_more, err);
    }
    gy_status status = gy_jsonrec_next(r->json, item, ret_more, err);
    if (status == GY_E_PARSE) { /* what a source fails with names it already */
        (void)gy_err_wrap(err, "'%s'", r->at->source->name);
    }
    return status;
}

static size_t batch_bytes(const struct gy_ingest_options *o)
{
    size_t bytes = BATCH_BYTES;
    for (size_t i = 0; i < o->schema->n_columns; i++) {
        bytes = o->schema->columns[i].type == GY_TYPE_IMAGE ? IMAGE_BATCH_BYTES : bytes;
    }
    return o->chunk_bytes ? o->chunk_bytes : bytes;
}

gy_status gy_ingest_read(struct ingest_read *r, struct ingest_batch *b, bool *ret_more,
                         struct gy_err *err)
{
    const size_t enough = batch_bytes(r->o);
    if (r->source == r->o->n_sources) {
        *ret_more = false;
        return GY_OK;
    }
    reset_batch(b);
    if (!r->csv && !r->json) {
        GY_TRY(open_source(r, err));
    }
    b->file = r->at;
    while (b->bytes.n < enough && b->spill < 0) {
        struct gy_csv_item item;
        bool more = false;
        GY_TRY(next_item(r, enough, &item, &more, err));
        if (!more) {
            b->last = true;
            b->headed = r->checker != NULL;
            return end_source(r, err);
        }
        hand_over_spill(&r->spill, b, item.kind == GY_CSV_RECORD);
        if (item.kind == GY_CSV_HEADER) {
            GY_TRY(take_header(r, &item, err));
        } else if (item.kind == GY_CSV_BLANK) {
            b->blank_bytes += item.size_bytes;
        } else {
            GY_TRY(add_piece(b, &item, err));
        }
    }
    b->headed = r->checker != NULL;
    return GY_OK;
}

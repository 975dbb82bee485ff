/* SPDX-License-Identifier: Apache-2.0 */
/* A source becomes blocks of records. */
#include "base/mem.h"
#include "data/schema.h"
#include "flow/batch_internal.h"

#define BLOCK_BYTES (256 * GY_KIB)
#define BLOCK_ROWS 8192

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for reading records");
}

static gy_status spill_write(struct gy_spill *self, struct gy_str bytes, struct gy_err *err)
{
    struct batch_read *r =
        (struct batch_read *)(void *)((char *)self - offsetof(struct batch_read, spill));
    size_t room = GY_BATCH_MAX_LONG - r->spilled.n;
    gy_buf_add(&r->spilled, gy_str_sub(bytes, 0, room));
    return gy_buf_check(&r->spilled, "a record", err);
}

/* ---- what the columns are ---- */

static gy_status copy_name(struct batch_read *r, struct gy_str name, struct gy_err *err)
{
    struct batch_head *h = &r->head;
    char *p = gy_arena_strdup(&r->arena, name);
    h->names[h->n++] = gy_str_n(p, name.n);
    return p ? GY_OK : no_memory(err);
}

/* Where the package's inputs are. A table that lacks one altogether is the wrong table. */
static gy_status map_inputs(struct batch_read *r, struct gy_err *err)
{
    struct batch_head *h = &r->head;
    if (!r->o->predictor) {
        return GY_OK;
    }
    const struct gy_predictor_info *info = gy_predictor_info(r->o->predictor);
    h->columns = gy_arena_calloc(&r->arena, info->n_inputs + 1, sizeof *h->columns);
    if (!h->columns) {
        return no_memory(err);
    }
    for (size_t i = 0; i < info->n_inputs; i++) {
        h->columns[i] = SIZE_MAX;
        for (size_t k = 0; k < h->n; k++) {
            if (gy_str_eq(h->names[k], info->inputs[i].name)) {
                h->columns[i] = k;
            }
        }
        if (h->columns[i] == SIZE_MAX && !h->json) {
            gy_err_set(err, GY_E_NOTFOUND, "the table has no column '%" GY_STR_F "'",
                       GY_STR_A(info->inputs[i].name));
            return gy_err_hint(err, "the model needs it; gyre models show lists its inputs");
        }
    }
    return GY_OK;
}

static gy_status take_header(struct batch_read *r, const struct gy_csv_item *item,
                             struct gy_err *err)
{
    struct batch_head *h = &r->head;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf scratch;
    gy_buf_init(&scratch, GY_MIB);
    h->delimiter = gy_csv_delimiter(r->csv);
    if (item->fault != GY_CSV_FINE || !gy_str_is_utf8(item->raw)) {
        return gy_err_set(err, GY_E_PARSE, "'%s': the header line is broken", r->o->source->name);
    }
    char *line = gy_arena_strdup(&r->arena, item->raw);
    struct gy_csv_field *fields = gy_arena_calloc(&r->arena, GY_MAX_COLUMNS, sizeof *fields);
    h->names = gy_arena_calloc(&r->arena, GY_MAX_COLUMNS, sizeof *h->names);
    if (!line || !fields || !h->names) {
        return no_memory(err);
    }
    h->line = gy_str_n(line, item->raw.n);
    size_t n = gy_csv_split(h->line, item->quotes, h->delimiter, fields, GY_MAX_COLUMNS);
    if (n > GY_MAX_COLUMNS) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d columns", GY_MAX_COLUMNS);
    }
    for (size_t i = 0; i < n; i++) {
        GY_TRY(copy_name(r, gy_csv_text(&fields[i], &scratch), err));
    }
    if (r->kinds) {
        GY_TRY(gy_record_header(r->kinds, item, h->delimiter, err));
    }
    return map_inputs(r, err);
}

/* The columns of JSON are the keys at its head; what comes later is in no column of CSV. */
static gy_status head_of_json(struct batch_read *r, struct gy_err *err)
{
    struct batch_head *h = &r->head;
    GY_AUTO(gy_schema_free) struct gy_schema *schema = NULL;
    h->json = true;
    gy_status status = gy_source_infer(r->o->source, &schema, err);
    if (status == GY_E_PARSE) { /* no record to tell from: each becomes a dead letter */
        return GY_OK;
    }
    GY_TRY(status);
    h->names = gy_arena_calloc(&r->arena, schema->n_columns + 1, sizeof *h->names);
    if (!h->names) {
        return no_memory(err);
    }
    for (size_t i = 0; i < schema->n_columns; i++) {
        GY_TRY(copy_name(r, schema->columns[i].name, err));
    }
    return GY_OK;
}

gy_status gy_batch_read_open(struct batch_read *r, const struct gy_batch_options *o,
                             struct gy_err *err)
{
    struct gy_reader *reader = NULL;
    enum gy_ingest_format format = GY_INGEST_AUTO;
    r->o = o;
    r->spill.write = spill_write;
    gy_buf_init(&r->spilled, GY_BATCH_MAX_LONG);
    gy_arena_init(&r->arena, 64 * GY_MIB);
    GY_TRY(gy_source_format(o->source, &format, err));
    if (o->endpoint) {
        GY_TRY(gy_record_kinds_ask(o->server, o->endpoint, &r->kinds, err));
    }
    if (format != GY_INGEST_CSV) {
        GY_TRY(head_of_json(r, err));
    }
    GY_TRY(gy_source_open(o->source, &reader, err));
    if (format == GY_INGEST_CSV) {
        const struct gy_csv_options csv = {.spill = &r->spill};
        return gy_csv_open(reader, &csv, &r->csv, err);
    }
    const struct gy_jsonrec_options json = {.shape = format == GY_INGEST_JSONL ? GY_JSONREC_LINES
                                                                               : GY_JSONREC_ARRAY,
                                            .spill = &r->spill};
    return gy_jsonrec_open(reader, &json, &r->json, err);
}

void gy_batch_read_done(struct batch_read *r)
{
    gy_csv_free(r->csv);
    gy_jsonrec_free(r->json);
    gy_record_kinds_free(r->kinds);
    gy_buf_done(&r->spilled);
    gy_arena_done(&r->arena);
}

/* ---- blocks ---- */

static void reset_block(struct batch_block *b)
{
    gy_buf_reset(&b->bytes);
    gy_buf_reset(&b->out);
    gy_buf_reset(&b->dead);
    b->n = 0;
    b->predicted = b->n_dead = b->positive = b->unseen = 0;
    b->first_dead = b->first_unseen = -1;
}

static gy_status add_piece(struct batch_read *r, struct batch_block *b, struct gy_csv_item *item,
                           struct gy_err *err)
{
    if (b->n == b->cap) {
        size_t cap = b->cap ? 2 * b->cap : 256;
        struct batch_piece *more = gy_reallocarray(b->pieces, cap, sizeof *more);
        if (!more) {
            return no_memory(err);
        }
        b->pieces = more;
        b->cap = cap;
    }
    item->row = r->rows++;
    struct batch_piece *p = &b->pieces[b->n++];
    *p = (struct batch_piece){*item, b->bytes.n};
    if (!item->raw.p) { /* too long: what its letter will have */
        p->item.raw = gy_buf_str(&r->spilled);
    }
    gy_buf_add(&b->bytes, p->item.raw);
    gy_buf_reset(&r->spilled);
    return gy_buf_check(&b->bytes, "a block of records", err);
}

static gy_status next_item(struct batch_read *r, struct gy_csv_item *item, bool *ret_more,
                           struct gy_err *err)
{
    if (r->csv) {
        return gy_csv_next(r->csv, item, ret_more, err);
    }
    gy_status status = gy_jsonrec_next(r->json, item, ret_more, err);
    return status == GY_E_PARSE ? gy_err_wrap(err, "'%s'", r->o->source->name) : status;
}

static gy_status fill(struct batch_read *r, struct batch_block *b, struct gy_err *err)
{
    while (b->bytes.n < BLOCK_BYTES && b->n < BLOCK_ROWS) {
        struct gy_csv_item item;
        bool more = false;
        GY_TRY(next_item(r, &item, &more, err));
        if (!more) {
            r->ended = true;
            return GY_OK;
        }
        if (item.kind == GY_CSV_HEADER) {
            GY_TRY(take_header(r, &item, err));
        } else if (item.kind == GY_CSV_RECORD) {
            GY_TRY(add_piece(r, b, &item, err));
        }
    }
    return GY_OK;
}

gy_status gy_batch_read(struct batch_read *r, struct batch_block *b, bool *ret_more,
                        struct gy_err *err)
{
    do {
        reset_block(b);
        if (r->ended) {
            *ret_more = false;
            return GY_OK;
        }
        GY_TRY(fill(r, b, err));
    } while (r->skip-- > 0);
    r->skip = 0;
    if (r->o->progress) {
        r->o->progress(r->o->progress_ctx, r->o->source->done_bytes);
    }
    return GY_OK;
}

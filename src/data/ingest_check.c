/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of records are checked: canonical lines, and the reasons against those that are refused.
 */
#include "base/mem.h"
#include "data/ingest_internal.h"

void gy_ingest_worker_init(struct ingest_worker *w, const struct gy_ingest_options *o)
{
    *w = (struct ingest_worker){.o = o};
    gy_reasons_init(&w->reasons);
}

void gy_ingest_worker_done(struct ingest_worker *w)
{
    gy_checker_free(w->checker);
    gy_jsonfields_free(w->fields);
    gy_reasons_done(&w->reasons);
}

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for checking records");
}

/* The checker reads by the header of the batch's file. The reader has checked that it can. */
static gy_status use_file(struct ingest_worker *w, const struct ingest_file *first,
                          const struct ingest_file *file, struct gy_err *err)
{
    const struct gy_ingest_options *o = w->o;
    w->file = file;
    if (w->mapped == file->index + 1) {
        return GY_OK;
    }
    w->mapped = 0;
    if (!w->checker) {
        GY_TRY(gy_checker_new(o->schema, o->environment, first->fields, first->n_fields,
                              &w->checker, err));
        /* What repeats is told in order, when the batches come together again. */
        gy_checker_refuse_repeated(w->checker, false);
    }
    if (file->format != GY_INGEST_CSV && !w->fields) {
        GY_TRY(gy_jsonfields_new(o->schema, o->environment, &w->fields, err));
    }
    GY_TRY(gy_checker_next_file(w->checker, file->fields, file->n_fields, err));
    gy_checker_folder(w->checker, file->source->folder);
    w->mapped = file->index + 1;
    return GY_OK;
}

static gy_status add_dead(struct ingest_batch *b, const struct gy_csv_item *item,
                          const struct gy_reasons *r, struct gy_err *err)
{
    struct ingest_dead *dead = gy_ingest_more(b->dead, b->n_dead, &b->cap_dead, sizeof *dead);
    if (!dead) {
        return no_memory(err);
    }
    b->dead = dead;
    dead[b->n_dead++] = (struct ingest_dead){*item, r->codes, r->column, b->texts.n, r->text.n};
    gy_buf_add(&b->texts, gy_buf_str(&r->text));
    return gy_buf_check(&b->texts, "the reasons", err);
}

/* What the order of all records has to decide about this one. */
static gy_status add_keyed(struct ingest_worker *w, struct ingest_batch *b,
                           const struct gy_csv_item *item, size_t line, struct gy_err *err)
{
    struct ingest_keyed *keyed = gy_ingest_more(b->keyed, b->n_keyed, &b->cap_keyed, sizeof *keyed);
    if (!keyed) {
        return no_memory(err);
    }
    b->keyed = keyed;
    keyed[b->n_keyed++] = (struct ingest_keyed){*item, line, b->out.n - line, b->n_dead, b->keys.n};
    const size_t n = gy_checker_n_unique(w->checker);
    for (size_t i = 0; i < n; i++) {
        size_t bytes = gy_checker_unique_text(w->checker, i).n;
        gy_buf_add_bytes(&b->keys, &bytes, sizeof bytes);
    }
    for (size_t i = 0; i < n; i++) {
        gy_buf_add(&b->keys, gy_checker_unique_text(w->checker, i));
    }
    return gy_buf_check(&b->keys, "the values of unique columns", err);
}

/* One record; item->row is not set yet. */
static gy_status check_record(struct ingest_worker *w, struct ingest_batch *b,
                              struct gy_csv_item *item, struct gy_err *err)
{
    const size_t line = b->out.n;
    bool whole = false; /* refused as a whole: it has no values */
    item->row = b->records++;
    b->record_bytes += item->size_bytes;
    if (w->file->format == GY_INGEST_CSV) {
        GY_TRY(gy_checker_record(w->checker, item, w->file->delimiter, &b->out, &w->reasons, err));
    } else {
        const struct gy_value *values = NULL;
        GY_TRY(gy_jsonfields_read(w->fields, item, &values, &w->reasons, err));
        whole = !values;
        if (values) {
            GY_TRY(gy_checker_values(w->checker, values, item->raw.n, &b->out, &w->reasons, err));
        }
    }
    const bool good = w->reasons.codes == 0;
    b->accepted += good;
    if (!whole && gy_checker_n_unique(w->checker) > 0 && gy_checker_has_values(w->checker)) {
        GY_TRY(add_keyed(w, b, item, line, err));
    }
    return good ? GY_OK : add_dead(b, item, &w->reasons, err);
}

static gy_status check_lines(struct ingest_worker *w, struct ingest_batch *b,
                             const struct gy_csv_item *run, struct gy_err *err)
{
    struct gy_str lines = run->raw;
    int64_t offset = run->offset;
    struct gy_csv_item item;
    while (gy_csv_line(&lines, &offset, &item)) {
        if (item.kind == GY_CSV_BLANK) {
            b->blank_bytes += item.size_bytes;
        } else {
            GY_TRY(check_record(w, b, &item, err));
        }
    }
    return GY_OK;
}

gy_status gy_ingest_check(struct ingest_worker *w, const struct ingest_file *first,
                          struct ingest_batch *b, struct gy_err *err)
{
    if (b->n_pieces == 0) {
        return GY_OK;
    }
    GY_TRY(use_file(w, first, b->file, err));
    for (size_t i = 0; i < b->n_pieces; i++) {
        struct gy_csv_item *item = &b->pieces[i].item;
        if (item->raw.p) { /* where it was when the batch was filled is another place by now */
            item->raw.p = b->bytes.p + b->pieces[i].at;
        }
        GY_TRY(item->kind == GY_CSV_LINES ? check_lines(w, b, item, err)
                                          : check_record(w, b, item, err));
    }
    if (w->fields) {
        struct gy_unknown *unknown = gy_jsonfields_unknown(w->fields);
        GY_TRY(gy_unknown_merge(&b->unknown, unknown, err));
        gy_unknown_reset(unknown);
    }
    return gy_buf_check(&b->out, "the canonical records", err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* gy_statistics_file of statistics.h. One thread cuts the file into shards of records, whose size
 * depends on the file alone; threads gather them side by side, and merge them in their order,
 * column by column. So the result is the same at any number of threads. */
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/pool.h"
#include "data/gather.h"
#include "data/jsonfields.h"
#include "data/jsonrec.h"
#include "net/call.h"

#define HEAD_BYTES (4 * GY_MIB)  /* what types are told from, when no schema tells them */
#define SHARD_BYTES (1 * GY_MIB) /* of records; the last one may pass it */
#define SHARD_RECORDS 16384      /* at most; fewer than a gather counts exactly */
#define SHARDS_A_THREAD 4
#define MAX_THREADS 64

struct record {
    size_t at;
    uint32_t n;
    bool quotes, broken;
    enum gy_csv_fault fault;
};

struct shard {
    struct gy_buf bytes;
    struct record *records;
    size_t n, cap;
};

/* What one thread at a time works with. */
struct slot {
    struct gy_gather *gather;
    struct gy_csv_field *fields;
    struct gy_jsonfields *json;
    struct gy_reasons reasons;
    struct gy_err err;
};

struct job {
    const struct gy_statistics_options *o;
    struct gy_source *source;
    enum gy_ingest_format format;
    struct gy_reader *in;
    bool small; /* the file is not larger than a head */
    struct gy_csv *csv;
    struct gy_jsonrec *json;
    struct gy_schema *told; /* from the head; NULL: not asked for */
    struct gy_gather_column *columns;
    size_t n_columns;
    struct gy_gather *whole;
    struct shard *sets[2]; /* one is read while the other one is worked on */
    size_t n_in[2];
    int working;
    struct slot *slots;
    size_t n_slots;
    int n_threads;
    bool end;
    struct gy_err *part_errs;
    struct gy_err read_err;
    struct gy_arena arena;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for statistics");
}

/* ---- the columns ---- */

static gy_status tell_schema(struct job *j, struct gy_str head, bool whole, struct gy_err *err)
{
    return j->format == GY_INGEST_CSV
               ? gy_schema_infer(head, whole, &j->told, err)
               : gy_schema_infer_json(head, j->format == GY_INGEST_JSONL, whole, &j->told, err);
}

static gy_status add_column(struct job *j, struct gy_str name, struct gy_err *err)
{
    for (size_t i = 0; i < j->n_columns; i++) {
        if (gy_str_eq(j->columns[i].name, name)) {
            return gy_err_set(err, GY_E_SCHEMA, "the column '%" GY_STR_F "' is there twice",
                              GY_STR_A(name));
        }
    }
    struct gy_gather_column *to = &j->columns[j->n_columns];
    to->column = j->o->schema ? gy_schema_column(j->o->schema, name) : NULL;
    to->name = gy_arena_str(&j->arena, name);
    j->n_columns++;
    return to->name.p ? GY_OK : no_memory(err);
}

static gy_status read_header(struct job *j, const struct gy_csv_item *item, struct gy_err *err)
{
    struct gy_csv_field *fields = gy_arena_calloc(&j->arena, GY_MAX_COLUMNS, sizeof *fields);
    if (!fields) {
        return no_memory(err);
    }
    size_t n = item->fault == GY_CSV_FINE && item->raw.p
                   ? gy_csv_split(item->raw, item->quotes, gy_csv_delimiter(j->csv), fields,
                                  GY_MAX_COLUMNS)
                   : 0;
    if (n == 0 || n > GY_MAX_COLUMNS) {
        return gy_err_set(err, GY_E_PARSE, "the header line is broken, or has too many columns");
    }
    j->columns = gy_arena_calloc(&j->arena, n, sizeof *j->columns);
    if (!j->columns) {
        return no_memory(err);
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf scratch;
    gy_buf_init(&scratch, GY_MAX_CSV_RECORD);
    for (size_t i = 0; i < n; i++) {
        struct gy_str name = gy_str_trim(gy_csv_text(&fields[i], &scratch));
        if (!name.p) {
            return no_memory(err);
        }
        if (!gy_str_is_utf8(name) || name.n == 0 || name.n > GY_MAX_NAME) {
            return gy_err_set(err, GY_E_PARSE,
                              "column %zu of the header has no name of 1 to %d bytes of UTF-8",
                              i + 1, GY_MAX_NAME);
        }
        GY_TRY(add_column(j, name, err));
    }
    return GY_OK;
}

/* The header is read from the head first, because the head is gone once reading has begun. */
static gy_status csv_columns(struct job *j, struct gy_str head, bool whole, struct gy_err *err)
{
    const struct gy_csv_options o = {.delimiter = j->o->delimiter};
    struct gy_mem_reader in;
    struct gy_csv_item item = {0};
    bool more = true;
    GY_TRY(gy_csv_open(gy_mem_reader_init(&in, head), &o, &j->csv, err));
    do {
        GY_TRY(gy_csv_next(j->csv, &item, &more, err));
    } while (more && item.kind == GY_CSV_BLANK);
    if (!more) {
        return gy_err_set(err, GY_E_PARSE, "it is empty: not even a header line");
    }
    GY_TRY(read_header(j, &item, err));
    bool known = true;
    for (size_t i = 0; i < j->n_columns; i++) {
        known = known && j->columns[i].column;
    }
    if (!known) {
        GY_TRY(tell_schema(j, head, whole, err));
    }
    gy_csv_free(j->csv);
    j->csv = NULL;
    GY_TRY(gy_source_open(j->source, &j->in, err));
    return gy_csv_open(j->in, &o, &j->csv, err);
}

static gy_status json_columns(struct job *j, struct gy_str head, bool whole, struct gy_err *err)
{
    if (!j->o->schema) {
        GY_TRY(tell_schema(j, head, whole, err));
    }
    const struct gy_schema *schema = j->o->schema ? j->o->schema : j->told;
    j->columns = gy_arena_calloc(&j->arena, schema->n_columns, sizeof *j->columns);
    if (!j->columns) {
        return no_memory(err);
    }
    for (size_t i = 0; i < schema->n_columns; i++) {
        GY_TRY(add_column(j, schema->columns[i].name, err));
    }
    const struct gy_jsonrec_options o = {.shape = j->format == GY_INGEST_JSONL ? GY_JSONREC_LINES
                                                                               : GY_JSONREC_ARRAY};
    GY_TRY(gy_source_open(j->source, &j->in, err));
    return gy_jsonrec_open(j->in, &o, &j->json, err);
}

static gy_status find_columns(struct job *j, struct gy_err *err)
{
    struct gy_str head = GY_STR_NULL;
    bool whole = false;
    GY_TRY(gy_source_format(j->source, &j->format, err));
    GY_TRY(gy_source_head(j->source, HEAD_BYTES, &head, &whole, err));
    j->small = whole && head.n < SHARD_BYTES;
    GY_TRY(j->format == GY_INGEST_CSV ? csv_columns(j, head, whole, err)
                                      : json_columns(j, head, whole, err));
    for (size_t i = 0; i < j->n_columns; i++) {
        struct gy_gather_column *to = &j->columns[i];
        if (!to->column && j->told) {
            to->column = gy_schema_column(j->told, to->name);
        }
        to->type = to->column ? to->column->type : GY_TYPE_STRING;
        to->role = to->column ? to->column->role : GY_ROLE_FEATURE;
    }
    return GY_OK;
}

/* ---- reading shards ---- */

static gy_status add_record(struct shard *s, const struct gy_csv_item *item, struct gy_err *err)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 1024;
        struct record *more = gy_reallocarray(s->records, cap, sizeof *more);
        if (!more) {
            return no_memory(err);
        }
        s->records = more;
        s->cap = cap;
    }
    s->records[s->n++] = (struct record){.at = s->bytes.n,
                                         .n = (uint32_t)item->raw.n,
                                         .quotes = item->quotes,
                                         .broken = !item->raw.p,
                                         .fault = item->fault};
    gy_buf_add(&s->bytes, item->raw);
    return gy_buf_check(&s->bytes, "records", err);
}

static gy_status read_shard(struct job *j, struct shard *s, struct gy_err *err)
{
    gy_buf_reset(&s->bytes);
    s->n = 0;
    while (!j->end && s->bytes.n < SHARD_BYTES && s->n < SHARD_RECORDS) {
        struct gy_csv_item item;
        bool more = false;
        GY_TRY(j->csv ? gy_csv_next(j->csv, &item, &more, err)
                      : gy_jsonrec_next(j->json, &item, &more, err));
        j->end = !more;
        if (more && item.kind == GY_CSV_RECORD) {
            GY_TRY(add_record(s, &item, err));
        }
    }
    return GY_OK;
}

static gy_status read_set(struct job *j, int set, struct gy_err *err)
{
    j->n_in[set] = 0;
    while (j->n_in[set] < j->n_slots && !j->end) {
        GY_TRY(read_shard(j, &j->sets[set][j->n_in[set]], err));
        j->n_in[set] += j->sets[set][j->n_in[set]].n > 0;
    }
    return GY_OK;
}

/* ---- working on them ---- */

static gy_status gather_csv(const struct job *j, struct slot *slot, const struct record *r,
                            struct gy_str raw, struct gy_err *err)
{
    if (r->fault != GY_CSV_FINE || gy_csv_split(raw, r->quotes, gy_csv_delimiter(j->csv),
                                                slot->fields, j->n_columns) != j->n_columns) {
        gy_gather_broken(slot->gather);
        return GY_OK;
    }
    return gy_gather_fields(slot->gather, slot->fields, raw, err);
}

static gy_status gather_json(struct slot *slot, const struct record *r, struct gy_str raw,
                             struct gy_err *err)
{
    const struct gy_csv_item item = {.kind = GY_CSV_RECORD, .fault = r->fault, .raw = raw};
    const struct gy_value *values = NULL;
    GY_TRY(gy_jsonfields_read(slot->json, &item, &values, &slot->reasons, err));
    if (!values) {
        gy_gather_broken(slot->gather);
        return GY_OK;
    }
    return gy_gather_values(slot->gather, values, raw, err);
}

static gy_status gather_shard(const struct job *j, const struct shard *s, struct slot *slot,
                              struct gy_err *err)
{
    gy_gather_reset(slot->gather);
    for (size_t i = 0; i < s->n; i++) {
        const struct record *r = &s->records[i];
        struct gy_str raw = gy_str_n(s->bytes.p + r->at, r->n);
        if (r->broken) {
            gy_gather_broken(slot->gather);
        } else {
            GY_TRY(j->csv ? gather_csv(j, slot, r, raw, err) : gather_json(slot, r, raw, err));
        }
    }
    return gy_gather_flush(slot->gather, err);
}

/* Of gy_parallel. 0: read the other set; i: gather shard i - 1 of this one. A failure is kept in
 * the error. */
static void step(void *ctx, size_t i)
{
    struct job *j = ctx;
    if (i == 0) {
        GY_IGNORE(read_set(j, !j->working, &j->read_err));
    } else {
        struct slot *slot = &j->slots[i - 1];
        GY_IGNORE(gather_shard(j, &j->sets[j->working][i - 1], slot, &slot->err));
    }
}

static void merge_step(void *ctx, size_t part)
{
    struct job *j = ctx;
    for (size_t i = 0; i < j->n_in[j->working]; i++) {
        if (gy_gather_merge_part(j->whole, j->slots[i].gather, part, &j->part_errs[part]) !=
            GY_OK) {
            return;
        }
    }
}

static gy_status first_failure(const struct gy_err *errs, size_t n, struct gy_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (errs[i].code != GY_OK) {
            return gy_err_set(err, errs[i].code, "%s", errs[i].msg);
        }
    }
    return GY_OK;
}

static gy_status work(struct job *j, struct gy_err *err)
{
    size_t parts = gy_gather_n_parts(j->whole);
    j->part_errs = gy_calloc(parts, sizeof *j->part_errs);
    if (!j->part_errs) {
        return no_memory(err);
    }
    GY_TRY(read_set(j, j->working, err));
    while (j->n_in[j->working] > 0) {
        size_t n = j->n_in[j->working];
        GY_TRY(gy_parallel(j->n_threads, 1 + n, step, j, err));
        GY_TRY(first_failure(&j->read_err, 1, err));
        for (size_t i = 0; i < n; i++) {
            GY_TRY(first_failure(&j->slots[i].err, 1, err));
        }
        for (size_t i = 0; i < n; i++) {
            gy_gather_agree(j->whole, j->slots[i].gather);
        }
        GY_TRY(gy_parallel(j->n_threads, parts, merge_step, j, err));
        GY_TRY(first_failure(j->part_errs, parts, err));
        if (j->o->progress) {
            j->o->progress(j->o->progress_ctx, j->source->done_bytes);
        }
        j->working = !j->working;
    }
    return GY_OK;
}

/* ---- setting up ---- */

static gy_status make_slots(struct job *j, struct gy_err *err)
{
    const struct gy_schema *schema = j->o->schema ? j->o->schema : j->told;
    const struct gy_gather_options o = {.columns = j->columns,
                                        .n_columns = j->n_columns,
                                        .missing = schema->missing,
                                        .n_missing = schema->n_missing};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    j->n_threads = j->o->threads ? (int)j->o->threads : cores > 0 ? (int)cores : 1;
    j->n_threads = j->n_threads > MAX_THREADS ? MAX_THREADS : j->n_threads;
    /* A small file is one shard: it needs no more than one of each. */
    j->n_slots = j->small ? 1 : SHARDS_A_THREAD * (size_t)j->n_threads;
    j->slots = gy_calloc(j->n_slots, sizeof *j->slots);
    j->sets[0] = gy_calloc(j->n_slots, sizeof *j->sets[0]);
    j->sets[1] = gy_calloc(j->n_slots, sizeof *j->sets[1]);
    if (!j->slots || !j->sets[0] || !j->sets[1]) {
        return no_memory(err);
    }
    for (size_t i = 0; i < j->n_slots; i++) {
        struct slot *slot = &j->slots[i];
        gy_reasons_init(&slot->reasons);
        gy_buf_init(&j->sets[0][i].bytes, SHARD_BYTES + GY_MAX_CSV_RECORD + 1);
        gy_buf_init(&j->sets[1][i].bytes, SHARD_BYTES + GY_MAX_CSV_RECORD + 1);
        slot->fields = gy_calloc(j->n_columns, sizeof *slot->fields);
        if (!slot->fields) {
            return no_memory(err);
        }
        GY_TRY(gy_gather_new(&o, &slot->gather, err));
        if (j->json) {
            GY_TRY(gy_jsonfields_new(schema, GY_STR_NULL, &slot->json, err));
        }
    }
    return gy_gather_new(&o, &j->whole, err);
}

static void job_done(struct job *j)
{
    for (size_t i = 0; i < j->n_slots; i++) {
        if (j->slots) {
            gy_gather_free(j->slots[i].gather);
            gy_jsonfields_free(j->slots[i].json);
            gy_free(j->slots[i].fields);
            gy_reasons_done(&j->slots[i].reasons);
        }
        for (int set = 0; set < 2 && j->sets[set]; set++) {
            gy_buf_done(&j->sets[set][i].bytes);
            gy_free(j->sets[set][i].records);
        }
    }
    gy_free(j->slots);
    gy_free(j->sets[0]);
    gy_free(j->sets[1]);
    gy_free(j->part_errs);
    gy_gather_free(j->whole);
    gy_csv_free(j->csv);
    gy_jsonrec_free(j->json);
    gy_schema_free(j->told);
    gy_arena_done(&j->arena);
    gy_source_close(j->source);
}

static gy_status run(struct job *j, struct gy_statistics **ret, struct gy_err *err)
{
    GY_TRY(find_columns(j, err));
    GY_TRY(make_slots(j, err));
    GY_TRY(work(j, err));
    return gy_gather_finish(j->whole, ret, err);
}

gy_status gy_statistics_source(struct gy_source *source, const struct gy_statistics_options *o,
                               struct gy_statistics **ret, struct gy_err *err)
{
    static const struct gy_statistics_options standard = {0};
    struct job j = {.source = source, .o = o ? o : &standard};
    struct gy_err why = GY_ERR_INIT;
    gy_arena_init(&j.arena, 64 * GY_MIB);
    gy_status status = run(&j, ret, &why);
    if (status != GY_OK) { /* a source says its name itself, the others do not */
        bool named = strstr(why.msg, source->name) != NULL;
        (void)gy_err_set(err, status, "%s", why.msg);
        if (!named) {
            (void)gy_err_wrap(err, "'%s'", source->name);
        }
        if (why.hint[0]) {
            (void)gy_err_hint(err, "%s", why.hint);
        }
    }
    job_done(&j);
    return status;
}

gy_status gy_statistics_file(const char *path, const struct gy_statistics_options *o,
                             struct gy_statistics **ret, struct gy_err *err)
{
    GY_AUTO(gy_source_free) struct gy_source *source = NULL;
    GY_TRY(gy_source_path(path, &source, err));
    return gy_statistics_source(source, o, ret, err);
}

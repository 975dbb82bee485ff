/* SPDX-License-Identifier: Apache-2.0 */
#include "data/corrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/check.h"
#include "net/call.h"

#define FLUSH_BYTES (256 * GY_KIB)
#define NOWHERE SIZE_MAX
/* Streams of the seed (gy_rng_init_stream): the generator uses those from 0. */
#define PLACES_STREAM (UINT64_MAX - 1)

enum kind {
#define X(name, code) KIND_##name,
    GY_BAD_KINDS(X)
#undef X
        N_KINDS
};
static const char *const KIND_NAMES[] = {
#define X(name, code) #name,
    GY_BAD_KINDS(X)
#undef X
};
static const enum gy_dead_code KIND_CODES[] = {
#define X(name, code) GY_DEAD_##code,
    GY_BAD_KINDS(X)
#undef X
};

/* A file that is written through a buffer. */
struct sink {
    struct gy_file_writer *writer;
    struct gy_buf pending;
    int64_t bytes;
};

struct gy_corruptor {
    struct gy_corruptor_options o;
    struct sink out, ledger;
    struct gy_csv_field *fields;
    size_t n_fields;
    size_t field_of[N_KINDS]; /* the field that a kind spoils; NOWHERE: any, or the kind is out */
    const struct gy_column *column_of[N_KINDS];
    size_t id_field;
    bool id_is_int;
    enum kind turn[N_KINDS];
    size_t n_turn;
    int64_t *places; /* ascending: after how many good records the i-th bad one comes */
    int64_t good, row, made;
    struct gy_buf line;
};

static gy_status sink_open(struct sink *s, const char *path, struct gy_err *err)
{
    return gy_file_writer_open(path, 0666, &s->writer, err);
}

static gy_status sink_flush(struct sink *s, bool all, struct gy_err *err)
{
    if (!all && s->pending.n < FLUSH_BYTES && !s->pending.failed) {
        return GY_OK;
    }
    GY_TRY(gy_buf_check(&s->pending, "made records", err));
    GY_TRY(gy_file_writer_write(s->writer, gy_buf_str(&s->pending), err));
    s->bytes += (int64_t)s->pending.n;
    gy_buf_reset(&s->pending);
    return GY_OK;
}

static int64_t sink_at(const struct sink *s)
{
    return s->bytes + (int64_t)s->pending.n;
}

void gy_corruptor_free(struct gy_corruptor *c)
{
    if (c) {
        gy_file_writer_free(c->out.writer);
        gy_file_writer_free(c->ledger.writer);
        gy_buf_done(&c->out.pending);
        gy_buf_done(&c->ledger.pending);
        gy_buf_done(&c->line);
        gy_free(c->fields);
        gy_free(c->places);
        gy_free(c);
    }
}

/* Can this kind be made in this column, so that its code is the only one? */
static bool fits(enum kind kind, const struct gy_column *c)
{
    const bool number = c->type == GY_TYPE_INT || c->type == GY_TYPE_FLOAT;
    switch (kind) {
    case KIND_duplicate_id:
        return c->unique;
    case KIND_outside_domain:
        return c->n_values > 0 && c->type != GY_TYPE_BOOL && c->type != GY_TYPE_TIME &&
               c->type != GY_TYPE_IMAGE && !c->has_min && !c->has_max && !c->unique;
    case KIND_missing_required:
        return c->required && !c->unique;
    case KIND_out_of_range:
        return number && (c->has_min || c->has_max) && !c->n_values && !c->unique;
    case KIND_wrong_type:
        return c->type != GY_TYPE_STRING && c->type != GY_TYPE_IMAGE && !c->unique;
    case KIND_invalid_utf8:
    case KIND_open_quote:
        return !c->unique;
    case KIND_number_of_fields:
    case N_KINDS:
        break;
    }
    return false;
}

/* Prefer a required column: the others are empty in many records, and look less real. */
static void choose_fields(struct gy_corruptor *c, const struct gy_column *const *columns)
{
    for (int kind = 0; kind < N_KINDS; kind++) {
        c->field_of[kind] = NOWHERE;
        for (size_t i = 0; i < c->n_fields; i++) {
            bool better = c->field_of[kind] == NOWHERE ||
                          (columns[i]->required && !c->column_of[kind]->required);
            if (fits((enum kind)kind, columns[i]) && better) {
                c->field_of[kind] = i;
                c->column_of[kind] = columns[i];
            }
        }
        if (kind == KIND_number_of_fields || c->field_of[kind] != NOWHERE) {
            c->turn[c->n_turn++] = (enum kind)kind;
        }
    }
    c->id_field = c->field_of[KIND_duplicate_id];
    c->id_is_int = c->id_field != NOWHERE && columns[c->id_field]->type == GY_TYPE_INT;
}

static gy_status read_header(struct gy_corruptor *c, struct gy_err *err)
{
    struct gy_str header = c->o.header;
    bool quotes = gy_str_find(header, '"') != SIZE_MAX;
    size_t n = gy_csv_split(header, quotes, c->o.delimiter, c->fields, GY_MAX_COLUMNS);
    if (n > GY_MAX_COLUMNS) {
        return gy_err_set(err, GY_E_TOOBIG, "%zu columns; at most %d are read", n, GY_MAX_COLUMNS);
    }
    const struct gy_column **columns = gy_calloc(n, sizeof *columns);
    if (!columns) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for made records");
    }
    c->n_fields = n;
    for (size_t i = 0; i < n; i++) {
        struct gy_str name = gy_str_trim(gy_csv_text(&c->fields[i], &c->line));
        columns[i] = gy_schema_column(c->o.schema, name);
        if (!columns[i]) {
            gy_free(columns);
            return gy_err_set(err, GY_E_SCHEMA, "the schema has no column '%" GY_STR_F "'",
                              GY_STR_A(name));
        }
    }
    choose_fields(c, columns);
    gy_free(columns);
    return GY_OK;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static gy_status choose_places(struct gy_corruptor *c, struct gy_err *err)
{
    c->places = gy_calloc((size_t)c->o.bad + 1, sizeof *c->places);
    if (!c->places) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for the places of bad records");
    }
    struct gy_rng rng;
    gy_rng_init_stream(&rng, c->o.seed, PLACES_STREAM);
    for (int64_t i = 0; i < c->o.bad; i++) {
        c->places[i] = 1 + (int64_t)gy_rng_below(&rng, (uint64_t)c->o.rows);
    }
    qsort(c->places, (size_t)c->o.bad, sizeof *c->places, by_value);
    return GY_OK;
}

gy_status gy_corruptor_new(const struct gy_corruptor_options *o, struct gy_corruptor **ret,
                           struct gy_err *err)
{
    if (o->bad < 0 || o->bad > GY_SYNTH_MAX_BAD) {
        return gy_err_set(err, GY_E_INVALID, "bad records: 0 to %lld", (long long)GY_SYNTH_MAX_BAD);
    }
    if (o->bad > 0 && o->rows < 1) {
        return gy_err_set(err, GY_E_INVALID, "bad records are made from good ones: there is none");
    }
    GY_AUTO(gy_corruptor_free) struct gy_corruptor *c = gy_calloc(1, sizeof *c);
    if (!c) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for made records");
    }
    c->o = *o;
    gy_buf_init(&c->out.pending, FLUSH_BYTES + 8 * GY_MAX_CSV_RECORD);
    gy_buf_init(&c->ledger.pending, FLUSH_BYTES + 8 * GY_MAX_CSV_RECORD);
    gy_buf_init(&c->line, 4 * GY_MAX_CSV_RECORD);
    c->fields = gy_calloc(GY_MAX_COLUMNS, sizeof *c->fields);
    if (!c->fields) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for made records");
    }
    if (o->bad > 0) { /* without bad records the schema is not asked */
        GY_TRY(read_header(c, err));
    }
    GY_TRY(choose_places(c, err));
    GY_TRY(sink_open(&c->out, o->out, err));
    if (o->ledger) {
        GY_TRY(sink_open(&c->ledger, o->ledger, err));
    }
    gy_buf_add(&c->out.pending, o->header);
    gy_buf_add_char(&c->out.pending, '\n');
    *ret = GY_TAKE(c);
    return GY_OK;
}

/* ---- one bad record ---- */

/* A value that the column refuses for its kind alone. */
static void add_bad_value(struct gy_corruptor *c, enum kind kind, int64_t number)
{
    const struct gy_column *column = c->column_of[kind];
    struct gy_buf *b = &c->line;
    char text[32];
    switch (kind) {
    case KIND_open_quote:
        /* Text must follow each quote: with a delimiter behind it, it would close the open quote of
         * a record before, and the two would be one good record. */
        gy_buf_addc(b, number % 2 ? "\"never closed" : "\"closed\"too early");
        break;
    case KIND_invalid_utf8:
        gy_buf_addc(b, number % 2 ? "37\xff" : "\xc3(7");
        break;
    case KIND_wrong_type:
        gy_buf_addc(b, number % 2 ? "high" : "12x");
        break;
    case KIND_out_of_range:
        (void)gy_fmt_f64_trim(column->has_max ? floor(column->max) + 1 + (double)(number % 7)
                                              : ceil(column->min) - 1 - (double)(number % 7),
                              text);
        gy_buf_addc(b, text);
        break;
    case KIND_missing_required:
        gy_buf_add(b, c->o.schema->n_missing && number % 2
                          ? c->o.schema->missing[c->o.schema->n_missing - 1]
                          : GY_STR(""));
        break;
    case KIND_outside_domain:
        if (column->type == GY_TYPE_STRING) {
            gy_buf_addc(b, "outside the domain");
        } else { /* one more than the largest allowed */
            double largest = 0;
            for (size_t i = 0; i < column->n_values; i++) {
                double value = 0;
                if (gy_parse_f64(column->values[i], &value, NULL) == GY_OK && value > largest) {
                    largest = value;
                }
            }
            (void)gy_fmt_f64_trim(largest + 1, text);
            gy_buf_addc(b, text);
        }
        break;
    case KIND_number_of_fields:
    case KIND_duplicate_id:
    case N_KINDS:
        break;
    }
}

static void add_field(struct gy_corruptor *c, size_t i)
{
    const struct gy_csv_field *f = &c->fields[i];
    gy_buf_addc(&c->line, f->quoted ? "\"" : "");
    gy_buf_add_bytes(&c->line, f->p, f->n);
    gy_buf_addc(&c->line, f->quoted ? "\"" : "");
}

/* The bad record into c->line, from a good one. */
static void make_bad(struct gy_corruptor *c, enum kind kind, int64_t number, struct gy_str good)
{
    gy_buf_reset(&c->line);
    if (kind == KIND_duplicate_id) {
        gy_buf_add(&c->line, good);
        return;
    }
    bool quotes = gy_str_find(good, '"') != SIZE_MAX;
    size_t n = gy_csv_split(good, quotes, c->o.delimiter, c->fields, GY_MAX_COLUMNS);
    size_t wanted = n;
    if (kind == KIND_number_of_fields) {
        wanted = number % 2 && n > 1 ? n - 1 : n + 1;
    }
    for (size_t i = 0; i < wanted; i++) {
        if (i) {
            gy_buf_add_char(&c->line, c->o.delimiter);
        }
        if (i == c->field_of[kind]) {
            add_bad_value(c, kind, number);
        } else if (i == c->id_field && c->id_is_int) {
            gy_buf_addf(&c->line, "%lld", (long long)(c->o.fresh_id + number));
        } else if (i == c->id_field) {
            gy_buf_addf(&c->line, "made-%lld", (long long)number);
        } else if (i < n) {
            add_field(c, i);
        } else {
            gy_buf_addc(&c->line, "1");
        }
    }
}

static void add_ledger(struct gy_corruptor *c, enum kind kind)
{
    struct gy_buf *b = &c->ledger.pending;
    gy_buf_addf(b, "{\"kind\":\"%s\",\"code\":\"%s\",\"row\":%lld,\"offset\":%lld,\"bytes\":\"",
                KIND_NAMES[kind], gy_dead_name(KIND_CODES[kind]), (long long)c->row,
                (long long)sink_at(&c->out));
    size_t n = gy_base64_size(c->line.n);
    char *to = gy_buf_reserve(b, n + 1);
    if (to) {
        gy_base64(c->line.p, c->line.n, to);
        gy_buf_commit(b, n);
    }
    gy_buf_addc(b, "\"}\n");
}

gy_status gy_corruptor_add(struct gy_corruptor *c, struct gy_str line, bool good,
                           struct gy_err *err)
{
    gy_buf_add(&c->out.pending, line);
    gy_buf_add_char(&c->out.pending, '\n');
    c->row++;
    c->good += good ? 1 : 0;
    while (good && c->made < c->o.bad && c->places[c->made] <= c->good) {
        enum kind kind = c->turn[(size_t)c->made % c->n_turn];
        make_bad(c, kind, c->made / (int64_t)c->n_turn, line);
        GY_TRY(gy_buf_check(&c->line, "a made record", err));
        if (c->ledger.writer) {
            add_ledger(c, kind);
            GY_TRY(sink_flush(&c->ledger, false, err));
        }
        gy_buf_add(&c->out.pending, gy_buf_str(&c->line));
        gy_buf_add_char(&c->out.pending, '\n');
        c->made++;
        c->row++;
        GY_TRY(sink_flush(&c->out, false, err));
    }
    return sink_flush(&c->out, false, err);
}

gy_status gy_corruptor_commit(struct gy_corruptor *c, struct gy_synth_result *ret,
                              struct gy_err *err)
{
    GY_TRY(sink_flush(&c->out, true, err));
    if (c->ledger.writer) {
        GY_TRY(sink_flush(&c->ledger, true, err));
        GY_TRY(gy_file_writer_commit(c->ledger.writer, NULL, err));
    }
    GY_TRY(gy_file_writer_commit(c->out.writer, NULL, err));
    ret->rows = c->row - c->made;
    ret->bad = c->made;
    ret->bytes = c->out.bytes;
    return GY_OK;
}

/* ---- an existing file ---- */

struct survey {
    int64_t good, largest_id;
};

/* The file is walked twice: once to survey it, once to copy it. */
struct walk {
    const struct gy_corrupt_options *o;
    struct gy_csv *csv;
    struct gy_checker *checker;
    struct gy_reasons reasons;
    struct gy_buf header, out;
    struct survey found;
    struct gy_corruptor *sink; /* NULL: survey */
};

static void note_id(struct walk *w, struct gy_str canonical)
{
    const struct gy_column *id = NULL;
    for (size_t i = 0; i < w->o->schema->n_columns && !id; i++) {
        const struct gy_column *c = &w->o->schema->columns[i];
        id = c->unique && c->type == GY_TYPE_INT ? c : NULL;
    }
    if (!id) {
        return;
    }
    /* Any number of the line will do that is above all ids. */
    struct gy_str piece;
    while (gy_str_next(&canonical, ',', &piece)) {
        int64_t value = 0;
        if (gy_parse_i64(gy_str_trim(piece), INT64_MIN, INT64_C(1) << 60, &value, NULL) == GY_OK &&
            value > w->found.largest_id) {
            w->found.largest_id = value;
        }
    }
}

static gy_status walk_item(struct walk *w, const struct gy_csv_item *item, struct gy_err *err)
{
    if (item->kind == GY_CSV_BLANK) {
        return GY_OK;
    }
    if (item->kind == GY_CSV_HEADER) {
        struct gy_csv_field *fields = gy_calloc(GY_MAX_COLUMNS, sizeof *fields);
        if (!fields || item->fault != GY_CSV_FINE) {
            gy_free(fields);
            return gy_err_set(err, fields ? GY_E_PARSE : GY_E_NOMEM, "'%s': no good header line",
                              w->o->in);
        }
        size_t n =
            gy_csv_split(item->raw, item->quotes, gy_csv_delimiter(w->csv), fields, GY_MAX_COLUMNS);
        gy_status status =
            gy_checker_new(w->o->schema, w->o->environment, fields, n, &w->checker, err);
        gy_free(fields);
        gy_buf_reset(&w->header);
        gy_buf_add(&w->header, item->raw);
        return status != GY_OK ? status : gy_buf_check(&w->header, "the header", err);
    }
    if (!item->raw.p) {
        return gy_err_set(err, GY_E_TOOBIG, "'%s': record %lld is longer than csv.record_max",
                          w->o->in, (long long)item->row);
    }
    gy_buf_reset(&w->out);
    GY_TRY(
        gy_checker_record(w->checker, item, gy_csv_delimiter(w->csv), &w->out, &w->reasons, err));
    bool good = w->reasons.codes == 0;
    if (w->sink) {
        return gy_corruptor_add(w->sink, item->raw, good, err);
    }
    w->found.good += good ? 1 : 0;
    note_id(w, gy_buf_str(&w->out));
    return GY_OK;
}

static gy_status walk_file(struct walk *w, struct gy_err *err)
{
    int fd = open(w->o->in, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "opening '%s'", w->o->in);
    }
    struct gy_fd_reader in;
    gy_status status = gy_csv_open(gy_fd_reader_init(&in, fd, -1), NULL, &w->csv, err);
    bool more = true;
    while (status == GY_OK) {
        struct gy_csv_item item;
        status = gy_csv_next(w->csv, &item, &more, err);
        if (status != GY_OK || !more) {
            break;
        }
        status = walk_item(w, &item, err);
    }
    (void)close(fd);
    return status;
}

static void walk_done(struct walk *w)
{
    gy_csv_free(w->csv);
    gy_checker_free(w->checker);
    w->csv = NULL;
    w->checker = NULL;
}

static gy_status corrupt(struct walk *w, struct gy_synth_result *ret, struct gy_err *err)
{
    const struct gy_corrupt_options *o = w->o;
    GY_TRY(walk_file(w, err));
    if (w->found.good < 1) {
        return gy_err_set(err, GY_E_INVALID, "'%s' has no record that the schema accepts", o->in);
    }
    struct gy_corruptor_options make = {.out = o->out,
                                        .ledger = o->ledger,
                                        .schema = o->schema,
                                        .header = gy_buf_str(&w->header),
                                        .delimiter = gy_csv_delimiter(w->csv),
                                        .rows = w->found.good,
                                        .bad = o->bad,
                                        .fresh_id = w->found.largest_id + 1,
                                        .seed = o->seed};
    GY_AUTO(gy_corruptor_free) struct gy_corruptor *sink = NULL;
    GY_TRY(gy_corruptor_new(&make, &sink, err));
    walk_done(w);
    w->sink = sink;
    GY_TRY(walk_file(w, err));
    return gy_corruptor_commit(sink, ret, err);
}

gy_status gy_synth_corrupt(const struct gy_corrupt_options *o, struct gy_synth_result *ret,
                           struct gy_err *err)
{
    *ret = (struct gy_synth_result){0};
    struct walk w = {.o = o};
    gy_buf_init(&w.header, GY_MAX_CSV_RECORD + 1);
    gy_buf_init(&w.out, 8 * GY_MAX_CSV_RECORD);
    gy_reasons_init(&w.reasons);
    gy_status status = corrupt(&w, ret, err);
    walk_done(&w);
    gy_buf_done(&w.header);
    gy_buf_done(&w.out);
    gy_reasons_done(&w.reasons);
    return status;
}

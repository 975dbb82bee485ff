/* SPDX-License-Identifier: Apache-2.0 */
#include "data/ingest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/time.h"
#include "data/jsonfields.h"
#include "data/jsonrec.h"
#include "data/latest.h"
#include "net/call.h"

#define OUT_FLUSH_BYTES (256 * GY_KIB)

/* The sources as they are read: counted and digested. */
struct source {
    struct gy_reader reader;
    struct gy_reader *in;
    struct gy_source *at;   /* the one at hand */
    struct gy_hash *sha256; /* of all */
    struct gy_hash *one;    /* of the one at hand; NULL: there is only one */
    const struct gy_ingest_options *o;
    int64_t bytes;       /* unpacked */
    int64_t done_before; /* of the sources before, as they lie there */
};

/* The bytes of a record that is too long to be kept, in a file without a name. */
struct spill {
    struct gy_spill to;
    const char *dir;
    int fd;
    int64_t bytes;
};

struct ingest {
    const struct gy_ingest_options *o;
    struct gy_ingest_result *r;
    struct source source;
    struct gy_csv *csv;           /* of the file at hand */
    struct gy_jsonrec *json;      /* the same */
    struct gy_jsonfields *fields; /* of all JSON files */
    struct gy_checker *checker;
    struct gy_latest latest;
    int spool; /* on_duplicate last: the lines before it is known which stay; else -1 */
    int64_t spooled;
    struct spill spill;
    struct gy_reasons reasons;
    struct gy_dlq dlq;
    struct gy_buf out; /* canonical lines that are not written yet */
    struct gy_file_writer *writer;
    struct gy_hash *sha256, *md5;
    struct gy_csv_field *header;
};

static gy_status source_read(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                             struct gy_err *err)
{
    struct source *s = (struct source *)(void *)self;
    GY_TRY(s->in->read(s->in, buf, n, ret_n, err));
    gy_hash_add(s->sha256, gy_str_n(buf, *ret_n));
    if (s->one) {
        gy_hash_add(s->one, gy_str_n(buf, *ret_n));
    }
    s->bytes += (int64_t)*ret_n;
    if (s->o->progress) {
        s->o->progress(s->o->progress_ctx, s->done_before + s->at->done_bytes);
    }
    return GY_OK;
}

/* Bytes of data.csv. */
static gy_status write_out(struct ingest *g, struct gy_str bytes, struct gy_err *err)
{
    GY_TRY(gy_file_writer_write(g->writer, bytes, err));
    gy_hash_add(g->sha256, bytes);
    gy_hash_add(g->md5, bytes);
    g->r->size_bytes += (int64_t)bytes.n;
    return GY_OK;
}

static gy_status spill_write(struct gy_spill *self, struct gy_str bytes, struct gy_err *err)
{
    struct spill *s = (struct spill *)(void *)self;
    if (s->fd < 0) {
        GY_TRY(gy_file_aside(s->dir, &s->fd, err));
    }
    GY_TRY(gy_fd_write(s->fd, s->dir, bytes, err));
    s->bytes += (int64_t)bytes.n;
    return GY_OK;
}

/* The record is done with. */
static gy_status empty_spill(struct spill *s, struct gy_err *err)
{
    if (s->bytes > 0 && (ftruncate(s->fd, 0) != 0 || lseek(s->fd, 0, SEEK_SET) != 0)) {
        return gy_err_sys(err, errno, "writing in '%s'", s->dir);
    }
    s->bytes = 0;
    return GY_OK;
}

static gy_status write_spool(struct ingest *g, struct gy_str bytes, struct gy_err *err)
{
    GY_TRY(gy_fd_write(g->spool, g->o->out_dir, bytes, err));
    g->spooled += (int64_t)bytes.n;
    return GY_OK;
}

static gy_status flush_out(struct ingest *g, struct gy_err *err)
{
    GY_TRY(gy_buf_check(&g->out, "the canonical records", err));
    struct gy_str bytes = gy_buf_str(&g->out);
    GY_TRY(g->spool < 0 ? write_out(g, bytes, err) : write_spool(g, bytes, err));
    gy_buf_reset(&g->out);
    return GY_OK;
}

/* The spooled lines that nothing replaced become data.csv. */
static gy_status copy_spool(struct ingest *g, struct gy_err *err)
{
    GY_AUTO(gy_free) char *piece = gy_malloc(OUT_FLUSH_BYTES);
    if (!piece) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for copying records");
    }
    size_t pos = 0;
    struct gy_range kept = {0};
    gy_latest_sort(&g->latest);
    while (gy_latest_kept(&g->latest, g->spooled, &pos, &kept)) {
        while (kept.bytes > 0) {
            size_t want =
                kept.bytes < (int64_t)OUT_FLUSH_BYTES ? (size_t)kept.bytes : OUT_FLUSH_BYTES;
            GY_TRY(gy_fd_read_at(g->spool, g->o->out_dir, piece, want, kept.offset, err));
            GY_TRY(write_out(g, gy_str_n(piece, want), err));
            kept.offset += (int64_t)want;
            kept.bytes -= (int64_t)want;
        }
    }
    return GY_OK;
}

static gy_status map_header(struct ingest *g, const struct gy_csv_field *header, size_t n,
                            struct gy_err *err)
{
    const struct gy_ingest_options *o = g->o;
    bool first = !g->checker;
    gy_status status = first
                           ? gy_checker_new(o->schema, o->environment, header, n, &g->checker, err)
                           : gy_checker_next_file(g->checker, header, n, err);
    if (status != GY_OK) {
        (void)gy_err_wrap(err, "'%s'", g->source.at->name);
        return status;
    }
    gy_checker_folder(g->checker, g->source.at->folder);
    gy_checker_refuse_repeated(g->checker, o->on_duplicate == GY_DUPLICATE_DEAD);
    if (!first) {
        return GY_OK;
    }
    gy_checker_header(g->checker, &g->out);
    return gy_buf_check(&g->out, "the canonical header", err);
}

static gy_status take_header(struct ingest *g, const struct gy_csv_item *item, struct gy_err *err)
{
    if (item->fault != GY_CSV_FINE || !gy_str_is_utf8(item->raw)) {
        return gy_err_set(err, GY_E_PARSE, "'%s': the header line is %s", g->source.at->name,
                          item->fault == GY_CSV_QUOTE     ? "broken: a quoted name never ends well"
                          : item->fault == GY_CSV_TOOLONG ? "too long"
                                                          : "not UTF-8");
    }
    if (!g->header) {
        g->header = gy_calloc(GY_MAX_COLUMNS, sizeof *g->header);
    }
    if (!g->header) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for the header");
    }
    size_t n =
        gy_csv_split(item->raw, item->quotes, gy_csv_delimiter(g->csv), g->header, GY_MAX_COLUMNS);
    return map_header(g, g->header, n, err);
}

/* A record that was accepted, whose line starts at start in g->out. */
static gy_status keep(struct ingest *g, size_t start, struct gy_err *err)
{
    struct gy_ingest_result *r = g->r;
    const bool keep_first = g->o->on_duplicate == GY_DUPLICATE_FIRST;
    bool repeated = false;
    r->accepted++;
    if (g->o->on_duplicate != GY_DUPLICATE_DEAD) {
        struct gy_str key = gy_checker_key(g->checker);
        int64_t flushed = g->spool < 0 ? r->size_bytes : g->spooled;
        struct gy_range line = {flushed + (int64_t)start, (int64_t)(g->out.n - start)};
        if (key.n > 0) {
            GY_TRY(gy_latest_add(&g->latest, key, line, keep_first, &repeated, err));
        }
        if (repeated) { /* one of the two is not kept */
            r->accepted--;
            r->replaced++;
        }
        if (repeated && keep_first) {
            g->out.n = start;
            g->out.p[start] = '\0';
        }
    }
    return g->out.n >= OUT_FLUSH_BYTES ? flush_out(g, err) : GY_OK;
}

/* After a check of the item: kept, or a dead letter. */
static gy_status take_checked(struct ingest *g, const struct gy_csv_item *item, size_t start,
                              struct gy_err *err)
{
    struct gy_ingest_result *r = g->r;
    r->read++;
    if (g->reasons.codes == 0) {
        return keep(g, start, err);
    }
    r->dead++;
    for (int code = 0; code < GY_DEAD_N; code++) {
        r->codes[code] += (g->reasons.codes >> code) & 1;
    }
    GY_TRY(gy_dlq_add(&g->dlq, gy_str_c(g->source.at->name), item, &g->reasons, g->spill.fd, err));
    return empty_spill(&g->spill, err);
}

static gy_status take_csv(struct ingest *g, struct gy_err *err)
{
    const bool had = g->checker != NULL;
    bool header = false;
    for (;;) {
        struct gy_csv_item item;
        bool more = false;
        GY_TRY(gy_csv_next(g->csv, &item, &more, err));
        if (!more) {
            break;
        }
        switch (item.kind) {
        case GY_CSV_HEADER:
            header = true;
            g->r->delimiter = gy_csv_delimiter(g->csv);
            g->r->header_bytes += item.size_bytes;
            gy_dlq_header(&g->dlq, item.raw, g->r->delimiter);
            GY_TRY(take_header(g, &item, err));
            break;
        case GY_CSV_RECORD: {
            size_t start = g->out.n;
            g->r->record_bytes += item.size_bytes;
            GY_TRY(
                gy_checker_record(g->checker, &item, g->r->delimiter, &g->out, &g->reasons, err));
            GY_TRY(take_checked(g, &item, start, err));
            break;
        }
        case GY_CSV_BLANK:
            g->r->blank_bytes += item.size_bytes;
            break;
        }
    }
    if (!header && !had) {
        return gy_err_set(err, GY_E_PARSE, "'%s' is empty: not even a header line",
                          g->source.at->name);
    }
    return GY_OK;
}

static gy_status take_json(struct ingest *g, struct gy_err *err)
{
    size_t n = 0;
    if (!g->fields) {
        GY_TRY(gy_jsonfields_new(g->o->schema, g->o->environment, &g->fields, err));
    }
    const struct gy_csv_field *header = gy_jsonfields_header(g->fields, &n);
    GY_TRY(map_header(g, header, n, err));
    gy_dlq_header(&g->dlq, GY_STR_NULL, 0);
    for (;;) {
        struct gy_csv_item item;
        const struct gy_value *values = NULL;
        size_t start = g->out.n;
        bool more = false;
        gy_status status = gy_jsonrec_next(g->json, &item, &more, err);
        if (status == GY_E_PARSE) { /* what a source fails with names it already */
            (void)gy_err_wrap(err, "'%s'", g->source.at->name);
        }
        GY_TRY(status);
        if (!more) {
            g->r->unclosed += gy_jsonrec_unclosed(g->json) ? 1 : 0;
            return GY_OK;
        }
        if (item.kind == GY_CSV_BLANK) {
            g->r->blank_bytes += item.size_bytes;
            GY_TRY(empty_spill(&g->spill, err));
            continue;
        }
        g->r->record_bytes += item.size_bytes;
        GY_TRY(gy_jsonfields_read(g->fields, &item, &values, &g->reasons, err));
        if (values) {
            GY_TRY(gy_checker_values(g->checker, values, item.raw.n, &g->out, &g->reasons, err));
        }
        GY_TRY(take_checked(g, &item, start, err));
    }
}

static gy_status take_source(struct ingest *g, struct gy_source *s, struct gy_err *err)
{
    const struct gy_ingest_options *o = g->o;
    enum gy_ingest_format format = GY_INGEST_AUTO;
    g->source.at = s;
    GY_TRY(gy_source_format(s, &format, err));
    GY_TRY(gy_source_open(s, &g->source.in, err));
    if (format == GY_INGEST_CSV) {
        struct gy_csv_options csv = {o->delimiter, o->record_max, o->chunk_bytes, &g->spill.to};
        gy_csv_free(GY_TAKE(g->csv));
        GY_TRY(gy_csv_open(&g->source.reader, &csv, &g->csv, err));
        return take_csv(g, err);
    }
    struct gy_jsonrec_options json = {.shape = format == GY_INGEST_JSONL ? GY_JSONREC_LINES
                                                                         : GY_JSONREC_ARRAY,
                                      .record_max = o->record_max,
                                      .chunk_bytes = o->chunk_bytes,
                                      .spill = &g->spill.to};
    gy_jsonrec_free(GY_TAKE(g->json));
    GY_TRY(gy_jsonrec_open(&g->source.reader, &json, &g->json, err));
    return take_json(g, err);
}

static gy_status take_all(struct ingest *g, struct gy_err *err)
{
    for (size_t i = 0; i < g->o->n_sources; i++) {
        struct gy_source *s = g->o->sources[i];
        gy_status status = take_source(g, s, err);
        g->source.done_before += s->done_bytes;
        gy_source_close(s);
        GY_TRY(status);
        if (g->source.one) {
            char hex[GY_SHA256_HEX];
            gy_hash_hex(g->source.one, hex);
            GY_TRY(gy_dlq_end_source(&g->dlq, hex, err));
        }
    }
    gy_hash_hex(g->source.sha256, g->r->source_sha256);
    return gy_dlq_end_source(&g->dlq, g->r->source_sha256,
                             err); /* has nothing to do after several */
}

/* What was in the files and not in the schema, for people. */
static void tell_unknown(struct ingest *g)
{
    struct gy_str name;
    int64_t count;
    size_t n = 0, room = sizeof g->r->unknown;
    for (size_t i = 0; g->fields && gy_jsonfields_unknown(g->fields, i, &name, &count); i++) {
        g->r->unknown_keys += count;
        int wrote = n >= room ? 0
                              : snprintf(g->r->unknown + n, room - n, "%s%" GY_STR_F " (%lld)",
                                         n ? ", " : "", GY_STR_A(name.p ? name : GY_STR("others")),
                                         (long long)count);
        n += wrote > 0 ? (size_t)wrote : 0;
    }
}

static gy_status check_conservation(const struct ingest *g, struct gy_err *err)
{
    const struct gy_ingest_result *r = g->r;
    if (r->accepted + r->dead + r->replaced != r->read || g->dlq.letters != r->dead) {
        return gy_err_set(err, GY_E_CORRUPT,
                          "records were lost: %lld read, %lld accepted, %lld dead, %lld replaced, "
                          "%lld letters",
                          (long long)r->read, (long long)r->accepted, (long long)r->dead,
                          (long long)r->replaced, (long long)g->dlq.letters);
    }
    if (r->header_bytes + r->record_bytes + r->blank_bytes != r->source_bytes) {
        return gy_err_set(err, GY_E_CORRUPT,
                          "bytes were lost: %lld header, %lld records, %lld blank, of %lld",
                          (long long)r->header_bytes, (long long)r->record_bytes,
                          (long long)r->blank_bytes, (long long)r->source_bytes);
    }
    return GY_OK;
}

static gy_status check_max_dead(const struct ingest *g, struct gy_err *err)
{
    const struct gy_ingest_options *o = g->o;
    const struct gy_ingest_result *r = g->r;
    bool over = (o->max_dead >= 0 && r->dead > o->max_dead) ||
                (o->max_dead_share >= 0 && (double)r->dead > o->max_dead_share * (double)r->read);
    if (!over) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_SCHEMA, "%lld of %lld records are dead, more than --max-dead allows",
                     (long long)r->dead, (long long)r->read);
    (void)gy_err_hint(err, "see why in %s; the earlier output was left as it is", o->dlq);
    return GY_E_SCHEMA;
}

static gy_status check_duplicates(const struct gy_ingest_options *o, struct gy_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < o->schema->n_columns; i++) {
        n += o->schema->columns[i].unique ? 1 : 0;
    }
    if (o->on_duplicate == GY_DUPLICATE_DEAD || n == 1) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_INVALID,
                     "which of several records is kept needs one unique column; the schema has %zu",
                     n);
    return gy_err_hint(err, "unique: true on the id's column of schema.yaml");
}

static gy_status run(struct ingest *g, struct gy_err *err)
{
    const struct gy_ingest_options *o = g->o;
    struct gy_ingest_result *r = g->r;
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &g->source.sha256, err));
    if (o->n_sources > 1) {
        GY_TRY(gy_hash_new(GY_HASH_SHA256, &g->source.one, err));
    }
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &g->sha256, err));
    GY_TRY(gy_hash_new(GY_HASH_MD5, &g->md5, err));
    for (size_t i = 0; i < o->n_sources; i++) { /* before anything is made, or a letter written */
        struct gy_source *s = o->sources[i];
        GY_TRY(s->ops->check ? s->ops->check(s, err) : GY_OK);
    }
    GY_TRY(check_duplicates(o, err));
    GY_TRY(gy_dir_make(o->out_dir, err));
    GY_TRY(gy_path_join(r->path, sizeof r->path, o->out_dir, "data.csv", err));
    GY_TRY(gy_file_writer_open(r->path, 0666, &g->writer, err));
    if (o->on_duplicate == GY_DUPLICATE_LAST) {
        GY_TRY(gy_file_aside(o->out_dir, &g->spool, err));
    }
    GY_TRY(take_all(g, err));
    tell_unknown(g);
    GY_TRY(flush_out(g, err));
    if (g->spool >= 0) {
        GY_TRY(copy_spool(g, err));
    }
    r->source_bytes = g->source.bytes;
    GY_TRY(check_conservation(g, err));
    GY_TRY(gy_dlq_commit(&g->dlq, err));
    gy_hash_hex(g->sha256, r->sha256);
    gy_hash_hex(g->md5, r->md5);
    GY_TRY(check_max_dead(g, err));
    return gy_file_writer_commit(g->writer, NULL, err);
}

gy_status gy_ingest(const struct gy_ingest_options *o, struct gy_ingest_result *ret,
                    struct gy_err *err)
{
    const int64_t start = gy_mono_ns();
    *ret = (struct gy_ingest_result){.delimiter = o->delimiter};
    struct ingest g = {.o = o, .r = ret, .spool = -1};
    g.source = (struct source){.reader = {source_read, -1}, .o = o};
    g.spill = (struct spill){{spill_write}, o->out_dir, -1, 0};
    gy_latest_init(&g.latest);
    gy_reasons_init(&g.reasons);
    gy_dlq_init(&g.dlq, o->dlq);
    gy_buf_init(&g.out, OUT_FLUSH_BYTES + 4 * GY_MAX_CSV_RECORD + GY_MAX_COLUMNS * GY_VALUE_TEXT);
    gy_status status = run(&g, err);
    gy_csv_free(g.csv);
    gy_jsonrec_free(g.json);
    gy_jsonfields_free(g.fields);
    gy_checker_free(g.checker);
    gy_latest_done(&g.latest);
    gy_file_writer_free(g.writer);
    gy_hash_free(g.source.sha256);
    gy_hash_free(g.source.one);
    gy_hash_free(g.sha256);
    gy_hash_free(g.md5);
    gy_buf_done(&g.out);
    gy_dlq_done(&g.dlq);
    gy_reasons_done(&g.reasons);
    gy_free(g.header);
    for (size_t i = 0; i < o->n_sources; i++) {
        gy_source_close(o->sources[i]);
    }
    if (g.spill.fd >= 0) {
        (void)close(g.spill.fd);
    }
    if (g.spool >= 0) {
        (void)close(g.spool);
    }
    ret->seconds = (double)(gy_mono_ns() - start) / 1e9;
    return status;
}

gy_status gy_ingest_parse_max_dead(struct gy_str text, struct gy_ingest_options *o,
                                   struct gy_err *err)
{
    o->max_dead = -1;
    o->max_dead_share = -1;
    if (gy_str_ends(text, GY_STR("%"))) {
        double percent;
        if (gy_parse_f64(gy_str_n(text.p, text.n - 1), &percent, NULL) == GY_OK && percent >= 0 &&
            percent <= 100) {
            o->max_dead_share = percent / 100;
            return GY_OK;
        }
    } else if (gy_parse_i64(text, 0, INT64_MAX, &o->max_dead, NULL) == GY_OK) {
        return GY_OK;
    }
    return gy_err_set(err, GY_E_INVALID, "--max-dead: a number or a share such as 2%% is wanted");
}

gy_status gy_ingest_parse_on_duplicate(struct gy_str text, enum gy_on_duplicate *ret,
                                       struct gy_err *err)
{
    static const char *const known[] = {"dead", "last", "first"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (gy_str_eqc(text, known[i])) {
            *ret = (enum gy_on_duplicate)i;
            return GY_OK;
        }
    }
    (void)gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "': what becomes of duplicates?",
                     GY_STR_A(text));
    return gy_err_hint(err, "dead, last or first");
}

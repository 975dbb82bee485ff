/* SPDX-License-Identifier: Apache-2.0 */
#include "data/ingest.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/time.h"
#include "net/call.h"

#define OUT_FLUSH_BYTES (256 * GY_KIB)

/* The file as it is read: counted and digested. */
struct source {
    struct gy_reader reader;
    int fd;
    struct gy_hash *sha256;
    const struct gy_ingest_options *o;
    int64_t bytes;
};

struct ingest {
    const struct gy_ingest_options *o;
    struct gy_ingest_result *r;
    struct source source;
    struct gy_csv *csv;
    struct gy_checker *checker;
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
    ssize_t got;
    do {
        got = read(s->fd, buf, n);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return gy_err_sys(err, errno, "reading '%s'", s->o->path);
    }
    gy_hash_add(s->sha256, gy_str_n(buf, (size_t)got));
    s->bytes += got;
    if (s->o->progress) {
        s->o->progress(s->o->progress_ctx, s->bytes);
    }
    *ret_n = (size_t)got;
    return GY_OK;
}

static gy_status flush_out(struct ingest *g, struct gy_err *err)
{
    GY_TRY(gy_buf_check(&g->out, "the canonical records", err));
    struct gy_str bytes = gy_buf_str(&g->out);
    GY_TRY(gy_file_writer_write(g->writer, bytes, err));
    gy_hash_add(g->sha256, bytes);
    gy_hash_add(g->md5, bytes);
    g->r->size_bytes += (int64_t)bytes.n;
    gy_buf_reset(&g->out);
    return GY_OK;
}

static gy_status take_header(struct ingest *g, const struct gy_csv_item *item, struct gy_err *err)
{
    if (item->fault != GY_CSV_FINE || !gy_str_is_utf8(item->raw)) {
        return gy_err_set(err, GY_E_PARSE, "'%s': the header line is %s", g->o->path,
                          item->fault == GY_CSV_QUOTE     ? "broken: a quoted name never ends well"
                          : item->fault == GY_CSV_TOOLONG ? "too long"
                                                          : "not UTF-8");
    }
    g->header = gy_calloc(GY_MAX_COLUMNS, sizeof *g->header);
    if (!g->header) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for the header");
    }
    size_t n =
        gy_csv_split(item->raw, item->quotes, gy_csv_delimiter(g->csv), g->header, GY_MAX_COLUMNS);
    gy_status status =
        gy_checker_new(g->o->schema, g->o->environment, g->header, n, &g->checker, err);
    if (status != GY_OK) {
        (void)gy_err_wrap(err, "'%s'", g->o->path);
        return status;
    }
    gy_checker_header(g->checker, &g->out);
    return gy_buf_check(&g->out, "the canonical header", err);
}

static gy_status take_record(struct ingest *g, const struct gy_csv_item *item, struct gy_err *err)
{
    struct gy_ingest_result *r = g->r;
    GY_TRY(gy_checker_record(g->checker, item, r->delimiter, &g->out, &g->reasons, err));
    r->read++;
    if (g->reasons.codes == 0) {
        r->accepted++;
        return g->out.n >= OUT_FLUSH_BYTES ? flush_out(g, err) : GY_OK;
    }
    r->dead++;
    for (int code = 0; code < GY_DEAD_N; code++) {
        r->codes[code] += (g->reasons.codes >> code) & 1;
    }
    struct gy_str file = gy_str_c(g->o->file ? g->o->file : g->o->path);
    return gy_dlq_add(&g->dlq, file, item, &g->reasons, g->source.fd, err);
}

static gy_status take_all(struct ingest *g, struct gy_err *err)
{
    for (;;) {
        struct gy_csv_item item;
        bool more = false;
        GY_TRY(gy_csv_next(g->csv, &item, &more, err));
        if (!more) {
            return GY_OK;
        }
        switch (item.kind) {
        case GY_CSV_HEADER:
            g->r->delimiter = gy_csv_delimiter(g->csv);
            g->r->header_bytes += item.size_bytes;
            GY_TRY(take_header(g, &item, err));
            break;
        case GY_CSV_RECORD:
            g->r->record_bytes += item.size_bytes;
            GY_TRY(take_record(g, &item, err));
            break;
        case GY_CSV_BLANK:
            g->r->blank_bytes += item.size_bytes;
            break;
        }
    }
}

static gy_status check_conservation(const struct ingest *g, struct gy_err *err)
{
    const struct gy_ingest_result *r = g->r;
    if (r->accepted + r->dead != r->read || g->dlq.letters != r->dead) {
        return gy_err_set(err, GY_E_CORRUPT,
                          "records were lost: %lld read, %lld accepted, %lld dead, %lld letters",
                          (long long)r->read, (long long)r->accepted, (long long)r->dead,
                          (long long)g->dlq.letters);
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

static gy_status run(struct ingest *g, struct gy_err *err)
{
    const struct gy_ingest_options *o = g->o;
    struct gy_ingest_result *r = g->r;
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &g->source.sha256, err));
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &g->sha256, err));
    GY_TRY(gy_hash_new(GY_HASH_MD5, &g->md5, err));
    g->source.fd = open(o->path, O_RDONLY | O_CLOEXEC);
    if (g->source.fd < 0) {
        return gy_err_sys(err, errno, "opening '%s'", o->path);
    }
    struct gy_csv_options csv = {o->delimiter, o->record_max, o->chunk_bytes};
    GY_TRY(gy_csv_open(&g->source.reader, &csv, &g->csv, err));
    GY_TRY(gy_dir_make(o->out_dir, err));
    GY_TRY(gy_path_join(r->path, sizeof r->path, o->out_dir, "data.csv", err));
    GY_TRY(gy_file_writer_open(r->path, 0666, &g->writer, err));
    GY_TRY(take_all(g, err));
    if (!g->checker) {
        return gy_err_set(err, GY_E_PARSE, "'%s' is empty: not even a header line", o->path);
    }
    GY_TRY(flush_out(g, err));
    GY_TRY(gy_dlq_flush(&g->dlq, err));
    r->source_bytes = g->source.bytes;
    GY_TRY(check_conservation(g, err));
    gy_hash_hex(g->source.sha256, r->source_sha256);
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
    struct ingest g = {.o = o, .r = ret};
    g.source = (struct source){.reader = {source_read, -1}, .fd = -1, .o = o};
    gy_reasons_init(&g.reasons);
    gy_dlq_init(&g.dlq, o->dlq);
    gy_buf_init(&g.out, OUT_FLUSH_BYTES + 4 * GY_MAX_CSV_RECORD + GY_MAX_COLUMNS * GY_VALUE_TEXT);
    gy_status status = run(&g, err);
    gy_csv_free(g.csv);
    gy_checker_free(g.checker);
    gy_file_writer_free(g.writer);
    gy_hash_free(g.source.sha256);
    gy_hash_free(g.sha256);
    gy_hash_free(g.md5);
    gy_buf_done(&g.out);
    gy_dlq_done(&g.dlq);
    gy_reasons_done(&g.reasons);
    gy_free(g.header);
    if (g.source.fd >= 0) {
        (void)close(g.source.fd);
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

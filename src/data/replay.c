/* SPDX-License-Identifier: Apache-2.0 */
#include "data/replay.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/ingest.h"
#include "data/jsonfields.h"
#include "net/call.h"

#define FLUSH_BYTES (256 * GY_KIB)
#define ROOM (FLUSH_BYTES + 4 * GY_MAX_CSV_RECORD + GY_MAX_COLUMNS * GY_VALUE_TEXT)

struct gy_replay {
    const struct gy_replay_options *o;
    struct gy_replay_result result;
    struct gy_checker *checker;
    struct gy_jsonfields *json;
    struct gy_csv_field *fields;
    struct gy_reasons reasons;
    struct gy_file_writer *writer;
    struct gy_hash *sha256, *md5;
    struct gy_buf out;
    /* How the checker reads letters at the moment. */
    struct gy_buf header; /* of CSV; empty: JSON, or nothing yet */
    char delimiter;
    bool mapped, mapped_json; /* the checker knows this header */
    gy_status map_status;     /* it does not fit the schema: why */
    struct gy_err map_err;
    /* Where headers are found that letters do not have. */
    struct gy_buf found_file, found;
    char found_delimiter;
    char folder[GY_MAX_PATH];
    struct gy_buf record; /* header and record of a letter with quotes */
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for replaying letters");
}

static gy_status flush(struct gy_replay *r, struct gy_err *err)
{
    GY_TRY(gy_buf_check(&r->out, "the canonical records", err));
    struct gy_str bytes = gy_buf_str(&r->out);
    GY_TRY(gy_file_writer_write(r->writer, bytes, err));
    gy_hash_add(r->sha256, bytes);
    gy_hash_add(r->md5, bytes);
    r->result.size_bytes += (int64_t)bytes.n;
    gy_buf_reset(&r->out);
    return GY_OK;
}

/* ---- the table ---- */

struct counted {
    struct gy_reader reader;
    struct gy_reader *in;
    struct gy_hash *sha256;
};

static gy_status counted_read(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                              struct gy_err *err)
{
    struct counted *c = (struct counted *)(void *)self;
    GY_TRY(c->in->read(c->in, buf, n, ret_n, err));
    gy_hash_add(c->sha256, gy_str_n(buf, *ret_n));
    return GY_OK;
}

static gy_status refuse_row(const struct gy_replay *r, const struct gy_csv_item *item,
                            struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_SCHEMA,
                     "row %lld of '%s' does not fit the schema any more: %" GY_STR_F,
                     (long long)item->row, r->o->base,
                     GY_STR_A(gy_str_sub(gy_buf_str(&r->reasons.text), 0, 200)));
    return gy_err_hint(err, "a replay only adds rows; to check all of them again, ingest the files "
                            "they came from");
}

static gy_status take_row(struct gy_replay *r, const struct gy_csv_item *item, struct gy_err *err)
{
    switch (item->kind) {
    case GY_CSV_HEADER: {
        size_t n = gy_csv_split(item->raw, item->quotes, ',', r->fields, GY_MAX_COLUMNS);
        GY_TRY(gy_checker_new(r->o->schema, r->o->environment, r->fields, n, &r->checker, err));
        gy_checker_header(r->checker, &r->out);
        break;
    }
    case GY_CSV_RECORD:
        GY_TRY(gy_checker_record(r->checker, item, ',', &r->out, &r->reasons, err));
        if (r->reasons.codes) {
            return refuse_row(r, item, err);
        }
        r->result.base_rows++;
        break;
    case GY_CSV_BLANK: /* of a table of one column: a row without a value */
        gy_buf_add_char(&r->out, '\n');
        r->result.base_rows++;
        break;
    case GY_CSV_LINES: /* of gy_csv_more alone */
        break;
    }
    return r->out.n >= FLUSH_BYTES ? flush(r, err) : GY_OK;
}

static gy_status read_rows(struct gy_replay *r, struct gy_reader *in, struct gy_err *err)
{
    GY_AUTO(gy_csv_free) struct gy_csv *csv = NULL;
    struct gy_csv_options o = {.delimiter = ',', .record_max = 4 * GY_MAX_CSV_RECORD};
    GY_TRY(gy_csv_open(in, &o, &csv, err));
    for (;;) {
        struct gy_csv_item item;
        bool more = false;
        GY_TRY(gy_csv_next(csv, &item, &more, err));
        if (!more) {
            break;
        }
        if (item.kind == GY_CSV_HEADER && item.fault != GY_CSV_FINE) {
            return gy_err_set(err, GY_E_PARSE, "'%s' is no table: its header is broken",
                              r->o->base);
        }
        GY_TRY(take_row(r, &item, err));
    }
    return r->checker ? GY_OK
                      : gy_err_set(err, GY_E_PARSE, "'%s' is empty: not even a header", r->o->base);
}

static gy_status read_base(struct gy_replay *r, struct gy_err *err)
{
    GY_AUTO(gy_source_free) struct gy_source *source = NULL;
    GY_AUTO(gy_hash_free) struct gy_hash *digest = NULL;
    struct counted in = {.reader = {.read = counted_read, .size_bytes = -1}};
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &digest, err));
    GY_TRY(gy_source_file(r->o->base, NULL, &source, err));
    GY_TRY(gy_source_open(source, &in.in, err));
    in.sha256 = digest;
    GY_TRY(read_rows(r, &in.reader, err));
    gy_hash_hex(digest, r->result.base_sha256);
    return GY_OK;
}

gy_status gy_replay_open(const struct gy_replay_options *o, struct gy_replay **ret,
                         struct gy_err *err)
{
    GY_AUTO(gy_replay_free) struct gy_replay *r = gy_calloc(1, sizeof *r);
    if (!r) {
        return no_memory(err);
    }
    r->o = o;
    gy_reasons_init(&r->reasons);
    gy_buf_init(&r->out, ROOM);
    gy_buf_init(&r->header, GY_MAX_CSV_RECORD);
    gy_buf_init(&r->found, GY_MAX_CSV_RECORD);
    gy_buf_init(&r->found_file, GY_MAX_PATH);
    gy_buf_init(&r->record, 4 * GY_MAX_CSV_RECORD);
    r->fields = gy_calloc(GY_MAX_COLUMNS, sizeof *r->fields);
    if (!r->fields) {
        return no_memory(err);
    }
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &r->sha256, err));
    GY_TRY(gy_hash_new(GY_HASH_MD5, &r->md5, err));
    GY_TRY(gy_file_writer_open(o->out, 0666, &r->writer, err));
    GY_TRY(read_base(r, err));
    *ret = GY_TAKE(r);
    return GY_OK;
}

void gy_replay_free(struct gy_replay *r)
{
    if (!r) {
        return;
    }
    gy_checker_free(r->checker);
    gy_jsonfields_free(r->json);
    gy_free(r->fields);
    gy_reasons_done(&r->reasons);
    gy_file_writer_free(r->writer);
    gy_hash_free(r->sha256);
    gy_hash_free(r->md5);
    gy_buf_done(&r->out);
    gy_buf_done(&r->header);
    gy_buf_done(&r->found);
    gy_buf_done(&r->found_file);
    gy_buf_done(&r->record);
    gy_free(r);
}

/* ---- how letters are read ---- */

/* The header line of a file that is still there, for letters of older programs. */
static void find_header(struct gy_replay *r, struct gy_str file)
{
    GY_AUTO(gy_source_free) struct gy_source *source = NULL;
    GY_AUTO(gy_csv_free) struct gy_csv *csv = NULL;
    struct gy_reader *in = NULL;
    struct gy_csv_item item;
    struct gy_csv_options o = {0};
    bool more = false;
    if (r->found_file.n > 0 && gy_str_eq(gy_buf_str(&r->found_file), file)) {
        return;
    }
    gy_buf_reset(&r->found);
    gy_buf_reset(&r->found_file);
    gy_buf_add(&r->found_file, file);
    if (r->found_file.failed != GY_OK || file.n == 0 ||
        gy_source_file(r->found_file.p, NULL, &source, NULL) != GY_OK ||
        gy_source_open(source, &in, NULL) != GY_OK || gy_csv_open(in, &o, &csv, NULL) != GY_OK ||
        gy_csv_next(csv, &item, &more, NULL) != GY_OK || !more || item.kind != GY_CSV_HEADER ||
        item.fault != GY_CSV_FINE) {
        return;
    }
    gy_buf_add(&r->found, item.raw);
    r->found_delimiter = gy_csv_delimiter(csv);
}

/* The header of a CSV letter, and its delimiter; absent: nobody knows. */
static struct gy_str header_of(struct gy_replay *r, const struct gy_letter *l, char *ret_delimiter)
{
    *ret_delimiter = l->delimiter ? l->delimiter : ',';
    if (l->header.n > 0) {
        return l->header;
    }
    if (r->o->header.n > 0) {
        return r->o->header;
    }
    if (r->o->images) { /* whoever may look beside files may look into them */
        find_header(r, l->file);
        if (r->found.n > 0 && r->found.failed == GY_OK) {
            *ret_delimiter = r->found_delimiter;
            return gy_buf_str(&r->found);
        }
    }
    return GY_STR_NULL;
}

static bool is_json(const struct gy_letter *l)
{
    char name[GY_MAX_PATH] = "";
    if (l->header.n > 0) {
        return false;
    }
    if (l->file.n > 0 && l->file.n < sizeof name) {
        memcpy(name, l->file.p, l->file.n);
        name[l->file.n] = '\0';
    }
    return gy_ingest_format_of(name, l->bytes) != GY_INGEST_CSV;
}

static gy_status map_csv(struct gy_replay *r, struct gy_str header, char delimiter,
                         struct gy_err *err)
{
    if (r->mapped && !r->mapped_json && r->delimiter == delimiter &&
        gy_str_eq(gy_buf_str(&r->header), header)) {
        return GY_OK;
    }
    gy_buf_reset(&r->header);
    gy_buf_add(&r->header, header);
    GY_TRY(gy_buf_check(&r->header, "the header of a letter", err));
    r->delimiter = delimiter;
    r->mapped = true;
    r->mapped_json = false;
    r->map_err = (struct gy_err)GY_ERR_INIT;
    bool quotes = gy_str_find(header, '"') != SIZE_MAX;
    size_t n = gy_csv_split(gy_buf_str(&r->header), quotes, delimiter, r->fields, GY_MAX_COLUMNS);
    r->map_status = gy_checker_next_file(r->checker, r->fields, n, &r->map_err);
    return r->map_status == GY_E_NOMEM ? gy_err_set(err, GY_E_NOMEM, "%s", r->map_err.msg) : GY_OK;
}

static gy_status map_json(struct gy_replay *r, struct gy_err *err)
{
    size_t n = 0;
    if (!r->json) {
        GY_TRY(gy_jsonfields_new(r->o->schema, r->o->environment, &r->json, err));
    }
    if (r->mapped && r->mapped_json) {
        return GY_OK;
    }
    const struct gy_csv_field *header = gy_jsonfields_header(r->json, &n);
    r->mapped = true;
    r->mapped_json = true;
    r->map_err = (struct gy_err)GY_ERR_INIT;
    r->map_status = gy_checker_next_file(r->checker, header, n, &r->map_err);
    return r->map_status == GY_E_NOMEM ? gy_err_set(err, GY_E_NOMEM, "%s", r->map_err.msg) : GY_OK;
}

static void set_folder(struct gy_replay *r, struct gy_str file)
{
    size_t n = 0;
    for (size_t i = 0; i < file.n; i++) {
        n = file.p[i] == '/' ? i + 1 : n;
    }
    if (!r->o->images || n >= sizeof r->folder) {
        gy_checker_folder(r->checker, NULL);
        return;
    }
    memcpy(r->folder, n ? file.p : ".", n ? n : 1);
    r->folder[n ? n : 1] = '\0';
    gy_checker_folder(r->checker, r->folder);
}

/* ---- letters ---- */

/* A record with quotes is read as the file would be: behind its header. Whether it is one record
 * and no more is for the reader to say. */
static gy_status check_quoted(struct gy_replay *r, struct gy_str bytes, struct gy_err *err)
{
    GY_AUTO(gy_csv_free) struct gy_csv *csv = NULL;
    struct gy_mem_reader mem;
    struct gy_csv_item item;
    bool more = false;
    gy_buf_reset(&r->record);
    gy_buf_addc(&r->record, "h\n");
    gy_buf_add(&r->record, bytes);
    GY_TRY(gy_buf_check(&r->record, "a letter", err));
    struct gy_csv_options o = {.delimiter = r->delimiter,
                               .chunk_bytes = r->record.n < 4096 ? 4096 : r->record.n};
    GY_TRY(gy_csv_open(gy_mem_reader_init(&mem, gy_buf_str(&r->record)), &o, &csv, err));
    GY_TRY(gy_csv_next(csv, &item, &more, err)); /* the header */
    GY_TRY(gy_csv_next(csv, &item, &more, err));
    if (!more || item.kind != GY_CSV_RECORD) {
        gy_reasons_whole(&r->reasons, GY_DEAD_FIELDS, "the letter is empty");
        return GY_OK;
    }
    if (item.fault == GY_CSV_FINE && item.size_bytes < (int64_t)bytes.n) {
        gy_reasons_whole(&r->reasons, GY_DEAD_FIELDS, "the letter is more than one record");
        return GY_OK;
    }
    return gy_checker_record(r->checker, &item, r->delimiter, &r->out, &r->reasons, err);
}

static gy_status check_csv(struct gy_replay *r, struct gy_str bytes, struct gy_err *err)
{
    struct gy_csv_item item = {.kind = GY_CSV_RECORD, .raw = bytes, .length = (int64_t)bytes.n};
    if (bytes.n > GY_MAX_CSV_RECORD) {
        item.fault = GY_CSV_TOOLONG;
        item.raw = GY_STR_NULL;
    } else if (gy_str_find(bytes, '"') != SIZE_MAX) {
        return check_quoted(r, bytes, err);
    } else if (bytes.n == 0 || gy_str_find(bytes, '\n') != SIZE_MAX) {
        gy_reasons_whole(&r->reasons, GY_DEAD_FIELDS,
                         bytes.n ? "the letter is more than one record" : "the letter is empty");
        return GY_OK;
    }
    return gy_checker_record(r->checker, &item, r->delimiter, &r->out, &r->reasons, err);
}

static gy_status check_json(struct gy_replay *r, struct gy_str bytes, struct gy_err *err)
{
    struct gy_csv_item item = {.kind = GY_CSV_RECORD, .raw = bytes, .length = (int64_t)bytes.n};
    const struct gy_value *values = NULL;
    if (bytes.n > GY_MAX_CSV_RECORD) {
        item.fault = GY_CSV_TOOLONG;
        item.raw = GY_STR_NULL;
    }
    GY_TRY(gy_jsonfields_read(r->json, &item, &values, &r->reasons, err));
    return values ? gy_checker_values(r->checker, values, bytes.n, &r->out, &r->reasons, err)
                  : GY_OK;
}

/* An editor may have left a line end. */
static struct gy_str without_line_end(struct gy_str s)
{
    if (gy_str_ends(s, GY_STR("\n"))) {
        s = gy_str_sub(s, 0, s.n - 1);
        s = gy_str_ends(s, GY_STR("\r")) ? gy_str_sub(s, 0, s.n - 1) : s;
    }
    return s;
}

static gy_status check_letter(struct gy_replay *r, const struct gy_letter *l, struct gy_err *err)
{
    const struct gy_str bytes = without_line_end(l->bytes);
    char delimiter = ',';
    set_folder(r, l->file);
    if (is_json(l)) {
        GY_TRY(map_json(r, err));
    } else {
        struct gy_str header = header_of(r, l, &delimiter);
        if (header.n == 0) {
            gy_reasons_whole(&r->reasons, GY_DEAD_FIELDS,
                             "the header of its file is not known: put the file back, or give it");
            return GY_OK;
        }
        GY_TRY(map_csv(r, header, delimiter, err));
    }
    if (r->map_status != GY_OK) {
        gy_reasons_whole(&r->reasons, GY_DEAD_FIELDS, r->map_err.msg);
        return GY_OK;
    }
    return r->mapped_json ? check_json(r, bytes, err) : check_csv(r, bytes, err);
}

gy_status gy_replay_letter(struct gy_replay *r, const struct gy_letter *l,
                           const struct gy_reasons **ret_reasons, struct gy_err *err)
{
    const size_t before = r->out.n;
    GY_TRY(check_letter(r, l, err));
    *ret_reasons = &r->reasons;
    if (r->reasons.codes) {
        GY_REQUIRE(r->out.n == before); /* a refused record leaves nothing */
        r->result.refused++;
        return GY_OK;
    }
    r->result.accepted++;
    return r->out.n >= FLUSH_BYTES ? flush(r, err) : GY_OK;
}

gy_status gy_replay_end(struct gy_replay *r, struct gy_replay_result *ret, struct gy_err *err)
{
    GY_TRY(flush(r, err));
    gy_hash_hex(r->sha256, r->result.sha256);
    gy_hash_hex(r->md5, r->result.md5);
    *ret = r->result;
    return GY_OK;
}

gy_status gy_replay_commit(struct gy_replay *r, struct gy_err *err)
{
    return gy_file_writer_commit(r->writer, NULL, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A person's file: is it a CSV at all, what is in it, which of its records are sound. */
#include <ctype.h>
#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/try.h"
#include "data/records.h"
#include "data/schema.h"
#include "net/call.h"

#define LOOK_BYTES ((size_t)64 << 10)
#define INFER_BYTES ((size_t)256 << 20) /* types are told from so much of a large file */
/* A column is one of numbers when at most so much of it is not; only where that can be told. */
#define TOLERANCE 0.01
#define TOLERANT_BYTES 4096

void gy_try_name(const char *file, char out[64])
{
    const char *slash = strrchr(file, '/');
    const char *from = slash ? slash + 1 : file;
    const char *dot = strrchr(from, '.');
    size_t n = dot && dot > from ? (size_t)(dot - from) : strlen(from);
    size_t at = 0;
    for (size_t i = 0; i < n && at < 40; i++) {
        unsigned char c = (unsigned char)from[i];
        bool fine = c < 0x80 && (isalnum(c) || c == '_' || (c == '-' && at > 0));
        if (fine || (at > 0 && out[at - 1] != '_')) {
            out[at++] = fine ? (char)c : '_';
        }
    }
    while (at > 0 && out[at - 1] == '_') {
        at--;
    }
    out[at] = '\0';
    if (at == 0) {
        (void)snprintf(out, 64, "data");
    }
}

/* ---- what else it may be ---- */

static const struct {
    const char *magic;
    size_t n;
    const char *what, *hint;
} g_kinds[] = {
    {"PK\x03\x04", 4, "a spreadsheet or a zip file", "save it as CSV first"},
    {"\xd0\xcf\x11\xe0", 4, "an old Excel file", "save it as CSV first"},
    {"PAR1", 4, "a Parquet file", "write it as CSV first"},
    {"\x1f\x8b", 2, "compressed", "gunzip it first"},
    {"\xff\xfe", 2, "UTF-16 text", "iconv -f UTF-16 -t UTF-8 makes it readable"},
    {"\xfe\xff", 2, "UTF-16 text", "iconv -f UTF-16 -t UTF-8 makes it readable"},
    {"{", 1, "JSON", "gyre data ingest reads JSON; this command wants a CSV file"},
    {"[", 1, "JSON", "gyre data ingest reads JSON; this command wants a CSV file"},
    {"<", 1, "HTML or XML", "this command wants a CSV file"},
};

static gy_status refuse_other_kinds(const struct gy_try *t, struct gy_str text, struct gy_err *err)
{
    struct gy_str head = gy_str_trim(gy_str_sub(text, 0, LOOK_BYTES));
    for (size_t i = 0; i < sizeof g_kinds / sizeof g_kinds[0]; i++) {
        if (gy_str_starts(head, gy_str_n(g_kinds[i].magic, g_kinds[i].n))) {
            gy_err_set(err, GY_E_INVALID, "%s is %s, not a CSV file", t->file, g_kinds[i].what);
            return gy_err_hint(err, "%s", g_kinds[i].hint);
        }
    }
    if (head.n == 0) {
        gy_err_set(err, GY_E_INVALID, "%s is empty", t->file);
        return gy_err_hint(err, "a CSV file has a line of column names, then a line a row");
    }
    if (gy_str_find(head, '\0') != SIZE_MAX) {
        gy_err_set(err, GY_E_INVALID, "%s holds binary data, not a CSV file", t->file);
        return gy_err_hint(err, "a CSV file is text: a line of column names, then a line a row");
    }
    return GY_OK;
}

gy_status gy_try_read(struct gy_try *t, struct gy_buf *ret, struct gy_err *err)
{
    if (gy_path_is_dir(t->file)) {
        gy_err_set(err, GY_E_INVALID, "%s is a folder", t->file);
        return gy_err_hint(err, "name a CSV file in it");
    }
    if (gy_file_read(t->file, ret, err) != GY_OK) {
        return gy_err_wrap(err, "%s can not be read", t->file);
    }
    return refuse_other_kinds(t, gy_buf_str(ret), err);
}

/* ---- the header ---- */

static bool is_number(struct gy_str s)
{
    double v = 0;
    return gy_parse_f64(gy_str_trim(s), &v, NULL) == GY_OK;
}

/* A file without a header would lose its first row to it, and be asked about columns "5.1". */
static gy_status check_header(const struct gy_try *t, const struct gy_csv_field *f, size_t n,
                              size_t n_blank, struct gy_err *err)
{
    size_t numbers = 0;
    for (size_t i = 0; i < n; i++) {
        struct gy_str name = gy_str_trim(gy_str_n(f[i].p, f[i].n));
        numbers += is_number(name);
        for (size_t k = 0; k < i && name.n > 0; k++) {
            if (gy_str_eq(name, gy_str_trim(gy_str_n(f[k].p, f[k].n)))) {
                gy_err_set(err, GY_E_INVALID, "%s has two columns '%" GY_STR_F "'", t->file,
                           GY_STR_A(name));
                return gy_err_hint(err, "rename one of them in the first line");
            }
        }
    }
    if (numbers * 2 > n) {
        gy_err_set(err, GY_E_INVALID, "the first line of %s holds numbers, not names", t->file);
        return gy_err_hint(err, "put a line of column names on top");
    }
    if (n < 2 || n - n_blank < 2) {
        gy_err_set(err, GY_E_INVALID, "%s has one column only", t->file);
        return gy_err_hint(err, "the columns are to be separated by comma, semicolon, tab or |");
    }
    return GY_OK;
}

/* The header again, with names for the columns that have none: other tools write their row numbers
 * so. The data lines stay as they are. */
static gy_status name_columns(struct gy_try *t, struct gy_buf *text, struct gy_err *err)
{
    struct gy_mem_reader in;
    struct gy_csv_item item;
    bool more = false;
    GY_AUTO(gy_csv_free) struct gy_csv *csv = NULL;
    GY_AUTO(gy_free) char *room = gy_calloc(GY_MAX_COLUMNS, sizeof(struct gy_csv_field));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf head;
    gy_buf_init(&head, GY_MAX_CSV_RECORD);
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    struct gy_csv_field *f = (struct gy_csv_field *)(void *)room;
    GY_TRY(gy_csv_open(gy_mem_reader_init(&in, gy_buf_str(text)), NULL, &csv, err));
    do {
        GY_TRY(gy_csv_next(csv, &item, &more, err));
    } while (more && item.kind == GY_CSV_BLANK);
    if (!more || item.fault != GY_CSV_FINE || !item.raw.p) {
        return GY_OK; /* the reader of the schema says it better */
    }
    char delimiter = gy_csv_delimiter(csv);
    size_t n = gy_csv_split(item.raw, item.quotes, delimiter, f, GY_MAX_COLUMNS);
    for (size_t i = 0; i < n && i < GY_MAX_COLUMNS; i++) {
        bool blank = gy_str_trim(gy_str_n(f[i].p, f[i].n)).n == 0;
        t->n_unnamed += blank;
        if (i) {
            gy_buf_add_char(&head, delimiter);
        }
        if (blank) {
            gy_buf_addf(&head, "unnamed_%zu", i + 1);
        } else {
            gy_buf_addf(&head, f[i].quoted ? "\"%" GY_STR_F "\"" : "%" GY_STR_F, (int)f[i].n,
                        f[i].p);
        }
    }
    GY_TRY(check_header(t, f, n < GY_MAX_COLUMNS ? n : GY_MAX_COLUMNS, t->n_unnamed, err));
    if (t->n_unnamed == 0) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf all;
    gy_buf_init(&all, GY_TABLE_MAX_BYTES);
    gy_buf_add(&all, gy_str_sub(gy_buf_str(text), 0, (size_t)(item.offset + item.skip)));
    gy_buf_add(&all, gy_buf_str(&head));
    gy_buf_add(&all, gy_str_sub(gy_buf_str(text), (size_t)(item.offset + item.skip + item.length),
                                SIZE_MAX));
    GY_TRY(gy_buf_check(&all, t->file, err));
    gy_buf_reset(text);
    gy_buf_add(text, gy_buf_str(&all));
    return gy_buf_check(text, t->file, err);
}

/* ---- the sound rows ---- */

/* "row 17, HR: 'abc' is not an int" of the first dead letter. */
static void read_complaint(struct gy_try *t, const char *dlq)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_str line;
    gy_buf_init(&text, GY_GIB);
    if (gy_file_read(dlq, &text, NULL) != GY_OK) {
        return; /* no file: no dead record; only a detail of a message is lost */
    }
    (void)gy_str_cut(gy_buf_str(&text), '\n', &line, &(struct gy_str){0});
    if (gy_json_parse(line, &doc, NULL) == GY_OK) {
        yyjson_val *root = yyjson_doc_get_root(doc);
        struct gy_str why = gy_json_str(root, "error");
        (void)snprintf(t->complaint, sizeof t->complaint, "record %lld: %.*s",
                       (long long)gy_json_i64(root, "row", 0) + 1, (int)(why.n < 180 ? why.n : 180),
                       why.p ? why.p : "");
    }
}

static void ingest_progress(void *ctx, int64_t bytes)
{
    gy_progress_at(ctx, bytes);
}

/* By the reader of `gyre data ingest`, into a folder that goes away again: the survey may see only
 * what the project's own ingest will accept. */
static gy_status load_sound(struct gy_try *t, const char *raw, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    char dlq[GY_MAX_PATH];
    GY_TRY(gy_path_join(dir, sizeof dir, t->d.dir, ".gyre/cache/try", err));
    GY_TRY(gy_dir_make(dir, err));
    GY_TRY(gy_path_join(dlq, sizeof dlq, dir, "dlq.log", err));
    gy_progress_start(&t->bar, t->cli, "    reading", gy_file_size(raw));
    GY_AUTO(gy_source_free) struct gy_source *source = NULL;
    GY_TRY(gy_source_file(raw, t->file, &source, err));
    source->format = GY_INGEST_CSV;
    const struct gy_ingest_options o = {.sources = &source,
                                        .n_sources = 1,
                                        .out_dir = dir,
                                        .dlq = dlq,
                                        .schema = t->schema,
                                        .max_dead = -1,
                                        .max_dead_share = -1,
                                        .progress = ingest_progress,
                                        .progress_ctx = &t->bar};
    gy_status status = gy_ingest(&o, &t->ingested, err);
    gy_progress_end(&t->bar);
    GY_TRY(status);
    read_complaint(t, dlq);
    GY_TRY(gy_table_load(t->ingested.path, t->schema, &t->table, err));
    return gy_dir_remove(dir, err);
}

gy_status gy_try_load(struct gy_try *t, struct gy_buf *text, struct gy_err *err)
{
    char raw[GY_MAX_PATH];
    const char *name = gy_arena_printf(&t->cli->arena, "data/raw/%s.csv", t->name);
    if (!name) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    GY_TRY(name_columns(t, text, err));
    GY_TRY(gy_path_join(raw, sizeof raw, t->d.dir, name, err));
    GY_TRY(gy_dir_make_for(raw, err));
    GY_TRY(gy_file_write(raw, gy_buf_str(text), 0644, err));
    bool whole = text->n <= INFER_BYTES;
    struct gy_str head = gy_str_sub(gy_buf_str(text), 0, INFER_BYTES);
    gy_status status = gy_schema_infer_most(head, whole, text->n >= TOLERANT_BYTES ? TOLERANCE : 0,
                                            &t->schema, err);
    if (status != GY_OK) {
        return gy_err_wrap(err, "%s", t->file);
    }
    gy_buf_done(text); /* it may be large, and the table has its own copy */
    gy_buf_init(text, 0);
    return load_sound(t, raw, err);
}

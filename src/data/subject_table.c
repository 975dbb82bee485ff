/* SPDX-License-Identifier: Apache-2.0 */
#include "data/subject_table.h"

#include <errno.h>
#include <unistd.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "data/records.h"
#include "net/call.h"

#define PIECE_BYTES (256 * GY_KIB)
#define SNIFF ((size_t)8 * GY_KIB)              /* bytes that tell text from other files */
#define OVERLAP ((size_t)2 * GY_SUBJECT_MAX_ID) /* of windows over a record that is too long */

static bool is_column(const struct gy_subject_scan *s, struct gy_str name)
{
    struct gy_str trimmed = gy_str_trim(name);
    for (size_t i = 0; i < s->n_columns; i++) {
        if (gy_str_eq(s->columns[i], trimmed)) {
            return true;
        }
    }
    return false;
}

/* ---- copying what stays ---- */

static gy_status read_at(int fd, char *to, size_t n, int64_t at, size_t *ret_n, struct gy_err *err)
{
    ssize_t got;
    do {
        got = pread(fd, to, n, (off_t)at);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return gy_err_sys(err, errno, "reading a table");
    }
    *ret_n = (size_t)got;
    return GY_OK;
}

/* The bytes from `from` to `to` stay. */
static gy_status keep_range(const struct gy_subject_scan *s, int fd, int64_t from, int64_t to,
                            struct gy_err *err)
{
    GY_AUTO(gy_free) char *piece = s->keep && from < to ? gy_malloc(PIECE_BYTES) : NULL;
    if (!s->keep || from >= to) {
        return GY_OK;
    }
    if (!piece) {
        return gy_err_set(err, GY_E_NOMEM, "copying a table");
    }
    while (from < to) {
        size_t want = to - from < (int64_t)PIECE_BYTES ? (size_t)(to - from) : PIECE_BYTES, got;
        GY_TRY(read_at(fd, piece, want, from, &got, err));
        if (got == 0) {
            return gy_err_set(err, GY_E_IO, "a table became shorter while it was read");
        }
        GY_TRY(s->keep(s->ctx, gy_str_n(piece, got), err));
        from += (int64_t)got;
    }
    return GY_OK;
}

/* ---- CSV ---- */

struct csv {
    struct gy_subject_scan *s;
    int fd;
    char delimiter;
    struct gy_buf names;  /* of the columns, one after the other */
    struct gy_buf ends;   /* size_t: where each name ends */
    struct gy_buf fields; /* struct gy_csv_field of the record */
    struct gy_buf scratch, json;
    size_t n_columns, n_fields;
};

static gy_status split(struct csv *c, const struct gy_csv_item *item, struct gy_err *err)
{
    size_t cap = c->fields.n / sizeof(struct gy_csv_field);
    size_t n = gy_csv_split(item->raw, item->quotes, c->delimiter, (void *)c->fields.p, cap);
    if (n > GY_SUBJECT_MAX_FIELDS) {
        c->n_fields = 0; /* no table of people's data: it is searched as text */
        return GY_OK;
    }
    if (n > cap) {
        gy_buf_reset(&c->fields);
        if (!gy_buf_reserve(&c->fields, n * sizeof(struct gy_csv_field))) {
            return gy_buf_check(&c->fields, "the fields of a record", err);
        }
        gy_buf_commit(&c->fields, n * sizeof(struct gy_csv_field));
        n = gy_csv_split(item->raw, item->quotes, c->delimiter, (void *)c->fields.p, n);
    }
    c->n_fields = n;
    return GY_OK;
}

static struct gy_str field_text(struct csv *c, size_t i)
{
    const struct gy_csv_field *f = (const struct gy_csv_field *)(const void *)c->fields.p + i;
    return gy_csv_text(f, &c->scratch);
}

static struct gy_str column_name(const struct csv *c, size_t i)
{
    const size_t *ends = (const size_t *)(const void *)c->ends.p;
    size_t from = i ? ends[i - 1] : 0;
    return gy_str_n(c->names.p + from, ends[i] - from);
}

static gy_status read_header(struct csv *c, const struct gy_csv_item *item, struct gy_err *err)
{
    if (!item->raw.p || item->fault != GY_CSV_FINE) {
        return GY_OK; /* no column is known: rows are searched as text */
    }
    GY_TRY(split(c, item, err));
    for (size_t i = 0; i < c->n_fields; i++) {
        struct gy_str name = field_text(c, i);
        gy_buf_add(&c->names, name);
        gy_buf_add_bytes(&c->ends, &c->names.n, sizeof c->names.n);
        c->s->has_column |= is_column(c->s, name);
    }
    c->n_columns = c->n_fields;
    GY_TRY(gy_buf_check(&c->names, "the header", err));
    return gy_buf_check(&c->ends, "the header", err);
}

/* In windows that overlap. */
static gy_status search_range(const struct gy_subject *s, int fd, int64_t at, int64_t end,
                              bool text_only, bool *ret_found, struct gy_err *err)
{
    GY_AUTO(gy_free) char *piece = gy_malloc(PIECE_BYTES);
    if (!piece) {
        return gy_err_set(err, GY_E_NOMEM, "searching for a subject");
    }
    for (bool first = true; at < end && !*ret_found; first = false) {
        size_t want = end - at < (int64_t)PIECE_BYTES ? (size_t)(end - at) : PIECE_BYTES, got;
        GY_TRY(read_at(fd, piece, want, at, &got, err));
        if (first && text_only && memchr(piece, 0, got < SNIFF ? got : SNIFF)) {
            break;
        }
        *ret_found = gy_subject_named(s, gy_str_n(piece, got), NULL, NULL);
        if (got <= OVERLAP) {
            break;
        }
        at += (int64_t)(got - OVERLAP);
    }
    return GY_OK;
}

gy_status gy_subject_search(const struct gy_subject *s, int fd, int64_t size_bytes, bool text_only,
                            bool *ret_found, struct gy_err *err)
{
    *ret_found = false;
    return search_range(s, fd, 0, size_bytes, text_only, ret_found, err);
}

/* Does the record name the subject in a column that identifies people, or else anywhere? */
static gy_status look(struct csv *c, const struct gy_csv_item *item, bool *ret_hit, bool *ret_named,
                      struct gy_err *err)
{
    *ret_hit = *ret_named = false;
    if (!item->raw.p) {
        int64_t from = item->offset + item->skip; /* too long to be kept */
        return search_range(c->s->subject, c->fd, from, from + item->length, false, ret_named, err);
    }
    c->n_fields = 0;
    if (item->fault == GY_CSV_FINE) {
        GY_TRY(split(c, item, err));
        for (size_t i = 0; i < c->n_fields && i < c->n_columns && !*ret_hit; i++) {
            *ret_hit = is_column(c->s, column_name(c, i)) &&
                       gy_subject_is(c->s->subject, field_text(c, i));
        }
    }
    if (!*ret_hit) {
        /* The raw text: an escaped quote within an id would be missed, so fields with one count
         * by themselves. */
        *ret_named = gy_subject_named(c->s->subject, item->raw, NULL, NULL);
        for (size_t i = 0; item->quotes && i < c->n_fields && !*ret_named; i++) {
            *ret_named = gy_subject_named(c->s->subject, field_text(c, i), NULL, NULL) &&
                         ((const struct gy_csv_field *)(const void *)c->fields.p)[i].escaped;
        }
    }
    return GY_OK;
}

static gy_status tell_row(struct csv *c, const struct gy_csv_item *item, struct gy_err *err)
{
    struct gy_jw w;
    if (!c->s->row) {
        return GY_OK;
    }
    gy_buf_reset(&c->json);
    gy_jw_init(&w, &c->json);
    gy_jw_obj(&w);
    for (size_t i = 0; i < c->n_fields; i++) {
        char other[32];
        (void)snprintf(other, sizeof other, "column_%zu", i);
        gy_jw_keys(&w, i < c->n_columns ? column_name(c, i) : gy_str_c(other));
        gy_jw_str(&w, field_text(c, i));
    }
    if (c->n_fields == 0) {
        gy_jw_kv_str(&w, "record", item->raw);
    }
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&c->json, "a row", err));
    return c->s->row(c->s->ctx, gy_buf_str(&c->json), err);
}

static gy_status scan_items(struct csv *c, struct gy_csv *in, struct gy_err *err)
{
    struct gy_csv_item item;
    int64_t kept_from = 0, end = 0;
    for (bool more = true;;) {
        bool hit = false, named = false;
        GY_TRY(gy_csv_next(in, &item, &more, err));
        if (!more) {
            break;
        }
        end = item.offset + item.size_bytes;
        if (item.kind == GY_CSV_HEADER) {
            c->delimiter = gy_csv_delimiter(in);
            GY_TRY(read_header(c, &item, err));
        } else if (item.kind == GY_CSV_RECORD) {
            c->s->rows++;
            GY_TRY(look(c, &item, &hit, &named, err));
        }
        c->s->hits += hit;
        c->s->named += named;
        if (hit || (named && c->s->mentions)) {
            GY_TRY(tell_row(c, &item, err));
            GY_TRY(keep_range(c->s, c->fd, kept_from, item.offset, err));
            kept_from = end;
        }
    }
    return keep_range(c->s, c->fd, kept_from, end, err);
}

gy_status gy_subject_scan_csv(struct gy_subject_scan *s, int fd, int64_t size_bytes,
                              struct gy_err *err)
{
    struct gy_fd_reader reader;
    const struct gy_csv_options o = {.delimiter = s->delimiter};
    struct csv c = {.s = s, .fd = fd};
    GY_AUTO(gy_csv_free) struct gy_csv *in = NULL;
    GY_TRY(gy_csv_open(gy_fd_reader_init(&reader, fd, size_bytes), &o, &in, err));
    gy_buf_init(&c.names, 64 * GY_MIB);
    gy_buf_init(&c.ends, 64 * GY_MIB);
    gy_buf_init(&c.fields, 64 * GY_MIB);
    gy_buf_init(&c.scratch, 64 * GY_MIB);
    gy_buf_init(&c.json, 256 * GY_MIB);
    gy_status status = scan_items(&c, in, err);
    gy_buf_done(&c.names);
    gy_buf_done(&c.ends);
    gy_buf_done(&c.fields);
    gy_buf_done(&c.scratch);
    gy_buf_done(&c.json);
    return status;
}

/* ---- lines of JSON ---- */

/* Is the object's member the subject? Members of other types are not. */
static bool member_is(const struct gy_subject *subject, yyjson_val *v)
{
    if (yyjson_is_raw(v)) {
        return gy_subject_is(subject, gy_str_n(yyjson_get_raw(v), yyjson_get_len(v)));
    }
    return yyjson_is_str(v) && gy_subject_is(subject, gy_json_val_str(v));
}

static bool object_hits(const struct gy_subject_scan *s, yyjson_val *object)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        if (is_column(s, gy_json_val_str(key)) &&
            member_is(s->subject, yyjson_obj_iter_get_val(key))) {
            return true;
        }
    }
    return false;
}

/* Any text in it, however deep: what an escape in the line could hide. */
static bool names_in(const struct gy_subject *subject, yyjson_val *v)
{
    if (yyjson_is_str(v)) {
        return gy_subject_named(subject, gy_json_val_str(v), NULL, NULL);
    }
    if (yyjson_is_arr(v)) {
        yyjson_arr_iter it = yyjson_arr_iter_with(v);
        for (yyjson_val *one; (one = yyjson_arr_iter_next(&it));) {
            if (names_in(subject, one)) { /* as deep as the parser allows */
                return true;
            }
        }
    }
    if (yyjson_is_obj(v)) {
        yyjson_obj_iter it = yyjson_obj_iter_with(v);
        for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
            if (names_in(subject, key) || names_in(subject, yyjson_obj_iter_get_val(key))) {
                return true;
            }
        }
    }
    return false;
}

static gy_status scan_line(struct gy_subject_scan *s, struct gy_str line, bool *ret_goes,
                           struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_str text = gy_str_trim(line);
    *ret_goes = false;
    if (text.n == 0) {
        return GY_OK;
    }
    s->rows++;
    bool json = gy_json_parse_texts(text, &doc, NULL) == GY_OK;
    yyjson_val *root = json ? yyjson_doc_get_root(doc) : NULL;
    bool hit = object_hits(s, root);
    bool named = !hit && (json ? names_in(s->subject, root)
                               : gy_subject_named(s->subject, text, NULL, NULL));
    s->hits += hit;
    s->named += named;
    *ret_goes = hit || (named && s->mentions);
    if (!*ret_goes || !s->row) {
        return GY_OK;
    }
    if (json) {
        return s->row(s->ctx, text, err);
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 4 * GY_SUBJECT_MAX_LINE);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "record", text);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&out, "a line", err));
    return s->row(s->ctx, gy_buf_str(&out), err);
}

gy_status gy_subject_scan_lines(struct gy_subject_scan *s, int fd, int64_t size_bytes,
                                struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf buf;
    int64_t at = 0;
    gy_buf_init(&buf, GY_SUBJECT_MAX_LINE + 2 * PIECE_BYTES);
    s->has_column = true;
    for (bool more = true; more;) {
        size_t got = 0;
        char *room = gy_buf_reserve(&buf, PIECE_BYTES);
        if (!room) {
            return gy_buf_check(&buf, "a line", err);
        }
        size_t want =
            size_bytes - at < (int64_t)PIECE_BYTES ? (size_t)(size_bytes - at) : PIECE_BYTES;
        GY_TRY(want ? read_at(fd, room, want, at, &got, err) : GY_OK);
        gy_buf_commit(&buf, got);
        at += (int64_t)got;
        more = got > 0;
        struct gy_str rest = gy_buf_str(&buf);
        for (size_t nl; (nl = gy_str_find(rest, '\n')) != SIZE_MAX || (!more && rest.n > 0);) {
            struct gy_str line = gy_str_sub(rest, 0, nl == SIZE_MAX ? rest.n : nl + 1);
            bool goes;
            GY_TRY(scan_line(s, line, &goes, err));
            if (!goes && s->keep) {
                GY_TRY(s->keep(s->ctx, line, err));
            }
            rest = gy_str_sub(rest, line.n, SIZE_MAX);
        }
        gy_buf_drop_front(&buf, buf.n - rest.n);
    }
    return GY_OK;
}

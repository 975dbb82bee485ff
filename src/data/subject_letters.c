/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/time.h"
#include "data/deadletter.h"
#include "data/records.h"
#include "data/subject_table.h"

#define MAX_FIELDS 4096 /* of a letter that are looked at */

struct walk {
    const struct gy_subject *subject;
    const struct gy_str *columns;
    size_t n_columns;
    gy_subject_letter_fn fn;
    void *ctx;
    struct gy_file_writer *out;         /* what stays; NULL: nothing is written */
    struct gy_csv_field *head, *fields; /* MAX_FIELDS each */
    struct gy_buf raw, scratch;
    struct gy_subject_letters *ret;
    gy_status status;
    struct gy_err *err;
};

static bool is_column(const struct walk *w, struct gy_str name)
{
    struct gy_str trimmed = gy_str_trim(name);
    for (size_t i = 0; i < w->n_columns; i++) {
        if (gy_str_eq(w->columns[i], trimmed)) {
            return true;
        }
    }
    return false;
}

/* The record as it stood in the file; absent: the letter has none. */
static struct gy_str record_of(struct walk *w, yyjson_val *letter)
{
    struct gy_str data = gy_json_str(letter, "data"), b64 = gy_json_str(letter, "data_b64");
    if (data.p || !b64.p) {
        return data;
    }
    gy_buf_reset(&w->raw);
    char *room = gy_buf_reserve(&w->raw, b64.n);
    size_t n = 0;
    if (!room || gy_base64_decode(b64, (unsigned char *)room, &n, NULL) != GY_OK) {
        return GY_STR_NULL;
    }
    gy_buf_commit(&w->raw, n);
    return gy_buf_str(&w->raw);
}

static bool object_hits(const struct walk *w, struct gy_str record)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (gy_json_parse_texts(record, &doc, NULL) != GY_OK) {
        return false;
    }
    yyjson_obj_iter it = yyjson_obj_iter_with(yyjson_doc_get_root(doc));
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        yyjson_val *v = yyjson_obj_iter_get_val(key);
        struct gy_str text =
            yyjson_is_raw(v) ? gy_str_n(yyjson_get_raw(v), yyjson_get_len(v)) : gy_json_val_str(v);
        if (text.p && is_column(w, gy_json_val_str(key)) && gy_subject_is(w->subject, text)) {
            return true;
        }
    }
    return false;
}

static size_t split(struct gy_str raw, char delimiter, struct gy_csv_field *out)
{
    size_t n = gy_csv_split(raw, gy_str_find(raw, '"') != SIZE_MAX, delimiter, out, MAX_FIELDS);
    return n < MAX_FIELDS ? n : MAX_FIELDS;
}

static bool row_hits(struct walk *w, struct gy_str header, char delimiter, struct gy_str record)
{
    size_t n_head = split(header, delimiter, w->head), n = split(record, delimiter, w->fields);
    for (size_t i = 0; i < n && i < n_head; i++) {
        if (is_column(w, gy_csv_text(&w->head[i], &w->scratch)) &&
            gy_subject_is(w->subject, gy_csv_text(&w->fields[i], &w->scratch))) {
            return true;
        }
    }
    return false;
}

/* Without a header: is some field, by any delimiter, the id? */
static bool field_is(struct walk *w, struct gy_str record)
{
    static const char delimiters[] = {',', ';', '\t', '|'};
    for (size_t d = 0; d < sizeof delimiters; d++) {
        size_t n = split(record, delimiters[d], w->fields);
        for (size_t i = 0; i < n; i++) {
            if (gy_subject_is(w->subject, gy_csv_text(&w->fields[i], &w->scratch))) {
                return true;
            }
        }
    }
    return false;
}

static bool letter_hits(struct walk *w, struct gy_str line, yyjson_val *letter)
{
    struct gy_str record = record_of(w, letter), header = gy_json_str(letter, "header");
    struct gy_str delimiter = gy_json_str(letter, "delimiter");
    if (gy_subject_named(w->subject, line, NULL, NULL) ||
        gy_subject_named(w->subject, gy_json_str(letter, "error"), NULL, NULL) ||
        gy_subject_named(w->subject, gy_json_str(letter, "file"), NULL, NULL)) {
        return true;
    }
    if (!record.p) {
        return false;
    }
    if (gy_subject_named(w->subject, record, NULL, NULL) || object_hits(w, record)) {
        return true;
    }
    if (header.p) {
        return row_hits(w, header, delimiter.n == 1 ? delimiter.p[0] : ',', record);
    }
    w->ret->possible += field_is(w, record);
    return false;
}

static bool take(void *ctx, int64_t number, struct gy_str line, yyjson_val *letter)
{
    struct walk *w = ctx;
    (void)number;
    if (line.n > GY_DLQ_MAX_LINE) { /* not all of it was read: nobody knows whom it names */
        w->status = gy_err_set(w->err, GY_E_TOOBIG, "a dead letter is larger than %zu bytes",
                               (size_t)GY_DLQ_MAX_LINE);
        return false;
    }
    bool hit =
        letter ? letter_hits(w, line, letter) : gy_subject_named(w->subject, line, NULL, NULL);
    w->ret->letters++;
    w->ret->hits += hit;
    if (hit && w->fn) {
        w->status = w->fn(w->ctx, line, w->err);
    } else if (!hit && w->out) {
        w->status = gy_file_writer_write(w->out, line, w->err);
        if (w->status == GY_OK) {
            w->status = gy_file_writer_write(w->out, GY_STR("\n"), w->err);
        }
    }
    return w->status == GY_OK;
}

static gy_status walk(struct walk *w, const char *path, struct gy_err *err)
{
    struct gy_csv_field *fields = gy_calloc((size_t)2 * MAX_FIELDS, sizeof *fields);
    if (!fields) {
        return gy_err_set(err, GY_E_NOMEM, "reading dead letters");
    }
    w->head = fields;
    w->fields = fields + MAX_FIELDS;
    w->status = GY_OK;
    w->err = err;
    *w->ret = (struct gy_subject_letters){0};
    gy_buf_init(&w->raw, GY_DLQ_MAX_LINE);
    gy_buf_init(&w->scratch, GY_DLQ_MAX_LINE);
    gy_status status = gy_dlq_each(path, take, w, err);
    gy_buf_done(&w->raw);
    gy_buf_done(&w->scratch);
    gy_free(fields);
    return status == GY_OK ? w->status : status;
}

struct gy_subject_letter_reader {
    struct walk w;
    struct gy_subject_letters counts;
    struct gy_csv_field *room;
};

gy_status gy_subject_letter_reader_new(const struct gy_subject *subject,
                                       const struct gy_str *columns, size_t n_columns,
                                       struct gy_subject_letter_reader **ret, struct gy_err *err)
{
    struct gy_subject_letter_reader *r = gy_calloc(1, sizeof *r);
    if (!r || !(r->room = gy_calloc((size_t)2 * MAX_FIELDS, sizeof *r->room))) {
        gy_free(r);
        return gy_err_set(err, GY_E_NOMEM, "reading dead letters");
    }
    r->w = (struct walk){.subject = subject,
                         .columns = columns,
                         .n_columns = n_columns,
                         .head = r->room,
                         .fields = r->room + MAX_FIELDS,
                         .ret = &r->counts};
    gy_buf_init(&r->w.raw, GY_DLQ_MAX_LINE);
    gy_buf_init(&r->w.scratch, GY_DLQ_MAX_LINE);
    *ret = r;
    return GY_OK;
}

void gy_subject_letter_reader_free(struct gy_subject_letter_reader *r)
{
    if (r) {
        gy_buf_done(&r->w.raw);
        gy_buf_done(&r->w.scratch);
        gy_free(r->room);
        gy_free(r);
    }
}

bool gy_subject_letter_is(struct gy_subject_letter_reader *r, struct gy_str line)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (gy_json_parse(line, &doc, NULL) != GY_OK) {
        return gy_subject_named(r->w.subject, line, NULL, NULL);
    }
    return letter_hits(&r->w, line, yyjson_doc_get_root(doc));
}

gy_status gy_subject_letters_find(const char *path, const struct gy_subject *subject,
                                  const struct gy_str *columns, size_t n_columns,
                                  gy_subject_letter_fn fn, void *ctx,
                                  struct gy_subject_letters *ret, struct gy_err *err)
{
    struct walk w = {.subject = subject,
                     .columns = columns,
                     .n_columns = n_columns,
                     .fn = fn,
                     .ctx = ctx,
                     .ret = ret};
    return walk(&w, path, err);
}

static gy_status write_note(struct gy_file_writer *out, int64_t n, struct gy_str erasure,
                            struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf note;
    struct gy_jw j;
    char time[32];
    gy_buf_init(&note, 4 * GY_KIB);
    gy_jw_init(&j, &note);
    gy_jw_obj(&j);
    gy_jw_kv_str(&j, "time", gy_str_n(time, gy_time_iso(gy_now_us(), time)));
    gy_jw_kv_i64(&j, "erased", n);
    gy_jw_kv_str(&j, "erasure", erasure);
    gy_jw_obj_end(&j);
    gy_buf_add_char(&note, '\n');
    GY_TRY(gy_buf_check(&note, "a note in the dead letters", err));
    return gy_file_writer_write(out, gy_buf_str(&note), err);
}

/* Who appends waits while this lock is held, and then finds the new file (gy_file_append). */
static gy_status lock(const char *path, int *ret_fd, mode_t *ret_mode, struct gy_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "opening '%s'", path);
    }
    if (flock(fd, LOCK_EX) != 0 || fstat(fd, &st) != 0) {
        gy_status status = gy_err_sys(err, errno, "locking '%s'", path);
        (void)close(fd);
        return status;
    }
    *ret_fd = fd;
    *ret_mode = st.st_mode & 0777;
    return GY_OK;
}

gy_status gy_subject_letters_erase(const char *path, const struct gy_subject *subject,
                                   const struct gy_str *columns, size_t n_columns,
                                   struct gy_str erasure, struct gy_subject_letters *ret,
                                   struct gy_err *err)
{
    struct walk w = {.subject = subject, .columns = columns, .n_columns = n_columns, .ret = ret};
    int fd = -1;
    mode_t mode = 0644;
    GY_TRY(walk(&w, path, err)); /* most logs hold nothing of the subject */
    if (ret->hits == 0) {
        return GY_OK;
    }
    GY_TRY(lock(path, &fd, &mode, err));
    gy_status status = gy_file_writer_open(path, mode, &w.out, err);
    if (status == GY_OK) {
        status = walk(&w, path, err);
    }
    if (status == GY_OK) {
        status = write_note(w.out, ret->hits, erasure, err);
    }
    if (status == GY_OK) {
        status = gy_file_writer_commit(w.out, NULL, err);
    }
    gy_file_writer_free(w.out);
    (void)close(fd); /* unlocks */
    return status;
}

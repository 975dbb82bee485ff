/* SPDX-License-Identifier: Apache-2.0 */
#include "data/table_diff.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/id.h"
#include "base/mem.h"
#include "data/records.h"
#include "net/call.h"

#define NO_COLUMN SIZE_MAX
#define FIRST_ROWS 1024

struct row {
    uint64_t key[2], rest[2];
    int64_t offset; /* of its bytes in its table */
    int64_t number;
    uint32_t length;
};

struct table {
    const char *path;
    int fd;
    struct gy_str *columns;
    size_t n_columns;
    size_t *key, *rest; /* places of the key's columns and of the others that both have */
    struct row *rows;
    size_t n, cap;
};

struct diff {
    const struct gy_table_diff_options *o;
    struct gy_table_diff *d;
    struct table before, after;
    size_t n_rest;
    uint64_t seed[2];
    struct gy_csv_field *fields;
    struct gy_buf scratch;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for comparing tables");
}

/* ---- reading ---- */

static gy_status read_header(struct diff *x, struct table *t, const struct gy_csv_item *item,
                             struct gy_err *err)
{
    size_t n = item->fault == GY_CSV_FINE
                   ? gy_csv_split(item->raw, item->quotes, ',', x->fields, GY_MAX_COLUMNS)
                   : 0;
    if (n == 0 || n > GY_MAX_COLUMNS) {
        return gy_err_set(err, GY_E_PARSE, "'%s' is no table", t->path);
    }
    t->columns = gy_arena_calloc(&x->d->arena, n, sizeof *t->columns);
    t->n_columns = n;
    for (size_t i = 0; t->columns && i < n; i++) {
        t->columns[i] = gy_arena_str(&x->d->arena, gy_csv_text(&x->fields[i], &x->scratch));
        if (!t->columns[i].p) {
            return no_memory(err);
        }
    }
    return t->columns ? GY_OK : no_memory(err);
}

static size_t place_of(const struct table *t, struct gy_str name)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        if (gy_str_eq(t->columns[i], name)) {
            return i;
        }
    }
    return NO_COLUMN;
}

static bool is_key(const struct diff *x, struct gy_str name)
{
    for (size_t i = 0; i < x->o->n_key; i++) {
        if (gy_str_eq(x->o->key[i], name)) {
            return true;
        }
    }
    return false;
}

/* Both headers are known: which columns are compared with which. */
static gy_status map_columns(struct diff *x, struct gy_err *err)
{
    struct table *a = &x->before, *b = &x->after;
    struct table *const both[] = {a, b};
    for (size_t i = 0; i < 2; i++) {
        struct table *t = both[i];
        t->key = gy_arena_calloc(&x->d->arena, x->o->n_key + 1, sizeof *t->key);
        t->rest = gy_arena_calloc(&x->d->arena, a->n_columns + 1, sizeof *t->rest);
        if (!t->key || !t->rest) {
            return no_memory(err);
        }
        for (size_t k = 0; k < x->o->n_key; k++) {
            t->key[k] = place_of(t, x->o->key[k]);
            if (t->key[k] == NO_COLUMN) {
                return gy_err_set(err, GY_E_NOTFOUND, "'%s' has no column '%" GY_STR_F "'", t->path,
                                  GY_STR_A(x->o->key[k]));
            }
        }
    }
    for (size_t i = 0; i < a->n_columns; i++) {
        size_t there = place_of(b, a->columns[i]);
        if (there != NO_COLUMN && !is_key(x, a->columns[i])) {
            a->rest[x->n_rest] = i;
            b->rest[x->n_rest++] = there;
        }
    }
    return GY_OK;
}

/* The values of a row at some places, each with its length. Fields a row does not have are empty.
 */
static gy_status hash_fields(struct diff *x, const size_t *places, size_t n, size_t n_fields,
                             uint64_t ret[2], struct gy_err *err)
{
    ret[0] = x->seed[0];
    ret[1] = x->seed[1];
    for (size_t i = 0; i < n; i++) {
        struct gy_str text =
            places[i] < n_fields ? gy_csv_text(&x->fields[places[i]], &x->scratch) : GY_STR("");
        if (!text.p) {
            return no_memory(err);
        }
        for (int h = 0; h < 2; h++) {
            ret[h] = gy_str_hash(text, ret[h] ^ (uint64_t)text.n);
        }
    }
    return GY_OK;
}

static gy_status add_row(struct diff *x, struct table *t, const struct gy_csv_item *item,
                         struct gy_err *err)
{
    if (x->before.n + x->after.n == GY_TABLE_DIFF_MAX_ROWS) {
        return gy_err_set(err, GY_E_TOOBIG, "the tables have more than %zu rows",
                          GY_TABLE_DIFF_MAX_ROWS);
    }
    if (t->n == t->cap) {
        size_t cap = 2 * t->cap;
        struct row *more = gy_reallocarray(t->rows, cap, sizeof *more);
        if (!more) {
            return no_memory(err);
        }
        t->rows = more;
        t->cap = cap;
    }
    struct row *r = &t->rows[t->n];
    *r = (struct row){.offset = item->offset + item->skip,
                      .length = (uint32_t)item->length,
                      .number = (int64_t)t->n};
    size_t n = 0;
    if (item->kind == GY_CSV_RECORD) { /* a blank line is a row without a value */
        if (item->fault != GY_CSV_FINE) {
            return gy_err_set(err, GY_E_PARSE, "row %zu of '%s' is broken", t->n, t->path);
        }
        n = gy_csv_split(item->raw, item->quotes, ',', x->fields, GY_MAX_COLUMNS);
        n = n < t->n_columns ? n : t->n_columns;
    }
    GY_TRY(hash_fields(x, t->key, x->o->n_key, n, r->key, err));
    GY_TRY(hash_fields(x, t->rest, x->n_rest, n, r->rest, err));
    if (x->o->n_key == 0) {
        memcpy(r->key, r->rest, sizeof r->key);
    }
    t->n++;
    return GY_OK;
}

/* The header alone, or the rows alone. */
static gy_status read_table(struct diff *x, struct table *t, bool header, struct gy_err *err)
{
    GY_AUTO(gy_csv_free) struct gy_csv *csv = NULL;
    struct gy_fd_reader in;
    const struct gy_csv_options o = {.delimiter = ',', .record_max = 4 * GY_MAX_CSV_RECORD};
    if (lseek(t->fd, 0, SEEK_SET) < 0) {
        return gy_err_sys(err, errno, "reading '%s'", t->path);
    }
    GY_TRY(gy_csv_open(gy_fd_reader_init(&in, t->fd, -1), &o, &csv, err));
    for (bool first = true;; first = false) {
        struct gy_csv_item item;
        bool more = false;
        GY_TRY(gy_csv_next(csv, &item, &more, err));
        if (!more) {
            return !first ? GY_OK : gy_err_set(err, GY_E_PARSE, "'%s' is empty", t->path);
        }
        if (item.kind == GY_CSV_HEADER && header) {
            return read_header(x, t, &item, err);
        }
        if (item.kind != GY_CSV_HEADER) {
            GY_TRY(add_row(x, t, &item, err));
        }
    }
}

/* ---- comparing ---- */

static int by_key(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    for (int i = 0; i < 2; i++) {
        if (x->key[i] != y->key[i]) {
            return x->key[i] < y->key[i] ? -1 : 1;
        }
    }
    for (int i = 0; i < 2; i++) {
        if (x->rest[i] != y->rest[i]) {
            return x->rest[i] < y->rest[i] ? -1 : 1;
        }
    }
    return x->number < y->number ? -1 : x->number > y->number;
}

static bool same_key(const struct row *a, const struct row *b)
{
    return a->key[0] == b->key[0] && a->key[1] == b->key[1];
}

static bool same_rest(const struct row *a, const struct row *b)
{
    return a->rest[0] == b->rest[0] && a->rest[1] == b->rest[1];
}

/* Rows that are not in the other table as they are: moved to the front of their table. pairs: the
 * same number of each whose keys meet, side by side. */
struct found {
    struct row *changed_before, *changed_after, *added, *removed;
    size_t n_changed, n_added, n_removed;
};

/* Of one key: rows a[0..na) and b[0..nb), sorted. */
static void compare_group(struct diff *x, struct row *a, size_t na, struct row *b, size_t nb,
                          struct found *f)
{
    size_t i = 0, j = 0, left_a = 0, left_b = 0;
    while (i < na || j < nb) {
        if (i < na && j < nb && same_rest(&a[i], &b[j])) {
            x->d->same++;
            i++;
            j++;
        } else if (j == nb || (i < na && by_key(&a[i], &b[j]) < 0 && !same_rest(&a[i], &b[j]))) {
            a[left_a++] = a[i++];
        } else {
            b[left_b++] = b[j++];
        }
    }
    const size_t both = left_a < left_b ? left_a : left_b;
    memcpy(f->changed_before + f->n_changed, a, both * sizeof *a);
    memcpy(f->changed_after + f->n_changed, b, both * sizeof *b);
    f->n_changed += both;
    memcpy(f->removed + f->n_removed, a + both, (left_a - both) * sizeof *a);
    f->n_removed += left_a - both;
    memcpy(f->added + f->n_added, b + both, (left_b - both) * sizeof *b);
    f->n_added += left_b - both;
}

static size_t group_end(const struct table *t, size_t from)
{
    size_t end = from + 1;
    while (end < t->n && same_key(&t->rows[from], &t->rows[end])) {
        end++;
    }
    return end;
}

static void compare(struct diff *x, struct found *f)
{
    struct table *a = &x->before, *b = &x->after;
    for (size_t i = 0, j = 0; i < a->n || j < b->n;) {
        size_t end_a = i < a->n ? group_end(a, i) : i, end_b = j < b->n ? group_end(b, j) : j;
        if (i < a->n && j < b->n && !same_key(&a->rows[i], &b->rows[j])) {
            if (by_key(&a->rows[i], &b->rows[j]) < 0) {
                end_b = j;
            } else {
                end_a = i;
            }
        }
        compare_group(x, a->rows + i, end_a - i, b->rows + j, end_b - j, f);
        i = end_a;
        j = end_b;
    }
}

/* ---- rows again ---- */

static int by_number(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* The values of a row, in the order of its table's columns. */
static gy_status read_row(struct diff *x, const struct table *t, const struct row *r,
                          struct gy_arena *a, struct gy_table_row *ret, struct gy_err *err)
{
    struct gy_str *values = gy_arena_calloc(a, t->n_columns, sizeof *values);
    char *bytes = gy_arena_alloc(a, r->length + (size_t)1);
    if (!values || !bytes) {
        return no_memory(err);
    }
    GY_TRY(gy_fd_read_at(t->fd, t->path, bytes, r->length, r->offset, err));
    bool quotes = memchr(bytes, '"', r->length) != NULL;
    size_t n = r->length == 0 ? 0
                              : gy_csv_split(gy_str_n(bytes, r->length), quotes, ',', x->fields,
                                             GY_MAX_COLUMNS);
    for (size_t i = 0; i < t->n_columns; i++) {
        values[i] = i < n ? gy_arena_str(a, gy_csv_text(&x->fields[i], &x->scratch)) : GY_STR("");
        if (!values[i].p) {
            return no_memory(err);
        }
    }
    ret->values = values;
    return GY_OK;
}

static gy_status keep_rows(struct diff *x, const struct table *t, struct row *rows, size_t n,
                           const struct gy_table_row **ret, size_t *ret_n, struct gy_err *err)
{
    const size_t most = x->o->samples > 0 ? (size_t)x->o->samples : 0;
    *ret_n = n < most ? n : most;
    struct gy_table_row *kept = gy_arena_calloc(&x->d->arena, *ret_n + 1, sizeof *kept);
    if (!kept) {
        return no_memory(err);
    }
    for (size_t i = 0; i < *ret_n; i++) {
        GY_TRY(read_row(x, t, &rows[i], &x->d->arena, &kept[i], err));
    }
    *ret = kept;
    return GY_OK;
}

/* Which columns changed, over all changed rows. */
static gy_status count_changes(struct diff *x, const struct found *f, struct gy_err *err)
{
    int64_t *by = gy_arena_calloc(&x->d->arena, x->before.n_columns, sizeof *by);
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 64 * GY_MIB);
    if (!by) {
        return no_memory(err);
    }
    x->d->changed_by = by;
    for (size_t i = 0; i < f->n_changed; i++) {
        struct gy_table_row before, after;
        gy_arena_reset(&a);
        GY_TRY(read_row(x, &x->before, &f->changed_before[i], &a, &before, err));
        GY_TRY(read_row(x, &x->after, &f->changed_after[i], &a, &after, err));
        for (size_t k = 0; k < x->n_rest; k++) {
            by[x->before.rest[k]] +=
                !gy_str_eq(before.values[x->before.rest[k]], after.values[x->after.rest[k]]);
        }
    }
    return GY_OK;
}

/* A pair is two rows: the sort goes by the one before, and takes the other along. */
struct pair {
    struct row before, after;
};

static gy_status sort_pairs(struct found *f, struct gy_err *err)
{
    struct pair *pairs = gy_calloc(f->n_changed + 1, sizeof *pairs);
    if (!pairs) {
        return no_memory(err);
    }
    for (size_t i = 0; i < f->n_changed; i++) {
        pairs[i] = (struct pair){f->changed_before[i], f->changed_after[i]};
    }
    qsort(pairs, f->n_changed, sizeof *pairs, by_number); /* its first member is a row */
    for (size_t i = 0; i < f->n_changed; i++) {
        f->changed_before[i] = pairs[i].before;
        f->changed_after[i] = pairs[i].after;
    }
    gy_free(pairs);
    return GY_OK;
}

static gy_status tell(struct diff *x, struct found *f, struct gy_err *err)
{
    struct gy_table_diff *d = x->d;
    size_t unused = 0;
    d->added = (int64_t)f->n_added;
    d->removed = (int64_t)f->n_removed;
    d->changed = (int64_t)f->n_changed;
    qsort(f->added, f->n_added, sizeof *f->added, by_number);
    qsort(f->removed, f->n_removed, sizeof *f->removed, by_number);
    GY_TRY(sort_pairs(f, err));
    GY_TRY(count_changes(x, f, err));
    GY_TRY(keep_rows(x, &x->after, f->added, f->n_added, &d->added_rows, &d->n_added, err));
    GY_TRY(
        keep_rows(x, &x->before, f->removed, f->n_removed, &d->removed_rows, &d->n_removed, err));
    GY_TRY(keep_rows(x, &x->before, f->changed_before, f->n_changed, &d->changed_before,
                     &d->n_changed, err));
    return keep_rows(x, &x->after, f->changed_after, f->n_changed, &d->changed_after, &unused, err);
}

/* ---- all of it ---- */

static gy_status open_table(struct table *t, const char *path, struct gy_err *err)
{
    t->path = path;
    t->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (t->fd < 0) {
        return gy_err_sys(err, errno, "opening '%s'", path);
    }
    t->cap = FIRST_ROWS; /* there even when there is no row: what sorts and copies wants a place */
    t->rows = gy_calloc(t->cap, sizeof *t->rows);
    return t->rows ? GY_OK : no_memory(err);
}

static gy_status find(struct diff *x, struct found *f, struct gy_err *err)
{
    struct gy_table_diff *d = x->d;
    GY_TRY(open_table(&x->before, x->o->before, err));
    GY_TRY(open_table(&x->after, x->o->after, err));
    GY_TRY(read_table(x, &x->before, true, err));
    GY_TRY(read_table(x, &x->after, true, err));
    GY_TRY(map_columns(x, err));
    GY_TRY(read_table(x, &x->before, false, err));
    GY_TRY(read_table(x, &x->after, false, err));
    d->before_columns = x->before.columns;
    d->n_before_columns = x->before.n_columns;
    d->after_columns = x->after.columns;
    d->n_after_columns = x->after.n_columns;
    d->before_rows = (int64_t)x->before.n;
    d->after_rows = (int64_t)x->after.n;
    const size_t less = x->before.n < x->after.n ? x->before.n : x->after.n;
    f->changed_before = gy_calloc(less + 1, sizeof *f->changed_before);
    f->changed_after = gy_calloc(less + 1, sizeof *f->changed_after);
    f->removed = gy_calloc(x->before.n + 1, sizeof *f->removed);
    f->added = gy_calloc(x->after.n + 1, sizeof *f->added);
    if (!f->changed_before || !f->changed_after || !f->removed || !f->added) {
        return no_memory(err);
    }
    qsort(x->before.rows, x->before.n, sizeof *x->before.rows, by_key);
    qsort(x->after.rows, x->after.n, sizeof *x->after.rows, by_key);
    compare(x, f);
    return tell(x, f, err);
}

gy_status gy_table_diff_make(const struct gy_table_diff_options *o, struct gy_table_diff **ret,
                             struct gy_err *err)
{
    struct diff x = {.o = o, .before = {.fd = -1}, .after = {.fd = -1}};
    struct found f = {.n_changed = 0};
    GY_AUTO(gy_table_diff_free) struct gy_table_diff *d = gy_calloc(1, sizeof *d);
    GY_TRY(gy_random_bytes(x.seed, sizeof x.seed, err));
    x.fields = gy_calloc(GY_MAX_COLUMNS, sizeof *x.fields);
    gy_buf_init(&x.scratch, 4 * GY_MAX_CSV_RECORD);
    gy_status status = GY_OK;
    if (d && x.fields) {
        gy_arena_init(&d->arena, GY_GIB);
        x.d = d;
        status = find(&x, &f, err);
    } else {
        status = no_memory(err);
    }
    gy_free(f.changed_before);
    gy_free(f.changed_after);
    gy_free(f.added);
    gy_free(f.removed);
    gy_free(x.before.rows);
    gy_free(x.after.rows);
    gy_free(x.fields);
    gy_buf_done(&x.scratch);
    if (x.before.fd >= 0) {
        (void)close(x.before.fd); /* it was only read */
    }
    if (x.after.fd >= 0) {
        (void)close(x.after.fd);
    }
    GY_TRY(status);
    *ret = GY_TAKE(d);
    return GY_OK;
}

void gy_table_diff_free(struct gy_table_diff *d)
{
    if (d) {
        gy_arena_done(&d->arena);
        gy_free(d);
    }
}

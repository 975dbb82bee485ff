/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/marks.h"

#include <stdio.h>

#include "base/id.h"
#include "base/mem.h"

void gy_log_marks_done(struct gy_log_marks *m)
{
    if (m) {
        gy_free(m->at);
        *m = (struct gy_log_marks){0};
    }
}

static int compare(const struct gy_log_mark *a, const unsigned char boot[16], uint32_t ring)
{
    int by_boot = memcmp(a->boot, boot, 16);
    return by_boot ? by_boot : a->ring < ring ? -1 : a->ring > ring;
}

/* Where the stream stands, or would stand. */
static size_t position(const struct gy_log_marks *m, const unsigned char boot[16], uint32_t ring)
{
    size_t low = 0;
    size_t high = m->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare(&m->at[mid], boot, ring) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

const struct gy_log_mark *gy_log_marks_get(const struct gy_log_marks *m,
                                           const unsigned char boot[16], uint32_t ring)
{
    size_t i = position(m, boot, ring);
    return i < m->n && compare(&m->at[i], boot, ring) == 0 ? &m->at[i] : NULL;
}

static gy_status grow(struct gy_log_marks *m, size_t need, struct gy_err *err)
{
    if (need <= m->cap) {
        return GY_OK;
    }
    if (need > GY_LOG_MARKS_MAX) {
        return gy_err_set(err, GY_E_TOOBIG, "the prediction log has more than %d streams",
                          GY_LOG_MARKS_MAX);
    }
    size_t cap = m->cap < 8 ? 8 : m->cap * 2;
    cap = cap < need ? need : cap;
    struct gy_log_mark *at = gy_reallocarray(m->at, cap, sizeof *at);
    if (!at) {
        return gy_err_set(err, GY_E_NOMEM, "a place in the prediction log");
    }
    m->at = at;
    m->cap = cap;
    return GY_OK;
}

gy_status gy_log_marks_set(struct gy_log_marks *m, const unsigned char boot[16], uint32_t ring,
                           uint64_t seq, uint32_t rows, struct gy_err *err)
{
    size_t i = position(m, boot, ring);
    if (i == m->n || compare(&m->at[i], boot, ring) != 0) {
        GY_TRY(grow(m, m->n + 1, err));
        memmove(m->at + i + 1, m->at + i, (m->n - i) * sizeof *m->at);
        m->n++;
        m->at[i] = (struct gy_log_mark){.ring = ring};
        memcpy(m->at[i].boot, boot, 16);
    }
    m->at[i].seq = seq;
    m->at[i].rows = rows;
    return GY_OK;
}

uint32_t gy_log_marks_rows_done(const struct gy_log_marks *m, const unsigned char boot[16],
                                uint32_t ring, uint64_t seq, uint32_t n_rows)
{
    const struct gy_log_mark *mark = gy_log_marks_get(m, boot, ring);
    if (!mark || seq > mark->seq + 1) {
        return 0;
    }
    return seq <= mark->seq || mark->rows > n_rows ? n_rows : mark->rows;
}

gy_status gy_log_marks_copy(struct gy_log_marks *m, const struct gy_log_marks *from,
                            struct gy_err *err)
{
    GY_TRY(grow(m, from->n, err));
    if (from->n) {
        memcpy(m->at, from->at, from->n * sizeof *m->at);
    }
    m->n = from->n;
    return GY_OK;
}

static bool further(const struct gy_log_mark *a, const struct gy_log_mark *b)
{
    return a->seq != b->seq ? a->seq > b->seq : a->rows > b->rows;
}

gy_status gy_log_marks_max(struct gy_log_marks *m, const struct gy_log_marks *other,
                           struct gy_err *err)
{
    for (size_t i = 0; i < other->n; i++) {
        const struct gy_log_mark *o = &other->at[i];
        const struct gy_log_mark *mine = gy_log_marks_get(m, o->boot, o->ring);
        if (!mine || further(o, mine)) {
            GY_TRY(gy_log_marks_set(m, o->boot, o->ring, o->seq, o->rows, err));
        }
    }
    return GY_OK;
}

void gy_log_marks_min(struct gy_log_marks *m, const struct gy_log_marks *other)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct gy_log_mark *o = gy_log_marks_get(other, m->at[i].boot, m->at[i].ring);
        if (o) {
            m->at[n++] = further(&m->at[i], o) ? *o : m->at[i];
        }
    }
    m->n = n;
}

void gy_log_marks_prune(struct gy_log_marks *m, gy_log_mark_fn keep, void *ctx)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (keep(ctx, &m->at[i])) {
            m->at[n++] = m->at[i];
        }
    }
    m->n = n;
}

/* "<boot>-<ring>" */
static bool parse_stream(struct gy_str key, unsigned char boot[16], uint32_t *ring)
{
    int64_t number = 0;
    if (key.n <= GY_UUID_TEXT || key.p[GY_UUID_TEXT - 1] != '-' ||
        gy_uuid_parse(gy_str_n(key.p, GY_UUID_TEXT - 1), boot, NULL) != GY_OK ||
        gy_parse_i64(gy_str_sub(key, GY_UUID_TEXT, SIZE_MAX), 0, 9999, &number, NULL) != GY_OK) {
        return false;
    }
    *ring = (uint32_t)number;
    return true;
}

static bool parse_place(yyjson_val *v, uint64_t *seq, uint32_t *rows)
{
    *rows = 0;
    if (yyjson_is_arr(v) && yyjson_arr_size(v) == 2) {
        yyjson_val *n = yyjson_arr_get(v, 1);
        if (!yyjson_is_uint(n) || yyjson_get_uint(n) > UINT32_MAX) {
            return false;
        }
        *rows = (uint32_t)yyjson_get_uint(n);
        v = yyjson_arr_get(v, 0);
    }
    *seq = yyjson_get_uint(v);
    return yyjson_is_uint(v);
}

static gy_status read_all(struct gy_log_marks *m, yyjson_val *root, struct gy_err *err)
{
    if (!yyjson_is_obj(root)) {
        return gy_err_set(err, GY_E_INVALID, "a place in the prediction log must be an object");
    }
    yyjson_obj_iter it = yyjson_obj_iter_with(root);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        unsigned char boot[16];
        uint32_t ring;
        uint64_t seq;
        uint32_t rows;
        struct gy_str name = gy_json_val_str(key);
        if (!parse_stream(name, boot, &ring) ||
            !parse_place(yyjson_obj_iter_get_val(key), &seq, &rows)) {
            return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is no place in the log",
                              GY_STR_A(name));
        }
        GY_TRY(gy_log_marks_set(m, boot, ring, seq, rows, err));
    }
    return GY_OK;
}

gy_status gy_log_marks_read(struct gy_log_marks *m, struct gy_str json, struct gy_err *err)
{
    m->n = 0;
    if (json.n == 0) {
        return GY_OK;
    }
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(json, &doc, err));
    gy_status st = read_all(m, yyjson_doc_get_root(doc), err);
    m->n = st == GY_OK ? m->n : 0;
    return st;
}

void gy_log_marks_write(const struct gy_log_marks *m, struct gy_jw *w)
{
    gy_jw_obj(w);
    for (size_t i = 0; i < m->n; i++) {
        const struct gy_log_mark *mark = &m->at[i];
        char key[GY_UUID_TEXT + 16];
        gy_uuid_text(mark->boot, key);
        (void)snprintf(key + GY_UUID_TEXT - 1, 16, "-%02u", mark->ring);
        gy_jw_key(w, key);
        if (mark->rows) {
            gy_jw_arr(w);
            gy_jw_u64(w, mark->seq);
            gy_jw_u64(w, mark->rows);
            gy_jw_arr_end(w);
        } else {
            gy_jw_u64(w, mark->seq);
        }
    }
    gy_jw_obj_end(w);
}

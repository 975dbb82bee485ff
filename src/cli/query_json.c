/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/query_json.h"

#define FLUSH_BYTES (64 * GY_KIB)

static void head(const struct gy_duck_rows *r, struct gy_jw *w)
{
    gy_jw_obj(w);
    gy_jw_key(w, "columns");
    gy_jw_arr(w);
    for (size_t c = 0; c < gy_duck_n_columns(r); c++) {
        gy_jw_obj(w);
        gy_jw_kv_strc(w, "name", gy_duck_name(r, c));
        gy_jw_kv_strc(w, "type", gy_duck_type(r, c));
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "rows");
    gy_jw_arr(w);
}

void gy_query_json_notes(const struct gy_tablefn *tables, struct gy_jw *w)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf note;
    gy_buf_init(&note, 4 * GY_KIB);
    gy_jw_key(w, "notes");
    gy_jw_arr(w);
    for (size_t i = 0; gy_tablefn_note(tables, i, &note); i++) {
        gy_jw_str(w, gy_buf_str(&note));
        gy_buf_reset(&note);
    }
    gy_jw_arr_end(w);
}

static gy_status flush(const struct gy_query_json *o, struct gy_buf *out, struct gy_err *err)
{
    GY_TRY(gy_buf_check(out, "the answer", err));
    if (o->flush && out->n >= FLUSH_BYTES) {
        GY_TRY(o->flush(o->ctx, gy_buf_str(out), err));
        gy_buf_reset(out);
    }
    return GY_OK;
}

static void row_json(const struct gy_duck_rows *r, size_t row, struct gy_jw *w)
{
    gy_jw_arr(w);
    for (size_t c = 0; c < gy_duck_n_columns(r); c++) {
        gy_duck_cell_json(r, row, c, w);
    }
    gy_jw_arr_end(w);
}

gy_status gy_query_json(const struct gy_query_json *o, struct gy_duck_rows *rows,
                        const struct gy_tablefn *tables, struct gy_buf *out, struct gy_err *err)
{
    struct gy_jw w;
    int64_t n_rows = 0;
    bool more = false;
    gy_jw_init(&w, out);
    head(rows, &w);
    for (size_t n = 1; n > 0 && !more;) {
        GY_TRY(gy_duck_next(rows, &n, err));
        for (size_t row = 0; row < n && !more; row++) {
            more = n_rows == o->limit || (o->max_bytes && out->n > o->max_bytes);
            if (!more) {
                row_json(rows, row, &w);
                n_rows++;
                GY_TRY(flush(o, out, err));
            }
        }
    }
    gy_jw_arr_end(&w);
    gy_jw_kv_i64(&w, "row_count", n_rows);
    gy_jw_kv_bool(&w, "truncated", more);
    gy_jw_kv_i64(&w, "changed", gy_duck_changed(rows));
    gy_query_json_notes(tables, &w);
    gy_jw_obj_end(&w);
    gy_buf_add_char(out, '\n');
    return gy_buf_check(out, "the answer", err);
}

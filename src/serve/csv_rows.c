/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/csv_rows.h"

struct csv {
    const char *p, *end;
    size_t line;
    struct gy_buf *field; /* the bytes of a field that had doubled quotes */
};

enum stop { STOP_FIELD, STOP_RECORD, STOP_END, STOP_OPEN };

static bool at_line_end(const struct csv *c)
{
    return c->p < c->end && (*c->p == '\n' || *c->p == '\r');
}

static void pass_line_end(struct csv *c)
{
    if (*c->p == '\r' && c->p + 1 < c->end && c->p[1] == '\n') {
        c->p++;
    }
    c->p++;
    c->line++;
}

/* What stands behind a field. */
static enum stop stop_at(struct csv *c)
{
    if (c->p == c->end) {
        return STOP_END;
    }
    if (*c->p == ',') {
        c->p++;
        return STOP_FIELD;
    }
    pass_line_end(c);
    return STOP_RECORD;
}

static enum stop quoted(struct csv *c, struct gy_str *ret)
{
    gy_buf_reset(c->field);
    const char *from = ++c->p;
    for (;;) {
        const char *quote = memchr(c->p, '"', (size_t)(c->end - c->p));
        if (!quote) {
            return STOP_OPEN;
        }
        if (quote + 1 == c->end || quote[1] != '"') {
            struct gy_str last = gy_str_n(from, (size_t)(quote - from));
            if (c->field->n) {
                gy_buf_add(c->field, last);
                last = gy_buf_str(c->field);
            }
            *ret = last;
            c->p = quote + 1;
            break;
        }
        gy_buf_add_bytes(c->field, from, (size_t)(quote + 1 - from));
        c->p = from = quote + 2;
    }
    while (c->p < c->end && *c->p != ',' && !at_line_end(c)) {
        c->p++; /* what stands between a quote and the comma counts for nothing */
    }
    return stop_at(c);
}

static enum stop next_field(struct csv *c, struct gy_str *ret)
{
    if (c->p < c->end && *c->p == '"') {
        return quoted(c, ret);
    }
    const char *from = c->p;
    while (c->p < c->end && *c->p != ',' && !at_line_end(c)) {
        c->p++;
    }
    *ret = gy_str_n(from, (size_t)(c->p - from));
    return stop_at(c);
}

static void pass_blank_lines(struct csv *c)
{
    while (at_line_end(c)) {
        pass_line_end(c);
    }
}

static gy_status open_quote(const struct csv *c, struct gy_err *err)
{
    return gy_err_set(err, GY_E_PARSE, "a quote that is opened in line %zu is never closed",
                      c->line);
}

static gy_status count_records(struct csv c, size_t *ret, struct gy_err *err)
{
    struct gy_str field;
    *ret = 0;
    for (pass_blank_lines(&c); c.p < c.end; pass_blank_lines(&c)) {
        enum stop stop;
        do {
            stop = next_field(&c, &field);
        } while (stop == STOP_FIELD);
        if (stop == STOP_OPEN) {
            return open_quote(&c, err);
        }
        ++*ret;
    }
    return GY_OK;
}

static gy_status read_header(const struct gy_json_rows *r, struct csv *c,
                             struct gy_json_rows_map *map, struct gy_err *err)
{
    struct gy_str name;
    enum stop stop;
    map->n = 0;
    pass_blank_lines(c);
    do {
        stop = next_field(c, &name);
        if (stop == STOP_OPEN) {
            return open_quote(c, err);
        }
        GY_TRY(gy_json_rows_name(r, map, name, err));
    } while (stop == STOP_FIELD);
    return GY_OK;
}

static gy_status read_record(const struct gy_json_rows *r, struct csv *c,
                             const struct gy_json_rows_map *map, size_t row, struct gy_err *err)
{
    size_t line = c->line;
    struct gy_str field = GY_STR_NULL;
    size_t n = 0;
    enum stop stop;
    do {
        stop = next_field(c, &field);
        if (n == map->n) {
            return gy_err_set(err, GY_E_PARSE,
                              "line %zu has more fields than the header, which has %zu", line,
                              map->n);
        }
        if (map->field[n] != GY_JSON_ROWS_NO_FIELD) {
            GY_TRY(gy_json_rows_text(r, map->field[n], row, field, err));
        }
        n++;
    } while (stop == STOP_FIELD);
    for (; n < map->n; n++) {
        if (map->field[n] != GY_JSON_ROWS_NO_FIELD) {
            GY_TRY(gy_json_rows_text(r, map->field[n], row, GY_STR(""), err));
        }
    }
    return GY_OK;
}

gy_status gy_csv_rows(const struct gy_json_rows *r, struct gy_str body, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf field;
    struct gy_json_rows_map map;
    size_t n_rows;
    gy_buf_init(&field, GY_INFER_MAX_BODY);
    if (!gy_str_is_utf8(body)) {
        return gy_err_set(err, GY_E_PARSE, "the CSV is not UTF-8");
    }
    if (gy_str_starts(body, GY_STR("\xef\xbb\xbf"))) {
        body = gy_str_sub(body, 3, SIZE_MAX);
    }
    if (gy_str_trim(body).n == 0) {
        return gy_err_set(err, GY_E_PARSE, "No columns to parse from file");
    }
    struct csv c = {.p = body.p, .end = body.p + body.n, .line = 1, .field = &field};
    GY_TRY(read_header(r, &c, &map, err));
    GY_TRY(count_records(c, &n_rows, err));
    GY_TRY(gy_json_rows_begin(r, &map, n_rows, err));
    for (size_t row = 0; row < n_rows; row++) {
        pass_blank_lines(&c);
        GY_TRY(read_record(r, &c, &map, row, err));
    }
    return gy_buf_check(&field, "a field of the CSV", err);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/record_json.h"

#include <math.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"

enum kind { UNKNOWN, NUMBER, TEXT };

struct column {
    struct gy_str key; /* JSON text with its colon */
    enum kind kind;
};
struct gy_record_kinds {
    struct gy_arena arena; /* of the columns */
    struct gy_collect about;
    yyjson_doc *doc;
    yyjson_val *inputs;
    struct column *columns;
    size_t n;
};

gy_status gy_record_kinds_ask(struct gy_caller *server, const char *endpoint,
                              struct gy_record_kinds **ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    GY_AUTO(gy_record_kinds_free) struct gy_record_kinds *k = gy_calloc(1, sizeof *k);
    if (!k) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for columns");
    }
    gy_buf_init(&path, GY_KIB);
    gy_collect_init(&k->about, 8 * GY_MIB);
    gy_arena_init(&k->arena, 8 * GY_MIB);
    gy_buf_addc(&path, "/v2/models/");
    gy_url_encode(&path, gy_str_c(endpoint), false);
    GY_TRY(gy_buf_check(&path, "the endpoint's name", err));
    GY_TRY(gy_call_json(server, "GET", path.p, GY_STR_NULL, &k->about, err));
    GY_TRY(gy_json_parse(gy_buf_str(&k->about.body), &k->doc, err));
    GY_TRY(gy_json_need_arr(yyjson_doc_get_root(k->doc), "inputs", &k->inputs, err));
    *ret = GY_TAKE(k);
    return GY_OK;
}

void gy_record_kinds_free(struct gy_record_kinds *k)
{
    if (k) {
        gy_json_free(k->doc);
        gy_collect_done(&k->about);
        gy_arena_done(&k->arena);
        gy_free(k);
    }
}

static enum kind kind_of(const struct gy_record_kinds *k, struct gy_str name)
{
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(k->inputs, i, n, one)
    {
        if (gy_str_eq(gy_json_str(one, "name"), name)) {
            return gy_str_eqc(gy_json_str(one, "datatype"), "BYTES") ? TEXT : NUMBER;
        }
    }
    return UNKNOWN;
}

static gy_status add_column(struct gy_record_kinds *k, const struct gy_csv_field *field,
                            struct gy_buf *scratch, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf key;
    struct gy_jw w;
    struct gy_str name = gy_csv_text(field, scratch);
    struct column *c = &k->columns[k->n++];
    gy_buf_init(&key, GY_MIB);
    gy_jw_init(&w, &key);
    gy_jw_str(&w, name);
    gy_buf_add_char(&key, ':');
    GY_TRY(gy_buf_check(&key, "the name of a column", err));
    c->kind = kind_of(k, name);
    c->key.p = gy_arena_strdup(&k->arena, gy_buf_str(&key));
    c->key.n = key.n;
    return c->key.p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory for columns");
}

gy_status gy_record_header(struct gy_record_kinds *k, const struct gy_csv_item *header,
                           char delimiter, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf scratch;
    gy_buf_init(&scratch, GY_MIB);
    if (header->fault != GY_CSV_FINE || !header->raw.p || !gy_str_is_utf8(header->raw)) {
        return gy_err_set(err, GY_E_PARSE, "the header line is broken");
    }
    gy_arena_reset(&k->arena);
    k->n = 0;
    struct gy_csv_field *fields = gy_arena_calloc(&k->arena, GY_MAX_COLUMNS, sizeof *fields);
    k->columns = gy_arena_calloc(&k->arena, GY_MAX_COLUMNS, sizeof *k->columns);
    if (!fields || !k->columns) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for columns");
    }
    size_t n = gy_csv_split(header->raw, header->quotes, delimiter, fields, GY_MAX_COLUMNS);
    if (n > GY_MAX_COLUMNS) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d columns", GY_MAX_COLUMNS);
    }
    for (size_t i = 0; i < n; i++) {
        GY_TRY(add_column(k, &fields[i], &scratch, err));
    }
    return GY_OK;
}

size_t gy_record_n_columns(const struct gy_record_kinds *k)
{
    return k->n;
}

static bool is_json_number(struct gy_str s)
{
    size_t i = s.n > 0 && s.p[0] == '-' ? 1 : 0;
    size_t digits = i;
    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9') {
        i++;
    }
    if (i == digits || (s.p[digits] == '0' && i - digits > 1)) {
        return false;
    }
    if (i < s.n && s.p[i] == '.') {
        size_t from = ++i;
        while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9') {
            i++;
        }
        if (i == from) {
            return false;
        }
    }
    return i == s.n; /* exponents go the long way */
}

static void add_value(enum kind kind, struct gy_str text, struct gy_buf *out)
{
    double v = 0;
    char number[32];
    struct gy_jw w;
    if (text.n == 0 || gy_str_eqc(text, "NaN") || gy_str_eqc(text, "nan")) {
        gy_buf_addc(out, "null");
        return;
    }
    if (kind != TEXT && is_json_number(text)) {
        gy_buf_add(out, text);
        return;
    }
    if (kind != TEXT && gy_parse_f64(text, &v, NULL) == GY_OK && isfinite(v)) {
        gy_buf_add_bytes(out, number, gy_fmt_f64(v, number));
        return;
    }
    gy_jw_init(&w, out);
    gy_jw_str(&w, text);
}

bool gy_record_json(const struct gy_record_kinds *k, const struct gy_csv_item *item, char delimiter,
                    struct gy_csv_field *fields, struct gy_buf *scratch, struct gy_buf *out)
{
    if (!gy_str_is_utf8(item->raw) ||
        gy_csv_split(item->raw, item->quotes, delimiter, fields, k->n) != k->n) {
        return false;
    }
    for (size_t i = 0; i < k->n; i++) {
        gy_buf_add_char(out, i ? ',' : '{');
        gy_buf_add(out, k->columns[i].key);
        add_value(k->columns[i].kind, gy_csv_text(&fields[i], scratch), out);
    }
    gy_buf_add_char(out, '}');
    return true;
}

const char *gy_record_fault(const struct gy_csv_item *item)
{
    switch (item->fault) {
    case GY_CSV_FINE:
        return item->raw.p ? NULL : "the record is too long";
    case GY_CSV_QUOTE:
        return "a quoted field is broken";
    case GY_CSV_TOOLONG:
        return "the record is too long";
    case GY_CSV_SYNTAX:
        return "the record is not JSON";
    }
    return NULL;
}

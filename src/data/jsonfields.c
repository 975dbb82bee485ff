/* SPDX-License-Identifier: Apache-2.0 */
#include "data/jsonfields.h"

#include "base/mem.h"
#include "data/jsonrec.h"
#include "net/call.h"

struct gy_jsonfields {
    struct gy_csv_field *header;
    struct gy_value *values;
    uint64_t *seen; /* the record that gave the value, to tell a key that comes twice */
    uint64_t record;
    size_t n;
    struct gy_map by_name; /* to the header's field */
    struct gy_unknown unknown;
    yyjson_doc *doc;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for JSON records");
}

static gy_status fill(struct gy_jsonfields *f, const struct gy_schema *schema,
                      struct gy_str environment, struct gy_err *err)
{
    for (size_t i = 0; i < schema->n_columns; i++) {
        const struct gy_column *column = &schema->columns[i];
        if (gy_column_in(column, environment)) {
            struct gy_csv_field *field = &f->header[f->n++];
            *field = (struct gy_csv_field){.p = column->name.p, .n = column->name.n};
            GY_TRY(gy_map_put(&f->by_name, column->name, field, err));
        }
    }
    return GY_OK;
}

gy_status gy_jsonfields_new(const struct gy_schema *schema, struct gy_str environment,
                            struct gy_jsonfields **ret, struct gy_err *err)
{
    GY_AUTO(gy_jsonfields_free) struct gy_jsonfields *f = gy_calloc(1, sizeof *f);
    if (!f) {
        return no_memory(err);
    }
    gy_map_init(&f->by_name, GY_MAX_COLUMNS);
    gy_unknown_init(&f->unknown);
    f->header = gy_calloc(schema->n_columns + 1, sizeof *f->header);
    f->values = gy_calloc(schema->n_columns + 1, sizeof *f->values);
    f->seen = gy_calloc(schema->n_columns + 1, sizeof *f->seen);
    if (!f->header || !f->values || !f->seen) {
        return no_memory(err);
    }
    GY_TRY(fill(f, schema, environment, err));
    *ret = GY_TAKE(f);
    return GY_OK;
}

void gy_jsonfields_free(struct gy_jsonfields *f)
{
    if (f) {
        gy_json_free(f->doc);
        gy_map_done(&f->by_name);
        gy_unknown_done(&f->unknown);
        gy_free(f->header);
        gy_free(f->values);
        gy_free(f->seen);
        gy_free(f);
    }
}

const struct gy_csv_field *gy_jsonfields_header(const struct gy_jsonfields *f, size_t *ret_n)
{
    *ret_n = f->n;
    return f->header;
}

struct gy_unknown *gy_jsonfields_unknown(struct gy_jsonfields *f)
{
    return &f->unknown;
}

static struct gy_value value_of(yyjson_val *v)
{
    if (yyjson_is_raw(v)) {
        return (struct gy_value){gy_str_n(yyjson_get_raw(v), yyjson_get_len(v)), GY_VALUE_NUMBER};
    }
    if (yyjson_is_str(v)) {
        return (struct gy_value){gy_json_val_str(v), GY_VALUE_STRING};
    }
    if (yyjson_is_bool(v)) {
        return (struct gy_value){yyjson_get_bool(v) ? GY_STR("true") : GY_STR("false"),
                                 GY_VALUE_BOOL};
    }
    if (yyjson_is_arr(v) || yyjson_is_obj(v)) {
        return (struct gy_value){yyjson_is_arr(v) ? GY_STR("[...]") : GY_STR("{...}"),
                                 GY_VALUE_NESTED};
    }
    return (struct gy_value){.kind = GY_VALUE_STRING}; /* null: missing */
}

/* What makes an item no record at all; *ret_fine when it is parsed into f->doc. */
static gy_status parse(struct gy_jsonfields *f, const struct gy_csv_item *item,
                       struct gy_reasons *r, bool *ret_fine, struct gy_err *err)
{
    struct gy_err why = GY_ERR_INIT;
    *ret_fine = false;
    gy_json_free(f->doc);
    f->doc = NULL;
    if (!item->raw.p) {
        gy_reasons_whole(r, item->fault == GY_CSV_SYNTAX ? GY_DEAD_JSON : GY_DEAD_TOOLONG,
                         "too long for a record");
    } else if (!gy_str_is_utf8(item->raw)) {
        gy_reasons_whole(r, GY_DEAD_UTF8, "not UTF-8");
    } else if (gy_json_parse_texts(item->raw, &f->doc, &why) != GY_OK) {
        if (why.code == GY_E_NOMEM) {
            return no_memory(err);
        }
        gy_reasons_whole(r, GY_DEAD_JSON, why.msg);
    } else if (!yyjson_is_obj(yyjson_doc_get_root(f->doc))) {
        gy_reasons_whole(r, GY_DEAD_JSON, "not an object");
    } else if (item->fault != GY_CSV_FINE) { /* something behind the array */
        gy_reasons_whole(r, GY_DEAD_JSON, "it stands behind the end of the array");
    } else {
        *ret_fine = true;
    }
    return GY_OK;
}

gy_status gy_jsonfields_read(struct gy_jsonfields *f, const struct gy_csv_item *item,
                             const struct gy_value **ret_values, struct gy_reasons *r,
                             struct gy_err *err)
{
    bool fine = false;
    *ret_values = NULL;
    GY_TRY(parse(f, item, r, &fine, err));
    if (!fine) {
        return GY_OK;
    }
    f->record++;
    for (size_t i = 0; i < f->n; i++) {
        f->values[i] = (struct gy_value){.kind = GY_VALUE_STRING};
    }
    size_t i, max;
    yyjson_val *key, *v;
    yyjson_obj_foreach(yyjson_doc_get_root(f->doc), i, max, key, v)
    {
        struct gy_str name = gy_json_val_str(key);
        const struct gy_csv_field *field = gy_map_get(&f->by_name, name);
        if (!field) {
            GY_TRY(gy_unknown_add(&f->unknown, name, 1, err));
            continue;
        }
        size_t at = (size_t)(field - f->header);
        if (f->seen[at] == f->record) {
            gy_reasons_whole(r, GY_DEAD_JSON, "a key comes twice: ");
            gy_buf_add(&r->text, name);
            return GY_OK;
        }
        f->seen[at] = f->record;
        f->values[at] = value_of(v);
    }
    *ret_values = f->values;
    return GY_OK;
}

/* ---- inference ---- */

/* The sample as CSV, for gy_schema_infer to judge; which columns hold texts is kept beside. */
struct sample {
    struct gy_map columns; /* name to &texts[i] */
    bool texts[GY_MAX_COLUMNS];
    struct gy_buf lines;
};

static gy_status add_keys(struct sample *s, yyjson_val *record, struct gy_err *err)
{
    size_t i, max;
    yyjson_val *key, *v;
    yyjson_obj_foreach(record, i, max, key, v)
    {
        struct gy_str name = gy_json_val_str(key);
        bool *texts = gy_map_get(&s->columns, name);
        if (yyjson_is_arr(v) || yyjson_is_obj(v) || name.n == 0 || name.n > GY_MAX_NAME) {
            continue;
        }
        if (!texts) {
            texts = &s->texts[s->columns.n_live];
            GY_TRY(gy_map_put(&s->columns, name, texts, err));
        }
        *texts = *texts || yyjson_is_str(v);
    }
    return GY_OK;
}

static void add_line(struct sample *s, yyjson_val *record)
{
    size_t pos = 0;
    bool first = true;
    for (const struct gy_map_entry *e; (e = gy_map_next(&s->columns, &pos)); first = false) {
        if (!first) {
            gy_buf_add_char(&s->lines, ',');
        }
        gy_csv_add_field(&s->lines, value_of(yyjson_obj_getn(record, e->key.p, e->key.n)).text);
    }
    gy_buf_add_char(&s->lines, '\n');
}

/* Call for each whole object of the sample: first its keys, then (header: false) its line. */
static gy_status walk(struct sample *s, struct gy_str json, bool lines, bool whole, bool keys,
                      struct gy_err *err)
{
    struct gy_mem_reader in;
    GY_AUTO(gy_jsonrec_free) struct gy_jsonrec *j = NULL;
    const struct gy_jsonrec_options o = {.shape = lines ? GY_JSONREC_LINES : GY_JSONREC_ARRAY};
    GY_TRY(gy_jsonrec_open(gy_mem_reader_init(&in, json), &o, &j, err));
    for (;;) {
        struct gy_csv_item item;
        bool more = false;
        GY_TRY(gy_jsonrec_next(j, &item, &more, err));
        if (!more || (!whole && item.offset + item.size_bytes == (int64_t)json.n)) {
            return GY_OK;
        }
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        if (item.kind != GY_CSV_RECORD || item.fault != GY_CSV_FINE || !item.raw.p ||
            gy_json_parse_texts(item.raw, &doc, NULL) != GY_OK ||
            !yyjson_is_obj(yyjson_doc_get_root(doc))) {
            continue; /* will be a dead letter; it says nothing about types */
        }
        if (keys) {
            GY_TRY(add_keys(s, yyjson_doc_get_root(doc), err));
        } else {
            add_line(s, yyjson_doc_get_root(doc));
        }
    }
}

static gy_status infer(struct sample *s, struct gy_str json, bool lines, bool whole,
                       struct gy_schema **ret, struct gy_err *err)
{
    GY_TRY(walk(s, json, lines, whole, true, err));
    if (s->columns.n_live == 0) {
        return gy_err_set(err, GY_E_PARSE, "there is no record that tells its columns");
    }
    size_t pos = 0;
    for (const struct gy_map_entry *e; (e = gy_map_next(&s->columns, &pos));) {
        if (s->lines.n > 0) {
            gy_buf_add_char(&s->lines, ',');
        }
        gy_csv_add_field(&s->lines, e->key);
    }
    gy_buf_add_char(&s->lines, '\n');
    GY_TRY(walk(s, json, lines, whole, false, err));
    GY_TRY(gy_buf_check(&s->lines, "the sample of records", err));
    GY_TRY(gy_schema_infer(gy_buf_str(&s->lines), true, ret, err));
    for (size_t i = 0; i < (*ret)->n_columns; i++) {
        struct gy_column *c = &(*ret)->columns[i];
        if (s->texts[i] && c->type != GY_TYPE_TIME) {
            c->type = GY_TYPE_STRING; /* "7" is a text, whatever it looks like */
        }
    }
    return GY_OK;
}

gy_status gy_schema_infer_json(struct gy_str json, bool lines, bool whole, struct gy_schema **ret,
                               struct gy_err *err)
{
    struct sample *s = gy_calloc(1, sizeof *s);
    if (!s) {
        return no_memory(err);
    }
    gy_map_init(&s->columns, GY_MAX_COLUMNS);
    gy_buf_init(&s->lines, GY_GIB);
    gy_status status = infer(s, json, lines, whole, ret, err);
    gy_map_done(&s->columns);
    gy_buf_done(&s->lines);
    gy_free(s);
    return status;
}

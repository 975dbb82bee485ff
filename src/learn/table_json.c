/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/table_json.h"

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "data/jsonrec.h"
#include "net/call.h"

struct walk {
    const char *name;
    struct gy_map columns; /* to something; in the order of appearance */
    struct gy_buf *csv;
    bool header_done;
    int64_t records;
};

static gy_status refuse(const struct walk *w, const struct gy_csv_item *item, const char *why,
                        struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_SCHEMA, "%s, record %lld: %s", w->name, (long long)item->row, why);
    return gy_err_hint(err, "gyre data ingest sets damaged records aside");
}

static bool is_nested(yyjson_val *v)
{
    return yyjson_is_arr(v) || yyjson_is_obj(v);
}

static gy_status add_columns(struct walk *w, const struct gy_csv_item *item, yyjson_val *record,
                             struct gy_err *err)
{
    size_t i, max;
    yyjson_val *key, *v;
    yyjson_obj_foreach(record, i, max, key, v)
    {
        struct gy_str name = gy_json_val_str(key);
        if (name.n == 0 || gy_str_trim(name).n != name.n) {
            return refuse(w, item, "a key is empty or has blanks around it", err);
        }
        if (!is_nested(v) && !gy_map_has(&w->columns, name)) {
            GY_TRY(gy_map_put(&w->columns, name, w, err));
        }
    }
    return GY_OK;
}

static struct gy_str text_of(yyjson_val *v)
{
    return yyjson_is_raw(v)    ? gy_str_n(yyjson_get_raw(v), yyjson_get_len(v))
           : yyjson_is_bool(v) ? yyjson_get_bool(v) ? GY_STR("true") : GY_STR("false")
                               : gy_json_val_str(v);
}

static gy_status add_record(struct walk *w, const struct gy_csv_item *item, yyjson_val *record,
                            struct gy_err *err)
{
    size_t pos = 0;
    bool first = true, any = false;
    for (const struct gy_map_entry *e; (e = gy_map_next(&w->columns, &pos)); first = false) {
        yyjson_val *v = yyjson_obj_getn(record, e->key.p, e->key.n);
        if (is_nested(v)) {
            return refuse(w, item, "a value is nested that is not in other records", err);
        }
        if (!first) {
            gy_buf_add_char(w->csv, ',');
        }
        struct gy_str text = text_of(v);
        gy_csv_add_field(w->csv, text);
        any = any || text.n > 0;
    }
    if (!any && w->columns.n_live == 1) {
        gy_buf_addc(w->csv, "\"\""); /* an empty line would be no record */
    }
    gy_buf_add_char(w->csv, '\n');
    return w->csv->failed ? gy_buf_check(w->csv, w->name, err) : GY_OK;
}

static gy_status take_item(struct walk *w, const struct gy_csv_item *item, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_err why = GY_ERR_INIT;
    if (!item->raw.p || item->fault == GY_CSV_TOOLONG) {
        return refuse(w, item, "it is too long", err);
    }
    gy_status st = gy_json_parse_texts(item->raw, &doc, &why);
    if (st == GY_E_NOMEM) {
        return gy_err_set(err, st, "reading %s", w->name);
    }
    if (st != GY_OK) {
        return refuse(w, item, why.msg, err);
    }
    if (!yyjson_is_obj(yyjson_doc_get_root(doc)) || item->fault != GY_CSV_FINE) {
        return refuse(w, item, "it is no object of its own", err);
    }
    w->records++;
    return w->header_done ? add_record(w, item, yyjson_doc_get_root(doc), err)
                          : add_columns(w, item, yyjson_doc_get_root(doc), err);
}

/* Twice over the records: what columns there are, then their values. */
static gy_status walk_all(struct walk *w, struct gy_str json, bool lines, struct gy_err *err)
{
    struct gy_mem_reader in;
    GY_AUTO(gy_jsonrec_free) struct gy_jsonrec *j = NULL;
    const struct gy_jsonrec_options o = {.shape = lines ? GY_JSONREC_LINES : GY_JSONREC_ARRAY};
    GY_TRY(gy_jsonrec_open(gy_mem_reader_init(&in, json), &o, &j, err));
    for (;;) {
        struct gy_csv_item item;
        bool more = false;
        if (gy_jsonrec_next(j, &item, &more, err) != GY_OK) {
            return gy_err_wrap(err, "%s", w->name);
        }
        if (!more) {
            break;
        }
        if (item.kind == GY_CSV_RECORD) {
            GY_TRY(take_item(w, &item, err));
        }
    }
    if (gy_jsonrec_unclosed(j)) {
        return gy_err_set(err, GY_E_SCHEMA, "%s: the array never ends; the file may be cut off",
                          w->name);
    }
    return GY_OK;
}

gy_status gy_table_json(struct gy_str json, bool lines, const char *name, struct gy_buf *csv,
                        struct gy_err *err)
{
    struct walk w = {.name = name, .csv = csv};
    gy_map_init(&w.columns, GY_MAX_COLUMNS);
    gy_status st = walk_all(&w, json, lines, err);
    if (st == GY_OK && w.columns.n_live == 0) {
        st = gy_err_set(err, GY_E_SCHEMA, "%s is empty", name);
    }
    if (st == GY_OK) {
        size_t pos = 0, start = csv->n;
        for (const struct gy_map_entry *e; (e = gy_map_next(&w.columns, &pos));) {
            if (csv->n > start) {
                gy_buf_add_char(csv, ',');
            }
            gy_csv_add_field(csv, e->key);
        }
        gy_buf_add_char(csv, '\n');
        w.header_done = true;
        st = walk_all(&w, json, lines, err);
    }
    gy_map_done(&w.columns);
    return st;
}

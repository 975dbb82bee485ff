/* SPDX-License-Identifier: Apache-2.0 */
/* gy_schema_infer of schema.h: the narrowest type that every value of the sample has. */
#include "base/json.h"
#include "base/mem.h"
#include "data/records.h"
#include "data/schema.h"
#include "data/unique.h"
#include "net/call.h"

/* Texts that tools write for "no value". Those that occur go into the schema. */
static const struct gy_str MARKERS[] = {
    {"NaN", 3},  {"nan", 3},  {"?", 1},    {"NA", 2},   {"N/A", 3},
    {"null", 4}, {"NULL", 4}, {"None", 4}, {"#N/A", 4},
};
#define N_MARKERS (sizeof MARKERS / sizeof MARKERS[0])

struct guess {
    int64_t n, bad[GY_TYPE_TIME + 1]; /* values, and those that are not of a type */
    bool points, digits;              /* a value has a point; one is a bare 0 or 1 */
    bool missing, repeated, named_id;
    bool local;              /* a time without a zone */
    struct gy_unique values; /* of a column whose name says id */
};

struct inferring {
    struct gy_csv *csv;
    struct gy_csv_field *fields;
    struct guess *guesses;
    struct gy_str *names; /* in own memory */
    size_t n;
    double tolerance;
    struct gy_arena arena;
    struct gy_buf scratch;
    bool markers[N_MARKERS];
};

static gy_status check_name(struct gy_str name, size_t number, struct gy_err *err)
{
    if (!gy_str_is_utf8(name) || gy_str_find(name, '\0') != SIZE_MAX) {
        (void)gy_err_set(err, GY_E_PARSE, "column %zu of the header is not UTF-8 text", number);
        return gy_err_hint(err, "iconv -t UTF-8 converts a file");
    }
    if (gy_str_find(name, '\r') != SIZE_MAX) { /* else a whole file would pass for its header */
        (void)gy_err_set(err, GY_E_PARSE, "the header has a carriage return inside");
        return gy_err_hint(err, "lines end with LF or CRLF, not with CR alone");
    }
    if (name.n == 0 || name.n > GY_MAX_NAME) {
        return gy_err_set(err, GY_E_PARSE, "column %zu of the header has no name of 1 to %d bytes",
                          number, GY_MAX_NAME);
    }
    return GY_OK;
}

static gy_status take_header(struct inferring *g, const struct gy_csv_item *item,
                             struct gy_err *err)
{
    g->n =
        gy_csv_split(item->raw, item->quotes, gy_csv_delimiter(g->csv), g->fields, GY_MAX_COLUMNS);
    if (item->fault != GY_CSV_FINE || g->n > GY_MAX_COLUMNS) {
        return gy_err_set(err, GY_E_PARSE, "the header line is broken");
    }
    g->guesses = gy_calloc(g->n, sizeof *g->guesses);
    g->names = gy_arena_calloc(&g->arena, g->n, sizeof *g->names);
    if (!g->guesses || !g->names) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a schema");
    }
    for (size_t i = 0; i < g->n; i++) {
        struct gy_str name = gy_str_trim(gy_csv_text(&g->fields[i], &g->scratch));
        GY_TRY(check_name(name, i + 1, err));
        g->names[i] = gy_arena_str(&g->arena, name);
        if (!g->names[i].p) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for a schema");
        }
        struct guess *guess = &g->guesses[i];
        guess->named_id = gy_str_ieq(name, GY_STR("id")) || gy_str_ends(name, GY_STR("_id"));
        if (guess->named_id) {
            GY_TRY(gy_unique_init(&guess->values, err));
        }
    }
    return GY_OK;
}

static gy_status take_value(struct inferring *g, struct guess *guess, struct gy_str text,
                            struct gy_err *err)
{
    struct gy_str bare = gy_str_trim(text);
    bool missing = bare.n == 0;
    for (size_t m = 0; m < N_MARKERS && !missing; m++) {
        missing = gy_str_eq(bare, MARKERS[m]);
        g->markers[m] = g->markers[m] || missing;
    }
    if (missing) {
        guess->missing = true;
        return GY_OK;
    }
    guess->n++;
    for (int type = 0; type <= GY_TYPE_TIME; type++) {
        char out[GY_VALUE_TEXT];
        struct gy_str canonical;
        double number;
        /* Without tolerance one wrong value settles it. */
        if (g->tolerance > 0 || guess->bad[type] == 0) {
            guess->bad[type] +=
                !gy_value_canonical((enum gy_type)type, text, out, &canonical, &number);
        }
    }
    guess->local = guess->local || (guess->bad[GY_TYPE_TIME] == 0 && gy_time_lacks_zone(bare));
    /* 5.0 reads as an int, but a column that writes points means floats. */
    guess->points = guess->points || gy_str_find(bare, '.') != SIZE_MAX;
    /* A column of 0 and 1 is a count or a class; only words make a bool. */
    guess->digits = guess->digits || gy_str_eqc(bare, "0") || gy_str_eqc(bare, "1");
    if (!guess->named_id || guess->repeated) {
        return GY_OK;
    }
    gy_unique_ask(&guess->values, bare);
    guess->repeated = gy_unique_has(&guess->values, bare);
    return guess->repeated ? GY_OK : gy_unique_add(&guess->values, bare, err);
}

static gy_status take_record(struct inferring *g, const struct gy_csv_item *item,
                             struct gy_err *err)
{
    if (item->fault != GY_CSV_FINE ||
        gy_csv_split(item->raw, item->quotes, gy_csv_delimiter(g->csv), g->fields,
                     GY_MAX_COLUMNS) != g->n) {
        return GY_OK; /* will be a dead letter; it says nothing about types */
    }
    for (size_t i = 0; i < g->n; i++) {
        struct gy_str text = gy_csv_text(&g->fields[i], &g->scratch);
        if (!text.p) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for a schema");
        }
        GY_TRY(take_value(g, &g->guesses[i], text, err));
    }
    return GY_OK;
}

static bool is_of(const struct guess *g, enum gy_type type, double tolerance)
{
    return (double)g->bad[type] <= tolerance * (double)g->n &&
           !(type == GY_TYPE_INT && g->points) && !(type == GY_TYPE_BOOL && g->digits);
}

static enum gy_type type_of(const struct guess *g, double tolerance)
{
    static const enum gy_type narrow_first[] = {GY_TYPE_INT, GY_TYPE_FLOAT, GY_TYPE_BOOL,
                                                GY_TYPE_TIME};
    for (size_t i = 0; g->n > 0 && i < 4; i++) {
        if (is_of(g, narrow_first[i], tolerance)) {
            return narrow_first[i];
        }
    }
    return GY_TYPE_STRING;
}

/* As schema text, so that what is inferred passes through the same door as what people write. */
static gy_status to_schema(const struct inferring *g, struct gy_schema **ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, GY_MAX_YAML);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_jw_key(&w, "columns");
    gy_jw_arr(&w);
    bool has_id = false;
    for (size_t i = 0; i < g->n; i++) {
        const struct guess *guess = &g->guesses[i];
        bool id = guess->named_id && guess->n > 0 && !guess->missing && !guess->repeated && !has_id;
        has_id = has_id || id;
        gy_jw_obj(&w);
        gy_jw_kv_str(&w, "name", g->names[i]);
        enum gy_type type = type_of(guess, g->tolerance);
        gy_jw_kv_strc(&w, "type", gy_type_name(type));
        if (type == GY_TYPE_TIME && guess->local) {
            gy_jw_kv_strc(&w, "zone", "none"); /* which one, only a person can say */
        }
        if (id) {
            gy_jw_kv_strc(&w, "role", "id");
        }
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_key(&w, "missing");
    gy_jw_arr(&w);
    gy_jw_strc(&w, "");
    for (size_t m = 0; m < N_MARKERS; m++) {
        if (g->markers[m]) {
            gy_jw_str(&w, MARKERS[m]);
        }
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&json, "the inferred schema", err));
    return gy_schema_parse(gy_buf_str(&json), "inferred schema", ret, err);
}

static gy_status infer(struct inferring *g, struct gy_str csv, bool whole, struct gy_err *err)
{
    struct gy_mem_reader in;
    GY_TRY(gy_csv_open(gy_mem_reader_init(&in, csv), NULL, &g->csv, err));
    for (;;) {
        struct gy_csv_item item;
        bool more = false;
        GY_TRY(gy_csv_next(g->csv, &item, &more, err));
        bool cut = more && !whole && item.offset + item.size_bytes == (int64_t)csv.n;
        if (!more || (cut && g->guesses)) {
            break;
        }
        if (item.kind == GY_CSV_HEADER) {
            GY_TRY(take_header(g, &item, err));
        } else if (item.kind == GY_CSV_RECORD) {
            GY_TRY(take_record(g, &item, err));
        }
    }
    return g->guesses ? GY_OK : gy_err_set(err, GY_E_PARSE, "there is no header line");
}

gy_status gy_schema_infer(struct gy_str csv, bool whole, struct gy_schema **ret, struct gy_err *err)
{
    return gy_schema_infer_most(csv, whole, 0, ret, err);
}

gy_status gy_schema_infer_most(struct gy_str csv, bool whole, double tolerance,
                               struct gy_schema **ret, struct gy_err *err)
{
    struct inferring g = {.tolerance = tolerance};
    gy_arena_init(&g.arena, 64 * GY_MIB);
    gy_buf_init(&g.scratch, GY_MAX_CSV_RECORD);
    g.fields = gy_calloc(GY_MAX_COLUMNS, sizeof *g.fields);
    gy_status status = g.fields ? infer(&g, csv, whole, err)
                                : gy_err_set(err, GY_E_NOMEM, "out of memory for a schema");
    if (status == GY_OK) {
        status = to_schema(&g, ret, err);
    }
    for (size_t i = 0; g.guesses && i < g.n; i++) {
        gy_unique_done(&g.guesses[i].values);
    }
    gy_csv_free(g.csv);
    gy_free(g.fields);
    gy_free(g.guesses);
    gy_arena_done(&g.arena);
    gy_buf_done(&g.scratch);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Values of DuckDB's vectors as text and as JSON: the texts are those that DuckDB's own cast to
 * VARCHAR gives (a test holds each type against it), what is nested is JSON. */
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "data/duck_internal.h"

#define LIB gy_duck_lib()
#define MAX_DEPTH 60

__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;

enum { US_S = 1000000 };

const char *gy_duck_type_name(enum gy_duck_type type)
{
    switch (type) {
#define X(name, number)  \
    case GY_DUCK_##name: \
        return #name;
        GY_DUCK_TYPES(X)
#undef X
    }
    return "?";
}

/* ---- types ---- */

void gy_duck_node_free(struct gy_duck_node *n)
{
    if (!n) {
        return;
    }
    for (size_t i = 0; n->children && i < n->n_children; i++) {
        gy_duck_node_free(n->children[i]);
    }
    for (size_t i = 0; n->names && i < n->n_children; i++) {
        LIB->free(n->names[i]);
    }
    if (n->logical) {
        LIB->destroy_logical_type(&n->logical);
    }
    gy_free(n->children);
    gy_free(n->names);
    gy_free(n);
}

static bool is_nested(enum gy_duck_type type)
{
    return type == GY_DUCK_LIST || type == GY_DUCK_ARRAY || type == GY_DUCK_MAP ||
           type == GY_DUCK_STRUCT || type == GY_DUCK_UNION;
}

static size_t count_children(enum gy_duck_type type, duckdb_logical_type logical)
{
    switch ((unsigned)type) {
    case GY_DUCK_LIST:
    case GY_DUCK_ARRAY:
        return 1;
    case GY_DUCK_MAP:
        return 2;
    case GY_DUCK_STRUCT:
        return (size_t)LIB->struct_type_child_count(logical);
    case GY_DUCK_UNION:
        /* A union is a struct whose first child is the tag. */
        return (size_t)LIB->struct_type_child_count(logical) - 1;
    default:
        return 0;
    }
}

static duckdb_logical_type child_type(enum gy_duck_type type, duckdb_logical_type logical, size_t i)
{
    switch ((unsigned)type) {
    case GY_DUCK_LIST:
        return LIB->list_type_child_type(logical);
    case GY_DUCK_ARRAY:
        return LIB->array_type_child_type(logical);
    case GY_DUCK_MAP:
        return i == 0 ? LIB->map_type_key_type(logical) : LIB->map_type_value_type(logical);
    case GY_DUCK_UNION:
        return LIB->union_type_member_type(logical, i);
    default:
        return LIB->struct_type_child_type(logical, i);
    }
}

static gy_status add_children(struct gy_duck_node *n, int depth, struct gy_err *err)
{
    const bool named = n->type == GY_DUCK_STRUCT || n->type == GY_DUCK_UNION;
    const size_t count = count_children(n->type, n->logical);
    if (count == 0) {
        return GY_OK;
    }
    n->children = gy_calloc(count, sizeof *n->children);
    n->names = named ? gy_calloc(count, sizeof *n->names) : NULL;
    if (!n->children || (named && !n->names)) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a type");
    }
    n->n_children = count;
    for (size_t i = 0; i < count; i++) {
        if (named) {
            n->names[i] = n->type == GY_DUCK_UNION ? LIB->union_type_member_name(n->logical, i)
                                                   : LIB->struct_type_child_name(n->logical, i);
        }
        GY_TRY(
            gy_duck_node_new(child_type(n->type, n->logical, i), depth + 1, &n->children[i], err));
    }
    return GY_OK;
}

gy_status gy_duck_node_new(duckdb_logical_type type, int depth, struct gy_duck_node **ret,
                           struct gy_err *err)
{
    GY_AUTO(gy_duck_node_free) struct gy_duck_node *n = gy_calloc(1, sizeof *n);
    if (!n || depth > MAX_DEPTH) {
        LIB->destroy_logical_type(&type);
        return n ? gy_err_set(err, GY_E_TOOBIG, "a type is nested deeper than %d", MAX_DEPTH)
                 : gy_err_set(err, GY_E_NOMEM, "out of memory for a type");
    }
    n->logical = type;
    n->type = (enum gy_duck_type)LIB->get_type_id(type);
    switch ((unsigned)n->type) {
    case GY_DUCK_DECIMAL:
        n->scale = LIB->decimal_scale(type);
        n->internal = (enum gy_duck_type)LIB->decimal_internal_type(type);
        break;
    case GY_DUCK_ENUM:
        n->internal = (enum gy_duck_type)LIB->enum_internal_type(type);
        break;
    case GY_DUCK_ARRAY:
        n->array_size = LIB->array_type_array_size(type);
        break;
    default:
        if (n->type == GY_DUCK_BIGNUM || strcmp(gy_duck_type_name(n->type), "?") == 0) {
            (void)gy_err_set(err, GY_E_UNSUPPORTED, "values of the type %s (%u) can not be read",
                             gy_duck_type_name(n->type), (unsigned)n->type);
            return gy_err_hint(err, "CAST it to VARCHAR in the SQL");
        }
        break;
    }
    GY_TRY(add_children(n, depth, err));
    *ret = GY_TAKE(n);
    return GY_OK;
}

/* ---- scalars ---- */

static void add_u128(struct gy_buf *out, uint128 value, size_t min_digits)
{
    char digits[48];
    size_t n = sizeof digits;
    while (value > 0 || sizeof digits - n < min_digits) {
        digits[--n] = (char)('0' + (int)(value % 10));
        value /= 10;
    }
    gy_buf_add_bytes(out, digits + n, sizeof digits - n);
}

static void add_i128(struct gy_buf *out, int128 value, uint8_t scale)
{
    uint128 magnitude = value < 0 ? -(uint128)value : (uint128)value;
    uint128 unit = 1;
    gy_buf_addc(out, value < 0 ? "-" : "");
    for (uint8_t i = 0; i < scale; i++) {
        unit *= 10;
    }
    add_u128(out, magnitude / unit, 1);
    if (scale) {
        gy_buf_add_char(out, '.');
        add_u128(out, magnitude % unit, scale);
    }
}

static int128 int_of(enum gy_duck_type type, const void *data, uint64_t row)
{
    switch ((unsigned)type) {
    case GY_DUCK_TINYINT:
        return ((const int8_t *)data)[row];
    case GY_DUCK_SMALLINT:
        return ((const int16_t *)data)[row];
    case GY_DUCK_INTEGER:
        return ((const int32_t *)data)[row];
    case GY_DUCK_BIGINT:
        return ((const int64_t *)data)[row];
    case GY_DUCK_UTINYINT:
        return ((const uint8_t *)data)[row];
    case GY_DUCK_USMALLINT:
        return ((const uint16_t *)data)[row];
    case GY_DUCK_UINTEGER:
        return ((const uint32_t *)data)[row];
    case GY_DUCK_UBIGINT:
        return ((const uint64_t *)data)[row];
    default: {
        const duckdb_hugeint h = ((const duckdb_hugeint *)data)[row];
        return (int128)((uint128)(uint64_t)h.upper << 64 | h.lower);
    }
    }
}

static void add_float(struct gy_buf *out, float value)
{
    char text[32];
    double back = 0;
    if (isnan(value) || isinf(value) || value == 0) {
        gy_buf_add_bytes(out, text, gy_fmt_f64((double)value, text));
        return;
    }
    for (int precision = 1; precision <= 9; precision++) {
        (void)snprintf(text, sizeof text, "%.*g", precision, (double)value);
        if (gy_parse_f64(gy_str_c(text), &back, NULL) == GY_OK && (float)back == value) {
            break;
        }
    }
    /* As the shortest double that the digits read as: the same notation as for DOUBLE. */
    gy_buf_add_bytes(out, text, gy_fmt_f64(back, text));
}

/* Days since 1970-01-01 as YYYY-MM-DD, in the Gregorian calendar carried on backwards. */
static void add_date(struct gy_buf *out, int64_t days)
{
    const int64_t z = days + 719468; /* since 0000-03-01 */
    const int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    const int64_t of_era = z - era * 146097;
    const int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t m = (5 * of_year + 2) / 153; /* 0: March */
    const int64_t month = m < 10 ? m + 3 : m - 9;
    const int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
    gy_buf_addf(out, "%04lld-%02lld-%02lld", (long long)(year > 0 ? year : 1 - year),
                (long long)month, (long long)(of_year - (153 * m + 2) / 5 + 1));
    gy_buf_addc(out, year > 0 ? "" : " (BC)");
}

static void add_clock(struct gy_buf *out, int64_t units, int64_t units_s)
{
    const int64_t s = units / units_s, fraction = units % units_s;
    gy_buf_addf(out, "%02lld:%02lld:%02lld", (long long)(s / 3600), (long long)(s / 60 % 60),
                (long long)(s % 60));
    if (fraction) {
        char digits[16];
        int n =
            snprintf(digits, sizeof digits, "%0*lld", units_s == US_S ? 6 : 9, (long long)fraction);
        while (n > 0 && digits[n - 1] == '0' && units_s == US_S) {
            n--;
        }
        gy_buf_addf(out, ".%.*s", n, digits);
    }
}

static void add_timestamp(struct gy_buf *out, int64_t units, int64_t units_s, bool zone)
{
    if (units == INT64_MAX || units == -INT64_MAX) {
        gy_buf_addc(out, units > 0 ? "infinity" : "-infinity");
        return;
    }
    const int64_t day = 86400 * units_s;
    int64_t days = units / day, rest = units % day;
    if (rest < 0) {
        days--;
        rest += day;
    }
    add_date(out, days);
    gy_buf_add_char(out, ' ');
    add_clock(out, rest, units_s);
    gy_buf_addc(out, zone ? "+00" : "");
}

/* The infinities stay what they are. */
static int64_t milli_to_micro(int64_t ms)
{
    return ms == INT64_MAX || ms == -INT64_MAX ? ms : (int64_t)((uint64_t)ms * 1000);
}

static void add_time_tz(struct gy_buf *out, uint64_t bits)
{
    const int32_t offset = 57599 - (int32_t)(bits & 0xffffff); /* seconds east */
    const int32_t size = offset < 0 ? -offset : offset;
    add_clock(out, (int64_t)(bits >> 24), US_S);
    gy_buf_addf(out, "%c%02d", offset < 0 ? '-' : '+', size / 3600);
    if (size % 3600) {
        gy_buf_addf(out, ":%02d", size / 60 % 60);
    }
    if (size % 60) {
        gy_buf_addf(out, ":%02d", size % 60);
    }
}

static void add_part(struct gy_buf *out, int64_t value, const char *unit, bool *any)
{
    if (value) {
        gy_buf_addf(out, "%s%lld %s%s", *any ? " " : "", (long long)value, unit,
                    value == 1 || value == -1 ? "" : "s");
        *any = true;
    }
}

static void add_interval(struct gy_buf *out, duckdb_interval v)
{
    bool any = false;
    add_part(out, v.months / 12, "year", &any);
    add_part(out, v.months % 12, "month", &any);
    add_part(out, v.days, "day", &any);
    if (v.micros || !any) {
        gy_buf_addf(out, "%s%s", any ? " " : "", v.micros < 0 ? "-" : "");
        add_clock(out, v.micros < 0 ? -v.micros : v.micros, US_S);
    }
}

static struct gy_str string_of(const duckdb_string_t *s)
{
    const uint32_t n = s->value.inlined.length;
    return gy_str_n(n <= GY_DUCK_INLINE_MAX ? s->value.inlined.inlined : s->value.pointer.ptr, n);
}

static void add_blob(struct gy_buf *out, struct gy_str bytes)
{
    for (size_t i = 0; i < bytes.n; i++) {
        const unsigned char b = (unsigned char)bytes.p[i];
        if (b >= 32 && b < 127 && b != '\\' && b != '\'' && b != '"') {
            gy_buf_add_char(out, (char)b);
        } else {
            gy_buf_addf(out, "\\x%02X", b);
        }
    }
}

/* The first byte says how many bits of the second one are padding. */
static void add_bits(struct gy_buf *out, struct gy_str bytes)
{
    const size_t padding = bytes.n ? (size_t)(unsigned char)bytes.p[0] : 0;
    for (size_t bit = 8 + padding; bit < bytes.n * 8; bit++) {
        gy_buf_add_char(out, (unsigned char)bytes.p[bit / 8] >> (7 - bit % 8) & 1 ? '1' : '0');
    }
}

static void add_uuid(struct gy_buf *out, duckdb_hugeint h)
{
    const uint64_t upper = (uint64_t)h.upper ^ (uint64_t)1 << 63; /* flipped, for the order */
    gy_buf_addf(out, "%08llx-%04llx-%04llx-%04llx-%012llx", (unsigned long long)(upper >> 32),
                (unsigned long long)(upper >> 16 & 0xffff), (unsigned long long)(upper & 0xffff),
                (unsigned long long)(h.lower >> 48),
                (unsigned long long)(h.lower & 0xffffffffffffULL));
}

static void add_enum(struct gy_buf *out, const struct gy_duck_node *n, const void *data,
                     uint64_t row)
{
    char *word = LIB->enum_dictionary_value(n->logical, (idx_t)int_of(n->internal, data, row));
    gy_buf_addc(out, word ? word : "");
    LIB->free(word);
}

static void add_date_value(struct gy_buf *out, int32_t days)
{
    if (days == INT32_MAX || days == -INT32_MAX) {
        gy_buf_addc(out, days > 0 ? "infinity" : "-infinity");
    } else {
        add_date(out, days);
    }
}

/* A value that is not nested and not NULL. True: its text is a JSON value too. */
static bool add_scalar(const struct gy_duck_node *n, const void *data, uint64_t row,
                       struct gy_buf *out)
{
    const int64_t *i64 = data;
    char text[32];
    switch ((unsigned)n->type) {
    case GY_DUCK_BOOLEAN:
        gy_buf_addc(out, ((const bool *)data)[row] ? "true" : "false");
        return true;
    case GY_DUCK_FLOAT:
        add_float(out, ((const float *)data)[row]);
        return isfinite(((const float *)data)[row]);
    case GY_DUCK_DOUBLE:
        gy_buf_add_bytes(out, text, gy_fmt_f64(((const double *)data)[row], text));
        return isfinite(((const double *)data)[row]);
    case GY_DUCK_UHUGEINT:
        add_u128(out, (uint128)int_of(n->type, data, row), 1);
        return true;
    case GY_DUCK_DECIMAL:
        add_i128(out, int_of(n->internal, data, row), n->scale);
        return true;
    case GY_DUCK_DATE:
        add_date_value(out, ((const int32_t *)data)[row]);
        return false;
    case GY_DUCK_TIME:
        add_clock(out, i64[row], US_S);
        return false;
    case GY_DUCK_TIME_NS:
        add_clock(out, i64[row], (int64_t)US_S * 1000);
        return false;
    case GY_DUCK_TIME_TZ:
        add_time_tz(out, ((const uint64_t *)data)[row]);
        return false;
    case GY_DUCK_TIMESTAMP_S:
        add_timestamp(out, i64[row], 1, false);
        return false;
    case GY_DUCK_TIMESTAMP_MS:
        add_timestamp(out, milli_to_micro(i64[row]), US_S, false);
        return false;
    case GY_DUCK_TIMESTAMP:
    case GY_DUCK_TIMESTAMP_TZ:
        add_timestamp(out, i64[row], US_S, n->type == GY_DUCK_TIMESTAMP_TZ);
        return false;
    case GY_DUCK_TIMESTAMP_NS:
        add_timestamp(out, i64[row], (int64_t)US_S * 1000, false);
        return false;
    case GY_DUCK_INTERVAL:
        add_interval(out, ((const duckdb_interval *)data)[row]);
        return false;
    case GY_DUCK_VARCHAR:
        gy_buf_add(out, string_of((const duckdb_string_t *)data + row));
        return false;
    case GY_DUCK_BLOB:
        add_blob(out, string_of((const duckdb_string_t *)data + row));
        return false;
    case GY_DUCK_BIT:
        add_bits(out, string_of((const duckdb_string_t *)data + row));
        return false;
    case GY_DUCK_UUID:
        add_uuid(out, ((const duckdb_hugeint *)data)[row]);
        return false;
    case GY_DUCK_ENUM:
        add_enum(out, n, data, row);
        return false;
    default:
        add_i128(out, int_of(n->type, data, row), 0);
        return true;
    }
}

/* ---- all ---- */

static void list_json(const struct gy_duck_node *n, duckdb_vector v, uint64_t row, struct gy_jw *w)
{
    const duckdb_list_entry *entries = LIB->vector_get_data(v);
    const bool array = n->type == GY_DUCK_ARRAY;
    duckdb_vector child = array ? LIB->array_vector_get_child(v) : LIB->list_vector_get_child(v);
    const uint64_t from = array ? row * n->array_size : entries[row].offset;
    const uint64_t count = array ? n->array_size : entries[row].length;
    gy_jw_arr(w);
    for (uint64_t i = 0; i < count && w->out->failed == GY_OK; i++) {
        gy_duck_node_json(n->children[0], child, from + i, w);
    }
    gy_jw_arr_end(w);
}

/* An object whose keys are the texts of the map's. */
static void map_json(const struct gy_duck_node *n, duckdb_vector v, uint64_t row, struct gy_jw *w)
{
    const duckdb_list_entry *entries = LIB->vector_get_data(v);
    duckdb_vector pairs = LIB->list_vector_get_child(v);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf key;
    gy_buf_init(&key, GY_DUCK_MAX_CELL);
    gy_jw_obj(w);
    for (uint64_t i = 0; i < entries[row].length && w->out->failed == GY_OK; i++) {
        const uint64_t at = entries[row].offset + i;
        gy_buf_reset(&key);
        (void)gy_duck_node_text(n->children[0], LIB->struct_vector_get_child(pairs, 0), at, &key);
        gy_jw_keys(w, gy_buf_str(&key));
        gy_duck_node_json(n->children[1], LIB->struct_vector_get_child(pairs, 1), at, w);
    }
    gy_jw_obj_end(w);
}

static void struct_json(const struct gy_duck_node *n, duckdb_vector v, uint64_t row,
                        struct gy_jw *w)
{
    gy_jw_obj(w);
    for (size_t i = 0; i < n->n_children; i++) {
        gy_jw_key(w, n->names[i]);
        gy_duck_node_json(n->children[i], LIB->struct_vector_get_child(v, i), row, w);
    }
    gy_jw_obj_end(w);
}

/* The value that the tag names. */
static void union_json(const struct gy_duck_node *n, duckdb_vector v, uint64_t row, struct gy_jw *w)
{
    const uint8_t tag =
        ((const uint8_t *)LIB->vector_get_data(LIB->struct_vector_get_child(v, 0)))[row];
    if (tag < n->n_children) {
        gy_duck_node_json(n->children[tag], LIB->struct_vector_get_child(v, (idx_t)tag + 1), row,
                          w);
    } else {
        gy_jw_null(w);
    }
}

static void scalar_json(const struct gy_duck_node *n, duckdb_vector v, uint64_t row,
                        struct gy_jw *w)
{
    const void *data = LIB->vector_get_data(v);
    if (n->type == GY_DUCK_VARCHAR) {
        gy_jw_str(w, string_of((const duckdb_string_t *)data + row));
        return;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_DUCK_MAX_CELL);
    const bool json = add_scalar(n, data, row, &text);
    if (text.failed != GY_OK) {
        w->out->failed = text.failed;
    } else if (json) {
        gy_jw_raw(w, gy_buf_str(&text));
    } else {
        gy_jw_str(w, gy_buf_str(&text));
    }
}

void gy_duck_node_json(const struct gy_duck_node *n, duckdb_vector v, uint64_t row, struct gy_jw *w)
{
    if (n->type == GY_DUCK_SQLNULL || gy_duck_is_null(LIB->vector_get_validity(v), row)) {
        gy_jw_null(w);
        return;
    }
    switch ((unsigned)n->type) {
    case GY_DUCK_LIST:
    case GY_DUCK_ARRAY:
        list_json(n, v, row, w);
        return;
    case GY_DUCK_MAP:
        map_json(n, v, row, w);
        return;
    case GY_DUCK_STRUCT:
        struct_json(n, v, row, w);
        return;
    case GY_DUCK_UNION:
        union_json(n, v, row, w);
        return;
    default:
        scalar_json(n, v, row, w);
        return;
    }
}

bool gy_duck_node_text(const struct gy_duck_node *n, duckdb_vector v, uint64_t row,
                       struct gy_buf *out)
{
    if (n->type == GY_DUCK_SQLNULL || gy_duck_is_null(LIB->vector_get_validity(v), row)) {
        return false;
    }
    if (is_nested(n->type)) {
        struct gy_jw w;
        gy_jw_init(&w, out);
        gy_duck_node_json(n, v, row, &w);
    } else {
        (void)add_scalar(n, LIB->vector_get_data(v), row, out);
    }
    return true;
}

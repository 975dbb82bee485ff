/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/logging.h"

#include <math.h>
#include <sodium.h>

#include "serve/infer.h"

#define MANTISSA 0xfffffffffffffu /* 52 bits: every one of them is a double */

static yyjson_val *given(yyjson_val *object, const char *key)
{
    yyjson_val *v = gy_json_get(object, key);
    return v && !yyjson_is_null(v) ? v : NULL;
}

static gy_status check_key(struct gy_str key, struct gy_err *err)
{
    static const char *const keys[] = {"sample", "hash", "leave_out", "body"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (gy_str_eqc(key, keys[i])) {
            return GY_OK;
        }
    }
    return gy_err_set(err, GY_E_INVALID,
                      "log: unknown key '%" GY_STR_F
                      "'; there are sample, hash, leave_out and body",
                      GY_STR_A(key));
}

static gy_status check_names(yyjson_val *list, const char *key, struct gy_err *err)
{
    size_t i, n;
    yyjson_val *one;
    bool good = !list || yyjson_is_arr(list);
    yyjson_arr_foreach(list, i, n, one)
    {
        good = good && yyjson_is_str(one) && yyjson_get_len(one) > 0;
    }
    return good ? GY_OK : gy_err_set(err, GY_E_INVALID, "log: '%s' must be a list of columns", key);
}

static gy_status check_pairs(yyjson_val *hash, yyjson_val *leave_out, struct gy_err *err)
{
    size_t i, n, k, m;
    yyjson_val *a, *b;
    yyjson_arr_foreach(hash, i, n, a)
    {
        yyjson_arr_foreach(leave_out, k, m, b)
        {
            if (gy_str_eq(gy_json_val_str(a), gy_json_val_str(b))) {
                return gy_err_set(err, GY_E_INVALID,
                                  "log: '%" GY_STR_F "' is to be hashed and to be left out",
                                  GY_STR_A(gy_json_val_str(a)));
            }
        }
    }
    return GY_OK;
}

gy_status gy_logging_check(yyjson_val *setting, struct gy_err *err)
{
    size_t i, n;
    yyjson_val *key, *value;
    if (!yyjson_is_obj(setting)) {
        return gy_err_set(err, GY_E_INVALID, "'log' must be an object, such as {sample: 0.1}");
    }
    yyjson_obj_foreach(setting, i, n, key, value)
    {
        GY_TRY(check_key(gy_json_val_str(key), err));
    }
    yyjson_val *sample = given(setting, "sample"), *body = given(setting, "body");
    yyjson_val *hash = given(setting, "hash"), *leave_out = given(setting, "leave_out");
    double share = sample ? yyjson_is_num(sample) ? yyjson_get_num(sample) : -1 : 1;
    if (!(share > 0 && share <= 1)) {
        return gy_err_set(err, GY_E_INVALID, "log: 'sample' must be a share above 0, at most 1");
    }
    if (body && !yyjson_is_bool(body)) {
        return gy_err_set(err, GY_E_INVALID, "log: 'body' must be true or false");
    }
    GY_TRY(check_names(hash, "hash", err));
    GY_TRY(check_names(leave_out, "leave_out", err));
    GY_TRY(check_pairs(hash, leave_out, err));
    if (body && yyjson_is_true(body) && (yyjson_arr_size(hash) || yyjson_arr_size(leave_out))) {
        (void)gy_err_set(err, GY_E_INVALID, "log: 'body' keeps what 'hash' and 'leave_out' hide");
        return gy_err_hint(err, "take body: true away, or the lists");
    }
    return GY_OK;
}

static gy_status mark_columns(yyjson_val *list, const struct gy_infer_shape *shape,
                              enum gy_log_column how, struct gy_logging *l, struct gy_err *err)
{
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, n, one)
    {
        size_t k = 0;
        while (k < shape->n_fields && !gy_str_eq(shape->fields[k].name, gy_json_val_str(one))) {
            k++;
        }
        if (k == shape->n_fields) {
            return gy_err_set(err, GY_E_INVALID,
                              "log: '%" GY_STR_F "' is neither an input of the model nor read by "
                              "a rule",
                              GY_STR_A(gy_json_val_str(one)));
        }
        l->columns[k] = (uint8_t)how;
    }
    return GY_OK;
}

gy_status gy_logging_read(yyjson_val *setting, const struct gy_infer_shape *shape,
                          struct gy_arena *a, struct gy_logging *ret, struct gy_err *err)
{
    *ret = (struct gy_logging){.sample = 1, .cut = UINT64_MAX};
    if (!setting || yyjson_is_null(setting)) {
        return GY_OK;
    }
    GY_TRY(gy_logging_check(setting, err));
    yyjson_val *hash = given(setting, "hash"), *leave_out = given(setting, "leave_out");
    yyjson_val *sample = given(setting, "sample");
    ret->sample = sample ? yyjson_get_num(sample) : 1;
    ret->cut = ret->sample < 1 ? gy_share_cut(ret->sample) : UINT64_MAX;
    ret->body = gy_json_bool(setting, "body", false);
    ret->hashes = yyjson_arr_size(hash) > 0;
    if (!ret->hashes && yyjson_arr_size(leave_out) == 0) {
        return GY_OK;
    }
    ret->columns = gy_arena_calloc(a, shape->n_fields + 1, sizeof *ret->columns);
    if (!ret->columns) {
        return gy_err_set(err, GY_E_NOMEM, "loading an endpoint");
    }
    GY_TRY(mark_columns(hash, shape, GY_LOG_HASHED, ret, err));
    return mark_columns(leave_out, shape, GY_LOG_LEFT_OUT, ret, err);
}

bool gy_logging_draws(const struct gy_logging *l, const unsigned char id[16])
{
    /* A lot of its own: row 0's decides which rows of rules the model scores, SIZE_MAX - 1 who
     * answers (variant.c). */
    return l->sample >= 1 || gy_infer_lot(id, SIZE_MAX - 2) < l->cut;
}

void gy_logging_key(const struct gy_erasure_key *home, unsigned char ret[GY_LOGGING_KEY])
{
    unsigned char all[GY_ERASURE_HASH];
    gy_erasure_hash(home, GY_STR("gyre logged column 1"), all);
    memcpy(ret, all, GY_LOGGING_KEY);
    sodium_memzero(all, sizeof all);
}

double gy_logging_hash(const unsigned char key[GY_LOGGING_KEY], double value)
{
    _Static_assert(GY_LOGGING_KEY == crypto_shorthash_KEYBYTES, "SipHash-2-4's");
    unsigned char out[crypto_shorthash_BYTES];
    uint64_t h;
    if (isnan(value)) {
        return value;
    }
    double plain = value == 0 ? 0 : value;                                         /* -0 is 0 */
    (void)crypto_shorthash(out, (const unsigned char *)&plain, sizeof plain, key); /* returns 0 */
    memcpy(&h, out, sizeof h);
    return (double)(h & MANTISSA);
}

void gy_logging_columns(const struct gy_logging *l, const unsigned char key[GY_LOGGING_KEY],
                        const double *values, size_t n_rows, size_t n_fields, double *out)
{
    for (size_t row = 0; row < n_rows; row++) {
        for (size_t k = 0; k < n_fields; k++) {
            double v = values[row * n_fields + k];
            v = l->columns[k] == GY_LOG_LEFT_OUT ? NAN : v;
            out[row * n_fields + k] = l->columns[k] == GY_LOG_HASHED ? gy_logging_hash(key, v) : v;
        }
    }
}

/* ---- of frozen configurations ---- */

static bool has_name(yyjson_val *list, struct gy_str name)
{
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, n, one)
    {
        if (gy_str_eq(gy_json_val_str(one), name)) {
            return true;
        }
    }
    return false;
}

enum gy_log_column gy_logging_column_of(yyjson_val *config, struct gy_str name)
{
    yyjson_val *log = given(config, "log");
    return has_name(given(log, "hash"), name)        ? GY_LOG_HASHED
           : has_name(given(log, "leave_out"), name) ? GY_LOG_LEFT_OUT
                                                     : GY_LOG_AS_IS;
}

const char *gy_logging_column_name(enum gy_log_column how)
{
    static const char *const names[] = {NULL, "hashed", "left out"};
    return names[how];
}

double gy_logging_sample_of(yyjson_val *config)
{
    double share = gy_json_f64(given(config, "log"), "sample", 1);
    return share > 0 && share < 1 ? share : 1;
}

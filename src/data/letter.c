/* SPDX-License-Identifier: Apache-2.0 */
#include "data/letter.h"

#include <stdio.h>

#include "base/hash.h"

enum { ID_HEX = 24, MAX_HASHED = 64 * 1024 };

bool gy_letter_is_id(struct gy_str text)
{
    bool good = text.n > 0 && text.n < GY_LETTER_ID;
    for (size_t i = 0; good && i < text.n; i++) {
        char c = text.p[i];
        good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-';
    }
    return good;
}

static gy_status decode(struct gy_str text, struct gy_buf *scratch, struct gy_str *ret,
                        struct gy_err *err)
{
    size_t n = 0;
    gy_buf_reset(scratch);
    char *room = gy_buf_reserve(scratch, text.n + 4);
    if (!room) {
        return gy_buf_check(scratch, "the record of a dead letter", err);
    }
    if (gy_base64_decode(text, (unsigned char *)room, &n, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_INVALID, "data_b64 of the letter is not base64");
    }
    gy_buf_commit(scratch, n);
    *ret = gy_buf_str(scratch);
    return GY_OK;
}

static gy_status read_bytes(yyjson_val *json, struct gy_buf *scratch, struct gy_str *ret,
                            struct gy_err *err)
{
    yyjson_val *data = gy_json_get(json, "data"), *b64 = gy_json_get(json, "data_b64");
    if (yyjson_is_str(data)) {
        *ret = gy_json_val_str(data);
        return GY_OK;
    }
    return yyjson_is_str(b64)
               ? decode(gy_json_val_str(b64), scratch, ret, err)
               : gy_err_set(err, GY_E_INVALID, "the letter holds no record (data or data_b64)");
}

/* What a letter without a source is known by. */
static gy_status name_by_place(yyjson_val *json, struct gy_letter *l, struct gy_err *err)
{
    GY_AUTO(gy_hash_free) struct gy_hash *h = NULL;
    char digest[GY_SHA256_HEX], place[64];
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &h, err));
    int n =
        snprintf(place, sizeof place, "\n%lld\n%lld\n", (long long)gy_json_i64(json, "offset", -1),
                 (long long)gy_json_i64(json, "length", -1));
    gy_hash_add(h, l->file);
    gy_hash_add(h, gy_str_n(place, (size_t)n));
    gy_hash_add(h, gy_str_sub(l->bytes, 0, MAX_HASHED));
    gy_hash_hex(h, digest);
    (void)snprintf(l->id, sizeof l->id, "old-%.*s", ID_HEX, digest);
    return GY_OK;
}

static gy_status name_letter(yyjson_val *json, struct gy_letter *l, struct gy_err *err)
{
    struct gy_str id = gy_json_str(json, "id"), source = gy_json_str(json, "source");
    if (id.p) {
        if (!gy_letter_is_id(id)) {
            return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is not the id of a letter",
                              GY_STR_A(gy_str_sub(id, 0, 80)));
        }
        memcpy(l->id, id.p, id.n);
        l->id[id.n] = '\0';
        return GY_OK;
    }
    if (gy_is_hex(source, GY_SHA256_HEX - 1) && l->row >= 0) {
        (void)snprintf(l->id, sizeof l->id, "%.*s-%lld", ID_HEX, source.p, (long long)l->row);
        return GY_OK;
    }
    return name_by_place(json, l, err);
}

gy_status gy_letter_read(yyjson_val *json, struct gy_buf *scratch, struct gy_letter *ret,
                         struct gy_err *err)
{
    *ret = (struct gy_letter){.file = gy_json_str(json, "file"),
                              .header = gy_json_str(json, "header"),
                              .time = gy_json_str(json, "time"),
                              .row = gy_json_i64(json, "row", -1)};
    struct gy_str delimiter = gy_json_str(json, "delimiter");
    ret->delimiter = delimiter.n == 1 ? delimiter.p[0] : '\0';
    if (!yyjson_is_obj(json)) {
        return gy_err_set(err, GY_E_INVALID, "a letter is a JSON object");
    }
    GY_TRY(read_bytes(json, scratch, &ret->bytes, err));
    return name_letter(json, ret, err);
}

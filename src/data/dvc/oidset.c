/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/oidset.h"

#include <stdio.h>

#include "base/mem.h"

void gy_dvc_oidset_done(struct gy_dvc_oidset *s)
{
    gy_free(s->oids);
    gy_free(s->slots);
    *s = (struct gy_dvc_oidset){NULL, 0, 0, NULL, 0};
}

static bool same(const struct gy_dvc_oid *a, const struct gy_dvc_oid *b)
{
    return a->legacy == b->legacy && strcmp(a->hex, b->hex) == 0;
}

/* Where it is, or the free slot where it goes. */
static size_t slot_of(const struct gy_dvc_oidset *s, const struct gy_dvc_oid *oid)
{
    size_t at = (size_t)gy_str_hash(gy_str_c(oid->hex), oid->legacy) & (s->n_slots - 1);
    while (s->slots[at] && !same(&s->oids[s->slots[at] - 1], oid)) {
        at = (at + 1) & (s->n_slots - 1);
    }
    return at;
}

static gy_status grow(struct gy_dvc_oidset *s, struct gy_err *err)
{
    size_t cap = s->cap ? s->cap * 2 : 64;
    struct gy_dvc_oid *oids = gy_reallocarray(s->oids, cap, sizeof *oids);
    s->oids = oids ? oids : s->oids;
    uint32_t *slots = gy_calloc(2 * cap, sizeof *slots);
    if (!oids || !slots) {
        gy_free(slots);
        return gy_err_set(err, GY_E_NOMEM, "out of memory for names of objects");
    }
    gy_free(s->slots);
    s->slots = slots;
    s->n_slots = 2 * cap;
    s->cap = cap;
    for (size_t i = 0; i < s->n; i++) {
        s->slots[slot_of(s, &s->oids[i])] = (uint32_t)i + 1;
    }
    return GY_OK;
}

gy_status gy_dvc_oidset_add(struct gy_dvc_oidset *s, const struct gy_dvc_oid *oid, size_t *ret_at,
                            bool *ret_new, struct gy_err *err)
{
    if (s->n == s->cap) {
        if (s->n >= GY_DVC_MAX_OBJECTS) {
            return gy_err_set(err, GY_E_TOOBIG, "more than %d objects", GY_DVC_MAX_OBJECTS);
        }
        GY_TRY(grow(s, err));
    }
    size_t slot = slot_of(s, oid);
    bool is_new = s->slots[slot] == 0;
    if (is_new) {
        s->oids[s->n] = *oid;
        s->slots[slot] = (uint32_t)++s->n;
    }
    if (ret_at) {
        *ret_at = s->slots[slot] - 1;
    }
    if (ret_new) {
        *ret_new = is_new;
    }
    return GY_OK;
}

size_t gy_dvc_oidset_find(const struct gy_dvc_oidset *s, const struct gy_dvc_oid *oid)
{
    if (s->n == 0) {
        return SIZE_MAX;
    }
    size_t slot = slot_of(s, oid);
    return s->slots[slot] ? s->slots[slot] - 1 : SIZE_MAX;
}

const char *gy_dvc_oid_key(const struct gy_dvc_oid *oid, char ret[GY_DVC_KEY_BYTES])
{
    (void)snprintf(ret, GY_DVC_KEY_BYTES, "%s%.2s/%s", oid->legacy ? "" : "files/md5/", oid->hex,
                   oid->hex + 2);
    return ret;
}

bool gy_dvc_oid_of_key(struct gy_str key, struct gy_dvc_oid *ret)
{
    struct gy_str files = GY_STR("files/md5/");
    char text[GY_DVC_OID_HEX];
    *ret = (struct gy_dvc_oid){.legacy = !gy_str_starts(key, files)};
    if (!ret->legacy) {
        key = gy_str_sub(key, files.n, key.n);
    }
    /* 2 digits, '/', 30 digits, and ".dir" or not */
    if ((key.n != GY_MD5_HEX && key.n != GY_MD5_HEX + 4) || key.p[2] != '/') {
        return false;
    }
    memcpy(text, key.p, 2);
    memcpy(text + 2, key.p + 3, key.n - 3);
    text[key.n - 1] = '\0';
    if (!gy_is_hex(gy_str_n(text, GY_MD5_HEX - 1), GY_MD5_HEX - 1) ||
        (key.n > GY_MD5_HEX && strcmp(text + GY_MD5_HEX - 1, ".dir") != 0)) {
        return false;
    }
    memcpy(ret->hex, text, key.n);
    return true;
}

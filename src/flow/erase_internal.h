/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of erasing share: erase.c (the order of things, the log, the ledger), erase_data.c
 * (datasets, artifacts, objects, letters), erase_rest.c (texts of tables, files of the home). */
#ifndef GY_FLOW_ERASE_INTERNAL_H
#define GY_FLOW_ERASE_INTERNAL_H

#include "data/subject_table.h"
#include "flow/erase.h"

struct gy_erasing {
    const struct gy_erase_source *src;
    const struct gy_erase_options *o;
    struct gy_arena *a;
    struct gy_erase_result *ret;
    struct gy_str *columns, *md5, *sha256; /* growing arrays in the arena */
    size_t cap_columns, n_md5, cap_md5, n_sha256, cap_sha256;
    const char *kind; /* of what is told as records now */
    struct gy_str where;
};

static inline bool gy_erasing_takes_out(const struct gy_erasing *e)
{
    return e->o->mode == GY_ERASE_TAKE_OUT;
}

gy_status gy_erasing_nomem(struct gy_err *err);
/* Count and tell a place; of TAKE_OUT, "found" is told and written down as erased. */
GY_CHECKED gy_status gy_erasing_tell(struct gy_erasing *e, const char *kind, struct gy_str where,
                                     int64_t n, const char *state, struct gy_str note,
                                     struct gy_err *err);
/* A record of e->kind and e->where, in EXPORT. */
GY_CHECKED gy_status gy_erasing_record(void *erasing, struct gy_str json, struct gy_err *err);
GY_CHECKED gy_status gy_erasing_progress(struct gy_erasing *e, const char *phase, int64_t done,
                                         int64_t total, struct gy_err *err);
/* Append a copy, once. */
GY_CHECKED gy_status gy_erasing_add(struct gy_erasing *e, struct gy_str **list, size_t *n,
                                    size_t *cap, struct gy_str text, struct gy_err *err);

/* ---- erase_data.c ---- */
GY_CHECKED gy_status gy_erase_columns(struct gy_erasing *e, struct gy_err *err);
GY_CHECKED gy_status gy_erase_datasets(struct gy_erasing *e, struct gy_err *err);
GY_CHECKED gy_status gy_erase_letters(struct gy_erasing *e, struct gy_err *err);
/* ---- erase_objects.c ---- */
GY_CHECKED gy_status gy_erase_artifacts(struct gy_erasing *e, struct gy_err *err);
/* Bytes of versions that were given up, and of what nothing names. */
GY_CHECKED gy_status gy_erase_objects(struct gy_erasing *e, struct gy_err *err);
/* Write what stays of an object to a new one. */
struct gy_erase_copy {
    char sha256[65], md5[33];
    int64_t size_bytes;
};
GY_CHECKED gy_status gy_erase_copy_object(struct gy_erasing *e, struct gy_subject_scan *scan,
                                          const char *sha256, bool lines, struct gy_erase_copy *ret,
                                          struct gy_err *err);
/* ---- erase_rest.c ---- */
/* ", name" for each table whose texts change. */
void gy_erase_text_tables(struct gy_buf *out);
GY_CHECKED gy_status gy_erase_texts(struct gy_erasing *e, struct gy_err *err);
GY_CHECKED gy_status gy_erase_home(struct gy_erasing *e, struct gy_err *err);

#endif

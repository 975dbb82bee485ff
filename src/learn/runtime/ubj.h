/* SPDX-License-Identifier: Apache-2.0 */
/* gy_ubj: the tree of values in an XGBoost model file, whether it was written as UBJSON (Universal
 * Binary JSON draft 12, the default since XGBoost 2.1) or as JSON. Untrusted input: depth, sizes
 * and memory are bounded. Numbers of JSON are kept as text until asked for, because a float32 read
 * by way of a double can be off by one bit. Immutable after parsing. */
#ifndef GY_LEARN_RUNTIME_UBJ_H
#define GY_LEARN_RUNTIME_UBJ_H

#include "base/arena.h"

#define GY_UBJ_MAX_DEPTH 32
#define GY_MAX_MODEL_FILE ((size_t)512 << 20)    /* bytes of a model file */
#define GY_MAX_MODEL_MEMORY ((size_t)4096 << 20) /* bytes of its parsed tree */

enum gy_ubj_kind {
    GY_UBJ_NULL,
    GY_UBJ_BOOL,
    GY_UBJ_NUM,  /* one number */
    GY_UBJ_NUMS, /* a strongly typed array: `text` holds its big-endian elements of type `type` */
    GY_UBJ_STR,
    GY_UBJ_ARR,
    GY_UBJ_OBJ
};

struct gy_ubj {
    enum gy_ubj_kind kind;
    char type;         /* NUM and NUMS: the UBJSON marker; 'H': decimal text (JSON) */
    bool b;            /* BOOL */
    struct gy_str key; /* inside an OBJ */
    struct gy_str text;
    size_t n; /* ARR, OBJ: children; NUMS: elements */
    struct gy_ubj *first, *next;
};

/* Parse either form; the first bytes tell which. Views point into `bytes`, nodes live in the arena
 * (initialised by the caller). Fails: CORRUPT naming the offset,
 * TOOBIG (too deep), NOMEM. */
GY_CHECKED gy_status gy_ubj_parse(struct gy_str bytes, struct gy_arena *a, struct gy_ubj **ret,
                                  struct gy_err *err);

/* NULL when absent or o is NULL or no OBJ. */
const struct gy_ubj *gy_ubj_get(const struct gy_ubj *o, const char *key);
/* The absent string unless STR. */
struct gy_str gy_ubj_str(const struct gy_ubj *o, const char *key);
/* Copy an array of n numbers (or booleans); false when v is no such array or has another length, or
 * a number does not fit. */
bool gy_ubj_f32s(const struct gy_ubj *v, size_t n, float *out);
bool gy_ubj_i32s(const struct gy_ubj *v, size_t n, int32_t *out);
/* Elements of an array of any form; 0 for anything else. */
size_t gy_ubj_len(const struct gy_ubj *v);

#endif

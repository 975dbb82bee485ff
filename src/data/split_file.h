/* SPDX-License-Identifier: Apache-2.0 */
/* gy_split_run: a table of CSV is cut into parts, each a CSV file of its own with the records byte
 * for byte (lines end in LF), and DIR/split.json that tells how. Deterministic: same bytes, same
 * options, same files. By hash and by group in one pass, else in two with some 40 bytes of memory a
 * row. Not thread safe; runs on the caller's thread. */
#ifndef GY_DATA_SPLIT_FILE_H
#define GY_DATA_SPLIT_FILE_H

#include "base/arena.h"
#include "base/hash.h"
#include "base/json.h"
#include "data/schema.h"
#include "data/source.h"
#include "data/split.h"

#define GY_SPLIT_FORMAT "gyre.split/1"
#define GY_SPLIT_MAX_ROWS ((size_t)1 << 30) /* where rows are remembered */
#define GY_SPLIT_SHOWN_CLASSES 50           /* a label with more is not told by class */

enum gy_split_by {
    GY_SPLIT_HASH,       /* by the hash of the key */
    GY_SPLIT_STRATIFIED, /* exact sizes, also of each class of the label */
    GY_SPLIT_TIME,       /* earlier rows before later ones */
    GY_SPLIT_GROUP,      /* as hash, of what must stay together */
    GY_SPLIT_KFOLD       /* equal parts of exact sizes */
};
/* "hash", "stratified", "time", "group", "kfold". Fails: INVALID. */
GY_CHECKED gy_status gy_split_parse_by(struct gy_str text, enum gy_split_by *ret,
                                       struct gy_err *err);

struct gy_split_options {
    enum gy_split_by by;
    const struct gy_split_part *parts; /* of kfold too: equal ones */
    size_t n_parts;
    uint64_t seed;
    /* Columns; absent: told from the roles of the schema. key: role id (else the whole record); of
     * group, and of kfold with `grouped`: role subject, else id. time: role event_time. */
    struct gy_str key, label, time;
    bool stratify; /* group and kfold: balance the classes of the label */
    bool grouped;  /* kfold: rows of one key stay together */
    bool pairs;    /* kfold: for each fold a folder with train.csv and test.csv */
    bool allow_shared;
    const struct gy_schema *schema; /* MAY be NULL */
    char delimiter;                 /* 0: sniffed */
    const char *out_dir;            /* made when absent; files of these names are replaced */
    void (*progress)(void *ctx, int64_t bytes_done); /* MAY be NULL */
    void *progress_ctx;
};

struct gy_split_out {
    struct gy_str name; /* "train", "fold-1/test" */
    char path[GY_MAX_PATH];
    int64_t rows, bytes;
    char sha256[GY_SHA256_HEX];
    int64_t *classes; /* n_classes */
    double from, to;  /* of time, seconds since 1970 or the numbers; NaN: not asked */
};
struct gy_split_result {
    struct gy_arena arena;
    int64_t rows, keyless; /* keyless: rows without a key, for which the whole record stood */
    struct gy_str key, label, time, guard; /* columns; absent: none */
    size_t n_shared;                       /* allow_shared: values of guard in more than one part */
    struct gy_str *classes;
    size_t n_classes; /* 0: not told */
    struct gy_split_out *outs;
    size_t n_outs;
};
/* A value of the guard (role subject, else the key) in more than one part is refused unless
 * allow_shared: what was learnt of a person must not be judged on that person. Fails: as the source
 * does; NOTFOUND (no such column), INVALID (a column that is wanted is neither named nor told by a
 * role; a row without time; too many classes; a part without rows), SCHEMA (a damaged record),
 * CONFLICT (shared), IO, NOSPACE, NOMEM. On failure no file is replaced. */
GY_CHECKED gy_status gy_split_run(struct gy_source *source, const struct gy_split_options *o,
                                  struct gy_split_result *ret, struct gy_err *err);
void gy_split_result_done(struct gy_split_result *r); /* zeroed allowed */
GY_DEFINE_AUTO_DONE(struct gy_split_result, gy_split_result_done);
/* The report, as it stands in split.json. */
void gy_split_write(struct gy_jw *w, const struct gy_split_options *o,
                    const struct gy_split_result *r);

#endif

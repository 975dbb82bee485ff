/* SPDX-License-Identifier: Apache-2.0 */
/* What all of the room shares: key/value pairs, the rules for names, the ceilings, and page tokens.
 * The room keeps experiments, runs, artifacts, the model registry and logged models. Its functions
 * run inside closures of the store (struct gy_db): those that write inside gy_store_write, on the
 * writer thread; those that read inside either kind. Results live in the arena that is passed in.
 * Messages of GY_E_INVALID, NOTFOUND and EXISTS are the texts an MLflow client expects to see. */
#ifndef GY_TRACK_TRACK_H
#define GY_TRACK_TRACK_H

#include "store/store.h"

/* Ceilings; lengths count Unicode characters, as the clients' own checks do. */
#define GY_TRACK_MAX_KEY 250
#define GY_TRACK_MAX_PARAM_VALUE 6000 /* longer values are cut */
#define GY_TRACK_MAX_TAG_VALUE 8000   /* longer values are cut */
#define GY_TRACK_MAX_EXPERIMENT_TAG_VALUE 20000
#define GY_TRACK_MAX_REGISTRY_TAG_VALUE 100000
#define GY_TRACK_MAX_EXPERIMENT_NAME 500
#define GY_TRACK_MAX_MODEL_NAME 256
#define GY_TRACK_MAX_ALIAS 255
#define GY_TRACK_MAX_URI 2048
#define GY_TRACK_MAX_DESCRIPTION 100000
#define GY_TRACK_MAX_BATCH_METRICS 1000
#define GY_TRACK_MAX_BATCH_PARAMS 100
#define GY_TRACK_MAX_BATCH_TAGS 100
#define GY_TRACK_MAX_BATCH 1000
#define GY_TRACK_MAX_PAGE 50000
#define GY_TRACK_MAX_EXPERIMENT_IDS 20000 /* in one search */
#define GY_TRACK_MAX_PACKAGE_FILES 10000  /* files below the source of a model version */
#define GY_TRACK_MAX_SUMMARIES 1000       /* datasets of a list of experiments */
#define GY_TRACK_MAX_LIST 100000          /* entries of one folder of artifacts */

struct gy_tag {
    struct gy_str key, value;
};

enum gy_view { GY_VIEW_ACTIVE, GY_VIEW_DELETED, GY_VIEW_ALL };

/* A key of a metric, param or tag: [/\w.\- :]*, and no path that would mean another one. path names
 * the field in the message ("metrics[0].name"). Does not bound the length. Fails: INVALID. */
GY_CHECKED gy_status gy_track_check_key(struct gy_str key, const char *path, struct gy_err *err);
/* At most max characters. Fails: INVALID "'what' exceeds the maximum length of N characters". */
GY_CHECKED gy_status gy_track_check_length(struct gy_str s, size_t max, const char *what,
                                           struct gy_err *err);
/* The first max characters of s. */
struct gy_str gy_track_cut(struct gy_str s, size_t max);
/* "0", "12". Fails: INVALID with the message about experiment ids. */
GY_CHECKED gy_status gy_track_parse_experiment_id(struct gy_str s, int64_t *ret,
                                                  struct gy_err *err);
/* A run id from outside: [a-zA-Z0-9][\w-]{0,255}. Fails: INVALID. */
GY_CHECKED gy_status gy_track_check_run_id(struct gy_str s, struct gy_err *err);

/* base + "/" + tail, put before a query string of base. The absent string: out of memory. */
struct gy_str gy_track_uri_join(struct gy_arena *a, struct gy_str base, const char *tail);
/* "calm-otter-417": random, at most 20 characters, NUL included in out. */
GY_CHECKED gy_status gy_track_random_name(char out[32], struct gy_err *err);

/* key, value rows of a query (columns 0 and 1) as an array in the arena; NULL and 0 without rows.
 */
GY_CHECKED gy_status gy_track_tags(struct gy_db *db, const char *sql, struct gy_val id,
                                   struct gy_arena *a, struct gy_tag **ret, size_t *ret_n,
                                   struct gy_err *err);

/* A growing array in an arena: *items has room for *cap; make room for one more (doubling; the old
 * array stays in the arena until its reset). Fails: NOMEM. */
GY_CHECKED gy_status gy_track_grow(struct gy_arena *a, void **items, size_t n, size_t *cap,
                                   size_t item_bytes, struct gy_err *err);

/* "out of memory" as a status, for the many arena calls of this room. */
gy_status gy_track_nomem(struct gy_err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* gy_taken: how far the sources of a dataset were read, so that each row of a growing source gets
 * into the dataset once. A step appends what is new: the next version is the newest one and the new
 * rows. The version and how far it goes are one transaction, and a step says what it began from
 * (which version, which watermark): when that is not so any more, nothing is changed. So a step
 * that was killed, or that another one overtook, is simply made again.
 *
 * A source is a name: of a query with its database and column, of a bucket, "files". Its state is a
 * watermark, or the objects that were taken as a whole, each with a mark of its content.
 * Inside store closures, in the workspace of the scope; results live in the arena. */
#ifndef GY_DATA_TAKEN_H
#define GY_DATA_TAKEN_H

#include "store/store.h"

#define GY_TAKEN_MAX_SOURCE 2048
#define GY_TAKEN_MAX_WATERMARK 8192
#define GY_TAKEN_MAX_OBJECT 4096
#define GY_TAKEN_MAX_MARK 256
#define GY_TAKEN_MAX_OBJECTS 100000 /* of one step */
#define GY_TAKEN_MAX_SOURCES 1000   /* of one dataset */

struct gy_taken {
    int64_t newest; /* the newest version that is there; 0: none */
    /* Does the newest one come from all that was taken: is the newest version of a step it, or one
     * that it was made from? (Else somebody made another version in between, or deleted it.) */
    bool continues;
    struct gy_str *sources; /* that anything was taken of */
    size_t n_sources;
    /* Of the source that was asked for: */
    int64_t version;         /* of its last step; 0: nothing was taken of it */
    struct gy_str watermark; /* absent: none */
};
GY_CHECKED gy_status gy_taken_look(struct gy_db *db, struct gy_str name, struct gy_str source,
                                   struct gy_arena *a, struct gy_taken *ret, struct gy_err *err);

struct gy_taken_object {
    struct gy_str object, mark;
};
/* Those after `after` ("": from the start) in bytewise order, at most max. */
GY_CHECKED gy_status gy_taken_objects(struct gy_db *db, struct gy_str name, struct gy_str source,
                                      struct gy_str after, size_t max, struct gy_arena *a,
                                      struct gy_taken_object **ret, size_t *ret_n,
                                      struct gy_err *err);

struct gy_taken_step {
    struct gy_str source;
    int64_t newest; /* as it was looked at */
    bool restart;   /* the version is of this source alone: what was taken of any is forgotten */
    int64_t from_version;         /* of the source's last step, as it was looked at; 0: none */
    struct gy_str from_watermark; /* absent: none */
    struct gy_str watermark;      /* the new one; absent: none */
    const struct gy_taken_object *objects; /* taken now */
    size_t n_objects;
};
/* Before the version is made, in its transaction. Fails: CONFLICT (it is not so any more), INVALID.
 */
GY_CHECKED gy_status gy_taken_begin(struct gy_db *db, struct gy_str name,
                                    const struct gy_taken_step *s, struct gy_err *err);
/* After it. Fails: CONFLICT (its bytes are an older version than the newest; an object was taken
 * before). */
GY_CHECKED gy_status gy_taken_end(struct gy_db *db, struct gy_str name,
                                  const struct gy_taken_step *s, int64_t version, bool is_new,
                                  struct gy_str actor, struct gy_err *err);

#endif

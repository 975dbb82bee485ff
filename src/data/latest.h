/* SPDX-License-Identifier: Apache-2.0 */
/* gy_latest: which of several records with the same key is kept, when a file of lines is written
 * line by line and the keys are only known as they come. Lines that a later one replaces are
 * remembered as ranges of the file, to be left out when it is copied. Memory: the keys, and 16
 * bytes a replaced line. Not thread safe; one owner. */
#ifndef GY_DATA_LATEST_H
#define GY_DATA_LATEST_H

#include "base/arena.h"
#include "base/map.h"

#define GY_LATEST_MAX_KEYS ((size_t)1 << 30)

struct gy_range {
    int64_t offset, bytes;
};
struct gy_latest {
    struct gy_map lines; /* key to struct gy_range, in arena */
    struct gy_arena arena;
    struct gy_range *gone;
    size_t n_gone, cap_gone;
};
void gy_latest_init(struct gy_latest *l);
void gy_latest_done(struct gy_latest *l);
GY_DEFINE_AUTO_DONE(struct gy_latest, gy_latest_done);

/* A line with this key stands at (offset, bytes). *ret_repeated: one stood before; then that one is
 * gone, or with keep_first this one is (the caller takes it back). Fails: NOMEM, TOOBIG. */
GY_CHECKED gy_status gy_latest_add(struct gy_latest *l, struct gy_str key, struct gy_range line,
                                   bool keep_first, bool *ret_repeated, struct gy_err *err);
/* Put the gone lines into the order of the file. Call once, before gy_latest_kept. */
void gy_latest_sort(struct gy_latest *l);
/* The next stretch of a file of file_bytes that is kept: start with *pos = 0 and *ret zeroed; false
 * at the end. */
bool gy_latest_kept(const struct gy_latest *l, int64_t file_bytes, size_t *pos,
                    struct gy_range *ret);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What files were when they were last hashed: device, inode, size, mtime and ctime to MD5 (and
 * SHA-256, where that was asked for), in
 * `.dvc/tmp/gyre.stats`, so that what did not change is not read again. Only an entry that any
 * later change would show in is kept: a file whose times lie so close to its reading that another
 * write could have left them alike is hashed anew next time (what git calls racy). The file is
 * mapped, checked by its CRC, replaced as a whole (the last writer wins, and loses nothing but
 * time), and of no worth to anybody else: it may be removed. Looking up and noting are thread safe.
 */
#ifndef GY_DATA_DVC_STAT_H
#define GY_DATA_DVC_STAT_H

#include <sys/stat.h>

#include "base/hash.h"

#define GY_DVC_MAX_STATS 8000000 /* entries */
#define GY_DVC_KEEP_DAYS 30      /* entries that nobody asks for */

struct gy_dvc_stats;

/* What is in the file at path; nothing when it is absent or damaged. Fails: NOMEM. */
GY_CHECKED gy_status gy_dvc_stats_open(const char *path, struct gy_dvc_stats **ret,
                                       struct gy_err *err);
void gy_dvc_stats_free(struct gy_dvc_stats *s);
GY_DEFINE_AUTO(struct gy_dvc_stats *, gy_dvc_stats_free);

/* The digests of the file with this stat, when they are known for sure; sha256 MAY be NULL. */
bool gy_dvc_stats_find(struct gy_dvc_stats *s, const struct stat *st, bool legacy,
                       char md5[GY_MD5_HEX], char *sha256);
/* st was taken before the file was read; began_ns is gy_dvc_stats_now() of then; sha256 MAY be
 * NULL. */
void gy_dvc_stats_note(struct gy_dvc_stats *s, const struct stat *st, bool legacy, const char *md5,
                       const char *sha256, int64_t began_ns);
/* For a file that we wrote ourselves and gave an mtime between two ticks of the kernel's clock
 * (gy_dvc_stats_stamp): whatever is written to it later has another one. */
void gy_dvc_stats_note_own(struct gy_dvc_stats *s, const struct stat *st, bool legacy,
                           const char *md5);
/* Give the open file such an mtime; false: the file system does not keep it. *ret is its stat then.
 */
bool gy_dvc_stats_stamp(int fd, struct stat *ret);
int64_t gy_dvc_stats_now(void); /* the clock of file times, ns */
/* Write what was noted; nothing when nothing was. Fails: NOSPACE, DENIED, IO, NOMEM. */
GY_CHECKED gy_status gy_dvc_stats_save(struct gy_dvc_stats *s, struct gy_err *err);

#endif

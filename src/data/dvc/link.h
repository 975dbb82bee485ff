/* SPDX-License-Identifier: Apache-2.0 */
/* How a file of the workspace is made from an object of the cache: cache.type, a list of reflink,
 * hardlink, symlink and copy; what the file systems can not do is passed over, as in DVC. */
#ifndef GY_DATA_DVC_LINK_H
#define GY_DATA_DVC_LINK_H

#include <stdatomic.h>

#include "data/dvc/tree.h"

enum gy_dvc_link { GY_DVC_REFLINK, GY_DVC_HARDLINK, GY_DVC_SYMLINK, GY_DVC_COPY };
#define GY_DVC_MAX_LINKS 4

struct gy_dvc_links {
    enum gy_dvc_link types[GY_DVC_MAX_LINKS]; /* in the order in which they are tried */
    size_t n;
    atomic_bool impossible[4]; /* found out on the way */
};

/* Fails: INVALID (an unknown type). */
GY_CHECKED gy_status gy_dvc_links_read(struct gy_dvc_repo *r, struct gy_dvc_links *ret,
                                       struct gy_err *err);
/* Put the object at `object` (absolute) to at/rel, whose folder exists, replacing what is there.
 * Thread safe. md5: for the stat cache. Fails: NOTFOUND, UNSUPPORTED (no type is left), NOSPACE,
 * IO. */
GY_CHECKED gy_status gy_dvc_link(struct gy_dvc_repo *r, struct gy_dvc_links *links,
                                 const char *object, const char *md5, bool legacy, bool is_exec,
                                 int at, const char *rel, struct gy_err *err);
/* Is what stands in the workspace a link of the first type that is possible? Then it stays. object:
 * the path of the object. */
bool gy_dvc_link_fits(const struct gy_dvc_links *links, const struct gy_dvc_file *f,
                      const char *object, int at, const char *rel);
/* Make a file of our own of what is a link to the cache (or just writable). Thread safe. */
GY_CHECKED gy_status gy_dvc_unlink_from_cache(struct gy_dvc_repo *r, int at, const char *rel,
                                              struct gy_err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Lineage: edges between named things, so that from any prediction one walk reaches the revision,
 * the model version, the run, the data, the code and the approver. A node is "kind:id":
 *   data:<sha256>          one dataset version (its canonical bytes)     dataset:<name>/<version>
 * its registry name run:<run_id>           model:<name>/<version> modeldigest:<sha256 of the
 * package> verdict:<uuid>         approval:<uuid>         revision:<endpoint>/<n>        code:<git
 * rev>[+dirty] step:<flow run>/<stage> file:<sha256> An edge points from cause to effect: data ->
 * run -> model -> verdict -> revision. The same edge twice is one edge. */
#ifndef GY_STORE_LINEAGE_H
#define GY_STORE_LINEAGE_H

#include "store/store.h"

#define GY_LINEAGE_MAX_NODE 1024 /* bytes of a node */

/* Inside a write closure. rel: "input", "output", "registered", "judged", "deployed", "shadowed",
 * "approved", "code", "part". */
GY_CHECKED gy_status gy_lineage_add(struct gy_db *db, struct gy_str from, const char *rel,
                                    struct gy_str to, struct gy_str actor, struct gy_err *err);

struct gy_lineage_edge {
    struct gy_str from, rel, to, actor;
    int64_t time_us;
};
/* Everything upstream (or downstream) of node, breadth first, each edge once, at most max edges
 * (TOOBIG beyond). Results live in the arena. Inside a read closure. */
GY_CHECKED gy_status gy_lineage_walk(struct gy_db *db, struct gy_str node, bool upstream,
                                     size_t max, struct gy_arena *a, struct gy_lineage_edge **ret,
                                     size_t *ret_n, struct gy_err *err);
/* The same, but the max nearest edges when there are more. */
GY_CHECKED gy_status gy_lineage_nearest(struct gy_db *db, struct gy_str node, bool upstream,
                                        size_t max, struct gy_arena *a,
                                        struct gy_lineage_edge **ret, size_t *ret_n,
                                        struct gy_err *err);

#endif

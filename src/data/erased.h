/* SPDX-License-Identifier: Apache-2.0 */
/* What came from data of people who were erased since. Inside closures. */
#ifndef GY_DATA_ERASED_H
#define GY_DATA_ERASED_H

#include "store/store.h"

#define GY_ERASED_MAX_NODES 500 /* of lineage that are looked at */

/* "sepsis@1 (2 rows)", ...: versions that the node ("model:sepsis/3", "run:..") came from and that
 * were erased; absent: none. In the arena. */
GY_CHECKED gy_status gy_erased_under(struct gy_db *db, struct gy_str node, struct gy_arena *a,
                                     struct gy_str *ret, struct gy_err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What users.c, tokens.c and workspaces.c share. Inside closures. Not for other rooms. */
#ifndef GY_STORE_USERS_INTERNAL_H
#define GY_STORE_USERS_INTERNAL_H

#include "base/hash.h"
#include "store/users.h"

/* Something servers remember has changed. */
GY_CHECKED gy_status gy_identity_moved(struct gy_db *db, struct gy_err *err);
/* A count that must stay below max: TOOBIG "there are N <what> already". */
GY_CHECKED gy_status gy_identity_bound(struct gy_db *db, const char *sql, const struct gy_val *vals,
                                       size_t n_vals, int64_t max, const char *what,
                                       struct gy_err *err);
GY_CHECKED gy_status gy_user_need(struct gy_db *db, struct gy_str name,
                                  struct gy_err *err); /* NOTFOUND */

#endif

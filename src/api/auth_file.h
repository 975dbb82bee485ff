/* SPDX-License-Identifier: Apache-2.0 */
/* The file of `gyre server --auth FILE`: who may log in, as YAML. Only digests of secrets stand in
 * it. It is applied at the start, whole or not at all (gy_user_file_apply).
 *
 *   workspaces: [team-a]                  # made when absent
 *   users:
 *     - name: alice
 *       password_hash: $argon2id$v=19$... # gyre user hash
 *       roles: {default: admin, team-a: viewer}   # "*": every workspace
 *     - name: ci
 *       service: true
 *       roles: {default: operator}
 *       tokens:
 *         - {sha256: 5e88.., label: pipeline, expires: 2027-01-01T00:00:00Z} */
#ifndef GY_API_AUTH_FILE_H
#define GY_API_AUTH_FILE_H

#include "base/err.h"

#define GY_AUTH_FILE_MAX_USERS 1000
#define GY_AUTH_FILE_MAX_ITEMS 1000 /* roles or tokens of a user, workspaces */

struct gy_store;
/* Read and apply. Fails: NOTFOUND, PARSE, INVALID (with file:line), as gy_store_write. */
GY_CHECKED gy_status gy_auth_file_apply(struct gy_store *store, const char *path,
                                        struct gy_err *err);

#endif

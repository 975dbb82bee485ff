/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of the test's own, with a store on a file in it. scratch_free removes all and wants
 * nothing left in memory. */
#ifndef GY_TESTS_SCRATCH_H
#define GY_TESTS_SCRATCH_H

#include "base/limits.h"
#include "store/sql.h"

struct scratch {
    char dir[64];
    char path[128]; /* dir/gyre.db */
    char url[160];  /* of path, or what the test sets */
    struct gy_store_options options;
    struct gy_store *store; /* NULL until scratch_open */
};

struct scratch *scratch_new(void);
void scratch_open(struct scratch *s); /* closes it first when open; a failure fails the test */
void scratch_close(struct scratch *s);
void scratch_free(struct scratch *s);

/* Run a closure and fail the test with its message when it fails. */
void scratch_write(struct scratch *s, gy_db_fn fn, void *ctx);
void scratch_read(struct scratch *s, gy_db_fn fn, void *ctx);
/* ctx: const char *, one statement. */
gy_status scratch_exec(struct gy_db *db, void *ctx, struct gy_err *err);
int64_t scratch_int(struct scratch *s, const char *sql); /* the one number a query gives */

#endif

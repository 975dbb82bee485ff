/* SPDX-License-Identifier: Apache-2.0 */
/* gy_table: the immutable set of endpoints that is served at one time. Part of serving.h. */
#ifndef GY_SERVE_TABLE_H
#define GY_SERVE_TABLE_H

#include "serve/serving.h"

/* Takes references. Fails: CONFLICT (one name or one alias path twice), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_table_new(struct gy_endpoint *const *endpoints, size_t n,
                                  struct gy_table **ret, struct gy_err *err);
/* A package that one of its endpoints has in memory, with a reference; NULL: none has. */
struct gy_loaded *gy_table_loaded(const struct gy_table *t, struct gy_str digest);
struct gy_table *gy_table_ref(struct gy_table *t);
/* A chain of tables that must outlive something; the chain takes over the caller's reference. */
void gy_table_keep(struct gy_table **chain, struct gy_table *t);
void gy_table_unref_all(struct gy_table *chain);

#endif

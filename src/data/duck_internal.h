/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by data/duck*.c and data/tablefn*.c. */
#ifndef GY_DATA_DUCK_INTERNAL_H
#define GY_DATA_DUCK_INTERNAL_H

#include <pthread.h>

#include "data/duck.h"
#include "data/duck_lib.h"

struct gy_duck {
    duckdb_database database;
    duckdb_connection connection;
    /* MAY be NULL. Called with each statement before it is parsed. */
    gy_status (*before)(void *ctx, struct gy_str statement, struct gy_err *err);
    void *before_ctx;
    pthread_mutex_t lock; /* guards own */
    struct gy_err own;    /* what failed in our own code while DuckDB ran it; OK: nothing */
};

/* Keep the first failure of a callback: DuckDB passes on its text alone. Any thread. */
void gy_duck_keep(struct gy_duck *d, const struct gy_err *failed);

/* The type of a column and of what is inside it. */
struct gy_duck_node {
    enum gy_duck_type type;
    enum gy_duck_type internal; /* of DECIMAL and ENUM */
    uint8_t scale;              /* of DECIMAL */
    uint64_t array_size;
    duckdb_logical_type logical;    /* owned; of ENUM, for its words */
    struct gy_duck_node **children; /* of LIST, ARRAY: one; MAP: key, value; STRUCT, UNION: all */
    char **names;                   /* of STRUCT and UNION; DuckDB's memory */
    size_t n_children;
};
/* Takes the type over. Fails: UNSUPPORTED, NOMEM, TOOBIG (nested too deep). */
GY_CHECKED gy_status gy_duck_node_new(duckdb_logical_type type, int depth,
                                      struct gy_duck_node **ret, struct gy_err *err);
void gy_duck_node_free(struct gy_duck_node *n);
GY_DEFINE_AUTO(struct gy_duck_node *, gy_duck_node_free);
const char *gy_duck_type_name(enum gy_duck_type type);
bool gy_duck_node_text(const struct gy_duck_node *n, duckdb_vector v, uint64_t row,
                       struct gy_buf *out);
void gy_duck_node_json(const struct gy_duck_node *n, duckdb_vector v, uint64_t row,
                       struct gy_jw *w);

static inline bool gy_duck_is_null(const uint64_t *validity, uint64_t row)
{
    return validity && !(validity[row / 64] >> (row % 64) & 1);
}

#endif

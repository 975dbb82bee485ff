/* SPDX-License-Identifier: Apache-2.0 */
/* The search grammar of MLflow as a tokenizer and a small tree, compiled to portable SQL with bound
 * parameters.
 *   filter := (clause | AND)*
 *   clause := ident op value | ident [NOT] IN ('a', 'b') | ident IS [NOT] NULL
 *   ident  := [entity.]key           key in `backticks` or "double quotes" when it is no plain
 * word; op     := = != < <= > >= LIKE ILIKE        the first dot splits, a bare key is an attribute
 *   value  := 'text' | "text" | number
 *   order  := ident [ASC|DESC]
 * Keywords in any case; no OR, NOT, parentheses or ';'. What each kind of search allows (entities,
 * attributes, operators) is a table in search.c. Parsing needs no store and is thread safe; all
 * results are views into the text or live in the arena. All failures are INVALID (NOMEM apart). */
#ifndef GY_TRACK_SEARCH_H
#define GY_TRACK_SEARCH_H

#include "track/track.h"

#define GY_SEARCH_MAX_TEXT (1 << 20)
#define GY_SEARCH_MAX_CLAUSES 100
#define GY_SEARCH_MAX_LIST 10000    /* values in the lists of one filter, together */
#define GY_SEARCH_MAX_PATTERN 10000 /* bytes of a LIKE pattern; databases refuse long ones */
#define GY_SEARCH_MAX_ORDER 20

enum gy_search_kind {
    GY_SEARCH_RUNS,
    GY_SEARCH_EXPERIMENTS,
    GY_SEARCH_MODELS,
    GY_SEARCH_VERSIONS,
    GY_SEARCH_LOGGED_MODELS
};

enum gy_search_entity {
    GY_SEARCH_METRIC,
    GY_SEARCH_PARAM,
    GY_SEARCH_TAG,
    GY_SEARCH_ATTRIBUTE,
    GY_SEARCH_DATASET
};

enum gy_search_op {
    GY_SEARCH_EQ,
    GY_SEARCH_NE,
    GY_SEARCH_LT,
    GY_SEARCH_LE,
    GY_SEARCH_GT,
    GY_SEARCH_GE,
    GY_SEARCH_LIKE,
    GY_SEARCH_ILIKE,
    GY_SEARCH_IN,
    GY_SEARCH_NOT_IN,
    GY_SEARCH_IS_NULL,
    GY_SEARCH_NOT_NULL
};

/* An attribute a kind of search knows: its name in the grammar and the SQL that stands for it. */
struct gy_search_attr {
    const char *name;
    const char *sql; /* NULL ends the table */
    bool numeric;
    bool list;   /* IN and NOT IN are allowed */
    bool filter; /* may stand in a filter, in an order */
    bool order;
};

struct gy_search_clause {
    enum gy_search_entity entity;
    enum gy_search_op op;
    struct gy_str key;
    const struct gy_search_attr *attr; /* entity ATTRIBUTE */
    struct gy_str text;                /* EQ..ILIKE of something that is text */
    double number;                     /* of something that is a number */
    struct gy_str *list;               /* IN, NOT IN */
    size_t n_list;
};

struct gy_search {
    struct gy_search_clause *clauses; /* all must hold */
    size_t n;
};

struct gy_search_order {
    enum gy_search_entity entity;
    struct gy_str key;
    const struct gy_search_attr *attr;
    bool descending;
    struct gy_str dataset_name, dataset_digest; /* logged models: metrics on this dataset only */
};

GY_CHECKED gy_status gy_search_parse(enum gy_search_kind kind, struct gy_str filter,
                                     struct gy_arena *a, struct gy_search *ret, struct gy_err *err);
GY_CHECKED gy_status gy_search_parse_order(enum gy_search_kind kind, const struct gy_str *texts,
                                           size_t n, struct gy_arena *a,
                                           struct gy_search_order **ret, struct gy_err *err);

/* ---- SQL ---- */

/* A statement being written: text and its parameters, in step. */
struct gy_sql_builder {
    struct gy_buf text;
    struct gy_arena *arena;
    struct gy_val *vals;
    size_t n_vals, cap_vals;
    gy_status failed;
};
void gy_sql_init(struct gy_sql_builder *b, struct gy_arena *a);
void gy_sql_done(struct gy_sql_builder *b);
GY_DEFINE_AUTO_DONE(struct gy_sql_builder, gy_sql_done);
void gy_sql_add(struct gy_sql_builder *b, const char *text); /* program text, never data */
void gy_sql_bind(struct gy_sql_builder *b, struct gy_val v); /* adds "?" and its value */
/* Run it; the result is a statement to step. Fails as gy_db_query and with what stuck. */
GY_CHECKED gy_status gy_sql_query(struct gy_sql_builder *b, struct gy_db *db, struct gy_stmt **ret,
                                  struct gy_err *err);

/* Names that the SQL around must give its tables: runs r, experiments e, registered_models m,
 * model_versions v (with m), logged_models l. */
struct gy_search_dataset {
    struct gy_str name, digest; /* digest absent: any */
};
/* Append " AND <condition>" for every clause. Datasets restrict metric clauses of logged models. */
void gy_search_where(struct gy_sql_builder *b, enum gy_search_kind kind, const struct gy_search *s,
                     const struct gy_search_dataset *datasets, size_t n_datasets);
/* "<column> <op> <text or list>", and a metric clause on the columns of a table. */
void gy_search_text_test(struct gy_sql_builder *b, const char *column,
                         const struct gy_search_clause *c);
void gy_search_metric_test(struct gy_sql_builder *b, const char *table,
                           const struct gy_search_clause *c);
/* Append the joins that an order needs (between FROM and WHERE): term i joins as o<i>. The second
 * one leaves out the terms before `first`. */
void gy_search_joins(struct gy_sql_builder *b, enum gy_search_kind kind,
                     const struct gy_search_order *order, size_t n);
void gy_search_joins_from(struct gy_sql_builder *b, enum gy_search_kind kind,
                          const struct gy_search_order *order, size_t first, size_t n);

#endif

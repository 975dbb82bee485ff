/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of a sorted list by the place where the last one ended. A token carries the whole sort
 * tuple of the last row that was given out, down to a unique last term, and a digest of the query
 * it belongs to. So the next page starts behind that row wherever the row is by now: what does not
 * change while a client pages is seen exactly once, whatever others insert, change or delete, and
 * the thousandth page costs what the first one costs.
 *
 * A sort is a list of terms in order of weight. A nullable value takes two: a class (0: a value, 1,
 * 2: what comes last, in both directions), then the value, which counts in class 0 alone; in the
 * others it must be the same for all rows. Tokens are not secret and are not signed: all that they
 * can do is to name a place in a list which their bearer may read; each part of one is checked for
 * its kind before it is bound.
 *
 * Lives in the arena that is passed in; no thread rule of its own. */
#ifndef GY_TRACK_PAGE_H
#define GY_TRACK_PAGE_H

#include "base/hash.h"
#include "track/search.h"

#define GY_PAGE_MAX_TERMS (2 * GY_SEARCH_MAX_ORDER + 4)
#define GY_PAGE_MAX_TOKEN                                                   \
    (1 << 20) /* bytes; texts of 8000 characters stand in tokens as a whole \
               */

struct gy_sort_term {
    const char *sql; /* program text that lives as long as the arena */
    enum gy_val_kind kind;
    bool descending;
    bool is_class; /* of the term behind it */
    bool fixed;    /* the same for all rows of this statement: `sql` is selected, not sorted by */
    const char *lead; /* MAY be NULL: the first 64 characters of the (TEXT) term, as in an index */
};
struct gy_sort {
    struct gy_sort_term terms[GY_PAGE_MAX_TERMS];
    size_t n;
};
void gy_sort_add(struct gy_sort *s, const char *sql, enum gy_val_kind kind, bool descending);
/* The class and the value of a term that may be absent. */
void gy_sort_add_nullable(struct gy_sort *s, const char *class_sql, const char *sql,
                          enum gy_val_kind kind, bool descending);
/* The terms of a parsed order, over the joins of gy_search_joins; one of them alone, which stands
 * at place i. Fails: NOMEM. */
GY_CHECKED gy_status gy_sort_add_one(struct gy_sort *s, const struct gy_search_order *order,
                                     size_t i, struct gy_arena *a, struct gy_err *err);
GY_CHECKED gy_status gy_sort_add_order(struct gy_sort *s, const struct gy_search_order *order,
                                       size_t n, struct gy_arena *a, struct gy_err *err);

/* What a query is about, for the digest in its tokens. The workspace goes in by itself. */
struct gy_page {
    char digest[17];
    struct gy_val *after; /* the tuple of the token; NULL: the first page */
};
/* parts: whatever tells this query from others, in order. Fails: INVALID (the token), NOMEM. */
GY_CHECKED gy_status gy_page_open(struct gy_db *db, const struct gy_sort *s,
                                  const struct gy_str *parts, size_t n_parts, struct gy_str token,
                                  struct gy_arena *a, struct gy_page *ret, struct gy_err *err);
/* As gy_page_open, for a search: its filter, its order and its experiments. */
GY_CHECKED gy_status gy_page_open_search(struct gy_db *db, const struct gy_sort *s,
                                         const char *kind, struct gy_str filter, const int64_t *ids,
                                         size_t n_ids, const struct gy_str *more, size_t n_more,
                                         struct gy_str token, struct gy_arena *a,
                                         struct gy_page *ret, struct gy_err *err);

/* ", <term>, <term>": behind the columns of a SELECT. */
void gy_sort_columns(struct gy_sql_builder *b, const struct gy_sort *s);
/* " AND (<the row comes behind the tuple>)"; nothing without one. */
void gy_sort_after(struct gy_sql_builder *b, const struct gy_sort *s, const struct gy_val *after);
/* " ORDER BY <terms>". */
void gy_sort_order(struct gy_sql_builder *b, const struct gy_sort *s);
/* The tuple of the current row, from its column `first`. Fails: NOMEM. */
GY_CHECKED gy_status gy_sort_read(struct gy_stmt *st, int first, const struct gy_sort *s,
                                  struct gy_arena *a, struct gy_val **ret, struct gy_err *err);
/* The token of the page that ended with this tuple. Fails: NOMEM, TOOBIG. */
GY_CHECKED gy_status gy_page_token(const struct gy_page *p, const struct gy_sort *s,
                                   const struct gy_val *tuple, struct gy_arena *a,
                                   struct gy_str *ret, struct gy_err *err);

#endif

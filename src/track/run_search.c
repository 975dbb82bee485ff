/* SPDX-License-Identifier: Apache-2.0 */
/* The search over runs. There are two ways to answer one, and both cost what the page costs, not
 * what the database holds:
 *   - few: some condition names few runs (at most FEW, counted in its index). They are looked up,
 *     tested against the rest and sorted.
 *   - walk: the index of the first order term is walked from the place where the last page ended,
 *     testing each run, until the page is full. Values of a term that not all runs have come in
 *     phases, a statement each: the runs with a value, those whose metric is NaN, those without.
 * Which one is an estimate: the shares of the conditions, taken as independent, say how many runs a
 * walk would test. */
#include <math.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "store/scope.h"
#include "track/page.h"
#include "track/run_rows.h"

#define FEW 20000    /* runs that are looked up and sorted */
#define AT_LEAST 500 /* as good as none: no need to estimate */
#define NAME_TAG "mlflow.runName"
#define PREFIX 64 /* characters of a value that stand in an index */
#define START "COALESCE(r.start_ms, 0)"
#define CUT(column) "substr(" column ", 1, 64)"
#define LAST_CHARACTER "\xf4\x8f\xbf\xbf" /* U+10FFFF: behind whatever starts with a prefix */

enum { NOT_DRIVEN = -1, BY_EXPERIMENT = -2 };

struct search {
    struct gy_db *db;
    const struct gy_run_query *q;
    struct gy_arena *arena;
    struct gy_search filter;
    struct gy_search_order *order;
    int64_t *experiments; /* those of q that are of this workspace */
    size_t n_experiments;
    struct gy_sort sort;
    struct gy_page page;
    int driver;             /* the clause that names few runs, or one of the above */
    struct gy_buf *explain; /* NULL: run the statements */
};

/* ---- conditions ---- */

static void add_list(struct gy_sql_builder *b, const int64_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        gy_sql_add(b, i ? ", " : "(");
        gy_sql_bind(b, gy_vi(ids[i]));
    }
    gy_sql_add(b, ")");
}

/* The experiments and the view. `indexed`: by the index that starts with them; else in a form that
 * no index fits, so that the one of the order is taken. */
static void where_place(struct gy_sql_builder *b, const struct search *s, bool indexed)
{
    gy_sql_add(b, indexed ? " AND r.experiment_id" : " AND (r.experiment_id + 0)");
    if (s->n_experiments == 1) {
        gy_sql_add(b, " = ");
        gy_sql_bind(b, gy_vi(s->experiments[0]));
    } else {
        gy_sql_add(b, " IN ");
        add_list(b, s->experiments, s->n_experiments);
    }
    if (s->q->view != GY_VIEW_ALL) {
        gy_sql_add(b, indexed ? " AND r.deleted = " : " AND (r.deleted + 0) = ");
        gy_sql_bind(b, gy_vi(s->q->view == GY_VIEW_DELETED));
    }
}

static const char *table_of(enum gy_search_entity e)
{
    return e == GY_SEARCH_METRIC ? "latest_metrics"
           : e == GY_SEARCH_TAG  ? "run_tags"
                                 : "run_params";
}

static void where_key(struct gy_sql_builder *b, const char *alias, enum gy_search_entity e,
                      struct gy_str key)
{
    gy_sql_add(b, alias);
    if (e == GY_SEARCH_METRIC) {
        gy_sql_add(b, ".key = (SELECT id FROM metric_keys WHERE name = ");
        gy_sql_bind(b, gy_vs(key));
        gy_sql_add(b, ")");
    } else {
        gy_sql_add(b, ".key = ");
        gy_sql_bind(b, gy_vs(key));
    }
}

/* What a LIKE pattern starts with before its first wildcard, at most PREFIX characters. */
static struct gy_str like_prefix(struct gy_str pattern)
{
    size_t n = 0;
    while (n < pattern.n && pattern.p[n] != '%' && pattern.p[n] != '_') {
        n++;
    }
    return gy_track_cut(gy_str_sub(pattern, 0, n), PREFIX);
}

/* The part of a text test that the index over (key, first characters of the value) answers. */
static gy_status where_cut(struct gy_sql_builder *b, const char *cut,
                           const struct gy_search_clause *c, struct gy_arena *a, struct gy_err *err)
{
    struct gy_str prefix = c->op == GY_SEARCH_LIKE ? like_prefix(c->text) : GY_STR("");
    if (c->op == GY_SEARCH_EQ) {
        gy_sql_add(b, " AND ");
        gy_sql_add(b, cut);
        gy_sql_add(b, " = ");
        gy_sql_bind(b, gy_vs(gy_track_cut(c->text, PREFIX)));
    } else if (prefix.n > 0) {
        const char *end = gy_arena_printf(a, "%" GY_STR_F LAST_CHARACTER, GY_STR_A(prefix));
        if (!end) {
            return gy_track_nomem(err);
        }
        gy_sql_add(b, " AND ");
        gy_sql_add(b, cut);
        gy_sql_add(b, " >= ");
        gy_sql_bind(b, gy_vs(prefix));
        gy_sql_add(b, " AND ");
        gy_sql_add(b, cut);
        gy_sql_add(b, " <= ");
        gy_sql_bind(b, gy_vc(end));
    }
    return GY_OK;
}

static bool is_pair(const struct gy_search_clause *c)
{
    return (c->entity == GY_SEARCH_PARAM || c->entity == GY_SEARCH_TAG ||
            c->entity == GY_SEARCH_METRIC) &&
           c->op != GY_SEARCH_IS_NULL;
}

static bool has_index(const struct gy_search_attr *attr)
{
    static const char *const columns[] = {"r.id", "r.status", "r.user_id", "r.start_ms",
                                          "r.end_ms"};
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        if (strcmp(attr->sql, columns[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Can the clause lead to its runs through an index? */
static bool may_drive(const struct gy_search_clause *c)
{
    bool narrow = c->op != GY_SEARCH_NE && c->op != GY_SEARCH_NOT_IN && c->op != GY_SEARCH_LIKE &&
                  c->op != GY_SEARCH_ILIKE;
    return is_pair(c) || (c->entity == GY_SEARCH_ATTRIBUTE && narrow && has_index(c->attr));
}

/* "FROM <the driver's table, as d or r> .. WHERE <its condition>". With runs beside it: as r. */
static gy_status add_driver(struct gy_sql_builder *b, const struct search *s, int driver,
                            bool with_runs, struct gy_err *err)
{
    const struct gy_search_clause *c = driver >= 0 ? &s->filter.clauses[driver] : NULL;
    struct gy_search only = {(struct gy_search_clause *)c, 1};
    if (!c || !is_pair(c)) {
        gy_sql_add(b, " FROM runs r");
        if (with_runs) {
            gy_search_joins(b, GY_SEARCH_RUNS, s->order, s->q->n_order_by);
        }
        gy_sql_add(b, " WHERE 1 = 1");
        if (c) {
            gy_search_where(b, GY_SEARCH_RUNS, &only, NULL, 0);
        } else if (!with_runs) {
            where_place(b, s, true);
        }
        return GY_OK;
    }
    gy_sql_add(b, " FROM ");
    gy_sql_add(b, table_of(c->entity));
    gy_sql_add(b, with_runs ? " d CROSS JOIN runs r" : " d");
    if (with_runs) {
        gy_search_joins(b, GY_SEARCH_RUNS, s->order, s->q->n_order_by);
    }
    gy_sql_add(b, " WHERE ");
    where_key(b, "d", c->entity, c->key);
    if (c->entity == GY_SEARCH_METRIC) {
        gy_sql_add(b, " AND ");
        gy_search_metric_test(b, "d", c);
    } else if (c->op != GY_SEARCH_NOT_NULL) {
        GY_TRY(where_cut(b, CUT("d.value"), c, s->arena, err));
        /* Counting reads the index alone. A plain "d.value = ?" would be put into the term of the
         * index by SQLite, which then finds it there no longer. */
        if (with_runs) {
            gy_sql_add(b, " AND ");
            gy_search_text_test(b, "(d.value || '')", c);
        }
    }
    gy_sql_add(b, with_runs ? " AND r.seq = d.run" : "");
    return GY_OK;
}

/* ---- which way ---- */

/* How many runs the driver names, limit + 1 for all that is more. A test that no index can answer
 * is left out: how many have the key bounds it. */
static gy_status count_few(const struct search *s, int driver, int64_t limit, int64_t *ret,
                           struct gy_err *err)
{
    GY_AUTO_DONE(gy_sql_done) struct gy_sql_builder b;
    gy_sql_init(&b, s->arena);
    gy_sql_add(&b, "SELECT COUNT(*) FROM (SELECT 1");
    GY_TRY(add_driver(&b, s, driver, false, err));
    gy_sql_add(&b, " LIMIT ");
    gy_sql_bind(&b, gy_vi(limit + 1));
    gy_sql_add(&b, ") few");
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_sql_query(&b, s->db, &st, err));
    bool row = false;
    GY_TRY(gy_stmt_step(st, &row, err));
    *ret = row ? gy_col_i64(st, 0) : 0;
    return GY_OK;
}

/* Is the order the one of the index over an experiment's runs? */
static bool walks_experiment(const struct search *s)
{
    return s->n_experiments == 1 && s->q->view != GY_VIEW_ALL &&
           s->sort.terms[0].kind == GY_VAL_INT && strcmp(s->sort.terms[0].sql, START) == 0;
}

static gy_status choose(struct search *s, struct gy_err *err)
{
    int64_t all = 0, fewest = FEW + 1;
    bool found = false;
    s->driver = s->q->way == GY_RUN_SORT ? BY_EXPERIMENT : NOT_DRIVEN;
    for (int i = 0; s->q->way == GY_RUN_BY_FILTER && i < (int)s->filter.n; i++) {
        s->driver = may_drive(&s->filter.clauses[i]) ? i : s->driver;
    }
    if (s->q->way != GY_RUN_CHOOSE || (walks_experiment(s) && s->filter.n == 0)) {
        return GY_OK;
    }
    GY_TRY(gy_db_get_i64(s->db, "SELECT COALESCE(MAX(seq), 0) FROM runs", GY_NO_VALS, &found, &all,
                         err));
    /* First whether any condition names next to none, then by how much they differ. The experiment
     * comes last: mostly it holds more than the others. */
    double share = 1, runs = (double)(all > 0 ? all : 1);
    int n_drivers = (int)s->filter.n + !walks_experiment(s);
    for (int i = 0; n_drivers > 0 && i < 2 * n_drivers; i++) {
        int driver = i % n_drivers == (int)s->filter.n ? BY_EXPERIMENT : i % n_drivers;
        bool counted = i >= n_drivers;
        int64_t n = 0, limit = !counted ? AT_LEAST : 2 * fewest < FEW ? 2 * fewest : FEW;
        if (driver >= 0 && !may_drive(&s->filter.clauses[driver])) {
            continue;
        }
        GY_TRY(count_few(s, driver, limit, &n, err));
        if (n < fewest && n <= limit) {
            fewest = n;
            s->driver = driver;
        }
        if (!counted && n <= limit) {
            return GY_OK;
        }
        if (counted) {
            /* More than were counted: nobody knows how many; an experiment is mostly the half. */
            double least = n <= limit ? 0 : driver == BY_EXPERIMENT ? 0.5 : 0.2;
            share *= fmin(1, fmax((double)n / runs, least));
        }
    }
    double walked = fmin(runs, ((double)s->q->max_results + 1) / fmax(share, 1e-9));
    if ((double)fewest > walked) {
        s->driver = NOT_DRIVEN;
    }
    return GY_OK;
}

/* ---- statements ---- */

/* The clauses but the driver, in a form that no index of runs fits. */
static gy_status where_rest(struct gy_sql_builder *b, const struct search *s, struct gy_err *err)
{
    struct gy_search rest = {gy_arena_calloc(s->arena, s->filter.n + 1, sizeof *rest.clauses), 0};
    if (!rest.clauses) {
        return gy_track_nomem(err);
    }
    for (size_t i = 0; i < s->filter.n; i++) {
        if ((int)i == s->driver) {
            continue;
        }
        struct gy_search_clause *c = &rest.clauses[rest.n++];
        *c = s->filter.clauses[i];
        if (c->attr) {
            struct gy_search_attr *attr = gy_arena_calloc(s->arena, 1, sizeof *attr);
            char *sql = gy_arena_printf(s->arena, c->attr->numeric ? "(%s + 0)" : "(%s || '')",
                                        c->attr->sql);
            if (!attr || !sql) {
                return gy_track_nomem(err);
            }
            *attr = *c->attr;
            attr->sql = sql;
            c->attr = attr;
        }
    }
    gy_search_where(b, GY_SEARCH_RUNS, &rest, NULL, 0);
    return GY_OK;
}

static gy_status finish(struct gy_sql_builder *b, const struct search *s,
                        const struct gy_sort *sort, bool after, int64_t limit, struct gy_err *err)
{
    GY_TRY(where_rest(b, s, err));
    gy_sort_after(b, sort, after ? s->page.after : NULL);
    gy_sort_order(b, sort);
    gy_sql_add(b, " LIMIT ");
    gy_sql_bind(b, gy_vi(limit));
    return GY_OK;
}

static gy_status few_statement(struct gy_sql_builder *b, const struct search *s, int64_t limit,
                               struct gy_err *err)
{
    gy_sql_add(b, "SELECT " GY_RUN_COLUMNS);
    gy_sort_columns(b, &s->sort);
    GY_TRY(add_driver(b, s, s->driver, true, err));
    where_place(b, s, s->driver == BY_EXPERIMENT);
    return finish(b, s, &s->sort, true, limit, err);
}

/* The sort of one phase: the class of the first term is settled, and its value, too, where it has
 * none. */
static struct gy_sort phase_sort(const struct search *s, int phase)
{
    static const char *const classes[] = {"0", "1", "2"};
    struct gy_sort sort = s->sort;
    if (!sort.terms[0].is_class) {
        return sort;
    }
    sort.terms[0].sql = classes[phase];
    sort.terms[0].fixed = true;
    if (phase > 0) {
        sort.terms[1].sql = "NULL";
        sort.terms[1].fixed = true;
    } else if (s->order[0].entity == GY_SEARCH_PARAM || s->order[0].entity == GY_SEARCH_TAG) {
        sort.terms[1].lead = CUT("o0.value");
    } else if (strcmp(sort.terms[1].sql, "r.name") == 0) {
        sort.terms[1].lead = CUT("r.name");
    }
    return sort;
}

/* FROM and WHERE of a walk. A metric, param or tag that leads the order is walked in its own index;
 * runs without it are those of the last phase. */
static void walk_source(struct gy_sql_builder *b, const struct search *s, int phase)
{
    const struct gy_search_order *o = s->q->n_order_by ? &s->order[0] : NULL;
    size_t n = s->q->n_order_by;
    bool pair = o && !o->attr;
    bool missing = pair && phase == (o->entity == GY_SEARCH_METRIC ? 2 : 1);
    if (pair && !missing) {
        gy_sql_add(b, " FROM ");
        gy_sql_add(b, table_of(o->entity));
        gy_sql_add(b, " o0 CROSS JOIN runs r");
        gy_search_joins_from(b, GY_SEARCH_RUNS, s->order, 1, n);
        gy_sql_add(b, " WHERE ");
        where_key(b, "o0", o->entity, o->key);
        gy_sql_add(b, o->entity != GY_SEARCH_METRIC ? ""
                      : phase == 0                  ? " AND o0.is_nan = 0"
                                                    : " AND o0.is_nan = 1");
        gy_sql_add(b, " AND r.seq = o0.run");
        return;
    }
    gy_sql_add(b, " FROM runs r");
    gy_search_joins_from(b, GY_SEARCH_RUNS, s->order, o ? 1 : 0, n);
    gy_sql_add(b, " WHERE 1 = 1");
    if (missing) {
        gy_sql_add(b, " AND NOT EXISTS (SELECT 1 FROM ");
        gy_sql_add(b, table_of(o->entity));
        gy_sql_add(b, " x WHERE x.run = r.seq AND ");
        where_key(b, "x", o->entity, o->key);
        gy_sql_add(b, ")");
    } else if (o && s->sort.terms[0].is_class) {
        gy_sql_add(b, " AND ");
        gy_sql_add(b, o->attr->sql);
        gy_sql_add(b, phase == 0 ? " IS NOT NULL" : " IS NULL");
    }
}

static gy_status walk_statement(struct gy_sql_builder *b, const struct search *s, int phase,
                                int64_t limit, struct gy_sort *ret_sort, struct gy_err *err)
{
    bool after = s->page.after && (!s->sort.terms[0].is_class || s->page.after[0].i == phase);
    *ret_sort = phase_sort(s, phase);
    gy_sql_add(b, "SELECT " GY_RUN_COLUMNS);
    gy_sort_columns(b, ret_sort);
    walk_source(b, s, phase);
    /* Where the order goes on with the start of the runs, the index of the experiment has it. */
    bool by_start = !ret_sort->terms[0].fixed || ret_sort->terms[1].fixed;
    by_start = by_start && s->n_experiments == 1 && s->q->view != GY_VIEW_ALL &&
               strcmp(ret_sort->terms[ret_sort->terms[0].fixed ? 2 : 0].sql, START) == 0;
    where_place(b, s, by_start);
    return finish(b, s, ret_sort, after, limit, err);
}

/* ---- rows ---- */

/* Runs wait here until there are enough of them to load their data at once. */
struct rows {
    struct gy_run runs[GY_RUN_LOAD_MAX];
    struct gy_val *tuples[GY_RUN_LOAD_MAX];
    size_t n;
    struct gy_arena arena; /* of the runs above */
    gy_run_fn fn;
    void *ctx;
    int64_t given; /* to fn */
    bool full;
    struct gy_str token; /* of what was given last; in the search's arena */
};

/* Load what waits and give it out. `more`: there are others behind these. */
static gy_status give(const struct search *s, struct rows *w, bool more, struct gy_err *err)
{
    GY_TRY(gy_runs_load(s->db, w->runs, w->n, &w->arena, err));
    for (size_t i = 0; i < w->n && !w->full; i++) {
        GY_TRY(w->fn(w->ctx, &w->runs[i], &w->full, err));
        w->given++;
        w->full = w->full || w->given == s->q->max_results;
        if (w->full && (more || i + 1 < w->n)) {
            GY_TRY(gy_page_token(&s->page, &s->sort, w->tuples[i], s->arena, &w->token, err));
        }
    }
    w->n = 0;
    gy_arena_reset(&w->arena);
    return GY_OK;
}

static gy_status take_rows(const struct search *s, struct gy_sql_builder *b,
                           const struct gy_sort *sort, struct rows *w, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_sql_query(b, s->db, &st, err));
    while (!w->full) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        if (w->n == GY_RUN_LOAD_MAX || w->given + (int64_t)w->n == s->q->max_results) {
            GY_TRY(give(s, w, true, err));
            if (w->full) {
                return GY_OK;
            }
        }
        GY_TRY(gy_run_read_row(st, &w->arena, &w->runs[w->n], err));
        GY_TRY(gy_sort_read(st, GY_RUN_N_COLUMNS, sort, &w->arena, &w->tuples[w->n], err));
        w->n++;
    }
    return GY_OK;
}

/* The statement and SQLite's plan for it, a line each. */
static gy_status explain(const struct search *s, struct gy_sql_builder *b, struct gy_err *err)
{
    gy_buf_addf(s->explain, "%s\n", b->text.p);
    GY_AUTO_DONE(gy_sql_done) struct gy_sql_builder x;
    gy_sql_init(&x, s->arena);
    gy_sql_add(&x, "EXPLAIN QUERY PLAN ");
    gy_sql_add(&x, b->text.p);
    x.vals = b->vals;
    x.n_vals = b->n_vals;
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_sql_query(&x, s->db, &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return gy_buf_check(s->explain, "a plan", err);
        }
        gy_buf_addf(s->explain, "  %" GY_STR_F "\n", GY_STR_A(gy_col_str(st, 3)));
    }
}

static gy_status run_phases(struct search *s, struct rows *w, struct gy_err *err)
{
    bool phased = s->driver == NOT_DRIVEN && s->sort.terms[0].is_class;
    int last = !phased ? 0 : s->order[0].entity == GY_SEARCH_METRIC ? 2 : 1;
    int first = phased && s->page.after ? (int)s->page.after[0].i : 0;
    for (int phase = first; phase <= last && !w->full; phase++) {
        GY_AUTO_DONE(gy_sql_done) struct gy_sql_builder b;
        gy_sql_init(&b, s->arena);
        struct gy_sort sort = s->sort;
        /* One more than fits tells whether a page follows. */
        int64_t limit = s->q->max_results + 1 - w->given - (int64_t)w->n;
        GY_TRY(s->driver == NOT_DRIVEN ? walk_statement(&b, s, phase, limit, &sort, err)
                                       : few_statement(&b, s, limit, err));
        GY_TRY(s->explain ? explain(s, &b, err) : take_rows(s, &b, &sort, w, err));
    }
    return w->full ? GY_OK : give(s, w, false, err);
}

/* ---- the query ---- */

/* Only experiments of this workspace are searched. */
static gy_status find_experiments(struct search *s, struct gy_err *err)
{
    const struct gy_run_query *q = s->q;
    s->experiments = gy_arena_calloc(s->arena, q->n_experiment_ids + 1, sizeof *s->experiments);
    if (!s->experiments) {
        return gy_track_nomem(err);
    }
    if (q->n_experiment_ids == 0) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_sql_done) struct gy_sql_builder b;
    gy_sql_init(&b, s->arena);
    gy_sql_add(&b, "SELECT id FROM experiments WHERE workspace_id = ");
    gy_sql_bind(&b, gy_vs(gy_db_workspace(s->db)));
    gy_sql_add(&b, " AND id IN ");
    add_list(&b, q->experiment_ids, q->n_experiment_ids);
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_sql_query(&b, s->db, &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        GY_REQUIRE(s->n_experiments < q->n_experiment_ids); /* ids are unique */
        s->experiments[s->n_experiments++] = gy_col_i64(st, 0);
    }
}

/* The name of a run is what its tag says. */
static void name_is_tag(struct gy_search *filter)
{
    for (size_t i = 0; i < filter->n; i++) {
        struct gy_search_clause *c = &filter->clauses[i];
        if (c->attr && strcmp(c->attr->sql, "r.name") == 0) {
            c->attr = NULL;
            c->entity = GY_SEARCH_TAG;
            c->key = GY_STR(NAME_TAG);
        }
    }
}

static gy_status make_sort(struct search *s, struct gy_err *err)
{
    bool has_start = false;
    for (size_t i = 0; i < s->q->n_order_by; i++) {
        const struct gy_search_order *o = &s->order[i];
        if (o->attr && strcmp(o->attr->sql, "r.start_ms") == 0) {
            gy_sort_add(&s->sort, START, GY_VAL_INT, o->descending);
            has_start = true;
        } else {
            GY_TRY(gy_sort_add_one(&s->sort, o, i, s->arena, err));
        }
    }
    if (!has_start) {
        gy_sort_add(&s->sort, START, GY_VAL_INT, true);
    }
    gy_sort_add(&s->sort, "r.id", GY_VAL_TEXT, false);
    return GY_OK;
}

static gy_status open_search(struct search *s, struct gy_err *err)
{
    const struct gy_run_query *q = s->q;
    GY_TRY(gy_search_parse(GY_SEARCH_RUNS, q->filter, s->arena, &s->filter, err));
    GY_TRY(gy_search_parse_order(GY_SEARCH_RUNS, q->order_by, q->n_order_by, s->arena, &s->order,
                                 err));
    name_is_tag(&s->filter);
    GY_TRY(make_sort(s, err));
    char view[8];
    snprintf(view, sizeof view, "%d", (int)q->view);
    struct gy_str parts[GY_SEARCH_MAX_ORDER + 1] = {gy_str_c(view)};
    for (size_t i = 0; i < q->n_order_by; i++) {
        parts[i + 1] = q->order_by[i];
    }
    GY_TRY(gy_page_open_search(s->db, &s->sort, "runs", q->filter, q->experiment_ids,
                               q->n_experiment_ids, parts, q->n_order_by + 1, q->page_token,
                               s->arena, &s->page, err));
    GY_TRY(find_experiments(s, err));
    return s->n_experiments > 0 ? choose(s, err) : GY_OK;
}

gy_status gy_run_search(struct gy_db *db, const struct gy_run_query *q, struct gy_arena *a,
                        gy_run_fn fn, void *ctx, struct gy_str *ret_token, struct gy_err *err)
{
    struct search s = {.db = db, .q = q, .arena = a};
    *ret_token = GY_STR_NULL;
    GY_TRY(open_search(&s, err));
    if (s.n_experiments == 0) {
        return GY_OK;
    }
    struct rows w = {.fn = fn, .ctx = ctx};
    gy_arena_init(&w.arena, GY_MAX_REQUEST_ARENA);
    gy_status status = run_phases(&s, &w, err);
    gy_arena_done(&w.arena);
    *ret_token = w.token;
    return status;
}

gy_status gy_run_search_explain(struct gy_db *db, const struct gy_run_query *q, struct gy_arena *a,
                                struct gy_buf *out, struct gy_err *err)
{
    struct search s = {.db = db, .q = q, .arena = a, .explain = out};
    struct rows w = {.n = 0};
    GY_TRY(open_search(&s, err));
    return s.n_experiments > 0 ? run_phases(&s, &w, err) : GY_OK;
}

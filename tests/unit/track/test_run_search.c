/* SPDX-License-Identifier: Apache-2.0 */
/* The search over runs: all its ways give the same runs in the same order, pages put together are
 * the whole, whatever others write meanwhile, tokens belong to their query, and the plans of SQLite
 * are the ones that make it fast. */
#include "unit.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "store/scope.h"
#include "track/experiments.h"
#include "track/run_rows.h"
#include "track/track.h"

#define N_RUNS 230
#define MAX_FOUND 1000

struct world {
    char dir[64];
    struct gy_store *store;
    int64_t other; /* a second experiment */
};

/* A closure with what it needs. */
struct call {
    gy_status (*fn)(struct gy_db *db, struct call *c, struct gy_err *err);
    struct world *w;
    struct gy_arena arena;
    struct gy_run_query q;
    char ids[MAX_FOUND][40];
    size_t n;
    struct gy_str token;
    char *text;
    int number;
};

static gy_status closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return c->fn(db, c, err);
}

static unsigned g_seed;

static unsigned draw(unsigned n)
{
    g_seed = g_seed * 1103515245u + 12345u;
    return (g_seed >> 8) % n;
}

/* ---- data ---- */

static gy_status add_run(struct gy_db *db, int64_t experiment, int i, struct gy_arena *a,
                         struct gy_err *err)
{
    char value[100], note[200];
    struct gy_run r;
    struct gy_run_new in = {.experiment_id = experiment,
                            .user_id = gy_str_c(i % 3 ? "ann" : "bob"),
                            .start_ms = i % 11 == 0 ? 0 : 1000 + (int)draw(40)};
    GY_TRY(gy_run_create(db, &in, GY_STR("t"), a, &r, err));
    struct gy_metric m[3] = {
        {.key = GY_STR("a"), .value = i % 7 == 0 ? NAN : (double)draw(30) / 4, .ts_ms = 1},
        {.key = GY_STR("b"), .value = (double)draw(1000), .ts_ms = 1},
        {.key = GY_STR("c c"), .value = -(double)draw(5), .ts_ms = 1},
    };
    snprintf(value, sizeof value, "v%u", draw(6));
    /* Beyond the 64 characters that stand in the index. */
    memset(note, 'n', 80);
    snprintf(note + 80, sizeof note - 80, "%u", draw(4));
    struct gy_tag params[2] = {{GY_STR("p"), gy_str_c(value)}, {GY_STR("long"), gy_str_c(note)}};
    struct gy_tag tags[1] = {{GY_STR("t"), gy_str_c(i % 2 ? "Odd" : "even")}};
    struct gy_run_batch batch = {m, i % 5 == 0 ? 0 : 1 + draw(3), params, draw(3), tags, draw(2)};
    GY_TRY(gy_run_log(db, r.id, &batch, false, GY_STR("t"), err));
    if (i % 4 == 0) {
        struct gy_run_change change = {.status = GY_STR("FINISHED"), .end_ms = 5000 + (int)draw(9)};
        GY_TRY(gy_run_update(db, r.id, &change, err));
    }
    return i % 13 == 0 ? gy_run_set_deleted(db, r.id, true, err) : GY_OK;
}

static gy_status fill(struct gy_db *db, struct call *c, struct gy_err *err)
{
    GY_TRY(gy_experiment_create(db, GY_STR("other"), GY_STR_NULL, NULL, 0, GY_STR("t"), &c->arena,
                                &c->w->other, err));
    for (int i = 0; i < N_RUNS; i++) {
        GY_TRY(add_run(db, i % 6 == 0 ? c->w->other : 0, i, &c->arena, err));
    }
    return GY_OK;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct gy_err err = GY_ERR_INIT;
    char url[128];
    snprintf(w->dir, sizeof w->dir, "/tmp/gyre-search-XXXXXX");
    if (!mkdtemp(w->dir)) {
        return -1;
    }
    snprintf(url, sizeof url, "sqlite://%s/gyre.db", w->dir);
    struct gy_store_options o = {.url = url};
    struct call *c = calloc(1, sizeof *c);
    c->fn = fill;
    c->w = w;
    gy_arena_init(&c->arena, 64 << 20);
    g_seed = 7;
    if (gy_store_open(&o, &w->store, &err) != GY_OK ||
        gy_experiments_init(w->store, &err) != GY_OK ||
        gy_store_write(w->store, closure, c, &err) != GY_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return -1;
    }
    gy_arena_done(&c->arena);
    free(c);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    gy_store_free(w->store);
    gy_status removed = gy_dir_remove(w->dir, NULL);
    free(w);
    return removed == GY_OK ? 0 : -1;
}

/* ---- asking ---- */

static gy_status take(void *ctx, const struct gy_run *r, bool *ret_full, struct gy_err *err)
{
    struct call *c = ctx;
    (void)ret_full;
    if (c->n == MAX_FOUND) {
        return gy_err_set(err, GY_E_TOOBIG, "too many");
    }
    snprintf(c->ids[c->n++], sizeof c->ids[0], "%" GY_STR_F, GY_STR_A(r->id));
    return GY_OK;
}

static gy_status search_once(struct gy_db *db, struct call *c, struct gy_err *err)
{
    return gy_run_search(db, &c->q, &c->arena, take, c, &c->token, err);
}

/* All pages of a query, one behind the other, into c->ids. */
static gy_status ask(struct world *w, struct call *c, struct gy_err *err)
{
    c->fn = search_once;
    c->n = 0;
    char *token = NULL;
    gy_status status = GY_OK;
    do {
        gy_arena_init(&c->arena, 64 << 20);
        c->q.page_token = gy_str_c(token);
        status = gy_store_read(w->store, closure, c, err);
        free(token);
        token = status == GY_OK && c->token.p ? strndup(c->token.p, c->token.n) : NULL;
        gy_arena_done(&c->arena);
    } while (token);
    return status;
}

static const char *const filters[] = {
    "",
    "metrics.a > 2",
    "metrics.a != 2",
    "metrics.`c c` <= -1 AND params.p = 'v1'",
    "params.p != 'v3'",
    "params.p LIKE 'v%'",
    "params.p ILIKE 'V2'",
    "params.long LIKE 'nnn%1'",
    "tags.t = 'Odd'",
    "tags.t IS NULL",
    "params.p IS NOT NULL AND tags.t IS NOT NULL",
    "attributes.status = 'FINISHED'",
    "attributes.user_id != 'ann'",
    "start_time >= 1010 AND start_time < 1030",
    "run_name LIKE '%-1%'",
    "metrics.nowhere > 1",
};
static const char *const orders[] = {
    "metrics.a",      "metrics.a DESC", "metrics.b DESC",    "metrics.nowhere",
    "params.p ASC",   "params.p DESC",  "params.long DESC",  "tags.t",
    "start_time ASC", "end_time DESC",  "attributes.status", "attributes.run_name",
    "run_id DESC",    "user_id",        "artifact_uri",
};
#define COUNT(list) (sizeof(list) / sizeof(list)[0])

/* A query: no order, one, or two of them. */
static void make_query(struct call *c, struct world *w, const int64_t *ids, struct gy_str order[2])
{
    unsigned first = draw(COUNT(orders) + 1), second = draw(COUNT(orders));
    size_t n = first < COUNT(orders);
    (void)w;
    order[0] = n ? gy_str_c(orders[first]) : GY_STR_NULL;
    if (n && draw(2) && strncmp(orders[first], orders[second], 8) != 0) {
        order[n++] = gy_str_c(orders[second]);
    }
    c->q = (struct gy_run_query){.experiment_ids = ids,
                                 .n_experiment_ids = 1 + draw(2),
                                 .view = (enum gy_view)draw(3),
                                 .filter = gy_str_c(filters[draw(COUNT(filters))]),
                                 .order_by = order,
                                 .n_order_by = n,
                                 .max_results = MAX_FOUND};
}

static void must_equal(const struct call *x, const struct call *y, const char *how)
{
    bool same = x->n == y->n;
    for (size_t i = 0; same && i < x->n; i++) {
        same = strcmp(x->ids[i], y->ids[i]) == 0;
    }
    if (!same) {
        fail_msg("%s: %zu runs and %zu: filter '%.*s' order '%.*s' '%.*s' view %d in %zu", how,
                 x->n, y->n, (int)x->q.filter.n, x->q.filter.p,
                 x->q.n_order_by > 0 ? (int)x->q.order_by[0].n : 0,
                 x->q.n_order_by > 0 ? x->q.order_by[0].p : "",
                 x->q.n_order_by > 1 ? (int)x->q.order_by[1].n : 0,
                 x->q.n_order_by > 1 ? x->q.order_by[1].p : "", (int)x->q.view,
                 x->q.n_experiment_ids);
    }
}

static void all_ways_and_all_page_sizes_give_the_same(void **state)
{
    struct world *w = *state;
    struct call *whole = calloc(1, sizeof *whole), *pages = calloc(1, sizeof *pages);
    struct gy_err err = GY_ERR_INIT;
    const int64_t ids[2] = {0, w->other};
    size_t found = 0;
    g_seed = 99;
    for (int i = 0; i < 400; i++) {
        struct gy_str order[2];
        make_query(whole, w, ids, order);
        pages->q = whole->q;
        whole->q.way = GY_RUN_SORT;
        assert_status(GY_OK, ask(w, whole, &err), err);
        pages->q.max_results = 1 + draw(50);
        pages->q.way = GY_RUN_WALK;
        assert_status(GY_OK, ask(w, pages, &err), err);
        must_equal(whole, pages, "walked in pages");
        pages->q.way = GY_RUN_CHOOSE;
        assert_status(GY_OK, ask(w, pages, &err), err);
        must_equal(whole, pages, "chosen in pages");
        pages->q.way = GY_RUN_SORT;
        assert_status(GY_OK, ask(w, pages, &err), err);
        must_equal(whole, pages, "sorted in pages");
        pages->q.way = GY_RUN_BY_FILTER;
        assert_status(GY_OK, ask(w, pages, &err), err);
        must_equal(whole, pages, "by the filter in pages");
        found += whole->n;
    }
    assert_true(found > 5000); /* the queries found something */
    free(whole);
    free(pages);
}

/* ---- tokens ---- */

static gy_status first_page(struct world *w, struct call *c, struct gy_str token,
                            struct gy_err *err)
{
    gy_arena_init(&c->arena, 64 << 20);
    c->fn = search_once;
    c->n = 0;
    c->q.page_token = token;
    return gy_store_read(w->store, closure, c, err);
}

static void a_token_belongs_to_its_query(void **state)
{
    struct world *w = *state;
    struct call *c = calloc(1, sizeof *c);
    struct gy_err err = GY_ERR_INIT;
    const int64_t ids[2] = {0, w->other};
    struct gy_str order[2] = {GY_STR("metrics.a DESC"), GY_STR("params.p")};
    const struct gy_run_query q = {.experiment_ids = ids,
                                   .n_experiment_ids = 1,
                                   .order_by = order,
                                   .n_order_by = 1,
                                   .max_results = 10};
    c->q = q;
    assert_status(GY_OK, first_page(w, c, GY_STR_NULL, &err), err);
    assert_true(c->token.n > 0);
    char *token = strndup(c->token.p, c->token.n);
    gy_arena_done(&c->arena);
    c->q.max_results = 17; /* another size is no other query */
    assert_status(GY_OK, first_page(w, c, gy_str_c(token), &err), err);
    gy_arena_done(&c->arena);

    for (int i = 0; i < 5; i++) {
        struct gy_scope elsewhere = {.workspace = GY_STR("elsewhere")};
        c->q = q;
        c->q.n_experiment_ids += i == 0;
        c->q.view = i == 1 ? GY_VIEW_ALL : q.view;
        c->q.filter = i == 2 ? GY_STR("metrics.a > 0") : q.filter;
        c->q.n_order_by += i == 3;
        if (i == 4) {
            gy_scope_enter(&elsewhere);
        }
        assert_int_equal(first_page(w, c, gy_str_c(token), &err), GY_E_INVALID);
        if (i == 4) {
            gy_scope_leave(&elsewhere);
        }
        assert_non_null(strstr(err.msg, "Invalid page token"));
        gy_arena_done(&c->arena);
    }
    static const char *const bad[] = {"x", "eyJvZmZzZXQiOiAxMH0=", "====", "W10=", "WyJhIl0="};
    for (size_t i = 0; i < COUNT(bad); i++) {
        c->q = q;
        assert_int_equal(first_page(w, c, gy_str_c(bad[i]), &err), GY_E_INVALID);
        gy_arena_done(&c->arena);
    }
    free(token);
    free(c);
}

static void runs_of_another_workspace_are_not_found(void **state)
{
    struct world *w = *state;
    struct call *c = calloc(1, sizeof *c);
    struct gy_err err = GY_ERR_INIT;
    const int64_t ids[2] = {0, w->other};
    struct gy_scope elsewhere = {.workspace = GY_STR("elsewhere")};
    c->q = (struct gy_run_query){.experiment_ids = ids, .n_experiment_ids = 2, .max_results = 10};
    gy_scope_enter(&elsewhere);
    assert_status(GY_OK, ask(w, c, &err), err);
    gy_scope_leave(&elsewhere);
    assert_int_equal(c->n, 0);
    assert_status(GY_OK, ask(w, c, &err), err);
    assert_true(c->n > 0);
    free(c);
}

/* ---- writers beside a client that pages ---- */

static gy_status change(struct gy_db *db, struct call *c, struct gy_err *err)
{
    struct gy_run r;
    struct gy_run_new in = {
        .experiment_id = 0, .user_id = GY_STR("cat"), .start_ms = 1000 + (int)draw(40)};
    GY_TRY(gy_run_create(db, &in, GY_STR("t"), &c->arena, &r, err));
    struct gy_metric m = {.key = GY_STR("b"), .value = draw(1000), .ts_ms = 1, .step = c->number};
    struct gy_run_batch batch = {.metrics = &m, .n_metrics = 1};
    GY_TRY(gy_run_log(db, r.id, &batch, false, GY_STR("t"), err));
    /* Move one of ours somewhere else in the order, and remove another one. */
    GY_TRY(gy_db_exec(db,
                      "UPDATE latest_metrics SET value = ? WHERE run = (SELECT MIN(seq) FROM runs "
                      "WHERE user_id = 'cat' AND deleted = 0)",
                      GY_VALS(gy_vf(draw(1000))), NULL, err));
    return c->number % 3
               ? GY_OK
               : gy_db_exec(db,
                            "UPDATE runs SET deleted = 1 WHERE seq = (SELECT MIN(seq) FROM "
                            "runs WHERE user_id = 'cat' AND deleted = 0)",
                            GY_NO_VALS, NULL, err);
}

struct writer {
    struct world *w;
    atomic_bool stop;
    atomic_int written;
    gy_status status;
};

static void *write_on(void *ctx)
{
    struct writer *x = ctx;
    struct call *c = calloc(1, sizeof *c);
    c->fn = change;
    c->w = x->w;
    while (!atomic_load(&x->stop) && x->status == GY_OK) {
        gy_arena_init(&c->arena, 1 << 20);
        c->number++;
        x->status = gy_store_write(x->w->store, closure, c, NULL);
        atomic_fetch_add(&x->written, 1);
        gy_arena_done(&c->arena);
    }
    free(c);
    return NULL;
}

/* Every page waits for a write, so that writes come between all pages. */
static gy_status between(struct gy_db *db, struct call *c, struct gy_err *err)
{
    return search_once(db, c, err);
}

static void unchanged_runs_are_seen_once_beside_writers(void **state)
{
    struct world *w = *state;
    struct call *before = calloc(1, sizeof *before), *during = calloc(1, sizeof *during);
    struct gy_err err = GY_ERR_INIT;
    static const int64_t ids[1] = {0};
    static const char *const by[] = {"metrics.b DESC", "metrics.a", "start_time", "params.p"};
    struct writer x = {.w = w};
    pthread_t thread;
    before->q = (struct gy_run_query){.experiment_ids = ids,
                                      .n_experiment_ids = 1,
                                      .filter = GY_STR("user_id != 'cat'"),
                                      .max_results = MAX_FOUND};
    assert_status(GY_OK, ask(w, before, &err), err);
    assert_int_equal(pthread_create(&thread, NULL, write_on, &x), 0);
    for (size_t k = 0; k < COUNT(by); k++) {
        struct gy_str order = gy_str_c(by[k]);
        size_t seen = 0;
        during->q = (struct gy_run_query){.experiment_ids = ids,
                                          .n_experiment_ids = 1,
                                          .order_by = &order,
                                          .n_order_by = 1,
                                          .max_results = 7};
        char *token = NULL;
        size_t total[N_RUNS] = {0};
        do {
            int written = atomic_load(&x.written);
            while (atomic_load(&x.written) == written && x.status == GY_OK) {
                usleep(100);
            }
            gy_arena_init(&during->arena, 64 << 20);
            during->fn = between;
            during->n = 0;
            during->q.page_token = gy_str_c(token);
            assert_status(GY_OK, gy_store_read(w->store, closure, during, &err), err);
            free(token);
            token = during->token.p ? strndup(during->token.p, during->token.n) : NULL;
            for (size_t i = 0; i < during->n; i++) {
                for (size_t j = 0; j < before->n; j++) {
                    if (strcmp(during->ids[i], before->ids[j]) == 0) {
                        total[j]++;
                        seen++;
                    }
                }
            }
            gy_arena_done(&during->arena);
        } while (token && seen <= before->n);
        free(token);
        for (size_t j = 0; j < before->n; j++) {
            if (total[j] != 1) {
                fail_msg("ordered by %s: run %s was seen %zu times", by[k], before->ids[j],
                         total[j]);
            }
        }
    }
    atomic_store(&x.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(x.status, GY_OK);
    assert_true(atomic_load(&x.written) > 20);
    free(before);
    free(during);
}

/* ---- plans ---- */

static gy_status explain(struct gy_db *db, struct call *c, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 1 << 20);
    GY_TRY(gy_run_search_explain(db, &c->q, &c->arena, &b, err));
    c->text = strdup(b.p);
    return GY_OK;
}

struct plan {
    const char *filter, *order;
    enum gy_run_way way;
    const char *has[4], *has_not;
};

/* What must be in the plan, and what must not: a sort of everything, or a scan of a table. */
static const struct plan plans[] = {
    {"",
     NULL,
     GY_RUN_CHOOSE,
     {"SEARCH r USING INDEX runs_experiment (experiment_id=? AND deleted=?"},
     "USE TEMP B-TREE FOR ORDER BY"},
    {"",
     "metrics.a DESC",
     GY_RUN_WALK,
     {"SEARCH o0 USING COVERING INDEX latest_metrics_value (key=? AND is_nan=?",
      "SEARCH r USING INTEGER PRIMARY KEY", "SEARCH r USING INDEX runs_experiment"},
     "SCAN"},
    {"",
     "params.p DESC",
     GY_RUN_WALK,
     {"SEARCH o0 USING INDEX run_params_value (key=?", "SEARCH r USING INTEGER PRIMARY KEY"},
     "SCAN"},
    {"",
     "tags.t",
     GY_RUN_WALK,
     {"SEARCH o0 USING INDEX run_tags_value (key=?", "SEARCH r USING INTEGER PRIMARY KEY"},
     "SCAN"},
    {"", "end_time DESC", GY_RUN_WALK, {"SEARCH r USING INDEX runs_end (end_ms>?"}, "SCAN"},
    {"", "run_name", GY_RUN_WALK, {"USING INDEX runs_name"}, "FOR ORDER BY"},
    {"metrics.a > 2 AND params.p = 'v1' AND status = 'FINISHED' AND start_time > 5",
     NULL,
     GY_RUN_WALK,
     {"SEARCH r USING INDEX runs_experiment", "SEARCH x USING PRIMARY KEY (run=? AND key=?)"},
     "USE TEMP B-TREE FOR ORDER BY"},
    {"params.p = 'v1'",
     "metrics.b",
     GY_RUN_BY_FILTER,
     {"SEARCH d USING INDEX run_params_value (key=? AND <expr>=?)",
      "SEARCH r USING INTEGER PRIMARY KEY", "SEARCH o0 USING PRIMARY KEY (run=? AND key=?)"},
     "SCAN"},
    {"params.p LIKE 'v1%'",
     NULL,
     GY_RUN_BY_FILTER,
     {"SEARCH d USING INDEX run_params_value (key=? AND <expr>>? AND <expr><?)"},
     "SCAN"},
    {"tags.t = 'Odd'",
     NULL,
     GY_RUN_BY_FILTER,
     {"SEARCH d USING INDEX run_tags_value (key=? AND <expr>=?)"},
     "SCAN"},
    {"metrics.b > 900",
     "params.p",
     GY_RUN_BY_FILTER,
     {"SEARCH d USING COVERING INDEX latest_metrics_value (key=? AND is_nan=? AND value>?)"},
     "SCAN"},
    {"status = 'KILLED'",
     "metrics.b",
     GY_RUN_BY_FILTER,
     {"SEARCH r USING INDEX runs_status (status=?)"},
     "SCAN"},
    {"run_id IN ('a', 'b')",
     "metrics.b",
     GY_RUN_BY_FILTER,
     {"SEARCH r USING INDEX sqlite_autoindex_runs_1 (id=?)"},
     "SCAN"},
    {"run_name = 'x'",
     NULL,
     GY_RUN_BY_FILTER,
     {"SEARCH d USING INDEX run_tags_value (key=? AND <expr>=?)"},
     "SCAN"},
};

static char *plan_of(struct world *w, const struct plan *p, size_t n_ids, struct gy_str token)
{
    struct call *c = calloc(1, sizeof *c);
    struct gy_err err = GY_ERR_INIT;
    const int64_t ids[2] = {0, w->other};
    struct gy_str order = gy_str_c(p->order);
    c->fn = explain;
    c->q = (struct gy_run_query){.experiment_ids = ids,
                                 .n_experiment_ids = n_ids,
                                 .filter = gy_str_c(p->filter),
                                 .order_by = &order,
                                 .n_order_by = p->order != NULL,
                                 .max_results = 100,
                                 .page_token = token,
                                 .way = p->way};
    gy_arena_init(&c->arena, 64 << 20);
    assert_status(GY_OK, gy_store_read(w->store, closure, c, &err), err);
    char *text = c->text;
    gy_arena_done(&c->arena);
    free(c);
    return text;
}

static void the_plans_are_the_fast_ones(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < COUNT(plans); i++) {
        char *text = plan_of(w, &plans[i], 1, GY_STR_NULL);
        for (size_t k = 0; k < 4 && plans[i].has[k]; k++) {
            if (!strstr(text, plans[i].has[k])) {
                fail_msg("'%s' by %s lacks \"%s\":\n%s", plans[i].filter,
                         plans[i].order ? plans[i].order : "start", plans[i].has[k], text);
            }
        }
        if (strstr(text, plans[i].has_not)) {
            fail_msg("'%s' by %s has \"%s\":\n%s", plans[i].filter,
                     plans[i].order ? plans[i].order : "start", plans[i].has_not, text);
        }
        free(text);
    }
}

/* A later page starts in the index where the last one ended. */
static void a_later_page_seeks(void **state)
{
    struct world *w = *state;
    struct call *c = calloc(1, sizeof *c);
    struct gy_err err = GY_ERR_INIT;
    static const struct plan later[] = {
        {"",
         NULL,
         GY_RUN_WALK,
         {"runs_experiment (experiment_id=? AND deleted=? AND <expr><?)"},
         "SCAN"},
        {"",
         "metrics.b DESC",
         GY_RUN_WALK,
         {"latest_metrics_value (key=? AND is_nan=? AND value<?)"},
         "SCAN"},
        {"", "tags.t ASC", GY_RUN_WALK, {"run_tags_value (key=? AND <expr>>?)"}, "SCAN"},
    };
    for (size_t i = 0; i < COUNT(later); i++) {
        static const int64_t ids[1] = {0};
        struct gy_str order = gy_str_c(later[i].order);
        c->q = (struct gy_run_query){.experiment_ids = ids,
                                     .n_experiment_ids = 1,
                                     .order_by = &order,
                                     .n_order_by = later[i].order != NULL,
                                     .max_results = 5};
        assert_status(GY_OK, first_page(w, c, GY_STR_NULL, &err), err);
        char *text = plan_of(w, &later[i], 1, c->token);
        if (!strstr(text, later[i].has[0]) || strstr(text, later[i].has_not)) {
            fail_msg("%s", text);
        }
        free(text);
        gy_arena_done(&c->arena);
    }
    struct plan wide = {"", NULL, GY_RUN_WALK, {NULL}, NULL};
    char *text = plan_of(w, &wide, 2, GY_STR_NULL); /* over several experiments */
    assert_non_null(strstr(text, "USING INDEX runs_start"));
    assert_null(strstr(text, "TEMP B-TREE"));
    free(text);
    free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_ways_and_all_page_sizes_give_the_same),
        cmocka_unit_test(a_token_belongs_to_its_query),
        cmocka_unit_test(runs_of_another_workspace_are_not_found),
        cmocka_unit_test(the_plans_are_the_fast_ones),
        cmocka_unit_test(a_later_page_seeks),
        cmocka_unit_test(unchanged_runs_are_seen_once_beside_writers),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

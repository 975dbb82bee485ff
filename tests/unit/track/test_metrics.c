/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics: the history is a set, the latest point is the greatest, pages of a history put together
 * are the whole beside a writer, and samples are the ones MLflow takes, with and without gaps. */
#include "unit.h"

#include <float.h>
#include <math.h>

#include "track/experiments.h"
#include "track/run_rows.h"

#define MAX_POINTS 40000

struct call {
    gy_status (*fn)(struct gy_db *db, struct call *c, struct gy_err *err);
    struct gy_arena arena;
    const struct gy_metric *in;
    size_t n_in;
    int64_t run[2];
    char id[2][40];
    struct gy_str key, token;
    int64_t max;
    struct gy_metric_range range;
    struct gy_metric *out;
    size_t n;
    struct gy_run loaded;
    const char *sql;
    int64_t number;
};

static struct gy_store *g_store;
static struct call *g_call;

static gy_status closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct call *c = ctx;
    return c->fn(db, c, err);
}

static gy_status make_runs(struct gy_db *db, struct call *c, struct gy_err *err)
{
    for (int i = 0; i < 2; i++) {
        struct gy_run r;
        struct gy_run_new in = {.experiment_id = 0, .user_id = GY_STR("u")};
        GY_TRY(gy_run_create(db, &in, GY_STR("t"), &c->arena, &r, err));
        c->run[i] = r.seq;
        snprintf(c->id[i], sizeof c->id[i], "%" GY_STR_F, GY_STR_A(r.id));
    }
    return GY_OK;
}

static int set_up(void **state)
{
    struct gy_store_options o = {.url = "sqlite://:memory:"};
    struct gy_err err = GY_ERR_INIT;
    (void)state;
    g_call = calloc(1, sizeof *g_call);
    g_call->out = calloc(MAX_POINTS, sizeof *g_call->out);
    g_call->fn = make_runs;
    gy_arena_init(&g_call->arena, 256 << 20);
    if (gy_store_open(&o, &g_store, &err) != GY_OK || gy_experiments_init(g_store, &err) != GY_OK ||
        gy_store_write(g_store, closure, g_call, &err) != GY_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gy_store_free(g_store);
    gy_arena_done(&g_call->arena);
    free(g_call->out);
    free(g_call);
    return 0;
}

/* ---- calls ---- */

static gy_status log_points(struct gy_db *db, struct call *c, struct gy_err *err)
{
    return gy_metrics_log(db, c->run[c->number], gy_str_c(c->id[c->number]), c->in, c->n_in, err);
}

static void put(int run, const struct gy_metric *m, size_t n)
{
    struct gy_err err = GY_ERR_INIT;
    g_call->fn = log_points;
    g_call->in = m;
    g_call->n_in = n;
    g_call->number = run;
    assert_status(GY_OK, gy_store_write(g_store, closure, g_call, &err), err);
}

static gy_status load(struct gy_db *db, struct call *c, struct gy_err *err)
{
    return gy_run_get(db, gy_str_c(c->id[0]), true, &c->arena, &c->loaded, err);
}

static const struct gy_metric *latest(const char *key)
{
    struct gy_err err = GY_ERR_INIT;
    g_call->fn = load;
    assert_status(GY_OK, gy_store_read(g_store, closure, g_call, &err), err);
    for (size_t i = 0; i < g_call->loaded.n_metrics; i++) {
        if (gy_str_eqc(g_call->loaded.metrics[i].key, key)) {
            return &g_call->loaded.metrics[i];
        }
    }
    return NULL;
}

static gy_status ask_number(struct gy_db *db, struct call *c, struct gy_err *err)
{
    bool found;
    return gy_db_get_i64(db, c->sql, GY_VALS(gy_vi(c->run[0]), gy_vs(c->key)), &found, &c->number,
                         err);
}

static int64_t number(const char *key, const char *column)
{
    struct gy_err err = GY_ERR_INIT;
    char sql[200];
    snprintf(sql, sizeof sql,
             "SELECT %s FROM latest_metrics WHERE run = ? AND key = (SELECT id FROM metric_keys "
             "WHERE name = ?)",
             column);
    g_call->fn = ask_number;
    g_call->sql = sql;
    g_call->key = gy_str_c(key);
    assert_status(GY_OK, gy_store_read(g_store, closure, g_call, &err), err);
    return g_call->number;
}

static gy_status take(void *ctx, const struct gy_metric *m, struct gy_err *err)
{
    struct call *c = ctx;
    if (c->n == MAX_POINTS) {
        return gy_err_set(err, GY_E_TOOBIG, "too many");
    }
    c->out[c->n++] = *m;
    return GY_OK;
}

static gy_status read_history(struct gy_db *db, struct call *c, struct gy_err *err)
{
    return gy_metrics_history(db, c->run[0], c->key, c->max, c->token, &c->arena, take, c,
                              &c->token, err);
}

/* All of it, in pages of max; `between` runs before each page but the first. */
static void history(const char *key, int64_t max, void (*between)(int page))
{
    struct gy_err err = GY_ERR_INIT;
    g_call->n = 0;
    g_call->token = GY_STR_NULL;
    int page = 0;
    do {
        if (page++ > 0 && between) {
            between(page);
        }
        g_call->fn = read_history;
        g_call->key = gy_str_c(key);
        g_call->max = max;
        assert_status(GY_OK, gy_store_read(g_store, closure, g_call, &err), err);
    } while (g_call->token.p);
}

static gy_status read_sample(struct gy_db *db, struct call *c, struct gy_err *err)
{
    struct gy_metric_run runs[2] = {{c->run[0], gy_str_c(c->id[0])},
                                    {c->run[1], gy_str_c(c->id[1])}};
    return gy_metrics_sample(db, runs, (size_t)c->number, c->key, c->range, c->max, take, c, err);
}

static void sample(const char *key, int n_runs, struct gy_metric_range range, int64_t max)
{
    struct gy_err err = GY_ERR_INIT;
    g_call->fn = read_sample;
    g_call->key = gy_str_c(key);
    g_call->n = 0;
    g_call->max = max;
    g_call->range = range;
    g_call->number = n_runs;
    assert_status(GY_OK, gy_store_read(g_store, closure, g_call, &err), err);
}

/* ---- writing ---- */

#define POINT(name, at_step, at_ms, v)                                         \
    {                                                                          \
        .key = GY_STR(name), .value = (v), .ts_ms = (at_ms), .step = (at_step) \
    }

static void the_latest_is_the_greatest(void **state)
{
    (void)state;
    const struct gy_metric m[] = {POINT("l", 2, 5, 1.0), POINT("l", 3, 1, 7.0),
                                  POINT("l", 3, 1, 6.0), POINT("l", 1, 9, 8.0)};
    put(0, m, 4);
    assert_true(latest("l")->value == 7.0);
    const struct gy_metric older = POINT("l", 2, 100, 50.0), newer = POINT("l", 3, 2, -1.0);
    put(0, &older, 1);
    assert_true(latest("l")->value == 7.0 && latest("l")->ts_ms == 1);
    put(0, &newer, 1);
    assert_true(latest("l")->value == -1.0 && latest("l")->step == 3);
    const struct gy_metric nan_first[] = {POINT("nan", 1, 1, NAN)};
    put(0, nan_first, 1);
    assert_true(isnan(latest("nan")->value));
    const struct gy_metric below = POINT("nan", 1, 1, -1.0), above = POINT("nan", 1, 1, 1.0);
    put(0, &below, 1); /* NaN counts as 0 */
    assert_true(isnan(latest("nan")->value));
    put(0, &above, 1);
    assert_true(latest("nan")->value == 1.0);
}

static void points_are_a_set(void **state)
{
    (void)state;
    const struct gy_metric m[] = {POINT("s", 0, 1, 1.0),  POINT("s", 0, 1, 1.0),
                                  POINT("s", 0, 1, NAN),  POINT("s", 0, 1, 0.0),
                                  POINT("s", 0, 1, -0.0), POINT("s", 0, 1, INFINITY),
                                  POINT("s", 0, 1, NAN),  POINT("s", 0, 1, DBL_MAX)};
    put(0, m, 8);
    put(0, m, 8);
    history("s", 100, NULL);
    assert_int_equal(g_call->n, 4); /* 0, NaN, 1, the largest */
    assert_true(g_call->out[0].value == 0 && isnan(g_call->out[1].value));
    assert_true(g_call->out[2].value == 1 && g_call->out[3].value == DBL_MAX);
}

static void many_keys_get_their_numbers(void **state)
{
    (void)state;
    static struct gy_metric m[1000];
    static char names[1000][16];
    for (int i = 0; i < 1000; i++) {
        snprintf(names[i], sizeof names[i], "key%d", i % 500);
        m[i] = (struct gy_metric){.key = gy_str_c(names[i]), .value = i, .step = i / 500};
    }
    put(0, m, 1000);
    assert_true(latest("key0")->value == 500 && latest("key499")->value == 999);
    history("key77", 10, NULL);
    assert_int_equal(g_call->n, 2);
    assert_int_equal(number("key77", "n_steps"), 2);
}

static void the_number_of_steps_is_known_while_they_come_in_order(void **state)
{
    (void)state;
    const struct gy_metric a[] = {POINT("n", 6, 2, 1), POINT("n", 5, 1, 1), POINT("n", 5, 2, 1)};
    const struct gy_metric b[] = {POINT("n", 6, 3, 1), POINT("n", 9, 3, 1)};
    const struct gy_metric before = POINT("n", 7, 4, 1), later = POINT("n", 10, 5, 1);
    put(0, a, 3);
    assert_int_equal(number("n", "n_steps"), 2);
    assert_int_equal(number("n", "first_step"), 5);
    put(0, b, 2);
    assert_int_equal(number("n", "n_steps"), 3);
    put(0, &before, 1);
    assert_int_equal(number("n", "n_steps"), -1);
    put(0, &later, 1);
    assert_int_equal(number("n", "n_steps"), -1);
    assert_int_equal(number("n", "first_step"), 5);
    assert_int_equal(number("n", "step"), 10);

    /* Times that do not rise with the steps: in a batch, and from one to the next. */
    const struct gy_metric mixed[] = {POINT("o", 1, 9, 1), POINT("o", 2, 8, 1)};
    put(0, mixed, 2);
    assert_int_equal(number("o", "n_steps"), -1);
    const struct gy_metric one = POINT("q", 1, 9, 1), two = POINT("q", 2, 9, 1),
                           three = POINT("q", 3, 8, 1);
    put(0, &one, 1);
    put(0, &two, 1);
    assert_int_equal(number("q", "n_steps"), 2);
    put(0, &three, 1);
    assert_int_equal(number("q", "n_steps"), -1);
}

/* ---- histories ---- */

static void write_between(int page)
{
    /* Before and behind the place where the reader is. */
    struct gy_metric m[] = {POINT("h", -1000, 1, page), POINT("h", 9000, 999999, page)};
    m[0].ts_ms = page;
    m[1].ts_ms += page;
    put(0, m, page < 100 ? 2 : 0);
}

static void pages_of_a_history_are_the_whole(void **state)
{
    (void)state;
    static struct gy_metric m[1000];
    for (int i = 0; i < 1000; i++) {
        m[i] = (struct gy_metric){
            .key = GY_STR("h"), .value = i, .ts_ms = 1000 + i / 3, .step = i % 7};
    }
    put(0, m, 1000);
    history("h", 37, write_between);
    bool seen[1000] = {false};
    size_t ours = 0;
    for (size_t i = 0; i < g_call->n; i++) {
        const struct gy_metric *x = &g_call->out[i], *p = i ? x - 1 : NULL;
        assert_true(!p || p->ts_ms < x->ts_ms ||
                    (p->ts_ms == x->ts_ms &&
                     (p->step < x->step || (p->step == x->step && p->value < x->value))));
        if (x->step >= 0 && x->step < 7) {
            assert_false(seen[(int)x->value]);
            seen[(int)x->value] = true;
            ours++;
        }
    }
    assert_int_equal(ours, 1000);
}

/* A history that is in order is read by step; here it gets out of order between two pages. */
static void go_back_between(int page)
{
    const struct gy_metric m = POINT("i", 3, 1, 0.5);
    put(0, &m, page == 4);
}

static void an_ordered_history_may_lose_its_order(void **state)
{
    (void)state;
    static struct gy_metric m[900];
    for (int i = 0; i < 900; i++) {
        m[i] = (struct gy_metric){
            .key = GY_STR("i"), .value = i % 5, .ts_ms = 100 + i / 4, .step = i / 6};
    }
    put(0, m, 900);
    assert_true(number("i", "n_steps") > 0);
    history("i", 1000, NULL);
    size_t n = g_call->n; /* points are a set */
    history("i", 31, go_back_between);
    assert_int_equal(number("i", "n_steps"), -1);
    assert_int_equal(g_call->n, n);
    for (size_t i = 1; i < n; i++) {
        const struct gy_metric *x = &g_call->out[i], *p = x - 1;
        assert_true(p->ts_ms < x->ts_ms ||
                    (p->ts_ms == x->ts_ms &&
                     (p->step < x->step || (p->step == x->step && p->value < x->value))));
    }
    history("i", 31, NULL);
    assert_int_equal(g_call->n, n + 1);
    assert_true(g_call->out[0].ts_ms == 1);
}

static void a_token_of_another_history_is_refused(void **state)
{
    (void)state;
    struct gy_err err = GY_ERR_INIT;
    g_call->fn = read_history;
    g_call->n = 0;
    g_call->key = GY_STR("h");
    g_call->token = GY_STR_NULL;
    g_call->max = 3;
    assert_status(GY_OK, gy_store_read(g_store, closure, g_call, &err), err);
    assert_true(g_call->token.n > 0);
    g_call->key = GY_STR("s");
    assert_int_equal(gy_store_read(g_store, closure, g_call, &err), GY_E_INVALID);
    g_call->key = GY_STR("nobody");
    g_call->token = GY_STR_NULL;
    g_call->n = 0;
    assert_status(GY_OK, gy_store_read(g_store, closure, g_call, &err), err);
    assert_int_equal(g_call->n, 0);
}

/* ---- samples ---- */

#define ALL ((struct gy_metric_range){false, 0, 0})

static void fill(int run, const char *key, int from, int to, int by)
{
    struct gy_metric m[1000];
    size_t n = 0;
    for (int i = from; i <= to; i += by) {
        m[n++] = (struct gy_metric){.key = gy_str_c(key), .value = i, .ts_ms = 1, .step = i};
    }
    put(run, m, n);
}

static void ten_steps_of_which_five(void **state)
{
    (void)state;
    static const int64_t want[] = {0, 2, 4, 6, 8, 9};
    for (int gaps = 0; gaps < 2; gaps++) {
        const char *key = gaps ? "stride" : "dense";
        fill(0, key, 0, gaps ? 90 : 9, gaps ? 10 : 1);
        sample(key, 1, ALL, 5);
        assert_int_equal(g_call->n, 6);
        for (size_t i = 0; i < 6; i++) {
            assert_int_equal(g_call->out[i].step, want[i] * (gaps ? 10 : 1));
        }
    }
}

/* MLflow's rule, over lists of all steps. */
static size_t by_the_rule(const bool *in, int start, int end, int first0, int last0, int first1,
                          int last1, int max, bool *out)
{
    static int all[2000];
    int n = 0;
    size_t picked = 0;
    memset(out, 0, 2000 * sizeof *out);
    for (int i = start; i <= end; i++) {
        if (in[i]) {
            all[n++] = i;
        }
    }
    for (int i = 0; n <= max ? i < n : i < max; i++) {
        out[all[n <= max ? i : (int)(i * ((double)n / max))]] = true;
    }
    if (n > 0) {
        out[all[n - 1]] = true;
    }
    const int ends[] = {first0, last0, first1, last1};
    for (int i = 0; i < 4; i++) {
        if (ends[i] >= start && ends[i] <= end) {
            out[ends[i]] = true;
        }
    }
    for (int i = 0; i < 2000; i++) {
        picked += out[i];
    }
    return picked;
}

static void samples_follow_the_rule(void **state)
{
    (void)state;
    static bool in[2000], want[2000];
    static const struct {
        int a, b, by, c, d;
    } cases[] = {
        {0, 700, 1, 500, 1200}, {0, 300, 1, 600, 900}, {0, 900, 7, 100, 300}, {5, 5, 1, 9, 9}};
    for (size_t k = 0; k < 4; k++) {
        char key[16];
        snprintf(key, sizeof key, "case%zu", k);
        fill(0, key, cases[k].a, cases[k].b, cases[k].by);
        fill(1, key, cases[k].c, cases[k].d, 1);
        memset(in, 0, sizeof in);
        for (int i = cases[k].a; i <= cases[k].b; i += cases[k].by) {
            in[i] = true;
        }
        for (int i = cases[k].c; i <= cases[k].d; i++) {
            in[i] = true;
        }
        int last = cases[k].b - (cases[k].b - cases[k].a) % cases[k].by;
        for (int max = 1; max <= 320; max += 53) {
            for (int ranged = 0; ranged < 2; ranged++) {
                int start = ranged ? 37 : 0, end = ranged ? 800 : 1999;
                size_t n = by_the_rule(in, start, end, cases[k].a, last, cases[k].c, cases[k].d,
                                       max, want);
                sample(key, 2, (struct gy_metric_range){ranged, 37, 800}, max);
                bool got[2000] = {false};
                size_t distinct = 0;
                for (size_t i = 0; i < g_call->n; i++) {
                    distinct += !got[g_call->out[i].step];
                    got[g_call->out[i].step] = true;
                    assert_true(want[g_call->out[i].step]);
                }
                assert_int_equal(distinct, n);
            }
        }
    }
}

/* A history without gaps is sampled by its ends: points that lie between are not counted. */
static void a_sample_of_nothing_is_empty(void **state)
{
    (void)state;
    sample("nobody", 2, ALL, 5);
    assert_int_equal(g_call->n, 0);
    fill(0, "below", -20, -10, 1); /* MLflow's range begins at 0 when none is given */
    sample("below", 1, ALL, 5);
    assert_int_equal(g_call->n, 0);
    sample("below", 1, (struct gy_metric_range){true, -15, -12}, 2500);
    assert_int_equal(g_call->n, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_latest_is_the_greatest),
        cmocka_unit_test(points_are_a_set),
        cmocka_unit_test(many_keys_get_their_numbers),
        cmocka_unit_test(the_number_of_steps_is_known_while_they_come_in_order),
        cmocka_unit_test(pages_of_a_history_are_the_whole),
        cmocka_unit_test(an_ordered_history_may_lose_its_order),
        cmocka_unit_test(a_token_of_another_history_is_refused),
        cmocka_unit_test(ten_steps_of_which_five),
        cmocka_unit_test(samples_follow_the_rule),
        cmocka_unit_test(a_sample_of_nothing_is_empty),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

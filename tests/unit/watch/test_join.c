/* SPDX-License-Identifier: Apache-2.0 */
/* Predictions meet feedback: whatever comes first, twice or against each other, the counts are
 * those of the set. */
#include "support_join.h"

#include <pthread.h>

#include "base/id.h"
#include "base/time.h"
#include "serve/predlog.h"

struct fixture {
    struct scratch *scratch;
    struct gy_shapes *shapes;
    struct gy_join *join;
};

static struct gy_err err;

static int setup(void **state)
{
    static struct fixture f;
    f.scratch = scratch_new();
    scratch_open(f.scratch);
    scratch_write(f.scratch, add_endpoints, NULL);
    assert_status(GY_OK, gy_shapes_new(f.scratch->store, &f.shapes, &err), err);
    assert_status(GY_OK, gy_join_new(f.shapes, 0, &f.join, &err), err);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    gy_join_free(f->join);
    gy_shapes_free(f->shapes);
    scratch_free(f->scratch);
    return 0;
}

static void predict(struct gy_join *j, const struct gy_record *r)
{
    assert_status(GY_OK, gy_join_prediction(j, r, &err), err);
}

static bool feed(struct gy_join *j, const struct gy_feedback *f)
{
    bool joined;
    assert_status(GY_OK, gy_join_feedback(j, f, &joined, &err), err);
    return joined;
}

static struct gy_join_counts counts_of(struct gy_join *j, const struct gy_join_query *q)
{
    struct gy_join_counts c;
    assert_status(GY_OK, gy_join_counts(j, q, NULL, &c, &err), err);
    return c;
}

static struct gy_join_counts counts_for(struct gy_join *j, const char *endpoint)
{
    const struct gy_join_query q = {.endpoint = gy_str_c(endpoint)};
    return counts_of(j, &q);
}

static void must_be(const struct gy_join_way *way, double tp, double fp, double tn, double fn)
{
    assert_float_equal(way->tp.n, tp, 0);
    assert_float_equal(way->fp.n, fp, 0);
    assert_float_equal(way->tn.n, tn, 0);
    assert_float_equal(way->fn.n, fn, 0);
}

/* ---- by hand ---- */

static void test_three_ways(void **state)
{
    struct fixture *f = *state;
    double out[2];
    const struct {
        double probability;
        bool rule;
        const char *truth;
    } rows[] = {
        {NAN, true, "1"},  /* the rule is right, the model was not asked */
        {NAN, true, "0"},  /* the rule is wrong */
        {0.9, true, "1"},  /* of the sample: counts four times for the model */
        {0.2, true, "1"},  /* the same, the model would have missed it */
        {0.8, false, "1"}, /* the model finds what the rule does not */
        {0.1, false, "0"}, {0.6, false, "0"}, {0.3, false, "1"}, {0.3, false, NULL},
    };
    for (uint32_t i = 0; i < 9; i++) {
        struct gy_record r = sepsis_record(i, "1", out, rows[i].probability, rows[i].rule);
        predict(f->join, &r);
        if (rows[i].truth) {
            struct gy_feedback l = label_for(i, rows[i].truth);
            assert_true(feed(f->join, &l));
        }
    }
    struct gy_join_counts c = counts_for(f->join, "sepsis");
    assert_int_equal(c.predictions, 9);
    assert_int_equal(c.labelled, 8);
    assert_true(c.has_rules);
    must_be(&c.by[GY_BY_RULE], 3, 1, 2, 2);
    must_be(&c.by[GY_BY_COMBINED], 4, 2, 1, 1);
    must_be(&c.by[GY_BY_MODEL], 1 + 4, 1, 1, 1 + 4);
    assert_float_equal(c.by[GY_BY_MODEL].tp.n2, 1 + 16, 0);
    assert_int_equal(c.by[GY_BY_MODEL].rows, 6);
    assert_int_equal(c.by[GY_BY_SHADOW].rows, 0);
    assert_int_equal(c.orphans, 0);
    /* per variant: the canary has another threshold, rule hits count for it as well */
    struct gy_record r = sepsis_record(100, "2", out, 0.6, false);
    predict(f->join, &r);
    struct gy_feedback l = label_for(100, "0");
    assert_true(feed(f->join, &l));
    struct gy_join_query q = {.endpoint = GY_STR("sepsis"), .version = GY_STR("2")};
    c = counts_of(f->join, &q);
    must_be(&c.by[GY_BY_MODEL], 0, 0, 1, 0);
    q.version = GY_STR_NULL;
    q.since_us = 1002;
    q.until_us = 1004;
    c = counts_of(f->join, &q);
    assert_int_equal(c.predictions, 2);
    must_be(&c.by[GY_BY_COMBINED], 2, 0, 0, 0);
    q.revision = 2;
    assert_int_equal(counts_of(f->join, &q).predictions, 0);
}

static void test_late_early_and_unknown(void **state)
{
    struct fixture *f = *state;
    double out[2];
    struct gy_feedback l = label_for(1, "1");
    assert_false(feed(f->join, &l));
    assert_false(feed(f->join, &l));
    assert_int_equal(counts_for(f->join, "sepsis").orphans, 1);
    struct gy_record r = sepsis_record(1, "1", out, 0.9, false);
    predict(f->join, &r);
    predict(f->join, &r);
    struct gy_join_counts c = counts_for(f->join, "sepsis");
    must_be(&c.by[GY_BY_COMBINED], 1, 0, 0, 0);
    assert_int_equal(c.orphans, 0);
    assert_int_equal(c.many, 0);
    l.label = GY_STR("blue"); /* later given, but no class: the row has no label that can be used */
    l.given_us++;
    assert_true(feed(f->join, &l));
    c = counts_for(f->join, "sepsis");
    assert_int_equal(c.labelled, 0);
    assert_int_equal(c.unreadable, 1);
    l.label = GY_STR("1.0");
    l.given_us++;
    assert_true(feed(f->join, &l));
    c = counts_for(f->join, "sepsis");
    must_be(&c.by[GY_BY_COMBINED], 1, 0, 0, 0);
    assert_int_equal(c.many, 1);
    assert_int_equal(c.conflicts, 1);
    r.revision = 77; /* a revision that is not there: told, not fatal */
    id_of(2, r.id);
    predict(f->join, &r);
    struct gy_join_stats stats;
    gy_join_get_stats(f->join, &stats);
    assert_int_equal(stats.unreadable, 1);
    assert_int_equal(stats.rows, 1);
    char endless[GY_MAX_NAME + 100]; /* no endpoint has such a name: passed over as well */
    memset(endless, 'x', sizeof endless);
    struct gy_record strange = r;
    strange.endpoint = gy_str_n(endless, sizeof endless);
    predict(f->join, &strange);
    gy_join_get_stats(f->join, &stats);
    assert_int_equal(stats.unreadable, 2);
    struct gy_join_row row;
    assert_true(gy_join_get(f->join, l.id, 0, &row));
    assert_str(row.source, "truth");
    assert_int_equal(row.given_us, l.given_us);
    assert_false(gy_join_get(f->join, r.id, 0, &row));
}

static void test_request_ids(void **state)
{
    struct fixture *f = *state;
    double out[2];
    struct gy_record r = sepsis_record(1, "1", out, 0.9, false);
    r.request_id = GY_STR("order-1");
    struct gy_feedback l = label_for(0, "0");
    l.by_request = true;
    l.request_id = GY_STR("order-1");
    assert_false(feed(f->join, &l));
    assert_int_equal(counts_for(f->join, "sepsis").orphans, 1);
    predict(f->join, &r);
    struct gy_join_counts c = counts_for(f->join, "sepsis");
    must_be(&c.by[GY_BY_COMBINED], 0, 1, 0, 0);
    assert_int_equal(c.orphans, 0);
    assert_int_equal(c.repeated, 0);
    r = sepsis_record(2, "1", out, 0.1, false); /* the id again: the newer one is meant */
    r.request_id = GY_STR("order-1");
    predict(f->join, &r);
    c = counts_for(f->join, "sepsis");
    must_be(&c.by[GY_BY_COMBINED], 0, 0, 1, 0);
    assert_int_equal(c.repeated, 1);
    r = sepsis_record(0, "1", out, 0.9, false); /* an older one that is seen late */
    r.request_id = GY_STR("order-1");
    predict(f->join, &r);
    must_be(&counts_for(f->join, "sepsis").by[GY_BY_COMBINED], 0, 0, 1, 0);
    l = label_for(2, "1"); /* both ways for one row: the later one counts */
    l.given_us = 6000;
    assert_true(feed(f->join, &l));
    c = counts_for(f->join, "sepsis");
    must_be(&c.by[GY_BY_COMBINED], 0, 0, 0, 1);
    assert_int_equal(c.conflicts, 1);
    assert_int_equal(c.repeated, 0);
}

static void test_who_wins(void **state)
{
    struct fixture *f = *state;
    double out[2];
    static const char *const order[] = {"simulated", "nurse", "review", "truth"};
    struct gy_record r = sepsis_record(1, "1", out, 0.9, false);
    predict(f->join, &r);
    struct gy_join_row row;
    for (int i = 0; i < 4; i++) { /* each beats all before, however old it is */
        struct gy_feedback l = label_for(1, i % 2 ? "1" : "0");
        l.source = gy_str_c(order[i]);
        l.given_us = 100 - i;
        assert_true(feed(f->join, &l));
        assert_true(gy_join_get(f->join, r.id, 0, &row));
        assert_str(row.source, order[i]);
        assert_float_equal(row.truth, (i % 2), 0);
    }
    struct gy_feedback l = label_for(1, "0");
    l.source = GY_STR("simulated");
    assert_true(feed(f->join, &l));
    assert_true(gy_join_get(f->join, r.id, 0, &row));
    assert_str(row.source, "truth");
}

static void test_rewards(void **state)
{
    struct fixture *f = *state;
    double out[2];
    const struct {
        double probability, reward;
        const char *label;
        double truth;
    } cases[] = {
        {0.9, 1, "1", 1}, {0.1, 1, "0", 0}, {0.9, 0, "1", 0},    {0.1, 0, "0", 1},
        {0.9, 0, "0", 0}, {0.9, 1, "", 1},  {0.9, 0, "", 0},     {0.1, 0, "", 1},
        {0.9, 1, "0", 0}, {0.9, 3, "1", 1}, {0.9, 0.5, "", NAN},
    };
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gy_record r = sepsis_record(i, "1", out, cases[i].probability, false);
        struct gy_feedback l = label_for(i, cases[i].label);
        struct gy_join_row row;
        l.reward = cases[i].reward;
        predict(f->join, &r);
        assert_true(feed(f->join, &l));
        assert_true(gy_join_get(f->join, r.id, 0, &row));
        if (isnan(cases[i].truth)) {
            assert_true(isnan(row.truth));
        } else {
            assert_float_equal(row.truth, cases[i].truth, 0);
        }
    }
}

static void test_classes_and_values(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"low", "mid", "high"};
    double out[2] = {0};
    struct gy_record r = sepsis_record(0, "1", out, 0, false);
    r.endpoint = GY_STR("rings");
    r.rules = NULL;
    r.n_outputs = 1;
    for (uint32_t i = 0; i < 12; i++) { /* said i % 3, true (i / 4) % 3 */
        id_of(i, r.id);
        out[0] = i % 3;
        struct gy_feedback l = label_for(i, names[(i / 4) % 3]);
        predict(f->join, &r);
        assert_true(feed(f->join, &l));
    }
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    const struct gy_join_query q = {.endpoint = GY_STR("rings")};
    struct gy_join_counts c;
    assert_status(GY_OK, gy_join_counts(f->join, &q, &a, &c, &err), err);
    const struct gy_join_way *way = &c.by[GY_BY_COMBINED];
    assert_int_equal(c.labelled, 12);
    assert_false(c.has_rules);
    assert_int_equal(c.by[GY_BY_RULE].rows, 0);
    assert_float_equal(way->correct.n, 6, 0);
    for (int k = 0; k < 3; k++) { /* 4 said, 4 true of each */
        double tp = way->classes[k].tp.n;
        assert_float_equal(tp, 2, 0);
        assert_float_equal(tp + way->classes[k].fp.n, 4, 0);
        assert_float_equal(tp + way->classes[k].fn.n, 4, 0);
    }
    assert_float_equal(way->macro_f1, 0.5, 1e-12);

    r.endpoint = GY_STR("fuel");
    const struct {
        double said;
        const char *truth;
    } values[] = {{10, "9"}, {12.5, "12.50"}, {8, "11"}};
    for (uint32_t i = 0; i < 3; i++) {
        id_of(50 + i, r.id);
        out[0] = values[i].said;
        struct gy_feedback l = label_for(50 + i, values[i].truth);
        predict(f->join, &r);
        assert_true(feed(f->join, &l));
    }
    c = counts_for(f->join, "fuel");
    assert_int_equal(c.task, GY_TASK_REGRESSION);
    assert_float_equal(c.by[GY_BY_MODEL].mae, 4.0 / 3, 1e-12);
    assert_float_equal(c.by[GY_BY_MODEL].rmse, sqrt(10.0 / 3), 1e-12);
    assert_float_equal(c.by[GY_BY_MODEL].bias, -2.0 / 3, 1e-12);
}

static gy_status add_dose(struct gy_db *db, void *ctx, struct gy_err *error)
{
    (void)ctx;
    return add_revision(db, "dose",
                        "{\"task\":\"binary\",\"inputs\":[\"a\"],\"classes\":[\"0.1\",\"0.3\"],"
                        "\"numeric_classes\":true,"
                        "\"weights\":[{\"model\":\"dose\",\"version\":1,\"weight\":1}]}",
                        error);
}

/* Classes that are no short fractions: a shadow was never right about them. */
static void test_a_shadow_answers_with_classes(void **state)
{
    struct fixture *f = *state;
    scratch_write(f->scratch, add_dose, NULL);
    for (uint32_t i = 0; i < 2; i++) {
        double out[2];
        const double answer = i ? 0.3 : 0.1;
        struct gy_record r = sepsis_record(i, "1", out, 0.9, false);
        out[0] = 0.3;
        r.endpoint = GY_STR("dose");
        r.n_shadow = 1;
        r.shadow = &answer;
        r.shadow_version = GY_STR("2");
        r.rules = NULL;
        predict(f->join, &r);
        const struct gy_feedback l = label_for(i, i ? "0.3" : "0.1");
        assert_true(feed(f->join, &l));
    }
    struct gy_join_counts c = counts_for(f->join, "dose");
    must_be(&c.by[GY_BY_SHADOW], 1, 0, 1, 0);
    must_be(&c.by[GY_BY_COMBINED], 1, 1, 0, 0);
}

static void test_last_n(void **state)
{
    struct fixture *f = *state;
    double out[2];
    struct gy_rng rng;
    gy_rng_init(&rng, 3);
    uint32_t order[500];
    for (uint32_t i = 0; i < 500; i++) {
        uint32_t k = (uint32_t)gy_rng_below(&rng, i + 1);
        order[i] = order[k];
        order[k] = i;
    }
    for (uint32_t i = 0; i < 500; i++) { /* the newest half is right, some times are equal */
        struct gy_record r = sepsis_record(order[i], order[i] % 2 ? "1" : "2", out, 0.9, false);
        r.time_us = 1000 + order[i] / 3;
        struct gy_feedback l = label_for(order[i], order[i] < 250 ? "0" : "1");
        predict(f->join, &r);
        if (order[i] % 10) {
            (void)feed(f->join, &l);
        }
    }
    for (size_t n = 1; n <= 450; n += 37) {
        const struct gy_join_query q = {.endpoint = GY_STR("sepsis"), .last_n = n};
        struct gy_join_counts c = counts_of(f->join, &q);
        assert_int_equal(c.labelled, n);
        assert_int_equal(c.predictions, n);
        assert_float_equal(c.by[GY_BY_COMBINED].tp.n, n < 225 ? n : 225, 0);
    }
    const struct gy_join_query all = {.endpoint = GY_STR("sepsis"), .last_n = 10000};
    assert_int_equal(counts_of(f->join, &all).labelled, 450);
}

static void test_bounded(void **state)
{
    struct fixture *f = *state;
    GY_AUTO(gy_join_free) struct gy_join *j = NULL;
    double out[2];
    assert_status(GY_OK, gy_join_new(f->shapes, 100, &j, &err), err);
    struct gy_rng rng;
    gy_rng_init(&rng, 11);
    for (uint32_t i = 0; i < 5000; i++) {
        uint32_t n = i + (uint32_t)gy_rng_below(&rng, 40);
        struct gy_record r = sepsis_record(n, n % 2 ? "1" : "2", out, 0.9, false);
        char request[16];
        (void)snprintf(request, sizeof request, "r%u", n / 2);
        r.request_id = gy_str_c(request);
        struct gy_feedback l = label_for(i + (uint32_t)gy_rng_below(&rng, 60), "1");
        l.by_request = gy_rng_below(&rng, 4) == 0;
        l.request_id = gy_str_c(request);
        predict(j, &r);
        (void)feed(j, &l);
        struct gy_join_stats stats;
        gy_join_get_stats(j, &stats);
        assert_true(stats.rows <= 100);
        assert_true(stats.orphans <= 100);
    }
    struct gy_join_counts c = counts_for(j, "sepsis");
    struct gy_join_stats stats;
    gy_join_get_stats(j, &stats);
    assert_true(c.predictions > 20);
    assert_true(c.labelled > 5 && c.labelled <= c.predictions);
    assert_int_equal(c.by[GY_BY_COMBINED].rows, c.labelled);
    assert_true(stats.evicted > 1000);
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_join_group *groups;
    size_t n;
    assert_status(GY_OK, gy_join_groups(j, GY_STR("sepsis"), &a, &groups, &n, &err), err);
    assert_int_equal(n, 2);
    assert_int_equal(groups[0].rows + groups[1].rows, c.predictions);
}

/* ---- the property: any order, any repetition ---- */

#define N_ROWS 40
#define N_PIECES 80

struct world {
    struct {
        uint32_t id; /* requests of one to three rows */
        uint32_t row, n_rows;
        char request[8];
        double out[2];
        bool rule;
        const char *version;
        int64_t time_us;
    } rows[N_ROWS];
    struct gy_feedback pieces[N_PIECES];
    char requests[N_PIECES][8];
};

static void make_world(struct world *w, uint64_t seed)
{
    static const char *const labels[] = {"0", "1", "1.0", "true", "0.0", "blue", ""};
    static const char *const sources[] = {"truth", "review", "simulated", "nurse", ""};
    struct gy_rng rng;
    gy_rng_init(&rng, seed);
    uint32_t id = 0;
    for (uint32_t i = 0; i < N_ROWS; id++) {
        uint32_t n = 1 + (uint32_t)gy_rng_below(&rng, 3);
        n = n < N_ROWS - i ? n : N_ROWS - i;
        int64_t time_us = 1000 + (int64_t)gy_rng_below(&rng, 8);
        uint32_t request = (uint32_t)gy_rng_below(&rng, 12);
        bool first = gy_rng_below(&rng, 2) == 0;
        for (uint32_t k = 0; k < n; k++, i++) {
            w->rows[i].id = id;
            w->rows[i].row = k;
            w->rows[i].n_rows = n;
            w->rows[i].time_us = time_us;
            w->rows[i].version = first ? "1" : "2";
            w->rows[i].request[0] = '\0';
            if (request) {
                (void)snprintf(w->rows[i].request, 8, "q%u", request);
            }
            w->rows[i].rule = gy_rng_below(&rng, 3) == 0;
            double p = gy_rng_f64(&rng);
            p = w->rows[i].rule && gy_rng_below(&rng, 2) ? NAN : p;
            (void)sepsis_record(0, w->rows[i].version, w->rows[i].out, p, w->rows[i].rule);
        }
    }
    for (int i = 0; i < N_PIECES; i++) {
        struct gy_feedback *f = &w->pieces[i];
        *f = label_for((uint32_t)gy_rng_below(&rng, id + 3), labels[gy_rng_below(&rng, 7)]);
        (void)snprintf(w->requests[i], 8, "q%u", 1 + (uint32_t)gy_rng_below(&rng, 13));
        f->by_request = gy_rng_below(&rng, 3) == 0;
        f->request_id = gy_str_c(w->requests[i]);
        f->row = (uint32_t)gy_rng_below(&rng, 3);
        f->source = gy_str_c(sources[gy_rng_below(&rng, 5)]);
        f->given_us = 5000 + (int64_t)gy_rng_below(&rng, 3);
        static const double rewards[] = {NAN, NAN, 0, 1};
        f->reward = rewards[gy_rng_below(&rng, 4)];
        if (f->label.n == 0 && isnan(f->reward)) {
            f->reward = 1;
        }
    }
}

/* Queries in between: what they remember of the rows must not outlive a change. */
static struct gy_join_query any_query(struct gy_rng *rng)
{
    struct gy_join_query q = {.endpoint = GY_STR("sepsis")};
    q.revision = (int64_t)gy_rng_below(rng, 2);
    q.version = gy_rng_below(rng, 3) ? GY_STR_NULL : GY_STR("1");
    q.since_us = gy_rng_below(rng, 2) ? (int64_t)(998 + gy_rng_below(rng, 10)) : 0;
    q.until_us = gy_rng_below(rng, 2) ? (int64_t)(1000 + gy_rng_below(rng, 10)) : 0;
    q.last_n = gy_rng_below(rng, 2) ? gy_rng_below(rng, 30) : 0;
    return q;
}

/* Everything once in a random order, then random pieces again. */
static void play(struct world *w, struct gy_join *j, uint64_t seed)
{
    struct gy_rng rng;
    gy_rng_init(&rng, seed);
    uint32_t order[N_ROWS + N_PIECES];
    for (uint32_t i = 0; i < N_ROWS + N_PIECES; i++) {
        uint32_t k = (uint32_t)gy_rng_below(&rng, i + 1);
        order[i] = order[k];
        order[k] = i;
    }
    for (uint32_t i = 0; i < N_ROWS + N_PIECES + 30; i++) {
        uint32_t what =
            i < N_ROWS + N_PIECES ? order[i] : (uint32_t)gy_rng_below(&rng, N_ROWS + N_PIECES);
        if (gy_rng_below(&rng, 4) == 0) {
            const struct gy_join_query q = any_query(&rng);
            (void)counts_of(j, &q);
        }
        if (what >= N_ROWS) {
            (void)feed(j, &w->pieces[what - N_ROWS]);
            continue;
        }
        struct gy_record r = sepsis_record(w->rows[what].id, w->rows[what].version, (double[2]){0},
                                           0, w->rows[what].rule);
        r.first_row = w->rows[what].row;
        r.total_rows = w->rows[what].n_rows;
        r.time_us = w->rows[what].time_us;
        r.request_id = gy_str_c(w->rows[what].request);
        r.outputs = w->rows[what].out;
        predict(j, &r);
    }
}

/* The oracle: the same rules in the plainest way, by looking at all pieces for each row. */
static int label_rank(struct gy_str label)
{
    static const char *const order[] = {"", "0", "1", "0.0", "1.0", "blue", "true"};
    int i = 0;
    while (!gy_str_eqc(label, order[i])) {
        i++;
    }
    return i;
}

static int piece_cmp(const struct gy_feedback *a, const struct gy_feedback *b)
{
    struct gy_str from_a = a->source.n ? a->source : GY_STR("truth");
    struct gy_str from_b = b->source.n ? b->source : GY_STR("truth");
    double reward_a = isnan(a->reward) ? -1 : a->reward;
    double reward_b = isnan(b->reward) ? -1 : b->reward;
    int priority = gy_feedback_priority(from_a) - gy_feedback_priority(from_b);
    int time = (a->given_us > b->given_us) - (a->given_us < b->given_us);
    int label = label_rank(a->label) - label_rank(b->label);
    int source = gy_str_cmp(from_a, from_b);
    int reward = (reward_a > reward_b) - (reward_a < reward_b);
    return priority ? priority : time ? time : label ? label : source ? source : reward;
}

static bool means(const struct world *w, int row, const struct gy_feedback *f)
{
    unsigned char id[16];
    id_of(w->rows[row].id, id);
    if (f->row != w->rows[row].row) {
        return false;
    }
    if (!f->by_request) {
        return memcmp(id, f->id, 16) == 0;
    }
    if (!gy_str_eqc(f->request_id, w->rows[row].request)) {
        return false;
    }
    for (int i = 0; i < N_ROWS; i++) { /* no newer one with that id */
        unsigned char other[16];
        id_of(w->rows[i].id, other);
        if (i != row && w->rows[i].row == f->row &&
            strcmp(w->rows[i].request, w->rows[row].request) == 0 &&
            (w->rows[i].time_us > w->rows[row].time_us ||
             (w->rows[i].time_us == w->rows[row].time_us && memcmp(other, id, 16) > 0))) {
            return false;
        }
    }
    return true;
}

static double meaning(const struct gy_feedback *f, double answered)
{
    if (f->label.n == 0) {
        return f->reward == 1 ? answered : 1 - answered;
    }
    if (gy_str_eqc(f->label, "blue")) {
        return NAN;
    }
    double truth = f->label.p[0] == '1' || f->label.p[0] == 't';
    return f->reward == 0 && truth == answered ? 1 - answered : truth;
}

static void check_world(const struct world *w, const struct gy_join_counts *c)
{
    double matrix[3][2][2] = {{{0}}};
    uint64_t labelled = 0;
    uint64_t unreadable = 0;
    for (int i = 0; i < N_ROWS; i++) {
        const struct gy_feedback *best = NULL;
        for (int k = 0; k < N_PIECES; k++) {
            const struct gy_feedback *f = &w->pieces[k];
            if (means(w, i, f) && (!best || piece_cmp(f, best) > 0)) {
                best = f;
            }
        }
        double truth = best ? meaning(best, w->rows[i].out[0]) : NAN;
        unreadable += best && isnan(truth);
        if (isnan(truth)) {
            continue;
        }
        labelled++;
        double p = w->rows[i].out[1];
        double threshold = w->rows[i].version[0] == '2' ? 0.7 : 0.5;
        int t = (int)truth;
        matrix[GY_BY_RULE][t][w->rows[i].rule]++;
        matrix[GY_BY_COMBINED][t][(int)w->rows[i].out[0]]++;
        if (!isnan(p)) {
            matrix[GY_BY_MODEL][t][p >= threshold] += w->rows[i].rule ? 4 : 1;
        }
    }
    assert_int_equal(c->labelled, labelled);
    assert_int_equal(c->unreadable, unreadable);
    for (int by = 0; by < 3; by++) {
        must_be(&c->by[by], matrix[by][1][1], matrix[by][0][1], matrix[by][0][0], matrix[by][1][0]);
    }
}

static void test_any_order_gives_the_same(void **state)
{
    struct fixture *f = *state;
    static struct world w;
    uint64_t labelled = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct gy_join_counts first = {.shape = NULL};
        make_world(&w, seed);
        for (uint64_t order = 0; order < 4; order++) {
            GY_AUTO(gy_join_free) struct gy_join *j = NULL;
            assert_status(GY_OK, gy_join_new(f->shapes, 1000, &j, &err), err);
            play(&w, j, seed * 1000 + order);
            struct gy_join_counts c = counts_for(j, "sepsis");
            assert_int_equal(c.predictions, N_ROWS);
            check_world(&w, &c);
            if (order == 0) {
                first = c;
            }
            assert_memory_equal(&c, &first, sizeof c);
            labelled += c.labelled;
        }
    }
    assert_true(labelled > 300 * 4 * 10); /* it does test something */
}

/* Counts as gy_join_each gives the rows, one by one. */
struct plain {
    uint64_t predictions, labelled, unreadable;
    double combined[2][2]; /* truth, answer */
};

static gy_status count_plainly(void *ctx, const struct gy_join_row *row, struct gy_err *error)
{
    struct plain *p = ctx;
    (void)error;
    p->predictions++;
    p->labelled += !isnan(row->truth);
    p->unreadable += isnan(row->truth) && row->given_us != 0;
    if (!isnan(row->truth)) {
        p->combined[(int)row->truth][(int)row->answered]++;
    }
    return GY_OK;
}

/* What is remembered of parts of the rows changes no answer: not where they are so long that
 * nothing is remembered, nor with rows leaving, nor by windows. */
static void test_parts_change_no_answer(void **state)
{
    struct fixture *f = *state;
    static struct world w;
    struct gy_rng rng;
    gy_rng_init(&rng, 11);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        GY_AUTO(gy_join_free) struct gy_join *fine = NULL;
        GY_AUTO(gy_join_free) struct gy_join *coarse = NULL;
        GY_AUTO(gy_join_free) struct gy_join *leaving = NULL;
        assert_status(GY_OK, gy_join_new(f->shapes, 1000, &fine, &err), err);
        assert_status(GY_OK, gy_join_new(f->shapes, 0, &coarse, &err), err);
        assert_status(GY_OK, gy_join_new(f->shapes, 40, &leaving, &err), err);
        make_world(&w, seed);
        play(&w, fine, seed);
        play(&w, coarse, seed);
        play(&w, leaving, seed);
        for (int i = 0; i < 40; i++) {
            struct gy_join_query q = any_query(&rng);
            const struct gy_join_counts a = counts_of(fine, &q);
            const struct gy_join_counts b = counts_of(coarse, &q);
            assert_memory_equal(&a, &b, sizeof a);
            const struct gy_join_counts c = counts_of(leaving, &q);
            struct plain p = {.predictions = 0};
            assert_status(GY_OK, gy_join_each(leaving, &q, count_plainly, &p, &err), err);
            assert_int_equal(c.predictions, p.predictions);
            assert_int_equal(c.labelled, p.labelled);
            assert_int_equal(c.unreadable, p.unreadable);
            must_be(&c.by[GY_BY_COMBINED], p.combined[1][1], p.combined[0][1], p.combined[0][0],
                    p.combined[1][0]);
            struct gy_join_counts x[7];
            struct gy_join_counts y[7];
            assert_status(GY_OK, gy_join_windows(fine, &q, 999, 2, 7, x, &err), err);
            assert_status(GY_OK, gy_join_windows(coarse, &q, 999, 2, 7, y, &err), err);
            assert_memory_equal(x, y, sizeof x);
        }
    }
}

/* ---- threads, memory ---- */

static void *feeder(void *arg)
{
    struct gy_join *j = arg;
    for (uint32_t i = 0; i < 2000; i++) {
        struct gy_feedback l = label_for(i, "1");
        GY_IGNORE(gy_join_feedback(j, &l, NULL, NULL)); /* the counts tell */
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct fixture *f = *state;
    double out[2];
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, feeder, f->join), 0);
    for (uint32_t i = 0; i < 2000; i++) {
        struct gy_record r = sepsis_record(i, "1", out, 0.9, false);
        predict(f->join, &r);
        if (i % 100 == 0) {
            (void)counts_for(f->join, "sepsis");
        }
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    struct gy_join_counts c = counts_for(f->join, "sepsis");
    must_be(&c.by[GY_BY_COMBINED], 2000, 0, 0, 0);
    assert_int_equal(c.orphans, 0);
}

static gy_status whole_life(void *ctx, struct gy_err *error)
{
    struct fixture *f = ctx;
    GY_AUTO(gy_join_free) struct gy_join *j = NULL;
    double out[2];
    GY_TRY(gy_join_new(f->shapes, 50, &j, error));
    for (uint32_t i = 0; i < 60; i++) {
        struct gy_record r = sepsis_record(i, "1", out, 0.9, false);
        struct gy_feedback l = label_for(i + 3, i % 2 ? "1" : "1.0");
        GY_TRY(gy_join_prediction(j, &r, error));
        GY_TRY(gy_join_feedback(j, &l, NULL, error));
    }
    struct gy_join_counts c;
    const struct gy_join_query q = {.endpoint = GY_STR("sepsis"), .last_n = 20};
    return gy_join_counts(j, &q, NULL, &c, error);
}

static void test_no_memory(void **state)
{
    struct fixture *f = *state;
    struct gy_err first = GY_ERR_INIT;
    assert_status(GY_OK, whole_life(f, &first), first); /* the shape is read once */
    torture(whole_life, f);
}

/* ---- from log and table ---- */

static gy_status add_pieces(struct gy_db *db, void *ctx, struct gy_err *error)
{
    (void)ctx;
    struct gy_feedback list[50];
    for (uint32_t i = 0; i < 50; i++) {
        list[i] = label_for(i * 2, "1");
    }
    return gy_feedback_add(db, list, 50, NULL, error);
}

static void test_rebuild(void **state)
{
    struct fixture *f = *state;
    char dir[128];
    (void)snprintf(dir, sizeof dir, "%s/log", f->scratch->dir);
    const struct gy_predlog_options o = {
        .dir = dir, .ring_dir = f->scratch->dir, .n_loops = 1, .sync_ms = 50};
    struct gy_predlog *log = NULL;
    assert_status(GY_OK, gy_predlog_open(&o, &log, &err), err);
    for (uint32_t i = 0; i < 80; i++) {
        double out[2];
        struct gy_record r = sepsis_record(i, "1", out, i % 4 ? 0.9 : 0.1, false);
        assert_true(gy_predlog_append(log, 0, &r));
    }
    gy_predlog_close(log);
    scratch_write(f->scratch, add_pieces, NULL);
    for (int again = 0; again < 2; again++) {
        assert_status(GY_OK, gy_join_rebuild(f->join, f->scratch->store, dir, &err), err);
        struct gy_join_counts c = counts_for(f->join, "sepsis");
        assert_int_equal(c.predictions, 80);
        assert_int_equal(c.labelled, 40);
        assert_int_equal(c.orphans, 10);
        must_be(&c.by[GY_BY_COMBINED], 20, 0, 0, 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_three_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late_early_and_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_request_ids, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rewards, setup, teardown),
        cmocka_unit_test_setup_teardown(test_classes_and_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_shadow_answers_with_classes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_last_n, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_any_order_gives_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts_change_no_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rebuild, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

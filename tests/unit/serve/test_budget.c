/* SPDX-License-Identifier: Apache-2.0 */
/* The budget of loaded models: sizes as they are written, who goes for whom, and that nobody goes
 * while he is held. */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/time.h"
#include "package.h"
#include "serve/loaded.h"

#define MODELS 4
#define FIT 2
#define THREADS 4
#define ROUNDS 1000

static char root[] = "/tmp/gyre-budget-XXXXXX";
static char g_dirs[MODELS][GY_MAX_PATH];
static char g_digests[MODELS][GY_SHA256_HEX];
static size_t g_bytes; /* of each */

static struct gy_loaded *open_model(size_t i, struct gy_budget *b)
{
    struct gy_loaded *l = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_loaded_open(g_dirs[i], gy_str_c(g_digests[i]), b, &l, &err), err);
    return l;
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(root)) {
        return -1;
    }
    for (size_t i = 0; i < MODELS; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "m%zu", i);
        package_make(root, name, i == 0 ? MODEL_SUM : MODEL_HR, g_dirs[i], g_digests[i]);
    }
    struct gy_loaded *l = open_model(0, NULL);
    g_bytes = l->bytes;
    gy_loaded_unref(l);
    return g_bytes > 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return gy_dir_remove(root, NULL) == GY_OK ? 0 : -1;
}

static struct gy_budget *budget(size_t limit)
{
    struct gy_budget *b = NULL;
    assert_int_equal(gy_budget_new(limit, &b, NULL), GY_OK);
    return b;
}

static bool is_away(struct gy_loaded *l)
{
    return atomic_load(&l->holds) & GY_LOADED_AWAY;
}

/* Of a model that is held. */
static double ask(const struct gy_loaded *l)
{
    const double row[3] = {100, 20, 37};
    _Alignas(64) char scratch[16384];
    double out = 0;
    assert_true(l->scratch_bytes <= sizeof scratch);
    gy_predictor_run(l->predictor, row, 1, &out, scratch);
    return out;
}

static double hold_and_ask(struct gy_loaded *l)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_loaded_hold(l, &err), err);
    double answer = ask(l);
    gy_loaded_release(l);
    return answer;
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bytes;
    } good[] = {{"0", 0},     {"4096", 4096},
                {"4K", 4096}, {"512M", 512 * (size_t)GY_MIB},
                {"4k", 4096}, {"2G", 2048 * (size_t)GY_MIB}};
    static const char *const bad[] = {"",
                                      "K",
                                      "1.5G",
                                      "-1",
                                      "512",
                                      "12000T",
                                      "M12",
                                      "4K ",
                                      "1e9",
                                      " 4K",
                                      "0x10",
                                      "1KK",
                                      "99999999999999999999",
                                      "9999999999G"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        size_t bytes = 1;
        assert_int_equal(gy_budget_parse(gy_str_c(good[i].text), &bytes, NULL), GY_OK);
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t bytes = 1;
        assert_int_equal(gy_budget_parse(gy_str_c(bad[i]), &bytes, NULL), GY_E_USAGE);
    }
}

static void test_without_limit(void **state)
{
    (void)state;
    struct gy_budget *b = budget(0);
    struct gy_loaded *models[MODELS];
    struct gy_budget_stats s;
    for (size_t i = 0; i < MODELS; i++) {
        models[i] = open_model(i, b);
        assert_false(models[i]->unloads);
    }
    gy_budget_get_stats(b, &s);
    assert_int_equal(s.bytes, MODELS * g_bytes);
    assert_true(s.loads == MODELS && s.loaded == MODELS && s.models == MODELS && s.unloads == 0);
    for (size_t i = 0; i < MODELS; i++) {
        gy_loaded_unref(models[i]);
    }
    gy_budget_get_stats(b, &s);
    assert_true(s.bytes == 0 && s.loaded == 0 && s.models == 0 && s.loads == MODELS);
    gy_budget_free(b);
}

static void test_the_oldest_goes(void **state)
{
    (void)state;
    int64_t live = gy_mem_live();
    struct gy_budget *b = budget(FIT * g_bytes + 1);
    struct gy_loaded *models[MODELS];
    struct gy_budget_stats s;
    for (size_t i = 0; i < MODELS; i++) {
        models[i] = open_model(i, b);
    }
    assert_true(is_away(models[0]) && is_away(models[1]));
    assert_false(is_away(models[2]) || is_away(models[3]));
    assert_false(gy_loaded_try_hold(models[0])); /* it leaves no trace */
    assert_int_equal(atomic_load(&models[0]->holds), GY_LOADED_AWAY);
    assert_true(gy_loaded_try_hold(models[2]));
    gy_loaded_release(models[2]);
    assert_true(hold_and_ask(models[0]) == 157);
    assert_true(is_away(models[3]) && !is_away(models[2])); /* 2 was asked after 3 */
    double answer = hold_and_ask(models[3]);
    assert_true(is_away(models[2]) && !is_away(models[0]));
    assert_true(hold_and_ask(models[1]) == answer); /* the same model in another folder */
    gy_budget_get_stats(b, &s);
    assert_true(s.loads == MODELS + 3 && s.unloads == MODELS + 3 - FIT && s.failures == 0);
    assert_true(s.bytes == FIT * g_bytes && s.loaded == FIT && s.models == MODELS);
    for (size_t i = 0; i < MODELS; i++) {
        gy_loaded_unref(models[i]);
    }
    gy_budget_get_stats(b, &s);
    assert_true(s.bytes == 0 && s.loaded == 0 && s.models == 0);
    gy_budget_free(b);
    assert_int_equal(gy_mem_live(), live);
}

static void test_too_large(void **state)
{
    (void)state;
    struct gy_budget *b = budget(g_bytes - 1);
    struct gy_loaded *l = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_loaded_open(g_dirs[0], gy_str_c(g_digests[0]), b, &l, &err),
                     GY_E_NOTSERVABLE);
    assert_non_null(strstr(err.msg, "--model-memory"));
    assert_null(l);
    gy_budget_free(b);
}

struct waiting {
    struct gy_loaded *l;
    atomic_bool answered;
    double answer;
};

static void *wait_for_it(void *ctx)
{
    struct waiting *w = ctx;
    w->answer = hold_and_ask(w->l);
    atomic_store(&w->answered, true);
    return NULL;
}

static void test_held_ones_stay(void **state)
{
    (void)state;
    struct gy_budget *b = budget(FIT * g_bytes);
    struct gy_loaded *models[FIT + 1];
    for (size_t i = 0; i <= FIT; i++) {
        models[i] = open_model(i, b);
    }
    assert_true(is_away(models[0]));
    assert_true(gy_loaded_try_hold(models[1]) && gy_loaded_try_hold(models[2]));
    double answer = ask(models[1]);
    struct waiting w = {.l = models[0]};
    struct gy_loaded remote = {.bytes = 0};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_it, &w), 0);
    for (int i = 0; i < 200; i++) { /* whatever it does meanwhile */
        assert_false(atomic_load(&w.answered) || is_away(models[1]) || is_away(models[2]));
        assert_true(ask(models[1]) == answer && ask(models[2]) == answer);
        usleep(100);
    }
    /* Another process answers for it: it needs no room, and does not wait for who makes some. */
    int64_t began = gy_mono_ns();
    assert_int_equal(gy_budget_enter(b, &remote, 0, NULL), GY_OK);
    assert_true(gy_mono_ns() - began < (int64_t)GY_BUDGET_WAIT_MS * 500000);
    gy_budget_leave(b, &remote);
    gy_loaded_release(models[1]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(w.answer == 157 && is_away(models[1]) && !is_away(models[2]));
    gy_loaded_release(models[2]);
    for (size_t i = 0; i <= FIT; i++) {
        gy_loaded_unref(models[i]);
    }
    gy_budget_free(b);
}

struct crowd {
    struct gy_budget *b;
    struct gy_loaded *models[MODELS];
    double answers[MODELS];
    atomic_int wrong;
};

static void *ask_all(void *ctx)
{
    struct crowd *c = ctx;
    unsigned seed = (unsigned)(uintptr_t)pthread_self();
    for (int i = 0; i < ROUNDS; i++) {
        struct gy_budget_stats s;
        size_t k = (size_t)rand_r(&seed) % MODELS;
        if (gy_loaded_hold(c->models[k], NULL) != GY_OK) {
            atomic_fetch_add(&c->wrong, 1);
            continue;
        }
        bool right = ask(c->models[k]) == c->answers[k];
        gy_budget_get_stats(c->b, &s);
        right = right && s.bytes <= s.limit && s.loaded <= FIT;
        gy_loaded_release(c->models[k]);
        if (!right) {
            atomic_fetch_add(&c->wrong, 1);
        }
    }
    return NULL;
}

static void test_many_threads(void **state)
{
    (void)state;
    struct crowd c = {.b = budget(FIT * g_bytes)};
    pthread_t threads[THREADS];
    for (size_t i = 0; i < MODELS; i++) {
        c.models[i] = open_model(i, c.b);
        c.answers[i] = hold_and_ask(c.models[i]);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask_all, &c), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&c.wrong), 0);
    for (size_t i = 0; i < MODELS; i++) {
        assert_int_equal(atomic_load(&c.models[i]->holds) & ~GY_LOADED_AWAY, 0);
        gy_loaded_unref(c.models[i]);
    }
    gy_budget_free(c.b);
}

static gy_status come_and_go(void *ctx, struct gy_err *err)
{
    struct gy_budget *b = NULL;
    struct gy_loaded *one = NULL, *two = NULL;
    (void)ctx;
    gy_status st = gy_budget_new(g_bytes, &b, err);
    st = st ? st : gy_loaded_open(g_dirs[0], gy_str_c(g_digests[0]), b, &one, err);
    st = st ? st : gy_loaded_open(g_dirs[1], gy_str_c(g_digests[1]), b, &two, err);
    st = st ? st : gy_loaded_hold(one, err);
    if (st == GY_OK) {
        gy_loaded_release(one);
    }
    gy_loaded_unref(one);
    gy_loaded_unref(two);
    gy_budget_free(b);
    return st;
}

static void test_without_memory(void **state)
{
    (void)state;
    torture(come_and_go, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),           cmocka_unit_test(test_without_limit),
        cmocka_unit_test(test_the_oldest_goes), cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_held_ones_stay),  cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* mlp and cnn as packages: equal bytes at any number of threads, what the epochs tell, packages
 * whose file was changed, and memory that runs out. */
#include "support_learn.h"

#include "learn/network/blas.h"
#include "learn/network/weights.h"

static const char *const g_params[] = {
    "seed: 7\ntrain: {features: [HR, Resp, Temp], mlp: {layers: [16, 8], epochs: 5}}\n",
    "seed: 7\ntrain: {features: [HR, Resp, Temp], impute: median, cnn: {shape: 3x1, conv: [4], "
    "layers: [8], augment: [flip, shift], epochs: 3}}\n",
};
static const enum gy_learner g_learners[] = {GY_LEARNER_MLP, GY_LEARNER_CNN};

static gy_status train_with(const struct gy_table *t, enum gy_learner learner, const char *yaml,
                            int threads, const char *dir)
{
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params p;
    GY_AUTO_DONE(gy_trained_done) struct gy_trained done;
    read_params(&p, learner, yaml);
    p.n_threads = threads;
    return gy_train(t, &p, dir, &done, &g_err);
}

static void same_bytes_at_any_number_of_threads(void **state)
{
    (void)state;
    static const char *const files[] = {"model.json", GY_NET_FILE, "metrics.json", "card.json"};
    char a[GY_MAX_PATH], b[GY_MAX_PATH];
    GY_AUTO(gy_table_free) struct gy_table *t = patients(800, 1);
    for (size_t l = 0; l < 2; l++) {
        OK(train_with(t, g_learners[l], g_params[l], 1, in_dir(a, l ? "cnn-a" : "mlp-a")));
        OK(train_with(t, g_learners[l], g_params[l], 4, in_dir(b, l ? "cnn-b" : "mlp-b")));
        for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
            GY_AUTO_DONE(gy_buf_done) struct gy_buf x;
            GY_AUTO_DONE(gy_buf_done) struct gy_buf y;
            read_file(a, files[f], &x);
            read_file(b, files[f], &y);
            if (x.n != y.n || memcmp(x.p, y.p, x.n) != 0) {
                fail_msg("%s differs", files[f]);
            }
        }
    }
}

/* A file of other sizes than model.json says, or with a byte changed, is not loaded. */
static void refuses_a_file_that_does_not_fit(void **state)
{
    (void)state;
    char mlp[GY_MAX_PATH], wide[GY_MAX_PATH];
    struct gy_predictor *p = NULL;
    GY_AUTO(gy_table_free) struct gy_table *t = patients(300, 2);
    OK(train_with(t, GY_LEARNER_MLP, g_params[0], 1, in_dir(mlp, "fit")));
    OK(train_with(t, GY_LEARNER_MLP,
                  "train: {features: [HR, Resp], mlp: {layers: [4], epochs: 1}}\n", 1,
                  in_dir(wide, "other")));
    OK(gy_predictor_load(mlp, &p, &g_err));
    gy_predictor_free(p);
    p = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf own;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf other;
    read_file(mlp, GY_NET_FILE, &own);
    read_file(wide, GY_NET_FILE, &other);
    write_file(mlp, GY_NET_FILE, gy_buf_str(&other));
    assert_int_equal(gy_predictor_load(mlp, &p, &g_err), GY_E_CORRUPT);
    own.p[own.n / 2] = (char)(own.p[own.n / 2] ^ 1);
    write_file(mlp, GY_NET_FILE, gy_buf_str(&own));
    assert_int_equal(gy_predictor_load(mlp, &p, &g_err), GY_E_CORRUPT);
    assert_null(p);
}

/* The file's own digest is right, but it is another network than the model needs. */
static void refuses_another_network(void **state)
{
    (void)state;
    const struct gy_learner_ops *ops = gy_learner_get(GY_LEARNER_MLP);
    GY_AUTO_DONE(gy_net_model_done) struct gy_net_model net = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf file;
    struct gy_net_spec spec = {.input = {1, 1, 3}, .head = GY_NET_SIGMOID};
    const struct gy_net_layer dense = {.kind = GY_NET_DENSE, .units = 1};
    gy_buf_init(&file, GY_NET_MAX_FILE);
    OK(gy_net_add(&spec, dense, &g_err));
    OK(gy_net_model_init(&spec, &net, &g_err));
    OK(gy_net_model_write(&net, &file, &g_err));
    for (int i = 0; i < 4; i++) {
        struct gy_model m = {.task = i == 1   ? GY_TASK_REGRESSION
                                     : i == 2 ? GY_TASK_MULTICLASS
                                              : GY_TASK_BINARY,
                             .n_classes = 2,
                             .file = GY_STR(GY_NET_FILE)};
        struct gy_runtime r = {.self = NULL};
        m.features.n_out = i == 3 ? 4 : 3;
        gy_status status = ops->load(&m, gy_buf_str(&file), &r, &g_err);
        assert_int_equal(status, i == 0 ? GY_OK : GY_E_CORRUPT);
        if (status == GY_OK) {
            r.ops->free(r.self);
        }
    }
}

struct told {
    size_t n_loss, n_other;
    int64_t rounds;
    double last_loss;
};

static void tell(void *ctx, const char *name, int64_t step, double value)
{
    struct told *t = ctx;
    assert_true(isfinite(value) && step >= 1);
    if (strcmp(name, "loss") == 0) {
        t->n_loss++;
        assert_int_equal(step, t->n_loss);
        t->last_loss = value;
    } else {
        t->n_other++;
    }
}

static void count_round(void *ctx, int64_t done)
{
    struct told *t = ctx;
    assert_int_equal(done, ++t->rounds);
}

/* One direct fit: a table of 100 rows of two features. */
static gy_status fit(enum gy_learner learner, struct gy_settings *s, double *x, struct told *told,
                     struct gy_model *m, struct gy_buf *file)
{
    static double y[100];
    static const struct gy_feature features[2] = {{.name = {"a", 1}}, {.name = {"b", 1}}};
    for (size_t i = 0; i < 100; i++) {
        y[i] = (double)(i % 2);
        x[2 * i] = isnan(x[2 * i]) ? NAN : (double)(i % 7);
        x[2 * i + 1] = (double)(i % 2);
    }
    m->task = GY_TASK_BINARY;
    m->learner = learner;
    struct gy_fit f = {.settings = s,
                       .x = x,
                       .y = y,
                       .n_rows = 100,
                       .n_features = 2,
                       .features = features,
                       .seed = 3,
                       .n_threads = 1,
                       .on_round = count_round,
                       .on_round_ctx = told,
                       .on_measure = tell,
                       .on_measure_ctx = told,
                       .m = m,
                       .file = file};
    return gy_learner_get(learner)->fit(&f, &g_err);
}

static void tells_every_epoch(void **state)
{
    (void)state;
    double x[200] = {0};
    struct told told = {0};
    GY_AUTO_DONE(gy_model_done) struct gy_model m;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf file;
    struct gy_settings s = {.specs = gy_learner_get(GY_LEARNER_MLP)->settings};
    gy_model_init(&m);
    gy_buf_init(&file, GY_NET_MAX_FILE);
    OK(gy_settings_set(&s, GY_STR("epochs"), GY_STR("12"), &g_err));
    OK(gy_settings_set(&s, GY_STR("validation"), GY_STR("0.3"), &g_err));
    assert_int_equal(gy_learner_get(GY_LEARNER_MLP)->rounds(&s), 12);
    OK(fit(GY_LEARNER_MLP, &s, x, &told, &m, &file));
    assert_int_equal(told.n_loss, 12);
    assert_int_equal(told.n_other, 4 * 12); /* accuracies, val_loss, learning_rate */
    assert_int_equal(told.rounds, 12);
    assert_true(told.last_loss < 0.6);
    assert_true(gy_str_find_str(m.params_json, GY_STR("\"epochs_run\":12")) != SIZE_MAX);
}

static void a_missing_value_is_refused(void **state)
{
    (void)state;
    double x[200] = {0};
    struct told told = {0};
    GY_AUTO_DONE(gy_model_done) struct gy_model m;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf file;
    struct gy_settings s = {.specs = gy_learner_get(GY_LEARNER_MLP)->settings};
    gy_model_init(&m);
    gy_buf_init(&file, GY_NET_MAX_FILE);
    x[40] = NAN;
    assert_int_equal(fit(GY_LEARNER_MLP, &s, x, &told, &m, &file), GY_E_INVALID);
    assert_non_null(strstr(g_err.hint, "impute"));
}

static void survives_failing_memory(void **state)
{
    (void)state;
    for (size_t l = 0; l < 2; l++) {
        struct gy_settings s = {.specs = gy_learner_get(g_learners[l])->settings};
        OK(gy_settings_set(&s, GY_STR("epochs"), GY_STR("1"), &g_err));
        if (g_learners[l] == GY_LEARNER_CNN) {
            OK(gy_settings_set(&s, GY_STR("shape"), GY_STR("2x1"), &g_err));
        }
        int64_t live = gy_mem_live();
        for (uint64_t nth = 1;; nth++) {
            double x[200] = {0};
            struct told told = {0};
            struct gy_model m;
            struct gy_buf file;
            gy_model_init(&m);
            gy_buf_init(&file, GY_NET_MAX_FILE);
            gy_mem_fail_at(nth, 0);
            gy_status status = fit(g_learners[l], &s, x, &told, &m, &file);
            gy_mem_fail_at(0, 0);
            gy_model_done(&m);
            gy_buf_done(&file);
            assert_int_equal(gy_mem_live(), live);
            if (status == GY_OK) {
                assert_true(nth > 8);
                break;
            }
            assert_int_equal(status, GY_E_NOMEM);
        }
    }
}

int main(void)
{
    if (gy_blas_open(&g_err) != GY_OK) {
        (void)fprintf(stderr, "%s\n", g_err.msg);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bytes_at_any_number_of_threads),
        cmocka_unit_test(refuses_a_file_that_does_not_fit),
        cmocka_unit_test(refuses_another_network),
        cmocka_unit_test(tells_every_epoch),
        cmocka_unit_test(a_missing_value_is_refused),
        cmocka_unit_test(survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

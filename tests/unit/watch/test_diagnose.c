/* SPDX-License-Identifier: Apache-2.0 */
/* A faulty sensor or another population? On the real vitals where they are, and on made patients:
 * windows of 1000 rows that training has not seen, 20 of each kind. */
#include "support_watch.h"

#include "base/yaml.h"
#include "data/schema.h"
#include "data/synth.h"
#include "learn/package.h"
#include "learn/train.h"
#include "watch/diagnose.h"

enum { WINDOWS = 20, ROWS = 1000, N_VITALS = 3 };

static const struct gy_str VITALS[N_VITALS] = {{"HR", 2}, {"Resp", 4}, {"Temp", 4}};
enum vital { HR, RESP, TEMP };
static char g_dir[64];

/* A trained package, its profile, and the rows it has not seen. */
struct ward {
    struct gy_table *t;
    struct gy_profile profile;
    struct gy_predictor *p;
    uint32_t *rows;
    size_t n;
    struct gy_share rule_hits; /* over all of these */
};

static void ward_done(struct ward *w)
{
    gy_table_free(w->t);
    gy_predictor_free(w->p);
    gy_eval_rows_free(w->rows);
}
GY_DEFINE_AUTO_DONE(struct ward, ward_done);

/* The documented rule: two of three signs. */
static bool rule(const double *x)
{
    return (x[TEMP] > 38.3 || x[TEMP] < 36.0) + (x[HR] > 90) + (x[RESP] > 20) >= 2;
}

static void row_of(const struct gy_table *t, uint32_t row, double *x)
{
    for (size_t i = 0; i < N_VITALS; i++) {
        x[i] = gy_table_column(t, VITALS[i])->num[row];
    }
}

static void train(struct ward *w, const char *name)
{
    char dir[GY_MAX_PATH];
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params p;
    GY_AUTO_DONE(gy_trained_done) struct gy_trained done;
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    gy_train_params_init(&p);
    gy_train_set_learner(&p, GY_LEARNER_LOGISTIC);
    p.replicates = 0;
    OK(gy_yaml_parse(GY_STR("seed: 7\nholdout: 0.5\ntrain: {target: isSepsis, features: [HR, Resp, "
                            "Temp]}"),
                     "p", &y, &g_err));
    OK(gy_train_params_read(&p, y, &g_err));
    OK(gy_path_join(dir, sizeof dir, g_dir, name, &g_err));
    OK(gy_train(w->t, &p, dir, &done, &g_err));
    OK(gy_predictor_load(dir, &w->p, &g_err));
    OK(gy_profile_read(dir, &g_arena, &w->profile, &g_err));
    OK(gy_eval_rows(gy_predictor_model(w->p), w->t, GY_EVAL_HELD_OUT, &w->rows, &w->n, &g_err));
    uint64_t hits = 0;
    for (size_t i = 0; i < w->n; i++) {
        double x[N_VITALS];
        row_of(w->t, w->rows[i], x);
        hits += rule(x);
    }
    w->rule_hits = gy_share_of(hits, w->n);
}

static bool real_vitals(struct ward *w)
{
    char path[GY_MAX_PATH];
    const char *data = getenv("GYRE_TEST_DATA");
    const char *src = getenv("GYRE_SRC");
    GY_AUTO(gy_schema_free) struct gy_schema *s = NULL;
    (void)snprintf(path, sizeof path, "%s%s/sepsis_vitals.csv",
                   data  ? data
                   : src ? src
                         : ".",
                   data ? "" : "/../shared/data");
    if (!gy_path_exists(path)) {
        return false;
    }
    OK(gy_schema_parse(GY_STR("columns:\n- {name: patient_id, type: int, role: id}\n"), "s", &s,
                       &g_err));
    OK(gy_table_load(path, s, &w->t, &g_err));
    assert_int_equal(w->t->n_rows, 36302);
    train(w, "real");
    return true;
}

static struct gy_table *made(enum gy_population population, int64_t rows, uint64_t seed)
{
    char path[GY_MAX_PATH];
    struct gy_synth_result result;
    struct gy_table *t = NULL;
    GY_AUTO(gy_schema_free) struct gy_schema *s = NULL;
    OK(gy_path_join(path, sizeof path, g_dir, "made.csv", &g_err));
    const struct gy_synth_options o = {.population = population,
                                       .rows = rows,
                                       .seed = seed,
                                       .positive = 0.0729,
                                       .first_id = 1,
                                       .labelled = true,
                                       .wbc = true,
                                       .out = path};
    OK(gy_synth_patients(&o, &result, &g_err));
    OK(gy_schema_parse(gy_str_c(GY_SYNTH_PATIENTS_SCHEMA), "s", &s, &g_err));
    OK(gy_table_load(path, s, &t, &g_err));
    return t;
}

/* ---- windows ---- */

struct outcome {
    size_t dataset, detected, temp, score; /* windows in which ... */
    size_t cause[4];
    size_t retrain;
    struct gy_drift_diagnosis last;
    struct gy_drift_result last_result;
};

/* Changes a row in place; r is of the window. */
typedef void (*change_fn)(double *x, struct gy_rng *r, double amount);

static void same(double *x, struct gy_rng *r, double amount)
{
    (void)x;
    (void)r;
    (void)amount;
}

static void warmer(double *x, struct gy_rng *r, double amount)
{
    (void)r;
    x[TEMP] = round((x[TEMP] + amount) * 100) / 100;
}

static void fahrenheit(double *x, struct gy_rng *r, double amount)
{
    (void)r;
    (void)amount;
    x[TEMP] = round((x[TEMP] * 1.8 + 32) * 10) / 10;
}

static void faster(double *x, struct gy_rng *r, double amount)
{
    (void)r;
    x[HR] = round(x[HR] * amount);
}

/* Fever is blunted: the hot are no longer told by their temperature. */
static void blunted(double *x, struct gy_rng *r, double amount)
{
    if (x[TEMP] > 38.3 && gy_rng_f64(r) < amount) {
        x[TEMP] = round(360 + 23 * gy_rng_f64(r)) / 10;
    }
}

/* Some hearts run: not all of them. */
static void some_hearts(double *x, struct gy_rng *r, double amount)
{
    if (x[HR] <= 90 && gy_rng_f64(r) < amount) {
        x[HR] = 91 + (double)gy_rng_below(r, 30);
    }
}

static void lost(double *x, struct gy_rng *r, double amount)
{
    if (gy_rng_f64(r) < amount) {
        x[TEMP] = NAN;
    }
}

static void stuck(double *x, struct gy_rng *r, double amount)
{
    (void)r;
    x[TEMP] = amount;
}

static void all_higher(double *x, struct gy_rng *r, double amount)
{
    (void)r;
    for (size_t i = 0; i < N_VITALS; i++) {
        x[i] += i == TEMP ? amount : 20 * amount;
    }
}

static double score_of(const struct ward *w, const double *x)
{
    double p = NAN;
    GY_AUTO(gy_free) char *room = gy_malloc(gy_predictor_scratch(w->p, 1) + 63);
    assert_non_null(room);
    gy_predictor_run(w->p, x, 1, &p, (void *)(((uintptr_t)room + 63) & ~(uintptr_t)63));
    return p;
}

static void count(struct outcome *o, const struct gy_drift_result *r,
                  const struct gy_drift_diagnosis *d)
{
    const struct gy_drift_feature *temp = gy_drift_feature(r, VITALS[TEMP]);
    o->dataset += r->dataset_drift;
    o->detected += r->detected;
    o->temp += temp->drifted;
    o->score += r->score.drifted;
    o->cause[d->cause]++;
    o->retrain += d->may_retrain;
    o->last = *d;
    o->last_result = *r;
}

/* 20 windows of rows drawn without replacement from `rows` of t, changed. */
static struct outcome watch(const struct ward *w, const struct gy_table *t, const uint32_t *rows,
                            size_t n, change_fn change, double amount,
                            const struct gy_drift_labels *labels)
{
    struct outcome o = {0};
    struct gy_drift_options options;
    gy_drift_options_init(&options);
    options.rule_reference = w->rule_hits;
    GY_AUTO(gy_drift_window_free) struct gy_drift_window *win = NULL;
    OK(gy_drift_window_new(VITALS, N_VITALS, ROWS, false, &win, &g_err));
    GY_AUTO(gy_free) char *room = gy_malloc(n * sizeof(uint32_t));
    assert_non_null(room);
    uint32_t *order = (uint32_t *)(void *)room;
    memcpy(order, rows, n * sizeof *rows);
    for (uint64_t k = 0; k < WINDOWS; k++) {
        struct gy_rng r;
        struct gy_drift_result result;
        struct gy_drift_diagnosis d;
        gy_rng_init_stream(&r, 17, k);
        gy_drift_window_reset(win);
        for (size_t i = 0; i < ROWS; i++) {
            size_t at = i + gy_rng_below(&r, n - i);
            uint32_t swap = order[i];
            double x[N_VITALS];
            order[i] = order[at];
            order[at] = swap;
            row_of(t, order[i], x);
            change(x, &r, amount);
            const struct gy_drift_row row = {.inputs = x,
                                             .answer = rule(x),
                                             .score = score_of(w, x),
                                             .weight = 1,
                                             .rules = true,
                                             .rule_hit = rule(x)};
            assert_true(gy_drift_window_add(win, &row));
        }
        OK(gy_drift_evaluate(&w->profile, win, &options, &g_arena, &result, &g_err));
        OK(gy_drift_diagnose(&result, labels, GY_DRIFT_MIN_LABELS, &g_arena, &d, &g_err));
        count(&o, &result, &d);
    }
    return o;
}

static struct outcome watch_held_out(const struct ward *w, change_fn change, double amount)
{
    return watch(w, w->t, w->rows, w->n, change, amount, NULL);
}

static void tell(const char *what, const struct outcome *o)
{
    print_message("%-28s dataset %2zu detected %2zu Temp %2zu score %2zu none %2zu sensor %2zu "
                  "population %2zu unknown %2zu\n    %.*s\n",
                  what, o->dataset, o->detected, o->temp, o->score, o->cause[GY_CAUSE_NONE],
                  o->cause[GY_CAUSE_SENSOR], o->cause[GY_CAUSE_POPULATION],
                  o->cause[GY_CAUSE_UNKNOWN], (int)o->last.reason.n, o->last.reason.p);
}

static void assert_fault(const struct outcome *o, enum gy_drift_fault_kind kind, const char *column,
                         double amount, double tolerance)
{
    assert_int_equal(o->cause[GY_CAUSE_SENSOR], WINDOWS);
    assert_int_equal(o->retrain, 0);
    assert_int_equal(o->last.n_faults, 1);
    const struct gy_drift_fault *f = &o->last.faults[0];
    assert_int_equal(f->kind, kind);
    assert_str(f->feature, column);
    assert_str(o->last.features[0], column);
    double got = kind == GY_FAULT_OFFSET ? f->offset : f->factor;
    if (!(fabs(got - amount) <= tolerance)) {
        fail_msg("%g, not %g", got, amount);
    }
}

/* What must hold on any ward of adults. */
static void all_kinds(const struct ward *w)
{
    struct outcome o = watch_held_out(w, same, 0);
    tell("as trained", &o);
    assert_true(o.dataset <= 1 && o.detected <= 1 && o.score <= 1);
    assert_true(o.cause[GY_CAUSE_SENSOR] == 0);
    o = watch_held_out(w, warmer, 1.0);
    tell("Temp +1.0", &o);
    assert_int_equal(o.temp, WINDOWS);
    assert_int_equal(o.detected, WINDOWS);
    assert_fault(&o, GY_FAULT_OFFSET, "Temp", 1.0, 0.1);
    assert_true(o.last_result.rule_moved);
    assert_non_null(strstr(o.last.reason.p, "higher for everyone"));
    o = watch_held_out(w, warmer, -0.5);
    tell("Temp -0.5", &o);
    assert_fault(&o, GY_FAULT_OFFSET, "Temp", -0.5, 0.1);
    o = watch_held_out(w, fahrenheit, 0);
    tell("Temp in Fahrenheit", &o);
    assert_fault(&o, GY_FAULT_LINE, "Temp", 1.8, 0.1);
    o = watch_held_out(w, faster, 1.2);
    tell("HR x 1.2", &o);
    assert_fault(&o, GY_FAULT_FACTOR, "HR", 1.2, 0.05);
    o = watch_held_out(w, lost, 0.6);
    tell("Temp missing in 60 %", &o);
    assert_fault(&o, GY_FAULT_MISSING, "Temp", 1, 0);
    o = watch_held_out(w, stuck, 37.0);
    tell("Temp stuck", &o);
    assert_fault(&o, GY_FAULT_STUCK, "Temp", 1, 0);
    o = watch_held_out(w, blunted, 1);
    tell("fever blunted", &o);
    assert_int_equal(o.temp, WINDOWS);
    assert_int_equal(o.cause[GY_CAUSE_POPULATION], WINDOWS);
    assert_int_equal(o.retrain, 0); /* no labels yet */
    o = watch_held_out(w, some_hearts, 0.2);
    tell("a fifth of the hearts run", &o);
    assert_int_equal(o.cause[GY_CAUSE_POPULATION], WINDOWS);
    o = watch_held_out(w, all_higher, 1);
    tell("all three higher", &o);
    assert_int_equal(o.cause[GY_CAUSE_UNKNOWN], WINDOWS);
    /* too little to tell: never called a sensor, never retrained */
    o = watch_held_out(w, warmer, 0.15);
    tell("Temp +0.15", &o);
    assert_int_equal(o.cause[GY_CAUSE_SENSOR] + o.cause[GY_CAUSE_POPULATION], 0);
}

static void on_the_real_vitals(void **state)
{
    (void)state;
    GY_AUTO_DONE(ward_done) struct ward w = {0};
    if (!real_vitals(&w)) {
        print_message("the real vitals are not here\n");
        skip();
    }
    all_kinds(&w);
}

static void on_made_patients(void **state)
{
    (void)state;
    GY_AUTO_DONE(ward_done) struct ward w = {.t = made(GY_ADULTS, 30000, 1)};
    train(&w, "made");
    all_kinds(&w);
}

/* Rows of a table with the label (-1: any). */
static size_t rows_with(const struct gy_table *t, int label, uint32_t *out)
{
    const double *y = gy_table_column(t, GY_STR("isSepsis"))->num;
    size_t n = 0;
    for (size_t i = 0; i < t->n_rows; i++) {
        if (label < 0 || y[i] == label) {
            out[n++] = (uint32_t)i;
        }
    }
    return n;
}

static void another_population_may_retrain(void **state)
{
    (void)state;
    enum { N = 12000 };
    static uint32_t rows[N];
    GY_AUTO_DONE(ward_done) struct ward w = {.t = made(GY_ADULTS, 30000, 1)};
    GY_AUTO(gy_table_free) struct gy_table *elderly = made(GY_ELDERLY, N, 2);
    train(&w, "elderly");
    size_t n = rows_with(elderly, -1, rows);
    struct gy_drift_labels labels = {.fresh = GY_DRIFT_MIN_LABELS};
    struct outcome o = watch(&w, elderly, rows, n, same, 0, &labels);
    tell("elderly", &o);
    assert_int_equal(o.detected, WINDOWS);
    assert_int_equal(o.dataset, WINDOWS);
    assert_int_equal(o.cause[GY_CAUSE_POPULATION], WINDOWS);
    assert_int_equal(o.retrain, WINDOWS);
    labels.fresh--;
    o = watch(&w, elderly, rows, n, same, 0, &labels);
    assert_int_equal(o.cause[GY_CAUSE_POPULATION], WINDOWS);
    assert_int_equal(o.retrain, 0);
    assert_non_null(strstr(o.last.retrain_reason.p, "199 of 200"));
    /* and a faulty probe among the elderly is not taken for one alone */
    o = watch(&w, elderly, rows, n, warmer, 1.0, &labels);
    tell("elderly, Temp +1.0", &o);
    assert_int_equal(o.cause[GY_CAUSE_SENSOR], 0);
    assert_int_equal(o.retrain, 0);
}

/* More of the same patients are septic: no column is an offset of what it was. */
static void more_septic_ones(void **state)
{
    (void)state;
    enum { N = 6000 };
    static uint32_t rows[N];
    GY_AUTO_DONE(ward_done) struct ward w = {.t = made(GY_ADULTS, 30000, 1)};
    train(&w, "septic");
    static uint32_t by_label[2][30000];
    (void)rows_with(w.t, 0, by_label[0]);
    (void)rows_with(w.t, 1, by_label[1]);
    for (size_t i = 0; i < N; i++) {
        bool septic = i % 3 == 0;
        rows[i] = by_label[septic][septic ? i / 3 : i];
    }
    struct outcome o = watch(&w, w.t, rows, N, same, 0, NULL);
    tell("a third is septic", &o);
    assert_int_equal(o.cause[GY_CAUSE_POPULATION], WINDOWS);
}

/* The rules hit more: with labels that say they are right as often, it is no sensor. */
static void labels_contradict_a_sensor(void **state)
{
    (void)state;
    GY_AUTO_DONE(ward_done) struct ward w = {.t = made(GY_ADULTS, 30000, 1)};
    train(&w, "labels");
    struct gy_drift_labels labels = {
        .fresh = 1000, .rule_tp_before = 300, .rule_tp_now = 170, .rule_fp_now = 130};
    struct outcome o = watch(&w, w.t, w.rows, w.n, warmer, 1.0, &labels);
    tell("Temp +1.0, precision falls", &o);
    assert_int_equal(o.cause[GY_CAUSE_SENSOR], WINDOWS);
    assert_int_equal(o.retrain, 0); /* labels there are enough of */
    assert_non_null(strstr(o.last.reason.p, "right in 57 % of these, 100 % before"));
    labels.rule_tp_now = 298;
    labels.rule_fp_now = 2;
    o = watch(&w, w.t, w.rows, w.n, warmer, 1.0, &labels);
    tell("Temp +1.0, precision stays", &o);
    assert_int_equal(o.cause[GY_CAUSE_UNKNOWN], WINDOWS);
    assert_int_equal(o.retrain, 0);
    /* too few to say that nothing changed: they contradict nothing */
    labels.rule_tp_now = 30;
    labels.rule_fp_now = 1;
    o = watch(&w, w.t, w.rows, w.n, warmer, 1.0, &labels);
    assert_int_equal(o.cause[GY_CAUSE_SENSOR], WINDOWS);
}

/* ---- what is written ---- */

static void json(void **state)
{
    (void)state;
    const struct gy_str names[] = {GY_STR("Temp")};
    const struct gy_drift_fault fault = {.feature = names[0],
                                         .kind = GY_FAULT_OFFSET,
                                         .offset = 1,
                                         .factor = 1,
                                         .distance = NAN,
                                         .explained = 0.9};
    const struct gy_drift_diagnosis d = {.cause = GY_CAUSE_SENSOR,
                                         .confidence = 0.9,
                                         .features = names,
                                         .n_features = 1,
                                         .faults = &fault,
                                         .n_faults = 1,
                                         .reason = GY_STR("it is"),
                                         .retrain_reason = GY_STR("no")};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_jw w;
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_drift_diagnosis_write(&w, &d);
    OK(gy_json_parse(gy_buf_str(&out), &doc, &g_err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_str(gy_json_str(root, "cause"), "sensor");
    assert_false(gy_json_bool(root, "may_retrain", true));
    yyjson_val *first = yyjson_arr_get_first(gy_json_get(root, "faults"));
    assert_str(gy_json_str(first, "kind"), "offset");
    assert_true(gy_json_f64(first, "offset", 0) == 1);
    assert_true(yyjson_is_null(gy_json_get(first, "distance")));
}

static gy_status diagnose(void *ctx, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_drift_diagnosis d;
    gy_arena_init(&a, GY_MIB);
    return gy_drift_diagnose(ctx, NULL, 1, &a, &d, err);
}

static void no_memory(void **state)
{
    (void)state;
    struct gy_drift_feature f = {.name = VITALS[TEMP],
                                 .test = GY_STAT_WASSERSTEIN,
                                 .threshold = 0.1,
                                 .drifted = true,
                                 .enough = true,
                                 .distance = 1,
                                 .reference_sd = 1,
                                 .reference = lcg_column(1, 2000, 0, 1)};
    OK(gy_values_map(&f.reference, 1, 1, &g_arena, &f.current, &g_err));
    struct gy_drift_result r = {.features = &f, .n_features = 1, .n_drifted = 1, .detected = true};
    torture(diagnose, &r);
}

static int start(void **state)
{
    scratch_make(g_dir);
    return arena_start(state);
}

static int end(void **state)
{
    scratch_done(g_dir);
    return arena_end(state);
}
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(on_made_patients),
        TEST(on_the_real_vitals),
        TEST(another_population_may_retrain),
        TEST(more_septic_ones),
        TEST(labels_contradict_a_sensor),
        TEST(json),
        TEST(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

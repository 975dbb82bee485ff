/* SPDX-License-Identifier: Apache-2.0 */
/* Chains: the same bits as their parts one after the other; what is refused, what is damaged. */
#include "support_learn.h"

#include "learn/cells.h"
#include "learn/chain.h"
#include "learn/publish.h"

enum { ROWS = 333 };

/* ---- parts ---- */

static const char *train_on(struct gy_table *t, enum gy_learner learner, const char *target,
                            const char *yaml, const char *name)
{
    GY_AUTO_DONE(gy_train_params_done) struct gy_train_params p;
    GY_AUTO_DONE(gy_trained_done) struct gy_trained done;
    char *dir = gy_malloc(GY_MAX_PATH); /* freed with the folder: free_part */
    assert_non_null(dir);
    in_dir(dir, name);
    read_params(&p, learner, yaml);
    p.target = gy_str_c(target);
    p.replicates = 0;
    OK(gy_train(t, &p, dir, &done, &g_err));
    OK(gy_package_seal(dir, &done.model, &(struct gy_package_ids){.created_us = 1}, &g_err));
    return dir;
}

static const char *train(enum gy_learner learner, const char *target, const char *features,
                         const char *steps, const char *name)
{
    char yaml[300];
    GY_AUTO(gy_table_free) struct gy_table *t = patients(600, 9);
    (void)snprintf(yaml, sizeof yaml,
                   "seed: 7\ntrain: {features: [%s], steps: [%s], xgboost: {rounds: 20, depth: 4}}",
                   features, steps);
    return train_on(t, learner, target, yaml, name);
}

/* A package that is only a model.json. */
static const char *write_part(const char *name, const char *json, const char *example)
{
    char *dir = gy_malloc(GY_MAX_PATH);
    assert_non_null(dir);
    in_dir(dir, name);
    OK(gy_dir_make(dir, &g_err));
    write_file(dir, "model.json", gy_str_c(json));
    if (example) {
        write_file(dir, "input_example.json", gy_str_c(example));
    }
    return dir;
}

static void free_part(const char **dir)
{
    gy_free((void *)(uintptr_t)*dir);
}
#define PART __attribute__((cleanup(free_part))) const char *

/* sigmoid(a/4 - b/2 + 1/8) of numbers that may miss. */
#define NUMBER(name) "{\"name\":\"" name "\",\"type\":\"float\",\"required\":false}"
#define FILL "{\"impute\":\"constant\",\"fill\":3}"
#define LOGISTIC(target, a, b)                                                     \
    "{\"format\":\"gyre.model/1\",\"task\":\"binary\",\"target\":\"" target        \
    "\",\"inputs\":[" NUMBER(a) "," NUMBER(                                        \
        b) "],\"features\":[" FILL "," FILL "],\"learner\":{\"name\":\"logistic\"" \
           ",\"values\":[0.25,-0.5,0.125]},\"classes\":[\"no\",\"yes\"],\"threshold\":0.5}"
#define OTHER(input, learner, params, values)                                                  \
    "{\"format\":\"gyre.model/2\",\"task\":\"regression\",\"target\":\"t\",\"inputs\":[" input \
    "],\"features\":[],\"learner\":{\"name\":\"" learner "\",\"params\":" params               \
    ",\"values\":[" values "]}}"

/* ---- making and asking ---- */

static gy_status make(const char *const *dirs, size_t n, const char *const *feeds, size_t n_feeds,
                      const char *name, char dir[GY_MAX_PATH], struct gy_err *err)
{
    const struct gy_str names[] = {GY_STR("a"), GY_STR("b"), GY_STR("c"), GY_STR("d")};
    struct gy_chain_part parts[GY_CHAIN_MAX_PARTS + 1] = {{.dir = NULL}};
    struct gy_chained made;
    in_dir(dir, name);
    OK(gy_dir_remove(dir, &g_err));
    OK(gy_dir_make(dir, &g_err));
    for (size_t i = 0; i < n; i++) {
        parts[i] = (struct gy_chain_part){.dir = dirs[i], .name = names[i % 4], .version = 3};
    }
    return gy_chain_package(
        &(struct gy_chain_plan){.parts = parts, .n_parts = n, .feeds = feeds, .n_feeds = n_feeds},
        dir, &made, err);
}

static void ask(const struct gy_predictor *p, const double *rows, size_t n, double *out)
{
    GY_AUTO(gy_free) char *scratch = gy_malloc(gy_predictor_scratch(p, n) + 63);
    assert_non_null(scratch);
    gy_predictor_run(p, rows, n, out, (void *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63));
}

static struct gy_predictor *load(const char *dir)
{
    struct gy_predictor *p = NULL;
    OK(gy_predictor_load(dir, &p, &g_err));
    return p;
}

/* The row of a part made of named values. */
struct named {
    const char *name;
    const double *values; /* numbers; a row each */
    const char *const *texts;
};

static void gather(const struct gy_predictor *p, const struct named *have, size_t n_have, size_t n,
                   double *rows)
{
    const struct gy_predictor_info *info = gy_predictor_info(p);
    for (size_t i = 0; i < info->n_inputs; i++) {
        const struct named *v = NULL;
        for (size_t k = 0; k < n_have; k++) {
            v = gy_str_eqc(info->inputs[i].name, have[k].name) ? &have[k] : v;
        }
        assert_non_null(v);
        for (size_t r = 0; r < n; r++) {
            double *to = &rows[r * info->n_cells + i];
            if (v->texts) {
                OK(gy_cell_of_text(&info->inputs[i], gy_str_c(v->texts[r]), to, &g_err));
            } else {
                *to = v->values[r];
            }
        }
    }
}

static const char *any_of(struct gy_rng *r, const char *const *texts, size_t n)
{
    return texts[gy_rng_below(r, n)];
}

/* ---- the same bits ---- */

static void three_parts_answer_as_one_after_the_other(void **state)
{
    (void)state;
    static double resp[ROWS], temp[ROWS], rows[ROWS * 4], got[ROWS], one[ROWS];
    static double sick[ROWS], risk[ROWS], calm[ROWS], hr[ROWS], want[ROWS];
    static const char *const wards[] = {"icu", "er", "", "none of them"};
    static const char *ward[ROWS];
    static const char *const feeds[] = {"sick=a.prediction", "HR=b.prediction",
                                        "calm=1.probability.0"};
    char dir[GY_MAX_PATH];
    PART a = train(GY_LEARNER_XGBOOST, "sick", "Resp, Temp", "", "a");
    PART b = train(GY_LEARNER_LINEAR, "HR", "Resp, sick, ward", "{impute: median}, onehot", "b");
    PART c = write_part("c", LOGISTIC("z", "HR", "calm"), NULL);
    OK(make((const char *const[]){a, b, c}, 3, feeds, 3, "three", dir, &g_err));
    GY_AUTO(gy_predictor_free) struct gy_predictor *chain = load(dir);
    GY_AUTO(gy_predictor_free) struct gy_predictor *pa = load(a);
    GY_AUTO(gy_predictor_free) struct gy_predictor *pb = load(b);
    GY_AUTO(gy_predictor_free) struct gy_predictor *pc = load(c);
    struct gy_rng r;
    gy_rng_init(&r, 5);
    for (size_t i = 0; i < ROWS; i++) {
        resp[i] = gy_rng_below(&r, 9) ? 5 + gy_rng_f64(&r) * 30 : NAN;
        temp[i] = gy_rng_below(&r, 9) ? 34 + gy_rng_f64(&r) * 8 : NAN;
        ward[i] = any_of(&r, wards, 4);
    }
    const struct named have[] = {{"Resp", resp, NULL}, {"Temp", temp, NULL}, {"ward", NULL, ward},
                                 {"sick", sick, NULL}, {"HR", hr, NULL},     {"calm", calm, NULL}};
    gather(pa, have, 6, ROWS, rows);
    ask(pa, rows, ROWS, risk);
    size_t n_sick = 0;
    for (size_t i = 0; i < ROWS; i++) {
        sick[i] = risk[i] >= gy_predictor_info(pa)->threshold;
        calm[i] = 1 - risk[i];
        n_sick += sick[i] > 0;
    }
    assert_true(n_sick > 20 && n_sick < ROWS - 20);
    gather(pb, have, 6, ROWS, rows);
    ask(pb, rows, ROWS, hr);
    gather(pc, have, 6, ROWS, rows);
    ask(pc, rows, ROWS, want);

    const struct gy_predictor_info *info = gy_predictor_info(chain);
    assert_true(info->n_inputs == 3 && info->n_cells == 3 && !info->blocks);
    assert_true(gy_str_eqc(info->learner, "chain") && gy_str_eqc(info->target, "z"));
    assert_true(info->task == GY_TASK_BINARY && gy_str_eqc(info->classes[1], "yes"));
    assert_true(info->n_trees == gy_predictor_info(pa)->n_trees && info->n_trees == 20);
    gather(chain, have, 6, ROWS, rows);
    ask(chain, rows, ROWS, got);
    assert_memory_equal(got, want, sizeof got);
    for (size_t i = 0; i < ROWS; i++) {
        ask(chain, rows + 3 * i, 1, one + i);
    }
    assert_memory_equal(one, want, sizeof one);
    for (size_t i = 1; i < ROWS; i++) {
        assert_true(isfinite(want[i]));
    }

    /* its memory is that of its parts; given back and loaded again it answers the same */
    assert_true(gy_predictor_bytes(chain) >=
                gy_predictor_bytes(pa) + gy_predictor_bytes(pb) + gy_predictor_bytes(pc));
    gy_predictor_unload(chain);
    OK(gy_predictor_load_again(chain, dir, &g_err));
    memset(got, 0, sizeof got);
    ask(chain, rows, ROWS, got);
    assert_memory_equal(got, want, sizeof got);
}

/* Two tables whose texts differ; the first part predicts texts that the second one takes. */
static struct gy_table *words(const char *head, const char *const *wards, const char *const *kinds,
                              size_t n_kinds)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf csv;
    struct gy_table *t = NULL;
    struct gy_rng r;
    gy_buf_init(&csv, GY_MIB);
    gy_rng_init(&r, 3);
    gy_buf_addf(&csv, "%s\n", head);
    for (size_t i = 0; i < 240; i++) {
        size_t k = i % n_kinds;
        gy_buf_addf(&csv, "%zu,%d,%s,%s,%.3f\n", i, (int)(10 * k + gy_rng_below(&r, 8)),
                    any_of(&r, wards, 2), kinds[k], (double)k + gy_rng_f64(&r));
    }
    assert_int_equal(gy_buf_check(&csv, "words", NULL), GY_OK);
    OK(gy_table_parse(gy_buf_str(&csv), "words.csv", NULL, &t, &g_err));
    return t;
}

static void texts_go_by_their_names(void **state)
{
    (void)state;
    static const char *const kinds[] = {"low", "mid", "high"}, *const fewer[] = {"high", "mid"};
    static const char *const wards_a[] = {"er", "icu"}, *const wards_b[] = {"gyn", "icu"};
    static const char *const all[] = {"er", "icu", "gyn", "", "none"};
    static double x[ROWS], rows[ROWS * 3], p[ROWS * 3], want[ROWS], got[ROWS];
    static const char *ward[ROWS], *kind[ROWS];
    char dir[GY_MAX_PATH];
    GY_AUTO(gy_table_free) struct gy_table *ta = words("n,x,ward,kind,y", wards_a, kinds, 3);
    GY_AUTO(gy_table_free) struct gy_table *tb = words("n,x,ward,kind,y", wards_b, fewer, 2);
    PART a = train_on(ta, GY_LEARNER_XGBOOST, "kind",
                      "train: {features: [x, ward], steps: [onehot], xgboost: {rounds: 5}}", "wa");
    PART b =
        train_on(tb, GY_LEARNER_XGBOOST, "y",
                 "train: {features: [kind, ward], steps: [onehot], xgboost: {rounds: 5}}", "wb");
    OK(make((const char *const[]){a, b}, 2, NULL, 0, "words", dir, &g_err));
    GY_AUTO(gy_predictor_free) struct gy_predictor *chain = load(dir);
    GY_AUTO(gy_predictor_free) struct gy_predictor *pa = load(a);
    GY_AUTO(gy_predictor_free) struct gy_predictor *pb = load(b);
    const struct gy_predictor_info *ia = gy_predictor_info(pa), *info = gy_predictor_info(chain);
    assert_true(ia->task == GY_TASK_MULTICLASS && ia->n_outputs == 3);
    assert_true(info->n_inputs == 2 && info->task == GY_TASK_REGRESSION);
    assert_true(info->inputs[1].n_values == 3); /* er, gyn, icu */
    struct gy_rng r;
    gy_rng_init(&r, 8);
    for (size_t i = 0; i < ROWS; i++) {
        x[i] = gy_rng_below(&r, 9) ? gy_rng_f64(&r) * 30 : NAN;
        ward[i] = any_of(&r, all, 5);
    }
    const struct named have[] = {{"x", x, NULL}, {"ward", NULL, ward}, {"kind", NULL, kind}};
    gather(pa, have, 2, ROWS, rows);
    ask(pa, rows, ROWS, p);
    for (size_t i = 0; i < ROWS; i++) {
        size_t best = 0;
        for (size_t k = 1; k < 3; k++) {
            best = p[3 * i + k] > p[3 * i + best] ? k : best;
        }
        kind[i] = ia->classes[best].p;
    }
    gather(pb, have, 3, ROWS, rows);
    ask(pb, rows, ROWS, want);
    gather(chain, have, 2, ROWS, rows);
    ask(chain, rows, ROWS, got);
    assert_memory_equal(got, want, sizeof got);

    /* a number is no text, and a text no number */
    PART n = write_part("wn", LOGISTIC("z", "y", "kind"), NULL);
    const char *const numbers[] = {b, n}, *const texts[] = {a, n}, *const back[] = {b, a};
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(make(numbers, 2, NULL, 0, "numbers", dir, &err), GY_E_INVALID);
    assert_non_null(strstr(err.msg, "input 'kind' is of another type in 'b'"));
    assert_int_equal(make(texts, 2, NULL, 0, "texts", dir, &err), GY_E_INVALID);
    assert_non_null(strstr(err.msg, "takes numbers, and 'a' predicts classes that are none"));
    OK(make(texts, 2, (const char *const[]){"kind=a.probability.mid"}, 1, "share", dir, &g_err));
    assert_int_equal(
        make(back, 2, (const char *const[]){"ward=a.prediction"}, 1, "back", dir, &err),
        GY_E_INVALID);
    assert_non_null(strstr(err.msg, "input 'ward' takes texts"));
}

/* ---- refused ---- */

static void refused(const char *const *dirs, size_t n, const char *feed, const char *says)
{
    char dir[GY_MAX_PATH];
    struct gy_err err = GY_ERR_INIT;
    gy_status status = make(dirs, n, &feed, feed != NULL, "refused", dir, &err);
    if (status != GY_E_INVALID || !strstr(err.msg, says)) {
        fail_msg("want '%s': %s, %s", says, gy_status_name(status), err.msg);
    }
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    char dir[GY_MAX_PATH];
    PART a = write_part("ra", LOGISTIC("u", "x", "y"), NULL);
    PART b = write_part("rb", LOGISTIC("v", "x", "p"), NULL);
    PART picture = write_part("rp",
                              OTHER("{\"name\":\"i\",\"type\":\"image\",\"width\":2,"
                                    "\"height\":2,\"channels\":1}",
                                    "majority", "{}", "1"),
                              NULL);
    PART far = write_part("rr", OTHER(NUMBER("x"), "remote", "{\"url\":\"http://h\"}", ""), NULL);
    const char *const two[] = {a, b}, *const nine[] = {a, b, a, b, a, b, a, b, a};
    const char *const twins[] = {a, b, b, b, a, b};
    const char *const upstream[] = {far, b}, *const image[] = {picture, b};
    const char *good = "p=a.probability";
    refused(two, 1, good, "2 to 8 parts, not 1");
    refused(nine, 9, good, "2 to 8 parts, not 9");
    refused(two, 2, NULL, "'a' feeds no later part");
    refused(two, 2, "p", "INPUT=PART.OUTPUT");
    refused(two, 2, "p=b.prediction", "no part behind 'b'");
    refused(two, 2, "p=3.prediction", "no PART.OUTPUT");
    refused(two, 2, "p=q.prediction", "no PART.OUTPUT");
    refused(two, 2, "q=a.probability", "has the input 'q'");
    refused(two, 2, "p=a.probability.maybe", "'a' has no output 'probability.maybe'");
    refused(two, 2, "p=a.label", "'a' has no output 'label'");
    refused(two, 2, "p=a.prediction", "predicts classes that are none");
    refused(twins, 6, good, "two parts are named 'a'");
    refused(upstream, 2, "p=a.prediction", "waits for another process");
    refused(image, 2, "p=a.prediction", "takes an image");
    OK(make(two, 2, &good, 1, "inner", dir, &g_err));
    refused((const char *const[]){dir, b}, 2, "p=a.probability", "a chain can not be part");
}

/* ---- damaged ---- */

struct edit {
    const char *from, *to;
    gy_status code;
    const char *says;
};

static void edited(const char *dir, const struct gy_buf *whole, const struct edit *e)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    struct gy_err err = GY_ERR_INIT;
    const char *at = strstr(whole->p, e->from);
    if (!at) {
        fail_msg("model.json has no %s", e->from);
    }
    gy_buf_init(&text, GY_MIB);
    gy_buf_add_bytes(&text, whole->p, (size_t)(at - whole->p));
    gy_buf_addc(&text, e->to);
    gy_buf_addc(&text, at + strlen(e->from));
    write_file(dir, "model.json", gy_buf_str(&text));
    gy_status status = gy_predictor_load(dir, &p, &err);
    if (status != e->code || (e->says && !strstr(err.msg, e->says))) {
        fail_msg("%s for %s: %s, %s", e->to, e->from, gy_status_name(status), err.msg);
    }
}

static void a_damaged_chain_is_not_opened(void **state)
{
    (void)state;
    static const struct edit edits[] = {
        {"\"part\":1", "\"part\":1", GY_OK, NULL},
        {"\"part\":1", "\"part\":2", GY_E_CORRUPT, "fed by earlier ones"},
        {"\"part\":1", "\"part\":0", GY_E_CORRUPT, "fed by earlier ones"},
        {"\"from\":0", "\"from\":1", GY_E_CORRUPT, "fed by earlier ones"},
        {"\"from\":0", "\"from\":-1", GY_E_CORRUPT, "fed by earlier ones"},
        {"\"input\":\"p\"", "\"input\":\"q\"", GY_E_CORRUPT, "has no input 'q'"},
        {"\"probability.yes\"", "\"probability.nay\"", GY_E_CORRUPT, "has no output"},
        {"\"feeds\":[", "\"feeds\":[3,", GY_E_CORRUPT, NULL},
        {"\"feeds\":[", "\"fed\":[", GY_E_CORRUPT, "feeds"},
        {"\"parts\":[", "\"parts\":[],\"p\":[", GY_E_CORRUPT, "a chain of 0 parts"},
        {"\"sha256\":\"", "\"sha256\":\"0", GY_E_CORRUPT, "without its digest"},
        {"\"threshold\": 0.5", "\"threshold\": 0.6", GY_E_CORRUPT, "than its last part"},
        {"\"yes\"\n", "\"yea\"\n", GY_E_CORRUPT, "than its last part"},
        {"\"name\": \"y\"", "\"name\": \"w\"", GY_E_CORRUPT, "fed by nobody"},
        {"\"type\": \"float\"", "\"type\": \"time\"", GY_E_CORRUPT, "of another type"},
    };
    char dir[GY_MAX_PATH], path[GY_MAX_PATH], reason[512];
    bool servable = false;
    struct gy_err err = GY_ERR_INIT;
    struct gy_predictor *p = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf whole, part;
    PART a =
        write_part("da", LOGISTIC("u", "x", "y"), "{\"columns\":[\"x\",\"y\"],\"data\":[[1,2]]}");
    PART b =
        write_part("db", LOGISTIC("v", "x", "p"), "{\"columns\":[\"x\",\"p\"],\"data\":[[1,2]]}");
    OK(make((const char *const[]){a, b}, 2, (const char *const[]){"p=a.probability"}, 1, "damaged",
            dir, &g_err));
    OK(gy_package_prove(dir, 100, &servable, reason, &g_err));
    if (!servable) {
        fail_msg("%s", reason);
    }
    read_file(dir, "model.json", &whole);
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        edited(dir, &whole, &edits[i]);
    }
    write_file(dir, "model.json", gy_buf_str(&whole));
    OK(gy_path_join(path, sizeof path, dir, "parts/1", &g_err));
    read_file(path, "model.json", &part);
    part.p[part.n - 1] = ' ';
    write_file(path, "model.json", gy_str_n(part.p, part.n));
    gy_status status = gy_predictor_load(dir, &p, &err);
    assert_true(status == GY_E_CORRUPT);
    part.p[part.n - 1] = '}';
    write_file(path, "model.json", gy_str_n(part.p, part.n));
    write_file(path, "more", GY_STR("x"));
    assert_int_equal(gy_predictor_load(dir, &p, &err), GY_E_CORRUPT);
    assert_non_null(strstr(err.msg, "not the package that model.json was written for"));
    OK(gy_dir_remove(path, &g_err));
    assert_int_equal(gy_predictor_load(dir, &p, &err), GY_E_CORRUPT);
    assert_non_null(strstr(err.msg, "lacks parts/1"));
    /* a chain inside: refused before its own parts are looked at */
    OK(gy_dir_make(path, &g_err));
    write_file(path, "model.json", gy_buf_str(&whole));
    assert_int_equal(gy_predictor_load(dir, &p, &err), GY_E_CORRUPT);
    assert_null(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_parts_answer_as_one_after_the_other),
        cmocka_unit_test(texts_go_by_their_names),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(a_damaged_chain_is_not_opened),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The shortest whole project: three species of iris. */
#include <math.h>

#include "base/file.h"
#include "cli/demo.h"

enum { MAX_IRIS_JSON = 1 << 20, N_SPECIES = 3 };

struct iris {
    struct gy_demo *d;
    const char *origin;
    int64_t read, accepted, version;
    double accuracy, low, high, f1_macro;
    int64_t held_out, right;
};

static gy_status convert(struct gy_demo *d, const char *path, struct gy_err *err)
{
    static const char *const lengths[] = {"sepalLength", "sepalWidth", "petalLength", "petalWidth"};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_buf_init(&out, MAX_IRIS_JSON);
    GY_TRY(gy_json_read_file(path, MAX_IRIS_JSON, &doc, err));
    gy_buf_addc(&out, "sepal_length,sepal_width,petal_length,petal_width,species\n");
    size_t i, n;
    yyjson_val *flower;
    yyjson_arr_foreach(yyjson_doc_get_root(doc), i, n, flower)
    {
        for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
            gy_buf_addf(&out, "%.1f,", gy_json_f64(flower, lengths[k], NAN));
        }
        gy_buf_add(&out, gy_json_str(flower, "species"));
        gy_buf_addc(&out, "\n");
    }
    GY_TRY(gy_buf_check(&out, "the flowers", err));
    return gy_demo_write(d, "data/raw/iris.csv", gy_buf_str(&out), err);
}

static gy_status step_data(struct iris *s, struct gy_err *err)
{
    struct gy_demo *d = s->d;
    char path[GY_MAX_PATH];
    if (d->opts->data) {
        s->origin = "file";
        gy_demo_begin(d, "flowers", "cp %s data/raw/iris.csv", d->opts->data);
        GY_TRY(gy_demo_copy(d, d->opts->data, "data/raw/iris.csv", err));
        return gy_demo_done(d, true, err, "a file of yours");
    }
    if (gy_demo_fetched(d, "iris.json", path)) {
        s->origin = "vega-datasets";
        gy_demo_begin(d, "flowers", "deps/vega-datasets.sh, iris.json as data/raw/iris.csv");
        GY_TRY(convert(d, path, err));
        return gy_demo_done(d, true, err, "Fisher's, out of the package vega-datasets");
    }
    s->origin = "made";
    gy_demo_begin(d, "flowers", "gyre data synth iris -o data/raw/iris.csv");
    GY_TRY(gy_demo_gyre(d, "data synth iris -o data/raw/iris.csv", 0, NULL, err));
    return gy_demo_done(d, true, err,
                        "MADE UP: the real ones were not fetched (deps/vega-datasets.sh)");
}

static double metric(yyjson_val *report, const char *name, const char *part)
{
    return gy_json_f64(gy_json_get(gy_json_get(report, "metrics"), name), part, NAN);
}

static gy_status step_run(struct iris *s, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *ingested = NULL;
    GY_AUTO(gy_json_free) yyjson_doc *trained = NULL;
    gy_demo_begin(s->d, "ingest and train", "gyre run");
    GY_TRY(gy_demo_gyre(s->d, "run", 0, NULL, err));
    GY_TRY(gy_demo_read(s->d, "reports/ingest.json", &ingested, err));
    GY_TRY(gy_demo_read(s->d, "reports/train.json", &trained, err));
    yyjson_val *in = yyjson_doc_get_root(ingested);
    yyjson_val *report = yyjson_doc_get_root(trained);
    s->read = gy_json_i64(in, "read", -1);
    s->accepted = gy_json_i64(in, "accepted", -1);
    s->version = gy_json_i64(report, "version", 0);
    s->accuracy = metric(report, "accuracy", "value");
    s->low = metric(report, "accuracy", "low");
    s->high = metric(report, "accuracy", "high");
    s->f1_macro = metric(report, "f1_macro", "value");
    s->held_out = gy_json_i64(gy_json_get(report, "rows"), "held_out", 0);
    return gy_demo_done(s->d, s->version > 0 && s->accuracy > 0.8, err,
                        "%lld of %lld rows accepted; accuracy %.3f (%.3f to %.3f) on %lld held out",
                        (long long)s->accepted, (long long)s->read, s->accuracy, s->low, s->high,
                        (long long)s->held_out);
}

static gy_status step_gate(struct iris *s, struct gy_err *err)
{
    char words[128];
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    (void)snprintf(words, sizeof words, "gate check iris/%lld", (long long)s->version);
    gy_demo_begin(s->d, "gate", "gyre %s", words);
    GY_TRY(gy_demo_gyre(s->d, words, 0, &doc, err));
    struct gy_str verdict = gy_json_str(yyjson_doc_get_root(doc), "verdict");
    return gy_demo_done(s->d, gy_str_eqc(verdict, "BLESSED"), err, "%" GY_STR_F, GY_STR_A(verdict));
}

static gy_status step_deploy(struct iris *s, struct gy_err *err)
{
    char words[128];
    (void)snprintf(words, sizeof words, "models promote iris/%lld --alias champion",
                   (long long)s->version);
    gy_demo_begin(s->d, "promote and deploy", "gyre %s && gyre endpoint deploy iris", words);
    GY_TRY(gy_demo_gyre(s->d, words, 0, NULL, err));
    GY_TRY(gy_demo_gyre(s->d, "endpoint deploy iris", 0, NULL, err));
    return gy_demo_done(s->d, true, err, "models:/iris@champion is version %lld, served",
                        (long long)s->version);
}

/* A flower in the middle of each species. */
static gy_status step_ask(struct iris *s, struct gy_err *err)
{
    static const struct {
        const char *species, *body;
    } asked[N_SPECIES] = {
        {"setosa", "{\"sepal_length\": 5.0, \"sepal_width\": 3.4, \"petal_length\": 1.5, "
                   "\"petal_width\": 0.2}"},
        {"versicolor", "{\"sepal_length\": 5.9, \"sepal_width\": 2.8, \"petal_length\": 4.3, "
                       "\"petal_width\": 1.3}"},
        {"virginica", "{\"sepal_length\": 6.6, \"sepal_width\": 3.0, \"petal_length\": 5.6, "
                      "\"petal_width\": 2.0}"},
    };
    gy_demo_begin(s->d, "three flowers", "curl -d '%s' %s/species", asked[0].body, s->d->address);
    for (size_t i = 0; i < N_SPECIES; i++) {
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        GY_TRY(gy_demo_post(s->d, "/species", asked[i].body, 200, &doc, err));
        struct gy_str said = gy_json_str(yyjson_doc_get_root(doc), "species");
        s->right += gy_str_eqc(said, asked[i].species);
    }
    return gy_demo_done(s->d, s->right == N_SPECIES, err, "%lld of %d named rightly",
                        (long long)s->right, N_SPECIES);
}

static void write_table(const struct iris *s)
{
    struct gy_jw *w = &s->d->table;
    gy_jw_kv_i64(w, "read", s->read);
    gy_jw_kv_i64(w, "accepted", s->accepted);
    gy_jw_kv_i64(w, "held_out", s->held_out);
    gy_jw_kv_f64(w, "accuracy", s->accuracy);
    gy_jw_key(w, "accuracy_interval");
    gy_jw_arr(w);
    gy_jw_f64(w, s->low);
    gy_jw_f64(w, s->high);
    gy_jw_arr_end(w);
    gy_jw_kv_f64(w, "f1_macro", s->f1_macro);
    gy_jw_kv_i64(w, "version", s->version);
    gy_jw_kv_i64(w, "asked", N_SPECIES);
    gy_jw_kv_i64(w, "right", s->right);
    gy_jw_kv_strc(w, "data", s->origin);
}

static gy_status play(struct gy_demo *d, struct gy_err *err)
{
    struct iris s = {.d = d};
    GY_TRY(gy_demo_project(d, "iris", err));
    GY_TRY(step_data(&s, err));
    GY_TRY(gy_demo_server(d, err));
    GY_TRY(step_run(&s, err));
    GY_TRY(step_gate(&s, err));
    GY_TRY(step_deploy(&s, err));
    GY_TRY(step_ask(&s, err));
    write_table(&s);
    gy_cli_say(d->cli, "\nWhat held\n");
    gy_demo_row(d, "accuracy", "%.3f (%.3f to %.3f) on %lld flowers held out", s.accuracy, s.low,
                s.high, (long long)s.held_out);
    return GY_OK;
}

const struct gy_demo_ops gy_demo_iris = {
    .name = "iris", .title = "Three species of iris, the shortest whole project", .play = play};

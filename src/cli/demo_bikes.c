/* SPDX-License-Identifier: Apache-2.0 */
/* Reference system 003: hourly demand for bikes. Months as files, a grid of 16 forests, the best
 * one served, and April held against the months before. */
#include <math.h>

#include "base/file.h"
#include "cli/demo.h"

enum { N_COLUMNS = 17, N_RUNS = 16, FIRST_MONTH = 1, LAST_NEEDED = 4, LAST_MONTH = 12 };

struct bikes {
    struct gy_demo *d;
    int64_t read, accepted, columns;
    int64_t runs, version;
    double rmse, low, high, r2; /* of the best, on the rows held out */
    double april_rmse;          /* ... and a month later */
    double prediction;
    int64_t drifted, of;
    bool dataset_drift, target_drift;
    double target_score;
};

/* ---- data ---- */

/* The months that DIR has; January to April are needed. */
static gy_status copy_months(struct bikes *b, int *ret_n, struct gy_err *err)
{
    for (int month = FIRST_MONTH; month <= LAST_MONTH; month++) {
        char name[32];
        char from[GY_MAX_PATH];
        char to[64];
        (void)snprintf(name, sizeof name, "bikes_2011_%02d.csv", month);
        (void)snprintf(to, sizeof to, "data/raw/%s", name);
        GY_TRY(gy_path_join(from, sizeof from, b->d->opts->data, name, err));
        if (month > LAST_NEEDED && !gy_path_exists(from)) {
            continue;
        }
        if (gy_demo_copy(b->d, from, to, err) != GY_OK) {
            return gy_err_hint(err, "--data takes a folder with bikes_2011_01.csv to _04.csv");
        }
        ++*ret_n;
    }
    return GY_OK;
}

static gy_status step_data(struct bikes *b, struct gy_err *err)
{
    int n = 0;
    if (b->d->opts->data) {
        gy_demo_begin(b->d, "months", "cp %s/bikes_2011_??.csv data/raw/", b->d->opts->data);
        GY_TRY(copy_months(b, &n, err));
        return gy_demo_done(b->d, true, err, "%d months of yours", n);
    }
    gy_demo_begin(b->d, "months", "gyre data synth bikes -o data/raw");
    GY_TRY(gy_demo_gyre(b->d, "data synth bikes -o data/raw", 0, NULL, err));
    return gy_demo_done(b->d, true, err, "%d months, MADE UP; --data DIR takes real ones",
                        LAST_MONTH);
}

static gy_status step_ingest(struct bikes *b, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO(gy_json_free) yyjson_doc *shown = NULL;
    gy_demo_begin(b->d, "validate and ingest", "gyre run ingest");
    GY_TRY(gy_demo_gyre(b->d, "run ingest", 0, NULL, err));
    GY_TRY(gy_demo_read(b->d, "reports/ingest.json", &doc, err));
    GY_TRY(gy_demo_gyre(b->d, "data profile data/quarter/data.csv", 0, &shown, err));
    yyjson_val *r = yyjson_doc_get_root(doc);
    b->read = gy_json_i64(r, "read", -1);
    b->accepted = gy_json_i64(r, "accepted", -1);
    b->columns = (int64_t)yyjson_arr_size(gy_json_get(yyjson_doc_get_root(shown), "columns"));
    int64_t dead = gy_json_i64(r, "dead", -1);
    return gy_demo_done(b->d, b->columns == N_COLUMNS && b->accepted + dead == b->read, err,
                        "%lld columns; accepted %lld + dead %lld = read %lld",
                        (long long)b->columns, (long long)b->accepted, (long long)dead,
                        (long long)b->read);
}

/* ---- the grid ---- */

static gy_status step_grid(struct bikes *b, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_demo_begin(b->d, "16 forests, each a run", "gyre run grid");
    GY_TRY(gy_demo_gyre(b->d, "run grid", 0, NULL, err));
    GY_TRY(gy_demo_read(b->d, "reports/grid.json", &doc, err));
    yyjson_val *r = yyjson_doc_get_root(doc);
    yyjson_val *best = gy_json_get(r, "best");
    yyjson_val *settings = gy_json_get(best, "settings");
    yyjson_val *rmse = gy_json_get(gy_json_get(best, "metrics"), "rmse");
    b->runs = (int64_t)yyjson_arr_size(gy_json_get(r, "runs"));
    b->version = gy_json_i64(r, "version", 0);
    b->rmse = gy_json_f64(rmse, "value", NAN);
    b->low = gy_json_f64(rmse, "low", NAN);
    b->high = gy_json_f64(rmse, "high", NAN);
    b->r2 = gy_json_f64(gy_json_get(gy_json_get(best, "metrics"), "r2"), "value", NAN);
    struct gy_str trees = gy_json_str(settings, "trees");
    struct gy_str depth = gy_json_str(settings, "depth");
    struct gy_jw *w = &b->d->table;
    gy_jw_key(w, "best");
    gy_jw_obj(w);
    gy_jw_kv_str(w, "trees", trees);
    gy_jw_kv_str(w, "depth", depth);
    gy_jw_kv_str(w, "run_id", gy_json_str(best, "run_id"));
    gy_jw_obj_end(w);
    return gy_demo_done(b->d, b->runs == N_RUNS && b->version > 0 && isfinite(b->rmse), err,
                        "the best: %" GY_STR_F " trees of depth %" GY_STR_F
                        ", RMSE %.1f (%.1f to %.1f) on rows held out",
                        GY_STR_A(trees), GY_STR_A(depth), b->rmse, b->low, b->high);
}

static gy_status step_gate(struct bikes *b, struct gy_err *err)
{
    char words[128];
    char promote[128];
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    (void)snprintf(words, sizeof words, "gate check bikes/%lld", (long long)b->version);
    (void)snprintf(promote, sizeof promote, "models promote bikes/%lld --alias champion",
                   (long long)b->version);
    gy_demo_begin(b->d, "gate, promote, deploy", "gyre %s && gyre %s && gyre endpoint deploy bikes",
                  words, promote);
    GY_TRY(gy_demo_gyre(b->d, words, 0, &doc, err));
    GY_TRY(gy_demo_gyre(b->d, promote, 0, NULL, err));
    GY_TRY(gy_demo_gyre(b->d, "endpoint deploy bikes", 0, NULL, err));
    struct gy_str verdict = gy_json_str(yyjson_doc_get_root(doc), "verdict");
    return gy_demo_done(b->d, gy_str_eqc(verdict, "BLESSED"), err,
                        "%" GY_STR_F ", version %lld is served", GY_STR_A(verdict),
                        (long long)b->version);
}

static gy_status step_ask(struct bikes *b, struct gy_err *err)
{
    static const char body[] =
        "{\"temp\": 0.32, \"atemp\": 0.3485, \"humidity\": 1.0, \"windspeed\": 0.0, \"hour\": 1, "
        "\"weekday\": 5, \"season\": 1, \"holiday\": 0, \"workingday\": 1, \"weathersit\": 2}";
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_demo_begin(b->d, "one wet night hour", "curl -d '%s' %s/predict", body, b->d->address);
    GY_TRY(gy_demo_post(b->d, "/predict", body, 200, &doc, err));
    b->prediction = gy_json_f64(yyjson_doc_get_root(doc), "prediction", NAN);
    GY_TRY(gy_demo_post(b->d, "/predict", "{\"temp\": \"warm\"}", 400, NULL, err));
    return gy_demo_done(b->d, b->prediction >= 0 && b->prediction < 1000, err,
                        "%.1f bikes; a body that is wrong gets 400", b->prediction);
}

/* ---- April ---- */

static void write_scores(struct bikes *b, yyjson_val *features)
{
    struct gy_jw *w = &b->d->table;
    gy_jw_key(w, "drift");
    gy_jw_obj(w);
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(features, i, n, one)
    {
        gy_jw_keys(w, gy_json_str(one, "name"));
        gy_jw_obj(w);
        gy_jw_kv_str(w, "test", gy_json_str(one, "test"));
        gy_jw_kv_f64(w, "score", gy_json_f64(one, "score", NAN));
        gy_jw_kv_bool(w, "drifted", gy_json_bool(one, "drifted", false));
        gy_jw_obj_end(w);
    }
    gy_jw_obj_end(w);
}

static gy_status step_april(struct bikes *b, struct gy_err *err)
{
    static const char target[] =
        "watch drift --current data/raw/bikes_2011_04.csv --reference data/quarter/data.csv "
        "--columns count";
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO(gy_json_free) yyjson_doc *counts = NULL;
    gy_demo_begin(b->d, "April against January to March", "gyre run april");
    GY_TRY(gy_demo_gyre(b->d, "run april", 0, NULL, err));
    GY_TRY(gy_demo_read(b->d, "reports/april.json", &doc, err));
    yyjson_val *drift = gy_json_get(yyjson_doc_get_root(doc), "drift");
    b->drifted = gy_json_i64(drift, "columns_drifted", -1);
    b->of = (int64_t)yyjson_arr_size(gy_json_get(drift, "features"));
    b->dataset_drift = gy_json_bool(drift, "dataset_drift", false);
    write_scores(b, gy_json_get(drift, "features"));
    GY_TRY(gy_demo_done(b->d, b->drifted >= 0 && b->of == 9, err,
                        "%lld of %lld columns drifted: dataset drift %s", (long long)b->drifted,
                        (long long)b->of, b->dataset_drift ? "yes" : "no"));
    gy_demo_begin(b->d, "and the demand itself", "gyre %s", target);
    GY_TRY(gy_demo_gyre(b->d, target, 0, &counts, err));
    yyjson_val *count = yyjson_arr_get_first(
        gy_json_get(gy_json_get(yyjson_doc_get_root(counts), "drift"), "features"));
    b->target_score = gy_json_f64(count, "score", NAN);
    b->target_drift = gy_json_bool(count, "drifted", false);
    return gy_demo_done(b->d, isfinite(b->target_score), err, "count moved by %.2f deviations: %s",
                        b->target_score, b->target_drift ? "target drift" : "no target drift");
}

static gy_status step_worse(struct bikes *b, struct gy_err *err)
{
    char words[128];
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    (void)snprintf(words, sizeof words,
                   "evaluate models:/bikes/%lld data/raw/bikes_2011_04.csv --all-rows",
                   (long long)b->version);
    gy_demo_begin(b->d, "what it costs", "gyre %s", words);
    GY_TRY(gy_demo_gyre(b->d, words, 0, &doc, err));
    yyjson_val *metrics = gy_json_get(yyjson_doc_get_root(doc), "metrics");
    b->april_rmse = gy_json_f64(gy_json_get(metrics, "rmse"), "value", NAN);
    return gy_demo_done(b->d, isfinite(b->april_rmse), err,
                        "RMSE %.1f in April, %.1f on the rows held out of the months before",
                        b->april_rmse, b->rmse);
}

/* ---- the table ---- */

static void write_table(const struct bikes *b)
{
    struct gy_jw *w = &b->d->table;
    gy_jw_kv_i64(w, "read", b->read);
    gy_jw_kv_i64(w, "accepted", b->accepted);
    gy_jw_kv_i64(w, "columns", b->columns);
    gy_jw_kv_i64(w, "runs", b->runs);
    gy_jw_kv_i64(w, "version", b->version);
    gy_jw_kv_f64(w, "rmse", b->rmse);
    gy_jw_key(w, "rmse_interval");
    gy_jw_arr(w);
    gy_jw_f64(w, b->low);
    gy_jw_f64(w, b->high);
    gy_jw_arr_end(w);
    gy_jw_kv_f64(w, "r2", b->r2);
    gy_jw_kv_f64(w, "prediction", b->prediction);
    gy_jw_kv_i64(w, "columns_drifted", b->drifted);
    gy_jw_kv_i64(w, "columns_compared", b->of);
    gy_jw_kv_bool(w, "dataset_drift", b->dataset_drift);
    gy_jw_kv_f64(w, "target_score", b->target_score);
    gy_jw_kv_bool(w, "target_drift", b->target_drift);
    gy_jw_kv_f64(w, "april_rmse", b->april_rmse);
    gy_jw_kv_strc(w, "data", b->d->opts->data ? "folder" : "made");
}

static gy_status play_parts(struct bikes *b, struct gy_err *err)
{
    GY_TRY(gy_demo_project(b->d, "bikes", err));
    GY_TRY(step_data(b, err));
    GY_TRY(gy_demo_server(b->d, err));
    GY_TRY(step_ingest(b, err));
    GY_TRY(step_grid(b, err));
    GY_TRY(step_gate(b, err));
    GY_TRY(step_ask(b, err));
    GY_TRY(step_april(b, err));
    return step_worse(b, err);
}

static gy_status play(struct gy_demo *d, struct gy_err *err)
{
    struct bikes b = {.d = d};
    GY_TRY(play_parts(&b, err));
    write_table(&b);
    gy_cli_say(d->cli, "\nWhat held\n");
    gy_demo_row(d, "the grid", "%lld runs, the best RMSE %.1f (%.1f to %.1f)", (long long)b.runs,
                b.rmse, b.low, b.high);
    gy_demo_row(d, "April", "%lld of %lld inputs drifted, the demand %s; RMSE there %.1f",
                (long long)b.drifted, (long long)b.of, b.target_drift ? "too" : "did not",
                b.april_rmse);
    return GY_OK;
}

const struct gy_demo_ops gy_demo_bikes = {
    .name = "bikes", .title = "Hourly demand for bikes", .play = play};

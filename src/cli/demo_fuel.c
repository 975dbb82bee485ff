/* SPDX-License-Identifier: Apache-2.0 */
/* Reference system 004: consumption of cars. Cleaning that is counted, the cross-validated number
 * beside the flattering one, and a route that speaks kilograms and litres. */
#include <math.h>

#include "base/file.h"
#include "cli/demo.h"

enum { MAX_CARS_JSON = 4 << 20, MAX_FILTERS = 64 };

#define ROUTE "/predict_fuel_consumption_l_100_km"

struct fuel {
    struct gy_demo *d;
    const char *origin;            /* of the rows */
    int64_t rows[MAX_FILTERS + 1]; /* read, then what each filter that left some out left */
    size_t n_rows;
    int64_t version;
    double cv_r2, cv_low, cv_high; /* every car by a model that had not seen it */
    double r2;                     /* on the rows learnt from */
    double litres, miles, extrapolated;
};

/* ---- the rows ---- */

static const char *origin_of(yyjson_val *car)
{
    struct gy_str s = gy_json_str(car, "Origin");
    return gy_str_eqc(s, "USA") ? "1" : gy_str_eqc(s, "Europe") ? "2" : "3";
}

static void add_number(struct gy_buf *out, yyjson_val *v)
{
    char text[32];
    if (yyjson_is_num(v)) {
        gy_buf_add_bytes(out, text, gy_fmt_f64_trim(yyjson_get_num(v), text));
    } else {
        gy_buf_addc(out, "?");
    }
    gy_buf_addc(out, ",");
}

/* A car of cars.json as a row of the table that the reference system has; one whose consumption is
 * not known can not be learnt from. */
static void add_car(struct gy_buf *out, yyjson_val *car)
{
    static const char *const numbers[] = {"Miles_per_Gallon", "Cylinders",     "Displacement",
                                          "Horsepower",       "Weight_in_lbs", "Acceleration"};
    struct gy_str date = gy_json_str(car, "Year");
    struct gy_str name = gy_json_str(car, "Name");
    if (!yyjson_is_num(gy_json_get(car, numbers[0])) || date.n < 4) {
        return;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        add_number(out, gy_json_get(car, numbers[i]));
    }
    gy_buf_addf(out, "%.2s,%s,\"", date.p + 2, origin_of(car));
    for (size_t i = 0; i < name.n; i++) {
        gy_buf_add_char(out, name.p[i]);
        if (name.p[i] == '"') {
            gy_buf_add_char(out, '"');
        }
    }
    gy_buf_addc(out, "\"\n");
}

static gy_status convert(struct gy_demo *d, const char *path, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_buf_init(&out, MAX_CARS_JSON);
    GY_TRY(gy_json_read_file(path, MAX_CARS_JSON, &doc, err));
    gy_buf_addc(&out, "mpg,cyl,dpl,hp,wght,acc,year,org,name\n");
    size_t i, n;
    yyjson_val *car;
    yyjson_arr_foreach(yyjson_doc_get_root(doc), i, n, car)
    {
        add_car(&out, car);
    }
    GY_TRY(gy_buf_check(&out, "the cars", err));
    return gy_demo_write(d, "data/raw/cars.csv", gy_buf_str(&out), err);
}

static gy_status step_data(struct fuel *f, struct gy_err *err)
{
    struct gy_demo *d = f->d;
    char path[GY_MAX_PATH];
    if (d->opts->data) {
        f->origin = "file";
        gy_demo_begin(d, "cars", "cp %s data/raw/cars.csv", d->opts->data);
        GY_TRY(gy_demo_copy(d, d->opts->data, "data/raw/cars.csv", err));
        return gy_demo_done(d, true, err, "a file of yours");
    }
    if (gy_demo_fetched(d, "cars.json", path)) {
        f->origin = "vega-datasets";
        gy_demo_begin(d, "cars", "deps/vega-datasets.sh, cars.json as data/raw/cars.csv");
        GY_TRY(convert(d, path, err));
        return gy_demo_done(d, true, err, "Auto MPG out of the package vega-datasets");
    }
    f->origin = "made";
    gy_demo_begin(d, "cars", "gyre data synth cars -o data/raw/cars.csv");
    GY_TRY(gy_demo_gyre(d, "data synth cars -o data/raw/cars.csv", 0, NULL, err));
    return gy_demo_done(d, true, err,
                        "MADE UP: the real ones were not fetched (deps/vega-datasets.sh)");
}

static gy_status step_ingest(struct fuel *f, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_demo_begin(f->d, "ingest", "gyre run ingest");
    GY_TRY(gy_demo_gyre(f->d, "run ingest", 0, NULL, err));
    GY_TRY(gy_demo_read(f->d, "reports/ingest.json", &doc, err));
    yyjson_val *r = yyjson_doc_get_root(doc);
    int64_t read = gy_json_i64(r, "read", -1);
    int64_t accepted = gy_json_i64(r, "accepted", -1);
    int64_t dead = gy_json_i64(r, "dead", -1);
    return gy_demo_done(f->d, accepted > 0 && accepted + dead == read, err,
                        "accepted %lld + dead %lld = read %lld", (long long)accepted,
                        (long long)dead, (long long)read);
}

/* ---- training ---- */

static double metric(yyjson_val *report, const char *name, const char *part)
{
    return gy_json_f64(gy_json_get(gy_json_get(report, "metrics"), name), part, NAN);
}

/* How many rows were left each time that a filter left some out. */
static void read_rows(struct fuel *f, yyjson_val *report)
{
    f->rows[0] = gy_json_i64(gy_json_get(report, "rows"), "read", -1);
    f->n_rows = 1;
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(gy_json_get(report, "filters"), i, n, one)
    {
        int64_t left = gy_json_i64(one, "rows", -1);
        if (left != f->rows[f->n_rows - 1] && f->n_rows <= MAX_FILTERS) {
            f->rows[f->n_rows++] = left;
        }
    }
}

static gy_status step_train(struct fuel *f, struct gy_err *err)
{
    char chain[256] = "";
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_demo_begin(f->d, "train", "gyre run train");
    GY_TRY(gy_demo_gyre(f->d, "run train", 0, NULL, err));
    GY_TRY(gy_demo_read(f->d, "reports/train.json", &doc, err));
    yyjson_val *report = yyjson_doc_get_root(doc);
    f->version = gy_json_i64(report, "version", 0);
    f->cv_r2 = metric(report, "r2", "value");
    f->cv_low = metric(report, "r2", "low");
    f->cv_high = metric(report, "r2", "high");
    read_rows(f, report);
    for (size_t i = 0, at = 0; i < f->n_rows && at < sizeof chain; i++) {
        int more =
            snprintf(chain + at, sizeof chain - at, "%s%lld", i ? ", " : "", (long long)f->rows[i]);
        at += more > 0 ? (size_t)more : sizeof chain;
    }
    return gy_demo_done(f->d, f->version > 0 && f->n_rows > 1 && isfinite(f->cv_r2), err,
                        "rows %s; R2 %.4f (%.4f to %.4f), each car by a model that had not seen it",
                        chain, f->cv_r2, f->cv_low, f->cv_high);
}

static gy_status step_flattering(struct fuel *f, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_demo_begin(f->d, "the flattering number", "gyre run flattering");
    GY_TRY(gy_demo_gyre(f->d, "run flattering", 0, NULL, err));
    GY_TRY(gy_demo_read(f->d, "reports/flattering.json", &doc, err));
    yyjson_val *report = yyjson_doc_get_root(doc);
    f->r2 = metric(report, "r2", "value");
    struct gy_str on = gy_json_str(report, "measured_on");
    if (!on.p) {
        on = gy_json_str(gy_json_get(report, "rows"), "measured_on");
    }
    return gy_demo_done(f->d, isfinite(f->r2) && gy_str_eqc(on, "training"), err,
                        "R2 %.4f on the cleaned rows that it learnt from, marked as that", f->r2);
}

/* ---- serving ---- */

static gy_status step_deploy(struct fuel *f, struct gy_err *err)
{
    char words[128];
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    (void)snprintf(words, sizeof words, "models promote fuel/%lld --alias champion",
                   (long long)f->version);
    gy_demo_begin(f->d, "promote and deploy", "gyre %s && gyre endpoint deploy fuel", words);
    GY_TRY(gy_demo_gyre(f->d, words, 0, NULL, err));
    GY_TRY(gy_demo_gyre(f->d, "endpoint deploy fuel", 0, &doc, err));
    return gy_demo_done(f->d, true, err, "endpoint fuel, revision %lld, version %lld",
                        (long long)gy_json_i64(yyjson_doc_get_root(doc), "revision", 0),
                        (long long)f->version);
}

static gy_status ask(struct fuel *f, const char *name, const char *body, yyjson_doc **ret,
                     struct gy_err *err)
{
    gy_demo_begin(f->d, name, "curl -d '%s' %s" ROUTE, body, f->d->address);
    return gy_demo_post(f->d, ROUTE, body, 200, ret, err);
}

static gy_status step_ask(struct fuel *f, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *near = NULL;
    GY_AUTO(gy_json_free) yyjson_doc *far = NULL;
    GY_TRY(ask(f, "a car of 1971", "{\"weight_kg\": 1080, \"year\": 1971}", &near, err));
    yyjson_val *r = yyjson_doc_get_root(near);
    f->litres = gy_json_f64(r, "fuel_consumption_l_100_km", NAN);
    f->miles = gy_json_f64(r, "miles_per_gallon", NAN);
    GY_TRY(gy_demo_done(f->d, f->litres > 0 && !gy_json_get(r, "warning"), err,
                        "%.2f l/100 km (%.2f miles a gallon)", f->litres, f->miles));
    GY_TRY(ask(f, "a car of 2023", "{\"weight_kg\": 1595, \"year\": 2023}", &far, err));
    r = yyjson_doc_get_root(far);
    f->extrapolated = gy_json_f64(r, "fuel_consumption_l_100_km", NAN);
    struct gy_str warning = gy_json_str(r, "warning");
    gy_jw_kv_str(&f->d->table, "warning", warning);
    return gy_demo_done(f->d, warning.n > 0, err, "%.2f l/100 km, with a warning: %" GY_STR_F,
                        f->extrapolated, GY_STR_A(warning));
}

/* ---- the table ---- */

static void write_table(const struct fuel *f)
{
    struct gy_jw *w = &f->d->table;
    gy_jw_key(w, "rows");
    gy_jw_arr(w);
    for (size_t i = 0; i < f->n_rows; i++) {
        gy_jw_i64(w, f->rows[i]);
    }
    gy_jw_arr_end(w);
    gy_jw_kv_f64(w, "r2", f->r2);
    gy_jw_kv_strc(w, "r2_measured_on", "training");
    gy_jw_kv_f64(w, "cv_r2", f->cv_r2);
    gy_jw_key(w, "cv_r2_interval");
    gy_jw_arr(w);
    gy_jw_f64(w, f->cv_low);
    gy_jw_f64(w, f->cv_high);
    gy_jw_arr_end(w);
    gy_jw_kv_f64(w, "l_per_100km", f->litres);
    gy_jw_kv_f64(w, "miles_per_gallon", f->miles);
    gy_jw_kv_f64(w, "extrapolated_l_per_100km", f->extrapolated);
    gy_jw_kv_i64(w, "version", f->version);
    gy_jw_kv_strc(w, "data", f->origin);
}

static void say_table(const struct fuel *f)
{
    gy_cli_say(f->d->cli, "\nWhat held\n");
    gy_demo_row(f->d, "R2 to believe", "%.4f (%.4f to %.4f): cross-validated on all rows", f->cv_r2,
                f->cv_low, f->cv_high);
    gy_demo_row(f->d, "R2 that flatters", "%.4f: on the cleaned rows it learnt from", f->r2);
    gy_demo_row(f->d, "1080 kg, 1971", "%.2f l/100 km", f->litres);
    gy_demo_row(f->d, "1595 kg, 2023", "%.2f l/100 km, and a warning", f->extrapolated);
}

static gy_status play(struct gy_demo *d, struct gy_err *err)
{
    struct fuel f = {.d = d};
    GY_TRY(gy_demo_project(d, "fuel", err));
    GY_TRY(step_data(&f, err));
    GY_TRY(gy_demo_server(d, err));
    GY_TRY(step_ingest(&f, err));
    GY_TRY(step_train(&f, err));
    GY_TRY(step_flattering(&f, err));
    GY_TRY(step_deploy(&f, err));
    GY_TRY(step_ask(&f, err));
    write_table(&f);
    say_table(&f);
    return GY_OK;
}

const struct gy_demo_ops gy_demo_fuel = {
    .name = "fuel", .title = "Fuel consumption of cars by least squares", .play = play};

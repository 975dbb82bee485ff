/* SPDX-License-Identifier: Apache-2.0 */
/* A tariff: the age-old formula is the champion, a model that knows past accidents challenges it.
 */
#include <math.h>

#include "base/file.h"
#include "cli/demo.h"

enum { FORMULA = 1, PLAIN = 2, CHALLENGER = 3 }; /* versions, in the order of the stages */

struct insurance {
    struct gy_demo *d;
    const char *origin;
    int64_t read, accepted, later;
    struct {
        double value, low, high;
    } gini[4], deviance[4], gain, saved; /* by version; what accidents are worth */
    double formula_says, model_says;
};

static gy_status step_data(struct insurance *s, struct gy_err *err)
{
    struct gy_demo *d = s->d;
    s->origin = d->opts->data ? "your accidents" : "made";
    gy_demo_begin(d, "policies and accidents", "gyre data synth claims --seed 7 -o data/raw");
    GY_TRY(gy_demo_gyre(d, "data synth claims --seed 7 -o data/raw", 0, NULL, err));
    if (d->opts->data) {
        GY_TRY(gy_demo_copy(d, d->opts->data, "data/raw/accidents.csv", err));
    }
    return gy_demo_done(d, true, err, "%s",
                        d->opts->data ? "policies made up, accidents yours" : "made up, both");
}

static double number(yyjson_val *metrics, const char *name, const char *part)
{
    return gy_json_f64(gy_json_get(metrics, name), part, NAN);
}

/* The later policies, by exposure, and against the model without accidents. */
static gy_status measure(struct insurance *s, int version, const char *dir, const char *against,
                         struct gy_err *err)
{
    char words[256];
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    (void)snprintf(words, sizeof words,
                   "evaluate models/%s data/policies/data.csv --schema schema.yaml --weight "
                   "exposure --power 1 --against models/%s",
                   dir, against);
    GY_TRY(gy_demo_gyre(s->d, words, 0, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *m = gy_json_get(root, "metrics");
    yyjson_val *pairs = gy_json_get(gy_json_get(root, "against"), "metrics");
    s->later = gy_json_i64(root, "rows", 0);
    s->gini[version].value = number(m, "gini", "value");
    s->gini[version].low = number(m, "gini", "low");
    s->gini[version].high = number(m, "gini", "high");
    s->deviance[version].value = number(m, "deviance", "value");
    s->deviance[version].low = number(m, "deviance", "low");
    s->deviance[version].high = number(m, "deviance", "high");
    if (version == CHALLENGER) {
        s->gain.value = number(pairs, "gini", "difference");
        s->gain.low = number(pairs, "gini", "low");
        s->gain.high = number(pairs, "gini", "high");
        s->saved.value = number(pairs, "deviance", "difference");
        s->saved.low = number(pairs, "deviance", "low");
        s->saved.high = number(pairs, "deviance", "high");
    }
    return GY_OK;
}

static gy_status step_run(struct insurance *s, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *ingested = NULL;
    gy_demo_begin(s->d, "join, ingest, three models", "gyre run");
    GY_TRY(gy_demo_gyre(s->d, "run", 0, NULL, err));
    GY_TRY(gy_demo_read(s->d, "reports/ingest.json", &ingested, err));
    s->read = gy_json_i64(yyjson_doc_get_root(ingested), "read", -1);
    s->accepted = gy_json_i64(yyjson_doc_get_root(ingested), "accepted", -1);
    return gy_demo_done(s->d, s->accepted > 0, err,
                        "%lld of %lld policies, each with its area's accidents of the year before",
                        (long long)s->accepted, (long long)s->read);
}

static gy_status step_measure(struct insurance *s, struct gy_err *err)
{
    gy_demo_begin(s->d, "out of time",
                  "gyre evaluate models/challenger data/policies/data.csv --against models/plain "
                  "--weight exposure --power 1");
    GY_TRY(measure(s, FORMULA, "formula", "plain", err));
    GY_TRY(measure(s, PLAIN, "plain", "formula", err));
    GY_TRY(measure(s, CHALLENGER, "challenger", "plain", err));
    /* Of accidents of yours nothing is promised. */
    bool ok =
        s->d->opts->data || (s->gain.low > 0 && s->gini[PLAIN].value > s->gini[FORMULA].value);
    return gy_demo_done(
        s->d, ok, err, "Gini %.3f with accidents, %.3f without: +%.3f (%+.3f to %+.3f)",
        s->gini[CHALLENGER].value, s->gini[PLAIN].value, s->gain.value, s->gain.low, s->gain.high);
}

static gy_status promote(struct insurance *s, int version, struct gy_err *err)
{
    char words[128];
    (void)snprintf(words, sizeof words, "gate check insurance/%d", version);
    GY_TRY(gy_demo_gyre(s->d, words, 0, NULL, err));
    (void)snprintf(words, sizeof words, "models promote insurance/%d --alias champion", version);
    GY_TRY(gy_demo_gyre(s->d, words, 0, NULL, err));
    return gy_demo_gyre(s->d, "endpoint deploy insurance", 0, NULL, err);
}

/* A young driver of a strong car, where many accidents were reported. */
static gy_status ask(struct insurance *s, double *ret, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_demo_post(s->d, "/claims",
                        "{\"driver_age\": 20, \"vehicle_age\": 9, \"power\": 150, \"annual_km\": "
                        "20000, \"log_accidents\": 4.6, \"exposure\": 1}",
                        200, &doc, err));
    *ret = gy_json_f64(yyjson_doc_get_root(doc), "expected_claims", NAN);
    return GY_OK;
}

static gy_status step_champion(struct insurance *s, struct gy_err *err)
{
    gy_demo_begin(
        s->d, "the formula is champion",
        "gyre gate check insurance/1 && gyre models promote insurance/1 --alias champion");
    GY_TRY(promote(s, FORMULA, err));
    GY_TRY(ask(s, &s->formula_says, err));
    return gy_demo_done(s->d, fabs(s->formula_says - 0.08 * 1.6) < 1e-9, err,
                        "it says %.3f claims a year for a young driver", s->formula_says);
}

static gy_status step_challenger(struct insurance *s, struct gy_err *err)
{
    gy_demo_begin(
        s->d, "the challenger takes over",
        "gyre gate check insurance/3 && gyre models promote insurance/3 --alias champion");
    GY_TRY(promote(s, CHALLENGER, err));
    GY_TRY(ask(s, &s->model_says, err));
    return gy_demo_done(s->d, s->model_says > 0, err, "it says %.3f for the same driver",
                        s->model_says);
}

static void write_table(const struct insurance *s)
{
    static const char *const names[] = {NULL, "formula", "without_accidents", "with_accidents"};
    struct gy_jw *w = &s->d->table;
    gy_jw_kv_i64(w, "read", s->read);
    gy_jw_kv_i64(w, "accepted", s->accepted);
    gy_jw_kv_i64(w, "later", s->later);
    for (int v = FORMULA; v <= CHALLENGER; v++) {
        gy_jw_key(w, names[v]);
        gy_jw_obj(w);
        gy_demo_interval(w, "gini", s->gini[v].value, s->gini[v].low, s->gini[v].high);
        gy_demo_interval(w, "deviance", s->deviance[v].value, s->deviance[v].low,
                         s->deviance[v].high);
        gy_jw_obj_end(w);
    }
    gy_demo_interval(w, "gini_gain", s->gain.value, s->gain.low, s->gain.high);
    gy_demo_interval(w, "deviance_change", s->saved.value, s->saved.low, s->saved.high);
    gy_jw_kv_f64(w, "formula_says", s->formula_says);
    gy_jw_kv_f64(w, "challenger_says", s->model_says);
    gy_jw_kv_strc(w, "data", s->origin);
}

static gy_status play(struct gy_demo *d, struct gy_err *err)
{
    struct insurance s = {.d = d};
    GY_TRY(gy_demo_project(d, "insurance", err));
    GY_TRY(step_data(&s, err));
    GY_TRY(gy_demo_server(d, err));
    GY_TRY(step_run(&s, err));
    GY_TRY(step_measure(&s, err));
    GY_TRY(step_champion(&s, err));
    GY_TRY(step_challenger(&s, err));
    write_table(&s);
    gy_cli_say(d->cli, "\nOn the %lld latest policies\n", (long long)s.later);
    gy_demo_row(d, "formula", "Gini %.3f (%.3f to %.3f), deviance %.4f", s.gini[FORMULA].value,
                s.gini[FORMULA].low, s.gini[FORMULA].high, s.deviance[FORMULA].value);
    gy_demo_row(d, "without accidents", "Gini %.3f (%.3f to %.3f), deviance %.4f",
                s.gini[PLAIN].value, s.gini[PLAIN].low, s.gini[PLAIN].high,
                s.deviance[PLAIN].value);
    gy_demo_row(d, "with accidents", "Gini %.3f (%.3f to %.3f), deviance %.4f",
                s.gini[CHALLENGER].value, s.gini[CHALLENGER].low, s.gini[CHALLENGER].high,
                s.deviance[CHALLENGER].value);
    return GY_OK;
}

const struct gy_demo_ops gy_demo_insurance = {
    .name = "insurance",
    .title = "A tariff: the age-old formula against a model that knows past accidents",
    .play = play};

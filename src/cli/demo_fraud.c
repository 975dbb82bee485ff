/* SPDX-License-Identifier: Apache-2.0 */
/* Card fraud: rare positives, measured by what counts then. */
#include <math.h>

#include "base/file.h"
#include "cli/demo.h"

enum { LOGISTIC, BOOSTED, N_MODELS };
static const char *const g_reports[N_MODELS] = {"reports/logistic.json", "reports/boosted.json"};
static const char *const g_names[N_MODELS] = {"logistic", "boosted"};

struct three {
    double value, low, high;
};

struct fraud {
    struct gy_demo *d;
    const char *origin;
    int64_t read, accepted, dead, version[N_MODELS], held_out;
    struct three ap[N_MODELS], recall90[N_MODELS], recall[N_MODELS];
    int best;
    double honest, stolen; /* scores of two payments */
};

static gy_status step_data(struct fraud *s, struct gy_err *err)
{
    struct gy_demo *d = s->d;
    s->origin = d->opts->data ? "file" : "made";
    if (d->opts->data) {
        gy_demo_begin(d, "payments", "cp %s data/raw/payments.csv", d->opts->data);
        GY_TRY(gy_demo_copy(d, d->opts->data, "data/raw/payments.csv", err));
        return gy_demo_done(d, true, err, "a file of yours");
    }
    const char *words = "data synth transactions --rows 100000 --seed 7 -o data/raw/payments.csv";
    gy_demo_begin(d, "payments", "gyre %s", words);
    GY_TRY(gy_demo_gyre(d, words, 0, NULL, err));
    return gy_demo_done(d, true, err, "made up: 100,000, of them 173 frauds");
}

static struct three three_of(yyjson_val *report, const char *name)
{
    yyjson_val *m = gy_json_get(gy_json_get(report, "metrics"), name);
    return (struct three){gy_json_f64(m, "value", NAN), gy_json_f64(m, "low", NAN),
                          gy_json_f64(m, "high", NAN)};
}

static gy_status step_run(struct fraud *s, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *ingested = NULL;
    gy_demo_begin(s->d, "ingest and two models", "gyre run");
    GY_TRY(gy_demo_gyre(s->d, "run", 0, NULL, err));
    GY_TRY(gy_demo_read(s->d, "reports/ingest.json", &ingested, err));
    s->read = gy_json_i64(yyjson_doc_get_root(ingested), "read", -1);
    s->accepted = gy_json_i64(yyjson_doc_get_root(ingested), "accepted", -1);
    s->dead = gy_json_i64(yyjson_doc_get_root(ingested), "dead", -1);
    for (int m = 0; m < N_MODELS; m++) {
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        GY_TRY(gy_demo_read(s->d, g_reports[m], &doc, err));
        yyjson_val *report = yyjson_doc_get_root(doc);
        s->version[m] = gy_json_i64(report, "version", 0);
        s->held_out = gy_json_i64(gy_json_get(report, "rows"), "held_out", 0);
        s->ap[m] = three_of(report, "average_precision");
        s->recall90[m] = three_of(report, "recall_at_precision_90");
        s->recall[m] = three_of(report, "recall");
    }
    s->best = s->ap[BOOSTED].value >= s->ap[LOGISTIC].value ? BOOSTED : LOGISTIC;
    return gy_demo_done(s->d, s->accepted + s->dead == s->read && s->ap[s->best].value > 0.4, err,
                        "average precision: logistic %.3f, boosted %.3f", s->ap[LOGISTIC].value,
                        s->ap[BOOSTED].value);
}

static gy_status step_deploy(struct fraud *s, struct gy_err *err)
{
    char check[64], promote[96];
    long long version = (long long)s->version[s->best];
    (void)snprintf(check, sizeof check, "gate check fraud/%lld", version);
    (void)snprintf(promote, sizeof promote, "models promote fraud/%lld --alias champion", version);
    gy_demo_begin(s->d, "gate, promote, deploy", "gyre %s && gyre %s && gyre endpoint deploy fraud",
                  check, promote);
    GY_TRY(gy_demo_gyre(s->d, check, 0, NULL, err));
    GY_TRY(gy_demo_gyre(s->d, promote, 0, NULL, err));
    GY_TRY(gy_demo_gyre(s->d, "endpoint deploy fraud", 0, NULL, err));
    return gy_demo_done(s->d, true, err, "the %s model, version %lld", g_names[s->best], version);
}

/* A payment at the mean of all components, and one that some of them give away. */
static gy_status ask(struct fraud *s, bool stolen, double *ret, struct gy_err *err)
{
    static const int moved[] = {3, 4, 7, 10, 11, 12, 14, 16, 17};
    static const double by[] = {-4, 4, -4, -5, 4, -6, -8, -5, -7};
    double v[29] = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_buf_init(&body, 4 * GY_KIB);
    for (size_t i = 0; stolen && i < sizeof moved / sizeof moved[0]; i++) {
        v[moved[i]] = by[i];
    }
    gy_buf_addc(&body, "{\"Time\": 1000");
    for (int i = 1; i <= 28; i++) {
        gy_buf_addf(&body, ", \"V%d\": %g", i, v[i]);
    }
    gy_buf_addc(&body, ", \"Amount\": 25}");
    GY_TRY(gy_buf_check(&body, "a payment", err));
    GY_TRY(gy_demo_post(s->d, "/payments", body.p, 200, &doc, err));
    *ret = gy_json_f64(yyjson_doc_get_root(doc), "score", NAN);
    return GY_OK;
}

static gy_status step_ask(struct fraud *s, struct gy_err *err)
{
    gy_demo_begin(s->d, "two payments", "curl -d '{\"Time\": 1000, \"V1\": 0, ..}' %s/payments",
                  s->d->address);
    GY_TRY(ask(s, false, &s->honest, err));
    GY_TRY(ask(s, true, &s->stolen, err));
    bool ok = s->honest >= 0 && s->stolen <= 1 && (s->d->opts->data || s->honest + 0.3 < s->stolen);
    return gy_demo_done(s->d, ok, err, "an ordinary one scores %.4f, a strange one %.3f", s->honest,
                        s->stolen);
}

static void write_table(const struct fraud *s)
{
    struct gy_jw *w = &s->d->table;
    gy_jw_kv_i64(w, "read", s->read);
    gy_jw_kv_i64(w, "accepted", s->accepted);
    gy_jw_kv_i64(w, "dead", s->dead);
    gy_jw_kv_i64(w, "held_out", s->held_out);
    for (int m = 0; m < N_MODELS; m++) {
        gy_jw_key(w, g_names[m]);
        gy_jw_obj(w);
        gy_demo_interval(w, "average_precision", s->ap[m].value, s->ap[m].low, s->ap[m].high);
        gy_demo_interval(w, "recall_at_precision_90", s->recall90[m].value, s->recall90[m].low,
                         s->recall90[m].high);
        gy_demo_interval(w, "recall", s->recall[m].value, s->recall[m].low, s->recall[m].high);
        gy_jw_obj_end(w);
    }
    gy_jw_kv_strc(w, "champion", g_names[s->best]);
    gy_jw_kv_f64(w, "honest", s->honest);
    gy_jw_kv_f64(w, "stolen", s->stolen);
    gy_jw_kv_strc(w, "data", s->origin);
}

static gy_status play(struct gy_demo *d, struct gy_err *err)
{
    struct fraud s = {.d = d};
    GY_TRY(gy_demo_project(d, "fraud", err));
    GY_TRY(step_data(&s, err));
    GY_TRY(gy_demo_server(d, err));
    GY_TRY(step_run(&s, err));
    GY_TRY(step_deploy(&s, err));
    GY_TRY(step_ask(&s, err));
    write_table(&s);
    gy_cli_say(d->cli, "\nOn %lld payments held out\n", (long long)s.held_out);
    for (int m = 0; m < N_MODELS; m++) {
        gy_demo_row(d, g_names[m],
                    "average precision %.3f (%.3f to %.3f), recall at precision .9 %.3f (%.3f to "
                    "%.3f)",
                    s.ap[m].value, s.ap[m].low, s.ap[m].high, s.recall90[m].value,
                    s.recall90[m].low, s.recall90[m].high);
    }
    return GY_OK;
}

const struct gy_demo_ops gy_demo_fraud = {
    .name = "fraud", .title = "Card fraud: one payment in 580", .play = play};

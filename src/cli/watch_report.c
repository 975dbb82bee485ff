/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/watch_report.h"

#include <math.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/time.h"
#include "cli/ask.h"
#include "watch/html.h"
#include "watch/svg.h"

#define BASE "/api/gyre/v1/"
#define MAX_BINS 64
enum { SHOWN_WINDOWS = 200, TABLE_WINDOWS = 12, SHOWN_REVISIONS = 30, SHOWN_ALERTS = 40 };

/* Answers of the routes; root NULL: that one knows nothing of the endpoint. */
struct report {
    struct gy_cli *cli;
    struct gy_str endpoint;
    struct gy_cli_answer watch, windows, full, performance, reviews, history, alerts;
    yyjson_val *current; /* the served version's entry in watch.versions */
    struct gy_buf *b;
};

static void report_done(struct report *r)
{
    struct gy_cli_answer *const all[] = {&r->watch,   &r->windows, &r->full,  &r->performance,
                                         &r->reviews, &r->history, &r->alerts};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        gy_cli_answer_done(all[i]);
    }
}
GY_DEFINE_AUTO_DONE(struct report, report_done);

/* ---- asking ---- */

/* "{}" is the endpoint. optional: NOTFOUND leaves root NULL. */
static gy_status ask(struct report *r, const char *format, bool optional, struct gy_cli_answer *ret,
                     struct gy_err *err)
{
    const char *path;
    struct gy_err why = GY_ERR_INIT;
    GY_TRY(gy_cli_path(r->cli, format, r->endpoint, &path, err));
    gy_status st = gy_cli_ask(r->cli, "GET", path, GY_STR_NULL, ret, &why);
    if (st == GY_E_NOTFOUND && optional) {
        ret->root = NULL;
        return GY_OK;
    }
    if (st != GY_OK && err) {
        *err = why;
    }
    return st;
}

static gy_status ask_all(struct report *r, bool wait, struct gy_err *err)
{
    GY_TRY(ask(r, wait ? BASE "watch?wait=1&endpoint={}" : BASE "watch?endpoint={}", false,
               &r->watch, err));
    GY_TRY(ask(r, BASE "watch/windows?limit=200&endpoint={}", false, &r->windows, err));
    GY_TRY(ask(r, BASE "watch/windows?limit=1&full=1&endpoint={}", false, &r->full, err));
    GY_TRY(ask(r, BASE "endpoints/{}/performance", true, &r->performance, err));
    GY_TRY(ask(r, BASE "reviews/summary?endpoint={}", true, &r->reviews, err));
    GY_TRY(ask(r, BASE "endpoints/{}", true, &r->history, err));
    GY_TRY(ask(r, BASE "alerts?all=1&endpoint={}", false, &r->alerts, err));
    yyjson_val *versions = gy_json_get(r->watch.root, "versions");
    if (yyjson_arr_size(versions) == 0 && !r->history.root) {
        return gy_err_set(err, GY_E_NOTFOUND, "nothing is known of an endpoint '%" GY_STR_F "'",
                          GY_STR_A(r->endpoint));
    }
    r->current = yyjson_arr_get(versions, 0);
    return GY_OK;
}

/* ---- words ---- */

static struct gy_str when(struct gy_cli *cli, struct gy_str iso)
{
    return iso.n >= 19 ? gy_cli_cellf(cli, "%.10s %.5s", iso.p, iso.p + 11) : GY_STR_NULL;
}

static double value_of(yyjson_val *estimate)
{
    return gy_json_f64(estimate, "value", NAN);
}

static struct gy_str percent(struct gy_cli *cli, double share)
{
    return isfinite(share) ? gy_cli_cellf(cli, "%.1f %%", share * 100) : GY_STR("not told");
}

/* What answers of this task are judged by. */
static const char *quality(const struct report *r)
{
    struct gy_str task = gy_json_str(r->performance.root, "task");
    return gy_str_eqc(task, "binary")       ? "recall"
           : gy_str_eqc(task, "regression") ? "mae"
                                            : "accuracy";
}

static yyjson_val *estimate(const struct report *r, const char *way, const char *metric)
{
    return gy_json_get(gy_json_get(gy_json_get(r->performance.root, "by"), way), metric);
}

static yyjson_val *list(const struct gy_cli_answer *a, const char *key)
{
    return gy_json_get(a->root, key);
}

/* ---- the top ---- */

static void drift_tile(struct report *r, struct gy_html_tile *t)
{
    yyjson_val *last = gy_json_get(r->current, "last_window");
    struct gy_str cause = gy_json_str(last, "cause");
    *t = (struct gy_html_tile){.label = GY_STR("drift"), .value = GY_STR("not judged yet")};
    if (!yyjson_is_obj(last)) {
        return;
    }
    bool drifted = gy_json_bool(last, "dataset_drift", false) || cause.p;
    t->value = !drifted ? GY_STR("none") : cause.p ? gy_cli_cell(r->cli, cause) : GY_STR("yes");
    t->tone = drifted ? GY_TONE_BAD : GY_TONE_GOOD;
    t->note = gy_cli_cellf(r->cli, "window %lld, %zu of its features",
                           (long long)gy_json_i64(last, "number", 0),
                           yyjson_arr_size(gy_json_get(last, "features_drifted")));
}

static void quality_tile(struct report *r, struct gy_html_tile *t)
{
    yyjson_val *e = estimate(r, "combined", quality(r));
    *t = (struct gy_html_tile){.label = gy_cli_cellf(r->cli, "%s, combined", quality(r)),
                               .value = GY_STR("no labels")};
    if (!isfinite(value_of(e))) {
        return;
    }
    t->value = gy_cli_cellf(r->cli, "%.3f", value_of(e));
    double low = gy_json_f64(e, "low", NAN);
    if (isfinite(low)) {
        t->note = gy_cli_cellf(r->cli, "95 %%: %.3f to %.3f", low, gy_json_f64(e, "high", NAN));
    }
}

static size_t count_firing(yyjson_val *alerts)
{
    size_t n = 0;
    yyjson_arr_iter it = yyjson_arr_iter_with(alerts);
    for (yyjson_val *a; (a = yyjson_arr_iter_next(&it));) {
        n += gy_str_eqc(gy_json_str(a, "state"), "firing");
    }
    return n;
}

static void put_top(struct report *r)
{
    char now[32];
    struct gy_cli *cli = r->cli;
    struct gy_html_tile t[6] = {0};
    struct gy_str role = gy_json_str(r->current, "role");
    size_t firing = count_firing(list(&r->alerts, "alerts"));
    yyjson_val *rate = gy_json_get(
        gy_json_get(gy_json_get(r->current, "last_window"), "rule_hit_rate"), "current");
    t[0] = (struct gy_html_tile){
        .label = role.p ? gy_cli_cell(cli, role) : GY_STR("version"),
        .value =
            gy_cli_cellf(cli, "version %" GY_STR_F, GY_STR_A(gy_json_str(r->current, "version"))),
        .note =
            gy_cli_cellf(cli, "revision %lld", (long long)gy_json_i64(r->current, "revision", 0))};
    drift_tile(r, &t[1]);
    quality_tile(r, &t[2]);
    double coverage = gy_json_f64(r->performance.root, "coverage", NAN);
    t[3] = (struct gy_html_tile){
        .label = GY_STR("predictions with a label"),
        .value = percent(cli, coverage),
        .note = gy_cli_cellf(cli, "%lld of %lld",
                             (long long)gy_json_i64(r->performance.root, "labelled", 0),
                             (long long)gy_json_i64(r->performance.root, "predictions", 0))};
    t[4] = (struct gy_html_tile){.label = GY_STR("decided by rules"),
                                 .value = percent(cli, value_of(rate)),
                                 .note = GY_STR("in the last window")};
    t[5] = (struct gy_html_tile){.label = GY_STR("alerts"),
                                 .value = firing ? gy_cli_cellf(cli, "%zu firing", firing)
                                                 : GY_STR("none"),
                                 .tone = firing ? GY_TONE_BAD : GY_TONE_GOOD};
    struct gy_str iso = gy_str_n(now, gy_time_iso(gy_now_us(), now));
    gy_html_begin(
        r->b, gy_cli_cellf(cli, "Endpoint %" GY_STR_F, GY_STR_A(r->endpoint)),
        gy_cli_cellf(cli, "How this endpoint is doing, as of %.10s %.5s UTC", iso.p, iso.p + 11));
    gy_html_tiles(r->b, t, sizeof t / sizeof t[0]);
    yyjson_arr_iter it = yyjson_arr_iter_with(list(&r->alerts, "alerts"));
    for (yyjson_val *a; (a = yyjson_arr_iter_next(&it));) {
        if (gy_str_eqc(gy_json_str(a, "state"), "firing")) {
            gy_html_note(r->b, GY_TONE_BAD, gy_json_str(a, "text"));
        }
    }
}

/* ---- drift ---- */

static size_t read_bins(yyjson_val *array, double bins[MAX_BINS])
{
    size_t n = yyjson_arr_size(array);
    n = n > MAX_BINS ? MAX_BINS : n;
    for (size_t i = 0; i < n; i++) {
        bins[i] = yyjson_get_num(yyjson_arr_get(array, i));
    }
    return n;
}

static void put_feature(struct report *r, yyjson_val *f)
{
    double reference[MAX_BINS];
    double current[MAX_BINS];
    yyjson_val *h = gy_json_get(f, "histogram");
    yyjson_val *mean = gy_json_get(f, "mean");
    yyjson_val *missing = gy_json_get(f, "missing");
    bool drifted = gy_json_bool(f, "drifted", false);
    bool enough = gy_json_bool(f, "enough", true);
    double score = gy_json_f64(f, "score", NAN);
    size_t n = read_bins(gy_json_get(h, "reference"), reference);
    struct gy_svg_histogram chart = {.label = gy_json_str(f, "name"),
                                     .low = gy_json_f64(h, "low", NAN),
                                     .high = gy_json_f64(h, "high", NAN),
                                     .reference = reference,
                                     .current = current,
                                     .n_bins = n};
    chart.n_bins = read_bins(gy_json_get(h, "current"), current) == n ? n : 0;
    struct gy_str text =
        isfinite(score)
            ? gy_cli_cellf(r->cli,
                           "%" GY_STR_F " %.3g, threshold %.3g. Mean %.4g, was %.4g. "
                           "Missing %.1f %%, was %.1f %%.",
                           GY_STR_A(gy_json_str(f, "test")), score,
                           gy_json_f64(f, "threshold", NAN), gy_json_f64(mean, "current", NAN),
                           gy_json_f64(mean, "reference", NAN),
                           gy_json_f64(missing, "current", 0) * 100,
                           gy_json_f64(missing, "reference", 0) * 100)
            : GY_STR("There are too few values to tell.");
    gy_html_card(r->b, gy_json_str(f, "name"), drifted ? GY_TONE_BAD : GY_TONE_GOOD,
                 drifted  ? GY_STR("drifted")
                 : enough ? GY_STR("as in training")
                          : GY_STR("not judged"),
                 text);
    gy_svg_histogram(r->b, &chart);
    gy_html_card_end(r->b);
}

static void put_features(struct report *r)
{
    yyjson_val *window = yyjson_arr_get(list(&r->full, "windows"), 0);
    yyjson_val *result = gy_json_get(window, "result");
    yyjson_val *features = gy_json_get(result, "features");
    struct gy_str reason = gy_json_str(gy_json_get(result, "diagnosis"), "reason");
    struct gy_str retrain = gy_json_str(gy_json_get(result, "diagnosis"), "retrain_reason");
    struct gy_str cause = gy_json_str(window, "cause");
    bool training = gy_str_eqc(gy_json_str(result, "reference"), "training");
    if (!window) {
        gy_html_section(r->b, "Inputs", GY_STR("No window is full yet."));
        gy_html_section_end(r->b);
        return;
    }
    gy_html_section(
        r->b, "Inputs",
        gy_cli_cellf(
            r->cli,
            "Window %lld: %lld rows answered by version %" GY_STR_F " until %" GY_STR_F
            " UTC, against %s.",
            (long long)gy_json_i64(window, "number", 0), (long long)gy_json_i64(window, "rows", 0),
            GY_STR_A(gy_json_str(window, "version")),
            GY_STR_A(when(r->cli, gy_json_str(window, "to"))),
            training ? "what the model was trained on"
                     : "the first window of this version, since there is no training profile"));
    if (reason.n) {
        gy_html_p(r->b, reason);
    }
    if (cause.p && retrain.n) {
        gy_html_note(r->b, GY_TONE_WARN,
                     gy_cli_cellf(r->cli, "Retraining: %" GY_STR_F ".", GY_STR_A(retrain)));
    }
    if (gy_json_str(result, "note").n) {
        gy_html_p(r->b, gy_json_str(result, "note"));
    }
    gy_buf_addf(
        r->b,
        "<div class=\"legend\"><span><i style=\"background:var(--ref);opacity:.55\">"
        "</i>%s</span><span><i style=\"background:var(--cur)\"></i>this window</span></div>",
        training ? "training" : "first window");
    gy_html_cards(r->b, false);
    yyjson_arr_iter it = yyjson_arr_iter_with(features);
    for (yyjson_val *f; (f = yyjson_arr_iter_next(&it));) {
        put_feature(r, f);
    }
    gy_html_cards_end(r->b);
    gy_html_section_end(r->b);
}

static int window_color(yyjson_val *w)
{
    struct gy_str cause = gy_json_str(w, "cause");
    return gy_json_bool(w, "dataset_drift", false) || gy_str_eqc(cause, "sensor") ? 3
           : cause.p || yyjson_arr_size(gy_json_get(w, "features_drifted"))       ? 2
                                                                                  : 1;
}

static struct gy_str feature_names(struct report *r, yyjson_val *names)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 4 * GY_KIB);
    size_t n = yyjson_arr_size(names);
    for (size_t i = 0; i < n && i < 6; i++) {
        struct gy_str name = gy_json_val_str(yyjson_arr_get(names, i));
        gy_buf_addf(&b, "%s%" GY_STR_F, i ? ", " : "", GY_STR_A(name));
    }
    if (n > 6) {
        gy_buf_addf(&b, " and %zu more", n - 6);
    }
    return gy_cli_cell(r->cli, gy_buf_str(&b));
}

static gy_status put_windows(struct report *r, struct gy_err *err)
{
    static const char *const head[] = {"window", "until",        "version", "rows",
                                       "share",  "what drifted", "cause",   "decided by rules"};
    static const bool right[] = {false, false, true, true, true, false, false, true};
    enum { COLUMNS = sizeof head / sizeof head[0] };
    yyjson_val *windows = list(&r->windows, "windows");
    size_t n = yyjson_arr_size(windows);
    if (n == 0) {
        return GY_OK;
    }
    struct gy_svg_point *points = gy_arena_calloc(&r->cli->arena, n, sizeof *points);
    struct gy_str *cells = gy_arena_calloc(&r->cli->arena, n * COLUMNS, sizeof *cells);
    enum gy_tone *tones = gy_arena_calloc(&r->cli->arena, n, sizeof *tones);
    if (!points || !cells || !tones) {
        return gy_err_set(err, GY_E_NOMEM, "the report");
    }
    static const enum gy_tone of_color[] = {GY_TONE_PLAIN, GY_TONE_GOOD, GY_TONE_WARN, GY_TONE_BAD};
    for (size_t i = 0; i < n; i++) {
        yyjson_val *w = yyjson_arr_get(windows, i);
        struct gy_str *c = &cells[i * COLUMNS];
        struct gy_str cause = gy_json_str(w, "cause");
        yyjson_val *names = gy_json_get(w, "features_drifted");
        int color = window_color(w);
        c[0] = gy_cli_cellf(r->cli, "%lld", (long long)gy_json_i64(w, "number", 0));
        c[1] = when(r->cli, gy_json_str(w, "to"));
        c[2] = gy_cli_cell(r->cli, gy_json_str(w, "version"));
        c[3] = gy_cli_cellf(r->cli, "%lld", (long long)gy_json_i64(w, "rows", 0));
        c[4] = percent(r->cli, gy_json_f64(w, "share", NAN));
        c[5] = feature_names(r, names);
        c[6] = cause.p ? gy_cli_cell(r->cli, cause) : GY_STR_NULL;
        c[7] = percent(r->cli, value_of(gy_json_get(gy_json_get(w, "rule_hit_rate"), "current")));
        tones[i] = of_color[color];
        points[n - 1 - i] = (struct gy_svg_point){
            gy_json_f64(w, "share", NAN), color,
            gy_cli_cellf(r->cli, "window %" GY_STR_F ": %" GY_STR_F " %" GY_STR_F, GY_STR_A(c[0]),
                         GY_STR_A(c[5]), GY_STR_A(c[6]))};
    }
    const struct gy_svg_series series = {
        .label = GY_STR("share of features that drifted, by window"),
        .points = points,
        .n = n,
        .min = 0,
        .max = 1,
        .bound = NAN,
        .first = gy_cli_cellf(r->cli, "window %" GY_STR_F, GY_STR_A(cells[(n - 1) * COLUMNS])),
        .last = gy_cli_cellf(r->cli, "window %" GY_STR_F, GY_STR_A(cells[0]))};
    const struct gy_html_table t = {head,  COLUMNS, n < TABLE_WINDOWS ? n : TABLE_WINDOWS,
                                    cells, right,   tones};
    gy_html_section(r->b, "Windows",
                    GY_STR("The share of features that drifted, window by window: green none, "
                           "orange some, red the data set or a sensor."));
    gy_html_card(r->b, GY_STR(""), GY_TONE_PLAIN, GY_STR_NULL, GY_STR_NULL);
    gy_svg_series(r->b, &series);
    gy_html_card_end(r->b);
    gy_html_table(r->b, &t);
    gy_html_section_end(r->b);
    return GY_OK;
}

/* ---- performance ---- */

static void put_metric(struct report *r, const char *metric, const char *title)
{
    static const struct {
        const char *way, *label;
    } ways[] = {{"rule", "rules"}, {"model", "model"}, {"combined", "combined"}};
    struct gy_svg_interval items[3];
    double max = 1;
    for (size_t i = 0; i < 3; i++) {
        yyjson_val *e = estimate(r, ways[i].way, metric);
        items[i] = (struct gy_svg_interval){.label = gy_str_c(ways[i].label),
                                            .value = value_of(e),
                                            .low = gy_json_f64(e, "low", NAN),
                                            .high = gy_json_f64(e, "high", NAN),
                                            .color = (int)i};
        /* Errors of a regression have no upper end. */
        bool share = !isfinite(items[i].high) || items[i].high <= 1;
        max = share ? max : fmax(max, items[i].high * 1.1);
    }
    const struct gy_svg_intervals chart = {
        .label = gy_str_c(title), .items = items, .n = 3, .min = 0, .max = max, .bound = NAN};
    gy_html_card(r->b, gy_str_c(title), GY_TONE_PLAIN, GY_STR_NULL, GY_STR_NULL);
    gy_svg_intervals(r->b, &chart);
    gy_html_card_end(r->b);
}

static void put_performance(struct report *r)
{
    int64_t labelled = gy_json_i64(r->performance.root, "labelled", 0);
    struct gy_str task = gy_json_str(r->performance.root, "task");
    if (!r->performance.root || labelled == 0) {
        gy_html_section(r->b, "Performance",
                        GY_STR("No prediction has a label yet: send feedback or verdicts."));
        gy_html_section_end(r->b);
        return;
    }
    yyjson_val *delay = gy_json_get(r->performance.root, "label_delay_seconds");
    gy_html_section(
        r->b, "Performance",
        gy_cli_cellf(r->cli,
                     "Over %lld labelled predictions, with 95 %% intervals: what the rules alone "
                     "say, what the model said by itself, and what was answered. Half of the "
                     "labels came within %.3g s.",
                     (long long)labelled, gy_json_f64(delay, "p50", 0)));
    gy_html_cards(r->b, true);
    if (gy_str_eqc(task, "binary")) {
        put_metric(r, "recall", "recall: found, of those who are positive");
        put_metric(r, "precision", "precision: right, of those called positive");
        put_metric(r, "f1", "F1");
        put_metric(r, "accuracy", "accuracy");
    } else if (gy_str_eqc(task, "regression")) {
        put_metric(r, "mae", "mean absolute error");
        put_metric(r, "rmse", "root mean squared error");
    } else {
        put_metric(r, "accuracy", "accuracy");
    }
    gy_html_cards_end(r->b);
    gy_html_section_end(r->b);
}

/* ---- reviews, rollouts, alerts ---- */

static void put_reviews(struct report *r)
{
    yyjson_val *q = yyjson_arr_get(list(&r->reviews, "endpoints"), 0);
    if (!q) {
        return;
    }
    struct gy_cli *cli = r->cli;
    int64_t simulated = gy_json_i64(q, "simulated", 0);
    double hours = gy_json_f64(q, "median_hours", NAN);
    const struct gy_html_tile t[] = {
        {.label = GY_STR("waiting"),
         .value = gy_cli_cellf(
             cli, "%lld", (long long)(gy_json_i64(q, "open", 0) + gy_json_i64(q, "assigned", 0)))},
        {.label = GY_STR("judged"),
         .value = gy_cli_cellf(cli, "%lld", (long long)gy_json_i64(q, "done", 0)),
         .note = simulated ? gy_cli_cellf(cli, "%lld of them simulated", (long long)simulated)
                           : GY_STR_NULL},
        {.label = GY_STR("agreed with the answer"),
         .value = percent(cli, gy_json_f64(q, "agreement", NAN))},
        {.label = GY_STR("from answer to verdict"),
         .value = isfinite(hours) ? gy_cli_cellf(cli, "%.2g h", hours) : GY_STR("not told"),
         .note = GY_STR("median")},
    };
    gy_html_section(r->b, "Reviews",
                    GY_STR("Predictions that people judged; verdicts are labels."));
    gy_html_tiles(r->b, t, sizeof t / sizeof t[0]);
    gy_html_section_end(r->b);
}

static enum gy_tone kind_tone(struct gy_str kind)
{
    return gy_str_eqc(kind, "rollback")  ? GY_TONE_WARN
           : gy_str_eqc(kind, "promote") ? GY_TONE_GOOD
                                         : GY_TONE_PLAIN;
}

static gy_status put_history(struct report *r, struct gy_err *err)
{
    static const char *const head[] = {"what", "revision", "model", "when", "who", "why"};
    static const bool right[] = {false, true, false, false, false, false};
    enum { COLUMNS = sizeof head / sizeof head[0] };
    yyjson_val *revisions = list(&r->history, "revisions");
    size_t n = yyjson_arr_size(revisions);
    n = n > SHOWN_REVISIONS ? SHOWN_REVISIONS : n;
    if (n == 0) {
        return GY_OK;
    }
    struct gy_str *cells = gy_arena_calloc(&r->cli->arena, n * COLUMNS, sizeof *cells);
    enum gy_tone *tones = gy_arena_calloc(&r->cli->arena, n, sizeof *tones);
    if (!cells || !tones) {
        return gy_err_set(err, GY_E_NOMEM, "the report");
    }
    for (size_t i = 0; i < n; i++) {
        yyjson_val *v = yyjson_arr_get(revisions, i);
        struct gy_str *c = &cells[i * COLUMNS];
        struct gy_str reason = gy_json_str(v, "reason");
        c[0] = gy_json_str(v, "kind");
        c[1] = gy_cli_cellf(r->cli, "%lld", (long long)gy_json_i64(v, "revision", 0));
        c[2] = gy_cli_cellf(r->cli, "%" GY_STR_F "/%lld", GY_STR_A(gy_json_str(v, "model")),
                            (long long)gy_json_i64(v, "version", 0));
        c[3] = when(r->cli, gy_json_str(v, "time"));
        c[4] = gy_json_str(v, "actor");
        c[5] = reason.n ? reason : GY_STR_NULL;
        tones[i] = kind_tone(c[0]);
    }
    const struct gy_html_table t = {head, COLUMNS, n, cells, right, tones};
    gy_html_section(r->b, "Rollouts", GY_STR("Every change of what is served, newest first."));
    gy_html_table(r->b, &t);
    gy_html_section_end(r->b);
    return GY_OK;
}

static gy_status put_alerts(struct report *r, struct gy_err *err)
{
    static const char *const head[] = {"state",   "kind",         "raised",
                                       "cleared", "acknowledged", "what"};
    enum { COLUMNS = sizeof head / sizeof head[0] };
    yyjson_val *alerts = list(&r->alerts, "alerts");
    size_t n = yyjson_arr_size(alerts);
    n = n > SHOWN_ALERTS ? SHOWN_ALERTS : n;
    gy_html_section(r->b, "Alerts", n ? GY_STR_NULL : GY_STR("None fired."));
    struct gy_str *cells = gy_arena_calloc(&r->cli->arena, n * COLUMNS + 1, sizeof *cells);
    enum gy_tone *tones = gy_arena_calloc(&r->cli->arena, n + 1, sizeof *tones);
    if (!cells || !tones) {
        return gy_err_set(err, GY_E_NOMEM, "the report");
    }
    for (size_t i = 0; i < n; i++) {
        yyjson_val *a = yyjson_arr_get(alerts, i);
        struct gy_str *c = &cells[i * COLUMNS];
        struct gy_str by = gy_json_str(a, "acknowledged_by");
        c[0] = gy_json_str(a, "state");
        c[1] = gy_json_str(a, "kind");
        c[2] = when(r->cli, gy_json_str(a, "raised"));
        c[3] = when(r->cli, gy_json_str(a, "cleared"));
        c[4] = by.p ? gy_cli_cellf(r->cli, "%" GY_STR_F ": %" GY_STR_F, GY_STR_A(by),
                                   GY_STR_A(gy_json_str(a, "acknowledge_reason")))
                    : GY_STR_NULL;
        c[5] = gy_json_str(a, "text");
        tones[i] = gy_str_eqc(c[0], "firing") ? GY_TONE_BAD : GY_TONE_PLAIN;
    }
    if (n) {
        const struct gy_html_table t = {head, COLUMNS, n, cells, NULL, tones};
        gy_html_table(r->b, &t);
    }
    gy_html_section_end(r->b);
    return GY_OK;
}

gy_status gy_watch_report(struct gy_cli *cli, struct gy_str endpoint, bool wait,
                          struct gy_buf *html, struct gy_err *err)
{
    GY_AUTO_DONE(report_done) struct report r = {.cli = cli, .endpoint = endpoint, .b = html};
    GY_TRY(ask_all(&r, wait, err));
    put_top(&r);
    put_features(&r);
    GY_TRY(put_windows(&r, err));
    put_performance(&r);
    put_reviews(&r);
    GY_TRY(put_history(&r, err));
    GY_TRY(put_alerts(&r, err));
    gy_html_end(html, GY_STR("Written by gyre watch report. Intervals are 95 %; times are UTC."));
    return gy_buf_check(html, "the report", err);
}

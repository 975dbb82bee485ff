/* SPDX-License-Identifier: Apache-2.0 */
/* gyre watch drift: have the inputs moved away from what the model was trained on, and why? */
#include <math.h>

#include "base/time.h"
#include "cli/ask.h"
#include "cli/drift_input.h"
#include "watch/diagnose.h"

#define MAX_ARENA \
    ((size_t)64 * GY_GIB) /* a table in memory, counted: bounded by GY_TABLE_MAX_BYTES */
#define MAX_COLUMNS 4096  /* in a list on the command line */
#define SHOWN 200         /* columns in the table for people */

struct drift_opts {
    int64_t window;
    const char *since, *version;
    const char *current, *reference, *columns, *categorical, *schema;
    double share;
    bool fail;
};

/* ---- for people ---- */

/* Eight heights. */
static const char *const BARS[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

/* Both histograms of a feature on one scale. */
static struct gy_str bars(struct gy_cli *cli, const double *bins, double most)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 256);
    for (size_t i = 0; i < GY_DRIFT_BINS; i++) {
        double height = most > 0 ? bins[i] / most * 8 : 0;
        size_t h = height > 8 ? 8 : height > 0 ? (size_t)ceil(height) : 0;
        gy_buf_addc(&b, BARS[h]);
    }
    return gy_cli_cell(cli, gy_buf_str(&b));
}

static struct gy_str number(struct gy_cli *cli, double v)
{
    return isnan(v) ? GY_STR_NULL : gy_cli_cellf(cli, "%.4g", v);
}

enum { C_NAME, C_TEST, C_SCORE, C_LIMIT, C_DRIFTED, C_MISSING, C_MEAN, C_THEN, C_NOW, C_COUNT };
static const char *const HEAD[C_COUNT] = {"COLUMN",  "TEST", "SCORE",     "LIMIT",  "DRIFTED",
                                          "MISSING", "MEAN", "REFERENCE", "CURRENT"};
static const bool RIGHT[C_COUNT] = {[C_SCORE] = true, [C_LIMIT] = true};

static void feature_row(struct gy_cli *cli, const struct gy_drift_feature *f, struct gy_str *cells)
{
    struct gy_drift_histogram h;
    double most = 0;
    gy_drift_histogram_of(f, &h);
    for (size_t i = 0; i < GY_DRIFT_BINS; i++) {
        most = fmax(most, fmax(h.reference[i], h.current[i]));
    }
    cells[C_NAME] = f->name;
    cells[C_TEST] = gy_str_c(gy_stat_name(f->test));
    cells[C_SCORE] = number(cli, f->score);
    cells[C_LIMIT] =
        gy_cli_cellf(cli, "%s %.4g", gy_stat_is_p_value(f->test) ? "<" : ">=", f->threshold);
    cells[C_DRIFTED] = !f->enough   ? GY_STR("too few rows")
                       : f->drifted ? GY_STR("yes")
                                    : GY_STR("no");
    cells[C_MISSING] =
        gy_cli_cellf(cli, "%.1f %%%s", 100 * f->current_missing.value, f->missing_moved ? "!" : "");
    cells[C_MEAN] = isnan(f->current_mean)
                        ? GY_STR_NULL
                        : gy_cli_cellf(cli, "%.4g -> %.4g", f->reference_mean, f->current_mean);
    cells[C_THEN] = bars(cli, h.reference, most);
    cells[C_NOW] = bars(cli, h.current, most);
}

static gy_status print_features(struct gy_cli *cli, const struct gy_drift_result *r,
                                struct gy_err *err)
{
    size_t n = r->n_features < SHOWN ? r->n_features : SHOWN;
    struct gy_str *cells = gy_arena_calloc(&cli->arena, (n + 2) * C_COUNT, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "a table");
    }
    for (size_t i = 0; i < n; i++) {
        feature_row(cli, &r->features[i], cells + i * C_COUNT);
    }
    if (r->has_score) {
        feature_row(cli, &r->score, cells + n * C_COUNT);
        cells[n * C_COUNT] = GY_STR("(the model's answer)");
    }
    gy_cli_table(cli, HEAD, C_COUNT, cells, n + r->has_score, RIGHT);
    if (n < r->n_features) {
        gy_cli_say(cli, "and %zu more columns: --json\n", r->n_features - n);
    }
    return GY_OK;
}

static void print_verdict(struct gy_cli *cli, const struct gy_drift_result *r,
                          const struct gy_drift_diagnosis *d)
{
    gy_cli_say(cli, "\n%zu of %zu columns drifted (%.0f %%): dataset drift %s (from %.0f %%)\n",
               r->n_drifted, r->n_features, 100 * r->share, r->dataset_drift ? "yes" : "no",
               100 * r->drift_share);
    if (r->rule_current.n > 0) {
        gy_cli_say(cli, "rules decided %.1f %% of the rows", 100 * r->rule_current.value);
        if (r->rule_reference.n > 0) {
            gy_cli_say(cli, ", %.1f %% of those before (%.1f to %.1f %%)",
                       100 * r->rule_reference.value, 100 * r->rule_reference.low,
                       100 * r->rule_reference.high);
        }
        gy_cli_say(cli, "\n");
    }
    gy_cli_say(cli, "cause: %s. %" GY_STR_F "\n", gy_drift_cause_name(d->cause),
               GY_STR_A(d->reason));
    if (d->cause != GY_CAUSE_NONE) {
        gy_cli_say(cli, "retraining: %s, %" GY_STR_F "\n", d->may_retrain ? "yes" : "no",
                   GY_STR_A(d->retrain_reason));
    }
}

/* ---- for programs ---- */

static void kv_time(struct gy_jw *w, const char *key, int64_t time_us)
{
    char text[32];
    if (time_us == 0) {
        gy_jw_kv_null(w, key);
    } else {
        gy_jw_kv_str(w, key, gy_str_n(text, gy_time_iso(time_us, text)));
    }
}

static gy_status print_json(struct gy_cli *cli, const struct gy_cli_drift_input *in,
                            const struct gy_drift_result *r, const struct gy_drift_diagnosis *d,
                            struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 64 * GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "endpoint", in->version.p ? gy_str_c(cli->argv[0]) : GY_STR_NULL);
    gy_jw_kv_str(&w, "version", in->version);
    gy_jw_kv_str(&w, "reference", in->reference);
    kv_time(&w, "since", r->since_us);
    kv_time(&w, "until", r->until_us);
    gy_jw_kv_i64(&w, "skipped", (int64_t)in->skipped);
    gy_jw_key(&w, "text_columns");
    gy_jw_arr(&w);
    for (size_t i = 0; i < in->n_text_columns; i++) {
        gy_jw_str(&w, in->text_columns[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_key(&w, "drift");
    gy_drift_write(&w, r);
    gy_jw_key(&w, "diagnosis");
    gy_drift_diagnosis_write(&w, d);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

/* ---- the command ---- */

/* "a,b,c" */
static gy_status split_list(struct gy_cli *cli, const char *text, struct gy_str **ret,
                            size_t *ret_n, struct gy_err *err)
{
    struct gy_str rest = gy_str_c(text);
    struct gy_str piece;
    if (!text) {
        return GY_OK;
    }
    *ret = gy_arena_calloc(&cli->arena, MAX_COLUMNS, sizeof **ret);
    if (!*ret) {
        return gy_err_set(err, GY_E_NOMEM, "columns");
    }
    while (gy_str_next(&rest, ',', &piece)) {
        if (*ret_n == MAX_COLUMNS || gy_str_trim(piece).n == 0) {
            return gy_err_set(err, GY_E_USAGE, "'%s' is no list of columns", text);
        }
        (*ret)[(*ret_n)++] = gy_str_trim(piece);
    }
    return GY_OK;
}

static gy_status read_files(struct gy_cli *cli, const struct drift_opts *o, struct gy_arena *a,
                            struct gy_cli_drift_input *ret, struct gy_err *err)
{
    struct gy_cli_drift_files f = {
        .current = o->current, .reference = o->reference, .schema = o->schema};
    if (cli->argc) {
        return gy_err_set(err, GY_E_USAGE, "an endpoint or --current and --reference, not both");
    }
    GY_TRY(split_list(cli, o->columns, &f.columns, &f.n_columns, err));
    GY_TRY(split_list(cli, o->categorical, &f.categorical, &f.n_categorical, err));
    return gy_cli_drift_files(cli, &f, a, ret, err);
}

static gy_status read_log(struct gy_cli *cli, const struct drift_opts *o, struct gy_arena *a,
                          struct gy_cli_drift_input *ret, struct gy_err *err)
{
    struct gy_cli_drift_log l = {.version = o->version, .rows = o->window, .since_us = INT64_MIN};
    if (cli->argc == 0) {
        return gy_err_set(err, GY_E_USAGE, "which endpoint? Or --current FILE --reference FILE");
    }
    if (o->columns || o->categorical || o->schema) {
        return gy_err_set(err, GY_E_USAGE,
                          "--columns, --categorical and --schema are for --current and "
                          "--reference");
    }
    l.endpoint = gy_str_c(cli->argv[0]);
    if (l.rows < 1 || l.rows > GY_DRIFT_MAX_ROWS / 10) {
        return gy_err_set(err, GY_E_USAGE, "--window takes 1 to %d rows", GY_DRIFT_MAX_ROWS / 10);
    }
    if (o->since) {
        GY_TRY(gy_time_parse_iso(gy_str_c(o->since), &l.since_us, err));
    }
    return gy_cli_drift_log(cli, &l, a, ret, err);
}

static void print_head(struct gy_cli *cli, const struct gy_cli_drift_input *in,
                       const struct gy_drift_result *r)
{
    char since[32], until[32];
    if (in->version.p) {
        (void)gy_time_iso(r->since_us, since);
        (void)gy_time_iso(r->until_us, until);
        gy_cli_say(cli, "%s version %" GY_STR_F ": %llu rows from %s to %s, trained on %llu\n\n",
                   cli->argv[0], GY_STR_A(in->version), (unsigned long long)r->rows, since, until,
                   (unsigned long long)r->reference_rows);
    } else {
        gy_cli_say(cli, "%llu rows against %llu of %" GY_STR_F "\n\n", (unsigned long long)r->rows,
                   (unsigned long long)r->reference_rows, GY_STR_A(in->reference));
    }
}

static gy_status report(struct gy_cli *cli, const struct gy_cli_drift_input *in,
                        const struct drift_opts *o, struct gy_arena *a, struct gy_err *err)
{
    struct gy_drift_result r;
    struct gy_drift_diagnosis d;
    GY_TRY(gy_drift_evaluate(&in->profile, in->window, &in->options, a, &r, err));
    GY_TRY(gy_drift_diagnose(&r, NULL, GY_DRIFT_MIN_LABELS, a, &d, err));
    cli->exit_code = o->fail && r.detected ? 1 : 0;
    if (cli->json) {
        return print_json(cli, in, &r, &d, err);
    }
    print_head(cli, in, &r);
    GY_TRY(print_features(cli, &r, err));
    for (size_t i = 0; i < in->n_text_columns; i++) {
        gy_cli_say(cli, "%" GY_STR_F " is free text: not compared\n",
                   GY_STR_A(in->text_columns[i]));
    }
    print_verdict(cli, &r, &d);
    return GY_OK;
}

static gy_status run_drift(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct drift_opts *o = opts;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO_DONE(gy_cli_drift_input_done) struct gy_cli_drift_input in = {0};
    gy_arena_init(&a, MAX_ARENA);
    if (!o->current != !o->reference) {
        return gy_err_set(err, GY_E_USAGE, "--current and --reference belong together");
    }
    if (!(o->share > 0 && o->share <= 1)) {
        return gy_err_set(err, GY_E_USAGE, "--share takes a number above 0, at most 1");
    }
    GY_TRY(o->current ? read_files(cli, o, &a, &in, err) : read_log(cli, o, &a, &in, err));
    in.options.share = o->share;
    return report(cli, &in, o, &a, err);
}

static const struct gy_opt drift_opts[] = {
    {"window", 'n', GY_OPT_INT, offsetof(struct drift_opts, window), "ROWS", "1000",
     "the last so many rows of the log"},
    {"since", 0, GY_OPT_STR, offsetof(struct drift_opts, since), "TIME", NULL,
     "all rows since then instead: 2026-11-27T09:00:00Z"},
    {"version", 0, GY_OPT_STR, offsetof(struct drift_opts, version), "V", NULL,
     "rows this version answered; else the stable one that is served"},
    {"current", 0, GY_OPT_STR, offsetof(struct drift_opts, current), "TABLE", NULL,
     "compare this file or dataset ..."},
    {"reference", 0, GY_OPT_STR, offsetof(struct drift_opts, reference), "TABLE|MODEL", NULL,
     "... with this one, or with what a model was trained on"},
    {"columns", 0, GY_OPT_STR, offsetof(struct drift_opts, columns), "A,B", NULL,
     "compare these only; else all that both have"},
    {"categorical", 0, GY_OPT_STR, offsetof(struct drift_opts, categorical), "A,B", NULL,
     "numbers that are names (text is anyway)"},
    {"schema", 0, GY_OPT_STR, offsetof(struct drift_opts, schema), "FILE", NULL,
     "of the tables; else the nearest schema.yaml"},
    {"share", 0, GY_OPT_NUM, offsetof(struct drift_opts, share), "SHARE", "0.5",
     "of the columns that must drift for the whole to have"},
    {"fail-on-drift", 0, GY_OPT_FLAG, offsetof(struct drift_opts, fail), NULL, NULL,
     "exit with 1 when a column has drifted"},
};

static const struct gy_verb verbs[] = {
    {.noun = "watch",
     .verb = "drift",
     .args = "[ENDPOINT]",
     .min_args = 0,
     .max_args = 1,
     .summary = "have the inputs moved away from the training data, and why",
     .details = "Tests and limits are those that Evidently would choose. What is found is only "
                "told: no alert, no event.",
     .examples = "  gyre watch drift sepsis\n"
                 "  gyre watch drift sepsis --window 5000 --json\n"
                 "  gyre watch drift --current today.csv --reference models:/sepsis/3",
     GY_OPTS(drift_opts),
     .opts_bytes = sizeof(struct drift_opts),
     .run = run_drift},
};

const struct gy_verb_table gy_cmd_watch_drift = GY_VERB_TABLE(verbs);

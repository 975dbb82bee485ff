/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the project that `gyre try` leaves behind: what it found out, written down so that
 * `gyre run` and `dvc repro` repeat it. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "cli/try.h"
#include "data/schema.h"
#include "store/home.h"

static const char g_marker[] = ".gyre/made-by-try"; /* holds the digest of what try wrote */
static const char *const g_files[] = {"schema.yaml", "dvc.yaml", "params.yaml", "gyre.yaml"};

#define DEMO_MARKER ".gyre/made-by-demo"
#define MANY_ROWS 100 /* with so many rows without a gap, a gap is a mistake */
#define BALANCED 0.2  /* share of the rarer class */
#define MARGIN 0.001  /* better than the baseline: by at least this */
#define CHAMPION_CHANGE (-0.01)

/* ---- the folder ---- */

struct found {
    const char *dir;
    struct gy_buf *all;
};

/* What neither try nor its pipeline makes was put there by a person. */
static gy_status add_foreign(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    static const char *const own[] = {".gyre",       ".gitignore", "data",        "models",
                                      "reports",     "dvc.lock",   "schema.yaml", "dvc.yaml",
                                      "params.yaml", "gyre.yaml"};
    struct found *f = ctx;
    (void)is_dir;
    (void)err;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (strcmp(name, own[i]) == 0) {
            return GY_OK;
        }
    }
    gy_buf_addf(f->all, "%s\n", name);
    return GY_OK;
}

/* The input by its size: its bytes may be many. */
static gy_status add_raw(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct found *f = ctx;
    char path[GY_MAX_PATH];
    (void)is_dir;
    GY_TRY(gy_path_join(path, sizeof path, f->dir, name, err));
    gy_buf_addf(f->all, "%s %lld\n", name, (long long)gy_file_size(path));
    return GY_OK;
}

static gy_status add_others(const char *dir, struct gy_buf *all, struct gy_err *err)
{
    char raw[GY_MAX_PATH];
    struct found f = {.dir = raw, .all = all};
    GY_TRY(gy_path_join(raw, sizeof raw, dir, "data/raw", err));
    GY_TRY(gy_dir_each(dir, add_foreign, &f, err));
    return gy_path_is_dir(raw) ? gy_dir_each(raw, add_raw, &f, err) : GY_OK;
}

/* Of the project's files; a missing one counts as empty. And of what a person put beside them. */
static gy_status digest_files(const char *dir, char ret[GY_SHA256_HEX], struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf all;
    gy_buf_init(&all, 12 * (size_t)GY_MAX_YAML);
    for (size_t i = 0; i < sizeof g_files / sizeof g_files[0]; i++) {
        char path[GY_MAX_PATH];
        GY_TRY(gy_path_join(path, sizeof path, dir, g_files[i], err));
        gy_buf_addf(&all, "%s\n", g_files[i]);
        if (gy_path_exists(path)) {
            GY_TRY(gy_file_read(path, &all, err));
        }
    }
    GY_TRY(add_others(dir, &all, err));
    GY_TRY(gy_buf_check(&all, "the project's files", err));
    return gy_sha256_hex(gy_buf_str(&all), ret, err);
}

static gy_status is_anything(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    (void)is_dir;
    *(bool *)ctx = true;
    return gy_err_set(err, GY_E_CONFLICT, "it holds '%s'", name);
}

static gy_status refuse(const char *dir, const char *why, const char *hint, struct gy_err *err)
{
    gy_err_set(err, GY_E_CONFLICT, "%s %s", dir, why);
    return gy_err_hint(err, "%s", hint);
}

static bool server_runs(const char *dir)
{
    char home[GY_MAX_PATH];
    struct gy_home h = {.lock_fd = -1};
    bool runs = gy_path_join(home, sizeof home, dir, ".gyre", NULL) == GY_OK &&
                gy_home_find(home, false, &h, NULL) == GY_OK && gy_home_is_locked(&h);
    gy_home_done(&h);
    return runs;
}

gy_status gy_try_prepare(struct gy_try *t, const char *dir, struct gy_err *err)
{
    char mark[GY_MAX_PATH];
    char now[GY_SHA256_HEX];
    bool anything = false;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf then;
    gy_buf_init(&then, 1024);
    if (!gy_path_exists(dir)) {
        return GY_OK;
    }
    if (!gy_path_is_dir(dir)) {
        return refuse(dir, "is a file", "--dir DIR names another folder", err);
    }
    GY_TRY(gy_path_join(mark, sizeof mark, dir, g_marker, err));
    if (!gy_path_exists(mark)) {
        GY_IGNORE(gy_dir_each(dir, is_anything, &anything, NULL)); /* it fails to say so */
        return anything ? refuse(dir, "is not empty and was not made by gyre try",
                                 "--dir DIR names another folder", err)
                        : GY_OK;
    }
    if (server_runs(dir)) {
        return refuse(dir, "is in use: its server runs",
                      "end that one with Ctrl-C, or take --dir DIR", err);
    }
    GY_TRY(gy_file_read(mark, &then, err));
    GY_TRY(digest_files(dir, now, err));
    struct gy_str was = gy_str_trim(gy_buf_str(&then));
    if (!t->opts->force && was.n > 0 && !gy_str_eqc(was, now)) {
        return refuse(dir, "was made by gyre try and changed since",
                      "--force throws it away and makes it anew; --dir DIR names another folder",
                      err);
    }
    return gy_dir_remove(dir, err);
}

gy_status gy_try_mark(const struct gy_try *t, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    char digest[GY_SHA256_HEX] = "";
    char params[GY_MAX_PATH];
    GY_TRY(gy_path_join(params, sizeof params, t->d.dir, "params.yaml", err));
    if (gy_path_exists(params)) { /* before, there is nothing a person could have changed */
        GY_TRY(digest_files(t->d.dir, digest, err));
    }
    GY_TRY(gy_path_join(path, sizeof path, t->d.dir, g_marker, err));
    GY_TRY(gy_file_write(path, gy_str_c(digest), 0644, err));
    GY_TRY(gy_path_join(path, sizeof path, t->d.dir, DEMO_MARKER, err));
    if (unlink(path) != 0 && errno != ENOENT) { /* this folder is no demo's to empty */
        return gy_err_sys(err, errno, "removing %s", path);
    }
    return GY_OK;
}

/* ---- writing ---- */

static gy_status write_text(const struct gy_try *t, const char *name, const struct gy_buf *text,
                            struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_buf_check(text, name, err));
    GY_TRY(gy_path_join(path, sizeof path, t->d.dir, name, err));
    return gy_file_write(path, gy_buf_str(text), 0644, err);
}

/* As JSON, which is YAML whatever is in the text. */
static void add_quoted(struct gy_buf *out, struct gy_str s)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_str(&w, s);
}

/* Away from zero (up) or towards it, to two digits. */
static double outward(double v, bool up)
{
    if (v == 0) {
        return 0;
    }
    double unit = pow(10, floor(log10(fabs(v))) - 1);
    double scaled = v / unit;
    return (up ? ceil(scaled) : floor(scaled)) * unit;
}

/* What was seen says little of what may come: the range is left three times as wide, but a quantity
 * that was never negative stays so. */
static void add_range(struct gy_buf *out, const struct gy_surveyed *c)
{
    double span = c->max - c->min;
    if (strcmp(c->type, "bool") == 0 || isnan(c->min) || !isfinite(span) || span <= 0 ||
        c->use == GY_USE_ID || c->use == GY_USE_COUNTER) {
        return;
    }
    double from = outward(c->min - span, false);
    double to = outward(c->max + span, true);
    from = c->min >= 0 && from < 0 ? 0 : from;
    to = c->max <= 0 && to > 0 ? 0 : to;
    gy_buf_addf(out, ", min: %.12g, max: %.12g", from, to); /* two digits and rounding noise */
}

static void add_column(struct gy_buf *out, const struct gy_try *t, const struct gy_surveyed *c)
{
    bool target = c->use == GY_USE_TARGET;
    gy_buf_addc(out, "  - {name: ");
    add_quoted(out, c->column->name);
    gy_buf_addf(out, ", type: %s", c->type);
    if (!target || t->survey.task == GY_TASK_REGRESSION) {
        add_range(out, c);
    }
    if (c->use == GY_USE_INPUT && c->missing == 0 && t->survey.n_rows >= MANY_ROWS) {
        gy_buf_addc(out, ", required: true");
    }
    if (target) {
        gy_buf_addc(out, ", role: label, not_in: [SERVING]");
    }
    bool id = c->column == t->table->id;
    for (size_t i = 0; !t->table->id && c->use == GY_USE_ID && i < t->survey.n_columns; i++) {
        if (t->survey.columns[i].use == GY_USE_ID) {
            id = &t->survey.columns[i] == c; /* the first one */
            break;
        }
    }
    if (id) {
        gy_buf_addc(out, ", role: id");
    }
    gy_buf_addc(out, "}\n");
}

static gy_status write_schema(const struct gy_try *t, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_YAML);
    gy_buf_addc(&out,
                "# What a sound record is; `gyre data ingest` sets the others aside. Told from the "
                "file by `gyre try`: the ranges\n# are three times as wide as what was seen. "
                "Narrow them where you know better.\ncolumns:\n");
    for (size_t i = 0; i < t->survey.n_columns; i++) {
        add_column(&out, t, &t->survey.columns[i]);
    }
    gy_buf_addc(&out, "missing: [");
    for (size_t i = 0; i < t->schema->n_missing; i++) {
        gy_buf_addc(&out, i ? ", " : "");
        add_quoted(&out, t->schema->missing[i]);
    }
    gy_buf_addc(&out, "]\n");
    return write_text(t, "schema.yaml", &out, err);
}

static gy_status write_pipeline(const struct gy_try *t, struct gy_err *err)
{
    const char *n = t->name;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_YAML);
    gy_buf_addf(&out,
                "# `gyre run` and `dvc repro` both run this, and only what changed.\nstages:\n"
                "  ingest:\n"
                "    cmd: mkdir -p reports && gyre data ingest data/raw/%s.csv --schema "
                "schema.yaml --output-path data/%s\n"
                "      --dlq data/dlq.log --name %s --json > reports/ingest.json\n"
                "    deps: [data/raw/%s.csv, schema.yaml]\n"
                "    outs:\n      - data/%s/data.csv\n"
                "    metrics:\n      - reports/ingest.json: {cache: false}\n",
                n, n, n, n, n);
    gy_buf_addf(&out,
                "  model:\n"
                "    cmd: gyre train data/%s/data.csv --params params.yaml --out models/%s "
                "--experiment %s\n"
                "      --run-name best --register %s --json > reports/model.json\n"
                "    deps: [data/%s/data.csv, schema.yaml]\n"
                "    params: [seed, holdout, train]\n"
                "    outs:\n      - models/%s\n"
                "    metrics:\n      - reports/model.json: {cache: false}\n",
                n, n, n, n, n, n);
    return write_text(t, "dvc.yaml", &out, err);
}

gy_status gy_try_write_data(struct gy_try *t, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf ignore;
    gy_buf_init(&ignore, 1024);
    gy_buf_addc(&ignore, "/.gyre/\n/data/\n/models/\n/reports/\n");
    GY_TRY(write_schema(t, err));
    GY_TRY(write_pipeline(t, err));
    return write_text(t, ".gitignore", &ignore, err);
}

static gy_status write_params(const struct gy_try *t, struct gy_err *err)
{
    char number[32];
    bool first = true;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_YAML);
    (void)gy_fmt_f64_trim(t->params.holdout, number);
    gy_buf_addf(&out,
                "# The best of %zu trials. Same data, parameters and seed give the same model "
                "bytes.\nseed: %llu\nholdout: %s\ntrain:\n  target: ",
                t->search.n_trials, (unsigned long long)t->params.seed, number);
    add_quoted(&out, t->params.target);
    gy_buf_addf(&out, "\n  task: %s\n  features: [", gy_task_name(t->survey.task));
    for (size_t i = 0; i < t->params.n_features; i++) {
        gy_buf_addc(&out, first ? "" : ", ");
        add_quoted(&out, t->params.features[i]);
        first = false;
    }
    gy_buf_addc(&out, "]\n");
    gy_trial_yaml(t->search.best, &out);
    if (t->survey.task == GY_TASK_BINARY) {
        (void)gy_fmt_f64_trim(t->threshold, number);
        gy_buf_addf(&out, "  threshold: %s%s\n", number,
                    t->threshold == 0.5 ? "" : "  # where f1 was largest on the validated rows");
    }
    gy_buf_addf(&out, "  threads: %d\n", t->n_threads);
    return write_text(t, "params.yaml", &out, err);
}

/* ---- the gate ---- */

static double rarest_share(const struct gy_try *t)
{
    double n = 0, least = INFINITY;
    for (size_t k = 0; k < t->search.n_classes; k++) {
        n += t->search.class_rows[k];
        least = fmin(least, t->search.class_rows[k]);
    }
    return n > 0 ? least / n : 0;
}

static void add_bound(struct gy_buf *out, const char *metric, double baseline, const char *comment)
{
    char number[32];
    (void)gy_fmt_f64_trim(ceil((baseline + MARGIN) * 1000) / 1000, number);
    gy_buf_addf(out, "    - {name: %s, low_min: %s}  # %s\n", metric, number, comment);
}

/* What a model without knowledge reaches is known without looking at held-out rows. */
static void add_bounds(struct gy_buf *out, const struct gy_try *t)
{
    const struct gy_trial *b = &t->search.baseline;
    const struct gy_metric *m = gy_metrics_get(&b->metrics, GY_STR("accuracy"));
    double accuracy = m ? m->value : 0;
    double rare = rarest_share(t);
    const char *metric = "auc";
    if (t->survey.task == GY_TASK_REGRESSION) {
        metric = "r2";
        add_bound(out, "r2", 0, "always saying the mean reaches 0");
    } else if (t->survey.task == GY_TASK_MULTICLASS) {
        metric = "accuracy";
        add_bound(out, "accuracy", accuracy, "always saying the commonest class reaches less");
    } else {
        double p = t->search.class_rows[1] / (t->search.class_rows[0] + t->search.class_rows[1]);
        add_bound(out, "auc", 0.5, "a coin reaches 0.5");
        if (rare < BALANCED) {
            /* Who never says 1 is nearly always right, and useless. */
            add_bound(out, "f1", 2 * p / (1 + p), "always saying 1 reaches less");
        } else {
            add_bound(out, "accuracy", accuracy, "always saying the commoner class reaches less");
        }
    }
    char number[32];
    (void)gy_fmt_f64_trim(CHAMPION_CHANGE, number);
    gy_buf_addf(out, "    - {name: %s, champion_change_min: %s}\n", metric, number);
}

static gy_status write_project(const struct gy_try *t, struct gy_err *err)
{
    const char *n = t->name;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_YAML);
    gy_buf_addf(&out,
                "# What is served and judged. A proposal: `gyre endpoint deploy` and `gyre gate "
                "check` apply it.\nname: %s\nendpoints:\n  %s:\n    model: models:/%s@champion\n"
                "    aliases:\n      - {path: /predict, output: {",
                n, n, n);
    add_quoted(&out, t->params.target);
    gy_buf_addc(&out, ": prediction");
    if (t->survey.task != GY_TASK_REGRESSION && !gy_str_eqc(t->params.target, "probability")) {
        gy_buf_addc(&out, ", probability: probability");
    }
    gy_buf_addc(&out,
                "}}\ngate:\n  protect: [champion]\n"
                "  # Better than a model that knows nothing, by the lower end of the 95 % interval "
                "on rows that were held out;\n  # and not worse than the champion. Ask for more "
                "where your work needs more.\n  metrics:\n");
    add_bounds(&out, t);
    return write_text(t, "gyre.yaml", &out, err);
}

gy_status gy_try_write_model(struct gy_try *t, struct gy_err *err)
{
    t->threshold = 0.5;
    if (t->survey.task == GY_TASK_BINARY && rarest_share(t) < BALANCED &&
        t->search.threshold_f1 > t->search.half_f1 + 0.01) {
        t->threshold = t->search.threshold;
    }
    GY_TRY(write_params(t, err));
    return write_project(t, err);
}

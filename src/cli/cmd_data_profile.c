/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data profile: what is in a table. */
#include <math.h>

#include "base/file.h"
#include "base/time.h"
#include "cli/ask.h"
#include "cli/data_input.h"
#include "cli/version.h"
#include "data/compare.h"
#include "data/remarks.h"
#include "flow/profile_html.h"

#define BARS 10 /* of a histogram in the terminal */
#define SHOWN_TEXTS 3

struct profile_opts {
    const char *output, *schema, *against, *label;
    int64_t threads;
};

struct profile {
    struct gy_statistics *statistics, *against;
    struct gy_remarks remarks;
};

static void profile_done(struct profile *p)
{
    gy_remarks_done(&p->remarks);
    gy_statistics_free(p->statistics);
    gy_statistics_free(p->against);
}
GY_DEFINE_AUTO_DONE(struct profile, profile_done);

/* ---- for people ---- */

static struct gy_str number(struct gy_cli *cli, const struct gy_statistics_column *c, double v,
                            bool is_value)
{
    if (!isfinite(v)) {
        return GY_STR_NULL;
    }
    if (c->type == GY_TYPE_TIME && is_value && fabs(v) < 1e11) {
        char iso[32];
        (void)gy_time_iso((int64_t)(v * 1e6), iso);
        return gy_cli_cellf(cli, "%.10s", iso);
    }
    return v == floor(v) && fabs(v) < 1e7 ? gy_cli_cellf(cli, "%.0f", v)
                                          : gy_cli_cellf(cli, "%.4g", v);
}

/* Bins two by two as blocks of eighths; one that is not empty shows. */
static struct gy_str blocks(struct gy_cli *cli, const struct gy_statistics_column *c)
{
    static const char *const eighths[] = {"\u2581", "\u2582", "\u2583", "\u2584",
                                          "\u2585", "\u2586", "\u2587", "\u2588"};
    int64_t bars[BARS] = {0}, top = 1;
    char out[BARS * 3 + 1];
    size_t n = 0;
    for (size_t i = 0; i < GY_STATISTICS_BINS; i++) {
        bars[i * BARS / GY_STATISTICS_BINS] += c->bins[i];
    }
    for (size_t i = 0; i < BARS; i++) {
        top = bars[i] > top ? bars[i] : top;
    }
    for (size_t i = 0; i < BARS; i++) {
        size_t height = (size_t)((double)bars[i] / (double)top * 7.99);
        const char *block = bars[i] ? eighths[height] : " ";
        memcpy(out + n, block, strlen(block));
        n += strlen(block);
    }
    return gy_cli_cell(cli, gy_str_n(out, n));
}

static struct gy_str top_texts(struct gy_cli *cli, const struct gy_statistics_column *c)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 4 * GY_KIB);
    double all = (double)(c->list ? c->n_values : c->count);
    for (size_t i = 0; i < c->n_top && i < SHOWN_TEXTS; i++) {
        struct gy_str head = gy_str_head(c->top[i].value, 24);
        gy_buf_addf(&b, "%s%" GY_STR_F "%s %.0f%%", i ? ", " : "", GY_STR_A(head),
                    head.n < c->top[i].value.n ? "..." : "", 100 * (double)c->top[i].count / all);
    }
    return b.n ? gy_cli_cell(cli, gy_buf_str(&b)) : GY_STR_NULL;
}

static gy_status distance(const struct gy_statistics_column *c, const struct gy_statistics *against,
                          double *ret, struct gy_err *err)
{
    const struct gy_statistics_column *o = gy_statistics_find(against, c->name);
    *ret = NAN;
    if (!o || o->numeric != c->numeric || o->list != c->list) {
        return GY_OK;
    }
    return gy_compare(GY_MEASURE_JENSEN_SHANNON, c, o, !c->numeric, ret, err);
}

static gy_status say_table(struct gy_cli *cli, const struct profile *p, struct gy_err *err)
{
    enum { N = 11 };
    static const char *const head[N] = {"column", "type",   "missing", "distinct",  "mean", "sd",
                                        "min",    "median", "max",     "histogram", "JS"};
    static const bool right[N] = {[2] = true, [3] = true, [4] = true, [5] = true,
                                  [6] = true, [7] = true, [8] = true, [10] = true};
    const struct gy_statistics *s = p->statistics;
    const size_t width = p->against ? N : N - 1;
    struct gy_str *cells = gy_arena_calloc(&cli->arena, s->n_columns * width, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a table");
    }
    for (size_t i = 0; i < s->n_columns; i++) {
        const struct gy_statistics_column *c = &s->columns[i];
        struct gy_str *row = &cells[i * width];
        int64_t gaps = c->missing + c->invalid;
        row[0] = c->role == GY_ROLE_LABEL
                     ? gy_cli_cellf(cli, "%" GY_STR_F " (label)", GY_STR_A(c->name))
                     : c->name;
        row[1] = gy_cli_cellf(cli, "%s%s", gy_type_name(c->type), c->list ? " list" : "");
        row[2] =
            gaps ? gy_cli_cellf(cli, "%.1f %%", 100 * (double)gaps / (double)s->rows) : GY_STR("0");
        row[3] = gy_cli_cellf(cli, "%s%lld", c->distinct_exact ? "" : "~", (long long)c->distinct);
        row[4] = number(cli, c, c->mean, true);
        row[5] = number(cli, c, c->sd, false);
        row[6] = number(cli, c, c->min, true);
        row[7] = number(cli, c, c->quantiles[GY_STATISTICS_QUANTILES / 2], true);
        row[8] = number(cli, c, c->max, true);
        row[9] = c->numeric && c->count ? blocks(cli, c) : top_texts(cli, c);
        if (p->against) {
            double far;
            GY_TRY(distance(c, p->against, &far, err));
            row[10] = isnan(far) ? GY_STR_NULL : gy_cli_cellf(cli, "%.3f", far);
        }
    }
    gy_cli_table(cli, head, width, cells, s->n_columns, right);
    return GY_OK;
}

static gy_status say(struct gy_cli *cli, const struct profile *p, struct gy_err *err)
{
    const struct gy_statistics *s = p->statistics;
    gy_cli_say(cli, "%lld rows, %zu columns\n\n", (long long)s->rows, s->n_columns);
    GY_TRY(say_table(cli, p, err));
    gy_cli_say(cli, "%s", p->remarks.n ? "\n" : "");
    for (size_t i = 0; i < p->remarks.n; i++) {
        const struct gy_remark *m = &p->remarks.items[i];
        gy_cli_say(cli, "%s %" GY_STR_F "%s%" GY_STR_F "\n",
                   gy_remark_is_grave(m->kind) ? "!" : "-", GY_STR_A(m->column),
                   m->column.p ? ": " : "", GY_STR_A(m->text));
    }
    return GY_OK;
}

/* ---- for programs ---- */

static gy_status write_against(struct gy_jw *w, const struct profile *p, struct gy_err *err)
{
    gy_jw_key(w, "against");
    gy_jw_obj(w);
    gy_statistics_write(w, p->against);
    gy_jw_obj_end(w);
    gy_jw_key(w, "jensen_shannon");
    gy_jw_obj(w);
    for (size_t i = 0; i < p->statistics->n_columns; i++) {
        double far;
        GY_TRY(distance(&p->statistics->columns[i], p->against, &far, err));
        gy_jw_keys(w, p->statistics->columns[i].name);
        if (isnan(far)) {
            gy_jw_null(w);
        } else {
            gy_jw_f64(w, far);
        }
    }
    gy_jw_obj_end(w);
    return GY_OK;
}

static gy_status print_json(struct gy_cli *cli, const struct profile *p, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 2 * GY_STATISTICS_MAX_BYTES);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_statistics_write(&w, p->statistics);
    gy_jw_key(&w, "remarks");
    gy_remarks_write(&w, &p->remarks);
    if (p->against) {
        GY_TRY(write_against(&w, p, err));
    }
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

/* The last part of a path. */
static struct gy_str title_of(const char *what)
{
    const char *slash = strrchr(what, '/');
    return strcmp(what, "-") == 0 ? GY_STR("standard input") : gy_str_c(slash ? slash + 1 : what);
}

static gy_status write_html(struct gy_cli *cli, const struct profile_opts *o,
                            const struct profile *p, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_REPLY);
    const struct gy_profile_page page = {.title = title_of(cli->argv[0]),
                                         .statistics = p->statistics,
                                         .remarks = &p->remarks,
                                         .against = p->against,
                                         .against_title = title_of(o->against ? o->against : ""),
                                         .footer = GY_STR("gyre " GY_VERSION)};
    GY_TRY(gy_profile_html(&page, &out, err));
    GY_TRY(gy_dir_make_for(o->output, err));
    GY_TRY(gy_file_write(o->output, gy_buf_str(&out), 0666, err));
    gy_cli_say(cli, "\nreport: %s\n", o->output);
    return GY_OK;
}

/* ---- the command ---- */

static void on_progress(void *ctx, int64_t bytes_done)
{
    gy_progress_at(ctx, bytes_done);
}

static gy_status read_one(struct gy_cli *cli, const struct profile_opts *o, const char *what,
                          struct gy_statistics **ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_data_done) struct gy_cli_data data = {0};
    struct gy_progress bar;
    GY_TRY(gy_cli_data_open(cli, what, o->schema, &data, err));
    gy_progress_start(&bar, cli, what, data.source->size_bytes);
    const struct gy_statistics_options options = {.schema = data.schema,
                                                  .threads = (unsigned)o->threads,
                                                  .progress = on_progress,
                                                  .progress_ctx = &bar};
    gy_status status = gy_statistics_source(data.source, &options, ret, err);
    gy_progress_end(&bar);
    GY_TRY(status);
    for (size_t i = 0; o->label && i < (*ret)->n_columns; i++) {
        struct gy_statistics_column *c = &(*ret)->columns[i];
        if (gy_str_eqc(c->name, o->label)) {
            c->role = GY_ROLE_LABEL;
            return GY_OK;
        }
        c->role = c->role == GY_ROLE_LABEL ? GY_ROLE_FEATURE : c->role;
    }
    return o->label ? gy_err_set(err, GY_E_NOTFOUND, "'%s' has no column '%s'", what, o->label)
                    : GY_OK;
}

static gy_status run_profile(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct profile_opts *o = opts;
    GY_AUTO_DONE(profile_done) struct profile p = {0};
    if (o->threads < 0 || o->threads > 64) {
        return gy_err_set(err, GY_E_USAGE, "--threads takes 0 (one a core) to 64");
    }
    GY_TRY(read_one(cli, o, cli->argv[0], &p.statistics, err));
    if (o->against) {
        GY_TRY(read_one(cli, o, o->against, &p.against, err));
    }
    GY_TRY(gy_remarks_make(p.statistics, &p.remarks, err));
    GY_TRY(cli->json ? print_json(cli, &p, err) : say(cli, &p, err));
    return o->output ? write_html(cli, o, &p, err) : GY_OK;
}

static const struct gy_opt profile_opts[] = {
    {"output", 'o', GY_OPT_STR, offsetof(struct profile_opts, output), "FILE", NULL,
     "write a report: one HTML file without anything from elsewhere"},
    {"against", 0, GY_OPT_STR, offsetof(struct profile_opts, against), "FILE|DATASET", NULL,
     "show another table beside it, and how far the columns are apart"},
    {"label", 0, GY_OPT_STR, offsetof(struct profile_opts, label), "COLUMN", NULL,
     "the label, when no schema says so"},
    {"schema", 0, GY_OPT_STR, offsetof(struct profile_opts, schema), "FILE", NULL,
     "what the columns are; else the project's schema.yaml, else told from the file"},
    {"threads", 0, GY_OPT_INT, offsetof(struct profile_opts, threads), "N", "0",
     "0: one a core; the answer is the same at any number"},
};

static const struct gy_verb verbs[] = {
    {.noun = "data",
     .verb = "profile",
     .args = "FILE|DATASET",
     .min_args = 1,
     .max_args = 1,
     .summary = "what is in a table: counts, spreads, gaps, correlations, and what to look at",
     .details = "One pass, in bounded memory. --json prints the statistics as a document that "
                "gyre data synth\nprofile takes.",
     .examples = "  gyre data profile patients.csv --label isSepsis -o report.html\n"
                 "  gyre data profile sepsis@2 --against sepsis@1 --json",
     .opts = profile_opts,
     .n_opts = sizeof profile_opts / sizeof profile_opts[0],
     .opts_bytes = sizeof(struct profile_opts),
     .run = run_profile},
};

const struct gy_verb_table gy_cmd_data_profile = GY_VERB_TABLE(verbs);

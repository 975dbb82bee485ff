/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data split: a table in parts, so that what is learnt of one can be judged on another. */
#include <math.h>

#include "base/time.h"
#include "cli/ask.h"
#include "cli/data_input.h"
#include "data/split_file.h"

struct split_opts {
    const char *by, *parts, *output, *schema, *key, *label, *time;
    int64_t folds, seed;
    bool stratify, grouped, pairs, allow_shared;
};

static gy_status read_parts(const struct split_opts *o, struct gy_cli *cli,
                            struct gy_split_options *ret,
                            struct gy_split_part parts[GY_SPLIT_MAX_PARTS], struct gy_err *err)
{
    const bool kfold = ret->by == GY_SPLIT_KFOLD;
    ret->parts = parts;
    if (!kfold && (o->folds != 0 || o->grouped || o->pairs)) {
        return gy_err_set(err, GY_E_USAGE, "--folds, --grouped and --pairs are of --by kfold");
    }
    if (o->stratify && ret->by != GY_SPLIT_GROUP && !kfold && ret->by != GY_SPLIT_STRATIFIED) {
        return gy_err_set(err, GY_E_USAGE, "--stratify is of --by group and --by kfold");
    }
    if (!kfold) {
        return gy_split_parse_parts(gy_str_c(o->parts ? o->parts : "train=.8,test=.2"), parts,
                                    &ret->n_parts, err);
    }
    int64_t folds = o->folds ? o->folds : 5;
    if (o->parts || folds < 2 || folds > GY_SPLIT_MAX_PARTS / 2) {
        return gy_err_set(err, GY_E_USAGE, "--by kfold takes --folds 2 to %d, no --parts",
                          GY_SPLIT_MAX_PARTS / 2);
    }
    for (int64_t i = 0; i < folds; i++) {
        parts[i].name = gy_cli_cellf(cli, "fold-%lld", (long long)i + 1);
        parts[i].share = 1.0 / (double)folds;
        if (!parts[i].name.p) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory");
        }
    }
    ret->n_parts = (size_t)folds;
    return GY_OK;
}

/* ---- for people ---- */

static struct gy_str moment(struct gy_cli *cli, double v, bool is_time)
{
    char iso[32];
    if (isnan(v)) {
        return GY_STR_NULL;
    }
    if (!is_time || fabs(v) > 1e11) {
        return gy_cli_cellf(cli, "%.10g", v);
    }
    (void)gy_time_iso((int64_t)(v * 1e6), iso);
    return gy_cli_cellf(cli, "%.19s", iso);
}

static struct gy_str classes(struct gy_cli *cli, const struct gy_split_result *r,
                             const struct gy_split_out *out)
{
    enum { SHOWN = 6 };
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 4 * GY_KIB);
    for (size_t c = 0; c < r->n_classes && c < SHOWN; c++) {
        gy_buf_addf(&b, "%s%.*s %.2f%%", c ? ", " : "",
                    (int)(r->classes[c].n > 24 ? 24 : r->classes[c].n),
                    r->classes[c].n ? r->classes[c].p : "(none)",
                    100 * (double)out->classes[c] / (double)(out->rows ? out->rows : 1));
    }
    gy_buf_addc(&b, r->n_classes > SHOWN ? ", ..." : "");
    return gy_cli_cell(cli, gy_buf_str(&b));
}

static gy_status say(struct gy_cli *cli, const struct gy_split_options *o,
                     const struct gy_split_result *r, struct gy_err *err)
{
    const bool timed = r->time.p != NULL, told = r->n_classes > 0 && r->label.p;
    const char *head[6] = {"part", "rows", "share"};
    static const bool right[6] = {[1] = true, [2] = true};
    size_t n = 3;
    if (timed) {
        head[n++] = "from";
        head[n++] = "to";
    }
    if (told) {
        head[n++] = gy_arena_printf(&cli->arena, "%" GY_STR_F, GY_STR_A(r->label));
    }
    struct gy_str *cells = gy_arena_calloc(&cli->arena, n * r->n_outs, sizeof *cells);
    if (!cells || (told && !head[n - 1])) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a table");
    }
    const struct gy_column *time = o->schema && timed ? gy_schema_column(o->schema, r->time) : NULL;
    for (size_t i = 0; i < r->n_outs; i++) {
        const struct gy_split_out *out = &r->outs[i];
        struct gy_str *row = &cells[i * n];
        row[0] = gy_cli_cellf(cli, "%s", out->path);
        row[1] = gy_cli_cellf(cli, "%lld", (long long)out->rows);
        row[2] = gy_cli_cellf(cli, "%.4f", (double)out->rows / (double)(r->rows ? r->rows : 1));
        if (timed) {
            bool is_time = time ? time->type == GY_TYPE_TIME : fabs(out->from) > 1e8;
            row[3] = moment(cli, out->from, is_time);
            row[4] = moment(cli, out->to, is_time);
        }
        if (told) {
            row[n - 1] = classes(cli, r, out);
        }
    }
    gy_cli_table(cli, head, n, cells, r->n_outs, right);
    if (r->keyless > 0 && r->key.p) {
        gy_cli_say(cli, "%lld rows without '%" GY_STR_F "': the whole record stood for it\n",
                   (long long)r->keyless, GY_STR_A(r->key));
    }
    if (r->n_shared > 0) {
        gy_cli_say(cli, "%zu %s%" GY_STR_F " are in more than one part\n", r->n_shared,
                   r->guard.p ? "values of " : "records",
                   GY_STR_A(r->guard.p ? r->guard : GY_STR("")));
    }
    return GY_OK;
}

/* ---- the command ---- */

static void on_progress(void *ctx, int64_t bytes_done)
{
    gy_progress_at(ctx, bytes_done);
}

static gy_status run_split(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct split_opts *o = opts;
    struct gy_split_part parts[GY_SPLIT_MAX_PARTS];
    GY_AUTO_DONE(gy_cli_data_done) struct gy_cli_data data = {0};
    GY_AUTO_DONE(gy_split_result_done) struct gy_split_result r = {0};
    struct gy_progress bar;
    struct gy_split_options split = {.seed = (uint64_t)o->seed,
                                     .key = gy_str_c(o->key),
                                     .label = gy_str_c(o->label),
                                     .time = gy_str_c(o->time),
                                     .stratify = o->stratify,
                                     .grouped = o->grouped,
                                     .pairs = o->pairs,
                                     .allow_shared = o->allow_shared,
                                     .out_dir = o->output,
                                     .progress = on_progress,
                                     .progress_ctx = &bar};
    if (!o->output) {
        return gy_err_set(err, GY_E_USAGE, "-o DIR is wanted");
    }
    GY_TRY(gy_split_parse_by(gy_str_c(o->by), &split.by, err));
    GY_TRY(read_parts(o, cli, &split, parts, err));
    GY_TRY(gy_cli_data_open(cli, cli->argv[0], o->schema, &data, err));
    split.schema = data.schema;
    gy_progress_start(&bar, cli, cli->argv[0], data.source->size_bytes);
    gy_status status = gy_split_run(data.source, &split, &r, err);
    gy_progress_end(&bar);
    GY_TRY(status);
    if (!cli->json) {
        return say(cli, &split, &r, err);
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 16 * GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_split_write(&w, &split, &r);
    return gy_cli_print_json(cli, &out, err);
}

static const struct gy_opt split_opts[] = {
    {"output", 'o', GY_OPT_STR, offsetof(struct split_opts, output), "DIR", NULL,
     "where the parts go: DIR/train.csv ..., and DIR/split.json"},
    {"by", 0, GY_OPT_STR, offsetof(struct split_opts, by), "HOW", "hash",
     "hash (a key stays in its part when rows are added), stratified (exact, by class), time "
     "(earlier rows first), group (no group in two parts), kfold"},
    {"parts", 0, GY_OPT_STR, offsetof(struct split_opts, parts), "NAME=SHARE,...", NULL,
     "train=.8,test=.2 when not given; by time in this order"},
    {"folds", 0, GY_OPT_INT, offsetof(struct split_opts, folds), "K", NULL, "of kfold; else 5"},
    {"key", 0, GY_OPT_STR, offsetof(struct split_opts, key), "COLUMN", NULL,
     "what is hashed, or must stay together; else the column of role id (group: subject), else the "
     "record"},
    {"label", 0, GY_OPT_STR, offsetof(struct split_opts, label), "COLUMN", NULL,
     "whose classes are balanced and told; else the column of role label"},
    {"time", 0, GY_OPT_STR, offsetof(struct split_opts, time), "COLUMN", NULL,
     "what tells earlier from later; else the column of role event_time"},
    {"stratify", 0, GY_OPT_FLAG, offsetof(struct split_opts, stratify), NULL, NULL,
     "group and kfold: balance the classes of the label too"},
    {"grouped", 0, GY_OPT_FLAG, offsetof(struct split_opts, grouped), NULL, NULL,
     "kfold: rows of one key (of role subject) stay in one fold"},
    {"pairs", 0, GY_OPT_FLAG, offsetof(struct split_opts, pairs), NULL, NULL,
     "kfold: DIR/fold-1/train.csv and test.csv ..., not only the folds"},
    {"allow-shared", 0, GY_OPT_FLAG, offsetof(struct split_opts, allow_shared), NULL, NULL,
     "even if a subject, or key, comes to be in more than one part"},
    {"seed", 0, GY_OPT_INT, offsetof(struct split_opts, seed), "N", "0", "same seed, same parts"},
    {"schema", 0, GY_OPT_STR, offsetof(struct split_opts, schema), "FILE", NULL,
     "roles of columns; else the dataset's, else the project's schema.yaml"},
};

static const struct gy_verb verbs[] = {
    {.noun = "data",
     .verb = "split",
     .args = "FILE|DATASET",
     .min_args = 1,
     .max_args = 1,
     .summary = "cut a table into parts: by hash, stratified, by time, by group, into folds",
     .details = "The parts hold the records byte for byte. A subject (else a key) in two parts is "
                "refused.",
     .examples = "  gyre data split patients.csv --parts train=.7,valid=.15,test=.15 -o parts\n"
                 "  gyre data split visits.csv --by group --key patient_id --stratify --label sick "
                 "-o parts\n"
                 "  gyre data split bikes.csv --by time --time dteday -o parts\n"
                 "  gyre data split iris@1 --by kfold --folds 10 --stratify --pairs -o folds",
     .opts = split_opts,
     .n_opts = sizeof split_opts / sizeof split_opts[0],
     .opts_bytes = sizeof(struct split_opts),
     .run = run_split},
};

const struct gy_verb_table gy_cmd_data_split = GY_VERB_TABLE(verbs);

/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data schema, gyre data validate: what the columns of a table are, and whether a table is so.
 * Computed here, on local files. */
#include <inttypes.h>
#include <math.h>

#include "base/file.h"
#include "cli/ask.h"
#include "cli/data_input.h"
#include "cli/schema_of.h"
#include "data/schema_diff.h"
#include "data/statistics.h"
#include "data/validate.h"

struct schema_opts {
    const char *schema, *output, *environment, *previous, *serving, *delimiter;
    int64_t max_domain;
    bool types_only, ranges;
};

/* ---- infer, show ---- */

static gy_status put_schema(struct gy_cli *cli, const struct schema_opts *o,
                            const struct gy_schema *schema, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_YAML);
    if (cli->json) {
        gy_schema_json(schema, &out);
        return gy_cli_print_json(cli, &out, err);
    }
    gy_schema_yaml(schema, &out);
    GY_TRY(gy_buf_check(&out, "the schema", err));
    if (o->output) {
        GY_TRY(gy_dir_make_for(o->output, err));
        GY_TRY(gy_file_write(o->output, gy_buf_str(&out), 0666, err));
        gy_cli_say(cli, "%s: %zu columns\n", o->output, schema->n_columns);
        return GY_OK;
    }
    gy_cli_say(cli, "%s", out.p);
    return GY_OK;
}

static void note_columns(const struct gy_cli *cli, const struct gy_schema *s,
                         const struct gy_statistics *st)
{
    for (size_t i = 0; i < s->n_columns; i++) {
        const struct gy_statistics_column *c = gy_statistics_find(st, s->columns[i].name);
        if (c && c->invalid > 0) {
            gy_cli_note(cli, "%s: %" PRId64 " of %" PRId64 " values are no %s\n", c->name.p,
                        c->invalid, st->rows, gy_type_name(c->type));
        }
        if (gy_str_eqc(s->columns[i].zone, "none")) {
            gy_cli_note(cli, "%s: local times; `zone: Europe/Berlin` (or another) makes them UTC\n",
                        s->columns[i].name.p);
        }
    }
}

static void show_progress(void *ctx, int64_t bytes)
{
    gy_progress_at(ctx, bytes);
}

static gy_status statistics_of(const struct gy_cli *cli, struct gy_source *source,
                               const struct gy_schema *schema, struct gy_statistics **ret,
                               struct gy_err *err)
{
    struct gy_progress progress;
    const struct gy_statistics_options o = {
        .schema = schema, .progress = show_progress, .progress_ctx = &progress};
    gy_progress_start(&progress, cli, source->name, source->size_bytes);
    gy_status status = gy_statistics_source(source, &o, ret, err);
    gy_progress_end(&progress);
    return status;
}

static gy_status infer(struct gy_cli *cli, const struct schema_opts *o, struct gy_err *err)
{
    GY_AUTO(gy_schema_free) struct gy_schema *schema = NULL;
    GY_AUTO(gy_statistics_free) struct gy_statistics *statistics = NULL;
    GY_AUTO_DONE(gy_cli_data_done) struct gy_cli_data table = {0};
    GY_TRY(gy_cli_data_open(cli, cli->argv[1], NULL, &table, err));
    GY_TRY(gy_source_infer(table.source, &schema, err));
    if (!o->types_only) {
        GY_TRY(statistics_of(cli, table.source, schema, &statistics, err));
        GY_TRY(gy_schema_tighten(schema, statistics, o->max_domain, o->ranges, err));
        note_columns(cli, schema, statistics);
    }
    return put_schema(cli, o, schema, err);
}

/* ---- check ---- */

static struct gy_str example_cell(struct gy_cli *cli, const struct gy_anomaly *a)
{
    return a->n_examples == 0 ? GY_STR_NULL
                              : gy_cli_cellf(cli, "row %" PRId64 ": %" GY_STR_F, a->examples[0].row,
                                             GY_STR_A(a->examples[0].value));
}

enum { CHECK_COLUMNS = 5, COMPARE_COLUMNS = 5 };

static gy_status say_anomalies(struct gy_cli *cli, const struct gy_validation *v,
                               struct gy_err *err)
{
    static const char *const head[] = {"column", "severity", "kind", "what", "for example"};
    static const bool right[CHECK_COLUMNS] = {false};
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, v->n_anomalies * CHECK_COLUMNS + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < v->n_anomalies; i++) {
        const struct gy_anomaly *a = &v->anomalies[i];
        struct gy_str *row = &cells[i * CHECK_COLUMNS];
        row[0] = a->column;
        row[1] = gy_str_c(gy_severity_name(a->severity));
        row[2] = gy_str_c(gy_anomaly_name(a->kind));
        row[3] = a->text;
        row[4] = example_cell(cli, a);
    }
    if (v->n_anomalies) {
        gy_cli_table(cli, head, CHECK_COLUMNS, cells, v->n_anomalies, right);
    }
    return GY_OK;
}

static gy_status say_comparisons(struct gy_cli *cli, const struct gy_validation *v,
                                 struct gy_err *err)
{
    static const char *const head[] = {"column", "kind", "measure", "value", "limit"};
    static const bool right[COMPARE_COLUMNS] = {false, false, false, true, true};
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, v->n_comparisons * COMPARE_COLUMNS + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < v->n_comparisons; i++) {
        const struct gy_comparison *c = &v->comparisons[i];
        struct gy_str *row = &cells[i * COMPARE_COLUMNS];
        row[0] = c->column;
        row[1] = c->skew ? GY_STR("skew") : GY_STR("drift");
        row[2] = gy_str_c(gy_measure_name(c->measure));
        row[3] = isnan(c->value) ? GY_STR_NULL : gy_cli_cellf(cli, "%.6f", c->value);
        row[4] = gy_cli_cellf(cli, "%g", c->limit);
    }
    if (v->n_comparisons) {
        gy_cli_table(cli, head, COMPARE_COLUMNS, cells, v->n_comparisons, right);
    }
    return GY_OK;
}

/* The tables at hand, and what comparators need when they are asked for. */
struct tables {
    struct gy_cli_data here, previous, serving;
    struct gy_statistics *current, *before, *asked;
};

static void tables_done(struct tables *t)
{
    gy_cli_data_done(&t->here);
    gy_cli_data_done(&t->previous);
    gy_cli_data_done(&t->serving);
    gy_statistics_free(t->current);
    gy_statistics_free(t->before);
    gy_statistics_free(t->asked);
}
GY_DEFINE_AUTO_DONE(struct tables, tables_done);

static gy_status read_beside(struct gy_cli *cli, const char *what, const struct schema_opts *o,
                             const struct gy_schema *schema, struct gy_cli_data *table,
                             struct gy_statistics **ret, struct gy_err *err)
{
    if (!what) {
        return GY_OK;
    }
    GY_TRY(gy_cli_data_open(cli, what, o->schema, table, err));
    return statistics_of(cli, table->source, schema, ret, err);
}

static gy_status read_tables(struct gy_cli *cli, const struct schema_opts *o, struct tables *t,
                             struct gy_err *err)
{
    const struct gy_schema *schema = t->here.schema;
    if (o->previous || o->serving) {
        GY_TRY(statistics_of(cli, t->here.source, schema, &t->current, err));
    }
    GY_TRY(read_beside(cli, o->previous, o, schema, &t->previous, &t->before, err));
    return read_beside(cli, o->serving, o, schema, &t->serving, &t->asked, err);
}

static gy_status say_result(struct gy_cli *cli, const char *path, const struct gy_validation *v,
                            struct gy_err *err)
{
    /* The findings are the answer, not a failure of the command: the exit code tells them apart. */
    cli->exit_code = v->n_errors ? gy_status_exit(GY_E_SCHEMA) : 0;
    if (cli->json) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        gy_buf_init(&out, GY_MAX_REPLY);
        gy_validation_json(v, &out);
        return gy_cli_print_json(cli, &out, err);
    }
    GY_TRY(say_anomalies(cli, v, err));
    GY_TRY(say_comparisons(cli, v, err));
    gy_cli_say(cli, "%s: %" PRId64 " rows, %s: %zu errors, %zu warnings\n", path, v->rows,
               v->n_errors ? "not as the schema says" : "as the schema says", v->n_errors,
               v->n_warnings);
    return GY_OK;
}

static gy_status check(struct gy_cli *cli, const struct schema_opts *o, const char *what,
                       struct gy_err *err)
{
    GY_AUTO(gy_validation_free) struct gy_validation *v = NULL;
    GY_AUTO_DONE(tables_done) struct tables tables = {0};
    GY_TRY(gy_cli_data_open(cli, what, o->schema, &tables.here, err));
    if (!tables.here.schema) {
        (void)gy_err_set(err, GY_E_NOTFOUND, "there is no schema.yaml to hold '%s' against", what);
        return gy_err_hint(err, "--schema FILE names one; gyre data schema infer makes one");
    }
    GY_TRY(read_tables(cli, o, &tables, err));
    struct gy_progress progress;
    struct gy_validate_options options = {.schema = tables.here.schema,
                                          .environment = gy_str_c(o->environment),
                                          .current = tables.current,
                                          .previous = tables.before,
                                          .serving = tables.asked,
                                          .progress = show_progress,
                                          .progress_ctx = &progress};
    GY_TRY(gy_cli_delimiter(o->delimiter, &options.delimiter, err));
    gy_progress_start(&progress, cli, "check", tables.here.source->size_bytes);
    gy_status status = gy_validate(tables.here.source, &options, &v, err);
    gy_progress_end(&progress);
    GY_TRY(status);
    return say_result(cli, what, v, err);
}

/* ---- diff, kinds ---- */

enum { DIFF_COLUMNS = 5 };

static gy_status print_diff(struct gy_cli *cli, const struct gy_schema_change *list, size_t n,
                            size_t n_breaking, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_REPLY);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_bool(&w, "equal", n == 0);
    gy_jw_kv_bool(&w, "compatible", n_breaking == 0);
    gy_jw_key(&w, "changes");
    gy_jw_arr(&w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_obj(&w);
        gy_jw_kv_str(&w, "column", list[i].column);
        gy_jw_kv_strc(&w, "what", list[i].what);
        gy_jw_kv_str(&w, "before", list[i].before);
        gy_jw_kv_str(&w, "after", list[i].after);
        gy_jw_kv_bool(&w, "breaking", list[i].breaking);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

static gy_status diff(struct gy_cli *cli, struct gy_err *err)
{
    static const char *const head[] = {"column", "what", "before", "after", "effect"};
    static const bool right[DIFF_COLUMNS] = {false};
    GY_AUTO(gy_schema_free) struct gy_schema *before = NULL;
    GY_AUTO(gy_schema_free) struct gy_schema *after = NULL;
    struct gy_schema_change *list = NULL;
    size_t n = 0, n_breaking = 0;
    GY_TRY(gy_cli_schema_of(cli, cli->argv[1], &before, err));
    GY_TRY(gy_cli_schema_of(cli, cli->argv[2], &after, err));
    GY_TRY(gy_schema_diff(before, after, &cli->arena, &list, &n, err));
    struct gy_str *cells = gy_arena_calloc(&cli->arena, n * DIFF_COLUMNS + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < n; i++) {
        struct gy_str *row = &cells[i * DIFF_COLUMNS];
        row[0] = list[i].column;
        row[1] = gy_str_c(list[i].what);
        row[2] = list[i].before;
        row[3] = list[i].after;
        row[4] = list[i].breaking ? GY_STR("breaking") : GY_STR("compatible");
        n_breaking += list[i].breaking;
    }
    cli->exit_code = n_breaking ? gy_status_exit(GY_E_SCHEMA) : 0;
    if (cli->json) {
        return print_diff(cli, list, n, n_breaking, err);
    }
    if (n) {
        gy_cli_table(cli, head, DIFF_COLUMNS, cells, n, right);
    }
    gy_cli_say(cli, "%zu changes, %zu of them breaking\n", n, n_breaking);
    return GY_OK;
}

static gy_status kinds(struct gy_cli *cli, struct gy_err *err)
{
    static const char *const head[] = {"kind", "what"};
    static const bool right[2] = {false};
    struct gy_str cells[2 * GY_ANOMALY_N];
    if (cli->json) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        gy_buf_init(&out, GY_MIB);
        struct gy_jw w;
        gy_jw_init(&w, &out);
        gy_jw_obj(&w);
        for (int k = 0; k < GY_ANOMALY_N; k++) {
            gy_jw_kv_strc(&w, gy_anomaly_name((enum gy_anomaly_kind)k),
                          gy_anomaly_text((enum gy_anomaly_kind)k));
        }
        gy_jw_obj_end(&w);
        return gy_cli_print_json(cli, &out, err);
    }
    for (int k = 0; k < GY_ANOMALY_N; k++) {
        cells[2 * k] = gy_str_c(gy_anomaly_name((enum gy_anomaly_kind)k));
        cells[2 * k + 1] = gy_str_c(gy_anomaly_text((enum gy_anomaly_kind)k));
    }
    gy_cli_table(cli, head, 2, cells, GY_ANOMALY_N, right);
    return GY_OK;
}

static gy_status run_schema(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct schema_opts *o = opts;
    const char *what = cli->argv[0];
    if (strcmp(what, "infer") == 0 && cli->argc == 2) {
        return infer(cli, o, err);
    }
    if (strcmp(what, "check") == 0 && cli->argc == 2) {
        return check(cli, o, cli->argv[1], err);
    }
    if (strcmp(what, "diff") == 0 && cli->argc == 3) {
        return diff(cli, err);
    }
    if (strcmp(what, "kinds") == 0 && cli->argc == 1) {
        return kinds(cli, err);
    }
    if (strcmp(what, "show") == 0 && cli->argc == 1) {
        GY_AUTO(gy_schema_free) struct gy_schema *schema = NULL;
        GY_TRY(gy_cli_schema_find(cli, o->schema, NULL, false, GY_INGEST_AUTO, &schema, err));
        return put_schema(cli, o, schema, err);
    }
    return gy_err_set(err, GY_E_USAGE,
                      "gyre data schema infer TABLE | check TABLE | show | diff OLD NEW | kinds");
}

static gy_status run_validate(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    return check(cli, opts, cli->argv[0], err);
}

static const struct gy_opt schema_opts[] = {
    {"schema", 0, GY_OPT_STR, offsetof(struct schema_opts, schema), "FILE", NULL,
     "show, check: default the project's schema.yaml"},
    {"output", 'o', GY_OPT_STR, offsetof(struct schema_opts, output), "FILE", NULL,
     "infer, show: write it there instead"},
    {"types-only", 0, GY_OPT_FLAG, offsetof(struct schema_opts, types_only), NULL, NULL,
     "infer: nothing is required, no domains"},
    {"max-domain", 0, GY_OPT_INT, offsetof(struct schema_opts, max_domain), "N", "100",
     "infer: texts of at most N values become a domain"},
    {"ranges", 0, GY_OPT_FLAG, offsetof(struct schema_opts, ranges), NULL, NULL,
     "infer: numbers keep to the range that was seen"},
    {"environment", 0, GY_OPT_STR, offsetof(struct schema_opts, environment), "NAME", NULL,
     "check: such as SERVING, where the label may be absent"},
    {"previous", 0, GY_OPT_STR, offsetof(struct schema_opts, previous), "TABLE", NULL,
     "check: drift beside the span before"},
    {"serving", 0, GY_OPT_STR, offsetof(struct schema_opts, serving), "TABLE", NULL,
     "check: skew beside what is asked in production"},
    {"delimiter", 0, GY_OPT_STR, offsetof(struct schema_opts, delimiter), "CHAR", "auto",
     "check: , ; | tab or auto"},
};

static const struct gy_verb verbs[] = {
    {.noun = "data",
     .verb = "schema",
     .args = "infer TABLE | check TABLE | show | diff OLD NEW | kinds",
     .min_args = 1,
     .max_args = 3,
     .summary = "make a schema.yaml, hold a table against it, compare two",
     .details =
         "A table is a file or a dataset (NAME, NAME@3, NAME@v1.0); a dataset brings its schema.\n"
         "check reads the whole table and exits with 17 when there are errors; findings have the\n"
         "names of TensorFlow Data Validation (kinds lists them), and a schema can make them\n"
         "warnings. Limits of skew and drift stand in the schema. diff exits with 17 when data\n"
         "that was good may be refused under the new schema.",
     .examples = "  gyre data schema infer patients.csv -o schema.yaml\n"
                 "  gyre data schema check april.csv --previous march.csv --json\n"
                 "  gyre data schema check today.csv --environment SERVING\n"
                 "  gyre data schema diff old.yaml schema.yaml",
     .opts = schema_opts,
     .n_opts = sizeof schema_opts / sizeof schema_opts[0],
     .opts_bytes = sizeof(struct schema_opts),
     .run = run_schema},
    {.noun = "data",
     .verb = "validate",
     .args = "TABLE",
     .min_args = 1,
     .max_args = 1,
     .summary = "hold a table against the schema (as schema check)",
     .examples = "  gyre data validate april.csv --previous march.csv",
     .opts = schema_opts,
     .n_opts = sizeof schema_opts / sizeof schema_opts[0],
     .opts_bytes = sizeof(struct schema_opts),
     .run = run_validate},
};

const struct gy_verb_table gy_cmd_data_schema = GY_VERB_TABLE(verbs);

/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data synth: made data. */
#include "base/file.h"
#include "cli/data_input.h"
#include "cli/schema_of.h"
#include "cli/synth_cases.h"
#include "data/synth_examples.h"
#include "data/synth_table.h"

#define MAX_CLASSES 100 /* of --balance */

struct synth_opts {
    int64_t rows, seed, first_id, bad;
    double positive, mislabel;
    bool labelled, unlabelled, with_wbc;
    struct gy_opt_list drift, missing;
    const char *output, *ledger, *schema, *environment, *population, *balance, *label, *schema_out;
};

static int64_t or_else(int64_t given, int64_t standard)
{
    return given < 0 ? standard : given;
}

static gy_status print_synth(const struct gy_cli *cli, const struct synth_opts *o,
                             const struct gy_synth_result *r, struct gy_err *err)
{
    if (!cli->json) {
        gy_cli_say(cli, "%s: %lld records, %lld bad ones injected, %lld bytes\n", o->output,
                   (long long)(r->rows + r->bad), (long long)r->bad, (long long)r->bytes);
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 16 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "path", o->output);
    gy_jw_kv_i64(&w, "rows", r->rows);
    gy_jw_kv_i64(&w, "positives", r->positives);
    gy_jw_kv_i64(&w, "bad", r->bad);
    gy_jw_kv_i64(&w, "bytes", r->bytes);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

static gy_status synth_patients(const struct synth_opts *o, struct gy_synth_result *r,
                                struct gy_err *err)
{
    struct gy_synth_drift drifts[GY_SYNTH_MAX_DRIFTS];
    if (o->drift.n > GY_SYNTH_MAX_DRIFTS) {
        return gy_err_set(err, GY_E_USAGE, "at most %d --drift", GY_SYNTH_MAX_DRIFTS);
    }
    for (size_t i = 0; i < o->drift.n; i++) {
        GY_TRY(gy_synth_parse_drift(gy_str_c(o->drift.items[i]), &drifts[i], err));
    }
    if (o->labelled && o->unlabelled) {
        return gy_err_set(err, GY_E_USAGE, "--labelled and --unlabelled exclude each other");
    }
    if (o->missing.n || o->balance || o->label || o->schema_out) {
        return gy_err_set(err, GY_E_USAGE,
                          "--missing, --balance, --label and --schema-out are of profile and spec");
    }
    struct gy_synth_options make = {.rows = or_else(o->rows, 1000),
                                    .seed = (uint64_t)or_else(o->seed, 1),
                                    .positive = o->positive,
                                    .mislabel = o->mislabel,
                                    .first_id = o->first_id,
                                    .labelled = !o->unlabelled,
                                    .wbc = o->with_wbc,
                                    .drifts = drifts,
                                    .n_drifts = o->drift.n,
                                    .bad = or_else(o->bad, 0),
                                    .out = o->output,
                                    .ledger = o->ledger};
    GY_TRY(gy_synth_parse_population(gy_str_c(o->population), &make.population, err));
    return gy_synth_patients(&make, r, err);
}

static gy_status synth_corrupt(struct gy_cli *cli, const struct synth_opts *o,
                               struct gy_synth_result *r, struct gy_err *err)
{
    GY_AUTO(gy_schema_free) struct gy_schema *schema = NULL;
    GY_TRY(gy_cli_schema_find(cli, o->schema, cli->argv[1], true, GY_INGEST_CSV, &schema, err));
    struct gy_corrupt_options make = {.in = cli->argv[1],
                                      .out = o->output,
                                      .ledger = o->ledger,
                                      .schema = schema,
                                      .environment = gy_str_c(o->environment),
                                      .bad = or_else(o->bad, 0),
                                      .seed = (uint64_t)or_else(o->seed, 1)};
    return gy_synth_corrupt(&make, r, err);
}

/* ---- from a profile, from a spec ---- */

/* What gyre data profile --json wrote; NULL in *ret when the file holds something else. */
static gy_status read_statistics(const char *path, struct gy_statistics **ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_STATISTICS_MAX_BYTES);
    struct gy_str name = gy_str_c(path);
    if (!gy_str_ends(name, GY_STR(".json")) || gy_file_size(path) < 0 ||
        gy_file_size(path) > (int64_t)GY_STATISTICS_MAX_BYTES) {
        return GY_OK;
    }
    GY_TRY(gy_file_read(path, &text, err));
    if (gy_str_find_str(gy_str_sub(gy_buf_str(&text), 0, 256), GY_STR(GY_STATISTICS_FORMAT)) ==
        SIZE_MAX) {
        return GY_OK; /* records */
    }
    gy_status status = gy_statistics_parse(gy_buf_str(&text), ret, err);
    return status == GY_OK ? GY_OK : gy_err_wrap(err, "'%s'", path);
}

static gy_status from_profile(struct gy_cli *cli, const struct synth_opts *o,
                              struct gy_made_table **ret, struct gy_err *err)
{
    GY_AUTO(gy_statistics_free) struct gy_statistics *s = NULL;
    GY_TRY(read_statistics(cli->argv[1], &s, err));
    if (!s) {
        GY_AUTO_DONE(gy_cli_data_done) struct gy_cli_data data = {0};
        GY_TRY(gy_cli_data_open(cli, cli->argv[1], o->schema, &data, err));
        const struct gy_statistics_options options = {.schema = data.schema};
        GY_TRY(gy_statistics_source(data.source, &options, &s, err));
    }
    GY_TRY(gy_made_from_statistics(s, gy_str_c(o->label), ret, err));
    if ((*ret)->kept < 1) {
        gy_cli_note(cli, "the correlations contradict each other; they are kept to %.0f %%\n",
                    100 * (*ret)->kept);
    }
    return GY_OK;
}

static gy_status ask_more(const struct synth_opts *o, struct gy_made_table *t,
                          struct gy_made_options *make, struct gy_made_class classes[MAX_CLASSES],
                          struct gy_err *err)
{
    for (size_t i = 0; i < o->drift.n; i++) {
        struct gy_synth_drift d;
        GY_TRY(gy_synth_parse_drift(gy_str_c(o->drift.items[i]), &d, err));
        GY_TRY(gy_made_drift(t, &d, err));
    }
    for (size_t i = 0; i < o->missing.n; i++) {
        struct gy_str name, share;
        double v = 0;
        char text[40] = "0";
        bool fine = gy_str_cut(gy_str_c(o->missing.items[i]), '=', &name, &share) && share.n > 0 &&
                    share.n < 30;
        if (fine) {
            bool bare = share.p[0] == '.'; /* ".1" is what people write */
            memcpy(text + bare, share.p, share.n);
            fine = gy_parse_f64(gy_str_n(text, share.n + bare), &v, NULL) == GY_OK;
        }
        if (!fine) {
            return gy_err_set(err, GY_E_USAGE, "'%s' is not COLUMN=SHARE", o->missing.items[i]);
        }
        GY_TRY(gy_made_missing(t, name, v, err));
    }
    if (o->balance) {
        make->balance = classes;
        GY_TRY(
            gy_made_balance(t, gy_str_c(o->balance), classes, MAX_CLASSES, &make->n_balance, err));
    }
    return GY_OK;
}

static gy_status write_schema(const struct gy_made_table *t, const char *path, struct gy_err *err)
{
    GY_AUTO(gy_schema_free) struct gy_schema *schema = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_YAML);
    GY_TRY(gy_made_schema(t, &schema, err));
    gy_schema_yaml(schema, &out);
    GY_TRY(gy_buf_check(&out, "the schema", err));
    GY_TRY(gy_dir_make_for(path, err));
    return gy_file_write(path, gy_buf_str(&out), 0666, err);
}

static gy_status synth_made(struct gy_cli *cli, const struct synth_opts *o, bool profile,
                            struct gy_synth_result *r, struct gy_err *err)
{
    GY_AUTO(gy_made_table_free) struct gy_made_table *t = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_made_class classes[MAX_CLASSES];
    struct gy_made_options make = {.rows = 1000, .seed = 1};
    gy_buf_init(&text, GY_MAX_YAML);
    if (profile) {
        GY_TRY(from_profile(cli, o, &t, err));
    } else {
        GY_TRY(gy_file_read(cli->argv[1], &text, err));
        GY_TRY(gy_made_from_spec(gy_buf_str(&text), cli->argv[1], &t, &make, err));
    }
    GY_TRY(ask_more(o, t, &make, classes, err));
    make.rows = or_else(o->rows, make.rows);
    make.seed = (uint64_t)or_else(o->seed, (int64_t)make.seed);
    make.bad = or_else(o->bad, make.bad);
    make.out = o->output;
    make.ledger = o->ledger;
    GY_TRY(gy_made_write(t, &make, r, err));
    return o->schema_out ? write_schema(t, o->schema_out, err) : GY_OK;
}

/* cars, iris and bikes take rows and a seed alone. */
static gy_status synth_example(const struct synth_opts *o, const char *what,
                               struct gy_synth_result *r, struct gy_err *err)
{
    uint64_t seed = (uint64_t)or_else(o->seed, 1);
    if (o->drift.n || o->missing.n || o->balance || o->label || o->schema_out || o->ledger ||
        o->bad > 0) {
        return gy_err_set(err, GY_E_USAGE, "%s takes --rows, --seed and -o", what);
    }
    if (strcmp(what, "cars") == 0) {
        return gy_synth_cars(or_else(o->rows, GY_SYNTH_CARS), seed, o->output, r, err);
    }
    if (strcmp(what, "iris") == 0) {
        return gy_synth_iris(or_else(o->rows, GY_SYNTH_IRIS), seed, o->output, r, err);
    }
    return o->rows < 0 ? gy_synth_bikes(seed, o->output, r, err)
                       : gy_err_set(err, GY_E_USAGE, "bikes is the whole year 2011: no --rows");
}

static bool is_example(const char *what)
{
    return strcmp(what, "cars") == 0 || strcmp(what, "iris") == 0 || strcmp(what, "bikes") == 0;
}

static gy_status run_synth(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct synth_opts *o = opts;
    struct gy_synth_result r = {0};
    if (!o->output) {
        return gy_err_set(err, GY_E_USAGE, "-o FILE is wanted");
    }
    GY_TRY(gy_dir_make_for(o->output, err));
    if (o->ledger) {
        GY_TRY(gy_dir_make_for(o->ledger, err));
    }
    if (strcmp(cli->argv[0], "patients") == 0 && cli->argc == 1) {
        GY_TRY(synth_patients(o, &r, err));
    } else if (gy_cli_is_synth_case(cli->argv[0]) && cli->argc == 1) {
        if (o->drift.n || o->missing.n || o->balance || o->label || o->schema_out || o->ledger) {
            return gy_err_set(err, GY_E_USAGE, "%s takes --rows, --seed, --bad and -o",
                              cli->argv[0]);
        }
        GY_TRY(gy_cli_synth_case(cli->argv[0], o->rows, o->bad, (uint64_t)or_else(o->seed, 1),
                                 o->output, &r, err));
    } else if (is_example(cli->argv[0]) && cli->argc == 1) {
        GY_TRY(synth_example(o, cli->argv[0], &r, err));
    } else if (strcmp(cli->argv[0], "corrupt") == 0 && cli->argc == 2) {
        GY_TRY(synth_corrupt(cli, o, &r, err));
    } else if (strcmp(cli->argv[0], "profile") == 0 && cli->argc == 2) {
        GY_TRY(synth_made(cli, o, true, &r, err));
    } else if (strcmp(cli->argv[0], "spec") == 0 && cli->argc == 2) {
        GY_TRY(synth_made(cli, o, false, &r, err));
    } else {
        return gy_err_set(err, GY_E_USAGE,
                          "gyre data synth patients | cars | iris | bikes | transactions | claims "
                          "| compounds | corrupt FILE | profile WHAT | spec FILE");
    }
    return print_synth(cli, o, &r, err);
}

static const struct gy_opt synth_opts[] = {
    {"output", 'o', GY_OPT_STR, offsetof(struct synth_opts, output), "FILE", NULL,
     "the CSV file to write; bikes: the folder of its months"},
    {"rows", 'n', GY_OPT_INT, offsetof(struct synth_opts, rows), "N", "-1",
     "good records; -1: what the spec says, else 1000"},
    {"seed", 0, GY_OPT_INT, offsetof(struct synth_opts, seed), "N", "-1",
     "same seed, same bytes; -1: that of the spec, else 1"},
    {"positive", 0, GY_OPT_NUM, offsetof(struct synth_opts, positive), "SHARE", "0.0729",
     "share of septic patients"},
    {"mislabel", 0, GY_OPT_NUM, offsetof(struct synth_opts, mislabel), "SHARE", "0",
     "share of septic patients that are labelled 0: poison for a training"},
    {"first-id", 0, GY_OPT_INT, offsetof(struct synth_opts, first_id), "N", "1",
     "the first patient_id"},
    {"population", 0, GY_OPT_STR, offsetof(struct synth_opts, population), "NAME", "adults",
     "adults, or elderly (made up: blunted fever, calm hearts, WBC decides more often)"},
    {"labelled", 0, GY_OPT_FLAG, offsetof(struct synth_opts, labelled), NULL, NULL,
     "with isSepsis (the default)"},
    {"unlabelled", 0, GY_OPT_FLAG, offsetof(struct synth_opts, unlabelled), NULL, NULL,
     "without isSepsis"},
    {"with-wbc", 0, GY_OPT_FLAG, offsetof(struct synth_opts, with_wbc), NULL, NULL,
     "with the white blood count"},
    {"drift", 0, GY_OPT_LIST, offsetof(struct synth_opts, drift), "COLUMN=+X", NULL,
     "shift (or *X: scale) a column after the label is settled; may be repeated"},
    {"missing", 0, GY_OPT_LIST, offsetof(struct synth_opts, missing), "COLUMN=SHARE", NULL,
     "profile, spec: leave so many values out; may be repeated"},
    {"balance", 0, GY_OPT_STR, offsetof(struct synth_opts, balance), "SHARE|CLASS=SHARE,...", NULL,
     "profile, spec: shares of the label's classes, exactly"},
    {"label", 0, GY_OPT_STR, offsetof(struct synth_opts, label), "COLUMN", NULL,
     "profile: the label, when no role says so"},
    {"schema-out", 0, GY_OPT_STR, offsetof(struct synth_opts, schema_out), "FILE", NULL,
     "profile, spec: write the schema of what is made"},
    {"bad", 0, GY_OPT_INT, offsetof(struct synth_opts, bad), "K", "-1",
     "bad records to inject, 8 kinds in turn; -1: what the spec says, else none"},
    {"bad-ledger", 0, GY_OPT_STR, offsetof(struct synth_opts, ledger), "FILE", NULL,
     "tell what was injected, a JSON line each"},
    {"schema", 0, GY_OPT_STR, offsetof(struct synth_opts, schema), "FILE", NULL,
     "corrupt: the schema that the bad records break; profile: that of the file"},
    {"environment", 0, GY_OPT_STR, offsetof(struct synth_opts, environment), "NAME", NULL,
     "corrupt: columns with not_in: [NAME] may be absent"},
};

static const struct gy_verb verbs[] = {
    {.noun = "data",
     .verb = "synth",
     .args = "patients | cars | iris | bikes | transactions | claims | compounds | corrupt FILE | "
             "profile STATISTICS.json|FILE|DATASET | spec FILE",
     .min_args = 1,
     .max_args = 2,
     .summary = "make rows: patients, like those of another table, or by a recipe; or bad records",
     .examples =
         "  gyre data synth patients --rows 5000 --seed 7 --bad 80 --bad-ledger bad.jsonl -o "
         "patients.csv\n"
         "  gyre data synth patients --drift Temp=+1.0 -o warm.csv\n"
         "  gyre data synth patients --population elderly --seed 9 -o ward.csv\n"
         "  gyre data synth bikes -o data/raw\n"
         "  gyre data synth corrupt patients.csv --bad 16 -o spoilt.csv --schema "
         "schema.yaml\n"
         "  gyre data synth transactions --rows 50000 -o payments.csv\n"
         "  gyre data synth claims -o insurance\n"
         "  gyre data synth compounds --rows 100 --bad 2 -o compounds\n"
         "  gyre data synth profile sepsis@1 --rows 100000 --balance .3 -o made.csv\n"
         "  gyre data synth spec spec.yaml --drift hr=+5 --missing wbc=.2 -o made.csv",
     .opts = synth_opts,
     .n_opts = sizeof synth_opts / sizeof synth_opts[0],
     .opts_bytes = sizeof(struct synth_opts),
     .run = run_synth},
};

const struct gy_verb_table gy_cmd_data_synth = GY_VERB_TABLE(verbs);

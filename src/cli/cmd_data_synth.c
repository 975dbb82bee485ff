/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data synth: made data. */
#include "base/file.h"
#include "cli/schema_of.h"
#include "data/synth.h"

struct synth_opts {
    int64_t rows, seed, first_id, bad;
    double positive, mislabel;
    bool labelled, unlabelled, with_wbc;
    struct gy_opt_list drift;
    const char *output, *ledger, *schema, *environment, *population;
};

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
    struct gy_synth_options make = {.rows = o->rows,
                                    .seed = (uint64_t)o->seed,
                                    .positive = o->positive,
                                    .mislabel = o->mislabel,
                                    .first_id = o->first_id,
                                    .labelled = !o->unlabelled,
                                    .wbc = o->with_wbc,
                                    .drifts = drifts,
                                    .n_drifts = o->drift.n,
                                    .bad = o->bad,
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
                                      .bad = o->bad,
                                      .seed = (uint64_t)o->seed};
    return gy_synth_corrupt(&make, r, err);
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
    } else if (strcmp(cli->argv[0], "corrupt") == 0 && cli->argc == 2) {
        GY_TRY(synth_corrupt(cli, o, &r, err));
    } else {
        return gy_err_set(err, GY_E_USAGE, "gyre data synth patients | corrupt FILE");
    }
    return print_synth(cli, o, &r, err);
}

static const struct gy_opt synth_opts[] = {
    {"output", 'o', GY_OPT_STR, offsetof(struct synth_opts, output), "FILE", NULL,
     "the CSV file to write"},
    {"rows", 'n', GY_OPT_INT, offsetof(struct synth_opts, rows), "N", "1000", "good records"},
    {"seed", 0, GY_OPT_INT, offsetof(struct synth_opts, seed), "N", "1", "same seed, same bytes"},
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
    {"bad", 0, GY_OPT_INT, offsetof(struct synth_opts, bad), "K", "0",
     "bad records to inject, 8 kinds in turn"},
    {"bad-ledger", 0, GY_OPT_STR, offsetof(struct synth_opts, ledger), "FILE", NULL,
     "tell what was injected, a JSON line each"},
    {"schema", 0, GY_OPT_STR, offsetof(struct synth_opts, schema), "FILE", NULL,
     "corrupt: the schema that the bad records break"},
    {"environment", 0, GY_OPT_STR, offsetof(struct synth_opts, environment), "NAME", NULL,
     "corrupt: columns with not_in: [NAME] may be absent"},
};

static const struct gy_verb verbs[] = {
    {.noun = "data",
     .verb = "synth",
     .args = "patients | corrupt FILE",
     .min_args = 1,
     .max_args = 2,
     .summary = "make patients' vitals, or put bad records into a file",
     .examples =
         "  gyre data synth patients --rows 5000 --seed 7 --bad 80 --bad-ledger bad.jsonl -o "
         "patients.csv\n"
         "  gyre data synth patients --drift Temp=+1.0 -o warm.csv\n"
         "  gyre data synth patients --population elderly --seed 9 -o ward.csv\n"
         "  gyre data synth corrupt patients.csv --bad 16 -o spoilt.csv --schema "
         "schema.yaml",
     .opts = synth_opts,
     .n_opts = sizeof synth_opts / sizeof synth_opts[0],
     .opts_bytes = sizeof(struct synth_opts),
     .run = run_synth},
};

const struct gy_verb_table gy_cmd_data_synth = GY_VERB_TABLE(verbs);

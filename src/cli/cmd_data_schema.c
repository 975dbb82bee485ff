/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data schema: what the columns of a file are. */
#include "base/file.h"
#include "cli/schema_of.h"

struct schema_opts {
    const char *schema, *output;
};

static gy_status run_schema(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct schema_opts *o = opts;
    GY_AUTO(gy_schema_free) struct gy_schema *schema = NULL;
    if (strcmp(cli->argv[0], "infer") == 0) {
        if (cli->argc != 2) {
            return gy_err_set(err, GY_E_USAGE, "gyre data schema infer FILE");
        }
        GY_TRY(gy_cli_schema_infer(cli->argv[1], GY_INGEST_AUTO, &schema, err));
    } else if (strcmp(cli->argv[0], "show") == 0 && cli->argc == 1) {
        GY_TRY(gy_cli_schema_find(cli, o->schema, NULL, false, GY_INGEST_AUTO, &schema, err));
    } else {
        return gy_err_set(err, GY_E_USAGE, "gyre data schema infer FILE | show");
    }
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

static const struct gy_opt schema_opts[] = {
    {"schema", 0, GY_OPT_STR, offsetof(struct schema_opts, schema), "FILE", NULL,
     "the schema to show"},
    {"output", 'o', GY_OPT_STR, offsetof(struct schema_opts, output), "FILE", NULL,
     "write it there instead"},
};

static const struct gy_verb verbs[] = {
    {.noun = "data",
     .verb = "schema",
     .args = "infer FILE | show",
     .min_args = 1,
     .max_args = 2,
     .summary = "make a schema.yaml from a file, or show the project's",
     .examples = "  gyre data schema infer patients.csv -o schema.yaml",
     .opts = schema_opts,
     .n_opts = sizeof schema_opts / sizeof schema_opts[0],
     .opts_bytes = sizeof(struct schema_opts),
     .run = run_schema},
};

const struct gy_verb_table gy_cmd_data_schema = GY_VERB_TABLE(verbs);

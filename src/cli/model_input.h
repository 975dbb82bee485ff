/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands that work on models take: tables (files or datasets) and models (folders or
 * registered versions). Main thread only. */
#ifndef GY_CLI_MODEL_INPUT_H
#define GY_CLI_MODEL_INPUT_H

#include "cli/cli_internal.h"
#include "learn/evaluate.h"

struct gy_schema;
struct gy_explanation;

struct gy_cli_table {
    struct gy_table *table;
    struct gy_schema *schema; /* NULL: none was found */
    struct gy_str dataset;    /* "name@3" when registered; in cli->arena */
};
void gy_cli_table_done(struct gy_cli_table *t);
GY_DEFINE_AUTO_DONE(struct gy_cli_table, gy_cli_table_done);

/* what: an existing file, with the schema at schema_path, else the nearest schema.yaml, else none;
 * or a dataset "name", "name@3" with the schema at schema_path, else that of the version. Fails:
 * NOTFOUND, SCHEMA, as the transport does. */
GY_CHECKED gy_status gy_cli_table_open(struct gy_cli *cli, const char *what,
                                       const char *schema_path, struct gy_cli_table *ret,
                                       struct gy_err *err);
/* The schema at `given`, else the one nearest to the file; *ret is untouched where there is none.
 * Fails as reading it does. */
GY_CHECKED gy_status gy_cli_schema_near(struct gy_cli *cli, const char *file, const char *given,
                                        struct gy_schema **ret, struct gy_err *err);
/* Does an argument mean a registered dataset ("name@3", "name@v1.0"), rather than a path? It does
 * when it has '@', no '/', and neither such a file nor its .dvc file is there. */
bool gy_cli_is_dataset_ref(const char *arg);
/* The route of a dataset version named "name", "name@3", "name@v3" or "name@TAG", added to out.
 * Fails: USAGE. */
GY_CHECKED gy_status gy_cli_dataset_path(const char *ref, struct gy_buf *out, struct gy_err *err);
/* "name@3": the newest registered version with these bytes; absent when there is none. In
 * cli->arena. Fails as the transport does. */
GY_CHECKED gy_status gy_cli_dataset_of(struct gy_cli *cli, struct gy_str sha256, struct gy_str *ret,
                                       struct gy_err *err);
/* The package folder of `what`: the folder itself, or a registered model brought into the home's
 * cache. ret of GY_MAX_PATH. */
GY_CHECKED gy_status gy_cli_model_dir(struct gy_cli *cli, const char *what, char *ret,
                                      struct gy_err *err);
/* --replicates and --threads of a measurement. Fails: USAGE. */
GY_CHECKED gy_status gy_cli_check_work(int64_t replicates, int64_t threads, struct gy_err *err);

struct gy_cli_predicted {
    size_t rows, predicted, positive; /* positive: BINARY, class 1 */
    size_t first_refused;             /* the first row that is not predicted ... */
    struct gy_str refused_by;         /* ... and the input it lacks, a view into the model */
    size_t unseen,
        first_unseen; /* answered rows with a text that training has not seen, the first */
    struct gy_str unseen_in, unseen_text; /* its input, and the text: views into model and table */
};
/* Answer every row of the table into out: the row's columns, then prediction and probability. A row
 * that lacks a required input is refused: its prediction stays empty. why (of all rows; MAY be
 * NULL) adds what each feature contributed: to the margin of the class that is said. */
GY_CHECKED gy_status gy_cli_predict(const struct gy_predictor *p, const struct gy_table *t,
                                    const struct gy_explanation *why, bool json_lines,
                                    struct gy_buf *out, struct gy_cli_predicted *ret,
                                    struct gy_err *err);
/* What the model's learner sees of every row: a column an output of its feature steps, missing
 * values empty (CSV) or null. Fails: NOTFOUND, INVALID as the table does, NOMEM. */
GY_CHECKED gy_status gy_cli_features(const struct gy_predictor *p, const struct gy_table *t,
                                     bool json_lines, struct gy_buf *out, struct gy_err *err);

#endif

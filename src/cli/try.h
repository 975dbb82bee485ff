/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `gyre try` share: try_file.c reads a person's file, try_project.c writes the
 * project, try_search.c searches, try_print.c prints, cmd_try.c goes through the steps. Main thread
 * only. */
#ifndef GY_CLI_TRY_H
#define GY_CLI_TRY_H

#include "cli/demo.h"
#include "data/ingest.h"
#include "learn/survey.h"
#include "learn/trials.h"

#define GY_TRY_MAX_COLUMNS 4096 /* of --drop and --keep */

struct gy_try_opts {
    const char *target, *task, *dir, *budget;
    int64_t trials, seed, threads;
    struct gy_opt_list drop, keep;
    bool exit, no_serve, force;
};

struct gy_try {
    struct gy_cli *cli;
    const struct gy_try_opts *opts;
    struct gy_demo d;
    bool made_dir;    /* the folder was not there before */
    const char *file; /* as given */
    char name[64];    /* of project, dataset, experiment, model and endpoint; made of the file's */
    double budget_s;  /* 0: by trials alone */
    int n_threads;
    size_t n_unnamed;         /* columns of the header that got a name */
    struct gy_schema *schema; /* inferred */
    struct gy_table *table;   /* the accepted rows */
    struct gy_ingest_result ingested;
    char complaint[256]; /* about the first dead record */
    struct gy_survey survey;
    bool surveyed;
    struct gy_train_params params; /* what does not change between trials */
    struct gy_caller *client;      /* of the server */
    struct gy_trials runs;
    struct gy_search search;
    struct gy_progress bar;
    char bar_text[96];
    double threshold;             /* 0.5 unless a rare class asks for another */
    yyjson_doc *report, *verdict; /* of the refitted model; of the gate */
    int64_t version;
    bool blessed;
    struct gy_buf body; /* an example row as the endpoint takes it */
    struct gy_str example_label;
    char *curl;
};

/* ---- try_file.c ---- */

/* "sales 2024.csv" -> "sales_2024" */
void gy_try_name(const char *file, char out[64]);
/* Refuse what is no CSV file, by name and with a way out. Fails: NOTFOUND, INVALID, TOOBIG. */
GY_CHECKED gy_status gy_try_read(struct gy_try *t, struct gy_buf *ret, struct gy_err *err);
/* Copy it into the project, infer its schema, and load the rows that are sound. */
GY_CHECKED gy_status gy_try_load(struct gy_try *t, struct gy_buf *text, struct gy_err *err);

/* ---- try_project.c ---- */

/* Make the folder empty. One that try made and nobody changed since is made anew; another one is
 * refused: CONFLICT. */
GY_CHECKED gy_status gy_try_prepare(struct gy_try *t, const char *dir, struct gy_err *err);
/* The files, as far as they are known: schema.yaml and dvc.yaml before the search; params.yaml and
 * gyre.yaml after it. */
GY_CHECKED gy_status gy_try_write_data(struct gy_try *t, struct gy_err *err);
GY_CHECKED gy_status gy_try_write_model(struct gy_try *t, struct gy_err *err);
/* Remember the files as they are, so that a change by a person is seen. */
GY_CHECKED gy_status gy_try_mark(const struct gy_try *t, struct gy_err *err);

/* ---- try_search.c ---- */

/* Search with a bar, each trial a run of its own. */
GY_CHECKED gy_status gy_try_search(struct gy_try *t, struct gy_err *err);

/* ---- try_print.c ---- */

void gy_try_say_columns(const struct gy_try *t);
void gy_try_say_leaderboard(const struct gy_try *t);
void gy_try_say_end(const struct gy_try *t);
GY_CHECKED gy_status gy_try_print_json(const struct gy_try *t, struct gy_err *err);
/* 1234567 -> "1,234,567"; out of at least 32 bytes, which is returned. */
const char *gy_try_count(int64_t n, char out[32]);
/* What a person calls a metric: "AUC". */
const char *gy_try_metric_name(const char *metric);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* A demo is a small file demo_NAME.c with a struct gy_demo_ops, and a row in cmd_demo.c. This is
 * the stage on which it plays: a folder of its own, the real commands of this binary as children, a
 * server, and the list of steps with one number, a time and a tick each. A step that misses its
 * expectation ends the demo. Main thread only. */
#ifndef GY_CLI_DEMO_H
#define GY_CLI_DEMO_H

#include "base/proc.h"
#include "cli/cli_internal.h"

#define GY_DEMO_MAX_STEPS 48

struct gy_demo_opts {
    const char *data; /* real data instead of what is made or was fetched at set-up; NULL: none */
    const char *dir;
    bool exit;
};

struct gy_demo_step {
    const char *name;
    char command[512]; /* what repeats it */
    char value[256];   /* the one number */
    double seconds;
    bool ok;
};

struct gy_demo {
    struct gy_cli *cli;
    char dir[GY_MAX_PATH]; /* where it plays */
    char address[256];     /* of the server, "" before it is up */
    struct gy_proc server;
    int exit_code;  /* of the last command */
    int server_out; /* read end of its stdout; kept open while it runs */
    struct gy_demo_step steps[GY_DEMO_MAX_STEPS];
    size_t n_steps;
    int64_t step_start_ns;
    const char *env[8];
    const struct gy_demo_opts *opts; /* of gyre demo; else NULL */
    struct gy_buf table_text;        /* of table */
    struct gy_jw table;              /* the open object "table" of the --json answer */
};

/* One demo. play: all steps, the members of d->table, and at the end the rows of the table for
 * people (gy_demo_row). Fails with the step that missed its expectation. */
struct gy_demo_ops {
    const char *name;
    const char *title; /* a line at its beginning */
    gy_status (*play)(struct gy_demo *d, struct gy_err *err);
};
extern const struct gy_demo_ops gy_demo_sepsis, gy_demo_fuel, gy_demo_bikes, gy_demo_iris,
    gy_demo_fraud, gy_demo_insurance, gy_demo_rings;

/* Make an empty dir (refused when it holds anything that is not a demo's own: it must be absent,
 * empty or marked) and enter it. Fails: CONFLICT with a hint. */
GY_CHECKED gy_status gy_demo_open(struct gy_cli *cli, const char *dir, struct gy_demo *d,
                                  struct gy_err *err);
void gy_demo_close(struct gy_demo *d); /* stops the server; NULL-safe parts */

/* Run `gyre <words>` (blank-separated, no quoting) in the folder; with --json added when ret_doc is
 * wanted. want_code: the exit code that is expected; -1: any, see d->exit_code. Fails when another
 * one came, with the child's message. */
GY_CHECKED gy_status gy_demo_gyre(struct gy_demo *d, const char *words, int want_code,
                                  yyjson_doc **ret_doc, struct gy_err *err);
/* A JSON file of the folder. */
GY_CHECKED gy_status gy_demo_read(struct gy_demo *d, const char *file, yyjson_doc **ret_doc,
                                  struct gy_err *err);

/* Steps: begin names the command (printed at once), done gives the number and prints time and tick.
 * A false `ok` fails the demo with FAILED: "<step>: <value>". */
void gy_demo_begin(struct gy_demo *d, const char *name, const char *command_fmt, ...)
    GY_PRINTF(3, 4);
GY_CHECKED gy_status gy_demo_done(struct gy_demo *d, bool ok, struct gy_err *err,
                                  const char *value_fmt, ...) GY_PRINTF(4, 5);

/* The first step: the template of that name, and a first commit of it where there is git. */
GY_CHECKED gy_status gy_demo_project(struct gy_demo *d, const char *template_name,
                                     struct gy_err *err);
/* Start `gyre server` on a free port and wait until it says where it listens; gy_demo_server: as a
 * step. */
GY_CHECKED gy_status gy_demo_serve(struct gy_demo *d, struct gy_err *err);
GY_CHECKED gy_status gy_demo_server(struct gy_demo *d, struct gy_err *err);
/* POST a JSON body to a path of the server; *ret_doc (MAY be NULL) is the answer of status want.
 * Fails when another status comes, with the answer. */
GY_CHECKED gy_status gy_demo_post(struct gy_demo *d, const char *path, const char *body, int want,
                                  yyjson_doc **ret_doc, struct gy_err *err);
/* bytes as a file of the folder, its folders made. */
GY_CHECKED gy_status gy_demo_write(struct gy_demo *d, const char *file, struct gy_str bytes,
                                   struct gy_err *err);
/* A file of yours (--data) as a file of the folder. */
GY_CHECKED gy_status gy_demo_copy(struct gy_demo *d, const char *from, const char *file,
                                  struct gy_err *err);
/* Where deps/vega-datasets.sh put a file of that name; false: it is not here. */
bool gy_demo_fetched(const struct gy_demo *d, const char *name, char ret_path[GY_MAX_PATH]);
/* A row of the table for people: what, in which numbers. */
void gy_demo_row(const struct gy_demo *d, const char *what, const char *fmt, ...) GY_PRINTF(3, 4);
/* "key": {"value":..,"low":..,"high":..} */
void gy_demo_interval(struct gy_jw *w, const char *key, double value, double low, double high);
/* "steps" of the --json answer. */
void gy_demo_write_steps(const struct gy_demo *d, struct gy_jw *w);
/* {"steps":[...],"table":{...}} */
GY_CHECKED gy_status gy_demo_print(struct gy_demo *d, struct gy_err *err);
/* Keep the server up until Ctrl-C or SIGTERM. */
void gy_demo_wait(struct gy_demo *d);

#endif

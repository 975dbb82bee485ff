/* SPDX-License-Identifier: Apache-2.0 */
/* Moving in from MLflow: what the command (cmd_import.c) asks of a source, and what the sources
 * (move_files.c: a folder mlruns, move_sql.c: a database, move_rest.c: a server) share. A source
 * reads; it never writes to where it reads. What it can not read is rejected with the place and the
 * reason, and the rest goes on: accepted + rejected = read. Main thread only. */
#ifndef GY_CLI_MOVE_H
#define GY_CLI_MOVE_H

#include "base/hash.h"
#include "base/map.h"
#include "cli/cli_internal.h"
#include "track/transfer.h"

enum {
    GY_MOVE_PAGE = 256,            /* runs or logged models at a time */
    GY_MOVE_MAX_LISTED = 1000,     /* rejected items and notes that are named */
    GY_MOVE_MAX_RUNS = 10000000,   /* runs in one experiment of a folder */
    GY_MOVE_MAX_SORTED = 10000000, /* points of one key that came out of order */
    GY_MOVE_MAX_LINE = 8192,       /* bytes of a line of a metric file */
};

/* ---- the report ---- */

struct gy_move_rejected {
    const char *where, *error;
};
struct gy_move_report {
    struct gy_arena arena;
    struct gy_move_rejected *rejected; /* the first GY_MOVE_MAX_LISTED */
    size_t n_listed;
    int64_t n_rejected;
    const char **notes;
    size_t n_notes;
    int64_t not_taken; /* traces and the like, which Gyre does not keep */
};
void gy_move_report_init(struct gy_move_report *r);
void gy_move_report_done(struct gy_move_report *r);
void gy_move_reject(struct gy_move_report *r, const char *where, const char *error);
void gy_move_note(struct gy_move_report *r, const char *fmt, ...) GY_PRINTF(2, 3); /* once each */

/* ---- where artifacts are ---- */

/* Whose artifacts: of a run, a logged model, or a version that lies elsewhere. */
struct gy_move_place {
    char kind; /* 'r', 'm', 'v' */
    struct gy_str id, uri;
    int64_t experiment; /* as the source numbers it */
};
/* The folder of this machine that a URI means ("file:///a", "/a", "./a" below base; with root set
 * also "mlflow-artifacts:/a"); false: it is not on this machine. */
bool gy_move_local(struct gy_str uri, const char *base, const char *root, char out[GY_MAX_PATH]);
/* A URI as places are compared: a local one is its path. View into it. */
struct gy_str gy_move_plain(struct gy_str uri);

typedef gy_status (*gy_move_file_fn)(void *ctx, struct gy_str path, int64_t size_bytes,
                                     struct gy_err *err);
/* Each file below a folder, by relative path; an absent folder has none. Links are passed over with
 * a note. */
GY_CHECKED gy_status gy_move_walk(const char *dir, struct gy_move_report *report,
                                  gy_move_file_fn fn, void *ctx, struct gy_err *err);

/* ---- sources ---- */

typedef gy_status (*gy_move_point_fn)(void *ctx, const struct gy_metric *m, struct gy_err *err);

struct gy_move_source_ops {
    uint32_t version; /* 1 */
    const char *name;
    /* All of them, deleted ones too. Strings in the arena. MUST, as all but `mark`. */
    gy_status (*experiments)(void *self, struct gy_arena *a, struct gy_experiment **ret,
                             size_t *ret_n, struct gy_err *err);
    /* The next page of an experiment's runs (page 0 starts), in a fixed order; none: the end. A
     * page may be short when runs were rejected: *ret_end tells. */
    gy_status (*runs)(void *self, const struct gy_experiment *e, size_t page, struct gy_arena *a,
                      struct gy_run **ret, size_t *ret_n, bool *ret_end, struct gy_err *err);
    /* Add to h what tells whether the run's history has changed, without reading it. MAY be NULL.
     */
    gy_status (*mark)(void *self, const struct gy_run *r, struct gy_hash *h, struct gy_err *err);
    /* All points of a run, one key after the other. */
    gy_status (*points)(void *self, const struct gy_run *r, gy_move_point_fn fn, void *ctx,
                        struct gy_err *err);
    gy_status (*logged)(void *self, const struct gy_experiment *e, size_t page, struct gy_arena *a,
                        struct gy_logged_model **ret, size_t *ret_n, bool *ret_end,
                        struct gy_err *err);
    gy_status (*models)(void *self, struct gy_arena *a, struct gy_registered_model **ret,
                        size_t *ret_n, struct gy_err *err);
    gy_status (*versions)(void *self, const struct gy_registered_model *m, struct gy_arena *a,
                          struct gy_transfer_version **ret, size_t *ret_n, struct gy_err *err);
    /* Can the artifacts of this place be read? */
    bool (*has_files)(void *self, const struct gy_move_place *p);
    gy_status (*files)(void *self, const struct gy_move_place *p, gy_move_file_fn fn, void *ctx,
                       struct gy_err *err);
    /* A local file with these bytes; *ret_temporary: the caller removes it. */
    gy_status (*fetch)(void *self, const struct gy_move_place *p, struct gy_str path,
                       char out[GY_MAX_PATH], bool *ret_temporary, struct gy_err *err);
    void (*free)(void *self);
};
struct gy_move_source {
    const struct gy_move_source_ops *ops;
    void *self;
    char label[GY_MAX_PATH]; /* names the store in the target: no passwords */
};
void gy_move_source_close(struct gy_move_source *s); /* zeroed allowed */

/* artifacts_root MAY be NULL. The report outlives the source. */
GY_CHECKED gy_status gy_move_open_files(const char *dir, const char *artifacts_root,
                                        struct gy_move_report *report, struct gy_move_source *ret,
                                        struct gy_err *err);
/* "sqlite:///path" or "postgresql://...". Read only. */
GY_CHECKED gy_status gy_move_open_sql(const char *url, const char *artifacts_root,
                                      struct gy_move_report *report, struct gy_move_source *ret,
                                      struct gy_err *err);
/* "http://server". scratch: a folder for files on their way. */
GY_CHECKED gy_status gy_move_open_rest(const char *url, const char *scratch,
                                       struct gy_move_report *report, struct gy_move_source *ret,
                                       struct gy_err *err);

/* ---- readers of single pieces (move_lines.c), for tests and fuzzers too ---- */

/* One line of a metric file: "timestamp value [step [dataset digest]]", of a logged model
 * "timestamp value step run [dataset digest]". Strings are views. Fails: INVALID. */
GY_CHECKED gy_status gy_move_metric_line(struct gy_str line, bool of_model, struct gy_metric *ret,
                                         struct gy_err *err);
/* Microseconds of milliseconds; a time that no clock shows becomes the last one that fits. */
int64_t gy_move_us(int64_t ms);
/* A number as Python writes it. Fails: INVALID. */
GY_CHECKED gy_status gy_move_number(struct gy_str s, double *ret, struct gy_err *err);
struct gy_yaml;
/* meta.yaml of an experiment, a run, a logged model, a registered model or a version; the strings
 * are copied. Fail with INVALID or PARSE, naming file and line. */
GY_CHECKED gy_status gy_move_meta_experiment(const struct gy_yaml *y, struct gy_arena *a,
                                             struct gy_experiment *ret, struct gy_err *err);
GY_CHECKED gy_status gy_move_meta_run(const struct gy_yaml *y, struct gy_arena *a,
                                      struct gy_run *ret, struct gy_err *err);
GY_CHECKED gy_status gy_move_meta_logged(const struct gy_yaml *y, struct gy_arena *a,
                                         struct gy_logged_model *ret, struct gy_err *err);
GY_CHECKED gy_status gy_move_meta_model(const struct gy_yaml *y, struct gy_arena *a,
                                        struct gy_registered_model *ret, struct gy_err *err);
GY_CHECKED gy_status gy_move_meta_version(const struct gy_yaml *y, struct gy_arena *a,
                                          struct gy_transfer_version *ret, struct gy_err *err);

/* ---- what Gyre can do with a model (move_servable.c) ---- */

enum gy_move_serve { GY_MOVE_NATIVE, GY_MOVE_EXPORT, GY_MOVE_NOT };
/* From the text of an MLmodel. *ret_why (in the arena) says it for people. */
GY_CHECKED gy_status gy_move_servable(struct gy_str ml_model, struct gy_arena *a,
                                      enum gy_move_serve *ret, const char **ret_why,
                                      struct gy_err *err);

#endif

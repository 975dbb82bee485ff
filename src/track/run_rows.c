/* SPDX-License-Identifier: Apache-2.0 */
#include "track/run_rows.h"

#include <math.h>
#include <stdlib.h>

gy_status gy_run_read_row(struct gy_stmt *st, struct gy_arena *a, struct gy_run *r,
                          struct gy_err *err)
{
    *r = (struct gy_run){
        .seq = gy_col_i64(st, 0),
        .id = gy_col_dup(st, 1, a),
        .experiment_id = gy_col_i64(st, 2),
        .name = gy_col_dup(st, 3, a),
        .user_id = gy_col_dup(st, 4, a),
        .status = gy_col_dup(st, 5, a),
        .start_ms = gy_col_i64(st, 6),
        .end_ms = gy_col_i64(st, 7),
        .artifact_uri = gy_col_dup(st, 8, a),
        .deleted = gy_col_i64(st, 9) != 0,
        .actor = gy_col_dup(st, 10, a),
    };
    return r->id.p && r->artifact_uri.p && r->actor.p ? GY_OK : gy_track_nomem(err);
}

/* ---- many at once ---- */

#define Q8 "?, ?, ?, ?, ?, ?, ?, ?"
#define OF_RUNS " IN (" Q8 ", " Q8 ", " Q8 ", " Q8 ") " /* GY_RUN_LOAD_MAX of them */

/* A batch: the runs by number, and the parameters of all its statements (unused ones are -1, which
 * no run has, so that the text of a statement is always the same). */
struct batch {
    struct gy_db *db;
    struct gy_run *by_seq[GY_RUN_LOAD_MAX];
    size_t n;
    struct gy_val seqs[GY_RUN_LOAD_MAX];
    struct gy_arena *a;
};

static int by_seq(const void *a, const void *b)
{
    const struct gy_run *x = *(struct gy_run *const *)a, *y = *(struct gy_run *const *)b;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static struct gy_run *run_of(const struct batch *b, int64_t seq)
{
    size_t low = 0, high = b->n;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        *(b->by_seq[middle]->seq <= seq ? &low : &high) = middle;
    }
    return b->by_seq[low];
}

/* Takes the current row, which is of run r; *cap is of the list that grows there. */
typedef gy_status (*row_fn)(struct batch *b, struct gy_stmt *st, struct gy_run *r, size_t *cap,
                            struct gy_err *err);

/* Rows come by run: column 0 is its number. */
static gy_status each_row(struct batch *b, const char *sql, row_fn fn, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(b->db, sql, b->seqs, GY_RUN_LOAD_MAX, &st, err));
    struct gy_run *r = NULL;
    size_t cap = 0;
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        int64_t seq = gy_col_i64(st, 0);
        if (!r || r->seq != seq) {
            r = run_of(b, seq);
            cap = 0;
        }
        GY_TRY(fn(b, st, r, &cap, err));
    }
}

static gy_status add_pair(struct batch *b, struct gy_stmt *st, struct gy_tag **list, size_t *n,
                          size_t *cap, int key, struct gy_err *err)
{
    void *items = *list;
    GY_TRY(gy_track_grow(b->a, &items, *n, cap, sizeof(struct gy_tag), err));
    *list = items;
    struct gy_tag *t = &(*list)[(*n)++];
    GY_TRY(gy_col_copy(st, key, b->a, &t->key, err));
    return gy_col_copy(st, key + 1, b->a, &t->value, err);
}

static gy_status add_param(struct batch *b, struct gy_stmt *st, struct gy_run *r, size_t *cap,
                           struct gy_err *err)
{
    return add_pair(b, st, &r->params, &r->n_params, cap, 1, err);
}

static gy_status add_tag(struct batch *b, struct gy_stmt *st, struct gy_run *r, size_t *cap,
                         struct gy_err *err)
{
    return add_pair(b, st, &r->tags, &r->n_tags, cap, 1, err);
}

static gy_status add_metric(struct batch *b, struct gy_stmt *st, struct gy_run *r, size_t *cap,
                            struct gy_err *err)
{
    void *items = r->metrics;
    GY_TRY(gy_track_grow(b->a, &items, r->n_metrics, cap, sizeof(struct gy_metric), err));
    r->metrics = items;
    struct gy_metric *m = &r->metrics[r->n_metrics++];
    *m = (struct gy_metric){
        .value = gy_col_i64(st, 3) ? NAN : gy_col_f64(st, 2),
        .ts_ms = gy_col_i64(st, 4),
        .step = gy_col_i64(st, 5),
    };
    return gy_col_copy(st, 1, b->a, &m->key, err);
}

static gy_status add_input(struct batch *b, struct gy_stmt *st, struct gy_run *r, size_t *cap,
                           struct gy_err *err)
{
    void *items = r->inputs;
    GY_TRY(gy_track_grow(b->a, &items, r->n_inputs, cap, sizeof(struct gy_run_dataset), err));
    r->inputs = items;
    r->inputs[r->n_inputs++] = (struct gy_run_dataset){
        .id = gy_col_i64(st, 1),
        .name = gy_col_dup(st, 2, b->a),
        .digest = gy_col_dup(st, 3, b->a),
        .source_type = gy_col_dup(st, 4, b->a),
        .source = gy_col_dup(st, 5, b->a),
        .schema = gy_col_dup(st, 6, b->a),
        .profile = gy_col_dup(st, 7, b->a),
    };
    return r->inputs[r->n_inputs - 1].source.p ? GY_OK : gy_track_nomem(err);
}

/* By run and dataset; the inputs of a run are there, by dataset. */
static gy_status add_input_tag(struct batch *b, struct gy_stmt *st, struct gy_run *r, size_t *cap,
                               struct gy_err *err)
{
    int64_t id = gy_col_i64(st, 1);
    for (size_t i = 0; i < r->n_inputs; i++) {
        struct gy_run_dataset *d = &r->inputs[i];
        if (d->id == id) {
            *cap = d->n_tags == 0 ? 0 : *cap;
            return add_pair(b, st, &d->tags, &d->n_tags, cap, 2, err);
        }
    }
    return GY_OK;
}

static gy_status add_model(struct batch *b, struct gy_stmt *st, struct gy_run_model **list,
                           size_t *n, size_t *cap, struct gy_err *err)
{
    void *items = *list;
    GY_TRY(gy_track_grow(b->a, &items, *n, cap, sizeof(struct gy_run_model), err));
    *list = items;
    struct gy_run_model *m = &(*list)[(*n)++];
    m->step = gy_col_i64(st, 2);
    return gy_col_copy(st, 1, b->a, &m->model_id, err);
}

static gy_status add_model_input(struct batch *b, struct gy_stmt *st, struct gy_run *r, size_t *cap,
                                 struct gy_err *err)
{
    return add_model(b, st, &r->model_inputs, &r->n_model_inputs, cap, err);
}

static gy_status add_model_output(struct batch *b, struct gy_stmt *st, struct gy_run *r,
                                  size_t *cap, struct gy_err *err)
{
    return add_model(b, st, &r->model_outputs, &r->n_model_outputs, cap, err);
}

gy_status gy_runs_load(struct gy_db *db, struct gy_run *runs, size_t n, struct gy_arena *a,
                       struct gy_err *err)
{
    struct batch b = {.db = db, .n = n, .a = a};
    if (n == 0) {
        return GY_OK;
    }
    for (size_t i = 0; i < GY_RUN_LOAD_MAX; i++) {
        b.seqs[i] = gy_vi(i < n ? runs[i].seq : -1);
        if (i < n) {
            b.by_seq[i] = &runs[i];
        }
    }
    qsort((void *)b.by_seq, n, sizeof b.by_seq[0], by_seq);
    GY_TRY(each_row(&b,
                    "SELECT run, key, value FROM run_params WHERE run" OF_RUNS "ORDER BY run, key",
                    add_param, err));
    GY_TRY(each_row(&b,
                    "SELECT run, key, value FROM run_tags WHERE run" OF_RUNS "ORDER BY run, key",
                    add_tag, err));
    GY_TRY(each_row(&b,
                    "SELECT l.run, k.name, l.value, l.is_nan, l.ts_ms, l.step FROM latest_metrics "
                    "l JOIN metric_keys k ON k.id = l.key WHERE l.run" OF_RUNS
                    "ORDER BY l.run, k.name",
                    add_metric, err));
    GY_TRY(each_row(&b,
                    "SELECT i.run, d.id, d.name, d.digest, d.source_type, d.source, d.schema, "
                    "d.profile FROM run_inputs i JOIN run_datasets d ON d.id = i.dataset_id WHERE "
                    "i.run" OF_RUNS "ORDER BY i.run, d.id",
                    add_input, err));
    GY_TRY(each_row(&b,
                    "SELECT run, dataset_id, key, value FROM run_input_tags WHERE run" OF_RUNS
                    "ORDER BY run, dataset_id, key",
                    add_input_tag, err));
    GY_TRY(each_row(&b,
                    "SELECT run, model_id, step FROM run_models WHERE run" OF_RUNS
                    "AND kind = 'input' ORDER BY run, model_id",
                    add_model_input, err));
    return each_row(&b,
                    "SELECT run, model_id, step FROM run_models WHERE run" OF_RUNS
                    "AND kind = 'output' ORDER BY run, model_id",
                    add_model_output, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* gy_package_prove: is a package servable? A "no" is an answer, with its reason; a failure means
 * that the question could not be put. */
#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "base/id.h"
#include "base/mem.h"
#include "learn/cells.h"
#include "learn/evaluate.h"
#include "learn/runtime/trees.h"
#include "learn/runtime/trees_internal.h"
#include "learn/runtime/ubj.h"
#include "learn/xgb.h"

#define MAX_ROWS ((size_t)1 << 20)
#define MAX_CELLS ((size_t)1 << 22) /* rows x inputs; 80 MiB of work space */

struct proof {
    const char *dir;
    const struct gy_predictor *p;
    const struct gy_predictor_info *info;
    size_t n_rows;
    bool *servable;
    char *reason;
};

static gy_status refuse(struct proof *p, const char *why)
{
    *p->servable = false;
    (void)snprintf(p->reason, 512, "%s", why);
    return GY_OK;
}

static void *align64(char *p)
{
    return (void *)(((uintptr_t)p + 63) & ~(uintptr_t)63);
}

/* ---- the input example ---- */

static gy_status dry_run(struct proof *p, struct gy_err *err)
{
    size_t n = p->info->n_cells + p->info->n_outputs;
    GY_AUTO(gy_free) char *values = gy_reallocarray(NULL, n, sizeof(double));
    GY_AUTO(gy_free) char *scratch = gy_malloc(gy_predictor_scratch(p->p, 1) + 63);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (!values || !scratch) {
        return gy_err_set(err, GY_E_NOMEM, "proving a package");
    }
    if (!p->info->input_example.p && p->info->n_trees > 0) {
        return GY_OK; /* MLflow does not ask for one; the trees are compared on many rows anyway */
    }
    if (!p->info->input_example.p) {
        return refuse(p, "the package has no input example to try");
    }
    GY_TRY(gy_json_parse(p->info->input_example, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    double *in = (double *)(void *)values;
    double *out = in + p->info->n_cells;
    double *cell = in;
    for (size_t i = 0; i < p->info->n_inputs; i++) {
        const struct gy_predictor_input *input = &p->info->inputs[i];
        yyjson_val *v = gy_json_get(root, input->name.p);
        if (!v) {
            return refuse(p, "the input example lacks an input");
        }
        *cell = yyjson_is_num(v) ? yyjson_get_num(v) : NAN;
        if (yyjson_is_str(v) && input->kind != GY_INPUT_NUMBER && input->kind != GY_INPUT_IMAGE &&
            gy_cell_of_text(input, gy_json_val_str(v), cell, NULL) != GY_OK) {
            return refuse(p, "the input example has a text that is no value of its input");
        }
        cell += input->width;
    }
    gy_predictor_run(p->p, in, 1, out, align64(scratch));
    for (size_t i = 0; i < p->info->n_outputs; i++) {
        if (!isfinite(out[i])) {
            return refuse(p, "the answer to the input example is not a finite number");
        }
    }
    return GY_OK;
}

/* ---- trees against libxgboost ---- */

/* The input that a raw cell belongs to. */
static const struct gy_predictor_input *input_of(const struct gy_predictor_info *info, size_t cell)
{
    size_t i = 0;
    while (cell >= info->inputs[i].width) {
        cell -= info->inputs[i++].width;
    }
    return &info->inputs[i];
}

/* Raw rows over what training saw and beyond, a tenth missing, a third on or next to a split. */
static void make_rows(const struct proof *p, const struct gy_trees *t, double *rows)
{
    struct gy_rng r;
    gy_rng_init(&r, 20261121);
    size_t nf = p->info->n_cells;
    for (size_t i = 0; i < p->n_rows * nf; i++) {
        const struct gy_predictor_input *in = input_of(p->info, i % nf);
        double low = isfinite(in->min) ? in->min : -1000;
        double high = isfinite(in->max) ? in->max : 1000;
        double v = low + (gy_rng_f64(&r) * 1.4 - 0.2) * (high - low + 1e-9);
        const struct gy_tree_node *node = &t->nodes[gy_rng_below(&r, t->info.n_nodes)];
        uint64_t kind = gy_rng_below(&r, 30);
        if (kind < 3) {
            v = NAN;
        } else if (kind < 13 && isfinite(node->split)) {
            float s = node->split;
            v = (double)(kind < 6   ? s
                         : kind < 9 ? nextafterf(s, INFINITY)
                                    : nextafterf(s, -INFINITY));
        } else if (in->integer) {
            v = round(v);
        }
        rows[i] = v;
    }
}

/* Arrays of one comparison, in one block. */
struct bench {
    double *raw, *ready, *ours, *steps;
    float *x, *theirs;
    char *memory, *scratch;
};

static gy_status allocate(const struct proof *p, struct bench *b, struct gy_err *err)
{
    const struct gy_features *f = &gy_predictor_model(p->p)->features;
    size_t in = p->n_rows * f->n_in;
    size_t ready = p->n_rows * f->n_out;
    size_t out = p->n_rows * p->info->n_outputs;
    size_t steps = gy_features_scratch(f, p->n_rows);
    b->memory =
        gy_malloc((in + ready + out + steps) * sizeof(double) + (ready + out) * sizeof(float));
    b->scratch = gy_malloc(gy_predictor_scratch(p->p, p->n_rows) + 63);
    if (!b->memory || !b->scratch) {
        return gy_err_set(err, GY_E_NOMEM, "proving a package");
    }
    b->raw = (double *)(void *)b->memory;
    b->ready = b->raw + in;
    b->ours = b->ready + ready;
    b->steps = b->ours + out;
    b->x = (float *)(void *)(b->steps + steps);
    b->theirs = b->x + ready;
    return GY_OK;
}

static gy_status compare(struct proof *p, const struct gy_trees *t, struct gy_str file,
                         const struct bench *b, struct gy_err *err)
{
    size_t n = p->n_rows;
    size_t no = p->info->n_outputs;
    make_rows(p, t, b->raw);
    const struct gy_features *f = &gy_predictor_model(p->p)->features;
    gy_features_apply(f, b->raw, n, b->ready, b->steps);
    for (size_t i = 0; i < n * f->n_out; i++) {
        b->x[i] = (float)b->ready[i];
    }
    bool list = gy_trees_get_info(t)->base_score_list;
    const struct gy_xgb_matrix data = {.x = b->x,
                                       .n_rows = n,
                                       .n_features = f->n_out,
                                       .base_margin = list ? gy_trees_base_margin(t) : NULL,
                                       .n_base_margin = no};
    GY_TRY(gy_xgb_predict(file, &data, false, b->theirs, n * no, err));
    gy_predictor_run(p->p, b->raw, n, b->ours, align64(b->scratch));
    for (size_t i = 0; i < n * no; i++) {
        double want = (double)b->theirs[i];
        if (memcmp(&b->ours[i], &want, sizeof want) != 0) {
            char why[160];
            (void)snprintf(why, sizeof why, "on row %zu the walker says %.9g, libxgboost %.9g",
                           i / no, b->ours[i], want);
            return refuse(p, why);
        }
    }
    return GY_OK;
}

static gy_status prove_trees(struct proof *p, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf file;
    GY_AUTO(gy_trees_free) struct gy_trees *t = NULL;
    gy_buf_init(&file, GY_MAX_MODEL_FILE);
    GY_TRY(gy_path_join(path, sizeof path, p->dir, gy_predictor_model(p->p)->file.p, err));
    GY_TRY(gy_file_read(path, &file, err));
    GY_TRY(gy_trees_parse(gy_buf_str(&file), &t, err));
    struct bench b = {0};
    gy_status status = allocate(p, &b, err);
    if (status == GY_OK) {
        status = compare(p, t, gy_buf_str(&file), &b, err);
    }
    gy_free(b.memory);
    gy_free(b.scratch);
    return status;
}

static gy_status prove(struct proof *p, struct gy_err *err)
{
    GY_TRY(dry_run(p, err));
    if (*p->servable && p->info->n_trees > 0) {
        GY_TRY(prove_trees(p, err));
    }
    return GY_OK;
}

gy_status gy_package_prove(const char *dir, size_t n_rows, bool *ret_servable, char reason[512],
                           struct gy_err *err)
{
    GY_AUTO(gy_predictor_free) struct gy_predictor *predictor = NULL;
    struct gy_err why = GY_ERR_INIT;
    struct proof p = {.dir = dir,
                      .n_rows = n_rows < 1          ? 1
                                : n_rows > MAX_ROWS ? MAX_ROWS
                                                    : n_rows,
                      .servable = ret_servable,
                      .reason = reason};
    *ret_servable = true;
    reason[0] = '\0';
    gy_status status = gy_predictor_load(dir, &predictor, &why);
    if (status == GY_OK) {
        p.p = predictor;
        p.info = gy_predictor_info(predictor);
        size_t most = MAX_CELLS / (p.info->n_cells + p.info->n_outputs);
        p.n_rows = p.n_rows > most ? most : p.n_rows;
        status = prove(&p, &why);
    }
    switch ((int)status) {
    case GY_OK:
        return GY_OK;
    case GY_E_NOMEM:
    case GY_E_IO:
    case GY_E_DENIED:
    case GY_E_MISSINGDEP:
    case GY_E_VERSION: /* of libxgboost */
        if (err) {
            *err = why;
        }
        return status;
    default:
        return refuse(&p, why.msg);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* gy_package_prove: is a package servable? A "no" is an answer, with its reason; a failure means
 * that the question could not be put. */
#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/time.h"
#include "learn/cells.h"
#include "learn/chain.h"
#include "learn/evaluate.h"
#include "learn/example.h"
#include "learn/runtime/trees.h"
#include "learn/runtime/trees_internal.h"
#include "learn/runtime/ubj.h"
#include "learn/xgb.h"

#define MAX_ROWS ((size_t)1 << 20)
#define READY_NS ((int64_t)300 * 1000000000) /* for a worker process to start */
#define MAX_CELLS ((size_t)1 << 22)          /* rows x inputs; 80 MiB of work space */

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

/* What we never train. */
static bool is_foreign(enum gy_learner learner)
{
    return learner == GY_LEARNER_LIGHTGBM || learner == GY_LEARNER_ONNX;
}

/* ---- the input example ---- */

static gy_status dry_run(struct proof *p, struct gy_err *err)
{
    size_t n = p->info->n_cells + p->info->n_outputs;
    GY_AUTO(gy_free) char *values = gy_reallocarray(NULL, n, sizeof(double));
    GY_AUTO(gy_free) char *scratch = gy_malloc(gy_predictor_scratch(p->p, 1) + 63);
    if (!values || !scratch) {
        return gy_err_set(err, GY_E_NOMEM, "proving a package");
    }
    enum gy_learner learner = gy_predictor_model(p->p)->learner;
    if (!p->info->input_example.p && (learner == GY_LEARNER_XGBOOST || is_foreign(learner))) {
        return GY_OK; /* MLflow does not ask for one; they are tried on many rows anyway */
    }
    if (!p->info->input_example.p && p->info->blocks) {
        struct gy_err why = GY_ERR_INIT; /* what answers is there, which loaded the model */
        gy_status status = gy_predictor_ready(p->p, gy_mono_ns() + READY_NS, &why);
        return status == GY_OK ? GY_OK : refuse(p, why.msg);
    }
    if (!p->info->input_example.p) {
        return refuse(p, "the package has no input example to try");
    }
    double *in = (double *)(void *)values;
    double *out = in + p->info->n_cells;
    struct gy_err why = GY_ERR_INIT;
    gy_status st = gy_example_cells(p->info, in, &why);
    if (st == GY_E_INVALID) {
        return refuse(p, why.msg);
    }
    if (st != GY_OK) {
        if (err) {
            *err = why;
        }
        return st;
    }
    if (gy_predictor_ready(p->p, gy_mono_ns() + READY_NS, &why) != GY_OK ||
        gy_predictor_try_run(p->p, in, 1, out, align64(scratch), 0, &why) != GY_OK) {
        return refuse(p, why.msg); /* somebody else answers, and does not now */
    }
    for (size_t i = 0; i < p->info->n_outputs; i++) {
        if (!isfinite(out[i])) {
            return refuse(p, "the answer to the input example is not a finite number");
        }
    }
    return GY_OK;
}

/* ---- made rows ---- */

/* A split of the trees or a number next to it; NaN where there is none. */
static double near_split(const struct gy_trees *t, struct gy_rng *r, uint64_t kind)
{
    if (!t || t->info.n_nodes == 0) {
        return NAN;
    }
    float s = t->nodes[gy_rng_below(r, t->info.n_nodes)].split;
    return (double)(kind < 6 ? s : kind < 9 ? nextafterf(s, INFINITY) : nextafterf(s, -INFINITY));
}

/* Raw rows over what training saw and beyond, a tenth missing, of trees a third on or next to a
 * split. Texts are ones that are known and, now and then, one that is not. t MAY be NULL. */
static void make_rows(const struct proof *p, const struct gy_trees *t, double *rows)
{
    struct gy_rng r;
    gy_rng_init(&r, 20261121);
    size_t nf = p->info->n_cells;
    size_t input = 0, cell = 0; /* of a raw cell: its input, and which of that */
    for (size_t i = 0; i < p->n_rows * nf; i++) {
        const struct gy_predictor_input *in = &p->info->inputs[input];
        if (++cell == in->width) {
            cell = 0;
            input = input + 1 == p->info->n_inputs ? 0 : input + 1;
        }
        double low = isfinite(in->min) ? in->min : -1000;
        double high = isfinite(in->max) ? in->max : 1000;
        double v = low + (gy_rng_f64(&r) * 1.4 - 0.2) * (high - low + 1e-9);
        uint64_t kind = gy_rng_below(&r, 30);
        double split = kind < 13 ? near_split(t, &r, kind) : NAN;
        bool codes = t && t->info.n_features == nf && gy_trees_get_feature(t, i % nf)->categorical;
        if (kind < 3) {
            v = NAN;
        } else if (in->kind == GY_INPUT_TEXT && !in->hashed) {
            v = (double)gy_rng_below(&r, in->n_values + 1) - 1;
        } else if (codes) {
            v = (double)gy_rng_below(&r, 64) - 1;
        } else if (isfinite(split)) {
            v = split;
        } else if (in->integer) {
            v = round(v);
        }
        rows[i] = v;
    }
}

/* ---- against itself ---- */

static bool agree(double a, double b, double tolerance)
{
    return a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= tolerance * fmax(1, fabs(a));
}

/* Each row alone gives what it gives among others, and not all is NaN. What computes in blocks (a
 * product of matrices in ONNX Runtime) may round otherwise. */
static gy_status prove_alone(struct proof *p, double tolerance, struct gy_err *err)
{
    size_t n = p->n_rows > 1024 ? 1024 : p->n_rows;
    size_t no = p->info->n_outputs;
    size_t numbers = 0;
    p->n_rows = n;
    GY_AUTO(gy_free) char *memory = gy_malloc((n * (p->info->n_cells + no) + no) * sizeof(double));
    GY_AUTO(gy_free) char *scratch = gy_malloc(gy_predictor_scratch(p->p, n) + 63);
    if (!memory || !scratch) {
        return gy_err_set(err, GY_E_NOMEM, "proving a package");
    }
    double *rows = (double *)(void *)memory;
    double *many = rows + n * p->info->n_cells;
    double *one = many + n * no;
    make_rows(p, NULL, rows);
    gy_predictor_run(p->p, rows, n, many, align64(scratch));
    for (size_t r = 0; r < n; r++) {
        gy_predictor_run(p->p, rows + r * p->info->n_cells, 1, one, align64(scratch));
        for (size_t k = 0; k < no; k++) {
            numbers += isfinite(one[k]) != 0;
            if (!agree(one[k], many[r * no + k], tolerance)) {
                char why[160];
                (void)snprintf(why, sizeof why, "a row alone gives %.9g, among others %.9g", one[k],
                               many[r * no + k]);
                return refuse(p, why);
            }
        }
    }
    return numbers ? GY_OK : refuse(p, "no row that was tried has a finite answer");
}

/* ---- trees against libxgboost ---- */

/* Arrays of one comparison, in one block. */
struct bench {
    double *raw, *ready, *ours, *steps;
    float *x, *theirs, *margins;
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
        gy_malloc((in + ready + out + steps) * sizeof(double) + (ready + 2 * out) * sizeof(float));
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
    b->margins = b->theirs + out;
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
    const struct gy_model *m = gy_predictor_model(p->p);
    /* multi:softmax answers with the number of the class: the margins are compared instead. */
    bool margin = gy_str_eqc(gy_str_c(gy_trees_get_info(t)->objective), "multi:softmax");
    const struct gy_xgb_matrix data = {.x = b->x,
                                       .n_rows = n,
                                       .n_features = f->n_out,
                                       .n_rounds = m->n_values == 1 ? (int)m->values[0] : 0};
    GY_TRY(gy_xgb_predict(file, &data, margin, b->theirs, n * no, err));
    gy_predictor_run(p->p, b->raw, n, b->ours, align64(b->scratch));
    gy_trees_run(t, b->x, n, true, b->margins);
    for (size_t i = 0; i < n * no; i++) {
        double want = (double)b->theirs[i];
        double got = margin ? (double)b->margins[i] : b->ours[i];
        if (memcmp(&got, &want, sizeof want) != 0) {
            char why[160];
            (void)snprintf(why, sizeof why, "on row %zu the walker says %.9g, libxgboost %.9g",
                           i / no, got, want);
            return refuse(p, why);
        }
    }
    return GY_OK;
}

/* libxgboost is a reference for files of its own version and older ones. From 3.1 on files have a
 * base_score that older libraries ignore without a word. */
static bool has_reference(const struct gy_trees_info *t)
{
    bool newer = t->version[0] > 3 || (t->version[0] == 3 && t->version[1] >= 1);
    return !newer && !t->base_score_list;
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
    if (gy_predictor_model(p->p)->n_values == 1) {
        gy_trees_cut(t, (size_t)gy_predictor_model(p->p)->values[0]);
    }
    const struct gy_trees_info *info = gy_trees_get_info(t);
    if (!has_reference(info)) {
        return prove_alone(p, 0, err);
    }
    struct bench b = {0};
    struct gy_err why = GY_ERR_INIT;
    gy_status status = allocate(p, &b, &why);
    if (status == GY_OK) {
        status = compare(p, t, gy_buf_str(&file), &b, &why);
    }
    gy_free(b.memory);
    gy_free(b.scratch);
    /* What the library does not know (an objective of 2.0) says nothing about us. */
    if (status == GY_E_CORRUPT && info->version[0] >= 2) {
        return prove_alone(p, 0, err);
    }
    if (status != GY_OK && err) {
        *err = why;
    }
    return status;
}

/* A chain is as good as its parts: each is proven by itself. */
static gy_status prove_parts(struct proof *p, struct gy_err *err)
{
    for (size_t i = 0; i < GY_CHAIN_MAX_PARTS; i++) {
        char name[32], dir[GY_MAX_PATH], reason[512] = "", why[560];
        bool servable = false;
        (void)snprintf(name, sizeof name, GY_CHAIN_PART_DIR, i);
        GY_TRY(gy_path_join(dir, sizeof dir, p->dir, name, err));
        if (!gy_path_is_dir(dir)) {
            return GY_OK; /* it loaded: these were all */
        }
        GY_TRY(gy_package_prove(dir, p->n_rows, &servable, reason, err));
        if (!servable) {
            (void)snprintf(why, sizeof why, "part %zu: %s", i + 1, reason);
            return refuse(p, why);
        }
    }
    return GY_OK;
}

static gy_status prove(struct proof *p, struct gy_err *err)
{
    GY_TRY(dry_run(p, err));
    if (!*p->servable) {
        return GY_OK;
    }
    enum gy_learner learner = gy_predictor_model(p->p)->learner;
    if (learner == GY_LEARNER_XGBOOST) {
        return prove_trees(p, err);
    }
    if (learner == GY_LEARNER_CHAIN) {
        return prove_parts(p, err);
    }
    bool rows = is_foreign(learner) || learner == GY_LEARNER_FOREST;
    return rows ? prove_alone(p, learner == GY_LEARNER_ONNX ? 1e-4 : 0, err) : GY_OK;
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

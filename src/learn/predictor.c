/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/predictor.h"

#include <math.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "learn/bootstrap.h"
#include "learn/decode.h"
#include "learn/evaluate.h"
#include "learn/model.h"
#include "learn/foreign.h"
#include "learn/runtime/ubj.h"
#include "learn/learner.h"
#include "learn/explain.h"
#include "learn/predictor_internal.h"

#define MAX_EXAMPLE_BYTES (1 * GY_MIB)

struct gy_predictor {
    struct gy_model model;
    struct gy_predictor_info info;
    struct gy_runtime runtime;
    char digest[GY_SHA256_HEX];
    bool foreign; /* without a model.json */
    struct gy_buf example;
    struct gy_decoder *decoder;
    double *means; /* of the features over training rows; NULL: not told */
};

static size_t aligned(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

/* It does not look at the runtime, which may have been unloaded. */
static bool waits(const struct gy_predictor *p)
{
    return p->info.blocks;
}

/* ---- loading ---- */

/* The model file must be the one that model.json was written for. */
static gy_status read_file(const char *dir, const struct gy_model *m, struct gy_buf *bytes,
                           struct gy_err *err)
{
    char path[GY_MAX_PATH];
    char sha256[GY_SHA256_HEX];
    GY_TRY(gy_path_join(path, sizeof path, dir, m->file.p, err));
    GY_TRY(gy_file_read(path, bytes, err));
    GY_TRY(gy_sha256_hex(gy_buf_str(bytes), sha256, err));
    if (!gy_str_eqc(m->file_sha256, sha256)) {
        return gy_err_set(err, GY_E_CORRUPT, "%s is not the file that model.json was written for",
                          path);
    }
    return GY_OK;
}

static gy_status open_runtime(const char *dir, const struct gy_predictor *p, struct gy_runtime *ret,
                              struct gy_err *err)
{
    const struct gy_model *m = &p->model;
    const struct gy_learner_ops *learner = gy_learner_get(m->learner);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, GY_MAX_MODEL_FILE);
    if (!p->foreign && learner->version >= 2 && learner->open) {
        return learner->open(m, dir, ret, err);
    }
    if (m->file.p) {
        GY_TRY(read_file(dir, m, &bytes, err));
    }
    return (p->foreign ? gy_foreign_load : learner->load)(m, gy_buf_str(&bytes), ret, err);
}

static gy_status load_runtime(const char *dir, struct gy_predictor *p, struct gy_err *err)
{
    GY_TRY(open_runtime(dir, p, &p->runtime, err));
    const struct gy_runtime_ops *ops = p->runtime.ops;
    p->info.n_trees = p->runtime.n_trees;
    p->info.blocks = ops->version >= 2 && ops->try_run;
    p->info.timeout_ms = p->runtime.timeout_ms;
    return GY_OK;
}

/* {"HR": 104, ...}: the raw form of input_example.json's only row, kept as text. */
static gy_status load_example(const char *dir, struct gy_predictor *p, bool ours,
                              struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, dir, "input_example.json", err));
    if (!gy_path_exists(path)) {
        return GY_OK;
    }
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_read_file(path, MAX_EXAMPLE_BYTES, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *columns = gy_json_get(root, "columns");
    yyjson_val *row = yyjson_arr_get_first(gy_json_get(root, "data"));
    size_t n = yyjson_arr_size(columns);
    if (n == 0 || yyjson_arr_size(row) != n) {
        if (!ours) { /* MLflow has other forms: arrays, dictionaries */
            return GY_OK;
        }
        return gy_err_set(err, GY_E_CORRUPT, "%s: no row that fits its columns", path);
    }
    struct gy_jw w;
    gy_jw_init(&w, &p->example);
    gy_jw_obj(&w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_keys(&w, gy_json_val_str(yyjson_arr_get(columns, i)));
        gy_jw_val(&w, yyjson_arr_get(row, i));
    }
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&p->example, "the input example", err));
    p->info.input_example = gy_buf_str(&p->example);
    return GY_OK;
}

static size_t count_values(const struct gy_model *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_out_tensors; i++) {
        n += m->out_tensors[i].width;
    }
    return n ? n : 1;
}

static void fill_info(struct gy_predictor *p)
{
    const struct gy_model *m = &p->model;
    p->info = (struct gy_predictor_info){
        .task = m->task,
        .learner = gy_str_c(gy_learner_name(m->learner)),
        .target = m->target,
        .inputs = m->inputs,
        .n_inputs = m->n_inputs,
        .n_cells = m->features.n_in,
        .classes = m->classes,
        .n_classes = m->n_classes,
        .n_outputs = m->task == GY_TASK_MULTICLASS ? m->n_classes : count_values(m),
        .in_tensors = m->in_tensors,
        .n_in_tensors = m->n_in_tensors,
        .out_tensors = m->out_tensors,
        .n_out_tensors = m->n_out_tensors,
        .threshold = m->threshold,
        .digest = gy_str_c(p->digest),
    };
}

/* Before it is opened: a chain would open its own parts, Python start a worker. */
static gy_status check_part(enum gy_package_flavor flavor, const struct gy_model *m,
                            struct gy_err *err)
{
    if (flavor == GY_FLAVOR_PYTHON || m->learner == GY_LEARNER_REMOTE) {
        return gy_err_set(err, GY_E_INVALID,
                          "a model that waits for another process (remote, python) can not be part "
                          "of a chain");
    }
    if (m->learner == GY_LEARNER_CHAIN) {
        (void)gy_err_set(err, GY_E_INVALID, "a chain can not be part of a chain");
        return gy_err_hint(err, "name its parts instead of it");
    }
    return GY_OK;
}

static gy_status read_model(const char *dir, bool is_part, struct gy_predictor *p,
                            struct gy_err *err)
{
    enum gy_package_flavor flavor = GY_FLAVOR_GYRE;
    if (!gy_path_is_dir(dir)) {
        return gy_err_set(err, GY_E_NOTFOUND, "no model package in %s", dir);
    }
    GY_TRY(gy_package_flavor(dir, &flavor, err));
    p->foreign = flavor != GY_FLAVOR_GYRE;
    if (is_part && flavor == GY_FLAVOR_PYTHON) {
        return check_part(flavor, &p->model, err);
    }
    GY_TRY(p->foreign ? gy_model_from_foreign(dir, flavor, &p->model, err)
                      : gy_model_read(dir, &p->model, err));
    return is_part ? check_part(flavor, &p->model, err) : GY_OK;
}

static gy_status load_package(const char *dir, bool is_part, struct gy_predictor **ret,
                              struct gy_err *err)
{
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = gy_calloc(1, sizeof *p);
    if (!p) {
        return gy_err_set(err, GY_E_NOMEM, "loading a model");
    }
    gy_model_init(&p->model);
    gy_buf_init(&p->example, MAX_EXAMPLE_BYTES);
    GY_TRY(read_model(dir, is_part, p, err));
    GY_TRY(gy_package_digest(dir, p->digest, err));
    fill_info(p);
    GY_TRY(gy_decoder_new(p->model.inputs, p->model.n_inputs, &p->model.arena, &p->decoder, err));
    GY_TRY(load_runtime(dir, p, err));
    GY_TRY(load_example(dir, p, !p->foreign, err));
    GY_TRY(gy_read_background(dir, &p->model, &p->means, err));
    *ret = GY_TAKE(p);
    return GY_OK;
}

gy_status gy_predictor_load(const char *dir, struct gy_predictor **ret, struct gy_err *err)
{
    return load_package(dir, false, ret, err);
}

gy_status gy_predictor_load_part(const char *dir, struct gy_predictor **ret, struct gy_err *err)
{
    return load_package(dir, true, ret, err);
}

const struct gy_predictor_info *gy_predictor_info(const struct gy_predictor *p)
{
    return &p->info;
}

const struct gy_decoder *gy_predictor_decoder(const struct gy_predictor *p)
{
    return p->decoder;
}

const struct gy_model *gy_predictor_model(const struct gy_predictor *p)
{
    return &p->model;
}

const struct gy_runtime *gy_predictor_runtime(const struct gy_predictor *p)
{
    return &p->runtime;
}

const double *gy_predictor_means(const struct gy_predictor *p)
{
    return p->means;
}

size_t gy_predictor_bytes(const struct gy_predictor *p)
{
    return p->info.blocks ? 0 : gy_runtime_bytes(p->runtime.ops, p->runtime.self);
}

void gy_predictor_unload(struct gy_predictor *p)
{
    GY_REQUIRE(!p->info.blocks);
    if (p->runtime.ops) {
        p->runtime.ops->free(p->runtime.self);
        p->runtime = (struct gy_runtime){.ops = NULL};
    }
}

gy_status gy_predictor_load_again(struct gy_predictor *p, const char *dir, struct gy_err *err)
{
    struct gy_runtime fresh = {.ops = NULL};
    GY_REQUIRE(!p->runtime.ops);
    gy_status status = open_runtime(dir, p, &fresh, err);
    if (status != GY_OK && fresh.ops) {
        fresh.ops->free(fresh.self);
    } else if (status == GY_OK) {
        p->runtime = fresh;
    }
    return status;
}

void gy_predictor_free(struct gy_predictor *p)
{
    if (p) {
        if (p->runtime.ops) {
            p->runtime.ops->free(p->runtime.self);
        }
        gy_buf_done(&p->example);
        gy_doubles_free(p->means);
        gy_model_done(&p->model);
        gy_free(p);
    }
}

/* ---- predicting ---- */

/* The rows after the feature steps, what the steps need, what the runtime needs. */
struct room {
    size_t block, ready, steps;
};

static struct room room_for(const struct gy_predictor *p, size_t n_rows)
{
    const struct gy_features *f = &p->model.features;
    size_t block = n_rows < GY_RUNTIME_BLOCK ? n_rows : GY_RUNTIME_BLOCK;
    return (struct room){.block = block,
                         .ready = aligned(block * f->n_out * sizeof(double)),
                         .steps = aligned(gy_features_scratch(f, block) * sizeof(double))};
}

size_t gy_predictor_scratch(const struct gy_predictor *p, size_t n_rows)
{
    struct room r = room_for(p, n_rows);
    size_t own = waits(p) ? 0 : p->runtime.ops->scratch(p->runtime.self, r.block);
    return r.ready + r.steps + own;
}

/* Blocks of rows through the steps to the runtime. One that waits gets as many rows at once as
 * there are, where no step stands before it. */
static gy_status run_blocks(const struct gy_predictor *p, const double *rows, size_t n_rows,
                            double *out, void *scratch, int64_t deadline_ns, struct gy_err *err)
{
    const struct gy_features *f = &p->model.features;
    const struct gy_runtime_ops *ops = p->runtime.ops;
    struct room r = room_for(p, n_rows);
    double *x = scratch;
    char *steps = (char *)scratch + r.ready;
    if (waits(p) && f->n_steps == 0) {
        return ops->try_run(p->runtime.self, rows, n_rows, out, deadline_ns, err);
    }
    for (size_t done = 0; done < n_rows; done += r.block) {
        size_t n = n_rows - done < r.block ? n_rows - done : r.block;
        const double *raw = rows + done * f->n_in;
        double *to = out + done * p->info.n_outputs;
        if (f->n_steps) {
            gy_features_apply(f, raw, n, x, (double *)(void *)steps);
            raw = x;
        }
        if (waits(p)) {
            GY_TRY(ops->try_run(p->runtime.self, raw, n, to, deadline_ns, err));
        } else {
            ops->run(p->runtime.self, raw, n, to, steps + r.steps);
        }
    }
    return GY_OK;
}

gy_status gy_predictor_try_run(const struct gy_predictor *p, const double *rows, size_t n_rows,
                               double *out, void *scratch, int64_t deadline_ns, struct gy_err *err)
{
    return run_blocks(p, rows, n_rows, out, scratch, deadline_ns, err);
}

void gy_predictor_run(const struct gy_predictor *p, const double *rows, size_t n_rows, double *out,
                      void *scratch)
{
    if (run_blocks(p, rows, n_rows, out, scratch, 0, NULL) != GY_OK) {
        for (size_t i = 0; i < n_rows * p->info.n_outputs; i++) {
            out[i] = NAN;
        }
    }
}

gy_status gy_predictor_ready(const struct gy_predictor *p, int64_t deadline_ns, struct gy_err *err)
{
    bool asks = waits(p) && p->runtime.ops->ready;
    return asks ? p->runtime.ops->ready(p->runtime.self, deadline_ns, err) : GY_OK;
}

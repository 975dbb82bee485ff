/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/onnx_export.h"

#include <math.h>

#include "base/file.h"
#include "base/mem.h"
#include "learn/evaluate.h"
#include "learn/learners/learners.h"
#include "learn/model.h"
#include "learn/network/weights.h"
#include "learn/runtime/network.h"
#include "learn/runtime/trees.h"
#include "learn/runtime/ubj.h"

struct job {
    struct gy_onnx_writer w;
    const struct gy_model *m;
    struct gy_runtime runtime; /* what answers, to look into */
    struct gy_buf file;        /* the learner's own */
    struct gy_err *err;
};

static gy_status refuse(struct job *j, const char *what)
{
    return gy_err_set(j->err, GY_E_UNSUPPORTED, "%s has no form in ONNX that is written", what);
}

static gy_status no_memory(struct job *j)
{
    return gy_err_set(j->err, GY_E_NOMEM, "exporting a model");
}

/* ---- inputs ---- */

/* A text's place in its vocabulary, as the raw cell has it: -1 for another one, NaN for "". */
static gy_status text_cells(struct job *j, const struct gy_predictor_input *in, const char *name,
                            const char **ret)
{
    size_t n = in->n_values + 1;
    struct gy_str *keys = gy_arena_calloc(&j->w.arena, n, sizeof *keys);
    float *places = gy_arena_calloc(&j->w.arena, n, sizeof *places);
    if (!keys || !places) {
        return no_memory(j);
    }
    for (size_t i = 0; i + 1 < n; i++) {
        keys[i] = in->values[i];
        places[i] = (float)i;
    }
    keys[n - 1] = GY_STR("");
    places[n - 1] = NAN;
    gy_onnx_begin(&j->w, "LabelEncoder", true);
    gy_onnx_in(&j->w, name);
    gy_onnx_attr_strings(&j->w, "keys_strings", keys, n);
    gy_onnx_attr_f32s(&j->w, "values_floats", places, n);
    gy_onnx_attr_f(&j->w, "default_float", (float)GY_CELL_UNSEEN);
    *ret = gy_onnx_cast(&j->w, gy_onnx_end(&j->w, NULL), GY_ONNX_DOUBLE);
    return GY_OK;
}

/* The raw cells of all inputs side by side. */
static gy_status add_inputs(struct job *j, const char **ret)
{
    const struct gy_model *m = j->m;
    const char **cells = gy_arena_calloc(&j->w.arena, m->n_inputs + 1, sizeof *cells);
    if (!cells) {
        return no_memory(j);
    }
    for (size_t i = 0; i < m->n_inputs; i++) {
        const struct gy_predictor_input *in = &m->inputs[i];
        const char *name = gy_arena_printf(&j->w.arena, "%" GY_STR_F, GY_STR_A(in->name));
        bool text = in->kind == GY_INPUT_TEXT;
        if (!name) {
            return no_memory(j);
        }
        if ((text && in->hashed) || (!text && in->kind != GY_INPUT_NUMBER)) {
            return refuse(j, in->kind == GY_INPUT_IMAGE  ? "an input that is a picture"
                             : in->kind == GY_INPUT_TIME ? "an input that is a time"
                                                         : "a text that is hashed");
        }
        gy_onnx_add_input(&j->w, name, text ? GY_ONNX_STRING : GY_ONNX_DOUBLE, 1);
        cells[i] = name;
        if (text) {
            GY_TRY(text_cells(j, in, name, &cells[i]));
        }
    }
    *ret = gy_onnx_concat(&j->w, cells, m->n_inputs);
    return GY_OK;
}

/* ---- learners ---- */

/* The same row for every row: 0 x the first column, NaN or not, plus the values. */
static const char *repeat(struct job *j, const char *x, const double *values, size_t n)
{
    const int64_t dims[2] = {1, (int64_t)n};
    const int64_t first = 0;
    const char *index = gy_onnx_i64s(&j->w, &first, 1);
    gy_onnx_begin(&j->w, "Gather", false);
    gy_onnx_in(&j->w, x);
    gy_onnx_in(&j->w, index);
    gy_onnx_attr_i(&j->w, "axis", 1);
    x = gy_onnx_op1(&j->w, "IsNaN", gy_onnx_end(&j->w, NULL));
    x = gy_onnx_op2(&j->w, "Mul", gy_onnx_cast(&j->w, x, GY_ONNX_DOUBLE), gy_onnx_f64(&j->w, 0));
    return gy_onnx_op2(&j->w, "Add", x, gy_onnx_f64s(&j->w, values, dims, 2));
}

static gy_status add_linear(struct job *j, const char *x, const char **ret)
{
    const struct gy_linear_spec *s = gy_linear_get_spec(j->runtime.self);
    size_t n = s->n_features;
    const int64_t dims[2] = {(int64_t)n, (int64_t)s->n_sets};
    double *weights = gy_arena_calloc(&j->w.arena, n * s->n_sets + 1, sizeof *weights);
    double *bias = gy_arena_calloc(&j->w.arena, s->n_sets, sizeof *bias);
    const char *y = NULL;
    if (!weights || !bias) {
        return no_memory(j);
    }
    for (size_t k = 0; k < s->n_sets; k++) {
        bias[k] = s->weights[k * (n + 1) + n];
        for (size_t i = 0; i < n; i++) {
            weights[i * s->n_sets + k] = s->weights[k * (n + 1) + i];
        }
    }
    y = gy_onnx_op2(&j->w, "MatMul", x, gy_onnx_f64s(&j->w, weights, dims, 2));
    y = gy_onnx_op2(&j->w, "Add", y, gy_onnx_f64s(&j->w, bias, dims + 1, 1));
    switch (s->link) {
    case GY_LINK_IDENTITY:
        break;
    case GY_LINK_SIGMOID:
        y = gy_onnx_op1(&j->w, "Sigmoid", y);
        break;
    case GY_LINK_SOFTMAX:
        y = gy_onnx_op1(&j->w, "Softmax", y);
        break;
    case GY_LINK_EXP:
        y = gy_onnx_op1(&j->w, "Exp", y);
        break;
    }
    if (s->exposure != SIZE_MAX) {
        const int64_t column = (int64_t)s->exposure;
        const char *index = gy_onnx_i64s(&j->w, &column, 1);
        gy_onnx_begin(&j->w, "Gather", false);
        gy_onnx_in(&j->w, x);
        gy_onnx_in(&j->w, index);
        gy_onnx_attr_i(&j->w, "axis", 1);
        y = gy_onnx_op2(&j->w, "Mul", gy_onnx_end(&j->w, NULL), y);
    }
    *ret = y;
    return GY_OK;
}

/* A forest's answers are means of what leaves hold; as probabilities they are cut and sum to 1. */
static gy_status add_forest(struct job *j, const char *x, const char **ret)
{
    size_t n = j->m->task == GY_TASK_MULTICLASS ? j->m->n_classes : 1;
    const char **parts = gy_arena_calloc(&j->w.arena, n, sizeof *parts);
    const int64_t axis = 1;
    if (!parts) {
        return no_memory(j);
    }
    for (size_t k = 0; k < n; k++) {
        GY_TRY(gy_onnx_add_trees(&j->w, gy_forest_part(j->runtime.self, k), x, &parts[k], j->err));
    }
    const char *y = gy_onnx_concat(&j->w, parts, n);
    if (j->m->task != GY_TASK_REGRESSION) {
        const char *low = gy_onnx_f64(&j->w, 0), *high = gy_onnx_f64(&j->w, 1);
        gy_onnx_begin(&j->w, "Clip", false);
        gy_onnx_in(&j->w, y);
        gy_onnx_in(&j->w, low);
        gy_onnx_in(&j->w, high);
        y = gy_onnx_end(&j->w, NULL);
    }
    if (n > 1) {
        const char *axes = gy_onnx_i64s(&j->w, &axis, 1);
        gy_onnx_begin(&j->w, "ReduceSum", false);
        gy_onnx_in(&j->w, y);
        gy_onnx_in(&j->w, axes);
        gy_onnx_attr_i(&j->w, "keepdims", 1);
        y = gy_onnx_op2(&j->w, "Div", y, gy_onnx_end(&j->w, NULL));
    }
    *ret = y;
    return GY_OK;
}

/* One layer on float. */
static gy_status add_layer(struct job *j, const struct gy_net_model *net,
                           const struct gy_net_layer *l, const char **x)
{
    const float *at = net->params + l->at;
    const int64_t dims[2] = {(int64_t)gy_net_cells(l->in), l->units};
    switch (l->kind) {
    case GY_NET_DENSE:
        *x = gy_onnx_op2(&j->w, "MatMul", *x, gy_onnx_f32s(&j->w, at, dims, 2));
        *x = gy_onnx_op2(&j->w, "Add", *x, gy_onnx_f32s(&j->w, at + l->n_weights, dims + 1, 1));
        return GY_OK;
    case GY_NET_RELU:
        *x = gy_onnx_op1(&j->w, "Relu", *x);
        return GY_OK;
    case GY_NET_DROPOUT: /* of training alone */
        return GY_OK;
    case GY_NET_CONV:
    case GY_NET_POOL:
        break;
    }
    return refuse(j, "a network of convolutions");
}

static gy_status add_layers(struct job *j, const struct gy_net_model *net, const char **x)
{
    size_t n = gy_net_cells(net->spec.input);
    const int64_t dims[2] = {1, (int64_t)n};
    double *shift = gy_arena_calloc(&j->w.arena, 2 * n + 1, sizeof *shift);
    if (!shift) {
        return no_memory(j);
    }
    double *scale = shift + n;
    for (size_t i = 0; i < n; i++) {
        shift[i] = (double)net->shift[i % net->spec.input.channels];
        scale[i] = (double)net->scale[i % net->spec.input.channels];
    }
    *x = gy_onnx_op2(&j->w, "Sub", *x, gy_onnx_f64s(&j->w, shift, dims, 2));
    *x = gy_onnx_op2(&j->w, "Mul", *x, gy_onnx_f64s(&j->w, scale, dims, 2));
    *x = gy_onnx_cast(&j->w, *x, GY_ONNX_FLOAT);
    for (size_t i = 0; i < net->spec.n_layers; i++) {
        GY_TRY(add_layer(j, net, &net->spec.layers[i], x));
    }
    *x = gy_onnx_cast(&j->w, *x, GY_ONNX_DOUBLE);
    switch (net->spec.head) {
    case GY_NET_IDENTITY:
        *x = gy_onnx_op2(&j->w, "Mul", *x, gy_onnx_f64(&j->w, net->out_scale));
        *x = gy_onnx_op2(&j->w, "Add", *x, gy_onnx_f64(&j->w, net->out_shift));
        break;
    case GY_NET_SIGMOID:
        *x = gy_onnx_op1(&j->w, "Sigmoid", *x);
        break;
    case GY_NET_SOFTMAX:
        *x = gy_onnx_op1(&j->w, "Softmax", *x);
        break;
    }
    return GY_OK;
}

static gy_status add_network(struct job *j, const char *x, const char **ret)
{
    GY_AUTO_DONE(gy_net_model_done) struct gy_net_model net = {0};
    GY_TRY(gy_net_model_parse(gy_buf_str(&j->file), &net, j->err));
    GY_TRY(add_layers(j, &net, &x));
    *ret = x;
    return GY_OK;
}

static gy_status add_learner(struct job *j, const char *x, const char **ret)
{
    const struct gy_runtime *r = &j->runtime;
    if (r->ops == &gy_constant_ops) {
        *ret = repeat(j, x, j->m->values, j->m->n_values);
        return GY_OK;
    }
    if (r->ops == &gy_linear_ops) {
        return add_linear(j, x, ret);
    }
    if (r->ops == &gy_trees_ops) {
        return gy_onnx_add_trees(&j->w, r->self, x, ret, j->err);
    }
    if (j->m->learner == GY_LEARNER_FOREST) {
        return add_forest(j, x, ret);
    }
    if (r->ops == &gy_network_ops) {
        return add_network(j, x, ret);
    }
    return refuse(j, gy_learner_name(j->m->learner));
}

/* ---- the answer ---- */

/* A name that no input has. */
static const char *output_name(struct job *j, struct gy_str wanted)
{
    const char *name = gy_arena_printf(&j->w.arena, "%" GY_STR_F, GY_STR_A(wanted));
    for (size_t i = 0; name && i < j->m->n_inputs; i++) {
        if (gy_str_eqc(j->m->inputs[i].name, name)) {
            name = gy_arena_printf(&j->w.arena, "%s_", name);
            i = (size_t)-1;
        }
    }
    j->w.failed = j->w.failed || !name;
    return name ? name : "";
}

static void add_identity(struct job *j, const char *x, const char *name)
{
    gy_onnx_begin(&j->w, "Identity", false);
    gy_onnx_in(&j->w, x);
    (void)gy_onnx_end(&j->w, name);
}

static void add_answer(struct job *j, const char *y)
{
    const struct gy_model *m = j->m;
    const char *index = NULL;
    if (m->task == GY_TASK_REGRESSION) {
        const char *name = output_name(j, m->target);
        add_identity(j, y, name);
        gy_onnx_add_output(&j->w, name, GY_ONNX_DOUBLE, 1);
        return;
    }
    const char *label = output_name(j, GY_STR("label"));
    const char *probabilities = output_name(j, GY_STR("probabilities"));
    if (m->task == GY_TASK_BINARY) {
        const int64_t axis = 1;
        const char *axes = gy_onnx_i64s(&j->w, &axis, 1);
        index = gy_onnx_op2(&j->w, "GreaterOrEqual", y, gy_onnx_f64(&j->w, m->threshold));
        index = gy_onnx_op2(&j->w, "Squeeze", gy_onnx_cast(&j->w, index, GY_ONNX_INT64), axes);
        const char *rest = gy_onnx_op2(&j->w, "Sub", gy_onnx_f64(&j->w, 1), y);
        y = gy_onnx_concat(&j->w, (const char *const[]){rest, y}, 2);
    } else {
        gy_onnx_begin(&j->w, "ArgMax", false);
        gy_onnx_in(&j->w, y);
        gy_onnx_attr_i(&j->w, "axis", 1);
        gy_onnx_attr_i(&j->w, "keepdims", 0);
        index = gy_onnx_end(&j->w, NULL);
    }
    gy_onnx_begin(&j->w, "Gather", false);
    gy_onnx_in(&j->w, gy_onnx_strings(&j->w, GY_ONNX_CLASSES_NAME, m->classes, m->n_classes));
    gy_onnx_in(&j->w, index);
    (void)gy_onnx_end(&j->w, label);
    add_identity(j, y, probabilities);
    gy_onnx_add_output(&j->w, label, GY_ONNX_STRING, -1);
    gy_onnx_add_output(&j->w, probabilities, GY_ONNX_DOUBLE, (int64_t)m->n_classes);
}

/* ---- the package ---- */

static gy_status write_all(struct job *j, struct gy_buf *out)
{
    const char *x = NULL;
    GY_TRY(add_inputs(j, &x));
    GY_TRY(gy_onnx_add_steps(&j->w, &j->m->features, x, &x, j->err));
    GY_TRY(add_learner(j, x, &x));
    add_answer(j, x);
    const char *doc = gy_arena_printf(&j->w.arena, "%s of %" GY_STR_F,
                                      gy_learner_name(j->m->learner), GY_STR_A(j->m->target));
    return doc ? gy_onnx_write_end(&j->w, "model", "gyre", doc, out, j->err) : no_memory(j);
}

static gy_status load(struct job *j, const char *dir)
{
    char path[GY_MAX_PATH];
    if (j->m->learner == GY_LEARNER_ONNX || j->m->learner == GY_LEARNER_LIGHTGBM) {
        return gy_err_set(j->err, GY_E_UNSUPPORTED, "a model of kind %s is not exported again",
                          gy_learner_name(j->m->learner));
    }
    if (j->m->learner == GY_LEARNER_CHAIN) {
        (void)gy_err_set(j->err, GY_E_UNSUPPORTED, "a chain is not exported as one ONNX file");
        return gy_err_hint(j->err, "export its parts, each by itself: DIR/parts/0, DIR/parts/1");
    }
    if (j->m->file.p) {
        GY_TRY(gy_path_join(path, sizeof path, dir, j->m->file.p, j->err));
        GY_TRY(gy_file_read(path, &j->file, j->err));
    }
    GY_TRY(gy_learner_get(j->m->learner)->load(j->m, gy_buf_str(&j->file), &j->runtime, j->err));
    if (j->runtime.ops == &gy_trees_ops && j->m->n_values == 1) { /* of a training that stopped */
        gy_trees_cut(j->runtime.self, (size_t)j->m->values[0]);
    }
    return GY_OK;
}

gy_status gy_onnx_export(const char *dir, struct gy_buf *out, struct gy_err *err)
{
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    GY_TRY(gy_predictor_load(dir, &p, err)); /* every check that serving makes */
    struct job j = {.m = gy_predictor_model(p), .err = err};
    gy_onnx_write_init(&j.w);
    gy_buf_init(&j.file, GY_MAX_MODEL_FILE);
    gy_status status = load(&j, dir);
    if (status == GY_OK) {
        status = write_all(&j, out);
    }
    if (j.runtime.ops) {
        j.runtime.ops->free(j.runtime.self);
    }
    gy_buf_done(&j.file);
    gy_onnx_write_done(&j.w);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/runtime/onnx.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "learn/runtime/onnx_api.h"
#include "learn/runtime/onnx_scan.h"

#define MAX_OUTPUTS 64 /* each is tried at load */
#define MAX_INPUTS 512
#define UNSEEN "\x01" /* handed on for a text outside the vocabulary: no encoder knows it */

struct input {
    const char *name;
    size_t width; /* columns */
    size_t size;  /* bytes of an element */
    size_t n_dims;
    int64_t dims[GY_ONNX_MAX_DIMS]; /* dims[0] is the number of rows */
    enum gy_datatype datatype;
    unsigned type;
};

/* An output that answers. */
struct answer {
    const char *name;
    size_t first, width; /* its values in a row */
};

struct gy_onnx {
    struct gy_onnx_info info;
    struct gy_arena arena;
    struct gy_onnx_graph graph;
    const struct gy_ort *ort;
    OrtSession *session;
    OrtMemoryInfo *memory;
    OrtAllocator *allocator; /* the library's own; never released */
    struct input *inputs;
    size_t n_inputs;
    struct answer *answers;
    const char **answer_names;
    size_t n_answers;
    bool second; /* two classes: the answer is the second value */
    size_t file_bytes;
};

static gy_status refuse(struct gy_err *err, const char *what, const char *hint)
{
    (void)gy_err_set(err, GY_E_NOTSERVABLE, "%s", what);
    return hint ? gy_err_hint(err, "%s", hint) : GY_E_NOTSERVABLE;
}

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "loading an ONNX model");
}

static size_t aligned(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

/* ---- inputs ---- */

static bool datatype_of(unsigned type, enum gy_datatype *ret)
{
    static const struct {
        bool known;
        enum gy_datatype datatype;
    } types[GY_ORT_TYPES] = {
        [GY_ORT_FLOAT] = {true, GY_DATATYPE_FP32},    [GY_ORT_UINT8] = {true, GY_DATATYPE_UINT8},
        [GY_ORT_INT8] = {true, GY_DATATYPE_INT8},     [GY_ORT_UINT16] = {true, GY_DATATYPE_UINT16},
        [GY_ORT_INT16] = {true, GY_DATATYPE_INT16},   [GY_ORT_INT32] = {true, GY_DATATYPE_INT32},
        [GY_ORT_INT64] = {true, GY_DATATYPE_INT64},   [GY_ORT_STRING] = {true, GY_DATATYPE_BYTES},
        [GY_ORT_BOOL] = {true, GY_DATATYPE_BOOL},     [GY_ORT_FLOAT16] = {true, GY_DATATYPE_FP16},
        [GY_ORT_DOUBLE] = {true, GY_DATATYPE_FP64},   [GY_ORT_UINT32] = {true, GY_DATATYPE_UINT32},
        [GY_ORT_UINT64] = {true, GY_DATATYPE_UINT64}, [GY_ORT_BFLOAT16] = {true, GY_DATATYPE_BF16},
    };
    bool known = type < GY_ORT_TYPES && types[type].known;
    *ret = known ? types[type].datatype : GY_DATATYPE_FP32;
    return known;
}

/* The input's columns: the product of what stands behind the rows. open: columns for the one
 * dimension that the graph leaves open. */
static gy_status read_input(const struct gy_onnx_value *v, size_t open, struct input *in,
                            bool *row_by_row, struct gy_err *err)
{
    char what[160];
    *in = (struct input){
        .name = v->name.p, .width = 1, .type = (unsigned)v->type, .n_dims = v->n_dims};
    bool known = datatype_of(in->type, &in->datatype);
    in->size = in->type == GY_ORT_STRING ? sizeof(char *) : gy_datatype_size(in->datatype);
    if (!v->tensor || !v->shaped || !known || v->n_dims == 0 || v->name.n == 0) {
        (void)snprintf(what, sizeof what, "the ONNX input '%.60s' is no tensor of numbers or texts",
                       v->name.p ? v->name.p : "");
        return refuse(err, what, NULL);
    }
    if (v->dims[0] > 1) {
        (void)snprintf(what, sizeof what, "the ONNX input '%.60s' takes %lld rows at a time",
                       v->name.p, (long long)v->dims[0]);
        return refuse(err, what, "export it with an open first dimension (a dynamic batch)");
    }
    *row_by_row = *row_by_row || v->dims[0] == 1;
    for (size_t i = 1; i < v->n_dims; i++) {
        int64_t d = v->dims[i] >= 0 ? v->dims[i] : (int64_t)open;
        open = v->dims[i] >= 0 ? open : 0; /* one only */
        if (d <= 0 || d > GY_ONNX_MAX_FEATURES || in->width * (size_t)d > GY_ONNX_MAX_FEATURES) {
            (void)snprintf(what, sizeof what,
                           "the ONNX input '%.60s' does not say how many columns it takes",
                           v->name.p);
            return refuse(err, what, "name the inputs (a signature), or export it with its shape");
        }
        in->dims[i] = d;
        in->width *= (size_t)d;
    }
    return GY_OK;
}

static gy_status add_columns(struct gy_onnx *m, struct gy_onnx_column *columns,
                             const struct input *in, struct gy_err *err)
{
    for (size_t i = 0; i < in->width; i++) {
        struct gy_onnx_column *c = &columns[m->info.n_features++];
        c->alone = in->width == 1;
        c->text = in->type == GY_ORT_STRING;
        double min, max;
        c->integer = gy_datatype_range(in->datatype, &min, &max);
        c->name = gy_str_c(in->width == 1 ? gy_arena_printf(&m->arena, "%s", in->name)
                                          : gy_arena_printf(&m->arena, "%.200s[%zu]", in->name, i));
        if (!c->name.p) {
            return no_memory(err);
        }
    }
    return GY_OK;
}

static gy_status read_inputs(struct gy_onnx *m, size_t n_columns, struct gy_err *err)
{
    const struct gy_onnx_graph *g = &m->graph;
    size_t total = 0;
    if (g->n_inputs == 0 || g->n_inputs > MAX_INPUTS) {
        return gy_err_set(err, GY_E_NOTSERVABLE, "an ONNX model with %zu inputs", g->n_inputs);
    }
    m->inputs = gy_arena_calloc(&m->arena, g->n_inputs, sizeof *m->inputs);
    if (!m->inputs) {
        return no_memory(err);
    }
    m->n_inputs = g->n_inputs;
    for (size_t i = 0; i < g->n_inputs; i++) {
        GY_TRY(read_input(&g->inputs[i], g->n_inputs == 1 ? n_columns : 1, &m->inputs[i],
                          &m->info.row_by_row, err));
        total += m->inputs[i].width;
    }
    if (total > GY_ONNX_MAX_FEATURES) {
        return gy_err_set(err, GY_E_TOOBIG, "an ONNX model with %zu columns", total);
    }
    struct gy_onnx_column *columns = gy_arena_calloc(&m->arena, total, sizeof *columns);
    if (!columns) {
        return no_memory(err);
    }
    for (size_t i = 0; i < m->n_inputs; i++) {
        GY_TRY(add_columns(m, columns, &m->inputs[i], err));
    }
    m->info.columns = columns;
    m->info.vocabulary = g->texts;
    m->info.n_vocabulary = g->n_texts;
    return GY_OK;
}

/* The graph's inputs as tensors of their own. */
static gy_status group_inputs(struct gy_onnx *m, struct gy_err *err)
{
    struct gy_tensor_group *groups = gy_arena_calloc(&m->arena, m->n_inputs, sizeof *groups);
    size_t first = 0;
    if (!groups) {
        return no_memory(err);
    }
    for (size_t i = 0; i < m->n_inputs; i++) {
        const struct input *in = &m->inputs[i];
        groups[i] = (struct gy_tensor_group){.name = gy_str_c(in->name),
                                             .first = first,
                                             .width = in->width,
                                             .n_dims = in->n_dims - 1,
                                             .type = in->datatype};
        for (size_t k = 1; k < in->n_dims; k++) {
            groups[i].dims[k - 1] = (uint32_t)in->dims[k];
        }
        first += in->width;
    }
    m->info.in_tensors = groups;
    m->info.n_in_tensors = m->n_inputs;
    return GY_OK;
}

/* Is each input a column, or the only one a table? */
static bool has_columns(const struct gy_onnx *m)
{
    bool columns = true;
    for (size_t i = 0; i < m->n_inputs; i++) {
        columns =
            columns && m->inputs[i].n_dims <= 2 && (m->n_inputs == 1 || m->inputs[i].width == 1);
    }
    return columns;
}

/* ---- running ---- */

/* Column `at` of the rows into the tensor's memory. */
static void fill_numbers(const struct gy_onnx *m, const struct input *in, const double *x,
                         size_t n_rows, void *memory)
{
    size_t stride = m->info.n_features;
    size_t k = 0;
    for (size_t r = 0; r < n_rows; r++, x += stride) {
        for (size_t i = 0; i < in->width; i++, k++) {
            double v = x[i];
            /* Whole numbers have no NaN: a missing one is 0, a huge one the largest. */
            double whole = !(v == v) ? 0 : v > 9e18 ? 9e18 : v < -9e18 ? -9e18 : v;
            switch (in->type) {
            case GY_ORT_FLOAT:
                ((float *)memory)[k] = (float)v;
                break;
            case GY_ORT_DOUBLE:
                ((double *)memory)[k] = v;
                break;
            case GY_ORT_INT64:
                ((int64_t *)memory)[k] = (int64_t)whole;
                break;
            default:
                gy_datatype_put(in->datatype, v, (char *)memory + k * in->size);
            }
        }
    }
}

static void fill_texts(const struct gy_onnx *m, const struct input *in, const double *x,
                       size_t n_rows, const char **memory)
{
    size_t k = 0;
    for (size_t r = 0; r < n_rows; r++, x += m->info.n_features) {
        for (size_t i = 0; i < in->width; i++, k++) {
            bool known = x[i] >= 0 && x[i] < (double)m->info.n_vocabulary;
            memory[k] = known ? m->info.vocabulary[(size_t)x[i]].p : x[i] != x[i] ? "" : UNSEEN;
        }
    }
}

static gy_status make_tensor(const struct gy_onnx *m, const struct input *in, const double *x,
                             size_t n_rows, void *memory, OrtValue **ret, struct gy_err *err)
{
    int64_t dims[GY_ONNX_MAX_DIMS];
    size_t n = n_rows * in->width;
    memcpy(dims, in->dims, sizeof dims);
    dims[0] = (int64_t)n_rows;
    if (in->type != GY_ORT_STRING) {
        fill_numbers(m, in, x, n_rows, memory);
        return gy_ort_check(m->ort,
                            m->ort->CreateTensorWithDataAsOrtValue(m->memory, memory, n * in->size,
                                                                   dims, in->n_dims, in->type, ret),
                            GY_E_IO, "an input of the ONNX model", err);
    }
    fill_texts(m, in, x, n_rows, memory);
    GY_TRY(gy_ort_check(
        m->ort, m->ort->CreateTensorAsOrtValue(m->allocator, dims, in->n_dims, in->type, ret),
        GY_E_IO, "an input of the ONNX model", err));
    return gy_ort_check(m->ort, m->ort->FillStringTensor(*ret, memory, n), GY_E_IO,
                        "an input of the ONNX model", err);
}

/* What an output looks like. */
struct shape {
    bool tensor;
    unsigned type;
    size_t n_values;
    size_t n_dims;
    int64_t rows; /* the first dimension; 1 for a number alone */
    int64_t dims[GY_ONNX_MAX_DIMS];
};

static gy_status look(const struct gy_ort *ort, const OrtValue *value, struct shape *ret,
                      struct gy_err *err)
{
    unsigned kind = 0;
    int64_t dims[GY_ONNX_MAX_DIMS] = {1};
    OrtTensorTypeAndShapeInfo *info = NULL;
    *ret = (struct shape){.n_values = 1};
    GY_TRY(gy_ort_check(ort, ort->GetValueType(value, &kind), GY_E_IO, "an ONNX output", err));
    if (kind != GY_ORT_TYPE_TENSOR) {
        return GY_OK;
    }
    ret->tensor = true;
    GY_TRY(gy_ort_check(ort, ort->GetTensorTypeAndShape(value, &info), GY_E_IO, "an ONNX output",
                        err));
    OrtStatus *bad = ort->GetTensorElementType(info, &ret->type);
    bad = bad ? bad : ort->GetDimensionsCount(info, &ret->n_dims);
    bool many = ret->n_dims > GY_ONNX_MAX_DIMS;
    bad = bad || many ? bad : ort->GetDimensions(info, dims, ret->n_dims);
    ort->ReleaseTensorTypeAndShapeInfo(info);
    GY_TRY(gy_ort_check(ort, bad, GY_E_IO, "an ONNX output", err));
    for (size_t i = 0; !many && i < ret->n_dims; i++) {
        ret->n_values *= dims[i] < 0 ? 0 : (size_t)dims[i];
    }
    ret->rows = many ? -1 : dims[0];
    memcpy(ret->dims, dims, sizeof dims);
    return GY_OK;
}

/* The values of output k into the rows of out. */
static gy_status take_answer(const struct gy_onnx *m, size_t k, OrtValue *value, size_t n_rows,
                             double *out, struct gy_err *err)
{
    const struct answer *a = &m->answers[k];
    struct shape s;
    enum gy_datatype type;
    void *data = NULL;
    GY_TRY(look(m->ort, value, &s, err));
    if (!s.tensor || !datatype_of(s.type, &type) || type == GY_DATATYPE_BYTES ||
        s.n_values != n_rows * a->width) {
        return gy_err_set(err, GY_E_IO, "the ONNX model answers %zu rows with %zu values", n_rows,
                          s.n_values);
    }
    GY_TRY(gy_ort_check(m->ort, m->ort->GetTensorMutableData(value, &data), GY_E_IO,
                        "an ONNX output", err));
    const char *from = data;
    size_t size = gy_datatype_size(type), n = m->second ? 1 : a->width;
    for (size_t row = 0; row < n_rows; row++, out += m->info.n_outputs) {
        const char *p = from + (row * a->width + m->second) * size;
        for (size_t i = 0; i < n; i++) {
            out[a->first + i] = gy_datatype_get(type, p + i * size);
        }
    }
    return GY_OK;
}

/* Run the graph; *ret_values are the outputs of those names, released by the caller. */
static gy_status run_session(const struct gy_onnx *m, const double *x, size_t n_rows,
                             const char *const *outputs, size_t n_outputs, OrtValue **ret_values,
                             char *scratch, struct gy_err *err)
{
    OrtValue *values[MAX_INPUTS] = {NULL};
    const char *names[MAX_INPUTS];
    gy_status status = GY_OK;
    size_t made = 0;
    for (size_t i = 0; status == GY_OK && i < m->n_inputs; i++) {
        const struct input *in = &m->inputs[i];
        status = make_tensor(m, in, x, n_rows, scratch, &values[i], err);
        names[i] = in->name;
        scratch += aligned(n_rows * in->width * in->size);
        x += in->width;
        made++;
    }
    if (status == GY_OK) {
        status = gy_ort_check(m->ort,
                              m->ort->Run(m->session, NULL, names, (const OrtValue *const *)values,
                                          m->n_inputs, outputs, n_outputs, ret_values),
                              GY_E_IO, "running the ONNX model", err);
    }
    for (size_t i = 0; i < made; i++) {
        if (values[i]) {
            m->ort->ReleaseValue(values[i]);
        }
    }
    return status;
}

gy_status gy_onnx_run(const struct gy_onnx *m, const double *x, size_t n_rows, double *out,
                      void *scratch, struct gy_err *err)
{
    size_t step = m->info.row_by_row ? 1 : n_rows;
    for (size_t r = 0; r < n_rows; r += step) {
        OrtValue *values[MAX_OUTPUTS] = {NULL};
        gy_status status = run_session(m, x + r * m->info.n_features, step, m->answer_names,
                                       m->n_answers, values, scratch, err);
        for (size_t k = 0; status == GY_OK && k < m->n_answers; k++) {
            status = take_answer(m, k, values[k], step, out + r * m->info.n_outputs, err);
        }
        for (size_t k = 0; k < m->n_answers; k++) {
            if (values[k]) {
                m->ort->ReleaseValue(values[k]);
            }
        }
        GY_TRY(status);
    }
    return GY_OK;
}

static size_t scratch_bytes(const struct gy_onnx *m, size_t n_rows)
{
    size_t bytes = 0;
    for (size_t i = 0; i < m->n_inputs; i++) {
        bytes += aligned(n_rows * m->inputs[i].width * m->inputs[i].size);
    }
    return bytes;
}

/* ---- what it answers with ---- */

/* The shapes of all outputs for n_rows rows of zeros. */
static gy_status try_rows(const struct gy_onnx *m, size_t n_rows, struct shape *shapes,
                          struct gy_err *err)
{
    GY_AUTO(gy_free) char *rows = gy_calloc(n_rows * m->info.n_features, sizeof(double));
    GY_AUTO(gy_free) char *scratch = gy_malloc(scratch_bytes(m, n_rows));
    if (!rows || !scratch) {
        return no_memory(err);
    }
    for (size_t i = 0; i < m->graph.n_outputs; i++) {
        OrtValue *value = NULL;
        GY_TRY(run_session(m, (const double *)(void *)rows, n_rows, &m->graph.outputs[i].name.p, 1,
                           &value, scratch, err));
        gy_status status = look(m->ort, value, &shapes[i], err);
        m->ort->ReleaseValue(value);
        GY_TRY(status);
    }
    return GY_OK;
}

static bool is_number(const struct shape *s)
{
    return s->tensor && (s->type == GY_ORT_FLOAT || s->type == GY_ORT_DOUBLE);
}

static bool is_label(const struct shape *s)
{
    return s->tensor && (s->type == GY_ORT_INT64 || s->type == GY_ORT_STRING) && s->n_values == 1;
}

/* Labels for n classes: the graph's own, else "0", "1", ... */
static gy_status set_classes(struct gy_onnx *m, size_t n, struct gy_err *err)
{
    struct gy_str *classes = gy_arena_calloc(&m->arena, n, sizeof *classes);
    if (!classes) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        classes[i] = m->graph.n_labels == n ? gy_arena_str(&m->arena, m->graph.labels[i])
                                            : gy_str_c(gy_arena_printf(&m->arena, "%zu", i));
        if (!classes[i].p) {
            return no_memory(err);
        }
    }
    m->info.classes = classes;
    m->info.n_classes = n;
    return GY_OK;
}

static gy_status set_answers(struct gy_onnx *m, size_t n, struct gy_err *err)
{
    m->answers = gy_arena_calloc(&m->arena, n, sizeof *m->answers);
    m->answer_names = gy_arena_calloc(&m->arena, n, sizeof *m->answer_names);
    m->n_answers = n;
    return m->answers && m->answer_names ? GY_OK : no_memory(err);
}

static gy_status set_output(struct gy_onnx *m, const struct gy_onnx_value *v, size_t width,
                            bool probabilities, struct gy_err *err)
{
    GY_TRY(set_answers(m, 1, err));
    m->answers[0] = (struct answer){.name = v->name.p, .width = width};
    m->answer_names[0] = v->name.p;
    m->info.n_outputs = 1;
    if (!probabilities) {
        return GY_OK;
    }
    m->info.task = width <= 2 ? GY_ONNX_BINARY : GY_ONNX_CLASSES;
    m->second = width == 2;
    m->info.n_outputs = width <= 2 ? 1 : width;
    return set_classes(m, width == 1 ? 2 : width, err);
}

/* One of several tensors that answer: a row of it for each row. */
static gy_status set_tensor(struct gy_onnx *m, size_t i, const struct shape *s,
                            struct gy_tensor_group *ret, struct gy_err *err)
{
    const struct gy_onnx_value *v = &m->graph.outputs[i];
    enum gy_datatype type;
    char what[160];
    size_t first = m->info.n_outputs;
    if (!s->tensor || !datatype_of(s->type, &type) || type == GY_DATATYPE_BYTES || s->rows != 1 ||
        s->n_dims == 0 || s->n_values == 0) {
        (void)snprintf(what, sizeof what,
                       "the ONNX output '%.60s' is no tensor of numbers with a row for each row",
                       v->name.p);
        return refuse(err, what,
                      "export a label with its probabilities, or tensors of numbers "
                      "whose first dimension is the batch");
    }
    if (s->n_values > GY_ONNX_MAX_ANSWER || first + s->n_values > GY_ONNX_MAX_ANSWER) {
        return gy_err_set(err, GY_E_NOTSERVABLE,
                          "the ONNX model answers a row with more than %d values",
                          GY_ONNX_MAX_ANSWER);
    }
    *ret = (struct gy_tensor_group){.name = v->name,
                                    .first = first,
                                    .width = s->n_values,
                                    .n_dims = s->n_dims - 1,
                                    .type = type};
    for (size_t k = 1; k < s->n_dims; k++) {
        ret->dims[k - 1] = (uint32_t)s->dims[k];
    }
    m->answers[i] = (struct answer){.name = v->name.p, .first = first, .width = s->n_values};
    m->answer_names[i] = v->name.p;
    m->info.n_outputs += s->n_values;
    return GY_OK;
}

static gy_status set_tensors(struct gy_onnx *m, const struct shape *shapes, struct gy_err *err)
{
    size_t n = m->graph.n_outputs;
    if (n > GY_ONNX_MAX_TENSORS) {
        return gy_err_set(err, GY_E_NOTSERVABLE, "an ONNX model with %zu outputs of numbers", n);
    }
    struct gy_tensor_group *groups = gy_arena_calloc(&m->arena, n, sizeof *groups);
    if (!groups) {
        return no_memory(err);
    }
    GY_TRY(set_answers(m, n, err));
    for (size_t i = 0; i < n; i++) {
        GY_TRY(set_tensor(m, i, &shapes[i], &groups[i], err));
    }
    m->info.task = GY_ONNX_TENSORS;
    m->info.out_tensors = groups;
    m->info.n_out_tensors = n;
    return m->info.n_in_tensors ? GY_OK : group_inputs(m, err);
}

/* What the outputs are like. */
struct outputs {
    size_t n_numbers;   /* of floating point */
    size_t answer;      /* the last of them */
    size_t n_whole;     /* tensors of whole numbers, more than a label for the row */
    bool label, others; /* there is a label; something that is no tensor */
};

static struct outputs look_at_outputs(const struct gy_onnx *m, const struct shape *shapes)
{
    struct outputs o = {0};
    enum gy_datatype type;
    for (size_t i = 0; i < m->graph.n_outputs; i++) {
        o.others = o.others || !shapes[i].tensor;
        if (is_number(&shapes[i])) {
            o.n_numbers++;
            o.answer = i;
        } else if (is_label(&shapes[i])) {
            o.label = true;
        } else {
            o.n_whole +=
                shapes[i].tensor && datatype_of(shapes[i].type, &type) && type != GY_DATATYPE_BYTES;
        }
    }
    return o;
}

/* Which output answers: beside a label the probabilities; alone what made it tells; else all of
 * them do, as tensors. */
static gy_status choose_output(struct gy_onnx *m, const struct shape *shapes, struct gy_err *err)
{
    const struct gy_onnx_graph *g = &m->graph;
    struct outputs o = look_at_outputs(m, shapes);
    if (o.n_numbers == 0 && o.n_whole == 0) {
        return refuse(err,
                      o.others ? "the ONNX model answers with maps (ZipMap), not with a tensor"
                               : "the ONNX model gives no numbers, only labels or nothing",
                      o.others ? "export it with options={'zipmap': False}"
                               : "export it with its probabilities");
    }
    if (o.n_numbers != 1 || o.n_whole > 0) {
        return set_tensors(m, shapes, err);
    }
    size_t width = shapes[o.answer].n_values;
    struct gy_str made_by = gy_onnx_made_by(g, g->outputs[o.answer].name);
    bool softmax = gy_str_eqc(made_by, "Softmax");
    if (width > 1 && !o.label && !softmax) {
        return set_tensors(m, shapes, err);
    }
    if (width == 0 || width > GY_ONNX_MAX_CLASSES) {
        return gy_err_set(err, GY_E_NOTSERVABLE, "the ONNX model answers a row with %zu values",
                          width);
    }
    return set_output(m, &g->outputs[o.answer], width,
                      o.label || softmax || (width == 1 && gy_str_eqc(made_by, "Sigmoid")), err);
}

static bool is_answer(const struct gy_onnx *m, struct gy_str name)
{
    for (size_t k = 0; k < m->n_answers; k++) {
        if (gy_str_eqc(name, m->answers[k].name)) {
            return true;
        }
    }
    return false;
}

/* With GY_RUNTIME_BLOCK rows at once, or each alone. */
static gy_status try_graph(struct gy_onnx *m, struct gy_err *err)
{
    size_t n = m->graph.n_outputs;
    struct shape *one = gy_arena_calloc(&m->arena, n + 1, sizeof *one);
    struct shape *many = gy_arena_calloc(&m->arena, n + 1, sizeof *many);
    if (!one || !many) {
        return no_memory(err);
    }
    struct gy_err why = GY_ERR_INIT;
    gy_status status = try_rows(m, 1, one, &why);
    if (status != GY_OK) {
        return gy_err_set(err, status == GY_E_IO ? GY_E_NOTSERVABLE : status,
                          "the ONNX model does not answer a row of zeros: %s", why.msg);
    }
    GY_TRY(choose_output(m, one, err));
    if (m->info.row_by_row) {
        return GY_OK;
    }
    status = try_rows(m, GY_RUNTIME_BLOCK, many, NULL);
    if (status == GY_E_NOMEM) {
        return no_memory(err);
    }
    m->info.row_by_row = status != GY_OK;
    for (size_t i = 0; status == GY_OK && i < n; i++) {
        bool answers = is_answer(m, m->graph.outputs[i].name);
        m->info.row_by_row = m->info.row_by_row ||
                             (answers && (many[i].n_values != GY_RUNTIME_BLOCK * one[i].n_values ||
                                          many[i].rows != GY_RUNTIME_BLOCK));
    }
    return GY_OK;
}

/* ---- loading ---- */

static gy_status open_session(struct gy_onnx *m, struct gy_str bytes, struct gy_err *err)
{
    OrtSessionOptions *options = NULL;
    GY_TRY(gy_ort_open(&m->ort, err));
    const struct gy_ort *ort = m->ort;
    GY_TRY(gy_ort_check(ort, ort->CreateSessionOptions(&options), GY_E_NOMEM, "ONNX Runtime", err));
    OrtStatus *bad = ort->SetIntraOpNumThreads(options, 1);
    bad = bad ? bad : ort->SetInterOpNumThreads(options, 1);
    bad = bad ? bad : ort->CreateCpuMemoryInfo(GY_ORT_DEVICE_ALLOCATOR, GY_ORT_MEM, &m->memory);
    bad = bad ? bad : ort->GetAllocatorWithDefaultOptions(&m->allocator);
    gy_status status = gy_ort_check(ort, bad, GY_E_NOMEM, "ONNX Runtime", err);
    if (status == GY_OK) {
        status = gy_ort_check(
            ort, ort->CreateSessionFromArray(ort->env, bytes.p, bytes.n, options, &m->session),
            GY_E_NOTSERVABLE, "ONNX Runtime refuses the model", err);
    }
    ort->ReleaseSessionOptions(options);
    return status;
}

gy_status gy_onnx_parse(struct gy_str bytes, size_t n_columns, struct gy_onnx **ret,
                        struct gy_err *err)
{
    GY_AUTO(gy_onnx_free) struct gy_onnx *m = gy_calloc(1, sizeof *m);
    if (!m) {
        return no_memory(err);
    }
    gy_arena_init(&m->arena, GY_ONNX_MAX_MEMORY);
    GY_TRY(gy_onnx_scan(bytes, &m->arena, &m->graph, err));
    if (m->graph.n_outputs > MAX_OUTPUTS) {
        return gy_err_set(err, GY_E_TOOBIG, "an ONNX model with %zu outputs; at most %d",
                          m->graph.n_outputs, MAX_OUTPUTS);
    }
    GY_TRY(read_inputs(m, n_columns, err));
    GY_TRY(open_session(m, bytes, err));
    GY_TRY(has_columns(m) ? GY_OK : group_inputs(m, err));
    GY_TRY(try_graph(m, err));
    m->info.producer = gy_arena_str(&m->arena, m->graph.producer);
    m->file_bytes = bytes.n;
    m->graph.nodes = NULL; /* views into bytes */
    m->graph.labels = NULL;
    *ret = GY_TAKE(m);
    return GY_OK;
}

const struct gy_onnx_info *gy_onnx_get_info(const struct gy_onnx *m)
{
    return &m->info;
}

void gy_onnx_free(struct gy_onnx *m)
{
    if (!m) {
        return;
    }
    if (m->session) {
        m->ort->ReleaseSession(m->session);
    }
    if (m->memory) {
        m->ort->ReleaseMemoryInfo(m->memory);
    }
    gy_arena_done(&m->arena);
    gy_free(m);
}

/* ---- as a runtime ---- */

static size_t runtime_scratch(const void *self, size_t n_rows)
{
    return scratch_bytes(self, n_rows);
}

static void runtime_run(const void *self, const double *x, size_t n_rows, double *out,
                        void *scratch)
{
    const struct gy_onnx *m = self;
    if (gy_onnx_run(m, x, n_rows, out, scratch, NULL) != GY_OK) {
        for (size_t i = 0; i < n_rows * m->info.n_outputs; i++) {
            out[i] = NAN;
        }
    }
}

static void runtime_free(void *self)
{
    gy_onnx_free(self);
}

/* ONNX Runtime does not tell what a session takes. Most of a file are its weights, and the session
 * has a copy of them. */
static size_t runtime_bytes(const void *self)
{
    const struct gy_onnx *m = self;
    return sizeof *m + m->arena.total_bytes + m->file_bytes;
}

const struct gy_runtime_ops gy_onnx_ops = {.version = 3,
                                           .name = "onnx",
                                           .scratch = runtime_scratch,
                                           .run = runtime_run,
                                           .free = runtime_free,
                                           .bytes = runtime_bytes};

/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/runtime/onnx_scan.h"

#include <endian.h>
#include <stdlib.h>

/* ---- the wire format of protobuf ---- */

enum wire_type { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

struct field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;     /* VARINT */
    struct gy_str text; /* BYTES, and the 4 or 8 bytes of a fixed one */
};

/* Tensors are looked for one by one: what is honest has far fewer. */
#define MAX_WEIGHTS (1 << 17)
#define MAX_LOOKUPS 64

struct scan {
    struct gy_arena *arena;
    struct gy_onnx_graph *graph;
    struct weight *weights; /* tensors with a name */
    size_t n_weights;
    struct text *texts;
    size_t n_texts;
    int depth;
    struct gy_err *err;
};

/* A tensor of the graph, which an input of the same name is not to be asked for. */
struct weight {
    struct gy_str name, tensor;
    struct weight *next;
};

struct text {
    struct gy_str text;
    struct text *next;
};

static gy_status corrupt(struct scan *s)
{
    return gy_err_set(s->err, GY_E_CORRUPT, "not an ONNX model: the protobuf is damaged");
}

static gy_status no_memory(struct scan *s)
{
    return gy_err_set(s->err, GY_E_NOMEM, "reading an ONNX model");
}

static bool varint(struct gy_str *rest, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (rest->n == 0) {
            return false;
        }
        unsigned char c = (unsigned char)*rest->p;
        rest->p++;
        rest->n--;
        v |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80)) {
            *ret = v;
            return true;
        }
    }
    return false;
}

static bool take(struct gy_str *rest, uint64_t n, struct gy_str *ret)
{
    if (n > rest->n) {
        return false;
    }
    *ret = gy_str_n(rest->p, (size_t)n);
    rest->p += n;
    rest->n -= (size_t)n;
    return true;
}

/* The next field of a message; false at its end, or (*ok false) where it is damaged. */
static bool next_field(struct gy_str *rest, struct field *f, bool *ok)
{
    uint64_t key = 0;
    if (rest->n == 0) {
        return false;
    }
    *f = (struct field){0};
    *ok = varint(rest, &key) && key >> 3 > 0 && key >> 3 < UINT32_MAX;
    f->number = (uint32_t)(key >> 3);
    switch (key & 7) {
    case VARINT:
        *ok = *ok && varint(rest, &f->value);
        break;
    case FIXED64:
        *ok = *ok && take(rest, 8, &f->text);
        break;
    case BYTES:
        *ok = *ok && varint(rest, &f->value) && take(rest, f->value, &f->text);
        break;
    case FIXED32:
        *ok = *ok && take(rest, 4, &f->text);
        break;
    default:
        *ok = false;
    }
    f->type = (enum wire_type)(key & 7);
    return *ok;
}

/* ---- tensors ---- */

/* TensorProto: dims = 1, data_type = 2, int32_data = 5, string_data = 6, int64_data = 7, name = 8,
 * raw_data = 9, external_data = 13, data_location = 14. */
static gy_status scan_tensor(struct scan *s, struct gy_str tensor)
{
    struct gy_str rest = tensor, name = GY_STR_NULL;
    struct field f;
    bool ok = true;
    while (next_field(&rest, &f, &ok)) {
        if ((f.number == 14 && f.value != 0) || f.number == 13) {
            return gy_err_set(s->err, GY_E_NOTSERVABLE,
                              "the ONNX model keeps weights in other files (external data): save "
                              "it as one file");
        }
        name = f.number == 8 && f.type == BYTES ? f.text : name;
    }
    if (!ok) {
        return corrupt(s);
    }
    if (name.n == 0) {
        return GY_OK;
    }
    if (++s->n_weights > MAX_WEIGHTS) {
        return gy_err_set(s->err, GY_E_TOOBIG, "an ONNX model with more than %d tensors",
                          MAX_WEIGHTS);
    }
    struct weight *w = gy_arena_calloc(s->arena, 1, sizeof *w);
    if (!w) {
        return no_memory(s);
    }
    *w = (struct weight){.name = name, .tensor = tensor, .next = s->weights};
    s->weights = w;
    return GY_OK;
}

static const struct weight *find_weight(const struct scan *s, struct gy_str name)
{
    for (const struct weight *w = s->weights; w; w = w->next) {
        if (gy_str_eq(w->name, name)) {
            return w;
        }
    }
    return NULL;
}

/* ---- labels ---- */

struct labels {
    struct gy_str *items;
    size_t n, cap;
};

static gy_status add_label(struct scan *s, struct labels *l, struct gy_str text)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        struct gy_str *items = gy_arena_calloc(s->arena, cap, sizeof *items);
        if (!items) {
            return no_memory(s);
        }
        memcpy(items, l->items ? l->items : items, l->n * sizeof *items);
        l->items = items;
        l->cap = cap;
    }
    l->items[l->n++] = text;
    return GY_OK;
}

static gy_status add_number(struct scan *s, struct labels *l, int64_t v)
{
    struct gy_str text = gy_str_c(gy_arena_printf(s->arena, "%lld", (long long)v));
    return text.p ? add_label(s, l, text) : no_memory(s);
}

/* Whole numbers of a repeated field, packed or not. */
static gy_status add_numbers(struct scan *s, struct labels *l, const struct field *f)
{
    struct gy_str rest = f->text;
    uint64_t v = f->value;
    if (f->type == VARINT) {
        return add_number(s, l, (int64_t)v);
    }
    while (rest.n > 0) {
        if (!varint(&rest, &v)) {
            return corrupt(s);
        }
        GY_TRY(add_number(s, l, (int64_t)v));
    }
    return GY_OK;
}

/* raw_data of int32 (6) or int64 (7), little-endian. */
static gy_status add_raw(struct scan *s, struct labels *l, struct gy_str raw, uint64_t type)
{
    size_t size = type == 6 ? 4 : 8;
    for (size_t i = 0; i + size <= raw.n && (type == 6 || type == 7); i += size) {
        uint32_t u32 = 0;
        uint64_t u64 = 0;
        memcpy(&u32, raw.p + i, 4);
        memcpy(&u64, raw.p + i, size == 8 ? 8 : 0);
        GY_TRY(add_number(s, l, type == 6 ? (int32_t)le32toh(u32) : (int64_t)le64toh(u64)));
    }
    return GY_OK;
}

static gy_status labels_of_tensor(struct scan *s, struct gy_str tensor, struct labels *l)
{
    struct gy_str rest = tensor, raw = GY_STR_NULL;
    struct field f;
    uint64_t type = 0;
    bool ok = true;
    while (next_field(&rest, &f, &ok)) {
        if (f.number == 2) {
            type = f.value;
        } else if (f.number == 6 && f.type == BYTES) {
            GY_TRY(add_label(s, l, f.text));
        } else if ((f.number == 5 || f.number == 7) && (f.type == BYTES || f.type == VARINT)) {
            GY_TRY(add_numbers(s, l, &f));
        } else if (f.number == 9 && f.type == BYTES) {
            raw = f.text;
        }
    }
    return ok ? add_raw(s, l, raw, type) : corrupt(s);
}

static void keep_labels(struct scan *s, const struct labels *l)
{
    if (l->n > 1) {
        s->graph->labels = l->items;
        s->graph->n_labels = l->n;
    }
}

/* ---- nodes ---- */

static gy_status scan_graph(struct scan *s, struct gy_str graph, bool top);

static gy_status add_text(struct scan *s, struct gy_str text)
{
    struct text *t = gy_arena_calloc(s->arena, 1, sizeof *t);
    if (!t) {
        return no_memory(s);
    }
    *t = (struct text){.text = text, .next = s->texts};
    s->texts = t;
    s->n_texts++;
    return GY_OK;
}

/* SparseTensorProto: values = 1, indices = 2. */
static gy_status scan_sparse(struct scan *s, struct gy_str sparse)
{
    struct field f;
    bool ok = true;
    while (next_field(&sparse, &f, &ok)) {
        if ((f.number == 1 || f.number == 2) && f.type == BYTES) {
            GY_TRY(scan_tensor(s, f.text));
        }
    }
    return ok ? GY_OK : corrupt(s);
}

/* AttributeProto: name = 1, t = 5, g = 6, ints = 8, strings = 9, tensors = 10, graphs = 11,
 * sparse_tensor = 22, sparse_tensors = 23. */
static gy_status scan_attribute(struct scan *s, struct gy_str attribute)
{
    struct gy_str rest = attribute, name = GY_STR_NULL;
    struct labels labels = {0};
    struct field f;
    bool ok = true;
    while (next_field(&rest, &f, &ok)) {
        if (f.number == 1 && f.type == BYTES) {
            name = f.text;
        }
    }
    bool classes = gy_str_starts(name, GY_STR("classlabels_"));
    bool texts = gy_str_eqc(name, "cats_strings") || gy_str_eqc(name, "keys_strings");
    for (rest = attribute; ok && next_field(&rest, &f, &ok);) {
        if (f.type == BYTES && (f.number == 5 || f.number == 10)) {
            GY_TRY(scan_tensor(s, f.text));
        } else if (f.type == BYTES && (f.number == 6 || f.number == 11)) {
            GY_TRY(scan_graph(s, f.text, false));
        } else if (f.type == BYTES && (f.number == 22 || f.number == 23)) {
            GY_TRY(scan_sparse(s, f.text));
        } else if (classes && f.number == 8 && (f.type == BYTES || f.type == VARINT)) {
            GY_TRY(add_numbers(s, &labels, &f));
        } else if (classes && f.number == 9 && f.type == BYTES) {
            GY_TRY(add_label(s, &labels, f.text));
        } else if (texts && f.number == 9 && f.type == BYTES) {
            GY_TRY(add_text(s, f.text));
        }
    }
    keep_labels(s, &labels);
    return ok ? GY_OK : corrupt(s);
}

/* NodeProto: input = 1, output = 2, op_type = 4, attribute = 5. */
static gy_status scan_node(struct scan *s, struct gy_str node, bool top)
{
    struct gy_onnx_node *n = gy_arena_calloc(s->arena, 1, sizeof *n);
    struct field f;
    bool ok = true;
    if (!n) {
        return no_memory(s);
    }
    while (next_field(&node, &f, &ok)) {
        if (f.type != BYTES) {
            continue;
        }
        if (f.number == 1 && !n->input.p) {
            n->input = f.text;
        } else if (f.number == 2 && !n->output.p) {
            n->output = f.text;
        } else if (f.number == 4) {
            n->op = f.text;
        } else if (f.number == 5) {
            GY_TRY(scan_attribute(s, f.text));
        }
    }
    if (!ok) {
        return corrupt(s);
    }
    if (gy_str_eqc(n->op, "Loop")) {
        return gy_err_set(s->err, GY_E_NOTSERVABLE,
                          "the ONNX model has a Loop, which may never end");
    }
    if (top) {
        n->next = s->graph->nodes;
        s->graph->nodes = n;
    }
    return GY_OK;
}

/* ---- inputs and outputs ---- */

/* TensorShapeProto: dim = 1 {dim_value = 1}. */
static gy_status scan_shape(struct scan *s, struct gy_str shape, struct gy_onnx_value *v)
{
    struct field f, d;
    bool ok = true;
    v->shaped = true;
    while (next_field(&shape, &f, &ok)) {
        if (f.number != 1 || f.type != BYTES) {
            continue;
        }
        if (v->n_dims == GY_ONNX_MAX_DIMS) {
            return gy_err_set(s->err, GY_E_NOTSERVABLE, "a tensor of more than %d dimensions",
                              GY_ONNX_MAX_DIMS);
        }
        v->dims[v->n_dims] = -1;
        struct gy_str dim = f.text;
        while (next_field(&dim, &d, &ok)) {
            if (d.number == 1 && d.type == VARINT && (int64_t)d.value >= 0) {
                v->dims[v->n_dims] = (int64_t)d.value;
            }
        }
        v->n_dims++;
        if (!ok) {
            break;
        }
    }
    return ok ? GY_OK : corrupt(s);
}

/* TypeProto.Tensor: elem_type = 1, shape = 2. */
static gy_status scan_tensor_type(struct scan *s, struct gy_str type, struct gy_onnx_value *v)
{
    struct field f;
    bool ok = true;
    v->tensor = true;
    while (next_field(&type, &f, &ok)) {
        if (f.number == 1 && f.type == VARINT) {
            v->type = (int32_t)f.value;
        } else if (f.number == 2 && f.type == BYTES) {
            v->n_dims = 0;
            GY_TRY(scan_shape(s, f.text, v));
        }
    }
    return ok ? GY_OK : corrupt(s);
}

/* ValueInfoProto: name = 1, type = 2 {tensor_type = 1}. */
static gy_status scan_value(struct scan *s, struct gy_str value, struct gy_onnx_value *v)
{
    struct field f, t;
    bool ok = true;
    while (next_field(&value, &f, &ok)) {
        if (f.number == 1 && f.type == BYTES) {
            v->name = gy_arena_str(s->arena, f.text); /* ends in NUL for ONNX Runtime */
            if (!v->name.p) {
                return no_memory(s);
            }
        } else if (f.number == 2 && f.type == BYTES) {
            struct gy_str type = f.text;
            while (next_field(&type, &t, &ok)) {
                if (t.number == 1 && t.type == BYTES) {
                    GY_TRY(scan_tensor_type(s, t.text, v));
                }
            }
            if (!ok) {
                break;
            }
        }
    }
    if (!ok || (v->name.n > 0 && strlen(v->name.p) != v->name.n)) {
        return corrupt(s);
    }
    return GY_OK;
}

/* Values of the top graph: field 11 or 12 of GraphProto. */
static gy_status scan_values(struct scan *s, struct gy_str graph, uint32_t number,
                             struct gy_onnx_value **ret, size_t *ret_n)
{
    struct gy_str rest = graph;
    struct field f;
    size_t n = 0;
    bool ok = true;
    while (next_field(&rest, &f, &ok)) {
        n += f.number == number && f.type == BYTES;
    }
    if (n > GY_ONNX_MAX_VALUES) {
        return gy_err_set(s->err, GY_E_TOOBIG, "an ONNX model with %zu inputs or outputs", n);
    }
    *ret = gy_arena_calloc(s->arena, n + 1, sizeof **ret);
    *ret_n = 0;
    if (!*ret) {
        return no_memory(s);
    }
    for (rest = graph; ok && next_field(&rest, &f, &ok);) {
        if (f.number != number || f.type != BYTES) {
            continue;
        }
        struct gy_onnx_value *v = &(*ret)[*ret_n];
        *v = (struct gy_onnx_value){0};
        GY_TRY(scan_value(s, f.text, v));
        *ret_n += !find_weight(s, v->name);
    }
    return ok ? GY_OK : corrupt(s);
}

/* ---- graphs ---- */

/* GraphProto: node = 1, initializer = 5, input = 11, output = 12, sparse_initializer = 15. */
static gy_status scan_graph(struct scan *s, struct gy_str graph, bool top)
{
    struct gy_str rest = graph;
    struct field f;
    bool ok = true;
    if (++s->depth > GY_ONNX_MAX_DEPTH) {
        return gy_err_set(s->err, GY_E_TOOBIG, "an ONNX model with graphs nested deeper than %d",
                          GY_ONNX_MAX_DEPTH);
    }
    while (next_field(&rest, &f, &ok)) {
        if (f.type != BYTES) {
            continue;
        }
        if (f.number == 1) {
            GY_TRY(scan_node(s, f.text, top));
        } else if (f.number == 5) {
            GY_TRY(scan_tensor(s, f.text));
        } else if (f.number == 15) {
            GY_TRY(scan_sparse(s, f.text));
        }
    }
    s->depth--;
    if (!ok) {
        return corrupt(s);
    }
    if (!top) {
        return GY_OK;
    }
    GY_TRY(scan_values(s, graph, 11, &s->graph->inputs, &s->graph->n_inputs));
    return scan_values(s, graph, 12, &s->graph->outputs, &s->graph->n_outputs);
}

/* FunctionProto: node = 7, attribute_proto = 11. */
static gy_status scan_function(struct scan *s, struct gy_str function)
{
    struct field f;
    bool ok = true;
    while (next_field(&function, &f, &ok)) {
        if (f.number == 7 && f.type == BYTES) {
            GY_TRY(scan_node(s, f.text, false));
        } else if (f.number == 11 && f.type == BYTES) {
            GY_TRY(scan_attribute(s, f.text));
        }
    }
    return ok ? GY_OK : corrupt(s);
}

/* Classifiers without a label attribute look their label up in a tensor of labels. */
static gy_status labels_of_lookups(struct scan *s)
{
    size_t tried = 0;
    for (struct gy_onnx_node *n = s->graph->nodes; n; n = n->next) {
        bool lookup = gy_str_eqc(n->op, "ArrayFeatureExtractor") ||
                      (gy_str_eqc(n->op, "Gather") && gy_str_ends(n->input, GY_STR("classes")));
        const struct weight *w = lookup && tried++ < MAX_LOOKUPS ? find_weight(s, n->input) : NULL;
        if (w) {
            struct labels l = {0};
            GY_TRY(labels_of_tensor(s, w->tensor, &l));
            keep_labels(s, &l);
            return GY_OK;
        }
    }
    return GY_OK;
}

static int by_text(const void *a, const void *b)
{
    return gy_str_cmp(*(const struct gy_str *)a, *(const struct gy_str *)b);
}

static gy_status sort_texts(struct scan *s)
{
    struct gy_onnx_graph *g = s->graph;
    size_t n = 0;
    g->texts = gy_arena_calloc(s->arena, s->n_texts + 1, sizeof *g->texts);
    if (!g->texts) {
        return no_memory(s);
    }
    for (struct text *t = s->texts; t; t = t->next) {
        /* A copy ends in NUL; a text with a NUL inside can not be handed to ONNX Runtime. */
        if (t->text.n == 0 || !memchr(t->text.p, 0, t->text.n)) {
            g->texts[n] = gy_arena_str(s->arena, t->text);
            if (!g->texts[n++].p) {
                return no_memory(s);
            }
        }
    }
    qsort(g->texts, n, sizeof *g->texts, by_text);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || !gy_str_eq(g->texts[i], g->texts[i - 1])) {
            g->texts[g->n_texts++] = g->texts[i];
        }
    }
    return GY_OK;
}

gy_status gy_onnx_scan(struct gy_str bytes, struct gy_arena *a, struct gy_onnx_graph *ret,
                       struct gy_err *err)
{
    struct scan s = {.arena = a, .graph = ret, .err = err};
    struct gy_str rest = bytes, graph = GY_STR_NULL;
    struct field f;
    bool ok = true;
    *ret = (struct gy_onnx_graph){0};
    if (bytes.n >= 8 && memcmp(bytes.p + 4, "ORTM", 4) == 0) { /* ONNX Runtime would not read it as
                                                                  the protobuf that is looked at */
        return gy_err_set(err, GY_E_NOTSERVABLE, "the file is in ONNX Runtime's own format");
    }
    /* ModelProto: producer_name = 2, graph = 7, training_info = 20, functions = 25. */
    while (next_field(&rest, &f, &ok)) {
        if (f.type != BYTES) {
            continue;
        }
        if (f.number == 2) {
            ret->producer = f.text;
        } else if (f.number == 7) {
            if (graph.p) { /* protobuf would merge them: only one would be looked at */
                return gy_err_set(err, GY_E_NOTSERVABLE, "the ONNX model has two graphs");
            }
            graph = f.text;
        } else if (f.number == 20) {
            return gy_err_set(err, GY_E_NOTSERVABLE, "the ONNX model is one to be trained on");
        } else if (f.number == 25) {
            GY_TRY(scan_function(&s, f.text));
        }
    }
    if (!ok || !graph.p) {
        return corrupt(&s);
    }
    GY_TRY(scan_graph(&s, graph, true));
    if (ret->n_labels == 0) {
        GY_TRY(labels_of_lookups(&s));
    }
    return sort_texts(&s);
}

struct gy_str gy_onnx_made_by(const struct gy_onnx_graph *g, struct gy_str value)
{
    static const char *const passing[] = {"Identity", "Cast", "Reshape", "Squeeze", "Flatten"};
    /* Nodes are sorted, the last first: one that makes the value stands behind those that use it.
     */
    for (const struct gy_onnx_node *n = g->nodes; n; n = n->next) {
        bool passes = false;
        if (!gy_str_eq(n->output, value)) {
            continue;
        }
        for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++) {
            passes = passes || gy_str_eqc(n->op, passing[i]);
        }
        if (!passes) {
            return n->op;
        }
        value = n->input;
    }
    return GY_STR_NULL;
}

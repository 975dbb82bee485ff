/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/mapping.h"

#include <math.h>

#include "base/mem.h"
#include "learn/predictor.h"
#include "serve/parse_internal.h"

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "compiling an alias");
}

bool gy_mapping_is_expr(struct gy_str text, struct gy_str *ret)
{
    bool is = text.n > 0 && text.p[0] == '=';
    *ret = is ? gy_str_trim(gy_str_sub(text, 1, text.n - 1)) : text;
    return is;
}

/* ---- the body's fields ---- */

struct body {
    struct gy_infer_field *fields;
    size_t n;
    struct gy_arena *a;
    bool required; /* what is compiled now is needed */
    gy_status failed;
};

/* The field of that key, made when there is none. Where two inputs read it, the stricter one says
 * whether it is required. */
static size_t body_field(struct body *b, struct gy_str key, bool required)
{
    size_t i = 0;
    while (i < b->n && !gy_str_eq(b->fields[i].key, key)) {
        i++;
    }
    if (i == GY_MAPPING_MAX_FIELDS) {
        b->failed = GY_E_TOOBIG;
        return 0;
    }
    if (i == b->n) {
        struct gy_str copy = gy_arena_str(b->a, key);
        b->failed = copy.p ? b->failed : GY_E_NOMEM;
        b->fields[b->n++] = (struct gy_infer_field){.name = copy, .key = copy};
    }
    b->fields[i].required = b->fields[i].required || required;
    return i;
}

/* Its value in a request is a hash: nothing to calculate with. */
static bool is_text(const struct gy_predictor_input *in)
{
    return in && in->kind == GY_INPUT_TEXT && !in->integer;
}

static bool resolve_body(void *ctx, struct gy_str name, size_t *ret_slot,
                         enum gy_expr_type *ret_type)
{
    struct body *b = ctx;
    *ret_slot = body_field(b, name, b->required);
    *ret_type = GY_EXPR_NUM;
    return b->failed == GY_OK && !is_text(b->fields[*ret_slot].input);
}

static yyjson_val *find(yyjson_val *map, struct gy_str name)
{
    return map ? yyjson_obj_getn(map, name.p, name.n) : NULL;
}

static gy_status compile_field(struct body *b, const struct gy_infer_field *field, yyjson_val *map,
                               struct gy_mapped *ret, struct gy_err *err)
{
    struct gy_str text;
    b->required = field->required;
    if (!gy_mapping_is_expr(gy_json_val_str(find(map, field->name)), &text)) {
        size_t before = b->n;
        ret->from = body_field(b, field->key, field->required);
        if (b->failed == GY_OK && ret->from < before &&
            is_text(field->input) != is_text(b->fields[ret->from].input)) {
            return gy_err_set(err, GY_E_INVALID,
                              "input: '%" GY_STR_F "' is read as a text and as a number",
                              GY_STR_A(field->key));
        }
        if (b->failed == GY_OK) {
            struct gy_str key = b->fields[ret->from].key;
            bool required = b->fields[ret->from].required;
            b->fields[ret->from] = *field; /* of the input's own kind */
            b->fields[ret->from].key = key;
            b->fields[ret->from].required = required;
        }
    } else if (gy_expr_compile(text, resolve_body, b, &ret->expr, err) != GY_OK &&
               b->failed == GY_OK) {
        return gy_err_wrap(err, "input '%" GY_STR_F "'", GY_STR_A(field->name));
    }
    if (b->failed == GY_E_TOOBIG) {
        return gy_err_set(err, GY_E_TOOBIG, "input: more than %d fields", GY_MAPPING_MAX_FIELDS);
    }
    return b->failed == GY_OK ? GY_OK : no_memory(err);
}

gy_status gy_mapping_compile(struct gy_mapping *m, const struct gy_infer_shape *shape,
                             yyjson_val *map, struct gy_arena *a, struct gy_err *err)
{
    if (shape->n_fields > GY_MAPPING_MAX_FIELDS) {
        return gy_err_set(err, GY_E_TOOBIG, "input: expressions are for up to %d inputs",
                          GY_MAPPING_MAX_FIELDS);
    }
    struct body b = {.a = a};
    b.fields = gy_arena_calloc(a, GY_MAPPING_MAX_FIELDS, sizeof *b.fields);
    m->fields = gy_arena_calloc(a, shape->n_fields + 1, sizeof *m->fields);
    if (!b.fields || !m->fields) {
        return no_memory(err);
    }
    /* A request must have the fields that the model's inputs are made of; the others, which only
     * rules read, come after them. */
    size_t n_needed = 0;
    for (size_t i = 0; i < shape->n_fields; i++) {
        GY_TRY(compile_field(&b, &shape->fields[i], map, &m->fields[i], err));
        n_needed = i + 1 == shape->n_inputs ? b.n : n_needed;
    }
    m->body = (struct gy_infer_shape){.fields = b.fields,
                                      .n_inputs = n_needed,
                                      .n_fields = b.n,
                                      .outputs = shape->outputs,
                                      .n_outputs = shape->n_outputs,
                                      .n_pixels = shape->n_pixels};
    for (size_t i = 0; i < b.n; i++) {
        m->body.mixed = m->body.mixed || b.fields[i].input;
    }
    return GY_OK;
}

void gy_mapping_done(struct gy_mapping *m, size_t n_fields)
{
    for (size_t i = 0; m->fields && i < n_fields; i++) {
        gy_expr_free(m->fields[i].expr);
        m->fields[i].expr = NULL;
    }
}

/* ---- a request ---- */

static gy_status compute(const struct gy_mapped *f, const struct gy_infer_field *field,
                         const struct gy_expr_value *slots, size_t n_slots, double *ret,
                         struct gy_err *err)
{
    struct gy_expr_value v;
    *ret = NAN;
    if (gy_expr_eval(f->expr, slots, n_slots, &v, NULL) == GY_OK) {
        *ret = v.type == GY_EXPR_NUM ? v.num : v.type == GY_EXPR_BOOL ? v.b : NAN;
    }
    if (!isfinite(*ret) && field->required) {
        struct gy_str text = gy_expr_text(f->expr);
        return gy_err_set(err, GY_E_INVALID, "'%.*s' gives no number for '%.*s'",
                          (int)(text.n < 200 ? text.n : 200), text.p,
                          (int)(field->name.n < 100 ? field->name.n : 100), field->name.p);
    }
    *ret = isfinite(*ret) ? *ret : NAN;
    return GY_OK;
}

/* The text that training has not seen is said of the model's input, not of the body's field. */
static void name_unseen(const struct gy_mapping *m, const struct gy_infer_shape *shape,
                        struct gy_infer_request *q)
{
    size_t i = 0;
    while (i < shape->n_fields && (m->fields[i].expr || m->fields[i].from != q->unseen_field)) {
        i++;
    }
    q->unseen_field = i;
}

static gy_status apply_row(const struct gy_mapping *m, const struct gy_infer_shape *shape,
                           const double *body, double *row, struct gy_err *err)
{
    struct gy_expr_value slots[GY_MAPPING_MAX_FIELDS];
    for (size_t i = 0; i < m->body.n_fields; i++) {
        bool there = !isnan(body[i]);
        slots[i] =
            (struct gy_expr_value){.type = there ? GY_EXPR_NUM : GY_EXPR_NULL, .num = body[i]};
    }
    for (size_t i = 0; i < shape->n_fields; i++) {
        if (!m->fields[i].expr) {
            row[i] = body[m->fields[i].from];
        } else {
            GY_TRY(
                compute(&m->fields[i], &shape->fields[i], slots, m->body.n_fields, &row[i], err));
        }
    }
    return GY_OK;
}

/* Rows of the body become rows of the endpoint from the front on where those are not longer, else
 * from the end on, so that no row is written over before it was read. */
gy_status gy_mapping_apply(const struct gy_mapping *m, const struct gy_infer_shape *shape,
                           struct gy_infer_request *q, struct gy_err *err)
{
    double row[GY_MAPPING_MAX_FIELDS];
    size_t n = q->n_rows, from = m->body.n_fields, to = shape->n_fields;
    if (n * to > q->capacity) {
        double *more = gy_reallocarray(q->values, n * to, sizeof *more);
        if (!more) {
            return gy_err_set(err, GY_E_NOMEM, "rows of a request");
        }
        q->values = more;
        q->capacity = n * to;
    }
    for (size_t k = 0; k < n; k++) {
        size_t i = to <= from ? k : n - 1 - k;
        gy_status st = apply_row(m, shape, q->values + i * from, row, err);
        if (st != GY_OK) {
            return n > 1 ? gy_err_wrap(err, "row %zu", i) : st;
        }
        memcpy(q->values + i * to, row, to * sizeof *row);
    }
    name_unseen(m, shape, q);
    return GY_OK;
}

/* ---- the answer ---- */

static bool resolve_output(void *ctx, struct gy_str name, size_t *ret_slot,
                           enum gy_expr_type *ret_type)
{
    bool prediction = gy_str_eqc(name, "prediction");
    *ret_slot = prediction ? GY_SLOT_PREDICTION : GY_SLOT_PROBABILITY;
    *ret_type = prediction ? *(enum gy_expr_type *)ctx : GY_EXPR_NUM;
    return prediction || gy_str_eqc(name, "probability");
}

gy_status gy_mapping_output(struct gy_str text, enum gy_expr_type prediction, struct gy_expr **ret,
                            struct gy_err *err)
{
    return gy_expr_compile(text, resolve_output, &prediction, ret, err);
}

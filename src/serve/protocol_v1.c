/* SPDX-License-Identifier: Apache-2.0 */
/* KServe's V1 protocol and what TensorFlow Serving's REST API adds to it:
 *   POST /v1/models/{name}[/versions/{v}|/labels/{l}]:predict|:explain|:classify|:regress
 * {"instances": rows} is answered {"predictions": [...]}, {"inputs": columns} {"outputs": [...]}.
 * A list in "inputs" is rows for KServe and a tensor for TensorFlow Serving: the answer has both
 * keys. Predictions are labels, as predict() of scikit-learn gives them. */
#include "serve/answer_plain.h"
#include "serve/cloudevent.h"
#include "serve/json_rows.h"
#include "serve/protocol.h"

#define PREFIX "/v1/models/"
#define ADD(out, literal) gy_buf_add((out), GY_STR(literal))

/* What answer is to write, in q->asked; the event's form stands above. */
enum asked { PREDICTIONS = 1, OUTPUTS = 2, CLASSES = 4, VALUES = 8, EXPLANATIONS = 16 };
#define EVENT_SHIFT 8

static const struct {
    struct gy_str name;
    uint32_t asked; /* 0: the body says */
} verbs[] = {
    {{"predict", 7}, 0},
    {{"explain", 7}, EXPLANATIONS},
    {{"classify", 8}, CLASSES},
    {{"regress", 7}, VALUES},
};
#define N_VERBS (sizeof verbs / sizeof verbs[0])

/* "name:verb" apart; the verb's place, N_VERBS when it is none. */
static size_t cut_verb(struct gy_str path, struct gy_str *ret_name)
{
    size_t colon = path.n;
    while (colon > 0 && path.p[colon - 1] != ':' && path.p[colon - 1] != '/') {
        colon--;
    }
    if (colon == 0 || path.p[colon - 1] != ':') {
        return N_VERBS;
    }
    *ret_name = gy_str_n(path.p, colon - 1);
    struct gy_str verb = gy_str_n(path.p + colon, path.n - colon);
    size_t i = 0;
    while (i < N_VERBS && !gy_str_eq(verbs[i].name, verb)) {
        i++;
    }
    return i;
}

static bool claims(struct gy_str path, struct gy_ask *ret)
{
    struct gy_str name, rest, kind, which;
    if (!gy_str_starts(path, GY_STR(PREFIX))) {
        return false;
    }
    size_t verb = cut_verb(gy_str_sub(path, sizeof PREFIX - 1, SIZE_MAX), &name);
    if (verb == N_VERBS || name.n == 0) {
        return false;
    }
    ret->endpoint = name;
    ret->verb = verbs[verb].asked == EXPLANATIONS ? GY_VERB_EXPLAIN : GY_VERB_PREDICT;
    if (gy_str_cut(name, '/', &name, &rest) && gy_str_cut(rest, '/', &kind, &which) && which.n) {
        if (gy_str_eqc(kind, "versions")) {
            ret->endpoint = name;
            ret->version = which;
        } else if (gy_str_eqc(kind, "labels")) {
            ret->endpoint = name;
            ret->label = which;
        }
    }
    return true; /* what else stands there is no endpoint's name */
}

/* ---- reading ---- */

static gy_status check_signature(yyjson_val *body, struct gy_err *err)
{
    struct gy_str name = gy_json_str(body, "signature_name");
    if (name.n == 0 || gy_str_eqc(name, "serving_default")) {
        return GY_OK;
    }
    return gy_err_set(err, GY_E_INVALID, "Serving signature key \"%.*s\" not found.",
                      (int)(name.n < 100 ? name.n : 100), name.p);
}

static gy_status read_examples(struct gy_json_rows *r, yyjson_val *body, struct gy_err *err)
{
    r->what = "examples";
    if (yyjson_obj_size(gy_json_get(body, "context"))) {
        return gy_err_set(err, GY_E_UNSUPPORTED,
                          "'context' is not taken: repeat its features in each of 'examples'");
    }
    yyjson_val *list = gy_json_get(body, "examples");
    if (!list) {
        return gy_err_set(err, GY_E_INVALID, "missing 'examples'");
    }
    return gy_json_rows_list(r, list, err);
}

static gy_status read_rows(struct gy_json_rows *r, yyjson_val *body, uint32_t *ret_asked,
                           struct gy_err *err)
{
    yyjson_val *instances = gy_json_get(body, "instances");
    yyjson_val *inputs = gy_json_get(body, "inputs");
    if (!instances == !inputs) {
        return gy_err_set(err, GY_E_INVALID,
                          instances
                              ? "the body has both 'instances' and 'inputs': send one of them"
                              : "the body has neither 'instances' (rows) nor 'inputs' (columns)");
    }
    r->what = instances ? "instances" : "inputs";
    if (yyjson_is_obj(inputs)) {
        *ret_asked |= OUTPUTS;
        return gy_json_rows_columns(r, inputs, err);
    }
    *ret_asked |= instances ? PREDICTIONS : PREDICTIONS | OUTPUTS;
    return gy_json_rows_list(r, instances ? instances : inputs, err);
}

static gy_status check_task(const struct gy_endpoint *e, uint32_t asked, struct gy_err *err)
{
    bool regression = e->info->task == GY_TASK_REGRESSION;
    if ((asked & CLASSES && regression) || (asked & VALUES && !regression)) {
        return gy_err_set(err, GY_E_INVALID, "the model is a %s: ask :predict or :%s",
                          regression ? "regression" : "classification",
                          regression ? "regress" : "classify");
    }
    return GY_OK;
}

static gy_status read_v1(const struct gy_ask *ask, const struct gy_request *req,
                         const struct gy_endpoint *stable, struct gy_str body,
                         struct gy_infer_request *q, struct gy_err *err)
{
    struct gy_str name;
    (void)ask;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO(gy_json_free) yyjson_doc *data_doc = NULL;
    yyjson_val *data = NULL;
    enum gy_event_form form = GY_EVENT_NONE;
    struct gy_json_rows r = {.shape = &stable->shape, .q = q, .body_bytes = body.n};
    size_t verb = cut_verb(req->path, &name);
    uint32_t asked = verb < N_VERBS ? verbs[verb].asked : 0;
    GY_TRY(gy_plain_check(stable, err));
    GY_TRY(check_task(stable, asked, err));
    GY_TRY(gy_json_rows_parse(q, body, &doc, err));
    GY_TRY(gy_event_open(req, yyjson_doc_get_root(doc), &form, &data, &data_doc, q, err));
    GY_TRY(check_signature(data, err));
    GY_TRY(asked & (CLASSES | VALUES) ? read_examples(&r, data, err)
                                      : read_rows(&r, data, &asked, err));
    q->asked = asked | (uint32_t)form << EVENT_SHIFT;
    return GY_OK;
}

/* ---- answering ---- */

static void add_text(struct gy_buf *out, struct gy_str s)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_str(&w, s);
}

/* [["setosa", 0.9], ...] for each row: TensorFlow Serving's classifications. */
static void add_classes(const struct gy_endpoint *e, const struct gy_infer_work *w,
                        struct gy_buf *out)
{
    for (size_t i = 0; i < w->q.n_rows; i++) {
        gy_buf_addc(out, i ? ",[" : "[[");
        for (size_t k = 0; k < e->info->n_classes; k++) {
            gy_buf_addc(out, k ? ",[" : "[");
            add_text(out, e->info->classes[k]);
            gy_buf_add_char(out, ',');
            gy_plain_number(gy_plain_probability(e, w, i, k), out);
            gy_buf_add_char(out, ']');
        }
        gy_buf_add_char(out, ']');
    }
    gy_buf_add_char(out, ']');
}

/* What each input of a row adds to a margin, and what rows get on average. */
static void write_margin(struct gy_jw *j, const struct gy_endpoint *e, const double *values)
{
    size_t n = e->info->n_inputs;
    gy_jw_kv_f64(j, "base_value", values[n]);
    gy_jw_key(j, "contributions");
    gy_jw_obj(j);
    for (size_t k = 0; k < n; k++) {
        gy_jw_keys(j, e->info->inputs[k].name);
        gy_jw_f64(j, values[k]);
    }
    gy_jw_obj_end(j);
}

/* {"prediction", "margins": [{"base_value", "contributions"}]} a row; a margin for each class where
 * there are several. They sum to the margin. */
static void add_explanations(const struct gy_endpoint *e, const struct gy_infer_work *w,
                             struct gy_buf *out)
{
    size_t width = e->info->n_inputs + 1;
    for (size_t i = 0; i < w->q.n_rows; i++) {
        struct gy_jw j;
        gy_buf_addc(out, i ? ",{\"prediction\":" : "[{\"prediction\":");
        gy_plain_prediction(e, w, i, out);
        gy_buf_add_char(out, ',');
        const double *values = w->contributions + i * w->n_margins * width;
        gy_buf_addc(out, "\"margins\":");
        gy_jw_init(&j, out);
        gy_jw_arr(&j);
        for (size_t m = 0; m < w->n_margins; m++) {
            gy_jw_obj(&j);
            if (w->n_margins > 1) {
                gy_jw_kv_str(&j, "class", e->info->classes[m]);
            }
            write_margin(&j, e, values + m * width);
            gy_jw_obj_end(&j);
        }
        gy_jw_arr_end(&j);
        gy_buf_add_char(out, '}');
    }
    gy_buf_add_char(out, ']');
}

static void add_body(const struct gy_endpoint *e, const struct gy_infer_work *w, uint32_t asked,
                     struct gy_buf *out)
{
    if (asked & EXPLANATIONS) {
        ADD(out, "{\"explanations\":");
        add_explanations(e, w, out);
        ADD(out, "}");
        return;
    }
    if (asked & (CLASSES | VALUES)) {
        ADD(out, "{\"results\":");
        if (asked & CLASSES) {
            add_classes(e, w, out);
        } else {
            gy_plain_predictions(e, w, out);
        }
    }
    if (asked & PREDICTIONS) {
        ADD(out, "{\"predictions\":");
        gy_plain_predictions(e, w, out);
    }
    if (asked & OUTPUTS) {
        gy_buf_addc(out, asked & PREDICTIONS ? ",\"outputs\":" : "{\"outputs\":");
        gy_plain_predictions(e, w, out);
    }
    ADD(out, "}");
}

static void answer(const struct gy_ask *ask, const struct gy_endpoint *e,
                   const struct gy_infer_work *w, const char prediction_id[GY_UUID_TEXT],
                   struct gy_fast_reply *out)
{
    (void)ask;
    enum gy_event_form form = (enum gy_event_form)(w->q.asked >> EVENT_SHIFT);
    out->status = 200;
    gy_event_begin(form, e->name, prediction_id, out);
    add_body(e, w, w->q.asked, out->body);
    gy_event_end(form, out);
}

/* KServe's words for a model that is not there, TensorFlow Serving's for a version. */
static void fail(const struct gy_ask *ask, const struct gy_err *failed, struct gy_fast_reply *out)
{
    struct gy_err words = *failed;
    struct gy_str name = ask->endpoint;
    if (failed->code == GY_E_NOTFOUND && name.p) {
        struct gy_str which = ask->version.p ? ask->version : ask->label;
        int n = (int)(name.n < 100 ? name.n : 100);
        (void)(which.p ? gy_err_set(&words, GY_E_NOTFOUND,
                                    "Servable not found for request: Specific(%.*s, %.*s)", n,
                                    name.p, (int)(which.n < 100 ? which.n : 100), which.p)
                       : gy_err_set(&words, GY_E_NOTFOUND, "Model with name %.*s does not exist.",
                                    n, name.p));
    }
    gy_protocol_fail_json(ask, &words, out);
}

const struct gy_protocol gy_protocol_v1 = {
    .ops_version = 1,
    .name = "v1",
    .claims = claims,
    .read = read_v1,
    .answer = answer,
    .fail = fail,
};

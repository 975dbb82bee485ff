/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v2/models/{name}[/versions/{version}]/explain: the body is one of infer's; the answer has
 * the prediction and, as one tensor an input named like it, what the input adds to the margin (of
 * several classes: to each margin) beyond what rows get on average, and `base_value`. They sum to
 * the margin. The OIP names no such call; the form is that of its infer, so that clients read it.
 */
#include "base/json.h"
#include "serve/protocol.h"

#define PREFIX "/v2/models/"
#define SUFFIX "/explain"

static bool claims(struct gy_str path, struct gy_ask *ret)
{
    if (!gy_str_starts(path, GY_STR(PREFIX)) || !gy_str_ends(path, GY_STR(SUFFIX))) {
        return false;
    }
    struct gy_str rest =
        gy_str_sub(path, sizeof PREFIX - 1, path.n - (sizeof PREFIX - 1) - (sizeof SUFFIX - 1));
    size_t at = gy_str_find_str(rest, GY_STR("/versions/"));
    ret->endpoint = at == SIZE_MAX ? rest : gy_str_sub(rest, 0, at);
    ret->version = at == SIZE_MAX ? GY_STR_NULL : gy_str_sub(rest, at + 10, rest.n);
    ret->verb = GY_VERB_EXPLAIN;
    return path.n > sizeof PREFIX + sizeof SUFFIX - 2;
}

static gy_status read_v2(const struct gy_ask *ask, const struct gy_request *req,
                         const struct gy_endpoint *stable, struct gy_str body,
                         struct gy_infer_request *q, struct gy_err *err)
{
    return gy_protocol_v2.read(ask, req, stable, body, q, err);
}

static void head(struct gy_jw *w, struct gy_str name, const char *type, size_t rows, size_t margins)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", name);
    gy_jw_kv_strc(w, "datatype", type);
    gy_jw_key(w, "shape");
    gy_jw_arr(w);
    gy_jw_i64(w, (int64_t)rows);
    if (margins > 1) {
        gy_jw_i64(w, (int64_t)margins);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "data");
    gy_jw_arr(w);
}

static void tail(struct gy_jw *w)
{
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

static void write_prediction(struct gy_jw *j, const struct gy_endpoint *e,
                             const struct gy_infer_work *w)
{
    bool regression = e->info->task == GY_TASK_REGRESSION;
    head(j, GY_STR("prediction"),
         regression           ? "FP64"
         : e->numeric_classes ? "INT64"
                              : "BYTES",
         w->q.n_rows, 1);
    for (size_t i = 0; i < w->q.n_rows; i++) {
        if (regression) {
            gy_jw_f64(j, w->classes[i]);
        } else {
            gy_jw_raw(j, e->class_json[(size_t)w->classes[i]]);
        }
    }
    tail(j);
}

/* Column k of the contributions: an input, or the base behind them. */
static void write_column(struct gy_jw *j, const struct gy_endpoint *e,
                         const struct gy_infer_work *w, size_t k)
{
    size_t width = e->info->n_inputs + 1;
    head(j, k < e->info->n_inputs ? e->info->inputs[k].name : GY_STR("base_value"), "FP64",
         w->q.n_rows, w->n_margins);
    for (size_t i = 0; i < w->q.n_rows * w->n_margins; i++) {
        gy_jw_f64(j, w->contributions[i * width + k]);
    }
    tail(j);
}

static void answer(const struct gy_ask *ask, const struct gy_endpoint *e,
                   const struct gy_infer_work *w, const char prediction_id[GY_UUID_TEXT],
                   struct gy_fast_reply *out)
{
    struct gy_jw j;
    (void)ask;
    out->status = 200;
    out->content_type = "application/json";
    gy_jw_init(&j, out->body);
    gy_jw_obj(&j);
    gy_jw_kv_str(&j, "model_name", e->name);
    gy_jw_kv_str(&j, "model_version", e->version);
    if (w->q.id_bytes) {
        gy_jw_kv_str(&j, "id", gy_str_n(w->q.id, w->q.id_bytes));
    }
    gy_jw_key(&j, "parameters");
    gy_jw_obj(&j);
    gy_jw_kv_strc(&j, "prediction_id", prediction_id);
    gy_jw_kv_i64(&j, "revision", e->revision);
    gy_jw_obj_end(&j);
    gy_jw_key(&j, "outputs");
    gy_jw_arr(&j);
    write_prediction(&j, e, w);
    for (size_t k = 0; k <= e->info->n_inputs; k++) {
        write_column(&j, e, w, k);
    }
    gy_jw_arr_end(&j);
    gy_jw_obj_end(&j);
}

const struct gy_protocol gy_protocol_explain = {
    .ops_version = 1,
    .name = "explain",
    .claims = claims,
    .read = read_v2,
    .answer = answer,
    .fail = gy_protocol_fail_json,
};

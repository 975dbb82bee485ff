/* SPDX-License-Identifier: Apache-2.0 */
/* What the page of an endpoint says about asking it. */
#include <stdio.h>

#include "api/endpoint_docs.h"
#include "watch/html.h"

static void code(struct gy_buf *b, const char *title, struct gy_str text)
{
    gy_buf_addc(b, "<h3>");
    gy_html_text(b, gy_str_c(title));
    gy_buf_addc(b, "</h3><div class=\"box\"><pre style=\"margin:0;padding:10px 14px\">");
    gy_html_text(b, text);
    gy_buf_addc(b, "</pre></div>");
}

static bool takes_image(const struct gy_endpoint *e)
{
    return e->shape.n_pixels > 0;
}

/* ---- bodies ---- */

/* The example row; NULL: no memory for it. */
static yyjson_doc *read_example(const struct gy_endpoint *e)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf row;
    yyjson_doc *doc = NULL;
    struct gy_jw w;
    gy_buf_init(&row, GY_MIB);
    gy_jw_init(&w, &row);
    gy_endpoint_example(&w, e, NULL);
    return gy_json_parse(gy_buf_str(&row), &doc, NULL) == GY_OK ? doc : NULL;
}

static const char *datatype(yyjson_val *value)
{
    return yyjson_is_str(value) ? "BYTES" : "FP64";
}

/* {"inputs":[{"name","shape":[1,1],"datatype","data"}...]} */
static void v2_body(struct gy_jw *w, yyjson_val *row)
{
    size_t i, n;
    yyjson_val *key, *value;
    gy_jw_obj(w);
    gy_jw_key(w, "inputs");
    gy_jw_arr(w);
    yyjson_obj_foreach(row, i, n, key, value)
    {
        gy_jw_obj(w);
        gy_jw_kv_str(w, "name", gy_json_val_str(key));
        gy_jw_key(w, "shape");
        gy_jw_raw(w, GY_STR("[1,1]"));
        gy_jw_kv_strc(w, "datatype", datatype(value));
        gy_jw_key(w, "data");
        gy_jw_arr(w);
        gy_jw_val(w, value);
        gy_jw_arr_end(w);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

/* {"KEY":[ROW]} */
static void rows_body(struct gy_jw *w, const char *key, yyjson_val *row)
{
    gy_jw_obj(w);
    gy_jw_key(w, key);
    gy_jw_arr(w);
    gy_jw_val(w, row);
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

static void v1_body(struct gy_jw *w, yyjson_val *row)
{
    rows_body(w, "instances", row);
}

static void mlflow_body(struct gy_jw *w, yyjson_val *row)
{
    rows_body(w, "dataframe_records", row);
}

static void seldon_body(struct gy_jw *w, yyjson_val *row)
{
    size_t i, n;
    yyjson_val *key, *value;
    gy_jw_obj(w);
    gy_jw_key(w, "data");
    gy_jw_obj(w);
    gy_jw_key(w, "names");
    gy_jw_arr(w);
    yyjson_obj_foreach(row, i, n, key, value)
    {
        gy_jw_str(w, gy_json_val_str(key));
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "ndarray");
    gy_jw_arr(w);
    gy_jw_arr(w);
    yyjson_obj_foreach(row, i, n, key, value)
    {
        gy_jw_val(w, value);
    }
    gy_jw_arr_end(w);
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
}

/* [[name, datatype, value]...] */
static void grpc_rows(struct gy_jw *w, yyjson_val *row)
{
    size_t i, n;
    yyjson_val *key, *value;
    gy_jw_arr(w);
    yyjson_obj_foreach(row, i, n, key, value)
    {
        gy_jw_arr(w);
        gy_jw_str(w, gy_json_val_str(key));
        gy_jw_strc(w, datatype(value));
        gy_jw_val(w, value);
        gy_jw_arr_end(w);
    }
    gy_jw_arr_end(w);
}

/* ---- commands and programs ---- */

static void curl_json(struct gy_buf *b, struct gy_str host, struct gy_str path, struct gy_str body)
{
    gy_buf_addf(b,
                "curl -X POST http://%" GY_STR_F "%" GY_STR_F
                " \\\n  -H 'Content-Type: application/json' \\\n  -d '",
                GY_STR_A(host), GY_STR_A(path));
    for (size_t i = 0; i < body.n; i++) { /* a quote ends the shell's text for a moment */
        if (body.p[i] == '\'') {
            gy_buf_addc(b, "'\\''");
        } else {
            gy_buf_add_char(b, body.p[i]);
        }
    }
    gy_buf_addc(b, "'");
}

/* JSON inside of r'''...''': in its own spelling no quote ends the text early. */
static void python_text(struct gy_buf *b, struct gy_str json)
{
    for (size_t i = 0; i < json.n; i++) {
        if (json.p[i] == '\'') {
            gy_buf_addc(b, "\\u0027");
        } else {
            gy_buf_add_char(b, json.p[i]);
        }
    }
}

static void python_json(struct gy_buf *b, struct gy_str host, struct gy_str path,
                        struct gy_str body)
{
    gy_buf_addc(b, "import json, urllib.request\n\nrow = json.loads(r'''");
    python_text(b, body);
    gy_buf_addf(b,
                "''')\nrequest = urllib.request.Request(\"http://%" GY_STR_F "%" GY_STR_F
                "\", json.dumps(row).encode(),\n    {\"Content-Type\": \"application/json\"})\n"
                "print(json.load(urllib.request.urlopen(request)))",
                GY_STR_A(host), GY_STR_A(path));
}

/* The client of Triton, which speaks the protocol's gRPC form. A missing number is NaN. */
static void python_grpc(struct gy_buf *b, struct gy_str host, struct gy_str name,
                        struct gy_str rows)
{
    gy_buf_addc(b, "import json, numpy, tritonclient.grpc  # pip install 'tritonclient[grpc]'\n\n"
                   "inputs = []\nfor name, datatype, value in json.loads(r'''");
    python_text(b, rows);
    gy_buf_addf(b,
                "'''):\n    inputs.append(tritonclient.grpc.InferInput(name, [1, 1], datatype))\n"
                "    inputs[-1].set_data_from_numpy(numpy.array([[value]], object if datatype == "
                "\"BYTES\" else numpy.float64))\n"
                "client = tritonclient.grpc.InferenceServerClient(\"%" GY_STR_F "\")\n"
                "print(client.infer(\"%" GY_STR_F "\", inputs).get_response())",
                GY_STR_A(host), GY_STR_A(name));
}

static void alias_requests(struct gy_buf *b, const struct gy_endpoint *e,
                           const struct gy_alias *alias, struct gy_str host)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    struct gy_jw w;
    gy_buf_init(&text, GY_MIB);
    gy_buf_init(&body, GY_MIB);
    if (alias->answer.n || alias->protocol) {
        gy_buf_addf(&text, "curl http://%" GY_STR_F "%" GY_STR_F, GY_STR_A(host),
                    GY_STR_A(alias->path));
        if (alias->answer.n) {
            code(b, "What is told (GET)", gy_buf_str(&text));
        }
        return;
    }
    if (takes_image(e)) {
        gy_buf_addf(&text, "curl -X POST http://%" GY_STR_F "%" GY_STR_F, GY_STR_A(host),
                    GY_STR_A(alias->path));
        for (size_t i = 0; i < alias->shape.n_inputs; i++) {
            const struct gy_infer_field *f = &alias->shape.fields[i];
            bool image = f->input && f->input->kind == GY_INPUT_IMAGE;
            gy_buf_addf(&text, " -F %" GY_STR_F "=%s", GY_STR_A(f->key),
                        image ? "@picture.png" : "1");
        }
        code(b, "An upload (curl)", gy_buf_str(&text));
        return;
    }
    gy_jw_init(&w, &body);
    gy_endpoint_example(&w, e, &alias->shape);
    curl_json(&text, host, alias->path, gy_buf_str(&body));
    code(b, "Its own route (curl)", gy_buf_str(&text));
    gy_buf_reset(&text);
    python_json(&text, host, alias->path, gy_buf_str(&body));
    code(b, "Its own route (Python)", gy_buf_str(&text));
}

/* ---- the protocols ---- */

static const struct {
    const char *title, *before, *after; /* the path: before NAME after */
    void (*body)(struct gy_jw *w, yyjson_val *row);
    const char *answer;
} protocols[] = {
    {"KServe V1", "/v1/models/", ":predict", v1_body,
     "{\"predictions\": [...]}: the prediction of each row"},
    {"MLflow scoring", "/endpoints/", "/invocations", mlflow_body,
     "{\"predictions\": [...]}: the prediction of each row"},
    {"Seldon", "/seldon/default/", "/api/v1.0/predictions", seldon_body,
     "{\"data\": {\"names\", \"ndarray\"}, \"meta\", \"status\"}: a column for each class, or the "
     "prediction; meta.tags has prediction_id"},
};

static void answers(struct gy_buf *b, struct gy_str what)
{
    gy_buf_addc(b, "<p>It answers ");
    gy_html_text(b, what);
    gy_buf_addc(b, ".</p>");
}

static void v2_answers(struct gy_buf *b, const struct gy_endpoint *e)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MIB);
    gy_buf_addc(&text, "\"model_name\", \"model_version\", \"parameters\" with prediction_id, and "
                       "\"outputs\":");
    for (size_t i = 0, n = 0; i < e->n_outputs; i++) {
        if (e->outputs[i].name.n) {
            gy_buf_addf(&text, "%s %" GY_STR_F " (%s)", n++ ? "," : "",
                        GY_STR_A(e->outputs[i].name), gy_datatype_name(e->outputs[i].type));
        }
    }
    answers(b, gy_buf_str(&text));
}

/* Of every protocol that takes a row of numbers and texts. */
static void protocol_requests(struct gy_buf *b, const struct gy_endpoint *e, yyjson_val *row,
                              struct gy_str host)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_jw w;
    gy_buf_init(&path, 4 * GY_KIB);
    gy_buf_init(&body, GY_MIB);
    gy_buf_init(&text, GY_MIB);
    gy_buf_addf(&path, "/v2/models/%" GY_STR_F "/infer", GY_STR_A(e->name));
    gy_jw_init(&w, &body);
    v2_body(&w, row);
    curl_json(&text, host, gy_buf_str(&path), gy_buf_str(&body));
    code(b, "Open Inference Protocol (curl)", gy_buf_str(&text));
    v2_answers(b, e);
    gy_buf_reset(&text);
    python_json(&text, host, gy_buf_str(&path), gy_buf_str(&body));
    code(b, "Open Inference Protocol (Python)", gy_buf_str(&text));
    gy_buf_reset(&text);
    gy_buf_reset(&body);
    gy_jw_init(&w, &body);
    grpc_rows(&w, row);
    python_grpc(&text, host, e->name, gy_buf_str(&body));
    code(b, "Open Inference Protocol (gRPC, Python)", gy_buf_str(&text));
    answers(b, GY_STR("the same as a ModelInferResponse"));
    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
        char title[64];
        gy_buf_reset(&path);
        gy_buf_reset(&body);
        gy_buf_reset(&text);
        gy_buf_addf(&path, "%s%" GY_STR_F "%s", protocols[i].before, GY_STR_A(e->name),
                    protocols[i].after);
        gy_jw_init(&w, &body);
        protocols[i].body(&w, row);
        curl_json(&text, host, gy_buf_str(&path), gy_buf_str(&body));
        (void)snprintf(title, sizeof title, "%s (curl)", protocols[i].title);
        code(b, title, gy_buf_str(&text));
        answers(b, gy_str_c(protocols[i].answer));
    }
}

void gy_endpoint_requests(struct gy_buf *b, const struct gy_endpoint *e, struct gy_str host)
{
    GY_AUTO(gy_json_free) yyjson_doc *row = NULL;
    gy_html_section(b, "Requests", GY_STR("They work as they stand."));
    for (size_t i = 0; i < e->n_aliases; i++) {
        alias_requests(b, e, &e->aliases[i], host);
    }
    if (!takes_image(e)) {
        row = read_example(e);
        if (row) {
            protocol_requests(b, e, yyjson_doc_get_root(row), host);
        }
    }
    gy_html_section_end(b);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*   GET /docs/endpoints/{name}               the page, with a form to try it
 *   GET /docs/endpoints/{name}/openapi.json  the document of its own */
#include "api/endpoint_docs.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "api/app.h"
#include "base/mend.h"
#include "serve/serving.h"
#include "watch/html.h"
#include "watch/review.h"

#define PAGE_BYTES (16 * GY_MIB)
#define CELL_BYTES 64

struct docs {
    const struct gy_endpoint *e;
    struct gy_arena *a;
    struct gy_buf *form_json; /* gy_review_form */
    yyjson_doc *doc;
    yyjson_val *units; /* NULL: not known */
};

/* What a table says in one cell, in the arena. */
static struct gy_str textf(struct docs *d, const char *fmt, ...) GY_PRINTF(2, 3);
static struct gy_str textf(struct docs *d, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0) {
        return GY_STR("");
    }
    gy_str_mend(text); /* names are cut in it */
    return gy_arena_str(d->a, gy_str_c(text));
}

/* ---- what it takes ---- */

static struct gy_str range_of(struct docs *d, const struct gy_predictor_input *in)
{
    char min[32], max[32];
    if (in->kind == GY_INPUT_IMAGE) {
        return textf(d, "PNG or JPEG; resized to %u x %u", in->image_width, in->image_height);
    }
    if (in->kind == GY_INPUT_TEXT) {
        return in->n_values
                   ? textf(d, "%zu known, such as %.*s", in->n_values,
                           (int)(in->values[0].n < 60 ? in->values[0].n : 60), in->values[0].p)
                   : GY_STR("any");
    }
    if (in->kind == GY_INPUT_TIME) {
        return GY_STR("ISO 8601");
    }
    if (!isfinite(in->min) || !isfinite(in->max)) {
        return GY_STR_NULL;
    }
    (void)gy_fmt_f64_trim(in->min, min);
    (void)gy_fmt_f64_trim(in->max, max);
    return textf(d, "%s to %s", min, max);
}

static gy_status inputs(struct docs *d, struct gy_buf *b, struct gy_err *err)
{
    static const char *const head[] = {"input", "kind", "seen in training", "unit",
                                       "may be missing"};
    static const char *const kinds[] = {"number", "text", "time", "image"};
    enum { N = sizeof head / sizeof head[0] };
    const struct gy_infer_shape *s = &d->e->shape;
    struct gy_str *cells = gy_arena_calloc(d->a, s->n_fields * N + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "the page of an endpoint");
    }
    for (size_t i = 0; i < s->n_fields; i++) {
        const struct gy_predictor_input *in = i < s->n_inputs ? &d->e->info->inputs[i] : NULL;
        struct gy_str *row = cells + i * N;
        row[0] = s->fields[i].name;
        row[1] = in ? gy_str_c(in->integer && in->kind == GY_INPUT_TEXT ? "category (whole number)"
                                                                        : kinds[in->kind])
                    : GY_STR("number, for rules only");
        row[2] = in ? range_of(d, in) : GY_STR_NULL;
        row[3] = gy_endpoint_unit(d->units, s->fields[i].name);
        row[4] = gy_str_c(s->fields[i].required ? "no" : i < s->n_inputs ? "null" : "yes");
    }
    gy_html_section(b, "Inputs", GY_STR("Outside of what training saw the answer has a warning."));
    gy_html_table(b, &(struct gy_html_table){
                         .head = head, .n_columns = N, .n_rows = s->n_fields, .cells = cells});
    gy_html_section_end(b);
    return GY_OK;
}

static gy_status rules(struct docs *d, struct gy_buf *b, struct gy_err *err)
{
    static const char *const head[] = {"rule", "asked", "then", "reason"};
    enum { N = sizeof head / sizeof head[0] };
    struct gy_str *cells = gy_arena_calloc(d->a, d->e->n_rules * N + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "the page of an endpoint");
    }
    for (size_t i = 0; i < d->e->n_rules; i++) {
        const struct gy_rule_info *rule = gy_rules_at(d->e->rules, i);
        struct gy_str *row = cells + i * N;
        row[0] = rule->name;
        row[1] = gy_str_c(rule->after ? "after the model" : "before the model");
        row[2] = !rule->prediction.p ? GY_STR("marks")
                 : rule->skip_model
                     ? textf(d, "answers %.*s without the model", (int)rule->prediction.n,
                             rule->prediction.p)
                     : textf(d, "answers %.*s", (int)rule->prediction.n, rule->prediction.p);
        row[3] = rule->reason;
    }
    if (d->e->n_rules) {
        gy_html_section(b, "Rules", GY_STR_NULL);
        gy_html_table(b,
                      &(struct gy_html_table){
                          .head = head, .n_columns = N, .n_rows = d->e->n_rules, .cells = cells});
        gy_html_section_end(b);
    }
    return GY_OK;
}

/* ---- trying it ---- */

static const char script[] =
    "<script>(function(){'use strict';var f=document.getElementById('try'),"
    "o=document.getElementById('answer'),r=document.getElementById('report'),id='';"
    "function show(t){o.textContent=t}"
    "f.addEventListener('submit',function(ev){ev.preventDefault();var ins=[],jobs=[];"
    "f.querySelectorAll('[data-kind]').forEach(function(e){var k=e.dataset.kind;"
    "if(k==='image'){if(!e.files.length)return;jobs.push(new Promise(function(done){"
    "var g=new FileReader();g.onload=function(){ins.push({name:e.name,shape:[1,1],datatype:'BYTES',"
    "data:[g.result.split(',')[1]]});done()};g.readAsDataURL(e.files[0])}));return}"
    "var n=k==='number'&&e.value!==''?Number(e.value):e.value===''?null:e.value;"
    "if(n===null&&e.dataset.optional)return;"
    "ins.push({name:e.name,shape:[1,1],datatype:k==='number'?'FP64':'BYTES',data:[n]})});"
    "Promise.all(jobs).then(function(){return "
    "fetch(f.getAttribute('action'),{method:'POST',headers:{"
    "'Content-Type':'application/json'},body:JSON.stringify({inputs:ins})})}).then(function(a){"
    "id=a.headers.get('Gyre-Prediction-Id')||'';r.hidden=!id;return a.json()}).then(function(j){"
    "show(JSON.stringify(j,null,2))}).catch(function(e){show(String(e))})});"
    "r.addEventListener('click',function(ev){ev.preventDefault();"
    "var why=window.prompt('What is wrong with this prediction?');if(!why)return;"
    "fetch('/api/gyre/v1/predictions/'+id+'/problems',{method:'POST',headers:{"
    "'Content-Type':'application/json'},body:JSON.stringify({reason:why})}).then(function(a){"
    "return a.json()}).then(function(j){show(j.id?'Reported: '+j.id:JSON.stringify(j,null,2))})})"
    "})();</script>";

static void try_it(struct gy_buf *b, const struct gy_endpoint *e)
{
    gy_html_section(b, "Try it", GY_STR_NULL);
    gy_buf_addf(b, "<form id=\"try\" action=\"/v2/models/%" GY_STR_F "/infer\">",
                GY_STR_A(e->name)); /* letters, digits, . _ - */
    for (size_t i = 0; i < e->shape.n_fields; i++) {
        const struct gy_predictor_input *in = i < e->shape.n_inputs ? &e->info->inputs[i] : NULL;
        bool number =
            !in || in->kind == GY_INPUT_NUMBER || (in->kind == GY_INPUT_TEXT && in->integer);
        bool image = in && in->kind == GY_INPUT_IMAGE;
        gy_buf_addc(b, "<p><label>");
        gy_html_text(b, e->shape.fields[i].name);
        gy_buf_addf(b, " <input data-kind=\"%s\"%s type=\"%s\" step=\"any\" name=\"",
                    image    ? "image"
                    : number ? "number"
                             : "text",
                    in ? "" : " data-optional=\"1\"",
                    image    ? "file"
                    : number ? "number"
                             : "text");
        gy_html_text(b, e->shape.fields[i].name);
        gy_buf_addc(b, "\"></label></p>");
    }
    gy_buf_addc(b, "<p><button type=\"submit\">Predict</button> <a id=\"report\" href=\"#\" "
                   "hidden>Report a problem with this prediction</a></p></form>"
                   "<div class=\"box\"><pre id=\"answer\" style=\"margin:0;padding:10px 14px\">"
                   "</pre></div>");
    gy_buf_addc(b, script);
    gy_html_section_end(b);
}

/* ---- the routes ---- */

static gy_status read_form(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct docs *d = ctx;
    struct gy_jw w;
    gy_buf_reset(d->form_json);
    gy_jw_init(&w, d->form_json);
    return gy_review_form(db, d->e->name, d->a, &w, err);
}

/* Units come from the schema of the data; without one the page does without. */
static gy_status read_units(struct gy_app *app, struct docs *d, struct gy_err *err)
{
    struct gy_err why = GY_ERR_INIT;
    gy_status st = gy_store_read(app->store, read_form, d, &why);
    if (st == GY_E_NOTFOUND || st == GY_E_CORRUPT) {
        return GY_OK;
    }
    if (st != GY_OK) {
        return gy_err_set(err, st, "%s", why.msg);
    }
    GY_TRY(gy_json_parse(gy_buf_str(d->form_json), &d->doc, err));
    d->units = yyjson_doc_get_root(d->doc);
    return GY_OK;
}

typedef gy_status (*make_fn)(struct docs *d, const struct gy_request *req, struct gy_buf *out,
                             struct gy_err *err);

static gy_status make(struct gy_app *app, struct gy_request *req, make_fn fn, struct gy_buf *out,
                      struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf form = {0};
    struct gy_str name = gy_req_param(req, "name");
    if (!app->serving) {
        return gy_err_set(err, GY_E_UNAVAILABLE, "no server runs here, so nothing is served");
    }
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(app->serving);
    struct docs d = {.e = gy_table_find(t, name), .a = req->arena, .form_json = &form};
    gy_buf_init(&form, PAGE_BYTES);
    if (!d.e) {
        return gy_err_set(err, GY_E_NOTFOUND, "no endpoint '%.100s' is served", name.p);
    }
    gy_status st = read_units(app, &d, err);
    st = st == GY_OK ? fn(&d, req, out, err) : st;
    gy_json_free(d.doc);
    return st == GY_OK ? gy_buf_check(out, "the page of an endpoint", err) : st;
}

static gy_status page(struct docs *d, const struct gy_request *req, struct gy_buf *out,
                      struct gy_err *err)
{
    struct gy_str host = gy_req_header(req, "host");
    const struct gy_endpoint *e = d->e;
    host = host.n && host.n < 256 ? host : GY_STR("127.0.0.1:5000");
    gy_html_begin(out, textf(d, "Endpoint %.*s", (int)e->name.n, e->name.p),
                  textf(d, "model %.*s version %.*s, revision %u. Machines read openapi.json.",
                        (int)(e->model_name.n < 200 ? e->model_name.n : 200), e->model_name.p,
                        (int)e->version.n, e->version.p, e->revision));
    GY_TRY(inputs(d, out, err));
    GY_TRY(rules(d, out, err));
    gy_endpoint_requests(out, e, host);
    try_it(out, e);
    gy_html_end(out, GY_STR("gyre"));
    return GY_OK;
}

static gy_status get_page(void *ctx, struct gy_request *req, struct gy_reply *reply,
                          struct gy_err *err)
{
    static const struct gy_header headers[] = {
        {{"Content-Type", 12}, {"text/html; charset=utf-8", 24}},
        {{"Cache-Control", 13}, {"no-cache", 8}},
        {{"Content-Security-Policy", 23},
         {"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src "
          "'self'; base-uri 'none'; frame-ancestors 'none'",
          sizeof "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                 "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'" -
              1}},
        {{"X-Frame-Options", 15}, {"DENY", 4}},
    };
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, PAGE_BYTES);
    GY_TRY(make(ctx, req, page, &out, err));
    GY_TRY(gy_reply_begin(reply, 200, headers, sizeof headers / sizeof headers[0], (int64_t)out.n,
                          err));
    GY_TRY(gy_reply_write(reply, gy_buf_str(&out), err));
    return gy_reply_end(reply, err);
}

static gy_status document(struct docs *d, const struct gy_request *req, struct gy_buf *out,
                          struct gy_err *err)
{
    struct gy_jw w;
    (void)req;
    (void)err;
    gy_jw_init(&w, out);
    gy_endpoint_openapi(&w, d->e, d->units);
    return GY_OK;
}

static gy_status get_document(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, PAGE_BYTES);
    GY_TRY(make(ctx, req, document, &out, err));
    return gy_reply_json(reply, 200, &out, err);
}

static const struct gy_route routes[] = {
    {"GET", "/docs/endpoints/{name}", get_page, NULL, 0,
     "An endpoint's page: inputs, requests, a form to try it", GY_ACCESS_VIEWER, 0},
    {"GET", "/docs/endpoints/{name}/openapi.json", get_document, NULL, 0,
     "The OpenAPI document of an endpoint", GY_ACCESS_VIEWER, 0},
};

gy_status gy_api_endpoint_docs_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/alias.h"

#include "serve/endpoint_internal.h"
#include "serve/protocol.h"

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "loading the aliases of an endpoint");
}

/* ---- paths ---- */

/* What other systems have at the root and Gyre has, too: an alias answers on the inference port. */
static bool is_shared(struct gy_str path)
{
    return gy_str_eqc(path, "/") || gy_str_eqc(path, "/health") || gy_str_eqc(path, "/version");
}

/* The protocol whose path it is, where that names no endpoint. */
static const struct gy_protocol *nameless(struct gy_str path)
{
    struct gy_ask ask;
    bool claimed = gy_protocols_claim(path, &ask) && ask.protocol != &gy_protocol_alias;
    return claimed && !ask.endpoint.p ? ask.protocol : NULL;
}

gy_status gy_endpoint_check_path(struct gy_str path, struct gy_err *err)
{
    static const char *const own[] = {"/api",
                                      "/ajax-api",
                                      "/v1",
                                      "/v2",
                                      "/metrics",
                                      "/get-artifact",
                                      "/docs",
                                      "/ui",
                                      "/graphql",
                                      "/static-files",
                                      "/endpoints",
                                      "/serving-endpoints",
                                      "/seldon",
                                      "/inference.GRPCInferenceService",
                                      "/grpc.health.v1.Health"};
    bool good = path.n > 0 && path.n <= GY_MAX_NAME && path.p[0] == '/';
    for (size_t i = 1; good && i < path.n; i++) {
        good = gy_endpoint_name_char(path.p[i]) || (path.p[i] == '/' && path.p[i - 1] != '/');
    }
    if (!good) {
        return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' can not be an alias path",
                          GY_STR_A(path));
    }
    if (nameless(path)) {
        return GY_OK;
    }
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        size_t n = strlen(own[i]);
        if (gy_str_starts(path, gy_str_c(own[i])) && (path.n == n || path.p[n] == '/')) {
            return gy_err_set(err, GY_E_INVALID, "alias path '%" GY_STR_F "' is one of Gyre's own",
                              GY_STR_A(path));
        }
    }
    return GY_OK;
}

bool gy_about_path(struct gy_str path, enum gy_about *ret)
{
    static const struct {
        const char *path;
        enum gy_about about;
    } paths[] = {
        {"/status", GY_ABOUT_STATUS},
        {"/health/status", GY_ABOUT_STATUS},
        {"/deployed_version/", GY_ABOUT_VERSION},
        {"/models/", GY_ABOUT_MODELS},
    };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (gy_str_eqc(path, paths[i].path)) {
            *ret = paths[i].about;
            return true;
        }
    }
    return false;
}

bool gy_alias_is_plain(struct gy_str path)
{
    return gy_str_eqc(path, "/predict") || gy_str_eqc(path, "/predict/") ||
           gy_str_eqc(path, "/predictions");
}

/* ---- bodies ---- */

static gy_status alias_keys(struct gy_endpoint *e, struct gy_alias *alias,
                            struct gy_infer_field *fields, yyjson_val *map, bool *ret_computed,
                            struct gy_err *err)
{
    size_t i, n;
    yyjson_val *key, *value;
    yyjson_obj_foreach(map, i, n, key, value)
    {
        struct gy_str name = gy_json_val_str(key);
        size_t at = 0;
        while (at < alias->shape.n_fields && !gy_str_eq(fields[at].name, name)) {
            at++;
        }
        if (at == alias->shape.n_fields) {
            return gy_err_set(err, GY_E_INVALID,
                              "input: '%" GY_STR_F "' is not an input of the model",
                              GY_STR_A(name));
        }
        if (!yyjson_is_str(value) || yyjson_get_len(value) == 0) {
            return gy_err_set(err, GY_E_INVALID, "input: '%" GY_STR_F "' must name a field",
                              GY_STR_A(name));
        }
        struct gy_str text;
        if (gy_mapping_is_expr(gy_json_val_str(value), &text)) {
            *ret_computed = true;
        } else {
            GY_TRY(gy_endpoint_copy(&e->arena, text, &fields[at].key, err));
        }
    }
    return GY_OK;
}

static gy_status alias_inputs(struct gy_endpoint *e, struct gy_alias *alias, yyjson_val *map,
                              struct gy_err *err)
{
    bool computed = false;
    GY_TRY(gy_endpoint_shape(e, &alias->shape, err));
    struct gy_infer_field *fields = (struct gy_infer_field *)alias->shape.fields; /* ours so far */
    if (map) {
        GY_TRY(alias_keys(e, alias, fields, map, &computed, err));
    }
    if (computed) {
        const struct gy_infer_shape own = alias->shape;
        GY_TRY(gy_mapping_compile(&alias->mapping, &own, map, &e->arena, err));
        alias->shape = alias->mapping.body;
        return GY_OK;
    }
    for (size_t i = 0; i < alias->shape.n_fields; i++) {
        for (size_t k = 0; k < i; k++) {
            if (gy_str_eq(fields[i].key, fields[k].key)) {
                return gy_err_set(err, GY_E_INVALID, "input: field '%" GY_STR_F "' stands for two",
                                  GY_STR_A(fields[i].key));
            }
        }
    }
    return GY_OK;
}

static gy_status alias_output(struct gy_endpoint *e, struct gy_alias *alias, struct gy_str key,
                              struct gy_str what, struct gy_err *err)
{
    bool number = e->info->task == GY_TASK_REGRESSION || e->numeric_classes;
    struct gy_str text;
    if (gy_mapping_is_expr(what, &text)) {
        struct gy_alias_output *o = &alias->outputs[alias->n_outputs++];
        GY_TRY(gy_endpoint_json_text(&e->arena, key, ":", &o->key, err));
        gy_status st = gy_mapping_output(text, number ? GY_EXPR_NUM : GY_EXPR_STR, &o->expr, err);
        return st == GY_OK ? GY_OK : gy_err_wrap(err, "output '%" GY_STR_F "'", GY_STR_A(key));
    }
    for (int i = 0; i < GY_N_OUTPUTS; i++) {
        if (gy_str_eq(gy_endpoint_outputs[i], what)) {
            struct gy_alias_output *o = &alias->outputs[alias->n_outputs++];
            o->what = (enum gy_output)i;
            return gy_endpoint_json_text(&e->arena, key, ":", &o->key, err);
        }
    }
    return gy_err_set(err, GY_E_INVALID,
                      "output: '%" GY_STR_F "' is not prediction, probability or rule",
                      GY_STR_A(what));
}

static gy_status alias_outputs(struct gy_endpoint *e, struct gy_alias *alias, yyjson_val *map,
                               struct gy_err *err)
{
    size_t n_keys = yyjson_obj_size(map);
    if (n_keys > 32) {
        return gy_err_set(err, GY_E_TOOBIG, "more than 32 outputs");
    }
    alias->outputs = gy_arena_calloc(&e->arena, n_keys + 1, sizeof *alias->outputs);
    if (!alias->outputs) {
        return no_memory(err);
    }
    if (n_keys == 0) {
        return alias_output(e, alias, gy_endpoint_outputs[0], gy_endpoint_outputs[0], err);
    }
    size_t i, n;
    yyjson_val *key, *value;
    yyjson_obj_foreach(map, i, n, key, value)
    {
        GY_TRY(alias_output(e, alias, gy_json_val_str(key), gy_json_val_str(value), err));
    }
    return GY_OK;
}

/* ---- what is told about it, and how it fails ---- */

/* As the reference systems spell them. */
static const char *const about_json[GY_N_ABOUT] = {
    [GY_ABOUT_STATUS] = "{\"status\":\"ok\"}",
    [GY_ABOUT_VERSION] = "{\"version\":\"v{version}\"}",
    [GY_ABOUT_MODELS] = "{\"avaliable_models\":\"v{versions}\"}",
};

static gy_status compile(const struct gy_endpoint *e, yyjson_val *value, bool failure,
                         struct gy_arena *a, struct gy_template *ret, struct gy_err *err)
{
    const struct gy_template_known known = {e->name, e->model_name, e->version, e->revision};
    return gy_template_compile(value, failure, &known, a, ret, err);
}

static gy_status about(struct gy_endpoint *e, enum gy_about what, struct gy_template *ret,
                       struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(gy_str_c(about_json[what]), &doc, err));
    return compile(e, yyjson_doc_get_root(doc), false, &e->arena, ret, err);
}

/* `answer`: a word, or what is answered. */
static gy_status read_answer(struct gy_endpoint *e, struct gy_alias *alias, yyjson_val *v,
                             struct gy_err *err)
{
    static const char *const words[GY_N_ABOUT] = {"status", "version", "models"};
    struct gy_str word = gy_json_val_str(v);
    if (!word.p && yyjson_is_obj(v)) {
        return compile(e, v, false, &e->arena, &alias->answer, err);
    }
    for (int i = 0; word.p && i < GY_N_ABOUT; i++) {
        if (gy_str_eqc(word, words[i])) {
            return about(e, (enum gy_about)i, &alias->answer, err);
        }
    }
    return gy_err_set(err, GY_E_INVALID,
                      "must be status, version, models, or the object to answer");
}

/* `error`: the key of the message, or the whole body. */
static gy_status read_error(struct gy_endpoint *e, struct gy_alias *alias, yyjson_val *v,
                            struct gy_err *err)
{
    struct gy_str key = gy_json_val_str(v);
    if (yyjson_is_obj(v)) {
        return compile(e, v, true, &e->arena, &alias->error, err);
    }
    if (!key.p || key.n == 0) {
        return gy_err_set(err, GY_E_INVALID,
                          "must be the key of the message, or the object to answer");
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    struct gy_jw w;
    gy_buf_init(&json, GY_TEMPLATE_MAX_BYTES);
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_jw_keys(&w, key);
    gy_jw_strc(&w, "{message}");
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&json, "error", err));
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(gy_buf_str(&json), &doc, err));
    return compile(e, yyjson_doc_get_root(doc), true, &e->arena, &alias->error, err);
}

/* ---- one alias ---- */

static yyjson_val *given(yyjson_val *object, const char *key)
{
    yyjson_val *v = gy_json_get(object, key);
    return v && !yyjson_is_null(v) ? v : NULL;
}

static gy_status check_one(yyjson_val *object, struct gy_err *err)
{
    static const char *const keys[] = {"path", "input", "output", "answer", "error", NULL};
    size_t i, n;
    yyjson_val *key, *value;
    if (!yyjson_is_obj(object)) {
        return gy_err_set(err, GY_E_INVALID, "an alias must be an object with a 'path'");
    }
    yyjson_obj_foreach(object, i, n, key, value)
    {
        const char *const *k = keys;
        while (*k && !gy_str_eqc(gy_json_val_str(key), *k)) {
            k++;
        }
        if (!*k) {
            (void)gy_err_set(err, GY_E_INVALID, "an alias has no '%" GY_STR_F "'",
                             GY_STR_A(gy_str_sub(gy_json_val_str(key), 0, 100)));
            return gy_err_hint(err, "there are path, input, output, error, and answer");
        }
    }
    for (const char *const *k = keys + 1; *k && k < keys + 3; k++) {
        yyjson_val *v = given(object, *k);
        if (v && !yyjson_is_obj(v)) {
            return gy_err_set(err, GY_E_INVALID, "aliases: '%s' must be an object", *k);
        }
    }
    return GY_OK;
}

gy_status gy_aliases_check(yyjson_val *list, struct gy_err *err)
{
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, n, one)
    {
        GY_TRY(check_one(one, err));
    }
    return GY_OK;
}

static gy_status fill_alias(struct gy_endpoint *e, yyjson_val *object, struct gy_alias *alias,
                            struct gy_err *err)
{
    yyjson_val *input = given(object, "input"), *output = given(object, "output");
    yyjson_val *answer = given(object, "answer"), *error = given(object, "error");
    alias->inference_only = is_shared(alias->path);
    alias->protocol = nameless(alias->path);
    if (alias->protocol && (input || output || answer || error)) {
        return gy_err_set(err, GY_E_INVALID,
                          "the path belongs to a protocol: bodies and answers are its own");
    }
    if (answer && (input || output)) {
        return gy_err_set(err, GY_E_INVALID,
                          "'answer' is for GET, 'input' and 'output' for POST: make it two paths");
    }
    if (error) {
        gy_status st = read_error(e, alias, error, err);
        if (st != GY_OK) {
            return gy_err_wrap(err, "error");
        }
    }
    if (answer) {
        gy_status st = read_answer(e, alias, answer, err);
        return st == GY_OK ? st : gy_err_wrap(err, "answer");
    }
    GY_TRY(alias_inputs(e, alias, input, err));
    return alias_outputs(e, alias, output, err);
}

static gy_status build_alias(struct gy_endpoint *e, yyjson_val *object, struct gy_alias *alias,
                             struct gy_err *err)
{
    struct gy_str path;
    GY_TRY(gy_json_need_str(object, "path", &path, err));
    GY_TRY(gy_endpoint_check_path(path, err));
    GY_TRY(gy_endpoint_copy(&e->arena, path, &alias->path, err));
    gy_status st = fill_alias(e, object, alias, err);
    if (st != GY_OK) {
        (void)gy_err_wrap(err, "alias %" GY_STR_F, GY_STR_A(path));
    }
    return st;
}

/* What the endpoint answers by itself where it is the default one. */
static gy_status build_plain(struct gy_endpoint *e, struct gy_err *err)
{
    bool classes = e->info->task != GY_TASK_REGRESSION;
    e->plain.shape = e->shape;
    e->plain.outputs = gy_arena_calloc(&e->arena, 2, sizeof *e->plain.outputs);
    if (!e->plain.outputs) {
        return no_memory(err);
    }
    for (int i = 0; i < 1 + classes; i++) {
        GY_TRY(alias_output(e, &e->plain, gy_endpoint_outputs[i], gy_endpoint_outputs[i], err));
    }
    for (int i = 0; i < GY_N_ABOUT; i++) {
        GY_TRY(about(e, (enum gy_about)i, &e->about[i].answer, err));
    }
    return GY_OK;
}

gy_status gy_aliases_build(struct gy_endpoint *e, yyjson_val *list, struct gy_err *err)
{
    if (list && !yyjson_is_null(list) && !yyjson_is_arr(list)) {
        return gy_err_set(err, GY_E_INVALID, "'aliases' must be a list");
    }
    size_t count = yyjson_arr_size(list);
    if (count > GY_ENDPOINT_MAX_ALIASES) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d aliases", GY_ENDPOINT_MAX_ALIASES);
    }
    e->aliases = gy_arena_calloc(&e->arena, count + 1, sizeof *e->aliases);
    if (!e->aliases) {
        return no_memory(err);
    }
    GY_TRY(build_plain(e, err));
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, n, one)
    {
        GY_TRY(build_alias(e, one, &e->aliases[i], err));
        e->n_aliases++;
        for (size_t k = 0; k < i; k++) {
            if (gy_str_eq(e->aliases[k].path, e->aliases[i].path)) {
                return gy_err_set(err, GY_E_INVALID, "alias %" GY_STR_F " is there twice",
                                  GY_STR_A(e->aliases[i].path));
            }
        }
    }
    return GY_OK;
}

/* Expressions have memory of their own. A half-built alias is beyond n_aliases. */
void gy_aliases_done(struct gy_endpoint *e)
{
    for (size_t i = 0; e->aliases && i <= e->n_aliases; i++) {
        struct gy_alias *alias = &e->aliases[i];
        for (size_t k = 0; k < alias->n_outputs; k++) {
            gy_expr_free(alias->outputs[k].expr);
        }
        gy_mapping_done(&alias->mapping, e->shape.n_fields);
    }
}

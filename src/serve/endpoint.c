/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/endpoint.h"

#include <math.h>

#include "base/log.h"
#include "base/mem.h"
#include "serve/answer.h"
#include "serve/endpoint_internal.h"
#include "serve/setting.h"

const struct gy_str gy_endpoint_outputs[GY_N_OUTPUTS] = {
    {"prediction", 10},
    {"probability", 11},
    {"rule", 4},
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "loading an endpoint");
}

bool gy_endpoint_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

gy_status gy_endpoint_check_name(struct gy_str name, struct gy_err *err)
{
    bool good =
        name.n > 0 && name.n <= GY_ENDPOINT_MAX_NAME && name.p[0] != '.' && name.p[0] != '-';
    for (size_t i = 0; good && i < name.n; i++) {
        good = gy_endpoint_name_char(name.p[i]);
    }
    return good
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID,
                            "'%" GY_STR_F "' can not name an endpoint: letters, digits, . _ - only",
                            GY_STR_A(name));
}

/* s as JSON text in the arena, with what follows it. */
gy_status gy_endpoint_json_text(struct gy_arena *a, struct gy_str s, const char *then,
                                struct gy_str *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 64 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &b);
    gy_jw_str(&w, s);
    gy_buf_addc(&b, then);
    GY_TRY(gy_buf_check(&b, "a text of an endpoint", err));
    *ret = gy_arena_str(a, gy_buf_str(&b));
    return ret->p ? GY_OK : no_memory(err);
}

gy_status gy_endpoint_copy(struct gy_arena *a, struct gy_str s, struct gy_str *ret,
                           struct gy_err *err)
{
    *ret = gy_arena_str(a, s);
    return ret->p ? GY_OK : no_memory(err);
}

/* ---- classes ---- */

static gy_status build_classes(struct gy_endpoint *e, struct gy_err *err)
{
    const struct gy_predictor_info *info = e->info;
    e->class_values = gy_arena_calloc(&e->arena, info->n_classes + 1, sizeof *e->class_values);
    e->class_json = gy_arena_calloc(&e->arena, info->n_classes + 1, sizeof *e->class_json);
    e->class_rules = gy_arena_calloc(&e->arena, info->n_classes + 1, sizeof *e->class_rules);
    if (!e->class_values || !e->class_json || !e->class_rules) {
        return no_memory(err);
    }
    e->numeric_classes = true;
    for (size_t i = 0; i < info->n_classes; i++) {
        int64_t value;
        e->numeric_classes = e->numeric_classes && gy_parse_i64(info->classes[i], -1000000000,
                                                                1000000000, &value, NULL) == GY_OK;
    }
    for (size_t i = 0; i < info->n_classes; i++) {
        if (e->numeric_classes) {
            GY_TRY(gy_parse_f64(info->classes[i], &e->class_values[i], err));
            e->class_rules[i] = e->class_values[i];
            GY_TRY(gy_endpoint_copy(&e->arena, info->classes[i], &e->class_json[i], err));
        } else {
            e->class_values[i] = (double)i;
            e->class_rules[i] = gy_rules_class(info->classes[i]);
            GY_TRY(gy_endpoint_json_text(&e->arena, info->classes[i], "", &e->class_json[i], err));
        }
    }
    return GY_OK;
}

/* ---- rules ---- */

static gy_status plan_prediction(const struct gy_endpoint *e, const struct gy_rule_info *rule,
                                 struct gy_rule_plan *plan, struct gy_err *err)
{
    const struct gy_predictor_info *info = e->info;
    if (info->task == GY_TASK_REGRESSION) {
        if (gy_parse_f64(rule->prediction, &plan->prediction, NULL) != GY_OK ||
            !isfinite(plan->prediction)) {
            return gy_err_set(err, GY_E_INVALID,
                              "rule '%" GY_STR_F "': prediction must be a number",
                              GY_STR_A(rule->name));
        }
        return GY_OK;
    }
    for (size_t i = 0; i < info->n_classes; i++) {
        if (gy_str_eq(info->classes[i], rule->prediction)) {
            plan->prediction = (double)i;
            return GY_OK;
        }
    }
    return gy_err_set(err, GY_E_INVALID,
                      "rule '%" GY_STR_F "': '%" GY_STR_F "' is not a class of the model",
                      GY_STR_A(rule->name), GY_STR_A(rule->prediction));
}

static gy_status build_plan(struct gy_endpoint *e, size_t i, struct gy_err *err)
{
    const struct gy_rule_info *rule = gy_rules_at(e->rules, i);
    struct gy_rule_plan *plan = &e->plans[i];
    plan->decides = rule->prediction.p != NULL;
    plan->skip_model = rule->skip_model;
    plan->after = rule->after;
    if (plan->decides) {
        GY_TRY(plan_prediction(e, rule, plan, err));
    }
    struct gy_str reason;
    GY_TRY(gy_endpoint_json_text(&e->arena, rule->name, "", &plan->name_json, err));
    GY_TRY(gy_endpoint_json_text(&e->arena, rule->reason, "", &reason, err));
    plan->json = gy_str_c(
        gy_arena_printf(&e->arena, "\"name\":%s,\"reason\":%s", plan->name_json.p, reason.p));
    return plan->json.p ? GY_OK : no_memory(err);
}

static gy_status build_rules(struct gy_endpoint *e, yyjson_val *config, struct gy_err *err)
{
    const struct gy_predictor_info *info = e->info;
    yyjson_val *columns = gy_json_get(config, "columns");
    size_t n_columns = yyjson_arr_size(columns);
    if (n_columns > GY_MAX_COLUMNS) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d columns", GY_MAX_COLUMNS);
    }
    struct gy_str *inputs = gy_arena_calloc(&e->arena, info->n_inputs + 1, sizeof *inputs);
    struct gy_str *names = gy_arena_calloc(&e->arena, n_columns + 1, sizeof *names);
    if (!inputs || !names) {
        return no_memory(err);
    }
    for (size_t i = 0; i < info->n_inputs; i++) {
        inputs[i] = info->inputs[i].name;
    }
    for (size_t i = 0; i < n_columns; i++) {
        names[i] = gy_json_val_str(yyjson_arr_get(columns, i));
    }
    const struct gy_rule_names known = {.inputs = inputs,
                                        .n_inputs = info->n_inputs,
                                        .columns = names,
                                        .n_columns = n_columns,
                                        .described = info->inputs,
                                        .regression = info->task == GY_TASK_REGRESSION,
                                        .text_classes = info->task != GY_TASK_REGRESSION &&
                                                        !e->numeric_classes};
    GY_TRY(gy_rules_compile(gy_json_get(config, "rules"), &known, &e->rules, err));
    e->n_rules = gy_rules_count(e->rules);
    e->rules_after = gy_rules_any_after(e->rules);
    e->plans = gy_arena_calloc(&e->arena, e->n_rules + 1, sizeof *e->plans);
    if (!e->plans) {
        return no_memory(err);
    }
    for (size_t i = 0; i < e->n_rules; i++) {
        GY_TRY(build_plan(e, i, err));
    }
    return GY_OK;
}

/* ---- shapes and aliases ---- */

gy_status gy_endpoint_shape(struct gy_endpoint *e, struct gy_infer_shape *shape, struct gy_err *err)
{
    const struct gy_str *columns;
    size_t n_columns = gy_rules_columns(e->rules, &columns);
    size_t n_inputs = e->info->n_inputs;
    struct gy_infer_field *f = gy_arena_calloc(&e->arena, n_inputs + n_columns, sizeof *f);
    if (!f) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n_inputs + n_columns; i++) {
        f[i].name = i < n_inputs ? e->info->inputs[i].name : columns[i - n_inputs];
        f[i].key = f[i].name;
        f[i].required = i < n_inputs && e->info->inputs[i].required;
    }
    *shape = (struct gy_infer_shape){.fields = f,
                                     .n_inputs = n_inputs,
                                     .n_fields = n_inputs + n_columns,
                                     .outputs = e->output_names,
                                     .n_outputs = e->n_outputs,
                                     .groups = e->info->in_tensors,
                                     .n_groups = e->info->n_in_tensors};
    for (size_t i = 0; i < n_inputs; i++) {
        const struct gy_predictor_input *in = &e->info->inputs[i];
        if (in->kind != GY_INPUT_NUMBER) {
            f[i].input = in;
            f[i].first_pixel = shape->n_pixels;
            shape->mixed = true;
            shape->n_pixels += in->kind == GY_INPUT_IMAGE ? in->width : 0;
        }
    }
    return GY_OK;
}

/* ---- texts and the measurement ---- */

static gy_status build_texts(struct gy_endpoint *e, struct gy_err *err)
{
    e->v2_head = gy_str_c(gy_arena_printf(
        &e->arena, "{\"model_name\":\"%" GY_STR_F "\",\"model_version\":\"%" GY_STR_F "\"",
        GY_STR_A(e->name), GY_STR_A(e->version)));
    e->headers = gy_str_c(gy_arena_printf(
        &e->arena, "Gyre-Revision: %" GY_STR_F "/%u\r\nGyre-Model-Version: %" GY_STR_F "\r\n",
        GY_STR_A(e->name), e->revision, GY_STR_A(e->version)));
    return e->v2_head.p && e->headers.p ? GY_OK : no_memory(err);
}

static gy_status read_threshold(struct gy_endpoint *e, const struct gy_endpoint_spec *spec,
                                struct gy_err *err)
{
    e->threshold = spec->threshold ? *spec->threshold : e->info->threshold;
    yyjson_val *v = gy_json_get(spec->config, "threshold");
    if (spec->threshold || !v || yyjson_is_null(v)) {
        return GY_OK;
    }
    double t = yyjson_is_num(v) ? yyjson_get_num(v) : -1;
    if (e->info->task != GY_TASK_BINARY || !(t >= 0 && t <= 1)) {
        return gy_err_set(err, GY_E_INVALID,
                          "'threshold' must be from 0 to 1, and the model have two classes");
    }
    e->threshold = t;
    return GY_OK;
}

uint64_t gy_share_cut(double share)
{
    return (uint64_t)(share * 9007199254740992.0); /* 2^53 */
}

static gy_status read_rule_shadow(struct gy_endpoint *e, yyjson_val *config, struct gy_err *err)
{
    yyjson_val *v = gy_json_get(config, "rule_shadow");
    bool given = v && !yyjson_is_null(v);
    double share = given ? yyjson_is_num(v) ? yyjson_get_num(v) : -1 : GY_ENDPOINT_RULE_SHADOW;
    if (!(share >= 0 && share <= 1)) {
        return gy_err_set(err, GY_E_INVALID, "'rule_shadow' must be a share from 0 to 1");
    }
    e->rule_shadow = share;
    e->rule_shadow_cut = gy_share_cut(share);
    return GY_OK;
}

/* The answer, then what the model says: a regression repeats itself only where a rule may have
 * answered instead. */
static void count_log_outputs(struct gy_endpoint *e)
{
    bool answer_is_all =
        e->info->task == GY_TASK_REGRESSION && e->n_rules == 0 && e->info->n_outputs == 1;
    e->n_log_outputs = 1 + (answer_is_all ? 0 : e->info->n_outputs);
}

static size_t aligned(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static void measure(struct gy_endpoint *e)
{
    size_t raw = aligned(GY_ENDPOINT_CHUNK * e->info->n_outputs * sizeof(double));
    size_t rows = aligned(GY_ENDPOINT_CHUNK * e->info->n_cells * sizeof(double));
    e->scratch_bytes = e->model->scratch_bytes + raw + rows;
    double rows_inline = GY_ENDPOINT_INLINE_NS / e->model->row_ns;
    e->inline_rows = rows_inline < 1e6 ? (size_t)rows_inline : 1000000;
}

static gy_status build_lane(struct gy_endpoint *e, yyjson_val *config, struct gy_err *err)
{
    struct gy_settings s;
    struct gy_lane_options o;
    gy_setting_read_all(config, &s);
    yyjson_val *batching = s.value[GY_SET_BATCHING];
    GY_TRY(gy_lane_read(s.value[GY_SET_RUNTIME], batching, &o, err));
    if (!e->info->blocks && !(batching && e->model->row_ns >= GY_LANE_PAYS_NS)) {
        if (batching) {
            gy_log(GY_LOG_INFO, "serve", "batching would only cost time: a row is fast",
                   GY_KV_S("endpoint", e->name), GY_KV_I("row_ns", (int64_t)e->model->row_ns));
        }
        return GY_OK;
    }
    e->waits = true;
    return gy_lane_new(e->model->predictor, &o, &e->lane, err);
}

static gy_status build(struct gy_endpoint *e, const struct gy_endpoint_spec *spec,
                       struct gy_err *err)
{
    GY_TRY(gy_endpoint_check_name(spec->name, err));
    GY_TRY(gy_endpoint_copy(&e->arena, spec->name, &e->name, err));
    GY_TRY(gy_endpoint_copy(&e->arena, spec->model_name, &e->model_name, err));
    GY_TRY(gy_endpoint_copy(&e->arena, spec->version, &e->version, err));
    GY_TRY(gy_endpoint_copy(&e->arena, spec->digest, &e->digest, err));
    e->revision = spec->revision;
    if (spec->loaded) {
        GY_REQUIRE(gy_str_eq(spec->loaded->info->digest, spec->digest));
        e->model = gy_loaded_ref(spec->loaded);
    } else {
        GY_TRY(gy_loaded_open(spec->package_dir, spec->digest, spec->budget, &e->model, err));
    }
    e->info = e->model->info;
    e->unloads = e->model->unloads;
    e->decoder = gy_predictor_decoder(e->model->predictor);
    GY_TRY(read_threshold(e, spec, err));
    GY_TRY(build_classes(e, err));
    GY_TRY(build_rules(e, spec->config, err));
    GY_TRY(read_rule_shadow(e, spec->config, err));
    GY_TRY(gy_limits_read(gy_json_get(spec->config, "limits"), &e->limits, err));
    e->is_default = gy_json_bool(spec->config, "default", false);
    count_log_outputs(e);
    GY_TRY(gy_outputs_build(e, err));
    GY_TRY(gy_endpoint_shape(e, &e->shape, err));
    GY_TRY(
        gy_logging_read(gy_json_get(spec->config, "log"), &e->shape, &e->arena, &e->logging, err));
    GY_TRY(gy_aliases_build(e, gy_json_get(spec->config, "aliases"), err));
    GY_TRY(build_texts(e, err));
    measure(e);
    return build_lane(e, spec->config, err);
}

gy_status gy_endpoint_build(const struct gy_endpoint_spec *spec, struct gy_endpoint **ret,
                            struct gy_err *err)
{
    GY_AUTO(gy_endpoint_unref) struct gy_endpoint *e = gy_calloc(1, sizeof *e);
    if (!e) {
        return no_memory(err);
    }
    atomic_init(&e->refs, 1);
    e->weight = 1;
    gy_arena_init_small(&e->arena,
                        GY_ENDPOINT_MAX_BYTES + GY_MAX_FEATURES * 64 * GY_ENDPOINT_MAX_ALIASES);
    gy_status st = build(e, spec, err);
    if (st != GY_OK) {
        (void)gy_err_wrap(err, "endpoint '%" GY_STR_F "'", GY_STR_A(spec->name));
        return st;
    }
    *ret = GY_TAKE(e);
    return GY_OK;
}

struct gy_endpoint *gy_endpoint_ref(struct gy_endpoint *e)
{
    atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

void gy_endpoint_unref(struct gy_endpoint *e)
{
    if (!e || atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < e->n_canaries; i++) {
        gy_endpoint_unref(e->canaries[i]);
    }
    gy_endpoint_unref(e->shadow);
    gy_aliases_done(e);
    gy_rules_free(e->rules);
    gy_lane_free(e->lane);
    gy_loaded_unref(e->model);
    gy_arena_done(&e->arena);
    gy_free(e);
}

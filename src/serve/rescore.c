/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/rescore.h"

#include <math.h>

#include "base/mem.h"
#include "learn/decode.h"
#include "serve/logging.h"

#define ALIGN 64

static gy_status check_classes(const struct gy_predictor_info *info, const struct gy_shape *s,
                               struct gy_err *err)
{
    if (info->task != s->task) {
        return gy_err_set(err, GY_E_INVALID, "the version does another task than revision %lld",
                          (long long)s->revision);
    }
    bool same = info->n_classes == s->n_classes;
    for (size_t i = 0; same && i < info->n_classes; i++) {
        same = gy_str_eq(info->classes[i], s->classes[i]);
    }
    return same ? GY_OK
                : gy_err_set(err, GY_E_INVALID,
                             "the version tells other classes apart than revision %lld",
                             (long long)s->revision);
}

static bool any_after(const struct gy_shape *s)
{
    for (size_t i = 0; i < s->n_rules; i++) {
        if (s->rules[i].after) {
            return true;
        }
    }
    return false;
}

/* The revision's rules, over the inputs as its records have them. */
static gy_status plan_after(struct gy_rescore_plan *plan, struct gy_arena *a, struct gy_err *err)
{
    const struct gy_shape *s = plan->shape;
    if (!any_after(s)) {
        return GY_OK;
    }
    struct gy_predictor_input *described = gy_arena_calloc(a, s->n_inputs + 1, sizeof *described);
    if (!described) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for scoring logged rows");
    }
    for (size_t i = 0; i < s->n_inputs; i++) {
        yyjson_val *all = gy_json_get(s->config, "described");
        yyjson_val *its = all ? yyjson_obj_getn(all, s->inputs[i].p, s->inputs[i].n) : NULL;
        bool text = gy_str_eqc(gy_json_str(its, "kind"), "text");
        described[i].kind = text ? GY_INPUT_TEXT : GY_INPUT_NUMBER;
    }
    const struct gy_rule_names names = {.inputs = s->inputs,
                                        .n_inputs = s->n_inputs,
                                        .described = described,
                                        .regression = s->task == GY_TASK_REGRESSION,
                                        .text_classes =
                                            s->task != GY_TASK_REGRESSION &&
                                            !gy_json_bool(s->config, "numeric_classes", false)};
    GY_TRY(gy_rules_compile(gy_json_get(s->config, "rules"), &names, &plan->after, err));
    const size_t *reads = NULL;
    size_t n = gy_rules_reads(plan->after, &reads);
    for (size_t i = 0; i < n; i++) {
        plan->hidden[i] = gy_logging_column_of(s->config, s->inputs[reads[i]]) != GY_LOG_AS_IS;
    }
    return GY_OK;
}

gy_status gy_rescore_plan(const struct gy_predictor *p, const struct gy_shape *shape,
                          double threshold, struct gy_arena *a, struct gy_rescore_plan *ret,
                          struct gy_err *err)
{
    const struct gy_predictor_info *info = gy_predictor_info(p);
    struct gy_rescore_plan plan = {.predictor = p,
                                   .info = info,
                                   .shape = shape,
                                   .threshold = isnan(threshold) ? info->threshold : threshold};
    GY_TRY(check_classes(info, shape, err));
    for (size_t i = 0; i < info->n_inputs; i++) {
        if (info->inputs[i].kind == GY_INPUT_IMAGE) {
            return gy_err_set(err, GY_E_INVALID,
                              "the log does not hold the images that the version needs");
        }
    }
    plan.columns = gy_arena_calloc(a, info->n_inputs + 1, sizeof *plan.columns);
    if (!plan.columns) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for scoring logged rows");
    }
    for (size_t i = 0; i < info->n_inputs; i++) {
        size_t c = 0;
        while (c < shape->n_inputs && !gy_str_eq(shape->inputs[c], info->inputs[i].name)) {
            c++;
        }
        enum gy_log_column how = gy_logging_column_of(shape->config, info->inputs[i].name);
        if (how != GY_LOG_AS_IS) {
            return gy_err_set(err, GY_E_INVALID,
                              "the version needs '%" GY_STR_F
                              "', which is %s in the log of revision %lld: it can not be replayed",
                              GY_STR_A(info->inputs[i].name), gy_logging_column_name(how),
                              (long long)shape->revision);
        }
        if (c == shape->n_inputs) {
            return gy_err_set(err, GY_E_INVALID,
                              "the version needs '%" GY_STR_F "', which revision %lld did not log",
                              GY_STR_A(info->inputs[i].name), (long long)shape->revision);
        }
        plan.columns[i] = c;
    }
    GY_TRY(plan_after(&plan, a, err));
    *ret = plan;
    return GY_OK;
}

void gy_rescore_plan_done(struct gy_rescore_plan *plan)
{
    gy_rules_free(plan->after);
    plan->after = NULL;
}

static size_t aligned(size_t n)
{
    return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

gy_status gy_rescore_batch_init(struct gy_rescore_batch *b, const struct gy_predictor *p,
                                struct gy_err *err)
{
    const struct gy_predictor_info *info = gy_predictor_info(p);
    size_t rows = aligned((GY_RESCORE_ROWS + 1) * (info->n_inputs + 1) * sizeof(double));
    size_t out = aligned(GY_RESCORE_ROWS * info->n_outputs * sizeof(double));
    *b = (struct gy_rescore_batch){0};
    size_t said = aligned((size_t)GY_RESCORE_ROWS * GY_RULES_SLOTS * sizeof(double));
    b->memory = gy_malloc(ALIGN + rows + out + said + gy_predictor_scratch(p, GY_RESCORE_ROWS));
    if (!b->memory) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for scoring logged rows");
    }
    char *at = b->memory + (ALIGN - (uintptr_t)b->memory % ALIGN) % ALIGN;
    b->rows = (double *)(void *)at;
    b->out = (double *)(void *)(at + rows);
    b->said = (double *)(void *)(at + rows + out);
    b->scratch = at + rows + out + said;
    return GY_OK;
}

void gy_rescore_batch_done(struct gy_rescore_batch *b)
{
    gy_free(b->memory);
    b->memory = NULL;
}

static void gather(struct gy_rescore_batch *b, const struct gy_rescore_plan *plan,
                   const double *inputs)
{
    const size_t *reads = NULL;
    double *said = b->said + b->n * GY_RULES_SLOTS;
    size_t n = gy_rules_reads(plan->after, &reads);
    gy_rules_gather(plan->after, inputs, said);
    for (size_t i = 0; i < n; i++) {
        said[2 + i] = plan->hidden[i] ? NAN : said[2 + i];
    }
}

bool gy_rescore_add(struct gy_rescore_batch *b, const struct gy_rescore_plan *plan,
                    const double *inputs)
{
    GY_REQUIRE(b->n < GY_RESCORE_ROWS);
    const size_t n = plan->info->n_inputs;
    const struct gy_decoder *d = gy_predictor_decoder(plan->predictor);
    double *row = b->rows + b->n * n;
    for (size_t i = 0; i < n; i++) {
        row[i] = inputs[plan->columns[i]];
        if (isnan(row[i]) && plan->info->inputs[i].required) {
            return false;
        }
    }
    if (d) { /* without images a row has as many cells as inputs */
        double *logged = b->rows + GY_RESCORE_ROWS * n;
        memcpy(logged, row, n * sizeof *row);
        gy_decoder_row(d, logged, NULL, row);
    }
    if (plan->after) {
        gather(b, plan, inputs);
    }
    b->n++;
    return true;
}

void gy_rescore_run(struct gy_rescore_batch *b, const struct gy_rescore_plan *plan)
{
    if (b->n > 0) {
        gy_predictor_run(plan->predictor, b->rows, b->n, b->out, b->scratch);
    }
}

double gy_rescore_value(const struct gy_rescore_batch *b, const struct gy_rescore_plan *plan,
                        size_t i, double *ret_score)
{
    const double *out = b->out + i * plan->info->n_outputs;
    size_t best = 0;
    *ret_score = out[0];
    switch (plan->info->task) {
    case GY_TASK_REGRESSION:
        return out[0];
    case GY_TASK_BINARY:
        return plan->shape->class_values[out[0] >= plan->threshold ? 1 : 0];
    case GY_TASK_MULTICLASS:
        for (size_t c = 1; c < plan->info->n_classes; c++) {
            best = out[c] > out[best] ? c : best;
        }
        *ret_score = out[best];
        break;
    }
    return plan->shape->class_values[best];
}

/* As rules compare it: of a text the hash. */
static double class_for_rules(const struct gy_shape *s, double class_value)
{
    bool text = s->task != GY_TASK_REGRESSION && !gy_json_bool(s->config, "numeric_classes", false);
    return text && class_value >= 0 && class_value < (double)s->n_classes
               ? gy_rules_class(s->classes[(size_t)class_value])
               : class_value;
}

double gy_rescore_answer(const struct gy_rescore_batch *b, const struct gy_rescore_plan *plan,
                         size_t i, const struct gy_shape_rule *rule, double model_value,
                         double score)
{
    if (rule && rule->decides && !rule->after) {
        return rule->prediction;
    }
    if (!plan->after) {
        return model_value;
    }
    struct gy_rule_outcome outcome = {.rule = -1};
    gy_rules_after(plan->after, b->said + i * GY_RULES_SLOTS,
                   class_for_rules(plan->shape, model_value), score, &outcome);
    const struct gy_shape_rule *after = gy_shape_rule(plan->shape, &outcome);
    return after && after->decides ? after->prediction : model_value;
}

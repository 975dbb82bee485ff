/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/rules.h"

#include "base/arena.h"
#include "base/expr.h"
#include "base/limits.h"
#include "base/mem.h"
#include "learn/cells.h"
#include "learn/predictor.h"

#define RULES_MAX_BYTES (1 * GY_MIB)

struct rule {
    struct gy_rule_info info;
    struct gy_expr **conditions;
};

struct gy_rules {
    struct gy_arena arena;
    struct rule rules[GY_RULES_MAX];
    size_t n;
    struct gy_str columns[GY_RULES_MAX_COLUMNS];
    size_t n_columns;
    size_t n_conditions;       /* of the rules before the model ... */
    size_t n_after_conditions; /* ... and after it */
    size_t n_after;
    size_t reads[GY_RULES_MAX_READS]; /* of the rules after the model */
    size_t n_reads;
};

struct resolver {
    struct gy_rules *rules;
    const struct gy_rule_names *names;
    bool after;
    bool full;
    bool image;     /* an input that can not be compared was named */
    bool too_early; /* what the model says, before it was asked */
};

static size_t index_of(const struct gy_str *names, size_t n, struct gy_str name)
{
    for (size_t i = 0; i < n; i++) {
        if (gy_str_eq(names[i], name)) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* The slot of a column, which is made when it is read for the first time. */
static size_t column_slot(struct resolver *v, struct gy_str name)
{
    struct gy_rules *r = v->rules;
    size_t at = index_of(r->columns, r->n_columns, name);
    if (at == SIZE_MAX) {
        struct gy_str copy = gy_arena_str(&r->arena, name);
        if (r->n_columns == GY_RULES_MAX_COLUMNS || !copy.p) {
            v->full = true;
            return SIZE_MAX;
        }
        at = r->n_columns++;
        r->columns[at] = copy;
    }
    return v->names->n_inputs + at;
}

/* Where gy_rules_gather puts the slot. */
static size_t gathered_slot(struct resolver *v, size_t slot)
{
    struct gy_rules *r = v->rules;
    size_t i = 0;
    while (i < r->n_reads && r->reads[i] != slot) {
        i++;
    }
    if (i == GY_RULES_MAX_READS) {
        v->full = true;
        return SIZE_MAX;
    }
    r->n_reads += i == r->n_reads;
    r->reads[i] = slot;
    return 2 + i;
}

/* What the model says; false: the name is another one. */
static bool resolve_said(struct resolver *v, struct gy_str name, size_t *ret_slot,
                         enum gy_expr_type *ret_type)
{
    bool prediction = gy_str_eqc(name, "prediction");
    bool said = prediction || (gy_str_eqc(name, "probability") && !v->names->regression);
    *ret_slot = prediction ? 0 : 1;
    *ret_type = prediction && v->names->text_classes ? GY_EXPR_STR : GY_EXPR_NUM;
    return said;
}

static bool resolve(void *ctx, struct gy_str name, size_t *ret_slot, enum gy_expr_type *ret_type)
{
    struct resolver *v = ctx;
    const struct gy_rule_names *names = v->names;
    if (v->after && resolve_said(v, name, ret_slot, ret_type)) {
        return true;
    }
    *ret_type = GY_EXPR_NUM;
    size_t at = index_of(names->inputs, names->n_inputs, name);
    if (at != SIZE_MAX && names->described) {
        const struct gy_predictor_input *in = &names->described[at];
        v->image = in->kind == GY_INPUT_IMAGE;
        *ret_type = in->kind == GY_INPUT_TEXT && !in->integer ? GY_EXPR_STR : GY_EXPR_NUM;
    }
    if (at == SIZE_MAX && index_of(names->columns, names->n_columns, name) == SIZE_MAX) {
        v->too_early = gy_str_eqc(name, "prediction") || gy_str_eqc(name, "probability");
        return false;
    }
    at = at == SIZE_MAX ? column_slot(v, name) : at;
    at = at == SIZE_MAX || !v->after ? at : gathered_slot(v, at);
    *ret_slot = at;
    return at != SIZE_MAX && !v->image;
}

static gy_status only_keys(yyjson_val *object, const char *const *allowed, struct gy_err *err)
{
    size_t i, n;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, i, n, key, value)
    {
        bool known = false;
        for (const char *const *a = allowed; *a; a++) {
            known = known || gy_str_eqc(gy_json_val_str(key), *a);
        }
        if (!known) {
            return gy_err_set(err, GY_E_INVALID, "unknown key '%" GY_STR_F "'",
                              GY_STR_A(gy_json_val_str(key)));
        }
    }
    return GY_OK;
}

/* The text of then.prediction: a class label or a number. */
static gy_status read_prediction(struct gy_rules *r, yyjson_val *v, struct gy_str *ret,
                                 struct gy_err *err)
{
    if (!v || yyjson_is_null(v)) {
        return GY_OK;
    }
    char number[32];
    struct gy_str text = gy_json_val_str(v);
    if (yyjson_is_bool(v)) {
        text = gy_str_c(yyjson_get_bool(v) ? "1" : "0");
    } else if (yyjson_is_num(v)) {
        text = gy_str_n(number, gy_fmt_f64_trim(yyjson_get_num(v), number));
    } else if (!text.p) {
        return gy_err_set(err, GY_E_INVALID, "then.prediction must be a number or a class label");
    }
    *ret = gy_arena_str(&r->arena, text);
    return ret->p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "rules");
}

static gy_status read_then(struct gy_rules *r, struct gy_rule_info *info, yyjson_val *then,
                           struct gy_err *err)
{
    static const char *const keys[] = {"prediction", "skip_model", "reason", NULL};
    info->reason = GY_STR("");
    if (!then) {
        return GY_OK;
    }
    if (!yyjson_is_obj(then)) {
        return gy_err_set(err, GY_E_INVALID, "'then' must be an object");
    }
    GY_TRY(only_keys(then, keys, err));
    GY_TRY(read_prediction(r, gy_json_get(then, "prediction"), &info->prediction, err));
    struct gy_str reason = gy_json_str(then, "reason");
    if (reason.p) {
        info->reason = gy_arena_str(&r->arena, reason);
        if (!info->reason.p) {
            return gy_err_set(err, GY_E_NOMEM, "rules");
        }
    }
    info->skip_model = gy_json_bool(then, "skip_model", false);
    if (info->skip_model && info->after) {
        return gy_err_set(err, GY_E_INVALID, "skip_model comes too late after the model");
    }
    if (info->skip_model && !info->prediction.p) {
        return gy_err_set(err, GY_E_INVALID, "skip_model needs then.prediction");
    }
    return GY_OK;
}

/* Why a condition was refused, where the name says it. */
static gy_status refused(const struct resolver *v, struct gy_str text, gy_status st,
                         struct gy_err *err)
{
    if (v->full) {
        return gy_err_set(err, GY_E_TOOBIG,
                          "rules read more than %d columns, or %d inputs after the model",
                          GY_RULES_MAX_COLUMNS, GY_RULES_MAX_READS);
    }
    if (v->image) {
        (void)gy_err_set(err, GY_E_INVALID,
                         "condition \"%" GY_STR_F "\" names an input that is an image",
                         GY_STR_A(text));
        return gy_err_hint(err, "rules compare numbers, times (in seconds) and texts");
    }
    (void)gy_err_wrap(err, "condition \"%" GY_STR_F "\"", GY_STR_A(text));
    if (v->too_early) {
        (void)gy_err_hint(err, "what the model says is known to rules with after: true; "
                               "'probability' where it tells classes apart");
    }
    return st;
}

static gy_status compile_condition(struct gy_rules *r, const struct gy_rule_names *names,
                                   struct rule *rule, yyjson_val *text, struct gy_err *err)
{
    if (!yyjson_is_str(text)) {
        return gy_err_set(err, GY_E_INVALID, "a condition must be a string");
    }
    struct resolver v = {.rules = r, .names = names, .after = rule->info.after};
    struct gy_expr **made = &rule->conditions[rule->info.n_conditions];
    gy_status st = gy_expr_compile(gy_json_val_str(text), resolve, &v, made, err);
    if (st == GY_OK) {
        rule->info.n_conditions++; /* from here on it is freed with the set */
        st = gy_expr_hash_texts(*made, gy_cell_hash, err);
    }
    return st == GY_OK ? st : refused(&v, gy_json_val_str(text), st, err);
}

static gy_status compile_conditions(struct gy_rules *r, const struct gy_rule_names *names,
                                    struct rule *rule, yyjson_val *object, struct gy_err *err)
{
    yyjson_val *when = gy_json_get(object, "when");
    yyjson_val *of = gy_json_get(object, "of");
    if (!when == !of) {
        return gy_err_set(err, GY_E_INVALID, "needs either 'when' or 'at_least' with 'of'");
    }
    size_t n = when ? 1 : yyjson_arr_size(of);
    if (n == 0 || n > GY_RULES_MAX_CONDS) {
        return gy_err_set(err, GY_E_INVALID, "'of' must be a list of 1 to %d conditions",
                          GY_RULES_MAX_CONDS);
    }
    int64_t at_least = gy_json_i64(object, "at_least", when ? 1 : -1);
    if (at_least < 1 || (size_t)at_least > n) {
        return gy_err_set(err, GY_E_INVALID, "'at_least' must be from 1 to %zu", n);
    }
    rule->info.at_least = (size_t)at_least;
    rule->conditions = gy_arena_calloc(&r->arena, n, sizeof *rule->conditions);
    if (!rule->conditions) {
        return gy_err_set(err, GY_E_NOMEM, "rules");
    }
    for (size_t i = 0; i < n; i++) {
        GY_TRY(compile_condition(r, names, rule, when ? when : yyjson_arr_get(of, i), err));
    }
    return GY_OK;
}

static gy_status compile_rule(struct gy_rules *r, const struct gy_rule_names *names,
                              yyjson_val *object, struct gy_err *err)
{
    static const char *const keys[] = {"name", "after", "at_least", "of", "when", "then", NULL};
    /* Counted at once: what was compiled before a failure is freed with the set. */
    struct rule *rule = &r->rules[r->n++];
    if (!yyjson_is_obj(object)) {
        return gy_err_set(err, GY_E_INVALID, "must be an object");
    }
    GY_TRY(only_keys(object, keys, err));
    struct gy_str name;
    GY_TRY(gy_json_need_str(object, "name", &name, err));
    if (name.n == 0 || name.n > GY_MAX_NAME) {
        return gy_err_set(err, GY_E_INVALID, "'name' must have 1 to %d bytes", GY_MAX_NAME);
    }
    rule->info.name = gy_arena_str(&r->arena, name);
    if (!rule->info.name.p) {
        return gy_err_set(err, GY_E_NOMEM, "rules");
    }
    yyjson_val *after = gy_json_get(object, "after");
    if (after && !yyjson_is_bool(after)) {
        return gy_err_set(err, GY_E_INVALID, "'after' must be true or false");
    }
    rule->info.after = yyjson_get_bool(after);
    r->n_after += rule->info.after;
    GY_TRY(read_then(r, &rule->info, gy_json_get(object, "then"), err));
    return compile_conditions(r, names, rule, object, err);
}

gy_status gy_rules_compile(yyjson_val *list, const struct gy_rule_names *names,
                           struct gy_rules **ret, struct gy_err *err)
{
    GY_AUTO(gy_rules_free) struct gy_rules *r = gy_calloc(1, sizeof *r);
    if (!r) {
        return gy_err_set(err, GY_E_NOMEM, "rules");
    }
    gy_arena_init_small(&r->arena, RULES_MAX_BYTES);
    if (list && !yyjson_is_null(list) && !yyjson_is_arr(list)) {
        return gy_err_set(err, GY_E_INVALID, "'rules' must be a list");
    }
    if (yyjson_arr_size(list) > GY_RULES_MAX) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d rules", GY_RULES_MAX);
    }
    size_t i, n;
    yyjson_val *object;
    yyjson_arr_foreach(list, i, n, object)
    {
        gy_status st = compile_rule(r, names, object, err);
        if (st != GY_OK) {
            struct gy_str name = gy_json_str(object, "name");
            (void)(name.p ? gy_err_wrap(err, "rule '%" GY_STR_F "'", GY_STR_A(name))
                          : gy_err_wrap(err, "rule %zu", i + 1));
            return st;
        }
        *(r->rules[i].info.after ? &r->n_after_conditions : &r->n_conditions) +=
            r->rules[i].info.n_conditions;
    }
    *ret = GY_TAKE(r);
    return GY_OK;
}

void gy_rules_free(struct gy_rules *r)
{
    if (!r) {
        return;
    }
    for (size_t i = 0; i < r->n; i++) {
        for (size_t c = 0; c < r->rules[i].info.n_conditions; c++) {
            gy_expr_free(r->rules[i].conditions[c]);
        }
    }
    gy_arena_done(&r->arena);
    gy_free(r);
}

size_t gy_rules_count(const struct gy_rules *r)
{
    return r->n;
}

const struct gy_rule_info *gy_rules_at(const struct gy_rules *r, size_t i)
{
    GY_REQUIRE(i < r->n);
    return &r->rules[i].info;
}

size_t gy_rules_columns(const struct gy_rules *r, const struct gy_str **ret)
{
    *ret = r->columns;
    return r->n_columns;
}

/* The first rule of the place that hits, else what all its rules add to *sum. */
static bool first_hit(const struct gy_rules *r, bool after, const double *slots, size_t n_slots,
                      struct gy_rule_outcome *ret, struct gy_rule_outcome *sum)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct rule *rule = &r->rules[i];
        if (rule->info.after != after) {
            continue;
        }
        uint16_t hits = 0;
        uint16_t evaluated = 0;
        for (size_t c = 0; c < rule->info.n_conditions; c++) {
            int got = gy_expr_test_f64(rule->conditions[c], slots, n_slots);
            hits = (uint16_t)(hits + (got > 0));
            evaluated = (uint16_t)(evaluated + (got >= 0));
        }
        if (hits >= rule->info.at_least) {
            *ret = (struct gy_rule_outcome){(int16_t)i, hits, evaluated,
                                            (uint16_t)rule->info.n_conditions};
            return true;
        }
        sum->hits = (uint16_t)(sum->hits + hits);
        sum->evaluated = (uint16_t)(sum->evaluated + evaluated);
    }
    return false;
}

void gy_rules_eval(const struct gy_rules *r, const double *slots, size_t n_slots,
                   struct gy_rule_outcome *ret)
{
    struct gy_rule_outcome all = {.rule = -1, .of = (uint16_t)r->n_conditions};
    if (!first_hit(r, false, slots, n_slots, ret, &all)) {
        *ret = all;
    }
}

/* ---- after the model ---- */

bool gy_rules_any_after(const struct gy_rules *r)
{
    return r->n_after > 0;
}

size_t gy_rules_reads(const struct gy_rules *r, const size_t **ret)
{
    *ret = r->reads;
    return r->n_reads;
}

void gy_rules_gather(const struct gy_rules *r, const double *slots, double gathered[GY_RULES_SLOTS])
{
    for (size_t i = 0; i < r->n_reads; i++) {
        gathered[2 + i] = slots[r->reads[i]];
    }
}

double gy_rules_class(struct gy_str label)
{
    return gy_cell_hash(label);
}

void gy_rules_after(const struct gy_rules *r, double gathered[GY_RULES_SLOTS], double prediction,
                    double probability, struct gy_rule_outcome *io)
{
    if (io->rule >= 0 && r->rules[io->rule].info.prediction.p) {
        return;
    }
    struct gy_rule_outcome all = *io;
    gathered[0] = prediction;
    gathered[1] = probability;
    if (!first_hit(r, true, gathered, 2 + r->n_reads, io, &all) && io->rule < 0) {
        all.of = (uint16_t)(all.of + r->n_after_conditions);
        *io = all; /* a rule before the model that only marks keeps its own numbers */
    }
}

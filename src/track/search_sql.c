/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "track/search.h"

#define PROMPT_KEY "mlflow.prompt.is_prompt"

/* ---- the builder ---- */

void gy_sql_init(struct gy_sql_builder *b, struct gy_arena *a)
{
    *b = (struct gy_sql_builder){.arena = a};
    gy_buf_init(&b->text, 4 * GY_SEARCH_MAX_TEXT);
}

void gy_sql_done(struct gy_sql_builder *b)
{
    gy_buf_done(&b->text);
}

void gy_sql_add(struct gy_sql_builder *b, const char *text)
{
    gy_buf_addc(&b->text, text);
}

static void bind_quiet(struct gy_sql_builder *b, struct gy_val v)
{
    void *items = b->vals;
    gy_status status = gy_track_grow(b->arena, &items, b->n_vals, &b->cap_vals, sizeof v, NULL);
    if (status != GY_OK) {
        b->failed = status;
        return;
    }
    b->vals = items;
    b->vals[b->n_vals++] = v;
}

void gy_sql_bind(struct gy_sql_builder *b, struct gy_val v)
{
    gy_buf_add_char(&b->text, '?');
    bind_quiet(b, v);
}

gy_status gy_sql_query(struct gy_sql_builder *b, struct gy_db *db, struct gy_stmt **ret,
                       struct gy_err *err)
{
    GY_TRY(gy_buf_check(&b->text, "the SQL of a search", err));
    if (b->failed != GY_OK) {
        return gy_track_nomem(err);
    }
    return gy_db_query(db, b->text.p, b->vals, b->n_vals, ret, err);
}

/* ---- conditions ---- */

static const char *op_sql(enum gy_search_op op)
{
    switch (op) {
    case GY_SEARCH_EQ:
        return " = ";
    case GY_SEARCH_NE:
        return " <> ";
    case GY_SEARCH_LT:
        return " < ";
    case GY_SEARCH_LE:
        return " <= ";
    case GY_SEARCH_GT:
        return " > ";
    case GY_SEARCH_GE:
        return " >= ";
    case GY_SEARCH_LIKE:
    case GY_SEARCH_ILIKE:
        return " LIKE ";
    case GY_SEARCH_IN:
        return " IN ";
    case GY_SEARCH_NOT_IN:
        return " NOT IN ";
    case GY_SEARCH_IS_NULL:
    case GY_SEARCH_NOT_NULL:
        break;
    }
    return " = ";
}

/* <column> <op> <text or list>. LIKE minds the case (the store sees to that), ILIKE does not. */
void gy_search_text_test(struct gy_sql_builder *b, const char *column,
                         const struct gy_search_clause *c)
{
    if (c->op == GY_SEARCH_IN || c->op == GY_SEARCH_NOT_IN) {
        gy_sql_add(b, column);
        gy_sql_add(b, op_sql(c->op));
        for (size_t i = 0; i < c->n_list; i++) {
            gy_sql_add(b, i ? ", " : "(");
            gy_sql_bind(b, gy_vs(c->list[i]));
        }
        gy_sql_add(b, ")");
    } else if (c->op == GY_SEARCH_ILIKE) {
        gy_sql_add(b, "LOWER(");
        gy_sql_add(b, column);
        gy_sql_add(b, ") LIKE LOWER(");
        gy_sql_bind(b, gy_vs(c->text));
        gy_sql_add(b, ")");
    } else {
        gy_sql_add(b, column);
        gy_sql_add(b, op_sql(c->op));
        gy_sql_bind(b, gy_vs(c->text));
    }
}

/* A NaN (value 0, is_nan 1) differs from every number and compares with none. */
void gy_search_metric_test(struct gy_sql_builder *b, const char *table,
                           const struct gy_search_clause *c)
{
    bool ne = c->op == GY_SEARCH_NE;
    gy_sql_add(b, ne ? "(" : "");
    gy_sql_add(b, table);
    gy_sql_add(b, ne ? ".is_nan = 1 OR " : ".is_nan = 0 AND ");
    gy_sql_add(b, table);
    gy_sql_add(b, ".value");
    gy_sql_add(b, op_sql(c->op));
    gy_sql_bind(b, gy_vf(c->number));
    gy_sql_add(b, ne ? ")" : "");
}

/* The rows of an entity's keys that belong to the thing searched for. */
static const char *pairs_of(enum gy_search_kind kind, enum gy_search_entity entity)
{
    bool param = entity == GY_SEARCH_PARAM;
    switch (kind) {
    case GY_SEARCH_RUNS:
        return param ? "run_params x WHERE x.run = r.seq" : "run_tags x WHERE x.run = r.seq";
    case GY_SEARCH_EXPERIMENTS:
        return "experiment_tags x WHERE x.experiment_id = e.id";
    case GY_SEARCH_MODELS:
        return "registered_model_tags x WHERE x.model = m.id";
    case GY_SEARCH_VERSIONS:
        return "model_version_tags x WHERE x.version_id = v.id";
    case GY_SEARCH_LOGGED_MODELS:
        return param ? "logged_model_params x WHERE x.model_id = l.id"
                     : "logged_model_tags x WHERE x.model_id = l.id";
    }
    return "run_tags x WHERE x.run = r.seq";
}

static void where_pair(struct gy_sql_builder *b, enum gy_search_kind kind,
                       const struct gy_search_clause *c)
{
    gy_sql_add(b, c->op == GY_SEARCH_IS_NULL ? " AND NOT EXISTS (SELECT 1 FROM "
                                             : " AND EXISTS (SELECT 1 FROM ");
    gy_sql_add(b, pairs_of(kind, c->entity));
    gy_sql_add(b, " AND x.key = ");
    gy_sql_bind(b, gy_vs(c->key));
    if (c->op != GY_SEARCH_IS_NULL && c->op != GY_SEARCH_NOT_NULL) {
        gy_sql_add(b, " AND ");
        gy_search_text_test(b, "x.value", c);
    }
    gy_sql_add(b, ")");
}

static void where_datasets(struct gy_sql_builder *b, const struct gy_search_dataset *d, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        gy_sql_add(b, i ? " OR (x.dataset_name = " : " AND ((x.dataset_name = ");
        gy_sql_bind(b, gy_vs(d[i].name));
        if (d[i].digest.n > 0) {
            gy_sql_add(b, " AND x.dataset_digest = ");
            gy_sql_bind(b, gy_vs(d[i].digest));
        }
        gy_sql_add(b, ")");
    }
    gy_sql_add(b, n ? ")" : "");
}

static void where_metric(struct gy_sql_builder *b, enum gy_search_kind kind,
                         const struct gy_search_clause *c, const struct gy_search_dataset *d,
                         size_t n)
{
    if (kind == GY_SEARCH_LOGGED_MODELS) {
        gy_sql_add(b, " AND EXISTS (SELECT 1 FROM logged_model_metrics x WHERE x.model_id = l.id "
                      "AND x.key = ");
        gy_sql_bind(b, gy_vs(c->key));
        where_datasets(b, d, n);
    } else {
        gy_sql_add(b, " AND EXISTS (SELECT 1 FROM latest_metrics x WHERE x.run = r.seq AND x.key = "
                      "(SELECT id FROM metric_keys WHERE name = ");
        gy_sql_bind(b, gy_vs(c->key));
        gy_sql_add(b, ")");
    }
    gy_sql_add(b, " AND ");
    gy_search_metric_test(b, "x", c);
    gy_sql_add(b, ")");
}

static void where_attribute(struct gy_sql_builder *b, const struct gy_search_clause *c)
{
    gy_sql_add(b, " AND ");
    if (c->attr->numeric) {
        gy_sql_add(b, c->attr->sql);
        gy_sql_add(b, op_sql(c->op));
        gy_sql_bind(b, gy_vf(c->number));
    } else {
        gy_search_text_test(b, c->attr->sql, c);
    }
}

static void where_dataset(struct gy_sql_builder *b, const struct gy_search_clause *c)
{
    if (gy_str_eqc(c->key, "context")) {
        gy_sql_add(b, " AND EXISTS (SELECT 1 FROM run_input_tags x WHERE x.run = r.seq AND x.key = "
                      "'mlflow.data.context' AND ");
        gy_search_text_test(b, "x.value", c);
    } else {
        gy_sql_add(b, " AND EXISTS (SELECT 1 FROM run_inputs i JOIN run_datasets x ON x.id = "
                      "i.dataset_id WHERE i.run = r.seq AND ");
        gy_search_text_test(b, gy_str_eqc(c->key, "name") ? "x.name" : "x.digest", c);
    }
    gy_sql_add(b, ")");
}

/* Prompts are registered models with a mark. They stay hidden unless a filter asks for them; asking
 * for what is no prompt also finds what has no mark. True: the clause is dealt with. */
static bool where_prompt(struct gy_sql_builder *b, enum gy_search_kind kind,
                         const struct gy_search_clause *c)
{
    bool negative = c && ((c->op == GY_SEARCH_NE && gy_str_eqc(c->text, "true")) ||
                          (c->op == GY_SEARCH_EQ && gy_str_eqc(c->text, "false")));
    if (c && !negative) {
        return false;
    }
    gy_sql_add(b, " AND NOT EXISTS (SELECT 1 FROM ");
    gy_sql_add(b, pairs_of(kind, GY_SEARCH_TAG));
    gy_sql_add(b, " AND x.key = '" PROMPT_KEY "' AND x.value = 'true')");
    return true;
}

void gy_search_where(struct gy_sql_builder *b, enum gy_search_kind kind, const struct gy_search *s,
                     const struct gy_search_dataset *datasets, size_t n_datasets)
{
    bool registry = kind == GY_SEARCH_MODELS || kind == GY_SEARCH_VERSIONS;
    bool asked_for_prompts = false, has_metric = false;
    for (size_t i = 0; i < s->n; i++) {
        const struct gy_search_clause *c = &s->clauses[i];
        if (registry && c->entity == GY_SEARCH_TAG && gy_str_eqc(c->key, PROMPT_KEY)) {
            asked_for_prompts = true;
            if (where_prompt(b, kind, c)) {
                continue;
            }
        }
        switch (c->entity) {
        case GY_SEARCH_METRIC:
            has_metric = true;
            where_metric(b, kind, c, datasets, n_datasets);
            break;
        case GY_SEARCH_PARAM:
        case GY_SEARCH_TAG:
            where_pair(b, kind, c);
            break;
        case GY_SEARCH_ATTRIBUTE:
            where_attribute(b, c);
            break;
        case GY_SEARCH_DATASET:
            where_dataset(b, c);
            break;
        }
    }
    if (registry && !asked_for_prompts) {
        (void)where_prompt(b, kind, NULL); /* without a clause it is always dealt with */
    }
    if (n_datasets > 0 && !has_metric) {
        gy_sql_add(b, " AND EXISTS (SELECT 1 FROM logged_model_metrics x WHERE x.model_id = l.id");
        where_datasets(b, datasets, n_datasets);
        gy_sql_add(b, ")");
    }
}

/* ---- order ---- */

static void join_metric(struct gy_sql_builder *b, enum gy_search_kind kind, size_t i,
                        const struct gy_search_order *o)
{
    char text[256];
    if (kind != GY_SEARCH_LOGGED_MODELS) {
        snprintf(text, sizeof text,
                 " LEFT JOIN latest_metrics o%zu ON o%zu.run = r.seq AND o%zu.key = (SELECT id "
                 "FROM metric_keys WHERE name = ",
                 i, i, i);
        gy_sql_add(b, text);
        gy_sql_bind(b, gy_vs(o->key));
        gy_sql_add(b, ")");
        return;
    }
    /* The latest row of the key: by timestamp, then step. */
    gy_sql_add(b, " LEFT JOIN (SELECT model_id, value, is_nan, ROW_NUMBER() OVER (PARTITION BY "
                  "model_id ORDER BY ts_ms DESC, step DESC, value DESC, is_nan, run_id, "
                  "dataset_name, dataset_digest) AS nth FROM logged_model_metrics WHERE "
                  "key = ");
    gy_sql_bind(b, gy_vs(o->key));
    if (o->dataset_name.n > 0) {
        gy_sql_add(b, " AND dataset_name = ");
        gy_sql_bind(b, gy_vs(o->dataset_name));
    }
    if (o->dataset_digest.n > 0) {
        gy_sql_add(b, " AND dataset_digest = ");
        gy_sql_bind(b, gy_vs(o->dataset_digest));
    }
    snprintf(text, sizeof text, ") o%zu ON o%zu.model_id = l.id AND o%zu.nth = 1", i, i, i);
    gy_sql_add(b, text);
}

void gy_search_joins(struct gy_sql_builder *b, enum gy_search_kind kind,
                     const struct gy_search_order *order, size_t n)
{
    gy_search_joins_from(b, kind, order, 0, n);
}

void gy_search_joins_from(struct gy_sql_builder *b, enum gy_search_kind kind,
                          const struct gy_search_order *order, size_t first, size_t n)
{
    for (size_t i = first; i < n; i++) {
        const struct gy_search_order *o = &order[i];
        if (o->entity == GY_SEARCH_METRIC) {
            join_metric(b, kind, i, o);
        } else if (o->entity == GY_SEARCH_PARAM || o->entity == GY_SEARCH_TAG) {
            char text[128];
            snprintf(text, sizeof text, " LEFT JOIN %s o%zu ON o%zu.run = r.seq AND o%zu.key = ",
                     o->entity == GY_SEARCH_PARAM ? "run_params" : "run_tags", i, i, i);
            gy_sql_add(b, text);
            gy_sql_bind(b, gy_vs(o->key));
        }
    }
}

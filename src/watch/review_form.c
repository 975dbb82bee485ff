/* SPDX-License-Identifier: Apache-2.0 */
/* What a person sees beside the numbers: classes, units, ranges. */
#include "data/dataset.h"
#include "store/lineage.h"
#include "watch/review_internal.h"

#define MAX_EDGES 10000

/* The schema of the data that the revision's model was trained on, by lineage; absent: none is
 * known. *ret_doc is the caller's. */
static gy_status find_columns(struct gy_db *db, const struct gy_revision *r, struct gy_arena *a,
                              yyjson_doc **ret_doc, struct gy_err *err)
{
    struct gy_lineage_edge *edges;
    size_t n;
    char *node = gy_arena_printf(a, "revision:%" GY_STR_F "/%lld", GY_STR_A(r->endpoint),
                                 (long long)r->revision);
    if (!node) {
        return gy_review_nomem(err);
    }
    GY_TRY(gy_lineage_nearest(db, gy_str_c(node), true, MAX_EDGES, a, &edges, &n, err));
    for (size_t i = 0; i < n; i++) {
        struct gy_dataset_version v;
        struct gy_err why = GY_ERR_INIT;
        if (!gy_str_starts(edges[i].from, GY_STR("data:"))) {
            continue;
        }
        char *ref = gy_arena_printf(a, "sha256:%" GY_STR_F,
                                    GY_STR_A(gy_str_sub(edges[i].from, 5, SIZE_MAX)));
        if (!ref) {
            return gy_review_nomem(err);
        }
        gy_status status = gy_dataset_resolve(db, gy_str_c(ref), a, &v, &why);
        if (status == GY_OK && v.schema_json.n > 0) {
            return gy_json_parse(v.schema_json, ret_doc, err);
        }
        if (status != GY_OK && status != GY_E_NOTFOUND) {
            return gy_err_set(err, status, "%s", why.msg);
        }
    }
    return GY_OK;
}

static void write_column(struct gy_jw *w, yyjson_val *column)
{
    static const char *const keys[] = {"name", "type", "unit", "min", "max"};
    gy_jw_obj(w);
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        yyjson_val *v = gy_json_get(column, keys[k]);
        if (v) {
            gy_jw_key(w, keys[k]);
            gy_jw_val(w, v);
        }
    }
    gy_jw_obj_end(w);
}

static void write_columns(struct gy_jw *w, const struct gy_shape *s, yyjson_doc *schema)
{
    yyjson_val *columns = schema ? gy_json_get(yyjson_doc_get_root(schema), "columns") : NULL;
    yyjson_val *column;
    size_t i, n;
    gy_jw_key(w, "columns");
    if (!yyjson_is_arr(columns)) {
        gy_jw_null(w);
        return;
    }
    gy_jw_arr(w);
    for (size_t k = 0; k < s->n_inputs; k++) {
        yyjson_arr_foreach(columns, i, n, column)
        {
            if (gy_str_eq(gy_json_str(column, "name"), s->inputs[k])) {
                write_column(w, column);
                break;
            }
        }
    }
    gy_jw_arr_end(w);
}

gy_status gy_review_form(struct gy_db *db, struct gy_str endpoint, struct gy_arena *a,
                         struct gy_jw *w, struct gy_err *err)
{
    static const char *const tasks[] = {"binary", "multiclass", "regression"};
    struct gy_revision r;
    struct gy_shape s;
    struct gy_review_policy policy = {.blind = false};
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO(gy_json_free) yyjson_doc *schema = NULL;
    GY_TRY(gy_revision_get(db, endpoint, 0, a, &r, err));
    GY_TRY(gy_shape_read(&r, a, &doc, &s, err));
    GY_TRY(find_columns(db, &r, a, &schema, err));
    /* One that can not be read picks nothing, so nothing of it is blind. */
    GY_IGNORE(gy_review_policy_read(gy_json_get(s.config, "review"), &policy, NULL));
    gy_jw_obj(w);
    gy_jw_kv_str(w, "endpoint", r.endpoint);
    gy_jw_kv_i64(w, "revision", r.revision);
    gy_jw_kv_strc(w, "task", tasks[s.task]);
    gy_jw_kv_bool(w, "blind", policy.blind);
    gy_jw_key(w, "classes");
    gy_jw_arr(w);
    for (size_t i = 0; i < s.n_classes; i++) {
        gy_jw_str(w, s.classes[i]);
    }
    gy_jw_arr_end(w);
    write_columns(w, &s, schema);
    gy_jw_obj_end(w);
    return GY_OK;
}

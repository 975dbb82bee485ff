/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/about.h"

#include "track/models.h"

struct listing {
    struct gy_str model;
    size_t n;
    int64_t versions[GY_ABOUT_MAX_VERSIONS];
};

static gy_status list(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct listing *l = ctx;
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    int64_t model = 0;
    bool row = false;
    l->n = 0;
    GY_TRY(gy_model_find(db, l->model, &model, err));
    GY_TRY(gy_db_query(db,
                       "SELECT version FROM (SELECT version FROM model_versions WHERE model = ? "
                       "AND deleted = 0 ORDER BY version DESC LIMIT ?) AS newest ORDER BY version",
                       GY_VALS(gy_vi(model), gy_vi(GY_ABOUT_MAX_VERSIONS)), &st, err));
    for (;;) {
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row || l->n == GY_ABOUT_MAX_VERSIONS) {
            return GY_OK;
        }
        l->versions[l->n++] = gy_col_i64(st, 0);
    }
}

/* Those that answer, as their text says; a version of elsewhere that is no number is left out. */
static void list_variants(const struct gy_endpoint *stable, struct listing *l)
{
    const struct gy_endpoint *e;
    for (size_t i = 0; (e = gy_variants_at(stable, i)) != NULL; i++) {
        int64_t version;
        if (e->role != GY_VARIANT_SHADOW && l->n < GY_ABOUT_MAX_VERSIONS &&
            gy_parse_i64(e->version, 0, INT64_MAX, &version, NULL) == GY_OK) {
            l->versions[l->n++] = version;
        }
    }
}

gy_status gy_about_answer(struct gy_store *store, const struct gy_endpoint *e,
                          const struct gy_alias *alias, struct gy_fast_reply *out,
                          struct gy_err *err)
{
    struct listing l = {.model = e->model_name};
    if (alias->answer.versions && store) {
        gy_status st = gy_store_read(store, list, &l, err);
        if (st != GY_OK && st != GY_E_NOTFOUND) {
            return st;
        }
    }
    if (alias->answer.versions && l.n == 0) {
        list_variants(e, &l);
    }
    const struct gy_template_values v = {.versions = l.versions, .n_versions = l.n};
    out->status = 200;
    out->content_type = "application/json";
    gy_template_write(&alias->answer, &v, out->body);
    return GY_OK;
}

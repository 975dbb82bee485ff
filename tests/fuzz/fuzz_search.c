/* SPDX-License-Identifier: Apache-2.0 */
/* A filter and an order (a line each) of one of the five searches, by the first byte. What the
 * parser takes must be SQL that the database takes; data stays in parameters: one '?' a value. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "track/experiments.h"
#include "track/logged_models.h"
#include "track/models.h"
#include "track/runs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct job {
    enum gy_search_kind kind;
    struct gy_str filter, order;
    struct gy_search_order *parsed;
    struct gy_arena arena;
};

static struct gy_store *open_store(void)
{
    struct gy_store *store = NULL;
    struct gy_err err = GY_ERR_INIT;
    struct gy_store_options o = {.url = "sqlite://:memory:", .n_readers = 1};
    if (gy_store_open(&o, &store, &err) != GY_OK || gy_experiments_init(store, &err) != GY_OK) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    return store;
}

static gy_status take_run(void *ctx, const struct gy_run *r, bool *ret_full, struct gy_err *err)
{
    (void)ctx;
    (void)r;
    (void)ret_full;
    (void)err;
    return GY_OK;
}

static gy_status search(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct job *j = ctx;
    static const int64_t ids[] = {0};
    struct gy_str token;
    size_t n = 0, n_order = j->order.n > 0;
    struct gy_registry_query q = {j->filter, &j->order, n_order, 10, GY_STR_NULL};
    switch (j->kind) {
    case GY_SEARCH_RUNS: {
        struct gy_run_query r = {ids,       1,       GY_VIEW_ALL, j->filter,
                                 &j->order, n_order, 10,          GY_STR_NULL};
        return gy_run_search(db, &r, &j->arena, take_run, NULL, &token, err);
    }
    case GY_SEARCH_EXPERIMENTS: {
        struct gy_experiment *found;
        struct gy_experiment_query e = {GY_VIEW_ALL, j->filter, &j->order,
                                        n_order,     10,        GY_STR_NULL};
        return gy_experiment_search(db, &e, &j->arena, &found, &n, &token, err);
    }
    case GY_SEARCH_MODELS: {
        struct gy_registered_model *found;
        return gy_model_search(db, &q, &j->arena, &found, &n, &token, err);
    }
    case GY_SEARCH_VERSIONS: {
        struct gy_model_version *found;
        return gy_version_search(db, &q, &j->arena, &found, &n, &token, err);
    }
    case GY_SEARCH_LOGGED_MODELS: {
        struct gy_logged_model *found;
        struct gy_logged_query l = {.experiment_ids = ids,
                                    .n_experiment_ids = 1,
                                    .filter = j->filter,
                                    .order = j->parsed,
                                    .n_order = n_order,
                                    .max_results = 10};
        return gy_logged_model_search(db, &l, &j->arena, &found, &n, &token, err);
    }
    }
    return GY_OK;
}

static void check_marks(struct job *j, const struct gy_search *s)
{
    struct gy_sql_builder b;
    size_t marks = 0;
    gy_sql_init(&b, &j->arena);
    gy_search_joins(&b, j->kind, j->parsed, j->order.n > 0);
    gy_search_where(&b, j->kind, s, NULL, 0);
    for (size_t i = 0; i < b.text.n; i++) {
        marks += b.text.p[i] == '?';
    }
    GY_REQUIRE(marks == b.n_vals);
    gy_sql_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gy_store *store;
    if (!store) {
        store = open_store();
    }
    if (size == 0) {
        return 0;
    }
    struct job j = {.kind = (enum gy_search_kind)(data[0] % 5)};
    struct gy_str text = gy_str_n((const char *)data + 1, size - 1);
    struct gy_search s;
    struct gy_err err = GY_ERR_INIT;
    (void)gy_str_cut(text, '\n', &j.filter, &j.order);
    gy_arena_init(&j.arena, 64 << 20);
    gy_status status = gy_search_parse(j.kind, j.filter, &j.arena, &s, &err);
    if (status == GY_OK) {
        status = gy_search_parse_order(j.kind, &j.order, j.order.n > 0, &j.arena, &j.parsed, &err);
    }
    GY_REQUIRE(status == GY_OK || status == GY_E_INVALID);
    if (status == GY_OK) {
        check_marks(&j, &s);
        status = gy_store_read(store, search, &j, &err);
        if (status != GY_OK) {
            fprintf(stderr, "%s\n", err.msg);
            abort();
        }
    }
    gy_arena_done(&j.arena);
    return 0;
}

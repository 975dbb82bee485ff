/* SPDX-License-Identifier: Apache-2.0 */
/* chain: several models as one (learn/chain.h). It has a place among the learners because
 * model.json names one; it is put together, not fitted. */
#include "learn/chain.h"

#include <stdio.h>

#include "base/file.h"
#include "learn/learners/learners.h"
#include "learn/predictor_internal.h"

static gy_status fit(struct gy_fit *f, struct gy_err *err)
{
    (void)f;
    return gy_err_set(
        err, GY_E_INVALID,
        "a chain is put together of trained models: gyre models chain NAME PART PART");
}

/* ---- reading ---- */

static gy_status keep(struct gy_arena *a, struct gy_str s, struct gy_str *ret, struct gy_err *err)
{
    *ret = gy_arena_str(a, s);
    return ret->p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "reading a chain");
}

static gy_status read_part(yyjson_val *v, struct gy_arena *a, struct gy_chain_part *ret,
                           struct gy_err *err)
{
    struct gy_str name = GY_STR_NULL, sha256 = GY_STR_NULL;
    GY_TRY(gy_json_need_str(v, "name", &name, err));
    GY_TRY(gy_json_need_str(v, "sha256", &sha256, err));
    if (sha256.n != GY_SHA256_HEX - 1) {
        return gy_err_set(err, GY_E_CORRUPT, "a part without its digest");
    }
    GY_TRY(keep(a, name, &ret->name, err));
    GY_TRY(keep(a, sha256, &ret->sha256, err));
    ret->version = gy_json_i64(v, "version", 0);
    return GY_OK;
}

static gy_status read_feed(yyjson_val *v, size_t n_parts, struct gy_arena *a,
                           struct gy_chain_feed *ret, struct gy_err *err)
{
    int64_t part = 0, from = 0;
    struct gy_str input = GY_STR_NULL, output = GY_STR_NULL;
    GY_TRY(gy_json_need_i64(v, "part", &part, err));
    GY_TRY(gy_json_need_i64(v, "from", &from, err));
    GY_TRY(gy_json_need_str(v, "input", &input, err));
    GY_TRY(gy_json_need_str(v, "output", &output, err));
    if (from < 0 || from >= part || part >= (int64_t)n_parts) {
        return gy_err_set(err, GY_E_CORRUPT,
                          "a feed from part %lld to part %lld: a part is fed by earlier ones",
                          (long long)from, (long long)part);
    }
    ret->part = (size_t)part;
    ret->from = (size_t)from;
    GY_TRY(keep(a, input, &ret->input, err));
    return keep(a, output, &ret->output, err);
}

gy_status gy_chain_read(yyjson_val *params, struct gy_arena *a, struct gy_chain_said *ret,
                        struct gy_err *err)
{
    yyjson_val *parts = NULL, *feeds = NULL, *v;
    size_t i, n;
    *ret = (struct gy_chain_said){.n_parts = 0};
    GY_TRY(gy_json_need_arr(params, "parts", &parts, err));
    GY_TRY(gy_json_need_arr(params, "feeds", &feeds, err));
    ret->n_parts = yyjson_arr_size(parts);
    ret->n_feeds = yyjson_arr_size(feeds);
    if (ret->n_parts < 2 || ret->n_parts > GY_CHAIN_MAX_PARTS ||
        ret->n_feeds > GY_CHAIN_MAX_FEEDS) {
        return gy_err_set(err, GY_E_CORRUPT, "a chain of %zu parts and %zu feeds", ret->n_parts,
                          ret->n_feeds);
    }
    ret->feeds = gy_arena_calloc(a, ret->n_feeds + 1, sizeof *ret->feeds);
    if (!ret->feeds) {
        return gy_err_set(err, GY_E_NOMEM, "reading a chain");
    }
    yyjson_arr_foreach(parts, i, n, v)
    {
        GY_TRY(read_part(v, a, &ret->parts[i], err));
    }
    yyjson_arr_foreach(feeds, i, n, v)
    {
        GY_TRY(read_feed(v, ret->n_parts, a, &ret->feeds[i], err));
    }
    return GY_OK;
}

static gy_status read_said(const struct gy_model *m, struct gy_arena *a, struct gy_chain_said *ret,
                           struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(m->params_json, &doc, err));
    return gy_chain_read(yyjson_doc_get_root(doc), a, ret, err);
}

static gy_status check(const struct gy_model *m, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_chain_said said;
    gy_arena_init(&a, GY_MODEL_MAX_BYTES);
    if (!m->params_json.p || m->features.n_steps) {
        return gy_err_set(err, GY_E_CORRUPT, "a chain without parts, or with feature steps");
    }
    GY_TRY(read_said(m, &a, &said, err));
    return gy_learner_check_values(m, 0, err);
}

/* ---- opening ---- */

static gy_status open_part(const char *dir, size_t i, const struct gy_chain_part *part,
                           struct gy_predictor **ret, struct gy_err *err)
{
    char name[32], path[GY_MAX_PATH];
    (void)snprintf(name, sizeof name, GY_CHAIN_PART_DIR, i);
    GY_TRY(gy_path_join(path, sizeof path, dir, name, err));
    if (!gy_path_is_dir(path)) {
        return gy_err_set(err, GY_E_CORRUPT, "the package lacks %s", name);
    }
    struct gy_err why = GY_ERR_INIT;
    gy_status status = gy_predictor_load_part(path, ret, &why);
    if (status == GY_E_INVALID || status == GY_E_NOTFOUND) { /* no chain was made of such a part */
        status = GY_E_CORRUPT;
    }
    if (status != GY_OK) {
        return gy_err_set(err, status, "%s ('%" GY_STR_F "'): %s", name, GY_STR_A(part->name),
                          why.msg);
    }
    return gy_str_eq(gy_predictor_info(*ret)->digest, part->sha256)
               ? GY_OK
               : gy_err_set(err, GY_E_CORRUPT,
                            "%s is not the package that model.json was written for", name);
}

/* model.json says of the answer what the last part says. */
static gy_status check_answer(const struct gy_model *m, const struct gy_predictor_info *last,
                              struct gy_err *err)
{
    bool same = m->task == last->task && m->n_classes == last->n_classes &&
                (m->task != GY_TASK_BINARY || m->threshold == last->threshold);
    for (size_t i = 0; same && i < m->n_classes; i++) {
        same = gy_str_eq(m->classes[i], last->classes[i]);
    }
    return same ? GY_OK
                : gy_err_set(err, GY_E_CORRUPT,
                             "model.json: the chain answers something else than its last part");
}

static gy_status open_parts(const struct gy_model *m, const char *dir,
                            const struct gy_chain_said *said,
                            struct gy_predictor *parts[GY_CHAIN_MAX_PARTS], struct gy_runtime *ret,
                            struct gy_err *err)
{
    struct gy_str names[GY_CHAIN_MAX_PARTS];
    struct gy_err why = GY_ERR_INIT;
    size_t n_trees = 0;
    void *self = NULL;
    for (size_t i = 0; i < said->n_parts; i++) {
        GY_TRY(open_part(dir, i, &said->parts[i], &parts[i], err));
        names[i] = said->parts[i].name;
        n_trees += gy_predictor_info(parts[i])->n_trees;
    }
    GY_TRY(check_answer(m, gy_predictor_info(parts[said->n_parts - 1]), err));
    gy_status status = gy_chain_new(&(struct gy_chain_spec){.parts = parts,
                                                            .names = names,
                                                            .n_parts = said->n_parts,
                                                            .inputs = m->inputs,
                                                            .n_inputs = m->n_inputs,
                                                            .feeds = said->feeds,
                                                            .n_feeds = said->n_feeds},
                                    &self, &why);
    if (status == GY_E_INVALID) { /* it was put together of parts that fit */
        return gy_err_set(err, GY_E_CORRUPT, "model.json: %s", why.msg);
    }
    if (status != GY_OK) {
        return gy_err_set(err, status, "%s", why.msg);
    }
    *ret = (struct gy_runtime){.ops = &gy_chain_ops, .self = self, .n_trees = n_trees};
    return GY_OK;
}

static gy_status open_chain(const struct gy_model *m, const char *dir, struct gy_runtime *ret,
                            struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_chain_said said;
    struct gy_predictor *parts[GY_CHAIN_MAX_PARTS] = {NULL};
    gy_arena_init(&a, GY_MODEL_MAX_BYTES);
    GY_TRY(read_said(m, &a, &said, err));
    gy_status status = open_parts(m, dir, &said, parts, ret, err);
    for (size_t i = 0; status != GY_OK && i < GY_CHAIN_MAX_PARTS; i++) {
        gy_predictor_free(parts[i]);
    }
    return status;
}

static gy_status load(const struct gy_model *m, struct gy_str file, struct gy_runtime *ret,
                      struct gy_err *err)
{
    (void)m, (void)file, (void)ret;
    return gy_err_set(err, GY_E_UNSUPPORTED, "a chain is opened as a whole folder");
}

const struct gy_learner_ops gy_learner_chain = {.version = 2,
                                                .name = "chain",
                                                .summary = "several models as one",
                                                .fit = fit,
                                                .check = check,
                                                .load = load,
                                                .open = open_chain};

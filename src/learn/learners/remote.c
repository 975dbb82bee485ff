/* SPDX-License-Identifier: Apache-2.0 */
/* remote: a model that another server answers for (learn/remote.h). It has a place among the
 * learners because model.json names one; it is registered, not fitted. */
#include "learn/runtime/remote.h"

#include "base/mem.h"
#include "learn/learners/learners.h"

/* The spec's strings, beside the upstream that is asked by them. */
struct upstream {
    struct gy_remote *remote;
    struct gy_arena arena;
};

static gy_status fit(struct gy_fit *f, struct gy_err *err)
{
    (void)f;
    return gy_err_set(err, GY_E_INVALID,
                      "a remote model is registered, not trained: gyre models "
                      "register NAME --remote URL --model M");
}

static gy_status check(const struct gy_model *m, struct gy_err *err)
{
    return m->params_json.p && m->features.n_steps == 0
               ? gy_learner_check_values(m, 0, err)
               : gy_err_set(err, GY_E_CORRUPT,
                            "model.json: a remote model without its address, or "
                            "with feature steps");
}

static void upstream_free(void *self)
{
    struct upstream *u = self;
    if (u) {
        gy_remote_free(u->remote);
        gy_arena_done(&u->arena);
        gy_free(u);
    }
}
GY_DEFINE_AUTO(struct upstream *, upstream_free);

static gy_status try_run(const void *self, const double *x, size_t n_rows, double *out,
                         int64_t deadline_ns, struct gy_err *err)
{
    const struct upstream *u = self;
    return gy_remote_run(u->remote, x, n_rows, out, deadline_ns, err);
}

/* Nothing comes of waiting: requests find out when it is there again. */
static gy_status ready(const void *self, int64_t deadline_ns, struct gy_err *err)
{
    const struct upstream *u = self;
    (void)deadline_ns;
    return gy_remote_ready(u->remote, err);
}

static const struct gy_runtime_ops g_ops = {
    .version = 2, .name = "remote", .free = upstream_free, .try_run = try_run, .ready = ready};

static gy_status load(const struct gy_model *m, struct gy_str file, struct gy_runtime *ret,
                      struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO(upstream_free) struct upstream *u = gy_calloc(1, sizeof *u);
    (void)file;
    if (!u) {
        return gy_err_set(err, GY_E_NOMEM, "a remote model");
    }
    gy_arena_init(&u->arena, 16 * GY_MIB);
    GY_TRY(gy_json_parse(m->params_json, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct gy_oip_spec spec = {.inputs = m->inputs,
                               .n_inputs = m->n_inputs,
                               .classes = m->classes,
                               .n_classes = m->n_classes,
                               .n_outputs = m->task == GY_TASK_MULTICLASS ? m->n_classes : 1};
    GY_TRY(gy_oip_read_spec(root, &u->arena, &spec, err));
    int64_t timeout_ms = gy_json_i64(root, "timeout_ms", GY_REMOTE_TIMEOUT_MS);
    if (timeout_ms < 1 || timeout_ms > GY_REMOTE_MAX_TIMEOUT_MS) {
        return gy_err_set(err, GY_E_CORRUPT, "model.json: the timeout is out of range");
    }
    struct gy_str url = gy_json_str(root, "url");
    GY_TRY(gy_remote_check_url(url, err)); /* never a socket of this machine */
    GY_TRY(gy_remote_new(&(struct gy_remote_options){.url = url,
                                                     .token_env = gy_json_str(root, "token_env"),
                                                     .token_file = gy_json_str(root, "token_file"),
                                                     .timeout_ms = timeout_ms,
                                                     .spec = &spec,
                                                     .guarded = true},
                         &u->remote, err));
    *ret = (struct gy_runtime){.ops = &g_ops, .self = GY_TAKE(u), .timeout_ms = timeout_ms};
    return GY_OK;
}

const struct gy_learner_ops gy_learner_remote = {.version = 1,
                                                 .name = "remote",
                                                 .summary = "an upstream server",
                                                 .fit = fit,
                                                 .check = check,
                                                 .load = load};

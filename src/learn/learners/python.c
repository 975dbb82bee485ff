/* SPDX-License-Identifier: Apache-2.0 */
/* python: a model that only Python can load, behind its worker process (learn/runtime/python.h). It
 * has a place among the learners because a loaded package names one; it is imported, not fitted. */
#include "learn/runtime/python.h"

#include <time.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/time.h"
#include "learn/learners/learners.h"
#include "learn/runtime/python_internal.h"
#include "learn/runtime/remote.h"

struct worker {
    struct gy_python_process *process;
    struct gy_remote *remote;
    struct gy_str *datatypes;
    bool *flat;
    char *memory; /* of the two above */
};

static gy_status fit(struct gy_fit *f, struct gy_err *err)
{
    (void)f;
    return gy_err_set(err, GY_E_INVALID, "a Python model is imported, not trained");
}

static gy_status check(const struct gy_model *m, struct gy_err *err)
{
    (void)m;
    return gy_err_set(err, GY_E_CORRUPT, "a model.json can not hold a Python model");
}

static void worker_free(void *self)
{
    struct worker *w = self;
    if (w) {
        gy_remote_free(w->remote);
        gy_python_process_free(w->process);
        gy_free(w->memory);
        gy_free(w);
    }
}
GY_DEFINE_AUTO(struct worker *, worker_free);

/* Asked of a worker that died meanwhile, it is asked once more of the next one: a model answers
 * the same to the same rows, and nobody else has seen them. */
static gy_status try_run(const void *self, const double *x, size_t n_rows, double *out,
                         int64_t deadline_ns, struct gy_err *err)
{
    const struct worker *w = self;
    int64_t own = gy_mono_ns() + (int64_t)GY_PYTHON_TIMEOUT_MS * 1000000;
    uint64_t life = 0, before = 0;
    deadline_ns = deadline_ns && deadline_ns < own ? deadline_ns : own;
    GY_TRY(gy_python_process_ready(w->process, deadline_ns, &before, err));
    struct gy_err why = GY_ERR_INIT;
    gy_status status = gy_remote_run(w->remote, x, n_rows, out, deadline_ns, &why);
    if (status == GY_E_NETWORK || status == GY_E_UNAVAILABLE) {
        const struct timespec pause = {.tv_nsec = 20 * 1000000};
        (void)nanosleep(&pause, NULL); /* its death may be known later than its silence */
        GY_TRY(gy_python_process_ready(w->process, deadline_ns, &life, err));
        if (life != before) {
            status = gy_remote_run(w->remote, x, n_rows, out, deadline_ns, &why);
        }
    }
    if (status == GY_E_TIMEOUT) {
        gy_python_process_was_late(w->process);
    } else if (status == GY_OK || status == GY_E_INVALID) {
        gy_python_process_answered(w->process);
    }
    if (status != GY_OK && err) {
        *err = why;
    }
    return status;
}

static gy_status ready(const void *self, int64_t deadline_ns, struct gy_err *err)
{
    const struct worker *w = self;
    uint64_t life = 0;
    return gy_python_process_ready(w->process, deadline_ns, &life, err);
}

static const struct gy_runtime_ops g_ops = {
    .version = 2, .name = "python", .free = worker_free, .try_run = try_run, .ready = ready};

/* The worker takes a tensor an input and answers with one. */
static gy_status make_spec(const struct gy_model *m, struct worker *w, struct gy_oip_spec *ret,
                           struct gy_err *err)
{
    w->memory = gy_reallocarray(NULL, m->n_inputs, sizeof(struct gy_str) + sizeof(bool));
    if (!w->memory) {
        return gy_err_set(err, GY_E_NOMEM, "a worker");
    }
    w->datatypes = (struct gy_str *)(void *)w->memory;
    w->flat = (bool *)(void *)(w->datatypes + m->n_inputs);
    for (size_t i = 0; i < m->n_inputs; i++) {
        w->datatypes[i] = GY_STR("FP64");
        w->flat[i] = true;
    }
    *ret = (struct gy_oip_spec){.model = GY_STR("model"),
                                .datatypes = w->datatypes,
                                .flat = w->flat,
                                .inputs = m->inputs,
                                .n_inputs = m->n_inputs,
                                .output = GY_STR("answer"),
                                .kind = m->n_classes ? GY_OIP_PROBABILITY : GY_OIP_VALUE,
                                .classes = m->classes,
                                .n_classes = m->n_classes,
                                .n_outputs = m->task == GY_TASK_MULTICLASS ? m->n_classes : 1};
    return GY_OK;
}

gy_status gy_python_load(const struct gy_model *m, struct gy_runtime *ret, struct gy_err *err)
{
    char key[17], interpreter[GY_MAX_PATH];
    struct gy_oip_spec spec;
    GY_AUTO(worker_free) struct worker *w = gy_calloc(1, sizeof *w);
    if (!w) {
        return gy_err_set(err, GY_E_NOMEM, "a worker");
    }
    GY_TRY(gy_python_key(m->params_json.p, key, err));
    GY_TRY(gy_python_interpreter(key, interpreter, err));
    GY_TRY(make_spec(m, w, &spec, err));
    GY_TRY(gy_python_process_new(interpreter, m->params_json.p, &w->process, err));
    GY_TRY(gy_remote_new(
        &(struct gy_remote_options){.url = gy_str_c(gy_python_process_url(w->process)),
                                    .timeout_ms = GY_PYTHON_TIMEOUT_MS,
                                    .spec = &spec,
                                    .no_circuit = true},
        &w->remote, err));
    *ret =
        (struct gy_runtime){.ops = &g_ops, .self = GY_TAKE(w), .timeout_ms = GY_PYTHON_TIMEOUT_MS};
    return GY_OK;
}

static gy_status load(const struct gy_model *m, struct gy_str file, struct gy_runtime *ret,
                      struct gy_err *err)
{
    (void)file;
    return gy_python_load(m, ret, err);
}

const struct gy_learner_ops gy_learner_python = {.version = 1,
                                                 .name = "python",
                                                 .summary = "a model that only Python can load",
                                                 .fit = fit,
                                                 .check = check,
                                                 .load = load};

/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/learners/network.h"

#include <math.h>

#include "learn/network/trainer.h"
#include "learn/runtime/network.h"

const char *const gy_network_schedules[] = {"constant", "cosine", NULL};

int64_t gy_network_rounds(const struct gy_settings *s)
{
    return gy_setting_whole(s, "epochs");
}

static enum gy_net_head head_of(enum gy_task task)
{
    switch (task) {
    case GY_TASK_BINARY:
        return GY_NET_SIGMOID;
    case GY_TASK_MULTICLASS:
        return GY_NET_SOFTMAX;
    case GY_TASK_REGRESSION:
        break;
    }
    return GY_NET_IDENTITY;
}

static size_t n_outputs(const struct gy_model *m)
{
    return m->task == GY_TASK_MULTICLASS ? m->n_classes : 1;
}

static gy_status add(struct gy_net_spec *s, struct gy_net_layer layer, struct gy_err *err)
{
    return gy_net_add(s, layer, err);
}

gy_status gy_network_dense(const struct gy_fit *f, const char *key, struct gy_net_spec *spec,
                           struct gy_err *err)
{
    float dropout = (float)gy_setting_number(f->settings, "dropout");
    struct gy_str list = gy_setting_text(f->settings, key), item;
    while (gy_setting_next(&list, &item)) {
        int64_t units = 0;
        GY_TRY(gy_parse_i64(item, 1, GY_NET_MAX_UNITS, &units, err));
        GY_TRY(
            add(spec, (struct gy_net_layer){.kind = GY_NET_DENSE, .units = (uint32_t)units}, err));
        GY_TRY(add(spec, (struct gy_net_layer){.kind = GY_NET_RELU}, err));
        if (dropout > 0) {
            GY_TRY(add(spec, (struct gy_net_layer){.kind = GY_NET_DROPOUT, .rate = dropout}, err));
        }
    }
    spec->head = head_of(f->m->task);
    return add(
        spec, (struct gy_net_layer){.kind = GY_NET_DENSE, .units = (uint32_t)n_outputs(f->m)}, err);
}

/* ---- the fit ---- */

static struct gy_net_plan plan_of(const struct gy_fit *f, unsigned augment, bool standardise)
{
    const struct gy_settings *s = f->settings;
    return (struct gy_net_plan){
        .epochs = (int)gy_setting_whole(s, "epochs"),
        .batch = (int)gy_setting_whole(s, "batch"),
        .rate = gy_setting_number(s, "rate"),
        .cosine = gy_str_eqc(gy_setting_text(s, "schedule"), "cosine"),
        .decay = gy_setting_number(s, "decay"),
        .patience = (int)gy_setting_whole(s, "patience"),
        .validation = gy_setting_number(s, "validation"),
        .standardise = standardise,
        .augment = augment,
        .seed = f->seed,
        .n_threads = f->n_threads,
        .on_round = f->on_round,
        .ctx = f->on_round_ctx,
    };
}

/* A run's `accuracy` is that of held-out rows, and its last step counts: so the one of training
 * rows has another name. */
static void tell(const struct gy_fit *f, const struct gy_history *h)
{
    for (size_t i = 0; f->on_measure && i < h->n; i++) {
        const struct gy_epoch *e = &h->epochs[i];
        const struct {
            const char *name;
            double value;
        } values[] = {{"loss", e->loss},
                      {"train_accuracy", e->accuracy},
                      {"val_loss", e->val_loss},
                      {"val_accuracy", e->val_accuracy},
                      {"learning_rate", e->rate}};
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
            if (!isnan(values[k].value)) {
                f->on_measure(f->on_measure_ctx, values[k].name, (int64_t)i + 1, values[k].value);
            }
        }
    }
}

/* What was asked for, and what came of it. */
static gy_status record(struct gy_fit *f, const struct gy_net_spec *s, const struct gy_history *h,
                        struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, 64 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_settings_write(&w, f->settings);
    gy_jw_kv_i64(&w, "epochs_run", (int64_t)h->n);
    gy_jw_kv_i64(&w, "best_epoch", (int64_t)h->best + 1);
    gy_jw_kv_i64(&w, "parameters", (int64_t)s->n_params);
    gy_jw_obj_end(&w);
    return gy_learner_params(f->m, &json, err);
}

gy_status gy_network_fit(struct gy_fit *f, const struct gy_net_spec *spec, unsigned augment,
                         bool standardise, struct gy_err *err)
{
    GY_AUTO_DONE(gy_history_done) struct gy_history history = {.n = 0};
    GY_AUTO_DONE(gy_net_model_done) struct gy_net_model net = {.shift = NULL};
    const struct gy_net_data data = {
        .x = f->x, .y = f->y, .weight = f->weight, .n_rows = f->n_rows, .n_made_up = f->n_made_up};
    const struct gy_net_plan plan = plan_of(f, augment, standardise);
    GY_TRY(gy_learner_complete(f, err));
    GY_TRY(gy_net_train(spec, &data, &plan, &net, &history, err));
    tell(f, &history);
    GY_TRY(record(f, &net.spec, &history, err));
    return gy_net_model_write(&net, f->file, err);
}

/* ---- the package ---- */

gy_status gy_network_check(const struct gy_model *m, struct gy_err *err)
{
    return m->n_values == 0 ? GY_OK
                            : gy_err_set(err, GY_E_CORRUPT, "a network's values are in its file");
}

gy_status gy_network_load(const struct gy_model *m, struct gy_str file, struct gy_runtime *ret,
                          struct gy_err *err)
{
    GY_AUTO_DONE(gy_net_model_done) struct gy_net_model net = {.shift = NULL};
    GY_TRY(gy_net_model_parse(file, &net, err));
    if (gy_net_cells(net.spec.input) != m->features.n_out || net.spec.n_outputs != n_outputs(m) ||
        net.spec.head != head_of(m->task)) {
        return gy_err_set(err, GY_E_CORRUPT,
                          "%" GY_STR_F " does not fit the inputs and the task of model.json",
                          GY_STR_A(m->file));
    }
    ret->ops = &gy_network_ops;
    return gy_network_new(&net, &ret->self, err);
}

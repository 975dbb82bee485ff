/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/network/spec.h"

#include <stdio.h>

const char *gy_net_kind_name(enum gy_net_kind kind)
{
    switch (kind) {
    case GY_NET_DENSE:
        return "dense";
    case GY_NET_CONV:
        return "conv";
    case GY_NET_POOL:
        return "pool";
    case GY_NET_RELU:
        return "relu";
    case GY_NET_DROPOUT:
        return "dropout";
    }
    return "unknown";
}

gy_status gy_net_add(struct gy_net_spec *s, struct gy_net_layer layer, struct gy_err *err)
{
    if (s->n_layers == GY_NET_MAX_LAYERS) {
        return gy_err_set(err, GY_E_TOOBIG, "a network has at most %d layers", GY_NET_MAX_LAYERS);
    }
    s->layers[s->n_layers++] = layer;
    return GY_OK;
}

static gy_status check_shape(const struct gy_net_shape *s, const char *what, struct gy_err *err)
{
    if (s->width == 0 || s->height == 0 || s->channels == 0) {
        return gy_err_set(err, GY_E_INVALID, "%s is empty", what);
    }
    if (s->width > GY_NET_MAX_SIDE || s->height > GY_NET_MAX_SIDE ||
        s->channels > GY_NET_MAX_UNITS || gy_net_cells(*s) > GY_NET_MAX_CELLS) {
        return gy_err_set(
            err, GY_E_TOOBIG,
            "%s has %u x %u x %u values: sides of at most %d, %d channels, %zu values "
            "in all",
            what, s->width, s->height, s->channels, GY_NET_MAX_SIDE, GY_NET_MAX_UNITS,
            GY_NET_MAX_CELLS);
    }
    return GY_OK;
}

static gy_status bad_layer(const struct gy_net_layer *l, const char *what, struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID, "a %s layer needs %s", gy_net_kind_name(l->kind), what);
}

/* Sizes of one layer; `in` is set. */
static gy_status resolve_layer(struct gy_net_layer *l, struct gy_err *err)
{
    l->out = l->in;
    l->n_weights = l->n_biases = 0;
    switch (l->kind) {
    case GY_NET_DENSE:
        if (l->units == 0 || l->units > GY_NET_MAX_UNITS) {
            return bad_layer(l, "1 to 16384 units", err);
        }
        if (gy_net_cells(l->in) > GY_NET_MAX_INPUTS) {
            return bad_layer(l, "at most 131072 inputs: pool the picture before it", err);
        }
        l->out = (struct gy_net_shape){1, 1, l->units};
        l->n_weights = gy_net_cells(l->in) * l->units;
        l->n_biases = l->units;
        return GY_OK;
    case GY_NET_CONV:
        if (l->units == 0 || l->units > GY_NET_MAX_UNITS) {
            return bad_layer(l, "1 to 16384 channels", err);
        }
        if (l->size % 2 == 0 || l->size > GY_NET_MAX_KERNEL) {
            return bad_layer(l, "an odd kernel of at most 15", err);
        }
        l->out.channels = l->units;
        l->n_weights = (size_t)l->size * l->size * l->in.channels * l->units;
        l->n_biases = l->units;
        return GY_OK;
    case GY_NET_POOL:
        if (l->size == 0 || l->size > l->in.width || l->size > l->in.height) {
            return bad_layer(l, "a picture at least as large as its window", err);
        }
        l->out.width = l->in.width / l->size;
        l->out.height = l->in.height / l->size;
        return GY_OK;
    case GY_NET_RELU:
        return GY_OK;
    case GY_NET_DROPOUT:
        return l->rate >= 0 && l->rate < 1 ? GY_OK : bad_layer(l, "a rate in [0, 1)", err);
    }
    return gy_err_set(err, GY_E_INVALID, "unknown kind of layer %d", (int)l->kind);
}

/* What may stand where. */
static gy_status check_order(const struct gy_net_spec *s, struct gy_err *err)
{
    bool dense = false, any = false;
    for (size_t i = 0; i < s->n_layers; i++) {
        enum gy_net_kind kind = s->layers[i].kind;
        if (dense && (kind == GY_NET_CONV || kind == GY_NET_POOL)) {
            return bad_layer(&s->layers[i], "a picture: it can not come after a dense one", err);
        }
        if (!any && kind == GY_NET_RELU) {
            return bad_layer(&s->layers[i], "a layer before it", err);
        }
        dense = dense || kind == GY_NET_DENSE;
        any = any || (kind != GY_NET_RELU && kind != GY_NET_DROPOUT);
    }
    return GY_OK;
}

static gy_status check_head(const struct gy_net_spec *s, struct gy_err *err)
{
    const struct gy_net_layer *last = &s->layers[s->n_layers - 1];
    if (last->kind != GY_NET_DENSE) {
        return gy_err_set(err, GY_E_INVALID, "the last layer of a network must be dense");
    }
    switch (s->head) {
    case GY_NET_IDENTITY:
    case GY_NET_SIGMOID:
        return last->units == 1
                   ? GY_OK
                   : gy_err_set(err, GY_E_INVALID, "the last layer must have 1 unit, not %u",
                                last->units);
    case GY_NET_SOFTMAX:
        return last->units >= 2
                   ? GY_OK
                   : gy_err_set(err, GY_E_INVALID, "the last layer must have a unit a class");
    }
    return gy_err_set(err, GY_E_INVALID, "unknown head %d", (int)s->head);
}

gy_status gy_net_resolve(struct gy_net_spec *s, struct gy_err *err)
{
    GY_TRY(check_shape(&s->input, "the input", err));
    if (s->n_layers == 0 || s->n_layers > GY_NET_MAX_LAYERS) {
        return gy_err_set(err, GY_E_INVALID, "a network has 1 to %d layers", GY_NET_MAX_LAYERS);
    }
    s->n_params = 0;
    for (size_t i = 0; i < s->n_layers; i++) {
        struct gy_net_layer *l = &s->layers[i];
        char what[48];
        (void)snprintf(what, sizeof what, "layer %zu (%s)", i + 1, gy_net_kind_name(l->kind));
        l->in = i ? s->layers[i - 1].out : s->input;
        GY_TRY(resolve_layer(l, err));
        GY_TRY(check_shape(&l->out, what, err));
        l->at = s->n_params;
        s->n_params += l->n_weights + l->n_biases;
        if (s->n_params > GY_NET_MAX_PARAMS) {
            return gy_err_set(err, GY_E_TOOBIG, "%s makes it more than %zu parameters", what,
                              GY_NET_MAX_PARAMS);
        }
    }
    s->n_outputs = s->layers[s->n_layers - 1].units;
    if (gy_net_work_of(s) > GY_NET_MAX_WORK) {
        return gy_err_set(err, GY_E_TOOBIG,
                          "the network needs %g multiplications a row; at most %g",
                          gy_net_work_of(s), GY_NET_MAX_WORK);
    }
    GY_TRY(check_order(s, err));
    return check_head(s, err);
}

double gy_net_work_of(const struct gy_net_spec *s)
{
    double sum = 0;
    for (size_t i = 0; i < s->n_layers; i++) {
        const struct gy_net_layer *l = &s->layers[i];
        double places = l->kind == GY_NET_CONV ? (double)l->out.width * l->out.height : 1;
        sum += places * (double)l->n_weights;
    }
    return sum;
}

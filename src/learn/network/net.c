/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/network/net.h"

#include <math.h>

#include "base/id.h"
#include "base/mem.h"
#include "learn/network/layers.h"

struct gy_net {
    struct gy_net_spec spec;
    size_t max_rows;
    gy_real *memory;                        /* everything below, one block */
    gy_real *values[GY_NET_MAX_LAYERS + 1]; /* before the first layer, after each */
    gy_real *memos[GY_NET_MAX_LAYERS];
    gy_real *deltas[2]; /* of the values after a layer and before it, in turns */
};

static size_t widest(const struct gy_net_spec *s)
{
    size_t most = gy_net_cells(s->input);
    for (size_t i = 0; i < s->n_layers; i++) {
        size_t n = gy_net_cells(s->layers[i].out);
        most = n > most ? n : most;
    }
    return most;
}

static size_t memo_of(const struct gy_net_layer *l, size_t rows)
{
    return gy_layer_ops_of(l->kind)->memo(l, rows);
}

/* With memory NULL only counts. */
static size_t lay_out(struct gy_net *net, gy_real *memory)
{
    const struct gy_net_spec *s = &net->spec;
    size_t rows = net->max_rows, n = 0;
    net->values[0] = memory ? memory : NULL;
    n += rows * gy_net_cells(s->input);
    for (size_t i = 0; i < s->n_layers; i++) {
        net->values[i + 1] = memory ? memory + n : NULL;
        n += rows * gy_net_cells(s->layers[i].out);
        net->memos[i] = memory ? memory + n : NULL;
        n += memo_of(&s->layers[i], rows);
    }
    for (size_t i = 0; i < 2; i++) {
        net->deltas[i] = memory ? memory + n : NULL;
        n += rows * widest(s);
    }
    return n;
}

gy_status gy_net_new(const struct gy_net_spec *spec, size_t max_rows, struct gy_net **ret,
                     struct gy_err *err)
{
    GY_TRY(gy_blas_open(err));
    GY_AUTO(gy_net_free) struct gy_net *net = gy_calloc(1, sizeof *net);
    if (!net) {
        return gy_err_set(err, GY_E_NOMEM, "a network");
    }
    net->spec = *spec;
    net->max_rows = max_rows;
    size_t n = lay_out(net, NULL);
    net->memory = gy_reallocarray(NULL, n, sizeof *net->memory);
    if (!net->memory) {
        return gy_err_set(err, GY_E_NOMEM, "%zu rows in a network: %zu MiB", max_rows,
                          n * sizeof *net->memory >> 20);
    }
    (void)lay_out(net, net->memory);
    *ret = GY_TAKE(net);
    return GY_OK;
}

void gy_net_free(struct gy_net *net)
{
    if (net) {
        gy_free(net->memory);
        gy_free(net);
    }
}

gy_real *gy_net_rows(struct gy_net *net)
{
    return net->values[0];
}

const gy_real *gy_net_forward(struct gy_net *net, const gy_real *params, size_t n,
                              struct gy_rng *rng)
{
    for (size_t i = 0; i < net->spec.n_layers; i++) {
        const struct gy_net_layer *l = &net->spec.layers[i];
        gy_layer_ops_of(l->kind)->forward(&(struct gy_layer_pass){.layer = l,
                                                                  .n = n,
                                                                  .w = params + l->at,
                                                                  .x = net->values[i],
                                                                  .y = net->values[i + 1],
                                                                  .memo = net->memos[i],
                                                                  .rng = rng});
    }
    return net->values[net->spec.n_layers];
}

gy_real *gy_net_deltas(struct gy_net *net)
{
    return net->deltas[net->spec.n_layers % 2];
}

void gy_net_backward(struct gy_net *net, const gy_real *params, size_t n, gy_real *gradient)
{
    for (size_t i = net->spec.n_layers; i-- > 0;) {
        const struct gy_net_layer *l = &net->spec.layers[i];
        gy_layer_ops_of(l->kind)->backward(
            &(struct gy_layer_pass){.layer = l,
                                    .n = n,
                                    .w = params + l->at,
                                    .x = net->values[i],
                                    .y = net->values[i + 1],
                                    .memo = net->memos[i],
                                    .dy = net->deltas[(i + 1) % 2],
                                    .dx = i ? net->deltas[i % 2] : NULL,
                                    .dw = gradient + l->at});
    }
}

void gy_net_init_params(const struct gy_net_spec *spec, uint64_t seed, gy_real *params)
{
    for (size_t i = 0; i < spec->n_layers; i++) {
        const struct gy_net_layer *l = &spec->layers[i];
        struct gy_rng rng;
        gy_rng_init_stream(&rng, seed, i);
        if (l->n_weights == 0) {
            continue;
        }
        double inputs = (double)l->n_weights / (double)l->units;
        double sd = sqrt((i + 1 == spec->n_layers ? 1 : 2) / inputs);
        for (size_t j = 0; j < l->n_weights; j++) {
            params[l->at + j] = (gy_real)(sd * gy_rng_normal(&rng));
        }
        memset(params + l->at + l->n_weights, 0, l->n_biases * sizeof *params);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/network/adam.h"

#include <math.h>

#include "base/mem.h"

#define BETA1 0.9F
#define BETA2 0.999F
#define EPSILON 1e-8F

struct gy_adam {
    struct gy_net_spec spec;
    double decay;
    double power1, power2; /* BETA1 and BETA2 to the number of steps */
    float *means, *squares;
};

gy_status gy_adam_new(const struct gy_net_spec *spec, double decay, struct gy_adam **ret,
                      struct gy_err *err)
{
    struct gy_adam *a = gy_calloc(1, sizeof *a);
    float *memory = gy_calloc(2 * spec->n_params, sizeof *memory);
    if (!a || !memory) {
        gy_free(a);
        gy_free(memory);
        return gy_err_set(err, GY_E_NOMEM, "the means of %zu gradients", spec->n_params);
    }
    a->spec = *spec;
    a->decay = decay;
    a->power1 = a->power2 = 1;
    a->means = memory;
    a->squares = memory + spec->n_params;
    *ret = a;
    return GY_OK;
}

void gy_adam_free(struct gy_adam *a)
{
    if (a) {
        gy_free(a->means);
        gy_free(a);
    }
}

/* keep: what is left of a weight after its decay. */
static void step(struct gy_adam *a, size_t from, size_t to, float rate, float correct, float keep,
                 const float *gradient, float *params)
{
    for (size_t i = from; i < to; i++) {
        float g = gradient[i];
        float m = a->means[i] = BETA1 * a->means[i] + (1 - BETA1) * g;
        float v = a->squares[i] = BETA2 * a->squares[i] + (1 - BETA2) * g * g;
        params[i] = keep * params[i] - rate * m / (sqrtf(v) * correct + EPSILON);
    }
}

void gy_adam_step(struct gy_adam *a, double rate, const float *gradient, float *params)
{
    a->power1 *= (double)BETA1;
    a->power2 *= (double)BETA2;
    float scaled = (float)(rate / (1 - a->power1));
    float correct = (float)(1 / sqrt(1 - a->power2));
    float keep = (float)(1 - rate * a->decay);
    for (size_t i = 0; i < a->spec.n_layers; i++) {
        const struct gy_net_layer *l = &a->spec.layers[i];
        size_t biases = l->at + l->n_weights;
        step(a, l->at, biases, scaled, correct, keep, gradient, params);
        step(a, biases, biases + l->n_biases, scaled, correct, 1, gradient, params);
    }
}

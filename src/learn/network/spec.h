/* SPDX-License-Identifier: Apache-2.0 */
/* gy_net_spec: what a network looks like: its input, its layers in order, what its last values
 * mean. A plain value; training, the file of weights and the runtime all start from it.
 *
 * A row is a picture of height x width x channels values, the channels of a pixel side by side:
 * cell (y * width + x) * channels + c. A table row is a picture of 1 x 1 with a channel for each
 * feature. A dense layer takes a picture as its cells in order, so no layer flattens. */
#ifndef GY_LEARN_NETWORK_SPEC_H
#define GY_LEARN_NETWORK_SPEC_H

#include <stdint.h>

#include "base/str.h"

#define GY_NET_MAX_LAYERS 64
#define GY_NET_MAX_SIDE 1024
#define GY_NET_MAX_UNITS 16384
#define GY_NET_MAX_KERNEL 15
#define GY_NET_MAX_CELLS ((size_t)1 << 22)  /* values that a layer gives for one row */
#define GY_NET_MAX_INPUTS ((size_t)1 << 17) /* of a dense layer */
#define GY_NET_MAX_WORK 1e10                /* multiplications of a row: seconds */
#define GY_NET_MAX_PARAMS ((size_t)1 << 25) /* 128 MiB of float32 */

struct gy_net_shape {
    uint32_t width, height, channels;
};

/* The numbers stand in files: append only. */
enum gy_net_kind {
    GY_NET_DENSE = 1,   /* units outputs: y = x W + b, W is inputs x units */
    GY_NET_CONV = 2,    /* units channels, size x size kernels (odd), stride 1, zeros around: the
                           picture keeps its size. W is (size * size * channels) x units */
    GY_NET_POOL = 3,    /* the largest of size x size values, per channel; a rest is dropped */
    GY_NET_RELU = 4,    /* max(x, 0) */
    GY_NET_DROPOUT = 5, /* in training a share `rate` of the values is 0 and the others are divided
                           by 1 - rate (Srivastava et al. 2014); else nothing */
};

/* What the values of the last layer are; each head has its loss. */
enum gy_net_head {
    GY_NET_IDENTITY = 1, /* one value; half the squared error */
    GY_NET_SIGMOID = 2,  /* one log-odds; binary cross entropy */
    GY_NET_SOFTMAX = 3,  /* a log-odds for each class; cross entropy */
};

struct gy_net_layer {
    enum gy_net_kind kind;
    uint32_t units; /* DENSE, CONV */
    uint32_t size;  /* CONV, POOL */
    float rate;     /* DROPOUT, [0, 1) */
    /* set by gy_net_resolve */
    struct gy_net_shape in, out;
    size_t at; /* of its weights among the parameters; its `units` biases follow them */
    size_t n_weights, n_biases;
};

struct gy_net_spec {
    struct gy_net_shape input;
    enum gy_net_head head;
    struct gy_net_layer layers[GY_NET_MAX_LAYERS];
    size_t n_layers;
    /* set by gy_net_resolve */
    size_t n_params, n_outputs;
};

static inline size_t gy_net_cells(struct gy_net_shape s)
{
    return (size_t)s.width * s.height * s.channels;
}

/* The next layer; kinds and their fields as above. Fails: TOOBIG (too many layers). */
GY_CHECKED gy_status gy_net_add(struct gy_net_spec *s, struct gy_net_layer layer,
                                struct gy_err *err);
/* Check every size and fill what follows from it. Conv and pool come before the first dense layer,
 * a relu after one of these. The last layer must be dense, with 1 unit for IDENTITY and SIGMOID, at
 * least 2 for SOFTMAX. Fails: INVALID (with the layer), TOOBIG. */
GY_CHECKED gy_status gy_net_resolve(struct gy_net_spec *s, struct gy_err *err);
/* Multiplications for one row. */
double gy_net_work_of(const struct gy_net_spec *s);
const char *gy_net_kind_name(enum gy_net_kind kind);

#endif

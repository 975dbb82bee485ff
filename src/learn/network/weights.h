/* SPDX-License-Identifier: Apache-2.0 */
/* gy_net_model: a fitted network, and its file `weights.bin` (docs/formats.md): little-endian,
 * self-describing, ends in a CRC-32C. A file is untrusted input: sizes are checked against the
 * limits of a spec and against its length before memory is taken, numbers must be finite. */
#ifndef GY_LEARN_NETWORK_WEIGHTS_H
#define GY_LEARN_NETWORK_WEIGHTS_H

#include "base/buf.h"
#include "learn/network/spec.h"

#define GY_NET_FILE "weights.bin"
#define GY_NET_MAX_FILE (4 * GY_NET_MAX_PARAMS + ((size_t)1 << 20))

struct gy_net_model {
    struct gy_net_spec spec; /* resolved */
    /* A row's values on their way in: (x - shift) * scale, a pair for each channel of the input. */
    float *shift, *scale;
    /* IDENTITY: an answer is value * out_scale + out_shift. */
    double out_shift, out_scale;
    float *params; /* n_params; the arrays are one block, owned here */
};

/* With shift 0, scale 1, zero parameters. Fails: NOMEM, and as gy_net_resolve does. */
GY_CHECKED gy_status gy_net_model_init(const struct gy_net_spec *spec, struct gy_net_model *ret,
                                       struct gy_err *err);
void gy_net_model_done(struct gy_net_model *m); /* NULL and a zeroed one are fine */
GY_DEFINE_AUTO_DONE(struct gy_net_model, gy_net_model_done);

/* Append the file. Fails: NOMEM, TOOBIG. */
GY_CHECKED gy_status gy_net_model_write(const struct gy_net_model *m, struct gy_buf *out,
                                        struct gy_err *err);
/* On GY_OK gy_net_model_done is due. Fails: CORRUPT (what is wrong with it), NOTSERVABLE (a later
 * version), NOMEM. */
GY_CHECKED gy_status gy_net_model_parse(struct gy_str bytes, struct gy_net_model *ret,
                                        struct gy_err *err);

/* One row of float64 as the first layer gets it. */
void gy_net_model_take(const struct gy_net_model *m, const double *x, float *out);

#endif

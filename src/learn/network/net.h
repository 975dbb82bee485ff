/* SPDX-License-Identifier: Apache-2.0 */
/* gy_net: a network at work on a shard of rows: all values between its layers, forwards and back.
 * The parameters are the caller's, one array for the whole network. A gy_net belongs to one thread
 * at a time; it allocates only when it is made, and equal inputs give equal bits. */
#ifndef GY_LEARN_NETWORK_NET_H
#define GY_LEARN_NETWORK_NET_H

#include "learn/network/real.h"
#include "learn/network/spec.h"

struct gy_net;
struct gy_rng;

/* For shards of at most max_rows rows; the spec (resolved) is copied. Fails: MISSINGDEP (OpenBLAS),
 * NOMEM. */
GY_CHECKED gy_status gy_net_new(const struct gy_net_spec *spec, size_t max_rows,
                                struct gy_net **ret, struct gy_err *err);
void gy_net_free(struct gy_net *net);
GY_DEFINE_AUTO(struct gy_net *, gy_net_free);

/* Where the rows go before forward: max_rows x cells of the input. */
gy_real *gy_net_rows(struct gy_net *net);
/* The values of the last layer, n x n_outputs, until the next call. rng: training (dropout draws
 * from it); NULL: answering. */
const gy_real *gy_net_forward(struct gy_net *net, const gy_real *params, size_t n,
                              struct gy_rng *rng);
/* Where d loss / d (last values) goes before backward: max_rows x n_outputs. */
gy_real *gy_net_deltas(struct gy_net *net);
/* gradient (n_params): d loss / d params, of the n rows of the last forward. The rows and deltas
 * are used up. */
void gy_net_backward(struct gy_net *net, const gy_real *params, size_t n, gy_real *gradient);

/* He initialisation (He et al. 2015): weights from N(0, 2 / inputs), the last layer's, which no
 * relu follows, from N(0, 1 / inputs); biases 0. */
void gy_net_init_params(const struct gy_net_spec *spec, uint64_t seed, gy_real *params);

#endif

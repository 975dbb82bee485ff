/* SPDX-License-Identifier: Apache-2.0 */
/* gy_chain: several models as one: a row goes to the parts in order, and inputs of later parts are
 * fed by answers of earlier ones. It gives bit for bit what the parts give when they are asked one
 * after the other and their answers are passed on. Rows go through in blocks of GY_RUNTIME_BLOCK;
 * nothing is allocated while predicting. As every runtime: immutable, any number of threads. */
#ifndef GY_LEARN_RUNTIME_CHAIN_H
#define GY_LEARN_RUNTIME_CHAIN_H

#include "learn/predictor.h"
#include "learn/runtime/runtime.h"

#define GY_CHAIN_MAX_PARTS 8
#define GY_CHAIN_MAX_FEEDS 1024

/* An input of a part that an earlier part answers. */
struct gy_chain_feed {
    size_t part, from;   /* from < part */
    struct gy_str input; /* of `part` */
    /* Of `from`: "prediction"; of a classifier also "probability.LABEL", and "probability" for the
     * second of two classes. */
    struct gy_str output;
};

struct gy_chain_spec {
    struct gy_predictor *const *parts; /* in order; the last one's answer is the chain's */
    const struct gy_str *names;        /* of the parts, for messages */
    size_t n_parts;
    const struct gy_predictor_input *inputs; /* of the chain; a part's input that is not fed has its
                                                name there, with the same kind */
    size_t n_inputs;
    const struct gy_chain_feed *feeds;
    size_t n_feeds;
};

/* On GY_OK the parts are the chain's, freed with it; all else is copied. Fails: INVALID (feeds that
 * do not fit, a part that feeds nothing or can not be in a chain), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_chain_new(const struct gy_chain_spec *spec, void **ret, struct gy_err *err);
extern const struct gy_runtime_ops gy_chain_ops;

#endif

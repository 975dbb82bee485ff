/* SPDX-License-Identifier: Apache-2.0 */
/* A record of the prediction log as tests append it. latency_ns carries the number by which they
 * tell records apart. */
#ifndef GY_TEST_LOG_RECORD_H
#define GY_TEST_LOG_RECORD_H

#include "base/id.h"
#include "serve/record.h"

static const double log_row[] = {104, 22, 38.9, 1, 0.75};
static const struct gy_rule_outcome log_rule = {0, 2, 3, 4};

static inline struct gy_record log_record(struct gy_uuid_gen *gen, uint32_t n)
{
    struct gy_record r = {.time_us = 1700000000000000 + n,
                          .latency_ns = n,
                          .revision = 3,
                          .n_rows = 1,
                          .total_rows = 1,
                          .status = 200,
                          .n_inputs = 3,
                          .n_outputs = 2,
                          .endpoint = GY_STR("sepsis"),
                          .model_version = GY_STR("7"),
                          .request_id = GY_STR("req-1"),
                          .inputs = log_row,
                          .outputs = log_row + 3,
                          .rules = &log_rule};
    gy_uuid7(gen, r.id);
    return r;
}

#endif

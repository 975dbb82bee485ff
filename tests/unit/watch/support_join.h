/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of feedback share: a store with three endpoints, and records of their predictions. */
#ifndef GY_TEST_WATCH_SUPPORT_JOIN_H
#define GY_TEST_WATCH_SUPPORT_JOIN_H

#include <math.h>

#include "scratch.h"
#include "unit.h"
#include "watch/join.h"

/* sepsis: two classes, a rule that decides alone, one row in four of which is scored too. */
#define SEPSIS                                                                                    \
    "{\"task\":\"binary\",\"inputs\":[\"HR\"],\"classes\":[\"0\",\"1\"],"                         \
    "\"numeric_classes\":true,\"threshold\":0.5,\"rule_shadow\":0.25,"                            \
    "\"weights\":[{\"model\":\"sepsis\",\"version\":1,\"weight\":0.5,\"role\":\"stable\"},"       \
    "{\"model\":\"sepsis\",\"version\":2,\"weight\":0.5,\"role\":\"canary\",\"threshold\":0.7}]," \
    "\"rules\":[{\"name\":\"sirs\",\"when\":\"HR > 90\",\"then\":{\"prediction\":1,"              \
    "\"skip_model\":true,\"reason\":\"SIRS\"}}]}"
#define RINGS                                                                             \
    "{\"task\":\"multiclass\",\"inputs\":[\"a\"],\"classes\":[\"low\",\"mid\",\"high\"]," \
    "\"weights\":[{\"model\":\"rings\",\"version\":1,\"weight\":1}]}"
#define FUEL                                                       \
    "{\"task\":\"regression\",\"inputs\":[\"kg\"],\"classes\":[]," \
    "\"weights\":[{\"model\":\"fuel\",\"version\":1,\"weight\":1}]}"

static gy_status add_revision(struct gy_db *db, const char *endpoint, const char *config,
                              struct gy_err *err)
{
    int64_t number;
    const struct gy_revision r = {.endpoint = gy_str_c(endpoint),
                                  .kind = GY_STR("deploy"),
                                  .model_name = gy_str_c(endpoint),
                                  .model_version = 1,
                                  .model_digest = GY_STR("dd"),
                                  .config = gy_str_c(config),
                                  .actor = GY_STR("alice")};
    return gy_revision_add(db, &r, &number, err);
}

GY_UNUSED static gy_status add_endpoints(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_TRY(add_revision(db, "sepsis", SEPSIS, err));
    GY_TRY(add_revision(db, "sepsis", SEPSIS, err));
    GY_TRY(add_revision(db, "rings", RINGS, err));
    return add_revision(db, "fuel", FUEL, err);
}

GY_UNUSED static void id_of(uint32_t n, unsigned char id[16])
{
    memset(id, 0, 16);
    memcpy(id, &n, sizeof n);
    id[15] = 7;
}

static const struct gy_rule_outcome rule_hit = {0, 1, 1, 1};
static const struct gy_rule_outcome no_rule = {-1, 0, 1, 1};

/* A record of one row of sepsis. probability NaN: the model was not asked. */
GY_UNUSED static struct gy_record sepsis_record(uint32_t n, const char *version, double *outputs,
                                                double probability, bool rule)
{
    double threshold = version[0] == '2' ? 0.7 : 0.5;
    outputs[0] = rule || probability >= threshold ? 1 : 0;
    outputs[1] = probability;
    struct gy_record r = {.time_us = 1000 + n,
                          .revision = 1,
                          .n_rows = 1,
                          .total_rows = 1,
                          .status = 200,
                          .n_outputs = 2,
                          .endpoint = GY_STR("sepsis"),
                          .model_version = gy_str_c(version),
                          .request_id = GY_STR(""),
                          .outputs = outputs,
                          .rules = rule ? &rule_hit : &no_rule};
    id_of(n, r.id);
    return r;
}

GY_UNUSED static struct gy_feedback label_for(uint32_t n, const char *label)
{
    struct gy_feedback f = {.label = gy_str_c(label), .reward = NAN, .given_us = 5000};
    id_of(n, f.id);
    return f;
}

#endif

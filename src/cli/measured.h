/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands that measure a model print about it. Main thread only. */
#ifndef GY_CLI_MEASURED_H
#define GY_CLI_MEASURED_H

#include "cli/cli_internal.h"
#include "learn/explain.h"
#include "learn/importance.h"

/* A line a metric with its interval; beside it that of the majority model on the same rows, when
 * baseline (MAY be NULL) holds one. */
void gy_cli_say_metrics(const struct gy_cli *cli, const struct gy_metrics *m,
                        const struct gy_eval *baseline);

/* What an evaluation with details tells beyond its metrics: the classes, how far the probabilities
 * can be believed, the groups that schema.yaml protects. */
void gy_cli_say_details(const struct gy_cli *cli, const struct gy_eval *e);
/* Two models on the same rows; a and b are their names. */
void gy_cli_say_paired(const struct gy_cli *cli, const struct gy_paired *p, const char *a,
                       const char *b);
/* The most important first, at most 20. Fail: NOMEM. */
GY_CHECKED gy_status gy_cli_say_importance(const struct gy_cli *cli, const struct gy_importance *i,
                                           struct gy_err *err);
GY_CHECKED gy_status gy_cli_say_explanation(const struct gy_cli *cli,
                                            const struct gy_explanation *e, struct gy_err *err);

#endif

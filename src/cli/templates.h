/* SPDX-License-Identifier: Apache-2.0 */
/* The files of examples/<name>/, put into the program by tools/embed.py at build time. */
#ifndef GY_CLI_TEMPLATES_H
#define GY_CLI_TEMPLATES_H

#include "base/embed.h"

extern const struct gy_embedded gy_template_sepsis[];
extern const size_t gy_template_sepsis_count;
extern const struct gy_embedded gy_template_fuel[];
extern const size_t gy_template_fuel_count;
extern const struct gy_embedded gy_template_bikes[];
extern const size_t gy_template_bikes_count;
extern const struct gy_embedded gy_template_fraud[];
extern const size_t gy_template_fraud_count;
extern const struct gy_embedded gy_template_insurance[];
extern const size_t gy_template_insurance_count;
extern const struct gy_embedded gy_template_rings[];
extern const size_t gy_template_rings_count;
extern const struct gy_embedded gy_template_iris[];
extern const size_t gy_template_iris_count;
extern const struct gy_embedded gy_template_blank[];
extern const size_t gy_template_blank_count;

#endif

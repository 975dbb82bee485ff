/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data synth transactions | claims | compounds: made-up data of whole cases
 * (data/synth_cases.h). */
#ifndef GY_CLI_SYNTH_CASES_H
#define GY_CLI_SYNTH_CASES_H

#include "data/synth_cases.h"

bool gy_cli_is_synth_case(const char *what);
/* rows, bad: -1 when not said; out: a file, or the folder of claims and compounds. Fails: USAGE, as
 * data/synth_cases.h says. */
GY_CHECKED gy_status gy_cli_synth_case(const char *what, int64_t rows, int64_t bad, uint64_t seed,
                                       const char *out, struct gy_synth_result *ret,
                                       struct gy_err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/synth_cases.h"

bool gy_cli_is_synth_case(const char *what)
{
    return strcmp(what, "transactions") == 0 || strcmp(what, "claims") == 0 ||
           strcmp(what, "compounds") == 0;
}

gy_status gy_cli_synth_case(const char *what, int64_t rows, int64_t bad, uint64_t seed,
                            const char *out, struct gy_synth_result *ret, struct gy_err *err)
{
    if (strcmp(what, "compounds") == 0) {
        return gy_synth_compounds(rows < 0 ? GY_SYNTH_COMPOUNDS : rows, bad < 0 ? 0 : bad, seed,
                                  out, ret, err);
    }
    if (bad > 0) {
        (void)gy_err_set(err, GY_E_USAGE, "%s are made without bad records", what);
        return gy_err_hint(err, "gyre data synth corrupt FILE puts some between them");
    }
    return strcmp(what, "claims") == 0
               ? gy_synth_claims(rows < 0 ? GY_SYNTH_CLAIMS : rows, seed, out, ret, err)
               : gy_synth_transactions(rows < 0 ? GY_SYNTH_TRANSACTIONS : rows, seed, out, ret,
                                       err);
}

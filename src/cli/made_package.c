/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/made_package.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/limits.h"

gy_status gy_cli_make_package(struct gy_cli *cli, const char *out, gy_cli_make_fn make,
                              const void *opts, struct gy_err *err)
{
    char scratch[GY_MAX_PATH];
    if (out) {
        if (gy_path_exists(out)) {
            return gy_err_set(err, GY_E_EXISTS, "%s exists already", out);
        }
        GY_TRY(gy_dir_make(out, err));
        gy_status made = make(cli, opts, out, err);
        if (made != GY_OK) {
            GY_IGNORE(gy_dir_remove(out, NULL)); /* made here; the first failure is told */
        }
        return made;
    }
    (void)snprintf(scratch, sizeof scratch, "%s/gyre-model-XXXXXX", gy_temp_dir());
    if (!mkdtemp(scratch)) {
        return gy_err_set(err, GY_E_IO, "no temporary folder can be made in %s", gy_temp_dir());
    }
    gy_status status = make(cli, opts, scratch, err);
    gy_status removed = gy_dir_remove(scratch, status == GY_OK ? err : NULL);
    return status == GY_OK ? removed : status;
}

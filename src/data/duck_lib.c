/* SPDX-License-Identifier: Apache-2.0 */
#include "data/duck_lib.h"

#include <string.h>

#include "base/dl.h"

#define X(expression, number) _Static_assert((expression) == (number), #expression);
GY_DUCK_LAYOUT(X)
#undef X

/* Filled once under the lock of gy_dl_open, read-only afterwards. */
static struct gy_duck_lib g_lib;
static void *g_handle;

const struct gy_duck_lib *gy_duck_lib(void)
{
    return &g_lib;
}

gy_status gy_duck_lib_open(struct gy_err *err)
{
    static const struct gy_dl_symbol symbols[] = {
#define X(type, name, arguments) {"duckdb_" #name, (void **)(void *)&g_lib.name},
        GY_DUCK_FUNCTIONS(X)
#undef X
    };
    if (gy_dl_open(&g_handle, "libduckdb.so", NULL, symbols, sizeof symbols / sizeof symbols[0],
                   err) != GY_OK) {
        return gy_err_hint(err,
                           "SQL needs DuckDB " GY_DUCK_VERSION ": deps/duckdb.sh fetches it, or "
                           "name the folder of its libduckdb.so in GYRE_LIBDIR");
    }
    const char *version = g_lib.library_version();
    if (strcmp(version, GY_DUCK_VERSION) != 0) {
        (void)gy_err_set(err, GY_E_MISSINGDEP, "libduckdb.so is DuckDB %.32s, not " GY_DUCK_VERSION,
                         version);
        return gy_err_hint(err, "deps/duckdb.sh fetches the right one");
    }
    return GY_OK;
}

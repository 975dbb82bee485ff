/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of SQL: they are skipped, and counted so, where DuckDB's library is not. */
#ifndef TESTS_DUCK_HERE_H
#define TESTS_DUCK_HERE_H

#include "data/duck.h"

static inline bool duck_is_here(void)
{
    struct gy_duck *d = NULL;
    struct gy_err err = GY_ERR_INIT;
    gy_status status = gy_duck_open(&(struct gy_duck_options){.threads = 1}, &d, &err);
    gy_duck_free(d);
    if (status == GY_E_MISSINGDEP) {
        print_message("skipped: %s (%s)\n", err.msg, err.hint);
    }
    return status != GY_E_MISSINGDEP;
}

#define NEEDS_DUCK()         \
    do {                     \
        if (!duck_is_here()) \
            skip();          \
    } while (0)

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What unit tests share: cmocka's includes, a scratch folder, and the torture loop that fails every
 * allocation in turn. */
#ifndef GY_TESTS_UNIT_H
#define GY_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

#define assert_str(view, text)                                       \
    do {                                                             \
        struct gy_str assert_view_ = (view);                         \
        assert_int_equal(assert_view_.n, strlen(text));              \
        assert_memory_equal(assert_view_.p, (text), assert_view_.n); \
    } while (0)

/* Call with the error shown when it is not the expected status. */
#define assert_status(expected, call, err)                                                     \
    do {                                                                                       \
        gy_status assert_got_ = (call);                                                        \
        if (assert_got_ != (expected)) {                                                       \
            fail_msg("%s gave %s (%s), not %s", #call, gy_status_name(assert_got_), (err).msg, \
                     gy_status_name(expected));                                                \
        }                                                                                      \
    } while (0)

/* Run fn with the 1st, 2nd, ... allocation failing until it is not reached any more. A run in which
 * one failed must answer NOMEM with err filled, or succeed where the failure can be done without;
 * either way nothing may stay. */
GY_UNUSED static void torture(gy_status (*fn)(void *ctx, struct gy_err *err), void *ctx)
{
    int64_t live = gy_mem_live();
    for (uint64_t nth = 1; nth < 100000; nth++) {
        struct gy_err err = GY_ERR_INIT;
        gy_mem_fail_at(nth, 1);
        gy_status status = fn(ctx, &err);
        uint64_t reached = gy_mem_count();
        gy_mem_fail_at(0, 0);
        assert_int_equal(gy_mem_live(), live);
        if (reached < nth) {
            assert_status(GY_OK, status, err);
            assert_true(nth > 1); /* a function that allocates nothing has no place here */
            return;
        }
        if (status != GY_OK) {
            assert_int_equal(status, GY_E_NOMEM);
            assert_int_equal(err.code, status);
            assert_true(err.msg[0] != '\0');
        }
    }
    fail_msg("the torture loop found no end");
}

/* A fresh folder, removed by scratch_done. */
GY_UNUSED static void scratch_make(char path[64])
{
    (void)snprintf(path, 64, "/tmp/gyre-unit-XXXXXX");
    assert_non_null(mkdtemp(path));
}

GY_UNUSED static void scratch_done(const char *path)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_dir_remove(path, &err), err);
}

#endif

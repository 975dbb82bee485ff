/* SPDX-License-Identifier: Apache-2.0 */
/* Every column of digests in the schema is known to refs.c as a name of objects or as none, and the
 * walk gives each name once, in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "scratch.h"
#include "serve/refs.h"

static int setup(void **state)
{
    struct scratch *s = scratch_new();
    scratch_open(s);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    scratch_free(*state);
    return 0;
}

static gy_status look_at_columns(struct gy_db *db, void *ctx, struct gy_err *err)
{
    int *n = ctx;
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(
        gy_db_query(db,
                    "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c "
                    "WHERE m.type = 'table' AND (c.name LIKE '%sha256%' OR c.name LIKE '%object%')",
                    GY_NO_VALS, &st, err));
    for (bool row = true;; (*n)++) {
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        if (gy_refs_knows(gy_col_str(st, 0), gy_col_str(st, 1)) < 0) {
            fail_msg("serve/refs.c must say whether %.*s.%.*s names objects",
                     GY_STR_A(gy_col_str(st, 0)), GY_STR_A(gy_col_str(st, 1)));
        }
    }
}

static void every_column_of_digests_is_known(void **state)
{
    int n = 0;
    scratch_read(*state, look_at_columns, &n);
    assert_true(n >= 6);
    assert_int_equal(gy_refs_knows(GY_STR("artifacts"), GY_STR("sha256")), 1);
    assert_int_equal(gy_refs_knows(GY_STR("verdicts"), GY_STR("data_sha256")), 0);
    assert_int_equal(gy_refs_knows(GY_STR("artifacts"), GY_STR("no_such")), -1);
}

static const char digit_of[] = "3120";

static gy_status add_rows(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    for (int i = 0; i < 8; i++) { /* each digest twice */
        char path[16], sha256[65];
        snprintf(path, sizeof path, "0/r/%d", i);
        memset(sha256, digit_of[i % 4], 64);
        sha256[64] = '\0';
        GY_TRY(gy_db_exec(db,
                          "INSERT INTO artifacts (path, sha256, size_bytes, actor, created_us) "
                          "VALUES (?,?,1,'t',1)",
                          GY_VALS(gy_vc(path), gy_vc(sha256)), NULL, err));
    }
    GY_TRY(
        gy_db_exec(db,
                   "INSERT INTO uploads (id, path, n_parts, state, actor, created_us, expires_us) "
                   "VALUES ('u', 'p', 1, 'open', 't', 1, 2)",
                   GY_NO_VALS, NULL, err));
    return gy_db_exec(
        db,
        "INSERT INTO upload_parts (upload_id, part, sha256, size_bytes, created_us) "
        "VALUES ('u', 1, ?, 1, 1)",
        GY_VALS(gy_vc("4444444444444444444444444444444444444444444444444444444444444444")), NULL,
        err);
}

static gy_status note(void *ctx, struct gy_str sha256, struct gy_err *err)
{
    char *seen = ctx;
    (void)err;
    assert_int_equal(sha256.n, 64);
    seen[strlen(seen)] = sha256.p[0];
    return GY_OK;
}

static gy_status refuse(void *ctx, struct gy_str sha256, struct gy_err *err)
{
    (void)sha256;
    ++*(int *)ctx;
    return gy_err_set(err, GY_E_CANCELLED, "enough");
}

static gy_status walk_finished(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_refs_each(db, false, note, ctx, err);
}

static gy_status walk_all(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_refs_each(db, true, note, ctx, err);
}

static gy_status walk_refused(struct gy_db *db, void *ctx, struct gy_err *err)
{
    assert_int_equal(gy_refs_each(db, true, refuse, ctx, err), GY_E_CANCELLED);
    return GY_OK;
}

static void each_name_comes_once_and_in_order(void **state)
{
    char seen[16] = "", all[16] = "";
    int calls = 0;
    scratch_write(*state, add_rows, NULL);
    scratch_read(*state, walk_finished, seen);
    assert_string_equal(seen, "0123");
    scratch_read(*state, walk_all, all);
    assert_string_equal(all, "01234");
    scratch_read(*state, walk_refused, &calls);
    assert_int_equal(calls, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_column_of_digests_is_known, setup, teardown),
        cmocka_unit_test_setup_teardown(each_name_comes_once_and_in_order, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

struct scratch *scratch_new(void)
{
    const char *tmp = getenv("TMPDIR");
    struct scratch *s = calloc(1, sizeof *s);
    assert_non_null(s);
    snprintf(s->dir, sizeof s->dir, "%.40s/gyre-store-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->path, sizeof s->path, "%s/gyre.db", s->dir);
    snprintf(s->url, sizeof s->url, "sqlite://%s", s->path);
    return s;
}

void scratch_open(struct scratch *s)
{
    struct gy_err err = GY_ERR_INIT;
    scratch_close(s);
    s->options.url = s->url;
    if (gy_store_open(&s->options, &s->store, &err) != GY_OK) {
        fail_msg("opening: %s", err.msg);
    }
}

void scratch_close(struct scratch *s)
{
    gy_store_free(s->store);
    s->store = NULL;
}

void scratch_free(struct scratch *s)
{
    scratch_close(s);
    assert_int_equal(gy_dir_remove(s->dir, NULL), GY_OK);
    free(s);
    assert_int_equal(gy_mem_live(), 0);
}

void scratch_write(struct scratch *s, gy_db_fn fn, void *ctx)
{
    struct gy_err err = GY_ERR_INIT;
    if (gy_store_write(s->store, fn, ctx, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
}

void scratch_read(struct scratch *s, gy_db_fn fn, void *ctx)
{
    struct gy_err err = GY_ERR_INIT;
    if (gy_store_read(s->store, fn, ctx, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
}

gy_status scratch_exec(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_db_exec(db, ctx, GY_NO_VALS, NULL, err);
}

struct number {
    const char *sql;
    int64_t value;
};

static gy_status read_number(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct number *n = ctx;
    bool found;
    GY_TRY(gy_db_get_i64(db, n->sql, GY_NO_VALS, &found, &n->value, err));
    return found ? GY_OK : gy_err_set(err, GY_E_NOTFOUND, "no row: %s", n->sql);
}

int64_t scratch_int(struct scratch *s, const char *sql)
{
    struct number n = {sql, -1};
    scratch_read(s, read_number, &n);
    return n.value;
}

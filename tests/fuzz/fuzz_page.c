/* SPDX-License-Identifier: Apache-2.0 */
/* Page tokens. The bytes are taken as a token, and as the terms of one that has the right digest:
 * what is accepted binds one value a '?', and is the same when its token is made and read again. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "track/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct job {
    struct gy_str bytes;
    struct gy_arena arena;
};

static struct gy_store *open_store(void)
{
    struct gy_store *store = NULL;
    struct gy_err err = GY_ERR_INIT;
    struct gy_store_options o = {.url = "sqlite://:memory:", .n_readers = 1};
    if (gy_store_open(&o, &store, &err) != GY_OK) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    return store;
}

static void make_sort(struct gy_sort *s)
{
    *s = (struct gy_sort){.n = 0};
    gy_sort_add_nullable(s, "c", "v", GY_VAL_REAL, true);
    gy_sort_add_nullable(s, "d", "t", GY_VAL_TEXT, false);
    gy_sort_add(s, "i", GY_VAL_INT, true);
}

static void check_sql(const struct gy_sort *s, const struct gy_val *after, struct gy_arena *a)
{
    struct gy_sql_builder b;
    size_t marks = 0;
    gy_sql_init(&b, a);
    gy_sort_after(&b, s, after);
    for (size_t i = 0; i < b.text.n; i++) {
        marks += b.text.p[i] == '?';
    }
    GY_REQUIRE(marks == b.n_vals);
    gy_sql_done(&b);
}

static bool same(const struct gy_val *x, const struct gy_val *y)
{
    return x->kind == y->kind && x->i == y->i && x->f == y->f && gy_str_eq(x->s, y->s);
}

static gy_status try_token(struct gy_db *db, struct job *j, struct gy_str token, struct gy_err *err)
{
    struct gy_sort sort;
    struct gy_page page, again;
    struct gy_str made = GY_STR_NULL;
    make_sort(&sort);
    gy_status status = gy_page_open(db, &sort, NULL, 0, token, &j->arena, &page, err);
    GY_REQUIRE(status == GY_OK || status == GY_E_INVALID);
    if (status != GY_OK || !page.after) {
        return GY_OK;
    }
    check_sql(&sort, page.after, &j->arena);
    GY_TRY(gy_page_token(&page, &sort, page.after, &j->arena, &made, err));
    GY_TRY(gy_page_open(db, &sort, NULL, 0, made, &j->arena, &again, err));
    for (size_t i = 0; i < sort.n; i++) {
        GY_REQUIRE(same(&page.after[i], &again.after[i]));
    }
    return GY_OK;
}

static gy_status read_both(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct job *j = ctx;
    struct gy_sort sort;
    struct gy_page page;
    GY_TRY(try_token(db, j, j->bytes, err));
    make_sort(&sort);
    GY_TRY(gy_page_open(db, &sort, NULL, 0, GY_STR_NULL, &j->arena, &page, err));
    size_t n = j->bytes.n + 64;
    char *text = gy_arena_alloc(&j->arena, n), *token = gy_arena_alloc(&j->arena, 2 * n + 8);
    if (!text || !token) {
        return gy_track_nomem(err);
    }
    int head = snprintf(text, n, "[\"%s\",", page.digest);
    memcpy(text + head, j->bytes.p, j->bytes.n);
    text[(size_t)head + j->bytes.n] = ']';
    gy_base64(text, (size_t)head + j->bytes.n + 1, token);
    return try_token(db, j, gy_str_c(token), err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gy_store *store;
    if (!store) {
        store = open_store();
    }
    if (size == 0) {
        return 0;
    }
    struct job j = {.bytes = gy_str_n((const char *)data, size)};
    struct gy_err err = GY_ERR_INIT;
    gy_arena_init(&j.arena, 256 << 20);
    if (gy_store_read(store, read_both, &j, &err) != GY_OK) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    gy_arena_done(&j.arena);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The Parquet of a version: found when it is whole, made anew when it is not, gone when dropped. */
#include <sys/stat.h>

#include "unit.h"

#include "data/parquet_cache.h"
#include "duck_here.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char g_dir[64], g_csv[128], g_cache[128];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(g_dir, sizeof g_dir, "/tmp/parquet-XXXXXX");
    if (!mkdtemp(g_dir)) {
        return 1;
    }
    (void)snprintf(g_csv, sizeof g_csv, "%s/data.csv", g_dir);
    (void)snprintf(g_cache, sizeof g_cache, "%s/cache", g_dir);
    return gy_file_write(g_csv, GY_STR("a,b\n1,x\n2,\n"), 0644, NULL) == GY_OK ? 0 : 1;
}

static int teardown(void **state)
{
    (void)state;
    return gy_dir_remove(g_dir, NULL) == GY_OK ? 0 : 1;
}

static struct gy_parquet_cache_key key_of(const char *sha256, const char *type)
{
    static char schema[256];
    (void)snprintf(schema, sizeof schema,
                   "{\"columns\": [{\"name\": \"a\", \"type\": \"%s\"}, "
                   "{\"name\": \"b\", \"type\": \"string\"}]}",
                   type);
    return (struct gy_parquet_cache_key){g_cache, gy_str_c(sha256), gy_str_c(schema)};
}

static void make(const struct gy_parquet_cache_key *k, char path[GY_MAX_PATH])
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_parquet_cache_make(k, g_csv, GY_DUCK_MIN_MEMORY, path, &err), err);
}

static size_t count_files(void)
{
    size_t n = 0;
    char command[256];
    (void)snprintf(command, sizeof command, "ls -A '%s' | wc -l", g_cache);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%zu", &n), 1);
    (void)pclose(f);
    return n;
}

/* What SQL reads from it. */
static void check_rows(const char *path, const char *want)
{
    struct gy_duck *d = NULL;
    struct gy_duck_rows *r = NULL;
    const char *readable[] = {path};
    const struct gy_duck_options o = {.threads = 1, .readable = readable, .n_readable = 1};
    char sql[GY_MAX_PATH + 128];
    size_t n = 0;
    struct gy_buf cell;
    gy_buf_init(&cell, GY_MIB);
    (void)snprintf(sql, sizeof sql,
                   "SELECT string_agg(typeof(a) || a || coalesce(b, '~'), ' ') FROM '%s'", path);
    assert_int_equal(gy_duck_open(&o, &d, NULL), GY_OK);
    assert_int_equal(gy_duck_query(d, gy_str_c(sql), NULL, 0, &r, NULL), GY_OK);
    assert_int_equal(gy_duck_next(r, &n, NULL), GY_OK);
    assert_true(gy_duck_cell(r, 0, 0, &cell));
    assert_string_equal(cell.p, want);
    gy_buf_done(&cell);
    gy_duck_rows_free(r);
    gy_duck_free(d);
}

static void test_made_once_and_found(void **state)
{
    NEEDS_DUCK();
    (void)state;
    char path[GY_MAX_PATH], found[GY_MAX_PATH];
    struct gy_parquet_cache_key k = key_of(SHA, "int");
    assert_false(gy_parquet_cache_find(&k, found));
    make(&k, path);
    assert_int_equal(count_files(), 2);
    assert_true(gy_parquet_cache_find(&k, found));
    assert_string_equal(found, path);
    check_rows(path, "BIGINT1x BIGINT2~");
    /* Another schema is another file; so are other bytes. */
    k = key_of(SHA, "string");
    assert_false(gy_parquet_cache_find(&k, found));
    make(&k, path);
    check_rows(path, "VARCHAR1x VARCHAR2~");
    k = key_of(OTHER, "int");
    make(&k, path);
    assert_int_equal(count_files(), 6);
}

static void test_damage_is_found(void **state)
{
    NEEDS_DUCK();
    (void)state;
    char path[GY_MAX_PATH], found[GY_MAX_PATH];
    const struct gy_parquet_cache_key k = key_of(SHA, "int");
    struct gy_buf whole;
    gy_buf_init(&whole, GY_MIB);
    make(&k, path);
    assert_int_equal(gy_file_read(path, &whole, NULL), GY_OK);
    /* Written again with the same bytes: another inode and time, the same digest. */
    assert_int_equal(gy_file_write(path, gy_buf_str(&whole), 0644, NULL), GY_OK);
    assert_true(gy_parquet_cache_find(&k, found));
    whole.p[whole.n / 2] ^= 1;
    assert_int_equal(gy_file_write(path, gy_buf_str(&whole), 0644, NULL), GY_OK);
    assert_false(gy_parquet_cache_find(&k, found));
    assert_int_equal(count_files(), 0); /* removed */
    make(&k, path);
    assert_int_equal(gy_file_write(path, gy_str_sub(gy_buf_str(&whole), 0, 10), 0644, NULL), GY_OK);
    assert_false(gy_parquet_cache_find(&k, found));
    make(&k, path); /* a note that is none */
    char note[GY_MAX_PATH];
    (void)snprintf(note, sizeof note, "%.*s.ok", (int)(strlen(path) - 8), path);
    assert_int_equal(gy_file_write(note, GY_STR("{"), 0644, NULL), GY_OK);
    assert_false(gy_parquet_cache_find(&k, found));
    gy_buf_done(&whole);
}

static void test_what_can_not_be_made_leaves_nothing(void **state)
{
    NEEDS_DUCK();
    (void)state;
    char path[GY_MAX_PATH];
    struct gy_err err = GY_ERR_INIT;
    const struct gy_parquet_cache_key k = key_of(SHA, "int");
    assert_int_equal(gy_parquet_cache_make(&k, "/no/such.csv", GY_DUCK_MIN_MEMORY, path, &err),
                     GY_E_NOTFOUND);
    const struct gy_parquet_cache_key no_hex = {g_cache, GY_STR("abc"), GY_STR_NULL};
    assert_int_equal(gy_parquet_cache_make(&no_hex, g_csv, GY_DUCK_MIN_MEMORY, path, &err),
                     GY_E_INVALID);
    const struct gy_parquet_cache_key broken = {g_cache, GY_STR(SHA), GY_STR("{\"columns\": 7}")};
    assert_int_not_equal(gy_parquet_cache_make(&broken, g_csv, GY_DUCK_MIN_MEMORY, path, &err),
                         GY_OK);
    assert_int_equal(count_files(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_made_once_and_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_can_not_be_made_leaves_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "base/dl.h"
#include "base/pool.h"
#include "unit.h"

static atomic_int g_done;
static sem_t g_started;
static sem_t g_go;

static void count(void *arg)
{
    (void)arg;
    atomic_fetch_add(&g_done, 1);
}

static void hold(void *arg)
{
    (void)arg;
    (void)sem_post(&g_started);
    (void)sem_wait(&g_go);
    atomic_fetch_add(&g_done, 1);
}

/* What was accepted runs, also when the pool is freed while it waits. */
static void test_full_is_busy_and_free_runs_all(void **state)
{
    (void)state;
    struct gy_pool *p = NULL;
    struct gy_err err = GY_ERR_INIT;
    atomic_store(&g_done, 0);
    assert_int_equal(sem_init(&g_started, 0, 0), 0);
    assert_int_equal(sem_init(&g_go, 0, 0), 0);
    assert_status(GY_OK, gy_pool_new("test", 1, 3, &p, &err), err);
    assert_status(GY_OK, gy_pool_run(p, hold, NULL, &err), err);
    assert_int_equal(sem_wait(&g_started), 0); /* the only thread is taken now */
    for (int i = 0; i < 3; i++) {
        assert_status(GY_OK, gy_pool_run(p, count, NULL, &err), err);
    }
    assert_int_equal(gy_pool_queued(p), 3);
    assert_int_equal(gy_pool_run(p, count, NULL, &err), GY_E_BUSY);
    assert_int_equal(sem_post(&g_go), 0);
    gy_pool_free(p);
    assert_int_equal(atomic_load(&g_done), 4);
    gy_pool_free(NULL);
}

static void test_many_jobs(void **state)
{
    (void)state;
    struct gy_pool *p = NULL;
    struct gy_err err = GY_ERR_INIT;
    atomic_store(&g_done, 0);
    assert_status(GY_OK, gy_pool_new("test", 4, 1000, &p, &err), err);
    int accepted = 0;
    while (accepted < 20000) {
        accepted += gy_pool_run(p, count, NULL, NULL) == GY_OK;
    }
    gy_pool_free(p);
    assert_int_equal(atomic_load(&g_done), 20000);
}

static void square(void *ctx, size_t i)
{
    ((uint64_t *)ctx)[i] += (uint64_t)i * i;
}

static void test_parallel_runs_each_once(void **state)
{
    (void)state;
    static uint64_t results[5000];
    for (int threads = 0; threads <= 8; threads++) {
        memset(results, 0, sizeof results);
        assert_int_equal(gy_parallel(threads, 5000, square, results, NULL), GY_OK);
        for (size_t i = 0; i < 5000; i++) {
            assert_true(results[i] == (uint64_t)i * i);
        }
    }
    assert_int_equal(gy_parallel(4, 0, square, NULL, NULL), GY_OK);
}

static gy_status make(void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO(gy_pool_free) struct gy_pool *p = NULL;
    return gy_pool_new("test", 2, 10, &p, err);
}

static void test_torture(void **state)
{
    (void)state;
    torture(make, NULL);
}

static void test_dl(void **state)
{
    (void)state;
    static void *handle;
    static void *none;
    static double (*cosine)(double);
    void *slot = NULL;
    struct gy_err err = GY_ERR_INIT;
    const struct gy_dl_symbol symbols[] = {{"cos", &slot}};
    assert_status(GY_OK, gy_dl_open(&handle, "libm.so.6", "libc6", symbols, 1, &err), err);
    memcpy(&cosine, &slot, sizeof cosine);
    assert_true(cosine(0.0) == 1.0);
    void *first = handle;
    assert_status(GY_OK, gy_dl_open(&handle, "libm.so.6", "libc6", symbols, 1, &err), err);
    assert_ptr_equal(handle, first);
    assert_int_equal(gy_dl_open(&none, "libnot-there.so.9", "libnot-there9", symbols, 1, &err),
                     GY_E_MISSINGDEP);
    assert_non_null(strstr(err.msg, "libnot-there.so.9"));
    assert_string_equal(err.hint, "install libnot-there9");
    const struct gy_dl_symbol unknown[] = {{"gy_no_such_function", &slot}};
    assert_int_equal(gy_dl_open(&none, "libm.so.6", "libc6", unknown, 1, &err), GY_E_MISSINGDEP);
    assert_non_null(strstr(err.msg, "gy_no_such_function"));
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_is_busy_and_free_runs_all),
        cmocka_unit_test(test_many_jobs),
        cmocka_unit_test(test_parallel_runs_each_once),
        cmocka_unit_test(test_torture),
        cmocka_unit_test(test_dl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

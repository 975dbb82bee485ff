/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/network/blas.h"

#include <pthread.h>

#include "base/dl.h"

/* From cblas.h, which is not needed to build Gyre. */
enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };

static struct {
    void (*set_num_threads)(int);
    void (*sgemm)(int, int, int, int, int, int, float, const float *, int, const float *, int,
                  float, float *, int);
    void (*dgemm)(int, int, int, int, int, int, double, const double *, int, const double *, int,
                  double, double *, int);
} g_blas;

static void *g_handle;
static pthread_once_t g_once = PTHREAD_ONCE_INIT;

#define SYMBOL(field, name)                  \
    {                                        \
        name, (void **)(void *)&g_blas.field \
    }

/* Once: setting it while another thread multiplies is not safe. */
static void one_thread(void)
{
    g_blas.set_num_threads(1);
}

gy_status gy_blas_open(struct gy_err *err)
{
    static const struct gy_dl_symbol symbols[] = {
        SYMBOL(set_num_threads, "openblas_set_num_threads"),
        SYMBOL(sgemm, "cblas_sgemm"),
        SYMBOL(dgemm, "cblas_dgemm"),
    };
    GY_TRY(gy_dl_open(&g_handle, "libopenblas.so.0", "libopenblas0-pthread", symbols,
                      sizeof symbols / sizeof symbols[0], err));
    (void)pthread_once(&g_once, one_thread);
    return GY_OK;
}

static int trans(enum gy_blas_form form)
{
    return form == GY_BLAS_TRANSPOSED ? TRANS : NO_TRANS;
}

void gy_sgemm(enum gy_blas_form a_form, enum gy_blas_form b_form, size_t m, size_t n, size_t k,
              const float *a, const float *b, float beta, float *c)
{
    g_blas.sgemm(ROW_MAJOR, trans(a_form), trans(b_form), (int)m, (int)n, (int)k, 1.0F, a,
                 (int)(a_form == GY_BLAS_TRANSPOSED ? m : k), b,
                 (int)(b_form == GY_BLAS_TRANSPOSED ? k : n), beta, c, (int)n);
}

void gy_dgemm(enum gy_blas_form a_form, enum gy_blas_form b_form, size_t m, size_t n, size_t k,
              const double *a, const double *b, double beta, double *c)
{
    g_blas.dgemm(ROW_MAJOR, trans(a_form), trans(b_form), (int)m, (int)n, (int)k, 1.0, a,
                 (int)(a_form == GY_BLAS_TRANSPOSED ? m : k), b,
                 (int)(b_form == GY_BLAS_TRANSPOSED ? k : n), beta, c, (int)n);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* gy_pool: a fixed number of threads and a bounded queue. Full means BUSY, never a block of the
 * caller (an event loop asks). gy_pool_free runs what was accepted, then joins. Thread safe. */
#ifndef GY_BASE_POOL_H
#define GY_BASE_POOL_H

#include "base/err.h"

struct gy_pool;
typedef void (*gy_pool_fn)(void *arg);

/* name shows in thread names (15 bytes). Fails: NOMEM, FAILED (no thread). */
GY_CHECKED gy_status gy_pool_new(const char *name, int n_threads, size_t max_queue,
                                 struct gy_pool **ret, struct gy_err *err);
/* The same for jobs that mostly wait: a thread is made when a job finds none idle, up to
 * max_threads; none at first. A thread stays once it is there. Fails: NOMEM. */
GY_CHECKED gy_status gy_pool_new_elastic(const char *name, int max_threads, size_t max_queue,
                                         struct gy_pool **ret, struct gy_err *err);
GY_CHECKED gy_status gy_pool_run(struct gy_pool *p, gy_pool_fn fn, void *arg,
                                 struct gy_err *err); /* BUSY when full */
size_t gy_pool_queued(struct gy_pool *p);
void gy_pool_free(struct gy_pool *p);
GY_DEFINE_AUTO(struct gy_pool *, gy_pool_free);

/* Run fn(ctx, i) for i in [0, n) on up to n_threads threads and wait. Which thread takes which i is
 * not defined, so results must depend on i alone. n_threads 1 runs here. Fails: NOMEM/FAILED before
 * anything ran. */
GY_CHECKED gy_status gy_parallel(int n_threads, size_t n, void (*fn)(void *ctx, size_t i),
                                 void *ctx, struct gy_err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The worker process of a model: started, watched, started again (python_process.c). */
#ifndef GY_LEARN_RUNTIME_PYTHON_INTERNAL_H
#define GY_LEARN_RUNTIME_PYTHON_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct gy_python_process;

/* Make the socket and begin. interpreter and dir are copied. Fails: as sockets and threads do. */
GY_CHECKED gy_status gy_python_process_new(const char *interpreter, const char *dir,
                                           struct gy_python_process **ret, struct gy_err *err);
void gy_python_process_free(struct gy_python_process *p); /* ends the worker; NULL allowed */
/* "unix:/..." of its socket; lives as long as it. */
const char *gy_python_process_url(const struct gy_python_process *p);
/* Wait until it answers; *ret_life: which life of it that is. Fails: UNAVAILABLE (why it does not).
 */
GY_CHECKED gy_status gy_python_process_ready(struct gy_python_process *p, int64_t deadline_ns,
                                             uint64_t *ret_life, struct gy_err *err);
/* A request had no answer in time: is the worker alive? Its thread asks it. */
void gy_python_process_was_late(struct gy_python_process *p);
/* It answered a request. */
void gy_python_process_answered(struct gy_python_process *p);
/* Passed on to the Python of a worker: what it needs to know of its bound (python_worker.py). */
#define GY_PYTHON_BOUND_ENV "GYRE_BOUND_MS"
#define GY_PYTHON_REFUSED_ENV "GYRE_REFUSED"
#define GY_PYTHON_MARK 32 /* digits of a request's digest */

#endif

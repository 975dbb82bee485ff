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
/* How a request went: late ones in a row end it; hurried ones, which had less than half of the
 * time that a worker has, once nobody has had an answer for that long. */
void gy_python_process_was(struct gy_python_process *p, bool late, bool hurried);

#endif

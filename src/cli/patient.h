/* SPDX-License-Identifier: Apache-2.0 */
/* The transport of what runs inside a job (GYRE_JOB is set): when the server goes away, as it may
 * while its jobs go on, a call waits for it to come back and asks again. What jobs ask may be asked
 * twice: registrations carry an idempotency key, records are told by their ids. */
#ifndef GY_CLI_PATIENT_H
#define GY_CLI_PATIENT_H

#include "net/call.h"

#define GY_PATIENT_WAIT_MS 600000 /* for a server that went away */

/* Takes inner (freed with the result, or here on failure). Fails: NOMEM. Calls fail as inner's,
 * after GY_PATIENT_WAIT_MS when nobody answers; bodies and answers are held in memory, at most 1
 * GiB. Thread safe as inner. */
GY_CHECKED gy_status gy_patient_new(struct gy_caller *inner, struct gy_caller **ret,
                                    struct gy_err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* gy_prover: proofs of versions that clients registered. The server never opens libxgboost and
 * never loads a foreign model itself: a child process (`gyre models prove`) does, one at a time,
 * and records what it found. Versions that waited while no server ran are proven at its start. Who
 * proves his own version at once (`gyre train --register`) is given GY_PROVER_GRACE_MS to do so. */
#ifndef GY_API_PROVER_H
#define GY_API_PROVER_H

#include "api/app.h"

#define GY_PROVER_LOOK_S 30 /* on a shared database: for what others left */
#define GY_PROVER_GRACE_MS 2000
#define GY_PROVER_TIMEOUT_MS \
    600000 /* a proof that takes longer is ended; the version is not servable */

struct gy_prover;

/* Start the thread. app must outlive it; program: this binary. Fails: NOMEM, FAILED (no thread). */
GY_CHECKED gy_status gy_prover_start(struct gy_app *app, const char *program,
                                     struct gy_prover **ret, struct gy_err *err);
/* A version was registered. NULL: nothing is done. Any thread. */
void gy_prover_wake(struct gy_prover *p);
/* End the running child, if any, and the thread. What it was at stays unproven. NULL allowed. */
void gy_prover_stop(struct gy_prover *p);
GY_DEFINE_AUTO(struct gy_prover *, gy_prover_stop);

#endif

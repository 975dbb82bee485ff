/* SPDX-License-Identifier: Apache-2.0 */
/* gy_dispatcher: the thread of `gyre server` that starts what triggers ask for (flow/trigger.h) and
 * watches over it. A job runs in a child, `gyre __exec <job>`, in a session of its own: a server
 * that ends or dies leaves it at work, and the next one finds it by pid and start time and goes on
 * watching. A child that is gone without having told how it ended left its exit file, or it was
 * killed: then all that has GYRE_JOB=<job> in its environment is ended, and the job goes on at its
 * step in a new child, GY_JOB_MAX_ATTEMPTS times. Jobs of one folder run one after the other. */
#ifndef GY_API_DISPATCHER_H
#define GY_API_DISPATCHER_H

#include "api/app.h"

#define GY_DISPATCHER_TICK_MS 200    /* events are seen within */
#define GY_DISPATCHER_MAX_CHILDREN 4 /* jobs at once */
#define GY_DISPATCHER_RENEW_S 15     /* leases */
#define GY_DISPATCHER_KILL_S 20      /* from asking a cancelled job to end to ending it */
#define GY_JOB_EXIT_FILE "exit-%lld" /* in runs/<job>/, by attempt: {"state","step","error"} */

/* program: this binary. app must live until stop. Fails: NOMEM, FAILED. */
GY_CHECKED gy_status gy_dispatcher_start(struct gy_app *app, const char *program,
                                         struct gy_dispatcher **ret, struct gy_err *err);
/* Something changed: look now. NULL: nothing to do. Any thread. */
void gy_dispatcher_wake(struct gy_dispatcher *d);
/* Jobs that run go on without us. NULL allowed. */
void gy_dispatcher_stop(struct gy_dispatcher *d);

#endif

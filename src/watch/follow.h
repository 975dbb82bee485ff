/* SPDX-License-Identifier: Apache-2.0 */
/* gy_follow: endpoints with `follow: true` are deployed anew when the alias of their model has
 * moved (gy_deploy_follow), to blessed versions only. What can not be followed is told once for
 * each version, as an event endpoint.not_followed, and tried again: a verdict may come later.
 *
 * One thread at a time (the watcher's). */
#ifndef GY_WATCH_FOLLOW_H
#define GY_WATCH_FOLLOW_H

#include "serve/deploy.h"

struct gy_follow;
/* d (copied; its serving must be there) must outlive it. Fails: NOMEM. */
GY_CHECKED gy_status gy_follow_new(const struct gy_deployer *d, struct gy_follow **ret,
                                   struct gy_err *err);
void gy_follow_free(struct gy_follow *f);
GY_DEFINE_AUTO(struct gy_follow *, gy_follow_free);
/* Look at all endpoints once. One that fails does not keep the others from it; the first failure
 * that is more than "not blessed" comes back. */
GY_CHECKED gy_status gy_follow_tick(struct gy_follow *f, struct gy_err *err);

#endif

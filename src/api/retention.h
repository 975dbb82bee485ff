/* SPDX-License-Identifier: Apache-2.0 */
/* Retention of the prediction log (serve/prune.h), with everybody whom a prune must not overtake:
 * the watcher's stored place, the places of gyre log ship (HOME/ship), what a replica has shipped
 * (HOME/shipped.json), and legal holds on people. By request (retention.c has the routes), and by
 * the server's own work where app->log_keep_us or log_max_bytes is set. */
#ifndef GY_API_RETENTION_H
#define GY_API_RETENTION_H

#include "api/app.h"

#define GY_RETENTION_EVERY_MS 60000
#define GY_RETENTION_MAX_SHIPS 1000 /* places of gyre log ship in one home */

/* The server's own work: prune what app's settings say is too much. watched: this process has a
 * watcher, so that nothing goes before it has stored its first place. Nothing without settings, and
 * nothing now while a backup or an erasure is under way. Outside of closures. Fails: as
 * gy_prune_apply. */
GY_CHECKED gy_status gy_retention_tick(struct gy_app *app, bool watched, struct gy_err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Webhooks: events told to other systems, signed as Standard Webhooks says (version 1, symmetric):
 *   webhook-id         the same for every try: an idempotency key
 *   webhook-timestamp  unix seconds of this try
 *   webhook-signature  "v1," and base64 of HMAC-SHA256 over "<id>.<timestamp>.<body>"; the key is
 *                      what stands behind "whsec_" in the secret, base64-decoded
 * Who is told says the section `notify` of a project's gyre.yaml, as `gyre watch apply` stored it:
 *
 *   notify:
 *     - {url: "https://hooks.example/gyre", secret_env: GYRE_HOOK_SECRET,
 *        events: [review.created, review.verdict, drift.detected, alert.*]}
 *
 * The secret itself is never stored: only the name of the variable or file (secret_file, from the
 * project's folder) it is read from for each delivery. Events are the queue: each target has seen
 * them up to a number, and matching ones get a message in a table, made in the same transaction. So
 * a restart loses none, and an address that does not answer only makes its own events wait. */
#ifndef GY_WATCH_WEBHOOK_H
#define GY_WATCH_WEBHOOK_H

#include "base/json.h"
#include "store/store.h"

#define GY_WEBHOOK_MAX 100           /* targets */
#define GY_WEBHOOK_MAX_EVENTS 50     /* kinds that one target names */
#define GY_WEBHOOK_MAX_URL 2000      /* bytes */
#define GY_WEBHOOK_MAX_PENDING 1000  /* messages of a target on their way; further events wait */
#define GY_WEBHOOK_MAX_TRIES 20      /* then a message is given up, and stays to be seen */
#define GY_WEBHOOK_FIRST_WAIT_MS 500 /* after the first try; doubles */
#define GY_WEBHOOK_MAX_WAIT_S 3600   /* at most */
#define GY_WEBHOOK_TIMEOUT_MS 10000  /* of one try */
#define GY_WEBHOOK_TOLERANCE_S 300   /* a signature that is older, or as much ahead, is not taken */
#define GY_WEBHOOK_SIGNATURE 48      /* "v1,", 44 characters, NUL */

/* ---- signatures ---- */

/* secret: "whsec_" and base64 of 16 to 64 bytes. Fails: INVALID (the secret; it is not told). */
GY_CHECKED gy_status gy_webhook_sign(struct gy_str secret, struct gy_str id, int64_t timestamp_s,
                                     struct gy_str body, char ret[GY_WEBHOOK_SIGNATURE],
                                     struct gy_err *err);
/* signatures: the header, a list separated by blanks of which one must be right. Takes the same
 * time wherever a signature differs. Fails: UNAUTHENTICATED, INVALID (the secret). */
GY_CHECKED gy_status gy_webhook_verify(struct gy_str secret, struct gy_str id,
                                       struct gy_str timestamp, struct gy_str signatures,
                                       struct gy_str body, int64_t now_s, struct gy_err *err);

/* ---- targets ---- */

/* The section `notify`; NULL: none. Fails: INVALID naming what is wrong, with a hint. */
GY_CHECKED gy_status gy_webhook_check(yyjson_val *notify, struct gy_err *err);
/* Does a kind of event match one of the patterns: "drift.detected", "drift.*", "*"? */
bool gy_webhook_matches(yyjson_val *events, struct gy_str kind);

struct gy_webhook {
    struct gy_str url, events /* JSON list */, last_error /* absent: none */;
    int64_t seen, delivered, pending, failed;
};
/* Inside a closure; in the arena. */
GY_CHECKED gy_status gy_webhook_list(struct gy_db *db, struct gy_arena *a, struct gy_webhook **ret,
                                     size_t *ret_n, struct gy_err *err);

/* ---- sending ---- */

struct gy_webhooks;
/* store must outlive it. Fails: NOMEM. */
GY_CHECKED gy_status gy_webhooks_new(struct gy_store *store, struct gy_webhooks **ret,
                                     struct gy_err *err);
void gy_webhooks_free(struct gy_webhooks *w); /* ends its thread, after the delivery under way */
GY_DEFINE_AUTO(struct gy_webhooks *, gy_webhooks_free);
/* One round: take over what projects say, make messages of new events, try those that are due;
 * *ret_n (MAY be NULL) = tried. Failing deliveries are no failure. Not from two threads at once.
 * Fails: as the store does. */
GY_CHECKED gy_status gy_webhook_tick(struct gy_webhooks *w, int64_t now_us, size_t *ret_n,
                                     struct gy_err *err);
/* A thread that ticks several times a second. Fails: FAILED (no thread). */
GY_CHECKED gy_status gy_webhooks_start(struct gy_webhooks *w, struct gy_err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Model cards as the registry keeps them: numbered versions of the card of one model version, each
 * with what people state and with the whole card as it was then. Rows are only added. What a card
 * says is made in flow/model_card.h. Inside closures of the store; results in the arena. */
#ifndef GY_TRACK_CARDS_H
#define GY_TRACK_CARDS_H

#include "track/track.h"

#define GY_CARD_MAX_STATED (256 * 1024)       /* bytes of what people state */
#define GY_CARD_MAX_BYTES ((size_t)(8 << 20)) /* of a whole card */
#define GY_CARD_MAX_VERSIONS 10000            /* of one card */

struct gy_card {
    int64_t number;       /* from 1 */
    struct gy_str stated; /* JSON object */
    struct gy_str card;   /* JSON object; absent in lists */
    struct gy_str reason, actor;
    int64_t time_us;
};

/* Add one; *ret_number is its number. expect: the number that is the newest, else CONFLICT; < 0:
 * whichever. The version of the model must be there. Adds the event card.saved. Fails:
 * UNAUTHENTICATED, NOTFOUND, TOOBIG. */
GY_CHECKED gy_status gy_card_add(struct gy_db *db, struct gy_str model, int64_t version,
                                 int64_t expect, const struct gy_card *card, int64_t *ret_number,
                                 struct gy_err *err);
/* number 0: the newest. *ret_found false: none was ever saved (number 0), else NOTFOUND. */
GY_CHECKED gy_status gy_card_get(struct gy_db *db, struct gy_str model, int64_t version,
                                 int64_t number, struct gy_arena *a, bool *ret_found,
                                 struct gy_card *ret, struct gy_err *err);
/* Newest first. */
GY_CHECKED gy_status gy_card_list(struct gy_db *db, struct gy_str model, int64_t version,
                                  struct gy_arena *a, struct gy_card **ret, size_t *ret_n,
                                  struct gy_err *err);

#endif

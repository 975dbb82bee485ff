/* SPDX-License-Identifier: Apache-2.0 */
/* Model cards: what is derived from a version's package, run, verdicts and history (flow/facts.h),
 * and what people state: what it is for and not for, who answers, how risky it is, where it fails.
 * Pure; saved versions are kept by track/cards.h.
 *
 *   {"format":"gyre.modelcard/1","model","version","digest","run_id","created",
 *    "number":0 or the saved version's,"saved_by","saved","reason",
 *    "stated":{"intended_use","out_of_scope","owner","risk_class","ethics","notes",
 *              "limits":[..],"contacts":[..]},
 *    "usecase","aliases","inputs","package_limits","profile","verdicts","approvals","history",
 *    "lineage","sections":{..}} */
#ifndef GY_FLOW_MODEL_CARD_H
#define GY_FLOW_MODEL_CARD_H

#include "flow/facts.h"

#define GY_CARD_MAX_TEXT ((size_t)16384) /* bytes of one stated text */
#define GY_CARD_MAX_ITEMS 100            /* limits, contacts */

/* The keys that people state; NULL-terminated. */
extern const char *const gy_card_keys[];
bool gy_card_key_is_list(struct gy_str key);

/* What was stated (MAY be NULL) with the changes of `set`: a text or a list of texts sets a key,
 * null takes it away. In the order of gy_card_keys. Fails: INVALID, naming the key. */
GY_CHECKED gy_status gy_card_state(yyjson_val *stated, yyjson_val *set, struct gy_buf *ret,
                                   struct gy_err *err);
/* What a package's own card.json states, where nobody has stated anything yet. */
GY_CHECKED gy_status gy_card_start(yyjson_val *facts, struct gy_buf *ret, struct gy_err *err);

/* Which saved version it is; number 0: of none. */
struct gy_card_mark {
    int64_t number, time_us;
    struct gy_str actor, reason;
};
/* stated: a JSON object. */
void gy_card_write(struct gy_jw *w, yyjson_val *facts, struct gy_str stated,
                   const struct gy_card_mark *mark);
/* A card as one self-contained page. */
void gy_card_html(yyjson_val *card, struct gy_buf *out);
/* Two cards: {"a","b","same","sections":[..]} as gy_model_diff, "stated" first. */
void gy_card_diff(yyjson_val *a, yyjson_val *b, struct gy_jw *w);

#endif

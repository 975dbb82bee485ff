/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: predictions that were not asked for by one HTTP request each, but come many at a time:
 * of a topic, of a file. Each is a prediction of its own, with an id of its own, answered by the
 * same rules, models and variants as any other. A message is a flat JSON object of the endpoint's
 * inputs (keys that it does not know are ignored) or a body of the Open Inference Protocol.
 *
 * A batch, and the answer to it, is a text of frames. A question:
 *   <bytes of id> <bytes of key> <bytes of body>\n<id><key><body>\n
 * the id is logged as the request's id, the key (empty: none) decides as Gyre-Sticky-Key does. Its
 * answer, in the order of the questions:
 *   <HTTP status> <bytes>\n<JSON>\n
 * where the JSON is the answer, or {"error","code"}. Below 400: answered. 429 and from 500 on: not
 * now, worth another try. Else the message is at fault. */
#ifndef GY_SERVE_MESSAGE_H
#define GY_SERVE_MESSAGE_H

#include "base/buf.h"
#include "base/limits.h"

#define GY_MESSAGES_TYPE "application/x-gyre-messages"
#define GY_MESSAGES_MAX 10000              /* of a batch */
#define GY_MESSAGES_MAX_BODY (16 * GY_MIB) /* of a batch */
#define GY_MESSAGES_MAX_ANSWER (64 * GY_MIB)
#define GY_MESSAGE_MAX_KEY (4 * GY_KIB) /* of a longer key the start decides */

struct gy_serving;

struct gy_message {
    struct gy_str id, key, body;
};
/* Append a question. */
void gy_message_add(struct gy_buf *out, const struct gy_message *m);
/* The next question of *rest, which is advanced; *ret_more false at the end. Views. Fails: PARSE.
 */
GY_CHECKED gy_status gy_message_next(struct gy_str *rest, struct gy_message *ret, bool *ret_more,
                                     struct gy_err *err);

struct gy_message_answer {
    int status;
    struct gy_str json;
};
/* The same of answers. */
GY_CHECKED gy_status gy_message_answer_next(struct gy_str *rest, struct gy_message_answer *ret,
                                            bool *ret_more, struct gy_err *err);
static inline bool gy_message_retry(int status)
{
    return status == 429 || status >= 500;
}

/* Answer a batch on a pool thread (MAY block), and append the answers to out. Unless unlogged is
 * set, what was predicted is in the prediction log, on the disk, when this returns; with it the
 * predictions are neither logged nor counted. Fails: NOTFOUND (the endpoint), PARSE (no frames),
 * TOOBIG, IO and NOSPACE (the log), NOMEM. */
GY_CHECKED gy_status gy_serving_messages(struct gy_serving *s, struct gy_str endpoint,
                                         bool unlogged, struct gy_str batch, struct gy_buf *out,
                                         struct gy_err *err);

#endif

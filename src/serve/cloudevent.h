/* SPDX-License-Identifier: Apache-2.0 */
/* CloudEvents 1.0 around a prediction, as KServe takes and gives them: in binary form the
 * attributes are headers (ce-id, ce-source, ...) and the body is the data; in structured form
 * (Content-Type application/cloudevents+json) one JSON object holds both. The answer to an event is
 * an event of the same form. Pure; runs on an event loop. */
#ifndef GY_SERVE_CLOUDEVENT_H
#define GY_SERVE_CLOUDEVENT_H

#include "base/id.h"
#include "base/json.h"
#include "net/server.h"
#include "serve/parse.h"

enum gy_event_form { GY_EVENT_NONE, GY_EVENT_BINARY, GY_EVENT_STRUCTURED };

/* What the request's body says, and how it is wrapped. root: the body. *ret_data: the data, a view
 * into root or *ret_doc (which the caller frees). The event's id becomes the id of the request,
 * when that has none. An envelope in a body that does not call itself one is opened, but answered
 * plainly. Fails: INVALID (no data, an attribute is missing or no string), MEDIATYPE (a batch of
 * events), PARSE. */
GY_CHECKED gy_status gy_event_open(const struct gy_request *req, yyjson_val *root,
                                   enum gy_event_form *ret_form, yyjson_val **ret_data,
                                   yyjson_doc **ret_doc, struct gy_infer_request *q,
                                   struct gy_err *err);
/* Around the answer's body: headers, or the envelope up to its data; id: of the prediction, which
 * names the event, too. Sets the content type. */
void gy_event_begin(enum gy_event_form form, struct gy_str endpoint, const char id[GY_UUID_TEXT],
                    struct gy_fast_reply *out);
void gy_event_end(enum gy_event_form form, struct gy_fast_reply *out);

#endif

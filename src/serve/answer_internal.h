/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of JSON that the answers of several protocols are made of. */
#ifndef GY_SERVE_ANSWER_INTERNAL_H
#define GY_SERVE_ANSWER_INTERNAL_H

#include "serve/answer.h"

#define ADD(out, literal) gy_buf_add((out), GY_STR(literal))

void gy_answer_number(struct gy_buf *out, double v); /* NaN: null */
void gy_answer_uint(struct gy_buf *out, uint64_t v);
void gy_answer_text(struct gy_buf *out, struct gy_str s);
/* Of row i: the class or the value; the probabilities, as an array or one behind the other; the
 * name of the rule that decided, else "". */
void gy_answer_prediction(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t i,
                          struct gy_buf *out);
void gy_answer_probability(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t i,
                           bool as_array, struct gy_buf *out);
void gy_answer_rule_name(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t i,
                         struct gy_buf *out);
/* "HR is 300, outside of the 60 to 250 seen in training"; only where w->out_of_range. As it is (the
 * text is a view into the buffer), and as JSON. */
#define GY_ANSWER_WARNING 512
struct gy_str gy_answer_warning_text(const struct gy_endpoint *e, const struct gy_infer_work *w,
                                     char text[GY_ANSWER_WARNING]);
void gy_answer_warning(const struct gy_endpoint *e, const struct gy_infer_work *w,
                       struct gy_buf *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Answering one prediction request: rules, then the model, then the text of the answer. The work
 * memory belongs to one thread and only grows, so that a steady state allocates nothing. Nothing
 * here blocks, but for endpoints with a lane (`waits`) and models that were unloaded (loaded.h),
 * which are answered on a pool. */
#ifndef GY_SERVE_INFER_H
#define GY_SERVE_INFER_H

#include "base/id.h"
#include "serve/endpoint.h"
#include "serve/record.h"

struct gy_infer_work {
    struct gy_infer_request q;
    unsigned char id[16]; /* prediction_id: given before gy_infer_run, which draws lots by it */
    double *out;          /* n_rows x n_log_outputs: what is logged */
    double *classes;      /* n_rows: class index, or the value of a regression */
    struct gy_rule_outcome *rules; /* n_rows */
    size_t out_capacity, row_capacity;
    char *scratch; /* 64-byte aligned inside scratch_memory */
    char *scratch_memory;
    size_t scratch_bytes;
    size_t out_of_range;           /* values outside of what training saw */
    size_t range_row, range_input; /* the first of them */
    size_t sampled;                /* rows that a rule decided and the model scored all the same */
    const struct gy_endpoint *shadow_of; /* whose outputs shadow holds; NULL: nobody's */
    double *shadow;                      /* as out */
    size_t shadow_capacity;
    size_t shadow_differs, shadow_failed; /* rows */
    double *logged; /* n_rows x n_fields: inputs as they are logged, where that is otherwise */
    size_t logged_capacity;
    int64_t deadline_ns;   /* the client's own (gy_mono_ns): what a lane has not answered then fails
                              with TIMEOUT; 0: as long as the lane's timeout_ms */
    double *contributions; /* by gy_infer_explain: [row][margin][input], then the base */
    size_t n_margins;      /* values a row: the classes of several, else 1 */
};
void gy_infer_work_done(struct gy_infer_work *w); /* NULL allowed */
GY_DEFINE_AUTO_DONE(struct gy_infer_work, gy_infer_work_done);

/* Predict w->q (already read). Of the rows that a rule decides without the model a share (the
 * endpoint's rule_shadow) is scored all the same: their outputs are logged, and the answer does not
 * tell. Fails: INVALID (the model gives no finite number), NOMEM, of an
 * endpoint with a lane as gy_lane_run, of an unloaded model as gy_loaded_hold. */
GY_CHECKED gy_status gy_infer_run(const struct gy_endpoint *e, struct gy_infer_work *w,
                                  struct gy_err *err);
/* What a shadow would have answered to the rows that gy_infer_run predicted; it is sampled like the
 * answer. Where it gives no finite number or can not be loaded its outputs are missing (counted):
 * the answer stands. Fails: NOMEM. */
GY_CHECKED gy_status gy_infer_shadow(const struct gy_endpoint *shadow, struct gy_infer_work *w,
                                     struct gy_err *err);
/* For GY_VERB_EXPLAIN, after gy_infer_run: what each input adds to the margins of each row beyond
 * what rows get on average (learn/contributions.h), into w->contributions: n_rows x w->n_margins x
 * (e->info->n_inputs + 1), the base behind the inputs of each margin. What rules decide is not in
 * it. Allocates, so on the pool. Fails: UNSUPPORTED (501: no linear model and no trees), TOOBIG,
 * NOMEM. */
GY_CHECKED gy_status gy_infer_explain(const struct gy_endpoint *e, struct gy_infer_work *w,
                                      struct gy_err *err);
/* The record of what was predicted; views into e and w. */
void gy_infer_record(const struct gy_endpoint *e, const struct gy_infer_work *w,
                     struct gy_str request_id, struct gy_record *ret);
/* What the endpoint's `log` makes of it: *ret_keep false when its sample leaves it out, else inputs
 * as they are logged, rate and body. Views into w and body. Fails: NOMEM. */
GY_CHECKED gy_status gy_infer_log_as(const struct gy_endpoint *e,
                                     const unsigned char key[GY_LOGGING_KEY],
                                     struct gy_infer_work *w, struct gy_str body,
                                     struct gy_str body_type, struct gy_record *r, bool *ret_keep,
                                     struct gy_err *err);
/* The answer, appended to out; alias NULL: the v2 form. */
void gy_infer_answer(const struct gy_endpoint *e, const struct gy_alias *alias,
                     const struct gy_infer_work *w, const char prediction_id[GY_UUID_TEXT],
                     struct gy_buf *out);
/* {"error": "..."} of inference routes, and its HTTP status. */
void gy_infer_error(const struct gy_err *failed, struct gy_buf *out);
int gy_infer_http(gy_status status);
/* Count what the shadow said of one request. */
void gy_infer_count_shadow(const struct gy_infer_work *w, struct gy_stat_block *block);
/* Count one answer. */
void gy_infer_count(const struct gy_endpoint *e, const struct gy_infer_work *w,
                    struct gy_stat_block *block, uint64_t latency_ns);

/* Was the model asked for the row's answer? No: a rule decided it alone. */
static inline bool gy_infer_skips(const struct gy_endpoint *e, const struct gy_infer_work *w,
                                  size_t row)
{
    return e->n_rules && w->rules[row].rule >= 0 && e->plans[w->rules[row].rule].skip_model;
}
/* What rules and expressions call `probability`: of class 1, else of the likeliest class; of a
 * regression the value. raw: the model's outputs of a row (not NULL). */
double gy_infer_probability(const struct gy_endpoint *e, const double *raw);
/* A lot for (prediction, row), uniform on [0, 2^53), the same whenever and wherever it is drawn. A
 * share of all lots lies below gy_share_cut(share). */
uint64_t gy_infer_lot(const unsigned char id[16], size_t row);

#endif

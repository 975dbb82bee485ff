/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/mem.h"
#include "serve/gap.h"
#include "watch/drift_internal.h"

#define MAX_WEIGHT 1000 /* of a row */
#define ROUNDING 1e-6   /* ten tenths are one */

gy_status gy_drift_window_new(const struct gy_str *inputs, size_t n_inputs, size_t max_rows,
                              bool sliding, struct gy_drift_window **ret, struct gy_err *err)
{
    if (max_rows == 0 || max_rows > GY_DRIFT_MAX_ROWS) {
        return gy_err_set(err, GY_E_INVALID, "a window has 1 to %d rows", GY_DRIFT_MAX_ROWS);
    }
    if (n_inputs > GY_DRIFT_MAX_FEATURES || max_rows * (n_inputs + 1) > GY_DRIFT_MAX_CELLS) {
        return gy_err_set(err, GY_E_TOOBIG, "a window of %zu rows of %zu columns", max_rows,
                          n_inputs);
    }
    GY_AUTO(gy_drift_window_free) struct gy_drift_window *w = gy_calloc(1, sizeof *w);
    if (w) {
        gy_arena_init(&w->arena, 16 * GY_MIB);
        w->names = gy_arena_calloc(&w->arena, n_inputs + 1, sizeof *w->names);
        w->cells = (double *)gy_reallocarray(NULL, max_rows, (n_inputs + 2) * sizeof(double));
        w->rest = gy_reallocarray(NULL, max_rows, sizeof *w->rest);
    }
    if (!w || !w->names || !w->cells || !w->rest) {
        return gy_err_set(err, GY_E_NOMEM, "a window of %zu rows", max_rows);
    }
    for (size_t i = 0; i < n_inputs; i++) {
        w->names[i] = gy_arena_str(&w->arena, inputs[i]);
        if (!w->names[i].p) {
            return gy_err_set(err, GY_E_NOMEM, "a window of %zu rows", max_rows);
        }
    }
    w->n_inputs = n_inputs;
    w->max_rows = max_rows;
    w->sliding = sliding;
    *ret = GY_TAKE(w);
    return GY_OK;
}

void gy_drift_window_free(struct gy_drift_window *w)
{
    if (w) {
        gy_arena_done(&w->arena);
        gy_free(w->cells);
        gy_free(w->rest);
        gy_free(w);
    }
}

void gy_drift_window_reset(struct gy_drift_window *w)
{
    w->n_rows = 0;
    w->next = 0;
    w->owed = 0;
}

size_t gy_drift_window_rows(const struct gy_drift_window *w)
{
    return w->n_rows;
}

bool gy_drift_window_full(const struct gy_drift_window *w)
{
    return w->n_rows == w->max_rows;
}

bool gy_drift_window_add(struct gy_drift_window *w, const struct gy_drift_row *row)
{
    if (w->n_rows == w->max_rows && !w->sliding) {
        return false;
    }
    size_t at = w->next;
    for (size_t i = 0; i < w->n_inputs; i++) {
        gy_drift_column(w, i)[at] = row->inputs[i];
    }
    gy_drift_column(w, w->n_inputs)[at] = row->score;
    gy_drift_column(w, w->n_inputs + 1)[at] = row->answer;
    w->rest[at] = (struct gy_drift_rest){.time_us = row->time_us,
                                         .weight = row->weight,
                                         .rules = row->rules,
                                         .rule_hit = row->rule_hit};
    w->next = at + 1 == w->max_rows ? 0 : at + 1;
    w->n_rows += w->n_rows < w->max_rows;
    return true;
}

/* A score of a row that a rule decided was taken for a sample of such rows only: it stands for all
 * of them. Weights are whole, and over many rows add up to what they should: 2 and 3 in turns where
 * the sample is 0.4. */
static uint32_t weight_of(struct gy_drift_window *w, const struct gy_shape *shape,
                          const struct gy_shape_rule *rule, double score)
{
    if (!rule || !rule->skip_model || isnan(score)) {
        return 1;
    }
    double weight = shape->rule_shadow > 0 ? 1 / shape->rule_shadow : 1;
    w->owed += weight < 1 ? 1 : weight > MAX_WEIGHT ? MAX_WEIGHT : weight;
    double whole = floor(w->owed + ROUNDING);
    w->owed -= whole;
    return (uint32_t)whole;
}

gy_status gy_drift_window_record(struct gy_drift_window *w, const struct gy_shape *shape,
                                 struct gy_str version, const struct gy_record *r, uint32_t first,
                                 uint32_t *ret_taken, struct gy_err *err)
{
    *ret_taken = 0;
    if (r->n_inputs != w->n_inputs) {
        return gy_err_set(err, GY_E_INVALID, "a record has %u inputs, the window %zu",
                          (unsigned)r->n_inputs, w->n_inputs);
    }
    bool its = gy_str_eq(version, r->model_version);
    for (uint32_t i = first; i < r->n_rows; i++) {
        if (gy_gap_row(r, i)) {
            (*ret_taken)++;
            continue;
        }
        const double *outputs = r->outputs + (size_t)i * r->n_outputs;
        const struct gy_shape_rule *rule = gy_shape_rule(shape, r->rules ? &r->rules[i] : NULL);
        struct gy_drift_row row = {
            .inputs = r->inputs + (size_t)i * r->n_inputs,
            .answer = r->n_outputs > 0 ? outputs[0] : NAN,
            .score = its && r->n_outputs > 0 ? gy_shape_score(shape, outputs, r->n_outputs) : NAN,
            .rules = shape->n_rules > 0,
            .rule_hit = rule && rule->decides,
            .time_us = r->time_us,
        };
        if (gy_drift_window_full(w) && !w->sliding) {
            break;
        }
        row.weight = weight_of(w, shape, rule, row.score);
        (void)gy_drift_window_add(w, &row); /* there is room */
        ++*ret_taken;
    }
    return GY_OK;
}

struct gy_share gy_drift_window_rule_hits(const struct gy_drift_window *w)
{
    uint64_t hits = 0, n = 0;
    for (size_t i = 0; i < w->n_rows; i++) {
        hits += w->rest[i].rule_hit;
        n += w->rest[i].rules;
    }
    return gy_share_of(hits, n);
}

int64_t gy_drift_window_since_us(const struct gy_drift_window *w)
{
    int64_t least = w->n_rows ? w->rest[0].time_us : 0;
    for (size_t i = 1; i < w->n_rows; i++) {
        least = w->rest[i].time_us < least ? w->rest[i].time_us : least;
    }
    return least;
}

int64_t gy_drift_window_until_us(const struct gy_drift_window *w)
{
    int64_t most = w->n_rows ? w->rest[0].time_us : 0;
    for (size_t i = 1; i < w->n_rows; i++) {
        most = w->rest[i].time_us > most ? w->rest[i].time_us : most;
    }
    return most;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/infer.h"

#include <math.h>

#include "base/mem.h"
#include "base/time.h"
#include "learn/contributions.h"
#include "learn/decode.h"

#define MAX_VALUES ((size_t)16 << 20) /* of all rows of an answer: a thread keeps the memory */

void gy_infer_work_done(struct gy_infer_work *w)
{
    if (!w) {
        return;
    }
    gy_infer_request_done(&w->q);
    gy_free(w->out);
    gy_free(w->shadow);
    gy_free(w->logged);
    gy_free(w->classes);
    gy_free(w->rules);
    gy_free(w->scratch_memory);
    gy_free(w->contributions);
    memset(w, 0, sizeof *w);
}

static gy_status reserve_scratch(struct gy_infer_work *w, size_t bytes)
{
    if (bytes <= w->scratch_bytes) {
        return GY_OK;
    }
    char *memory = gy_malloc(bytes + 64);
    if (!memory) {
        return GY_E_NOMEM;
    }
    gy_free(w->scratch_memory);
    w->scratch_memory = memory;
    w->scratch = memory + (64 - ((uintptr_t)memory & 63));
    w->scratch_bytes = bytes;
    return GY_OK;
}

static gy_status reserve_rows(const struct gy_endpoint *e, struct gy_infer_work *w)
{
    size_t n = w->q.n_rows;
    if (n > w->row_capacity) {
        double *classes = gy_reallocarray(w->classes, n, sizeof *classes);
        w->classes = classes ? classes : w->classes;
        struct gy_rule_outcome *rules = gy_reallocarray(w->rules, n, sizeof *rules);
        w->rules = rules ? rules : w->rules;
        if (!classes || !rules) {
            return GY_E_NOMEM;
        }
        w->row_capacity = n;
    }
    if (n * e->n_log_outputs > w->out_capacity) {
        double *out = gy_reallocarray(w->out, n * e->n_log_outputs, sizeof *out);
        if (!out) {
            return GY_E_NOMEM;
        }
        w->out = out;
        w->out_capacity = n * e->n_log_outputs;
    }
    return reserve_scratch(w, e->scratch_bytes);
}

uint64_t gy_infer_lot(const unsigned char id[16], size_t row)
{
    uint64_t a;
    uint64_t x;
    memcpy(&a, id, 8);
    memcpy(&x, id + 8, 8);
    /* splitmix64 (Steele, Lea, Flood 2014): a step for each row, then its finalizer */
    x ^= a * 0xff51afd7ed558ccdu;
    x += (row + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (x ^ (x >> 31)) >> 11;
}

static void apply_rules(const struct gy_endpoint *e, struct gy_infer_work *w, size_t first,
                        size_t n)
{
    for (size_t row = first; e->n_rules && row < first + n; row++) {
        gy_rules_eval(e->rules, w->q.values + row * e->shape.n_fields, e->shape.n_fields,
                      &w->rules[row]);
    }
}

/* The rows of [first, first + n) that the model sees, by their place in the chunk; returns how
 * many. */
static size_t rows_to_score(const struct gy_endpoint *e, const struct gy_infer_work *w,
                            size_t first, size_t n, uint8_t rows[GY_ENDPOINT_CHUNK],
                            size_t *sampled)
{
    size_t n_rows = 0;
    for (size_t i = 0; i < n; i++) {
        bool score = true;
        if (gy_infer_skips(e, w, first + i)) {
            score = gy_infer_lot(w->id, first + i) < e->rule_shadow_cut;
            *sampled += score;
        }
        rows[n_rows] = (uint8_t)i;
        n_rows += score;
    }
    return n_rows;
}

static void check_ranges(const struct gy_endpoint *e, struct gy_infer_work *w, size_t first,
                         size_t n)
{
    const struct gy_decoder *d = e->decoder;
    for (size_t i = first; i < first + n; i++) {
        const double *row = w->q.values + i * e->shape.n_fields;
        for (size_t k = 0; k < e->info->n_inputs; k++) {
            /* A missing value (NaN) is in no range and outside of none. */
            if (row[k] < e->info->inputs[k].min || row[k] > e->info->inputs[k].max ||
                (d && gy_decoder_unseen(d, k, row[k]))) {
                if (w->out_of_range++ == 0) {
                    w->range_row = i;
                    w->range_input = k;
                }
            }
        }
    }
}

/* Score n of the chunk_n rows at first; raw holds them one after the other. */
static void run_model(const struct gy_endpoint *e, struct gy_infer_work *w, size_t first,
                      size_t chunk_n, const uint8_t *which, size_t n, double *raw)
{
    const double *rows = w->q.values + first * e->shape.n_fields;
    size_t n_inputs = e->shape.n_inputs;
    double *packed = raw + GY_ENDPOINT_CHUNK * e->info->n_outputs;
    const struct gy_decoder *d = e->decoder;
    if (d) {
        size_t n_pixels = e->shape.n_pixels;
        for (size_t i = 0; i < n; i++) {
            const double *pixels = n_pixels ? w->q.pixels + (first + which[i]) * n_pixels : NULL;
            gy_decoder_row(d, rows + which[i] * e->shape.n_fields, pixels,
                           packed + i * e->info->n_cells);
        }
        rows = packed;
    } else if (n_inputs != e->shape.n_fields || n != chunk_n) {
        for (size_t i = 0; i < n; i++) {
            memcpy(packed + i * n_inputs, rows + which[i] * e->shape.n_fields,
                   n_inputs * sizeof *packed);
        }
        rows = packed;
    }
    gy_predictor_run(e->model->predictor, rows, n, raw, w->scratch);
}

static double class_of(const struct gy_endpoint *e, const double *probability)
{
    switch (e->info->task) {
    case GY_TASK_REGRESSION:
        return probability[0];
    case GY_TASK_BINARY:
        return probability[0] >= e->threshold ? 1 : 0;
    case GY_TASK_MULTICLASS:
        break;
    }
    size_t best = 0;
    for (size_t i = 1; i < e->info->n_outputs; i++) {
        best = probability[i] > probability[best] ? i : best;
    }
    return (double)best;
}

double gy_infer_probability(const struct gy_endpoint *e, const double *raw)
{
    double most = raw[0];
    for (size_t i = 1; e->info->task == GY_TASK_MULTICLASS && i < e->info->n_outputs; i++) {
        most = raw[i] > most ? raw[i] : most;
    }
    return most;
}

/* The logged values of a row after the first: what the model said (raw, NULL: it was not asked).
 * false: a value is not finite; then all are missing. */
static bool put_raw(const struct gy_endpoint *e, const double *raw, double *out)
{
    bool finite = true;
    for (size_t k = 0; raw && k < e->info->n_outputs; k++) {
        finite = finite && isfinite(raw[k]);
    }
    for (size_t k = 1; k < e->n_log_outputs; k++) {
        out[k] = raw && finite ? raw[k - 1] : NAN;
    }
    return finite;
}

/* What the rules after the model make of its answer. */
static void ask_after(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t i,
                      const double *raw, double class, struct gy_rule_outcome *io)
{
    double gathered[GY_RULES_SLOTS];
    double said = e->info->task == GY_TASK_REGRESSION ? class : e->class_rules[(size_t) class];
    gy_rules_gather(e->rules, w->q.values + i * e->shape.n_fields, gathered);
    gy_rules_after(e->rules, gathered, said, gy_infer_probability(e, raw), io);
}

/* One row: what the model says (raw) and what rules override; io: the outcome of those before the
 * model, which becomes that of all. A rule that decides alone is not hurt by what the model would
 * have said. */
static bool decide(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t i,
                   const double *raw, struct gy_rule_outcome *io, double *out, double *ret_class)
{
    const struct gy_rule_plan *plan = e->n_rules && io->rule >= 0 ? &e->plans[io->rule] : NULL;
    bool finite = put_raw(e, raw, out);
    bool alone = plan && plan->skip_model;
    double class = raw && finite && !alone ? class_of(e, raw) : 0;
    if (e->rules_after && raw && finite && !alone) {
        ask_after(e, w, i, raw, class, io);
        plan = io->rule >= 0 ? &e->plans[io->rule] : NULL;
    }
    class = plan && plan->decides ? plan->prediction : class;
    *ret_class = class;
    out[0] = e->info->task == GY_TASK_REGRESSION ? class : e->class_values[(size_t) class];
    return finite || alone;
}

/* ---- through a lane: all rows of a request at once ---- */

/* The rows that the model is asked for, and what it says. */
struct asked {
    double *cells, *raw;
    uint32_t *rows;
    size_t n;
    char *memory;
};

static void asked_done(struct asked *a)
{
    gy_free(a->memory);
}
GY_DEFINE_AUTO_DONE(struct asked, asked_done);

static gy_status reserve_asked(const struct gy_endpoint *e, size_t n_rows, struct asked *a,
                               struct gy_err *err)
{
    size_t width = e->info->n_cells + e->info->n_outputs;
    a->memory = gy_reallocarray(NULL, n_rows, width * sizeof(double) + sizeof *a->rows);
    if (!a->memory) {
        return gy_err_set(err, GY_E_NOMEM, "memory for a prediction");
    }
    a->cells = (double *)(void *)a->memory;
    a->raw = a->cells + n_rows * e->info->n_cells;
    a->rows = (uint32_t *)(void *)(a->raw + n_rows * e->info->n_outputs);
    return GY_OK;
}

/* The raw cells of row i of the request. */
static void cells_of(const struct gy_endpoint *e, const struct gy_infer_work *w, size_t i,
                     double *cells)
{
    const double *values = w->q.values + i * e->shape.n_fields;
    size_t n_pixels = e->shape.n_pixels;
    if (e->decoder) {
        gy_decoder_row(e->decoder, values, n_pixels ? w->q.pixels + i * n_pixels : NULL, cells);
    } else {
        memcpy(cells, values, e->shape.n_inputs * sizeof *cells);
    }
}

/* Ask for all rows of which the rules leave something to the model. */
static gy_status ask_lane(const struct gy_endpoint *e, struct gy_infer_work *w, size_t *sampled,
                          struct asked *a, struct gy_err *err)
{
    GY_TRY(reserve_asked(e, w->q.n_rows, a, err));
    for (size_t first = 0; first < w->q.n_rows; first += GY_ENDPOINT_CHUNK) {
        size_t left = w->q.n_rows - first;
        uint8_t which[GY_ENDPOINT_CHUNK];
        size_t n = rows_to_score(e, w, first, left < GY_ENDPOINT_CHUNK ? left : GY_ENDPOINT_CHUNK,
                                 which, sampled);
        for (size_t i = 0; i < n; i++, a->n++) {
            a->rows[a->n] = (uint32_t)(first + which[i]);
            cells_of(e, w, first + which[i], a->cells + a->n * e->info->n_cells);
        }
    }
    return a->n ? gy_lane_run(e->lane, a->cells, a->n, a->raw, w->deadline_ns, err) : GY_OK;
}

/* What the model says of row i, of which *at counts; NULL: it was not asked. */
static const double *said_of(const struct gy_endpoint *e, const struct asked *a, size_t i,
                             size_t *at)
{
    bool asked = *at < a->n && a->rows[*at] == i;
    return asked ? a->raw + (*at)++ * e->info->n_outputs : NULL;
}

static gy_status no_number(size_t row, struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID,
                      "the model gives no finite number for row %zu: its values are too large",
                      row);
}

static gy_status run_lane(const struct gy_endpoint *e, struct gy_infer_work *w, struct gy_err *err)
{
    GY_AUTO_DONE(asked_done) struct asked a = {0};
    size_t at = 0;
    apply_rules(e, w, 0, w->q.n_rows);
    check_ranges(e, w, 0, w->q.n_rows);
    GY_TRY(ask_lane(e, w, &w->sampled, &a, err));
    for (size_t i = 0; i < w->q.n_rows; i++) {
        if (!decide(e, w, i, said_of(e, &a, i, &at), &w->rules[i], w->out + i * e->n_log_outputs,
                    &w->classes[i])) {
            return no_number(i, err);
        }
    }
    return GY_OK;
}

/* The model is loaded, and held. */
static gy_status run_chunks(const struct gy_endpoint *e, struct gy_infer_work *w,
                            struct gy_err *err)
{
    double *raw = (double *)(void *)(w->scratch + e->model->scratch_bytes);
    for (size_t first = 0; first < w->q.n_rows; first += GY_ENDPOINT_CHUNK) {
        size_t left = w->q.n_rows - first;
        size_t n = left < GY_ENDPOINT_CHUNK ? left : GY_ENDPOINT_CHUNK;
        uint8_t which[GY_ENDPOINT_CHUNK];
        apply_rules(e, w, first, n);
        size_t n_scored = rows_to_score(e, w, first, n, which, &w->sampled);
        check_ranges(e, w, first, n);
        if (n_scored) {
            run_model(e, w, first, n, which, n_scored, raw);
        }
        for (size_t i = 0, k = 0; i < n; i++) {
            bool scored = k < n_scored && which[k] == i;
            size_t row = first + i;
            if (!decide(e, w, row, scored ? raw + k++ * e->info->n_outputs : NULL, &w->rules[row],
                        w->out + row * e->n_log_outputs, &w->classes[row])) {
                return no_number(row, err);
            }
        }
    }
    return GY_OK;
}

gy_status gy_infer_run(const struct gy_endpoint *e, struct gy_infer_work *w, struct gy_err *err)
{
    w->out_of_range = 0;
    w->sampled = 0;
    w->shadow_of = NULL;
    if (w->q.n_rows > MAX_VALUES / e->n_log_outputs) {
        return gy_err_set(err, GY_E_TOOBIG,
                          "%zu rows of %zu values; an answer has at most %zu values", w->q.n_rows,
                          e->n_log_outputs, MAX_VALUES);
    }
    if (reserve_rows(e, w) != GY_OK) {
        return gy_err_set(err, GY_E_NOMEM, "memory for a prediction");
    }
    GY_TRY(gy_loaded_hold(e->model, err));
    gy_status status = e->lane ? run_lane(e, w, err) : run_chunks(e, w, err);
    gy_loaded_release(e->model);
    return status;
}

/* ---- the shadow ---- */

static gy_status reserve_shadow(const struct gy_endpoint *shadow, struct gy_infer_work *w)
{
    size_t n = w->q.n_rows * shadow->n_log_outputs;
    if (n > w->shadow_capacity) {
        double *more = gy_reallocarray(w->shadow, n, sizeof *more);
        if (!more) {
            return GY_E_NOMEM;
        }
        w->shadow = more;
        w->shadow_capacity = n;
    }
    return reserve_scratch(w, shadow->scratch_bytes);
}

/* Values of a regression differ when they are more than a hundredth apart. */
static bool answers_differ(const struct gy_endpoint *shadow, double answer, double other)
{
    if (shadow->info->task != GY_TASK_REGRESSION) {
        return answer != other;
    }
    return fabs(answer - other) > 0.01 * fmax(fabs(answer), fabs(other));
}

/* The rules after the model are asked anew about what the shadow says. */
static struct gy_rule_outcome before_model(const struct gy_endpoint *e,
                                           const struct gy_rule_outcome *all)
{
    bool own = e->n_rules && (all->rule < 0 || !e->plans[all->rule].after);
    return own ? *all : (struct gy_rule_outcome){.rule = -1};
}

/* One row of what a shadow would have answered. */
static void decide_shadow(const struct gy_endpoint *shadow, struct gy_infer_work *w, size_t i,
                          const double *raw, bool failed)
{
    double *out = w->shadow + i * shadow->n_log_outputs;
    double class = 0;
    struct gy_rule_outcome outcome = before_model(shadow, &w->rules[i]);
    if (!decide(shadow, w, i, raw, &outcome, out, &class) || failed) {
        out[0] = NAN;
        w->shadow_failed++;
    } else if (answers_differ(shadow, w->classes[i], class)) {
        w->shadow_differs++;
    }
}

/* A shadow that can not be asked fails for the rows it should have been asked for. */
static void shadow_lane(const struct gy_endpoint *shadow, struct gy_infer_work *w)
{
    GY_AUTO_DONE(asked_done) struct asked a = {0};
    size_t sampled = 0, at = 0;
    bool failed = ask_lane(shadow, w, &sampled, &a, NULL) != GY_OK;
    for (size_t i = 0; i < w->q.n_rows; i++) {
        const double *raw = said_of(shadow, &a, i, &at);
        decide_shadow(shadow, w, i, failed ? NULL : raw, failed && (raw || !a.memory));
    }
}

static void shadow_chunks(const struct gy_endpoint *shadow, struct gy_infer_work *w)
{
    double *raw = (double *)(void *)(w->scratch + shadow->model->scratch_bytes);
    for (size_t first = 0; first < w->q.n_rows; first += GY_ENDPOINT_CHUNK) {
        size_t left = w->q.n_rows - first;
        size_t n = left < GY_ENDPOINT_CHUNK ? left : GY_ENDPOINT_CHUNK;
        uint8_t which[GY_ENDPOINT_CHUNK];
        size_t sampled = 0;
        size_t n_scored = rows_to_score(shadow, w, first, n, which, &sampled);
        if (n_scored) {
            run_model(shadow, w, first, n, which, n_scored, raw);
        }
        for (size_t i = 0, k = 0; i < n; i++) {
            bool scored = k < n_scored && which[k] == i;
            decide_shadow(shadow, w, first + i, scored ? raw + k++ * shadow->info->n_outputs : NULL,
                          false);
        }
    }
}

gy_status gy_infer_shadow(const struct gy_endpoint *shadow, struct gy_infer_work *w,
                          struct gy_err *err)
{
    if (reserve_shadow(shadow, w) != GY_OK) {
        return gy_err_set(err, GY_E_NOMEM, "memory for a shadow's prediction");
    }
    w->shadow_differs = 0;
    w->shadow_failed = 0;
    w->shadow_of = shadow;
    if (gy_loaded_hold(shadow->model, NULL) != GY_OK) {
        for (size_t i = 0; i < w->q.n_rows; i++) {
            decide_shadow(shadow, w, i, NULL, true);
        }
        return GY_OK;
    }
    if (shadow->lane) {
        shadow_lane(shadow, w);
    } else {
        shadow_chunks(shadow, w);
    }
    gy_loaded_release(shadow->model);
    return GY_OK;
}

/* ---- what moved the answer ---- */

gy_status gy_infer_explain(const struct gy_endpoint *e, struct gy_infer_work *w, struct gy_err *err)
{
    size_t n = w->q.n_rows;
    w->n_margins = e->info->n_outputs;
    gy_free(w->contributions);
    w->contributions =
        gy_reallocarray(NULL, n, w->n_margins * (e->info->n_inputs + 1) * sizeof(double));
    GY_AUTO(gy_free) char *room = gy_reallocarray(NULL, n, e->info->n_cells * sizeof(double));
    if (!w->contributions || !room) {
        return gy_err_set(err, GY_E_NOMEM, "memory for an explanation");
    }
    double *cells = (double *)(void *)room;
    for (size_t i = 0; i < n; i++) {
        cells_of(e, w, i, cells + i * e->info->n_cells);
    }
    GY_TRY(gy_loaded_hold(e->model, err));
    gy_status status = gy_contributions(e->model->predictor, cells, n, w->contributions, err);
    gy_loaded_release(e->model);
    return status;
}

void gy_infer_count_shadow(const struct gy_infer_work *w, struct gy_stat_block *block)
{
    gy_stat_add(&block->shadow_rows, w->q.n_rows);
    if (w->shadow_differs) {
        gy_stat_add(&block->shadow_differs, w->shadow_differs);
    }
    if (w->shadow_failed) {
        gy_stat_add(&block->shadow_failed, w->shadow_failed);
    }
}

void gy_infer_record(const struct gy_endpoint *e, const struct gy_infer_work *w,
                     struct gy_str request_id, struct gy_record *ret)
{
    struct gy_str id = w->q.id_bytes ? gy_str_n(w->q.id, w->q.id_bytes) : request_id;
    id = gy_str_head(id, 256);
    memset(ret, 0, sizeof *ret);
    memcpy(ret->id, w->id, sizeof ret->id);
    ret->revision = e->revision;
    ret->n_rows = (uint32_t)w->q.n_rows;
    ret->first_row = 0;
    ret->total_rows = ret->n_rows;
    ret->status = 200;
    ret->n_inputs = (uint16_t)e->shape.n_fields;
    ret->n_outputs = (uint16_t)e->n_log_outputs;
    ret->endpoint = e->name;
    ret->model_version = e->version;
    ret->request_id = id.p ? id : GY_STR("");
    ret->inputs = w->q.values;
    ret->outputs = w->out;
    ret->rules = e->n_rules ? w->rules : NULL;
    const struct gy_endpoint *shadow = w->shadow_of;
    ret->shadow_version = shadow ? shadow->version : GY_STR_NULL;
    ret->n_shadow = shadow ? (uint16_t)shadow->n_log_outputs : 0;
    ret->shadow = shadow ? w->shadow : NULL;
}

gy_status gy_infer_log_as(const struct gy_endpoint *e, const unsigned char key[GY_LOGGING_KEY],
                          struct gy_infer_work *w, struct gy_str body, struct gy_str body_type,
                          struct gy_record *r, bool *ret_keep, struct gy_err *err)
{
    const struct gy_logging *l = &e->logging;
    *ret_keep = gy_logging_draws(l, r->id);
    if (!*ret_keep) {
        return GY_OK;
    }
    r->sample_rate = l->sample < 1 ? l->sample : 0;
    if (l->body) {
        r->body = body;
        r->body_type = gy_str_sub(body_type, 0, GY_RECORD_MAX_TYPE);
    }
    if (!l->columns) {
        return GY_OK;
    }
    size_t n = w->q.n_rows * e->shape.n_fields;
    if (n > w->logged_capacity) {
        double *more = gy_reallocarray(w->logged, n, sizeof *more);
        if (!more) {
            return gy_err_set(err, GY_E_NOMEM, "memory for a prediction");
        }
        w->logged = more;
        w->logged_capacity = n;
    }
    gy_logging_columns(l, key, w->q.values, w->q.n_rows, e->shape.n_fields, w->logged);
    r->inputs = w->logged;
    return GY_OK;
}

void gy_infer_count(const struct gy_endpoint *e, const struct gy_infer_work *w,
                    struct gy_stat_block *block, uint64_t latency_ns)
{
    size_t n = w->q.n_rows;
    gy_stat_add(&block->ok, 1);
    gy_stat_add(&block->rows, n);
    gy_stat_latency(block, latency_ns);
    atomic_store_explicit(&block->last_us, (uint64_t)gy_now_us(), memory_order_relaxed);
    if (w->out_of_range) {
        gy_stat_add(&block->out_of_range, w->out_of_range);
    }
    if (w->sampled) {
        gy_stat_add(&block->rule_sampled, w->sampled);
    }
    for (size_t i = 0; i < n && e->n_rules; i++) {
        if (w->rules[i].rule >= 0) {
            gy_stat_add(&block->rule_hits, 1);
            gy_stat_add(&block->model_skipped, e->plans[w->rules[i].rule].skip_model);
        }
    }
    for (size_t i = 0; i < n && e->info->task != GY_TASK_REGRESSION; i++) {
        size_t class = (size_t)w->classes[i];
        gy_stat_add(&block->classes[class < GY_STATS_CLASSES ? class : GY_STATS_CLASSES - 1], 1);
    }
}

int gy_infer_http(gy_status status)
{
    /* A request with too many rows is as wrong as any other; 413 is for bodies the server refused
     * to read. */
    return status == GY_E_TOOBIG ? 400 : gy_status_http(status);
}

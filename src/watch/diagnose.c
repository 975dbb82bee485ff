/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/diagnose.h"

#include <math.h>

#define QUANTILES 199    /* of the fit: 0.5 %, 1 %, ... 99.5 % */
#define CHANCE 1.95      /* times sqrt(1/n + 1/m): K-S of equal columns is further once in 1000 */
#define LEAST_APART 0.05 /* in long windows chance is small, and no two months are equal */
#define SLACK 0.03       /* of the sd, or half a step: values are rounded after the fault */
#define MOST_SLACK 0.25
#define CLEAR 0.2      /* distance from which an offset or a factor is looked for */
#define CLEAR_LINE 1.0 /* the same for a line: its two parameters fit more */
#define EXPLAINED 0.6  /* of the distance at least, by the map */
#define EXPLAINED_LINE 0.9
#define BETTER 0.6         /* a factor is named when it leaves this much less than the offset */
#define GONE 0.2           /* more rows without a value: a sensor */
#define MIN_HITS 30        /* labelled rule hits before the rules' precision says anything */
#define SAME_PRECISION 0.1 /* rules count as right as often as before down to this less */
#define REASON_BYTES 1200

const char *gy_drift_cause_name(enum gy_drift_cause c)
{
    static const char *const names[] = {"none", "sensor", "population", "unknown"};
    return names[c];
}

const char *gy_drift_fault_name(enum gy_drift_fault_kind k)
{
    static const char *const names[] = {"offset", "factor", "line", "missing", "stuck"};
    return names[k];
}

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "telling the cause of a drift");
}

/* ---- is one column a mapped copy of its reference? ---- */

/* QUANTILES of a column in one walk, between values where the rank falls between two. */
static void quantiles_of(const struct gy_values *v, double *out)
{
    size_t at = 0;
    uint64_t covered = v->counts[0];
    for (size_t i = 0; i < QUANTILES; i++) {
        double rank = (double)(i + 1) / (QUANTILES + 1) * (double)(v->total - 1);
        while ((double)covered <= rank && at + 1 < v->n) {
            covered += v->counts[++at];
        }
        /* rank lies before `covered`: at the value, or between the last one of it and the next */
        double past = rank - (double)(covered - 1);
        bool between = past > 0 && at + 1 < v->n;
        out[i] = v->values[at] + (between ? past * (v->values[at + 1] - v->values[at]) : 0);
    }
}

static double median_of(double *x, size_t n)
{
    for (size_t i = 1; i < n; i++) { /* n is small */
        double v = x[i];
        size_t k = i;
        for (; k > 0 && x[k - 1] > v; k--) {
            x[k] = x[k - 1];
        }
        x[k] = v;
    }
    return n ? n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2 : NAN;
}

/* The most by which a's distribution function, moved to the right, lies above that of b. */
static double above(const struct gy_values *a, double right, const struct gy_values *b)
{
    double most = 0;
    uint64_t below_a = 0, below_b = 0;
    for (size_t i = 0, j = 0; i < a->n; i++) {
        below_a += a->counts[i];
        while (j < b->n && b->values[j] <= a->values[i] + right) {
            below_b += b->counts[j++];
        }
        double gap = (double)below_a / (double)a->total - (double)below_b / (double)b->total;
        most = gap > most ? gap : most;
    }
    return most;
}

/* Half the usual step between values, in the range that a shape may be off by. */
static double slack_of(const struct gy_drift_feature *f)
{
    const struct gy_values *v = &f->reference;
    double gaps[QUANTILES], sd = f->reference_sd;
    size_t n = 0, every = v->n / QUANTILES + 1;
    for (size_t i = every; i < v->n && n < QUANTILES; i += every) {
        gaps[n++] = v->values[i] - v->values[i - 1];
    }
    double half = n ? median_of(gaps, n) / 2 : 0;
    return fmin(fmax(SLACK * sd, half), MOST_SLACK * sd);
}

/* What is left when the current column is mapped back: rest, the distance to the reference, and
 * apart, how far the shapes are apart (K-S that forgives the slack). */
struct map {
    double factor, offset, rest, apart;
};

static gy_status undo(const struct gy_drift_feature *f, struct map *m, struct gy_arena *a,
                      struct gy_err *err)
{
    struct gy_values back;
    m->rest = INFINITY;
    m->apart = 1;
    if (!isfinite(m->factor) || !isfinite(m->offset) || m->factor <= 0) {
        return GY_OK;
    }
    GY_TRY(gy_values_map(&f->current, 1 / m->factor, -m->offset / m->factor, a, &back, err));
    GY_TRY(gy_stat_run(GY_STAT_WASSERSTEIN, &f->reference, &back, false, &m->rest, err));
    double slack = slack_of(f);
    m->apart = fmax(above(&f->reference, slack, &back), above(&back, slack, &f->reference));
    m->rest = isnan(m->rest) ? INFINITY : m->rest;
    return GY_OK;
}

/* Theil's incomplete method: the median slope between quantiles half the range apart. A tail that
 * moved, or that 1000 rows show by chance only, does not bend the line. */
static void straight(const double *x, const double *y, struct map *ret)
{
    double room[QUANTILES];
    size_t n = 0, half = QUANTILES / 2;
    for (size_t i = 0; i + half < QUANTILES; i++) {
        if (x[i + half] > x[i]) {
            room[n++] = (y[i + half] - y[i]) / (x[i + half] - x[i]);
        }
    }
    ret->factor = median_of(room, n);
    for (size_t i = 0; i < QUANTILES; i++) {
        room[i] = y[i] - ret->factor * x[i];
    }
    ret->offset = median_of(room, QUANTILES);
}

struct fits {
    struct map offset, factor, line;
};

static gy_status fit(const struct gy_drift_feature *f, struct gy_arena *a, struct fits *ret,
                     struct gy_err *err)
{
    double ref[QUANTILES], cur[QUANTILES], room[QUANTILES];
    size_t n = 0;
    quantiles_of(&f->reference, ref);
    quantiles_of(&f->current, cur);
    for (size_t i = 0; i < QUANTILES; i++) {
        room[i] = cur[i] - ref[i];
    }
    ret->offset = (struct map){.factor = 1, .offset = median_of(room, QUANTILES)};
    for (size_t i = 0; i < QUANTILES; i++) {
        if (ref[i] != 0) {
            room[n++] = cur[i] / ref[i];
        }
    }
    ret->factor = (struct map){.factor = median_of(room, n)};
    straight(ref, cur, &ret->line);
    GY_TRY(undo(f, &ret->offset, a, err));
    GY_TRY(undo(f, &ret->factor, a, err));
    return undo(f, &ret->line, a, err);
}

/* What two samples of one column may be apart by chance. */
static double chance_of(const struct gy_drift_feature *f)
{
    double by_chance = 1 / (double)f->reference.total + 1 / (double)f->current.total;
    return fmax(LEAST_APART, CHANCE * sqrt(by_chance));
}

static bool explains(const struct gy_drift_feature *f, const struct map *m, double clear,
                     double explained)
{
    return f->distance >= clear && m->apart <= chance_of(f) &&
           m->rest <= (1 - explained) * f->distance;
}

/* true: *ret is what is wrong with the column. Else *ret tells the map that fits best. *ret_apart:
 * how far the shapes stay apart under it. */
static gy_status find_map(const struct gy_drift_feature *f, struct gy_arena *a, bool *ret_found,
                          struct gy_drift_fault *ret, double *ret_apart, struct gy_err *err)
{
    struct fits m;
    GY_TRY(fit(f, a, &m, err));
    double clear = gy_stat_is_p_value(f->test) ? CLEAR : fmax(CLEAR, 2 * f->threshold);
    bool offset = explains(f, &m.offset, clear, EXPLAINED);
    bool factor = explains(f, &m.factor, clear, EXPLAINED);
    bool line = explains(f, &m.line, CLEAR_LINE, EXPLAINED_LINE);
    enum gy_drift_fault_kind kind = factor && (!offset || m.factor.rest < BETTER * m.offset.rest)
                                        ? GY_FAULT_FACTOR
                                    : line && !offset ? GY_FAULT_LINE
                                                      : GY_FAULT_OFFSET;
    const struct map *best = kind == GY_FAULT_FACTOR ? &m.factor
                             : kind == GY_FAULT_LINE ? &m.line
                                                     : &m.offset;
    *ret_found = offset || factor || line;
    if (!*ret_found && m.factor.apart < best->apart) {
        best = &m.factor;
    }
    *ret_apart = best->apart;
    *ret = (struct gy_drift_fault){.feature = f->name,
                                   .kind = kind,
                                   .offset = best->offset,
                                   .factor = best->factor,
                                   .distance = f->distance,
                                   .rest = best->rest,
                                   .explained =
                                       f->distance > 0 ? 1 - fmin(best->rest / f->distance, 1) : 0};
    return GY_OK;
}

/* Gone or stuck; needs no fit. */
static bool find_failure(const struct gy_drift_feature *f, struct gy_drift_fault *ret)
{
    double gone = f->current_missing.value - f->reference_missing.value;
    *ret = (struct gy_drift_fault){.feature = f->name, .factor = 1, .distance = f->distance};
    if (f->missing_moved && f->input && gone >= GONE) {
        ret->kind = GY_FAULT_MISSING;
        ret->explained = gone;
        return true;
    }
    if (f->drifted && f->current.n == 1 && f->reference_distinct > GY_STAT_FEW_VALUES) {
        ret->kind = GY_FAULT_STUCK;
        ret->explained = 1;
        return true;
    }
    return false;
}

/* ---- all columns together ---- */

struct evidence {
    const struct gy_drift_result *r;
    const struct gy_drift_labels *labels;
    struct gy_drift_fault *faults; /* found */
    size_t n_faults;
    struct gy_str *moved; /* drifted, or gone missing */
    size_t n_moved;
    const struct gy_drift_feature *shape; /* the drifted column whose shape is furthest apart */
    double apart;
    size_t n_shapes; /* drifted columns of another shape */
    struct gy_buf *text;
};

static gy_status look(struct evidence *e, struct gy_arena *a, struct gy_err *err)
{
    for (size_t i = 0; i < e->r->n_features; i++) {
        const struct gy_drift_feature *f = &e->r->features[i];
        struct gy_drift_fault *fault = &e->faults[e->n_faults];
        bool found = find_failure(f, fault);
        if (!found && !f->drifted) {
            continue;
        }
        e->moved[e->n_moved++] = f->name;
        double apart = 1; /* a category has no offset: its shares are its shape */
        if (!found && !f->categorical) {
            GY_TRY(find_map(f, a, &found, fault, &apart, err));
        }
        if (found) {
            e->n_faults++;
        } else if (apart > chance_of(f)) {
            e->n_shapes++;
            e->shape = apart > e->apart ? f : e->shape;
            e->apart = fmax(apart, e->apart);
        }
    }
    return GY_OK;
}

/* The rules hit more, and are right as often: the people are different, not their sensor. */
static bool labels_contradict(const struct evidence *e)
{
    const struct gy_drift_labels *l = e->labels;
    if (!l || !e->r->rule_moved || e->r->rule_current.value < e->r->rule_reference.value ||
        l->rule_tp_now + l->rule_fp_now < MIN_HITS ||
        l->rule_tp_before + l->rule_fp_before < MIN_HITS) {
        return false;
    }
    struct gy_share before = gy_share_of(l->rule_tp_before, l->rule_tp_before + l->rule_fp_before);
    struct gy_share now = gy_share_of(l->rule_tp_now, l->rule_tp_now + l->rule_fp_now);
    /* That few labels show no difference would be no sign that there is none. */
    return now.low >= before.value - SAME_PRECISION;
}

static enum gy_drift_cause decide(const struct evidence *e)
{
    size_t few = e->r->n_features / 2 > 1 ? e->r->n_features / 2 : 1;
    if (e->n_moved == 0) {
        return GY_CAUSE_NONE;
    }
    if (e->n_faults == e->n_moved) {
        return e->n_faults <= few && !labels_contradict(e) ? GY_CAUSE_SENSOR : GY_CAUSE_UNKNOWN;
    }
    /* Other shapes are another population. That one column in it happens to be nearly a line of
     * what it was explains more than a fault beside a change of the people; as many lines as shapes
     * leave it open. */
    return e->n_shapes > e->n_faults ? GY_CAUSE_POPULATION : GY_CAUSE_UNKNOWN;
}

static double confidence_of(const struct evidence *e, enum gy_drift_cause cause)
{
    double least = 1;
    for (size_t i = 0; i < e->n_faults; i++) {
        least = fmin(least, e->faults[i].explained);
    }
    return cause == GY_CAUSE_SENSOR       ? least
           : cause == GY_CAUSE_POPULATION ? 1 - chance_of(e->shape) / e->apart
                                          : 0;
}

/* ---- in words ---- */

static void add_names(struct gy_buf *b, const struct gy_str *names, size_t n)
{
    size_t shown = n > 5 ? 4 : n;
    for (size_t i = 0; i < shown; i++) {
        gy_buf_addf(b, "%s%" GY_STR_F,
                    i == 0                         ? ""
                    : i + 1 == shown && shown == n ? " and "
                                                   : ", ",
                    GY_STR_A(gy_str_sub(names[i], 0, 64)));
    }
    if (shown < n) {
        gy_buf_addf(b, " and %zu more", n - shown);
    }
}

/* Two digits after the point, more where the amount is small. */
static void add_amount(struct gy_buf *b, double v)
{
    double size = fabs(v);
    gy_buf_addf(b, size >= 0.1 && size < 1e6 ? "%.2f" : "%.3g", v);
}

static void add_fault(struct gy_buf *b, const struct gy_drift_fault *f)
{
    gy_buf_addf(b, "%" GY_STR_F " ", GY_STR_A(gy_str_sub(f->feature, 0, 64)));
    switch (f->kind) {
    case GY_FAULT_OFFSET:
        gy_buf_addc(b, "is ");
        add_amount(b, fabs(f->offset));
        gy_buf_addf(b, " %s for everyone", f->offset < 0 ? "lower" : "higher");
        break;
    case GY_FAULT_FACTOR:
        gy_buf_addc(b, "is ");
        add_amount(b, f->factor);
        gy_buf_addc(b, " times what it was for everyone");
        break;
    case GY_FAULT_LINE:
        gy_buf_addc(b, "is ");
        add_amount(b, f->factor);
        gy_buf_addf(b, " times what it was %s ", f->offset < 0 ? "minus" : "plus");
        add_amount(b, fabs(f->offset));
        gy_buf_addc(b, " for everyone, as in another unit");
        break;
    case GY_FAULT_MISSING:
        gy_buf_addf(b, "is missing in %.0f %% more of the rows than in training",
                    100 * f->explained);
        return;
    case GY_FAULT_STUCK:
        gy_buf_addc(b, "has the same value in every row");
        return;
    }
    gy_buf_addf(b, ": with that undone its distance to the training data falls from %.2f to %.2f",
                f->distance, f->rest);
}

static void add_rules(struct gy_buf *b, const struct evidence *e)
{
    const struct gy_drift_result *r = e->r;
    const struct gy_drift_labels *l = e->labels;
    if (r->rule_moved) {
        gy_buf_addf(b, " The rules decide %.1f %% of the rows, %.1f %% before.",
                    100 * r->rule_current.value, 100 * r->rule_reference.value);
    }
    if (l && l->rule_tp_now + l->rule_fp_now >= MIN_HITS &&
        l->rule_tp_before + l->rule_fp_before >= MIN_HITS) {
        gy_buf_addf(b, " They are right in %.0f %% of these, %.0f %% before.",
                    100.0 * (double)l->rule_tp_now / (double)(l->rule_tp_now + l->rule_fp_now),
                    100.0 * (double)l->rule_tp_before /
                        (double)(l->rule_tp_before + l->rule_fp_before));
    }
}

static void add_reason(struct evidence *e, enum gy_drift_cause cause)
{
    struct gy_buf *b = e->text;
    if (cause == GY_CAUSE_NONE) {
        gy_buf_addc(b, "No column has drifted.");
        return;
    }
    size_t told = cause == GY_CAUSE_POPULATION ? 0 : e->n_faults > 4 ? 4 : e->n_faults;
    for (size_t i = 0; i < told; i++) {
        gy_buf_addc(b, i ? "; " : "");
        add_fault(b, &e->faults[i]);
    }
    gy_buf_addc(b, told ? "." : "");
    if (cause == GY_CAUSE_SENSOR && e->r->n_features > e->n_moved) {
        gy_buf_addf(b, " The other %zu of %zu columns have not moved.",
                    e->r->n_features - e->n_moved, e->r->n_features);
    }
    if (e->shape) {
        gy_buf_addc(b, told ? " " : "");
        if (e->n_moved > 1) {
            add_names(b, e->moved, e->n_moved);
            gy_buf_addc(b, " moved, and ");
        }
        gy_buf_addf(b,
                    "%" GY_STR_F " has another shape than in training: whatever offset "
                    "or factor is undone, %.0f %% of the rows lie elsewhere (chance: %.0f %%).",
                    GY_STR_A(gy_str_sub(e->shape->name, 0, 64)), 100 * e->apart,
                    100 * chance_of(e->shape));
    } else if (e->n_faults < e->n_moved) {
        gy_buf_addc(b, e->n_faults ? " " : "");
        add_names(b, e->moved, e->n_moved);
        gy_buf_addc(b, " moved, too little to tell a faulty sensor from another population.");
    }
    if (cause == GY_CAUSE_UNKNOWN && e->n_faults == e->n_moved && !labels_contradict(e)) {
        gy_buf_addc(b, " Too many columns moved at once for one faulty sensor.");
    }
    if (cause == GY_CAUSE_UNKNOWN && e->shape && e->n_faults) {
        gy_buf_addc(b, " A faulty sensor and another population may both be at work.");
    }
    add_rules(b, e);
    if (labels_contradict(e)) {
        gy_buf_addc(b, " So the rows may really be different ones.");
    }
    gy_buf_addc(b, cause == GY_CAUSE_SENSOR
                       ? " That is a sensor, a unit or a source gone wrong: repair it there."
                   : cause == GY_CAUSE_POPULATION ? " That is another population than in training."
                                                  : "");
}

static gy_status retraining(struct gy_drift_diagnosis *d, const struct gy_drift_labels *labels,
                            uint64_t min_labels, struct gy_arena *a, struct gy_err *err)
{
    unsigned long long fresh = labels ? labels->fresh : 0, want = min_labels;
    char *why = NULL;
    switch (d->cause) {
    case GY_CAUSE_NONE:
        why = gy_arena_printf(a, "nothing has drifted");
        break;
    case GY_CAUSE_SENSOR:
        why = gy_arena_printf(a, "a model trained on wrong values learns the fault: "
                                 "an operator decides");
        break;
    case GY_CAUSE_POPULATION:
        d->may_retrain = fresh >= want;
        why = d->may_retrain ? gy_arena_printf(a, "%llu fresh labels are there", fresh)
                             : gy_arena_printf(a, "not enough labels: %llu of %llu", fresh, want);
        break;
    case GY_CAUSE_UNKNOWN:
        why = gy_arena_printf(a, "unknown cause: an operator decides");
        break;
    }
    d->retrain_reason = gy_str_c(why);
    return why ? GY_OK : no_memory(err);
}

static gy_status tell(struct evidence *e, uint64_t min_labels, struct gy_arena *a,
                      struct gy_drift_diagnosis *ret, struct gy_err *err)
{
    enum gy_drift_cause cause = decide(e);
    *ret = (struct gy_drift_diagnosis){.cause = cause,
                                       .confidence = confidence_of(e, cause),
                                       .features = e->moved,
                                       .n_features = e->n_moved,
                                       .faults = e->faults,
                                       .n_faults = e->n_faults};
    add_reason(e, cause);
    /* A reason that had to be cut short is still one; only memory can fail here. */
    if (e->text->failed == GY_E_NOMEM) {
        return no_memory(err);
    }
    ret->reason = gy_arena_str(a, gy_buf_str(e->text));
    return ret->reason.p ? retraining(ret, e->labels, min_labels, a, err) : no_memory(err);
}

gy_status gy_drift_diagnose(const struct gy_drift_result *r, const struct gy_drift_labels *labels,
                            uint64_t min_labels, struct gy_arena *a, struct gy_drift_diagnosis *ret,
                            struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, REASON_BYTES);
    struct evidence e = {.r = r, .labels = labels, .text = &text};
    e.faults = gy_arena_calloc(a, r->n_features + 1, sizeof *e.faults);
    e.moved = gy_arena_calloc(a, r->n_features + 1, sizeof *e.moved);
    if (!e.faults || !e.moved) {
        return no_memory(err);
    }
    GY_TRY(look(&e, a, err));
    return tell(&e, min_labels, a, ret, err);
}

static void number(struct gy_jw *w, const char *key, double v)
{
    if (isfinite(v)) {
        gy_jw_kv_f64(w, key, v);
    } else {
        gy_jw_kv_null(w, key);
    }
}

void gy_drift_diagnosis_write(struct gy_jw *w, const struct gy_drift_diagnosis *d)
{
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "cause", gy_drift_cause_name(d->cause));
    gy_jw_kv_f64(w, "confidence", d->confidence);
    gy_jw_kv_str(w, "reason", d->reason);
    gy_jw_key(w, "features");
    gy_jw_arr(w);
    for (size_t i = 0; i < d->n_features; i++) {
        gy_jw_str(w, d->features[i]);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "faults");
    gy_jw_arr(w);
    for (size_t i = 0; i < d->n_faults; i++) {
        const struct gy_drift_fault *f = &d->faults[i];
        gy_jw_obj(w);
        gy_jw_kv_str(w, "feature", f->feature);
        gy_jw_kv_strc(w, "kind", gy_drift_fault_name(f->kind));
        number(w, "offset", f->offset);
        number(w, "factor", f->factor);
        number(w, "distance", f->distance);
        number(w, "rest", f->rest);
        number(w, "explained", f->explained);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_kv_bool(w, "may_retrain", d->may_retrain);
    gy_jw_kv_str(w, "retrain_reason", d->retrain_reason);
    gy_jw_obj_end(w);
}

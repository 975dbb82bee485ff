/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/bounds.h"

#include <math.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"
#include "watch/alerts.h"
#include "watch/performance.h"
#include "watch/review.h"

#define TEXT_MAX 512
#define REFRESH_NS 10000000000 /* a firing alert's numbers are brought up to date this often */

/* What is known to be stored of one alert. */
struct kept {
    bool firing;
    int64_t written_ns;
};

struct gy_bounds {
    struct gy_store *store;
    struct gy_shapes *shapes;
    struct gy_join *join;
    struct gy_arena arena; /* of one look */
    struct gy_map kept;    /* "kind:endpoint:subject" -> struct kept */
};

/* One alert that holds or does not. */
struct condition {
    const char *kind;
    struct gy_str endpoint, subject;
    bool holds;
    char text[TEXT_MAX];
    struct gy_str data; /* JSON; absent: none */
    struct kept *kept;
    struct condition *next;
};

struct look {
    struct gy_bounds *b;
    struct gy_watcher *w;
    struct gy_revision *served;
    size_t n_served;
    struct gy_review_queue *queues;
    size_t n_queues;
    struct condition *all;
};

gy_status gy_bounds_new(struct gy_store *store, struct gy_shapes *shapes, struct gy_join *join,
                        struct gy_bounds **ret, struct gy_err *err)
{
    struct gy_bounds *b = gy_calloc(1, sizeof *b);
    if (!b) {
        return gy_err_set(err, GY_E_NOMEM, "the bounds of the watcher");
    }
    b->store = store;
    b->shapes = shapes;
    b->join = join;
    gy_arena_init(&b->arena, 64 * GY_MIB);
    gy_map_init(&b->kept, GY_BOUNDS_MAX);
    *ret = b;
    return GY_OK;
}

void gy_bounds_free(struct gy_bounds *b)
{
    if (!b) {
        return;
    }
    size_t pos = 0;
    for (struct gy_map_entry *e; (e = gy_map_next(&b->kept, &pos));) {
        gy_free(e->value);
    }
    gy_map_done(&b->kept);
    gy_arena_done(&b->arena);
    gy_free(b);
}

/* ---- conditions ---- */

static gy_status add(struct look *l, const char *kind, struct gy_str endpoint,
                     struct gy_str subject, struct condition **ret, struct gy_err *err)
{
    struct condition *c = gy_arena_calloc(&l->b->arena, 1, sizeof *c);
    if (!c) {
        return gy_err_set(err, GY_E_NOMEM, "the bounds of the watcher");
    }
    c->kind = kind;
    c->endpoint = endpoint;
    c->subject = subject;
    c->next = l->all;
    l->all = c;
    *ret = c;
    return GY_OK;
}

/* {"value","low","high","bound","labelled"} */
static struct gy_str numbers(struct look *l, const struct gy_estimate *e, double bound,
                             uint64_t labelled)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    struct gy_jw w;
    gy_buf_init(&b, 4 * GY_KIB);
    gy_jw_init(&w, &b);
    gy_jw_obj(&w);
    gy_jw_kv_f64(&w, "value", e->value);
    gy_jw_kv_f64(&w, "low", e->low);
    gy_jw_kv_f64(&w, "high", e->high);
    gy_jw_kv_f64(&w, "bound", bound);
    gy_jw_kv_i64(&w, "labelled", (int64_t)labelled);
    gy_jw_obj_end(&w);
    return gy_arena_str(&l->b->arena, gy_buf_str(&b)); /* absent when memory ran out: no numbers */
}

static gy_status recall(struct look *l, const struct gy_join_query *q,
                        const struct gy_join_counts *c, const struct gy_watch_settings *s,
                        struct gy_err *err)
{
    struct gy_performance p;
    struct condition *x;
    if (isnan(s->recall_min) || c->task != GY_TASK_BINARY) {
        return GY_OK;
    }
    gy_performance_of(c, GY_BY_COMBINED, &p);
    GY_TRY(add(l, "recall", q->endpoint, q->version, &x, err));
    x->holds = p.recall.high < s->recall_min;
    x->data = numbers(l, &p.recall, s->recall_min, c->labelled);
    (void)snprintf(x->text, sizeof x->text,
                   "%.*s: recall of version %.*s is %.3f (95 %%: %.3f to %.3f), below the bound of "
                   "%.3f, over %llu labelled predictions",
                   GY_STR_A(q->endpoint), GY_STR_A(q->version), p.recall.value, p.recall.low,
                   p.recall.high, s->recall_min, (unsigned long long)c->labelled);
    return GY_OK;
}

/* Against the bound, and against what it was before these labelled rows. */
static gy_status rule_precision(struct look *l, const struct gy_join_query *q,
                                const struct gy_join_counts *c, const struct gy_watch_settings *s,
                                struct gy_err *err)
{
    struct gy_performance now;
    struct gy_performance was;
    struct gy_join_counts before;
    struct condition *x;
    if (!c->has_rules || c->task != GY_TASK_BINARY || c->labelled == 0) {
        return GY_OK;
    }
    struct gy_join_query earlier = {
        .endpoint = q->endpoint, .version = q->version, .until_us = c->first_us};
    GY_TRY(gy_join_counts(l->b->join, &earlier, NULL, &before, err));
    gy_performance_of(c, GY_BY_RULE, &now);
    gy_performance_of(&before, GY_BY_RULE, &was);
    bool below = now.precision.high < s->rule_precision_min; /* false without a bound */
    bool fell = now.precision.high < was.precision.low &&
                was.precision.value - now.precision.value >= GY_BOUNDS_FALL;
    GY_TRY(add(l, "rule_precision", q->endpoint, q->version, &x, err));
    x->holds = below || fell;
    double bound = below ? s->rule_precision_min : was.precision.value;
    x->data = numbers(l, &now.precision, isfinite(bound) ? bound : 0, c->labelled);
    (void)snprintf(x->text, sizeof x->text,
                   "%.*s: the rules are right in %.1f %% of their hits (95 %%: %.1f to %.1f), %s "
                   "%.1f %%: the world or a sensor has changed under them",
                   GY_STR_A(q->endpoint), now.precision.value * 100, now.precision.low * 100,
                   now.precision.high * 100, below ? "below the bound of" : "down from",
                   bound * 100);
    return GY_OK;
}

static gy_status labels(struct look *l, const struct gy_join_query *q,
                        const struct gy_watch_settings *s, struct gy_err *err)
{
    struct gy_join_counts c;
    struct condition *x;
    if (isnan(s->labels_min)) {
        return GY_OK;
    }
    struct gy_join_query all = {.endpoint = q->endpoint, .version = q->version};
    GY_TRY(gy_join_counts(l->b->join, &all, NULL, &c, err));
    double share = gy_performance_coverage(&c);
    GY_TRY(add(l, "labels", q->endpoint, q->version, &x, err));
    x->holds = c.predictions >= (uint64_t)s->performance_rows && share < s->labels_min;
    (void)snprintf(x->text, sizeof x->text,
                   "%.*s: %.1f %% of %llu predictions of version %.*s have a label, below the "
                   "bound of %.1f %%",
                   GY_STR_A(q->endpoint), share * 100, (unsigned long long)c.predictions,
                   GY_STR_A(q->version), s->labels_min * 100);
    return GY_OK;
}

static gy_status review_queue(struct look *l, struct gy_str endpoint,
                              const struct gy_watch_settings *s, struct gy_err *err)
{
    struct condition *x;
    int64_t waiting = 0;
    if (s->review_max == 0) {
        return GY_OK;
    }
    for (size_t i = 0; i < l->n_queues; i++) {
        if (gy_str_eq(l->queues[i].endpoint, endpoint)) {
            waiting = l->queues[i].open + l->queues[i].assigned;
        }
    }
    GY_TRY(add(l, "review_queue", endpoint, GY_STR(""), &x, err));
    x->holds = waiting > s->review_max;
    (void)snprintf(x->text, sizeof x->text, "%.*s: %lld rows wait for a reviewer, more than %lld",
                   GY_STR_A(endpoint), (long long)waiting, (long long)s->review_max);
    return GY_OK;
}

static gy_status log_lag(struct look *l, double max_seconds, struct gy_err *err)
{
    struct condition *x;
    struct gy_watcher_stats stats;
    gy_watcher_get_stats(l->w, &stats);
    GY_TRY(add(l, "log_lag", GY_STR(""), GY_STR(""), &x, err));
    x->holds = stats.lag_seconds > max_seconds;
    (void)snprintf(x->text, sizeof x->text,
                   "the watcher is %.0f s behind the predictions, more than %.0f s",
                   stats.lag_seconds, max_seconds);
    return GY_OK;
}

static gy_status look_at_version(struct look *l, struct gy_str endpoint, struct gy_str version,
                                 const struct gy_watch_settings *s, struct gy_err *err)
{
    struct gy_join_counts c;
    struct gy_join_query q = {
        .endpoint = endpoint, .version = version, .last_n = (size_t)s->performance_rows};
    GY_TRY(gy_join_counts(l->b->join, &q, NULL, &c, err));
    GY_TRY(recall(l, &q, &c, s, err));
    GY_TRY(rule_precision(l, &q, &c, s, err));
    return labels(l, &q, s, err);
}

static gy_status look_at_all(struct look *l, struct gy_err *err)
{
    double max_lag = INFINITY;
    for (size_t i = 0; i < l->n_served; i++) {
        const struct gy_revision *r = &l->served[i];
        const struct gy_watch_settings *s = gy_watcher_settings(l->w, r->endpoint);
        const struct gy_shape *shape;
        GY_TRY(gy_shapes_get(l->b->shapes, r->endpoint, r->revision, &shape, err));
        for (size_t v = 0; v < shape->n_variants; v++) {
            if (shape->variants[v].role != GY_VARIANT_SHADOW) {
                GY_TRY(look_at_version(l, r->endpoint, shape->variants[v].version, s, err));
            }
        }
        GY_TRY(review_queue(l, r->endpoint, s, err));
        max_lag = fmin(max_lag, s->lag_max_seconds);
    }
    return isfinite(max_lag) ? log_lag(l, max_lag, err) : GY_OK;
}

/* ---- telling ---- */

static gy_status kept_of(struct gy_bounds *b, struct condition *c, struct gy_err *err)
{
    char key[1200];
    int n = snprintf(key, sizeof key, "%s:%.*s:%.*s", c->kind, GY_STR_A(c->endpoint),
                     GY_STR_A(c->subject));
    struct gy_str k = gy_str_n(key, n < 0                    ? 0
                                    : (size_t)n < sizeof key ? (size_t)n
                                                             : sizeof key - 1);
    c->kept = gy_map_get(&b->kept, k);
    if (c->kept) {
        return GY_OK;
    }
    struct kept *kept = gy_calloc(1, sizeof *kept);
    if (!kept) {
        return gy_err_set(err, GY_E_NOMEM, "the bounds of the watcher");
    }
    kept->firing = true; /* by a server before this one, perhaps */
    gy_status st = gy_map_put(&b->kept, k, kept, err);
    if (st != GY_OK) {
        gy_free(kept);
        return st;
    }
    c->kept = kept;
    return GY_OK;
}

static bool is_news(const struct condition *c)
{
    return c->holds != c->kept->firing ||
           (c->holds && gy_mono_ns() - c->kept->written_ns > REFRESH_NS);
}

static gy_status write_all(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct look *l = ctx;
    for (const struct condition *c = l->all; c; c = c->next) {
        if (!is_news(c)) {
            continue;
        }
        if (!c->holds) {
            GY_TRY(gy_alert_clear(db, c->kind, c->endpoint, c->subject, GY_STR_NULL, GY_STR("gyre"),
                                  err));
            continue;
        }
        const struct gy_alert a = {.kind = gy_str_c(c->kind),
                                   .endpoint = c->endpoint,
                                   .subject = c->subject,
                                   .text = gy_str_c(c->text),
                                   .data = c->data,
                                   .actor = GY_STR("gyre")};
        GY_TRY(gy_alert_raise(db, &a, NULL, err));
    }
    return GY_OK;
}

static gy_status tell(struct look *l, struct gy_err *err)
{
    bool news = false;
    for (struct condition *c = l->all; c; c = c->next) {
        GY_TRY(kept_of(l->b, c, err));
        news = news || is_news(c);
    }
    if (!news) {
        return GY_OK;
    }
    GY_TRY(gy_store_write(l->b->store, write_all, l, err));
    for (struct condition *c = l->all; c; c = c->next) {
        if (is_news(c)) {
            c->kept->firing = c->holds;
            c->kept->written_ns = gy_mono_ns();
        }
    }
    return GY_OK;
}

static gy_status read_look(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct look *l = ctx;
    GY_TRY(gy_revision_current(db, &l->b->arena, &l->served, &l->n_served, err));
    return gy_review_queues(db, GY_STR_NULL, false, &l->b->arena, &l->queues, &l->n_queues, err);
}

gy_status gy_bounds_tick(void *self, struct gy_watcher *w, bool fresh, struct gy_err *err)
{
    struct gy_bounds *b = self;
    struct look l = {.b = b, .w = w};
    (void)fresh;
    gy_arena_reset(&b->arena);
    GY_TRY(gy_store_read(b->store, read_look, &l, err));
    GY_TRY(look_at_all(&l, err));
    return tell(&l, err);
}

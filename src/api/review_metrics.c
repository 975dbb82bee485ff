/* SPDX-License-Identifier: Apache-2.0 */
/* What /metrics says of review queues and webhooks. */
#include "api/review_api.h"
#include "watch/review.h"
#include "watch/webhook.h"

struct metrics_call {
    struct gy_arena *a;
    struct gy_review_queue *queues;
    size_t n_queues;
    struct gy_webhook *hooks;
    size_t n_hooks;
};

static gy_status metrics_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct metrics_call *c = ctx;
    GY_TRY(gy_review_queues(db, GY_STR_NULL, false, c->a, &c->queues, &c->n_queues, err));
    return gy_webhook_list(db, c->a, &c->hooks, &c->n_hooks, err);
}

static void family(struct gy_buf *b, const char *name, const char *help)
{
    gy_buf_addf(b, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

/* Names of endpoints need no escaping. */
static void row(struct gy_buf *b, const struct gy_review_queue *q, const char *state, int64_t v)
{
    gy_buf_addf(b, "gyre_review_rows{endpoint=\"%" GY_STR_F "\",state=\"%s\"} %lld\n",
                GY_STR_A(q->endpoint), state, (long long)v);
}

static void queues(struct gy_buf *b, const struct metrics_call *c)
{
    family(b, "gyre_review_rows", "Rows of the review queue by state.");
    for (size_t i = 0; i < c->n_queues; i++) {
        const struct gy_review_queue *q = &c->queues[i];
        row(b, q, "open", q->open);
        row(b, q, "assigned", q->assigned);
        row(b, q, "done", q->done);
        row(b, q, "skipped", q->skipped);
    }
    family(b, "gyre_review_agreed", "Verdicts that are what was answered.");
    for (size_t i = 0; i < c->n_queues; i++) {
        gy_buf_addf(b, "gyre_review_agreed{endpoint=\"%" GY_STR_F "\"} %lld\n",
                    GY_STR_A(c->queues[i].endpoint), (long long)c->queues[i].agreed);
    }
    family(b, "gyre_review_simulated", "Verdicts that no person gave.");
    for (size_t i = 0; i < c->n_queues; i++) {
        gy_buf_addf(b, "gyre_review_simulated{endpoint=\"%" GY_STR_F "\"} %lld\n",
                    GY_STR_A(c->queues[i].endpoint), (long long)c->queues[i].simulated);
    }
}

gy_status gy_review_metrics(struct gy_app *app, struct gy_arena *a, struct gy_buf *b,
                            struct gy_err *err)
{
    struct metrics_call c = {.a = a};
    int64_t delivered = 0, pending = 0, failed = 0;
    GY_TRY(gy_store_read(app->store, metrics_closure, &c, err));
    queues(b, &c);
    for (size_t i = 0; i < c.n_hooks; i++) {
        delivered += c.hooks[i].delivered;
        pending += c.hooks[i].pending;
        failed += c.hooks[i].failed;
    }
    family(b, "gyre_webhook_messages", "Messages of webhooks by state.");
    gy_buf_addf(b,
                "gyre_webhook_messages{state=\"delivered\"} %lld\n"
                "gyre_webhook_messages{state=\"pending\"} %lld\n"
                "gyre_webhook_messages{state=\"failed\"} %lld\n",
                (long long)delivered, (long long)pending, (long long)failed);
    return GY_OK;
}

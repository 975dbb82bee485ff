/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted anyway, under the names that other servers' dashboards ask for. Nothing is made
 * up for it: what Gyre does not measure is not there. Failures are counted without their time. */
#include <stdio.h>

#include "api/metrics_internal.h"

/* Labels of one version: Triton's and MLServer's. */
#define MODEL "{model=\"%" GY_STR_F "\",version=\"%" GY_STR_F "\"%s} "

struct counter {
    const char *name, *help;
    size_t offset; /* of a count in struct gy_stat_sum */
    double unit;   /* what it is multiplied by */
};

static uint64_t count_at(const struct gy_stat_sum *sum, size_t offset)
{
    uint64_t v;
    memcpy(&v, (const char *)sum + offset, sizeof v);
    return v;
}

static void counters(struct gy_buf *b, const struct gy_endpoint_stats *all,
                     const struct counter *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        gy_metric_family(b, list[i].name, "counter", list[i].help);
        for (const struct gy_endpoint_stats *s = all; s; s = s->next) {
            struct gy_stat_sum sum;
            gy_endpoint_stats_sum(s, &sum);
            gy_buf_addf(b, "%s" MODEL, list[i].name, GY_STR_A(s->endpoint), GY_STR_A(s->version),
                        "");
            gy_metric_number(b, (double)count_at(&sum, list[i].offset) * list[i].unit);
        }
    }
}

static void triton(struct gy_buf *b, const struct gy_endpoint_stats *all)
{
    static const struct counter list[] = {
        {"nv_inference_request_success", "Triton: requests answered.",
         offsetof(struct gy_stat_sum, ok), 1},
        {"nv_inference_count", "Triton: rows predicted.", offsetof(struct gy_stat_sum, rows), 1},
        {"nv_inference_exec_count", "Triton: executions; each request is one.",
         offsetof(struct gy_stat_sum, ok), 1},
        {"nv_inference_compute_infer_duration_us",
         "Triton: reading, model and writing of answered requests.",
         offsetof(struct gy_stat_sum, latency_ns), 1e-3},
        {"nv_inference_queue_duration_us", "Triton: what answered requests waited for a worker.",
         offsetof(struct gy_stat_sum, queue_ns), 1e-3},
    };
    counters(b, all, list, sizeof list / sizeof list[0]);
    gy_metric_family(b, "nv_inference_request_duration_us", "counter",
                     "Triton: waiting and answering of answered requests.");
    for (const struct gy_endpoint_stats *s = all; s; s = s->next) {
        struct gy_stat_sum sum;
        gy_endpoint_stats_sum(s, &sum);
        gy_buf_addf(b, "nv_inference_request_duration_us" MODEL, GY_STR_A(s->endpoint),
                    GY_STR_A(s->version), "");
        gy_metric_number(b, (double)(sum.latency_ns + sum.queue_ns) / 1e3);
    }
    gy_metric_family(b, "nv_inference_request_failure", "counter",
                     "Triton: requests not answered; REJECTED before they were begun.");
    for (const struct gy_endpoint_stats *s = all; s; s = s->next) {
        struct gy_stat_sum sum;
        gy_endpoint_stats_sum(s, &sum);
        uint64_t rejected = sum.limited + sum.shed;
        uint64_t failed = sum.refused + sum.no_number + sum.failed;
        gy_buf_addf(b, "nv_inference_request_failure" MODEL, GY_STR_A(s->endpoint),
                    GY_STR_A(s->version), ",reason=\"REJECTED\"");
        gy_metric_number(b, (double)rejected);
        gy_buf_addf(b, "nv_inference_request_failure" MODEL, GY_STR_A(s->endpoint),
                    GY_STR_A(s->version), ",reason=\"OTHER\"");
        gy_metric_number(b, (double)(failed > rejected ? failed - rejected : 0));
    }
}

/* Buckets, sum and count of what was answered. labels: with braces open, without `le`. */
static void histogram(struct gy_buf *b, const char *name, const char *labels,
                      const struct gy_stat_sum *sum)
{
    for (size_t i = 0; i < GY_STATS_BUCKETS; i++) {
        char bound[32] = "+Inf";
        if (i < GY_STATS_BUCKETS - 1) {
            (void)gy_fmt_f64((double)gy_stat_bound_ns(i) / 1e9, bound);
        }
        gy_buf_addf(b, "%s_bucket{%s,le=\"%s\"} %llu\n", name, labels, bound,
                    (unsigned long long)sum->buckets[i]);
    }
    gy_buf_addf(b, "%s_sum{%s} ", name, labels);
    gy_metric_number(b, (double)sum->latency_ns / 1e9);
    gy_buf_addf(b, "%s_count{%s} %llu\n", name, labels,
                (unsigned long long)sum->buckets[GY_STATS_BUCKETS - 1]);
}

#define MAX_LABELS 1024 /* names of endpoints and versions are short */

static void seldon(struct gy_buf *b, const struct gy_endpoint_stats *all)
{
    static const char name[] = "seldon_api_executor_server_requests_seconds";
    gy_metric_family(b, name, "histogram",
                     "Seldon: requests by code; failures without their time.");
    for (const struct gy_endpoint_stats *s = all; s; s = s->next) {
        struct gy_stat_sum sum;
        char labels[MAX_LABELS], coded[MAX_LABELS + 16];
        gy_endpoint_stats_sum(s, &sum);
        (void)snprintf(labels, sizeof labels,
                       "deployment_name=\"%" GY_STR_F "\",predictor_name=\"%" GY_STR_F
                       "\",predictor_version=\"%" GY_STR_F "\",model_name=\"%" GY_STR_F
                       "\",model_version=\"%" GY_STR_F "\",service=\"predictions\",method=\"post\"",
                       GY_STR_A(s->endpoint), GY_STR_A(s->endpoint), GY_STR_A(s->version),
                       GY_STR_A(s->endpoint), GY_STR_A(s->version));
        (void)snprintf(coded, sizeof coded, "%s,code=\"200\"", labels);
        histogram(b, name, coded, &sum);
        const struct {
            const char *code;
            uint64_t n;
        } failures[] = {{"400", sum.refused + sum.no_number}, {"500", sum.failed}};
        for (size_t i = 0; i < 2; i++) {
            gy_buf_addf(b,
                        "%s_bucket{%s,code=\"%s\",le=\"+Inf\"} %llu\n%s_sum{%s,code=\"%s\"} 0\n"
                        "%s_count{%s,code=\"%s\"} %llu\n",
                        name, labels, failures[i].code, (unsigned long long)failures[i].n, name,
                        labels, failures[i].code, name, labels, failures[i].code,
                        (unsigned long long)failures[i].n);
        }
    }
}

/* Its label is the model alone: versions are added up. */
static void kserve(struct gy_buf *b, const struct gy_endpoint_stats *all)
{
    static const char name[] = "request_predict_seconds";
    gy_metric_family(b, name, "histogram", "KServe: time of answered requests.");
    for (const struct gy_endpoint_stats *s = all; s; s = s->next) {
        bool told = false; /* with an earlier version of the endpoint */
        for (const struct gy_endpoint_stats *e = all; e != s && !told; e = e->next) {
            told = gy_str_eq(e->endpoint, s->endpoint);
        }
        struct gy_stat_sum sum = {0};
        for (const struct gy_endpoint_stats *e = s; e && !told; e = e->next) {
            struct gy_stat_sum one;
            if (gy_str_eq(e->endpoint, s->endpoint)) {
                gy_endpoint_stats_sum(e, &one);
                gy_stat_plus(&sum, &one);
            }
        }
        if (!told) {
            char labels[MAX_LABELS];
            (void)snprintf(labels, sizeof labels, "model_name=\"%" GY_STR_F "\"",
                           GY_STR_A(s->endpoint));
            histogram(b, name, labels, &sum);
        }
    }
}

static void mlserver(struct gy_buf *b, const struct gy_endpoint_stats *all)
{
    static const struct counter list[] = {
        {"model_infer_request_success_total", "MLServer: requests answered.",
         offsetof(struct gy_stat_sum, ok), 1},
    };
    static const char name[] = "model_infer_request_duration";
    counters(b, all, list, 1);
    gy_metric_family(b, "model_infer_request_failure_total", "counter",
                     "MLServer: requests not answered.");
    for (const struct gy_endpoint_stats *s = all; s; s = s->next) {
        struct gy_stat_sum sum;
        gy_endpoint_stats_sum(s, &sum);
        gy_buf_addf(b, "model_infer_request_failure_total" MODEL, GY_STR_A(s->endpoint),
                    GY_STR_A(s->version), "");
        gy_metric_number(b, (double)(sum.refused + sum.no_number + sum.failed));
    }
    gy_metric_family(b, name, "summary", "MLServer: time of answered requests, seconds.");
    for (const struct gy_endpoint_stats *s = all; s; s = s->next) {
        struct gy_stat_sum sum;
        gy_endpoint_stats_sum(s, &sum);
        gy_buf_addf(b, "%s_count" MODEL, name, GY_STR_A(s->endpoint), GY_STR_A(s->version), "");
        gy_metric_number(b, (double)sum.buckets[GY_STATS_BUCKETS - 1]);
        gy_buf_addf(b, "%s_sum" MODEL, name, GY_STR_A(s->endpoint), GY_STR_A(s->version), "");
        gy_metric_number(b, (double)sum.latency_ns / 1e9);
    }
}

void gy_metrics_peers(struct gy_buf *b, const struct gy_endpoint_stats *all)
{
    triton(b, all);
    seldon(b, all);
    kserve(b, all);
    mlserver(b, all);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "base/file.h"
#include "base/id.h"
#include "data/synth_cases.h"

enum { N_V = 28, N_PATTERNS = 3, MAX_ROWS = 3000000 };
#define MAX_BYTES ((size_t)2 << 30)
#define FRAUD_SHARE (492.0 / 284807)
#define HIDDEN_SHARE 0.16 /* frauds that look like any other payment */

/* How far a pattern moves V1..V28, in standard deviations; what is not named stays. */
struct pattern {
    double share; /* cumulated */
    double log_amount, spread;
    struct {
        int v;
        double by;
    } moves[9];
};
static const struct pattern g_patterns[N_PATTERNS] = {
    {0.5,
     2.5,
     1.6,
     {{3, -2.6},
      {4, 2.4},
      {7, -2.2},
      {10, -3.1},
      {11, 2.5},
      {12, -3.6},
      {14, -4.4},
      {16, -3.0},
      {17, -3.9}}},
    {0.8, 0.2, 0.6, {{2, 1.4}, {4, 1.9}, {11, 1.5}, {12, -1.6}, {14, -2.7}, {19, 0.9}, {9, -1.2}}},
    {1.0, 5.2, 0.7, {{1, -1.9}, {5, -1.7}, {7, -1.4}, {14, -1.8}, {20, 1.9}, {21, 1.2}, {27, 1.4}}},
};

/* The spread of the i-th component of a principal component analysis: it falls. */
static double spread_of(int v)
{
    return 1.96 * pow(0.94, v - 1);
}

static const struct pattern *draw_pattern(struct gy_rng *r)
{
    double u = gy_rng_f64(r);
    const struct pattern *p = g_patterns;
    while (u >= p->share) {
        p++;
    }
    return p;
}

static void add_row(struct gy_rng *r, double time_s, bool fraud, struct gy_buf *out)
{
    double v[N_V + 1];
    double log_amount = 3.2, spread = 1.5;
    /* Heavy tails: a payment that is unusual is so in many components. */
    double tail = exp(0.35 * gy_rng_normal(r));
    for (int i = 1; i <= N_V; i++) {
        v[i] = spread_of(i) * tail * gy_rng_normal(r);
    }
    bool hidden = gy_rng_f64(r) < HIDDEN_SHARE;
    const struct pattern *p = draw_pattern(r);
    /* Some frauds give themselves away, some hardly. */
    double strength = 0.5 + 3 * gy_rng_f64(r);
    if (fraud && !hidden) {
        log_amount = p->log_amount;
        spread = p->spread;
        for (size_t k = 0; k < 9 && p->moves[k].v; k++) {
            v[p->moves[k].v] += strength * p->moves[k].by * spread_of(p->moves[k].v);
        }
    }
    gy_buf_addf(out, "%.0f", time_s);
    for (int i = 1; i <= N_V; i++) {
        gy_buf_addf(out, ",%.6f", v[i]);
    }
    gy_buf_addf(out, ",%.2f,%d\n", exp(log_amount + spread * gy_rng_normal(r)), fraud);
}

gy_status gy_synth_transactions(int64_t rows, uint64_t seed, const char *out,
                                struct gy_synth_result *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_rng r;
    gy_buf_init(&text, MAX_BYTES);
    if (rows < 1000 || rows > MAX_ROWS) {
        return gy_err_set(err, GY_E_INVALID, "transactions: --rows must be 1000 to %d", MAX_ROWS);
    }
    gy_rng_init_stream(&r, seed, 1);
    gy_buf_addc(&text, "Time");
    for (int i = 1; i <= N_V; i++) {
        gy_buf_addf(&text, ",V%d", i);
    }
    gy_buf_addc(&text, ",Amount,Class\n");
    int64_t left = llround((double)rows * FRAUD_SHARE);
    *ret = (struct gy_synth_result){.rows = rows, .positives = left};
    for (int64_t i = 0; i < rows; i++) {
        /* Exactly that many, anywhere (Knuth, volume 2, 3.4.2, algorithm S). */
        bool fraud = (int64_t)gy_rng_below(&r, (uint64_t)(rows - i)) < left;
        left -= fraud;
        add_row(&r, 172800.0 * (double)i / (double)rows, fraud, &text);
    }
    GY_TRY(gy_buf_check(&text, "made rows", err));
    ret->bytes = (int64_t)text.n;
    return gy_file_write(out, gy_buf_str(&text), 0666, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* `gyre demo sepsis`: what its parts share. demo_line.c plays the line (from a CSV to an endpoint),
 * demo_loop.c the loop (patients, reviewer, shifts, retraining, rollouts), demo_result.c and
 * demo_report.c say what held. Nothing here computes a result: each step runs a command that the
 * user can run again, reads what it answered, and checks it against what must hold. Main thread
 * only. */
#ifndef GY_CLI_DEMO_SEPSIS_H
#define GY_CLI_DEMO_SEPSIS_H

#include "base/hash.h"
#include "base/id.h"
#include "cli/demo.h"
#include "cli/demo_live.h"

#define GY_DEMO_REVIEW_ERROR 0.03
#define GY_DEMO_REVIEW_SEED 11
#define GY_DEMO_ELDERLY 24000 /* of the second ward: as many as the rollouts need, at most */
#define GY_DEMO_UNSEEN 3000   /* ... that no training sees */

/* A number as a command gave it, with its interval; NaN: not there. */
struct gy_demo_rate {
    double value, low, high;
};

/* What the steps found; the final table is made of it. */
struct gy_sepsis {
    struct gy_demo *d;
    struct gy_caller *person; /* over the socket: the user is the actor */
    /* the line */
    int64_t read, accepted, dead, bad;
    char data_sha256[GY_SHA256_HEX];
    int64_t baseline_version, challenger_version, refused_version;
    /* the loop */
    int64_t champion_version;
    int64_t requests, non_2xx, rule_hits, verdicts, reviewer_erred;
    int64_t expected_reviews;                   /* answers so far: each becomes a review */
    struct gy_demo_rate rules, model, combined; /* recall, from the reviewer's labels */
    double ceiling;                             /* the label rule on vitals alone */
    struct {
        bool detected, refused, repaired;
        char feature[GY_MAX_NAME], cause[32];
        double offset, rule_precision_before, rule_precision;
        int64_t windows;
    } offset;
    struct {
        bool detected, retrained, approved, promoted;
        char cause[32], job[GY_UUID_TEXT];
        int64_t version;
        struct gy_demo_rate before, after; /* recall on patients that nobody trained on */
    } shift;
    struct {
        int64_t version;
        bool refused;
    } poisoned;
    struct {
        bool rolled_back;
        char reason[256];
    } bad_canary;
    bool rollback_identical;
    char prediction_id[GY_UUID_TEXT];
    yyjson_doc *trace;
    char report[GY_MAX_PATH];
};

/* The parts, in this order. Each fails with the step that missed its expectation. */
GY_CHECKED gy_status gy_sepsis_line(struct gy_sepsis *s, struct gy_err *err);
GY_CHECKED gy_status gy_sepsis_loop(struct gy_sepsis *s, struct gy_err *err);
GY_CHECKED gy_status gy_sepsis_report(struct gy_sepsis *s, struct gy_err *err);
/* The lines of the final table: did it hold, what, in which numbers. */
typedef void (*gy_sepsis_row_fn)(void *ctx, bool ok, const char *what, const char *text);
void gy_sepsis_rows(const struct gy_sepsis *s, gy_sepsis_row_fn row, void *ctx);
/* The loop as an SVG picture with this run's numbers, appended to out. */
GY_CHECKED gy_status gy_sepsis_picture(const struct gy_sepsis *s, struct gy_buf *out,
                                       struct gy_err *err);
/* The table for people, and the members of the --json table. */
void gy_sepsis_say(const struct gy_sepsis *s);
void gy_sepsis_json(const struct gy_sepsis *s, struct gy_jw *w);

#endif

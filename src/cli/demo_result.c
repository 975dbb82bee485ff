/* SPDX-License-Identifier: Apache-2.0 */
/* What held: the final table for people, and the --json answer. */
#include <math.h>

#include "cli/demo_sepsis.h"

/* ---- the --json answer ---- */

static void kv_rate(struct gy_jw *w, const char *key, double v)
{
    if (isnan(v)) {
        gy_jw_kv_null(w, key);
    } else {
        gy_jw_kv_f64(w, key, v);
    }
}

static void interval(struct gy_jw *w, const char *key, struct gy_demo_rate r)
{
    gy_jw_key(w, key);
    gy_jw_arr(w);
    gy_jw_f64(w, r.low);
    gy_jw_f64(w, r.high);
    gy_jw_arr_end(w);
}

static void write_trace(const struct gy_sepsis *s, struct gy_jw *w)
{
    static const char *const keys[] = {"prediction_id", "revision",      "model_version", "run_id",
                                       "data_sha256",   "code_revision", "approver"};
    gy_jw_key(w, "trace");
    gy_jw_obj(w);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        gy_jw_key(w, keys[i]);
        gy_jw_val(w, gy_json_get(yyjson_doc_get_root(s->trace), keys[i]));
    }
    gy_jw_obj_end(w);
}

static void write_recall(const struct gy_sepsis *s, struct gy_jw *w)
{
    gy_jw_key(w, "recall");
    gy_jw_obj(w);
    kv_rate(w, "rules", s->rules.value);
    kv_rate(w, "model", s->model.value);
    kv_rate(w, "combined", s->combined.value);
    interval(w, "rules_interval", s->rules);
    interval(w, "model_interval", s->model);
    interval(w, "combined_interval", s->combined);
    kv_rate(w, "ceiling", s->ceiling);
    gy_jw_obj_end(w);
}

static void write_changes(const struct gy_sepsis *s, struct gy_jw *w)
{
    gy_jw_key(w, "offset");
    gy_jw_obj(w);
    gy_jw_kv_bool(w, "detected", s->offset.detected);
    gy_jw_kv_strc(w, "retrain", s->offset.refused ? "refused" : "started");
    gy_jw_kv_strc(w, "cause", s->offset.cause);
    gy_jw_kv_strc(w, "feature", s->offset.feature);
    kv_rate(w, "offset", s->offset.offset);
    kv_rate(w, "rule_precision_before", s->offset.rule_precision_before);
    kv_rate(w, "rule_precision", s->offset.rule_precision);
    gy_jw_kv_bool(w, "cleared", s->offset.repaired);
    gy_jw_obj_end(w);
    gy_jw_key(w, "shift");
    gy_jw_obj(w);
    gy_jw_kv_bool(w, "detected", s->shift.detected);
    gy_jw_kv_strc(w, "retrain", s->shift.promoted ? "promoted" : "none");
    gy_jw_kv_strc(w, "cause", s->shift.cause);
    gy_jw_kv_strc(w, "job", s->shift.job);
    gy_jw_kv_i64(w, "version", s->shift.version);
    kv_rate(w, "recall_before", s->shift.before.value);
    kv_rate(w, "recall_after", s->shift.after.value);
    interval(w, "recall_before_interval", s->shift.before);
    interval(w, "recall_after_interval", s->shift.after);
    gy_jw_obj_end(w);
}

void gy_sepsis_json(const struct gy_sepsis *s, struct gy_jw *w)
{
    gy_jw_kv_i64(w, "read", s->read);
    gy_jw_kv_i64(w, "accepted", s->accepted);
    gy_jw_kv_i64(w, "dead", s->dead);
    gy_jw_kv_i64(w, "refused_version", s->refused_version);
    gy_jw_kv_i64(w, "champion_version", s->champion_version);
    write_recall(s, w);
    gy_jw_kv_i64(w, "verdicts", s->verdicts);
    gy_jw_kv_i64(w, "reviewer_erred", s->reviewer_erred);
    write_changes(s, w);
    gy_jw_kv_i64(w, "poisoned_version", s->poisoned.version);
    gy_jw_kv_bool(w, "poisoned_refused", s->poisoned.refused);
    gy_jw_kv_bool(w, "canary_rolled_back", s->bad_canary.rolled_back);
    gy_jw_kv_strc(w, "rollback_reason", s->bad_canary.reason);
    gy_jw_kv_i64(w, "requests", s->requests);
    gy_jw_kv_i64(w, "non_2xx", s->non_2xx);
    gy_jw_kv_bool(w, "rollback_identical", s->rollback_identical);
    gy_jw_kv_strc(w, "report", s->report);
    write_trace(s, w);
}

/* ---- for people ---- */

void gy_sepsis_rows(const struct gy_sepsis *s, gy_sepsis_row_fn row, void *ctx)
{
    char text[512];
    const char *pid = s->prediction_id;
    yyjson_val *t = yyjson_doc_get_root(s->trace);
#define ROW(ok, what, ...) \
    ((void)snprintf(text, sizeof text, __VA_ARGS__), row(ctx, ok, what, text))
    ROW(s->accepted + s->dead == s->read, "nothing was lost",
        "read %lld = accepted %lld + dead-lettered %lld", (long long)s->read,
        (long long)s->accepted, (long long)s->dead);
    ROW(s->refused_version > 0, "the gate",
        "version %lld (never alarms) and version %lld (poisoned) were refused",
        (long long)s->refused_version, (long long)s->poisoned.version);
    ROW(s->combined.value >= s->rules.value, "recall",
        "rules %.3f (%.3f-%.3f), model %.3f (%.3f-%.3f), combined %.3f (%.3f-%.3f)", s->rules.value,
        s->rules.low, s->rules.high, s->model.value, s->model.low, s->model.high, s->combined.value,
        s->combined.low, s->combined.high);
    ROW(s->ceiling > 0, "the ceiling",
        "%.3f: what the rule behind the labels finds in vital signs alone, without a blood count",
        s->ceiling);
    ROW(s->offset.detected && s->offset.refused, "(a) a sensor's offset",
        "%s %+.2f: noticed, told as a %s's fault, retraining refused, cleared by the repair",
        s->offset.feature, s->offset.offset, s->offset.cause);
    ROW(s->shift.promoted, "(b) another population",
        "noticed, retrained, approved, canary, promoted: version %lld",
        (long long)s->shift.version);
    ROW(s->shift.after.low > s->shift.before.high, "it helped",
        "recall on unseen elderly %.3f (%.3f-%.3f) before, %.3f (%.3f-%.3f) after",
        s->shift.before.value, s->shift.before.low, s->shift.before.high, s->shift.after.value,
        s->shift.after.low, s->shift.after.high);
    ROW(s->bad_canary.rolled_back && s->rollback_identical, "a bad canary",
        "rolled back by itself; afterwards the same bytes as before");
    ROW(s->non_2xx == 0, "requests",
        "%lld through deploys, promotion and rollback, %lld of them not 2xx",
        (long long)s->requests, (long long)s->non_2xx);
    ROW(pid[0] != '\0', "the trace", "%s: revision %lld, run %.8s, data %.8s, approved by %s", pid,
        (long long)gy_json_i64(t, "revision", 0),
        gy_json_str(t, "run_id").p ? gy_json_str(t, "run_id").p : "?",
        gy_json_str(t, "data_sha256").p ? gy_json_str(t, "data_sha256").p : "?",
        gy_json_str(t, "approver").p ? gy_json_str(t, "approver").p : "?");
#undef ROW
}

static void say_row(void *ctx, bool ok, const char *what, const char *text)
{
    const struct gy_cli *cli = ctx;
    const char *mark = ok ? "\xe2\x9c\x94" : "\xe2\x9c\x98";
    gy_cli_say(cli, "  %s%s%s %-24s %s\n", cli->color ? (ok ? "\033[32m" : "\033[31m") : "", mark,
               cli->color ? "\033[0m" : "", what, text);
}

void gy_sepsis_say(const struct gy_sepsis *s)
{
    struct gy_cli *cli = s->d->cli;
    gy_cli_say(cli,
               "\nWhat held (verdicts by a simulated reviewer, %lld, %lld of them wrong on "
               "purpose)\n",
               (long long)s->verdicts, (long long)s->reviewer_erred);
    gy_sepsis_rows(s, say_row, cli);
    gy_cli_say(cli, "\n  report      %s\n  to go on    cd %s && gyre server\n", s->report,
               s->d->dir);
    gy_cli_say(cli, "  clean up    rm -r %s\n", s->d->dir);
}

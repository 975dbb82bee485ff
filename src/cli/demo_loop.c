/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: patients are answered, a (simulated) reviewer judges, what has changed is noticed, and
 * each change gets its own cure: a sensor that reads too high is never cured by retraining, another
 * population is. */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/time.h"
#include "cli/demo_sepsis.h"
#include "net/http_client.h"

#define API "/api/gyre/v1"

enum {
    N_LIVE = 2000,       /* of each group; two windows */
    N_SHIFT_STEP = 1000, /* elderly patients between two looks */
    WAIT_MS = 300000,    /* a slow machine retrains within minutes; a fault would show at once */
    SLOW_US = 20000,     /* between two patients of a connection while a retraining goes on ... */
    FAST_US = 2500,      /* ... and while a canary is looked at */
    POLL_MS = 25,
};

/* ---- waiting for what the server does by itself ---- */

/* *ret_done: it is so. */
typedef gy_status (*look_fn)(struct gy_sepsis *s, void *ctx, bool *ret_done, struct gy_err *err);

static void sleep_ms(int ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL); /* a signal only shortens it */
}

static gy_status wait_for(struct gy_sepsis *s, look_fn look, void *ctx, const char *what,
                          struct gy_err *err)
{
    int64_t end = gy_mono_ns() + (int64_t)WAIT_MS * 1000000;
    for (;;) {
        bool done = false;
        GY_TRY(look(s, ctx, &done, err));
        if (done) {
            return GY_OK;
        }
        if (gy_mono_ns() > end) {
            (void)gy_err_set(err, GY_E_TIMEOUT, "%s did not come about within %d s", what,
                             WAIT_MS / 1000);
            return gy_err_hint(err, "%s/.gyre/demo.log has what the server said", s->d->dir);
        }
        sleep_ms(POLL_MS);
    }
}

static gy_status get(struct gy_sepsis *s, const char *path, yyjson_doc **ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    gy_collect_init(&answer, 64 * GY_MIB);
    GY_TRY(gy_call_json(s->person, "GET", path, GY_STR_NULL, &answer, err));
    return gy_json_parse(gy_buf_str(&answer.body), ret, err);
}

/* ---- patients ---- */

static gy_status load(struct gy_sepsis *s, const char *file, struct gy_demo_live *ret,
                      struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, s->d->dir, file, err));
    return gy_demo_live_load(path, s->d->address, ret, err);
}

static void count(struct gy_sepsis *s, const struct gy_demo_live *l)
{
    s->requests += (int64_t)(atomic_load(&l->n_asked) + atomic_load(&l->n_failed));
    s->non_2xx += (int64_t)atomic_load(&l->n_failed);
    for (size_t i = 0; i < l->n; i++) {
        s->rule_hits += atomic_load(&l->patients[i].answered) && l->patients[i].by_rule;
    }
}

/* All patients of a file, answered. */
static gy_status stream(struct gy_demo_live *l, struct gy_err *err)
{
    GY_TRY(gy_demo_live_start(l, err));
    gy_demo_live_join(l);
    return GY_OK;
}

/* The simulated reviewer judges what was answered since the last time. */
static gy_status review(struct gy_sepsis *s, struct gy_demo_live *l, int64_t *ret_verdicts,
                        struct gy_err *err)
{
    struct gy_demo_review done = {0};
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    size_t end = gy_demo_live_answered(l);
    GY_TRY(get(s, API "/watch?endpoint=sepsis&wait=1", &doc, err)); /* all so far are queued */
    GY_TRY(gy_demo_live_review(l, end, s->person, GY_DEMO_REVIEW_ERROR, GY_DEMO_REVIEW_SEED, &done,
                               err));
    s->verdicts += done.verdicts;
    s->reviewer_erred += done.wrong;
    if (ret_verdicts) {
        *ret_verdicts = done.verdicts;
    }
    return GY_OK;
}

/* ---- performance ---- */

static struct gy_demo_rate rate(yyjson_val *way, const char *metric)
{
    yyjson_val *m = gy_json_get(way, metric);
    return (struct gy_demo_rate){gy_json_f64(m, "value", NAN), gy_json_f64(m, "low", NAN),
                                 gy_json_f64(m, "high", NAN)};
}

/* `gyre watch performance` of the newest n labelled patients. */
static gy_status performance(struct gy_sepsis *s, int64_t last, yyjson_doc **ret,
                             struct gy_err *err)
{
    char words[96];
    (void)snprintf(words, sizeof words, "watch performance sepsis --last %lld", (long long)last);
    return gy_demo_gyre(s->d, words, 0, ret, err);
}

/* What a rule on these vital signs could find at best: two or more of the three markers that made
 * the labels; the fourth, the blood count, is in no vital sign. */
static double ceiling_of(const struct gy_demo_live *l)
{
    int64_t found = 0;
    int64_t septic = 0;
    for (size_t i = 0; i < l->n; i++) {
        const struct gy_demo_patient *p = &l->patients[i];
        int markers = (p->temp > 38.3 || p->temp < 36.0) + (p->hr > 90) + (p->resp > 20);
        septic += p->septic;
        found += p->septic && markers >= 2;
    }
    return septic ? (double)found / (double)septic : NAN;
}

static gy_status step_watch(struct gy_sepsis *s, struct gy_err *err)
{
    gy_demo_begin(s->d, "watch it", "gyre watch apply");
    GY_TRY(gy_demo_gyre(s->d, "watch apply", 0, NULL, err));
    return gy_demo_done(s->d, true, err,
                        "drift in windows of 1000, triggers and limits of gyre.yaml");
}

static gy_status step_live(struct gy_sepsis *s, struct gy_demo_live *l, struct gy_err *err)
{
    gy_demo_begin(s->d, "live patients",
                  "curl -d '{\"hr\": 104, \"resp\": 22, \"temp\": 38.9}' %s/predictions",
                  s->d->address);
    GY_TRY(stream(l, err));
    count(s, l);
    s->ceiling = ceiling_of(l);
    return gy_demo_done(s->d, s->requests > 0 && s->non_2xx == 0 && s->rule_hits > 0, err,
                        "%lld answered, %lld of them by the rule, %lld errors",
                        (long long)s->requests, (long long)s->rule_hits, (long long)s->non_2xx);
}

/* Recall of the three ways over the live patients, and the precision of the rule. */
struct three_ways {
    struct gy_demo_rate rules, model, combined, rule_precision;
    int64_t labelled;
};

static gy_status three_ways(struct gy_sepsis *s, struct three_ways *ret, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(performance(s, N_LIVE, &doc, err));
    yyjson_val *by = gy_json_get(yyjson_doc_get_root(doc), "by");
    ret->rules = rate(gy_json_get(by, "rule"), "recall");
    ret->model = rate(gy_json_get(by, "model"), "recall");
    ret->combined = rate(gy_json_get(by, "combined"), "recall");
    ret->rule_precision = rate(gy_json_get(by, "rule"), "precision");
    ret->labelled = gy_json_i64(yyjson_doc_get_root(doc), "labelled", 0);
    return GY_OK;
}

static gy_status step_reviewed(struct gy_sepsis *s, struct gy_demo_live *l, struct gy_err *err)
{
    int64_t n = 0;
    struct three_ways by;
    gy_demo_begin(s->d, "simulated reviewer", "gyre review list sepsis");
    GY_TRY(review(s, l, &n, err));
    GY_TRY(
        gy_demo_done(s->d, n == (int64_t)l->n, err,
                     "%lld verdicts from the held labels, %lld wrong on purpose, tagged simulated",
                     (long long)s->verdicts, (long long)s->reviewer_erred));
    gy_demo_begin(s->d, "by the verdicts", "gyre watch performance sepsis --last %d", N_LIVE);
    GY_TRY(three_ways(s, &by, err));
    return gy_demo_done(s->d, by.labelled == N_LIVE && by.combined.value >= by.rules.value, err,
                        "recall of rule %.3f, model %.3f, both %.3f: healthy patients that were "
                        "called septic count against it",
                        by.rules.value, by.model.value, by.combined.value);
}

/* Diagnoses come later than verdicts, and count for more. */
static gy_status step_truth(struct gy_sepsis *s, struct gy_err *err)
{
    static const char import[] = "feedback import data/raw/live.csv --request-column patient_id "
                                 "--label-column isSepsis --source truth";
    struct three_ways by;
    gy_demo_begin(s->d, "late diagnoses", "gyre %s", import);
    GY_TRY(gy_demo_gyre(s->d, import, 0, NULL, err));
    GY_TRY(three_ways(s, &by, err));
    s->rules = by.rules;
    s->model = by.model;
    s->combined = by.combined;
    s->offset.rule_precision_before = by.rule_precision.value;
    bool ok = by.combined.value >= by.rules.value && by.model.value > 0 && by.labelled == N_LIVE;
    return gy_demo_done(s->d, ok, err,
                        "they overrule the verdicts: rule %.3f, model %.3f, both %.3f (95 %%: "
                        "%.3f-%.3f); ceiling %.3f",
                        by.rules.value, by.model.value, by.combined.value, by.combined.low,
                        by.combined.high, s->ceiling);
}

/* ---- what the watch says ---- */

/* State of all that was answered so far; the newest window of a version. */
static gy_status look(struct gy_sepsis *s, int64_t version, yyjson_doc **ret, yyjson_val **ret_line,
                      struct gy_err *err)
{
    GY_TRY(get(s, API "/watch?endpoint=sepsis&wait=1", ret, err));
    yyjson_val *lines = gy_json_get(yyjson_doc_get_root(*ret), "versions");
    char text[24];
    size_t i;
    size_t n;
    yyjson_val *line;
    (void)snprintf(text, sizeof text, "%lld", (long long)version);
    yyjson_arr_foreach(lines, i, n, line)
    {
        if (gy_str_eqc(gy_json_str(line, "version"), text)) {
            *ret_line = gy_json_get(line, "last_window");
            return GY_OK;
        }
    }
    return gy_err_set(err, GY_E_NOTFOUND, "nothing is watched of version %s", text);
}

/* The firing alert of a kind; NULL: none. */
static yyjson_val *alert(yyjson_doc *state, const char *kind)
{
    size_t i;
    size_t n;
    yyjson_val *one;
    yyjson_arr_foreach(gy_json_get(yyjson_doc_get_root(state), "alerts"), i, n, one)
    {
        if (gy_str_eqc(gy_json_str(one, "kind"), kind)) {
            return one;
        }
    }
    return NULL;
}

/* The newest job; *ret_job NULL: none. */
static gy_status newest_job(struct gy_sepsis *s, yyjson_doc **ret, yyjson_val **ret_job,
                            struct gy_err *err)
{
    GY_TRY(get(s, API "/jobs?limit=1", ret, err));
    *ret_job = yyjson_arr_get_first(gy_json_get(yyjson_doc_get_root(*ret), "jobs"));
    return GY_OK;
}

static void copy_text(char *out, size_t size, struct gy_str s)
{
    (void)snprintf(out, size, "%" GY_STR_F, GY_STR_A(s));
}

/* ---- the first change: a sensor that reads too high ---- */

static gy_status is_refused(struct gy_sepsis *s, void *ctx, bool *ret_done, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    yyjson_val *job = NULL;
    (void)ctx;
    GY_TRY(newest_job(s, &doc, &job, err));
    *ret_done = gy_str_eqc(gy_json_str(job, "state"), "refused");
    return GY_OK;
}

/* By how much, as the diagnosis of the newest window has it. */
static gy_status offset_found(struct gy_sepsis *s, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(get(s, API "/watch/windows?endpoint=sepsis&limit=1&full=1", &doc, err));
    yyjson_val *window = yyjson_arr_get_first(gy_json_get(yyjson_doc_get_root(doc), "windows"));
    yyjson_val *diagnosis = gy_json_get(gy_json_get(window, "result"), "diagnosis");
    yyjson_val *fault = yyjson_arr_get_first(gy_json_get(diagnosis, "faults"));
    s->offset.offset = gy_json_f64(fault, "offset", NAN);
    return GY_OK;
}

static gy_status offset_result(struct gy_sepsis *s, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    yyjson_val *window = NULL;
    GY_TRY(look(s, s->challenger_version, &doc, &window, err));
    yyjson_val *sensor = alert(doc, "sensor");
    copy_text(s->offset.cause, sizeof s->offset.cause, gy_json_str(window, "cause"));
    copy_text(s->offset.feature, sizeof s->offset.feature, gy_json_str(sensor, "subject"));
    GY_TRY(offset_found(s, err));
    s->offset.detected = gy_json_bool(window, "dataset_drift", false) &&
                         gy_str_eqc(gy_json_str(window, "cause"), "sensor") && sensor;
    return gy_demo_done(s->d, s->offset.detected && strcmp(s->offset.feature, "Temp") == 0, err,
                        "alert: %.200s",
                        gy_json_str(sensor, "text").p ? gy_json_str(sensor, "text").p : "(none)");
}

static gy_status step_offset(struct gy_sepsis *s, struct gy_demo_live *l, struct gy_err *err)
{
    gy_demo_begin(s->d, "a sensor reads too high", "gyre watch status sepsis");
    l->temp_offset = 1.0; /* what the thermometers say; the patients are as they are */
    GY_TRY(stream(l, err));
    count(s, l);
    GY_TRY(offset_result(s, err));
    gy_demo_begin(s->d, "the rule suffers", "gyre watch performance sepsis --last %d", N_LIVE);
    GY_TRY(review(s, l, NULL, err));
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(performance(s, N_LIVE, &doc, err));
    yyjson_val *rule = gy_json_get(gy_json_get(yyjson_doc_get_root(doc), "by"), "rule");
    s->offset.rule_precision = rate(rule, "precision").value;
    GY_TRY(gy_demo_done(s->d, s->offset.rule_precision < s->offset.rule_precision_before - 0.1, err,
                        "precision of the rule: %.2f, was %.2f", s->offset.rule_precision,
                        s->offset.rule_precision_before));
    gy_demo_begin(s->d, "no retraining on it", "gyre jobs list");
    GY_TRY(wait_for(s, is_refused, NULL, "the refusal of the retraining", err));
    s->offset.refused = true;
    return gy_demo_done(s->d, true, err,
                        "refused: a model must not learn a sensor's fault; a person decides");
}

static gy_status step_repaired(struct gy_sepsis *s, struct gy_demo_live *l, struct gy_err *err)
{
    gy_demo_begin(s->d, "the sensor is repaired", "gyre watch alerts");
    GY_TRY(stream(l, err));
    count(s, l);
    GY_TRY(review(s, l, NULL, err));
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    yyjson_val *window = NULL;
    GY_TRY(look(s, s->challenger_version, &doc, &window, err));
    GY_TRY(gy_demo_gyre(s->d,
                        "feedback import data/raw/repaired.csv --request-column patient_id "
                        "--label-column isSepsis --source truth",
                        0, NULL, err));
    s->offset.repaired = !alert(doc, "sensor") && !gy_json_bool(window, "dataset_drift", true);
    return gy_demo_done(s->d, s->offset.repaired, err, "no drift, the alert is cleared");
}

/* ---- the second change: another population ---- */

/* A job that a trigger started and that was not refused. */
static gy_status has_started(struct gy_sepsis *s, bool *ret, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    yyjson_val *job = NULL;
    GY_TRY(newest_job(s, &doc, &job, err));
    struct gy_str state = gy_json_str(job, "state");
    *ret = state.n > 0 && !gy_str_eqc(state, "refused");
    if (*ret) {
        copy_text(s->shift.job, sizeof s->shift.job, gy_json_str(job, "id"));
    }
    return GY_OK;
}

/* Patients, verdicts, a look: until the loop starts to retrain by itself. */
static gy_status step_shift(struct gy_sepsis *s, struct gy_demo_live *l, struct gy_err *err)
{
    bool started = false;
    gy_demo_begin(s->d, "another ward", "gyre watch drift sepsis");
    for (int round = 0; round < 5 && !started; round++) {
        size_t all = l->n;
        l->n = (size_t)(round + 1) * N_SHIFT_STEP; /* only so many of them for now */
        gy_status status = stream(l, err);
        atomic_store(&l->next, l->n);
        l->n = all;
        GY_TRY(status);
        GY_TRY(review(s, l, NULL, err));
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        yyjson_val *window = NULL;
        GY_TRY(look(s, s->challenger_version, &doc, &window, err));
        copy_text(s->shift.cause, sizeof s->shift.cause, gy_json_str(window, "cause"));
        s->shift.detected = gy_str_eqc(gy_json_str(window, "cause"), "population");
        for (int i = 0; i < 20 && s->shift.detected && !started; i++) {
            GY_TRY(has_started(s, &started, err));
            sleep_ms(started ? 0 : POLL_MS);
        }
    }
    return gy_demo_done(s->d, s->shift.detected && started, err,
                        "elderly patients: cause %s, the trigger starts a retraining",
                        s->shift.cause);
}

static gy_status shift_job(struct gy_sepsis *s, yyjson_doc **ret, struct gy_err *err)
{
    char path[128];
    (void)snprintf(path, sizeof path, API "/jobs/%s", s->shift.job);
    return get(s, path, ret, err);
}

/* *ctx: the state that is waited for. Any other end of the job is a failure. */
static gy_status job_is(struct gy_sepsis *s, void *ctx, bool *ret_done, struct gy_err *err)
{
    static const char *const ends[] = {"done", "failed", "refused", "cancelled"};
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(shift_job(s, &doc, err));
    yyjson_val *job = yyjson_doc_get_root(doc);
    struct gy_str state = gy_json_str(job, "state");
    *ret_done = gy_str_eqc(state, ctx);
    for (size_t i = 0; i < 4 && !*ret_done; i++) {
        if (gy_str_eqc(state, ends[i])) {
            (void)gy_err_set(err, GY_E_FAILED, "the job ended as %s: %" GY_STR_F, ends[i],
                             GY_STR_A(gy_json_str(job, "error")));
            return gy_err_hint(err, "gyre jobs logs %s has what it said", s->shift.job);
        }
    }
    return GY_OK;
}

static gy_status step_retrain(struct gy_sepsis *s, struct gy_err *err)
{
    gy_demo_begin(s->d, "retrain and gate", "gyre jobs show %s", s->shift.job);
    GY_TRY(wait_for(s, job_is, "waiting_approval", "the retraining", err));
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(shift_job(s, &doc, err));
    yyjson_val *job = yyjson_doc_get_root(doc);
    s->shift.version = gy_json_i64(job, "version", 0);
    s->shift.retrained = s->shift.version > s->challenger_version;
    GY_TRY(gy_demo_done(s->d, s->shift.retrained, err,
                        "version %lld, trained on the reviewed patients too: blessed, waits for a "
                        "person",
                        (long long)s->shift.version));
    char words[160];
    (void)snprintf(words, sizeof words, "gate approve %" GY_STR_F " --reason demo",
                   GY_STR_A(gy_json_str(job, "approval")));
    gy_demo_begin(s->d, "a person approves again", "gyre %s", words);
    GY_TRY(gy_demo_gyre(s->d, words, 0, NULL, err));
    s->shift.approved = true;
    return gy_demo_done(s->d, true, err, "the job goes on to a canary");
}

/* What is served now. */
struct served {
    char kind[32], reason[256];
    int64_t revision, version;
};

static gy_status served(struct gy_sepsis *s, struct served *ret, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(get(s, API "/endpoints/sepsis", &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *newest = yyjson_arr_get_first(gy_json_get(root, "revisions"));
    copy_text(ret->kind, sizeof ret->kind, gy_json_str(newest, "kind"));
    copy_text(ret->reason, sizeof ret->reason, gy_json_str(newest, "reason"));
    ret->revision = gy_json_i64(root, "revision", 0);
    ret->version = gy_json_i64(newest, "version", 0);
    return GY_OK;
}

/* A canary under traffic: patients go on, the reviewer goes on, until the guard has decided. */
struct canary {
    struct gy_demo_live *live;
    const char *kind; /* of the revision that is waited for */
    struct served now;
};

static gy_status has_decided(struct gy_sepsis *s, void *ctx, bool *ret_done, struct gy_err *err)
{
    struct canary *c = ctx;
    GY_TRY(review(s, c->live, NULL, err));
    GY_TRY(served(s, &c->now, err));
    *ret_done = strcmp(c->now.kind, c->kind) == 0;
    sleep_ms(*ret_done ? 0 : 4 * POLL_MS);
    return GY_OK;
}

/* Some patients more, so that the change is crossed by traffic, then all that were under way. */
static void let_pass(struct gy_demo_live *l)
{
    sleep_ms(300);
    gy_demo_live_stop(l);
}

static gy_status step_canary(struct gy_sepsis *s, struct gy_demo_live *l, struct gy_err *err)
{
    struct canary c = {.live = l, .kind = "promote"};
    gy_demo_begin(s->d, "canary, then promote", "gyre endpoint history sepsis");
    GY_TRY(wait_for(s, job_is, "done", "the canary", err));
    atomic_store(&l->pause_us, FAST_US);
    gy_status status = wait_for(s, has_decided, &c, "the promotion", err);
    let_pass(l);
    GY_TRY(status);
    GY_TRY(review(s, l, NULL, err));
    s->shift.promoted = c.now.version == s->shift.version;
    s->champion_version = c.now.version;
    GY_TRY(gy_demo_done(s->d, s->shift.promoted, err, "by itself: %.180s", c.now.reason));
    char words[96];
    (void)snprintf(words, sizeof words, "models promote sepsis/%lld --alias champion",
                   (long long)s->champion_version);
    gy_demo_begin(s->d, "the new champion", "gyre %s", words);
    GY_TRY(gy_demo_gyre(s->d, words, 0, NULL, err));
    return gy_demo_done(s->d, true, err, "models:/sepsis@champion is version %lld",
                        (long long)s->champion_version);
}

static gy_status recall_of(struct gy_sepsis *s, int64_t version, struct gy_demo_rate *ret,
                           struct gy_err *err)
{
    char words[128];
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    (void)snprintf(words, sizeof words, "evaluate sepsis/%lld data/raw/unseen.csv --all-rows",
                   (long long)version);
    GY_TRY(gy_demo_gyre(s->d, words, 0, &doc, err));
    *ret = rate(gy_json_get(yyjson_doc_get_root(doc), "metrics"), "recall");
    return GY_OK;
}

static gy_status step_repair_shown(struct gy_sepsis *s, struct gy_err *err)
{
    gy_demo_begin(s->d, "did it help?", "gyre evaluate sepsis/%lld data/raw/unseen.csv --all-rows",
                  (long long)s->champion_version);
    GY_TRY(recall_of(s, s->challenger_version, &s->shift.before, err));
    GY_TRY(recall_of(s, s->champion_version, &s->shift.after, err));
    return gy_demo_done(s->d, s->shift.after.low > s->shift.before.high, err,
                        "recall on %d elderly that nobody trained on: %.3f (%.3f-%.3f) to %.3f "
                        "(%.3f-%.3f)",
                        GY_DEMO_UNSEEN, s->shift.before.value, s->shift.before.low,
                        s->shift.before.high, s->shift.after.value, s->shift.after.low,
                        s->shift.after.high);
}

/* ---- what must not get through ---- */

static gy_status step_poisoned(struct gy_sepsis *s, struct gy_err *err)
{
    static const char train[] =
        "train data/poisoned/data.csv --target isSepsis --learner xgboost --params params.yaml "
        "--experiment sepsis --register sepsis";
    char words[160];
    GY_AUTO(gy_json_free) yyjson_doc *trained = NULL;
    gy_demo_begin(s->d, "a poisoned retrain",
                  "gyre train data/poisoned/data.csv ... && gyre gate check");
    GY_TRY(gy_demo_gyre(s->d,
                        "data synth patients --rows 8000 --seed 21 --first-id 700001 "
                        "--mislabel 0.5 -o data/raw/poisoned.csv",
                        0, NULL, err));
    GY_TRY(gy_demo_gyre(s->d,
                        "data ingest data/raw/poisoned.csv --schema schema.yaml --output-path "
                        "data/poisoned --dlq data/dlq.log --name sepsis-poisoned",
                        0, NULL, err));
    GY_TRY(gy_demo_gyre(s->d, train, 0, &trained, err));
    s->poisoned.version = gy_json_i64(yyjson_doc_get_root(trained), "version", 0);
    (void)snprintf(words, sizeof words, "gate check sepsis/%lld", (long long)s->poisoned.version);
    GY_TRY(gy_demo_gyre(s->d, words, gy_status_exit(GY_E_NOTBLESSED), NULL, err));
    (void)snprintf(words, sizeof words, "endpoint deploy sepsis --model sepsis/%lld --canary 10%%",
                   (long long)s->poisoned.version);
    GY_TRY(gy_demo_gyre(s->d, words, gy_status_exit(GY_E_NOTBLESSED), NULL, err));
    s->poisoned.refused = true;
    return gy_demo_done(s->d, true, err,
                        "version %lld, half of its alarms unlearnt: NOT_BLESSED, no canary either",
                        (long long)s->poisoned.version);
}

/* The `outputs` of an answer, as the bytes they are. */
static gy_status probe(struct gy_sepsis *s, struct gy_collect *got, struct gy_str *ret,
                       struct gy_err *err)
{
    static const char body[] =
        "{\"inputs\":[{\"name\":\"x\",\"shape\":[4,3],\"datatype\":\"FP64\",\"data\":"
        "[72,16,36.9, 98,24,37.1, 55,21,35.8, 88,19,38.0]}]}";
    GY_TRY(gy_call_json(s->person, "POST", "/v2/models/sepsis/infer", gy_str_c(body), got, err));
    struct gy_str all = gy_buf_str(&got->body);
    const char *at = strstr(all.p, "\"outputs\":");
    s->requests++;
    *ret = at ? gy_str_sub(all, (size_t)(at - all.p), all.n) : GY_STR_NULL;
    return at ? GY_OK : gy_err_set(err, GY_E_FAILED, "an answer without outputs");
}

static gy_status bad_canary(struct gy_sepsis *s, struct gy_demo_live *l, struct gy_err *err)
{
    char words[160];
    struct canary c = {.live = l, .kind = "rollback"};
    (void)snprintf(words, sizeof words, "endpoint deploy sepsis --model sepsis/%lld --canary 30%%",
                   (long long)s->challenger_version);
    gy_demo_begin(s->d, "a bad canary", "gyre %s", words);
    GY_TRY(gy_demo_live_start(l, err));
    gy_status status = gy_demo_gyre(s->d, words, 0, NULL, err);
    if (status == GY_OK) {
        status = wait_for(s, has_decided, &c, "the rollback", err);
    }
    let_pass(l);
    GY_TRY(status);
    GY_TRY(review(s, l, NULL, err));
    s->bad_canary.rolled_back = c.now.version == s->champion_version;
    (void)snprintf(s->bad_canary.reason, sizeof s->bad_canary.reason, "%s", c.now.reason);
    return gy_demo_done(s->d, s->bad_canary.rolled_back, err, "rolled back by itself: %.180s",
                        s->bad_canary.reason);
}

static gy_status step_bad_canary(struct gy_sepsis *s, struct gy_demo_live *l, struct gy_err *err)
{
    GY_AUTO_DONE(gy_collect_done) struct gy_collect before;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect after;
    struct gy_str then;
    struct gy_str now;
    gy_collect_init(&before, GY_MIB);
    gy_collect_init(&after, GY_MIB);
    GY_TRY(probe(s, &before, &then, err));
    GY_TRY(bad_canary(s, l, err));
    gy_demo_begin(s->d, "as if nothing had been", "curl %s/v2/models/sepsis/infer -d '{...}'",
                  s->d->address);
    GY_TRY(probe(s, &after, &now, err));
    s->rollback_identical = gy_str_eq(then, now);
    return gy_demo_done(s->d, s->rollback_identical, err,
                        "the same %zu bytes of outputs as before the canary", now.n);
}

/* ---- where an answer came from ---- */

static gy_status step_trace(struct gy_sepsis *s, struct gy_demo_live *l, struct gy_err *err)
{
    char words[96];
    char version[24];
    for (size_t i = l->n; i-- > 0 && !s->prediction_id[0];) {
        const struct gy_demo_patient *p = &l->patients[i];
        if (atomic_load(&p->answered) && p->version == (int)s->champion_version) {
            (void)snprintf(s->prediction_id, sizeof s->prediction_id, "%s", p->prediction_id);
        }
    }
    (void)snprintf(words, sizeof words, "trace %s", s->prediction_id);
    (void)snprintf(version, sizeof version, "%lld", (long long)s->champion_version);
    gy_demo_begin(s->d, "trace one prediction", "gyre %s", words);
    GY_TRY(gy_demo_gyre(s->d, words, 0, &s->trace, err));
    yyjson_val *t = yyjson_doc_get_root(s->trace);
    bool ok = gy_str_eqc(gy_json_str(t, "model_version"), version) &&
              gy_json_str(t, "run_id").n == 32 && gy_json_str(t, "data_sha256").n == 64 &&
              gy_json_str(t, "approver").n > 0 && gy_json_i64(t, "revision", 0) > 0;
    return gy_demo_done(
        s->d, ok, err,
        "revision %lld <- version %s <- run %.8s <- data %.8s, approved by %" GY_STR_F,
        (long long)gy_json_i64(t, "revision", 0), version,
        gy_json_str(t, "run_id").p ? gy_json_str(t, "run_id").p : "?",
        gy_json_str(t, "data_sha256").p ? gy_json_str(t, "data_sha256").p : "?",
        GY_STR_A(gy_json_str(t, "approver")));
}

/* ---- the whole ---- */

static gy_status shift_part(struct gy_sepsis *s, struct gy_err *err)
{
    struct gy_demo_live l;
    GY_TRY(load(s, "data/raw/elderly.csv", &l, err));
    gy_status status = step_shift(s, &l, err);
    if (status == GY_OK) {
        /* From here on patients come without pause, whatever is deployed meanwhile. */
        atomic_store(&l.pause_us, SLOW_US);
        status = gy_demo_live_start(&l, err);
    }
    if (status == GY_OK) {
        status = step_retrain(s, err);
    }
    if (status == GY_OK) {
        status = step_canary(s, &l, err);
    }
    gy_demo_live_stop(&l);
    if (status == GY_OK) {
        status = step_repair_shown(s, err);
    }
    if (status == GY_OK) {
        status = step_poisoned(s, err);
    }
    if (status == GY_OK) {
        status = step_bad_canary(s, &l, err);
    }
    count(s, &l);
    if (status == GY_OK) {
        status = step_trace(s, &l, err);
    }
    gy_demo_live_done(&l);
    return status;
}

typedef gy_status (*group_fn)(struct gy_sepsis *s, struct gy_demo_live *l, struct gy_err *err);

static gy_status with_group(struct gy_sepsis *s, const char *file, group_fn a, group_fn b,
                            struct gy_err *err)
{
    struct gy_demo_live l;
    GY_TRY(load(s, file, &l, err));
    gy_status status = a(s, &l, err);
    if (status == GY_OK && b) {
        status = b(s, &l, err);
    }
    gy_demo_live_done(&l);
    return status;
}

gy_status gy_sepsis_loop(struct gy_sepsis *s, struct gy_err *err)
{
    char sock[GY_MAX_PATH];
    (void)snprintf(sock, sizeof sock, "unix:%.4000s/.gyre/sock", s->d->dir);
    GY_TRY(gy_http_client_new(sock, &s->person, err));
    GY_TRY(step_watch(s, err));
    GY_TRY(with_group(s, "data/raw/live.csv", step_live, step_reviewed, err));
    GY_TRY(step_truth(s, err));
    GY_TRY(with_group(s, "data/raw/offset.csv", step_offset, NULL, err));
    GY_TRY(with_group(s, "data/raw/repaired.csv", step_repaired, NULL, err));
    GY_TRY(shift_part(s, err));
    return s->non_2xx == 0 ? GY_OK
                           : gy_err_set(err, GY_E_FAILED, "%lld of %lld requests were not answered",
                                        (long long)s->non_2xx, (long long)s->requests);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What starts by itself: events, counts of verdicts, the clock. */
#include <stdio.h>

#include "base/id.h"
#include "base/limits.h"
#include "base/time.h"
#include "flow/job.h"
#include "flow/trigger_internal.h"
#include "store/events.h"

#define ACTOR GY_STR("gyre")

struct look {
    struct gy_db *db;
    struct gy_arena *arena;
    struct gy_trigger *triggers;
    size_t n;
    int64_t now_us;
    struct gy_err *err;
};

static gy_status load(struct look *l)
{
    return gy_trigger_select(l->db, "WHERE enabled=1", GY_NO_VALS, l->arena, &l->triggers, &l->n,
                             l->err);
}

static bool cools_down(const struct look *l, const struct gy_trigger *t)
{
    return t->fired_us > 0 && l->now_us < t->fired_us + t->spec.cooldown_us;
}

static gy_status no_memory(struct look *l)
{
    return gy_err_set(l->err, GY_E_NOMEM, "out of memory looking at triggers");
}

static gy_status start(struct look *l, struct gy_trigger *t, const struct gy_trigger_told *why,
                       const char *key, bool *ret_started)
{
    char job[GY_UUID_TEXT];
    bool started = false;
    if (!key) {
        return no_memory(l);
    }
    GY_TRY(gy_trigger_start(l->db, t, why, gy_str_c(key), ACTOR, l->now_us, &started, job, l->err));
    if (started) {
        t->fired_us = l->now_us; /* the next event of this look meets the cooldown */
        t->pending = 0;
        t->deferred = false;
    }
    *ret_started = started;
    return GY_OK;
}

/* ---- drift ---- */

/* Why this drift is not one that retraining cures, "": it is one; NULL: out of memory. */
static const char *no_cure(struct look *l, yyjson_val *data, const char *features)
{
    struct gy_str cause = gy_json_str(data, "cause");
    struct gy_str reason = gy_json_str(data, "reason");
    struct gy_str labels = gy_json_str(data, "retrain_reason");
    reason = gy_str_eqc(cause, "population") && labels.n > 0 ? labels : reason;
    if (gy_str_eqc(cause, "population") && gy_json_bool(data, "may_retrain", true)) {
        return "";
    }
    const char *what = gy_str_eqc(cause, "sensor")
                           ? "a sensor seems to be off: retraining would teach the model its error"
                       : gy_str_eqc(cause, "population")
                           ? "the population changed, but there is not enough to learn from yet"
                           : "what the drift comes from is not known";
    return gy_arena_printf(l->arena, "%s%s%s%s%s%" GY_STR_F, what, features[0] ? " (" : "",
                           features, features[0] ? ")" : "", reason.n > 0 ? ": " : "",
                           GY_STR_A(gy_str_sub(reason, 0, 1000)));
}

/* "Temp, HR" of ["Temp","HR"]. */
static const char *names_of(struct look *l, yyjson_val *features)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    size_t i;
    size_t n;
    yyjson_val *v;
    gy_buf_init(&text, 16 * GY_KIB);
    yyjson_arr_foreach(features, i, n, v)
    {
        gy_buf_addc(&text, i > 0 ? ", " : "");
        gy_buf_add(&text, gy_json_val_str(v));
    }
    return gy_buf_check(&text, "the features", NULL) == GY_OK
               ? gy_arena_strdup(l->arena, gy_buf_str(&text))
               : "many features";
}

/* The job's row says for good that it was thought of and refused. */
static gy_status refuse_job(struct look *l, const struct gy_trigger *t, const char *key,
                            const struct gy_trigger_told *why)
{
    char id[GY_UUID_TEXT];
    bool made = false;
    const struct gy_job j = {.trigger_id = t->id,
                             .trigger = t->name,
                             .project = t->project,
                             .folder = t->folder,
                             .spec = t->spec_json,
                             .dedupe_key = gy_str_c(key),
                             .event_seq = why->event_seq,
                             .reason = why->reason,
                             .state = GY_STR("refused"),
                             .error = why->reason,
                             .actor = ACTOR};
    struct gy_trigger_told told = *why;
    if (!key) {
        return no_memory(l);
    }
    GY_TRY(gy_job_add(l->db, &j, l->now_us, &made, id, l->err));
    told.job = gy_str_c(id);
    return made ? gy_trigger_tell(l->db, "trigger.refused", t, &told, ACTOR, l->err) : GY_OK;
}

static struct gy_str json_of(struct look *l, yyjson_val *v)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_jw w;
    gy_buf_init(&text, 64 * GY_KIB);
    gy_jw_init(&w, &text);
    if (!yyjson_is_arr(v)) {
        return GY_STR("[]");
    }
    gy_jw_val(&w, v);
    return gy_buf_check(&text, "the features", NULL) == GY_OK
               ? gy_arena_str(l->arena, gy_buf_str(&text))
               : GY_STR("[]");
}

/* ---- one event, one trigger ---- */

static gy_status refuse(struct look *l, const struct gy_trigger *t, struct gy_trigger_told why,
                        const char *reason)
{
    if (!reason) {
        return no_memory(l);
    }
    why.reason = gy_str_c(reason);
    return gy_trigger_tell(l->db, "trigger.refused", t, &why, ACTOR, l->err);
}

static const char *cooldown_text(struct look *l, const struct gy_trigger *t)
{
    char fired[32];
    char until[32];
    (void)gy_time_iso(t->fired_us, fired);
    (void)gy_time_iso(t->fired_us + t->spec.cooldown_us, until);
    return gy_arena_printf(l->arena, "it fired at %.19sZ and cools down until %.19sZ", fired,
                           until);
}

static gy_status on_event(struct look *l, struct gy_trigger *t, const struct gy_event *e,
                          yyjson_val *data)
{
    bool started = false;
    yyjson_val *features = gy_json_get(data, "features");
    const char *names = names_of(l, features);
    const char *key =
        gy_arena_printf(l->arena, "%" GY_STR_F "/%lld", GY_STR_A(t->id), (long long)e->seq);
    struct gy_trigger_told why = {.event_seq = e->seq, .features_json = json_of(l, features)};
    if (!names || !key) {
        return no_memory(l);
    }
    if (gy_str_eqc(e->kind, "drift.detected")) {
        const char *why_not = no_cure(l, data, names);
        if (!why_not) {
            return no_memory(l);
        }
        why.reason = gy_str_c(why_not);
        if (why_not[0]) {
            return refuse_job(l, t, key, &why);
        }
    }
    if (cools_down(l, t)) {
        return refuse(l, t, why, cooldown_text(l, t));
    }
    struct gy_str reason = gy_json_str(data, "reason");
    const char *text = gy_arena_printf(l->arena, "%" GY_STR_F "%s%s%s%" GY_STR_F, GY_STR_A(e->kind),
                                       names[0] ? " of " : "", names, reason.n > 0 ? ": " : "",
                                       GY_STR_A(gy_str_sub(reason, 0, 1000)));
    if (!text) {
        return no_memory(l);
    }
    why.reason = gy_str_c(text);
    GY_TRY(start(l, t, &why, key, &started));
    return started ? GY_OK : refuse(l, t, why, "a job of it is not over yet");
}

static gy_status count_verdicts(struct look *l, struct gy_trigger *t, yyjson_val *data)
{
    int64_t n = gy_json_i64(data, "count", 1);
    if (n <= 0) {
        return GY_OK;
    }
    t->pending += n;
    return gy_db_exec(l->db, "UPDATE triggers SET pending=? WHERE id=?",
                      GY_VALS(gy_vi(t->pending), gy_vs(t->id)), NULL, l->err);
}

/* Is the event one of this trigger? Not of another endpoint, and not older than the trigger or than
 * its being enabled. */
static bool concerns(const struct gy_trigger *t, const struct gy_event *e, yyjson_val *data)
{
    struct gy_str endpoint = gy_json_str(data, "endpoint");
    bool kind = t->spec.on == GY_ON_EVENT
                    ? gy_str_eq(t->spec.event, e->kind)
                    : t->spec.on == GY_ON_REVIEWS && gy_str_eqc(e->kind, "review.verdict");
    return kind && e->time_us >= t->since_us &&
           (!t->spec.endpoint.p || !endpoint.p || gy_str_eq(t->spec.endpoint, endpoint));
}

static gy_status look_at_event(struct look *l, const struct gy_event *e)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (gy_json_parse(e->data, &doc, NULL) != GY_OK) {
        return GY_OK; /* events are ours: one that is no JSON says nothing to a trigger */
    }
    yyjson_val *data = yyjson_doc_get_root(doc);
    for (size_t i = 0; i < l->n; i++) {
        struct gy_trigger *t = &l->triggers[i];
        if (!concerns(t, e, data)) {
            continue;
        }
        GY_TRY(t->spec.on == GY_ON_REVIEWS ? count_verdicts(l, t, data) : on_event(l, t, e, data));
    }
    return GY_OK;
}

/* ---- counts and the clock ---- */

static bool is_due(const struct look *l, const struct gy_trigger *t)
{
    int64_t since = t->fired_us > t->created_us ? t->fired_us : t->created_us;
    return t->spec.on == GY_ON_REVIEWS ? t->pending >= t->spec.reviews
           : t->spec.on == GY_ON_EVERY ? l->now_us >= since + t->spec.every_us
                                       : false;
}

/* It stays due: it starts when nothing is in the way any more. */
static gy_status defer(struct look *l, struct gy_trigger *t, const char *why)
{
    if (!why) {
        return no_memory(l);
    }
    if (t->deferred) {
        return GY_OK;
    }
    t->deferred = true;
    GY_TRY(gy_db_exec(l->db, "UPDATE triggers SET deferred=1 WHERE id=?", GY_VALS(gy_vs(t->id)),
                      NULL, l->err));
    return gy_trigger_tell(l->db, "trigger.deferred", t,
                           &(struct gy_trigger_told){.reason = gy_str_c(why)}, ACTOR, l->err);
}

static gy_status start_due(struct look *l, struct gy_trigger *t)
{
    bool started = false;
    if (cools_down(l, t)) {
        return defer(l, t, cooldown_text(l, t));
    }
    const char *key = gy_arena_printf(l->arena, "%" GY_STR_F "/due/%lld", GY_STR_A(t->id),
                                      (long long)t->fired_us);
    const char *text =
        t->spec.on == GY_ON_REVIEWS
            ? gy_arena_printf(l->arena, "%lld reviewed records", (long long)t->pending)
            : "the clock";
    if (!text) {
        return no_memory(l);
    }
    const struct gy_trigger_told why = {.reason = gy_str_c(text)};
    GY_TRY(start(l, t, &why, key, &started));
    return started ? GY_OK : defer(l, t, "a job of it is not over yet");
}

/* ---- the cursor ---- */

/* Events that any of the enabled triggers waits for, so that a look costs nothing for all the
 * others. */
#define MATCHING                                                                               \
    "FROM events WHERE seq > (SELECT seq FROM trigger_cursor WHERE id=1) AND kind IN (SELECT " \
    "DISTINCT on_kind FROM triggers WHERE enabled=1)"

static gy_status read_events(struct look *l, struct gy_event *events, size_t *ret_n)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(l->db,
                       "SELECT seq, created_us, kind, data " MATCHING " ORDER BY seq LIMIT ?",
                       GY_VALS(gy_vi(GY_TRIGGER_LOOK_MAX)), &st, l->err));
    size_t n = 0;
    for (bool more = true; n < GY_TRIGGER_LOOK_MAX; n++) {
        GY_TRY(gy_stmt_step(st, &more, l->err));
        if (!more) {
            break;
        }
        events[n].seq = gy_col_i64(st, 0);
        events[n].time_us = gy_col_i64(st, 1);
        GY_TRY(gy_col_copy(st, 2, l->arena, &events[n].kind, l->err));
        GY_TRY(gy_col_copy(st, 3, l->arena, &events[n].data, l->err));
    }
    *ret_n = n;
    return GY_OK;
}

gy_status gy_triggers_due(struct gy_db *db, int64_t now_us, bool *ret_due, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 64 * GY_MIB);
    struct look l = {.db = db, .arena = &a, .now_us = now_us, .err = err};
    int64_t one = 0;
    *ret_due = false;
    GY_TRY(load(&l));
    for (size_t i = 0; i < l.n; i++) {
        /* One that was put off wakes when its cooldown is over; an open job that is in its way is
         * found by the look itself, which then changes nothing. */
        *ret_due = *ret_due || (is_due(&l, &l.triggers[i]) &&
                                !(l.triggers[i].deferred && cools_down(&l, &l.triggers[i])));
    }
    if (*ret_due || l.n == 0) {
        return GY_OK;
    }
    return gy_db_get_i64(db, "SELECT 1 " MATCHING " LIMIT 1", GY_NO_VALS, ret_due, &one, err);
}

gy_status gy_triggers_look(struct gy_db *db, int64_t now_us, bool *ret_more, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 256 * GY_MIB);
    struct look l = {.db = db, .arena = &a, .now_us = now_us, .err = err};
    size_t n = 0;
    struct gy_event *events = gy_arena_calloc(&a, GY_TRIGGER_LOOK_MAX, sizeof *events);
    if (!events) {
        return no_memory(&l);
    }
    GY_TRY(load(&l));
    GY_TRY(read_events(&l, events, &n));
    for (size_t i = 0; i < n; i++) {
        GY_TRY(look_at_event(&l, &events[i]));
    }
    for (size_t i = 0; i < l.n; i++) {
        if (is_due(&l, &l.triggers[i])) {
            GY_TRY(start_due(&l, &l.triggers[i]));
        }
    }
    *ret_more = n == GY_TRIGGER_LOOK_MAX;
    return n == 0 ? GY_OK
                  : gy_db_exec(db, "UPDATE trigger_cursor SET seq=? WHERE id=1",
                               GY_VALS(gy_vi(events[n - 1].seq)), NULL, err);
}

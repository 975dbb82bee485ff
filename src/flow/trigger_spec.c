/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of `triggers`: read, checked, written in one form. */
#include <math.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/yaml.h"
#include "flow/trigger.h"

/* Events that a trigger may wait for. None that a job of its own brings about: it would run in a
 * circle. */
static const char *const g_events[] = {"drift.detected",       "alert.raised",
                                       "rollout.rolled_back",  "rollout.inconclusive",
                                       "endpoint.rolled_back", NULL};

#define MIN_EVERY_US (10 * INT64_C(1000000))
#define DAY_US (INT64_C(86400) * 1000000)
#define MAX_DURATION_US (366 * DAY_US)

static gy_status keep(struct gy_arena *a, struct gy_str *s, struct gy_err *err)
{
    if (s->p) {
        *s = gy_arena_str(a, *s);
    }
    return s->p || s->n == 0 ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

static gy_status bad(struct gy_str name, struct gy_err *err, const char *what)
{
    return gy_err_set(err, GY_E_INVALID, "trigger '%" GY_STR_F "': %s",
                      GY_STR_A(gy_str_sub(name, 0, 60)), what);
}

static gy_status unknown(struct gy_str name, const char *what, struct gy_str word,
                         const char *const *known, struct gy_err *err)
{
    const char *near = gy_yaml_nearest(word, known);
    (void)gy_err_set(err, GY_E_INVALID, "trigger '%" GY_STR_F "': %s '%" GY_STR_F "'",
                     GY_STR_A(gy_str_sub(name, 0, 60)), what, GY_STR_A(gy_str_sub(word, 0, 60)));
    if (near) {
        return gy_err_hint(err, "did you mean '%s'?", near);
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf all;
    gy_buf_init(&all, GY_KIB);
    for (const char *const *k = known; *k; k++) {
        gy_buf_addf(&all, "%s%s", k == known ? "" : ", ", *k);
    }
    return gy_buf_check(&all, "a hint", NULL) == GY_OK ? gy_err_hint(err, "one of: %s", all.p)
                                                       : GY_E_INVALID;
}

static gy_status only_keys(struct gy_str name, yyjson_val *map, const char *const *known,
                           struct gy_err *err)
{
    size_t i;
    size_t n;
    yyjson_val *key;
    yyjson_val *v;
    yyjson_obj_foreach(map, i, n, key, v)
    {
        struct gy_str word = gy_json_val_str(key);
        bool ok = false;
        for (const char *const *k = known; *k; k++) {
            ok = ok || gy_str_eqc(word, *k);
        }
        if (!ok) {
            return unknown(name, "unknown key", word, known, err);
        }
    }
    return GY_OK;
}

gy_status gy_trigger_duration(struct gy_str s, int64_t *ret_us, struct gy_err *err)
{
    static const struct {
        char letter;
        double seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    double n = 0;
    struct gy_str t = gy_str_trim(s);
    for (size_t i = 0; t.n > 1 && i < sizeof units / sizeof units[0]; i++) {
        if (t.p[t.n - 1] == units[i].letter &&
            gy_parse_f64(gy_str_sub(t, 0, t.n - 1), &n, NULL) == GY_OK && n > 0 &&
            n * units[i].seconds * 1e6 <= (double)MAX_DURATION_US) {
            *ret_us = llround(n * units[i].seconds * 1e6);
            return GY_OK;
        }
    }
    return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is no duration like 45s, 30m, 1h or 1d",
                      GY_STR_A(gy_str_sub(s, 0, 40)));
}

static gy_status duration_of(struct gy_str name, const char *what, yyjson_val *v, int64_t *ret_us,
                             struct gy_err *err)
{
    if (gy_trigger_duration(gy_json_val_str(v), ret_us, err) != GY_OK) {
        return gy_err_wrap(err, "trigger '%" GY_STR_F "': %s", GY_STR_A(name), what);
    }
    return GY_OK;
}

static gy_status parse_on_map(struct gy_trigger_spec *s, yyjson_val *on, struct gy_err *err)
{
    static const char *const known[] = {"reviews", "every", NULL};
    GY_TRY(only_keys(s->name, on, known, err));
    yyjson_val *reviews = gy_json_get(on, "reviews");
    yyjson_val *every = gy_json_get(on, "every");
    if ((reviews != NULL) + (every != NULL) != 1) {
        return bad(s->name, err, "on takes an event, {reviews: N} or {every: 1d}");
    }
    if (reviews) {
        s->on = GY_ON_REVIEWS;
        s->reviews = yyjson_is_int(reviews) ? yyjson_get_sint(reviews) : 0;
        return s->reviews > 0 && s->reviews <= 1000000000
                   ? GY_OK
                   : bad(s->name, err, "reviews must be a number of verdicts, at least 1");
    }
    s->on = GY_ON_EVERY;
    GY_TRY(duration_of(s->name, "every", every, &s->every_us, err));
    return s->every_us >= MIN_EVERY_US ? GY_OK : bad(s->name, err, "every is at least 10s");
}

static gy_status parse_on(struct gy_trigger_spec *s, yyjson_val *on, struct gy_err *err)
{
    if (yyjson_is_obj(on)) {
        return parse_on_map(s, on, err);
    }
    s->event = gy_json_val_str(on);
    if (s->event.n == 0) {
        return bad(s->name, err, "on takes an event, {reviews: N} or {every: 1d}");
    }
    for (const char *const *k = g_events; *k; k++) {
        if (gy_str_eqc(s->event, *k)) {
            return GY_OK;
        }
    }
    return unknown(s->name, "no trigger waits for the event", s->event, g_events, err);
}

/* Of dvc.yaml: they become arguments of a command, so nothing that looks like an option. */
static bool good_stage(struct gy_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c == '/' || c == 0x7f) {
            return false;
        }
    }
    return s.n > 0 && s.n <= GY_MAX_NAME && s.p[0] != '-';
}

static gy_status parse_stages(struct gy_trigger_spec *s, yyjson_val *run, struct gy_arena *a,
                              struct gy_err *err)
{
    size_t i;
    size_t n;
    yyjson_val *v;
    if (!yyjson_is_arr(run) || yyjson_arr_size(run) == 0 ||
        yyjson_arr_size(run) > GY_TRIGGER_MAX_STAGES) {
        return bad(s->name, err, "run takes a list of stages: [retrain]");
    }
    struct gy_str *list = gy_arena_calloc(a, yyjson_arr_size(run), sizeof *list);
    if (!list) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    yyjson_arr_foreach(run, i, n, v)
    {
        list[i] = gy_json_val_str(v);
        if (!good_stage(list[i])) {
            return bad(s->name, err, "run takes a list of stages: [retrain]");
        }
        GY_TRY(keep(a, &list[i], err));
    }
    s->stages = list;
    s->n_stages = n;
    return GY_OK;
}

/* "10%" or 0.1 */
static gy_status parse_canary(struct gy_trigger_spec *s, yyjson_val *v, struct gy_err *err)
{
    struct gy_str text = gy_json_val_str(v);
    double percent = yyjson_is_num(v) ? yyjson_get_num(v) * 100 : 0;
    if (gy_str_ends(text, GY_STR("%")) &&
        gy_parse_f64(gy_str_sub(text, 0, text.n - 1), &percent, NULL) != GY_OK) {
        percent = 0;
    }
    if (!(percent > 0 && percent < 100)) {
        return bad(s->name, err, "canary is a share of the traffic: 10%");
    }
    s->canary = percent / 100;
    return GY_OK;
}

static gy_status name_at(struct gy_trigger_spec *s, yyjson_val *entry, const char *key,
                         struct gy_str *ret, struct gy_err *err)
{
    yyjson_val *v = gy_json_get(entry, key);
    if (!v || yyjson_is_null(v)) {
        return GY_OK;
    }
    *ret = gy_json_val_str(v);
    if (ret->n == 0 || ret->n > GY_MAX_NAME || ret->p[0] == '-') {
        return gy_err_set(err, GY_E_INVALID, "trigger '%" GY_STR_F "': %s must be a name",
                          GY_STR_A(s->name), key);
    }
    return GY_OK;
}

static gy_status parse_options(struct gy_trigger_spec *s, yyjson_val *entry, struct gy_err *err)
{
    yyjson_val *cooldown = gy_json_get(entry, "cooldown");
    yyjson_val *canary = gy_json_get(entry, "canary");
    if (cooldown && !yyjson_is_null(cooldown)) {
        GY_TRY(duration_of(s->name, "cooldown", cooldown, &s->cooldown_us, err));
    }
    GY_TRY(name_at(s, entry, "model", &s->model, err));
    GY_TRY(name_at(s, entry, "endpoint", &s->endpoint, err));
    if (canary && !yyjson_is_null(canary)) {
        GY_TRY(parse_canary(s, canary, err));
        if (!s->endpoint.p) {
            return bad(s->name, err, "canary needs an endpoint");
        }
    }
    return GY_OK;
}

gy_status gy_trigger_parse(yyjson_val *entry, struct gy_arena *a, struct gy_trigger_spec *ret,
                           struct gy_err *err)
{
    static const char *const known[] = {"name",  "on",       "run",    "cooldown",
                                        "model", "endpoint", "canary", NULL};
    memset(ret, 0, sizeof *ret);
    if (!yyjson_is_obj(entry)) {
        return gy_err_set(err, GY_E_INVALID,
                          "a trigger is {name: drift, on: drift.detected, run: [retrain]}");
    }
    ret->name = gy_json_str(entry, "name");
    if (!good_stage(ret->name) || ret->name.n > 200) {
        return gy_err_set(err, GY_E_INVALID, "a trigger needs a name without blanks and slashes");
    }
    GY_TRY(only_keys(ret->name, entry, known, err));
    GY_TRY(parse_on(ret, gy_json_get(entry, "on"), err));
    GY_TRY(parse_stages(ret, gy_json_get(entry, "run"), a, err));
    GY_TRY(parse_options(ret, entry, err));
    struct gy_str *texts[] = {&ret->name, &ret->event, &ret->model, &ret->endpoint};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        GY_TRY(keep(a, texts[i], err));
    }
    return GY_OK;
}

static void write_duration(struct gy_jw *w, const char *key, int64_t us)
{
    char number[32];
    gy_jw_key(w, key);
    if (us == 0) {
        gy_jw_null(w);
        return;
    }
    const struct {
        char letter;
        int64_t us;
    } units[] = {{'d', DAY_US}, {'h', DAY_US / 24}, {'m', DAY_US / 1440}, {'s', 1000000}};
    size_t i = 0;
    while (i < 3 && us % units[i].us != 0) {
        i++; /* the largest that leaves no fraction */
    }
    size_t n = gy_fmt_f64_trim((double)us / (double)units[i].us, number);
    gy_jw_strf(w, "%.*s%c", (int)n, number, units[i].letter);
}

void gy_trigger_write(struct gy_jw *w, const struct gy_trigger_spec *s)
{
    char number[32];
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", s->name);
    gy_jw_key(w, "on");
    switch (s->on) {
    case GY_ON_EVENT:
        gy_jw_str(w, s->event);
        break;
    case GY_ON_REVIEWS:
        gy_jw_obj(w);
        gy_jw_kv_i64(w, "reviews", s->reviews);
        gy_jw_obj_end(w);
        break;
    case GY_ON_EVERY:
        gy_jw_obj(w);
        write_duration(w, "every", s->every_us);
        gy_jw_obj_end(w);
        break;
    }
    gy_jw_key(w, "run");
    gy_jw_arr(w);
    for (size_t i = 0; i < s->n_stages; i++) {
        gy_jw_str(w, s->stages[i]);
    }
    gy_jw_arr_end(w);
    write_duration(w, "cooldown", s->cooldown_us);
    gy_jw_kv_str(w, "model", s->model);
    gy_jw_kv_str(w, "endpoint", s->endpoint);
    gy_jw_key(w, "canary");
    if (s->canary > 0) {
        size_t n = gy_fmt_f64_trim(round(s->canary * 1e8) / 1e6, number);
        gy_jw_strf(w, "%.*s%%", (int)n, number);
    } else {
        gy_jw_null(w);
    }
    gy_jw_obj_end(w);
}

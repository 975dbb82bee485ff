/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/windows.h"

#include <math.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"
#include "watch/alerts.h"
#include "watch/windows_internal.h"

#define JUDGE_ARENA (4 * GY_GIB) /* the largest window, sorted; grows as needed */

/* The settings of all projects, as one memory. */
struct settings_set {
    struct gy_arena arena;
    yyjson_doc **docs;
    struct gy_watch_config *configs;
    struct gy_watch_settings *settings; /* of each config */
    size_t n;
};

struct gy_windows {
    struct gy_store *store;
    struct gy_shapes *shapes;
    const struct gy_window_ops *ops;
    void *self;
    struct settings_set settings;
    struct gy_watch_settings standard;
    struct gy_map by_key; /* "endpoint:version" -> gy_open_window */
    struct gy_open_window **all;
    size_t n, cap;
    struct gy_open_window *last; /* that was found: records come in runs of one version */
    struct gy_log_marks base;    /* what was done when the store was read */
    struct gy_log_marks start;   /* base, or earlier where a window begins earlier */
    struct gy_log_marks scratch; /* where the next window begins */
    struct gy_arena arena;       /* of judge */
    uint64_t closed, unreadable;
};

/* ---- settings ---- */

static void settings_done(struct settings_set *s)
{
    for (size_t i = 0; s->docs && i < s->n; i++) {
        gy_json_free(s->docs[i]);
    }
    gy_arena_done(&s->arena);
    *s = (struct settings_set){0};
}

static gy_status list_configs(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct settings_set *s = ctx;
    return gy_watch_config_list(db, &s->arena, &s->configs, &s->n, err);
}

static gy_status read_settings(struct settings_set *s, struct gy_err *err)
{
    s->docs = gy_arena_calloc(&s->arena, s->n + 1, sizeof *s->docs);
    s->settings = gy_arena_calloc(&s->arena, s->n + 1, sizeof *s->settings);
    if (!s->docs || !s->settings) {
        return gy_err_set(err, GY_E_NOMEM, "the settings of the watcher");
    }
    for (size_t i = 0; i < s->n; i++) {
        struct gy_err why = GY_ERR_INIT;
        gy_status st = gy_json_parse(s->configs[i].sections, &s->docs[i], &why);
        yyjson_val *watch =
            st == GY_OK ? gy_json_get(yyjson_doc_get_root(s->docs[i]), "watch") : NULL;
        if (st == GY_OK) {
            st = gy_watch_settings_read(watch, &s->arena, &s->settings[i], &why);
        }
        if (st == GY_E_NOMEM) {
            return gy_err_set(err, GY_E_NOMEM, "the settings of the watcher");
        }
        if (st != GY_OK) { /* stored by another version of this program */
            gy_log_err(GY_LOG_WARN, "watch", "the settings of a project can not be read", &why);
            gy_watch_settings_init(&s->settings[i]);
        }
    }
    return GY_OK;
}

gy_status gy_windows_reload(struct gy_windows *w, struct gy_err *err)
{
    struct settings_set next = {0};
    gy_arena_init(&next.arena, 256 * GY_MIB);
    gy_status st = gy_store_read(w->store, list_configs, &next, err);
    if (st != GY_OK) {
        next.n = 0;
    } else {
        st = read_settings(&next, err);
    }
    if (st != GY_OK) {
        settings_done(&next);
        return st;
    }
    settings_done(&w->settings);
    w->settings = next;
    return GY_OK;
}

const struct gy_watch_settings *gy_windows_settings(const struct gy_windows *w,
                                                    struct gy_str endpoint)
{
    for (size_t i = 0; i < w->settings.n; i++) {
        if (gy_watch_config_has(&w->settings.configs[i], endpoint)) {
            return &w->settings.settings[i];
        }
    }
    return &w->standard;
}

/* ---- the open windows ---- */

static void window_free(struct gy_windows *w, struct gy_open_window *o)
{
    if (!o) {
        return;
    }
    if (o->state) {
        w->ops->close(w->self, o->state);
    }
    gy_log_marks_done(&o->start);
    gy_free(o->endpoint);
    gy_free(o->version);
    gy_free(o->reference);
    gy_free(o);
}

static struct gy_str key_of(struct gy_str endpoint, struct gy_str version, char buffer[1024])
{
    int n = snprintf(buffer, 1024, "%.*s:%.*s", (int)(endpoint.n > 500 ? 500 : endpoint.n),
                     endpoint.p, (int)(version.n > 500 ? 500 : version.n), version.p);
    return gy_str_n(buffer, n < 0 ? 0 : (size_t)n);
}

static gy_status add_window(struct gy_windows *w, struct gy_str endpoint, struct gy_str version,
                            struct gy_open_window **ret, struct gy_err *err)
{
    if (w->n == GY_WINDOWS_MAX_OPEN) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d versions are watched",
                          GY_WINDOWS_MAX_OPEN);
    }
    if (w->n == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 16;
        struct gy_open_window **all = gy_reallocarray(w->all, cap, sizeof(struct gy_open_window *));
        if (!all) {
            return gy_err_set(err, GY_E_NOMEM, "windows of an endpoint");
        }
        w->all = all;
        w->cap = cap;
    }
    struct gy_open_window *o = gy_calloc(1, sizeof *o);
    if (!o) {
        return gy_err_set(err, GY_E_NOMEM, "a window of an endpoint");
    }
    char key[1024];
    o->endpoint = gy_strndup(endpoint.p, endpoint.n);
    o->version = gy_strndup(version.p, version.n);
    o->seen_mono_ns = gy_mono_ns();
    gy_status st = o->endpoint && o->version
                       ? gy_map_put(&w->by_key, key_of(endpoint, version, key), o, err)
                       : gy_err_set(err, GY_E_NOMEM, "a window of an endpoint");
    if (st != GY_OK) {
        window_free(w, o);
        return st;
    }
    w->all[w->n++] = o;
    *ret = o;
    return GY_OK;
}

struct loading {
    struct gy_windows *w;
    struct gy_open_window *o; /* whose references are read */
    struct gy_arena *a;
    struct gy_str reference;
};

static gy_status load_window(void *ctx, struct gy_str endpoint, struct gy_str version,
                             struct gy_str place, struct gy_err *err)
{
    struct loading *l = ctx;
    struct gy_open_window *o;
    GY_TRY(add_window(l->w, endpoint, version, &o, err));
    return gy_log_marks_read(&o->start, place, err);
}

static gy_status load(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct loading *l = ctx;
    GY_TRY(gy_window_get_log(db, &l->w->base, err));
    return gy_window_each_place(db, load_window, l, err);
}

static gy_status load_reference(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct loading *l = ctx;
    return gy_window_get_reference(db, l->o->endpoint, l->o->version, l->a, &l->reference, err);
}

static gy_status load_rules(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct loading *l = ctx;
    return gy_window_get_rules(db, l->o->endpoint, l->o->version, &l->o->rules, err);
}

static gy_status load_run(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct loading *l = ctx;
    return gy_window_get_run(db, l->o->endpoint, l->o->version, &l->o->drift_since_us, err);
}

gy_status gy_windows_open(struct gy_store *store, struct gy_shapes *shapes,
                          const struct gy_window_ops *ops, void *self, struct gy_windows **ret,
                          struct gy_err *err)
{
    GY_AUTO(gy_windows_free) struct gy_windows *w = gy_calloc(1, sizeof *w);
    if (!w) {
        return gy_err_set(err, GY_E_NOMEM, "the windows of the watcher");
    }
    w->store = store;
    w->shapes = shapes;
    w->ops = ops;
    w->self = self;
    gy_watch_settings_init(&w->standard);
    gy_map_init(&w->by_key, GY_WINDOWS_MAX_OPEN);
    gy_arena_init(&w->arena, JUDGE_ARENA);
    struct loading l = {.w = w};
    GY_TRY(gy_store_read(store, load, &l, err));
    GY_TRY(gy_log_marks_copy(&w->start, &w->base, err));
    for (size_t i = 0; i < w->n; i++) {
        gy_log_marks_min(&w->start, &w->all[i]->start);
    }
    GY_TRY(gy_windows_reload(w, err));
    *ret = GY_TAKE(w);
    return GY_OK;
}

void gy_windows_free(struct gy_windows *w)
{
    if (!w) {
        return;
    }
    for (size_t i = 0; i < w->n; i++) {
        window_free(w, w->all[i]);
    }
    gy_free(w->all);
    gy_map_done(&w->by_key);
    settings_done(&w->settings);
    gy_log_marks_done(&w->base);
    gy_log_marks_done(&w->start);
    gy_log_marks_done(&w->scratch);
    gy_arena_done(&w->arena);
    gy_free(w);
}

const struct gy_log_marks *gy_windows_start(const struct gy_windows *w)
{
    return &w->start;
}

/* ---- rows ---- */

/* Rules are told apart by their text; "" where there are none. */
static void rules_key(const struct gy_shape *shape, char out[17])
{
    out[0] = '\0';
    if (shape->n_rules == 0) {
        return;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, 16 * GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &text);
    gy_jw_val(&w, gy_json_get(shape->config, "rules"));
    /* Too long or no memory: the hash of what is there; at worst the count begins again. */
    (void)snprintf(out, 17, "%016llx", (unsigned long long)gy_str_hash(gy_buf_str(&text), 0));
}

static void make_scope(const struct gy_windows *w, const struct gy_open_window *o,
                       struct gy_window_scope *ret)
{
    *ret = (struct gy_window_scope){.endpoint = gy_str_c(o->endpoint),
                                    .version = gy_str_c(o->version),
                                    .shape = o->shape,
                                    .settings = gy_windows_settings(w, gy_str_c(o->endpoint)),
                                    .reference = gy_str_c(o->reference),
                                    .rule_rows = o->rules.rows,
                                    .rule_hits = o->rules.hits,
                                    .window_rule_rows = o->rule_rows,
                                    .window_rule_hits = o->rule_hits,
                                    .drift_since_us = o->drift_since_us,
                                    .rows = o->of};
}

static gy_status begin_window(struct gy_windows *w, struct gy_open_window *o, struct gy_err *err)
{
    if (!o->reference) {
        GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
        gy_arena_init(&a, 256 * GY_MIB);
        struct loading l = {.w = w, .o = o, .a = &a};
        GY_TRY(gy_store_read(w->store, load_reference, &l, err));
        o->reference = l.reference.p ? gy_strndup(l.reference.p, l.reference.n) : NULL;
        if (l.reference.p && !o->reference) {
            return gy_err_set(err, GY_E_NOMEM, "the reference of a window");
        }
    }
    if (!o->resumed) {
        struct loading l = {.w = w, .o = o};
        GY_TRY(gy_store_read(w->store, load_run, &l, err));
        o->resumed = true;
    }
    struct gy_window_scope scope;
    make_scope(w, o, &scope);
    /* As many rows as the columns allow: refusing them would stop everything else too. */
    size_t columns = o->shape->n_inputs ? o->shape->n_inputs : 1;
    int64_t most = (int64_t)(GY_DRIFT_MAX_CELLS / columns);
    o->of = scope.settings->window_rows < most ? scope.settings->window_rows : most;
    scope.rows = o->of;
    GY_TRY(w->ops->open(w->self, &scope, &o->state, err));
    o->rows = 0;
    o->from_us = o->to_us = 0;
    o->rule_rows = o->rule_hits = 0;
    return GY_OK;
}

static void count_row_facts(struct gy_open_window *o, const struct gy_record *r, uint32_t from,
                            uint32_t n)
{
    o->from_us = o->rows == 0 || r->time_us < o->from_us ? r->time_us : o->from_us;
    o->to_us = r->time_us > o->to_us ? r->time_us : o->to_us;
    o->rows += n;
    if (r->rules && o->shape->n_rules) {
        o->rule_rows += n;
        for (uint32_t i = from; i < from + n; i++) {
            o->rule_hits += r->rules[i].rule >= 0;
        }
    }
}

/* ---- closing ---- */

static gy_status write_window(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_window_write(db, ctx, err);
}

/* Rows of windows without drift tell how often rules hit; a handful of windows is enough. */
static void learn_rules(const struct gy_open_window *o, const struct gy_window_verdict *v,
                        struct gy_window_closing *c)
{
    c->rules = o->rules;
    if (o->rules.key[0] && o->rule_rows && !v->told &&
        o->rules.windows < GY_WINDOWS_RULE_REFERENCE) {
        c->rules.rows += o->rule_rows;
        c->rules.hits += o->rule_hits;
        c->rules.windows++;
        c->rules_changed = true;
    }
}

static gy_status close_window(struct gy_windows *w, struct gy_open_window *o,
                              const struct gy_log_marks *done, struct gy_err *err)
{
    struct gy_window_scope scope;
    struct gy_window_verdict v = {.offset = NAN};
    gy_arena_reset(&w->arena);
    make_scope(w, o, &scope);
    GY_TRY(w->ops->judge(w->self, o->state, &scope, &w->arena, &v, err));
    GY_AUTO(gy_free)
    char *reference = v.reference.p ? gy_strndup(v.reference.p, v.reference.n) : NULL;
    if (v.reference.p && !reference) {
        return gy_err_set(err, GY_E_NOMEM, "the reference of a window");
    }
    /* The next one begins behind all that is done, and behind the rows of this record that are in.
     */
    GY_TRY(gy_log_marks_copy(&w->scratch, &o->start, err));
    GY_TRY(gy_log_marks_max(&w->scratch, done, err));
    const struct gy_log_mark *mark = gy_log_marks_get(&w->scratch, o->boot, o->ring);
    if (!mark || mark->seq < o->seq) {
        GY_TRY(gy_log_marks_set(&w->scratch, o->boot, o->ring, o->seq - 1, o->taken, err));
    }
    struct gy_window_closing c = {
        .w = o, .settings = scope.settings, .verdict = &v, .next = &w->scratch};
    learn_rules(o, &v, &c);
    GY_TRY(gy_store_write(w->store, write_window, &c, err));
    struct gy_log_marks swap = o->start;
    o->start = w->scratch;
    w->scratch = swap;
    o->dirty = false;
    o->rules = c.rules;
    o->number = c.number;
    o->drift_since_us = !v.told ? 0 : o->drift_since_us ? o->drift_since_us : o->from_us;
    if (reference) {
        gy_free(o->reference);
        o->reference = GY_TAKE(reference);
    }
    w->ops->close(w->self, o->state);
    o->state = NULL;
    o->rows = 0;
    w->closed++;
    return GY_OK;
}

static bool is_same_record(const struct gy_open_window *o, const struct gy_log_place *place,
                           const struct gy_record *r)
{
    return o->seq == r->seq && o->ring == place->ring && memcmp(o->boot, place->boot, 16) == 0;
}

/* The open window that the record's rows belong to; NULL: they belong to none any more. */
static gy_status find_window(struct gy_windows *w, const struct gy_log_marks *done,
                             const struct gy_log_place *place, const struct gy_record *r,
                             struct gy_open_window **ret, struct gy_err *err)
{
    char key[1024];
    struct gy_open_window *o = w->last;
    if (!o || !gy_str_eqc(r->endpoint, o->endpoint) || !gy_str_eqc(r->model_version, o->version)) {
        o = gy_map_get(&w->by_key, key_of(r->endpoint, r->model_version, key));
        w->last = o;
    }
    *ret = o;
    if (o) {
        return GY_OK;
    }
    /* Read again only because of another window: its own was given up before. */
    const struct gy_log_mark *mark = gy_log_marks_get(&w->base, place->boot, place->ring);
    if (mark && r->seq <= mark->seq) {
        return GY_OK;
    }
    GY_TRY(gy_log_marks_copy(&w->scratch, &w->base, err));
    GY_TRY(gy_log_marks_max(&w->scratch, done, err));
    GY_TRY(add_window(w, r->endpoint, r->model_version, &o, err));
    struct gy_log_marks swap = o->start;
    o->start = w->scratch;
    w->scratch = swap;
    o->dirty = true;
    *ret = o;
    return GY_OK;
}

static bool same_inputs(const struct gy_shape *a, const struct gy_shape *b)
{
    bool same = a->n_inputs == b->n_inputs && a->sample == b->sample;
    for (size_t i = 0; same && i < a->n_inputs; i++) {
        same = gy_str_eq(a->inputs[i], b->inputs[i]);
    }
    return same;
}

/* The rows that follow are of this revision. When it has other inputs (of its rules), or logs
 * another share of its predictions, the window ends early, so that its rows count alike; rule hits
 * are counted from here on when its rules are others than those before. */
static gy_status enter_revision(struct gy_windows *w, struct gy_open_window *o,
                                const struct gy_log_marks *done, const struct gy_record *r,
                                struct gy_err *err)
{
    if (o->shape && o->revision == (int64_t)r->revision) {
        return GY_OK;
    }
    const struct gy_shape *shape;
    GY_TRY(gy_shapes_get(w->shapes, r->endpoint, r->revision, &shape, err));
    if (o->state && o->rows && o->shape && !same_inputs(shape, o->shape)) {
        GY_TRY(close_window(w, o, done, err));
    }
    struct gy_rule_reference rules = {0};
    rules_key(shape, rules.key);
    if (!o->shape || strcmp(rules.key, o->rules.key) != 0) {
        struct gy_rule_reference before = o->rules;
        o->rules = rules;
        struct loading l = {.w = w, .o = o};
        gy_status st = gy_store_read(w->store, load_rules, &l, err);
        if (st != GY_OK) {
            o->rules = before;
            return st;
        }
        o->rule_rows = o->rule_hits = 0;
    }
    o->shape = shape;
    o->revision = r->revision;
    return GY_OK;
}

static gy_status take_rows(struct gy_windows *w, struct gy_open_window *o,
                           const struct gy_log_marks *done, const struct gy_log_place *place,
                           const struct gy_record *r, struct gy_err *err)
{
    uint32_t row = gy_log_marks_rows_done(&o->start, place->boot, place->ring, r->seq, r->n_rows);
    if (is_same_record(o, place, r) && o->taken > row) {
        row = o->taken;
    }
    o->seen_mono_ns = gy_mono_ns();
    for (;;) {
        if (o->state && o->rows >= o->of) {
            GY_TRY(close_window(w, o, done, err));
        }
        if (row >= r->n_rows) {
            return GY_OK;
        }
        GY_TRY(enter_revision(w, o, done, r, err));
        if (!o->state) {
            GY_TRY(begin_window(w, o, err));
        }
        uint32_t n = r->n_rows - row;
        n = (int64_t)n > o->of - o->rows ? (uint32_t)(o->of - o->rows) : n;
        GY_TRY(w->ops->rows(w->self, o->state, o->shape, r, row, n, err));
        count_row_facts(o, r, row, n);
        row += n;
        memcpy(o->boot, place->boot, 16);
        o->ring = place->ring;
        o->seq = r->seq;
        o->taken = row;
    }
}

/* The log may hold more than this store knows: of another home, of before a restored backup. */
static bool is_readable(struct gy_windows *w, const struct gy_record *r)
{
    const struct gy_shape *shape;
    gy_status st = gy_shapes_get(w->shapes, r->endpoint, r->revision, &shape, NULL);
    bool gone = st == GY_E_NOTFOUND || st == GY_E_CORRUPT || st == GY_E_TOOBIG ||
                (st == GY_OK && r->n_inputs != shape->n_inputs);
    w->unreadable += gone;
    return !gone; /* any other failure is told when its rows are taken */
}

gy_status gy_windows_record(struct gy_windows *w, const struct gy_log_marks *done,
                            const struct gy_log_place *place, const struct gy_record *r,
                            struct gy_err *err)
{
    struct gy_open_window *o;
    if (r->status >= 400 || r->n_rows == 0 || !is_readable(w, r)) {
        return GY_OK;
    }
    GY_TRY(find_window(w, done, place, r, &o, err));
    return o ? take_rows(w, o, done, place, r, err) : GY_OK;
}

/* ---- where to go on ---- */

static bool is_known(void *ctx, const struct gy_log_mark *mark)
{
    return gy_log_marks_get(ctx, mark->boot, mark->ring) != NULL;
}

gy_status gy_windows_checkpoint(struct gy_windows *w, const struct gy_log_marks *done,
                                bool caught_up, struct gy_db *db, struct gy_err *err)
{
    /* What was done at the start stays done while it is being read again. */
    GY_TRY(gy_log_marks_copy(&w->scratch, &w->base, err));
    GY_TRY(gy_log_marks_max(&w->scratch, done, err));
    if (caught_up) {
        gy_log_marks_prune(&w->scratch, is_known, (void *)(uintptr_t)done);
    }
    GY_TRY(gy_window_put_log(db, &w->scratch, err));
    for (size_t i = 0; i < w->n; i++) {
        struct gy_open_window *o = w->all[i];
        if (!o->state) { /* an empty window begins here */
            GY_TRY(gy_log_marks_max(&o->start, done, err));
            o->dirty = true;
        }
        if (caught_up) {
            gy_log_marks_prune(&o->start, is_known, (void *)(uintptr_t)done);
        }
        if (o->dirty) {
            GY_TRY(gy_window_put_place(db, o->endpoint, o->version, &o->start, err));
        }
    }
    return GY_OK;
}

void gy_windows_saved(struct gy_windows *w)
{
    for (size_t i = 0; i < w->n; i++) {
        w->all[i]->dirty = false;
    }
}

struct retiring {
    const struct gy_open_window *o;
    struct gy_arena arena;
    struct gy_revision *revisions;
    size_t n;
};

static gy_status read_served(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct retiring *r = ctx;
    return gy_revision_current(db, &r->arena, &r->revisions, &r->n, err);
}

static gy_status drop_window(struct gy_db *db, void *ctx, struct gy_err *err)
{
    static const char *const kinds[] = {"drift", "rule_precision", "recall", "labels"};
    const struct gy_open_window *o = ((struct retiring *)ctx)->o;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        GY_TRY(gy_alert_clear(db, kinds[i], gy_str_c(o->endpoint), gy_str_c(o->version),
                              GY_STR_NULL, GY_STR("gyre"), err));
    }
    return gy_window_drop_place(db, o->endpoint, o->version, err);
}

static gy_status is_served(struct gy_windows *w, const struct retiring *r,
                           const struct gy_open_window *o, bool *ret, struct gy_err *err)
{
    *ret = false;
    for (size_t i = 0; i < r->n; i++) {
        const struct gy_shape *shape;
        if (!gy_str_eqc(r->revisions[i].endpoint, o->endpoint)) {
            continue;
        }
        GY_TRY(gy_shapes_get(w->shapes, r->revisions[i].endpoint, r->revisions[i].revision, &shape,
                             err));
        *ret = gy_shape_variant(shape, gy_str_c(o->version)) != NULL;
    }
    return GY_OK;
}

static gy_status retire_unserved(struct gy_windows *w, struct retiring *r, struct gy_err *err)
{
    GY_TRY(gy_store_read(w->store, read_served, r, err));
    int64_t before = gy_mono_ns() - (int64_t)GY_WINDOWS_RETIRE_S * 1000000000;
    for (size_t i = 0; i < w->n;) {
        struct gy_open_window *o = w->all[i];
        bool keep = o->seen_mono_ns > before;
        if (!keep) {
            GY_TRY(is_served(w, r, o, &keep, err));
        }
        if (keep) {
            i++;
            continue;
        }
        r->o = o;
        GY_TRY(gy_store_write(w->store, drop_window, r, err));
        gy_log(GY_LOG_INFO, "watch", "an unfinished window is given up: its version is retired",
               GY_KV_C("endpoint", o->endpoint), GY_KV_C("version", o->version),
               GY_KV_I("rows", o->rows));
        char key[1024];
        (void)gy_map_remove(&w->by_key, key_of(gy_str_c(o->endpoint), gy_str_c(o->version), key));
        w->all[i] = w->all[--w->n];
        w->last = NULL;
        window_free(w, o);
    }
    return GY_OK;
}

gy_status gy_windows_retire(struct gy_windows *w, struct gy_err *err)
{
    struct retiring r = {0};
    gy_arena_init(&r.arena, 64 * GY_MIB);
    gy_status st = retire_unserved(w, &r, err);
    gy_arena_done(&r.arena);
    return st;
}

/* ---- what is open ---- */

size_t gy_windows_count(const struct gy_windows *w)
{
    return w->n;
}

void gy_windows_at(const struct gy_windows *w, size_t i, struct gy_window_state *ret)
{
    const struct gy_open_window *o = w->all[i];
    *ret = (struct gy_window_state){
        .endpoint = gy_str_c(o->endpoint),
        .version = gy_str_c(o->version),
        .revision = o->revision,
        .rows = o->state ? o->rows : 0,
        .of = o->state ? o->of : gy_windows_settings(w, gy_str_c(o->endpoint))->window_rows,
        .to_us = o->to_us,
        .number = o->number,
        .rule_rows = o->rules.rows,
        .rule_hits = o->rules.hits};
}

uint64_t gy_windows_closed(const struct gy_windows *w)
{
    return w->closed;
}

uint64_t gy_windows_unreadable(const struct gy_windows *w)
{
    return w->unreadable;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/join.h"

#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"
#include "serve/gap.h"
#include "serve/predlog.h"
#include "watch/join_internal.h"

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "joining predictions with feedback");
}

gy_status gy_join_new(struct gy_shapes *shapes, size_t max_rows, struct gy_join **ret,
                      struct gy_err *err)
{
    GY_AUTO(gy_join_free) struct gy_join *j = gy_calloc(1, sizeof *j);
    if (!j) {
        return no_memory(err);
    }
    (void)pthread_mutex_init(&j->mu, NULL); /* can not fail on Linux */
    j->shapes = shapes;
    j->max_rows = max_rows ? max_rows : GY_JOIN_MAX_ROWS;
    size_t part = j->max_rows / 2000;
    j->part_rows = part < 8 ? 8 : part > 1000 ? 1000 : (uint32_t)part;
    j->last_group = JOIN_NONE;
    gy_arena_init(&j->arena, JOIN_ARENA);
    gy_map_init(&j->group_by_name, GY_JOIN_MAX_GROUPS);
    gy_map_init(&j->label_by_text, GY_JOIN_MAX_LABELS);
    gy_map_init(&j->source_by_name, GY_JOIN_MAX_SOURCES + 1);
    size_t n_chunks = (j->max_rows + JOIN_CHUNK - 1) / JOIN_CHUNK;
    j->chunks = gy_calloc(n_chunks, sizeof(struct join_row *));
    j->sources = gy_calloc(GY_JOIN_MAX_SOURCES + 1, sizeof *j->sources);
    if (!j->chunks || !j->sources) {
        return no_memory(err);
    }
    *ret = GY_TAKE(j);
    return GY_OK;
}

void gy_join_free(struct gy_join *j)
{
    if (!j) {
        return;
    }
    for (size_t i = 0; i < j->n_chunks; i++) {
        gy_free(j->chunks[i]);
    }
    gy_free(j->chunks);
    gy_free(j->by_key.slots);
    gy_free(j->by_request.slots);
    for (size_t i = 0; i < j->n_groups; i++) {
        join_parts_free(j, &j->groups[i]);
    }
    gy_free(j->groups);
    gy_free(j->labels);
    gy_free(j->sources);
    gy_map_done(&j->group_by_name);
    gy_map_done(&j->label_by_text);
    gy_map_done(&j->source_by_name);
    gy_arena_done(&j->arena);
    (void)pthread_mutex_destroy(&j->mu);
    gy_free(j);
}

/* ---- the ring of rows ---- */

/* Out of both indexes and its chain; its place is free when it is the oldest, else when it becomes
 * that. */
static void drop(struct gy_join *j, uint32_t i)
{
    struct join_row *r = join_at(j, i);
    if (!(r->flags & JOIN_LIVE)) {
        return;
    }
    join_index_remove(j, &j->by_key, i);
    if (r->flags & JOIN_PREDICTED) {
        struct join_group *g = &j->groups[r->group];
        GY_REQUIRE(g->head == i); /* chains are in the order of the ring */
        g->head = r->next;
        g->tail = g->head == JOIN_NONE ? JOIN_NONE : g->tail;
        g->rows--;
        join_parts_drop(j, g, r->next);
        if (r->request && join_find_newest(j, r->request, r->row) == i) {
            join_index_remove(j, &j->by_request, i);
        }
        if (r->label != JOIN_NONE) {
            j->orphans++;
        }
    } else if (r->flags & JOIN_REQUEST) {
        uint32_t newest = join_find_newest(j, r->request, r->row);
        if (newest != JOIN_NONE) {
            join_at(j, newest)->label = JOIN_NONE;
            join_parts_touch(j, newest);
        } else {
            j->orphans--;
        }
        j->n_requests--;
    } else {
        j->orphans--;
    }
    r->flags = 0;
}

static void free_oldest(struct gy_join *j)
{
    while (j->n_used && !(join_at(j, j->first)->flags & JOIN_LIVE)) {
        j->first = (uint32_t)((j->first + 1) % j->max_rows);
        j->n_used--;
    }
}

/* A fresh row at the end, the oldest ones leaving when there is no room. The indexes have room for
 * it afterwards. */
static gy_status push(struct gy_join *j, uint32_t *ret, struct gy_err *err)
{
    GY_TRY(join_index_reserve(&j->by_key, 1, err));
    if (j->by_request_used) {
        GY_TRY(join_index_reserve(&j->by_request, 1, err));
    }
    free_oldest(j);
    if (j->n_used == j->max_rows) {
        drop(j, j->first);
        j->evicted++;
        free_oldest(j);
    }
    uint32_t i = (uint32_t)((j->first + j->n_used) % j->max_rows);
    if (i / JOIN_CHUNK == j->n_chunks) {
        j->chunks[j->n_chunks] = gy_malloc(JOIN_CHUNK * sizeof(struct join_row));
        if (!j->chunks[j->n_chunks]) {
            return no_memory(err);
        }
        j->n_chunks++;
    }
    j->n_used++;
    *join_at(j, i) = (struct join_row){
        .flags = JOIN_LIVE, .next = JOIN_NONE, .label = JOIN_NONE, .group = JOIN_NONE, .rule = -1};
    *ret = i;
    return GY_OK;
}

/* ---- names ---- */

static gy_status source_index(struct gy_join *j, struct gy_str name, uint8_t *ret,
                              struct gy_err *err)
{
    name = name.n ? name : GY_STR("truth");
    if (j->last_source < j->n_sources && gy_str_eq(j->sources[j->last_source], name)) {
        *ret = j->last_source; /* most feedback is like the one before */
        return GY_OK;
    }
    uintptr_t known = (uintptr_t)gy_map_get(&j->source_by_name, name);
    if (!known && j->n_sources >= GY_JOIN_MAX_SOURCES) {
        name = GY_STR("other");
        known = (uintptr_t)gy_map_get(&j->source_by_name, name);
    }
    if (!known) {
        struct gy_str kept = gy_arena_str(&j->arena, name);
        if (!kept.p) {
            return no_memory(err);
        }
        known = j->n_sources + 1;
        GY_TRY(gy_map_put(&j->source_by_name, kept, (void *)known, err));
        j->sources[j->n_sources++] = kept;
    }
    j->last_source = (uint8_t)(known - 1);
    *ret = j->last_source;
    return GY_OK;
}

static bool plain_number(struct gy_str text, double *ret)
{
    char again[32];
    if (text.n == 1 && text.p[0] >= '0' && text.p[0] <= '9') { /* what most labels are */
        *ret = text.p[0] - '0';
        return true;
    }
    return gy_parse_f64(text, ret, NULL) == GY_OK && isfinite(*ret) &&
           gy_str_eq(gy_str_n(again, gy_fmt_f64_trim(*ret, again)), text);
}

static gy_status keep_text(struct gy_join *j, struct gy_str text, double *ret, struct gy_err *err)
{
    uintptr_t known = (uintptr_t)gy_map_get(&j->label_by_text, text);
    if (!known) {
        if (j->n_labels == j->cap_labels) {
            size_t cap = j->cap_labels ? j->cap_labels * 2 : 16;
            struct gy_str *more = gy_reallocarray(j->labels, cap, sizeof *more);
            if (!more) {
                return no_memory(err);
            }
            j->labels = more;
            j->cap_labels = cap;
        }
        struct gy_str kept = gy_arena_str(&j->arena, text);
        if (!kept.p) {
            return no_memory(err);
        }
        known = j->n_labels + 1;
        GY_TRY(gy_map_put(&j->label_by_text, kept, (void *)known, err));
        j->labels[j->n_labels++] = kept;
    }
    *ret = (double)(known - 1);
    return GY_OK;
}

/* Numbers as written in one way are kept as such, so that a regression's labels need no table of
 * texts; anything else is a text. With the table full numbers lose how they were written and texts
 * become no label. */
static gy_status read_label(struct gy_join *j, const struct gy_feedback *f, struct join_label *ret,
                            struct gy_err *err)
{
    *ret = (struct join_label){.given_us = f->given_us, .flags = JOIN_LABEL};
    GY_TRY(source_index(j, f->source, &ret->source, err));
    ret->reward = join_reward_pack(f->reward);
    ret->flags |= f->reward == 0 ? JOIN_REWARD_0 : f->reward == 1 ? JOIN_REWARD_1 : 0;
    if (f->label.n == 0) {
        ret->flags |= JOIN_REWARD_ONLY;
        return GY_OK;
    }
    if (plain_number(f->label, &ret->number)) {
        return GY_OK;
    }
    if (j->n_labels >= GY_JOIN_MAX_LABELS && !gy_map_get(&j->label_by_text, f->label)) {
        if (gy_parse_f64(f->label, &ret->number, NULL) != GY_OK) {
            ret->number = NAN;
        }
        return GY_OK;
    }
    ret->flags |= JOIN_TEXT;
    return keep_text(j, f->label, &ret->number, err);
}

/* ---- labels: which one counts ---- */

#define LABEL_FLAGS (JOIN_LABEL | JOIN_TEXT | JOIN_REWARD_ONLY | JOIN_REWARD_0 | JOIN_REWARD_1)

struct join_label join_label_of(const struct join_row *row)
{
    return (struct join_label){.given_us = row->given_us,
                               .number = row->number,
                               .flags = row->flags & LABEL_FLAGS,
                               .reward = row->reward,
                               .source = row->source};
}

#define REWARD_STEPS 65534

uint16_t join_reward_pack(double reward)
{
    bool is_share = reward >= 0 && reward <= 1; /* not of NaN */
    return is_share ? (uint16_t)(1 + (int)(reward * REWARD_STEPS + 0.5)) : 0;
}

double join_reward(uint16_t packed)
{
    return packed ? (packed - 1) / (double)REWARD_STEPS : NAN;
}

static int sign(bool greater, bool less)
{
    return (int)greater - (int)less;
}

/* By what the label says: nothing < numbers < texts. */
static int content_cmp(const struct gy_join *j, const struct join_label *a,
                       const struct join_label *b)
{
    int by_reward = sign(a->flags & JOIN_REWARD_ONLY, b->flags & JOIN_REWARD_ONLY);
    int by_kind = sign(a->flags & JOIN_TEXT, b->flags & JOIN_TEXT);
    if (by_reward || by_kind) {
        return by_reward ? -by_reward : by_kind;
    }
    if (a->flags & JOIN_TEXT) {
        return gy_str_cmp(j->labels[(size_t)a->number], j->labels[(size_t)b->number]);
    }
    return sign(a->number > b->number, a->number < b->number);
}

int join_label_cmp(const struct gy_join *j, const struct join_label *a, const struct join_label *b)
{
    struct gy_str from_a = j->sources[a->source];
    struct gy_str from_b = j->sources[b->source];
    int priority = gy_feedback_priority(from_a) - gy_feedback_priority(from_b);
    if (priority) {
        return priority;
    }
    if (a->given_us != b->given_us) {
        return a->given_us > b->given_us ? 1 : -1;
    }
    int content = content_cmp(j, a, b);
    int source = content ? 0 : gy_str_cmp(from_a, from_b);
    int rewards = (int)a->reward - (int)b->reward;
    return content ? content : source ? source : rewards;
}

static void set_label(struct join_row *r, const struct join_label *l)
{
    r->given_us = l->given_us;
    r->number = l->number;
    r->source = l->source;
    r->reward = l->reward;
    r->flags = (uint16_t)((r->flags & ~LABEL_FLAGS) | l->flags);
}

/* One more piece for a target. That two pieces differed is known whatever came first: the first
 * one that differs from all before differs from the one that counted. */
static void add_label(struct gy_join *j, struct join_row *r, const struct join_label *l)
{
    if (!(r->flags & JOIN_LABEL)) {
        set_label(r, l);
        return;
    }
    struct join_label has = join_label_of(r);
    int cmp = join_label_cmp(j, l, &has);
    if (cmp == 0) {
        return; /* the same again */
    }
    r->flags |= JOIN_MANY | (content_cmp(j, l, &has) ? JOIN_CONFLICT : 0);
    if (cmp > 0) {
        set_label(r, l);
    }
}

/* ---- groups ---- */

static gy_status read_classes(struct gy_join *j, struct join_group *g, struct gy_err *err)
{
    const struct gy_shape *s = g->shape;
    g->classes = gy_arena_calloc(&j->arena, s->n_classes + 1, sizeof *g->classes);
    if (!g->classes) {
        return no_memory(err);
    }
    for (int plain = 1; plain >= 0; plain--) { /* "1" means the class "1" rather than "1.0" */
        for (size_t i = 0; i < s->n_classes; i++) {
            double number;
            if (plain_number(s->classes[i], &number) == (plain == 1) &&
                gy_parse_f64(s->classes[i], &number, NULL) == GY_OK) {
                g->classes[g->n_classes++] = (struct join_class){number, s->class_values[i]};
            }
        }
    }
    return GY_OK;
}

static gy_status add_group(struct gy_join *j, const struct gy_shape *shape, struct gy_str version,
                           struct gy_str key, uint32_t *ret, struct gy_err *err)
{
    if (j->n_groups == j->cap_groups) {
        size_t cap = j->cap_groups ? j->cap_groups * 2 : 16;
        struct join_group *more = gy_reallocarray(j->groups, cap, sizeof *more);
        if (!more) {
            return no_memory(err);
        }
        j->groups = more;
        j->cap_groups = cap;
    }
    struct join_group g = {.shape = shape,
                           .version = gy_arena_str(&j->arena, version),
                           .head = JOIN_NONE,
                           .tail = JOIN_NONE};
    if (!g.version.p) {
        return no_memory(err);
    }
    GY_TRY(read_classes(j, &g, err));
    uintptr_t at = j->n_groups + 1;
    GY_TRY(gy_map_put(&j->group_by_name, key, (void *)at, err));
    *ret = (uint32_t)j->n_groups;
    j->groups[j->n_groups++] = g;
    return GY_OK;
}

static bool last_group_fits(const struct gy_join *j, const struct gy_record *r)
{
    if (j->last_group == JOIN_NONE) {
        return false;
    }
    const struct join_group *g = &j->groups[j->last_group];
    return g->shape->revision == r->revision && gy_str_eq(g->version, r->model_version) &&
           gy_str_eq(g->shape->endpoint, r->endpoint);
}

/* With the lock held, which is given up to read a shape that is not known. */
static gy_status group_of(struct gy_join *j, const struct gy_record *r, uint32_t *ret,
                          struct gy_err *err)
{
    char key[GY_MAX_NAME + 512];
    int n = snprintf(key, sizeof key, "%" GY_STR_F "/%u/%" GY_STR_F, GY_STR_A(r->endpoint),
                     r->revision, GY_STR_A(r->model_version));
    if (n < 0 || (size_t)n >= sizeof key) {
        return gy_err_set(err, GY_E_CORRUPT, "a log record with names that are too long");
    }
    uintptr_t known = (uintptr_t)gy_map_get(&j->group_by_name, gy_str_n(key, (size_t)n));
    if (!known) {
        const struct gy_shape *shape = NULL;
        (void)pthread_mutex_unlock(&j->mu);
        gy_status st = gy_shapes_get(j->shapes, r->endpoint, r->revision, &shape, err);
        (void)pthread_mutex_lock(&j->mu);
        GY_TRY(st);
        known = (uintptr_t)gy_map_get(&j->group_by_name, gy_str_n(key, (size_t)n));
        if (!known) {
            uint32_t at;
            GY_TRY(add_group(j, shape, r->model_version, gy_str_n(key, (size_t)n), &at, err));
            known = at + 1;
        }
    }
    *ret = (uint32_t)(known - 1);
    return GY_OK;
}

/* ---- predictions ---- */

/* Two predictions of one request id: the later one is meant by it. */
static bool is_newer(const struct join_row *a, const struct join_row *b)
{
    return a->time_us != b->time_us ? a->time_us > b->time_us : memcmp(a->id, b->id, 16) > 0;
}

static void link_request(struct gy_join *j, uint32_t i)
{
    struct join_row *r = join_at(j, i);
    if (!r->request || !j->by_request_used) {
        return;
    }
    uint32_t newest = join_find_newest(j, r->request, r->row);
    if (newest == JOIN_NONE) {
        join_index_put(j, &j->by_request, i);
        if (j->n_requests) {
            unsigned char id[16];
            memcpy(id, &r->request, 8);
            memset(id + 8, 0, 8);
            r->label = join_find(j, id, r->row, true);
            j->orphans -= r->label != JOIN_NONE;
            join_parts_touch(j, i);
        }
        return;
    }
    struct join_row *other = join_at(j, newest);
    join_parts_touch(j, i);
    join_parts_touch(j, newest);
    r->flags |= JOIN_REPEATED;
    other->flags |= JOIN_REPEATED;
    if (is_newer(r, other)) {
        r->label = other->label;
        other->label = JOIN_NONE;
        join_index_remove(j, &j->by_request, newest);
        join_index_put(j, &j->by_request, i);
    }
}

static void append_to_group(struct gy_join *j, uint32_t group, uint32_t i)
{
    struct join_group *g = &j->groups[group];
    join_at(j, i)->group = group;
    if (g->tail == JOIN_NONE) {
        g->head = i;
    } else {
        join_at(j, g->tail)->next = i;
    }
    g->tail = i;
    g->rows++;
    join_parts_append(j, g, i);
}

static void read_values(const struct join_group *g, const struct gy_record *rec, uint32_t k,
                        struct join_row *r)
{
    const struct gy_shape *s = g->shape;
    const double *out = rec->outputs + (size_t)k * rec->n_outputs;
    const struct gy_shape_rule *rule = gy_shape_rule(s, rec->rules ? &rec->rules[k] : NULL);
    r->rule = (int16_t)(rule ? rule - s->rules : -1);
    r->answered = out[0];
    r->model = gy_shape_model_value(s, rec->model_version, out, rec->n_outputs);
    r->score = (float)gy_shape_score(s, out, rec->n_outputs);
    if (isnan(r->model) && !(rule && (rule->decides || rule->skip_model))) {
        r->model = out[0]; /* a model that gives labels only */
    }
    if (rule && rule->skip_model && !isnan(r->model)) {
        r->flags |= JOIN_SAMPLED;
    }
    r->shadow = rec->shadow && rec->n_shadow ? (float)rec->shadow[(size_t)k * rec->n_shadow] : NAN;
}

static gy_status add_row(struct gy_join *j, const struct gy_record *rec, uint32_t group,
                         uint64_t request, uint32_t k, struct gy_err *err)
{
    uint32_t number = rec->first_row + k;
    uint32_t waiting = join_find(j, rec->id, number, false);
    struct join_row old = {.flags = 0};
    if (waiting != JOIN_NONE) {
        if (join_at(j, waiting)->flags & JOIN_PREDICTED) {
            return GY_OK;
        }
        old = *join_at(j, waiting);
    }
    uint32_t i;
    GY_TRY(join_parts_reserve(j, &j->groups[group], err));
    GY_TRY(push(j, &i, err)); /* may have let the waiting label leave: it was copied */
    if (waiting != JOIN_NONE && join_find(j, rec->id, number, false) == waiting) {
        drop(j, waiting);
    }
    struct join_row *r = join_at(j, i);
    memcpy(r->id, rec->id, 16);
    r->row = number;
    r->time_us = rec->time_us;
    r->request = request;
    r->flags |= JOIN_PREDICTED | (rec->propensity > 0 ? JOIN_DRAWN : 0);
    if (old.flags) {
        struct join_label l = join_label_of(&old);
        set_label(r, &l);
        r->flags |= old.flags & (JOIN_MANY | JOIN_CONFLICT);
    }
    read_values(&j->groups[group], rec, k, r);
    join_index_put(j, &j->by_key, i);
    append_to_group(j, group, i);
    link_request(j, i);
    return GY_OK;
}

/* 0 is "none". */
static uint64_t request_digest(struct gy_str id)
{
    uint64_t h = id.n ? join_mix(gy_str_hash(id, 0x9e3779b97f4a7c15ULL)) : 0;
    return id.n && !h ? 1 : h;
}

gy_status gy_join_prediction(struct gy_join *j, const struct gy_record *r, struct gy_err *err)
{
    if (r->status >= 400 || r->n_outputs == 0 || !r->outputs) {
        return GY_OK; /* nothing was predicted */
    }
    struct gy_err failed = GY_ERR_INIT; /* not every failure is the caller's */
    (void)pthread_mutex_lock(&j->mu);
    uint32_t group = j->last_group;
    gy_status st = last_group_fits(j, r) ? GY_OK : group_of(j, r, &group, &failed);
    /* Whoever reads the log must come past what can never be read. */
    bool readable = st != GY_E_NOTFOUND && st != GY_E_CORRUPT && st != GY_E_TOOBIG;
    j->unreadable += !readable;
    if (st == GY_OK) {
        j->last_group = group;
    }
    uint64_t request = request_digest(r->request_id);
    for (uint32_t k = 0; k < r->n_rows && st == GY_OK; k++) {
        st = gy_gap_row(r, k) ? GY_OK : add_row(j, r, group, request, k, &failed);
    }
    (void)pthread_mutex_unlock(&j->mu);
    if (st != GY_OK && readable && err) {
        *err = failed;
    }
    return readable ? st : GY_OK;
}

/* ---- feedback ---- */

/* Many never send feedback by request id, so its index is made when the first comes. */
static gy_status use_requests(struct gy_join *j, struct gy_err *err)
{
    if (j->by_request_used) {
        return GY_OK;
    }
    GY_TRY(join_index_reserve(&j->by_request, (size_t)j->n_used + 1, err));
    j->by_request_used = true;
    for (uint32_t k = 0; k < j->n_used; k++) {
        uint32_t i = (uint32_t)((j->first + k) % j->max_rows);
        if (join_at(j, i)->flags & JOIN_PREDICTED) {
            link_request(j, i);
        }
    }
    return GY_OK;
}

static gy_status feedback_locked(struct gy_join *j, const struct gy_feedback *f, bool *ret_joined,
                                 struct gy_err *err)
{
    struct join_label label;
    GY_TRY(read_label(j, f, &label, err));
    if (f->by_request) {
        GY_TRY(use_requests(j, err));
    }
    unsigned char id[16] = {0};
    uint64_t request = f->by_request ? request_digest(f->request_id) : 0;
    memcpy(id, f->by_request ? (const void *)&request : (const void *)f->id,
           f->by_request ? 8 : 16);
    uint32_t i = join_find(j, id, f->row, f->by_request);
    if (i == JOIN_NONE) {
        GY_TRY(push(j, &i, err));
        struct join_row *r = join_at(j, i);
        memcpy(r->id, id, 16);
        r->row = f->row;
        r->request = request;
        r->flags |= f->by_request ? JOIN_REQUEST : 0;
        join_index_put(j, &j->by_key, i);
        j->n_requests += f->by_request;
        uint32_t newest = f->by_request ? join_find_newest(j, request, f->row) : JOIN_NONE;
        if (newest != JOIN_NONE) {
            join_at(j, newest)->label = i;
        } else {
            j->orphans++;
        }
    }
    add_label(j, join_at(j, i), &label);
    uint32_t meant = f->by_request                           ? join_find_newest(j, request, f->row)
                     : join_at(j, i)->flags & JOIN_PREDICTED ? i
                                                             : JOIN_NONE;
    if (meant != JOIN_NONE) {
        join_parts_touch(j, meant);
    }
    *ret_joined = meant != JOIN_NONE;
    return GY_OK;
}

gy_status gy_join_feedback(struct gy_join *j, const struct gy_feedback *f, bool *ret_joined,
                           struct gy_err *err)
{
    bool joined = false;
    (void)pthread_mutex_lock(&j->mu);
    j->feedback++;
    gy_status st = feedback_locked(j, f, &joined, err);
    (void)pthread_mutex_unlock(&j->mu);
    if (st == GY_OK && ret_joined) {
        *ret_joined = joined;
    }
    return st;
}

/* ---- from the disk ---- */

static gy_status one_feedback(void *ctx, const struct gy_feedback *f, struct gy_err *err)
{
    return gy_join_feedback(ctx, f, NULL, err);
}

static gy_status all_feedback(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_feedback_each(db, 0, one_feedback, ctx, err);
}

static gy_status one_record(void *ctx, const struct gy_record *r, struct gy_err *err)
{
    return gy_join_prediction(ctx, r, err);
}

gy_status gy_join_rebuild(struct gy_join *j, struct gy_store *store, const char *log_dir,
                          struct gy_err *err)
{
    if (log_dir && gy_path_exists(log_dir)) {
        GY_TRY(gy_predlog_each(log_dir, one_record, j, err));
    }
    return gy_store_read(store, all_feedback, j, err);
}

void gy_join_get_stats(struct gy_join *j, struct gy_join_stats *ret)
{
    (void)pthread_mutex_lock(&j->mu);
    *ret = (struct gy_join_stats){
        .rows = j->by_key.n - j->n_requests,
        .orphans = j->orphans,
        .evicted = j->evicted,
        .feedback = j->feedback,
        .unreadable = j->unreadable,
        .bytes = j->n_chunks * JOIN_CHUNK * sizeof(struct join_row) +
                 (j->by_key.n_slots + j->by_request.n_slots) * sizeof(struct join_slot) +
                 j->part_bytes,
    };
    (void)pthread_mutex_unlock(&j->mu);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the join says. Sums are made so that they do not depend on the order of rows: rows of a
 * group are counted as integers (there are two weights only, 1 and 1/rule_shadow), groups are added
 * in the order of their names. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "watch/join_internal.h"

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "counting predictions and labels");
}

const char *gy_join_by_name(enum gy_join_by by)
{
    static const char *const names[] = {"rule", "model", "combined", "shadow"};
    return names[by];
}

/* ---- one row ---- */

static double number_label(const struct join_group *g, double number)
{
    if (g->shape->task == GY_TASK_REGRESSION) {
        return number;
    }
    for (size_t i = 0; i < g->n_classes; i++) {
        if (g->classes[i].number == number) {
            return g->classes[i].value;
        }
    }
    return NAN;
}

/* BINARY: the class that value is not; NaN for others. */
static double other_class(const struct gy_shape *s, double value)
{
    if (s->task != GY_TASK_BINARY || s->n_classes != 2 || isnan(value)) {
        return NAN;
    }
    return s->class_values[value == s->class_values[0] ? 1 : 0];
}

static double truth_of(const struct gy_join *j, const struct join_group *g,
                       const struct join_label *l, double answered)
{
    if (l->flags & JOIN_REWARD_ONLY) {
        return l->flags & JOIN_REWARD_1   ? answered
               : l->flags & JOIN_REWARD_0 ? other_class(g->shape, answered)
                                          : NAN;
    }
    double truth = l->flags & JOIN_TEXT ? gy_shape_label(g->shape, j->labels[(size_t)l->number])
                                        : number_label(g, l->number);
    bool denied =
        (l->flags & JOIN_REWARD_0) && truth == answered && g->shape->task == GY_TASK_BINARY;
    return denied ? other_class(g->shape, answered) : truth;
}

/* The row's own label and that of its request id: the same rule decides. */
static void label_of(const struct gy_join *j, const struct join_group *g, const struct join_row *r,
                     struct gy_join_row *ret)
{
    struct join_label own = join_label_of(r);
    struct join_label best = own;
    unsigned flags = r->flags;
    ret->by_request = r->label != JOIN_NONE;
    if (r->label != JOIN_NONE) {
        const struct join_row *other = join_at(j, r->label);
        struct join_label by_request = join_label_of(other);
        flags |= other->flags;
        best = by_request;
        if (own.flags & JOIN_LABEL) {
            int cmp = join_label_cmp(j, &own, &by_request);
            double a = truth_of(j, g, &own, r->answered);
            double b = truth_of(j, g, &by_request, r->answered);
            best = cmp > 0 ? own : by_request;
            ret->by_request = cmp <= 0;
            flags |= cmp ? JOIN_MANY : 0;
            flags |= a == b || (isnan(a) && isnan(b)) ? 0 : JOIN_CONFLICT;
        }
    }
    ret->truth = ret->reward = NAN;
    if (best.flags & JOIN_LABEL) {
        ret->truth = truth_of(j, g, &best, r->answered);
        ret->reward = join_reward(best.reward);
        ret->given_us = best.given_us;
        ret->source = j->sources[best.source];
        ret->repeated = ret->by_request && (r->flags & JOIN_REPEATED);
        ret->many = flags & JOIN_MANY;
        ret->conflict = flags & JOIN_CONFLICT;
    }
}

/* Rows keep it in half the size: the class that it stands for. A regression loses some digits. */
static double shadow_of(const struct gy_shape *s, float kept)
{
    for (size_t i = 0; !isnan(kept) && i < s->n_classes; i++) {
        if ((float)s->class_values[i] == kept) {
            return s->class_values[i];
        }
    }
    return (double)kept;
}

static void view(const struct gy_join *j, const struct join_row *r, struct gy_join_row *ret)
{
    const struct join_group *g = &j->groups[r->group];
    const struct gy_shape *s = g->shape;
    const struct gy_shape_rule *rule = r->rule >= 0 ? &s->rules[r->rule] : NULL;
    bool sampled = (r->flags & JOIN_SAMPLED) && s->rule_shadow > 0;
    *ret = (struct gy_join_row){
        .row = r->row,
        .time_us = r->time_us,
        .shape = s,
        .version = g->version,
        .answered = r->answered,
        .model = r->model,
        .shadow = shadow_of(s, r->shadow),
        .score = (double)r->score,
        .rule = rule,
        .rule_value = rule && rule->decides        ? rule->prediction
                      : s->n_rules && s->n_classes ? s->class_values[0]
                                                   : NAN,
        .drawn = r->flags & JOIN_DRAWN,
        .weight = sampled ? 1 / s->rule_shadow : 1,
    };
    memcpy(ret->id, r->id, sizeof ret->id);
    label_of(j, g, r, ret);
}

/* ---- which rows ---- */

static bool group_matches(const struct join_group *g, const struct gy_join_query *q)
{
    return g->rows && gy_str_eq(g->shape->endpoint, q->endpoint) &&
           (q->revision == 0 || q->revision == g->shape->revision) &&
           (!q->version.p || gy_str_eq(q->version, g->version));
}

static bool time_matches(const struct join_row *r, const struct gy_join_query *q)
{
    return (!q->since_us || r->time_us >= q->since_us) &&
           (!q->until_us || r->time_us < q->until_us);
}

static int by_name(const void *a, const void *b)
{
    const struct join_group *x = *(const struct join_group *const *)a;
    const struct join_group *y = *(const struct join_group *const *)b;
    int cmp = gy_str_cmp(x->shape->endpoint, y->shape->endpoint);
    if (cmp == 0 && x->shape->revision != y->shape->revision) {
        cmp = x->shape->revision > y->shape->revision ? 1 : -1;
    }
    return cmp ? cmp : gy_str_cmp(x->version, y->version);
}

/* The groups that match, by name: gy_free. */
static gy_status matching(const struct gy_join *j, const struct gy_join_query *q,
                          const struct join_group ***ret, size_t *ret_n, struct gy_err *err)
{
    const struct join_group **list =
        gy_malloc((j->n_groups + 1) * sizeof(const struct join_group *));
    if (!list) {
        return no_memory(err);
    }
    size_t n = 0;
    for (size_t i = 0; i < j->n_groups; i++) {
        if (q->endpoint.p ? group_matches(&j->groups[i], q) : j->groups[i].rows > 0) {
            list[n++] = &j->groups[i];
        }
    }
    qsort(list, n, sizeof *list, by_name);
    *ret = list;
    *ret_n = n;
    return GY_OK;
}

/* A place in time, with what makes it unique. */
struct instant {
    int64_t time_us;
    uint32_t at;
};

static int newer_first(const struct gy_join *j, const struct instant *a, const struct instant *b)
{
    if (a->time_us != b->time_us) {
        return a->time_us > b->time_us ? -1 : 1;
    }
    const struct join_row *x = join_at(j, a->at);
    const struct join_row *y = join_at(j, b->at);
    int cmp = memcmp(y->id, x->id, 16);
    return cmp ? cmp : (x->row < y->row) - (x->row > y->row);
}

/* Quickselect (Hoare 1961): the n newest come first. */
static void select_newest(const struct gy_join *j, struct instant *v, size_t len, size_t n)
{
    size_t low = 0;
    size_t high = len;
    while (high - low > 1) {
        struct instant pivot = v[low + (high - low) / 2];
        size_t a = low;
        size_t b = high - 1;
        while (a <= b) {
            while (newer_first(j, &v[a], &pivot) < 0) {
                a++;
            }
            while (newer_first(j, &v[b], &pivot) > 0) {
                b--;
            }
            if (a <= b) {
                struct instant t = v[a];
                v[a++] = v[b];
                v[b] = t;
                if (b == 0) {
                    break;
                }
                b--;
            }
        }
        if (n <= b + 1 && b + 1 < high) {
            high = b + 1;
        } else if (n > a) {
            low = a;
        } else {
            return;
        }
    }
}

/* Wholly of another time. */
static bool is_outside(const struct join_part *p, const struct gy_join_query *q)
{
    return (q->since_us && p->max_us < q->since_us) || (q->until_us && p->min_us >= q->until_us);
}

/* All of its rows are of the time asked for. */
static bool is_inside(const struct join_part *p, const struct gy_join_query *q)
{
    return !p->cut && (!q->since_us || p->min_us >= q->since_us) &&
           (!q->until_us || p->max_us < q->until_us);
}

static struct join_sum *sum_of(struct gy_join *j, const struct join_group *g, size_t k);

struct dated {
    int64_t min_us;
    uint64_t labelled;
};

static int later_first(const void *a, const void *b)
{
    int64_t x = ((const struct dated *)a)->min_us, y = ((const struct dated *)b)->min_us;
    return (x < y) - (x > y);
}

/* A time that none of the last_n labelled rows is before: the parts that begin at it or later have
 * as many. What was asked for when that can not be told. */
static int64_t since_of_last(struct gy_join *j, const struct gy_join_query *q,
                             const struct join_group *const *groups, size_t n_groups)
{
    size_t n_parts = 0, n = 0;
    for (size_t i = 0; i < n_groups; i++) {
        n_parts += groups[i]->n_parts;
    }
    struct dated *list = gy_malloc((n_parts + 1) * sizeof *list);
    for (size_t i = 0; list && i < n_groups; i++) {
        for (size_t k = 0; k < groups[i]->n_parts; k++) {
            const struct join_part *p = join_part_at(groups[i], k);
            const struct join_sum *sum =
                p->marked && is_inside(p, q) ? sum_of(j, groups[i], k) : NULL;
            if (sum) {
                list[n++] = (struct dated){p->min_us, sum->labelled};
            }
        }
    }
    if (n) {
        qsort(list, n, sizeof *list, later_first);
    }
    uint64_t labelled = 0;
    size_t i = 0;
    while (i < n && labelled < q->last_n) {
        labelled += list[i++].labelled;
    }
    int64_t since = labelled >= q->last_n && i > 0 ? list[i - 1].min_us : q->since_us;
    gy_free(list);
    return since;
}

static size_t labelled_of(const struct gy_join *j, const struct gy_join_query *q,
                          const struct join_part *p, struct instant *list)
{
    size_t n = 0;
    uint32_t at = p->head;
    for (uint32_t k = 0; k < p->n; k++, at = join_at(j, at)->next) {
        struct gy_join_row row;
        if (time_matches(join_at(j, at), q)) {
            view(j, join_at(j, at), &row);
            if (!isnan(row.truth)) {
                list[n++] = (struct instant){row.time_us, at};
            }
        }
    }
    return n;
}

/* The oldest of the last_n labelled rows; *ret_any false: there is no label. */
static gy_status oldest_of_last(struct gy_join *j, const struct gy_join_query *q,
                                const struct join_group *const *groups, size_t n_groups,
                                struct instant *ret, bool *ret_any, struct gy_err *err)
{
    size_t most = 0;
    for (size_t i = 0; i < n_groups; i++) {
        for (size_t k = 0; k < groups[i]->n_parts; k++) {
            const struct join_part *p = join_part_at(groups[i], k);
            most += p->marked && !is_outside(p, q) ? p->n : 0;
        }
    }
    struct instant *list = gy_malloc((most + 1) * sizeof *list);
    if (!list) {
        return no_memory(err);
    }
    size_t n = 0;
    for (size_t i = 0; i < n_groups; i++) {
        for (size_t k = 0; k < groups[i]->n_parts; k++) {
            const struct join_part *p = join_part_at(groups[i], k);
            if (p->marked && !is_outside(p, q)) {
                n += labelled_of(j, q, p, list + n);
            }
        }
    }
    *ret_any = n > 0;
    if (n > q->last_n) {
        select_newest(j, list, n, q->last_n);
        n = q->last_n;
    }
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || newer_first(j, &list[i], ret) > 0) {
            *ret = list[i];
        }
    }
    gy_free(list);
    return GY_OK;
}

/* The rows of a part. oldest MAY be NULL, else older rows are left out. */
static gy_status walk_part(struct gy_join *j, const struct gy_join_query *q,
                           const struct join_part *p, const struct instant *oldest,
                           gy_join_row_fn fn, void *ctx, struct gy_err *err)
{
    uint32_t at = p->head;
    for (uint32_t k = 0; k < p->n; k++, at = join_at(j, at)->next) {
        const struct join_row *r = join_at(j, at);
        const struct instant here = {r->time_us, at};
        if (!time_matches(r, q) || (oldest && newer_first(j, &here, oldest) > 0)) {
            continue;
        }
        struct gy_join_row row;
        view(j, r, &row);
        bool told = !isnan(row.truth) || (q->rewarded && !isnan(row.reward));
        if (told || !(q->labelled || q->last_n)) {
            GY_TRY(fn(ctx, &row, err));
        }
    }
    return GY_OK;
}

static gy_status walk(struct gy_join *j, const struct gy_join_query *asked,
                      const struct join_group *const *groups, size_t n_groups, gy_join_row_fn fn,
                      void *ctx, struct gy_err *err)
{
    struct gy_join_query q = *asked;
    struct instant oldest = {0};
    bool any = false;
    if (q.last_n) {
        q.since_us = since_of_last(j, &q, groups, n_groups);
        GY_TRY(oldest_of_last(j, &q, groups, n_groups, &oldest, &any, err));
        if (!any) {
            return GY_OK;
        }
    }
    bool labelled = q.labelled || q.last_n;
    for (size_t i = 0; i < n_groups; i++) {
        for (size_t k = 0; k < groups[i]->n_parts; k++) {
            const struct join_part *p = join_part_at(groups[i], k);
            if (!is_outside(p, &q) && (p->marked || !labelled)) {
                GY_TRY(walk_part(j, &q, p, any ? &oldest : NULL, fn, ctx, err));
            }
        }
    }
    return GY_OK;
}

gy_status gy_join_each(struct gy_join *j, const struct gy_join_query *q, gy_join_row_fn fn,
                       void *ctx, struct gy_err *err)
{
    const struct join_group **groups = NULL;
    size_t n = 0;
    (void)pthread_mutex_lock(&j->mu);
    gy_status st = matching(j, q, &groups, &n, err);
    if (st == GY_OK) {
        st = walk(j, q, groups, n, fn, ctx, err);
    }
    (void)pthread_mutex_unlock(&j->mu);
    gy_free(groups);
    return st;
}

bool gy_join_get(struct gy_join *j, const unsigned char id[16], uint32_t row,
                 struct gy_join_row *ret)
{
    (void)pthread_mutex_lock(&j->mu);
    uint32_t at = join_find(j, id, row, false);
    bool known = at != JOIN_NONE && (join_at(j, at)->flags & JOIN_PREDICTED);
    if (known) {
        view(j, join_at(j, at), ret);
    }
    (void)pthread_mutex_unlock(&j->mu);
    return known;
}

gy_status gy_join_groups(struct gy_join *j, struct gy_str endpoint, struct gy_arena *a,
                         struct gy_join_group **ret, size_t *ret_n, struct gy_err *err)
{
    const struct join_group **groups = NULL;
    size_t n = 0;
    const struct gy_join_query q = {.endpoint = endpoint};
    (void)pthread_mutex_lock(&j->mu);
    gy_status st = matching(j, &q, &groups, &n, err);
    struct gy_join_group *list = st == GY_OK ? gy_arena_calloc(a, n + 1, sizeof *list) : NULL;
    for (size_t i = 0; list && i < n; i++) {
        list[i] = (struct gy_join_group){groups[i]->shape, groups[i]->version, groups[i]->rows};
    }
    (void)pthread_mutex_unlock(&j->mu);
    gy_free(groups);
    if (st == GY_OK && !list) {
        return no_memory(err);
    }
    *ret = list;
    *ret_n = n;
    return st;
}

/* ---- counts ---- */

enum { TP, FP, FN, CELLS = JOIN_CELLS };

/* One group's rows as integers: [weight is 1/rule_shadow][class][cell]. */
struct tally {
    uint64_t rows[GY_BY_COUNT][2], correct[GY_BY_COUNT][2];
    uint64_t *cells[GY_BY_COUNT]; /* 2 x n_classes x CELLS */
    /* of a regression, over all groups */
    struct {
        double w, w2, abs, sq, quad, off; /* off: with its sign */
    } sums[GY_BY_COUNT];
};

struct counting {
    struct gy_join_counts *counts;
    struct tally tally;
    uint64_t *memory;
    struct gy_join_class *classes[GY_BY_COUNT]; /* what the tallies add up to */
    const struct gy_shape *group;
    struct gy_str version;
};

static bool same_meaning(const struct gy_shape *a, const struct gy_shape *b)
{
    bool same = a->task == b->task && a->n_classes == b->n_classes;
    for (size_t i = 0; same && i < a->n_classes; i++) {
        same = gy_str_eq(a->classes[i], b->classes[i]);
    }
    return same;
}

static size_t class_index(const struct gy_shape *s, double value)
{
    size_t i = 0;
    while (i < s->n_classes && s->class_values[i] != value) {
        i++;
    }
    return i;
}

static void tally_class(const struct gy_shape *s, struct tally *t, enum gy_join_by by, int weighted,
                        double value, double truth)
{
    size_t was = class_index(s, truth);
    size_t said = class_index(s, value);
    t->rows[by][weighted]++;
    t->correct[by][weighted] += was == said;
    uint64_t *cells = t->cells[by] + (size_t)weighted * s->n_classes * CELLS;
    if (was == said && was < s->n_classes) {
        cells[was * CELLS + TP]++;
        return;
    }
    if (said < s->n_classes) {
        cells[said * CELLS + FP]++;
    }
    if (was < s->n_classes) {
        cells[was * CELLS + FN]++;
    }
}

/* Of a sample that the endpoint's log draws. */
static double each_of(const struct gy_shape *s)
{
    return s->sample > 0 && s->sample < 1 ? 1 / s->sample : 1;
}

static void tally_value(struct tally *t, enum gy_join_by by, double weight, double value,
                        double truth)
{
    double off = value - truth;
    t->rows[by][0]++;
    t->sums[by].w += weight;
    t->sums[by].w2 += weight * weight;
    t->sums[by].abs += weight * fabs(off);
    t->sums[by].sq += weight * off * off;
    t->sums[by].quad += weight * off * off * off * off;
    t->sums[by].off += weight * off;
}

/* Each logged row stands for `each` predictions. */
static void cell_add(struct gy_join_cell *c, uint64_t plain, uint64_t weighted, double weight,
                     double each)
{
    c->n += each * ((double)plain + (double)weighted * weight);
    c->n2 += each * each * ((double)plain + (double)weighted * weight * weight);
}

/* A group is over: its integers times its weight go into the sums. */
static void close_group(struct counting *c)
{
    const struct gy_shape *s = c->group;
    if (!s) {
        return;
    }
    double weight = s->rule_shadow > 0 ? 1 / s->rule_shadow : 1;
    double each = each_of(s);
    struct tally *t = &c->tally;
    for (int by = 0; by < GY_BY_COUNT; by++) {
        struct gy_join_way *way = &c->counts->by[by];
        way->rows += t->rows[by][0] + t->rows[by][1];
        cell_add(&way->all, t->rows[by][0], t->rows[by][1], weight, each);
        cell_add(&way->correct, t->correct[by][0], t->correct[by][1], weight, each);
        const uint64_t *plain = t->cells[by];
        const uint64_t *weighted = plain + s->n_classes * CELLS;
        for (size_t k = 0; k < s->n_classes; k++) {
            struct gy_join_class *class = &c->classes[by][k];
            cell_add(&class->tp, plain[k * CELLS + TP], weighted[k * CELLS + TP], weight, each);
            cell_add(&class->fp, plain[k * CELLS + FP], weighted[k * CELLS + FP], weight, each);
            cell_add(&class->fn, plain[k * CELLS + FN], weighted[k * CELLS + FN], weight, each);
        }
        memset(t->cells[by], 0, 2 * s->n_classes * CELLS * sizeof(uint64_t));
        t->rows[by][0] = t->rows[by][1] = t->correct[by][0] = t->correct[by][1] = 0;
    }
    c->group = NULL;
}

static void tally_row(struct tally *t, const struct gy_join_row *row)
{
    const double values[GY_BY_COUNT] = {[GY_BY_RULE] = row->rule_value,
                                        [GY_BY_MODEL] = row->model,
                                        [GY_BY_COMBINED] = row->answered,
                                        [GY_BY_SHADOW] = row->shadow};
    for (int by = 0; by < GY_BY_COUNT; by++) {
        double weight = by == GY_BY_MODEL ? row->weight : 1;
        if (isnan(values[by])) {
            continue;
        }
        if (row->shape->task == GY_TASK_REGRESSION) {
            tally_value(t, (enum gy_join_by)by, weight * each_of(row->shape), values[by],
                        row->truth);
        } else {
            tally_class(row->shape, t, (enum gy_join_by)by, weight != 1, values[by], row->truth);
        }
    }
}

static bool is_binary(const struct gy_shape *s)
{
    return s->task == GY_TASK_BINARY && s->n_classes == 2;
}

/* What a whole part adds up to; NULL: it can not be kept (it grows or loses rows, no memory). */
static struct join_sum *sum_of(struct gy_join *j, const struct join_group *g, size_t k)
{
    struct join_part *p = join_part_at(g, k);
    if (p->sum || p->cut || k + 1 == g->n_parts) {
        return p->sum;
    }
    struct join_sum *sum = join_parts_new_sum(j, p);
    if (!sum) {
        return NULL;
    }
    struct tally t = {.rows = {{0}}};
    for (int by = 0; by < GY_BY_COUNT; by++) {
        t.cells[by] = sum->cells[by];
    }
    uint32_t at = p->head;
    for (uint32_t i = 0; i < p->n; i++, at = join_at(j, at)->next) {
        struct gy_join_row row;
        view(j, join_at(j, at), &row);
        if (isnan(row.truth)) {
            sum->unreadable += row.given_us != 0;
            continue;
        }
        sum->labelled++;
        sum->many += row.many;
        sum->conflicts += row.conflict;
        sum->repeated += row.repeated;
        if (is_binary(g->shape)) {
            tally_row(&t, &row);
        }
    }
    memcpy(sum->rows, t.rows, sizeof sum->rows);
    memcpy(sum->correct, t.correct, sizeof sum->correct);
    return sum;
}

/* The rows that follow are of this group. */
static void enter_group(struct counting *c, const struct gy_shape *s, struct gy_str version)
{
    if (c->group != s || c->version.p != version.p) {
        close_group(c);
        c->group = s;
        c->version = version;
    }
}

static void saw_times(struct gy_join_counts *counts, int64_t from_us, int64_t to_us)
{
    counts->first_us = counts->first_us && counts->first_us < from_us ? counts->first_us : from_us;
    counts->last_us = counts->last_us > to_us ? counts->last_us : to_us;
}

/* A part all of whose rows are asked for, without a look at them; false: that can not be. */
static bool count_part(struct gy_join *j, struct counting *c, const struct join_group *g, size_t k)
{
    struct gy_join_counts *counts = c->counts;
    const struct join_part *p = join_part_at(g, k);
    if (!same_meaning(g->shape, counts->shape)) {
        counts->other_task += p->n;
        return true;
    }
    const struct join_sum *sum = p->marked ? sum_of(j, g, k) : NULL;
    if (p->marked && (!sum || (sum->labelled && !is_binary(g->shape)))) {
        return false;
    }
    enter_group(c, g->shape, g->version);
    counts->predictions += p->n;
    saw_times(counts, p->min_us, p->max_us);
    if (!sum) {
        return true;
    }
    counts->labelled += sum->labelled;
    counts->unreadable += sum->unreadable;
    counts->many += sum->many;
    counts->conflicts += sum->conflicts;
    counts->repeated += sum->repeated;
    for (int by = 0; by < GY_BY_COUNT && is_binary(g->shape); by++) {
        for (int w = 0; w < 2; w++) {
            c->tally.rows[by][w] += sum->rows[by][w];
            c->tally.correct[by][w] += sum->correct[by][w];
        }
        for (size_t i = 0; i < sizeof sum->cells[by] / sizeof sum->cells[by][0]; i++) {
            c->tally.cells[by][i] += sum->cells[by][i];
        }
    }
    return true;
}

static gy_status count_row(void *ctx, const struct gy_join_row *row, struct gy_err *err)
{
    struct counting *c = ctx;
    struct gy_join_counts *counts = c->counts;
    (void)err;
    if (!same_meaning(row->shape, counts->shape)) {
        counts->other_task++;
        return GY_OK;
    }
    enter_group(c, row->shape, row->version);
    counts->predictions++;
    saw_times(counts, row->time_us, row->time_us);
    counts->unreadable += isnan(row->truth) && row->given_us != 0;
    if (isnan(row->truth)) {
        return GY_OK;
    }
    counts->labelled++;
    counts->many += row->many;
    counts->conflicts += row->conflict;
    counts->repeated += row->repeated;
    tally_row(&c->tally, row);
    return GY_OK;
}

static double macro_f1(const struct gy_join_class *classes, size_t n)
{
    double sum = 0;
    size_t told = 0;
    for (size_t k = 0; k < n; k++) {
        double all = 2 * classes[k].tp.n + classes[k].fp.n + classes[k].fn.n;
        if (all > 0) { /* a class that neither was nor was said tells nothing */
            sum += 2 * classes[k].tp.n / all;
            told++;
        }
    }
    return told ? sum / (double)told : NAN;
}

static void finish_regression(const struct tally *t, enum gy_join_by by, struct gy_join_way *way)
{
    double w = t->sums[by].w;
    if (w > 0) {
        double square = t->sums[by].sq / w;
        way->all = (struct gy_join_cell){w, t->sums[by].w2};
        way->mae = t->sums[by].abs / w;
        way->rmse = sqrt(square);
        way->bias = t->sums[by].off / w;
        way->square_variance = t->sums[by].quad / w - square * square;
    }
}

static void finish_way(struct counting *c, enum gy_join_by by)
{
    struct gy_join_counts *counts = c->counts;
    struct gy_join_way *way = &counts->by[by];
    const struct gy_join_class *classes = c->classes[by];
    way->macro_f1 = way->mae = way->rmse = way->bias = NAN;
    switch (counts->task) {
    case GY_TASK_BINARY:
        way->tp = classes[1].tp;
        way->fp = classes[1].fp;
        way->fn = classes[1].fn;
        way->tn = classes[0].tp;
        break;
    case GY_TASK_MULTICLASS:
        way->macro_f1 = macro_f1(classes, counts->shape->n_classes);
        break;
    case GY_TASK_REGRESSION:
        finish_regression(&c->tally, by, way);
        break;
    }
}

static gy_status open_counting(struct counting *c, const struct gy_shape *s, struct gy_arena *arena,
                               struct gy_err *err)
{
    size_t n = s->n_classes < 2 ? 2 : s->n_classes;
    size_t cells = 2 * n * CELLS;
    size_t class_bytes = n * sizeof(struct gy_join_class);
    if (n > GY_JOIN_MAX_CLASSES) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d classes", GY_JOIN_MAX_CLASSES);
    }
    c->memory = gy_calloc(GY_BY_COUNT, cells * sizeof(uint64_t) + class_bytes);
    struct gy_join_class *kept = arena ? gy_arena_calloc(arena, GY_BY_COUNT, class_bytes) : NULL;
    if (!c->memory || (arena && !kept)) {
        gy_free(c->memory);
        c->memory = NULL;
        return no_memory(err);
    }
    struct gy_join_class *own = (struct gy_join_class *)(void *)(c->memory + GY_BY_COUNT * cells);
    for (int by = 0; by < GY_BY_COUNT; by++) {
        c->tally.cells[by] = c->memory + (size_t)by * cells;
        c->classes[by] = (kept ? kept : own) + (size_t)by * n;
        if (kept && s->task == GY_TASK_MULTICLASS) {
            c->counts->by[by].classes = c->classes[by];
        }
    }
    return GY_OK;
}

static void close_counting(struct counting *c)
{
    close_group(c);
    for (int by = 0; c->counts->shape && by < GY_BY_COUNT; by++) {
        finish_way(c, (enum gy_join_by)by);
    }
    gy_free(c->memory);
}

static void start_counts(const struct join_group *newest, struct gy_join_counts *ret)
{
    *ret = (struct gy_join_counts){.shape = newest->shape,
                                   .task = newest->shape->task,
                                   .has_rules = newest->shape->n_rules > 0};
}

struct windows {
    struct counting *list;
    int64_t start_us, width_us;
    size_t n;
};

static gy_status count_in_window(void *ctx, const struct gy_join_row *row, struct gy_err *err)
{
    struct windows *w = ctx;
    int64_t at = (row->time_us - w->start_us) / w->width_us;
    return row->time_us >= w->start_us && (size_t)at < w->n ? count_row(&w->list[at], row, err)
                                                            : GY_OK;
}

/* The counting that all rows of the part go to; NULL: they are of several windows. */
static struct counting *window_of(const struct windows *w, const struct join_part *p)
{
    int64_t first = (p->min_us - w->start_us) / w->width_us;
    int64_t last = (p->max_us - w->start_us) / w->width_us;
    bool one = p->min_us >= w->start_us && first == last && (size_t)first < w->n;
    return one ? &w->list[first] : NULL;
}

/* Into one counting, or one of several windows. */
static gy_status count_rows(struct gy_join *j, const struct gy_join_query *q,
                            const struct join_group *const *groups, size_t n_groups,
                            struct counting *one, struct windows *w, struct gy_err *err)
{
    gy_join_row_fn fn = one ? count_row : count_in_window;
    void *ctx = one ? (void *)one : (void *)w;
    if (q->last_n || q->labelled) {
        return walk(j, q, groups, n_groups, fn, ctx, err);
    }
    for (size_t i = 0; i < n_groups; i++) {
        for (size_t k = 0; k < groups[i]->n_parts; k++) {
            const struct join_part *p = join_part_at(groups[i], k);
            struct counting *to = !is_inside(p, q) ? NULL : one ? one : window_of(w, p);
            bool done = is_outside(p, q) || (to && count_part(j, to, groups[i], k));
            if (!done) {
                GY_TRY(walk_part(j, q, p, NULL, fn, ctx, err));
            }
        }
    }
    return GY_OK;
}

static gy_status count_locked(struct gy_join *j, const struct gy_join_query *q,
                              struct gy_arena *arena, struct gy_join_counts *ret,
                              struct gy_err *err)
{
    const struct join_group **groups = NULL;
    size_t n = 0;
    struct counting c = {.counts = ret};
    GY_TRY(matching(j, q, &groups, &n, err));
    gy_status st = GY_OK;
    if (n) {
        start_counts(groups[n - 1], ret);
        st = open_counting(&c, ret->shape, arena, err);
    }
    if (n && st == GY_OK) {
        st = count_rows(j, q, groups, n, &c, NULL, err);
        close_counting(&c);
    }
    gy_free(groups);
    return st;
}

gy_status gy_join_counts(struct gy_join *j, const struct gy_join_query *q, struct gy_arena *arena,
                         struct gy_join_counts *ret, struct gy_err *err)
{
    struct gy_join_counts counts = {.shape = NULL};
    (void)pthread_mutex_lock(&j->mu);
    gy_status st = count_locked(j, q, arena, &counts, err);
    counts.orphans = j->orphans;
    (void)pthread_mutex_unlock(&j->mu);
    if (st == GY_OK) {
        *ret = counts;
    }
    return st;
}

/* ---- windows ---- */

static gy_status windows_locked(struct gy_join *j, const struct gy_join_query *q, struct windows *w,
                                struct gy_join_counts *list, struct gy_err *err)
{
    const struct join_group **groups = NULL;
    size_t n = 0;
    size_t opened = 0;
    gy_status st = matching(j, q, &groups, &n, err);
    for (; st == GY_OK && n && opened < w->n; opened++) {
        start_counts(groups[n - 1], &list[opened]);
        w->list[opened].counts = &list[opened];
        st = open_counting(&w->list[opened], list[opened].shape, NULL, err);
    }
    if (st == GY_OK) {
        st = count_rows(j, q, groups, n, NULL, w, err);
    }
    for (size_t i = 0; i < opened; i++) {
        if (w->list[i].memory) {
            close_counting(&w->list[i]);
        }
    }
    gy_free(groups);
    return st;
}

gy_status gy_join_windows(struct gy_join *j, const struct gy_join_query *q, int64_t start_us,
                          int64_t width_us, size_t n, struct gy_join_counts *list,
                          struct gy_err *err)
{
    GY_REQUIRE(width_us > 0 && n <= GY_JOIN_MAX_WINDOWS);
    struct windows w = {gy_calloc(n + 1, sizeof *w.list), start_us, width_us, n};
    struct gy_join_query narrowed = *q;
    int64_t end_us = start_us + width_us * (int64_t)n;
    narrowed.last_n = 0;
    narrowed.since_us = q->since_us > start_us ? q->since_us : start_us;
    narrowed.until_us = q->until_us && q->until_us < end_us ? q->until_us : end_us;
    if (!w.list) {
        return no_memory(err);
    }
    memset(list, 0, n * sizeof *list);
    (void)pthread_mutex_lock(&j->mu);
    gy_status st = windows_locked(j, &narrowed, &w, list, err);
    (void)pthread_mutex_unlock(&j->mu);
    gy_free(w.list);
    return st;
}

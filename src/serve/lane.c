/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/lane.h"

#include <pthread.h>
#include <time.h>

#include "base/mem.h"
#include "base/time.h"

#define DEFAULT_CONCURRENT 8
#define DEFAULT_TIMEOUT_MS 10000

/* One request, on its caller's stack. Guarded by the lane's lock, but for cells: whoever asks for
 * the batch reads them under the lock too. */
struct member {
    struct member *next;
    const double *cells;
    double *out;
    size_t n_rows;
    size_t first; /* row of the batch, once it is closed */
    int64_t deadline_ns;
    bool impatient; /* the deadline is its own, not the lane's */
    struct gy_err err;
    gy_status status;
    bool done;
};

/* Requests that go together. Owned by its leader: the member that asks for all. */
struct batch {
    struct member *members, *leader;
    size_t n_members, n_rows;
    int64_t due_ns; /* no longer waits for others from then on */
};

struct gy_lane {
    const struct gy_predictor *p;
    struct gy_lane_options o;
    size_t n_in, n_out;
    pthread_mutex_t lock; /* guards all below, and batches and members */
    pthread_cond_t changed;
    struct batch *open; /* that may be joined; NULL: none */
    struct gy_lane_stats stats;
};

/* ---- settings ---- */

static gy_status read_number(yyjson_val *object, const char *key, int64_t min, int64_t max,
                             int64_t *ret, struct gy_err *err)
{
    yyjson_val *v = gy_json_get(object, key);
    if (!v) {
        return GY_OK;
    }
    if (!yyjson_is_int(v) || yyjson_get_sint(v) < min || yyjson_get_sint(v) > max) {
        return gy_err_set(err, GY_E_INVALID, "'%s' must be a whole number from %lld to %lld", key,
                          (long long)min, (long long)max);
    }
    *ret = yyjson_get_sint(v);
    return GY_OK;
}

static gy_status check_keys(yyjson_val *object, const char *what, const char *const *keys,
                            struct gy_err *err)
{
    size_t i, n;
    yyjson_val *key, *value;
    if (!yyjson_is_obj(object)) {
        return gy_err_set(err, GY_E_INVALID, "'%s' must be a mapping", what);
    }
    yyjson_obj_foreach(object, i, n, key, value)
    {
        const char *const *k = keys;
        while (*k && !yyjson_equals_str(key, *k)) {
            k++;
        }
        if (!*k) {
            return gy_err_set(err, GY_E_INVALID, "'%s' has no setting '%s'", what,
                              yyjson_get_str(key));
        }
    }
    return GY_OK;
}

gy_status gy_lane_read(yyjson_val *runtime, yyjson_val *batching, struct gy_lane_options *ret,
                       struct gy_err *err)
{
    static const char *const runtime_keys[] = {"timeout_ms", "max_concurrent", "max_waiting", NULL};
    static const char *const batching_keys[] = {"max_rows", "max_delay_us", NULL};
    int64_t concurrent = 0, waiting = 0, rows = 0;
    *ret = (struct gy_lane_options){0};
    if (runtime) {
        GY_TRY(check_keys(runtime, "runtime", runtime_keys, err));
        GY_TRY(
            read_number(runtime, "timeout_ms", 1, GY_LANE_MAX_TIMEOUT_MS, &ret->timeout_ms, err));
        GY_TRY(read_number(runtime, "max_concurrent", 1, GY_LANE_MAX_CONCURRENT, &concurrent, err));
        GY_TRY(read_number(runtime, "max_waiting", 1, GY_LANE_MAX_INSIDE, &waiting, err));
    }
    if (batching) {
        GY_TRY(check_keys(batching, "batching", batching_keys, err));
        rows = 64;
        ret->max_delay_us = 500;
        GY_TRY(read_number(batching, "max_rows", 2, GY_LANE_MAX_ROWS, &rows, err));
        GY_TRY(read_number(batching, "max_delay_us", 0, GY_LANE_MAX_DELAY_US, &ret->max_delay_us,
                           err));
    }
    ret->max_concurrent = (size_t)concurrent;
    ret->max_waiting = (size_t)waiting;
    ret->max_rows = (size_t)rows;
    return GY_OK;
}

/* ---- life ---- */

gy_status gy_lane_new(const struct gy_predictor *p, const struct gy_lane_options *o,
                      struct gy_lane **ret, struct gy_err *err)
{
    struct gy_lane *l = gy_calloc(1, sizeof *l);
    if (!l) {
        return gy_err_set(err, GY_E_NOMEM, "loading an endpoint");
    }
    const struct gy_predictor_info *info = gy_predictor_info(p);
    l->p = p;
    l->o = *o;
    l->n_in = info->n_cells;
    l->n_out = info->n_outputs;
    if (!l->o.timeout_ms) {
        l->o.timeout_ms = info->timeout_ms ? info->timeout_ms : DEFAULT_TIMEOUT_MS;
    }
    if (!l->o.max_concurrent) {
        l->o.max_concurrent = DEFAULT_CONCURRENT;
    }
    size_t room = GY_LANE_MAX_INSIDE - l->o.max_concurrent;
    if (!l->o.max_waiting || l->o.max_waiting > room) {
        l->o.max_waiting = room;
    }
    pthread_condattr_t clock;
    (void)pthread_mutex_init(&l->lock, NULL); /* these can not fail on Linux */
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&l->changed, &clock);
    (void)pthread_condattr_destroy(&clock);
    *ret = l;
    return GY_OK;
}

void gy_lane_free(struct gy_lane *l)
{
    if (l) {
        (void)pthread_cond_destroy(&l->changed);
        (void)pthread_mutex_destroy(&l->lock);
        gy_free(l);
    }
}

void gy_lane_get_stats(struct gy_lane *l, struct gy_lane_stats *ret)
{
    (void)pthread_mutex_lock(&l->lock);
    *ret = l->stats;
    (void)pthread_mutex_unlock(&l->lock);
}

/* ---- asking ---- */

static gy_status too_late(const struct gy_lane *l, bool impatient, struct gy_err *err)
{
    return impatient ? gy_err_set(err, GY_E_TIMEOUT,
                                  "the deadline of the request passed before the model "
                                  "answered")
                     : gy_err_set(err, GY_E_TIMEOUT, "the model did not answer within %lld ms",
                                  (long long)l->o.timeout_ms);
}

/* A call of the model. Not under the lock. */
static gy_status ask(struct gy_lane *l, const double *cells, size_t n_rows, double *out,
                     int64_t deadline_ns, struct gy_err *err)
{
    GY_AUTO(gy_free) char *room = gy_malloc(gy_predictor_scratch(l->p, n_rows) + 64);
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "memory for a prediction");
    }
    char *scratch = room + (64 - ((uintptr_t)room & 63));
    return gy_predictor_try_run(l->p, cells, n_rows, out, scratch, deadline_ns, err);
}

/* A call of several requests, its rows and answers. */
struct joined {
    double *cells, *out;
    gy_status status;
    struct gy_err err;
    char *memory;
};

/* Under the lock: take the rows of all members into one place. */
static gy_status gather(const struct gy_lane *l, struct batch *b, struct joined *j,
                        struct gy_err *err)
{
    size_t first = 0;
    j->memory = gy_reallocarray(NULL, b->n_rows, (l->n_in + l->n_out) * sizeof(double));
    if (!j->memory) {
        return gy_err_set(err, GY_E_NOMEM, "memory for a prediction");
    }
    j->cells = (double *)(void *)j->memory;
    j->out = j->cells + b->n_rows * l->n_in;
    for (struct member *m = b->members; m; m = m->next) {
        m->first = first;
        memcpy(j->cells + first * l->n_in, m->cells, m->n_rows * l->n_in * sizeof *j->cells);
        first += m->n_rows;
    }
    return GY_OK;
}

/* Under the lock. */
static void finish(const struct gy_lane *l, struct member *m, const struct joined *j,
                   gy_status status, const struct gy_err *failed)
{
    m->status = status;
    if (status == GY_OK) {
        memcpy(m->out, j->out + m->first * l->n_out, m->n_rows * l->n_out * sizeof *m->out);
    } else {
        m->err = *failed;
    }
    m->done = true;
}

/* Under the lock: nobody waits for it any more. */
static void expire(struct gy_lane *l, struct member *m)
{
    l->stats.timed_out++;
    struct gy_err late = GY_ERR_INIT;
    gy_status status = too_late(l, m->impatient, &late);
    finish(l, m, NULL, status, &late);
}

/* Under the lock, which is given up meanwhile: each of them alone. Who has its answer goes away
 * with its memory, and who can not wait leaves, so the list holds those alone that still wait. */
static void ask_each(struct gy_lane *l, struct batch *b, struct joined *j)
{
    while (b->members) {
        size_t first = b->members->first, n = b->members->n_rows;
        int64_t deadline_ns = b->members->deadline_ns;
        struct gy_err failed = GY_ERR_INIT;
        if (gy_mono_ns() >= deadline_ns) {
            struct member *late = b->members;
            b->members = late->next;
            expire(l, late);
            (void)pthread_cond_broadcast(&l->changed);
            continue;
        }
        (void)pthread_mutex_unlock(&l->lock);
        gy_status status =
            ask(l, j->cells + first * l->n_in, n, j->out + first * l->n_out, deadline_ns, &failed);
        (void)pthread_mutex_lock(&l->lock);
        l->stats.calls++;
        l->stats.rows += n;
        /* They go in their order: it is the first one still, or it has left. */
        struct member *m = b->members;
        if (m && m->first == first) {
            b->members = m->next;
            finish(l, m, j, status, &failed);
            (void)pthread_cond_broadcast(&l->changed);
        }
    }
}

static void ask_joined(struct gy_lane *l, struct batch *b, int64_t deadline_ns)
{
    struct joined j = {.err = GY_ERR_INIT};
    size_t n_rows = b->n_rows;
    j.status = gather(l, b, &j, &j.err);
    l->stats.joined += b->n_members;
    if (j.status == GY_OK) {
        (void)pthread_mutex_unlock(&l->lock);
        j.status = ask(l, j.cells, n_rows, j.out, deadline_ns, &j.err);
        (void)pthread_mutex_lock(&l->lock);
        l->stats.calls++;
        l->stats.rows += n_rows;
    }
    if (j.status == GY_E_INVALID || j.status == GY_E_NETWORK) {
        ask_each(l, b, &j);
    } else {
        for (struct member *m = b->members; m; m = m->next) {
            finish(l, m, &j, j.status, &j.err);
        }
    }
    gy_free(j.memory);
}

/* Under the lock: those whose time has passed are not asked for. */
static void drop_late(struct gy_lane *l, struct batch *b)
{
    int64_t now = gy_mono_ns();
    for (struct member **at = &b->members; *at;) {
        struct member *m = *at;
        if (m == b->leader || now < m->deadline_ns) { /* the leader has just looked at its own */
            at = &m->next;
            continue;
        }
        *at = m->next;
        b->n_members--;
        b->n_rows -= m->n_rows;
        expire(l, m);
    }
}

/* The one that has the most time. */
static struct member *most_patient(const struct batch *b)
{
    struct member *most = b->leader;
    for (struct member *m = b->members; m; m = m->next) {
        most = m->deadline_ns > most->deadline_ns ? m : most;
    }
    return most;
}

/* Under the lock, by the leader: nobody joins any more, and all get their answers. */
static void run_batch(struct gy_lane *l, struct batch *b)
{
    struct member *leader = b->leader;
    int64_t deadline_ns = most_patient(b)->deadline_ns;
    drop_late(l, b);
    if (l->open == b) {
        l->open = NULL;
    }
    l->stats.running++;
    if (b->n_members > 1) {
        ask_joined(l, b, deadline_ns);
    } else {
        (void)pthread_mutex_unlock(&l->lock);
        leader->status =
            ask(l, leader->cells, leader->n_rows, leader->out, leader->deadline_ns, &leader->err);
        (void)pthread_mutex_lock(&l->lock);
        l->stats.calls++;
        l->stats.rows += leader->n_rows;
        leader->done = true;
    }
    l->stats.running--;
    gy_free(b);
    (void)pthread_cond_broadcast(&l->changed);
}

/* ---- joining and leaving, under the lock ---- */

static struct batch *join(struct gy_lane *l, struct member *m)
{
    struct batch *b = l->open;
    if (b && m->n_rows > l->o.max_rows - b->n_rows) {
        b->due_ns = 0; /* full: it goes without this one */
        l->open = b = NULL;
        (void)pthread_cond_broadcast(&l->changed);
    }
    if (!b) {
        b = gy_calloc(1, sizeof *b);
        if (!b) {
            return NULL;
        }
        b->leader = m;
        b->due_ns = l->o.max_rows ? gy_mono_ns() + l->o.max_delay_us * 1000 : 0;
        l->open = m->n_rows < l->o.max_rows ? b : NULL;
    }
    struct member **at = &b->members;
    while (*at) {
        at = &(*at)->next;
    }
    *at = m;
    b->n_members++;
    b->n_rows += m->n_rows;
    if (b->n_rows >= l->o.max_rows) {
        b->due_ns = 0;
        l->open = l->open == b ? NULL : l->open;
        (void)pthread_cond_broadcast(&l->changed);
    }
    return b;
}

/* Its deadline has passed. Another one leads, if any is left. */
static void leave(struct gy_lane *l, struct batch *b, struct member *m)
{
    struct member **at = &b->members;
    while (*at != m) {
        at = &(*at)->next;
    }
    *at = m->next;
    b->n_members--;
    b->n_rows -= m->n_rows;
    if (b->leader == m) {
        b->leader = b->members;
        (void)pthread_cond_broadcast(&l->changed);
        if (!b->leader) {
            l->open = l->open == b ? NULL : l->open;
            gy_free(b);
        }
    }
}

static void wait_until(struct gy_lane *l, int64_t ns)
{
    const struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    (void)pthread_cond_timedwait(&l->changed, &l->lock, &t); /* late or early: we look again */
}

/* Under the lock, until m is done or its deadline has passed (false). */
static bool await(struct gy_lane *l, struct batch *b, struct member *m)
{
    while (!m->done) {
        int64_t now = gy_mono_ns();
        int64_t until = m->deadline_ns;
        if (now >= m->deadline_ns) {
            leave(l, b, m);
            return false;
        }
        if (b->leader == m) {
            bool due = now >= b->due_ns;
            if (due && l->stats.running < l->o.max_concurrent) {
                /* Whoever asks waits as long as the whole batch does: not one in a hurry. */
                b->leader = m->impatient ? most_patient(b) : m;
                if (b->leader == m) {
                    run_batch(l, b);
                    return true;
                }
                (void)pthread_cond_broadcast(&l->changed);
                continue;
            }
            until = !due && b->due_ns < until ? b->due_ns : until;
        }
        wait_until(l, until);
    }
    return true;
}

gy_status gy_lane_run(struct gy_lane *l, const double *cells, size_t n_rows, double *out,
                      int64_t deadline_ns, struct gy_err *err)
{
    int64_t own = gy_mono_ns() + l->o.timeout_ms * 1000000;
    bool impatient = deadline_ns && deadline_ns < own;
    struct member m = {.cells = cells,
                       .out = out,
                       .n_rows = n_rows,
                       .deadline_ns = impatient ? deadline_ns : own,
                       .impatient = impatient,
                       .err = GY_ERR_INIT};
    (void)pthread_mutex_lock(&l->lock);
    if (l->stats.inside >= l->o.max_concurrent + l->o.max_waiting) {
        l->stats.refused++;
        size_t inside = l->stats.inside;
        (void)pthread_mutex_unlock(&l->lock);
        return gy_err_set(err, GY_E_UNAVAILABLE,
                          "the model is busy: %zu requests wait for it already, try again", inside);
    }
    struct batch *b = join(l, &m);
    if (!b) {
        (void)pthread_mutex_unlock(&l->lock);
        return gy_err_set(err, GY_E_NOMEM, "memory for a prediction");
    }
    l->stats.inside++;
    bool answered = await(l, b, &m);
    l->stats.inside--;
    l->stats.timed_out += !answered;
    (void)pthread_mutex_unlock(&l->lock);
    if (!answered) {
        return too_late(l, impatient, err);
    }
    if (m.status != GY_OK && err) {
        *err = m.err;
    }
    return m.status;
}

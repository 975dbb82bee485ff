/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/limits.h"

#include "net/deadline.h"

#include <math.h>
#include <stdatomic.h>

#include "base/mem.h"

#define WAYS 8 /* places that a key may have */

struct place {
    _Atomic uint64_t key;   /* 0: nobody's */
    _Atomic int64_t next;   /* when the next request would come at the full rate, monotonic ns */
    _Atomic int64_t inside; /* with workers */
};

struct gy_limiter {
    struct place places[GY_LIMITER_KEYS + WAYS];
};

/* ---- reading ---- */

static gy_status wrong(const char *key, const char *must, struct gy_err *err)
{
    return gy_err_set(err, GY_E_INVALID, "limits: '%s' must be %s", key, must);
}

static gy_status read_number(yyjson_val *v, const char *key, double min, double max, double *ret,
                             struct gy_err *err)
{
    *ret = yyjson_is_num(v) ? yyjson_get_num(v) : NAN;
    if (!(*ret >= min && *ret <= max)) {
        return gy_err_set(err, GY_E_INVALID, "limits: '%s' must be a number from %g to %g", key,
                          min, max);
    }
    return GY_OK;
}

static gy_status read_key(struct gy_str key, yyjson_val *v, struct gy_limits *l, struct gy_err *err)
{
    double n;
    if (gy_str_eqc(key, "rate")) {
        return read_number(v, "rate", 0.001, GY_LIMITS_MAX_RATE, &l->rate, err);
    }
    if (gy_str_eqc(key, "burst")) {
        return read_number(v, "burst", 1, GY_LIMITS_MAX_BURST, &l->burst, err);
    }
    if (gy_str_eqc(key, "concurrent")) {
        GY_TRY(read_number(v, "concurrent", 1, GY_LIMITS_MAX_CONCURRENT, &n, err));
        l->concurrent = (int64_t)n;
        return n == floor(n) ? GY_OK : wrong("concurrent", "a whole number", err);
    }
    if (gy_str_eqc(key, "deadline_ms")) {
        GY_TRY(read_number(v, "deadline_ms", 0.1, GY_LIMITS_MAX_DEADLINE_MS, &n, err));
        l->deadline_ns = (int64_t)(n * 1e6);
        return GY_OK;
    }
    if (gy_str_eqc(key, "by")) {
        struct gy_str by = gy_json_val_str(v);
        l->by_endpoint = gy_str_eqc(by, "endpoint");
        return l->by_endpoint || gy_str_eqc(by, "caller") ? GY_OK
                                                          : wrong("by", "caller or endpoint", err);
    }
    return gy_err_set(err, GY_E_INVALID, "limits: unknown key '%" GY_STR_F "'", GY_STR_A(key));
}

gy_status gy_limits_read(yyjson_val *object, struct gy_limits *ret, struct gy_err *err)
{
    *ret = (struct gy_limits){0};
    if (!object || yyjson_is_null(object)) {
        return GY_OK;
    }
    if (!yyjson_is_obj(object)) {
        return gy_err_set(err, GY_E_INVALID, "'limits' must be an object");
    }
    size_t i, n;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, i, n, key, value)
    {
        GY_TRY(read_key(gy_json_val_str(key), value, ret, err));
    }
    if (ret->burst > 0 && ret->rate <= 0) {
        return gy_err_set(err, GY_E_INVALID, "limits: 'burst' needs a 'rate'");
    }
    if (ret->rate > 0 && ret->burst <= 0) {
        ret->burst = ret->rate < 1 ? 1 : ret->rate; /* what comes in a second */
    }
    return GY_OK;
}

gy_status gy_limits_timeout(struct gy_str text, int64_t *ret_ns, struct gy_err *err)
{
    bool ms = text.n > 2 && memcmp(text.p + text.n - 2, "ms", 2) == 0;
    struct gy_str number = gy_str_n(text.p, text.n - (ms ? 2 : 1));
    int64_t n = 0;
    if (text.n < 2 || (!ms && text.p[text.n - 1] != 's') ||
        gy_parse_i64(number, 1, ms ? GY_LIMITS_MAX_DEADLINE_MS : GY_LIMITS_MAX_DEADLINE_MS / 1000,
                     &n, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_INVALID,
                          GY_DEADLINE_HEADER " must be a time like 250ms or 2s, at most %ds",
                          GY_LIMITS_MAX_DEADLINE_MS / 1000);
    }
    *ret_ns = n * (ms ? 1000000 : 1000000000);
    return GY_OK;
}

/* ---- counting ---- */

gy_status gy_limiter_new(struct gy_limiter **ret, struct gy_err *err)
{
    *ret = gy_calloc(1, sizeof **ret);
    return *ret ? GY_OK : gy_err_set(err, GY_E_NOMEM, "the limits of callers");
}

void gy_limiter_free(struct gy_limiter *l)
{
    gy_free(l);
}

static uint64_t hash(uint64_t h, struct gy_str s)
{
    for (size_t i = 0; i < s.n; i++) { /* FNV-1a */
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u;
    }
    return h;
}

uint64_t gy_limiter_key(const struct gy_limits *limits, struct gy_str endpoint,
                        struct gy_str caller)
{
    uint64_t h = hash(0xcbf29ce484222325u, endpoint);
    h = (h ^ '/') * 0x100000001b3u;
    h = limits->by_endpoint ? h : hash(h, caller);
    h ^= h >> 32;
    return h ? h : 1; /* 0 is nobody */
}

static bool idle(struct place *p, int64_t now_ns)
{
    return atomic_load_explicit(&p->next, memory_order_relaxed) <= now_ns &&
           atomic_load_explicit(&p->inside, memory_order_relaxed) == 0;
}

/* The key's place, or one that nobody needs any more. Two threads that look for new keys at once
 * may get one place; then the second key has it, and the first looks again when it next asks. */
static size_t find(struct gy_limiter *l, uint64_t key, int64_t now_ns)
{
    size_t at = (size_t)(key % GY_LIMITER_KEYS);
    for (size_t i = at; i < at + WAYS; i++) {
        if (atomic_load_explicit(&l->places[i].key, memory_order_relaxed) == key) {
            return i;
        }
    }
    for (size_t i = at; i < at + WAYS; i++) {
        struct place *p = &l->places[i];
        uint64_t had = atomic_load_explicit(&p->key, memory_order_relaxed);
        if ((had == 0 || idle(p, now_ns)) &&
            atomic_compare_exchange_strong_explicit(&p->key, &had, key, memory_order_relaxed,
                                                    memory_order_relaxed)) {
            return i;
        }
    }
    return at + (size_t)(key >> 32) % WAYS; /* shared */
}

bool gy_limiter_take(struct gy_limiter *l, const struct gy_limits *limits, uint64_t key,
                     int64_t now_ns, int64_t *ret_wait_ns)
{
    if (limits->rate <= 0) {
        return true;
    }
    struct place *p = &l->places[find(l, key, now_ns)];
    int64_t step = (int64_t)(1e9 / limits->rate);
    int64_t most = (int64_t)(1e9 / limits->rate * limits->burst);
    int64_t next = atomic_load_explicit(&p->next, memory_order_relaxed);
    int64_t then;
    do {
        then = (next > now_ns ? next : now_ns) + step;
        if (then - now_ns > most) {
            *ret_wait_ns = then - now_ns - most;
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&p->next, &next, then, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

bool gy_limiter_enter(struct gy_limiter *l, const struct gy_limits *limits, uint64_t key,
                      size_t *ret_place)
{
    /* Whoever is idle by its rate may still be inside: `now` in the past keeps it its place. */
    *ret_place = limits->concurrent > 0 ? find(l, key, 0) : SIZE_MAX;
    if (limits->concurrent <= 0) {
        return true;
    }
    _Atomic int64_t *inside = &l->places[*ret_place].inside;
    int64_t n = atomic_load_explicit(inside, memory_order_relaxed);
    do {
        if (n >= limits->concurrent) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(inside, &n, n + 1, memory_order_acquire,
                                                    memory_order_relaxed));
    return true;
}

void gy_limiter_leave(struct gy_limiter *l, size_t place)
{
    if (place != SIZE_MAX) {
        (void)atomic_fetch_sub_explicit(&l->places[place].inside, 1, memory_order_release);
    }
}

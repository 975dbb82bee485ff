/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/table.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

struct route {
    const struct gy_endpoint *endpoint;
    const struct gy_alias *alias;
};

struct gy_table {
    _Atomic uint32_t refs;
    struct gy_table *next;          /* in a chain of kept tables */
    struct gy_endpoint **endpoints; /* sorted by name */
    size_t n;
    struct route *routes; /* sorted by path */
    size_t n_routes;
};

static int by_name(const void *a, const void *b)
{
    const struct gy_endpoint *const *x = a;
    const struct gy_endpoint *const *y = b;
    return gy_str_cmp((*x)->name, (*y)->name);
}

static int by_path(const void *a, const void *b)
{
    const struct route *x = a;
    const struct route *y = b;
    return gy_str_cmp(x->alias->path, y->alias->path);
}

static void fill_routes(struct gy_table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        for (size_t k = 0; k < t->endpoints[i]->n_aliases; k++) {
            t->routes[t->n_routes++] =
                (struct route){t->endpoints[i], &t->endpoints[i]->aliases[k]};
        }
    }
    qsort(t->routes, t->n_routes, sizeof *t->routes, by_path);
}

static gy_status check_unique(const struct gy_table *t, struct gy_err *err)
{
    const struct gy_endpoint *first = NULL;
    for (size_t i = 0; i < t->n; i++) {
        const struct gy_endpoint *e = t->endpoints[i];
        if (e->is_default && first) {
            return gy_err_set(err, GY_E_CONFLICT,
                              "the endpoints '%" GY_STR_F "' and '%" GY_STR_F
                              "' can not both be the default",
                              GY_STR_A(first->name), GY_STR_A(e->name));
        }
        first = e->is_default ? e : first;
    }
    for (size_t i = 1; i < t->n; i++) {
        if (gy_str_eq(t->endpoints[i - 1]->name, t->endpoints[i]->name)) {
            return gy_err_set(err, GY_E_CONFLICT, "endpoint '%" GY_STR_F "' is there twice",
                              GY_STR_A(t->endpoints[i]->name));
        }
    }
    for (size_t i = 1; i < t->n_routes; i++) {
        if (gy_str_eq(t->routes[i - 1].alias->path, t->routes[i].alias->path)) {
            return gy_err_set(err, GY_E_CONFLICT,
                              "alias path %" GY_STR_F " is claimed by the endpoints '%" GY_STR_F
                              "' and '%" GY_STR_F "'",
                              GY_STR_A(t->routes[i].alias->path),
                              GY_STR_A(t->routes[i - 1].endpoint->name),
                              GY_STR_A(t->routes[i].endpoint->name));
        }
    }
    return GY_OK;
}

gy_status gy_table_new(struct gy_endpoint *const *endpoints, size_t n, struct gy_table **ret,
                       struct gy_err *err)
{
    if (n > GY_SERVING_MAX_ENDPOINTS) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d endpoints", GY_SERVING_MAX_ENDPOINTS);
    }
    size_t n_routes = 0;
    for (size_t i = 0; i < n; i++) {
        n_routes += endpoints[i]->n_aliases;
    }
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_calloc(1, sizeof *t);
    if (!t) {
        return gy_err_set(err, GY_E_NOMEM, "the table of endpoints");
    }
    atomic_init(&t->refs, 1);
    t->endpoints = gy_calloc(n + 1, sizeof *t->endpoints);
    t->routes = gy_calloc(n_routes + 1, sizeof *t->routes);
    if (!t->endpoints || !t->routes) {
        return gy_err_set(err, GY_E_NOMEM, "the table of endpoints");
    }
    for (size_t i = 0; i < n; i++) {
        t->endpoints[i] = gy_endpoint_ref(endpoints[i]);
        t->n++;
    }
    qsort(t->endpoints, t->n, sizeof(struct gy_endpoint *), by_name);
    fill_routes(t);
    GY_TRY(check_unique(t, err));
    *ret = GY_TAKE(t);
    return GY_OK;
}

struct gy_table *gy_table_ref(struct gy_table *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void gy_table_unref(struct gy_table *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < t->n; i++) {
        gy_endpoint_unref(t->endpoints[i]);
    }
    gy_free(t->endpoints);
    gy_free(t->routes);
    gy_free(t);
}

void gy_table_keep(struct gy_table **chain, struct gy_table *t)
{
    t->next = *chain;
    *chain = t;
}

void gy_table_unref_all(struct gy_table *chain)
{
    while (chain) {
        struct gy_table *next = chain->next;
        gy_table_unref(chain);
        chain = next;
    }
}

struct gy_loaded *gy_table_loaded(const struct gy_table *t, struct gy_str digest)
{
    for (size_t i = 0; i < t->n; i++) {
        struct gy_endpoint *e;
        for (size_t k = 0; (e = gy_variants_at(t->endpoints[i], k)) != NULL; k++) {
            if (gy_str_eq(e->digest, digest)) {
                return gy_loaded_ref(e->model);
            }
        }
    }
    return NULL;
}

size_t gy_table_count(const struct gy_table *t)
{
    return t->n;
}

const struct gy_endpoint *gy_table_at(const struct gy_table *t, size_t i)
{
    GY_REQUIRE(i < t->n);
    return t->endpoints[i];
}

const struct gy_endpoint *gy_table_find(const struct gy_table *t, struct gy_str name)
{
    size_t low = 0;
    size_t high = t->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = gy_str_cmp(t->endpoints[mid]->name, name);
        if (c == 0) {
            return t->endpoints[mid];
        }
        low = c < 0 ? mid + 1 : low;
        high = c < 0 ? high : mid;
    }
    return NULL;
}

const struct gy_endpoint *gy_table_alias(const struct gy_table *t, struct gy_str path,
                                         const struct gy_alias **ret_alias)
{
    size_t low = 0;
    size_t high = t->n_routes;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = gy_str_cmp(t->routes[mid].alias->path, path);
        if (c == 0) {
            *ret_alias = t->routes[mid].alias;
            return t->routes[mid].endpoint;
        }
        low = c < 0 ? mid + 1 : low;
        high = c < 0 ? high : mid;
    }
    return NULL;
}

/* How many names a message lists. */
#define LISTED 10

gy_status gy_table_default(const struct gy_table *t, const struct gy_endpoint **ret,
                           struct gy_err *err)
{
    *ret = t->n == 1 ? t->endpoints[0] : NULL;
    for (size_t i = 0; i < t->n; i++) {
        *ret = t->endpoints[i]->is_default ? t->endpoints[i] : *ret;
    }
    if (*ret) {
        return GY_OK;
    }
    if (t->n == 0) {
        return gy_err_set(err, GY_E_NOTFOUND, "nothing is served here");
    }
    char names[LISTED * (GY_ENDPOINT_MAX_NAME + 2) + 8] = "";
    size_t at = 0;
    for (size_t i = 0; i < t->n && i < LISTED; i++) {
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%" GY_STR_F, i ? ", " : "",
                               GY_STR_A(t->endpoints[i]->name));
    }
    return gy_err_set(err, GY_E_NOTFOUND, "no endpoint is the default, name one: %s%s", names,
                      t->n > LISTED ? ", ..." : "");
}

const struct gy_endpoint *gy_table_route(const struct gy_table *t, struct gy_str path,
                                         bool inference_port, const struct gy_alias **ret_alias)
{
    enum gy_about about = GY_ABOUT_STATUS;
    const struct gy_endpoint *e = gy_table_alias(t, path, ret_alias);
    if (e) {
        return inference_port || !(*ret_alias)->inference_only ? e : NULL;
    }
    if (!gy_about_path(path, &about) || gy_table_default(t, &e, NULL) != GY_OK) {
        return NULL;
    }
    *ret_alias = &e->about[about];
    return e;
}

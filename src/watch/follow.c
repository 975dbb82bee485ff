/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/follow.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/events.h"

#define ACTOR "gyre"
#define MAX_TOLD 1000 /* endpoints whose last refusal is remembered */

/* Why an endpoint was not followed when it was last told. */
struct told {
    char endpoint[GY_MAX_NAME];
    char why[256];
};

struct gy_follow {
    struct gy_deployer d;
    struct told *told;
    size_t n_told;
};

gy_status gy_follow_new(const struct gy_deployer *d, struct gy_follow **ret, struct gy_err *err)
{
    GY_REQUIRE(d->serving);
    struct gy_follow *f = gy_calloc(1, sizeof *f);
    if (!f) {
        return gy_err_set(err, GY_E_NOMEM, "following aliases");
    }
    f->d = *d;
    *ret = f;
    return GY_OK;
}

void gy_follow_free(struct gy_follow *f)
{
    if (f) {
        gy_free(f->told);
        gy_free(f);
    }
}

/* ---- telling ---- */

struct telling {
    struct gy_str endpoint;
    const char *reason;
};

static gy_status add_event(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct telling *t = ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf data;
    char subject[GY_MAX_NAME + 16];
    struct gy_jw w;
    gy_buf_init(&data, 64 * GY_KIB);
    gy_jw_init(&w, &data);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "endpoint", t->endpoint);
    gy_jw_kv_strc(&w, "reason", t->reason);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&data, "an event", err));
    int n = snprintf(subject, sizeof subject, "endpoint:%" GY_STR_F, GY_STR_A(t->endpoint));
    return gy_event_add(db, "endpoint.not_followed", gy_str_n(subject, (size_t)n), GY_STR(ACTOR),
                        gy_buf_str(&data), err);
}

/* *ret_new: it was not told of this endpoint last time. Fails: NOMEM. */
static gy_status remember(struct gy_follow *f, struct gy_str endpoint, const char *why,
                          bool *ret_new, struct gy_err *err)
{
    struct told *t = NULL;
    for (size_t i = 0; i < f->n_told; i++) {
        t = gy_str_eqc(endpoint, f->told[i].endpoint) ? &f->told[i] : t;
    }
    if (!t && f->n_told == MAX_TOLD) {
        f->n_told = 0; /* told again, rather than growing */
    }
    if (!t) {
        struct told *more = gy_reallocarray(f->told, f->n_told + 1, sizeof *more);
        if (!more) {
            return gy_err_set(err, GY_E_NOMEM, "following aliases");
        }
        f->told = more;
        t = &f->told[f->n_told++];
        *t = (struct told){.why = ""};
        memcpy(t->endpoint, endpoint.p, endpoint.n); /* names are short */
    }
    char text[sizeof t->why];
    (void)snprintf(text, sizeof text, "%s", why);
    *ret_new = strcmp(text, t->why) != 0;
    memcpy(t->why, text, sizeof text);
    return GY_OK;
}

static gy_status tell(struct gy_follow *f, struct gy_str endpoint, const char *why,
                      struct gy_err *err)
{
    bool fresh;
    struct telling t = {endpoint, why};
    GY_TRY(remember(f, endpoint, why, &fresh, err));
    if (!fresh) {
        return GY_OK;
    }
    gy_log(GY_LOG_WARN, "serve", "an alias is not followed", GY_KV_S("endpoint", endpoint),
           GY_KV_S("reason", gy_str_c(why)));
    return gy_store_write(f->d.store, add_event, &t, err);
}

/* ---- following ---- */

static gy_status follow(struct gy_follow *f, const struct gy_revision *served, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    struct gy_revision r;
    bool moved;
    struct gy_err why = GY_ERR_INIT;
    const struct gy_deploy_by by = {.actor = GY_STR(ACTOR),
                                    .reason = GY_STR("follow: the alias has moved"),
                                    .expect = served->revision};
    gy_status st = gy_deploy_follow(&f->d, served->endpoint, &by, &a, &r, &moved, &why);
    if (st == GY_OK && moved) {
        gy_log(GY_LOG_INFO, "serve", "an alias was followed", GY_KV_S("endpoint", r.endpoint),
               GY_KV_I("revision", r.revision), GY_KV_S("model", r.model_name),
               GY_KV_I("version", r.model_version));
    }
    if (st == GY_OK || st == GY_E_CONFLICT) {
        return GY_OK; /* changed meanwhile: the next look sees what there is */
    }
    if (st == GY_E_NOTBLESSED || st == GY_E_NOTSERVABLE || st == GY_E_NOTFOUND ||
        st == GY_E_INVALID) {
        return tell(f, served->endpoint, why.msg, err);
    }
    if (err) {
        *err = why;
    }
    return gy_err_wrap(err, "following the alias of '%" GY_STR_F "'", GY_STR_A(served->endpoint));
}

struct listing {
    struct gy_arena a;
    struct gy_revision *all;
    size_t n;
};

static gy_status read_current(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct listing *l = ctx;
    return gy_revision_current(db, &l->a, &l->all, &l->n, err);
}

/* The text is looked at before it is parsed: most endpoints follow nothing. */
static bool may_follow(const struct gy_revision *r)
{
    return gy_str_find_str(r->config, GY_STR("\"follow\":true")) != SIZE_MAX;
}

gy_status gy_follow_tick(struct gy_follow *f, struct gy_err *err)
{
    struct listing l = {.n = 0};
    gy_status first = GY_OK;
    struct gy_err why = GY_ERR_INIT;
    gy_arena_init(&l.a, 4 * GY_MAX_REQUEST_ARENA);
    first = gy_store_read(f->d.store, read_current, &l, &why);
    size_t n = first == GY_OK ? l.n : 0;
    for (size_t i = 0; i < n; i++) { /* one that fails does not keep the others from following */
        struct gy_err one = GY_ERR_INIT;
        gy_status st = may_follow(&l.all[i]) ? follow(f, &l.all[i], &one) : GY_OK;
        if (st != GY_OK && first == GY_OK) {
            first = st;
            why = one;
        }
    }
    gy_arena_done(&l.a);
    if (first != GY_OK && err) {
        *err = why;
    }
    return first;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of deploy.h share: a plan of who takes part in a revision and under which
 * settings, how it becomes a frozen configuration, and how it is loaded. */
#ifndef GY_SERVE_DEPLOY_INTERNAL_H
#define GY_SERVE_DEPLOY_INTERNAL_H

#include "serve/deploy.h"
#include "serve/rollout.h"
#include "serve/setting.h"

struct gy_plan_variant {
    enum gy_variant_role role;
    struct gy_str model, digest, run_id;
    int64_t version;
    struct gy_str verdict; /* the one it is served under; absent: none */
    double weight;         /* of the traffic */
    double threshold;      /* as frozen; NaN: as the settings say, else the package */
    int64_t since_us;      /* a canary: when it came; 0: not known */
    bool gate;             /* it must pass the gate of the endpoint to be served in this plan */
};

/* Views into the documents it was read from. */
struct gy_plan {
    struct gy_plan_variant variants[GY_VARIANTS_MAX]; /* the stable one first */
    size_t n;
    struct gy_stretches stretches; /* of the canaries */
    struct gy_settings settings;
    yyjson_val *columns, *gate;
    struct gy_str ref; /* follow: the alias, "models:/sepsis@champion" */
    int64_t followed;  /* the version that it named when it was last looked at */
};

/* The first one in that role; NULL: nobody is. */
struct gy_plan_variant *gy_plan_find(struct gy_plan *p, enum gy_variant_role role);
/* Who answers with that version (a shadow does not); NULL: nobody. */
struct gy_plan_variant *gy_plan_version(struct gy_plan *p, int64_t version);
size_t gy_plan_canaries(const struct gy_plan *p);
/* Take all of a role out, or put one in their place, or one more. */
void gy_plan_remove(struct gy_plan *p, enum gy_variant_role role);
void gy_plan_put(struct gy_plan *p, const struct gy_plan_variant *v);
/* Fails: CONFLICT (that version takes part), TOOBIG (GY_CANARIES_MAX of them). */
GY_CHECKED gy_status gy_plan_add(struct gy_plan *p, const struct gy_plan_variant *v,
                                 struct gy_err *err);
void gy_plan_drop(struct gy_plan *p, int64_t version); /* of a canary */
/* After shares of canaries were set: the stable version has the rest, and lots move as little as
 * can be. Fails: INVALID (they are more than all). */
GY_CHECKED gy_status gy_plan_balance(struct gy_plan *p, struct gy_err *err);

/* Does the endpoint follow an alias? */
static inline bool gy_plan_follows(const struct gy_plan *p)
{
    return yyjson_is_true(p->settings.value[GY_SET_FOLLOW]) && p->ref.n;
}

/* deploy_config.c */
/* Settings of a deploy request. Fails: INVALID. */
GY_CHECKED gy_status gy_plan_request(yyjson_val *body, struct gy_plan *ret, struct gy_err *err);
/* Settings and variants of a frozen configuration. Fails: CORRUPT. */
GY_CHECKED gy_status gy_plan_frozen(yyjson_val *config, struct gy_plan *ret, struct gy_err *err);
/* A canary changes who answers, not what is asked: request may change the free
 * settings. INVALID names what else it would change. */
GY_CHECKED gy_status gy_plan_adopt(struct gy_plan *p, const struct gy_plan *request,
                                   struct gy_err *err);
/* The frozen configuration, in the arena. e: loaded from the plan, adds how to read its records;
 * NULL: not loaded yet. */
GY_CHECKED gy_status gy_plan_freeze(const struct gy_plan *p, const struct gy_endpoint *e,
                                    struct gy_arena *a, struct gy_str *ret, struct gy_err *err);

/* deploy_load.c */
/* Load the plan; config is the frozen one it belongs to. What the served table or `fresh` (MAY be
 * NULL) has in memory is not loaded again. The stable variant comes back, joined with the others.
 */
GY_CHECKED gy_status gy_plan_load(const struct gy_deployer *d, const struct gy_plan *p,
                                  struct gy_str endpoint, int64_t revision, yyjson_val *config,
                                  const struct gy_endpoint *fresh, struct gy_endpoint **ret,
                                  struct gy_err *err);
/* As gy_deploy_load, where `fresh` was just loaded. */
GY_CHECKED gy_status gy_deploy_publish(const struct gy_deployer *d, const struct gy_endpoint *fresh,
                                       size_t *ret_failed, struct gy_err *err);

#endif

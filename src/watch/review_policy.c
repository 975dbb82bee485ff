/* SPDX-License-Identifier: Apache-2.0 */
/* The `review` section of an endpoint. */
#include "base/limits.h"
#include "watch/review.h"

static gy_status read_kind(yyjson_val *review, enum gy_review_kind *ret, struct gy_err *err)
{
    static const char *const names[] = {"none", "all", "sample", "uncertain", "mixed"};
    struct gy_str name;
    GY_TRY(gy_json_need_str(review, "policy", &name, err));
    for (int i = 0; i < 5; i++) {
        if (gy_str_eqc(name, names[i])) {
            *ret = (enum gy_review_kind)i;
            return GY_OK;
        }
    }
    (void)gy_err_set(err, GY_E_INVALID, "review: no policy '%" GY_STR_F "'", GY_STR_A(name));
    return gy_err_hint(err, "all, sample, uncertain, mixed or none");
}

static gy_status check_keys(yyjson_val *review, struct gy_err *err)
{
    static const char *const known[] = {"policy",    "share", "margin",
                                        "rule_hits", "blind", "max_open"};
    size_t i, n;
    yyjson_val *key, *value;
    yyjson_obj_foreach(review, i, n, key, value)
    {
        (void)value;
        bool found = false;
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
            found = found || gy_str_eqc(gy_json_val_str(key), known[k]);
        }
        if (!found) {
            (void)gy_err_set(err, GY_E_INVALID, "review: unknown key '%" GY_STR_F "'",
                             GY_STR_A(gy_json_val_str(key)));
            return gy_err_hint(err, "policy, share, margin, rule_hits, blind, max_open");
        }
    }
    return GY_OK;
}

/* A number in (0, 1]; `absent` when the key is not there. */
static gy_status read_part(yyjson_val *review, const char *key, double absent, double *ret,
                           struct gy_err *err)
{
    yyjson_val *v = gy_json_get(review, key);
    *ret = absent;
    if (!v) {
        return GY_OK;
    }
    double number = yyjson_is_num(v) ? yyjson_get_num(v) : -1;
    if (!(number > 0 && number <= 1)) {
        return gy_err_set(err, GY_E_INVALID, "review: '%s' is a number above 0, at most 1", key);
    }
    *ret = number;
    return GY_OK;
}

static gy_status read_flag(yyjson_val *review, const char *key, bool *ret, struct gy_err *err)
{
    yyjson_val *v = gy_json_get(review, key);
    if (v && !yyjson_is_bool(v)) {
        return gy_err_set(err, GY_E_INVALID, "review: '%s' is true or false", key);
    }
    *ret = v && yyjson_get_bool(v);
    return GY_OK;
}

static gy_status refuse(bool unwanted, const char *key, const char *policies, struct gy_err *err)
{
    return unwanted
               ? gy_err_set(err, GY_E_INVALID, "review: '%s' belongs to policy %s", key, policies)
               : GY_OK;
}

/* Every key has a meaning under the policy, and the policy has all it needs. */
static gy_status check_policy(const struct gy_review_policy *p, struct gy_err *err)
{
    bool mixed = p->kind == GY_REVIEW_MIXED;
    GY_TRY(refuse(p->share > 0 && p->kind != GY_REVIEW_SAMPLE && !mixed, "share", "sample or mixed",
                  err));
    GY_TRY(refuse(p->margin >= 0 && p->kind != GY_REVIEW_UNCERTAIN && !mixed, "margin",
                  "uncertain or mixed", err));
    GY_TRY(refuse(p->rule_hits && !mixed, "rule_hits", "mixed", err));
    if (p->kind == GY_REVIEW_SAMPLE && p->share == 0) {
        (void)gy_err_set(err, GY_E_INVALID, "review: policy sample needs 'share'");
        return gy_err_hint(err, "{policy: sample, share: 0.1}");
    }
    if (p->kind == GY_REVIEW_UNCERTAIN && p->margin < 0) {
        (void)gy_err_set(err, GY_E_INVALID, "review: policy uncertain needs 'margin'");
        return gy_err_hint(err, "{policy: uncertain, margin: 0.1}");
    }
    if (mixed && p->share == 0 && p->margin < 0 && !p->rule_hits) {
        (void)gy_err_set(err, GY_E_INVALID, "review: policy mixed picks nothing");
        return gy_err_hint(err, "{policy: mixed, share: 0.05, margin: 0.1, rule_hits: true}");
    }
    return GY_OK;
}

gy_status gy_review_policy_read(yyjson_val *review, struct gy_review_policy *ret,
                                struct gy_err *err)
{
    struct gy_review_policy p = {.margin = -1, .max_open = GY_REVIEW_MAX_OPEN};
    if (!review || yyjson_is_null(review)) {
        *ret = p;
        return GY_OK;
    }
    if (!yyjson_is_obj(review)) {
        (void)gy_err_set(err, GY_E_INVALID, "review: a section is wanted");
        return gy_err_hint(err, "review: {policy: all}");
    }
    GY_TRY(check_keys(review, err));
    GY_TRY(read_kind(review, &p.kind, err));
    GY_TRY(read_part(review, "share", 0, &p.share, err));
    GY_TRY(read_part(review, "margin", -1, &p.margin, err));
    GY_TRY(read_flag(review, "rule_hits", &p.rule_hits, err));
    GY_TRY(read_flag(review, "blind", &p.blind, err));
    yyjson_val *max_open = gy_json_get(review, "max_open");
    if (max_open) {
        p.max_open = yyjson_is_int(max_open) ? yyjson_get_sint(max_open) : -1;
        if (p.max_open < 1 || p.max_open > GY_REVIEW_MAX_OPEN) {
            return gy_err_set(err, GY_E_INVALID, "review: 'max_open' is 1 to %d",
                              GY_REVIEW_MAX_OPEN);
        }
    }
    GY_TRY(check_policy(&p, err));
    *ret = p;
    return GY_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Variants: the versions that take part in one revision of an endpoint. The stable one is what the
 * table of endpoints holds; it owns up to GY_CANARIES_MAX canaries, each of which answers a share
 * of the requests (one is a canary as elsewhere, several are an A/B/n test), and at most one
 * shadow, which is asked for every request and answers nobody. All of them agree on task, classes
 * and inputs, so that rules, mappings and log records mean the same whoever answers.
 *
 * Who answers is drawn from the prediction's id, or from a key that the client sends: no lock, no
 * atomic operation, no state. */
#ifndef GY_SERVE_VARIANT_H
#define GY_SERVE_VARIANT_H

#include "base/err.h"
#include "base/str.h"
#include "serve/stretch.h"

struct gy_endpoint;

enum gy_variant_role { GY_VARIANT_STABLE, GY_VARIANT_CANARY, GY_VARIANT_SHADOW };
#define GY_VARIANTS_MAX (GY_CANARIES_MAX + 2)
const char *gy_variant_role_name(enum gy_variant_role role); /* "stable" */

/* The request header whose value decides, where a client wants one patient, user or machine always
 * answered by the same version. */
#define GY_STICKY_HEADER "Gyre-Sticky-Key"

/* What is joined to a stable version. Views. */
struct gy_variants {
    struct gy_endpoint *canaries[GY_CANARIES_MAX];
    double weights[GY_CANARIES_MAX]; /* their shares, together at most 1 */
    size_t n_canaries;
    const struct gy_stretches *stretches; /* NULL: one after the other, as first dealt out */
    struct gy_endpoint *shadow;           /* NULL: none */
};
/* Make one revision of them before it is published; takes over the references of canaries and
 * shadow when it succeeds. Fails: INVALID, saying in what they do not agree, or that a version is
 * there twice. NOMEM. */
GY_CHECKED gy_status gy_variants_join(struct gy_endpoint *stable, const struct gy_variants *with,
                                      struct gy_err *err);
/* Who answers: the same id (and, where present, the same key) always the same one. */
const struct gy_endpoint *gy_variants_pick(const struct gy_endpoint *stable,
                                           const unsigned char id[16], struct gy_str key);
/* The variant that answers with that version; NULL: none does (a shadow answers nobody). */
const struct gy_endpoint *gy_variants_version(const struct gy_endpoint *stable,
                                              struct gy_str version);
/* The same, or the shadow. */
const struct gy_endpoint *gy_variants_any(const struct gy_endpoint *stable, struct gy_str version);
/* The i-th of those that are there: stable, canaries, shadow; NULL past the last. */
struct gy_endpoint *gy_variants_at(const struct gy_endpoint *stable, size_t i);

#endif

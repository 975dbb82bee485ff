/* SPDX-License-Identifier: Apache-2.0 */
/* gy_endpoint: one version in one revision of an endpoint, loaded: predictor, compiled rules, alias
 * routes, and everything an answer is made of, ready as text. The stable version owns the others of
 * its revision (variant.h). Immutable once built and joined, and counted by references, so that any
 * number of event loops read it without a lock; see serving.h for how it gets there.
 * Fields are public to the serving code, read-only. */
#ifndef GY_SERVE_ENDPOINT_H
#define GY_SERVE_ENDPOINT_H

#include <stdatomic.h>

#include "base/arena.h"
#include "learn/predictor.h"
#include "serve/alias.h"
#include "serve/lane.h"
#include "serve/limits.h"
#include "serve/loaded.h"
#include "serve/logging.h"
#include "serve/parse.h"
#include "serve/rules.h"
#include "serve/stats.h"
#include "serve/variant.h"

#define GY_ENDPOINT_MAX_NAME 100
#define GY_ENDPOINT_CHUNK 64         /* rows a predictor call */
#define GY_ENDPOINT_INLINE_NS 1e5    /* rows x time per row: beyond it, off the event loop */
#define GY_ENDPOINT_MAX_BYTES GY_MIB /* texts of one endpoint */
#define GY_ENDPOINT_MAX_OUTPUTS 32   /* bits of gy_infer_request.outputs */
#define GY_ENDPOINT_RULE_SHADOW 0.1  /* rule_shadow when the configuration has none */

/* An output of OIP v2; its number is that in shape.outputs. */
struct gy_endpoint_output {
    struct gy_str name;  /* absent: this endpoint has none with that number */
    struct gy_str head;  /* {"name":"probability","shape":[ */
    size_t first, width; /* values of a row; first: of the model's own */
    size_t n_dims;       /* behind the rows */
    uint32_t dims[GY_TENSOR_MAX_DIMS - 1];
    enum gy_datatype type;
    enum gy_output what; /* unless it is a tensor of the model's own */
    bool tensor;
};

/* What a rule decides. */
struct gy_rule_plan {
    bool decides; /* it has a prediction */
    bool skip_model;
    bool after;              /* the model */
    double prediction;       /* class index, or the value of a regression */
    struct gy_str json;      /* "name":"sirs","reason":"..." */
    struct gy_str name_json; /* "\"sirs\"" */
};

/* The lots below `end` (and not below the one before) are answered by `who`. */
struct gy_lots {
    uint64_t end;
    const struct gy_endpoint *who;
};

struct gy_endpoint {
    _Atomic uint32_t refs;
    struct gy_arena arena;
    struct gy_str name, model_name, version, digest; /* version: text of the number */
    uint32_t revision;
    enum gy_variant_role role;
    double weight; /* share of the traffic that it answers */
    /* Of the stable one, which owns the others: */
    struct gy_endpoint *canaries[GY_CANARIES_MAX];
    size_t n_canaries;
    struct gy_endpoint *shadow; /* NULL: none */
    struct gy_lots *lots;       /* who answers which; by `end` */
    size_t n_lots;
    struct gy_loaded *model;
    const struct gy_predictor_info *info; /* of model */
    const struct gy_decoder *decoder;     /* of model; NULL: values are its cells */
    double threshold;
    struct gy_rules *rules;
    size_t n_rules;
    bool rules_after; /* some come after the model */
    struct gy_rule_plan *plans;
    struct gy_infer_shape shape; /* OIP v2 */
    struct gy_endpoint_output *outputs;
    struct gy_str *output_names; /* of them, for shapes */
    size_t n_outputs;
    struct gy_alias *aliases;
    size_t n_aliases;
    struct gy_limits limits;
    struct gy_alias plain;             /* where it is the default: /predict without an alias */
    struct gy_alias about[GY_N_ABOUT]; /* the same for what is told about it */
    bool is_default;                   /* answers where a request names no endpoint */
    bool numeric_classes;              /* every class label is a whole number */
    struct gy_logging logging;         /* what of it is logged */
    double *class_values;      /* what is logged: the label's number, else the class index */
    double *class_rules;       /* what rules compare: the label's number, else its text's hash */
    struct gy_str *class_json; /* what is answered */
    size_t n_log_outputs;      /* values a row in the log: the answer, then the model's own */
    double rule_shadow;        /* share of the rows decided by a rule alone that are scored too */
    uint64_t rule_shadow_cut;  /* gy_share_cut of it */
    size_t scratch_bytes;      /* of the predictor, raw outputs and packed rows of a chunk */
    size_t inline_rows;        /* more rows are answered off the loop */
    struct gy_lane *lane;      /* the model is asked through it; NULL: on the loop or the pool */
    bool waits;                /* it, or a variant that it owns, has a lane: never on a loop */
    bool unloads;              /* its model, or that of a variant that it owns, may be unloaded */
    struct gy_str v2_head;     /* {"model_name":"sepsis","model_version":"3" */
    struct gy_str headers;     /* Gyre-... lines */
    struct gy_endpoint_stats *stats; /* set by serving before publishing */
    struct gy_stat_sum stats_then;   /* what they were then */
};

/* What to build. config: the endpoint section of gyre.yaml as JSON: rules, aliases, threshold;
 * `columns`: names of the schema that rules may read. Copied. */
struct gy_endpoint_spec {
    struct gy_str name, model_name, version, digest;
    uint32_t revision;
    const char *package_dir;
    struct gy_loaded *loaded; /* MAY be NULL: then package_dir is loaded; a reference is taken */
    struct gy_budget *budget; /* where it is counted then; MAY be NULL */
    yyjson_val *config;       /* MAY be NULL */
    const double *threshold;  /* MAY be NULL: as config says, else the package */
};
/* Load and compile. *ret has one reference. Fails: INVALID (what is wrong in config), NOTSERVABLE,
 * CORRUPT, NOTFOUND, TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_endpoint_build(const struct gy_endpoint_spec *spec,
                                       struct gy_endpoint **ret, struct gy_err *err);
struct gy_endpoint *gy_endpoint_ref(struct gy_endpoint *e);
void gy_endpoint_unref(struct gy_endpoint *e); /* NULL allowed; any thread */
GY_DEFINE_AUTO(struct gy_endpoint *, gy_endpoint_unref);

/* share (0..1) of [0, 2^53), what gy_infer_lot draws from. */
uint64_t gy_share_cut(double share);

/* Letters, digits, '.', '_', '-', starting with a letter or digit. INVALID otherwise. */
GY_CHECKED gy_status gy_endpoint_check_name(struct gy_str name, struct gy_err *err);
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* gy_facts: all that is known about a model version or a run, as one JSON document: what models
 * diff compares and what a model card tells. Package files are read as far as they are Gyre's or
 * MLflow's; a foreign model has what its run and its MLmodel say. Gathered outside of closures: the
 * rows in one read transaction, then the objects.
 *
 *   {"ref","kind":"version"|"run","name","version","run_id",
 *    "sections":{"model":{..},"usecase":{..},"code":{..},"data":{..},"columns":{..},
 *                "features":{..},"learner":{..},"params":{..},"metrics":{..},"signature":{..},
 *                "files":{..}},
 *    "aliases":[..],"usecase":{..}|null,"profile":{..}|null,"package_card":{..}|null,
 *    "metrics_on":"held_out"|"run","groups":[{"slice","rows","metrics":{..}}],
 *    "verdicts":[..],"approvals":[..],"lineage":[..],"history":[..]}
 *
 * A section is flat: key to value, so that two of them are compared key by key. The keys of
 * "metrics" are "recall" and "recall [HR > 90]", the values {"value","low","high","rows"}. */
#ifndef GY_FLOW_FACTS_H
#define GY_FLOW_FACTS_H

#include "base/json.h"
#include "store/objects.h"
#include "store/store.h"

#define GY_FACTS_MAX_FILE ((size_t)(16 << 20))  /* of a package file that is read */
#define GY_FACTS_MAX_BYTES ((size_t)(64 << 20)) /* of the document */
#define GY_FACTS_MAX_HISTORY 200
#define GY_FACTS_MAX_EDGES 500

struct gy_facts {
    struct gy_buf text;
    yyjson_doc *doc;
    yyjson_val *root; /* views live until gy_facts_done */
};
void gy_facts_done(struct gy_facts *f);
GY_DEFINE_AUTO_DONE(struct gy_facts, gy_facts_done);

/* The sections in the order in which they are told; NULL-terminated. */
extern const char *const gy_facts_sections[];

/* ref: "run:ID", a run's id, or what gy_registry_resolve takes. Fails: NOTFOUND, INVALID, CORRUPT
 * (an object), TOOBIG. */
GY_CHECKED gy_status gy_facts_gather(struct gy_store *s, struct gy_objects *o, struct gy_str ref,
                                     struct gy_facts *ret, struct gy_err *err);

#endif

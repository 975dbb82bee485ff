/* SPDX-License-Identifier: Apache-2.0 */
/* dvc.lock, schema 2.0: what each stage was last run with and gave. Read to tell what changed,
 * written as DVC writes it (order, quoting, folding), so that either program continues where the
 * other stopped. Entries of stages we do not touch are kept. */
#ifndef GY_FLOW_LOCK_H
#define GY_FLOW_LOCK_H

#include "flow/digest.h"
#include "flow/pipeline.h"

/* What a stage holds now: the other side of the comparison with dvc.lock. In an arena. */
struct gy_flow_state {
    struct gy_flow_entry *deps; /* n_deps of the stage, in its order */
    struct gy_flow_entry
        *outs;                 /* n_outs; only the outputs that exist have a digest (md5[0] != 0) */
    struct gy_str params;      /* the block of dvc.lock, "" without params */
    struct gy_str params_json; /* {"params.yaml":{"lr":0.1}} */
};

struct gy_flow_lock {
    struct gy_yaml *yaml; /* NULL: no dvc.lock yet */
};
/* Fails: PARSE, VERSION (another schema), IO, NOMEM. */
GY_CHECKED gy_status gy_flow_lock_read(const char *dir, struct gy_flow_lock *ret,
                                       struct gy_err *err);
void gy_flow_lock_done(struct gy_flow_lock *l);
GY_DEFINE_AUTO_DONE(struct gy_flow_lock, gy_flow_lock_done);

/* Digest the deps (a missing one: NOTFOUND naming it) and read the params of a stage. */
GY_CHECKED gy_status gy_flow_state_inputs(const struct gy_flow *f, const struct gy_flow_stage *s,
                                          struct gy_arena *a, struct gy_flow_state *ret,
                                          struct gy_err *err);
/* Digest the outs. must_exist: a missing one is NOTFOUND naming it and the stage. */
GY_CHECKED gy_status gy_flow_state_outputs(const struct gy_flow *f, const struct gy_flow_stage *s,
                                           bool must_exist, struct gy_arena *a,
                                           struct gy_flow_state *st, struct gy_err *err);
/* SHA-256 over all that makes a stage's state: command, dependencies, parameters, outputs. */
GY_CHECKED gy_status gy_flow_state_digest(const struct gy_flow_stage *s,
                                          const struct gy_flow_state *st, char ret[GY_SHA256_HEX],
                                          struct gy_err *err);
/* NULL when state is what the lock says, else why not ("the dependency data.csv changed"), in the
 * arena. */
GY_CHECKED gy_status gy_flow_changed(const struct gy_flow_lock *l, const struct gy_flow_stage *s,
                                     const struct gy_flow_state *st, struct gy_arena *a,
                                     const char **ret_why, struct gy_err *err);
/* The entry that dvc.lock would have for this state: what the run cache is asked and told. */
GY_CHECKED gy_status gy_flow_lock_entry(const struct gy_flow_stage *s,
                                        const struct gy_flow_state *st, struct gy_yaml **ret,
                                        const struct gy_yaml_node **ret_entry, struct gy_err *err);
/* Write dvc.lock anew with this stage's entry replaced or appended (atomically, durably), and read
 * it back into l. */
GY_CHECKED gy_status gy_flow_lock_write(const char *dir, struct gy_flow_lock *l,
                                        const struct gy_flow_stage *s,
                                        const struct gy_flow_state *st, struct gy_err *err);

#endif

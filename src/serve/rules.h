/* SPDX-License-Identifier: Apache-2.0 */
/* gy_rules: the rules of an endpoint. Those before the model: "2 or more of these signs: septic,
 * whatever the model says"; those after it (`after: true`), which also read what it said, as
 * `prediction` and `probability`: "nobody under two is that sure". In each of the two places the
 * first rule that hits counts; what a rule before the model decided is not asked about again.
 * Compiled once at deploy, immutable afterwards; any number of threads
 * evaluate. Kleene logic: an absent value (NaN) makes a condition null, null does not hit, and the
 * outcome says how many of n conditions could be told.
 *
 * JSON form (gyre.yaml writes the same): [{"name", "after": false, "at_least": k, "of": ["expr",
 * ...] | "when": "expr", "then": {"prediction", "skip_model", "reason"}}]. Texts may be compared
 * with == != in; they are hashes, as the log has them (learn/cells.h). */
#ifndef GY_SERVE_RULES_H
#define GY_SERVE_RULES_H

#include "base/json.h"

#define GY_RULES_MAX 64         /* rules of an endpoint */
#define GY_RULES_MAX_CONDS 64   /* conditions of a rule */
#define GY_RULES_MAX_COLUMNS 64 /* columns that only rules read */
#define GY_RULES_MAX_READS 128  /* inputs and columns that rules after the model read */
#define GY_RULES_SLOTS (2 + GY_RULES_MAX_READS)

struct gy_rules;
struct gy_predictor_input; /* learn/predictor.h */

/* What names may be used: the model's inputs (slots 0..n_inputs-1) and further columns of the
 * schema. A column that a rule reads and the model does not gets the next slot after the inputs. */
struct gy_rule_names {
    const struct gy_str *inputs;
    size_t n_inputs;
    const struct gy_str *columns;
    size_t n_columns;
    const struct gy_predictor_input *described; /* beside inputs; MAY be NULL: all are numbers */
    bool text_classes;                          /* a prediction is a text */
    bool regression;                            /* there is no probability */
};

/* list MAY be NULL (no rules: an empty set). Fails: INVALID naming the rule and the position of
 * what is wrong (unknown name, unknown key, at_least out of range), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_rules_compile(yyjson_val *list, const struct gy_rule_names *names,
                                      struct gy_rules **ret, struct gy_err *err);
void gy_rules_free(struct gy_rules *r);
GY_DEFINE_AUTO(struct gy_rules *, gy_rules_free);

struct gy_rule_info {
    struct gy_str name;
    struct gy_str reason;     /* empty when none was given */
    struct gy_str prediction; /* text of then.prediction; absent: the rule only marks */
    bool skip_model;
    bool after; /* the model */
    size_t at_least, n_conditions;
};
size_t gy_rules_count(const struct gy_rules *r);
const struct gy_rule_info *gy_rules_at(const struct gy_rules *r, size_t i);
/* The columns beyond the inputs, in slot order. */
size_t gy_rules_columns(const struct gy_rules *r, const struct gy_str **ret);

struct gy_rule_outcome {
    int16_t rule;       /* index of the first rule that hit, -1: none */
    uint16_t hits;      /* conditions that are true ... */
    uint16_t evaluated; /* ... that could be told ... */
    uint16_t of;        /* ... of how many: of the rule that hit, else of all rules together */
};
/* Those before the model. slots: inputs then columns, NaN = absent. Does not allocate, can not
 * fail. */
void gy_rules_eval(const struct gy_rules *r, const double *slots, size_t n_slots,
                   struct gy_rule_outcome *ret);

/* Those after the model, in two steps, so that the second can come when the row is gone. */
bool gy_rules_any_after(const struct gy_rules *r);
/* The slots that they read: inputs then columns. */
size_t gy_rules_reads(const struct gy_rules *r, const size_t **ret);
/* What they read of a row; the prediction's places are left alone. */
void gy_rules_gather(const struct gy_rules *r, const double *slots,
                     double gathered[GY_RULES_SLOTS]);
/* How a class that is a text stands for `prediction`. */
double gy_rules_class(struct gy_str label);
/* prediction: the number, or the hash of the class. io: what the rules before the model gave; where
 * one of them decided it stays. */
void gy_rules_after(const struct gy_rules *r, double gathered[GY_RULES_SLOTS], double prediction,
                    double probability, struct gy_rule_outcome *io);

#endif

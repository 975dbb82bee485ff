/* SPDX-License-Identifier: Apache-2.0 */
/* The rule expression language: `Temp > 38.5 or Temp < 35.0`, `unit == 'ICU' and not (hr is null)`,
 * `kg * 2.205`. Grammar (loosest first): or; and; not; = == != < <= > >= , is [not] null, [not] in
 * (list); + -; * / %; unary -; number, 'string' "string", true, false, null, name, `quoted name`,
 * (expr), and functions abs min max floor ceil round log exp sqrt if(c,a,b) len lower upper.
 * Values: number (double), string, bool, null. Kleene logic: null in a comparison or in arithmetic
 * gives null; `false and null` is false, `true or null` is true; a null condition does not hit. A
 * wrong type is an error at compile time where the schema tells the types, else at evaluation.
 * Bounded: GY_EXPR_MAX_* below. A compiled expression is immutable: any number of threads may
 * evaluate it. Details: comparisons do not chain; a quote is doubled inside its text; round() goes
 * half away from zero; `x in (..)` with a null among the values is null when nothing matched; if()
 * takes its last value when the condition is null; len() counts characters; lower() and upper()
 * change ASCII letters only. */
#ifndef GY_BASE_EXPR_H
#define GY_BASE_EXPR_H

#include "base/str.h"

#define GY_EXPR_MAX_TEXT 4096
#define GY_EXPR_MAX_NODES 512
#define GY_EXPR_MAX_DEPTH 64
#define GY_EXPR_MAX_NAMES 256

enum gy_expr_type { GY_EXPR_NULL, GY_EXPR_NUM, GY_EXPR_STR, GY_EXPR_BOOL };

struct gy_expr_value {
    double num;
    struct gy_str str; /* a view into the inputs or the expression; from lower/upper: until this
                          thread evaluates again */
    enum gy_expr_type type;
    bool b;
};

struct gy_expr;

/* Resolve a name while compiling: give its slot (index into the values at evaluation) and type
 * (GY_EXPR_NULL: not known). Return false for an unknown name: compiling fails with INVALID naming
 * it and its position. */
typedef bool (*gy_expr_resolve_fn)(void *ctx, struct gy_str name, size_t *ret_slot,
                                   enum gy_expr_type *ret_type);

/* Fails: PARSE or INVALID with "at column N", TOOBIG. */
GY_CHECKED gy_status gy_expr_compile(struct gy_str text, gy_expr_resolve_fn resolve, void *ctx,
                                     struct gy_expr **ret, struct gy_err *err);
void gy_expr_free(struct gy_expr *e);
GY_DEFINE_AUTO(struct gy_expr *, gy_expr_free);

/* Evaluate over slots. No allocation except by lower/upper (which use scratch, 256 bytes: longer is
 * INVALID). Fails: INVALID on a type clash. Division by zero and overflow give null. */
GY_CHECKED gy_status gy_expr_eval(const struct gy_expr *e, const struct gy_expr_value *slots,
                                  size_t n_slots, struct gy_expr_value *ret, struct gy_err *err);
/* Fast form for rules over numbers: NaN stands for null. 1 hit, 0 no hit, -1 null (could not be
 * told). */
int gy_expr_test_f64(const struct gy_expr *e, const double *slots, size_t n_slots);
/* What it gives when every name has the type it was compiled with; GY_EXPR_NULL: not known. */
enum gy_expr_type gy_expr_result(const struct gy_expr *e);
/* The value as a number (a bool as 0 or 1), over numbers: NaN stands for null, going in and coming
 * out. A type clash gives NaN too. Does not allocate and can not fail. */
double gy_expr_number_f64(const struct gy_expr *e, const double *slots, size_t n_slots);
/* Over numbers, texts are their hashes: from now on names that were resolved as texts hold
 * hash(text), and the texts beside them are hashed. Once, before anybody evaluates. Fails: INVALID
 * where a text is not just compared with ==, !=, in or is null. */
GY_CHECKED gy_status gy_expr_hash_texts(struct gy_expr *e, double (*hash)(struct gy_str text),
                                        struct gy_err *err);
/* The slots it reads, ascending; returns how many (at most max are written). */
size_t gy_expr_slots(const struct gy_expr *e, size_t *out, size_t max);
struct gy_str gy_expr_text(const struct gy_expr *e);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Raw cells: the values of a model's inputs as doubles (features.h), made of a table, of a request
 * or of an example, always by these functions. Pure; thread safe. */
#ifndef GY_LEARN_CELLS_H
#define GY_LEARN_CELLS_H

#include "learn/features.h"
#include "learn/predictor.h"

struct gy_table;

/* The cell of a text: an index, GY_CELL_UNSEEN, a hash, seconds; NaN for the absent string and for
 * "". A number's text is read as one. Fails: INVALID naming the input (no number, no time; images
 * are no text). */
GY_CHECKED gy_status gy_cell_of_text(const struct gy_predictor_input *in, struct gy_str text,
                                     double *ret, struct gy_err *err);
/* The cell of a text of a hashed input: 52 bits of its hash, a whole number. */
double gy_cell_hash(struct gy_str text);
/* What a request's value is logged as, the same for every version of a model: a text's hash (of a
 * category of whole numbers its number), seconds, a number; NaN when missing. Fails as
 * gy_cell_of_text. */
GY_CHECKED gy_status gy_cell_logged(const struct gy_predictor_input *in, struct gy_str text,
                                    double *ret, struct gy_err *err);
/* A day, a time with its zone, or one without, which counts as UTC; or a number: seconds since
 * 1970. false: it is none of them. */
bool gy_cell_seconds(struct gy_str text, double *ret);
/* The text of a cell: a category's name, a number, a time as ISO 8601; the absent string when
 * missing. scratch backs what is not a category. */
struct gy_str gy_cell_text(const struct gy_predictor_input *in, double cell, char scratch[40]);

/* The cells of an image file's bytes: width of them. Fails: PARSE, TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_cells_of_image(const struct gy_predictor_input *in, struct gy_str bytes,
                                       double *cells, struct gy_err *err);

/* Columns as the feature steps see them; n_cells of all inputs. Names and vocabularies are views;
 * the array and the names of pixels live in the arena. Fails: NOMEM. */
GY_CHECKED gy_status gy_cells_columns(const struct gy_predictor_input *inputs, size_t n_inputs,
                                      struct gy_arena *a, struct gy_feature **ret, size_t *ret_n,
                                      struct gy_err *err);

/* The raw cells of rows of a table, row-major n_rows x n_cells. Fails: NOTFOUND (a column the table
 * does not have), INVALID (another type), NOMEM. */
GY_CHECKED gy_status gy_cells_of_table(const struct gy_predictor_input *inputs, size_t n_inputs,
                                       const struct gy_table *t, const uint32_t *rows,
                                       size_t n_rows, double *out, struct gy_err *err);

#endif

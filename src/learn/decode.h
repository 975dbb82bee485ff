/* SPDX-License-Identifier: Apache-2.0 */
/* gy_decoder: from the values that requests and the prediction log have to the raw cells of one
 * model. A logged value means the same to every version: a number, seconds, a text's hash, the
 * first 52 bits of the SHA-256 of an image's bytes (gy_cell_logged). A cell is the model's own: a
 * text's index in its vocabulary, the pixels of an image. Immutable; any number of threads. */
#ifndef GY_LEARN_DECODE_H
#define GY_LEARN_DECODE_H

#include "learn/predictor.h"

struct gy_arena;
struct gy_decoder;

/* *ret NULL: logged values are cells already. In the arena; the inputs must live as long. Fails:
 * NOMEM. */
GY_CHECKED gy_status gy_decoder_new(const struct gy_predictor_input *inputs, size_t n_inputs,
                                    struct gy_arena *a, struct gy_decoder **ret,
                                    struct gy_err *err);
/* One row: n_inputs logged values to n_cells cells. pixels: the cells of the row's images one after
 * the other; NULL: they are missing. */
void gy_decoder_row(const struct gy_decoder *d, const double *logged, const double *pixels,
                    double *cells);
/* Is input i a text that training has not seen? */
bool gy_decoder_unseen(const struct gy_decoder *d, size_t i, double logged);
/* The index of a logged text in the vocabulary; SIZE_MAX: not there, or no text. */
size_t gy_decoder_find(const struct gy_decoder *d, size_t i, double logged);
/* Cells of all images of a row together. */
size_t gy_decoder_pixels(const struct gy_decoder *d);

#endif

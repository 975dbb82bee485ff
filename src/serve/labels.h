/* SPDX-License-Identifier: Apache-2.0 */
/* gy_labels: what is known about logged rows, by prediction id and row, as class values
 * (serve/shape.h). 64 bytes a label. Filled by one thread; then any number may look up. */
#ifndef GY_SERVE_LABELS_H
#define GY_SERVE_LABELS_H

#include "base/str.h"

#define GY_LABELS_MAX ((size_t)1 << 28)

struct gy_label {
    unsigned char id[16];
    uint32_t row;
    bool there;
    double truth;
};
struct gy_labels {
    struct gy_label *slots; /* open addressing, at most half full */
    size_t n, n_slots;
};
/* Zeroed is empty. */
void gy_labels_done(struct gy_labels *l);
GY_DEFINE_AUTO_DONE(struct gy_labels, gy_labels_done);
/* A second label of the same row replaces the first. Fails: NOMEM, TOOBIG. */
GY_CHECKED gy_status gy_labels_add(struct gy_labels *l, const unsigned char id[16], uint32_t row,
                                   double truth, struct gy_err *err);
/* NaN: there is none. l MAY be NULL. */
double gy_labels_get(const struct gy_labels *l, const unsigned char id[16], uint32_t row);

#endif

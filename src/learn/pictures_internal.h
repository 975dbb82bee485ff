/* SPDX-License-Identifier: Apache-2.0 */
/* How pictures come to be in a set; pictures.c keeps it, pictures_eval.c draws evaluations. */
#ifndef GY_LEARN_PICTURES_INTERNAL_H
#define GY_LEARN_PICTURES_INTERNAL_H

#include "learn/pictures.h"
#include "learn/plot.h"

/* A new picture of this (static) name; *ret is written into. Fails: TOOBIG. */
GY_CHECKED gy_status gy_picture_new(struct gy_pictures *p, const char *name, struct gy_buf **ret,
                                    struct gy_err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/cells.h"

#include <math.h>
#include <stdlib.h>

#include "base/time.h"
#include "data/image.h"
#include "data/schema.h"
#include "learn/picture.h"
#include "learn/table.h"

#define HASH_BITS 52 /* a double holds them exactly */

/* FNV-1a (Fowler, Noll, Vo), 64 bits, folded. */
double gy_cell_hash(struct gy_str text)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < text.n; i++) {
        h = (h ^ (unsigned char)text.p[i]) * 1099511628211u;
    }
    return (double)((h >> HASH_BITS) ^ (h & ((UINT64_C(1) << HASH_BITS) - 1)));
}

static double index_of(const struct gy_predictor_input *in, struct gy_str text)
{
    size_t low = 0, high = in->n_values;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (gy_str_cmp(in->values[mid], text) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < in->n_values && gy_str_eq(in->values[low], text) ? (double)low : GY_CELL_UNSEEN;
}

static gy_status refuse(const struct gy_predictor_input *in, struct gy_str text, const char *what,
                        struct gy_err *err)
{
    int n = text.n > 60 ? 60 : (int)text.n;
    return gy_err_set(err, GY_E_INVALID, "input '%" GY_STR_F "': '%.*s' is no %s",
                      GY_STR_A(in->name), n, text.p, what);
}

bool gy_cell_seconds(struct gy_str text, double *ret)
{
    char room[GY_VALUE_TEXT], full[GY_VALUE_TEXT + 16];
    struct gy_str canonical;
    double number = NAN;
    int64_t us = 0;
    const size_t day = 10;
    if (!gy_value_canonical(GY_TYPE_TIME, text, room, &canonical, &number)) {
        return gy_parse_f64(text, ret, NULL) == GY_OK && isfinite(*ret);
    }
    memcpy(full, canonical.p, canonical.n);
    size_t n = canonical.n;
    const char *rest = n == day ? "T00:00:00Z" : full[n - 1] == 'Z' ? "" : "Z";
    memcpy(full + n, rest, strlen(rest));
    if (gy_time_parse_iso(gy_str_n(full, n + strlen(rest)), &us, NULL) != GY_OK) {
        return false;
    }
    *ret = (double)us / 1e6;
    return true;
}

gy_status gy_cell_of_text(const struct gy_predictor_input *in, struct gy_str text, double *ret,
                          struct gy_err *err)
{
    *ret = NAN;
    if (!text.p || text.n == 0) {
        return GY_OK;
    }
    switch (in->kind) {
    case GY_INPUT_NUMBER:
        return gy_parse_f64(text, ret, NULL) == GY_OK ? GY_OK : refuse(in, text, "number", err);
    case GY_INPUT_TEXT:
        *ret = in->hashed ? gy_cell_hash(text) : index_of(in, text);
        return GY_OK;
    case GY_INPUT_TIME:
        return gy_cell_seconds(text, ret)
                   ? GY_OK
                   : refuse(in, text, "time (ISO 8601: 2026-11-21T08:00:00Z)", err);
    case GY_INPUT_IMAGE:
        return refuse(in, text, "image", err);
    }
    return GY_OK;
}

gy_status gy_cell_logged(const struct gy_predictor_input *in, struct gy_str text, double *ret,
                         struct gy_err *err)
{
    if (in->kind == GY_INPUT_TEXT && text.p && text.n > 0) {
        *ret = NAN;
        bool number = in->integer && gy_parse_f64(text, ret, NULL) == GY_OK;
        *ret = number ? *ret : gy_cell_hash(text);
        return GY_OK;
    }
    return gy_cell_of_text(in, text, ret, err);
}

struct gy_str gy_cell_text(const struct gy_predictor_input *in, double cell, char scratch[40])
{
    if (isnan(cell)) {
        return GY_STR_NULL;
    }
    if (in->kind == GY_INPUT_TEXT && !in->hashed) {
        return cell >= 0 && cell < (double)in->n_values ? in->values[(size_t)cell]
                                                        : GY_STR("(unseen)");
    }
    if (in->kind == GY_INPUT_TIME) {
        return gy_str_n(scratch, gy_time_iso((int64_t)llround(cell * 1e6), scratch));
    }
    return gy_str_n(scratch, gy_fmt_f64_trim(cell, scratch));
}

static enum gy_feature_kind kind_of(const struct gy_predictor_input *in)
{
    switch (in->kind) {
    case GY_INPUT_NUMBER:
        return GY_FEATURE_NUMBER;
    case GY_INPUT_TEXT:
        return in->hashed ? GY_FEATURE_HASHED : GY_FEATURE_CATEGORY;
    case GY_INPUT_TIME:
        return GY_FEATURE_TIME;
    case GY_INPUT_IMAGE:
        return GY_FEATURE_PIXEL;
    }
    return GY_FEATURE_NUMBER;
}

gy_status gy_cells_columns(const struct gy_predictor_input *inputs, size_t n_inputs,
                           struct gy_arena *a, struct gy_feature **ret, size_t *ret_n,
                           struct gy_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < n_inputs; i++) {
        n += inputs[i].width;
    }
    struct gy_feature *f = gy_arena_calloc(a, n + 1, sizeof *f);
    if (!f) {
        return gy_err_set(err, GY_E_NOMEM, "the columns of a model");
    }
    size_t at = 0;
    for (size_t i = 0; i < n_inputs; i++) {
        const struct gy_predictor_input *in = &inputs[i];
        for (size_t k = 0; k < in->width; k++, at++) {
            f[at] = (struct gy_feature){.name = in->name,
                                        .kind = kind_of(in),
                                        .values = in->values,
                                        .n_values = in->hashed ? 0 : in->n_values};
            if (in->kind == GY_INPUT_IMAGE) {
                f[at].name =
                    gy_str_c(gy_arena_printf(a, "%" GY_STR_F "[%zu]", GY_STR_A(in->name), k));
                if (!f[at].name.p) {
                    return gy_err_set(err, GY_E_NOMEM, "the columns of a model");
                }
            }
        }
    }
    *ret = f;
    *ret_n = n;
    return GY_OK;
}

gy_status gy_cells_of_image(const struct gy_predictor_input *in, struct gy_str bytes, double *cells,
                            struct gy_err *err)
{
    const struct gy_picture_shape shape = {
        .width = in->image_width, .height = in->image_height, .channels = in->image_channels};
    return gy_picture_read(bytes, &shape, cells, err);
}

/* The images that a column names, relative to the table's folder. */
static gy_status fill_images(const struct gy_predictor_input *in, const struct gy_table *t,
                             const struct gy_table_column *c, const uint32_t *rows, size_t n_rows,
                             size_t stride, double *out, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, GY_IMAGE_MAX_BYTES);
    if (c->numeric || !t->folder.p) {
        (void)gy_err_set(err, GY_E_INVALID, "column '%" GY_STR_F "': there are no images %s",
                         GY_STR_A(in->name),
                         c->numeric ? "in a column of numbers" : "beside a registered table");
        return gy_err_hint(err, "give the table as a file, with the images in its folder");
    }
    for (size_t r = 0; r < n_rows; r++) {
        struct gy_str name = c->text[rows[r]];
        for (size_t k = 0; !name.p && k < in->width; k++) {
            out[r * stride + k] = NAN;
        }
        if (!name.p) {
            continue;
        }
        gy_buf_reset(&bytes);
        gy_status st = gy_image_read(t->folder.p, name, &bytes, err);
        if (st == GY_OK) {
            st = gy_cells_of_image(in, gy_buf_str(&bytes), out + r * stride, err);
        }
        if (st != GY_OK) {
            return gy_err_wrap(err, "row %u, image '%.*s'", rows[r],
                               (int)(name.n > 200 ? 200 : name.n), name.p);
        }
    }
    return GY_OK;
}

static bool has_number(const struct gy_table_column *c, const uint32_t *rows, size_t n_rows)
{
    size_t i = 0;
    while (i < n_rows && isnan(c->num[rows[i]])) {
        i++;
    }
    return i < n_rows;
}

/* One input of all rows, to every stride-th place. A text that looks like a number has lost how it
 * was written ("007") where no schema says that it is one. */
static gy_status fill(const struct gy_predictor_input *in, const struct gy_table_column *c,
                      const uint32_t *rows, size_t n_rows, size_t stride, double *out,
                      struct gy_err *err)
{
    char scratch[32];
    if (in->kind == GY_INPUT_TEXT && c->numeric && !in->integer && has_number(c, rows, n_rows)) {
        (void)gy_err_set(err, GY_E_INVALID,
                         "column '%" GY_STR_F
                         "' holds numbers here, and texts where the model was trained",
                         GY_STR_A(in->name));
        return gy_err_hint(err, "pass the schema: its type there is string");
    }
    if (in->kind == GY_INPUT_NUMBER && !c->numeric) {
        return gy_err_set(err, GY_E_INVALID, "column '%" GY_STR_F "' holds text",
                          GY_STR_A(in->name));
    }
    for (size_t r = 0; r < n_rows; r++) {
        if (in->kind == GY_INPUT_NUMBER) {
            out[r * stride] = c->num[rows[r]];
        } else {
            GY_TRY(gy_cell_of_text(in, gy_table_text(c, rows[r], scratch), &out[r * stride], err));
        }
    }
    return GY_OK;
}

gy_status gy_cells_of_table(const struct gy_predictor_input *inputs, size_t n_inputs,
                            const struct gy_table *t, const uint32_t *rows, size_t n_rows,
                            double *out, struct gy_err *err)
{
    size_t stride = 0;
    for (size_t i = 0; i < n_inputs; i++) {
        stride += inputs[i].width;
    }
    for (size_t i = 0; i < n_inputs; i++) {
        const struct gy_table_column *c = gy_table_column(t, inputs[i].name);
        if (!c) {
            return gy_err_set(err, GY_E_NOTFOUND, "the table has no column '%" GY_STR_F "'",
                              GY_STR_A(inputs[i].name));
        }
        GY_TRY(inputs[i].kind == GY_INPUT_IMAGE
                   ? fill_images(&inputs[i], t, c, rows, n_rows, stride, out, err)
                   : fill(&inputs[i], c, rows, n_rows, stride, out, err));
        out += inputs[i].width;
    }
    return GY_OK;
}

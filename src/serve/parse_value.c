/* SPDX-License-Identifier: Apache-2.0 */
/* Values of fields that are no plain numbers: texts, times, images. */
#include "base/hash.h"
#include "base/mem.h"
#include "data/image.h"
#include "learn/cells.h"
#include "serve/parse_internal.h"

#define MAX_REQUEST_IMAGE (4 * 1000 * 1000) /* pixels: it is decoded while others wait */

#define FIELD(name) (int)((name).n > 64 ? 64 : (name).n), (name).p

/* What training has not seen is answered with a warning, which names the first of them. */
static void note_unseen(const struct gy_infer_field *f, size_t field, size_t row,
                        struct gy_str text, struct gy_infer_request *q)
{
    const struct gy_predictor_input *in = f->input;
    double cell = NAN;
    if (q->unseen_bytes > 0 || in->kind != GY_INPUT_TEXT || in->hashed || text.n == 0 ||
        gy_cell_of_text(in, text, &cell, NULL) != GY_OK || cell != GY_CELL_UNSEEN) {
        return;
    }
    text = gy_str_head(text, sizeof q->unseen);
    q->unseen_bytes = text.n;
    memcpy(q->unseen, text.p, q->unseen_bytes);
    q->unseen_row = row;
    q->unseen_field = field;
}

gy_status gy_infer_wrong_type(const struct gy_infer_field *f, struct gy_str name, const char *what,
                              struct gy_err *err)
{
    static const char *const wanted[] = {"a number", "a text", "a time (ISO 8601)",
                                         "an image (PNG or JPEG as base64)"};
    return gy_err_set(err, GY_E_INVALID, "field '%.*s' must be %s, not a %s", FIELD(name),
                      wanted[f->input->kind], what);
}

/* "data:image/png;base64,iVBOR...": what is behind the comma. */
static struct gy_str base64_of(struct gy_str text)
{
    size_t comma = gy_str_starts(text, GY_STR("data:")) ? gy_str_find(text, ',') : SIZE_MAX;
    return comma == SIZE_MAX ? text : gy_str_sub(text, comma + 1, text.n - comma - 1);
}

static gy_status read_pixels(const struct gy_predictor_input *in, struct gy_str bytes,
                             struct gy_infer_request *q, double *pixels, double *ret,
                             struct gy_err *err)
{
    struct gy_image_info info;
    char hex[GY_SHA256_HEX];
    uint64_t first = 0;
    GY_TRY(gy_image_info(bytes, &info, err));
    if ((int64_t)info.width * info.height > MAX_REQUEST_IMAGE) {
        return gy_err_set(err, GY_E_INVALID, "%d x %d pixels; an image of a request has at most %d",
                          info.width, info.height, MAX_REQUEST_IMAGE);
    }
    q->decoded += (int64_t)info.width * info.height;
    if (q->decoded > GY_INFER_MAX_DECODED) {
        return gy_err_set(err, GY_E_TOOBIG,
                          "the images of a request have at most %d pixels together",
                          GY_INFER_MAX_DECODED);
    }
    GY_TRY(gy_cells_of_image(in, bytes, pixels, err));
    GY_TRY(gy_sha256_hex(bytes, hex, err));
    for (size_t i = 0; i < 13; i++) { /* 52 bits, which a double holds exactly */
        unsigned digit = (unsigned)(hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10);
        first = first << 4 | digit;
    }
    *ret = (double)first;
    return GY_OK;
}

static gy_status read_image(const struct gy_infer_field *f, struct gy_str text,
                            struct gy_infer_request *q, double *pixels, double *ret,
                            struct gy_err *err)
{
    if (gy_str_starts(text, GY_STR("\x89PNG")) || gy_str_starts(text, GY_STR("\xff\xd8\xff"))) {
        return read_pixels(f->input, text, q, pixels, ret, err); /* the file itself */
    }
    struct gy_str packed = base64_of(text);
    GY_AUTO(gy_free) char *bytes = gy_malloc(packed.n / 4 * 3 + 3);
    size_t n = 0;
    if (!bytes) {
        return gy_err_set(err, GY_E_NOMEM, "an image");
    }
    if (gy_base64_decode(packed, (unsigned char *)bytes, &n, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_INVALID, "is not base64");
    }
    return read_pixels(f->input, gy_str_n(bytes, n), q, pixels, ret, err);
}

/* The text of what JSON has; the absent string when it is none. */
static struct gy_str text_of(yyjson_val *v, char scratch[32])
{
    if (yyjson_is_num(v)) {
        return gy_str_n(scratch, gy_fmt_f64_trim(yyjson_get_num(v), scratch));
    }
    if (yyjson_is_bool(v)) {
        return yyjson_get_bool(v) ? GY_STR("true") : GY_STR("false");
    }
    return gy_json_val_str(v);
}

gy_status gy_infer_text(const struct gy_infer_shape *shape, struct gy_infer_request *q,
                        size_t field, size_t row, struct gy_str name, struct gy_str text,
                        const char *what, double *ret, struct gy_err *err)
{
    const struct gy_infer_field *f = &shape->fields[field];
    *ret = NAN;
    if (text.n == 0) {
        return f->required
                   ? gy_err_set(err, GY_E_INVALID, "field '%.*s' must not be empty", FIELD(name))
                   : GY_OK;
    }
    if (f->input->kind == GY_INPUT_IMAGE) {
        gy_status st =
            read_image(f, text, q, q->pixels + row * shape->n_pixels + f->first_pixel, ret, err);
        return st == GY_OK ? st : gy_err_wrap(err, "field '%.*s'", FIELD(name));
    }
    double whole = 0;
    if (f->input->kind == GY_INPUT_TEXT && f->input->integer &&
        gy_parse_f64(text, &whole, NULL) != GY_OK) {
        return gy_infer_wrong_type(f, name, what, err);
    }
    GY_TRY(gy_cell_logged(f->input, text, ret, err));
    note_unseen(f, field, row, text, q);
    return GY_OK;
}

gy_status gy_infer_value(const struct gy_infer_shape *shape, struct gy_infer_request *q,
                         size_t field, size_t row, struct gy_str name, yyjson_val *v, double *ret,
                         struct gy_err *err)
{
    const struct gy_infer_field *f = &shape->fields[field];
    bool image = f->input->kind == GY_INPUT_IMAGE;
    char scratch[32];
    *ret = NAN;
    if (gy_infer_infinite(v)) {
        return gy_err_set(err, GY_E_INVALID, "field '%.*s' must be a finite number", FIELD(name));
    }
    struct gy_str text = gy_infer_missing(v) ? GY_STR("") : text_of(v, scratch);
    if (!text.p || (image && text.n > 0 && !yyjson_is_str(v))) {
        return gy_infer_wrong_type(f, name, yyjson_get_type_desc(v), err);
    }
    if (text.n == 0) {
        return f->required ? gy_err_set(err, GY_E_INVALID, "field '%.*s' must not be %s",
                                        FIELD(name), gy_infer_missing(v) ? "null" : "empty")
                           : GY_OK;
    }
    return gy_infer_text(shape, q, field, row, name, text, yyjson_get_type_desc(v), ret, err);
}

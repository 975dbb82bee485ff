/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/picture.h"

#include <math.h>

#include "base/id.h"
#include "base/mem.h"
#include "data/image.h"

/* One new pixel of an axis: the weights of old ones from `first` on. */
struct span {
    int first, n;
    double head, inner, tail; /* of the first, of those between, of the last; n 1: head alone */
};

/* The part [i, i + 1) * from / to of the old axis, as a mean. */
static struct span covered(int i, int from, int to)
{
    double scale = (double)from / to, a = i * scale, b = (i + 1) * scale;
    int first = (int)floor(a), last = (int)ceil(b) - 1;
    last = last >= from ? from - 1 : last < first ? first : last;
    return (struct span){.first = first,
                         .n = last - first + 1,
                         .head = last == first ? 1 : (first + 1 - a) / scale,
                         .inner = 1 / scale,
                         .tail = (b - last) / scale};
}

/* Between the two old centres around the new one; beyond the outermost, that one. */
static struct span between(int i, int from, int to)
{
    double at = (i + 0.5) * from / to - 0.5;
    int first = (int)floor(at);
    double share = at - first;
    if (first < 0 || first + 1 >= from) {
        return (struct span){.first = first < 0 ? 0 : from - 1, .n = 1, .head = 1};
    }
    return (struct span){.first = first, .n = 2, .head = 1 - share, .tail = share};
}

static struct span span_of(int i, int from, int to)
{
    return from >= to ? covered(i, from, to) : between(i, from, to);
}

static double weight(const struct span *s, int i)
{
    return i == 0 ? s->head : i == s->n - 1 ? s->tail : s->inner;
}

/* One row of old pixels, weighted and added to the new ones. The channels' sums go side by side,
 * each in the order of its pixels: as fast as the memory, and the same bits as one by one. */
static inline void add_row_of(const uint8_t *row, const struct span *columns, double by,
                              size_t width, size_t channels, double *out)
{
    for (size_t x = 0; x < width; x++, out += channels) {
        const struct span *s = &columns[x];
        const uint8_t *at = row + (size_t)s->first * channels;
        double sums[3];
        for (size_t c = 0; c < channels; c++) {
            sums[c] = s->head * (double)*at++;
        }
        for (int i = 1; i < s->n - 1; i++) {
            for (size_t c = 0; c < channels; c++) {
                sums[c] += s->inner * (double)*at++;
            }
        }
        for (size_t c = 0; s->n > 1 && c < channels; c++) {
            sums[c] += s->tail * (double)*at++;
        }
        for (size_t c = 0; c < channels; c++) {
            out[c] += by * sums[c];
        }
    }
}

static void add_row(const uint8_t *row, const struct span *columns, double by,
                    const struct gy_picture_shape *to, double *out)
{
    if (to->channels == 3) { /* numbers that the compiler knows: no loop over channels is left */
        add_row_of(row, columns, by, (size_t)to->width, 3, out);
    } else {
        add_row_of(row, columns, by, (size_t)to->width, 1, out);
    }
}

gy_status gy_picture_resize(const uint8_t *pixels, int width, int height,
                            const struct gy_picture_shape *shape, double *cells, struct gy_err *err)
{
    struct span *columns = gy_reallocarray(NULL, (size_t)shape->width, sizeof *columns);
    if (!columns) {
        return gy_err_set(err, GY_E_NOMEM, "resizing a picture");
    }
    for (int x = 0; x < shape->width; x++) {
        columns[x] = span_of(x, width, shape->width);
    }
    size_t stride = (size_t)width * (size_t)shape->channels;
    size_t n = (size_t)shape->width * (size_t)shape->channels;
    for (int y = 0; y < shape->height; y++, cells += n) {
        struct span s = span_of(y, height, shape->height);
        memset(cells, 0, n * sizeof *cells);
        for (int i = 0; i < s.n; i++) {
            add_row(pixels + (size_t)(s.first + i) * stride, columns, weight(&s, i), shape, cells);
        }
    }
    gy_free(columns);
    return GY_OK;
}

gy_status gy_picture_read(struct gy_str bytes, const struct gy_picture_shape *shape, double *cells,
                          struct gy_err *err)
{
    if (shape->width < 1 || shape->height < 1 || shape->width > GY_PICTURE_MAX_SIDE ||
        shape->height > GY_PICTURE_MAX_SIDE || (shape->channels != 1 && shape->channels != 3)) {
        return gy_err_set(err, GY_E_INVALID,
                          "a picture of %d x %d x %d: sides are 1 to %d, channels 1 or 3",
                          shape->width, shape->height, shape->channels, GY_PICTURE_MAX_SIDE);
    }
    GY_AUTO_DONE(gy_image_done) struct gy_image image = {.pixels = NULL};
    GY_TRY(gy_image_decode(bytes, shape->channels, &image, err));
    return gy_picture_resize(image.pixels, image.width, image.height, shape, cells, err);
}

/* ---- augmentation ---- */

/* Where a pixel comes from: first the shift, then the turn, then the flips, each undone. */
struct change {
    bool left_right, up_down;
    int turns; /* of 90 degrees */
    int dx, dy;
};

static int draw_shift(struct gy_rng *rng, int side)
{
    int most = side / 10 > 1 ? side / 10 : 1;
    return (int)gy_rng_below(rng, 2 * (uint64_t)most + 1) - most;
}

static struct change draw(unsigned how, const struct gy_picture_shape *s, struct gy_rng *rng)
{
    struct change c = {.turns = 0};
    if (how & GY_AUGMENT_FLIP) {
        c.left_right = gy_rng_below(rng, 2) == 1;
        c.up_down = gy_rng_below(rng, 2) == 1;
    }
    if (how & GY_AUGMENT_ROTATE) {
        c.turns = s->width == s->height ? (int)gy_rng_below(rng, 4) : 2 * (int)gy_rng_below(rng, 2);
    }
    if (how & GY_AUGMENT_SHIFT) {
        c.dx = draw_shift(rng, s->width);
        c.dy = draw_shift(rng, s->height);
    }
    return c;
}

static int clamp(int v, int n)
{
    return v < 0 ? 0 : v >= n ? n - 1 : v;
}

static size_t source(const struct change *c, const struct gy_picture_shape *s, int x, int y)
{
    x = clamp(x - c->dx, s->width);
    y = clamp(y - c->dy, s->height);
    if (c->turns % 2) { /* a square */
        int t = x;
        x = y;
        y = s->width - 1 - t;
    }
    if ((c->turns >= 2) != c->left_right) {
        x = s->width - 1 - x;
    }
    if ((c->turns >= 2) != c->up_down) {
        y = s->height - 1 - y;
    }
    return (size_t)y * (size_t)s->width + (size_t)x;
}

void gy_picture_augment(unsigned how, const struct gy_picture_shape *shape, uint64_t seed,
                        uint64_t epoch, uint64_t row, const double *in, double *out)
{
    struct gy_rng rng;
    gy_rng_init_stream(&rng, seed + epoch * 0x9e3779b97f4a7c15, row);
    const struct change c = draw(how, shape, &rng);
    size_t channels = (size_t)shape->channels;
    for (int y = 0; y < shape->height; y++) {
        for (int x = 0; x < shape->width; x++, out += channels) {
            memcpy(out, in + source(&c, shape, x, y) * channels, channels * sizeof *out);
        }
    }
}

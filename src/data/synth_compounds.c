/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <png.h>

#include "base/file.h"
#include "base/id.h"
#include "base/mem.h"
#include "data/synth_cases.h"

enum { SIDE = 300, MAX_RINGS = 5, MAX_LINES = 200, MAX_MOLECULES = 50000 };
#define BOND 30.0 /* pixels before a molecule is fitted into its picture */
#define INK 1.1   /* half the width of a line */
#define MAX_BYTES ((size_t)64 << 20)
#define MARGIN 24.0

struct point {
    double x, y;
};
struct line {
    struct point a, b;
};
struct molecule {
    struct line lines[MAX_LINES];
    size_t n;
    int rings;
};

static struct point turn(struct point p, double angle)
{
    return (struct point){p.x * cos(angle) - p.y * sin(angle), p.x * sin(angle) + p.y * cos(angle)};
}

static struct point along(struct point from, double angle, double length)
{
    return (struct point){from.x + length * cos(angle), from.y + length * sin(angle)};
}

static void add_line(struct molecule *m, struct point a, struct point b)
{
    if (m->n < MAX_LINES) {
        m->lines[m->n++] = (struct line){a, b};
    }
}

/* A ring of 5 or 6 with a corner at `from`, lying in direction `angle`; *ret_far is the corner
 * across. With `arom` a second, inner line at every other side: a double bond. */
static void add_ring(struct molecule *m, struct point from, double angle, int sides, bool arom,
                     struct point *ret_far)
{
    double radius = BOND / (2 * sin(M_PI / sides));
    struct point c = along(from, angle, radius);
    struct point corner[6];
    for (int i = 0; i < sides; i++) {
        corner[i] = along(c, angle + M_PI + 2 * M_PI * i / sides, radius);
    }
    for (int i = 0; i < sides; i++) {
        struct point a = corner[i], b = corner[(i + 1) % sides];
        add_line(m, a, b);
        if (arom && i % 2 == 0) {
            struct point ia = {c.x + 0.78 * (a.x - c.x), c.y + 0.78 * (a.y - c.y)};
            struct point ib = {c.x + 0.78 * (b.x - c.x), c.y + 0.78 * (b.y - c.y)};
            add_line(m, ia, ib);
        }
    }
    *ret_far = corner[sides / 2];
}

/* A zigzag that is no ring: what a counter must not be fooled by. */
static struct point add_chain(struct molecule *m, struct gy_rng *r, struct point from, double angle,
                              int length)
{
    for (int i = 0; i < length; i++) {
        struct point to = along(from, angle + (i % 2 ? 0.52 : -0.52), BOND);
        add_line(m, from, to);
        if (gy_rng_below(r, 5) == 0) { /* a stump */
            add_line(m, to, along(to, angle + (i % 2 ? -1.6 : 1.6), BOND * 0.8));
        }
        from = to;
    }
    return from;
}

static void make_molecule(struct gy_rng *r, struct molecule *m)
{
    m->n = 0;
    m->rings = 1 + (int)gy_rng_below(r, MAX_RINGS);
    double angle = 2 * M_PI * gy_rng_f64(r);
    struct point at = add_chain(m, r, (struct point){0, 0}, angle, (int)gy_rng_below(r, 4));
    for (int i = 0; i < m->rings; i++) {
        struct point far;
        int sides = gy_rng_below(r, 4) == 0 ? 5 : 6;
        add_ring(m, at, angle, sides, sides == 6 && gy_rng_below(r, 2), &far);
        angle += 0.7 * (gy_rng_f64(r) - 0.5);
        at = add_chain(m, r, far, angle, 1 + (int)gy_rng_below(r, 2));
    }
    (void)add_chain(m, r, at, angle + 0.4, (int)gy_rng_below(r, 4));
}

/* Turned, and as large as the picture allows, but never larger than drawn. */
static void fit(const struct molecule *m, double angle, struct molecule *out)
{
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    *out = *m;
    for (size_t i = 0; i < m->n; i++) {
        struct point *ends[2] = {&out->lines[i].a, &out->lines[i].b};
        for (size_t k = 0; k < 2; k++) {
            *ends[k] = turn(*ends[k], angle);
            low[0] = fmin(low[0], ends[k]->x);
            low[1] = fmin(low[1], ends[k]->y);
            high[0] = fmax(high[0], ends[k]->x);
            high[1] = fmax(high[1], ends[k]->y);
        }
    }
    double room = SIDE - 2 * MARGIN;
    double wide = fmax(high[0] - low[0], high[1] - low[1]);
    double scale = wide > room ? room / wide : 1;
    for (size_t i = 0; i < m->n; i++) {
        struct point *ends[2] = {&out->lines[i].a, &out->lines[i].b};
        for (size_t k = 0; k < 2; k++) {
            ends[k]->x = SIDE / 2.0 + scale * (ends[k]->x - (low[0] + high[0]) / 2);
            ends[k]->y = SIDE / 2.0 + scale * (ends[k]->y - (low[1] + high[1]) / 2);
        }
    }
}

static double distance(struct point p, const struct line *l)
{
    double dx = l->b.x - l->a.x, dy = l->b.y - l->a.y;
    double t = ((p.x - l->a.x) * dx + (p.y - l->a.y) * dy) / (dx * dx + dy * dy);
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return hypot(p.x - (l->a.x + t * dx), p.y - (l->a.y + t * dy));
}

/* Black on white, the edge of a line one pixel soft. */
static void draw(const struct molecule *m, uint8_t *rgb)
{
    memset(rgb, 255, (size_t)SIDE * SIDE * 3);
    for (size_t i = 0; i < m->n; i++) {
        const struct line *l = &m->lines[i];
        int x0 = (int)floor(fmin(l->a.x, l->b.x) - 2), x1 = (int)ceil(fmax(l->a.x, l->b.x) + 2);
        int y0 = (int)floor(fmin(l->a.y, l->b.y) - 2), y1 = (int)ceil(fmax(l->a.y, l->b.y) + 2);
        for (int y = y0 < 0 ? 0 : y0; y <= y1 && y < SIDE; y++) {
            for (int x = x0 < 0 ? 0 : x0; x <= x1 && x < SIDE; x++) {
                double d = distance((struct point){x + 0.5, y + 0.5}, l) - INK;
                uint8_t grey = d <= 0 ? 0 : d >= 1 ? 255 : (uint8_t)(255 * d);
                uint8_t *p = rgb + ((size_t)y * SIDE + (size_t)x) * 3;
                if (grey < p[0]) {
                    p[0] = p[1] = p[2] = grey;
                }
            }
        }
    }
}

static gy_status write_png(const uint8_t *rgb, const char *path, struct gy_synth_result *ret,
                           struct gy_err *err)
{
    png_image image = {
        .version = PNG_IMAGE_VERSION, .width = SIDE, .height = SIDE, .format = PNG_FORMAT_RGB};
    png_alloc_size_t n = PNG_IMAGE_PNG_SIZE_MAX(image);
    GY_AUTO(gy_free) char *bytes = gy_malloc(n);
    if (!bytes) {
        return gy_err_set(err, GY_E_NOMEM, "a picture");
    }
    if (!png_image_write_to_memory(&image, bytes, &n, 0, rgb, 0, NULL)) {
        return gy_err_set(err, GY_E_FAILED, "libpng: %s", image.message);
    }
    ret->bytes += (int64_t)n;
    return gy_file_write(path, gy_str_n(bytes, n), 0666, err);
}

struct work {
    const char *folder;
    struct gy_buf json;
    uint8_t *rgb;
    struct gy_rng rng;
    struct gy_synth_result *ret;
};

static void add_record(struct work *w, int64_t id, int64_t molecule, int rings, const char *image)
{
    gy_buf_addc(&w->json, w->json.n > 4 ? ",\n" : "\n");
    gy_buf_addf(&w->json,
                " {\"compound_id\": %lld, \"molecule_id\": %lld, \"num_rings\": %d, \"image\": "
                "\"%s\"}",
                (long long)id, (long long)molecule, rings, image);
}

static gy_status one_molecule(struct work *w, int64_t molecule, struct gy_err *err)
{
    struct molecule m, view;
    char name[64], path[GY_MAX_PATH];
    make_molecule(&w->rng, &m);
    for (int v = 0; v < GY_SYNTH_VIEWS; v++) {
        int64_t id = 100000 + molecule * GY_SYNTH_VIEWS + v;
        fit(&m, 2 * M_PI * gy_rng_f64(&w->rng), &view);
        draw(&view, w->rgb);
        (void)snprintf(name, sizeof name, "images/%lld.png", (long long)id);
        GY_TRY(gy_path_join(path, sizeof path, w->folder, name, err));
        GY_TRY(write_png(w->rgb, path, w->ret, err));
        add_record(w, id, molecule, m.rings, name);
        w->ret->rows++;
    }
    return GY_OK;
}

static void add_bad(struct work *w, int64_t i)
{
    if (i % 2 == 0) {
        add_record(w, 1 + i, -1 - i, 3, "images/missing_image.png");
    } else {
        gy_buf_addf(&w->json,
                    ",\n {\"missing_key\": %lld, \"molecule_id\": %lld, \"num_rings\": 2, "
                    "\"image\": \"images/100000.png\"}",
                    (long long)(1 + i), (long long)(-1 - i));
    }
    w->ret->bad++;
}

static gy_status make_all(struct work *w, int64_t molecules, int64_t bad, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, w->folder, "images", err));
    GY_TRY(gy_dir_make(path, err));
    gy_buf_addc(&w->json, "\xef\xbb\xbf["); /* with a byte order mark, as such files come */
    for (int64_t i = 0; i < molecules; i++) {
        GY_TRY(one_molecule(w, i, err));
    }
    for (int64_t i = 0; i < bad; i++) {
        add_bad(w, i);
    }
    gy_buf_addc(&w->json, "\n]\n");
    GY_TRY(gy_buf_check(&w->json, "made records", err));
    GY_TRY(gy_path_join(path, sizeof path, w->folder, "compounds.json", err));
    w->ret->bytes += (int64_t)w->json.n;
    return gy_file_write(path, gy_buf_str(&w->json), 0666, err);
}

gy_status gy_synth_compounds(int64_t molecules, int64_t bad, uint64_t seed, const char *folder,
                             struct gy_synth_result *ret, struct gy_err *err)
{
    struct work w = {.folder = folder, .ret = ret};
    *ret = (struct gy_synth_result){0};
    if (molecules < 1 || molecules > MAX_MOLECULES || bad < 0 || bad > 1000) {
        return gy_err_set(err, GY_E_INVALID,
                          "compounds: --rows (molecules) must be 1 to %d, --bad 0 to 1000",
                          MAX_MOLECULES);
    }
    gy_rng_init_stream(&w.rng, seed, 3);
    gy_buf_init(&w.json, MAX_BYTES);
    w.rgb = gy_malloc((size_t)SIDE * SIDE * 3);
    gy_status status =
        w.rgb ? make_all(&w, molecules, bad, err) : gy_err_set(err, GY_E_NOMEM, "a picture");
    gy_free(w.rgb);
    gy_buf_done(&w.json);
    return status;
}

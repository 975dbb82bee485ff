/* SPDX-License-Identifier: Apache-2.0 */
/* Images as cells: sizes up and down by known numbers, damaged files, and what augmentation does to
 * a picture. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "learn/picture.h"

static struct gy_err g_err;

static void resize(const uint8_t *pixels, int w, int h, int channels, int to_w, int to_h,
                   double *out)
{
    const struct gy_picture_shape shape = {to_w, to_h, channels};
    if (gy_picture_resize(pixels, w, h, &shape, out, &g_err) != GY_OK) {
        fail_msg("%s", g_err.msg);
    }
}

static void assert_cells(const double *got, const double *want, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!(fabs(got[i] - want[i]) < 1e-9)) {
            fail_msg("cell %zu is %.9g, not %.9g", i, got[i], want[i]);
        }
    }
}

static void same_size_is_the_same(void **state)
{
    (void)state;
    const uint8_t p[] = {0, 1, 2, 100, 200, 255};
    const double want[] = {0, 1, 2, 100, 200, 255};
    double out[6];
    resize(p, 3, 2, 1, 3, 2, out);
    assert_cells(out, want, 6);
    resize(p, 1, 2, 3, 1, 2, out);
    assert_cells(out, want, 6);
}

static void smaller_is_the_mean_of_what_is_covered(void **state)
{
    (void)state;
    const uint8_t p[] = {0, 10, 20, 30, 40, 50, 60, 70};
    double out[8];
    resize(p, 4, 2, 1, 2, 1, out);
    assert_cells(out, (const double[]){25, 45}, 2);
    /* Three into two: a whole one and half of the middle one each. */
    resize(p, 3, 1, 1, 2, 1, out);
    assert_cells(out, (const double[]){(0 + 5) / 1.5, (5 + 20) / 1.5}, 2);
    /* Colours stay apart. */
    resize(p, 2, 1, 3, 1, 1, out);
    assert_cells(out, (const double[]){15, 25, 35}, 3);
    /* One axis smaller, the other larger. */
    resize(p, 4, 1, 1, 2, 3, out);
    assert_cells(out, (const double[]){5, 25, 5, 25, 5, 25}, 6);
}

static void larger_is_between_the_centres(void **state)
{
    (void)state;
    const uint8_t p[] = {0, 100};
    double out[8];
    resize(p, 2, 1, 1, 4, 1, out);
    assert_cells(out, (const double[]){0, 25, 75, 100}, 4);
    resize(p, 1, 2, 1, 1, 4, out);
    assert_cells(out, (const double[]){0, 25, 75, 100}, 4);
    resize(p, 1, 1, 1, 3, 2, out);
    assert_cells(out, (const double[]){0, 0, 0, 0, 0, 0}, 6);
}

/* Whatever the sizes, a picture of one colour stays that, and the mean of a smaller one is kept. */
static void means_are_kept(void **state)
{
    (void)state;
    static uint8_t p[64 * 64];
    static double out[64 * 64];
    for (int from = 1; from <= 64; from += 7) {
        for (int to = 1; to <= 64; to += 9) {
            double mean = 0, got = 0;
            for (int i = 0; i < from * from; i++) {
                p[i] = (uint8_t)(i * 37 % 256);
                mean += p[i] / (double)(from * from);
            }
            resize(p, from, from, 1, to, to, out);
            for (int i = 0; i < to * to; i++) {
                got += out[i] / (double)(to * to);
            }
            assert_true(to > from || fabs(got - mean) < 1e-9);
            memset(p, 200, sizeof p);
            resize(p, from, from, 1, to, to, out);
            for (int i = 0; i < to * to; i++) {
                assert_true(fabs(out[i] - 200) < 1e-9);
            }
        }
    }
}

/* 2 x 1 pixels, red and white (zlib without compression). */
static const unsigned char g_png[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44,
    0x52, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01, 0x08, 0x02, 0x00, 0x00, 0x00, 0x7b,
    0x40, 0xe8, 0xdd, 0x00, 0x00, 0x00, 0x12, 0x49, 0x44, 0x41, 0x54, 0x78, 0x01, 0x01, 0x07,
    0x00, 0xf8, 0xff, 0x00, 0xff, 0x00, 0x00, 0xff, 0xff, 0xff, 0x0b, 0xfb, 0x03, 0xfd, 0x0c,
    0xbb, 0x7b, 0x1c, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
};

static void reads_a_file(void **state)
{
    (void)state;
    const struct gy_str png = gy_str_n((const char *)g_png, sizeof g_png);
    double out[6];
    if (gy_picture_read(png, &(struct gy_picture_shape){2, 1, 3}, out, &g_err) != GY_OK) {
        fail_msg("%s", g_err.msg);
    }
    assert_cells(out, (const double[]){255, 0, 0, 255, 255, 255}, 6);
    assert_int_equal(gy_picture_read(png, &(struct gy_picture_shape){1, 1, 1}, out, &g_err), GY_OK);
    assert_true(fabs(out[0] - (76 + 255) / 2.0) < 1); /* red is 0.299 of white */
    for (size_t n = 0; n < sizeof g_png; n++) {       /* cut anywhere: refused */
        assert_int_not_equal(
            gy_picture_read(gy_str_n(png.p, n), &(struct gy_picture_shape){2, 1, 3}, out, NULL),
            GY_OK);
    }
    static const struct gy_picture_shape bad[] = {
        {0, 1, 1}, {1, 0, 1}, {1, 1, 2}, {2000, 1, 1}, {1, -5, 3}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(gy_picture_read(png, &bad[i], out, NULL), GY_E_INVALID);
    }
}

/* A picture whose pixels are all different: after flips and turns the same ones, the same for the
 * same draw, another picture for other draws; all eight positions come up. */
static void augmentation_moves_pixels(void **state)
{
    (void)state;
    double in[9 * 2], out[9 * 2], again[9 * 2];
    const struct gy_picture_shape shape = {3, 3, 2};
    bool seen[9 * 9] = {false};
    size_t positions = 0;
    for (size_t i = 0; i < 18; i++) {
        in[i] = (double)i;
    }
    for (uint64_t row = 0; row < 200; row++) {
        double sum = 0;
        gy_picture_augment(GY_AUGMENT_FLIP | GY_AUGMENT_ROTATE, &shape, 1, 2, row, in, out);
        gy_picture_augment(GY_AUGMENT_FLIP | GY_AUGMENT_ROTATE, &shape, 1, 2, row, in, again);
        assert_memory_equal(out, again, sizeof out);
        for (size_t i = 0; i < 18; i++) {
            sum += out[i];
            assert_true(i % 2 == 0 || out[i] == out[i - 1] + 1); /* channels stay together */
        }
        assert_true(sum == 17 * 18 / 2.0 && out[8] == 8); /* all there, the middle in the middle */
        size_t key = (size_t)out[0] / 2 * 9 + (size_t)out[2] / 2;
        positions += !seen[key];
        seen[key] = true;
    }
    assert_int_equal(positions, 8);
    gy_picture_augment(0, &shape, 1, 2, 3, in, out);
    assert_memory_equal(in, out, sizeof in);
}

static void shifts_repeat_the_edge(void **state)
{
    (void)state;
    double in[20], out[20];
    const struct gy_picture_shape shape = {20, 1, 1};
    bool seen[5] = {false};
    for (size_t i = 0; i < 20; i++) {
        in[i] = (double)i;
    }
    for (uint64_t epoch = 0; epoch < 60; epoch++) {
        gy_picture_augment(GY_AUGMENT_SHIFT, &shape, 9, epoch, 0, in, out);
        int shift = 10 - (int)out[10];
        assert_true(shift >= -2 && shift <= 2);
        seen[shift + 2] = true;
        for (int i = 0; i < 20; i++) {
            int from = i - shift < 0 ? 0 : i - shift > 19 ? 19 : i - shift;
            assert_true(out[i] == (double)from);
        }
    }
    for (size_t i = 0; i < 5; i++) {
        assert_true(seen[i]);
    }
}

/* A picture that is no square is never turned on its side. */
static void oblongs_turn_by_180(void **state)
{
    (void)state;
    const double in[6] = {0, 1, 2, 3, 4, 5}, turned[6] = {5, 4, 3, 2, 1, 0};
    const struct gy_picture_shape shape = {3, 2, 1};
    double out[6];
    size_t n = 0;
    for (uint64_t row = 0; row < 50; row++) {
        gy_picture_augment(GY_AUGMENT_ROTATE, &shape, 4, 0, row, in, out);
        bool same = memcmp(out, in, sizeof in) == 0;
        assert_true(same || memcmp(out, turned, sizeof in) == 0);
        n += !same;
    }
    assert_true(n > 10 && n < 40);
}

static void survives_failing_memory(void **state)
{
    (void)state;
    const struct gy_str png = gy_str_n((const char *)g_png, sizeof g_png);
    double out[6];
    int64_t live = gy_mem_live();
    for (uint64_t nth = 1;; nth++) {
        gy_mem_fail_at(nth, 0);
        gy_status status = gy_picture_read(png, &(struct gy_picture_shape){2, 1, 3}, out, NULL);
        gy_mem_fail_at(0, 0);
        assert_int_equal(gy_mem_live(), live);
        if (status == GY_OK) {
            assert_true(nth > 2);
            return;
        }
        assert_int_equal(status, GY_E_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_size_is_the_same),
        cmocka_unit_test(smaller_is_the_mean_of_what_is_covered),
        cmocka_unit_test(larger_is_between_the_centres),
        cmocka_unit_test(means_are_kept),
        cmocka_unit_test(reads_a_file),
        cmocka_unit_test(augmentation_moves_pixels),
        cmocka_unit_test(shifts_repeat_the_edge),
        cmocka_unit_test(oblongs_turn_by_180),
        cmocka_unit_test(survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

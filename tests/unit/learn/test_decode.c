/* SPDX-License-Identifier: Apache-2.0 */
/* Texts, times and images as numbers: what is logged, and what a model makes of it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/mem.h"
#include "learn/cells.h"
#include "learn/decode.h"

static const struct gy_str g_seasons[3] = {{"autumn", 6}, {"spring", 6}, {"winter", 6}};
static const struct gy_str g_codes[3] = {{"1", 1}, {"10", 2}, {"2", 1}};

static const struct gy_predictor_input g_inputs[] = {
    {.name = {"temp", 4}, .width = 1},
    {.name = {"season", 6}, .kind = GY_INPUT_TEXT, .values = g_seasons, .n_values = 3, .width = 1},
    {.name = {"photo", 5},
     .kind = GY_INPUT_IMAGE,
     .image_width = 2,
     .image_height = 1,
     .image_channels = 1,
     .width = 2},
    {.name = {"code", 4},
     .kind = GY_INPUT_TEXT,
     .integer = true,
     .values = g_codes,
     .n_values = 3,
     .width = 1},
    {.name = {"city", 4}, .kind = GY_INPUT_TEXT, .hashed = true, .width = 1},
    {.name = {"when", 4}, .kind = GY_INPUT_TIME, .width = 1},
};
#define N_INPUTS (sizeof g_inputs / sizeof g_inputs[0])

static double cell(size_t input, const char *text, gy_status want)
{
    double v = -7;
    struct gy_err err = GY_ERR_INIT;
    gy_status st = gy_cell_of_text(&g_inputs[input], gy_str_c(text), &v, &err);
    if (st != want) {
        fail_msg("'%s': %s %s", text, gy_status_name(st), err.msg);
    }
    return v;
}

static void cells_of_texts(void **state)
{
    (void)state;
    assert_true(cell(1, "autumn", GY_OK) == 0 && cell(1, "winter", GY_OK) == 2);
    assert_true(cell(1, "Winter", GY_OK) == GY_CELL_UNSEEN && isnan(cell(1, "", GY_OK)));
    assert_true(cell(3, "10", GY_OK) == 1 && cell(3, "2", GY_OK) == 2);
    assert_true(cell(0, "1.5", GY_OK) == 1.5);
    (void)cell(0, "warm", GY_E_INVALID);
    (void)cell(2, "photo.png", GY_E_INVALID);
    /* FNV-1a of "a" is af63dc4c8601ec8c: folded to 52 bits, as docs/formats.md says */
    assert_true(cell(4, "a", GY_OK) == (double)(UINT64_C(0x3dc4c8601ec8c) ^ UINT64_C(0xaf6)));
    assert_true(gy_cell_hash(GY_STR("")) < 0x1p52);
}

static void cells_of_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double seconds;
    } good[] = {
        {"1970-01-02", 86400},
        {"1970-01-01T01:00:00Z", 3600},
        {"1970-01-01T01:00:00+01:00", 0},
        {"1970-01-01 00:00:01", 1}, /* without a zone: UTC */
        {"1969-12-31T23:59:59.5Z", -0.5},
        {"1704974400", 1704974400},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        double v = cell(5, good[i].text, GY_OK);
        if (v != good[i].seconds) {
            fail_msg("%s: %.17g", good[i].text, v);
        }
    }
    (void)cell(5, "tomorrow", GY_E_INVALID);
    (void)cell(5, "1970-13-01", GY_E_INVALID);
    (void)cell(5, "inf", GY_E_INVALID);
    char scratch[40];
    assert_true(gy_str_eqc(gy_cell_text(&g_inputs[1], 2, scratch), "winter"));
    assert_true(gy_str_eqc(gy_cell_text(&g_inputs[1], GY_CELL_UNSEEN, scratch), "(unseen)"));
    assert_null(gy_cell_text(&g_inputs[1], NAN, scratch).p);
    assert_true(gy_str_starts(gy_cell_text(&g_inputs[5], 86400, scratch), GY_STR("1970-01-02T")));
}

static double logged(size_t input, const char *text)
{
    double v = NAN;
    assert_int_equal(gy_cell_logged(&g_inputs[input], gy_str_c(text), &v, NULL), GY_OK);
    return v;
}

/* A logged value does not depend on the vocabulary of a version; its cell does. */
static void logged_values_become_cells(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_decoder *d = NULL;
    gy_arena_init(&a, GY_MIB);
    assert_int_equal(gy_decoder_new(g_inputs, N_INPUTS, &a, &d, NULL), GY_OK);
    assert_non_null(d);
    assert_int_equal(gy_decoder_pixels(d), 2);
    double row[N_INPUTS] = {1.5,  logged(1, "winter"), 12345, logged(3, "10"), logged(4, "Bonn"),
                            86400};
    const double pixels[2] = {7, 255};
    double cells[N_INPUTS + 1];
    assert_true(row[3] == 10 && row[1] == gy_cell_hash(GY_STR("winter")));
    gy_decoder_row(d, row, pixels, cells);
    const double want[N_INPUTS + 1] = {1.5, 2, 7, 255, 1, gy_cell_hash(GY_STR("Bonn")), 86400};
    assert_memory_equal(cells, want, sizeof cells);
    assert_int_equal(gy_decoder_find(d, 1, row[1]), 2);
    assert_false(gy_decoder_unseen(d, 1, row[1]) || gy_decoder_unseen(d, 0, 9) ||
                 gy_decoder_unseen(d, 4, 9) || gy_decoder_unseen(d, 1, NAN));
    row[1] = logged(1, "monsoon");
    row[3] = 3;
    gy_decoder_row(d, row, NULL, cells);
    assert_true(cells[1] == GY_CELL_UNSEEN && isnan(cells[2]) && isnan(cells[3]));
    assert_true(cells[4] == GY_CELL_UNSEEN && gy_decoder_unseen(d, 1, row[1]) &&
                gy_decoder_unseen(d, 3, 3));
    /* numbers, times and hashes are their own cells */
    struct gy_decoder *none = d;
    assert_int_equal(gy_decoder_new(&g_inputs[4], 2, &a, &none, NULL), GY_OK);
    assert_null(none);
}

static void a_decoder_survives_failing_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
        struct gy_decoder *d = NULL;
        gy_arena_init(&a, GY_MIB);
        gy_mem_fail_at(nth, 0);
        gy_status st = gy_decoder_new(g_inputs, N_INPUTS, &a, &d, NULL);
        gy_mem_fail_at(0, 0);
        if (st == GY_OK) {
            assert_true(nth > 1);
            break;
        }
        assert_int_equal(st, GY_E_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_of_texts),
        cmocka_unit_test(cells_of_times),
        cmocka_unit_test(logged_values_become_cells),
        cmocka_unit_test(a_decoder_survives_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

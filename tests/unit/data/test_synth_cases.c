/* SPDX-License-Identifier: Apache-2.0 */
/* The made-up cases: what they promise about their rows. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/image.h"
#include "data/synth_cases.h"

static char g_dir[GY_MAX_PATH];
static struct gy_err g_err;

static int make_dir(void **state)
{
    (void)state;
    (void)snprintf(g_dir, sizeof g_dir, "%s/gy-cases-XXXXXX",
                   getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(g_dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    return gy_dir_remove(g_dir, NULL) == GY_OK ? 0 : -1;
}

static const char *in_dir(char out[GY_MAX_PATH], const char *name)
{
    assert_int_equal(gy_path_join(out, GY_MAX_PATH, g_dir, name, NULL), GY_OK);
    return out;
}

static void read_file(const char *name, struct gy_buf *out)
{
    char path[GY_MAX_PATH];
    gy_buf_init(out, 64 * GY_MIB);
    assert_int_equal(gy_file_read(in_dir(path, name), out, &g_err), GY_OK);
}

static size_t count(struct gy_str text, const char *what)
{
    size_t n = 0, at = 0;
    while ((at = gy_str_find_str(text, gy_str_c(what))) != SIZE_MAX) {
        n++;
        text = gy_str_n(text.p + at + strlen(what), text.n - at - strlen(what));
    }
    return n;
}

static void one_payment_in_580_is_a_fraud(void **state)
{
    (void)state;
    char path[GY_MAX_PATH];
    struct gy_synth_result r;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf a;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    assert_int_equal(gy_synth_transactions(5800, 4, in_dir(path, "a.csv"), &r, &g_err), GY_OK);
    assert_int_equal(gy_synth_transactions(5800, 4, in_dir(path, "b.csv"), &r, &g_err), GY_OK);
    read_file("a.csv", &a);
    read_file("b.csv", &b);
    assert_true(gy_str_eq(gy_buf_str(&a), gy_buf_str(&b)));
    assert_int_equal(r.positives, 10);
    assert_int_equal(count(gy_buf_str(&a), ",1\n"), 10);
    assert_int_equal(count(gy_buf_str(&a), ",0\n"), 5790);
    assert_int_equal(gy_synth_transactions(5, 4, path, &r, &g_err), GY_E_INVALID);
}

static void accidents_stand_beside_policies(void **state)
{
    (void)state;
    char path[GY_MAX_PATH];
    struct gy_synth_result r;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf p;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf a;
    assert_int_equal(gy_synth_claims(4000, 4, in_dir(path, "claims"), &r, &g_err), GY_OK);
    read_file("claims/policies.csv", &p);
    read_file("claims/accidents.csv", &a);
    assert_int_equal(count(gy_buf_str(&p), "\n"), 4001);
    assert_true(r.positives > 200 && r.positives < 900);
    assert_true(count(gy_buf_str(&a), "\n") > 60 * 48);
    assert_true(gy_str_find_str(gy_buf_str(&a), GY_STR("A59,")) != SIZE_MAX);
    assert_int_equal(gy_synth_claims(1, 4, path, &r, &g_err), GY_E_INVALID);
}

static void compounds_are_pictures_that_decode(void **state)
{
    (void)state;
    char path[GY_MAX_PATH];
    struct gy_synth_result r;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf png;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    assert_int_equal(gy_synth_compounds(6, 2, 4, in_dir(path, "compounds"), &r, &g_err), GY_OK);
    assert_true(r.rows == 6 * GY_SYNTH_VIEWS && r.bad == 2);
    read_file("compounds/compounds.json", &json);
    assert_memory_equal(json.p, "\xef\xbb\xbf", 3);
    assert_int_equal(gy_json_parse(gy_str_n(json.p + 3, json.n - 3), &doc, &g_err), GY_OK);
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_int_equal(yyjson_arr_size(root), 6 * GY_SYNTH_VIEWS + 2);
    read_file("compounds/images/100000.png", &png);
    struct gy_image image;
    assert_int_equal(gy_image_decode(gy_buf_str(&png), 1, &image, &g_err), GY_OK);
    size_t dark = 0;
    for (size_t i = 0; i < 300 * 300; i++) {
        dark += image.pixels[i] < 128;
    }
    assert_true(image.width == 300 && image.height == 300 && dark > 300 && dark < 20000);
    gy_image_done(&image);
    /* the views of a molecule have the same rings */
    for (size_t i = 0; i < 6 * GY_SYNTH_VIEWS; i++) {
        yyjson_val *first = yyjson_arr_get(root, i / GY_SYNTH_VIEWS * GY_SYNTH_VIEWS);
        int64_t rings = gy_json_i64(yyjson_arr_get(root, i), "num_rings", 0);
        assert_true(rings >= 1 && rings <= 5);
        assert_int_equal(rings, gy_json_i64(first, "num_rings", 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_payment_in_580_is_a_fraud),
        cmocka_unit_test(accidents_stand_beside_policies),
        cmocka_unit_test(compounds_are_pictures_that_decode),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

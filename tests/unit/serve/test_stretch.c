/* SPDX-License-Identifier: Apache-2.0 */
/* Which lots belong to which canary: shares are exact, as few lots move as can be, and what is
 * frozen reads back. */
#include "unit.h"

#include <math.h>

#include "base/id.h"
#include "serve/endpoint.h"
#include "serve/stretch.h"

static uint64_t lots_of(const struct gy_stretches *s, int64_t version)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        assert_true(s->at[i].from < s->at[i].to && s->at[i].to <= GY_LOTS);
        assert_true(i == 0 || s->at[i - 1].to <= s->at[i].from);
        n += s->at[i].version == version ? s->at[i].to - s->at[i].from : 0;
    }
    return n;
}

static void test_one(void **state)
{
    (void)state;
    struct gy_stretches s = {.n = 0};
    static const double shares[] = {0.1, 0.5, 0.2, 1, 0};
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        const struct gy_stretch_share one = {7, shares[i]};
        gy_stretches_weigh(&s, &one, 1);
        assert_int_equal(s.n, shares[i] > 0);
        assert_true(lots_of(&s, 7) == gy_share_cut(shares[i]));
        assert_true(s.n == 0 || s.at[0].from == 0);
    }
}

/* Thousands of random changes: shares stay exact, nobody loses a lot while his share grows, and the
 * pieces stay bounded. */
static void test_many(void **state)
{
    (void)state;
    struct gy_rng rng;
    struct gy_stretches s = {.n = 0};
    size_t dealt = 0;
    gy_rng_init(&rng, 3);
    for (int round = 0; round < 5000; round++) {
        struct gy_stretch_share list[GY_CANARIES_MAX];
        size_t n = gy_rng_below(&rng, GY_CANARIES_MAX + 1);
        double left = 1;
        for (size_t i = 0; i < n; i++) {
            list[i] = (struct gy_stretch_share){(int64_t)i + 1, left * gy_rng_f64(&rng) / 2};
            left -= list[i].share;
        }
        struct gy_stretches was = s;
        gy_stretches_weigh(&s, list, n);
        bool moved = false;
        for (size_t i = 0; i < n; i++) {
            assert_true(lots_of(&s, list[i].version) == gy_share_cut(list[i].share));
        }
        for (size_t i = 0; i < was.n; i++) {
            const struct gy_stretch *one = &was.at[i];
            bool grows = (size_t)one->version <= n &&
                         gy_share_cut(list[one->version - 1].share) >= lots_of(&was, one->version);
            moved = moved || (grows && (gy_stretches_version(&s, one->from) != one->version ||
                                        gy_stretches_version(&s, one->to - 1) != one->version));
        }
        dealt += moved; /* only where there were too many pieces */
        assert_true(!moved || was.n > GY_STRETCHES_MAX / 2);
    }
    assert_true(dealt < 500);
}

static void test_frozen(void **state)
{
    (void)state;
    struct gy_stretches s = {.n = 0};
    static const struct gy_stretch_share steps[][2] = {{{3, 0.1}, {4, 0.2}}, {{3, 0.3}, {4, 0.25}}};
    for (int i = 0; i < 2; i++) {
        gy_stretches_weigh(&s, steps[i], 2);
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_arr(&w);
    for (int64_t v = 3; v <= 4; v++) {
        gy_jw_obj(&w);
        gy_stretches_write(&w, &s, v);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_json_parse(gy_buf_str(&out), &doc, &err), err);
    struct gy_stretches back = {.n = 0};
    for (int64_t v = 3; v <= 4; v++) {
        yyjson_val *entry = yyjson_arr_get(yyjson_doc_get_root(doc), (size_t)v - 3);
        assert_status(GY_OK, gy_stretches_read(&back, entry, v, steps[1][v - 3].share, &err), err);
    }
    assert_int_equal(back.n, s.n);
    assert_memory_equal(back.at, s.at, s.n * sizeof s.at[0]);
    /* an old revision says only the share; two that overlap can not be */
    struct gy_stretches old = {.n = 0};
    assert_status(GY_OK, gy_stretches_read(&old, NULL, 2, 0.25, &err), err);
    assert_true(old.n == 1 && old.at[0].from == 0 && old.at[0].to == gy_share_cut(0.25));
    assert_int_equal(gy_stretches_read(&old, NULL, 3, 0.1, NULL), GY_E_CORRUPT);
    static const char *const wrong[] = {"{\"lots\":[[0.5,0.4]]}", "{\"lots\":[[0.5,1.4]]}",
                                        "{\"lots\":[[-1,1]]}", "{\"lots\":[[]]}",
                                        "{\"lots\":[[0.2,0.3]]}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        GY_AUTO(gy_json_free) yyjson_doc *bad = NULL;
        struct gy_stretches has = {.n = 1, .at = {{0, gy_share_cut(0.25), 2}}};
        assert_int_equal(gy_json_parse(gy_str_c(wrong[i]), &bad, NULL), GY_OK);
        assert_int_equal(gy_stretches_read(&has, yyjson_doc_get_root(bad), 3, 0.1, NULL),
                         GY_E_CORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_frozen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

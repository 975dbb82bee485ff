/* SPDX-License-Identifier: Apache-2.0 */
/* Reports: whatever the texts and numbers are, what comes out is whole, escaped and from here. */
#include <math.h>

#include "unit.h"
#include "watch/html.h"
#include "watch/svg.h"

static const char nasty[] = "<script>alert('x')</script> & \"q\"";

/* Every element that is opened is closed, in order. */
static void assert_balanced(struct gy_str s)
{
    static const char *const empty[] = {"!doctype", "meta", "path", "line", "rect", "circle"};
    struct gy_str open[64];
    size_t depth = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '<') {
            continue;
        }
        bool end = s.p[i + 1] == '/';
        struct gy_str name = gy_str_n(s.p + i + 1 + end, 0);
        while (name.p[name.n] != '>' && name.p[name.n] != ' ' && name.p[name.n] != '/') {
            name.n++;
        }
        bool alone = false;
        for (size_t k = 0; k < sizeof empty / sizeof empty[0]; k++) {
            alone = alone || gy_str_eqc(name, empty[k]);
        }
        if (alone) {
            continue;
        }
        if (end) {
            assert_true(depth > 0);
            assert_true(gy_str_eq(open[--depth], name));
        } else {
            assert_true(depth < 64);
            open[depth++] = name;
        }
    }
    assert_int_equal(depth, 0);
}

static void charts(struct gy_buf *b)
{
    const double some[4] = {0.1, NAN, 0.6, 0.3};
    const double none[4] = {0};
    const struct gy_svg_histogram h = {gy_str_c(nasty), -1, 3, some, none, 4};
    const struct gy_svg_histogram alone = {GY_STR("x"), 0, 1, NULL, some, 4};
    const struct gy_svg_bar bars[] = {{gy_str_c(nasty), gy_str_c(nasty), 0.5, NAN},
                                      {GY_STR("ééééééééééééé"), GY_STR_NULL, NAN, 0.7}};
    const struct gy_svg_bars list = {gy_str_c(nasty), bars, 2};
    const struct gy_str names[] = {gy_str_c(nasty), GY_STR("b")};
    const struct gy_svg_heatmap heat = {gy_str_c(nasty), names, 2, some};
    const struct gy_svg_heatmap no_heat = {GY_STR("r"), names, 0, some};
    gy_svg_histogram(b, &alone);
    gy_svg_bars(b, &list);
    gy_svg_heatmap(b, &heat);
    gy_svg_heatmap(b, &no_heat);
    const struct gy_svg_histogram nothing = {GY_STR("x"), NAN, NAN, none, none, 4};
    const struct gy_svg_interval items[] = {
        {GY_STR("rule"), GY_STR_NULL, 0.5, 0.4, 0.6, 0},
        {gy_str_c(nasty), GY_STR_NULL, NAN, NAN, NAN, 1},
        {GY_STR("model"), GY_STR("note"), 2.0, NAN, INFINITY, 99},
    };
    const struct gy_svg_intervals c = {GY_STR("recall"), items, 3, 0, 1, 0.75};
    const struct gy_svg_point points[] = {
        {0.1, 1, gy_str_c(nasty)}, {NAN, 0, GY_STR("gap")}, {0.9, 3, GY_STR("window 3")}};
    const struct gy_svg_series s = {GY_STR("share"), points,     3, 0, 1, NAN,
                                    GY_STR("a"),     GY_STR("b")};
    const struct gy_svg_series one = {GY_STR("share"), points,     1, 0, 0, 0.5,
                                      GY_STR("a"),     GY_STR("b")};
    gy_svg_histogram(b, &h);
    gy_svg_histogram(b, &nothing);
    gy_svg_intervals(b, &c);
    gy_svg_series(b, &s);
    gy_svg_series(b, &one);
}

static void page(struct gy_buf *b)
{
    static const char *const head[] = {"alert", nasty};
    static const bool right[] = {false, true};
    const enum gy_tone tones[] = {GY_TONE_BAD, GY_TONE_PLAIN};
    const struct gy_str cells[] = {gy_str_c(nasty), GY_STR("1"), GY_STR_NULL, GY_STR_NULL};
    const struct gy_html_table t = {head, 2, 2, cells, right, tones};
    const struct gy_html_tile tiles[] = {
        {GY_STR("recall"), GY_STR("0.81"), gy_str_c(nasty), GY_TONE_GOOD},
        {GY_STR("drift"), GY_STR("none"), GY_STR_NULL, GY_TONE_WARN}};
    gy_html_begin(b, gy_str_c(nasty), gy_str_c(nasty));
    gy_html_tiles(b, tiles, 2);
    gy_html_section(b, nasty, gy_str_c(nasty));
    gy_html_p(b, gy_str_c(nasty));
    gy_html_note(b, GY_TONE_BAD, gy_str_c(nasty));
    gy_html_table(b, &t);
    gy_html_cards(b, true);
    gy_html_card(b, gy_str_c(nasty), GY_TONE_BAD, gy_str_c(nasty), gy_str_c(nasty));
    charts(b);
    gy_html_card_end(b);
    gy_html_cards_end(b);
    gy_html_section_end(b);
    gy_html_end(b, gy_str_c(nasty));
}

static void test_whole_page(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    page(&b);
    assert_int_equal(b.failed, GY_OK);
    struct gy_str s = gy_buf_str(&b);
    assert_balanced(s);
    static const char *const must_not[] = {"<script", "http://", "https://", "url(", "@import",
                                           "src=",    "nan",     "inf\"",    "inf "};
    for (size_t i = 0; i < sizeof must_not / sizeof must_not[0]; i++) {
        if (gy_str_find_str(s, gy_str_c(must_not[i])) != SIZE_MAX) {
            fail_msg("the page holds %s", must_not[i]);
        }
    }
    assert_true(gy_str_find_str(s, GY_STR("&lt;script&gt;alert(&#39;x&#39;)")) != SIZE_MAX);
    assert_true(gy_str_find_str(s, GY_STR("can not be told")) != SIZE_MAX);
    assert_true(gy_str_find_str(s, GY_STR("no values")) != SIZE_MAX);
}

static void test_text(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_KIB);
    gy_html_text(&b, GY_STR("a<b"));
    gy_html_text(&b, GY_STR_NULL);
    gy_html_textf(&b, "%s %d", "&", 7);
    assert_str(gy_buf_str(&b), "a&lt;b&amp; 7");
}

static gy_status tortured(void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    page(&b);
    return gy_buf_check(&b, "the report", err);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    torture(tortured, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_page),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

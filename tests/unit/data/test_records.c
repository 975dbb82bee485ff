/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/id.h"
#include "base/mem.h"
#include "csv_oracle.h"

/* Items as text, one a line: kind, fault, offset+size, raw. */
static void list(struct gy_str bytes, const struct gy_csv_options *o, struct gy_buf *out)
{
    struct slow_reader in = slow_reader(bytes, 0);
    GY_AUTO(gy_csv_free) struct gy_csv *c = NULL;
    assert_int_equal(gy_csv_open(&in.reader, o, &c, NULL), GY_OK);
    gy_buf_reset(out);
    for (;;) {
        struct gy_csv_item it;
        bool more = false;
        assert_int_equal(gy_csv_next(c, &it, &more, NULL), GY_OK);
        if (!more) {
            break;
        }
        gy_buf_addf(out, "%c%c %lld+%lld[%.*s]", "HRB"[it.kind], "-QT"[it.fault],
                    (long long)it.offset, (long long)it.size_bytes, (int)it.raw.n,
                    it.raw.p ? it.raw.p : "");
    }
}

static void check_list(const char *bytes, const char *want)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    struct gy_csv_options o = {.record_max = 40};
    list(gy_str_c(bytes), &o, &out);
    assert_string_equal(out.p, want);
}

static void test_lines(void **state)
{
    (void)state;
    check_list("", "");
    check_list("a,b\n1,2\n3,4", "H- 0+4[a,b]R- 4+4[1,2]R- 8+3[3,4]");
    check_list("a,b\r\n\r\n1,2\r\n\n", "H- 0+5[a,b]B- 5+2[]R- 7+5[1,2]B- 12+1[]");
    check_list("\xef\xbb\xbf"
               "a\nx\n",
               "H- 0+5[a]R- 5+2[x]");
    /* A CR without LF is data, also at the very end. */
    check_list("a\nb\rc\nd\r", "H- 0+2[a]R- 2+4[b\rc]R- 6+2[d\r]");
}

static void test_quotes(void **state)
{
    (void)state;
    check_list("a,b\n\"x\ny\",1\n\"p\"\"q\",2\n",
               "H- 0+4[a,b]R- 4+8[\"x\ny\",1]R- 12+9[\"p\"\"q\",2]");
    check_list("a\n\"x\"\r\n\"\"", "H- 0+2[a]R- 2+5[\"x\"]R- 7+2[\"\"]");
    check_list("a\nb\"c\n", "H- 0+2[a]R- 2+4[b\"c]"); /* in an unquoted field: a plain byte */
}

static void test_quote_rule(void **state)
{
    (void)state;
    /* Never closed; closed by the next record's quote and followed by text; followed by CR alone.
     */
    check_list("a,b\n\"x,1\ny,2\n", "H- 0+4[a,b]RQ 4+5[\"x,1]R- 9+4[y,2]");
    check_list("a,b\n\"x,1\n\"y\",2\n", "H- 0+4[a,b]RQ 4+5[\"x,1]R- 9+6[\"y\",2]");
    check_list("a\n\"x\"\ry\nz\n", "H- 0+2[a]RQ 2+6[\"x\"\ry]R- 8+2[z]");
    check_list("a\n\"x\"y\"\nz", "H- 0+2[a]RQ 2+6[\"x\"y\"]R- 8+1[z]");
    check_list("a\n\"", "H- 0+2[a]RQ 2+1[\"]");
    /* Longer than record_max (40): the record is its first line. */
    check_list("a\n\"1\n2345678901234567890123456789012345678\",x\nz\n",
               "H- 0+2[a]RQ 2+3[\"1]R- 5+41[2345678901234567890123456789012345678\",x]R- 46+2[z]");
    /* One line, too long: no raw; QUOTE when inside quotes. */
    check_list("a\n1234567890123456789012345678901234567890\nb\n",
               "H- 0+2[a]R- 2+41[1234567890123456789012345678901234567890]R- 43+2[b]");
    check_list("a\n12345678901234567890123456789012345678901\nb\n", "H- 0+2[a]RT 2+42[]R- 44+2[b]");
    check_list("a\n\"2345678901234567890123456789012345678901\nb\n",
               "H- 0+2[a]RQ 2+42[]R- 44+2[b]");
}

static void test_delimiters(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        char want;
    } cases[] = {{"a;b;c,d\n", ';'}, {"\n\na\tb\n1,2,3", '\t'},
                 {"a|b\n", '|'},     {"\"x;y;z\",b\n", ','},
                 {"one\n", ','},     {"", ','}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slow_reader in = slow_reader(gy_str_c(cases[i].text), 1);
        GY_AUTO(gy_csv_free) struct gy_csv *c = NULL;
        assert_int_equal(gy_csv_open(&in.reader, NULL, &c, NULL), GY_OK);
        struct gy_csv_item it;
        bool more = false;
        assert_int_equal(gy_csv_next(c, &it, &more, NULL), GY_OK);
        assert_int_equal(gy_csv_delimiter(c), cases[i].want);
    }
    struct slow_reader in = slow_reader(GY_STR("a"), 0);
    struct gy_csv *c = NULL;
    struct gy_err err = GY_ERR_INIT;
    struct gy_csv_options o = {.delimiter = 'x'};
    assert_int_equal(gy_csv_open(&in.reader, &o, &c, &err), GY_E_INVALID);
    assert_null(c);
}

static void check_split(const char *raw, const char *want)
{
    struct gy_csv_field f[8];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out, scratch;
    gy_buf_init(&out, GY_MIB);
    gy_buf_init(&scratch, GY_MIB);
    struct gy_str s = gy_str_c(raw);
    size_t n = gy_csv_split(s, strchr(raw, '"') != NULL, ',', f, 8);
    gy_buf_addf(&out, "%zu", n);
    for (size_t i = 0; i < n && i < 8; i++) {
        struct gy_str t = gy_csv_text(&f[i], &scratch);
        gy_buf_addf(&out, "%c%.*s", f[i].quoted ? '\'' : ' ', (int)t.n, t.p);
    }
    assert_string_equal(out.p, want);
}

static void test_split(void **state)
{
    (void)state;
    check_split("", "1 ");
    check_split("a,b", "2 a b");
    check_split(",,", "3   ");
    check_split("abcdefgh,i,jklmnopqrstuvw,", "4 abcdefgh i jklmnopqrstuvw ");
    check_split("\"a,b\",c", "2'a,b c");
    check_split("\"a\"\"b\",\"\",x\"y,", "4'a\"b' x\"y ");
    check_split("\"\"\"\"", "1'\"");
    check_split("1,2,3,4,5,6,7,8,9,10", "10 1 2 3 4 5 6 7 8");
    /* Both splitters agree on every delimiter place in the first words. */
    for (int mask = 0; mask < 1 << 12; mask++) {
        char raw[13] = {0};
        for (int i = 0; i < 12; i++) {
            raw[i] = (mask >> i) & 1 ? ',' : (char)('+' + (i % 5) * 31);
            raw[i] = raw[i] == ',' || raw[i] != '"' ? raw[i] : 'q';
        }
        struct gy_csv_field plain[13], quoted[13];
        size_t n = gy_csv_split(gy_str_n(raw, 12), false, ',', plain, 13);
        assert_int_equal(n, gy_csv_split(gy_str_n(raw, 12), true, ',', quoted, 13));
        for (size_t i = 0; i < n; i++) {
            assert_ptr_equal(plain[i].p, quoted[i].p);
            assert_int_equal(plain[i].n, quoted[i].n);
        }
    }
}

static void test_add_field(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"", ""},
                                           {"plain", "plain"},
                                           {"a,b", "\"a,b\""},
                                           {"a\"b", "\"a\"\"b\""},
                                           {"a\nb", "\"a\nb\""},
                                           {"a\rb", "\"a\rb\""},
                                           {" a;b|c\t", " a;b|c\t"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        gy_buf_init(&out, GY_KIB);
        gy_csv_add_field(&out, gy_str_c(cases[i][0]));
        assert_string_equal(out.p, cases[i][1]);
    }
}

/* Texts from a small alphabet reach every state of the scanner often. */
static void test_garbage_equals_oracle(void **state)
{
    (void)state;
    static const char alphabet[] = "\"\"\"\n\n\r,,;xy\xef\xbb\xbf";
    static const size_t chunks[] = {1, 2, 3, 7, 64, 100000};
    struct gy_rng rng;
    gy_rng_init(&rng, 20261121);
    for (int round = 0; round < 6000; round++) {
        char text[220];
        size_t n = gy_rng_below(&rng, sizeof text);
        size_t letters = 3 + gy_rng_below(&rng, sizeof alphabet - 3);
        for (size_t i = 0; i < n; i++) {
            text[i] = alphabet[gy_rng_below(&rng, letters)];
        }
        if (n > 3 && round % 5 == 0) {
            memcpy(text, "\xef\xbb\xbf", 3);
        }
        size_t max = 1 + gy_rng_below(&rng, round % 2 ? 30 : 300);
        size_t chunk = chunks[gy_rng_below(&rng, 6)];
        const char *differs = csv_differs(gy_str_n(text, n), gy_rng_below(&rng, 5), chunk, max);
        if (differs) {
            fail_msg("round %d (max %zu, chunk %zu): %s", round, max, chunk, differs);
        }
        const size_t run = 1 + gy_rng_below(&rng, 200);
        differs = csv_more_differs(gy_str_n(text, n), gy_rng_below(&rng, 5), chunk, max, run);
        if (differs) {
            fail_msg("round %d (max %zu, chunk %zu, run %zu): %s", round, max, chunk, run, differs);
        }
    }
}

/* Each of these opens a quote on every line that no line closes well: scanning each record to the
 * record limit would cost a million bytes a line. It ends within the test's time only because what
 * failed once is not scanned again. */
static void test_hostile_files_are_linear(void **state)
{
    (void)state;
    static const char *const lines[] = {"x\",\"\n",    "\"\n\",\"\n", "a\"\n",       "\"a\"\"\n",
                                        "\"\",a,\"\n", "\",\"\"\n",   ",\"\"\",\"\n"};
    for (size_t k = 0; k < sizeof lines / sizeof lines[0]; k++) {
        const size_t n = 4 * GY_MIB, len = strlen(lines[k]);
        GY_AUTO(gy_free) char *text = gy_malloc(n);
        assert_non_null(text);
        for (size_t i = 0; i < n; i++) {
            text[i] = lines[k][i % len];
        }
        text[0] = '"'; /* out of step with the rest */
        struct slow_reader in = slow_reader(gy_str_n(text, n), 0);
        GY_AUTO(gy_csv_free) struct gy_csv *c = NULL;
        assert_int_equal(gy_csv_open(&in.reader, NULL, &c, NULL), GY_OK);
        int64_t sum = 0;
        for (bool more = true; more;) {
            struct gy_csv_item it = {0};
            assert_int_equal(gy_csv_next(c, &it, &more, NULL), GY_OK);
            sum += more ? it.size_bytes : 0;
        }
        assert_int_equal(sum, n);
    }
}

static gy_status broken_read(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                             struct gy_err *err)
{
    (void)self;
    (void)buf;
    (void)n;
    (void)ret_n;
    return gy_err_set(err, GY_E_IO, "the disk is gone");
}

static void test_failures_travel(void **state)
{
    (void)state;
    struct gy_reader in = {broken_read, -1};
    GY_AUTO(gy_csv_free) struct gy_csv *c = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_csv_open(&in, NULL, &c, &err), GY_OK);
    struct gy_csv_item it;
    bool more = false;
    assert_int_equal(gy_csv_next(c, &it, &more, &err), GY_E_IO);
    assert_string_equal(err.msg, "the disk is gone");
    int64_t live = gy_mem_live();
    for (uint64_t nth = 1; nth <= 2; nth++) {
        struct gy_csv *none = NULL;
        gy_mem_fail_at(nth, 1);
        assert_int_equal(gy_csv_open(&in, NULL, &none, &err), GY_E_NOMEM);
        gy_mem_fail_at(0, 0);
        assert_null(none);
    }
    assert_int_equal(gy_mem_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_quote_rule),
        cmocka_unit_test(test_delimiters),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_add_field),
        cmocka_unit_test(test_garbage_equals_oracle),
        cmocka_unit_test(test_hostile_files_are_linear),
        cmocka_unit_test(test_failures_travel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

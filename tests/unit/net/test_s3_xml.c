/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "net/s3_xml.h"

/* "path=text|..." of what was called. */
static gy_status note(void *ctx, struct gy_str path, struct gy_str text, struct gy_err *err)
{
    struct gy_buf *b = ctx;
    gy_buf_add(b, path);
    gy_buf_add_char(b, '=');
    gy_buf_add(b, text);
    gy_buf_add_char(b, '|');
    return gy_buf_check(b, "the notes", err);
}

static void expect(const char *xml, const char *want)
{
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf got;
    gy_buf_init(&got, GY_MIB);
    if (gy_s3_xml_each(gy_str_c(xml), note, &got, &err) != GY_OK) {
        fail_msg("%s: %s", xml, err.msg);
    }
    assert_string_equal(got.p, want);
}

static void elements_and_text(void **state)
{
    (void)state;
    expect("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SlowDown</Code>"
           "<Message>Please &lt;reduce&gt; your request rate.</Message></Error>\n",
           "Error/Code=SlowDown|Error/Message=Please <reduce> your request rate.|Error=|");
    expect(
        "<R xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\" a='>'><A><K>1</K><K> 2 </K></A><B/>"
        "<C x = 'y' /></R >",
        "R/A/K=1|R/A/K= 2 |R/A=|R/B=|R/C=|R=|");
    expect("\xef\xbb\xbf<!-- <no> --><R><K>a<!-- - -- -->b</K></R><!---->", "R/K=ab|R=|");
    expect("<R>&amp;&lt;&gt;&quot;&apos;&#65;&#x42;&#xe9;&#x20ac;&#x1F600;&#10;</R>",
           "R=&<>\"'AB\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\n|");
    expect("<a:b-c.1_\xc3\xa9/>", "a:b-c.1_\xc3\xa9=|");
}

static void what_is_not_xml_is_refused(void **state)
{
    (void)state;
    const char *bad[] = {"",
                         " ",
                         "text",
                         "<",
                         "<R",
                         "<R>",
                         "<R></S>",
                         "</R>",
                         "<R/><R/>",
                         "<R/>x",
                         "x<R/>",
                         "<R><A></R></A>",
                         "<R a></R>",
                         "<R a=b></R>",
                         "<R a=\"b></R>",
                         "<R a=\"b\"",
                         "<1/>",
                         "<R/ >",
                         "<R>&x;</R>",
                         "<R>&</R>",
                         "<R>&amp</R>",
                         "<R>&#0;</R>",
                         "<R>&#xD800;</R>",
                         "<R>&#1114112;</R>",
                         "<R>&#;</R>",
                         "<R>&#x;</R>",
                         "<R>&#xfffffffff;</R>",
                         "<R>&#-1;</R>",
                         "<R>&#4294967361;</R>",
                         "<!DOCTYPE r [<!ENTITY x \"y\">]><R>&x;</R>",
                         "<R><![CDATA[x]]></R>",
                         "<!-->",
                         "<?xml",
                         "<R>\xff</R>",
                         "< R/>",
                         "<R></R",
                         "<R></ R>"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf got;
        gy_buf_init(&got, GY_MIB);
        struct gy_err err = GY_ERR_INIT;
        gy_status status = gy_s3_xml_each(gy_str_c(bad[i]), note, &got, &err);
        if (status != GY_E_PARSE || !err.msg[0]) {
            fail_msg("'%s': %d", bad[i], (int)status);
        }
    }
}

static void limits_are_errors(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf xml;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf got;
    gy_buf_init(&got, GY_MIB);
    gy_buf_init(&xml, GY_MIB);
    for (int depth = GY_S3_XML_DEPTH; depth <= GY_S3_XML_DEPTH + 1; depth++) {
        gy_buf_reset(&xml);
        for (int i = 0; i < depth; i++) {
            gy_buf_addc(&xml, "<a>");
        }
        for (int i = 0; i < depth; i++) {
            gy_buf_addc(&xml, "</a>");
        }
        assert_int_equal(gy_s3_xml_each(gy_buf_str(&xml), note, &got, NULL),
                         depth == GY_S3_XML_DEPTH ? GY_OK : GY_E_TOOBIG);
    }
    for (size_t n = GY_S3_XML_TEXT; n <= GY_S3_XML_TEXT + 1; n++) {
        gy_buf_reset(&xml);
        gy_buf_addc(&xml, "<a>");
        memset(gy_buf_reserve(&xml, n), 'x', n);
        gy_buf_commit(&xml, n);
        gy_buf_addc(&xml, "</a>");
        gy_buf_reset(&got);
        assert_int_equal(gy_s3_xml_each(gy_buf_str(&xml), note, &got, NULL),
                         n == GY_S3_XML_TEXT ? GY_OK : GY_E_TOOBIG);
    }
    gy_buf_reset(&xml);
    gy_buf_add_char(&xml, '<');
    memset(gy_buf_reserve(&xml, GY_S3_XML_PATH + 1), 'x', GY_S3_XML_PATH + 1);
    gy_buf_commit(&xml, GY_S3_XML_PATH + 1);
    gy_buf_addc(&xml, "/>");
    assert_int_equal(gy_s3_xml_each(gy_buf_str(&xml), note, &got, NULL), GY_E_TOOBIG);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf tiny;
    gy_buf_init(&tiny, 1);
    assert_int_equal(gy_s3_xml_each(GY_STR("<a>b</a>"), note, &tiny, NULL), GY_E_TOOBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_and_text),
        cmocka_unit_test(what_is_not_xml_is_refused),
        cmocka_unit_test(limits_are_errors),
    };
    return cmocka_run_group_tests_name("s3_xml", tests, NULL, NULL);
}

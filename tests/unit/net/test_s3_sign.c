/* SPDX-License-Identifier: Apache-2.0 */
/* The signer against what AWS publishes: the examples of "Authenticating Requests (AWS Signature
 * Version 4)" in the S3 API reference, and cases of aws-sig-v4-test-suite. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "base/time.h"
#include "net/s3_sign.h"

#define EMPTY_SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HOST                                                       \
    {                                                              \
        GY_STR_("Host"), GY_STR_("examplebucket.s3.amazonaws.com") \
    }
#define GY_STR_(literal)               \
    {                                  \
        (literal), sizeof(literal) - 1 \
    }

static const struct gy_s3_keys example = {.access = "AKIAIOSFODNN7EXAMPLE",
                                          .secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};
static const struct gy_s3_keys suite = {.access = "AKIDEXAMPLE",
                                        .secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};

static int64_t at(const char *iso)
{
    int64_t us = 0;
    assert_int_equal(gy_time_parse_iso(gy_str_c(iso), &us, NULL), GY_OK);
    return us;
}

static struct gy_s3_signing s3_signing(void)
{
    return (struct gy_s3_signing){&example, "us-east-1", "s3", at("2013-05-24T00:00:00Z")};
}

struct vector {
    const char *name, *method, *path, *query;
    struct gy_header headers[8];
    const char *payload, *signed_headers, *signature;
};

static void expect_vector(const struct gy_s3_signing *s, const struct vector *v)
{
    struct gy_request req = {.method = gy_str_c(v->method),
                             .path = gy_str_c(v->path),
                             .query = gy_str_c(v->query),
                             .headers = v->headers};
    while (req.n_headers < 8 && v->headers[req.n_headers].name.p) {
        req.n_headers++;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf got;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf want;
    gy_buf_init(&got, 4096);
    gy_buf_init(&want, 4096);
    assert_int_equal(gy_s3_authorize(s, &req, v->payload, &got, NULL), GY_OK);
    char day[17];
    gy_s3_time(s->time_us, day);
    gy_buf_addf(&want,
                "AWS4-HMAC-SHA256 Credential=%s/%.8s/us-east-1/%s/aws4_request,SignedHeaders=%s,"
                "Signature=%s",
                s->keys->access, day, s->service, v->signed_headers, v->signature);
    if (strcmp(got.p, want.p) != 0) {
        fail_msg("%s:\n got %s\nwant %s", v->name, got.p, want.p);
    }
}

/* Also what other clients would choose: headers in any order, of any case, with blanks around. */
static void the_examples_of_the_s3_reference(void **state)
{
    (void)state;
    const struct vector vectors[] = {
        {"GET object with a range",
         "GET",
         "/test.txt",
         NULL,
         {{GY_STR_("x-amz-date"), GY_STR_("20130524T000000Z")},
          {GY_STR_("Range"), GY_STR_("  bytes=0-9 ")},
          HOST,
          {GY_STR_("x-amz-content-sha256"), GY_STR_(EMPTY_SHA)}},
         EMPTY_SHA,
         "host;range;x-amz-content-sha256;x-amz-date",
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
        {"PUT object",
         "PUT",
         "/test%24file.text",
         NULL,
         {{GY_STR_("Date"), GY_STR_("Fri, 24 May 2013 00:00:00 GMT")},
          HOST,
          {GY_STR_("x-amz-date"), GY_STR_("20130524T000000Z")},
          {GY_STR_("x-amz-storage-class"), GY_STR_("REDUCED_REDUNDANCY")},
          {GY_STR_("x-amz-content-sha256"),
           GY_STR_("44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072")}},
         "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
         "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
         "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
        {"GET bucket lifecycle",
         "GET",
         "/",
         "lifecycle",
         {HOST,
          {GY_STR_("x-amz-date"), GY_STR_("20130524T000000Z")},
          {GY_STR_("x-amz-content-sha256"), GY_STR_(EMPTY_SHA)}},
         EMPTY_SHA,
         "host;x-amz-content-sha256;x-amz-date",
         "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
        {"list objects",
         "GET",
         "/",
         "prefix=J&max-keys=2",
         {HOST,
          {GY_STR_("x-amz-date"), GY_STR_("20130524T000000Z")},
          {GY_STR_("x-amz-content-sha256"), GY_STR_(EMPTY_SHA)}},
         EMPTY_SHA,
         "host;x-amz-content-sha256;x-amz-date",
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    };
    struct gy_s3_signing s = s3_signing();
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        expect_vector(&s, &vectors[i]);
    }
}

static void the_presigned_example_of_the_s3_reference(void **state)
{
    (void)state;
    const struct gy_header host[] = {HOST};
    struct gy_s3_signing s = s3_signing();
    struct gy_request req = {
        .method = GY_STR("GET"), .path = GY_STR("/test.txt"), .headers = host, .n_headers = 1};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf got;
    gy_buf_init(&got, 4096);
    assert_int_equal(gy_s3_presign(&s, &req, 86400, &got, NULL), GY_OK);
    assert_string_equal(got.p,
                        "X-Amz-Algorithm=AWS4-HMAC-SHA256"
                        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2F"
                        "aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400"
                        "&X-Amz-SignedHeaders=host&X-Amz-Signature="
                        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    assert_int_equal(gy_s3_presign(&s, &req, 0, &got, NULL), GY_E_INVALID);
    assert_int_equal(gy_s3_presign(&s, &req, 604801, &got, NULL), GY_E_INVALID);
}

#define SUITE_HOST                                        \
    {                                                     \
        GY_STR_("Host"), GY_STR_("example.amazonaws.com") \
    }
#define SUITE_DATE                                         \
    {                                                      \
        GY_STR_("X-Amz-Date"), GY_STR_("20150830T123600Z") \
    }

static void cases_of_the_test_suite(void **state)
{
    (void)state;
    const struct vector vectors[] = {
        {"get-vanilla",
         "GET",
         "/",
         NULL,
         {SUITE_HOST, SUITE_DATE},
         EMPTY_SHA,
         "host;x-amz-date",
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"post-vanilla",
         "POST",
         "/",
         NULL,
         {SUITE_HOST, SUITE_DATE},
         EMPTY_SHA,
         "host;x-amz-date",
         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
        {"get-vanilla-query-order-key-case",
         "GET",
         "/",
         "Param2=value2&Param1=value1",
         {SUITE_HOST, SUITE_DATE},
         EMPTY_SHA,
         "host;x-amz-date",
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
        {"get-vanilla-query-unreserved",
         "GET",
         "/",
         "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz="
         "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
         {SUITE_HOST, SUITE_DATE},
         EMPTY_SHA,
         "host;x-amz-date",
         "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
        {"get-header-value-trim",
         "GET",
         "/",
         NULL,
         {SUITE_HOST,
          {GY_STR_("My-Header1"), GY_STR_(" value1")},
          {GY_STR_("My-Header2"), GY_STR_(" \"a   b   c\"")},
          SUITE_DATE},
         EMPTY_SHA,
         "host;my-header1;my-header2;x-amz-date",
         "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
        {"get-header-key-duplicate",
         "GET",
         "/",
         NULL,
         {SUITE_HOST,
          {GY_STR_("My-Header1"), GY_STR_("value2")},
          {GY_STR_("My-Header1"), GY_STR_("value2")},
          {GY_STR_("My-Header1"), GY_STR_("value1")},
          SUITE_DATE},
         EMPTY_SHA,
         "host;my-header1;x-amz-date",
         "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
        {"get-utf8",
         "GET",
         "/%E1%88%B4",
         NULL,
         {SUITE_HOST, SUITE_DATE},
         EMPTY_SHA,
         "host;x-amz-date",
         "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    };
    struct gy_s3_signing s = {&suite, "us-east-1", "service", at("2015-08-30T12:36:00Z")};
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        expect_vector(&s, &vectors[i]);
    }
}

/* One and the same request, however its query was written, has one signature; another value has
 * another. */
static void a_query_is_decoded_before_it_is_encoded(void **state)
{
    (void)state;
    const struct gy_header host[] = {HOST};
    const char *same[] = {"prefix=a%20b%2fc%7e&uploadId=x&uploads",
                          "uploads=&prefix=a%20b/c~&uploadId=x",
                          "&uploadId=x&uploads&prefix=%61 b%2Fc~&"};
    struct gy_s3_signing s = s3_signing();
    char first[512] = "";
    for (size_t i = 0; i < 4; i++) {
        struct gy_request req = {.method = GY_STR("GET"),
                                 .path = GY_STR("/"),
                                 .query =
                                     gy_str_c(i < 3 ? same[i] : "uploadId=x&uploads&prefix=a+b/c~"),
                                 .headers = host,
                                 .n_headers = 1};
        GY_AUTO_DONE(gy_buf_done) struct gy_buf got;
        gy_buf_init(&got, 4096);
        assert_int_equal(gy_s3_authorize(&s, &req, GY_S3_UNSIGNED, &got, NULL), GY_OK);
        if (i == 0) {
            memcpy(first, got.p, got.n + 1);
        } else if (i < 3) {
            assert_string_equal(first, got.p);
        } else {
            assert_string_not_equal(first, got.p); /* '+' is a plus */
        }
    }
}

static void limits_are_errors(void **state)
{
    (void)state;
    struct gy_header many[GY_S3_MAX_SIGNED_HEADERS + 1];
    for (size_t i = 0; i < sizeof many / sizeof many[0]; i++) {
        many[i] = (struct gy_header){GY_STR("X-A"), GY_STR("b")};
    }
    struct gy_s3_signing s = s3_signing();
    struct gy_request req = {.method = GY_STR("GET"),
                             .path = GY_STR("/"),
                             .headers = many,
                             .n_headers = GY_S3_MAX_SIGNED_HEADERS};
    char query[3 * GY_S3_MAX_SIGNED_QUERY + 4];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf got;
    gy_buf_init(&got, 4096);
    assert_int_equal(gy_s3_authorize(&s, &req, EMPTY_SHA, &got, NULL), GY_OK);
    req.n_headers++;
    assert_int_equal(gy_s3_authorize(&s, &req, EMPTY_SHA, &got, NULL), GY_E_TOOBIG);
    req.n_headers = 1;
    for (size_t i = 0; i <= GY_S3_MAX_SIGNED_QUERY; i++) {
        memcpy(query + 3 * i, "&a=", 3);
    }
    req.query = gy_str_n(query, 3 * GY_S3_MAX_SIGNED_QUERY);
    assert_int_equal(gy_s3_authorize(&s, &req, EMPTY_SHA, &got, NULL), GY_OK);
    req.query.n += 3;
    assert_int_equal(gy_s3_authorize(&s, &req, EMPTY_SHA, &got, NULL), GY_E_TOOBIG);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf small;
    gy_buf_init(&small, 40);
    req.query.n = 0;
    assert_int_equal(gy_s3_authorize(&s, &req, EMPTY_SHA, &small, NULL), GY_E_TOOBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_s3_reference),
        cmocka_unit_test(the_presigned_example_of_the_s3_reference),
        cmocka_unit_test(cases_of_the_test_suite),
        cmocka_unit_test(a_query_is_decoded_before_it_is_encoded),
        cmocka_unit_test(limits_are_errors),
    };
    return cmocka_run_group_tests_name("s3_sign", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/mem.h"
#include "net/http_parse.h"

/* Feeds a text in pieces of `step` bytes and writes down what came out:
 * "POST /a ?q len=3 [abc] ." per request, "!400" for a refusal. */
struct seen {
    struct gy_buf text;
    bool stop;
    bool in_body;
};

static bool on_head(void *ctx, const struct gy_http_head *h)
{
    struct seen *s = ctx;
    gy_buf_addf(&s->text, "%.*s %.*s", (int)h->method.n, h->method.p, (int)h->path.n, h->path.p);
    if (h->query.p) {
        gy_buf_addf(&s->text, "?%.*s", (int)h->query.n, h->query.p);
    }
    gy_buf_addf(&s->text, "%s%s%s len=%d ", h->keep_alive ? "" : " close",
                h->expects_continue ? " expect" : "", h->chunked ? " chunked" : "",
                (int)h->content_length);
    return !s->stop;
}

static void on_body(void *ctx, const char *p, size_t n)
{
    struct seen *s = ctx;
    gy_buf_add_bytes(&s->text, p, n);
}

static const struct gy_http_hooks hooks = {on_head, on_body};

static void run(struct seen *s, struct gy_str input, size_t step, size_t max_head)
{
    struct gy_http_parser p;
    gy_http_parser_init(&p, max_head, &hooks, s);
    for (size_t at = 0; at < input.n;) {
        size_t n = input.n - at < step ? input.n - at : step, taken;
        enum gy_http_event e = gy_http_feed(&p, input.p + at, n, &taken);
        assert_true(taken <= n);
        if (e == GY_HTTP_MESSAGE) {
            gy_buf_addc(&s->text, ".");
        } else if (e == GY_HTTP_BAD) {
            gy_buf_addf(&s->text, "!%d", p.bad_status);
            assert_non_null(p.bad_text);
            break;
        } else if (e == GY_HTTP_STOPPED) {
            gy_buf_addc(&s->text, "#");
            break;
        }
        at += taken;
    }
    gy_http_parser_done(&p);
}

static void expect(const char *input, const char *wanted)
{
    struct gy_str in = gy_str_c(input);
    for (size_t step = 1; step <= in.n; step = step < 8 ? step + 1 : step * 3) {
        struct seen s = {.stop = false};
        gy_buf_init(&s.text, GY_MIB);
        run(&s, in, step, 32 * GY_KIB);
        assert_string_equal(s.text.p, wanted);
        gy_buf_done(&s.text);
    }
}

#define H "Host: localhost\r\n"

static void test_requests_at_any_cut(void **state)
{
    (void)state;
    expect("GET / HTTP/1.1\r\n" H "\r\n", "GET / len=-1 .");
    expect("GET /a%20b?x=1&y HTTP/1.1\r\n" H "\r\n", "GET /a%20b?x=1&y len=-1 .");
    expect("\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", "GET / len=-1 .");
    expect("POST /a HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc", "POST /a len=3 abc.");
    expect("POST /a HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", "POST /a len=0 .");
    expect("GET / HTTP/1.0\r\n\r\n", "GET / close len=-1 .");
    expect("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET / len=-1 .");
    expect("GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", "GET / close len=-1 .");
    expect("PUT /x HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nz",
           "PUT /x expect len=1 z.");
    expect("GET http://localhost:80/p?q HTTP/1.1\r\n" H "\r\n", "GET /p?q len=-1 .");
    expect("OPTIONS * HTTP/1.1\r\n" H "\r\n", "OPTIONS * len=-1 .");
    expect("GET / HTTP/1.1\r\n" H "Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
           "GET /b HTTP/1.1\r\n" H "\r\n",
           "GET / len=-1 .GET /b len=-1 .");
}

static void test_pipelines_are_cut_where_one_request_ends(void **state)
{
    (void)state;
    expect("POST /1 HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nabGET /2 HTTP/1.1\r\n" H "\r\n"
           "POST /3 HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n"
           "GET /4 HTTP/1.1\r\n" H "\r\n",
           "POST /1 len=2 ab.GET /2 len=-1 .POST /3 chunked len=-1 z.GET /4 len=-1 .");
}

static void test_chunks(void **state)
{
    (void)state;
    expect("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
           "3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: ignored\r\n\r\n",
           "POST / chunked len=-1 abc0123456789.");
    expect("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "POST / chunked "
                                                                               "len=-1 !400");
    expect("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
           "POST / chunked len=-1 abc!400");
    expect("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
           "POST / chunked len=-1 !400");
    expect("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n-1\r\n",
           "POST / chunked len=-1 !400");
    expect("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
           "POST / chunked len=-1 !400");
}

static void test_what_two_programs_could_read_differently(void **state)
{
    (void)state;
    expect("POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
           "!400");
    expect("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
           "!400");
    expect("POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "!400");
    expect("POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "!400");
    expect("POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\nabc", "!400");
    expect("POST / HTTP/1.1\r\n" H "Content-Length: +3\r\n\r\nabc", "!400");
    expect("POST / HTTP/1.1\r\n" H "Content-Length: -3\r\n\r\nabc", "!400");
    expect("POST / HTTP/1.1\r\n" H "Content-Length: 0x3\r\n\r\nabc", "!400");
    expect("POST / HTTP/1.1\r\n" H "Content-Length: 3 4\r\n\r\nabc", "!400");
    expect("POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\n", "!400");
    expect("POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551615\r\n\r\n", "!413");
    expect("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "!501");
    expect("POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "!501");
    expect("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!400");
    expect("GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n", "!400"); /* folded */
    expect("GET / HTTP/1.1\r\n" H "A : b\r\n\r\n", "!400");
    expect("GET / HTTP/1.1\nHost: localhost\n\n", "!400");
    expect("GET / HTTP/1.1\r\nHost: localhost\nA: b\r\n\r\n", "!400");
    expect("GET / HTTP/1.1\r\n" H "Host: other\r\n\r\n", "!400");
    expect("GET / HTTP/1.1\r\n\r\n", "!400"); /* no Host */
    expect("GET / HTTP/1.1\r\n" H "Expect: the-unexpected\r\n\r\n", "!417");
}

static void test_what_is_not_http(void **state)
{
    (void)state;
    expect("GARBAGE / HTTP/1.1\r\n" H "\r\n", "!400");
    expect("GET / HTTP/2.0\r\n" H "\r\n", "!505");
    expect("GET / HTTP/0.9\r\n" H "\r\n", "!505");
    expect("GET / HTTP/1.7\r\n" H "\r\n", "!505");
    expect("GET / SPDY/1.1\r\n" H "\r\n", "!400");
    expect("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "!505");
    expect("CONNECT a:80 HTTP/1.1\r\n" H "\r\n", "!405");
    expect("GET /a#b HTTP/1.1\r\n" H "\r\n", "!400");
    expect("GET a HTTP/1.1\r\n" H "\r\n", "!400");
    expect("GET http://x HTTP/1.1\r\n" H "\r\n", "!400");
    expect("\x16\x03\x01\x02", "!400"); /* a TLS hello */
}

static void test_heads_are_bounded(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf in;
    struct seen s = {.stop = false};
    gy_buf_init(&in, GY_MIB);
    gy_buf_init(&s.text, GY_MIB);
    gy_buf_addc(&in, "GET / HTTP/1.1\r\nHost: localhost\r\nA: ");
    for (int i = 0; i < 40000; i++) {
        gy_buf_add_char(&in, 'a');
    }
    run(&s, gy_buf_str(&in), 1000, 32 * GY_KIB);
    assert_string_equal(s.text.p, "!431");
    gy_buf_reset(&in);
    gy_buf_reset(&s.text);
    gy_buf_addc(&in, "GET /");
    for (int i = 0; i < 40000; i++) {
        gy_buf_add_char(&in, 'a');
    }
    run(&s, gy_buf_str(&in), 100000, 32 * GY_KIB);
    assert_string_equal(s.text.p, "!414");
    for (int n = GY_HTTP_MAX_HEADERS - 1; n <= GY_HTTP_MAX_HEADERS; n++) {
        gy_buf_reset(&in);
        gy_buf_reset(&s.text);
        gy_buf_addc(&in, "GET / HTTP/1.1\r\nHost: localhost\r\n");
        for (int i = 0; i < n; i++) {
            gy_buf_addf(&in, "A%d: %s\r\n", i, i % 2 ? "b" : "");
        }
        gy_buf_addc(&in, "\r\n");
        run(&s, gy_buf_str(&in), 7, 32 * GY_KIB);
        assert_string_equal(s.text.p, n < GY_HTTP_MAX_HEADERS ? "GET / len=-1 ." : "!431");
    }
    gy_buf_done(&s.text);
}

static void test_trailers_and_extensions_are_bounded(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf in;
    struct seen s = {.stop = false};
    gy_buf_init(&in, GY_MIB);
    gy_buf_init(&s.text, GY_MIB);
    gy_buf_addc(&in, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n");
    for (int i = 0; i < 500; i++) {
        gy_buf_addf(&in, "Trailer-%d: something\r\n", i);
    }
    run(&s, gy_buf_str(&in), 100, 4 * GY_KIB);
    assert_string_equal(s.text.p, "POST / chunked len=-1 !431");
    gy_buf_reset(&in);
    gy_buf_reset(&s.text);
    gy_buf_addc(&in, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 500; i++) {
        gy_buf_addc(&in, "1;extension=value\r\nx\r\n");
    }
    run(&s, gy_buf_str(&in), 100, 4 * GY_KIB);
    assert_true(gy_str_ends(gy_buf_str(&s.text), GY_STR("!400")));
    gy_buf_done(&s.text);
}

static void test_the_owner_may_stop_after_the_head(void **state)
{
    (void)state;
    struct seen s = {.stop = true};
    gy_buf_init(&s.text, GY_MIB);
    run(&s, GY_STR("POST /a HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc"), 1000, GY_KIB);
    assert_string_equal(s.text.p, "POST /a len=3 #");
    gy_buf_done(&s.text);
}

static struct gy_str g_id;
static bool note_id(void *ctx, const struct gy_http_head *h)
{
    (void)ctx;
    g_id = h->request_id;
    return true;
}

static void test_only_ids_fit_to_be_echoed_are_taken(void **state)
{
    (void)state;
    static const struct gy_http_hooks id_hooks = {note_id, on_body};
    static const struct {
        const char *value;
        const char *wanted;
    } cases[] = {{"abc-123", "abc-123"}, {"", NULL}, {"a b", NULL}, {"\xc3\xa9", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gy_http_parser p;
        GY_AUTO_DONE(gy_buf_done) struct gy_buf in;
        size_t taken;
        gy_buf_init(&in, GY_KIB);
        gy_http_parser_init(&p, GY_KIB, &id_hooks, NULL);
        gy_buf_addf(&in, "GET / HTTP/1.1\r\n" H "X-Request-ID: %s\r\n\r\n", cases[i].value);
        assert_int_equal(gy_http_feed(&p, in.p, in.n, &taken), GY_HTTP_MESSAGE);
        if (cases[i].wanted) {
            assert_true(gy_str_eqc(g_id, cases[i].wanted));
        } else {
            assert_null(g_id.p);
        }
        gy_http_parser_done(&p);
    }
}

static void test_no_memory_refuses(void **state)
{
    (void)state;
    struct seen s = {.stop = false};
    gy_buf_init(&s.text, GY_KIB);
    gy_buf_addc(&s.text, "");
    (void)gy_buf_reserve(&s.text, 100);
    gy_mem_fail_at(1, 0);
    run(&s, GY_STR("GET / HTTP/1.1\r\n" H "\r\n"), 100, GY_KIB);
    gy_mem_fail_at(0, 0);
    assert_string_equal(s.text.p, "!503");
    gy_buf_done(&s.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_at_any_cut),
        cmocka_unit_test(test_pipelines_are_cut_where_one_request_ends),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_what_two_programs_could_read_differently),
        cmocka_unit_test(test_what_is_not_http),
        cmocka_unit_test(test_heads_are_bounded),
        cmocka_unit_test(test_trailers_and_extensions_are_bounded),
        cmocka_unit_test(test_the_owner_may_stop_after_the_head),
        cmocka_unit_test(test_only_ids_fit_to_be_echoed_are_taken),
        cmocka_unit_test(test_no_memory_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

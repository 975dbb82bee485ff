/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"

#include "net/multipart.h"

struct pieces {
    struct gy_reader reader;
    struct gy_str rest;
    size_t piece;
};

static gy_status read_piece(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                            struct gy_err *err)
{
    struct pieces *p = (struct pieces *)(void *)self;
    (void)err;
    size_t take = p->piece < n ? p->piece : n;
    take = take < p->rest.n ? take : p->rest.n;
    memcpy(buf, p->rest.p, take);
    p->rest = gy_str_sub(p->rest, take, SIZE_MAX);
    *ret_n = take;
    return GY_OK;
}

/* "name|filename|type=body;" of each part. read: its bodies are read, else passed over. */
static gy_status walk(const char *type, struct gy_str body, size_t piece, bool read,
                      struct gy_buf *out)
{
    GY_AUTO(gy_multipart_free) struct gy_multipart *m = NULL;
    struct pieces in = {
        .reader = {.read = read_piece, .size_bytes = -1}, .rest = body, .piece = piece};
    gy_buf_reset(out);
    GY_TRY(gy_multipart_open(&in.reader, gy_str_c(type), &m, NULL));
    for (;;) {
        struct gy_part part;
        bool more = false;
        char buf[7];
        size_t n = 1;
        GY_TRY(gy_multipart_next(m, &part, &more, NULL));
        if (!more) {
            return GY_OK;
        }
        gy_buf_addf(out, "%" GY_STR_F "|%" GY_STR_F "|%" GY_STR_F "=", GY_STR_A(part.name),
                    GY_STR_A(part.filename), GY_STR_A(part.content_type));
        while (read && n > 0) {
            GY_TRY(part.body->read(part.body, buf, sizeof buf, &n, NULL));
            gy_buf_add(out, gy_str_n(buf, n));
        }
        gy_buf_add_char(out, ';');
    }
}

#define TYPE "multipart/form-data; boundary=b-1"

static void test_parts(void **state)
{
    (void)state;
    static const struct {
        const char *body, *want;
    } cases[] = {
        {"--b-1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--b-1--\r\n",
         "a||=one;"},
        {"--b-1\r\nContent-Disposition: form-data; name=a; filename=\"x \\\"y;z\"\r\n"
         "content-type: text/csv\r\n\r\none\r\ntwo\r\n\r\n--b-1\r\n\r\n\r\n--b-1--",
         "a|x \"y;z|text/csv=one\r\ntwo\r\n;||=;"},
        {"before\r\n--b-1 \t\r\n\r\n\r\n--b-\r\n--b-2\r\n--b-1--after", "||=\r\n--b-\r\n--b-2;"},
        {"--b-1--", ""},
    };
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t piece = 1; piece < 40; piece++) {
            assert_int_equal(walk(TYPE, gy_str_c(cases[i].body), piece, true, &out), GY_OK);
            assert_string_equal(out.n ? out.p : "", cases[i].want);
        }
    }
    /* Bytes of any kind, and parts that nobody reads. */
    static const char any[] = "--b-1\r\nno header\r\n\r\n\0\xff\r\n\r\n--b-1\r\n\r\nx\r\n--b-1--";
    assert_int_equal(walk(TYPE, gy_str_n(any, sizeof any - 1), 3, true, &out), GY_OK);
    assert_int_equal(out.n, 13);
    assert_memory_equal(out.p, "||=\0\xff\r\n;||=x;", 13);
    assert_int_equal(walk(TYPE, gy_str_n(any, sizeof any - 1), 3, false, &out), GY_OK);
    assert_string_equal(out.p, "||=;||=;");
}

static void test_large_parts_come_in_pieces(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&body, 2 * GY_MIB);
    gy_buf_init(&out, 2 * GY_MIB);
    gy_buf_addc(&body, "--b-1\r\n\r\n");
    for (int i = 0; i < 300000; i++) {
        gy_buf_addc(&body, i % 7 ? "\r" : "\r\n--b");
    }
    const size_t n = body.n - 9;
    gy_buf_addc(&body, "\r\n--b-1--");
    assert_int_equal(walk(TYPE, gy_buf_str(&body), 10007, true, &out), GY_OK);
    assert_int_equal(out.n, n + 4);
    assert_memory_equal(out.p + 3, body.p + 9, n);
}

static void test_bodies_that_are_none(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf large;
    gy_buf_init(&out, GY_MIB);
    gy_buf_init(&large, GY_MIB);
    static const char *const cut[] = {"",
                                      "--b-1",
                                      "--b-1\r\n",
                                      "--b-1\r\n\r\nx\r\n--b-",
                                      "--b-1\r\n\r\nx",
                                      "--b-1x\r\n",
                                      "no boundary at all"};
    for (size_t i = 0; i < sizeof cut / sizeof cut[0]; i++) {
        assert_int_equal(walk(TYPE, gy_str_c(cut[i]), 5, true, &out), GY_E_PARSE);
        assert_int_equal(walk(TYPE, gy_str_c(cut[i]), 5, false, &out), GY_E_PARSE);
    }
    static const char *const types[] = {"multipart/form-data",
                                        "multipart/form-data; boundary=",
                                        "multipart/form-data; boundary=\"a \"",
                                        "multipart/form-data; boundary=a\"b",
                                        "multipart/mixed; boundary=b-1",
                                        "text/csv; boundary=b-1",
                                        ""};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        assert_int_equal(walk(types[i], GY_STR("--b-1--"), 5, true, &out), GY_E_INVALID);
    }
    gy_buf_addc(&large, "--b-1\r\n");
    for (int i = 0; i < 2000; i++) {
        gy_buf_addc(&large, "X-A: b\r\n");
    }
    assert_int_equal(walk(TYPE, gy_buf_str(&large), 1000, true, &out), GY_E_TOOBIG);
    gy_buf_reset(&large);
    for (int i = 0; i < GY_MULTIPART_MAX_PARTS + 1; i++) {
        gy_buf_addc(&large, "--b-1\r\n\r\nx\r\n");
    }
    gy_buf_addc(&large, "--b-1--");
    assert_int_equal(walk(TYPE, gy_buf_str(&large), 1000, true, &out), GY_E_TOOBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_large_parts_come_in_pieces),
        cmocka_unit_test(test_bodies_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

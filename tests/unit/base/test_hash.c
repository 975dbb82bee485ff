/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"
#include "unit.h"

static void test_digests(void **state)
{
    (void)state;
    char sha[GY_SHA256_HEX];
    char md5[GY_MD5_HEX];
    /* FIPS 180-2 appendix B, RFC 1321 appendix A.5, and DVC's own test vector for "foo". */
    assert_int_equal(gy_sha256_hex(GY_STR("abc"), sha, NULL), GY_OK);
    assert_string_equal(sha, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(gy_sha256_hex(GY_STR_NULL, sha, NULL), GY_OK);
    assert_string_equal(sha, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_int_equal(gy_md5_hex(GY_STR(""), md5, NULL), GY_OK);
    assert_string_equal(md5, "d41d8cd98f00b204e9800998ecf8427e");
    assert_int_equal(gy_md5_hex(GY_STR("message digest"), md5, NULL), GY_OK);
    assert_string_equal(md5, "f96b697d7cb7938d525a2f31aaf161d0");
    assert_int_equal(gy_md5_hex(GY_STR("foo"), md5, NULL), GY_OK);
    assert_string_equal(md5, "acbd18db4cc2f85cedef654fccc4a4d8");
}

static void test_streaming_starts_anew(void **state)
{
    (void)state;
    GY_AUTO(gy_hash_free) struct gy_hash *h = NULL;
    char hex[GY_SHA256_HEX];
    assert_int_equal(gy_hash_new(GY_HASH_SHA256, &h, NULL), GY_OK);
    for (int round = 0; round < 2; round++) {
        gy_hash_add(h, GY_STR("a"));
        gy_hash_add(h, GY_STR_NULL);
        gy_hash_add(h, GY_STR("bc"));
        gy_hash_hex(h, hex);
        assert_string_equal(hex,
                            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}

static void test_file_digest(void **state)
{
    (void)state;
    char dir[64];
    char path[128];
    char sha[GY_SHA256_HEX];
    char md5[GY_MD5_HEX];
    char expected_sha[GY_SHA256_HEX];
    char expected_md5[GY_MD5_HEX];
    int64_t size = 0;
    struct gy_err err = GY_ERR_INIT;
    scratch_make(dir);
    (void)snprintf(path, sizeof path, "%s/f", dir);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    for (int i = 0; i < 100000; i++) { /* several reads */
        gy_buf_addf(&b, "%d\n", i);
    }
    assert_status(GY_OK, gy_file_write(path, gy_buf_str(&b), 0600, &err), err);
    assert_status(GY_OK, gy_file_digest(path, sha, md5, &size, &err), err);
    assert_int_equal(size, b.n);
    assert_int_equal(gy_sha256_hex(gy_buf_str(&b), expected_sha, NULL), GY_OK);
    assert_int_equal(gy_md5_hex(gy_buf_str(&b), expected_md5, NULL), GY_OK);
    assert_string_equal(sha, expected_sha);
    assert_string_equal(md5, expected_md5);
    assert_status(GY_OK, gy_file_digest(path, NULL, NULL, NULL, &err), err);
    assert_int_equal(gy_file_digest("/nonexistent", sha, NULL, NULL, &err), GY_E_NOTFOUND);
    scratch_done(dir);
}

static gy_status digest_memory(void *ctx, struct gy_err *err)
{
    (void)ctx;
    char sha[GY_SHA256_HEX];
    char md5[GY_MD5_HEX];
    return gy_file_digest("/proc/self/exe", sha, md5, NULL, err);
}

static void test_torture(void **state)
{
    (void)state;
    torture(digest_memory, NULL);
}

static void test_hmac(void **state)
{
    (void)state;
    unsigned char raw[32];
    char hex[65];
    /* RFC 4231, cases 1, 2 and 6 (a key longer than a block). */
    char key[131];
    memset(key, 0x0b, 20);
    assert_int_equal(gy_hmac_sha256(gy_str_n(key, 20), GY_STR("Hi There"), raw, NULL), GY_OK);
    gy_hex(raw, 32, hex);
    assert_string_equal(hex, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_int_equal(
        gy_hmac_sha256(GY_STR("Jefe"), GY_STR("what do ya want for nothing?"), raw, NULL), GY_OK);
    gy_hex(raw, 32, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    assert_int_equal(
        gy_hmac_sha256(gy_str_n(key, sizeof key),
                       GY_STR("Test Using Larger Than Block-Size Key - Hash Key First"), raw, NULL),
        GY_OK);
    gy_hex(raw, 32, hex);
    assert_string_equal(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void test_crc32c(void **state)
{
    (void)state;
    unsigned char bytes[32];
    /* RFC 3720 appendix B.4. */
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(gy_crc32c(0, bytes, 32), 0x8a9136aau);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(gy_crc32c(0, bytes, 32), 0x62a8ab43u);
    for (int i = 0; i < 32; i++) {
        bytes[i] = (unsigned char)i;
    }
    assert_int_equal(gy_crc32c(0, bytes, 32), 0x46dd794eu);
    assert_int_equal(gy_crc32c(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(gy_crc32c(0, "", 0), 0);
    /* Both ways agree at every length and alignment, and chaining is the same as one call. */
    unsigned char noise[300];
    for (size_t i = 0; i < sizeof noise; i++) {
        noise[i] = (unsigned char)(i * 167 + (i >> 3));
    }
    for (size_t from = 0; from < 9; from++) {
        for (size_t n = 0; n + from <= sizeof noise; n += 7) {
            uint32_t whole = gy_crc32c(0, noise + from, n);
            assert_int_equal(whole, gy_crc32c_portable(0, noise + from, n));
            uint32_t part = gy_crc32c(0, noise + from, n / 3);
            assert_int_equal(whole, gy_crc32c(part, noise + from + n / 3, n - n / 3));
        }
    }
}

static void test_base64(void **state)
{
    (void)state;
    static const struct {
        const char *plain, *text;
    } rows[] = {{"", ""},
                {"f", "Zg=="},
                {"fo", "Zm8="},
                {"foo", "Zm9v"},
                {"foob", "Zm9vYg=="},
                {"fooba", "Zm9vYmE="},
                {"foobar", "Zm9vYmFy"},
                {"\xfb\xff\xfe", "+//+"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[16];
        unsigned char back[16];
        size_t n = 99;
        assert_int_equal(gy_base64_size(strlen(rows[i].plain)), strlen(rows[i].text));
        gy_base64(rows[i].plain, strlen(rows[i].plain), text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(gy_base64_decode(gy_str_c(text), back, &n, NULL), GY_OK);
        assert_int_equal(n, strlen(rows[i].plain));
        assert_memory_equal(back, rows[i].plain, n);
    }
    static const char *const bad[] = {
        "Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zm 9", "Zm9v\n", "Z=g=", "-_-_"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        unsigned char back[16];
        size_t n;
        if (gy_base64_decode(gy_str_c(bad[i]), back, &n, NULL) != GY_E_INVALID) {
            fail_msg("accepted %s", bad[i]);
        }
    }
}

static void hex_is_read_as_it_is_written(void **state)
{
    unsigned char raw[3] = {0x00, 0x7f, 0xfe}, back[3];
    char hex[7];
    (void)state;
    gy_hex(raw, sizeof raw, hex);
    assert_true(gy_is_hex(gy_str_c(hex), 6));
    assert_true(gy_unhex(gy_str_c(hex), back, sizeof back));
    assert_memory_equal(raw, back, sizeof raw);
    static const char *const bad[] = {"",       "007ff",  "007ffe0",  "007FFE",
                                      "00 ffe", "00gffe", "007ff\xe9"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(gy_is_hex(gy_str_c(bad[i]), 6));
        assert_false(gy_unhex(gy_str_c(bad[i]), back, sizeof back));
    }
    assert_false(gy_is_hex(gy_str_n("007f\0e", 6), 6));
    assert_int_equal(gy_hex_digit('F'), 15);
    assert_int_equal(gy_hex_digit('f'), 15);
    assert_int_equal(gy_hex_digit('9'), 9);
    assert_int_equal(gy_hex_digit('g'), -1);
    assert_int_equal(gy_hex_digit('/'), -1);
    assert_int_equal(gy_hex_digit('\x01'), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex_is_read_as_it_is_written),
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_streaming_starts_anew),
        cmocka_unit_test(test_file_digest),
        cmocka_unit_test(test_torture),
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_crc32c),
        cmocka_unit_test(test_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

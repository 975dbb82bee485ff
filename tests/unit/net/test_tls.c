/* SPDX-License-Identifier: Apache-2.0 */
/* TLS in memory: files that can not be used, bytes that are no TLS, the order of things. What real
 * clients see is in tests/http/test_tls.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "net/tls.h"

struct world {
    char dir[64], cert[96], key[96], other_key[96];
};

static EVP_PKEY *write_key(const char *path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *f = fopen(path, "w");
    assert_non_null(key);
    assert_non_null(f);
    assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(f), 0);
    return key;
}

static void write_cert(const char *path, EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), 86400));
    assert_int_equal(X509_set_pubkey(x, key), 1);
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                                (const unsigned char *)"gyre", -1, -1, 0),
                     1);
    assert_int_equal(X509_set_issuer_name(x, name), 1);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, x), 1);
    assert_int_equal(fclose(f), 0);
    X509_free(x);
}

static void write_pair(const struct world *w)
{
    EVP_PKEY *key = write_key(w->key);
    write_cert(w->cert, key);
    EVP_PKEY_free(key);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    snprintf(w->dir, sizeof w->dir, "/tmp/gyre-tls-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->cert, sizeof w->cert, "%s/cert.pem", w->dir);
    snprintf(w->key, sizeof w->key, "%s/key.pem", w->dir);
    snprintf(w->other_key, sizeof w->other_key, "%s/other.pem", w->dir);
    write_pair(w);
    EVP_PKEY_free(write_key(w->other_key));
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    assert_int_equal(gy_dir_remove(w->dir, NULL), GY_OK);
    free(w);
    assert_int_equal(gy_mem_live(), 0);
    return 0;
}

static struct gy_tls_ctx *open_ctx(const struct world *w)
{
    struct gy_tls_ctx *ctx = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (gy_tls_ctx_new(w->cert, w->key, &ctx, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    return ctx;
}

static void files_that_can_not_be_used_are_refused(void **state)
{
    struct world *w = *state;
    struct gy_tls_ctx *ctx = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_tls_ctx_new("/nonexistent.pem", w->key, &ctx, &err), GY_E_NOTFOUND);
    assert_non_null(strstr(err.hint, "--tls-cert"));
    assert_int_equal(gy_tls_ctx_new(w->cert, w->other_key, &ctx, &err), GY_E_INVALID);
    assert_non_null(strstr(err.msg, "the key"));
    assert_int_equal(gy_tls_ctx_new(w->key, w->key, &ctx, &err), GY_E_INVALID);
    assert_non_null(strstr(err.msg, "the certificate"));
    assert_null(ctx);
}

static void a_key_behind_a_passphrase_is_refused_without_asking(void **state)
{
    struct world *w = *state;
    struct gy_tls_ctx *ctx = NULL;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *f = fopen(w->other_key, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_PrivateKey(f, key, EVP_aes_128_cbc(),
                                          (const unsigned char *)"secret", 6, NULL, NULL),
                     1);
    assert_int_equal(fclose(f), 0);
    write_cert(w->cert, key);
    EVP_PKEY_free(key);
    assert_int_equal(gy_tls_ctx_new(w->cert, w->other_key, &ctx, NULL), GY_E_INVALID);
}

static void other_files_are_taken_up_and_bad_ones_are_not(void **state)
{
    struct world *w = *state;
    GY_AUTO(gy_tls_ctx_free) struct gy_tls_ctx *ctx = open_ctx(w);
    bool changed = true;
    assert_int_equal(gy_tls_ctx_reload(ctx, &changed, NULL), GY_OK);
    assert_false(changed);
    write_pair(w); /* other bytes, so another time, and a time is a nanosecond's */
    assert_int_equal(gy_tls_ctx_reload(ctx, &changed, NULL), GY_OK);
    assert_true(changed);
    assert_int_equal(gy_file_write(w->cert, GY_STR("half a cert"), 0600, NULL), GY_OK);
    assert_int_equal(gy_tls_ctx_reload(ctx, &changed, NULL), GY_E_INVALID);
    GY_AUTO(gy_tls_free) struct gy_tls *t = NULL; /* with the one before */
    assert_int_equal(gy_tls_new(ctx, &t, NULL), GY_OK);
}

static void what_is_no_tls_is_refused_with_an_alert(void **state)
{
    GY_AUTO(gy_tls_ctx_free) struct gy_tls_ctx *ctx = open_ctx(*state);
    GY_AUTO(gy_tls_free) struct gy_tls *t = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    char plain[GY_TLS_PLAIN_MAX(100)];
    size_t n = 99;
    bool end = true;
    gy_buf_init(&out, 65536);
    assert_int_equal(gy_tls_new(ctx, &t, NULL), GY_OK);
    assert_int_equal(gy_tls_open(t, "\x16\x03\x01\x00\x04nope", 9, plain, &n, &end, NULL),
                     GY_E_INVALID);
    assert_int_equal(n, 0);
    assert_false(end);
    assert_true(gy_tls_has_output(t));
    gy_tls_take(t, &out);
    assert_int_equal(out.p[0], 21); /* an alert */
    assert_false(gy_tls_has_output(t));
}

static void half_a_hello_waits_for_the_rest(void **state)
{
    GY_AUTO(gy_tls_ctx_free) struct gy_tls_ctx *ctx = open_ctx(*state);
    GY_AUTO(gy_tls_free) struct gy_tls *t = NULL;
    char plain[GY_TLS_PLAIN_MAX(100)];
    size_t n = 99;
    bool end = true;
    assert_int_equal(gy_tls_new(ctx, &t, NULL), GY_OK);
    assert_int_equal(gy_tls_open(t, "\x16\x03\x01\x01\x00\x01", 6, plain, &n, &end, NULL), GY_OK);
    assert_int_equal(n, 0);
    assert_false(end);
    assert_false(gy_tls_has_output(t));
    assert_int_equal(gy_tls_seal(t, "secret", 6, NULL), GY_E_CONFLICT); /* never in the clear */
    gy_tls_end(t);
    assert_false(gy_tls_has_output(t));
}

static void want_of_memory_is_an_error_each_time(void **state)
{
    struct world *w = *state;
    for (uint64_t nth = 1; nth <= 2; nth++) {
        struct gy_tls_ctx *ctx = NULL;
        struct gy_tls *t = NULL;
        gy_mem_fail_at(nth, 1);
        gy_status status = gy_tls_ctx_new(w->cert, w->key, &ctx, NULL);
        if (status == GY_OK) {
            status = gy_tls_new(ctx, &t, NULL);
        }
        gy_mem_fail_at(0, 0);
        assert_int_equal(status, GY_E_NOMEM);
        gy_tls_free(t);
        gy_tls_ctx_free(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_that_can_not_be_used_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_behind_a_passphrase_is_refused_without_asking, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(other_files_are_taken_up_and_bad_ones_are_not, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_no_tls_is_refused_with_an_alert, setup, teardown),
        cmocka_unit_test_setup_teardown(half_a_hello_waits_for_the_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(want_of_memory_is_an_error_each_time, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

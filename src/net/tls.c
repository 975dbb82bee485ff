/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "base/dl.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"

/* What we use of libssl, filled by gy_dl_open; libcrypto is linked. */
static struct {
    __typeof__(TLS_server_method) *server_method;
    __typeof__(SSL_CTX_new) *ctx_new;
    __typeof__(SSL_CTX_free) *ctx_free;
    __typeof__(SSL_CTX_ctrl) *ctx_ctrl;
    __typeof__(SSL_CTX_set_options) *ctx_set_options;
    __typeof__(SSL_CTX_set_default_passwd_cb) *ctx_set_passwd_cb;
    __typeof__(SSL_CTX_use_certificate_chain_file) *ctx_use_chain;
    __typeof__(SSL_CTX_use_PrivateKey_file) *ctx_use_key;
    __typeof__(SSL_CTX_check_private_key) *ctx_check_key;
    __typeof__(SSL_CTX_set_alpn_select_cb) *ctx_set_alpn;
    __typeof__(SSL_select_next_proto) *select_proto;
    __typeof__(SSL_new) *ssl_new;
    __typeof__(SSL_free) *ssl_free;
    __typeof__(SSL_set_bio) *set_bio;
    __typeof__(SSL_set_accept_state) *set_accept_state;
    __typeof__(SSL_read_ex) *read_ex;
    __typeof__(SSL_write_ex) *write_ex;
    __typeof__(SSL_get_error) *get_error;
    __typeof__(SSL_shutdown) *shutdown;
    __typeof__(SSL_is_init_finished) *is_finished;
} g_ssl;
static void *g_ssl_handle;

/* A file as it was when it was read: another one by any of these is a new one. */
struct stamp {
    int64_t mtime_ns, size_bytes;
    uint64_t inode;
};

struct gy_tls_ctx {
    char cert_file[GY_MAX_PATH], key_file[GY_MAX_PATH];
    pthread_mutex_t lock; /* guards what follows */
    SSL_CTX *current;
    struct stamp cert, key;
    int64_t looked_ns;
};

struct gy_tls {
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
};

static gy_status load_ssl(struct gy_err *err)
{
#define SYMBOL(symbol, slot)                 \
    {                                        \
        symbol, (void **)(void *)&g_ssl.slot \
    }
    const struct gy_dl_symbol symbols[] = {
        SYMBOL("TLS_server_method", server_method),
        SYMBOL("SSL_CTX_new", ctx_new),
        SYMBOL("SSL_CTX_free", ctx_free),
        SYMBOL("SSL_CTX_ctrl", ctx_ctrl),
        SYMBOL("SSL_CTX_set_options", ctx_set_options),
        SYMBOL("SSL_CTX_set_default_passwd_cb", ctx_set_passwd_cb),
        SYMBOL("SSL_CTX_use_certificate_chain_file", ctx_use_chain),
        SYMBOL("SSL_CTX_use_PrivateKey_file", ctx_use_key),
        SYMBOL("SSL_CTX_check_private_key", ctx_check_key),
        SYMBOL("SSL_CTX_set_alpn_select_cb", ctx_set_alpn),
        SYMBOL("SSL_select_next_proto", select_proto),
        SYMBOL("SSL_new", ssl_new),
        SYMBOL("SSL_free", ssl_free),
        SYMBOL("SSL_set_bio", set_bio),
        SYMBOL("SSL_set_accept_state", set_accept_state),
        SYMBOL("SSL_read_ex", read_ex),
        SYMBOL("SSL_write_ex", write_ex),
        SYMBOL("SSL_get_error", get_error),
        SYMBOL("SSL_shutdown", shutdown),
        SYMBOL("SSL_is_init_finished", is_finished),
    };
#undef SYMBOL
    return gy_dl_open(&g_ssl_handle, "libssl.so.3", "libssl3", symbols,
                      sizeof symbols / sizeof symbols[0], err);
}

/* What OpenSSL says went wrong, and nothing is left behind for the next who asks. */
static void reason(char *out, size_t size)
{
    unsigned long code = ERR_get_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    (void)snprintf(out, size, "%s", text ? text : "no reason given");
    ERR_clear_error();
}

/* ---- the context ---- */

/* Nobody is there to be asked for a passphrase. */
static int no_passphrase(char *buf, int size, int writing, void *ctx)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                           const unsigned char *offered, unsigned offered_n, void *ctx)
{
    /* A browser offers both and gets what all our routes speak; gRPC clients offer h2 alone. */
    static const unsigned char ours[] = "\x08http/1.1\x02h2";
    (void)ssl;
    (void)ctx;
    unsigned char *chosen = NULL;
    if (g_ssl.select_proto(&chosen, out_n, ours, sizeof ours - 1, offered, offered_n) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_NOACK; /* the client speaks it all the same, or says so itself */
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static gy_status stamp_of(const char *path, struct stamp *ret, struct gy_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        gy_status status = gy_err_sys(err, errno, "reading '%s'", path);
        (void)gy_err_hint(err, "--tls-cert and --tls-key name PEM files");
        return status;
    }
    *ret = (struct stamp){
        .mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
        .size_bytes = st.st_size,
        .inode = st.st_ino,
    };
    return GY_OK;
}

static gy_status refused_file(const char *what, const char *path, struct gy_err *err)
{
    char why[256];
    reason(why, sizeof why);
    gy_err_set(err, GY_E_INVALID, "%s '%s' can not be used: %s", what, path, why);
    return gy_err_hint(err, "a PEM file; the certificate first, then its chain; the key without a "
                            "passphrase");
}

static gy_status make(const struct gy_tls_ctx *ctx, SSL_CTX **ret, struct gy_err *err)
{
    ERR_clear_error();
    SSL_CTX *made = g_ssl.ctx_new(g_ssl.server_method());
    if (!made) {
        return gy_err_set(err, GY_E_NOMEM, "starting TLS");
    }
    gy_status status = GY_OK;
    (void)g_ssl.ctx_ctrl(made, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL);
    (void)g_ssl.ctx_ctrl(made, SSL_CTRL_MODE,
                         SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER, NULL);
    (void)g_ssl.ctx_set_options(made, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                          SSL_OP_CIPHER_SERVER_PREFERENCE);
    g_ssl.ctx_set_passwd_cb(made, no_passphrase);
    g_ssl.ctx_set_alpn(made, choose_protocol, NULL);
    if (g_ssl.ctx_use_chain(made, ctx->cert_file) != 1) {
        status = refused_file("the certificate", ctx->cert_file, err);
    } else if (g_ssl.ctx_use_key(made, ctx->key_file, SSL_FILETYPE_PEM) != 1 ||
               g_ssl.ctx_check_key(made) != 1) {
        status = refused_file("the key", ctx->key_file, err);
    }
    if (status != GY_OK) {
        g_ssl.ctx_free(made);
        return status;
    }
    *ret = made;
    return GY_OK;
}

/* Under the lock, or before anybody else knows ctx. */
static gy_status reload(struct gy_tls_ctx *ctx, bool *ret_changed, struct gy_err *err)
{
    struct stamp cert, key;
    SSL_CTX *made = NULL;
    *ret_changed = false;
    GY_TRY(stamp_of(ctx->cert_file, &cert, err));
    GY_TRY(stamp_of(ctx->key_file, &key, err));
    if (ctx->current && memcmp(&cert, &ctx->cert, sizeof cert) == 0 &&
        memcmp(&key, &ctx->key, sizeof key) == 0) {
        return GY_OK;
    }
    GY_TRY(make(ctx, &made, err));
    if (ctx->current) {
        g_ssl.ctx_free(ctx->current); /* connections that have it keep it */
    }
    ctx->current = made;
    ctx->cert = cert;
    ctx->key = key;
    *ret_changed = true;
    return GY_OK;
}

gy_status gy_tls_ctx_new(const char *cert_file, const char *key_file, struct gy_tls_ctx **ret,
                         struct gy_err *err)
{
    GY_TRY(load_ssl(err));
    GY_AUTO(gy_tls_ctx_free) struct gy_tls_ctx *ctx = gy_calloc(1, sizeof *ctx);
    if (!ctx) {
        return gy_err_set(err, GY_E_NOMEM, "starting TLS");
    }
    (void)pthread_mutex_init(&ctx->lock, NULL); /* a default mutex can not fail on Linux */
    if (snprintf(ctx->cert_file, sizeof ctx->cert_file, "%s", cert_file) >=
            (int)sizeof ctx->cert_file ||
        snprintf(ctx->key_file, sizeof ctx->key_file, "%s", key_file) >=
            (int)sizeof ctx->key_file) {
        return gy_err_set(err, GY_E_INVALID, "the path of a TLS file is too long");
    }
    bool changed;
    GY_TRY(reload(ctx, &changed, err));
    ctx->looked_ns = gy_mono_ns();
    *ret = GY_TAKE(ctx);
    return GY_OK;
}

void gy_tls_ctx_free(struct gy_tls_ctx *ctx)
{
    if (!ctx) {
        return;
    }
    if (ctx->current) {
        g_ssl.ctx_free(ctx->current);
    }
    (void)pthread_mutex_destroy(&ctx->lock);
    gy_free(ctx);
}

gy_status gy_tls_ctx_reload(struct gy_tls_ctx *ctx, bool *ret_changed, struct gy_err *err)
{
    (void)pthread_mutex_lock(&ctx->lock);
    gy_status status = reload(ctx, ret_changed, err);
    ctx->looked_ns = gy_mono_ns();
    (void)pthread_mutex_unlock(&ctx->lock);
    return status;
}

/* Half-written files are met when they are being renewed: what is in use stays, and they are looked
 * at again. */
static void look_again(struct gy_tls_ctx *ctx)
{
    bool changed = false;
    struct gy_err err = GY_ERR_INIT;
    int64_t now_ns = gy_mono_ns();
    if (now_ns - ctx->looked_ns < (int64_t)GY_TLS_LOOK_MS * 1000000) {
        return;
    }
    ctx->looked_ns = now_ns;
    if (reload(ctx, &changed, &err) != GY_OK) {
        gy_log_err(GY_LOG_WARN, "net", "the TLS files changed and can not be used", &err);
    } else if (changed) {
        gy_log(GY_LOG_INFO, "net", "the TLS certificate was read again",
               GY_KV_C("file", ctx->cert_file));
    }
}

/* ---- a connection ---- */

gy_status gy_tls_new(struct gy_tls_ctx *ctx, struct gy_tls **ret, struct gy_err *err)
{
    GY_AUTO(gy_tls_free) struct gy_tls *t = gy_calloc(1, sizeof *t);
    if (t) {
        (void)pthread_mutex_lock(&ctx->lock);
        look_again(ctx);
        t->ssl = g_ssl.ssl_new(ctx->current);
        (void)pthread_mutex_unlock(&ctx->lock);
        t->in = BIO_new(BIO_s_mem());
        t->out = BIO_new(BIO_s_mem());
    }
    if (!t || !t->ssl || !t->in || !t->out) {
        if (t) { /* not yet the SSL's */
            BIO_free(t->in);
            BIO_free(t->out);
        }
        ERR_clear_error();
        return gy_err_set(err, GY_E_NOMEM, "no memory for a TLS connection");
    }
    g_ssl.set_bio(t->ssl, t->in, t->out);
    g_ssl.set_accept_state(t->ssl);
    *ret = GY_TAKE(t);
    return GY_OK;
}

void gy_tls_free(struct gy_tls *t)
{
    if (!t) {
        return;
    }
    if (t->ssl) {
        g_ssl.ssl_free(t->ssl);
    }
    gy_free(t);
}

gy_status gy_tls_open(struct gy_tls *t, const char *bytes, size_t n, char *plain, size_t *ret_n,
                      bool *ret_end, struct gy_err *err)
{
    size_t used = 0;
    *ret_n = 0;
    *ret_end = false;
    ERR_clear_error(); /* SSL_get_error looks at what others left on this thread */
    if (n > INT_MAX || BIO_write(t->in, bytes, (int)n) != (int)n) {
        ERR_clear_error();
        return gy_err_set(err, GY_E_NOMEM, "no memory for a TLS connection");
    }
    for (;;) {
        size_t got = 0;
        size_t room = GY_TLS_PLAIN_MAX(n) - used;
        int ok = room ? g_ssl.read_ex(t->ssl, plain + used, room, &got) : 0;
        used += got;
        if (ok == 1) {
            continue;
        }
        *ret_n = used;
        int why = room ? g_ssl.get_error(t->ssl, ok) : SSL_ERROR_WANT_READ;
        if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
            return GY_OK;
        }
        if (why == SSL_ERROR_ZERO_RETURN) {
            *ret_end = true;
            return GY_OK;
        }
        char text[256];
        reason(text, sizeof text);
        return gy_err_set(err, GY_E_INVALID, "TLS: %s", text);
    }
}

gy_status gy_tls_seal(struct gy_tls *t, const char *bytes, size_t n, struct gy_err *err)
{
    if (!g_ssl.is_finished(t->ssl)) {
        return gy_err_set(err, GY_E_CONFLICT, "the TLS handshake is not done");
    }
    ERR_clear_error();
    for (size_t at = 0; at < n;) {
        size_t put = 0;
        if (g_ssl.write_ex(t->ssl, bytes + at, n - at, &put) != 1) {
            ERR_clear_error();
            return gy_err_set(err, GY_E_NOMEM, "no memory for a TLS connection");
        }
        at += put;
    }
    return GY_OK;
}

void gy_tls_end(struct gy_tls *t)
{
    if (g_ssl.is_finished(t->ssl)) {
        (void)g_ssl.shutdown(t->ssl); /* 0: the peer's own has not come; nobody waits for it */
        ERR_clear_error();
    }
}

bool gy_tls_has_output(const struct gy_tls *t)
{
    return BIO_ctrl_pending(t->out) > 0;
}

void gy_tls_take(struct gy_tls *t, struct gy_buf *out)
{
    char *bytes = NULL;
    long n = BIO_get_mem_data(t->out, &bytes);
    if (n > 0) {
        gy_buf_add_bytes(out, bytes, (size_t)n);
        (void)BIO_reset(t->out); /* a memory BIO is emptied */
    }
}

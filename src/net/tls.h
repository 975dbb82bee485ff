/* SPDX-License-Identifier: Apache-2.0 */
/* TLS for the server's connections: OpenSSL's libssl (opened on first use) between bytes in memory,
 * without sockets, so that the loops stay the only ones who read and write. TLS 1.2 and 1.3, ALPN
 * "http/1.1", else "h2", no client certificates. Certificate and key are read again when their
 * files change: whoever renews them need not restart the server.
 *
 * Lifecycle: one gy_tls_ctx a server, one gy_tls a connection. Thread rule: the context is thread
 * safe; a gy_tls belongs to its connection's loop. */
#ifndef GY_NET_TLS_H
#define GY_NET_TLS_H

#include "base/buf.h"

struct gy_tls_ctx;
struct gy_tls;

/* PEM files: the certificate with what follows it in the chain, and its key. Fails: MISSINGDEP
 * (libssl), NOTFOUND, INVALID (no certificate, no key, they do not belong together, or the key
 * asks for a passphrase), NOMEM. */
GY_CHECKED gy_status gy_tls_ctx_new(const char *cert_file, const char *key_file,
                                    struct gy_tls_ctx **ret, struct gy_err *err);
void gy_tls_ctx_free(struct gy_tls_ctx *ctx);
GY_DEFINE_AUTO(struct gy_tls_ctx *, gy_tls_ctx_free);
/* Read certificate and key again if the files are others than those in use. A failure keeps those
 * in use. Called by gy_tls_new every GY_TLS_LOOK_MS; public for tests and signals. */
#define GY_TLS_LOOK_MS 10000
GY_CHECKED gy_status gy_tls_ctx_reload(struct gy_tls_ctx *ctx, bool *ret_changed,
                                       struct gy_err *err);

/* The server's side of one connection. Fails: NOMEM. */
GY_CHECKED gy_status gy_tls_new(struct gy_tls_ctx *ctx, struct gy_tls **ret, struct gy_err *err);
void gy_tls_free(struct gy_tls *t);
GY_DEFINE_AUTO(struct gy_tls *, gy_tls_free);

/* What one gy_tls_open of n bytes can give at most: a record that was begun before, and all of n.
 */
#define GY_TLS_PLAIN_MAX(n) ((n) + 17 * 1024)
/* Take bytes of the wire; what they say in plain is put into plain (room for GY_TLS_PLAIN_MAX(n)).
 * The handshake goes on by itself. *ret_end: the peer has said that it sends no more. Fails:
 * INVALID (not TLS, or TLS that is refused; an alert may wait in gy_tls_take), NOMEM. */
GY_CHECKED gy_status gy_tls_open(struct gy_tls *t, const char *bytes, size_t n, char *plain,
                                 size_t *ret_n, bool *ret_end, struct gy_err *err);
/* Encrypt bytes; they wait in gy_tls_take. Fails: CONFLICT (the handshake is not done), NOMEM. */
GY_CHECKED gy_status gy_tls_seal(struct gy_tls *t, const char *bytes, size_t n, struct gy_err *err);
void gy_tls_end(struct gy_tls *t); /* say that nothing more comes (close_notify) */
/* Move what is to be sent, in order, to the end of out (which tells want of memory). */
void gy_tls_take(struct gy_tls *t, struct gy_buf *out);
bool gy_tls_has_output(const struct gy_tls *t);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "net/s3_sign.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/time.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define MAX_CANONICAL (256 * GY_KIB)

void gy_s3_time(int64_t time_us, char out[17])
{
    char iso[32];
    (void)gy_time_iso(time_us, iso); /* 2013-05-24T00:00:00.000000Z */
    (void)snprintf(out, 17, "%.4s%.2s%.2sT%.2s%.2s%.2sZ", iso, iso + 5, iso + 8, iso + 11, iso + 14,
                   iso + 17);
}

/* "20130524/us-east-1/s3/aws4_request" */
static void scope(const struct gy_s3_signing *s, char out[GY_S3_MAX_REGION + 64])
{
    char time[17];
    gy_s3_time(s->time_us, time);
    (void)snprintf(out, GY_S3_MAX_REGION + 64, "%.8s/%.*s/%.32s/aws4_request", time,
                   GY_S3_MAX_REGION - 1, s->region, s->service);
}

/* ---- the canonical query: decoded, encoded in the one right way, sorted ---- */

struct pair {
    struct gy_str name, value; /* encoded */
};

static int by_pair(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    int order = gy_str_cmp(x->name, y->name);
    return order ? order : gy_str_cmp(x->value, y->value);
}

static gy_status encode_once(struct gy_arena *a, struct gy_str raw, struct gy_str *ret,
                             struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, MAX_CANONICAL);
    gy_url_encode(&b, gy_url_decode(a, raw, false), false);
    GY_TRY(gy_buf_check(&b, "the query to sign", err));
    *ret = gy_arena_str(a, gy_buf_str(&b));
    return ret->p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "signing a request");
}

static gy_status add_query(struct gy_arena *a, struct gy_str query, struct gy_buf *out,
                           struct gy_err *err)
{
    struct pair pairs[GY_S3_MAX_SIGNED_QUERY];
    size_t n = 0;
    struct gy_str piece;
    while (gy_str_next(&query, '&', &piece)) {
        struct gy_str name, value;
        if (piece.n == 0) {
            continue;
        }
        if (n == GY_S3_MAX_SIGNED_QUERY) {
            return gy_err_set(err, GY_E_TOOBIG, "a signed query has at most %d parts",
                              GY_S3_MAX_SIGNED_QUERY);
        }
        if (!gy_str_cut(piece, '=', &name, &value)) {
            value = GY_STR("");
        }
        GY_TRY(encode_once(a, name, &pairs[n].name, err));
        GY_TRY(encode_once(a, value, &pairs[n].value, err));
        n++;
    }
    qsort(pairs, n, sizeof pairs[0], by_pair);
    for (size_t i = 0; i < n; i++) {
        gy_buf_addc(out, i ? "&" : "");
        gy_buf_add(out, pairs[i].name);
        gy_buf_add_char(out, '=');
        gy_buf_add(out, pairs[i].value);
    }
    return GY_OK;
}

/* ---- the canonical headers ---- */

struct signed_headers {
    const struct gy_header *at[GY_S3_MAX_SIGNED_HEADERS]; /* sorted by name, equals in order */
    size_t n;
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static int cmp_names(struct gy_str a, struct gy_str b)
{
    for (size_t i = 0; i < a.n && i < b.n; i++) {
        int x = (unsigned char)lower(a.p[i]), y = (unsigned char)lower(b.p[i]);
        if (x != y) {
            return x - y;
        }
    }
    return a.n < b.n ? -1 : a.n > b.n;
}

static gy_status sort_headers(const struct gy_request *req, struct signed_headers *h,
                              struct gy_err *err)
{
    if (req->n_headers > GY_S3_MAX_SIGNED_HEADERS) {
        return gy_err_set(err, GY_E_TOOBIG, "a signed request has at most %d headers",
                          GY_S3_MAX_SIGNED_HEADERS);
    }
    for (h->n = 0; h->n < req->n_headers; h->n++) { /* by insertion: stable, and there are few */
        size_t at = h->n;
        const struct gy_header *one = &req->headers[h->n];
        for (; at > 0 && cmp_names(h->at[at - 1]->name, one->name) > 0; at--) {
            h->at[at] = h->at[at - 1];
        }
        h->at[at] = one;
    }
    return GY_OK;
}

static void add_lower(struct gy_buf *out, struct gy_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        gy_buf_add_char(out, lower(name.p[i]));
    }
}

/* Trimmed, and runs of blanks are one. */
static void add_value(struct gy_buf *out, struct gy_str value)
{
    value = gy_str_trim(value);
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] != ' ' || value.p[i - 1] != ' ') {
            gy_buf_add_char(out, value.p[i]);
        }
    }
}

static bool same_as_before(const struct signed_headers *h, size_t i)
{
    return i > 0 && cmp_names(h->at[i - 1]->name, h->at[i]->name) == 0;
}

static void add_headers(const struct signed_headers *h, struct gy_buf *out)
{
    for (size_t i = 0; i < h->n; i++) {
        if (same_as_before(h, i)) {
            gy_buf_add_char(out, ',');
        } else {
            gy_buf_addc(out, i ? "\n" : "");
            add_lower(out, h->at[i]->name);
            gy_buf_add_char(out, ':');
        }
        add_value(out, h->at[i]->value);
    }
    gy_buf_addc(out, h->n ? "\n" : "");
}

static void add_names(const struct signed_headers *h, struct gy_buf *out)
{
    for (size_t i = 0; i < h->n; i++) {
        if (!same_as_before(h, i)) {
            gy_buf_addc(out, i ? ";" : "");
            add_lower(out, h->at[i]->name);
        }
    }
}

/* ---- the signature ---- */

/* SHA-256 of the canonical request, in hex. */
static gy_status hash_request(struct gy_arena *a, const struct gy_request *req,
                              const struct signed_headers *h, struct gy_str query,
                              const char *payload_sha256, char ret_hex[GY_SHA256_HEX],
                              struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, MAX_CANONICAL);
    gy_buf_add(&b, req->method);
    gy_buf_add_char(&b, '\n');
    gy_buf_add(&b, req->path);
    gy_buf_add_char(&b, '\n');
    GY_TRY(add_query(a, query, &b, err));
    gy_buf_add_char(&b, '\n');
    add_headers(h, &b);
    gy_buf_add_char(&b, '\n');
    add_names(h, &b);
    gy_buf_addf(&b, "\n%s", payload_sha256);
    GY_TRY(gy_buf_check(&b, "the request to sign", err));
    return gy_sha256_hex(gy_buf_str(&b), ret_hex, err);
}

/* The key of a day, a region and a service, made from the secret step by step. */
static gy_status derive_key(const struct gy_s3_signing *s, const char *time, unsigned char key[32],
                            struct gy_err *err)
{
    char first[GY_S3_MAX_KEY + 8];
    int n = snprintf(first, sizeof first, "AWS4%.*s", GY_S3_MAX_KEY - 1, s->keys->secret);
    gy_status status = gy_hmac_sha256(gy_str_n(first, (size_t)n), gy_str_n(time, 8), key, err);
    explicit_bzero(first, sizeof first);
    struct gy_str steps[] = {gy_str_c(s->region), gy_str_c(s->service), GY_STR("aws4_request")};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && status == GY_OK; i++) {
        unsigned char next[32];
        status = gy_hmac_sha256(gy_str_n((const char *)key, 32), steps[i], next, err);
        memcpy(key, next, sizeof next);
        explicit_bzero(next, sizeof next);
    }
    return status;
}

static gy_status sign(const struct gy_s3_signing *s, const char *request_hash,
                      char ret_hex[GY_SHA256_HEX], struct gy_err *err)
{
    char time[17], in[GY_S3_MAX_REGION + 64], text[512];
    unsigned char key[32], mac[32];
    gy_s3_time(s->time_us, time);
    scope(s, in);
    int n = snprintf(text, sizeof text, ALGORITHM "\n%s\n%s\n%s", time, in, request_hash);
    gy_status status = derive_key(s, time, key, err);
    if (status == GY_OK) {
        status =
            gy_hmac_sha256(gy_str_n((const char *)key, 32), gy_str_n(text, (size_t)n), mac, err);
    }
    explicit_bzero(key, sizeof key);
    if (status == GY_OK) {
        gy_hex(mac, sizeof mac, ret_hex);
    }
    return status;
}

gy_status gy_s3_authorize(const struct gy_s3_signing *s, const struct gy_request *req,
                          const char *payload_sha256, struct gy_buf *out, struct gy_err *err)
{
    struct signed_headers h;
    char hash[GY_SHA256_HEX], signature[GY_SHA256_HEX], in[GY_S3_MAX_REGION + 64];
    GY_TRY(sort_headers(req, &h, err));
    struct gy_arena arena;
    gy_arena_init(&arena, MAX_CANONICAL);
    gy_status status = hash_request(&arena, req, &h, req->query, payload_sha256, hash, err);
    gy_arena_done(&arena);
    if (status != GY_OK) {
        return status;
    }
    GY_TRY(sign(s, hash, signature, err));
    scope(s, in);
    gy_buf_addf(out, ALGORITHM " Credential=%s/%s,SignedHeaders=", s->keys->access, in);
    add_names(&h, out);
    gy_buf_addf(out, ",Signature=%s", signature);
    return gy_buf_check(out, "the signature", err);
}

gy_status gy_s3_presign(const struct gy_s3_signing *s, const struct gy_request *req,
                        int64_t expires_s, struct gy_buf *out, struct gy_err *err)
{
    struct signed_headers h;
    char hash[GY_SHA256_HEX], signature[GY_SHA256_HEX], in[GY_S3_MAX_REGION + 64], time[17];
    if (expires_s < 1 || expires_s > GY_S3_MAX_EXPIRES_S) {
        return gy_err_set(err, GY_E_INVALID, "a presigned URL holds for 1 to %d seconds",
                          GY_S3_MAX_EXPIRES_S);
    }
    GY_TRY(sort_headers(req, &h, err));
    gy_s3_time(s->time_us, time);
    scope(s, in);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf query;
    gy_buf_init(&query, MAX_CANONICAL);
    gy_buf_add(&query, req->query);
    gy_buf_addf(&query,
                "%sX-Amz-Algorithm=" ALGORITHM "&X-Amz-Credential=", req->query.n ? "&" : "");
    gy_url_encode(&query, gy_str_c(s->keys->access), false);
    gy_buf_addc(&query, "%2F");
    gy_url_encode(&query, gy_str_c(in), false);
    gy_buf_addf(&query, "&X-Amz-Date=%s&X-Amz-Expires=%lld", time, (long long)expires_s);
    if (s->keys->token[0]) {
        gy_buf_addc(&query, "&X-Amz-Security-Token=");
        gy_url_encode(&query, gy_str_c(s->keys->token), false);
    }
    gy_buf_addc(&query, "&X-Amz-SignedHeaders=");
    GY_AUTO_DONE(gy_buf_done) struct gy_buf names;
    gy_buf_init(&names, MAX_CANONICAL);
    add_names(&h, &names);
    gy_url_encode(&query, gy_buf_str(&names), false);
    GY_TRY(gy_buf_check(&names, "the signed headers", err));
    GY_TRY(gy_buf_check(&query, "the query to sign", err));
    struct gy_arena arena;
    gy_arena_init(&arena, MAX_CANONICAL);
    gy_status status = hash_request(&arena, req, &h, gy_buf_str(&query), GY_S3_UNSIGNED, hash, err);
    gy_arena_done(&arena);
    if (status != GY_OK) {
        return status;
    }
    GY_TRY(sign(s, hash, signature, err));
    gy_buf_add(out, gy_buf_str(&query));
    gy_buf_addf(out, "&X-Amz-Signature=%s", signature);
    return gy_buf_check(out, "the presigned query", err);
}

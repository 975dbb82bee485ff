/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a bucket; one signed request and its tries. */
#include "net/s3.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/id.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/time.h"
#include "net/http_client.h"
#include "net/s3_internal.h"
#include "net/s3_xml.h"

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define CLOCK_TOLERANCE_US (INT64_C(10) * 60 * 1000000) /* S3 refuses from 15 minutes on */
#define MAX_HEADERS 12

const char *gy_s3_name(const struct gy_s3 *s3, const char *key, char out[GY_S3_MAX_NAME + 80])
{
    (void)snprintf(out, GY_S3_MAX_NAME + 80, "s3://%s%s%.*s", s3->bucket, key ? "/" : "",
                   GY_S3_MAX_NAME - 1, key ? key : "");
    return out;
}

/* ---- answers ---- */

int64_t gy_s3_parse_http_date(struct gy_str s)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char iso[32];
    int64_t us = -1;
    if (s.n != 29 || !gy_str_ends(s, GY_STR(" GMT"))) {
        return -1;
    }
    size_t month = gy_str_find_str(gy_str_n(months, 36), gy_str_sub(s, 8, 3));
    if (month == SIZE_MAX || month % 3 != 0) {
        return -1;
    }
    int n = snprintf(iso, sizeof iso, "%.4s-%02d-%.2sT%.8sZ", s.p + 12, (int)(month / 3) + 1,
                     s.p + 5, s.p + 17);
    return gy_time_parse_iso(gy_str_n(iso, (size_t)n), &us, NULL) == GY_OK ? us : -1;
}

static void copy_header(struct gy_str value, char *out, size_t out_size)
{
    if (value.n < out_size) {
        memcpy(out, value.p, value.n);
        out[value.n] = '\0';
    }
}

/* "bytes 5-9/10" */
static int64_t range_start(struct gy_str value)
{
    struct gy_str first, rest;
    int64_t from = -1;
    if (!gy_str_starts(value, GY_STR("bytes ")) ||
        !gy_str_cut(gy_str_sub(value, 6, SIZE_MAX), '-', &first, &rest) ||
        gy_parse_i64(first, 0, INT64_MAX, &from, NULL) != GY_OK) {
        return -1;
    }
    return from;
}

static void take_header(struct s3_answer *a, const struct gy_header *h)
{
    if (gy_str_ieq(h->name, GY_STR("etag"))) {
        copy_header(h->value, a->etag, sizeof a->etag);
    } else if (gy_str_ieq(h->name, GY_STR("x-amz-bucket-region"))) {
        copy_header(h->value, a->bucket_region, sizeof a->bucket_region);
    } else if (gy_str_ieq(h->name, GY_STR("date"))) {
        a->date_us = gy_s3_parse_http_date(h->value);
    } else if (gy_str_ieq(h->name, GY_STR("last-modified"))) {
        a->modified_us = gy_s3_parse_http_date(h->value);
    } else if (gy_str_ieq(h->name, GY_STR("content-range"))) {
        a->range_from = range_start(h->value);
    }
}

static gy_status answer_begin(struct gy_reply *self, int status, const struct gy_header *headers,
                              size_t n_headers, int64_t body_bytes, struct gy_err *err)
{
    struct s3_answer *a = (struct s3_answer *)self;
    a->status = status;
    a->size_bytes = body_bytes;
    for (size_t i = 0; i < n_headers; i++) {
        take_header(a, &headers[i]);
    }
    a->skip_bytes = status == 200 ? a->range_wanted : 0;
    if (a->sink && status == 206 && a->range_from != a->range_wanted) {
        return gy_err_set(err, GY_E_NETWORK, "another range came than was asked for");
    }
    return GY_OK;
}

static gy_status to_sink(struct s3_answer *a, struct gy_str bytes, struct gy_err *err)
{
    size_t skip = a->skip_bytes < (int64_t)bytes.n ? (size_t)a->skip_bytes : bytes.n;
    a->skip_bytes -= (int64_t)skip;
    bytes = gy_str_sub(bytes, skip, SIZE_MAX);
    if (a->range_last >= 0) { /* from a server that does not know ranges comes more */
        int64_t left = a->range_last + 1 - a->range_first - a->sunk_bytes;
        bytes = gy_str_sub(bytes, 0, left > 0 ? (size_t)left : 0);
    }
    gy_status status = bytes.n ? a->sink(a->sink_ctx, bytes, err) : GY_OK;
    a->sink_failed = status != GY_OK;
    a->sunk_bytes += status == GY_OK ? (int64_t)bytes.n : 0;
    return status;
}

static gy_status answer_write(struct gy_reply *self, struct gy_str bytes, struct gy_err *err)
{
    struct s3_answer *a = (struct s3_answer *)self;
    if (a->sink && (a->status == 200 || a->status == 206)) {
        return to_sink(a, bytes, err);
    }
    gy_buf_add(&a->body, bytes);
    return gy_buf_check(&a->body, "the answer of S3", err);
}

static gy_status answer_end(struct gy_reply *self, struct gy_err *err)
{
    (void)self;
    (void)err;
    return GY_OK;
}

static const struct gy_reply_ops answer_ops = {answer_begin, answer_write, answer_end};

void gy_s3_answer_init(struct s3_answer *a)
{
    *a = (struct s3_answer){.reply = {.ops = &answer_ops}, .range_last = -1};
    gy_buf_init(&a->body, GY_S3_MAX_ANSWER);
}

void gy_s3_answer_done(struct s3_answer *a)
{
    gy_buf_done(&a->body);
}

static void answer_reset(struct s3_answer *a)
{
    a->reply.begun = a->reply.ended = false;
    a->status = 0;
    a->range_wanted = a->range_first + a->sunk_bytes;
    a->size_bytes = a->range_from = a->modified_us = a->date_us = -1;
    a->etag[0] = a->bucket_region[0] = a->error_code[0] = a->error_message[0] = '\0';
    gy_buf_reset(&a->body);
}

struct leaf {
    const char *path;
    char *out;
    size_t out_size;
};

static gy_status take_leaf(void *ctx, struct gy_str path, struct gy_str text, struct gy_err *err)
{
    const struct leaf *l = ctx;
    (void)err;
    if (gy_str_eqc(path, l->path) && text.n < l->out_size) {
        memcpy(l->out, text.p, text.n);
        l->out[text.n] = '\0';
    }
    return GY_OK;
}

gy_status gy_s3_leaf(const struct s3_answer *a, const char *path, char *out, size_t out_size,
                     struct gy_err *err)
{
    struct leaf l = {path, out, out_size};
    out[0] = '\0';
    return gy_s3_xml_each(gy_str_trim(gy_buf_str(&a->body)), take_leaf, &l, err);
}

/* Code and message, when the body is S3's error; what is no XML (a proxy's page) is left out. */
static void read_error(struct s3_answer *a)
{
    if (a->body.n == 0 || a->body.n > 64 * GY_KIB ||
        gy_s3_leaf(a, "Error/Code", a->error_code, sizeof a->error_code, NULL) != GY_OK ||
        gy_s3_leaf(a, "Error/Message", a->error_message, sizeof a->error_message, NULL) != GY_OK) {
        a->error_code[0] = a->error_message[0] = '\0';
    }
    for (char *c = a->error_message; *c; c++) {
        *c = (unsigned char)*c < ' ' ? ' ' : *c; /* it goes to terminals and logs */
    }
}

/* ---- one request ---- */

struct body_reader {
    struct gy_reader reader;
    const struct s3_body *body;
    int64_t done;
    struct gy_s3 *s3;
};

static gy_status read_body(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                           struct gy_err *err)
{
    struct body_reader *r = (struct body_reader *)self;
    const struct s3_body *b = r->body;
    int64_t left = b->size_bytes - r->done;
    n = (int64_t)n < left ? n : (size_t)left;
    if (b->fd < 0) {
        memcpy(buf, n ? b->bytes.p + r->done : "", n);
    } else if (n) {
        ssize_t got = pread(b->fd, buf, n, (off_t)(b->offset + r->done));
        if (got < 0) {
            return gy_err_sys(err, errno, "reading what is to be sent");
        }
        if (got == 0) {
            return gy_err_set(err, GY_E_IO, "the file to be sent became shorter");
        }
        n = (size_t)got;
    }
    r->done += (int64_t)n;
    atomic_fetch_add(&r->s3->sent_bytes, (int64_t)n);
    *ret_n = n;
    return GY_OK;
}

static gy_status add_path(const struct gy_s3 *s3, const char *key, struct gy_buf *out,
                          struct gy_err *err)
{
    if (s3->bucket_in_path) {
        gy_buf_addf(out, "/%s", s3->bucket);
    }
    if (key || !s3->bucket_in_path) {
        gy_buf_add_char(out, '/');
    }
    gy_url_encode(out, gy_str_c(key), true);
    return gy_buf_check(out, "the path of a request to S3", err);
}

/* What the headers of one try point to. */
struct header_text {
    struct gy_header headers[MAX_HEADERS];
    struct gy_buf authorization;
    char date[17];
    char range[48];
};

/* Fill req's headers and sign. */
static gy_status sign_request(struct gy_s3 *s3, const struct s3_request *rq,
                              const struct s3_answer *a, struct gy_request *req,
                              struct header_text *t, struct gy_err *err)
{
    const char *sha = rq->body ? rq->body->sha256 : EMPTY_SHA256;
    struct gy_s3_signing s = {&s3->keys, s3->region, "s3", gy_now_us() + atomic_load(&s3->skew_us)};
    struct gy_header *h = t->headers;
    gy_s3_time(s.time_us, t->date);
    *h++ = (struct gy_header){GY_STR("Host"), gy_str_c(s3->host)};
    *h++ = (struct gy_header){GY_STR("x-amz-content-sha256"), gy_str_c(sha)};
    *h++ = (struct gy_header){GY_STR("x-amz-date"), gy_str_c(t->date)};
    if (s3->keys.token[0]) {
        *h++ = (struct gy_header){GY_STR("x-amz-security-token"), gy_str_c(s3->keys.token)};
    }
    if (a->range_wanted > 0 || a->range_last >= 0) {
        (void)snprintf(t->range, sizeof t->range, "bytes=%lld-", (long long)a->range_wanted);
        if (a->range_last >= 0) {
            size_t n = strlen(t->range);
            (void)snprintf(t->range + n, sizeof t->range - n, "%lld", (long long)a->range_last);
        }
        *h++ = (struct gy_header){GY_STR("Range"), gy_str_c(t->range)};
    }
    for (size_t i = 0; i < rq->n_headers; i++) {
        *h++ = rq->headers[i];
    }
    req->headers = t->headers;
    req->n_headers = (size_t)(h - t->headers);
    GY_TRY(gy_s3_authorize(&s, req, sha, &t->authorization, err));
    *h = (struct gy_header){GY_STR("Authorization"), gy_buf_str(&t->authorization)};
    req->n_headers++;
    return GY_OK;
}

static gy_status send_signed(struct gy_s3 *s3, const struct s3_request *rq, struct s3_answer *a,
                             struct header_text *t, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, (size_t)4 * GY_S3_MAX_NAME);
    GY_TRY(add_path(s3, rq->key, &path, err));
    struct body_reader body = {.reader = {.read = read_body}, .body = rq->body, .s3 = s3};
    struct gy_request req = {
        .method = gy_str_c(rq->method), .path = gy_buf_str(&path), .query = rq->query};
    if (rq->body) {
        body.reader.size_bytes = rq->body->size_bytes;
        req.body = &body.reader;
    }
    GY_TRY(sign_request(s3, rq, a, &req, t, err));
    atomic_fetch_add(&s3->requests, 1);
    gy_status status = gy_call(s3->caller, &req, &a->reply, err);
    int64_t got = (int64_t)a->body.n + a->range_first + a->sunk_bytes - a->range_wanted;
    atomic_fetch_add(&s3->received_bytes, got);
    atomic_store(&s3->up, a->status > 0 && a->status < 500);
    return status;
}

static gy_status send_once(struct gy_s3 *s3, const struct s3_request *rq, struct s3_answer *a,
                           struct gy_err *err)
{
    struct header_text t = {.date = ""};
    gy_buf_init(&t.authorization, 8 * GY_KIB);
    gy_status status = send_signed(s3, rq, a, &t, err);
    gy_buf_done(&t.authorization);
    return status;
}

/* ---- what an answer means ---- */

struct meaning {
    const char *code; /* S3's */
    gy_status status;
    bool again;
    const char *hint;
};

#define CHECK_SECRET \
    "check AWS_SECRET_ACCESS_KEY (or the profile's secret): it does not fit the access key"
#define CHECK_REGION "set AWS_REGION to the region of the bucket"
#define TRY_LATER "the object store is overloaded or down: try again later"

static const struct meaning meanings[] = {
    {"SignatureDoesNotMatch", GY_E_DENIED, false, CHECK_SECRET},
    {"InvalidAccessKeyId", GY_E_DENIED, false,
     "check AWS_ACCESS_KEY_ID (or the profile): the object store does not know it"},
    {"XAdminUserNotFound", GY_E_DENIED, false, /* versitygw's word for it */
     "check AWS_ACCESS_KEY_ID (or the profile): the object store does not know it"},
    {"AccessDenied", GY_E_DENIED, false,
     "the keys lack a right: Gyre gets, puts, lists and deletes objects and multipart uploads"},
    {"ExpiredToken", GY_E_DENIED, false, "AWS_SESSION_TOKEN has expired: get new keys"},
    {"InvalidToken", GY_E_DENIED, false, "check AWS_SESSION_TOKEN"},
    {"RequestTimeTooSkewed", GY_E_DENIED, false, "the clock of this machine is wrong: set it"},
    {"NoSuchBucket", GY_E_NOTFOUND, false,
     "there is no such bucket: make it, or give another one with --objects"},
    {"NoSuchKey", GY_E_NOTFOUND, false, NULL},
    {"NoSuchUpload", GY_E_NOTFOUND, false, NULL},
    {"PreconditionFailed", GY_E_CONFLICT, false, NULL},
    {"AuthorizationHeaderMalformed", GY_E_INVALID, false, CHECK_REGION},
    {"PermanentRedirect", GY_E_INVALID, false, CHECK_REGION},
    {"TemporaryRedirect", GY_E_INVALID, false, CHECK_REGION},
    {"IllegalLocationConstraintException", GY_E_INVALID, false, CHECK_REGION},
    {"InvalidBucketName", GY_E_INVALID, false, "give another bucket with --objects"},
    {"EntityTooLarge", GY_E_TOOBIG, false, NULL},
    {"InvalidRequest", GY_E_INVALID, false, NULL},
    {"QuotaExceeded", GY_E_NOSPACE, false, "the quota of the bucket is used up"},
    {"XMinioStorageFull", GY_E_NOSPACE, false, "the object store is full"},
    {"RequestTimeout", GY_E_TIMEOUT, true, TRY_LATER},
    {"SlowDown", GY_E_UNAVAILABLE, true, TRY_LATER},
    {"ServiceUnavailable", GY_E_UNAVAILABLE, true, TRY_LATER},
    {"InternalError", GY_E_UNAVAILABLE, true, TRY_LATER},
    {"OperationAborted", GY_E_UNAVAILABLE, true, TRY_LATER},
    {"BadDigest", GY_E_NETWORK, true, "bytes were damaged on the way"},
    {"XAmzContentSHA256Mismatch", GY_E_NETWORK, true, "bytes were damaged on the way"},
    {"IncompleteBody", GY_E_NETWORK, true, "bytes were lost on the way"},
};

static struct meaning meaning_of(const struct s3_answer *a)
{
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        if (strcmp(meanings[i].code, a->error_code) == 0) {
            return meanings[i];
        }
    }
    int http = a->status;
    if (http == 429 || (http >= 500 && http != 501 && http != 507)) {
        return (struct meaning){NULL, GY_E_UNAVAILABLE, true, TRY_LATER};
    }
    if (http == 507) {
        return (struct meaning){NULL, GY_E_NOSPACE, false, "the object store is full"};
    }
    if (http < 200 || (http >= 300 && http < 400)) {
        return (struct meaning){NULL, GY_E_INVALID, false, CHECK_REGION " and check --s3-endpoint"};
    }
    if (http < 300) { /* an error in an answer of 200, which S3 gives when it had begun to answer */
        return (struct meaning){NULL, GY_E_UNAVAILABLE, true, TRY_LATER};
    }
    return (struct meaning){NULL, http == 403 ? GY_E_DENIED : gy_status_from_http(http), false,
                            http == 403 || http == 401 ? "check the keys for S3 and their rights"
                                                       : NULL};
}

static gy_status explain(const struct gy_s3 *s3, const struct s3_request *rq,
                         const struct s3_answer *a, struct meaning m, struct gy_err *err)
{
    char name[GY_S3_MAX_NAME + 80];
    gy_s3_name(s3, rq->key, name);
    if (a->error_code[0]) {
        gy_err_set(err, m.status, "%.300s: %s (%s)", name,
                   a->error_message[0] ? a->error_message : "the object store refuses",
                   a->error_code);
    } else {
        gy_err_set(err, m.status, "%.300s: the object store answers %d %s", name, a->status,
                   gy_http_reason(a->status));
    }
    if (m.status == GY_E_INVALID && a->bucket_region[0] &&
        strcmp(a->bucket_region, s3->region) != 0) {
        (void)gy_err_hint(err,
                          "the bucket is in the region %s, requests were for %s: set AWS_REGION",
                          a->bucket_region, s3->region);
    } else if (m.hint) {
        (void)gy_err_hint(err, "%s", m.hint);
    }
    return m.status;
}

/* No answer: the transport's error, with what can be done about this peer. */
static gy_status explain_transport(const struct gy_s3 *s3, const struct s3_request *rq,
                                   const struct s3_answer *a, gy_status status, bool *ret_again,
                                   struct gy_err *err)
{
    char name[GY_S3_MAX_NAME + 80];
    gy_s3_name(s3, rq->key, name);
    *ret_again = !a->sink_failed &&
                 (status == GY_E_NETWORK || status == GY_E_TIMEOUT || status == GY_E_UNAVAILABLE);
    gy_err_wrap(err, "%.200s", name);
    if (*ret_again) {
        (void)gy_err_hint(err,
                          "is the object store at %.120s up? --s3-endpoint and --objects say "
                          "where it is",
                          s3->host);
    }
    return status;
}

/* Once. *ret_again: it is worth another try. */
static gy_status try_once(struct gy_s3 *s3, const struct s3_request *rq, struct s3_answer *a,
                          bool *ret_again, struct gy_err *err)
{
    *ret_again = false;
    answer_reset(a);
    gy_status status = send_once(s3, rq, a, err);
    if (status != GY_OK) {
        return explain_transport(s3, rq, a, status, ret_again, err);
    }
    if (!a->sink || a->status >= 300) {
        read_error(a);
    }
    if (a->status >= 200 && a->status < 300 && !a->error_code[0]) {
        return GY_OK;
    }
    if (a->status == 416 && a->range_wanted > a->range_first) {
        return GY_OK; /* what broke off had been all */
    }
    struct meaning m = meaning_of(a);
    *ret_again = m.again;
    return explain(s3, rq, a, m, err);
}

/* A refusal whose Date is far from the time we signed with: take the server's clock from now on. */
static bool correct_clock(struct gy_s3 *s3, const struct s3_answer *a)
{
    if (a->status != 403 || a->date_us < 0 ||
        (a->error_code[0] && strcmp(a->error_code, "RequestTimeTooSkewed") != 0)) {
        return false;
    }
    int64_t skew = a->date_us - gy_now_us(), off = skew - atomic_load(&s3->skew_us);
    if (off < CLOCK_TOLERANCE_US && off > -CLOCK_TOLERANCE_US) {
        return false;
    }
    atomic_store(&s3->skew_us, skew);
    return true;
}

static void sleep_ms(void *ctx, int64_t ms)
{
    (void)ctx;
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR) {
    }
}

/* Doubling, and drawn by chance from the whole span, so that many clients do not come back at
 * once. */
static void wait_before(struct gy_s3 *s3, int next)
{
    int64_t span = GY_S3_WAIT_FIRST_MS;
    for (int i = 2; i < next && span < GY_S3_WAIT_MAX_MS; i++) {
        span *= 2;
    }
    span = span < GY_S3_WAIT_MAX_MS ? span : GY_S3_WAIT_MAX_MS;
    uint64_t seed = (uint64_t)gy_mono_ns() ^ (uint64_t)(uintptr_t)&span;
    struct gy_rng rng;
    gy_rng_init(&rng, seed);
    atomic_fetch_add(&s3->retries, 1);
    s3->wait(s3->wait_ctx, (int64_t)gy_rng_below(&rng, (uint64_t)span) + 1);
}

gy_status gy_s3_perform(struct gy_s3 *s3, const struct s3_request *rq, struct s3_answer *a,
                        struct gy_err *err)
{
    struct gy_err last = GY_ERR_INIT;
    gy_status status = GY_OK;
    bool corrected = false;
    for (int next = 2;; next++) {
        bool again;
        status = try_once(s3, rq, a, &again, &last);
        if (status == GY_OK) {
            return GY_OK;
        }
        if (!corrected && correct_clock(s3, a)) {
            corrected = true;
            atomic_fetch_add(&s3->retries, 1);
            continue;
        }
        if (a->range_first + a->sunk_bytes > a->range_wanted) {
            next = 2;
        }
        if (!again || next > GY_S3_TRIES) {
            break;
        }
        wait_before(s3, next);
    }
    /* NOTFOUND is an answer. */
    atomic_fetch_add(&s3->errors, status != GY_E_NOTFOUND);
    if (err) {
        *err = last;
    }
    return status;
}

/* ---- opening ---- */

/* S3's rule for names, which also keeps them out of trouble in paths and hosts. */
static bool is_bucket(struct gy_str s)
{
    bool ok = s.n >= 3 && s.n <= 63 && s.p[0] != '-' && s.p[0] != '.' && s.p[s.n - 1] != '-' &&
              s.p[s.n - 1] != '.' && gy_str_find_str(s, GY_STR("..")) == SIZE_MAX;
    for (size_t i = 0; i < s.n && ok; i++) {
        char c = s.p[i];
        ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
             (c >= 'A' && c <= 'Z'); /* the last two: old buckets and other servers */
    }
    return ok;
}

/* What stands before an '@' may be a password: it is not shown. */
static gy_status bad_endpoint(const char *endpoint, struct gy_err *err)
{
    const char *at = strrchr(endpoint, '@');
    gy_err_set(err, GY_E_INVALID, "'%s%.200s' is not the endpoint of an object store",
               at ? "***" : "", at ? at : endpoint);
    if (at) {
        return gy_err_hint(err, "keys do not stand in the URL: set AWS_ACCESS_KEY_ID and "
                                "AWS_SECRET_ACCESS_KEY");
    }
    return gy_err_hint(err,
                       "it looks like http://127.0.0.1:9000, or https://{bucket}.s3.example.org "
                       "when the bucket stands in the host");
}

/* The base URL, and from it the Host header and where the bucket goes. */
static gy_status set_endpoint(struct gy_s3 *s3, const char *endpoint, struct gy_buf *url,
                              struct gy_err *err)
{
    struct gy_str bucket = gy_str_c(s3->bucket), mark = GY_STR("{bucket}");
    if (!endpoint || !endpoint[0]) {
        /* A dot in the bucket would not fit the certificate. */
        s3->bucket_in_path = gy_str_find(bucket, '.') != SIZE_MAX;
        gy_buf_addf(url, "https://%s%ss3.%s.amazonaws.com", s3->bucket_in_path ? "" : s3->bucket,
                    s3->bucket_in_path ? "" : ".", s3->region);
    } else {
        struct gy_str e = gy_str_c(endpoint);
        size_t at = gy_str_find_str(e, mark);
        s3->bucket_in_path = at == SIZE_MAX;
        gy_buf_add(url, s3->bucket_in_path ? e : gy_str_sub(e, 0, at));
        if (!s3->bucket_in_path) {
            gy_buf_add(url, bucket);
            gy_buf_add(url, gy_str_sub(e, at + mark.n, SIZE_MAX));
        }
    }
    GY_TRY(gy_buf_check(url, "the endpoint", err));
    struct gy_str host = gy_buf_str(url);
    bool tls = gy_str_starts(host, GY_STR("https://"));
    if (!tls && !gy_str_starts(host, GY_STR("http://"))) {
        return bad_endpoint(url->p, err);
    }
    host = gy_str_sub(host, tls ? 8 : 7, SIZE_MAX);
    while (gy_str_ends(host, GY_STR("/"))) {
        host.n--;
    }
    if (host.n == 0 || host.n >= sizeof s3->host || strcspn(host.p, "/?#@ \t\r\n") < host.n) {
        return bad_endpoint(url->p, err);
    }
    /* Default ports are not sent, and so not signed. */
    struct gy_str port = tls ? GY_STR(":443") : GY_STR(":80");
    host.n -= gy_str_ends(host, port) ? port.n : 0;
    memcpy(s3->host, host.p, host.n);
    return GY_OK;
}

static gy_status set_up(struct gy_s3 *s3, const struct gy_s3_options *o, struct gy_err *err)
{
    char region[GY_S3_MAX_REGION];
    if (!o->bucket || !is_bucket(gy_str_c(o->bucket))) {
        gy_err_set(err, GY_E_INVALID, "'%.80s' is not the name of a bucket",
                   o->bucket ? o->bucket : "");
        return gy_err_hint(err, "3 to 63 letters, digits, '-' and '.': s3://bucket/prefix");
    }
    (void)snprintf(s3->bucket, sizeof s3->bucket, "%s", o->bucket);
    if (o->keys) {
        s3->keys = *o->keys;
        (void)snprintf(region, sizeof region, "us-east-1");
    } else {
        GY_TRY(gy_s3_keys_find(&s3->keys, region, err));
    }
    (void)snprintf(s3->region, sizeof s3->region, "%s", o->region ? o->region : region);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf url;
    gy_buf_init(&url, GY_MAX_PATH);
    GY_TRY(set_endpoint(s3, o->endpoint, &url, err));
    s3->wait = o->wait ? o->wait : sleep_ms;
    s3->wait_ctx = o->wait_ctx;
    if (!s3->caller) {
        GY_TRY(gy_http_client_new(url.p, &s3->caller, err));
        gy_http_client_stall(s3->caller, o->stall_s ? o->stall_s : GY_S3_STALL_S);
    }
    return GY_OK;
}

gy_status gy_s3_open(const struct gy_s3_options *o, struct gy_s3 **ret, struct gy_err *err)
{
    struct gy_s3 *s3 = gy_calloc(1, sizeof *s3);
    if (!s3) {
        gy_caller_free(o->caller);
        return gy_err_set(err, GY_E_NOMEM, "opening the object store");
    }
    s3->caller = o->caller;
    atomic_store(&s3->up, true);
    gy_status status = set_up(s3, o, err);
    if (status != GY_OK) {
        gy_s3_free(s3);
        return status;
    }
    *ret = s3;
    return GY_OK;
}

void gy_s3_free(struct gy_s3 *s3)
{
    if (s3) {
        gy_caller_free(s3->caller);
        explicit_bzero(&s3->keys, sizeof s3->keys);
        gy_free(s3);
    }
}

void gy_s3_get_stats(struct gy_s3 *s3, struct gy_s3_stats *ret)
{
    *ret = (struct gy_s3_stats){.requests = atomic_load(&s3->requests),
                                .retries = atomic_load(&s3->retries),
                                .errors = atomic_load(&s3->errors),
                                .sent_bytes = atomic_load(&s3->sent_bytes),
                                .received_bytes = atomic_load(&s3->received_bytes),
                                .up = atomic_load(&s3->up)};
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The client over a scripted peer: what is sent, what is tried again, what an answer is taken for.
 * That a real server takes its signatures is the business of store/test_objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/time.h"
#include "net/s3.h"

#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define ERROR_XML(code, message)                                             \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>" code "</Code>" \
    "<Message>" message "</Message></Error>"

/* One answer. status 0: none, with the error `failure`. cut: the connection breaks after so many
 * bytes of the body (-1: it does not). */
struct step {
    int status;
    const char *headers; /* "Name: value|Name: value" */
    const char *body;
    gy_status failure;
    long cut;
};

struct peer {
    pthread_mutex_t lock;
    const struct step *steps; /* ends with a step of status -1 */
    size_t at;
    char seen[64][700]; /* "METHOD path?query [range]" of each request */
    char last_headers[2000];
    struct gy_buf last_body;
    size_t n_seen;
    int64_t waits[64];
    size_t n_waits;
    struct gy_s3 *s3;
};

static gy_status peer_reply(const struct step *s, struct gy_reply *reply, struct gy_err *err)
{
    struct gy_header headers[8];
    size_t n = 0;
    struct gy_str rest = gy_str_c(s->headers), piece;
    struct gy_str body = gy_str_c(s->body ? s->body : "");
    while (gy_str_next(&rest, '|', &piece)) {
        assert_true(gy_str_cut(piece, ':', &headers[n].name, &headers[n].value));
        headers[n].value = gy_str_trim(headers[n].value);
        n++;
    }
    GY_TRY(gy_reply_begin(reply, s->status, headers, n, (int64_t)body.n, err));
    struct gy_str sent = s->cut >= 0 ? gy_str_sub(body, 0, (size_t)s->cut) : body;
    if (sent.n) {
        GY_TRY(gy_reply_write(reply, sent, err));
    }
    if (s->cut >= 0) {
        return gy_err_set(err, GY_E_NETWORK, "the peer broke off");
    }
    return gy_reply_end(reply, err);
}

static gy_status peer_call(void *self, struct gy_request *req, struct gy_reply *reply,
                           struct gy_err *err)
{
    struct peer *p = self;
    pthread_mutex_lock(&p->lock);
    struct gy_str range = gy_req_header(req, "Range");
    snprintf(p->seen[p->n_seen++ % 64], sizeof p->seen[0],
             "%" GY_STR_F " %" GY_STR_F "%s%" GY_STR_F "%s%" GY_STR_F, GY_STR_A(req->method),
             GY_STR_A(req->path), req->query.n ? "?" : "", GY_STR_A(req->query), range.n ? " " : "",
             GY_STR_A(range));
    p->last_headers[0] = '\0';
    for (size_t i = 0; i < req->n_headers; i++) {
        size_t n = strlen(p->last_headers);
        snprintf(p->last_headers + n, sizeof p->last_headers - n, "%" GY_STR_F ": %" GY_STR_F "\n",
                 GY_STR_A(req->headers[i].name), GY_STR_A(req->headers[i].value));
    }
    gy_buf_reset(&p->last_body);
    gy_status status = req->body ? gy_req_read_body(req, &p->last_body, err) : GY_OK;
    const struct step *s = &p->steps[p->at];
    if (s->status < 0) {
        fail_msg("one request too many: %s", p->seen[(p->n_seen - 1) % 64]);
    }
    p->at++;
    pthread_mutex_unlock(&p->lock);
    GY_TRY(status);
    return s->status == 0 ? gy_err_set(err, s->failure, "no answer") : peer_reply(s, reply, err);
}

static const struct gy_call_ops peer_ops = {1, "peer", peer_call, NULL};

static void note_wait(void *ctx, int64_t ms)
{
    struct peer *p = ctx;
    p->waits[p->n_waits++ % 64] = ms;
}

static struct gy_s3_keys keys(void)
{
    return (struct gy_s3_keys){.access = "AKIAIOSFODNN7EXAMPLE", .secret = SECRET};
}

static void open_peer_at(struct peer *p, const struct step *steps, const char *endpoint)
{
    *p = (struct peer){.steps = steps};
    pthread_mutex_init(&p->lock, NULL);
    gy_buf_init(&p->last_body, 64 * GY_MIB);
    struct gy_caller *caller = gy_malloc(sizeof *caller);
    *caller = (struct gy_caller){&peer_ops, p};
    struct gy_s3_keys k = keys();
    struct gy_s3_options o = {.bucket = "b-1",
                              .endpoint = endpoint,
                              .keys = &k,
                              .caller = caller,
                              .wait = note_wait,
                              .wait_ctx = p};
    struct gy_err err = GY_ERR_INIT;
    if (gy_s3_open(&o, &p->s3, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
}

static void open_peer(struct peer *p, const struct step *steps)
{
    open_peer_at(p, steps, "http://127.0.0.1:9000");
}

/* All steps were taken. */
static void close_peer(struct peer *p)
{
    assert_int_equal(p->steps[p->at].status, -1);
    gy_s3_free(p->s3);
    gy_buf_done(&p->last_body);
    pthread_mutex_destroy(&p->lock);
}

#define END          \
    {                \
        .status = -1 \
    }
#define STEP(...)              \
    {                          \
        __VA_ARGS__, .cut = -1 \
    }

static gy_status collect(void *ctx, struct gy_str bytes, struct gy_err *err)
{
    gy_buf_add(ctx, bytes);
    return gy_buf_check(ctx, "what was got", err);
}

static void requests_are_as_the_protocol_wants(void **state)
{
    (void)state;
    const struct step steps[] = {STEP(.status = 200), STEP(.status = 200, .headers = "ETag: \"x\""),
                                 STEP(.status = 204), END};
    struct peer p;
    gy_time_set_fake(INT64_C(1369353600) * 1000000);
    open_peer(&p, steps);
    assert_int_equal(gy_s3_put(p.s3, "a b/ü+~", GY_STR("hello"), NULL), GY_OK);
    assert_string_equal(p.seen[0], "PUT /b-1/a%20b/%C3%BC%2B~");
    assert_string_equal(p.last_body.p, "hello");
    assert_non_null(strstr(p.last_headers, "Host: 127.0.0.1:9000\n"));
    assert_non_null(strstr(p.last_headers,
                           "x-amz-content-sha256: "
                           "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\n"));
    assert_non_null(strstr(p.last_headers, "x-amz-date: 20130524T000000Z\n"));
    assert_non_null(strstr(p.last_headers,
                           "Authorization: AWS4-HMAC-SHA256 Credential="
                           "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders="
                           "host;x-amz-content-sha256;x-amz-date,Signature="));
    assert_int_equal(gy_s3_touch(p.s3, "k", NULL), GY_OK);
    assert_string_equal(p.seen[1], "PUT /b-1/k");
    assert_non_null(strstr(p.last_headers, "x-amz-copy-source: /b-1/k\n"));
    assert_non_null(strstr(p.last_headers, "x-amz-metadata-directive: REPLACE\n"));
    assert_int_equal(gy_s3_delete(p.s3, "k", NULL), GY_OK);
    assert_string_equal(p.seen[2], "DELETE /b-1/k");
    close_peer(&p);
    gy_time_set_fake(0);
}

static void where_the_bucket_goes(void **state)
{
    (void)state;
    const struct {
        const char *endpoint, *request, *host;
    } cases[] = {
        {NULL, "HEAD /k", "Host: b-1.s3.us-east-1.amazonaws.com\n"},
        {"https://{bucket}.s3.example.org", "HEAD /k", "Host: b-1.s3.example.org\n"},
        {"https://s3.example.org:443/", "HEAD /b-1/k", "Host: s3.example.org\n"},
        {"http://s3.example.org:80", "HEAD /b-1/k", "Host: s3.example.org\n"},
        {"https://s3.example.org:80", "HEAD /b-1/k", "Host: s3.example.org:80\n"},
        {"http://[::1]:9000", "HEAD /b-1/k", "Host: [::1]:9000\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct step steps[] = {STEP(.status = 200,
                                          .headers = "Last-Modified: Fri, 24 May 2013 00:00:01 GMT",
                                          .body = "12345"),
                                     END};
        int64_t size, modified_us;
        struct peer p;
        open_peer_at(&p, steps, cases[i].endpoint);
        assert_int_equal(gy_s3_head(p.s3, "k", &size, &modified_us, NULL), GY_OK);
        assert_int_equal(size, 5);
        assert_int_equal(modified_us, INT64_C(1369353601) * 1000000);
        assert_string_equal(p.seen[0], cases[i].request);
        assert_non_null(strstr(p.last_headers, cases[i].host));
        close_peer(&p);
    }
}

static void bad_names_are_refused(void **state)
{
    (void)state;
    const char *buckets[] = {NULL,
                             "",
                             "ab",
                             "-ab",
                             "ab-",
                             "a..b",
                             "a/b",
                             "a b",
                             "a?b",
                             "bücket",
                             "0123456789012345678901234567890123456789012345678901234567890123"};
    const char *endpoints[] = {"ftp://x",    "http://",     "127.0.0.1:9000", "http://h/path",
                               "http://u@h", "https://h?x", "http://h h"};
    struct gy_s3_keys k = keys();
    struct gy_s3 *s3 = NULL;
    for (size_t i = 0; i < sizeof buckets / sizeof buckets[0]; i++) {
        struct gy_s3_options o = {.bucket = buckets[i], .keys = &k};
        assert_int_equal(gy_s3_open(&o, &s3, NULL), GY_E_INVALID);
    }
    for (size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++) {
        struct gy_s3_options o = {.bucket = "bucket", .keys = &k, .endpoint = endpoints[i]};
        assert_int_equal(gy_s3_open(&o, &s3, NULL), GY_E_INVALID);
    }
    assert_null(s3);
}

/* These errors go to terminals and logs. */
static void a_password_in_an_endpoint_is_not_shown(void **state)
{
    (void)state;
    struct gy_s3_keys k = keys();
    struct gy_s3 *s3 = NULL;
    struct gy_err err = GY_ERR_INIT;
    struct gy_s3_options o = {
        .bucket = "bucket", .keys = &k, .endpoint = "https://ann:hunter2@s3.example.org"};
    assert_int_equal(gy_s3_open(&o, &s3, &err), GY_E_INVALID);
    assert_non_null(strstr(err.msg, "s3.example.org"));
    assert_null(strstr(err.msg, "hunter2"));
    assert_non_null(strstr(err.hint, "AWS_SECRET_ACCESS_KEY"));
    o.endpoint = NULL; /* of AWS, with a region that is none */
    o.region = "eu/west";
    assert_int_equal(gy_s3_open(&o, &s3, &err), GY_E_INVALID);
    assert_non_null(strstr(err.msg, "s3.eu/west.amazonaws.com"));
}

/* ---- tries ---- */

static void what_passes_by_itself_is_tried_again(void **state)
{
    (void)state;
    const struct step steps[] = {
        STEP(.failure = GY_E_UNAVAILABLE),
        STEP(.status = 500, .body = "<html>oops"),
        STEP(.status = 503, .body = ERROR_XML("SlowDown", "Please reduce your request rate.")),
        STEP(.status = 429),
        STEP(.status = 200, .body = ERROR_XML("InternalError", "We encountered an error.")),
        STEP(.status = 200),
        END};
    struct peer p;
    open_peer(&p, steps);
    assert_int_equal(gy_s3_put(p.s3, "k", GY_STR("hello"), NULL), GY_OK);
    assert_string_equal(p.last_body.p, "hello"); /* the body from its start again */
    assert_int_equal(p.n_waits, 5);
    int64_t span = GY_S3_WAIT_FIRST_MS;
    for (size_t i = 0; i < 5; i++, span *= 2) {
        assert_true(p.waits[i] >= 1 && p.waits[i] <= span);
    }
    struct gy_s3_stats st;
    gy_s3_get_stats(p.s3, &st);
    assert_int_equal(st.requests, 6);
    assert_int_equal(st.retries, 5);
    assert_int_equal(st.errors, 0);
    assert_int_equal(st.sent_bytes, 6 * 5);
    assert_true(st.up);
    close_peer(&p);
}

static void after_all_tries_the_last_failure_is_told(void **state)
{
    (void)state;
    const struct {
        struct step step;
        gy_status status;
        const char *msg;
    } cases[] = {
        {STEP(.status = 503, .body = ERROR_XML("SlowDown", "Please reduce\nyour request rate.")),
         GY_E_UNAVAILABLE, "s3://b-1/k: Please reduce your request rate. (SlowDown)"},
        {STEP(.failure = GY_E_TIMEOUT), GY_E_TIMEOUT, "s3://b-1/k: no answer"},
        {STEP(.failure = GY_E_NETWORK), GY_E_NETWORK, "s3://b-1/k: no answer"},
        {STEP(.status = 502, .body = "<html>Bad gateway</html>"), GY_E_UNAVAILABLE,
         "s3://b-1/k: the object store answers 502 Bad Gateway"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct step steps[GY_S3_TRIES + 1];
        for (size_t k = 0; k < GY_S3_TRIES; k++) {
            steps[k] = cases[i].step;
        }
        steps[GY_S3_TRIES] = (struct step)END;
        struct peer p;
        struct gy_err err = GY_ERR_INIT;
        open_peer(&p, steps);
        assert_int_equal(gy_s3_put(p.s3, "k", GY_STR("hello"), &err), cases[i].status);
        assert_string_equal(err.msg, cases[i].msg);
        assert_true(err.hint[0] && gy_status_retryable(err.code));
        struct gy_s3_stats st;
        gy_s3_get_stats(p.s3, &st);
        assert_int_equal(st.errors, 1);
        assert_false(st.up);
        close_peer(&p);
    }
}

static void what_is_refused_is_not_tried_again(void **state)
{
    (void)state;
    const struct {
        struct step step;
        gy_status status;
        const char *msg, *hint;
    } cases[] = {
        {STEP(.status = 403, .body = ERROR_XML("SignatureDoesNotMatch", "It does not match.")),
         GY_E_DENIED, "s3://b-1/k: It does not match. (SignatureDoesNotMatch)",
         "AWS_SECRET_ACCESS_KEY"},
        {STEP(.status = 403, .body = ERROR_XML("InvalidAccessKeyId", "")), GY_E_DENIED,
         "s3://b-1/k: the object store refuses (InvalidAccessKeyId)", "AWS_ACCESS_KEY_ID"},
        {STEP(.status = 403), GY_E_DENIED, "s3://b-1/k: the object store answers 403 Forbidden",
         "rights"},
        {STEP(.status = 404, .body = ERROR_XML("NoSuchBucket", "No.")), GY_E_NOTFOUND,
         "s3://b-1/k: No. (NoSuchBucket)", "--objects"},
        {STEP(.status = 301, .headers = "x-amz-bucket-region: eu-west-1",
              .body = ERROR_XML("PermanentRedirect", "Elsewhere.")),
         GY_E_INVALID, "s3://b-1/k: Elsewhere. (PermanentRedirect)", "eu-west-1"},
        {STEP(.status = 400, .body = ERROR_XML("EntityTooLarge", "Large.")), GY_E_TOOBIG,
         "s3://b-1/k: Large. (EntityTooLarge)", ""},
        {STEP(.status = 507), GY_E_NOSPACE,
         "s3://b-1/k: the object store answers 507 Insufficient Storage", "full"},
        {STEP(.failure = GY_E_NOMEM), GY_E_NOMEM, "s3://b-1/k: no answer", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct step steps[] = {cases[i].step, END};
        struct peer p;
        struct gy_err err = GY_ERR_INIT;
        open_peer(&p, steps);
        assert_int_equal(gy_s3_put(p.s3, "k", GY_STR("hello"), &err), cases[i].status);
        assert_string_equal(err.msg, cases[i].msg);
        if (!strstr(err.hint, cases[i].hint)) {
            fail_msg("%s: %s", err.msg, err.hint);
        }
        assert_int_equal(p.n_waits, 0);
        assert_null(strstr(err.msg, SECRET));
        close_peer(&p);
    }
}

#define SKEWED ERROR_XML("RequestTimeTooSkewed", "The difference is too large.")
#define SERVER_DATE "Date: Sun, 07 Nov 2027 00:00:00 GMT"

static void a_wrong_clock_is_corrected_once(void **state)
{
    (void)state;
    const struct step steps[] = {
        STEP(.status = 403, .headers = SERVER_DATE, .body = SKEWED),
        STEP(.status = 200),
        STEP(.status = 200),
        STEP(.status = 403, .headers = "Date: Mon, 08 Nov 2027 00:00:00 GMT", .body = SKEWED),
        STEP(.status = 403, .headers = "Date: Mon, 08 Nov 2027 00:00:00 GMT", .body = SKEWED),
        END};
    struct peer p;
    struct gy_err err = GY_ERR_INIT;
    gy_time_set_fake(INT64_C(1369353600) * 1000000);
    open_peer(&p, steps);
    assert_int_equal(gy_s3_put(p.s3, "k", GY_STR("hello"), NULL), GY_OK);
    assert_non_null(strstr(p.last_headers, "x-amz-date: 20271107T000000Z\n"));
    assert_int_equal(gy_s3_put(p.s3, "k", GY_STR("hello"), NULL), GY_OK); /* from now on */
    assert_non_null(strstr(p.last_headers, "x-amz-date: 20271107T000000Z\n"));
    assert_int_equal(gy_s3_put(p.s3, "k", GY_STR("hello"), &err), GY_E_DENIED);
    assert_non_null(strstr(err.hint, "clock"));
    assert_int_equal(p.n_waits, 0);
    close_peer(&p);
    /* HEAD has no body to say so; a Date that is right is no reason. */
    const struct step head[] = {STEP(.status = 403, .headers = SERVER_DATE),
                                STEP(.status = 404, .headers = SERVER_DATE),
                                STEP(.status = 403, .headers = SERVER_DATE), END};
    int64_t size, modified_us;
    open_peer(&p, head);
    assert_int_equal(gy_s3_head(p.s3, "k", &size, &modified_us, NULL), GY_E_NOTFOUND);
    assert_int_equal(gy_s3_head(p.s3, "k", &size, &modified_us, NULL), GY_E_DENIED);
    close_peer(&p);
    gy_time_set_fake(0);
}

/* ---- get ---- */

static void a_broken_download_goes_on_where_it_was(void **state)
{
    (void)state;
    const struct step steps[] = {
        {.status = 200, .body = "0123456789", .cut = 4},
        {.status = 0, .failure = GY_E_NETWORK, .cut = -1},
        {.status = 206, .headers = "Content-Range: bytes 4-9/10", .body = "456789", .cut = 2},
        STEP(.status = 503),
        STEP(.status = 206, .headers = "Content-Range: bytes 5-9/10",
             .body = "56789"),                           /* not asked for */
        {.status = 200, .body = "0123456789", .cut = 8}, /* knows no ranges */
        STEP(.status = 206, .headers = "Content-Range: bytes 8-9/10", .body = "89"),
        END};
    struct peer p;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf got;
    gy_buf_init(&got, GY_MIB);
    open_peer(&p, steps);
    assert_int_equal(gy_s3_get(p.s3, "k", collect, &got, NULL), GY_OK);
    assert_string_equal(got.p, "0123456789");
    assert_string_equal(p.seen[0], "GET /b-1/k");
    assert_string_equal(p.seen[1], "GET /b-1/k bytes=4-");
    assert_string_equal(p.seen[2], "GET /b-1/k bytes=4-");
    assert_string_equal(p.seen[3], "GET /b-1/k bytes=6-");
    assert_string_equal(p.seen[6], "GET /b-1/k bytes=8-");
    struct gy_s3_stats st;
    gy_s3_get_stats(p.s3, &st);
    assert_int_equal(st.received_bytes, 10);
    close_peer(&p);
}

static void a_range_goes_on_where_it_broke(void **state)
{
    (void)state;
    const struct step steps[] = {
        {.status = 206,
         .headers = "Content-Range: bytes 3-7/10|ETag: \"e\"",
         .body = "34567",
         .cut = 2},
        STEP(.status = 206, .headers = "Content-Range: bytes 5-7/10|ETag: \"e\"", .body = "567"),
        STEP(.status = 200, .body = "0123456789"), /* knows no ranges */
        STEP(.status = 412, .body = ERROR_XML("PreconditionFailed", "No.")),
        STEP(.status = 206, .headers = "Content-Range: bytes 0-0/10|ETag: \"f\"", .body = "x"),
        STEP(.status = 416, .body = ERROR_XML("InvalidRange", "No.")),
        STEP(.status = 404, .body = ERROR_XML("NoSuchKey", "No.")),
        STEP(.status = 206, .headers = "Content-Range: bytes 8-9/10",
             .body = "<Error><Code>x</Code></Error>"),
        END};
    struct peer p;
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf got;
    gy_buf_init(&got, GY_MIB);
    open_peer(&p, steps);
    assert_int_equal(gy_s3_get_range(p.s3, "k", "\"e\"", 3, 5, collect, &got, NULL), GY_OK);
    assert_string_equal(got.p, "34567");
    assert_string_equal(p.seen[0], "GET /b-1/k bytes=3-7");
    assert_string_equal(p.seen[1], "GET /b-1/k bytes=5-7");
    assert_non_null(strstr(p.last_headers, "If-Match: \"e\"\n"));
    gy_buf_reset(&got);
    assert_int_equal(gy_s3_get_range(p.s3, "k", NULL, 0, 3, collect, &got, NULL), GY_OK);
    assert_string_equal(got.p, "012");
    assert_string_equal(p.seen[2], "GET /b-1/k bytes=0-2");
    assert_int_equal(gy_s3_get_range(p.s3, "k", "\"e\"", 0, 1, collect, &got, &err), GY_E_CONFLICT);
    assert_non_null(strstr(err.msg, "s3://b-1/k is another object by now"));
    assert_int_equal(gy_s3_get_range(p.s3, "k", "\"e\"", 0, 1, collect, &got, NULL), GY_E_CONFLICT);
    assert_int_equal(gy_s3_get_range(p.s3, "k", NULL, 99, 1, collect, &got, NULL), GY_E_INVALID);
    assert_int_equal(gy_s3_get_range(p.s3, "k", NULL, 0, 1, collect, &got, NULL), GY_E_NOTFOUND);
    gy_buf_reset(&got); /* data that look like an error are none */
    assert_int_equal(gy_s3_get_range(p.s3, "k", NULL, 8, 100, collect, &got, NULL), GY_OK);
    assert_string_equal(got.p, "<Error><Code>x</Code></Error>");
    close_peer(&p);
}

static void a_download_without_headway_ends(void **state)
{
    (void)state;
    struct step steps[GY_S3_TRIES + 2] = {{.status = 200, .body = "0123456789", .cut = 4}};
    for (size_t i = 1; i <= GY_S3_TRIES - 1; i++) {
        steps[i] = (struct step)STEP(.failure = GY_E_NETWORK);
    }
    steps[GY_S3_TRIES] = (struct step)END;
    struct peer p;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf got;
    gy_buf_init(&got, GY_MIB);
    open_peer(&p, steps);
    assert_int_equal(gy_s3_get(p.s3, "k", collect, &got, NULL), GY_E_NETWORK);
    assert_string_equal(got.p, "0123");
    close_peer(&p);
}

static void a_failing_sink_ends_a_download(void **state)
{
    (void)state;
    const struct step steps[] = {STEP(.status = 200, .body = "0123456789"), END};
    struct peer p;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf small;
    gy_buf_init(&small, 5);
    open_peer(&p, steps);
    assert_int_equal(gy_s3_get(p.s3, "k", collect, &small, NULL), GY_E_TOOBIG);
    close_peer(&p);
    const struct step missing[] = {STEP(.status = 404, .body = ERROR_XML("NoSuchKey", "No.")), END};
    open_peer(&p, missing);
    assert_int_equal(gy_s3_get(p.s3, "k", collect, &small, NULL), GY_E_NOTFOUND);
    assert_int_equal(small.n, 0);
    close_peer(&p);
}

/* ---- listings ---- */

static gy_status note_key(void *ctx, const char *key, int64_t size_bytes, int64_t modified_us,
                          struct gy_err *err)
{
    struct gy_buf *b = ctx;
    gy_buf_addf(b, "%s %lld %lld|", key, (long long)size_bytes, (long long)modified_us);
    return gy_buf_check(b, "the keys", err);
}

static gy_status note_upload(void *ctx, const char *key, const char *upload_id, int64_t begun_us,
                             struct gy_err *err)
{
    struct gy_buf *b = ctx;
    gy_buf_addf(b, "%s %s %lld|", key, upload_id, (long long)begun_us);
    return gy_buf_check(b, "the uploads", err);
}

#define KEY(key, size)                                                                  \
    "<Contents><Key>" key "</Key><LastModified>2013-05-24T00:00:00.000Z</LastModified>" \
    "<ETag>&quot;x&quot;</ETag><Size>" size "</Size></Contents>"

static gy_status note_object(void *ctx, const struct gy_s3_object *o, struct gy_err *err)
{
    (void)err;
    gy_buf_addf(ctx, "%s %s %lld|", o->key, o->etag, (long long)o->size_bytes);
    return GY_OK;
}

static void listings_tell_contents_apart(void **state)
{
    (void)state;
    const struct step steps[] = {
        STEP(.status = 200,
             .body =
                 "<ListBucketResult><Contents><Key>a</Key><ETag>&quot;e1&quot;</ETag><Size>5</Size>"
                 "</Contents><Contents><Key>b</Key><Size>6</Size></Contents></ListBucketResult>"),
        END};
    struct peer p;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf got;
    gy_buf_init(&got, GY_MIB);
    open_peer(&p, steps);
    assert_int_equal(gy_s3_list_objects(p.s3, "", note_object, &got, NULL), GY_OK);
    assert_string_equal(got.p, "a \"e1\" 5|b  6|");
    close_peer(&p);
}

static void listings_are_read_page_by_page(void **state)
{
    (void)state;
    const struct step steps[] = {
        STEP(.status = 200,
             .body = "<ListBucketResult><Name>b-1</Name><IsTruncated>true</IsTruncated>" KEY(
                 "p/a&amp;b",
                 "1") "<NextContinuationToken>1+/=</NextContinuationToken></ListBucketResult>"),
        STEP(.status = 200, .body = "<ListBucketResult>" KEY(
                                "p/c", "22") "<IsTruncated>false</IsTruncated></ListBucketResult>"),
        STEP(.status = 200,
             .body =
                 "<ListMultipartUploadsResult><Upload><Key>p/a</Key><UploadId>u&lt;1</UploadId>"
                 "<Initiated>2013-05-24T00:00:00Z</Initiated></Upload><IsTruncated>true</"
                 "IsTruncated>"
                 "<NextKeyMarker>p/a</NextKeyMarker><NextUploadIdMarker>u 1</NextUploadIdMarker>"
                 "</ListMultipartUploadsResult>"),
        STEP(.status = 200, .body = "<ListMultipartUploadsResult></ListMultipartUploadsResult>"),
        END};
    struct peer p;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf got;
    gy_buf_init(&got, GY_MIB);
    open_peer(&p, steps);
    assert_int_equal(gy_s3_list(p.s3, "p/", note_key, &got, NULL), GY_OK);
    assert_string_equal(got.p, "p/a&b 1 1369353600000000|p/c 22 1369353600000000|");
    assert_string_equal(p.seen[0], "GET /b-1?list-type=2&max-keys=1000&prefix=p%2F");
    assert_string_equal(
        p.seen[1], "GET /b-1?list-type=2&max-keys=1000&prefix=p%2F&continuation-token=1%2B%2F%3D");
    gy_buf_reset(&got);
    assert_int_equal(gy_s3_uploads(p.s3, "p/", note_upload, &got, NULL), GY_OK);
    assert_string_equal(got.p, "p/a u<1 1369353600000000|");
    assert_string_equal(
        p.seen[3],
        "GET /b-1?uploads&max-uploads=1000&prefix=p%2F&key-marker=p%2Fa&upload-id-marker=u%201");
    close_peer(&p);
}

#define KEY_OF_SIZE_MINUS_1 ("<ListBucketResult>" KEY("a", "-1") "</ListBucketResult>")
#define YESTERDAY                                                         \
    ("<ListBucketResult><Contents><LastModified>yesterday</LastModified>" \
     "</Contents></ListBucketResult>")

static void listings_that_make_no_sense_are_errors(void **state)
{
    (void)state;
    const char *bad[] = {"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
                         "<ListBucketResult>",
                         "gone",
                         KEY_OF_SIZE_MINUS_1,
                         YESTERDAY,
                         "<L/><ListBucketResult/>"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct step steps[] = {STEP(.status = 200, .body = bad[i]), END};
        struct peer p;
        GY_AUTO_DONE(gy_buf_done) struct gy_buf got;
        gy_buf_init(&got, GY_MIB);
        open_peer(&p, steps);
        assert_int_not_equal(gy_s3_list(p.s3, "p/", note_key, &got, NULL), GY_OK);
        assert_int_equal(got.n, 0);
        close_peer(&p);
    }
    const struct step console[] = {STEP(.status = 200, .body = "<html><body/></html>"), END};
    struct peer p;
    struct gy_err err = GY_ERR_INIT;
    open_peer(&p, console);
    assert_int_equal(gy_s3_check(p.s3, &err), GY_E_NETWORK);
    assert_non_null(strstr(err.hint, "console"));
    close_peer(&p);
}

/* ---- multipart ---- */

static int file_of(int64_t size)
{
    int fd = memfd_create("object", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, size), 0);
    return fd;
}

static bool was_asked(const struct peer *p, const char *request)
{
    for (size_t i = 0; i < p->n_seen && i < 64; i++) {
        if (strcmp(p->seen[i], request) == 0) {
            return true;
        }
    }
    return false;
}

#define BEGUN                                                                             \
    STEP(.status = 200, .body = "<InitiateMultipartUploadResult><UploadId>u/1</UploadId>" \
                                "</InitiateMultipartUploadResult>")
#define PART STEP(.status = 200, .headers = "ETag: \"<e>\"")

static void a_large_file_goes_in_parts(void **state)
{
    (void)state;
    const struct step steps[] = {
        BEGUN, PART, PART, PART, STEP(.status = 200, .body = "<CompleteMultipartUploadResult/>"),
        END};
    int fd = file_of(GY_S3_ONE_PUT_BYTES + 1);
    struct peer p;
    open_peer(&p, steps);
    assert_int_equal(gy_s3_put_file(p.s3, "k", fd, GY_S3_ONE_PUT_BYTES + 1, "", NULL), GY_OK);
    assert_string_equal(p.seen[0], "POST /b-1/k?uploads");
    assert_true(was_asked(&p, "PUT /b-1/k?partNumber=1&uploadId=u%2F1"));
    assert_true(was_asked(&p, "PUT /b-1/k?partNumber=2&uploadId=u%2F1"));
    assert_true(was_asked(&p, "PUT /b-1/k?partNumber=3&uploadId=u%2F1"));
    assert_string_equal(p.seen[4], "POST /b-1/k?uploadId=u%2F1");
#define SENT(n) "<Part><PartNumber>" n "</PartNumber><ETag>\"&lt;e&gt;\"</ETag></Part>"
    assert_string_equal(p.last_body.p, "<CompleteMultipartUpload>" SENT("1") SENT("2")
                                           SENT("3") "</CompleteMultipartUpload>");
    close_peer(&p);
    close(fd);
}

static void a_failed_upload_is_taken_back(void **state)
{
    (void)state;
    /* How many parts are sent before the first refusal is seen depends on the threads, hence the
     * completion is what fails. */
    const struct step steps[] = {BEGUN,
                                 PART,
                                 PART,
                                 PART,
                                 STEP(.status = 200, .body = ERROR_XML("AccessDenied", "No.")),
                                 STEP(.status = 404),
                                 STEP(.status = 204),
                                 END};
    int fd = file_of(GY_S3_ONE_PUT_BYTES + 1);
    struct peer p;
    open_peer(&p, steps);
    assert_int_equal(gy_s3_put_file(p.s3, "k", fd, GY_S3_ONE_PUT_BYTES + 1, "", NULL), GY_E_DENIED);
    assert_string_equal(p.seen[p.n_seen - 1], "DELETE /b-1/k?uploadId=u%2F1");
    close_peer(&p);
    /* The file becomes shorter under way: nothing is completed. */
    const struct step shorter[] = {BEGUN, PART, PART, STEP(.status = 204), END};
    open_peer(&p, shorter);
    assert_int_equal(ftruncate(fd, GY_S3_ONE_PUT_BYTES), 0);
    assert_int_equal(gy_s3_put_file(p.s3, "k", fd, GY_S3_ONE_PUT_BYTES + 1, "", NULL), GY_E_IO);
    assert_string_equal(p.seen[p.n_seen - 1], "DELETE /b-1/k?uploadId=u%2F1");
    gy_s3_free(p.s3); /* of the two good parts one may not have been begun */
    gy_buf_done(&p.last_body);
    close(fd);
}

static void a_lost_answer_to_the_completion_is_looked_up(void **state)
{
    (void)state;
    const struct step steps[] = {BEGUN,
                                 PART,
                                 PART,
                                 PART,
                                 STEP(.failure = GY_E_TIMEOUT),
                                 STEP(.status = 404, .body = ERROR_XML("NoSuchUpload", "No.")),
                                 STEP(.status = 503),
                                 STEP(.status = 404),
                                 STEP(.status = 204),
                                 END};
    int fd = file_of(GY_S3_ONE_PUT_BYTES + 1);
    struct peer p;
    open_peer(&p, steps);
    assert_int_equal(gy_s3_put_file(p.s3, "k", fd, GY_S3_ONE_PUT_BYTES + 1, "", NULL),
                     GY_E_NOTFOUND);
    assert_string_equal(p.seen[6], "HEAD /b-1/k");
    close_peer(&p);
    close(fd);
}

/* ---- keys ---- */

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void forget_environment(void)
{
    const char *names[] = {"AWS_ACCESS_KEY_ID",           "AWS_SECRET_ACCESS_KEY",
                           "AWS_SESSION_TOKEN",           "AWS_REGION",
                           "AWS_DEFAULT_REGION",          "AWS_PROFILE",
                           "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        unsetenv(names[i]);
    }
}

static void keys_come_from_environment_or_profile(void **state)
{
    (void)state;
    char home[] = "/tmp/gyre-s3-XXXXXX", path[64], region[GY_S3_MAX_REGION];
    struct gy_s3_keys k;
    struct gy_err err = GY_ERR_INIT;
    assert_non_null(mkdtemp(home));
    forget_environment();
    setenv("HOME", home, 1);
    assert_int_equal(gy_s3_keys_find(&k, region, &err), GY_E_DENIED);
    assert_non_null(strstr(err.hint, "AWS_ACCESS_KEY_ID"));
    snprintf(path, sizeof path, "%s/cred", home);
    write_file(path,
               "# mine\n[default]\naws_access_key_id = A1\r\naws_secret_access_key=S1=/+\n"
               "#aws_session_token = no\n[other]\naws_access_key_id=A2\naws_secret_access_key=S2\n"
               "aws_session_token = T2\nregion=eu-west-2\n[half]\naws_access_key_id=A3\n"
               "[bad]\naws_access_key_id=A 4\naws_secret_access_key=S4\n");
    setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    assert_int_equal(gy_s3_keys_find(&k, region, NULL), GY_OK);
    assert_string_equal(k.access, "A1");
    assert_string_equal(k.secret, "S1=/+");
    assert_string_equal(k.token, "");
    assert_string_equal(region, "us-east-1");
    setenv("AWS_PROFILE", "other", 1);
    assert_int_equal(gy_s3_keys_find(&k, region, NULL), GY_OK);
    assert_string_equal(k.access, "A2");
    assert_string_equal(k.token, "T2");
    assert_string_equal(region, "eu-west-2");
    setenv("AWS_PROFILE", "half", 1);
    assert_int_equal(gy_s3_keys_find(&k, region, NULL), GY_E_DENIED);
    setenv("AWS_PROFILE", "bad", 1);
    assert_int_equal(gy_s3_keys_find(&k, region, &err), GY_E_INVALID);
    assert_null(strstr(err.msg, "A 4"));
    snprintf(path, sizeof path, "%s/conf", home);
    write_file(
        path,
        "[default]\nregion=x\n[profile half]\nregion = ap-south-1\naws_secret_access_key=S3\n");
    setenv("AWS_CONFIG_FILE", path, 1);
    setenv("AWS_PROFILE", "half", 1);
    assert_int_equal(gy_s3_keys_find(&k, region, NULL), GY_OK);
    assert_string_equal(k.secret, "S3");
    assert_string_equal(region, "ap-south-1");
    setenv("AWS_ACCESS_KEY_ID", "A9", 1);
    assert_int_equal(gy_s3_keys_find(&k, region, NULL), GY_E_INVALID); /* one without the other */
    setenv("AWS_SECRET_ACCESS_KEY", "S9", 1);
    setenv("AWS_DEFAULT_REGION", "us-west-1", 1);
    assert_int_equal(gy_s3_keys_find(&k, region, NULL), GY_OK);
    assert_string_equal(k.access, "A9");
    assert_string_equal(k.token, ""); /* not the profile's */
    assert_string_equal(region, "us-west-1");
    setenv("AWS_REGION", "us-west-2", 1);
    assert_int_equal(gy_s3_keys_find(&k, region, NULL), GY_OK);
    assert_string_equal(region, "us-west-2");
    setenv("AWS_SECRET_ACCESS_KEY", "S9\n", 1);
    assert_int_equal(gy_s3_keys_find(&k, region, &err), GY_E_INVALID);
    forget_environment();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_as_the_protocol_wants),
        cmocka_unit_test(where_the_bucket_goes),
        cmocka_unit_test(bad_names_are_refused),
        cmocka_unit_test(a_password_in_an_endpoint_is_not_shown),
        cmocka_unit_test(what_passes_by_itself_is_tried_again),
        cmocka_unit_test(after_all_tries_the_last_failure_is_told),
        cmocka_unit_test(what_is_refused_is_not_tried_again),
        cmocka_unit_test(a_wrong_clock_is_corrected_once),
        cmocka_unit_test(a_broken_download_goes_on_where_it_was),
        cmocka_unit_test(a_range_goes_on_where_it_broke),
        cmocka_unit_test(a_download_without_headway_ends),
        cmocka_unit_test(a_failing_sink_ends_a_download),
        cmocka_unit_test(listings_tell_contents_apart),
        cmocka_unit_test(listings_are_read_page_by_page),
        cmocka_unit_test(listings_that_make_no_sense_are_errors),
        cmocka_unit_test(a_large_file_goes_in_parts),
        cmocka_unit_test(a_failed_upload_is_taken_back),
        cmocka_unit_test(a_lost_answer_to_the_completion_is_looked_up),
        cmocka_unit_test(keys_come_from_environment_or_profile),
    };
    return cmocka_run_group_tests_name("s3", tests, NULL, NULL);
}

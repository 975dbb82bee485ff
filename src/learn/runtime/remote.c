/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/runtime/remote.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/time.h"
#include "net/deadline.h"
#include "net/http_client.h"

#define MAX_TOKEN 4096
#define RETRY_PAUSE_MS 50

struct gy_remote {
    struct gy_caller *caller;
    struct gy_oip_spec spec;
    int64_t timeout_ms;
    bool no_circuit;
    char token[MAX_TOKEN + sizeof "Bearer "]; /* the header's value; "" when none */
    char path[GY_MAX_PATH];                   /* of infer */
    pthread_mutex_t lock;                     /* guards what follows */
    int failures;                             /* one after the other */
    int64_t closed_until_ns;                  /* the circuit is open until then; 0: it is not */
    int64_t open_ms;                          /* how long the next time */
    bool looking;                             /* one request is out to see */
    int64_t silent_ns;                        /* since when the hurried get no answer; 0: they do */
    char last[256];                           /* what failed last */
};

/* ---- the URL and the token ---- */

gy_status gy_remote_check_url(struct gy_str url, struct gy_err *err)
{
    bool secure = gy_str_starts(url, GY_STR("https://"));
    struct gy_str rest = gy_str_sub(url, secure ? 8 : 7, url.n);
    struct gy_str host = rest;
    struct gy_str path = GY_STR("");
    (void)gy_str_cut(rest, '/', &host, &path);
    bool good =
        (secure || gy_str_starts(url, GY_STR("http://"))) && host.n > 0 && url.n < GY_MAX_PATH / 2;
    for (size_t i = 0; good && i < url.n; i++) {
        good = url.p[i] > ' ' && url.p[i] < 0x7f && !strchr("?#\"<>\\^`{|}", url.p[i]);
    }
    if (good && gy_str_find(rest, '@') != SIZE_MAX) {
        (void)gy_err_set(err, GY_E_INVALID, "a URL with a user in it would show everywhere");
        return gy_err_hint(err, "--token-env GYRE_TOKEN_NAME names a variable of the server's "
                                "environment that holds the token");
    }
    if (good) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_INVALID, "that is not the URL of an upstream");
    return gy_err_hint(err, "it looks like http://host:8080 or https://host/prefix, without a "
                            "query");
}

static gy_status put_token(struct gy_remote *r, struct gy_str token, struct gy_err *err)
{
    token = gy_str_trim(token);
    if (token.n == 0 || token.n > MAX_TOKEN) {
        return gy_err_set(err, GY_E_INVALID, "the upstream's token is empty or too long");
    }
    for (size_t i = 0; i < token.n; i++) {
        if (token.p[i] <= ' ' || token.p[i] >= 0x7f) {
            return gy_err_set(err, GY_E_INVALID,
                              "the upstream's token has a character that none "
                              "can have");
        }
    }
    (void)snprintf(r->token, sizeof r->token, "Bearer %" GY_STR_F, GY_STR_A(token));
    return GY_OK;
}

static gy_status token_of_env(struct gy_remote *r, struct gy_str name, struct gy_err *err)
{
    char text[GY_MAX_NAME + 1];
    if (!gy_str_starts(name, GY_STR(GY_REMOTE_TOKEN_PREFIX)) || name.n > GY_MAX_NAME ||
        gy_str_eqc(name, GY_REMOTE_TOKEN_DIR)) {
        return gy_err_set(
            err, GY_E_INVALID,
            "the variable of an upstream's token must begin with " GY_REMOTE_TOKEN_PREFIX);
    }
    (void)snprintf(text, sizeof text, "%" GY_STR_F, GY_STR_A(name));
    const char *value = getenv(text);
    if (!value) {
        (void)gy_err_set(err, GY_E_NOTFOUND, "the environment variable %s is not set", text);
        return gy_err_hint(err, "start the server with it: %s=... gyre server", text);
    }
    return put_token(r, gy_str_c(value), err);
}

static gy_status token_of_file(struct gy_remote *r, struct gy_str name, struct gy_err *err)
{
    char path[GY_MAX_PATH], text[GY_MAX_NAME + 1];
    const char *dir = getenv(GY_REMOTE_TOKEN_DIR);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes = {0};
    if (name.n == 0 || name.n > GY_MAX_NAME || gy_str_find(name, '/') != SIZE_MAX ||
        name.p[0] == '.') {
        return gy_err_set(err, GY_E_INVALID,
                          "the file of an upstream's token is a name without folders");
    }
    if (!dir || !dir[0]) {
        (void)gy_err_set(err, GY_E_NOTFOUND,
                         "the upstream needs a token from a file, and no "
                         "folder of tokens is known");
        return gy_err_hint(err, "start the server with " GY_REMOTE_TOKEN_DIR "=FOLDER");
    }
    gy_buf_init(&bytes, MAX_TOKEN + 2);
    (void)snprintf(text, sizeof text, "%" GY_STR_F, GY_STR_A(name));
    GY_TRY(gy_path_join(path, sizeof path, dir, text, err));
    GY_TRY(gy_file_read(path, &bytes, err));
    return put_token(r, gy_buf_str(&bytes), err);
}

/* ---- life ---- */

static gy_status init(struct gy_remote *r, const struct gy_remote_options *o, struct gy_err *err)
{
    char url[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path = {0};
    r->spec = *o->spec;
    r->timeout_ms = o->timeout_ms;
    r->no_circuit = o->no_circuit;
    r->open_ms = GY_REMOTE_OPEN_MS;
    if (!gy_str_starts(o->url, GY_STR("unix:"))) {
        GY_TRY(gy_remote_check_url(o->url, err));
    }
    if (o->token_env.p) {
        GY_TRY(token_of_env(r, o->token_env, err));
    } else if (o->token_file.p) {
        GY_TRY(token_of_file(r, o->token_file, err));
    }
    gy_buf_init(&path, sizeof r->path - 1);
    GY_TRY(gy_oip_path(&r->spec, "/infer", &path, err));
    (void)snprintf(r->path, sizeof r->path, "%s", path.p);
    (void)snprintf(url, sizeof url, "%" GY_STR_F, GY_STR_A(o->url));
    GY_TRY(gy_http_client_new(url, &r->caller, err));
    gy_http_client_timeout(r->caller, r->timeout_ms);
    if (o->guarded) {
        gy_http_client_guard(r->caller);
    }
    return GY_OK;
}

gy_status gy_remote_new(const struct gy_remote_options *o, struct gy_remote **ret,
                        struct gy_err *err)
{
    struct gy_remote *r = gy_calloc(1, sizeof *r);
    if (!r) {
        return gy_err_set(err, GY_E_NOMEM, "a remote model");
    }
    (void)pthread_mutex_init(&r->lock, NULL); /* an error-free default mutex */
    gy_status status = init(r, o, err);
    if (status != GY_OK) {
        gy_remote_free(r);
        return status;
    }
    *ret = r;
    return GY_OK;
}

void gy_remote_free(struct gy_remote *r)
{
    if (r) {
        gy_caller_free(r->caller);
        (void)pthread_mutex_destroy(&r->lock);
        memset(r->token, 0, sizeof r->token);
        gy_free(r);
    }
}

/* ---- the circuit ---- */

static gy_status is_open(const struct gy_remote *r, int64_t now, struct gy_err *err)
{
    int64_t left_ms = (r->closed_until_ns - now) / 1000000;
    return gy_err_set(err, GY_E_UNAVAILABLE,
                      "the upstream failed %d times one after the other, last: %s; it is asked "
                      "again in %lld ms",
                      r->failures, r->last, (long long)(left_ms > 0 ? left_ms : 0));
}

/* May a request go out? *ret_look: it is the one that goes to see. */
static gy_status enter(struct gy_remote *r, bool *ret_look, struct gy_err *err)
{
    int64_t now = gy_mono_ns();
    gy_status status = GY_OK;
    *ret_look = false;
    (void)pthread_mutex_lock(&r->lock);
    if (r->closed_until_ns) {
        if (now < r->closed_until_ns || r->looking) {
            status = is_open(r, now, err);
        } else {
            *ret_look = r->looking = true;
        }
    }
    (void)pthread_mutex_unlock(&r->lock);
    return status;
}

/* hurried: it had less than half of the time that the upstream has, which does not count as a
 * failure until nobody had an answer for as long as that. */
static void leave(struct gy_remote *r, bool look, bool hurried, gy_status status, const char *why)
{
    int64_t now = gy_mono_ns();
    /* That it refuses rows says that it is there. */
    bool failed = status != GY_OK && status != GY_E_INVALID && status != GY_E_NOMEM;
    (void)pthread_mutex_lock(&r->lock);
    r->looking = look ? false : r->looking;
    if (hurried && (!r->silent_ns || now - r->silent_ns < r->timeout_ms * 1000000)) {
        r->silent_ns = r->silent_ns ? r->silent_ns : now;
    } else if (!failed) {
        r->silent_ns = 0;
        r->failures = 0;
        r->closed_until_ns = 0;
        r->open_ms = GY_REMOTE_OPEN_MS;
    } else {
        r->failures++;
        (void)snprintf(r->last, sizeof r->last, "%s", why);
        if (!r->no_circuit && (look || r->failures == GY_REMOTE_FAILURES)) {
            r->closed_until_ns = now + r->open_ms * 1000000;
            r->open_ms =
                r->open_ms * 2 < GY_REMOTE_OPEN_MAX_MS ? r->open_ms * 2 : GY_REMOTE_OPEN_MAX_MS;
        }
    }
    (void)pthread_mutex_unlock(&r->lock);
}

gy_status gy_remote_ready(struct gy_remote *r, struct gy_err *err)
{
    gy_status status = GY_OK;
    (void)pthread_mutex_lock(&r->lock);
    if (r->closed_until_ns) {
        status = is_open(r, gy_mono_ns(), err);
    }
    (void)pthread_mutex_unlock(&r->lock);
    return status;
}

/* ---- a request ---- */

/* What an answer above 400 means for who asked us. The upstream's own words come along, since they
 * say what is wrong with the rows; not those about who we are. */
static gy_status of_status(int http, struct gy_str body, struct gy_err *err)
{
    struct gy_err said = GY_ERR_INIT;
    char text[300] = "";
    (void)gy_error_of_answer(http, body, &said);
    (void)snprintf(text, sizeof text, "%.280s", said.msg);
    if (http == 401 || http == 403) {
        return gy_err_set(err, GY_E_NETWORK, "the upstream refuses this server (HTTP %d)", http);
    }
    if (http == 400 || http == 422 || http == 413) {
        return gy_err_set(err, GY_E_INVALID, "the upstream refuses the request: %s", text);
    }
    if (http == 429 || http == 503) {
        return gy_err_set(err, GY_E_UNAVAILABLE, "the upstream is not available: %s", text);
    }
    if (http == 504 || http == 408) {
        return gy_err_set(err, GY_E_TIMEOUT, "the upstream timed out: %s", text);
    }
    return gy_err_set(err, GY_E_NETWORK, "the upstream answers HTTP %d: %s", http, text);
}

/* Rounded up: what is left of a millisecond is not nothing. */
static int64_t left_ms(const struct gy_remote *r, int64_t deadline_ns)
{
    int64_t left = deadline_ns ? (deadline_ns - gy_mono_ns() + 999999) / 1000000 : r->timeout_ms;
    return left < r->timeout_ms ? left : r->timeout_ms;
}

static gy_status too_late(const struct gy_remote *r, struct gy_err *err)
{
    return gy_err_set(err, GY_E_TIMEOUT, "the upstream did not answer within %lld ms",
                      (long long)r->timeout_ms);
}

/* Its message would name the URL and what a person at a terminal may do. */
static gy_status of_transport(const struct gy_remote *r, gy_status status, struct gy_err *err)
{
    switch ((int)status) {
    case GY_E_TIMEOUT:
        return too_late(r, err);
    case GY_E_UNAVAILABLE:
        return gy_err_set(err, GY_E_UNAVAILABLE, "nobody answers at the upstream's address");
    case GY_E_NOMEM:
    case GY_E_TOOBIG:
        return gy_err_set(err, status == GY_E_NOMEM ? GY_E_NOMEM : GY_E_NETWORK,
                          status == GY_E_NOMEM ? "memory for an answer"
                                               : "the upstream's answer is too long");
    default:
        return gy_err_set(err, GY_E_NETWORK, "the upstream broke off");
    }
}

struct message {
    const char *method, *path;
    struct gy_str body;
    size_t json_bytes;
};

static gy_status send_once(struct gy_remote *r, const struct message *m, int64_t deadline_ns,
                           struct gy_collect *answer, bool *ret_sent, struct gy_err *err)
{
    char length[24], timeout[24];
    struct gy_header headers[5];
    struct gy_mem_reader reader;
    size_t n = 0;
    int64_t left = left_ms(r, deadline_ns);
    *ret_sent = false;
    if (left <= 0) {
        return too_late(r, err);
    }
    if (m->body.p) {
        headers[n++] = (struct gy_header){GY_STR("Content-Type"),
                                          m->json_bytes ? GY_STR("application/octet-stream")
                                                        : GY_STR("application/json")};
    }
    if (m->json_bytes) {
        (void)snprintf(length, sizeof length, "%zu", m->json_bytes);
        headers[n++] =
            (struct gy_header){GY_STR("Inference-Header-Content-Length"), gy_str_c(length)};
    }
    /* One that knows the header does not begin what nobody will wait for. */
    (void)snprintf(timeout, sizeof timeout, "%lldms", (long long)left);
    headers[n++] = (struct gy_header){GY_STR(GY_DEADLINE_HEADER), gy_str_c(timeout)};
    if (r->token[0]) {
        headers[n++] = (struct gy_header){GY_STR("Authorization"), gy_str_c(r->token)};
    }
    struct gy_request req = {.method = gy_str_c(m->method),
                             .path = gy_str_c(m->path),
                             .headers = headers,
                             .n_headers = n,
                             .body = m->body.p ? gy_mem_reader_init(&reader, m->body) : NULL};
    gy_collect_reset(answer);
    gy_status status = gy_http_client_call(r->caller, &req, &answer->reply, left, ret_sent, NULL);
    return status == GY_OK ? GY_OK : of_transport(r, status, err);
}

/* Again only when it can have been seen by nobody. */
static gy_status exchange(struct gy_remote *r, const struct message *m, int64_t deadline_ns,
                          struct gy_collect *answer, struct gy_err *err)
{
    bool sent = false;
    gy_status status = send_once(r, m, deadline_ns, answer, &sent, err);
    if (status == GY_E_UNAVAILABLE && !sent && left_ms(r, deadline_ns) > 2 * RETRY_PAUSE_MS) {
        const struct timespec pause = {.tv_nsec = RETRY_PAUSE_MS * 1000000};
        (void)nanosleep(&pause, NULL); /* a signal only shortens it */
        status = send_once(r, m, deadline_ns, answer, &sent, err);
    }
    GY_TRY(status);
    return answer->status == 200 ? GY_OK
                                 : of_status(answer->status, gy_buf_str(&answer->body), err);
}

/* *ret_http: how it was answered; 0: it was not. */
static gy_status ask(struct gy_remote *r, const double *x, size_t n_rows, double *out,
                     int64_t deadline_ns, int *ret_http, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body = {0};
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    struct message m = {.method = "POST", .path = r->path};
    gy_collect_init(&answer, GY_OIP_MAX_ANSWER);
    gy_buf_init(&body, GY_MAX_REPLY);
    GY_TRY(gy_oip_write(&r->spec, x, n_rows, &body, &m.json_bytes, err));
    m.body = gy_buf_str(&body);
    gy_status status = exchange(r, &m, deadline_ns, &answer, err);
    *ret_http = answer.status;
    GY_TRY(status);
    struct gy_str header = gy_collect_header(&answer, "Inference-Header-Content-Length");
    int64_t json_bytes = 0;
    if (header.p && gy_parse_i64(header, 1, (int64_t)answer.body.n, &json_bytes, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_NETWORK, "the upstream's answer has a header that is wrong");
    }
    return gy_oip_read(&r->spec, gy_buf_str(&answer.body), (size_t)json_bytes, n_rows, out, err);
}

gy_status gy_remote_run(struct gy_remote *r, const double *x, size_t n_rows, double *out,
                        int64_t deadline_ns, struct gy_err *err)
{
    struct gy_err why = GY_ERR_INIT;
    bool look = false;
    int http = 0;
    bool hurried = deadline_ns && deadline_ns < gy_mono_ns() + r->timeout_ms * 500000;
    GY_TRY(enter(r, &look, err));
    gy_status status = ask(r, x, n_rows, out, deadline_ns, &http, &why);
    /* Busy (503) may mean: too busy for so little time. */
    leave(r, look, hurried && (status == GY_E_TIMEOUT || http == 503), status, why.msg);
    if (status != GY_OK && err) {
        *err = why;
    }
    return status;
}

gy_status gy_remote_get(struct gy_remote *r, const char *path, yyjson_doc **ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    gy_collect_init(&answer, GY_OIP_MAX_ANSWER);
    GY_TRY(exchange(r, &(struct message){.method = "GET", .path = path}, 0, &answer, err));
    return gy_json_parse(gy_buf_str(&answer.body), ret, NULL) == GY_OK
               ? GY_OK
               : gy_err_set(err, GY_E_NETWORK, "the upstream's answer to GET %s is no JSON", path);
}

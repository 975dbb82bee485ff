/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/dl.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/unix_path.h"

enum { MAX_IDLE = 16, MAX_HEADERS = 128, CONNECT_TIMEOUT_MS = 10000 };

/* What we use of libcurl, filled by gy_dl_open. */
static struct {
    __typeof__(curl_global_init) *global_init;
    __typeof__(curl_easy_init) *easy_init;
    __typeof__(curl_easy_setopt) *easy_setopt;
    __typeof__(curl_easy_perform) *easy_perform;
    __typeof__(curl_easy_getinfo) *easy_getinfo;
    __typeof__(curl_easy_reset) *easy_reset;
    __typeof__(curl_easy_cleanup) *easy_cleanup;
    __typeof__(curl_easy_strerror) *easy_strerror;
    __typeof__(curl_slist_append) *slist_append;
    __typeof__(curl_slist_free_all) *slist_free_all;
} g_curl;
static void *g_curl_handle;
static pthread_once_t g_curl_once = PTHREAD_ONCE_INIT;

struct client {
    char base[GY_MAX_PATH]; /* "http://host:port" without trailing slash */
    char name[GY_MAX_PATH]; /* as given, for messages */
    char unix_path[GY_UNIX_PATH_MAX];
    int unix_dir_fd; /* -1, or what unix_path goes through */
    bool no_proxy, guarded;
    int64_t timeout_ms;   /* 0: none */
    long stall_s;         /* 0: none */
    pthread_mutex_t lock; /* guards idle */
    CURL *idle[MAX_IDLE];
    size_t n_idle;
};

/* One request under way; lives on the caller's stack. */
struct transfer {
    struct gy_request *req;
    struct gy_reply *reply;
    struct gy_arena arena; /* answer headers until begin */
    struct gy_header headers[MAX_HEADERS];
    size_t n_headers;
    int status;
    int64_t size_bytes;
    int64_t timeout_ms; /* of this call; 0: none */
    bool unsent;        /* there was no connection */
    gy_status failed;   /* of our side: reply or body reader */
    struct gy_err err;
};

static void init_curl_library(void)
{
    (void)g_curl.global_init(CURL_GLOBAL_DEFAULT); /* a failure shows as a failing easy_init */
}

static gy_status load_curl(struct gy_err *err)
{
#define SYMBOL(name)                                 \
    {                                                \
        "curl_" #name, (void **)(void *)&g_curl.name \
    }
    const struct gy_dl_symbol symbols[] = {
        SYMBOL(global_init),  SYMBOL(easy_init),      SYMBOL(easy_setopt),  SYMBOL(easy_perform),
        SYMBOL(easy_getinfo), SYMBOL(easy_reset),     SYMBOL(easy_cleanup), SYMBOL(easy_strerror),
        SYMBOL(slist_append), SYMBOL(slist_free_all),
    };
#undef SYMBOL
    GY_TRY(gy_dl_open(&g_curl_handle, "libcurl.so.4", "libcurl4", symbols,
                      sizeof symbols / sizeof symbols[0], err));
    (void)pthread_once(&g_curl_once, init_curl_library); /* fails only for a bad control object */
    return GY_OK;
}

static CURL *take_handle(struct client *c)
{
    CURL *h = NULL;
    (void)pthread_mutex_lock(&c->lock); /* an error-free default mutex */
    if (c->n_idle) {
        h = c->idle[--c->n_idle];
    }
    (void)pthread_mutex_unlock(&c->lock);
    return h ? h : g_curl.easy_init();
}

/* Back among the idle ones, with its live connection. */
static void give_handle(struct client *c, CURL *h)
{
    g_curl.easy_reset(h);
    (void)pthread_mutex_lock(&c->lock);
    bool kept = c->n_idle < MAX_IDLE;
    if (kept) {
        c->idle[c->n_idle++] = h;
    }
    (void)pthread_mutex_unlock(&c->lock);
    if (!kept) {
        g_curl.easy_cleanup(h);
    }
}

static void add_header(struct transfer *t, struct gy_str line)
{
    struct gy_str name;
    struct gy_str value;
    if (!gy_str_cut(line, ':', &name, &value) || t->n_headers == MAX_HEADERS) {
        return; /* surplus headers are of no use to any caller of ours */
    }
    value = gy_str_trim(value);
    if (gy_str_ieq(name, GY_STR("content-length"))) {
        if (gy_parse_i64(value, 0, INT64_MAX, &t->size_bytes, NULL) != GY_OK) {
            t->size_bytes = -1;
        }
    }
    struct gy_header h = {gy_arena_str(&t->arena, name), gy_arena_str(&t->arena, value)};
    if (!h.name.p || !h.value.p) {
        t->failed = gy_err_set(&t->err, GY_E_NOMEM, "out of memory for the headers of an answer");
        return;
    }
    t->headers[t->n_headers++] = h;
}

static size_t on_header(char *line, size_t one, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    struct gy_str text = gy_str_trim(gy_str_n(line, one * n));
    if (gy_str_starts(text, GY_STR("HTTP/"))) {
        t->n_headers = 0; /* the next block: what came before was a 100 Continue */
        t->size_bytes = -1;
        int64_t status = 0;
        size_t blank = gy_str_find(text, ' ');
        struct gy_str digits = blank == SIZE_MAX ? GY_STR_NULL : gy_str_sub(text, blank + 1, 3);
        if (gy_parse_i64(digits, 100, 999, &status, NULL) != GY_OK) {
            status = 0; /* libcurl refuses such an answer itself */
        }
        t->status = (int)status;
    } else {
        add_header(t, text);
    }
    return t->failed == GY_OK ? one * n : 0;
}

static gy_status begin_reply(struct transfer *t)
{
    if (!t->reply->begun) {
        t->failed = t->reply->ops->begin(t->reply, t->status, t->headers, t->n_headers,
                                         t->size_bytes, &t->err);
        t->reply->begun = true;
    }
    return t->failed;
}

static size_t on_body(char *bytes, size_t one, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    if (begin_reply(t) == GY_OK) {
        t->failed = t->reply->ops->write(t->reply, gy_str_n(bytes, one * n), &t->err);
    }
    return t->failed == GY_OK ? one * n : 0; /* another count than asked for makes libcurl stop */
}

static size_t on_send(char *to, size_t one, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    size_t got = 0;
    t->failed = t->req->body->read(t->req->body, to, one * n, &got, &t->err);
    return t->failed == GY_OK ? got : CURL_READFUNC_ABORT;
}

static gy_status set_url(struct client *c, CURL *h, const struct gy_request *req,
                         struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf url;
    gy_buf_init(&url, 64 * GY_KIB);
    gy_buf_addc(&url, c->base);
    gy_buf_add(&url, req->path);
    if (req->query.n) {
        gy_buf_add_char(&url, '?');
        gy_buf_add(&url, req->query);
    }
    GY_TRY(gy_buf_check(&url, "the URL", err));
    if (g_curl.easy_setopt(h, CURLOPT_URL, url.p) != CURLE_OK) { /* libcurl copies it */
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a URL");
    }
    return GY_OK;
}

static gy_status build_headers(const struct gy_request *req, struct curl_slist **ret,
                               struct gy_err *err)
{
    /* No "Expect: 100-continue": it costs a round trip, and our bodies are wanted. */
    struct curl_slist *list = g_curl.slist_append(NULL, "Expect:");
    for (size_t i = 0; list && i < req->n_headers; i++) {
        char line[8192];
        int n =
            snprintf(line, sizeof line, "%.*s: %.*s", (int)req->headers[i].name.n,
                     req->headers[i].name.p, (int)req->headers[i].value.n, req->headers[i].value.p);
        if (n < 0 || (size_t)n >= sizeof line) {
            g_curl.slist_free_all(list);
            return gy_err_set(err, GY_E_TOOBIG, "a request header is longer than %zu bytes",
                              sizeof line);
        }
        struct curl_slist *longer = g_curl.slist_append(list, line);
        if (!longer) {
            g_curl.slist_free_all(list);
        }
        list = longer;
    }
    if (!list) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for request headers");
    }
    *ret = list;
    return GY_OK;
}

/* libcurl asks for a socket to an address that it has resolved. */
static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
    (void)ctx;
    (void)purpose;
    bool link_local = false;
    if (a->family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, &a->addr, sizeof in);
        link_local = ntohl(in.sin_addr.s_addr) >> 16 == 0xa9fe;
    } else if (a->family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, (const void *)&a->addr, sizeof in);
        const unsigned char *b = in.sin6_addr.s6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&in.sin6_addr) && b[12] == 169 && b[13] == 254;
        link_local = mapped || IN6_IS_ADDR_LINKLOCAL(&in.sin6_addr);
    }
    return link_local ? CURL_SOCKET_BAD
                      : socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* Options of a known type can not fail but for memory, which easy_perform then reports. */
static void set_options(struct client *c, CURL *h, struct transfer *t, struct curl_slist *headers)
{
    char method[32];
    (void)snprintf(method, sizeof method, "%" GY_STR_F, GY_STR_A(t->req->method));
    g_curl.easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    g_curl.easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    int64_t limit = c->timeout_ms;
    if (t->timeout_ms && (!limit || t->timeout_ms < limit)) {
        limit = t->timeout_ms;
    }
    g_curl.easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)limit);
    if (c->guarded) {
        g_curl.easy_setopt(h, CURLOPT_OPENSOCKETFUNCTION, open_socket);
        g_curl.easy_setopt(h, CURLOPT_PROXY, ""); /* a proxy would resolve the name itself */
    }
    g_curl.easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    g_curl.easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    g_curl.easy_setopt(h, CURLOPT_HEADERDATA, t);
    g_curl.easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    g_curl.easy_setopt(h, CURLOPT_WRITEDATA, t);
    g_curl.easy_setopt(h, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    g_curl.easy_setopt(h, CURLOPT_PATH_AS_IS, 1L); /* what was signed is what is sent */
    if (c->stall_s) {
        g_curl.easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
        g_curl.easy_setopt(h, CURLOPT_LOW_SPEED_TIME, c->stall_s);
    }
    if (c->unix_path[0]) {
        g_curl.easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, c->unix_path);
    }
    const char *ca_file = getenv("GYRE_CA_FILE");
    if (ca_file && ca_file[0]) {
        g_curl.easy_setopt(h, CURLOPT_CAINFO, ca_file);
    }
    if (c->no_proxy) {
        g_curl.easy_setopt(h, CURLOPT_PROXY, "");
    }
    if (t->req->body) {
        g_curl.easy_setopt(h, CURLOPT_UPLOAD, 1L);
        g_curl.easy_setopt(h, CURLOPT_READFUNCTION, on_send);
        g_curl.easy_setopt(h, CURLOPT_READDATA, t);
        g_curl.easy_setopt(h, CURLOPT_INFILESIZE_LARGE, (curl_off_t)t->req->body->size_bytes);
    } else if (strcmp(method, "HEAD") == 0) {
        g_curl.easy_setopt(h, CURLOPT_NOBODY, 1L);
    } else if (strcmp(method, "GET") != 0 && strcmp(method, "DELETE") != 0) {
        g_curl.easy_setopt(h, CURLOPT_POSTFIELDS, ""); /* a Content-Length of 0 rather than none */
    }
    g_curl.easy_setopt(h, CURLOPT_CUSTOMREQUEST, method);
}

static gy_status explain(const struct client *c, struct transfer *t, CURLcode code,
                         struct gy_err *err)
{
    if (t->failed != GY_OK) {
        if (err) {
            *err = t->err;
        }
        return t->failed;
    }
    const char *where = c->name;
    if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST) {
        gy_err_set(err, GY_E_UNAVAILABLE, "nothing answers at %s", where);
        (void)gy_err_hint(err, "is the server running? `gyre server` starts one");
        return GY_E_UNAVAILABLE;
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return gy_err_set(err, GY_E_TIMEOUT, "%s did not answer in time", where);
    }
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) {
        gy_err_set(err, GY_E_NETWORK, "the certificate of %s is not trusted: %s", where,
                   g_curl.easy_strerror(code));
        (void)gy_err_hint(err, "GYRE_CA_FILE names a PEM file with the authority that signed it");
        return GY_E_NETWORK;
    }
    if (code == CURLE_OUT_OF_MEMORY) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a request");
    }
    return gy_err_set(err, GY_E_NETWORK, "%s: %s", where, g_curl.easy_strerror(code));
}

static gy_status perform(struct client *c, CURL *h, struct transfer *t, struct gy_err *err)
{
    struct curl_slist *headers = NULL;
    GY_TRY(set_url(c, h, t->req, err));
    GY_TRY(build_headers(t->req, &headers, err));
    set_options(c, h, t, headers);
    CURLcode code = g_curl.easy_perform(h);
    g_curl.slist_free_all(headers);
    if (code != CURLE_OK) {
        t->unsent = code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST;
        return explain(c, t, code, err);
    }
    if (begin_reply(t) == GY_OK) {
        t->failed = t->reply->ops->end(t->reply, &t->err);
        t->reply->ended = true;
    }
    return t->failed == GY_OK ? GY_OK : explain(c, t, code, err);
}

static gy_status transfer(struct client *c, struct transfer *t, struct gy_err *err)
{
    CURL *h = take_handle(c);
    if (!h) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a request");
    }
    gy_arena_init(&t->arena, GY_MIB);
    gy_status status = perform(c, h, t, err);
    gy_arena_done(&t->arena);
    give_handle(c, h);
    return status;
}

static gy_status client_call(void *self, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    struct transfer t = {.req = req, .reply = reply, .size_bytes = -1};
    return transfer(self, &t, err);
}

static void client_free(void *self)
{
    struct client *c = self;
    for (size_t i = 0; i < c->n_idle; i++) {
        g_curl.easy_cleanup(c->idle[i]);
    }
    (void)pthread_mutex_destroy(&c->lock); /* nobody holds it any more */
    if (c->unix_dir_fd >= 0) {
        (void)close(c->unix_dir_fd);
    }
    gy_free(c);
}

static const struct gy_call_ops client_ops = {1, "http", client_call, client_free};

static gy_status parse_url(struct client *c, const char *url, struct gy_err *err)
{
    struct gy_str s = gy_str_c(url);
    while (gy_str_ends(s, GY_STR("/"))) {
        s.n--;
    }
    if (s.n >= sizeof c->base) {
        return gy_err_set(err, GY_E_INVALID, "the server's URL is too long");
    }
    (void)snprintf(c->name, sizeof c->name, "%" GY_STR_F, GY_STR_A(s));
    if (gy_str_starts(s, GY_STR("unix:/"))) {
        GY_TRY(gy_unix_path(url + 5, c->unix_path, &c->unix_dir_fd, err));
        (void)snprintf(c->base, sizeof c->base, "http://localhost");
        c->no_proxy = true;
        return GY_OK;
    }
    struct gy_str rest = gy_str_sub(s, gy_str_starts(s, GY_STR("https://")) ? 8 : 7, s.n);
    if ((!gy_str_starts(s, GY_STR("http://")) && !gy_str_starts(s, GY_STR("https://"))) ||
        rest.n == 0) {
        gy_err_set(err, GY_E_INVALID, "'%s' is not the URL of a server", url);
        return gy_err_hint(err, "it looks like http://127.0.0.1:5000");
    }
    memcpy(c->base, s.p, s.n);
    c->no_proxy = gy_str_starts(rest, GY_STR("127.")) || gy_str_starts(rest, GY_STR("localhost")) ||
                  gy_str_starts(rest, GY_STR("[::1]"));
    return GY_OK;
}

gy_status gy_http_client_new(const char *url, struct gy_caller **ret, struct gy_err *err)
{
    struct client *c = gy_calloc(1, sizeof *c);
    struct gy_caller *caller = gy_calloc(1, sizeof *caller);
    if (!c || !caller) {
        gy_free(c);
        gy_free(caller);
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    c->unix_dir_fd = -1;
    (void)pthread_mutex_init(&c->lock, NULL); /* a default mutex can not fail on Linux */
    gy_status status = parse_url(c, url, err);
    if (status == GY_OK) {
        status = load_curl(err);
    }
    if (status != GY_OK) {
        client_free(c);
        gy_free(caller);
        return status;
    }
    *caller = (struct gy_caller){&client_ops, c};
    *ret = caller;
    return GY_OK;
}

void gy_http_client_timeout(struct gy_caller *c, int64_t timeout_ms)
{
    GY_REQUIRE(c->ops == &client_ops && timeout_ms >= 0);
    ((struct client *)c->self)->timeout_ms = timeout_ms;
}

void gy_http_client_stall(struct gy_caller *c, long stall_s)
{
    GY_REQUIRE(c->ops == &client_ops && stall_s >= 0);
    ((struct client *)c->self)->stall_s = stall_s;
}

void gy_http_client_guard(struct gy_caller *c)
{
    GY_REQUIRE(c->ops == &client_ops);
    ((struct client *)c->self)->guarded = true;
}

gy_status gy_http_client_call(struct gy_caller *c, struct gy_request *req, struct gy_reply *reply,
                              int64_t timeout_ms, bool *ret_sent, struct gy_err *err)
{
    GY_REQUIRE(c->ops == &client_ops && timeout_ms >= 0);
    struct transfer t = {.req = req, .reply = reply, .size_bytes = -1, .timeout_ms = timeout_ms};
    gy_status status = transfer(c->self, &t, err);
    if (ret_sent) {
        *ret_sent = !t.unsent;
    }
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "net/exchange.h"

/* Status lines ready made: this stands on the path of every answer. */
static struct gy_str status_line(int status, char out[64])
{
    if (status == 200) {
        return GY_STR("HTTP/1.1 200 OK\r\n");
    }
    GY_REQUIRE(status >= 100 && status <= 999);
    struct gy_str reason = gy_str_c(gy_http_reason(status));
    memcpy(out, "HTTP/1.1 ", 9);
    out[9] = (char)('0' + status / 100);
    out[10] = (char)('0' + status / 10 % 10);
    out[11] = (char)('0' + status % 10);
    out[12] = ' ';
    memcpy(out + 13, reason.p, reason.n); /* the longest known one has 31 bytes */
    memcpy(out + 13 + reason.n, "\r\n", 2);
    return gy_str_n(out, 15 + reason.n);
}

static void add_line(struct gy_buf *out, struct gy_str name, struct gy_str value)
{
    gy_buf_add(out, name);
    gy_buf_add(out, GY_STR(": "));
    size_t at = out->n;
    gy_buf_add(out, value);
    for (size_t i = at; i < out->n; i++) {
        unsigned char c = (unsigned char)out->p[i];
        if (c == '\r' || c == '\n' || c == '\0') {
            out->p[i] = ' '; /* a value from outside must not become a header of its own */
        }
    }
    gy_buf_add(out, GY_STR("\r\n"));
}

static void add_length(struct gy_buf *out, int64_t n)
{
    char text[48] = "Content-Length: ";
    char digits[20];
    size_t k = 0, at = 16;
    do {
        digits[k++] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    while (k) {
        text[at++] = digits[--k];
    }
    text[at++] = '\r';
    text[at++] = '\n';
    gy_buf_add_bytes(out, text, at);
}

/* Framing is the server's business, whatever a handler thinks of it. */
static bool is_ours(struct gy_str name)
{
    static const struct gy_str ours[] = {{"Content-Length", 14},
                                         {"Transfer-Encoding", 17},
                                         {"Connection", 10},
                                         {"Keep-Alive", 10},
                                         {"Date", 4},
                                         {"X-Request-Id", 12},
                                         {"X-Content-Type-Options", 22},
                                         {"Upgrade", 7}};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        if (gy_str_ieq(name, ours[i])) {
            return true;
        }
    }
    return false;
}

static void add_cors(struct gy_buf *out, struct gy_str origin)
{
    add_line(out, GY_STR("Access-Control-Allow-Origin"), origin);
    if (!gy_str_eqc(origin, "*")) {
        gy_buf_add(out, GY_STR("Vary: Origin\r\n"));
    }
    gy_buf_add(out, GY_STR("Access-Control-Expose-Headers: Gyre-Prediction-Id, Gyre-Revision, "
                           "Gyre-Model-Version, X-Request-Id, Retry-After\r\n"));
}

void gy_head_write(struct gy_buf *out, const struct gy_head_out *h)
{
    char line[64];
    bool bodyless = h->status == 204 || h->status == 304 || h->status < 200;
    gy_buf_add(out, status_line(h->status, line));
    add_line(out, GY_STR("Date"), gy_str_c(h->date));
    if (h->content_type) {
        add_line(out, GY_STR("Content-Type"), gy_str_c(h->content_type));
    }
    for (size_t i = 0; i < h->n_headers; i++) {
        if (!is_ours(h->headers[i].name)) {
            add_line(out, h->headers[i].name, h->headers[i].value);
        }
    }
    if (h->extra) {
        gy_buf_addc(out, h->extra);
    }
    if (bodyless) {
        /* no framing at all: RFC 9110, 8.6 */
    } else if (h->body_bytes >= 0) {
        add_length(out, h->body_bytes);
    } else if (!h->http10) {
        gy_buf_add(out, GY_STR("Transfer-Encoding: chunked\r\n"));
    }
    gy_buf_add(out, GY_STR("X-Content-Type-Options: nosniff\r\n"));
    if (h->cors.n) {
        add_cors(out, h->cors);
    }
    if (h->request_id.n) {
        add_line(out, GY_STR("X-Request-Id"), h->request_id);
    }
    if (h->close) {
        gy_buf_add(out, GY_STR("Connection: close\r\n"));
    } else if (h->http10) {
        gy_buf_add(out, GY_STR("Connection: keep-alive\r\n"));
    }
    gy_buf_add(out, GY_STR("\r\n"));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of other origins (the Fetch standard's CORS): which may read answers, and what a browser is
 * told that asks beforehand. Cookies are never asked for: such pages send a token or nothing. */
#include "net/server_internal.h"

#include <stdio.h>

#define MAX_ASKED 512 /* bytes of Access-Control-Request-Headers that are repeated */

/* scheme://host[:port], as browsers write it. */
static bool is_origin(struct gy_str s)
{
    size_t at = gy_str_find_str(s, GY_STR("://"));
    struct gy_str rest = at == SIZE_MAX ? GY_STR("") : gy_str_sub(s, at + 3, s.n);
    bool good = at != SIZE_MAX && at > 0 && rest.n > 0;
    for (size_t i = 0; good && i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        good = c > ' ' && c < 0x7f && c != ',' && c != '"' && (i < at + 3 || c != '/');
    }
    return good;
}

gy_status gy_cors_check(struct gy_str origins, struct gy_err *err)
{
    struct gy_str rest = origins, one;
    bool any = false;
    while (gy_str_next(&rest, ',', &one)) {
        one = gy_str_trim(one);
        if (!is_origin(one) && !gy_str_eqc(one, "*")) {
            (void)gy_err_set(err, GY_E_USAGE, "'%.*s' is no origin",
                             (int)(one.n < 200 ? one.n : 200), one.p);
            return gy_err_hint(err, "an origin is written as in https://app.example or "
                                    "http://localhost:8080, without a path; * is any");
        }
        any = true;
    }
    return any ? GY_OK : gy_err_set(err, GY_E_USAGE, "no origin was given");
}

struct gy_str gy_cors_allows(const struct gy_server *s, struct gy_str origin)
{
    struct gy_str rest = gy_str_c(s->cors), one;
    while (s->cors && gy_str_next(&rest, ',', &one)) {
        one = gy_str_trim(one);
        if (gy_str_eqc(one, "*") || gy_str_ieq(one, origin)) {
            return one;
        }
    }
    return GY_STR_NULL;
}

static struct gy_str header(const struct gy_http_head *h, const char *name)
{
    for (size_t i = 0; i < h->n_headers; i++) {
        if (gy_str_ieq(h->headers[i].name, gy_str_c(name))) {
            return h->headers[i].value;
        }
    }
    return GY_STR_NULL;
}

bool gy_cors_is_preflight(const struct gy_http_head *h)
{
    return gy_str_eqc(h->method, "OPTIONS") && header(h, "Access-Control-Request-Method").p;
}

void gy_cors_preflight(const struct gy_http_head *h, char out[GY_CORS_HEADERS])
{
    struct gy_str asked = header(h, "Access-Control-Request-Headers");
    bool good = asked.n > 0 && asked.n <= MAX_ASKED;
    for (size_t i = 0; good && i < asked.n; i++) {
        unsigned char c = (unsigned char)asked.p[i];
        good = c >= ' ' && c < 0x7f;
    }
    (void)snprintf(out, GY_CORS_HEADERS,
                   "Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n%s%.*s%s"
                   "Access-Control-Max-Age: 600\r\n",
                   good ? "Access-Control-Allow-Headers: " : "", good ? (int)asked.n : 0,
                   good ? asked.p : "", good ? "\r\n" : "");
}

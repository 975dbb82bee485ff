/* SPDX-License-Identifier: Apache-2.0 */
/* A server on loopback without login trusts whoever reaches it. A browser on the same machine
 * reaches it for any page that it shows: by a name that was rebound to 127.0.0.1 (then Host is that
 * name), or by a form or script that posts across origins (then Origin is that page). */
#include "net/server_internal.h"

static struct gy_str without_port(struct gy_str host)
{
    size_t end = 0;
    if (host.n && host.p[0] == '[') {
        end = gy_str_find(host, ']');
        return end == SIZE_MAX ? host : gy_str_sub(host, 0, end + 1);
    }
    end = gy_str_find(host, ':');
    return end == SIZE_MAX ? host : gy_str_sub(host, 0, end);
}

static bool is_local_name(const struct gy_server *s, struct gy_str host)
{
    static const struct gy_str names[] = {{"localhost", 9}, {"127.0.0.1", 9}, {"[::1]", 5}};
    host = without_port(host);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (gy_str_ieq(host, names[i])) {
            return true;
        }
    }
    return gy_str_ieq(host, gy_str_c(s->host));
}

static struct gy_str host_of_origin(struct gy_str origin)
{
    size_t at = gy_str_find_str(origin, GY_STR("://"));
    return at == SIZE_MAX ? GY_STR("") : gy_str_sub(origin, at + 3, origin.n);
}

bool gy_guard_is_loopback(const char *host)
{
    struct gy_str h = gy_str_c(host);
    return gy_str_ieq(h, GY_STR("localhost")) || gy_str_eqc(h, "::1") ||
           gy_str_starts(h, GY_STR("127."));
}

gy_status gy_guard_check(const struct gy_server *s, const struct gy_http_head *h,
                         enum gy_peer_kind peer, const char **ret_why)
{
    if (peer == GY_PEER_UNIX || !s->check_host) {
        return GY_OK; /* the file mode, or the login, guards those */
    }
    if (h->host.p && !is_local_name(s, h->host)) {
        *ret_why = "this Host is not served here";
        return GY_E_DENIED;
    }
    bool reads = gy_str_eqc(h->method, "GET") || gy_str_eqc(h->method, "HEAD") ||
                 gy_str_eqc(h->method, "OPTIONS");
    if (!reads && h->origin.p && !is_local_name(s, host_of_origin(h->origin))) {
        *ret_why = "a page of another origin may not do this";
        return GY_E_DENIED;
    }
    return GY_OK;
}

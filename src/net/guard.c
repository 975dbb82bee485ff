/* SPDX-License-Identifier: Apache-2.0 */
/* A server on loopback without login trusts whoever reaches it, and a browser remembers a login. A
 * browser reaches a server for any page that it shows: by a name that was rebound to the server's
 * address (then Host is that name), or by a form or script that posts across origins (then Origin
 * is that page). Bound to every address, the names by which it is asked are not known: without
 * --allowed-hosts each Host is served then, and a page may write only to where it came from. */
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

static bool is_local_name(struct gy_str host)
{
    static const struct gy_str names[] = {{"localhost", 9}, {"127.0.0.1", 9}, {"[::1]", 5}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (gy_str_ieq(host, names[i])) {
            return true;
        }
    }
    return false;
}

/* The address that is listened on, or a name from --allowed-hosts. A bound IPv6 address has no
 * brackets, a Host has. */
static bool is_given_name(const struct gy_server *s, struct gy_str host)
{
    struct gy_str bare = host, rest = gy_str_c(s->allowed_hosts), name;
    if (host.n == 0) { /* "Origin: null", which any page can have sent */
        return false;
    }
    if (host.n > 2 && host.p[0] == '[') {
        bare = gy_str_sub(host, 1, host.n - 2);
    }
    if (gy_str_ieq(host, gy_str_c(s->host)) || gy_str_ieq(bare, gy_str_c(s->host))) {
        return true;
    }
    while (gy_str_next(&rest, ',', &name)) {
        if (gy_str_ieq(host, gy_str_trim(name))) {
            return true;
        }
    }
    return false;
}

static bool any_host(const struct gy_server *s)
{
    return !s->check_host || (s->allowed_hosts && strcmp(s->allowed_hosts, "*") == 0);
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

bool gy_guard_is_wildcard(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0 || host[0] == '\0';
}

/* A page may write to where it came from. On loopback local pages are trusted as local programs
 * are; elsewhere a page on the user's own machine is as foreign as any. */
static bool is_own_page(const struct gy_server *s, const struct gy_http_head *h)
{
    struct gy_str from = host_of_origin(h->origin), name = without_port(from);
    return is_given_name(s, name) || (gy_guard_is_loopback(s->host) && is_local_name(name)) ||
           (from.n && gy_str_ieq(from, h->host));
}

gy_status gy_guard_check(const struct gy_server *s, const struct gy_http_head *h,
                         enum gy_peer_kind peer, bool cors, const char **ret_why)
{
    if (peer == GY_PEER_UNIX) {
        return GY_OK; /* the file mode guards that */
    }
    struct gy_str host = without_port(h->host);
    if (h->host.p && !any_host(s) && !is_local_name(host) && !is_given_name(s, host)) {
        *ret_why = "this Host is not served here";
        return GY_E_DENIED;
    }
    bool reads = gy_str_eqc(h->method, "GET") || gy_str_eqc(h->method, "HEAD") ||
                 gy_str_eqc(h->method, "OPTIONS");
    if (!reads && !cors && h->origin.p && !is_own_page(s, h)) {
        *ret_why = "a page of another origin may not do this";
        return GY_E_DENIED;
    }
    return GY_OK;
}

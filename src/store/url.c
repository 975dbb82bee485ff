/* SPDX-License-Identifier: Apache-2.0 */
#include "store/url.h"

#include <stdio.h>

/* scheme://user:password@rest?query; without "//" all is rest. */
struct parts {
    struct gy_str scheme; /* with "://" */
    struct gy_str user;   /* absent: no '@' */
    bool secret;
    struct gy_str rest;  /* up to the '?' */
    struct gy_str query; /* after it; absent: none */
};

/* A password that was not escaped may hold '@', '/' and '?': the last '@' ends it. One in a value
 * of the query makes too much of the URL the user's part, which is the safe side. */
static size_t last_at(struct gy_str s)
{
    size_t i = s.n;
    while (i > 0 && s.p[i - 1] != '@') {
        i--;
    }
    return i;
}

static struct parts split(const char *url)
{
    struct parts p = {.rest = gy_str_c(url ? url : "")};
    size_t colon = gy_str_find_str(p.rest, GY_STR("://"));
    if (colon != SIZE_MAX) {
        p.scheme = gy_str_sub(p.rest, 0, colon + 3);
        p.rest = gy_str_sub(p.rest, colon + 3, SIZE_MAX);
        size_t at = last_at(p.rest);
        if (at > 0) {
            p.user = gy_str_sub(p.rest, 0, at - 1);
            p.rest = gy_str_sub(p.rest, at, SIZE_MAX);
            size_t name = 0;
            while (name < p.user.n && !memchr(":/?#", p.user.p[name], 4)) {
                name++;
            }
            p.secret = name < p.user.n;
            p.user = gy_str_sub(p.user, 0, name);
        }
    }
    struct gy_str all = p.rest;
    (void)gy_str_cut(all, '?', &p.rest, &p.query); /* without one, all is rest */
    return p;
}

static void add(char out[GY_STORE_URL_SHOWN], struct gy_str s)
{
    size_t n = strlen(out);
    (void)snprintf(out + n, GY_STORE_URL_SHOWN - n, "%" GY_STR_F, GY_STR_A(s));
}

static bool is_secret(struct gy_str name)
{
    char lower[64] = "";
    for (size_t i = 0; i < name.n && i + 1 < sizeof lower; i++) {
        lower[i] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] + 32 : name.p[i]);
    }
    /* "%70assword" is read as password, too: what is escaped in a name is not shown. */
    return strstr(lower, "pass") || strstr(lower, "secret") || strstr(lower, "key") ||
           strchr(lower, '%');
}

const char *gy_store_url_show(const char *url, char out[GY_STORE_URL_SHOWN])
{
    struct parts p = split(url);
    struct gy_str pair;
    out[0] = '\0';
    add(out, p.scheme);
    if (p.user.p) {
        add(out, p.user);
        add(out, p.secret ? GY_STR(":***@") : GY_STR("@"));
    }
    add(out, p.rest);
    for (const char *sep = "?"; p.query.p && gy_str_next(&p.query, '&', &pair); sep = "&") {
        struct gy_str name, value;
        bool has_value = gy_str_cut(pair, '=', &name, &value);
        add(out, gy_str_c(sep));
        add(out, has_value && is_secret(name) ? name : pair);
        add(out, has_value && is_secret(name) ? GY_STR("=***") : GY_STR(""));
    }
    return out;
}

const char *gy_store_url_place(const char *url, char out[GY_STORE_URL_SHOWN])
{
    struct parts p = split(url);
    struct gy_str pair;
    const char *sep = "?";
    out[0] = '\0';
    add(out, p.scheme);
    add(out, p.rest);
    while (p.query.p && gy_str_next(&p.query, '&', &pair)) {
        struct gy_str name, value;
        (void)gy_str_cut(pair, '=', &name, &value); /* an option without a value is no place */
        if (gy_str_eqc(name, "host") || gy_str_eqc(name, "port") || gy_str_eqc(name, "dbname")) {
            add(out, gy_str_c(sep));
            add(out, pair);
            sep = "&";
        }
    }
    return out;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/ignore.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

struct pattern {
    struct gy_str text; /* without '!', the '/' in front and behind */
    bool negated, only_dirs, anchored, literal;
};

struct gy_dvc_rules {
    const struct gy_dvc_rules *above; /* asked when nothing here matches */
    struct gy_dvc_rules *next;        /* in the list of what g owns */
    size_t prefix;                    /* bytes of "folder/" in front of a path */
    struct pattern *patterns;
    size_t n;
    char *text;
};

struct gy_dvc_ignore {
    char root[GY_MAX_PATH];
    const char *name;
    pthread_mutex_t mutex; /* of all_rules */
    struct gy_dvc_rules *all_rules;
    const struct gy_dvc_rules *defaults;
};

/* ---- one name ---- */

static bool class_named(struct gy_str name, unsigned char c)
{
    bool digit = c >= '0' && c <= '9', lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z';
    if (gy_str_eqc(name, "alpha")) {
        return lower || upper;
    }
    if (gy_str_eqc(name, "digit")) {
        return digit;
    }
    if (gy_str_eqc(name, "alnum")) {
        return digit || lower || upper;
    }
    if (gy_str_eqc(name, "lower")) {
        return lower;
    }
    if (gy_str_eqc(name, "upper")) {
        return upper;
    }
    return gy_str_eqc(name, "space") && (c == ' ' || (c >= '\t' && c <= '\r'));
}

/* [...] at p (behind the '['); *ret_end: behind the ']'. A class that is not closed matches
 * nothing. */
static bool in_class(const char *p, const char *end, unsigned char c, const char **ret_end)
{
    bool negated = p < end && (*p == '!' || *p == '^');
    bool hit = false;
    const char *from = p += negated;
    while (p < end && (*p != ']' || p == from)) {
        if (*p == '[' && p + 1 < end && p[1] == ':') {
            struct gy_str rest = gy_str_n(p + 2, (size_t)(end - p - 2));
            size_t close = gy_str_find_str(rest, GY_STR(":]"));
            if (close != SIZE_MAX) {
                hit |= class_named(gy_str_sub(rest, 0, close), c);
                p += close + 4;
                continue;
            }
        }
        p += *p == '\\' && p + 1 < end;
        unsigned char low = (unsigned char)*p++;
        unsigned char high = low;
        if (p + 1 < end && *p == '-' && p[1] != ']') {
            p++;
            p += *p == '\\' && p + 1 < end;
            high = (unsigned char)*p++;
        }
        hit |= c >= low && c <= high;
    }
    *ret_end = p < end ? p + 1 : NULL;
    return p < end && hit != negated;
}

/* One step of a pattern that matches one byte; *p moves behind it when it does. */
static bool step(const char **p, const char *end, char c)
{
    const char *at = *p;
    if (*at == '?') {
        *p = at + 1;
        return true;
    }
    if (*at == '[') {
        const char *behind = NULL;
        bool hit = in_class(at + 1, end, (unsigned char)c, &behind);
        if (hit) {
            *p = behind;
        }
        return hit;
    }
    at += *at == '\\' && at + 1 < end;
    if (*at != c) {
        return false;
    }
    *p = at + 1;
    return true;
}

/* A pattern without '/' against one name: at most one '*' has to be taken back, so that it is
 * quadratic at worst. */
static bool match_name(struct gy_str pattern, struct gy_str name)
{
    const char *p = pattern.p, *end = pattern.p + pattern.n;
    const char *star = NULL;
    size_t i = 0, back = 0;
    while (i < name.n) {
        if (p < end && *p == '*') {
            star = ++p;
            back = i;
        } else if (p < end && step(&p, end, name.p[i])) {
            i++;
        } else if (star) {
            p = star;
            i = ++back;
        } else {
            return false;
        }
    }
    while (p < end && *p == '*') {
        p++;
    }
    return p == end;
}

static bool is_any(struct gy_str part)
{
    return gy_str_eqc(part, "**");
}

bool gy_dvc_wildmatch(struct gy_str pattern, struct gy_str path)
{
    struct gy_str p = pattern, s = path, part, name;
    struct gy_str p_back = GY_STR_NULL, s_back = GY_STR_NULL;
    for (;;) {
        struct gy_str p_rest = p, s_rest = s;
        bool has_part = gy_str_next(&p_rest, '/', &part);
        bool has_name = gy_str_next(&s_rest, '/', &name);
        if (has_part && is_any(part)) {
            if (!p_rest.p) {
                return has_name; /* a "/" "**" at the end: whatever is inside */
            }
            p_back = p = p_rest;
            s_back = s;
        } else if (has_part && has_name && match_name(part, name)) {
            p = p_rest;
            s = s_rest;
        } else if (!has_part && !has_name) {
            return true;
        } else if (s_back.p) { /* let the last "**" take one name more */
            (void)gy_str_next(&s_back, '/', &name);
            p = p_back;
            s = s_back;
            if (!s_back.p) {
                return false;
            }
        } else {
            return false;
        }
    }
}

/* ---- rules ---- */

static bool read_pattern(struct gy_str line, struct pattern *ret)
{
    *ret = (struct pattern){.text = GY_STR_NULL};
    while (line.n > 0 && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == ' ' ||
                          line.p[line.n - 1] == '\t')) {
        if (line.n > 1 && line.p[line.n - 2] == '\\' && line.p[line.n - 1] == ' ') {
            break;
        }
        line.n--;
    }
    if (line.n == 0 || line.p[0] == '#') {
        return false;
    }
    if (line.p[0] == '!') {
        ret->negated = true;
        line = gy_str_sub(line, 1, line.n);
    }
    if (line.n > 0 && line.p[line.n - 1] == '/') {
        ret->only_dirs = true;
        line.n--;
    }
    ret->anchored = gy_str_find(line, '/') != SIZE_MAX;
    if (line.n > 0 && line.p[0] == '/') {
        line = gy_str_sub(line, 1, line.n);
    }
    ret->text = line;
    ret->literal = true;
    for (size_t i = 0; i < line.n; i++) {
        ret->literal &= !strchr("*?[\\", line.p[i]);
    }
    return line.n > 0;
}

static void free_rules(struct gy_dvc_rules *r)
{
    if (r) {
        gy_free(r->patterns);
        gy_free(r->text);
        gy_free(r);
    }
}

static gy_status make_rules(struct gy_dvc_ignore *g, const struct gy_dvc_rules *above,
                            size_t prefix, struct gy_str text, const struct gy_dvc_rules **ret,
                            struct gy_err *err)
{
    struct gy_dvc_rules *r = gy_calloc(1, sizeof *r);
    size_t n = 1;
    for (size_t i = 0; i < text.n; i++) {
        n += text.p[i] == '\n';
    }
    if (n > GY_DVC_MAX_PATTERNS) {
        gy_free(r);
        return gy_err_set(err, GY_E_TOOBIG, "%s has over %zu lines", g->name, GY_DVC_MAX_PATTERNS);
    }
    if (r) {
        r->text = gy_strndup(text.p ? text.p : "", text.n);
        r->patterns = gy_calloc(n, sizeof *r->patterns);
    }
    if (!r || !r->text || !r->patterns) {
        free_rules(r);
        return gy_err_set(err, GY_E_NOMEM, "out of memory for patterns");
    }
    r->above = above;
    r->prefix = prefix;
    struct gy_str rest = gy_str_n(r->text, text.n), line;
    while (gy_str_next(&rest, '\n', &line)) {
        r->n += read_pattern(line, &r->patterns[r->n]);
    }
    (void)pthread_mutex_lock(&g->mutex);
    r->next = g->all_rules;
    g->all_rules = r;
    (void)pthread_mutex_unlock(&g->mutex);
    *ret = r;
    return GY_OK;
}

gy_status gy_dvc_ignore_new(const char *root, const char *name, const char *defaults,
                            struct gy_dvc_ignore **ret, struct gy_err *err)
{
    struct gy_dvc_ignore *g = gy_calloc(1, sizeof *g);
    if (!g) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for patterns");
    }
    (void)snprintf(g->root, sizeof g->root, "%s", root);
    g->name = name;
    (void)pthread_mutex_init(&g->mutex, NULL); /* can not fail for a plain mutex */
    gy_status status = make_rules(g, NULL, 0, gy_str_c(defaults), &g->defaults, err);
    if (status == GY_OK) {
        status = gy_dvc_ignore_enter(g, g->defaults, GY_STR(""), &g->defaults, err);
    }
    if (status != GY_OK) {
        gy_dvc_ignore_free(g);
        return status;
    }
    *ret = g;
    return GY_OK;
}

void gy_dvc_ignore_free(struct gy_dvc_ignore *g)
{
    if (!g) {
        return;
    }
    while (g->all_rules) {
        struct gy_dvc_rules *r = g->all_rules;
        g->all_rules = r->next;
        free_rules(r);
    }
    (void)pthread_mutex_destroy(&g->mutex);
    gy_free(g);
}

const struct gy_dvc_rules *gy_dvc_ignore_root(const struct gy_dvc_ignore *g)
{
    return g->defaults;
}

gy_status gy_dvc_ignore_enter(struct gy_dvc_ignore *g, const struct gy_dvc_rules *above,
                              struct gy_str folder, const struct gy_dvc_rules **ret,
                              struct gy_err *err)
{
    char path[2 * GY_MAX_PATH];
    size_t prefix = folder.n + (folder.n > 0);
    *ret = above;
    int n = snprintf(path, sizeof path, "%s/%" GY_STR_F "%s%s", g->root, GY_STR_A(folder),
                     folder.n > 0 ? "/" : "", g->name);
    if (n < 0 || n >= GY_MAX_PATH) {
        return gy_err_set(err, GY_E_TOOBIG, "a path in %s is too long", g->root);
    }
    if (!gy_path_exists(path) || gy_path_is_dir(path) ||
        gy_dvc_ignored(above, gy_str_c(path + strlen(g->root) + 1), false)) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_DVC_MAX_IGNORE);
    GY_TRY(gy_file_read(path, &text, err));
    return make_rules(g, above, prefix, gy_buf_str(&text), ret, err);
}

static bool hits(const struct pattern *p, struct gy_str path, struct gy_str name, bool is_dir)
{
    if (p->only_dirs && !is_dir) {
        return false;
    }
    struct gy_str subject = p->anchored ? path : name;
    return p->literal    ? gy_str_eq(p->text, subject)
           : p->anchored ? gy_dvc_wildmatch(p->text, subject)
                         : match_name(p->text, subject);
}

static const struct pattern *find(const struct gy_dvc_rules *rules, struct gy_str path, bool is_dir)
{
    struct gy_str name = path;
    const char *slash = path.n > 0 ? memrchr(path.p, '/', path.n) : NULL;
    if (slash) {
        name = gy_str_sub(path, (size_t)(slash - path.p) + 1, path.n);
    }
    for (; rules; rules = rules->above) {
        struct gy_str inside = gy_str_sub(path, rules->prefix, path.n);
        for (size_t i = rules->n; i-- > 0;) {
            if (hits(&rules->patterns[i], inside, name, is_dir)) {
                return &rules->patterns[i];
            }
        }
    }
    return NULL;
}

bool gy_dvc_ignored(const struct gy_dvc_rules *rules, struct gy_str path, bool is_dir)
{
    const struct pattern *p = find(rules, path, is_dir);
    return p && !p->negated;
}

gy_status gy_dvc_ignore_look(struct gy_dvc_ignore *g, struct gy_str path, bool is_dir, bool *ret,
                             struct gy_str *ret_why, struct gy_err *err)
{
    const struct gy_dvc_rules *rules = g->defaults;
    *ret = false;
    if (ret_why) {
        *ret_why = GY_STR_NULL;
    }
    for (size_t at = 0; at < path.n;) {
        size_t slash = gy_str_find(gy_str_sub(path, at, path.n), '/');
        size_t end = slash == SIZE_MAX ? path.n : at + slash;
        struct gy_str so_far = gy_str_sub(path, 0, end);
        const struct pattern *p = find(rules, so_far, end < path.n || is_dir);
        if (p && !p->negated) {
            *ret = true;
            if (ret_why) {
                *ret_why = p->text;
            }
            return GY_OK;
        }
        if (end < path.n) {
            GY_TRY(gy_dvc_ignore_enter(g, rules, so_far, &rules, err));
        }
        at = end + 1;
    }
    return GY_OK;
}

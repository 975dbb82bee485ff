/* SPDX-License-Identifier: Apache-2.0 */
#include "net/router.h"

#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"

/* A tree of path segments. In each node the literal children are asked first, then parameters with
 * a suffix
 * ("{name}:predict"), then plain ones, then the rest; a branch that leads nowhere is given up for
 * the next one. */

enum {
    MAX_ROUTES = 4096,
    MAX_PARAMS = 16,  /* of one pattern */
    MAX_DEPTH = 32,   /* segments of one pattern */
    MAX_METHODS = 16, /* of one pattern */
};

enum kind { LITERAL, PARAM, REST };

struct entry {
    const struct gy_route *route;
    void *ctx;
};

struct node {
    enum kind kind;
    struct gy_str
        literal; /* LITERAL: the segment; PARAM: the suffix with its colon, absent when none */
    struct node *children; /* of any kind, in the order in which they are to be asked */
    struct node *next;     /* sibling */
    struct entry *entries[MAX_METHODS];
    size_t n_entries;
    gy_error_style
        style; /* of the first route at or below: what an unknown path here answers with */
    bool has_style;
};

struct gy_router {
    struct node root;
    struct entry **all;
    size_t n_all, cap_all;
    const struct gy_router_guard *guard; /* NULL: none */
    bool (*keep)(struct gy_str pattern); /* NULL: all routes */
};

/* A match: which entry, and what the parameters are (raw, views into the path). */
struct match {
    const struct node *deepest; /* the last node on a path that failed, for its error style */
    size_t deepest_level;
    struct gy_str params[MAX_PARAMS];
    size_t n_params;
};

gy_status gy_router_new(struct gy_router **ret, struct gy_err *err)
{
    struct gy_router *r = gy_calloc(1, sizeof *r);
    if (!r) {
        return gy_err_set(err, GY_E_NOMEM, "making a router");
    }
    *ret = r;
    return GY_OK;
}

static void free_children(struct node *n)
{
    for (struct node *c = n->children, *next; c; c = next) {
        next = c->next;
        free_children(c); /* as deep as a pattern is long, at most MAX_DEPTH */
        gy_free(c);
    }
}

void gy_router_free(struct gy_router *r)
{
    if (r) {
        free_children(&r->root);
        for (size_t i = 0; i < r->n_all; i++) {
            gy_free(r->all[i]);
        }
        gy_free(r->all);
        gy_free(r);
    }
}

/* ---- building ---- */

/* The next segment of a path without its leading '/'; false when nothing is left. */
static bool next_segment(struct gy_str *rest, struct gy_str *ret_segment)
{
    return gy_str_next(rest, '/', ret_segment);
}

static struct gy_str strip_slashes(struct gy_str path)
{
    size_t i = 0;
    while (i < path.n && path.p[i] == '/') {
        i++;
    }
    return gy_str_n(path.p + i, path.n - i);
}

static bool parse_segment(struct gy_str s, enum kind *ret_kind, struct gy_str *ret_literal,
                          struct gy_str *ret_name)
{
    size_t close = gy_str_find(s, '}');
    *ret_kind = LITERAL;
    *ret_literal = s;
    *ret_name = GY_STR_NULL;
    if (s.n == 0 || s.p[0] != '{') {
        return gy_str_find(s, '{') == SIZE_MAX && close == SIZE_MAX;
    }
    if (close == SIZE_MAX || close < 2) {
        return false;
    }
    *ret_name = gy_str_sub(s, 1, close - 1);
    *ret_literal = close + 1 < s.n ? gy_str_sub(s, close + 1, s.n) : GY_STR_NULL;
    *ret_kind = PARAM;
    if (gy_str_ends(*ret_name, GY_STR("*"))) {
        *ret_kind = REST;
        ret_name->n--;
        return !ret_literal->p && ret_name->n > 0;
    }
    return !ret_literal->p || (ret_literal->n > 1 && ret_literal->p[0] == ':');
}

/* Smaller is asked first; longer suffixes before shorter ones. */
static int rank(const struct node *n)
{
    switch (n->kind) {
    case LITERAL:
        return 0;
    case PARAM:
        return 1000 - (int)(n->literal.n < 900 ? n->literal.n : 900);
    case REST:
        return 2000;
    }
    return 3000;
}

static struct node *child_for(struct node *parent, enum kind kind, struct gy_str literal)
{
    struct node **at = &parent->children;
    for (struct node *c = parent->children; c; c = c->next) {
        if (c->kind == kind && gy_str_eq(c->literal, literal)) {
            return c;
        }
    }
    struct node *made = gy_calloc(1, sizeof *made);
    if (!made) {
        return NULL;
    }
    made->kind = kind;
    made->literal = literal;
    while (*at && rank(*at) <= rank(made)) {
        at = &(*at)->next;
    }
    made->next = *at;
    *at = made;
    return made;
}

static void note_style(struct node *n, gy_error_style style)
{
    if (!n->has_style) {
        n->has_style = true;
        n->style = style;
    }
}

static gy_status place(struct gy_router *r, const struct gy_route *route, struct node **ret,
                       struct gy_err *err)
{
    struct gy_str rest = strip_slashes(gy_str_c(route->pattern)), segment;
    struct node *n = &r->root;
    size_t depth = 0, params = 0;
    while (rest.n && next_segment(&rest, &segment)) {
        enum kind kind;
        struct gy_str literal, name;
        if (!parse_segment(segment, &kind, &literal, &name) || (kind == REST && rest.p) ||
            ++depth > MAX_DEPTH || (params += kind != LITERAL) > MAX_PARAMS) {
            return gy_err_set(err, GY_E_INVALID, "the route pattern '%s' is not valid",
                              route->pattern);
        }
        n = child_for(n, kind, literal);
        if (!n) {
            return gy_err_set(err, GY_E_NOMEM, "adding the route '%s'", route->pattern);
        }
        note_style(n, route->errors);
    }
    *ret = n;
    return GY_OK;
}

static gy_status add_one(struct gy_router *r, const struct gy_route *route, void *ctx,
                         struct gy_err *err)
{
    struct node *n = NULL;
    GY_TRY(place(r, route, &n, err));
    for (size_t i = 0; i < n->n_entries; i++) {
        if (strcmp(n->entries[i]->route->method, route->method) == 0) {
            return gy_err_set(err, GY_E_EXISTS, "there is already a route %s %s", route->method,
                              route->pattern);
        }
    }
    if (r->n_all == r->cap_all) {
        size_t cap = r->cap_all ? r->cap_all * 2 : 64;
        struct entry **all = gy_reallocarray(r->all, cap, sizeof(struct entry *));
        if (!all) {
            return gy_err_set(err, GY_E_NOMEM, "adding the route '%s'", route->pattern);
        }
        r->all = all;
        r->cap_all = cap;
    }
    struct entry *e = gy_calloc(1, sizeof *e);
    if (!e) {
        return gy_err_set(err, GY_E_NOMEM, "adding the route '%s'", route->pattern);
    }
    GY_REQUIRE(n->n_entries < MAX_METHODS && r->n_all < MAX_ROUTES);
    *e = (struct entry){route, ctx};
    r->all[r->n_all++] = e;
    n->entries[n->n_entries++] = e;
    return GY_OK;
}

gy_status gy_router_add(struct gy_router *r, const struct gy_route *routes, size_t n, void *ctx,
                        struct gy_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!r->keep || r->keep(gy_str_c(routes[i].pattern))) {
            GY_TRY(add_one(r, &routes[i], ctx, err));
        }
    }
    return GY_OK;
}

void gy_router_set_filter(struct gy_router *r, bool (*keep)(struct gy_str pattern))
{
    r->keep = keep;
}

void gy_router_set_guard(struct gy_router *r, const struct gy_router_guard *guard)
{
    r->guard = guard;
}

const struct gy_router_guard *gy_router_guard(const struct gy_router *r)
{
    return r->guard;
}

const struct gy_route *gy_router_at(const struct gy_router *r, size_t i)
{
    return i < r->n_all ? r->all[i]->route : NULL;
}

/* ---- matching ---- */

static const struct entry *entry_of(const struct node *n, struct gy_str method)
{
    for (size_t i = 0; i < n->n_entries; i++) {
        if (gy_str_eqc(method, n->entries[i]->route->method)) {
            return n->entries[i];
        }
    }
    return NULL;
}

/* May the walk end in this node? With a method, only where that is served. */
static bool is_end(const struct node *n, struct gy_str method)
{
    return n->n_entries && (!method.p || entry_of(n, method));
}

static const struct node *walk(const struct node *n, struct gy_str rest, struct gy_str method,
                               size_t level, struct match *m);

static const struct node *walk_child(const struct node *c, struct gy_str segment,
                                     struct gy_str rest, struct gy_str whole, struct gy_str method,
                                     size_t level, struct match *m)
{
    size_t n_params = m->n_params;
    if (c->kind == LITERAL) {
        return gy_str_eq(segment, c->literal) ? walk(c, rest, method, level + 1, m) : NULL;
    }
    if (c->kind == REST) {
        if (!is_end(c, method)) {
            return NULL;
        }
        m->params[m->n_params++] = whole;
        return c;
    }
    if (segment.n <= c->literal.n || !gy_str_ends(segment, c->literal)) {
        return NULL;
    }
    m->params[m->n_params++] = gy_str_sub(segment, 0, segment.n - c->literal.n);
    const struct node *found = walk(c, rest, method, level + 1, m);
    if (!found) {
        m->n_params = n_params;
    }
    return found;
}

/* rest: what follows this node, without '/' before it; absent when the path ends here. */
static const struct node *walk(const struct node *n, struct gy_str rest, struct gy_str method,
                               size_t level, struct match *m)
{
    if (!m->deepest || level > m->deepest_level) {
        m->deepest = n;
        m->deepest_level = level;
    }
    /* "/v2/" is "/v2" unless a route wants what follows */
    if (rest.n == 0 && is_end(n, method)) {
        return n;
    }
    if (!rest.p) {
        return NULL;
    }
    struct gy_str whole = rest, segment;
    if (!next_segment(&rest, &segment)) {
        return NULL;
    }
    for (const struct node *c = n->children; c; c = c->next) {
        const struct node *found = walk_child(c, segment, rest, whole, method, level, m);
        if (found) {
            return found;
        }
    }
    return NULL;
}

static const struct node *find_node(const struct gy_router *r, struct gy_str method,
                                    struct gy_str path, struct match *m)
{
    struct gy_str rest = strip_slashes(path);
    m->deepest = NULL;
    m->n_params = 0;
    return walk(&r->root, rest, method, 0, m);
}

static const struct entry *find_entry(const struct gy_router *r, struct gy_str method,
                                      struct gy_str path, struct match *m)
{
    const struct node *n = find_node(r, method, path, m);
    if (!n && gy_str_eqc(method, "HEAD")) {
        method = GY_STR("GET");
        n = find_node(r, method, path, m);
    }
    return n ? entry_of(n, method) : NULL;
}

const struct gy_route *gy_router_find(const struct gy_router *r, struct gy_str method,
                                      struct gy_str path)
{
    struct match m;
    const struct entry *e = find_entry(r, method, path, &m);
    return e ? e->route : NULL;
}

/* ---- dispatching ---- */

/* A reply in front of another: drops the body (HEAD) or adds one header (Allow). */
struct front {
    struct gy_reply reply;
    struct gy_reply *inner;
    bool no_body;
    struct gy_header extra; /* absent name: none */
};

static gy_status front_begin(struct gy_reply *self, int status, const struct gy_header *headers,
                             size_t n_headers, int64_t body_bytes, struct gy_err *err)
{
    struct front *f = (struct front *)self;
    struct gy_header more[8];
    if (f->extra.name.p && n_headers < sizeof more / sizeof more[0]) {
        for (size_t i = 0; i < n_headers; i++) {
            more[i] = headers[i];
        }
        more[n_headers++] = f->extra;
        headers = more;
    }
    return gy_reply_begin(f->inner, status, headers, n_headers, body_bytes, err);
}

static gy_status front_write(struct gy_reply *self, struct gy_str bytes, struct gy_err *err)
{
    struct front *f = (struct front *)self;
    return f->no_body ? GY_OK : gy_reply_write(f->inner, bytes, err);
}

static gy_status front_end(struct gy_reply *self, struct gy_err *err)
{
    struct front *f = (struct front *)self;
    return gy_reply_end(f->inner, err);
}

static gy_status front_send_file(struct gy_reply *self, int fd, int64_t offset, int64_t n_bytes,
                                 struct gy_err *err)
{
    struct front *f = (struct front *)self;
    if (f->no_body) {
        (void)close(fd); /* only read from */
        return GY_OK;
    }
    return gy_reply_send_file(f->inner, fd, offset, n_bytes, err);
}

static const struct gy_reply_ops front_ops = {front_begin, front_write, front_end, front_send_file};

/* Parameters under their pattern's names, decoded. */
static gy_status set_params(const struct gy_route *route, const struct match *m,
                            struct gy_request *req, struct gy_err *err)
{
    struct gy_str rest = strip_slashes(gy_str_c(route->pattern)), segment;
    struct gy_header *params = gy_arena_calloc(req->arena, m->n_params + 1, sizeof *params);
    size_t n = 0;
    if (!params) {
        return gy_err_set(err, GY_E_NOMEM, "reading the path");
    }
    while (n < m->n_params && next_segment(&rest, &segment)) {
        enum kind kind;
        struct gy_str literal;
        if (!parse_segment(segment, &kind, &literal, &params[n].name) || kind == LITERAL) {
            continue;
        }
        params[n].value = gy_url_decode(req->arena, m->params[n], false);
        if (!params[n].value.p) {
            return gy_err_set(err, GY_E_NOMEM, "reading the path");
        }
        n++;
    }
    req->params = params;
    req->n_params = n;
    return GY_OK;
}

static gy_status answer_error(gy_error_style style, struct gy_request *req, struct gy_reply *reply,
                              const struct gy_err *failed, struct gy_err *err)
{
    return style ? style(req, reply, failed, err) : gy_reply_problem(reply, failed, err);
}

struct gy_header gy_router_challenge(gy_status failed)
{
    return failed == GY_E_UNAUTHENTICATED
               ? (struct gy_header){GY_STR("WWW-Authenticate"),
                                    GY_STR("Basic realm=\"gyre\", charset=\"UTF-8\", Bearer")}
               : (struct gy_header){GY_STR_NULL, GY_STR_NULL};
}

/* The handler, or why it is not asked. */
static gy_status guarded(const struct gy_router_guard *guard, const struct entry *e,
                         const struct match *m, struct gy_request *req, struct gy_reply *reply,
                         struct gy_err *failed)
{
    void *pass = NULL;
    GY_TRY(set_params(e->route, m, req, failed));
    if (!guard) {
        return e->route->handler(e->ctx, req, reply, failed);
    }
    gy_status status = guard->enter(guard->self, e->route, req, &pass, failed);
    if (status == GY_OK) {
        status = e->route->handler(e->ctx, req, reply, failed);
        guard->leave(guard->self, pass, status, failed);
    }
    return status;
}

static gy_status run(const struct gy_router_guard *guard, const struct entry *e,
                     const struct match *m, struct gy_request *req, struct gy_reply *reply,
                     struct gy_err *err)
{
    struct gy_err failed = GY_ERR_INIT;
    gy_status status = guarded(guard, e, m, req, reply, &failed);
    if (status == GY_OK && !reply->begun) {
        status = gy_err_set(&failed, GY_E_FAILED, "%s %s gave no answer", e->route->method,
                            e->route->pattern);
    }
    if (status == GY_OK) {
        return reply->ended ? GY_OK : gy_reply_end(reply, err);
    }
    if (failed.code == GY_OK) { /* a handler that returned a code without saying why */
        (void)gy_err_set(&failed, status, "%s", gy_status_text(status));
    }
    if (reply->begun) { /* too late for an answer: the transport breaks off */
        if (err) {
            *err = failed;
        }
        return status;
    }
    struct front f = {
        .reply = {.ops = &front_ops}, .inner = reply, .extra = gy_router_challenge(status)};
    return answer_error(e->route->errors, req, &f.reply, &failed, err);
}

static void allowed(const struct node *n, char *out, size_t out_size)
{
    size_t used = 0;
    bool get = false, head = false;
    for (size_t i = 0; i < n->n_entries && used < out_size; i++) {
        const char *method = n->entries[i]->route->method;
        used += (size_t)snprintf(out + used, out_size - used, "%s%s", i ? ", " : "", method);
        get = get || strcmp(method, "GET") == 0;
        head = head || strcmp(method, "HEAD") == 0;
    }
    if (used < out_size) {
        (void)snprintf(out + used, out_size - used, "%s, OPTIONS", get && !head ? ", HEAD" : "");
    }
}

/* No route for this method: is the path known with another one? */
static gy_status refuse(struct gy_router *r, struct gy_request *req, struct gy_reply *reply,
                        struct gy_err *err)
{
    struct match m;
    struct gy_err failed = GY_ERR_INIT;
    struct front f = {
        .reply = {.ops = &front_ops}, .inner = reply, .no_body = gy_str_eqc(req->method, "HEAD")};
    const struct node *n = find_node(r, GY_STR_NULL, req->path, &m);
    if (!n) {
        gy_error_style style = m.deepest && m.deepest->has_style ? m.deepest->style : NULL;
        (void)gy_err_set(&failed, GY_E_NOTFOUND, "there is no %" GY_STR_F " here",
                         GY_STR_A(gy_str_sub(req->path, 0, 200)));
        return answer_error(style, req, &f.reply, &failed, err);
    }
    char allow[256];
    allowed(n, allow, sizeof allow);
    f.extra = (struct gy_header){GY_STR("Allow"), gy_str_c(allow)};
    if (gy_str_eqc(req->method, "OPTIONS")) {
        return gy_reply_send(&f.reply, 204, NULL, GY_STR_NULL, err);
    }
    (void)gy_err_set(&failed, GY_E_METHOD, "%" GY_STR_F " is not allowed here",
                     GY_STR_A(gy_str_sub(req->method, 0, 50)));
    (void)gy_err_hint(&failed, "allowed: %s", allow);
    return answer_error(n->entries[0]->route->errors, req, &f.reply, &failed, err);
}

gy_status gy_router_call(struct gy_router *r, struct gy_request *req, struct gy_reply *reply,
                         struct gy_err *err)
{
    struct match m;
    const struct entry *e = find_entry(r, req->method, req->path, &m);
    struct front f = {.reply = {.ops = &front_ops}, .inner = reply, .no_body = true};
    if (!e) {
        return refuse(r, req, reply, err);
    }
    return run(r->guard, e, &m, req, gy_str_eqc(req->method, "HEAD") ? &f.reply : reply, err);
}

static gy_status call_router(void *self, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    return gy_router_call(self, req, reply, err);
}

static const struct gy_call_ops router_caller_ops = {1, "router", call_router, NULL};

void gy_router_caller(struct gy_router *r, struct gy_caller *c)
{
    *c = (struct gy_caller){&router_caller_ops, r};
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/template.h"

#include <stdio.h>

#define MAX_DEPTH 8

struct compiler {
    const struct gy_template_known *known;
    struct gy_arena *a;
    struct gy_buf text; /* of the part that is being written */
    size_t n;
    bool failure, versions;
    struct gy_template_part parts[GY_TEMPLATE_MAX_PARTS];
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "compiling an answer of an alias");
}

/* s inside of a JSON text: escaped, without quotes. */
static void add_escaped(struct gy_buf *out, struct gy_str s)
{
    struct gy_jw w;
    size_t at = out->n;
    gy_jw_init(&w, out);
    gy_jw_str(&w, s);
    if (out->failed == GY_OK && out->n >= at + 2) { /* the quotes go */
        memmove(out->p + at, out->p + at + 1, out->n - at - 2);
        out->n -= 2;
        out->p[out->n] = '\0';
    }
}

/* What was written so far becomes a part. */
static gy_status cut(struct compiler *c, enum gy_template_place then, struct gy_err *err)
{
    if (c->n == GY_TEMPLATE_MAX_PARTS) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d places", GY_TEMPLATE_MAX_PARTS - 1);
    }
    GY_TRY(gy_buf_check(&c->text, "an answer of an alias", err));
    struct gy_template_part *p = &c->parts[c->n];
    p->json = gy_arena_str(c->a, gy_buf_str(&c->text));
    p->then = then;
    if (!p->json.p) {
        return no_memory(err);
    }
    c->n++;
    gy_buf_reset(&c->text);
    return GY_OK;
}

/* The next {name} of a text: *ret_before, *ret_name and what is behind it. */
static bool next_place(struct gy_str *text, struct gy_str *ret_before, struct gy_str *ret_name)
{
    size_t open = gy_str_find(*text, '{');
    struct gy_str rest = open == SIZE_MAX ? GY_STR("") : gy_str_sub(*text, open + 1, text->n);
    size_t close = gy_str_find(rest, '}');
    if (open == SIZE_MAX || close == SIZE_MAX) {
        return false;
    }
    *ret_before = gy_str_sub(*text, 0, open);
    *ret_name = gy_str_sub(rest, 0, close);
    *text = gy_str_sub(rest, close + 1, rest.n);
    return true;
}

/* The text of a place that is known now; absent: it is none. */
static struct gy_str known_text(const struct compiler *c, struct gy_str name, char scratch[16])
{
    if (gy_str_eqc(name, "endpoint")) {
        return c->known->endpoint;
    }
    if (gy_str_eqc(name, "model")) {
        return c->known->model;
    }
    if (gy_str_eqc(name, "version")) {
        return c->known->version;
    }
    if (gy_str_eqc(name, "revision")) {
        return gy_str_n(scratch, (size_t)snprintf(scratch, 16, "%u", c->known->revision));
    }
    return GY_STR_NULL;
}

static gy_status unknown(const struct compiler *c, struct gy_str name, struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_INVALID, "'{%.*s}' is not known", (int)(name.n < 64 ? name.n : 64),
                     name.p);
    return gy_err_hint(err, "there are {endpoint}, {model}, {version}, {revision} and %s",
                       c->failure ? "{message}, {status}" : "{versions}");
}

/* "v{versions}" is a list. */
static gy_status add_versions(struct compiler *c, struct gy_str before, struct gy_str after,
                              struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b = {0};
    GY_TRY(cut(c, GY_PLACE_VERSIONS, err));
    struct gy_template_part *p = &c->parts[c->n - 1];
    gy_buf_init(&b, GY_TEMPLATE_MAX_BYTES * 6);
    add_escaped(&b, before);
    p->before = gy_arena_str(c->a, gy_buf_str(&b));
    gy_buf_reset(&b);
    add_escaped(&b, after);
    p->after = gy_arena_str(c->a, gy_buf_str(&b));
    c->versions = true;
    return p->before.p && p->after.p ? GY_OK : no_memory(err);
}

static gy_status add_text(struct compiler *c, struct gy_str text, struct gy_err *err)
{
    struct gy_str rest = text, before, name;
    char scratch[16];
    if (c->failure && gy_str_eqc(text, "{status}")) {
        return cut(c, GY_PLACE_STATUS, err);
    }
    if (gy_str_eqc(text, "{revision}")) {
        gy_buf_add(&c->text, known_text(c, GY_STR("revision"), scratch));
        return GY_OK;
    }
    if (!c->failure && next_place(&rest, &before, &name) && gy_str_eqc(name, "versions")) {
        return add_versions(c, before, rest, err);
    }
    rest = text;
    gy_buf_add_char(&c->text, '"');
    while (next_place(&rest, &before, &name)) {
        struct gy_str known = known_text(c, name, scratch);
        add_escaped(&c->text, before);
        if (known.p) {
            add_escaped(&c->text, known);
        } else if (c->failure && gy_str_eqc(name, "message")) {
            GY_TRY(cut(c, GY_PLACE_MESSAGE, err));
        } else if (c->failure && gy_str_eqc(name, "status")) {
            GY_TRY(cut(c, GY_PLACE_STATUS, err));
        } else {
            return unknown(c, name, err);
        }
    }
    add_escaped(&c->text, rest);
    gy_buf_add_char(&c->text, '"');
    return GY_OK;
}

static gy_status add_value(struct compiler *c, yyjson_val *v, int depth, struct gy_err *err)
{
    size_t i, n;
    yyjson_val *key, *one;
    bool object = yyjson_is_obj(v);
    if (yyjson_is_str(v)) {
        return add_text(c, gy_json_val_str(v), err);
    }
    if (!object && !yyjson_is_arr(v)) {
        struct gy_jw w;
        gy_jw_init(&w, &c->text);
        gy_jw_val(&w, v);
        return GY_OK;
    }
    if (depth == MAX_DEPTH) {
        return gy_err_set(err, GY_E_TOOBIG, "nested more than %d deep", MAX_DEPTH);
    }
    gy_buf_add_char(&c->text, object ? '{' : '[');
    if (object) {
        yyjson_obj_foreach(v, i, n, key, one)
        {
            gy_buf_addc(&c->text, i ? ",\"" : "\"");
            add_escaped(&c->text, gy_json_val_str(key));
            gy_buf_addc(&c->text, "\":");
            GY_TRY(add_value(c, one, depth + 1, err));
        }
    } else {
        yyjson_arr_foreach(v, i, n, one)
        {
            gy_buf_addc(&c->text, i ? "," : "");
            GY_TRY(add_value(c, one, depth + 1, err));
        }
    }
    gy_buf_add_char(&c->text, object ? '}' : ']');
    return GY_OK;
}

gy_status gy_template_compile(yyjson_val *value, bool failure,
                              const struct gy_template_known *known, struct gy_arena *a,
                              struct gy_template *ret, struct gy_err *err)
{
    struct compiler c = {.known = known, .a = a, .failure = failure};
    gy_buf_init(&c.text, GY_TEMPLATE_MAX_BYTES);
    gy_status st = add_value(&c, value, 0, err);
    st = st == GY_OK ? cut(&c, GY_PLACE_NONE, err) : st;
    gy_buf_done(&c.text);
    struct gy_template_part *parts = st == GY_OK ? gy_arena_calloc(a, c.n, sizeof *parts) : NULL;
    if (st == GY_OK && !parts) {
        return no_memory(err);
    }
    if (st == GY_OK) {
        memcpy(parts, c.parts, c.n * sizeof *parts);
        *ret = (struct gy_template){parts, c.n, c.versions};
    }
    return st;
}

static void write_versions(const struct gy_template_part *p, const struct gy_template_values *v,
                           struct gy_buf *out)
{
    gy_buf_add_char(out, '[');
    for (size_t i = 0; i < v->n_versions; i++) {
        char number[24];
        gy_buf_addc(out, i ? ",\"" : "\"");
        gy_buf_add(out, p->before);
        gy_buf_add_bytes(
            out, number,
            (size_t)snprintf(number, sizeof number, "%lld", (long long)v->versions[i]));
        gy_buf_add(out, p->after);
        gy_buf_add_char(out, '"');
    }
    gy_buf_add_char(out, ']');
}

void gy_template_write(const struct gy_template *t, const struct gy_template_values *v,
                       struct gy_buf *out)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct gy_template_part *p = &t->parts[i];
        char number[16];
        gy_buf_add(out, p->json);
        switch (p->then) {
        case GY_PLACE_NONE:
            break;
        case GY_PLACE_MESSAGE:
            add_escaped(out, v->message);
            break;
        case GY_PLACE_STATUS:
            gy_buf_add_bytes(out, number, (size_t)snprintf(number, sizeof number, "%d", v->status));
            break;
        case GY_PLACE_VERSIONS:
            write_versions(p, v, out);
            break;
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The files of an imported notebook: their texts, what writing them changes, writing them. A file
 * begins with two lines of ours, the second with the digest of what follows, so that a later import
 * knows which of them a person has changed. */
#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/yaml.h"
#include "flow/notebook_internal.h"

#define PARAMS "params.yaml"
#define MARK "# What follows has the sha256 "
#define MAX_LEFT 1000 /* scripts of earlier imports that are told */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for the pipeline's files");
}

/* ---- texts ---- */

/* The notebook's name in a comment: a line end in it would end the comment. */
static void add_name(struct gy_buf *out, struct gy_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        gy_buf_add_char(out, (unsigned char)name.p[i] < ' ' ? '?' : name.p[i]);
    }
}

static gy_status add_file(struct gy_notebook_plan *p, struct gy_str notebook, const char *path,
                          struct gy_str text, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf all;
    struct gy_notebook_file *f = &p->files[p->n_files];
    char digest[GY_SHA256_HEX];
    gy_buf_init(&all, GY_NOTEBOOK_MAX_PLAN);
    GY_TRY(gy_sha256_hex(text, digest, err));
    gy_buf_addc(&all, "# Made by `gyre flow import` of ");
    add_name(&all, notebook);
    gy_buf_addf(&all, ".\n" MARK "%s: a new import replaces it while that is so.\n", digest);
    gy_buf_add(&all, text);
    GY_TRY(gy_buf_check(&all, path, err));
    f->path = gy_arena_str(&p->arena, gy_str_c(path));
    f->text = gy_arena_str(&p->arena, gy_buf_str(&all));
    p->n_files++;
    return f->path.p && f->text.p ? GY_OK : no_memory(err);
}

bool gy_notebook_is_ours(struct gy_str text)
{
    struct gy_str line;
    char digest[GY_SHA256_HEX];
    for (int i = 0; i < 2; i++) {
        if (!gy_str_cut(text, '\n', &line, &text)) {
            return false;
        }
    }
    if (!gy_str_starts(line, GY_STR(MARK)) || line.n < sizeof MARK - 1 + GY_SHA256_HEX - 1) {
        return false;
    }
    return gy_sha256_hex(text, digest, NULL) == GY_OK &&
           memcmp(digest, line.p + sizeof MARK - 1, GY_SHA256_HEX - 1) == 0;
}

/* In double quotes, with nothing in it that a reader of YAML 1.1 or 1.2 takes for something else:
 * control characters and line separators as escapes, all others as they are. */
static void add_quoted(struct gy_buf *out, struct gy_str s)
{
    gy_buf_add_char(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        unsigned char next = i + 1 < s.n ? (unsigned char)s.p[i + 1] : 0;
        unsigned char third = i + 2 < s.n ? (unsigned char)s.p[i + 2] : 0;
        if (c == '"' || c == '\\') {
            gy_buf_addf(out, "\\%c", c);
        } else if (c < ' ' || c == 0x7f) {
            gy_buf_addf(out, "\\x%02x", c);
        } else if (c == 0xc2 && next < 0xa0) { /* U+0080 to U+009F */
            gy_buf_addf(out, "\\x%02x", next);
            i++;
        } else if (c == 0xe2 && next == 0x80 && (third == 0xa8 || third == 0xa9)) {
            gy_buf_addf(out, "\\u20%02x", third - 0x80); /* U+2028, U+2029 */
            i += 2;
        } else if (c == 0xef && ((next == 0xbb && third == 0xbf) ||
                                 (next == 0xbf && third >= 0xbe))) { /* U+FEFF, U+FFFE, U+FFFF */
            gy_buf_addf(out, "\\u%s", next == 0xbb ? "feff" : third == 0xbe ? "fffe" : "ffff");
            i += 2;
        } else {
            gy_buf_add_char(out, (char)c);
        }
    }
    gy_buf_add_char(out, '"');
}

/* Plain only where every YAML takes it for a text: "no" and "on" are truth values to some. */
static void add_key(struct gy_buf *out, struct gy_str key)
{
    static const char *const words[] = {"yes", "no", "on", "true", "false", "off", "null"};
    bool plain = key.n > 0 && !(key.p[0] >= '0' && key.p[0] <= '9');
    for (size_t i = 0; i < key.n && plain; i++) {
        char c = key.p[i];
        plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0] && plain; i++) {
        plain = !gy_str_ieq(key, gy_str_c(words[i]));
    }
    if (plain) {
        gy_buf_add(out, key);
    } else {
        add_quoted(out, key);
    }
}

/* With a dot: PyYAML, which holds to YAML 1.1, takes 1e-05 for a text. */
static void add_float(struct gy_buf *out, double value)
{
    char text[32];
    (void)gy_fmt_f64(value, text); /* its length is not needed */
    const char *e = strchr(text, 'e');
    if (e && !memchr(text, '.', (size_t)(e - text))) {
        gy_buf_addf(out, "%.*s.0%s", (int)(e - text), text, e);
    } else {
        gy_buf_addc(out, text);
    }
}

static void add_value(struct gy_buf *out, yyjson_val *v)
{
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *item;
    if (yyjson_is_str(v)) {
        add_quoted(out, gy_json_val_str(v));
    } else if (yyjson_is_bool(v)) {
        gy_buf_addc(out, yyjson_get_bool(v) ? "true" : "false");
    } else if (yyjson_is_real(v)) {
        add_float(out, yyjson_get_real(v));
    } else if (yyjson_is_uint(v)) {
        gy_buf_addf(out, "%llu", (unsigned long long)yyjson_get_uint(v));
    } else if (yyjson_is_sint(v)) {
        gy_buf_addf(out, "%lld", (long long)yyjson_get_sint(v));
    } else if (yyjson_is_arr(v)) {
        gy_buf_add_char(out, '[');
        yyjson_arr_foreach(v, i, max, item)
        {
            gy_buf_addc(out, i ? ", " : "");
            add_value(out, item);
        }
        gy_buf_add_char(out, ']');
    } else if (yyjson_is_obj(v)) {
        gy_buf_add_char(out, '{');
        yyjson_obj_foreach(v, i, max, key, item)
        {
            gy_buf_addc(out, i ? ", " : "");
            add_key(out, gy_json_val_str(key));
            gy_buf_addc(out, ": ");
            add_value(out, item);
        }
        gy_buf_add_char(out, '}');
    } else {
        gy_buf_addc(out, "null");
    }
}

static gy_status add_params(struct gy_notebook_plan *p, struct gy_str notebook, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out = {0};
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *value;
    if (yyjson_obj_size(p->params) == 0) {
        return GY_OK;
    }
    gy_buf_init(&out, GY_MAX_YAML);
    yyjson_obj_foreach(p->params, i, max, key, value)
    {
        add_key(&out, gy_json_val_str(key));
        gy_buf_addc(&out, ": ");
        add_value(&out, value);
        gy_buf_add_char(&out, '\n');
    }
    GY_TRY(gy_buf_check(&out, PARAMS, err));
    return add_file(p, notebook, PARAMS, gy_buf_str(&out), err);
}

/* ${ would be DVC's interpolation. */
static void add_path(struct gy_buf *out, struct gy_str path)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf escaped;
    gy_buf_init(&escaped, 2 * GY_MAX_PATH);
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '$' && i + 1 < path.n && path.p[i + 1] == '{') {
            gy_buf_add_char(&escaped, '\\');
        }
        gy_buf_add_char(&escaped, path.p[i]);
    }
    gy_yaml_add_scalar(out, gy_buf_str(&escaped));
}

static void add_list(struct gy_buf *out, yyjson_val *stage, const char *key)
{
    yyjson_val *list = gy_json_get(stage, key);
    bool metrics = strcmp(key, "metrics") == 0;
    size_t i;
    size_t max;
    yyjson_val *item;
    if (yyjson_arr_size(list) == 0) {
        return;
    }
    gy_buf_addf(out, "    %s:\n", key);
    yyjson_arr_foreach(list, i, max, item)
    {
        gy_buf_addc(out, "      - ");
        add_path(out, gy_json_val_str(item));
        gy_buf_addc(out, metrics ? ":\n          cache: false\n" : "\n");
    }
}

static gy_status add_pipeline(struct gy_notebook_plan *p, struct gy_str notebook,
                              struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    size_t i;
    size_t max;
    yyjson_val *stage;
    gy_buf_init(&out, GY_MAX_YAML);
    gy_buf_addc(&out, "# `gyre run` and `dvc repro` both run this.\nstages:\n");
    yyjson_arr_foreach(p->stages, i, max, stage)
    {
        struct gy_str name = gy_json_str(stage, "name");
        gy_buf_addf(&out, "  %.*s:\n    cmd: python3 stages/%.*s.py\n", (int)name.n, name.p,
                    (int)name.n, name.p);
        add_list(&out, stage, "deps");
        add_list(&out, stage, "params");
        add_list(&out, stage, "outs");
        add_list(&out, stage, "metrics");
    }
    GY_TRY(gy_buf_check(&out, "dvc.yaml", err));
    return add_file(p, notebook, "dvc.yaml", gy_buf_str(&out), err);
}

/* dvc.yaml comes last: a pipeline is there once all that it names is. */
gy_status gy_notebook_make_files(struct gy_notebook_plan *p, struct gy_str notebook,
                                 struct gy_err *err)
{
    const struct gy_embedded *helper = &gy_notebook_python[GY_NOTEBOOK_HELPER];
    char path[256];
    size_t i;
    size_t max;
    yyjson_val *stage;
    p->files = gy_arena_calloc(&p->arena, yyjson_arr_size(p->stages) + 3, sizeof *p->files);
    if (!p->files) {
        return no_memory(err);
    }
    (void)snprintf(path, sizeof path, "stages/%s", helper->name);
    GY_TRY(add_file(p, notebook, path, gy_str_n(helper->bytes, helper->size), err));
    yyjson_arr_foreach(p->stages, i, max, stage)
    {
        struct gy_str name = gy_json_str(stage, "name");
        (void)snprintf(path, sizeof path, "stages/%.*s.py", (int)name.n, name.p);
        GY_TRY(add_file(p, notebook, path, gy_json_str(stage, "script"), err));
    }
    GY_TRY(add_params(p, notebook, err));
    return add_pipeline(p, notebook, err);
}

/* ---- against a folder ---- */

const char *gy_notebook_state_name(enum gy_notebook_state state)
{
    switch (state) {
    case GY_NOTEBOOK_NEW:
        return "new";
    case GY_NOTEBOOK_SAME:
        return "same";
    case GY_NOTEBOOK_UPDATED:
        return "updated";
    case GY_NOTEBOOK_CHANGED:
        return "changed by hand";
    case GY_NOTEBOOK_KEPT:
        return "kept";
    }
    return "?";
}

/* Is it a map with every parameter of the notebook? Values are a person's business. */
static bool has_params(const struct gy_notebook_plan *p, struct gy_str text)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    size_t i;
    size_t max;
    yyjson_val *key;
    yyjson_val *value;
    if (gy_yaml_parse(text, PARAMS, &y, NULL) != GY_OK) {
        return false;
    }
    yyjson_obj_foreach(p->params, i, max, key, value)
    {
        if (!gy_yaml_get(gy_yaml_root(y), yyjson_get_str(key))) {
            return false;
        }
    }
    return true;
}

static gy_status look_at(const struct gy_notebook_plan *p, struct gy_notebook_file *f,
                         const char *dir, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf there;
    char path[GY_MAX_PATH];
    gy_buf_init(&there, GY_NOTEBOOK_MAX_PLAN);
    GY_TRY(gy_path_join(path, sizeof path, dir, f->path.p, err));
    f->state = GY_NOTEBOOK_NEW;
    if (!gy_path_exists(path)) {
        return GY_OK;
    }
    GY_TRY(gy_file_read(path, &there, err));
    struct gy_str text = gy_buf_str(&there);
    if (gy_str_eq(text, f->text)) {
        f->state = GY_NOTEBOOK_SAME;
    } else if (gy_notebook_is_ours(text)) {
        f->state = GY_NOTEBOOK_UPDATED;
    } else {
        bool keep = gy_str_eqc(f->path, PARAMS) && has_params(p, text);
        f->state = keep ? GY_NOTEBOOK_KEPT : GY_NOTEBOOK_CHANGED;
    }
    return GY_OK;
}

struct leftovers {
    struct gy_notebook_plan *p;
    const char *folder;
    struct gy_str *found;
};

static gy_status look_for_left(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct leftovers *l = ctx;
    struct gy_notebook_plan *p = l->p;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf there;
    char path[GY_MAX_PATH];
    char full[GY_MAX_PATH];
    gy_buf_init(&there, GY_NOTEBOOK_MAX_PLAN);
    if (is_dir || !gy_str_ends(gy_str_c(name), GY_STR(".py")) || p->n_left == MAX_LEFT) {
        return GY_OK;
    }
    (void)snprintf(path, sizeof path, "stages/%s", name);
    for (size_t i = 0; i < p->n_files; i++) {
        if (gy_str_eqc(p->files[i].path, path)) {
            return GY_OK;
        }
    }
    GY_TRY(gy_path_join(full, sizeof full, l->folder, name, err));
    if (gy_file_read(full, &there, NULL) == GY_OK && gy_notebook_is_ours(gy_buf_str(&there))) {
        l->found[p->n_left] = gy_arena_str(&p->arena, gy_str_c(path));
        return l->found[p->n_left++].p ? GY_OK : no_memory(err);
    }
    return GY_OK;
}

gy_status gy_notebook_compare(struct gy_notebook_plan *p, const char *dir, struct gy_err *err)
{
    char folder[GY_MAX_PATH];
    for (size_t i = 0; i < p->n_files; i++) {
        GY_TRY(look_at(p, &p->files[i], dir, err));
    }
    GY_TRY(gy_path_join(folder, sizeof folder, dir, "stages", err));
    if (!gy_path_is_dir(folder)) {
        return GY_OK;
    }
    struct leftovers l = {.p = p, .folder = folder};
    l.found = gy_arena_calloc(&p->arena, MAX_LEFT, sizeof *l.found);
    if (!l.found) {
        return no_memory(err);
    }
    p->n_left = 0;
    p->left = l.found;
    return gy_dir_each(folder, look_for_left, &l, err);
}

gy_status gy_notebook_write(const struct gy_notebook_plan *p, const char *dir, bool force,
                            struct gy_err *err)
{
    char path[GY_MAX_PATH];
    for (size_t i = 0; i < p->n_files && !force; i++) {
        if (p->files[i].state == GY_NOTEBOOK_CHANGED) {
            GY_TRY(gy_path_join(path, sizeof path, dir, p->files[i].path.p, err));
            gy_err_set(err, GY_E_EXISTS, "%s was written or changed by hand", path);
            return gy_err_hint(err, "--force replaces it, -o DIR writes elsewhere, --dry-run lists "
                                    "what would change; nothing was written");
        }
    }
    for (size_t i = 0; i < p->n_files; i++) {
        if (p->files[i].state == GY_NOTEBOOK_SAME ||
            (p->files[i].state == GY_NOTEBOOK_KEPT && !force)) {
            continue;
        }
        GY_TRY(gy_path_join(path, sizeof path, dir, p->files[i].path.p, err));
        GY_TRY(gy_dir_make_for(path, err));
        GY_TRY(gy_file_write(path, p->files[i].text, 0644, err));
    }
    return GY_OK;
}

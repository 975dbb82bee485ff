/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/file.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/yaml.h"
#include "data/dvc/stages.h"
#include "data/dvc/yaml_out.h"

/* ---- a new one ---- */

void gy_dvc_file_text(struct gy_buf *out, const struct gy_dvc_out *o, struct gy_str name)
{
    gy_buf_addc(out, "outs:\n- md5: ");
    gy_yaml_add_scalar(out, gy_str_c(o->oid.hex));
    gy_buf_add_char(out, '\n');
    if (o->size_bytes >= 0) {
        gy_buf_addf(out, "  size: %lld\n", (long long)o->size_bytes);
    }
    if (o->n_files >= 0) {
        gy_buf_addf(out, "  nfiles: %lld\n", (long long)o->n_files);
    }
    if (o->is_exec) {
        gy_buf_addc(out, "  isexec: true\n");
    }
    gy_buf_addc(out, "  hash: md5\n  path: ");
    gy_dvc_yaml_folded(out, name, 4);
}

/* ---- an edited one ---- */

struct edit {
    size_t offset, length; /* in the source */
    char text[64];
};

struct edits {
    struct gy_str source;
    struct edit list[12];
    size_t n;
    struct gy_buf appended; /* new keys, behind the last one of the entry */
};

static void replace(struct edits *e, size_t offset, size_t length, const char *text)
{
    GY_REQUIRE(e->n < sizeof e->list / sizeof e->list[0]);
    struct edit *d = &e->list[e->n++];
    d->offset = offset;
    d->length = length;
    (void)snprintf(d->text, sizeof d->text, "%s", text);
}

static size_t line_start(struct gy_str s, size_t at)
{
    while (at > 0 && s.p[at - 1] != '\n') {
        at--;
    }
    return at;
}

static size_t line_end(struct gy_str s, size_t at) /* behind its '\n' */
{
    while (at < s.n && s.p[at] != '\n') {
        at++;
    }
    return at < s.n ? at + 1 : at;
}

static bool is_flow(const struct edits *e, const struct gy_yaml_node *map)
{
    return map->offset < e->source.n && e->source.p[map->offset] == '{';
}

/* Take "key: value" out, wherever the value begins. The first key behind a "- " leaves its place to
 * the next one. */
static void drop(struct edits *e, const char *name, const struct gy_yaml_node *value)
{
    struct gy_str s = e->source;
    size_t end = line_end(s, value->offset + value->length);
    size_t start = line_start(s, value->offset);
    for (;;) {
        size_t key = start;
        while (key < s.n && (s.p[key] == ' ' || s.p[key] == '-')) {
            key++;
        }
        struct gy_str line = gy_str_sub(s, key, strlen(name) + 2);
        if (gy_str_starts(gy_str_sub(line, line.n > 0 && (*line.p == '"' || *line.p == '\''), s.n),
                          gy_str_c(name))) {
            if (memchr(s.p + start, '-', key - start)) {
                while (end < s.n && s.p[end] == ' ') {
                    end++;
                }
                start = key;
            }
            replace(e, start, end - start, "");
            return;
        }
        if (start == 0) {
            return; /* not written as a key of its own: what is checked in the end says so */
        }
        start = line_start(s, start - 1);
    }
}

static void set(struct edits *e, const struct gy_yaml_node *map, const char *key, const char *text)
{
    const struct gy_yaml_node *v = gy_yaml_get(map, key);
    if (!v) {
        gy_buf_addf(&e->appended, is_flow(e, map) ? ", %s: %s" : "%s: %s\n", key, text);
    } else if (!gy_str_eqc(gy_str_sub(e->source, v->offset, v->length), text)) {
        replace(e, v->offset, v->length, text);
    }
}

static void unset(struct edits *e, const struct gy_yaml_node *map, const char *key)
{
    const struct gy_yaml_node *v = gy_yaml_get(map, key);
    if (v && !is_flow(e, map)) {
        drop(e, key, v);
    } else if (v) {
        replace(e, v->offset, v->length, "null"); /* which DVC reads as not there */
    }
}

static void set_number(struct edits *e, const struct gy_yaml_node *map, const char *key, int64_t v)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", (long long)v);
    if (v >= 0) {
        set(e, map, key, text);
    } else {
        unset(e, map, key);
    }
}

static gy_status edit_entry(struct edits *e, const struct gy_yaml_node *map,
                            const struct gy_dvc_out *o, struct gy_err *err)
{
    char text[64];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf md5;
    gy_buf_init(&md5, GY_KIB);
    if (gy_yaml_get(map, "files")) {
        return gy_err_set(err, GY_E_UNSUPPORTED,
                          "%" GY_STR_F ": versioned by its cloud, which only `dvc` updates",
                          GY_STR_A(o->path));
    }
    gy_yaml_add_scalar(&md5, gy_str_c(o->oid.hex));
    (void)snprintf(text, sizeof text, "%" GY_STR_F, GY_STR_A(gy_buf_str(&md5)));
    const struct gy_yaml_node *was = gy_yaml_get(map, "md5");
    if (!was || !gy_str_eqc(was->text, o->oid.hex)) {
        set(e, map, "md5", text);
    }
    set_number(e, map, "size", o->size_bytes);
    set_number(e, map, "nfiles", o->n_files);
    if (o->is_exec) {
        set(e, map, "isexec", "true");
    } else {
        unset(e, map, "isexec");
    }
    if (!o->oid.legacy) {
        set(e, map, "hash", "md5");
    }
    return gy_buf_check(&md5, "a digest", err);
}

static const struct gy_yaml_node *find_entry(const struct gy_yaml_node *root, struct gy_str file,
                                             struct gy_str path)
{
    const struct gy_yaml_node *outs = gy_yaml_get(root, "outs");
    const struct gy_yaml_node *wdir = gy_yaml_get(root, "wdir");
    const char *slash = memrchr(file.p, '/', file.n);
    char dir[GY_MAX_PATH], full[GY_MAX_PATH];
    if (!gy_dvc_resolve(gy_str_n(file.p, slash ? (size_t)(slash - file.p) : 0),
                        wdir ? wdir->text : GY_STR(""), dir)) {
        return NULL;
    }
    for (size_t i = 0; outs && outs->kind == GY_YAML_SEQ && i < outs->n_items; i++) {
        const struct gy_yaml_node *p = gy_yaml_get(&outs->items[i], "path");
        if (p && gy_dvc_resolve(gy_str_c(dir), p->text, full) && gy_str_eqc(path, full)) {
            return &outs->items[i];
        }
    }
    return NULL;
}

/* New keys go behind the entry's last one, in its column; into braces before the closing one. */
static void append(struct edits *e, const struct gy_yaml_node *map, struct gy_buf *out, size_t *at)
{
    if (is_flow(e, map)) {
        size_t end = map->offset + map->length - 1;
        gy_buf_add(out, gy_str_sub(e->source, *at, end - *at));
        gy_buf_add(out, gy_buf_str(&e->appended));
        *at = end;
        return;
    }
    const struct gy_yaml_node *last = &map->items[map->n_items - 1];
    size_t end = line_end(e->source, last->offset + last->length);
    gy_buf_add(out, gy_str_sub(e->source, *at, end - *at));
    *at = end;
    if (out->n > 0 && out->p[out->n - 1] != '\n') {
        gy_buf_add_char(out, '\n');
    }
    struct gy_str rest = gy_buf_str(&e->appended), line;
    while (gy_str_next(&rest, '\n', &line) && line.n > 0) {
        for (int i = 1; i < map->column; i++) {
            gy_buf_add_char(out, ' ');
        }
        gy_buf_add(out, line);
        gy_buf_add_char(out, '\n');
    }
}

static int by_offset(const void *a, const void *b)
{
    const struct edit *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void apply(struct edits *e, const struct gy_yaml_node *map, struct gy_buf *out)
{
    size_t at = 0;
    size_t end_of_map = map->offset + map->length;
    bool appended = e->appended.n == 0;
    qsort(e->list, e->n, sizeof *e->list, by_offset);
    for (size_t i = 0; i < e->n; i++) {
        if (!appended && e->list[i].offset >= end_of_map) {
            append(e, map, out, &at);
            appended = true;
        }
        gy_buf_add(out, gy_str_sub(e->source, at, e->list[i].offset - at));
        gy_buf_addc(out, e->list[i].text);
        at = e->list[i].offset + e->list[i].length;
    }
    if (!appended) {
        append(e, map, out, &at);
    }
    gy_buf_add(out, gy_str_sub(e->source, at, e->source.n));
}

static bool is_number(const struct gy_yaml_node *n, int64_t v)
{
    bool none = !n || n->kind == GY_YAML_NULL;
    return v < 0 ? none : !none && n->kind == GY_YAML_INT && n->i == v;
}

/* Does an edited text say what it was told? There are texts that only look like what is edited here
 * (a block of text that ends where keys begin): these are people's to edit. */
static gy_status check_entry(const struct gy_yaml_node *e, const char *name,
                             const struct gy_dvc_out *o, struct gy_err *err)
{
    const struct gy_yaml_node *md5 = gy_yaml_get(e, "md5");
    const struct gy_yaml_node *exec = gy_yaml_get(e, "isexec");
    bool is_exec = exec && exec->kind == GY_YAML_BOOL && exec->b;
    bool is_legacy = !gy_yaml_get(e, "hash");
    if (md5 && gy_str_eqc(md5->text, o->oid.hex) && is_exec == o->is_exec &&
        is_legacy == o->oid.legacy && is_number(gy_yaml_get(e, "size"), o->size_bytes) &&
        is_number(gy_yaml_get(e, "nfiles"), o->n_files)) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_UNSUPPORTED, "%s can not be edited in the way it is written", name);
    return gy_err_hint(err, "write one key a line, as `gyre data add` does for a new one");
}

gy_status gy_dvc_file_edit(struct gy_str source, struct gy_str file, const struct gy_dvc_out *o,
                           struct gy_buf *out, struct gy_err *err)
{
    char name[GY_MAX_PATH];
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    GY_AUTO(gy_yaml_free) struct gy_yaml *again = NULL;
    (void)snprintf(name, sizeof name, "%" GY_STR_F, GY_STR_A(file));
    GY_TRY(gy_yaml_parse(source, name, &y, err));
    const struct gy_yaml_node *root = gy_yaml_root(y);
    const struct gy_yaml_node *entry = find_entry(root, file, o->path);
    if (!entry) {
        return gy_err_set(err, GY_E_NOTFOUND, "%s tracks no %" GY_STR_F, name, GY_STR_A(o->path));
    }
    struct edits e = {.source = gy_yaml_source(y)};
    gy_buf_init(&e.appended, GY_KIB);
    gy_status status = edit_entry(&e, entry, o, err);
    const struct gy_yaml_node *md5 = gy_yaml_get(root, "md5");
    bool is_plain = md5 && md5->kind != GY_YAML_MAP && md5->kind != GY_YAML_SEQ;
    if (status == GY_OK && is_plain && !gy_yaml_get(root, "deps") && !gy_yaml_get(root, "cmd")) {
        drop(&e, "md5",
             md5); /* the checksum of a stage, which DVC 3 no longer gives to mere data */
    }
    if (status == GY_OK) {
        apply(&e, entry, out);
        status = gy_buf_check(&e.appended, name, err);
    }
    gy_buf_done(&e.appended);
    GY_TRY(status);
    GY_TRY(gy_buf_check(out, name, err));
    GY_TRY(
        gy_yaml_parse(gy_buf_str(out), name, &again, err)); /* never write what can not be read */
    return check_entry(find_entry(gy_yaml_root(again), file, o->path), name, o, err);
}

gy_status gy_dvc_file_write(struct gy_dvc_repo *r, struct gy_str file, const struct gy_dvc_out *o,
                            bool *ret_written, struct gy_err *err)
{
    char path[2 * GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf was;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf now;
    gy_buf_init(&was, GY_MAX_YAML);
    gy_buf_init(&now, GY_MAX_YAML);
    (void)snprintf(path, sizeof path, "%s/%" GY_STR_F, gy_dvc_repo_root(r), GY_STR_A(file));
    if (gy_path_exists(path)) {
        GY_TRY(gy_file_read(path, &was, err));
        GY_TRY(gy_dvc_file_edit(gy_buf_str(&was), file, o, &now, err));
    } else {
        const char *slash = memrchr(file.p, '/', file.n);
        gy_dvc_file_text(&now, o,
                         gy_str_sub(o->path, slash ? (size_t)(slash - file.p) + 1 : 0, o->path.n));
        GY_TRY(gy_buf_check(&now, "a .dvc file", err));
    }
    *ret_written = !gy_str_eq(gy_buf_str(&was), gy_buf_str(&now));
    return *ret_written ? gy_file_write(path, gy_buf_str(&now), 0666, err) : GY_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/runcache.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "data/dvc/dir.h"
#include "data/dvc/repo_internal.h"
#include "data/dvc/yaml_out.h"

#define MAX_ENTRY (64 * GY_MIB)

/* ---- Python's JSON of a YAML value ---- */

static void add_number(struct gy_buf *out, const struct gy_yaml_node *n)
{
    char text[32];
    if (n->kind == GY_YAML_INT) {
        gy_buf_addf(out, "%lld", (long long)n->i);
    } else if (isfinite(n->f)) {
        (void)gy_fmt_f64(n->f, text);
        gy_buf_addc(out, text);
    } else {
        gy_buf_addc(out, isnan(n->f) ? "NaN" : n->f < 0 ? "-Infinity" : "Infinity");
    }
}

static bool is_left_out(struct gy_str key)
{
    return gy_str_eqc(key, "size") || gy_str_eqc(key, "nfiles");
}

static void add_value(struct gy_buf *out, const struct gy_yaml_node *n, bool as_key, bool is_root);

/* The smallest key above `after` (absent: of all); SIZE_MAX: none. Maps are small. */
static size_t next_key(const struct gy_yaml_node *map, struct gy_str after)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < map->n_items; i++) {
        bool above = !after.p || gy_dvc_path_cmp(map->keys[i], after) > 0;
        if (above && (best == SIZE_MAX || gy_dvc_path_cmp(map->keys[i], map->keys[best]) < 0)) {
            best = i;
        }
    }
    return best;
}

static void add_out_paths(struct gy_buf *out, const struct gy_yaml_node *outs)
{
    gy_buf_add_char(out, '[');
    for (size_t i = 0; outs->kind == GY_YAML_SEQ && i < outs->n_items; i++) {
        const struct gy_yaml_node *path = gy_yaml_get(&outs->items[i], "path");
        gy_buf_addc(out, i ? ", " : "");
        gy_dvc_add_python_string(out, path ? path->text : GY_STR(""));
    }
    gy_buf_add_char(out, ']');
}

static void add_map(struct gy_buf *out, const struct gy_yaml_node *n, bool as_key, bool is_root)
{
    bool first = true;
    struct gy_str last = GY_STR_NULL;
    gy_buf_add_char(out, '{');
    for (size_t i = next_key(n, last); i != SIZE_MAX; i = next_key(n, last)) {
        last = n->keys[i];
        if (is_left_out(last)) {
            continue;
        }
        gy_buf_addc(out, first ? "" : ", ");
        first = false;
        gy_dvc_add_python_string(out, last);
        gy_buf_addc(out, ": ");
        if (is_root && as_key && gy_str_eqc(last, "outs")) {
            add_out_paths(out, &n->items[i]);
        } else if (is_root && gy_str_eqc(last, "cmd") && n->items[i].kind != GY_YAML_SEQ) {
            gy_dvc_add_python_string(out, n->items[i].text); /* `cmd: true` is a command */
        } else {
            add_value(out, &n->items[i], false, false);
        }
    }
    gy_buf_add_char(out, '}');
}

static void add_value(struct gy_buf *out, const struct gy_yaml_node *n, bool as_key, bool is_root)
{
    switch (n->kind) {
    case GY_YAML_NULL:
        gy_buf_addc(out, "null");
        break;
    case GY_YAML_BOOL:
        gy_buf_addc(out, n->b ? "true" : "false");
        break;
    case GY_YAML_INT:
    case GY_YAML_FLOAT:
        add_number(out, n);
        break;
    case GY_YAML_STR:
        gy_dvc_add_python_string(out, n->text);
        break;
    case GY_YAML_SEQ:
        gy_buf_add_char(out, '[');
        for (size_t i = 0; i < n->n_items; i++) {
            gy_buf_addc(out, i ? ", " : "");
            add_value(out, &n->items[i], false, false);
        }
        gy_buf_add_char(out, ']');
        break;
    case GY_YAML_MAP:
        add_map(out, n, as_key, is_root);
        break;
    }
}

gy_status gy_dvc_run_hash(const struct gy_yaml_node *entry, bool as_key, char ret[GY_SHA256_HEX],
                          struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, MAX_ENTRY);
    if (!entry || entry->kind != GY_YAML_MAP) {
        return gy_err_set(err, GY_E_INVALID, "an entry of the run cache is a map");
    }
    add_map(&json, entry, as_key, true);
    if (as_key && !gy_yaml_get(entry, "outs")) {
        return gy_err_set(err, GY_E_INVALID, "a stage without outputs is not in the run cache");
    }
    GY_TRY(gy_buf_check(&json, "an entry of the run cache", err));
    return gy_sha256_hex(gy_buf_str(&json), ret, err);
}

/* ---- files ---- */

static gy_status folder_of(const struct gy_dvc_repo *r, const char *key, char ret[GY_MAX_PATH],
                           struct gy_err *err)
{
    int n = snprintf(ret, GY_MAX_PATH, "%s/runs/%.2s/%s", r->cache, key, key);
    return n > 0 && n + 80 < GY_MAX_PATH
               ? GY_OK
               : gy_err_set(err, GY_E_TOOBIG, "the cache's path is too long");
}

gy_status gy_dvc_run_save(struct gy_dvc_repo *r, const struct gy_yaml_node *entry,
                          struct gy_err *err)
{
    char key[GY_SHA256_HEX], value[GY_SHA256_HEX], path[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, MAX_ENTRY);
    GY_TRY(gy_dvc_run_hash(entry, true, key, err));
    GY_TRY(gy_dvc_run_hash(entry, false, value, err));
    GY_TRY(folder_of(r, key, path, err));
    GY_TRY(gy_dvc_cache_mkdir(r, path, err));
    size_t n = strlen(path);
    (void)snprintf(path + n, sizeof path - n, "/%s", value);
    if (gy_path_exists(path)) {
        return GY_OK;
    }
    for (size_t i = 0; i < entry->n_items; i++) {
        const struct gy_yaml_node *v = &entry->items[i];
        gy_yaml_add_scalar(&text, entry->keys[i]);
        gy_buf_add_char(&text, ':');
        if (gy_str_eqc(entry->keys[i], "cmd") && v->kind != GY_YAML_SEQ) {
            gy_buf_add_char(&text, ' ');
            gy_dvc_yaml_folded(&text, v->text, 2);
        } else {
            gy_dvc_yaml_node(&text, v, 0);
        }
    }
    GY_TRY(gy_buf_check(&text, "an entry of the run cache", err));
    return gy_file_write(path, gy_buf_str(&text), 0666, err);
}

/* The name of the newest file in a folder; "" when there is none. */
static void newest_in(const char *folder, char ret[256])
{
    struct timespec best = {0};
    DIR *d = opendir(folder);
    ret[0] = '\0';
    for (struct dirent *e = NULL; d && (e = readdir(d));) {
        struct stat st;
        if (!gy_is_hex(gy_str_c(e->d_name), GY_SHA256_HEX - 1) ||
            fstatat(dirfd(d), e->d_name, &st, 0) != 0 || !S_ISREG(st.st_mode)) {
            continue;
        }
        bool newer = st.st_mtim.tv_sec > best.tv_sec ||
                     (st.st_mtim.tv_sec == best.tv_sec && st.st_mtim.tv_nsec >= best.tv_nsec);
        if (!ret[0] || newer) {
            best = st.st_mtim;
            (void)snprintf(ret, 256, "%s", e->d_name);
        }
    }
    if (d) {
        (void)closedir(d);
    }
}

gy_status gy_dvc_run_find(struct gy_dvc_repo *r, const struct gy_yaml_node *entry,
                          struct gy_yaml **ret, struct gy_err *err)
{
    char key[GY_SHA256_HEX], path[GY_MAX_PATH], name[256];
    struct gy_err unread = GY_ERR_INIT;
    *ret = NULL;
    GY_TRY(gy_dvc_run_hash(entry, true, key, err));
    GY_TRY(folder_of(r, key, path, err));
    newest_in(path, name);
    if (!name[0]) {
        return GY_OK;
    }
    size_t n = strlen(path);
    (void)snprintf(path + n, sizeof path - n, "/%.64s", name);
    if (gy_yaml_read_file(path, ret, &unread) != GY_OK) {
        *ret = NULL; /* damaged: DVC removes it; the stage runs, and stores it anew */
        (void)unlink(path);
    }
    return GY_OK;
}

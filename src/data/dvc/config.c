/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/dvc/ini.h"

struct level {
    char file[GY_MAX_PATH]; /* "": there is none */
    struct gy_ini ini;
};

struct gy_dvc_config {
    struct level levels[GY_DVC_N_LEVELS];
    struct gy_arena arena; /* texts and what was read from them; edits add to it */
};

static gy_status out_of_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for DVC's configuration");
}

gy_status gy_dvc_find_root(const char *dir, char ret[GY_MAX_PATH], struct gy_err *err)
{
    char probe[GY_MAX_PATH];
    _Static_assert(GY_MAX_PATH >= PATH_MAX, "realpath writes so much");
    if (!realpath(dir, ret)) {
        return gy_err_sys(err, errno, "%s", dir);
    }
    while (true) {
        GY_TRY(gy_path_join(probe, sizeof probe, ret, ".dvc", err));
        if (gy_path_is_dir(probe)) {
            return GY_OK;
        }
        char *slash = strrchr(ret, '/');
        if (!slash || ret[1] == '\0') {
            (void)gy_err_set(err, GY_E_NOTFOUND, "%s lies in no DVC repository", dir);
            return gy_err_hint(err, "gyre data add makes one; so does dvc init");
        }
        slash[slash == ret ? 1 : 0] = '\0';
    }
}

/* ---- loading ---- */

/* "<$variable>/config", else "<$xdg or standard>/dvc/config". */
static gy_status outer_file(const char *variable, const char *xdg, const char *home_part,
                            const char *standard, char *ret, struct gy_err *err)
{
    const char *dir = getenv(variable), *base = getenv(xdg), *home = getenv("HOME");
    int n = 0;
    if (dir && *dir) {
        n = snprintf(ret, GY_MAX_PATH, "%s/config", dir);
    } else if (base && *base) {
        n = snprintf(ret, GY_MAX_PATH, "%.*s/dvc/config", (int)strcspn(base, ":"), base);
    } else if (standard) {
        n = snprintf(ret, GY_MAX_PATH, "%s/dvc/config", standard);
    } else if (home && *home) {
        n = snprintf(ret, GY_MAX_PATH, "%s/%s/dvc/config", home, home_part);
    } else {
        ret[0] = '\0';
    }
    return n >= GY_MAX_PATH ? gy_err_set(err, GY_E_TOOBIG, "%s is too long", variable) : GY_OK;
}

static gy_status load_level(struct gy_dvc_config *c, struct level *l, struct gy_err *err)
{
    if (!l->file[0] || !gy_path_exists(l->file)) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_DVC_MAX_CONFIG);
    GY_TRY(gy_file_read(l->file, &text, err));
    struct gy_str copy = gy_arena_str(&c->arena, gy_buf_str(&text));
    return copy.p ? gy_ini_parse(copy, l->file, &c->arena, &l->ini, err) : out_of_memory(err);
}

gy_status gy_dvc_config_load(const char *root, struct gy_dvc_config **ret, struct gy_err *err)
{
    GY_AUTO(gy_dvc_config_free) struct gy_dvc_config *c = gy_calloc(1, sizeof *c);
    if (!c) {
        return out_of_memory(err);
    }
    gy_arena_init(&c->arena, 8 * GY_DVC_MAX_CONFIG);
    struct level *l = c->levels;
    GY_TRY(outer_file("DVC_SYSTEM_CONFIG_DIR", "XDG_CONFIG_DIRS", NULL, "/etc/xdg",
                      l[GY_DVC_SYSTEM].file, err));
    GY_TRY(outer_file("DVC_GLOBAL_CONFIG_DIR", "XDG_CONFIG_HOME", ".config", NULL,
                      l[GY_DVC_GLOBAL].file, err));
    if (root) {
        GY_TRY(gy_path_join(l[GY_DVC_REPO].file, GY_MAX_PATH, root, ".dvc/config", err));
        GY_TRY(gy_path_join(l[GY_DVC_LOCAL].file, GY_MAX_PATH, root, ".dvc/config.local", err));
    }
    for (size_t i = 0; i < GY_DVC_N_LEVELS; i++) {
        GY_TRY(load_level(c, &l[i], err));
    }
    *ret = GY_TAKE(c);
    return GY_OK;
}

void gy_dvc_config_free(struct gy_dvc_config *c)
{
    if (c) {
        gy_arena_done(&c->arena);
        gy_free(c);
    }
}

const char *gy_dvc_config_file(const struct gy_dvc_config *c, enum gy_dvc_level level)
{
    return c->levels[level].file[0] ? c->levels[level].file : NULL;
}

/* ---- asking ---- */

struct gy_str gy_dvc_config_get_at(const struct gy_dvc_config *c, enum gy_dvc_level level,
                                   const char *section, const char *key)
{
    const struct gy_ini_entry *e =
        gy_ini_entry(&c->levels[level].ini, gy_str_c(section), gy_str_c(key));
    return e ? e->value : GY_STR_NULL;
}

struct gy_str gy_dvc_config_get(const struct gy_dvc_config *c, const char *section, const char *key,
                                enum gy_dvc_level *ret_level)
{
    for (int i = GY_DVC_N_LEVELS - 1; i >= 0; i--) {
        struct gy_str v = gy_dvc_config_get_at(c, (enum gy_dvc_level)i, section, key);
        if (v.p) {
            if (ret_level) {
                *ret_level = (enum gy_dvc_level)i;
            }
            return v;
        }
    }
    return GY_STR_NULL;
}

bool gy_dvc_config_has(const struct gy_dvc_config *c, enum gy_dvc_level level, const char *section)
{
    for (size_t i = 0; i < GY_DVC_N_LEVELS; i++) {
        if ((level == GY_DVC_N_LEVELS || i == level) &&
            gy_ini_section(&c->levels[i].ini, gy_str_c(section))) {
            return true;
        }
    }
    return false;
}

bool gy_dvc_config_bool(const struct gy_dvc_config *c, const char *section, const char *key,
                        bool standard)
{
    struct gy_str v = gy_dvc_config_get(c, section, key, NULL);
    if (!v.p) {
        return standard;
    }
    return gy_str_ieq(v, GY_STR("true")) || gy_str_ieq(v, GY_STR("yes")) ||
           gy_str_ieq(v, GY_STR("on")) || gy_str_eqc(v, "1");
}

/* "s3://..."; also "remote://other/path". */
static bool is_url(struct gy_str s)
{
    size_t n = 0;
    while (n < s.n && ((s.p[n] >= 'a' && s.p[n] <= 'z') || (s.p[n] >= 'A' && s.p[n] <= 'Z') ||
                       (s.p[n] >= '0' && s.p[n] <= '9') || s.p[n] == '_')) {
        n++;
    }
    return n > 0 && gy_str_starts(gy_str_sub(s, n, s.n), GY_STR("://"));
}

/* dir + path with "." and ".." taken out; path absolute: without dir. */
static gy_status normalise(const char *dir, struct gy_str path, char ret[GY_MAX_PATH],
                           struct gy_err *err)
{
    bool absolute = path.n && path.p[0] == '/';
    struct gy_str parts[2] = {absolute ? GY_STR("") : gy_str_c(dir), path};
    size_t n = 0;
    for (size_t i = 0; i < 2; i++) {
        struct gy_str rest = parts[i], piece;
        while (gy_str_next(&rest, '/', &piece)) {
            if (piece.n == 0 || gy_str_eqc(piece, ".")) {
                continue;
            }
            if (gy_str_eqc(piece, "..")) {
                while (n > 0 && ret[--n] != '/') {
                }
                continue;
            }
            if (n + piece.n + 2 > GY_MAX_PATH || memchr(piece.p, '\0', piece.n)) {
                return gy_err_set(err, GY_E_TOOBIG, "a path is too long");
            }
            ret[n++] = '/';
            memcpy(ret + n, piece.p, piece.n);
            n += piece.n;
        }
    }
    if (n == 0) {
        ret[n++] = '/';
    }
    ret[n] = '\0';
    return GY_OK;
}

/* The folder that the file of a level is in. */
static void folder_of(const struct level *l, char ret[GY_MAX_PATH])
{
    (void)snprintf(ret, GY_MAX_PATH, "%s", l->file);
    char *slash = strrchr(ret, '/');
    if (slash) {
        *slash = '\0';
    }
}

/* Of this user only; "~other/x" is a name like any other. */
static bool is_home(struct gy_str s)
{
    return s.n && s.p[0] == '~' && (s.n == 1 || s.p[1] == '/') && getenv("HOME");
}

gy_status gy_dvc_config_path(const struct gy_dvc_config *c, const char *section, const char *key,
                             char ret[GY_MAX_PATH], struct gy_err *err)
{
    enum gy_dvc_level level = GY_DVC_REPO;
    struct gy_str v = gy_dvc_config_get(c, section, key, &level);
    char dir[GY_MAX_PATH];
    ret[0] = '\0';
    if (!v.p) {
        return GY_OK;
    }
    if (v.n >= GY_MAX_PATH) {
        return gy_err_set(err, GY_E_TOOBIG, "%s.%s is too long", section, key);
    }
    if (is_url(v) || (v.n && v.p[0] == '/')) {
        (void)snprintf(ret, GY_MAX_PATH, "%" GY_STR_F, GY_STR_A(v));
        return GY_OK;
    }
    folder_of(&c->levels[level], dir);
    if (is_home(v)) {
        (void)snprintf(dir, sizeof dir, "%s", getenv("HOME"));
        v = gy_str_sub(v, 2, v.n);
    }
    return normalise(dir, v, ret, err);
}

gy_status gy_dvc_config_path_text(const struct gy_dvc_config *c, enum gy_dvc_level level,
                                  const char *cwd, const char *path, char ret[GY_MAX_PATH],
                                  struct gy_err *err)
{
    struct gy_str p = gy_str_c(path);
    if (p.n >= GY_MAX_PATH) {
        return gy_err_set(err, GY_E_TOOBIG, "the path is too long");
    }
    if (is_url(p) || is_home(p) || (p.n && p.p[0] == '/')) {
        (void)snprintf(ret, GY_MAX_PATH, "%s", path);
        return GY_OK;
    }
    char from[GY_MAX_PATH], to[GY_MAX_PATH];
    folder_of(&c->levels[level], from);
    GY_TRY(normalise(cwd, p, to, err));
    size_t common = 0, i = 0; /* the end of the last folder that both are in */
    for (; from[i] && from[i] == to[i]; i++) {
        common = from[i] == '/' ? i : common;
    }
    if ((from[i] == '\0' || from[i] == '/') && (to[i] == '\0' || to[i] == '/')) {
        common = i;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_PATH - 1);
    for (const char *up = from + common; *up; up++) {
        if (*up == '/') {
            gy_buf_addc(&out, out.n ? "/.." : "..");
        }
    }
    const char *down = to + common + (to[common] == '/' ? 1 : 0);
    gy_buf_addf(&out, "%s%s", out.n && *down ? "/" : "", down);
    GY_TRY(gy_buf_check(&out, "a path", err));
    (void)snprintf(ret, GY_MAX_PATH, "%s", out.n ? out.p : ".");
    return GY_OK;
}

bool gy_dvc_config_is_path(const char *section, const char *key)
{
    static const char *const of_remotes[] = {"url",
                                             "gdrive_user_credentials_file",
                                             "gdrive_service_account_json_file_path",
                                             "keyfile",
                                             "credentialpath",
                                             "configpath",
                                             "cert_path",
                                             "key_path"};
    if (strcmp(section, "cache") == 0) {
        return strcmp(key, "dir") == 0;
    }
    for (size_t i = 0; i < sizeof of_remotes / sizeof of_remotes[0]; i++) {
        if (strncmp(section, "remote \"", 8) == 0 && strcmp(key, of_remotes[i]) == 0) {
            return true;
        }
    }
    return false;
}

gy_status gy_dvc_config_remotes(const struct gy_dvc_config *c, enum gy_dvc_level level,
                                struct gy_arena *a, struct gy_str **ret, size_t *ret_n,
                                struct gy_err *err)
{
    size_t cap = 0, n = 0;
    for (size_t l = 0; l < GY_DVC_N_LEVELS; l++) {
        cap += c->levels[l].ini.n_sections;
    }
    struct gy_str *names = gy_arena_calloc(a, cap + 1, sizeof *names);
    if (!names) {
        return out_of_memory(err);
    }
    for (size_t l = 0; l < GY_DVC_N_LEVELS; l++) {
        const struct gy_ini *ini = &c->levels[l].ini;
        for (size_t i = 0; (level == GY_DVC_N_LEVELS || level == l) && i < ini->n_sections; i++) {
            struct gy_str s = ini->sections[i].name;
            if (!gy_str_starts(s, GY_STR("remote \"")) || s.p[s.n - 1] != '"' || s.n < 9) {
                continue;
            }
            s = gy_arena_str(a, gy_str_sub(s, 8, s.n - 9));
            if (!s.p) {
                return out_of_memory(err);
            }
            size_t k = 0;
            while (k < n && !gy_str_eq(names[k], s)) {
                k++;
            }
            names[k] = s;
            n += k == n ? 1 : 0;
        }
    }
    *ret = names;
    *ret_n = n;
    return GY_OK;
}

struct gy_str gy_dvc_config_key(const struct gy_dvc_config *c, const char *section, size_t n)
{
    for (size_t l = 0; l < GY_DVC_N_LEVELS; l++) {
        const struct gy_ini *ini = &c->levels[l].ini;
        const struct gy_ini_section *s = gy_ini_section(ini, gy_str_c(section));
        for (size_t i = 0; s && i < ini->n_entries; i++) {
            const struct gy_ini_entry *e = &ini->entries[i];
            bool known = false;
            for (size_t k = 0; k < l; k++) {
                known = known || gy_ini_entry(&c->levels[k].ini, s->name, e->key);
            }
            if (e->section == (size_t)(s - ini->sections) && !known && n-- == 0) {
                return e->key;
            }
        }
    }
    return GY_STR_NULL;
}

/* ---- editing ---- */

static gy_status need_file(const struct gy_dvc_config *c, enum gy_dvc_level level,
                           struct gy_err *err)
{
    static const char *const names[] = {"system", "global", "repository", "local"};
    return c->levels[level].file[0]
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "there is no file for the %s configuration here",
                            names[level]);
}

/* The new text of a level: read first, so that what is written can be read, then written. */
static gy_status write_level(struct gy_dvc_config *c, struct level *l, const struct gy_buf *text,
                             struct gy_err *err)
{
    struct gy_ini ini;
    struct gy_str copy = gy_arena_str(&c->arena, gy_buf_str(text));
    if (!copy.p) {
        return out_of_memory(err);
    }
    GY_TRY(gy_ini_parse(copy, l->file, &c->arena, &ini, err));
    struct stat st;
    /* keys of accounts may stand in a local file */
    mode_t mode = l == &c->levels[GY_DVC_LOCAL] ? 0600 : 0644;
    if (stat(l->file, &st) == 0) {
        mode = st.st_mode & 07777;
    }
    GY_TRY(gy_dir_make_for(l->file, err));
    GY_TRY(gy_file_write(l->file, copy, mode, err));
    l->ini = ini;
    return GY_OK;
}

gy_status gy_dvc_config_set(struct gy_dvc_config *c, enum gy_dvc_level level, const char *section,
                            const char *key, struct gy_str value, struct gy_err *err)
{
    struct level *l = &c->levels[level];
    GY_TRY(need_file(c, level, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_DVC_MAX_CONFIG);
    GY_TRY(gy_ini_set(&l->ini, gy_str_c(section), gy_str_c(key), value, &text, err));
    if (gy_str_eq(gy_buf_str(&text), l->ini.text)) {
        return GY_OK;
    }
    return write_level(c, l, &text, err);
}

gy_status gy_dvc_config_rename(struct gy_dvc_config *c, enum gy_dvc_level level,
                               const char *section, const char *to, struct gy_err *err)
{
    struct level *l = &c->levels[level];
    GY_TRY(need_file(c, level, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_DVC_MAX_CONFIG);
    GY_TRY(gy_ini_rename(&l->ini, gy_str_c(section), gy_str_c(to), &text, err));
    return write_level(c, l, &text, err);
}

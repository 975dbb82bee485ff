/* SPDX-License-Identifier: Apache-2.0 */
#include "api/auth_file.h"

#include "base/hash.h"
#include "base/limits.h"
#include "base/time.h"
#include "base/yaml.h"
#include "store/users.h"

#define FILE_ARENA (16 * GY_MIB)

struct file {
    const struct gy_yaml *y;
    struct gy_arena *a;
    struct gy_user_file_entry *entries;
    size_t n;
    struct gy_str *workspaces;
    size_t n_workspaces;
};

static gy_status need_kind(const struct file *f, const struct gy_yaml_node *node,
                           enum gy_yaml_kind kind, size_t max, const char *what, struct gy_err *err)
{
    if (node->kind != kind) {
        return gy_yaml_err(f->y, node, err, "%s %s", what,
                           kind == GY_YAML_SEQ ? "is a list" : "is a map");
    }
    return node->n_items <= max
               ? GY_OK
               : gy_yaml_err(f->y, node, err, "%s has at most %zu entries", what, max);
}

static gy_status need_text(const struct file *f, const struct gy_yaml_node *map, const char *key,
                           struct gy_str *ret, struct gy_err *err)
{
    const struct gy_yaml_node *node = gy_yaml_get(map, key);
    if (!node || node->kind == GY_YAML_SEQ || node->kind == GY_YAML_MAP || node->text.n == 0) {
        return gy_yaml_err(f->y, node ? node : map, err, "'%s' is missing", key);
    }
    *ret = node->text;
    return GY_OK;
}

static gy_status read_roles(struct file *f, const struct gy_yaml_node *map,
                            struct gy_user_file_entry *e, struct gy_err *err)
{
    if (!map) {
        return GY_OK;
    }
    GY_TRY(need_kind(f, map, GY_YAML_MAP, GY_AUTH_FILE_MAX_ITEMS, "'roles'", err));
    struct gy_grant *grants = gy_arena_calloc(f->a, map->n_items + 1, sizeof *grants);
    if (!grants) {
        return gy_err_set(err, GY_E_NOMEM, "reading users");
    }
    for (size_t i = 0; i < map->n_items; i++) {
        grants[i].workspace = map->keys[i];
        if (!gy_auth_role_parse(map->items[i].text, &grants[i].role)) {
            return gy_yaml_err(f->y, &map->items[i], err,
                               "a role is viewer, reviewer, operator or admin");
        }
    }
    e->grants = grants;
    e->n_grants = map->n_items;
    return GY_OK;
}

static bool is_sha256(struct gy_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!strchr("0123456789abcdef", s.p[i]) || s.p[i] == '\0') {
            return false;
        }
    }
    return s.n == GY_SHA256_HEX - 1;
}

static gy_status read_token(const struct file *f, const struct gy_yaml_node *node,
                            struct gy_user_file_token *ret, struct gy_err *err)
{
    static const char *const keys[] = {"sha256", "label", "expires", NULL};
    GY_TRY(need_kind(f, node, GY_YAML_MAP, GY_AUTH_FILE_MAX_ITEMS, "a token", err));
    GY_TRY(gy_yaml_only(f->y, node, keys, err));
    GY_TRY(need_text(f, node, "sha256", &ret->sha256, err));
    const struct gy_yaml_node *label = gy_yaml_get(node, "label");
    const struct gy_yaml_node *expires = gy_yaml_get(node, "expires");
    if (!is_sha256(ret->sha256)) {
        return gy_yaml_err(f->y, node, err, "'sha256' is the digest of a token: 64 digits 0-9a-f");
    }
    ret->label = label && label->text.p ? label->text : GY_STR("");
    if (ret->label.n > GY_TOKEN_MAX_LABEL) {
        return gy_yaml_err(f->y, label, err, "'label' has at most %d bytes", GY_TOKEN_MAX_LABEL);
    }
    if (expires && gy_time_parse_iso(expires->text, &ret->expires_us, NULL) != GY_OK) {
        return gy_yaml_err(f->y, expires, err, "'expires' is a time: 2027-01-01T00:00:00Z");
    }
    return GY_OK;
}

static gy_status read_tokens(struct file *f, const struct gy_yaml_node *list,
                             struct gy_user_file_entry *e, struct gy_err *err)
{
    if (!list) {
        return GY_OK;
    }
    GY_TRY(need_kind(f, list, GY_YAML_SEQ, GY_AUTH_FILE_MAX_ITEMS, "'tokens'", err));
    struct gy_user_file_token *tokens = gy_arena_calloc(f->a, list->n_items + 1, sizeof *tokens);
    if (!tokens) {
        return gy_err_set(err, GY_E_NOMEM, "reading users");
    }
    for (size_t i = 0; i < list->n_items; i++) {
        GY_TRY(read_token(f, &list->items[i], &tokens[i], err));
    }
    e->tokens = tokens;
    e->n_tokens = list->n_items;
    return GY_OK;
}

static gy_status read_user(struct file *f, const struct gy_yaml_node *node,
                           struct gy_user_file_entry *e, struct gy_err *err)
{
    static const char *const keys[] = {"name", "service", "password_hash", "roles", "tokens", NULL};
    GY_TRY(need_kind(f, node, GY_YAML_MAP, GY_AUTH_FILE_MAX_ITEMS, "a user", err));
    GY_TRY(gy_yaml_only(f->y, node, keys, err));
    GY_TRY(need_text(f, node, "name", &e->name, err));
    struct gy_err why = GY_ERR_INIT;
    if (gy_user_check_name(e->name, &why) != GY_OK) {
        return gy_yaml_err(f->y, node, err, "%s", why.msg);
    }
    const struct gy_yaml_node *hash = gy_yaml_get(node, "password_hash");
    const struct gy_yaml_node *service = gy_yaml_get(node, "service");
    if (hash) {
        e->password_hash = hash->text;
        if (!gy_str_starts(hash->text, GY_STR("$argon2id$")) ||
            hash->text.n >= GY_PASSWORD_HASH_TEXT) {
            /* Never repeated: somebody may have put the password itself there. */
            return gy_yaml_err(f->y, hash, err,
                               "'password_hash' is what `gyre user hash` prints, $argon2id$...");
        }
    }
    if (service && service->kind != GY_YAML_BOOL) {
        return gy_yaml_err(f->y, service, err, "'service' is true or false");
    }
    e->service = service && service->b;
    GY_TRY(read_roles(f, gy_yaml_get(node, "roles"), e, err));
    return read_tokens(f, gy_yaml_get(node, "tokens"), e, err);
}

static gy_status read_workspaces(struct file *f, const struct gy_yaml_node *list,
                                 struct gy_err *err)
{
    if (!list) {
        return GY_OK;
    }
    GY_TRY(need_kind(f, list, GY_YAML_SEQ, GY_AUTH_FILE_MAX_ITEMS, "'workspaces'", err));
    f->workspaces = gy_arena_calloc(f->a, list->n_items + 1, sizeof *f->workspaces);
    if (!f->workspaces) {
        return gy_err_set(err, GY_E_NOMEM, "reading workspaces");
    }
    for (size_t i = 0; i < list->n_items; i++) {
        f->workspaces[f->n_workspaces++] = list->items[i].text.p ? list->items[i].text : GY_STR("");
    }
    return GY_OK;
}

static gy_status read_file(struct file *f, struct gy_err *err)
{
    static const char *const keys[] = {"workspaces", "users", NULL};
    const struct gy_yaml_node *root = gy_yaml_root(f->y);
    GY_TRY(need_kind(f, root, GY_YAML_MAP, GY_AUTH_FILE_MAX_ITEMS, "the file of users", err));
    GY_TRY(gy_yaml_only(f->y, root, keys, err));
    const struct gy_yaml_node *users = gy_yaml_get(root, "users");
    if (!users) {
        return gy_yaml_err(f->y, root, err, "'users' is missing");
    }
    GY_TRY(need_kind(f, users, GY_YAML_SEQ, GY_AUTH_FILE_MAX_USERS, "'users'", err));
    f->entries = gy_arena_calloc(f->a, users->n_items + 1, sizeof *f->entries);
    if (!f->entries) {
        return gy_err_set(err, GY_E_NOMEM, "reading users");
    }
    for (; f->n < users->n_items; f->n++) {
        GY_TRY(read_user(f, &users->items[f->n], &f->entries[f->n], err));
    }
    return read_workspaces(f, gy_yaml_get(root, "workspaces"), err);
}

static gy_status apply(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct file *f = ctx;
    return gy_user_file_apply(db, f->entries, f->n, f->workspaces, f->n_workspaces, err);
}

gy_status gy_auth_file_apply(struct gy_store *store, const char *path, struct gy_err *err)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, FILE_ARENA);
    GY_TRY(gy_yaml_read_file(path, &y, err));
    struct file f = {.y = y, .a = &a};
    GY_TRY(read_file(&f, err));
    gy_status status = gy_store_write(store, apply, &f, err);
    return status == GY_OK ? GY_OK : gy_err_wrap(err, "%s", path);
}

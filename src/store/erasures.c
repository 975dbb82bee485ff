/* SPDX-License-Identifier: Apache-2.0 */
#include "store/erasures.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/time.h"
#include "store/scope.h"

#define COLUMNS "id, subject_hash, reason, state, actor, created_us, done_us, dataset, possible"
#define HOLD_COLUMNS \
    "id, kind, target, reason, actor, created_us, released_us, released_by, release_reason"
#define FORMAT "gyre.erasure/1"
#define ARCHIVES "archives"
#define MAX_ENTRY (64 * GY_KIB)
#define MAX_ARCHIVES (4 * GY_MIB) /* bytes of the file that remembers them */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for erasures");
}

static gy_status new_id(struct gy_arena *a, struct gy_str *ret, struct gy_err *err)
{
    struct gy_uuid_gen gen;
    unsigned char id[16];
    char text[GY_UUID_TEXT];
    GY_TRY(gy_uuid_gen_init(&gen, err));
    gy_uuid7(&gen, id);
    gy_uuid_text(id, text);
    *ret = gy_arena_str(a, gy_str_c(text));
    return ret->p ? GY_OK : no_memory(err);
}

static gy_status read_row(struct gy_stmt *st, struct gy_arena *a, struct gy_erasure *e,
                          struct gy_err *err)
{
    *e = (struct gy_erasure){.id = gy_col_dup(st, 0, a),
                             .subject_hash = gy_col_dup(st, 1, a),
                             .reason = gy_col_dup(st, 2, a),
                             .state = gy_col_dup(st, 3, a),
                             .actor = gy_col_dup(st, 4, a),
                             .created_us = gy_col_i64(st, 5),
                             .done_us = gy_col_i64(st, 6),
                             .dataset = gy_col_dup(st, 7, a),
                             .possible = gy_col_i64(st, 8) != 0};
    return e->id.p && e->subject_hash.p && e->reason.p && e->state.p && e->actor.p ? GY_OK
                                                                                   : no_memory(err);
}

static gy_status read_one(struct gy_db *db, const char *sql, const struct gy_val *vals,
                          size_t n_vals, struct gy_arena *a, bool *ret_found,
                          struct gy_erasure *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db, sql, vals, n_vals, &st, err));
    GY_TRY(gy_stmt_step(st, ret_found, err));
    return *ret_found ? read_row(st, a, ret, err) : GY_OK;
}

gy_status gy_erasure_begin(struct gy_db *db, const struct gy_erasure *e, struct gy_arena *a,
                           struct gy_erasure *ret, bool *ret_resumed, struct gy_err *err)
{
    static const char running[] =
        "SELECT " COLUMNS " FROM erasures WHERE subject_hash = ? AND "
        "COALESCE(dataset, '') = ? AND state = 'running' ORDER BY created_us, id LIMIT 1";
    struct gy_erasure made = *e;
    bool found;
    GY_TRY(read_one(db, running,
                    GY_VALS(gy_vs(e->subject_hash), gy_vs(e->dataset.p ? e->dataset : GY_STR(""))),
                    a, &found, ret, err));
    *ret_resumed = found;
    if (found && e->possible && !ret->possible) { /* it goes on with more than it was begun with */
        ret->possible = true;
        return gy_db_exec(db, "UPDATE erasures SET possible = 1 WHERE id = ?",
                          GY_VALS(gy_vs(ret->id)), NULL, err);
    }
    if (found) {
        return GY_OK;
    }
    if (!made.id.p) {
        GY_TRY(new_id(a, &made.id, err));
    }
    made.created_us = e->created_us ? e->created_us : gy_now_us();
    made.state = GY_STR("running");
    made.done_us = 0;
    GY_TRY(gy_db_exec(db,
                      "INSERT INTO erasures (id, workspace_id, subject_hash, reason, state, actor, "
                      "created_us, dataset, possible) VALUES (?, ?, ?, ?, 'running', ?, ?, ?, ?) "
                      "ON CONFLICT (id) DO UPDATE SET state = 'running'",
                      GY_VALS(gy_vs(made.id), gy_vs(gy_db_workspace(db)), gy_vs(made.subject_hash),
                              gy_vs(made.reason), gy_vs(made.actor), gy_vi(made.created_us),
                              gy_vs(made.dataset), gy_vi(made.possible)),
                      NULL, err));
    *ret = made;
    return GY_OK;
}

gy_status gy_erasure_item(struct gy_db *db, struct gy_str id, const char *kind, struct gy_str item,
                          int64_t n, struct gy_err *err)
{
    return gy_db_exec(db,
                      "INSERT INTO erasure_items (erasure_id, kind, item, n) VALUES (?, ?, ?, ?) "
                      "ON CONFLICT (erasure_id, kind, item) DO UPDATE SET n = erasure_items.n + "
                      "excluded.n",
                      GY_VALS(gy_vs(id), gy_vc(kind), gy_vs(item), gy_vi(n)), NULL, err);
}

gy_status gy_erasure_finish(struct gy_db *db, struct gy_str id, struct gy_err *err)
{
    return gy_db_exec(db, "UPDATE erasures SET state = 'done', done_us = ? WHERE id = ?",
                      GY_VALS(gy_vi(gy_now_us()), gy_vs(id)), NULL, err);
}

gy_status gy_erasure_get(struct gy_db *db, struct gy_str id, struct gy_arena *a,
                         struct gy_erasure *ret, struct gy_err *err)
{
    bool found;
    GY_TRY(read_one(db, "SELECT " COLUMNS " FROM erasures WHERE id = ?", GY_VALS(gy_vs(id)), a,
                    &found, ret, err));
    return found ? GY_OK : gy_err_set(err, GY_E_NOTFOUND, "no erasure %" GY_STR_F, GY_STR_A(id));
}

/* Room for one more of `size` bytes each in an array of the arena that doubles. */
static gy_status grow(struct gy_arena *a, void **list, size_t n, size_t *cap, size_t size,
                      struct gy_err *err)
{
    if (n < *cap) {
        return GY_OK;
    }
    size_t more = *cap ? *cap * 2 : 16;
    void *p = gy_arena_calloc(a, more, size);
    if (!p) {
        return no_memory(err);
    }
    if (n) {
        memcpy(p, *list, n * size);
    }
    *list = p;
    *cap = more;
    return GY_OK;
}

gy_status gy_erasure_list(struct gy_db *db, struct gy_str subject_hash, size_t max,
                          struct gy_arena *a, struct gy_erasure **ret, size_t *ret_n,
                          struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    void *list = NULL;
    size_t n = 0, cap = 0;
    int64_t limit = max && max < GY_ERASURES_MAX_LIST ? (int64_t)max : GY_ERASURES_MAX_LIST;
    if (subject_hash.p) {
        GY_TRY(gy_db_query(db,
                           "SELECT " COLUMNS " FROM erasures WHERE subject_hash = ? ORDER BY "
                           "created_us DESC, id DESC LIMIT ?",
                           GY_VALS(gy_vs(subject_hash), gy_vi(limit)), &st, err));
    } else {
        GY_TRY(gy_db_query(
            db, "SELECT " COLUMNS " FROM erasures ORDER BY created_us DESC, id DESC LIMIT ?",
            GY_VALS(gy_vi(limit)), &st, err));
    }
    for (bool row;;) {
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(grow(a, &list, n, &cap, sizeof **ret, err));
        GY_TRY(read_row(st, a, (struct gy_erasure *)list + n, err));
        n++;
    }
    *ret = list;
    *ret_n = n;
    return GY_OK;
}

gy_status gy_erasure_items(struct gy_db *db, struct gy_str id, struct gy_arena *a,
                           struct gy_erasure_item **ret, size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    void *list = NULL;
    size_t n = 0, cap = 0;
    GY_TRY(gy_db_query(db,
                       "SELECT kind, item, n FROM erasure_items WHERE erasure_id = ? ORDER BY "
                       "kind, item LIMIT ?",
                       GY_VALS(gy_vs(id), gy_vi(GY_ERASURES_MAX_LIST)), &st, err));
    for (bool row;;) {
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(grow(a, &list, n, &cap, sizeof **ret, err));
        struct gy_erasure_item *item = (struct gy_erasure_item *)list + n++;
        *item =
            (struct gy_erasure_item){gy_col_dup(st, 0, a), gy_col_dup(st, 1, a), gy_col_i64(st, 2)};
        if (!item->kind.p || !item->item.p) {
            return no_memory(err);
        }
    }
    *ret = list;
    *ret_n = n;
    return GY_OK;
}

/* ---- holds ---- */

static const char holding[] =
    "SELECT " HOLD_COLUMNS " FROM legal_holds WHERE workspace_id = ? AND kind = ? AND target = ? "
    "AND released_us IS NULL ORDER BY created_us LIMIT 1";

gy_status gy_hold_add(struct gy_db *db, const char *kind, struct gy_str target,
                      struct gy_str reason, struct gy_str actor, struct gy_err *err)
{
    struct gy_uuid_gen gen;
    unsigned char id[16];
    char text[GY_UUID_TEXT];
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    bool row;
    GY_TRY(gy_db_query(db, holding, GY_VALS(gy_vs(gy_db_workspace(db)), gy_vc(kind), gy_vs(target)),
                       &st, err));
    GY_TRY(gy_stmt_step(st, &row, err));
    if (row) {
        return gy_err_set(err, GY_E_EXISTS, "it is held already, by %" GY_STR_F ": %" GY_STR_F,
                          GY_STR_A(gy_col_str(st, 4)), GY_STR_A(gy_col_str(st, 3)));
    }
    GY_TRY(gy_uuid_gen_init(&gen, err));
    gy_uuid7(&gen, id);
    gy_uuid_text(id, text);
    return gy_db_exec(db,
                      "INSERT INTO legal_holds (id, workspace_id, kind, target, reason, actor, "
                      "created_us) VALUES (?, ?, ?, ?, ?, ?, ?)",
                      GY_VALS(gy_vc(text), gy_vs(gy_db_workspace(db)), gy_vc(kind), gy_vs(target),
                              gy_vs(reason), gy_vs(actor), gy_vi(gy_now_us())),
                      NULL, err);
}

gy_status gy_hold_release(struct gy_db *db, const char *kind, struct gy_str target,
                          struct gy_str reason, struct gy_str actor, struct gy_err *err)
{
    int64_t n = 0;
    GY_TRY(gy_db_exec(db,
                      "UPDATE legal_holds SET released_us = ?, released_by = ?, release_reason = ? "
                      "WHERE workspace_id = ? AND kind = ? AND target = ? AND released_us IS NULL",
                      GY_VALS(gy_vi(gy_now_us()), gy_vs(actor), gy_vs(reason),
                              gy_vs(gy_db_workspace(db)), gy_vc(kind), gy_vs(target)),
                      &n, err));
    return n > 0 ? GY_OK : gy_err_set(err, GY_E_NOTFOUND, "no legal hold on this %s", kind);
}

gy_status gy_hold_check(struct gy_db *db, const char *kind, struct gy_str target,
                        struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    bool row;
    char since[32];
    GY_TRY(gy_db_query(db, holding, GY_VALS(gy_vs(gy_db_workspace(db)), gy_vc(kind), gy_vs(target)),
                       &st, err));
    GY_TRY(gy_stmt_step(st, &row, err));
    if (!row) {
        return GY_OK;
    }
    size_t n = gy_time_iso(gy_col_i64(st, 5), since);
    bool dataset = strcmp(kind, "dataset") == 0;
    (void)gy_err_set(err, GY_E_CONFLICT,
                     "a legal hold forbids to erase %s%" GY_STR_F ": %" GY_STR_F " (%" GY_STR_F
                     ", %" GY_STR_F ")",
                     dataset ? "from dataset " : "this subject",
                     GY_STR_A(dataset ? target : GY_STR("")), GY_STR_A(gy_col_str(st, 3)),
                     GY_STR_A(gy_col_str(st, 4)), GY_STR_A(gy_str_n(since, n)));
    return gy_err_hint(err, "gyre subject release lifts it");
}

gy_status gy_hold_list(struct gy_db *db, struct gy_arena *a, struct gy_hold **ret, size_t *ret_n,
                       struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    void *list = NULL;
    size_t n = 0, cap = 0;
    GY_TRY(gy_db_query(db,
                       "SELECT " HOLD_COLUMNS " FROM legal_holds WHERE workspace_id = ? ORDER BY "
                       "created_us, id LIMIT ?",
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vi(GY_ERASURES_MAX_LIST)), &st, err));
    for (bool row;;) {
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(grow(a, &list, n, &cap, sizeof **ret, err));
        struct gy_hold *h = (struct gy_hold *)list + n++;
        *h = (struct gy_hold){.id = gy_col_dup(st, 0, a),
                              .kind = gy_col_dup(st, 1, a),
                              .target = gy_col_dup(st, 2, a),
                              .reason = gy_col_dup(st, 3, a),
                              .actor = gy_col_dup(st, 4, a),
                              .created_us = gy_col_i64(st, 5),
                              .released_us = gy_col_i64(st, 6),
                              .released_by = gy_col_dup(st, 7, a),
                              .release_reason = gy_col_dup(st, 8, a)};
        if (!h->id.p || !h->target.p || !h->reason.p || !h->actor.p) {
            return no_memory(err);
        }
    }
    *ret = list;
    *ret_n = n;
    return GY_OK;
}

/* ---- the ledger ---- */

/* What is signed; each text with its length, so that no two entries give the same bytes. */
static gy_status signed_text(const struct gy_erasure *e, struct gy_buf *out, struct gy_err *err)
{
    const struct gy_str texts[] = {e->id, e->subject_hash, e->reason, e->actor, e->dataset};
    gy_buf_addc(out, FORMAT "\n");
    gy_buf_addf(out, "%lld %d\n", (long long)e->created_us, e->possible);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        gy_buf_addf(out, "%zu:", texts[i].n);
        gy_buf_add(out, texts[i]);
        gy_buf_add_char(out, '\n');
    }
    return gy_buf_check(out, "an entry of the ledger", err);
}

static gy_status write_entry(const struct gy_erasure_key *key, const struct gy_erasure *e,
                             struct gy_buf *out, struct gy_err *err)
{
    unsigned char signature[GY_ERASURE_SIGNATURE];
    char hex[2 * GY_ERASURE_SIGNATURE + 1];
    struct gy_jw w;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, MAX_ENTRY);
    GY_TRY(signed_text(e, &text, err));
    gy_erasure_sign(key, gy_buf_str(&text), signature);
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "format", FORMAT);
    gy_jw_kv_str(&w, "id", e->id);
    gy_jw_kv_str(&w, "subject", e->subject_hash);
    gy_jw_kv_i64(&w, "time_us", e->created_us);
    gy_jw_kv_str(&w, "actor", e->actor);
    gy_jw_kv_str(&w, "reason", e->reason);
    gy_jw_kv_str(&w, "dataset", e->dataset);
    gy_jw_kv_bool(&w, "possible", e->possible);
    gy_hex(signature, sizeof signature, hex);
    gy_jw_kv_strc(&w, "signature", hex);
    gy_jw_obj_end(&w);
    gy_buf_add_char(out, '\n');
    return gy_buf_check(out, "an entry of the ledger", err);
}

static bool is_entry(const char *name)
{
    unsigned char id[16];
    struct gy_str s = gy_str_c(name);
    return gy_str_ends(s, GY_STR(".json")) &&
           gy_uuid_parse(gy_str_sub(s, 0, s.n - 5), id, NULL) == GY_OK;
}

gy_status gy_ledger_write(const char *folder, const struct gy_erasure_key *key,
                          const struct gy_erasure *e, struct gy_err *err)
{
    char name[GY_UUID_TEXT + 8], path[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, MAX_ENTRY);
    GY_TRY(gy_erasure_key_copy(key, folder, err));
    GY_TRY(write_entry(key, e, &text, err));
    (void)snprintf(name, sizeof name, "%" GY_STR_F ".json", GY_STR_A(e->id));
    GY_TRY(gy_path_join(path, sizeof path, folder, name, err));
    return gy_file_write(path, gy_buf_str(&text), 0600, err);
}

struct reading {
    const char *folder;
    const struct gy_erasure_key *key;
    struct gy_arena *a;
    void *list;
    size_t n, cap;
};

static gy_status dup_member(struct gy_arena *a, yyjson_val *root, const char *key,
                            struct gy_str *ret, struct gy_err *err)
{
    struct gy_str s;
    GY_TRY(gy_json_need_str(root, key, &s, err));
    *ret = gy_arena_str(a, s);
    return ret->p ? GY_OK : no_memory(err);
}

static gy_status parse_entry(struct reading *r, yyjson_val *root, struct gy_erasure *e,
                             struct gy_err *err)
{
    struct gy_str hex;
    unsigned char signature[GY_ERASURE_SIGNATURE];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, MAX_ENTRY);
    *e = (struct gy_erasure){.state = GY_STR("done")};
    GY_TRY(dup_member(r->a, root, "id", &e->id, err));
    GY_TRY(dup_member(r->a, root, "subject", &e->subject_hash, err));
    GY_TRY(dup_member(r->a, root, "reason", &e->reason, err));
    GY_TRY(dup_member(r->a, root, "actor", &e->actor, err));
    GY_TRY(gy_json_need_i64(root, "time_us", &e->created_us, err));
    e->possible = gy_json_bool(root, "possible", false);
    if (gy_json_str(root, "dataset").p) {
        GY_TRY(dup_member(r->a, root, "dataset", &e->dataset, err));
    }
    GY_TRY(gy_json_need_str(root, "signature", &hex, err));
    GY_TRY(signed_text(e, &text, err));
    if (!gy_is_hex(e->subject_hash, GY_ERASURE_HASH_HEX - 1) ||
        !gy_unhex(hex, signature, sizeof signature) ||
        !gy_erasure_signed(r->key->public_key, gy_buf_str(&text), signature)) {
        return gy_err_set(err, GY_E_CORRUPT, "its signature does not hold");
    }
    return GY_OK;
}

static gy_status read_entry(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct reading *r = ctx;
    char path[GY_MAX_PATH];
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (is_dir || !is_entry(name)) {
        return GY_OK;
    }
    if (r->n == GY_ERASURES_MAX_LIST) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d erasures", GY_ERASURES_MAX_LIST);
    }
    GY_TRY(gy_path_join(path, sizeof path, r->folder, name, err));
    GY_TRY(gy_json_read_file(path, MAX_ENTRY, &doc, err));
    GY_TRY(grow(r->a, &r->list, r->n, &r->cap, sizeof(struct gy_erasure), err));
    gy_status status =
        parse_entry(r, yyjson_doc_get_root(doc), (struct gy_erasure *)r->list + r->n, err);
    if (status != GY_OK) {
        (void)gy_err_wrap(err, "'%s' of the ledger", path);
        return status == GY_E_NOMEM ? status : GY_E_CORRUPT;
    }
    r->n++;
    return GY_OK;
}

gy_status gy_ledger_read(const char *folder, struct gy_erasure_key *ret_key, struct gy_arena *a,
                         struct gy_erasure **ret, size_t *ret_n, struct gy_err *err)
{
    struct gy_err why = GY_ERR_INIT;
    struct reading r = {.folder = folder, .key = ret_key, .a = a};
    *ret = NULL;
    *ret_n = 0;
    gy_status status = gy_erasure_key_open(folder, false, ret_key, &why);
    if (status == GY_E_NOTFOUND) {
        return GY_OK;
    }
    if (status != GY_OK) {
        return gy_err_set(err, status, "%s", why.msg);
    }
    GY_TRY(gy_dir_each(folder, read_entry, &r, err)); /* ids grow with time, names are sorted */
    *ret = r.list;
    *ret_n = r.n;
    return GY_OK;
}

/* ---- archives ---- */

static gy_status archives_text(const struct gy_home *h, char path[GY_MAX_PATH], struct gy_buf *out,
                               struct gy_err *err)
{
    GY_TRY(gy_home_path(h, ARCHIVES, path, err));
    return gy_path_exists(path) ? gy_file_read(path, out, err) : GY_OK;
}

gy_status gy_ledger_remember_archive(const struct gy_home *h, const char *dir, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    struct gy_str rest, line;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, MAX_ARCHIVES);
    GY_TRY(archives_text(h, path, &text, err));
    rest = gy_buf_str(&text);
    while (gy_str_next(&rest, '\n', &line)) {
        if (gy_str_eqc(line, dir)) {
            return GY_OK;
        }
    }
    gy_buf_addc(&text, dir);
    gy_buf_add_char(&text, '\n');
    GY_TRY(gy_buf_check(&text, "the list of archives", err));
    return gy_file_write(path, gy_buf_str(&text), 0600, err);
}

gy_status gy_ledger_each_archive(const struct gy_home *h, gy_archive_dir_fn fn, void *ctx,
                                 struct gy_err *err)
{
    char path[GY_MAX_PATH];
    struct gy_str rest, line;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, MAX_ARCHIVES);
    GY_TRY(archives_text(h, path, &text, err));
    rest = gy_buf_str(&text);
    while (gy_str_next(&rest, '\n', &line)) {
        if (line.n && line.n < sizeof path) {
            memcpy(path, line.p, line.n);
            path[line.n] = '\0';
            GY_TRY(fn(ctx, path, err));
        }
    }
    return GY_OK;
}

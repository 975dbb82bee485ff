/* SPDX-License-Identifier: Apache-2.0 */
#include "track/uploads.h"

#include "base/hash.h"
#include "base/id.h"
#include "base/time.h"
#include "store/scope.h"

static const int64_t max_age_us = (int64_t)GY_UPLOAD_MAX_AGE_S * 1000000;

gy_status gy_upload_read_key(struct gy_db *db, char ret[GY_UPLOAD_KEY], struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    bool found = false;
    struct gy_str key = GY_STR_NULL;
    gy_arena_init(&a, 4096);
    GY_TRY(gy_db_get_str(db, "SELECT secret FROM upload_keys WHERE id = 1", GY_NO_VALS, &a, &found,
                         &key, err));
    if (!found) {
        return gy_err_set(err, GY_E_DENIED, "this is not the address of a part");
    }
    if (key.n != GY_UPLOAD_KEY - 1) {
        return gy_err_set(err, GY_E_CORRUPT, "the key of uploads is damaged");
    }
    memcpy(ret, key.p, key.n);
    ret[key.n] = '\0';
    return GY_OK;
}

gy_status gy_upload_key(struct gy_db *db, char ret[GY_UPLOAD_KEY], struct gy_err *err)
{
    unsigned char bytes[32];
    GY_TRY(gy_random_bytes(bytes, sizeof bytes, err));
    gy_hex(bytes, sizeof bytes, ret);
    /* Two servers may both come here first: the database decides whose it is. */
    GY_TRY(gy_db_exec(db,
                      "INSERT INTO upload_keys (id, secret, created_us) VALUES (1, ?, ?) ON "
                      "CONFLICT (id) DO NOTHING",
                      GY_VALS(gy_vc(ret), gy_vi(gy_now_us())), NULL, err));
    return gy_upload_read_key(db, ret, err);
}

/* ---- the life of one ---- */

gy_status gy_upload_create(struct gy_db *db, struct gy_str path, int64_t n_parts,
                           struct gy_str actor, char ret_id[GY_UPLOAD_ID], struct gy_err *err)
{
    struct gy_str ws = gy_db_workspace(db);
    int64_t now = gy_now_us(), n_open = 0;
    unsigned char id[16];
    bool found = false;
    if (n_parts < 1 || n_parts > GY_UPLOAD_MAX_PARTS) {
        return gy_err_set(err, GY_E_INVALID,
                          "Invalid value %lld for parameter 'num_parts' supplied: 1 to %d parts",
                          (long long)n_parts, GY_UPLOAD_MAX_PARTS);
    }
    GY_TRY(gy_artifact_check(db, path, err));
    GY_TRY(gy_db_get_i64(db,
                         "SELECT COUNT(*) FROM uploads WHERE workspace_id = ? AND state = 'open' "
                         "AND expires_us > ?",
                         GY_VALS(gy_vs(ws), gy_vi(now)), &found, &n_open, err));
    if (n_open >= GY_UPLOAD_MAX_OPEN) {
        return gy_err_set(err, GY_E_BUSY, "%d uploads are open in this workspace",
                          GY_UPLOAD_MAX_OPEN);
    }
    GY_TRY(gy_upload_drop(db, NULL, 0, err));
    GY_TRY(gy_random_bytes(id, sizeof id, err));
    gy_hex(id, sizeof id, ret_id);
    return gy_db_exec(db,
                      "INSERT INTO uploads (id, workspace_id, path, n_parts, state, actor, "
                      "created_us, expires_us) VALUES (?, ?, ?, ?, 'open', ?, ?, ?)",
                      GY_VALS(gy_vc(ret_id), gy_vs(ws), gy_vs(path), gy_vi(n_parts), gy_vs(actor),
                              gy_vi(now), gy_vi(now + max_age_us)),
                      NULL, err);
}

static gy_status no_upload(struct gy_str id, struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOTFOUND, "No such upload: '%" GY_STR_F "'",
                      GY_STR_A(gy_str_sub(id, 0, 100)));
}

gy_status gy_upload_get(struct gy_db *db, struct gy_str id, struct gy_arena *a,
                        struct gy_upload_row *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    bool found = false;
    GY_TRY(gy_db_query(db,
                       "SELECT path, n_parts, state, expires_us FROM uploads WHERE id = ? AND "
                       "workspace_id = ?",
                       GY_VALS(gy_vs(id), gy_vs(gy_db_workspace(db))), &st, err));
    GY_TRY(gy_stmt_step(st, &found, err));
    if (!found) {
        return no_upload(id, err);
    }
    struct gy_str state = gy_col_str(st, 2);
    *ret = (struct gy_upload_row){.path = gy_col_dup(st, 0, a),
                                  .n_parts = gy_col_i64(st, 1),
                                  .expires_us = gy_col_i64(st, 3),
                                  .state = gy_str_eqc(state, "open")        ? GY_UPLOADING
                                           : gy_str_eqc(state, "completed") ? GY_UPLOAD_COMPLETED
                                                                            : GY_UPLOAD_ABORTED};
    if (ret->state == GY_UPLOADING && ret->expires_us <= gy_now_us()) {
        ret->state = GY_UPLOAD_ABORTED;
    }
    return ret->path.p ? GY_OK : gy_track_nomem(err);
}

/* Open, or CONFLICT. */
static gy_status need_open(struct gy_db *db, struct gy_str id, struct gy_arena *a,
                           struct gy_upload_row *ret, struct gy_err *err)
{
    GY_TRY(gy_upload_get(db, id, a, ret, err));
    if (ret->state == GY_UPLOADING) {
        return GY_OK;
    }
    return gy_err_set(err, GY_E_CONFLICT, "the upload was %s",
                      ret->state == GY_UPLOAD_COMPLETED ? "completed"
                      : ret->expires_us <= gy_now_us()  ? "not completed in time"
                                                        : "aborted");
}

gy_status gy_upload_add_part(struct gy_db *db, struct gy_str id, int64_t part, struct gy_str sha256,
                             int64_t size_bytes, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_upload_row u;
    int64_t n = 0;
    bool found = false;
    gy_arena_init(&a, 64 << 10);
    GY_TRY(need_open(db, id, &a, &u, err));
    if (part < 1 || part > u.n_parts) {
        return gy_err_set(err, GY_E_NOTFOUND, "the upload has no part %lld", (long long)part);
    }
    /* One that came in before may come again: whoever refused it would remove its bytes. */
    GY_TRY(gy_db_get_i64(db,
                         "SELECT COUNT(*) FROM upload_parts WHERE upload_id = ? AND part = ? AND "
                         "sha256 <> ?",
                         GY_VALS(gy_vs(id), gy_vi(part), gy_vs(sha256)), &found, &n, err));
    if (n >= GY_UPLOAD_MAX_VERSIONS) {
        return gy_err_set(err, GY_E_TOOBIG, "part %lld came in with %d different contents",
                          (long long)part, GY_UPLOAD_MAX_VERSIONS);
    }
    return gy_db_exec(
        db,
        "INSERT INTO upload_parts (upload_id, part, sha256, size_bytes, created_us) "
        "VALUES (?, ?, ?, ?, ?) ON CONFLICT (upload_id, part, sha256) DO NOTHING",
        GY_VALS(gy_vs(id), gy_vi(part), gy_vs(sha256), gy_vi(size_bytes), gy_vi(gy_now_us())), NULL,
        err);
}

gy_status gy_upload_find_part(struct gy_db *db, struct gy_str id, int64_t part,
                              struct gy_str sha256, int64_t *ret_size, struct gy_err *err)
{
    bool found = false;
    GY_TRY(gy_db_get_i64(db,
                         "SELECT size_bytes FROM upload_parts WHERE upload_id = ? AND part = ? AND "
                         "sha256 = ?",
                         GY_VALS(gy_vs(id), gy_vi(part), gy_vs(sha256)), &found, ret_size, err));
    return found ? GY_OK
                 : gy_err_set(err, GY_E_INVALID,
                              "part %lld was not uploaded with ETag '%" GY_STR_F "'",
                              (long long)part, GY_STR_A(gy_str_sub(sha256, 0, 100)));
}

gy_status gy_upload_complete(struct gy_db *db, struct gy_str id, struct gy_str sha256,
                             int64_t size_bytes, struct gy_str actor, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_upload_row u;
    gy_arena_init(&a, 64 << 10);
    GY_TRY(gy_upload_get(db, id, &a, &u, err));
    if (u.state == GY_UPLOAD_COMPLETED) {
        return GY_OK;
    }
    GY_TRY(need_open(db, id, &a, &u, err));
    GY_TRY(gy_artifact_put(db, u.path, sha256, size_bytes, actor, err));
    return gy_db_exec(db, "UPDATE uploads SET state = 'completed', sha256 = ? WHERE id = ?",
                      GY_VALS(gy_vs(sha256), gy_vs(id)), NULL, err);
}

gy_status gy_upload_abort(struct gy_db *db, struct gy_str id, struct gy_err *err)
{
    int64_t n = 0;
    bool found = false;
    GY_TRY(gy_db_exec(db,
                      "UPDATE uploads SET state = 'aborted' WHERE id = ? AND workspace_id = ? AND "
                      "state = 'open'",
                      GY_VALS(gy_vs(id), gy_vs(gy_db_workspace(db))), &n, err));
    if (n > 0) {
        return GY_OK;
    }
    GY_TRY(gy_db_get_i64(db, "SELECT 1 FROM uploads WHERE id = ? AND workspace_id = ?",
                         GY_VALS(gy_vs(id), gy_vs(gy_db_workspace(db))), &found, &n, err));
    return found ? GY_OK : no_upload(id, err);
}

/* ---- what is left behind ---- */

gy_status gy_upload_dead_parts(struct gy_db *db, size_t max, struct gy_arena *a,
                               struct gy_upload_part **ret, size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    struct gy_upload_part *parts = gy_arena_calloc(a, max, sizeof *parts);
    size_t n = 0;
    bool row = false;
    if (!parts) {
        return gy_track_nomem(err);
    }
    GY_TRY(gy_db_query(db,
                       "SELECT p.upload_id, p.part, p.sha256, p.size_bytes FROM upload_parts p "
                       "JOIN uploads u ON u.id = p.upload_id WHERE u.state <> 'open' OR "
                       "u.expires_us <= ? ORDER BY p.upload_id, p.part, p.sha256 LIMIT ?",
                       GY_VALS(gy_vi(gy_now_us()), gy_vi((int64_t)max)), &st, err));
    for (;;) {
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        struct gy_upload_part *p = &parts[n++];
        *p = (struct gy_upload_part){.upload = gy_col_dup(st, 0, a),
                                     .part = gy_col_i64(st, 1),
                                     .sha256 = gy_col_dup(st, 2, a),
                                     .size_bytes = gy_col_i64(st, 3)};
        if (!p->upload.p || !p->sha256.p) {
            return gy_track_nomem(err);
        }
    }
    *ret = parts;
    *ret_n = n;
    return GY_OK;
}

gy_status gy_upload_drop(struct gy_db *db, const struct gy_upload_part *parts, size_t n,
                         struct gy_err *err)
{
    for (size_t i = 0; i < n; i++) {
        GY_TRY(gy_db_exec(
            db, "DELETE FROM upload_parts WHERE upload_id = ? AND part = ? AND sha256 = ?",
            GY_VALS(gy_vs(parts[i].upload), gy_vi(parts[i].part), gy_vs(parts[i].sha256)), NULL,
            err));
    }
    return gy_db_exec(db,
                      "DELETE FROM uploads WHERE expires_us <= ? AND NOT EXISTS (SELECT 1 FROM "
                      "upload_parts p WHERE p.upload_id = uploads.id)",
                      GY_VALS(gy_vi(gy_now_us())), NULL, err);
}

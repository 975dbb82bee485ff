/* SPDX-License-Identifier: Apache-2.0 */
#include "track/comments.h"

#include "base/id.h"
#include "base/limits.h"
#include "base/time.h"
#include "store/actor.h"
#include "store/events.h"
#include "store/scope.h"
#include "track/registry.h"
#include "track/runs.h"

#define COLUMNS                                                                               \
    "SELECT c.id, c.subject, t.body, c.actor, c.deleted_by, c.n_texts, c.created_us, "        \
    "t.created_us, c.deleted_us FROM comments c JOIN comment_texts t ON t.comment_id = c.id " \
    "AND t.number = c.n_texts "

gy_status gy_comment_subject(struct gy_db *db, struct gy_str subject, struct gy_arena *a,
                             struct gy_str *ret, struct gy_err *err)
{
    struct gy_str kind, id;
    if (!gy_str_cut(subject, ':', &kind, &id) || id.n == 0) {
        kind = GY_STR_NULL;
    }
    if (gy_str_eqc(kind, "run")) {
        int64_t seq = 0;
        *ret = subject;
        return gy_run_find(db, id, false, &seq, err);
    }
    if (gy_str_eqc(kind, "model")) {
        struct gy_model_version v;
        GY_TRY(gy_registry_resolve(db, id, a, &v, err));
        *ret = gy_str_c(
            gy_arena_printf(a, "model:%" GY_STR_F "/%lld", GY_STR_A(v.name), (long long)v.version));
        return ret->p ? GY_OK : gy_track_nomem(err);
    }
    return gy_err_set(err, GY_E_INVALID,
                      "'%" GY_STR_F "' can not be commented on: want run:ID or model:NAME/VERSION",
                      GY_STR_A(gy_str_sub(subject, 0, 200)));
}

static gy_status check_text(struct gy_str text, struct gy_str actor, struct gy_err *err)
{
    GY_TRY(gy_actor_need(actor, "a comment", err));
    if (gy_str_trim(text).n == 0 || text.n > GY_COMMENT_MAX_BYTES || !gy_str_is_utf8(text)) {
        return gy_err_set(err, GY_E_INVALID, "a comment is a text of 1 to %d bytes",
                          GY_COMMENT_MAX_BYTES);
    }
    return GY_OK;
}

static gy_status put_text(struct gy_db *db, struct gy_str id, int64_t number, struct gy_str text,
                          struct gy_str actor, struct gy_err *err)
{
    return gy_db_exec(
        db,
        "INSERT INTO comment_texts (comment_id, number, body, actor, created_us) VALUES (?, ?, ?, "
        "?, ?)",
        GY_VALS(gy_vs(id), gy_vi(number), gy_vs(text), gy_vs(actor), gy_vi(gy_now_us())), NULL,
        err);
}

gy_status gy_comment_add(struct gy_db *db, struct gy_str subject, struct gy_str text,
                         struct gy_str actor, struct gy_arena *a, struct gy_comment *ret,
                         struct gy_err *err)
{
    char id[GY_UUID_TEXT];
    struct gy_str node;
    GY_TRY(check_text(text, actor, err));
    GY_TRY(gy_comment_subject(db, subject, a, &node, err));
    GY_TRY(gy_new_id(id, err));
    GY_TRY(gy_db_exec(db,
                      "INSERT INTO comments (id, workspace_id, subject, n_texts, actor, "
                      "created_us) VALUES (?, ?, ?, 1, ?, ?)",
                      GY_VALS(gy_vc(id), gy_vs(gy_db_workspace(db)), gy_vs(node), gy_vs(actor),
                              gy_vi(gy_now_us())),
                      NULL, err));
    GY_TRY(put_text(db, gy_str_c(id), 1, text, actor, err));
    GY_TRY(gy_event_add(db, "comment.added", node, actor, GY_STR_NULL, err));
    return gy_comment_get(db, gy_str_c(id), a, ret, err);
}

static gy_status read_row(struct gy_stmt *st, struct gy_arena *a, struct gy_comment *c,
                          struct gy_err *err)
{
    *c = (struct gy_comment){.n_texts = gy_col_i64(st, 5),
                             .created_us = gy_col_i64(st, 6),
                             .deleted_us = gy_col_i64(st, 8)};
    c->edited_us = c->n_texts > 1 ? gy_col_i64(st, 7) : 0;
    GY_TRY(gy_col_copy(st, 0, a, &c->id, err));
    GY_TRY(gy_col_copy(st, 1, a, &c->subject, err));
    GY_TRY(gy_col_copy(st, 3, a, &c->actor, err));
    GY_TRY(gy_col_copy(st, 4, a, &c->deleted_by, err));
    return c->deleted_us ? GY_OK : gy_col_copy(st, 2, a, &c->text, err);
}

gy_status gy_comment_get(struct gy_db *db, struct gy_str id, struct gy_arena *a,
                         struct gy_comment *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    bool found = false;
    GY_TRY(gy_db_query(db, COLUMNS "WHERE c.workspace_id = ? AND c.id = ?",
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(id)), &st, err));
    GY_TRY(gy_stmt_step(st, &found, err));
    if (!found) {
        return gy_err_set(err, GY_E_NOTFOUND, "no comment '%" GY_STR_F "'",
                          GY_STR_A(gy_str_sub(id, 0, 100)));
    }
    return read_row(st, a, ret, err);
}

static gy_status refuse_others(const struct gy_comment *c, struct gy_str actor, struct gy_err *err)
{
    if (gy_str_eq(c->actor, actor)) {
        return GY_OK;
    }
    return gy_err_set(err, GY_E_DENIED,
                      "comment '%" GY_STR_F "' is by %" GY_STR_F ", not by %" GY_STR_F,
                      GY_STR_A(c->id), GY_STR_A(c->actor), GY_STR_A(actor));
}

gy_status gy_comment_edit(struct gy_db *db, struct gy_str id, struct gy_str text,
                          struct gy_str actor, struct gy_arena *a, struct gy_comment *ret,
                          struct gy_err *err)
{
    struct gy_comment c;
    GY_TRY(check_text(text, actor, err));
    GY_TRY(gy_comment_get(db, id, a, &c, err));
    GY_TRY(refuse_others(&c, actor, err));
    if (c.deleted_us) {
        return gy_err_set(err, GY_E_CONFLICT, "comment '%" GY_STR_F "' was deleted", GY_STR_A(id));
    }
    if (c.n_texts >= GY_COMMENT_MAX_EDITS) {
        return gy_err_set(err, GY_E_TOOBIG, "a comment has at most %d texts", GY_COMMENT_MAX_EDITS);
    }
    if (!gy_str_eq(c.text, text)) {
        GY_TRY(put_text(db, id, c.n_texts + 1, text, actor, err));
        GY_TRY(gy_db_exec(db, "UPDATE comments SET n_texts = ? WHERE id = ?",
                          GY_VALS(gy_vi(c.n_texts + 1), gy_vs(id)), NULL, err));
    }
    return gy_comment_get(db, id, a, ret, err);
}

gy_status gy_comment_delete(struct gy_db *db, struct gy_str id, struct gy_str actor, bool is_admin,
                            struct gy_arena *a, struct gy_comment *ret, struct gy_err *err)
{
    struct gy_comment c;
    GY_TRY(gy_actor_need(actor, "deleting a comment", err));
    GY_TRY(gy_comment_get(db, id, a, &c, err));
    GY_TRY(is_admin ? GY_OK : refuse_others(&c, actor, err));
    if (!c.deleted_us) {
        GY_TRY(gy_db_exec(db, "UPDATE comments SET deleted_by = ?, deleted_us = ? WHERE id = ?",
                          GY_VALS(gy_vs(actor), gy_vi(gy_now_us()), gy_vs(id)), NULL, err));
        GY_TRY(gy_event_add(db, "comment.deleted", c.subject, actor, GY_STR_NULL, err));
    }
    return gy_comment_get(db, id, a, ret, err);
}

gy_status gy_comment_list(struct gy_db *db, struct gy_str subject, bool with_deleted,
                          struct gy_arena *a, struct gy_comment **ret, size_t *ret_n,
                          struct gy_err *err)
{
    struct gy_comment *rows = gy_arena_calloc(a, GY_COMMENT_MAX_LIST, sizeof *rows);
    struct gy_str node;
    size_t n = 0;
    if (!rows) {
        return gy_track_nomem(err);
    }
    GY_TRY(gy_comment_subject(db, subject, a, &node, err));
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       COLUMNS "WHERE c.workspace_id = ? AND c.subject = ? AND c.gone_us = 0 AND "
                               "(? = 1 OR c.deleted_us IS NULL) ORDER BY c.created_us DESC, c.id "
                               "DESC LIMIT ?",
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(node), gy_vi(with_deleted),
                               gy_vi(GY_COMMENT_MAX_LIST)),
                       &st, err));
    for (; n < GY_COMMENT_MAX_LIST; n++) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(read_row(st, a, &rows[n], err));
    }
    for (size_t i = 0; i < n / 2; i++) {
        struct gy_comment c = rows[i];
        rows[i] = rows[n - 1 - i];
        rows[n - 1 - i] = c;
    }
    *ret = rows;
    *ret_n = n;
    return GY_OK;
}

gy_status gy_comment_texts(struct gy_db *db, struct gy_str id, struct gy_arena *a,
                           struct gy_comment_text **ret, size_t *ret_n, struct gy_err *err)
{
    struct gy_comment c;
    void *items = NULL;
    size_t n = 0, cap = 0;
    GY_TRY(gy_comment_get(db, id, a, &c, err));
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT number, body, actor, created_us FROM comment_texts WHERE "
                       "comment_id = ? ORDER BY number",
                       GY_VALS(gy_vs(id)), &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof(struct gy_comment_text), err));
        struct gy_comment_text *t = &((struct gy_comment_text *)items)[n++];
        *t = (struct gy_comment_text){.number = gy_col_i64(st, 0), .time_us = gy_col_i64(st, 3)};
        GY_TRY(gy_col_copy(st, 1, a, &t->text, err));
        GY_TRY(gy_col_copy(st, 2, a, &t->actor, err));
    }
    *ret = items;
    *ret_n = n;
    return GY_OK;
}

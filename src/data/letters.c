/* SPDX-License-Identifier: Apache-2.0 */
#include "data/letters.h"

#include "base/json.h"
#include "base/time.h"
#include "data/dataset_internal.h"
#include "data/deadletter.h"
#include "data/letter.h"
#include "store/scope.h"

enum { BATCH = 200, COLUMNS = 8 };

void gy_letters_codes(struct gy_buf *out, unsigned codes)
{
    gy_buf_add_char(out, ',');
    for (int code = 0; code < GY_DEAD_N; code++) {
        if (codes & (1U << code)) {
            gy_buf_addc(out, gy_dead_name((enum gy_dead_code)code));
            gy_buf_add_char(out, ',');
        }
    }
}

void gy_letters_with_reasons(struct gy_buf *out, yyjson_val *letter, const struct gy_reasons *r)
{
    struct gy_jw w;
    size_t i, max;
    yyjson_val *key, *v;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    yyjson_obj_foreach(letter, i, max, key, v)
    {
        struct gy_str name = gy_json_val_str(key);
        if (gy_str_eqc(name, "codes")) {
            gy_jw_key(&w, "codes");
            gy_jw_arr(&w);
            for (int code = 0; code < GY_DEAD_N; code++) {
                if (r->codes & (1U << code)) {
                    gy_jw_strc(&w, gy_dead_name((enum gy_dead_code)code));
                }
            }
            gy_jw_arr_end(&w);
        } else if (gy_str_eqc(name, "error")) {
            gy_jw_kv_str(&w, "error", gy_buf_str(&r->text));
        } else if (gy_str_eqc(name, "column")) {
            gy_jw_kv_str(&w, "column", r->column ? r->column->name : GY_STR_NULL);
        } else {
            gy_jw_keys(&w, name);
            gy_jw_val(&w, v);
        }
    }
    gy_jw_obj_end(&w);
}

/* ---- adding ---- */

struct adding {
    struct gy_db *db;
    struct gy_str name, actor;
    int64_t version, now, bytes, letters;
    struct gy_arena arena; /* of a batch */
    struct gy_buf scratch;
    struct gy_val vals[BATCH * COLUMNS];
    size_t n; /* rows in vals */
    gy_status status;
    struct gy_err *err;
};

static gy_status flush(struct adding *a, struct gy_err *err)
{
    GY_TRY(gy_db_exec_many(a->db,
                           "INSERT INTO dataset_letters (workspace_id, name, id, version, codes, "
                           "letter, actor, created_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON "
                           "CONFLICT (workspace_id, name, id) DO NOTHING",
                           a->vals, COLUMNS, a->n, NULL, err));
    a->n = 0;
    gy_arena_reset(&a->arena);
    return GY_OK;
}

static void add_codes(struct gy_buf *out, yyjson_val *codes)
{
    size_t i, max;
    yyjson_val *code;
    gy_buf_add_char(out, ',');
    yyjson_arr_foreach(codes, i, max, code)
    {
        gy_buf_add(out, gy_json_val_str(code));
        gy_buf_add_char(out, ',');
    }
}

static gy_status add_one(struct adding *a, struct gy_str line, yyjson_val *json, struct gy_err *err)
{
    struct gy_letter l;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf codes;
    gy_buf_init(&codes, 4 * GY_KIB);
    GY_TRY(gy_letter_read(json, &a->scratch, &l, err));
    add_codes(&codes, gy_json_get(json, "codes"));
    GY_TRY(gy_buf_check(&codes, "the codes of a letter", err));
    a->bytes += (int64_t)line.n;
    if (++a->letters > GY_LETTERS_MAX || a->bytes > GY_LETTERS_MAX_BYTES) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d dead letters, or %lld bytes of them",
                          GY_LETTERS_MAX, (long long)GY_LETTERS_MAX_BYTES);
    }
    const struct gy_str id = gy_arena_str(&a->arena, gy_str_c(l.id)),
                        text = gy_arena_str(&a->arena, line),
                        kept_codes = gy_arena_str(&a->arena, gy_buf_str(&codes));
    if (!id.p || !text.p || !kept_codes.p) {
        return gy_dataset_no_memory(err);
    }
    const struct gy_val row[COLUMNS] = {gy_vs(gy_db_workspace(a->db)),
                                        gy_vs(a->name),
                                        gy_vs(id),
                                        gy_vi(a->version),
                                        gy_vs(kept_codes),
                                        gy_vs(text),
                                        gy_vs(a->actor),
                                        gy_vi(a->now)};
    memcpy(&a->vals[a->n++ * COLUMNS], row, sizeof row);
    return a->n == BATCH ? flush(a, err) : GY_OK;
}

static bool take_line(void *ctx, int64_t number, struct gy_str line, yyjson_val *json)
{
    struct adding *a = ctx;
    (void)number;
    if (line.n > GY_DLQ_MAX_LINE) {
        a->status = gy_err_set(a->err, GY_E_TOOBIG, "a dead letter is larger than %zu bytes",
                               (size_t)GY_DLQ_MAX_LINE);
        return false;
    }
    a->status = json ? add_one(a, line, json, a->err)
                     : gy_err_set(a->err, GY_E_CORRUPT, "the log of dead letters is damaged");
    return a->status == GY_OK;
}

static gy_status add_all(struct adding *a, const char *path, struct gy_err *err)
{
    struct gy_err why = GY_ERR_INIT;
    gy_status status = gy_dlq_each(path, take_line, a, &why);
    if (status == GY_E_NOTFOUND) { /* there was none */
        return GY_OK;
    }
    if (status != GY_OK) {
        return gy_err_set(err, status, "%s", why.msg);
    }
    GY_TRY(a->status);
    return flush(a, err);
}

gy_status gy_letters_add(struct gy_db *db, struct gy_str name, int64_t version, const char *path,
                         struct gy_str actor, struct gy_err *err)
{
    struct adding a = {
        .db = db, .name = name, .actor = actor, .version = version, .now = gy_now_us(), .err = err};
    gy_arena_init(&a.arena, (size_t)BATCH * GY_DLQ_MAX_LINE);
    gy_buf_init(&a.scratch, GY_DLQ_MAX_LINE);
    gy_status status = add_all(&a, path, err);
    gy_arena_done(&a.arena);
    gy_buf_done(&a.scratch);
    return status;
}

/* ---- reading ---- */

#define LETTER                                                                          \
    "SELECT seq, id, codes, letter, version, refusals, replayed_version, replayed_by, " \
    "replayed_us FROM dataset_letters WHERE workspace_id = ? AND name = ? "

static gy_status read_row(struct gy_stmt *st, struct gy_arena *a, struct gy_stored_letter *l,
                          struct gy_err *err)
{
    l->seq = gy_col_i64(st, 0);
    GY_TRY(gy_col_copy(st, 1, a, &l->id, err));
    GY_TRY(gy_col_copy(st, 2, a, &l->codes, err));
    GY_TRY(gy_col_copy(st, 3, a, &l->json, err));
    l->version = gy_col_i64(st, 4);
    l->refusals = gy_col_i64(st, 5);
    l->replayed_version = gy_col_i64(st, 6);
    GY_TRY(gy_col_copy(st, 7, a, &l->replayed_by, err));
    l->replayed_us = gy_col_i64(st, 8);
    return GY_OK;
}

static bool is_code(struct gy_str code)
{
    for (size_t i = 0; i < code.n; i++) {
        if ((code.p[i] < 'A' || code.p[i] > 'Z') && (code.p[i] < '0' || code.p[i] > '9')) {
            return false;
        }
    }
    return code.n > 0 && code.n <= 32;
}

gy_status gy_letters_list(struct gy_db *db, struct gy_str name, const struct gy_letters_filter *f,
                          size_t max, struct gy_arena *a, struct gy_stored_letter **ret,
                          size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    struct gy_stored_letter *list = gy_arena_calloc(a, max + 1, sizeof *list);
    const char *like =
        f->code.p ? gy_arena_printf(a, "%%,%" GY_STR_F ",%%", GY_STR_A(f->code)) : "%";
    if (!list || !like) {
        return gy_dataset_no_memory(err);
    }
    if (f->code.p && !is_code(f->code)) {
        return gy_err_set(err, GY_E_INVALID, "a code is a word such as RANGE");
    }
    GY_TRY(gy_db_query(db,
                       LETTER "AND seq > ? AND codes LIKE ? AND (? = 0 OR version = ?) AND (? = 0 "
                              "OR replayed_version IS NULL) AND (? = 0 OR replayed_version IS NOT "
                              "NULL) ORDER BY seq LIMIT ?",
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vi(f->after),
                               gy_vc(like), gy_vi(f->version), gy_vi(f->version), gy_vi(f->dead),
                               gy_vi(f->replayed), gy_vi((int64_t)max)),
                       &st, err));
    for (*ret_n = 0;; ++*ret_n) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            *ret = list;
            return GY_OK;
        }
        GY_TRY(read_row(st, a, &list[*ret_n], err));
    }
}

gy_status gy_letters_get(struct gy_db *db, struct gy_str name, struct gy_str id, struct gy_arena *a,
                         struct gy_stored_letter *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    bool row = false;
    GY_TRY(gy_db_query(db, LETTER "AND id = ?",
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vs(id)), &st, err));
    GY_TRY(gy_stmt_step(st, &row, err));
    return row ? read_row(st, a, ret, err)
               : gy_err_set(err, GY_E_NOTFOUND,
                            "dataset '%" GY_STR_F "' has no letter '%" GY_STR_F "'", GY_STR_A(name),
                            GY_STR_A(gy_str_sub(id, 0, GY_LETTER_ID)));
}

/* ---- what became of them ---- */

gy_status gy_letters_replayed(struct gy_db *db, struct gy_str name, struct gy_str id,
                              int64_t version, struct gy_str actor, struct gy_err *err)
{
    int64_t n = 0;
    GY_TRY(gy_db_exec(db,
                      "UPDATE dataset_letters SET replayed_version = ?, replayed_by = ?, "
                      "replayed_us = ? WHERE workspace_id = ? AND name = ? AND id = ? AND "
                      "replayed_version IS NULL",
                      GY_VALS(gy_vi(version), gy_vs(actor), gy_vi(gy_now_us()),
                              gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vs(id)),
                      &n, err));
    return n == 1 ? GY_OK
                  : gy_err_set(err, GY_E_CONFLICT,
                               "letter %" GY_STR_F " was replayed meanwhile: nothing was changed",
                               GY_STR_A(id));
}

gy_status gy_letters_refused(struct gy_db *db, struct gy_str name, struct gy_str id,
                             struct gy_str json, struct gy_str codes, struct gy_err *err)
{
    return gy_db_exec(
        db,
        "UPDATE dataset_letters SET letter = ?, codes = ?, refusals = refusals + 1 "
        "WHERE workspace_id = ? AND name = ? AND id = ? AND replayed_version IS NULL",
        GY_VALS(gy_vs(json), gy_vs(codes), gy_vs(gy_db_workspace(db)), gy_vs(name), gy_vs(id)),
        NULL, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "track/cards.h"

#include "base/limits.h"
#include "base/time.h"
#include "store/actor.h"
#include "store/events.h"
#include "store/scope.h"
#include "track/history.h"

#define WHERE " WHERE workspace_id = ? AND model_name = ? AND version = ? AND gone_us = 0"

static gy_status newest(struct gy_db *db, struct gy_str model, int64_t version, int64_t *ret,
                        struct gy_err *err)
{
    bool found = false;
    return gy_db_get_i64(db, "SELECT COALESCE(MAX(number), 0) FROM model_cards" WHERE,
                         GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(model), gy_vi(version)), &found,
                         ret, err);
}

gy_status gy_card_add(struct gy_db *db, struct gy_str model, int64_t version, int64_t expect,
                      const struct gy_card *card, int64_t *ret_number, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    struct gy_model_version v;
    int64_t number = 0;
    GY_TRY(gy_actor_need(card->actor, "a model card", err));
    GY_TRY(gy_track_check_length(card->reason, GY_HISTORY_MAX_REASON, "reason", err));
    if (card->stated.n > GY_CARD_MAX_STATED || card->card.n > GY_CARD_MAX_BYTES) {
        return gy_err_set(err, GY_E_TOOBIG, "a card has at most %zu bytes, %d of them stated",
                          GY_CARD_MAX_BYTES, GY_CARD_MAX_STATED);
    }
    GY_TRY(gy_version_get(db, model, version, &a, &v, err));
    GY_TRY(newest(db, model, version, &number, err));
    if (expect >= 0 && number != expect) {
        return gy_err_set(err, GY_E_CONFLICT,
                          "the card was changed meanwhile: its newest version is %lld",
                          (long long)number);
    }
    if (number >= GY_CARD_MAX_VERSIONS) {
        return gy_err_set(err, GY_E_TOOBIG, "a card has at most %d versions", GY_CARD_MAX_VERSIONS);
    }
    *ret_number = number + 1;
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO model_cards (workspace_id, model_name, version, number, stated, card, reason, "
        "actor, created_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(model), gy_vi(version), gy_vi(number + 1),
                gy_vs(card->stated), gy_vs(card->card),
                gy_vs(card->reason.n ? card->reason : GY_STR_NULL), gy_vs(card->actor),
                gy_vi(card->time_us ? card->time_us : gy_now_us())),
        NULL, err));
    const char *node =
        gy_arena_printf(&a, "model:%" GY_STR_F "/%lld", GY_STR_A(model), (long long)version);
    const char *data = gy_arena_printf(&a, "{\"number\":%lld}", (long long)number + 1);
    if (!node || !data) {
        return gy_track_nomem(err);
    }
    return gy_event_add(db, "card.saved", gy_str_c(node), card->actor, gy_str_c(data), err);
}

static gy_status read_row(struct gy_stmt *st, bool whole, struct gy_arena *a, struct gy_card *c,
                          struct gy_err *err)
{
    *c = (struct gy_card){.number = gy_col_i64(st, 0), .time_us = gy_col_i64(st, 4)};
    GY_TRY(gy_col_copy(st, 1, a, &c->stated, err));
    GY_TRY(gy_col_copy(st, 2, a, &c->reason, err));
    GY_TRY(gy_col_copy(st, 3, a, &c->actor, err));
    return whole ? gy_col_copy(st, 5, a, &c->card, err) : GY_OK;
}

gy_status gy_card_get(struct gy_db *db, struct gy_str model, int64_t version, int64_t number,
                      struct gy_arena *a, bool *ret_found, struct gy_card *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(
        gy_db_query(db,
                    "SELECT number, stated, reason, actor, created_us, card FROM model_cards" WHERE
                    " AND (? = 0 OR number = ?) ORDER BY number DESC LIMIT 1",
                    GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(model), gy_vi(version), gy_vi(number),
                            gy_vi(number)),
                    &st, err));
    GY_TRY(gy_stmt_step(st, ret_found, err));
    if (*ret_found) {
        return read_row(st, true, a, ret, err);
    }
    if (number == 0) {
        return GY_OK;
    }
    return gy_err_set(err, GY_E_NOTFOUND,
                      "the card of version %lld of model '%" GY_STR_F "' has no version %lld",
                      (long long)version, GY_STR_A(gy_str_sub(model, 0, 200)), (long long)number);
}

gy_status gy_card_list(struct gy_db *db, struct gy_str model, int64_t version, struct gy_arena *a,
                       struct gy_card **ret, size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT number, stated, reason, actor, created_us FROM model_cards" WHERE
                       " ORDER BY number DESC",
                       GY_VALS(gy_vs(gy_db_workspace(db)), gy_vs(model), gy_vi(version)), &st,
                       err));
    void *items = NULL;
    size_t n = 0, cap = 0;
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(gy_track_grow(a, &items, n, &cap, sizeof(struct gy_card), err));
        GY_TRY(read_row(st, false, a, &((struct gy_card *)items)[n++], err));
    }
    *ret = items;
    *ret_n = n;
    return GY_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/feedback.h"

#include <math.h>

#include "base/limits.h"
#include "base/time.h"

int gy_feedback_priority(struct gy_str source)
{
    return source.n == 0 || gy_str_eqc(source, "truth") ? 3
           : gy_str_eqc(source, "review")               ? 2
           : gy_str_eqc(source, "simulated")            ? 0
                                                        : 1;
}

static gy_status check_text(struct gy_str s, const char *what, size_t max, struct gy_err *err)
{
    if (s.n > max) {
        return gy_err_set(err, GY_E_INVALID, "%s is longer than %zu bytes", what, max);
    }
    return gy_str_is_utf8(s) ? GY_OK : gy_err_set(err, GY_E_INVALID, "%s is not UTF-8", what);
}

gy_status gy_feedback_check(const struct gy_feedback *f, struct gy_err *err)
{
    GY_TRY(check_text(f->request_id, "the request id", GY_FEEDBACK_MAX_ID, err));
    GY_TRY(check_text(f->label, "the label", GY_MAX_NAME, err));
    GY_TRY(check_text(f->source, "the source", GY_MAX_NAME, err));
    GY_TRY(check_text(f->info, "reason and tags together", GY_FEEDBACK_MAX_INFO, err));
    if (f->by_request && f->request_id.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "feedback needs a prediction_id or a request_id");
    }
    if (f->row > INT32_MAX) {
        return gy_err_set(err, GY_E_INVALID, "the row's number is too large");
    }
    if (f->label.n == 0 && isnan(f->reward)) {
        return gy_err_set(err, GY_E_INVALID, "feedback needs a label or a reward");
    }
    return GY_OK;
}

static struct gy_str target_of(const struct gy_feedback *f)
{
    return f->by_request ? f->request_id : gy_str_n((const char *)f->id, sizeof f->id);
}

static bool same_reward(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

/* The newest piece of that target, row and source says the same: *ret_same, and f gets its time. */
static gy_status look_for_same(struct gy_db *db, struct gy_feedback *f, bool *ret_same,
                               struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    bool row;
    GY_TRY(gy_db_query(
        db,
        "SELECT given_us, label, reward FROM feedback WHERE by_request=? AND "
        "target=? AND row_no=? AND source=? ORDER BY given_us DESC, label DESC "
        "LIMIT 1",
        GY_VALS(gy_vi(f->by_request), gy_vb(target_of(f)), gy_vi(f->row), gy_vs(f->source)), &st,
        err));
    GY_TRY(gy_stmt_step(st, &row, err));
    *ret_same = row && gy_str_eq(gy_col_str(st, 1), f->label) &&
                same_reward(gy_col_null(st, 2) ? NAN : gy_col_f64(st, 2), f->reward);
    if (*ret_same) {
        f->given_us = gy_col_i64(st, 0);
    }
    return GY_OK;
}

/* Of two rewards for one piece the greater stays, whatever came first: as the join decides. */
static gy_status insert(struct gy_db *db, const struct gy_feedback *f, int64_t *ret_changes,
                        struct gy_err *err)
{
    const struct gy_val vals[] = {gy_vi(f->by_request), gy_vb(target_of(f)), gy_vi(f->row),
                                  gy_vs(f->source),     gy_vi(f->given_us),  gy_vs(f->label),
                                  gy_vf(f->reward),     gy_vs(f->actor),     gy_vi(f->created_us),
                                  gy_vs(f->info)};
    return gy_db_exec(db,
                      "INSERT INTO feedback (by_request, target, row_no, source, given_us, label, "
                      "reward, actor, created_us, info) VALUES (?,?,?,?,?,?,?,?,?,?) "
                      "ON CONFLICT (by_request, target, row_no, source, given_us, label) "
                      "DO UPDATE SET reward = excluded.reward WHERE excluded.reward > "
                      "COALESCE(feedback.reward, excluded.reward - 1)",
                      vals, sizeof vals / sizeof vals[0], ret_changes, err);
}

gy_status gy_feedback_add(struct gy_db *db, struct gy_feedback *list, size_t n, size_t *ret_new,
                          struct gy_err *err)
{
    size_t fresh = 0;
    int64_t now = gy_now_us();
    for (size_t i = 0; i < n; i++) {
        struct gy_feedback *f = &list[i];
        GY_TRY(gy_feedback_check(f, err));
        f->label = f->label.p ? f->label : GY_STR("");
        f->source = f->source.n ? f->source : GY_STR("truth");
        f->actor = f->actor.n ? f->actor : GY_STR("anonymous");
        f->info = f->info.n ? f->info : GY_STR("{}");
        f->created_us = f->created_us ? f->created_us : now;
        bool same = false;
        if (f->given_us == 0) {
            GY_TRY(look_for_same(db, f, &same, err));
            f->given_us = same ? f->given_us : now;
        }
        if (!same) {
            int64_t changes = 0;
            GY_TRY(insert(db, f, &changes, err));
            fresh += changes > 0;
        }
    }
    if (ret_new) {
        *ret_new = fresh;
    }
    return GY_OK;
}

gy_status gy_feedback_each(struct gy_db *db, int64_t since_us, gy_feedback_fn fn, void *ctx,
                           struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT by_request, target, row_no, source, given_us, label, reward, actor, "
                       "created_us, info FROM feedback WHERE created_us >= ?",
                       GY_VALS(gy_vi(since_us)), &st, err));
    for (;;) {
        bool row;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        struct gy_str target = gy_col_blob(st, 1);
        struct gy_feedback f = {
            .by_request = gy_col_i64(st, 0) != 0,
            .row = (uint32_t)gy_col_i64(st, 2),
            .source = gy_col_str(st, 3),
            .given_us = gy_col_i64(st, 4),
            .label = gy_col_str(st, 5),
            .reward = gy_col_null(st, 6) ? NAN : gy_col_f64(st, 6),
            .actor = gy_col_str(st, 7),
            .created_us = gy_col_i64(st, 8),
            .info = gy_col_str(st, 9),
        };
        if (f.by_request) {
            f.request_id = target;
        } else if (target.n == sizeof f.id) {
            memcpy(f.id, target.p, sizeof f.id);
        } else {
            return gy_err_set(err, GY_E_CORRUPT, "feedback for a prediction id of %zu bytes",
                              target.n);
        }
        GY_TRY(fn(ctx, &f, err));
    }
}

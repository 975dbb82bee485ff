/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of pruned stretches of the prediction log: the table log_pruned. */
#include <stdio.h>

#include "base/hash.h"
#include "base/id.h"
#include "serve/prune.h"
#include "store/audit.h"
#include "store/scope.h"

#define ID_HEX 33
#define COLUMNS                                                                               \
    "boot, ring, segments, records, bytes, first_seq, last_seq, from_us, to_us, why, actor, " \
    "created_us"

/* ---- writing ---- */

struct writing {
    const struct gy_prune_order *o;
    const struct gy_prune_plan *p;
    struct gy_str actor;
};

/* What goes of one stream. */
struct stretch {
    const struct gy_prune_segment *first, *last;
    int64_t segments, records, bytes, from_us, to_us;
    unsigned char least[16], greatest[16];
    uint64_t first_seq, last_seq;
    bool age, size;
};

static void add(struct stretch *x, const struct gy_prune_segment *s)
{
    x->first = x->first ? x->first : s;
    x->last = s;
    x->from_us = x->segments == 0 || s->from_us < x->from_us ? s->from_us : x->from_us;
    x->to_us = s->to_us > x->to_us ? s->to_us : x->to_us;
    x->segments++;
    x->bytes += s->bytes;
    x->age = x->age || s->fate == GY_PRUNE_AGE;
    x->size = x->size || s->fate == GY_PRUNE_SIZE;
    if (s->records == 0) {
        return;
    }
    if (x->records == 0 || memcmp(s->least, x->least, 16) < 0) {
        memcpy(x->least, s->least, 16);
    }
    if (x->records == 0 || memcmp(s->greatest, x->greatest, 16) > 0) {
        memcpy(x->greatest, s->greatest, 16);
    }
    x->first_seq = x->records == 0 ? s->first_seq : x->first_seq;
    x->last_seq = s->last_seq;
    x->records += (int64_t)s->records;
}

static gy_status write_stretch(struct gy_db *db, const struct writing *w, const struct stretch *x,
                               struct gy_err *err)
{
    char boot[GY_UUID_TEXT], least[ID_HEX], greatest[ID_HEX];
    if (x->records == 0) {
        return GY_OK; /* empty files leave nothing to be known */
    }
    gy_uuid_text(x->first->boot, boot);
    gy_hex(x->least, 16, least);
    gy_hex(x->greatest, 16, greatest);
    const char *why = x->age && x->size ? "age, size" : x->age ? "age" : "size";
    return gy_db_exec(
        db,
        "INSERT INTO log_pruned (boot, ring, last_seq, first_seq, first_number, last_number, "
        "segments, records, bytes, least_id, greatest_id, from_us, to_us, why, actor, created_us) "
        "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        GY_VALS(gy_vc(boot), gy_vi(x->first->ring), gy_vi((int64_t)x->last_seq),
                gy_vi((int64_t)x->first_seq), gy_vi(x->first->number), gy_vi(x->last->number),
                gy_vi(x->segments), gy_vi(x->records), gy_vi(x->bytes), gy_vc(least),
                gy_vc(greatest), gy_vi(x->from_us), gy_vi(x->to_us), gy_vc(why), gy_vs(w->actor),
                gy_vi(w->o->now_us)),
        NULL, err);
}

/* Where a request's scope writes an audit row beside the closure, this is its subject; the server's
 * own work has a row of its own. */
static gy_status write_audit(struct gy_db *db, const struct writing *w, struct gy_err *err)
{
    char what[160];
    struct gy_scope *scope = gy_db_scope(db);
    (void)snprintf(what, sizeof what, "segments=%lld records=%lld bytes=%lld",
                   (long long)w->p->segments_go, (long long)w->p->records_go,
                   (long long)w->p->bytes_go);
    if (scope && scope->on_write) {
        return GY_OK;
    }
    const struct gy_audit entry = {.actor = w->actor,
                                   .workspace = GY_STR(GY_WORKSPACE_DEFAULT),
                                   .action = GY_STR("log.prune"),
                                   .subject = gy_str_c(what),
                                   .outcome = GY_STR("done"),
                                   .detail = GY_STR("retention")};
    return gy_audit_add(db, &entry, err);
}

static gy_status write_all(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct writing *w = ctx;
    const struct gy_prune_plan *p = w->p;
    GY_TRY(w->o->still ? w->o->still(w->o->ctx, db, err) : GY_OK);
    for (size_t i = 0, next; i < p->n; i = next) {
        struct stretch x = {.segments = 0};
        for (next = i; next < p->n && p->segments[next].ring == p->segments[i].ring &&
                       memcmp(p->segments[next].boot, p->segments[i].boot, 16) == 0;
             next++) {
            const struct gy_prune_segment *s = &p->segments[next];
            if (s->fate == GY_PRUNE_AGE || s->fate == GY_PRUNE_SIZE) {
                add(&x, s);
            }
        }
        GY_TRY(write_stretch(db, w, &x, err));
    }
    return write_audit(db, w, err);
}

gy_status gy_prune_apply(const struct gy_prune_order *o, const struct gy_prune_plan *plan,
                         struct gy_store *store, struct gy_str actor, struct gy_err *err)
{
    struct writing w = {o, plan, actor};
    if (plan->segments_go) {
        GY_TRY(gy_store_write(store, write_all, &w, err));
    }
    return gy_prune_remove(o->dir, plan, err);
}

/* ---- reading ---- */

gy_status gy_pruned_marks(struct gy_db *db, struct gy_log_marks *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_TRY(gy_db_query(db,
                       "SELECT boot, ring, MAX(last_seq) FROM log_pruned GROUP BY boot, ring "
                       "ORDER BY boot, ring",
                       GY_NO_VALS, &st, err));
    for (;;) {
        bool row;
        unsigned char boot[16];
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        GY_TRY(gy_uuid_parse(gy_col_str(st, 0), boot, err));
        GY_TRY(gy_log_marks_set(ret, boot, (uint32_t)gy_col_i64(st, 1), (uint64_t)gy_col_i64(st, 2),
                                0, err));
    }
}

static gy_status read_row(struct gy_stmt *st, struct gy_arena *a, struct gy_pruned *p,
                          struct gy_err *err)
{
    GY_TRY(gy_uuid_parse(gy_col_str(st, 0), p->boot, err));
    p->ring = (uint32_t)gy_col_i64(st, 1);
    p->segments = gy_col_i64(st, 2);
    p->records = gy_col_i64(st, 3);
    p->bytes = gy_col_i64(st, 4);
    p->first_seq = gy_col_i64(st, 5);
    p->last_seq = gy_col_i64(st, 6);
    p->from_us = gy_col_i64(st, 7);
    p->to_us = gy_col_i64(st, 8);
    GY_TRY(gy_col_copy(st, 9, a, &p->why, err));
    GY_TRY(gy_col_copy(st, 10, a, &p->actor, err));
    p->pruned_us = gy_col_i64(st, 11);
    return GY_OK;
}

gy_status gy_pruned_list(struct gy_db *db, size_t max, struct gy_arena *a, struct gy_pruned **ret,
                         size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    struct gy_pruned *list = gy_arena_calloc(a, max + 1, sizeof *list);
    *ret_n = 0;
    *ret = list;
    if (!list || max > GY_PRUNE_MAX_LIST) {
        return gy_err_set(err, GY_E_NOMEM, "a list of what was pruned");
    }
    GY_TRY(gy_db_query(db,
                       "SELECT " COLUMNS " FROM log_pruned ORDER BY created_us DESC, boot, ring, "
                       "last_seq LIMIT ?",
                       GY_VALS(gy_vi((int64_t)max)), &st, err));
    for (;;) {
        bool row;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row || *ret_n == max) {
            return GY_OK;
        }
        GY_TRY(read_row(st, a, &list[*ret_n], err));
        (*ret_n)++;
    }
}

gy_status gy_pruned_find(struct gy_db *db, const unsigned char id[16], struct gy_arena *a,
                         bool *ret_found, struct gy_pruned *ret, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    char hex[ID_HEX];
    gy_hex(id, 16, hex);
    GY_TRY(gy_db_query(db,
                       "SELECT " COLUMNS " FROM log_pruned WHERE least_id <= ? AND greatest_id >= "
                       "? ORDER BY created_us, boot, ring, last_seq LIMIT 1",
                       GY_VALS(gy_vc(hex), gy_vc(hex)), &st, err));
    GY_TRY(gy_stmt_step(st, ret_found, err));
    return *ret_found ? read_row(st, a, ret, err) : GY_OK;
}

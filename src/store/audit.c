/* SPDX-License-Identifier: Apache-2.0 */
#include "store/audit.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/time.h"

enum { N_TEXTS = 8 };

static const char zero_hash[] = "0000000000000000000000000000000000000000000000000000000000000000";

/* Cut at a whole character. */
static struct gy_str bounded(struct gy_str s)
{
    s = gy_str_head(s, GY_AUDIT_MAX_TEXT);
    /* Not every database has room for a NUL: no row may be lost for it. */
    return s.n && !memchr(s.p, '\0', s.n) && gy_str_is_utf8(s) ? s : GY_STR("");
}

static void texts_of(const struct gy_audit *e, struct gy_str out[N_TEXTS])
{
    const struct gy_str texts[N_TEXTS] = {e->actor,   e->workspace,  e->action, e->subject,
                                          e->outcome, e->request_id, e->peer,   e->detail};
    for (int i = 0; i < N_TEXTS; i++) {
        out[i] = texts[i].p ? texts[i] : GY_STR("");
    }
}

static void add_field(struct gy_hash *h, struct gy_str s)
{
    char head[24];
    int n = snprintf(head, sizeof head, "%zu:", s.n);
    gy_hash_add(h, gy_str_n(head, (size_t)n));
    gy_hash_add(h, s);
    gy_hash_add(h, GY_STR(","));
}

static void add_number(struct gy_hash *h, int64_t v)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%lld", (long long)v);
    add_field(h, gy_str_n(digits, (size_t)n));
}

gy_status gy_audit_hash(struct gy_str prev, const struct gy_audit *entry, char out[GY_SHA256_HEX],
                        struct gy_err *err)
{
    GY_AUTO(gy_hash_free) struct gy_hash *h = NULL;
    struct gy_str texts[N_TEXTS];
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &h, err));
    texts_of(entry, texts);
    gy_hash_add(h, prev);
    add_number(h, entry->seq);
    add_number(h, entry->time_us);
    for (int i = 0; i < N_TEXTS; i++) {
        add_field(h, texts[i]);
    }
    gy_hash_hex(h, out);
    return GY_OK;
}

/* The next number and the hash before it. The update comes first: servers on one database queue
 * here until the one before has committed. */
static gy_status take_place(struct gy_db *db, int64_t *ret_seq, char prev[GY_SHA256_HEX],
                            struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    bool row;
    GY_TRY(gy_db_exec(db, "UPDATE audit_head SET seq = seq + 1 WHERE id=1", GY_NO_VALS, NULL, err));
    GY_TRY(gy_db_query(db, "SELECT seq, hash FROM audit_head WHERE id=1", GY_NO_VALS, &st, err));
    GY_TRY(gy_stmt_step(st, &row, err));
    struct gy_str hash = row ? gy_col_str(st, 1) : GY_STR_NULL;
    if (hash.n != GY_SHA256_HEX - 1) {
        return gy_err_set(err, GY_E_CORRUPT, "the head of the audit log is gone");
    }
    *ret_seq = gy_col_i64(st, 0);
    memcpy(prev, hash.p, hash.n);
    prev[hash.n] = '\0';
    return GY_OK;
}

gy_status gy_audit_add(struct gy_db *db, const struct gy_audit *entry, struct gy_err *err)
{
    char prev[GY_SHA256_HEX], hash[GY_SHA256_HEX];
    struct gy_audit e = {.actor = bounded(entry->actor),
                         .workspace = bounded(entry->workspace),
                         .action = bounded(entry->action),
                         .subject = bounded(entry->subject),
                         .outcome = bounded(entry->outcome),
                         .request_id = bounded(entry->request_id),
                         .peer = bounded(entry->peer),
                         .detail = bounded(entry->detail)};
    struct gy_str t[N_TEXTS];
    GY_TRY(take_place(db, &e.seq, prev, err));
    e.time_us = gy_now_us();
    GY_TRY(gy_audit_hash(gy_str_c(prev), &e, hash, err));
    texts_of(&e, t);
    GY_TRY(gy_db_exec(
        db,
        "INSERT INTO audit (seq, time_us, actor, workspace, action, subject, outcome, "
        "request_id, peer, detail, hash) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        GY_VALS(gy_vi(e.seq), gy_vi(e.time_us), gy_vs(t[0]), gy_vs(t[1]), gy_vs(t[2]), gy_vs(t[3]),
                gy_vs(t[4]), gy_vs(t[5]), gy_vs(t[6]), gy_vs(t[7]), gy_vc(hash)),
        NULL, err));
    return gy_db_exec(db, "UPDATE audit_head SET hash=? WHERE id=1", GY_VALS(gy_vc(hash)), NULL,
                      err);
}

#define AUDIT_COLUMNS                                                                             \
    "SELECT seq, time_us, actor, workspace, action, subject, outcome, request_id, peer, detail, " \
    "hash FROM audit "

static gy_status read_row(struct gy_stmt *st, struct gy_arena *a, struct gy_audit *ret,
                          struct gy_err *err)
{
    *ret = (struct gy_audit){.seq = gy_col_i64(st, 0), .time_us = gy_col_i64(st, 1)};
    struct gy_str *texts[] = {&ret->actor,   &ret->workspace, &ret->action,
                              &ret->subject, &ret->outcome,   &ret->request_id,
                              &ret->peer,    &ret->detail,    &ret->hash};
    for (int i = 0; i < N_TEXTS + 1; i++) {
        GY_TRY(gy_col_copy(st, i + 2, a, texts[i], err));
    }
    return GY_OK;
}

/* LIKE with the user's text taken as it is. */
static struct gy_str pattern_of(struct gy_str part, struct gy_arena *a)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 4 * GY_AUDIT_MAX_TEXT);
    gy_buf_add_char(&b, '%');
    for (size_t i = 0; i < part.n; i++) {
        if (part.p[i] == '%' || part.p[i] == '_' || part.p[i] == '!') {
            gy_buf_add_char(&b, '!');
        }
        gy_buf_add_char(&b, part.p[i]);
    }
    gy_buf_add_char(&b, '%');
    return b.failed == GY_OK ? gy_arena_str(a, gy_buf_str(&b)) : GY_STR_NULL;
}

gy_status gy_audit_list(struct gy_db *db, const struct gy_audit_filter *f, size_t max,
                        struct gy_arena *a, struct gy_audit **ret, size_t *ret_n,
                        struct gy_err *err)
{
    static const char oldest[] =
        AUDIT_COLUMNS "WHERE seq > ? AND time_us >= ? AND (?='' OR actor=?) AND action LIKE ? "
                      "ESCAPE '!' AND (?='' OR outcome=?) ORDER BY seq LIMIT ?";
    static const char newest[] =
        AUDIT_COLUMNS "WHERE seq > ? AND time_us >= ? AND (?='' OR actor=?) AND action LIKE ? "
                      "ESCAPE '!' AND (?='' OR outcome=?) ORDER BY seq DESC LIMIT ?";
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    GY_REQUIRE(max > 0 && max <= GY_AUDIT_LIST_MAX);
    struct gy_audit *rows = gy_arena_calloc(a, max, sizeof *rows);
    struct gy_str action = pattern_of(gy_str_sub(f->action, 0, GY_AUDIT_MAX_TEXT), a);
    struct gy_str actor = f->actor.p ? f->actor : GY_STR("");
    struct gy_str outcome = f->outcome.p ? f->outcome : GY_STR("");
    size_t n = 0;
    if (!rows || !action.p) {
        return gy_err_set(err, GY_E_NOMEM, "reading the audit log");
    }
    GY_TRY(gy_db_query(db, f->newest ? newest : oldest,
                       GY_VALS(gy_vi(f->newest ? 0 : f->after), gy_vi(f->since_us), gy_vs(actor),
                               gy_vs(actor), gy_vs(action), gy_vs(outcome), gy_vs(outcome),
                               gy_vi((int64_t)max)),
                       &st, err));
    while (n < max) {
        bool row;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        GY_TRY(read_row(st, a, &rows[n++], err));
    }
    *ret = rows;
    *ret_n = n;
    return GY_OK;
}

/* ---- verifying ---- */

struct check {
    struct gy_audit_verdict *v;
    int64_t expect_seq;
    struct gy_str expect_hash;
    bool met; /* the expected row was there */
};

static void broken(struct gy_audit_verdict *v, int64_t seq, const char *fmt)
{
    v->bad_seq = seq;
    (void)snprintf(v->why, sizeof v->why, "row %lld %s", (long long)seq, fmt);
}

static gy_status check_row(struct check *c, const struct gy_audit *e, struct gy_err *err)
{
    struct gy_audit_verdict *v = c->v;
    char hash[GY_SHA256_HEX];
    if (e->seq != v->last_seq + 1) {
        broken(v, v->last_seq + 1, "is missing");
        return GY_OK;
    }
    GY_TRY(gy_audit_hash(gy_str_c(v->last_hash), e, hash, err));
    if (!gy_str_eqc(e->hash, hash)) {
        broken(v, e->seq, "was changed, or is not where it was written");
        return GY_OK;
    }
    if (e->seq == c->expect_seq) {
        c->met = gy_str_eqc(c->expect_hash, hash);
        if (!c->met) {
            broken(v, e->seq, "is not the one that was expected: the log was written anew");
            return GY_OK;
        }
    }
    memcpy(v->last_hash, hash, sizeof hash);
    v->last_seq = e->seq;
    v->rows++;
    return GY_OK;
}

/* What the head says must be what the last row says. */
static gy_status check_end(struct gy_db *db, struct check *c, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    struct gy_audit_verdict *v = c->v;
    bool row;
    GY_TRY(gy_db_query(db, "SELECT seq, hash FROM audit_head WHERE id=1", GY_NO_VALS, &st, err));
    GY_TRY(gy_stmt_step(st, &row, err));
    if (!row || gy_col_i64(st, 0) != v->last_seq || !gy_str_eqc(gy_col_str(st, 1), v->last_hash)) {
        broken(v, v->last_seq + 1, "is missing: rows were taken from the end");
    } else if (c->expect_seq > 0 && !c->met) {
        broken(v, c->expect_seq, "is missing: rows were taken from the end");
    }
    return GY_OK;
}

gy_status gy_audit_verify(struct gy_db *db, int64_t expect_seq, struct gy_str expect_hash,
                          struct gy_audit_verdict *ret, struct gy_err *err)
{
    struct check c = {.v = ret, .expect_seq = expect_seq, .expect_hash = expect_hash};
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    *ret = (struct gy_audit_verdict){.rows = 0};
    memcpy(ret->last_hash, zero_hash, sizeof zero_hash);
    gy_arena_init(&a, GY_MIB);
    GY_TRY(gy_db_query(db, AUDIT_COLUMNS "ORDER BY seq", GY_NO_VALS, &st, err));
    while (ret->bad_seq == 0) {
        struct gy_audit e;
        bool row;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        gy_arena_reset(&a);
        GY_TRY(read_row(st, &a, &e, err));
        GY_TRY(check_row(&c, &e, err));
    }
    return ret->bad_seq == 0 ? check_end(db, &c, err) : GY_OK;
}

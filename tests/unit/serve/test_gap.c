/* SPDX-License-Identifier: Apache-2.0 */
/* serve/gap.h: rows of one person leave the prediction log, and nothing else changes. */
#include "serve/gap.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "log_record.h"
#include "serve/tail.h"
#include "unit.h"

#define WHO "subject-7f3k29x"

struct fixture {
    char dir[64], log[GY_MAX_PATH], rings[GY_MAX_PATH], keys[GY_MAX_PATH];
    struct gy_uuid_gen gen;
    struct gy_erasure_key key;
    struct gy_predlog *l;
    unsigned char id[64][16];
};

static void open_log(struct fixture *f)
{
    const struct gy_predlog_options o = {
        .dir = f->log, .ring_dir = f->rings, .n_loops = 1, .ring_bytes = 1 << 20, .sync_ms = 5};
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_predlog_open(&o, &f->l, &err), err);
}

static int setup(void **state)
{
    struct fixture *f = gy_calloc(1, sizeof *f);
    struct gy_err err = GY_ERR_INIT;
    scratch_make(f->dir);
    (void)snprintf(f->log, sizeof f->log, "%s/log", f->dir);
    (void)snprintf(f->rings, sizeof f->rings, "%s/rings", f->dir);
    (void)snprintf(f->keys, sizeof f->keys, "%s/erasures", f->dir);
    assert_status(GY_OK, gy_dir_make(f->rings, &err), err);
    assert_status(GY_OK, gy_uuid_gen_init(&f->gen, &err), err);
    assert_status(GY_OK, gy_erasure_key_open(f->keys, true, &f->key, &err), err);
    open_log(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    gy_predlog_close(f->l);
    scratch_done(f->dir);
    gy_free(f);
    return 0;
}

/* n records; those with number % 4 == 1 are WHO's. */
static void append(struct fixture *f, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct gy_record r = log_record(&f->gen, i);
        if (i % 4 == 1) {
            r.request_id = GY_STR(WHO);
        }
        memcpy(f->id[i], r.id, 16);
        assert_true(gy_predlog_append(f->l, 0, &r));
    }
}

static bool is_who(void *ctx, const struct gy_record *r, uint32_t row)
{
    (void)ctx;
    (void)row;
    return gy_str_eqc(r->request_id, WHO);
}

static bool holds_who(void *ctx, struct gy_str bytes)
{
    (void)ctx;
    return gy_str_find_str(bytes, GY_STR(WHO)) != SIZE_MAX;
}

static struct gy_gap_order order_of(struct fixture *f)
{
    struct gy_gap_order o = {
        .now_us = 1800000000000000, .key = &f->key, .row = is_who, .damage = holds_who, .ctx = f};
    memset(o.erasure, 0xe7, sizeof o.erasure);
    return o;
}

static gy_status count_one(void *ctx, const struct gy_record *r, struct gy_err *err)
{
    (void)err;
    assert_false(gy_str_eqc(r->request_id, WHO));
    ++*(int *)ctx;
    return GY_OK;
}

static gy_status tail_one(void *ctx, const struct gy_log_place *place, const struct gy_record *r,
                          struct gy_err *err)
{
    (void)place;
    return count_one(ctx, r, err);
}

/* The one segment of the log. */
struct only {
    char path[GY_MAX_PATH];
    const char *dir;
    int n;
};
static gy_status find_only(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct only *o = ctx;
    if (!is_dir && gy_str_ends(gy_str_c(name), GY_STR(".seg"))) {
        o->n++;
        return gy_path_join(o->path, sizeof o->path, o->dir, name, err);
    }
    return GY_OK;
}

static void only_segment(struct fixture *f, struct only *o)
{
    struct gy_err err = GY_ERR_INIT;
    *o = (struct only){.dir = f->log};
    assert_status(GY_OK, gy_dir_each(f->log, find_only, o, &err), err);
    assert_int_equal(o->n, 1);
}

struct grep {
    const char *dir;
    int hits;
};
static gy_status grep_one(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct grep *g = ctx;
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, g->dir, name, err));
    if (is_dir) {
        struct grep below = {path, 0};
        GY_TRY(gy_dir_each(path, grep_one, &below, err));
        g->hits += below.hits;
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 64 * GY_MIB);
    GY_TRY(gy_file_read(path, &b, err));
    g->hits += gy_str_find_str(gy_buf_str(&b), GY_STR(WHO)) != SIZE_MAX;
    return GY_OK;
}

static int grep(struct fixture *f)
{
    struct grep g = {f->dir, 0};
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_dir_each(f->dir, grep_one, &g, &err), err);
    return g.hits;
}

static void test_erased_from_a_running_log(void **state)
{
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    struct gy_gap_result got = {0};
    struct gy_gap_order o = order_of(f);
    append(f, 40);

    /* Counting changes nothing. */
    o.now_us = 0;
    assert_status(GY_OK, gy_predlog_erase(f->l, f->log, &o, NULL, NULL, &got, &err), err);
    assert_int_equal(got.records, 10);
    assert_true(grep(f) > 0);

    o = order_of(f);
    got = (struct gy_gap_result){0};
    assert_status(GY_OK, gy_predlog_erase(f->l, f->log, &o, NULL, NULL, &got, &err), err);
    assert_int_equal(got.records, 10);
    assert_int_equal(got.rows, 10);
    assert_int_equal(got.segments, 1);
    assert_int_equal(grep(f), 0); /* neither in the segments nor in the ring that held them */

    /* A second time finds nothing, and what comes later is kept as ever. */
    got = (struct gy_gap_result){0};
    assert_status(GY_OK, gy_predlog_erase(f->l, f->log, &o, NULL, NULL, &got, &err), err);
    assert_int_equal(got.records, 0);
    struct gy_record later = log_record(&f->gen, 99);
    assert_true(gy_predlog_append(f->l, 0, &later));
    assert_status(GY_OK, gy_predlog_flush(f->l, true, &err), err);

    int n = 0;
    assert_status(GY_OK, gy_predlog_each(f->log, count_one, &n, &err), err);
    assert_int_equal(n, 31);
    struct gy_predlog_stats s;
    gy_predlog_get_stats(f->l, &s);
    assert_int_equal(s.holes, 0);
    assert_int_equal(s.bad, 0);

    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    struct gy_record *parts;
    size_t n_parts;
    assert_status(
        GY_OK, gy_predlog_find(f->l, f->log, f->rings, f->id[5], &a, &parts, &n_parts, &err), err);
    assert_true(parts->gap);
    assert_int_equal(parts->time_us, o.now_us);
    assert_memory_equal(parts->erasure, o.erasure, 16);
    assert_int_equal(parts->seq, 6);
    assert_int_equal(parts->request_id.n, 0);
    assert_status(
        GY_OK, gy_predlog_find(f->l, f->log, f->rings, f->id[6], &a, &parts, &n_parts, &err), err);
    assert_false(parts->gap);
    assert_string_equal(parts->request_id.p, "req-1");
}

static void test_readers_pass_over_gaps(void **state)
{
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    struct gy_gap_result got = {0};
    struct gy_gap_order o = order_of(f);
    GY_AUTO(gy_log_cursor_free) struct gy_log_cursor *c = NULL;
    int n = 0;
    size_t given;
    append(f, 41);
    assert_status(GY_OK, gy_predlog_erase(f->l, f->log, &o, NULL, NULL, &got, &err), err);
    assert_status(GY_OK, gy_log_cursor_new(f->log, &c, &err), err);
    assert_status(GY_OK, gy_log_tail(c, 1000, tail_one, &n, &given, &err), err);
    assert_int_equal(n, 31);
    assert_int_equal(given, 31);
    struct gy_tail_stats t;
    gy_log_cursor_stats(c, &t);
    assert_int_equal(t.holes, 0);
    assert_int_equal(t.bad, 0);
    /* And the log opens again without a loss, sealed and indexed. */
    gy_predlog_close(f->l);
    open_log(f);
    struct gy_predlog_stats s;
    gy_predlog_get_stats(f->l, &s);
    assert_int_equal(s.holes + s.bad, 0);
    struct only only;
    struct gy_segment_info info;
    only_segment(f, &only);
    assert_status(GY_OK, gy_segment_sealed(only.path, &info, &err), err);
    assert_int_equal(info.records, 41); /* gaps keep their numbers */
    assert_int_equal(info.holes, 0);
}

static void test_gaps_are_signed(void **state)
{
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    struct gy_gap_result got = {0};
    struct gy_gap_check check = {0};
    struct gy_gap_order o = order_of(f);
    append(f, 40);
    assert_status(GY_OK, gy_predlog_erase(f->l, f->log, &o, NULL, NULL, &got, &err), err);
    assert_status(GY_OK, gy_predlog_check_gaps(f->log, f->key.public_key, &check, &err), err);
    assert_int_equal(check.gaps, 10);
    assert_int_equal(check.notes, 1);
    assert_int_equal(check.unsigned_gaps + check.bad_notes, 0);

    /* A gap that somebody else makes is not covered; nor is a note that was changed. */
    struct only only;
    only_segment(f, &only);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 64 * GY_MIB);
    assert_status(GY_OK, gy_file_read(only.path, &b, &err), err);
    size_t bytes;
    assert_int_equal(gy_frame_look(b.p, b.n, GY_SEGMENT_HEADER, &bytes), GY_FRAME_GOOD);
    gy_frame_make_gap(b.p + GY_SEGMENT_HEADER, o.erasure, o.now_us);
    assert_status(GY_OK, gy_file_write(only.path, gy_buf_str(&b), 0644, &err), err);
    check = (struct gy_gap_check){0};
    assert_status(GY_OK, gy_segment_check_gaps(only.path, f->key.public_key, &check, &err), err);
    assert_int_equal(check.gaps, 11);
    assert_int_equal(check.unsigned_gaps, 1);

    size_t note = GY_SEGMENT_HEADER;
    while (gy_frame_kind(b.p + note) != GY_FRAME_NOTE) {
        assert_int_equal(gy_frame_look(b.p, b.n, note, &bytes), GY_FRAME_GOOD);
        note += bytes;
    }
    b.p[b.n - 1] ^= 1; /* the rows of the last item */
    gy_frame_seal(b.p + note);
    assert_status(GY_OK, gy_file_write(only.path, gy_buf_str(&b), 0644, &err), err);
    check = (struct gy_gap_check){0};
    assert_status(GY_OK, gy_segment_check_gaps(only.path, f->key.public_key, &check, &err), err);
    assert_int_equal(check.bad_notes, 1);
    assert_int_equal(check.unsigned_gaps, 11);
}

static bool row_is_42(void *ctx, const struct gy_record *r, uint32_t row)
{
    (void)ctx;
    return r->n_inputs > 0 && r->inputs[(size_t)row * r->n_inputs] == 42;
}

static gy_status see_rows(void *ctx, const struct gy_record *r, struct gy_err *err)
{
    (void)err;
    int *n = ctx;
    for (uint32_t i = 0; i < r->n_rows; i++) {
        const double *in = r->inputs + (size_t)i * r->n_inputs;
        const double *out = r->outputs + (size_t)i * r->n_outputs;
        assert_true(in[0] != 42);
        if (gy_gap_row(r, i)) {
            (*n)++;
            assert_true(gy_gap_is_value(in[1]) && gy_gap_is_value(out[0]) &&
                        gy_gap_is_value(out[1]));
            assert_true(gy_gap_is_value(r->shadow[i]));
            assert_int_equal(r->rules[i].rule, -1);
        } else {
            assert_true(in[0] == 100 + i && in[1] == 7 && out[1] == 0.5 && r->shadow[i] == 0.25);
            assert_int_equal(r->rules[i].rule, 0);
        }
    }
    return GY_OK;
}

static void test_some_rows_of_a_request(void **state)
{
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    enum { N = 5 };
    double in[N * 2], out[N * 2], shadow[N];
    struct gy_rule_outcome rules[N];
    for (int i = 0; i < N; i++) {
        in[2 * i] = i == 1 || i == 4 ? 42 : 100 + i;
        in[2 * i + 1] = 7;
        out[2 * i] = 1;
        out[2 * i + 1] = 0.5;
        shadow[i] = 0.25;
        rules[i] = (struct gy_rule_outcome){0, 2, 3, 4};
    }
    struct gy_record r = {.time_us = 1700000000000000,
                          .n_rows = N,
                          .total_rows = N,
                          .status = 200,
                          .n_inputs = 2,
                          .n_outputs = 2,
                          .endpoint = GY_STR("e"),
                          .model_version = GY_STR("1"),
                          .request_id = GY_STR(""),
                          .inputs = in,
                          .outputs = out,
                          .rules = rules,
                          .shadow_version = GY_STR("2"),
                          .n_shadow = 1,
                          .shadow = shadow};
    gy_uuid7(&f->gen, r.id);
    assert_true(gy_predlog_append(f->l, 0, &r));
    struct gy_gap_order o = order_of(f);
    struct gy_gap_result got = {0};
    struct gy_gap_check check = {0};
    int n = 0;
    o.row = row_is_42;
    o.damage = NULL;
    assert_status(GY_OK, gy_predlog_erase(f->l, f->log, &o, NULL, NULL, &got, &err), err);
    assert_int_equal(got.records, 1);
    assert_int_equal(got.rows, 2);
    assert_status(GY_OK, gy_predlog_each(f->log, see_rows, &n, &err), err);
    assert_int_equal(n, 2);
    assert_status(GY_OK, gy_predlog_check_gaps(f->log, f->key.public_key, &check, &err), err);
    assert_int_equal(check.rows, 2);
    assert_int_equal(check.unsigned_gaps + check.bad_notes, 0);
}

/* A damaged record is unreadable, but its bytes are there: they go as well. */
static void test_a_damaged_place(void **state)
{
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    struct only only;
    append(f, 8);
    gy_predlog_close(f->l);
    f->l = NULL;
    only_segment(f, &only);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, 64 * GY_MIB);
    assert_status(GY_OK, gy_file_read(only.path, &b, &err), err);
    size_t at = GY_SEGMENT_HEADER, bytes;
    assert_int_equal(gy_frame_look(b.p, b.n, at, &bytes), GY_FRAME_GOOD);
    b.p[at + bytes + 20] ^= 1; /* the second is WHO's */
    b.n -= 8;                  /* and the end is torn */
    assert_status(GY_OK, gy_file_write(only.path, gy_buf_str(&b), 0644, &err), err);
    struct gy_segment_info info;
    assert_status(GY_OK, gy_segment_seal(only.path, &info, &err), err);
    assert_int_equal(info.records, 6);
    struct gy_gap_order o = order_of(f);
    struct gy_gap_result got = {0};
    struct gy_gap_check check = {0};
    assert_status(GY_OK, gy_segment_erase(only.path, &o, &got, &err), err);
    assert_int_equal(got.damaged, 1);
    assert_int_equal(got.records, 1);
    assert_int_equal(grep(f), 0);
    int n = 0;
    assert_status(GY_OK, gy_predlog_each(f->log, count_one, &n, &err), err);
    assert_int_equal(n, 5);
    assert_status(GY_OK, gy_segment_check_gaps(only.path, f->key.public_key, &check, &err), err);
    assert_int_equal(check.gaps, 1);
    assert_int_equal(check.unsigned_gaps + check.bad_notes, 0);
    open_log(f);
}

struct traffic {
    struct fixture *f;
    atomic_bool stop;
    atomic_uint may; /* so many in all, for now */
    uint32_t appended;
};

/* Somebody asks for WHO again and again while WHO is erased. */
static void *keep_asking(void *arg)
{
    struct traffic *t = arg;
    while (!atomic_load(&t->stop) || t->appended < atomic_load(&t->may)) {
        if (t->appended >= atomic_load(&t->may)) {
            (void)sched_yield();
            continue;
        }
        struct gy_record r = log_record(&t->f->gen, t->appended);
        r.request_id = t->appended % 2 ? GY_STR(WHO) : r.request_id;
        t->appended += gy_predlog_append(t->f->l, 0, &r);
    }
    return NULL;
}

static gy_status erase_now(struct fixture *f, struct gy_gap_result *got, struct gy_err *err)
{
    struct gy_gap_order o = order_of(f);
    return gy_predlog_erase(f->l, f->log, &o, NULL, NULL, got, err);
}

static void test_what_is_answered_meanwhile_is_kept(void **state)
{
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    struct gy_gap_result got = {0};
    struct traffic t = {.f = f};
    pthread_t asking;
    int n = 0;
    assert_int_equal(pthread_create(&asking, NULL, keep_asking, &t), 0);
    gy_status status = GY_OK;
    for (int i = 0; i < 40 && status == GY_OK; i++) {
        atomic_fetch_add(&t.may, 100);
        status = erase_now(f, &got, &err);
    }
    atomic_store(&t.stop, true);
    assert_int_equal(pthread_join(asking, NULL), 0);
    assert_status(GY_OK, status, err);
    assert_status(GY_OK, erase_now(f, &got, &err), err);
    assert_true(t.appended > 0);
    assert_status(GY_OK, gy_predlog_each(f->log, count_one, &n, &err), err);
    assert_int_equal(n, (t.appended + 1) / 2);
    assert_int_equal(got.records, t.appended / 2); /* each one once */
    assert_int_equal(grep(f), 0);
}

static void test_the_key(void **state)
{
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    struct gy_erasure_key again, other;
    unsigned char a[32], b[32];
    char path[GY_MAX_PATH];
    assert_status(GY_OK, gy_erasure_key_open(f->keys, false, &again, &err), err);
    gy_erasure_hash(&f->key, GY_STR("42"), a);
    gy_erasure_hash(&again, GY_STR("42"), b);
    assert_memory_equal(a, b, 32);
    (void)snprintf(path, sizeof path, "%s/other", f->dir);
    assert_int_equal(gy_erasure_key_open(path, false, &other, &err), GY_E_NOTFOUND);
    assert_status(GY_OK, gy_erasure_key_open(path, true, &other, &err), err);
    gy_erasure_hash(&other, GY_STR("42"), b);
    assert_memory_not_equal(a, b, 32);
    assert_int_equal(gy_erasure_key_copy(&f->key, path, &err), GY_E_CONFLICT);
    (void)snprintf(path, sizeof path, "%s/third", f->dir);
    assert_status(GY_OK, gy_erasure_key_copy(&f->key, path, &err), err);
    assert_status(GY_OK, gy_erasure_key_copy(&f->key, path, &err), err);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_erased_from_a_running_log),
        T(test_readers_pass_over_gaps),
        T(test_gaps_are_signed),
        T(test_some_rows_of_a_request),
        T(test_a_damaged_place),
        T(test_the_key),
        T(test_what_is_answered_meanwhile_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

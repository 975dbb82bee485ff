/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "../unit.h"
#include "base/id.h"
#include "base/time.h"
#include "store/events.h"
#include "watch/review.h"

#define SHAPE                                                                                 \
    "\"task\":\"binary\",\"inputs\":[\"HR\",\"Temp\"],\"model_inputs\":2,\"classes\":[\"0\"," \
    "\"1\"],\"numeric_classes\":true,\"threshold\":0.5,\"weights\":[{\"model\":\"m\","        \
    "\"version\":1,\"digest\":\"d\",\"weight\":1}],\"rules\":[{\"name\":\"hot\",\"when\":"    \
    "\"Temp > 40\",\"then\":{\"prediction\":1,\"skip_model\":true,\"reason\":\"over 40\"}}]"

struct fixture {
    struct gy_store *store;
    struct gy_arena arena;
    yyjson_doc *docs[8];
    size_t n_docs;
    struct gy_review_batch *batch;
};

struct adding {
    struct gy_revision r;
    int64_t revision;
};

static gy_status add_revision(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct adding *c = ctx;
    return gy_revision_add(db, &c->r, &c->revision, err);
}

/* A revision of `endpoint` with this review section, in the store and as a shape. */
static struct gy_shape shape_make(struct fixture *f, const char *endpoint, const char *review)
{
    struct gy_err err = GY_ERR_INIT;
    struct gy_shape s;
    char *config = gy_arena_printf(&f->arena, "{%s%s%s}", SHAPE, review ? ",\"review\":" : "",
                                   review ? review : "");
    struct adding c = {.r = {.endpoint = gy_str_c(endpoint),
                             .kind = GY_STR("deploy"),
                             .model_name = GY_STR("m"),
                             .model_version = 1,
                             .model_digest = GY_STR("d"),
                             .config = gy_str_c(config),
                             .actor = GY_STR("ann")}};
    assert_status(GY_OK, gy_store_write(f->store, add_revision, &c, &err), err);
    c.r.revision = c.revision;
    assert_true(f->n_docs < 8);
    assert_status(GY_OK, gy_shape_read(&c.r, &f->arena, &f->docs[f->n_docs], &s, &err), err);
    f->n_docs++;
    return s;
}

static int open_store(void **state)
{
    struct gy_err err = GY_ERR_INIT;
    struct fixture *f = test_calloc(1, sizeof *f);
    const struct gy_store_options o = {.url = "sqlite://:memory:"};
    assert_status(GY_OK, gy_store_open(&o, &f->store, &err), err);
    assert_status(GY_OK, gy_review_batch_new(0, &f->batch, &err), err);
    gy_arena_init(&f->arena, 64 * GY_MIB);
    *state = f;
    return 0;
}

static int close_store(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < f->n_docs; i++) {
        gy_json_free(f->docs[i]);
    }
    gy_review_batch_free(f->batch);
    gy_store_free(f->store);
    gy_arena_done(&f->arena);
    test_free(f);
    return 0;
}

/* ---- records ---- */

enum { MAX_ROWS = 64 };
struct made {
    struct gy_record r;
    double inputs[MAX_ROWS * 2], outputs[MAX_ROWS * 3];
    struct gy_rule_outcome rules[MAX_ROWS];
};

/* Rows with the probabilities p[]; NaN: the rule hit and the model was not asked. */
static void record_make(struct made *m, const char *endpoint, int64_t revision, uint64_t number,
                        const double *p, uint32_t n)
{
    *m = (struct made){.r = {.time_us = 1000000,
                             .revision = (uint32_t)revision,
                             .n_rows = n,
                             .total_rows = n,
                             .status = 200,
                             .n_inputs = 2,
                             .n_outputs = 2,
                             .endpoint = gy_str_c(endpoint),
                             .model_version = GY_STR("1"),
                             .request_id = GY_STR("77"),
                             .inputs = m->inputs,
                             .outputs = m->outputs,
                             .rules = m->rules}};
    for (int i = 0; i < 8; i++) {
        m->r.id[i] = (unsigned char)(number >> (56 - 8 * i));
    }
    m->r.id[6] = 0x70;
    m->r.id[15] = (unsigned char)number; /* what the version's bits took */
    m->r.id[14] = (unsigned char)(number >> 8);
    for (uint32_t i = 0; i < n; i++) {
        bool rule = isnan(p[i]);
        m->inputs[2 * i] = 80 + i;
        m->inputs[2 * i + 1] = rule ? 41 : NAN;
        m->outputs[2 * i] = rule || p[i] >= 0.5 ? 1 : 0;
        m->outputs[2 * i + 1] = p[i];
        m->rules[i] = (struct gy_rule_outcome){.rule = rule ? 0 : -1};
    }
}

static gy_status store_batch(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_review_store(db, ctx, err);
}

static void offer(struct fixture *f, const struct made *m, const struct gy_shape *s)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_review_offer(f->batch, &m->r, s, &err), err);
}

static void store(struct fixture *f)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_store_write(f->store, store_batch, f->batch, &err), err);
    gy_review_batch_reset(f->batch);
}

struct listing {
    struct gy_review_query q;
    struct gy_arena *a;
    struct gy_review *list;
    size_t n;
    struct gy_review_queue *queues;
    size_t n_queues;
    struct gy_event *events;
    size_t n_events;
};

static gy_status read_list(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct listing *l = ctx;
    GY_TRY(gy_review_queues(db, l->q.endpoint, true, l->a, &l->queues, &l->n_queues, err));
    GY_TRY(gy_event_list(db, 0, "review.", 1000, l->a, &l->events, &l->n_events, err));
    return gy_review_list(db, &l->q, l->a, &l->list, &l->n, err);
}

static struct listing list(struct fixture *f, struct gy_review_query q)
{
    struct gy_err err = GY_ERR_INIT;
    struct listing l = {.q = q, .a = &f->arena};
    l.q.limit = l.q.limit ? l.q.limit : GY_REVIEW_MAX_LIST;
    assert_status(GY_OK, gy_store_read(f->store, read_list, &l, &err), err);
    return l;
}

/* ---- policy ---- */

static void test_a_policy_is_checked_key_by_key(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        gy_status status;
        enum gy_review_kind kind;
    } cases[] = {
        {"{\"policy\":\"all\"}", GY_OK, GY_REVIEW_ALL},
        {"{\"policy\":\"none\"}", GY_OK, GY_REVIEW_NONE},
        {"{\"policy\":\"all\",\"blind\":true,\"max_open\":5}", GY_OK, GY_REVIEW_ALL},
        {"{\"policy\":\"sample\",\"share\":0.1}", GY_OK, GY_REVIEW_SAMPLE},
        {"{\"policy\":\"uncertain\",\"margin\":0.1}", GY_OK, GY_REVIEW_UNCERTAIN},
        {"{\"policy\":\"mixed\",\"rule_hits\":true}", GY_OK, GY_REVIEW_MIXED},
        {"{\"policy\":\"mixed\",\"margin\":0.1,\"share\":0.05}", GY_OK, GY_REVIEW_MIXED},
        {"{}", GY_E_INVALID, GY_REVIEW_NONE},
        {"[]", GY_E_INVALID, GY_REVIEW_NONE},
        {"{\"policy\":\"some\"}", GY_E_INVALID, GY_REVIEW_NONE},
        {"{\"policy\":\"all\",\"share\":0.1}", GY_E_INVALID, GY_REVIEW_NONE},
        {"{\"policy\":\"all\",\"sahre\":0.1}", GY_E_INVALID, GY_REVIEW_NONE},
        {"{\"policy\":\"sample\"}", GY_E_INVALID, GY_REVIEW_NONE},
        {"{\"policy\":\"sample\",\"share\":0}", GY_E_INVALID, GY_REVIEW_NONE},
        {"{\"policy\":\"sample\",\"share\":1.5}", GY_E_INVALID, GY_REVIEW_NONE},
        {"{\"policy\":\"sample\",\"share\":\"all\"}", GY_E_INVALID, GY_REVIEW_NONE},
        {"{\"policy\":\"uncertain\"}", GY_E_INVALID, GY_REVIEW_NONE},
        {"{\"policy\":\"mixed\"}", GY_E_INVALID, GY_REVIEW_NONE},
        {"{\"policy\":\"all\",\"max_open\":0}", GY_E_INVALID, GY_REVIEW_NONE},
        {"{\"policy\":\"all\",\"max_open\":1000001}", GY_E_INVALID, GY_REVIEW_NONE},
        {"{\"policy\":\"all\",\"blind\":1}", GY_E_INVALID, GY_REVIEW_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        struct gy_review_policy p = {.kind = GY_REVIEW_NONE};
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        assert_status(GY_OK, gy_json_parse(gy_str_c(cases[i].json), &doc, &err), err);
        assert_status(cases[i].status, gy_review_policy_read(yyjson_doc_get_root(doc), &p, &err),
                      err);
        assert_int_equal(p.kind, cases[i].kind);
    }
    struct gy_review_policy p;
    assert_int_equal(gy_review_policy_read(NULL, &p, NULL), GY_OK);
    assert_int_equal(p.kind, GY_REVIEW_NONE);
    assert_int_equal(p.max_open, GY_REVIEW_MAX_OPEN);
}

static void test_each_policy_picks_its_rows(void **state)
{
    static const double p[] = {0.01, 0.45, 0.55, 0.99, NAN};
    static const struct {
        const char *review;
        const char *picked_by[5]; /* NULL: the row is not picked */
    } cases[] = {
        {NULL, {NULL}},
        {"{\"policy\":\"none\"}", {NULL}},
        {"{\"policy\":\"all\"}", {"all", "all", "all", "all", "all"}},
        {"{\"policy\":\"uncertain\",\"margin\":0.1}", {NULL, "uncertain", "uncertain", NULL, NULL}},
        {"{\"policy\":\"mixed\",\"margin\":0.1,\"rule_hits\":true}",
         {NULL, "uncertain", "uncertain", NULL, "rule"}},
        {"{\"policy\":\"sample\",\"share\":1}", {"sample", "sample", "sample", "sample", "sample"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *f = *state;
        char name[16];
        struct made m;
        (void)snprintf(name, sizeof name, "e%zu", i);
        struct gy_shape s = shape_make(f, name, cases[i].review);
        record_make(&m, name, s.revision, i + 1, p, 5);
        offer(f, &m, &s);
        store(f);
        struct listing l = list(f, (struct gy_review_query){.endpoint = gy_str_c(name)});
        size_t at = 0;
        for (int64_t row = 0; row < 5; row++) {
            if (cases[i].picked_by[row]) {
                assert_true(at < l.n);
                assert_int_equal(l.list[at].row, row);
                assert_str(l.list[at].picked_by, cases[i].picked_by[row]);
                assert_true(l.list[at].probability == 1);
                at++;
            }
        }
        assert_int_equal(at, l.n);
    }
}

static void test_an_item_holds_all_a_reviewer_needs(void **state)
{
    static const double p[] = {0.45, NAN};
    struct fixture *f = *state;
    struct made m;
    struct gy_shape s = shape_make(f, "e", "{\"policy\":\"all\"}");
    record_make(&m, "e", s.revision, 7, p, 2);
    offer(f, &m, &s);
    store(f);
    struct listing l = list(f, (struct gy_review_query){.endpoint = GY_STR("e")});
    assert_int_equal(l.n, 2);
    assert_str(l.list[0].inputs, "{\"HR\":80,\"Temp\":null}");
    assert_str(l.list[0].predicted, "0");
    assert_str(l.list[0].policy, "{\"policy\":\"all\"}");
    assert_str(l.list[0].request_id, "77");
    assert_str(l.list[0].model_version, "1");
    assert_true(l.list[0].score == 0.45 && fabs(l.list[0].margin - 0.05) < 1e-12);
    assert_null(l.list[0].rule.p);
    assert_int_equal(l.list[0].predicted_us, 1000000);
    assert_str(l.list[1].predicted, "1");
    assert_str(l.list[1].rule, "hot");
    assert_str(l.list[1].rule_reason, "over 40");
    assert_true(isnan(l.list[1].score) && l.list[1].margin == GY_REVIEW_NO_MARGIN);
    assert_int_equal(l.n_events, 1);
    assert_str(l.events[0].kind, "review.created");
    assert_str(l.events[0].subject, "reviews:e");
    assert_str(l.events[0].data, "{\"endpoint\":\"e\",\"count\":2,\"undecided\":2,\"skipped\":0}");
}

static void test_a_sample_is_the_same_however_often_it_is_drawn(void **state)
{
    struct fixture *f = *state;
    double p[MAX_ROWS];
    struct made m;
    struct gy_shape s = shape_make(f, "e", "{\"policy\":\"sample\",\"share\":0.1}");
    for (int i = 0; i < MAX_ROWS; i++) {
        p[i] = 0.2;
    }
    size_t first = 0;
    for (int round = 0; round < 2; round++) {
        for (uint64_t id = 1; id <= 200; id++) {
            record_make(&m, "e", s.revision, id, p, MAX_ROWS);
            offer(f, &m, &s);
        }
        first = round == 0 ? gy_review_batch_count(f->batch) : first;
        assert_int_equal(gy_review_batch_count(f->batch), first);
        store(f);
    }
    /* 12800 rows, share 0.1: 1280 with a standard deviation of 34. */
    assert_true(first > 1110 && first < 1450);
    struct listing l = list(f, (struct gy_review_query){.endpoint = GY_STR("e"), .limit = 10});
    assert_int_equal(l.queues[0].open, first);
    assert_true(l.list[0].probability == 0.1);
    assert_int_equal(l.n_events, 1); /* the second round brought nothing new */
}

static void test_a_full_queue_counts_what_it_skips(void **state)
{
    static const double p[] = {0.1, 0.2, 0.3, 0.4};
    struct fixture *f = *state;
    struct made m;
    struct gy_shape s = shape_make(f, "e", "{\"policy\":\"all\",\"max_open\":3}");
    record_make(&m, "e", s.revision, 1, p, 4);
    offer(f, &m, &s);
    store(f);
    struct listing l = list(f, (struct gy_review_query){.endpoint = GY_STR("e")});
    assert_int_equal(l.n, 3);
    assert_int_equal(l.queues[0].open, 3);
    assert_int_equal(l.queues[0].skipped, 1);
    offer(f, &m, &s); /* read again after a restart: the three are there, nothing of them is lost */
    store(f);
    l = list(f, (struct gy_review_query){.endpoint = GY_STR("e")});
    assert_int_equal(l.queues[0].open, 3);
    assert_int_equal(l.queues[0].skipped, 2);
}

static void test_a_full_batch_takes_whole_records_only(void **state)
{
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    double p[MAX_ROWS] = {0};
    struct made m;
    struct gy_shape s = shape_make(f, "e", "{\"policy\":\"all\"}");
    GY_AUTO(gy_review_batch_free) struct gy_review_batch *small = NULL;
    assert_status(GY_OK, gy_review_batch_new(256 * GY_KIB, &small, &err), err);
    gy_status status = GY_OK;
    size_t records = 0;
    while (status == GY_OK && records < 1000) {
        record_make(&m, "e", s.revision, records + 1, p, MAX_ROWS);
        status = gy_review_offer(small, &m.r, &s, &err);
        records += status == GY_OK;
    }
    assert_int_equal(status, GY_E_BUSY);
    assert_true(records > 0);
    assert_int_equal(gy_review_batch_count(small), records * MAX_ROWS);
    assert_status(GY_OK, gy_store_write(f->store, store_batch, small, &err), err);
    gy_review_batch_reset(small);
    assert_status(GY_OK, gy_review_offer(small, &m.r, &s, &err), err);
    struct listing l = list(f, (struct gy_review_query){.endpoint = GY_STR("e"), .limit = 1});
    assert_int_equal(l.queues[0].open, records * MAX_ROWS);
}

/* What is kept of the endpoints themselves fills a batch, too; storing it gives that back. */
static void test_a_batch_that_picks_nothing_is_full_at_last(void **state)
{
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    double p[] = {0.9};
    struct made m;
    struct gy_shape shapes[] = {shape_make(f, "e", "{\"policy\":\"uncertain\",\"margin\":0}"),
                                shape_make(f, "g", "{\"policy\":\"uncertain\",\"margin\":0}")};
    GY_AUTO(gy_review_batch_free) struct gy_review_batch *small = NULL;
    assert_status(GY_OK, gy_review_batch_new(256 * GY_KIB, &small, &err), err);
    gy_status status = GY_OK;
    for (size_t i = 0; status == GY_OK && i < 20000; i++) {
        const struct gy_shape *s = &shapes[i % 2];
        record_make(&m, i % 2 ? "g" : "e", s->revision, i + 1, p, 1);
        status = gy_review_offer(small, &m.r, s, &err);
    }
    assert_int_equal(status, GY_E_BUSY);
    assert_int_equal(gy_review_batch_count(small), 0);
    gy_review_batch_reset(small);
    assert_status(GY_OK, gy_review_offer(small, &m.r, &shapes[1], &err), err);
}

static void test_refused_requests_are_not_reviewed_and_a_person_may_pick(void **state)
{
    static const double p[] = {0.1};
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    struct made m;
    struct gy_shape s = shape_make(f, "e", "{\"policy\":\"all\"}");
    struct gy_shape none = shape_make(f, "quiet", NULL);
    record_make(&m, "e", s.revision, 1, p, 1);
    m.r.status = 400;
    offer(f, &m, &s);
    assert_int_equal(gy_review_batch_count(f->batch), 0);
    record_make(&m, "quiet", none.revision, 2, p, 1);
    assert_status(GY_OK, gy_review_pick(f->batch, &m.r, &none, GY_STR("ann"), &err), err);
    store(f);
    struct listing l = list(f, (struct gy_review_query){.endpoint = GY_STR("quiet")});
    assert_int_equal(l.n, 1);
    assert_str(l.list[0].picked_by, "person");
    assert_true(isnan(l.list[0].probability));
}

/* ---- order and pages ---- */

static void test_pages_follow_each_other_in_every_order(void **state)
{
    static const double p[] = {0.9, 0.1, 0.6, NAN, 0.52};
    static const int64_t rows[][10] = {{0, 1, 2, 3, 4, 0, 1, 2, 3, 4},
                                       {4, 3, 2, 1, 0, 4, 3, 2, 1, 0},
                                       {4, 4, 2, 2, 0, 1, 0, 1, 3, 3}};
    struct fixture *f = *state;
    struct made m;
    struct gy_shape s = shape_make(f, "e", "{\"policy\":\"all\"}");
    for (uint64_t id = 1; id <= 2; id++) {
        record_make(&m, "e", s.revision, id, p, 5);
        offer(f, &m, &s);
    }
    store(f);
    for (int order = 0; order < 3; order++) {
        struct gy_review_query q = {.order = (enum gy_review_order)order, .limit = 3};
        size_t at = 0;
        for (;;) {
            struct listing l = list(f, q);
            for (size_t i = 0; i < l.n; i++) {
                assert_true(at < 10);
                assert_int_equal(l.list[i].row, rows[order][at++]);
            }
            if (l.n < 3) {
                break;
            }
            q.after_id = l.list[l.n - 1].prediction_id;
            q.after_row = l.list[l.n - 1].row;
        }
        assert_int_equal(at, 10);
    }
}

/* ---- blind ---- */

static struct gy_str told(struct gy_arena *a, const struct gy_review *r)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_review_write(&w, r);
    return gy_arena_str(a, gy_buf_str(&out));
}

static bool tells(struct gy_str text, const char *what)
{
    return gy_str_find_str(text, gy_str_c(what)) != SIZE_MAX;
}

struct judging {
    const struct gy_review_verdict *verdicts;
    size_t n;
    struct gy_str reviewer;
    struct gy_arena *a;
    struct gy_review_decided out;
};

static gy_status decide_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct judging *c = ctx;
    return gy_review_decide(db, c->verdicts, c->n, c->reviewer, c->a, &c->out, err);
}

static struct gy_review_decided decide(struct fixture *f, gy_status expected,
                                       const struct gy_review *r, const char *verdict,
                                       const char *reviewer)
{
    struct gy_err err = GY_ERR_INIT;
    const struct gy_review_verdict v = {.prediction_id = r->prediction_id,
                                        .row = r->row,
                                        .verdict = gy_str_c(verdict),
                                        .reason = GY_STR("looked")};
    struct judging c = {&v, 1, gy_str_c(reviewer), &f->arena, {.decided = 0}};
    assert_status(expected, gy_store_write(f->store, decide_closure, &c, &err), err);
    return c.out;
}

static void test_blind_rows_hide_the_answer_until_the_verdict(void **state)
{
    static const double p[] = {0.4567, NAN};
    static const char *const secrets[] = {
        "0.4567",      "\"hot\"",          "over 40", "\"predicted\":\"",
        "\"rule\":\"", "\"picked_by\":\"", "0.0433",  "\"probability\":1"};
    struct fixture *f = *state;
    struct made m;
    struct gy_shape s = shape_make(f, "e", "{\"policy\":\"all\",\"blind\":true}");
    record_make(&m, "e", s.revision, 1, p, 2);
    offer(f, &m, &s);
    store(f);
    struct listing l = list(f, (struct gy_review_query){.endpoint = GY_STR("e")});
    for (size_t i = 0; i < 2; i++) {
        struct gy_str text = told(&f->arena, &l.list[i]);
        assert_true(tells(text, "\"hidden\":true"));
        assert_true(tells(text, "\"HR\":8"));
        for (size_t k = 0; k < sizeof secrets / sizeof secrets[0]; k++) {
            assert_false(tells(text, secrets[k]));
        }
    }
    (void)decide(f, GY_E_INVALID, &l.list[0], "agree", "ann");
    struct gy_review_decided d = decide(f, GY_OK, &l.list[0], "1", "ann");
    struct gy_str text = told(&f->arena, &d.items[0]);
    assert_true(tells(text, "0.4567") && tells(text, "\"predicted\":\"0\"") &&
                tells(text, "\"hidden\":false") && tells(text, "\"agrees\":false"));
    /* Its reviewer has seen the answer now. */
    (void)decide(f, GY_E_CONFLICT, &l.list[0], "0", "ann");
    (void)decide(f, GY_E_CONFLICT, &l.list[0], "1", "bob");
    assert_int_equal(decide(f, GY_OK, &l.list[0], "1.0", "ann").unchanged, 1);
}

/* ---- verdicts ---- */

static void test_verdicts_are_labels_however_they_are_written(void **state)
{
    static const double p[] = {0.1, 0.9, 0.9, 0.1, 0.1};
    static const char *const given[] = {"agree", "disagree", "true", "1.0", "0"};
    static const char *const labels[] = {"0", "0", "1", "1", "0"};
    static const bool agrees[] = {true, false, true, false, true};
    struct fixture *f = *state;
    struct made m;
    struct gy_shape s = shape_make(f, "e", "{\"policy\":\"all\"}");
    record_make(&m, "e", s.revision, 1, p, 5);
    offer(f, &m, &s);
    store(f);
    struct listing l = list(f, (struct gy_review_query){.endpoint = GY_STR("e")});
    (void)decide(f, GY_E_INVALID, &l.list[0], "2", "ann");
    (void)decide(f, GY_E_INVALID, &l.list[0], "", "ann");
    (void)decide(f, GY_E_UNAUTHENTICATED, &l.list[0], "1", "anonymous");
    (void)decide(f, GY_E_UNAUTHENTICATED, &l.list[0], "1", "");
    for (size_t i = 0; i < 5; i++) {
        struct gy_review_decided d = decide(f, GY_OK, &l.list[i], given[i], "ann");
        assert_int_equal(d.decided, 1);
        assert_str(d.items[0].verdict, labels[i]);
        assert_int_equal(d.items[0].agrees, agrees[i]);
    }
    l = list(f, (struct gy_review_query){.endpoint = GY_STR("e"), .state = GY_STR("done")});
    assert_int_equal(l.n, 5);
    assert_str(l.list[0].reviewer, "ann");
    assert_str(l.list[0].reason, "looked");
    assert_int_equal(l.queues[0].open, 0);
    assert_int_equal(l.queues[0].done, 5);
    assert_int_equal(l.queues[0].agreed, 3);
    assert_true(l.queues[0].median_hours >= 0);
    /* A correction moves the counts, not the number of verdicts. */
    assert_int_equal(decide(f, GY_OK, &l.list[0], "1", "bob").corrected, 1);
    l = list(f, (struct gy_review_query){.endpoint = GY_STR("e"), .state = GY_STR("done")});
    assert_int_equal(l.queues[0].done, 5);
    assert_int_equal(l.queues[0].agreed, 2);
    assert_str(l.events[l.n_events - 1].data, "{\"endpoint\":\"e\",\"count\":0,\"corrected\":1,"
                                              "\"simulated\":0,\"total\":5}");
    assert_str(l.events[l.n_events - 1].actor, "bob");
}

struct told {
    struct gy_feedback f[8];
    char texts[8][4][512]; /* label, source, actor, info */
    size_t n;
};

static gy_status keep_feedback(void *ctx, const struct gy_feedback *f, struct gy_err *err)
{
    struct told *t = ctx;
    (void)err;
    assert_true(t->n < 8);
    const struct gy_str texts[] = {f->label, f->source, f->actor, f->info};
    for (int i = 0; i < 4; i++) {
        (void)snprintf(t->texts[t->n][i], 512, "%" GY_STR_F, GY_STR_A(texts[i]));
    }
    t->f[t->n++] = *f;
    return GY_OK;
}

static gy_status read_feedback(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_feedback_each(db, 0, keep_feedback, ctx, err);
}

static void test_a_verdict_is_kept_as_feedback(void **state)
{
    static const double p[] = {0.1, 0.9};
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    struct made m;
    struct told *t = gy_arena_calloc(&f->arena, 1, sizeof *t);
    struct gy_shape s = shape_make(f, "e", "{\"policy\":\"sample\",\"share\":1}");
    record_make(&m, "e", s.revision, 1, p, 2);
    offer(f, &m, &s);
    store(f);
    struct listing l = list(f, (struct gy_review_query){.endpoint = GY_STR("e")});
    struct gy_review_decided d = decide(f, GY_OK, &l.list[0], "1.0", "ann");
    assert_int_equal(d.n_feedback, 1);
    assert_memory_equal(d.feedback[0].id, m.r.id, 16);
    const struct gy_review_verdict v = {.prediction_id = l.list[1].prediction_id,
                                        .row = 1,
                                        .verdict = GY_STR("0"),
                                        .tags = GY_STR("[\"simulated\"]"),
                                        .simulated = true};
    struct judging c = {&v, 1, GY_STR("sim"), &f->arena, {.decided = 0}};
    assert_status(GY_OK, gy_store_write(f->store, decide_closure, &c, &err), err);
    assert_status(GY_OK, gy_store_read(f->store, read_feedback, t, &err), err);
    assert_int_equal(t->n, 2);
    assert_int_equal(t->f[0].row, 0);
    assert_string_equal(t->texts[0][0], "1");
    assert_string_equal(t->texts[0][1], "review");
    assert_string_equal(t->texts[0][2], "ann");
    assert_string_equal(
        t->texts[0][3],
        "{\"reviewer\":\"ann\",\"reason\":\"looked\",\"tags\":[],\"policy\":{\"policy\":"
        "\"sample\",\"share\":1},\"picked_by\":\"sample\",\"probability\":1.0}");
    assert_string_equal(t->texts[1][1], "simulated");
    /* The same again adds nothing; a person's verdict replaces a simulated one, not the reverse. */
    assert_int_equal(decide(f, GY_OK, &l.list[0], "1", "ann").n_feedback, 0);
    (void)decide(f, GY_OK, &l.list[1], "1", "ann");
    assert_status(GY_E_CONFLICT, gy_store_write(f->store, decide_closure, &c, &err), err);
}

static void test_a_call_of_many_verdicts_is_one_event_and_all_or_nothing(void **state)
{
    static const double p[] = {0.1, 0.9, 0.9};
    struct fixture *f = *state;
    struct gy_err err = GY_ERR_INIT;
    struct made m;
    struct gy_shape s = shape_make(f, "e", "{\"policy\":\"all\"}");
    record_make(&m, "e", s.revision, 1, p, 3);
    offer(f, &m, &s);
    store(f);
    struct listing l = list(f, (struct gy_review_query){.endpoint = GY_STR("e")});
    struct gy_review_verdict v[4];
    for (int64_t i = 0; i < 4; i++) {
        v[i] = (struct gy_review_verdict){.prediction_id = l.list[0].prediction_id,
                                          .row = i,
                                          .verdict = GY_STR("1"),
                                          .tags = GY_STR("[\"simulated\"]"),
                                          .simulated = true};
    }
    struct judging c = {v, 4, GY_STR("ann"), &f->arena, {.decided = 0}};
    assert_status(GY_E_NOTFOUND, gy_store_write(f->store, decide_closure, &c, &err), err);
    l = list(f, (struct gy_review_query){.endpoint = GY_STR("e"), .state = GY_STR("done")});
    assert_int_equal(l.n, 0);
    c.n = 3;
    assert_status(GY_OK, gy_store_write(f->store, decide_closure, &c, &err), err);
    assert_int_equal(c.out.decided, 3);
    l = list(f, (struct gy_review_query){.endpoint = GY_STR("e"), .state = GY_STR("done")});
    assert_int_equal(l.n, 3);
    assert_true(l.list[0].simulated);
    assert_int_equal(l.n_events, 2);
    assert_str(l.events[1].data, "{\"endpoint\":\"e\",\"count\":3,\"corrected\":0,"
                                 "\"simulated\":3,\"total\":3}");
    c.n = GY_REVIEW_MAX_VERDICTS + 1;
    assert_status(GY_E_TOOBIG, gy_store_write(f->store, decide_closure, &c, &err), err);
}

struct assigning {
    const struct gy_review *r;
    const char *assignee, *actor;
    bool take;
};

static gy_status assign_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct assigning *c = ctx;
    return gy_review_assign(db, c->r->prediction_id, c->r->row, gy_str_c(c->assignee), c->take,
                            gy_str_c(c->actor), err);
}

static void test_a_row_has_one_assignee(void **state)
{
    static const double p[] = {0.1};
    static const struct {
        const char *assignee, *actor;
        bool take;
        gy_status status;
    } steps[] = {{"ann", "anonymous", false, GY_E_UNAUTHENTICATED},
                 {"ann", "ann", false, GY_OK},
                 {"ann", "ann", false, GY_OK},
                 {"bob", "bob", false, GY_E_CONFLICT},
                 {NULL, "bob", false, GY_E_CONFLICT},
                 {"bob", "bob", true, GY_OK},
                 {NULL, "bob", false, GY_OK},
                 {"ann", "bob", false, GY_OK}};
    struct fixture *f = *state;
    struct made m;
    struct gy_shape s = shape_make(f, "e", "{\"policy\":\"all\"}");
    record_make(&m, "e", s.revision, 1, p, 1);
    offer(f, &m, &s);
    store(f);
    struct listing l = list(f, (struct gy_review_query){.endpoint = GY_STR("e")});
    struct gy_review r = l.list[0];
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct gy_err err = GY_ERR_INIT;
        struct assigning c = {&r, steps[i].assignee, steps[i].actor, steps[i].take};
        assert_status(steps[i].status, gy_store_write(f->store, assign_closure, &c, &err), err);
    }
    l = list(f, (struct gy_review_query){.state = GY_STR("assigned"), .assignee = GY_STR("ann")});
    assert_int_equal(l.n, 1);
    assert_int_equal(l.queues[0].open, 0);
    assert_int_equal(l.queues[0].assigned, 1);
    (void)decide(f, GY_OK, &r, "0", "bob");
    l = list(f, (struct gy_review_query){.endpoint = GY_STR("e")});
    assert_int_equal(l.queues[0].assigned, 0);
    assert_int_equal(l.queues[0].done, 1);
    struct gy_err err = GY_ERR_INIT;
    struct assigning late = {&r, "ann", "ann", true};
    assert_status(GY_E_CONFLICT, gy_store_write(f->store, assign_closure, &late, &err), err);
}

static gy_status offer_tortured(void *ctx, struct gy_err *err)
{
    static const double p[] = {0.1, NAN, 0.9};
    struct gy_shape *s = ctx;
    struct made m;
    GY_AUTO(gy_review_batch_free) struct gy_review_batch *b = NULL;
    record_make(&m, "e", s->revision, 1, p, 3);
    GY_TRY(gy_review_batch_new(0, &b, err));
    return gy_review_offer(b, &m.r, s, err);
}

static void test_offering_survives_want_of_memory(void **state)
{
    struct gy_shape s = shape_make(*state, "e", "{\"policy\":\"all\"}");
    torture(offer_tortured, &s);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_policy_is_checked_key_by_key),
        WITH_STORE(test_each_policy_picks_its_rows),
        WITH_STORE(test_an_item_holds_all_a_reviewer_needs),
        WITH_STORE(test_a_sample_is_the_same_however_often_it_is_drawn),
        WITH_STORE(test_a_full_queue_counts_what_it_skips),
        WITH_STORE(test_a_full_batch_takes_whole_records_only),
        WITH_STORE(test_a_batch_that_picks_nothing_is_full_at_last),
        WITH_STORE(test_refused_requests_are_not_reviewed_and_a_person_may_pick),
        WITH_STORE(test_pages_follow_each_other_in_every_order),
        WITH_STORE(test_blind_rows_hide_the_answer_until_the_verdict),
        WITH_STORE(test_verdicts_are_labels_however_they_are_written),
        WITH_STORE(test_a_verdict_is_kept_as_feedback),
        WITH_STORE(test_a_call_of_many_verdicts_is_one_event_and_all_or_nothing),
        WITH_STORE(test_a_row_has_one_assignee),
        WITH_STORE(test_offering_survives_want_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

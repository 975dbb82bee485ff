/* SPDX-License-Identifier: Apache-2.0 */
/* data/subject.h and data/subject_table.h: one person is recognised, by id or by its hash, and
 * leaves tables and dead letters without another byte being touched. */
#include "data/subject.h"

#include <fcntl.h>

#include "data/deadletter.h"
#include "data/subject_table.h"
#include "unit.h"

struct fixture {
    char dir[64];
    struct gy_erasure_key key;
    unsigned char hash[2][GY_ERASURE_HASH];
};

static int setup(void **state)
{
    struct fixture *f = gy_calloc(1, sizeof *f);
    struct gy_err err = GY_ERR_INIT;
    char keys[128];
    scratch_make(f->dir);
    (void)snprintf(keys, sizeof keys, "%s/erasures", f->dir);
    assert_status(GY_OK, gy_erasure_key_open(keys, true, &f->key, &err), err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    scratch_done(f->dir);
    gy_free(f);
    return 0;
}

/* Both ways to know a subject must say the same. way 0: by id; 1: by hash, among another one. */
static struct gy_subject know(struct fixture *f, const char *id, int way)
{
    struct gy_subject s;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_subject_init(&s, gy_str_c(id), &err), err);
    if (way == 1) {
        gy_erasure_hash(&f->key, GY_STR("somebody else"), f->hash[0]);
        gy_erasure_hash(&f->key, s.id, f->hash[1]);
        gy_subject_init_hashes(&s, &f->key, f->hash, 2);
    }
    return s;
}

static void test_values(void **state)
{
    static const struct {
        const char *id, *value;
        bool same;
    } cases[] = {
        {"42", "42", true},    {"42", "42.0", true},      {"42.0", "42", true},
        {"42", " 42 ", true},  {"42", "420", false},      {"42", "4", false},
        {"42", "042", false},  {"007", "7", false},       {"007", "007", true},
        {"42", "42.5", false}, {"42", "42.", false},      {"-3", "-3.00", true},
        {"Ada", "ada", false}, {"Ada L", "Ada L ", true}, {"x", "", false},
        {"0", "0.0", true},    {"1e3", "1000", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int way = 0; way < 2; way++) {
            struct gy_subject s = know(*state, cases[i].id, way);
            if (gy_subject_is(&s, gy_str_c(cases[i].value)) != cases[i].same) {
                fail_msg("id '%s', value '%s', way %d", cases[i].id, cases[i].value, way);
            }
        }
    }
    for (int way = 0; way < 2; way++) {
        struct gy_subject s = know(*state, "42", way);
        assert_true(gy_subject_is_number(&s, 42));
        assert_false(gy_subject_is_number(&s, 42.5));
        assert_false(gy_subject_is_number(&s, 0.0 / 0.0));
    }
}

static void test_texts(void **state)
{
    static const struct {
        const char *id, *text;
        int at; /* -1: not in it */
    } cases[] = {
        {"42", "room 42", -1},
        {"42", "42", 0},
        {"P-8f3k", "visit/P-8f3k/2", 6},
        {"P-8f3k", "P-8f3kz P-8f3k", 8},
        {"P-8f3k", "xP-8f3k", -1},
        {"P-8f3k", "P-8f3k_2", 0},
        {"P-8f3k", "\xc3\xa9P-8f3k", -1},
        {"ab1", "an ab1", -1},
        {"test", "test-17", -1},
        {"Ada Lovelace", "by Ada Lovelace, today", 3},
        {"123456789012345", "n 123456789012345", -1},
        {"a.b@c7", "to a.b@c7.", 3},
        {"q9", "", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int way = 0; way < 2; way++) {
            struct gy_subject s = know(*state, cases[i].id, way);
            size_t at = 99, n = 0;
            bool found = gy_subject_in(&s, gy_str_c(cases[i].text), &at, &n);
            if (found != (cases[i].at >= 0) || (found && (int)at != cases[i].at)) {
                fail_msg("id '%s', text '%s', way %d: %d at %zu", cases[i].id, cases[i].text, way,
                         found, at);
            }
        }
    }
    for (int way = 0; way < 2; way++) {
        struct gy_subject s = know(*state, "P-8f3k", way);
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        gy_buf_init(&out, 1000);
        gy_subject_blank(&s, GY_STR("P-8f3k and P-8f3kx and (P-8f3k)"), &out);
        assert_str(gy_buf_str(&out), "[erased] and P-8f3kx and ([erased])");
    }
}

static void test_ids_that_are_none(void **state)
{
    struct gy_subject s;
    struct gy_err err = GY_ERR_INIT;
    char longer[GY_SUBJECT_MAX_ID + 2];
    (void)state;
    memset(longer, 'a', sizeof longer);
    assert_int_equal(gy_subject_init(&s, GY_STR(" \t"), &err), GY_E_INVALID);
    assert_int_equal(gy_subject_init(&s, GY_STR("a\nb"), &err), GY_E_INVALID);
    assert_int_equal(gy_subject_init(&s, GY_STR("\xff"), &err), GY_E_INVALID);
    assert_int_equal(gy_subject_init(&s, gy_str_n(longer, sizeof longer), &err), GY_E_INVALID);
}

/* ---- tables ---- */

struct sink {
    struct gy_buf kept, rows;
};

static gy_status keep(void *ctx, struct gy_str bytes, struct gy_err *err)
{
    struct sink *s = ctx;
    gy_buf_add(&s->kept, bytes);
    return gy_buf_check(&s->kept, "kept", err);
}

static gy_status row(void *ctx, struct gy_str json, struct gy_err *err)
{
    struct sink *s = ctx;
    gy_buf_add(&s->rows, json);
    gy_buf_add_char(&s->rows, '\n');
    return gy_buf_check(&s->rows, "rows", err);
}

struct expected {
    const char *kept, *rows;
    int64_t n, hits, named;
};

static void scan_text(struct fixture *f, const struct gy_subject *subject, bool lines,
                      bool mentions, const char *text, const struct expected *want)
{
    static const struct gy_str columns[] = {{"patient", 7}, {"person", 6}};
    struct sink sink;
    char path[128];
    struct gy_err err = GY_ERR_INIT;
    struct gy_subject_scan s = {.subject = subject,
                                .columns = columns,
                                .n_columns = 2,
                                .mentions = mentions,
                                .keep = keep,
                                .row = row,
                                .ctx = &sink};
    (void)snprintf(path, sizeof path, "%s/t", f->dir);
    assert_status(GY_OK, gy_file_write(path, gy_str_c(text), 0644, &err), err);
    gy_buf_init(&sink.kept, GY_MIB);
    gy_buf_init(&sink.rows, GY_MIB);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int64_t size = gy_file_size(path);
    assert_status(GY_OK,
                  lines ? gy_subject_scan_lines(&s, fd, size, &err)
                        : gy_subject_scan_csv(&s, fd, size, &err),
                  err);
    (void)close(fd);
    assert_str(gy_buf_str(&sink.kept), want->kept);
    assert_str(gy_buf_str(&sink.rows), want->rows);
    assert_int_equal(s.rows, want->n);
    assert_int_equal(s.hits, want->hits);
    assert_int_equal(s.named, want->named);
    gy_buf_done(&sink.kept);
    gy_buf_done(&sink.rows);
}

static void test_csv(void **state)
{
    for (int way = 0; way < 2; way++) {
        struct gy_subject s = know(*state, "P-8f3k", way);
        struct expected want = {"\xef\xbb\xbfpatient,hr,note\r\nP-1,60,\"a\nb\"\r\n\r\nP-2,61,seen "
                                "with P-8f3k\r\nP-3,70,",
                                "{\"patient\":\"P-8f3k\",\"hr\":\"71\",\"note\":\"x\"}\n", 4, 1, 1};
        const char *text = "\xef\xbb\xbfpatient,hr,note\r\nP-1,60,\"a\nb\"\r\n\r\nP-8f3k,71,x\r\n"
                           "P-2,61,seen with P-8f3k\r\nP-3,70,";
        scan_text(*state, &s, false, false, text, &want);
        want.kept = "\xef\xbb\xbfpatient,hr,note\r\nP-1,60,\"a\nb\"\r\n\r\nP-3,70,";
        want.rows = "{\"patient\":\"P-8f3k\",\"hr\":\"71\",\"note\":\"x\"}\n"
                    "{\"patient\":\"P-2\",\"hr\":\"61\",\"note\":\"seen with P-8f3k\"}\n";
        scan_text(*state, &s, false, true, text, &want);
    }
}

/* A number is a value of the column, never a part of one, nor another column's. */
static void test_number_in_csv(void **state)
{
    for (int way = 0; way < 2; way++) {
        struct gy_subject s = know(*state, "42", way);
        const struct expected want = {"hr;patient\n42;1\n1;420\n1;142\n\"42\";3\n",
                                      "{\"hr\":\"1\",\"patient\":\"42\"}\n"
                                      "{\"hr\":\"42\",\"patient\":\"42.0\"}\n",
                                      6, 2, 0};
        scan_text(*state, &s, false, true,
                  "hr;patient\n42;1\n1;42\n1;420\n1;142\n\"42\";3\n42;42.0\n", &want);
    }
}

/* Broken records have no fields: they are searched as text. */
static void test_broken_csv(void **state)
{
    struct gy_subject s = know(*state, "P-8f3k", 0);
    const struct expected want = {"patient,hr\nP-1,1\n",
                                  "{\"record\":\"\\\"P-8f3k,7\"}\n"
                                  "{\"patient\":\"P-8f3k\",\"hr\":\"7\",\"column_2\":\"8\"}\n",
                                  3, 1, 1};
    scan_text(*state, &s, false, true, "patient,hr\n\"P-8f3k,7\nP-1,1\nP-8f3k,7,8\n", &want);
}

static void test_json_lines(void **state)
{
    for (int way = 0; way < 2; way++) {
        struct gy_subject s = know(*state, "42", way);
        const struct expected want = {
            "{\"patient\": 7, \"hr\": 42}\n\nnot json 42\n{\"patient\":\"420\"}",
            "{\"patient\": 42, \"hr\": 1}\n{\"person\":\"42\"}\n", 5, 2, 0};
        scan_text(*state, &s, true, true,
                  "{\"patient\": 42, \"hr\": 1}\n{\"patient\": 7, \"hr\": 42}\n\nnot json 42\n"
                  "{\"person\":\"42\"}\n{\"patient\":\"420\"}",
                  &want);
        s = know(*state, "P-8f3k", way);
        const struct expected deep = {"{\"x\":[1]}\n", "{\"x\":[{\"y\":\"\\u0050-8f3k\"}]}\n", 2, 0,
                                      1};
        scan_text(*state, &s, true, true, "{\"x\":[{\"y\":\"\\u0050-8f3k\"}]}\n{\"x\":[1]}\n",
                  &deep);
    }
}

/* ---- dead letters ---- */

#define L_OTHER                                                                        \
    "{\"time\":\"t\",\"codes\":[\"RANGE\"],\"error\":\"e\",\"header\":\"hr,patient\"," \
    "\"delimiter\":\",\",\"data\":\"42,7\"}\n"
#define L_MINE                                                                         \
    "{\"time\":\"t\",\"codes\":[\"RANGE\"],\"error\":\"e\",\"header\":\"hr,patient\"," \
    "\"delimiter\":\",\",\"data\":\"900,42\"}\n"
#define L_B64                                                                         \
    "{\"time\":\"t\",\"codes\":[\"UTF8\"],\"error\":\"e\",\"header\":\"hr,patient\"," \
    "\"delimiter\":\",\",\"data_b64\":\"/yw0Mg==\"}\n" /* \xff,42 */
#define L_JSON                                                       \
    "{\"time\":\"t\",\"codes\":[\"TYPE\"],\"error\":\"e\",\"data\":" \
    "\"{\\\"patient\\\": 42}\"}\n"
#define L_BARE "{\"time\":\"t\",\"codes\":[\"RANGE\"],\"error\":\"e\",\"data\":\"900;42\"}\n"
#define L_TORN "{\"time\":\"t\",\"cod\n"

static bool count_notes(void *ctx, int64_t number, struct gy_str line, yyjson_val *letter)
{
    (void)number;
    (void)line;
    *(int64_t *)ctx += gy_dlq_is_note(letter) ? gy_json_i64(letter, "erased", 0) : 0;
    return true;
}

static void test_dead_letters(void **state)
{
    struct fixture *f = *state;
    static const struct gy_str columns[] = {{"patient", 7}};
    static const char rest[] = L_OTHER L_TORN L_BARE;
    char path[128];
    struct gy_err err = GY_ERR_INIT;
    struct gy_subject_letters got;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    (void)snprintf(path, sizeof path, "%s/dlq.log", f->dir);
    for (int way = 0; way < 2; way++) {
        struct gy_subject s = know(f, "42", way);
        assert_status(
            GY_OK,
            gy_file_write(path, GY_STR(L_MINE L_OTHER L_B64 L_TORN L_JSON L_BARE), 0600, &err),
            err);
        assert_status(GY_OK, gy_subject_letters_find(path, &s, columns, 1, NULL, NULL, &got, &err),
                      err);
        assert_int_equal(got.hits, 3);
        assert_int_equal(got.possible, 1);
        assert_status(
            GY_OK,
            gy_subject_letters_erase(path, &s, columns, 1, GY_STR("the-erasure"), &got, &err), err);
        assert_int_equal(got.hits, 3);
        gy_buf_reset(&b);
        assert_status(GY_OK, gy_file_read(path, &b, &err), err);
        assert_memory_equal(b.p, rest, sizeof rest - 1);
        int64_t erased = 0;
        assert_status(GY_OK, gy_dlq_each(path, count_notes, &erased, &err), err);
        assert_int_equal(erased, 3);
        /* Again: nothing to do, not a byte is written. */
        size_t n = b.n;
        assert_status(GY_OK,
                      gy_subject_letters_erase(path, &s, columns, 1, GY_STR("another"), &got, &err),
                      err);
        assert_int_equal(got.hits, 0);
        assert_int_equal(gy_file_size(path), n);
    }
    struct gy_subject s = know(f, "42", 0);
    /* Of a letter that is too long nobody knows whom it names: that is not "nobody". */
    gy_buf_done(&b);
    gy_buf_init(&b, 2 * GY_DLQ_MAX_LINE);
    gy_buf_addc(&b, L_MINE "{\"source\":\"x\",\"data_b64\":\"");
    char *room = gy_buf_reserve(&b, GY_DLQ_MAX_LINE);
    assert_non_null(room);
    memset(room, 'A', GY_DLQ_MAX_LINE);
    gy_buf_commit(&b, GY_DLQ_MAX_LINE);
    gy_buf_addc(&b, "\"}\n" L_OTHER);
    assert_status(GY_OK, gy_file_write(path, gy_buf_str(&b), 0600, &err), err);
    assert_int_equal(gy_subject_letters_erase(path, &s, columns, 1, GY_STR("x"), &got, &err),
                     GY_E_TOOBIG);
    assert_int_equal(gy_file_size(path), b.n);
    (void)snprintf(path, sizeof path, "%s/absent", f->dir);
    assert_int_equal(gy_subject_letters_erase(path, &s, columns, 1, GY_STR("x"), &got, &err),
                     GY_E_NOTFOUND);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_values),        T(test_texts),      T(test_ids_that_are_none), T(test_csv),
        T(test_number_in_csv), T(test_broken_csv), T(test_json_lines),        T(test_dead_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"

#include "base/file.h"
#include "base/time.h"
#include "data/replay.h"
#include "data/replaylog.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HEX_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define HEX_D "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"

static char g_dir[64];

static const char *in_dir(const char *name)
{
    static char path[GY_MAX_PATH];
    (void)snprintf(path, sizeof path, "%s/%s", g_dir, name);
    return path;
}

static void put(const char *name, const char *text)
{
    assert_int_equal(gy_file_write(in_dir(name), gy_str_c(text), 0666, NULL), GY_OK);
}

static void check_file(const char *name, const char *want)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf got;
    gy_buf_init(&got, GY_MIB);
    assert_int_equal(gy_file_read(in_dir(name), &got, NULL), GY_OK);
    assert_string_equal(got.p, want);
}

static int set_up(void **state)
{
    (void)state;
    scratch_make(g_dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_done(g_dir);
    return 0;
}

/* ---- letters ---- */

struct read {
    yyjson_doc *doc;
    struct gy_buf scratch;
    struct gy_letter l;
};

static gy_status read_letter(const char *json, struct read *r)
{
    gy_buf_init(&r->scratch, GY_MIB);
    assert_int_equal(gy_json_parse(gy_str_c(json), &r->doc, NULL), GY_OK);
    return gy_letter_read(yyjson_doc_get_root(r->doc), &r->scratch, &r->l, NULL);
}

static void done_letter(struct read *r)
{
    gy_json_free(r->doc);
    gy_buf_done(&r->scratch);
}

static void test_letters(void **state)
{
    (void)state;
    struct read r;
    assert_int_equal(read_letter("{\"source\":\"" HEX_A "\",\"row\":7,\"data\":\"1,2\",\"header\":"
                                 "\"a,b\",\"delimiter\":\";\"}",
                                 &r),
                     GY_OK);
    assert_string_equal(r.l.id, "aaaaaaaaaaaaaaaaaaaaaaaa-7");
    assert_true(gy_str_eqc(r.l.bytes, "1,2") && gy_str_eqc(r.l.header, "a,b"));
    assert_int_equal(r.l.delimiter, ';');
    done_letter(&r);
    assert_int_equal(read_letter("{\"data_b64\":\"/wAx\",\"file\":\"f\",\"offset\":3}", &r), GY_OK);
    assert_true(r.l.bytes.n == 3 && memcmp(r.l.bytes.p, "\xff\0001", 3) == 0);
    char id[GY_LETTER_ID];
    memcpy(id, r.l.id, sizeof id);
    assert_int_equal(strncmp(id, "old-", 4), 0);
    done_letter(&r);
    /* Another place, another letter; the same place, the same. */
    assert_int_equal(read_letter("{\"data_b64\":\"/wAx\",\"file\":\"f\",\"offset\":4}", &r), GY_OK);
    assert_string_not_equal(r.l.id, id);
    done_letter(&r);
    assert_int_equal(
        read_letter("{\"offset\":3,\"file\":\"f\",\"data_b64\":\"/wAx\",\"time\":\"t\"}", &r),
        GY_OK);
    assert_string_equal(r.l.id, id);
    done_letter(&r);
    assert_int_equal(read_letter("{\"id\":\"old-1\",\"data\":\"\"}", &r), GY_OK);
    assert_string_equal(r.l.id, "old-1");
    done_letter(&r);
    static const char *const bad[] = {
        "{}",
        "[]",
        "7",
        "{\"data\":7}",
        "{\"data_b64\":\"/wA\"}",
        "{\"data\":\"\",\"id\":\"\"}",
        "{\"data\":\"\",\"id\":\"../x\"}",
        "{\"data\":\"\",\"id\":\"" HEX_A "\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(read_letter(bad[i], &r), GY_E_INVALID);
        done_letter(&r);
    }
}

/* ---- replays ---- */

static struct gy_schema *schema_of(const char *text)
{
    struct gy_schema *s = NULL;
    assert_int_equal(gy_schema_parse(gy_str_c(text), "schema.yaml", &s, NULL), GY_OK);
    return s;
}

#define COLUMNS                                                           \
    "columns:\n  - {name: id, type: int, required: true, unique: true}\n" \
    "  - {name: x, type: float, max: 10}\n  - {name: s, type: string}\n"

struct step {
    const char *bytes, *header; /* header NULL: JSON */
    char delimiter;
    unsigned codes;
};

static void try_letter(struct gy_replay *r, const struct step *s)
{
    struct gy_letter l = {.bytes = gy_str_c(s->bytes),
                          .header = gy_str_c(s->header),
                          .file = gy_str_c(s->header ? "a.csv" : "a.jsonl"),
                          .delimiter = s->delimiter};
    const struct gy_reasons *reasons = NULL;
    assert_int_equal(gy_replay_letter(r, &l, &reasons, NULL), GY_OK);
    if (reasons->codes != s->codes) {
        fail_msg("'%s': codes %x, not %x: %s", s->bytes, reasons->codes, s->codes, reasons->text.p);
    }
}

static void test_replay(void **state)
{
    (void)state;
    GY_AUTO(gy_schema_free) struct gy_schema *schema = schema_of(COLUMNS);
    put("base.csv", "id,x,s\n1,2.5,\"a\nb\"\n2,,\n");
    char base[GY_MAX_PATH], out[GY_MAX_PATH];
    (void)snprintf(base, sizeof base, "%s", in_dir("base.csv"));
    (void)snprintf(out, sizeof out, "%s", in_dir("out.csv"));
    const struct gy_replay_options o = {.schema = schema, .base = base, .out = out};
    struct gy_replay *r = NULL;
    assert_int_equal(gy_replay_open(&o, &r, NULL), GY_OK);
    static const struct step steps[] = {
        {"3,1,c", "id,x,s", ',', 0},
        {"3,1,c", "id,x,s", ',', 1U << GY_DEAD_UNIQUE}, /* it is in now */
        {"1,1,c", "id,x,s", ',', 1U << GY_DEAD_UNIQUE}, /* it was in */
        {"4,11,c", "id,x,s", ',', 1U << GY_DEAD_RANGE},
        {"q;05;1.50", "s;id;x", ';', 0},
        {"{\"id\": 6, \"s\": \"j,k\"}", NULL, 0, 0},
        {"{\"id\": 7, ", NULL, 0, 1U << GY_DEAD_JSON},
        {"7,1,\"c\"\r\n", "id,x,s", ',', 0}, /* an editor's line end */
        {"8,1,c\n9,1,c", "id,x,s", ',', 1U << GY_DEAD_FIELDS},
        {"8,1,\"c\"\n9,1,\"c\"", "id,x,s", ',', 1U << GY_DEAD_FIELDS},
        {"8,1,\"c\nd\"", "id,x,s", ',', 0},
        {"9,1,\"c", "id,x,s", ',', 1U << GY_DEAD_QUOTE},
        {"", "id,x,s", ',', 1U << GY_DEAD_FIELDS},
        {"9,1", "id,unknown", ',', 1U << GY_DEAD_FIELDS}, /* no such column */
        {"9", "id", ',', 0}, /* a column that is not there is missing */
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        try_letter(r, &steps[i]);
    }
    struct gy_replay_result result;
    assert_int_equal(gy_replay_end(r, &result, NULL), GY_OK);
    assert_false(gy_path_exists(out));
    assert_int_equal(gy_replay_commit(r, NULL), GY_OK);
    gy_replay_free(r);
    assert_int_equal(result.base_rows, 2);
    assert_int_equal(result.accepted, 6);
    assert_int_equal(result.refused, 9);
    check_file("out.csv",
               "id,x,s\n1,2.5,\"a\nb\"\n2,,\n3,1,c\n5,1.5,q\n6,,\"j,k\"\n7,1,c\n8,1,\"c\nd\"\n"
               "9,,\n");
    char sha256[GY_SHA256_HEX], md5[GY_MD5_HEX];
    int64_t size = 0;
    assert_int_equal(gy_file_digest(out, sha256, md5, &size, NULL), GY_OK);
    assert_string_equal(sha256, result.sha256);
    assert_string_equal(md5, result.md5);
    assert_int_equal(size, result.size_bytes);
    assert_int_equal(gy_file_digest(base, sha256, NULL, &size, NULL), GY_OK);
    assert_string_equal(sha256, result.base_sha256);
}

/* What is not committed is as if it had not been; a table that does not fit is refused. */
static void test_replays_that_do_not_happen(void **state)
{
    (void)state;
    GY_AUTO(gy_schema_free) struct gy_schema *schema = schema_of(COLUMNS);
    char base[GY_MAX_PATH];
    (void)snprintf(base, sizeof base, "%s", in_dir("table.csv"));
    const struct gy_replay_options o = {.schema = schema, .base = base, .out = base};
    struct gy_replay *r = NULL;
    struct gy_err err = GY_ERR_INIT;
    put("table.csv", "id,x\n1,2\n");
    assert_int_equal(gy_replay_open(&o, &r, &err), GY_OK);
    try_letter(r, &(struct step){"2,3", "id,x", ',', 0});
    gy_replay_free(r);
    check_file("table.csv", "id,x\n1,2\n");
    r = NULL;
    put("table.csv", "id,x\n1,2\n2,20\n");
    assert_int_equal(gy_replay_open(&o, &r, &err), GY_E_SCHEMA);
    assert_non_null(strstr(err.msg, "row 1"));
    put("table.csv", "");
    assert_int_equal(gy_replay_open(&o, &r, NULL), GY_E_PARSE);
    put("table.csv", "id,x,other\n");
    assert_int_equal(gy_replay_open(&o, &r, NULL), GY_E_SCHEMA);
}

/* A table of one column: its rows without a value are blank lines. */
static void test_one_column(void **state)
{
    (void)state;
    GY_AUTO(gy_schema_free)
    struct gy_schema *schema = schema_of("columns:\n  - {name: s, type: string}\n");
    char base[GY_MAX_PATH];
    (void)snprintf(base, sizeof base, "%s", in_dir("one.csv"));
    const struct gy_replay_options o = {.schema = schema, .base = base, .out = base};
    GY_AUTO(gy_replay_free) struct gy_replay *r = NULL;
    struct gy_replay_result result;
    put("one.csv", "s\na\n\nb\n");
    assert_int_equal(gy_replay_open(&o, &r, NULL), GY_OK);
    try_letter(r, &(struct step){"c", "s", ',', 0});
    assert_int_equal(gy_replay_end(r, &result, NULL), GY_OK);
    assert_int_equal(gy_replay_commit(r, NULL), GY_OK);
    assert_int_equal(result.base_rows, 3);
    check_file("one.csv", "s\na\n\nb\nc\n");
}

/* ---- what is remembered ---- */

#define DONE(replay, before, after, time, ids)                               \
    "{\"state\":\"replayed\",\"replay\":\"" replay "\",\"before\":\"" before \
    "\",\"after\":\"" after "\",\"time\":\"" time "\",\"ids\":" ids "}\n"

static void test_marks(void **state)
{
    (void)state;
    char dlq[GY_MAX_PATH];
    GY_AUTO_DONE(gy_replay_marks_done) struct gy_replay_marks m;
    (void)snprintf(dlq, sizeof dlq, "%s", in_dir("dlq.log"));
    gy_replay_marks_init(&m);
    assert_int_equal(gy_replay_marks_read(dlq, &m, NULL), GY_OK); /* no file: nothing was */
    assert_int_equal(m.n, 0);
    put("dlq.log.replayed",
        DONE("r1", HEX_A, HEX_B, "2026-01-01", "[\"l-1\",\"l-2\"]") DONE(
            "r2", HEX_B, HEX_C, "2026-01-02",
            "[\"l-3\"]") "{\"state\":\"refused\",\"id\":\"l-4\",\"codes\":[\"TYPE\"],\"error\":"
                         "\"why\"}\n"
                         "{\"state\":\"refused\",\"id\":\"l-1\",\"codes\":[\"TYPE\"],\"error\":"
                         "\"later\"}\n"
                         "{\"state\":\"of another time\",\"id\":\"l-9\"}\n"
                         "{\"state\":\"replayed\",\"replay\":\"r3\",\"ids\":[\"l-5\""); /* torn: it
                                                                                           never was
                                                                                         */
    assert_int_equal(gy_replay_marks_read(dlq, &m, NULL), GY_OK);
    assert_true(gy_replay_marks_has(&m, GY_STR("r1")) && !gy_replay_marks_has(&m, GY_STR("r3")));
    static const struct {
        const char *id, *time, *table;
        bool open;
    } cases[] = {
        {"l-1", "2025-12-31", HEX_A, false}, {"l-1", "2025-12-31", HEX_B, false},
        {"l-1", "2026-01-03", HEX_B, false}, /* refused again, but the table has it */
        {"l-1", "2026-01-03", HEX_C, false}, /* a table that comes from that one */
        {"l-1", "2026-01-03", HEX_A, true},  {"l-1", "2026-01-03", HEX_D, true},
        {"l-3", "2026-01-03", HEX_B, true},  {"l-4", "2025-12-31", HEX_A, true},
        {"l-5", "2025-12-31", HEX_A, true},  {"new", "2025-12-31", HEX_A, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (gy_replay_marks_open(&m, cases[i].id, gy_str_c(cases[i].time), cases[i].table) !=
            cases[i].open) {
            fail_msg("case %zu", i);
        }
    }
    GY_AUTO_DONE(gy_reasons_done) struct gy_reasons why;
    gy_reasons_init(&why);
    why.codes = 1U << GY_DEAD_TYPE;
    gy_buf_addc(&why.text, "why");
    assert_false(gy_replay_is_news(&m, "l-4", &why));
    assert_true(gy_replay_is_news(&m, "l-7", &why));
    why.codes |= 1U << GY_DEAD_RANGE;
    assert_true(gy_replay_is_news(&m, "l-4", &why));
}

static void test_lines_and_journal(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&out, GY_MIB);
    gy_buf_init(&text, GY_MIB);
    struct gy_replay_journal j = {.replay = "r9",
                                  .dlq = GY_STR("/x/dlq.log"),
                                  .dataset = GY_STR("d"),
                                  .source = GY_STR("dlq.log"),
                                  .schema_json = GY_STR("{\"columns\":[]}"),
                                  .before = HEX_A,
                                  .after = HEX_B,
                                  .md5 = "0123456789abcdef0123456789abcdef",
                                  .size_bytes = 9,
                                  .rows = 3,
                                  .read = 5,
                                  .dead = 2,
                                  .base_version = 1,
                                  .ids = GY_STR("[\"l-8\"]"),
                                  .more = GY_STR("line\n")};
    gy_replay_journal_write(&j, &out);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    assert_int_equal(gy_json_parse(gy_buf_str(&out), &doc, NULL), GY_OK);
    struct gy_replay_journal back;
    assert_int_equal(gy_replay_journal_read(yyjson_doc_get_root(doc), &text, &back, NULL), GY_OK);
    assert_string_equal(back.replay, "r9");
    assert_string_equal(back.before, HEX_A);
    assert_string_equal(back.after, HEX_B);
    assert_true(gy_str_eqc(back.ids, "[\"l-8\"]") &&
                gy_str_eqc(back.schema_json, "{\"columns\":[]}"));
    assert_true(gy_str_eqc(back.more, "line\n") && gy_str_eqc(back.dlq, "/x/dlq.log"));
    assert_true(back.rows == 3 && back.read == 5 && back.dead == 2 && back.base_version == 1);

    GY_AUTO_DONE(gy_buf_done) struct gy_buf line;
    GY_AUTO_DONE(gy_replay_marks_done) struct gy_replay_marks m;
    GY_AUTO_DONE(gy_reasons_done) struct gy_reasons why;
    gy_reasons_init(&why);
    gy_replay_marks_init(&m);
    gy_buf_init(&line, GY_MIB);
    gy_reasons_whole(&why, GY_DEAD_JSON, "no \"JSON\"");
    gy_replay_add_refused(&line, "l-9", &why);
    gy_replay_add_done(&line, &back, "out/data.csv", 2);
    char dlq[GY_MAX_PATH];
    (void)snprintf(dlq, sizeof dlq, "%s", in_dir("log"));
    put("log.replayed", line.p);
    assert_int_equal(gy_replay_marks_read(dlq, &m, NULL), GY_OK);
    assert_non_null(gy_replay_marks_find(&m, "l-8")->done);
    assert_null(gy_replay_marks_find(&m, "l-9")->done);
    assert_true(gy_str_eqc(gy_replay_marks_find(&m, "l-9")->codes, "[\"JSON\"]"));
    assert_false(gy_replay_is_news(&m, "l-9", &why));
    static const char *const bad[] = {
        "{}",
        "[]",
        "{\"replay\":\"r\",\"before\":\"x\"}",
        "{\"replay\":\"r\",\"before\":\"" HEX_A "\",\"after\":\"" HEX_A "\",\"md5\":\"x\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        GY_AUTO(gy_json_free) yyjson_doc *damaged = NULL;
        assert_int_equal(gy_json_parse(gy_str_c(bad[i]), &damaged, NULL), GY_OK);
        assert_int_equal(gy_replay_journal_read(yyjson_doc_get_root(damaged), &text, &back, NULL),
                         GY_E_CORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_letters),
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_replays_that_do_not_happen),
        cmocka_unit_test(test_one_column),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_lines_and_journal),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

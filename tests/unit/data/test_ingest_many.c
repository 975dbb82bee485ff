/* SPDX-License-Identifier: Apache-2.0 */
/* gy_ingest on JSON and on several files: the same records give the same bytes. */
#include "../unit.h"

#include "data/ingest.h"
#include "pictures.h"

static const char SCHEMA[] = "columns:\n"
                             "  - {name: id, type: int, required: true, unique: true, role: id}\n"
                             "  - {name: x, type: float, max: 10}\n"
                             "  - {name: s, type: string}\n"
                             "  - {name: y, type: int, not_in: [SERVING]}\n";

static char g_dir[64];
static struct gy_schema *g_schema;

static const char *in_dir(const char *name)
{
    static char paths[8][128];
    static int at;
    at = (at + 1) % 8;
    (void)snprintf(paths[at], sizeof paths[at], "%s/%s", g_dir, name);
    return paths[at];
}

static int set_up(void **state)
{
    (void)state;
    scratch_make(g_dir);
    return gy_schema_parse(gy_str_c(SCHEMA), "s", &g_schema, NULL) == GY_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    gy_schema_free(g_schema);
    scratch_done(g_dir);
    return 0;
}

static void put(const char *name, const char *text)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_file_write(in_dir(name), gy_str_c(text), 0644, &err), err);
}

static void check_out(const char *want)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf got;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_init(&got, GY_MIB);
    assert_status(GY_OK, gy_file_read(in_dir("out/data.csv"), &got, &err), err);
    assert_string_equal(got.p, want);
}

/* The letters of the last run, as text. */
static void get_letters(struct gy_buf *out)
{
    gy_buf_init(out, GY_MIB);
    assert_int_equal(gy_file_read(in_dir("dlq.log"), out, NULL), GY_OK);
}

static void fresh(void)
{
    (void)unlink(in_dir("dlq.log")); /* may not be there */
    assert_int_equal(gy_dir_remove(in_dir("out"), NULL), GY_OK);
}

static gy_status run(enum gy_on_duplicate what, const char *const *files, size_t n,
                     struct gy_ingest_result *r, struct gy_err *err)
{
    GY_AUTO_DONE(gy_source_list_done) struct gy_source_list sources = {0};
    for (size_t i = 0; i < n; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", g_dir, files[i]);
        GY_TRY(gy_source_list_add_path(&sources, path, NULL, err));
    }
    char out[128], dlq[128];
    (void)snprintf(out, sizeof out, "%s/out", g_dir);
    (void)snprintf(dlq, sizeof dlq, "%s/dlq.log", g_dir);
    struct gy_ingest_options o = {.sources = sources.items,
                                  .n_sources = n,
                                  .on_duplicate = what,
                                  .out_dir = out,
                                  .dlq = dlq,
                                  .schema = g_schema,
                                  .max_dead = -1,
                                  .max_dead_share = -1};
    return gy_ingest(&o, r, err);
}

static struct gy_ingest_result ingest(enum gy_on_duplicate what, const char *const *files, size_t n)
{
    struct gy_ingest_result r;
    struct gy_err err = GY_ERR_INIT;
    fresh();
    assert_status(GY_OK, run(what, files, n, &r, &err), err);
    assert_int_equal(r.accepted + r.dead + r.replaced, r.read);
    assert_int_equal(r.header_bytes + r.record_bytes + r.blank_bytes, r.source_bytes);
    return r;
}

static void test_formats_give_the_same_bytes(void **state)
{
    (void)state;
    put("a.csv", "s,id,x,y\n\"p,q\",1,2.50,\nz,2,11,1\nz,3,,0\n");
    put("a.json",
        "\xef\xbb\xbf[ {\"id\":1,\"x\":2.50,\"s\":\"p,q\"},\n{\"y\":1,\"s\":\"z\",\"id\":2,"
        "\"x\":11}, {\"id\":3,\"y\":0,\"s\":\"z\",\"x\":null,\"gone\":[1]} ]");
    put("a.jsonl", "{\"id\":1,\"x\":2.50,\"s\":\"p,q\"}\n\n{\"id\":2,\"x\":11}\r\n"
                   "{\"id\":3,\"y\":0,\"s\":\"z\"}");
    put("a.data", "{\"id\":1,\"x\":2.50,\"s\":\"p,q\"}\n{\"id\":2,\"x\":11}\n"
                  "{\"id\":3,\"y\":0,\"s\":\"z\"}");
    const char *const files[] = {"a.csv", "a.json", "a.jsonl", "a.data"};
    char sha256[GY_SHA256_HEX] = "";
    for (size_t i = 0; i < 4; i++) {
        struct gy_ingest_result r = ingest(GY_DUPLICATE_DEAD, &files[i], 1);
        assert_int_equal(r.read, 3);
        assert_int_equal(r.accepted, 2);
        assert_int_equal(r.codes[GY_DEAD_RANGE], 1);
        check_out("id,x,s,y\n1,2.5,\"p,q\",\n3,,z,0\n");
        assert_true(i == 0 || strcmp(sha256, r.sha256) == 0);
        (void)snprintf(sha256, sizeof sha256, "%s", r.sha256);
        assert_int_equal(r.unknown_keys, i == 1);
        assert_string_equal(r.unknown, i == 1 ? "gone (1)" : "");
    }
}

static void test_several_files(void **state)
{
    (void)state;
    put("a.csv", "s,id,x,y\na,1,1,0\nb,2,99,0\n");
    put("b.jsonl", "{\"id\":3,\"x\":3,\"y\":1}\n{\"id\":1,\"x\":4}\n");
    put("c.csv", "id,y,x\n4,1,5\n");
    const char *const files[] = {"a.csv", "b.jsonl", "c.csv"};
    struct gy_ingest_result r = ingest(GY_DUPLICATE_DEAD, files, 3);
    assert_int_equal(r.read, 5);
    assert_int_equal(r.dead, 2);
    assert_int_equal(r.codes[GY_DEAD_UNIQUE], 1);
    check_out("id,x,s,y\n1,1,a,0\n3,3,,1\n4,5,,1\n");
    GY_AUTO_DONE(gy_buf_done) struct gy_buf letters;
    get_letters(&letters);
    assert_non_null(strstr(letters.p, "a.csv\",\"row\":1,\"offset\":17,"));
    assert_non_null(strstr(letters.p, "b.jsonl\",\"row\":1,\"offset\":21,"));
}

static void test_duplicates(void **state)
{
    (void)state;
    put("a.csv", "id,x\n1,1\n2,2\n3,3\n");
    put("b.json",
        "[{\"id\":2,\"x\":20,\"s\":\"too large\"},{\"id\":2,\"x\":5,\"s\":\"one\\nline\"},"
        "{\"id\":4,\"x\":4},{\"id\":2,\"x\":6}, {\"id\":1,\"x\":7}]");
    const char *const files[] = {"a.csv", "b.json"};
    struct gy_ingest_result r = ingest(GY_DUPLICATE_LAST, files, 2);
    assert_int_equal(r.read, 8);
    assert_int_equal(r.dead, 1); /* a dead record replaces nothing */
    assert_int_equal(r.replaced, 3);
    check_out("id,x,s,y\n3,3,,\n4,4,,\n2,6,,\n1,7,,\n");
    r = ingest(GY_DUPLICATE_FIRST, files, 2);
    assert_int_equal(r.replaced, 3);
    check_out("id,x,s,y\n1,1,,\n2,2,,\n3,3,,\n4,4,,\n");
    r = ingest(GY_DUPLICATE_DEAD, files, 2);
    assert_int_equal(r.replaced, 0);
    assert_int_equal(r.codes[GY_DEAD_UNIQUE], 4);
    check_out("id,x,s,y\n1,1,,\n2,2,,\n3,3,,\n4,4,,\n");
}

struct by_source {
    char digests[2][GY_SHA256_HEX];
    int64_t letters, next_row[2];
};

static bool check_source(void *ctx, int64_t number, struct gy_str line, yyjson_val *letter)
{
    struct by_source *b = ctx;
    (void)number;
    (void)line;
    struct gy_str file = gy_json_str(letter, "file");
    int which = gy_str_ends(file, GY_STR("many2.csv"));
    assert_str(gy_json_str(letter, "source"), b->digests[which]);
    assert_int_equal(gy_json_i64(letter, "row", -1), b->next_row[which]++);
    b->letters++;
    return true;
}

/* More letters than are kept in memory, of two files: each names the bytes of its own. */
static void test_letters_name_their_source(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_GIB);
    static const char *const files[] = {"many1.csv", "many2.csv"};
    struct by_source b = {.letters = 0};
    for (int f = 0; f < 2; f++) {
        int64_t size = 0;
        char path[128];
        gy_buf_reset(&text);
        gy_buf_addc(&text, "id,x,s,y\n");
        for (int i = 0; i < 3000; i++) {
            gy_buf_addf(
                &text, "%d,none,%.*s,\n", i, i % 97 * (f + 1),
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
        }
        put(files[f], text.p);
        (void)snprintf(path, sizeof path, "%s/%s", g_dir, files[f]);
        assert_int_equal(gy_file_digest(path, b.digests[f], NULL, &size, NULL), GY_OK);
    }
    (void)ingest(GY_DUPLICATE_DEAD, files, 2);
    char log[128];
    (void)snprintf(log, sizeof log, "%s/dlq.log", g_dir);
    assert_int_equal(gy_dlq_each(log, check_source, &b, NULL), GY_OK);
    assert_int_equal(b.letters, 6000);
}

/* A run that fails leaves the log as it was, however many letters it had. */
static void test_a_failed_run_writes_no_letters(void **state)
{
    (void)state;
    char log[128];
    struct gy_ingest_result r;
    struct gy_err err = GY_ERR_INIT;
    static const char *const files[] = {"many1.csv", "other.csv"};
    (void)snprintf(log, sizeof log, "%s/dlq.log", g_dir);
    fresh();
    put("other.csv", "id,unknown\n1,2\n");
    assert_status(GY_E_SCHEMA, run(GY_DUPLICATE_DEAD, files, 2, &r, &err), err);
    assert_false(gy_path_exists(log));
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *files[2];
        const char *text[2];
        gy_status want;
        const char *message;
    } cases[] = {
        {{"a.csv", "b.csv"},
         {"id,x,y\n1,2,0\n", "id,z\n3,4\n"},
         GY_E_SCHEMA,
         "b.csv': the file has a column 'z'"},
        {{"a.csv", "b.csv"}, {"id,x,y\n1,2,0\n", "x\n4\n"}, GY_E_SCHEMA, "no column 'id'"},
        {{"a.json", "b.csv"}, {"\"a\"", "id\n"}, GY_E_PARSE, "neither '[' nor '{'"},
        {{"a.csv", "b.json"}, {"id\n", ""}, GY_E_PARSE, "b.json"},
        {{"a.csv", "none.csv"}, {"id\n", NULL}, GY_E_NOTFOUND, "none.csv"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int f = 0; f < 2; f++) {
            if (cases[i].text[f]) {
                put(cases[i].files[f], cases[i].text[f]);
            }
        }
        struct gy_ingest_result r;
        struct gy_err err = GY_ERR_INIT;
        fresh();
        assert_status(cases[i].want, run(GY_DUPLICATE_DEAD, cases[i].files, 2, &r, &err), err);
        if (!strstr(err.msg, cases[i].message)) {
            fail_msg("case %zu: %s", i, err.msg);
        }
        assert_false(gy_path_exists(in_dir("out/data.csv")));
    }
}

/* An array that was cut off gives what is there, and says so. */
static void test_cut_off(void **state)
{
    (void)state;
    put("a.json", "[{\"id\":1},\n{\"id\":2,\"s\":\"hal");
    const char *const file = "a.json";
    struct gy_ingest_result r = ingest(GY_DUPLICATE_DEAD, &file, 1);
    assert_int_equal(r.accepted, 1);
    assert_int_equal(r.codes[GY_DEAD_JSON], 1);
    assert_int_equal(r.unclosed, 1);
}

static void test_images(void **state)
{
    (void)state;
    gy_schema_free(g_schema);
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK,
                  gy_schema_parse(GY_STR("columns:\n"
                                         "  - {name: id, type: int, required: true}\n"
                                         "  - {name: image, type: image, width: 4, "
                                         "required: true}\n"),
                                  "s", &g_schema, &err),
                  err);
    assert_int_equal(gy_dir_make(in_dir("images"), NULL), GY_OK);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf png;
    gy_buf_init(&png, GY_MIB);
    picture_png(&(struct picture){.width = 4, .height = 4, .channels = 1}, &png);
    assert_status(GY_OK, gy_file_write(in_dir("images/1.png"), gy_buf_str(&png), 0644, &err), err);
    gy_buf_reset(&png);
    picture_png(&(struct picture){.width = 5, .height = 4, .channels = 1}, &png);
    assert_status(GY_OK, gy_file_write(in_dir("images/5.png"), gy_buf_str(&png), 0644, &err), err);
    put("secret", "x");
    put("a.json", "[{\"id\":1,\"image\":\"images/1.png\"},{\"id\":2,\"image\":\"images/2.png\"},"
                  "{\"id\":3,\"image\":\"\"},{\"id\":4,\"image\":\"images/../secret\"},"
                  "{\"id\":5,\"image\":\"images\"},{\"image\":\"images/1.png\"},"
                  "{\"id\":6,\"image\":\"secret\"},{\"id\":7,\"image\":\"images/5.png\"}]");
    const char *const file = "a.json";
    struct gy_ingest_result r = ingest(GY_DUPLICATE_DEAD, &file, 1);
    assert_int_equal(r.accepted, 1);
    assert_int_equal(r.codes[GY_DEAD_FILE], 3);
    assert_int_equal(r.codes[GY_DEAD_REQUIRED], 2);
    assert_int_equal(r.codes[GY_DEAD_IMAGE], 1);
    assert_int_equal(r.codes[GY_DEAD_SIZE], 1);
    check_out("id,image\n1,images/1.png\n");
    gy_schema_free(g_schema);
    g_schema = NULL;
    assert_status(GY_OK, gy_schema_parse(gy_str_c(SCHEMA), "s", &g_schema, &err), err);
}

static gy_status torture_run(void *ctx, struct gy_err *err)
{
    static const char *const files[] = {"a.csv", "b.json"};
    struct gy_ingest_result r;
    const enum gy_on_duplicate *what = ctx;
    return run(*what, files, 2, &r, err);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    put("a.csv", "id,x\n1,1\n2,2\n3,3\n");
    put("b.json", "[{\"id\":2,\"x\":5,\"u\":\"n\"},{\"id\":4 \"x\":4},{\"id\":2,\"x\":6}]");
    enum gy_on_duplicate what = GY_DUPLICATE_LAST;
    torture(torture_run, &what);
    what = GY_DUPLICATE_DEAD;
    torture(torture_run, &what);
}

static void test_texts(void **state)
{
    (void)state;
    enum gy_ingest_format format = GY_INGEST_AUTO;
    enum gy_on_duplicate what = GY_DUPLICATE_DEAD;
    assert_int_equal(gy_ingest_parse_format(GY_STR("ndjson"), &format, NULL), GY_OK);
    assert_int_equal(format, GY_INGEST_JSONL);
    assert_int_equal(gy_ingest_parse_format(GY_STR("xml"), &format, NULL), GY_E_INVALID);
    assert_int_equal(gy_ingest_parse_on_duplicate(GY_STR("last"), &what, NULL), GY_OK);
    assert_int_equal(what, GY_DUPLICATE_LAST);
    assert_int_equal(gy_ingest_parse_on_duplicate(GY_STR("any"), &what, NULL), GY_E_INVALID);
    assert_int_equal(gy_ingest_format_of("x.JSON", GY_STR("a,b")), GY_INGEST_JSON);
    assert_int_equal(gy_ingest_format_of("x.csv", GY_STR("[")), GY_INGEST_CSV);
    assert_int_equal(gy_ingest_format_of("x", GY_STR("\xef\xbb\xbf\n [")), GY_INGEST_JSON);
    assert_int_equal(gy_ingest_format_of("x.txt", GY_STR("a,b")), GY_INGEST_CSV);
    assert_int_equal(gy_ingest_format_of("x", GY_STR_NULL), GY_INGEST_CSV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats_give_the_same_bytes),
        cmocka_unit_test(test_several_files),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_letters_name_their_source),
        cmocka_unit_test(test_a_failed_run_writes_no_letters),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_images),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

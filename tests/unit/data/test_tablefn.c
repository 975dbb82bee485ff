/* SPDX-License-Identifier: Apache-2.0 */
/* Files and datasets as tables of SQL: types, broken records, options, several files, threads. */
#include "unit.h"

#include "data/records.h"
#include "data/tablefn.h"
#include "duck_here.h"
#include "net/call.h"

struct sql {
    struct gy_duck *duck;
    struct gy_tablefn *tables;
};

static void open_sql(struct sql *s, const struct gy_tablefn_options *o, int64_t threads)
{
    struct gy_err err = GY_ERR_INIT;
    *s = (struct sql){0};
    assert_status(GY_OK,
                  gy_duck_open(&(struct gy_duck_options){.threads = threads, .files = o->files},
                               &s->duck, &err),
                  err);
    assert_status(GY_OK, gy_tablefn_add(s->duck, o, &s->tables, &err), err);
}

static void close_sql(struct sql *s)
{
    gy_duck_free(s->duck);
    gy_tablefn_free(s->tables);
}

/* Rows as lines, cells between '|', NULL as '~'. */
static gy_status ask(struct sql *s, const char *sql, struct gy_buf *out, struct gy_err *err)
{
    GY_AUTO(gy_duck_rows_free) struct gy_duck_rows *r = NULL;
    gy_buf_reset(out);
    GY_TRY(gy_duck_query(s->duck, gy_str_c(sql), NULL, 0, &r, err));
    for (size_t n = 1; n > 0;) {
        GY_TRY(gy_duck_next(r, &n, err));
        for (size_t row = 0; row < n; row++) {
            for (size_t c = 0; c < gy_duck_n_columns(r); c++) {
                gy_buf_addc(out, c ? "|" : "");
                if (!gy_duck_cell(r, row, c, out)) {
                    gy_buf_addc(out, "~");
                }
            }
            gy_buf_addc(out, "\n");
        }
    }
    return GY_OK;
}

static void check(struct sql *s, const char *sql, const char *want)
{
    struct gy_err err = GY_ERR_INIT;
    struct gy_buf out;
    gy_buf_init(&out, GY_GIB);
    gy_status status = ask(s, sql, &out, &err);
    if (status != GY_OK) {
        fail_msg("%s: %s", sql, err.msg);
    }
    if (strcmp(out.p, want) != 0) {
        fail_msg("%s:\n%s", sql, out.p);
    }
    gy_buf_done(&out);
}

static void refused(struct sql *s, const char *sql, gy_status want, const char *message)
{
    struct gy_err err = GY_ERR_INIT;
    struct gy_buf out;
    gy_buf_init(&out, GY_GIB);
    assert_status(want, ask(s, sql, &out, &err), err);
    if (!strstr(err.msg, message)) {
        fail_msg("%s: %s", sql, err.msg);
    }
    gy_buf_done(&out);
}

static const char *note(struct sql *s, size_t i)
{
    static struct gy_buf out;
    if (!out.max_bytes) {
        gy_buf_init(&out, GY_MIB);
    }
    gy_buf_reset(&out);
    return gy_tablefn_note(s->tables, i, &out) ? out.p : NULL;
}

static char g_dir[64];

static void write_file(const char *name, const char *text, size_t n)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", g_dir, name);
    assert_int_equal(gy_file_write(path, gy_str_n(text, n), 0644, NULL), GY_OK);
}
#define WRITE(name, text) write_file(name, text, sizeof(text) - 1)

static int setup(void **state)
{
    (void)state;
    (void)snprintf(g_dir, sizeof g_dir, "/tmp/tablefn-XXXXXX");
    return mkdtemp(g_dir) && chdir(g_dir) == 0 ? 0 : 1;
}

static int teardown(void **state)
{
    (void)state;
    return chdir("/") == 0 && gy_dir_remove(g_dir, NULL) == GY_OK ? 0 : 1;
}

static void test_types(void **state)
{
    NEEDS_DUCK();
    (void)state;
    WRITE("types.csv",
          "i,f,b,t,d,s,,i,I\r\n"
          "1,1.5,true,2011-01-01T05:00:00Z,2011-01-01,a b,x,7,8\r\n"
          "-9223372036854775808,1e-5,false,2011-01-01 06:00:00+01:00,1969-12-31,\"q\"\"\n\",,,\r\n"
          ",NaN,,,,,,,\r\n");
    struct sql s;
    open_sql(&s, &(struct gy_tablefn_options){.files = true}, 2);
    check(&s, "DESCRIBE 'types.csv'",
          "i|BIGINT|YES|~|~|~\nf|DOUBLE|YES|~|~|~\nb|BOOLEAN|YES|~|~|~\nt|TIMESTAMP|YES|~|~|~\n"
          "d|TIMESTAMP|YES|~|~|~\ns|VARCHAR|YES|~|~|~\ncolumn7|VARCHAR|YES|~|~|~\n"
          "i_1|BIGINT|YES|~|~|~\nI_2|BIGINT|YES|~|~|~\n");
    check(&s, "SELECT * FROM 'types.csv'",
          "1|1.5|true|2011-01-01 05:00:00|2011-01-01 00:00:00|a b|x|7|8\n"
          "-9223372036854775808|1e-05|false|2011-01-01 05:00:00|1969-12-31 00:00:00|q\"\n|~|~|~\n"
          "~|~|~|~|~|~|~|~|~\n");
    check(&s, "SELECT count(*), sum(f), count(s) FROM \"types.csv\" x", "3|1.50001|2\n");
    check(&s, "SELECT f, s FROM gyre_read('types.csv', all_text := true)",
          "1.5|a b\n1e-5|q\"\n\nNaN|~\n");
    assert_null(note(&s, 0));
    close_sql(&s);
}

/* The short ways of numbers and times give what DuckDB's own casts give. */
static void test_values_as_duckdb_casts_them(void **state)
{
    NEEDS_DUCK();
    (void)state;
    struct gy_buf text;
    gy_buf_init(&text, GY_GIB);
    gy_buf_addc(&text, "t,d,l,i,f\n");
    uint64_t seed = 88172645463325252ULL;
    for (int n = 0; n < 20000; n++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        const unsigned y = 1 + (unsigned)(seed % 9999), m = 1 + (unsigned)(seed >> 16) % 12,
                       d = 1 + (unsigned)(seed >> 24) % 28, s = (unsigned)(seed >> 32) % 86400;
        gy_buf_addf(&text,
                    "%04u-%02u-%02uT%02u:%02u:%02uZ,%04u-%02u-%02u,%04u-%02u-%02u %02u:%02u:%02u,",
                    y, m, d, s / 3600, s / 60 % 60, s % 60, y, m, d, y, m, d, s / 3600, s / 60 % 60,
                    s % 60);
        gy_buf_addf(&text, "%lld,%s%u.%0*u\n", (long long)(int64_t)seed >> (n % 60),
                    n % 2 ? "-" : "", (unsigned)(seed >> 8) % (n % 3 ? 10 : 1000000), n % 8 + 1,
                    (unsigned)(seed >> 40) % 10);
    }
    gy_buf_addc(&text, "2024-02-29T23:59:59Z,2024-02-29,2023-12-31 00:00:00,-0,-0.0\n"
                       "2024-01-31T00:00:00Z,1900-02-28,1969-12-31 23:59:59,7,0.1\n");
    assert_int_equal(gy_buf_check(&text, "text", NULL), GY_OK);
    write_file("values.csv", text.p, text.n);
    gy_buf_done(&text);
    struct sql s;
    open_sql(&s, &(struct gy_tablefn_options){.files = true}, 2);
    check(&s,
          "SELECT count(*), sum((a.t = b.t::TIMESTAMPTZ::TIMESTAMP)::INT), "
          "sum((a.d = b.d::TIMESTAMP)::INT), sum((a.l = b.l::TIMESTAMP)::INT), "
          "sum((a.i = b.i::BIGINT)::INT), sum((a.f = b.f::DOUBLE)::INT) "
          "FROM gyre_read('values.csv', records := true) a JOIN "
          "gyre_read('values.csv', records := true, all_text := true) b USING (_row)",
          "20002|20002|20002|20002|20002|20002\n");
    check(&s,
          "SELECT typeof(t), typeof(d), typeof(l), typeof(i), typeof(f) FROM 'values.csv' LIMIT 1",
          "TIMESTAMP|TIMESTAMP|TIMESTAMP|BIGINT|DOUBLE\n");
    close_sql(&s);
}

/* What DuckDB's read_csv loses (an open quote swallows what follows), and all that can be wrong. */
static void test_nothing_is_lost(void **state)
{
    NEEDS_DUCK();
    (void)state;
    WRITE("broken.csv", "id,x,s\n"
                        "1,10,one\n"
                        "2,abc,two\n"
                        "3,\"30,three\n"
                        "4,40,four\n"
                        "5,50\n"
                        "6,60,s\xffx\n"
                        "7,70,seven\n");
    struct sql s;
    open_sql(&s, &(struct gy_tablefn_options){.files = true}, 1);
    check(&s, "SELECT count(*) FROM 'broken.csv'", "7\n");
    assert_null(note(&s, 0)); /* nothing but their number was read */
    check(&s, "SELECT * FROM gyre_read('broken.csv', records := true, delimiter := ',')",
          "1|10|one|broken.csv|0|7|8|~|~|1,10,one\n"
          "2|abc|two|broken.csv|1|16|9|~|~|2,abc,two\n"
          "~|~|~|broken.csv|2|26|11|QUOTE|a quoted field never ends well|3,\\x2230,three\n"
          "4|40|four|broken.csv|3|38|9|~|~|4,40,four\n"
          "~|~|~|broken.csv|4|48|4|FIELDS|2 fields; the header has 3|5,50\n"
          "6|60|~|broken.csv|5|53|8|UTF8|s: not UTF-8|6,60,s\\xFFx\n"
          "7|70|seven|broken.csv|6|62|10|~|~|7,70,seven\n");
    assert_string_equal(note(&s, 0), "broken.csv: of 7 records, 2 could not be taken apart, and 1 "
                                     "values could not be read; they are NULL. record 2: a quoted "
                                     "field never ends well");
    close_sql(&s);
    WRITE("ints.yaml", "columns:\n- {name: id, type: int}\n- {name: x, type: int}\n");
    open_sql(&s, &(struct gy_tablefn_options){.files = true, .schema = "ints.yaml"}, 1);
    check(&s, "SELECT sum(x) FROM 'broken.csv'", "180\n");
    assert_string_equal(note(&s, 0), "broken.csv: of 7 records, 2 could not be taken apart, and 1 "
                                     "values could not be read; they are NULL. record 1: x: 'abc' "
                                     "is not of type int");
    check(&s,
          "SELECT _codes, count(*) FROM gyre_read('broken.csv', records := true, "
          "schema := 'ints.yaml') GROUP BY ALL ORDER BY ALL",
          "FIELDS|1\nQUOTE|1\nTYPE|1\nUTF8|1\n~|3\n");
    close_sql(&s);
    open_sql(&s, &(struct gy_tablefn_options){.files = true, .strict = true}, 1);
    check(&s, "SELECT count(*) FROM 'broken.csv'", "7\n");
    refused(&s, "SELECT sum(id) FROM 'broken.csv'", GY_E_SCHEMA,
            "'broken.csv', record 2: a quoted field never ends well");
    close_sql(&s);
}

static void test_json(void **state)
{
    NEEDS_DUCK();
    (void)state;
    WRITE("a.jsonl", "{\"a\": 1, \"b\": \"x\", \"t\": true}\n\n{\"a\": 2.5, \"c\": [1]}\nnonsense\n"
                     "{\"b\": \"\xc3\xa9\", \"a\": null}\n");
    WRITE("b.json", "[{\"a\": 1}, {\"a\": \"two\"}]");
    struct sql s;
    open_sql(&s, &(struct gy_tablefn_options){.files = true}, 2);
    check(&s, "SELECT a, b, t FROM 'a.jsonl'", "1.0|x|true\n2.5|~|~\n~|~|~\n~|\xc3\xa9|~\n");
    check(&s, "SELECT _row, _offset, _length, _codes FROM gyre_read('a.jsonl', records := true)",
          "0|0|29|~\n1|31|20|~\n2|52|8|JSON\n3|61|22|~\n");
    check(&s, "SELECT a FROM 'b.json'", "1\ntwo\n");
    close_sql(&s);
}

static void test_several_files(void **state)
{
    NEEDS_DUCK();
    (void)state;
    assert_int_equal(gy_dir_make("many", NULL), GY_OK);
    WRITE("many/1.csv", "a,b\n1,x\n");
    WRITE("many/2.csv", "\xef\xbb\xbf"
                        "b;a\ny;2\n");
    WRITE("many/3.csv", "a\n3\n");
    struct sql s;
    open_sql(&s, &(struct gy_tablefn_options){.files = true}, 2);
    check(&s, "SELECT a, b FROM 'many/' ORDER BY a", "1|x\n2|y\n3|~\n");
    check(&s, "SELECT a, b, _file, _row FROM gyre_read('many/*.csv', records := true) ORDER BY a",
          "1|x|many/1.csv|0\n2|y|many/2.csv|0\n3|~|many/3.csv|0\n");
    check(&s,
          "SELECT l.b, r.b FROM 'many/1.csv' l JOIN 'many/2.csv' r ON l.a = r.a - 1, 'many/3.csv'",
          "x|y\n");
    WRITE("many/4.csv", "a,z\n1,2\n");
    refused(&s, "SELECT a FROM 'many/*.csv'", GY_E_SCHEMA, "'many/4.csv' has a column 'z'");
    close_sql(&s);
}

static void test_failures(void **state)
{
    NEEDS_DUCK();
    (void)state;
    WRITE("empty.csv", "");
    struct sql s;
    open_sql(&s, &(struct gy_tablefn_options){.files = true}, 1);
    refused(&s, "SELECT * FROM 'absent.csv'", GY_E_NOTFOUND, "absent.csv");
    refused(&s, "SELECT * FROM 'empty.csv'", GY_E_PARSE, "'empty.csv': it is empty");
    refused(&s, "SELECT * FROM gyre_read('types.csv', delimiter := '##')", GY_E_INVALID,
            "a delimiter");
    refused(&s, "SELECT * FROM gyre_read('types.csv', schema := 'no.yaml')", GY_E_NOTFOUND,
            "no.yaml");
    refused(&s, "SELECT * FROM gyre_read(NULL)", GY_E_INVALID, "gyre_read");
    refused(&s, "SELECT * FROM gyre_read('x.csv', format := 'xml')", GY_E_INVALID, "xml");
    refused(&s, "SELECT zzz FROM 'types.csv'", GY_E_INVALID, "zzz");
    close_sql(&s);
    open_sql(&s, &(struct gy_tablefn_options){.files = false}, 1);
    refused(&s, "SELECT * FROM gyre_read('types.csv')", GY_E_NOTFOUND, "gyre_read");
    refused(&s, "SELECT * FROM 'types.csv'", GY_E_DENIED, "");
    close_sql(&s);
}

static gy_status find(void *ctx, struct gy_str ref, struct gy_tablefn_dataset *ret,
                      struct gy_err *err)
{
    int *asked = ctx;
    ++*asked;
    if (!gy_str_eqc(ref, "sepsis") && !gy_str_eqc(ref, "sepsis@3")) {
        return gy_err_set(err, GY_E_NOTFOUND, "no dataset %" GY_STR_F, GY_STR_A(ref));
    }
    (void)snprintf(ret->path, sizeof ret->path, "%s/object", g_dir);
    gy_buf_addc(&ret->schema_json, "{\"columns\": [{\"name\": \"HR\", \"type\": \"int\"}, "
                                   "{\"name\": \"t\", \"type\": \"time\"}]}");
    return GY_OK;
}

static void test_datasets(void **state)
{
    NEEDS_DUCK();
    (void)state;
    WRITE("object", "HR,t\n80,2020-01-01T00:00:00Z\n,\n");
    int asked = 0;
    struct sql s;
    open_sql(&s, &(struct gy_tablefn_options){.dataset = find, .ctx = &asked}, 1);
    check(&s, "SELECT * FROM sepsis", "80|2020-01-01 00:00:00\n~|~\n");
    check(&s, "SELECT count(*) FROM \"sepsis@3\"", "2\n");
    check(&s, "SELECT HR, _row FROM dataset('sepsis@3', records := true)", "80|0\n~|1\n");
    check(&s, "WITH x AS (SELECT 1 AS a) SELECT a FROM x", "1\n");
    assert_int_equal(asked, 3); /* each name once; x is none of ours */
    refused(&s, "SELECT * FROM other", GY_E_NOTFOUND, "other");
    refused(&s, "SELECT * FROM dataset('other')", GY_E_NOTFOUND, "no dataset other");
    close_sql(&s);
}

/* As many threads as one likes: each record once, with its row. */
static void test_threads(void **state)
{
    NEEDS_DUCK();
    (void)state;
    enum { ROWS = 200000 };
    struct gy_buf text;
    gy_buf_init(&text, GY_GIB);
    gy_buf_addc(&text, "i,f,s\n");
    for (int i = 0; i < ROWS; i++) {
        if (i % 1000 == 7) {
            gy_buf_addf(&text, "%d,%d.25,\"text %d\nof \"\"two\"\" lines\"\n", i, i, i);
        } else {
            gy_buf_addf(&text, "%d,%d.25,some text of record %d\n", i, i, i);
        }
    }
    assert_int_equal(gy_buf_check(&text, "text", NULL), GY_OK);
    write_file("large.csv", text.p, text.n);
    gy_buf_done(&text);
    for (int threads = 1; threads <= 4; threads *= 2) {
        struct sql s;
        open_sql(&s, &(struct gy_tablefn_options){.files = true}, threads);
        check(&s, "SELECT count(*), sum(i), sum(f), count(DISTINCT s) FROM 'large.csv'",
              "200000|19999900000|19999950000.0|200000\n");
        check(&s,
              "SELECT count(*), sum(abs(i - _row)), max(_row), count(DISTINCT _offset) "
              "FROM gyre_read('large.csv', records := true)",
              "200000|0|199999|200000\n");
        /* Asked for no order, and without an aggregate: that of the file. */
        check(&s,
              "SELECT bool_and(i = n) FROM (SELECT i, row_number() OVER () - 1 AS n FROM "
              "(SELECT i FROM 'large.csv'))",
              "true\n");
        close_sql(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),           cmocka_unit_test(test_values_as_duckdb_casts_them),
        cmocka_unit_test(test_nothing_is_lost), cmocka_unit_test(test_json),
        cmocka_unit_test(test_several_files),   cmocka_unit_test(test_failures),
        cmocka_unit_test(test_datasets),        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Ingest, dead letters and made data, on files in a folder of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/time.h"
#include "data/ingest.h"
#include "data/synth.h"

static const char SCHEMA[] = "columns:\n"
                             "  - {name: id, type: int, required: true, unique: true, role: id}\n"
                             "  - {name: x, type: float, min: 0, max: 10}\n"
                             "  - {name: s, type: string}\n";

static char g_dir[64];
static struct gy_schema *g_schema;
static struct gy_source_list g_sources; /* what options() made last */

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
    (void)snprintf(g_dir, sizeof g_dir, "/tmp/gyre-test-XXXXXX");
    return mkdtemp(g_dir) && gy_schema_parse(gy_str_c(SCHEMA), "s", &g_schema, NULL) == GY_OK ? 0
                                                                                              : -1;
}

static int tear_down(void **state)
{
    (void)state;
    gy_schema_free(g_schema);
    gy_source_list_done(&g_sources);
    gy_time_set_fake(0);
    return gy_dir_remove(g_dir, NULL) == GY_OK ? 0 : -1;
}

static void put(const char *name, struct gy_str bytes)
{
    struct gy_err err = GY_ERR_INIT;
    if (gy_file_write(in_dir(name), bytes, 0644, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
}

static void get(const char *name, struct gy_buf *out)
{
    gy_buf_init(out, 256 * GY_MIB);
    struct gy_err err = GY_ERR_INIT;
    if (gy_file_read(in_dir(name), out, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
}

static void check_file(const char *name, const char *want)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf got;
    get(name, &got);
    assert_string_equal(got.p, want);
}

static struct gy_ingest_options options(const char *file)
{
    struct gy_source *s = NULL;
    gy_source_list_done(&g_sources);
    assert_int_equal(gy_source_file(in_dir(file), file, &s, NULL), GY_OK);
    assert_int_equal(gy_source_list_add(&g_sources, s, NULL), GY_OK);
    return (struct gy_ingest_options){.sources = g_sources.items,
                                      .n_sources = 1,
                                      .out_dir = in_dir("out"),
                                      .dlq = in_dir("dlq.log"),
                                      .schema = g_schema,
                                      .max_dead = -1,
                                      .max_dead_share = -1};
}

static void fresh(void)
{
    (void)unlink(in_dir("dlq.log")); /* may not be there */
    assert_int_equal(gy_dir_remove(in_dir("out"), NULL), GY_OK);
}

static struct gy_ingest_result ingest(const char *file)
{
    struct gy_ingest_options o = options(file);
    struct gy_ingest_result r;
    struct gy_err err = GY_ERR_INIT;
    if (gy_ingest(&o, &r, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    assert_int_equal(r.accepted + r.dead, r.read);
    return r;
}

#define HEADED ",\"header\":\"s;id;x\",\"delimiter\":\";\""

/* The start of a letter: the SHA-256 of a.csv below. */
#define A_CSV "{\"source\":\"1a11d5484b4dc0b943e8b2cef0d672a5f6c99e104223a992e587335f48a64410\","

static void test_small_file(void **state)
{
    (void)state;
    fresh();
    gy_time_set_fake(INT64_C(1763688717123456));
    put("a.csv", GY_STR("\xef\xbb\xbfs;id;x\r\n"
                        "\"a\r\nb\";1;5.0\r\n"
                        "\r\n"
                        "z;1;11\r\n"
                        "q\xff;2;\r\n"
                        "\"open;3;1\r\n"
                        ";4;2"));
    struct gy_ingest_result r = ingest("a.csv");
    assert_int_equal(r.read, 5);
    assert_int_equal(r.accepted, 2);
    assert_int_equal(r.delimiter, ';');
    assert_int_equal(r.codes[GY_DEAD_RANGE], 1);
    assert_int_equal(r.codes[GY_DEAD_UNIQUE], 1);
    assert_int_equal(r.codes[GY_DEAD_UTF8], 1);
    assert_int_equal(r.codes[GY_DEAD_QUOTE], 1);
    assert_int_equal(r.blank_bytes, 2);
    assert_int_equal(r.header_bytes, 11);
    check_file("out/data.csv", "id,x,s\n1,5,\"a\r\nb\"\n4,2,\n");
    check_file(
        "dlq.log", A_CSV
        "\"time\":\"2025-11-21T01:31:57.123456Z\",\"file\":\"a.csv\",\"row\":1,\"offset\":27,"
        "\"length\":6,\"codes\":[\"RANGE\",\"UNIQUE\"],\"column\":\"x\",\"error\":\"x: 11 is above "
        "the maximum 10; id: '1' was in an accepted record before\",\"trace\":null,\"data\":"
        "\"z;1;11\"" HEADED "}\n" A_CSV
        "\"time\":\"2025-11-21T01:31:57.123456Z\",\"file\":\"a.csv\",\"row\":2,\"offset\":35,"
        "\"length\":5,\"codes\":[\"UTF8\"],\"column\":\"s\",\"error\":\"s: not UTF-8\",\"trace\":"
        "null,\"data_b64\":\"cf87Mjs=\"" HEADED "}\n" A_CSV
        "\"time\":\"2025-11-21T01:31:57.123456Z\",\"file\":\"a.csv\",\"row\":3,\"offset\":42,"
        "\"length\":9,\"codes\":[\"QUOTE\"],\"column\":null,\"error\":\"a quoted field never ends "
        "well: no delimiter, newline or end behind "
        "it\",\"trace\":null,\"data\":\"\\\"open;3;1\"" HEADED "}\n");
    char sha256[GY_SHA256_HEX], md5[GY_MD5_HEX];
    int64_t size = 0;
    assert_int_equal(gy_file_digest(in_dir("out/data.csv"), sha256, md5, &size, NULL), GY_OK);
    assert_string_equal(sha256, r.sha256);
    assert_string_equal(md5, r.md5);
    assert_int_equal(size, r.size_bytes);
    assert_int_equal(gy_file_digest(in_dir("a.csv"), sha256, NULL, &size, NULL), GY_OK);
    assert_string_equal(sha256, r.source_sha256);
    assert_int_equal(size, r.source_bytes);
    gy_time_set_fake(0);
}

/* The second run gives the same output and appends its letters; a torn line is closed before. */
static void test_rerun(void **state)
{
    (void)state;
    fresh();
    put("a.csv", GY_STR("id,x,s\n1,1,a\n2,99,b\n"));
    struct gy_ingest_result first = ingest("a.csv");
    struct gy_ingest_result second = ingest("a.csv");
    assert_string_equal(first.sha256, second.sha256);
    check_file("out/data.csv", "id,x,s\n1,1,a\n");
    GY_AUTO_DONE(gy_buf_done) struct gy_buf log;
    get("dlq.log", &log);
    size_t lines = 0;
    for (size_t i = 0; i < log.n; i++) {
        lines += log.p[i] == '\n';
    }
    assert_int_equal(lines, 2);
    put("dlq.log", GY_STR("{\"torn"));
    (void)ingest("a.csv");
    GY_AUTO_DONE(gy_buf_done) struct gy_buf again;
    get("dlq.log", &again);
    assert_true(gy_str_starts(gy_buf_str(&again), GY_STR("{\"torn\n{\"source\":\"")));
}

static void test_failures_leave_the_old_output(void **state)
{
    (void)state;
    fresh();
    put("good.csv", GY_STR("id,x,s\n1,1,a\n"));
    (void)ingest("good.csv");
    static const struct {
        struct gy_str text;
        gy_status want;
        int64_t max_dead;
        double share;
    } cases[] = {
        {{"", 0}, GY_E_PARSE, -1, -1},
        {{"\n\n", 2}, GY_E_PARSE, -1, -1},
        {{"\"id,x\n1,2\n", 10}, GY_E_PARSE, -1, -1},
        {{"id,x\xff\n1,2\n", 10}, GY_E_PARSE, -1, -1},
        {{"id,z\n1,2\n", 9}, GY_E_SCHEMA, -1, -1},
        {{"x\n1\n", 4}, GY_E_SCHEMA, -1, -1},
        {{"id\nx\ny\n1\n2\n", 11}, GY_E_SCHEMA, 1, -1},
        {{"id\nx\ny\n1\n2\n", 11}, GY_E_SCHEMA, -1, 0.49},
        {{"id\nx\ny\n1\n2\n", 11}, GY_OK, 2, 0.5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put("bad.csv", cases[i].text);
        struct gy_ingest_options o = options("bad.csv");
        o.max_dead = cases[i].max_dead;
        o.max_dead_share = cases[i].share;
        struct gy_ingest_result r;
        struct gy_err err = GY_ERR_INIT;
        assert_int_equal(gy_ingest(&o, &r, &err), cases[i].want);
        if (cases[i].want != GY_OK) {
            check_file("out/data.csv", "id,x,s\n1,1,a\n");
        }
    }
    struct gy_ingest_options o = options("nowhere.csv");
    struct gy_ingest_result r;
    assert_int_equal(gy_ingest(&o, &r, NULL), GY_E_NOTFOUND);
}

static void test_max_dead_texts(void **state)
{
    (void)state;
    struct gy_ingest_options o;
    assert_int_equal(gy_ingest_parse_max_dead(GY_STR("12"), &o, NULL), GY_OK);
    assert_true(o.max_dead == 12 && o.max_dead_share < 0);
    assert_int_equal(gy_ingest_parse_max_dead(GY_STR("2.5%"), &o, NULL), GY_OK);
    assert_true(o.max_dead < 0 && o.max_dead_share == 0.025);
    static const char *const wrong[] = {"", "-1", "x", "%", "101%", "-1%", "1.5"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(gy_ingest_parse_max_dead(gy_str_c(wrong[i]), &o, NULL), GY_E_INVALID);
    }
}

/* A line beyond every buffer: its letter has all its bytes. */
static void test_long_line(void **state)
{
    (void)state;
    fresh();
    const size_t n = 3 * GY_MIB + 17;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf csv, log;
    gy_buf_init(&csv, 8 * GY_MIB);
    gy_buf_addc(&csv, "id,x,s\n1,1,a\n");
    for (size_t i = 0; i < n; i++) {
        gy_buf_add_char(&csv, (char)('a' + i % 23));
    }
    gy_buf_addc(&csv, "\n2,1,a\n");
    put("long.csv", gy_buf_str(&csv));
    struct gy_ingest_result r = ingest("long.csv");
    assert_int_equal(r.accepted, 2);
    assert_int_equal(r.codes[GY_DEAD_TOOLONG], 1);
    get("dlq.log", &log);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    assert_int_equal(gy_json_parse(gy_buf_str(&log), &doc, NULL), GY_OK);
    yyjson_val *letter = yyjson_doc_get_root(doc);
    assert_int_equal(gy_json_i64(letter, "length", 0), n);
    struct gy_str text = gy_json_str(letter, "data_b64");
    GY_AUTO(gy_free) char *bytes = gy_malloc(text.n);
    size_t got = 0;
    assert_int_equal(gy_base64_decode(text, (unsigned char *)bytes, &got, NULL), GY_OK);
    assert_int_equal(got, n);
    assert_memory_equal(bytes, csv.p + 13, n);
}

/* Quotes inside an unquoted field double: a record that would not be readable again is refused. */
static void test_record_that_grows_too_long(void **state)
{
    (void)state;
    fresh();
    GY_AUTO_DONE(gy_buf_done) struct gy_buf csv;
    gy_buf_init(&csv, 8 * GY_MIB);
    gy_buf_addc(&csv, "id,x,s\n1,1,x");
    for (size_t i = 0; i < GY_MIB - 100; i++) {
        gy_buf_add_char(&csv, '"');
    }
    gy_buf_addc(&csv, "\n2,1,a\n");
    put("grows.csv", gy_buf_str(&csv));
    struct gy_ingest_result r = ingest("grows.csv");
    assert_int_equal(r.accepted, 1);
    assert_int_equal(r.codes[GY_DEAD_TOOLONG], 1);
    check_file("out/data.csv", "id,x,s\n2,1,a\n");
}

struct gathered {
    struct gy_str file; /* all bytes of the input */
    int64_t letters, last_end;
    bool good;
};

/* Each letter's bytes are those of the file at (offset, length), in order. */
static bool gather(void *ctx, int64_t number, struct gy_str line, yyjson_val *letter)
{
    struct gathered *g = ctx;
    (void)line;
    int64_t offset = gy_json_i64(letter, "offset", -1), length = gy_json_i64(letter, "length", -1);
    struct gy_str text = gy_json_str(letter, "data"), coded = gy_json_str(letter, "data_b64");
    unsigned char bytes[4096];
    size_t n = text.n;
    g->good = letter && number == g->letters++ && offset >= g->last_end && length > 0 &&
              offset + length <= (int64_t)g->file.n && (text.p != NULL) != (coded.p != NULL);
    if (g->good && coded.p) {
        g->good = coded.n <= sizeof bytes && gy_base64_decode(coded, bytes, &n, NULL) == GY_OK;
    } else if (g->good) {
        memcpy(bytes, text.p, text.n);
    }
    g->good = g->good && (int64_t)n == length && memcmp(bytes, g->file.p + offset, n) == 0 &&
              yyjson_arr_size(gy_json_get(letter, "codes")) > 0;
    g->last_end = offset + length;
    return g->good;
}

/* Garbage of every kind: nothing is lost, and each letter can be found again in the file. */
static void test_garbage_is_conserved(void **state)
{
    (void)state;
    static const char *const pieces[] = {"1",    "2",  "77",       ",",   ",",    ",",
                                         "\n",   "\n", "\r\n",     "\"",  "\"\"", "x",
                                         "\xff", " ",  "\xc3\xa9", "5.0", "NaN"};
    struct gy_rng rng;
    gy_rng_init(&rng, 99);
    for (int round = 0; round < 150; round++) {
        char text[2000];
        size_t n = (size_t)snprintf(text, sizeof text, "id,x,s\n");
        for (size_t k = gy_rng_below(&rng, 500); k > 0; k--) {
            const char *piece = pieces[gy_rng_below(&rng, sizeof pieces / sizeof pieces[0])];
            memcpy(text + n, piece, strlen(piece));
            n += strlen(piece);
        }
        fresh();
        put("g.csv", gy_str_n(text, n));
        struct gy_ingest_options o = options("g.csv");
        o.record_max = 1 + gy_rng_below(&rng, 200);
        o.record_max = o.record_max < 6 ? 6 : o.record_max; /* the header fits */
        o.chunk_bytes = 1 + gy_rng_below(&rng, 64);
        struct gy_ingest_result r;
        struct gy_err err = GY_ERR_INIT;
        if (gy_ingest(&o, &r, &err) != GY_OK) {
            fail_msg("round %d: %s", round, err.msg);
        }
        assert_int_equal(r.accepted + r.dead, r.read);
        assert_int_equal(r.header_bytes + r.record_bytes + r.blank_bytes, n);
        struct gathered g = {.file = gy_str_n(text, n), .good = true};
        if (r.dead) {
            assert_int_equal(gy_dlq_each(in_dir("dlq.log"), gather, &g, NULL), GY_OK);
        }
        assert_true(g.good);
        assert_int_equal(g.letters, r.dead);
        /* What was accepted is a file that is accepted whole, as it is. */
        GY_AUTO_DONE(gy_buf_done) struct gy_buf canonical;
        get("out/data.csv", &canonical);
        put("again.csv", gy_buf_str(&canonical));
        struct gy_ingest_result second = ingest("again.csv");
        assert_int_equal(second.accepted, r.accepted);
        assert_int_equal(second.dead, 0);
        assert_string_equal(second.sha256, r.sha256);
    }
}

static const char MIXED[] =
    "id,x,s\n1,1,\"a\"\"b\"\n1,1,dup\n2,99,\"x\ny\"\n\"open\n3,3,c\xff\n4,4,d\n";

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    put("m.csv", gy_str_c(MIXED));
    fresh();
    struct gy_ingest_result whole = ingest("m.csv");
    assert_int_equal(whole.accepted, 2);
    assert_int_equal(whole.dead, 4);
    int64_t live = gy_mem_live();
    uint64_t nth = 1;
    for (bool done = false; !done; nth++) {
        fresh();
        struct gy_ingest_options o = options("m.csv");
        struct gy_ingest_result r;
        gy_mem_fail_at(nth, 1);
        gy_status status = gy_ingest(&o, &r, NULL);
        done = gy_mem_count() < nth;
        gy_mem_fail_at(0, 0);
        assert_int_equal(gy_mem_live(), live);
        if (status == GY_OK) { /* at most a reason's text was lost */
            assert_int_equal(r.accepted, 2);
            assert_int_equal(r.dead, 4);
            assert_string_equal(r.sha256, whole.sha256);
        } else {
            assert_int_equal(status, GY_E_NOMEM);
            assert_false(gy_path_exists(in_dir("out/data.csv")));
        }
    }
    assert_true(nth > 20);
}

struct fault {
    const char *op;
    int nth, seen;
};

static int fail_nth(void *ctx, const char *op, const char *path)
{
    struct fault *f = ctx;
    (void)path;
    return strcmp(op, f->op) == 0 && ++f->seen == f->nth ? ENOSPC : 0;
}

/* Every write, sync and rename fails once: an error, and the old output. */
static void test_every_write_may_fail(void **state)
{
    (void)state;
    static const char *const ops[] = {"open", "write", "fsync", "rename"};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        int failed = 0;
        for (int nth = 1;; nth++) {
            fresh();
            put("good.csv", GY_STR("id,x,s\n9,9,old\n"));
            (void)ingest("good.csv");
            put("m.csv", gy_str_c(MIXED));
            struct fault f = {ops[i], nth, 0};
            struct gy_ingest_options o = options("m.csv");
            struct gy_ingest_result r;
            struct gy_err err = GY_ERR_INIT;
            gy_file_set_fault(fail_nth, &f);
            gy_status status = gy_ingest(&o, &r, &err);
            gy_file_set_fault(NULL, NULL);
            if (f.seen < nth) {
                assert_int_equal(status, GY_OK);
                break;
            }
            failed++;
            assert_int_equal(status, GY_E_NOSPACE);
            GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
            get("out/data.csv", &out);
            /* The last sync is of the folder, after the rename. */
            assert_true(strcmp(out.p, "id,x,s\n9,9,old\n") == 0 ||
                        (strcmp(ops[i], "fsync") == 0 && strncmp(out.p, "id,x,s\n1,1,", 11) == 0));
        }
        assert_true(failed > 0);
    }
}

/* ---- made data ---- */

static void make(struct gy_synth_options *o, const char *out, struct gy_synth_result *r)
{
    struct gy_err err = GY_ERR_INIT;
    o->out = in_dir(out);
    o->first_id = 1;
    if (gy_synth_patients(o, r, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
}

static size_t split_line(struct gy_str *rest, struct gy_str *fields, size_t max)
{
    struct gy_str line;
    size_t n = 0;
    if (!gy_str_next(rest, '\n', &line) || line.n == 0) {
        return 0;
    }
    while (n < max && gy_str_next(&line, ',', &fields[n])) {
        n++;
    }
    return n;
}

static double number(struct gy_str text)
{
    double value = 0;
    assert_int_equal(gy_parse_f64(text, &value, NULL), GY_OK);
    return value;
}

/* The rule behind the labels holds in every row, every combination of markers comes, and the share
 * is exact. */
static void test_patients_follow_the_rule(void **state)
{
    (void)state;
    struct gy_synth_options o = {
        .rows = 20000, .seed = 3, .positive = 0.0729, .labelled = true, .wbc = true};
    struct gy_synth_result r;
    make(&o, "p.csv", &r);
    assert_int_equal(r.positives, 1458);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf csv;
    get("p.csv", &csv);
    struct gy_str rest = gy_buf_str(&csv), f[16];
    assert_int_equal(split_line(&rest, f, 16), 13);
    assert_true(gy_str_eqc(f[11], "WBC") && gy_str_eqc(f[12], "isSepsis"));
    int seen[3][2][2][3] = {0};
    int64_t septic = 0, rows = 0;
    while (split_line(&rest, f, 16) == 13) {
        double hr = number(f[3]), temp = number(f[5]), resp = number(f[9]), wbc = number(f[11]);
        assert_true(temp >= 35 && temp <= 42.3 && hr >= 60 && hr <= 250 && resp >= 12 &&
                    resp <= 35 && wbc >= 2.9 && wbc <= 30);
        int t = temp > 38.3 ? 2 : temp < 36 ? 0 : 1, w = wbc > 12 ? 2 : wbc < 4 ? 0 : 1;
        int markers = (t != 1) + (hr > 90) + (resp > 20) + (w != 1);
        assert_int_equal(number(f[12]), markers >= 2);
        septic += markers >= 2;
        seen[t][hr > 90][resp > 20][w]++;
        rows++;
    }
    assert_int_equal(rows, 20000);
    assert_int_equal(septic, 1458);
    int combinations = 0;
    for (int i = 0; i < 36; i++) {
        combinations += ((int *)seen)[i] > 0;
    }
    /* The rarest of the 36 has an expected count of 0.6 here. */
    assert_true(combinations >= 32);
}

static void test_patients_are_repeatable(void **state)
{
    (void)state;
    struct gy_synth_options o = {
        .rows = 500, .seed = 8, .positive = 0.1, .labelled = true, .bad = 16};
    struct gy_synth_result r;
    make(&o, "p1.csv", &r);
    make(&o, "p2.csv", &r);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf a, b, c;
    get("p1.csv", &a);
    get("p2.csv", &b);
    assert_string_equal(a.p, b.p);
    o.seed = 9;
    make(&o, "p3.csv", &r);
    get("p3.csv", &c);
    assert_true(strcmp(a.p, c.p) != 0);
}

static void digest_of(const char *name, char hex[GY_SHA256_HEX])
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf csv;
    get(name, &csv);
    GY_AUTO(gy_hash_free) struct gy_hash *h = NULL;
    assert_int_equal(gy_hash_new(GY_HASH_SHA256, &h, NULL), GY_OK);
    gy_hash_add(h, gy_buf_str(&csv));
    gy_hash_hex(h, hex);
}

/* What was made before there was a second population is still made, byte for byte. */
static void test_adults_stay_as_they_were(void **state)
{
    (void)state;
    char hex[GY_SHA256_HEX];
    struct gy_synth_options o = {
        .rows = 2000, .seed = 5, .positive = 0.0729, .labelled = true, .wbc = true};
    struct gy_synth_result r;
    make(&o, "p.csv", &r);
    digest_of("p.csv", hex);
    assert_string_equal(hex, "74bcc024a646a6843a46e84a75fbfc931642570a59f557dad3fb9a32d5c4957b");
    struct gy_synth_drift drift;
    assert_int_equal(gy_synth_parse_drift(GY_STR("Temp=+1.0"), &drift, NULL), GY_OK);
    o = (struct gy_synth_options){.rows = 2000,
                                  .seed = 6,
                                  .positive = 0.3,
                                  .labelled = true,
                                  .drifts = &drift,
                                  .n_drifts = 1,
                                  .bad = 16};
    make(&o, "q.csv", &r);
    digest_of("q.csv", hex);
    assert_string_equal(hex, "6eba13c2e8428a5cc009c6f95bb4751ff79d9d93b7ab8c73dabe71fd56361f9a");
}

/* The same rule of labels, the share exact; a single vital sign that is not normal means sepsis
 * more often than not; hearts are calm and fever is rare. */
static void test_elderly_are_another_population(void **state)
{
    (void)state;
    struct gy_synth_options o = {.population = GY_ELDERLY,
                                 .rows = 20000,
                                 .seed = 3,
                                 .positive = 0.0729,
                                 .labelled = true,
                                 .wbc = true};
    struct gy_synth_result r;
    make(&o, "e.csv", &r);
    assert_int_equal(r.positives, 1458);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf csv;
    get("e.csv", &csv);
    struct gy_str rest = gy_buf_str(&csv), f[16];
    assert_int_equal(split_line(&rest, f, 16), 13);
    int64_t septic = 0, single[2] = {0}, calm = 0, fever = 0, rows = 0;
    for (; split_line(&rest, f, 16) == 13; rows++) {
        double hr = number(f[3]), temp = number(f[5]), resp = number(f[9]), wbc = number(f[11]);
        assert_true(temp >= 35 && temp <= 42.3 && hr >= 42 && hr <= 140 && resp >= 12 &&
                    resp <= 35 && wbc >= 2.9 && wbc <= 30);
        int vitals = (temp > 38.3 || temp < 36) + (hr > 90) + (resp > 20);
        bool is = vitals + (wbc > 12 || wbc < 4) >= 2;
        assert_int_equal(number(f[12]), is);
        septic += is;
        single[is] += vitals == 1;
        calm += hr <= 60;
        fever += temp > 38.3;
    }
    assert_int_equal(rows, 20000);
    assert_int_equal(septic, 1458);
    assert_true(single[1] > 2 * single[0] && single[1] * 100 > 60 * septic);
    assert_true(calm * 100 > 85 * rows && fever * 100 < 2 * rows);
    enum gy_population population = GY_ADULTS;
    assert_int_equal(gy_synth_parse_population(GY_STR("elderly"), &population, NULL), GY_OK);
    assert_int_equal(population, GY_ELDERLY);
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_synth_parse_population(GY_STR("children"), &population, &err),
                     GY_E_INVALID);
    assert_string_equal(err.hint, "adults or elderly");
}

/* Wrong labels are on septic patients alone, about as many as asked for, and nothing else moves. */
static void test_mislabelled_patients_differ_in_their_label_alone(void **state)
{
    (void)state;
    struct gy_synth_options o = {.rows = 4000, .seed = 9, .positive = 0.25, .labelled = true};
    struct gy_synth_result r;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf right;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf wrong;
    make(&o, "right.csv", &r);
    get("right.csv", &right);
    o.mislabel = 0.4;
    make(&o, "wrong.csv", &r);
    get("wrong.csv", &wrong);
    struct gy_str a = gy_buf_str(&right), b = gy_buf_str(&wrong), f[16], g[16];
    int64_t changed = 0;
    for (size_t n; (n = split_line(&a, f, 16)) == 12;) {
        assert_int_equal(split_line(&b, g, 16), n);
        for (size_t i = 0; i + 1 < n; i++) {
            assert_true(gy_str_eq(f[i], g[i]));
        }
        if (!gy_str_eq(f[11], g[11])) {
            assert_true(gy_str_eqc(f[11], "1") && gy_str_eqc(g[11], "0"));
            changed++;
        }
    }
    assert_true(changed > 350 && changed < 450); /* 400, give or take 3.2 standard deviations */
    o.mislabel = 1.5;
    o.out = "never.csv";
    assert_int_equal(gy_synth_patients(&o, &r, NULL), GY_E_INVALID);
}

/* The drift changes the column alone: labels and other columns stay. */
static void test_drift(void **state)
{
    (void)state;
    struct gy_synth_drift drifts[2];
    assert_int_equal(gy_synth_parse_drift(GY_STR("Temp=+1.0"), &drifts[0], NULL), GY_OK);
    assert_int_equal(gy_synth_parse_drift(GY_STR("HR=*2"), &drifts[1], NULL), GY_OK);
    struct gy_synth_options o = {.rows = 300, .seed = 1, .positive = 0.3, .labelled = true};
    struct gy_synth_result r;
    make(&o, "calm.csv", &r);
    o.drifts = drifts;
    o.n_drifts = 2;
    make(&o, "warm.csv", &r);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf calm, warm;
    get("calm.csv", &calm);
    get("warm.csv", &warm);
    struct gy_str a = gy_buf_str(&calm), b = gy_buf_str(&warm), fa[16], fb[16];
    assert_int_equal(split_line(&a, fa, 16), split_line(&b, fb, 16));
    for (int row = 0; row < 300; row++) {
        assert_int_equal(split_line(&a, fa, 16), 12);
        assert_int_equal(split_line(&b, fb, 16), 12);
        for (int i = 0; i < 12; i++) {
            if (i == 3) {
                assert_true(number(fb[i]) == 2 * number(fa[i]));
            } else if (i == 5) {
                double moved = number(fb[i]) - number(fa[i]);
                assert_true(moved > 0.999 && moved < 1.001);
            } else {
                assert_true(gy_str_eq(fa[i], fb[i]));
            }
        }
    }
    static const char *const wrong[] = {"Temp", "Temp=", "Temp=1", "=+1", "Temp=+x", "Temp=**2"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(gy_synth_parse_drift(gy_str_c(wrong[i]), &drifts[0], NULL), GY_E_INVALID);
    }
    drifts[0].column = GY_STR("isSepsis");
    o.out = in_dir("x.csv");
    assert_int_equal(gy_synth_patients(&o, &r, NULL), GY_E_INVALID);
}

static struct gy_corrupt_options corrupting(const char *file, int64_t bad)
{
    return (struct gy_corrupt_options){.in = in_dir(file),
                                       .out = in_dir("spoilt.csv"),
                                       .ledger = in_dir("ledger"),
                                       .schema = g_schema,
                                       .bad = bad,
                                       .seed = 4};
}

/* The schema here has no `values` and only id is required (and unique): those kinds are left out,
 * the others are dead for their reason alone, and the records of the file come through. */
static void test_corrupt_keeps_to_the_schema(void **state)
{
    (void)state;
    fresh();
    put("c.csv", GY_STR("\xef\xbb\xbfs;x;id\r\n\"q;\"\"\";1.50;7\r\n\r\nbad;99;8\r\nlast;2;9"));
    struct gy_corrupt_options o = corrupting("c.csv", 60);
    struct gy_synth_result r;
    struct gy_err err = GY_ERR_INIT;
    if (gy_synth_corrupt(&o, &r, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    assert_int_equal(r.rows, 3);
    assert_int_equal(r.bad, 60);
    struct gy_ingest_result got = ingest("spoilt.csv");
    assert_int_equal(got.read, 63);
    assert_int_equal(got.accepted, 2);
    static const enum gy_dead_code made[] = {GY_DEAD_FIELDS, GY_DEAD_QUOTE, GY_DEAD_UTF8,
                                             GY_DEAD_TYPE,   GY_DEAD_RANGE, GY_DEAD_UNIQUE};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(got.codes[made[i]], made[i] == GY_DEAD_RANGE ? 11 : 10);
    }
    assert_int_equal(got.codes[GY_DEAD_VALUES] + got.codes[GY_DEAD_REQUIRED], 0);
    check_file("out/data.csv", "id,x,s\n7,1.5,\"q;\"\"\"\n9,2,last\n");
    put("none.csv", GY_STR("id\nx\n"));
    o = corrupting("none.csv", 1);
    assert_int_equal(gy_synth_corrupt(&o, &r, NULL), GY_E_INVALID);
    put("none.csv", GY_STR("id,zz\nx\n"));
    assert_int_equal(gy_synth_corrupt(&o, &r, NULL), GY_E_SCHEMA);
    o.in = in_dir("nowhere.csv");
    assert_int_equal(gy_synth_corrupt(&o, &r, NULL), GY_E_NOTFOUND);
}

static void test_making_survives_every_failing_allocation(void **state)
{
    (void)state;
    struct gy_synth_options o = {.rows = 20,
                                 .seed = 2,
                                 .positive = 0.5,
                                 .labelled = true,
                                 .bad = 8,
                                 .out = in_dir("f.csv"),
                                 .ledger = in_dir("f.ledger")};
    char out[128], ledger[128];
    (void)snprintf(out, sizeof out, "%s", o.out);
    (void)snprintf(ledger, sizeof ledger, "%s", o.ledger);
    o.out = out;
    o.ledger = ledger;
    put("c.csv", GY_STR("id,x,s\n1,1,a\n2,2,\"b\"\"c\"\n"));
    for (int what = 0; what < 2; what++) {
        int64_t live = gy_mem_live();
        bool done = false;
        for (uint64_t nth = 1; !done; nth++) {
            struct gy_corrupt_options c = corrupting("c.csv", 12);
            struct gy_synth_result r;
            gy_mem_fail_at(nth, 1);
            gy_status status =
                what ? gy_synth_corrupt(&c, &r, NULL) : gy_synth_patients(&o, &r, NULL);
            done = gy_mem_count() < nth;
            gy_mem_fail_at(0, 0);
            assert_int_equal(gy_mem_live(), live);
            assert_true(status == GY_E_NOMEM || (status == GY_OK && r.bad == (what ? 12 : 8)));
        }
    }
}

static void test_bad_options(void **state)
{
    (void)state;
    struct gy_synth_result r;
    struct gy_synth_options wrong[] = {{.rows = -1, .positive = 0.1},
                                       {.rows = 10, .positive = 1.5},
                                       {.rows = 10, .positive = 0.1, .bad = -1},
                                       {.rows = 0, .positive = 0.1, .bad = 1}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        wrong[i].out = in_dir("x.csv");
        assert_int_equal(gy_synth_patients(&wrong[i], &r, NULL), GY_E_INVALID);
        assert_false(gy_path_exists(in_dir("x.csv")));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_file),
        cmocka_unit_test(test_rerun),
        cmocka_unit_test(test_failures_leave_the_old_output),
        cmocka_unit_test(test_max_dead_texts),
        cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_record_that_grows_too_long),
        cmocka_unit_test(test_garbage_is_conserved),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_every_write_may_fail),
        cmocka_unit_test(test_patients_follow_the_rule),
        cmocka_unit_test(test_patients_are_repeatable),
        cmocka_unit_test(test_adults_stay_as_they_were),
        cmocka_unit_test(test_elderly_are_another_population),
        cmocka_unit_test(test_mislabelled_patients_differ_in_their_label_alone),
        cmocka_unit_test(test_drift),
        cmocka_unit_test(test_corrupt_keeps_to_the_schema),
        cmocka_unit_test(test_making_survives_every_failing_allocation),
        cmocka_unit_test(test_bad_options),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

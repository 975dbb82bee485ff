/* SPDX-License-Identifier: Apache-2.0 */
/* gy_ingest on several threads and in batches of any size gives what the readers and the checker
 * give one record after the other: the same data.csv, the same letters, the same counts. */
#include "../unit.h"

#include "base/id.h"
#include "base/json.h"
#include "base/time.h"
#include "data/ingest.h"
#include "data/jsonfields.h"
#include "data/jsonrec.h"
#include "net/call.h"

static const char SCHEMA[] = "columns:\n"
                             "  - {name: id, type: int, required: true, unique: true}\n"
                             "  - {name: x, type: float, min: 0, max: 10}\n"
                             "  - {name: s, type: string, unique: true}\n"
                             "  - {name: y, type: int}\n";
static const char ONE_KEY[] = "columns:\n"
                              "  - {name: id, type: int, required: true, unique: true}\n"
                              "  - {name: x, type: float, min: 0, max: 10}\n"
                              "  - {name: s, type: string}\n"
                              "  - {name: y, type: int}\n";
enum { MAX_FILES = 3 };

static char g_dir[64];

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
    gy_time_set_fake(INT64_C(1763688717123456));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gy_time_set_fake(0);
    scratch_done(g_dir);
    return 0;
}

/* ---- one record after the other ---- */

struct plain {
    struct gy_checker *checker;
    struct gy_jsonfields *fields;
    struct gy_reasons reasons;
    struct gy_buf out, dead;
    int64_t read, accepted;
};

static void take(struct plain *p, size_t file, const struct gy_csv_item *item)
{
    p->read++;
    if (p->reasons.codes == 0) {
        p->accepted++;
        return;
    }
    gy_buf_addf(&p->dead, "%zu %lld %lld+%lld %x %s %s\n", file, (long long)item->row,
                (long long)(item->offset + item->skip), (long long)item->length, p->reasons.codes,
                p->reasons.column ? p->reasons.column->name.p : "-", p->reasons.text.p);
}

static void map(struct plain *p, const struct gy_schema *schema, const struct gy_csv_field *header,
                size_t n)
{
    struct gy_err err = GY_ERR_INIT;
    if (p->checker) {
        assert_status(GY_OK, gy_checker_next_file(p->checker, header, n, &err), err);
        return;
    }
    assert_status(GY_OK, gy_checker_new(schema, GY_STR_NULL, header, n, &p->checker, &err), err);
    gy_checker_header(p->checker, &p->out);
}

static void read_csv(struct plain *p, const struct gy_schema *schema, size_t file,
                     struct gy_str text, size_t record_max)
{
    struct gy_mem_reader in;
    struct gy_csv_field header[16];
    struct gy_csv_options o = {.delimiter = ',', .record_max = record_max};
    GY_AUTO(gy_csv_free) struct gy_csv *c = NULL;
    assert_int_equal(gy_csv_open(gy_mem_reader_init(&in, text), &o, &c, NULL), GY_OK);
    for (;;) {
        struct gy_csv_item item;
        bool more = false;
        assert_int_equal(gy_csv_next(c, &item, &more, NULL), GY_OK);
        if (!more) {
            return;
        }
        if (item.kind == GY_CSV_HEADER) {
            map(p, schema, header, gy_csv_split(item.raw, item.quotes, ',', header, 16));
        } else if (item.kind == GY_CSV_RECORD) {
            assert_int_equal(gy_checker_record(p->checker, &item, ',', &p->out, &p->reasons, NULL),
                             GY_OK);
            take(p, file, &item);
        }
    }
}

static void read_json(struct plain *p, const struct gy_schema *schema, size_t file,
                      struct gy_str text, size_t record_max)
{
    struct gy_mem_reader in;
    const struct gy_jsonrec_options o = {.shape = GY_JSONREC_LINES, .record_max = record_max};
    GY_AUTO(gy_jsonrec_free) struct gy_jsonrec *j = NULL;
    size_t n = 0;
    if (!p->fields) {
        assert_int_equal(gy_jsonfields_new(schema, GY_STR_NULL, &p->fields, NULL), GY_OK);
    }
    const struct gy_csv_field *header = gy_jsonfields_header(p->fields, &n);
    map(p, schema, header, n);
    assert_int_equal(gy_jsonrec_open(gy_mem_reader_init(&in, text), &o, &j, NULL), GY_OK);
    for (;;) {
        struct gy_csv_item item;
        const struct gy_value *values = NULL;
        bool more = false;
        assert_int_equal(gy_jsonrec_next(j, &item, &more, NULL), GY_OK);
        if (!more) {
            return;
        }
        if (item.kind == GY_CSV_BLANK) {
            continue;
        }
        assert_int_equal(gy_jsonfields_read(p->fields, &item, &values, &p->reasons, NULL), GY_OK);
        if (values) {
            assert_int_equal(
                gy_checker_values(p->checker, values, item.raw.n, &p->out, &p->reasons, NULL),
                GY_OK);
        }
        take(p, file, &item);
    }
}

static void plain_init(struct plain *p)
{
    *p = (struct plain){.read = 0};
    gy_reasons_init(&p->reasons);
    gy_buf_init(&p->out, GY_GIB);
    gy_buf_init(&p->dead, GY_GIB);
}

static void plain_done(struct plain *p)
{
    gy_checker_free(p->checker);
    gy_jsonfields_free(p->fields);
    gy_reasons_done(&p->reasons);
    gy_buf_done(&p->out);
    gy_buf_done(&p->dead);
}

/* ---- the same through gy_ingest ---- */

struct letters {
    const struct gy_buf *files;
    struct gy_buf seen;
};

static bool see_letter(void *ctx, int64_t number, struct gy_str line, yyjson_val *letter)
{
    struct letters *l = ctx;
    unsigned codes = 0;
    (void)number;
    (void)line;
    assert_non_null(letter);
    struct gy_str name = gy_json_str(letter, "file"), column = gy_json_str(letter, "column");
    size_t file = (size_t)(name.p[name.n - 5] - '0'); /* "0.csv", "00.jsn" */
    yyjson_val *list = gy_json_get(letter, "codes"), *code;
    size_t i, max;
    yyjson_arr_foreach(list, i, max, code)
    {
        for (int c = 0; c < GY_DEAD_N; c++) {
            codes |=
                gy_str_eqc(gy_json_val_str(code), gy_dead_name((enum gy_dead_code)c)) ? 1U << c : 0;
        }
    }
    const int64_t offset = gy_json_i64(letter, "offset", -1),
                  length = gy_json_i64(letter, "length", -1);
    struct gy_str data = gy_json_str(letter, "data"), coded = gy_json_str(letter, "data_b64");
    if (data.p) {
        assert_int_equal(data.n, length);
        assert_memory_equal(data.p, l->files[file].p + offset, data.n);
    } else {
        char *want = malloc(gy_base64_size((size_t)length) + 1);
        assert_non_null(want);
        gy_base64(l->files[file].p + offset, (size_t)length, want);
        assert_str(coded, want);
        free(want);
    }
    gy_buf_addf(&l->seen, "%zu %lld %lld+%lld %x %s %s\n", file,
                (long long)gy_json_i64(letter, "row", -1), (long long)offset, (long long)length,
                codes, column.p ? column.p : "-", gy_json_str(letter, "error").p);
    return true;
}

static void get(const char *name, struct gy_buf *out)
{
    struct gy_err err = GY_ERR_INIT;
    gy_buf_reset(out);
    if (gy_path_exists(in_dir(name))) {
        assert_status(GY_OK, gy_file_read(in_dir(name), out, &err), err);
    }
}

struct shape {
    int threads;
    size_t chunk, record_max;
    enum gy_on_duplicate on_duplicate;
};

static gy_status ingest(const struct gy_schema *schema, const char *const *names, size_t n,
                        struct shape how, struct gy_ingest_result *r, struct gy_err *err)
{
    GY_AUTO_DONE(gy_source_list_done) struct gy_source_list sources = {0};
    (void)unlink(in_dir("dlq.log")); /* may not be there */
    GY_TRY(gy_dir_remove(in_dir("out"), err));
    for (size_t i = 0; i < n; i++) {
        GY_TRY(gy_source_list_add_path(&sources, in_dir(names[i]), NULL, err));
        sources.items[i]->format = strchr(names[i], 'j') ? GY_INGEST_JSONL : GY_INGEST_CSV;
    }
    char out[128], dlq[128];
    (void)snprintf(out, sizeof out, "%s", in_dir("out"));
    (void)snprintf(dlq, sizeof dlq, "%s", in_dir("dlq.log"));
    const struct gy_ingest_options o = {.sources = sources.items,
                                        .n_sources = n,
                                        .on_duplicate = how.on_duplicate,
                                        .out_dir = out,
                                        .dlq = dlq,
                                        .schema = schema,
                                        .delimiter = ',',
                                        .max_dead = -1,
                                        .max_dead_share = -1,
                                        .record_max = how.record_max,
                                        .chunk_bytes = how.chunk,
                                        .threads = how.threads};
    return gy_ingest(&o, r, err);
}

/* ---- hostile files ---- */

static void make_csv(struct gy_rng *rng, struct gy_buf *out, size_t file)
{
    static const char *const pieces[] = {
        "1",  "2",    "77", ",", ",",    ",",        ",",   "\n",  "\n",         "\r\n", "\"",
        "\"", "\"\"", "x",  " ", "\xff", "\xc3\xa9", "5.0", "NaN", "\n\"a\nb\"", "\n\n", "3.25"};
    gy_buf_addc(out, file == 1 ? "x,s,id\n" : "id,x,s\n");
    if (file == 2) {
        gy_buf_addc(out, "9,1,,"); /* joins what comes: too many fields */
    }
    const bool wild = gy_rng_below(rng, 2);
    int64_t id = (int64_t)gy_rng_below(rng, 50);
    for (size_t k = gy_rng_below(rng, 300); k > 0; k--) {
        if (wild || gy_rng_below(rng, 20) == 0) {
            gy_buf_addc(out, pieces[gy_rng_below(rng, sizeof pieces / sizeof pieces[0])]);
        } else {
            id += (int64_t)gy_rng_below(rng, 3);
            gy_buf_addf(out, file == 1 ? "%lld,\"a,%lld\nb\",%lld\n" : "%lld,%lld.50,t%lld\n",
                        (long long)(file == 1 ? id % 12 : id), (long long)(id % 13),
                        (long long)(file == 1 ? id : id * 7 % 31));
        }
    }
}

static void make_json(struct gy_rng *rng, struct gy_buf *out)
{
    for (size_t k = gy_rng_below(rng, 200); k > 0; k--) {
        switch (gy_rng_below(rng, 6)) {
        case 0:
            gy_buf_addc(out, "{\"id\":1,");
            break;
        case 1:
            gy_buf_addc(out, "\n\n");
            break;
        case 2:
            gy_buf_addf(out, "{\"id\":%d,\"u%d\":1,\"x\":[2]}\n", (int)gy_rng_below(rng, 99),
                        (int)gy_rng_below(rng, 90));
            break;
        default:
            gy_buf_addf(out, "{\"id\":%d,\"s\":\"q%d\",\"x\":%d.5}\r\n",
                        (int)gy_rng_below(rng, 999), (int)gy_rng_below(rng, 999),
                        (int)gy_rng_below(rng, 12));
        }
    }
}

static size_t make_files(struct gy_rng *rng, struct gy_buf *files, const char **names)
{
    static const char *const csv[] = {"0.csv", "1.csv", "2.csv"}, *const json[] = {
                                                                      "j0.jsn", "j1.jsn", "j2.jsn"};
    const size_t n = 1 + gy_rng_below(rng, MAX_FILES);
    for (size_t i = 0; i < n && i < MAX_FILES; i++) {
        const bool lines = gy_rng_below(rng, 4) == 0;
        gy_buf_reset(&files[i]);
        if (lines) {
            make_json(rng, &files[i]);
        } else {
            make_csv(rng, &files[i], i);
        }
        names[i] = lines ? json[i] : csv[i];
        struct gy_err err = GY_ERR_INIT;
        assert_status(GY_OK, gy_file_write(in_dir(names[i]), gy_buf_str(&files[i]), 0644, &err),
                      err);
    }
    return n;
}

static void test_as_one_record_after_the_other(void **state)
{
    (void)state;
    struct gy_buf files[MAX_FILES];
    struct letters seen = {.files = files};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    GY_AUTO(gy_schema_free) struct gy_schema *schema = NULL;
    gy_buf_init(&out, GY_GIB);
    gy_buf_init(&seen.seen, GY_GIB);
    assert_int_equal(gy_schema_parse(gy_str_c(SCHEMA), "s", &schema, NULL), GY_OK);
    for (size_t i = 0; i < MAX_FILES; i++) {
        gy_buf_init(&files[i], GY_GIB);
    }
    struct gy_rng rng;
    gy_rng_init(&rng, 20261127);
    for (int round = 0; round < 100; round++) {
        const char *names[MAX_FILES];
        const size_t n = make_files(&rng, files, names);
        const size_t max = round % 3 == 0 ? 40 + gy_rng_below(&rng, 100) : 0;
        struct plain p;
        plain_init(&p);
        for (size_t i = 0; i < n; i++) {
            (strchr(names[i], 'j') ? read_json : read_csv)(&p, schema, i, gy_buf_str(&files[i]),
                                                           max);
        }
        for (int k = 0; k < 3; k++) {
            const struct shape how = {.threads = 1 + (int)gy_rng_below(&rng, 4),
                                      .chunk = k == 0 ? 0 : 1 + gy_rng_below(&rng, 700),
                                      .record_max = max};
            struct gy_ingest_result r;
            struct gy_err err = GY_ERR_INIT;
            assert_status(GY_OK, ingest(schema, names, n, how, &r, &err), err);
            get("out/data.csv", &out);
            assert_int_equal(out.n, p.out.n);
            assert_memory_equal(out.p, p.out.p, out.n);
            gy_buf_reset(&seen.seen);
            if (r.dead) {
                assert_int_equal(gy_dlq_each(in_dir("dlq.log"), see_letter, &seen, NULL), GY_OK);
            }
            assert_string_equal(seen.seen.p, p.dead.p);
            assert_int_equal(r.read, p.read);
            assert_int_equal(r.accepted, p.accepted);
            assert_int_equal(r.dead, p.read - p.accepted);
            char sha256[GY_SHA256_HEX], md5[GY_MD5_HEX];
            int64_t size = 0;
            assert_int_equal(gy_file_digest(r.path, sha256, md5, &size, NULL), GY_OK);
            assert_string_equal(sha256, r.sha256);
            assert_string_equal(md5, r.md5);
            assert_int_equal(size, r.size_bytes);
        }
        plain_done(&p);
    }
    for (size_t i = 0; i < MAX_FILES; i++) {
        gy_buf_done(&files[i]);
    }
    gy_buf_done(&seen.seen);
}

/* Whatever becomes of repeated keys: the same at any number of threads and size of batches. */
static void test_replaced_records(void **state)
{
    (void)state;
    struct gy_buf files[MAX_FILES];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf want;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf got;
    GY_AUTO(gy_schema_free) struct gy_schema *schema = NULL;
    gy_buf_init(&want, GY_GIB);
    gy_buf_init(&got, GY_GIB);
    assert_int_equal(gy_schema_parse(gy_str_c(ONE_KEY), "s", &schema, NULL), GY_OK);
    for (size_t i = 0; i < MAX_FILES; i++) {
        gy_buf_init(&files[i], GY_GIB);
    }
    struct gy_rng rng;
    gy_rng_init(&rng, 7);
    int64_t replaced = 0;
    for (int round = 0; round < 40; round++) {
        const char *names[MAX_FILES];
        const size_t n = make_files(&rng, files, names);
        const enum gy_on_duplicate what = round % 2 ? GY_DUPLICATE_LAST : GY_DUPLICATE_FIRST;
        struct gy_ingest_result first, r;
        struct gy_err err = GY_ERR_INIT;
        assert_status(GY_OK, ingest(schema, names, n, (struct shape){1, 0, 0, what}, &first, &err),
                      err);
        replaced += first.replaced;
        get("out/data.csv", &want);
        for (int threads = 1; threads < 4; threads++) {
            const struct shape how = {threads, 1 + gy_rng_below(&rng, 300), 0, what};
            assert_status(GY_OK, ingest(schema, names, n, how, &r, &err), err);
            get("out/data.csv", &got);
            assert_string_equal(got.p, want.p);
            assert_string_equal(r.sha256, first.sha256);
            assert_string_equal(r.unknown, first.unknown);
            assert_int_equal(r.replaced, first.replaced);
            assert_int_equal(r.dead, first.dead);
            assert_int_equal(r.unknown_keys, first.unknown_keys);
        }
    }
    assert_true(replaced > 200);
    for (size_t i = 0; i < MAX_FILES; i++) {
        gy_buf_done(&files[i]);
    }
}

static gy_status ingest_some(void *ctx, struct gy_err *err)
{
    static const char *const names[] = {"t0.csv", "t1.csv"};
    struct gy_ingest_result r;
    (void)unlink(in_dir("out/data.csv")); /* may not be there */
    gy_status status = ingest(ctx, names, 2, (struct shape){3, 8, 0, GY_DUPLICATE_DEAD}, &r, err);
    if (status == GY_OK) {
        assert_int_equal(r.read, 4);
        assert_int_equal(r.accepted, 2);
    } else {
        assert_false(gy_path_exists(in_dir("out/data.csv")));
    }
    return status;
}

static void test_failing_memory_on_several_threads(void **state)
{
    (void)state;
    GY_AUTO(gy_schema_free) struct gy_schema *schema = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_schema_parse(gy_str_c(SCHEMA), "s", &schema, NULL), GY_OK);
    assert_status(
        GY_OK, gy_file_write(in_dir("t0.csv"), GY_STR("id,x,s\n1,1,a\n1,2,b\n"), 0644, &err), err);
    assert_status(
        GY_OK, gy_file_write(in_dir("t1.csv"), GY_STR("s,id,x\nc,2,\n\"o,3,1\n"), 0644, &err), err);
    torture(ingest_some, schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_one_record_after_the_other),
        cmocka_unit_test(test_replaced_records),
        cmocka_unit_test(test_failing_memory_on_several_threads),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

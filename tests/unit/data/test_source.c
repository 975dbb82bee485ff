/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: files, descriptors and what is packed; what is cut off or damaged is never taken for the
 * end. */
#include "unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <zlib.h>
#include <zstd.h>

#include "base/id.h"
#include "data/source.h"
#include "data/unpack.h"
#include "net/call.h"

static char g_dir[64];

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

static const char *in_dir(const char *name)
{
    static char paths[4][128];
    static int at;
    at = (at + 1) % 4;
    (void)snprintf(paths[at], sizeof paths[at], "%s/%s", g_dir, name);
    return paths[at];
}

static void put(const char *name, struct gy_str bytes)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_file_write(in_dir(name), bytes, 0644, &err), err);
}

/* ---- packing ---- */

static void add_gzip(struct gy_buf *out, struct gy_str bytes)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    uLong most = deflateBound(&z, bytes.n);
    char *room = gy_buf_reserve(out, most);
    assert_non_null(room);
    z.next_in = (unsigned char *)(uintptr_t)bytes.p;
    z.avail_in = (uInt)bytes.n;
    z.next_out = (unsigned char *)room;
    z.avail_out = (uInt)most;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    gy_buf_commit(out, most - z.avail_out);
    assert_int_equal(deflateEnd(&z), Z_OK);
}

static void add_zstd(struct gy_buf *out, struct gy_str bytes)
{
    size_t most = ZSTD_compressBound(bytes.n);
    char *room = gy_buf_reserve(out, most);
    assert_non_null(room);
    ZSTD_CCtx *c = ZSTD_createCCtx();
    assert_non_null(c);
    (void)ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
    size_t n = ZSTD_compress2(c, room, most, bytes.p, bytes.n);
    assert_false(ZSTD_isError(n));
    (void)ZSTD_freeCCtx(c);
    gy_buf_commit(out, n);
}

/* Read all with reads of `step` bytes of packed bytes that arrive `step` at a time. */
struct steps {
    struct gy_reader reader;
    struct gy_str rest;
    size_t step;
};

static gy_status steps_read(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                            struct gy_err *err)
{
    struct steps *s = (struct steps *)(void *)self;
    (void)err;
    *ret_n = n < s->step ? n : s->step;
    *ret_n = *ret_n < s->rest.n ? *ret_n : s->rest.n;
    memcpy(buf, s->rest.p, *ret_n);
    s->rest = gy_str_sub(s->rest, *ret_n, SIZE_MAX);
    return GY_OK;
}

static gy_status unpack(struct gy_str packed, size_t step, size_t room, struct gy_buf *out,
                        struct gy_err *err)
{
    struct steps in = {{steps_read, -1, NULL}, packed, step};
    GY_AUTO(gy_unpack_free) struct gy_unpack *u = NULL;
    GY_TRY(gy_unpack_new(&in.reader, "x", &u, err));
    struct gy_reader *r = gy_unpack_reader(u);
    for (;;) {
        char piece[4096];
        size_t got = 0;
        GY_TRY(r->read(r, piece, room < sizeof piece ? room : sizeof piece, &got, err));
        if (got == 0) {
            return GY_OK;
        }
        gy_buf_add_bytes(out, piece, got);
    }
}

static void make_text(struct gy_buf *text, size_t lines)
{
    struct gy_rng rng;
    gy_rng_init(&rng, 5);
    for (size_t i = 0; i < lines; i++) {
        gy_buf_addf(text, "%zu,%llx,abc\n", i, (unsigned long long)gy_rng_below(&rng, 1 << 30));
    }
}

static void test_packed_bytes_come_back(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text, got;
    struct gy_buf packed[5];
    gy_buf_init(&text, GY_GIB);
    gy_buf_init(&got, GY_GIB);
    for (size_t i = 0; i < 5; i++) {
        gy_buf_init(&packed[i], GY_GIB);
    }
    make_text(&text, 20000);
    struct gy_str all = gy_buf_str(&text), half = gy_str_sub(all, 0, 1000),
                  rest = gy_str_sub(all, 1000, SIZE_MAX);
    gy_buf_add(&packed[0], all); /* as it is */
    add_gzip(&packed[1], all);
    add_gzip(&packed[2], half); /* members, an empty one too, and zeros behind */
    add_gzip(&packed[2], GY_STR(""));
    add_gzip(&packed[2], rest);
    gy_buf_add_bytes(&packed[2], "\0\0\0\0\0\0", 6);
    add_zstd(&packed[3], all);
    add_zstd(&packed[4], half);
    gy_buf_add_bytes(&packed[4], "\x5a\x2a\x4d\x18\x03\0\0\0abc", 11); /* to be skipped */
    add_zstd(&packed[4], rest);
    static const size_t steps[] = {1, 7, 4096, 1000000};
    for (size_t i = 0; i < 5; i++) {
        for (size_t k = 0; k < 4; k++) {
            struct gy_err err = GY_ERR_INIT;
            gy_buf_reset(&got);
            assert_status(GY_OK, unpack(gy_buf_str(&packed[i]), steps[k], steps[k] * 3, &got, &err),
                          err);
            assert_int_equal(got.n, text.n);
            assert_memory_equal(got.p, text.p, text.n);
        }
        gy_buf_done(&packed[i]);
    }
}

/* Cut anywhere, or one bit turned: an error, or the bytes all the same (in a header's free fields).
 */
static void test_damage_is_never_taken_for_the_end(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text, packed, got;
    gy_buf_init(&text, GY_GIB);
    gy_buf_init(&packed, GY_GIB);
    gy_buf_init(&got, GY_GIB);
    make_text(&text, 40);
    for (int kind = 0; kind < 2; kind++) {
        gy_buf_reset(&packed);
        (kind ? add_zstd : add_gzip)(&packed, gy_buf_str(&text));
        const char *name = kind ? "zstd" : "gzip";
        for (size_t n = 4; n < packed.n; n++) {
            struct gy_err err = GY_ERR_INIT;
            gy_buf_reset(&got);
            assert_status(GY_E_PARSE, unpack(gy_str_n(packed.p, n), 9, 64, &got, &err), err);
            assert_non_null(strstr(err.msg, name));
            assert_non_null(strstr(err.msg, "early"));
            assert_true(got.n <= text.n && memcmp(got.p, text.p, got.n) == 0);
        }
        int silent = 0;
        for (size_t bit = 32; bit < packed.n * 8; bit++) {
            struct gy_err err = GY_ERR_INIT;
            packed.p[bit / 8] = (char)(packed.p[bit / 8] ^ (1 << bit % 8));
            gy_buf_reset(&got);
            gy_status status = unpack(gy_buf_str(&packed), 1000, 4096, &got, &err);
            if (status == GY_OK) {
                silent++;
                assert_int_equal(got.n, text.n);
                assert_memory_equal(got.p, text.p, text.n);
            } else {
                assert_status(GY_E_PARSE, status, err);
            }
            packed.p[bit / 8] = (char)(packed.p[bit / 8] ^ (1 << bit % 8));
        }
        assert_true(silent < 64); /* time, system: 6 bytes of a gzip header */
        gy_buf_addc(&packed, "more");
        struct gy_err err = GY_ERR_INIT;
        assert_status(GY_E_PARSE, unpack(gy_buf_str(&packed), 1000, 4096, &got, &err), err);
        assert_non_null(strstr(err.msg, "other bytes follow"));
    }
}

static gy_status read_packed_file(void *ctx, struct gy_err *err)
{
    GY_AUTO(gy_source_free) struct gy_source *s = NULL;
    struct gy_reader *r = NULL;
    struct gy_str head;
    bool whole = true;
    size_t got = 1, all = 0;
    char piece[1000];
    GY_TRY(gy_source_file(ctx, NULL, &s, err));
    GY_TRY(gy_source_head(s, 10, &head, &whole, err));
    assert_int_equal(head.n, 10);
    assert_false(whole);
    GY_TRY(gy_source_open(s, &r, err));
    while (got > 0) {
        GY_TRY(r->read(r, piece, sizeof piece, &got, err));
        assert_true(all > 0 || memcmp(piece, "0,", 2) == 0);
        all += got;
    }
    assert_true(all > 10000);
    assert_int_equal(s->done_bytes, s->size_bytes);
    return GY_OK;
}

static void test_file_with_head_and_failing_memory(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text, packed;
    gy_buf_init(&text, GY_GIB);
    gy_buf_init(&packed, GY_GIB);
    make_text(&text, 1000);
    add_gzip(&packed, gy_buf_str(&text));
    put("a.csv.gz", gy_buf_str(&packed));
    torture(read_packed_file, (void *)(uintptr_t)in_dir("a.csv.gz"));
}

/* ---- files ---- */

static void test_a_file_that_changes_is_refused(void **state)
{
    (void)state;
    char piece[64];
    size_t got = 0;
    for (int how = 0; how < 3; how++) {
        GY_AUTO(gy_source_free) struct gy_source *s = NULL;
        struct gy_reader *r = NULL;
        struct gy_err err = GY_ERR_INIT;
        put("c.csv", GY_STR("a,b\n1,2\n3,4\n"));
        assert_int_equal(gy_source_file(in_dir("c.csv"), "the file", &s, NULL), GY_OK);
        assert_int_equal(gy_source_open(s, &r, NULL), GY_OK);
        assert_int_equal(r->read(r, piece, 5, &got, NULL), GY_OK);
        int fd = open(in_dir("c.csv"), O_WRONLY | O_APPEND);
        if (how == 0) {
            assert_int_equal(write(fd, "5,6\n", 4), 4);
        } else if (how == 1) {
            assert_int_equal(ftruncate(fd, 2), 0);
        } else {
            struct timespec then[2] = {{1000, 5}, {1000, 5}};
            assert_int_equal(futimens(fd, then), 0);
        }
        (void)close(fd);
        gy_status status = GY_OK;
        for (got = 1; got > 0 && status == GY_OK;) {
            status = r->read(r, piece, sizeof piece, &got, &err);
        }
        assert_status(GY_E_CONFLICT, status, err);
        assert_non_null(strstr(err.msg, "'the file' changed while it was read"));
    }
}

static void test_a_file_that_is_removed_is_read_to_its_end(void **state)
{
    (void)state;
    GY_AUTO(gy_source_free) struct gy_source *s = NULL;
    struct gy_reader *r = NULL;
    char piece[64];
    size_t got = 0;
    put("gone.csv", GY_STR("a\n1\n"));
    assert_int_equal(gy_source_file(in_dir("gone.csv"), NULL, &s, NULL), GY_OK);
    assert_int_equal(s->ops->check(s, NULL), GY_OK);
    assert_int_equal(gy_source_open(s, &r, NULL), GY_OK);
    assert_int_equal(unlink(in_dir("gone.csv")), 0);
    assert_int_equal(r->read(r, piece, sizeof piece, &got, NULL), GY_OK);
    assert_int_equal(got, 4);
    assert_int_equal(r->read(r, piece, sizeof piece, &got, NULL), GY_OK);
    assert_int_equal(got, 0);
    gy_source_close(s);
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_E_NOTFOUND, s->ops->check(s, &err), err);
    assert_status(GY_E_NOTFOUND, gy_source_open(s, &r, &err), err);
}

static void test_a_descriptor(void **state)
{
    (void)state;
    int ends[2];
    GY_AUTO(gy_source_free) struct gy_source *s = NULL;
    struct gy_reader *r = NULL;
    enum gy_ingest_format format;
    char piece[64];
    size_t got = 0;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], " [{\"a\":1}]", 10), 10);
    (void)close(ends[1]);
    assert_int_equal(gy_source_fd(ends[0], "stdin", &s, NULL), GY_OK);
    assert_int_equal(gy_source_format(s, &format, NULL), GY_OK);
    assert_int_equal(format, GY_INGEST_JSON);
    assert_int_equal(gy_source_open(s, &r, NULL), GY_OK);
    assert_int_equal(r->read(r, piece, sizeof piece, &got, NULL), GY_OK);
    assert_str(gy_str_n(piece, got), " [{\"a\":1}]");
    gy_source_close(s);
    assert_int_equal(close(ends[0]), 0); /* it was not closed for us */
}

static void test_formats(void **state)
{
    (void)state;
    assert_int_equal(gy_ingest_format_of("x.JSON", GY_STR("a,b")), GY_INGEST_JSON);
    assert_int_equal(gy_ingest_format_of("x.csv", GY_STR("[")), GY_INGEST_CSV);
    assert_int_equal(gy_ingest_format_of("x.jsonl.gz", GY_STR("[")), GY_INGEST_JSONL);
    assert_int_equal(gy_ingest_format_of("x.tsv.ZST", GY_STR("[")), GY_INGEST_CSV);
    assert_int_equal(gy_ingest_format_of("x.gz", GY_STR("[")), GY_INGEST_JSON);
    assert_true(gy_ingest_is_data_name("a.b.csv.gz"));
    assert_false(gy_ingest_is_data_name("a.gz"));
    assert_false(gy_ingest_is_data_name("csv"));
    enum gy_ingest_format format;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_ingest_parse_format(GY_STR("ndjson"), &format, NULL), GY_OK);
    assert_int_equal(format, GY_INGEST_JSONL);
    assert_status(GY_E_INVALID, gy_ingest_parse_format(GY_STR("xml"), &format, &err), err);
}

/* ---- lists ---- */

static void check_list(const char *path, const char *not_this, const char *want)
{
    GY_AUTO_DONE(gy_source_list_done) struct gy_source_list l = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf names;
    gy_buf_init(&names, GY_MIB);
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_source_list_add_path(&l, path, not_this, &err), err);
    for (size_t i = 0; i < l.n; i++) {
        gy_buf_addf(&names, "%s ", l.items[i]->name + strlen(g_dir) + 1);
    }
    assert_string_equal(names.p, want);
}

static void test_a_folder_means_its_data_files(void **state)
{
    (void)state;
    assert_int_equal(gy_dir_make(in_dir("d/sub"), NULL), GY_OK);
    assert_int_equal(gy_dir_make(in_dir("d/.hidden"), NULL), GY_OK);
    assert_int_equal(gy_dir_make(in_dir("empty"), NULL), GY_OK);
    static const char *const names[] = {"d/b.csv.gz",    "d/a.csv",         "d/.c.csv",
                                        "d/_SUCCESS",    "d/picture.png",   "d/z.csv",
                                        "d/sub/x.jsonl", "d/.hidden/h.csv", "d/_tmp.csv"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        put(names[i], GY_STR("a\n"));
    }
    check_list(in_dir("d"), NULL, "d/a.csv d/b.csv.gz d/sub/x.jsonl d/z.csv ");
    check_list(in_dir("d"), in_dir("d/z.csv"), "d/a.csv d/b.csv.gz d/sub/x.jsonl ");
    check_list(in_dir("d"), in_dir("d/nothing"), "d/a.csv d/b.csv.gz d/sub/x.jsonl d/z.csv ");
    check_list(in_dir("d/[az].csv"), NULL, "d/a.csv d/z.csv ");
    check_list(in_dir("d/[az].csv"), in_dir("d/z.csv"), "d/a.csv ");
    check_list(in_dir("d/*sub"), NULL, "d/sub/x.jsonl ");
    check_list(in_dir("d/picture.png"), NULL, "d/picture.png ");
    GY_AUTO_DONE(gy_source_list_done) struct gy_source_list l = {0};
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_E_NOTFOUND, gy_source_list_add_path(&l, in_dir("empty"), NULL, &err), err);
    assert_status(GY_E_NOTFOUND, gy_source_list_add_path(&l, in_dir("d/*.tsv"), NULL, &err), err);
    assert_status(GY_E_NOTFOUND,
                  gy_source_list_add_path(&l, in_dir("d/z*"), in_dir("d/z.csv"), &err), err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packed_bytes_come_back),
        cmocka_unit_test(test_damage_is_never_taken_for_the_end),
        cmocka_unit_test(test_file_with_head_and_failing_memory),
        cmocka_unit_test(test_a_file_that_changes_is_refused),
        cmocka_unit_test(test_a_file_that_is_removed_is_read_to_its_end),
        cmocka_unit_test(test_a_descriptor),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_a_folder_means_its_data_files),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

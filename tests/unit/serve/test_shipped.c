/* SPDX-License-Identifier: Apache-2.0 */
/* What of a replica's log may go, and what a server takes of what a replica sends. */
#include <errno.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/id.h"
#include "base/time.h"
#include "log_record.h"
#include "serve/receive.h"
#include "serve/shipped.h"
#include "unit.h"

struct fixture {
    char root[64];
    unsigned char boot[16];
    struct gy_uuid_gen gen;
};

static int setup(void **state)
{
    struct fixture *f = gy_calloc(1, sizeof *f);
    scratch_make(f->root);
    assert_int_equal(gy_uuid_gen_init(&f->gen, NULL), GY_OK);
    gy_uuid7(&f->gen, f->boot);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    scratch_done(f->root);
    gy_free(f);
    return 0;
}

/* Frames of records first .. last. */
static void add_frames(struct fixture *f, struct gy_buf *out, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++) {
        struct gy_record r = log_record(&f->gen, (uint32_t)seq);
        r.seq = seq;
        size_t bytes = gy_record_frame_bytes(&r);
        char *to = gy_buf_reserve(out, bytes);
        assert_non_null(to);
        gy_record_write(&r, to);
        gy_buf_commit(out, bytes);
    }
}

static void path_of(const struct fixture *f, uint32_t number, const char *suffix, char out[256])
{
    char name[128];
    gy_segment_name(f->boot, 0, number, suffix, name);
    (void)snprintf(out, 256, "%s/%s", f->root, name);
}

static void make_segment(struct fixture *f, uint32_t number, uint64_t first, uint64_t last,
                         bool seal, int64_t age_s)
{
    char path[256], header[GY_SEGMENT_HEADER];
    struct gy_segment_info info;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, GY_MIB);
    gy_segment_header(f->boot, 0, number, header);
    gy_buf_add_bytes(&bytes, header, sizeof header);
    add_frames(f, &bytes, first, last);
    path_of(f, number, ".seg", path);
    assert_int_equal(gy_file_write(path, gy_buf_str(&bytes), 0644, NULL), GY_OK);
    if (seal) {
        assert_int_equal(gy_segment_seal(path, &info, NULL), GY_OK);
    }
    struct timeval then[2] = {{.tv_sec = gy_now_us() / 1000000 - age_s}};
    then[1] = then[0];
    assert_int_equal(utimes(path, then), 0);
}

static bool is_there(const struct fixture *f, uint32_t number)
{
    char path[256], index[256];
    path_of(f, number, ".seg", path);
    path_of(f, number, ".idx", index);
    if (!gy_path_exists(path)) {
        assert_false(gy_path_exists(index));
    }
    return gy_path_exists(path);
}

static struct gy_shipped drop(struct fixture *f, uint64_t acknowledged, int64_t keep_ms)
{
    struct gy_shipped gone;
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO_DONE(gy_log_marks_done) struct gy_log_marks marks = {0};
    if (acknowledged) {
        assert_int_equal(gy_log_marks_set(&marks, f->boot, 0, acknowledged, 0, NULL), GY_OK);
    }
    assert_status(GY_OK, gy_shipped_remove(f->root, &marks, keep_ms, &gone, &err), err);
    return gone;
}

static void test_only_what_is_acknowledged_sealed_and_old(void **state)
{
    struct fixture *f = *state;
    make_segment(f, 0, 1, 5, true, 100);
    make_segment(f, 1, 6, 9, true, 100);
    make_segment(f, 2, 10, 12, true, 5);
    make_segment(f, 3, 13, 14, false, 100);
    assert_int_equal(drop(f, 0, 60000).segments, 0); /* nothing was shipped yet */
    struct gy_shipped gone = drop(f, 8, 60000);      /* 9 is not acknowledged */
    assert_int_equal(gone.segments, 1);
    assert_int_equal(gone.left, 3);
    assert_true(gone.bytes > 5 * 72 && gone.left_bytes > 9 * 72);
    assert_true(!is_there(f, 0) && is_there(f, 1) && is_there(f, 2) && is_there(f, 3));
    assert_int_equal(drop(f, 14, 60000).segments, 1);
    assert_true(!is_there(f, 1) && is_there(f, 2) && is_there(f, 3));
    assert_int_equal(drop(f, 14, 0).segments, 1);
    assert_true(!is_there(f, 2) && is_there(f, 3)); /* it is still written to */
}

static void test_more_than_the_bound_goes_at_once(void **state)
{
    struct fixture *f = *state;
    char path[256];
    for (uint32_t i = 0; i < 3; i++) {
        make_segment(f, i, 3 * i + 1, 3 * i + 3, true, 0);
        path_of(f, i, ".seg", path);
        assert_int_equal(truncate(path, GY_SHIPPED_MAX_BYTES / 2 + 1), 0); /* a file with a hole */
    }
    assert_int_equal(drop(f, 6, 3600000).segments, 1); /* of two that are acknowledged */
    assert_true(!is_there(f, 0) && is_there(f, 1) && is_there(f, 2));
}

static gy_status may(void *ctx, const struct gy_record *r, const char **ret_why, struct gy_err *err)
{
    (void)err;
    *ret_why = r->seq == *(const uint64_t *)ctx ? "not this one" : NULL;
    return GY_OK;
}

static void test_a_batch_is_sifted(void **state)
{
    struct fixture *f = *state;
    uint64_t not = 2;
    struct gy_sifted s;
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, GY_MIB);
    add_frames(f, &bytes, 1, 3);
    size_t one = bytes.n / 3;
    gy_sifted_init(&s);
    assert_status(GY_OK, gy_receiver_sift(gy_buf_str(&bytes), may, &not, &s, &err), err);
    assert_int_equal(s.good.n, 2 * one);
    assert_int_equal(s.refused.n, sizeof not );
    assert_memory_equal(s.refused.p, &not, sizeof not );
    assert_string_equal(s.why, "not this one");
    gy_sifted_done(&s);
    /* Each single bit that is not as it was is found. */
    for (size_t at = 0; at < one; at++) {
        bytes.p[at] ^= 16;
        gy_sifted_init(&s);
        gy_status st = gy_receiver_sift(gy_buf_str(&bytes), may, &not, &s, NULL);
        assert_true(st == GY_E_CORRUPT);
        gy_sifted_done(&s);
        bytes.p[at] ^= 16;
    }
    /* The checksum is right, the content is not. */
    bytes.p[one + 8 + 48] ^= 64; /* rows */
    gy_frame_seal(bytes.p + one);
    gy_sifted_init(&s);
    assert_int_equal(gy_receiver_sift(gy_buf_str(&bytes), may, &not, &s, NULL), GY_E_CORRUPT);
    gy_sifted_done(&s);
    gy_buf_reset(&bytes);
    add_frames(f, &bytes, 4, 4);
    add_frames(f, &bytes, 4, 4);
    gy_sifted_init(&s);
    assert_int_equal(gy_receiver_sift(gy_buf_str(&bytes), may, &not, &s, NULL), GY_E_INVALID);
    gy_sifted_done(&s);
}

/* Replicas that start again and again: the receiver remembers so many streams, and finds the others
 * on the disk. */
static void test_more_streams_than_are_remembered(void **state)
{
    struct fixture *f = *state;
    struct gy_receiver *r = NULL;
    struct gy_received got;
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, GY_MIB);
    add_frames(f, &bytes, 1, 3);
    assert_status(GY_OK, gy_receiver_new(f->root, GY_MIB, &r, &err), err);
    gy_receiver_own(r, f->boot);
    assert_int_equal(gy_receiver_take(r, f->boot, 0, gy_buf_str(&bytes), &got, NULL),
                     GY_E_CONFLICT);
    unsigned char boot[16], first[16];
    gy_uuid7(&f->gen, first);
    assert_status(GY_OK, gy_receiver_take(r, first, 0, gy_buf_str(&bytes), &got, &err), err);
    assert_int_equal(got.records, 3);
    for (int i = 0; i < GY_RECEIVER_MAX_STREAMS; i++) {
        gy_uuid7(&f->gen, boot);
        assert_status(GY_OK, gy_receiver_take(r, boot, 0, GY_STR(""), &got, &err), err);
        assert_int_equal(got.last_seq, 0);
    }
    assert_status(GY_OK, gy_receiver_take(r, first, 0, gy_buf_str(&bytes), &got, &err), err);
    assert_int_equal(got.records, 0);
    assert_int_equal(got.last_seq, 3);
    gy_receiver_free(r);
}

static int fail_once(void *ctx, const char *op, const char *path)
{
    int *left = ctx;
    return strcmp(op, "fsync") == 0 && gy_path_is_dir(path) && (*left)-- > 0 ? EIO : 0;
}

/* What a call wrote that failed afterwards is acknowledged once its name is on the disk, too. */
static void test_a_name_that_is_not_on_the_disk_is_not_acknowledged(void **state)
{
    struct fixture *f = *state;
    struct gy_receiver *r = NULL;
    struct gy_received got;
    struct gy_err err = GY_ERR_INIT;
    unsigned char boot[16];
    int failures = 2;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, GY_MIB);
    add_frames(f, &bytes, 1, 3);
    gy_uuid7(&f->gen, boot);
    assert_status(GY_OK, gy_receiver_new(f->root, GY_MIB, &r, &err), err);
    gy_file_set_fault(fail_once, &failures);
    assert_int_not_equal(gy_receiver_take(r, boot, 0, gy_buf_str(&bytes), &got, NULL), GY_OK);
    assert_int_not_equal(gy_receiver_take(r, boot, 0, gy_buf_str(&bytes), &got, NULL), GY_OK);
    assert_status(GY_OK, gy_receiver_take(r, boot, 0, gy_buf_str(&bytes), &got, &err), err);
    gy_file_set_fault(NULL, NULL);
    assert_int_equal(got.records, 0);
    assert_int_equal(got.last_seq, 3);
    gy_receiver_free(r);
}

/* A file that is no segment (it lies there for a person to look at) does not stop its stream. */
static void test_a_stream_goes_on_beside_what_can_not_be_read(void **state)
{
    struct fixture *f = *state;
    struct gy_receiver *r = NULL;
    struct gy_received got;
    struct gy_err err = GY_ERR_INIT;
    char path[256];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, GY_MIB);
    make_segment(f, 0, 1, 2, true, 0);
    path_of(f, 1, ".seg", path);
    assert_int_equal(gy_file_write(path, GY_STR("nothing of ours"), 0644, NULL), GY_OK);
    add_frames(f, &bytes, 1, 3);
    assert_status(GY_OK, gy_receiver_new(f->root, GY_MIB, &r, &err), err);
    assert_status(GY_OK, gy_receiver_take(r, f->boot, 0, gy_buf_str(&bytes), &got, &err), err);
    assert_int_equal(got.records, 1);
    assert_int_equal(got.last_seq, 3);
    assert_true(is_there(f, 2)); /* behind the number of the unreadable one */
    gy_receiver_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_only_what_is_acknowledged_sealed_and_old, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_more_than_the_bound_goes_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_batch_is_sifted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_streams_than_are_remembered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_name_that_is_not_on_the_disk_is_not_acknowledged,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_stream_goes_on_beside_what_can_not_be_read, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

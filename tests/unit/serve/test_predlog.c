/* SPDX-License-Identifier: Apache-2.0 */
/* The prediction log: what was appended is found again, whatever happened to the process, the
 * ring, the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/id.h"
#include "base/mem.h"
#include "serve/predlog.h"
#include "serve/ring.h"
#include "log_record.h"

struct fixture {
    char root[64], dir[80], rings[80];
    struct gy_uuid_gen gen;
};

static int setup(void **state)
{
    struct fixture *f = gy_calloc(1, sizeof *f);
    (void)snprintf(f->root, sizeof f->root, "/tmp/gyre-predlog-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    (void)snprintf(f->dir, sizeof f->dir, "%s/log", f->root);
    (void)snprintf(f->rings, sizeof f->rings, "%s/shm", f->root);
    assert_int_equal(gy_dir_make(f->rings, NULL), GY_OK);
    assert_int_equal(gy_uuid_gen_init(&f->gen, NULL), GY_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(gy_dir_remove(f->root, NULL), GY_OK);
    gy_free(f);
    return 0;
}

static struct gy_predlog *open_log(struct fixture *f, int sync_ms, bool drop)
{
    const struct gy_predlog_options o = {.dir = f->dir,
                                         .ring_dir = f->rings,
                                         .n_loops = 2,
                                         .ring_bytes = 64 * GY_KIB,
                                         .segment_bytes = 32 * GY_KIB,
                                         .sync_ms = sync_ms,
                                         .drop_when_full = drop};
    struct gy_predlog *l = NULL;
    struct gy_err err = GY_ERR_INIT;
    if (gy_predlog_open(&o, &l, &err) != GY_OK) {
        fail_msg("%s", err.msg);
    }
    return l;
}

/* Reads one id back and compares everything with what log_record() made. */
static void must_find(struct fixture *f, struct gy_predlog *live, const unsigned char id[16],
                      uint32_t n)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 4 * GY_MIB);
    struct gy_record *r;
    size_t n_parts;
    struct gy_err err = GY_ERR_INIT;
    if (gy_predlog_find(live, f->dir, f->rings, id, &a, &r, &n_parts, &err) != GY_OK) {
        fail_msg("record %u: %s", n, err.msg);
    }
    assert_int_equal(n_parts, 1);
    assert_memory_equal(r->id, id, 16);
    assert_int_equal(r->time_us, 1700000000000000 + n);
    assert_int_equal(r->latency_ns, n);
    assert_int_equal(r->revision, 3);
    assert_int_equal(r->status, 200);
    assert_int_equal(r->n_rows, 1);
    assert_int_equal(r->total_rows, 1);
    assert_true(gy_str_eqc(r->endpoint, "sepsis"));
    assert_true(gy_str_eqc(r->model_version, "7"));
    assert_true(gy_str_eqc(r->request_id, "req-1"));
    assert_memory_equal(r->inputs, log_row, 3 * sizeof(double));
    assert_memory_equal(r->outputs, log_row + 3, 2 * sizeof(double));
    assert_int_equal(r->rules[0].hits, 2);
    assert_int_equal(r->rules[0].of, 4);
}

static void must_not_find(struct fixture *f, const unsigned char id[16])
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 4 * GY_MIB);
    struct gy_record *r;
    size_t n;
    assert_int_equal(gy_predlog_find(NULL, f->dir, f->rings, id, &a, &r, &n, NULL), GY_E_NOTFOUND);
}

static gy_status count_one(void *ctx, const struct gy_record *r, struct gy_err *err)
{
    (void)err;
    (void)r;
    ++*(size_t *)ctx;
    return GY_OK;
}

static size_t count_all(struct fixture *f)
{
    size_t n = 0;
    assert_int_equal(gy_predlog_each(f->dir, count_one, &n, NULL), GY_OK);
    return n;
}

static size_t files_in(const char *dir, const char *suffix, char *last)
{
    size_t n = 0;
    char command[256];
    (void)snprintf(command, sizeof command, "ls %s 2>/dev/null", dir);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    char line[256];
    while (fgets(line, sizeof line, p)) {
        line[strcspn(line, "\n")] = '\0';
        if (gy_str_ends(gy_str_c(line), gy_str_c(suffix))) {
            n++;
            if (last) {
                (void)snprintf(last, 512, "%s/%s", dir, line);
            }
        }
    }
    (void)pclose(p);
    return n;
}

static void test_append_and_find(void **state)
{
    struct fixture *f = *state;
    struct gy_predlog *l = open_log(f, 50, false);
    unsigned char ids[1000][16];
    for (uint32_t i = 0; i < 1000; i++) { /* 1000 x ~200 bytes: the 64 KiB rings wrap */
        struct gy_record r = log_record(&f->gen, i);
        memcpy(ids[i], r.id, 16);
        while (!gy_predlog_append(l, (int)(i & 1), &r)) {
            assert_int_equal(gy_predlog_flush(l, false, NULL), GY_OK);
        }
        if (i % 97 == 0) {
            must_find(f, l, ids[i], i); /* at once, before any segment is sealed */
        }
    }
    assert_int_equal(gy_predlog_flush(l, true, NULL), GY_OK);
    struct gy_predlog_stats stats;
    gy_predlog_get_stats(l, &stats);
    assert_int_equal(stats.holes, 0);
    assert_int_equal(stats.bad, 0);
    assert_int_equal(stats.lag_us, 0);
    assert_int_equal(stats.ring_used_max, 0);
    assert_true(stats.segments >= 4); /* sealed past 32 KiB */
    gy_predlog_close(l);
    assert_int_equal(files_in(f->rings, ".ring", NULL), 0);
    assert_int_equal(files_in(f->dir, ".seg", NULL), files_in(f->dir, ".idx", NULL));
    assert_int_equal(count_all(f), 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        must_find(f, NULL, ids[i], i);
    }
    struct gy_record other = log_record(&f->gen, 0);
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    struct gy_record *r;
    size_t n;
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_predlog_find(NULL, f->dir, f->rings, other.id, &a, &r, &n, &err),
                     GY_E_NOTFOUND);
    assert_string_not_equal(err.hint, "");
}

static void test_full_ring(void **state)
{
    struct fixture *f = *state;
    /* No flusher here: the ring alone says no, keeps what it has, and works again when drained. */
    char path[128];
    (void)snprintf(path, sizeof path, "%s/one.ring", f->rings);
    struct gy_ring *ring = NULL;
    unsigned char boot[16] = {1};
    assert_int_equal(gy_ring_create(path, boot, 0, 64 * GY_KIB, &ring, NULL), GY_OK);
    uint32_t n = 0;
    for (;; n++) {
        struct gy_record r = log_record(&f->gen, n);
        if (!gy_ring_append(ring, &r)) {
            break;
        }
    }
    assert_true(n > 250);
    struct gy_record one = log_record(&f->gen, n);
    assert_false(gy_ring_append(ring, &one));
    size_t got;
    uint64_t drained = 0;
    for (const char *p = gy_ring_peek(ring, &got); got; p = gy_ring_peek(ring, &got)) {
        assert_non_null(p);
        drained += got;
        gy_ring_consume(ring, got);
    }
    assert_int_equal(drained, n * gy_record_frame_bytes(&one));
    assert_int_equal(gy_ring_used(ring), 0);
    for (uint32_t round = 0; round < 5000; round++) { /* every position of the wrap */
        struct gy_record a = log_record(&f->gen, round);
        struct gy_record b = log_record(&f->gen, round);
        b.request_id = gy_str_n("0123456789abcdef0123456789abcdef", round % 33);
        assert_true(gy_ring_append(ring, &a));
        assert_true(gy_ring_append(ring, &b));
        size_t bytes = 0;
        for (gy_ring_peek(ring, &got); got; gy_ring_peek(ring, &got)) {
            bytes += got;
            gy_ring_consume(ring, got);
        }
        assert_int_equal(bytes, gy_record_frame_bytes(&a) + gy_record_frame_bytes(&b));
        assert_int_equal(b.seq, a.seq + 1);
    }
    gy_ring_close(ring);
}

static void test_many_rows_are_split(void **state)
{
    struct fixture *f = *state;
    struct gy_predlog *l = open_log(f, 50, false);
    enum { ROWS = 5000 };
    double *values = gy_malloc(ROWS * 5 * sizeof *values);
    struct gy_rule_outcome *rules = gy_malloc(ROWS * sizeof *rules);
    for (size_t i = 0; i < ROWS * 5; i++) {
        values[i] = (double)i;
    }
    for (size_t i = 0; i < ROWS; i++) {
        rules[i] = (struct gy_rule_outcome){(int16_t)i, 0, 0, 4};
    }
    struct gy_record r = log_record(&f->gen, 1);
    r.n_rows = ROWS;
    r.inputs = values;
    r.outputs = values + ROWS * 3;
    r.rules = rules;
    assert_false(gy_predlog_append(l, 0, &r)); /* 240 KB can never be in a ring of 64 KiB at once */
    assert_int_equal(gy_predlog_append_wait(l, &r, NULL), GY_OK);
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 4 * GY_MIB);
    struct gy_record *got;
    size_t n;
    assert_int_equal(gy_predlog_find(l, f->dir, f->rings, r.id, &a, &got, &n, NULL), GY_OK);
    assert_true(n > 20);
    uint32_t rows = 0;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(got[i].first_row, rows);
        assert_int_equal(got[i].total_rows, ROWS);
        assert_memory_equal(got[i].inputs, values + rows * 3, got[i].n_rows * 3 * sizeof(double));
        assert_memory_equal(got[i].outputs, values + ROWS * 3 + rows * 2,
                            got[i].n_rows * 2 * sizeof(double));
        assert_int_equal(got[i].rules[0].rule, rows);
        rows += got[i].n_rows;
    }
    assert_int_equal(rows, ROWS);
    gy_predlog_close(l);
    gy_free(values);
    gy_free(rules);
}

struct shared {
    atomic_uint n;
    unsigned char ids[20000][16];
};

/* A writer killed at any moment: all that it appended is there after the next open, once each. */
static void test_killed_writer(void **state)
{
    struct fixture *f = *state;
    for (uint32_t round = 0; round < 8; round++) {
        size_t before = round ? count_all(f) : 0;
        struct shared *s =
            mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(s != MAP_FAILED);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct gy_uuid_gen gen;
            if (gy_uuid_gen_init(&gen, NULL) != GY_OK) {
                _exit(1);
            }
            struct gy_predlog *l = open_log(f, 50, false);
            for (uint32_t i = 0; i < 20000; i++) {
                struct gy_record r = log_record(&gen, i);
                while (!gy_predlog_append(l, (int)(i % 2), &r)) {
                    if (gy_predlog_flush(l, false, NULL) != GY_OK) {
                        _exit(1);
                    }
                }
                memcpy(s->ids[i], r.id, 16); /* "acknowledged" */
                atomic_store(&s->n, i + 1);
            }
            for (;;) {
                pause();
            }
        }
        while (atomic_load(&s->n) < 500 + round * 700) {
            (void)usleep(100);
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        uint32_t n = atomic_load(&s->n);
        must_find(f, NULL, s->ids[n - 1], n - 1); /* even before recovery, from the ring */
        struct gy_predlog *l = open_log(f, 50, false);
        struct gy_predlog_stats stats;
        gy_predlog_get_stats(l, &stats);
        assert_int_equal(stats.holes, 0);
        assert_int_equal(stats.bad, 0); /* also when it was killed within a write */
        gy_predlog_close(l);
        size_t found = count_all(f) - before;
        assert_true(found == n || found == n + 1); /* one more: appended, not yet acknowledged */
        for (uint32_t i = 0; i < n; i += 50) {
            must_find(f, NULL, s->ids[i], i);
        }
        must_find(f, NULL, s->ids[n - 1], n - 1);
        assert_int_equal(files_in(f->rings, ".ring", NULL), 0);
        (void)munmap(s, sizeof *s);
    }
}

/* Writes n records, seals them, gives the path of the one segment. */
static void one_segment(struct fixture *f, uint32_t n, unsigned char (*ids)[16], char path[512])
{
    struct gy_predlog *l = open_log(f, 50, false);
    for (uint32_t i = 0; i < n; i++) {
        struct gy_record r = log_record(&f->gen, i);
        memcpy(ids[i], r.id, 16);
        assert_true(gy_predlog_append(l, 0, &r));
    }
    gy_predlog_close(l);
    assert_int_equal(files_in(f->dir, ".seg", path), 1);
}

static void remove_index(const char *path)
{
    char idx[512];
    (void)snprintf(idx, sizeof idx, "%.*s.idx", (int)(strlen(path) - 4), path);
    assert_int_equal(unlink(idx), 0);
}

static void test_torn_tail(void **state)
{
    struct fixture *f = *state;
    unsigned char ids[20][16];
    char path[512];
    one_segment(f, 20, ids, path);
    remove_index(path);
    int64_t size = gy_file_size(path);
    assert_int_equal(truncate(path, size - 3), 0);
    struct gy_predlog *l = open_log(f, 50, false); /* reads it without index, makes a new one */
    gy_predlog_close(l);
    assert_int_equal(count_all(f), 19);
    must_find(f, NULL, ids[18], 18);
}

static void test_flipped_bits(void **state)
{
    struct fixture *f = *state;
    unsigned char ids[50][16];
    char path[512];
    one_segment(f, 50, ids, path);
    remove_index(path);
    struct gy_record r = log_record(&f->gen, 0);
    int64_t frame = (int64_t)gy_record_frame_bytes(&r);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    unsigned char x;
    const int64_t places[] = {/* a value */ 64 + 10 * frame + 90, /* a length */ 64 + 20 * frame,
                              /* a checksum */ 64 + 30 * frame + 5};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pread(fd, &x, 1, places[i]), 1);
        x ^= 0x10;
        assert_int_equal(pwrite(fd, &x, 1, places[i]), 1);
    }
    assert_int_equal(close(fd), 0);
    /* As in the open segment of a running server: no index, and lengths that lead astray. */
    for (uint32_t i = 0; i < 50; i++) {
        if (i != 10 && i != 20 && i != 30) {
            must_find(f, NULL, ids[i], i);
        } else {
            must_not_find(f, ids[i]);
        }
    }
    struct gy_predlog *l = open_log(f, 50, false);
    struct gy_predlog_stats stats;
    gy_predlog_get_stats(l, &stats);
    assert_int_equal(stats.bad, 3);
    assert_int_equal(stats.holes, 3);
    gy_predlog_close(l);
    assert_int_equal(count_all(f), 47);
    for (uint32_t i = 0; i < 50; i++) {
        if (i != 10 && i != 20 && i != 30) {
            must_find(f, NULL, ids[i], i);
        }
    }
}

/* The ids between which a sealed segment's lie, so that others need not be looked into. */
static void test_ids_of_a_segment(void **state)
{
    struct fixture *f = *state;
    unsigned char ids[20][16], least[16], greatest[16];
    char path[512];
    uint64_t n = 0;
    one_segment(f, 20, ids, path);
    assert_int_equal(gy_segment_ids(path, least, greatest, &n, NULL), GY_OK);
    assert_int_equal(n, 20);
    assert_memory_equal(least, ids[0], 16);
    assert_memory_equal(greatest, ids[19], 16);
    ids[0][15] ^= 1; /* one beside it */
    must_not_find(f, ids[0]);
    remove_index(path);
    assert_int_equal(gy_segment_ids(path, least, greatest, &n, NULL), GY_E_NOTFOUND);
    must_find(f, NULL, ids[7], 7);
}

static void test_damaged_index_is_made_again(void **state)
{
    struct fixture *f = *state;
    unsigned char ids[5][16];
    char path[512];
    one_segment(f, 5, ids, path);
    memcpy(path + strlen(path) - 4, ".idx", 4);
    assert_int_equal(gy_file_write(path, GY_STR("garbage"), 0644, NULL), GY_OK);
    must_find(f, NULL, ids[3], 3); /* without the index */
    unsigned char least[16], greatest[16];
    uint64_t n = 0;
    memcpy(path + strlen(path) - 4, ".seg", 4);
    assert_int_equal(gy_segment_ids(path, least, greatest, &n, NULL), GY_E_CORRUPT);
    memcpy(path + strlen(path) - 4, ".idx", 4);
    struct gy_predlog *l = open_log(f, 50, false);
    gy_predlog_close(l);
    assert_true(gy_file_size(path) > 128);
    must_find(f, NULL, ids[4], 4);
}

static int fail_writes(void *ctx, const char *op, const char *path)
{
    (void)path;
    return strcmp(op, "fsync") == 0 ? *(int *)ctx : 0;
}

/* The disk refuses: nothing is lost, answers are refused, and it goes on once the disk works. */
static void test_disk_failure(void **state)
{
    struct fixture *f = *state;
    struct gy_predlog *l = open_log(f, 0, false);
    int failing = ENOSPC;
    gy_file_set_fault(fail_writes, &failing); /* opening a segment syncs the folder */
    struct gy_record r = log_record(&f->gen, 5);
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_predlog_append_wait(l, &r, &err), GY_E_NOSPACE);
    struct gy_predlog_stats stats;
    gy_predlog_get_stats(l, &stats);
    assert_true(stats.write_failures > 0);
    assert_int_equal(stats.refused, 1);
    gy_file_set_fault(NULL, NULL);
    struct gy_record again = log_record(&f->gen, 6);
    assert_int_equal(gy_predlog_append_wait(l, &again, &err), GY_OK);
    gy_predlog_close(l);
    must_find(f, NULL, r.id, 5);
    must_find(f, NULL, again.id, 6);
}

static void test_waiting_for_the_disk(void **state)
{
    struct fixture *f = *state;
    struct gy_predlog *l = open_log(f, 0, false);
    assert_true(gy_predlog_waits(l));
    for (uint32_t i = 0; i < 20; i++) {
        struct gy_record r = log_record(&f->gen, i);
        assert_int_equal(gy_predlog_append_wait(l, &r, NULL), GY_OK);
        struct gy_predlog_stats stats;
        gy_predlog_get_stats(l, &stats);
        assert_int_equal(stats.ring_used_max, 0);
        assert_true(stats.syncs > i);
    }
    gy_predlog_close(l);
}

static void test_foreign_files(void **state)
{
    struct fixture *f = *state;
    unsigned char ids[3][16];
    char path[512];
    one_segment(f, 3, ids, path);
    char other[600];
    (void)snprintf(other, sizeof other, "%s/notes.txt", f->dir);
    assert_int_equal(gy_file_write(other, GY_STR("mine"), 0644, NULL), GY_OK);
    (void)snprintf(other, sizeof other, "%s-00-000009.seg", path);
    assert_int_equal(gy_file_write(other, GY_STR("mine"), 0644, NULL), GY_OK);
    memcpy(path + strlen(path) - 5, "7", 1);
    assert_int_equal(gy_file_write(path,
                                   GY_STR("a segment by name only, long enough to hold a "
                                          "header of sixty-four bytes, but none"),
                                   0644, NULL),
                     GY_OK);
    struct gy_predlog *l = open_log(f, 50, false);
    struct gy_predlog_stats stats;
    gy_predlog_get_stats(l, &stats);
    assert_int_equal(stats.bad, 1);
    gy_predlog_close(l);
    assert_true(gy_path_exists(path)); /* kept for a person to look at */
    must_find(f, NULL, ids[2], 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_append_and_find, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_ring, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_rows_are_split, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torn_tail, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flipped_bits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ids_of_a_segment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_index_is_made_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk_failure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waiting_for_the_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_files, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

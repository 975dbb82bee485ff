/* SPDX-License-Identifier: Apache-2.0 */
/* Reading on in the prediction log: each record once, in the order of its stream, whatever happens
 * to the files and the servers between two calls. */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/id.h"
#include "serve/predlog_internal.h"
#include "serve/ring.h"
#include "serve/tail.h"
#include "unit.h"
#include "log_record.h"

struct fixture {
    char root[64], dir[80], rings[80];
    struct gy_uuid_gen gen;
};

static int setup(void **state)
{
    struct fixture *f = gy_calloc(1, sizeof *f);
    scratch_make(f->root);
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
    scratch_done(f->root);
    gy_free(f);
    return 0;
}

static struct gy_predlog *open_log(struct fixture *f)
{
    const struct gy_predlog_options o = {.dir = f->dir,
                                         .ring_dir = f->rings,
                                         .n_loops = 2,
                                         .ring_bytes = 64 * GY_KIB,
                                         .segment_bytes = 16 * GY_KIB,
                                         .sync_ms = 50};
    struct gy_predlog *l = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_predlog_open(&o, &l, &err), err);
    return l;
}

static void append(struct gy_predlog *l, struct gy_uuid_gen *gen, int loop, uint32_t n)
{
    struct gy_record r = log_record(gen, n);
    while (!gy_predlog_append(l, loop, &r)) {
        assert_int_equal(gy_predlog_flush(l, false, NULL), GY_OK);
    }
}

#define MAX_SEEN 40000
struct seen {
    uint8_t times[MAX_SEEN]; /* by the record's number */
    size_t n;
    uint64_t last[4]; /* number of the last record by ring */
    int fail_in;      /* > 0: the how-manieth call fails */
};

static gy_status see(void *ctx, const struct gy_log_place *place, const struct gy_record *r,
                     struct gy_err *err)
{
    struct seen *s = ctx;
    if (s->fail_in > 0 && --s->fail_in == 0) {
        return gy_err_set(err, GY_E_BUSY, "not now");
    }
    assert_true(r->latency_ns < MAX_SEEN);
    assert_memory_equal(r->inputs, log_row, 3 * sizeof(double));
    assert_str(r->endpoint, "sepsis");
    if (place->ring < 4) {
        assert_true(s->n == 0 || r->seq > s->last[place->ring]);
        s->last[place->ring] = r->seq;
    }
    s->times[r->latency_ns]++;
    s->n++;
    return GY_OK;
}

static gy_status count_one(void *ctx, const struct gy_log_place *place, const struct gy_record *r,
                           struct gy_err *err)
{
    (void)place;
    (void)r;
    (void)err;
    ++*(size_t *)ctx;
    return GY_OK;
}

static void assert_all_once(const struct seen *s, size_t n)
{
    assert_int_equal(s->n, n);
    for (size_t i = 0; i < n; i++) {
        if (s->times[i] != 1) {
            fail_msg("record %zu was seen %d times", i, s->times[i]);
        }
    }
}

static struct gy_log_cursor *new_cursor(struct fixture *f)
{
    struct gy_log_cursor *c = NULL;
    assert_int_equal(gy_log_cursor_new(f->dir, &c, NULL), GY_OK);
    return c;
}

/* All that is there, in calls of at most `max`. */
static void read_on(struct gy_log_cursor *c, struct seen *s, size_t max)
{
    struct gy_err err = GY_ERR_INIT;
    size_t n = max;
    while (n == max) {
        assert_status(GY_OK, gy_log_tail(c, max, see, s, &n, &err), err);
        assert_true(n <= max);
    }
}

/* A cursor that starts where the other one is, by way of its JSON. */
static struct gy_log_cursor *reopen(struct fixture *f, struct gy_log_cursor *c)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &b);
    gy_log_marks_write(gy_log_cursor_marks(c), &w);
    GY_AUTO_DONE(gy_log_marks_done) struct gy_log_marks m = {0};
    assert_int_equal(gy_log_marks_read(&m, gy_buf_str(&b), NULL), GY_OK);
    struct gy_log_cursor *next = new_cursor(f);
    assert_int_equal(gy_log_cursor_seek(next, &m, NULL), GY_OK);
    gy_log_cursor_free(c);
    return next;
}

static void test_nothing_there(void **state)
{
    struct fixture *f = *state;
    struct gy_log_cursor *c = new_cursor(f);
    struct seen s = {0};
    read_on(c, &s, 10); /* the folder is not even made */
    assert_int_equal(s.n, 0);
    assert_int_equal(gy_log_cursor_marks(c)->n, 0);
    gy_log_cursor_free(c);
}

static void test_live_log_each_once(void **state)
{
    struct fixture *f = *state;
    struct gy_predlog *l = open_log(f);
    struct gy_log_cursor *c = new_cursor(f);
    struct seen *s = gy_calloc(1, sizeof *s);
    for (uint32_t i = 0; i < 3000; i++) { /* some 600 KB: many segments are sealed on the way */
        append(l, &f->gen, (int)(i & 1), i);
        if (i % 61 == 0) {
            read_on(c, s, 1 + i % 17); /* whatever has reached the files by now */
        }
        if (i % 701 == 0) {
            c = reopen(f, c);
        }
    }
    assert_int_equal(gy_predlog_flush(l, false, NULL), GY_OK);
    read_on(c, s, 100);
    assert_all_once(s, 3000);
    gy_predlog_close(l); /* seals the rest */
    read_on(c, s, 100);
    c = reopen(f, c);
    read_on(c, s, 100);
    assert_all_once(s, 3000);
    struct gy_tail_stats stats;
    gy_log_cursor_stats(c, &stats);
    assert_true(stats.segments_read <= 2); /* by their indexes there is nothing new in them */
    assert_true(stats.segments_skipped > 5);
    gy_log_cursor_free(c);
    gy_free(s);
}

/* Also at the beginning of another server's log, and with what a killed one left in its rings. */
static void test_killed_servers(void **state)
{
    struct fixture *f = *state;
    struct gy_log_cursor *c = new_cursor(f);
    struct seen *s = gy_calloc(1, sizeof *s);
    atomic_uint *written =
        mmap(NULL, sizeof *written, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(written != MAP_FAILED);
    uint32_t n = 0;
    for (int round = 0; round < 5; round++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct gy_uuid_gen gen;
            if (gy_uuid_gen_init(&gen, NULL) != GY_OK) {
                _exit(1);
            }
            struct gy_predlog *l = open_log(f);
            for (uint32_t i = n; i < n + 1500; i++) {
                append(l, &gen, (int)(i % 2), i);
                atomic_store(written, i + 1);
            }
            for (;;) {
                (void)pause();
            }
        }
        while (atomic_load(written) < n + 1500) {
            read_on(c, s, 50); /* beside the writer */
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        n += 1500;
        if (round % 2) {
            read_on(c, s, 1000);
            c = reopen(f, c);
        }
        gy_predlog_close(open_log(f)); /* the next server drains what was left */
        memset(s->last, 0, sizeof s->last);
        read_on(c, s, 1000);
        assert_all_once(s, n);
        memset(s->last, 0, sizeof s->last); /* numbers begin again with each boot */
    }
    struct gy_tail_stats stats;
    gy_log_cursor_stats(c, &stats);
    assert_int_equal(stats.holes, 0);
    assert_int_equal(stats.bad, 0);
    gy_log_cursor_free(c);
    gy_free(s);
    assert_int_equal(munmap(written, sizeof *written), 0);
}

/* A server whose segment can not get longer than this: the write that would go further stops there,
 * and the next one kills it (SIGXFSZ), so its file ends at exactly that byte. *written counts its
 * records on from `first`. */
static void server_killed_at(struct fixture *f, rlim_t bytes, uint32_t first, atomic_uint *written)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit file = {bytes, bytes};
        const struct rlimit core = {0, 0};
        struct gy_uuid_gen gen;
        struct gy_predlog *l = open_log(f);
        if (gy_uuid_gen_init(&gen, NULL) != GY_OK || setrlimit(RLIMIT_CORE, &core) != 0 ||
            setrlimit(RLIMIT_FSIZE, &file) != 0 || signal(SIGXFSZ, SIG_DFL) == SIG_ERR) {
            _exit(1);
        }
        for (uint32_t i = first; i < first + 20; i++) {
            append(l, &gen, 0, i);
            atomic_store(written, i + 1);
        }
        GY_IGNORE(gy_predlog_flush(l, false, NULL)); /* it does not come back */
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGXFSZ);
}

/* The piece of a record at the end of a segment, whose whole the ring still has, is no damage. */
static void test_killed_within_a_write(void **state)
{
    struct fixture *f = *state;
    struct gy_log_cursor *c = new_cursor(f);
    struct seen *s = gy_calloc(1, sizeof *s);
    atomic_uint *written =
        mmap(NULL, sizeof *written, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(written != MAP_FAILED);
    const struct gy_record one = log_record(&f->gen, 0);
    const rlim_t bytes = gy_record_frame_bytes(&one);
    const rlim_t cuts[] = {0, 1, 7, 8, 9, 40, bytes / 2, bytes - 1};
    const size_t n_cuts = sizeof cuts / sizeof cuts[0];
    struct gy_predlog_stats log;
    struct gy_tail_stats stats;
    for (size_t i = 0; i < 4 * n_cuts; i++) {
        /* Within the segment's header, and behind 0, 1 and 10 whole records. */
        static const rlim_t whole[] = {0, 0, 1, 10};
        rlim_t cut = cuts[i % n_cuts];
        uint32_t first = (uint32_t)s->n;
        atomic_store(written, first);
        server_killed_at(f,
                         i < n_cuts ? cut * (GY_SEGMENT_HEADER - 1) / (bytes - 1)
                                    : GY_SEGMENT_HEADER + whole[i / n_cuts] * bytes + cut,
                         first, written);
        if (i % 2) {
            read_on(c, s, 100); /* it stands at the piece when the rest comes */
        }
        if (i % 3 == 0) {
            c = reopen(f, c);
        }
        struct gy_predlog *l = open_log(f);
        gy_predlog_get_stats(l, &log);
        assert_int_equal(log.holes, 0);
        assert_int_equal(log.bad, 0);
        gy_predlog_close(l);
        memset(s->last, 0, sizeof s->last);
        read_on(c, s, 100);
        /* One more: appended, and killed before it was counted. */
        assert_true(s->n == atomic_load(written) || s->n == atomic_load(written) + 1);
        assert_true(s->n > first);
        assert_all_once(s, s->n);
        memset(s->last, 0, sizeof s->last);
        gy_log_cursor_stats(c, &stats);
        assert_int_equal(stats.holes, 0);
        assert_int_equal(stats.bad, 0);
    }
    gy_log_cursor_free(c);
    c = new_cursor(f); /* nor to those that come later */
    size_t given = 0;
    size_t n;
    assert_int_equal(gy_log_tail(c, MAX_SEEN, count_one, &given, &n, NULL), GY_OK);
    assert_int_equal(given, s->n);
    gy_log_cursor_stats(c, &stats);
    assert_int_equal(stats.holes, 0);
    assert_int_equal(stats.bad, 0);
    gy_log_cursor_free(c);
    gy_free(s);
    assert_int_equal(munmap(written, sizeof *written), 0);
}

static void test_failing_reader_gets_it_again(void **state)
{
    struct fixture *f = *state;
    struct gy_predlog *l = open_log(f);
    for (uint32_t i = 0; i < 20; i++) {
        append(l, &f->gen, 0, i);
    }
    assert_int_equal(gy_predlog_flush(l, false, NULL), GY_OK);
    struct gy_log_cursor *c = new_cursor(f);
    struct seen s = {.fail_in = 8};
    size_t n = 0;
    assert_int_equal(gy_log_tail(c, 100, see, &s, &n, NULL), GY_E_BUSY);
    assert_int_equal(n, 7);
    assert_int_equal(gy_log_cursor_marks(c)->at[0].seq, s.last[0]);
    read_on(c, &s, 100);
    assert_all_once(&s, 20);
    gy_log_cursor_free(c);
    gy_predlog_close(l);
}

static void test_no_news_is_cheap(void **state)
{
    struct fixture *f = *state;
    struct gy_predlog *l = open_log(f);
    for (uint32_t i = 0; i < 1000; i++) {
        append(l, &f->gen, (int)(i % 2), i);
    }
    gy_predlog_close(l);
    const struct timespec long_ago[2] = {{1700000000, 0}, {1700000000, 0}};
    assert_int_equal(utimensat(AT_FDCWD, f->dir, long_ago, 0), 0);
    struct gy_log_cursor *c = new_cursor(f);
    struct seen *s = gy_calloc(1, sizeof *s);
    struct gy_tail_stats before;
    struct gy_tail_stats after;
    read_on(c, s, 10000);
    gy_log_cursor_stats(c, &before);
    for (int i = 0; i < 100; i++) {
        read_on(c, s, 10000);
    }
    gy_log_cursor_stats(c, &after);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(after.scans, 1);
    assert_all_once(s, 1000);
    gy_log_cursor_free(c);
    gy_free(s);
}

/* ---- files made by hand ---- */

static const unsigned char boot[16] = {1, 0x8f, 0, 0, 0, 0, 0x70, 0, 0x80};

static void segment_file(struct fixture *f, uint32_t number, const char *suffix, char out[256])
{
    char name[128];
    gy_segment_name(boot, 0, number, suffix, name);
    (void)snprintf(out, 256, "%s/%s", f->dir, name);
}

static void write_file(const char *path, const void *p, size_t n, bool append_it)
{
    int fd = open(path, O_WRONLY | O_CREAT | (append_it ? O_APPEND : O_TRUNC), 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, n), n);
    assert_int_equal(close(fd), 0);
}

/* Frames of records first..last by number; their sequence numbers are one more. */
static size_t frames(struct fixture *f, uint32_t first, uint32_t last, char *to)
{
    size_t n = 0;
    for (uint32_t i = first; i <= last; i++) {
        struct gy_record r = log_record(&f->gen, i);
        r.seq = i + 1;
        gy_record_write(&r, to + n);
        n += gy_record_frame_bytes(&r);
    }
    return n;
}

static void make_segment(struct fixture *f, uint32_t number, const void *p, size_t n)
{
    char path[256];
    char header[GY_SEGMENT_HEADER];
    assert_int_equal(gy_dir_make(f->dir, NULL), GY_OK);
    gy_segment_header(boot, 0, number, header);
    segment_file(f, number, ".seg", path);
    write_file(path, header, sizeof header, false);
    write_file(path, p, n, true);
}

static void test_torn_end_is_waited_for(void **state)
{
    struct fixture *f = *state;
    char bytes[4096];
    char path[256];
    size_t n = frames(f, 0, 4, bytes);
    struct seen s = {0};
    struct gy_log_cursor *c = new_cursor(f);
    make_segment(f, 0, bytes, n - 40); /* the last record is being written */
    read_on(c, &s, 100);
    assert_all_once(&s, 4);
    segment_file(f, 0, ".seg", path);
    for (size_t at = n - 40; at < n; at += 8) {
        read_on(c, &s, 100);
        assert_int_equal(s.n, 4);
        write_file(path, bytes + at, 8, true);
    }
    read_on(c, &s, 100);
    assert_all_once(&s, 5);
    struct gy_tail_stats stats;
    gy_log_cursor_stats(c, &stats);
    assert_int_equal(stats.bad, 0);
    gy_log_cursor_free(c);
}

static void test_damage_and_holes(void **state)
{
    struct fixture *f = *state;
    char bytes[8192];
    size_t n = frames(f, 0, 9, bytes);
    size_t one = n / 10;
    bytes[3 * one + 100] ^= 1;        /* record 3: wrong checksum */
    memset(bytes + 6 * one, 0xff, 8); /* record 6: its length is nonsense */
    memset(bytes + 7 * one, 0, 8);
    make_segment(f, 0, bytes, n - 16); /* record 9 is torn, and the next segment is there already */
    make_segment(f, 1, bytes, frames(f, 10, 14, bytes));
    make_segment(f, 2, bytes, frames(f, 20, 24, bytes)); /* 15..19 never came */
    struct gy_log_cursor *c = new_cursor(f);
    struct seen s = {0};
    read_on(c, &s, 3);
    static const uint8_t want[25] = {1, 1, 1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 1,
                                     1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1};
    assert_memory_equal(s.times, want, sizeof want);
    struct gy_tail_stats stats;
    gy_log_cursor_stats(c, &stats);
    assert_int_equal(stats.bad, 3); /* 6 and 7 lie side by side: one place */
    assert_int_equal(stats.holes, 1 + 2 + 1 + 5);
    /* The same records again in a later file (a ring that was drained twice) are not given. */
    make_segment(f, 3, bytes, frames(f, 22, 26, bytes));
    c = reopen(f, c);
    read_on(c, &s, 3);
    assert_int_equal(s.times[22], 1);
    assert_int_equal(s.times[26], 1);
    gy_log_cursor_free(c);
}

/* What a killed server leaves: a segment with records 0..4 and a piece of 5, and a ring with
 * records from..9. */
static void leave_torn(struct fixture *f, uint32_t from, uint32_t flipped_bit)
{
    char key[17];
    char text[GY_UUID_TEXT];
    char path[256];
    char bytes[4096];
    size_t n;
    struct gy_ring *ring = NULL;
    assert_int_equal(gy_dir_make(f->dir, NULL), GY_OK);
    assert_int_equal(gy_predlog_key(f->dir, key, NULL), GY_OK);
    gy_uuid_text(boot, text);
    (void)snprintf(path, sizeof path, "%s/" GY_RING_PREFIX "%s-%s-00.ring", f->rings, key, text);
    assert_int_equal(gy_ring_create(path, boot, 0, 64 * GY_KIB, &ring, NULL), GY_OK);
    for (uint32_t i = 0; i < 10; i++) {
        if (i == from) {
            (void)gy_ring_peek(ring, &n);
            gy_ring_consume(ring, n);
        }
        struct gy_record r = log_record(&f->gen, i);
        assert_true(gy_ring_append(ring, &r));
        if (i == 5) {
            const char *run = gy_ring_peek(ring, &n);
            assert_true(n <= sizeof bytes);
            memcpy(bytes, run, n);
            n = n / 6 * 5 + 40;
            bytes[n - 1] ^= (char)flipped_bit;
            make_segment(f, 0, bytes, n);
        }
    }
    gy_ring_close(ring);
}

/* The next server has started: what readers and it count then. */
static void recover_torn(struct fixture *f, struct seen *s, uint64_t bad, uint64_t holes)
{
    struct gy_log_cursor *c = new_cursor(f);
    read_on(c, s, 100);
    struct gy_predlog *l = open_log(f);
    struct gy_predlog_stats log;
    gy_predlog_get_stats(l, &log);
    assert_int_equal(log.bad, bad);
    gy_predlog_close(l);
    read_on(c, s, 100);
    struct gy_tail_stats stats;
    gy_log_cursor_stats(c, &stats);
    assert_int_equal(stats.bad, bad);
    assert_int_equal(stats.holes, holes);
    gy_log_cursor_free(c);
}

static void test_torn_end_is_finished(void **state)
{
    struct fixture *f = *state;
    struct seen s = {0};
    char path[256];
    struct gy_segment_info info;
    leave_torn(f, 0, 0);
    recover_torn(f, &s, 0, 0);
    assert_all_once(&s, 10);
    segment_file(f, 0, ".seg", path);
    assert_int_equal(gy_segment_sealed(path, &info, NULL), GY_OK);
    assert_int_equal(info.records, 6);
    assert_int_equal(info.bad, 0);
}

static void test_torn_end_that_is_damaged(void **state)
{
    struct fixture *f = *state;
    struct seen s = {0};
    leave_torn(f, 0, 1); /* the piece is not the beginning of what the ring has */
    recover_torn(f, &s, 1, 0);
    assert_all_once(&s, 10);
}

static void test_torn_end_that_is_lost(void **state)
{
    struct fixture *f = *state;
    struct seen s = {0};
    leave_torn(f, 7, 0); /* the ring does not have 5, and 6 is nowhere */
    recover_torn(f, &s, 1, 2);
    static const uint8_t want[10] = {1, 1, 1, 1, 1, 0, 0, 1, 1, 1};
    assert_memory_equal(s.times, want, sizeof want);
}

static void test_sealed_and_grown_between_calls(void **state)
{
    struct fixture *f = *state;
    char bytes[4096];
    char path[256];
    char index[256];
    struct gy_segment_info info;
    struct seen s = {0};
    struct gy_log_cursor *c = new_cursor(f);
    make_segment(f, 0, bytes, frames(f, 0, 2, bytes));
    read_on(c, &s, 100);
    segment_file(f, 0, ".seg", path);
    segment_file(f, 0, ".idx", index);
    write_file(path, bytes, frames(f, 3, 5, bytes), true);
    assert_int_equal(gy_segment_seal(path, &info, NULL), GY_OK);
    read_on(c, &s, 100);
    assert_all_once(&s, 6);
    make_segment(f, 1, bytes, frames(f, 6, 8, bytes)); /* recovery adds one behind a sealed one */
    read_on(c, &s, 100);
    assert_all_once(&s, 9);
    /* Old files go: their stream stays known while one of it is there, then it is forgotten. */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(index), 0);
    read_on(c, &s, 100);
    c = reopen(f, c);
    read_on(c, &s, 100);
    assert_all_once(&s, 9);
    assert_int_equal(gy_log_cursor_marks(c)->n, 1);
    segment_file(f, 1, ".seg", path);
    assert_int_equal(unlink(path), 0);
    c = reopen(f, c);
    read_on(c, &s, 100);
    assert_int_equal(gy_log_cursor_marks(c)->n, 0);
    gy_log_cursor_free(c);
}

/* Killed between making a file and writing its header: recovery makes another with that number. */
static void test_replaced_file_is_read(void **state)
{
    struct fixture *f = *state;
    char bytes[4096];
    char path[256];
    struct gy_segment_info info;
    struct seen s = {0};
    struct gy_log_cursor *c = new_cursor(f);
    make_segment(f, 0, bytes, frames(f, 0, 2, bytes));
    segment_file(f, 1, ".seg", path);
    write_file(path, "", 0, false);
    read_on(c, &s, 100);
    assert_all_once(&s, 3);
    assert_int_equal(unlink(path), 0);
    make_segment(f, 1, bytes, frames(f, 3, 5, bytes));
    assert_int_equal(gy_segment_seal(path, &info, NULL), GY_OK);
    read_on(c, &s, 100);
    assert_all_once(&s, 6);
    gy_log_cursor_free(c);
}

/* ---- marks ---- */

static struct gy_log_marks marks_of(const char *json)
{
    struct gy_log_marks m = {0};
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_log_marks_read(&m, gy_str_c(json), &err), err);
    return m;
}

static void assert_marks(const struct gy_log_marks *m, const char *json)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &b);
    gy_log_marks_write(m, &w);
    assert_str(gy_buf_str(&b), json);
}

#define BOOT_A "018f0000-0000-7000-8000-000000000001"
#define BOOT_B "018f0000-0000-7000-8000-000000000002"

static void test_marks(void **state)
{
    (void)state;
    struct gy_log_marks a =
        marks_of("{\"" BOOT_B "-00\":7,\"" BOOT_A "-01\":[4,40],\"" BOOT_A "-00\":3}");
    struct gy_log_marks b = marks_of("{\"" BOOT_A "-01\":[4,39],\"" BOOT_B "-00\":9}");
    assert_marks(&a, "{\"" BOOT_A "-00\":3,\"" BOOT_A "-01\":[4,40],\"" BOOT_B "-00\":7}");
    const struct gy_log_mark *m = &a.at[1];
    assert_int_equal(gy_log_marks_rows_done(&a, m->boot, 1, 4, 100), 100);
    assert_int_equal(gy_log_marks_rows_done(&a, m->boot, 1, 5, 100), 40);
    assert_int_equal(gy_log_marks_rows_done(&a, m->boot, 1, 5, 30), 30);
    assert_int_equal(gy_log_marks_rows_done(&a, m->boot, 1, 6, 100), 0);
    assert_int_equal(gy_log_marks_rows_done(&a, m->boot, 2, 1, 100), 0);
    struct gy_log_marks low = {0};
    assert_int_equal(gy_log_marks_copy(&low, &a, NULL), GY_OK);
    gy_log_marks_min(&low, &b);
    assert_marks(&low, "{\"" BOOT_A "-01\":[4,39],\"" BOOT_B "-00\":7}");
    assert_int_equal(gy_log_marks_max(&a, &b, NULL), GY_OK);
    assert_marks(&a, "{\"" BOOT_A "-00\":3,\"" BOOT_A "-01\":[4,40],\"" BOOT_B "-00\":9}");
    static const char *const bad[] = {"[]",
                                      "{\"x\":1}",
                                      "{\"" BOOT_A "-00\":-1}",
                                      "{\"" BOOT_A "-00\":[1]}",
                                      "{\"" BOOT_A "-00\":[1,-2]}",
                                      "{\"" BOOT_A "-\":1}",
                                      "{\"" BOOT_A "\":1}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(gy_log_marks_read(&b, gy_str_c(bad[i]), NULL), GY_E_INVALID);
        assert_int_equal(b.n, 0);
    }
    assert_int_equal(gy_log_marks_read(&b, GY_STR_NULL, NULL), GY_OK);
    gy_log_marks_done(&a);
    gy_log_marks_done(&b);
    gy_log_marks_done(&low);
}

static gy_status tortured(void *ctx, struct gy_err *err)
{
    struct fixture *f = ctx;
    size_t given = 0;
    size_t n;
    GY_AUTO(gy_log_cursor_free) struct gy_log_cursor *c = NULL;
    GY_TRY(gy_log_cursor_new(f->dir, &c, err));
    GY_TRY(gy_log_tail(c, 2, count_one, &given, &n, err));
    GY_TRY(gy_log_tail(c, 100, count_one, &given, &n, err));
    assert_int_equal(given, 10);
    return GY_OK;
}

static void test_out_of_memory(void **state)
{
    struct fixture *f = *state;
    char bytes[4096];
    make_segment(f, 0, bytes, frames(f, 0, 4, bytes));
    make_segment(f, 1, bytes, frames(f, 5, 9, bytes));
    torture(tortured, f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks),
        cmocka_unit_test_setup_teardown(test_nothing_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_live_log_each_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_servers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_within_a_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failing_reader_gets_it_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_news_is_cheap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torn_end_is_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage_and_holes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torn_end_is_finished, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torn_end_that_is_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torn_end_that_is_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sealed_and_grown_between_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replaced_file_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* One conformance suite over every backend of the object store, then what only the folder has to
 * keep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/time.h"
#include "faulty.h"
#include "net/call.h"
#include "s3_server.h"
#include "scratch.h"
#include "store/objects.h"
#include "store/objects_s3.h"

#define HELLO                                                                                      \
    "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" /* SHA-256 of "hello", FIPS \
                                                                          180-4 */
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

enum backend { FOLDER, MEMORY, FAULTY, S3 };

struct world {
    struct scratch *s;
    char folder[128];
    struct gy_objects *o;
    struct faulty_objects faulty;
    unsigned tick_us; /* two puts so far apart have different ages */
    bool slow;        /* a put takes milliseconds */
};

static struct s3_server g_s3; /* one for all tests, each with a prefix of its own */
static struct scratch *g_s3_scratch;

static gy_status open_s3(struct world *w, struct gy_err *err)
{
    static int number;
    char cache[160], url[64];
    snprintf(cache, sizeof cache, "%s/cache", w->s->dir);
    snprintf(url, sizeof url, "s3://bucket/test %d/objects/", number++);
    struct gy_objects_s3_options o = {.url = url,
                                      .s3 = {.endpoint = g_s3.endpoint, .keys = &g_s3.keys},
                                      .cache_dir = cache,
                                      .young_us = -1};
    return gy_objects_open_s3(&o, &w->o, err);
}

static int setup_as(void **state, enum backend b)
{
    struct world *w = calloc(1, sizeof *w);
    w->s = scratch_new();
    w->tick_us = b == S3 ? 1100000 : 20000; /* S3 cuts times to seconds */
    w->slow = b == S3;
    snprintf(w->folder, sizeof w->folder, "%s/objects", w->s->dir);
    *state = w;
    if (b == S3 && !g_s3.pid) {
        return 0; /* teardown follows; the test itself says that it is skipped */
    }
    struct gy_err err = GY_ERR_INIT;
    gy_status status = b == S3 ? open_s3(w, &err)
                               : gy_objects_open(b == MEMORY ? "memory:" : w->folder, &w->o, &err);
    if (status == GY_OK && b == FAULTY) {
        struct gy_objects *inner = GY_TAKE(w->o);
        status = faulty_objects(&w->faulty, &inner, &w->o, &err);
    }
    if (status != GY_OK) {
        fail_msg("%s", err.msg);
    }
    return 0;
}

static int setup_folder(void **state)
{
    return setup_as(state, FOLDER);
}

static int setup_memory(void **state)
{
    return setup_as(state, MEMORY);
}

static int setup_faulty(void **state)
{
    return setup_as(state, FAULTY);
}

static int setup_s3(void **state)
{
    return setup_as(state, S3);
}

static int teardown(void **state)
{
    struct world *w = *state;
    gy_file_set_fault(NULL, NULL);
    gy_objects_free(w->o);
    scratch_free(w->s);
    free(w);
    return 0;
}

/* The world of a test that runs on all backends. */
static struct world *here(void **state)
{
    struct world *w = *state;
    if (!w->o) {
        print_message("skipped: no S3 server (deps/s3-server.sh)\n");
        skip();
    }
    return w;
}

static void expect_bytes(struct gy_objects *o, const char *sha, struct gy_str bytes)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    assert_int_equal(gy_objects_get(o, sha, &b, NULL), GY_OK);
    assert_true(gy_str_eq(gy_buf_str(&b), bytes));
    assert_int_equal(gy_objects_verify(o, sha, NULL), GY_OK);
    assert_true(gy_objects_has(o, sha));
    int fd;
    int64_t size;
    assert_int_equal(gy_objects_open_fd(o, sha, &fd, &size, NULL), GY_OK);
    assert_int_equal(size, bytes.n);
    char first;
    assert_int_equal(read(fd, &first, 1), bytes.n ? 1 : 0);
    close(fd);
}

static void what_was_put_comes_back(void **state)
{
    struct world *w = here(state);
    char sha[GY_SHA256_HEX];
    assert_false(gy_objects_has(w->o, HELLO));
    assert_int_equal(gy_objects_put(w->o, GY_STR("hello"), sha, NULL), GY_OK);
    assert_string_equal(sha, HELLO);
    expect_bytes(w->o, sha, GY_STR("hello"));
    assert_int_equal(gy_objects_put(w->o, GY_STR("hello"), sha, NULL), GY_OK); /* the same is one */
    expect_bytes(w->o, sha, GY_STR("hello"));
    assert_int_equal(gy_objects_put(w->o, GY_STR(""), sha, NULL), GY_OK);
    assert_string_equal(sha, EMPTY);
    expect_bytes(w->o, sha, GY_STR(""));
}

static void names_are_checked(void **state)
{
    struct world *w = here(state);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    const char *bad[] = {
        "", "../../etc/passwd", "2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824",
        HELLO "0", "zcf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int fd;
        int64_t size;
        assert_int_equal(gy_objects_get(w->o, bad[i], &b, NULL), GY_E_INVALID);
        assert_int_equal(gy_objects_open_fd(w->o, bad[i], &fd, &size, NULL), GY_E_INVALID);
        assert_int_equal(gy_objects_verify(w->o, bad[i], NULL), GY_E_INVALID);
        assert_false(gy_objects_has(w->o, bad[i]));
    }
    assert_false(gy_objects_has(w->o, NULL));
    assert_int_equal(gy_objects_get(w->o, HELLO, &b, NULL), GY_E_NOTFOUND);
    assert_int_equal(gy_objects_verify(w->o, HELLO, NULL), GY_E_NOTFOUND);
}

/* A megabyte and a bit, in uneven pieces. */
struct pieces {
    struct gy_reader reader;
    struct gy_str rest;
    size_t step;
    size_t fail_below; /* NETWORK when less than this is left */
};

static gy_status read_piece(struct gy_reader *self, char *buf, size_t n, size_t *ret_n,
                            struct gy_err *err)
{
    struct pieces *p = (struct pieces *)self;
    if (p->rest.n < p->fail_below) {
        return gy_err_set(err, GY_E_NETWORK, "the peer went away");
    }
    size_t take = p->step < n ? p->step : n;
    take = take < p->rest.n ? take : p->rest.n;
    memcpy(buf, p->rest.p, take);
    p->rest = gy_str_sub(p->rest, take, SIZE_MAX);
    p->step = p->step % 9973 + 1017;
    *ret_n = take;
    return GY_OK;
}

static char *pattern(size_t n)
{
    char *bytes = malloc(n);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (char)(i * 7 + i / 251);
    }
    return bytes;
}

static void streams_go_in_and_out(void **state)
{
    struct world *w = here(state);
    size_t n = GY_MIB / 2 + 12345;
    char *bytes = pattern(n), sha[GY_SHA256_HEX], again[GY_SHA256_HEX], path[256];
    struct pieces p = {
        .reader = {.read = read_piece, .size_bytes = -1}, .rest = {bytes, n}, .step = 1};
    int64_t size = 0;
    assert_int_equal(gy_objects_put_reader(w->o, &p.reader, (int64_t)n, sha, &size, NULL), GY_OK);
    assert_int_equal(size, n);
    expect_bytes(w->o, sha, gy_str_n(bytes, n));
    snprintf(path, sizeof path, "%s/out", w->s->dir);
    assert_int_equal(gy_objects_checkout(w->o, sha, path, NULL), GY_OK);
    assert_int_equal(gy_file_size(path), n);
    assert_int_equal(gy_objects_put_file(w->o, path, again, NULL), GY_OK);
    assert_string_equal(again, sha);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644); /* a copy, to be changed freely */
    assert_int_equal(st.st_nlink, 1);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf small;
    gy_buf_init(&small, n - 1);
    assert_int_equal(gy_objects_get(w->o, sha, &small, NULL), GY_E_TOOBIG);
    free(bytes);
}

static void a_stream_over_the_ceiling_or_cut_short_leaves_nothing(void **state)
{
    struct world *w = here(state);
    char *bytes = pattern(5000), sha[GY_SHA256_HEX], real[GY_SHA256_HEX];
    assert_int_equal(gy_sha256_hex(gy_str_n(bytes, 5000), real, NULL), GY_OK);
    struct pieces p = {
        .reader = {.read = read_piece, .size_bytes = -1}, .rest = {bytes, 5000}, .step = 1};
    assert_int_equal(gy_objects_put_reader(w->o, &p.reader, 4999, sha, NULL, NULL), GY_E_TOOBIG);
    struct pieces cut = {
        .reader = {.read = read_piece}, .rest = {bytes, 5000}, .step = 1, .fail_below = 1000};
    assert_int_equal(gy_objects_put_reader(w->o, &cut.reader, INT64_MAX, sha, NULL, NULL),
                     GY_E_NETWORK);
    assert_false(gy_objects_has(w->o, real));
    assert_int_equal(gy_objects_put_file(w->o, "/no/such/file", sha, NULL), GY_E_NOTFOUND);
    free(bytes);
}

struct putter {
    pthread_t thread;
    struct gy_objects *o;
    int number, failures;
};

static void *put_many(void *arg)
{
    struct putter *p = arg;
    for (int i = 0; i < 40; i++) {
        char text[32], sha[GY_SHA256_HEX];
        int n = snprintf(text, sizeof text, "object %d",
                         i % 2 ? i : i * 100 + p->number); /* half of them shared */
        p->failures += gy_objects_put(p->o, gy_str_n(text, (size_t)n), sha, NULL) != GY_OK;
        p->failures += gy_objects_verify(p->o, sha, NULL) != GY_OK;
    }
    return NULL;
}

static void threads_may_put_the_same(void **state)
{
    struct world *w = here(state);
    struct putter p[8];
    for (int i = 0; i < 8; i++) {
        p[i] = (struct putter){.o = w->o, .number = i};
        assert_int_equal(pthread_create(&p[i].thread, NULL, put_many, &p[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(p[i].thread, NULL);
        assert_int_equal(p[i].failures, 0);
    }
}

/* Each allocation in turn fails: an error, no leak (the teardown asks), and the next try succeeds.
 */
static void want_of_memory_is_an_error(void **state)
{
    struct world *w = here(state);
    int failures = 0;
    for (uint64_t nth = 1; nth < 200; nth++) {
        char text[32], sha[GY_SHA256_HEX], path[256];
        GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
        gy_buf_init(&b, GY_MIB);
        struct gy_str bytes =
            gy_str_n(text, (size_t)snprintf(text, sizeof text, "text %d", (int)nth));
        struct pieces p = {.reader = {.read = read_piece}, .rest = GY_STR("streamed"), .step = 3};
        snprintf(path, sizeof path, "%s/out", w->s->dir);
        gy_mem_fail_at(nth, 1);
        gy_status status = gy_objects_put(w->o, bytes, sha, NULL);
        status = status == GY_OK ? gy_objects_get(w->o, sha, &b, NULL) : status;
        status = status == GY_OK ? gy_objects_checkout(w->o, sha, path, NULL) : status;
        status =
            status == GY_OK ? gy_objects_put_reader(w->o, &p.reader, 100, sha, NULL, NULL) : status;
        bool fired = gy_mem_count() >= nth;
        gy_mem_fail_at(0, 0);
        if (!fired) {
            assert_true(failures > 3);
            assert_int_equal(status, GY_OK);
            return;
        }
        if (status != GY_OK || !w->slow) { /* that a local copy is not kept is no failure */
            assert_int_equal(status, GY_E_NOMEM);
            failures++;
        }
        assert_int_equal(gy_objects_put(w->o, bytes, sha, NULL), GY_OK);
        expect_bytes(w->o, sha, bytes);
    }
    fail_msg("the run never came to its end");
}

/* ---- collecting garbage ---- */

struct seen {
    struct gy_objects *o;
    char names[300][GY_SHA256_HEX];
    int64_t sizes[300], modified_us[300];
    int n;
    bool remove; /* each as it comes */
    int fail_at; /* the Nth ends it, 0: none */
};

static gy_status see(void *ctx, const char *sha256, int64_t size_bytes, int64_t modified_us,
                     struct gy_err *err)
{
    struct seen *s = ctx;
    assert_true(s->n < 300);
    snprintf(s->names[s->n], GY_SHA256_HEX, "%s", sha256);
    s->sizes[s->n] = size_bytes;
    s->modified_us[s->n++] = modified_us;
    if (s->n == s->fail_at) {
        return gy_err_set(err, GY_E_CONFLICT, "enough");
    }
    return s->remove ? gy_objects_remove(s->o, sha256, err) : GY_OK;
}

static void a_listing_has_each_object_once_in_order(void **state)
{
    struct world *w = here(state);
    struct seen s = {.o = w->o};
    char sha[GY_SHA256_HEX], text[32];
    assert_int_equal(gy_objects_list(w->o, see, &s, NULL), GY_OK);
    assert_int_equal(s.n, 0);
    int64_t from = gy_now_us() - 2000000; /* clocks of file systems may be coarser than ours */
    for (int i = 0; i < 250; i++) {
        int n = snprintf(text, sizeof text, "%0*d", i % 20 + 1, i);
        assert_int_equal(gy_objects_put(w->o, gy_str_n(text, (size_t)n), sha, NULL), GY_OK);
        assert_int_equal(gy_objects_put(w->o, gy_str_n(text, (size_t)n), sha, NULL), GY_OK);
    }
    assert_int_equal(gy_objects_list(w->o, see, &s, NULL), GY_OK);
    assert_int_equal(s.n, 250);
    int64_t bytes = 0;
    for (int i = 0; i < s.n; i++) {
        assert_true(i == 0 || strcmp(s.names[i - 1], s.names[i]) < 0);
        assert_true(s.modified_us[i] >= from && s.modified_us[i] <= gy_now_us() + 2000000);
        GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
        gy_buf_init(&b, GY_MIB);
        assert_int_equal(gy_objects_get(w->o, s.names[i], &b, NULL), GY_OK);
        assert_int_equal(s.sizes[i], b.n);
        bytes += s.sizes[i];
    }
    assert_true(bytes > 250 * 10);
    s = (struct seen){.o = w->o, .fail_at = 7};
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_objects_list(w->o, see, &s, &err), GY_E_CONFLICT);
    assert_string_equal(err.msg, "enough");
    assert_int_equal(s.n, 7);
    s = (struct seen){.o = w->o, .remove = true};
    assert_int_equal(gy_objects_list(w->o, see, &s, NULL), GY_OK);
    assert_int_equal(s.n, 250);
    s = (struct seen){.o = w->o};
    assert_int_equal(gy_objects_list(w->o, see, &s, NULL), GY_OK);
    assert_int_equal(s.n, 0);
}

static void what_was_removed_is_gone_and_can_come_back(void **state)
{
    struct world *w = here(state);
    char sha[GY_SHA256_HEX], all[8];
    int fd;
    int64_t size;
    assert_int_equal(gy_objects_put(w->o, GY_STR("hello"), sha, NULL), GY_OK);
    assert_int_equal(gy_objects_open_fd(w->o, HELLO, &fd, &size, NULL), GY_OK);
    assert_int_equal(gy_objects_remove(w->o, HELLO, NULL), GY_OK);
    assert_int_equal(read(fd, all, sizeof all), 5); /* who has it open reads on */
    close(fd);
    assert_false(gy_objects_has(w->o, HELLO));
    assert_int_equal(gy_objects_open_fd(w->o, HELLO, &fd, &size, NULL), GY_E_NOTFOUND);
    assert_int_equal(gy_objects_remove(w->o, HELLO, NULL), GY_OK); /* again: nothing to do */
    assert_int_equal(gy_objects_remove(w->o, "../hello", NULL), GY_E_INVALID);
    assert_int_equal(gy_objects_put(w->o, GY_STR("hello"), sha, NULL), GY_OK);
    expect_bytes(w->o, HELLO, GY_STR("hello"));
}

static void a_put_of_the_same_makes_an_object_young(void **state)
{
    struct world *w = here(state);
    char sha[GY_SHA256_HEX];
    bool removed = true;
    struct seen s = {.o = w->o};
    struct pieces p = {.reader = {.read = read_piece}, .rest = GY_STR("hello"), .step = 3};
    assert_int_equal(gy_objects_put(w->o, GY_STR("hello"), sha, NULL), GY_OK);
    assert_int_equal(gy_objects_list(w->o, see, &s, NULL), GY_OK);
    assert_int_equal(s.n, 1);
    int64_t put_at = s.modified_us[0];
    assert_int_equal(gy_objects_remove_older(w->o, HELLO, put_at, &removed, NULL), GY_OK);
    assert_false(removed);
    for (int streamed = 0; streamed < 2; streamed++) {
        usleep(w->tick_us);
        int64_t limit = s.modified_us[0] + 1; /* older than this is garbage, as it was listed */
        assert_int_equal(streamed ? gy_objects_put_reader(w->o, &p.reader, 100, sha, NULL, NULL)
                                  : gy_objects_put(w->o, GY_STR("hello"), sha, NULL),
                         GY_OK);
        assert_int_equal(gy_objects_remove_older(w->o, HELLO, limit, &removed, NULL), GY_OK);
        assert_false(removed);
        expect_bytes(w->o, HELLO, GY_STR("hello"));
        s.n = 0;
        assert_int_equal(gy_objects_list(w->o, see, &s, NULL), GY_OK);
        assert_true(s.modified_us[0] >= limit);
    }
    assert_int_equal(gy_objects_remove_older(w->o, HELLO, s.modified_us[0] + 1, &removed, NULL),
                     GY_OK);
    assert_true(removed);
    assert_int_equal(gy_objects_remove_older(w->o, HELLO, INT64_MAX, &removed, NULL), GY_OK);
    assert_false(removed);
}

/* A collector that takes an object the moment it is as old as it was when the round began, and
 * putters of the same bytes: after a put has returned, the object is there until the next round. */
struct race {
    struct gy_objects *o;
    atomic_bool stop;
    atomic_int removals, failures;
    pthread_rwlock_t round; /* putters hold it from before the put until they have looked */
    _Atomic int64_t limit_us;
    unsigned tick_us;
    int puts; /* of each putter, in rounds of 10 */
};

static void *collect(void *arg)
{
    struct race *r = arg;
    while (!atomic_load(&r->stop)) {
        bool removed = false;
        gy_status status =
            gy_objects_remove_older(r->o, HELLO, atomic_load(&r->limit_us), &removed, NULL);
        atomic_fetch_add(&r->failures, status != GY_OK);
        atomic_fetch_add(&r->removals, removed);
    }
    return NULL;
}

static void *put_and_look(void *arg)
{
    struct race *r = arg;
    long missing = 0;
    for (int i = 0; i < r->puts; i++) {
        char sha[GY_SHA256_HEX];
        pthread_rwlock_rdlock(&r->round);
        missing += gy_objects_put(r->o, GY_STR("hello"), sha, NULL) != GY_OK;
        missing += !gy_objects_has(r->o, HELLO);
        pthread_rwlock_unlock(&r->round);
        if (i % 10 == 0) {
            pthread_rwlock_wrlock(&r->round); /* nobody is between a put and its look */
            usleep(r->tick_us); /* what was put is older than the limit, on a coarse clock too, */
            atomic_store(&r->limit_us, gy_now_us());
            usleep(r->tick_us); /* and what is put from now on is younger */
            pthread_rwlock_unlock(&r->round);
        }
    }
    return (void *)missing;
}

static void removal_never_takes_what_was_just_put(void **state)
{
    struct world *w = here(state);
    struct race r = {.o = w->o, .tick_us = w->tick_us, .puts = w->slow ? 30 : 300};
    pthread_t collector, putter[2];
    assert_int_equal(pthread_rwlock_init(&r.round, NULL), 0);
    assert_int_equal(pthread_create(&collector, NULL, collect, &r), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&putter[i], NULL, put_and_look, &r), 0);
    }
    for (int i = 0; i < 2; i++) {
        void *missing;
        pthread_join(putter[i], &missing);
        assert_null(missing);
    }
    atomic_store(&r.stop, true);
    pthread_join(collector, NULL);
    assert_true(atomic_load(&r.removals) > 0);
    assert_int_equal(atomic_load(&r.failures), 0);
    pthread_rwlock_destroy(&r.round);
}

/* ---- the folder ---- */

static void object_file(const struct world *w, const char *sha, char out[256])
{
    snprintf(out, 256, "%s/%.2s/%s", w->folder, sha, sha + 2);
}

static void the_layout_is_as_documented(void **state)
{
    struct world *w = *state;
    char sha[GY_SHA256_HEX], path[256];
    struct stat st;
    assert_int_equal(gy_objects_put(w->o, GY_STR("hello"), sha, NULL), GY_OK);
    object_file(w, HELLO, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0444);
    gy_objects_free(w->o);
    char url[256];
    snprintf(url, sizeof url, "file://%s/", w->folder);
    assert_int_equal(gy_objects_open(url, &w->o, NULL), GY_OK);
    expect_bytes(w->o, HELLO, GY_STR("hello"));
}

static void damage_is_seen_and_a_cut_object_heals(void **state)
{
    struct world *w = *state;
    char sha[GY_SHA256_HEX], path[256], out[256];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    assert_int_equal(gy_objects_put(w->o, GY_STR("hello"), sha, NULL), GY_OK);
    object_file(w, sha, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(gy_file_write(path, GY_STR("jello"), 0444, NULL), GY_OK);
    assert_int_equal(gy_objects_verify(w->o, sha, NULL), GY_E_CORRUPT);
    assert_int_equal(gy_objects_get(w->o, sha, &b, NULL), GY_E_CORRUPT);
    snprintf(out, sizeof out, "%s/out", w->s->dir);
    assert_int_equal(gy_objects_checkout(w->o, sha, out, NULL), GY_E_CORRUPT);
    assert_false(gy_path_exists(out));
    assert_int_equal(gy_file_write(path, GY_STR("hel"), 0444, NULL), GY_OK);
    assert_int_equal(gy_objects_put(w->o, GY_STR("hello"), sha, NULL), GY_OK);
    expect_bytes(w->o, sha, GY_STR("hello"));
}

struct nth {
    int at, seen;
    int error;
};

static int fail_nth(void *ctx, const char *op, const char *path)
{
    struct nth *n = ctx;
    (void)op;
    (void)path;
    return ++n->seen >= n->at ? n->error : 0;
}

/* From the Nth system call on the disk is full: an object is wholly there or not at all, and what
 * was acknowledged stays. */
static void a_full_disk_leaves_whole_objects_only(void **state)
{
    struct world *w = *state;
    for (int at = 1; at < 100; at++) {
        char text[32], sha[GY_SHA256_HEX], name[GY_SHA256_HEX];
        struct gy_str bytes = gy_str_n(text, (size_t)snprintf(text, sizeof text, "text %d", at));
        struct nth n = {.at = at, .error = at % 2 ? ENOSPC : EIO};
        assert_int_equal(gy_sha256_hex(bytes, name, NULL), GY_OK);
        gy_file_set_fault(fail_nth, &n);
        gy_status status = gy_objects_put(w->o, bytes, sha, NULL);
        gy_file_set_fault(NULL, NULL);
        if (n.seen < at) {
            assert_int_equal(status, GY_OK);
            assert_true(at > 4); /* mkdir, its sync, open, write, sync, rename, sync */
            expect_bytes(w->o, name, bytes);
            return;
        }
        assert_int_equal(status, at % 2 ? GY_E_NOSPACE : GY_E_IO);
        if (gy_objects_has(w->o, name)) {
            expect_bytes(w->o, name, bytes);
        }
        assert_int_equal(gy_objects_put(w->o, bytes, sha, NULL), GY_OK);
        expect_bytes(w->o, name, bytes);
    }
    fail_msg("the run never came to its end");
}

static void a_second_putter_syncs_what_the_first_may_not_have(void **state)
{
    struct world *w = *state;
    char sha[GY_SHA256_HEX];
    assert_int_equal(gy_objects_put(w->o, GY_STR("hello"), sha, NULL), GY_OK);
    struct nth n = {.at = 1, .error = EIO};
    gy_file_set_fault(fail_nth, &n);
    gy_status status = gy_objects_put(w->o, GY_STR("hello"), sha, NULL);
    gy_file_set_fault(NULL, NULL);
    assert_int_equal(status, GY_E_IO); /* not acknowledged without a sync of its own */
}

/* Opened a day later, the leavings of a crash are gone; a put that is under way stays. */
static void leavings_of_a_crash_go(void **state)
{
    struct world *w = *state;
    char path[256];
    snprintf(path, sizeof path, "%s/tmp/put.0123456789abcdef.tmp", w->folder);
    assert_int_equal(gy_file_write(path, GY_STR("half of an obj"), 0444, NULL), GY_OK);
    for (int days = 0; days < 2; days++) {
        gy_objects_free(w->o);
        gy_time_set_fake(gy_now_us() + days * 25 * 3600 * INT64_C(1000000));
        assert_int_equal(gy_objects_open(w->folder, &w->o, NULL), GY_OK);
        gy_time_set_fake(0);
        assert_int_equal(gy_path_exists(path), days == 0);
    }
}

static void a_listing_leaves_out_what_is_no_whole_object(void **state)
{
    struct world *w = *state;
    struct seen s = {.o = w->o};
    char sha[GY_SHA256_HEX], path[256];
    int64_t n = 0;
    assert_int_equal(gy_objects_put(w->o, GY_STR("hello"), sha, NULL), GY_OK);
    const char *others[] = {"tmp/put.0123456789abcdef.tmp", "2c/README", "2c/.x", "stray"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", w->folder, others[i]);
        assert_int_equal(gy_file_write(path, GY_STR("half of an obj"), 0444, NULL), GY_OK);
    }
    snprintf(path, sizeof path, "%s/%.2s/%s", w->folder, EMPTY, &EMPTY[2]);
    assert_int_equal(gy_dir_make(path, NULL), GY_OK);
    assert_int_equal(gy_objects_list(w->o, see, &s, NULL), GY_OK);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.names[0], HELLO);
    assert_int_equal(gy_objects_clean(w->o, gy_now_us() - 60000000, &n, NULL), GY_OK);
    assert_int_equal(n, 0);
    assert_int_equal(gy_objects_clean(w->o, gy_now_us() + 60000000, &n, NULL), GY_OK);
    assert_int_equal(n, 1);
    expect_bytes(w->o, HELLO, GY_STR("hello"));
}

static void other_urls_are_refused(void **state)
{
    struct world *w = *state;
    struct gy_objects *o = NULL;
    char path[256], deep[5000];
    assert_int_equal(gy_objects_open("gs://bucket/x", &o, NULL), GY_E_UNSUPPORTED);
    assert_int_equal(gy_objects_open("s3://bucket/x", &o, NULL), GY_E_INVALID); /* no cache */
    assert_int_equal(gy_objects_open("file://relative", &o, NULL), GY_E_INVALID);
    assert_int_equal(gy_objects_open("", &o, NULL), GY_E_INVALID);
    assert_int_equal(gy_objects_open(NULL, &o, NULL), GY_E_INVALID);
    memset(deep, 'x', sizeof deep);
    deep[0] = '/';
    deep[sizeof deep - 1] = '\0';
    assert_int_equal(gy_objects_open(deep, &o, NULL), GY_E_INVALID);
    snprintf(path, sizeof path, "%s/plain", w->s->dir);
    assert_int_equal(gy_file_write(path, GY_STR("x"), 0644, NULL), GY_OK);
    assert_int_not_equal(gy_objects_open(path, &o, NULL), GY_OK);
    assert_null(o);
}

/* ---- the wrapper ---- */

static void each_failing_operation_is_an_error(void **state)
{
    struct world *w = *state;
    struct fault *f = &w->faulty.fault;
    for (long at = 1; at < 100; at++) {
        char text[32], sha[GY_SHA256_HEX];
        GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
        gy_buf_init(&b, GY_MIB);
        struct gy_str bytes = gy_str_n(text, (size_t)snprintf(text, sizeof text, "text %ld", at));
        fault_reset(f, FAULT_OBJECTS_ALL, at, true);
        gy_status status = gy_objects_put(w->o, bytes, sha, NULL);
        status = status == GY_OK ? gy_objects_get(w->o, sha, &b, NULL) : status;
        long fired = f->fired;
        fault_reset(f, 0, 0, false);
        if (fired == 0) {
            assert_int_equal(status, GY_OK);
            assert_int_equal(at, 6); /* find, begin, write, commit, open */
            return;
        }
        assert_int_equal(status, GY_E_IO);
        assert_int_equal(gy_objects_put(w->o, bytes, sha, NULL), GY_OK);
    }
    fail_msg("the run never came to its end");
}

#define ON_ALL(test)                                             \
    {#test " (folder)", test, setup_folder, teardown, NULL},     \
        {#test " (memory)", test, setup_memory, teardown, NULL}, \
        {#test " (faulty)", test, setup_faulty, teardown, NULL}, \
    {                                                            \
#test " (s3)", test, setup_s3, teardown, NULL            \
    }

static int start_s3(void **state)
{
    (void)state;
    g_s3_scratch = scratch_new();
    (void)s3_server_start(&g_s3, g_s3_scratch->dir); /* none: its tests are skipped */
    return 0;
}

static int stop_s3(void **state)
{
    (void)state;
    s3_server_stop(&g_s3);
    scratch_free(g_s3_scratch);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_ALL(what_was_put_comes_back),
        ON_ALL(names_are_checked),
        ON_ALL(streams_go_in_and_out),
        ON_ALL(a_stream_over_the_ceiling_or_cut_short_leaves_nothing),
        ON_ALL(threads_may_put_the_same),
        ON_ALL(want_of_memory_is_an_error),
        ON_ALL(a_listing_has_each_object_once_in_order),
        ON_ALL(what_was_removed_is_gone_and_can_come_back),
        ON_ALL(a_put_of_the_same_makes_an_object_young),
        ON_ALL(removal_never_takes_what_was_just_put),
        cmocka_unit_test_setup_teardown(the_layout_is_as_documented, setup_folder, teardown),
        cmocka_unit_test_setup_teardown(damage_is_seen_and_a_cut_object_heals, setup_folder,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_whole_objects_only, setup_folder,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_second_putter_syncs_what_the_first_may_not_have,
                                        setup_folder, teardown),
        cmocka_unit_test_setup_teardown(leavings_of_a_crash_go, setup_folder, teardown),
        cmocka_unit_test_setup_teardown(a_listing_leaves_out_what_is_no_whole_object, setup_folder,
                                        teardown),
        cmocka_unit_test_setup_teardown(other_urls_are_refused, setup_folder, teardown),
        cmocka_unit_test_setup_teardown(each_failing_operation_is_an_error, setup_faulty, teardown),
    };
    return cmocka_run_group_tests_name("objects", tests, start_s3, stop_s3);
}

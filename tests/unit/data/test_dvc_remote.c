/* SPDX-License-Identifier: Apache-2.0 */
/* One conformance suite over every place that a remote can be at, whole and with a fault-injecting
 * wrapper between; then what transfers make of it. */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/pool.h"
#include "data/dvc/oidset.h"
#include "data/dvc/remote_internal.h"
#include "data/dvc/transfer.h"
#include "s3_server.h"
#include "scratch.h"

enum place { FOLDER, S3, FAULTY };

/* Fails the calls it is told to. */
struct faulty {
    const struct gy_dvc_remote_ops *ops;
    void *self;
    gy_status put_fails, get_fails; /* with this, when the key holds `of` */
    const char *of;
    atomic_int puts, gets, heads, lists, syncs;
    atomic_int n_dir_puts, syncs_before_dir;
};

struct world {
    char dir[64];
    struct gy_dvc_remote *r;
    struct faulty faulty;
    enum place place;
};

static struct gy_err err;
static struct s3_server g_s3;
static struct scratch *g_s3_scratch;

static gy_status faulty_has(void *self, const char *key, bool *ret, bool *trusted, struct gy_err *e)
{
    struct faulty *f = self;
    atomic_fetch_add(&f->heads, 1);
    return f->ops->has(f->self, key, ret, trusted, e);
}

static gy_status faulty_put(void *self, const char *key, const struct gy_dvc_source *from,
                            struct gy_err *e)
{
    struct faulty *f = self;
    atomic_fetch_add(&f->puts, 1);
    if (strstr(key, ".dir")) {
        atomic_fetch_add(&f->n_dir_puts, 1);
        atomic_store(&f->syncs_before_dir, atomic_load(&f->syncs));
    }
    if (f->put_fails && strstr(key, f->of)) {
        return gy_err_set(e, f->put_fails, "as the test wants it");
    }
    return f->ops->put(f->self, key, from, e);
}

static gy_status faulty_get(void *self, const char *key, gy_dvc_sink_fn fn, void *ctx,
                            struct gy_err *e)
{
    struct faulty *f = self;
    atomic_fetch_add(&f->gets, 1);
    if (f->get_fails && strstr(key, f->of)) {
        GY_TRY(fn(ctx, GY_STR("half of"), e));
        return gy_err_set(e, f->get_fails, "as the test wants it");
    }
    return f->ops->get(f->self, key, fn, ctx, e);
}

static gy_status faulty_list(void *self, const char *prefix, gy_dvc_key_fn fn, void *ctx,
                             struct gy_err *e)
{
    struct faulty *f = self;
    atomic_fetch_add(&f->lists, 1);
    return f->ops->list(f->self, prefix, fn, ctx, e);
}

static gy_status faulty_remove(void *self, const char *key, struct gy_err *e)
{
    struct faulty *f = self;
    return f->ops->remove(f->self, key, e);
}

static gy_status faulty_sync(void *self, struct gy_err *e)
{
    struct faulty *f = self;
    atomic_fetch_add(&f->syncs, 1);
    return f->ops->sync ? f->ops->sync(f->self, e) : GY_OK;
}

static void faulty_free(void *self)
{
    struct faulty *f = self;
    f->ops->free(f->self);
}

static struct gy_dvc_remote_ops faulty_ops = {1,           "faulty",      false,       4,
                                              0,           faulty_has,    faulty_put,  faulty_get,
                                              faulty_list, faulty_remove, faulty_sync, faulty_free};

static void open_place(struct world *w)
{
    char root[96], url[160];
    struct gy_dvc_config *c = NULL;
    static int number;
    (void)snprintf(root, sizeof root, "%s/repo", w->dir);
    (void)snprintf(url, sizeof url, "%s/remote", w->dir);
    if (w->place == S3) {
        (void)snprintf(url, sizeof url, "s3://bucket/test %d", number++);
    }
    assert_status(GY_OK, gy_dvc_config_load(root, &c, &err), err);
    const char *section = "remote \"store\"";
    assert_status(GY_OK, gy_dvc_config_set(c, GY_DVC_REPO, "core", "remote", GY_STR("Store"), &err),
                  err);
    assert_status(GY_OK, gy_dvc_config_set(c, GY_DVC_REPO, section, "url", gy_str_c(url), &err),
                  err);
    if (w->place == S3) {
        const char *const settings[][2] = {{"endpointurl", g_s3.endpoint},
                                           {"access_key_id", g_s3.keys.access},
                                           {"secret_access_key", g_s3.keys.secret}};
        for (size_t i = 0; i < 3; i++) {
            assert_status(GY_OK,
                          gy_dvc_config_set(c, GY_DVC_LOCAL, section, settings[i][0],
                                            gy_str_c(settings[i][1]), &err),
                          err);
        }
    }
    assert_status(GY_OK, gy_dvc_remote_open(c, NULL, &w->r, &err), err);
    gy_dvc_config_free(c);
}

static void wrap(struct world *w)
{
    gy_dvc_remote_take_place(GY_TAKE(w->r), &w->faulty.ops, &w->faulty.self);
    assert_status(GY_OK, gy_dvc_remote_new(&faulty_ops, &w->faulty, "faulty", "test:", &w->r, &err),
                  err);
}

static int setup(void **state, enum place place)
{
    struct world *w = calloc(1, sizeof *w);
    w->place = place;
    scratch_make(w->dir);
    setenv("DVC_GLOBAL_CONFIG_DIR", w->dir, 1);
    setenv("DVC_SYSTEM_CONFIG_DIR", w->dir, 1);
    err = (struct gy_err)GY_ERR_INIT;
    *state = w;
    if (place == S3 && !g_s3.pid) {
        return 0;
    }
    open_place(w);
    if (place == FAULTY) {
        wrap(w);
    }
    return 0;
}

static int setup_folder(void **state)
{
    return setup(state, FOLDER);
}
static int setup_s3(void **state)
{
    return setup(state, S3);
}
static int setup_faulty(void **state)
{
    return setup(state, FAULTY);
}

static int teardown(void **state)
{
    struct world *w = *state;
    gy_dvc_remote_free(w->r);
    scratch_done(w->dir);
    free(w);
    return 0;
}

static struct world *here(void **state)
{
    struct world *w = *state;
    if (!w->r) {
        print_message("skipped: no S3 server (deps/s3-server.sh)\n");
        skip();
    }
    return w;
}

static struct gy_dvc_oid oid_of(struct gy_str bytes)
{
    struct gy_dvc_oid oid = {.legacy = false};
    assert_status(GY_OK, gy_md5_hex(bytes, oid.hex, &err), err);
    return oid;
}

/* A file of these bytes and the name of its object. */
static struct gy_dvc_oid make(const struct world *w, struct gy_str bytes, char path[128])
{
    struct gy_dvc_oid oid = oid_of(bytes);
    (void)snprintf(path, 128, "%s/f-%s", w->dir, oid.hex);
    assert_status(GY_OK, gy_file_write(path, bytes, 0644, &err), err);
    return oid;
}

static bool has(struct world *w, const struct gy_dvc_oid *oid)
{
    bool there = false;
    assert_status(GY_OK, gy_dvc_remote_has(w->r, oid, 1, 2, &there, &err), err);
    return there;
}

static void round_trip(struct world *w, struct gy_str bytes)
{
    char path[128], back[128];
    int64_t size = -1;
    struct gy_dvc_oid oid = make(w, bytes, path);
    assert_false(has(w, &oid));
    (void)snprintf(back, sizeof back, "%s/back", w->dir);
    assert_int_equal(gy_dvc_remote_get(w->r, &oid, back, &size, &err), GY_E_NOTFOUND);
    assert_false(gy_path_exists(back));
    assert_status(GY_OK, gy_dvc_remote_put(w->r, &oid, path, &size, &err), err);
    assert_int_equal(size, bytes.n);
    assert_true(has(w, &oid));
    assert_status(GY_OK, gy_dvc_remote_put(w->r, &oid, path, NULL, &err), err); /* again */
    assert_status(GY_OK, gy_dvc_remote_get(w->r, &oid, back, &size, &err), err);
    assert_int_equal(size, bytes.n);
    assert_int_equal(gy_dvc_remote_get(w->r, &oid, back, &size, &err), GY_E_EXISTS);
    struct gy_buf got;
    gy_buf_init(&got, 64 * GY_MIB);
    assert_status(GY_OK, gy_file_read(back, &got, &err), err);
    assert_true(gy_str_eq(gy_buf_str(&got), bytes));
    gy_buf_done(&got);
    assert_int_equal(unlink(back), 0);
    assert_status(GY_OK, gy_dvc_remote_remove(w->r, &oid, &err), err);
    assert_status(GY_OK, gy_dvc_remote_remove(w->r, &oid, &err), err); /* there is none */
    assert_false(has(w, &oid));
    assert_status(GY_OK, gy_dvc_remote_sync(w->r, &err), err);
}

static void test_round_trips(void **state)
{
    struct world *w = here(state);
    round_trip(w, GY_STR(""));
    round_trip(w, GY_STR("hello"));
    size_t n = 3 * GY_MIB + 17;
    char *large = malloc(n);
    for (size_t i = 0; i < n; i++) {
        large[i] = (char)(i * 2654435761u >> 11);
    }
    round_trip(w, gy_str_n(large, n));
    round_trip(w, gy_str_n(large, GY_MIB));
    round_trip(w, gy_str_n(large, GY_MIB + 1));
    free(large);
}

static void test_wrong_bytes_are_never_sent(void **state)
{
    struct world *w = here(state);
    char path[128];
    struct gy_dvc_oid oid = make(w, GY_STR("right"), path);
    assert_status(GY_OK, gy_file_write(path, GY_STR("wrong"), 0644, &err), err);
    assert_int_equal(gy_dvc_remote_put(w->r, &oid, path, NULL, &err), GY_E_CORRUPT);
    assert_false(has(w, &oid));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(gy_dvc_remote_put(w->r, &oid, path, NULL, &err), GY_E_NOTFOUND);
}

static void test_wrong_bytes_are_never_taken(void **state)
{
    struct world *w = here(state);
    char key[GY_DVC_KEY_BYTES], back[128];
    struct gy_dvc_oid oid = oid_of(GY_STR("right"));
    assert_status(
        GY_OK, gy_dvc_remote_put_key(w->r, gy_dvc_oid_key(&oid, key), GY_STR("wrong"), &err), err);
    (void)snprintf(back, sizeof back, "%s/back", w->dir);
    assert_int_equal(gy_dvc_remote_get(w->r, &oid, back, NULL, &err), GY_E_CORRUPT);
    assert_non_null(strstr(err.msg, key));
    assert_false(gy_path_exists(back));
}

/* The text of DVC 2.x: named by its MD5 with LF, stored with CRLF. */
static void test_legacy(void **state)
{
    struct world *w = here(state);
    char path[128], back[128], key[GY_DVC_KEY_BYTES];
    struct gy_dvc_oid oid = oid_of(GY_STR("a\nb\n"));
    oid.legacy = true;
    (void)make(w, GY_STR("a\r\nb\r\n"), path);
    assert_status(GY_OK, gy_dvc_remote_put(w->r, &oid, path, NULL, &err), err);
    assert_true(has(w, &oid));
    struct gy_dvc_oid other = oid;
    other.legacy = false;
    assert_false(has(w, &other));
    (void)snprintf(back, sizeof back, "%s/back", w->dir);
    assert_status(GY_OK, gy_dvc_remote_get(w->r, &oid, back, NULL, &err), err);
    assert_int_equal(gy_file_size(back), 6);
    assert_int_equal(unlink(back), 0);
    assert_status(GY_OK, gy_dvc_remote_put_key(w->r, gy_dvc_oid_key(&oid, key), GY_STR("x"), &err),
                  err);
    assert_int_equal(gy_dvc_remote_get(w->r, &oid, back, NULL, &err), GY_E_CORRUPT);
}

struct seen {
    size_t n, n_dirs, n_legacy;
    int64_t bytes;
};

static gy_status see(void *ctx, const struct gy_dvc_oid *oid, int64_t size, struct gy_err *e)
{
    struct seen *s = ctx;
    (void)e;
    s->n++;
    s->n_dirs += gy_dvc_oid_is_dir(oid) ? 1 : 0;
    s->n_legacy += oid->legacy ? 1 : 0;
    s->bytes += size;
    return GY_OK;
}

/* 200 of which two thirds are there, asked for in each way that there is. */
static void test_what_is_there(void **state)
{
    struct world *w = here(state);
    enum { N = 200 };
    struct gy_dvc_oid oids[N];
    bool there[N];
    char key[GY_DVC_KEY_BYTES], text[16];
    for (int i = 0; i < N; i++) {
        (void)snprintf(text, sizeof text, "object %d", i);
        oids[i] = oid_of(gy_str_c(text));
        oids[i].legacy = i % 5 == 4;
        if (i % 7 == 6) {
            memcpy(oids[i].hex + 32, ".dir", 5);
        }
        if (i % 3) {
            gy_dvc_oid_key(&oids[i], key);
            assert_status(GY_OK, gy_dvc_remote_put_key(w->r, key, gy_str_c(text), &err), err);
        }
    }
    assert_status(GY_OK, gy_dvc_remote_put_key(w->r, "runs/ab/x", GY_STR("no object"), &err), err);
    assert_status(GY_OK, gy_dvc_remote_put_key(w->r, "files/md5/zz/x", GY_STR("none"), &err), err);
    static const int asked[] = {N, 64, 65, 1, 0};
    for (size_t k = 0; k < 5; k++) {
        for (int i = 0; i < N; i++) {
            there[i] = i % 3 == 0;
        }
        assert_status(GY_OK, gy_dvc_remote_has(w->r, oids, (size_t)asked[k], 3, there, &err), err);
        for (int i = 0; i < asked[k]; i++) {
            if (!(oids[i].legacy || i % 7 == 6) || w->place == S3 || i % 3 == 0) {
                assert_int_equal(there[i], i % 3 != 0);
            }
        }
    }
    struct seen seen = {0};
    assert_status(GY_OK, gy_dvc_remote_list(w->r, see, &seen, &err), err);
    assert_int_equal(seen.n, N - (N + 2) / 3);
    assert_true(seen.n_dirs > 10 && seen.n_legacy > 20 && seen.bytes > 1000);
}

static gy_status stop_at_two(void *ctx, const char *key, int64_t size, struct gy_err *e)
{
    (void)key;
    (void)size;
    return ++*(int *)ctx == 2 ? gy_err_set(e, GY_E_CANCELLED, "enough") : GY_OK;
}

static gy_status count_keys(void *ctx, const char *key, int64_t size, struct gy_err *e)
{
    (void)size;
    (void)e;
    assert_memory_equal(key, "runs/", 5);
    ++*(int *)ctx;
    return GY_OK;
}

static void test_keys(void **state)
{
    struct world *w = here(state);
    static const char *const keys[] = {"runs/ab/k1/v1", "runs/ab/k1/v2", "runs/ac/k2/v1",
                                       "files/x/y"};
    struct gy_buf got;
    int n = 0;
    assert_status(GY_OK, gy_dvc_remote_list_keys(w->r, "runs/", count_keys, &n, &err), err);
    assert_int_equal(n, 0);
    for (size_t i = 0; i < 4; i++) {
        assert_status(GY_OK, gy_dvc_remote_put_key(w->r, keys[i], gy_str_c(keys[i]), &err), err);
    }
    assert_status(GY_OK, gy_dvc_remote_list_keys(w->r, "runs/", count_keys, &n, &err), err);
    assert_int_equal(n, 3);
    n = 0;
    assert_status(GY_OK, gy_dvc_remote_list_keys(w->r, "runs/ab/k1/v", count_keys, &n, &err), err);
    assert_int_equal(n, 2);
    n = 0;
    assert_int_equal(gy_dvc_remote_list_keys(w->r, "runs/", stop_at_two, &n, &err), GY_E_CANCELLED);
    assert_int_equal(n, 2);
    gy_buf_init(&got, 8);
    assert_int_equal(gy_dvc_remote_get_key(w->r, keys[0], &got, &err), GY_E_TOOBIG);
    gy_buf_done(&got);
    gy_buf_init(&got, GY_MIB);
    assert_status(GY_OK, gy_dvc_remote_get_key(w->r, keys[0], &got, &err), err);
    assert_string_equal(got.p, keys[0]);
    gy_buf_done(&got);
    assert_int_equal(gy_dvc_remote_get_key(w->r, "runs/none", &got, &err), GY_E_NOTFOUND);
    gy_buf_done(&got);
}

/* ---- only of folders ---- */

static void test_what_is_half_written_is_not_there(void **state)
{
    struct world *w = here(state);
    char path[256], key[GY_DVC_KEY_BYTES];
    struct gy_dvc_oid oid = oid_of(GY_STR("whole"));
    struct stat st;
    gy_dvc_oid_key(&oid, key);
    (void)snprintf(path, sizeof path, "%s/remote/%s", w->dir, key);
    assert_status(GY_OK, gy_dir_make_for(path, &err), err);
    assert_status(GY_OK, gy_file_write(path, GY_STR("who"), 0644, &err), err);
    assert_false(has(w, &oid)); /* DVC would hash it, too: it is not 0444 */
    assert_status(GY_OK, gy_file_write(path, GY_STR("whole"), 0644, &err), err);
    assert_true(has(w, &oid));
    assert_status(GY_OK, gy_dvc_remote_put_key(w->r, key, GY_STR("whole"), &err), err);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0444);
}

/* ---- transfers ---- */

struct project {
    struct gy_dvc_repo *repo;
    struct gy_arena arena;
    struct gy_dvc_out outs[2]; /* a folder of 9, a file */
    char oids[9][GY_DVC_OID_HEX];
};

static void save(struct gy_dvc_repo *r, const struct gy_dvc_oid *oid, struct gy_str bytes)
{
    char path[GY_MAX_PATH];
    assert_status(GY_OK, gy_dvc_cache_path(r, oid, path, &err), err);
    assert_status(GY_OK, gy_dir_make_for(path, &err), err);
    assert_status(GY_OK, gy_file_write(path, bytes, 0444, &err), err);
}

static void project_make(const struct world *w, const char *name, bool filled, struct project *p)
{
    char dir[96], text[32], names[9][8];
    struct gy_dvc_entry entries[9];
    struct gy_buf json;
    memset(p, 0, sizeof *p);
    gy_arena_init(&p->arena, 64 * GY_MIB);
    (void)snprintf(dir, sizeof dir, "%s/%s", w->dir, name);
    assert_status(GY_OK, gy_dir_make(dir, &err), err);
    assert_status(GY_OK, gy_dvc_repo_init(dir, &p->repo, &err), err);
    for (int i = 0; i < 9; i++) {
        (void)snprintf(text, sizeof text, "file %d", i);
        struct gy_dvc_oid oid = oid_of(gy_str_c(text));
        (void)snprintf(names[i], sizeof names[i], "f%d", i);
        entries[i] = (struct gy_dvc_entry){.relpath = gy_str_c(names[i])};
        memcpy(entries[i].md5, oid.hex, GY_MD5_HEX);
        memcpy(p->oids[i], oid.hex, sizeof oid.hex);
        if (filled) {
            save(p->repo, &oid, gy_str_c(text));
        }
    }
    gy_buf_init(&json, GY_MIB);
    assert_status(GY_OK, gy_dvc_dir_json(entries, 9, &json, &err), err);
    struct gy_dvc_oid dir_oid = oid_of(gy_buf_str(&json));
    memcpy(dir_oid.hex + 32, ".dir", 5);
    struct gy_dvc_oid file = oid_of(GY_STR("alone"));
    if (filled) {
        save(p->repo, &dir_oid, gy_buf_str(&json));
        save(p->repo, &file, GY_STR("alone"));
    }
    gy_buf_done(&json);
    p->outs[0] = (struct gy_dvc_out){
        .path = GY_STR("data"), .oid = dir_oid, .n_files = 9, .cache = true, .push = true};
    p->outs[1] = (struct gy_dvc_out){
        .path = GY_STR("alone"), .oid = file, .n_files = -1, .cache = true, .push = true};
}

static void project_done(struct project *p)
{
    gy_dvc_repo_free(p->repo);
    gy_arena_done(&p->arena);
}

static struct gy_dvc_transfer push(struct world *w, struct project *p, bool all)
{
    static struct gy_dvc_transfer t;
    struct gy_dvc_transfer_options o = {.to = w->r, .jobs = 3, .check_all = all};
    assert_status(GY_OK, gy_dvc_push(p->repo, p->outs, 2, &o, &p->arena, &t, &err), err);
    return t;
}

static struct gy_dvc_transfer fetch(struct world *w, struct project *p)
{
    static struct gy_dvc_transfer t;
    struct gy_dvc_transfer_options o = {.to = w->r, .jobs = 3};
    assert_status(GY_OK, gy_dvc_fetch(p->repo, p->outs, 2, &o, &p->arena, &t, &err), err);
    return t;
}

static void test_a_list_goes_last_and_only_after_all(void **state)
{
    struct world *w = here(state);
    struct project p;
    project_make(w, "first", true, &p);
    w->faulty.of = p.oids[3] + 2;
    w->faulty.put_fails = GY_E_NETWORK;
    struct gy_dvc_transfer t = push(w, &p, false);
    assert_int_equal(t.status, GY_E_NETWORK);
    assert_int_equal(t.n_objects, 11);
    assert_int_equal(t.n_done, 9);
    assert_int_equal(t.n_failed, 1);
    assert_int_equal(t.n_held, 1);
    assert_int_equal(t.n_told, 1);
    assert_str(t.told[0].path, "data/f3");
    assert_int_equal(atomic_load(&w->faulty.n_dir_puts), 0);
    assert_false(has(w, &p.outs[0].oid));

    w->faulty.put_fails = GY_OK; /* and on from there */
    t = push(w, &p, false);
    assert_int_equal(t.status, GY_OK);
    assert_int_equal(t.n_done, 2);
    assert_int_equal(t.n_present, 9);
    assert_int_equal(atomic_load(&w->faulty.n_dir_puts), 1);
    assert_true(atomic_load(&w->faulty.syncs_before_dir) > 0);

    int asked = atomic_load(&w->faulty.heads);
    t = push(w, &p, false);
    assert_int_equal(t.n_present, 11);
    assert_int_equal(atomic_load(&w->faulty.heads) - asked, 2); /* the list, and the file alone */

    struct gy_dvc_oid lost = {.legacy = false};
    memcpy(lost.hex, p.oids[5], sizeof lost.hex);
    assert_status(GY_OK, gy_dvc_remote_remove(w->r, &lost, &err), err);
    assert_int_equal(push(w, &p, false).n_done, 0);
    assert_int_equal(push(w, &p, true).n_done, 1); /* --all heals it */
    project_done(&p);
}

static void test_what_would_fail_again_is_not_tried(void **state)
{
    struct world *w = here(state);
    struct project p;
    project_make(w, "first", true, &p);
    w->faulty.of = "";
    w->faulty.put_fails = GY_E_NOSPACE;
    struct gy_dvc_transfer t = push(w, &p, false);
    assert_int_equal(t.status, GY_E_NOSPACE);
    assert_true(t.n_failed >= 1 && t.n_failed <= 3); /* one a thread at most */
    assert_int_equal(t.n_failed + t.n_untried + t.n_held, 11);
    assert_true(atomic_load(&w->faulty.puts) <= 3);
    project_done(&p);
}

static void test_objects_that_vanish(void **state)
{
    struct world *w = here(state);
    struct project p;
    char path[GY_MAX_PATH];
    project_make(w, "first", true, &p);
    struct gy_dvc_oid gone = {.legacy = false};
    memcpy(gone.hex, p.oids[7], sizeof gone.hex);
    assert_status(GY_OK, gy_dvc_cache_path(p.repo, &gone, path, &err), err);
    assert_int_equal(unlink(path), 0);
    struct gy_dvc_transfer t = push(w, &p, false);
    assert_int_equal(t.status, GY_E_NOTFOUND);
    assert_int_equal(t.n_failed, 1);
    assert_int_equal(t.n_held, 1);
    assert_int_equal(t.n_done, 9);
    assert_non_null(strstr(t.told[0].msg, "neither in the cache nor on the remote"));
    project_done(&p);
}

static void test_fetching(void **state)
{
    struct world *w = here(state);
    struct project p, q;
    struct gy_dvc_where *where = NULL;
    struct gy_dvc_entry *entries = NULL;
    size_t n = 0;
    (void)where;
    project_make(w, "first", true, &p);
    project_make(w, "second", false, &q);
    assert_int_equal(push(w, &p, false).status, GY_OK);
    w->faulty.of = p.oids[2] + 2;
    w->faulty.get_fails = GY_E_NETWORK;
    struct gy_dvc_transfer t = fetch(w, &q);
    assert_int_equal(t.status, GY_E_NETWORK);
    assert_int_equal(t.n_done, 10);
    assert_int_equal(t.n_failed, 1);
    w->faulty.get_fails = GY_OK;
    t = fetch(w, &q);
    assert_int_equal(t.status, GY_OK);
    assert_int_equal(t.n_done, 1);
    assert_int_equal(t.n_present, 10);
    assert_int_equal(fetch(w, &q).n_done, 0);
    assert_status(GY_OK, gy_dvc_dir_load(q.repo, &q.outs[0].oid, &q.arena, &entries, &n, &err),
                  err);
    assert_int_equal(n, 9);
    for (int i = 0; i < 9; i++) {
        struct gy_dvc_oid oid = {.legacy = false};
        bool there = false;
        memcpy(oid.hex, p.oids[i], sizeof oid.hex);
        assert_status(GY_OK, gy_dvc_cache_has(q.repo, &oid, &there, &err), err);
        assert_true(there);
    }
    project_done(&p);
    project_done(&q);
}

static void test_a_wrong_object_stays_outside(void **state)
{
    struct world *w = here(state);
    struct project p, q;
    struct gy_dvc_oid bad = {.legacy = false};
    char key[GY_DVC_KEY_BYTES];
    bool there = true;
    project_make(w, "first", true, &p);
    project_make(w, "second", false, &q);
    memcpy(bad.hex, p.oids[4], sizeof bad.hex);
    assert_int_equal(push(w, &p, false).status, GY_OK);
    gy_dvc_oid_key(&bad, key);
    assert_status(GY_OK, gy_dvc_remote_put_key(w->r, key, GY_STR("other bytes"), &err), err);
    struct gy_dvc_transfer t = fetch(w, &q);
    assert_int_equal(t.status, GY_E_CORRUPT);
    assert_int_equal(t.n_done, 10);
    assert_status(GY_OK, gy_dvc_cache_has(q.repo, &bad, &there, &err), err);
    assert_false(there);
    project_done(&p);
    project_done(&q);
}

/* ---- names ---- */

static void test_oidset(void **state)
{
    struct gy_dvc_oidset s = {NULL, 0, 0, NULL, 0};
    char text[16];
    (void)state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 1000; i++) {
            size_t where = 0;
            bool is_new = false;
            (void)snprintf(text, sizeof text, "%d", i / 2);
            struct gy_dvc_oid oid = oid_of(gy_str_c(text));
            oid.legacy = i % 2;
            if (round == 0) {
                assert_int_equal(gy_dvc_oidset_find(&s, &oid), SIZE_MAX);
            }
            assert_status(GY_OK, gy_dvc_oidset_add(&s, &oid, &where, &is_new, &err), err);
            assert_int_equal(where, i);
            assert_int_equal(is_new, round == 0);
            assert_int_equal(gy_dvc_oidset_find(&s, &oid), i);
        }
    }
    assert_int_equal(s.n, 1000);
    gy_dvc_oidset_done(&s);
}

static void test_keys_of_oids(void **state)
{
    static const char *const none[] = {"",
                                       "files/md5/ab",
                                       "files/md5/0c/c175b9c0f1b6a831c399e26977266",
                                       "files/md5/0c/c175b9c0f1b6a831c399e2697726611",
                                       "files/md5/0c/c175b9c0f1b6a831c399e269772661.die",
                                       "files/md5/0C/c175b9c0f1b6a831c399e269772661",
                                       "files/md5/0c/c175b9c0f1b6a831c399e26977266/",
                                       "files/md50/c/c175b9c0f1b6a831c399e269772661",
                                       "runs/0c/c175b9c0f1b6a831c399e269772661"};
    static const char *const some[] = {"files/md5/0c/c175b9c0f1b6a831c399e269772661",
                                       "files/md5/0c/c175b9c0f1b6a831c399e269772661.dir",
                                       "0c/c175b9c0f1b6a831c399e269772661",
                                       "0c/c175b9c0f1b6a831c399e269772661.dir"};
    struct gy_dvc_oid oid;
    char key[GY_DVC_KEY_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_false(gy_dvc_oid_of_key(gy_str_c(none[i]), &oid));
    }
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        assert_true(gy_dvc_oid_of_key(gy_str_c(some[i]), &oid));
        assert_string_equal(gy_dvc_oid_key(&oid, key), some[i]);
    }
}

#define ON_ALL(fn)                                               \
    cmocka_unit_test_setup_teardown(fn, setup_folder, teardown), \
        cmocka_unit_test_setup_teardown(fn, setup_s3, teardown), \
        cmocka_unit_test_setup_teardown(fn, setup_faulty, teardown)
#define ON_FAULTY(fn) cmocka_unit_test_setup_teardown(fn, setup_faulty, teardown)

static int start(void **state)
{
    (void)state;
    g_s3_scratch = scratch_new();
    (void)s3_server_start(&g_s3, g_s3_scratch->dir);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    s3_server_stop(&g_s3);
    scratch_free(g_s3_scratch);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_ALL(test_round_trips),
        ON_ALL(test_wrong_bytes_are_never_sent),
        ON_ALL(test_wrong_bytes_are_never_taken),
        ON_ALL(test_legacy),
        ON_ALL(test_what_is_there),
        ON_ALL(test_keys),
        cmocka_unit_test_setup_teardown(test_what_is_half_written_is_not_there, setup_folder,
                                        teardown),
        ON_FAULTY(test_a_list_goes_last_and_only_after_all),
        ON_FAULTY(test_what_would_fail_again_is_not_tried),
        ON_FAULTY(test_objects_that_vanish),
        ON_FAULTY(test_fetching),
        ON_FAULTY(test_a_wrong_object_stays_outside),
        cmocka_unit_test(test_oidset),
        cmocka_unit_test(test_keys_of_oids),
    };
    return cmocka_run_group_tests(tests, start, stop);
}

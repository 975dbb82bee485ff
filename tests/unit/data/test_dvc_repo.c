/* SPDX-License-Identifier: Apache-2.0 */
/* A repository in a scratch folder: opening, locks, stages, hashing, the cache, checkout. */
#include "unit.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "data/dvc/checkout.h"
#include "data/dvc/lock.h"
#include "data/dvc/stages.h"
#include "data/dvc/stat.h"

static struct gy_err err;
static struct gy_arena arena;
static char dir[64];
static struct gy_dvc_repo *repo;

static void put(const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_status(GY_OK, gy_dir_make_for(path, &err), err);
    assert_status(GY_OK, gy_file_write(path, gy_str_c(text), 0644, &err), err);
}

static void assert_file(const char *name, const char *text)
{
    char path[256];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_status(GY_OK, gy_file_read(path, &b, &err), err);
    assert_str(gy_buf_str(&b), text);
}

static struct stat stat_of(const char *name)
{
    char path[256];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(lstat(path, &st), 0);
    return st;
}

static bool is_there(const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return gy_path_exists(path);
}

static void remove_path(const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    if (unlink(path) != 0) {
        assert_status(GY_OK, gy_dir_remove(path, &err), err);
    }
}

static int setup(void **state)
{
    (void)state;
    err = (struct gy_err)GY_ERR_INIT;
    gy_arena_init(&arena, 256 * GY_MIB);
    scratch_make(dir);
    put(".dvc/config", "");
    assert_status(GY_OK, gy_dvc_repo_open(dir, &repo, &err), err);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gy_dvc_repo_free(repo);
    repo = NULL;
    gy_arena_done(&arena);
    scratch_done(dir);
    return 0;
}

static void reopen(const char *config)
{
    gy_dvc_repo_free(repo);
    repo = NULL;
    put(".dvc/config", config);
    assert_status(GY_OK, gy_dvc_repo_open(dir, &repo, &err), err);
}

static struct gy_dvc_tree tree(const char *path, bool save)
{
    struct gy_dvc_tree t;
    struct gy_dvc_tree_options o = {.save = save};
    assert_status(GY_OK, gy_dvc_tree(repo, gy_str_c(path), &o, &arena, &t, &err), err);
    if (save) {
        assert_status(GY_OK, gy_dvc_repo_settle(repo, &err), err);
    }
    return t;
}

/* ---- opening ---- */

static void test_init(void **state)
{
    char sub[128], real[4096];
    struct gy_dvc_repo *r = NULL;
    (void)state;
    put("p/.git/HEAD", "ref: refs/heads/main\n");
    put("p/q/dvc.yaml", "stages: {}\n");
    put("p/q/data/x", "1");
    (void)snprintf(sub, sizeof sub, "%s/p/q/data", dir);
    remove_path(".dvc");
    assert_status(GY_E_NOTFOUND, gy_dvc_repo_open(sub, &r, &err), err);
    assert_non_null(strstr(err.hint, "gyre data add"));
    assert_status(GY_OK, gy_dvc_repo_init(sub, &r, &err), err);
    (void)snprintf(real, sizeof real, "%s/p/q", dir);
    assert_string_equal(gy_dvc_repo_root(r), real);
    gy_dvc_repo_free(r);
    r = NULL;
    assert_file("p/q/.dvc/.gitignore", "/config.local\n/tmp\n/cache\n");
    assert_file("p/q/.dvc/config", "");
    assert_true(is_there("p/q/.dvcignore"));
    assert_status(GY_OK, gy_dvc_repo_open(sub, &r, &err), err);
    gy_dvc_repo_free(r);
    r = NULL;
    put("lone/x", "1");
    (void)snprintf(sub, sizeof sub, "%s/lone", dir);
    assert_status(GY_OK, gy_dvc_repo_init(sub, &r, &err), err);
    assert_file("lone/.dvc/config", "[core]\n    no_scm = True\n");
    assert_false(is_there("lone/.dvc/.gitignore"));
    gy_dvc_repo_free(r);
    put(".dvc/config", "");
}

static void test_cache_dir(void **state)
{
    char path[GY_MAX_PATH], want[GY_MAX_PATH];
    struct gy_dvc_oid oid;
    (void)state;
    reopen("[cache]\n    dir = ../elsewhere/\n");
    (void)snprintf(want, sizeof want, "%s/.dvc/../elsewhere", dir);
    assert_string_equal(gy_dvc_repo_cache(repo), want);
    reopen("[cache]\n    dir = /x/y\n");
    assert_true(gy_dvc_oid_set(&oid, GY_STR("acbd18db4cc2f85cedef654fccc4a4d8.dir"), false));
    assert_status(GY_OK, gy_dvc_cache_path(repo, &oid, path, &err), err);
    assert_string_equal(path, "/x/y/files/md5/ac/bd18db4cc2f85cedef654fccc4a4d8.dir");
    oid.legacy = true;
    assert_status(GY_OK, gy_dvc_cache_path(repo, &oid, path, &err), err);
    assert_string_equal(path, "/x/y/ac/bd18db4cc2f85cedef654fccc4a4d8.dir");
}

/* ---- locks ---- */

static void test_lock(void **state)
{
    char path[256], text[64];
    struct gy_dvc_repo *other = NULL;
    (void)state;
    assert_status(GY_OK, gy_dvc_repo_lock(repo, 0, &err), err);
    assert_status(GY_OK, gy_dvc_repo_lock(repo, 0, &err), err); /* held already */
    (void)snprintf(text, sizeof text, " %ld\n", (long)getpid());
    assert_file(".dvc/tmp/lock", text);
    assert_status(GY_OK, gy_dvc_repo_open(dir, &other, &err), err);
    assert_status(GY_E_BUSY, gy_dvc_repo_lock(other, 30, &err), err);
    (void)snprintf(text, sizeof text, "process %ld", (long)getpid());
    assert_non_null(strstr(err.msg, text));
    gy_dvc_repo_unlock(repo);
    assert_status(GY_OK, gy_dvc_repo_lock(other, 0, &err), err);
    gy_dvc_repo_free(other);
    /* As zc.lockfile takes it. */
    (void)snprintf(path, sizeof path, "%s/.dvc/tmp/lock", dir);
    int fd = open(path, O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    assert_status(GY_E_BUSY, gy_dvc_repo_lock(repo, 0, &err), err);
    assert_int_equal(close(fd), 0);
    assert_status(GY_OK, gy_dvc_repo_lock(repo, 0, &err), err);
}

static void test_rwlock(void **state)
{
    char text[1024];
    struct gy_str mine[] = {GY_STR("data/x")}, others[] = {GY_STR("model")};
    pid_t parent = getppid();
    bool waited = false;
    (void)state;
    (void)snprintf(text, sizeof text,
                   "{\"write\": {\"%s/data\": {\"pid\": %ld, \"cmd\": \"dvc repro\"}}, \"read\": "
                   "{\"%s/model\": [{\"pid\": 2147483000, \"cmd\": \"gone\"}, {\"pid\": %ld, "
                   "\"cmd\": \"dvc repro\"}]}}",
                   dir, (long)parent, dir, (long)parent);
    put(".dvc/tmp/rwlock", text);
    assert_status(GY_E_BUSY, gy_dvc_repo_lock_paths(repo, mine, 1, NULL, 0, 10, &waited, &err),
                  err);
    assert_status(GY_E_BUSY, gy_dvc_repo_lock_paths(repo, NULL, 0, mine, 1, 10, &waited, &err),
                  err);
    assert_status(GY_E_BUSY, gy_dvc_repo_lock_paths(repo, NULL, 0, others, 1, 10, &waited, &err),
                  err);
    assert_true(waited);
    assert_status(GY_OK, gy_dvc_repo_lock_paths(repo, others, 1, NULL, 0, 10, &waited, &err), err);
    assert_false(waited);
    assert_status(GY_OK, gy_dvc_repo_claim(repo, others, 1, mine, 1, "gyre run", true, &err), err);
    assert_status(GY_OK, gy_dvc_repo_claim(repo, others, 1, mine, 1, "gyre run", false, &err), err);
    (void)snprintf(text, sizeof text,
                   "{\"write\":{\"%s/data\":{\"pid\":%ld,\"cmd\":\"dvc repro\"}},\"read\":{\"%s/"
                   "model\":[{\"pid\":2147483000,\"cmd\":\"gone\"},{\"pid\":%ld,\"cmd\":\"dvc "
                   "repro\"}]}}",
                   dir, (long)parent, dir, (long)parent);
    assert_file(".dvc/tmp/rwlock", text);
    assert_status(GY_OK, gy_dvc_repo_claim(repo, mine, 1, NULL, 0, "gyre run", true, &err), err);
    gy_dvc_repo_unlock(repo);
    put(".dvc/tmp/rwlock", "{\"write\": [");
    assert_status(GY_E_PARSE, gy_dvc_repo_lock_paths(repo, mine, 1, NULL, 0, 10, &waited, &err),
                  err);
    put(".dvc/tmp/rwlock", "");
    assert_status(GY_OK, gy_dvc_repo_lock_paths(repo, mine, 1, mine, 1, 10, &waited, &err), err);
}

/* ---- stages ---- */

static void test_outs(void **state)
{
    struct gy_dvc_out *outs = NULL;
    size_t n = 0;
    (void)state;
    put("a/x.csv.dvc", "outs:\n- md5: 12345678901234567890123456789012\n  size: 3\n  hash: md5\n"
                       "  path: x.csv\n  cache: false\n  remote: r\n");
    put("old.dvc", "wdir: a\nmd5: 0123\nouts:\n- md5: 12e45678901234567890123456789012.dir\n"
                   "  path: ../old\n  nfiles: 2\n");
    put("imp.dvc", "deps:\n- path: s3://b/k\n  etag: '1'\nouts:\n- path: imp\n  hash: md5\n"
                   "  md5: acbd18db4cc2f85cedef654fccc4a4d8\n  push: false\n");
    put("dvc.yaml", "stages:\n  make:\n    cmd: c\n    wdir: w\n    deps: [in]\n    outs:\n"
                    "    - o1\n    - o2: {cache: false}\n    metrics:\n    - m.json: {persist: "
                    "true}\n  each:\n    foreach: [p, q]\n    do:\n      cmd: c ${item}\n      "
                    "outs:\n      - out/${item}.bin: {push: false}\n");
    put("dvc.lock",
        "schema: '2.0'\nstages:\n  make:\n    cmd: c\n    deps:\n    - path: in\n      "
        "md5: acbd18db4cc2f85cedef654fccc4a4d8\n    outs:\n    - path: o1\n      hash: "
        "md5\n      md5: acbd18db4cc2f85cedef654fccc4a4d8\n      isexec: true\n    - "
        "path: o2\n      hash: md5\n      md5: 5fb6b29836c388e093ca0715c872fe2a.dir\n  "
        "each@p:\n    cmd: c p\n    outs:\n    - path: out/p.bin\n      hash: md5\n      "
        "md5: acbd18db4cc2f85cedef654fccc4a4d8\n  gone:\n    cmd: x\n    outs:\n    - "
        "path: g\n      md5: acbd18db4cc2f85cedef654fccc4a4d8\n");
    put("old/in.dvc", "this is data of an output, no stage");
    put("hidden/x.dvc", "outs: [");
    put(".gitignore", "hidden/\n");
    put("sub/.dvc/config", "");
    put("sub/y.dvc", "outs: [");
    assert_status(GY_OK, gy_dvc_repo_outs(repo, NULL, 0, &arena, &outs, &n, &err), err);
    static const char *const paths[] = {"a/x.csv",  "imp",  "old", "out/p.bin",
                                        "w/m.json", "w/o1", "w/o2"};
    assert_int_equal(n, 7);
    for (size_t i = 0; i < 7; i++) {
        assert_str(outs[i].path, paths[i]);
    }
    assert_string_equal(outs[0].oid.hex, "12345678901234567890123456789012");
    assert_false(outs[0].cache);
    assert_false(outs[0].oid.legacy);
    assert_str(outs[0].remote, "r");
    assert_true(outs[1].imported);
    assert_false(outs[1].push);
    assert_true(outs[2].oid.legacy);
    assert_string_equal(outs[2].oid.hex, "12e45678901234567890123456789012.dir");
    assert_int_equal(outs[2].n_files, 2);
    assert_str(outs[3].stage, "each@p");
    assert_false(outs[3].push);
    assert_string_equal(outs[4].oid.hex, "");
    assert_true(outs[5].is_exec);
    assert_true(outs[5].cache);
    assert_false(outs[6].cache);
}

static size_t count_outs(const char *target)
{
    struct gy_dvc_out *outs = NULL;
    size_t n = 0;
    char path[256];
    (void)snprintf(path, sizeof path, "%s%s%s", strchr(target, '@') ? "" : dir,
                   strchr(target, '@') ? "" : "/", target);
    const char *const targets[] = {path};
    gy_status status = gy_dvc_repo_outs(repo, targets, 1, &arena, &outs, &n, &err);
    if (status == GY_E_NOTFOUND) {
        return 0;
    }
    assert_status(GY_OK, status, err);
    return n;
}

static void test_targets(void **state)
{
    (void)state;
    put("x.dvc", "outs:\n- md5: acbd18db4cc2f85cedef654fccc4a4d8\n  hash: md5\n  path: x\n");
    put("sub/d.dvc",
        "outs:\n- md5: 5fb6b29836c388e093ca0715c872fe2a.dir\n  hash: md5\n  path: d\n");
    put("sub/e.dvc", "outs:\n- md5: acbd18db4cc2f85cedef654fccc4a4d8\n  hash: md5\n  path: e\n");
    put("dvc.yaml", "stages:\n  s@1:\n    cmd: c\n    outs: [so]\n");
    put("sub/d/in/side", "1");
    assert_int_equal(count_outs("x"), 1);
    assert_int_equal(count_outs("x.dvc"), 1);
    assert_int_equal(count_outs("sub"), 2);
    assert_int_equal(count_outs("sub/d/in/side"), 1);
    assert_int_equal(count_outs("sub/d/"), 1);
    assert_int_equal(count_outs("."), 4);
    assert_int_equal(count_outs("s@1"), 1);
    assert_int_equal(count_outs("dvc.yaml"), 1);
    assert_int_equal(count_outs("nothing"), 0);
}

static void test_bad_stages(void **state)
{
    struct gy_dvc_out *outs = NULL;
    size_t n = 0;
    (void)state;
    put("x.dvc", "outs:\n- md5: abc\n  path: x\n");
    assert_status(GY_E_INVALID, gy_dvc_repo_outs(repo, NULL, 0, &arena, &outs, &n, &err), err);
    assert_non_null(strstr(err.msg, "x.dvc:2"));
    put("x.dvc", "outs: [\n");
    assert_status(GY_E_PARSE, gy_dvc_repo_outs(repo, NULL, 0, &arena, &outs, &n, &err), err);
    put("x.dvc", "outs:\n- path: x\n");
    put("y.dvc", "outs:\n- path: x/y\n");
    assert_status(GY_E_INVALID, gy_dvc_repo_outs(repo, NULL, 0, &arena, &outs, &n, &err), err);
    put("y.dvc", "outs:\n- path: ./x\n");
    assert_status(GY_E_INVALID, gy_dvc_repo_outs(repo, NULL, 0, &arena, &outs, &n, &err), err);
    put("y.dvc", "outs:\n- path: x-y\n- path: ../out\n- path: /abs\n- path: s3://b/k\n");
    assert_status(GY_OK, gy_dvc_repo_outs(repo, NULL, 0, &arena, &outs, &n, &err), err);
    assert_int_equal(n, 2);
}

/* ---- trees and the cache ---- */

static void test_save(void **state)
{
    char target[300], link_path[300];
    (void)state;
    put("d/1", "1");
    put("d/2", "2");
    put("elsewhere/o", "o");
    (void)snprintf(target, sizeof target, "%s/elsewhere", dir);
    (void)snprintf(link_path, sizeof link_path, "%s/d/dirlink", dir);
    assert_int_equal(symlink(target, link_path), 0);
    struct gy_dvc_tree t = tree("d", true);
    assert_true(t.is_dir);
    assert_string_equal(t.oid.hex, "5fb6b29836c388e093ca0715c872fe2a.dir");
    assert_int_equal(t.size_bytes, 2);
    assert_int_equal(
        stat_of(".dvc/cache/files/md5/5f/b6b29836c388e093ca0715c872fe2a.dir").st_mode & 0777, 0444);
    assert_file(".dvc/cache/files/md5/c4/ca4238a0b923820dcc509a6f75849b", "1");
    assert_false(tree("nothing", false).exists);
    put("f", "foo");
    assert_string_equal(tree("f", true).oid.hex, "acbd18db4cc2f85cedef654fccc4a4d8");
    put("d/sub/.dvcignore", "x\n");
    struct gy_dvc_tree_options o = {.save = false};
    assert_status(GY_E_INVALID, gy_dvc_tree(repo, GY_STR("d"), &o, &arena, &t, &err), err);
    remove_path("d/sub");
    (void)snprintf(link_path, sizeof link_path, "%s/d/broken", dir);
    assert_int_equal(symlink("nowhere", link_path), 0);
    assert_status(GY_E_INVALID, gy_dvc_tree(repo, GY_STR("d"), &o, &arena, &t, &err), err);
    assert_int_equal(unlink(link_path), 0);
    assert_int_equal(mkfifo(link_path, 0600), 0);
    assert_status(GY_E_INVALID, gy_dvc_tree(repo, GY_STR("d"), &o, &arena, &t, &err), err);
}

static void fill(char *text, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1103515245u + 12345u;
        text[i] = (char)(seed >> 16);
    }
}

/* Around the sizes where another way is taken, each object is what its name says. */
static void test_sizes(void **state)
{
    static const size_t sizes[] = {0,          1,          GY_MIB - 1,    GY_MIB,
                                   GY_MIB + 1, 8 * GY_MIB, 9 * GY_MIB + 7};
    char *text = malloc(16 * GY_MIB);
    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char path[GY_MAX_PATH], md5[GY_MD5_HEX];
        struct gy_dvc_oid oid;
        bool has = false;
        fill(text, sizes[i], (unsigned)i);
        (void)snprintf(path, sizeof path, "%s/f%zu", dir, i);
        assert_status(GY_OK, gy_file_write(path, gy_str_n(text, sizes[i]), 0644, &err), err);
        (void)snprintf(path, sizeof path, "f%zu", i);
        struct gy_dvc_tree t = tree(path, true);
        assert_status(GY_OK, gy_md5_hex(gy_str_n(text, sizes[i]), md5, &err), err);
        assert_string_equal(t.oid.hex, md5);
        assert_int_equal(t.size_bytes, (int64_t)sizes[i]);
        assert_true(gy_dvc_oid_set(&oid, gy_str_c(md5), false));
        assert_status(GY_OK, gy_dvc_cache_has(repo, &oid, &has, &err), err);
        assert_true(has);
        assert_status(GY_OK, gy_dvc_cache_path(repo, &oid, path, &err), err);
        assert_int_equal(gy_file_size(path), (int64_t)sizes[i]);
        assert_int_equal(chmod(path, 0644), 0); /* then it is hashed */
        assert_status(GY_OK, gy_dvc_cache_has(repo, &oid, &has, &err), err);
        assert_true(has);
    }
    free(text);
}

static void test_trust(void **state)
{
    struct gy_dvc_oid oid;
    char path[GY_MAX_PATH], tmp[GY_MAX_PATH];
    bool has = true;
    (void)state;
    assert_true(gy_dvc_oid_set(&oid, GY_STR("acbd18db4cc2f85cedef654fccc4a4d8"), false));
    assert_status(GY_OK, gy_dvc_cache_has(repo, &oid, &has, &err), err);
    assert_false(has);
    assert_status(GY_OK, gy_dvc_cache_tmp(repo, tmp, &err), err);
    assert_status(GY_OK, gy_file_write(tmp, GY_STR("foo"), 0600, &err), err);
    assert_status(GY_OK, gy_dvc_cache_take(repo, &oid, tmp, &err), err);
    assert_status(GY_OK, gy_dvc_repo_settle(repo, &err), err);
    assert_status(GY_OK, gy_dvc_cache_path(repo, &oid, path, &err), err);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0444);
    assert_int_equal(chmod(path, 0644), 0);
    assert_status(GY_OK, gy_dvc_cache_has(repo, &oid, &has, &err), err);
    assert_true(has);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0444);
    assert_status(GY_OK, gy_file_write(path, GY_STR("fop"), 0644, &err), err);
    assert_status(GY_OK, gy_dvc_cache_has(repo, &oid, &has, &err), err);
    assert_false(has);
    assert_false(gy_path_exists(path));
}

static struct gy_dvc_out out_of(const char *path, const struct gy_dvc_tree *t)
{
    return (struct gy_dvc_out){.path = gy_arena_str(&arena, gy_str_c(path)),
                               .file = GY_STR("x.dvc"),
                               .oid = t->oid,
                               .cache = true,
                               .push = true};
}

static void checkout_types(const char *config)
{
    struct gy_dvc_checkout_options o = {.relink = true};
    struct gy_dvc_changes changes;
    reopen(config);
    put("d/a", "1");
    put("d/s/b", "2");
    put("d/s/empty", "");
    put("d/gone/c", "3");
    struct gy_dvc_tree t = tree("d", true);
    struct gy_dvc_out out = out_of("d", &t);
    remove_path("d/gone");
    put("d/new/n", "not saved");
    assert_status(GY_E_CONFLICT, gy_dvc_checkout(repo, &out, 1, false, &err), err);
    assert_file("d/new/n", "not saved");
    assert_false(is_there("d/gone"));
    assert_status(GY_OK, gy_dvc_checkout(repo, &out, 1, true, &err), err);
    assert_false(is_there("d/new"));
    assert_file("d/gone/c", "3");
    remove_path("d/s");
    assert_status(GY_OK, gy_dvc_checkout_with(repo, &out, 1, &o, &arena, &changes, &err), err);
    assert_int_equal(changes.n_added, 2);
    assert_int_equal(changes.outs[0], GY_DVC_MODIFIED);
    assert_file("d/s/b", "2");
    remove_path("d");
    assert_status(GY_OK, gy_dvc_checkout_with(repo, &out, 1, &o, &arena, &changes, &err), err);
    assert_int_equal(changes.outs[0], GY_DVC_ADDED);
    assert_int_equal(changes.n_added, 4);
    assert_status(GY_OK, gy_dvc_checkout_with(repo, &out, 1, &o, &arena, &changes, &err), err);
    assert_int_equal(changes.outs[0], GY_DVC_SAME);
    assert_int_equal(changes.n_added + changes.n_modified + changes.n_deleted, 0);
    assert_string_equal(tree("d", false).oid.hex, t.oid.hex);
}

static void test_checkout_copy(void **state)
{
    (void)state;
    checkout_types("[cache]\n    type = copy\n");
    assert_int_equal(stat_of("d/a").st_nlink, 1);
    assert_int_equal(stat_of("d/a").st_mode & 0200, 0200);
}

static void test_checkout_reflink(void **state)
{
    (void)state;
    checkout_types("");
    assert_int_equal(stat_of("d/a").st_nlink, 1);
}

static void test_checkout_hardlink(void **state)
{
    (void)state;
    checkout_types("[cache]\n    type = \"hardlink,copy\"\n");
    assert_int_equal(stat_of("d/a").st_nlink, 2);
    assert_int_equal(stat_of("d/a").st_mode & 0777, 0444);
    assert_int_equal(stat_of("d/s/empty").st_nlink, 1);
}

static void test_checkout_symlink(void **state)
{
    (void)state;
    checkout_types("[cache]\n    type = symlink\n");
    assert_true(S_ISLNK(stat_of("d/a").st_mode));
    assert_file("d/a", "1");
}

/* A folder's list is foreign: a link in the workspace must not lead its files elsewhere. */
static void test_checkout_stays_inside(void **state)
{
    char link_path[300], target[300];
    (void)state;
    put("d/s/b", "2");
    struct gy_dvc_tree t = tree("d", true);
    struct gy_dvc_out out = out_of("d", &t);
    remove_path("d/s");
    put("victim/b", "mine");
    (void)snprintf(target, sizeof target, "%s/victim", dir);
    (void)snprintf(link_path, sizeof link_path, "%s/d/s", dir);
    assert_int_equal(symlink(target, link_path), 0);
    assert_status(GY_E_CONFLICT, gy_dvc_checkout(repo, &out, 1, false, &err), err);
    assert_file("victim/b", "mine");
    assert_status(GY_OK, gy_dvc_checkout(repo, &out, 1, true, &err), err);
    assert_file("victim/b", "mine");
    assert_file("d/s/b", "2");
    assert_true(S_ISDIR(stat_of("d/s").st_mode));
}

static void test_checkout_turns(void **state)
{
    (void)state;
    put("x", "foo");
    struct gy_dvc_tree file = tree("x", true);
    struct gy_dvc_out file_out = out_of("x", &file);
    remove_path("x");
    put("x/in/side", "1");
    struct gy_dvc_tree folder = tree("x", true);
    struct gy_dvc_out folder_out = out_of("x", &folder);
    assert_status(GY_OK, gy_dvc_checkout(repo, &file_out, 1, false, &err), err);
    assert_file("x", "foo");
    assert_status(GY_OK, gy_dvc_checkout(repo, &folder_out, 1, false, &err), err);
    assert_file("x/in/side", "1");
    put("x/in/other", "unsaved");
    assert_status(GY_E_CONFLICT, gy_dvc_checkout(repo, &file_out, 1, false, &err), err);
    assert_file("x/in/other", "unsaved");
    assert_status(GY_OK, gy_dvc_checkout(repo, &file_out, 1, true, &err), err);
    assert_file("x", "foo");
    file_out.is_exec = true;
    assert_status(GY_OK, gy_dvc_checkout(repo, &file_out, 1, false, &err), err);
    assert_int_equal(stat_of("x").st_mode & 0100, 0100);
    remove_path(".dvc/cache/files/md5/ac");
    remove_path("x");
    assert_status(GY_E_NOTFOUND, gy_dvc_checkout(repo, &file_out, 1, false, &err), err);
    assert_non_null(strstr(err.hint, "fetch"));
}

/* ---- what is remembered of files ---- */

static void test_stats(void **state)
{
    char path[300], file[300], md5[GY_MD5_HEX];
    struct gy_dvc_stats *s = NULL;
    (void)state;
    put("f", "foo");
    struct stat st = stat_of("f");
    (void)snprintf(path, sizeof path, "%s/stats", dir);
    (void)snprintf(file, sizeof file, "%s/f", dir);
    assert_status(GY_OK, gy_dvc_stats_open(path, &s, &err), err);
    /* Read in the tick that it was written in: another write would not show. */
    gy_dvc_stats_note(s, &st, false, "acbd18db4cc2f85cedef654fccc4a4d8", NULL, gy_dvc_stats_now());
    assert_status(GY_OK, gy_dvc_stats_save(s, &err), err);
    assert_false(gy_path_exists(path));
    gy_dvc_stats_note(s, &st, false, "acbd18db4cc2f85cedef654fccc4a4d8", NULL,
                      gy_dvc_stats_now() + INT64_C(1000000000));
    assert_status(GY_OK, gy_dvc_stats_save(s, &err), err);
    gy_dvc_stats_free(s);
    assert_status(GY_OK, gy_dvc_stats_open(path, &s, &err), err);
    assert_true(gy_dvc_stats_find(s, &st, false, md5, NULL));
    assert_string_equal(md5, "acbd18db4cc2f85cedef654fccc4a4d8");
    assert_false(gy_dvc_stats_find(s, &st, true, md5, NULL));
    struct stat other = st;
    other.st_size++;
    assert_false(gy_dvc_stats_find(s, &other, false, md5, NULL));
    other = st;
    other.st_ctim.tv_nsec ^= 1;
    assert_false(gy_dvc_stats_find(s, &other, false, md5, NULL));
    other = st;
    other.st_ino++;
    assert_false(gy_dvc_stats_find(s, &other, false, md5, NULL));
    /* A newer note of a file replaces the older one. */
    gy_dvc_stats_note_own(s, &st, false, "c4ca4238a0b923820dcc509a6f75849b");
    assert_status(GY_OK, gy_dvc_stats_save(s, &err), err);
    gy_dvc_stats_free(s);
    assert_status(GY_OK, gy_dvc_stats_open(path, &s, &err), err);
    assert_true(gy_dvc_stats_find(s, &st, false, md5, NULL));
    assert_string_equal(md5, "c4ca4238a0b923820dcc509a6f75849b");
    gy_dvc_stats_free(s);
    /* Damage is found, whatever byte it hits. */
    for (off_t at = 0; at < gy_file_size(path); at += 13) {
        int fd = open(path, O_RDWR);
        char c = 0;
        assert_int_equal(pread(fd, &c, 1, at), 1);
        c ^= 0x40;
        assert_int_equal(pwrite(fd, &c, 1, at), 1);
        assert_status(GY_OK, gy_dvc_stats_open(path, &s, &err), err);
        bool known = gy_dvc_stats_find(s, &st, false, md5, NULL);
        assert_true(!known || (at >= 28 && at < 32)); /* but what is reserved */
        gy_dvc_stats_free(s);
        c ^= 0x40;
        assert_int_equal(pwrite(fd, &c, 1, at), 1);
        assert_int_equal(close(fd), 0);
    }
}

static gy_status tortured(void *ctx, struct gy_err *e)
{
    struct gy_arena a;
    struct gy_dvc_repo *r = NULL;
    struct gy_dvc_out *outs = NULL;
    size_t n = 0;
    (void)ctx;
    gy_arena_init(&a, GY_MIB);
    gy_status status = gy_dvc_repo_open(dir, &r, e);
    if (status == GY_OK) {
        status = gy_dvc_repo_outs(r, NULL, 0, &a, &outs, &n, e);
    }
    if (status == GY_OK) {
        status = gy_dvc_checkout(r, outs, n, true, e);
    }
    gy_dvc_repo_free(r);
    gy_arena_done(&a);
    return status;
}

static void test_torture(void **state)
{
    (void)state;
    put("d/a", "1");
    put("d.dvc", "outs:\n- md5: 5fb6b29836c388e093ca0715c872fe2a.dir\n  hash: md5\n  path: e\n");
    put("d/1", "1");
    remove_path("d/a");
    put("d/2", "2");
    (void)tree("d", true);
    torture(tortured, NULL);
    assert_file("e/2", "2");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_init),
        T(test_cache_dir),
        T(test_lock),
        T(test_rwlock),
        T(test_outs),
        T(test_targets),
        T(test_bad_stages),
        T(test_save),
        T(test_sizes),
        T(test_trust),
        T(test_checkout_copy),
        T(test_checkout_reflink),
        T(test_checkout_hardlink),
        T(test_checkout_symlink),
        T(test_checkout_stays_inside),
        T(test_checkout_turns),
        T(test_stats),
        T(test_torture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

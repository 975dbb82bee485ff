/* SPDX-License-Identifier: Apache-2.0 */
/* The expected text of dvc.lock was written by DVC 3.67.1 itself for the same dvc.yaml and files.
 */
#include <sys/stat.h>

#include "flow/lock.h"
#include "unit.h"

static char g_dir[64];
static struct gy_arena g_arena;
static struct gy_flow *g_flow;

static void put(const char *rel, const char *text)
{
    char path[256];
    struct gy_err err = GY_ERR_INIT;
    (void)snprintf(path, sizeof path, "%s/%s", g_dir, rel);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_status(GY_OK, gy_dir_make(path, &err), err);
    *slash = '/';
    assert_status(GY_OK, gy_file_write(path, gy_str_c(text), 0644, &err), err);
}

static void assert_file(const char *rel, const char *expected)
{
    char path[256];
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    gy_buf_init(&b, GY_MIB);
    (void)snprintf(path, sizeof path, "%s/%s", g_dir, rel);
    assert_status(GY_OK, gy_file_read(path, &b, &err), err);
    assert_string_equal(b.p, expected);
}

static const char pipeline[] =
    "stages:\n"
    "  one:\n"
    "    cmd: mkdir -p out && echo hello > out/x && echo world > out/y && echo "
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaa "
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb cccccccccccccccccccccccccccc ddddddddddddddddddddd "
    "eeeeeeeeeeeeeee > out/z\n"
    "    deps: [src, src/a.py]\n"
    "    params: [lr, n, long]\n"
    "    outs: [out]\n"
    "  two:\n"
    "    wdir: sub\n"
    "    cmd:\n"
    "      - cat ../out/x > two.txt\n"
    "      - \"echo 'it''s: $DVC_STAGE $DVC_ROOT' >> two.txt; echo '{\\\"f1\\\": 0.5}' > m.json\"\n"
    "    deps: [../out]\n"
    "    params:\n"
    "      - ../params.yaml: [n.a]\n"
    "    outs:\n"
    "      - two.txt: {cache: false}\n"
    "    metrics:\n"
    "      - m.json: {cache: false}\n"
    "  multi:\n"
    "    cmd: |\n"
    "      echo 1 > m1\n"
    "      echo 2 > m2\n"
    "    outs: [m1, m2]\n";

static const char lock_of_dvc[] =
    "schema: '2.0'\n"
    "stages:\n"
    "  one:\n"
    "    cmd: mkdir -p out && echo hello > out/x && echo world > out/y && echo \n"
    "      aaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb \n"
    "      cccccccccccccccccccccccccccc ddddddddddddddddddddd eeeeeeeeeeeeeee > out/z\n"
    "    deps:\n"
    "    - path: src\n"
    "      hash: md5\n"
    "      md5: 2e890e4d773570773a87e915ed8b2069.dir\n"
    "      size: 9\n"
    "      nfiles: 1\n"
    "    - path: src/a.py\n"
    "      hash: md5\n"
    "      md5: dee5c46989f5ec092311188f4fe829c3\n"
    "      size: 9\n"
    "      isexec: true\n"
    "    params:\n"
    "      params.yaml:\n"
    "        long: 'a b: c'\n"
    "        lr: 0.1\n"
    "        n:\n"
    "          a: 1\n"
    "          b:\n"
    "          - 1\n"
    "          - x\n"
    "          - k: v\n"
    "          c: []\n"
    "          d:\n"
    "          e: '1'\n"
    "          f: 1e-05\n"
    "          g: yes\n"
    "    outs:\n"
    "    - path: out\n"
    "      hash: md5\n"
    "      md5: 81b0f1fab12723b90b311090b204ac5d.dir\n"
    "      size: 140\n"
    "      nfiles: 3\n"
    "  two:\n"
    "    cmd:\n"
    "    - cat ../out/x > two.txt\n"
    "    - \"echo 'it''s: $DVC_STAGE $DVC_ROOT' >> two.txt; echo '{\\\"f1\\\": 0.5}' > m.json\"\n"
    "    deps:\n"
    "    - path: ../out\n"
    "      hash: md5\n"
    "      md5: 81b0f1fab12723b90b311090b204ac5d.dir\n"
    "      size: 140\n"
    "      nfiles: 3\n"
    "    params:\n"
    "      ../params.yaml:\n"
    "        n.a: 1\n"
    "    outs:\n"
    "    - path: m.json\n"
    "      hash: md5\n"
    "      md5: b664cbdf93b3476f841b943baf8c6b35\n"
    "      size: 12\n"
    "    - path: two.txt\n"
    "      hash: md5\n"
    "      md5: 750ebd0ecfeb9a3387e4f40a17033351\n"
    "      size: 32\n"
    "  multi:\n"
    "    cmd: \"echo 1 > m1\\necho 2 > m2\\n\"\n"
    "    outs:\n"
    "    - path: m1\n"
    "      hash: md5\n"
    "      md5: b026324c6904b2a9cb4b88d6d61c81d1\n"
    "      size: 2\n"
    "    - path: m2\n"
    "      hash: md5\n"
    "      md5: 26ab0db90d72e28ad0ba1e22ee510510\n"
    "      size: 2\n";

static int setup(void **state)
{
    (void)state;
    char path[128];
    struct gy_err err = GY_ERR_INIT;
    scratch_make(g_dir);
    gy_arena_init(&g_arena, GY_GIB);
    put("dvc.yaml", pipeline);
    put("params.yaml",
        "lr: 0.10\nn: {a: 1, b: [1, x, {k: v}], c: [], d: null, e: \"1\", f: 1e-5, g: \"yes\"}\n"
        "long: \"a b: c\"\n");
    put("src/a.py", "print(1)\n");
    (void)snprintf(path, sizeof path, "%s/src/a.py", g_dir);
    assert_int_equal(chmod(path, 0755), 0);
    put("out/x", "hello\n");
    put("out/y", "world\n");
    put("out/z",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb cccccccccccccccccccccccccccc "
        "ddddddddddddddddddddd eeeeeeeeeeeeeee\n");
    put("sub/two.txt", "hello\nits: $DVC_STAGE $DVC_ROOT\n");
    put("sub/m.json", "{\"f1\": 0.5}\n");
    put("m1", "1\n");
    put("m2", "2\n");
    assert_status(GY_OK, gy_flow_load(g_dir, &g_flow, &err), err);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gy_flow_free(g_flow);
    g_flow = NULL;
    gy_arena_done(&g_arena);
    scratch_done(g_dir);
    return 0;
}

static const struct gy_flow_stage *stage(const char *name)
{
    return &g_flow->stages[gy_flow_find(g_flow, gy_str_c(name))];
}

static void state_of(const char *name, struct gy_flow_state *st)
{
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_flow_state_inputs(g_flow, stage(name), &g_arena, st, &err), err);
    assert_status(GY_OK, gy_flow_state_outputs(g_flow, stage(name), false, &g_arena, st, &err),
                  err);
}

static const char *why(const struct gy_flow_lock *l, const char *name)
{
    struct gy_flow_state st;
    const char *text = "";
    struct gy_err err = GY_ERR_INIT;
    state_of(name, &st);
    assert_status(GY_OK, gy_flow_changed(l, stage(name), &st, &g_arena, &text, &err), err);
    return text;
}

/* Stage by stage, each on top of what was read back: byte for byte DVC's file. */
static void test_written_as_dvc_writes_it(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_flow_lock_done) struct gy_flow_lock lock;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_flow_lock_read(g_dir, &lock, &err), err);
    assert_string_equal(why(&lock, "one"), "it never ran");
    static const char *const names[] = {"one", "two", "multi", "two"};
    for (size_t i = 0; i < 4; i++) {
        struct gy_flow_state st;
        state_of(names[i], &st);
        assert_status(GY_OK, gy_flow_lock_write(g_dir, &lock, stage(names[i]), &st, &err), err);
    }
    assert_file("dvc.lock", lock_of_dvc);
    assert_null(why(&lock, "one"));
    assert_null(why(&lock, "two"));
    assert_null(why(&lock, "multi"));
}

static void test_dvc_s_own_file_says_nothing_changed(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_flow_lock_done) struct gy_flow_lock lock;
    struct gy_err err = GY_ERR_INIT;
    put("dvc.lock", lock_of_dvc);
    assert_status(GY_OK, gy_flow_lock_read(g_dir, &lock, &err), err);
    assert_null(why(&lock, "one"));
    assert_null(why(&lock, "two"));
    assert_null(why(&lock, "multi"));
    struct gy_flow_state st;
    state_of("one", &st);
    assert_str(st.params_json, "{\"params.yaml\":{\"long\":\"a b: "
                               "c\",\"lr\":0.1,\"n\":{\"a\":1,\"b\":[1,\"x\",{\"k\":\"v\"}],"
                               "\"c\":[],\"d\":null,\"e\":\"1\",\"f\":1e-05,\"g\":\"yes\"}}}");

    put("out/y", "World\n");
    assert_string_equal(why(&lock, "one"), "output out changed");
    assert_string_equal(why(&lock, "two"), "dependency ../out changed");
    put("out/y", "world\n");
    put("params.yaml",
        "lr: 0.10\nn: {a: 1.0, b: [1, x, {k: v}], c: [], d: null, e: \"1\", f: 1e-5, g: \"yes\"}\n"
        "long: \"a b: c\"\n");
    assert_string_equal(why(&lock, "one"), "a parameter changed"); /* 1 is not 1.0 */
    assert_string_equal(why(&lock, "two"), "a parameter changed");
    char path[128];
    (void)snprintf(path, sizeof path, "%s/m1", g_dir);
    assert_int_equal(unlink(path), 0);
    assert_string_equal(why(&lock, "multi"), "output m1 is gone");
}

static void test_command_and_lists(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_flow_lock_done) struct gy_flow_lock lock;
    struct gy_err err = GY_ERR_INIT;
    put("dvc.lock", lock_of_dvc);
    assert_status(GY_OK, gy_flow_lock_read(g_dir, &lock, &err), err);
    put("dvc.yaml", "stages:\n  multi: {cmd: [echo 1 > m1], outs: [m1, m2]}\n");
    gy_flow_free(g_flow);
    assert_status(GY_OK, gy_flow_load(g_dir, &g_flow, &err), err);
    assert_string_equal(why(&lock, "multi"), "the command changed");
    put("dvc.yaml", "stages:\n  multi: {cmd: \"echo 1 > m1\\necho 2 > m2\\n\", outs: [m1], "
                    "always_changed: false}\n");
    gy_flow_free(g_flow);
    assert_status(GY_OK, gy_flow_load(g_dir, &g_flow, &err), err);
    assert_string_equal(why(&lock, "multi"), "output list changed");
    put("dvc.yaml", "stages:\n  multi: {cmd: \"echo 1 > m1\\necho 2 > m2\\n\", outs: [m1, m2], "
                    "always_changed: true}\n");
    gy_flow_free(g_flow);
    assert_status(GY_OK, gy_flow_load(g_dir, &g_flow, &err), err);
    assert_string_equal(why(&lock, "multi"), "always_changed is set");
    put("dvc.yaml",
        "stages:\n  multi: {cmd: \"echo 1 > m1\\necho 2 > m2\\n\", deps: [src], outs: [m1, m2]}\n");
    gy_flow_free(g_flow);
    assert_status(GY_OK, gy_flow_load(g_dir, &g_flow, &err), err);
    assert_string_equal(why(&lock, "multi"), "dependency src is new");
}

/* Entries of stages that are not ours, and keys that we do not know, are kept. */
static void test_others_are_kept(void **state)
{
    (void)state;
    static const char other[] =
        "schema: '2.0'\nstages:\n  gone:\n    cmd: x\n    outs:\n    - path: g\n      hash: md5\n"
        "      md5: '12345678901234567890123456789012'\n      size: 1\n"
        "      cloud:\n        store:\n          etag: abc\n"
        "datasets:\n- name: d\n  type: dvc\n";
    GY_AUTO_DONE(gy_flow_lock_done) struct gy_flow_lock lock;
    struct gy_err err = GY_ERR_INIT;
    struct gy_flow_state st;
    put("dvc.lock", other);
    assert_status(GY_OK, gy_flow_lock_read(g_dir, &lock, &err), err);
    state_of("multi", &st);
    assert_status(GY_OK, gy_flow_lock_write(g_dir, &lock, stage("multi"), &st, &err), err);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    char path[128];
    gy_buf_init(&b, GY_MIB);
    (void)snprintf(path, sizeof path, "%s/dvc.lock", g_dir);
    assert_status(GY_OK, gy_file_read(path, &b, &err), err);
    struct gy_str head = gy_str_c(other);
    size_t datasets = gy_str_find_str(head, GY_STR("datasets:"));
    assert_true(gy_str_starts(gy_buf_str(&b), gy_str_sub(head, 0, datasets)));
    assert_true(gy_str_ends(gy_buf_str(&b), gy_str_sub(head, datasets, head.n)));
}

static void test_refused(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_flow_lock_done) struct gy_flow_lock lock = {NULL};
    struct gy_err err = GY_ERR_INIT;
    put("dvc.lock", "schema: '1.0'\nstages: {}\n");
    assert_int_equal(gy_flow_lock_read(g_dir, &lock, &err), GY_E_VERSION);
    put("dvc.lock", "one:\n  cmd: x\n");
    assert_int_equal(gy_flow_lock_read(g_dir, &lock, &err), GY_E_VERSION);
    put("dvc.lock", "stages: [\n");
    assert_int_equal(gy_flow_lock_read(g_dir, &lock, &err), GY_E_PARSE);
    put("params.yaml", "lr: 1\n");
    struct gy_flow_state st;
    assert_int_equal(gy_flow_state_inputs(g_flow, stage("one"), &g_arena, &st, &err),
                     GY_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "'long' of the stage 'one' is not in params.yaml"));
    char path[128];
    (void)snprintf(path, sizeof path, "%s/src", g_dir);
    assert_status(GY_OK, gy_dir_remove(path, &err), err);
    assert_int_equal(gy_flow_state_inputs(g_flow, stage("one"), &g_arena, &st, &err),
                     GY_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "needs 'src'"));
    (void)snprintf(path, sizeof path, "%s/m2", g_dir);
    assert_int_equal(unlink(path), 0);
    st.outs = gy_arena_calloc(&g_arena, 8, sizeof *st.outs);
    assert_int_equal(gy_flow_state_outputs(g_flow, stage("multi"), true, &g_arena, &st, &err),
                     GY_E_NOTFOUND);
    assert_non_null(strstr(err.msg, "did not make its output 'm2'"));
}

/* An entry without `hash: md5` is of DVC 2, which hashed text otherwise: it tells nothing. */
static void test_legacy_hash_is_a_change(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_flow_lock_done) struct gy_flow_lock lock;
    struct gy_err err = GY_ERR_INIT;
    put("dvc.lock",
        "schema: '2.0'\nstages:\n  multi:\n    cmd: \"echo 1 > m1\\necho 2 > m2\\n\"\n    outs:\n"
        "    - path: m1\n      md5: b026324c6904b2a9cb4b88d6d61c81d1\n      size: 2\n"
        "    - path: m2\n      md5: 26ab0db90d72e28ad0ba1e22ee510510\n      size: 2\n");
    assert_status(GY_OK, gy_flow_lock_read(g_dir, &lock, &err), err);
    assert_string_equal(why(&lock, "multi"), "output m1 is new");
}

static gy_status write_all(void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_AUTO_DONE(gy_flow_lock_done) struct gy_flow_lock lock;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO(gy_flow_free) struct gy_flow *f = NULL;
    struct gy_flow_state st;
    const char *text;
    gy_arena_init(&a, GY_GIB);
    lock.yaml = NULL;
    GY_TRY(gy_flow_load(g_dir, &f, err));
    const struct gy_flow_stage *one = &f->stages[gy_flow_find(f, GY_STR("one"))];
    GY_TRY(gy_flow_lock_read(g_dir, &lock, err));
    GY_TRY(gy_flow_state_inputs(f, one, &a, &st, err));
    GY_TRY(gy_flow_state_outputs(f, one, true, &a, &st, err));
    GY_TRY(gy_flow_changed(&lock, one, &st, &a, &text, err));
    return gy_flow_lock_write(g_dir, &lock, one, &st, err);
}

static void test_torture(void **state)
{
    (void)state;
    put("dvc.lock", lock_of_dvc);
    torture(write_all, NULL);
    assert_file("dvc.lock", lock_of_dvc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_written_as_dvc_writes_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dvc_s_own_file_says_nothing_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_command_and_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(test_others_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_legacy_hash_is_a_change, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torture, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

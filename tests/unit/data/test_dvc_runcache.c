/* SPDX-License-Identifier: Apache-2.0 */
/* The run cache's names; expected values are those of DVC's own tests. */
#include "unit.h"

#include <sys/stat.h>

#include "data/dvc/runcache.h"

static struct gy_err err;

static void assert_hashes(const char *text, const char *key, const char *value)
{
    char got[GY_SHA256_HEX];
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    assert_status(GY_OK, gy_yaml_parse(gy_str_c(text), "t", &y, &err), err);
    assert_status(GY_OK, gy_dvc_run_hash(gy_yaml_root(y), true, got, &err), err);
    assert_string_equal(got, key);
    assert_status(GY_OK, gy_dvc_run_hash(gy_yaml_root(y), false, got, &err), err);
    assert_string_equal(got, value);
}

static void test_golden(void **state)
{
    char dep[GY_MD5_HEX], script[GY_MD5_HEX], out[GY_MD5_HEX], text[1024];
    (void)state;
    assert_status(GY_OK, gy_md5_hex(GY_STR("dep"), dep, &err), err);
    assert_status(GY_OK, gy_md5_hex(GY_STR("open(\"out\", \"w+\").write(\"out\"); "), script, &err),
                  err);
    assert_status(GY_OK, gy_md5_hex(GY_STR("out"), out, &err), err);
    (void)snprintf(text, sizeof text,
                   "cmd: python script.py\ndeps:\n- path: dep\n  hash: md5\n  md5: %s\n  size: 3\n"
                   "- path: script.py\n  hash: md5\n  md5: '%s'\n  size: 33\nouts:\n- path: out\n"
                   "  hash: md5\n  md5: %s\n  size: 3\n  nfiles: 7\n",
                   dep, script, out);
    assert_hashes(text, "c7a85d71de1912c43d9c5b6218c71630d6277e8fc11e4ccf5e12b3c202234838",
                  "5e2824029f8da9ef6c57131a638ceb65f27c02f16c85d71e85671c27daed0501");
    (void)snprintf(text, sizeof text,
                   "cmd: python script.py\nparams:\n  params.yaml:\n    foo: 1\n    bar: 2\n  "
                   "myparams.yaml:\n    qux: 4\n    baz: 3\nouts:\n- md5: %s\n  hash: md5\n  path: "
                   "out\n  size: 3\n",
                   out);
    assert_hashes(text, "8fdb377d1b4c0a303b788771b122dfba9bbbbc43f14ce41d35715cf4fea08459",
                  "9ce1963a69beb1299800188647cd960b7afff101be19fd46226e32bb8be8ee44");
}

/* json.dumps of what YAML holds. */
static void test_values(void **state)
{
    char want[GY_SHA256_HEX], got[GY_SHA256_HEX];
    static const char json[] =
        "{\"cmd\": [\"a\", \"b\"], \"outs\": [{\"path\": \"o\"}], \"params\": {\"p\": "
        "{\"b\": true, \"e\": [], \"f\": 1e-05, \"g\": 1e+16, \"h\": 0.1, \"i\": -3, \"l\": [1, "
        "\"x\", null], \"m\": {}, \"n\": null, \"s\": \"\\u00e9\"}}}";
    static const char yaml[] =
        "params:\n  p: {s: \xc3\xa9, n: null, l: [1, x, null], i: -3, h: 0.1, g: 1.0e+16, f: "
        "0.00001, b: true, e: [], m: {}}\nouts:\n- {path: o, size: 1}\ncmd:\n- a\n- b\n";
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    (void)state;
    assert_status(GY_OK, gy_sha256_hex(gy_str_c(json), want, &err), err);
    assert_status(GY_OK, gy_yaml_parse(gy_str_c(yaml), "t", &y, &err), err);
    assert_status(GY_OK, gy_dvc_run_hash(gy_yaml_root(y), false, got, &err), err);
    assert_string_equal(got, want);
}

static void test_save_and_find(void **state)
{
    static const char *const versions[] = {"acbd18db4cc2f85cedef654fccc4a4d8",
                                           "37b51d194a7513e45b56f6524f2d51f2"};
    char dir[64], path[256], text[512];
    struct gy_dvc_repo *r = NULL;
    (void)state;
    scratch_make(dir);
    (void)snprintf(path, sizeof path, "%s/.dvc", dir);
    assert_status(GY_OK, gy_dir_make(path, &err), err);
    assert_status(GY_OK, gy_dvc_repo_open(dir, &r, &err), err);
    for (size_t i = 0; i < 2; i++) {
        GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
        GY_AUTO(gy_yaml_free) struct gy_yaml *found = NULL;
        (void)snprintf(text, sizeof text,
                       "cmd: c\ndeps:\n- path: d\n  hash: md5\n  md5: "
                       "acbd18db4cc2f85cedef654fccc4a4d8\nouts:\n- path: o\n  hash: md5\n  md5: "
                       "%s\n  size: 3\n",
                       versions[i]);
        assert_status(GY_OK, gy_yaml_parse(gy_str_c(text), "t", &y, &err), err);
        if (i == 0) {
            assert_status(GY_OK, gy_dvc_run_find(r, gy_yaml_root(y), &found, &err), err);
            assert_null(found);
        }
        (void)usleep(20000); /* the newest counts */
        assert_status(GY_OK, gy_dvc_run_save(r, gy_yaml_root(y), &err), err);
        assert_status(GY_OK, gy_dvc_run_save(r, gy_yaml_root(y), &err), err);
        assert_status(GY_OK, gy_dvc_run_find(r, gy_yaml_root(y), &found, &err), err);
        assert_non_null(found);
        assert_str(gy_yaml_source(found), text);
    }
    gy_dvc_repo_free(r);
    scratch_done(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_save_and_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

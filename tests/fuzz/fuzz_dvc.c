/* SPDX-License-Identifier: Apache-2.0 */
/* DVC's own texts, by the first byte: 'l' a folder's list (what is read is written and read again
 * the same; no path leaves the folder), 'f' a .dvc file (edited, it says what it was told, and
 * editing it again changes nothing), 'p' a pattern and a path, a line each (matching ends), 'r' an
 * entry of the run cache (it has a digest). */
#include "base/limits.h"
#include "data/dvc/dir.h"
#include "data/dvc/file.h"
#include "data/dvc/ignore.h"
#include "data/dvc/runcache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_list(struct gy_str text)
{
    struct gy_err err = GY_ERR_INIT;
    struct gy_dvc_entry *once = NULL, *twice = NULL;
    size_t n = 0, n_twice = 0;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_arena_init(&a, 256 * GY_MIB);
    gy_buf_init(&json, 64 * GY_MIB);
    if (gy_dvc_dir_parse(text, &a, &once, &n, &err) != GY_OK) {
        GY_REQUIRE(err.code != GY_OK && err.msg[0]);
        return;
    }
    GY_REQUIRE(gy_dvc_dir_json(once, n, &json, &err) == GY_OK);
    GY_REQUIRE(gy_dvc_dir_parse(gy_buf_str(&json), &a, &twice, &n_twice, &err) == GY_OK);
    GY_REQUIRE(n == n_twice);
    for (size_t i = 0; i < n; i++) {
        GY_REQUIRE(gy_str_eq(once[i].relpath, twice[i].relpath));
        GY_REQUIRE(strcmp(once[i].md5, twice[i].md5) == 0);
        GY_REQUIRE(gy_dvc_relpath_ok(once[i].relpath) && once[i].relpath.p[0] != '/');
        GY_REQUIRE(i == 0 || gy_dvc_path_cmp(once[i - 1].relpath, once[i].relpath) < 0);
    }
}

static void fuzz_file(struct gy_str text)
{
    static const char md5[] = "acbd18db4cc2f85cedef654fccc4a4d8";
    struct gy_err err = GY_ERR_INIT;
    struct gy_dvc_out o = {.path = GY_STR("d/f"), .size_bytes = 3, .n_files = -1, .is_exec = true};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf once;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf twice;
    gy_buf_init(&once, GY_MAX_YAML);
    gy_buf_init(&twice, GY_MAX_YAML);
    GY_REQUIRE(gy_dvc_oid_set(&o.oid, GY_STR(md5), false));
    if (gy_dvc_file_edit(text, GY_STR("d/f.dvc"), &o, &once, &err) != GY_OK) {
        GY_REQUIRE(err.code != GY_OK && err.msg[0]);
        return;
    }
    GY_REQUIRE(gy_str_find_str(gy_buf_str(&once), GY_STR(md5)) != SIZE_MAX);
    GY_REQUIRE(gy_dvc_file_edit(gy_buf_str(&once), GY_STR("d/f.dvc"), &o, &twice, &err) == GY_OK);
    GY_REQUIRE(gy_str_eq(gy_buf_str(&once), gy_buf_str(&twice)));
}

static void fuzz_entry(struct gy_str text)
{
    char key[GY_SHA256_HEX], again[GY_SHA256_HEX];
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    if (gy_yaml_parse(text, "fuzz", &y, &err) == GY_OK &&
        gy_dvc_run_hash(gy_yaml_root(y), true, key, &err) == GY_OK) {
        GY_REQUIRE(gy_dvc_run_hash(gy_yaml_root(y), true, again, &err) == GY_OK);
        GY_REQUIRE(strcmp(key, again) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gy_str pattern, path;
    if (size == 0 || size > GY_MIB) {
        return 0;
    }
    struct gy_str text = gy_str_n((const char *)data + 1, size - 1);
    switch (data[0]) {
    case 'l':
        fuzz_list(text);
        break;
    case 'f':
        fuzz_file(text);
        break;
    case 'r':
        fuzz_entry(text);
        break;
    case 'p':
        if (size < 4096 && gy_str_cut(text, '\n', &pattern, &path)) {
            (void)gy_dvc_wildmatch(pattern, path);
        }
        break;
    default:
        break;
    }
    return 0;
}

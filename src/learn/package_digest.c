/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/limits.h"
#include "learn/predictor.h"

#define MAX_FILES 10000
#define MAX_DEPTH 16

struct walk {
    struct gy_arena arena;
    const char *root;
    const char *sub; /* of the folder being read, "" at the top */
    int depth;
    struct gy_str *files;
    size_t n;
};

static gy_status collect(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct walk *w = ctx;
    const char *rel = gy_arena_printf(&w->arena, "%s%s%s", w->sub, *w->sub ? "/" : "", name);
    if (!rel) {
        return gy_err_set(err, GY_E_NOMEM, "reading a package");
    }
    if (!is_dir) {
        if (w->n == MAX_FILES) {
            return gy_err_set(err, GY_E_TOOBIG, "a package has more than %d files", MAX_FILES);
        }
        w->files[w->n++] = gy_str_c(rel);
        return GY_OK;
    }
    if (w->depth == MAX_DEPTH) {
        return gy_err_set(err, GY_E_TOOBIG, "a package is nested deeper than %d", MAX_DEPTH);
    }
    char path[GY_MAX_PATH];
    const char *outer = w->sub;
    GY_TRY(gy_path_join(path, sizeof path, w->root, rel, err));
    w->sub = rel;
    w->depth++;
    GY_TRY(gy_dir_each(path, collect, w, err));
    w->depth--;
    w->sub = outer;
    return GY_OK;
}

static int compare_paths(const void *a, const void *b)
{
    return gy_str_cmp(*(const struct gy_str *)a, *(const struct gy_str *)b);
}

static gy_status digest_files(struct walk *w, char ret_sha256[65], struct gy_err *err)
{
    GY_AUTO(gy_hash_free) struct gy_hash *h = NULL;
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &h, err));
    for (size_t i = 0; i < w->n; i++) {
        char path[GY_MAX_PATH];
        char sha256[GY_SHA256_HEX];
        GY_TRY(gy_path_join(path, sizeof path, w->root, w->files[i].p, err));
        GY_TRY(gy_file_digest(path, sha256, NULL, NULL, err));
        gy_hash_add(h, gy_str_c(sha256));
        gy_hash_add(h, GY_STR("  "));
        gy_hash_add(h, w->files[i]);
        gy_hash_add(h, GY_STR("\n"));
    }
    gy_hash_hex(h, ret_sha256);
    return GY_OK;
}

gy_status gy_package_digest(const char *dir, char ret_sha256[65], struct gy_err *err)
{
    struct walk w = {.root = dir, .sub = ""};
    gy_arena_init(&w.arena, 64 * GY_MIB);
    w.files = gy_arena_calloc(&w.arena, MAX_FILES, sizeof *w.files);
    gy_status status = w.files ? gy_dir_each(dir, collect, &w, err)
                               : gy_err_set(err, GY_E_NOMEM, "reading a package");
    if (status == GY_OK) {
        qsort(w.files, w.n, sizeof *w.files, compare_paths);
        status = digest_files(&w, ret_sha256, err);
    }
    gy_arena_done(&w.arena);
    return status;
}

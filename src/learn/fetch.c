/* SPDX-License-Identifier: Apache-2.0 */
/* A registered package back into a folder. */
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/id.h"
#include "learn/publish.h"
#include "net/call.h"

#define MAX_ANSWER (16 * GY_MIB)

struct fetch {
    struct gy_caller *c;
    struct gy_collect answer;
    const char *dir; /* where the files are gathered */
};

static gy_status get_file(struct fetch *f, yyjson_val *v, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    char parent[GY_MAX_PATH];
    char url[160];
    char sha256[GY_SHA256_HEX];
    struct gy_str name = GY_STR_NULL;
    struct gy_str want = GY_STR_NULL;
    GY_TRY(gy_json_need_str(v, "path", &name, err));
    GY_TRY(gy_json_need_str(v, "sha256", &want, err));
    GY_TRY(gy_path_check_relative(name, err));
    GY_TRY(gy_path_join(path, sizeof path, f->dir, name.p, err));
    (void)snprintf(parent, sizeof parent, "%s", path);
    *strrchr(parent, '/') = '\0';
    GY_TRY(gy_dir_make(parent, err));
    (void)snprintf(url, sizeof url, "/api/gyre/v1/objects/%.64s", want.p);
    GY_TRY(gy_call_json(f->c, "GET", url, GY_STR_NULL, &f->answer, err));
    GY_TRY(gy_sha256_hex(gy_buf_str(&f->answer.body), sha256, err));
    if (!gy_str_eqc(want, sha256)) {
        return gy_err_set(err, GY_E_CORRUPT, "%" GY_STR_F " arrived damaged", GY_STR_A(name));
    }
    return gy_file_write(path, gy_buf_str(&f->answer.body), 0644, err);
}

static gy_status get_files(struct fetch *f, yyjson_val *files, struct gy_err *err)
{
    size_t i;
    size_t max;
    yyjson_val *v;
    if (yyjson_arr_size(files) == 0) {
        return gy_err_set(err, GY_E_NOTFOUND, "the version has no files");
    }
    yyjson_arr_foreach(files, i, max, v)
    {
        GY_TRY(get_file(f, v, err));
    }
    return GY_OK;
}

static bool is_complete(const char *dir, struct gy_str digest)
{
    char have[GY_SHA256_HEX];
    return gy_path_is_dir(dir) && gy_package_digest(dir, have, NULL) == GY_OK &&
           gy_str_eqc(digest, have);
}

/* Gather beside the place, check, then move there in one step. */
static gy_status gather(struct fetch *f, yyjson_val *files, const char *root, struct gy_str digest,
                        const char *place, struct gy_err *err)
{
    char id[GY_UUID_TEXT];
    char name[GY_UUID_TEXT + 8];
    char dir[GY_MAX_PATH];
    GY_TRY(gy_new_id(id, err));
    (void)snprintf(name, sizeof name, ".new-%s", id);
    GY_TRY(gy_dir_make(root, err));
    GY_TRY(gy_path_join(dir, sizeof dir, root, name, err));
    GY_TRY(gy_dir_make(dir, err));
    f->dir = dir;
    gy_status status = get_files(f, files, err);
    if (status == GY_OK && !is_complete(dir, digest)) {
        status = gy_err_set(err, GY_E_CORRUPT, "the files are not the package of digest %.16s",
                            digest.p);
    }
    if (status == GY_OK) {
        status = gy_dir_remove(place, err); /* an incomplete one */
    }
    if (status == GY_OK && rename(dir, place) != 0 && !is_complete(place, digest)) {
        status = gy_err_set(err, GY_E_IO, "the package can not be moved to %s", place);
    }
    f->dir = NULL;
    gy_status cleaned = gy_dir_remove(dir, NULL); /* nothing is there any more when it was moved */
    return status != GY_OK    ? status
           : cleaned == GY_OK ? GY_OK
                              : gy_err_set(err, cleaned, "%s can not be removed", dir);
}

static gy_status keep_ref(yyjson_val *root, struct gy_package_ref *ret, struct gy_err *err)
{
    if (!ret) {
        return GY_OK;
    }
    gy_arena_init(&ret->arena, GY_MIB);
    ret->name = gy_arena_str(&ret->arena, gy_json_str(root, "name"));
    ret->digest = gy_arena_str(&ret->arena, gy_json_str(root, "digest"));
    ret->run_id = gy_arena_str(&ret->arena, gy_json_str(root, "run_id"));
    ret->version = gy_json_i64(root, "version", 0);
    return ret->name.p && ret->digest.p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "a model version");
}

static gy_status fetch(struct fetch *f, struct gy_str ref, const char *root, char *ret_dir,
                       struct gy_package_ref *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf url;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_buf_init(&url, GY_MAX_PATH);
    gy_buf_addc(&url, "/api/gyre/v1/models/resolve?ref=");
    gy_url_encode(&url, ref, false);
    GY_TRY(gy_buf_check(&url, "the model's name", err));
    GY_TRY(gy_call_json(f->c, "GET", url.p, GY_STR_NULL, &f->answer, err));
    GY_TRY(gy_json_parse(gy_buf_str(&f->answer.body), &doc, err));
    yyjson_val *v = yyjson_doc_get_root(doc);
    struct gy_str digest = GY_STR_NULL;
    GY_TRY(gy_json_need_str(v, "digest", &digest, err));
    if (digest.n != 64 || gy_path_check_relative(digest, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_NETWORK, "the server's answer has no digest");
    }
    GY_TRY(gy_path_join(ret_dir, GY_MAX_PATH, root, digest.p, err));
    if (!is_complete(ret_dir, digest)) {
        GY_TRY(gather(f, gy_json_get(v, "files"), root, digest, ret_dir, err));
    }
    return keep_ref(v, ret, err);
}

gy_status gy_package_fetch(struct gy_caller *c, struct gy_str ref, const char *root, char *ret_dir,
                           struct gy_package_ref *ret, struct gy_err *err)
{
    struct fetch f = {.c = c};
    if (ret) {
        memset(ret, 0, sizeof *ret);
    }
    gy_collect_init(&f.answer, GY_MAX_REPLY);
    gy_status status = fetch(&f, ref, root, ret_dir, ret, err);
    gy_collect_done(&f.answer);
    if (status != GY_OK) {
        (void)gy_err_wrap(err, "model '%" GY_STR_F "'", GY_STR_A(ref));
        gy_package_ref_done(ret);
    }
    return status;
}

void gy_package_ref_done(struct gy_package_ref *r)
{
    if (r) {
        gy_arena_done(&r->arena);
    }
}

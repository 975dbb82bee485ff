/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/data_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/time.h"
#include "cli/dataset_get.h"
#include "cli/model_input.h"

void gy_cli_data_file_done(struct gy_cli_data_file *f)
{
    gy_schema_free(GY_TAKE(f->schema));
    if (f->fetched) {
        (void)unlink(f->path); /* a copy; what stays is only room in a cache */
        f->fetched = false;
    }
}

static gy_status read_schema(yyjson_val *schema, struct gy_schema **ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, GY_MAX_YAML);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    gy_jw_val(&w, schema);
    GY_TRY(gy_buf_check(&json, "the schema of a dataset", err));
    return gy_schema_parse(gy_buf_str(&json), "the dataset's schema", ret, err);
}

static gy_status fetch(struct gy_cli *cli, const char *what, struct gy_cli_data_file *f,
                       struct gy_err *err)
{
    struct gy_home home;
    char name[64];
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    GY_TRY(gy_cli_home(cli, &home, err));
    (void)snprintf(name, sizeof name, "cache/data/%lld-%lld.csv", (long long)getpid(),
                   (long long)gy_mono_ns());
    GY_TRY(gy_path_join(f->path, sizeof f->path, home.dir, name, err));
    GY_TRY(gy_dir_make_for(f->path, err));
    GY_TRY(gy_cli_dataset_get(cli, what, f->path, &answer, err));
    f->fetched = true;
    f->dataset = gy_cli_cellf(cli, "%" GY_STR_F "@%lld", GY_STR_A(gy_json_str(answer.root, "name")),
                              (long long)gy_json_i64(answer.root, "version", 0));
    yyjson_val *schema = gy_json_get(answer.root, "schema");
    return yyjson_is_obj(schema) ? read_schema(schema, &f->schema, err) : GY_OK;
}

gy_status gy_cli_data_file_open(struct gy_cli *cli, const char *what, struct gy_cli_data_file *ret,
                                struct gy_err *err)
{
    struct stat st;
    *ret = (struct gy_cli_data_file){0};
    /* A folder is no table: "sepsis" beside a folder of that name is still the dataset. */
    if (stat(what, &st) != 0 || S_ISDIR(st.st_mode)) {
        gy_status status = fetch(cli, what, ret, err);
        if (status == GY_E_NOTFOUND || status == GY_E_USAGE) {
            return gy_err_wrap(err, "'%s' is no file", what);
        }
        return status;
    }
    size_t n = strlen(what);
    if (n >= sizeof ret->path) {
        return gy_err_set(err, GY_E_TOOBIG, "the path is too long");
    }
    memcpy(ret->path, what, n + 1);
    return GY_OK;
}

gy_status gy_cli_schema_of(struct gy_cli *cli, const char *what, struct gy_schema **ret,
                           struct gy_err *err)
{
    if (gy_path_exists(what)) {
        return gy_schema_read(what, ret, err);
    }
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, GY_MAX_PATH);
    GY_TRY(gy_cli_dataset_path(what, &path, err));
    gy_status status = gy_cli_ask(cli, "GET", path.p, GY_STR_NULL, &answer, err);
    if (status != GY_OK) {
        return gy_err_wrap(err, "'%s' is no file", what);
    }
    yyjson_val *schema = gy_json_get(answer.root, "schema");
    return yyjson_is_obj(schema)
               ? read_schema(schema, ret, err)
               : gy_err_set(err, GY_E_NOTFOUND, "the dataset '%s' has no schema", what);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/data_input.h"

#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/id.h"
#include "cli/dataset_get.h"
#include "cli/model_input.h"

static gy_status open_dataset(struct gy_cli *cli, const char *ref, struct gy_cli_data *d,
                              struct gy_err *err)
{
    struct gy_home home;
    char name[GY_UUID_TEXT + 16], id[GY_UUID_TEXT];
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MAX_YAML);
    GY_TRY(gy_cli_home(cli, &home, err));
    GY_TRY(gy_new_id(id, err));
    (void)snprintf(name, sizeof name, "cache/%s.csv", id);
    gy_status status = gy_home_path(&home, name, d->path, err);
    gy_home_done(&home);
    GY_TRY(status);
    GY_TRY(gy_dir_make_for(d->path, err));
    memcpy(d->temp, d->path, sizeof d->temp);
    GY_TRY(gy_cli_dataset_get(cli, ref, d->path, &answer, err));
    yyjson_val *schema = gy_json_get(answer.root, "schema");
    if (schema && !d->schema) {
        struct gy_jw w;
        gy_jw_init(&w, &text);
        gy_jw_val(&w, schema);
        GY_TRY(gy_buf_check(&text, "the dataset's schema", err));
        GY_TRY(gy_schema_parse(gy_buf_str(&text), "the dataset's schema", &d->schema, err));
    }
    GY_TRY(gy_source_file(d->path, ref, &d->source, err));
    d->source->format = GY_INGEST_CSV;
    return gy_source_list_add(&d->list, d->source, err);
}

static gy_status find_schema(struct gy_cli *cli, struct gy_cli_data *d, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    if (d->schema || gy_schema_find(".", path, NULL) != GY_OK) {
        return GY_OK;
    }
    gy_cli_note(cli, "schema: %s\n", path);
    return gy_schema_read(path, &d->schema, err);
}

gy_status gy_cli_data_open(struct gy_cli *cli, const char *what, const char *schema_path,
                           struct gy_cli_data *ret, struct gy_err *err)
{
    *ret = (struct gy_cli_data){0};
    if (schema_path) {
        GY_TRY(gy_schema_read(schema_path, &ret->schema, err));
    }
    bool is_file = strcmp(what, "-") == 0 || (gy_path_exists(what) && !gy_path_is_dir(what));
    /* A folder is no table: "sepsis" beside a folder of that name is still the dataset. */
    if (!is_file && !strpbrk(what, "/*?[") && !gy_ingest_is_data_name(what)) {
        return open_dataset(cli, what, ret, err);
    }
    if (strlen(what) >= sizeof ret->path) {
        return gy_err_set(err, GY_E_TOOBIG, "the path is too long");
    }
    if (strcmp(what, "-") != 0) {
        memcpy(ret->path, what, strlen(what) + 1);
    }
    GY_TRY(gy_source_list_add_path(&ret->list, what, NULL, err));
    if (ret->list.n != 1) {
        return gy_err_set(err, GY_E_USAGE, "'%s' is %zu files; one is wanted", what, ret->list.n);
    }
    ret->source = ret->list.items[0];
    return find_schema(cli, ret, err);
}

void gy_cli_data_done(struct gy_cli_data *d)
{
    if (d) {
        gy_source_list_done(&d->list);
        gy_schema_free(d->schema);
        if (d->temp[0]) {
            (void)unlink(d->temp); /* what is left is only a copy */
        }
        d->temp[0] = '\0';
        d->schema = NULL;
    }
}

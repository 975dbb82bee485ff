/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/schema_of.h"

#include "base/file.h"
#include "cli/ask.h"
#include "cli/model_input.h"
#include "data/source.h"

/* The one source that path names. */
static gy_status open_path(const char *path, enum gy_ingest_format format,
                           struct gy_source_list *list, struct gy_err *err)
{
    GY_TRY(gy_source_list_add_path(list, path, NULL, err));
    list->items[0]->format = format != GY_INGEST_AUTO ? format : list->items[0]->format;
    return GY_OK;
}

gy_status gy_cli_schema_find_source(const struct gy_cli *cli, const char *given,
                                    struct gy_source *source, struct gy_schema **ret,
                                    struct gy_err *err)
{
    char path[GY_MAX_PATH];
    if (given) {
        return gy_schema_read(given, ret, err);
    }
    struct gy_err lookup = GY_ERR_INIT;
    if (gy_schema_find(".", path, &lookup) == GY_OK) {
        gy_cli_note(cli, "schema: %s\n", path);
        return gy_schema_read(path, ret, err);
    }
    if (!source) {
        (void)gy_err_set(err, lookup.code, "%s", lookup.msg);
        return gy_err_hint(err, "--schema FILE names one");
    }
    gy_cli_note(
        cli, "schema: none found; types are inferred from '%s', nothing is required or bounded\n",
        source->name);
    return gy_source_infer(source, ret, err);
}

gy_status gy_cli_schema_find(const struct gy_cli *cli, const char *given, const char *file,
                             bool may_infer, enum gy_ingest_format format, struct gy_schema **ret,
                             struct gy_err *err)
{
    GY_AUTO_DONE(gy_source_list_done) struct gy_source_list list = {0};
    if (may_infer) {
        GY_TRY(open_path(file, format, &list, err));
    }
    return gy_cli_schema_find_source(cli, given, may_infer ? list.items[0] : NULL, ret, err);
}

gy_status gy_cli_delimiter(const char *text, char *ret, struct gy_err *err)
{
    *ret = 0;
    if (!text || strcmp(text, "auto") == 0) {
        return GY_OK;
    }
    if (strcmp(text, "tab") == 0 || strcmp(text, "\\t") == 0) {
        *ret = '\t';
    } else if (text[0] && !text[1]) {
        *ret = text[0];
    } else {
        return gy_err_set(err, GY_E_USAGE, "--delimiter takes , ; | tab or auto");
    }
    return GY_OK;
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

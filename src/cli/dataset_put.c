/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/dataset_put.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"

#define BASE "/api/gyre/v1"

static gy_status upload(struct gy_caller *caller, const struct gy_cli_dataset *d,
                        struct gy_err *err)
{
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_fd_reader in;
    gy_collect_init(&answer, GY_MIB);
    int fd = open(d->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "opening '%s'", d->path);
    }
    gy_status status =
        gy_call_body(caller, "POST", BASE "/objects", "application/octet-stream",
                     gy_fd_reader_init(&in, fd, gy_file_size(d->path)), &answer, err);
    (void)close(fd); /* it was only read */
    GY_TRY(status);
    GY_TRY(gy_json_parse(gy_buf_str(&answer.body), &doc, err));
    struct gy_str stored = gy_json_str(yyjson_doc_get_root(doc), "sha256");
    return gy_str_eqc(stored, d->result->sha256)
               ? GY_OK
               : gy_err_set(err, GY_E_CORRUPT, "'%s' changed while it was stored", d->path);
}

static gy_status describe(const struct gy_cli_dataset *d, struct gy_buf *out, struct gy_err *err)
{
    const struct gy_ingest_result *r = d->result;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf schema;
    struct gy_jw w;
    gy_buf_init(&schema, GY_MAX_YAML);
    gy_schema_json(d->schema, &schema);
    GY_TRY(gy_buf_check(&schema, "the schema", err));
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", d->name);
    gy_jw_kv_strc(&w, "sha256", r->sha256);
    gy_jw_kv_strc(&w, "md5", r->md5);
    gy_jw_kv_i64(&w, "size", r->size_bytes);
    gy_jw_kv_i64(&w, "rows", r->accepted);
    gy_jw_kv_i64(&w, "read", r->read - r->replaced); /* the others are records of no version */
    gy_jw_kv_i64(&w, "accepted", r->accepted);
    gy_jw_kv_i64(&w, "dead", r->dead);
    gy_jw_key(&w, "schema");
    gy_jw_raw(&w, gy_buf_str(&schema));
    gy_jw_kv_str(&w, "source", d->source);
    gy_jw_kv_strc(&w, "source_sha256", d->source_sha256);
    if (d->taken.p) {
        gy_jw_key(&w, "taken");
        gy_jw_raw(&w, d->taken);
    }
    if (d->base_version) {
        gy_jw_kv_i64(&w, "base_version", d->base_version);
    }
    gy_jw_obj_end(&w);
    return gy_buf_check(out, "the dataset's description", err);
}

gy_status gy_cli_dataset_put(struct gy_cli *cli, const struct gy_cli_dataset *d,
                             int64_t *ret_version, bool *ret_new, struct gy_err *err)
{
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO(gy_json_free) yyjson_doc *made = NULL;
    struct gy_caller *caller = NULL;
    gy_collect_init(&answer, GY_MIB);
    gy_buf_init(&body, GY_MAX_JSON_BODY);
    GY_TRY(gy_cli_caller(cli, &caller, err));
    GY_TRY(upload(caller, d, err));
    GY_TRY(describe(d, &body, err));
    GY_TRY(gy_call_json(caller, "POST", BASE "/datasets", gy_buf_str(&body), &answer, err));
    GY_TRY(gy_json_parse(gy_buf_str(&answer.body), &made, err));
    *ret_new = gy_json_bool(yyjson_doc_get_root(made), "new", false);
    return gy_json_need_i64(yyjson_doc_get_root(made), "version", ret_version, err);
}

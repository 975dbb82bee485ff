/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/schema_of.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "data/jsonfields.h"

#define INFER_BYTES (4 * GY_MIB) /* of a file without schema.yaml that its types are told from */

gy_status gy_cli_schema_infer(const char *path, enum gy_ingest_format format,
                              struct gy_schema **ret, struct gy_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "opening '%s'", path);
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf head;
    gy_buf_init(&head, INFER_BYTES);
    gy_status status = GY_OK;
    bool whole = false;
    while (status == GY_OK && !whole && head.n < INFER_BYTES) {
        char *room = gy_buf_reserve(&head, INFER_BYTES - head.n);
        ssize_t n = room ? read(fd, room, INFER_BYTES - head.n) : 0;
        if (!room || (n < 0 && errno != EINTR)) {
            status = room ? gy_err_sys(err, errno, "reading '%s'", path)
                          : gy_buf_check(&head, "the file's head", err);
        } else if (n >= 0) {
            gy_buf_commit(&head, (size_t)n);
            whole = n == 0;
        }
    }
    (void)close(fd);
    GY_TRY(status);
    if (format == GY_INGEST_AUTO) {
        format = gy_ingest_format_of(path, gy_buf_str(&head));
    }
    status =
        format == GY_INGEST_CSV
            ? gy_schema_infer(gy_buf_str(&head), whole, ret, err)
            : gy_schema_infer_json(gy_buf_str(&head), format == GY_INGEST_JSONL, whole, ret, err);
    return status == GY_OK ? GY_OK : gy_err_wrap(err, "'%s'", path);
}

/* --schema, else the project's schema.yaml, else (may_infer) told from the data. */
gy_status gy_cli_schema_find(const struct gy_cli *cli, const char *given, const char *file,
                             bool may_infer, enum gy_ingest_format format, struct gy_schema **ret,
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
    if (!may_infer) {
        (void)gy_err_set(err, lookup.code, "%s", lookup.msg);
        return gy_err_hint(err, "--schema FILE names one");
    }
    gy_cli_note(
        cli, "schema: none found; types are inferred from '%s', nothing is required or bounded\n",
        file);
    return gy_cli_schema_infer(file, format, ret, err);
}

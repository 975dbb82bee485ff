/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/dataset_get.h"

#include <stdio.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/limits.h"
#include "cli/model_input.h"

#define BASE "/api/gyre/v1"

/* Where the bytes go, digested on their way. */
struct into {
    struct gy_file_writer *writer; /* NULL: into fd */
    int fd;
    struct gy_hash *sha256;
};

static gy_status put(void *ctx, struct gy_str bytes, struct gy_err *err)
{
    struct into *to = ctx;
    gy_hash_add(to->sha256, bytes);
    return to->writer ? gy_file_writer_write(to->writer, bytes, err)
                      : gy_fd_write(to->fd, "a dataset version", bytes, err);
}

static gy_status download(struct gy_cli *cli, struct gy_str sha256, struct into *to,
                          struct gy_err *err)
{
    struct gy_caller *caller = NULL;
    struct gy_pass_reply reply;
    char path[128], digest[GY_SHA256_HEX];
    GY_TRY(gy_cli_caller(cli, &caller, err));
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &to->sha256, err));
    (void)snprintf(path, sizeof path, BASE "/objects/%" GY_STR_F, GY_STR_A(sha256));
    struct gy_request req = {.method = GY_STR("GET"),
                             .path = gy_str_c(path),
                             .peer = GY_PEER_LOCAL,
                             .arena = &cli->arena};
    gy_pass_reply_init(&reply, put, to);
    GY_TRY(gy_call(caller, &req, &reply.reply, err));
    gy_status status = gy_pass_reply_check(&reply, err);
    if (status != GY_OK) {
        return gy_err_wrap(err, "the bytes %" GY_STR_F, GY_STR_A(sha256));
    }
    gy_hash_hex(to->sha256, digest);
    if (!gy_str_eqc(sha256, digest)) {
        return gy_err_set(err, GY_E_CORRUPT, "what arrived is %s, not %" GY_STR_F, digest,
                          GY_STR_A(sha256));
    }
    return GY_OK;
}

static gy_status download_to(struct gy_cli *cli, struct gy_str sha256, struct into *to,
                             const char *path, struct gy_err *err)
{
    GY_TRY(gy_file_writer_open(path, 0666, &to->writer, err));
    GY_TRY(download(cli, sha256, to, err));
    return gy_file_writer_commit(to->writer, NULL, err);
}

gy_status gy_cli_dataset_get_fd(struct gy_cli *cli, struct gy_str sha256, int fd,
                                struct gy_err *err)
{
    struct into to = {.fd = fd};
    gy_status status = download(cli, sha256, &to, err);
    gy_hash_free(to.sha256);
    return status;
}

gy_status gy_cli_dataset_get(struct gy_cli *cli, const char *ref, const char *to,
                             struct gy_cli_answer *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, 4 * GY_KIB);
    GY_TRY(gy_cli_dataset_path(ref, &path, err));
    GY_TRY(gy_cli_ask(cli, "GET", path.p, GY_STR_NULL, ret, err));
    struct gy_str sha256 = GY_STR_NULL;
    GY_TRY(gy_json_need_str(ret->root, "sha256", &sha256, err));
    struct into file = {.fd = -1};
    gy_status status = download_to(cli, sha256, &file, to, err);
    gy_file_writer_free(file.writer);
    gy_hash_free(file.sha256);
    return status;
}

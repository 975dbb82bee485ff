/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/dataset_get.h"

#include <stdio.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/limits.h"
#include "cli/model_input.h"

#define BASE "/api/gyre/v1"

/* A reply that writes the body into a file, digested, whatever its size. */
struct file_reply {
    struct gy_reply reply;
    int status;
    struct gy_file_writer *writer; /* NULL: into fd */
    int fd;
    struct gy_hash *sha256;
    struct gy_buf problem; /* the head of an error's body */
};

static gy_status file_begin(struct gy_reply *self, int status, const struct gy_header *headers,
                            size_t n_headers, int64_t body_bytes, struct gy_err *err)
{
    (void)headers;
    (void)n_headers;
    (void)body_bytes;
    (void)err;
    ((struct file_reply *)(void *)self)->status = status;
    return GY_OK;
}

static gy_status file_write(struct gy_reply *self, struct gy_str bytes, struct gy_err *err)
{
    struct file_reply *f = (struct file_reply *)(void *)self;
    if (f->status != 200) {
        gy_buf_add(&f->problem, bytes);
        return GY_OK;
    }
    gy_hash_add(f->sha256, bytes);
    return f->writer ? gy_file_writer_write(f->writer, bytes, err)
                     : gy_fd_write(f->fd, "a dataset version", bytes, err);
}

static gy_status file_end(struct gy_reply *self, struct gy_err *err)
{
    (void)self;
    (void)err;
    return GY_OK;
}

static const struct gy_reply_ops FILE_OPS = {file_begin, file_write, file_end};

static gy_status download(struct gy_cli *cli, struct gy_str sha256, struct file_reply *f,
                          struct gy_err *err)
{
    struct gy_caller *caller = NULL;
    char path[128], digest[GY_SHA256_HEX];
    GY_TRY(gy_cli_caller(cli, &caller, err));
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &f->sha256, err));
    (void)snprintf(path, sizeof path, BASE "/objects/%" GY_STR_F, GY_STR_A(sha256));
    struct gy_request req = {.method = GY_STR("GET"),
                             .path = gy_str_c(path),
                             .peer = GY_PEER_LOCAL,
                             .arena = &cli->arena};
    GY_TRY(gy_call(caller, &req, &f->reply, err));
    if (f->status != 200) {
        return gy_err_set(err, GY_E_NOTFOUND, "the bytes %" GY_STR_F " can not be had: %d %s",
                          GY_STR_A(sha256), f->status, f->problem.p);
    }
    gy_hash_hex(f->sha256, digest);
    if (!gy_str_eqc(sha256, digest)) {
        return gy_err_set(err, GY_E_CORRUPT, "what arrived is %s, not %" GY_STR_F, digest,
                          GY_STR_A(sha256));
    }
    return GY_OK;
}

static gy_status download_to(struct gy_cli *cli, struct gy_str sha256, struct file_reply *f,
                             const char *to, struct gy_err *err)
{
    GY_TRY(gy_file_writer_open(to, 0666, &f->writer, err));
    GY_TRY(download(cli, sha256, f, err));
    return gy_file_writer_commit(f->writer, NULL, err);
}

gy_status gy_cli_dataset_get_fd(struct gy_cli *cli, struct gy_str sha256, int fd,
                                struct gy_err *err)
{
    struct file_reply f = {.reply = {.ops = &FILE_OPS}, .fd = fd};
    gy_buf_init(&f.problem, GY_MIB);
    gy_status status = download(cli, sha256, &f, err);
    gy_hash_free(f.sha256);
    gy_buf_done(&f.problem);
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
    struct file_reply f = {.reply = {.ops = &FILE_OPS}};
    gy_buf_init(&f.problem, GY_MIB);
    gy_status status = download_to(cli, sha256, &f, to, err);
    gy_file_writer_free(f.writer);
    gy_hash_free(f.sha256);
    gy_buf_done(&f.problem);
    return status;
}

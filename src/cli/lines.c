/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/lines.h"

#include "base/limits.h"

struct lines {
    struct gy_reply reply;
    struct gy_cli *cli;
    const struct gy_cli_lines *ask;
    int status;
    struct gy_buf line; /* of an answer >= 400: all of it */
    struct gy_progress progress;
    char phase[64];
    struct gy_buf last; /* what is not known yet to be followed by another line */
};

static gy_status lines_begin(struct gy_reply *self, int status, const struct gy_header *headers,
                             size_t n_headers, int64_t body_bytes, struct gy_err *err)
{
    (void)headers;
    (void)n_headers;
    (void)body_bytes;
    (void)err;
    ((struct lines *)self)->status = status;
    return GY_OK;
}

static void show_progress(struct lines *l, yyjson_val *said)
{
    struct gy_str phase = gy_json_str(said, "phase");
    if (!gy_str_eqc(phase, l->phase)) {
        if (l->phase[0]) {
            gy_progress_end(&l->progress);
        }
        (void)snprintf(l->phase, sizeof l->phase, "%" GY_STR_F, GY_STR_A(phase));
        gy_progress_start(&l->progress, l->cli, l->phase, gy_json_i64(said, "total", 0));
    }
    gy_progress_at(&l->progress, gy_json_i64(said, "done", 0));
}

static gy_status take_line(struct lines *l, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(gy_buf_str(&l->line), &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (gy_json_str(root, "phase").p) {
        show_progress(l, root);
    } else if (l->ask->line && !gy_json_get(root, l->ask->last) && !gy_json_get(root, "code")) {
        GY_TRY(l->ask->line(l->ask->ctx, root, gy_buf_str(&l->line), err));
    } else {
        gy_buf_reset(&l->last);
        gy_buf_add(&l->last, gy_buf_str(&l->line));
    }
    gy_buf_reset(&l->line);
    return gy_buf_check(&l->last, "the answer", err);
}

static gy_status lines_write(struct gy_reply *self, struct gy_str bytes, struct gy_err *err)
{
    struct lines *l = (struct lines *)self;
    while (bytes.n) {
        size_t nl = l->status < 400 ? gy_str_find(bytes, '\n') : SIZE_MAX;
        gy_buf_add(&l->line, gy_str_sub(bytes, 0, nl));
        GY_TRY(gy_buf_check(&l->line, "a line of the answer", err));
        if (nl == SIZE_MAX) {
            break;
        }
        GY_TRY(take_line(l, err));
        bytes = gy_str_sub(bytes, nl + 1, SIZE_MAX);
    }
    return GY_OK;
}

static gy_status lines_end(struct gy_reply *self, struct gy_err *err)
{
    (void)self;
    (void)err;
    return GY_OK;
}

static const struct gy_reply_ops lines_ops = {lines_begin, lines_write, lines_end};

/* What the last line says: the result in *ret_doc, or the error. */
static gy_status conclude(struct lines *l, yyjson_doc **ret_doc, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (l->status >= 400) {
        return gy_error_of_answer(l->status, gy_buf_str(&l->line), err);
    }
    if (l->last.n == 0) {
        gy_err_set(err, GY_E_NETWORK, "the server broke off %s", l->ask->what);
        return gy_err_hint(err, "its log says why; the command can be repeated");
    }
    GY_TRY(gy_json_parse(gy_buf_str(&l->last), &doc, err));
    if (!gy_json_get(yyjson_doc_get_root(doc), l->ask->last)) {
        return gy_error_of_answer(500, gy_buf_str(&l->last), err);
    }
    *ret_doc = GY_TAKE(doc);
    return GY_OK;
}

gy_status gy_cli_ask_lines(struct gy_cli *cli, const struct gy_cli_lines *ask, struct gy_str body,
                           yyjson_doc **ret_doc, struct gy_err *err)
{
    static const struct gy_header type = {{"Content-Type", 12}, {"application/json", 16}};
    struct gy_caller *caller = NULL;
    struct gy_mem_reader reader;
    GY_TRY(gy_cli_caller(cli, &caller, err));
    struct gy_request req = {.method = GY_STR("POST"),
                             .path = gy_str_c(ask->path),
                             .headers = &type,
                             .n_headers = 1,
                             .body = gy_mem_reader_init(&reader, body)};
    struct lines l = {.reply = {.ops = &lines_ops}, .cli = cli, .ask = ask};
    gy_buf_init(&l.line, GY_CLI_MAX_LINE);
    gy_buf_init(&l.last, GY_CLI_MAX_LINE);
    gy_status status = gy_call(caller, &req, &l.reply, err);
    if (l.phase[0]) {
        gy_progress_end(&l.progress);
    }
    if (status == GY_OK) {
        status = conclude(&l, ret_doc, err);
    }
    gy_buf_done(&l.line);
    gy_buf_done(&l.last);
    return status;
}

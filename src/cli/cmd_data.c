/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data list, show, checkout: dataset versions, through the routes. */
#include "base/file.h"
#include "cli/cli_internal.h"
#include "cli/model_input.h"

#define BASE "/api/gyre/v1"

static gy_status fetch(struct gy_cli *cli, const char *path, struct gy_collect *answer,
                       yyjson_doc **ret, struct gy_err *err)
{
    struct gy_caller *caller = NULL;
    GY_TRY(gy_cli_caller(cli, &caller, err));
    GY_TRY(gy_call_json(caller, "GET", path, GY_STR_NULL, answer, err));
    return gy_json_parse(gy_buf_str(&answer->body), ret, err);
}

static struct gy_str number_cell(struct gy_cli *cli, yyjson_val *v, const char *key)
{
    return gy_str_c(gy_arena_printf(&cli->arena, "%lld", (long long)gy_json_i64(v, key, 0)));
}

static gy_status run_list(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    static const char *const head[] = {"dataset", "version", "rows",   "dead",
                                       "bytes",   "sha256",  "created"};
    static const bool right[] = {false, true, true, true, true, false, false};
    enum { N = sizeof head / sizeof head[0] };
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    gy_collect_init(&answer, GY_MAX_REPLY);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(fetch(cli, BASE "/datasets", &answer, &doc, err));
    if (cli->json) {
        return gy_cli_print_json(cli, &answer.body, err);
    }
    yyjson_val *list = NULL;
    GY_TRY(gy_json_need_arr(yyjson_doc_get_root(doc), "datasets", &list, err));
    size_t n = yyjson_arr_size(list), i, max;
    struct gy_str *cells = gy_arena_calloc(&cli->arena, n * N + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a table");
    }
    yyjson_val *v;
    yyjson_arr_foreach(list, i, max, v)
    {
        struct gy_str *row = cells + i * N;
        row[0] = gy_json_str(v, "name");
        row[1] = number_cell(cli, v, "version");
        row[2] = number_cell(cli, v, "rows");
        row[3] = number_cell(cli, v, "dead");
        row[4] = number_cell(cli, v, "size");
        row[5] = gy_str_sub(gy_json_str(v, "sha256"), 0, 12);
        row[6] = gy_str_sub(gy_json_str(v, "created"), 0, 19);
    }
    gy_cli_table(cli, head, N, cells, n, right);
    return GY_OK;
}

static void say_version(const struct gy_cli *cli, yyjson_val *v)
{
    static const char *const texts[] = {"sha256",        "md5",   "source",
                                        "source_sha256", "actor", "created"};
    static const char *const numbers[] = {"rows", "read", "accepted", "dead", "size"};
    gy_cli_say(cli, "%" GY_STR_F "@%lld\n", GY_STR_A(gy_json_str(v, "name")),
               (long long)gy_json_i64(v, "version", 0));
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        gy_cli_say(cli, "  %-14s %lld\n", numbers[i], (long long)gy_json_i64(v, numbers[i], 0));
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct gy_str text = gy_json_str(v, texts[i]);
        gy_cli_say(cli, "  %-14s %" GY_STR_F "\n", texts[i], GY_STR_A(text.p ? text : GY_STR("-")));
    }
    yyjson_val *columns = gy_json_get(gy_json_get(v, "schema"), "columns"), *c;
    size_t i, max;
    yyjson_arr_foreach(columns, i, max, c)
    {
        gy_cli_say(cli, "  %s%-12" GY_STR_F " %" GY_STR_F "\n",
                   i ? "               " : "columns        ", GY_STR_A(gy_json_str(c, "name")),
                   GY_STR_A(gy_json_str(c, "type")));
    }
}

static gy_status run_show(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    gy_collect_init(&answer, GY_MAX_REPLY);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, 4 * GY_KIB);
    GY_TRY(gy_cli_dataset_path(cli->argv[0], &path, err));
    GY_TRY(fetch(cli, path.p, &answer, &doc, err));
    if (cli->json) {
        return gy_cli_print_json(cli, &answer.body, err);
    }
    say_version(cli, yyjson_doc_get_root(doc));
    return GY_OK;
}

/* A reply that writes the body into a file, digested, whatever its size. */
struct file_reply {
    struct gy_reply reply;
    int status;
    struct gy_file_writer *writer;
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
    return gy_file_writer_write(f->writer, bytes, err);
}

static gy_status file_end(struct gy_reply *self, struct gy_err *err)
{
    (void)self;
    (void)err;
    return GY_OK;
}

static const struct gy_reply_ops FILE_OPS = {file_begin, file_write, file_end};

static gy_status download(struct gy_cli *cli, struct gy_str sha256, struct file_reply *f,
                          const char *to, struct gy_err *err)
{
    struct gy_caller *caller = NULL;
    char path[128], digest[GY_SHA256_HEX];
    GY_TRY(gy_cli_caller(cli, &caller, err));
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &f->sha256, err));
    GY_TRY(gy_file_writer_open(to, 0666, &f->writer, err));
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
    return gy_file_writer_commit(f->writer, NULL, err);
}

struct checkout_opts {
    const char *output;
};

static gy_status run_checkout(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct checkout_opts *o = opts;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    gy_collect_init(&answer, GY_MAX_REPLY);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, 4 * GY_KIB);
    GY_TRY(gy_cli_dataset_path(cli->argv[0], &path, err));
    GY_TRY(fetch(cli, path.p, &answer, &doc, err));
    yyjson_val *v = yyjson_doc_get_root(doc);
    struct gy_str sha256 = gy_json_str(v, "sha256");
    GY_TRY(gy_dir_make_for(o->output, err));
    struct file_reply f = {.reply = {.ops = &FILE_OPS}};
    gy_buf_init(&f.problem, GY_MIB);
    gy_status status = download(cli, sha256, &f, o->output, err);
    gy_file_writer_free(f.writer);
    gy_hash_free(f.sha256);
    gy_buf_done(&f.problem);
    GY_TRY(status);
    if (cli->json) {
        return gy_cli_print_json(cli, &answer.body, err);
    }
    gy_cli_say(cli, "%s: %s, %lld rows\n", o->output, cli->argv[0],
               (long long)gy_json_i64(v, "rows", 0));
    return GY_OK;
}

static const struct gy_opt checkout_opts[] = {
    {"output", 'o', GY_OPT_STR, offsetof(struct checkout_opts, output), "FILE", "data.csv",
     "the file to write"},
};

static const struct gy_verb verbs[] = {
    {.noun = "data",
     .verb = "list",
     .summary = "all dataset versions",
     .examples = "  gyre data list",
     .run = run_list},
    {.noun = "data",
     .verb = "show",
     .args = "NAME[@VERSION]",
     .min_args = 1,
     .max_args = 1,
     .summary = "one dataset version: counts, digests, columns",
     .examples = "  gyre data show sepsis@1",
     .run = run_show},
    {.noun = "data",
     .verb = "checkout",
     .args = "NAME[@VERSION]",
     .min_args = 1,
     .max_args = 1,
     .summary = "write the bytes of a dataset version to a file",
     .examples = "  gyre data checkout sepsis@1 -o data.csv",
     .opts = checkout_opts,
     .n_opts = sizeof checkout_opts / sizeof checkout_opts[0],
     .opts_bytes = sizeof(struct checkout_opts),
     .run = run_checkout},
};

const struct gy_verb_table gy_cmd_data = GY_VERB_TABLE(verbs);

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/comments.h"

#include "base/limits.h"
#include "cli/ask.h"

#define BASE "/api/gyre/v1/comments"

static gy_status send(struct gy_cli *cli, const char *method, const char *path, const char *subject,
                      const char *text, struct gy_cli_answer *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    struct gy_jw w;
    gy_buf_init(&body, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    if (subject) {
        gy_jw_kv_strc(&w, "subject", subject);
    }
    gy_jw_kv_strc(&w, "text", text);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the request", err));
    return gy_cli_ask(cli, method, path, text ? gy_buf_str(&body) : GY_STR_NULL, ret, err);
}

static void print_one(struct gy_cli *cli, yyjson_val *c)
{
    struct gy_str text = gy_json_str(c, "text"), by = gy_json_str(c, "deleted_by");
    struct gy_str edited = gy_json_str(c, "edited");
    gy_cli_say(cli, "%" GY_STR_F "  %" GY_STR_F "%s  %" GY_STR_F "\n",
               GY_STR_A(gy_str_sub(gy_json_str(c, "created"), 0, 19)),
               GY_STR_A(gy_json_str(c, "actor")), edited.n ? " (edited)" : "",
               GY_STR_A(gy_json_str(c, "id")));
    if (by.n > 0) {
        gy_cli_say(cli, "  deleted by %" GY_STR_F "\n", GY_STR_A(by));
    } else {
        gy_cli_say(cli, "  %" GY_STR_F "\n", GY_STR_A(text));
    }
}

static gy_status print_texts(struct gy_cli *cli, yyjson_val *comment, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    const char *path = NULL;
    size_t i, n;
    yyjson_val *t;
    GY_TRY(gy_cli_path(cli, BASE "/{}", gy_json_str(comment, "id"), &path, err));
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &a, err));
    yyjson_arr_foreach(gy_json_get(a.root, "texts"), i, n, t)
    {
        gy_cli_say(
            cli, "    %lld. %" GY_STR_F "  %" GY_STR_F "\n", (long long)gy_json_i64(t, "number", 0),
            GY_STR_A(gy_str_sub(gy_json_str(t, "time"), 0, 19)), GY_STR_A(gy_json_str(t, "text")));
    }
    return GY_OK;
}

static gy_status list(struct gy_cli *cli, const char *subject, const struct gy_cli_comment_opts *o,
                      bool quiet, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    const char *path = NULL;
    size_t i, n;
    yyjson_val *c;
    GY_TRY(gy_cli_path(cli, o->deleted ? BASE "?deleted=1&subject={}" : BASE "?subject={}",
                       gy_str_c(subject), &path, err));
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    yyjson_val *comments = gy_json_get(a.root, "comments");
    if (yyjson_arr_size(comments) == 0) {
        gy_cli_say(cli, quiet ? "" : "no comments\n");
        return GY_OK;
    }
    gy_cli_say(cli, quiet ? "\ncomments\n" : "");
    yyjson_arr_foreach(comments, i, n, c)
    {
        print_one(cli, c);
        if (o->history) {
            GY_TRY(print_texts(cli, c, err));
        }
    }
    return GY_OK;
}

gy_status gy_cli_show_comments(struct gy_cli *cli, const char *subject, struct gy_err *err)
{
    const struct gy_cli_comment_opts o = {0};
    return list(cli, subject, &o, true, err);
}

gy_status gy_cli_comment(struct gy_cli *cli, const char *subject, const char *text,
                         const struct gy_cli_comment_opts *o, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    const char *path = BASE;
    if ((o->edit && o->remove) || (o->remove && text) || (o->edit && !text)) {
        return gy_err_set(err, GY_E_USAGE, "--edit ID needs a text, --delete ID takes none");
    }
    if (!text && !o->remove) {
        return list(cli, subject, o, false, err);
    }
    if (o->edit || o->remove) {
        GY_TRY(gy_cli_path(cli, BASE "/{}", gy_str_c(o->edit ? o->edit : o->remove), &path, err));
    }
    GY_TRY(send(cli, o->remove ? "DELETE" : "POST", path, o->edit || o->remove ? NULL : subject,
                text, &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    print_one(cli, a.root);
    return GY_OK;
}

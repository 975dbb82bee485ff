/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/headed.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

#define MAX_TOKEN_FILE 4096

struct headed {
    struct gy_caller *inner;
    char *authorization, *workspace; /* NULL: none */
};

static gy_status headed_call(void *self, struct gy_request *req, struct gy_reply *reply,
                             struct gy_err *err)
{
    struct headed *h = self;
    const struct gy_header *given = req->headers;
    size_t n_given = req->n_headers, n = 0;
    struct gy_header *all = gy_calloc(n_given + 2, sizeof *all);
    if (!all) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for request headers");
    }
    for (; n < n_given; n++) {
        all[n] = given[n];
    }
    if (h->authorization) {
        all[n++] = (struct gy_header){GY_STR("Authorization"), gy_str_c(h->authorization)};
    }
    if (h->workspace) {
        all[n++] = (struct gy_header){GY_STR("X-MLFLOW-WORKSPACE"), gy_str_c(h->workspace)};
    }
    req->headers = all;
    req->n_headers = n;
    gy_status status = gy_call(h->inner, req, reply, err);
    req->headers = given;
    req->n_headers = n_given;
    gy_free(all);
    return status;
}

static void headed_free(void *self)
{
    struct headed *h = self;
    gy_caller_free(h->inner);
    gy_free(h->authorization);
    gy_free(h->workspace);
    gy_free(h);
}

static const struct gy_call_ops headed_ops = {1, "headed", headed_call, headed_free};

static bool one_line(struct gy_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static gy_status fill(struct headed *h, struct gy_secret token, struct gy_str workspace,
                      struct gy_err *err)
{
    struct gy_str text = gy_secret_reveal(token);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf line;
    gy_buf_init(&line, 2 * MAX_TOKEN_FILE);
    if (!one_line(text) || !one_line(workspace)) {
        return gy_err_set(err, GY_E_INVALID, "a token or a workspace is one line of text");
    }
    if (text.n) {
        gy_buf_addc(&line, "Bearer ");
        gy_buf_add(&line, text);
        GY_TRY(gy_buf_check(&line, "the token", err));
        h->authorization = gy_strndup(line.p, line.n);
    }
    if (workspace.n) {
        h->workspace = gy_strndup(workspace.p, workspace.n);
    }
    return (text.n && !h->authorization) || (workspace.n && !h->workspace)
               ? gy_err_set(err, GY_E_NOMEM, "out of memory")
               : GY_OK;
}

gy_status gy_headed_new(struct gy_caller *inner, struct gy_secret token, struct gy_str workspace,
                        struct gy_caller **ret, struct gy_err *err)
{
    struct headed *h = gy_calloc(1, sizeof *h);
    struct gy_caller *c = gy_calloc(1, sizeof *c);
    if (!h || !c) {
        gy_free(h);
        gy_free(c);
        gy_caller_free(inner);
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    h->inner = inner;
    gy_status status = fill(h, token, workspace, err);
    if (status != GY_OK) {
        headed_free(h);
        gy_free(c);
        return status;
    }
    *c = (struct gy_caller){&headed_ops, h};
    *ret = c;
    return GY_OK;
}

static bool path_of_file(char path[GY_MAX_PATH])
{
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    int n = -1;
    if (config && config[0]) {
        n = snprintf(path, GY_MAX_PATH, "%s/gyre/token", config);
    } else if (home && home[0]) {
        n = snprintf(path, GY_MAX_PATH, "%s/.config/gyre/token", home);
    }
    return n > 0 && n < GY_MAX_PATH;
}

gy_status gy_headed_token(struct gy_cli *cli, struct gy_secret *ret, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    struct stat st;
    const char *given = getenv("GYRE_TOKEN");
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, MAX_TOKEN_FILE);
    *ret = gy_secret_of(GY_STR_NULL);
    if (given && given[0]) {
        *ret = gy_secret_of(gy_str_c(given));
        return GY_OK;
    }
    if (!path_of_file(path) || stat(path, &st) != 0) {
        return GY_OK;
    }
    if (st.st_mode & (S_IRWXG | S_IRWXO)) {
        (void)gy_err_set(err, GY_E_DENIED, "others may read the token in %s", path);
        return gy_err_hint(err, "chmod 600 %.200s", path);
    }
    GY_TRY(gy_file_read(path, &text, err));
    struct gy_str line = gy_str_trim(gy_buf_str(&text)), rest;
    (void)gy_str_cut(line, '\n', &line, &rest); /* only the first one counts */
    *ret = gy_secret_of(gy_arena_str(&cli->arena, gy_str_trim(line)));
    return gy_secret_reveal(*ret).p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

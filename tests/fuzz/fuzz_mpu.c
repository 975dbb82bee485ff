/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of uploads in parts, through the router of an app in memory's reach: by the first
 * byte create, complete, abort, or a part's address; then a line for the path and query; then the
 * body. Two uploads are there, one with its part, so that "@" in the input (their ids) gets further
 * than 404. Whatever comes in: an answer, never 500, and no artifact that was not completed. */
#include <stdio.h>
#include <stdlib.h>

#include "api/app.h"
#include "base/json.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define P "/api/2.0/mlflow-artifacts/mpu/"

static struct gy_app *g_app;
static struct gy_caller *g_caller;
static struct gy_collect g_got;
static char g_id[2][64];

static void need(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s: %d %s\n", what, g_got.status, g_got.body.p);
        abort();
    }
}

static int ask(const char *method, const char *path, struct gy_str query, struct gy_str body)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    struct gy_mem_reader reader;
    struct gy_err err = GY_ERR_INIT;
    struct gy_header headers[] = {{GY_STR("Content-Type"), GY_STR("application/json")},
                                  {GY_STR("Host"), GY_STR("localhost:5000")}};
    gy_arena_init(&arena, GY_MAX_REQUEST_ARENA);
    struct gy_request req = {.method = gy_str_c(method),
                             .path = gy_str_c(path),
                             .query = query,
                             .headers = headers,
                             .n_headers = 2,
                             .body = gy_mem_reader_init(&reader, body),
                             .arena = &arena};
    gy_collect_reset(&g_got);
    return gy_call(g_caller, &req, &g_got.reply, &err) == GY_OK ? g_got.status : -1;
}

static void open_app(void)
{
    static char dir[] = "/tmp/gyre-fuzz-XXXXXX";
    struct gy_err err = GY_ERR_INIT;
    struct gy_app_options o = {.home_dir = mkdtemp(dir), .objects_url = "memory:"};
    gy_collect_init(&g_got, GY_MAX_REPLY);
    need(gy_app_open(&o, &g_app, &err) == GY_OK &&
             gy_local_caller_new(g_app, &g_caller, &err) == GY_OK,
         err.msg);
    for (int i = 0; i < 2; i++) {
        need(ask("POST", P "create/0/f", GY_STR_NULL, GY_STR("{\"path\":\"x\",\"num_parts\":2}")) ==
                 200,
             "create");
        yyjson_doc *doc = NULL;
        need(gy_json_parse(gy_buf_str(&g_got.body), &doc, NULL) == GY_OK, "create");
        struct gy_str id = gy_json_str(yyjson_doc_get_root(doc), "upload_id");
        (void)snprintf(g_id[i], sizeof g_id[i], "%" GY_STR_F, GY_STR_A(id));
        gy_json_free(doc);
    }
}

/* s with an id for each "@", by turns. */
static void expand(struct gy_str s, struct gy_buf *out)
{
    gy_buf_reset(out);
    for (size_t i = 0, k = 0; i < s.n; i++) {
        if (s.p[i] == '@') {
            gy_buf_addc(out, g_id[k++ % 2]);
        } else {
            gy_buf_add_bytes(out, &s.p[i], 1);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const heads[] = {P "create/", P "complete/", P "abort/", P "part/"};
    struct gy_str all = gy_str_n((const char *)data, size), line, path, query;
    if (!g_app) {
        open_app();
    }
    if (size < 2 || size > 4096) {
        return 0;
    }
    unsigned kind = data[0] % 4;
    (void)gy_str_cut(gy_str_sub(all, 1, SIZE_MAX), '\n', &line, &all);
    if (memchr(line.p, 0, line.n)) {
        return 0; /* no head of a request has that */
    }
    (void)gy_str_cut(line, '?', &path, &query);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf url;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf rest;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    gy_buf_init(&url, 256 * GY_KIB);
    gy_buf_init(&rest, 256 * GY_KIB);
    gy_buf_init(&body, 256 * GY_KIB);
    expand(path, &rest);
    gy_buf_addc(&url, heads[kind]);
    gy_buf_add(&url, gy_buf_str(&rest));
    expand(all, &body);
    expand(query, &rest);
    int status = ask(kind == 3 ? "PUT" : "POST", url.p, query.p ? gy_buf_str(&rest) : GY_STR_NULL,
                     gy_buf_str(&body));
    need(status == 200 || (status >= 400 && status < 500) || status == 503, url.p);
    if (kind != 0) {
        need(kind == 2 || status != 200, "nothing was uploaded, and yet it was taken");
    }
    return 0;
}

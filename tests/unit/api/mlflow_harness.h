/* SPDX-License-Identifier: Apache-2.0 */
/* One open app in a folder of the test's own, asked through its router as an HTTP client would. */
#ifndef GY_TESTS_MLFLOW_HARNESS_H
#define GY_TESTS_MLFLOW_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/app.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

struct harness {
    char dir[64];
    struct gy_app *app;
    struct gy_caller *caller;
    struct gy_collect last;
    yyjson_doc *doc; /* of the last answer; NULL when it is no JSON */
    int64_t live;
};

static inline int harness_setup(void **state)
{
    struct harness *h = calloc(1, sizeof *h);
    h->live = gy_mem_live();
    snprintf(h->dir, sizeof h->dir, "/tmp/gyre-api-XXXXXX");
    struct gy_err err = GY_ERR_INIT;
    if (!mkdtemp(h->dir)) {
        return -1;
    }
    struct gy_app_options o = {.home_dir = h->dir};
    if (gy_app_open(&o, &h->app, &err) != GY_OK ||
        gy_local_caller_new(h->app, &h->caller, &err) != GY_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return -1;
    }
    gy_collect_init(&h->last, 64 << 20);
    *state = h;
    return 0;
}

static inline int harness_teardown(void **state)
{
    struct harness *h = *state;
    gy_json_free(h->doc);
    gy_collect_done(&h->last);
    gy_caller_free(h->caller);
    gy_app_free(h->app);
    int64_t left = gy_mem_live() - h->live;
    gy_status removed = gy_dir_remove(h->dir, NULL);
    free(h);
    if (left != 0) {
        fprintf(stderr, "%lld blocks leaked\n", (long long)left);
        return -1;
    }
    return removed == GY_OK ? 0 : -1;
}

/* Ask; the answer is in h->last and h->doc. path may carry a query. Returns the HTTP status. */
static inline int ask_as(struct harness *h, const char *type, const char *method, const char *path,
                         struct gy_str body)
{
    gy_json_free(h->doc);
    h->doc = NULL;
    gy_collect_done(&h->last);
    gy_collect_init(&h->last, 64 << 20);
    struct gy_str p, q;
    if (!gy_str_cut(gy_str_c(path), '?', &p, &q)) {
        q = GY_STR_NULL;
    }
    struct gy_header headers[] = {{GY_STR("Content-Type"), gy_str_c(type)}};
    struct gy_mem_reader reader;
    struct gy_request req = {
        .method = gy_str_c(method),
        .path = p,
        .query = q,
        .headers = headers,
        .n_headers = type ? 1 : 0,
        .body = body.p ? gy_mem_reader_init(&reader, body) : NULL,
    };
    struct gy_err err = GY_ERR_INIT;
    if (gy_call(h->caller, &req, &h->last.reply, &err) != GY_OK) {
        fail_msg("%s %s: %s", method, path, err.msg);
    }
    if (gy_json_parse(gy_buf_str(&h->last.body), &h->doc, NULL) != GY_OK) {
        h->doc = NULL;
    }
    return h->last.status;
}

static inline int ask(struct harness *h, const char *method, const char *path, const char *body)
{
    return ask_as(h, "application/json", method, path, gy_str_c(body));
}

#define M "/api/2.0/mlflow"

static inline void expect_body(struct harness *h, const char *json)
{
    if (strcmp(h->last.body.p, json) != 0) {
        fail_msg("answer (%d)\n %s\nexpected\n %s", h->last.status, h->last.body.p, json);
    }
}

/* Ask, and want this status and (json not NULL) exactly this body. */
static inline void want(struct harness *h, const char *method, const char *path, const char *body,
                        int status, const char *json)
{
    int got = ask(h, method, path, body);
    if (got != status) {
        fail_msg("%s %s: status %d, expected %d: %s", method, path, got, status, h->last.body.p);
    }
    if (json) {
        expect_body(h, json);
    }
}

/* The same, for a failure: its code and part of its message. */
static inline void refuse(struct harness *h, const char *method, const char *path, const char *body,
                          int status, const char *code, const char *message)
{
    want(h, method, path, body, status, NULL);
    struct gy_str got = gy_json_str(yyjson_doc_get_root(h->doc), "error_code");
    struct gy_str text = gy_json_str(yyjson_doc_get_root(h->doc), "message");
    if (!gy_str_eqc(got, code) || gy_str_find_str(text, gy_str_c(message)) == SIZE_MAX) {
        fail_msg("%s %s %s\nanswered %s\nexpected %s ... %s", method, path, body ? body : "",
                 h->last.body.p, code, message);
    }
}

/* A value of the last answer by JSON pointer; NULL when absent. */
static inline yyjson_val *at(struct harness *h, const char *pointer)
{
    return yyjson_doc_ptr_get(h->doc, pointer);
}

static inline const char *text_at(struct harness *h, const char *pointer)
{
    const char *s = yyjson_get_str(at(h, pointer));
    if (!s) {
        fail_msg("no text at %s in %s", pointer, h->last.body.p);
    }
    return s;
}

/* "%s" once: the id of a run or another. */
static inline const char *fmt(char out[4096], const char *format, const char *id)
{
    const char *mark = strstr(format, "@@");
    if (!mark) {
        fail_msg("no @@ in %s", format);
        return out;
    }
    snprintf(out, 4096, "%.*s%s%s", (int)(mark - format), format, id, mark + 2);
    return out;
}

#endif

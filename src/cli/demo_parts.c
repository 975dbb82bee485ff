/* SPDX-License-Identifier: Apache-2.0 */
/* Parts that demos share: the project, files, one question over HTTP, the answer. */
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/demo.h"
#include "net/http_client.h"

enum { MAX_DATA_FILE = 1 << 30, MAX_ANSWER = 16 << 20 };

/* ---- the project ---- */

static bool run_git(struct gy_demo *d, const char *const *argv)
{
    int code = 0;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    struct gy_proc_options o = {
        .argv = argv, .cwd = d->dir, .env_add = d->env, .stdin_fd = -1, .stderr_fd = -1};
    return gy_proc_capture(&o, &out, &code, NULL) == GY_OK && code == 0;
}

/* A first commit, so that the runs know which code they came from. Without git there is no revision
 * to know. */
static bool commit(struct gy_demo *d, const char *message)
{
    const char *const init[] = {"git", "init", "-q", NULL};
    const char *const add[] = {"git", "add", "-A", NULL};
    const char *const save[] = {
        "git", "-c",    "user.name=gyre demo", "-c", "user.email=demo@gyre.invalid", "commit", "-q",
        "-m",  message, "--no-verify",         NULL};
    return run_git(d, init) && run_git(d, add) && run_git(d, save);
}

gy_status gy_demo_project(struct gy_demo *d, const char *template_name, struct gy_err *err)
{
    char words[128];
    char message[128];
    (void)snprintf(words, sizeof words, "init --template %s .", template_name);
    (void)snprintf(message, sizeof message, "the %s template", template_name);
    gy_demo_begin(d, "a project", "gyre %s && git init && git add -A && git commit -m start",
                  words);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_demo_gyre(d, words, 0, &doc, err));
    size_t n = yyjson_arr_size(gy_json_get(yyjson_doc_get_root(doc), "files"));
    bool committed = commit(d, message);
    return gy_demo_done(d, n >= 4, err,
                        "%zu files: gyre.yaml, dvc.yaml, params.yaml, schema.yaml ...%s", n,
                        committed ? "" : " (git is not here: no code revision)");
}

/* ---- files ---- */

gy_status gy_demo_write(struct gy_demo *d, const char *file, struct gy_str bytes,
                        struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, d->dir, file, err));
    GY_TRY(gy_dir_make_for(path, err));
    return gy_file_write(path, bytes, 0644, err);
}

gy_status gy_demo_copy(struct gy_demo *d, const char *from, const char *file, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf all;
    gy_buf_init(&all, MAX_DATA_FILE);
    GY_TRY(gy_file_read(from, &all, err));
    return gy_demo_write(d, file, gy_buf_str(&all), err);
}

bool gy_demo_fetched(const struct gy_demo *d, const char *name, char ret_path[GY_MAX_PATH])
{
    enum { STEPS_UP = 3 }; /* build/gyre, build/tests/..., an installed bin/gyre */
    char dir[GY_MAX_PATH];
    (void)snprintf(dir, sizeof dir, "%s", d->cli->program);
    for (int step = 0; step < STEPS_UP; step++) {
        static const char *const places[] = {".deps/vega-datasets", "share/gyre/vega-datasets"};
        char *slash = strrchr(dir, '/');
        if (!slash) {
            return false;
        }
        *slash = '\0';
        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
            char place[GY_MAX_PATH];
            if (gy_path_join(place, sizeof place, dir, places[i], NULL) == GY_OK &&
                gy_path_join(ret_path, GY_MAX_PATH, place, name, NULL) == GY_OK &&
                gy_path_exists(ret_path)) {
                return true;
            }
        }
    }
    return false;
}

/* ---- a question ---- */

gy_status gy_demo_post(struct gy_demo *d, const char *path, const char *body, int want,
                       yyjson_doc **ret_doc, struct gy_err *err)
{
    GY_AUTO(gy_caller_free) struct gy_caller *client = NULL;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    struct gy_mem_reader in;
    gy_collect_init(&answer, MAX_ANSWER);
    gy_arena_init(&arena, GY_MIB);
    GY_TRY(gy_http_client_new(d->address, &client, err));
    static const struct gy_header json = {{"Content-Type", 12}, {"application/json", 16}};
    struct gy_request request = {.method = GY_STR("POST"),
                                 .path = gy_str_c(path),
                                 .headers = &json,
                                 .n_headers = 1,
                                 .body = gy_mem_reader_init(&in, gy_str_c(body)),
                                 .arena = &arena};
    GY_TRY(gy_call(client, &request, &answer.reply, err));
    if (answer.status != want) {
        return gy_err_set(err, GY_E_FAILED, "POST %s: status %d instead of %d: %.200s", path,
                          answer.status, want, answer.body.p);
    }
    return ret_doc ? gy_json_parse(gy_buf_str(&answer.body), ret_doc, err) : GY_OK;
}

/* ---- the end ---- */

void gy_demo_row(const struct gy_demo *d, const char *what, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    gy_cli_say(d->cli, "  %-22s %s\n", what, text);
}

void gy_demo_write_steps(const struct gy_demo *d, struct gy_jw *w)
{
    gy_jw_key(w, "steps");
    gy_jw_arr(w);
    for (size_t i = 0; i < d->n_steps; i++) {
        const struct gy_demo_step *s = &d->steps[i];
        gy_jw_obj(w);
        gy_jw_kv_strc(w, "name", s->name);
        gy_jw_kv_strc(w, "command", s->command);
        gy_jw_kv_strc(w, "value", s->value);
        gy_jw_kv_f64(w, "seconds", s->seconds);
        gy_jw_kv_bool(w, "ok", s->ok);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

gy_status gy_demo_print(struct gy_demo *d, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 2 * GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj_end(&d->table);
    GY_TRY(gy_buf_check(&d->table_text, "the table of the demo", err));
    gy_jw_obj(&w);
    gy_demo_write_steps(d, &w);
    gy_jw_key(&w, "table");
    gy_jw_raw(&w, gy_buf_str(&d->table_text));
    gy_jw_obj_end(&w);
    return gy_cli_print_json(d->cli, &out, err);
}

void gy_demo_interval(struct gy_jw *w, const char *key, double value, double low, double high)
{
    gy_jw_key(w, key);
    gy_jw_obj(w);
    gy_jw_kv_f64(w, "value", value);
    gy_jw_kv_f64(w, "low", low);
    gy_jw_kv_f64(w, "high", high);
    gy_jw_obj_end(w);
}

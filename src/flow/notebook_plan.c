/* SPDX-License-Identifier: Apache-2.0 */
/* Python is asked about Python: a child process parses the cells and answers in JSON. */
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "flow/notebook_internal.h"

static const char *const g_roles[] = {[GY_CELL_SETUP] = "setup",
                                      [GY_CELL_PARAMETERS] = "parameters",
                                      [GY_CELL_INJECTED] = "injected",
                                      [GY_CELL_STAGE] = "stage",
                                      [GY_CELL_SKIP] = "skip"};

static gy_status write_request(const struct gy_notebook *n, const char *beside, int fd,
                               struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_jw w;
    gy_buf_init(&text, GY_NOTEBOOK_MAX_BYTES);
    gy_jw_init(&w, &text);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "beside", beside);
    gy_jw_key(&w, "cells");
    gy_jw_arr(&w);
    for (size_t i = 0; i < n->n_cells; i++) {
        const struct gy_notebook_cell *c = &n->cells[i];
        gy_jw_obj(&w);
        gy_jw_kv_i64(&w, "number", c->number);
        gy_jw_kv_strc(&w, "role", g_roles[c->role]);
        gy_jw_kv_str(&w, "stage", c->stage);
        gy_jw_kv_bool(&w, "metrics", c->metrics);
        gy_jw_kv_str(&w, "source", c->source);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&text, "the cells", err));
    GY_TRY(gy_fd_write(fd, "the cells", gy_buf_str(&text), err));
    return lseek(fd, 0, SEEK_SET) == 0 ? GY_OK : gy_err_set(err, GY_E_IO, "seeking");
}

/* Isolated (-I): neither the folder nor PYTHONPATH can put other modules under its hands. */
static gy_status run_python(int fd, const char *dir, struct gy_buf *out, struct gy_err *err)
{
    const char *argv[] = {
        "python3", "-I", "-S", "-B", "-c", gy_notebook_python[GY_NOTEBOOK_ANALYSIS].bytes, NULL};
    const struct gy_proc_options options = {.argv = argv,
                                            .cwd = gy_path_is_dir(dir) ? dir : "/",
                                            .stdin_fd = fd,
                                            .stdout_fd = -1,
                                            .stderr_fd = -1};
    int code = 0;
    gy_status status = gy_proc_capture(&options, out, &code, err);
    if (status == GY_E_NOTFOUND || (status == GY_OK && code == 127)) {
        gy_err_set(err, GY_E_MISSINGDEP, "python3 is not installed: it reads the cells");
        return gy_err_hint(err, "install Python 3.9 or newer (Debian: apt-get install python3)");
    }
    GY_TRY(status);
    if (code > 128) {
        gy_err_set(err, GY_E_TIMEOUT, "Python ended by signal %d while it read the cells",
                   code - 128);
        return gy_err_hint(err, "it may use 60 s and 2 GiB: tag what is no step of the pipeline "
                                "`skip`");
    }
    return code == 0
               ? GY_OK
               : gy_err_set(err, GY_E_FAILED, "Python could not read the cells (exit %d)", code);
}

static gy_status python_says(yyjson_val *e, struct gy_err *err)
{
    struct gy_str text = gy_json_str(e, "text");
    struct gy_str hint = gy_json_str(e, "hint");
    int64_t cell = gy_json_i64(e, "cell", 0);
    int64_t line = gy_json_i64(e, "line", 0);
    char where[64] = "";
    if (cell > 0 && line > 0) {
        (void)snprintf(where, sizeof where, "cell %lld, line %lld: ", (long long)cell,
                       (long long)line);
    } else if (cell > 0) {
        (void)snprintf(where, sizeof where, "cell %lld: ", (long long)cell);
    }
    gy_err_set(err, GY_E_INVALID, "%s%" GY_STR_F, where, GY_STR_A(gy_str_head(text, 400)));
    return hint.n ? gy_err_hint(err, "%" GY_STR_F, GY_STR_A(hint)) : GY_E_INVALID;
}

/* A list of texts; of paths: below the folder. */
static gy_status check_list(yyjson_val *stage, const char *key, bool paths, struct gy_err *err)
{
    yyjson_val *list = NULL;
    size_t i;
    size_t max;
    yyjson_val *v;
    GY_TRY(gy_json_need_arr(stage, key, &list, err));
    yyjson_arr_foreach(list, i, max, v)
    {
        struct gy_str s = gy_json_val_str(v);
        if (s.n == 0) {
            return gy_err_set(err, GY_E_INVALID, "'%s' has something that is no text", key);
        }
        if (paths) {
            GY_TRY(gy_path_check_relative(s, err));
        }
    }
    return GY_OK;
}

static gy_status check_stage(yyjson_val *stage, struct gy_err *err)
{
    struct gy_str text;
    GY_TRY(gy_json_need_str(stage, "name", &text, err));
    GY_TRY(gy_path_check_relative(text, err));
    GY_TRY(gy_json_need_str(stage, "script", &text, err));
    GY_TRY(check_list(stage, "deps", true, err));
    GY_TRY(check_list(stage, "params", false, err));
    GY_TRY(check_list(stage, "outs", true, err));
    return check_list(stage, "metrics", true, err);
}

static gy_status take_answer(const struct gy_notebook *n, struct gy_str text,
                             struct gy_notebook_plan *p, struct gy_err *err)
{
    size_t i;
    size_t max;
    yyjson_val *stage;
    GY_TRY(gy_json_parse(text, &p->doc, err));
    yyjson_val *root = yyjson_doc_get_root(p->doc);
    yyjson_val *refused = gy_json_get(root, "error");
    if (refused) {
        return python_says(refused, err);
    }
    GY_TRY(gy_json_need_obj(root, "params", &p->params, err));
    GY_TRY(gy_json_need_arr(root, "stages", &p->stages, err));
    GY_TRY(gy_json_need_arr(root, "notices", &p->notices, err));
    yyjson_arr_foreach(p->stages, i, max, stage)
    {
        GY_TRY(check_stage(stage, err));
    }
    return gy_notebook_make_files(p, n->name, err);
}

gy_status gy_notebook_plan(const struct gy_notebook *n, const char *dir, const char *beside,
                           struct gy_notebook_plan **ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    GY_AUTO(gy_notebook_plan_free) struct gy_notebook_plan *p = gy_calloc(1, sizeof *p);
    int fd = -1;
    gy_buf_init(&out, GY_NOTEBOOK_MAX_PLAN);
    if (!p) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for the pipeline");
    }
    gy_arena_init(&p->arena, 4 * GY_NOTEBOOK_MAX_PLAN);
    GY_TRY(gy_file_aside(gy_temp_dir(), &fd, err));
    gy_status status = write_request(n, beside, fd, err);
    if (status == GY_OK) {
        status = run_python(fd, dir, &out, err);
    }
    (void)close(fd); /* a file without a name: nothing is lost with it */
    GY_TRY(status);
    GY_TRY(take_answer(n, gy_buf_str(&out), p, err));
    *ret = GY_TAKE(p);
    return GY_OK;
}

void gy_notebook_plan_free(struct gy_notebook_plan *p)
{
    if (p) {
        gy_json_free(p->doc);
        gy_arena_done(&p->arena);
        gy_free(p);
    }
}

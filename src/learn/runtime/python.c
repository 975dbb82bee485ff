/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of a package and what a worker says of its model; the worker's life is in
 * python_process.c. */
#include "learn/runtime/python.h"

#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/embed.h"
#include "base/file.h"
#include "base/jail.h"
#include "base/mem.h"
#include "base/proc.h"
#include "learn/cells.h"
#include "learn/runtime/python_internal.h"

#define MAX_REQUIREMENTS GY_MIB
#define MAX_DESCRIPTION GY_MIB

extern const struct gy_embedded gy_python_worker[];

const char *gy_python_dir(void)
{
    const char *dir = getenv(GY_PYTHON_ENV);
    return dir && dir[0] == '/' ? dir : NULL;
}

gy_status gy_python_not_allowed(struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_NOTSERVABLE,
                     "only Python can load this model, and the python runtime is not allowed here: "
                     "loading it runs whatever its author put there");
    return gy_err_hint(err, "gyre server --python-runtime auto allows it; or export the model to "
                            "ONNX");
}

/* ---- the environment ---- */

gy_status gy_python_key(const char *dir, char ret[17], struct gy_err *err)
{
    static const char *const names[] = {"requirements.txt", "conda.yaml", "python_env.yaml"};
    char path[GY_MAX_PATH], sha256[GY_SHA256_HEX];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text = {0};
    gy_buf_init(&text, MAX_REQUIREMENTS);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        GY_TRY(gy_path_join(path, sizeof path, dir, names[i], err));
        if (gy_path_exists(path)) {
            GY_TRY(gy_file_read(path, &text, err));
            break;
        }
    }
    GY_TRY(gy_sha256_hex(gy_buf_str(&text), sha256, err));
    memcpy(ret, sha256, 16);
    ret[16] = '\0';
    return GY_OK;
}

gy_status gy_python_interpreter(const char *key, char *ret, struct gy_err *err)
{
    const char *root = gy_python_dir();
    char path[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text = {0};
    if (!root) {
        return gy_python_not_allowed(err);
    }
    (void)snprintf(path, sizeof path, "%s/envs/%s/interpreter", root, key);
    if (gy_path_exists(path)) {
        gy_buf_init(&text, GY_MAX_PATH);
        GY_TRY(gy_file_read(path, &text, err));
        struct gy_str named = gy_str_trim(gy_buf_str(&text));
        (void)snprintf(ret, GY_MAX_PATH, "%" GY_STR_F, GY_STR_A(named));
    } else {
        (void)snprintf(ret, GY_MAX_PATH, "%s/envs/%s/bin/python", root, key);
    }
    if (ret[0] == '/' && access(ret, X_OK) == 0) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_NOTSERVABLE, "there is no Python environment for this version");
    return gy_err_hint(err, "gyre models env NAME/VERSION makes one of its requirements; or, with "
                            "--python PATH, takes one that is there");
}

/* ---- what it is ---- */

static gy_status run_describe(const char *dir, struct gy_buf *out, struct gy_err *err)
{
    char key[17], interpreter[GY_MAX_PATH];
    int code = 0;
    GY_TRY(gy_python_key(dir, key, err));
    GY_TRY(gy_python_interpreter(key, interpreter, err));
    const char *const argv[] = {
        "/proc/self/exe", GY_PYTHON_WORKER_VERB, "describe", interpreter, dir, NULL};
    const struct gy_proc_options o = {
        .argv = argv, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    GY_TRY(gy_proc_capture(&o, out, &code, err));
    /* Libraries print what they like before it. */
    struct gy_str text = gy_str_trim(gy_buf_str(out)), line = GY_STR(""), rest = text;
    while (gy_str_next(&rest, '\n', &line)) {
        text = line;
    }
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (gy_json_parse(text, &doc, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_NOTSERVABLE,
                          "Python ended with %d before it said what the "
                          "model is",
                          code);
    }
    struct gy_str failed = gy_json_str(yyjson_doc_get_root(doc), "error");
    if (failed.p) {
        return gy_err_set(err, GY_E_NOTSERVABLE, "Python can not load it: %" GY_STR_F,
                          GY_STR_A(failed));
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf kept = {0};
    gy_buf_init(&kept, MAX_DESCRIPTION);
    gy_buf_add(&kept, text);
    GY_TRY(gy_buf_check(&kept, "a description", err));
    gy_buf_reset(out);
    gy_buf_add(out, gy_buf_str(&kept));
    return gy_buf_check(out, "a description", err);
}

/* Kept by the package's digest: loading it again asks nobody. */
static gy_status description(const char *dir, struct gy_buf *out, struct gy_err *err)
{
    char path[GY_MAX_PATH], digest[GY_SHA256_HEX];
    GY_TRY(gy_package_digest(dir, digest, err));
    (void)snprintf(path, sizeof path, "%s/models/%s.json", gy_python_dir(), digest);
    if (gy_path_exists(path)) {
        return gy_file_read(path, out, err);
    }
    GY_TRY(run_describe(dir, out, err));
    GY_TRY(gy_dir_make_for(path, err));
    return gy_file_write(path, gy_buf_str(out), 0644, err);
}

static gy_status wrong(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOTSERVABLE, "what Python says of the model can not be read");
}

static gy_status keep(struct gy_model *m, struct gy_str s, struct gy_str *ret, struct gy_err *err)
{
    *ret = gy_arena_str(&m->arena, s);
    return s.n && ret->p ? GY_OK : wrong(err);
}

static gy_status read_inputs(yyjson_val *list, struct gy_model *m, struct gy_err *err)
{
    size_t i, n = yyjson_arr_size(list), n_cells = 0;
    yyjson_val *one;
    struct gy_feature *cells = NULL;
    if (n == 0 || n > GY_MAX_FEATURES) {
        return gy_err_set(err, GY_E_NOTSERVABLE, "a model with %zu inputs is not served", n);
    }
    m->n_inputs = n;
    m->inputs = gy_arena_calloc(&m->arena, n, sizeof *m->inputs);
    if (!m->inputs) {
        return gy_err_set(err, GY_E_NOMEM, "describing a model");
    }
    yyjson_arr_foreach(list, i, n, one)
    {
        struct gy_predictor_input *in = &m->inputs[i];
        struct gy_str type = gy_json_str(one, "type");
        *in = (struct gy_predictor_input){.min = -INFINITY, .max = INFINITY, .width = 1};
        GY_TRY(keep(m, gy_json_str(one, "name"), &in->name, err));
        in->required = gy_json_bool(one, "required", true);
        in->integer = gy_str_eqc(type, "long") || gy_str_eqc(type, "integer");
    }
    GY_TRY(gy_cells_columns(m->inputs, m->n_inputs, &m->arena, &cells, &n_cells, err));
    return gy_features_empty(&m->features, cells, n_cells, 0, err);
}

static gy_status read_classes(yyjson_val *list, struct gy_model *m, struct gy_err *err)
{
    size_t i, n = yyjson_arr_size(list);
    yyjson_val *one;
    if (m->task == GY_TASK_REGRESSION) {
        return GY_OK;
    }
    if (n < 2 || n > GY_MODEL_MAX_CLASSES || (m->task == GY_TASK_BINARY) != (n == 2)) {
        return wrong(err);
    }
    m->classes = gy_arena_calloc(&m->arena, n, sizeof *m->classes);
    if (!m->classes) {
        return gy_err_set(err, GY_E_NOMEM, "describing a model");
    }
    m->n_classes = n;
    m->threshold = 0.5;
    yyjson_arr_foreach(list, i, n, one)
    {
        GY_TRY(keep(m, gy_json_val_str(one), &m->classes[i], err));
    }
    return GY_OK;
}

gy_status gy_python_describe(const char *dir, struct gy_model *m, struct gy_err *err)
{
    char whole[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text = {0};
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (!gy_python_dir()) {
        return gy_python_not_allowed(err);
    }
    if (!realpath(dir, whole)) {
        return gy_err_set(err, GY_E_NOTFOUND, "no model package in %s", dir);
    }
    gy_buf_init(&text, MAX_DESCRIPTION);
    GY_TRY(description(whole, &text, err));
    GY_TRY(gy_json_parse(gy_buf_str(&text), &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    m->learner = GY_LEARNER_PYTHON;
    GY_TRY(gy_task_parse(gy_json_str(root, "task"), &m->task, err));
    GY_TRY(read_classes(gy_json_get(root, "classes"), m, err));
    GY_TRY(read_inputs(gy_json_get(root, "inputs"), m, err));
    return keep(m, gy_str_c(whole), &m->params_json, err); /* where it lies, for load */
}

/* ---- in the child ---- */

/* A folder two above a program: its prefix. */
static bool prefix_of(const char *program, char out[GY_MAX_PATH])
{
    (void)snprintf(out, GY_MAX_PATH, "%s", program);
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(out, '/');
        if (!slash || slash == out) {
            return false;
        }
        *slash = '\0';
    }
    return true;
}

gy_status gy_python_become(const char *what, const char *interpreter, const char *dir,
                           struct gy_err *err)
{
    char prefix[GY_MAX_PATH], real[GY_MAX_PATH], base[GY_MAX_PATH] = "/usr";
    if (!prefix_of(interpreter, prefix) || !realpath(interpreter, real)) {
        return gy_err_set(err, GY_E_NOTFOUND, "%s is no Python", interpreter);
    }
    (void)prefix_of(real, base);
    const char *const readable[] = {dir,
                                    prefix,
                                    base,
                                    "/usr",
                                    "/lib",
                                    "/lib64",
                                    "/bin",
                                    "/etc/ld.so.cache",
                                    "/etc/localtime",
                                    "/etc/mime.types",
                                    "/etc/nsswitch.conf",
                                    "/dev/null",
                                    "/dev/zero",
                                    "/dev/urandom",
                                    "/proc/self",
                                    "/proc/cpuinfo",
                                    "/proc/meminfo",
                                    "/sys/devices/system/cpu",
                                    NULL};
    const struct gy_jail_options jail = {.memory_bytes = (int64_t)GY_PYTHON_MEMORY,
                                         .cpu_s = -1,
                                         .max_files = GY_PYTHON_FILES,
                                         .readable = readable,
                                         .execute = true};
    char bound[64],
        refused[sizeof GY_PYTHON_REFUSED_ENV + GY_PYTHON_MAX_REFUSED * (GY_PYTHON_MARK + 1)];
    const char *marks = getenv(GY_PYTHON_REFUSED_ENV); /* the jail empties the environment */
    (void)snprintf(bound, sizeof bound, GY_PYTHON_BOUND_ENV "=%d", GY_PYTHON_TIMEOUT_MS);
    (void)snprintf(refused, sizeof refused, GY_PYTHON_REFUSED_ENV "=%s", marks ? marks : "");
    (void)unshare(CLONE_NEWUSER | CLONE_NEWNET); /* where it is allowed; Landlock refuses TCP too */
    (void)setpriority(PRIO_PROCESS, 0, 5);       /* answers of other models come first */
    bool walled = false;
    GY_TRY(gy_jail_enter(&jail, &walled, err));
    if (strcmp(what, "describe") == 0) {
        (void)alarm(GY_PYTHON_DESCRIBE_MS / 1000);
    }
    if (!walled) {
        return gy_err_set(err, GY_E_UNSUPPORTED,
                          "this kernel has no Landlock: a Python model could "
                          "read and delete what the server can");
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a server that is killed takes it along */
    const char *const argv[] = {interpreter, "-I", "-B", "-c", gy_python_worker[0].bytes,
                                what,        dir,  NULL};
    /* One thread: rows come one request at a time, and idle threads of a BLAS spin. */
    const char *const env[] = {"LANG=C.UTF-8",
                               "HOME=/nonexistent",
                               "OMP_NUM_THREADS=1",
                               "OPENBLAS_NUM_THREADS=1",
                               "MKL_NUM_THREADS=1",
                               bound,
                               refused,
                               NULL};
    (void)execve(interpreter, (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)env);
    return gy_err_set(err, GY_E_FAILED, "%s can not be run", interpreter);
}

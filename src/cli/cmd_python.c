/* SPDX-License-Identifier: Apache-2.0 */
/* gyre models env: the Python environment of a version; gyre __worker: the process that becomes the
 * Python of a model (learn/runtime/python.h). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/proc.h"
#include "cli/cli_internal.h"
#include "cli/model_input.h"
#include "learn/runtime/python.h"

#define LOOK_MS 100       /* between two looks at signals while a tool runs */
#define MAKING ".making-" /* environments that are not complete */

struct env_opts {
    const char *python;
};

/* The folder of environments: as the server has it, else the home's own. */
static gy_status use_folder(struct gy_cli *cli, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    struct gy_home home = {.lock_fd = -1};
    if (gy_python_dir()) {
        return GY_OK;
    }
    GY_TRY(gy_cli_home(cli, &home, err));
    gy_status status = gy_home_path(&home, "python", dir, err);
    gy_home_done(&home);
    GY_TRY(status);
    return setenv(GY_PYTHON_ENV, dir, 1) == 0 ? GY_OK
                                              : gy_err_set(err, GY_E_NOMEM, "the environment");
}

static void end_signals(sigset_t *ret)
{
    (void)sigemptyset(ret); /* these can not fail for valid arguments */
    (void)sigaddset(ret, SIGINT);
    (void)sigaddset(ret, SIGTERM);
}

/* Where the signals that end a command are blocked, they end the tool and all that it has started.
 */
static gy_status run_tool(const char *const *argv, struct gy_err *err)
{
    static const struct timespec now = {0};
    struct gy_proc child = {0};
    int code = 0, ended_by = 0;
    bool ended = false;
    sigset_t signals;
    const struct gy_proc_options o = {
        .argv = argv, .stdin_fd = -1, .stdout_fd = STDERR_FILENO, .stderr_fd = -1};
    end_signals(&signals);
    GY_TRY(gy_proc_start(&o, &child, err));
    while (!ended) {
        gy_status status = gy_proc_wait_ms(&child, LOOK_MS, &ended, &code, err);
        if (!ended && (status != GY_OK || (ended_by = sigtimedwait(&signals, NULL, &now)) > 0)) {
            gy_proc_kill(&child, SIGKILL);
            GY_IGNORE(gy_proc_wait(&child, &code, NULL)); /* it was killed: there is no news */
            GY_TRY(status);
            return gy_err_set(err, GY_E_CANCELLED, "%s %s %s was ended by signal %d", argv[0],
                              argv[1], argv[2], ended_by);
        }
    }
    return code == 0 ? GY_OK
                     : gy_err_set(err, GY_E_FAILED, "%s %s %s failed with %d", argv[0], argv[1],
                                  argv[2], code);
}

/* What a person's interpreter must be able to do. */
static gy_status take_interpreter(const char *python, const char *folder, struct gy_err *err)
{
    char path[GY_MAX_PATH], text[GY_MAX_PATH + 1];
    const char *const argv[] = {python, "-c", "import mlflow, numpy, pandas", NULL};
    if (python[0] != '/' || access(python, X_OK) != 0) {
        return gy_err_set(err, GY_E_USAGE, "--python takes the absolute path of an interpreter");
    }
    if (run_tool(argv, err) != GY_OK) {
        (void)gy_err_set(err, GY_E_INVALID, "%s does not import mlflow, numpy and pandas", python);
        return gy_err_hint(err, "install them there: %s -m pip install mlflow", python);
    }
    GY_TRY(gy_dir_make(folder, err));
    GY_TRY(gy_path_join(path, sizeof path, folder, "interpreter", err));
    (void)snprintf(text, sizeof text, "%s\n", python);
    return gy_file_write(path, gy_str_c(text), 0644, err);
}

/* ---- a venv, complete or not at all ---- */

/* What a killed process has left: whoever makes a folder holds a lock on it. */
static gy_status remove_left(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    if (!is_dir || strncmp(name, MAKING, sizeof MAKING - 1) != 0) {
        return GY_OK;
    }
    GY_TRY(gy_path_join(path, sizeof path, ctx, name, err));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        GY_IGNORE(gy_dir_remove(path, NULL)); /* the next start tries again */
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return GY_OK;
}

/* A new folder beside the environments, locked: *ret_fd. */
static gy_status make_folder(char *envs, const char *key, char ret[GY_MAX_PATH], int *ret_fd,
                             struct gy_err *err)
{
    GY_TRY(gy_dir_make(envs, err));
    int guard = open(envs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (guard < 0 || flock(guard, LOCK_EX) != 0) { /* nobody cleans between making and locking */
        gy_status st = gy_err_sys(err, errno, "locking %s", envs);
        if (guard >= 0) {
            (void)close(guard);
        }
        return st;
    }
    gy_status status = gy_dir_each(envs, remove_left, envs, err);
    int n = snprintf(ret, GY_MAX_PATH, "%s/" MAKING "%s-XXXXXX", envs, key);
    if (status == GY_OK && n >= GY_MAX_PATH) {
        status = gy_err_set(err, GY_E_TOOBIG, "path too long: %s", envs);
    }
    if (status == GY_OK) {
        *ret_fd = mkdtemp(ret) ? open(ret, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (*ret_fd < 0 || fchmod(*ret_fd, 0755) != 0 || flock(*ret_fd, LOCK_EX | LOCK_NB) != 0) {
            status = gy_err_sys(err, errno, "making %s", ret);
        }
    }
    (void)close(guard);
    return status;
}

static gy_status fill_venv(const char *folder, const char *requirements, struct gy_err *err)
{
    char python[GY_MAX_PATH];
    GY_TRY(gy_path_join(python, sizeof python, folder, "bin/python", err));
    const char *const venv[] = {"python3", "-m", "venv", folder, NULL};
    const char *const pip[] = {python, "-m", "pip",        "install", "--disable-pip-version-check",
                               "-q",   "-r", requirements, NULL};
    GY_TRY(run_tool(venv, err));
    return run_tool(pip, err);
}

/* Somebody else may have made the same one meanwhile: it is as good. What has no interpreter is
 * what an older version left half-made. */
static gy_status put_in_place(const char *making, const char *key, const char *folder,
                              struct gy_err *err)
{
    char interpreter[GY_MAX_PATH];
    if (gy_python_interpreter(key, interpreter, NULL) == GY_OK) {
        return GY_OK;
    }
    GY_TRY(gy_dir_remove(folder, err));
    return rename(making, folder) == 0 ? GY_OK : gy_err_sys(err, errno, "renaming %s", making);
}

/* A venv with the package's requirements. Python finds what is beside it, so it may be moved; only
 * the scripts in bin/ would not know, and workers start none. */
static gy_status make_venv(const char *package, char *envs, const char *key, const char *folder,
                           struct gy_err *err)
{
    char requirements[GY_MAX_PATH], making[GY_MAX_PATH] = "";
    int fd = -1;
    sigset_t signals, old;
    GY_TRY(gy_path_join(requirements, sizeof requirements, package, "requirements.txt", err));
    if (!gy_path_exists(requirements)) {
        (void)gy_err_set(err, GY_E_NOTFOUND, "the package has no requirements.txt");
        return gy_err_hint(err, "--python PATH takes an interpreter that has what it needs");
    }
    end_signals(&signals);
    (void)pthread_sigmask(SIG_BLOCK, &signals, &old);
    gy_status status = make_folder(envs, key, making, &fd, err);
    status = status == GY_OK ? fill_venv(making, requirements, err) : status;
    status = status == GY_OK ? put_in_place(making, key, folder, err) : status;
    if (fd >= 0) {
        if (gy_path_is_dir(making)) {
            GY_IGNORE(gy_dir_remove(making, NULL)); /* the first failure is told */
        }
        (void)close(fd);
    }
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return status;
}

static gy_status answer(struct gy_cli *cli, const char *key, const char *interpreter,
                        const struct gy_model *m, struct gy_err *err)
{
    gy_cli_say(cli, "environment %s: %s\n", key, interpreter);
    gy_cli_say(cli, "%s, %zu inputs; now gyre models prove %s\n", gy_task_name(m->task),
               m->n_inputs, cli->argv[0]);
    if (!cli->json) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json = {0};
    struct gy_jw w;
    gy_buf_init(&json, 16 * GY_KIB);
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "key", key);
    gy_jw_kv_strc(&w, "interpreter", interpreter);
    gy_jw_kv_strc(&w, "task", gy_task_name(m->task));
    gy_jw_kv_i64(&w, "inputs", (int64_t)m->n_inputs);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &json, err);
}

static gy_status run_env(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct env_opts *o = opts;
    char package[GY_MAX_PATH], folder[GY_MAX_PATH], interpreter[GY_MAX_PATH], key[17];
    char envs[GY_MAX_PATH];
    GY_AUTO_DONE(gy_model_done) struct gy_model m;
    gy_model_init(&m);
    GY_TRY(use_folder(cli, err));
    GY_TRY(gy_cli_model_dir(cli, cli->argv[0], package, err));
    GY_TRY(gy_python_key(package, key, err));
    GY_TRY(gy_path_join(envs, sizeof envs, gy_python_dir(), "envs", err));
    GY_TRY(gy_path_join(folder, sizeof folder, envs, key, err));
    if (o->python) {
        GY_TRY(take_interpreter(o->python, folder, err));
    } else if (gy_python_interpreter(key, interpreter, NULL) != GY_OK) {
        GY_TRY(make_venv(package, envs, key, folder, err));
    }
    GY_TRY(gy_python_interpreter(key, interpreter, err));
    GY_TRY(gy_python_describe(package, &m, err));
    return answer(cli, key, interpreter, &m, err);
}

static gy_status run_worker(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    return gy_python_become(cli->argv[0], cli->argv[1], cli->argv[2], err);
}

static const struct gy_opt env_options[] = {
    {"python", 0, GY_OPT_STR, offsetof(struct env_opts, python), "PATH", NULL,
     "use this interpreter instead of making an environment"},
};
static const struct gy_verb verbs[] = {
    {"models", "env", "NAME[/VERSION|@ALIAS]", 1, 1,
     "make the Python environment of a version that only Python can load",
     "A venv with the package's requirements.txt, which pip installs; versions with the same "
     "requirements share it.\nThe server must allow such models: gyre server --python-runtime "
     "auto. "
     "Loading one runs whatever its author put there,\nin a process without network that can write "
     "nothing.",
     "gyre models env churn/3\ngyre models env churn/3 --python /opt/ml/bin/python\n",
     GY_OPTS(env_options), sizeof(struct env_opts), run_env},
    {.noun = GY_PYTHON_WORKER_VERB,
     .args = "WHAT PYTHON FOLDER",
     .min_args = 3,
     .max_args = 3,
     .summary = "becomes the Python of a model; started by the server",
     .examples = "  gyre models env churn/3",
     .run = run_worker},
};
const struct gy_verb_table gy_cmd_python = GY_VERB_TABLE(verbs);

/* SPDX-License-Identifier: Apache-2.0 */
/* gyre export mlflow DIR: all that the tracking store and the registry hold, as a store that MLflow
 * opens as its own. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/time.h"
#include "cli/export_job.h"

struct export_opts {
    const char *format;
    struct gy_opt_list experiments;
    bool no_artifacts;
};

struct pending {
    struct gy_str id, uri;
};

struct job {
    struct gy_cli *cli;
    const struct export_opts *o;
    struct gy_caller *caller;
    const struct gy_export_ops *ops;
    void *self;
    struct gy_move_report report;
    struct gy_arena line, keep; /* of one entity; of the job */
    struct gy_progress progress;
    int64_t *experiments;
    size_t n_experiments, cap;
    struct gy_arena page; /* what came with the page at hand: points and files follow it */
    struct pending *pending;
    size_t n_pending, cap_pending;
    int64_t n_runs, n_points, n_logged, n_models, n_versions, n_aliases, n_files, n_bytes;
};

/* ---- lines that come in ---- */

typedef gy_status (*line_fn)(struct job *j, yyjson_val *o, struct gy_err *err);

/* A reply that gives each line of the answer to fn, as they come. */
struct lines {
    struct gy_reply reply;
    struct job *j;
    line_fn fn;
    struct gy_buf rest;
    int status;
};

static gy_status lines_begin(struct gy_reply *self, int status, const struct gy_header *headers,
                             size_t n_headers, int64_t body_bytes, struct gy_err *err)
{
    (void)headers;
    (void)n_headers;
    (void)body_bytes;
    (void)err;
    ((struct lines *)(void *)self)->status = status;
    return GY_OK;
}

static gy_status give(struct lines *l, struct gy_str line, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(line, &doc, err));
    gy_arena_reset(&l->j->line);
    return l->fn(l->j, yyjson_doc_get_root(doc), err);
}

static gy_status lines_write(struct gy_reply *self, struct gy_str bytes, struct gy_err *err)
{
    struct lines *l = (struct lines *)(void *)self;
    gy_buf_add(&l->rest, bytes);
    GY_TRY(gy_buf_check(&l->rest, "a line", err));
    if (l->status >= 400) {
        return GY_OK;
    }
    struct gy_str rest = gy_buf_str(&l->rest);
    for (size_t end; (end = gy_str_find(rest, '\n')) != SIZE_MAX;) {
        GY_TRY(give(l, gy_str_sub(rest, 0, end), err));
        rest = gy_str_sub(rest, end + 1, SIZE_MAX);
    }
    gy_buf_drop_front(&l->rest, l->rest.n - rest.n);
    return GY_OK;
}

static gy_status lines_end(struct gy_reply *self, struct gy_err *err)
{
    (void)self;
    (void)err;
    return GY_OK;
}

static const struct gy_reply_ops lines_ops = {lines_begin, lines_write, lines_end};

static gy_status ask_lines(struct job *j, const char *path, line_fn fn, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct lines l = {.reply = {.ops = &lines_ops}, .j = j, .fn = fn};
    struct gy_str target, query;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    gy_buf_init(&l.rest, GY_MAX_REPLY);
    (void)gy_str_cut(gy_str_c(path), '?', &target, &query);
    struct gy_request req = {.method = GY_STR("GET"), .path = target, .query = query, .arena = &a};
    gy_status status = gy_call(j->caller, &req, &l.reply, err);
    if (status == GY_OK && l.status >= 400) {
        status = gy_err_set(err, gy_status_from_http(l.status), "%s: %.*s", path,
                            (int)(l.rest.n < 300 ? l.rest.n : 300), l.rest.p);
    } else if (status == GY_OK && l.rest.n > 0) {
        status = gy_err_set(err, GY_E_NETWORK, "%s: the answer was cut off", path);
    }
    gy_buf_done(&l.rest);
    return status;
}

/* ---- artifacts ---- */

static gy_status put(void *ctx, struct gy_str bytes, struct gy_err *err)
{
    return fwrite(bytes.p, 1, bytes.n, ctx) == bytes.n
               ? GY_OK
               : gy_err_sys(err, errno, "writing an artifact");
}

static gy_status copy_object(struct job *j, struct gy_str sha256, const char *to,
                             struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_pass_reply reply;
    const char *path = NULL;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    GY_TRY(gy_cli_path(j->cli, GY_EXPORT_BASE "/objects/{}", sha256, &path, err));
    GY_TRY(gy_dir_make_for(to, err));
    FILE *out = fopen(to, "wbe");
    if (!out) {
        return gy_err_sys(err, errno, "'%s'", to);
    }
    struct gy_request req = {.method = GY_STR("GET"), .path = gy_str_c(path), .arena = &a};
    gy_pass_reply_init(&reply, put, out);
    gy_status status = gy_call(j->caller, &req, &reply.reply, err);
    if (fclose(out) != 0 && status == GY_OK) {
        status = gy_err_sys(err, errno, "'%s'", to);
    }
    if (status == GY_OK && gy_pass_reply_check(&reply, err) != GY_OK) {
        return gy_err_wrap(err, "the object %" GY_STR_F, GY_STR_A(sha256));
    }
    return status;
}

/* All that lies below a URI of ours. A file that another place has brought already is passed over.
 */
static gy_status copy_artifacts(struct job *j, struct gy_str uri, struct gy_err *err)
{
    static const char ours[] = "mlflow-artifacts:/";
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    const char *path = NULL;
    char dir[GY_MAX_PATH], to[GY_MAX_PATH];
    gy_arena_init(&a, GY_MIB);
    if (j->o->no_artifacts || !gy_str_starts(uri, gy_str_c(ours))) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    struct gy_str root = gy_artifact_path_of_uri(uri, &a);
    if (root.n == 0) {
        return GY_OK;
    }
    GY_TRY(gy_cli_path(j->cli, GY_EXPORT_BASE "/import/files?path={}", root, &path, err));
    GY_TRY(gy_cli_ask(j->cli, "GET", path, GY_STR_NULL, &answer, err));
    GY_TRY(j->ops->place(j->self, root, dir, err));
    size_t i, n;
    yyjson_val *f;
    yyjson_arr_foreach(gy_json_get(answer.root, "files"), i, n, f)
    {
        struct gy_str name = gy_json_str(f, "path");
        int64_t size = gy_json_i64(f, "size", 0);
        GY_TRY(gy_path_check_relative(name, err));
        if (snprintf(to, sizeof to, "%s/%.*s", dir, (int)name.n, name.p) >= (int)sizeof to) {
            gy_move_reject(&j->report, name.p, "the path of the artifact is too long");
            continue;
        }
        if (gy_file_size(to) != size) {
            GY_TRY(copy_object(j, gy_json_str(f, "sha256"), to, err));
            j->n_files++;
            j->n_bytes += size;
        }
    }
    return GY_OK;
}

/* ---- entities ---- */

static bool is_wanted(const struct export_opts *o, const struct gy_experiment *e)
{
    bool any = false;
    for (size_t i = 0; i < o->experiments.n; i++) {
        struct gy_str rest = gy_str_c(o->experiments.items[i]), name;
        int64_t id = -1;
        while (gy_str_next(&rest, ',', &name)) {
            any = true;
            if (gy_str_eq(name, e->name) ||
                (gy_parse_i64(name, 0, INT64_MAX, &id, NULL) == GY_OK && id == e->id)) {
                return true;
            }
        }
    }
    return !any;
}

static gy_status on_experiment(struct job *j, yyjson_val *o, struct gy_err *err)
{
    struct gy_experiment e;
    void *items = j->experiments;
    GY_TRY(gy_transfer_read_experiment(o, &j->line, &e, err));
    if (!is_wanted(j->o, &e)) {
        return GY_OK;
    }
    GY_TRY(gy_track_grow(&j->keep, &items, j->n_experiments, &j->cap, sizeof e.id, err));
    j->experiments = items;
    j->experiments[j->n_experiments++] = e.id;
    return j->ops->experiment(j->self, &e, err);
}

static gy_status on_point(struct job *j, yyjson_val *o, struct gy_err *err)
{
    struct gy_transfer_points p;
    GY_TRY(gy_transfer_read_points(o, &j->line, &p, err));
    j->n_points += (int64_t)p.n;
    return j->ops->points(j->self, &p, err);
}

/* What else belongs to this entity is asked for when the answer that told of it was read. */
static gy_status remember(struct job *j, struct gy_str id, struct gy_str uri, struct gy_err *err)
{
    void *items = j->pending;
    GY_TRY(gy_track_grow(&j->page, &items, j->n_pending, &j->cap_pending, sizeof *j->pending, err));
    j->pending = items;
    struct pending *p = &j->pending[j->n_pending++];
    *p = (struct pending){gy_arena_str(&j->page, id),
                          gy_arena_str(&j->page, uri.p ? uri : GY_STR(""))};
    return p->id.p && p->uri.p ? GY_OK : gy_track_nomem(err);
}

static gy_status on_run(struct job *j, yyjson_val *o, struct gy_err *err)
{
    struct gy_run r;
    GY_TRY(gy_transfer_read_run(o, &j->line, &r, err));
    j->n_runs++;
    GY_TRY(j->ops->run(j->self, &r, err));
    return remember(j, r.id, r.artifact_uri, err);
}

static gy_status on_logged(struct job *j, yyjson_val *o, struct gy_err *err)
{
    struct gy_logged_model m;
    GY_TRY(gy_transfer_read_logged(o, &j->line, &m, err));
    j->n_logged++;
    GY_TRY(j->ops->logged(j->self, &m, err));
    return remember(j, m.id, m.artifact_uri, err);
}

static gy_status on_registry(struct job *j, yyjson_val *o, struct gy_err *err)
{
    struct gy_str kind = gy_json_str(o, "kind");
    if (gy_str_eqc(kind, "model")) {
        struct gy_registered_model m;
        GY_TRY(gy_transfer_read_model(o, &j->line, &m, err));
        j->n_models++;
        return j->ops->model(j->self, &m, err);
    }
    if (gy_str_eqc(kind, "version")) {
        struct gy_transfer_version v;
        GY_TRY(gy_transfer_read_version(o, &j->line, &v, err));
        j->n_versions++;
        GY_TRY(j->ops->model_version(j->self, &v, err));
        return remember(j, v.v.name, v.deleted ? GY_STR("") : v.v.storage_location, err);
    }
    struct gy_str model, alias;
    int64_t version = 0;
    GY_TRY(gy_transfer_read_alias(o, &model, &alias, &version, err));
    j->n_aliases++;
    return j->ops->alias(j->self, model, alias, version, err);
}

/* ---- pages ---- */

static void new_page(struct job *j)
{
    gy_arena_reset(&j->page);
    j->pending = NULL;
    j->n_pending = j->cap_pending = 0;
}

/* Ask for one page of an experiment after another; then for what belongs to its entities. */
static gy_status all_pages(struct job *j, const char *what, int64_t experiment, line_fn fn,
                           bool points, struct gy_err *err)
{
    char after[300] = "", path[1200];
    do {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf coded;
        gy_buf_init(&coded, GY_KIB);
        gy_url_encode(&coded, gy_str_c(after), false);
        (void)snprintf(path, sizeof path, GY_EXPORT_BASE "/export/%s?experiment=%lld&after=%s",
                       what, (long long)experiment, coded.p);
        new_page(j);
        GY_TRY(ask_lines(j, path, fn, err));
        for (size_t i = 0; i < j->n_pending; i++) {
            const struct pending *p = &j->pending[i];
            if (points) {
                (void)snprintf(path, sizeof path, GY_EXPORT_BASE "/export/points?run=%" GY_STR_F,
                               GY_STR_A(p->id));
                GY_TRY(ask_lines(j, path, on_point, err));
                GY_TRY(j->ops->end_run(j->self, err));
            }
            GY_TRY(copy_artifacts(j, p->uri, err));
            (void)snprintf(after, sizeof after, "%" GY_STR_F, GY_STR_A(p->id));
        }
    } while (j->n_pending > 0);
    return GY_OK;
}

static gy_status export_all(struct job *j, struct gy_err *err)
{
    GY_TRY(ask_lines(j, GY_EXPORT_BASE "/export/experiments", on_experiment, err));
    if (j->n_experiments == 0 && j->o->experiments.n > 0) {
        return gy_err_set(err, GY_E_NOTFOUND, "there is no experiment of that name or id");
    }
    gy_progress_start(&j->progress, j->cli, "export", (int64_t)j->n_experiments);
    for (size_t i = 0; i < j->n_experiments; i++) {
        gy_progress_at(&j->progress, (int64_t)i);
        GY_TRY(all_pages(j, "logged", j->experiments[i], on_logged, false, err));
        GY_TRY(all_pages(j, "runs", j->experiments[i], on_run, true, err));
    }
    gy_progress_end(&j->progress);
    if (j->o->experiments.n == 0) {
        new_page(j);
        GY_TRY(ask_lines(j, GY_EXPORT_BASE "/export/registry", on_registry, err));
        for (size_t i = 0; i < j->n_pending; i++) {
            GY_TRY(copy_artifacts(j, j->pending[i].uri, err));
        }
    }
    return j->ops->finish(j->self, err);
}

/* ---- the command ---- */

gy_status gy_export_uri(struct gy_str uri, const char *root, struct gy_buf *out, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MIB);
    gy_buf_reset(out);
    struct gy_str path = gy_str_starts(uri, GY_STR("mlflow-artifacts:"))
                             ? gy_artifact_path_of_uri(uri, &a)
                             : GY_STR_NULL;
    if (path.p) {
        gy_buf_addc(out, root);
        gy_buf_addc(out, path.n ? "/" : "");
        gy_buf_add(out, path);
    } else {
        gy_buf_add(out, uri);
    }
    return gy_buf_check(out, "a place of artifacts", err);
}

static gy_status print_result(struct job *j, const char *dir, struct gy_err *err)
{
    bool sqlite = j->ops == &gy_export_sqlite;
    if (!j->cli->json) {
        gy_cli_say(j->cli,
                   "%zu experiments, %lld runs, %lld metric points, %lld logged models, %lld "
                   "registered models, %lld versions, %lld aliases, %lld files (%lld bytes)\n",
                   j->n_experiments, (long long)j->n_runs, (long long)j->n_points,
                   (long long)j->n_logged, (long long)j->n_models, (long long)j->n_versions,
                   (long long)j->n_aliases, (long long)j->n_files, (long long)j->n_bytes);
        gy_cli_say(j->cli,
                   sqlite ? "MLflow opens it as sqlite:///%s/mlflow.db\n"
                          : "MLflow opens it as file://%s\n",
                   dir);
        for (size_t i = 0; i < j->report.n_listed; i++) {
            gy_cli_note(j->cli, "left out: %s: %s\n", j->report.rejected[i].where,
                        j->report.rejected[i].error);
        }
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "tracking_uri");
    gy_jw_strf(&w, sqlite ? "sqlite:///%s/mlflow.db" : "file://%s", dir);
    gy_jw_kv_i64(&w, "experiments", (int64_t)j->n_experiments);
    gy_jw_kv_i64(&w, "runs", j->n_runs);
    gy_jw_kv_i64(&w, "points", j->n_points);
    gy_jw_kv_i64(&w, "logged_models", j->n_logged);
    gy_jw_kv_i64(&w, "registered_models", j->n_models);
    gy_jw_kv_i64(&w, "versions", j->n_versions);
    gy_jw_kv_i64(&w, "aliases", j->n_aliases);
    gy_jw_kv_i64(&w, "files", j->n_files);
    gy_jw_kv_i64(&w, "bytes", j->n_bytes);
    gy_jw_kv_i64(&w, "rejected", j->report.n_rejected);
    gy_jw_key(&w, "rejected_items");
    gy_jw_arr(&w);
    for (size_t i = 0; i < j->report.n_listed; i++) {
        gy_jw_obj(&w);
        gy_jw_kv_strc(&w, "where", j->report.rejected[i].where);
        gy_jw_kv_strc(&w, "error", j->report.rejected[i].error);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(j->cli, &out, err);
}

/* The absolute name that DIR will have. It must not be there yet. */
static gy_status target_of(const char *arg, char out[GY_MAX_PATH], struct gy_err *err)
{
    char cwd[GY_MAX_PATH] = "";
    struct gy_str s = gy_str_c(arg);
    while (s.n > 1 && s.p[s.n - 1] == '/') {
        s.n--;
    }
    if (arg[0] != '/' && !getcwd(cwd, sizeof cwd)) {
        return gy_err_sys(err, errno, "the current folder");
    }
    if (snprintf(out, GY_MAX_PATH, "%s%s%.*s", cwd, cwd[0] ? "/" : "", (int)s.n, s.p) >=
        GY_MAX_PATH - 16) {
        return gy_err_set(err, GY_E_TOOBIG, "the folder's name is too long");
    }
    if (gy_path_exists(out)) {
        (void)gy_err_set(err, GY_E_EXISTS, "'%s' is there already", out);
        return gy_err_hint(err, "an export makes a new folder");
    }
    return GY_OK;
}

static gy_status write_to(struct job *j, const char *dir, const char *part, struct gy_err *err)
{
    char root[GY_MAX_PATH];
    bool sqlite = j->ops == &gy_export_sqlite;
    (void)snprintf(root, sizeof root, "%.*s%s", GY_MAX_PATH - 16, dir, sqlite ? "/artifacts" : "");
    GY_TRY(gy_dir_remove(part, err)); /* of an export that was killed */
    GY_TRY(gy_dir_make(part, err));
    gy_status status = j->ops->open(part, root, &j->report, &j->self, err);
    if (status == GY_OK) {
        status = export_all(j, err);
    }
    if (j->self) {
        j->ops->free(j->self);
    }
    if (status == GY_OK && rename(part, dir) != 0) {
        status = gy_err_sys(err, errno, "'%s'", dir);
    }
    if (status != GY_OK) {
        GY_IGNORE(gy_dir_remove(part, NULL)); /* the failure is what counts */
    }
    return status;
}

static gy_status run_export(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct export_opts *o = opts;
    struct job j = {.cli = cli, .o = o};
    char dir[GY_MAX_PATH], part[GY_MAX_PATH + 16];
    j.ops = strcmp(o->format, "sqlite") == 0  ? &gy_export_sqlite
            : strcmp(o->format, "files") == 0 ? &gy_export_files
                                              : NULL;
    if (!j.ops) {
        return gy_err_set(err, GY_E_USAGE, "--format is sqlite or files, not '%s'", o->format);
    }
    GY_TRY(target_of(cli->argv[0], dir, err));
    (void)snprintf(part, sizeof part, "%s.partial", dir);
    GY_TRY(gy_cli_caller(cli, &j.caller, err));
    gy_move_report_init(&j.report);
    gy_arena_init(&j.line, GY_MAX_REQUEST_ARENA);
    gy_arena_init(&j.page, GY_GIB);
    gy_arena_init(&j.keep, GY_GIB);
    gy_status status = write_to(&j, dir, part, err);
    if (status == GY_OK) {
        status = print_result(&j, dir, err);
    }
    if (status == GY_OK && j.report.n_rejected > 0) {
        cli->exit_code = gy_status_exit(GY_E_FAILED);
        gy_cli_note(cli, "gyre: %lld items could not be kept in this format\n",
                    (long long)j.report.n_rejected);
    }
    gy_arena_done(&j.keep);
    gy_arena_done(&j.page);
    gy_arena_done(&j.line);
    gy_move_report_done(&j.report);
    return status;
}

#define OPT(field, name, kind, arg, standard, help)                             \
    {                                                                           \
        name, 0, kind, offsetof(struct export_opts, field), arg, standard, help \
    }
static const struct gy_opt options[] = {
    OPT(format, "format", GY_OPT_STR, "sqlite|files", "sqlite",
        "a database mlflow.db with artifacts/, or a folder as mlruns (any MLflow reads it)"),
    OPT(experiments, "experiments", GY_OPT_LIST, "A,B", NULL,
        "only these, by name or id; without the registry"),
    OPT(no_artifacts, "no-artifacts", GY_OPT_FLAG, NULL, NULL, "metadata only"),
};

static const struct gy_verb verbs[] = {
    {"export", "mlflow", "DIR", 1, 1, "Write everything as a store that MLflow opens",
     "DIR must not be there yet. Artifacts are named by their absolute path: export anew rather "
     "than\n"
     "move the folder. A newer MLflow than 3.11 wants `mlflow db upgrade sqlite:///DIR/mlflow.db`\n"
     "once; an older one reads --format files.",
     "gyre export mlflow ./for-mlflow\n"
     "gyre export mlflow ./mlruns --format files\n"
     "gyre export mlflow ./churn --experiments churn\n",
     GY_OPTS(options), sizeof(struct export_opts), run_export},
};
const struct gy_verb_table gy_cmd_export = GY_VERB_TABLE(verbs);

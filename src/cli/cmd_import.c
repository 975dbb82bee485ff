/* SPDX-License-Identifier: Apache-2.0 */
/* gyre import mlflow: everything that an MLflow store holds, with its ids and times; at the end the
 * counts of the source are held against what is stored. */
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/import_job.h"

/* ---- the source ---- */

static gy_status open_source(struct gy_ijob *j, const char *url, const char *scratch,
                             struct gy_err *err)
{
    struct gy_str s = gy_str_c(url);
    const char *root = j->o->artifacts_root;
    if (gy_str_starts(s, GY_STR("http://")) || gy_str_starts(s, GY_STR("https://"))) {
        return gy_move_open_rest(url, scratch, &j->report, &j->source, err);
    }
    if (gy_str_starts(s, GY_STR("sqlite:")) || gy_str_starts(s, GY_STR("postgres"))) {
        return gy_move_open_sql(url, root, &j->report, &j->source, err);
    }
    if (gy_str_starts(s, GY_STR("file:"))) {
        char dir[GY_MAX_PATH];
        return gy_move_local(s, NULL, NULL, dir)
                   ? gy_move_open_files(dir, root, &j->report, &j->source, err)
                   : gy_err_set(err, GY_E_INVALID, "'%s' is no file URI", url);
    }
    if (gy_str_find_str(s, GY_STR("://")) != SIZE_MAX) {
        (void)gy_err_set(err, GY_E_UNSUPPORTED, "'%s' is no source that gyre import reads", url);
        return gy_err_hint(err, "a folder mlruns, sqlite:///mlflow.db, postgresql://.., http://..");
    }
    return gy_move_open_files(url, root, &j->report, &j->source, err);
}

static bool is_wanted(const struct gy_import_opts *o, const struct gy_experiment *e)
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

static int by_id(const void *a, const void *b)
{
    const struct gy_ijob_experiment *x = a, *y = b;
    return (x->e.id > y->e.id) - (x->e.id < y->e.id);
}

static gy_status list_experiments(struct gy_ijob *j, struct gy_err *err)
{
    struct gy_experiment *all = NULL;
    size_t n = 0;
    GY_TRY(j->source.ops->experiments(j->source.self, &j->keep, &all, &n, err));
    j->experiments = gy_arena_calloc(&j->keep, n + 1, sizeof *j->experiments);
    if (!j->experiments) {
        return gy_track_nomem(err);
    }
    for (size_t i = 0; i < n; i++) {
        if (is_wanted(j->o, &all[i])) {
            struct gy_move_place p = {'e', GY_STR(""), all[i].artifact_location, all[i].id};
            p.uri = p.uri.p ? p.uri : GY_STR("");
            j->experiments[j->n_experiments++] = (struct gy_ijob_experiment){
                .e = all[i],
                .id = all[i].id,
                .moves = j->copy && j->source.ops->has_files(j->source.self, &p),
            };
        }
    }
    if (j->n_experiments == 0 && j->o->experiments.n > 0) {
        return gy_err_set(err, GY_E_NOTFOUND, "the source has no experiment of that name or id");
    }
    qsort(j->experiments, j->n_experiments, sizeof *j->experiments, by_id);
    return GY_OK;
}

/* All experiments come first: then it is known where everything else goes. */
static gy_status send_experiments(struct gy_ijob *j, struct gy_err *err)
{
    for (size_t i = 0; i < j->n_experiments; i++) {
        struct gy_experiment e = j->experiments[i].e;
        struct gy_jw w;
        if (j->experiments[i].moves) {
            e.artifact_location = GY_STR_NULL; /* as this store places it */
        }
        gy_jw_init(&w, &j->line);
        gy_transfer_write_experiment(&w, &e);
        GY_TRY(gy_ijob_line(j, err));
    }
    GY_TRY(gy_ijob_flush(j, err));
    for (size_t i = 0; i < j->n_experiments; i++) {
        const struct gy_ijob_experiment *x = &j->experiments[i];
        char id[32], fingerprint[32];
        struct gy_ijob_counts c = {.tags = (int64_t)x->e.n_tags};
        (void)snprintf(id, sizeof id, "%lld", (long long)x->id);
        (void)snprintf(fingerprint, sizeof fingerprint, "%lld", (long long)x->e.updated_us);
        GY_TRY(gy_ijob_item(j, "experiment", gy_str_c(id), fingerprint, &c, err));
    }
    return gy_ijob_flush(j, err);
}

static gy_status move_all(struct gy_ijob *j, struct gy_err *err)
{
    bool part = j->o->experiments.n > 0;
    GY_TRY(list_experiments(j, err));
    gy_progress_start(&j->progress, j->cli, "import", (int64_t)j->n_experiments);
    GY_TRY(send_experiments(j, err));
    for (size_t i = 0; i < j->n_experiments; i++) {
        struct gy_ijob_experiment *x = &j->experiments[i];
        if (j->cli->progress) {
            (void)fprintf(stderr, "\r\033[K"); /* the line of the one before */
        }
        gy_progress_at(&j->progress, (int64_t)i);
        GY_TRY(gy_ijob_logged(j, x, err));
        GY_TRY(gy_ijob_runs(j, x, err));
    }
    GY_TRY(gy_ijob_flush(j, err));
    if (!part || j->o->with_registry) {
        GY_TRY(gy_ijob_registry(j, err));
    }
    gy_progress_end(&j->progress);
    return gy_ijob_flush(j, err);
}

/* ---- the comparison ---- */

struct verdict {
    struct gy_cli_answer answer;
    int64_t lacking, more;
    size_t n_wrong; /* totals that are not those of the source */
};

static bool same_counts(const struct gy_ijob_counts *c, yyjson_val *total)
{
    yyjson_val *came = gy_json_get(total, "source");
    return c->items == gy_json_i64(total, "items", 0) &&
           c->params == gy_json_i64(came, "params", 0) && c->tags == gy_json_i64(came, "tags", 0) &&
           c->points == gy_json_i64(came, "points", 0) && c->links == gy_json_i64(came, "links", 0);
}

/* What the source gave for this kind and experiment must be what was noted as having come. */
static void check_total(struct gy_ijob *j, struct verdict *v, const char *kind, int64_t experiment,
                        const char *name, const struct gy_ijob_counts *c)
{
    size_t i, n;
    yyjson_val *t, *found = NULL;
    yyjson_arr_foreach(gy_json_get(v->answer.root, "totals"), i, n, t)
    {
        if (gy_str_eqc(gy_json_str(t, "kind"), kind) &&
            gy_json_i64(t, "experiment", -1) == experiment) {
            found = t;
        }
    }
    if (found ? same_counts(c, found) : c->items == 0) {
        return;
    }
    yyjson_val *came = gy_json_get(found, "source");
    v->n_wrong++;
    gy_move_note(
        &j->report,
        "%s of %s: the source has %lld with %lld params, %lld tags, %lld points, %lld "
        "links; %lld with %lld, %lld, %lld, %lld came",
        kind, name, (long long)c->items, (long long)c->params, (long long)c->tags,
        (long long)c->points, (long long)c->links, (long long)gy_json_i64(found, "items", 0),
        (long long)gy_json_i64(came, "params", 0), (long long)gy_json_i64(came, "tags", 0),
        (long long)gy_json_i64(came, "points", 0), (long long)gy_json_i64(came, "links", 0));
}

static gy_status compare(struct gy_ijob *j, struct verdict *v, struct gy_err *err)
{
    const char *path = NULL;
    if (!j->caller) {
        return GY_OK;
    }
    GY_TRY(gy_cli_path(j->cli, GY_IMPORT_BASE "/import/counts?source={}", gy_str_c(j->source.label),
                       &path, err));
    GY_TRY(gy_cli_ask(j->cli, "GET", path, GY_STR_NULL, &v->answer, err));
    v->lacking = gy_json_i64(v->answer.root, "lacking", 0);
    v->more = gy_json_i64(v->answer.root, "more", 0);
    for (size_t i = 0; i < j->n_experiments; i++) {
        struct gy_ijob_experiment *x = &j->experiments[i];
        check_total(j, v, "run", x->id, x->e.name.p, &x->runs);
        check_total(j, v, "logged_model", x->id, x->e.name.p, &x->logged);
    }
    if (j->o->experiments.n == 0 || j->o->with_registry) {
        check_total(j, v, "model", -1, "the registry", &j->registered);
        check_total(j, v, "version", -1, "the registry", &j->versions);
    }
    return GY_OK;
}

/* ---- the report ---- */

static void sum(struct gy_ijob_counts *to, const struct gy_ijob_counts *c)
{
    to->items += c->items;
    to->params += c->params;
    to->tags += c->tags;
    to->points += c->points;
    to->links += c->links;
}

static size_t count_models(const struct gy_ijob *j, enum gy_move_serve serve)
{
    size_t n = 0;
    for (size_t i = 0; i < j->n_models; i++) {
        n += j->models[i].serve == serve;
    }
    return n;
}

static void write_models(struct gy_jw *w, const struct gy_ijob *j)
{
    static const char *const words[] = {"native", "after_onnx_export", "not"};
    gy_jw_key(w, "models");
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "total", (int64_t)j->n_models);
    for (size_t s = 0; s < 3; s++) {
        gy_jw_kv_i64(w, words[s], (int64_t)count_models(j, (enum gy_move_serve)s));
    }
    gy_jw_key(w, "list");
    gy_jw_arr(w);
    for (size_t i = 0; i < j->n_models; i++) {
        gy_jw_obj(w);
        gy_jw_kv_strc(w, "where", j->models[i].where);
        gy_jw_kv_strc(w, "servable", words[j->models[i].serve]);
        gy_jw_kv_strc(w, "why", j->models[i].why);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

static void write_lists(struct gy_jw *w, const struct gy_ijob *j)
{
    gy_jw_key(w, "rejected_items");
    gy_jw_arr(w);
    for (size_t i = 0; i < j->report.n_listed; i++) {
        gy_jw_obj(w);
        gy_jw_kv_strc(w, "where", j->report.rejected[i].where);
        gy_jw_kv_strc(w, "error", j->report.rejected[i].error);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "notes");
    gy_jw_arr(w);
    for (size_t i = 0; i < j->report.n_notes; i++) {
        gy_jw_strc(w, j->report.notes[i]);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "experiments");
    gy_jw_arr(w);
    for (size_t i = 0; i < j->n_experiments; i++) {
        const struct gy_ijob_experiment *x = &j->experiments[i];
        gy_jw_obj(w);
        gy_jw_kv_i64(w, "source_id", x->e.id);
        gy_jw_kv_i64(w, "id", x->id);
        gy_jw_kv_str(w, "name", x->e.name);
        gy_jw_kv_i64(w, "runs", x->runs.items);
        gy_jw_kv_i64(w, "logged_models", x->logged.items);
        gy_jw_kv_i64(w, "points", x->runs.points);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

static gy_status print_json(struct gy_ijob *j, const struct verdict *v, bool ok, struct gy_err *err)
{
    struct gy_ijob_counts runs = {0}, logged = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    for (size_t i = 0; i < j->n_experiments; i++) {
        sum(&runs, &j->experiments[i].runs);
        sum(&logged, &j->experiments[i].logged);
    }
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "source", j->source.label);
    gy_jw_kv_bool(&w, "ok", ok);
    gy_jw_kv_bool(&w, "dry_run", !j->caller);
    const struct {
        const char *key;
        int64_t value;
    } numbers[] = {
        {"runs", runs.items},
        {"unchanged_runs", j->n_unchanged},
        {"params", runs.params},
        {"tags", runs.tags},
        {"points", runs.points},
        {"points_read", j->n_points},
        {"duplicate_points", j->n_duplicates},
        {"links", runs.links},
        {"logged_models", logged.items},
        {"registered_models", j->registered.items},
        {"versions", j->versions.items},
        {"aliases", j->registered.links},
        {"files", j->n_files},
        {"bytes", j->n_bytes},
        {"files_here_before", j->n_same_files},
        {"artifacts_elsewhere", j->n_remote},
        {"traces_not_taken", j->report.not_taken},
        {"rejected", j->report.n_rejected},
        {"lacking", v->lacking},
        {"more", v->more},
        {"wrong_totals", (int64_t)v->n_wrong},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        gy_jw_kv_i64(&w, numbers[i].key, numbers[i].value);
    }
    gy_jw_kv_f64(&w, "seconds", (double)(gy_mono_ns() - j->start_ns) / 1e9);
    write_lists(&w, j);
    if (v->answer.root) {
        gy_jw_key(&w, "different");
        gy_jw_val(&w, gy_json_get(v->answer.root, "different"));
    }
    write_models(&w, j);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(j->cli, &out, err);
}

static void print_people(struct gy_ijob *j, const struct verdict *v)
{
    struct gy_cli *cli = j->cli;
    struct gy_ijob_counts runs = {0}, logged = {0};
    double seconds = (double)(gy_mono_ns() - j->start_ns) / 1e9;
    for (size_t i = 0; i < j->n_experiments; i++) {
        sum(&runs, &j->experiments[i].runs);
        sum(&logged, &j->experiments[i].logged);
    }
    gy_cli_say(cli,
               "%zu experiments, %lld runs (%lld unchanged since they came), %lld params, "
               "%lld tags, %lld metric points\n",
               j->n_experiments, (long long)runs.items, (long long)j->n_unchanged,
               (long long)runs.params, (long long)runs.tags, (long long)runs.points);
    gy_cli_say(cli,
               "%lld logged models, %lld registered models, %lld versions, %lld aliases, %lld "
               "files (%lld bytes)\n",
               (long long)logged.items, (long long)j->registered.items,
               (long long)j->versions.items, (long long)j->registered.links, (long long)j->n_files,
               (long long)j->n_bytes);
    gy_cli_say(cli, "%.1f s: %.0f points/s, %.0f runs/s\n", seconds,
               (double)j->n_points / (seconds > 0 ? seconds : 1),
               (double)(runs.items - j->n_unchanged) / (seconds > 0 ? seconds : 1));
    if (j->n_duplicates > 0) {
        gy_cli_say(cli, "%lld points were there twice in the source and are kept once\n",
                   (long long)j->n_duplicates);
    }
    if (j->report.not_taken > 0) {
        gy_cli_say(cli, "%lld traces were not taken: Gyre keeps none\n",
                   (long long)j->report.not_taken);
    }
    for (size_t i = 0; i < j->report.n_notes; i++) {
        gy_cli_note(cli, "note: %s\n", j->report.notes[i]);
    }
    for (size_t i = 0; i < j->report.n_listed; i++) {
        gy_cli_note(cli, "rejected: %s: %s\n", j->report.rejected[i].where,
                    j->report.rejected[i].error);
    }
    size_t i, n;
    yyjson_val *d;
    yyjson_arr_foreach(gy_json_get(v->answer.root, "different"), i, n, d)
    {
        gy_cli_note(cli, "%s: %" GY_STR_F " %" GY_STR_F "\n",
                    gy_json_bool(d, "lacks", false) ? "lacking" : "changed here since",
                    GY_STR_A(gy_json_str(d, "kind")), GY_STR_A(gy_json_str(d, "id")));
    }
    if (j->n_models > 0) {
        gy_cli_say(cli,
                   "%zu of %zu models are servable natively, %zu after ONNX export, %zu not%s\n",
                   count_models(j, GY_MOVE_NATIVE), j->n_models, count_models(j, GY_MOVE_EXPORT),
                   count_models(j, GY_MOVE_NOT), " (--json lists them)");
    }
}

static gy_status finish(struct gy_ijob *j, struct gy_err *err)
{
    struct verdict v = {.answer = {.doc = NULL}};
    gy_status status = compare(j, &v, err);
    bool counted = v.lacking == 0 && v.n_wrong == 0;
    bool ok = counted && (j->report.n_rejected == 0 || j->o->allow_rejected);
    if (status == GY_OK && j->cli->json) {
        status = print_json(j, &v, ok, err);
    } else if (status == GY_OK) {
        print_people(j, &v);
    }
    if (v.answer.doc) {
        gy_cli_answer_done(&v.answer);
    }
    GY_TRY(status);
    if (!ok) {
        j->cli->exit_code = gy_status_exit(GY_E_FAILED);
        gy_cli_note(j->cli,
                    counted
                        ? "gyre: %lld items of the source were rejected; the others are here\n"
                        : "gyre: %lld rejected, and what is stored is not what the source has\n",
                    (long long)j->report.n_rejected);
    } else if (j->caller) {
        gy_cli_say(j->cli, "counts of source and store agree\n");
    }
    return GY_OK;
}

static gy_status run_job(struct gy_ijob *j, const char *url, const char *scratch,
                         struct gy_err *err)
{
    GY_TRY(open_source(j, url, scratch, err));
    if (!j->o->dry_run) {
        GY_TRY(gy_cli_path(j->cli, GY_IMPORT_BASE "/import/batch?source={}",
                           gy_str_c(j->source.label), &j->batch_path, err));
        GY_TRY(gy_cli_caller(j->cli, &j->caller, err));
    }
    GY_TRY(move_all(j, err));
    return finish(j, err);
}

static gy_status run_import(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    struct gy_import_opts *o = opts;
    struct gy_ijob j = {.cli = cli, .o = o, .start_ns = gy_mono_ns()};
    char scratch[GY_MAX_PATH];
    j.copy = strcmp(o->artifacts, "skip") != 0;
    if (j.copy && strcmp(o->artifacts, "copy") != 0) {
        if (!gy_path_is_dir(o->artifacts)) {
            return gy_err_set(err, GY_E_USAGE, "--artifacts %s: not 'copy', 'skip' or a folder",
                              o->artifacts);
        }
        o->artifacts_root = o->artifacts;
    }
    (void)snprintf(scratch, sizeof scratch, "%s/gyre-import-XXXXXX", gy_temp_dir());
    if (!mkdtemp(scratch)) {
        return gy_err_set(err, GY_E_IO, "no folder for temporary files can be made in '%s'",
                          gy_temp_dir());
    }
    gy_move_report_init(&j.report);
    gy_arena_init(&j.keep, GY_IMPORT_MAX_KEPT);
    gy_arena_init(&j.page, GY_IMPORT_MAX_KEPT);
    gy_buf_init(&j.batch, 2 * GY_IMPORT_MAX_LINE);
    gy_buf_init(&j.line, GY_IMPORT_MAX_LINE);
    gy_collect_init(&j.answer, GY_MAX_REPLY);
    gy_status status = run_job(&j, cli->argv[0], scratch, err);
    gy_move_source_close(&j.source);
    gy_collect_done(&j.answer);
    gy_buf_done(&j.line);
    gy_buf_done(&j.batch);
    gy_arena_done(&j.page);
    gy_arena_done(&j.keep);
    gy_move_report_done(&j.report);
    GY_IGNORE(gy_dir_remove(scratch, NULL)); /* a left-over folder does no harm */
    return status;
}

#define OPT(field, name, kind, arg, standard, help)                                \
    {                                                                              \
        name, 0, kind, offsetof(struct gy_import_opts, field), arg, standard, help \
    }
static const struct gy_opt options[] = {
    OPT(artifacts, "artifacts", GY_OPT_STR, "copy|skip|DIR", "copy",
        "copy files here; skip: they stay where they are; DIR: copy, mlflow-artifacts: lies in "
        "DIR"),
    OPT(artifacts_root, "artifacts-root", GY_OPT_STR, "DIR", NULL,
        "the folder that the server of the source kept mlflow-artifacts: in"),
    OPT(experiments, "experiments", GY_OPT_LIST, "A,B", NULL,
        "only these, by name or id; without the registry"),
    OPT(with_registry, "with-registry", GY_OPT_FLAG, NULL, NULL,
        "with --experiments: the registry too"),
    OPT(dry_run, "dry-run", GY_OPT_FLAG, NULL, NULL, "read and count everything, write nothing"),
    OPT(full, "full", GY_OPT_FLAG, NULL, NULL, "send what came before and has not changed, too"),
    OPT(allow_rejected, "allow-rejected", GY_OPT_FLAG, NULL, NULL,
        "exit 0 although items of the source could not be read"),
};

static const struct gy_verb verbs[] = {
    {"import", "mlflow", "SOURCE", 1, 1, "Bring a whole MLflow store here, ids kept",
     "SOURCE is a folder mlruns, sqlite:///mlflow.db, postgresql://user@host/db or http://server\n"
     "(MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and _PASSWORD). Run it again after it\n"
     "was interrupted, or when the source has grown: what came before is passed over. The source\n"
     "is only read. Exit code 1: something was rejected, or the counts differ at the end.",
     "gyre import mlflow ./mlruns\n"
     "gyre import mlflow ./mlruns --dry-run\n"
     "gyre import mlflow sqlite:///mlflow.db --artifacts ./mlartifacts\n"
     "gyre import mlflow http://mlflow.example:5000 --experiments churn,fraud\n",
     GY_OPTS(options), sizeof(struct gy_import_opts), run_import},
};
const struct gy_verb_table gy_cmd_import = GY_VERB_TABLE(verbs);

/* SPDX-License-Identifier: Apache-2.0 */
/* gyre gate: judge a registered version by gyre.yaml's gate, on rows that it was not trained on,
 * beside the champion; ask for and give approvals. What is judged is computed here; verdicts and
 * approvals go through the routes. */
#include <math.h>

#include "base/file.h"
#include "base/limits.h"
#include "cli/ask.h"
#include "cli/model_input.h"
#include "flow/gate.h"
#include "learn/publish.h"

#define BASE "/api/gyre/v1"

struct check_opts {
    const char *data, *schema;
    int64_t replicates, threads;
};

/* A registered version as GET /models/resolve tells it; texts in cli->arena. */
struct version {
    struct gy_str name, digest, servable, servable_reason, run_id;
    int64_t version;
};

/* Everything one check needs; freed by check_done. */
struct check {
    struct gy_cli *cli;
    struct gy_caller *caller;
    const struct check_opts *opts;
    struct gy_project *project;
    struct version candidate, champion;
    bool has_champion;
    char alias[GY_MAX_NAME + 1];
    struct gy_cli_table table;
    struct gy_predictor *predictor;
    struct gy_eval eval, champion_eval;
    struct gy_gate_result result;
};

static void check_done(struct check *c)
{
    gy_eval_done(&c->eval);
    gy_eval_done(&c->champion_eval);
    gy_predictor_free(c->predictor);
    gy_cli_table_done(&c->table);
    gy_project_free(c->project);
}
GY_DEFINE_AUTO_DONE(struct check, check_done);

static gy_status load_project(struct gy_project **ret, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    GY_TRY(gy_project_find(NULL, dir, err));
    return gy_project_load(dir, ret, err);
}

static gy_status keep(struct gy_cli *cli, struct gy_str s, struct gy_str *ret, struct gy_err *err)
{
    *ret = s.p ? gy_arena_str(&cli->arena, s) : GY_STR_NULL;
    return s.p && !ret->p ? gy_err_set(err, GY_E_NOMEM, "out of memory") : GY_OK;
}

static gy_status resolve(struct gy_cli *cli, struct gy_caller *caller, const char *ref,
                         struct version *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_buf_init(&path, GY_MAX_PATH);
    gy_collect_init(&answer, GY_MAX_REPLY);
    gy_buf_addc(&path, BASE "/models/resolve?ref=");
    gy_url_encode(&path, gy_str_c(ref), false);
    GY_TRY(gy_buf_check(&path, "the model's name", err));
    GY_TRY(gy_call_json(caller, "GET", path.p, GY_STR_NULL, &answer, err));
    GY_TRY(gy_json_parse(gy_buf_str(&answer.body), &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct gy_str name;
    GY_TRY(gy_json_need_str(root, "name", &name, err));
    GY_TRY(keep(cli, name, &ret->name, err));
    GY_TRY(keep(cli, gy_json_str(root, "digest"), &ret->digest, err));
    GY_TRY(keep(cli, gy_json_str(root, "servable"), &ret->servable, err));
    GY_TRY(keep(cli, gy_json_str(root, "servable_reason"), &ret->servable_reason, err));
    GY_TRY(keep(cli, gy_json_str(root, "run_id"), &ret->run_id, err));
    ret->version = gy_json_i64(root, "version", 0);
    if (ret->digest.n == 0) {
        return gy_err_set(err, GY_E_NOTSERVABLE,
                          "%.*s version %lld has no package: nothing can be judged",
                          (int)ret->name.n, ret->name.p, (long long)ret->version);
    }
    return GY_OK;
}

/* What the candidate was trained on, as "name@3". */
static gy_status dataset_of(struct check *c, struct gy_str sha256, const char **ret,
                            struct gy_err *err)
{
    struct gy_str name;
    GY_TRY(gy_cli_dataset_of(c->cli, sha256, &name, err));
    *ret = name.p; /* ends in NUL */
    if (*ret) {
        return GY_OK;
    }
    (void)gy_err_set(
        err, GY_E_NOTFOUND,
        "the data that the candidate was trained on (sha256 %.12s...) is not registered",
        sha256.p ? sha256.p : "?");
    return gy_err_hint(err, "--data FILE names it");
}

static gy_status evaluate(struct check *c, const char *ref, const struct gy_model *split_of,
                          struct gy_eval *ret, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    const struct gy_eval_options options = {.slices = c->project->gate.slices,
                                            .n_slices = c->project->gate.n_slices,
                                            .replicates = (size_t)c->opts->replicates,
                                            .seed = split_of->seed,
                                            .n_threads = (int)c->opts->threads};
    GY_TRY(gy_cli_model_dir(c->cli, ref, dir, err));
    return gy_evaluate_package(dir, split_of, c->table.table, &options, ret, err);
}

/* "name/3": a version by its number, whatever alias named it, so that both sides stay what they
 * were when we began. */
static gy_status numbered(struct check *c, const struct version *v, const char **ret,
                          struct gy_err *err)
{
    *ret = gy_arena_printf(&c->cli->arena, "%.*s/%lld", (int)v->name.n, v->name.p,
                           (long long)v->version);
    return *ret ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

static gy_status open_candidate(struct check *c, const char *ref, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    const char *name = NULL;
    const char *data = c->opts->data;
    GY_TRY(resolve(c->cli, c->caller, ref, &c->candidate, err));
    GY_TRY(numbered(c, &c->candidate, &name, err));
    GY_TRY(gy_cli_model_dir(c->cli, name, dir, err));
    GY_TRY(gy_predictor_load(dir, &c->predictor, err));
    const struct gy_model *m = gy_predictor_model(c->predictor);
    if (!data) {
        GY_TRY(
            dataset_of(c, m->held_out_sha256.p ? m->held_out_sha256 : m->data_sha256, &data, err));
    }
    GY_TRY(gy_cli_table_open(c->cli, data, c->opts->schema, &c->table, err));
    if (!m->held_out_sha256.p && !gy_str_eqc(m->data_sha256, c->table.table->sha256)) {
        gy_cli_note(c->cli, "judged on other data than the candidate was trained on\n");
    }
    return evaluate(c, name, m, &c->eval, err);
}

/* The model that holds the protected alias now; none is no failure. */
static gy_status open_champion(struct check *c, struct gy_err *err)
{
    const struct gy_gate_spec *g = &c->project->gate;
    struct gy_err why = GY_ERR_INIT;
    const char *name = NULL;
    (void)snprintf(c->alias, sizeof c->alias, "%.*s", g->n_protect ? (int)g->protect[0].n : 8,
                   g->n_protect ? g->protect[0].p : "champion");
    const char *ref = gy_arena_printf(&c->cli->arena, "models:/%.*s@%s", (int)c->candidate.name.n,
                                      c->candidate.name.p, c->alias);
    if (!ref) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    gy_status status = resolve(c->cli, c->caller, ref, &c->champion, &why);
    if (status == GY_E_NOTFOUND) {
        return GY_OK;
    }
    if (status != GY_OK) {
        if (err) {
            *err = why;
        }
        return status;
    }
    c->has_champion = true;
    GY_TRY(numbered(c, &c->champion, &name, err));
    if (evaluate(c, name, gy_predictor_model(c->predictor), &c->champion_eval, err) != GY_OK) {
        return gy_err_wrap(err, "the champion (version %lld) on the candidate's rows",
                           (long long)c->champion.version);
    }
    return GY_OK;
}

static gy_status origin_of_run(struct check *c, struct gy_gate_origin *o, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    const char *path = NULL;
    size_t i, n;
    yyjson_val *t;
    struct gy_str commit = GY_STR_NULL;
    GY_TRY(
        gy_cli_path(c->cli, "/api/2.0/mlflow/runs/get?run_id={}", c->candidate.run_id, &path, err));
    GY_TRY(gy_cli_ask(c->cli, "GET", path, GY_STR_NULL, &a, err));
    yyjson_val *data = gy_json_get(gy_json_get(a.root, "run"), "data");
    yyjson_arr_foreach(gy_json_get(data, "tags"), i, n, t)
    {
        struct gy_str key = gy_json_str(t, "key"), value = gy_json_str(t, "value");
        if (gy_str_eqc(key, "gyre.code_revision")) {
            GY_TRY(keep(c->cli, value, &o->code_revision, err));
        } else if (gy_str_eqc(key, "mlflow.source.git.commit")) {
            GY_TRY(keep(c->cli, value, &commit, err));
        } else if (gy_str_eqc(key, "mlflow.source.git.dirty") ||
                   gy_str_eqc(key, "mlflow.git.dirty")) {
            o->dirty = gy_str_ieq(value, GY_STR("true"));
        } else if (gy_str_eqc(key, "gyre.data_sha256")) {
            GY_TRY(keep(c->cli, value, &o->data_sha256, err));
        }
    }
    o->code_revision = o->code_revision.n ? o->code_revision : commit;
    return GY_OK;
}

/* What the gate wants to know beside the numbers, asked where it asks. */
static gy_status find_origin(struct check *c, struct gy_gate_origin *o, struct gy_err *err)
{
    const struct gy_gate_spec *g = &c->project->gate;
    o->data_sha256 = gy_predictor_model(c->predictor)->data_sha256;
    if ((g->refuse_dirty || g->refuse_unpinned) && c->candidate.run_id.n > 0) {
        GY_TRY(origin_of_run(c, o, err));
    }
    if (!g->needs_usecase) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    const char *path = NULL;
    GY_TRY(gy_cli_path(c->cli, BASE "/models/{}/usecase", c->candidate.name, &path, err));
    GY_TRY(gy_cli_ask(c->cli, "GET", path, GY_STR_NULL, &a, err));
    yyjson_val *u = gy_json_get(a.root, "usecase");
    GY_TRY(keep(c->cli, gy_json_str(u, "name"), &o->usecase, err));
    return keep(c->cli, gy_json_str(u, "state"), &o->usecase_state, err);
}

static gy_status judge(struct check *c, struct gy_err *err)
{
    struct gy_arena *a = &c->cli->arena;
    struct gy_gate_side candidate;
    struct gy_gate_side champion;
    GY_TRY(gy_gate_side_of(&c->eval, a, &candidate, err));
    if (c->has_champion) {
        GY_TRY(gy_gate_side_of(&c->champion_eval, a, &champion, err));
    }
    GY_TRY(find_origin(c, &candidate.origin, err));
    return gy_gate_check(&c->project->gate, &candidate, c->has_champion ? &champion : NULL,
                         c->candidate.servable, c->candidate.servable_reason, a, &c->result, err);
}

/* The aliases are protected before the verdict is known: from the first check on nothing unblessed
 * takes them. */
static gy_status protect(struct check *c, struct gy_err *err)
{
    const struct gy_gate_spec *g = &c->project->gate;
    for (size_t i = 0; i < g->n_protect; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
        GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
        struct gy_jw w;
        gy_buf_init(&body, GY_MIB);
        gy_collect_init(&answer, GY_MIB);
        gy_jw_init(&w, &body);
        gy_jw_obj(&w);
        gy_jw_kv_str(&w, "model", c->candidate.name);
        gy_jw_kv_str(&w, "alias", g->protect[i]);
        gy_jw_kv_str(&w, "gate", c->project->name);
        gy_jw_kv_strc(&w, "approval", g->needs_approval ? "required" : "none");
        gy_jw_kv_bool(&w, "four_eyes", g->four_eyes);
        gy_jw_obj_end(&w);
        GY_TRY(gy_buf_check(&body, "the protection", err));
        GY_TRY(
            gy_call_json(c->caller, "POST", BASE "/gate/protect", gy_buf_str(&body), &answer, err));
    }
    return GY_OK;
}

/* Members of an open object that name the version and the gate. */
static void write_subject(struct gy_jw *w, const struct version *v, struct gy_str gate)
{
    gy_jw_kv_str(w, "model_digest", v->digest);
    gy_jw_kv_str(w, "model_name", v->name);
    gy_jw_key(w, "model_version");
    gy_jw_strf(w, "%lld", (long long)v->version);
    gy_jw_kv_str(w, "gate", gate);
}

static gy_status record(struct check *c, struct gy_collect *answer, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    struct gy_jw w;
    gy_buf_init(&body, GY_MAX_JSON_BODY);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    write_subject(&w, &c->candidate, c->project->name);
    gy_jw_kv_bool(&w, "blessed", c->result.blessed);
    gy_jw_kv_str(&w, "champion_digest", c->has_champion ? c->champion.digest : GY_STR_NULL);
    gy_jw_kv_strc(&w, "data_sha256", c->eval.data_sha256);
    gy_jw_key(&w, "checks");
    gy_gate_write(&w, &c->result);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the verdict", err));
    return gy_call_json(c->caller, "POST", BASE "/verdicts", gy_buf_str(&body), answer, err);
}

static gy_status print_check(struct check *c, struct gy_str id, struct gy_err *err)
{
    if (!c->cli->json) {
        for (size_t i = 0; i < c->result.n_checks; i++) {
            const struct gy_gate_check *k = &c->result.checks[i];
            static const char *const marks[] = {"ok  ", "FAIL", "skip"};
            gy_cli_say(c->cli, "%s  %-10.*s %-20.*s %s\n", marks[k->result], (int)k->metric.n,
                       k->metric.p, (int)(k->slice.p ? k->slice.n : 3),
                       k->slice.p ? k->slice.p : "all", k->reason);
        }
        gy_cli_say(c->cli, "%s: %.*s version %lld on %zu held-out rows (verdict %.*s)\n",
                   gy_gate_verdict(&c->result), (int)c->candidate.name.n, c->candidate.name.p,
                   (long long)c->candidate.version, c->eval.n_rows, (int)id.n, id.p);
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "verdict", gy_gate_verdict(&c->result));
    gy_jw_kv_str(&w, "id", id);
    gy_jw_kv_str(&w, "gate", c->project->name);
    gy_jw_kv_str(&w, "model", c->candidate.name);
    gy_jw_kv_i64(&w, "version", c->candidate.version);
    gy_jw_kv_str(&w, "digest", c->candidate.digest);
    gy_jw_key(&w, "champion_version");
    if (c->has_champion) {
        gy_jw_i64(&w, c->champion.version);
        gy_jw_kv_i64(&w, "champion_trained_on", (int64_t)c->champion_eval.n_trained_on);
    } else {
        gy_jw_null(&w);
    }
    gy_jw_kv_strc(&w, "data_sha256", c->eval.data_sha256);
    gy_jw_kv_i64(&w, "rows", (int64_t)c->eval.n_rows);
    gy_jw_key(&w, "checks");
    gy_gate_write(&w, &c->result);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(c->cli, &out, err);
}

static gy_status run_check(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    GY_AUTO_DONE(check_done) struct check c = {.cli = cli, .opts = opts};
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_collect_init(&answer, GY_MAX_REPLY);
    GY_TRY(gy_cli_check_work(c.opts->replicates, c.opts->threads, err));
    GY_TRY(load_project(&c.project, err));
    GY_TRY(gy_cli_caller(cli, &c.caller, err));
    GY_TRY(open_candidate(&c, cli->argv[0], err));
    GY_TRY(open_champion(&c, err));
    GY_TRY(judge(&c, err));
    GY_TRY(protect(&c, err));
    GY_TRY(record(&c, &answer, err));
    GY_TRY(gy_json_parse(gy_buf_str(&answer.body), &doc, err));
    GY_TRY(print_check(&c, gy_json_str(yyjson_doc_get_root(doc), "id"), err));
    cli->exit_code = c.result.blessed ? 0 : gy_status_exit(GY_E_NOTBLESSED);
    return GY_OK;
}

/* ---- approvals ---- */

struct reason_opts {
    const char *reason;
};

static gy_status print_approval(struct gy_cli *cli, const struct gy_collect *answer,
                                struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (cli->json) {
        return gy_cli_print_json(cli, &answer->body, err);
    }
    GY_TRY(gy_json_parse(gy_buf_str(&answer->body), &doc, err));
    struct gy_str id = gy_json_str(yyjson_doc_get_root(doc), "id");
    struct gy_str state = gy_json_str(yyjson_doc_get_root(doc), "state");
    gy_cli_say(cli, "approval %.*s is %.*s\n", (int)id.n, id.p, (int)state.n, state.p);
    return GY_OK;
}

static gy_status run_request(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct reason_opts *o = opts;
    GY_AUTO(gy_project_free) struct gy_project *project = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    struct gy_caller *caller = NULL;
    struct version v = {0};
    struct gy_jw w;
    gy_buf_init(&body, GY_MIB);
    gy_collect_init(&answer, GY_MIB);
    GY_TRY(load_project(&project, err));
    GY_TRY(gy_cli_caller(cli, &caller, err));
    GY_TRY(resolve(cli, caller, cli->argv[0], &v, err));
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    write_subject(&w, &v, project->name);
    gy_jw_kv_strc(&w, "reason", o->reason);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the request", err));
    GY_TRY(gy_call_json(caller, "POST", BASE "/approvals", gy_buf_str(&body), &answer, err));
    return print_approval(cli, &answer, err);
}

static gy_status decide(struct gy_cli *cli, const struct reason_opts *o, const char *what,
                        struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    struct gy_caller *caller = NULL;
    struct gy_jw w;
    gy_buf_init(&body, GY_MIB);
    gy_buf_init(&path, GY_MAX_PATH);
    gy_collect_init(&answer, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "reason", o->reason);
    gy_jw_obj_end(&w);
    gy_buf_addc(&path, BASE "/approvals/");
    gy_url_encode(&path, gy_str_c(cli->argv[0]), false);
    gy_buf_addf(&path, "/%s", what);
    GY_TRY(gy_buf_check(&path, "the approval's id", err));
    GY_TRY(gy_buf_check(&body, "the reason", err));
    GY_TRY(gy_cli_caller(cli, &caller, err));
    GY_TRY(gy_call_json(caller, "POST", path.p, gy_buf_str(&body), &answer, err));
    return print_approval(cli, &answer, err);
}

static gy_status run_approve(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    return decide(cli, opts, "approve", err);
}

static gy_status run_reject(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    return decide(cli, opts, "reject", err);
}

/* ---- list ---- */

struct list_opts {
    const char *gate;
};

static gy_status table_of(struct gy_cli *cli, yyjson_val *list, const char *const *keys,
                          const char *const *head, size_t n_keys, struct gy_err *err)
{
    size_t n = yyjson_arr_size(list);
    struct gy_str *cells = gy_arena_calloc(&cli->arena, n * n_keys + 1, sizeof *cells);
    bool *right = gy_arena_calloc(&cli->arena, n_keys, sizeof *right);
    if (!cells || !right) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    size_t i;
    size_t max;
    yyjson_val *v;
    yyjson_arr_foreach(list, i, max, v)
    {
        for (size_t k = 0; k < n_keys; k++) {
            cells[i * n_keys + k] = gy_json_str(v, keys[k]);
        }
    }
    gy_cli_table(cli, head, n_keys, cells, n, right);
    return GY_OK;
}

static gy_status run_list(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct list_opts *o = opts;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect verdicts;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect approvals;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    GY_AUTO(gy_json_free) yyjson_doc *v = NULL;
    GY_AUTO(gy_json_free) yyjson_doc *a = NULL;
    struct gy_caller *caller = NULL;
    gy_collect_init(&verdicts, GY_MAX_REPLY);
    gy_collect_init(&approvals, GY_MAX_REPLY);
    gy_buf_init(&path, GY_MAX_PATH);
    gy_buf_addc(&path, BASE "/verdicts?gate=");
    gy_url_encode(&path, gy_str_c(o->gate ? o->gate : ""), false);
    GY_TRY(gy_buf_check(&path, "the gate's name", err));
    GY_TRY(gy_cli_caller(cli, &caller, err));
    GY_TRY(gy_call_json(caller, "GET", path.p, GY_STR_NULL, &verdicts, err));
    GY_TRY(gy_call_json(caller, "GET", BASE "/approvals", GY_STR_NULL, &approvals, err));
    GY_TRY(gy_json_parse(gy_buf_str(&verdicts.body), &v, err));
    GY_TRY(gy_json_parse(gy_buf_str(&approvals.body), &a, err));
    yyjson_val *verdict_list = gy_json_get(yyjson_doc_get_root(v), "verdicts");
    yyjson_val *approval_list = gy_json_get(yyjson_doc_get_root(a), "approvals");
    if (cli->json) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        struct gy_jw w;
        gy_buf_init(&out, GY_MAX_REPLY);
        gy_jw_init(&w, &out);
        gy_jw_obj(&w);
        gy_jw_key(&w, "verdicts");
        gy_jw_val(&w, verdict_list);
        gy_jw_key(&w, "approvals");
        gy_jw_val(&w, approval_list);
        gy_jw_obj_end(&w);
        return gy_cli_print_json(cli, &out, err);
    }
    static const char *const verdict_keys[] = {
        "id", "verdict", "gate", "model_name", "model_version", "actor", "time"};
    static const char *const verdict_head[] = {"verdict", "",   "gate", "model",
                                               "version", "by", "time"};
    static const char *const approval_keys[] = {
        "id", "state", "gate", "model_name", "model_version", "requested_by", "decided_by"};
    static const char *const approval_head[] = {"approval", "",         "gate",      "model",
                                                "version",  "asked by", "decided by"};
    GY_TRY(table_of(cli, verdict_list, verdict_keys, verdict_head, 7, err));
    return table_of(cli, approval_list, approval_keys, approval_head, 7, err);
}

static const struct gy_opt check_options[] = {
    {"data", 0, GY_OPT_STR, offsetof(struct check_opts, data), "FILE|DATASET", NULL,
     "judge on the held-out rows of this; the data that the candidate was trained on otherwise"},
    {"schema", 0, GY_OPT_STR, offsetof(struct check_opts, schema), "FILE", NULL,
     "the schema of --data FILE"},
    {"replicates", 0, GY_OPT_INT, offsetof(struct check_opts, replicates), "N", "1000",
     "bootstrap replicates of the intervals; 0: none"},
    {"threads", 0, GY_OPT_INT, offsetof(struct check_opts, threads), "N", "1",
     "threads; the numbers do not depend on it"},
};

static const struct gy_opt reason_options[] = {
    {"reason", 0, GY_OPT_STR, offsetof(struct reason_opts, reason), "TEXT", NULL,
     "kept with the decision"},
};

static const struct gy_opt list_options[] = {
    {"gate", 0, GY_OPT_STR, offsetof(struct list_opts, gate), "NAME", NULL,
     "only verdicts of this gate"},
};

static const struct gy_verb verbs[] = {
    {.noun = "gate",
     .verb = "check",
     .args = "MODEL",
     .min_args = 1,
     .max_args = 1,
     .summary = "judge a registered version by the project's gate",
     .details = "Predicts the candidate's held-out rows with the candidate and with the champion, "
                "checks gyre.yaml's bounds overall\n"
                "and on every slice, and records the verdict for the digest of the package. The "
                "aliases under gate.protect move\n"
                "only to blessed versions from then on. Ends with exit code 18 when the verdict is "
                "NOT_BLESSED.",
     .examples = "  gyre gate check sepsis/3\n  gyre gate check models:/sepsis/3 --json",
     .opts = check_options,
     .n_opts = sizeof check_options / sizeof check_options[0],
     .opts_bytes = sizeof(struct check_opts),
     .run = run_check},
    {.noun = "gate",
     .verb = "request",
     .args = "MODEL",
     .min_args = 1,
     .max_args = 1,
     .summary = "ask a person to approve a version",
     .examples = "  gyre gate request sepsis/3 --reason 'new ward'",
     .opts = reason_options,
     .n_opts = sizeof reason_options / sizeof reason_options[0],
     .opts_bytes = sizeof(struct reason_opts),
     .run = run_request},
    {.noun = "gate",
     .verb = "approve",
     .args = "ID",
     .min_args = 1,
     .max_args = 1,
     .summary = "approve a request, as yourself",
     .examples =
         "  gyre gate approve 01a1fbcc-3977-7408-9a4a-d48b4a3e925c --reason 'checked the numbers'",
     .opts = reason_options,
     .n_opts = sizeof reason_options / sizeof reason_options[0],
     .opts_bytes = sizeof(struct reason_opts),
     .run = run_approve},
    {.noun = "gate",
     .verb = "reject",
     .args = "ID",
     .min_args = 1,
     .max_args = 1,
     .summary = "reject a request, as yourself",
     .examples = "  gyre gate reject 01a1fbcc-3977-7408-9a4a-d48b4a3e925c --reason 'slice HR > 90 "
                 "is too thin'",
     .opts = reason_options,
     .n_opts = sizeof reason_options / sizeof reason_options[0],
     .opts_bytes = sizeof(struct reason_opts),
     .run = run_reject},
    {.noun = "gate",
     .verb = "list",
     .args = "",
     .summary = "list verdicts and approvals",
     .examples = "  gyre gate list --gate sepsis",
     .opts = list_options,
     .n_opts = sizeof list_options / sizeof list_options[0],
     .opts_bytes = sizeof(struct list_opts),
     .run = run_list},
};

const struct gy_verb_table gy_cmd_gate = GY_VERB_TABLE(verbs);

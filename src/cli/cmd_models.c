/* SPDX-License-Identifier: Apache-2.0 */
/* gyre models: registered models, their versions, and the aliases that say which one counts. */
#include "learn/chain.h"
#include "learn/predictor.h"
#include "learn/publish.h"
#include "base/limits.h"
#include "cli/ask.h"
#include "cli/comments.h"
#include "cli/register_remote.h"

#define MLFLOW "/api/2.0/mlflow"
#define GYRE "/api/gyre/v1"

enum { MAX_SHOWN_VERSIONS = 50 };

/* ---- list ---- */

struct list_opts {
    const char *filter;
    int64_t limit;
};

static struct gy_str aliases_cell(struct gy_cli *cli, yyjson_val *aliases)
{
    char text[512] = "";
    size_t at = 0, i, n;
    yyjson_val *a;
    yyjson_arr_foreach(aliases, i, n, a)
    {
        struct gy_str alias = yyjson_is_str(a) ? gy_json_val_str(a) : gy_json_str(a, "alias");
        struct gy_str version = gy_json_str(a, "version");
        if (at < sizeof text) {
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%" GY_STR_F "%s%" GY_STR_F,
                                   i ? ", " : "", GY_STR_A(alias), version.n ? "=" : "",
                                   GY_STR_A(version));
        }
    }
    return gy_cli_cell(cli, gy_str_c(text));
}

static struct gy_str newest_cell(struct gy_cli *cli, yyjson_val *model)
{
    int64_t newest = 0, v = 0;
    size_t i, n;
    yyjson_val *x;
    yyjson_arr_foreach(gy_json_get(model, "latest_versions"), i, n, x)
    {
        if (gy_parse_i64(gy_json_str(x, "version"), 1, INT64_MAX, &v, NULL) == GY_OK) {
            newest = v > newest ? v : newest;
        }
    }
    return newest ? gy_cli_cellf(cli, "%lld", (long long)newest) : GY_STR_NULL;
}

static gy_status run_list(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct list_opts *o = opts;
    static const char *const head[] = {"model", "newest", "aliases", "changed", "description"};
    static const bool right[] = {false, true, false, false, false};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    struct gy_jw w;
    gy_buf_init(&body, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "max_results", o->limit);
    if (o->filter) {
        gy_jw_kv_strc(&w, "filter", o->filter);
    }
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the request", err));
    GY_TRY(gy_cli_ask(cli, "POST", MLFLOW "/registered-models/search", gy_buf_str(&body), &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    yyjson_val *list = gy_json_get(a.root, "registered_models"), *m;
    size_t i, n;
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, yyjson_arr_size(list) * 5 + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    yyjson_arr_foreach(list, i, n, m)
    {
        struct gy_str *row = cells + i * 5;
        row[0] = gy_cli_cell(cli, gy_json_str(m, "name"));
        row[1] = newest_cell(cli, m);
        row[2] = aliases_cell(cli, gy_json_get(m, "aliases"));
        row[3] = gy_cli_cell_ms(cli, gy_json_i64(m, "last_updated_timestamp", 0));
        row[4] = gy_cli_cell(cli, gy_str_sub(gy_json_str(m, "description"), 0, 60));
    }
    gy_cli_table(cli, head, 5, cells, yyjson_arr_size(list), right);
    return GY_OK;
}

/* ---- show ---- */

static gy_status ask_version(struct gy_cli *cli, const char *ref, struct gy_cli_answer *a,
                             struct gy_err *err)
{
    const char *path = NULL;
    *a = (struct gy_cli_answer){.doc = NULL};
    GY_TRY(gy_cli_path(cli, GYRE "/models/resolve?ref={}", gy_str_c(ref), &path, err));
    return gy_cli_ask(cli, "GET", path, GY_STR_NULL, a, err);
}

/* Of a chain: its parts, where they came from, and what feeds what, as model.json says. */
static gy_status show_parts(struct gy_cli *cli, yyjson_val *files, struct gy_err *err)
{
    struct gy_str model = GY_STR_NULL, path;
    bool has_parts = false;
    const char *url = NULL;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    struct gy_chain_said said;
    size_t i, n;
    yyjson_val *f;
    yyjson_arr_foreach(files, i, n, f)
    {
        path = gy_json_str(f, "path");
        model = gy_str_eqc(path, "model.json") ? gy_json_str(f, "sha256") : model;
        has_parts = has_parts || gy_str_starts(path, GY_STR("parts/"));
    }
    if (!has_parts || !model.p) {
        return GY_OK;
    }
    GY_TRY(gy_cli_path(cli, GYRE "/objects/{}", model, &url, err));
    GY_TRY(gy_cli_ask(cli, "GET", url, GY_STR_NULL, &a, err));
    yyjson_val *learner = gy_json_get(a.root, "learner");
    if (!gy_str_eqc(gy_json_str(learner, "name"), "chain")) {
        return GY_OK;
    }
    GY_TRY(gy_chain_read(gy_json_get(learner, "params"), &cli->arena, &said, err));
    for (i = 0; i < said.n_parts; i++) {
        const struct gy_chain_part *p = &said.parts[i];
        char version[32] = "a folder";
        if (p->version > 0) {
            (void)snprintf(version, sizeof version, "version %lld", (long long)p->version);
        }
        gy_cli_say(cli, "part %zu    %" GY_STR_F ", %s, digest %.16s\n", i + 1, GY_STR_A(p->name),
                   version, p->sha256.p);
    }
    for (i = 0; i < said.n_feeds; i++) {
        const struct gy_chain_feed *feed = &said.feeds[i];
        gy_cli_say(cli, "feed      %" GY_STR_F " of part %zu by %" GY_STR_F " of part %zu\n",
                   GY_STR_A(feed->input), feed->part + 1, GY_STR_A(feed->output), feed->from + 1);
    }
    return GY_OK;
}

static gy_status show_one(struct gy_cli *cli, struct gy_err *err)
{
    static const char *const head[] = {"file", "bytes", "sha256"};
    static const bool right[] = {false, true, false};
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    GY_TRY(ask_version(cli, cli->argv[0], &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    yyjson_val *v = a.root, *files = gy_json_get(v, "files"), *f;
    struct gy_str digest = gy_json_str(v, "digest"), reason = gy_json_str(v, "servable_reason");
    struct gy_str aliases = aliases_cell(cli, gy_json_get(v, "aliases"));
    gy_cli_say(cli, "model %" GY_STR_F " version %lld%s%" GY_STR_F "\n",
               GY_STR_A(gy_json_str(v, "name")), (long long)gy_json_i64(v, "version", 0),
               aliases.n ? "  aliases " : "", GY_STR_A(aliases));
    gy_cli_say(cli, "digest    %" GY_STR_F "\n", GY_STR_A(digest.n ? digest : GY_STR("-")));
    gy_cli_say(cli, "servable  %" GY_STR_F "%s%" GY_STR_F "%s\n",
               GY_STR_A(gy_json_str(v, "servable")), reason.n ? " (" : "", GY_STR_A(reason),
               reason.n ? ")" : "");
    gy_cli_say(cli, "run       %" GY_STR_F "\n", GY_STR_A(gy_json_str(v, "run_id")));
    struct gy_str erased = gy_json_str(v, "erased_subjects");
    if (erased.n) {
        gy_cli_say(cli, "trained on erased subjects: %" GY_STR_F "\n", GY_STR_A(erased));
    }
    gy_cli_say(cli, "source    %" GY_STR_F "\n", GY_STR_A(gy_json_str(v, "source")));
    GY_TRY(show_parts(cli, files, err));
    gy_cli_say(cli, "\n");
    size_t i, n;
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, yyjson_arr_size(files) * 3 + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    yyjson_arr_foreach(files, i, n, f)
    {
        cells[i * 3] = gy_cli_cell(cli, gy_json_str(f, "path"));
        cells[i * 3 + 1] = gy_cli_cellf(cli, "%lld", (long long)gy_json_i64(f, "size", 0));
        cells[i * 3 + 2] = gy_cli_cell(cli, gy_str_sub(gy_json_str(f, "sha256"), 0, 16));
    }
    gy_cli_table(cli, head, 3, cells, yyjson_arr_size(files), right);
    const char *subject =
        gy_arena_printf(&cli->arena, "model:%" GY_STR_F "/%lld", GY_STR_A(gy_json_str(v, "name")),
                        (long long)gy_json_i64(v, "version", 0));
    return subject ? gy_cli_show_comments(cli, subject, err)
                   : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

/* The numbers of a model's versions, newest first. */
static gy_status version_numbers(struct gy_cli *cli, int64_t numbers[MAX_SHOWN_VERSIONS],
                                 size_t *ret_n, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    struct gy_jw w;
    bool quote = strchr(cli->argv[0], '\'') != NULL;
    gy_buf_init(&body, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "max_results", MAX_SHOWN_VERSIONS);
    gy_jw_key(&w, "filter");
    gy_jw_strf(&w, quote ? "name = \"%s\"" : "name = '%s'", cli->argv[0]);
    gy_jw_key(&w, "order_by");
    gy_jw_arr(&w);
    gy_jw_strc(&w, "version_number DESC");
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the request", err));
    GY_TRY(gy_cli_ask(cli, "POST", MLFLOW "/model-versions/search", gy_buf_str(&body), &a, err));
    size_t i, n;
    yyjson_val *v;
    *ret_n = 0;
    yyjson_arr_foreach(gy_json_get(a.root, "model_versions"), i, n, v)
    {
        if (*ret_n < MAX_SHOWN_VERSIONS && gy_parse_i64(gy_json_str(v, "version"), 1, INT64_MAX,
                                                        &numbers[*ret_n], NULL) == GY_OK) {
            (*ret_n)++;
        }
    }
    return GY_OK;
}

static gy_status show_model(struct gy_cli *cli, struct gy_err *err)
{
    static const char *const head[] = {"version", "aliases", "servable",
                                       "digest",  "run",     "created"};
    static const bool right[] = {true, false, false, false, false, false};
    const char *path = NULL;
    int64_t numbers[MAX_SHOWN_VERSIONS];
    size_t n = 0;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer model = {.doc = NULL};
    GY_TRY(gy_cli_path(cli, MLFLOW "/registered-models/get?name={}", gy_str_c(cli->argv[0]), &path,
                       err));
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &model, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &model, err);
    }
    GY_TRY(version_numbers(cli, numbers, &n, err));
    struct gy_str *cells = gy_arena_calloc(&cli->arena, n * 6 + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < n; i++) {
        GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
        const char *ref =
            gy_arena_printf(&cli->arena, "%s/%lld", cli->argv[0], (long long)numbers[i]);
        if (!ref) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory");
        }
        GY_TRY(ask_version(cli, ref, &a, err));
        struct gy_str *row = cells + i * 6;
        row[0] = gy_cli_cellf(cli, "%lld", (long long)numbers[i]);
        row[1] = aliases_cell(cli, gy_json_get(a.root, "aliases"));
        row[2] = gy_cli_cell(cli, gy_json_str(a.root, "servable"));
        row[3] = gy_cli_cell(cli, gy_str_sub(gy_json_str(a.root, "digest"), 0, 16));
        row[4] = gy_cli_cell(cli, gy_str_sub(gy_json_str(a.root, "run_id"), 0, 32));
        row[5] = gy_cli_cell(cli, gy_str_sub(gy_json_str(a.root, "created"), 0, 19));
    }
    gy_cli_say(cli, "model %s\n\n", cli->argv[0]);
    gy_cli_table(cli, head, 6, cells, n, right);
    return GY_OK;
}

static gy_status run_show(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    bool one = strchr(cli->argv[0], '/') || strchr(cli->argv[0], '@');
    return one ? show_one(cli, err) : show_model(cli, err);
}

/* ---- register ---- */

struct register_opts {
    const char *run, *description;
    struct gy_cli_remote remote;
};

static gy_status ensure_model(struct gy_cli *cli, const char *name, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    struct gy_jw w;
    struct gy_err why = GY_ERR_INIT;
    gy_buf_init(&body, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "name", name);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the request", err));
    gy_status status =
        gy_cli_ask(cli, "POST", MLFLOW "/registered-models/create", gy_buf_str(&body), &a, &why);
    if (status == GY_OK || strstr(why.msg, "already exists")) {
        return GY_OK;
    }
    if (err) {
        *err = why;
    }
    return status;
}

static gy_status run_register(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct register_opts *o = opts;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body = {0};
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer shown = {.doc = NULL};
    struct gy_jw w;
    if (o->remote.url) {
        return gy_cli_register_remote(cli, &o->remote, err);
    }
    if (cli->argc < 2) {
        return gy_err_set(err, GY_E_USAGE,
                          "where are its files? models register NAME SOURCE, or "
                          "--remote URL --model M");
    }
    GY_TRY(ensure_model(cli, cli->argv[0], err));
    gy_buf_init(&body, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "name", cli->argv[0]);
    gy_jw_kv_strc(&w, "source", cli->argv[1]);
    if (o->run) {
        gy_jw_kv_strc(&w, "run_id", o->run);
    }
    if (o->description) {
        gy_jw_kv_strc(&w, "description", o->description);
    }
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the request", err));
    GY_TRY(gy_cli_ask(cli, "POST", MLFLOW "/model-versions/create", gy_buf_str(&body), &a, err));
    struct gy_str version = gy_json_str(gy_json_get(a.root, "model_version"), "version");
    const char *ref =
        gy_arena_printf(&cli->arena, "%s/%" GY_STR_F, cli->argv[0], GY_STR_A(version));
    if (!ref) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    GY_TRY(ask_version(cli, ref, &shown, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &shown, err);
    }
    struct gy_str digest = gy_json_str(shown.root, "digest");
    gy_cli_say(cli, "registered %s  digest %" GY_STR_F "\n", ref,
               GY_STR_A(digest.n ? digest : GY_STR("- (no files found at the source)")));
    return GY_OK;
}

/* ---- prove ---- */

/* The reason goes with the finding: a version that can not be served says why. */
static gy_status post_proof(struct gy_caller *caller, const struct gy_package_ref *ref,
                            bool servable, const char *reason, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    gy_buf_init(&path, GY_MAX_PATH);
    gy_buf_init(&body, 4 * GY_KIB);
    gy_collect_init(&answer, GY_MIB);
    gy_buf_addc(&path, "/api/gyre/v1/models/");
    gy_url_encode(&path, ref->name, false);
    gy_buf_addf(&path, "/versions/%lld/proof", (long long)ref->version);
    struct gy_jw w;
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_bool(&w, "servable", servable);
    gy_jw_kv_strc(&w, "reason", reason);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&path, "the path of a version", err));
    GY_TRY(gy_buf_check(&body, "a proof", err));
    return gy_call_json(caller, "POST", path.p, gy_buf_str(&body), &answer, err);
}

static gy_status answer_proof(struct gy_cli *cli, const struct gy_package_ref *ref, bool servable,
                              const char *reason, struct gy_err *err)
{
    gy_cli_say(cli, "%" GY_STR_F " version %lld: servable %s%s%s\n", GY_STR_A(ref->name),
               (long long)ref->version, servable ? "yes" : "no", reason[0] ? ", " : "", reason);
    if (!cli->json) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 4 * GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "name", ref->name);
    gy_jw_kv_i64(&w, "version", ref->version);
    gy_jw_kv_str(&w, "digest", ref->digest);
    gy_jw_kv_bool(&w, "servable", servable);
    gy_jw_kv_strc(&w, "reason", reason);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

static gy_status run_prove(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    struct gy_home home = {.lock_fd = -1};
    struct gy_caller *caller = NULL;
    char root[GY_MAX_PATH];
    char dir[GY_MAX_PATH];
    char reason[512] = "";
    bool servable = false;
    GY_AUTO_DONE(gy_package_ref_done) struct gy_package_ref ref = {0};
    GY_TRY(gy_cli_home(cli, &home, err));
    GY_TRY(gy_home_path(&home, "cache/models", root, err));
    GY_TRY(gy_cli_caller(cli, &caller, err));
    GY_TRY(gy_package_fetch(caller, gy_str_c(cli->argv[0]), root, dir, &ref, err));
    GY_TRY(gy_package_prove(dir, GY_PUBLISH_PROOF_ROWS, &servable, reason, err));
    GY_TRY(post_proof(caller, &ref, servable, reason, err));
    return answer_proof(cli, &ref, servable, reason, err);
}

static const struct gy_opt list_options[] = {
    {"filter", 'f', GY_OPT_STR, offsetof(struct list_opts, filter), "FILTER", NULL,
     "MLflow's search grammar: \"name LIKE 'sep%'\""},
    {"limit", 'n', GY_OPT_INT, offsetof(struct list_opts, limit), "N", "1000", "at most N"},
};
static const struct gy_opt register_options[] = {
    {"run", 'r', GY_OPT_STR, offsetof(struct register_opts, run), "RUN_ID", NULL,
     "the run that made it"},
    {"description", 0, GY_OPT_STR, offsetof(struct register_opts, description), "TEXT", NULL,
     "what is to be known about it"},
#define REMOTE(member) offsetof(struct register_opts, remote.member)
    {"remote", 0, GY_OPT_STR, REMOTE(url), "URL", NULL,
     "instead of SOURCE: an upstream that speaks the Open Inference Protocol v2"},
    {"model", 'm', GY_OPT_STR, REMOTE(model), "M", NULL, "the model's name there"},
    {"version", 0, GY_OPT_STR, REMOTE(version), "V", NULL, "its version there"},
    {"timeout", 0, GY_OPT_STR, REMOTE(timeout), "TIME", "2s",
     "how long an answer may take: 500ms, 2s"},
    {"classes", 0, GY_OPT_STR, REMOTE(classes), "A,B", NULL,
     "of a classifier: the classes in the order of its probabilities"},
    {"answer", 0, GY_OPT_STR, REMOTE(output), "TENSOR", NULL, "the output that is the answer"},
    {"inputs", 'i', GY_OPT_STR, REMOTE(inputs), "A,B,C", NULL,
     "names of the columns, where the upstream takes one tensor"},
    {"schema", 0, GY_OPT_STR, REMOTE(schema), "FILE", NULL,
     "schema.yaml with types, texts, ranges and the label"},
    {"token-env", 0, GY_OPT_STR, REMOTE(token_env), "NAME", NULL,
     "the server's environment variable with the upstream's token: GYRE_TOKEN_..."},
    {"token-file", 0, GY_OPT_STR, REMOTE(token_file), "NAME", NULL,
     "the file with it in the folder GYRE_TOKEN_DIR"},
};
static const struct gy_verb verbs[] = {
    {"models", "list", "", 0, 0, "list registered models", NULL, "gyre models list\n",
     GY_OPTS(list_options), sizeof(struct list_opts), run_list},
    {"models", "show", "NAME[/VERSION|@ALIAS]", 1, 1, "a model's versions, or one version", NULL,
     "gyre models show sepsis\ngyre models show sepsis@champion\n", NULL, 0, 0, run_show},
    {"models", "register", "NAME [SOURCE]", 1, 2,
     "register what lies at SOURCE, or answers at --remote, as the next version",
     "SOURCE is where the files of the model are: mlflow-artifacts:/..., models:/NAME/VERSION, "
     "models:/m-ID, or a place elsewhere.\nWith --remote the version is how an upstream is asked: "
     "its inputs and outputs are read from its metadata. It is\ngated, deployed, logged and "
     "compared "
     "as any other.",
     "gyre models register sepsis mlflow-artifacts:/0/5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5/artifacts/"
     "model\ngyre models register churn --remote http://10.0.0.7:8080 --model churn --timeout "
     "500ms\n",
     GY_OPTS(register_options), sizeof(struct register_opts), run_register},
    {"models", "prove", "NAME[/VERSION|@ALIAS]", 1, 1, "find out whether a version can be served",
     "It must load and answer its own input example; trees are compared with libxgboost bit by "
     "bit. "
     "The server does\nthis by itself for what clients register.",
     "gyre models prove sepsis/3\n", NULL, 0, 0, run_prove},
};
const struct gy_verb_table gy_cmd_models = GY_VERB_TABLE(verbs);

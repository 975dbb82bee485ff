/* SPDX-License-Identifier: Apache-2.0 */
/* gyre endpoint: what is served. gyre.yaml proposes; deploy freezes it into a revision. */
#include <errno.h>
#include <time.h>

#include "base/file.h"
#include "base/limits.h"
#include "cli/ask.h"
#include "cli/cli_internal.h"
#include "cli/endpoint_test.h"
#include "cli/yaml_json.h"
#include "data/schema.h"
#include "flow/project.h"
#include "serve/stretch.h"

#define BASE "/api/gyre/v1/endpoints"

struct endpoint_opts {
    const char *model;
    const char *project;
    const char *row;
    const char *canary;
    const char *reason;
    bool off, add, watch;
    int64_t to, times;
    int64_t count, concurrency; /* of test; count 0: ask once and show the answer */
    double rate;
    const char *file;
};

/* ---- the request ---- */

struct source {
    struct gy_project *project; /* NULL: none */
    struct gy_schema *schema;   /* NULL: none */
    struct gy_str name;
    const struct gy_yaml_node *section; /* NULL: not in gyre.yaml */
};

static void source_done(struct source *s)
{
    gy_project_free(s->project);
    gy_schema_free(s->schema);
}
GY_DEFINE_AUTO_DONE(struct source, source_done);

/* gyre.yaml of --project, else of the nearest folder above; none is fine when a model is named. */
static gy_status load_project(const struct endpoint_opts *o, struct source *s, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    char path[GY_MAX_PATH];
    struct gy_err why = GY_ERR_INIT;
    gy_status st = gy_project_find(o->project, dir, &why);
    if (st == GY_E_NOTFOUND && o->model && !o->project) {
        return GY_OK;
    }
    if (st != GY_OK) {
        if (err) {
            *err = why;
        }
        return st;
    }
    GY_TRY(gy_project_load(dir, &s->project, err));
    GY_TRY(gy_path_join(path, sizeof path, dir, "schema.yaml", err));
    return gy_path_exists(path) ? gy_schema_read(path, &s->schema, err) : GY_OK;
}

static gy_status choose(const struct gy_cli *cli, struct source *s, struct gy_err *err)
{
    const struct gy_yaml_node *all = s->project ? s->project->endpoints : NULL;
    if (cli->argc) {
        s->name = gy_str_c(cli->argv[0]);
        s->section = gy_yaml_get(all, cli->argv[0]);
        return GY_OK;
    }
    if (!all || all->kind != GY_YAML_MAP || all->n_items == 0) {
        (void)gy_err_set(err, GY_E_USAGE, "which endpoint? gyre.yaml names none");
        (void)gy_err_hint(err, "gyre endpoint deploy NAME --model models:/NAME/1");
        return GY_E_USAGE;
    }
    if (all->n_items > 1) {
        (void)gy_err_set(err, GY_E_USAGE, "which endpoint? gyre.yaml names %zu", all->n_items);
        (void)gy_err_hint(err, "gyre endpoint deploy %" GY_STR_F, GY_STR_A(all->keys[0]));
        return GY_E_USAGE;
    }
    s->name = all->keys[0];
    s->section = &all->items[0];
    return GY_OK;
}

/* The columns a rule may compare: numbers, and not the label. */
static void write_columns(struct gy_jw *w, const struct gy_schema *schema)
{
    gy_jw_key(w, "columns");
    gy_jw_arr(w);
    for (size_t i = 0; i < schema->n_columns; i++) {
        const struct gy_column *c = &schema->columns[i];
        bool numeric =
            c->type == GY_TYPE_INT || c->type == GY_TYPE_FLOAT || c->type == GY_TYPE_BOOL;
        if (numeric && c->role != GY_ROLE_LABEL) {
            gy_jw_str(w, c->name);
        }
    }
    gy_jw_arr_end(w);
}

/* "10%" or "0.1". */
static gy_status read_share(const char *text, double *ret, struct gy_err *err)
{
    struct gy_str s = gy_str_c(text);
    bool percent = gy_str_ends(s, GY_STR("%"));
    s.n -= percent;
    double v = -1;
    if (gy_parse_f64(s, &v, NULL) != GY_OK || !(v >= 0 && v <= (percent ? 100 : 1))) {
        return gy_err_set(err, GY_E_USAGE, "'%s' is no share: write 10%% or 0.1", text);
    }
    *ret = percent ? v / 100 : v;
    return GY_OK;
}

static void write_reason(struct gy_jw *w, const struct endpoint_opts *o)
{
    if (o->reason) {
        gy_jw_kv_strc(w, "reason", o->reason);
    }
}

static gy_status write_request(const struct endpoint_opts *o, const struct source *s,
                               struct gy_buf *out, struct gy_err *err)
{
    struct gy_jw w;
    double canary = 0;
    if (o->canary) {
        GY_TRY(read_share(o->canary, &canary, err));
    }
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    write_reason(&w, o);
    if (o->canary) {
        gy_jw_kv_f64(&w, "canary", canary);
    }
    if (o->add) {
        gy_jw_kv_bool(&w, "add", true);
    }
    if (o->model) {
        gy_jw_kv_strc(&w, "model", o->model);
    }
    if (s->section) {
        gy_jw_key(&w, "project");
        gy_cli_yaml_value(&w, s->section);
    }
    if (s->schema) {
        write_columns(&w, s->schema);
    }
    const struct gy_yaml_node *gate =
        s->project && s->project->yaml ? gy_yaml_get(gy_yaml_root(s->project->yaml), "gate") : NULL;
    if (gate) {
        gy_jw_key(&w, "gate");
        gy_cli_yaml_value(&w, gate);
    }
    gy_jw_obj_end(&w);
    return gy_buf_check(out, "the deploy request", err);
}

/* ---- calling and printing ---- */

static gy_status call(struct gy_cli *cli, const char *method, struct gy_str name, const char *verb,
                      struct gy_str body, struct gy_collect *answer, yyjson_doc **ret,
                      struct gy_err *err)
{
    struct gy_caller *caller = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, 16 * GY_KIB);
    gy_buf_addc(&path, BASE);
    if (name.n) {
        gy_buf_add_char(&path, '/');
        gy_url_encode(&path, name, false);
    }
    gy_buf_addc(&path, verb);
    GY_TRY(gy_buf_check(&path, "the path", err));
    GY_TRY(gy_cli_caller(cli, &caller, err));
    GY_TRY(gy_call_json(caller, method, path.p, body, answer, err));
    return gy_json_parse(gy_buf_str(&answer->body), ret, err);
}

/* "  canary  sepsis version 4 (1a2b...)  10%" a line */
static void say_variants(struct gy_cli *cli, yyjson_val *revision)
{
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(gy_json_get(gy_json_get(revision, "config"), "weights"), i, n, one)
    {
        struct gy_str role = gy_json_str(one, "role");
        gy_cli_say(cli, "  %-6.*s  %" GY_STR_F " version %lld (%.12s)  %g%%\n",
                   role.p ? (int)role.n : 6, role.p ? role.p : "stable",
                   GY_STR_A(gy_json_str(one, "model")), (long long)gy_json_i64(one, "version", 0),
                   gy_json_str(one, "digest").p ? gy_json_str(one, "digest").p : "",
                   100 * gy_json_f64(one, "weight", 0));
    }
}

static gy_status print_revision(struct gy_cli *cli, struct gy_collect *answer, yyjson_val *r,
                                const char *what, struct gy_err *err)
{
    if (cli->json) {
        return gy_cli_print_json(cli, &answer->body, err);
    }
    gy_cli_say(cli, "%s %" GY_STR_F " revision %lld\n", what, GY_STR_A(gy_json_str(r, "endpoint")),
               (long long)gy_json_i64(r, "revision", 0));
    say_variants(cli, r);
    return GY_OK;
}

/* POST the body to the endpoint that the first argument names, print the revision. */
static gy_status change(struct gy_cli *cli, const char *verb, struct gy_str name,
                        const struct gy_buf *body, const char *what, struct gy_err *err)
{
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_collect_init(&answer, 16 * GY_MIB);
    GY_TRY(gy_buf_check(body, "the request", err));
    GY_TRY(call(cli, "POST", name, verb, gy_buf_str(body), &answer, &doc, err));
    return print_revision(cli, &answer, yyjson_doc_get_root(doc), what, err);
}

static gy_status run_deploy(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct endpoint_opts *o = opts;
    GY_AUTO_DONE(source_done) struct source s = {0};
    GY_TRY(load_project(o, &s, err));
    GY_TRY(choose(cli, &s, err));
    if (!s.section && !o->model) {
        (void)gy_err_set(err, GY_E_NOTFOUND, "gyre.yaml has no endpoint '%" GY_STR_F "'",
                         GY_STR_A(s.name));
        (void)gy_err_hint(err, "name the model to deploy: --model models:/NAME/1");
        return GY_E_NOTFOUND;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    gy_buf_init(&body, 4 * GY_MIB);
    GY_TRY(write_request(o, &s, &body, err));
    return change(cli, "/deploy", s.name, &body, o->canary ? "canary on" : "deployed", err);
}

/* "v3=0.2", "3=20%", "v4=off": the version and its share. */
static gy_status write_share(struct gy_jw *w, const char *text, struct gy_err *err)
{
    struct gy_str all = gy_str_c(text);
    struct gy_str name = gy_str_sub(all, all.n && all.p[0] == 'v', SIZE_MAX);
    const char *equals = strchr(text, '=');
    int64_t version;
    double share = 0;
    name.n = equals ? (size_t)(equals - name.p) : 0;
    if (!equals || gy_parse_i64(name, 1, INT64_MAX, &version, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_USAGE, "'%s' is no share of a version: write v3=20%%", text);
    }
    gy_jw_keys(w, name);
    if (strcmp(equals + 1, "off") == 0) {
        gy_jw_null(w);
        return GY_OK;
    }
    GY_TRY(read_share(equals + 1, &share, err));
    gy_jw_f64(w, share);
    return GY_OK;
}

static gy_status run_traffic(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct endpoint_opts *o = opts;
    double canary = 0;
    if (!o->canary == (cli->argc < 2)) {
        return gy_err_set(err, GY_E_USAGE, "how much? --canary 50%%, or v3=20%% v4=30%%");
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    struct gy_jw w;
    gy_buf_init(&body, 64 * GY_KIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    if (o->canary) {
        GY_TRY(read_share(o->canary, &canary, err));
        gy_jw_kv_f64(&w, "canary", canary);
    } else {
        gy_jw_key(&w, "shares");
        gy_jw_obj(&w);
        for (int i = 1; i < cli->argc; i++) {
            GY_TRY(write_share(&w, cli->argv[i], err));
        }
        gy_jw_obj_end(&w);
    }
    write_reason(&w, o);
    gy_jw_obj_end(&w);
    return change(cli, "/traffic", gy_str_c(cli->argv[0]), &body, "traffic of", err);
}

static gy_status run_shadow(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct endpoint_opts *o = opts;
    if (o->off == (cli->argc > 1)) {
        return gy_err_set(err, GY_E_USAGE, "name a model version, or end it with --off");
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    struct gy_jw w;
    gy_buf_init(&body, 64 * GY_KIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    if (o->off) {
        gy_jw_kv_bool(&w, "off", true);
    } else {
        gy_jw_kv_strc(&w, "model", cli->argv[1]);
    }
    write_reason(&w, o);
    gy_jw_obj_end(&w);
    return change(cli, "/shadow", gy_str_c(cli->argv[0]), &body, "shadow of", err);
}

static gy_status run_promote(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct endpoint_opts *o = opts;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    struct gy_jw w;
    int64_t version = 0;
    struct gy_str name = cli->argc > 1 ? gy_str_c(cli->argv[1]) : GY_STR_NULL;
    name = gy_str_sub(name, name.n && name.p[0] == 'v', SIZE_MAX);
    if (name.p && gy_parse_i64(name, 1, INT64_MAX, &version, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_USAGE, "'%s' is no version: write v3", cli->argv[1]);
    }
    gy_buf_init(&body, 64 * GY_KIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    if (version) {
        gy_jw_kv_i64(&w, "version", version);
    }
    write_reason(&w, o);
    gy_jw_obj_end(&w);
    return change(cli, "/promote", gy_str_c(cli->argv[0]), &body, "promoted:", err);
}

static gy_status run_rollback(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct endpoint_opts *o = opts;
    if (o->to < 0) {
        return gy_err_set(err, GY_E_USAGE, "--to takes a revision over 0");
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    struct gy_jw w;
    gy_buf_init(&body, 64 * GY_KIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "revision", o->to);
    write_reason(&w, o);
    gy_jw_obj_end(&w);
    return change(cli, "/rollback", gy_str_c(cli->argv[0]), &body, "rolled back to a copy:", err);
}

static gy_status run_undeploy(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_collect_init(&answer, GY_MIB);
    GY_TRY(
        call(cli, "POST", gy_str_c(cli->argv[0]), "/undeploy", GY_STR("{}"), &answer, &doc, err));
    if (cli->json) {
        return gy_cli_print_json(cli, &answer.body, err);
    }
    gy_cli_say(cli, "undeployed %s\n", cli->argv[0]);
    return GY_OK;
}

static struct gy_str number(struct gy_cli *cli, int64_t v)
{
    return gy_str_c(gy_arena_printf(&cli->arena, "%lld", (long long)v));
}

/* "3", "3 + 10% 4", "3 + shadow 5": the stable version, then who else takes part. */
static struct gy_str versions(struct gy_cli *cli, yyjson_val *r)
{
    struct gy_str text = number(cli, gy_json_i64(r, "version", 0));
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(gy_json_get(gy_json_get(r, "config"), "weights"), i, n, one)
    {
        struct gy_str role = gy_json_str(one, "role");
        long long version = (long long)gy_json_i64(one, "version", 0);
        if (gy_str_eqc(role, "canary")) {
            text =
                gy_str_c(gy_arena_printf(&cli->arena, "%" GY_STR_F " + %g%% %lld", GY_STR_A(text),
                                         100 * gy_json_f64(one, "weight", 0), version));
        } else if (gy_str_eqc(role, "shadow")) {
            text = gy_str_c(gy_arena_printf(&cli->arena, "%" GY_STR_F " + shadow %lld",
                                            GY_STR_A(text), version));
        }
    }
    return text;
}

static void table_of(struct gy_cli *cli, yyjson_val *list, int64_t current)
{
    static const char *const head[] = {"endpoint", "revision", "kind", "model", "versions",
                                       "digest",   "verdict",  "time", "by",    "why"};
    static const bool right[] = {false, true,  false, false, false,
                                 false, false, false, false, false};
    enum { COLUMNS = 10 };
    size_t n = yyjson_arr_size(list);
    struct gy_str *cells = gy_arena_calloc(&cli->arena, n * COLUMNS + 1, sizeof *cells);
    size_t i, max;
    yyjson_val *r;
    yyjson_arr_foreach(list, i, max, r)
    {
        if (!cells) {
            return;
        }
        struct gy_str *c = cells + i * COLUMNS;
        int64_t revision = gy_json_i64(r, "revision", 0);
        c[0] = gy_json_str(r, "endpoint");
        c[1] = revision == current
                   ? gy_str_c(gy_arena_printf(&cli->arena, "* %lld", (long long)revision))
                   : number(cli, revision);
        int64_t copied = gy_json_i64(r, "copied_from", 0);
        c[2] = copied > 0
                   ? gy_str_c(gy_arena_printf(&cli->arena, "%" GY_STR_F " to %lld",
                                              GY_STR_A(gy_json_str(r, "kind")), (long long)copied))
                   : gy_json_str(r, "kind");
        c[3] = gy_json_str(r, "model");
        c[4] = versions(cli, r);
        c[5] = gy_str_sub(gy_json_str(r, "digest"), 0, 12);
        c[6] = gy_json_str(r, "verdict").p ? GY_STR("BLESSED") : GY_STR_NULL;
        c[7] = gy_str_sub(gy_json_str(r, "time"), 0, 19);
        c[8] = gy_json_str(r, "actor");
        c[9] = gy_json_str(r, "reason");
    }
    gy_cli_table(cli, head, COLUMNS, cells, n, right);
}

static gy_status run_list(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_collect_init(&answer, 64 * GY_MIB);
    GY_TRY(call(cli, "GET", GY_STR_NULL, "", GY_STR_NULL, &answer, &doc, err));
    if (cli->json) {
        return gy_cli_print_json(cli, &answer.body, err);
    }
    yyjson_val *list = gy_json_get(yyjson_doc_get_root(doc), "endpoints");
    if (yyjson_arr_size(list) == 0) {
        gy_cli_say(cli, "nothing is deployed\n");
        return GY_OK;
    }
    table_of(cli, list, -1);
    return GY_OK;
}

static gy_status show(struct gy_cli *cli, bool with_current, struct gy_err *err)
{
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_collect_init(&answer, 64 * GY_MIB);
    GY_TRY(call(cli, "GET", gy_str_c(cli->argv[0]), "", GY_STR_NULL, &answer, &doc, err));
    if (cli->json) {
        return gy_cli_print_json(cli, &answer.body, err);
    }
    yyjson_val *root = yyjson_doc_get_root(doc);
    int64_t served = gy_json_i64(root, "revision", -1);
    size_t i, n;
    yyjson_val *r;
    yyjson_arr_foreach(gy_json_get(root, "revisions"), i, n, r)
    {
        if (with_current && gy_json_i64(r, "revision", 0) == served) {
            gy_cli_say(cli, "%s serves revision %lld\n", cli->argv[0], (long long)served);
            say_variants(cli, r);
        }
    }
    if (with_current && served <= 0) {
        gy_cli_say(cli, "%s is not served; its revisions stay\n", cli->argv[0]);
    }
    table_of(cli, gy_json_get(root, "revisions"), served);
    return GY_OK;
}

/* ---- show --watch ---- */

#define WATCH_EVERY_S 2

static struct gy_str metric_cell(struct gy_cli *cli, yyjson_val *variant, const char *name)
{
    yyjson_val *m = gy_json_get(variant, name);
    return yyjson_is_obj(m) ? gy_cli_cellf(cli, "%.3f (%.2f-%.2f)", gy_json_f64(m, "mean", 0),
                                           gy_json_f64(m, "low", 0), gy_json_f64(m, "high", 0))
                            : GY_STR_NULL;
}

static void print_live(struct gy_cli *cli, yyjson_val *live)
{
    static const char *const head[] = {"version", "role",     "share",  "requests",
                                       "errors",  "p50 ms",   "p99 ms", "labelled",
                                       "recall",  "accuracy", "reward"};
    static const bool right[] = {true, false, true,  true,  true, true,
                                 true, true,  false, false, false};
    enum { COLUMNS = 11 };
    yyjson_val *list = gy_json_get(live, "variants");
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, yyjson_arr_size(list) * COLUMNS + 1, sizeof *cells);
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(list, i, n, v)
    {
        if (!cells) {
            return;
        }
        struct gy_str *c = cells + i * COLUMNS;
        c[0] = gy_json_str(v, "version");
        c[1] = gy_json_str(v, "role");
        c[2] = gy_cli_cellf(cli, "%.4g%%", 100 * gy_json_f64(v, "weight", 0));
        c[3] = number(cli, gy_json_i64(v, "requests", 0));
        c[4] = number(cli, gy_json_i64(v, "errors", 0));
        c[5] = gy_cli_cellf(cli, "%.3g", gy_json_f64(v, "p50_ms", 0));
        c[6] = gy_cli_cellf(cli, "%.3g", gy_json_f64(v, "p99_ms", 0));
        c[7] = number(cli, gy_json_i64(v, "labelled", 0));
        c[8] = metric_cell(cli, v, "recall");
        c[9] = metric_cell(cli, v, "accuracy");
        c[10] = metric_cell(cli, v, "reward");
    }
    gy_cli_table(cli, head, COLUMNS, cells, yyjson_arr_size(list), right);
}

static gy_status show_live(struct gy_cli *cli, struct gy_err *err)
{
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_collect_init(&answer, GY_MIB);
    GY_TRY(call(cli, "GET", gy_str_c(cli->argv[0]), "/live", GY_STR_NULL, &answer, &doc, err));
    if (cli->json) {
        return gy_cli_print_json(cli, &answer.body, err);
    }
    yyjson_val *live = yyjson_doc_get_root(doc);
    gy_cli_say(cli, "%s revision %lld, %" GY_STR_F ", feedback since %" GY_STR_F "\n", cli->argv[0],
               (long long)gy_json_i64(live, "revision", 0), GY_STR_A(gy_json_str(live, "strategy")),
               GY_STR_A(gy_str_sub(gy_json_str(live, "since"), 0, 19)));
    print_live(cli, live);
    return GY_OK;
}

/* Until it is interrupted, or --times times. */
static gy_status watch_live(struct gy_cli *cli, int64_t times, struct gy_err *err)
{
    for (int64_t i = 0; times == 0 || i < times; i++) {
        const struct timespec pause = {.tv_sec = WATCH_EVERY_S};
        if (i > 0) {
            (void)nanosleep(&pause, NULL); /* a signal only shortens it */
        }
        GY_TRY(show_live(cli, err));
        if (fflush(stdout) != 0) {
            return gy_err_sys(err, errno, "writing");
        }
        gy_arena_reset(&cli->arena);
    }
    return GY_OK;
}

static gy_status run_show(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct endpoint_opts *o = opts;
    if (o->times < 0 || (o->times > 0 && !o->watch)) {
        return gy_err_set(err, GY_E_USAGE, "--times takes a number over 0, with --watch");
    }
    return o->watch ? watch_live(cli, o->times, err) : show(cli, true, err);
}

static gy_status run_history(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    return show(cli, false, err);
}

/* ---- test: one prediction, as a client would ask ---- */

static gy_status add_tensor(struct gy_jw *w, struct gy_str name, yyjson_val *v, struct gy_err *err)
{
    if (!yyjson_is_num(v) && !yyjson_is_null(v) && !yyjson_is_str(v)) {
        return gy_err_set(err, GY_E_USAGE, "'%" GY_STR_F "' must be a number, a text or null",
                          GY_STR_A(name));
    }
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", name);
    gy_jw_key(w, "shape");
    gy_jw_raw(w, GY_STR("[1]"));
    gy_jw_kv_strc(w, "datatype", yyjson_is_str(v) ? "BYTES" : "FP64");
    gy_jw_key(w, "data");
    gy_jw_arr(w);
    gy_jw_val(w, v);
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
    return GY_OK;
}

static gy_status row_request(struct gy_str row, struct gy_buf *out, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(row, &doc, err));
    yyjson_val *object = yyjson_doc_get_root(doc);
    if (!yyjson_is_obj(object)) {
        return gy_err_set(err, GY_E_USAGE, "--row takes a JSON object of inputs");
    }
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "inputs");
    gy_jw_arr(&w);
    size_t i, n;
    yyjson_val *key, *v;
    yyjson_obj_foreach(object, i, n, key, v)
    {
        GY_TRY(add_tensor(&w, gy_json_val_str(key), v, err));
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_buf_check(out, "the request", err);
}

static gy_status run_test(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct endpoint_opts *o = opts;
    if (o->count || o->file) {
        const struct gy_endpoint_test_opts many = {.count = o->count ? o->count : 10,
                                                   .concurrency = o->concurrency,
                                                   .rate = o->rate,
                                                   .file = o->file};
        return gy_endpoint_test(cli, gy_str_c(cli->argv[0]), &many, err);
    }
    struct gy_caller *caller = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect about;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_buf_init(&path, 16 * GY_KIB);
    gy_buf_init(&body, GY_MIB);
    gy_collect_init(&about, 8 * GY_MIB);
    gy_collect_init(&answer, 8 * GY_MIB);
    gy_buf_addc(&path, "/v2/models/");
    gy_url_encode(&path, gy_str_c(cli->argv[0]), false);
    GY_TRY(gy_buf_check(&path, "the path", err));
    GY_TRY(gy_cli_caller(cli, &caller, err));
    GY_TRY(gy_call_json(caller, "GET", path.p, GY_STR_NULL, &about, err));
    GY_TRY(gy_json_parse(gy_buf_str(&about.body), &doc, err));
    struct gy_str row =
        gy_json_str(gy_json_get(yyjson_doc_get_root(doc), "properties"), "input_example");
    row = o->row ? gy_str_c(o->row) : row;
    if (!row.p) {
        return gy_err_set(err, GY_E_USAGE, "the model has no input example: give one with --row");
    }
    GY_TRY(row_request(row, &body, err));
    gy_buf_addc(&path, "/infer");
    GY_TRY(gy_buf_check(&path, "the path", err));
    GY_TRY(gy_call_json(caller, "POST", path.p, gy_buf_str(&body), &answer, err));
    if (cli->json) {
        return gy_cli_print_json(cli, &answer.body, err);
    }
    gy_cli_say(cli, "%s\n", answer.body.p);
    return GY_OK;
}

#define REASON                                                                         \
    {                                                                                  \
        "reason", 0, GY_OPT_STR, offsetof(struct endpoint_opts, reason), "TEXT", NULL, \
            "why; kept with the revision"                                              \
    }
static const struct gy_opt deploy_opts[] = {
    {"model", 'm', GY_OPT_STR, offsetof(struct endpoint_opts, model), "REF", NULL,
     "models:/NAME/VERSION or models:/NAME@ALIAS; default: as gyre.yaml says"},
    {"project", 0, GY_OPT_STR, offsetof(struct endpoint_opts, project), "DIR", NULL,
     "the folder of gyre.yaml; default: the nearest one above"},
    {"canary", 0, GY_OPT_STR, offsetof(struct endpoint_opts, canary), "SHARE", NULL,
     "beside what is served, with that share of the traffic: 10% or 0.1"},
    {"add", 0, GY_OPT_FLAG, offsetof(struct endpoint_opts, add), NULL, NULL,
     "with --canary: keep the canaries that there are"},
    REASON,
};
static const struct gy_opt traffic_opts[] = {
    {"canary", 0, GY_OPT_STR, offsetof(struct endpoint_opts, canary), "SHARE", NULL,
     "the share of the only canary: 50% or 0.5"},
    REASON,
};
static const struct gy_opt shadow_opts[] = {
    {"off", 0, GY_OPT_FLAG, offsetof(struct endpoint_opts, off), NULL, NULL, "end it"},
    REASON,
};
static const struct gy_opt show_opts[] = {
    {"watch", 'w', GY_OPT_FLAG, offsetof(struct endpoint_opts, watch), NULL, NULL,
     "what each version does, every two seconds"},
    {"times", 0, GY_OPT_INT, offsetof(struct endpoint_opts, times), "N", "0",
     "with --watch: so often; 0: until interrupted"},
};
static const struct gy_opt promote_opts[] = {REASON};
static const struct gy_opt rollback_opts[] = {
    {"to", 0, GY_OPT_INT, offsetof(struct endpoint_opts, to), "REVISION", "0",
     "0: the newest without a canary that had another version or other rules"},
    REASON,
};
static const struct gy_opt test_opts[] = {
    {"row", 0, GY_OPT_STR, offsetof(struct endpoint_opts, row), "JSON", NULL,
     "inputs as an object; default: the model's own example"},
    {"count", 'n', GY_OPT_INT, offsetof(struct endpoint_opts, count), "N", "0",
     "send so many rows and tell latencies, failures, versions; 0: one, and show its answer"},
    {"rate", 0, GY_OPT_NUM, offsetof(struct endpoint_opts, rate), "R", "0",
     "requests a second, whatever the answers take; 0: as fast as they are answered"},
    {"concurrency", 0, GY_OPT_INT, offsetof(struct endpoint_opts, concurrency), "C", "1",
     "requests at a time"},
    {"file", 0, GY_OPT_STR, offsetof(struct endpoint_opts, file), "CSV", NULL,
     "send its rows; default: rows made of the ranges that training saw"},
};

static const struct gy_verb verbs[] = {
    {.noun = "endpoint",
     .verb = "list",
     .args = "",
     .summary = "what is served",
     .examples = "  gyre endpoint list",
     .opts_bytes = sizeof(struct endpoint_opts),
     .run = run_list},
    {.noun = "endpoint",
     .verb = "show",
     .args = "NAME",
     .min_args = 1,
     .max_args = 1,
     .summary = "who answers now, and its revisions: who made them, when and why",
     .details = "--watch shows the versions side by side: requests, errors, latency, and what "
                "feedback says of them, with intervals that hold at every look.",
     .examples = "  gyre endpoint show sepsis\n  gyre endpoint show sepsis --watch\n"
                 "  gyre endpoint show sepsis --watch --times 1 --json",
     .opts = show_opts,
     .n_opts = sizeof show_opts / sizeof show_opts[0],
     .opts_bytes = sizeof(struct endpoint_opts),
     .run = run_show},
    {.noun = "endpoint",
     .verb = "history",
     .args = "NAME",
     .min_args = 1,
     .max_args = 1,
     .summary = "its revisions: who made them, when and why",
     .examples = "  gyre endpoint history sepsis",
     .opts_bytes = sizeof(struct endpoint_opts),
     .run = run_history},
    {.noun = "endpoint",
     .verb = "deploy",
     .args = "[NAME]",
     .max_args = 1,
     .summary = "freeze model version, rules and mappings into a revision and serve it",
     .details =
         "Takes the endpoint's section of gyre.yaml, and the columns of schema.yaml that its "
         "rules may read. A gated endpoint takes blessed versions only. With --canary the version "
         "answers a share of the requests beside the one that is served; rules and mappings stay.",
     .examples = "  gyre endpoint deploy\n  gyre endpoint deploy sepsis --model models:/sepsis/2\n"
                 "  gyre endpoint deploy sepsis --model models:/sepsis/3 --canary 10%\n"
                 "  gyre endpoint deploy sepsis --model models:/sepsis/4 --canary 10% --add",
     .opts = deploy_opts,
     .n_opts = sizeof deploy_opts / sizeof deploy_opts[0],
     .opts_bytes = sizeof(struct endpoint_opts),
     .run = run_deploy},
    {.noun = "endpoint",
     .verb = "traffic",
     .args = "NAME [VERSION=SHARE...]",
     .min_args = 1,
     .max_args = 1 + GY_CANARIES_MAX + 1,
     .summary = "change who answers how much: shares of canaries, the stable version has the rest",
     .details = "A version that takes no part yet comes as a canary, =off takes one out. Clients "
                "that send Gyre-Sticky-Key stay with their version while shares grow.",
     .examples = "  gyre endpoint traffic sepsis --canary 50%\n"
                 "  gyre endpoint traffic sepsis v3=0.2 v4=0.3\n"
                 "  gyre endpoint traffic sepsis v3=50% v4=off",
     .opts = traffic_opts,
     .n_opts = sizeof traffic_opts / sizeof traffic_opts[0],
     .opts_bytes = sizeof(struct endpoint_opts),
     .run = run_traffic},
    {.noun = "endpoint",
     .verb = "shadow",
     .args = "NAME [REF]",
     .min_args = 1,
     .max_args = 2,
     .summary = "ask a version for every request too, without answering by it",
     .details = "What it would have answered is logged beside the answer; metrics count where they "
                "differ.",
     .examples = "  gyre endpoint shadow sepsis models:/sepsis/4\n"
                 "  gyre endpoint shadow sepsis --off",
     .opts = shadow_opts,
     .n_opts = sizeof shadow_opts / sizeof shadow_opts[0],
     .opts_bytes = sizeof(struct endpoint_opts),
     .run = run_shadow},
    {.noun = "endpoint",
     .verb = "promote",
     .args = "NAME [VERSION]",
     .min_args = 1,
     .max_args = 2,
     .summary = "let the canary answer everything",
     .details = "Of several canaries one is named; the others leave.",
     .examples = "  gyre endpoint promote sepsis --reason \"recall up by .04\"\n"
                 "  gyre endpoint promote sepsis v4",
     .opts = promote_opts,
     .n_opts = sizeof promote_opts / sizeof promote_opts[0],
     .opts_bytes = sizeof(struct endpoint_opts),
     .run = run_promote},
    {.noun = "endpoint",
     .verb = "rollback",
     .args = "NAME",
     .min_args = 1,
     .max_args = 1,
     .summary = "serve an earlier revision again, as a new one",
     .examples = "  gyre endpoint rollback sepsis\n  gyre endpoint rollback sepsis --to 3",
     .opts = rollback_opts,
     .n_opts = sizeof rollback_opts / sizeof rollback_opts[0],
     .opts_bytes = sizeof(struct endpoint_opts),
     .run = run_rollback},
    {.noun = "endpoint",
     .verb = "undeploy",
     .args = "NAME",
     .min_args = 1,
     .max_args = 1,
     .summary = "stop serving it; its revisions stay",
     .examples = "  gyre endpoint undeploy sepsis",
     .opts_bytes = sizeof(struct endpoint_opts),
     .run = run_undeploy},
    {.noun = "endpoint",
     .verb = "test",
     .args = "NAME",
     .min_args = 1,
     .max_args = 1,
     .summary = "ask it for predictions, and see what comes of them",
     .details = "With --count or --file the exit code is 1 when a request failed. Predictions are "
                "logged like any others.",
     .examples = "  gyre endpoint test sepsis\n"
                 "  gyre endpoint test sepsis --count 500 --concurrency 4\n"
                 "  gyre endpoint test sepsis --file patients.csv --count 50 --rate 20 --json\n"
                 "  gyre endpoint test sepsis --row '{\"HR\":104,\"Resp\":22,\"Temp\":38.9}'",
     .opts = test_opts,
     .n_opts = sizeof test_opts / sizeof test_opts[0],
     .opts_bytes = sizeof(struct endpoint_opts),
     .run = run_test},
};

const struct gy_verb_table gy_cmd_endpoint = GY_VERB_TABLE(verbs);

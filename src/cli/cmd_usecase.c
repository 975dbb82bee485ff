/* SPDX-License-Identifier: Apache-2.0 */
/* gyre usecase: what models are for, who answers for that, and whether it was approved. */
#include <math.h>

#include "base/limits.h"
#include "base/yaml.h"
#include "cli/ask.h"
#include "cli/yaml_json.h"
#include "flow/usecase_file.h"

#define BASE "/api/gyre/v1/usecases"

/* ---- apply ---- */

/* The file's own errors have lines; what it says is checked by the route. */
static gy_status read_file(const char *path, struct gy_buf *ret, struct gy_err *err)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    struct gy_jw w;
    GY_TRY(gy_yaml_read_file(path, &y, err));
    const struct gy_yaml_node *root = gy_yaml_root(y);
    if (!root || root->kind != GY_YAML_MAP) {
        return gy_err_set(err, GY_E_INVALID, "%s: a use case is a map: name, owner, purpose, ...",
                          path);
    }
    gy_jw_init(&w, ret);
    gy_cli_yaml_value(&w, root);
    return gy_buf_check(ret, "the use case", err);
}

static void say_state(struct gy_cli *cli, yyjson_val *u)
{
    gy_cli_say(cli, "use case %" GY_STR_F " (text %lld) is %" GY_STR_F "\n",
               GY_STR_A(gy_json_str(u, "name")), (long long)gy_json_i64(u, "number", 0),
               GY_STR_A(gy_json_str(u, "state")));
}

static gy_status run_apply(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    gy_buf_init(&body, GY_MIB);
    GY_TRY(read_file(cli->argv[0], &body, err));
    if (gy_cli_ask(cli, "POST", BASE, gy_buf_str(&body), &a, err) != GY_OK) {
        return gy_err_wrap(err, "%s", cli->argv[0]);
    }
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    say_state(cli, a.root);
    return GY_OK;
}

/* ---- list, show ---- */

static struct gy_str joined(struct gy_cli *cli, yyjson_val *list)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    size_t i, n;
    yyjson_val *one;
    gy_buf_init(&out, GY_MIB);
    yyjson_arr_foreach(list, i, n, one)
    {
        gy_buf_addc(&out, i ? ", " : "");
        gy_buf_add(&out, gy_json_val_str(one));
    }
    return out.n ? gy_cli_cell(cli, gy_buf_str(&out)) : GY_STR_NULL;
}

/* "recall >= 0.8" */
static struct gy_str metric_cell(struct gy_cli *cli, yyjson_val *spec)
{
    struct gy_usecase_metric m;
    if (!gy_usecase_metric_of(spec, &m)) {
        return GY_STR_NULL;
    }
    if (isnan(m.min)) {
        return gy_cli_cellf(cli, "%" GY_STR_F " <= %g", GY_STR_A(m.name), m.max);
    }
    return isnan(m.max)
               ? gy_cli_cellf(cli, "%" GY_STR_F " >= %g", GY_STR_A(m.name), m.min)
               : gy_cli_cellf(cli, "%g <= %" GY_STR_F " <= %g", m.min, GY_STR_A(m.name), m.max);
}

static gy_status run_list(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    static const char *const head[] = {"use case", "state", "owner", "risk", "success", "models"};
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    GY_TRY(gy_cli_ask(cli, "GET", BASE, GY_STR_NULL, &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    yyjson_val *list = gy_json_get(a.root, "usecases"), *u;
    size_t i, n;
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, yyjson_arr_size(list) * 6 + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    yyjson_arr_foreach(list, i, n, u)
    {
        struct gy_str *row = cells + i * 6;
        yyjson_val *spec = gy_json_get(u, "spec");
        row[0] = gy_cli_cell(cli, gy_json_str(u, "name"));
        row[1] = gy_cli_cell(cli, gy_json_str(u, "state"));
        row[2] = gy_cli_cell(cli, gy_json_str(spec, "owner"));
        row[3] = gy_cli_cell(cli, gy_json_str(spec, "risk_class"));
        row[4] = metric_cell(cli, spec);
        row[5] = joined(cli, gy_json_get(u, "models"));
    }
    gy_cli_table(cli, head, 6, cells, yyjson_arr_size(list), NULL);
    return GY_OK;
}

static void say_line(struct gy_cli *cli, const char *what, struct gy_str value)
{
    if (value.n > 0) {
        gy_cli_say(cli, "%-10s  %" GY_STR_F "\n", what, GY_STR_A(value));
    }
}

static gy_status ask_one(struct gy_cli *cli, const char *name, struct gy_cli_answer *a,
                         struct gy_err *err)
{
    const char *path = NULL;
    GY_TRY(gy_cli_path(cli, BASE "/{}", gy_str_c(name), &path, err));
    return gy_cli_ask(cli, "GET", path, GY_STR_NULL, a, err);
}

static gy_status run_show(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    static const char *const head[] = {"time", "action", "text", "by", "model", "reason"};
    static const bool right[] = {false, false, true, false, false, false};
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    GY_TRY(ask_one(cli, cli->argv[0], &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    yyjson_val *spec = gy_json_get(a.root, "spec");
    say_state(cli, a.root);
    say_line(cli, "purpose", gy_json_str(spec, "purpose"));
    say_line(cli, "owner", gy_json_str(spec, "owner"));
    say_line(cli, "contacts", joined(cli, gy_json_get(spec, "contacts")));
    say_line(cli, "risk class", gy_json_str(spec, "risk_class"));
    say_line(cli, "success", metric_cell(cli, spec));
    say_line(cli, "requested", gy_json_str(a.root, "requested_by"));
    say_line(cli, "decided", gy_json_str(a.root, "decided_by"));
    say_line(cli, "models", joined(cli, gy_json_get(a.root, "models")));
    if (gy_json_bool(a.root, "four_eyes", false)) {
        gy_cli_say(cli, "four eyes   who requests may not approve\n");
    }
    yyjson_val *list = gy_json_get(a.root, "changes"), *c;
    size_t i, n;
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, yyjson_arr_size(list) * 6 + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    yyjson_arr_foreach(list, i, n, c)
    {
        struct gy_str *row = cells + i * 6;
        row[0] = gy_cli_cell(cli, gy_str_sub(gy_json_str(c, "time"), 0, 19));
        row[1] = gy_cli_cell(cli, gy_json_str(c, "action"));
        row[2] = gy_cli_cellf(cli, "%lld", (long long)gy_json_i64(c, "number", 0));
        row[3] = gy_cli_cell(cli, gy_json_str(c, "actor"));
        row[4] = gy_cli_cell(cli, gy_json_str(c, "model"));
        row[5] = gy_cli_cell(cli, gy_json_str(c, "reason"));
    }
    gy_cli_say(cli, "\n");
    gy_cli_table(cli, head, 6, cells, yyjson_arr_size(list), right);
    return GY_OK;
}

/* ---- steps, models ---- */

struct reason_opts {
    const char *reason;
};

static gy_status post(struct gy_cli *cli, const char *format, const char *key, const char *value,
                      struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    const char *path = NULL;
    struct gy_jw w;
    gy_buf_init(&body, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    if (value) {
        gy_jw_kv_strc(&w, key, value);
    }
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the request", err));
    GY_TRY(gy_cli_path(cli, format, gy_str_c(cli->argv[0]), &path, err));
    GY_TRY(gy_cli_ask(cli, "POST", path, gy_buf_str(&body), &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    say_state(cli, a.root);
    return GY_OK;
}

static gy_status run_request(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    return post(cli, BASE "/{}/request", "reason", ((struct reason_opts *)opts)->reason, err);
}
static gy_status run_approve(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    return post(cli, BASE "/{}/approve", "reason", ((struct reason_opts *)opts)->reason, err);
}
static gy_status run_reject(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    return post(cli, BASE "/{}/reject", "reason", ((struct reason_opts *)opts)->reason, err);
}
static gy_status run_retire(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    return post(cli, BASE "/{}/retire", "reason", ((struct reason_opts *)opts)->reason, err);
}
static gy_status run_attach(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    return post(cli, BASE "/{}/models", "model", cli->argv[1], err);
}

static gy_status run_detach(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    const char *base = NULL, *path = NULL;
    GY_TRY(gy_cli_path(cli, BASE "/{}/models/", gy_str_c(cli->argv[0]), &base, err));
    base = gy_arena_printf(&cli->arena, "%s{}", base);
    if (!base) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    GY_TRY(gy_cli_path(cli, base, gy_str_c(cli->argv[1]), &path, err));
    GY_TRY(gy_cli_ask(cli, "DELETE", path, GY_STR_NULL, &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    say_state(cli, a.root);
    return GY_OK;
}

static const struct gy_opt reason_options[] = {
    {"reason", 'r', GY_OPT_STR, offsetof(struct reason_opts, reason), "TEXT", NULL,
     "kept with the change"},
};
#define STEP(name, does, details, example, fn)                                                  \
    {                                                                                           \
        "usecase", (name), "NAME", 1, 1, (does), (details), (example), GY_OPTS(reason_options), \
            sizeof(struct reason_opts), (fn), NULL                                              \
    }
static const struct gy_verb verbs[] = {
    {"usecase", "apply", "FILE", 1, 1, "make or change a use case from its file",
     "usecase.yaml: name, owner, purpose, success_metric {name, min}, risk_class; contacts, "
     "description, links,\nfour_eyes. Another text makes it a draft again.",
     "gyre usecase apply usecase.yaml\n", NULL, 0, 0, run_apply},
    {"usecase", "list", "", 0, 0, "list use cases", NULL, "gyre usecase list\n", NULL, 0, 0,
     run_list},
    {"usecase", "show", "NAME", 1, 1, "a use case with every change of it", NULL,
     "gyre usecase show ward-alerts\n", NULL, 0, 0, run_show},
    STEP("request", "ask for its approval", NULL,
         "gyre usecase request ward-alerts --reason \"for the round in May\"\n", run_request),
    STEP("approve", "approve it, as yourself",
         "With four_eyes: true another person than the one who requested.",
         "gyre usecase approve ward-alerts\n", run_approve),
    STEP("reject", "reject it, as yourself", NULL,
         "gyre usecase reject ward-alerts --reason \"no owner on ward 3\"\n", run_reject),
    STEP("retire", "end it", NULL, "gyre usecase retire ward-alerts\n", run_retire),
    {"usecase", "attach", "NAME MODEL", 2, 2, "say that a model is for it",
     "A model belongs to one use case; with `gate: {usecase: required}` it needs one that is "
     "approved.",
     "gyre usecase attach ward-alerts sepsis\n", NULL, 0, 0, run_attach},
    {"usecase", "detach", "NAME MODEL", 2, 2, "say that it is not", NULL,
     "gyre usecase detach ward-alerts sepsis\n", NULL, 0, 0, run_detach},
};
const struct gy_verb_table gy_cmd_usecase = GY_VERB_TABLE(verbs);

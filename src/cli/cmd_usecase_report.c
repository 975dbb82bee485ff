/* SPDX-License-Identifier: Apache-2.0 */
/* gyre usecase report: is what a use case is measured by reached, by the version that counts? */
#include <math.h>

#include "base/file.h"
#include "base/limits.h"
#include "cli/ask.h"
#include "flow/usecase_file.h"
#include "watch/html.h"

#define BASE "/api/gyre/v1"
#define COLUMNS 7
#define MAX_ROWS 10000 /* models of all use cases */

struct report_opts {
    const char *html, *alias;
};

/* One model of a use case; a use case without a model has one row, too. */
struct row {
    struct gy_str usecase, state, owner, risk, model;
    int64_t version; /* 0: the alias points nowhere */
    struct gy_usecase_metric metric;
    double value, low, high; /* NaN: not measured */
};
struct report {
    struct gy_cli *cli;
    const struct report_opts *o;
    struct row *rows;
    size_t n;
};

static const char *result_of(const struct row *r)
{
    if (r->version == 0) {
        return r->model.n ? "no version" : "no model";
    }
    if (isnan(r->value)) {
        return "not measured";
    }
    bool reached = !(r->value < r->metric.min) && !(r->value > r->metric.max);
    return reached ? "reached" : "missed";
}

/* What the version that counts measures, by its card. */
static gy_status measure(struct report *x, struct row *r, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer v = {.doc = NULL};
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer card = {.doc = NULL};
    struct gy_err why = GY_ERR_INIT;
    const char *path = NULL;
    const char *ref =
        gy_arena_printf(&x->cli->arena, "%" GY_STR_F "@%s", GY_STR_A(r->model), x->o->alias);
    if (!ref) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    GY_TRY(gy_cli_path(x->cli, BASE "/models/resolve?ref={}", gy_str_c(ref), &path, err));
    gy_status status = gy_cli_ask(x->cli, "GET", path, GY_STR_NULL, &v, &why);
    if (status == GY_E_NOTFOUND) {
        return GY_OK;
    }
    if (status != GY_OK) {
        return gy_err_set(err, status, "%s", why.msg);
    }
    r->version = gy_json_i64(v.root, "version", 0);
    GY_TRY(gy_cli_path(x->cli, BASE "/models/{}", r->model, &path, err));
    path = gy_arena_printf(&x->cli->arena, "%s/versions/%lld/card", path, (long long)r->version);
    if (!path) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    GY_TRY(gy_cli_ask(x->cli, "GET", path, GY_STR_NULL, &card, err));
    yyjson_val *metrics = gy_json_get(gy_json_get(card.root, "sections"), "metrics");
    yyjson_val *m = yyjson_obj_getn(metrics, r->metric.name.p, r->metric.name.n);
    r->value = gy_json_f64(m, "value", NAN);
    r->low = gy_json_f64(m, "low", NAN);
    r->high = gy_json_f64(m, "high", NAN);
    return GY_OK;
}

static gy_status add_row(struct report *x, yyjson_val *usecase, struct gy_str model,
                         struct gy_err *err)
{
    yyjson_val *spec = gy_json_get(usecase, "spec");
    if (x->n == MAX_ROWS) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d models: name a use case", MAX_ROWS);
    }
    struct row *r = &x->rows[x->n++];
    *r = (struct row){.usecase = gy_json_str(usecase, "name"),
                      .state = gy_json_str(usecase, "state"),
                      .owner = gy_json_str(spec, "owner"),
                      .risk = gy_json_str(spec, "risk_class"),
                      .model = model,
                      .value = NAN,
                      .low = NAN,
                      .high = NAN};
    (void)gy_usecase_metric_of(spec, &r->metric); /* an applied one has it */
    return model.n > 0 ? measure(x, r, err) : GY_OK;
}

static gy_status fill(struct report *x, yyjson_val *usecases, struct gy_err *err)
{
    size_t i, n, k, m;
    yyjson_val *u, *model;
    x->rows = gy_arena_calloc(&x->cli->arena, MAX_ROWS, sizeof *x->rows);
    if (!x->rows) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    yyjson_arr_foreach(usecases, i, n, u)
    {
        if (x->cli->argc > 0 && !gy_str_eqc(gy_json_str(u, "name"), x->cli->argv[0])) {
            continue;
        }
        yyjson_val *models = gy_json_get(u, "models");
        if (yyjson_arr_size(models) == 0) {
            GY_TRY(add_row(x, u, GY_STR_NULL, err));
        }
        yyjson_arr_foreach(models, k, m, model)
        {
            GY_TRY(add_row(x, u, gy_json_val_str(model), err));
        }
    }
    return x->n == 0 && x->cli->argc > 0
               ? gy_err_set(err, GY_E_NOTFOUND, "no use case '%s'", x->cli->argv[0])
               : GY_OK;
}

/* ---- telling it ---- */

static void number(struct gy_jw *w, const char *key, double v)
{
    gy_jw_key(w, key);
    isnan(v) ? gy_jw_null(w) : gy_jw_f64(w, v);
}

static gy_status print_json(const struct report *x, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "alias", x->o->alias);
    gy_jw_key(&w, "rows");
    gy_jw_arr(&w);
    for (size_t i = 0; i < x->n; i++) {
        const struct row *r = &x->rows[i];
        gy_jw_obj(&w);
        gy_jw_kv_str(&w, "usecase", r->usecase);
        gy_jw_kv_str(&w, "state", r->state);
        gy_jw_kv_str(&w, "owner", r->owner);
        gy_jw_kv_str(&w, "risk_class", r->risk);
        gy_jw_kv_str(&w, "model", r->model);
        gy_jw_key(&w, "version");
        r->version ? gy_jw_i64(&w, r->version) : gy_jw_null(&w);
        gy_jw_kv_str(&w, "metric", r->metric.name);
        number(&w, "min", r->metric.min);
        number(&w, "max", r->metric.max);
        number(&w, "value", r->value);
        number(&w, "low", r->low);
        number(&w, "high", r->high);
        gy_jw_kv_strc(&w, "result", result_of(r));
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(x->cli, &out, err);
}

static const char *const g_head[COLUMNS] = {"use case", "state",    "risk",  "model",
                                            "success",  "measured", "result"};

static gy_status make_cells(const struct report *x, struct gy_str **ret, struct gy_err *err)
{
    struct gy_cli *cli = x->cli;
    struct gy_str *cells = gy_arena_calloc(&cli->arena, x->n * COLUMNS + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < x->n; i++) {
        const struct row *r = &x->rows[i];
        struct gy_str *c = cells + i * COLUMNS;
        bool least = !isnan(r->metric.min);
        c[0] = r->usecase;
        c[1] = r->state;
        c[2] = r->risk;
        c[3] = r->version ? gy_cli_cellf(cli, "%" GY_STR_F "/%lld", GY_STR_A(r->model),
                                         (long long)r->version)
                          : r->model;
        c[4] = gy_cli_cellf(cli, "%" GY_STR_F " %s %g", GY_STR_A(r->metric.name),
                            least ? ">=" : "<=", least ? r->metric.min : r->metric.max);
        if (!isnan(r->value)) {
            c[5] = isnan(r->low) ? gy_cli_cellf(cli, "%.4f", r->value)
                                 : gy_cli_cellf(cli, "%.4f (%.4f-%.4f)", r->value, r->low, r->high);
        }
        c[6] = gy_str_c(result_of(r));
    }
    *ret = cells;
    return GY_OK;
}

static gy_status write_html(const struct report *x, const struct gy_str *cells, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    const struct gy_html_table t = {
        .head = g_head, .n_columns = COLUMNS, .n_rows = x->n, .cells = cells};
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_html_begin(&out, GY_STR("Use cases"), GY_STR_NULL);
    gy_html_section(&out, "What they are measured by",
                    GY_STR("Measured on rows that training did not see, for the version that the "
                           "alias names."));
    gy_html_table(&out, &t);
    gy_html_section_end(&out);
    gy_html_end(&out, GY_STR_NULL);
    GY_TRY(gy_buf_check(&out, "the report", err));
    return gy_file_write(x->o->html, gy_buf_str(&out), 0644, err);
}

static gy_status run_report(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    struct report x = {.cli = cli, .o = opts};
    struct gy_str *cells = NULL;
    GY_TRY(gy_cli_ask(cli, "GET", BASE "/usecases", GY_STR_NULL, &a, err));
    GY_TRY(fill(&x, gy_json_get(a.root, "usecases"), err));
    GY_TRY(make_cells(&x, &cells, err));
    if (x.o->html) {
        GY_TRY(write_html(&x, cells, err));
    }
    if (cli->json) {
        return print_json(&x, err);
    }
    gy_cli_table(cli, g_head, COLUMNS, cells, x.n, NULL);
    return GY_OK;
}

static const struct gy_opt report_options[] = {
    {"html", 0, GY_OPT_STR, offsetof(struct report_opts, html), "FILE", NULL,
     "write it as one page, too"},
    {"alias", 'a', GY_OPT_STR, offsetof(struct report_opts, alias), "ALIAS", "champion",
     "the version of each model that counts"},
};
static const struct gy_verb verbs[] = {
    {"usecase", "report", "[NAME]", 0, 1, "is what they are measured by reached",
     "For each use case and model: the success metric as the version under the alias measures it, "
     "with its interval.",
     "gyre usecase report\ngyre usecase report ward-alerts --html usecases.html\n",
     GY_OPTS(report_options), sizeof(struct report_opts), run_report},
};
const struct gy_verb_table gy_cmd_usecase_report = GY_VERB_TABLE(verbs);

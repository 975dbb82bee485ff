/* SPDX-License-Identifier: Apache-2.0 */
/* gyre backtest: what another version would have answered to everything that was asked. */
#include <math.h>

#include "base/id.h"
#include "base/time.h"
#include "cli/logged.h"
#include "serve/backtest.h"
#include "watch/performance.h"

#define BASE "/api/gyre/v1"
#define MAX_LABEL_LINES (256 * GY_MIB)

struct backtest_opts {
    const char *since, *model, *endpoint;
    struct gy_opt_list slices;
    double threshold;
    int64_t threads;
};

/* ---- what is asked for ---- */

static gy_status get_json(struct gy_logged *l, const char *path, yyjson_doc **ret,
                          struct gy_err *err)
{
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    gy_collect_init(&answer, GY_MAX_REPLY);
    GY_TRY(gy_call_json(l->caller, "GET", path, GY_STR_NULL, &answer, err));
    return gy_json_parse(gy_buf_str(&answer.body), ret, err);
}

/* --endpoint, else the only one that is served; *ret_model: what its newest revision serves. */
static gy_status pick_endpoint(struct gy_logged *l, const char *given, struct gy_str *ret_model,
                               struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    yyjson_val *list = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, 16 * GY_KIB);
    gy_buf_addc(&path, BASE "/endpoints");
    if (given) {
        gy_buf_add_char(&path, '/');
        gy_url_encode(&path, gy_str_c(given), false);
    }
    GY_TRY(gy_buf_check(&path, "the path", err));
    GY_TRY(get_json(l, path.p, &doc, err));
    GY_TRY(
        gy_json_need_arr(yyjson_doc_get_root(doc), given ? "revisions" : "endpoints", &list, err));
    yyjson_val *first = yyjson_arr_get_first(list);
    if (!given && yyjson_arr_size(list) == 0) {
        (void)gy_err_set(err, GY_E_NOTFOUND,
                         "no endpoint is served, so no answers can be compared");
        return gy_err_hint(err, "--endpoint NAME takes one that was served before");
    }
    if (!given && yyjson_arr_size(list) != 1) {
        return gy_err_set(err, GY_E_USAGE, "%zu endpoints are served: which one? --endpoint NAME",
                          yyjson_arr_size(list));
    }
    l->endpoint = gy_arena_str(&l->arena, gy_json_str(first, "endpoint"));
    *ret_model = gy_arena_str(&l->arena, gy_json_str(first, "model"));
    return l->endpoint.p ? GY_OK : gy_err_set(err, GY_E_NOTFOUND, "the endpoint has no revision");
}

/* "ID ROW VALUE" */
static gy_status take_label(struct gy_str line, struct gy_labels *labels, struct gy_err *err)
{
    struct gy_str id_text, rest, row_text, value_text;
    unsigned char id[16];
    int64_t row = 0;
    double truth = NAN;
    if (!gy_str_cut(line, ' ', &id_text, &rest) || !gy_str_cut(rest, ' ', &row_text, &value_text)) {
        return gy_err_set(err, GY_E_PARSE, "a label is not understood: '%" GY_STR_F "'",
                          GY_STR_A(line));
    }
    GY_TRY(gy_uuid_parse(id_text, id, err));
    GY_TRY(gy_parse_i64(row_text, 0, UINT32_MAX, &row, err));
    if (gy_parse_f64(value_text, &truth, NULL) != GY_OK) {
        return GY_OK; /* it is none of the model's labels */
    }
    return gy_labels_add(labels, id, (uint32_t)row, truth, err);
}

static gy_status fetch_labels(struct gy_logged *l, int64_t since_us, struct gy_labels *labels,
                              struct gy_err *err)
{
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_collect_init(&answer, MAX_LABEL_LINES);
    gy_buf_init(&path, 16 * GY_KIB);
    gy_buf_addf(&path, BASE "/log/labels?since_us=%lld&endpoint=", (long long)since_us);
    gy_url_encode(&path, l->endpoint, false);
    GY_TRY(gy_buf_check(&path, "the path", err));
    GY_TRY(gy_call_json(l->caller, "GET", path.p, GY_STR_NULL, &answer, err));
    struct gy_str rest = gy_buf_str(&answer.body), line;
    while (gy_str_next(&rest, '\n', &line)) {
        if (line.n > 0) {
            GY_TRY(take_label(line, labels, err));
        }
    }
    return GY_OK;
}

/* ---- what is told ---- */

/* The estimates of watch/performance.h for plain counts. */
static void estimate(const struct gy_backtest_quality *q, uint64_t labelled, enum gy_task task,
                     struct gy_performance *ret)
{
    static const struct gy_shape any; /* only that there is one counts */
    struct gy_join_counts c = {.task = task, .labelled = labelled, .shape = &any};
    struct gy_join_way *w = &c.by[GY_BY_COMBINED];
#define CELL(x) ((struct gy_join_cell){(double)(x), (double)(x)})
    w->rows = labelled;
    w->all = CELL(labelled);
    w->correct = CELL(q->correct);
    w->tp = CELL(q->tp);
    w->fp = CELL(q->fp);
    w->tn = CELL(q->tn);
    w->fn = CELL(q->fn);
#undef CELL
    gy_performance_of(&c, GY_BY_COMBINED, ret);
}

static void write_number(struct gy_jw *w, const char *key, double value)
{
    if (isfinite(value)) {
        gy_jw_kv_f64(w, key, value);
    } else {
        gy_jw_kv_null(w, key);
    }
}

static void write_estimate(struct gy_jw *w, const char *key, const struct gy_estimate *e)
{
    gy_jw_key(w, key);
    gy_jw_obj(w);
    write_number(w, "value", e->value);
    write_number(w, "low", e->low);
    write_number(w, "high", e->high);
    gy_jw_obj_end(w);
}

static void write_quality(struct gy_jw *w, const char *key, const struct gy_backtest_quality *q,
                          uint64_t labelled, enum gy_task task)
{
    gy_jw_key(w, key);
    if (labelled == 0) {
        gy_jw_null(w);
        return;
    }
    gy_jw_obj(w);
    if (task == GY_TASK_REGRESSION) {
        write_number(w, "mae", q->abs_error / (double)labelled);
        write_number(w, "rmse", sqrt(q->squared_error / (double)labelled));
        gy_jw_obj_end(w);
        return;
    }
    struct gy_performance p;
    estimate(q, labelled, task, &p);
    if (task == GY_TASK_BINARY) {
        gy_jw_kv_i64(w, "tp", (int64_t)q->tp);
        gy_jw_kv_i64(w, "fp", (int64_t)q->fp);
        gy_jw_kv_i64(w, "tn", (int64_t)q->tn);
        gy_jw_kv_i64(w, "fn", (int64_t)q->fn);
    }
    write_estimate(w, "accuracy", &p.accuracy);
    if (task == GY_TASK_BINARY) {
        write_estimate(w, "precision", &p.precision);
        write_estimate(w, "recall", &p.recall);
        write_estimate(w, "f1", &p.f1);
    }
    gy_jw_obj_end(w);
}

static double share(uint64_t part, uint64_t all)
{
    return all ? (double)part / (double)all : NAN;
}

static void write_group(struct gy_jw *w, const struct gy_backtest_counts *c, struct gy_str slice,
                        enum gy_task task)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "slice", slice);
    gy_jw_kv_i64(w, "rows", (int64_t)c->rows);
    gy_jw_kv_i64(w, "by_rule", (int64_t)c->by_rule);
    gy_jw_kv_i64(w, "same", (int64_t)c->same);
    write_number(w, "agreement", share(c->same, c->rows));
    gy_jw_key(w, "flips");
    if (task == GY_TASK_BINARY) {
        gy_jw_obj(w);
        gy_jw_kv_i64(w, "up", (int64_t)c->up);
        gy_jw_kv_i64(w, "down", (int64_t)c->down);
        gy_jw_obj_end(w);
    } else {
        gy_jw_null(w);
    }
    gy_jw_kv_i64(w, "scored", (int64_t)c->scored);
    write_number(w, "score_change", c->score_change / (double)c->scored);
    write_number(w, "score_change_abs", c->score_change_abs / (double)c->scored);
    gy_jw_kv_i64(w, "labelled", (int64_t)c->labelled);
    write_quality(w, "then", &c->then, c->labelled, task);
    write_quality(w, "now", &c->now, c->labelled, task);
    gy_jw_obj_end(w);
}

static void write_time(struct gy_jw *w, const char *key, int64_t time_us)
{
    char text[32];
    gy_jw_kv_str(w, key, time_us ? gy_str_n(text, gy_time_iso(time_us, text)) : GY_STR_NULL);
}

static gy_status print_json(const struct gy_cli *cli, const struct gy_backtest_options *o,
                            const struct gy_backtest_result *r, struct gy_err *err)
{
    const struct gy_predictor_info *info = gy_predictor_info(o->predictor);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "endpoint", o->endpoint);
    gy_jw_kv_str(&w, "digest", info->digest);
    write_number(&w, "threshold", isnan(o->threshold) ? info->threshold : o->threshold);
    write_time(&w, "since", o->since_us);
    write_time(&w, "first", r->first_us);
    write_time(&w, "last", r->last_us);
    gy_jw_kv_i64(&w, "records", (int64_t)r->records);
    gy_jw_kv_i64(&w, "rows", (int64_t)r->groups[0].rows);
    gy_jw_kv_i64(&w, "refused", (int64_t)r->refused);
    gy_jw_kv_i64(&w, "unreadable", (int64_t)r->unreadable);
    gy_jw_kv_i64(&w, "other", (int64_t)r->other);
    gy_jw_kv_strc(&w, "why_other", r->why_other[0] ? r->why_other : NULL);
    gy_jw_kv_i64(&w, "segments", (int64_t)r->segments);
    gy_jw_kv_i64(&w, "skipped_segments", (int64_t)r->skipped_segments);
    gy_jw_kv_f64(&w, "seconds", r->seconds);
    gy_jw_key(&w, "groups");
    gy_jw_arr(&w);
    for (size_t i = 0; i < r->n_groups; i++) {
        write_group(&w, &r->groups[i], i ? o->slices[i - 1] : GY_STR_NULL, r->task);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

static void say_quality(const struct gy_cli *cli, const char *when,
                        const struct gy_backtest_quality *q, uint64_t labelled, enum gy_task task)
{
    struct gy_performance p;
    if (task == GY_TASK_REGRESSION) {
        gy_cli_say(cli, "    %s: mean absolute error %.4g, rmse %.4g\n", when,
                   q->abs_error / (double)labelled, sqrt(q->squared_error / (double)labelled));
        return;
    }
    estimate(q, labelled, task, &p);
    gy_cli_say(cli, "    %s: accuracy %.4f [%.4f, %.4f]", when, p.accuracy.value, p.accuracy.low,
               p.accuracy.high);
    if (task == GY_TASK_BINARY) {
        gy_cli_say(cli, "  precision %.4f [%.4f, %.4f]  recall %.4f [%.4f, %.4f]",
                   p.precision.value, p.precision.low, p.precision.high, p.recall.value,
                   p.recall.low, p.recall.high);
    }
    gy_cli_say(cli, "\n");
}

static void say_group(const struct gy_cli *cli, const struct gy_backtest_counts *c,
                      struct gy_str slice, enum gy_task task)
{
    gy_cli_say(cli, "%" GY_STR_F ": %lld rows, %lld by a rule\n",
               GY_STR_A(slice.p ? slice : GY_STR("all")), (long long)c->rows,
               (long long)c->by_rule);
    if (c->rows == 0) {
        return;
    }
    gy_cli_say(cli, "    same answer %.4f", share(c->same, c->rows));
    if (task == GY_TASK_BINARY) {
        gy_cli_say(cli, ", flips 0 -> 1: %lld, 1 -> 0: %lld", (long long)c->up, (long long)c->down);
    }
    if (c->scored > 0) {
        gy_cli_say(cli, ", mean change of score %+.4f (absolute %.4f)",
                   c->score_change / (double)c->scored, c->score_change_abs / (double)c->scored);
    }
    gy_cli_say(cli, "\n");
    if (c->labelled > 0) {
        gy_cli_say(cli, "    labels of %lld rows are known\n", (long long)c->labelled);
        say_quality(cli, "then", &c->then, c->labelled, task);
        say_quality(cli, "now ", &c->now, c->labelled, task);
    }
}

static gy_status answer(const struct gy_cli *cli, const struct gy_backtest_options *o,
                        const struct gy_backtest_result *r, struct gy_err *err)
{
    if (r->other > 0) {
        gy_cli_note(cli, "%lld rows can not be compared: %s\n", (long long)r->other, r->why_other);
    }
    if (cli->json) {
        return print_json(cli, o, r, err);
    }
    for (size_t i = 0; i < r->n_groups; i++) {
        say_group(cli, &r->groups[i], i ? o->slices[i - 1] : GY_STR_NULL, r->task);
    }
    gy_cli_say(cli,
               "%lld predictions, %lld rows the version would refuse, %lld of revisions that "
               "are gone; %.2f s\n",
               (long long)r->records, (long long)r->refused, (long long)r->unreadable, r->seconds);
    return GY_OK;
}

static gy_status run_backtest(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct backtest_opts *o = opts;
    GY_AUTO_DONE(gy_logged_done) struct gy_logged log = {0};
    GY_AUTO_DONE(gy_labels_done) struct gy_labels labels = {0};
    GY_AUTO(gy_predictor_free) struct gy_predictor *p = NULL;
    struct gy_str slices[GY_BACKTEST_MAX_SLICES], model;
    struct gy_backtest_result r;
    if (!o->model) {
        return gy_err_set(err, GY_E_USAGE, "what would which version have answered? --model V");
    }
    if (o->slices.n > GY_BACKTEST_MAX_SLICES || o->threads < 1 ||
        o->threads > GY_BACKTEST_MAX_THREADS) {
        return gy_err_set(err, GY_E_USAGE, "at most %d --slice, and 1 to %d --threads",
                          GY_BACKTEST_MAX_SLICES, GY_BACKTEST_MAX_THREADS);
    }
    for (size_t i = 0; i < o->slices.n; i++) {
        slices[i] = gy_str_c(o->slices.items[i]);
    }
    struct gy_backtest_options b = {.slices = slices,
                                    .n_slices = o->slices.n,
                                    .threshold = o->threshold < 0 ? NAN : o->threshold,
                                    .labels = &labels,
                                    .shape = gy_logged_shape,
                                    .shape_ctx = &log,
                                    .n_threads = (int)o->threads};
    GY_TRY(gy_performance_since(gy_str_c(o->since), gy_now_us(), &b.since_us, err));
    GY_TRY(gy_logged_init(&log, cli, err));
    GY_TRY(pick_endpoint(&log, o->endpoint, &model, err));
    GY_TRY(gy_logged_predictor(&log, o->model, model, &p, err));
    GY_TRY(fetch_labels(&log, b.since_us, &labels, err));
    b.dir = log.dir;
    b.endpoint = log.endpoint;
    b.predictor = p;
    GY_TRY(gy_backtest(&b, &cli->arena, &r, err));
    return answer(cli, &b, &r, err);
}

static const struct gy_opt backtest_opts[] = {
    {"since", 0, GY_OPT_STR, offsetof(struct backtest_opts, since), "T", "30d",
     "90m, 12h, 30d, 4w before now, or a time"},
    {"model", 'm', GY_OPT_STR, offsetof(struct backtest_opts, model), "V", NULL,
     "a version's number, NAME/VERSION, models:/NAME@ALIAS or a package folder"},
    {"endpoint", 'e', GY_OPT_STR, offsetof(struct backtest_opts, endpoint), "NAME", NULL,
     "default: the only one that is served"},
    {"slice", 0, GY_OPT_LIST, offsetof(struct backtest_opts, slices), "EXPR", NULL,
     "count where this holds, too: 'HR > 90' (repeatable)"},
    {"threshold", 0, GY_OPT_NUM, offsetof(struct backtest_opts, threshold), "P", "-1",
     "of a binary answer; -1: the version's own"},
    {"threads", 0, GY_OPT_INT, offsetof(struct backtest_opts, threads), "N", "2",
     "the numbers do not depend on it"},
};

static const struct gy_verb verbs[] = {
    {.noun = "backtest",
     .summary = "what another version would have answered to all logged predictions",
     .details =
         "Each logged row is answered again: where a rule decided it decides again, else the\n"
         "version does, with its own threshold. Tells which answers flip and, where labels\n"
         "came in as feedback, how right both were.",
     .examples = "  gyre backtest --since 30d --model sepsis/3\n"
                 "  gyre backtest --model models:/sepsis@champion --endpoint sepsis --slice 'HR > "
                 "90' --json",
     .opts = backtest_opts,
     .n_opts = sizeof backtest_opts / sizeof backtest_opts[0],
     .opts_bytes = sizeof(struct backtest_opts),
     .run = run_backtest},
};

const struct gy_verb_table gy_cmd_backtest = GY_VERB_TABLE(verbs);

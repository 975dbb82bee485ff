/* SPDX-License-Identifier: Apache-2.0 */
/* gyre review: the queue of predictions that a person judges. Reviews become data in
 * cmd_review_export.c. */

#include "base/file.h"
#include "base/limits.h"
#include "cli/ask.h"

#define BASE "/api/gyre/v1/reviews"
#define MAX_VERDICT_FILE (256 * GY_MIB)
enum { VERDICTS_A_CALL = 5000 };

static gy_status nomem(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory");
}

/* "ID" or "ID/ROW" as the path of the item with `tail` behind. */
static gy_status item_path(struct gy_cli *cli, const char *item, const char *tail, const char **ret,
                           struct gy_err *err)
{
    struct gy_str id, row;
    if (!gy_str_cut(gy_str_c(item), '/', &id, &row)) {
        row = GY_STR("0");
    }
    int64_t number;
    if (gy_parse_i64(row, 0, UINT32_MAX, &number, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_USAGE, "'%s' is no review: PREDICTION_ID or PREDICTION_ID/ROW",
                          item);
    }
    const char *format = gy_arena_printf(&cli->arena, BASE "/{}/%lld%s", (long long)number, tail);
    return format ? gy_cli_path(cli, format, id, ret, err) : nomem(err);
}

static struct gy_str number_cell(struct gy_cli *cli, yyjson_val *v)
{
    char text[32];
    if (!yyjson_is_num(v)) {
        return GY_STR_NULL;
    }
    return gy_arena_str(&cli->arena, gy_str_n(text, gy_fmt_f64_trim(yyjson_get_num(v), text)));
}

/* "HR=104 Resp=22 Temp=38.9" */
static struct gy_str inputs_text(struct gy_cli *cli, yyjson_val *inputs, size_t max)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    size_t i, n;
    yyjson_val *key, *v;
    gy_buf_init(&out, GY_MIB);
    yyjson_obj_foreach(inputs, i, n, key, v)
    {
        struct gy_str number = number_cell(cli, v);
        gy_buf_addf(&out, "%s%" GY_STR_F "=%" GY_STR_F, i ? " " : "",
                    GY_STR_A(gy_json_val_str(key)), GY_STR_A(number.p ? number : GY_STR("-")));
        if (out.n > max) {
            break;
        }
    }
    return gy_cli_cell(cli, gy_str_sub(gy_buf_str(&out), 0, max));
}

/* ---- list ---- */

struct list_opts {
    const char *state, *assignee, *order, *after;
    int64_t limit;
};

static void add_query(struct gy_buf *path, const char *key, const char *value)
{
    if (value) {
        gy_buf_addf(path, "&%s=", key);
        gy_url_encode(path, gy_str_c(value), false);
    }
}

static gy_status say_list(struct gy_cli *cli, const struct gy_cli_answer *a, struct gy_err *err)
{
    static const char *const head[] = {"prediction", "endpoint", "state",   "inputs",   "answered",
                                       "score",      "rule",     "verdict", "reviewer", "problem"};
    static const bool right[] = {false, false, false, false, false,
                                 true,  false, false, false, false};
    enum { N = sizeof head / sizeof head[0] };
    yyjson_val *list, *r;
    size_t i, n;
    GY_TRY(gy_json_need_arr(a->root, "reviews", &list, err));
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, yyjson_arr_size(list) * N + 1, sizeof *cells);
    if (!cells) {
        return nomem(err);
    }
    yyjson_arr_foreach(list, i, n, r)
    {
        struct gy_str *row = cells + i * N;
        bool hidden = gy_json_bool(r, "hidden", false);
        struct gy_str state = gy_json_str(r, "state"), who = gy_json_str(r, "assignee");
        row[0] = gy_cli_cellf(cli, "%" GY_STR_F "/%lld", GY_STR_A(gy_json_str(r, "prediction_id")),
                              (long long)gy_json_i64(r, "row", 0));
        row[1] = gy_cli_cell(cli, gy_json_str(r, "endpoint"));
        row[2] = gy_str_eqc(state, "assigned") ? gy_cli_cellf(cli, "with %" GY_STR_F, GY_STR_A(who))
                                               : gy_cli_cell(cli, state);
        row[3] = inputs_text(cli, gy_json_get(r, "inputs"), 60);
        row[4] = hidden ? GY_STR("(blind)") : gy_cli_cell(cli, gy_json_str(r, "predicted"));
        yyjson_val *score = gy_json_get(r, "score");
        row[5] =
            yyjson_is_num(score) ? gy_cli_cellf(cli, "%.3f", yyjson_get_num(score)) : GY_STR_NULL;
        row[6] = gy_cli_cell(cli, gy_json_str(r, "rule"));
        row[7] = gy_cli_cell(cli, gy_json_str(r, "verdict"));
        row[8] = gy_cli_cellf(cli, "%" GY_STR_F "%s", GY_STR_A(gy_json_str(r, "reviewer")),
                              gy_json_bool(r, "simulated", false) ? " (simulated)" : "");
        int64_t problems = gy_json_i64(r, "problems", 0);
        row[9] = problems > 1
                     ? gy_cli_cellf(cli, "%" GY_STR_F " (%lld)",
                                    GY_STR_A(gy_json_str(r, "problem")), (long long)problems)
                     : gy_cli_cell(cli, gy_json_str(r, "problem"));
    }
    gy_cli_table(cli, head, N, cells, yyjson_arr_size(list), right);
    int64_t skipped = gy_json_i64(a->root, "skipped", 0);
    gy_cli_say(cli, "%lld undecided, %lld done", (long long)gy_json_i64(a->root, "undecided", 0),
               (long long)gy_json_i64(a->root, "done", 0));
    if (skipped > 0) {
        gy_cli_say(cli, ", %lld skipped while the queue was full", (long long)skipped);
    }
    struct gy_str next = gy_json_str(a->root, "next");
    if (next.p) {
        gy_cli_say(cli, "; more: --after %" GY_STR_F, GY_STR_A(next));
    }
    gy_cli_say(cli, "\n");
    return GY_OK;
}

static gy_status run_list(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct list_opts *o = opts;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    gy_buf_init(&path, 64 * GY_KIB);
    gy_buf_addf(&path, BASE "?limit=%lld", (long long)o->limit);
    add_query(&path, "endpoint", cli->argc ? cli->argv[0] : NULL);
    add_query(&path, "state", o->state);
    add_query(&path, "assignee", o->assignee);
    add_query(&path, "order", o->order);
    add_query(&path, "after", o->after);
    GY_TRY(gy_buf_check(&path, "the request", err));
    GY_TRY(gy_cli_ask(cli, "GET", path.p, GY_STR_NULL, &a, err));
    return cli->json ? gy_cli_print_answer(cli, &a, err) : say_list(cli, &a, err);
}

static const struct gy_opt list_opts[] = {
    {"state", 0, GY_OPT_STR, offsetof(struct list_opts, state), "STATE", NULL,
     "open, assigned or done; default: any"},
    {"assignee", 0, GY_OPT_STR, offsetof(struct list_opts, assignee), "NAME", NULL,
     "those that NAME has"},
    {"order", 0, GY_OPT_STR, offsetof(struct list_opts, order), "ORDER", "oldest",
     "oldest, newest, or uncertain (the open ones nearest to another answer)"},
    {"limit", 'n', GY_OPT_INT, offsetof(struct list_opts, limit), "N", "20", "at most 1000"},
    {"after", 0, GY_OPT_STR, offsetof(struct list_opts, after), "ID/ROW", NULL,
     "go on behind this one"},
};

/* ---- show ---- */

static void say_line(struct gy_cli *cli, const char *name, struct gy_str text)
{
    if (text.n) {
        gy_cli_say(cli, "  %-13s %" GY_STR_F "\n", name, GY_STR_A(text));
    }
}

static void say_review(struct gy_cli *cli, yyjson_val *r)
{
    static const char *const texts[] = {"request_id",   "endpoint",  "model_version", "state",
                                        "assignee",     "predicted", "rule",          "rule_reason",
                                        "verdict",      "reviewer",  "reason",        "picked_by",
                                        "predicted_at", "created",   "decided"};
    size_t i, n;
    yyjson_val *key, *v;
    gy_cli_say(cli, "review %" GY_STR_F "/%lld%s%s\n", GY_STR_A(gy_json_str(r, "prediction_id")),
               (long long)gy_json_i64(r, "row", 0),
               gy_json_bool(r, "hidden", false) ? "  (blind: the answer comes after the verdict)"
                                                : "",
               gy_json_bool(r, "simulated", false) ? "  (simulated)" : "");
    for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) {
        say_line(cli, texts[t], gy_json_str(r, texts[t]));
    }
    say_line(cli, "score", number_cell(cli, gy_json_get(r, "score")));
    say_line(cli, "picked_with_p", number_cell(cli, gy_json_get(r, "probability")));
    gy_cli_say(cli, "inputs\n");
    yyjson_obj_foreach(gy_json_get(r, "inputs"), i, n, key, v)
    {
        struct gy_str number = number_cell(cli, v);
        gy_cli_say(cli, "  %-12" GY_STR_F " %" GY_STR_F "\n", GY_STR_A(gy_json_val_str(key)),
                   GY_STR_A(number.p ? number : GY_STR("-")));
    }
}

static gy_status finish(struct gy_cli *cli, const struct gy_cli_answer *a, struct gy_err *err)
{
    if (cli->json) {
        return gy_cli_print_answer(cli, a, err);
    }
    say_review(cli, a->root);
    return GY_OK;
}

static gy_status run_show(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    const char *path;
    GY_TRY(item_path(cli, cli->argv[0], "", &path, err));
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &a, err));
    return finish(cli, &a, err);
}

/* ---- add, assign ---- */

static gy_status run_add(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    struct gy_jw w;
    gy_buf_init(&body, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_key(&w, "prediction_ids");
    gy_jw_arr(&w);
    for (int i = 0; i < cli->argc; i++) {
        gy_jw_strc(&w, cli->argv[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the request", err));
    GY_TRY(gy_cli_ask(cli, "POST", BASE, gy_buf_str(&body), &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    gy_cli_say(cli, "%lld rows are in the review queue\n",
               (long long)gy_json_i64(a.root, "picked", 0));
    return GY_OK;
}

struct assign_opts {
    const char *to;
    bool take, back;
};

static gy_status run_assign(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct assign_opts *o = opts;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    struct gy_jw w;
    const char *path;
    gy_buf_init(&body, 16 * GY_KIB);
    if (o->to && o->back) {
        return gy_err_set(err, GY_E_USAGE, "either --to NAME or --back");
    }
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    if (o->back) {
        gy_jw_kv_null(&w, "assignee");
    } else if (o->to) {
        gy_jw_kv_strc(&w, "assignee", o->to);
    }
    gy_jw_kv_bool(&w, "take", o->take);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the request", err));
    GY_TRY(item_path(cli, cli->argv[0], "/assign", &path, err));
    GY_TRY(gy_cli_ask(cli, "POST", path, gy_buf_str(&body), &a, err));
    return finish(cli, &a, err);
}

static const struct gy_opt assign_opts[] = {
    {"to", 0, GY_OPT_STR, offsetof(struct assign_opts, to), "NAME", NULL, "default: you"},
    {"take", 0, GY_OPT_FLAG, offsetof(struct assign_opts, take), NULL, NULL,
     "also when somebody else has it"},
    {"back", 0, GY_OPT_FLAG, offsetof(struct assign_opts, back), NULL, NULL, "back into the queue"},
};

/* ---- verdict ---- */

struct verdict_opts {
    const char *reason, *file;
    struct gy_opt_list tags;
};

static void write_tags(struct gy_jw *w, const struct verdict_opts *o)
{
    if (o->tags.n) {
        gy_jw_key(w, "tags");
        gy_jw_arr(w);
        for (size_t i = 0; i < o->tags.n; i++) {
            gy_jw_strc(w, o->tags.items[i]);
        }
        gy_jw_arr_end(w);
    }
}

static gy_status one_verdict(struct gy_cli *cli, const struct verdict_opts *o, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    struct gy_jw w;
    const char *path;
    gy_buf_init(&body, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "verdict", cli->argv[1]);
    if (o->reason) {
        gy_jw_kv_strc(&w, "reason", o->reason);
    }
    write_tags(&w, o);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the verdict", err));
    GY_TRY(item_path(cli, cli->argv[0], "/verdict", &path, err));
    GY_TRY(gy_cli_ask(cli, "POST", path, gy_buf_str(&body), &a, err));
    return finish(cli, &a, err);
}

struct totals {
    int64_t decided, corrected, unchanged;
};

/* The verdicts of up to VERDICTS_A_CALL lines; *rest goes on behind them. */
static gy_status send_lines(struct gy_cli *cli, const struct verdict_opts *o, struct gy_str *rest,
                            int64_t *line, struct totals *t, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    struct gy_jw w;
    struct gy_str one;
    int n = 0;
    gy_buf_init(&body, MAX_VERDICT_FILE);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    write_tags(&w, o);
    gy_jw_key(&w, "verdicts");
    gy_jw_arr(&w);
    while (n < VERDICTS_A_CALL && gy_str_next(rest, '\n', &one)) {
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        (*line)++;
        if (gy_str_trim(one).n == 0) {
            continue;
        }
        if (gy_json_parse(one, &doc, err) != GY_OK) {
            return gy_err_wrap(err, "line %lld", (long long)*line);
        }
        gy_jw_val(&w, yyjson_doc_get_root(doc));
        n++;
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the verdicts", err));
    if (n == 0) {
        return GY_OK;
    }
    if (gy_cli_ask(cli, "POST", BASE "/verdicts", gy_buf_str(&body), &a, err) != GY_OK) {
        return gy_err_wrap(err, "up to line %lld", (long long)*line);
    }
    t->decided += gy_json_i64(a.root, "decided", 0);
    t->corrected += gy_json_i64(a.root, "corrected", 0);
    t->unchanged += gy_json_i64(a.root, "unchanged", 0);
    return GY_OK;
}

static gy_status many_verdicts(struct gy_cli *cli, const struct verdict_opts *o, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf file;
    struct totals t = {0, 0, 0};
    int64_t line = 0;
    gy_buf_init(&file, MAX_VERDICT_FILE);
    GY_TRY(gy_file_read(o->file, &file, err));
    struct gy_str rest = gy_buf_str(&file);
    while (rest.p) {
        GY_TRY(send_lines(cli, o, &rest, &line, &t, err));
    }
    if (!cli->json) {
        gy_cli_say(cli, "%lld decided, %lld corrected, %lld were so already\n",
                   (long long)t.decided, (long long)t.corrected, (long long)t.unchanged);
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "decided", t.decided);
    gy_jw_kv_i64(&w, "corrected", t.corrected);
    gy_jw_kv_i64(&w, "unchanged", t.unchanged);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

static gy_status run_verdict(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct verdict_opts *o = opts;
    if (o->file ? cli->argc != 0 || o->reason : cli->argc != 2) {
        return gy_err_set(err, GY_E_USAGE, "either PREDICTION_ID[/ROW] VERDICT, or --file FILE");
    }
    return o->file ? many_verdicts(cli, o, err) : one_verdict(cli, o, err);
}

static const struct gy_opt verdict_opts[] = {
    {"reason", 'r', GY_OPT_STR, offsetof(struct verdict_opts, reason), "TEXT", NULL, "why"},
    {"tag", 0, GY_OPT_LIST, offsetof(struct verdict_opts, tags), "TAG", NULL,
     "may be repeated; `simulated` marks what no person said"},
    {"file", 'f', GY_OPT_STR, offsetof(struct verdict_opts, file), "FILE", NULL,
     "lines of JSON: prediction_id, row, verdict, reason, tags"},
};

/* ---- summary ---- */

static gy_status run_summary(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    static const char *const head[] = {"endpoint",  "open",      "assigned", "done",
                                       "agreement", "simulated", "skipped",  "median hours"};
    static const char *const keys[] = {"open", "assigned", "done", "", "simulated", "skipped"};
    static const bool right[] = {false, true, true, true, true, true, true, true};
    enum { N = sizeof head / sizeof head[0] };
    (void)opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    const char *path = BASE "/summary";
    yyjson_val *list, *q;
    size_t i, n;
    if (cli->argc) {
        GY_TRY(gy_cli_path(cli, BASE "/summary?endpoint={}", gy_str_c(cli->argv[0]), &path, err));
    }
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    GY_TRY(gy_json_need_arr(a.root, "endpoints", &list, err));
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, yyjson_arr_size(list) * N + 1, sizeof *cells);
    if (!cells) {
        return nomem(err);
    }
    yyjson_arr_foreach(list, i, n, q)
    {
        struct gy_str *row = cells + i * N;
        yyjson_val *agreement = gy_json_get(q, "agreement"),
                   *hours = gy_json_get(q, "median_hours");
        row[0] = gy_cli_cell(cli, gy_json_str(q, "endpoint"));
        for (int k = 0; k < 6; k++) {
            row[1 + k] = gy_cli_cellf(cli, "%lld", (long long)gy_json_i64(q, keys[k], 0));
        }
        row[4] = yyjson_is_num(agreement)
                     ? gy_cli_cellf(cli, "%.1f %%", 100 * yyjson_get_num(agreement))
                     : GY_STR_NULL;
        row[7] =
            yyjson_is_num(hours) ? gy_cli_cellf(cli, "%.2f", yyjson_get_num(hours)) : GY_STR_NULL;
    }
    gy_cli_table(cli, head, N, cells, yyjson_arr_size(list), right);
    return GY_OK;
}

/* ---- link ---- */

struct link_opts {
    const char *as, *url;
    int64_t days;
};

/* Where the page is: --url, --server, else the port of the server that holds the home. */
static gy_status find_url(struct gy_cli *cli, const struct link_opts *o, struct gy_str *ret,
                          struct gy_err *err)
{
    const char *given = o->url ? o->url : cli->server;
    if (given) {
        *ret = gy_str_c(given);
        while (gy_str_ends(*ret, GY_STR("/"))) {
            ret->n--;
        }
        return GY_OK;
    }
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    GY_TRY(gy_cli_ask(cli, "GET", "/api/gyre/v1/status", GY_STR_NULL, &a, err));
    int64_t port = gy_json_i64(gy_json_get(a.root, "server"), "port", 0);
    if (port == 0) {
        (void)gy_err_set(err, GY_E_UNAVAILABLE, "no server runs on this home: there is no page");
        return gy_err_hint(err, "`gyre server` starts one; --url tells where it will be");
    }
    *ret = gy_cli_cellf(cli, "http://127.0.0.1:%lld", (long long)port);
    return ret->p ? GY_OK : nomem(err);
}

static gy_status run_link(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct link_opts *o = opts;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    struct gy_str url;
    struct gy_jw w;
    gy_buf_init(&body, 64 * GY_KIB);
    GY_TRY(find_url(cli, o, &url, err));
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    if (o->as) {
        gy_jw_kv_strc(&w, "as", o->as);
    }
    gy_jw_kv_i64(&w, "days", o->days);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the request", err));
    GY_TRY(gy_cli_ask(cli, "POST", BASE "/link", gy_buf_str(&body), &a, err));
    struct gy_str path = gy_json_str(a.root, "path"), expires = gy_json_str(a.root, "expires");
    if (!cli->json) {
        gy_cli_say(cli, "%" GY_STR_F "%" GY_STR_F "\n", GY_STR_A(url), GY_STR_A(path));
        gy_cli_note(cli, "who opens it reviews as %" GY_STR_F ", until %" GY_STR_F "\n",
                    GY_STR_A(gy_json_str(a.root, "as")), GY_STR_A(gy_str_sub(expires, 0, 16)));
        return GY_OK;
    }
    gy_buf_reset(&body);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_key(&w, "url");
    gy_jw_strf(&w, "%" GY_STR_F "%" GY_STR_F, GY_STR_A(url), GY_STR_A(path));
    gy_jw_kv_str(&w, "token", gy_json_str(a.root, "token"));
    gy_jw_kv_str(&w, "as", gy_json_str(a.root, "as"));
    gy_jw_kv_str(&w, "expires", expires);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &body, err);
}

static const struct gy_opt link_opts[] = {
    {"as", 0, GY_OPT_STR, offsetof(struct link_opts, as), "NAME", NULL,
     "the reviewer's name; default: you"},
    {"days", 0, GY_OPT_INT, offsetof(struct link_opts, days), "N", "7", "how long it is good"},
    {"url", 0, GY_OPT_STR, offsetof(struct link_opts, url), "URL", NULL,
     "how the reviewer's browser reaches the server"},
};

static const struct gy_verb verbs[] = {
    {.noun = "review",
     .verb = "list",
     .args = "[ENDPOINT]",
     .max_args = 1,
     .summary = "predictions that a person is to judge, or has judged",
     .details = "Which predictions come here says `review` in gyre.yaml. Of a blind queue the "
                "answer is hidden until the verdict.",
     .examples = "  gyre review list sepsis --state open --order uncertain\n  gyre review list "
                 "--assignee ann",
     .opts = list_opts,
     .n_opts = sizeof list_opts / sizeof list_opts[0],
     .opts_bytes = sizeof(struct list_opts),
     .run = run_list},
    {.noun = "review",
     .verb = "show",
     .args = "PREDICTION_ID[/ROW]",
     .min_args = 1,
     .max_args = 1,
     .summary = "one of them with its inputs",
     .examples = "  gyre review show 01932f4e-7c1a-7000-8000-0123456789ab",
     .run = run_show},
    {.noun = "review",
     .verb = "add",
     .args = "PREDICTION_ID...",
     .min_args = 1,
     .max_args = 1000,
     .summary = "put logged predictions into the queue, whatever the policy says",
     .examples = "  gyre review add 01932f4e-7c1a-7000-8000-0123456789ab",
     .run = run_add},
    {.noun = "review",
     .verb = "assign",
     .args = "PREDICTION_ID[/ROW]",
     .min_args = 1,
     .max_args = 1,
     .summary = "say who judges it",
     .examples = "  gyre review assign 01932f4e-7c1a-7000-8000-0123456789ab --to ann",
     .opts = assign_opts,
     .n_opts = sizeof assign_opts / sizeof assign_opts[0],
     .opts_bytes = sizeof(struct assign_opts),
     .run = run_assign},
    {.noun = "review",
     .verb = "verdict",
     .args = "[PREDICTION_ID[/ROW] VERDICT]",
     .max_args = 2,
     .summary = "judge: a label of the model, or agree, or (two classes) disagree",
     .details =
         "A verdict is a label: it counts in the measured performance and goes into the next "
         "dataset.",
     .examples = "  gyre review verdict 01932f4e-7c1a-7000-8000-0123456789ab 1 --reason \"culture "
                 "positive\"\n  gyre review verdict --file verdicts.jsonl --tag simulated",
     .opts = verdict_opts,
     .n_opts = sizeof verdict_opts / sizeof verdict_opts[0],
     .opts_bytes = sizeof(struct verdict_opts),
     .run = run_verdict},
    {.noun = "review",
     .verb = "summary",
     .args = "[ENDPOINT]",
     .max_args = 1,
     .summary = "what stands in the queues, and how often reviewers agree",
     .examples = "  gyre review summary",
     .run = run_summary},
    {.noun = "review",
     .verb = "link",
     .args = "",
     .summary = "an address that opens the review page in a person's name",
     .details = "Over HTTP nobody has a name, so the page could not give a verdict. The address "
                "holds a signed token; whoever has it reviews as NAME until it expires. Deleting "
                "review.key in the home folder voids all of them.",
     .examples = "  gyre review link --as \"Dr. Ann\"\n  gyre review link --as ann --days 1",
     .opts = link_opts,
     .n_opts = sizeof link_opts / sizeof link_opts[0],
     .opts_bytes = sizeof(struct link_opts),
     .run = run_link},
};

const struct gy_verb_table gy_cmd_review = GY_VERB_TABLE(verbs);

/* SPDX-License-Identifier: Apache-2.0 */
/* gyre models diff, card: what two versions differ in, and what is to be known about one. */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/proc.h"
#include "base/yaml.h"
#include "cli/ask.h"
#include "cli/yaml_json.h"
#include "flow/model_card.h"

#define BASE "/api/gyre/v1/models"
#define MAX_CELL 44 /* characters of a value in a table */

/* ---- diff ---- */

static bool is_sha256(struct gy_str s)
{
    bool hex = s.n == 64;
    for (size_t i = 0; hex && i < s.n; i++) {
        hex = (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f');
    }
    return hex;
}

static struct gy_str value_cell(struct gy_cli *cli, yyjson_val *v)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out = {0};
    struct gy_str s = gy_json_val_str(v);
    struct gy_jw w;
    if (!v || yyjson_is_null(v)) {
        return GY_STR_NULL;
    }
    if (yyjson_is_str(v)) {
        return gy_cli_cell(cli, gy_str_sub(s, 0, is_sha256(s) ? 16 : MAX_CELL));
    }
    if (yyjson_is_real(v)) {
        return gy_cli_cellf(cli, "%.6g", yyjson_get_num(v));
    }
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_val(&w, v);
    return gy_cli_cell(cli, gy_str_sub(gy_buf_str(&out), 0, MAX_CELL));
}

/* Of a map what is different from the other side: "max=248 mean=79.7". */
static struct gy_str side_cell(struct gy_cli *cli, yyjson_val *v, yyjson_val *other)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out = {0};
    if (!yyjson_is_obj(v)) {
        return value_cell(cli, v);
    }
    gy_buf_init(&out, GY_MIB);
    yyjson_obj_iter it = yyjson_obj_iter_with(v);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        yyjson_val *mine = yyjson_obj_iter_get_val(key);
        yyjson_val *theirs = gy_json_get(other, yyjson_get_str(key));
        struct gy_str cell = value_cell(cli, mine);
        if (!theirs || !gy_str_eq(cell, value_cell(cli, theirs))) {
            gy_buf_addf(&out, "%s%s=%" GY_STR_F, out.n ? " " : "", yyjson_get_str(key),
                        GY_STR_A(cell));
        }
    }
    return gy_cli_cell(cli, gy_str_sub(gy_buf_str(&out), 0, MAX_CELL));
}

/* "0.9100 (0.88-0.93)" */
static struct gy_str metric_cell(struct gy_cli *cli, yyjson_val *m)
{
    double v = gy_json_f64(m, "value", NAN), low = gy_json_f64(m, "low", NAN);
    double high = gy_json_f64(m, "high", NAN);
    if (isnan(v)) {
        return GY_STR_NULL;
    }
    return isnan(low) || isnan(high) ? gy_cli_cellf(cli, "%.4g", v)
                                     : gy_cli_cellf(cli, "%.4f (%.4f-%.4f)", v, low, high);
}

static struct gy_str change_cell(struct gy_cli *cli, yyjson_val *row, bool metrics)
{
    struct gy_str change = gy_json_str(row, "change");
    yyjson_val *overlap = gy_json_get(row, "overlap");
    if (!metrics || !yyjson_is_num(gy_json_get(row, "difference"))) {
        return gy_cli_cell(cli, change);
    }
    return gy_cli_cellf(cli, "%+.4f%s", gy_json_f64(row, "difference", 0),
                        yyjson_is_false(overlap) ? " (intervals apart)" : "");
}

static gy_status print_section(struct gy_cli *cli, yyjson_val *section, const char *a,
                               const char *b, struct gy_err *err)
{
    struct gy_str name = gy_json_str(section, "section");
    bool metrics = gy_str_eqc(name, "metrics");
    yyjson_val *rows = gy_json_get(section, "rows"), *row;
    size_t i, n;
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, yyjson_arr_size(rows) * 4 + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    if (yyjson_arr_size(rows) == 0) {
        return GY_OK;
    }
    const char *const head[] = {name.p, a, b, "change"};
    yyjson_arr_foreach(rows, i, n, row)
    {
        yyjson_val *x = gy_json_get(row, "a"), *y = gy_json_get(row, "b");
        cells[i * 4] = gy_cli_cell(cli, gy_str_sub(gy_json_str(row, "key"), 0, MAX_CELL));
        cells[i * 4 + 1] = metrics ? metric_cell(cli, x) : side_cell(cli, x, y);
        cells[i * 4 + 2] = metrics ? metric_cell(cli, y) : side_cell(cli, y, x);
        cells[i * 4 + 3] = change_cell(cli, row, metrics);
    }
    gy_cli_table(cli, head, 4, cells, yyjson_arr_size(rows), NULL);
    gy_cli_say(cli, "\n");
    return GY_OK;
}

static gy_status print_diff(struct gy_cli *cli, yyjson_val *diff, const char *a, const char *b,
                            struct gy_err *err)
{
    size_t i, n;
    yyjson_val *section;
    yyjson_arr_foreach(gy_json_get(diff, "sections"), i, n, section)
    {
        GY_TRY(print_section(cli, section, a, b, err));
    }
    gy_cli_say(cli, gy_json_bool(diff, "same", false) ? "no differences\n" : "");
    return GY_OK;
}

static gy_status run_diff(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    const char *base = NULL, *path = NULL;
    GY_TRY(gy_cli_path(cli, BASE "/diff?a={}&b=", gy_str_c(cli->argv[0]), &base, err));
    base = gy_arena_printf(&cli->arena, "%s{}", base);
    if (!base) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    GY_TRY(gy_cli_path(cli, base, gy_str_c(cli->argv[1]), &path, err));
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    return print_diff(cli, a.root, gy_json_str(a.root, "a").p, gy_json_str(a.root, "b").p, err);
}

/* ---- card ---- */

struct card_opts {
    const char *html, *file, *diff, *reason;
    struct gy_opt_list set;
    int64_t version;
    bool edit, save, history;
};

/* The path of a version's card, tail appended; the version's number whatever was asked for. */
static gy_status card_path(struct gy_cli *cli, const char *tail, const char **ret,
                           struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    const char *path = NULL;
    GY_TRY(gy_cli_path(cli, BASE "/resolve?ref={}", gy_str_c(cli->argv[0]), &path, err));
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &a, err));
    GY_TRY(gy_cli_path(cli, BASE "/{}", gy_json_str(a.root, "name"), &path, err));
    *ret = gy_arena_printf(&cli->arena, "%s/versions/%lld/%s", path,
                           (long long)gy_json_i64(a.root, "version", 0), tail);
    return *ret ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

/* "owner=ann"; of a list each one adds a text; "owner=" takes it away. */
static gy_status write_sets(struct gy_jw *w, const struct gy_opt_list *set, struct gy_err *err)
{
    for (size_t i = 0; i < set->n; i++) {
        struct gy_str key, value, other, rest;
        bool first = true, more = false;
        if (!gy_str_cut(gy_str_c(set->items[i]), '=', &key, &value)) {
            return gy_err_set(err, GY_E_USAGE, "--set %s: want key=value", set->items[i]);
        }
        for (size_t k = 0; k < i; k++) {
            (void)gy_str_cut(gy_str_c(set->items[k]), '=', &other, &rest);
            first &= !gy_str_eq(other, key);
        }
        if (!first) {
            if (!gy_card_key_is_list(key)) {
                return gy_err_set(err, GY_E_USAGE, "--set %s: set twice", set->items[i]);
            }
            continue;
        }
        gy_jw_keys(w, key);
        if (value.n == 0) {
            gy_jw_null(w);
            continue;
        }
        if (!gy_card_key_is_list(key)) {
            gy_jw_str(w, value);
            continue;
        }
        gy_jw_arr(w);
        gy_jw_str(w, value);
        for (size_t k = i + 1; k < set->n; k++) {
            more = gy_str_cut(gy_str_c(set->items[k]), '=', &other, &rest);
            if (more && gy_str_eq(other, key)) {
                gy_jw_str(w, rest);
            }
        }
        gy_jw_arr_end(w);
    }
    return GY_OK;
}

/* A file states everything: what it does not name is taken away. */
static gy_status write_file(struct gy_jw *w, const char *path, struct gy_err *err)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    GY_TRY(gy_yaml_read_file(path, &y, err));
    const struct gy_yaml_node *root = gy_yaml_root(y);
    if (!root || root->kind != GY_YAML_MAP) {
        return gy_err_set(err, GY_E_INVALID, "%s: a card is a map: intended_use, owner, ...", path);
    }
    for (size_t i = 0; i < root->n_items; i++) { /* unknown keys are the route's to refuse */
        gy_jw_keys(w, root->keys[i]);
        gy_cli_yaml_value(w, &root->items[i]);
    }
    for (size_t i = 0; gy_card_keys[i]; i++) {
        if (!gy_yaml_get(root, gy_card_keys[i])) {
            gy_jw_kv_null(w, gy_card_keys[i]);
        }
    }
    return GY_OK;
}

/* ---- edit ---- */

static void add_block(struct gy_buf *out, struct gy_str text)
{
    struct gy_str rest = text, line;
    gy_buf_addc(out, "|-\n");
    while (gy_str_next(&rest, '\n', &line)) {
        gy_buf_addf(out, "  %" GY_STR_F "\n", GY_STR_A(line));
    }
}

/* What is stated, as a person edits it; keys without a value stand there as a question. */
static void write_yaml(yyjson_val *stated, struct gy_buf *out)
{
    for (size_t i = 0; gy_card_keys[i]; i++) {
        yyjson_val *v = gy_json_get(stated, gy_card_keys[i]), *one;
        size_t k, n;
        if (!v) {
            gy_buf_addf(out, "# %s:\n", gy_card_keys[i]);
        } else if (yyjson_is_arr(v)) {
            gy_buf_addf(out, "%s:\n", gy_card_keys[i]);
            yyjson_arr_foreach(v, k, n, one)
            {
                gy_buf_addc(out, "- ");
                gy_yaml_add_scalar(out, gy_json_val_str(one));
                gy_buf_add_char(out, '\n');
            }
        } else {
            gy_buf_addf(out, "%s: ", gy_card_keys[i]);
            if (gy_str_find(gy_json_val_str(v), '\n') == SIZE_MAX) {
                gy_yaml_add_scalar(out, gy_json_val_str(v));
                gy_buf_add_char(out, '\n');
            } else {
                add_block(out, gy_json_val_str(v));
            }
        }
    }
}

static gy_status run_editor(const char *path, struct gy_err *err)
{
    const char *editor = getenv("VISUAL");
    editor = editor && editor[0] ? editor : getenv("EDITOR");
    const char *const argv[] = {
        "/bin/sh", "-c", "exec $0 \"$1\"", editor && editor[0] ? editor : "vi", path, NULL};
    struct gy_proc_options o = {
        .argv = argv, .stdin_fd = STDIN_FILENO, .stdout_fd = -1, .stderr_fd = -1};
    struct gy_proc p;
    int code = 0;
    GY_TRY(gy_proc_start(&o, &p, err));
    GY_TRY(gy_proc_wait(&p, &code, err));
    return code == 0
               ? GY_OK
               : gy_err_set(err, GY_E_FAILED, "the editor ended with %d: nothing was saved", code);
}

static gy_status edit(struct gy_cli *cli, yyjson_val *stated, struct gy_jw *w, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_home home = {.lock_fd = -1};
    char path[GY_MAX_PATH], name[64];
    gy_buf_init(&text, GY_MIB);
    (void)snprintf(name, sizeof name, "cache/card-%lld.yaml", (long long)getpid());
    GY_TRY(gy_cli_home(cli, &home, err));
    gy_status status = gy_home_path(&home, name, path, err);
    gy_home_done(&home);
    GY_TRY(status);
    gy_buf_addf(&text, "# What people state about %s. Keys that are not here are taken away.\n",
                cli->argv[0]);
    write_yaml(stated, &text);
    GY_TRY(gy_buf_check(&text, "the card", err));
    GY_TRY(gy_dir_make_for(path, err));
    GY_TRY(gy_file_write(path, gy_buf_str(&text), 0600, err));
    status = run_editor(path, err);
    status = status == GY_OK ? write_file(w, path, err) : status;
    (void)unlink(path); /* a working copy */
    return status;
}

/* ---- saving ---- */

static gy_status save(struct gy_cli *cli, const struct card_opts *o, struct gy_cli_answer *ret,
                      struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    const char *path = NULL;
    struct gy_jw w;
    gy_buf_init(&body, GY_MIB);
    GY_TRY(card_path(cli, "card", &path, err));
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    if (o->reason) {
        gy_jw_kv_strc(&w, "reason", o->reason);
    }
    if (o->edit) {
        GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer now = {.doc = NULL};
        GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &now, err));
        gy_jw_kv_i64(&w, "expect", gy_json_i64(now.root, "number", 0));
        gy_jw_key(&w, "set");
        gy_jw_obj(&w);
        GY_TRY(edit(cli, gy_json_get(now.root, "stated"), &w, err));
    } else {
        gy_jw_key(&w, "set");
        gy_jw_obj(&w);
        GY_TRY(o->file ? write_file(&w, o->file, err) : write_sets(&w, &o->set, err));
    }
    gy_jw_obj_end(&w);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the card", err));
    return gy_cli_ask(cli, "POST", path, gy_buf_str(&body), ret, err);
}

/* ---- showing ---- */

static void say_stated(struct gy_cli *cli, yyjson_val *stated)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(stated);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        yyjson_val *v = yyjson_obj_iter_get_val(key), *one;
        size_t i, n;
        if (!yyjson_is_arr(v)) {
            gy_cli_say(cli, "%-13s %" GY_STR_F "\n", yyjson_get_str(key),
                       GY_STR_A(gy_json_val_str(v)));
            continue;
        }
        yyjson_arr_foreach(v, i, n, one)
        {
            gy_cli_say(cli, "%-13s %" GY_STR_F "\n", i ? "" : yyjson_get_str(key),
                       GY_STR_A(gy_json_val_str(one)));
        }
    }
}

static gy_status print_metrics(struct gy_cli *cli, yyjson_val *metrics, struct gy_err *err)
{
    static const char *const head[] = {"metric", "value", "rows"};
    static const bool right[] = {false, false, true};
    size_t n = yyjson_obj_size(metrics), i = 0;
    struct gy_str *cells = gy_arena_calloc(&cli->arena, n * 3 + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    yyjson_obj_iter it = yyjson_obj_iter_with(metrics);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it)); i++) {
        yyjson_val *m = yyjson_obj_iter_get_val(key);
        cells[i * 3] = gy_cli_cell(cli, gy_json_val_str(key));
        cells[i * 3 + 1] = metric_cell(cli, m);
        cells[i * 3 + 2] = value_cell(cli, gy_json_get(m, "rows"));
    }
    gy_cli_table(cli, head, 3, cells, n, right);
    return GY_OK;
}

static gy_status print_card(struct gy_cli *cli, yyjson_val *card, struct gy_err *err)
{
    yyjson_val *sections = gy_json_get(card, "sections"), *stated = gy_json_get(card, "stated");
    yyjson_val *data = gy_json_get(sections, "data"), *usecase = gy_json_get(card, "usecase");
    int64_t number = gy_json_i64(card, "number", 0);
    gy_cli_say(cli, "model card of %" GY_STR_F "/%lld", GY_STR_A(gy_json_str(card, "model")),
               (long long)gy_json_i64(card, "version", 0));
    if (number) {
        gy_cli_say(cli, ": version %lld, by %" GY_STR_F "\n\n", (long long)number,
                   GY_STR_A(gy_json_str(card, "saved_by")));
    } else {
        gy_cli_say(cli, ": nothing was stated yet\n\n");
    }
    say_stated(cli, stated);
    if (gy_json_str(usecase, "name").n > 0) {
        gy_cli_say(cli, "%-13s %" GY_STR_F " (%" GY_STR_F ")\n", "use case",
                   GY_STR_A(gy_json_str(usecase, "name")), GY_STR_A(gy_json_str(usecase, "state")));
    }
    gy_cli_say(cli, "%-13s %" GY_STR_F " sha256 %.16s\n", "data",
               GY_STR_A(gy_json_str(data, "dataset").n ? gy_json_str(data, "dataset")
                                                       : GY_STR("(not registered)")),
               gy_json_str(data, "sha256").n ? gy_json_str(data, "sha256").p : "-");
    if (gy_json_str(data, "trained on erased subjects").n > 0) {
        gy_cli_say(cli, "trained on erased subjects: %" GY_STR_F "\n",
                   GY_STR_A(gy_json_str(data, "trained on erased subjects")));
    }
    gy_cli_say(cli, "%-13s %zu verdicts, %zu approvals\n\n", "judged",
               yyjson_arr_size(gy_json_get(card, "verdicts")),
               yyjson_arr_size(gy_json_get(card, "approvals")));
    return print_metrics(cli, gy_json_get(sections, "metrics"), err);
}

static gy_status show_history(struct gy_cli *cli, struct gy_err *err)
{
    static const char *const head[] = {"card", "time", "by", "reason"};
    static const bool right[] = {true, false, false, false};
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    const char *path = NULL;
    size_t i, n;
    yyjson_val *c;
    GY_TRY(card_path(cli, "cards", &path, err));
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    yyjson_val *list = gy_json_get(a.root, "cards");
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, yyjson_arr_size(list) * 4 + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    yyjson_arr_foreach(list, i, n, c)
    {
        cells[i * 4] = value_cell(cli, gy_json_get(c, "number"));
        cells[i * 4 + 1] = gy_cli_cell(cli, gy_str_sub(gy_json_str(c, "time"), 0, 19));
        cells[i * 4 + 2] = gy_cli_cell(cli, gy_json_str(c, "actor"));
        cells[i * 4 + 3] = gy_cli_cell(cli, gy_json_str(c, "reason"));
    }
    gy_cli_table(cli, head, 4, cells, yyjson_arr_size(list), right);
    return GY_OK;
}

/* "1:2", or "1": against now. */
static gy_status show_diff(struct gy_cli *cli, const char *pair, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    const char *path = NULL;
    struct gy_str first, second;
    int64_t x = 0, y = 0;
    bool two = gy_str_cut(gy_str_c(pair), ':', &first, &second);
    if (gy_parse_i64(first, 1, INT64_MAX, &x, NULL) != GY_OK ||
        (two && gy_parse_i64(second, 1, INT64_MAX, &y, NULL) != GY_OK)) {
        return gy_err_set(err, GY_E_USAGE, "--diff wants two numbers of cards, as 1:2");
    }
    const char *tail =
        two ? gy_arena_printf(&cli->arena, "card/diff?a=%lld&b=%lld", (long long)x, (long long)y)
            : gy_arena_printf(&cli->arena, "card/diff?a=%lld", (long long)x);
    if (!tail) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    GY_TRY(card_path(cli, tail, &path, err));
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &a, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &a, err);
    }
    const char *from = gy_arena_printf(&cli->arena, "card %lld", (long long)x);
    const char *to = two ? gy_arena_printf(&cli->arena, "card %lld", (long long)y) : "now";
    return from && to ? print_diff(cli, a.root, from, to, err)
                      : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

static gy_status check_card(const struct card_opts *o, struct gy_err *err)
{
    int changes = (o->set.n > 0) + (o->file != NULL) + o->edit + o->save;
    int looks = (o->version != 0) + o->history + (o->diff != NULL);
    if (changes > 1 || looks > 1 || (changes && looks)) {
        return gy_err_set(err, GY_E_USAGE,
                          "one of --set, --file, --edit, --save, --version, --history, --diff");
    }
    return o->version < 0 ? gy_err_set(err, GY_E_USAGE, "--version is the number of a card")
                          : GY_OK;
}

static gy_status run_card(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct card_opts *o = opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    const char *path = NULL;
    GY_TRY(check_card(o, err));
    if (o->history) {
        return show_history(cli, err);
    }
    if (o->diff) {
        return show_diff(cli, o->diff, err);
    }
    if (o->set.n > 0 || o->file || o->edit || o->save) {
        GY_TRY(save(cli, o, &a, err));
    } else {
        const char *tail =
            o->version ? gy_arena_printf(&cli->arena, "card?number=%lld", (long long)o->version)
                       : "card";
        if (!tail) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory");
        }
        GY_TRY(card_path(cli, tail, &path, err));
        GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &a, err));
    }
    if (o->html) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf html;
        gy_buf_init(&html, GY_MAX_REPLY);
        gy_card_html(a.root, &html);
        GY_TRY(gy_buf_check(&html, "the card", err));
        GY_TRY(gy_file_write(o->html, gy_buf_str(&html), 0644, err));
    }
    return cli->json ? gy_cli_print_answer(cli, &a, err) : print_card(cli, a.root, err);
}

static const struct gy_opt card_options[] = {
    {"html", 0, GY_OPT_STR, offsetof(struct card_opts, html), "FILE", NULL,
     "write it as one page, too"},
    {"set", 's', GY_OPT_LIST, offsetof(struct card_opts, set), "KEY=TEXT", NULL,
     "state something: intended_use, out_of_scope, owner, risk_class, ethics, notes; limits and "
     "contacts may be repeated; without TEXT it is taken away"},
    {"file", 'f', GY_OPT_STR, offsetof(struct card_opts, file), "card.yaml", NULL,
     "state what the file says, and nothing else"},
    {"edit", 'e', GY_OPT_FLAG, offsetof(struct card_opts, edit), NULL, NULL,
     "state it in $VISUAL or $EDITOR"},
    {"save", 0, GY_OPT_FLAG, offsetof(struct card_opts, save), NULL, NULL,
     "keep it as it is now, with nothing else stated"},
    {"reason", 'r', GY_OPT_STR, offsetof(struct card_opts, reason), "TEXT", NULL,
     "why; kept with the version of the card"},
    {"version", 0, GY_OPT_INT, offsetof(struct card_opts, version), "K", NULL,
     "the card as it was saved then"},
    {"history", 0, GY_OPT_FLAG, offsetof(struct card_opts, history), NULL, NULL,
     "who saved which version of it when"},
    {"diff", 0, GY_OPT_STR, offsetof(struct card_opts, diff), "K[:L]", NULL,
     "what two versions of it differ in; without L against now"},
};
static const struct gy_verb verbs[] = {
    {"models", "diff", "A B", 2, 2, "what two versions or runs differ in",
     "Data, columns, features, learner, parameters, metrics with their intervals, signature, code "
     "and files.\nA and B are NAME/VERSION, NAME@ALIAS or run:ID.",
     "gyre models diff sepsis/1 sepsis@champion\n"
     "gyre models diff run:5f0c1d2e3a4b5c6d7e8f90a1b2c3d4e5 sepsis/3 --json\n",
     NULL, 0, 0, run_diff},
    {"models", "card", "NAME/VERSION|NAME@ALIAS", 1, 1, "what is to be known about a version",
     "What can be derived is: data, metrics, verdicts, approvals, history. What it is for and who "
     "answers, people state;\nevery version of that is kept.",
     "gyre models card sepsis/3 --html card.html\n"
     "gyre models card sepsis/3 --set owner=\"Dr. A. Weber\" --set limits=\"no children\"\n"
     "gyre models card sepsis/3 --history\ngyre models card sepsis/3 --diff 1:2\n",
     GY_OPTS(card_options), sizeof(struct card_opts), run_card},
};
const struct gy_verb_table gy_cmd_models_card = GY_VERB_TABLE(verbs);

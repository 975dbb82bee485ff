/* SPDX-License-Identifier: Apache-2.0 */
/* gyre dlq: what was refused, and why. Reads the log of dead letters that gyre data ingest wrote.
 */
#include "cli/cli_internal.h"
#include "data/deadletter.h"

struct list_opts {
    const char *dlq, *code, *file;
    int64_t limit;
};

enum { LIST_COLUMNS = 6, MAX_LISTED = 100000 };

static gy_status each(const char *dlq, gy_dlq_fn fn, void *ctx, struct gy_err *err)
{
    gy_status status = gy_dlq_each(dlq, fn, ctx, err);
    if (status == GY_E_NOTFOUND) {
        (void)gy_err_hint(err, "gyre data ingest makes it when a record is refused; --dlq FILE "
                               "names another");
    }
    return status;
}

struct listing {
    struct gy_cli *cli;
    const struct list_opts *o;
    struct gy_buf json; /* the letters, joined by commas */
    struct gy_str *cells;
    size_t n, cap;
    int64_t matching, damaged;
    bool out_of_memory;
};

static bool has_code(yyjson_val *letter, const char *code)
{
    yyjson_val *codes = gy_json_get(letter, "codes"), *c;
    size_t i, max;
    yyjson_arr_foreach(codes, i, max, c)
    {
        if (gy_str_ieq(gy_json_val_str(c), gy_str_c(code))) {
            return true;
        }
    }
    return false;
}

static struct gy_str keep(struct listing *l, struct gy_str text)
{
    struct gy_str copy = gy_arena_str(&l->cli->arena, text.p ? text : GY_STR("-"));
    l->out_of_memory = l->out_of_memory || !copy.p;
    return copy;
}

static struct gy_str codes_cell(struct listing *l, yyjson_val *letter)
{
    char text[256];
    size_t n = 0, i, max;
    yyjson_val *codes = gy_json_get(letter, "codes"), *c;
    text[0] = '\0';
    yyjson_arr_foreach(codes, i, max, c)
    {
        int wrote = snprintf(text + n, sizeof text - n, "%s%s", i ? " " : "",
                             yyjson_is_str(c) ? yyjson_get_str(c) : "?");
        n += wrote > 0 && (size_t)wrote < sizeof text - n ? (size_t)wrote : 0;
    }
    return keep(l, gy_str_n(text, n));
}

/* The letter with its number before its own members. */
static void add_json(struct listing *l, int64_t number, yyjson_val *letter)
{
    struct gy_jw w;
    size_t i, max;
    yyjson_val *key, *v;
    if (l->n++) {
        gy_buf_add_char(&l->json, ',');
    }
    gy_jw_init(&w, &l->json);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "number", number);
    yyjson_obj_foreach(letter, i, max, key, v)
    {
        gy_jw_keys(&w, gy_json_val_str(key));
        gy_jw_val(&w, v);
    }
    gy_jw_obj_end(&w);
}

static bool take_letter(void *ctx, int64_t number, struct gy_str line, yyjson_val *letter)
{
    struct listing *l = ctx;
    (void)line;
    if (!letter) {
        l->damaged++;
        return true;
    }
    if ((l->o->code && !has_code(letter, l->o->code)) ||
        (l->o->file &&
         gy_str_find_str(gy_json_str(letter, "file"), gy_str_c(l->o->file)) == SIZE_MAX)) {
        return true;
    }
    l->matching++;
    if ((int64_t)l->n >= l->o->limit) {
        return true; /* counted all the same */
    }
    if (l->cli->json) {
        add_json(l, number, letter);
        return true;
    }
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        struct gy_str *cells = gy_arena_calloc(&l->cli->arena, cap * LIST_COLUMNS, sizeof *cells);
        if (!cells) {
            l->out_of_memory = true;
            return false;
        }
        if (l->n) {
            memcpy(cells, l->cells, l->n * LIST_COLUMNS * sizeof *cells);
        }
        l->cells = cells;
        l->cap = cap;
    }
    struct gy_str *row = l->cells + l->n++ * LIST_COLUMNS;
    row[0] = gy_str_c(gy_arena_printf(&l->cli->arena, "%lld", (long long)number));
    row[1] = gy_str_c(
        gy_arena_printf(&l->cli->arena, "%lld", (long long)gy_json_i64(letter, "row", -1)));
    row[2] = codes_cell(l, letter);
    row[3] = keep(l, gy_json_str(letter, "column"));
    row[4] = keep(l, gy_str_sub(gy_json_str(letter, "error"), 0, 80));
    row[5] = keep(l, gy_json_str(letter, "file"));
    return !l->out_of_memory;
}

static gy_status print_letters(struct listing *l, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MAX_REPLY + GY_KIB);
    GY_TRY(gy_buf_check(&l->json, "the letters", err));
    gy_buf_addf(&out, "{\"matching\":%lld,\"damaged\":%lld,\"letters\":[", (long long)l->matching,
                (long long)l->damaged);
    gy_buf_add(&out, gy_buf_str(&l->json));
    gy_buf_addc(&out, "]}");
    return gy_cli_print_json(l->cli, &out, err);
}

static gy_status run_list(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    static const char *const head[] = {"number", "row", "codes", "column", "error", "file"};
    static const bool right[] = {true, true, false, false, false, false};
    const struct list_opts *o = opts;
    if (o->limit < 1 || o->limit > MAX_LISTED) {
        return gy_err_set(err, GY_E_USAGE, "--limit takes 1 to %d", MAX_LISTED);
    }
    struct listing l = {.cli = cli, .o = o};
    gy_buf_init(&l.json, GY_MAX_REPLY);
    gy_status status = each(o->dlq, take_letter, &l, err);
    if (status == GY_OK && l.out_of_memory) {
        status = gy_err_set(err, GY_E_NOMEM, "out of memory for the letters");
    }
    if (status == GY_OK && cli->json) {
        status = print_letters(&l, err);
    } else if (status == GY_OK) {
        gy_cli_table(cli, head, LIST_COLUMNS, l.cells, l.n, right);
        gy_cli_say(cli, "%lld of %lld letters", (long long)l.n, (long long)l.matching);
        if (l.damaged > 0) {
            gy_cli_say(cli, "; %lld lines of the log are no letters", (long long)l.damaged);
        }
        gy_cli_say(cli, "; one in full: gyre dlq show NUMBER\n");
    }
    gy_buf_done(&l.json);
    return status;
}

static const struct gy_opt list_opts[] = {
    {"dlq", 0, GY_OPT_STR, offsetof(struct list_opts, dlq), "FILE", "./dlq.log",
     "the log of dead letters"},
    {"code", 0, GY_OPT_STR, offsetof(struct list_opts, code), "CODE", NULL,
     "only those with this code: FIELDS, QUOTE, TYPE, RANGE ..."},
    {"file", 0, GY_OPT_STR, offsetof(struct list_opts, file), "TEXT", NULL,
     "only those of files whose name has this text"},
    {"limit", 'n', GY_OPT_INT, offsetof(struct list_opts, limit), "N", "50", "at most so many"},
};

struct show_opts {
    const char *dlq;
};

struct showing {
    struct gy_cli *cli;
    int64_t wanted;
    struct gy_buf text;
    bool found;
};

static bool find_letter(void *ctx, int64_t number, struct gy_str line, yyjson_val *letter)
{
    struct showing *s = ctx;
    if (number != s->wanted) {
        return true;
    }
    s->found = letter != NULL;
    if (letter && s->cli->json) {
        gy_buf_add(&s->text, line);
    } else if (letter) {
        struct gy_jw w;
        gy_jw_init(&w, &s->text);
        w.pretty = true;
        gy_jw_val(&w, letter);
    }
    return false;
}

static gy_status run_show(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct show_opts *o = opts;
    struct showing s = {.cli = cli};
    if (gy_parse_i64(gy_str_c(cli->argv[0]), 0, INT64_MAX, &s.wanted, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_USAGE, "'%s' is not the number of a letter", cli->argv[0]);
    }
    gy_buf_init(&s.text, 4 * GY_DLQ_MAX_LINE);
    gy_status status = each(o->dlq, find_letter, &s, err);
    if (status == GY_OK && !s.found) {
        status = gy_err_set(err, GY_E_NOTFOUND, "'%s' has no letter %s", o->dlq, cli->argv[0]);
    }
    if (status == GY_OK) {
        status = gy_buf_check(&s.text, "the letter", err);
    }
    if (status == GY_OK && cli->json) {
        status = gy_cli_print_json(cli, &s.text, err);
    } else if (status == GY_OK) {
        gy_cli_say(cli, "%s\n", s.text.p);
    }
    gy_buf_done(&s.text);
    return status;
}

static const struct gy_opt show_opts[] = {
    {"dlq", 0, GY_OPT_STR, offsetof(struct show_opts, dlq), "FILE", "./dlq.log",
     "the log of dead letters"},
};

static const struct gy_verb verbs[] = {
    {.noun = "dlq",
     .verb = "list",
     .summary = "refused records and why",
     .examples = "  gyre dlq list\n  gyre dlq list --code RANGE --limit 10",
     .opts = list_opts,
     .n_opts = sizeof list_opts / sizeof list_opts[0],
     .opts_bytes = sizeof(struct list_opts),
     .run = run_list},
    {.noun = "dlq",
     .verb = "show",
     .args = "NUMBER",
     .min_args = 1,
     .max_args = 1,
     .summary = "one refused record in full",
     .examples = "  gyre dlq show 0",
     .opts = show_opts,
     .n_opts = sizeof show_opts / sizeof show_opts[0],
     .opts_bytes = sizeof(struct show_opts),
     .run = run_show},
};

const struct gy_verb_table gy_cmd_dlq = GY_VERB_TABLE(verbs);

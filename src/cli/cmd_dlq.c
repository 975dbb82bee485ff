/* SPDX-License-Identifier: Apache-2.0 */
/* gyre dlq list, show: what was refused, why, and what became of it. Reads the log of dead letters
 * that gyre data ingest wrote, and what gyre dlq replay remembers of them. */
#include "cli/ask.h"
#include "cli/dlq.h"
#include "data/deadletter.h"
#include "data/letter.h"
#include "data/replaylog.h"

struct list_opts {
    const char *dlq, *code, *file, *state;
    int64_t limit;
};

enum { LIST_COLUMNS = 7, MAX_LISTED = 100000 };

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
    struct gy_replay_marks marks;
    struct gy_buf json; /* the letters, joined by commas */
    struct gy_buf scratch;
    struct gy_str *cells;
    size_t n, cap;
    int64_t matching, damaged;
    bool out_of_memory;
};

bool gy_cli_letter_has_code(yyjson_val *letter, const char *code)
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

/* "replayed", "refused" (again, by a replay) or "dead". id "": the line holds no record. */
static const char *state_of(const struct gy_replay_marks *marks, const char *id)
{
    const struct gy_replay_mark *mark = id[0] ? gy_replay_marks_find(marks, id) : NULL;
    return !mark ? "dead" : mark->done ? "replayed" : "refused";
}

static void read_id(yyjson_val *letter, struct gy_buf *scratch, char id[GY_LETTER_ID])
{
    struct gy_letter l;
    id[0] = '\0';
    if (gy_letter_read(letter, scratch, &l, NULL) == GY_OK) {
        memcpy(id, l.id, sizeof l.id);
    }
}

/* The letter with its number, its id and what became of it before its own members. */
static void write_letter(struct gy_jw *w, const struct gy_replay_marks *marks, int64_t number,
                         const char *id, yyjson_val *letter)
{
    size_t i, max;
    yyjson_val *key, *v;
    const struct gy_replay_mark *mark = id[0] ? gy_replay_marks_find(marks, id) : NULL;
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "number", number);
    if (id[0]) {
        gy_jw_kv_strc(w, "id", id);
        gy_jw_kv_strc(w, "state", state_of(marks, id));
    }
    yyjson_obj_foreach(letter, i, max, key, v)
    {
        if (!yyjson_equals_str(key, "id")) {
            gy_jw_keys(w, gy_json_val_str(key));
            gy_jw_val(w, v);
        }
    }
    if (mark && mark->codes.n > 0) {
        gy_jw_key(w, "refused");
        gy_jw_obj(w);
        gy_jw_key(w, "codes");
        gy_jw_raw(w, mark->codes);
        gy_jw_kv_str(w, "column", mark->column.n ? mark->column : GY_STR_NULL);
        gy_jw_obj_end(w);
    }
    gy_jw_obj_end(w);
}

static void add_json(struct listing *l, int64_t number, const char *id, yyjson_val *letter)
{
    struct gy_jw w;
    if (l->n++) {
        gy_buf_add_char(&l->json, ',');
    }
    gy_jw_init(&w, &l->json);
    write_letter(&w, &l->marks, number, id, letter);
}

static bool take_letter(void *ctx, int64_t number, struct gy_str line, yyjson_val *letter)
{
    struct listing *l = ctx;
    char id[GY_LETTER_ID];
    (void)line;
    if (!letter) {
        l->damaged++;
        return true;
    }
    if (gy_dlq_is_note(letter)) {
        return true;
    }
    if ((l->o->code && !gy_cli_letter_has_code(letter, l->o->code)) ||
        (l->o->file &&
         gy_str_find_str(gy_json_str(letter, "file"), gy_str_c(l->o->file)) == SIZE_MAX)) {
        return true;
    }
    read_id(letter, &l->scratch, id);
    if (l->o->state && strcmp(state_of(&l->marks, id), l->o->state) != 0) {
        return true;
    }
    l->matching++;
    if ((int64_t)l->n >= l->o->limit) {
        return true; /* counted all the same */
    }
    if (l->cli->json) {
        add_json(l, number, id, letter);
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
    row[6] = gy_str_c(state_of(&l->marks, id));
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
    static const char *const head[] = {"number", "row",  "codes", "column",
                                       "error",  "file", "state"};
    static const bool right[] = {true, true, false, false, false, false, false};
    const struct list_opts *o = opts;
    if (o->limit < 1 || o->limit > MAX_LISTED) {
        return gy_err_set(err, GY_E_USAGE, "--limit takes 1 to %d", MAX_LISTED);
    }
    if (o->state && strcmp(o->state, "dead") != 0 && strcmp(o->state, "replayed") != 0 &&
        strcmp(o->state, "refused") != 0) {
        return gy_err_set(err, GY_E_USAGE, "--state takes dead, refused or replayed");
    }
    struct listing l = {.cli = cli, .o = o};
    gy_replay_marks_init(&l.marks);
    gy_buf_init(&l.json, GY_MAX_REPLY);
    gy_buf_init(&l.scratch, GY_DLQ_MAX_LINE);
    gy_status status = gy_replay_marks_read(o->dlq, &l.marks, err);
    if (status == GY_OK) {
        status = each(o->dlq, take_letter, &l, err);
    }
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
    gy_buf_done(&l.scratch);
    gy_replay_marks_done(&l.marks);
    return status;
}

static const struct gy_opt list_opts[] = {
    {"dlq", 0, GY_OPT_STR, offsetof(struct list_opts, dlq), "FILE", "./dlq.log",
     "the log of dead letters"},
    {"code", 0, GY_OPT_STR, offsetof(struct list_opts, code), "CODE", NULL,
     "only those with this code: FIELDS, QUOTE, TYPE, RANGE ..."},
    {"file", 0, GY_OPT_STR, offsetof(struct list_opts, file), "TEXT", NULL,
     "only those of files whose name has this text"},
    {"state", 0, GY_OPT_STR, offsetof(struct list_opts, state), "STATE", NULL,
     "only those that are dead, refused (again, by a replay) or replayed"},
    {"limit", 'n', GY_OPT_INT, offsetof(struct list_opts, limit), "N", "50", "at most so many"},
};

struct show_opts {
    const char *dlq;
};

struct showing {
    struct gy_cli *cli;
    struct gy_replay_marks marks;
    int64_t wanted; /* -1: by its id */
    struct gy_buf text, scratch;
    bool found;
};

static bool find_letter(void *ctx, int64_t number, struct gy_str line, yyjson_val *letter)
{
    struct showing *s = ctx;
    struct gy_jw w;
    char id[GY_LETTER_ID] = "";
    (void)line;
    if (letter && (s->wanted < 0 || number == s->wanted)) {
        read_id(letter, &s->scratch, id);
    }
    if (s->wanted < 0 ? strcmp(id, s->cli->argv[0]) != 0 : number != s->wanted) {
        return true;
    }
    s->found = letter != NULL;
    if (letter) {
        gy_jw_init(&w, &s->text);
        w.pretty = !s->cli->json;
        write_letter(&w, &s->marks, number, id, letter);
    }
    return false;
}

static gy_status run_show(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct show_opts *o = opts;
    struct showing s = {.cli = cli};
    if (gy_parse_i64(gy_str_c(cli->argv[0]), 0, INT64_MAX, &s.wanted, NULL) != GY_OK) {
        s.wanted = -1;
        if (!gy_letter_is_id(gy_str_c(cli->argv[0]))) {
            return gy_err_set(err, GY_E_USAGE, "'%s' is neither the number nor the id of a letter",
                              cli->argv[0]);
        }
    }
    gy_replay_marks_init(&s.marks);
    gy_buf_init(&s.text, 4 * GY_DLQ_MAX_LINE);
    gy_buf_init(&s.scratch, GY_DLQ_MAX_LINE);
    gy_status status = gy_replay_marks_read(o->dlq, &s.marks, err);
    if (status == GY_OK) {
        status = each(o->dlq, find_letter, &s, err);
    }
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
    gy_buf_done(&s.scratch);
    gy_replay_marks_done(&s.marks);
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
     .args = "NUMBER|ID",
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

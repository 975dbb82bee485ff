/* SPDX-License-Identifier: Apache-2.0 */
/* gyre subject: where one person's data is, writing it out, taking it out, and what must not be
 * taken out. The home's part is the routes' (api/subjects.c); files of the project and what DVC
 * keeps of them are looked at here. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "cli/ask.h"
#include "cli/lines.h"
#include "cli/subject_local.h"
#include "data/schema.h"

#define BASE "/api/gyre/v1/subjects"
#define MAX_BODY (4 * GY_MIB)

struct subject_opts {
    const char *dataset, *reason, *output;
    struct gy_opt_list paths, dlqs;
    bool yes, dry_run, possible, here_not;
};

struct finding {
    struct gy_str kind, where, state, note;
    int64_t n;
};

/* One command over all places. */
struct work {
    struct gy_cli *cli;
    const struct subject_opts *o;
    struct gy_subject subject;
    struct finding *found;
    size_t n, cap;
    FILE *out; /* of export */
    int64_t records;
    yyjson_doc *result; /* of the server */
    struct gy_local_subject local;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for what was found");
}

static gy_status add_finding(struct work *w, const struct finding *f, struct gy_err *err)
{
    struct gy_arena *a = &w->cli->arena;
    if (w->n == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 32;
        struct finding *found = gy_arena_calloc(a, cap, sizeof *found);
        if (!found) {
            return no_memory(err);
        }
        if (w->n) {
            memcpy(found, w->found, w->n * sizeof *found);
        }
        w->found = found;
        w->cap = cap;
    }
    struct finding *to = &w->found[w->n++];
    *to = (struct finding){gy_arena_str(a, f->kind), gy_arena_str(a, f->where),
                           gy_arena_str(a, f->state),
                           f->note.n ? gy_arena_str(a, f->note) : GY_STR_NULL, f->n};
    return to->kind.p && to->where.p && to->state.p ? GY_OK : no_memory(err);
}

static gy_status local_found(void *ctx, const struct gy_local_finding *f, struct gy_err *err)
{
    const struct finding one = {gy_str_c(f->kind), f->where, gy_str_c(f->state), f->note, f->n};
    return add_finding(ctx, &one, err);
}

static gy_status write_line(struct work *w, struct gy_str line, struct gy_err *err)
{
    w->records++;
    return fwrite(line.p, 1, line.n, w->out) == line.n && fputc('\n', w->out) != EOF
               ? GY_OK
               : gy_err_sys(err, errno, "writing the export");
}

static gy_status local_record(void *ctx, const char *kind, struct gy_str where, struct gy_str json,
                              struct gy_err *err)
{
    struct work *w = ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf line;
    struct gy_jw j;
    gy_buf_init(&line, GY_CLI_MAX_LINE);
    gy_jw_init(&j, &line);
    gy_jw_obj(&j);
    gy_jw_kv_strc(&j, "kind", kind);
    gy_jw_kv_str(&j, "where", where);
    gy_jw_key(&j, "data");
    gy_jw_raw(&j, json);
    gy_jw_obj_end(&j);
    GY_TRY(gy_buf_check(&line, "a line of the export", err));
    return write_line(w, gy_buf_str(&line), err);
}

static gy_status server_line(void *ctx, yyjson_val *root, struct gy_str text, struct gy_err *err)
{
    struct work *w = ctx;
    yyjson_val *f = gy_json_get(root, "finding"), *record = gy_json_get(root, "record");
    (void)text;
    if (f) {
        const struct finding one = {gy_json_str(f, "kind"), gy_json_str(f, "where"),
                                    gy_json_str(f, "state"), gy_json_str(f, "note"),
                                    gy_json_i64(f, "n", 0)};
        return add_finding(w, &one, err);
    }
    if (!record || !w->out) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf line;
    struct gy_jw j;
    gy_buf_init(&line, GY_CLI_MAX_LINE);
    gy_jw_init(&j, &line);
    gy_jw_val(&j, record);
    GY_TRY(gy_buf_check(&line, "a line of the export", err));
    return write_line(w, gy_buf_str(&line), err);
}

/* ---- the server's part ---- */

static gy_status ask_server(struct work *w, const char *path, bool open, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    struct gy_jw j;
    const struct gy_cli_lines ask = {
        .path = path, .last = "result", .what = "the answer", .line = server_line, .ctx = w};
    gy_buf_init(&body, MAX_BODY);
    gy_jw_init(&j, &body);
    gy_jw_obj(&j);
    gy_jw_kv_str(&j, "id", w->subject.id);
    gy_jw_kv_bool(&j, "possible", w->o->possible);
    if (w->o->dataset) {
        gy_jw_kv_strc(&j, "dataset", w->o->dataset);
    }
    if (open) {
        gy_jw_kv_strc(&j, "reason", w->o->reason);
        gy_jw_kv_bool(&j, "open", true);
    }
    gy_jw_obj_end(&j);
    GY_TRY(gy_buf_check(&body, "the question", err));
    return gy_cli_ask_lines(w->cli, &ask, gy_buf_str(&body), &w->result, err);
}

static gy_status read_texts(struct work *w, yyjson_val *list, struct gy_str **ret, size_t *ret_n,
                            struct gy_err *err)
{
    size_t i, n, cap = 0;
    yyjson_val *v;
    *ret_n = 0;
    *ret = NULL;
    yyjson_arr_foreach(list, i, n, v)
    {
        GY_TRY(gy_local_add(&w->local, ret, ret_n, &cap, gy_json_val_str(v), err));
    }
    return GY_OK;
}

/* ---- the project's part ---- */

/* Columns that identify people: by the home's schemas, and by the schema.yaml that is near. */
static gy_status local_columns(struct work *w, struct gy_err *err)
{
    yyjson_val *result = gy_json_get(yyjson_doc_get_root(w->result), "result");
    struct gy_str *columns, *md5;
    size_t n, cap;
    char cwd[GY_MAX_PATH], path[GY_MAX_PATH];
    GY_AUTO(gy_schema_free) struct gy_schema *s = NULL;
    GY_TRY(read_texts(w, gy_json_get(result, "columns"), &columns, &n, err));
    cap = n;
    if (getcwd(cwd, sizeof cwd) && gy_schema_find(cwd, path, NULL) == GY_OK &&
        gy_schema_read(path, &s, NULL) == GY_OK) {
        for (size_t i = 0; i < s->n_columns; i++) {
            bool its = s->columns[i].role == GY_ROLE_SUBJECT ||
                       (w->o->possible && s->columns[i].role == GY_ROLE_ID);
            GY_TRY(its ? gy_local_add(&w->local, &columns, &n, &cap, s->columns[i].name, err)
                       : GY_OK);
        }
    }
    w->local.columns = columns;
    w->local.n_columns = n;
    GY_TRY(read_texts(w, gy_json_get(result, "md5"), &md5, &n, err));
    w->local.md5 = md5;
    w->local.n_md5 = n;
    return GY_OK;
}

/* The folder of the project: the one that holds gyre.yaml or dvc.yaml, here or above. */
static bool project_folder(char out[GY_MAX_PATH])
{
    static const char *const marks[] = {"gyre.yaml", "dvc.yaml"};
    char path[GY_MAX_PATH];
    if (!getcwd(out, GY_MAX_PATH)) {
        return false;
    }
    for (;;) {
        for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
            if (gy_path_join(path, sizeof path, out, marks[i], NULL) == GY_OK &&
                gy_path_exists(path)) {
                return true;
            }
        }
        char *slash = strrchr(out, '/');
        if (!slash || slash == out) {
            return false;
        }
        *slash = '\0';
    }
}

static gy_status project_data(struct work *w, struct gy_err *err)
{
    char root[GY_MAX_PATH], path[GY_MAX_PATH];
    if (!project_folder(root)) {
        return gy_path_is_dir("data") ? gy_local_path(&w->local, "data", false, err) : GY_OK;
    }
    GY_TRY(gy_path_join(path, sizeof path, root, "data", err));
    return gy_path_is_dir(path) ? gy_local_path(&w->local, path, false, err) : GY_OK;
}

static gy_status look_here(struct work *w, bool take_out, struct gy_str erasure, struct gy_err *err)
{
    struct gy_local_subject *l = &w->local;
    if (w->o->here_not || w->o->dataset) {
        return GY_OK;
    }
    l->take_out = take_out;
    l->erasure = erasure;
    l->possible = w->o->possible;
    l->found = local_found;
    l->record = w->out ? local_record : NULL;
    l->ctx = w;
    for (size_t i = 0; i < w->o->dlqs.n; i++) {
        GY_TRY(gy_local_letters(l, w->o->dlqs.items[i], true, err));
    }
    if (w->o->dlqs.n == 0) {
        GY_TRY(gy_local_letters(l, "./dlq.log", false, err));
    }
    for (size_t i = 0; i < w->o->paths.n; i++) {
        GY_TRY(gy_local_path(l, w->o->paths.items[i], true, err));
    }
    if (w->o->paths.n == 0) {
        GY_TRY(project_data(w, err));
    }
    return gy_local_dvc(l, err);
}

/* ---- what is said ---- */

static gy_status print(struct work *w, const char *said, struct gy_str erasure, struct gy_err *err)
{
    static const char *const head[] = {"kind", "where", "n", "state", "note"};
    static const bool right[] = {false, false, true, false, false};
    enum { N = 5 };
    if (w->cli->json) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        struct gy_jw j;
        int64_t sure = 0;
        gy_buf_init(&out, GY_MAX_REPLY);
        gy_jw_init(&j, &out);
        gy_jw_obj(&j);
        gy_jw_kv_str(&j, "erasure", erasure);
        gy_jw_key(&j, "findings");
        gy_jw_arr(&j);
        for (size_t i = 0; i < w->n; i++) {
            const struct finding *f = &w->found[i];
            gy_jw_obj(&j);
            gy_jw_kv_str(&j, "kind", f->kind);
            gy_jw_kv_str(&j, "where", f->where);
            gy_jw_kv_i64(&j, "n", f->n);
            gy_jw_kv_str(&j, "state", f->state);
            gy_jw_kv_str(&j, "note", f->note);
            gy_jw_obj_end(&j);
            sure += gy_str_eqc(f->state, "found") || gy_str_eqc(f->state, "erased");
        }
        gy_jw_arr_end(&j);
        gy_jw_kv_i64(&j, "places", sure);
        gy_jw_kv_i64(&j, "records", w->records);
        gy_jw_obj_end(&j);
        return gy_cli_print_json(w->cli, &out, err);
    }
    struct gy_str *cells = gy_arena_calloc(&w->cli->arena, w->n * N + 1, sizeof *cells);
    if (!cells) {
        return no_memory(err);
    }
    for (size_t i = 0; i < w->n; i++) {
        const struct finding *f = &w->found[i];
        cells[i * N] = f->kind;
        cells[i * N + 1] = f->where;
        cells[i * N + 2] = gy_str_c(gy_arena_printf(&w->cli->arena, "%lld", (long long)f->n));
        cells[i * N + 3] = f->state;
        cells[i * N + 4] = f->note.p ? f->note : GY_STR("");
    }
    if (w->n) {
        gy_cli_table(w->cli, head, N, cells, w->n, right);
    }
    gy_cli_say(w->cli, "%s\n", said);
    return GY_OK;
}

static size_t count(const struct work *w, const char *state)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++) {
        n += gy_str_eqc(w->found[i].state, state);
    }
    return n;
}

static gy_status begin(struct work *w, struct gy_err *err)
{
    w->local.cli = w->cli;
    w->local.subject = &w->subject;
    return gy_subject_init(&w->subject, gy_str_c(w->cli->argv[0]), err);
}

/* ---- verbs ---- */

static gy_status find(struct work *w, struct gy_err *err)
{
    GY_TRY(ask_server(w, BASE "/find", false, err));
    GY_TRY(local_columns(w, err));
    return look_here(w, false, GY_STR_NULL, err);
}

static gy_status run_find(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    struct work w = {.cli = cli, .o = opts};
    GY_TRY(begin(&w, err));
    gy_status status = find(&w, err);
    if (status == GY_OK) {
        char said[160];
        (void)snprintf(said, sizeof said, "found in %zu places%s", count(&w, "found"),
                       count(&w, "possible") ? ", and possibly in others" : "");
        status = print(&w, said, GY_STR_NULL, err);
    }
    gy_json_free(w.result);
    return status;
}

/* A folder gets data.jsonl; a file is written as it is named. */
static gy_status open_export(struct work *w, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    const char *to = w->o->output;
    struct gy_str name = gy_str_c(to);
    if (gy_str_ends(name, GY_STR(".zip"))) {
        return gy_err_set(err, GY_E_UNSUPPORTED, "an export is a folder or a .jsonl file");
    }
    if (!gy_str_ends(name, GY_STR(".jsonl"))) {
        GY_TRY(gy_dir_make_private(to, err));
        GY_TRY(gy_path_join(path, sizeof path, to, "data.jsonl", err));
        to = path;
    }
    /* Somebody's data: for its owner's eyes alone. */
    int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    w->out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!w->out) {
        gy_status status = gy_err_sys(err, errno, "opening '%s'", to);
        if (fd >= 0) {
            (void)close(fd);
        }
        return status;
    }
    return GY_OK;
}

static gy_status export_all(struct work *w, struct gy_err *err)
{
    GY_TRY(open_export(w, err));
    GY_TRY(ask_server(w, BASE "/export", false, err));
    GY_TRY(local_columns(w, err));
    return look_here(w, false, GY_STR_NULL, err);
}

static gy_status run_export(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    struct work w = {.cli = cli, .o = opts};
    if (!w.o->output) {
        return gy_err_set(err, GY_E_USAGE, "where to? -o DIR or -o FILE.jsonl");
    }
    GY_TRY(begin(&w, err));
    gy_status status = export_all(&w, err);
    if (w.out && (fflush(w.out) != 0 || fsync(fileno(w.out)) != 0) && status == GY_OK) {
        status = gy_err_sys(err, errno, "writing the export");
    }
    if (w.out && fclose(w.out) != 0 && status == GY_OK) {
        status = gy_err_sys(err, errno, "writing the export");
    }
    if (status == GY_OK) {
        char said[GY_MAX_PATH + 64];
        (void)snprintf(said, sizeof said, "%lld records in %s", (long long)w.records, w.o->output);
        status = print(&w, said, GY_STR_NULL, err);
    }
    gy_json_free(w.result);
    return status;
}

/* The erasure stays open until this part of it is done as well. */
static gy_status tell_done(struct work *w, struct gy_str erasure, size_t from, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    struct gy_jw j;
    char path[256];
    gy_buf_init(&body, MAX_BODY);
    gy_jw_init(&j, &body);
    gy_jw_obj(&j);
    gy_jw_key(&j, "items");
    gy_jw_arr(&j);
    for (size_t i = from; i < w->n; i++) {
        if (gy_str_eqc(w->found[i].state, "erased")) {
            gy_jw_obj(&j);
            gy_jw_kv_str(&j, "kind", w->found[i].kind);
            gy_jw_kv_str(&j, "item", w->found[i].where);
            gy_jw_kv_i64(&j, "n", w->found[i].n);
            gy_jw_obj_end(&j);
        }
    }
    gy_jw_arr_end(&j);
    gy_jw_obj_end(&j);
    GY_TRY(gy_buf_check(&body, "what was erased", err));
    (void)snprintf(path, sizeof path, BASE "/erasures/%" GY_STR_F "/done", GY_STR_A(erasure));
    return gy_cli_ask(w->cli, "POST", path, gy_buf_str(&body), &answer, err);
}

static gy_status erase(struct work *w, struct gy_str *ret_erasure, struct gy_err *err)
{
    GY_TRY(ask_server(w, BASE "/erase", true, err));
    size_t server = w->n;
    yyjson_val *result = gy_json_get(yyjson_doc_get_root(w->result), "result");
    *ret_erasure = gy_json_str(result, "erasure");
    GY_TRY(local_columns(w, err));
    gy_status status = look_here(w, true, *ret_erasure, err);
    if (status != GY_OK) {
        (void)gy_err_hint(err, "the erasure is not finished: run the same command again");
        return status;
    }
    return tell_done(w, *ret_erasure, server, err);
}

static gy_status run_erase(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    struct work w = {.cli = cli, .o = opts};
    struct gy_str erasure = GY_STR_NULL;
    char said[256];
    if (w.o->yes && w.o->dry_run) {
        return gy_err_set(err, GY_E_USAGE, "--yes and --dry-run exclude each other");
    }
    if (w.o->yes && !w.o->reason) {
        return gy_err_set(err, GY_E_USAGE, "why? --reason TEXT is kept for good");
    }
    GY_TRY(begin(&w, err));
    gy_status status = w.o->yes ? erase(&w, &erasure, err) : find(&w, err);
    if (status == GY_OK && w.o->yes) {
        (void)snprintf(said, sizeof said, "erased from %zu places: erasure %" GY_STR_F,
                       count(&w, "erased"), GY_STR_A(erasure));
    } else if (status == GY_OK) {
        (void)snprintf(said, sizeof said,
                       "would be erased from %zu places; --yes --reason TEXT does it",
                       count(&w, "found"));
    }
    if (status == GY_OK) {
        status = print(&w, said, erasure, err);
    }
    gy_json_free(w.result);
    return status;
}

/* ---- holds ---- */

static gy_status change_hold(struct gy_cli *cli, const struct subject_opts *o, const char *path,
                             const char *said, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body = {0};
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    struct gy_jw j;
    if (!o->reason || (cli->argc == 1) == (o->dataset != NULL)) {
        return gy_err_set(err, GY_E_USAGE, "wants ID or --dataset NAME, and --reason TEXT");
    }
    gy_buf_init(&body, MAX_BODY);
    gy_jw_init(&j, &body);
    gy_jw_obj(&j);
    gy_jw_kv_strc(&j, o->dataset ? "dataset" : "id", o->dataset ? o->dataset : cli->argv[0]);
    gy_jw_kv_strc(&j, "reason", o->reason);
    gy_jw_obj_end(&j);
    GY_TRY(gy_buf_check(&body, "the question", err));
    GY_TRY(gy_cli_ask(cli, "POST", path, gy_buf_str(&body), &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    gy_cli_say(cli, "%s\n", said);
    return GY_OK;
}

static gy_status run_hold(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    return change_hold(cli, opts, BASE "/holds", "held: erasing is refused until it is released",
                       err);
}

static gy_status run_release(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    return change_hold(cli, opts, BASE "/holds/release", "released", err);
}

/* ---- lists ---- */

static gy_status run_list(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    static const char *const head[] = {"erasure", "state", "time", "actor", "reason"};
    static const bool right[] = {false, false, false, false, false};
    enum { N = 5 };
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    yyjson_val *list, *e;
    size_t i, n;
    (void)opts;
    GY_TRY(gy_cli_ask(cli, "GET", BASE "/erasures", GY_STR_NULL, &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    GY_TRY(gy_json_need_arr(answer.root, "erasures", &list, err));
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, yyjson_arr_size(list) * N + 1, sizeof *cells);
    if (!cells) {
        return no_memory(err);
    }
    yyjson_arr_foreach(list, i, n, e)
    {
        cells[i * N] = gy_json_str(e, "id");
        cells[i * N + 1] = gy_json_str(e, "state");
        cells[i * N + 2] = gy_json_str(e, "created");
        cells[i * N + 3] = gy_json_str(e, "actor");
        cells[i * N + 4] = gy_json_str(e, "reason");
    }
    gy_cli_table(cli, head, N, cells, yyjson_arr_size(list), right);
    return GY_OK;
}

static gy_status run_holds(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    static const char *const head[] = {"kind", "target", "since", "actor", "reason", "released"};
    static const bool right[] = {false, false, false, false, false, false};
    enum { N = 6 };
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    yyjson_val *list, *h;
    size_t i, n;
    (void)opts;
    GY_TRY(gy_cli_ask(cli, "GET", BASE "/holds", GY_STR_NULL, &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    GY_TRY(gy_json_need_arr(answer.root, "holds", &list, err));
    struct gy_str *cells =
        gy_arena_calloc(&cli->arena, yyjson_arr_size(list) * N + 1, sizeof *cells);
    if (!cells) {
        return no_memory(err);
    }
    yyjson_arr_foreach(list, i, n, h)
    {
        cells[i * N] = gy_json_str(h, "kind");
        cells[i * N + 1] = gy_str_sub(gy_json_str(h, "target"), 0, 16);
        cells[i * N + 2] = gy_json_str(h, "created");
        cells[i * N + 3] = gy_json_str(h, "actor");
        cells[i * N + 4] = gy_json_str(h, "reason");
        cells[i * N + 5] = gy_json_str(h, "released");
    }
    gy_cli_table(cli, head, N, cells, yyjson_arr_size(list), right);
    return GY_OK;
}

#define WHERE_OPTS                                                                        \
    {"dataset",                                                                           \
     0,                                                                                   \
     GY_OPT_STR,                                                                          \
     offsetof(struct subject_opts, dataset),                                              \
     "NAME",                                                                              \
     NULL,                                                                                \
     "only in versions of this dataset"},                                                 \
        {"path",                                                                          \
         0,                                                                               \
         GY_OPT_LIST,                                                                     \
         offsetof(struct subject_opts, paths),                                            \
         "PATH",                                                                          \
         NULL,                                                                            \
         "a file or folder of tables (again for more); else the project's data folder"},  \
        {"dlq",                                                                           \
         0,                                                                               \
         GY_OPT_LIST,                                                                     \
         offsetof(struct subject_opts, dlqs),                                             \
         "FILE",                                                                          \
         NULL,                                                                            \
         "a log of dead letters (again for more); else ./dlq.log"},                       \
        {"possible",                                                                      \
         0,                                                                               \
         GY_OPT_FLAG,                                                                     \
         offsetof(struct subject_opts, possible),                                         \
         NULL,                                                                            \
         NULL,                                                                            \
         "also where only a column of role id says so"},                                  \
    {                                                                                     \
        "home-only", 0, GY_OPT_FLAG, offsetof(struct subject_opts, here_not), NULL, NULL, \
            "nothing of this folder, nothing of DVC"                                      \
    }

static const struct gy_opt find_opts[] = {WHERE_OPTS};
static const struct gy_opt export_opts[] = {
    WHERE_OPTS,
    {"output", 'o', GY_OPT_STR, offsetof(struct subject_opts, output), "DIR|FILE.jsonl", NULL,
     "where to write it"},
};
static const struct gy_opt erase_opts[] = {
    WHERE_OPTS,
    {"reason", 0, GY_OPT_STR, offsetof(struct subject_opts, reason), "TEXT", NULL,
     "why; kept for good, so it must not name the subject"},
    {"yes", 0, GY_OPT_FLAG, offsetof(struct subject_opts, yes), NULL, NULL,
     "do it; without it only say what would go"},
    {"dry-run", 0, GY_OPT_FLAG, offsetof(struct subject_opts, dry_run), NULL, NULL,
     "only say what would go (as without --yes)"},
};
static const struct gy_opt hold_opts[] = {
    {"dataset", 0, GY_OPT_STR, offsetof(struct subject_opts, dataset), "NAME", NULL,
     "a dataset instead of a subject"},
    {"reason", 0, GY_OPT_STR, offsetof(struct subject_opts, reason), "TEXT", NULL, "why"},
};

static const struct gy_verb verbs[] = {
    {.noun = "subject",
     .verb = "find",
     .args = "ID",
     .min_args = 1,
     .max_args = 1,
     .summary = "where one person's data is",
     .details = "A column of role subject in schema.yaml says which one identifies people.",
     .examples = "  gyre subject find P-8f3k2\n  gyre subject find 42 --path raw-data --json",
     .opts = find_opts,
     .n_opts = sizeof find_opts / sizeof find_opts[0],
     .opts_bytes = sizeof(struct subject_opts),
     .run = run_find},
    {.noun = "subject",
     .verb = "export",
     .args = "ID",
     .min_args = 1,
     .max_args = 1,
     .summary = "one person's data as lines of JSON",
     .examples = "  gyre subject export P-8f3k2 -o p.jsonl",
     .opts = export_opts,
     .n_opts = sizeof export_opts / sizeof export_opts[0],
     .opts_bytes = sizeof(struct subject_opts),
     .run = run_export},
    {.noun = "subject",
     .verb = "erase",
     .args = "ID",
     .min_args = 1,
     .max_args = 1,
     .summary = "take one person's data out, for good",
     .details = "Without --yes it only says what would go. What was begun and did not end is "
                "finished by the same command. See docs/erasure.md.",
     .examples = "  gyre subject erase P-8f3k2\n"
                 "  gyre subject erase P-8f3k2 --reason \"request 17\" --yes",
     .opts = erase_opts,
     .n_opts = sizeof erase_opts / sizeof erase_opts[0],
     .opts_bytes = sizeof(struct subject_opts),
     .run = run_erase},
    {.noun = "subject",
     .verb = "hold",
     .args = "[ID]",
     .min_args = 0,
     .max_args = 1,
     .summary = "forbid to erase a person, or from a dataset",
     .examples = "  gyre subject hold P-8f3k2 --reason \"case 4711\"\n"
                 "  gyre subject hold --dataset sepsis --reason \"audit\"",
     .opts = hold_opts,
     .n_opts = sizeof hold_opts / sizeof hold_opts[0],
     .opts_bytes = sizeof(struct subject_opts),
     .run = run_hold},
    {.noun = "subject",
     .verb = "release",
     .args = "[ID]",
     .min_args = 0,
     .max_args = 1,
     .summary = "lift a legal hold",
     .examples = "  gyre subject release P-8f3k2 --reason \"case closed\"",
     .opts = hold_opts,
     .n_opts = sizeof hold_opts / sizeof hold_opts[0],
     .opts_bytes = sizeof(struct subject_opts),
     .run = run_release},
    {.noun = "subject",
     .verb = "list",
     .summary = "erasures, newest first",
     .examples = "  gyre subject list",
     .run = run_list},
    {.noun = "subject",
     .verb = "holds",
     .summary = "legal holds",
     .examples = "  gyre subject holds",
     .run = run_holds},
};

const struct gy_verb_table gy_cmd_subject = GY_VERB_TABLE(verbs);

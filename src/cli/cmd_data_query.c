/* SPDX-License-Identifier: Apache-2.0 */
/* gyre data query: SQL over files and registered datasets. Runs here, on this machine's files. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/query_json.h"
#include "cli/query_sql.h"
#include "data/duck_sql.h"

#define SHOW_ROWS 100    /* of a table for people, unless told otherwise */
#define MAX_SHOWN 100000 /* a table is laid out in memory */
#define LOOK_MS 100      /* between two looks at progress and signals */
#define PROGRESS_STEPS 1000

struct query_opts {
    const char *output, *file, *schema;
    struct gy_opt_list params;
    int64_t limit, threads, memory;
    bool unordered, strict, no_cache;
};

/* ---- progress and Ctrl-C ---- */

/* A thread that draws and waits for signals, which no other thread takes while it lives. */
struct watcher {
    struct gy_cli *cli;
    struct gy_duck *duck;
    pthread_t thread;
    sigset_t signals, before;
    atomic_bool done;
};

static void *watch(void *arg)
{
    struct watcher *w = arg;
    struct gy_progress bar;
    bool interrupted = false;
    gy_progress_start(&bar, w->cli, "query", PROGRESS_STEPS);
    while (!atomic_load(&w->done)) {
        const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
        const int number = sigtimedwait(&w->signals, NULL, &pause);
        if (number > 0 && interrupted) {
            _exit(128 + number); /* the second one: it is meant */
        }
        interrupted = interrupted || number > 0;
        if (interrupted) { /* each time: it would be lost between two statements */
            gy_duck_interrupt(w->duck);
        }
        const double share = gy_duck_progress(w->duck);
        if (share > 0) {
            gy_progress_at(&bar, (int64_t)(share * PROGRESS_STEPS));
        }
    }
    gy_progress_end(&bar);
    return NULL;
}

static gy_status watch_start(struct watcher *w, struct gy_query_sql *q, struct gy_err *err)
{
    w->cli = q->cli;
    w->duck = q->duck;
    int rc = pthread_create(&w->thread, NULL, watch, w);
    return rc == 0 ? GY_OK : gy_err_sys(err, rc, "starting a thread");
}

static void watch_stop(struct watcher *w)
{
    atomic_store(&w->done, true);
    (void)pthread_join(w->thread, NULL); /* joinable, joined once */
}

/* Before any thread is made, so that all of them leave the signals to the watcher. */
static void hold_signals(struct watcher *w)
{
    (void)sigemptyset(&w->signals);
    (void)sigaddset(&w->signals, SIGINT);
    (void)sigaddset(&w->signals, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &w->signals, &w->before);
}

static void give_signals_back(const struct watcher *w)
{
    (void)pthread_sigmask(SIG_SETMASK, &w->before, NULL);
}

/* ---- for people ---- */

struct shown {
    struct gy_str *cells;
    size_t rows;
    bool more;
};

static gy_status collect(struct gy_cli *cli, struct gy_duck_rows *r, size_t limit,
                         struct shown *ret, struct gy_err *err)
{
    const size_t n_columns = gy_duck_n_columns(r);
    size_t cap = 0, n = 1;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf cell;
    gy_buf_init(&cell, GY_DUCK_MAX_CELL);
    while (n > 0 && !ret->more) {
        GY_TRY(gy_duck_next(r, &n, err));
        for (size_t row = 0; row < n && !ret->more; row++) {
            ret->more = ret->rows == limit;
            if (ret->more) {
                break;
            }
            if (ret->rows == cap) {
                cap = cap ? 2 * cap : 64;
                struct gy_str *cells = gy_reallocarray(ret->cells, cap * n_columns, sizeof *cells);
                if (!cells) {
                    return gy_err_set(err, GY_E_NOMEM, "out of memory for a table");
                }
                ret->cells = cells;
            }
            for (size_t c = 0; c < n_columns; c++) {
                gy_buf_reset(&cell);
                const bool there = gy_duck_cell(r, row, c, &cell);
                GY_TRY(gy_buf_check(&cell, "a value", err));
                ret->cells[ret->rows * n_columns + c] =
                    there ? gy_cli_cell(cli, gy_buf_str(&cell)) : GY_STR_NULL;
            }
            ret->rows++;
        }
    }
    return GY_OK;
}

static gy_status print_table(struct gy_cli *cli, const struct gy_duck_rows *r,
                             const struct shown *s, struct gy_err *err)
{
    const size_t n = gy_duck_n_columns(r);
    const char **head = gy_arena_calloc(&cli->arena, n, sizeof *head);
    bool *right = gy_arena_calloc(&cli->arena, n, sizeof *right);
    if (!head || !right) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a table");
    }
    for (size_t c = 0; c < n; c++) {
        head[c] = gy_duck_name(r, c);
        right[c] = gy_duck_is_number(r, c);
    }
    gy_cli_table(cli, head, n, s->cells, s->rows, right);
    if (s->more) {
        gy_cli_note(cli, "the first %zu rows; --limit N shows more, -o FILE writes all\n", s->rows);
    }
    return GY_OK;
}

static gy_status show(struct gy_query_sql *q, struct gy_duck_rows *r, const struct query_opts *o,
                      struct watcher *w, struct gy_err *err)
{
    struct shown s = {0};
    const size_t limit = o->limit >= 0 ? (size_t)o->limit : SHOW_ROWS;
    if (gy_duck_n_columns(r) == 0) {
        watch_stop(w);
        gy_cli_say(q->cli, "done, %lld rows\n", (long long)gy_duck_changed(r));
        return GY_OK;
    }
    gy_status status = limit > MAX_SHOWN ? gy_err_set(err, GY_E_USAGE,
                                                      "a table has %d rows at most; -o FILE or "
                                                      "--json write more",
                                                      MAX_SHOWN)
                                         : collect(q->cli, r, limit, &s, err);
    watch_stop(w); /* the bar is gone before the table comes */
    if (status == GY_OK) {
        status = print_table(q->cli, r, &s, err);
    }
    gy_free(s.cells);
    return status;
}

/* ---- JSON ---- */

static gy_status to_stdout(void *ctx, struct gy_str bytes, struct gy_err *err)
{
    (void)ctx;
    return fwrite(bytes.p, 1, bytes.n, stdout) == bytes.n
               ? GY_OK
               : gy_err_sys(err, errno, "writing the answer");
}

static gy_status print_json(struct gy_query_sql *q, struct gy_duck_rows *r,
                            const struct query_opts *o, struct gy_err *err)
{
    const struct gy_query_json json = {.limit = o->limit < 0 ? -1 : o->limit, .flush = to_stdout};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 2 * GY_DUCK_MAX_CELL);
    GY_TRY(gy_query_json(&json, r, q->tables, &out, err));
    return to_stdout(NULL, gy_buf_str(&out), err);
}

/* ---- to a file ---- */

static const char *copy_format(const char *path)
{
    static const char *const table[][2] = {
        {".parquet", "FORMAT parquet, COMPRESSION zstd"},
        {".csv", "FORMAT csv, HEADER"},
        {".tsv", "FORMAT csv, HEADER, DELIMITER '\t'"},
        {".csv.gz", "FORMAT csv, HEADER, COMPRESSION gzip"},
        {".jsonl", "FORMAT json"},
        {".ndjson", "FORMAT json"},
        {".json", "FORMAT json, ARRAY true"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (gy_str_ends(gy_str_c(path), gy_str_c(table[i][0]))) {
            return table[i][1];
        }
    }
    return NULL;
}

/* All statements but the last as they are, the last one in a COPY. */
static gy_status copy_sql(struct gy_str sql, const struct query_opts *o, const char *to,
                          struct gy_buf *out, struct gy_err *err)
{
    struct gy_str statement = GY_STR_NULL, next;
    while (gy_duck_statement_next(&sql, &next)) {
        if (statement.p) {
            gy_buf_add(out, statement);
            gy_buf_addc(out, "\n;");
        }
        statement = next;
    }
    if (!statement.p) {
        return gy_err_set(err, GY_E_INVALID, "there is no statement in the SQL");
    }
    gy_buf_addc(out, "COPY (");
    gy_buf_addc(out, o->limit >= 0 ? "SELECT * FROM (" : "");
    gy_buf_add(out, statement);
    if (o->limit >= 0) {
        gy_buf_addf(out, "\n) LIMIT %lld", (long long)o->limit);
    }
    gy_buf_addc(out, "\n) TO "); /* the statement may end in a comment */
    gy_duck_quote(out, gy_str_c(to));
    gy_buf_addf(out, " (%s, USE_TMP_FILE false)", copy_format(o->output));
    return gy_buf_check(out, "the SQL", err);
}

/* What was written becomes the file: durably, and at once. */
static gy_status put_in_place(const char *fresh, const char *path, struct gy_err *err)
{
    int fd = open(fresh, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0 || rename(fresh, path) != 0) {
        gy_status status = gy_err_sys(err, errno, "writing '%s'", path);
        if (fd >= 0) {
            (void)close(fd);
        }
        return status;
    }
    (void)close(fd);
    return GY_OK;
}

static gy_status write_file(struct gy_query_sql *q, struct gy_str sql, const struct query_opts *o,
                            const struct gy_duck_param *params, struct watcher *w,
                            struct gy_err *err)
{
    GY_AUTO(gy_duck_rows_free) struct gy_duck_rows *r = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    char fresh[GY_MAX_PATH];
    gy_buf_init(&text, GY_DUCK_MAX_SQL);
    int n = snprintf(fresh, sizeof fresh, "%s.%lld.tmp", o->output, (long long)getpid());
    if (n < 0 || (size_t)n >= sizeof fresh) {
        return gy_err_set(err, GY_E_TOOBIG, "the path is too long");
    }
    GY_TRY(copy_sql(sql, o, fresh, &text, err));
    GY_TRY(gy_dir_make_for(o->output, err));
    GY_TRY(watch_start(w, q, err));
    gy_status status = gy_duck_query(q->duck, gy_buf_str(&text), params, o->params.n, &r, err);
    watch_stop(w);
    if (status == GY_OK) {
        status = put_in_place(fresh, o->output, err);
    }
    if (status != GY_OK) {
        (void)unlink(fresh);
        return status;
    }
    const int64_t rows = gy_duck_changed(r), size = gy_file_size(o->output);
    if (q->cli->json) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        struct gy_jw j;
        gy_buf_init(&out, GY_MIB);
        gy_jw_init(&j, &out);
        gy_jw_obj(&j);
        gy_jw_kv_strc(&j, "file", o->output);
        gy_jw_kv_i64(&j, "row_count", rows);
        gy_jw_kv_i64(&j, "size", size);
        gy_query_json_notes(q->tables, &j);
        gy_jw_obj_end(&j);
        GY_TRY(gy_buf_check(&out, "the answer", err));
        return gy_cli_print_json(q->cli, &out, err);
    }
    char bytes[32];
    gy_cli_say(q->cli, "%s: %lld rows, %s\n", o->output, (long long)rows,
               gy_cli_bytes(size, bytes));
    return GY_OK;
}

/* ---- the command ---- */

static void say_notes(const struct gy_query_sql *q)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf note;
    gy_buf_init(&note, 4 * GY_KIB);
    for (size_t i = 0; gy_tablefn_note(q->tables, i, &note); i++) {
        gy_cli_note(q->cli, "%s\n", note.p);
        gy_buf_reset(&note);
    }
}

static gy_status check_options(const struct gy_cli *cli, const struct query_opts *o,
                               struct gy_err *err)
{
    if ((cli->argc > 0) == (o->file != NULL)) {
        (void)gy_err_set(err, GY_E_USAGE, "the SQL is given %s",
                         o->file ? "twice: as argument and by --file"
                                 : "neither as argument nor "
                                   "by --file");
        return gy_err_hint(err, "gyre data query \"SELECT count(*) FROM 'data.csv'\"");
    }
    if (o->output && !copy_format(o->output)) {
        (void)gy_err_set(err, GY_E_USAGE, "'%s' has no known ending", o->output);
        return gy_err_hint(err, ".csv, .tsv, .csv.gz, .parquet, .jsonl or .json");
    }
    if (o->params.n > GY_DUCK_MAX_PARAMS) {
        return gy_err_set(err, GY_E_USAGE, "at most %d parameters", GY_DUCK_MAX_PARAMS);
    }
    if (o->threads < 0 || o->memory < 0 || o->memory > INT64_MAX / (int64_t)GY_MIB) {
        return gy_err_set(err, GY_E_USAGE, "--threads and --memory take 0 or more");
    }
    return GY_OK;
}

static gy_status read_params(struct gy_cli *cli, const struct query_opts *o,
                             struct gy_duck_param **ret, struct gy_err *err)
{
    *ret = gy_arena_calloc(&cli->arena, o->params.n + 1, sizeof **ret);
    if (!*ret) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < o->params.n; i++) {
        GY_TRY(gy_query_sql_param(o->params.items[i], &(*ret)[i], err));
    }
    return GY_OK;
}

static gy_status run_rows(struct gy_query_sql *q, struct gy_str sql, const struct query_opts *o,
                          const struct gy_duck_param *params, struct watcher *w, struct gy_err *err)
{
    GY_AUTO(gy_duck_rows_free) struct gy_duck_rows *r = NULL;
    GY_TRY(watch_start(w, q, err));
    gy_status status = gy_duck_query(q->duck, sql, params, o->params.n, &r, err);
    if (status == GY_OK && !q->cli->json) {
        return show(q, r, o, w, err);
    }
    if (status == GY_OK) {
        status = print_json(q, r, o, err);
    }
    watch_stop(w);
    return status;
}

static gy_status run_query(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct query_opts *o = opts;
    struct watcher w = {0};
    struct gy_duck_param *params = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_DUCK_MAX_SQL);
    GY_TRY(check_options(cli, o, err));
    GY_TRY(read_params(cli, o, &params, err));
    if (o->file) {
        GY_TRY(gy_file_read(o->file, &text, err));
    } else {
        gy_buf_addc(&text, cli->argv[0]);
        GY_TRY(gy_buf_check(&text, "the SQL", err));
    }
    hold_signals(&w);
    GY_AUTO_DONE(gy_query_sql_close) struct gy_query_sql q = {0};
    const struct gy_query_sql_options sql = {.threads = o->threads,
                                             .memory_bytes = o->memory * (int64_t)GY_MIB,
                                             .unordered = o->unordered,
                                             .strict = o->strict,
                                             .cache = !o->no_cache,
                                             .schema = o->schema};
    gy_status status = gy_query_sql_open(cli, &sql, &q, err);
    if (status == GY_OK) {
        status = o->output ? write_file(&q, gy_buf_str(&text), o, params, &w, err)
                           : run_rows(&q, gy_buf_str(&text), o, params, &w, err);
        say_notes(&q);
    }
    give_signals_back(&w);
    return status;
}

#define OPT(field, name, kind, arg, standard, help)                            \
    {                                                                          \
        name, 0, kind, offsetof(struct query_opts, field), arg, standard, help \
    }

static const struct gy_opt query_opts[] = {
    {"output", 'o', GY_OPT_STR, offsetof(struct query_opts, output), "FILE", NULL,
     "write all rows there: .csv .tsv .csv.gz .parquet .jsonl .json"},
    {"file", 'f', GY_OPT_STR, offsetof(struct query_opts, file), "FILE", NULL,
     "read the SQL from there"},
    {"param", 'p', GY_OPT_LIST, offsetof(struct query_opts, params), "NAME=VALUE", NULL,
     "a value for $NAME (the n-th '?' is $n); 'in quotes' it is a text whatever it looks like"},
    {"limit", 0, GY_OPT_INT, offsetof(struct query_opts, limit), "N", "-1",
     "at most N rows; -1: 100 for a table, else all"},
    OPT(schema, "schema", GY_OPT_STR, "FILE", NULL,
        "types of the columns it knows, in all files; else they are told from the first values"),
    OPT(strict, "strict", GY_OPT_FLAG, NULL, NULL, "what can not be read fails the query"),
    OPT(threads, "threads", GY_OPT_INT, "N", "0", "0: one a CPU"),
    OPT(memory, "memory", GY_OPT_INT, "MIB", "0",
        "what it may use, before it spills to disk; 0: half of the machine's"),
    OPT(unordered, "unordered", GY_OPT_FLAG, NULL, NULL,
        "rows need not keep the order of their files: writing is faster"),
    OPT(no_cache, "no-cache", GY_OPT_FLAG, NULL, NULL,
        "read the CSV of datasets, neither make nor use their Parquet"),
};

static const struct gy_verb verbs[] = {
    {.noun = "data",
     .verb = "query",
     .args = "[SQL]",
     .min_args = 0,
     .max_args = 1,
     .summary = "SQL over files and datasets",
     .details =
         "Tables are files ('x.csv', 'x.jsonl.gz', 'data/', 'data/*.csv', 'x.parquet', '-') and\n"
         "datasets (sepsis, \"sepsis@3\"). The SQL is DuckDB's. CSV and JSON are read by Gyre: no\n"
         "record is lost behind a broken quote; a value that is not of its column's type is NULL,\n"
         "and a line on stderr says how many there were. gyre_read('x.csv', records := true) and\n"
         "dataset('sepsis@3', records := true) also give _file, _row, _offset, _length, _codes,\n"
         "_error and _raw of each record. Other options: all_text, schema, format, delimiter.",
     .examples =
         "  gyre data query \"SELECT ward, avg(HR) FROM 'data/patients.csv' GROUP BY ward\"\n"
         "  gyre data query \"FROM \\\"sepsis@1\\\" WHERE HR > \\$hr\" --param hr=90 -o "
         "high.parquet\n"
         "  gyre data query \"SELECT * FROM 'labs.csv' l ASOF JOIN 'vitals.csv' v\n"
         "      ON l.patient = v.patient AND l.time >= v.time\" --json\n"
         "  gyre data query \"SELECT _row, _error, _raw FROM gyre_read('x.csv', records := true)\n"
         "      WHERE _codes IS NOT NULL\"",
     .opts = query_opts,
     .n_opts = sizeof query_opts / sizeof query_opts[0],
     .opts_bytes = sizeof(struct query_opts),
     .run = run_query},
};

const struct gy_verb_table gy_cmd_data_query = GY_VERB_TABLE(verbs);

/* SPDX-License-Identifier: Apache-2.0 */
/* gyre log export and gyre log ship: logged predictions as files, and to an HTTP sink. Both read
 * the log behind a cursor, beside the server and never on its request path. What a sink has taken
 * is told by a file that is replaced after each answer of 2xx, so a killed ship sends a batch again
 * rather than none: each event has the prediction's id. */
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"
#include "cli/log_pages.h"
#include "data/duck.h"
#include "net/http_client.h"

#define PAGE 1000 /* predictions that are asked for at a time */
#define MAX_LINE (4 * GY_MIB)
#define MAX_BATCH 1000
#define MAX_POST (256 * GY_MIB)
#define DUCK_MEMORY ((int64_t)(1024 * GY_MIB))
#define RETRY_FIRST_S 1
#define RETRY_MOST_S 60
#define SHIP_TIMEOUT_MS 60000

enum format { CLOUDEVENTS, JSONL, CSV, PARQUET, N_FORMATS };
static const char *const format_names[N_FORMATS] = {"cloudevents", "jsonl", "csv", "parquet"};

static gy_status find_format(const char *name, int n, enum format *ret, struct gy_err *err)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(name, format_names[i]) == 0) {
            *ret = (enum format)i;
            return GY_OK;
        }
    }
    return gy_err_set(err, GY_E_USAGE, "--format '%s' is not there: %s", name,
                      n == N_FORMATS ? "cloudevents, jsonl, csv, parquet" : "cloudevents, jsonl");
}

static gy_status find_style(const char *name, enum gy_log_event_style *ret, struct gy_err *err)
{
    if (strcmp(name, "kserve") == 0 || strcmp(name, "seldon") == 0) {
        *ret = name[0] == 'k' ? GY_LOG_KSERVE : GY_LOG_SELDON;
        return GY_OK;
    }
    return gy_err_set(err, GY_E_USAGE, "--style is kserve or seldon");
}

/* The elements of a page, so that they can be counted on. */
static gy_status rows_of(struct gy_arena *a, yyjson_val *list, yyjson_val ***ret, size_t *ret_n,
                         struct gy_err *err)
{
    size_t i, max;
    yyjson_val *one;
    *ret_n = yyjson_arr_size(list);
    *ret = (yyjson_val **)gy_arena_calloc(a, *ret_n + 1, sizeof **ret);
    if (!*ret) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a page of predictions");
    }
    yyjson_arr_foreach(list, i, max, one)
    {
        (*ret)[i] = one;
    }
    return GY_OK;
}

/* ---- export ---- */

struct export_opts {
    const char *format, *output, *since, *until, *endpoint, *version, *where, *style, *namespace,
        *source;
};

struct exporting {
    struct gy_cli *cli;
    struct gy_file_writer *to; /* NULL: stdout */
    struct gy_log_event_options events;
    struct gy_buf line;
    enum format format;
    int64_t rows, predictions;
};

static gy_status put_line(struct exporting *x, struct gy_err *err)
{
    gy_buf_add_char(&x->line, '\n');
    GY_TRY(gy_buf_check(&x->line, "a line", err));
    struct gy_str line = gy_buf_str(&x->line);
    if (x->to) {
        GY_TRY(gy_file_writer_write(x->to, line, err));
    } else if (fwrite(line.p, 1, line.n, stdout) != line.n) {
        return gy_err_set(err, GY_E_IO, "stdout can not be written");
    }
    gy_buf_reset(&x->line);
    return GY_OK;
}

/* For tables: one level, inputs.HR, probability.0, rule, shadow. */
static void flatten(yyjson_val *row, struct gy_buf *out)
{
    yyjson_val *key, *value, *k, *v;
    size_t i, max, j, n;
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    yyjson_obj_foreach(row, i, max, key, value)
    {
        struct gy_str name = gy_json_val_str(key);
        if (gy_str_eqc(name, "rule") || gy_str_eqc(name, "shadow")) {
            struct gy_str part = gy_str_eqc(name, "rule") ? GY_STR("name") : GY_STR("prediction");
            gy_jw_keys(&w, name);
            gy_jw_val(&w, yyjson_obj_getn(value, part.p, part.n));
        } else if (yyjson_is_obj(value)) {
            yyjson_obj_foreach(value, j, n, k, v)
            {
                char text[GY_MAX_NAME + 64];
                int bytes = snprintf(text, sizeof text, "%.*s.%.*s", (int)name.n, name.p,
                                     (int)yyjson_get_len(k), yyjson_get_str(k));
                gy_jw_keys(&w, gy_str_n(text, (size_t)bytes < sizeof text ? (size_t)bytes
                                                                          : sizeof text - 1));
                gy_jw_val(&w, v);
            }
        } else if (gy_str_eqc(name, "probability") && yyjson_is_arr(value)) {
            yyjson_arr_foreach(value, j, n, v)
            {
                char text[40];
                (void)snprintf(text, sizeof text, "probability.%zu", j);
                gy_jw_key(&w, text);
                gy_jw_val(&w, v);
            }
        } else if (!yyjson_is_arr(value)) {
            gy_jw_keys(&w, name);
            gy_jw_val(&w, value);
        }
    }
    gy_jw_obj_end(&w);
}

static gy_status export_rows(struct exporting *x, yyjson_val **rows, size_t n, struct gy_err *err)
{
    for (size_t at = 0, of; at < n; at += of) {
        of = gy_log_event_rows(rows, n, at);
        x->predictions++;
        x->rows += (int64_t)of;
        if (x->format == CLOUDEVENTS) {
            gy_log_event_request(rows + at, of, &x->events, &x->line);
            GY_TRY(put_line(x, err));
            gy_log_event_response(rows + at, of, &x->events, &x->line);
            GY_TRY(put_line(x, err));
            continue;
        }
        for (size_t i = at; i < at + of; i++) {
            if (x->format == JSONL) {
                struct gy_jw w;
                gy_jw_init(&w, &x->line);
                gy_jw_val(&w, rows[i]);
            } else {
                flatten(rows[i], &x->line);
            }
            GY_TRY(put_line(x, err));
        }
    }
    return GY_OK;
}

static gy_status export_all(struct exporting *x, struct gy_log_pages *p, struct gy_err *err)
{
    bool more = true;
    while (more) {
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
        yyjson_val *list = NULL, **rows = NULL;
        size_t n = 0;
        gy_arena_init(&a, 64 * GY_MIB);
        GY_TRY(gy_log_pages_next(p, &doc, &list, &more, err));
        GY_TRY(rows_of(&a, list, &rows, &n, err));
        GY_TRY(export_rows(x, rows, n, err));
    }
    return gy_log_pages_check_where(p, err);
}

/* Lines of JSON as a table of DuckDB's, which finds their columns and types. */
static gy_status write_table(const char *lines, const char *to, enum format format,
                             struct gy_err *err)
{
    GY_AUTO(gy_duck_free) struct gy_duck *d = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf sql;
    const struct gy_duck_options o = {.memory_bytes = DUCK_MEMORY, .files = true};
    gy_buf_init(&sql, GY_DUCK_MAX_SQL);
    gy_buf_addc(&sql, "COPY (SELECT * FROM read_json(");
    gy_duck_quote(&sql, gy_str_c(lines));
    gy_buf_addf(&sql, ", format='newline_delimited', sample_size=-1, maximum_object_size=%d)) TO ",
                (int)MAX_LINE);
    gy_duck_quote(&sql, gy_str_c(to));
    gy_buf_addc(&sql, format == PARQUET ? " (FORMAT parquet, COMPRESSION zstd)"
                                        : " (FORMAT csv, HEADER)");
    GY_TRY(gy_buf_check(&sql, "a path", err));
    GY_TRY(gy_duck_open(&o, &d, err));
    return gy_duck_run(d, gy_buf_str(&sql), err);
}

/* CSV and Parquet: first lines in a file beside it, then the table. */
static gy_status export_table(struct exporting *x, struct gy_log_pages *p, const char *output,
                              struct gy_err *err)
{
    char lines[GY_MAX_PATH], table[GY_MAX_PATH];
    int a = snprintf(lines, sizeof lines, "%s.%d.jsonl", output, (int)getpid());
    int b = snprintf(table, sizeof table, "%s.%d.part", output, (int)getpid());
    if (a >= (int)sizeof lines || b >= (int)sizeof table) {
        return gy_err_set(err, GY_E_TOOBIG, "the path is too long");
    }
    GY_TRY(gy_file_writer_open(lines, 0600, &x->to, err));
    gy_status st = export_all(x, p, err);
    if (st == GY_OK && x->rows == 0) {
        st = gy_err_set(err, GY_E_NOTFOUND, "no logged prediction matches: nothing was written");
    }
    if (st == GY_OK) {
        st = gy_file_writer_commit(x->to, NULL, err);
    }
    if (st == GY_OK) {
        st = write_table(lines, table, x->format, err);
    }
    if (st == GY_OK && rename(table, output) != 0) {
        st = gy_err_set(err, GY_E_IO, "'%s' can not be written", output);
    }
    (void)unlink(lines); /* either may not be there */
    (void)unlink(table);
    return st;
}

static gy_status export_lines(struct exporting *x, struct gy_log_pages *p, const char *output,
                              struct gy_err *err)
{
    if (!output) {
        GY_TRY(export_all(x, p, err));
        return fflush(stdout) == 0 ? GY_OK : gy_err_set(err, GY_E_IO, "stdout can not be written");
    }
    GY_TRY(gy_file_writer_open(output, 0644, &x->to, err));
    GY_TRY(export_all(x, p, err));
    return gy_file_writer_commit(x->to, NULL, err);
}

static gy_status run_export(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct export_opts *o = opts;
    struct exporting x = {.cli = cli, .events = {.namespace = o->namespace, .source = o->source}};
    GY_AUTO_DONE(gy_log_pages_done)
    struct gy_log_pages p = {.cli = cli,
                             .endpoint = o->endpoint,
                             .version = o->version,
                             .where = o->where,
                             .limit = PAGE};
    gy_buf_init(&p.cursor, MAX_LINE);
    GY_TRY(find_format(o->format, N_FORMATS, &x.format, err));
    GY_TRY(find_style(o->style, &x.events.style, err));
    GY_TRY(gy_log_pages_times(&p, o->since, o->until, err));
    bool table = x.format == CSV || x.format == PARQUET;
    const char *output = o->output && strcmp(o->output, "-") != 0 ? o->output : NULL;
    if (table && !output) {
        return gy_err_set(err, GY_E_USAGE, "%s goes to a file: -o FILE", o->format);
    }
    gy_buf_init(&x.line, MAX_POST); /* an event has all rows of its page's part of a prediction */
    gy_status st = table ? export_table(&x, &p, output, err) : export_lines(&x, &p, output, err);
    gy_file_writer_free(x.to);
    gy_buf_done(&x.line);
    GY_TRY(st);
    gy_cli_note(cli, "%lld rows of %lld predictions\n", (long long)x.rows,
                (long long)x.predictions);
    return GY_OK;
}

/* ---- ship ---- */

struct ship_opts {
    const char *to, *format, *endpoint, *where, *style, *namespace, *source, *since, *cursor;
    struct gy_opt_list headers;
    int64_t batch, every_s;
    bool follow;
};

struct shipping {
    struct gy_cli *cli;
    const struct ship_opts *o;
    struct gy_caller *sink;
    struct gy_log_event_options events;
    struct gy_log_pages pages;
    enum format format;
    char file[GY_MAX_PATH]; /* of the cursor */
    struct gy_str path, query;
    struct gy_header *headers;
    size_t n_headers;
    struct gy_buf body;
    int64_t sent, batches;
};

static volatile sig_atomic_t g_stop;

static void on_stop(int number)
{
    g_stop = number;
}

/* HOME/ship/<hash of where to and what>.json */
static gy_status cursor_file(struct shipping *s, struct gy_err *err)
{
    struct gy_home home;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf key;
    char digest[GY_SHA256_HEX], name[64], dir[GY_MAX_PATH];
    if (s->o->cursor) {
        int n = snprintf(s->file, sizeof s->file, "%s", s->o->cursor);
        return n < (int)sizeof s->file ? GY_OK : gy_err_set(err, GY_E_TOOBIG, "path too long");
    }
    gy_buf_init(&key, 64 * GY_KIB);
    gy_buf_addf(&key, "%s\n%s\n%s\n%s", s->o->to, s->o->endpoint ? s->o->endpoint : "",
                s->o->where ? s->o->where : "", s->cli->server ? s->cli->server : "");
    GY_TRY(gy_buf_check(&key, "the sink", err));
    GY_TRY(gy_sha256_hex(gy_buf_str(&key), digest, err));
    (void)snprintf(name, sizeof name, "%.24s.json", digest);
    GY_TRY(gy_cli_home(s->cli, &home, err));
    gy_status st = gy_home_path(&home, "ship", dir, err);
    gy_home_done(&home);
    GY_TRY(st);
    GY_TRY(gy_dir_make(dir, err));
    return gy_path_join(s->file, sizeof s->file, dir, name, err);
}

static gy_status read_cursor(struct shipping *s, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_jw w;
    if (!gy_path_exists(s->file)) {
        return gy_log_pages_times(&s->pages, s->o->since, NULL, err);
    }
    GY_TRY(gy_json_read_file(s->file, MAX_LINE, &doc, err));
    gy_jw_init(&w, &s->pages.cursor);
    gy_jw_val(&w, gy_json_get(yyjson_doc_get_root(doc), "cursor"));
    s->sent = gy_json_i64(yyjson_doc_get_root(doc), "sent", 0);
    return gy_buf_check(&s->pages.cursor, "the cursor", err);
}

static gy_status write_cursor(const struct shipping *s, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    char time[32];
    struct gy_jw w;
    gy_buf_init(&out, 2 * MAX_LINE);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "to", s->o->to);
    gy_jw_kv_i64(&w, "sent", s->sent);
    gy_jw_kv_str(&w, "time", gy_str_n(time, gy_time_iso(gy_now_us(), time)));
    gy_jw_key(&w, "cursor");
    gy_jw_raw(&w, gy_buf_str(&s->pages.cursor));
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&out, "the cursor", err));
    return gy_file_write(s->file, gy_buf_str(&out), 0644, err);
}

static gy_status make_batch(struct shipping *s, yyjson_val **rows, size_t n, struct gy_err *err)
{
    bool events = s->format == CLOUDEVENTS;
    gy_buf_reset(&s->body);
    gy_buf_addc(&s->body, events ? "[" : "");
    for (size_t at = 0, of; at < n; at += of) {
        of = gy_log_event_rows(rows, n, at);
        if (events) {
            gy_buf_addc(&s->body, at ? "," : "");
            gy_log_event_request(rows + at, of, &s->events, &s->body);
            gy_buf_add_char(&s->body, ',');
            gy_log_event_response(rows + at, of, &s->events, &s->body);
            continue;
        }
        for (size_t i = at; i < at + of; i++) {
            struct gy_jw w;
            gy_jw_init(&w, &s->body);
            gy_jw_val(&w, rows[i]);
            gy_buf_add_char(&s->body, '\n');
        }
    }
    gy_buf_addc(&s->body, events ? "]" : "");
    return gy_buf_check(&s->body, "a batch of events", err);
}

static gy_status post_once(struct shipping *s, int *ret_status, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    struct gy_mem_reader body;
    gy_arena_init(&a, GY_MIB);
    gy_collect_init(&answer, GY_MIB);
    struct gy_request req = {.method = GY_STR("POST"),
                             .path = s->path,
                             .query = s->query,
                             .headers = s->headers,
                             .n_headers = s->n_headers,
                             .body = gy_mem_reader_init(&body, gy_buf_str(&s->body)),
                             .arena = &a};
    GY_TRY(gy_call(s->sink, &req, &answer.reply, err));
    *ret_status = answer.status;
    return answer.status < 300 ? GY_OK
                               : gy_error_of_answer(answer.status, gy_buf_str(&answer.body), err);
}

/* In pieces, so that a signal ends it soon. */
static void wait_s(int64_t seconds)
{
    for (int64_t i = 0; i < seconds * 10 && !g_stop; i++) {
        const struct timespec tenth = {.tv_nsec = 100000000};
        (void)nanosleep(&tenth, NULL);
    }
}

/* Until the sink has taken it. What it refuses for good (4xx) ends it. */
static gy_status deliver(struct shipping *s, struct gy_err *err)
{
    for (int64_t wait = RETRY_FIRST_S; !g_stop;
         wait = wait * 2 > RETRY_MOST_S ? RETRY_MOST_S : wait * 2) {
        struct gy_err why = GY_ERR_INIT;
        int status = 0;
        gy_status st = post_once(s, &status, &why);
        if (st == GY_OK) {
            return GY_OK;
        }
        bool again = status == 0 || status == 408 || status == 429 || status >= 500;
        if (!again || (!s->o->follow && wait >= RETRY_MOST_S)) {
            if (err) {
                *err = why;
            }
            return gy_err_wrap(err, "%s", s->o->to);
        }
        gy_log_err(GY_LOG_WARN, "ship", "the sink does not take predictions: trying again", &why);
        wait_s(wait);
    }
    return gy_err_set(err, GY_E_CANCELLED, "stopped");
}

static gy_status ship_page(struct shipping *s, bool *ret_more, size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    yyjson_val *list = NULL, **rows = NULL;
    gy_arena_init(&a, 64 * GY_MIB);
    GY_TRY(gy_log_pages_next(&s->pages, &doc, &list, ret_more, err));
    GY_TRY(rows_of(&a, list, &rows, ret_n, err));
    if (*ret_n > 0) {
        GY_TRY(make_batch(s, rows, *ret_n, err));
        GY_TRY(deliver(s, err));
        s->sent += (int64_t)*ret_n;
        s->batches++;
    }
    return write_cursor(s, err);
}

/* "http://host:port/path?query" apart. */
static void split_url(const char *url, struct gy_str *base, struct gy_str *path,
                      struct gy_str *query)
{
    struct gy_str all = gy_str_c(url);
    const char *host = strstr(url, "://");
    const char *slash = host ? strchr(host + 3, '/') : NULL;
    *base = slash ? gy_str_n(url, (size_t)(slash - url)) : all;
    *path = slash ? gy_str_sub(all, base->n, SIZE_MAX) : GY_STR("/");
    *query = GY_STR_NULL;
    (void)gy_str_cut(*path, '?', path, query);
}

static gy_status set_headers(struct shipping *s, struct gy_err *err)
{
    s->headers = gy_arena_calloc(&s->cli->arena, s->o->headers.n + 2, sizeof *s->headers);
    if (!s->headers) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    s->headers[s->n_headers++] = (struct gy_header){
        GY_STR("Content-Type"), s->format == CLOUDEVENTS
                                    ? GY_STR("application/cloudevents-batch+json; charset=utf-8")
                                    : GY_STR("application/x-ndjson")};
    for (size_t i = 0; i < s->o->headers.n; i++) {
        struct gy_header *h = &s->headers[s->n_headers++];
        if (!gy_str_cut(gy_str_c(s->o->headers.items[i]), ':', &h->name, &h->value)) {
            return gy_err_set(err, GY_E_USAGE, "--header is 'Name: value'");
        }
        h->value = gy_str_trim(h->value);
    }
    return GY_OK;
}

static gy_status open_sink(struct shipping *s, struct gy_err *err)
{
    struct gy_str base;
    split_url(s->o->to, &base, &s->path, &s->query);
    char *url = gy_arena_printf(&s->cli->arena, "%" GY_STR_F, GY_STR_A(base));
    if (!url) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    GY_TRY(set_headers(s, err));
    GY_TRY(gy_http_client_new(url, &s->sink, err));
    gy_http_client_timeout(s->sink, SHIP_TIMEOUT_MS);
    return GY_OK;
}

static gy_status ship_all(struct shipping *s, struct gy_err *err)
{
    bool more = true;
    GY_TRY(cursor_file(s, err));
    GY_TRY(read_cursor(s, err));
    bool whole = s->pages.cursor.n == 0; /* else an earlier ship may have met what where names */
    while (!g_stop && (more || s->o->follow)) {
        size_t n = 0;
        GY_TRY(ship_page(s, &more, &n, err));
        if (!more && !s->o->follow && whole) {
            GY_TRY(gy_log_pages_check_where(&s->pages, err));
        }
        if (!more && s->o->follow) {
            wait_s(s->o->every_s);
        }
    }
    return GY_OK;
}

static gy_status run_ship(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct ship_opts *o = opts;
    struct shipping s = {.cli = cli,
                         .o = o,
                         .events = {.namespace = o->namespace, .source = o->source},
                         .pages = {.cli = cli, .endpoint = o->endpoint, .where = o->where}};
    gy_buf_init(&s.pages.cursor, MAX_LINE);
    if (!o->to) {
        return gy_err_set(err, GY_E_USAGE, "where to? --to URL");
    }
    if (o->batch < 1 || o->batch > MAX_BATCH || o->every_s < 1 || o->every_s > 3600) {
        return gy_err_set(err, GY_E_USAGE, "--batch takes 1 to %d, --every 1 to 3600", MAX_BATCH);
    }
    s.pages.limit = o->batch;
    GY_TRY(find_format(o->format, JSONL + 1, &s.format, err));
    GY_TRY(find_style(o->style, &s.events.style, err));
    struct sigaction stop = {.sa_handler = on_stop};
    (void)sigaction(SIGTERM, &stop, NULL); /* these can not fail for valid arguments */
    (void)sigaction(SIGINT, &stop, NULL);
    gy_buf_init(&s.body, MAX_POST);
    gy_status st = open_sink(&s, err);
    if (st == GY_OK) {
        st = ship_all(&s, err);
    }
    gy_caller_free(s.sink);
    gy_buf_done(&s.body);
    gy_log_pages_done(&s.pages);
    if (st == GY_E_CANCELLED && g_stop) {
        st = GY_OK; /* the batch goes again next time */
    }
    GY_TRY(st);
    gy_cli_note(cli, "%lld rows in %lld batches, %lld in all\n",
                (long long)(s.batches ? s.sent : 0), (long long)s.batches, (long long)s.sent);
    return GY_OK;
}

#define EVENT_OPTS(type)                                                              \
    {"style",                                                                         \
     0,                                                                               \
     GY_OPT_STR,                                                                      \
     offsetof(struct type, style),                                                    \
     "kserve|seldon",                                                                 \
     "kserve",                                                                        \
     "whose types and extensions CloudEvents have"},                                  \
        {"namespace", 0,         GY_OPT_STR,        offsetof(struct type, namespace), \
         "NAME",      "default", "that events name"},                                 \
    {                                                                                 \
        "source", 0, GY_OPT_STR, offsetof(struct type, source), "URI", NULL,          \
            "of events; else /gyre/endpoints/NAME"                                    \
    }

static const struct gy_opt export_opts[] = {
    {"format", 'f', GY_OPT_STR, offsetof(struct export_opts, format),
     "cloudevents|jsonl|csv|parquet", "jsonl",
     "lines of CloudEvents (two a prediction), of JSON (one a row), or a table"},
    {"output", 'o', GY_OPT_STR, offsetof(struct export_opts, output), "FILE", NULL,
     "where to; lines go to stdout without it"},
    {"endpoint", 0, GY_OPT_STR, offsetof(struct export_opts, endpoint), "NAME", NULL,
     "of this endpoint"},
    {"version", 0, GY_OPT_STR, offsetof(struct export_opts, version), "V", NULL,
     "answered by this model version"},
    {"since", 0, GY_OPT_STR, offsetof(struct export_opts, since), "TIME", NULL,
     "from then on: 12h, 7d before now, or a time with zone"},
    {"until", 0, GY_OPT_STR, offsetof(struct export_opts, until), "TIME", NULL, "before then"},
    {"where", 0, GY_OPT_STR, offsetof(struct export_opts, where), "EXPR", NULL,
     "as gyre log list has it"},
    EVENT_OPTS(export_opts),
};

static const struct gy_opt ship_opts[] = {
    {"to", 0, GY_OPT_STR, offsetof(struct ship_opts, to), "URL", NULL, "the sink: http or https"},
    {"format", 'f', GY_OPT_STR, offsetof(struct ship_opts, format), "cloudevents|jsonl",
     "cloudevents", "a batch of CloudEvents, or lines of JSON"},
    {"follow", 0, GY_OPT_FLAG, offsetof(struct ship_opts, follow), NULL, NULL,
     "go on with what comes, until Ctrl-C"},
    {"every", 0, GY_OPT_INT, offsetof(struct ship_opts, every_s), "SECONDS", "2",
     "--follow: look so often"},
    {"batch", 0, GY_OPT_INT, offsetof(struct ship_opts, batch), "N", "100",
     "predictions of one request (1000)"},
    {"header", 0, GY_OPT_LIST, offsetof(struct ship_opts, headers), "NAME: VALUE", NULL,
     "of each request (again for more)"},
    {"endpoint", 0, GY_OPT_STR, offsetof(struct ship_opts, endpoint), "NAME", NULL,
     "of this endpoint"},
    {"where", 0, GY_OPT_STR, offsetof(struct ship_opts, where), "EXPR", NULL,
     "as gyre log list has it"},
    {"since", 0, GY_OPT_STR, offsetof(struct ship_opts, since), "TIME", NULL,
     "the first time: from then on, else from the beginning"},
    {"cursor", 0, GY_OPT_STR, offsetof(struct ship_opts, cursor), "FILE", NULL,
     "what was taken already; else a file of the home for this URL, endpoint and condition"},
    EVENT_OPTS(ship_opts),
};

static const struct gy_verb verbs[] = {
    {.noun = "log",
     .verb = "export",
     .args = "",
     .summary = "logged predictions as CloudEvents, JSON lines, CSV or Parquet",
     .examples =
         "  gyre log export --endpoint sepsis --since 7d -o week.jsonl\n  gyre log export "
         "--format cloudevents --style seldon --since 1h\n  gyre log export --format parquet "
         "--where 'HR > 90' -o fast.parquet",
     .opts = export_opts,
     .n_opts = sizeof export_opts / sizeof export_opts[0],
     .opts_bytes = sizeof(struct export_opts),
     .run = run_export},
    {.noun = "log",
     .verb = "ship",
     .args = "",
     .summary = "send logged predictions to an HTTP sink, each at least once",
     .details = "What the sink has taken (2xx) is remembered, so the next ship goes on behind it. "
                "Answers of 408, 429, 5xx, and none, are tried again; others end it.",
     .examples =
         "  gyre log ship --to http://broker.example/default --follow\n  gyre log ship --to "
         "https://sink.example/in --format jsonl --header 'Authorization: Bearer x'",
     .opts = ship_opts,
     .n_opts = sizeof ship_opts / sizeof ship_opts[0],
     .opts_bytes = sizeof(struct ship_opts),
     .run = run_ship},
};

const struct gy_verb_table gy_cmd_log_export = GY_VERB_TABLE(verbs);

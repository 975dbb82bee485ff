/* SPDX-License-Identifier: Apache-2.0 */
/* gyre review export: reviewed predictions become a table for training: the inputs as columns, the
 * verdict as the label, unless the truth has come since. Rows of windows in which a sensor was at
 * fault stay out. Each request counts once (the newest verdict), rows are sorted by id, and the
 * table goes through the same ingest as any file, so that the same reviews give the same bytes and
 * what breaks the schema is a dead letter. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/time.h"
#include "cli/ask.h"
#include "cli/dataset_put.h"
#include "cli/faults.h"
#include "data/ingest.h"
#include "data/records.h"

#define BASE "/api/gyre/v1"
#define PAGE "5000"             /* reviews a call */
#define MAX_EXPORT (4 * GY_GIB) /* memory of the rows */
#define MAX_ROWS 50000000       /* distinct ones */
#define MAX_TABLE (8 * GY_GIB)  /* bytes of the table */
#define HASH_BITS 52            /* of ids made from a prediction: exact as a double too */
enum { MAX_REVISIONS = 10000 };

struct export_opts {
    const char *out, *name, *schema, *since;
    bool with_simulated, with_faulty;
};

/* One reviewed row. */
struct row {
    struct gy_str key;  /* what may be there once */
    struct gy_str id;   /* text of the id column; absent: the schema has none */
    double number;      /* of an id that is one */
    struct gy_str item; /* prediction id and row: the order where ids are equal */
    struct gy_str decided;
    struct gy_str line; /* as CSV, with LF */
    int64_t revision;
    bool simulated;
};

struct export
{
    struct gy_cli *cli;
    const struct export_opts *o;
    const char *endpoint;
    struct gy_schema *schema;
    const struct gy_column *label, *id; /* id NULL: none */
    struct gy_arena arena;
    struct gy_map rows;      /* by key to struct row */
    struct gy_map revisions; /* by number, to something */
    struct gy_faults faults;
    struct gy_map truths; /* "id/row" to the text that ends in NUL */
    int64_t read, duplicates, simulated_left_out, faulty_left_out, simulated, overruled;
    char dir[GY_MAX_PATH], dlq[GY_MAX_PATH]; /* scratch folder; dead letters */
    struct gy_ingest_result result;
};

static void export_done(struct export *x)
{
    gy_schema_free(x->schema);
    gy_map_done(&x->rows);
    gy_map_done(&x->truths);
    gy_map_done(&x->revisions);
    gy_arena_done(&x->arena);
    if (x->dir[0]) {
        GY_IGNORE(gy_dir_remove(x->dir, NULL)); /* what is left is named as scratch */
    }
}
GY_DEFINE_AUTO_DONE(struct export, export_done);

static gy_status nomem(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for reviews");
}

static gy_status open_schema(struct export *x, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    const char *given = x->o->schema;
    if (!given) {
        GY_TRY(gy_schema_find(".", path, err));
    }
    GY_TRY(gy_schema_read(given ? given : path, &x->schema, err));
    x->label = gy_schema_role(x->schema, GY_ROLE_LABEL);
    x->id = gy_schema_role(x->schema, GY_ROLE_ID);
    if (!x->label) {
        (void)gy_err_set(err, GY_E_SCHEMA, "the schema has no label column for the verdicts");
        return gy_err_hint(err, "role: label at one of its columns");
    }
    return GY_OK;
}

/* ---- what overrules verdicts ---- */

/* "ID ROW TEXT" of a label whose source is truth. */
static gy_status take_truth(struct export *x, struct gy_str line, struct gy_err *err)
{
    struct gy_str id;
    struct gy_str rest;
    struct gy_str row;
    struct gy_str text;
    if (!gy_str_cut(line, ' ', &id, &rest) || !gy_str_cut(rest, ' ', &row, &text)) {
        return GY_OK; /* an empty line */
    }
    char *key = gy_arena_printf(&x->arena, "%" GY_STR_F "/%" GY_STR_F, GY_STR_A(id), GY_STR_A(row));
    char *label = gy_arena_strdup(&x->arena, text);
    return key && label ? gy_map_put(&x->truths, gy_str_c(key), label, err) : nomem(err);
}

/* Diagnoses that came after the verdicts: a table for training has the label that counts. */
static gy_status read_truths(struct export *x, struct gy_err *err)
{
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    struct gy_caller *caller = NULL;
    const char *path = NULL;
    struct gy_str line;
    gy_collect_init(&answer, GY_MAX_REPLY);
    GY_TRY(gy_cli_path(x->cli, BASE "/log/labels?source=truth&text=1&endpoint={}",
                       gy_str_c(x->endpoint), &path, err));
    GY_TRY(gy_cli_caller(x->cli, &caller, err));
    GY_TRY(gy_call_json(caller, "GET", path, GY_STR_NULL, &answer, err));
    struct gy_str rest = gy_buf_str(&answer.body);
    while (gy_str_next(&rest, '\n', &line)) {
        GY_TRY(take_truth(x, line, err));
    }
    return GY_OK;
}

/* ---- one review as a row ---- */

static struct gy_str number_text(yyjson_val *v, char text[32])
{
    return yyjson_is_num(v) ? gy_str_n(text, gy_fmt_f64_trim(yyjson_get_num(v), text))
                            : gy_json_val_str(v);
}

/* The caller's id of a request of one row, where it is a value of the id column; else a number from
 * the prediction's id (or that id itself, where the column is text). */
static gy_status find_id(struct export *x, yyjson_val *r, struct row *row, struct gy_err *err)
{
    char text[GY_VALUE_TEXT], hex[GY_SHA256_HEX];
    struct gy_str request = gy_json_str(r, "request_id"), id = GY_STR_NULL;
    const struct gy_column *c = x->id;
    bool good = gy_json_i64(r, "rows", 0) == 1 && request.n > 0 &&
                gy_value_canonical(c->type, request, text, &id, &row->number) &&
                !(c->has_min && row->number < c->min) && !(c->has_max && row->number > c->max);
    if (good) {
        row->id = gy_arena_str(&x->arena, id);
        return row->id.p ? GY_OK : nomem(err);
    }
    row->number = 0;
    if (c->type == GY_TYPE_STRING) {
        row->id = row->item;
        return GY_OK;
    }
    GY_TRY(gy_sha256_hex(row->item, hex, err));
    uint64_t number = 0;
    for (int i = 0; i < HASH_BITS / 4; i++) {
        number = number << 4 | (uint64_t)(hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10);
    }
    row->number = (double)number;
    row->id = gy_str_c(gy_arena_printf(&x->arena, "%llu", (unsigned long long)number));
    return row->id.p ? GY_OK : nomem(err);
}

static gy_status build_line(struct export *x, yyjson_val *r, struct row *row, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf line;
    yyjson_val *inputs = gy_json_get(r, "inputs");
    gy_buf_init(&line, GY_MAX_CSV_RECORD);
    for (size_t i = 0; i < x->schema->n_columns; i++) {
        const struct gy_column *c = &x->schema->columns[i];
        char text[32];
        if (i) {
            gy_buf_add_char(&line, ',');
        }
        if (c == x->label) {
            const char *truth = gy_map_get(&x->truths, row->item);
            struct gy_str verdict = gy_json_str(r, "verdict");
            x->overruled += truth && !gy_str_eqc(verdict, truth);
            gy_csv_add_field(&line, truth ? gy_str_c(truth) : verdict);
        } else if (c == x->id && !gy_json_get(inputs, c->name.p)) {
            gy_csv_add_field(&line, row->id);
        } else {
            gy_csv_add_field(&line, number_text(gy_json_get(inputs, c->name.p), text));
        }
    }
    gy_buf_add_char(&line, '\n');
    GY_TRY(gy_buf_check(&line, "a row of the table", err));
    row->line = gy_arena_str(&x->arena, gy_buf_str(&line));
    return row->line.p ? GY_OK : nomem(err);
}

static bool newer(const struct row *a, const struct row *b)
{
    int c = gy_str_cmp(a->decided, b->decided);
    return c ? c > 0 : gy_str_cmp(a->item, b->item) > 0;
}

static gy_status take(struct export *x, yyjson_val *r, struct gy_err *err)
{
    struct row *row = gy_arena_calloc(&x->arena, 1, sizeof *row);
    if (!row) {
        return nomem(err);
    }
    x->read++;
    row->simulated = gy_json_bool(r, "simulated", false);
    if (row->simulated && !x->o->with_simulated) {
        x->simulated_left_out++;
        return GY_OK;
    }
    if (x->faults.n && !x->o->with_faulty) {
        int64_t time_us = 0;
        GY_TRY(gy_time_parse_iso(gy_json_str(r, "predicted_at"), &time_us, err));
        if (gy_faults_has(&x->faults, gy_json_str(r, "model_version"), time_us)) {
            x->faulty_left_out++;
            return GY_OK;
        }
    }
    row->revision = gy_json_i64(r, "revision", 0);
    row->decided = gy_arena_str(&x->arena, gy_json_str(r, "decided"));
    row->item = gy_str_c(gy_arena_printf(&x->arena, "%" GY_STR_F "/%lld",
                                         GY_STR_A(gy_json_str(r, "prediction_id")),
                                         (long long)gy_json_i64(r, "row", 0)));
    row->key = gy_json_i64(r, "rows", 0) == 1 && gy_json_str(r, "request_id").n
                   ? gy_arena_str(&x->arena, gy_json_str(r, "request_id"))
                   : row->item;
    if (!row->decided.p || !row->item.p || !row->key.p) {
        return nomem(err);
    }
    if (x->id) {
        GY_TRY(find_id(x, r, row, err));
    }
    GY_TRY(build_line(x, r, row, err));
    struct row *old = gy_map_get(&x->rows, row->key);
    x->duplicates += old != NULL;
    return old && newer(old, row) ? GY_OK : gy_map_put(&x->rows, row->key, row, err);
}

/* ---- reading ---- */

/* An RFC 3339 time, or "30d", "12h", "90m" before now, as the routes take it. */
static gy_status since_text(struct gy_str s, char out[32], struct gy_err *err)
{
    int64_t n = 0, us = 0;
    char unit = s.n ? s.p[s.n - 1] : 0;
    int64_t unit_us = unit == 'd' ? 86400 : unit == 'h' ? 3600 : unit == 'm' ? 60 : 0;
    if (unit_us && gy_parse_i64(gy_str_sub(s, 0, s.n - 1), 0, 100000, &n, NULL) == GY_OK) {
        us = gy_now_us() - n * unit_us * 1000000;
    } else if (gy_time_parse_iso(s, &us, NULL) != GY_OK) {
        (void)gy_err_set(err, GY_E_USAGE, "--since takes a time or an age");
        return gy_err_hint(err, "2026-11-21T00:00:00Z, 30d, 12h or 90m");
    }
    (void)gy_time_iso(us, out);
    return GY_OK;
}

/* One page of reviews, a line each; *ret_last names the last one. */
static gy_status read_page(struct export *x, const char *path, char last[GY_MAX_NAME],
                           bool *ret_more, struct gy_err *err)
{
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    struct gy_caller *caller = NULL;
    struct gy_str line;
    gy_collect_init(&answer, GY_MAX_REPLY);
    GY_TRY(gy_cli_caller(x->cli, &caller, err));
    GY_TRY(gy_call_json(caller, "GET", path, GY_STR_NULL, &answer, err));
    struct gy_str rest = gy_buf_str(&answer.body);
    *ret_more = false;
    while (gy_str_next(&rest, '\n', &line)) {
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        if (line.n == 0) {
            continue;
        }
        GY_TRY(gy_json_parse(line, &doc, err));
        yyjson_val *r = yyjson_doc_get_root(doc);
        GY_TRY(take(x, r, err));
        (void)snprintf(last, GY_MAX_NAME, "%" GY_STR_F "/%lld",
                       GY_STR_A(gy_json_str(r, "prediction_id")),
                       (long long)gy_json_i64(r, "row", 0));
        *ret_more = true;
    }
    return GY_OK;
}

static gy_status read_reviews(struct export *x, struct gy_err *err)
{
    char since[32] = "", last[GY_MAX_NAME] = "";
    bool more = true;
    if (x->o->since) {
        GY_TRY(since_text(gy_str_c(x->o->since), since, err));
    }
    while (more) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
        gy_buf_init(&path, 64 * GY_KIB);
        gy_buf_addc(&path, BASE "/reviews/export?state=done&limit=" PAGE "&endpoint=");
        gy_url_encode(&path, gy_str_c(x->endpoint), false);
        gy_buf_addc(&path, "&since=");
        gy_url_encode(&path, gy_str_c(since), false);
        gy_buf_addc(&path, "&after=");
        gy_url_encode(&path, gy_str_c(last), false);
        GY_TRY(gy_buf_check(&path, "the request", err));
        GY_TRY(read_page(x, path.p, last, &more, err));
    }
    return GY_OK;
}

/* ---- writing ---- */

static int by_id(const void *a, const void *b)
{
    const struct row *x = *(const struct row *const *)a, *y = *(const struct row *const *)b;
    if (x->number < y->number || x->number > y->number) {
        return x->number < y->number ? -1 : 1;
    }
    int c = gy_str_cmp(x->id, y->id);
    return c ? c : gy_str_cmp(x->item, y->item);
}

static gy_status note_revision(struct export *x, int64_t revision, struct gy_err *err)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%lld", (long long)revision);
    return gy_map_put(&x->revisions, gy_str_n(text, (size_t)n), x, err);
}

/* The rows in order, as one file of text. */
static gy_status write_table(struct export *x, const char *path, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    size_t n = 0, pos = 0;
    gy_buf_init(&out, MAX_TABLE);
    struct row **rows = gy_arena_calloc(&x->arena, x->rows.n_live + 1, sizeof *rows);
    if (!rows) {
        return nomem(err);
    }
    for (struct gy_map_entry *e = gy_map_next(&x->rows, &pos); e; e = gy_map_next(&x->rows, &pos)) {
        rows[n++] = e->value;
    }
    qsort(rows, n, sizeof *rows, by_id);
    for (size_t i = 0; i < x->schema->n_columns; i++) {
        gy_buf_addc(&out, i ? "," : "");
        gy_csv_add_field(&out, x->schema->columns[i].name);
    }
    gy_buf_add_char(&out, '\n');
    for (size_t i = 0; i < n; i++) {
        gy_buf_add(&out, rows[i]->line);
        x->simulated += rows[i]->simulated;
        GY_TRY(note_revision(x, rows[i]->revision, err));
    }
    GY_TRY(gy_buf_check(&out, "the table", err));
    return gy_file_write(path, gy_buf_str(&out), 0644, err);
}

/* Through the ingest in a scratch folder beside the file, which then takes its place. */
static gy_status make_file(struct export *x, struct gy_err *err)
{
    char raw[GY_MAX_PATH];
    const char *out = x->o->out;
    if (snprintf(x->dlq, sizeof x->dlq, "%s.dlq", out) >= GY_MAX_PATH - 16) {
        x->dir[0] = '\0';
        return gy_err_set(err, GY_E_TOOBIG, "the path is too long");
    }
    GY_TRY(gy_dir_make_for(out, err));
    (void)snprintf(x->dir, sizeof x->dir, "%s.%lld.tmp", out, (long long)getpid());
    GY_TRY(gy_dir_make(x->dir, err));
    GY_TRY(gy_path_join(raw, sizeof raw, x->dir, "reviews.csv", err));
    GY_TRY(write_table(x, raw, err));
    if (unlink(x->dlq) != 0 && errno != ENOENT) { /* of the table before, which this one replaces */
        return gy_err_sys(err, errno, "removing '%s'", x->dlq);
    }
    GY_AUTO(gy_source_free) struct gy_source *source = NULL;
    GY_TRY(gy_source_file(raw, out, &source, err));
    source->format = GY_INGEST_CSV;
    const struct gy_ingest_options options = {.sources = &source,
                                              .n_sources = 1,
                                              .out_dir = x->dir,
                                              .dlq = x->dlq,
                                              .schema = x->schema,
                                              .delimiter = ',',
                                              .max_dead = -1,
                                              .max_dead_share = -1};
    GY_TRY(gy_ingest(&options, &x->result, err));
    if (rename(x->result.path, out) != 0) {
        return gy_err_sys(err, errno, "writing '%s'", out);
    }
    return GY_OK;
}

/* ---- registering ---- */

static gy_status write_lineage(struct export *x, int64_t version, struct gy_buf *body,
                               struct gy_err *err)
{
    struct gy_jw w;
    size_t pos = 0;
    gy_jw_init(&w, body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "endpoint", x->endpoint);
    gy_jw_kv_strc(&w, "data_sha256", x->result.sha256);
    gy_jw_kv_strc(&w, "dataset", x->o->name);
    gy_jw_kv_i64(&w, "version", version);
    gy_jw_kv_i64(&w, "rows", x->result.accepted);
    gy_jw_kv_i64(&w, "duplicates", x->duplicates);
    gy_jw_kv_i64(&w, "simulated", x->simulated);
    gy_jw_key(&w, "revisions");
    gy_jw_arr(&w);
    for (struct gy_map_entry *e = gy_map_next(&x->revisions, &pos); e;
         e = gy_map_next(&x->revisions, &pos)) {
        gy_jw_raw(&w, e->key);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_buf_check(body, "the lineage", err);
}

/* The version, then where it came from. */
static gy_status register_dataset(struct export *x, int64_t *ret_version, bool *ret_new,
                                  struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer told = {.doc = NULL};
    int64_t people = (int64_t)x->rows.n_live - x->simulated;
    gy_buf_init(&body, GY_MAX_JSON_BODY);
    const char *source = gy_arena_printf(&x->arena, "reviews of %s: %lld by people, %lld simulated",
                                         x->endpoint, (long long)people, (long long)x->simulated);
    if (!source) {
        return nomem(err);
    }
    const struct gy_cli_dataset d = {.result = &x->result,
                                     .path = x->o->out,
                                     .name = gy_str_c(x->o->name),
                                     .schema = x->schema,
                                     .source = gy_str_c(source)};
    GY_TRY(gy_cli_dataset_put(x->cli, &d, ret_version, ret_new, err));
    GY_TRY(write_lineage(x, *ret_version, &body, err));
    return gy_cli_ask(x->cli, "POST", BASE "/reviews/exported", gy_buf_str(&body), &told, err);
}

/* ---- telling ---- */

static gy_status print_json(struct export *x, int64_t version, bool is_new, struct gy_err *err)
{
    const struct gy_ingest_result *r = &x->result;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 64 * GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "endpoint", x->endpoint);
    gy_jw_kv_strc(&w, "path", x->o->out);
    gy_jw_kv_i64(&w, "reviews", x->read);
    gy_jw_kv_i64(&w, "rows", r->accepted);
    gy_jw_kv_i64(&w, "duplicates", x->duplicates);
    gy_jw_kv_i64(&w, "simulated", x->simulated);
    gy_jw_kv_i64(&w, "simulated_left_out", x->simulated_left_out);
    gy_jw_kv_i64(&w, "faulty_left_out", x->faulty_left_out);
    gy_jw_kv_i64(&w, "overruled", x->overruled);
    gy_jw_kv_i64(&w, "dead", r->dead);
    gy_jw_kv_strc(&w, "dlq", x->dlq);
    gy_jw_kv_strc(&w, "sha256", r->sha256);
    gy_jw_kv_strc(&w, "md5", r->md5);
    gy_jw_kv_strc(&w, "dataset", version ? x->o->name : NULL);
    if (version) {
        gy_jw_kv_i64(&w, "version", version);
    } else {
        gy_jw_kv_null(&w, "version");
    }
    gy_jw_kv_bool(&w, "new", is_new);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(x->cli, &out, err);
}

static void say(struct export *x, int64_t version, bool is_new)
{
    const struct gy_ingest_result *r = &x->result;
    gy_cli_say(x->cli, "%s: %lld rows of %lld reviews, %lld duplicates dropped, %lld simulated\n",
               x->o->out, (long long)r->accepted, (long long)x->read, (long long)x->duplicates,
               (long long)x->simulated);
    if (x->simulated_left_out) {
        gy_cli_say(x->cli, "  %lld simulated ones left out (--with-simulated takes them)\n",
                   (long long)x->simulated_left_out);
    }
    if (x->overruled) {
        gy_cli_say(x->cli, "  %lld verdicts overruled by a label of source truth\n",
                   (long long)x->overruled);
    }
    if (x->faulty_left_out) {
        gy_cli_say(x->cli,
                   "  %lld left out: a sensor was at fault when they were answered "
                   "(--with-faulty takes them)\n",
                   (long long)x->faulty_left_out);
    }
    if (r->dead) {
        gy_cli_say(x->cli, "  %lld rows break the schema: gyre dlq list --dlq %s\n",
                   (long long)r->dead, x->dlq);
    }
    if (version) {
        gy_cli_say(x->cli, "  dataset %s@%lld%s\n  sha256 %s\n", x->o->name, (long long)version,
                   is_new ? "" : " (known already: same bytes)", r->sha256);
    }
}

static gy_status run_export(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct export_opts *o = opts;
    GY_AUTO_DONE(export_done)
    struct export x = {.cli = cli, .o = o, .endpoint = cli->argv[0]};
    int64_t version = 0;
    bool is_new = false;
    if (!o->out) {
        return gy_err_set(err, GY_E_USAGE, "-o FILE.csv says where the table goes");
    }
    gy_arena_init(&x.arena, MAX_EXPORT);
    gy_map_init(&x.rows, MAX_ROWS);
    gy_map_init(&x.truths, MAX_ROWS);
    gy_map_init(&x.revisions, MAX_REVISIONS);
    GY_TRY(open_schema(&x, err));
    GY_TRY(gy_faults_load(cli, x.endpoint, &x.faults, err));
    GY_TRY(read_truths(&x, err));
    GY_TRY(read_reviews(&x, err));
    GY_TRY(make_file(&x, err));
    if (x.result.accepted == 0) {
        gy_cli_note(cli, "no reviewed record: the table has a header alone%s\n",
                    o->name ? " and is not registered" : "");
    } else if (o->name) {
        GY_TRY(register_dataset(&x, &version, &is_new, err));
    }
    if (cli->json) {
        return print_json(&x, version, is_new, err);
    }
    say(&x, version, is_new);
    return GY_OK;
}

static const struct gy_opt export_opts[] = {
    {"out", 'o', GY_OPT_STR, offsetof(struct export_opts, out), "FILE.csv", NULL, "the table"},
    {"name", 0, GY_OPT_STR, offsetof(struct export_opts, name), "DATASET", NULL,
     "register it as a version of this dataset, with its lineage"},
    {"schema", 0, GY_OPT_STR, offsetof(struct export_opts, schema), "FILE", NULL,
     "default: the project's schema.yaml"},
    {"with-simulated", 0, GY_OPT_FLAG, offsetof(struct export_opts, with_simulated), NULL, NULL,
     "also verdicts that are tagged simulated"},
    {"with-faulty", 0, GY_OPT_FLAG, offsetof(struct export_opts, with_faulty), NULL, NULL,
     "also rows of windows in which the watch has found a sensor's fault"},
    {"since", 0, GY_OPT_STR, offsetof(struct export_opts, since), "TIME", NULL,
     "verdicts given since then: a time, or 30d, 12h, 90m"},
};

static const struct gy_verb verbs[] = {
    {.noun = "review",
     .verb = "export",
     .args = "ENDPOINT",
     .min_args = 1,
     .max_args = 1,
     .summary =
         "reviewed predictions as a table for training: inputs, and the verdict as the label",
     .details = "Each request counts once, with its newest verdict; rows are sorted by id, so the "
                "same reviews give the same bytes. Rows that break the schema go to FILE.csv.dlq.",
     .examples = "  gyre review export sepsis -o data/reviewed.csv\n  gyre review export sepsis -o "
                 "data/reviewed.csv --name sepsis-reviewed --since 30d",
     .opts = export_opts,
     .n_opts = sizeof export_opts / sizeof export_opts[0],
     .opts_bytes = sizeof(struct export_opts),
     .run = run_export},
};

const struct gy_verb_table gy_cmd_review_export = GY_VERB_TABLE(verbs);

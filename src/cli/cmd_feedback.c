/* SPDX-License-Identifier: Apache-2.0 */
/* gyre feedback: labels for predictions, one by one or from a file. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "base/limits.h"
#include "cli/ask.h"
#include "data/jsonrec.h"
#include "data/records.h"

#define PATH "/api/gyre/v1/feedback"
#define BATCH_BYTES (4 * GY_MIB)
#define MAX_TOLD 100
enum { BATCH_LINES = 5000 };

/* ---- send ---- */

struct send_opts {
    int64_t row;
    const char *source, *reason, *given;
    bool request;
};

static void kv_opt(struct gy_jw *w, const char *key, const char *value)
{
    if (value) {
        gy_jw_kv_strc(w, key, value);
    }
}

static gy_status run_send(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct send_opts *o = opts;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    struct gy_jw w;
    gy_buf_init(&body, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, o->request ? "request_id" : "prediction_id", cli->argv[0]);
    gy_jw_kv_strc(&w, "label", cli->argv[1]);
    gy_jw_kv_i64(&w, "row", o->row);
    kv_opt(&w, "source", o->source);
    kv_opt(&w, "reason", o->reason);
    kv_opt(&w, "given", o->given);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "feedback", err));
    GY_TRY(gy_cli_ask(cli, "POST", PATH, gy_buf_str(&body), &answer, err));
    if (cli->json) {
        return gy_cli_print_answer(cli, &answer, err);
    }
    bool joined = gy_json_bool(answer.root, "joined", false);
    bool fresh = gy_json_i64(answer.root, "new", 0) > 0;
    gy_cli_say(cli, "%s%s\n", fresh ? "kept" : "kept already",
               joined ? "" : "; its prediction was not seen yet, the label waits for it");
    return GY_OK;
}

/* ---- import ---- */

struct import_opts {
    const char *id, *request, *label, *row, *given, *source;
};

/* What a record says, by the columns that were asked for. */
enum { F_PREDICTION, F_REQUEST, F_LABEL, F_ROW, F_GIVEN, F_SOURCE, N_FIELDS };
static const char *const keys[N_FIELDS] = {"prediction_id", "request_id", "label",
                                           "row",           "given",      "source"};

struct import {
    struct gy_cli *cli;
    const struct import_opts *o;
    struct gy_caller *caller;
    const char *columns[N_FIELDS];
    size_t at[N_FIELDS];    /* of a CSV file's header; SIZE_MAX: there is none */
    struct gy_arena record; /* texts of one record */
    struct gy_buf batch, scratch, rejects;
    struct gy_jw w; /* writes rejects */
    struct gy_collect answer;
    int64_t rows[BATCH_LINES]; /* record numbers of the batch's lines */
    size_t n;
    int64_t read, accepted, rejected, fresh, joined;
    struct gy_csv_field *fields;
    size_t max_fields;
};

static void import_done(struct import *m)
{
    gy_arena_done(&m->record);
    gy_buf_done(&m->batch);
    gy_buf_done(&m->scratch);
    gy_buf_done(&m->rejects);
    gy_collect_done(&m->answer);
}

static void reject(struct import *m, int64_t record, const char *why)
{
    m->rejected++;
    if (m->rejected <= MAX_TOLD) {
        gy_jw_obj(&m->w);
        gy_jw_kv_i64(&m->w, "record", record);
        gy_jw_kv_strc(&m->w, "reason", why);
        gy_jw_obj_end(&m->w);
        if (!m->cli->json) {
            gy_cli_note(m->cli, "record %lld: %s\n", (long long)record, why);
        }
    }
}

static gy_status post_batch(struct import *m, struct gy_err *err)
{
    if (m->n == 0) {
        return GY_OK;
    }
    GY_TRY(gy_buf_check(&m->batch, "a batch of feedback", err));
    struct gy_mem_reader reader;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_call_body(m->caller, "POST", PATH, "application/x-ndjson",
                        gy_mem_reader_init(&reader, gy_buf_str(&m->batch)), &m->answer, err));
    GY_TRY(gy_json_parse(gy_buf_str(&m->answer.body), &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    m->accepted += gy_json_i64(root, "accepted", 0);
    m->fresh += gy_json_i64(root, "new", 0);
    m->joined += gy_json_i64(root, "joined", 0);
    int64_t told = 0;
    size_t i;
    size_t max;
    yyjson_val *one;
    yyjson_arr_foreach(gy_json_get(root, "rejects"), i, max, one)
    {
        int64_t line = gy_json_i64(one, "line", 0);
        struct gy_str why = gy_json_str(one, "reason");
        reject(m, line > 0 && line <= (int64_t)m->n ? m->rows[line - 1] : -1,
               why.p ? why.p : "refused");
        told++;
    }
    m->rejected += gy_json_i64(root, "rejected", 0) - told;
    gy_buf_reset(&m->batch);
    m->n = 0;
    return GY_OK;
}

/* values: absent where the record says nothing. */
static gy_status add_line(struct import *m, int64_t record, const struct gy_str values[N_FIELDS],
                          struct gy_err *err)
{
    struct gy_jw w;
    int64_t row = 0;
    if (values[F_ROW].n && gy_parse_i64(values[F_ROW], 0, INT32_MAX, &row, NULL) != GY_OK) {
        reject(m, record, "the row is no number from 0");
        return GY_OK;
    }
    gy_jw_init(&w, &m->batch);
    gy_jw_obj(&w);
    for (int i = 0; i < N_FIELDS; i++) {
        if (i == F_ROW) {
            gy_jw_kv_i64(&w, "row", row);
        } else if (values[i].n) {
            gy_jw_kv_str(&w, keys[i], values[i]);
        }
    }
    gy_jw_obj_end(&w);
    gy_buf_add_char(&m->batch, '\n');
    m->rows[m->n++] = record;
    bool full = m->n == BATCH_LINES || m->batch.n > BATCH_BYTES;
    return full ? post_batch(m, err) : GY_OK;
}

/* ---- a CSV file ---- */

static gy_status read_header(struct import *m, const struct gy_csv_item *item, char delimiter,
                             struct gy_err *err)
{
    size_t n = gy_csv_split(item->raw, item->quotes, delimiter, NULL, 0);
    if (item->fault != GY_CSV_FINE || n > GY_MAX_COLUMNS) {
        return gy_err_set(err, GY_E_SCHEMA, "the header of the file is damaged");
    }
    m->fields = gy_arena_calloc(&m->cli->arena, n + 1, sizeof *m->fields);
    if (!m->fields) {
        return gy_err_set(err, GY_E_NOMEM, "reading feedback");
    }
    m->max_fields = n;
    (void)gy_csv_split(item->raw, item->quotes, delimiter, m->fields, n);
    for (int f = 0; f < N_FIELDS; f++) {
        m->at[f] = SIZE_MAX;
        for (size_t i = 0; i < n; i++) {
            struct gy_str name = gy_str_trim(gy_csv_text(&m->fields[i], &m->scratch));
            if (m->columns[f] && gy_str_eqc(name, m->columns[f])) {
                m->at[f] = i;
            }
        }
    }
    if (m->at[F_PREDICTION] == SIZE_MAX && m->at[F_REQUEST] == SIZE_MAX) {
        (void)gy_err_set(err, GY_E_INVALID, "the file has no column '%s'%s%s%s",
                         m->columns[F_PREDICTION], m->columns[F_REQUEST] ? " or '" : "",
                         m->columns[F_REQUEST] ? m->columns[F_REQUEST] : "",
                         m->columns[F_REQUEST] ? "'" : "");
        return gy_err_hint(err, "--id-column or --request-column names the one that tells the "
                                "prediction");
    }
    if (m->at[F_LABEL] == SIZE_MAX) {
        (void)gy_err_set(err, GY_E_INVALID, "the file has no column '%s'", m->columns[F_LABEL]);
        return gy_err_hint(err, "--label-column names the one that holds the label");
    }
    return GY_OK;
}

static gy_status take_csv(struct import *m, const struct gy_csv_item *item, char delimiter,
                          struct gy_err *err)
{
    struct gy_str values[N_FIELDS] = {{NULL, 0}};
    gy_arena_reset(&m->record);
    m->read++;
    size_t n = item->fault == GY_CSV_FINE && item->raw.p
                   ? gy_csv_split(item->raw, item->quotes, delimiter, m->fields, m->max_fields)
                   : 0;
    if (n != m->max_fields) {
        reject(m, item->row,
               item->fault == GY_CSV_FINE ? "another number of fields than the header"
                                          : "the record is damaged");
        return GY_OK;
    }
    for (int f = 0; f < N_FIELDS; f++) {
        if (m->at[f] != SIZE_MAX) {
            struct gy_str text = gy_csv_text(&m->fields[m->at[f]], &m->scratch);
            values[f] = gy_arena_str(&m->record, gy_str_trim(text));
        }
    }
    values[F_SOURCE] = m->o->source ? gy_str_c(m->o->source) : values[F_SOURCE];
    return add_line(m, item->row, values, err);
}

static gy_status import_csv(struct import *m, struct gy_reader *in, struct gy_progress *bar,
                            struct gy_err *err)
{
    GY_AUTO(gy_csv_free) struct gy_csv *csv = NULL;
    const struct gy_csv_options o = {.delimiter = 0};
    struct gy_csv_item item;
    bool more = true;
    GY_TRY(gy_csv_open(in, &o, &csv, err));
    for (;;) {
        GY_TRY(gy_csv_next(csv, &item, &more, err));
        if (!more) {
            break;
        }
        gy_progress_at(bar, item.offset);
        if (item.kind == GY_CSV_HEADER) {
            GY_TRY(read_header(m, &item, gy_csv_delimiter(csv), err));
        } else if (item.kind == GY_CSV_RECORD) {
            GY_TRY(take_csv(m, &item, gy_csv_delimiter(csv), err));
        }
    }
    return m->fields ? post_batch(m, err) : gy_err_set(err, GY_E_INVALID, "the file is empty");
}

/* ---- a JSON file ---- */

static struct gy_str json_text(struct import *m, yyjson_val *v)
{
    char number[32];
    if (yyjson_is_num(v)) {
        return gy_arena_str(&m->record,
                            gy_str_n(number, gy_fmt_f64_trim(yyjson_get_num(v), number)));
    }
    return yyjson_is_bool(v) ? (yyjson_get_bool(v) ? GY_STR("true") : GY_STR("false"))
                             : gy_json_val_str(v);
}

static gy_status take_json(struct import *m, const struct gy_csv_item *item, struct gy_err *err)
{
    struct gy_str values[N_FIELDS] = {{NULL, 0}};
    struct gy_err why = GY_ERR_INIT;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_arena_reset(&m->record);
    m->read++;
    if (item->fault != GY_CSV_FINE || !item->raw.p ||
        gy_json_parse(item->raw, &doc, &why) != GY_OK) {
        reject(m, item->row, why.msg[0] ? why.msg : "the record is damaged");
        return GY_OK;
    }
    for (int f = 0; f < N_FIELDS; f++) {
        if (m->columns[f]) {
            values[f] = json_text(m, gy_json_get(yyjson_doc_get_root(doc), m->columns[f]));
        }
    }
    values[F_SOURCE] = m->o->source ? gy_str_c(m->o->source) : values[F_SOURCE];
    return add_line(m, item->row, values, err);
}

static gy_status import_json(struct import *m, struct gy_reader *in, bool lines,
                             struct gy_progress *bar, struct gy_err *err)
{
    GY_AUTO(gy_jsonrec_free) struct gy_jsonrec *json = NULL;
    const struct gy_jsonrec_options o = {.shape = lines ? GY_JSONREC_LINES : GY_JSONREC_ARRAY};
    struct gy_csv_item item;
    bool more = true;
    GY_TRY(gy_jsonrec_open(in, &o, &json, err));
    for (;;) {
        GY_TRY(gy_jsonrec_next(json, &item, &more, err));
        if (!more) {
            return post_batch(m, err);
        }
        gy_progress_at(bar, item.offset);
        if (item.kind == GY_CSV_RECORD) {
            GY_TRY(take_json(m, &item, err));
        }
    }
}

/* ---- the verb ---- */

static gy_status print_import(struct import *m, struct gy_err *err)
{
    gy_jw_arr_end(&m->w);
    GY_TRY(gy_buf_check(&m->rejects, "the list of rejects", err));
    gy_cli_say(m->cli,
               "%lld read, %lld accepted (%lld new, %lld joined with their prediction), "
               "%lld rejected\n",
               (long long)m->read, (long long)m->accepted, (long long)m->fresh,
               (long long)m->joined, (long long)m->rejected);
    if (!m->cli->json) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 2 * GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "read", m->read);
    gy_jw_kv_i64(&w, "accepted", m->accepted);
    gy_jw_kv_i64(&w, "rejected", m->rejected);
    gy_jw_kv_i64(&w, "new", m->fresh);
    gy_jw_kv_i64(&w, "joined", m->joined);
    gy_jw_key(&w, "rejects");
    gy_jw_raw(&w, gy_buf_str(&m->rejects));
    gy_jw_obj_end(&w);
    return gy_cli_print_json(m->cli, &out, err);
}

static gy_status import_file(struct import *m, int fd, struct gy_str path, struct gy_err *err)
{
    struct stat st;
    struct gy_fd_reader reader;
    struct gy_progress bar;
    int64_t size = fstat(fd, &st) == 0 ? (int64_t)st.st_size : -1;
    struct gy_reader *in = gy_fd_reader_init(&reader, fd, size);
    bool lines = gy_str_ends(path, GY_STR(".jsonl")) || gy_str_ends(path, GY_STR(".ndjson"));
    gy_progress_start(&bar, m->cli, "feedback", size);
    gy_status status = lines || gy_str_ends(path, GY_STR(".json"))
                           ? import_json(m, in, lines, &bar, err)
                           : import_csv(m, in, &bar, err);
    gy_progress_end(&bar);
    return status;
}

static gy_status run_import(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct import_opts *o = opts;
    const char *path = cli->argv[0];
    struct import *m = gy_arena_calloc(&cli->arena, 1, sizeof *m);
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "reading feedback");
    }
    *m = (struct import){.cli = cli,
                         .o = o,
                         .columns = {o->id, o->request ? o->request : "request_id", o->label,
                                     o->row, o->given, "source"}};
    if (o->request) { /* then the other column, where there is one, does not matter */
        m->columns[F_PREDICTION] = NULL;
    }
    gy_arena_init(&m->record, 4 * GY_MIB);
    gy_buf_init(&m->batch, BATCH_BYTES + 2 * GY_MIB);
    gy_buf_init(&m->scratch, 2 * GY_MIB);
    gy_buf_init(&m->rejects, GY_MIB);
    gy_collect_init(&m->answer, 16 * GY_MIB);
    gy_jw_init(&m->w, &m->rejects);
    gy_jw_arr(&m->w);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    gy_status status =
        fd < 0 ? gy_err_sys(err, errno, "%s", path) : gy_cli_caller(cli, &m->caller, err);
    if (status == GY_OK) {
        status = import_file(m, fd, gy_str_c(path), err);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (status == GY_OK) {
        cli->exit_code = m->read && !m->accepted ? 1 : 0;
        status = print_import(m, err);
    }
    import_done(m);
    return status;
}

static const struct gy_opt send_opts[] = {
    {"row", 0, GY_OPT_INT, offsetof(struct send_opts, row), "N", "0",
     "the row of the request, from 0"},
    {"source", 's', GY_OPT_STR, offsetof(struct send_opts, source), "NAME", NULL,
     "who knows: truth (the default), review, simulated or a name of your own"},
    {"reason", 'r', GY_OPT_STR, offsetof(struct send_opts, reason), "TEXT", NULL,
     "kept with the label"},
    {"given", 0, GY_OPT_STR, offsetof(struct send_opts, given), "TIME", NULL,
     "when the label was known, with zone; else now"},
    {"request", 0, GY_OPT_FLAG, offsetof(struct send_opts, request), NULL, NULL,
     "the id is the caller's request id"},
};

static const struct gy_opt import_opts[] = {
    {"id-column", 'i', GY_OPT_STR, offsetof(struct import_opts, id), "NAME", "prediction_id",
     "holds the prediction's id"},
    {"request-column", 0, GY_OPT_STR, offsetof(struct import_opts, request), "NAME", NULL,
     "holds the caller's request id instead"},
    {"label-column", 'l', GY_OPT_STR, offsetof(struct import_opts, label), "NAME", "label",
     "holds the label"},
    {"row-column", 0, GY_OPT_STR, offsetof(struct import_opts, row), "NAME", "row",
     "holds the row of the request; absent: 0"},
    {"given-column", 0, GY_OPT_STR, offsetof(struct import_opts, given), "NAME", "given",
     "holds when the label was known; absent: now"},
    {"source", 's', GY_OPT_STR, offsetof(struct import_opts, source), "NAME", NULL,
     "who knows, for all records; else the column 'source', else truth"},
};

static const struct gy_verb verbs[] = {
    {.noun = "feedback",
     .verb = "send",
     .args = "PREDICTION_ID LABEL",
     .min_args = 2,
     .max_args = 2,
     .summary = "say what was true of a prediction",
     .details = "The same label again changes nothing. A later word of the same source counts "
                "instead of an earlier one;\ntruth counts before review, that before any other "
                "name, and all before simulated.",
     .examples = "  gyre feedback send 01932f4e-7c1a-7000-8000-0123456789ab 1\n"
                 "  gyre feedback send 01932f4e-7c1a-7000-8000-0123456789ab 0 --row 3 --source "
                 "review --reason 'culture negative'\n"
                 "  gyre feedback send order-17 1 --request",
     .opts = send_opts,
     .n_opts = sizeof send_opts / sizeof send_opts[0],
     .opts_bytes = sizeof(struct send_opts),
     .run = run_send},
    {.noun = "feedback",
     .verb = "import",
     .args = "FILE.csv|.jsonl|.json",
     .min_args = 1,
     .max_args = 1,
     .summary = "labels from a file, by prediction id or request id",
     .details = "accepted + rejected = read. A record that is refused is told with its number "
                "(from 0) and "
                "the reason; the others are kept.\nThe same file again changes nothing.",
     .examples = "  gyre feedback import labels.csv\n"
                 "  gyre feedback import outcomes.csv --id-column pid --label-column isSepsis\n"
                 "  gyre feedback import orders.jsonl --request-column order --source billing",
     .opts = import_opts,
     .n_opts = sizeof import_opts / sizeof import_opts[0],
     .opts_bytes = sizeof(struct import_opts),
     .run = run_import},
};

const struct gy_verb_table gy_cmd_feedback = GY_VERB_TABLE(verbs);

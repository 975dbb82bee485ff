/* SPDX-License-Identifier: Apache-2.0 */
/* `gyre demo sepsis`: the line from a CSV to a traced prediction, on the real commands. Nothing
 * here computes a result: each step runs a command that the user can run again, reads what it
 * answered, and checks it against what must hold. */
#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/limits.h"
#include "cli/demo.h"
#include "data/records.h"
#include "net/http_client.h"

enum { N_PATIENTS = 12000, N_LIVE = 2000 };
enum { N_BAD = 40, MIN_ROWS = 4 * N_LIVE, MAX_DATA_FILE = 1 << 30 };

struct demo_opts {
    const char *data; /* real vitals instead of synthetic ones */
    const char *dir;
    bool exit;
};

/* What the steps found; the final table is made of it. */
struct sepsis {
    struct gy_demo d;
    const struct demo_opts *opts;
    int64_t read, accepted, dead, bad;
    char data_sha256[GY_SHA256_HEX];
    int64_t baseline_version, challenger_version;
    int64_t refused_version;
    int64_t requests, non_2xx, rule_hits;
    struct {
        int64_t hit, positives;
    } rules, model, combined;
    char prediction_id[GY_UUID_TEXT];
    yyjson_doc *trace;
};

/* Share of the septic patients that were found. */
static double recall(int64_t hit, int64_t positives)
{
    return positives ? (double)hit / (double)positives : 0.0;
}

static void copy_text(char *out, size_t size, struct gy_str s)
{
    (void)snprintf(out, size, "%" GY_STR_F, GY_STR_A(s));
}

/* A first commit, so that the run knows which code it came from. Without git there is no revision
 * to know. */
static bool commit(struct sepsis *s)
{
    static const char *const init[] = {"git", "init", "-q", NULL};
    static const char *const add[] = {"git", "add", "-A", NULL};
    static const char *const save[] = {"git",
                                       "-c",
                                       "user.name=gyre demo",
                                       "-c",
                                       "user.email=demo@gyre.invalid",
                                       "commit",
                                       "-q",
                                       "-m",
                                       "the sepsis template",
                                       "--no-verify",
                                       NULL};
    static const char *const *const steps[] = {init, add, save};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int code = 0;
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        gy_buf_init(&out, GY_MIB);
        struct gy_proc_options o = {.argv = steps[i],
                                    .cwd = s->d.dir,
                                    .env_add = s->d.env,
                                    .stdin_fd = -1,
                                    .stderr_fd = -1};
        if (gy_proc_capture(&o, &out, &code, NULL) != GY_OK || code != 0) {
            return false;
        }
    }
    return true;
}

static gy_status step_project(struct sepsis *s, struct gy_err *err)
{
    gy_demo_begin(&s->d, "a project",
                  "gyre init --template sepsis . && git init && git add -A && git commit -m start");
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_demo_gyre(&s->d, "init --template sepsis .", 0, &doc, err));
    size_t n = yyjson_arr_size(gy_json_get(yyjson_doc_get_root(doc), "files"));
    bool committed = commit(s);
    return gy_demo_done(&s->d, n >= 4, err,
                        "%zu files: gyre.yaml, dvc.yaml, params.yaml, schema.yaml ...%s", n,
                        committed ? "" : " (git is not here: no code revision)");
}

/* The next item that is not blank, as its bytes in text. */
static gy_status next_item(struct gy_csv *csv, struct gy_str text, struct gy_csv_item *item,
                           struct gy_str *ret_bytes, struct gy_err *err)
{
    bool more = true;
    do {
        GY_TRY(gy_csv_next(csv, item, &more, err));
    } while (more && item->kind == GY_CSV_BLANK);
    *ret_bytes =
        more ? gy_str_sub(text, (size_t)item->offset, (size_t)item->size_bytes) : GY_STR_NULL;
    return GY_OK;
}

static gy_status write_raw(struct sepsis *s, const char *name, const struct gy_buf *rows,
                           struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_buf_check(rows, "the patients", err));
    GY_TRY(gy_path_join(path, sizeof path, s->d.dir, name, err));
    return gy_file_write(path, gy_buf_str(rows), 0644, err);
}

/* Deal FILE out: every `stride`th patient is kept aside as a live one that no training may see.
 * Spread over the file, since files are seldom in random order. */
static gy_status deal(struct sepsis *s, struct gy_str text, int64_t stride, int64_t *ret_rows,
                      struct gy_err *err)
{
    struct gy_mem_reader in;
    GY_AUTO(gy_csv_free) struct gy_csv *csv = NULL;
    GY_TRY(gy_csv_open(gy_mem_reader_init(&in, text), &(struct gy_csv_options){0}, &csv, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf clean;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf live;
    gy_buf_init(&clean, MAX_DATA_FILE);
    gy_buf_init(&live, MAX_DATA_FILE);
    int64_t kept = 0;
    *ret_rows = 0;
    for (;;) {
        struct gy_csv_item item;
        struct gy_str bytes;
        GY_TRY(next_item(csv, text, &item, &bytes, err));
        if (!bytes.p) {
            break;
        }
        bool aside =
            item.kind == GY_CSV_RECORD && stride > 0 && item.row % stride == 0 && kept < N_LIVE;
        *ret_rows += item.kind == GY_CSV_RECORD;
        kept += aside;
        if (aside || item.kind == GY_CSV_HEADER) {
            gy_buf_add(&live, bytes);
        }
        if (!aside) {
            gy_buf_add(&clean, bytes);
        }
    }
    GY_TRY(write_raw(s, "data/raw/live.csv", &live, err));
    return write_raw(s, "data/raw/clean.csv", &clean, err);
}

/* --data FILE: the first deal counts, the second one deals. */
static gy_status split_file(struct sepsis *s, const char *file, int64_t *ret_stride,
                            struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf all;
    gy_buf_init(&all, MAX_DATA_FILE);
    GY_TRY(gy_file_read(file, &all, err));
    int64_t rows = 0;
    GY_TRY(deal(s, gy_buf_str(&all), 0, &rows, err));
    if (rows < MIN_ROWS) {
        return gy_err_set(err, GY_E_INVALID, "%s has %lld rows; the demo needs %d", file,
                          (long long)rows, MIN_ROWS);
    }
    *ret_stride = rows / N_LIVE;
    return deal(s, gy_buf_str(&all), *ret_stride, &rows, err);
}

static gy_status step_patients(struct sepsis *s, struct gy_err *err)
{
    char words[512];
    char folder[GY_MAX_PATH];
    GY_TRY(gy_path_join(folder, sizeof folder, s->d.dir, "data/raw", err));
    GY_TRY(gy_dir_make(folder, err));
    if (s->opts->data) {
        int64_t stride = 0;
        gy_demo_begin(&s->d, "patients", "cp %s data/raw/clean.csv", s->opts->data);
        GY_TRY(split_file(s, s->opts->data, &stride, err));
    } else {
        (void)snprintf(words, sizeof words,
                       "data synth patients --rows %d --seed 1 -o data/raw/clean.csv", N_PATIENTS);
        gy_demo_begin(&s->d, "patients", "gyre %s", words);
        GY_TRY(gy_demo_gyre(&s->d, words, 0, NULL, err));
        (void)snprintf(
            words, sizeof words,
            "data synth patients --rows %d --seed 2 --first-id 100001 -o data/raw/live.csv",
            N_LIVE);
        GY_TRY(gy_demo_gyre(&s->d, words, 0, NULL, err));
    }
    GY_TRY(gy_demo_done(&s->d, true, err, "vitals to learn from, and %d live patients kept aside",
                        N_LIVE));
    (void)snprintf(
        words, sizeof words,
        "data synth corrupt data/raw/clean.csv --bad %d --seed 3 -o data/raw/patients.csv "
        "--bad-ledger data/raw/bad.jsonl",
        N_BAD);
    gy_demo_begin(&s->d, "bad records", "gyre %s", words);
    GY_TRY(gy_demo_gyre(&s->d, words, 0, NULL, err));
    s->bad = N_BAD;
    return gy_demo_done(&s->d, true, err, "%d records of 8 kinds damaged among them", N_BAD);
}

static gy_status step_server(struct sepsis *s, struct gy_err *err)
{
    gy_demo_begin(&s->d, "a server", "gyre server --port 0");
    GY_TRY(gy_demo_serve(&s->d, err));
    return gy_demo_done(&s->d, true, err, "listening on %s", s->d.address);
}

static gy_status step_ingest(struct sepsis *s, struct gy_err *err)
{
    gy_demo_begin(&s->d, "ingest", "gyre run ingest");
    GY_TRY(gy_demo_gyre(&s->d, "run ingest", 0, NULL, err));
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_demo_read(&s->d, "reports/ingest.json", &doc, err));
    yyjson_val *r = yyjson_doc_get_root(doc);
    s->read = gy_json_i64(r, "read", -1);
    s->accepted = gy_json_i64(r, "accepted", -1);
    s->dead = gy_json_i64(r, "dead", -1);
    copy_text(s->data_sha256, sizeof s->data_sha256, gy_json_str(r, "sha256"));
    bool ok = s->accepted > 0 && s->dead == s->bad && s->accepted + s->dead == s->read;
    GY_TRY(gy_demo_done(&s->d, ok, err, "accepted %lld + dead %lld = read %lld",
                        (long long)s->accepted, (long long)s->dead, (long long)s->read));
    gy_demo_begin(&s->d, "data version", "gyre data show sepsis");
    GY_AUTO(gy_json_free) yyjson_doc *shown = NULL;
    GY_TRY(gy_demo_gyre(&s->d, "data show sepsis", 0, &shown, err));
    struct gy_str sha = gy_json_str(yyjson_doc_get_root(shown), "sha256");
    return gy_demo_done(&s->d, gy_str_eqc(sha, s->data_sha256) && sha.n == 64, err,
                        "sepsis@%lld is sha256:%.12s...",
                        (long long)gy_json_i64(yyjson_doc_get_root(shown), "version", 0),
                        s->data_sha256);
}

/* One training stage; the number shown is recall, which is what an alarm is judged by. */
static gy_status train(struct sepsis *s, const char *stage, const char *report,
                       int64_t *ret_version, double *ret_recall, double *ret_accuracy,
                       struct gy_err *err)
{
    char words[64];
    (void)snprintf(words, sizeof words, "run %s", stage);
    gy_demo_begin(&s->d, stage, "gyre %s", words);
    GY_TRY(gy_demo_gyre(&s->d, words, 0, NULL, err));
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_demo_read(&s->d, report, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *metrics = gy_json_get(root, "metrics");
    *ret_version = gy_json_i64(root, "version", 0);
    *ret_recall = gy_json_f64(gy_json_get(metrics, "recall"), "value", NAN);
    *ret_accuracy = gy_json_f64(gy_json_get(metrics, "accuracy"), "value", NAN);
    return gy_demo_done(&s->d, *ret_version > 0 && isfinite(*ret_recall), err,
                        "version %lld: held-out accuracy %.3f, recall %.3f",
                        (long long)*ret_version, *ret_accuracy, *ret_recall);
}

static gy_status step_train(struct sepsis *s, struct gy_err *err)
{
    double r = NAN;
    double a = NAN;
    GY_TRY(train(s, "baseline", "reports/baseline.json", &s->baseline_version, &r, &a, err));
    if (r > 0.0 || a < 0.9) {
        return gy_err_set(err, GY_E_FAILED,
                          "the majority baseline should have recall 0 and accuracy above .9");
    }
    return train(s, "challenger", "reports/challenger.json", &s->challenger_version, &r, &a, err);
}

static gy_status check(struct sepsis *s, int64_t version, bool blessed, struct gy_err *err)
{
    char words[96];
    (void)snprintf(words, sizeof words, "gate check sepsis/%lld", (long long)version);
    gy_demo_begin(&s->d, blessed ? "gate blesses the challenger" : "gate refuses the baseline",
                  "gyre %s", words);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_demo_gyre(&s->d, words, blessed ? 0 : gy_status_exit(GY_E_NOTBLESSED), &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct gy_str verdict = gy_json_str(root, "verdict");
    yyjson_val *checks = gy_json_get(root, "checks");
    size_t held = 0;
    size_t skipped = 0;
    size_t i;
    size_t n;
    yyjson_val *c;
    yyjson_arr_foreach(checks, i, n, c)
    {
        held += gy_json_bool(c, "passed", false);
        skipped += yyjson_is_null(gy_json_get(c, "passed"));
    }
    return gy_demo_done(&s->d, gy_str_eqc(verdict, blessed ? "BLESSED" : "NOT_BLESSED"), err,
                        "%" GY_STR_F ": %zu of %zu checks held, %zu had nothing to compare with",
                        GY_STR_A(verdict), held, yyjson_arr_size(checks) - skipped, skipped);
}

static gy_status step_gate(struct sepsis *s, struct gy_err *err)
{
    char words[128];
    GY_TRY(check(s, s->baseline_version, false, err));
    (void)snprintf(words, sizeof words, "models promote sepsis/%lld --alias champion",
                   (long long)s->baseline_version);
    gy_demo_begin(&s->d, "champion is protected", "gyre %s", words);
    GY_TRY(gy_demo_gyre(&s->d, words, gy_status_exit(GY_E_DENIED), NULL, err));
    s->refused_version = s->baseline_version;
    GY_TRY(gy_demo_done(&s->d, true, err, "version %lld was refused as champion",
                        (long long)s->refused_version));
    return check(s, s->challenger_version, true, err);
}

static gy_status step_approve(struct sepsis *s, struct gy_err *err)
{
    char words[256];
    (void)snprintf(words, sizeof words, "gate request sepsis/%lld",
                   (long long)s->challenger_version);
    gy_demo_begin(&s->d, "a person approves", "gyre %s && gyre gate approve ID", words);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_demo_gyre(&s->d, words, 0, &doc, err));
    struct gy_str id = gy_json_str(yyjson_doc_get_root(doc), "id");
    (void)snprintf(words, sizeof words, "gate approve %" GY_STR_F " --reason demo", GY_STR_A(id));
    GY_TRY(gy_demo_gyre(&s->d, words, 0, NULL, err));
    GY_TRY(gy_demo_done(&s->d, id.n > 0, err, "approval %" GY_STR_F, GY_STR_A(id)));
    (void)snprintf(words, sizeof words, "models promote sepsis/%lld --alias champion",
                   (long long)s->challenger_version);
    gy_demo_begin(&s->d, "promote", "gyre %s", words);
    GY_TRY(gy_demo_gyre(&s->d, words, 0, NULL, err));
    return gy_demo_done(&s->d, true, err, "models:/sepsis@champion is version %lld",
                        (long long)s->challenger_version);
}

static gy_status step_deploy(struct sepsis *s, struct gy_err *err)
{
    gy_demo_begin(&s->d, "deploy", "gyre endpoint deploy sepsis");
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_demo_gyre(&s->d, "endpoint deploy sepsis", 0, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    return gy_demo_done(&s->d, gy_json_i64(root, "version", 0) == s->challenger_version, err,
                        "endpoint sepsis, revision %lld, version %lld",
                        (long long)gy_json_i64(root, "revision", 0),
                        (long long)gy_json_i64(root, "version", 0));
}

enum { HR, RESP, TEMP, LABEL, N_LIVE_COLUMNS, MAX_LIVE_FIELDS = 64 };

static gy_status find_columns(const struct gy_csv_field *head, size_t n, size_t at[N_LIVE_COLUMNS],
                              struct gy_err *err)
{
    static const char *const names[N_LIVE_COLUMNS] = {"HR", "Resp", "Temp", "isSepsis"};
    for (size_t c = 0; c < N_LIVE_COLUMNS; c++) {
        size_t i = 0;
        while (i < n && !gy_str_eqc(gy_str_n(head[i].p, head[i].n), names[c])) {
            i++;
        }
        if (i == n) {
            return gy_err_set(err, GY_E_SCHEMA, "the live patients have no column %s", names[c]);
        }
        at[c] = i;
    }
    return GY_OK;
}

static void count_answer(struct sepsis *s, yyjson_val *answer, bool septic)
{
    bool alarm = gy_json_i64(answer, "isSepsis", 0) == 1;
    bool by_rule = yyjson_is_str(gy_json_get(gy_json_get(answer, "rules"), "name"));
    s->rule_hits += by_rule;
    s->rules.positives += septic;
    s->rules.hit += septic && by_rule;
    s->combined.positives += septic;
    s->combined.hit += septic && alarm;
    copy_text(s->prediction_id, sizeof s->prediction_id, gy_json_str(answer, "prediction_id"));
}

/* One patient through the alias route, as the hospital's application would ask. */
static gy_status ask(struct sepsis *s, struct gy_caller *c, const struct gy_csv_field *f,
                     const size_t *at, struct gy_err *err)
{
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    gy_collect_init(&answer, 64 * GY_KIB);
    char body[256];
    (void)snprintf(body, sizeof body, "{\"hr\": %.*s, \"resp\": %.*s, \"temp\": %.*s}",
                   (int)f[at[HR]].n, f[at[HR]].p, (int)f[at[RESP]].n, f[at[RESP]].p,
                   (int)f[at[TEMP]].n, f[at[TEMP]].p);
    s->requests++;
    if (gy_call_json(c, "POST", "/predictions", gy_str_c(body), &answer, err) != GY_OK) {
        s->non_2xx++;
        return gy_err_wrap(err, "live patient %lld", (long long)s->requests);
    }
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(gy_buf_str(&answer.body), &doc, err));
    const struct gy_csv_field *label = &f[at[LABEL]];
    count_answer(s, yyjson_doc_get_root(doc), gy_str_eqc(gy_str_n(label->p, label->n), "1"));
    return GY_OK;
}

/* All live patients, one request each, over one connection. */
static gy_status ask_all(struct sepsis *s, struct gy_csv *csv, struct gy_caller *c,
                         struct gy_err *err)
{
    struct gy_csv_field fields[MAX_LIVE_FIELDS];
    size_t at[N_LIVE_COLUMNS] = {0};
    size_t n_head = 0;
    struct gy_progress bar;
    gy_progress_start(&bar, s->d.cli, "patients", N_LIVE);
    for (;;) {
        struct gy_csv_item item;
        bool more = false;
        GY_TRY(gy_csv_next(csv, &item, &more, err));
        if (!more) {
            break;
        }
        if (item.kind == GY_CSV_BLANK) {
            continue;
        }
        size_t n =
            gy_csv_split(item.raw, item.quotes, gy_csv_delimiter(csv), fields, MAX_LIVE_FIELDS);
        if (item.kind == GY_CSV_HEADER) {
            n_head = n;
            GY_TRY(find_columns(fields, n < MAX_LIVE_FIELDS ? n : MAX_LIVE_FIELDS, at, err));
        } else if (item.fault != GY_CSV_FINE || n != n_head) {
            return gy_err_set(err, GY_E_PARSE, "live patient %lld is damaged", (long long)item.row);
        } else {
            GY_TRY(ask(s, c, fields, at, err));
            gy_progress_at(&bar, s->requests);
        }
    }
    gy_progress_end(&bar);
    return GY_OK;
}

static gy_status stream(struct sepsis *s, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, s->d.dir, "data/raw/live.csv", err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, MAX_DATA_FILE);
    GY_TRY(gy_file_read(path, &text, err));
    struct gy_mem_reader in;
    GY_AUTO(gy_csv_free) struct gy_csv *csv = NULL;
    GY_TRY(gy_csv_open(gy_mem_reader_init(&in, gy_buf_str(&text)), &(struct gy_csv_options){0},
                       &csv, err));
    GY_AUTO(gy_caller_free) struct gy_caller *c = NULL;
    GY_TRY(gy_http_client_new(s->d.address, &c, err));
    return ask_all(s, csv, c, err);
}

/* The model alone, asked about every live patient: what it would have said without the rules. */
static gy_status model_alone(struct sepsis *s, struct gy_err *err)
{
    gy_demo_begin(&s->d, "model without rules",
                  "gyre evaluate models/challenger data/raw/live.csv --all-rows");
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_demo_gyre(&s->d, "evaluate models/challenger data/raw/live.csv --all-rows", 0, &doc,
                        err));
    yyjson_val *confusion = gy_json_get(yyjson_doc_get_root(doc), "confusion");
    s->model.hit = gy_json_i64(confusion, "tp", 0);
    s->model.positives = s->model.hit + gy_json_i64(confusion, "fn", 0);
    return gy_demo_done(
        &s->d, s->model.positives == s->combined.positives && s->model.positives > 0, err,
        "recall: rules %.3f, model %.3f, combined %.3f (%lld septic patients)",
        recall(s->rules.hit, s->rules.positives), recall(s->model.hit, s->model.positives),
        recall(s->combined.hit, s->combined.positives), (long long)s->combined.positives);
}

static gy_status step_stream(struct sepsis *s, struct gy_err *err)
{
    gy_demo_begin(&s->d, "live patients",
                  "curl -d '{\"hr\": 104, \"resp\": 22, \"temp\": 38.9}' %s/predictions",
                  s->d.address);
    GY_TRY(stream(s, err));
    GY_TRY(gy_demo_done(&s->d, s->requests > 0 && s->non_2xx == 0 && s->rule_hits > 0, err,
                        "%lld answered, %lld of them by the rule, %lld errors",
                        (long long)s->requests, (long long)s->rule_hits, (long long)s->non_2xx));
    return model_alone(s, err);
}

static gy_status step_trace(struct sepsis *s, struct gy_err *err)
{
    char words[96];
    (void)snprintf(words, sizeof words, "trace %s", s->prediction_id);
    gy_demo_begin(&s->d, "trace one prediction", "gyre %s", words);
    GY_TRY(gy_demo_gyre(&s->d, words, 0, &s->trace, err));
    yyjson_val *t = yyjson_doc_get_root(s->trace);
    char version[24];
    (void)snprintf(version, sizeof version, "%lld", (long long)s->challenger_version);
    bool ok = gy_str_eqc(gy_json_str(t, "data_sha256"), s->data_sha256) &&
              gy_str_eqc(gy_json_str(t, "model_version"), version) &&
              gy_json_str(t, "run_id").n == 32 && gy_json_str(t, "approver").n > 0 &&
              gy_json_i64(t, "revision", 0) > 0;
    return gy_demo_done(
        &s->d, ok, err,
        "revision %lld <- version %s <- run %.8s <- data %.8s, approved by %" GY_STR_F,
        (long long)gy_json_i64(t, "revision", 0), version,
        gy_json_str(t, "run_id").p ? gy_json_str(t, "run_id").p : "?", s->data_sha256,
        GY_STR_A(gy_json_str(t, "approver")));
}

static void write_trace(const struct sepsis *s, struct gy_jw *w)
{
    static const char *const keys[] = {"prediction_id", "revision",      "model_version", "run_id",
                                       "data_sha256",   "code_revision", "approver"};
    gy_jw_key(w, "trace");
    gy_jw_obj(w);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        gy_jw_key(w, keys[i]);
        gy_jw_val(w, gy_json_get(yyjson_doc_get_root(s->trace), keys[i]));
    }
    gy_jw_obj_end(w);
}

static gy_status print_result(const struct sepsis *s, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_demo_write_steps(&s->d, &w);
    gy_jw_key(&w, "table");
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "read", s->read);
    gy_jw_kv_i64(&w, "accepted", s->accepted);
    gy_jw_kv_i64(&w, "dead", s->dead);
    gy_jw_kv_i64(&w, "refused_version", s->refused_version);
    gy_jw_kv_i64(&w, "champion_version", s->challenger_version);
    gy_jw_key(&w, "recall");
    gy_jw_obj(&w);
    gy_jw_kv_f64(&w, "rules", recall(s->rules.hit, s->rules.positives));
    gy_jw_kv_f64(&w, "model", recall(s->model.hit, s->model.positives));
    gy_jw_kv_f64(&w, "combined", recall(s->combined.hit, s->combined.positives));
    gy_jw_obj_end(&w);
    gy_jw_kv_i64(&w, "requests", s->requests);
    gy_jw_kv_i64(&w, "non_2xx", s->non_2xx);
    write_trace(s, &w);
    gy_jw_obj_end(&w);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(s->d.cli, &out, err);
}

static gy_status play(struct sepsis *s, struct gy_err *err)
{
    GY_TRY(step_project(s, err));
    GY_TRY(step_patients(s, err));
    GY_TRY(step_server(s, err));
    GY_TRY(step_ingest(s, err));
    GY_TRY(step_train(s, err));
    GY_TRY(step_gate(s, err));
    GY_TRY(step_approve(s, err));
    GY_TRY(step_deploy(s, err));
    GY_TRY(step_stream(s, err));
    return step_trace(s, err);
}

static gy_status run_demo(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct demo_opts *o = opts;
    if (strcmp(cli->argv[0], "sepsis") != 0) {
        gy_err_set(err, GY_E_USAGE, "no demo named '%s'", cli->argv[0]);
        return gy_err_hint(err, "there is: sepsis");
    }
    struct sepsis s = {.opts = o};
    gy_status status = gy_demo_open(cli, o->dir ? o->dir : "gyre-demo-sepsis", &s.d, err);
    if (status == GY_OK) {
        gy_cli_say(cli, "%s\n%s\n\n",
                   "Sepsis alerts, from a CSV to a traced prediction, in the folder", s.d.dir);
        status = play(&s, err);
    }
    if (status == GY_OK && cli->json) {
        status = print_result(&s, err);
    }
    if (status == GY_OK && !o->exit) {
        gy_cli_say(cli, "\nThe server stays up: %s   (Ctrl-C ends it)\n", s.d.address);
        (void)fflush(stdout);
        gy_demo_wait(&s.d);
    }
    gy_demo_close(&s.d);
    gy_json_free(s.trace);
    return status;
}

static const struct gy_opt demo_opts[] = {
    {"data", 0, GY_OPT_STR, offsetof(struct demo_opts, data), "FILE", NULL,
     "real vitals (CSV) instead of synthetic ones"},
    {"dir", 0, GY_OPT_STR, offsetof(struct demo_opts, dir), "DIR", NULL,
     "where it plays [./gyre-demo-NAME]"},
    {"exit", 0, GY_OPT_FLAG, offsetof(struct demo_opts, exit), NULL, NULL,
     "end when done; else the server stays up"},
};

static const struct gy_verb verbs[] = {
    {.noun = "demo",
     .args = "NAME",
     .min_args = 1,
     .max_args = 1,
     .summary = "play a whole line on real commands, step by step (sepsis)",
     .details = "Each step prints the command that repeats it, one number and its time. A missed "
                "expectation ends the demo with\n"
                "an error.",
     .examples = "  gyre demo sepsis\n  gyre demo sepsis --exit --json\n  gyre demo sepsis --data "
                 "vitals.csv",
     .opts = demo_opts,
     .n_opts = sizeof demo_opts / sizeof demo_opts[0],
     .opts_bytes = sizeof(struct demo_opts),
     .run = run_demo},
};

const struct gy_verb_table gy_cmd_demo = GY_VERB_TABLE(verbs);

/* SPDX-License-Identifier: Apache-2.0 */
/* The line: from a CSV file to a served model that a person has approved. */
#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "base/limits.h"
#include "cli/demo_sepsis.h"
#include "data/records.h"
#include "net/call.h"

enum { N_PATIENTS = 12000, N_BAD = 40, MAX_DATA_FILE = 1 << 30 };

/* Patients that no training sees until the loop brings them back: who is answered while all is
 * well, while a sensor is at fault, and after its repair. */
static const struct group {
    const char *file;
    int rows, seed, first_id;
} GROUPS[] = {{"live.csv", 2000, 2, 100001},
              {"offset.csv", 2000, 3, 200001},
              {"repaired.csv", 1000, 4, 300001}};
enum { N_GROUPS = 3, N_ASIDE = 5000, MIN_ROWS = 3 * N_ASIDE };

static void copy_text(char *out, size_t size, struct gy_str s)
{
    (void)snprintf(out, size, "%" GY_STR_F, GY_STR_A(s));
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

static gy_status write_raw(struct gy_sepsis *s, const char *name, const struct gy_buf *rows,
                           struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_buf_check(rows, "the patients", err));
    GY_TRY(gy_path_join(path, sizeof path, s->d->dir, name, err));
    return gy_file_write(path, gy_buf_str(rows), 0644, err);
}

/* The group of the k-th patient that is kept aside: 2 of 5, 2 of 5, 1 of 5. */
static size_t group_of(int64_t k)
{
    return k % 5 < 2 ? 0 : k % 5 < 4 ? 1 : 2;
}

/* Deal FILE out: N_ASIDE of its `of` patients, drawn at random (Knuth, volume 2, 3.4.2, algorithm
 * S; files are seldom in random order, and some repeat themselves), are kept aside as live ones
 * that no training may see. of 0: none. files: the groups, then the rest. */
static gy_status deal_into(struct gy_str text, int64_t of, struct gy_buf files[N_GROUPS + 1],
                           int64_t *ret_rows, struct gy_err *err)
{
    struct gy_rng rng;
    gy_rng_init(&rng, 1);
    struct gy_mem_reader in;
    GY_AUTO(gy_csv_free) struct gy_csv *csv = NULL;
    GY_TRY(gy_csv_open(gy_mem_reader_init(&in, text), &(struct gy_csv_options){0}, &csv, err));
    int64_t kept = 0;
    *ret_rows = 0;
    for (;;) {
        struct gy_csv_item item;
        struct gy_str bytes;
        GY_TRY(next_item(csv, text, &item, &bytes, err));
        if (!bytes.p) {
            return GY_OK;
        }
        bool record = item.kind == GY_CSV_RECORD;
        bool aside = record && item.row < of &&
                     (int64_t)gy_rng_below(&rng, (uint64_t)(of - item.row)) < N_ASIDE - kept;
        *ret_rows += record;
        for (size_t i = 0; !record && i < N_GROUPS; i++) {
            gy_buf_add(&files[i], bytes); /* the header */
        }
        gy_buf_add(&files[aside ? group_of(kept) : N_GROUPS], bytes);
        kept += aside;
    }
}

static gy_status deal(struct gy_sepsis *s, struct gy_str text, int64_t of, int64_t *ret_rows,
                      struct gy_err *err)
{
    struct gy_buf files[N_GROUPS + 1];
    char name[64];
    for (size_t i = 0; i <= N_GROUPS; i++) {
        gy_buf_init(&files[i], MAX_DATA_FILE);
    }
    gy_status status = deal_into(text, of, files, ret_rows, err);
    for (size_t i = 0; i <= N_GROUPS; i++) {
        (void)snprintf(name, sizeof name, "data/raw/%s",
                       i < N_GROUPS ? GROUPS[i].file : "clean.csv");
        if (status == GY_OK && of > 0) {
            status = write_raw(s, name, &files[i], err);
        }
        gy_buf_done(&files[i]);
    }
    return status;
}

/* --data FILE: the first deal counts, the second one deals. */
static gy_status split_file(struct gy_sepsis *s, const char *file, struct gy_err *err)
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
    return deal(s, gy_buf_str(&all), rows, &rows, err);
}

static gy_status synth(struct gy_sepsis *s, const char *options, int rows, int seed, int first_id,
                       const char *file, struct gy_err *err)
{
    char words[512];
    (void)snprintf(words, sizeof words,
                   "data synth patients%s --rows %d --seed %d --first-id %d -o data/raw/%s",
                   options, rows, seed, first_id, file);
    return gy_demo_gyre(s->d, words, 0, NULL, err);
}

/* The second ward is made up in any case: no real file has one. */
static gy_status make_elderly(struct gy_sepsis *s, struct gy_err *err)
{
    static const char ward[] = " --population elderly --positive 0.15";
    GY_TRY(synth(s, ward, GY_DEMO_ELDERLY, 5, 500001, "elderly.csv", err));
    return synth(s, ward, GY_DEMO_UNSEEN, 6, 600001, "unseen.csv", err);
}

static gy_status step_patients(struct gy_sepsis *s, struct gy_err *err)
{
    char words[512];
    char folder[GY_MAX_PATH];
    GY_TRY(gy_path_join(folder, sizeof folder, s->d->dir, "data/raw", err));
    GY_TRY(gy_dir_make(folder, err));
    if (s->d->opts->data) {
        gy_demo_begin(s->d, "patients", "cp %s data/raw/clean.csv", s->d->opts->data);
        GY_TRY(split_file(s, s->d->opts->data, err));
    } else {
        gy_demo_begin(s->d, "patients",
                      "gyre data synth patients --rows %d --seed 1 -o data/raw/clean.csv",
                      N_PATIENTS);
        GY_TRY(synth(s, "", N_PATIENTS, 1, 1, "clean.csv", err));
        for (size_t i = 0; i < N_GROUPS; i++) {
            GY_TRY(synth(s, "", GROUPS[i].rows, GROUPS[i].seed, GROUPS[i].first_id, GROUPS[i].file,
                         err));
        }
    }
    GY_TRY(make_elderly(s, err));
    GY_TRY(gy_demo_done(s->d, true, err, "vitals to learn from, and %d live patients kept aside",
                        N_ASIDE));
    (void)snprintf(
        words, sizeof words,
        "data synth corrupt data/raw/clean.csv --bad %d --seed 3 -o data/raw/patients.csv "
        "--bad-ledger data/raw/bad.jsonl",
        N_BAD);
    gy_demo_begin(s->d, "bad records", "gyre %s", words);
    GY_TRY(gy_demo_gyre(s->d, words, 0, NULL, err));
    s->bad = N_BAD;
    return gy_demo_done(s->d, true, err, "%d records of 8 kinds damaged among them", N_BAD);
}

static gy_status step_ingest(struct gy_sepsis *s, struct gy_err *err)
{
    gy_demo_begin(s->d, "ingest", "gyre run ingest");
    GY_TRY(gy_demo_gyre(s->d, "run ingest", 0, NULL, err));
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_demo_read(s->d, "reports/ingest.json", &doc, err));
    yyjson_val *r = yyjson_doc_get_root(doc);
    s->read = gy_json_i64(r, "read", -1);
    s->accepted = gy_json_i64(r, "accepted", -1);
    s->dead = gy_json_i64(r, "dead", -1);
    copy_text(s->data_sha256, sizeof s->data_sha256, gy_json_str(r, "sha256"));
    bool ok = s->accepted > 0 && s->dead == s->bad && s->accepted + s->dead == s->read;
    GY_TRY(gy_demo_done(s->d, ok, err, "accepted %lld + dead %lld = read %lld",
                        (long long)s->accepted, (long long)s->dead, (long long)s->read));
    gy_demo_begin(s->d, "data version", "gyre data show sepsis");
    GY_AUTO(gy_json_free) yyjson_doc *shown = NULL;
    GY_TRY(gy_demo_gyre(s->d, "data show sepsis", 0, &shown, err));
    struct gy_str sha = gy_json_str(yyjson_doc_get_root(shown), "sha256");
    return gy_demo_done(
        s->d, gy_str_eqc(sha, s->data_sha256) && sha.n == 64, err, "sepsis@%lld is sha256:%.12s...",
        (long long)gy_json_i64(yyjson_doc_get_root(shown), "version", 0), s->data_sha256);
}

/* One training stage; the number shown is recall, which is what an alarm is judged by. */
static gy_status train(struct gy_sepsis *s, const char *stage, const char *report,
                       int64_t *ret_version, double *ret_recall, double *ret_accuracy,
                       struct gy_err *err)
{
    char words[64];
    (void)snprintf(words, sizeof words, "run %s", stage);
    gy_demo_begin(s->d, stage, "gyre %s", words);
    GY_TRY(gy_demo_gyre(s->d, words, 0, NULL, err));
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_demo_read(s->d, report, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *metrics = gy_json_get(root, "metrics");
    *ret_version = gy_json_i64(root, "version", 0);
    *ret_recall = gy_json_f64(gy_json_get(metrics, "recall"), "value", NAN);
    *ret_accuracy = gy_json_f64(gy_json_get(metrics, "accuracy"), "value", NAN);
    return gy_demo_done(s->d, *ret_version > 0 && isfinite(*ret_recall), err,
                        "version %lld: held-out accuracy %.3f, recall %.3f",
                        (long long)*ret_version, *ret_accuracy, *ret_recall);
}

static gy_status step_train(struct gy_sepsis *s, struct gy_err *err)
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

static gy_status check(struct gy_sepsis *s, int64_t version, bool blessed, struct gy_err *err)
{
    char words[96];
    (void)snprintf(words, sizeof words, "gate check sepsis/%lld", (long long)version);
    gy_demo_begin(s->d, blessed ? "gate blesses the challenger" : "gate refuses the baseline",
                  "gyre %s", words);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_demo_gyre(s->d, words, blessed ? 0 : gy_status_exit(GY_E_NOTBLESSED), &doc, err));
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
    return gy_demo_done(s->d, gy_str_eqc(verdict, blessed ? "BLESSED" : "NOT_BLESSED"), err,
                        "%" GY_STR_F ": %zu of %zu checks held, %zu had nothing to compare with",
                        GY_STR_A(verdict), held, yyjson_arr_size(checks) - skipped, skipped);
}

static gy_status step_gate(struct gy_sepsis *s, struct gy_err *err)
{
    char words[128];
    GY_TRY(check(s, s->baseline_version, false, err));
    (void)snprintf(words, sizeof words, "models promote sepsis/%lld --alias champion",
                   (long long)s->baseline_version);
    gy_demo_begin(s->d, "champion is protected", "gyre %s", words);
    GY_TRY(gy_demo_gyre(s->d, words, gy_status_exit(GY_E_NOTBLESSED), NULL, err));
    s->refused_version = s->baseline_version;
    GY_TRY(gy_demo_done(s->d, true, err, "version %lld was refused as champion",
                        (long long)s->refused_version));
    return check(s, s->challenger_version, true, err);
}

static gy_status step_approve(struct gy_sepsis *s, struct gy_err *err)
{
    char words[256];
    (void)snprintf(words, sizeof words, "gate request sepsis/%lld",
                   (long long)s->challenger_version);
    gy_demo_begin(s->d, "a person approves", "gyre %s && gyre gate approve ID", words);
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_demo_gyre(s->d, words, 0, &doc, err));
    struct gy_str id = gy_json_str(yyjson_doc_get_root(doc), "id");
    (void)snprintf(words, sizeof words, "gate approve %" GY_STR_F " --reason demo", GY_STR_A(id));
    GY_TRY(gy_demo_gyre(s->d, words, 0, NULL, err));
    GY_TRY(gy_demo_done(s->d, id.n > 0, err, "approval %" GY_STR_F, GY_STR_A(id)));
    (void)snprintf(words, sizeof words, "models promote sepsis/%lld --alias champion",
                   (long long)s->challenger_version);
    gy_demo_begin(s->d, "promote", "gyre %s", words);
    GY_TRY(gy_demo_gyre(s->d, words, 0, NULL, err));
    return gy_demo_done(s->d, true, err, "models:/sepsis@champion is version %lld",
                        (long long)s->challenger_version);
}

static gy_status step_deploy(struct gy_sepsis *s, struct gy_err *err)
{
    gy_demo_begin(s->d, "deploy", "gyre endpoint deploy sepsis");
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_demo_gyre(s->d, "endpoint deploy sepsis", 0, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    return gy_demo_done(s->d, gy_json_i64(root, "version", 0) == s->challenger_version, err,
                        "endpoint sepsis, revision %lld, version %lld",
                        (long long)gy_json_i64(root, "revision", 0),
                        (long long)gy_json_i64(root, "version", 0));
}

gy_status gy_sepsis_line(struct gy_sepsis *s, struct gy_err *err)
{
    GY_TRY(gy_demo_project(s->d, "sepsis", err));
    GY_TRY(step_patients(s, err));
    GY_TRY(gy_demo_server(s->d, err));
    GY_TRY(step_ingest(s, err));
    GY_TRY(step_train(s, err));
    GY_TRY(step_gate(s, err));
    GY_TRY(step_approve(s, err));
    return step_deploy(s, err);
}

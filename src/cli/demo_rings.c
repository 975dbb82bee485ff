/* SPDX-License-Identifier: Apache-2.0 */
/* Reference system 002: how many rings has the molecule in a picture? Records with pictures in, a
 * convolutional network beside saying the most frequent count, pictures asked about over HTTP. */
#include <math.h>

#include "base/file.h"
#include "base/hash.h"
#include "cli/demo.h"

enum {
    MAX_RINGS = 5,
    MAX_ASKED = 24,
    MAX_RECORDS_BYTES = 64 << 20,
    MAX_PICTURE = 4 << 20,
    MAX_BODY = 6 << 20
};

struct rings {
    struct gy_demo *d;
    const char *origin;
    int64_t read, accepted, dead, molecules, held_out, version;
    struct {
        double value, low, high;
    } accuracy, gain; /* gain: over the most frequent count, picture by picture */
    double majority, f1_macro;
    bool blessed;
    int64_t asked, right;
};

/* ---- data ---- */

static gy_status copy_picture(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    const struct rings *s = ctx;
    char folder[GY_MAX_PATH], from[GY_MAX_PATH], to[GY_MAX_PATH];
    if (is_dir) {
        return GY_OK;
    }
    GY_TRY(gy_path_join(folder, sizeof folder, s->d->opts->data, "images", err));
    GY_TRY(gy_path_join(from, sizeof from, folder, name, err));
    GY_TRY(gy_path_join(to, sizeof to, "data/raw/images", name, err));
    return gy_demo_copy(s->d, from, to, err);
}

static gy_status copy_folder(struct rings *s, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, s->d->opts->data, "compounds.json", err));
    GY_TRY(gy_demo_copy(s->d, path, "data/raw/compounds.json", err));
    GY_TRY(gy_path_join(path, sizeof path, s->d->opts->data, "images", err));
    return gy_dir_each(path, copy_picture, s, err);
}

static gy_status step_data(struct rings *s, struct gy_err *err)
{
    struct gy_demo *d = s->d;
    s->origin = d->opts->data ? "folder" : "made";
    if (d->opts->data) {
        gy_demo_begin(d, "pictures", "cp -R %s/compounds.json %s/images data/raw/", d->opts->data,
                      d->opts->data);
        if (copy_folder(s, err) != GY_OK) {
            return gy_err_hint(err, "--data takes a folder with compounds.json and images/");
        }
        return gy_demo_done(d, true, err, "a folder of yours");
    }
    const char *words = "data synth compounds --rows 200 --bad 2 --seed 7 -o data/raw";
    gy_demo_begin(d, "pictures", "gyre %s", words);
    GY_TRY(gy_demo_gyre(d, words, 0, NULL, err));
    return gy_demo_done(d, true, err, "made up: 200 molecules from 4 sides each, 2 bad records");
}

/* ---- ingest and two models ---- */

/* How many molecules are among the accepted records; without molecule_id each is one. */
static gy_status count_molecules(struct rings *s, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    size_t i, n;
    yyjson_val *column;
    GY_TRY(gy_demo_gyre(s->d, "data profile data/compounds/data.csv", 0, &doc, err));
    s->molecules = s->accepted;
    yyjson_arr_foreach(gy_json_get(yyjson_doc_get_root(doc), "columns"), i, n, column)
    {
        if (gy_str_eqc(gy_json_str(column, "name"), "molecule_id") &&
            gy_json_i64(column, "count", 0) > 0) {
            s->molecules = gy_json_i64(column, "distinct", 0) + gy_json_i64(column, "missing", 0);
        }
    }
    return GY_OK;
}

static gy_status step_ingest(struct rings *s, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_demo_begin(s->d, "check and ingest", "gyre run ingest");
    GY_TRY(gy_demo_gyre(s->d, "run ingest", 0, NULL, err));
    GY_TRY(gy_demo_read(s->d, "reports/ingest.json", &doc, err));
    s->read = gy_json_i64(yyjson_doc_get_root(doc), "read", -1);
    s->accepted = gy_json_i64(yyjson_doc_get_root(doc), "accepted", -1);
    s->dead = gy_json_i64(yyjson_doc_get_root(doc), "dead", -1);
    GY_TRY(count_molecules(s, err));
    bool ok = s->accepted + s->dead == s->read && (s->d->opts->data || s->dead == 2);
    return gy_demo_done(s->d, ok, err, "accepted %lld + dead %lld = read %lld; %lld molecules",
                        (long long)s->accepted, (long long)s->dead, (long long)s->read,
                        (long long)s->molecules);
}

static gy_status read_models(struct rings *s, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *trained = NULL;
    GY_AUTO(gy_json_free) yyjson_doc *compared = NULL;
    GY_TRY(gy_demo_read(s->d, "reports/cnn.json", &trained, err));
    GY_TRY(gy_demo_read(s->d, "reports/compare.json", &compared, err));
    yyjson_val *report = yyjson_doc_get_root(trained);
    yyjson_val *metrics = gy_json_get(report, "metrics");
    yyjson_val *accuracy = gy_json_get(metrics, "accuracy");
    yyjson_val *pairs = gy_json_get(
        gy_json_get(gy_json_get(yyjson_doc_get_root(compared), "against"), "metrics"), "accuracy");
    s->version = gy_json_i64(report, "version", 0);
    s->held_out = gy_json_i64(gy_json_get(report, "rows"), "held_out", 0);
    s->accuracy.value = gy_json_f64(accuracy, "value", NAN);
    s->accuracy.low = gy_json_f64(accuracy, "low", NAN);
    s->accuracy.high = gy_json_f64(accuracy, "high", NAN);
    s->f1_macro = gy_json_f64(gy_json_get(metrics, "f1_macro"), "value", NAN);
    s->majority = gy_json_f64(pairs, "b", NAN);
    s->gain.value = gy_json_f64(pairs, "difference", NAN);
    s->gain.low = gy_json_f64(pairs, "low", NAN);
    s->gain.high = gy_json_f64(pairs, "high", NAN);
    return GY_OK;
}

static gy_status step_train(struct rings *s, struct gy_err *err)
{
    gy_demo_begin(s->d, "a network, and a baseline", "gyre run");
    GY_TRY(gy_demo_gyre(s->d, "run", 0, NULL, err));
    GY_TRY(read_models(s, err));
    /* Of pictures of yours nothing is promised. */
    bool ok =
        s->version > 0 && isfinite(s->accuracy.value) && (s->d->opts->data || s->gain.low > 0.2);
    return gy_demo_done(s->d, ok, err,
                        "accuracy %.3f (%.3f to %.3f) on %lld pictures of molecules never seen; "
                        "the most frequent count %.3f",
                        s->accuracy.value, s->accuracy.low, s->accuracy.high,
                        (long long)s->held_out, s->majority);
}

/* ---- serving ---- */

static gy_status step_deploy(struct rings *s, struct gy_err *err)
{
    char check[96], promote[96];
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    (void)snprintf(check, sizeof check, "gate check rings/%lld --data data/compounds/data.csv",
                   (long long)s->version);
    (void)snprintf(promote, sizeof promote, "models promote rings/%lld --alias champion",
                   (long long)s->version);
    gy_demo_begin(s->d, "gate, promote, deploy", "gyre %s && gyre %s && gyre endpoint deploy rings",
                  check, promote);
    GY_TRY(gy_demo_gyre(s->d, check, -1, &doc, err));
    s->blessed = gy_str_eqc(gy_json_str(yyjson_doc_get_root(doc), "verdict"), "BLESSED");
    if (!s->blessed) {
        return gy_demo_done(s->d, s->d->opts->data, err,
                            "NOT_BLESSED: it is not served (gyre.yaml has the bounds)");
    }
    GY_TRY(gy_demo_gyre(s->d, promote, 0, NULL, err));
    GY_TRY(gy_demo_gyre(s->d, "endpoint deploy rings", 0, NULL, err));
    return gy_demo_done(s->d, true, err, "BLESSED, version %lld is served", (long long)s->version);
}

/* {"image": "<base64 of the file>"} */
static gy_status body_of(const char *path, struct gy_buf *body, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf file;
    gy_buf_init(&file, MAX_PICTURE);
    GY_TRY(gy_file_read(path, &file, err));
    gy_buf_reset(body);
    gy_buf_addc(body, "{\"image\": \"");
    size_t n = gy_base64_size(file.n);
    char *to = gy_buf_reserve(body, n + 1);
    if (to) {
        gy_base64(file.p, file.n, to);
        gy_buf_commit(body, n);
    }
    gy_buf_addc(body, "\"}");
    return gy_buf_check(body, "a picture", err);
}

/* One record. One whose picture can not be read is a dead letter already: not asked about. */
static gy_status ask(struct rings *s, const char *folder, yyjson_val *record, struct gy_err *err)
{
    char path[GY_MAX_PATH], name[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_str image = gy_json_str(record, "image");
    (void)snprintf(name, sizeof name, "%s/%" GY_STR_F, folder, GY_STR_A(image));
    gy_buf_init(&body, MAX_BODY);
    if (!image.n || gy_path_join(path, sizeof path, s->d->dir, name, NULL) != GY_OK ||
        body_of(path, &body, NULL) != GY_OK) {
        return GY_OK;
    }
    GY_TRY(gy_demo_post(s->d, "/predict", body.p, 200, &doc, err));
    double said = gy_json_f64(yyjson_doc_get_root(doc), "n_rings_pred", NAN);
    if (!(said >= 1 && said <= MAX_RINGS)) {
        return gy_err_set(err, GY_E_FAILED, "%s has %g rings by the model, not 1 to %d", name, said,
                          MAX_RINGS);
    }
    s->asked++;
    s->right += said == gy_json_f64(record, "num_rings", NAN);
    return GY_OK;
}

static gy_status ask_all(struct rings *s, const char *folder, struct gy_err *err)
{
    char path[GY_MAX_PATH], name[64];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text = {0};
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    size_t i, n;
    yyjson_val *record;
    (void)snprintf(name, sizeof name, "%s/compounds.json", folder);
    GY_TRY(gy_path_join(path, sizeof path, s->d->dir, name, err));
    gy_buf_init(&text, MAX_RECORDS_BYTES);
    GY_TRY(gy_file_read(path, &text, err));
    if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0) {
        gy_buf_drop_front(&text, 3);
    }
    GY_TRY(gy_json_parse(gy_buf_str(&text), &doc, err));
    yyjson_arr_foreach(yyjson_doc_get_root(doc), i, n, record)
    {
        if (s->asked < MAX_ASKED) {
            GY_TRY(ask(s, folder, record, err));
        }
    }
    return GY_OK;
}

/* New molecules where they are made up; of yours the first ones, which it may have learnt from. */
static gy_status step_ask(struct rings *s, struct gy_err *err)
{
    const char *folder = s->d->opts->data ? "data/raw" : "data/new";
    gy_demo_begin(s->d, s->d->opts->data ? "pictures of yours" : "new molecules",
                  "curl -d \"{\\\"image\\\": \\\"$(base64 -w0 %s/images/ID.png)\\\"}\" %s/predict",
                  folder, s->d->address);
    if (!s->d->opts->data) {
        GY_TRY(gy_demo_gyre(s->d, "data synth compounds --rows 6 --seed 99 -o data/new", 0, NULL,
                            err));
    }
    GY_TRY(ask_all(s, folder, err));
    GY_TRY(gy_demo_post(s->d, "/predict", "{\"image\": \"bm8gcGljdHVyZQ==\"}", 400, NULL, err));
    bool ok = s->asked > 0 && (s->d->opts->data || 2 * s->right >= s->asked);
    return gy_demo_done(s->d, ok, err, "%lld of %lld right; what is no picture gets 400",
                        (long long)s->right, (long long)s->asked);
}

/* ---- the table ---- */

static void write_table(const struct rings *s)
{
    struct gy_jw *w = &s->d->table;
    gy_jw_kv_i64(w, "read", s->read);
    gy_jw_kv_i64(w, "accepted", s->accepted);
    gy_jw_kv_i64(w, "dead", s->dead);
    gy_jw_kv_i64(w, "molecules", s->molecules);
    gy_jw_kv_i64(w, "held_out", s->held_out);
    gy_demo_interval(w, "accuracy", s->accuracy.value, s->accuracy.low, s->accuracy.high);
    gy_jw_kv_f64(w, "majority", s->majority);
    gy_demo_interval(w, "gain", s->gain.value, s->gain.low, s->gain.high);
    gy_jw_kv_f64(w, "f1_macro", s->f1_macro);
    gy_jw_kv_i64(w, "version", s->version);
    gy_jw_kv_bool(w, "blessed", s->blessed);
    gy_jw_kv_i64(w, "asked", s->asked);
    gy_jw_kv_i64(w, "right", s->right);
    gy_jw_kv_strc(w, "data", s->origin);
}

static gy_status play(struct gy_demo *d, struct gy_err *err)
{
    struct rings s = {.d = d};
    GY_TRY(gy_demo_project(d, "rings", err));
    GY_TRY(step_data(&s, err));
    GY_TRY(gy_demo_server(d, err));
    GY_TRY(step_ingest(&s, err));
    GY_TRY(step_train(&s, err));
    GY_TRY(step_deploy(&s, err));
    if (s.blessed) {
        GY_TRY(step_ask(&s, err));
    }
    write_table(&s);
    gy_cli_say(d->cli, "\nOn %lld pictures of molecules that were held out\n",
               (long long)s.held_out);
    gy_demo_row(d, "most frequent count", "accuracy %.3f", s.majority);
    gy_demo_row(d, "network", "accuracy %.3f (%.3f to %.3f), macro F1 %.3f", s.accuracy.value,
                s.accuracy.low, s.accuracy.high, s.f1_macro);
    gy_demo_row(d, "picture by picture", "%+.3f (%+.3f to %+.3f)", s.gain.value, s.gain.low,
                s.gain.high);
    return GY_OK;
}

const struct gy_demo_ops gy_demo_rings = {
    .name = "rings", .title = "Rings of a molecule, counted in its picture", .play = play};

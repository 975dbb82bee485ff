/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/model_input.h"

#include <math.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/records.h"
#include "data/schema.h"
#include "learn/cells.h"
#include "learn/explain.h"
#include "learn/metrics.h"
#include "learn/publish.h"
#include "learn/train.h"

void gy_cli_table_done(struct gy_cli_table *t)
{
    if (t) {
        gy_table_free(t->table);
        gy_schema_free(t->schema);
    }
}

/* ---- tables ---- */

gy_status gy_cli_schema_near(struct gy_cli *cli, const char *file, const char *given,
                             struct gy_schema **ret, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    if (given) {
        return gy_schema_read(given, ret, err);
    }
    const char *slash = strrchr(file, '/');
    const char *dir =
        slash ? gy_arena_strdup(&cli->arena, gy_str_n(file, (size_t)(slash - file) + 1)) : ".";
    if (!dir) {
        return gy_err_set(err, GY_E_NOMEM, "looking for schema.yaml");
    }
    if (gy_schema_find(dir, path, NULL) != GY_OK) {
        return GY_OK; /* a table without a schema: types are told from its values */
    }
    return gy_schema_read(path, ret, err);
}

gy_status gy_cli_dataset_of(struct gy_cli *cli, struct gy_str sha256, struct gy_str *ret,
                            struct gy_err *err)
{
    struct gy_caller *c = NULL;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_collect_init(&answer, GY_MIB);
    gy_buf_init(&path, GY_KIB);
    *ret = GY_STR_NULL;
    if (sha256.n != 64) { /* a model of elsewhere does not say what it learnt from */
        return GY_OK;
    }
    gy_buf_addc(&path, "/api/gyre/v1/datasets?sha256=");
    gy_url_encode(&path, sha256, false); /* what a package says is not trusted to be hex */
    GY_TRY(gy_buf_check(&path, "the digest of a dataset", err));
    GY_TRY(gy_cli_caller(cli, &c, err));
    GY_TRY(gy_call_json(c, "GET", path.p, GY_STR_NULL, &answer, err));
    GY_TRY(gy_json_parse(gy_buf_str(&answer.body), &doc, err));
    yyjson_val *v = yyjson_arr_get_first(gy_json_get(yyjson_doc_get_root(doc), "datasets"));
    if (!v) {
        return GY_OK;
    }
    char *text =
        gy_arena_printf(&cli->arena, "%" GY_STR_F "@%lld", GY_STR_A(gy_json_str(v, "name")),
                        (long long)gy_json_i64(v, "version", 0));
    *ret = gy_str_c(text);
    return text ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

gy_status gy_cli_dataset_path(const char *ref, struct gy_buf *out, struct gy_err *err)
{
    struct gy_str name, version;
    (void)gy_str_cut(gy_str_c(ref), '@', &name, &version);
    if (name.n == 0) {
        return gy_err_set(err, GY_E_USAGE,
                          "'%s' names no dataset: want NAME, NAME@VERSION or NAME@TAG", ref);
    }
    gy_buf_addc(out, "/api/gyre/v1/datasets/");
    gy_url_encode(out, name, false);
    gy_buf_addc(out, "/versions/");
    gy_url_encode(out, version.p ? version : GY_STR("latest"), false);
    return gy_buf_check(out, "the name of a dataset", err);
}

bool gy_cli_is_dataset_ref(const char *arg)
{
    char dvc[GY_MAX_PATH];
    struct gy_str name, version;
    if (!gy_str_cut(gy_str_c(arg), '@', &name, &version) || name.n == 0 || version.n == 0 ||
        strchr(arg, '/') || gy_path_exists(arg)) {
        return false;
    }
    int n = snprintf(dvc, sizeof dvc, "%s.dvc", arg);
    return n < 0 || (size_t)n >= sizeof dvc || !gy_path_exists(dvc);
}

static gy_status open_dataset(struct gy_cli *cli, const char *what, struct gy_cli_table *ret,
                              struct gy_err *err)
{
    struct gy_caller *c = NULL;
    struct gy_str name;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf url;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_collect_init(&answer, GY_TABLE_MAX_BYTES);
    gy_buf_init(&url, GY_MAX_PATH);
    GY_TRY(gy_cli_caller(cli, &c, err));
    GY_TRY(gy_cli_dataset_path(what, &url, err));
    GY_TRY(gy_call_json(c, "GET", url.p, GY_STR_NULL, &answer, err));
    GY_TRY(gy_json_parse(gy_buf_str(&answer.body), &doc, err));
    yyjson_val *v = yyjson_doc_get_root(doc);
    yyjson_val *schema = gy_json_get(v, "schema");
    struct gy_str sha256 = GY_STR_NULL;
    GY_TRY(gy_json_need_str(v, "sha256", &sha256, err));
    GY_TRY(gy_json_need_str(v, "name", &name, err));
    if (!ret->schema && schema && !yyjson_is_null(schema)) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
        struct gy_jw w;
        gy_buf_init(&text, GY_MAX_YAML);
        gy_jw_init(&w, &text);
        gy_jw_val(&w, schema);
        GY_TRY(gy_buf_check(&text, "a schema", err));
        GY_TRY(gy_schema_parse(gy_buf_str(&text), what, &ret->schema, err));
    }
    gy_buf_reset(&url);
    gy_buf_addf(&url, "/api/gyre/v1/objects/%.64s", sha256.p);
    GY_TRY(gy_buf_check(&url, "the name of a dataset", err));
    ret->dataset = gy_str_c(gy_arena_printf(&cli->arena, "%.*s@%lld", (int)name.n, name.p,
                                            (long long)gy_json_i64(v, "version", 0)));
    GY_TRY(gy_call_json(c, "GET", url.p, GY_STR_NULL, &answer, err));
    return gy_table_parse(gy_buf_str(&answer.body), what, ret->schema, &ret->table, err);
}

gy_status gy_cli_table_open(struct gy_cli *cli, const char *what, const char *schema_path,
                            struct gy_cli_table *ret, struct gy_err *err)
{
    /* A folder is no table: "sepsis" beside a folder of that name is still the dataset. */
    if (!gy_path_exists(what) || gy_path_is_dir(what)) {
        struct gy_str s = gy_str_c(what);
        if (gy_str_find(s, '/') != SIZE_MAX || gy_str_ends(s, GY_STR(".csv")) ||
            gy_str_ends(s, GY_STR(".json")) || gy_str_ends(s, GY_STR(".jsonl"))) {
            return gy_err_set(err, GY_E_NOTFOUND, "no such file: %s", what);
        }
        if (schema_path) {
            GY_TRY(gy_schema_read(schema_path, &ret->schema, err));
        }
        return open_dataset(cli, what, ret, err);
    }
    GY_TRY(gy_cli_schema_near(cli, what, schema_path, &ret->schema, err));
    GY_TRY(gy_table_load(what, ret->schema, &ret->table, err));
    return gy_cli_dataset_of(cli, gy_str_c(ret->table->sha256), &ret->dataset, err);
}

/* ---- models ---- */

gy_status gy_cli_model_dir(struct gy_cli *cli, const char *what, char *ret, struct gy_err *err)
{
    if (gy_path_is_dir(what)) {
        return gy_path_join(ret, GY_MAX_PATH, what, ".", err);
    }
    struct gy_caller *c = NULL;
    struct gy_home home;
    char root[GY_MAX_PATH];
    GY_TRY(gy_cli_caller(cli, &c, err));
    GY_TRY(gy_cli_home(cli, &home, err));
    gy_status status = gy_home_path(&home, "cache/models", root, err);
    gy_home_done(&home);
    GY_TRY(status);
    return gy_package_fetch(c, gy_str_c(what), root, ret, NULL, err);
}

gy_status gy_cli_check_work(int64_t replicates, int64_t threads, struct gy_err *err)
{
    if (replicates < 0 || replicates > GY_METRICS_MAX_REPLICATES) {
        return gy_err_set(err, GY_E_USAGE, "--replicates takes 0 to %d", GY_METRICS_MAX_REPLICATES);
    }
    if (threads < 1 || threads > GY_TRAIN_MAX_THREADS) {
        return gy_err_set(err, GY_E_USAGE, "--threads takes 1 to %d", GY_TRAIN_MAX_THREADS);
    }
    return GY_OK;
}

/* ---- predicting a table ---- */

struct answers {
    const struct gy_predictor_info *info;
    const struct gy_table *t;
    const double *out;                /* n_rows x n_outputs */
    const struct gy_explanation *why; /* MAY be NULL */
    struct gy_buf *buf;
    struct gy_cli_predicted *ret;
};

/* The first required input that the row lacks; NULL: none. */
static const struct gy_predictor_input *lacking(const struct answers *a, size_t row)
{
    for (size_t i = 0; i < a->info->n_inputs; i++) {
        const struct gy_predictor_input *in = &a->info->inputs[i];
        char scratch[32];
        if (in->required && !gy_table_text(gy_table_column(a->t, in->name), row, scratch).p) {
            return in;
        }
    }
    return NULL;
}

/* Count the row when one of its texts is not among those of the training rows. */
static gy_status note_unseen(const struct answers *a, size_t row, struct gy_err *err)
{
    for (size_t i = 0; i < a->info->n_inputs; i++) {
        const struct gy_predictor_input *in = &a->info->inputs[i];
        const struct gy_table_column *c = gy_table_column(a->t, in->name);
        double cell = 0;
        if (in->kind != GY_INPUT_TEXT || !c || c->numeric) {
            continue;
        }
        GY_TRY(gy_cell_of_text(in, c->text[row], &cell, err));
        if (cell == GY_CELL_UNSEEN) {
            if (a->ret->unseen++ == 0) {
                a->ret->first_unseen = row;
                a->ret->unseen_in = in->name;
                a->ret->unseen_text = c->text[row];
            }
            return GY_OK;
        }
    }
    return GY_OK;
}

/* The predicted class (index) or SIZE_MAX for a regression; *ret_p: its probability or the value.
 */
static size_t decide(const struct answers *a, size_t row, double *ret_p)
{
    const double *out = a->out + row * a->info->n_outputs;
    size_t best = 0;
    *ret_p = out[0];
    switch (a->info->task) {
    case GY_TASK_REGRESSION:
        return SIZE_MAX;
    case GY_TASK_BINARY:
        return out[0] >= a->info->threshold;
    case GY_TASK_MULTICLASS:
        for (size_t c = 1; c < a->info->n_classes; c++) {
            best = out[c] > out[best] ? c : best;
        }
        *ret_p = out[best];
        return best;
    }
    return SIZE_MAX;
}

static struct gy_str predicted_text(const struct answers *a, size_t best, double p, char room[32])
{
    return best == SIZE_MAX ? gy_str_n(room, gy_fmt_f64_trim(p, room)) : a->info->classes[best];
}

/* What each feature contributed, then the base; of several classes to the one that is said. */
static const double *why_of(const struct answers *a, size_t row, size_t best)
{
    return gy_explanation_of(a->why, row, a->why->n_sets > 1 ? best : 0);
}

static void csv_why(const struct answers *a, size_t row, const struct gy_predictor_input *refused,
                    size_t best)
{
    char room[32];
    for (size_t i = 0; i <= a->why->n_features; i++) {
        gy_buf_add_char(a->buf, ',');
        if (!refused) {
            gy_buf_add_bytes(a->buf, room, gy_fmt_f64_trim(why_of(a, row, best)[i], room));
        }
    }
}

static void json_why(const struct answers *a, struct gy_jw *w, size_t row, size_t best)
{
    const double *v = why_of(a, row, best);
    gy_jw_key(w, "explanation");
    gy_jw_obj(w);
    gy_jw_kv_f64(w, "margin", gy_explanation_margin(a->why, row, a->why->n_sets > 1 ? best : 0));
    gy_jw_kv_f64(w, "base", v[a->why->n_features]);
    gy_jw_key(w, "contributions");
    gy_jw_obj(w);
    for (size_t i = 0; i < a->why->n_features; i++) {
        gy_jw_keys(w, a->why->features[i].name);
        gy_jw_f64(w, v[i]);
    }
    gy_jw_obj_end(w);
    gy_jw_obj_end(w);
}

static void csv_row(const struct answers *a, size_t row, const struct gy_predictor_input *refused,
                    size_t best, double p)
{
    char room[32];
    for (size_t c = 0; c < a->t->n_columns; c++) {
        gy_csv_add_field(a->buf, gy_table_text(&a->t->columns[c], row, room));
        gy_buf_add_char(a->buf, ',');
    }
    if (!refused) {
        gy_csv_add_field(a->buf, predicted_text(a, best, p, room));
    }
    if (a->info->task != GY_TASK_REGRESSION) {
        gy_buf_add_char(a->buf, ',');
        if (!refused) {
            gy_buf_add_bytes(a->buf, room, gy_fmt_f64_trim(p, room));
        }
    }
    if (a->why) {
        csv_why(a, row, refused, best);
    }
    gy_buf_add_char(a->buf, '\n');
}

static void json_row(const struct answers *a, size_t row, const struct gy_predictor_input *refused,
                     size_t best, double p)
{
    char room[32];
    struct gy_jw w;
    gy_jw_init(&w, a->buf);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "row", (int64_t)row);
    if (a->t->id) {
        gy_jw_kv_str(&w, a->t->id->name.p, a->t->id_text[row]);
    }
    if (refused) {
        gy_jw_kv_null(&w, "prediction");
        gy_jw_key(&w, "error");
        gy_jw_strf(&w, "a required input is missing: %" GY_STR_F, GY_STR_A(refused->name));
    } else if (best == SIZE_MAX) {
        gy_jw_kv_f64(&w, "prediction", p);
    } else {
        gy_jw_kv_str(&w, "prediction", predicted_text(a, best, p, room));
        gy_jw_kv_f64(&w, "probability", p);
    }
    if (a->why && !refused) {
        json_why(a, &w, row, best);
    }
    gy_jw_obj_end(&w);
    gy_buf_add_char(a->buf, '\n');
}

static void csv_header(const struct answers *a)
{
    for (size_t c = 0; c < a->t->n_columns; c++) {
        gy_csv_add_field(a->buf, a->t->columns[c].name);
        gy_buf_add_char(a->buf, ',');
    }
    gy_buf_addc(a->buf,
                a->info->task == GY_TASK_REGRESSION ? "prediction" : "prediction,probability");
    for (size_t i = 0; a->why && i < a->why->n_features; i++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf name;
        gy_buf_init(&name, GY_KIB);
        gy_buf_addf(&name, "contribution:%" GY_STR_F, GY_STR_A(a->why->features[i].name));
        gy_buf_add_char(a->buf, ',');
        gy_csv_add_field(a->buf, gy_buf_str(&name));
    }
    gy_buf_addc(a->buf, a->why ? ",contribution:base\n" : "\n");
}

gy_status gy_cli_predict(const struct gy_predictor *p, const struct gy_table *t,
                         const struct gy_explanation *why, bool json_lines, struct gy_buf *out,
                         struct gy_cli_predicted *ret, struct gy_err *err)
{
    const struct gy_predictor_info *info = gy_predictor_info(p);
    if (info->n_out_tensors > 0) {
        (void)gy_err_set(err, GY_E_NOTSERVABLE,
                         "the model answers with tensors, not with one number or probabilities");
        return gy_err_hint(err, "ask an endpoint for them (docs/serving.md); a classifier's graph "
                                "must end in Softmax");
    }
    GY_AUTO(gy_free) char *rows_room = gy_reallocarray(NULL, t->n_rows, sizeof(uint32_t));
    GY_AUTO(gy_free)
    char *out_room = gy_reallocarray(NULL, t->n_rows, info->n_outputs * sizeof(double));
    if (!rows_room || !out_room) {
        return gy_err_set(err, GY_E_NOMEM, "predicting %zu rows", t->n_rows);
    }
    uint32_t *rows = (uint32_t *)(void *)rows_room;
    for (size_t i = 0; i < t->n_rows; i++) {
        rows[i] = (uint32_t)i;
    }
    struct answers a = {.info = info,
                        .t = t,
                        .why = why,
                        .out = (double *)(void *)out_room,
                        .buf = out,
                        .ret = ret};
    GY_TRY(gy_predict_table(p, t, rows, t->n_rows, (double *)(void *)out_room, err));
    *ret = (struct gy_cli_predicted){.rows = t->n_rows};
    if (!json_lines) {
        csv_header(&a);
    }
    for (size_t i = 0; i < t->n_rows; i++) {
        double probability = 0;
        size_t best = decide(&a, i, &probability);
        const struct gy_predictor_input *refused = lacking(&a, i);
        ret->predicted += !refused;
        if (!refused) {
            GY_TRY(note_unseen(&a, i, err));
        }
        if (refused && !ret->refused_by.p) {
            ret->first_refused = i;
            ret->refused_by = refused->name;
        }
        ret->positive += !refused && info->task == GY_TASK_BINARY && best == 1;
        if (json_lines) {
            json_row(&a, i, refused, best, probability);
        } else {
            csv_row(&a, i, refused, best, probability);
        }
    }
    return gy_buf_check(out, "the answers", err);
}

/* ---- what the learner sees ---- */

static void add_features(const struct gy_features *f, const double *x, bool json_lines,
                         struct gy_buf *out)
{
    char room[32];
    struct gy_jw w;
    gy_jw_init(&w, out);
    if (json_lines) {
        gy_jw_obj(&w);
    }
    for (size_t i = 0; i < f->n_out; i++) {
        if (json_lines) {
            gy_jw_keys(&w, f->out[i].name);
            if (isnan(x[i])) {
                gy_jw_null(&w);
            } else {
                gy_jw_f64(&w, x[i]);
            }
        } else {
            gy_buf_addc(out, i ? "," : "");
            gy_buf_add_bytes(out, room, isnan(x[i]) ? 0 : gy_fmt_f64_trim(x[i], room));
        }
    }
    if (json_lines) {
        gy_jw_obj_end(&w);
    }
    gy_buf_add_char(out, '\n');
}

gy_status gy_cli_features(const struct gy_predictor *p, const struct gy_table *t, bool json_lines,
                          struct gy_buf *out, struct gy_err *err)
{
    const struct gy_features *f = &gy_predictor_model(p)->features;
    const struct gy_predictor_info *info = gy_predictor_info(p);
    size_t scratch = gy_features_scratch(f, 1);
    GY_AUTO(gy_free)
    char *room = gy_reallocarray(NULL, f->n_in + f->n_out + scratch + 1, sizeof(double));
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "the features of a row");
    }
    double *in = (double *)(void *)room;
    double *x = in + f->n_in;
    for (size_t i = 0; !json_lines && i < f->n_out; i++) {
        gy_buf_addc(out, i ? "," : "");
        gy_csv_add_field(out, f->out[i].name);
    }
    gy_buf_addc(out, json_lines ? "" : "\n");
    for (size_t r = 0; r < t->n_rows; r++) {
        uint32_t row = (uint32_t)r;
        GY_TRY(gy_cells_of_table(info->inputs, info->n_inputs, t, &row, 1, in, err));
        gy_features_apply(f, in, 1, x, x + f->n_out);
        add_features(f, x, json_lines, out);
    }
    return gy_buf_check(out, "the features", err);
}

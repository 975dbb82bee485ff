/* SPDX-License-Identifier: Apache-2.0 */
/* Records answered by a package in this process, and what all answers look like. */
#include <math.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "data/image.h"
#include "flow/batch_internal.h"
#include "learn/cells.h"
#include "serve/message.h"

#define CHUNK 64
#define MAX_TEXT (16 * GY_MIB) /* of one record, unquoted */
#define MAX_PICTURE (64 * GY_MIB)

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for predicting");
}

static gy_status open_predictor(struct batch_worker *w, struct gy_err *err)
{
    const struct gy_predictor_info *info = gy_predictor_info(w->o->predictor);
    size_t scratch = gy_predictor_scratch(w->o->predictor, CHUNK);
    w->cells = gy_calloc(CHUNK * info->n_cells + 1, sizeof *w->cells);
    w->outputs = gy_calloc(CHUNK * info->n_outputs + 1, sizeof *w->outputs);
    w->memory = gy_malloc(scratch + 64);
    return w->cells && w->outputs && w->memory ? GY_OK : no_memory(err);
}

gy_status gy_batch_worker_open(struct batch_worker *w, const struct gy_batch_options *o,
                               const struct batch_read *read, const char *run_time,
                               struct gy_err *err)
{
    *w = (struct batch_worker){.o = o, .read = read, .run_time = run_time};
    gy_buf_init(&w->scratch, MAX_TEXT);
    gy_buf_init(&w->prefix, GY_GIB);
    gy_buf_init(&w->question, GY_MESSAGES_MAX_BODY);
    gy_collect_init(&w->answer, GY_MESSAGES_MAX_ANSWER);
    w->fields = gy_calloc(GY_MAX_COLUMNS, sizeof *w->fields);
    if (!w->fields) {
        return no_memory(err);
    }
    return o->predictor ? open_predictor(w, err) : GY_OK;
}

void gy_batch_worker_done(struct batch_worker *w)
{
    gy_buf_done(&w->scratch);
    gy_buf_done(&w->prefix);
    gy_buf_done(&w->question);
    gy_collect_done(&w->answer);
    gy_free(w->fields);
    gy_free(w->cells);
    gy_free(w->outputs);
    gy_free(w->memory);
}

/* ---- dead letters ---- */

static void letter_data(struct gy_jw *w, struct gy_str bytes)
{
    if (gy_str_is_utf8(bytes)) {
        gy_jw_kv_str(w, "data", bytes);
        return;
    }
    GY_AUTO(gy_free) char *text = gy_malloc(gy_base64_size(bytes.n) + 1);
    if (!text) {
        w->out->failed = GY_E_NOMEM;
        return;
    }
    gy_base64(bytes.p, bytes.n, text);
    gy_jw_kv_strc(w, "data_b64", text);
}

gy_status gy_batch_bury(struct batch_worker *w, struct batch_block *b,
                        const struct gy_csv_item *item, const char *code, const char *why,
                        struct gy_err *err)
{
    const struct batch_head *h = &w->read->head;
    struct gy_jw j;
    gy_jw_init(&j, &b->dead);
    gy_jw_obj(&j);
    gy_jw_kv_strc(&j, "time", w->run_time);
    gy_jw_kv_strc(&j, "file", w->o->source->name);
    gy_jw_kv_i64(&j, "row", item->row);
    gy_jw_kv_i64(&j, "offset", item->offset + item->skip);
    gy_jw_kv_i64(&j, "length", item->length);
    gy_jw_key(&j, "codes");
    gy_jw_arr(&j);
    gy_jw_strc(&j, code);
    gy_jw_arr_end(&j);
    gy_jw_kv_null(&j, "column");
    gy_jw_kv_strc(&j, "error", why);
    gy_jw_kv_null(&j, "trace");
    if (h->line.n) {
        gy_jw_kv_str(&j, "header", h->line);
        gy_jw_kv_str(&j, "delimiter", gy_str_n(&h->delimiter, 1));
    }
    letter_data(&j, item->raw);
    gy_jw_obj_end(&j);
    gy_buf_add_char(&b->dead, '\n');
    if (b->n_dead++ == 0) {
        b->first_dead = item->row;
        (void)snprintf(b->why, sizeof b->why, "%s", why);
    }
    return gy_buf_check(&b->dead, "dead letters", err);
}

/* ---- the columns of a record in the output ---- */

struct gy_str gy_batch_json_text(yyjson_val *v)
{
    if (yyjson_is_raw(v)) {
        return gy_str_n(yyjson_get_raw(v), yyjson_get_len(v));
    }
    if (yyjson_is_bool(v)) {
        return yyjson_get_bool(v) ? GY_STR("true") : GY_STR("false");
    }
    return gy_json_val_str(v);
}

static bool is_missing(struct gy_str text)
{
    return text.n == 0 || gy_str_eqc(text, "NaN") || gy_str_eqc(text, "nan");
}

/* Column i of the record; w->fields hold those of CSV. */
static struct gy_str text_of(struct batch_worker *w, yyjson_val *doc, size_t i)
{
    const struct batch_head *h = &w->read->head;
    if (!h->json) {
        return gy_csv_text(&w->fields[i], &w->scratch);
    }
    yyjson_val *v = yyjson_obj_getn(doc, h->names[i].p, h->names[i].n);
    return gy_batch_json_text(v);
}

static void prefix_json(struct batch_worker *w, const struct gy_csv_item *item, yyjson_val *doc,
                        struct gy_buf *out)
{
    const struct batch_head *h = &w->read->head;
    struct gy_jw j;
    gy_jw_init(&j, out);
    gy_jw_obj(&j);
    gy_jw_kv_i64(&j, "row", item->row);
    for (size_t i = 0; w->o->id_column.n && i < h->n; i++) {
        if (gy_str_eq(h->names[i], w->o->id_column)) {
            gy_jw_keys(&j, h->names[i]);
            gy_jw_str(&j, text_of(w, doc, i));
        }
    }
}

void gy_batch_prefix(struct batch_worker *w, const struct gy_csv_item *item, yyjson_val *doc,
                     struct gy_buf *out)
{
    const struct batch_head *h = &w->read->head;
    if (w->o->format == GY_BATCH_JSONL) {
        prefix_json(w, item, doc, out);
        return;
    }
    if (!h->json && h->delimiter == ',') {
        gy_buf_add(out, item->raw); /* it is what would be made of it */
        gy_buf_add_char(out, ',');
        return;
    }
    for (size_t i = 0; i < h->n; i++) {
        gy_csv_add_field(out, text_of(w, doc, i));
        gy_buf_add_char(out, ',');
    }
}

void gy_batch_head(const struct gy_batch_options *o, const struct batch_head *h, struct gy_buf *out)
{
    if (o->format == GY_BATCH_JSONL) {
        return;
    }
    for (size_t i = 0; i < h->n; i++) {
        gy_csv_add_field(out, h->names[i]);
        gy_buf_add_char(out, ',');
    }
    bool regression = o->predictor && gy_predictor_info(o->predictor)->task == GY_TASK_REGRESSION;
    gy_buf_addc(out, regression ? "prediction" : "prediction,probability");
    gy_buf_addc(out, o->endpoint ? ",rule,model_version,prediction_id\n" : "\n");
}

/* ---- cells ---- */

static gy_status picture(struct batch_worker *w, const struct gy_predictor_input *in,
                         struct gy_str text, double *cells, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, MAX_PICTURE);
    if (!w->o->source->folder) {
        return gy_err_set(err, GY_E_INVALID, "there is no folder that it could be in");
    }
    GY_TRY(gy_image_read(w->o->source->folder, text, &bytes, err));
    return gy_cells_of_image(in, gy_buf_str(&bytes), cells, err);
}

/* One input of a record. Fails: INVALID and the like, because of the record; NOMEM. */
static gy_status cells_of(struct batch_worker *w, const struct gy_predictor_input *in,
                          struct gy_str text, double *cells, struct gy_err *err)
{
    if (is_missing(text)) {
        if (in->required) {
            return gy_err_set(err, GY_E_NOTFOUND, "it lacks %" GY_STR_F, GY_STR_A(in->name));
        }
        for (size_t i = 0; i < in->width; i++) {
            cells[i] = NAN;
        }
        return GY_OK;
    }
    if (in->kind == GY_INPUT_IMAGE) {
        gy_status status = picture(w, in, text, cells, err);
        return status == GY_OK || status == GY_E_NOMEM
                   ? status
                   : gy_err_wrap(err, "image '%" GY_STR_F "'", GY_STR_A(gy_str_head(text, 200)));
    }
    if (in->kind == GY_INPUT_NUMBER &&
        (gy_str_ieq(text, GY_STR("true")) || gy_str_ieq(text, GY_STR("false")))) {
        cells[0] = text.n == 4;
        return GY_OK;
    }
    return gy_cell_of_text(in, text, cells, err);
}

static void note_unseen(struct batch_block *b, const struct gy_csv_item *item, struct gy_str name,
                        struct gy_str text)
{
    if (b->unseen++ == 0) {
        b->first_unseen = item->row;
        (void)snprintf(b->unseen_what, sizeof b->unseen_what, "%.*s is '%.*s'",
                       (int)(name.n < 80 ? name.n : 80), name.p, (int)gy_str_head(text, 80).n,
                       text.p);
    }
}

static gy_status fill_row(struct batch_worker *w, struct batch_block *b,
                          const struct gy_csv_item *item, yyjson_val *doc, struct gy_err *err)
{
    const struct gy_predictor_info *info = gy_predictor_info(w->o->predictor);
    const struct batch_head *h = &w->read->head;
    double *cells = w->cells + w->n * info->n_cells;
    bool unseen = false;
    for (size_t i = 0; i < info->n_inputs; i++) {
        const struct gy_predictor_input *in = &info->inputs[i];
        struct gy_str text = h->json
                                 ? gy_batch_json_text(yyjson_obj_getn(doc, in->name.p, in->name.n))
                                 : text_of(w, doc, h->columns[i]);
        GY_TRY(cells_of(w, in, text, cells, err));
        if (in->kind == GY_INPUT_TEXT && !unseen && cells[0] == GY_CELL_UNSEEN) {
            unseen = true;
            note_unseen(b, item, in->name, text);
        }
        cells += in->width;
    }
    return GY_OK;
}

/* ---- answers ---- */

static size_t class_of(const struct gy_predictor_info *info, const double *out, double *ret_p)
{
    size_t best = 0;
    *ret_p = out[0];
    if (info->task == GY_TASK_BINARY) {
        return out[0] >= info->threshold;
    }
    for (size_t c = 1; c < info->n_classes; c++) {
        best = out[c] > out[best] ? c : best;
    }
    *ret_p = out[best];
    return best;
}

static void answer_csv(const struct gy_predictor_info *info, const double *out, size_t class,
                       double p, struct gy_buf *to)
{
    char number[32];
    bool regression = info->task == GY_TASK_REGRESSION;
    if (!regression) {
        gy_csv_add_field(to, info->classes[class]);
        gy_buf_add_char(to, ',');
    }
    gy_buf_add_bytes(to, number, gy_fmt_f64_trim(regression ? out[0] : p, number));
    gy_buf_add_char(to, '\n');
}

static void answer_json(const struct gy_predictor_info *info, const double *out, size_t class,
                        double p, struct gy_buf *to)
{
    struct gy_jw j;
    gy_jw_init(&j, to);
    gy_buf_addc(to, ",\"prediction\":");
    if (info->task == GY_TASK_REGRESSION) {
        gy_jw_f64(&j, out[0]);
    } else {
        gy_jw_str(&j, info->classes[class]);
        gy_buf_addc(to, ",\"probability\":");
        gy_jw_init(&j, to);
        gy_jw_f64(&j, p);
    }
    gy_buf_addc(to, "}\n");
}

static gy_status answer_row(struct batch_worker *w, struct batch_block *b, size_t i,
                            struct gy_err *err)
{
    const struct gy_predictor_info *info = gy_predictor_info(w->o->predictor);
    const double *out = w->outputs + i * info->n_outputs;
    for (size_t k = 0; k < info->n_outputs; k++) {
        if (!isfinite(out[k])) {
            return gy_batch_bury(w, b, w->rows[i], "RANGE",
                                 "the model gives no finite number: its values are too large", err);
        }
    }
    double p = out[0];
    size_t class = info->task == GY_TASK_REGRESSION ? 0 : class_of(info, out, &p);
    size_t end = i + 1 < w->n ? w->prefix_at[i + 1] : w->prefix.n;
    gy_buf_add_bytes(&b->out, w->prefix.p + w->prefix_at[i], end - w->prefix_at[i]);
    if (w->o->format == GY_BATCH_JSONL) {
        answer_json(info, out, class, p, &b->out);
    } else {
        answer_csv(info, out, class, p, &b->out);
    }
    b->predicted++;
    b->positive += info->task == GY_TASK_BINARY && class == 1;
    return GY_OK;
}

static gy_status run_chunk(struct batch_worker *w, struct batch_block *b, struct gy_err *err)
{
    GY_TRY(gy_buf_check(&w->prefix, "the rows of a block", err));
    if (w->n == 0) {
        return GY_OK;
    }
    char *scratch = w->memory + (64 - ((uintptr_t)w->memory & 63));
    gy_predictor_run(w->o->predictor, w->cells, w->n, w->outputs, scratch);
    for (size_t i = 0; i < w->n; i++) {
        GY_TRY(answer_row(w, b, i, err));
    }
    w->n = 0;
    gy_buf_reset(&w->prefix);
    return gy_buf_check(&b->out, "the answers of a block", err);
}

/* Read a record; NULL in *ret_why: it can be asked. */
static gy_status read_record(struct batch_worker *w, const struct gy_csv_item *item,
                             yyjson_doc **ret_doc, const char **ret_code, struct gy_err *why)
{
    const struct batch_head *h = &w->read->head;
    const char *fault = gy_record_fault(item);
    *ret_code = item->fault == GY_CSV_TOOLONG ? "TOOLONG" : h->json ? "JSON" : "QUOTE";
    if (fault) {
        return gy_err_set(why, GY_E_INVALID, "%s", fault);
    }
    if (!gy_str_is_utf8(item->raw)) {
        *ret_code = "UTF8";
        return gy_err_set(why, GY_E_INVALID, "the record is not UTF-8");
    }
    if (h->json) {
        GY_TRY(gy_json_parse_texts(item->raw, ret_doc, why));
        return yyjson_is_obj(yyjson_doc_get_root(*ret_doc))
                   ? GY_OK
                   : gy_err_set(why, GY_E_INVALID, "the record is no JSON object");
    }
    *ret_code = "FIELDS";
    size_t n = gy_csv_split(item->raw, item->quotes, h->delimiter, w->fields, GY_MAX_COLUMNS);
    return n == h->n ? GY_OK
                     : gy_err_set(why, GY_E_INVALID, "%zu fields, the header has %zu", n, h->n);
}

static gy_status take_record(struct batch_worker *w, struct batch_block *b,
                             const struct gy_csv_item *item, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_err why = GY_ERR_INIT;
    const char *code = "JSON";
    gy_status status = read_record(w, item, &doc, &code, &why);
    if (status == GY_OK) {
        status = fill_row(w, b, item, yyjson_doc_get_root(doc), &why);
        code = status == GY_E_NOTFOUND ? "REQUIRED" : "TYPE";
    }
    if (status == GY_E_NOMEM) {
        return gy_err_set(err, status, "%s", why.msg);
    }
    if (status != GY_OK) {
        return gy_batch_bury(w, b, item, code, why.msg, err);
    }
    w->rows[w->n] = item;
    w->prefix_at[w->n++] = w->prefix.n;
    gy_batch_prefix(w, item, yyjson_doc_get_root(doc), &w->prefix);
    return w->n == CHUNK ? run_chunk(w, b, err) : GY_OK;
}

gy_status gy_batch_local(struct batch_worker *w, struct batch_block *b, struct gy_err *err)
{
    for (size_t i = 0; i < b->n; i++) {
        struct gy_csv_item *item = &b->pieces[i].item;
        item->raw.p = b->bytes.p + b->pieces[i].at;
        GY_TRY(take_record(w, b, item, err));
    }
    return run_chunk(w, b, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Records answered by a served endpoint: rules, model and variants, as a request of each would be.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "flow/batch_internal.h"
#include "serve/message.h"

#define GROUP 5000       /* records of a question */
#define FIRST_WAIT_MS 50 /* of what is worth another try; then twice that, and so on */
#define TRIES 10         /* about 50 s in all */

/* What a record's place in a question is; it is buried in the order of the rows. */
enum asked { ASKED, NO_RECORD, NO_ROW };

/* Append the question of a record, if it can be asked. */
static gy_status add_question(struct batch_worker *w, const struct gy_csv_item *item, char *ret,
                              struct gy_err *err)
{
    const struct batch_head *h = &w->read->head;
    char id[300];
    struct gy_str body = item->raw;
    *ret = NO_RECORD;
    if (gy_record_fault(item)) {
        return GY_OK;
    }
    gy_buf_reset(&w->prefix);
    if (!h->json) {
        *ret = NO_ROW;
        if (!gy_record_json(w->read->kinds, item, h->delimiter, w->fields, &w->scratch,
                            &w->prefix)) {
            return GY_OK;
        }
        body = gy_buf_str(&w->prefix);
    }
    int n = snprintf(id, sizeof id, "%.200s/%lld", w->o->source->name, (long long)item->row);
    const struct gy_message m = {gy_str_n(id, n > 0 ? (size_t)n : 0), GY_STR(""), body};
    gy_message_add(&w->question, &m);
    *ret = ASKED;
    return gy_buf_check(&w->question, "a question of many records", err);
}

static gy_status bury_unasked(struct batch_worker *w, struct batch_block *b,
                              const struct gy_csv_item *item, char asked, struct gy_err *err)
{
    if (asked == NO_ROW) {
        return gy_batch_bury(w, b, item, "FIELDS",
                             "the record has not the header's columns, or is not UTF-8", err);
    }
    const char *code = item->fault == GY_CSV_TOOLONG ? "TOOLONG"
                       : w->read->head.json          ? "JSON"
                                                     : "QUOTE";
    return gy_batch_bury(w, b, item, code, gy_record_fault(item), err);
}

static gy_status ask_once(struct batch_worker *w, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    struct gy_mem_reader body;
    gy_buf_init(&path, GY_KIB);
    gy_buf_addc(&path, "/api/gyre/v1/endpoints/");
    gy_url_encode(&path, gy_str_c(w->o->endpoint), false);
    gy_buf_addc(&path, w->o->logged ? "/messages" : "/messages?log=off");
    GY_TRY(gy_buf_check(&path, "the endpoint's name", err));
    return gy_call_body(w->o->server, "POST", path.p, GY_MESSAGES_TYPE,
                        gy_mem_reader_init(&body, gy_buf_str(&w->question)), &w->answer, err);
}

/* Does an answer say that it is worth another try? Predictions are then made anew, all of them. */
static bool any_again(const struct gy_str answers)
{
    struct gy_str rest = answers;
    struct gy_message_answer a;
    bool more = true;
    while (gy_message_answer_next(&rest, &a, &more, NULL) == GY_OK && more) {
        if (gy_message_retry(a.status)) {
            return true;
        }
    }
    return false;
}

static gy_status ask(struct batch_worker *w, struct gy_err *err)
{
    int wait_ms = FIRST_WAIT_MS;
    for (int try = 1;; try++) {
        struct gy_err why = GY_ERR_INIT;
        gy_status status = ask_once(w, &why);
        if (status == GY_OK && any_again(gy_buf_str(&w->answer.body))) {
            status = gy_err_set(&why, GY_E_UNAVAILABLE, "the endpoint can not answer now");
        }
        if (status == GY_OK) {
            return GY_OK;
        }
        if (!gy_status_retryable(status) || try == TRIES) {
            return gy_err_set(err, status, "%s", why.msg);
        }
        (void)usleep((useconds_t)wait_ms * 1000);
        wait_ms *= 2;
    }
}

/* ---- answers ---- */

static void put_field(yyjson_val *v, struct gy_buf *out)
{
    gy_csv_add_field(out, gy_batch_json_text(v));
}

static gy_status put_csv(struct batch_worker *w, const struct gy_csv_item *item, yyjson_val *answer,
                         struct batch_block *b, struct gy_err *err)
{
    const struct batch_head *h = &w->read->head;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (h->json) {
        GY_TRY(gy_json_parse_texts(item->raw, &doc, err));
    } else if (h->delimiter != ',') {
        (void)gy_csv_split(item->raw, item->quotes, h->delimiter, w->fields, h->n);
    }
    gy_batch_prefix(w, item, yyjson_doc_get_root(doc), &b->out);
    put_field(gy_json_get(answer, "prediction"), &b->out);
    gy_buf_add_char(&b->out, ',');
    put_field(gy_json_get(answer, "probability"), &b->out);
    gy_buf_add_char(&b->out, ',');
    put_field(gy_json_get(gy_json_get(answer, "rules"), "name"), &b->out);
    gy_buf_add_char(&b->out, ',');
    put_field(gy_json_get(answer, "model_version"), &b->out);
    gy_buf_add_char(&b->out, ',');
    if (w->o->logged) {
        put_field(gy_json_get(answer, "prediction_id"), &b->out);
    }
    gy_buf_add_char(&b->out, '\n');
    return GY_OK;
}

/* Without a log record the id means nothing, and would differ from run to run. */
static void put_json(struct batch_worker *w, const struct gy_csv_item *item, yyjson_val *answer,
                     struct batch_block *b)
{
    static const char *const members[] = {"prediction",    "probability", "rules",
                                          "model_version", "revision",    "prediction_id"};
    size_t n = sizeof members / sizeof members[0] - (w->o->logged ? 0 : 1);
    struct gy_jw j;
    gy_jw_init(&j, &b->out);
    gy_jw_obj(&j);
    gy_jw_kv_i64(&j, "row", item->row);
    for (size_t i = 0; i < n; i++) {
        yyjson_val *v = gy_json_get(answer, members[i]);
        if (v) {
            gy_jw_key(&j, members[i]);
            if (yyjson_is_raw(v)) {
                gy_jw_raw(&j, gy_batch_json_text(v));
            } else if (strcmp(members[i], "rules") == 0) {
                gy_jw_str(&j, gy_json_str(v, "name"));
            } else {
                gy_jw_val(&j, v);
            }
        }
    }
    gy_jw_obj_end(&j);
    gy_buf_add_char(&b->out, '\n');
}

static gy_status take_answer(struct batch_worker *w, struct batch_block *b,
                             const struct gy_csv_item *item, const struct gy_message_answer *a,
                             struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse_texts(a->json, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (a->status >= 400) {
        char why[300];
        struct gy_str text = gy_str_head(gy_json_str(root, "error"), sizeof why - 1);
        (void)snprintf(why, sizeof why, "%.*s", (int)text.n, text.p ? text.p : "");
        return gy_batch_bury(w, b, item, a->status == 400 ? "TYPE" : "VALUES", why, err);
    }
    if (gy_json_get(root, "outputs")) {
        return gy_batch_bury(w, b, item, "JSON", "a body of the Open Inference Protocol is no row",
                             err);
    }
    b->predicted++;
    b->positive += gy_str_eqc(gy_batch_json_text(gy_json_get(root, "prediction")), "1");
    if (w->o->format == GY_BATCH_JSONL) {
        put_json(w, item, root, b);
        return GY_OK;
    }
    return put_csv(w, item, root, b, err);
}

/* The records [from, to) of the block. */
static gy_status answer_group(struct batch_worker *w, struct batch_block *b, size_t from, size_t to,
                              struct gy_err *err)
{
    GY_AUTO(gy_free) char *asked = gy_calloc(to - from + 1, 1);
    if (!asked) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a question");
    }
    gy_buf_reset(&w->question);
    for (size_t i = from; i < to; i++) {
        GY_TRY(add_question(w, &b->pieces[i].item, &asked[i - from], err));
    }
    if (w->question.n > 0) {
        GY_TRY(ask(w, err));
    }
    struct gy_str rest = w->question.n ? gy_buf_str(&w->answer.body) : GY_STR("");
    for (size_t i = from; i < to; i++) {
        struct gy_message_answer a = {0};
        bool more = true;
        if (asked[i - from] != ASKED) {
            GY_TRY(bury_unasked(w, b, &b->pieces[i].item, asked[i - from], err));
            continue;
        }
        GY_TRY(gy_message_answer_next(&rest, &a, &more, err));
        if (!more) {
            return gy_err_set(err, GY_E_NETWORK, "the server did not answer all records");
        }
        GY_TRY(take_answer(w, b, &b->pieces[i].item, &a, err));
    }
    return gy_buf_check(&b->out, "the answers of a block", err);
}

gy_status gy_batch_served(struct batch_worker *w, struct batch_block *b, struct gy_err *err)
{
    for (size_t i = 0; i < b->n; i++) {
        b->pieces[i].item.raw.p = b->bytes.p + b->pieces[i].at;
    }
    for (size_t from = 0; from < b->n; from += GROUP) {
        size_t to = from + GROUP < b->n ? from + GROUP : b->n;
        GY_TRY(answer_group(w, b, from, to, err));
    }
    return GY_OK;
}

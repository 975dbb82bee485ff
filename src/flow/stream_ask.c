/* SPDX-License-Identifier: Apache-2.0 */
/* Batches are asked of the server, and its answers are understood. */
#include <math.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "flow/stream_internal.h"
#include "serve/message.h"

/* What --when may name. */
enum { SLOT_PREDICTION, SLOT_PROBABILITY, SLOT_RULE, SLOT_VERSION, N_SLOTS };
static const char *const slot_names[N_SLOTS] = {"prediction", "probability", "rule",
                                                "model_version"};

struct stream_asker {
    const struct gy_stream_options *o;
    struct gy_expr *when;
    struct gy_buf path, question;
    struct gy_collect answer;
    yyjson_doc *doc; /* of the answer that was understood last */
    struct gy_buf with_input;
    char revision[24];
};

static bool resolve(void *ctx, struct gy_str name, size_t *ret_slot, enum gy_expr_type *ret_type)
{
    (void)ctx;
    for (size_t i = 0; i < N_SLOTS; i++) {
        if (gy_str_eqc(name, slot_names[i])) {
            *ret_slot = i;
            *ret_type = i == SLOT_PROBABILITY ? GY_EXPR_NUM
                        : i == SLOT_RULE      ? GY_EXPR_STR
                                              : GY_EXPR_NULL;
            return true;
        }
    }
    return false;
}

static gy_status set_up(struct stream_asker *a, const struct gy_stream_options *o,
                        struct gy_err *err)
{
    a->o = o;
    gy_buf_init(&a->path, GY_KIB);
    gy_buf_init(&a->question, GY_MESSAGES_MAX_BODY);
    gy_buf_init(&a->with_input, GY_MESSAGES_MAX_ANSWER);
    gy_collect_init(&a->answer, GY_MESSAGES_MAX_ANSWER);
    gy_buf_addc(&a->path, "/api/gyre/v1/endpoints/");
    gy_url_encode(&a->path, gy_str_c(o->endpoint), false);
    gy_buf_addc(&a->path, "/messages");
    GY_TRY(gy_buf_check(&a->path, "the endpoint's name", err));
    if (!o->notify) {
        return GY_OK;
    }
    const char *when = o->when ? o->when : "prediction == 1";
    if (gy_expr_compile(gy_str_c(when), resolve, NULL, &a->when, err) != GY_OK) {
        (void)gy_err_wrap(err, "--when '%.200s'", when);
        return gy_err_hint(err, "it may name prediction, probability, rule and model_version");
    }
    return GY_OK;
}

gy_status gy_stream_asker_new(const struct gy_stream_options *o, struct stream_asker **ret,
                              struct gy_err *err)
{
    struct stream_asker *a = gy_calloc(1, sizeof *a);
    if (!a) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a stream");
    }
    gy_status status = set_up(a, o, err);
    if (status != GY_OK) {
        gy_stream_asker_free(a);
        return status;
    }
    *ret = a;
    return GY_OK;
}

void gy_stream_asker_free(struct stream_asker *a)
{
    if (!a) {
        return;
    }
    gy_expr_free(a->when);
    gy_buf_done(&a->path);
    gy_buf_done(&a->question);
    gy_buf_done(&a->with_input);
    gy_collect_done(&a->answer);
    gy_json_free(a->doc);
    gy_free(a);
}

static gy_status call(struct stream_asker *a, struct gy_err *err)
{
    struct gy_mem_reader body;
    struct gy_reader *reader = gy_mem_reader_init(&body, gy_buf_str(&a->question));
    return gy_call_body(a->o->server, "POST", a->path.p, GY_MESSAGES_TYPE, reader, &a->answer, err);
}

gy_status gy_stream_ask_nothing(struct stream_asker *a, struct gy_err *err)
{
    gy_buf_reset(&a->question);
    return call(a, err);
}

/* Those that can not be asked have their answer already. */
static void answer_fault(struct stream_message *m)
{
    if (!m->fault && m->value.n > GY_STREAM_MAX_MESSAGE) {
        m->fault = "the message is longer than 8 MiB";
    }
    if (m->fault && !m->status) {
        m->status = 400;
    }
}

static bool is_open(const struct stream_message *m)
{
    return m->status == 0 || gy_message_retry(m->status) || m->status == 404;
}

/* As many of the open ones as a question holds; *ret: the place behind the last one. */
static size_t write_question(struct stream_asker *a, struct stream_batch *b, size_t from)
{
    gy_buf_reset(&a->question);
    size_t i = from;
    for (; i < b->n; i++) {
        struct stream_message *m = &b->items[i];
        answer_fault(m);
        if (!is_open(m)) {
            continue;
        }
        size_t bytes = m->id.n + m->key.n + m->value.n + 80;
        if (a->question.n && a->question.n + bytes > GY_MESSAGES_MAX_BODY) {
            break;
        }
        const struct gy_message one = {m->id, gy_str_sub(m->key, 0, GY_MESSAGE_MAX_KEY), m->value};
        gy_message_add(&a->question, &one);
    }
    return i;
}

static gy_status take_answers(struct stream_asker *a, struct stream_batch *b, size_t from,
                              size_t to, struct gy_err *err)
{
    struct gy_str rest = gy_buf_str(&a->answer.body);
    for (size_t i = from; i < to; i++) {
        struct stream_message *m = &b->items[i];
        struct gy_message_answer got = {0};
        bool more = false;
        if (!is_open(m)) {
            continue;
        }
        GY_TRY(gy_message_answer_next(&rest, &got, &more, err));
        if (!more) {
            return gy_err_set(err, GY_E_NETWORK, "the server did not answer all messages");
        }
        m->status = got.status;
        if (is_open(m)) {
            continue; /* asked again: kept, such answers would fill the arena of a long wait */
        }
        m->json.p = gy_arena_strdup(&b->arena, got.json);
        m->json.n = got.json.n;
        if (!m->json.p) {
            m->status = 0;
            return gy_err_set(err, GY_E_NOMEM, "out of memory for answers");
        }
    }
    return GY_OK;
}

gy_status gy_stream_ask(struct stream_asker *a, struct stream_batch *b, size_t *ret_open,
                        struct gy_err *err)
{
    for (size_t from = 0; from < b->n;) {
        size_t to = write_question(a, b, from);
        GY_TRY(gy_buf_check(&a->question, "a batch of messages", err));
        if (a->question.n) {
            GY_TRY(call(a, err));
            GY_TRY(take_answers(a, b, from, to, err));
        }
        from = to;
    }
    *ret_open = 0;
    for (size_t i = 0; i < b->n; i++) {
        *ret_open += is_open(&b->items[i]);
    }
    return GY_OK;
}

/* ---- understanding ---- */

static struct gy_expr_value value_of(yyjson_val *v)
{
    if (yyjson_is_num(v)) {
        return (struct gy_expr_value){.type = GY_EXPR_NUM, .num = yyjson_get_num(v)};
    }
    if (yyjson_is_str(v)) {
        return (struct gy_expr_value){.type = GY_EXPR_STR, .str = gy_json_val_str(v)};
    }
    return yyjson_is_bool(v) ? (struct gy_expr_value){.type = GY_EXPR_BOOL, .b = yyjson_get_bool(v)}
                             : (struct gy_expr_value){.type = GY_EXPR_NULL};
}

/* The text of an output of the Open Inference Protocol. */
static yyjson_val *v2_output(yyjson_val *root, const char *name)
{
    yyjson_val *outputs = gy_json_get(root, "outputs"), *one;
    size_t i, n;
    yyjson_arr_foreach(outputs, i, n, one)
    {
        if (gy_str_eqc(gy_json_str(one, "name"), name)) {
            return gy_json_get(one, "data");
        }
    }
    return NULL;
}

static bool hits(struct stream_asker *a, const struct gy_expr_value slots[N_SLOTS])
{
    struct gy_expr_value v;
    return gy_expr_eval(a->when, slots, N_SLOTS, &v, NULL) == GY_OK && v.type == GY_EXPR_BOOL &&
           v.b;
}

/* Of several rows one is enough. */
static bool v2_hits(struct stream_asker *a, yyjson_val *root)
{
    yyjson_val *prediction = v2_output(root, "prediction");
    yyjson_val *probability = v2_output(root, "probability");
    yyjson_val *rule = v2_output(root, "rule");
    size_t rows = yyjson_arr_size(prediction);
    bool one_each = yyjson_arr_size(probability) == rows; /* not of several classes */
    for (size_t i = 0; i < rows; i++) {
        struct gy_expr_value slots[N_SLOTS] = {0};
        slots[SLOT_PREDICTION] = value_of(yyjson_arr_get(prediction, i));
        slots[SLOT_PROBABILITY] = value_of(one_each ? yyjson_arr_get(probability, i) : NULL);
        slots[SLOT_RULE] = value_of(yyjson_arr_get(rule, i));
        slots[SLOT_VERSION] = value_of(gy_json_get(root, "model_version"));
        if (hits(a, slots)) {
            return true;
        }
    }
    return false;
}

static bool flat_hits(struct stream_asker *a, yyjson_val *root)
{
    struct gy_expr_value slots[N_SLOTS] = {0};
    slots[SLOT_PREDICTION] = value_of(gy_json_get(root, "prediction"));
    slots[SLOT_PROBABILITY] = value_of(gy_json_get(root, "probability"));
    slots[SLOT_RULE] = value_of(gy_json_get(gy_json_get(root, "rules"), "name"));
    slots[SLOT_VERSION] = value_of(gy_json_get(root, "model_version"));
    return hits(a, slots);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool in_token(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.';
}

/* What begins there, a number or a word. NaN and infinities, which Python's json module writes and
 * a message may have, are no words of JSON: null. Returns its length. */
static size_t add_token(struct gy_buf *out, struct gy_str rest)
{
    size_t n = 0;
    while (n < rest.n && in_token(rest.p[n])) {
        n++;
    }
    struct gy_str token = gy_str_sub(rest, 0, n);
    struct gy_str word = token.p[0] == '-' ? gy_str_sub(token, 1, n) : token;
    bool json = word.n == 0 || !is_letter(word.p[0]) || gy_str_eqc(token, "true") ||
                gy_str_eqc(token, "false") || gy_str_eqc(token, "null");
    gy_buf_add(out, json ? token : GY_STR("null"));
    return n;
}

/* What an endpoint has read as JSON, on one line and as others read JSON. */
static void add_json(struct gy_buf *out, struct gy_str in)
{
    bool quoted = false, escaped = false;
    for (size_t i = 0; i < in.n;) {
        char c = in.p[i];
        if (!quoted && in_token(c)) {
            i += add_token(out, gy_str_sub(in, i, in.n));
            continue;
        }
        quoted = c == '"' && !escaped ? !quoted : quoted;
        escaped = c == '\\' && !escaped;
        /* Raw line ends stand between tokens alone. */
        gy_buf_add_char(out, c == '\n' || c == '\r' ? ' ' : c);
        i++;
    }
}

static gy_status add_input(struct stream_asker *a, const struct stream_message *m,
                           struct stream_out *out, struct gy_err *err)
{
    gy_buf_reset(&a->with_input);
    gy_buf_add(&a->with_input, gy_str_sub(m->json, 0, m->json.n - 1)); /* it ends in '}' */
    gy_buf_addc(&a->with_input, ",\"input\":");
    add_json(&a->with_input, gy_str_trim(m->value));
    gy_buf_add_char(&a->with_input, '}');
    out->value = gy_buf_str(&a->with_input);
    return gy_buf_check(&a->with_input, "an answer with its input", err);
}

static gy_status understand_dead(const struct stream_message *m, yyjson_val *root,
                                 struct stream_out *out)
{
    out->kind = STREAM_DEAD;
    out->value = m->value;
    out->reason = m->fault ? gy_str_c(m->fault) : gy_json_str(root, "error");
    out->code = m->fault ? GY_STR("INVALID") : gy_json_str(root, "code");
    return GY_OK;
}

gy_status gy_stream_understand(struct stream_asker *a, const struct stream_message *m,
                               struct stream_out *out, bool *ret_notify, struct gy_err *err)
{
    *out = (struct stream_out){.kind = STREAM_DECISION, .message = m, .value = m->json};
    *ret_notify = false;
    gy_json_free(a->doc);
    a->doc = NULL;
    if (!m->fault) {
        GY_TRY(gy_json_parse(m->json, &a->doc, err));
    }
    yyjson_val *root = yyjson_doc_get_root(a->doc);
    if (m->status >= 400) {
        return understand_dead(m, root, out);
    }
    yyjson_val *parameters = gy_json_get(root, "parameters");
    yyjson_val *at = parameters ? parameters : root;
    out->prediction_id = gy_json_str(at, "prediction_id");
    out->model_version = gy_json_str(root, "model_version");
    int n = snprintf(a->revision, sizeof a->revision, "%lld",
                     (long long)gy_json_i64(at, "revision", 0));
    out->revision = gy_str_n(a->revision, n > 0 ? (size_t)n : 0);
    *ret_notify = a->when && (parameters ? v2_hits(a, root) : flat_hits(a, root));
    return a->o->with_input ? add_input(a, m, out, err) : GY_OK;
}

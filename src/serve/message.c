/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/message.h"

#include "serve/protocol_message.h"
#include "serve/serving.h"

/* ---- frames ---- */

void gy_message_add(struct gy_buf *out, const struct gy_message *m)
{
    gy_buf_addf(out, "%zu %zu %zu\n", m->id.n, m->key.n, m->body.n);
    gy_buf_add(out, m->id);
    gy_buf_add(out, m->key);
    gy_buf_add(out, m->body);
    gy_buf_add_char(out, '\n');
}

static gy_status broken(struct gy_err *err)
{
    return gy_err_set(err, GY_E_PARSE, "what came is no batch of messages");
}

/* A length up to the byte `end`, which is passed over. */
static bool take_number(struct gy_str *rest, char end, size_t *ret)
{
    size_t at = 0;
    size_t n = 0;
    for (; at < rest->n && at < 10 && rest->p[at] >= '0' && rest->p[at] <= '9'; at++) {
        n = n * 10 + (size_t)(rest->p[at] - '0');
    }
    if (at == 0 || at >= rest->n || rest->p[at] != end) {
        return false;
    }
    *rest = gy_str_sub(*rest, at + 1, rest->n);
    *ret = n;
    return true;
}

static bool take_bytes(struct gy_str *rest, size_t n, struct gy_str *ret)
{
    if (n > rest->n) {
        return false;
    }
    *ret = gy_str_n(rest->p, n);
    *rest = gy_str_n(rest->p + n, rest->n - n);
    return true;
}

static bool take_end(struct gy_str *rest)
{
    struct gy_str end;
    return take_bytes(rest, 1, &end) && end.p[0] == '\n';
}

gy_status gy_message_next(struct gy_str *rest, struct gy_message *ret, bool *ret_more,
                          struct gy_err *err)
{
    size_t n_id, n_key, n_body;
    *ret_more = rest->n > 0;
    if (rest->n == 0) {
        return GY_OK;
    }
    if (!take_number(rest, ' ', &n_id) || !take_number(rest, ' ', &n_key) ||
        !take_number(rest, '\n', &n_body) || !take_bytes(rest, n_id, &ret->id) ||
        !take_bytes(rest, n_key, &ret->key) || !take_bytes(rest, n_body, &ret->body) ||
        !take_end(rest)) {
        return broken(err);
    }
    return GY_OK;
}

gy_status gy_message_answer_next(struct gy_str *rest, struct gy_message_answer *ret, bool *ret_more,
                                 struct gy_err *err)
{
    size_t status, n;
    *ret_more = rest->n > 0;
    if (rest->n == 0) {
        return GY_OK;
    }
    if (!take_number(rest, ' ', &status) || !take_number(rest, '\n', &n) || status > 999 ||
        !take_bytes(rest, n, &ret->json) || !take_end(rest)) {
        return broken(err);
    }
    ret->status = (int)status;
    return GY_OK;
}

/* ---- answering ---- */

struct batch {
    struct gy_serving *serving;
    struct gy_str path;
    bool unlogged;
    bool away; /* the model can not answer now: nobody else of the batch is asked */
    struct gy_buf *out;
    struct gy_buf one; /* the answer at hand */
};

static gy_status answer_one(struct batch *b, const struct gy_message *m, struct gy_err *err)
{
    static const char away[] = "{\"error\":\"not asked: the endpoint can not answer now\","
                               "\"code\":\"UNAVAILABLE\"}";
    struct gy_header headers[2];
    size_t n = 0;
    if (b->away) {
        gy_buf_addf(b->out, "503 %zu\n%s\n", sizeof away - 1, away);
        return gy_buf_check(b->out, "the answers to a batch of messages", err);
    }
    if (m->key.n) {
        headers[n++] =
            (struct gy_header){GY_STR(GY_STICKY_HEADER), gy_str_sub(m->key, 0, GY_MESSAGE_MAX_KEY)};
    }
    if (b->unlogged) {
        headers[n++] = (struct gy_header){GY_STR(GY_UNLOGGED_HEADER), GY_STR("off")};
    }
    const struct gy_request req = {.method = GY_STR("POST"),
                                   .path = b->path,
                                   .headers = headers,
                                   .n_headers = n,
                                   .request_id = m->id};
    struct gy_fast_reply got = {.body = &b->one};
    gy_buf_reset(&b->one);
    gy_serving_answer(b->serving, &req, m->body, &got);
    b->away = got.status == 503 || got.status == 504;
    GY_TRY(gy_buf_check(&b->one, "the answer to a message", err));
    gy_buf_addf(b->out, "%d %zu\n", got.status, b->one.n);
    gy_buf_add(b->out, gy_buf_str(&b->one));
    gy_buf_add_char(b->out, '\n');
    return gy_buf_check(b->out, "the answers to a batch of messages", err);
}

static gy_status answer_all(struct batch *b, struct gy_str rest, struct gy_err *err)
{
    for (size_t n = 0;; n++) {
        struct gy_message m;
        bool more = false;
        GY_TRY(gy_message_next(&rest, &m, &more, err));
        if (!more) {
            return GY_OK;
        }
        if (n == GY_MESSAGES_MAX) {
            return gy_err_set(err, GY_E_TOOBIG, "a batch has at most %d messages", GY_MESSAGES_MAX);
        }
        GY_TRY(answer_one(b, &m, err));
    }
}

gy_status gy_serving_messages(struct gy_serving *s, struct gy_str endpoint, bool unlogged,
                              struct gy_str batch, struct gy_buf *out, struct gy_err *err)
{
    char path[sizeof GY_MESSAGE_PATH + GY_ENDPOINT_MAX_NAME];
    GY_AUTO(gy_table_unref) struct gy_table *t = gy_serving_table(s);
    if (endpoint.n > GY_ENDPOINT_MAX_NAME || !gy_table_find(t, endpoint)) {
        gy_err_set(err, GY_E_NOTFOUND, "nothing is served as '%.100s'",
                   endpoint.n > GY_ENDPOINT_MAX_NAME ? "..." : endpoint.p);
        return gy_err_hint(err, "gyre endpoint list shows what is; gyre endpoint deploy adds it");
    }
    memcpy(path, GY_MESSAGE_PATH, sizeof GY_MESSAGE_PATH - 1);
    memcpy(path + sizeof GY_MESSAGE_PATH - 1, endpoint.p, endpoint.n);
    struct batch b = {.serving = s,
                      .path = gy_str_n(path, sizeof GY_MESSAGE_PATH - 1 + endpoint.n),
                      .unlogged = unlogged,
                      .out = out};
    gy_buf_init(&b.one, GY_MAX_REPLY);
    gy_status status = answer_all(&b, batch, err);
    gy_buf_done(&b.one);
    GY_TRY(status);
    return unlogged ? GY_OK : gy_predlog_flush(gy_serving_log(s), true, err);
}

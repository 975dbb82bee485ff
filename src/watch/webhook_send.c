/* SPDX-License-Identifier: Apache-2.0 */
/* From events to messages, and their delivery. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "net/http_client.h"
#include "store/events.h"
#include "watch/config.h"
#include "watch/webhook.h"

#define TICK_MS 250
#define EVENTS_A_ROUND 500  /* events that a target is taken through at a time */
#define MESSAGES_A_ROUND 50 /* deliveries */
#define ROUND_ARENA (256 * GY_MIB)
#define MAX_BODY (4 * GY_MIB)
#define MAX_SECRET (4 * GY_KIB)

struct gy_webhooks {
    struct gy_store *store;
    uint64_t configured; /* of the sections that the targets were taken from; 0: not yet */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* stopping */
    pthread_cond_t wake;
    bool stopping;
};

static gy_status nomem(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for webhooks");
}

/* ---- targets ---- */

struct target {
    struct gy_str url, events, secret_env, secret_file; /* events: JSON list */
    int64_t seen;
};

/* What one round found out. */
struct round {
    struct gy_webhooks *w;
    struct gy_arena a;
    int64_t now_us;
    struct gy_watch_config *configs;
    size_t n_configs;
    uint64_t configured;
    struct target *targets;
    size_t n_targets;
    bool behind; /* there are events that a target has not seen */
    struct message {
        struct gy_str id, url, body, secret_env, secret_file;
        int64_t attempts;
        bool down; /* its address was found to be, in this round */
    } * messages;
    size_t n_messages;
};

static gy_status read_targets(struct gy_db *db, struct round *r, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    int64_t newest = 0;
    bool found;
    GY_TRY(gy_db_get_i64(db, "SELECT MAX(seq) FROM events", GY_NO_VALS, &found, &newest, err));
    r->targets = gy_arena_calloc(&r->a, GY_WEBHOOK_MAX, sizeof *r->targets);
    if (!r->targets) {
        return nomem(err);
    }
    r->n_targets = 0;
    r->behind = false;
    GY_TRY(gy_db_query(db,
                       "SELECT url, events, secret_env, secret_file, seen FROM webhooks "
                       "ORDER BY url LIMIT ?",
                       GY_VALS(gy_vi(GY_WEBHOOK_MAX)), &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        struct target *t = &r->targets[r->n_targets++];
        struct gy_str *texts[] = {&t->url, &t->events, &t->secret_env, &t->secret_file};
        for (int i = 0; i < 4; i++) {
            GY_TRY(gy_col_copy(st, i, &r->a, texts[i], err));
        }
        t->seen = gy_col_i64(st, 4);
        r->behind = r->behind || t->seen < newest;
    }
}

static gy_status read_messages(struct gy_db *db, struct round *r, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    r->messages = gy_arena_calloc(&r->a, MESSAGES_A_ROUND, sizeof *r->messages);
    if (!r->messages) {
        return nomem(err);
    }
    r->n_messages = 0;
    GY_TRY(gy_db_query(db,
                       "SELECT o.id, o.url, o.body, w.secret_env, w.secret_file, o.attempts FROM "
                       "webhook_outbox o JOIN webhooks w ON w.url = o.url WHERE o.state = "
                       "'pending' AND o.next_us <= ? ORDER BY o.next_us, o.seq LIMIT ?",
                       GY_VALS(gy_vi(r->now_us), gy_vi(MESSAGES_A_ROUND)), &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            return GY_OK;
        }
        struct message *m = &r->messages[r->n_messages++];
        struct gy_str *texts[] = {&m->id, &m->url, &m->body, &m->secret_env, &m->secret_file};
        for (int i = 0; i < 5; i++) {
            GY_TRY(gy_col_copy(st, i, &r->a, texts[i], err));
        }
        m->attempts = gy_col_i64(st, 5);
    }
}

static gy_status look(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct round *r = ctx;
    GY_TRY(gy_watch_config_list(db, &r->a, &r->configs, &r->n_configs, err));
    r->configured = 1;
    for (size_t i = 0; i < r->n_configs; i++) {
        r->configured = gy_str_hash(r->configs[i].sections, r->configured);
        r->configured = gy_str_hash(r->configs[i].folder, r->configured) | 1;
    }
    GY_TRY(read_targets(db, r, err));
    return read_messages(db, r, err);
}

/* ---- what the projects say ---- */

/* A secret's file stands in the project's folder unless its path says otherwise. */
static gy_status full_path(struct round *r, const struct gy_watch_config *c, struct gy_str file,
                           struct gy_str *ret, struct gy_err *err)
{
    *ret = file;
    if (file.n == 0 || file.p[0] == '/' || c->folder.n == 0) {
        return GY_OK;
    }
    *ret = gy_str_c(
        gy_arena_printf(&r->a, "%" GY_STR_F "/%" GY_STR_F, GY_STR_A(c->folder), GY_STR_A(file)));
    return ret->p ? GY_OK : nomem(err);
}

static gy_status put_target(struct gy_db *db, struct round *r, const struct gy_watch_config *c,
                            yyjson_val *target, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf events;
    struct gy_str file, env = gy_json_str(target, "secret_env");
    struct gy_jw w;
    gy_buf_init(&events, GY_MIB);
    gy_jw_init(&w, &events);
    gy_jw_val(&w, gy_json_get(target, "events"));
    GY_TRY(gy_buf_check(&events, "the events of a webhook", err));
    GY_TRY(full_path(r, c, gy_json_str(target, "secret_file"), &file, err));
    /* A new target is told what happens from now on. */
    return gy_db_exec(
        db,
        "INSERT INTO webhooks (url, events, secret_env, secret_file, seen, actor, created_us) "
        "VALUES (?,?,?,?,(SELECT COALESCE(MAX(seq), 0) FROM events),?,?) "
        "ON CONFLICT (workspace_id, url) DO UPDATE SET events = excluded.events, "
        "secret_env = excluded.secret_env, secret_file = excluded.secret_file",
        GY_VALS(gy_vs(gy_json_str(target, "url")), gy_vs(gy_buf_str(&events)), gy_vs(env),
                gy_vs(file.n ? file : GY_STR_NULL), gy_vs(c->actor), gy_vi(r->now_us)),
        NULL, err);
}

/* Remove the targets that no project names any more, with their messages. */
static gy_status drop_others(struct gy_db *db, struct round *r, yyjson_val **lists, size_t n_lists,
                             struct gy_err *err)
{
    for (size_t t = 0; t < r->n_targets; t++) {
        bool named = false;
        for (size_t l = 0; l < n_lists; l++) {
            size_t i, n;
            yyjson_val *target;
            yyjson_arr_foreach(lists[l], i, n, target)
            {
                named = named || gy_str_eq(gy_json_str(target, "url"), r->targets[t].url);
            }
        }
        if (!named) {
            const struct gy_val url = gy_vs(r->targets[t].url);
            GY_TRY(gy_db_exec(db, "DELETE FROM webhook_outbox WHERE url = ?", &url, 1, NULL, err));
            GY_TRY(gy_db_exec(db, "DELETE FROM webhooks WHERE url = ?", &url, 1, NULL, err));
        }
    }
    return GY_OK;
}

static gy_status put_all(struct gy_db *db, struct round *r, yyjson_doc **docs, struct gy_err *err)
{
    yyjson_val **lists = gy_arena_calloc(&r->a, r->n_configs + 1, sizeof(yyjson_val *));
    size_t n_lists = 0, put = 0;
    if (!lists) {
        return nomem(err);
    }
    for (size_t c = 0; c < r->n_configs; c++) {
        GY_TRY(gy_json_parse(r->configs[c].sections, &docs[c], err));
        yyjson_val *notify = gy_json_get(yyjson_doc_get_root(docs[c]), "notify");
        size_t i, n;
        yyjson_val *target;
        if (gy_webhook_check(notify, NULL) != GY_OK) {
            continue; /* applying refuses it: it is older than that check */
        }
        lists[n_lists++] = notify;
        yyjson_arr_foreach(notify, i, n, target)
        {
            if (put++ < GY_WEBHOOK_MAX) {
                GY_TRY(put_target(db, r, &r->configs[c], target, err));
            }
        }
    }
    return drop_others(db, r, lists, n_lists, err);
}

static gy_status configure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct round *r = ctx;
    yyjson_doc **docs = gy_arena_calloc(&r->a, r->n_configs + 1, sizeof(yyjson_doc *));
    if (!docs) {
        return nomem(err);
    }
    GY_TRY(read_targets(db, r, err));
    gy_status status = put_all(db, r, docs, err);
    for (size_t i = 0; i < r->n_configs; i++) {
        gy_json_free(docs[i]);
    }
    return status;
}

/* ---- messages ---- */

static gy_status write_body(struct round *r, const struct gy_event *e, struct gy_str *ret,
                            struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    char time[32];
    gy_buf_init(&out, MAX_BODY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "type", e->kind);
    gy_jw_kv_str(&w, "timestamp", gy_str_n(time, gy_time_iso(e->time_us, time)));
    gy_jw_kv_i64(&w, "seq", e->seq);
    gy_jw_kv_str(&w, "subject", e->subject);
    gy_jw_kv_str(&w, "actor", e->actor);
    gy_jw_key(&w, "data");
    gy_jw_raw(&w, e->data.n ? e->data : GY_STR("{}"));
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&out, "a message", err));
    *ret = gy_arena_str(&r->a, gy_buf_str(&out));
    return ret->p ? GY_OK : nomem(err);
}

static gy_status add_message(struct gy_db *db, struct round *r, const struct target *t,
                             const struct gy_event *e, struct gy_err *err)
{
    char id[GY_UUID_TEXT], name[GY_UUID_TEXT + 8];
    struct gy_str body;
    GY_TRY(gy_new_id(id, err));
    (void)snprintf(name, sizeof name, "msg_%s", id);
    GY_TRY(write_body(r, e, &body, err));
    return gy_db_exec(db,
                      "INSERT INTO webhook_outbox (id, url, seq, body, state, attempts, next_us, "
                      "actor, created_us) VALUES (?,?,?,?,'pending',0,?,?,?) "
                      "ON CONFLICT DO NOTHING",
                      GY_VALS(gy_vc(name), gy_vs(t->url), gy_vi(e->seq), gy_vs(body),
                              gy_vi(r->now_us), gy_vs(e->actor), gy_vi(r->now_us)),
                      NULL, err);
}

/* Take one target through the next events, as long as there is room for their messages. */
static gy_status collect(struct gy_db *db, struct round *r, struct target *t, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *events = NULL;
    struct gy_event *list;
    size_t n;
    int64_t pending = 0, seen = t->seen;
    bool found;
    GY_TRY(gy_json_parse(t->events, &events, err));
    GY_TRY(gy_db_get_i64(db,
                         "SELECT COUNT(*) FROM webhook_outbox WHERE url = ? AND state = 'pending'",
                         GY_VALS(gy_vs(t->url)), &found, &pending, err));
    GY_TRY(gy_event_list(db, t->seen, "", EVENTS_A_ROUND, &r->a, &list, &n, err));
    for (size_t i = 0; i < n && pending < GY_WEBHOOK_MAX_PENDING; i++) {
        if (gy_webhook_matches(yyjson_doc_get_root(events), list[i].kind)) {
            GY_TRY(add_message(db, r, t, &list[i], err));
            pending++;
        }
        seen = list[i].seq;
    }
    return seen == t->seen ? GY_OK
                           : gy_db_exec(db, "UPDATE webhooks SET seen = ? WHERE url = ?",
                                        GY_VALS(gy_vi(seen), gy_vs(t->url)), NULL, err);
}

static gy_status collect_all(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct round *r = ctx;
    GY_TRY(read_targets(db, r, err));
    for (size_t i = 0; i < r->n_targets; i++) {
        GY_TRY(collect(db, r, &r->targets[i], err));
    }
    return GY_OK;
}

/* ---- delivery ---- */

/* A reply of which only the status counts. */
struct status_reply {
    struct gy_reply reply;
    int status;
};

static gy_status on_begin(struct gy_reply *self, int status, const struct gy_header *headers,
                          size_t n_headers, int64_t body_bytes, struct gy_err *err)
{
    (void)headers;
    (void)n_headers;
    (void)body_bytes;
    (void)err;
    ((struct status_reply *)self)->status = status;
    return GY_OK;
}

static gy_status on_write(struct gy_reply *self, struct gy_str bytes, struct gy_err *err)
{
    (void)self;
    (void)bytes;
    (void)err;
    return GY_OK;
}

static gy_status on_end(struct gy_reply *self, struct gy_err *err)
{
    (void)self;
    (void)err;
    return GY_OK;
}

static const struct gy_reply_ops status_ops = {on_begin, on_write, on_end};

static gy_status read_secret(const struct message *m, struct gy_buf *out, struct gy_err *err)
{
    char name[GY_MAX_PATH];
    struct gy_str from = m->secret_env.n ? m->secret_env : m->secret_file;
    (void)snprintf(name, sizeof name, "%" GY_STR_F, GY_STR_A(from));
    if (!m->secret_env.n) {
        return gy_file_read(name, out, err);
    }
    const char *value = getenv(name);
    if (!value) {
        return gy_err_set(err, GY_E_NOTFOUND, "the variable %s is not set", name);
    }
    gy_buf_addc(out, value);
    return gy_buf_check(out, "a secret", err);
}

/* "https://host:port" and the rest of an address apart. */
static void split_url(struct gy_str url, struct gy_str *ret_base, struct gy_str *ret_path,
                      struct gy_str *ret_query)
{
    size_t scheme = gy_str_starts(url, GY_STR("https://")) ? 8 : 7;
    size_t end = scheme;
    while (end < url.n && url.p[end] != '/' && url.p[end] != '?') {
        end++;
    }
    *ret_base = gy_str_sub(url, 0, end);
    *ret_path = gy_str_sub(url, end, SIZE_MAX);
    *ret_query = GY_STR_NULL;
    (void)gy_str_cut(*ret_path, '?', ret_path, ret_query);
    if (ret_path->n == 0) {
        *ret_path = GY_STR("/");
    }
}

static gy_status post(const struct message *m, struct gy_str timestamp, struct gy_str signature,
                      int *ret_status, struct gy_err *err)
{
    GY_AUTO(gy_caller_free) struct gy_caller *caller = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct status_reply reply = {.reply = {.ops = &status_ops}};
    struct gy_mem_reader body;
    char url[GY_WEBHOOK_MAX_URL + 1];
    const struct gy_header headers[] = {{GY_STR("Content-Type"), GY_STR("application/json")},
                                        {GY_STR("User-Agent"), GY_STR("gyre-webhook/1")},
                                        {GY_STR("webhook-id"), m->id},
                                        {GY_STR("webhook-timestamp"), timestamp},
                                        {GY_STR("webhook-signature"), signature}};
    struct gy_request req = {.method = GY_STR("POST"),
                             .headers = headers,
                             .n_headers = sizeof headers / sizeof headers[0],
                             .body = gy_mem_reader_init(&body, m->body),
                             .arena = &a};
    struct gy_str base;
    gy_arena_init(&a, GY_MIB);
    split_url(m->url, &base, &req.path, &req.query);
    (void)snprintf(url, sizeof url, "%" GY_STR_F, GY_STR_A(base));
    GY_TRY(gy_http_client_new(url, &caller, err));
    gy_http_client_timeout(caller, GY_WEBHOOK_TIMEOUT_MS);
    GY_TRY(gy_call(caller, &req, &reply.reply, err));
    *ret_status = reply.status;
    return GY_OK;
}

static gy_status try_message(const struct message *m, int *ret_status, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf secret;
    char signature[GY_WEBHOOK_SIGNATURE], timestamp[24];
    int64_t now_s = gy_now_us() / 1000000;
    gy_buf_init(&secret, MAX_SECRET);
    GY_TRY(read_secret(m, &secret, err));
    gy_status status =
        gy_webhook_sign(gy_str_trim(gy_buf_str(&secret)), m->id, now_s, m->body, signature, err);
    if (secret.n) {
        explicit_bzero(secret.p, secret.n);
    }
    GY_TRY(status);
    (void)snprintf(timestamp, sizeof timestamp, "%lld", (long long)now_s);
    GY_TRY(post(m, gy_str_c(timestamp), gy_str_c(signature), ret_status, err));
    if (*ret_status < 200 || *ret_status > 299) {
        return gy_err_set(err, GY_E_NETWORK, "it answered %d", *ret_status);
    }
    return GY_OK;
}

struct outcome {
    const struct message *m;
    bool delivered;
    bool gone; /* the receiver wants no more of it */
    bool down; /* the address is, not this message */
    const char *why;
    int64_t now_us;
};

/* 500 ms after the first try, then twice as long each time, at most an hour. */
static int64_t wait_us(int64_t attempts)
{
    int64_t most = (int64_t)GY_WEBHOOK_MAX_WAIT_S * 1000000;
    int64_t wait = attempts < 20 ? ((int64_t)GY_WEBHOOK_FIRST_WAIT_MS * 1000) << attempts : most;
    return wait < most ? wait : most;
}

static gy_status record(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct outcome *o = ctx;
    const struct message *m = o->m;
    if (o->delivered) {
        GY_TRY(gy_db_exec(db, "DELETE FROM webhook_outbox WHERE id = ?", GY_VALS(gy_vs(m->id)),
                          NULL, err));
        return gy_db_exec(db,
                          "UPDATE webhooks SET delivered = delivered + 1, last_error = NULL "
                          "WHERE url = ?",
                          GY_VALS(gy_vs(m->url)), NULL, err);
    }
    bool over = o->gone || m->attempts + 1 >= GY_WEBHOOK_MAX_TRIES;
    GY_TRY(gy_db_exec(db,
                      "UPDATE webhook_outbox SET state = ?, attempts = attempts + 1, next_us = ? "
                      "WHERE id = ?",
                      GY_VALS(gy_vc(over ? "failed" : "pending"),
                              gy_vi(o->now_us + wait_us(m->attempts)), gy_vs(m->id)),
                      NULL, err));
    /* Its other messages wait as well, so that they do not take the places of other targets'. */
    if (o->down) {
        int64_t next_us = o->now_us + wait_us(m->attempts);
        GY_TRY(gy_db_exec(db,
                          "UPDATE webhook_outbox SET next_us = ? WHERE url = ? AND state = "
                          "'pending' AND next_us < ?",
                          GY_VALS(gy_vi(next_us), gy_vs(m->url), gy_vi(next_us)), NULL, err));
    }
    /* What was given up stays to be seen, the newest of it. */
    if (over) {
        GY_TRY(gy_db_exec(db,
                          "DELETE FROM webhook_outbox WHERE state = 'failed' AND url = ? AND seq < "
                          "(SELECT seq FROM webhook_outbox WHERE state = 'failed' AND url = ? "
                          "ORDER BY seq DESC LIMIT 1 OFFSET ?)",
                          GY_VALS(gy_vs(m->url), gy_vs(m->url), gy_vi(GY_WEBHOOK_MAX_PENDING)),
                          NULL, err));
    }
    return gy_db_exec(db, "UPDATE webhooks SET last_error = ? WHERE url = ?",
                      GY_VALS(gy_vc(o->why), gy_vs(m->url)), NULL, err);
}

static bool is_stopping(struct gy_webhooks *w)
{
    (void)pthread_mutex_lock(&w->lock);
    bool stopping = w->stopping;
    (void)pthread_mutex_unlock(&w->lock);
    return stopping;
}

/* All of its messages wait: trying each would take the time that other targets need. */
static void mark_down(struct round *r, struct gy_str url)
{
    for (size_t i = 0; i < r->n_messages; i++) {
        r->messages[i].down = r->messages[i].down || gy_str_eq(r->messages[i].url, url);
    }
}

/* Try what is due; an address that is down is tried once. */
static gy_status deliver(struct round *r, size_t *ret_n, struct gy_err *err)
{
    for (size_t i = 0; i < r->n_messages && !is_stopping(r->w); i++) {
        const struct message *m = &r->messages[i];
        struct gy_err why = GY_ERR_INIT;
        int status = 0;
        if (m->down) {
            continue;
        }
        bool delivered = try_message(m, &status, &why) == GY_OK;
        struct outcome o = {.m = m,
                            .delivered = delivered,
                            .gone = status == 410,
                            .down = status == 0 || status == 429 || status >= 500,
                            .why = why.msg,
                            .now_us = r->now_us};
        (*ret_n)++;
        if (!delivered) {
            if (o.down) {
                mark_down(r, m->url);
            }
            struct gy_str host, path, query;
            split_url(m->url, &host, &path, &query); /* what follows the host may be a secret */
            gy_log(m->attempts ? GY_LOG_DEBUG : GY_LOG_WARN, "webhook", "not delivered",
                   GY_KV_S("host", host), GY_KV_S("id", m->id), GY_KV_I("try", m->attempts + 1),
                   GY_KV_C("why", why.msg));
        }
        GY_TRY(gy_store_write(r->w->store, record, &o, err));
    }
    return GY_OK;
}

/* ---- rounds ---- */

static gy_status round_run(struct round *r, size_t *ret_n, struct gy_err *err)
{
    struct gy_webhooks *w = r->w;
    GY_TRY(gy_store_read(w->store, look, r, err));
    if (r->configured != w->configured) {
        uint64_t configured = r->configured;
        GY_TRY(gy_store_write(w->store, configure, r, err));
        w->configured = configured;
        GY_TRY(gy_store_read(w->store, look, r, err));
    }
    if (r->behind) {
        GY_TRY(gy_store_write(w->store, collect_all, r, err));
        GY_TRY(gy_store_read(w->store, look, r, err));
    }
    return deliver(r, ret_n, err);
}

gy_status gy_webhook_tick(struct gy_webhooks *w, int64_t now_us, size_t *ret_n, struct gy_err *err)
{
    struct round r = {.w = w, .now_us = now_us};
    size_t n = 0;
    gy_arena_init(&r.a, ROUND_ARENA);
    gy_status status = round_run(&r, &n, err);
    gy_arena_done(&r.a);
    if (ret_n) {
        *ret_n = n;
    }
    return status;
}

static void *run(void *ctx)
{
    struct gy_webhooks *w = ctx;
    while (!is_stopping(w)) {
        struct gy_err err = GY_ERR_INIT;
        struct timespec until;
        if (gy_store_leads(w->store) && gy_webhook_tick(w, gy_now_us(), NULL, &err) != GY_OK) {
            gy_log_err(GY_LOG_WARN, "webhook", "a round failed", &err);
        }
        (void)clock_gettime(CLOCK_REALTIME, &until); /* can not fail for this clock */
        until.tv_nsec += TICK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        (void)pthread_mutex_lock(&w->lock);
        if (!w->stopping) {
            (void)pthread_cond_timedwait(&w->wake, &w->lock, &until);
        }
        (void)pthread_mutex_unlock(&w->lock);
    }
    return NULL;
}

gy_status gy_webhooks_new(struct gy_store *store, struct gy_webhooks **ret, struct gy_err *err)
{
    struct gy_webhooks *w = gy_calloc(1, sizeof *w);
    if (!w) {
        return nomem(err);
    }
    w->store = store;
    (void)pthread_mutex_init(&w->lock, NULL); /* can not fail on Linux */
    (void)pthread_cond_init(&w->wake, NULL);
    *ret = w;
    return GY_OK;
}

gy_status gy_webhooks_start(struct gy_webhooks *w, struct gy_err *err)
{
    int failed = pthread_create(&w->thread, NULL, run, w);
    if (failed) {
        return gy_err_sys(err, failed, "starting the thread of webhooks");
    }
    w->started = true;
    return GY_OK;
}

void gy_webhooks_free(struct gy_webhooks *w)
{
    if (!w) {
        return;
    }
    if (w->started) {
        (void)pthread_mutex_lock(&w->lock);
        w->stopping = true;
        (void)pthread_cond_signal(&w->wake);
        (void)pthread_mutex_unlock(&w->lock);
        (void)pthread_join(w->thread, NULL);
    }
    (void)pthread_cond_destroy(&w->wake);
    (void)pthread_mutex_destroy(&w->lock);
    gy_free(w);
}

/* ---- telling ---- */

gy_status gy_webhook_list(struct gy_db *db, struct gy_arena *a, struct gy_webhook **ret,
                          size_t *ret_n, struct gy_err *err)
{
    GY_AUTO(gy_stmt_finish) struct gy_stmt *st = NULL;
    struct gy_webhook *list = gy_arena_calloc(a, GY_WEBHOOK_MAX, sizeof *list);
    size_t n = 0;
    if (!list) {
        return nomem(err);
    }
    GY_TRY(gy_db_query(
        db,
        "SELECT w.url, w.events, w.last_error, w.seen, w.delivered, "
        "(SELECT COUNT(*) FROM webhook_outbox o WHERE o.url = w.url AND o.state = 'pending'), "
        "(SELECT COUNT(*) FROM webhook_outbox o WHERE o.url = w.url AND o.state = 'failed') "
        "FROM webhooks w ORDER BY w.url LIMIT ?",
        GY_VALS(gy_vi(GY_WEBHOOK_MAX)), &st, err));
    for (;;) {
        bool row = false;
        GY_TRY(gy_stmt_step(st, &row, err));
        if (!row) {
            break;
        }
        struct gy_webhook *w = &list[n++];
        GY_TRY(gy_col_copy(st, 0, a, &w->url, err));
        GY_TRY(gy_col_copy(st, 1, a, &w->events, err));
        GY_TRY(gy_col_copy(st, 2, a, &w->last_error, err));
        w->seen = gy_col_i64(st, 3);
        w->delivered = gy_col_i64(st, 4);
        w->pending = gy_col_i64(st, 5);
        w->failed = gy_col_i64(st, 6);
    }
    *ret = list;
    *ret_n = n;
    return GY_OK;
}

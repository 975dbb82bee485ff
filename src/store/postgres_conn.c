/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of the PostgreSQL backend: opening, sending, reading, and what an error means. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/postgres_internal.h"
#include "store/url.h"

#define CONNECT_TIMEOUT_S "5" /* also how long a writer that lost its connection can be stuck */
#define MIN_SERVER 120000

/* ---- errors ---- */

/* Longer prefixes first. */
static const struct {
    const char *prefix;
    gy_status status;
} states[] = {
    {"23505", GY_E_EXISTS},       {"23", GY_E_CONFLICT},
    {"25006", GY_E_DENIED},       {"25P03", GY_E_UNAVAILABLE},
    {"25P02", GY_E_CONFLICT},     {"40", GY_E_BUSY},
    {"55P03", GY_E_BUSY},         {"55006", GY_E_BUSY},
    {"55", GY_E_CONFLICT},        {"53100", GY_E_NOSPACE},
    {"53200", GY_E_NOMEM},        {"53", GY_E_UNAVAILABLE},
    {"54", GY_E_TOOBIG},          {"57014", GY_E_TIMEOUT},
    {"57", GY_E_UNAVAILABLE},     {"08", GY_E_UNAVAILABLE},
    {"28", GY_E_UNAUTHENTICATED}, {"3D", GY_E_NOTFOUND},
    {"42501", GY_E_DENIED},       {"42", GY_E_INVALID},
    {"22", GY_E_INVALID},         {"0A", GY_E_INVALID},
    {"21", GY_E_INVALID},         {"26", GY_E_INVALID},
    {"3F", GY_E_INVALID},         {"XX001", GY_E_CORRUPT},
    {"XX002", GY_E_CORRUPT},      {"58", GY_E_IO},
};

gy_status gy_pg_status_of(const char *sqlstate)
{
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (strncmp(sqlstate, states[i].prefix, strlen(states[i].prefix)) == 0) {
            return states[i].status;
        }
    }
    return GY_E_FAILED;
}

bool gy_pg_is_lost(const struct gy_pg_conn *c)
{
    return !c->pq || c->broken || c->lib->status(c->pq) != GY_PQ_CONNECTION_OK;
}

/* One line, without the password, should a message ever quote it. */
static void tidy(const struct gy_pg_conn *c, const char *message, char out[400])
{
    struct gy_str rest = gy_str_trim(gy_str_c(message));
    struct gy_str secret = gy_str_c(c->password);
    size_t n = 0;
    while (rest.n > 0 && n < 390) {
        if (secret.n > 0 && gy_str_starts(rest, secret)) {
            n += (size_t)snprintf(out + n, 8, "***");
            rest = gy_str_sub(rest, secret.n, SIZE_MAX);
        } else {
            out[n++] = rest.p[0];
            if (out[n - 1] == '\n' || out[n - 1] == '\t') {
                out[n - 1] = ' ';
            }
            rest = gy_str_sub(rest, 1, SIZE_MAX);
        }
    }
    out[n] = '\0';
}

static gy_status fail_lost(struct gy_pg_conn *c, const struct gy_pq_result *r, struct gy_err *err)
{
    char text[400];
    const char *message = r ? c->lib->result_error_field(r, GY_PQ_PRIMARY) : NULL;
    tidy(c, message ? message : c->pq ? c->lib->error_message(c->pq) : "", text);
    gy_err_set(err, GY_E_UNAVAILABLE, "the connection to the database was lost%s%s",
               text[0] ? ": " : "", text);
    return gy_err_hint(err, "try again: it is opened anew when the database is back");
}

gy_status gy_pg_fail(struct gy_pg_conn *c, const struct gy_pq_result *r, const char *what,
                     struct gy_err *err)
{
    const char *state = r ? c->lib->result_error_field(r, GY_PQ_SQLSTATE) : NULL;
    const char *severity = r ? c->lib->result_error_field(r, GY_PQ_SEVERITY) : NULL;
    c->failed = c->in_transaction;
    /* Where an answer was due there is none, or it is the server's last word: libpq itself may see
     * that the connection has ended only when it is used the next time. */
    c->broken |= !state || (severity && strcmp(severity, "ERROR") != 0);
    if (!state || gy_pg_is_lost(c)) {
        return fail_lost(c, r, err);
    }
    char text[400], detail[400];
    const char *message = c->lib->result_error_field(r, GY_PQ_PRIMARY);
    const char *more = c->lib->result_error_field(r, GY_PQ_DETAIL);
    tidy(c, message ? message : "?", text);
    tidy(c, more ? more : "", detail);
    gy_err_set(err, gy_pg_status_of(state), "%.80s%s: %s%s%.150s (PostgreSQL %s)", what,
               strlen(what) > 80 ? ".." : "", text, detail[0] ? ": " : "", detail, state);
    return gy_pg_status_of(state);
}

/* ---- opening ---- */

static void ignore_notice(void *arg, const struct gy_pq_result *r)
{
    (void)arg;
    (void)r; /* libpq's own receiver would print it */
}

static gy_status explain_connect(struct gy_pg_conn *c, struct gy_err *err)
{
    char text[400];
    const char *message = c->pq ? c->lib->error_message(c->pq) : "out of memory";
    tidy(c, message, text);
    gy_status code = strstr(message, "authentication failed") || strstr(message, "no password")
                         ? GY_E_UNAUTHENTICATED
                     : strstr(message, "does not exist") ? GY_E_NOTFOUND
                                                         : GY_E_UNAVAILABLE;
    gy_err_set(err, code, "the database does not take the connection: %s", text);
    return gy_err_hint(err,
                       "is it up, and are user, password, host, port and database of %s right?",
                       c->foreign ? "--from" : "--store or GYRE_STORE_URL");
}

static gy_status check_server(struct gy_pg_conn *c, struct gy_err *err)
{
    const char *encoding = c->lib->parameter_status(c->pq, "server_encoding");
    int version = c->lib->server_version(c->pq);
    if (version < MIN_SERVER) {
        return gy_err_set(err, GY_E_VERSION, "the database is PostgreSQL %d, at least %d is needed",
                          version / 10000, MIN_SERVER / 10000);
    }
    if (!c->foreign && (!encoding || strcmp(encoding, "UTF8") != 0)) {
        gy_err_set(err, GY_E_INVALID, "the database keeps its text as %s, not as UTF8",
                   encoding ? encoding : "?");
        return gy_err_hint(err, "CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0");
    }
    return GY_OK;
}

/* Durable whatever the server's default is; the lock that makes writers take turns is one of the
 * schema, so that two schemas of a database do not wait for each other. */
static const char session_sql[] =
    "SET client_min_messages TO warning; SET standard_conforming_strings TO on; SET jit TO off; "
    "SET lock_timeout TO %d; "
    "SELECT set_config('synchronous_commit', 'on', false) "
    "WHERE current_setting('synchronous_commit') = 'off'; "
    "PREPARE gyre_lock AS SELECT pg_advisory_xact_lock(1735225957, "
    "hashtext(COALESCE(current_schema(), '')))";

/* So that the same values have the same texts, whatever is usual there. */
static const char foreign_sql[] =
    "SET client_min_messages TO warning; SET standard_conforming_strings TO on; "
    "SET TimeZone TO 'UTC'; SET DateStyle TO 'ISO, YMD'; SET IntervalStyle TO 'iso_8601'; "
    "SET extra_float_digits TO 1; SET bytea_output TO 'hex'; SET lc_monetary TO 'C'";

static gy_status begin_session(struct gy_pg_conn *c, struct gy_err *err)
{
    char sql[sizeof session_sql + 16];
    if (c->foreign) {
        (void)snprintf(sql, sizeof sql, "%s", foreign_sql);
    } else {
        (void)snprintf(sql, sizeof sql, session_sql, c->busy_timeout_ms);
    }
    (void)c->lib->set_notice_receiver(c->pq, ignore_notice, NULL);
    GY_TRY(check_server(c, err));
    struct gy_pq_result *r = c->lib->exec(c->pq, sql);
    gy_status status = GY_OK;
    if (!r || c->lib->result_status(r) != GY_PQ_COMMAND_OK) {
        status = gy_pg_fail(c, r, "setting up the connection", err);
    }
    c->lib->clear(r);
    if (status == GY_OK && !c->foreign && !c->lib->enter_pipeline(c->pq)) {
        status = gy_pg_fail(c, NULL, "setting up the connection", err);
    }
    return status;
}

gy_status gy_pg_reconnect(struct gy_pg_conn *c, struct gy_err *err)
{
    /* What stands before dbname can be said otherwise by the URL. libpq would ask Kerberos for a
     * ticket at each connection over TCP before it tries TLS. */
    const char *const keywords[] = {"fallback_application_name",
                                    "connect_timeout",
                                    "keepalives_idle",
                                    "keepalives_interval",
                                    "keepalives_count",
                                    "tcp_user_timeout",
                                    "gssencmode",
                                    "dbname",
                                    "client_encoding",
                                    NULL};
    const char *const values[] = {"gyre",  CONNECT_TIMEOUT_S, "30",   "10",   "3",
                                  "30000", "disable",         c->url, "UTF8", NULL};
    if (c->pq) {
        c->lib->finish(c->pq);
    }
    c->epoch++;
    c->n_deferred = c->n_dead = 0;
    c->in_transaction = c->failed = c->waiting = c->broken = false;
    c->streaming = NULL;
    c->pq = c->lib->connect(keywords, values, 1);
    gy_status status = gy_pg_is_lost(c) ? explain_connect(c, err) : begin_session(c, err);
    if (status != GY_OK && c->pq) {
        c->lib->finish(c->pq); /* a half set up one must not be used */
        c->pq = NULL;
    }
    return status;
}

/* A password with '/' or '@' that was not escaped: libpq takes parts of it for a host or a port,
 * which its messages tell. The database's name would have them escaped, too. */
static bool is_ambiguous(const char *url)
{
    const char *p = strstr(url, "://");
    p = p ? p + 3 : url;
    p += strcspn(p, "@/");
    return p[0] && memchr(p + 1, '@', strcspn(p + 1, "?"));
}

/* libpq tells what is wrong with a URL by quoting it. */
static gy_status read_url(struct gy_pg_conn *c, struct gy_err *err)
{
    char *message = NULL;
    struct gy_pq_option *options = c->lib->parse(c->url, &message);
    if (message) {
        c->lib->free_mem(message);
    }
    if (!options || is_ambiguous(c->url)) {
        c->lib->parse_free(options);
        char shown[GY_STORE_URL_SHOWN];
        gy_err_set(err, GY_E_INVALID, "not the URL of a PostgreSQL database: %s",
                   gy_store_url_show(c->url, shown));
        return gy_err_hint(err, "postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full "
                                "(%%XX for special characters)");
    }
    gy_status status = GY_OK;
    for (const struct gy_pq_option *o = options; o->keyword && status == GY_OK; o++) {
        if (strcmp(o->keyword, "password") == 0 && o->val && o->val[0]) {
            c->password = gy_strdup(o->val);
            status = c->password ? GY_OK : gy_err_set(err, GY_E_NOMEM, "reading a URL");
        }
    }
    c->lib->parse_free(options);
    return status;
}

static gy_status connect_to(struct gy_str url, int busy_timeout_ms, bool foreign,
                            struct gy_pg_conn **ret, struct gy_err *err)
{
    const struct gy_pq_lib *lib = NULL;
    GY_TRY(gy_pq_load(&lib, err));
    struct gy_pg_conn *c = gy_calloc(1, sizeof *c);
    if (!c) {
        return gy_err_set(err, GY_E_NOMEM, "opening the database");
    }
    c->lib = lib;
    c->busy_timeout_ms = busy_timeout_ms;
    c->foreign = foreign;
    gy_arena_init(&c->arena, 64 * GY_KIB);
    c->url = gy_strndup(url.p, url.n);
    gy_status status = c->url ? read_url(c, err) : gy_err_set(err, GY_E_NOMEM, "reading a URL");
    if (status == GY_OK) {
        status = gy_pg_reconnect(c, err);
    }
    if (status != GY_OK) {
        gy_pg_disconnect(c);
        return status;
    }
    *ret = c;
    return GY_OK;
}

gy_status gy_pg_connect(const struct gy_sql_config *cfg, struct gy_pg_conn **ret,
                        struct gy_err *err)
{
    return connect_to(cfg->location, cfg->busy_timeout_ms, false, ret, err);
}

gy_status gy_pg_connect_foreign(const char *url, struct gy_pg_conn **ret, struct gy_err *err)
{
    return connect_to(gy_str_c(url), 0, true, ret, err);
}

void gy_pg_disconnect(struct gy_pg_conn *c)
{
    if (c->pq) {
        c->lib->finish(c->pq);
    }
    gy_arena_done(&c->arena);
    gy_free(c->password);
    gy_free(c->url);
    gy_free(c);
}

gy_status gy_pg_ready(struct gy_pg_conn *c, struct gy_err *err)
{
    if (!gy_pg_is_lost(c)) {
        return GY_OK;
    }
    return c->in_transaction ? fail_lost(c, NULL, err) : gy_pg_reconnect(c, err);
}

/* ---- sending ---- */

void gy_pg_defer(struct gy_pg_conn *c, const char *sql)
{
    GY_REQUIRE(c->n_deferred < GY_PG_MAX_DEFERRED);
    c->deferred[c->n_deferred++] = sql;
}

static bool send_text(struct gy_pg_conn *c, const char *sql)
{
    return c->lib->send_query(c->pq, sql, 0, NULL, NULL, NULL, NULL, 1) == 1;
}

gy_status gy_pg_send_deferred(struct gy_pg_conn *c, size_t *ret_n, struct gy_err *err)
{
    *ret_n = 0;
    if (c->streaming) {
        gy_pg_keep_rest(c->streaming);
    }
    if (c->waiting) {
        gy_pg_discard(c);
    }
    bool sent = !gy_pg_is_lost(c);
    for (size_t i = 0; i < c->n_deferred && sent; i++) {
        sent = send_text(c, c->deferred[i]);
        *ret_n += 1;
    }
    c->n_deferred = sent ? 0 : c->n_deferred;
    for (; c->n_dead > 0 && sent && !c->failed; c->n_dead--) {
        char sql[48];
        (void)snprintf(sql, sizeof sql, "DEALLOCATE gy%llu",
                       (unsigned long long)c->dead[c->n_dead - 1]);
        sent = send_text(c, sql);
        *ret_n += 1;
    }
    return sent ? GY_OK : gy_pg_fail(c, NULL, "sending a statement", err);
}

gy_status gy_pg_sync(struct gy_pg_conn *c, struct gy_err *err)
{
    c->waiting = true;
    return c->lib->pipeline_sync(c->pq) == 1 ? GY_OK
                                             : gy_pg_fail(c, NULL, "sending a statement", err);
}

/* ---- reading ---- */

gy_status gy_pg_read_commands(struct gy_pg_conn *c, size_t n, char ret_tag[64], struct gy_err *err)
{
    gy_status status = GY_OK;
    for (size_t i = 0; i < n; i++) {
        struct gy_pq_result *r = c->lib->get_result(c->pq);
        int got = r ? c->lib->result_status(r) : GY_PQ_PIPELINE_ABORTED;
        if (status == GY_OK && got != GY_PQ_COMMAND_OK && got != GY_PQ_TUPLES_OK) {
            status = gy_pg_fail(c, r, "a transaction's own command", err);
        }
        if (r && ret_tag && i + 1 == n) {
            (void)snprintf(ret_tag, 64, "%s", c->lib->command_status(r));
        }
        c->lib->clear(r);
        if (r) {
            c->lib->clear(c->lib->get_result(c->pq)); /* the end of this command's results */
        }
    }
    return status;
}

void gy_pg_discard(struct gy_pg_conn *c)
{
    int nothing = 0;
    bool more = c->waiting && c->pq;
    while (more && nothing < 2) { /* one stands between two commands, two after a lost connection */
        struct gy_pq_result *r = c->lib->get_result(c->pq);
        nothing = r ? 0 : nothing + 1;
        more = !r || c->lib->result_status(r) != GY_PQ_PIPELINE_SYNC;
        c->lib->clear(r);
    }
    c->waiting = false;
}

gy_status gy_pg_command(struct gy_pg_conn *c, const char *sql, char ret_tag[64], struct gy_err *err)
{
    size_t n;
    GY_TRY(gy_pg_send_deferred(c, &n, err));
    if (!send_text(c, sql)) {
        return gy_pg_fail(c, NULL, sql, err);
    }
    GY_TRY(gy_pg_sync(c, err));
    gy_status status = gy_pg_read_commands(c, n + 1, ret_tag, err);
    gy_pg_discard(c);
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What a command needs that reads the prediction log itself, beside a running server.
 *   POST /api/gyre/v1/log/flush                      {"flushed"}: all answers given are in the
 *        segment files of .gyre/log (false: nothing is served by this process)
 *   POST /api/gyre/v1/log/receive?replica=&boot=&ring=
 *        whole frames of a replica's stream, in order (serve/receive.h): {"last_seq","records"},
 *        when they are on the disk: the stream's last number here, how many were new. Records of
 *        revisions that were never deployed here are left out and told: "refused" (their numbers),
 *        "why"
 *   GET  /api/gyre/v1/log/key                        {"column_key"}: with what replicas hash logged
 *        columns, so that equal values have equal hashes in one log
 *   GET  /api/gyre/v1/log/labels?endpoint=&since_us=  the labels of its predictions, as the join of
 *        feedback sees them: a line "PREDICTION_ID ROW CLASS_VALUE" each; with &source= only those
 *        that this source has the last word on, with &text=1 the label's text instead
 *   GET  /api/gyre/v1/endpoints/{name}/revisions/{revision}
 *        {"endpoint","revision","model","version","digest","config"} */
#include "api/app.h"
#include "api/body.h"
#include "base/id.h"
#include "base/hash.h"
#include "base/limits.h"
#include "serve/logging.h"
#include "serve/predlog.h"
#include "serve/revision.h"
#include "serve/serving.h"
#include "store/erasures.h"
#include "watch/join.h"

#define MAX_LINES (256 * GY_MIB)
#define MAX_KNOWN 64 /* revisions that one batch is looked up for at a time */

static gy_status post_flush(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct gy_app *app = ctx;
    (void)req;
    if (app->serving) {
        GY_TRY(gy_predlog_flush(gy_serving_log(app->serving), false, err));
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_KIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_bool(&w, "flushed", app->serving != NULL);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- records of replicas ---- */

struct known {
    struct gy_str endpoint;
    int64_t revision;
    bool is;
};

/* What was looked up for one batch. */
struct lookup {
    struct gy_store *store;
    struct gy_arena arena; /* names */
    struct known at[MAX_KNOWN];
    size_t n;
    struct known *asked;
};

static gy_status look_up(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct known *k = ctx;
    return gy_revision_is(db, k->endpoint, k->revision, &k->is, err);
}

/* The caller's role was looked at by the route, in its workspace; a record belongs there when its
 * revision was deployed there. */
static gy_status may_be_kept(void *ctx, const struct gy_record *r, const char **ret_why,
                             struct gy_err *err)
{
    struct lookup *l = ctx;
    size_t i = 0;
    while (i < l->n && (l->at[i].revision != (int64_t)r->revision ||
                        !gy_str_eq(l->at[i].endpoint, r->endpoint))) {
        i++;
    }
    if (i == l->n) {
        if (l->n == MAX_KNOWN) {
            gy_arena_reset(&l->arena);
            l->n = i = 0;
        }
        struct known k = {.endpoint = gy_arena_str(&l->arena, r->endpoint),
                          .revision = (int64_t)r->revision};
        if (!k.endpoint.p) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for records of a replica");
        }
        GY_TRY(gy_store_read(l->store, look_up, &k, err));
        l->at[l->n++] = k;
    }
    *ret_why = l->at[i].is ? NULL : "this server has never deployed that revision of the endpoint";
    return GY_OK;
}

static gy_status sift(struct gy_app *app, struct gy_receiver *receiver, struct gy_str frames,
                      struct gy_sifted *ret, struct gy_err *err)
{
    struct lookup l = {.store = app->store};
    struct gy_err why = GY_ERR_INIT;
    gy_arena_init(&l.arena, GY_MIB);
    gy_status st = gy_receiver_sift(frames, may_be_kept, &l, ret, &why);
    gy_arena_done(&l.arena);
    if (st == GY_E_CORRUPT) { /* of what came, not of what is stored here */
        gy_receiver_refused(receiver, 0, 1);
        why.code = st = GY_E_INVALID;
        (void)gy_err_hint(&why, "nothing of the batch was kept: send it again");
    }
    if (st != GY_OK && err) {
        *err = why;
    }
    return st;
}

static gy_status answer_received(const struct gy_received *got, const struct gy_sifted *sifted,
                                 struct gy_reply *reply, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 4 * GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "last_seq", (int64_t)got->last_seq);
    gy_jw_kv_i64(&w, "records", (int64_t)got->records);
    if (sifted->why) {
        gy_jw_key(&w, "refused");
        gy_jw_arr(&w);
        for (size_t at = 0; at < sifted->refused.n; at += sizeof(uint64_t)) {
            uint64_t seq;
            memcpy(&seq, sifted->refused.p + at, sizeof seq);
            gy_jw_i64(&w, (int64_t)seq);
        }
        gy_jw_arr_end(&w);
        gy_jw_kv_strc(&w, "why", sifted->why);
    }
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static gy_status post_receive(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct gy_app *app = ctx;
    unsigned char boot[16];
    int64_t ring;
    struct gy_received got;
    GY_AUTO_DONE(gy_sifted_done) struct gy_sifted sifted;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    gy_sifted_init(&sifted);
    gy_buf_init(&body, GY_RECEIVER_MAX_BATCH + GY_RECORD_MAX_BYTES);
    if (!app->serving) {
        return gy_err_set(err, GY_E_UNAVAILABLE, "only a running server takes records of replicas");
    }
    GY_TRY(gy_uuid_parse(gy_req_query(req, "boot"), boot, err));
    GY_TRY(gy_parse_i64(gy_req_query(req, "ring"), 0, GY_PREDLOG_MAX_RINGS, &ring, err));
    if (req->body) {
        GY_TRY(gy_req_read_body(req, &body, err));
    }
    struct gy_receiver *receiver = gy_predlog_receiver(gy_serving_log(app->serving));
    GY_TRY(sift(app, receiver, gy_buf_str(&body), &sifted, err));
    GY_TRY(gy_receiver_take(receiver, boot, (uint32_t)ring, gy_buf_str(&sifted.good), &got, err));
    gy_receiver_refused(receiver, sifted.refused.n / sizeof(uint64_t), 0);
    return answer_received(&got, &sifted, reply, err);
}

static gy_status get_key(void *ctx, struct gy_request *req, struct gy_reply *reply,
                         struct gy_err *err)
{
    struct gy_app *app = ctx;
    char folder[GY_MAX_PATH], hex[2 * GY_LOGGING_KEY + 1];
    unsigned char key[GY_LOGGING_KEY];
    struct gy_erasure_key home;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    (void)req;
    GY_TRY(gy_home_path(&app->home, GY_ERASURES_DIR, folder, err));
    GY_TRY(gy_erasure_key_open(folder, true, &home, err));
    gy_logging_key(&home, key);
    gy_hex(key, sizeof key, hex);
    gy_buf_init(&out, GY_KIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "column_key", hex);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

/* ---- labels ---- */

static gy_status any_feedback(struct gy_db *db, void *ctx, struct gy_err *err)
{
    int64_t n = 0;
    bool found = false;
    GY_TRY(gy_db_get_i64(db, "SELECT EXISTS (SELECT 1 FROM feedback)", NULL, 0, &found, &n, err));
    *(bool *)ctx = n != 0;
    return GY_OK;
}

struct label_lines {
    struct gy_buf out;
    struct gy_str source; /* absent: of any */
    bool text;
};

static gy_status add_line(void *ctx, const struct gy_join_row *row, struct gy_err *err)
{
    struct label_lines *l = ctx;
    char id[GY_UUID_TEXT], value[32];
    if (l->source.n && !gy_str_eq(row->source, l->source)) {
        return GY_OK;
    }
    gy_uuid_text(row->id, id);
    gy_buf_addf(&l->out, "%s %u ", id, row->row);
    gy_buf_add(&l->out, l->text ? gy_shape_text(row->shape, row->truth, value)
                                : gy_str_n(value, gy_fmt_f64_trim(row->truth, value)));
    gy_buf_add_char(&l->out, '\n');
    return gy_buf_check(&l->out, "the labels", err);
}

static gy_status get_labels(void *ctx, struct gy_request *req, struct gy_reply *reply,
                            struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct gy_join_query q = {.endpoint = gy_req_query(req, "endpoint"), .labelled = true};
    struct gy_str since = gy_req_query(req, "since_us");
    bool any = false;
    if (q.endpoint.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "which endpoint? ?endpoint=NAME");
    }
    if (since.p) {
        GY_TRY(gy_parse_i64(since, 0, INT64_MAX, &q.since_us, err));
    }
    struct label_lines l = {.source = gy_req_query(req, "source"),
                            .text = gy_str_eqc(gy_req_query(req, "text"), "1")};
    gy_buf_init(&l.out, MAX_LINES);
    gy_status status = gy_store_read(app->store, any_feedback, &any, err);
    if (status == GY_OK && any) { /* else the log need not be read */
        status = gy_app_join_refresh(app, err);
    }
    if (status == GY_OK && any) {
        status = gy_join_each(app->join, &q, add_line, &l, err);
    }
    if (status == GY_OK) {
        status = gy_reply_send(reply, 200, "text/plain; charset=utf-8", gy_buf_str(&l.out), err);
    }
    gy_buf_done(&l.out);
    return status;
}

/* ---- revisions ---- */

struct reading {
    struct gy_arena *a;
    struct gy_str endpoint;
    int64_t revision;
    struct gy_revision r;
};

static gy_status read_revision(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct reading *x = ctx;
    return gy_revision_get(db, x->endpoint, x->revision, x->a, &x->r, err);
}

static gy_status get_revision(void *ctx, struct gy_request *req, struct gy_reply *reply,
                              struct gy_err *err)
{
    struct gy_app *app = ctx;
    struct reading x = {.a = req->arena, .endpoint = gy_req_param(req, "name")};
    GY_TRY(gy_parse_i64(gy_req_param(req, "revision"), 1, INT64_MAX, &x.revision, err));
    GY_TRY(gy_store_read(app->store, read_revision, &x, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 64 * GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "endpoint", x.r.endpoint);
    gy_jw_kv_i64(&w, "revision", x.r.revision);
    gy_jw_kv_str(&w, "model", x.r.model_name);
    gy_jw_kv_i64(&w, "version", x.r.model_version);
    gy_jw_kv_str(&w, "digest", x.r.model_digest);
    gy_jw_key(&w, "config");
    gy_jw_raw(&w, x.r.config);
    gy_jw_obj_end(&w);
    return gy_reply_json(reply, 200, &out, err);
}

static const struct gy_route routes[] = {
    {"POST", "/api/gyre/v1/log/flush", post_flush, NULL, 0,
     "What was answered is in the files of the prediction log", GY_ACCESS_VIEWER, GY_ROUTE_BULK},
    {"POST", "/api/gyre/v1/log/receive", post_receive, NULL, 8 * GY_MIB,
     "Records that a replica ships", GY_ACCESS_OPERATOR, GY_ROUTE_BULK},
    {"GET", "/api/gyre/v1/log/key", get_key, NULL, 0,
     "The key with which replicas hash logged columns", GY_ACCESS_OPERATOR},
    {"GET", "/api/gyre/v1/log/labels", get_labels, NULL, 0, "Labels of an endpoint's predictions"},
    {"GET", "/api/gyre/v1/endpoints/{name}/revisions/{revision}", get_revision, NULL, 0,
     "A frozen revision of an endpoint"},
};

gy_status gy_api_log_add(struct gy_router *r, struct gy_app *app, struct gy_err *err)
{
    return gy_router_add(r, routes, sizeof routes / sizeof routes[0], app, err);
}

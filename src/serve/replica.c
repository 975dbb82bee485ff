/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/replica.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "learn/publish.h"
#include "serve/deploy.h"
#include "serve/predlog_internal.h"
#include "serve/shipped.h"
#include "serve/tail.h"

#define BASE "/api/gyre/v1"
#define MARKS "shipped.json" /* in the home: what the server has */
#define MAX_ANSWER (64 * GY_MIB)
#define MAX_ACKNOWLEDGEMENT (4 * GY_MIB)
#define BATCH_RECORDS 4096
#define MAX_WAITING (4 * GY_RECEIVER_MAX_BATCH) /* bytes of all batches that are not sent yet */
#define TICK_BATCHES 64           /* shipped between two looks at revisions; the rest follows */
#define ROTATE_MIN_MS 1000        /* open segments are not sealed more often, whatever keep_ms is */
#define REOPEN_AFTER_REMOVED 4096 /* segments that the cursor still knows though they are gone */

/* Records of one stream, which the server takes in one call. Loops answer side by side, so records
 * of all rings come mixed: each has a batch of its own. */
struct batch {
    unsigned char boot[16];
    uint32_t ring;
    struct gy_buf frames;
};

/* When something is done next. */
struct turn {
    int64_t every_ms;
    int64_t next_ns;
    unsigned failures; /* one after the other; the first is told */
};

struct gy_replica {
    struct gy_replica_options o;
    struct gy_deployer d;
    char cache[GY_MAX_PATH], log[GY_MAX_PATH], marks[GY_MAX_PATH], refused[GY_MAX_PATH];
    struct turn turns[2]; /* by enum gy_replica_call */
    struct gy_buf served; /* "name/revision\n" of each endpoint */
    struct gy_log_cursor *cursor;
    struct batch batches[GY_PREDLOG_MAX_RINGS];
    size_t n_batches, waiting; /* waiting: their bytes */
    uint64_t taken;            /* records put into batches */
    uint64_t removed;          /* segments, since the cursor was opened */
    int64_t rotated_ns;

    pthread_t thread;
    bool has_thread;
    pthread_mutex_t mu; /* guards what follows */
    pthread_cond_t wakes;
    bool stopping;
    struct gy_replica_stats stats;
};

const char *gy_replica_call_name(enum gy_replica_call call)
{
    return call == GY_REPLICA_POLL ? "poll" : "ship";
}

const char *gy_replica_failure_name(enum gy_replica_failure failure)
{
    static const char *const names[] = {"timeout", "unreachable", "other"};
    return names[failure];
}

/* ---- what is served ---- */

static gy_status fetch_package(void *ctx, struct gy_str model, int64_t version,
                               struct gy_str digest, char ret_dir[GY_MAX_PATH], struct gy_err *err)
{
    struct gy_replica *r = ctx;
    char ref[GY_MAX_NAME + 32];
    (void)digest; /* gy_endpoint_build holds the folder against it */
    (void)snprintf(ref, sizeof ref, "%" GY_STR_F "/%lld", GY_STR_A(model), (long long)version);
    return gy_package_fetch(r->o.server, gy_str_c(ref), r->cache, ret_dir, NULL, err);
}

static bool is_wanted(const struct gy_replica *r, struct gy_str endpoint)
{
    for (size_t i = 0; i < r->o.n_wanted; i++) {
        if (gy_str_eqc(endpoint, r->o.wanted[i])) {
            return true;
        }
    }
    return r->o.n_wanted == 0;
}

static gy_status read_revision(yyjson_val *one, struct gy_arena *a, struct gy_revision *ret,
                               struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf config;
    struct gy_jw w;
    gy_buf_init(&config, MAX_ANSWER);
    gy_jw_init(&w, &config);
    gy_jw_val(&w, gy_json_get(one, "config"));
    GY_TRY(gy_buf_check(&config, "a revision", err));
    *ret = (struct gy_revision){.endpoint = gy_json_str(one, "endpoint"),
                                .revision = gy_json_i64(one, "revision", 0),
                                .model_name = gy_json_str(one, "model"),
                                .model_version = gy_json_i64(one, "version", 0),
                                .model_digest = gy_json_str(one, "digest"),
                                .run_id = gy_json_str(one, "run_id"),
                                .config = gy_arena_str(a, gy_buf_str(&config))};
    return ret->config.p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "a revision");
}

static gy_status publish(struct gy_replica *r, yyjson_val *list, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf served;
    size_t n = 0, failed = 0, i, max;
    yyjson_val *one;
    gy_buf_init(&served, GY_MIB);
    gy_arena_init(&a, 4 * GY_MAX_REQUEST_ARENA);
    struct gy_revision *all = gy_arena_calloc(&a, yyjson_arr_size(list) + 1, sizeof *all);
    if (!all) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for endpoints");
    }
    yyjson_arr_foreach(list, i, max, one)
    {
        if (is_wanted(r, gy_json_str(one, "endpoint"))) {
            GY_TRY(read_revision(one, &a, &all[n], err));
            gy_buf_addf(&served, "%" GY_STR_F "/%lld\n", GY_STR_A(all[n].endpoint),
                        (long long)all[n].revision);
            n++;
        }
    }
    GY_TRY(gy_buf_check(&served, "endpoints", err));
    if (gy_str_eq(gy_buf_str(&served), gy_buf_str(&r->served))) {
        return GY_OK;
    }
    GY_TRY(gy_deploy_serve(&r->d, all, n, &failed, err));
    gy_log(GY_LOG_INFO, "serve", "endpoints taken over", GY_KV_I("endpoints", n),
           GY_KV_I("failed", failed));
    gy_buf_reset(&r->served);
    if (failed == 0) { /* else the next look tries again */
        gy_buf_add(&r->served, gy_buf_str(&served));
    }
    return gy_buf_check(&r->served, "endpoints", err);
}

/* The server's endpoints as they are now; served when they differ. */
static gy_status poll_server(struct gy_replica *r, struct gy_err *err)
{
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    yyjson_val *list = NULL;
    gy_collect_init(&answer, MAX_ANSWER);
    GY_TRY(gy_call_json(r->o.server, "GET", BASE "/endpoints", GY_STR_NULL, &answer, err));
    GY_TRY(gy_json_parse(gy_buf_str(&answer.body), &doc, err));
    GY_TRY(gy_json_need_arr(yyjson_doc_get_root(doc), "endpoints", &list, err));
    return publish(r, list, err);
}

/* Kept in memory alone: a replica does not start without its server. */
static gy_status fetch_key(struct gy_replica *r, struct gy_err *err)
{
    unsigned char key[GY_LOGGING_KEY];
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_collect_init(&answer, GY_MIB);
    GY_TRY(gy_call_json(r->o.server, "GET", BASE "/log/key", GY_STR_NULL, &answer, err));
    GY_TRY(gy_json_parse(gy_buf_str(&answer.body), &doc, err));
    if (!gy_unhex(gy_json_str(yyjson_doc_get_root(doc), "column_key"), key, sizeof key)) {
        return gy_err_set(err, GY_E_NETWORK, "the server does not tell the key of hashed columns");
    }
    gy_serving_set_log_key(r->o.serving, key);
    sodium_memzero(key, sizeof key);
    return GY_OK;
}

/* ---- what the server refused ---- */

static gy_status add_size(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    void **c = ctx;
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, c[0], name, err));
    int64_t bytes = is_dir ? 0 : gy_file_size(path);
    *(int64_t *)c[1] += bytes > 0 ? bytes : 0;
    return GY_OK;
}

static gy_status append_refused(const struct gy_replica *r, const struct batch *b,
                                struct gy_str frames, struct gy_err *err)
{
    char name[128], path[GY_MAX_PATH], header[GY_SEGMENT_HEADER];
    GY_TRY(gy_dir_make(r->refused, err));
    gy_segment_name(b->boot, b->ring, 0, ".seg", name);
    GY_TRY(gy_path_join(path, sizeof path, r->refused, name, err));
    bool fresh = !gy_path_exists(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0) {
        return gy_err_sys(err, errno, "open %s", path);
    }
    gy_segment_header(b->boot, b->ring, 0, header);
    gy_status st = fresh ? gy_predlog_write_all(fd, header, sizeof header, err) : GY_OK;
    if (st == GY_OK) {
        st = gy_predlog_write_all(fd, frames.p, frames.n, err);
    }
    if (st == GY_OK && fdatasync(fd) != 0) {
        st = gy_err_sys(err, errno, "syncing %s", path);
    }
    (void)close(fd); /* synced */
    GY_TRY(st);
    return fresh ? gy_dir_sync(r->refused, err) : GY_OK;
}

static gy_status keep_refused(struct gy_replica *r, const struct batch *b, struct gy_str frames,
                              size_t n, struct gy_str why, struct gy_err *err)
{
    int64_t there = 0;
    void *sum[] = {r->refused, &there};
    GY_TRY(gy_path_is_dir(r->refused) ? gy_dir_each(r->refused, add_size, sum, err) : GY_OK);
    bool full = there + (int64_t)frames.n > (int64_t)GY_REPLICA_REFUSED_MAX_BYTES;
    GY_TRY(full ? GY_OK : append_refused(r, b, frames, err));
    gy_log(GY_LOG_WARN, "serve",
           full ? "the server refuses records; there is no room left to keep them here"
                : "the server refuses records: they are kept in refused/ of the home",
           GY_KV_I("records", n), GY_KV_S("why", why));
    (void)pthread_mutex_lock(&r->mu);
    r->stats.refused += n;
    r->stats.refused_lost += full ? n : 0;
    (void)pthread_mutex_unlock(&r->mu);
    return GY_OK;
}

/* ---- what is shipped ---- */

/* The server has what it says, no more: only that may ever be removed here. */
static gy_status acknowledge(struct gy_replica *r, const struct batch *b, struct gy_str answer,
                             struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf refused;
    uint64_t last = 0;
    size_t n = 0, i = 0;
    gy_buf_init(&refused, 2 * GY_RECEIVER_MAX_BATCH);
    GY_TRY(gy_json_parse(answer, &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc), *list = gy_json_get(root, "refused");
    for (size_t at = 0, bytes; at < b->frames.n; at += bytes) {
        unsigned char id[16];
        uint64_t seq;
        if (gy_frame_look(b->frames.p, b->frames.n, at, &bytes) != GY_FRAME_GOOD) {
            return gy_err_set(err, GY_E_CORRUPT, "a batch was damaged in memory");
        }
        gy_record_peek(b->frames.p + at, id, &seq);
        yyjson_val *next = i < yyjson_arr_size(list) ? yyjson_arr_get(list, i) : NULL;
        if (next && yyjson_is_int(next) && yyjson_get_uint(next) == seq) { /* both ascend */
            gy_buf_add(&refused, gy_str_n(b->frames.p + at, bytes));
            n++;
            i++;
        } else {
            last = seq;
        }
    }
    GY_TRY(gy_buf_check(&refused, "refused records", err));
    if (gy_json_i64(root, "last_seq", 0) < (int64_t)last) {
        return gy_err_set(err, GY_E_NETWORK, "the server has not kept all that was shipped");
    }
    return n ? keep_refused(r, b, gy_buf_str(&refused), n, gy_json_str(root, "why"), err) : GY_OK;
}

static gy_status send_batch(struct gy_replica *r, const struct batch *b, struct gy_err *err)
{
    char path[512], boot[GY_UUID_TEXT];
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf replica;
    struct gy_mem_reader body;
    gy_collect_init(&answer, MAX_ACKNOWLEDGEMENT);
    gy_buf_init(&replica, GY_KIB);
    gy_uuid_text(b->boot, boot);
    gy_url_encode(&replica, gy_str_c(r->o.name), false);
    (void)snprintf(path, sizeof path, BASE "/log/receive?boot=%s&ring=%u&replica=%s", boot, b->ring,
                   replica.p);
    GY_TRY(gy_call_body(r->o.server, "POST", path, "application/octet-stream",
                        gy_mem_reader_init(&body, gy_buf_str(&b->frames)), &answer, err));
    return acknowledge(r, b, gy_buf_str(&answer.body), err);
}

static void drop_batches(struct gy_replica *r)
{
    for (size_t i = 0; i < r->n_batches; i++) {
        gy_buf_done(&r->batches[i].frames);
    }
    r->n_batches = r->waiting = 0;
}

static gy_status send_batches(struct gy_replica *r, struct gy_err *err)
{
    for (size_t i = 0; i < r->n_batches; i++) {
        const struct batch *b = &r->batches[i];
        GY_TRY(b->frames.n ? send_batch(r, b, err) : GY_OK);
    }
    drop_batches(r);
    return GY_OK;
}

/* The batch of a stream, made when it has none yet; NULL: there are too many. */
static struct batch *batch_of(struct gy_replica *r, const struct gy_log_place *place)
{
    for (size_t i = 0; i < r->n_batches; i++) {
        struct batch *b = &r->batches[i];
        if (b->ring == place->ring && memcmp(b->boot, place->boot, 16) == 0) {
            return b;
        }
    }
    if (r->n_batches == GY_PREDLOG_MAX_RINGS) {
        return NULL;
    }
    struct batch *b = &r->batches[r->n_batches++];
    b->ring = place->ring;
    memcpy(b->boot, place->boot, 16);
    gy_buf_init(&b->frames, 2 * GY_RECEIVER_MAX_BATCH);
    return b;
}

static gy_status take_record(void *ctx, const struct gy_log_place *place,
                             const struct gy_record *record, struct gy_err *err)
{
    struct gy_replica *r = ctx;
    size_t bytes = gy_record_frame_bytes(record);
    struct batch *b = batch_of(r, place);
    if (!b || b->frames.n + bytes > GY_RECEIVER_MAX_BATCH || r->waiting + bytes > MAX_WAITING) {
        GY_TRY(send_batches(r, err));
        b = batch_of(r, place);
    }
    char *room = gy_buf_reserve(&b->frames, bytes);
    if (!room) {
        return gy_buf_check(&b->frames, "records to ship", err);
    }
    gy_record_write(record, room);
    gy_buf_commit(&b->frames, bytes);
    r->waiting += bytes;
    r->taken++;
    return GY_OK;
}

static gy_status save_marks(const struct gy_replica *r, const struct gy_log_marks *marks,
                            struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, 4 * GY_MIB);
    gy_jw_init(&w, &out);
    gy_log_marks_write(marks, &w);
    GY_TRY(gy_buf_check(&out, "what is shipped", err));
    return gy_file_write(r->marks, gy_buf_str(&out), 0644, err);
}

/* Behind what the server has acknowledged: after a failure from there again. */
static gy_status open_cursor(struct gy_replica *r, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    GY_AUTO_DONE(gy_log_marks_done) struct gy_log_marks marks = {0};
    gy_buf_init(&text, 4 * GY_MIB);
    gy_log_cursor_free(r->cursor);
    r->cursor = NULL;
    r->removed = 0;
    drop_batches(r);
    if (gy_path_exists(r->marks)) {
        GY_TRY(gy_file_read(r->marks, &text, err));
        GY_TRY(gy_log_marks_read(&marks, gy_buf_str(&text), err));
    }
    GY_TRY(gy_log_cursor_new(r->log, &r->cursor, err));
    return gy_log_cursor_seek(r->cursor, &marks, err);
}

/* All that is shipped may go. Also of the segment that is being written to: it is sealed when it
 * could go, so that nothing stays much longer than it has to, however little is answered. */
static gy_status let_go(struct gy_replica *r, struct gy_err *err)
{
    int64_t pause = r->o.keep_ms > ROTATE_MIN_MS ? r->o.keep_ms : ROTATE_MIN_MS;
    struct gy_predlog *log = gy_serving_log(r->o.serving);
    struct gy_shipped gone;
    if (gy_mono_ns() - r->rotated_ns >= pause * 1000000) {
        r->rotated_ns = gy_mono_ns();
        GY_TRY(gy_predlog_rotate(log, err));
    }
    gy_status st =
        gy_shipped_remove(r->log, gy_log_cursor_marks(r->cursor), r->o.keep_ms, &gone, err);
    gy_predlog_removed(log, gone.segments);
    if (gone.damaged) {
        gy_log(GY_LOG_WARN, "serve", "segments with damaged places were shipped without these",
               GY_KV_I("segments", gone.damaged));
    }
    r->removed += gone.segments;
    (void)pthread_mutex_lock(&r->mu);
    r->stats.removed += gone.segments;
    r->stats.removed_bytes += gone.bytes;
    r->stats.segments = gone.left;
    r->stats.segment_bytes = gone.left_bytes;
    (void)pthread_mutex_unlock(&r->mu);
    GY_TRY(st);
    return r->removed > REOPEN_AFTER_REMOVED ? open_cursor(r, err) : GY_OK;
}

static gy_status ship(struct gy_replica *r, struct gy_err *err)
{
    if (!r->cursor) { /* it could not be opened last time */
        GY_TRY(open_cursor(r, err));
    }
    GY_TRY(gy_predlog_flush(gy_serving_log(r->o.serving), false, err));
    size_t n = BATCH_RECORDS;
    for (int i = 0; i < TICK_BATCHES && n == BATCH_RECORDS; i++) {
        uint64_t before = r->taken;
        GY_TRY(gy_log_tail(r->cursor, BATCH_RECORDS, take_record, r, &n, err));
        GY_TRY(send_batches(r, err));
        if (r->taken > before) {
            GY_TRY(save_marks(r, gy_log_cursor_marks(r->cursor), err));
            (void)pthread_mutex_lock(&r->mu);
            r->stats.shipped += r->taken - before;
            (void)pthread_mutex_unlock(&r->mu);
        }
    }
    return let_go(r, err);
}

/* ---- turns ---- */

static enum gy_replica_failure kind_of(gy_status st)
{
    return st == GY_E_TIMEOUT                             ? GY_REPLICA_TIMEOUT
           : st == GY_E_UNAVAILABLE || st == GY_E_NETWORK ? GY_REPLICA_UNREACHABLE
                                                          : GY_REPLICA_OTHER;
}

/* Told when it begins and when it is over. */
static void note(struct gy_replica *r, enum gy_replica_call call, gy_status st,
                 const struct gy_err *why)
{
    struct turn *t = &r->turns[call];
    if (st != GY_OK && t->failures == 0) {
        gy_log_err(GY_LOG_WARN, "serve",
                   kind_of(st) == GY_REPLICA_OTHER
                       ? "a replica's call failed: serving goes on"
                       : "the server can not be reached: serving goes on",
                   why);
    } else if (st == GY_OK && t->failures > 0) {
        gy_log(GY_LOG_INFO, "serve", "the server is back",
               GY_KV_S("call", gy_str_c(gy_replica_call_name(call))));
    }
    t->failures = st == GY_OK ? 0 : t->failures + 1;
    (void)pthread_mutex_lock(&r->mu);
    r->stats.up = r->turns[0].failures == 0 && r->turns[1].failures == 0;
    if (st == GY_OK) {
        r->stats.last_contact_us = gy_now_us();
    } else {
        r->stats.failures[call][kind_of(st)]++;
    }
    (void)pthread_mutex_unlock(&r->mu);
}

/* A server that comes back after a while is not asked by all of its replicas at once. */
static int64_t wait_ms(const struct turn *t)
{
    int64_t most =
        t->every_ms > GY_REPLICA_BACKOFF_MAX_MS ? t->every_ms : GY_REPLICA_BACKOFF_MAX_MS;
    int64_t ms = t->every_ms;
    for (unsigned i = 1; i < t->failures && ms < most; i++) {
        ms *= 2;
    }
    ms = ms < most ? ms : most;
    return t->failures ? ms - (int64_t)randombytes_uniform((uint32_t)(ms / 4 + 1)) : ms;
}

static void take_turn(struct gy_replica *r, enum gy_replica_call call)
{
    struct turn *t = &r->turns[call];
    struct gy_err why = GY_ERR_INIT;
    int64_t begin = gy_mono_ns();
    gy_status st = call == GY_REPLICA_POLL ? poll_server(r, &why) : ship(r, &why);
    if (st != GY_OK && call == GY_REPLICA_SHIP) {
        struct gy_err again = GY_ERR_INIT;
        if (open_cursor(r, &again) != GY_OK) {
            gy_log_err(GY_LOG_ERROR, "serve", "the own log can not be read again", &again);
        }
    }
    note(r, call, st, &why);
    /* After a failure the pause begins with its end: it may have taken its whole time limit. */
    t->next_ns = (st == GY_OK ? begin : gy_mono_ns()) + wait_ms(t) * 1000000;
}

static bool goes_on(struct gy_replica *r)
{
    (void)pthread_mutex_lock(&r->mu);
    bool stopping = r->stopping;
    (void)pthread_mutex_unlock(&r->mu);
    return !stopping;
}

static void wait_for_turn(struct gy_replica *r)
{
    int64_t next =
        r->turns[0].next_ns < r->turns[1].next_ns ? r->turns[0].next_ns : r->turns[1].next_ns;
    const struct timespec t = {.tv_sec = next / 1000000000, .tv_nsec = next % 1000000000};
    (void)pthread_mutex_lock(&r->mu);
    while (!r->stopping && gy_mono_ns() < next) {
        (void)pthread_cond_timedwait(&r->wakes, &r->mu, &t); /* we look again */
    }
    (void)pthread_mutex_unlock(&r->mu);
}

static void *replica_main(void *arg)
{
    struct gy_replica *r = arg;
    while (goes_on(r)) {
        for (int call = GY_REPLICA_POLL; call <= GY_REPLICA_SHIP; call++) {
            if (goes_on(r) && gy_mono_ns() >= r->turns[call].next_ns) {
                take_turn(r, (enum gy_replica_call)call);
            }
        }
        wait_for_turn(r);
    }
    return NULL;
}

/* ---- life ---- */

static gy_status is_segment(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    unsigned char boot[16];
    uint32_t ring, number;
    (void)err;
    if (!is_dir && gy_segment_parse_name(name, boot, &ring, &number)) {
        *(bool *)ctx = true;
    }
    return GY_OK;
}

/* What is shipped is removed: that must not happen to the log of a server, or of a process that
 * served alone. */
static gy_status check_home(const struct gy_replica *r, struct gy_err *err)
{
    bool has_log = false;
    if (gy_path_exists(r->marks)) {
        return GY_OK;
    }
    GY_TRY(gy_dir_each(r->log, is_segment, &has_log, err));
    if (has_log) {
        (void)gy_err_set(err, GY_E_CONFLICT, "%s has a prediction log that is no replica's",
                         r->o.home->dir);
        return gy_err_hint(err, "a replica has a home of its own: --home DIR");
    }
    return GY_OK;
}

/* Once it is known that there is a server to ship to, and before anything is answered. */
static gy_status claim_home(const struct gy_replica *r, struct gy_err *err)
{
    const struct gy_log_marks none = {0};
    return gy_path_exists(r->marks) ? GY_OK : save_marks(r, &none, err);
}

gy_status gy_replica_need_none(const struct gy_home *home, struct gy_err *err)
{
    char marks[GY_MAX_PATH];
    GY_TRY(gy_home_path(home, MARKS, marks, err));
    if (!gy_path_exists(marks)) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_CONFLICT, "%s is the home of a replica", home->dir);
    return gy_err_hint(err, "--home DIR names another; what is logged here is shipped to its "
                            "server and removed");
}

static void init(struct gy_replica *r, const struct gy_replica_options *o)
{
    pthread_condattr_t clock;
    r->o = *o;
    r->turns[GY_REPLICA_POLL].every_ms = o->poll_ms;
    r->turns[GY_REPLICA_SHIP].every_ms = o->ship_ms;
    r->d = (struct gy_deployer){.serving = o->serving, .package = fetch_package, .package_ctx = r};
    gy_buf_init(&r->served, GY_MIB);
    (void)pthread_mutex_init(&r->mu, NULL); /* these can not fail on Linux */
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&r->wakes, &clock);
    (void)pthread_condattr_destroy(&clock);
}

static gy_status begin(struct gy_replica *r, struct gy_err *err)
{
    GY_TRY(gy_home_path(r->o.home, "log", r->log, err));
    GY_TRY(gy_home_path(r->o.home, "cache/models", r->cache, err));
    GY_TRY(gy_home_path(r->o.home, MARKS, r->marks, err));
    GY_TRY(gy_home_path(r->o.home, "refused", r->refused, err));
    GY_TRY(check_home(r, err));
    GY_TRY(open_cursor(r, err));
    GY_TRY(fetch_key(r, err));
    GY_TRY(poll_server(r, err));
    GY_TRY(claim_home(r, err));
    r->stats.up = true;
    r->stats.last_contact_us = gy_now_us();
    return GY_OK;
}

gy_status gy_replica_new(const struct gy_replica_options *o, struct gy_replica **ret,
                         struct gy_err *err)
{
    GY_AUTO(gy_replica_free) struct gy_replica *r = gy_calloc(1, sizeof *r);
    if (!r) {
        return gy_err_set(err, GY_E_NOMEM, "a replica");
    }
    init(r, o);
    GY_TRY(begin(r, err));
    *ret = GY_TAKE(r);
    return GY_OK;
}

gy_status gy_replica_start(struct gy_replica *r, struct gy_err *err)
{
    sigset_t all, old;
    for (int i = 0; i < 2; i++) {
        r->turns[i].next_ns = gy_mono_ns() + r->turns[i].every_ms * 1000000;
    }
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the main thread's */
    int failed = pthread_create(&r->thread, NULL, replica_main, r);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    r->has_thread = failed == 0;
    return failed ? gy_err_sys(err, failed, "starting the replica's thread") : GY_OK;
}

void gy_replica_pause(struct gy_replica *r)
{
    (void)pthread_mutex_lock(&r->mu);
    r->stopping = true;
    (void)pthread_cond_broadcast(&r->wakes);
    (void)pthread_mutex_unlock(&r->mu);
}

void gy_replica_stop(struct gy_replica *r)
{
    if (r->has_thread) {
        gy_replica_pause(r);
        (void)pthread_join(r->thread, NULL);
        r->has_thread = false;
        take_turn(r, GY_REPLICA_SHIP);
    }
}

void gy_replica_free(struct gy_replica *r)
{
    if (r) {
        gy_log_cursor_free(r->cursor);
        gy_buf_done(&r->served);
        drop_batches(r);
        (void)pthread_cond_destroy(&r->wakes);
        (void)pthread_mutex_destroy(&r->mu);
        gy_free(r);
    }
}

void gy_replica_get_stats(struct gy_replica *r, struct gy_replica_stats *ret)
{
    (void)pthread_mutex_lock(&r->mu);
    *ret = r->stats;
    (void)pthread_mutex_unlock(&r->mu);
}

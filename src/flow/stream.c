/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/stream.h"

#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "flow/stream_internal.h"

#define TAKE_MS 200      /* how soon it sees that it is to end */
#define FIRST_WAIT_MS 50 /* of a batch that must wait; then twice that, and so on */
#define LONGEST_WAIT_MS 5000
#define STOPPING_MS 10000          /* told to end, a batch may wait this long */
#define ARENA_BYTES (256 * GY_MIB) /* ids and answers of a batch */

struct stream {
    const struct gy_stream_options *o;
    struct gy_stream_counts *counts;
    struct stream_source *source;
    struct stream_sink *to, *notify, *dead;
    struct stream_asker *asker;
    struct stream_batch batch;
    int64_t stopping_ns; /* when it saw that it is to end; 0: it is not */
    int wait_ms;
};

struct stream_message *gy_stream_add(struct stream_batch *b)
{
    struct stream_message *m = &b->items[b->n++];
    *m = (struct stream_message){0};
    return m;
}

/* ---- addresses ---- */

static gy_status unknown_address(const char *option, const char *text, const char *known,
                                 struct gy_err *err)
{
    gy_err_set(err, GY_E_USAGE, "%s '%.200s': what is that?", option, text);
    return gy_err_hint(err, "it takes %s", known);
}

static gy_status open_source(struct stream *s, struct gy_err *err)
{
    const char *from = s->o->from;
    struct gy_str text = gy_str_c(from);
    struct gy_str brokers, topic;
    if (gy_stream_kafka_url(from, &brokers, &topic)) {
        return gy_stream_from_kafka(s->o, brokers, topic, &s->source, err);
    }
    if (gy_str_eqc(text, "stdin") || gy_str_eqc(text, "-")) {
        return gy_stream_from_stdin(&s->source, err);
    }
    if (gy_str_starts(text, GY_STR("dir:")) && text.n > 4) {
        return gy_stream_from_dir(s->o, from + 4, &s->source, err);
    }
    if (gy_str_starts(text, GY_STR("http:")) && text.n > 5) {
        return gy_stream_from_http(gy_str_sub(text, 5, text.n), &s->source, err);
    }
    return unknown_address("--from", from, "kafka://BROKERS/TOPIC, stdin, dir:PATH or http:PORT",
                           err);
}

static gy_status open_sink(struct stream *s, const char *option, const char *to,
                           struct stream_sink **ret, struct gy_err *err)
{
    struct gy_str text = gy_str_c(to);
    struct gy_str brokers, topic;
    if (gy_stream_kafka_url(to, &brokers, &topic)) {
        return gy_stream_to_kafka(s->o, brokers, topic, ret, err);
    }
    if (gy_str_eqc(text, "stdout") || gy_str_eqc(text, "-")) {
        return gy_stream_to_file(NULL, ret, err);
    }
    if (gy_str_starts(text, GY_STR("file:")) && text.n > 5) {
        return gy_stream_to_file(to + 5, ret, err);
    }
    if (gy_str_starts(text, GY_STR("http://")) || gy_str_starts(text, GY_STR("https://"))) {
        return gy_stream_to_url(to, ret, err);
    }
    return unknown_address(
        option, to, "kafka://BROKERS/TOPIC, stdout, file:PATH, http://... or https://...", err);
}

/* A bare name is a topic beside the others, if there are any, else a file. */
static gy_status open_beside(struct stream *s, const char *option, const char *to,
                             struct stream_sink **ret, struct gy_err *err)
{
    struct gy_str text = gy_str_c(to);
    struct gy_str brokers, topic;
    bool bare =
        gy_str_find(text, ':') == SIZE_MAX && !gy_str_eqc(text, "stdout") && !gy_str_eqc(text, "-");
    if (!bare) {
        return open_sink(s, option, to, ret, err);
    }
    if (gy_str_find(text, '/') == SIZE_MAX && (gy_stream_kafka_url(s->o->to, &brokers, &topic) ||
                                               gy_stream_kafka_url(s->o->from, &brokers, &topic))) {
        return gy_stream_to_kafka(s->o, brokers, text, ret, err);
    }
    return gy_stream_to_file(to, ret, err);
}

static gy_status open_dead(struct stream *s, struct gy_err *err)
{
    char name[256];
    struct gy_str brokers, topic;
    if (s->o->dead_letter) {
        return open_beside(s, "--dead-letter", s->o->dead_letter, &s->dead, err);
    }
    if (!gy_stream_kafka_url(s->o->from, &brokers, &topic)) {
        return gy_stream_to_file("stream-dead.jsonl", &s->dead, err);
    }
    int n = snprintf(name, sizeof name, "%.*s.dead", (int)topic.n, topic.p);
    if (n < 0 || (size_t)n >= sizeof name) {
        return gy_err_set(err, GY_E_USAGE, "the topic's name is too long for a .dead beside it");
    }
    return gy_stream_to_kafka(s->o, brokers, gy_str_n(name, (size_t)n), &s->dead, err);
}

/* ---- waiting ---- */

static bool told_to_stop(struct stream *s)
{
    if (s->o->stop && *s->o->stop && !s->stopping_ns) {
        s->stopping_ns = gy_mono_ns();
    }
    return s->stopping_ns != 0;
}

/* It may pass: wait, ever longer. False: it is to end, and has waited for long enough. */
static bool wait_more(struct stream *s, const struct gy_err *why, struct gy_err *err)
{
    if (told_to_stop(s) && gy_mono_ns() - s->stopping_ns > STOPPING_MS * INT64_C(1000000)) {
        return false;
    }
    if (s->wait_ms == FIRST_WAIT_MS || s->wait_ms == LONGEST_WAIT_MS) {
        gy_log_err(GY_LOG_WARN, "stream", "a batch waits", why);
    }
    s->counts->retries++;
    gy_status status = GY_OK;
    if (s->source->ops->stay) {
        status = s->source->ops->stay(s->source, s->wait_ms, err);
    } else {
        (void)usleep((useconds_t)s->wait_ms * 1000);
    }
    s->wait_ms = s->wait_ms * 2 < LONGEST_WAIT_MS ? s->wait_ms * 2 : LONGEST_WAIT_MS;
    return status == GY_OK;
}

/* The end of trying: *ret_left, nothing was committed. stay: what waiting itself failed with. */
static gy_status give_up(const struct gy_err *why, const struct gy_err *stay, bool *ret_left,
                         struct gy_err *err)
{
    *ret_left = true;
    if (stay->code != GY_OK) {
        return gy_err_set(err, stay->code, "%s", stay->msg);
    }
    gy_log_err(GY_LOG_WARN, "stream", "ended with a batch that the next run reads again", why);
    return GY_OK;
}

/* ---- a batch ---- */

static gy_status ask(struct stream *s, bool *ret_left, struct gy_err *err)
{
    s->wait_ms = FIRST_WAIT_MS;
    for (;;) {
        struct gy_err why = GY_ERR_INIT;
        struct gy_err stay = GY_ERR_INIT;
        size_t n_open = 0;
        gy_status status = gy_stream_ask(s->asker, &s->batch, &n_open, &why);
        if (status == GY_OK && n_open == 0) {
            return GY_OK;
        }
        if (status == GY_OK) {
            (void)gy_err_set(&why, GY_E_UNAVAILABLE, "%zu messages can not be answered now",
                             n_open);
        } else if (!gy_status_retryable(status) && status != GY_E_NOTFOUND) {
            return gy_err_set(err, status, "%s", why.msg);
        }
        if (!wait_more(s, &why, &stay)) {
            return give_up(&why, &stay, ret_left, err);
        }
    }
}

static gy_status put(struct stream *s, uint64_t *dead, uint64_t *notified, struct gy_err *err)
{
    struct stream_sink *sinks[] = {s->to, s->notify, s->dead};
    *dead = *notified = 0;
    for (size_t i = 0; i < 3; i++) {
        if (sinks[i] && sinks[i]->ops->begin) {
            sinks[i]->ops->begin(sinks[i]);
        }
    }
    for (size_t i = 0; i < s->batch.n; i++) {
        struct stream_out out;
        bool notify = false;
        GY_TRY(gy_stream_understand(s->asker, &s->batch.items[i], &out, &notify, err));
        struct stream_sink *to = out.kind == STREAM_DEAD ? s->dead : s->to;
        *dead += out.kind == STREAM_DEAD;
        if (!to || (notify && !s->notify)) {
            return gy_err_set(err, GY_E_FAILED, "the stream has no place for what it answers");
        }
        GY_TRY(to->ops->put(to, &out, err));
        if (notify) {
            out.kind = STREAM_NOTICE;
            *notified += 1;
            GY_TRY(s->notify->ops->put(s->notify, &out, err));
        }
    }
    return GY_OK;
}

static gy_status flush(struct stream *s, struct gy_err *err)
{
    struct stream_sink *sinks[] = {s->to, s->notify, s->dead};
    for (size_t i = 0; i < 3; i++) {
        if (sinks[i]) {
            GY_TRY(sinks[i]->ops->flush(sinks[i], err));
        }
    }
    return GY_OK;
}

static gy_status write_all(struct stream *s, bool *ret_left, struct gy_err *err)
{
    bool again = true;
    uint64_t dead = 0;
    uint64_t notified = 0;
    s->wait_ms = FIRST_WAIT_MS;
    for (;;) {
        struct gy_err why = GY_ERR_INIT;
        struct gy_err stay = GY_ERR_INIT;
        gy_status status = again ? put(s, &dead, &notified, &why) : GY_OK;
        if (status == GY_OK) {
            status = flush(s, &why);
        }
        if (status == GY_OK) {
            s->counts->decided += s->batch.n - dead;
            s->counts->dead += dead;
            s->counts->notified += notified;
            return GY_OK;
        }
        if (!gy_status_retryable(status)) {
            return gy_err_set(err, status, "%s", why.msg);
        }
        again = status != GY_E_TIMEOUT;
        if (!wait_more(s, &why, &stay)) {
            return give_up(&why, &stay, ret_left, err);
        }
    }
}

/* Broker away, coordinator moving: the batch waits, as it does before. */
static gy_status commit(struct stream *s, bool *ret_kept, bool *ret_left, struct gy_err *err)
{
    s->wait_ms = FIRST_WAIT_MS;
    for (;;) {
        struct gy_err why = GY_ERR_INIT;
        struct gy_err stay = GY_ERR_INIT;
        gy_status status = s->source->ops->done(s->source, &s->batch, ret_kept, &why);
        if (status == GY_OK) {
            return GY_OK;
        }
        if (!gy_status_retryable(status)) {
            return gy_err_set(err, status, "%s", why.msg);
        }
        if (!wait_more(s, &why, &stay)) {
            return give_up(&why, &stay, ret_left, err);
        }
    }
}

static gy_status handle(struct stream *s, bool *ret_left, struct gy_err *err)
{
    int64_t start = gy_mono_ns();
    bool kept = true;
    s->counts->read += s->batch.n;
    GY_TRY(ask(s, ret_left, err));
    if (*ret_left) {
        return GY_OK;
    }
    GY_TRY(write_all(s, ret_left, err));
    if (*ret_left) {
        return GY_OK;
    }
    GY_TRY(commit(s, &kept, ret_left, err));
    if (*ret_left) {
        return GY_OK;
    }
    s->counts->unkept += kept ? 0 : 1;
    s->counts->batches++;
    s->counts->busy_ns += (uint64_t)(gy_mono_ns() - start);
    return GY_OK;
}

/* ---- the loop ---- */

static void tell(struct stream *s)
{
    if (s->source->ops->count) {
        s->source->ops->count(s->source, s->counts);
    }
    if (s->o->progress) {
        s->o->progress(s->o->progress_ctx, s->counts);
    }
}

/* How many the next batch may have; 0: enough were read. */
static size_t room(const struct stream *s)
{
    uint64_t read = s->counts->read;
    uint64_t max = (uint64_t)s->o->max_messages;
    if (max == 0) {
        return GY_STREAM_BATCH;
    }
    uint64_t left = max > read ? max - read : 0;
    return left < GY_STREAM_BATCH ? (size_t)left : GY_STREAM_BATCH;
}

static gy_status loop(struct stream *s, struct gy_err *err)
{
    int64_t last_ns = gy_mono_ns();
    bool end = false;
    bool left = false;
    while (!end && !left && room(s) > 0 && !told_to_stop(s)) {
        s->batch.n = 0;
        gy_arena_reset(&s->batch.arena);
        GY_TRY(s->source->ops->take(s->source, TAKE_MS, room(s), &s->batch, &end, err));
        if (s->batch.n > 0) {
            GY_TRY(handle(s, &left, err));
            last_ns = gy_mono_ns();
        }
        tell(s);
        if (s->o->idle_ms && (gy_mono_ns() - last_ns) / 1000000 >= s->o->idle_ms) {
            return GY_OK;
        }
    }
    return GY_OK;
}

static gy_status open_all(struct stream *s, struct gy_err *err)
{
    s->batch.items = gy_calloc(GY_STREAM_BATCH, sizeof *s->batch.items);
    if (!s->batch.items) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a stream");
    }
    GY_TRY(gy_stream_asker_new(s->o, &s->asker, err));
    GY_TRY(open_sink(s, "--to", s->o->to, &s->to, err));
    if (s->o->notify) {
        GY_TRY(open_beside(s, "--notify", s->o->notify, &s->notify, err));
    }
    GY_TRY(open_dead(s, err));
    GY_TRY(gy_stream_ask_nothing(s->asker, err));
    return open_source(s, err);
}

static void close_all(struct stream *s)
{
    struct stream_sink *sinks[] = {s->to, s->notify, s->dead};
    if (s->source) {
        s->source->ops->free(s->source);
    }
    for (size_t i = 0; i < 3; i++) {
        if (sinks[i]) {
            sinks[i]->ops->free(sinks[i]);
        }
    }
    gy_stream_asker_free(s->asker);
    gy_arena_done(&s->batch.arena);
    gy_free(s->batch.items);
}

gy_status gy_stream_run(const struct gy_stream_options *o, struct gy_stream_counts *counts,
                        struct gy_err *err)
{
    struct stream s = {.o = o, .counts = counts};
    gy_arena_init(&s.batch.arena, ARENA_BYTES);
    gy_status status = open_all(&s, err);
    if (status == GY_OK) {
        status = loop(&s, err);
    }
    close_all(&s);
    return status;
}

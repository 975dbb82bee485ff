/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/receive.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "serve/predlog_internal.h"

struct stream {
    unsigned char boot[16];
    uint32_t ring, number; /* of the segment to write to */
    uint64_t last_seq;
    uint64_t bytes; /* of it; 0: it is not there yet */
    uint64_t used;  /* the receiver's clock when it was asked for last */
    bool unnamed;   /* the folder was not synced since the segment was made */
};

struct gy_receiver {
    char dir[GY_MAX_PATH];
    size_t segment_bytes;
    pthread_mutex_t mu; /* all below */
    struct stream *streams;
    size_t n;
    uint64_t clock; /* counts batches */
    bool has_own;
    unsigned char own[16]; /* boot of the log itself */
    struct gy_receiver_stats stats;
};

gy_status gy_receiver_new(const char *dir, size_t segment_bytes, struct gy_receiver **ret,
                          struct gy_err *err)
{
    struct gy_receiver *r = gy_calloc(1, sizeof *r);
    if (!r || strlen(dir) >= sizeof r->dir) {
        gy_free(r);
        return gy_err_set(err, GY_E_NOMEM, "receiving records of replicas");
    }
    memcpy(r->dir, dir, strlen(dir) + 1);
    r->segment_bytes = segment_bytes;
    (void)pthread_mutex_init(&r->mu, NULL); /* can not fail on Linux */
    *ret = r;
    return GY_OK;
}

void gy_receiver_own(struct gy_receiver *r, const unsigned char boot[16])
{
    memcpy(r->own, boot, sizeof r->own);
    r->has_own = true;
}

static gy_status path_of(const struct gy_receiver *r, const struct stream *s, char out[GY_MAX_PATH],
                         struct gy_err *err)
{
    char name[128];
    gy_segment_name(s->boot, s->ring, s->number, ".seg", name);
    return gy_path_join(out, GY_MAX_PATH, r->dir, name, err);
}

/* The open segment ends here. */
static gy_status seal(const struct gy_receiver *r, struct stream *s, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    struct gy_segment_info info;
    if (s->bytes == 0) {
        return GY_OK;
    }
    GY_TRY(path_of(r, s, path, err));
    GY_TRY(gy_segment_seal(path, &info, err));
    s->number++;
    s->bytes = 0;
    return GY_OK;
}

gy_status gy_receiver_rotate(struct gy_receiver *r, struct gy_err *err)
{
    gy_status st = GY_OK;
    pthread_mutex_lock(&r->mu);
    for (size_t i = 0; st == GY_OK && i < r->n; i++) {
        st = seal(r, &r->streams[i], err);
    }
    pthread_mutex_unlock(&r->mu);
    return st;
}

void gy_receiver_free(struct gy_receiver *r)
{
    if (r) {
        GY_IGNORE(gy_receiver_rotate(r, NULL)); /* the next start does it */
        pthread_mutex_destroy(&r->mu);
        gy_free(r->streams);
        gy_free(r);
    }
}

struct looking {
    const char *dir;
    struct stream *s;
};

/* What an earlier life of this server has of the stream. */
static gy_status look(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct looking *l = ctx;
    unsigned char boot[16];
    uint32_t ring, number;
    char path[GY_MAX_PATH];
    struct gy_segment_info info;
    if (is_dir || !gy_segment_parse_name(name, boot, &ring, &number) || ring != l->s->ring ||
        memcmp(boot, l->s->boot, 16) != 0) {
        return GY_OK;
    }
    GY_TRY(gy_path_join(path, sizeof path, l->dir, name, err));
    l->s->number = number >= l->s->number ? number + 1 : l->s->number;
    if (gy_segment_sealed(path, &info, NULL) != GY_OK) {
        gy_status st = gy_segment_scan(path, &info, err);
        if (st == GY_E_NOTFOUND || st == GY_E_CORRUPT) {
            return GY_OK; /* retention took it meanwhile; or nothing of it counts as received */
        }
        GY_TRY(st);
    }
    l->s->last_seq = info.last_seq > l->s->last_seq ? info.last_seq : l->s->last_seq;
    return GY_OK;
}

/* Before anything is acknowledged, also what was written by a call that failed afterwards. */
static gy_status name_segments(const struct gy_receiver *r, struct stream *s, struct gy_err *err)
{
    GY_TRY(s->unnamed ? gy_dir_sync(r->dir, err) : GY_OK);
    s->unnamed = false;
    return GY_OK;
}

/* Replicas that start again and again leave streams behind that nobody writes to any more. */
static gy_status forget_quietest(struct gy_receiver *r, struct gy_err *err)
{
    size_t quietest = 0;
    for (size_t i = 1; i < r->n; i++) {
        quietest = r->streams[i].used < r->streams[quietest].used ? i : quietest;
    }
    GY_TRY(seal(r, &r->streams[quietest], err));
    GY_TRY(name_segments(r, &r->streams[quietest], err));
    r->streams[quietest] = r->streams[--r->n];
    return GY_OK;
}

static gy_status find_stream(struct gy_receiver *r, const unsigned char boot[16], uint32_t ring,
                             struct stream **ret, struct gy_err *err)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->streams[i].ring == ring && memcmp(r->streams[i].boot, boot, 16) == 0) {
            *ret = &r->streams[i];
            return GY_OK;
        }
    }
    struct stream s = {.ring = ring};
    struct looking l = {r->dir, &s};
    memcpy(s.boot, boot, 16);
    GY_TRY(gy_dir_each(r->dir, look, &l, err));
    GY_TRY(r->n == GY_RECEIVER_MAX_STREAMS ? forget_quietest(r, err) : GY_OK);
    struct stream *more = gy_reallocarray(r->streams, r->n + 1, sizeof *more);
    if (!more) {
        return gy_err_set(err, GY_E_NOMEM, "receiving records of replicas");
    }
    r->streams = more;
    r->streams[r->n] = s;
    *ret = &r->streams[r->n++];
    return GY_OK;
}

/* ---- what comes ---- */

void gy_sifted_init(struct gy_sifted *s)
{
    *s = (struct gy_sifted){0};
    gy_buf_init(&s->good, GY_RECEIVER_MAX_BATCH + GY_RECORD_MAX_BYTES);
    gy_buf_init(&s->refused, GY_RECEIVER_MAX_BATCH);
}

void gy_sifted_done(struct gy_sifted *s)
{
    gy_buf_done(&s->good);
    gy_buf_done(&s->refused);
}

/* The frame at `at`, its checksum computed. */
static gy_status look_at_frame(struct gy_str frames, size_t at, uint64_t last, size_t *ret_bytes,
                               uint64_t *ret_seq, struct gy_err *err)
{
    unsigned char id[16];
    if (gy_frame_look(frames.p, frames.n, at, ret_bytes) != GY_FRAME_GOOD ||
        gy_frame_kind(frames.p + at) != GY_FRAME_RECORD) {
        return gy_err_set(err, GY_E_CORRUPT, "the batch has a bad record at byte %zu", at);
    }
    gy_record_peek(frames.p + at, id, ret_seq);
    return *ret_seq > last
               ? GY_OK
               : gy_err_set(err, GY_E_INVALID, "the records of the batch are not in order");
}

gy_status gy_receiver_sift(struct gy_str frames, gy_receiver_may_fn may, void *ctx,
                           struct gy_sifted *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    for (size_t at = 0, bytes; at < frames.n; at += bytes) {
        struct gy_record r;
        const char *why = NULL;
        uint64_t seq;
        gy_arena_reset(&a);
        GY_TRY(look_at_frame(frames, at, ret->through, &bytes, &seq, err));
        /* A checksum that is right says nothing of what it stands over: every later reader would
         * stumble over a content that can not be read. */
        gy_status st = gy_record_read(frames.p + at, bytes, &a, &r, err);
        if (st != GY_OK) {
            return gy_err_wrap(err, "the batch's record at byte %zu", at);
        }
        GY_TRY(may(ctx, &r, &why, err));
        if (why) {
            ret->why = ret->why ? ret->why : why;
            gy_buf_add_bytes(&ret->refused, &seq, sizeof seq);
        } else {
            gy_buf_add(&ret->good, gy_str_sub(frames, at, bytes));
        }
        ret->through = seq;
    }
    GY_TRY(gy_buf_check(&ret->good, "records of a replica", err));
    return gy_buf_check(&ret->refused, "records of a replica", err);
}

/* Which part of the batch is new; everything is looked at before anything is written. */
static gy_status check(const struct stream *s, struct gy_str frames, struct gy_str *ret_new,
                       struct gy_received *ret, struct gy_err *err)
{
    uint64_t last = 0;
    *ret_new = gy_str_n(frames.p + frames.n, 0);
    ret->last_seq = s->last_seq;
    for (size_t at = 0, bytes; at < frames.n; at += bytes) {
        uint64_t seq;
        GY_TRY(look_at_frame(frames, at, last, &bytes, &seq, err));
        last = seq;
        if (seq > s->last_seq) {
            *ret_new = ret->records == 0 ? gy_str_sub(frames, at, SIZE_MAX) : *ret_new;
            ret->records++;
            ret->last_seq = seq;
        }
    }
    return GY_OK;
}

/* A write that fails half-way is taken back: half a frame would be damage. */
static gy_status append(int fd, struct stream *s, struct gy_str bytes, struct gy_err *err)
{
    char header[GY_SEGMENT_HEADER];
    gy_segment_header(s->boot, s->ring, s->number, header);
    gy_status st = s->bytes == 0 ? gy_predlog_write_all(fd, header, sizeof header, err) : GY_OK;
    if (st == GY_OK) {
        st = gy_predlog_write_all(fd, bytes.p, bytes.n, err);
    }
    if (st == GY_OK && fdatasync(fd) != 0) {
        st = gy_err_sys(err, errno, "syncing records of a replica");
    }
    if (st != GY_OK && ftruncate(fd, (off_t)s->bytes) != 0) {
        s->number++; /* the next batch goes elsewhere */
        s->bytes = 0;
    }
    return st;
}

static gy_status write_new(const struct gy_receiver *r, struct stream *s, struct gy_str bytes,
                           uint64_t last_seq, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(path_of(r, s, path, err));
    bool fresh = s->bytes == 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (fresh ? O_TRUNC : 0), 0644);
    if (fd < 0) {
        return gy_err_sys(err, errno, "open %s", path);
    }
    gy_status st = append(fd, s, bytes, err);
    (void)close(fd); /* synced */
    GY_TRY(st);
    s->last_seq = last_seq; /* they are there, whatever fails from here on */
    s->bytes += bytes.n + (fresh ? GY_SEGMENT_HEADER : 0);
    s->unnamed = s->unnamed || fresh;
    return s->bytes >= r->segment_bytes ? seal(r, s, err) : GY_OK;
}

/* Of a stream without files here (a new one, or retention took them): a number that no file of it
 * had, so that no reader takes the new one for an old one. Each file has a record at least. */
static void number_anew(struct stream *s, struct gy_str fresh)
{
    unsigned char id[16];
    uint64_t seq;
    if (s->number == 0 && s->last_seq == 0 && s->bytes == 0) {
        gy_record_peek(fresh.p, id, &seq);
        s->number = seq - 1 < UINT32_MAX / 2 ? (uint32_t)(seq - 1) : UINT32_MAX / 2;
    }
}

gy_status gy_receiver_take(struct gy_receiver *r, const unsigned char boot[16], uint32_t ring,
                           struct gy_str frames, struct gy_received *ret, struct gy_err *err)
{
    struct stream *s = NULL;
    struct gy_str fresh;
    *ret = (struct gy_received){0};
    if (r->has_own && memcmp(r->own, boot, sizeof r->own) == 0) {
        (void)gy_err_set(err, GY_E_CONFLICT, "these records are said to be of this server itself");
        return gy_err_hint(err, "a replica ships to another server than its own");
    }
    pthread_mutex_lock(&r->mu);
    gy_status st = find_stream(r, boot, ring, &s, err);
    if (st == GY_OK) {
        s->used = ++r->clock;
        st = check(s, frames, &fresh, ret, err);
    }
    if (st == GY_OK && ret->records > 0) {
        number_anew(s, fresh);
        st = write_new(r, s, fresh, ret->last_seq, err);
    }
    if (st == GY_OK) {
        st = name_segments(r, s, err);
    }
    r->stats.records += st == GY_OK ? ret->records : 0;
    pthread_mutex_unlock(&r->mu);
    return st;
}

void gy_receiver_refused(struct gy_receiver *r, uint64_t records, uint64_t damaged)
{
    pthread_mutex_lock(&r->mu);
    r->stats.refused += records;
    r->stats.damaged += damaged;
    pthread_mutex_unlock(&r->mu);
}

void gy_receiver_get_stats(struct gy_receiver *r, struct gy_receiver_stats *ret)
{
    pthread_mutex_lock(&r->mu);
    *ret = r->stats;
    pthread_mutex_unlock(&r->mu);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "serve/predlog_internal.h"
#include "serve/ring.h"

#define MAX_NAMES_BYTES (64 * GY_MIB)

gy_status gy_predlog_key(const char *dir, char out[17], struct gy_err *err)
{
    struct stat st;
    if (stat(dir, &st) != 0) {
        return gy_err_sys(err, errno, "stat %s", dir);
    }
    (void)snprintf(out, 17, "%016llx",
                   (unsigned long long)st.st_ino ^ (unsigned long long)st.st_dev << 44);
    return GY_OK;
}

/* ---- what a process was writing when it was killed ---- */

/* The last segment of a ring, left open, and the bytes behind its last good record. */
struct torn {
    const char *path;
    int fd;
    uint64_t after; /* number of that record, 0: there is none */
    uint64_t at, n; /* where these bytes begin, how many they are */
    bool compared;
    bool finished;
};

static gy_status is_beginning(const struct torn *t, const char *frame, bool *ret,
                              struct gy_err *err)
{
    char have[4096];
    *ret = true;
    for (uint64_t at = 0; *ret && at < t->n;) {
        uint64_t want = t->n - at < sizeof have ? t->n - at : sizeof have;
        ssize_t got = pread(t->fd, have, (size_t)want, (off_t)(t->at + at));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return gy_err_sys(err, got < 0 ? errno : EIO, "reading %s", t->path);
        }
        *ret = memcmp(have, frame + at, (size_t)got) == 0;
        at += (uint64_t)got;
    }
    return GY_OK;
}

/* Only the first record that the segment does not have can be the one that was torn: a later one
 * would make those before it look as if they had been drained. */
static gy_status finish_frame(void *ctx, const char *frame, size_t n, struct gy_err *err)
{
    struct torn *t = ctx;
    unsigned char id[16];
    uint64_t seq;
    gy_record_peek(frame, id, &seq);
    if (t->compared || seq <= t->after) {
        return GY_OK;
    }
    t->compared = true;
    bool begins = t->n < n;
    if (begins) {
        GY_TRY(is_beginning(t, frame, &begins, err));
    }
    if (begins) {
        GY_TRY(gy_predlog_write_all(t->fd, frame + t->n, n - t->n, err));
        t->finished = true;
    }
    return GY_OK;
}

static gy_status finish_segment(struct gy_ring *ring, struct torn *t, struct gy_err *err)
{
    uint64_t bad; /* counted when the ring is drained */
    t->fd = open(t->path, O_RDWR | O_APPEND | O_CLOEXEC);
    if (t->fd < 0) {
        return gy_err_sys(err, errno, "open %s", t->path);
    }
    gy_status st = gy_ring_each(ring, finish_frame, t, &bad, err);
    if (st == GY_OK && t->finished && fdatasync(t->fd) != 0) {
        st = gy_err_sys(err, errno, "syncing %s", t->path); /* the ring goes after this */
    }
    (void)close(t->fd);
    return st;
}

/* ---- segments left open ---- */

/* A process that was killed between write and fdatasync left bytes that may be in memory alone.
 * From here on they count as kept: a replica that asks is told so, and removes its own. */
static gy_status sync_segment(const char *path, struct gy_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool failed = fd < 0 || fdatasync(fd) != 0;
    gy_status st = failed ? gy_err_sys(err, errno, "syncing %s", path) : GY_OK;
    if (fd >= 0) {
        (void)close(fd); /* only read from */
    }
    return st;
}

struct sealing {
    const char *dir;
    struct gy_predlog_recovery *found;
};

static gy_status seal_one(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct sealing *s = ctx;
    unsigned char boot[16];
    uint32_t ring;
    uint32_t number;
    if (is_dir || !gy_segment_parse_name(name, boot, &ring, &number)) {
        return GY_OK;
    }
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, s->dir, name, err));
    struct gy_segment_info info = {0};
    if (gy_segment_sealed(path, &info, NULL) != GY_OK) {
        /* A file shorter than its header was being made when the process died: nothing is in it. */
        struct gy_err why = GY_ERR_INIT;
        gy_status st = sync_segment(path, &why);
        st = st == GY_OK ? gy_segment_seal(path, &info, &why) : st;
        if (st == GY_E_CORRUPT && gy_file_size(path) < GY_SEGMENT_HEADER) {
            return unlink(path) == 0 ? GY_OK : gy_err_sys(err, errno, "unlink %s", path);
        }
        if (st == GY_E_CORRUPT) {
            /* It stays where it is for a person to look at, and counts. */
            gy_log_err(GY_LOG_WARN, "predlog", "a log segment can not be read", &why);
            s->found->bad++;
            return GY_OK;
        }
        if (st != GY_OK) {
            if (err) {
                *err = why;
            }
            return st;
        }
    }
    s->found->segments++;
    s->found->holes += info.holes;
    s->found->bad += info.bad;
    return GY_OK;
}

/* ---- rings left behind ---- */

struct last {
    const unsigned char *boot;
    uint32_t ring;
    const char *dir;
    bool any;
    uint32_t number;
    uint64_t seq;
};

/* The newest segment of a ring: its number and last record. */
static gy_status find_last(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct last *l = ctx;
    unsigned char boot[16];
    uint32_t ring;
    uint32_t number;
    if (is_dir || !gy_segment_parse_name(name, boot, &ring, &number) || ring != l->ring ||
        memcmp(boot, l->boot, 16) != 0) {
        return GY_OK;
    }
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, l->dir, name, err));
    struct gy_segment_info info = {0};
    if (!l->any || number > l->number) {
        l->number = number;
    }
    l->any = true;
    if (gy_segment_sealed(path, &info, NULL) == GY_OK && info.records && info.last_seq > l->seq) {
        l->seq = info.last_seq;
    }
    return GY_OK;
}

struct draining {
    struct gy_buf out;
    uint64_t after; /* records up to here are in a segment already */
    uint64_t records;
};

static gy_status drain_frame(void *ctx, const char *frame, size_t n, struct gy_err *err)
{
    struct draining *d = ctx;
    unsigned char id[16];
    uint64_t seq;
    gy_record_peek(frame, id, &seq);
    if (seq <= d->after) {
        return GY_OK;
    }
    gy_buf_add_bytes(&d->out, frame, n);
    d->records++;
    return gy_buf_check(&d->out, "a ring of the prediction log", err);
}

/* SIGKILL can end a write(2) half-way: then the segment ends in a piece of a record which the ring
 * still has whole. To drain it into the next segment would lose nothing, but the piece would be
 * damage for ever, to every reader, where there is none. So the write is carried on where it
 * stopped, before the segment is sealed: a reader that stands at the piece sees its rest come. A
 * piece that is not the beginning of that record is damage, and stays. */
static gy_status finish_torn(const char *dir, struct gy_ring *ring,
                             struct gy_predlog_recovery *found, struct gy_err *err)
{
    struct last last = {.boot = gy_ring_boot(ring), .ring = gy_ring_number(ring), .dir = dir};
    char name[128];
    char path[GY_MAX_PATH];
    struct gy_segment_info info;
    GY_TRY(gy_dir_each(dir, find_last, &last, err));
    gy_segment_name(last.boot, last.ring, last.number, ".seg", name);
    GY_TRY(gy_path_join(path, sizeof path, dir, name, err));
    if (!last.any || gy_segment_sealed(path, &info, NULL) == GY_OK ||
        gy_segment_scan(path, &info, NULL) != GY_OK) {
        return GY_OK; /* what can not be read is told when it is sealed */
    }
    int64_t size = gy_file_size(path);
    if (size <= (int64_t)info.bytes) {
        return GY_OK;
    }
    struct torn t = {.path = path,
                     .after = info.records ? info.last_seq : last.seq,
                     .at = info.bytes,
                     .n = (uint64_t)size - info.bytes};
    GY_TRY(finish_segment(ring, &t, err));
    found->records += t.finished;
    return GY_OK;
}

static gy_status write_segment(const char *path, const struct gy_ring *ring, uint32_t number,
                               struct gy_str records, struct gy_err *err)
{
    char header[GY_SEGMENT_HEADER];
    gy_segment_header(gy_ring_boot(ring), gy_ring_number(ring), number, header);
    GY_AUTO(gy_file_writer_free) struct gy_file_writer *w = NULL;
    GY_TRY(gy_file_writer_open(path, 0644, &w, err));
    GY_TRY(gy_file_writer_write(w, gy_str_n(header, sizeof header), err));
    GY_TRY(gy_file_writer_write(w, records, err));
    return gy_file_writer_commit(w, NULL, err);
}

static gy_status drain_ring(const char *dir, struct gy_ring *ring,
                            struct gy_predlog_recovery *found, struct gy_err *err)
{
    struct last last = {.boot = gy_ring_boot(ring), .ring = gy_ring_number(ring), .dir = dir};
    GY_TRY(gy_dir_each(dir, find_last, &last, err));
    struct draining d = {.after = last.seq};
    gy_buf_init(&d.out, 2 * GY_GIB);
    uint64_t bad = 0;
    gy_status st = gy_ring_each(ring, drain_frame, &d, &bad, err);
    found->bad += bad;
    if (st == GY_OK && d.records > 0) {
        uint32_t number = last.any ? last.number + 1 : 0;
        char name[128];
        char path[GY_MAX_PATH];
        struct gy_segment_info info = {0};
        gy_segment_name(last.boot, last.ring, number, ".seg", name);
        st = gy_path_join(path, sizeof path, dir, name, err);
        if (st == GY_OK) {
            st = write_segment(path, ring, number, gy_buf_str(&d.out), err);
        }
        if (st == GY_OK) {
            st = gy_segment_seal(path, &info, err);
        }
        found->segments += st == GY_OK;
        found->records += st == GY_OK ? d.records : 0;
        found->holes += info.holes;
    }
    gy_buf_done(&d.out);
    return st;
}

struct rings {
    const char *dir;
    const char *ring_dir;
    char prefix[32];
    struct gy_predlog_recovery *found;
};

static bool is_ring(const struct rings *r, const char *name, bool is_dir)
{
    struct gy_str s = gy_str_c(name);
    return !is_dir && gy_str_starts(s, gy_str_c(r->prefix)) && gy_str_ends(s, GY_STR(".ring"));
}

static gy_status finish_ring(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct rings *r = ctx;
    char path[GY_MAX_PATH];
    if (!is_ring(r, name, is_dir)) {
        return GY_OK;
    }
    GY_TRY(gy_path_join(path, sizeof path, r->ring_dir, name, err));
    GY_AUTO(gy_ring_close) struct gy_ring *ring = NULL;
    /* One that can not be read is told when it is drained. */
    return gy_ring_open(path, &ring, NULL) == GY_OK ? finish_torn(r->dir, ring, r->found, err)
                                                    : GY_OK;
}

static gy_status recover_ring(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct rings *r = ctx;
    char path[GY_MAX_PATH];
    if (!is_ring(r, name, is_dir)) {
        return GY_OK;
    }
    GY_TRY(gy_path_join(path, sizeof path, r->ring_dir, name, err));
    GY_AUTO(gy_ring_close) struct gy_ring *ring = NULL;
    struct gy_err why = GY_ERR_INIT;
    gy_status st = gy_ring_open(path, &ring, &why);
    if (st == GY_E_CORRUPT) {
        /* Killed while it was made: nothing can be in it. A damaged one is as unreadable. */
        gy_log_err(GY_LOG_WARN, "predlog", "a log ring can not be read", &why);
        r->found->bad++;
        (void)unlink(path);
        return GY_OK;
    }
    if (st == GY_OK) {
        st = drain_ring(r->dir, ring, r->found, &why);
    }
    if (st != GY_OK) {
        if (err) {
            *err = why;
        }
        (void)gy_err_wrap(err, "recovering %s", path);
        return st;
    }
    r->found->rings++;
    return unlink(path) == 0 ? GY_OK : gy_err_sys(err, errno, "unlink %s", path);
}

static gy_status each_ring_in(const char *dir, const char *ring_dir, gy_dir_fn fn,
                              struct gy_predlog_recovery *found, struct gy_err *err)
{
    struct rings r = {.dir = dir, .ring_dir = ring_dir, .found = found};
    char key[17];
    GY_TRY(gy_predlog_key(dir, key, err));
    (void)snprintf(r.prefix, sizeof r.prefix, GY_RING_PREFIX "%s-", key);
    return gy_path_is_dir(ring_dir) ? gy_dir_each(ring_dir, fn, &r, err) : GY_OK;
}

static gy_status each_ring(const char *dir, const char *ring_dir, gy_dir_fn fn,
                           struct gy_predlog_recovery *found, struct gy_err *err)
{
    GY_TRY(each_ring_in(dir, ring_dir ? ring_dir : GY_RING_DIR, fn, found, err));
    return each_ring_in(dir, dir, fn, found, err); /* where there was no tmpfs */
}

gy_status gy_predlog_recover(const char *dir, const char *ring_dir, struct gy_predlog_recovery *ret,
                             struct gy_err *err)
{
    struct sealing s = {dir, ret};
    GY_TRY(each_ring(dir, ring_dir, finish_ring, ret, err));
    GY_TRY(gy_dir_each(dir, seal_one, &s, err));
    GY_TRY(each_ring(dir, ring_dir, recover_ring, ret, err));
    if (ret->rings) {
        gy_log(GY_LOG_INFO, "predlog", "recovered rings", GY_KV_I("rings", ret->rings),
               GY_KV_I("records", ret->records), GY_KV_I("bad", ret->bad));
    }
    return GY_OK;
}

/* ---- looking things up ---- */

struct names {
    struct gy_arena *a;
    struct name {
        struct gy_str text;
        struct name *next;
    } * newest;
};

static gy_status collect(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct names *n = ctx;
    unsigned char boot[16];
    uint32_t ring;
    uint32_t number;
    if (is_dir || !gy_segment_parse_name(name, boot, &ring, &number)) {
        return GY_OK;
    }
    struct name *one = gy_arena_alloc(n->a, sizeof *one);
    if (!one || !(one->text = gy_arena_str(n->a, gy_str_c(name))).p) {
        return gy_err_set(err, GY_E_NOMEM, "names of log segments");
    }
    one->next = n->newest;
    n->newest = one;
    return GY_OK;
}

struct wanted {
    const unsigned char *id;
    struct gy_arena *a;
    struct gy_record *out;
    size_t n;
};

static bool complete(const struct wanted *w)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < w->n; i++) {
        rows += w->out[i].n_rows;
    }
    return w->n > 0 && rows >= w->out[0].total_rows;
}

/* Can the segment hold the id? quick: by its index; one that is not sealed can always. */
static bool may_hold(const char *path, const unsigned char id[16])
{
    unsigned char least[16], greatest[16];
    uint64_t records = 0;
    return gy_segment_ids(path, least, greatest, &records, NULL) != GY_OK ||
           (records > 0 && memcmp(least, id, 16) <= 0 && memcmp(id, greatest, 16) <= 0);
}

static gy_status find_in_segment(const char *dir, const char *name, bool quick, struct wanted *w,
                                 struct gy_err *err)
{
    char path[GY_MAX_PATH];
    unsigned char boot[16];
    uint32_t ring;
    uint32_t number;
    /* The first 6 bytes of both are milliseconds: a server gives no id before it started. */
    if (!gy_segment_parse_name(name, boot, &ring, &number) || memcmp(boot, w->id, 6) > 0) {
        return GY_OK;
    }
    GY_TRY(gy_path_join(path, sizeof path, dir, name, err));
    if (quick && !may_hold(path, w->id)) {
        return GY_OK;
    }
    gy_status st =
        quick ? gy_segment_find_quick(path, w->id, w->a, w->out, GY_PREDLOG_MAX_PARTS, &w->n, err)
              : gy_segment_find(path, w->id, w->a, w->out, GY_PREDLOG_MAX_PARTS, &w->n, err);
    bool gone = st != GY_OK && !gy_path_exists(path); /* pruned meanwhile */
    return st == GY_E_CORRUPT || gone ? GY_OK : st;
}

/* The newest segments first. What the quick way does not find (all parts of) is looked for again in
 * every place. */
static gy_status find_in_segments(const char *dir, struct wanted *w, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, MAX_NAMES_BYTES);
    struct names names = {.a = &a};
    GY_TRY(gy_dir_each(dir, collect, &names, err));
    for (int quick = 1; quick >= 0 && !complete(w); quick--) {
        w->n = 0;
        for (struct name *one = names.newest; one && !complete(w); one = one->next) {
            GY_TRY(find_in_segment(dir, one->text.p, quick, w, err));
        }
    }
    return GY_OK;
}

static gy_status match_frame(void *ctx, const char *frame, size_t n, struct gy_err *err)
{
    struct wanted *w = ctx;
    unsigned char id[16];
    uint64_t seq;
    gy_record_peek(frame, id, &seq);
    if (memcmp(id, w->id, 16) != 0 || w->n == GY_PREDLOG_MAX_PARTS) {
        return GY_OK;
    }
    GY_TRY(gy_record_read(frame, n, w->a, &w->out[w->n], err));
    w->n++;
    return GY_OK;
}

struct looking {
    const char *ring_dir;
    char prefix[32];
    struct wanted *w;
};

static gy_status look_in_ring(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct looking *k = ctx;
    struct gy_str s = gy_str_c(name);
    if (is_dir || !gy_str_starts(s, gy_str_c(k->prefix)) || !gy_str_ends(s, GY_STR(".ring")) ||
        complete(k->w)) {
        return GY_OK;
    }
    char path[GY_MAX_PATH];
    uint64_t bad;
    GY_TRY(gy_path_join(path, sizeof path, k->ring_dir, name, err));
    GY_AUTO(gy_ring_close) struct gy_ring *ring = NULL;
    if (gy_ring_open(path, &ring, NULL) != GY_OK) {
        return GY_OK; /* being made, or drained and removed meanwhile */
    }
    return gy_ring_each(ring, match_frame, k->w, &bad, err);
}

static gy_status find_in_rings(const char *dir, const char *ring_dir, struct wanted *w,
                               struct gy_err *err)
{
    struct looking k = {.ring_dir = ring_dir, .w = w};
    char key[17];
    GY_TRY(gy_predlog_key(dir, key, err));
    (void)snprintf(k.prefix, sizeof k.prefix, GY_RING_PREFIX "%s-", key);
    return gy_path_is_dir(ring_dir) ? gy_dir_each(ring_dir, look_in_ring, &k, err) : GY_OK;
}

static void sort_parts(struct gy_record *r, size_t n)
{
    for (size_t i = 1; i < n; i++) { /* nearly always in order */
        for (size_t k = i; k > 0 && r[k].first_row < r[k - 1].first_row; k--) {
            struct gy_record swap = r[k];
            r[k] = r[k - 1];
            r[k - 1] = swap;
        }
    }
}

gy_status gy_predlog_find(struct gy_predlog *live, const char *dir, const char *ring_dir,
                          const unsigned char id[16], struct gy_arena *a, struct gy_record **ret,
                          size_t *ret_n, struct gy_err *err)
{
    struct wanted w = {.id = id, .a = a};
    w.out = gy_arena_calloc(a, GY_PREDLOG_MAX_PARTS, sizeof *w.out);
    if (!w.out) {
        return gy_err_set(err, GY_E_NOMEM, "looking up a prediction");
    }
    if (live) {
        GY_TRY(gy_predlog_flush(live, false, err));
    }
    if (gy_path_is_dir(dir)) {
        GY_TRY(find_in_segments(dir, &w, err));
        if (!complete(&w) && !live) {
            GY_TRY(find_in_rings(dir, ring_dir ? ring_dir : GY_RING_DIR, &w, err));
            GY_TRY(find_in_rings(dir, dir, &w, err));
        }
    }
    if (w.n == 0) {
        char text[GY_UUID_TEXT];
        gy_uuid_text(id, text);
        (void)gy_err_set(err, GY_E_NOTFOUND, "no prediction %s in the log", text);
        (void)gy_err_hint(err, "the id is in each answer: prediction_id, or the header "
                               "Gyre-Prediction-Id");
        return GY_E_NOTFOUND;
    }
    sort_parts(w.out, w.n);
    *ret = w.out;
    *ret_n = w.n;
    return GY_OK;
}

struct each {
    const char *dir;
    gy_record_fn fn;
    void *ctx;
};

static gy_status each_segment(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct each *e = ctx;
    unsigned char boot[16];
    uint32_t ring;
    uint32_t number;
    if (is_dir || !gy_segment_parse_name(name, boot, &ring, &number)) {
        return GY_OK;
    }
    char path[GY_MAX_PATH];
    GY_TRY(gy_path_join(path, sizeof path, e->dir, name, err));
    struct gy_err why = GY_ERR_INIT;
    gy_status st = gy_segment_each(path, e->fn, e->ctx, &why);
    if (st == GY_OK || st == GY_E_CORRUPT || (st == GY_E_NOTFOUND && !gy_path_exists(path))) {
        return GY_OK; /* what can not be read was counted at recovery; what is gone was pruned */
    }
    if (err) {
        *err = why;
    }
    return st;
}

gy_status gy_predlog_each(const char *dir, gy_record_fn fn, void *ctx, struct gy_err *err)
{
    struct each e = {dir, fn, ctx};
    return gy_dir_each(dir, each_segment, &e, err);
}

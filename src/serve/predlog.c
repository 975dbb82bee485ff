/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/predlog.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "serve/predlog_internal.h"
#include "serve/ring.h"

#define RING_BYTES (4 * GY_MIB)
#define SHARED_RING_MIN (256 * GY_KIB)
#define SEGMENT_BYTES (16 * GY_MIB)
#define FULL_MAX 16    /* segments that wait for being sealed; more, and the flusher waits too */
#define TICK_MS_MAX 25 /* the flusher looks at least so often */

/* One ring and the segment it flows into. `mu` of the log guards fd, number and the byte counts
 * between flusher and syncer; the flusher alone changes them. */
struct stream {
    struct gy_ring *ring;
    char ring_path[GY_MAX_PATH];
    atomic_uint_fast64_t refused;
    uint64_t since_wake; /* the producer's: bytes since it last woke the flusher */
    int fd;              /* of the open segment, -1: none yet */
    uint32_t number;
    uint64_t bytes;  /* written to it */
    uint64_t synced; /* of these on the disk */
};

/* A full segment on its way to being synced, sealed and closed by the syncer. */
struct full {
    int fd;
    uint32_t ring, number;
    bool synced;
};

struct gy_predlog {
    struct gy_predlog_options o;
    char dir[GY_MAX_PATH];
    unsigned char boot[16];
    size_t n_streams;
    size_t max_frame;
    struct stream *streams;
    pthread_mutex_t shared; /* producers of the last ring */
    pthread_mutex_t mu;     /* all below, and segments between flusher and syncer */
    pthread_cond_t flusher_wakes, syncer_wakes, done;
    bool stop, syncer_stop;
    uint64_t flush_asked, flush_done;
    uint64_t sync_asked, sync_done;
    uint64_t rotate_asked, rotate_done, rotate_lost; /* lost: tried, and it failed */
    gy_status rotate_failed;
    gy_status failed; /* of the last drain or sync; GY_OK again when one succeeds */
    struct gy_err failure;
    gy_status sync_failed;    /* of the last sync */
    int64_t dirty_since_us;   /* oldest bytes that no sync has taken yet, 0: none */
    int64_t syncing_since_us; /* the same for the sync that runs */
    struct full full[FULL_MAX];
    size_t n_full;
    struct gy_predlog_stats stats;
    struct gy_receiver *receiver; /* has a lock of its own */
    pthread_t flusher, syncer;
    bool flusher_runs, syncer_runs;
};

/* ---- the request path ---- */

bool gy_predlog_waits(const struct gy_predlog *l)
{
    return l->o.sync_ms == 0;
}

/* A body is kept where all rows of its request are in one record: so whoever erases one of them
 * meets it. Returns the bytes of the frame, were it one. */
static size_t prepare(const struct gy_predlog *l, struct gy_record *r)
{
    r->first_row = 0;
    r->total_rows = r->n_rows;
    size_t bytes = gy_record_frame_bytes(r);
    if (r->body.n && (r->body.n > GY_RECORD_MAX_BODY || bytes > l->max_frame)) {
        r->body_bytes = r->body.n;
        r->body = GY_STR_NULL;
        bytes = gy_record_frame_bytes(r);
    }
    return bytes;
}

static bool append_parts(struct stream *s, const struct gy_record *r, size_t max_frame)
{
    uint32_t fit = gy_record_rows_fit(r, max_frame);
    struct gy_record part = *r;
    for (uint32_t row = 0; row < r->n_rows; row += fit) {
        part.first_row = row;
        part.n_rows = r->n_rows - row < fit ? r->n_rows - row : fit;
        part.inputs = r->inputs + (size_t)row * r->n_inputs;
        part.outputs = r->outputs + (size_t)row * r->n_outputs;
        part.rules = r->rules ? r->rules + row : NULL;
        part.shadow = r->shadow ? r->shadow + (size_t)row * r->n_shadow : NULL;
        if (!gy_ring_append(s->ring, &part)) {
            return false;
        }
    }
    return true;
}

bool gy_predlog_append(struct gy_predlog *l, int loop, struct gy_record *r)
{
    struct stream *s = &l->streams[loop];
    size_t bytes = prepare(l, r);
    bool fits;
    if (bytes <= l->max_frame) {
        fits = gy_ring_append(s->ring, r);
    } else {
        /* All parts or none: room for them, their headers and one wrap. */
        size_t parts = bytes / (l->max_frame / 2) + 1;
        fits = gy_ring_has_room(s->ring, bytes + parts * 1024, l->max_frame) &&
               append_parts(s, r, l->max_frame);
    }
    if (!fits) {
        atomic_fetch_add_explicit(&s->refused, 1, memory_order_relaxed);
    }
    /* Under a heavy load the flusher's own tick is too slow. One system call for a quarter of a
     * ring, without the mutex: a wake-up that is missed costs a tick. */
    s->since_wake += bytes;
    if (s->since_wake > l->o.ring_bytes / 4) {
        s->since_wake = 0;
        pthread_cond_signal(&l->flusher_wakes);
    }
    return fits || l->o.drop_when_full;
}

static gy_status append_waiting(struct gy_predlog *l, struct stream *s, const struct gy_record *r,
                                struct gy_err *err)
{
    uint32_t fit = gy_record_rows_fit(r, l->max_frame);
    struct gy_record part = *r;
    for (uint32_t row = 0; row < r->n_rows; row += fit) {
        part.first_row = row;
        part.n_rows = r->n_rows - row < fit ? r->n_rows - row : fit;
        part.inputs = r->inputs + (size_t)row * r->n_inputs;
        part.outputs = r->outputs + (size_t)row * r->n_outputs;
        part.rules = r->rules ? r->rules + row : NULL;
        part.shadow = r->shadow ? r->shadow + (size_t)row * r->n_shadow : NULL;
        if (gy_record_frame_bytes(&part) > gy_ring_capacity(s->ring) / 2) {
            return gy_err_set(err, GY_E_TOOBIG, "one row does not fit the prediction log");
        }
        while (!gy_ring_append(s->ring, &part)) {
            GY_TRY(gy_predlog_flush(l, false, err));
        }
    }
    return GY_OK;
}

gy_status gy_predlog_append_wait(struct gy_predlog *l, struct gy_record *r, struct gy_err *err)
{
    struct stream *s = &l->streams[l->n_streams - 1];
    (void)prepare(l, r);
    pthread_mutex_lock(&l->shared);
    gy_status st = append_waiting(l, s, r, err);
    pthread_mutex_unlock(&l->shared);
    if (st == GY_OK && l->o.sync_ms == 0) {
        st = gy_predlog_flush(l, true, err);
    }
    if (st != GY_OK) {
        atomic_fetch_add_explicit(&s->refused, 1, memory_order_relaxed);
    }
    return st;
}

gy_status gy_predlog_flush(struct gy_predlog *l, bool durable, struct gy_err *err)
{
    pthread_mutex_lock(&l->mu);
    uint64_t mine = ++l->flush_asked;
    pthread_cond_signal(&l->flusher_wakes);
    while (l->flush_done < mine && !l->stop) {
        pthread_cond_wait(&l->done, &l->mu);
    }
    if (durable && l->failed == GY_OK) {
        mine = ++l->sync_asked;
        pthread_cond_signal(&l->syncer_wakes);
        while (l->sync_done < mine && !l->stop) {
            pthread_cond_wait(&l->done, &l->mu);
        }
    }
    gy_status st = l->failed == GY_OK && durable ? l->sync_failed : l->failed;
    if (st != GY_OK && err) {
        *err = l->failure;
    }
    pthread_mutex_unlock(&l->mu);
    return st;
}

void gy_predlog_removed(struct gy_predlog *l, uint64_t segments)
{
    pthread_mutex_lock(&l->mu);
    l->stats.segments -= segments < l->stats.segments ? segments : l->stats.segments;
    pthread_mutex_unlock(&l->mu);
}

struct gy_receiver *gy_predlog_receiver(struct gy_predlog *l)
{
    return l->receiver;
}

gy_status gy_predlog_rotate(struct gy_predlog *l, struct gy_err *err)
{
    GY_TRY(gy_receiver_rotate(l->receiver, err));
    pthread_mutex_lock(&l->mu);
    uint64_t mine = ++l->rotate_asked;
    pthread_cond_signal(&l->flusher_wakes);
    while (l->rotate_done < mine && l->rotate_lost < mine && !l->stop) {
        pthread_cond_wait(&l->done, &l->mu);
    }
    /* A later drain may have gone well: that sealed nothing. */
    gy_status st = l->rotate_done >= mine ? l->failed : l->rotate_failed;
    while (st == GY_OK && l->n_full > 0 && !l->stop) {
        pthread_cond_wait(&l->done, &l->mu); /* for the indexes */
        st = l->failed;
    }
    bool stopped = st == GY_OK && l->rotate_done < mine;
    if (st != GY_OK && err) {
        *err = l->failure;
    }
    pthread_mutex_unlock(&l->mu);
    return stopped ? gy_err_set(err, GY_E_BUSY, "the prediction log is being closed") : st;
}

/* ---- segments ---- */

static gy_status segment_path(const struct gy_predlog *l, uint32_t ring, uint32_t number,
                              char out[GY_MAX_PATH], struct gy_err *err)
{
    char name[128];
    gy_segment_name(l->boot, ring, number, ".seg", name);
    return gy_path_join(out, GY_MAX_PATH, l->dir, name, err);
}

gy_status gy_predlog_write_all(int fd, const char *p, size_t n, struct gy_err *err)
{
    while (n > 0) {
        ssize_t wrote = write(fd, p, n);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            return gy_err_sys(err, wrote < 0 ? errno : EIO, "writing the prediction log");
        }
        p += wrote;
        n -= (size_t)wrote;
    }
    return GY_OK;
}

static gy_status open_segment(struct gy_predlog *l, struct stream *s, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    GY_TRY(segment_path(l, gy_ring_number(s->ring), s->number, path, err));
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return gy_err_sys(err, errno, "open %s", path);
    }
    char header[GY_SEGMENT_HEADER];
    gy_segment_header(l->boot, gy_ring_number(s->ring), s->number, header);
    gy_status st = gy_predlog_write_all(fd, header, sizeof header, err);
    if (st == GY_OK) {
        st = gy_dir_sync(l->dir, err);
    }
    if (st != GY_OK) {
        (void)close(fd);
        (void)unlink(path);
        return st;
    }
    pthread_mutex_lock(&l->mu);
    s->fd = fd;
    s->bytes = sizeof header;
    s->synced = 0;
    l->stats.segments++;
    pthread_mutex_unlock(&l->mu);
    return GY_OK;
}

static gy_status seal(struct gy_predlog *l, uint32_t ring, uint32_t number, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    struct gy_segment_info info;
    GY_TRY(segment_path(l, ring, number, path, err));
    GY_TRY(gy_segment_seal(path, &info, err));
    pthread_mutex_lock(&l->mu);
    l->stats.holes += info.holes;
    l->stats.bad += info.bad;
    pthread_mutex_unlock(&l->mu);
    return GY_OK;
}

static gy_status sync_and_close(int fd, struct gy_err *err)
{
    int failed = fdatasync(fd) == 0 ? 0 : errno;
    (void)close(fd);
    return failed ? gy_err_sys(err, failed, "syncing a segment of the prediction log") : GY_OK;
}

/* The open segment is full: the next record begins another. The syncer takes it over, so that the
 * ring is drained meanwhile; only when it is far behind is the work done here. */
static gy_status close_segment(struct gy_predlog *l, struct stream *s, struct gy_err *err)
{
    struct full full = {s->fd, gy_ring_number(s->ring), s->number, false};
    pthread_mutex_lock(&l->mu);
    bool taken = l->n_full < FULL_MAX && l->syncer_runs && !l->stop;
    if (taken) {
        l->full[l->n_full++] = full;
        pthread_cond_signal(&l->syncer_wakes);
    }
    s->fd = -1;
    s->number++;
    pthread_mutex_unlock(&l->mu);
    if (taken) {
        return GY_OK;
    }
    GY_TRY(sync_and_close(full.fd, err));
    return seal(l, full.ring, full.number, err);
}

static gy_status drain_stream(struct gy_predlog *l, struct stream *s, struct gy_err *err)
{
    for (;;) {
        size_t n;
        const char *run = gy_ring_peek(s->ring, &n);
        if (n == 0) {
            return GY_OK;
        }
        if (s->fd < 0) {
            GY_TRY(open_segment(l, s, err));
        }
        gy_status st = gy_predlog_write_all(s->fd, run, n, err);
        if (st != GY_OK) {
            /* Half a run would be read twice after the next try. */
            if (ftruncate(s->fd, (off_t)s->bytes) != 0 ||
                lseek(s->fd, (off_t)s->bytes, SEEK_SET) < 0) {
                return gy_err_sys(err, errno, "writing the prediction log");
            }
            return st;
        }
        gy_ring_consume(s->ring, n);
        pthread_mutex_lock(&l->mu);
        s->bytes += n;
        l->stats.appended_bytes += n;
        if (l->dirty_since_us == 0) {
            l->dirty_since_us = gy_now_us();
            pthread_cond_signal(&l->syncer_wakes);
        }
        pthread_mutex_unlock(&l->mu);
        if (s->bytes >= l->o.segment_bytes) {
            GY_TRY(close_segment(l, s, err));
        }
    }
}

/* ---- threads ---- */

static void deadline_in(int ms, struct timespec *ts)
{
    (void)clock_gettime(CLOCK_MONOTONIC, ts);
    ts->tv_nsec += (long)ms * 1000000;
    ts->tv_sec += ts->tv_nsec / 1000000000;
    ts->tv_nsec %= 1000000000;
}

/* With mu held. */
static void note_result(struct gy_predlog *l, gy_status *kept, gy_status st,
                        const struct gy_err *err)
{
    if (st != GY_OK) {
        l->stats.write_failures++;
        if (*kept == GY_OK) {
            gy_log_err(GY_LOG_ERROR, "predlog", "the prediction log can not be written", err);
        }
        l->failure = *err;
    }
    *kept = st;
}

static int tick_ms(const struct gy_predlog *l)
{
    int tick = l->o.sync_ms / 2;
    return tick < 1 || tick > TICK_MS_MAX ? TICK_MS_MAX : tick;
}

static gy_status drain_all(struct gy_predlog *l, struct gy_err *err)
{
    gy_status first = GY_OK;
    for (size_t i = 0; i < l->n_streams; i++) {
        gy_status st = drain_stream(l, &l->streams[i], first == GY_OK ? err : NULL);
        first = first == GY_OK ? st : first;
    }
    return first;
}

/* The flusher's: every open segment that has records is full from now on. */
static gy_status rotate_all(struct gy_predlog *l, struct gy_err *err)
{
    for (size_t i = 0; i < l->n_streams; i++) {
        struct stream *s = &l->streams[i];
        if (s->fd >= 0 && s->bytes > GY_SEGMENT_HEADER) {
            GY_TRY(close_segment(l, s, err));
        }
    }
    return GY_OK;
}

static void *flusher_main(void *arg)
{
    struct gy_predlog *l = arg;
    pthread_mutex_lock(&l->mu);
    for (bool last = false; !last;) {
        last = l->stop;
        uint64_t asked = l->flush_asked;
        uint64_t rotate = l->rotate_asked;
        bool rotates = rotate > l->rotate_done && rotate > l->rotate_lost;
        pthread_mutex_unlock(&l->mu);
        struct gy_err err = GY_ERR_INIT;
        gy_status st = drain_all(l, &err);
        if (st == GY_OK && rotates) {
            st = rotate_all(l, &err);
        }
        pthread_mutex_lock(&l->mu);
        note_result(l, &l->failed, st, &err);
        l->flush_done = asked;
        if (rotates && st == GY_OK) {
            l->rotate_done = rotate;
        } else if (rotates) {
            l->rotate_lost = rotate;
            l->rotate_failed = st;
        }
        pthread_cond_broadcast(&l->done);
        if (!l->stop && l->flush_asked == asked && l->rotate_asked == rotate) {
            struct timespec until;
            deadline_in(tick_ms(l), &until);
            (void)pthread_cond_timedwait(&l->flusher_wakes, &l->mu, &until);
        }
    }
    pthread_mutex_unlock(&l->mu);
    return NULL;
}

/* With mu held; released around each fdatasync. Only this thread takes entries out. */
static gy_status sync_full(struct gy_predlog *l, struct gy_err *err)
{
    gy_status first = GY_OK;
    for (size_t i = 0; i < l->n_full; i++) {
        int fd = l->full[i].fd;
        if (l->full[i].synced) {
            continue;
        }
        l->full[i].synced = true; /* once: what a failed sync has dropped, a second does not find */
        pthread_mutex_unlock(&l->mu);
        gy_status st = sync_and_close(fd, err);
        pthread_mutex_lock(&l->mu);
        l->stats.syncs++;
        first = first == GY_OK ? st : first;
    }
    return first;
}

/* With mu held. The indexes of full segments; nobody waits for them. */
static void seal_full(struct gy_predlog *l)
{
    while (l->n_full && l->full[0].synced) {
        struct full full = l->full[0];
        pthread_mutex_unlock(&l->mu);
        struct gy_err err = GY_ERR_INIT;
        if (seal(l, full.ring, full.number, &err) != GY_OK) {
            gy_log_err(GY_LOG_ERROR, "predlog", "a log segment could not be sealed", &err);
        }
        pthread_mutex_lock(&l->mu);
        l->n_full--;
        memmove(l->full, l->full + 1, l->n_full * sizeof l->full[0]);
    }
}

/* With mu held; released around each fdatasync of a duplicate, so that draining goes on. */
static gy_status sync_streams(struct gy_predlog *l, struct gy_err *err)
{
    gy_status first = sync_full(l, err);
    for (size_t i = 0; i < l->n_streams; i++) {
        struct stream *s = &l->streams[i];
        if (s->fd < 0 || s->synced == s->bytes) {
            continue;
        }
        uint64_t bytes = s->bytes;
        uint32_t number = s->number;
        int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
        pthread_mutex_unlock(&l->mu);
        int failed = fd < 0 || fdatasync(fd) != 0 ? errno : 0;
        if (fd >= 0) {
            (void)close(fd);
        }
        pthread_mutex_lock(&l->mu);
        l->stats.syncs++;
        if (failed) {
            first = gy_err_sys(err, failed, "syncing the prediction log");
        } else if (s->number == number) {
            s->synced = bytes;
        }
    }
    return first;
}

/* With mu held: something that should not wait for the tick. */
static bool syncer_has_work(const struct gy_predlog *l)
{
    return l->sync_asked != l->sync_done || l->syncer_stop || l->n_full > 0;
}

static void *syncer_main(void *arg)
{
    struct gy_predlog *l = arg;
    pthread_mutex_lock(&l->mu);
    for (bool last = false; !last;) {
        while (!syncer_has_work(l) && l->dirty_since_us == 0) {
            (void)pthread_cond_wait(&l->syncer_wakes, &l->mu);
        }
        if (!syncer_has_work(l)) { /* let some more come in: one sync for all */
            struct timespec until;
            deadline_in(tick_ms(l), &until);
            (void)pthread_cond_timedwait(&l->syncer_wakes, &l->mu, &until);
        }
        last = l->syncer_stop;
        uint64_t asked = l->sync_asked;
        l->syncing_since_us = l->dirty_since_us;
        l->dirty_since_us = 0; /* what is written meanwhile sets it again */
        struct gy_err err = GY_ERR_INIT;
        gy_status st = sync_streams(l, &err);
        note_result(l, &l->sync_failed, st, &err);
        if (st == GY_OK) {
            l->syncing_since_us = 0;
        } else {
            l->dirty_since_us = l->syncing_since_us;
        }
        l->sync_done = asked;
        pthread_cond_broadcast(&l->done);
        seal_full(l);
        pthread_cond_broadcast(&l->done); /* who rotates waits for the indexes too */
    }
    pthread_mutex_unlock(&l->mu);
    return NULL;
}

/* ---- life ---- */

static gy_status make_ring(struct gy_predlog *l, struct stream *s, const char *ring_dir,
                           uint32_t number, struct gy_err *err)
{
    char name[128];
    char boot[GY_UUID_TEXT];
    char key[17];
    gy_uuid_text(l->boot, boot);
    GY_TRY(gy_predlog_key(l->dir, key, err));
    (void)snprintf(name, sizeof name, GY_RING_PREFIX "%s-%s-%02u.ring", key, boot, number);
    GY_TRY(gy_path_join(s->ring_path, sizeof s->ring_path, ring_dir, name, err));
    /* Who uses the shared ring may wait for room. */
    size_t bytes = l->o.ring_bytes;
    if (number + 1 == l->n_streams && bytes >= 4 * SHARED_RING_MIN) {
        bytes /= 4;
    }
    return gy_ring_create(s->ring_path, l->boot, number, bytes, &s->ring, err);
}

static gy_status make_rings(struct gy_predlog *l, struct gy_err *err)
{
    for (size_t i = 0; i < l->n_streams; i++) {
        struct stream *s = &l->streams[i];
        const char *dir = l->o.ring_dir ? l->o.ring_dir : GY_RING_DIR;
        gy_status st = make_ring(l, s, dir, (uint32_t)i, err);
        if (st != GY_OK && st != GY_E_NOMEM && !l->o.ring_dir) {
            /* No usable tmpfs: beside the segments a ring is as safe, but the disk may stall it. */
            st = make_ring(l, s, l->dir, (uint32_t)i, err);
        }
        GY_TRY(st);
    }
    return GY_OK;
}

static gy_status start_threads(struct gy_predlog *l, struct gy_err *err)
{
    int failed = pthread_create(&l->flusher, NULL, flusher_main, l);
    l->flusher_runs = failed == 0;
    if (!failed) {
        failed = pthread_create(&l->syncer, NULL, syncer_main, l);
        l->syncer_runs = failed == 0;
    }
    return failed ? gy_err_sys(err, failed, "starting the log threads") : GY_OK;
}

static void init_sync(struct gy_predlog *l)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&l->shared, NULL);
    pthread_mutex_init(&l->mu, NULL);
    pthread_cond_init(&l->flusher_wakes, &attr);
    pthread_cond_init(&l->syncer_wakes, &attr);
    pthread_cond_init(&l->done, &attr);
    pthread_condattr_destroy(&attr);
}

static gy_status open_log(struct gy_predlog *l, struct gy_err *err)
{
    GY_TRY(gy_dir_make(l->dir, err));
    struct gy_uuid_gen gen;
    GY_TRY(gy_uuid_gen_init(&gen, err));
    gy_uuid7(&gen, l->boot);
    gy_receiver_own(l->receiver, l->boot);
    struct gy_predlog_recovery found = {0};
    GY_TRY(gy_predlog_recover(l->dir, l->o.ring_dir, &found, err));
    l->stats.recovered = found.records;
    l->stats.holes = found.holes;
    l->stats.bad = found.bad;
    l->stats.segments = found.segments;
    GY_TRY(make_rings(l, err));
    return start_threads(l, err);
}

gy_status gy_predlog_open(const struct gy_predlog_options *o, struct gy_predlog **ret,
                          struct gy_err *err)
{
    if (o->n_loops < 0 || o->n_loops >= GY_PREDLOG_MAX_RINGS) {
        return gy_err_set(err, GY_E_INVALID, "the prediction log takes at most %d loops",
                          GY_PREDLOG_MAX_RINGS - 1);
    }
    struct gy_predlog *l = gy_calloc(1, sizeof *l);
    if (!l) {
        return gy_err_set(err, GY_E_NOMEM, "the prediction log");
    }
    l->o = *o;
    l->o.ring_bytes = o->ring_bytes ? o->ring_bytes : RING_BYTES;
    l->o.segment_bytes = o->segment_bytes ? o->segment_bytes : SEGMENT_BYTES;
    l->max_frame = GY_RECORD_MAX_BYTES;
    while (l->max_frame > l->o.ring_bytes / 8) {
        l->max_frame /= 2;
    }
    init_sync(l);
    l->streams = gy_calloc((size_t)o->n_loops + 1, sizeof *l->streams);
    gy_status st = GY_OK;
    if (!l->streams) {
        st = gy_err_set(err, GY_E_NOMEM, "the prediction log");
    } else if (gy_path_join(l->dir, sizeof l->dir, o->dir, "", err) != GY_OK) {
        st = GY_E_TOOBIG;
    }
    if (st == GY_OK) {
        l->n_streams = (size_t)o->n_loops + 1;
        for (size_t i = 0; i < l->n_streams; i++) {
            l->streams[i].fd = -1;
        }
        st = gy_receiver_new(o->dir, l->o.segment_bytes, &l->receiver, err);
    }
    if (st == GY_OK) {
        st = open_log(l, err);
    }
    if (st != GY_OK) {
        gy_predlog_close(l);
        return st;
    }
    *ret = l;
    return GY_OK;
}

static void stop_threads(struct gy_predlog *l)
{
    pthread_mutex_lock(&l->mu);
    l->stop = true;
    pthread_cond_broadcast(&l->flusher_wakes);
    pthread_cond_broadcast(&l->done);
    pthread_mutex_unlock(&l->mu);
    if (l->flusher_runs) {
        (void)pthread_join(l->flusher, NULL);
    }
    pthread_mutex_lock(&l->mu);
    l->syncer_stop = true;
    pthread_cond_broadcast(&l->syncer_wakes);
    pthread_mutex_unlock(&l->mu);
    if (l->syncer_runs) {
        (void)pthread_join(l->syncer, NULL);
    }
}

void gy_predlog_close(struct gy_predlog *l)
{
    if (!l) {
        return;
    }
    stop_threads(l);
    for (size_t i = 0; i < l->n_streams; i++) {
        struct stream *s = &l->streams[i];
        struct gy_err err = GY_ERR_INIT;
        if (s->fd >= 0 && close_segment(l, s, &err) != GY_OK) {
            gy_log_err(GY_LOG_ERROR, "predlog", "a log segment could not be sealed", &err);
        }
        if (s->ring && gy_ring_used(s->ring) == 0) {
            (void)unlink(s->ring_path);
        }
        gy_ring_close(s->ring);
    }
    gy_receiver_free(l->receiver);
    pthread_cond_destroy(&l->flusher_wakes);
    pthread_cond_destroy(&l->syncer_wakes);
    pthread_cond_destroy(&l->done);
    pthread_mutex_destroy(&l->mu);
    pthread_mutex_destroy(&l->shared);
    gy_free(l->streams);
    gy_free(l);
}

void gy_predlog_get_stats(struct gy_predlog *l, struct gy_predlog_stats *ret)
{
    pthread_mutex_lock(&l->mu);
    *ret = l->stats;
    ret->failing = l->failed != GY_OK || l->sync_failed != GY_OK;
    int64_t since = l->syncing_since_us ? l->syncing_since_us : l->dirty_since_us;
    ret->lag_us = since ? gy_now_us() - since : 0;
    pthread_mutex_unlock(&l->mu);
    ret->ring_capacity = 1;
    for (size_t i = 0; i < l->n_streams; i++) {
        size_t used = gy_ring_used(l->streams[i].ring);
        size_t capacity = gy_ring_capacity(l->streams[i].ring);
        if (used * ret->ring_capacity >= ret->ring_used_max * capacity) {
            ret->ring_used_max = used;
            ret->ring_capacity = capacity;
        }
        ret->refused += atomic_load_explicit(&l->streams[i].refused, memory_order_relaxed);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/time.h"

/* One frame fits with room to spare, so a frame that does not end in a full buffer is no frame. */
#define BUFFER_BYTES (GY_RECORD_MAX_BYTES + 64 * GY_KIB)
/* File systems tell times in ticks: a folder changed this short ago may change again unseen. */
#define SETTLED_NS 2000000000

struct segment {
    uint32_t number;
    bool sealed; /* there was an index: nothing comes behind its end */
};

/* One ring of one boot. The file that is read: `number` from `offset` on; buffer holds the bytes
 * from there, `have` of them, `at` the one that is looked at. */
struct stream {
    unsigned char boot[16];
    uint32_t ring;
    uint64_t seq; /* last record given, 0: none */
    struct segment *segments;
    size_t n_segments, cap_segments;
    size_t segment; /* index of the one that is read */
    int fd;         /* -1: not open */
    uint64_t offset;
    char *buffer;
    size_t have, at;
    size_t frame;   /* bytes of the good frame at `at`, 0: not looked for yet */
    bool resyncing; /* within a damaged place, which is counted already */
    bool dry;       /* nothing more during this call */
    uint64_t head_seq;
    unsigned char head_id[16]; /* UUIDv7: its first 6 bytes are the time in milliseconds */
};

struct gy_log_cursor {
    char dir[GY_MAX_PATH];
    struct stream *streams; /* by boot, then ring */
    size_t n_streams, cap_streams;
    size_t n_segments;
    struct gy_log_marks marks;  /* kept current for those that ask */
    struct gy_log_marks sought; /* of streams that were not seen yet */
    struct timespec dir_time;   /* mtime of the folder at the last look */
    bool settled;               /* and it was old enough then to be trusted */
    struct gy_arena arena;      /* the record that is given */
    struct gy_tail_stats stats;
};

gy_status gy_log_cursor_new(const char *dir, struct gy_log_cursor **ret, struct gy_err *err)
{
    if (strlen(dir) >= GY_MAX_PATH) {
        return gy_err_set(err, GY_E_TOOBIG, "path too long: %s", dir);
    }
    struct gy_log_cursor *c = gy_calloc(1, sizeof *c);
    if (!c) {
        return gy_err_set(err, GY_E_NOMEM, "a cursor of the prediction log");
    }
    memcpy(c->dir, dir, strlen(dir) + 1);
    gy_arena_init(&c->arena, GY_MAX_REQUEST_ARENA);
    *ret = c;
    return GY_OK;
}

static void close_file(struct stream *s)
{
    if (s->fd >= 0) {
        (void)close(s->fd); /* only read from */
    }
    s->fd = -1;
    gy_free(s->buffer);
    s->buffer = NULL;
    s->have = s->at = s->frame = 0;
    s->resyncing = false;
}

static void forget_streams(struct gy_log_cursor *c)
{
    for (size_t i = 0; i < c->n_streams; i++) {
        close_file(&c->streams[i]);
        gy_free(c->streams[i].segments);
    }
    gy_free(c->streams);
    c->streams = NULL;
    c->n_streams = c->cap_streams = c->n_segments = 0;
    c->settled = false;
}

void gy_log_cursor_free(struct gy_log_cursor *c)
{
    if (!c) {
        return;
    }
    forget_streams(c);
    gy_log_marks_done(&c->marks);
    gy_log_marks_done(&c->sought);
    gy_arena_done(&c->arena);
    gy_free(c);
}

gy_status gy_log_cursor_seek(struct gy_log_cursor *c, const struct gy_log_marks *marks,
                             struct gy_err *err)
{
    GY_TRY(gy_log_marks_copy(&c->sought, marks, err));
    GY_TRY(gy_log_marks_copy(&c->marks, marks, err));
    forget_streams(c);
    return GY_OK;
}

const struct gy_log_marks *gy_log_cursor_marks(const struct gy_log_cursor *c)
{
    return &c->marks;
}

void gy_log_cursor_stats(const struct gy_log_cursor *c, struct gy_tail_stats *ret)
{
    *ret = c->stats;
}

/* ---- the folder ---- */

static int stream_cmp(const struct stream *s, const unsigned char boot[16], uint32_t ring)
{
    int by_boot = memcmp(s->boot, boot, 16);
    return by_boot ? by_boot : s->ring < ring ? -1 : s->ring > ring;
}

static size_t stream_position(const struct gy_log_cursor *c, const unsigned char boot[16],
                              uint32_t ring)
{
    size_t low = 0;
    size_t high = c->n_streams;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (stream_cmp(&c->streams[mid], boot, ring) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

/* The stream, added when it is new. */
static gy_status need_stream(struct gy_log_cursor *c, const unsigned char boot[16], uint32_t ring,
                             struct stream **ret, struct gy_err *err)
{
    size_t i = stream_position(c, boot, ring);
    if (i == c->n_streams || stream_cmp(&c->streams[i], boot, ring) != 0) {
        if (c->n_streams == GY_LOG_MARKS_MAX) {
            return gy_err_set(err, GY_E_TOOBIG, "the prediction log has more than %d streams",
                              GY_LOG_MARKS_MAX);
        }
        if (c->n_streams == c->cap_streams) {
            size_t cap = c->cap_streams ? c->cap_streams * 2 : 8;
            struct stream *streams = gy_reallocarray(c->streams, cap, sizeof *streams);
            if (!streams) {
                return gy_err_set(err, GY_E_NOMEM, "streams of the prediction log");
            }
            c->streams = streams;
            c->cap_streams = cap;
        }
        memmove(c->streams + i + 1, c->streams + i, (c->n_streams - i) * sizeof *c->streams);
        c->n_streams++;
        const struct gy_log_mark *mark = gy_log_marks_get(&c->sought, boot, ring);
        c->streams[i] = (struct stream){.ring = ring, .fd = -1, .seq = mark ? mark->seq : 0};
        memcpy(c->streams[i].boot, boot, 16);
    }
    *ret = &c->streams[i];
    return GY_OK;
}

/* Note that the stream has this segment. Names come sorted but for numbers of 7 digits. */
static gy_status note_segment(struct gy_log_cursor *c, struct stream *s, uint32_t number,
                              bool sealed, struct gy_err *err)
{
    size_t i = s->n_segments;
    while (i > 0 && s->segments[i - 1].number >= number) {
        i--;
    }
    if (i < s->n_segments && s->segments[i].number == number) {
        s->segments[i].sealed = s->segments[i].sealed || sealed;
        return GY_OK;
    }
    if (c->n_segments >= GY_TAIL_MAX_SEGMENTS) {
        return gy_err_set(err, GY_E_TOOBIG, "the prediction log has more than %d segments",
                          GY_TAIL_MAX_SEGMENTS);
    }
    if (s->n_segments == s->cap_segments) {
        size_t cap = s->cap_segments ? s->cap_segments * 2 : 4;
        struct segment *segments = gy_reallocarray(s->segments, cap, sizeof *segments);
        if (!segments) {
            return gy_err_set(err, GY_E_NOMEM, "segments of the prediction log");
        }
        s->segments = segments;
        s->cap_segments = cap;
    }
    memmove(s->segments + i + 1, s->segments + i, (s->n_segments - i) * sizeof *s->segments);
    s->segments[i] = (struct segment){number, sealed};
    s->n_segments++;
    c->n_segments++;
    return GY_OK;
}

struct listing {
    struct gy_log_cursor *c;
    char index[128]; /* the last .idx that was seen; it sorts before its .seg */
};

static gy_status list_one(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct listing *l = ctx;
    size_t n = strlen(name);
    if (is_dir || n < 4 || n >= sizeof l->index) {
        return GY_OK;
    }
    if (strcmp(name + n - 4, ".idx") == 0) {
        memcpy(l->index, name, n + 1);
        return GY_OK;
    }
    unsigned char boot[16];
    uint32_t ring;
    uint32_t number;
    if (!gy_segment_parse_name(name, boot, &ring, &number)) {
        return GY_OK;
    }
    bool sealed = strlen(l->index) == n && memcmp(l->index, name, n - 4) == 0;
    struct stream *s;
    GY_TRY(need_stream(l->c, boot, ring, &s, err));
    return note_segment(l->c, s, number, sealed, err);
}

/* What the mark of a stream stands for when its files are gone. */
static bool has_stream(void *ctx, const struct gy_log_mark *mark)
{
    struct gy_log_cursor *c = ctx;
    size_t i = stream_position(c, mark->boot, mark->ring);
    return i < c->n_streams && stream_cmp(&c->streams[i], mark->boot, mark->ring) == 0;
}

static gy_status look_through(struct gy_log_cursor *c, struct gy_err *err)
{
    struct stat st;
    if (stat(c->dir, &st) != 0) {
        return errno == ENOENT ? GY_OK : gy_err_sys(err, errno, "stat %s", c->dir);
    }
    if (c->settled && st.st_mtim.tv_sec == c->dir_time.tv_sec &&
        st.st_mtim.tv_nsec == c->dir_time.tv_nsec) {
        return GY_OK;
    }
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* can not fail for this clock */
    struct listing l = {.c = c};
    GY_TRY(gy_dir_each(c->dir, list_one, &l, err));
    int64_t age =
        ((int64_t)now.tv_sec - st.st_mtim.tv_sec) * 1000000000 + now.tv_nsec - st.st_mtim.tv_nsec;
    c->dir_time = st.st_mtim;
    c->settled = age > SETTLED_NS;
    c->stats.scans++;
    gy_log_marks_prune(&c->marks, has_stream, c);
    return GY_OK;
}

/* ---- one stream ---- */

/* Go to the next segment; false: there is none. */
static bool next_segment(struct stream *s)
{
    if (s->segment + 1 >= s->n_segments) {
        return false;
    }
    close_file(s);
    s->segment++;
    s->offset = 0;
    return true;
}

/* Nothing is written behind the end of the segment any more: it was sealed, or the flusher went on
 * to the next one before the folder was listed. */
static bool is_complete(const struct stream *s)
{
    return s->segments[s->segment].sealed || s->segment + 1 < s->n_segments;
}

/* Open the segment that is to be read, skipping those that hold nothing new by what their index
 * says. false: there is nothing to read. */
static gy_status open_segment(struct gy_log_cursor *c, struct stream *s, bool *ret_open,
                              struct gy_err *err)
{
    char name[128];
    char path[GY_MAX_PATH];
    *ret_open = s->fd >= 0;
    while (!*ret_open && s->segment < s->n_segments) {
        gy_segment_name(s->boot, s->ring, s->segments[s->segment].number, ".seg", name);
        GY_TRY(gy_path_join(path, sizeof path, c->dir, name, err));
        struct gy_segment_info info;
        bool skip = s->segments[s->segment].sealed && s->offset == 0 &&
                    gy_segment_sealed(path, &info, NULL) == GY_OK &&
                    (info.records == 0 || info.last_seq <= s->seq);
        if (!skip) {
            s->fd = open(path, O_RDONLY | O_CLOEXEC);
            if (s->fd < 0 && errno != ENOENT) {
                return gy_err_sys(err, errno, "open %s", path);
            }
        }
        *ret_open = s->fd >= 0;
        if (*ret_open) {
            s->offset = s->offset ? s->offset : GY_SEGMENT_HEADER;
            c->stats.segments_read++;
        } else if (!next_segment(s)) { /* skipped, or taken away meanwhile */
            s->segment = s->n_segments;
        } else {
            c->stats.segments_skipped += skip;
        }
    }
    return GY_OK;
}

/* More bytes behind those that are there; *ret_n 0: the file has no more now. */
static gy_status refill(struct stream *s, size_t *ret_n, struct gy_err *err)
{
    *ret_n = 0;
    if (!s->buffer && !(s->buffer = gy_malloc(BUFFER_BYTES))) {
        return gy_err_set(err, GY_E_NOMEM, "reading the prediction log");
    }
    if (s->at && s->have == BUFFER_BYTES) {
        memmove(s->buffer, s->buffer + s->at, s->have - s->at);
        s->offset += s->at;
        s->have -= s->at;
        s->at = 0;
    }
    while (s->have < BUFFER_BYTES) {
        ssize_t got =
            pread(s->fd, s->buffer + s->have, BUFFER_BYTES - s->have, (off_t)(s->offset + s->have));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return gy_err_sys(err, errno, "reading the prediction log");
        }
        if (got == 0) {
            return GY_OK;
        }
        s->have += (size_t)got;
        *ret_n += (size_t)got;
    }
    return GY_OK;
}

static void skip_damage(struct gy_log_cursor *c, struct stream *s)
{
    c->stats.bad += !s->resyncing;
    s->resyncing = true;
    s->at += 8;
}

/* A server that was killed while it made the file left it without a header: recovery takes such a
 * file away, and gives its number to what the ring still held. */
static bool was_replaced(const struct stream *s)
{
    struct stat st;
    return s->have == 0 && s->offset == GY_SEGMENT_HEADER && fstat(s->fd, &st) == 0 &&
           st.st_nlink == 0;
}

/* The bytes in the buffer end; *ret_more when there is something new to look at. */
static gy_status at_end(struct gy_log_cursor *c, struct stream *s, bool *ret_more,
                        struct gy_err *err)
{
    size_t got;
    bool complete = is_complete(s);
    *ret_more = true;
    GY_TRY(refill(s, &got, err));
    if (got > 0) {
        return GY_OK;
    }
    if (complete && s->have >= s->at + 8) {
        skip_damage(c, s); /* a torn frame in a file that does not grow */
        return GY_OK;
    }
    if (complete && was_replaced(s)) {
        close_file(s);
        s->offset = 0;
    } else if (complete && !next_segment(s)) {
        close_file(s);
        s->segment = s->n_segments; /* the next one, should it come */
        s->offset = 0;
        *ret_more = false;
    } else if (!complete) {
        /* A piece of a frame stays for later. */
        *ret_more = false;
        if (s->have == s->at) {
            gy_free(s->buffer);
            s->buffer = NULL;
            s->offset += s->at;
            s->have = s->at = 0;
        }
    }
    return GY_OK;
}

/* Find the next good frame that was not given yet; s->dry when there is none. */
static gy_status find_frame(struct gy_log_cursor *c, struct stream *s, struct gy_err *err)
{
    while (!s->frame && !s->dry) {
        bool open;
        size_t bytes;
        GY_TRY(open_segment(c, s, &open, err));
        if (!open) {
            s->dry = true;
            break;
        }
        switch (gy_frame_look(s->buffer, s->have, s->at, &bytes)) {
        case GY_FRAME_GOOD:
            s->resyncing = false;
            gy_record_peek(s->buffer + s->at, s->head_id, &s->head_seq);
            if (s->head_seq > s->seq && gy_frame_kind(s->buffer + s->at) != GY_FRAME_NOTE) {
                s->frame = bytes;
            } else {
                s->at += bytes;
            }
            break;
        case GY_FRAME_END: {
            bool more;
            GY_TRY(at_end(c, s, &more, err));
            s->dry = !more;
            break;
        }
        case GY_FRAME_BAD:
        case GY_FRAME_WRAP:
            skip_damage(c, s);
            break;
        }
    }
    return GY_OK;
}

/* ---- all of them ---- */

/* The stream of [from, to) whose next record is the oldest; NULL: all are dry. */
static gy_status oldest(struct gy_log_cursor *c, size_t from, size_t to, struct stream **ret,
                        struct gy_err *err)
{
    *ret = NULL;
    for (size_t i = from; i < to; i++) {
        struct stream *s = &c->streams[i];
        GY_TRY(find_frame(c, s, err));
        if (!s->dry && (!*ret || memcmp(s->head_id, (*ret)->head_id, 6) < 0)) {
            *ret = s;
        }
    }
    return GY_OK;
}

static gy_status give(struct gy_log_cursor *c, struct stream *s, gy_tail_fn fn, void *ctx,
                      bool *ret_given, struct gy_err *err)
{
    struct gy_record r;
    struct gy_log_place place = {s->boot, s->ring};
    gy_arena_reset(&c->arena);
    /* Room for the mark before fn has done what can not be undone. */
    GY_TRY(gy_log_marks_set(&c->marks, s->boot, s->ring, s->seq, 0, err));
    gy_status st = gy_record_read(s->buffer + s->at, s->frame, &c->arena, &r, err);
    *ret_given = st == GY_OK && !r.gap;
    if (st == GY_E_CORRUPT) {
        c->stats.bad++; /* its checksum is right and its content is not: of another version */
    } else {
        GY_TRY(st);
        if (!r.gap) { /* an erased record is passed over, and no hole */
            GY_TRY(fn(ctx, &place, &r, err));
            c->stats.records++;
        }
        c->stats.holes += s->seq && s->head_seq > s->seq + 1 ? s->head_seq - s->seq - 1 : 0;
    }
    s->seq = s->head_seq;
    GY_IGNORE(gy_log_marks_set(&c->marks, s->boot, s->ring, s->seq, 0, err)); /* it has its room */
    s->at += s->frame;
    s->frame = 0;
    return GY_OK;
}

gy_status gy_log_tail(struct gy_log_cursor *c, size_t max, gy_tail_fn fn, void *ctx, size_t *ret_n,
                      struct gy_err *err)
{
    *ret_n = 0;
    GY_TRY(look_through(c, err));
    for (size_t i = 0; i < c->n_streams; i++) {
        c->streams[i].dry = false;
    }
    for (size_t from = 0, to; from < c->n_streams && *ret_n < max; from = to) {
        for (to = from + 1;
             to < c->n_streams && memcmp(c->streams[to].boot, c->streams[from].boot, 16) == 0;) {
            to++;
        }
        while (*ret_n < max) {
            struct stream *s;
            bool given;
            GY_TRY(oldest(c, from, to, &s, err));
            if (!s) {
                break;
            }
            GY_TRY(give(c, s, fn, ctx, &given, err));
            *ret_n += given;
        }
    }
    return GY_OK;
}

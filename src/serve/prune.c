/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/prune.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/id.h"
#include "base/mem.h"
#include "serve/predlog_internal.h"

#define RING_NAME 128

const char *gy_prune_fate_name(enum gy_prune_fate fate)
{
    static const char *const names[] = {
        [GY_PRUNE_STAYS] = "stays",   [GY_PRUNE_AGE] = "age",     [GY_PRUNE_SIZE] = "size",
        [GY_PRUNE_LEFT] = "left",     [GY_PRUNE_OPEN] = "open",   [GY_PRUNE_NEWEST] = "newest",
        [GY_PRUNE_UNREAD] = "unread", [GY_PRUNE_LEGAL] = "legal", [GY_PRUNE_BEHIND] = "behind"};
    return names[fate];
}

static int64_t id_us(const unsigned char id[16])
{
    int64_t ms = 0;
    for (int i = 0; i < 6; i++) {
        ms = ms << 8 | id[i];
    }
    return ms * 1000;
}

gy_status gy_predlog_files_lock(const char *dir, bool alone, int *ret_fd, struct gy_err *err)
{
    *ret_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*ret_fd < 0) {
        return errno == ENOENT ? GY_OK : gy_err_sys(err, errno, "open %s", dir);
    }
    int rc;
    do {
        rc = flock(*ret_fd, alone ? LOCK_EX | LOCK_NB : LOCK_SH);
    } while (rc != 0 && errno == EINTR);
    if (rc == 0) {
        return GY_OK;
    }
    int why = errno;
    (void)close(*ret_fd);
    *ret_fd = -1;
    if (why != EWOULDBLOCK) {
        return gy_err_sys(err, why, "locking %s", dir);
    }
    (void)gy_err_set(err, GY_E_BUSY, "a backup, an erasure or a prune of the log is under way");
    return gy_err_hint(err, "try again when it is done");
}

/* ---- what is there ---- */

struct listing {
    const struct gy_prune_order *o;
    struct gy_arena *a;
    struct gy_prune_segment *segments;
    size_t n, cap;
};

static gy_status need_room(struct listing *l, struct gy_err *err)
{
    if (l->n < l->cap) {
        return GY_OK;
    }
    if (l->n == GY_PRUNE_MAX_SEGMENTS) {
        return gy_err_set(err, GY_E_TOOBIG, "the prediction log has more than %d segments",
                          GY_PRUNE_MAX_SEGMENTS);
    }
    size_t cap = l->cap ? l->cap * 2 : 64;
    struct gy_prune_segment *more = gy_reallocarray(l->segments, cap, sizeof *more);
    if (!more) {
        return gy_err_set(err, GY_E_NOMEM, "segments of the prediction log");
    }
    l->segments = more;
    l->cap = cap;
    return GY_OK;
}

static gy_status describe(const char *path, struct gy_prune_segment *s, struct gy_err *err)
{
    char index[GY_MAX_PATH];
    struct gy_segment_info info;
    uint64_t n = 0;
    size_t len = strlen(path);
    int64_t bytes = gy_file_size(path);
    s->bytes = bytes > 0 ? bytes : 0;
    s->from_us = s->to_us = id_us(s->boot);
    if (len < 4 || len >= sizeof index) {
        return gy_err_set(err, GY_E_TOOBIG, "path too long: %s", path);
    }
    memcpy(index, path, len + 1);
    memcpy(index + len - 4, ".idx", 4);
    bytes = gy_file_size(index);
    s->bytes += bytes > 0 ? bytes : 0;
    if (gy_segment_sealed(path, &info, NULL) != GY_OK ||
        gy_segment_ids(path, s->least, s->greatest, &n, NULL) != GY_OK) {
        s->fate = GY_PRUNE_OPEN;
        return GY_OK;
    }
    s->records = info.records;
    s->first_seq = info.first_seq;
    s->last_seq = info.last_seq;
    if (n > 0) {
        s->from_us = id_us(s->least);
        s->to_us = id_us(s->greatest);
    }
    return GY_OK;
}

static gy_status add_segment(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct listing *l = ctx;
    struct gy_prune_segment s = {.fate = GY_PRUNE_STAYS};
    char path[GY_MAX_PATH];
    if (is_dir || !gy_segment_parse_name(name, s.boot, &s.ring, &s.number)) {
        return GY_OK;
    }
    GY_TRY(gy_path_join(path, sizeof path, l->o->dir, name, err));
    GY_TRY(describe(path, &s, err));
    GY_TRY(need_room(l, err));
    l->segments[l->n++] = s;
    return GY_OK;
}

static int stream_cmp(const struct gy_prune_segment *a, const struct gy_prune_segment *b)
{
    int by_boot = memcmp(a->boot, b->boot, sizeof a->boot);
    return by_boot ? by_boot : a->ring < b->ring ? -1 : a->ring > b->ring;
}

static int segment_cmp(const void *x, const void *y)
{
    const struct gy_prune_segment *a = x, *b = y;
    int by_stream = stream_cmp(a, b);
    return by_stream ? by_stream : a->number < b->number ? -1 : a->number > b->number;
}

/* ---- what must stay ---- */

static gy_status has_ring(const struct gy_prune_order *o, const struct gy_prune_segment *s,
                          bool *ret, struct gy_err *err)
{
    char key[17], boot[GY_UUID_TEXT], name[RING_NAME], path[GY_MAX_PATH];
    GY_TRY(gy_predlog_key(o->dir, key, err));
    gy_uuid_text(s->boot, boot);
    (void)snprintf(name, sizeof name, GY_RING_PREFIX "%s-%s-%02u.ring", key, boot, s->ring);
    GY_TRY(gy_path_join(path, sizeof path, o->ring_dir ? o->ring_dir : GY_RING_DIR, name, err));
    *ret = gy_path_exists(path);
    GY_TRY(gy_path_join(path, sizeof path, o->dir, name, err)); /* where there was no tmpfs */
    *ret = *ret || gy_path_exists(path);
    return GY_OK;
}

static bool is_read(const struct gy_log_marks *m, const struct gy_prune_segment *s)
{
    const struct gy_log_mark *mark = gy_log_marks_get(m, s->boot, s->ring);
    return s->records == 0 || (mark && mark->seq >= s->last_seq);
}

/* Of a segment that would go: may it? fate stays STAYS when it may. last: its stream has no later
 * one that is sealed. */
static gy_status ask(const struct gy_prune_order *o, struct gy_prune_segment *s, bool last,
                     struct gy_err *err)
{
    char name[128], path[GY_MAX_PATH];
    bool no = false;
    if (last) {
        GY_TRY(has_ring(o, s, &no, err));
        if (no) {
            s->fate = GY_PRUNE_NEWEST;
            return GY_OK;
        }
    }
    for (size_t i = 0; i < o->n_readers; i++) {
        if (!is_read(&o->readers[i].read, s)) {
            s->fate = GY_PRUNE_UNREAD;
            s->reader = o->readers[i].name;
            return GY_OK;
        }
    }
    if (o->held) {
        gy_segment_name(s->boot, s->ring, s->number, ".seg", name);
        GY_TRY(gy_path_join(path, sizeof path, o->dir, name, err));
        GY_TRY(o->held(o->ctx, path, &no, err));
        s->fate = no ? GY_PRUNE_LEGAL : s->fate;
    }
    return GY_OK;
}

/* ---- what goes ---- */

struct by_age {
    struct gy_prune_segment *s;
    size_t at; /* in the plan: breaks ties, so that a stream keeps its order */
};

static int age_cmp(const void *x, const void *y)
{
    const struct by_age *a = x, *b = y;
    return a->s->to_us != b->s->to_us ? (a->s->to_us < b->s->to_us ? -1 : 1)
           : a->at < b->at            ? -1
                                      : a->at > b->at;
}

static bool same_stream(const struct gy_prune_plan *p, size_t i, size_t k)
{
    return k < p->n && stream_cmp(&p->segments[i], &p->segments[k]) == 0;
}

/* All behind one that must stay, must stay too. */
static void block_behind(struct gy_prune_plan *p, size_t at)
{
    for (size_t i = at + 1; same_stream(p, at, i); i++) {
        if (p->segments[i].fate == GY_PRUNE_STAYS) {
            p->segments[i].fate = GY_PRUNE_BEHIND;
        }
    }
}

/* One of a stream may only go when all before it do: of clocks that went back, the young one that
 * stands before an old one decides. */
static bool is_first_left(const struct gy_prune_plan *p, size_t at)
{
    return at == 0 || !same_stream(p, at, at - 1) || gy_prune_goes(p->segments[at - 1].fate);
}

static bool is_last_sealed(const struct gy_prune_plan *p, size_t at)
{
    for (size_t i = at + 1; same_stream(p, at, i); i++) {
        if (p->segments[i].fate != GY_PRUNE_OPEN) {
            return false;
        }
    }
    return true;
}

static void mark_left(const struct gy_prune_order *o, struct gy_prune_plan *p)
{
    for (size_t i = 0; i < p->n; i++) {
        struct gy_prune_segment *s = &p->segments[i];
        const struct gy_log_mark *mark =
            o->pruned ? gy_log_marks_get(o->pruned, s->boot, s->ring) : NULL;
        if (s->fate == GY_PRUNE_STAYS && s->records && mark && mark->seq >= s->last_seq) {
            s->fate = GY_PRUNE_LEFT;
        } else if (s->fate == GY_PRUNE_OPEN) {
            block_behind(p, i);
        }
    }
}

static void count(struct gy_prune_plan *p, const struct gy_prune_segment *s)
{
    p->from_us = p->segments_go == 0 || s->from_us < p->from_us ? s->from_us : p->from_us;
    p->to_us = s->to_us > p->to_us ? s->to_us : p->to_us;
    p->segments_go++;
    p->records_go += (int64_t)s->records;
    p->bytes_go += s->bytes;
}

static gy_status decide(const struct gy_prune_order *o, struct gy_prune_plan *p,
                        const struct by_age *order, struct gy_err *err)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < p->n; i++) {
        p->log_bytes += p->segments[i].bytes;
        bytes += p->segments[i].fate == GY_PRUNE_LEFT ? 0 : p->segments[i].bytes;
    }
    for (size_t i = 0; i < p->n; i++) {
        struct gy_prune_segment *s = order[i].s;
        bool old = o->keep.keep_us && s->to_us < o->now_us - o->keep.keep_us;
        bool large = o->keep.max_bytes && bytes > o->keep.max_bytes;
        if (s->fate != GY_PRUNE_STAYS || !(old || large) || !is_first_left(p, order[i].at)) {
            continue;
        }
        GY_TRY(ask(o, s, is_last_sealed(p, order[i].at), err));
        if (s->fate == GY_PRUNE_STAYS) {
            s->fate = old ? GY_PRUNE_AGE : GY_PRUNE_SIZE;
            bytes -= s->bytes;
            count(p, s);
        } else {
            block_behind(p, order[i].at);
        }
    }
    return GY_OK;
}

static gy_status take_list(struct listing *l, struct gy_prune_plan *p, struct gy_err *err)
{
    p->segments = gy_arena_calloc(l->a, l->n + 1, sizeof *p->segments);
    struct by_age *order = gy_arena_calloc(l->a, l->n + 1, sizeof *order);
    if (!p->segments || !order) {
        return gy_err_set(err, GY_E_NOMEM, "segments of the prediction log");
    }
    if (l->n) {
        memcpy(p->segments, l->segments, l->n * sizeof *p->segments);
        qsort(p->segments, l->n, sizeof *p->segments, segment_cmp);
    }
    p->n = l->n;
    mark_left(l->o, p);
    for (size_t i = 0; i < p->n; i++) {
        order[i] = (struct by_age){&p->segments[i], i};
    }
    qsort(order, p->n, sizeof *order, age_cmp);
    return decide(l->o, p, order, err);
}

gy_status gy_prune_plan(const struct gy_prune_order *o, struct gy_arena *a,
                        struct gy_prune_plan *ret, struct gy_err *err)
{
    struct listing l = {.o = o, .a = a};
    *ret = (struct gy_prune_plan){.segments = NULL};
    gy_status st = gy_path_is_dir(o->dir) ? gy_dir_each(o->dir, add_segment, &l, err) : GY_OK;
    if (st == GY_OK) {
        st = take_list(&l, ret, err);
    }
    gy_free(l.segments);
    return st;
}

/* ---- doing it ---- */

/* The index first: one without a segment could be taken for that of a later file of the name. */
static gy_status remove_files(const char *dir, const struct gy_prune_segment *s, struct gy_err *err)
{
    static const char *const suffixes[] = {".idx", ".seg"};
    for (int i = 0; i < 2; i++) {
        char name[128], path[GY_MAX_PATH];
        gy_segment_name(s->boot, s->ring, s->number, suffixes[i], name);
        GY_TRY(gy_path_join(path, sizeof path, dir, name, err));
        if (unlink(path) != 0 && errno != ENOENT) {
            return gy_err_sys(err, errno, "removing %s", path);
        }
    }
    return GY_OK;
}

gy_status gy_prune_remove(const char *dir, const struct gy_prune_plan *p, struct gy_err *err)
{
    bool any = false;
    for (size_t i = 0; i < p->n; i++) {
        if (gy_prune_goes(p->segments[i].fate)) {
            GY_TRY(remove_files(dir, &p->segments[i], err));
            any = true;
        }
    }
    return any ? gy_dir_sync(dir, err) : GY_OK;
}

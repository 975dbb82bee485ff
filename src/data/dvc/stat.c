/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/stat.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"

#define MAGIC "GYDVCST2"
#define LEGACY 1u
#define HAS_SHA256 2u
/* The kernel's clock of file times ticks every 10 ms at most; twice that. On a server's disk it is
 * the server's clock that counts, so there it is seconds. */
#define MARGIN_NS INT64_C(20000000)
#define FAR_MARGIN_NS INT64_C(5000000000)

struct head {
    char magic[8];
    uint64_t n, n_slots;
    uint32_t crc, reserved; /* of all that follows the head */
};

struct entry {
    uint64_t dev, ino;
    int64_t size, mtime_ns, ctime_ns;
    unsigned char md5[16], sha256[32];
    uint32_t flags, day; /* day: when it was last of use */
};

struct gy_dvc_stats {
    char path[GY_MAX_PATH];
    const char *map;
    size_t map_size;
    const uint32_t *slots; /* index + 1 of an entry; 0: free */
    const struct entry *entries;
    size_t n, n_slots;
    unsigned char *used; /* a byte an entry; races write the same value */
    pthread_mutex_t mutex;
    struct entry *notes;
    size_t n_notes, cap_notes;
};

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t gy_dvc_stats_now(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &t); /* can not fail on Linux */
    return ns_of(t);
}

static uint64_t slot_of(uint64_t dev, uint64_t ino, uint32_t flags, size_t n_slots)
{
    uint64_t h =
        (ino ^ dev << 32 ^ (uint64_t)(flags & LEGACY) << 63) * UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 29;
    h *= UINT64_C(0xbf58476d1ce4e5b9);
    return (h ^ h >> 32) & (n_slots - 1);
}

static struct entry make_entry(const struct stat *st, bool legacy)
{
    return (struct entry){.dev = (uint64_t)st->st_dev,
                          .ino = (uint64_t)st->st_ino,
                          .size = (int64_t)st->st_size,
                          .mtime_ns = ns_of(st->st_mtim),
                          .ctime_ns = ns_of(st->st_ctim),
                          .flags = legacy ? LEGACY : 0,
                          .day = (uint32_t)(gy_dvc_stats_now() / INT64_C(86400000000000))};
}

static bool same_file(const struct entry *a, const struct entry *b)
{
    return a->ino == b->ino && a->dev == b->dev && (a->flags & LEGACY) == (b->flags & LEGACY);
}

/* ---- reading ---- */

static void take_map(struct gy_dvc_stats *s, const char *map, size_t size)
{
    struct head h;
    memcpy(&h, map, sizeof h);
    bool sane = memcmp(h.magic, MAGIC, sizeof h.magic) == 0 && h.n <= GY_DVC_MAX_STATS &&
                h.n_slots <= UINT64_C(4) * GY_DVC_MAX_STATS && h.n_slots > h.n &&
                (h.n_slots & (h.n_slots - 1)) == 0 &&
                size == sizeof h + h.n_slots * sizeof(uint32_t) + h.n * sizeof(struct entry);
    if (!sane || gy_crc32c(0, map + sizeof h, size - sizeof h) != h.crc) {
        return;
    }
    s->used = gy_calloc(h.n + 1, 1);
    if (!s->used) {
        return; /* slower, not wrong */
    }
    s->slots = (const uint32_t *)(const void *)(map + sizeof h);
    s->entries = (const struct entry *)(const void *)(map + sizeof h + h.n_slots * 4);
    s->n = h.n;
    s->n_slots = h.n_slots;
}

gy_status gy_dvc_stats_open(const char *path, struct gy_dvc_stats **ret, struct gy_err *err)
{
    struct gy_dvc_stats *s = gy_calloc(1, sizeof *s);
    if (!s) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for known files");
    }
    (void)snprintf(s->path, sizeof s->path, "%s", path);
    (void)pthread_mutex_init(&s->mutex, NULL); /* can not fail for a plain mutex */
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && (size_t)st.st_size >= sizeof(struct head)) {
        void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
        if (map != MAP_FAILED) {
            s->map = map;
            s->map_size = (size_t)st.st_size;
            take_map(s, map, s->map_size);
        }
    }
    if (fd >= 0) {
        (void)close(fd); /* only read from */
    }
    *ret = s;
    return GY_OK;
}

void gy_dvc_stats_free(struct gy_dvc_stats *s)
{
    if (s) {
        if (s->map) {
            (void)munmap((void *)(uintptr_t)s->map, s->map_size);
        }
        (void)pthread_mutex_destroy(&s->mutex);
        gy_free(s->used);
        gy_free(s->notes);
        gy_free(s);
    }
}

bool gy_dvc_stats_find(struct gy_dvc_stats *s, const struct stat *st, bool legacy,
                       char md5[GY_MD5_HEX], char *sha256)
{
    if (s->n == 0) {
        return false;
    }
    struct entry want = make_entry(st, legacy);
    for (size_t at = slot_of(want.dev, want.ino, want.flags, s->n_slots), tries = 0;
         tries < s->n_slots && s->slots[at]; at = (at + 1) & (s->n_slots - 1), tries++) {
        size_t i = s->slots[at] - 1;
        if (i >= s->n || !same_file(&s->entries[i], &want)) {
            continue;
        }
        const struct entry *e = &s->entries[i];
        if (e->size != want.size || e->mtime_ns != want.mtime_ns || e->ctime_ns != want.ctime_ns ||
            (sha256 && !(e->flags & HAS_SHA256))) {
            return false;
        }
        __atomic_store_n(&s->used[i], 1, __ATOMIC_RELAXED);
        gy_hex(e->md5, sizeof e->md5, md5);
        if (sha256) {
            gy_hex(e->sha256, sizeof e->sha256, sha256);
        }
        return true;
    }
    return false;
}

/* ---- noting ---- */

static void note(struct gy_dvc_stats *s, const struct entry *e)
{
    (void)pthread_mutex_lock(&s->mutex);
    if (s->n_notes == s->cap_notes && s->n_notes < GY_DVC_MAX_STATS) {
        size_t cap = s->cap_notes ? 2 * s->cap_notes : 1024;
        struct entry *grown = gy_reallocarray(s->notes, cap, sizeof *grown);
        if (grown) {
            s->notes = grown;
            s->cap_notes = cap;
        }
    }
    if (s->n_notes < s->cap_notes) { /* else it is hashed again next time */
        s->notes[s->n_notes++] = *e;
    }
    (void)pthread_mutex_unlock(&s->mutex);
}

static void note_digests(struct gy_dvc_stats *s, const struct stat *st, bool legacy,
                         const char *md5, const char *sha256)
{
    struct entry e = make_entry(st, legacy);
    if (sha256 && sha256[0] && gy_unhex(gy_str_c(sha256), e.sha256, sizeof e.sha256)) {
        e.flags |= HAS_SHA256;
    }
    if (gy_unhex(gy_str_n(md5, GY_MD5_HEX - 1), e.md5, sizeof e.md5)) {
        note(s, &e);
    }
}

void gy_dvc_stats_note_own(struct gy_dvc_stats *s, const struct stat *st, bool legacy,
                           const char *md5)
{
    note_digests(s, st, legacy, md5, NULL);
}

void gy_dvc_stats_note(struct gy_dvc_stats *s, const struct stat *st, bool legacy, const char *md5,
                       const char *sha256, int64_t began_ns)
{
    int64_t newest =
        ns_of(st->st_ctim) > ns_of(st->st_mtim) ? ns_of(st->st_ctim) : ns_of(st->st_mtim);
    /* Coarse times (whole seconds) say that the file system is one of those to be careful with. */
    bool coarse = st->st_mtim.tv_nsec == 0 && st->st_ctim.tv_nsec == 0;
    if (newest < began_ns - (coarse ? FAR_MARGIN_NS : MARGIN_NS)) {
        note_digests(s, st, legacy, md5, sha256);
    }
}

bool gy_dvc_stats_stamp(int fd, struct stat *ret)
{
    struct timespec now[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 0}};
    if (clock_gettime(CLOCK_REALTIME, &now[1]) != 0 || futimens(fd, now) != 0 ||
        fstat(fd, ret) != 0) {
        return false;
    }
    return ret->st_mtim.tv_sec == now[1].tv_sec && ret->st_mtim.tv_nsec == now[1].tv_nsec &&
           now[1].tv_nsec % 1000000 != 0;
}

/* ---- writing ---- */

/* What is kept: all notes (the last one of a file), and of the old ones what is still of use. */
static size_t merge(const struct gy_dvc_stats *s, struct entry *out, uint32_t *slots,
                    size_t n_slots)
{
    uint32_t today = (uint32_t)(gy_dvc_stats_now() / INT64_C(86400000000000));
    size_t n = 0;
    for (size_t k = s->n_notes + s->n; k-- > 0;) {
        bool old = k < s->n;
        struct entry e = old ? s->entries[k] : s->notes[k - s->n];
        if (old && s->used[k]) {
            e.day = today;
        } else if (old && (e.day + GY_DVC_KEEP_DAYS < today || n >= GY_DVC_MAX_STATS / 2)) {
            continue;
        }
        size_t at = slot_of(e.dev, e.ino, e.flags, n_slots);
        while (slots[at] && !same_file(&out[slots[at] - 1], &e)) {
            at = (at + 1) & (n_slots - 1);
        }
        if (!slots[at] && n < GY_DVC_MAX_STATS) {
            out[n++] = e;
            slots[at] = (uint32_t)n;
        }
    }
    return n;
}

static gy_status write_all(const char *path, const struct head *h, const uint32_t *slots,
                           const struct entry *entries, struct gy_err *err)
{
    char tmp[GY_MAX_PATH + 32];
    (void)snprintf(tmp, sizeof tmp, "%s.%ld", path, (long)getpid());
    GY_TRY(gy_dir_make_for(path, err));
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return gy_err_sys(err, errno, "can not write %s", tmp);
    }
    const char *parts[3] = {(const char *)h, (const char *)slots, (const char *)entries};
    size_t sizes[3] = {sizeof *h, h->n_slots * sizeof *slots, h->n * sizeof *entries};
    bool good = true;
    for (size_t i = 0; i < 3; i++) {
        for (size_t at = 0; good && at < sizes[i];) {
            ssize_t n = write(fd, parts[i] + at, sizes[i] - at);
            good = n > 0 || (n < 0 && errno == EINTR);
            at += n > 0 ? (size_t)n : 0;
        }
    }
    int errnum = errno;
    good = close(fd) == 0 && good;
    if (good && rename(tmp, path) == 0) {
        return GY_OK; /* not synced: after a power loss the CRC tells */
    }
    errnum = good ? errno : errnum;
    (void)unlink(tmp);
    return gy_err_sys(err, errnum, "can not write %s", path);
}

gy_status gy_dvc_stats_save(struct gy_dvc_stats *s, struct gy_err *err)
{
    if (s->n_notes == 0) {
        return GY_OK;
    }
    size_t n_slots = 64;
    while (n_slots < 2 * (s->n + s->n_notes)) {
        n_slots *= 2;
    }
    uint32_t *slots = gy_calloc(n_slots, sizeof *slots);
    struct entry *entries = gy_calloc(s->n + s->n_notes, sizeof *entries);
    gy_status status = GY_E_NOMEM;
    if (slots && entries) {
        struct head h = {.magic = MAGIC, .n_slots = n_slots};
        h.n = merge(s, entries, slots, n_slots);
        h.crc = gy_crc32c(0, slots, n_slots * sizeof *slots);
        h.crc = gy_crc32c(h.crc, entries, h.n * sizeof *entries);
        status = write_all(s->path, &h, slots, entries, err);
        s->n_notes = status == GY_OK ? 0 : s->n_notes;
    } else {
        status = gy_err_set(err, GY_E_NOMEM, "out of memory for known files");
    }
    gy_free(slots);
    gy_free(entries);
    return status;
}

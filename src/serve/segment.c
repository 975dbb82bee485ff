/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"

#define SEGMENT_MAGIC "GYSEG\0\0\1"
#define INDEX_MAGIC "GYIDX\0\0\1"
#define INDEX_HEADER 128
#define INDEX_MAX_BYTES (256 * GY_MIB)

struct entry {
    unsigned char id[16];
    uint64_t offset;
};

struct mapped {
    char *p;
    size_t n;
};

static void mapped_done(struct mapped *m)
{
    if (m->p) {
        (void)munmap(m->p, m->n); /* can not fail for what mmap gave */
    }
}
GY_DEFINE_AUTO_DONE(struct mapped, mapped_done);

static gy_status map_file(const char *path, struct mapped *m, struct gy_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "open %s", path);
    }
    struct stat st;
    gy_status failed = GY_OK;
    if (fstat(fd, &st) != 0) {
        failed = gy_err_sys(err, errno, "stat %s", path);
    } else if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED) {
            failed = gy_err_sys(err, errno, "map %s", path);
        } else {
            m->p = p;
            m->n = (size_t)st.st_size;
        }
    }
    (void)close(fd);
    return failed;
}

void gy_segment_header(const unsigned char boot[16], uint32_t ring, uint32_t number,
                       char out[GY_SEGMENT_HEADER])
{
    memset(out, 0, GY_SEGMENT_HEADER);
    memcpy(out, SEGMENT_MAGIC, 8);
    memcpy(out + 8, boot, 16);
    memcpy(out + 24, &ring, 4);
    memcpy(out + 28, &number, 4);
}

static gy_status map_segment(const char *path, struct mapped *m, struct gy_err *err)
{
    GY_TRY(map_file(path, m, err));
    if (m->n < GY_SEGMENT_HEADER || memcmp(m->p, SEGMENT_MAGIC, 8) != 0) {
        return gy_err_set(err, GY_E_CORRUPT, "%s is not a segment of the prediction log", path);
    }
    return GY_OK;
}

/* The next good frame from *at on: *ret_bytes long, *at moved to it. false at the end. *bad counts
 * places that were skipped. */
static bool next_frame(const struct mapped *m, size_t *at, size_t *ret_bytes, uint64_t *bad)
{
    for (;;) {
        switch (gy_frame_look(m->p, m->n, *at, ret_bytes)) {
        case GY_FRAME_GOOD:
            if (gy_frame_kind(m->p + *at) == GY_FRAME_NOTE) {
                *at += *ret_bytes;
                continue;
            }
            return true;
        case GY_FRAME_END:
        case GY_FRAME_WRAP:
        case GY_FRAME_BAD:
            break;
        }
        if (*at >= m->n) {
            return false;
        }
        /* A torn end is skipped like any damage: what stands behind it, if anything, still counts.
         */
        size_t next = gy_frame_resync(m->p, m->n, *at + 8);
        (*bad)++;
        if (next >= m->n) {
            return false;
        }
        *at = next;
    }
}

static int entry_cmp(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;
    int by_id = memcmp(x->id, y->id, sizeof x->id);
    return by_id ? by_id : x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void count_record(struct gy_segment_info *info, uint64_t seq)
{
    if (info->records == 0) {
        info->first_seq = seq;
    } else if (seq > info->last_seq + 1) {
        info->holes += seq - info->last_seq - 1;
    }
    info->last_seq = seq;
    info->records++;
}

/* entries MAY be NULL: only info is wanted. */
static gy_status scan_segment(const struct mapped *m, struct gy_segment_info *info,
                              struct gy_buf *entries)
{
    memcpy(info->boot, m->p + 8, 16);
    memcpy(&info->ring, m->p + 24, 4);
    memcpy(&info->number, m->p + 28, 4);
    size_t at = GY_SEGMENT_HEADER;
    size_t bytes;
    info->bytes = at;
    while (next_frame(m, &at, &bytes, &info->bad)) {
        struct entry e;
        uint64_t seq;
        gy_record_peek(m->p + at, e.id, &seq);
        e.offset = at;
        count_record(info, seq);
        if (entries) {
            gy_buf_add_bytes(entries, &e, sizeof e);
        }
        at += bytes;
        info->bytes = at;
    }
    return entries ? entries->failed : GY_OK;
}

gy_status gy_segment_scan(const char *path, struct gy_segment_info *ret, struct gy_err *err)
{
    GY_AUTO_DONE(mapped_done) struct mapped m = {0};
    GY_TRY(map_segment(path, &m, err));
    *ret = (struct gy_segment_info){0};
    return scan_segment(&m, ret, NULL);
}

static gy_status index_path(const char *path, char out[GY_MAX_PATH], struct gy_err *err)
{
    size_t n = strlen(path);
    if (n < 4 || n >= GY_MAX_PATH) {
        return gy_err_set(err, GY_E_TOOBIG, "path too long: %s", path);
    }
    memcpy(out, path, n + 1);
    memcpy(out + n - 4, ".idx", 4);
    return GY_OK;
}

static void index_header(const struct gy_segment_info *info, struct gy_str entries,
                         char out[INDEX_HEADER])
{
    memset(out, 0, INDEX_HEADER);
    memcpy(out, INDEX_MAGIC, 8);
    memcpy(out + 8, info->boot, 16);
    memcpy(out + 24, &info->ring, 4);
    memcpy(out + 28, &info->number, 4);
    const uint64_t numbers[6] = {info->records, info->first_seq, info->last_seq,
                                 info->holes,   info->bad,       info->bytes};
    memcpy(out + 32, numbers, sizeof numbers);
    uint32_t crc = gy_crc32c(0, entries.p, entries.n);
    memcpy(out + 80, &crc, 4);
    crc = gy_crc32c(0, out, 84);
    memcpy(out + 84, &crc, 4);
}

static bool index_parse(const struct mapped *m, struct gy_segment_info *info)
{
    uint32_t crc;
    if (m->n < INDEX_HEADER || memcmp(m->p, INDEX_MAGIC, 8) != 0) {
        return false;
    }
    memcpy(&crc, m->p + 84, 4);
    if (gy_crc32c(0, m->p, 84) != crc) {
        return false;
    }
    uint64_t numbers[6];
    memcpy(info->boot, m->p + 8, 16);
    memcpy(&info->ring, m->p + 24, 4);
    memcpy(&info->number, m->p + 28, 4);
    memcpy(numbers, m->p + 32, sizeof numbers);
    info->records = numbers[0];
    info->first_seq = numbers[1];
    info->last_seq = numbers[2];
    info->holes = numbers[3];
    info->bad = numbers[4];
    info->bytes = numbers[5];
    return info->records <= INDEX_MAX_BYTES / sizeof(struct entry) &&
           m->n == INDEX_HEADER + info->records * sizeof(struct entry);
}

gy_status gy_segment_seal(const char *path, struct gy_segment_info *ret, struct gy_err *err)
{
    GY_AUTO_DONE(mapped_done) struct mapped m = {0};
    GY_TRY(map_segment(path, &m, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf entries;
    gy_buf_init(&entries, INDEX_MAX_BYTES);
    struct gy_segment_info info = {0};
    if (scan_segment(&m, &info, &entries) != GY_OK) {
        return gy_buf_check(&entries, "the index of a log segment", err);
    }
    /* Ids of one ring grow, except where a clock went back between two servers. */
    qsort(entries.p, entries.n / sizeof(struct entry), sizeof(struct entry), entry_cmp);
    char header[INDEX_HEADER];
    char to[GY_MAX_PATH];
    index_header(&info, gy_buf_str(&entries), header);
    GY_TRY(index_path(path, to, err));
    GY_AUTO(gy_file_writer_free) struct gy_file_writer *w = NULL;
    GY_TRY(gy_file_writer_open(to, 0644, &w, err));
    GY_TRY(gy_file_writer_write(w, gy_str_n(header, sizeof header), err));
    GY_TRY(gy_file_writer_write(w, gy_buf_str(&entries), err));
    GY_TRY(gy_file_writer_commit(w, NULL, err));
    *ret = info;
    return GY_OK;
}

gy_status gy_segment_sealed(const char *path, struct gy_segment_info *ret, struct gy_err *err)
{
    char from[GY_MAX_PATH];
    GY_TRY(index_path(path, from, err));
    GY_AUTO_DONE(mapped_done) struct mapped m = {0};
    GY_TRY(map_file(from, &m, err));
    return index_parse(&m, ret) ? GY_OK
                                : gy_err_set(err, GY_E_CORRUPT, "%s is not a good index", from);
}

static gy_status read_ids(int fd, const char *path, unsigned char ret_least[16],
                          unsigned char ret_greatest[16], uint64_t *ret_records, struct gy_err *err)
{
    char head[INDEX_HEADER];
    struct stat st;
    struct gy_segment_info info;
    if (fstat(fd, &st) != 0 || pread(fd, head, sizeof head, 0) != (ssize_t)sizeof head) {
        return gy_err_set(err, GY_E_CORRUPT, "%s is not a good index", path);
    }
    /* Of what index_parse looks at, only the head is in memory. */
    const struct mapped m = {head, (size_t)st.st_size};
    if (!index_parse(&m, &info)) {
        return gy_err_set(err, GY_E_CORRUPT, "%s is not a good index", path);
    }
    off_t last = (off_t)(st.st_size - (off_t)sizeof(struct entry));
    *ret_records = info.records;
    if (info.records &&
        (pread(fd, ret_least, 16, INDEX_HEADER) != 16 || pread(fd, ret_greatest, 16, last) != 16)) {
        return gy_err_sys(err, errno, "reading %s", path);
    }
    return GY_OK;
}

gy_status gy_segment_ids(const char *path, unsigned char ret_least[16],
                         unsigned char ret_greatest[16], uint64_t *ret_records, struct gy_err *err)
{
    char from[GY_MAX_PATH];
    GY_TRY(index_path(path, from, err));
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "open %s", from);
    }
    gy_status st = read_ids(fd, from, ret_least, ret_greatest, ret_records, err);
    (void)close(fd);
    return st;
}

static gy_status keep(const struct mapped *m, size_t at, struct gy_arena *a, struct gy_record *out,
                      size_t max, size_t *ret_n, struct gy_err *err)
{
    size_t bytes;
    if (at >= m->n || gy_frame_look(m->p, m->n, at, &bytes) != GY_FRAME_GOOD) {
        return gy_err_set(err, GY_E_CORRUPT, "an indexed record of the prediction log is damaged");
    }
    if (*ret_n < max) {
        GY_TRY(gy_record_read(m->p + at, bytes, a, &out[*ret_n], err));
        (*ret_n)++;
    }
    return GY_OK;
}

/* By index; *ret_used false when there is none to use. */
static gy_status find_indexed(const char *path, const unsigned char id[16], struct gy_arena *a,
                              struct gy_record *out, size_t max, size_t *ret_n, bool *ret_used,
                              struct gy_err *err)
{
    *ret_used = false;
    char from[GY_MAX_PATH];
    GY_TRY(index_path(path, from, err));
    GY_AUTO_DONE(mapped_done) struct mapped index = {0};
    struct gy_segment_info info;
    if (!gy_path_exists(from) || map_file(from, &index, NULL) != GY_OK ||
        !index_parse(&index, &info)) {
        return GY_OK;
    }
    *ret_used = true;
    const struct entry *entries = (const struct entry *)(const void *)(index.p + INDEX_HEADER);
    size_t low = 0;
    size_t high = info.records;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (memcmp(entries[mid].id, id, 16) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == info.records || memcmp(entries[low].id, id, 16) != 0) {
        return GY_OK;
    }
    GY_AUTO_DONE(mapped_done) struct mapped m = {0};
    GY_TRY(map_segment(path, &m, err));
    for (; low < info.records && memcmp(entries[low].id, id, 16) == 0; low++) {
        GY_TRY(keep(&m, entries[low].offset, a, out, max, ret_n, err));
    }
    return GY_OK;
}

gy_status gy_segment_find(const char *path, const unsigned char id[16], struct gy_arena *a,
                          struct gy_record *out, size_t max, size_t *ret_n, struct gy_err *err)
{
    bool used;
    GY_TRY(find_indexed(path, id, a, out, max, ret_n, &used, err));
    if (used) {
        return GY_OK;
    }
    GY_AUTO_DONE(mapped_done) struct mapped m = {0};
    GY_TRY(map_segment(path, &m, err));
    size_t at = GY_SEGMENT_HEADER;
    size_t bytes;
    uint64_t bad = 0;
    while (next_frame(&m, &at, &bytes, &bad)) {
        unsigned char got[16];
        uint64_t seq;
        gy_record_peek(m.p + at, got, &seq);
        if (memcmp(got, id, 16) == 0) {
            GY_TRY(keep(&m, at, a, out, max, ret_n, err));
        }
        at += bytes;
    }
    return GY_OK;
}

gy_status gy_segment_find_quick(const char *path, const unsigned char id[16], struct gy_arena *a,
                                struct gy_record *out, size_t max, size_t *ret_n,
                                struct gy_err *err)
{
    bool used;
    GY_TRY(find_indexed(path, id, a, out, max, ret_n, &used, err));
    if (used) {
        return GY_OK;
    }
    GY_AUTO_DONE(mapped_done) struct mapped m = {0};
    GY_TRY(map_segment(path, &m, err));
    size_t bytes;
    for (size_t at = GY_SEGMENT_HEADER; gy_frame_skim(m.p, m.n, at, &bytes); at += bytes) {
        unsigned char got[16];
        uint64_t seq;
        gy_record_peek(m.p + at, got, &seq);
        if (memcmp(got, id, 16) == 0) {
            GY_TRY(keep(&m, at, a, out, max, ret_n, err));
        }
    }
    return GY_OK;
}

gy_status gy_segment_each(const char *path, gy_record_fn fn, void *ctx, struct gy_err *err)
{
    GY_AUTO_DONE(mapped_done) struct mapped m = {0};
    GY_TRY(map_segment(path, &m, err));
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    size_t at = GY_SEGMENT_HEADER;
    size_t bytes;
    uint64_t bad = 0;
    while (next_frame(&m, &at, &bytes, &bad)) {
        struct gy_record r;
        gy_arena_reset(&a);
        GY_TRY(gy_record_read(m.p + at, bytes, &a, &r, err));
        if (!r.gap) {
            GY_TRY(fn(ctx, &r, err));
        }
        at += bytes;
    }
    return GY_OK;
}

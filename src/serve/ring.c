/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define RING_MAGIC "GYRING\0\1"
#define RING_HEADER 4096
#define RING_MIN_BYTES (64 * GY_KIB)
#define RING_MAX_BYTES (1 * GY_GIB)
#define FRAME_HEADER 8

/* The first page of the file. head and tail count bytes from the beginning of time; each has its
 * own cache line. */
struct header {
    char magic[8];
    unsigned char boot[16];
    uint32_t number;
    uint32_t reserved;
    uint64_t capacity;
    char pad0[24];
    _Atomic uint64_t head;
    char pad1[56];
    _Atomic uint64_t tail;  /* what comes before is in a segment */
    _Atomic uint64_t wiped; /* and what comes before this is zeros, free for the producer */
};

struct gy_ring {
    struct header *header;
    char *data;
    uint64_t capacity;
    uint64_t head;      /* the producer's own copy */
    uint64_t free_seen; /* by the producer; re-read only when it looks full */
    uint64_t seq;
    uint64_t wrap_skip; /* the consumer's: bytes to skip after the run it peeked at */
};

static gy_status map_ring(int fd, size_t bytes, const char *path, struct gy_ring **ret,
                          struct gy_err *err)
{
    struct gy_ring *r = gy_calloc(1, sizeof *r);
    if (!r) {
        return gy_err_set(err, GY_E_NOMEM, "a log ring");
    }
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        gy_free(r);
        return gy_err_sys(err, errno, "map %s", path);
    }
    r->header = p;
    r->data = (char *)p + RING_HEADER;
    r->capacity = bytes - RING_HEADER;
    *ret = r;
    return GY_OK;
}

static gy_status create_file(const char *path, size_t bytes, int *ret_fd, struct gy_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno == EEXIST ? gy_err_set(err, GY_E_EXISTS, "%s exists", path)
                               : gy_err_sys(err, errno, "open %s", path);
    }
    int failed = posix_fallocate(fd, 0, (off_t)bytes);
    if (failed) {
        (void)close(fd);
        (void)unlink(path);
        return gy_err_sys(err, failed, "allocate %zu bytes for %s", bytes, path);
    }
    *ret_fd = fd;
    return GY_OK;
}

gy_status gy_ring_create(const char *path, const unsigned char boot[16], uint32_t number,
                         size_t capacity_bytes, struct gy_ring **ret, struct gy_err *err)
{
    if (capacity_bytes < RING_MIN_BYTES || capacity_bytes > RING_MAX_BYTES ||
        (capacity_bytes & (capacity_bytes - 1))) {
        return gy_err_set(err, GY_E_INVALID, "the log ring must be a power of two from %zu bytes",
                          RING_MIN_BYTES);
    }
    int fd = -1;
    GY_TRY(create_file(path, RING_HEADER + capacity_bytes, &fd, err));
    gy_status st = map_ring(fd, RING_HEADER + capacity_bytes, path, ret, err);
    (void)close(fd);
    if (st != GY_OK) {
        (void)unlink(path);
        return st;
    }
    struct header *h = (*ret)->header;
    memcpy(h->boot, boot, sizeof h->boot);
    h->number = number;
    h->capacity = capacity_bytes;
    memcpy(h->magic, RING_MAGIC, sizeof h->magic); /* last: without it the file is no ring */
    return GY_OK;
}

static bool header_good(const struct gy_ring *r)
{
    const struct header *h = r->header;
    uint64_t head = atomic_load(&h->head);
    uint64_t tail = atomic_load(&h->tail);
    return memcmp(h->magic, RING_MAGIC, sizeof h->magic) == 0 && h->capacity == r->capacity &&
           (r->capacity & (r->capacity - 1)) == 0 && tail <= head && head - tail <= r->capacity &&
           (head & 7) == 0 && (tail & 7) == 0;
}

gy_status gy_ring_open(const char *path, struct gy_ring **ret, struct gy_err *err)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return gy_err_sys(err, errno, "open %s", path);
    }
    struct stat st;
    gy_status failed = GY_OK;
    if (fstat(fd, &st) != 0) {
        failed = gy_err_sys(err, errno, "stat %s", path);
    } else if (st.st_size < (off_t)(RING_HEADER + RING_MIN_BYTES)) {
        failed = gy_err_set(err, GY_E_CORRUPT, "%s is not a log ring", path);
    } else {
        failed = map_ring(fd, (size_t)st.st_size, path, ret, err);
    }
    (void)close(fd);
    GY_TRY(failed);
    if (!header_good(*ret)) {
        gy_ring_close(*ret);
        *ret = NULL;
        return gy_err_set(err, GY_E_CORRUPT, "%s is not a good log ring", path);
    }
    return GY_OK;
}

void gy_ring_close(struct gy_ring *r)
{
    if (r) {
        (void)munmap(r->header, RING_HEADER + r->capacity);
        gy_free(r);
    }
}

const unsigned char *gy_ring_boot(const struct gy_ring *r)
{
    return r->header->boot;
}

uint32_t gy_ring_number(const struct gy_ring *r)
{
    return r->header->number;
}

static bool room(struct gy_ring *ring, uint64_t bytes)
{
    if (ring->head + bytes - ring->free_seen <= ring->capacity) {
        return true;
    }
    ring->free_seen = atomic_load_explicit(&ring->header->wiped, memory_order_acquire);
    return ring->head + bytes - ring->free_seen <= ring->capacity;
}

bool gy_ring_has_room(struct gy_ring *ring, size_t n_bytes, size_t max_frame)
{
    return room(ring, n_bytes + max_frame); /* what a wrap may waste */
}

bool gy_ring_append(struct gy_ring *ring, struct gy_record *r)
{
    uint64_t bytes = gy_record_frame_bytes(r);
    uint64_t at = ring->head & (ring->capacity - 1);
    uint64_t to_end = ring->capacity - at;
    uint64_t skip = bytes <= to_end ? 0 : to_end;
    GY_REQUIRE(bytes <= GY_RECORD_MAX_BYTES + FRAME_HEADER);
    if (!room(ring, skip + bytes)) {
        return false;
    }
    if (skip) {
        const uint32_t mark[2] = {GY_FRAME_WRAP_MARK, 0};
        memcpy(ring->data + at, mark, sizeof mark);
        at = 0;
    }
    r->seq = ++ring->seq;
    gy_record_write(r, ring->data + at);
    ring->head += skip + bytes;
    atomic_store_explicit(&ring->header->head, ring->head, memory_order_release);
    return true;
}

/* Bytes of the frame at p, 0 for a wrap mark. */
static uint64_t frame_bytes(const char *p)
{
    uint32_t length;
    memcpy(&length, p, sizeof length);
    return length == GY_FRAME_WRAP_MARK ? 0 : FRAME_HEADER + (uint64_t)length;
}

const char *gy_ring_peek(struct gy_ring *ring, size_t *ret_n)
{
    uint64_t head = atomic_load_explicit(&ring->header->head, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&ring->header->tail, memory_order_relaxed);
    uint64_t mask = ring->capacity - 1;
    ring->wrap_skip = 0;
    if (tail < head && frame_bytes(ring->data + (tail & mask)) == 0) {
        ring->wrap_skip = ring->capacity - (tail & mask); /* a wrap mark at the very tail */
        gy_ring_consume(ring, 0);
        tail = atomic_load_explicit(&ring->header->tail, memory_order_relaxed);
    }
    uint64_t at = tail;
    while (at < head) {
        uint64_t n = frame_bytes(ring->data + (at & mask));
        if (n == 0) {
            ring->wrap_skip = ring->capacity - (at & mask);
            break;
        }
        at += n;
        if ((at & mask) == 0) {
            break; /* the end of the ring without a mark */
        }
    }
    *ret_n = at - tail;
    return ring->data + (tail & mask);
}

void gy_ring_consume(struct gy_ring *ring, size_t n)
{
    uint64_t tail = atomic_load_explicit(&ring->header->tail, memory_order_relaxed);
    uint64_t end = tail + n + ring->wrap_skip;
    /* First consumed, then zeros: a process that dies between the two leaves no frames that look
     * damaged, and what was erased in the segments does not live on here. */
    atomic_store_explicit(&ring->header->tail, end, memory_order_release);
    memset(ring->data + (tail & (ring->capacity - 1)), 0, end - tail);
    atomic_store_explicit(&ring->header->wiped, end, memory_order_release);
    ring->wrap_skip = 0;
}

/* One piece of the ring; *ret_wrapped: it ended at a wrap mark. */
static gy_status each_in(const char *piece, size_t n, gy_frame_fn fn, void *ctx, uint64_t *bad,
                         struct gy_err *err)
{
    size_t at = 0;
    while (at < n) {
        size_t bytes = 0;
        enum gy_frame got = gy_frame_look(piece, n, at, &bytes);
        if (got == GY_FRAME_WRAP) {
            return GY_OK;
        }
        if (got == GY_FRAME_GOOD) {
            GY_TRY(fn(ctx, piece + at, bytes, err));
            at += bytes;
            continue;
        }
        (*bad)++;
        at = gy_frame_resync(piece, n, at + 8);
    }
    return GY_OK;
}

gy_status gy_ring_each(struct gy_ring *ring, gy_frame_fn fn, void *ctx, uint64_t *ret_bad,
                       struct gy_err *err)
{
    uint64_t head = atomic_load_explicit(&ring->header->head, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&ring->header->tail, memory_order_acquire);
    uint64_t mask = ring->capacity - 1;
    uint64_t at = tail & mask;
    uint64_t n = head - tail;
    uint64_t first = n < ring->capacity - at ? n : ring->capacity - at;
    *ret_bad = 0;
    GY_TRY(each_in(ring->data + at, first, fn, ctx, ret_bad, err));
    return each_in(ring->data, n - first, fn, ctx, ret_bad, err);
}

size_t gy_ring_used(const struct gy_ring *ring)
{
    uint64_t tail = atomic_load_explicit(&ring->header->tail, memory_order_acquire);
    return atomic_load_explicit(&ring->header->head, memory_order_acquire) - tail;
}

size_t gy_ring_capacity(const struct gy_ring *ring)
{
    return ring->capacity;
}

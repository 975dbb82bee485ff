/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/gap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "serve/prune.h"

#define SIGNED_HEAD "gyre gap 1"
#define NOTE_FIXED ((size_t)GY_ERASURE_PUBLIC + GY_ERASURE_SIGNATURE)
#define ITEM_BYTES 16
#define NOTE_ITEMS ((GY_RECORD_MAX_BYTES - 4 * GY_KIB) / ITEM_BYTES) /* beyond: one more note */
#define MAX_NOTES_BYTES (256 * GY_MIB)
#define MAX_NAMES_BYTES (64 * GY_MIB)

static const uint64_t gap_bits = 0x7ff8455241534544; /* a quiet NaN with "ERASED" in it */
const double gy_gap_value = __builtin_nan("0x455241534544");

bool gy_gap_is_value(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits == gap_bits;
}

bool gy_gap_row(const struct gy_record *r, uint32_t row)
{
    return r->n_outputs > 0 && row < r->n_rows &&
           gy_gap_is_value(r->outputs[(size_t)row * r->n_outputs]);
}

gy_status gy_gap_refuse(const struct gy_record *parts, size_t n, struct gy_err *err)
{
    if (n > 0 && parts[0].gap) {
        (void)gy_err_set(err, GY_E_CONFLICT, "the prediction was erased");
        return gy_err_hint(err, "gyre trace ID says when and why");
    }
    return GY_OK;
}

/* A segment in memory, changed only here. */
struct image {
    char *p;
    size_t n;
};

static void image_done(struct image *m)
{
    if (m->p) {
        (void)munmap(m->p, m->n); /* can not fail for what mmap gave */
    }
}
GY_DEFINE_AUTO_DONE(struct image, image_done);

static gy_status image_open(const char *path, struct image *m, struct gy_err *err)
{
    struct stat st;
    gy_status status = GY_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_sys(err, errno, "open %s", path);
    }
    if (fstat(fd, &st) != 0) {
        status = gy_err_sys(err, errno, "stat %s", path);
    } else if (st.st_size < GY_SEGMENT_HEADER) {
        status = gy_err_set(err, GY_E_CORRUPT, "%s is not a segment of the prediction log", path);
    } else {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_NORESERVE, fd, 0);
        if (p == MAP_FAILED) {
            status = gy_err_sys(err, errno, "map %s", path);
        } else {
            *m = (struct image){p, (size_t)st.st_size};
        }
    }
    (void)close(fd); /* only read from */
    return status;
}

struct item {
    uint64_t seq;
    uint32_t first_row, n_rows;
};
_Static_assert(sizeof(struct item) == ITEM_BYTES, "as it is in the file");

struct erasing {
    const struct gy_gap_order *o;
    struct image *m;
    struct gy_arena a;
    struct gy_buf items; /* struct item */
    struct gy_gap_result found;
    bool changed;
};

static gy_status add_item(struct erasing *e, const struct gy_record *r, uint32_t first, uint32_t n,
                          struct gy_err *err)
{
    const struct item item = {r->seq, r->first_row + first, n};
    gy_buf_add_bytes(&e->items, &item, sizeof item);
    e->found.rows += n;
    return gy_buf_check(&e->items, "what is erased of a log segment", err);
}

/* The arrays of a record in its frame begin behind the strings: counted from the end. */
static void blank_row(char *frame, size_t bytes, const struct gy_record *r, uint32_t row)
{
    size_t n_shadow = r->shadow ? (size_t)r->n_rows * r->n_shadow * sizeof(double) : 0;
    size_t n_rules = r->rules ? (size_t)r->n_rows * sizeof(struct gy_rule_outcome) : 0;
    size_t n_out = (size_t)r->n_rows * r->n_outputs * sizeof(double);
    size_t n_in = (size_t)r->n_rows * r->n_inputs * sizeof(double);
    char *shadow = frame + bytes - n_shadow;
    char *rules = shadow - n_rules;
    char *out = rules - n_out;
    char *in = out - n_in;
    const struct {
        char *at;
        size_t width;
    } arrays[] = {{in, r->n_inputs}, {out, r->n_outputs}, {shadow, r->shadow ? r->n_shadow : 0}};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        for (size_t k = 0; k < arrays[i].width; k++) {
            memcpy(arrays[i].at + (row * arrays[i].width + k) * sizeof(double), &gap_bits,
                   sizeof gap_bits);
        }
    }
    if (r->rules) {
        const struct gy_rule_outcome none = {.rule = -1};
        memcpy(rules + row * sizeof none, &none, sizeof none);
    }
}

static gy_status erase_record(struct erasing *e, size_t at, size_t bytes, struct gy_err *err)
{
    struct gy_record r;
    uint32_t gone = 0;
    char *frame = e->m->p + at;
    gy_arena_reset(&e->a);
    gy_status status = gy_record_read(frame, bytes, &e->a, &r, err);
    if (status == GY_E_CORRUPT || (status == GY_OK && r.gap)) {
        return GY_OK; /* of another version, or erased already */
    }
    GY_TRY(status);
    bool *rows = gy_arena_calloc(&e->a, r.n_rows + 1, sizeof *rows);
    if (!rows) {
        return gy_err_set(err, GY_E_NOMEM, "erasing in the prediction log");
    }
    for (uint32_t i = 0; i < r.n_rows; i++) {
        rows[i] = !gy_gap_row(&r, i) && e->o->row(e->o->ctx, &r, i);
        gone += rows[i];
    }
    if (gone == 0) {
        return GY_OK;
    }
    e->found.records++;
    e->changed = true;
    if (gone == r.n_rows) {
        GY_TRY(add_item(e, &r, 0, r.n_rows, err));
        if (e->o->now_us) {
            gy_frame_make_gap(frame, e->o->erasure, e->o->now_us);
        }
        return GY_OK;
    }
    for (uint32_t i = 0; i < r.n_rows; i++) {
        if (rows[i]) {
            GY_TRY(add_item(e, &r, i, 1, err));
            blank_row(frame, bytes, &r, i);
        }
    }
    gy_frame_blank_body(frame);
    gy_frame_seal(frame);
    return GY_OK;
}

/* Nobody reads [from, to); when it holds what goes, it becomes zeros. */
static void erase_damage(struct erasing *e, size_t from, size_t to)
{
    if (to > from && e->o->damage && e->o->damage(e->o->ctx, gy_str_n(e->m->p + from, to - from))) {
        memset(e->m->p + from, 0, to - from);
        e->found.damaged++;
        e->changed = true;
    }
}

static gy_status erase_records(struct erasing *e, struct gy_err *err)
{
    size_t at = GY_SEGMENT_HEADER;
    while (at < e->m->n) {
        size_t bytes;
        if (gy_frame_look(e->m->p, e->m->n, at, &bytes) == GY_FRAME_GOOD) {
            if (gy_frame_kind(e->m->p + at) == GY_FRAME_RECORD) {
                GY_TRY(erase_record(e, at, bytes, err));
            }
            at += bytes;
            continue;
        }
        size_t next = gy_frame_resync(e->m->p, e->m->n, at + 8);
        next = next < e->m->n ? next : e->m->n;
        erase_damage(e, at, next);
        at = next;
    }
    return GY_OK;
}

/* What a note's signature is over. */
static gy_status signed_text(const char *header, const unsigned char erasure[16], int64_t now_us,
                             struct gy_str items, struct gy_buf *out, struct gy_err *err)
{
    gy_buf_reset(out);
    gy_buf_add(out, GY_STR(SIGNED_HEAD));
    gy_buf_add_bytes(out, header, GY_SEGMENT_HEADER);
    gy_buf_add_bytes(out, erasure, 16);
    gy_buf_add_bytes(out, &now_us, sizeof now_us);
    gy_buf_add(out, items);
    return gy_buf_check(out, "a signed gap", err);
}

static gy_status add_notes(const struct erasing *e, struct gy_buf *out, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    struct gy_str rest = gy_buf_str(&e->items);
    gy_buf_init(&text, GY_MIB);
    gy_buf_init(&body, GY_MIB);
    while (rest.n) {
        struct gy_str items = gy_str_sub(rest, 0, NOTE_ITEMS * ITEM_BYTES);
        unsigned char signature[GY_ERASURE_SIGNATURE];
        rest = gy_str_sub(rest, items.n, SIZE_MAX);
        GY_TRY(signed_text(e->m->p, e->o->erasure, e->o->now_us, items, &text, err));
        gy_erasure_sign(e->o->key, gy_buf_str(&text), signature);
        gy_buf_reset(&body);
        gy_buf_add_bytes(&body, e->o->key->public_key, GY_ERASURE_PUBLIC);
        gy_buf_add_bytes(&body, signature, sizeof signature);
        gy_buf_add(&body, items);
        GY_TRY(gy_buf_check(&body, "a signed gap", err));
        size_t n = gy_frame_note_bytes(body.n);
        char *room = gy_buf_reserve(out, n);
        if (!room) {
            return gy_buf_check(out, "signed gaps", err);
        }
        gy_frame_write_note(room, e->o->erasure, e->o->now_us, (uint32_t)(items.n / ITEM_BYTES),
                            gy_buf_str(&body));
        gy_buf_commit(out, n);
    }
    return GY_OK;
}

static gy_status replace(const char *path, const struct erasing *e, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf notes;
    GY_AUTO(gy_file_writer_free) struct gy_file_writer *w = NULL;
    struct gy_segment_info info;
    gy_buf_init(&notes, MAX_NOTES_BYTES);
    GY_TRY(add_notes(e, &notes, err));
    GY_TRY(gy_file_writer_open(path, 0644, &w, err));
    GY_TRY(gy_file_writer_write(w, gy_str_n(e->m->p, e->m->n), err));
    /* Frames begin at multiples of 8, also behind a torn end. */
    static const char zeros[8];
    GY_TRY(gy_file_writer_write(w, gy_str_n(zeros, -e->m->n & 7), err));
    GY_TRY(gy_file_writer_write(w, gy_buf_str(&notes), err));
    GY_TRY(gy_file_writer_commit(w, NULL, err));
    return gy_segment_seal(path, &info, err); /* the old index is right too: offsets are the same */
}

gy_status gy_segment_erase(const char *path, const struct gy_gap_order *order,
                           struct gy_gap_result *ret, struct gy_err *err)
{
    GY_AUTO_DONE(image_done) struct image m = {0};
    struct erasing e = {.o = order, .m = &m};
    GY_TRY(image_open(path, &m, err));
    gy_arena_init(&e.a, GY_MAX_REQUEST_ARENA);
    gy_buf_init(&e.items, MAX_NOTES_BYTES);
    gy_status status = erase_records(&e, err);
    if (status == GY_OK && e.changed && order->now_us) {
        status = replace(path, &e, err);
    }
    gy_arena_done(&e.a);
    gy_buf_done(&e.items);
    ret->segments += status == GY_OK && e.changed;
    ret->records += e.found.records;
    ret->rows += e.found.rows;
    ret->damaged += e.found.damaged;
    return status;
}

/* ---- checking ---- */

struct checking {
    const struct image *m;
    const unsigned char *public_key;
    struct gy_buf told; /* struct item, of good notes */
    struct gy_buf text;
    struct gy_gap_check *ret;
};

static gy_status check_note(struct checking *c, size_t at, struct gy_err *err)
{
    uint32_t n;
    int64_t now_us;
    struct gy_str body = gy_frame_note_body(c->m->p + at, &n);
    const char *fixed = c->m->p + at + 8;
    c->ret->notes++;
    if (body.n != NOTE_FIXED + (size_t)n * ITEM_BYTES ||
        memcmp(body.p, c->public_key, GY_ERASURE_PUBLIC) != 0) {
        c->ret->bad_notes++;
        return GY_OK;
    }
    struct gy_str items = gy_str_sub(body, NOTE_FIXED, SIZE_MAX);
    memcpy(&now_us, fixed + 32, sizeof now_us);
    GY_TRY(signed_text(c->m->p, (const unsigned char *)fixed + 56, now_us, items, &c->text, err));
    if (!gy_erasure_signed(c->public_key, gy_buf_str(&c->text),
                           (const unsigned char *)body.p + GY_ERASURE_PUBLIC)) {
        c->ret->bad_notes++;
        return GY_OK;
    }
    gy_buf_add(&c->told, items);
    return gy_buf_check(&c->told, "signed gaps", err);
}

static int item_cmp(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int by_seq = (x->seq > y->seq) - (x->seq < y->seq);
    return by_seq ? by_seq : (x->first_row > y->first_row) - (x->first_row < y->first_row);
}

static void check_rows(struct checking *c, const struct gy_record *r, uint32_t first, uint32_t n)
{
    const struct item want = {r->seq, r->first_row + first, n};
    const struct item *got =
        bsearch(&want, c->told.p, c->told.n / ITEM_BYTES, ITEM_BYTES, item_cmp);
    c->ret->gaps++;
    c->ret->rows += n;
    c->ret->unsigned_gaps += !got || got->n_rows != n;
}

static gy_status check_record(struct checking *c, size_t at, size_t bytes, struct gy_arena *a,
                              struct gy_err *err)
{
    struct gy_record r;
    gy_arena_reset(a);
    gy_status status = gy_record_read(c->m->p + at, bytes, a, &r, err);
    if (status == GY_E_CORRUPT) {
        return GY_OK;
    }
    GY_TRY(status);
    if (r.gap) {
        check_rows(c, &r, 0, r.n_rows);
    }
    for (uint32_t i = 0; !r.gap && i < r.n_rows; i++) {
        if (gy_gap_row(&r, i)) {
            check_rows(c, &r, i, 1);
        }
    }
    return GY_OK;
}

/* Notes stand behind what they tell of: they are read first. */
static gy_status check_frames(struct checking *c, struct gy_arena *a, struct gy_err *err)
{
    for (int pass = 0; pass < 2; pass++) {
        size_t bytes;
        for (size_t at = GY_SEGMENT_HEADER; at < c->m->n;) {
            if (gy_frame_look(c->m->p, c->m->n, at, &bytes) != GY_FRAME_GOOD) {
                at = gy_frame_resync(c->m->p, c->m->n, at + 8);
                continue;
            }
            bool note = gy_frame_kind(c->m->p + at) == GY_FRAME_NOTE;
            if (pass == 0 && note) {
                GY_TRY(check_note(c, at, err));
            } else if (pass == 1 && !note) {
                GY_TRY(check_record(c, at, bytes, a, err));
            }
            at += bytes;
        }
        qsort(c->told.p, c->told.n / ITEM_BYTES, ITEM_BYTES, item_cmp);
    }
    return GY_OK;
}

gy_status gy_segment_check_gaps(const char *path, const unsigned char public_key[GY_ERASURE_PUBLIC],
                                struct gy_gap_check *ret, struct gy_err *err)
{
    GY_AUTO_DONE(image_done) struct image m = {0};
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct checking c = {.m = &m, .public_key = public_key, .ret = ret};
    gy_arena_init(&a, GY_MAX_REQUEST_ARENA);
    GY_TRY(image_open(path, &m, err));
    gy_buf_init(&c.told, MAX_NOTES_BYTES);
    gy_buf_init(&c.text, GY_MIB);
    gy_status status = check_frames(&c, &a, err);
    gy_buf_done(&c.told);
    gy_buf_done(&c.text);
    return status;
}

/* ---- a folder ---- */

struct names {
    struct gy_arena a;
    struct name {
        const char *path;
        struct name *next;
    } * first, **end;
    const char *dir;
    int64_t n;
};

static gy_status collect(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct names *n = ctx;
    unsigned char boot[16];
    uint32_t ring;
    uint32_t number;
    char path[GY_MAX_PATH];
    if (is_dir || !gy_segment_parse_name(name, boot, &ring, &number)) {
        return GY_OK;
    }
    GY_TRY(gy_path_join(path, sizeof path, n->dir, name, err));
    struct name *one = gy_arena_alloc(&n->a, sizeof *one);
    if (!one || !(one->path = gy_arena_strdup(&n->a, gy_str_c(path)))) {
        return gy_err_set(err, GY_E_NOMEM, "names of log segments");
    }
    one->next = NULL;
    *n->end = one;
    n->end = &one->next;
    n->n++;
    return GY_OK;
}

typedef gy_status (*segment_fn)(void *ctx, const char *path, struct gy_err *err);

static gy_status each_name(struct names *n, segment_fn fn, void *ctx, gy_gap_progress progress,
                           void *progress_ctx, struct gy_err *err)
{
    int64_t done = 0;
    gy_status status = GY_OK;
    for (struct name *one = n->first; status == GY_OK && one; one = one->next) {
        struct gy_err why = GY_ERR_INIT;
        status = progress ? progress(progress_ctx, done++, n->n, err) : GY_OK;
        if (status == GY_OK) {
            status = fn(ctx, one->path, &why);
            if (status == GY_E_CORRUPT || status == GY_E_NOTFOUND) {
                gy_log_err(GY_LOG_WARN, "predlog", "a log segment can not be read", &why);
                status = GY_OK;
            } else if (status != GY_OK && err) {
                *err = why;
            }
        }
    }
    return status;
}

/* rotates MAY be NULL: the log that seals what was listed. Segments that begin later are not
 * touched: they may be open, and what is appended to a file that was replaced is lost. */
static gy_status each_segment(const char *dir, struct gy_predlog *rotates, segment_fn fn, void *ctx,
                              gy_gap_progress progress, void *progress_ctx, struct gy_err *err)
{
    struct names n = {.dir = dir};
    n.end = &n.first;
    if (!gy_path_is_dir(dir)) {
        return GY_OK;
    }
    gy_arena_init(&n.a, MAX_NAMES_BYTES);
    gy_status status = gy_dir_each(dir, collect, &n, err);
    if (status == GY_OK && rotates) {
        status = gy_predlog_rotate(rotates, err);
    }
    if (status == GY_OK) {
        status = each_name(&n, fn, ctx, progress, progress_ctx, err);
    }
    gy_arena_done(&n.a);
    return status;
}

struct erase_call {
    const struct gy_gap_order *o;
    struct gy_gap_result *ret;
};

static gy_status erase_one(void *ctx, const char *path, struct gy_err *err)
{
    struct erase_call *c = ctx;
    return gy_segment_erase(path, c->o, c->ret, err);
}

gy_status gy_predlog_erase(struct gy_predlog *live, const char *dir,
                           const struct gy_gap_order *order, gy_gap_progress progress, void *ctx,
                           struct gy_gap_result *ret, struct gy_err *err)
{
    struct erase_call c = {order, ret};
    int files = -1;
    if (live) { /* so that all that was appended is in segments that are listed */
        GY_TRY(gy_predlog_flush(live, false, err));
    }
    GY_TRY(gy_predlog_files_lock(dir, false, &files, err)); /* none is pruned meanwhile */
    gy_status st =
        each_segment(dir, order->now_us ? live : NULL, erase_one, &c, progress, ctx, err);
    if (files >= 0) {
        (void)close(files); /* and so the lock */
    }
    return st;
}

struct check_call {
    const unsigned char *public_key;
    struct gy_gap_check *ret;
};

static gy_status check_one(void *ctx, const char *path, struct gy_err *err)
{
    struct check_call *c = ctx;
    return gy_segment_check_gaps(path, c->public_key, c->ret, err);
}

gy_status gy_predlog_check_gaps(const char *dir, const unsigned char public_key[GY_ERASURE_PUBLIC],
                                struct gy_gap_check *ret, struct gy_err *err)
{
    struct check_call c = {public_key, ret};
    return each_segment(dir, NULL, check_one, &c, NULL, NULL, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Batches come together again in their order: what repeats is told, letters and lines are written.
 */
#include "data/ingest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/pipeline.h"
#include "base/time.h"
#include "data/ingest_internal.h"
#include "data/latest.h"

#define COPY_BYTES (256 * GY_KIB)

struct ingest {
    const struct gy_ingest_options *o;
    struct gy_ingest_result *r;
    struct ingest_read read;
    struct ingest_worker *workers;
    int n_threads;
    /* of the stage that takes batches in order */
    size_t file, lettered; /* 1 + index of the batch at hand, and that of the letters' header */
    int64_t row;           /* records of the file before the batch at hand */
    bool header_written;
    struct gy_unique *sets; /* of each unique column: the values of accepted records */
    size_t n_sets;
    struct gy_latest latest;
    int spool;           /* on_duplicate last: the lines before it is known which stay; else -1 */
    int64_t lines_bytes; /* of the lines that were taken */
    struct gy_reasons reasons;
    struct gy_dlq dlq;
    struct gy_unknown unknown;
    struct gy_file_writer *writer;
    struct gy_hash *sha256, *md5;
    int folder; /* locked against replays; -1: it is not */
};

/* ---- letters ---- */

/* A dead record; its reasons are in g->reasons. */
static gy_status write_letter(struct ingest *g, const struct ingest_batch *b,
                              const struct gy_csv_item *item, struct gy_err *err)
{
    struct gy_csv_item placed = *item;
    const struct ingest_file *f = b->file;
    placed.row += g->row;
    if (g->lettered != f->index + 1) {
        gy_dlq_header(&g->dlq, f->line ? gy_str_n(f->line, f->line_bytes) : GY_STR_NULL,
                      f->delimiter);
        g->lettered = f->index + 1;
    }
    g->r->dead++;
    for (int code = 0; code < GY_DEAD_N; code++) {
        g->r->codes[code] += (g->reasons.codes >> code) & 1;
    }
    return gy_dlq_add(&g->dlq, gy_str_c(f->source->name), &placed, &g->reasons, b->spill, err);
}

static void recall(struct ingest *g, const struct ingest_batch *b, const struct ingest_dead *d)
{
    g->reasons.codes = d->codes;
    g->reasons.column = d->column;
    gy_buf_reset(&g->reasons.text);
    gy_buf_add(&g->reasons.text, gy_str_n(b->texts.p + d->text, d->text_bytes));
}

/* The dead records of the batch before the one of this index. *at: how far they are written. */
static gy_status write_dead(struct ingest *g, const struct ingest_batch *b, size_t *at,
                            size_t before, struct gy_err *err)
{
    for (; *at < before; (*at)++) {
        recall(g, b, &b->dead[*at]);
        GY_TRY(write_letter(g, b, &b->dead[*at].item, err));
    }
    return GY_OK;
}

/* ---- what repeats ---- */

static struct gy_str key_of(const struct ingest *g, const struct ingest_batch *b,
                            const struct ingest_keyed *k, size_t i)
{
    const char *p = b->keys.p + k->keys, *text = p + g->n_sets * sizeof(size_t);
    size_t n = 0;
    for (size_t j = 0; j <= i; j++) {
        text += n;
        memcpy(&n, p + j * sizeof n, sizeof n);
    }
    return gy_str_n(text, n);
}

/* Add a reason for each value that an accepted record had before. */
static void check_repeated(struct ingest *g, const struct ingest_batch *b,
                           const struct ingest_keyed *k)
{
    for (size_t i = 0; i < g->n_sets; i++) {
        struct gy_str key = key_of(g, b, k, i);
        gy_unique_ask(&g->sets[i], key);
        if (key.n > 0 && gy_unique_has(&g->sets[i], key)) {
            gy_reasons_repeated(&g->reasons, gy_checker_unique_column(g->read.checker, i), key);
        }
    }
}

/* Take the values of an accepted record: all of them, or (on failure) the ingest ends. */
static gy_status remember(struct ingest *g, const struct ingest_batch *b,
                          const struct ingest_keyed *k, struct gy_err *err)
{
    for (size_t i = 0; i < g->n_sets; i++) {
        struct gy_str key = key_of(g, b, k, i);
        if (key.n > 0) {
            GY_TRY(gy_unique_add(&g->sets[i], key, err));
        }
    }
    return GY_OK;
}

/* Is the accepted record, whose line would be written at `place`, one to keep? */
static gy_status keep_latest(struct ingest *g, const struct ingest_batch *b,
                             const struct ingest_keyed *k, int64_t place, bool *ret,
                             struct gy_err *err)
{
    const bool keep_first = g->o->on_duplicate == GY_DUPLICATE_FIRST;
    const struct gy_range line = {place, (int64_t)k->line_bytes};
    struct gy_str key = key_of(g, b, k, 0);
    bool repeated = false;
    if (key.n > 0) {
        GY_TRY(gy_latest_add(&g->latest, key, line, keep_first, &repeated, err));
    }
    g->r->replaced += repeated ? 1 : 0; /* one of the two is not kept */
    g->r->accepted -= repeated ? 1 : 0;
    *ret = !repeated || !keep_first;
    return GY_OK;
}

/* One record that has unique values: is its line kept? */
static gy_status take_keyed(struct ingest *g, struct ingest_batch *b, const struct ingest_keyed *k,
                            int64_t place, size_t *dead, bool *ret_keep, struct gy_err *err)
{
    const bool good = k->line_bytes > 0;
    GY_TRY(write_dead(g, b, dead, k->dead, err));
    *ret_keep = good;
    if (g->o->on_duplicate != GY_DUPLICATE_DEAD) {
        return good ? keep_latest(g, b, k, place, ret_keep, err) : GY_OK;
    }
    if (good) {
        g->reasons.codes = 0;
        g->reasons.column = NULL;
        gy_buf_reset(&g->reasons.text);
    } else {
        recall(g, b, &b->dead[(*dead)++]);
    }
    check_repeated(g, b, k);
    if (g->reasons.codes == 0) {
        return remember(g, b, k, err);
    }
    g->r->accepted -= good ? 1 : 0;
    *ret_keep = false;
    return write_letter(g, b, &k->item, err);
}

/* The lines of the batch that are not kept go out of it. */
static gy_status sift(struct ingest *g, struct ingest_batch *b, size_t *dead, struct gy_err *err)
{
    size_t to = 0;
    for (size_t i = 0; i < b->n_keyed; i++) {
        const struct ingest_keyed *k = &b->keyed[i];
        bool keep = false;
        GY_TRY(take_keyed(g, b, k, g->lines_bytes + (int64_t)to, dead, &keep, err));
        if (keep && to != k->line) {
            memmove(b->out.p + to, b->out.p + k->line, k->line_bytes);
        }
        to += keep ? k->line_bytes : 0;
    }
    b->out.n = to;
    b->out.p[to] = '\0';
    return GY_OK;
}

/* ---- data.csv ---- */

static gy_status write_lines(struct ingest *g, struct gy_str bytes, struct gy_err *err)
{
    g->lines_bytes += (int64_t)bytes.n;
    if (g->spool >= 0) {
        return gy_fd_write(g->spool, g->o->out_dir, bytes, err);
    }
    g->r->size_bytes += (int64_t)bytes.n;
    return gy_file_writer_write(g->writer, bytes, err);
}

/* The spooled lines that nothing replaced become data.csv. */
static gy_status copy_spool(struct ingest *g, struct gy_err *err)
{
    GY_AUTO(gy_free) char *piece = gy_malloc(COPY_BYTES);
    if (!piece) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for copying records");
    }
    size_t pos = 0;
    struct gy_range kept = {0};
    gy_latest_sort(&g->latest);
    while (gy_latest_kept(&g->latest, g->lines_bytes, &pos, &kept)) {
        while (kept.bytes > 0) {
            size_t n = kept.bytes < (int64_t)COPY_BYTES ? (size_t)kept.bytes : COPY_BYTES;
            struct gy_str bytes = gy_str_n(piece, n);
            GY_TRY(gy_fd_read_at(g->spool, g->o->out_dir, piece, n, kept.offset, err));
            GY_TRY(gy_file_writer_write(g->writer, bytes, err));
            gy_hash_add(g->sha256, bytes);
            gy_hash_add(g->md5, bytes);
            g->r->size_bytes += (int64_t)n;
            kept.offset += (int64_t)n;
            kept.bytes -= (int64_t)n;
        }
    }
    return GY_OK;
}

/* ---- stages ---- */

static gy_status stage_read(void *ctx, void *slot, bool *ret_more, struct gy_err *err)
{
    struct ingest *g = ctx;
    return gy_ingest_read(&g->read, slot, ret_more, err);
}

static gy_status stage_check(void *ctx, void *slot, int thread, struct gy_err *err)
{
    struct ingest *g = ctx;
    return gy_ingest_check(&g->workers[thread], g->read.files[0], slot, err);
}

static gy_status make_sets(struct ingest *g, struct gy_err *err)
{
    g->n_sets = gy_checker_n_unique(g->read.checker);
    g->sets = gy_calloc(g->n_sets + 1, sizeof *g->sets);
    if (!g->sets) {
        g->n_sets = 0;
        return gy_err_set(err, GY_E_NOMEM, "out of memory for the values of unique columns");
    }
    for (size_t i = 0; i < g->n_sets; i++) {
        GY_TRY(gy_unique_init(&g->sets[i], err));
    }
    return GY_OK;
}

static gy_status stage_take(void *ctx, void *slot, int thread, struct gy_err *err)
{
    struct ingest *g = ctx;
    struct ingest_batch *b = slot;
    size_t dead = 0;
    (void)thread;
    if (b->headed && !g->header_written) {
        GY_TRY(make_sets(g, err));
        GY_TRY(write_lines(g, gy_buf_str(&g->read.canonical), err));
        b->leads = g->header_written = true;
    }
    if (g->file != b->file->index + 1) {
        g->file = b->file->index + 1;
        g->row = 0;
    }
    g->r->accepted += b->accepted;
    if (b->n_keyed > 0) {
        GY_TRY(sift(g, b, &dead, err));
    }
    GY_TRY(write_dead(g, b, &dead, b->n_dead, err));
    GY_TRY(write_lines(g, gy_buf_str(&b->out), err));
    GY_TRY(gy_unknown_merge(&g->unknown, &b->unknown, err));
    g->row += b->records;
    g->r->read += b->records;
    g->r->record_bytes += b->record_bytes;
    g->r->blank_bytes += b->blank_bytes;
    if (b->last) {
        GY_TRY(gy_dlq_end_source(&g->dlq, b->file->sha256, err));
        if (b->file->index > 0) { /* the first one's header starts workers */
            g->read.files[b->file->index] = NULL;
            gy_ingest_file_free(b->file);
        }
    }
    return GY_OK;
}

static void digest(const struct ingest *g, struct gy_hash *hash, const struct ingest_batch *b)
{
    if (g->spool >= 0) { /* which lines stay is not known yet */
        return;
    }
    if (b->leads) {
        gy_hash_add(hash, gy_buf_str(&g->read.canonical));
    }
    gy_hash_add(hash, gy_buf_str(&b->out));
}

static gy_status stage_sha256(void *ctx, void *slot, int thread, struct gy_err *err)
{
    const struct ingest *g = ctx;
    (void)thread;
    (void)err;
    digest(g, g->sha256, slot);
    return GY_OK;
}

static gy_status stage_md5(void *ctx, void *slot, int thread, struct gy_err *err)
{
    const struct ingest *g = ctx;
    (void)thread;
    (void)err;
    digest(g, g->md5, slot);
    return GY_OK;
}

static gy_status run_stages(struct ingest *g, struct gy_err *err)
{
    enum { MAX_SLOTS = 2 * GY_PIPELINE_MAX_THREADS + 4 };
    void *slots[MAX_SLOTS];
    const size_t n = 2 * (size_t)g->n_threads + 4;
    GY_AUTO(gy_free) char *room = gy_calloc(n, sizeof(struct ingest_batch));
    if (!room) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for reading records");
    }
    struct ingest_batch *batches = (struct ingest_batch *)(void *)room;
    for (size_t i = 0; i < n; i++) {
        gy_ingest_batch_init(&batches[i]);
        slots[i] = &batches[i];
    }
    const struct gy_pipeline p = {.make = stage_read,
                                  .stages = {{stage_check, false},
                                             {stage_take, true},
                                             {stage_sha256, true},
                                             {stage_md5, true}},
                                  .n_stages = 4,
                                  .slots = slots,
                                  .n_slots = n,
                                  .n_threads = g->n_threads,
                                  .ctx = g};
    gy_status status = gy_pipeline_run(&p, err);
    for (size_t i = 0; i < n; i++) {
        gy_ingest_batch_done(&batches[i]);
    }
    return status;
}

/* ---- all of it ---- */

/* What was in the files and not in the schema, for people. */
static void tell_unknown(struct ingest *g)
{
    size_t n = 0, room = sizeof g->r->unknown;
    for (size_t i = 0; i <= g->unknown.n; i++) {
        const bool others = i == g->unknown.n;
        const int64_t count = others ? g->unknown.others : g->unknown.names[i].count;
        struct gy_str name = others ? GY_STR("others") : g->unknown.names[i].name;
        g->r->unknown_keys += count;
        int wrote = n >= room || count == 0
                        ? 0
                        : snprintf(g->r->unknown + n, room - n, "%s%" GY_STR_F " (%lld)",
                                   n ? ", " : "", GY_STR_A(name), (long long)count);
        n += wrote > 0 ? (size_t)wrote : 0;
    }
}

static gy_status check_conservation(const struct ingest *g, struct gy_err *err)
{
    const struct gy_ingest_result *r = g->r;
    if (r->accepted + r->dead + r->replaced != r->read || g->dlq.letters != r->dead) {
        return gy_err_set(err, GY_E_CORRUPT,
                          "records were lost: %lld read, %lld accepted, %lld dead, %lld replaced, "
                          "%lld letters",
                          (long long)r->read, (long long)r->accepted, (long long)r->dead,
                          (long long)r->replaced, (long long)g->dlq.letters);
    }
    if (r->header_bytes + r->record_bytes + r->blank_bytes != r->source_bytes) {
        return gy_err_set(err, GY_E_CORRUPT,
                          "bytes were lost: %lld header, %lld records, %lld blank, of %lld",
                          (long long)r->header_bytes, (long long)r->record_bytes,
                          (long long)r->blank_bytes, (long long)r->source_bytes);
    }
    return GY_OK;
}

static gy_status check_max_dead(const struct ingest *g, struct gy_err *err)
{
    const struct gy_ingest_options *o = g->o;
    const struct gy_ingest_result *r = g->r;
    const int64_t read = r->read - o->accepted_before;
    bool over = (o->max_dead >= 0 && r->dead > o->max_dead) ||
                (o->max_dead_share >= 0 && (double)r->dead > o->max_dead_share * (double)read);
    if (!over) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_SCHEMA, "%lld of %lld records are dead, more than --max-dead allows",
                     (long long)r->dead, (long long)read);
    (void)gy_err_hint(err, "see why in %s; the earlier output was left as it is", o->dlq);
    return GY_E_SCHEMA;
}

static gy_status check_duplicates(const struct gy_ingest_options *o, struct gy_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < o->schema->n_columns; i++) {
        n += o->schema->columns[i].unique ? 1 : 0;
    }
    if (o->on_duplicate == GY_DUPLICATE_DEAD || n == 1) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_INVALID,
                     "which of several records is kept needs one unique column; the schema has %zu",
                     n);
    return gy_err_hint(err, "unique: true on the id's column of schema.yaml");
}

/* A replay reads the table and puts another one in its place: it would undo what came in between,
 * so it has the folder alone. From the start, so that a letter of this run is later than any replay
 * before it (replaylog.h). Without locks a replay looks before it leaps. */
static void lock_folder(struct ingest *g)
{
    g->folder = open(g->o->out_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (g->folder >= 0 && flock(g->folder, LOCK_SH) != 0 && errno == EINTR) {
    }
}

static gy_status prepare(struct ingest *g, struct gy_err *err)
{
    const struct gy_ingest_options *o = g->o;
    for (size_t i = 0; i < o->n_sources; i++) { /* before anything is made, or a letter written */
        struct gy_source *s = o->sources[i];
        GY_TRY(s->ops->check ? s->ops->check(s, err) : GY_OK);
    }
    GY_TRY(check_duplicates(o, err));
    GY_TRY(gy_ingest_read_init(&g->read, o, err));
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &g->sha256, err));
    GY_TRY(gy_hash_new(GY_HASH_MD5, &g->md5, err));
    g->n_threads = o->threads > 0 ? o->threads : gy_pipeline_processors();
    g->n_threads = g->n_threads < GY_PIPELINE_MAX_THREADS ? g->n_threads : GY_PIPELINE_MAX_THREADS;
    g->workers = gy_calloc((size_t)g->n_threads, sizeof *g->workers);
    if (!g->workers) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for checking records");
    }
    for (int i = 0; i < g->n_threads; i++) {
        gy_ingest_worker_init(&g->workers[i], o);
    }
    GY_TRY(gy_dir_make(o->out_dir, err));
    lock_folder(g);
    GY_TRY(gy_path_join(g->r->path, sizeof g->r->path, o->out_dir, "data.csv", err));
    GY_TRY(gy_file_writer_open_nameless(g->r->path, 0666, &g->writer, err));
    return o->on_duplicate == GY_DUPLICATE_LAST ? gy_file_aside(o->out_dir, &g->spool, err) : GY_OK;
}

static gy_status run(struct ingest *g, struct gy_err *err)
{
    struct gy_ingest_result *r = g->r;
    GY_TRY(prepare(g, err));
    GY_TRY(run_stages(g, err));
    tell_unknown(g);
    if (g->spool >= 0) {
        GY_TRY(copy_spool(g, err));
    }
    r->delimiter = g->read.delimiter;
    r->unclosed = g->read.unclosed;
    r->header_bytes = g->read.header_bytes;
    r->source_bytes = g->read.bytes;
    GY_TRY(check_conservation(g, err));
    if (g->read.one) {
        gy_hash_hex(g->read.sha256, r->source_sha256);
    } else {
        memcpy(r->source_sha256, g->read.files[0]->sha256, sizeof r->source_sha256);
    }
    GY_TRY(gy_dlq_commit(&g->dlq, err));
    gy_hash_hex(g->sha256, r->sha256);
    gy_hash_hex(g->md5, r->md5);
    GY_TRY(check_max_dead(g, err));
    return gy_file_writer_commit(g->writer, NULL, err);
}

static void tidy(struct ingest *g)
{
    for (int i = 0; g->workers && i < g->n_threads; i++) {
        gy_ingest_worker_done(&g->workers[i]);
    }
    gy_free(g->workers);
    gy_ingest_read_done(&g->read);
    for (size_t i = 0; i < g->o->n_sources; i++) {
        gy_source_close(g->o->sources[i]);
    }
    for (size_t i = 0; i < g->n_sets; i++) {
        gy_unique_done(&g->sets[i]);
    }
    gy_free(g->sets);
    gy_latest_done(&g->latest);
    gy_unknown_done(&g->unknown);
    gy_file_writer_free(g->writer);
    gy_hash_free(g->sha256);
    gy_hash_free(g->md5);
    gy_dlq_done(&g->dlq);
    gy_reasons_done(&g->reasons);
    if (g->spool >= 0) {
        (void)close(g->spool);
    }
    if (g->folder >= 0) {
        (void)close(g->folder); /* unlocks */
    }
}

gy_status gy_ingest(const struct gy_ingest_options *o, struct gy_ingest_result *ret,
                    struct gy_err *err)
{
    const int64_t start = gy_mono_ns();
    *ret = (struct gy_ingest_result){.delimiter = o->delimiter};
    struct ingest g = {
        .o = o, .r = ret, .spool = -1, .folder = -1, .read = {.o = o, .spill = {.fd = -1}}};
    gy_latest_init(&g.latest);
    gy_unknown_init(&g.unknown);
    gy_reasons_init(&g.reasons);
    gy_dlq_init(&g.dlq, o->dlq);
    gy_status status = run(&g, err);
    tidy(&g);
    ret->seconds = (double)(gy_mono_ns() - start) / 1e9;
    return status;
}

gy_status gy_ingest_parse_max_dead(struct gy_str text, struct gy_ingest_options *o,
                                   struct gy_err *err)
{
    o->max_dead = -1;
    o->max_dead_share = -1;
    if (gy_str_ends(text, GY_STR("%"))) {
        double percent;
        if (gy_parse_f64(gy_str_n(text.p, text.n - 1), &percent, NULL) == GY_OK && percent >= 0 &&
            percent <= 100) {
            o->max_dead_share = percent / 100;
            return GY_OK;
        }
    } else if (gy_parse_i64(text, 0, INT64_MAX, &o->max_dead, NULL) == GY_OK) {
        return GY_OK;
    }
    return gy_err_set(err, GY_E_INVALID, "--max-dead: a number or a share such as 2%% is wanted");
}

gy_status gy_ingest_parse_on_duplicate(struct gy_str text, enum gy_on_duplicate *ret,
                                       struct gy_err *err)
{
    static const char *const known[] = {"dead", "last", "first"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (gy_str_eqc(text, known[i])) {
            *ret = (enum gy_on_duplicate)i;
            return GY_OK;
        }
    }
    (void)gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "': what becomes of duplicates?",
                     GY_STR_A(text));
    return gy_err_hint(err, "dead, last or first");
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/batch.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/pipeline.h"
#include "base/time.h"
#include "data/source_parquet.h"
#include "flow/batch_internal.h"

#define MAX_SLOTS (2 * GY_PIPELINE_MAX_THREADS)

struct batch {
    const struct gy_batch_options *o;
    struct gy_batch_result *result;
    struct batch_read read;
    struct batch_files files;
    struct batch_worker *workers;
    struct batch_block *blocks;
    int n_threads;
    size_t n_workers; /* that are open */
    bool headed;
};

enum gy_batch_format gy_batch_format_of(const char *name)
{
    struct gy_str s = gy_str_c(name);
    if (gy_str_ends(s, GY_STR(".jsonl")) || gy_str_ends(s, GY_STR(".ndjson"))) {
        return GY_BATCH_JSONL;
    }
    return name && gy_source_is_parquet_name(name) ? GY_BATCH_PARQUET : GY_BATCH_CSV;
}

/* ---- stages ---- */

static gy_status stage_read(void *ctx, void *slot, bool *ret_more, struct gy_err *err)
{
    struct batch *x = ctx;
    return gy_batch_read(&x->read, slot, ret_more, err);
}

static gy_status stage_answer(void *ctx, void *slot, int thread, struct gy_err *err)
{
    struct batch *x = ctx;
    return x->o->predictor ? gy_batch_local(&x->workers[thread], slot, err)
                           : gy_batch_served(&x->workers[thread], slot, err);
}

static gy_status write_head(struct batch *x, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf line;
    x->headed = true;
    if (x->files.blocks > 0) {
        return GY_OK; /* it stands there already */
    }
    gy_buf_init(&line, 64 * GY_MIB);
    gy_batch_head(x->o, &x->read.head, &line);
    GY_TRY(gy_buf_check(&line, "the header", err));
    return gy_batch_files_head(&x->files, gy_buf_str(&line), err);
}

static void count(struct gy_batch_result *r, const struct batch_block *b)
{
    if (b->n_dead && r->first_dead < 0) {
        r->first_dead = b->first_dead;
        memcpy(r->why, b->why, sizeof r->why);
    }
    if (b->unseen && r->first_unseen < 0) {
        r->first_unseen = b->first_unseen;
        memcpy(r->unseen_what, b->unseen_what, sizeof r->unseen_what);
    }
    r->rows += (int64_t)b->n;
    r->predicted += b->predicted;
    r->dead += b->n_dead;
    r->positive += b->positive;
    r->unseen += b->unseen;
}

static gy_status stage_write(void *ctx, void *slot, int thread, struct gy_err *err)
{
    struct batch *x = ctx;
    const struct batch_block *b = slot;
    (void)thread;
    if (!x->headed) {
        GY_TRY(write_head(x, err));
    }
    count(x->result, b);
    return gy_batch_files_add(&x->files, b, x->result, err);
}

/* ---- the run ---- */

static gy_status open_workers(struct batch *x, struct gy_err *err)
{
    int threads = x->o->threads > 0 ? x->o->threads : gy_pipeline_processors();
    x->n_threads = threads < GY_PIPELINE_MAX_THREADS ? threads : GY_PIPELINE_MAX_THREADS;
    x->workers = gy_calloc((size_t)x->n_threads, sizeof *x->workers);
    x->blocks = gy_calloc(2 * (size_t)x->n_threads, sizeof *x->blocks);
    if (!x->workers || !x->blocks) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a batch");
    }
    for (int i = 0; i < 2 * x->n_threads; i++) {
        gy_buf_init(&x->blocks[i].bytes, GY_GIB);
        gy_buf_init(&x->blocks[i].out, GY_GIB);
        gy_buf_init(&x->blocks[i].dead, GY_GIB);
    }
    for (; x->n_workers < (size_t)x->n_threads; x->n_workers++) {
        gy_status status =
            gy_batch_worker_open(&x->workers[x->n_workers], x->o, &x->read, x->files.run_time, err);
        if (status != GY_OK) {
            x->n_workers++; /* half open, to be closed */
            return status;
        }
    }
    return GY_OK;
}

static gy_status run(struct batch *x, struct gy_err *err)
{
    void *slots[MAX_SLOTS];
    GY_TRY(gy_batch_read_open(&x->read, x->o, err));
    GY_TRY(gy_batch_files_open(&x->files, x->o, x->result, err));
    x->read.skip = x->files.blocks;
    GY_TRY(open_workers(x, err));
    for (int i = 0; i < 2 * x->n_threads; i++) {
        slots[i] = &x->blocks[i];
    }
    const struct gy_pipeline pipeline = {.make = stage_read,
                                         .stages = {{stage_answer, false}, {stage_write, true}},
                                         .n_stages = 2,
                                         .slots = slots,
                                         .n_slots = 2 * (size_t)x->n_threads,
                                         .n_threads = x->n_threads,
                                         .ctx = x};
    GY_TRY(gy_pipeline_run(&pipeline, err));
    if (!x->headed) {
        GY_TRY(write_head(x, err));
    }
    if (x->result->predicted + x->result->dead != x->result->rows) {
        return gy_err_set(err, GY_E_CORRUPT, "%lld predicted and %lld dead are not %lld rows",
                          (long long)x->result->predicted, (long long)x->result->dead,
                          (long long)x->result->rows);
    }
    return gy_batch_files_end(&x->files, x->result, err);
}

gy_status gy_batch_run(const struct gy_batch_options *o, struct gy_batch_result *ret,
                       struct gy_err *err)
{
    int64_t start = gy_mono_ns();
    struct batch x = {.o = o, .result = ret, .files = {.out = -1, .dead = -1}};
    *ret = (struct gy_batch_result){.first_dead = -1, .first_unseen = -1};
    gy_status status = run(&x, err);
    gy_batch_files_close(&x.files);
    gy_batch_read_done(&x.read);
    for (size_t i = 0; i < x.n_workers; i++) {
        gy_batch_worker_done(&x.workers[i]);
    }
    for (int i = 0; x.blocks && i < 2 * x.n_threads; i++) {
        gy_buf_done(&x.blocks[i].bytes);
        gy_buf_done(&x.blocks[i].out);
        gy_buf_done(&x.blocks[i].dead);
        gy_free(x.blocks[i].pieces);
    }
    gy_free(x.workers);
    gy_free(x.blocks);
    gy_source_close(o->source);
    ret->seconds = (double)(gy_mono_ns() - start) / 1e9;
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of an import with the whole history of their metrics (cli/import_job.h). */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/import_job.h"

/* ---- points ---- */

/* A point as it is stored (track/metrics.h): two that are equal here are one there. */
struct stored {
    int64_t ts_ms, step;
    double value;
    int nan;
};

static struct stored stored_of(const struct gy_metric *m)
{
    double v = m->value;
    if (isnan(v) || v == 0) {
        v = 0.0;
    } else if (isinf(v)) {
        v = v > 0 ? DBL_MAX : -DBL_MAX;
    }
    return (struct stored){m->ts_ms, m->step, v, isnan(m->value) != 0};
}

static int by_order(const void *a, const void *b)
{
    const struct stored *x = a, *y = b;
    if (x->ts_ms != y->ts_ms) {
        return x->ts_ms < y->ts_ms ? -1 : 1;
    }
    if (x->step != y->step) {
        return x->step < y->step ? -1 : 1;
    }
    if (x->value < y->value || x->value > y->value) {
        return x->value < y->value ? -1 : 1;
    }
    return x->nan - y->nan;
}

struct history {
    struct gy_ijob *j;
    struct gy_arena arena; /* of the key and the list of keys */
    struct gy_transfer_points piece;
    struct gy_str key;
    struct stored last;
    int64_t n_key, n_distinct; /* read of the key; of all finished keys */
    bool ordered;
    struct gy_map unordered; /* keys that have to be counted apart */
    struct stored *sorted;   /* second pass: of one key */
    size_t n_sorted, cap_sorted;
};

static gy_status send_piece(struct history *h, struct gy_err *err)
{
    struct gy_ijob *j = h->j;
    if (h->piece.n == 0) {
        return GY_OK;
    }
    if (j->caller) {
        struct gy_jw w;
        gy_jw_init(&w, &j->line);
        gy_transfer_write_points(&w, &h->piece);
        GY_TRY(gy_ijob_line(j, err));
    }
    h->piece.n = 0;
    return GY_OK;
}

static gy_status end_key(struct history *h, struct gy_err *err)
{
    GY_TRY(send_piece(h, err));
    if (h->n_key > 0 && h->ordered) {
        h->n_distinct += h->n_key;
    } else if (h->n_key > 0) {
        GY_TRY(gy_map_put(&h->unordered, h->key, h, err));
    }
    h->n_key = 0;
    h->ordered = true;
    return GY_OK;
}

static gy_status each_point(void *ctx, const struct gy_metric *m, struct gy_err *err)
{
    struct history *h = ctx;
    struct stored s = stored_of(m);
    if (h->n_key == 0 || !gy_str_eq(m->key, h->key)) {
        GY_TRY(end_key(h, err));
        gy_arena_reset(&h->arena);
        h->key = gy_arena_str(&h->arena, m->key);
        if (!h->key.p) {
            return gy_track_nomem(err);
        }
    } else if (by_order(&h->last, &s) >= 0) {
        h->ordered = false;
    }
    h->last = s;
    h->n_key++;
    h->j->n_points++;
    struct gy_metric *to = &h->piece.points[h->piece.n++];
    *to = *m;
    to->key = h->key;
    if (h->j->cli->progress && h->j->n_points % 4096 == 0) {
        gy_progress_at(&h->j->progress, h->j->progress.done);
    }
    return h->piece.n == GY_TRANSFER_MAX_POINTS ? send_piece(h, err) : GY_OK;
}

/* Second pass, for keys whose points did not come in order: how many are different? */
static void count_sorted(struct history *h)
{
    if (h->n_sorted > 1) {
        qsort(h->sorted, h->n_sorted, sizeof *h->sorted, by_order);
    }
    for (size_t i = 0; i < h->n_sorted; i++) {
        h->n_distinct += i == 0 || by_order(&h->sorted[i - 1], &h->sorted[i]) != 0;
    }
    h->n_sorted = 0;
}

static gy_status each_again(void *ctx, const struct gy_metric *m, struct gy_err *err)
{
    struct history *h = ctx;
    if (!gy_str_eq(m->key, h->key)) {
        count_sorted(h);
        gy_arena_reset(&h->arena);
        h->key = gy_arena_str(&h->arena, m->key);
        if (!h->key.p) {
            return gy_track_nomem(err);
        }
    }
    if (!gy_map_has(&h->unordered, m->key)) {
        return GY_OK;
    }
    if (h->n_sorted == h->cap_sorted) {
        size_t cap = h->cap_sorted ? h->cap_sorted * 2 : 1024;
        struct stored *more =
            cap > GY_MOVE_MAX_SORTED ? NULL : gy_reallocarray(h->sorted, cap, sizeof *more);
        if (!more) {
            return gy_err_set(err, GY_E_TOOBIG,
                              "metric '%" GY_STR_F "': more than %d points that are not in order",
                              GY_STR_A(gy_str_sub(m->key, 0, 200)), GY_MOVE_MAX_SORTED);
        }
        h->sorted = more;
        h->cap_sorted = cap;
    }
    h->sorted[h->n_sorted++] = stored_of(m);
    return GY_OK;
}

static gy_status recount(struct history *h, const struct gy_run *r, struct gy_err *err)
{
    int64_t rejected = h->j->report.n_rejected;
    size_t listed = h->j->report.n_listed;
    h->key = GY_STR_NULL;
    GY_TRY(h->j->source.ops->points(h->j->source.self, r, each_again, h, err));
    count_sorted(h);
    h->j->report.n_rejected = rejected; /* the same lines were rejected a second time */
    h->j->report.n_listed = listed;
    return GY_OK;
}

/* *ret_n: points that are different from each other. */
static gy_status send_points(struct gy_ijob *j, const struct gy_run *source_run, int64_t *ret_n,
                             struct gy_err *err)
{
    int64_t before = j->n_points;
    struct history h = {.j = j, .ordered = true};
    GY_AUTO(gy_free) char *memory = gy_calloc(GY_TRANSFER_MAX_POINTS, sizeof *h.piece.points);
    h.piece.points = (struct gy_metric *)(void *)memory;
    h.piece.run_id = source_run->id;
    if (!memory) {
        return gy_track_nomem(err);
    }
    gy_arena_init(&h.arena, GY_MIB);
    gy_map_init(&h.unordered, 1000000);
    gy_status status = j->source.ops->points(j->source.self, source_run, each_point, &h, err);
    if (status == GY_OK) {
        status = end_key(&h, err);
    }
    if (status == GY_OK && h.unordered.n_live > 0) {
        status = recount(&h, source_run, err);
    }
    *ret_n = h.n_distinct;
    j->n_duplicates += j->n_points - before - h.n_distinct;
    gy_free(h.sorted);
    gy_map_done(&h.unordered);
    gy_arena_done(&h.arena);
    return status;
}

/* ---- runs ---- */

/* The line of the run in j->line, and the digest of all that the source says of it. */
static gy_status describe(struct gy_ijob *j, const struct gy_run *source_run,
                          const struct gy_run *sent, char fingerprint[GY_SHA256_HEX],
                          struct gy_err *err)
{
    GY_AUTO(gy_hash_free) struct gy_hash *h = NULL;
    struct gy_jw w;
    gy_buf_reset(&j->line);
    gy_jw_init(&w, &j->line);
    gy_transfer_write_run(&w, sent);
    GY_TRY(gy_buf_check(&j->line, "a run", err));
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &h, err));
    gy_hash_add(h, gy_buf_str(&j->line));
    if (j->source.ops->mark) {
        GY_TRY(j->source.ops->mark(j->source.self, source_run, h, err));
    }
    gy_hash_hex(h, fingerprint);
    return GY_OK;
}

static gy_status one_run(struct gy_ijob *j, struct gy_ijob_experiment *x, const struct gy_run *r,
                         const struct gy_map *known, struct gy_err *err)
{
    char fingerprint[GY_SHA256_HEX];
    struct gy_run sent = *r;
    bool moves = false;
    struct gy_move_place place = {'r', r->id, r->artifact_uri, x->e.id};
    const char *tail = gy_arena_printf(&j->page, "%" GY_STR_F "/artifacts", GY_STR_A(r->id));
    if (!tail) {
        return gy_track_nomem(err);
    }
    GY_TRY(gy_ijob_place(j, x, &place, tail, &sent.artifact_uri, &moves, err));
    sent.experiment_id = x->id;
    GY_TRY(describe(j, r, &sent, fingerprint, err));
    const struct gy_ijob_known *k = gy_map_get(known, r->id);
    if (k && strcmp(k->fingerprint, fingerprint) == 0) {
        gy_buf_reset(&j->line);
        gy_ijob_add(&x->runs, &k->counts);
        j->n_unchanged++;
        return gy_ijob_artifacts(j, &place, sent.artifact_uri, false, err);
    }
    struct gy_ijob_counts c = {
        .params = (int64_t)r->n_params,
        .tags = (int64_t)r->n_tags,
        .links = (int64_t)(r->n_inputs + r->n_model_inputs + r->n_model_outputs),
    };
    GY_TRY(gy_ijob_line(j, err));
    GY_TRY(send_points(j, r, &c.points, err));
    GY_TRY(gy_ijob_artifacts(j, &place, sent.artifact_uri, moves, err));
    gy_ijob_add(&x->runs, &c);
    return gy_ijob_item(j, "run", r->id, fingerprint, &c, err);
}

gy_status gy_ijob_runs(struct gy_ijob *j, struct gy_ijob_experiment *x, struct gy_err *err)
{
    bool end = false;
    for (size_t page = 0; !end; page++) {
        struct gy_run *runs = NULL;
        size_t n = 0;
        struct gy_map known;
        gy_arena_reset(&j->page);
        gy_map_init(&known, GY_MOVE_PAGE * 4);
        gy_status status =
            j->source.ops->runs(j->source.self, &x->e, page, &j->page, &runs, &n, &end, err);
        struct gy_str *ids = gy_arena_calloc(&j->page, n + 1, sizeof *ids);
        for (size_t i = 0; ids && i < n; i++) {
            ids[i] = runs[i].id;
        }
        if (status == GY_OK && !ids) {
            status = gy_track_nomem(err);
        }
        if (status == GY_OK) {
            status = gy_ijob_ask_known(j, "run", ids, n, &known, err);
        }
        for (size_t i = 0; status == GY_OK && i < n; i++) {
            status = one_run(j, x, &runs[i], &known, err);
            gy_progress_at(&j->progress, j->progress.done + 1);
        }
        gy_map_done(&known);
        GY_TRY(status);
    }
    return GY_OK;
}

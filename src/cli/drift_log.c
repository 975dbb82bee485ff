/* SPDX-License-Identifier: Apache-2.0 */
/* The last rows of an endpoint out of the prediction log, against what their version was trained
 * on. The log is walked twice: its segments are in the order of their rings, not of time, so first
 * the time is found since which there are enough rows, then the rows since then are taken. */
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/drift_input.h"
#include "cli/model_input.h"
#include "serve/predlog.h"

struct newest {
    int64_t time_us;
    uint32_t rows;
};

struct reading {
    const struct gy_cli_drift_log *l;
    struct gy_str version, model;
    struct gy_shape *shapes; /* of the revisions that have the version, newest first */
    yyjson_doc **docs;       /* what they point into */
    size_t n_shapes;
    struct newest *heap; /* of the newest records, the oldest on top */
    size_t n_heap, max_heap;
    uint64_t heap_rows;
    int64_t from_us;
    struct gy_cli_drift_input *in;
    uint64_t hits_before, rows_before; /* of rules, before the window */
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "reading the prediction log");
}

static void reading_done(struct reading *r)
{
    for (size_t i = 0; r->docs && i < r->n_shapes; i++) {
        gy_json_free(r->docs[i]);
    }
    gy_free(r->docs);
    gy_free(r->shapes);
    gy_free(r->heap);
}
GY_DEFINE_AUTO_DONE(struct reading, reading_done);

/* ---- which version, and how its records are read ---- */

static gy_status read_shape(struct reading *r, yyjson_val *revision, struct gy_arena *a,
                            struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_jw w;
    gy_buf_init(&text, 64 * GY_MIB);
    gy_jw_init(&w, &text);
    gy_jw_val(&w, gy_json_get(revision, "config"));
    GY_TRY(gy_buf_check(&text, "a revision", err));
    const struct gy_revision one = {.endpoint = r->l->endpoint,
                                    .revision = gy_json_i64(revision, "revision", 0),
                                    .config = gy_buf_str(&text)};
    GY_TRY(gy_shape_read(&one, a, &r->docs[r->n_shapes], &r->shapes[r->n_shapes], err));
    const struct gy_shape_variant *v = gy_shape_variant(&r->shapes[r->n_shapes], r->version);
    if (!v) {
        gy_json_free(r->docs[r->n_shapes]);
        return GY_OK;
    }
    r->model = r->model.p ? r->model : gy_arena_str(a, v->model);
    r->n_shapes++;
    return r->model.p ? GY_OK : no_memory(err);
}

/* The stable version of what is served. */
static gy_status served_version(yyjson_val *answer, struct gy_arena *a, struct gy_str *ret,
                                struct gy_err *err)
{
    size_t i, n;
    yyjson_val *one;
    int64_t current = gy_json_i64(answer, "revision", 0);
    yyjson_arr_foreach(gy_json_get(answer, "revisions"), i, n, one)
    {
        if (current > 0 && gy_json_i64(one, "revision", 0) == current) {
            *ret = gy_str_c(gy_arena_printf(a, "%lld", (long long)gy_json_i64(one, "version", 0)));
            return ret->p ? GY_OK : no_memory(err);
        }
    }
    (void)gy_err_set(err, GY_E_NOTFOUND, "the endpoint is not served");
    return gy_err_hint(err, "--version V says which version's rows to look at");
}

static gy_status read_revisions(struct gy_cli *cli, struct reading *r, struct gy_arena *a,
                                struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    const char *path = NULL;
    size_t i, n;
    yyjson_val *one;
    GY_TRY(gy_cli_path(cli, "/api/gyre/v1/endpoints/{}", r->l->endpoint, &path, err));
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &answer, err));
    if (r->l->version) {
        r->version = gy_str_c(r->l->version);
    } else {
        GY_TRY(served_version(answer.root, a, &r->version, err));
    }
    yyjson_val *list = gy_json_get(answer.root, "revisions");
    r->shapes = gy_calloc(yyjson_arr_size(list) + 1, sizeof *r->shapes);
    r->docs = gy_calloc(yyjson_arr_size(list) + 1, sizeof *r->docs);
    if (!r->shapes || !r->docs) {
        return no_memory(err);
    }
    yyjson_arr_foreach(list, i, n, one)
    {
        GY_TRY(read_shape(r, one, a, err));
    }
    if (r->n_shapes == 0) {
        return gy_err_set(err, GY_E_NOTFOUND,
                          "no revision of '%" GY_STR_F "' has version %" GY_STR_F,
                          GY_STR_A(r->l->endpoint), GY_STR_A(r->version));
    }
    return GY_OK;
}

/* NULL: not a record that is looked for. */
static const struct gy_shape *shape_of(struct reading *r, const struct gy_record *record)
{
    if (!gy_str_eq(record->endpoint, r->l->endpoint) ||
        !gy_str_eq(record->model_version, r->version) || record->status >= 400) {
        return NULL;
    }
    for (size_t i = 0; i < r->n_shapes; i++) {
        if (r->shapes[i].revision == record->revision) {
            return &r->shapes[i];
        }
    }
    return NULL;
}

static bool same_inputs(const struct gy_shape *a, const struct gy_shape *b)
{
    bool same = a->n_inputs == b->n_inputs;
    for (size_t i = 0; same && i < a->n_inputs; i++) {
        same = gy_str_eq(a->inputs[i], b->inputs[i]);
    }
    return same;
}

/* ---- first walk: since when ---- */

static void sift_down(struct newest *heap, size_t n)
{
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < n && heap[child + 1].time_us < heap[child].time_us) {
            child++;
        }
        if (child >= n || heap[at].time_us <= heap[child].time_us) {
            return;
        }
        struct newest swap = heap[at];
        heap[at] = heap[child];
        heap[child] = swap;
        at = child;
    }
}

static void sift_up(struct newest *heap, size_t at)
{
    while (at > 0 && heap[at].time_us < heap[(at - 1) / 2].time_us) {
        struct newest swap = heap[at];
        heap[at] = heap[(at - 1) / 2];
        heap[(at - 1) / 2] = swap;
        at = (at - 1) / 2;
    }
}

static gy_status note_time(void *ctx, const struct gy_record *record, struct gy_err *err)
{
    struct reading *r = ctx;
    if (!shape_of(r, record) || record->n_rows == 0) {
        return GY_OK;
    }
    /* Without the oldest there are rows enough: it goes. So at most `rows` records are kept, and
     * one more. */
    if (r->n_heap == r->max_heap) {
        size_t cap = r->max_heap ? 2 * r->max_heap : 1024;
        struct newest *heap = gy_reallocarray(r->heap, cap, sizeof *heap);
        if (!heap) {
            return no_memory(err);
        }
        r->heap = heap;
        r->max_heap = cap;
    }
    r->heap[r->n_heap] = (struct newest){.time_us = record->time_us, .rows = record->n_rows};
    sift_up(r->heap, r->n_heap++);
    r->heap_rows += record->n_rows;
    while (r->heap_rows - r->heap[0].rows >= (uint64_t)r->l->rows) {
        r->heap_rows -= r->heap[0].rows;
        r->heap[0] = r->heap[--r->n_heap];
        sift_down(r->heap, r->n_heap);
    }
    return GY_OK;
}

/* ---- second walk: the rows ---- */

static gy_status take_rows(void *ctx, const struct gy_record *record, struct gy_err *err)
{
    struct reading *r = ctx;
    const struct gy_shape *shape = shape_of(r, record);
    uint32_t taken = 0;
    if (!shape) {
        return GY_OK;
    }
    if (!same_inputs(shape, &r->shapes[0]) || record->n_inputs != shape->n_inputs) {
        r->in->skipped += record->n_rows;
        return GY_OK;
    }
    if (record->time_us >= r->from_us) {
        return gy_drift_window_record(r->in->window, shape, r->version, record, 0, &taken, err);
    }
    for (uint32_t i = 0; i < record->n_rows && record->rules; i++) {
        const struct gy_shape_rule *rule = gy_shape_rule(shape, &record->rules[i]);
        r->hits_before += rule && rule->decides;
        r->rows_before++;
    }
    return GY_OK;
}

static gy_status read_log(struct gy_cli *cli, struct reading *r, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    struct gy_home home = {.lock_fd = -1};
    GY_TRY(gy_cli_home(cli, &home, err));
    gy_status status = gy_home_path(&home, "log", dir, err);
    gy_home_done(&home);
    GY_TRY(status);
    r->from_us = r->l->since_us;
    if (r->from_us == INT64_MIN) {
        GY_TRY(gy_predlog_each(dir, note_time, r, err));
        r->from_us = r->n_heap ? r->heap[0].time_us : 0;
    }
    size_t rows = r->l->since_us == INT64_MIN ? (size_t)r->l->rows : GY_DRIFT_MAX_ROWS / 10;
    GY_TRY(gy_drift_window_new(r->shapes[0].inputs, r->shapes[0].n_inputs, rows, true,
                               &r->in->window, err));
    GY_TRY(gy_predlog_each(dir, take_rows, r, err));
    if (gy_drift_window_rows(r->in->window) == 0) {
        (void)gy_err_set(err, GY_E_NOTFOUND,
                         "the log has no row of '%" GY_STR_F "' version %" GY_STR_F,
                         GY_STR_A(r->l->endpoint), GY_STR_A(r->version));
        return gy_err_hint(err, "it grows as the endpoint answers; --version names another");
    }
    return GY_OK;
}

gy_status gy_cli_drift_log(struct gy_cli *cli, const struct gy_cli_drift_log *l, struct gy_arena *a,
                           struct gy_cli_drift_input *ret, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    GY_AUTO_DONE(reading_done) struct reading r = {.l = l, .in = ret};
    if (cli->server && cli->server[0]) {
        (void)gy_err_set(err, GY_E_USAGE, "the prediction log is read from the home folder");
        return gy_err_hint(err, "run it where the server runs, without --server");
    }
    GY_TRY(read_revisions(cli, &r, a, err));
    GY_TRY(read_log(cli, &r, err));
    char *reference = gy_arena_printf(a, "models:/%" GY_STR_F "/%" GY_STR_F, GY_STR_A(r.model),
                                      GY_STR_A(r.version));
    if (!reference) {
        return no_memory(err);
    }
    GY_TRY(gy_cli_model_dir(cli, reference, dir, err));
    GY_TRY(gy_profile_read(dir, a, &ret->profile, err));
    gy_drift_options_init(&ret->options);
    ret->options.rule_reference = gy_share_of(r.hits_before, r.rows_before);
    ret->reference = gy_str_c(reference);
    ret->version = r.version;
    ret->revision = r.shapes[0].revision;
    return GY_OK;
}

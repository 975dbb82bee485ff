/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/chain.h"

#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"
#include "learn/cells.h"
#include "learn/evaluate.h"
#include "learn/package.h"
#include "learn/predictor_internal.h"
#include "learn/train_internal.h"

#define MAX_FILE (16 * GY_MIB)       /* what is written here */
#define MAX_PART_FILE (512 * GY_MIB) /* as artifacts are uploaded */

/* What is being put together. */
struct work {
    const struct gy_chain_plan *plan;
    const char *dir;
    struct gy_model *m;
    struct gy_predictor *parts[GY_CHAIN_MAX_PARTS];
    const struct gy_predictor_info *infos[GY_CHAIN_MAX_PARTS];
    struct gy_str names[GY_CHAIN_MAX_PARTS];
    struct gy_chain_feed feeds[GY_CHAIN_MAX_FEEDS];
    size_t n_feeds;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "a chain of models");
}

/* ---- parts ---- */

static gy_status load_parts(struct work *w, struct gy_err *err)
{
    const struct gy_chain_plan *plan = w->plan;
    if (plan->n_parts < 2 || plan->n_parts > GY_CHAIN_MAX_PARTS) {
        return gy_err_set(err, GY_E_INVALID, "a chain has 2 to %d parts, not %zu",
                          GY_CHAIN_MAX_PARTS, plan->n_parts);
    }
    for (size_t i = 0; i < plan->n_parts; i++) {
        w->names[i] = plan->parts[i].name;
        gy_status status = gy_predictor_load_part(plan->parts[i].dir, &w->parts[i], err);
        if (status != GY_OK) {
            return gy_err_wrap(err, "part '%" GY_STR_F "'", GY_STR_A(w->names[i]));
        }
        w->infos[i] = gy_predictor_info(w->parts[i]);
    }
    return GY_OK;
}

/* ---- feeds ---- */

static bool has_input(const struct gy_predictor_info *info, struct gy_str name)
{
    for (size_t i = 0; i < info->n_inputs; i++) {
        if (gy_str_eq(info->inputs[i].name, name)) {
            return true;
        }
    }
    return false;
}

static gy_status add_feed(struct work *w, const struct gy_chain_feed *f, struct gy_err *err)
{
    if (w->n_feeds == GY_CHAIN_MAX_FEEDS) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d inputs are fed", GY_CHAIN_MAX_FEEDS);
    }
    w->feeds[w->n_feeds++] = *f;
    return GY_OK;
}

static const struct gy_chain_feed *feed_of(const struct work *w, size_t part, struct gy_str input)
{
    for (size_t i = 0; i < w->n_feeds; i++) {
        if (w->feeds[i].part == part && gy_str_eq(w->feeds[i].input, input)) {
            return &w->feeds[i];
        }
    }
    return NULL;
}

/* An input that is named like what an earlier part predicts. */
static gy_status feed_by_names(struct work *w, struct gy_err *err)
{
    for (size_t k = 1; k < w->plan->n_parts; k++) {
        for (size_t i = 0; i < w->infos[k]->n_inputs; i++) {
            struct gy_str input = w->infos[k]->inputs[i].name;
            size_t from = SIZE_MAX;
            for (size_t j = 0; j < k; j++) {
                if (!gy_str_eq(w->infos[j]->target, input)) {
                    continue;
                }
                if (from != SIZE_MAX) {
                    return gy_err_set(err, GY_E_INVALID,
                                      "two parts predict '%" GY_STR_F
                                      "': --feed INPUT=PART.OUTPUT says which one is meant",
                                      GY_STR_A(input));
                }
                from = j;
            }
            if (from != SIZE_MAX) {
                GY_TRY(add_feed(
                    w,
                    &(struct gy_chain_feed){
                        .part = k, .from = from, .input = input, .output = GY_STR("prediction")},
                    err));
            }
        }
    }
    return GY_OK;
}

/* The part that "PART.OUTPUT" begins with: the longest name (names have dots), else a place. */
static gy_status find_part(const struct work *w, struct gy_str said, size_t *ret_part,
                           struct gy_str *ret_output, struct gy_err *err)
{
    size_t best = 0, n_best = 0;
    struct gy_str place, output;
    int64_t at = 0;
    for (size_t i = 0; i < w->plan->n_parts; i++) {
        struct gy_str name = w->names[i];
        if (!gy_str_starts(said, name) || said.n <= name.n || said.p[name.n] != '.' ||
            name.n < best) {
            continue;
        }
        n_best = name.n == best ? n_best + 1 : 1;
        best = name.n;
        *ret_part = i;
        *ret_output = gy_str_sub(said, name.n + 1, said.n);
    }
    if (n_best > 1) {
        return gy_err_set(err, GY_E_INVALID,
                          "--feed: two parts are named '%" GY_STR_F "': name one by its place, 1, "
                          "2, ...",
                          GY_STR_A(w->names[*ret_part]));
    }
    if (n_best == 0 && gy_str_cut(said, '.', &place, &output) &&
        gy_parse_i64(place, 1, (int64_t)w->plan->n_parts, &at, NULL) == GY_OK) {
        *ret_part = (size_t)at - 1;
        *ret_output = output;
        n_best = 1;
    }
    return n_best == 1 ? GY_OK
                       : gy_err_set(err, GY_E_INVALID,
                                    "--feed: '%" GY_STR_F "' is no PART.OUTPUT of a part here",
                                    GY_STR_A(said));
}

static gy_status feed_as_said(struct work *w, const char *text, struct gy_err *err)
{
    struct gy_str input, said;
    struct gy_chain_feed f = {.part = 0};
    size_t n = w->n_feeds;
    if (!gy_str_cut(gy_str_c(text), '=', &input, &said) || input.n == 0) {
        return gy_err_set(err, GY_E_INVALID, "--feed %s: it looks like INPUT=PART.OUTPUT", text);
    }
    GY_TRY(find_part(w, said, &f.from, &f.output, err));
    f.input = input;
    for (f.part = f.from + 1; f.part < w->plan->n_parts; f.part++) {
        if (!has_input(w->infos[f.part], input)) {
            continue;
        }
        if (feed_of(w, f.part, input)) {
            return gy_err_set(err, GY_E_INVALID, "--feed: '%" GY_STR_F "' is fed twice",
                              GY_STR_A(input));
        }
        GY_TRY(add_feed(w, &f, err));
    }
    return w->n_feeds > n ? GY_OK
                          : gy_err_set(err, GY_E_INVALID,
                                       "--feed %s: no part behind '%" GY_STR_F
                                       "' has the input '%" GY_STR_F "'",
                                       text, GY_STR_A(w->names[f.from]), GY_STR_A(input));
}

/* "probability" by the name of its class, so that the package reads without the parts. */
static gy_status name_outputs(struct work *w, struct gy_err *err)
{
    for (size_t i = 0; i < w->n_feeds; i++) {
        struct gy_chain_feed *f = &w->feeds[i];
        const struct gy_predictor_info *from = w->infos[f->from];
        if (from->task == GY_TASK_BINARY && gy_str_eqc(f->output, "probability")) {
            f->output = gy_str_c(gy_arena_printf(&w->m->arena, "probability.%" GY_STR_F,
                                                 GY_STR_A(from->classes[1])));
            if (!f->output.p) {
                return no_memory(err);
            }
        }
    }
    return GY_OK;
}

/* ---- inputs ---- */

/* The texts of either, in order. */
static gy_status join_values(struct work *w, struct gy_predictor_input *in,
                             const struct gy_predictor_input *more, struct gy_err *err)
{
    size_t i = 0, k = 0, n = 0;
    struct gy_str *values =
        gy_arena_calloc(&w->m->arena, in->n_values + more->n_values + 1, sizeof *values);
    if (!values) {
        return no_memory(err);
    }
    while (i < in->n_values || k < more->n_values) {
        int order = i == in->n_values     ? 1
                    : k == more->n_values ? -1
                                          : gy_str_cmp(in->values[i], more->values[k]);
        values[n++] = order <= 0 ? in->values[i] : more->values[k];
        i += order <= 0;
        k += order >= 0;
    }
    in->values = values;
    in->n_values = n;
    return GY_OK;
}

static gy_status join_input(struct work *w, struct gy_predictor_input *in,
                            const struct gy_predictor_input *more, struct gy_str part,
                            struct gy_err *err)
{
    bool text = in->kind == GY_INPUT_TEXT;
    if (in->kind != more->kind ||
        (text && (in->hashed != more->hashed || in->integer != more->integer))) {
        (void)gy_err_set(err, GY_E_INVALID,
                         "input '%" GY_STR_F "' is of another type in '%" GY_STR_F
                         "' than in a part before it",
                         GY_STR_A(in->name), GY_STR_A(part));
        return gy_err_hint(err, "train both with one schema.yaml and the same steps for this "
                                "column, or name the column differently");
    }
    in->required = in->required || more->required;
    in->integer = in->integer || more->integer;
    /* What lies outside of the range of one part is outside of what the chain has seen. */
    in->min = more->min > in->min ? more->min : in->min;
    in->max = more->max < in->max ? more->max : in->max;
    if (in->min > in->max) {
        in->min = -INFINITY;
        in->max = INFINITY;
    }
    return text ? join_values(w, in, more, err) : GY_OK;
}

static gy_status make_inputs(struct work *w, struct gy_err *err)
{
    struct gy_model *m = w->m;
    m->inputs = gy_arena_calloc(&m->arena, GY_MAX_FEATURES, sizeof *m->inputs);
    if (!m->inputs) {
        return no_memory(err);
    }
    for (size_t k = 0; k < w->plan->n_parts; k++) {
        for (size_t i = 0; i < w->infos[k]->n_inputs; i++) {
            const struct gy_predictor_input *in = &w->infos[k]->inputs[i];
            size_t at = 0;
            if (feed_of(w, k, in->name)) {
                continue;
            }
            while (at < m->n_inputs && !gy_str_eq(m->inputs[at].name, in->name)) {
                at++;
            }
            if (at < m->n_inputs) {
                GY_TRY(join_input(w, &m->inputs[at], in, w->names[k], err));
            } else if (m->n_inputs < GY_MAX_FEATURES) {
                m->inputs[m->n_inputs++] = *in;
            } else {
                return gy_err_set(err, GY_E_TOOBIG, "the parts have more than %d inputs together",
                                  GY_MAX_FEATURES);
            }
        }
    }
    return GY_OK;
}

/* ---- the model ---- */

static void write_parts(struct work *w, struct gy_jw *j)
{
    gy_jw_key(j, "parts");
    gy_jw_arr(j);
    for (size_t i = 0; i < w->plan->n_parts; i++) {
        gy_jw_obj(j);
        gy_jw_kv_str(j, "name", w->names[i]);
        if (w->plan->parts[i].version > 0) {
            gy_jw_kv_i64(j, "version", w->plan->parts[i].version);
        }
        gy_jw_kv_str(j, "sha256", w->infos[i]->digest);
        gy_jw_obj_end(j);
    }
    gy_jw_arr_end(j);
    gy_jw_key(j, "feeds");
    gy_jw_arr(j);
    for (size_t i = 0; i < w->n_feeds; i++) {
        gy_jw_obj(j);
        gy_jw_kv_i64(j, "part", (int64_t)w->feeds[i].part);
        gy_jw_kv_str(j, "input", w->feeds[i].input);
        gy_jw_kv_i64(j, "from", (int64_t)w->feeds[i].from);
        gy_jw_kv_str(j, "output", w->feeds[i].output);
        gy_jw_obj_end(j);
    }
    gy_jw_arr_end(j);
}

static bool same_text(struct gy_str a, struct gy_str b)
{
    return a.p && b.p ? gy_str_eq(a, b) : !a.p && !b.p;
}

/* Parts that were trained on the same rows of the same table held out the same rows, too: then the
 * chain can say so, and be evaluated on them. Else it says nothing of its rows. */
static void take_origin(struct work *w)
{
    const struct gy_model *first = gy_predictor_model(w->parts[0]);
    struct gy_model *m = w->m;
    bool same = first->split_by.n && first->data_sha256.n && !first->held_out_sha256.p;
    for (size_t i = 1; i < w->plan->n_parts; i++) {
        const struct gy_model *other = gy_predictor_model(w->parts[i]);
        same = same && same_text(first->split_by, other->split_by) &&
               same_text(first->split_key, other->split_key) &&
               same_text(first->data_sha256, other->data_sha256) && !other->held_out_sha256.p &&
               first->seed == other->seed && first->holdout == other->holdout &&
               first->split_cutoff == other->split_cutoff &&
               first->split_folds == other->split_folds &&
               first->rows_held_out == other->rows_held_out;
    }
    if (same) {
        m->split_by = first->split_by;
        m->split_key = first->split_key;
        m->data_sha256 = first->data_sha256;
        m->seed = first->seed;
        m->holdout = first->holdout;
        m->split_cutoff = first->split_cutoff;
        m->split_folds = first->split_folds;
        m->rows_train = first->rows_train;
        m->rows_held_out = first->rows_held_out;
    }
}

static gy_status make_model(struct work *w, struct gy_err *err)
{
    const struct gy_model *last = gy_predictor_model(w->parts[w->plan->n_parts - 1]);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json = {0};
    struct gy_feature *cells = NULL;
    size_t n_cells = 0;
    struct gy_jw j;
    w->m->learner = GY_LEARNER_CHAIN;
    w->m->task = last->task;
    w->m->target = last->target;
    w->m->classes = last->classes;
    w->m->n_classes = last->n_classes;
    w->m->threshold = last->threshold;
    take_origin(w);
    gy_buf_init(&json, MAX_FILE);
    gy_jw_init(&j, &json);
    gy_jw_obj(&j);
    write_parts(w, &j);
    gy_jw_obj_end(&j);
    GY_TRY(gy_buf_check(&json, "model.json", err));
    w->m->params_json = gy_arena_str(&w->m->arena, gy_buf_str(&json));
    if (!w->m->params_json.p) {
        return no_memory(err);
    }
    GY_TRY(gy_cells_columns(w->m->inputs, w->m->n_inputs, &w->m->arena, &cells, &n_cells, err));
    return gy_features_empty(&w->m->features, cells, n_cells, 0, err);
}

/* ---- files ---- */

struct copy {
    const char *from, *to;
};

static gy_status copy_entry(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    const struct copy *c = ctx;
    char from[GY_MAX_PATH], to[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes = {0};
    GY_TRY(gy_path_join(from, sizeof from, c->from, name, err));
    GY_TRY(gy_path_join(to, sizeof to, c->to, name, err));
    if (is_dir) { /* as deep as the digest of the part went */
        GY_TRY(gy_dir_make(to, err));
        return gy_dir_each(from, copy_entry, &(struct copy){.from = from, .to = to}, err);
    }
    gy_buf_init(&bytes, MAX_PART_FILE);
    GY_TRY(gy_file_read(from, &bytes, err));
    return gy_file_write(to, gy_buf_str(&bytes), 0644, err);
}

static gy_status copy_part(struct work *w, size_t i, struct gy_err *err)
{
    char name[32], to[GY_MAX_PATH], have[GY_SHA256_HEX];
    (void)snprintf(name, sizeof name, GY_CHAIN_PART_DIR, i);
    GY_TRY(gy_path_join(to, sizeof to, w->dir, name, err));
    GY_TRY(gy_dir_make(to, err));
    GY_TRY(gy_dir_each(w->plan->parts[i].dir, copy_entry,
                       &(struct copy){.from = w->plan->parts[i].dir, .to = to}, err));
    GY_TRY(gy_package_digest(to, have, err));
    return gy_str_eqc(w->infos[i]->digest, have)
               ? GY_OK
               : gy_err_set(err, GY_E_CORRUPT, "part '%" GY_STR_F "' changed while it was copied",
                            GY_STR_A(w->names[i]));
}

/* Of an input that no example has: the middle of its range, its first text. */
static void add_made_up(struct gy_jw *j, const struct gy_predictor_input *in)
{
    bool range = isfinite(in->min) && isfinite(in->max);
    double middle = range ? (in->min + in->max) / 2 : 0;
    if (in->kind == GY_INPUT_TEXT && in->n_values) {
        gy_jw_str(j, in->values[0]);
    } else if (in->kind == GY_INPUT_TEXT) {
        gy_jw_strc(j, in->integer ? "0" : "text");
    } else if (in->kind == GY_INPUT_TIME) {
        gy_jw_strc(j, "2026-01-01T00:00:00Z");
    } else {
        gy_jw_f64(j, in->integer ? rint(middle) : middle);
    }
}

/* Each input as the example of the first part that has it. */
static gy_status add_example(struct work *w, struct gy_jw *j, const struct gy_predictor_input *in,
                             struct gy_err *err)
{
    for (size_t k = 0; k < w->plan->n_parts; k++) {
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        if (!w->infos[k]->input_example.p || feed_of(w, k, in->name)) {
            continue;
        }
        GY_TRY(gy_json_parse(w->infos[k]->input_example, &doc, err));
        yyjson_val *v = gy_json_get(yyjson_doc_get_root(doc), in->name.p);
        if (v) {
            gy_jw_val(j, v);
            return GY_OK;
        }
    }
    add_made_up(j, in);
    return GY_OK;
}

static gy_status write_example(struct work *w, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out = {0};
    struct gy_jw j;
    gy_buf_init(&out, MAX_FILE);
    gy_jw_init(&j, &out);
    gy_jw_obj(&j);
    gy_jw_key(&j, "columns");
    gy_jw_arr(&j);
    for (size_t i = 0; i < w->m->n_inputs; i++) {
        gy_jw_str(&j, w->m->inputs[i].name);
    }
    gy_jw_arr_end(&j);
    gy_jw_key(&j, "data");
    gy_jw_arr(&j);
    gy_jw_arr(&j);
    for (size_t i = 0; i < w->m->n_inputs; i++) {
        GY_TRY(add_example(w, &j, &w->m->inputs[i], err));
    }
    gy_jw_arr_end(&j);
    gy_jw_arr_end(&j);
    gy_jw_obj_end(&j);
    gy_buf_add_char(&out, '\n');
    GY_TRY(gy_buf_check(&out, "the input example", err));
    return gy_package_put(w->dir, "input_example.json", gy_buf_str(&out), err);
}

static gy_status write_package(struct work *w, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out = {0};
    gy_buf_init(&out, GY_MODEL_MAX_BYTES);
    GY_TRY(gy_model_write(w->m, &out, err));
    GY_TRY(gy_package_put(w->dir, "model.json", gy_buf_str(&out), err));
    for (size_t i = 0; i < w->plan->n_parts; i++) {
        GY_TRY(copy_part(w, i, err));
    }
    GY_TRY(write_example(w, err));
    return gy_package_seal(w->dir, w->m, &(struct gy_package_ids){.created_us = 0}, err);
}

/* ---- the whole ---- */

/* The parts go into the chain that they are tried in: they must live until all is written. */
static gy_status put_together(struct work *w, void **ret_chain, struct gy_err *err)
{
    GY_TRY(load_parts(w, err));
    for (size_t i = 0; i < w->plan->n_feeds; i++) {
        GY_TRY(feed_as_said(w, w->plan->feeds[i], err));
    }
    if (w->plan->n_feeds == 0) {
        GY_TRY(feed_by_names(w, err));
    }
    GY_TRY(make_inputs(w, err));
    GY_TRY(gy_chain_new(&(struct gy_chain_spec){.parts = w->parts,
                                                .names = w->names,
                                                .n_parts = w->plan->n_parts,
                                                .inputs = w->m->inputs,
                                                .n_inputs = w->m->n_inputs,
                                                .feeds = w->feeds,
                                                .n_feeds = w->n_feeds},
                        ret_chain, err));
    GY_TRY(name_outputs(w, err));
    GY_TRY(make_model(w, err));
    return write_package(w, err);
}

gy_status gy_chain_package(const struct gy_chain_plan *plan, const char *dir,
                           struct gy_chained *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_model_done) struct gy_model m;
    void *chain = NULL;
    gy_model_init(&m);
    struct work *w = gy_calloc(1, sizeof *w); /* the feeds are too many for a stack */
    if (!w) {
        return no_memory(err);
    }
    w->plan = plan;
    w->dir = dir;
    w->m = &m;
    gy_status status = put_together(w, &chain, err);
    *ret = (struct gy_chained){.n_inputs = m.n_inputs, .n_fed = w->n_feeds};
    (void)snprintf(ret->task, sizeof ret->task, "%s", gy_task_name(m.task));
    if (chain) {
        gy_chain_ops.free(chain); /* and the parts */
    }
    for (size_t i = 0; !chain && i < GY_CHAIN_MAX_PARTS; i++) {
        gy_predictor_free(w->parts[i]);
    }
    gy_free(w);
    return status;
}

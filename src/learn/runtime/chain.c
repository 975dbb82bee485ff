/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/runtime/chain.h"

#include <math.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/mem.h"
#include "learn/cells.h"

#define MAX_MAPS (256 * GY_MIB)

/* Where a cell of a part comes from. */
enum how {
    HOW_ROW,             /* the row of the chain, as it is */
    HOW_TEXT,            /* the same, its index in the chain's vocabulary made one of the part's */
    HOW_VALUE,           /* a value that a part answered */
    HOW_NOT_PROBABILITY, /* 1 - it: of two classes the first */
    HOW_CLASS            /* the cell of the class that a part answered */
};

struct source {
    enum how how;
    size_t at;         /* the cell of the row, the value of the answer */
    size_t part;       /* who answered */
    const double *map; /* TEXT: by index; CLASS: by class */
};

struct part {
    struct gy_predictor *p;
    const struct gy_predictor_info *info;
    struct source *sources; /* n_cells */
    size_t before;          /* values a row that the parts before it answer */
};

struct chain {
    struct gy_arena arena;
    struct part parts[GY_CHAIN_MAX_PARTS];
    size_t n_parts, n_inputs;
    size_t n_answers; /* values a row, of all parts but the last */
    size_t widest;    /* cells a row */
    size_t n_mapped;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "a chain of models");
}

/* ---- making ---- */

static size_t find_input(const struct gy_predictor_input *inputs, size_t n, struct gy_str name)
{
    for (size_t i = 0; i < n; i++) {
        if (gy_str_eq(inputs[i].name, name)) {
            return i;
        }
    }
    return SIZE_MAX;
}

static size_t find_class(const struct gy_predictor_info *info, struct gy_str label)
{
    for (size_t i = 0; i < info->n_classes; i++) {
        if (gy_str_eq(info->classes[i], label)) {
            return i;
        }
    }
    return SIZE_MAX;
}

static gy_status check_part(const struct gy_chain_spec *spec, size_t k, struct gy_err *err)
{
    const struct gy_predictor_info *info = gy_predictor_info(spec->parts[k]);
    struct gy_str name = spec->names[k];
    if (info->blocks) {
        return gy_err_set(err, GY_E_INVALID,
                          "'%" GY_STR_F "' waits for another process (remote, python): it can not "
                          "be part of a chain",
                          GY_STR_A(name));
    }
    for (size_t i = 0; i < info->n_inputs; i++) {
        if (info->inputs[i].kind == GY_INPUT_IMAGE) {
            return gy_err_set(err, GY_E_INVALID,
                              "'%" GY_STR_F "' takes an image: a chain carries numbers, texts and "
                              "times",
                              GY_STR_A(name));
        }
    }
    return info->task == GY_TASK_REGRESSION && info->n_outputs != 1
               ? gy_err_set(err, GY_E_INVALID,
                            "'%" GY_STR_F "' answers tensors of %zu values: a part of a chain "
                            "answers one value, or classes",
                            GY_STR_A(name), info->n_outputs)
               : GY_OK;
}

/* What a request would be read as whose text is the label. */
static gy_status cell_of_label(const struct gy_predictor_input *in, struct gy_str label,
                               double *ret, struct gy_err *err)
{
    char text[32];
    double number = NAN;
    if (in->kind == GY_INPUT_TEXT && in->integer && gy_parse_f64(label, &number, NULL) == GY_OK) {
        label = gy_str_n(text, gy_fmt_f64_trim(number, text));
    }
    return gy_cell_of_text(in, label, ret, err);
}

static gy_status map_classes(struct chain *c, const struct gy_predictor_input *in,
                             const struct gy_predictor_info *from, struct gy_str name,
                             struct source *s, struct gy_err *err)
{
    double *map = gy_arena_calloc(&c->arena, from->n_classes, sizeof *map);
    if (!map) {
        return no_memory(err);
    }
    for (size_t i = 0; i < from->n_classes; i++) {
        if (cell_of_label(in, from->classes[i], &map[i], NULL) != GY_OK) {
            (void)gy_err_set(err, GY_E_INVALID,
                             "input '%" GY_STR_F "' takes numbers, and '%" GY_STR_F
                             "' predicts classes that are none ('%" GY_STR_F "')",
                             GY_STR_A(in->name), GY_STR_A(name), GY_STR_A(from->classes[i]));
            return gy_err_hint(err,
                               "feed it by a probability: --feed INPUT=PART.probability.LABEL; "
                               "or train the later part with the column as texts");
        }
    }
    c->n_mapped += from->n_classes;
    s->how = HOW_CLASS;
    s->map = map;
    return GY_OK;
}

static gy_status unknown_output(const struct gy_predictor_info *from, struct gy_str name,
                                struct gy_str output, struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' has no output '%" GY_STR_F "'",
                     GY_STR_A(name), GY_STR_A(output));
    return gy_err_hint(err, "%s",
                       from->task == GY_TASK_REGRESSION ? "of a regression: prediction"
                       : from->task == GY_TASK_BINARY
                           ? "of two classes: prediction, probability, probability.LABEL"
                           : "of a classifier: prediction, probability.LABEL");
}

/* How an answer becomes a cell of the input. */
static gy_status feed_source(struct chain *c, const struct gy_predictor_input *in,
                             const struct gy_chain_feed *f, struct gy_str name, struct source *s,
                             struct gy_err *err)
{
    const struct gy_str probability = GY_STR("probability"), of_label = GY_STR("probability.");
    const struct gy_predictor_info *from = c->parts[f->from].info;
    bool classifies = from->task != GY_TASK_REGRESSION;
    *s = (struct source){.how = HOW_VALUE, .part = f->from};
    if (in->kind == GY_INPUT_TIME) {
        return gy_err_set(err, GY_E_INVALID,
                          "input '%" GY_STR_F "' is a time: numbers and texts can be fed",
                          GY_STR_A(in->name));
    }
    if (gy_str_eqc(f->output, "prediction") && classifies) {
        return map_classes(c, in, from, name, s, err);
    }
    size_t class = 0;
    if (classifies) {
        bool second = from->task == GY_TASK_BINARY && gy_str_eq(f->output, probability);
        class = second ? 1
                : gy_str_starts(f->output, of_label)
                    ? find_class(from, gy_str_sub(f->output, of_label.n, f->output.n))
                    : SIZE_MAX;
    } else if (!gy_str_eqc(f->output, "prediction")) {
        class = SIZE_MAX;
    }
    if (class == SIZE_MAX) {
        return unknown_output(from, name, f->output, err);
    }
    if (in->kind == GY_INPUT_TEXT) {
        (void)gy_err_set(err, GY_E_INVALID,
                         "input '%" GY_STR_F "' takes texts, and '%" GY_STR_F "' of '%" GY_STR_F
                         "' is a number",
                         GY_STR_A(in->name), GY_STR_A(f->output), GY_STR_A(name));
        return gy_err_hint(err, "texts are fed by the prediction of a classifier");
    }
    if (from->task == GY_TASK_BINARY) {
        s->how = class == 1 ? HOW_VALUE : HOW_NOT_PROBABILITY;
    } else {
        s->at = class;
    }
    return GY_OK;
}

static bool same_values(const struct gy_predictor_input *a, const struct gy_predictor_input *b)
{
    for (size_t i = 0; a->n_values == b->n_values && i < a->n_values; i++) {
        if (!gy_str_eq(a->values[i], b->values[i])) {
            return false;
        }
    }
    return a->n_values == b->n_values;
}

/* An input that the request has. */
static gy_status row_source(struct chain *c, const struct gy_chain_spec *spec, size_t k,
                            const struct gy_predictor_input *in, struct source *s,
                            struct gy_err *err)
{
    size_t at = find_input(spec->inputs, spec->n_inputs, in->name);
    const struct gy_predictor_input *have = at == SIZE_MAX ? NULL : &spec->inputs[at];
    bool text = in->kind == GY_INPUT_TEXT;
    *s = (struct source){.how = HOW_ROW, .at = at};
    if (!have || have->kind != in->kind ||
        (text && (have->hashed != in->hashed || have->integer != in->integer))) {
        return gy_err_set(err, GY_E_INVALID,
                          "input '%" GY_STR_F "' of '%" GY_STR_F "' is %s of the chain",
                          GY_STR_A(in->name), GY_STR_A(spec->names[k]),
                          have ? "of another type than the input" : "fed by nobody and no input");
    }
    if (!text || in->hashed || same_values(have, in)) {
        return GY_OK;
    }
    double *map = gy_arena_calloc(&c->arena, have->n_values + 1, sizeof *map);
    if (!map) {
        return no_memory(err);
    }
    for (size_t i = 0; i < have->n_values; i++) {
        GY_TRY(gy_cell_of_text(in, have->values[i], &map[i], err));
    }
    c->n_mapped += have->n_values;
    s->how = HOW_TEXT;
    s->map = map;
    return GY_OK;
}

static const struct gy_chain_feed *feed_of(const struct gy_chain_spec *spec, size_t part,
                                           struct gy_str input)
{
    for (size_t i = 0; i < spec->n_feeds; i++) {
        if (spec->feeds[i].part == part && gy_str_eq(spec->feeds[i].input, input)) {
            return &spec->feeds[i];
        }
    }
    return NULL;
}

static gy_status check_feeds(const struct gy_chain_spec *spec, struct gy_err *err)
{
    bool feeds[GY_CHAIN_MAX_PARTS] = {false};
    for (size_t i = 0; i < spec->n_feeds; i++) {
        const struct gy_chain_feed *f = &spec->feeds[i];
        if (f->part >= spec->n_parts || f->from >= f->part) {
            return gy_err_set(err, GY_E_INVALID,
                              "feed %zu goes from part %zu to part %zu: a part is fed by earlier "
                              "ones",
                              i + 1, f->from + 1, f->part + 1);
        }
        const struct gy_predictor_info *info = gy_predictor_info(spec->parts[f->part]);
        if (find_input(info->inputs, info->n_inputs, f->input) == SIZE_MAX) {
            return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' has no input '%" GY_STR_F "'",
                              GY_STR_A(spec->names[f->part]), GY_STR_A(f->input));
        }
        if (feed_of(spec, f->part, f->input) != f) {
            return gy_err_set(err, GY_E_INVALID, "input '%" GY_STR_F "' is fed twice",
                              GY_STR_A(f->input));
        }
        feeds[f->from] = true;
    }
    for (size_t k = 0; k + 1 < spec->n_parts; k++) {
        if (!feeds[k]) {
            (void)gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' feeds no later part",
                             GY_STR_A(spec->names[k]));
            return gy_err_hint(err, "an input named like what it predicts is fed by it; others by "
                                    "--feed INPUT=PART.OUTPUT");
        }
    }
    return GY_OK;
}

static gy_status check_spec(const struct gy_chain_spec *spec, struct gy_err *err)
{
    if (spec->n_parts < 2 || spec->n_parts > GY_CHAIN_MAX_PARTS) {
        return gy_err_set(err, GY_E_INVALID, "a chain has 2 to %d parts, not %zu",
                          GY_CHAIN_MAX_PARTS, spec->n_parts);
    }
    if (spec->n_feeds > GY_CHAIN_MAX_FEEDS || spec->n_inputs > GY_MAX_FEATURES) {
        return gy_err_set(err, GY_E_TOOBIG, "a chain has at most %d inputs and %d that are fed",
                          GY_MAX_FEATURES, GY_CHAIN_MAX_FEEDS);
    }
    for (size_t k = 0; k < spec->n_parts; k++) {
        GY_TRY(check_part(spec, k, err));
    }
    return check_feeds(spec, err);
}

static gy_status plan_part(struct chain *c, const struct gy_chain_spec *spec, size_t k,
                           struct gy_err *err)
{
    struct part *part = &c->parts[k];
    part->info = gy_predictor_info(spec->parts[k]);
    part->before = c->n_answers;
    part->sources = gy_arena_calloc(&c->arena, part->info->n_inputs + 1, sizeof *part->sources);
    if (!part->sources) {
        return no_memory(err);
    }
    for (size_t i = 0; i < part->info->n_inputs; i++) {
        const struct gy_predictor_input *in = &part->info->inputs[i];
        const struct gy_chain_feed *f = feed_of(spec, k, in->name);
        GY_TRY(f ? feed_source(c, in, f, spec->names[f->from], &part->sources[i], err)
                 : row_source(c, spec, k, in, &part->sources[i], err));
    }
    c->n_answers += k + 1 < spec->n_parts ? part->info->n_outputs : 0;
    c->widest = part->info->n_cells > c->widest ? part->info->n_cells : c->widest;
    return GY_OK;
}

static void chain_free(void *self)
{
    struct chain *c = self;
    if (c) {
        for (size_t k = 0; k < c->n_parts; k++) {
            gy_predictor_free(c->parts[k].p);
        }
        gy_arena_done(&c->arena);
        gy_free(c);
    }
}
GY_DEFINE_AUTO(struct chain *, chain_free);

gy_status gy_chain_new(const struct gy_chain_spec *spec, void **ret, struct gy_err *err)
{
    GY_TRY(check_spec(spec, err));
    GY_AUTO(chain_free) struct chain *c = gy_calloc(1, sizeof *c);
    if (!c) {
        return no_memory(err);
    }
    gy_arena_init_small(&c->arena, MAX_MAPS);
    c->n_inputs = spec->n_inputs;
    for (size_t k = 0; k < spec->n_parts; k++) {
        GY_TRY(plan_part(c, spec, k, err));
    }
    for (size_t k = 0; k < spec->n_parts; k++) {
        c->parts[k].p = spec->parts[k];
    }
    c->n_parts = spec->n_parts; /* from here on they are its own */
    *ret = GY_TAKE(c);
    return GY_OK;
}

/* ---- predicting ---- */

static size_t aligned(size_t n_doubles)
{
    return (n_doubles * sizeof(double) + 63) & ~(size_t)63;
}

/* The answers of the parts one behind the other, the cells of one part, what a part needs. */
static size_t scratch(const void *self, size_t n_rows)
{
    const struct chain *c = self;
    size_t most = 0;
    for (size_t k = 0; k < c->n_parts; k++) {
        size_t own = gy_predictor_scratch(c->parts[k].p, n_rows);
        most = own > most ? own : most;
    }
    return aligned(c->n_answers * n_rows) + aligned(c->widest * n_rows) + most;
}

/* As endpoints choose it (serve/infer.c), at the threshold of the part's package. */
static size_t class_of(const struct gy_predictor_info *info, const double *p)
{
    if (info->task == GY_TASK_BINARY) {
        return p[0] >= info->threshold ? 1 : 0;
    }
    size_t best = 0;
    for (size_t i = 1; i < info->n_outputs; i++) {
        best = p[i] > p[best] ? i : best;
    }
    return best;
}

static double text_of(const struct source *s, double cell)
{
    return isnan(cell) || cell < 0 ? cell : s->map[(size_t)cell];
}

/* One input of a part, for all rows: every width-th of to. */
static void fill(const struct chain *c, const struct source *s, const double *x, size_t n_rows,
                 const double *answers, double *to, size_t width)
{
    const struct part *from = &c->parts[s->part];
    size_t step = from->info->n_outputs;
    const double *out = answers + from->before * n_rows;
    for (size_t r = 0; r < n_rows; r++) {
        switch (s->how) {
        case HOW_ROW:
            to[r * width] = x[r * c->n_inputs + s->at];
            break;
        case HOW_TEXT:
            to[r * width] = text_of(s, x[r * c->n_inputs + s->at]);
            break;
        case HOW_VALUE:
            to[r * width] = out[r * step + s->at];
            break;
        case HOW_NOT_PROBABILITY:
            to[r * width] = 1 - out[r * step];
            break;
        case HOW_CLASS:
            to[r * width] = s->map[class_of(from->info, out + r * step)];
            break;
        }
    }
}

static void run(const void *self, const double *x, size_t n_rows, double *out, void *room)
{
    const struct chain *c = self;
    double *answers = room;
    double *cells = (double *)(void *)((char *)room + aligned(c->n_answers * n_rows));
    void *own = (char *)(void *)cells + aligned(c->widest * n_rows);
    for (size_t k = 0; k < c->n_parts; k++) {
        const struct part *part = &c->parts[k];
        size_t width = part->info->n_cells;
        for (size_t i = 0; i < part->info->n_inputs; i++) {
            fill(c, &part->sources[i], x, n_rows, answers, cells + i, width);
        }
        bool last = k + 1 == c->n_parts;
        gy_predictor_run(part->p, cells, n_rows, last ? out : answers + part->before * n_rows, own);
    }
}

static gy_status explain(const void *self, const double *x, size_t n_rows, const double *means,
                         double *out, struct gy_err *err)
{
    (void)self, (void)x, (void)n_rows, (void)means, (void)out;
    (void)gy_err_set(err, GY_E_UNSUPPORTED,
                     "contributions are told of single models, not of a chain of them");
    return gy_err_hint(err, "register its parts and ask each by itself");
}

static size_t bytes(const void *self)
{
    const struct chain *c = self;
    size_t n = c->n_mapped * sizeof(double);
    for (size_t k = 0; k < c->n_parts; k++) {
        n += gy_predictor_bytes(c->parts[k].p);
    }
    return n;
}

const struct gy_runtime_ops gy_chain_ops = {.version = 3,
                                            .name = "chain",
                                            .scratch = scratch,
                                            .run = run,
                                            .free = chain_free,
                                            .explain = explain,
                                            .bytes = bytes};

/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/notebook.h"

#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"

struct reader {
    struct gy_notebook *n;
    struct gy_notebook_cell *cells;
    size_t code_bytes;
    bool has_stage;
    struct gy_err *err;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for the notebook");
}

/* ---- is it a notebook that we take? ---- */

static gy_status check_format(yyjson_val *root, const char *name, struct gy_err *err)
{
    int64_t format = gy_json_i64(root, "nbformat", -1);
    if (format == 4) {
        return GY_OK;
    }
    if (format >= 1 && format <= 3) {
        gy_err_set(err, GY_E_UNSUPPORTED, "%s is of nbformat %lld; 4 is read (since 2014)", name,
                   (long long)format);
        return gy_err_hint(err, "jupyter nbconvert --to notebook --nbformat 4 --output new.ipynb "
                                "OLD.ipynb");
    }
    if (format > 4) {
        gy_err_set(err, GY_E_UNSUPPORTED, "%s is of nbformat %lld; 4 is read", name,
                   (long long)format);
        return gy_err_hint(err, "save it as nbformat 4: jupyter nbconvert --to notebook "
                                "--nbformat 4");
    }
    gy_err_set(err, GY_E_INVALID, "%s is no Jupyter notebook: it has no nbformat", name);
    return gy_err_hint(err, "a notebook is a .ipynb file; of a script make one with jupytext --to "
                            "ipynb");
}

static bool is_python(struct gy_str language)
{
    return gy_str_ieq(language, GY_STR("python")) || gy_str_ieq(language, GY_STR("python3")) ||
           gy_str_ieq(language, GY_STR("ipython")) || gy_str_ieq(language, GY_STR("ipython3"));
}

static gy_status check_language(yyjson_val *root, const char *name, struct gy_err *err)
{
    yyjson_val *meta = gy_json_get(root, "metadata");
    yyjson_val *kernel = gy_json_get(meta, "kernelspec");
    struct gy_str language = gy_json_str(gy_json_get(meta, "language_info"), "name");
    if (!language.p) {
        language = gy_json_str(kernel, "language");
    }
    if (!language.p || is_python(language)) {
        return GY_OK; /* absent: a notebook that never ran */
    }
    gy_err_set(err, GY_E_UNSUPPORTED,
               "%s is a notebook of %" GY_STR_F
               ": stages are made of Python cells, whose names and "
               "files Python itself tells",
               name, GY_STR_A(gy_str_head(language, 40)));
    return gy_err_hint(err, "write its steps as scripts and name them in dvc.yaml: gyre run runs "
                            "any command");
}

/* ---- cells ---- */

static gy_status cell_source(struct reader *r, yyjson_val *cell, int64_t number, struct gy_str *ret)
{
    yyjson_val *source = gy_json_get(cell, "source");
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_NOTEBOOK_MAX_CODE);
    if (yyjson_is_str(source)) {
        gy_buf_add(&text, gy_json_val_str(source));
    } else if (yyjson_is_arr(source)) {
        size_t i;
        size_t max;
        yyjson_val *line;
        yyjson_arr_foreach(source, i, max, line)
        {
            gy_buf_add(&text, gy_json_val_str(line));
        }
    } else {
        return gy_err_set(r->err, GY_E_INVALID, "cell %lld has no source", (long long)number);
    }
    GY_TRY(gy_buf_check(&text, "a cell", r->err));
    r->code_bytes += text.n;
    if (r->code_bytes > GY_NOTEBOOK_MAX_CODE) {
        return gy_err_set(r->err, GY_E_TOOBIG, "the code of the notebook is more than %zu bytes",
                          GY_NOTEBOOK_MAX_CODE);
    }
    *ret = gy_arena_str(&r->n->arena, gy_buf_str(&text));
    return ret->p ? GY_OK : no_memory(r->err);
}

/* As DVC takes it, and fit for a file's name. */
static bool good_name(struct gy_str s)
{
    if (s.n == 0 || s.n > 64 || gy_str_eqc(s, "gyre_notebook") || gy_str_eqc(s, "out")) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i > 0 && ((c >= '0' && c <= '9') || c == '-'))) {
            return false;
        }
    }
    return true;
}

static gy_status take_stage(struct reader *r, struct gy_notebook_cell *c, struct gy_str name)
{
    if (!good_name(name)) {
        gy_err_set(r->err, GY_E_INVALID, "cell %lld: '%" GY_STR_F "' is no name for a stage",
                   (long long)c->number, GY_STR_A(gy_str_head(name, 80)));
        return gy_err_hint(r->err, "letters, digits, _ and -, a letter first: stage:train");
    }
    if (c->stage.p && !gy_str_eq(c->stage, name)) {
        return gy_err_set(r->err, GY_E_INVALID, "cell %lld has two stages", (long long)c->number);
    }
    c->role = GY_CELL_STAGE;
    c->stage = gy_arena_str(&r->n->arena, name);
    return c->stage.p ? GY_OK : no_memory(r->err);
}

static bool is_one_of(struct gy_str tag, const char *const *words)
{
    for (; *words; words++) {
        if (gy_str_eqc(tag, *words)) {
            return true;
        }
    }
    return false;
}

static const char *const g_skip[] = {"skip", "gyre:skip", "skip-execution", "exploration", NULL};
static const char *const g_metrics[] = {"metrics", "gyre:metrics", NULL};
static const char *const g_parameters[] = {"parameters", "gyre:parameters", NULL};

static gy_status take_tag(struct reader *r, struct gy_notebook_cell *c, struct gy_str tag)
{
    static const struct gy_str stage[] = {{"stage:", 6}, {"gyre:stage=", 11}, {"gyre:stage:", 11}};
    for (size_t i = 0; i < sizeof stage / sizeof stage[0]; i++) {
        if (gy_str_starts(tag, stage[i])) {
            return take_stage(r, c, gy_str_sub(tag, stage[i].n, tag.n));
        }
    }
    if (is_one_of(tag, g_skip)) {
        c->role = GY_CELL_SKIP;
    } else if (is_one_of(tag, g_metrics)) {
        c->metrics = true;
    } else if (is_one_of(tag, g_parameters)) {
        c->role = GY_CELL_PARAMETERS;
    } else if (gy_str_eqc(tag, "injected-parameters")) {
        c->role = GY_CELL_INJECTED;
    } else if (gy_str_eqc(tag, "stage") || gy_str_starts(tag, GY_STR("gyre:"))) {
        gy_err_set(r->err, GY_E_INVALID, "cell %lld: the tag '%" GY_STR_F "' means nothing here",
                   (long long)c->number, GY_STR_A(gy_str_head(tag, 80)));
        return gy_err_hint(r->err, "there are: stage:NAME, parameters, metrics, skip");
    }
    return GY_OK; /* other tools' tags */
}

static gy_status take_tags(struct reader *r, struct gy_notebook_cell *c, yyjson_val *cell)
{
    yyjson_val *tags = gy_json_get(gy_json_get(cell, "metadata"), "tags");
    size_t i;
    size_t max;
    yyjson_val *tag;
    bool skip = false;
    yyjson_arr_foreach(tags, i, max, tag)
    {
        GY_TRY(take_tag(r, c, gy_json_val_str(tag)));
        skip = skip || c->role == GY_CELL_SKIP;
    }
    if (skip) { /* whatever else it is tagged as */
        c->role = GY_CELL_SKIP;
    }
    return GY_OK;
}

/* An untagged cell belongs to the stage before it. */
static gy_status place(struct reader *r, struct gy_notebook_cell *c)
{
    const struct gy_notebook_cell *last = NULL;
    for (size_t i = r->n->n_cells; i > 0 && !last; i--) {
        last = r->cells[i - 1].role == GY_CELL_STAGE ? &r->cells[i - 1] : NULL;
    }
    if (c->role == GY_CELL_SETUP && last) {
        c->role = GY_CELL_STAGE;
        c->stage = last->stage;
    }
    if (last && (c->role == GY_CELL_PARAMETERS || c->role == GY_CELL_INJECTED)) {
        gy_err_set(r->err, GY_E_INVALID, "cell %lld: parameters come before the first stage",
                   (long long)c->number);
        return gy_err_hint(r->err, "move the cell to the top of the notebook");
    }
    if (c->metrics && c->role != GY_CELL_STAGE && c->role != GY_CELL_SKIP) {
        gy_err_set(r->err, GY_E_INVALID, "cell %lld has the tag metrics, but no stage",
                   (long long)c->number);
        return gy_err_hint(r->err, "give it, or a cell before it, a tag such as stage:evaluate");
    }
    if (c->role != GY_CELL_STAGE || (last && gy_str_eq(last->stage, c->stage))) {
        return GY_OK;
    }
    for (size_t i = 0; i < r->n->n_cells; i++) {
        if (r->cells[i].role == GY_CELL_STAGE && gy_str_eq(r->cells[i].stage, c->stage)) {
            gy_err_set(r->err, GY_E_INVALID,
                       "cell %lld comes back to the stage %" GY_STR_F " after another stage",
                       (long long)c->number, GY_STR_A(c->stage));
            return gy_err_hint(r->err, "move it to the others of its stage, or give it a name of "
                                       "its own");
        }
    }
    if (++r->n->n_stages > GY_NOTEBOOK_MAX_STAGES) {
        return gy_err_set(r->err, GY_E_TOOBIG, "more than %d stages", GY_NOTEBOOK_MAX_STAGES);
    }
    return GY_OK;
}

static gy_status read_cells(struct reader *r, yyjson_val *cells)
{
    size_t i;
    size_t max;
    yyjson_val *cell;
    if (yyjson_arr_size(cells) > GY_NOTEBOOK_MAX_CELLS) {
        return gy_err_set(r->err, GY_E_TOOBIG, "more than %d cells", GY_NOTEBOOK_MAX_CELLS);
    }
    r->cells = gy_arena_calloc(&r->n->arena, yyjson_arr_size(cells) + 1, sizeof *r->cells);
    if (!r->cells) {
        return no_memory(r->err);
    }
    r->n->cells = r->cells;
    yyjson_arr_foreach(cells, i, max, cell)
    {
        struct gy_notebook_cell *c = &r->cells[r->n->n_cells];
        if (!gy_str_eqc(gy_json_str(cell, "cell_type"), "code")) {
            continue; /* prose */
        }
        *c = (struct gy_notebook_cell){.number = (int64_t)i + 1};
        GY_TRY(cell_source(r, cell, c->number, &c->source));
        GY_TRY(take_tags(r, c, cell));
        GY_TRY(place(r, c));
        r->n->n_cells++;
    }
    return GY_OK;
}

gy_status gy_notebook_parse(struct gy_str json, const char *name, struct gy_notebook **ret,
                            struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (gy_json_parse(json, &doc, err) != GY_OK) {
        return gy_err_wrap(err, "%s is no Jupyter notebook", name);
    }
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *cells = NULL;
    GY_TRY(check_format(root, name, err));
    GY_TRY(check_language(root, name, err));
    GY_TRY(gy_json_need_arr(root, "cells", &cells, err));
    GY_AUTO(gy_notebook_free) struct gy_notebook *n = gy_calloc(1, sizeof *n);
    if (!n) {
        return no_memory(err);
    }
    gy_arena_init(&n->arena, GY_NOTEBOOK_MAX_BYTES);
    n->name = gy_arena_str(&n->arena, gy_str_c(name));
    struct reader r = {.n = n, .err = err};
    GY_TRY(read_cells(&r, cells));
    if (!n->name.p) {
        return no_memory(err);
    }
    if (n->n_stages == 0) {
        gy_err_set(err, GY_E_INVALID, "no cell of %s has a tag that makes it a stage", name);
        return gy_err_hint(err, "tag the first cell of each step, e.g. stage:prepare, stage:train, "
                                "stage:evaluate (JupyterLab: Property Inspector, Cell Tags)");
    }
    *ret = GY_TAKE(n);
    return GY_OK;
}

gy_status gy_notebook_read(const char *path, struct gy_notebook **ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    const char *slash = strrchr(path, '/');
    gy_buf_init(&text, GY_NOTEBOOK_MAX_BYTES);
    GY_TRY(gy_file_read(path, &text, err));
    return gy_notebook_parse(gy_buf_str(&text), slash ? slash + 1 : path, ret, err);
}

void gy_notebook_free(struct gy_notebook *n)
{
    if (n) {
        gy_arena_done(&n->arena);
        gy_free(n);
    }
}

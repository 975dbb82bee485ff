/* SPDX-License-Identifier: Apache-2.0 */
#include "data/split_file.h"

#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/records.h"
#include "data/times.h"
#include "net/call.h"

#define FLUSH_BYTES (256 * GY_KIB)
#define NOWHERE SIZE_MAX
#define RESULT_MAX (64 * GY_MIB)

static const char *const BY_NAMES[] = {[GY_SPLIT_HASH] = "hash",
                                       [GY_SPLIT_STRATIFIED] = "stratified",
                                       [GY_SPLIT_TIME] = "time",
                                       [GY_SPLIT_GROUP] = "group",
                                       [GY_SPLIT_KFOLD] = "kfold"};

gy_status gy_split_parse_by(struct gy_str text, enum gy_split_by *ret, struct gy_err *err)
{
    for (int i = GY_SPLIT_HASH; i <= GY_SPLIT_KFOLD; i++) {
        if (gy_str_eqc(text, BY_NAMES[i])) {
            *ret = (enum gy_split_by)i;
            return GY_OK;
        }
    }
    (void)gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is no way to split", GY_STR_A(text));
    return gy_err_hint(err, "hash, stratified, time, group or kfold");
}

/* A column that a split looks at. */
struct watched {
    size_t at; /* field; NOWHERE: the whole record, or not asked */
    const struct gy_column *column;
};

struct output {
    struct gy_file_writer *writer;
    struct gy_buf pending;
    struct gy_hash *hash;
};

struct splitting {
    const struct gy_split_options *o;
    struct gy_source *source;
    struct gy_split_result *r;
    bool streaming, balance; /* balance: the label decides, too */
    struct gy_csv *csv;
    struct gy_csv_field *fields;
    struct gy_str *names;
    size_t n_fields;
    struct watched key, label, time, guard;
    struct gy_hash *sha256;
    struct gy_map classes; /* to &numbers[class] */
    uint32_t *numbers;
    bool many_classes;
    /* Of each row, when they are remembered. */
    size_t n, cap;
    uint64_t *order, *guards;
    uint32_t *class_of;
    double *times;
    uint8_t *part;
    struct output *outputs;
    struct gy_buf scratch, header;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for a split");
}

/* ---- columns ---- */

static const struct gy_column *of_role(const struct splitting *s, enum gy_role role)
{
    return s->o->schema ? gy_schema_role(s->o->schema, role) : NULL;
}

/* The field of a column that is named, or has one of the roles. */
static gy_status watch(struct splitting *s, struct gy_str named, const enum gy_role *roles,
                       size_t n_roles, struct watched *ret, struct gy_str *ret_name,
                       struct gy_err *err)
{
    struct gy_str name = named;
    *ret = (struct watched){NOWHERE, NULL};
    for (size_t i = 0; i < n_roles && !name.p; i++) {
        const struct gy_column *c = of_role(s, roles[i]);
        name = c ? c->name : GY_STR_NULL;
    }
    for (size_t i = 0; i < s->n_fields && name.p; i++) {
        if (gy_str_eq(s->names[i], name)) {
            *ret = (struct watched){i, s->o->schema ? gy_schema_column(s->o->schema, name) : NULL};
            *ret_name = s->names[i];
            return GY_OK;
        }
    }
    if (named.p) {
        return gy_err_set(err, GY_E_NOTFOUND, "'%s' has no column '%" GY_STR_F "'", s->source->name,
                          GY_STR_A(named));
    }
    return GY_OK;
}

static gy_status wanted(struct gy_err *err, const char *what, const char *option, const char *role)
{
    (void)gy_err_set(err, GY_E_INVALID, "which column is the %s?", what);
    return gy_err_hint(err, "--%s COLUMN, or role: %s in schema.yaml", option, role);
}

static gy_status find_columns(struct splitting *s, struct gy_err *err)
{
    static const enum gy_role ids[] = {GY_ROLE_ID}, labels[] = {GY_ROLE_LABEL},
                              times[] = {GY_ROLE_EVENT_TIME}, subjects[] = {GY_ROLE_SUBJECT},
                              people[] = {GY_ROLE_SUBJECT, GY_ROLE_ID};
    const struct gy_split_options *o = s->o;
    bool grouped = o->by == GY_SPLIT_GROUP || (o->by == GY_SPLIT_KFOLD && o->grouped);
    GY_TRY(watch(s, o->key, grouped ? people : ids, grouped ? 2 : 1, &s->key, &s->r->key, err));
    GY_TRY(watch(s, o->label, labels, 1, &s->label, &s->r->label, err));
    GY_TRY(watch(s, o->time, times, 1, &s->time, &s->r->time, err));
    GY_TRY(watch(s, GY_STR_NULL, subjects, 1, &s->guard, &s->r->guard, err));
    s->balance = o->by == GY_SPLIT_STRATIFIED ||
                 ((o->by == GY_SPLIT_KFOLD || o->by == GY_SPLIT_GROUP) && o->stratify);
    if (grouped && s->key.at == NOWHERE) {
        return wanted(err, "group", "key", "subject");
    }
    if (o->by == GY_SPLIT_TIME && s->time.at == NOWHERE) {
        return wanted(err, "time", "time", "event_time");
    }
    if (s->balance && s->label.at == NOWHERE) {
        return wanted(err, "label", "label", "label");
    }
    if (o->by != GY_SPLIT_TIME) {
        s->time.at = NOWHERE;
        s->r->time = GY_STR_NULL;
    }
    if (s->guard.at == NOWHERE) {
        s->guard = s->key;
        s->r->guard = s->r->key;
    }
    /* What is hashed can not be in two parts; anything else must be looked at first. */
    s->streaming = (o->by == GY_SPLIT_HASH || (o->by == GY_SPLIT_GROUP && !o->stratify)) &&
                   s->guard.at == s->key.at;
    return GY_OK;
}

static gy_status read_header(struct splitting *s, const struct gy_csv_item *item,
                             struct gy_err *err)
{
    s->n_fields = item->fault == GY_CSV_FINE && item->raw.p
                      ? gy_csv_split(item->raw, item->quotes, gy_csv_delimiter(s->csv), s->fields,
                                     GY_MAX_COLUMNS)
                      : 0;
    if (s->n_fields == 0 || s->n_fields > GY_MAX_COLUMNS) {
        return gy_err_set(err, GY_E_PARSE, "'%s': the header line is broken", s->source->name);
    }
    s->names = gy_arena_calloc(&s->r->arena, s->n_fields, sizeof *s->names);
    if (!s->names) {
        return no_memory(err);
    }
    for (size_t i = 0; i < s->n_fields; i++) {
        struct gy_str name = gy_str_trim(gy_csv_text(&s->fields[i], &s->scratch));
        s->names[i] = gy_arena_str(&s->r->arena, name);
        if (!s->names[i].p) {
            return no_memory(err);
        }
    }
    gy_buf_reset(&s->header);
    gy_buf_add(&s->header, item->raw);
    gy_buf_add_char(&s->header, '\n');
    return gy_buf_check(&s->header, "the header", err);
}

/* ---- one row ---- */

/* The canonical text of a watched field; absent when it is missing. */
static struct gy_str text_of(struct splitting *s, const struct watched *w, char out[GY_VALUE_TEXT])
{
    struct gy_str text = gy_csv_text(&s->fields[w->at], &s->scratch), canonical;
    struct gy_str bare = gy_str_trim(text);
    double number;
    if (bare.n == 0 || (s->o->schema && gy_schema_is_missing(s->o->schema, bare))) {
        return GY_STR_NULL;
    }
    if (!w->column || w->column->type == GY_TYPE_STRING) {
        return text;
    }
    return gy_column_canonical(w->column, text, out, &canonical, &number) ? canonical : bare;
}

static uint64_t hash_of(struct splitting *s, const struct watched *w, struct gy_str raw,
                        bool *ret_missing)
{
    char out[GY_VALUE_TEXT];
    struct gy_str text = w->at == NOWHERE ? raw : text_of(s, w, out);
    *ret_missing = !text.p;
    return gy_split_hash_with(s->sha256, s->o->seed, text.p ? text : raw);
}

static gy_status time_of(struct splitting *s, int64_t row, double *ret, struct gy_err *err)
{
    const struct gy_column *c = s->time.column;
    struct gy_str text = gy_str_trim(gy_csv_text(&s->fields[s->time.at], &s->scratch));
    enum gy_time_form form;
    int64_t us = 0;
    /* A column that no schema knows may count seconds, or be written as times. */
    if (!(c && c->type == GY_TYPE_TIME) && gy_parse_f64(text, ret, NULL) == GY_OK) {
        return GY_OK;
    }
    if (gy_column_time(c && c->type == GY_TYPE_TIME ? c : NULL, text, &us, &form)) {
        *ret = (double)us / 1e6;
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_INVALID,
                     "'%s': row %lld has no time in '%" GY_STR_F "': '%" GY_STR_F "'",
                     s->source->name, (long long)row, GY_STR_A(s->r->time), GY_STR_A(text));
    return gy_err_hint(err, "rows without a time can not be put before or after others");
}

/* The class of a row: 0 for the first label that was met. */
static gy_status class_of(struct splitting *s, uint32_t *ret, struct gy_err *err)
{
    char out[GY_VALUE_TEXT];
    struct gy_str text = text_of(s, &s->label, out);
    text = text.p ? text : GY_STR("");
    uint32_t *known = gy_map_get(&s->classes, text);
    *ret = known ? *known : 0;
    if (known || s->many_classes) {
        return GY_OK;
    }
    if (s->r->n_classes == GY_SPLIT_MAX_CLASSES) {
        s->many_classes = true;
        return s->balance ? gy_err_set(err, GY_E_INVALID,
                                       "'%" GY_STR_F "' has more than %d different values",
                                       GY_STR_A(s->r->label), GY_SPLIT_MAX_CLASSES)
                          : GY_OK;
    }
    known = &s->numbers[s->r->n_classes];
    *known = *ret = (uint32_t)s->r->n_classes;
    s->r->classes[s->r->n_classes] = gy_arena_str(&s->r->arena, text);
    if (!s->r->classes[s->r->n_classes].p) {
        return no_memory(err);
    }
    s->r->n_classes++;
    return gy_map_put(&s->classes, text, known, err);
}

struct row {
    uint64_t order, guard;
    uint32_t class_;
    double time;
};

static gy_status look_at_row(struct splitting *s, const struct gy_csv_item *item, struct row *ret,
                             struct gy_err *err)
{
    *ret = (struct row){.time = NAN};
    if (item->fault != GY_CSV_FINE || !item->raw.p ||
        gy_csv_split(item->raw, item->quotes, gy_csv_delimiter(s->csv), s->fields,
                     GY_MAX_COLUMNS) != s->n_fields) {
        (void)gy_err_set(err, GY_E_SCHEMA, "'%s': record %lld is damaged", s->source->name,
                         (long long)item->row);
        return gy_err_hint(err, "gyre data ingest puts such records aside");
    }
    bool missing, guard_missing;
    ret->order = hash_of(s, &s->key, item->raw, &missing);
    ret->guard = ret->order;
    if (s->guard.at != s->key.at) {
        ret->guard = hash_of(s, &s->guard, item->raw, &guard_missing);
    }
    s->r->keyless += missing;
    if (s->time.at != NOWHERE) {
        GY_TRY(time_of(s, item->row, &ret->time, err));
    }
    return s->label.at != NOWHERE ? class_of(s, &ret->class_, err) : GY_OK;
}

/* ---- remembering all rows ---- */

static gy_status grow(struct splitting *s, struct gy_err *err)
{
    size_t cap = s->cap ? 2 * s->cap : 4096;
    if (cap > GY_SPLIT_MAX_ROWS) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %zu rows", GY_SPLIT_MAX_ROWS / 2);
    }
    uint64_t *order = gy_reallocarray(s->order, cap, sizeof *order);
    s->order = order ? order : s->order;
    uint64_t *guards = gy_reallocarray(s->guards, cap, sizeof *guards);
    s->guards = guards ? guards : s->guards;
    uint32_t *classes = gy_reallocarray(s->class_of, cap, sizeof *classes);
    s->class_of = classes ? classes : s->class_of;
    double *times = gy_reallocarray(s->times, cap, sizeof *times);
    s->times = times ? times : s->times;
    uint8_t *part = gy_reallocarray(s->part, cap, sizeof *part);
    s->part = part ? part : s->part;
    if (!order || !guards || !classes || !times || !part) {
        return no_memory(err);
    }
    s->cap = cap;
    return GY_OK;
}

static gy_status remember(struct splitting *s, const struct row *row, struct gy_err *err)
{
    if (s->n == s->cap) {
        GY_TRY(grow(s, err));
    }
    s->order[s->n] = row->order;
    s->guards[s->n] = row->guard;
    s->class_of[s->n] = row->class_;
    s->times[s->n] = row->time;
    s->n++;
    return GY_OK;
}

static gy_status assign(struct splitting *s, struct gy_err *err)
{
    const struct gy_split_options *o = s->o;
    bool grouped = o->by == GY_SPLIT_GROUP || o->grouped;
    const struct gy_split_table t = {.n = s->n,
                                     .order = s->order,
                                     .group = s->order, /* the key's hash is the group's */
                                     .classes = s->balance ? s->class_of : NULL,
                                     .n_classes = s->r->n_classes,
                                     .time = s->times};
    switch (o->by) {
    case GY_SPLIT_HASH:
        for (size_t i = 0; i < s->n; i++) {
            s->part[i] = (uint8_t)gy_split_part_of(s->order[i], o->parts, o->n_parts);
        }
        break;
    case GY_SPLIT_STRATIFIED:
        GY_TRY(gy_split_exact(&t, o->parts, o->n_parts, s->part, err));
        break;
    case GY_SPLIT_TIME:
        GY_TRY(gy_split_times(&t, o->parts, o->n_parts, s->part, err));
        break;
    case GY_SPLIT_GROUP:
        if (!o->stratify) {
            for (size_t i = 0; i < s->n; i++) {
                s->part[i] = (uint8_t)gy_split_part_of(s->order[i], o->parts, o->n_parts);
            }
            break;
        }
        GY_TRY(gy_split_groups(&t, o->parts, o->n_parts, s->part, err));
        break;
    case GY_SPLIT_KFOLD:
        GY_TRY(grouped ? gy_split_groups(&t, o->parts, o->n_parts, s->part, err)
                       : gy_split_exact(&t, o->parts, o->n_parts, s->part, err));
        break;
    }
    return GY_OK;
}

static gy_status refuse_shared(struct splitting *s, struct gy_err *err)
{
    GY_TRY(gy_split_shared(s->guards, s->part, s->n, &s->r->n_shared, err));
    if (s->r->n_shared == 0 || s->guard.at == NOWHERE || s->o->allow_shared) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_CONFLICT,
                     "%zu values of '%" GY_STR_F "' would be in more than one part", s->r->n_shared,
                     GY_STR_A(s->r->guard));
    return gy_err_hint(err, "--by group keeps them together; --allow-shared lets it be");
}

/* ---- writing ---- */

static gy_status open_output(struct splitting *s, size_t i, struct gy_str name, struct gy_err *err)
{
    struct gy_split_out *out = &s->r->outs[i];
    char file[128];
    (void)snprintf(file, sizeof file, "%" GY_STR_F ".csv", GY_STR_A(name));
    out->name = gy_arena_str(&s->r->arena, name);
    out->classes = gy_arena_calloc(&s->r->arena, GY_SPLIT_MAX_CLASSES, sizeof *out->classes);
    out->from = out->to = NAN;
    if (!out->name.p || !out->classes) {
        return no_memory(err);
    }
    GY_TRY(gy_path_join(out->path, sizeof out->path, s->o->out_dir, file, err));
    GY_TRY(gy_dir_make_for(out->path, err));
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &s->outputs[i].hash, err));
    GY_TRY(gy_file_writer_open(out->path, 0666, &s->outputs[i].writer, err));
    gy_buf_add(&s->outputs[i].pending, gy_buf_str(&s->header));
    return GY_OK;
}

/* Folds as pairs: train of fold i is 2 i, test is 2 i + 1. */
static gy_status open_outputs(struct splitting *s, struct gy_err *err)
{
    const struct gy_split_options *o = s->o;
    const bool pairs = o->by == GY_SPLIT_KFOLD && o->pairs;
    s->r->n_outs = pairs ? 2 * o->n_parts : o->n_parts;
    s->r->outs = gy_arena_calloc(&s->r->arena, s->r->n_outs, sizeof *s->r->outs);
    s->outputs = gy_calloc(s->r->n_outs, sizeof *s->outputs);
    if (!s->r->outs || !s->outputs) {
        return no_memory(err);
    }
    for (size_t i = 0; i < s->r->n_outs; i++) {
        gy_buf_init(&s->outputs[i].pending, FLUSH_BYTES + 2 * GY_MAX_CSV_RECORD + 2);
    }
    for (size_t i = 0; i < s->r->n_outs; i++) {
        char name[96];
        struct gy_str part = o->parts[pairs ? i / 2 : i].name;
        (void)snprintf(name, sizeof name, "%" GY_STR_F "%s", GY_STR_A(part),
                       !pairs  ? ""
                       : i % 2 ? "/test"
                               : "/train");
        GY_TRY(open_output(s, i, gy_str_c(name), err));
    }
    return GY_OK;
}

static gy_status flush(struct splitting *s, size_t i, bool all, struct gy_err *err)
{
    struct output *out = &s->outputs[i];
    if (!all && out->pending.n < FLUSH_BYTES && !out->pending.failed) {
        return GY_OK;
    }
    GY_TRY(gy_buf_check(&out->pending, "the records of a part", err));
    gy_hash_add(out->hash, gy_buf_str(&out->pending));
    GY_TRY(gy_file_writer_write(out->writer, gy_buf_str(&out->pending), err));
    s->r->outs[i].bytes += (int64_t)out->pending.n;
    gy_buf_reset(&out->pending);
    return GY_OK;
}

static gy_status put(struct splitting *s, size_t i, struct gy_str raw, const struct row *row,
                     struct gy_err *err)
{
    struct gy_split_out *out = &s->r->outs[i];
    gy_buf_add(&s->outputs[i].pending, raw);
    gy_buf_add_char(&s->outputs[i].pending, '\n');
    out->rows++;
    out->classes[row->class_]++;
    if (!isnan(row->time)) {
        out->from = isnan(out->from) ? row->time : fmin(out->from, row->time);
        out->to = isnan(out->to) ? row->time : fmax(out->to, row->time);
    }
    return flush(s, i, false, err);
}

static gy_status put_row(struct splitting *s, struct gy_str raw, const struct row *row,
                         struct gy_err *err)
{
    const struct gy_split_options *o = s->o;
    size_t part =
        s->streaming ? gy_split_part_of(row->order, o->parts, o->n_parts) : s->part[s->r->rows];
    s->r->rows++;
    if (s->r->n_outs == o->n_parts) {
        return put(s, part, raw, row, err);
    }
    for (size_t i = 0; i < o->n_parts; i++) {
        GY_TRY(put(s, 2 * i + (i == part ? 1 : 0), raw, row, err));
    }
    return GY_OK;
}

/* ---- passes ---- */

/* From the first record to the last. */
static gy_status pass(struct splitting *s, bool writes, struct gy_err *err)
{
    struct gy_reader *in = NULL;
    const struct gy_csv_options csv = {.delimiter = s->o->delimiter};
    GY_TRY(gy_source_open(s->source, &in, err));
    GY_TRY(gy_csv_open(in, &csv, &s->csv, err));
    int64_t shown = 0;
    bool header = false;
    s->r->keyless = 0;
    for (bool more = true; more;) {
        struct gy_csv_item item = {0};
        struct row row;
        GY_TRY(gy_csv_next(s->csv, &item, &more, err));
        if (!more || item.kind == GY_CSV_BLANK) {
            continue;
        }
        if (item.kind == GY_CSV_HEADER) {
            header = true;
            GY_TRY(read_header(s, &item, err));
            GY_TRY(find_columns(s, err));
            GY_TRY(writes || s->streaming ? open_outputs(s, err) : GY_OK);
            continue;
        }
        GY_TRY(look_at_row(s, &item, &row, err));
        GY_TRY(writes || s->streaming ? put_row(s, item.raw, &row, err) : remember(s, &row, err));
        if (s->o->progress && s->source->done_bytes - shown > (int64_t)GY_MIB) {
            shown = s->source->done_bytes;
            s->o->progress(s->o->progress_ctx, shown);
        }
    }
    gy_csv_free(s->csv);
    s->csv = NULL;
    gy_source_close(s->source);
    return header ? GY_OK
                  : gy_err_set(err, GY_E_PARSE, "'%s' is empty: not even a header line",
                               s->source->name);
}

static gy_status check_outs(const struct splitting *s, struct gy_err *err)
{
    for (size_t i = 0; i < s->r->n_outs; i++) {
        if (s->r->outs[i].rows == 0) {
            return gy_err_set(err, GY_E_INVALID, "part '%" GY_STR_F "' has no row",
                              GY_STR_A(s->r->outs[i].name));
        }
    }
    return GY_OK;
}

static gy_status commit(struct splitting *s, struct gy_err *err)
{
    GY_TRY(check_outs(s, err));
    for (size_t i = 0; i < s->r->n_outs; i++) {
        GY_TRY(flush(s, i, true, err));
        gy_hash_hex(s->outputs[i].hash, s->r->outs[i].sha256);
    }
    if (s->r->n_classes > GY_SPLIT_SHOWN_CLASSES || s->many_classes) {
        s->r->n_classes = 0;
    }
    for (size_t i = 0; i < s->r->n_outs; i++) {
        GY_TRY(gy_file_writer_commit(s->outputs[i].writer, NULL, err));
    }
    char path[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, 16 * GY_MIB);
    struct gy_jw w;
    gy_jw_init(&w, &json);
    w.pretty = true;
    gy_split_write(&w, s->o, s->r);
    gy_buf_add_char(&json, '\n');
    GY_TRY(gy_buf_check(&json, "the report", err));
    GY_TRY(gy_path_join(path, sizeof path, s->o->out_dir, "split.json", err));
    return gy_file_write(path, gy_buf_str(&json), 0666, err);
}

static gy_status run(struct splitting *s, struct gy_err *err)
{
    enum gy_ingest_format format;
    GY_TRY(gy_source_format(s->source, &format, err));
    if (format != GY_INGEST_CSV) {
        (void)gy_err_set(err, GY_E_INVALID, "'%s' is not CSV", s->source->name);
        return gy_err_hint(err, "gyre data ingest makes CSV of JSON");
    }
    s->fields = gy_calloc(GY_MAX_COLUMNS, sizeof *s->fields);
    s->numbers = gy_calloc(GY_SPLIT_MAX_CLASSES, sizeof *s->numbers);
    s->r->classes = gy_arena_calloc(&s->r->arena, GY_SPLIT_MAX_CLASSES, sizeof *s->r->classes);
    if (!s->fields || !s->numbers || !s->r->classes) {
        return no_memory(err);
    }
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &s->sha256, err));
    GY_TRY(pass(s, false, err));
    if (!s->streaming) {
        GY_TRY(assign(s, err));
        GY_TRY(refuse_shared(s, err));
        GY_TRY(pass(s, true, err));
        if ((size_t)s->r->rows != s->n) {
            return gy_err_set(err, GY_E_CONFLICT, "'%s' changed while it was read",
                              s->source->name);
        }
    }
    return commit(s, err);
}

gy_status gy_split_run(struct gy_source *source, const struct gy_split_options *o,
                       struct gy_split_result *ret, struct gy_err *err)
{
    struct splitting s = {.o = o, .source = source, .r = ret};
    *ret = (struct gy_split_result){0};
    gy_arena_init(&ret->arena, RESULT_MAX);
    gy_map_init(&s.classes, GY_SPLIT_MAX_CLASSES);
    gy_buf_init(&s.scratch, GY_MAX_CSV_RECORD);
    gy_buf_init(&s.header, GY_MAX_CSV_RECORD + 1);
    gy_status status = run(&s, err);
    gy_source_close(source);
    for (size_t i = 0; s.outputs && i < ret->n_outs; i++) {
        gy_file_writer_free(s.outputs[i].writer);
        gy_hash_free(s.outputs[i].hash);
        gy_buf_done(&s.outputs[i].pending);
    }
    gy_free(s.outputs);
    gy_free(s.order);
    gy_free(s.guards);
    gy_free(s.class_of);
    gy_free(s.times);
    gy_free(s.part);
    gy_free(s.fields);
    gy_free(s.numbers);
    gy_csv_free(s.csv);
    gy_hash_free(s.sha256);
    gy_map_done(&s.classes);
    gy_buf_done(&s.scratch);
    gy_buf_done(&s.header);
    if (status != GY_OK) {
        gy_split_result_done(ret);
    }
    return status;
}

void gy_split_result_done(struct gy_split_result *r)
{
    if (r) {
        gy_arena_done(&r->arena);
        *r = (struct gy_split_result){0};
    }
}

/* ---- the report ---- */

static void write_out(struct gy_jw *w, const struct gy_split_result *r,
                      const struct gy_split_out *out)
{
    gy_jw_obj(w);
    gy_jw_kv_str(w, "name", out->name);
    gy_jw_key(w, "file"); /* in the folder of the report */
    gy_jw_strf(w, "%" GY_STR_F ".csv", GY_STR_A(out->name));
    gy_jw_kv_i64(w, "rows", out->rows);
    gy_jw_kv_f64(w, "share", (double)out->rows / (double)(r->rows ? r->rows : 1));
    gy_jw_kv_i64(w, "bytes", out->bytes);
    gy_jw_kv_strc(w, "sha256", out->sha256);
    if (r->n_classes && r->label.p) {
        gy_jw_key(w, "classes");
        gy_jw_obj(w);
        for (size_t c = 0; c < r->n_classes; c++) {
            gy_jw_keys(w, r->classes[c]);
            gy_jw_i64(w, out->classes[c]);
        }
        gy_jw_obj_end(w);
    }
    if (!isnan(out->from)) {
        gy_jw_kv_f64(w, "from", out->from);
        gy_jw_kv_f64(w, "to", out->to);
    }
    gy_jw_obj_end(w);
}

void gy_split_write(struct gy_jw *w, const struct gy_split_options *o,
                    const struct gy_split_result *r)
{
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "format", GY_SPLIT_FORMAT);
    gy_jw_kv_strc(w, "by", BY_NAMES[o->by]);
    gy_jw_kv_i64(w, "seed", (int64_t)o->seed);
    gy_jw_kv_str(w, "key", r->key);
    gy_jw_kv_str(w, "label", r->label);
    gy_jw_kv_str(w, "time", r->time);
    gy_jw_kv_bool(w, "stratified", o->by == GY_SPLIT_STRATIFIED || o->stratify);
    gy_jw_kv_bool(w, "grouped", o->by == GY_SPLIT_GROUP || o->grouped);
    gy_jw_kv_i64(w, "rows", r->rows);
    gy_jw_kv_i64(w, "keyless", r->keyless);
    gy_jw_kv_str(w, "guard", r->guard);
    gy_jw_kv_i64(w, "shared", (int64_t)r->n_shared);
    gy_jw_key(w, "parts");
    gy_jw_arr(w);
    for (size_t i = 0; i < r->n_outs; i++) {
        write_out(w, r, &r->outs[i]);
    }
    gy_jw_arr_end(w);
    gy_jw_obj_end(w);
}

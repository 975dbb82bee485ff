/* SPDX-License-Identifier: Apache-2.0 */
#include "data/replaylog.h"

#include <stdio.h>

#include "base/time.h"
#include "data/deadletter.h"

void gy_replay_marks_init(struct gy_replay_marks *m)
{
    *m = (struct gy_replay_marks){.n = 0};
    gy_map_init(&m->by_id, GY_REPLAY_MAX_KNOWN);
    gy_arena_init(&m->arena, 4 * GY_GIB);
}

void gy_replay_marks_done(struct gy_replay_marks *m)
{
    gy_map_done(&m->by_id);
    gy_arena_done(&m->arena);
}

gy_status gy_replay_marks_path(const char *dlq, char ret[GY_MAX_PATH], struct gy_err *err)
{
    int n = snprintf(ret, GY_MAX_PATH, "%s.replayed", dlq);
    return n > 0 && n < GY_MAX_PATH ? GY_OK : gy_err_set(err, GY_E_TOOBIG, "the path is too long");
}

/* ---- reading ---- */

struct marking {
    struct gy_replay_marks *m;
    gy_status status;
    struct gy_err *err;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for what was replayed");
}

static struct gy_str keep(struct gy_replay_marks *m, struct gy_str text)
{
    return gy_arena_str(&m->arena, text.p ? text : GY_STR(""));
}

static gy_status put_mark(struct gy_replay_marks *m, struct gy_str id,
                          const struct gy_replay_mark *mark, struct gy_err *err)
{
    struct gy_replay_mark *there = gy_map_get(&m->by_id, id);
    if (there) {
        /* What was replayed stays so, whatever is said of it later. */
        const struct gy_replay_done *done = mark->done ? mark->done : there->done;
        *there = *mark;
        there->done = done;
        return GY_OK;
    }
    there = gy_arena_alloc(&m->arena, sizeof *there);
    if (!there) {
        return no_memory(err);
    }
    *there = *mark;
    return gy_map_put(&m->by_id, id, there, err);
}

static gy_status take_done(struct gy_replay_marks *m, yyjson_val *line, struct gy_err *err)
{
    struct gy_replay_done *done = gy_arena_alloc(&m->arena, sizeof *done);
    if (m->n == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 16;
        struct gy_replay_done **more = gy_arena_calloc(&m->arena, cap, sizeof *more);
        if (!more) {
            return no_memory(err);
        }
        if (m->n > 0) {
            memcpy(more, m->replays, m->n * sizeof *more);
        }
        m->replays = more;
        m->cap = cap;
    }
    if (!done) {
        return no_memory(err);
    }
    *done = (struct gy_replay_done){.replay = keep(m, gy_json_str(line, "replay")),
                                    .before = keep(m, gy_json_str(line, "before")),
                                    .after = keep(m, gy_json_str(line, "after")),
                                    .time = keep(m, gy_json_str(line, "time"))};
    if (!done->replay.p || !done->before.p || !done->after.p || !done->time.p) {
        return no_memory(err);
    }
    m->replays[m->n++] = done;
    yyjson_val *ids = gy_json_get(line, "ids"), *id;
    size_t i, max;
    yyjson_arr_foreach(ids, i, max, id)
    {
        const struct gy_replay_mark mark = {.done = done};
        if (yyjson_is_str(id)) {
            GY_TRY(put_mark(m, gy_json_val_str(id), &mark, err));
        }
    }
    return GY_OK;
}

static gy_status take_refused(struct gy_replay_marks *m, yyjson_val *line, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf codes;
    struct gy_jw w;
    struct gy_str id = gy_json_str(line, "id");
    gy_buf_init(&codes, 4 * GY_KIB);
    yyjson_val *list = gy_json_get(line, "codes");
    if (!id.p || !yyjson_is_arr(list)) {
        return GY_OK;
    }
    gy_jw_init(&w, &codes);
    gy_jw_val(&w, list);
    const struct gy_replay_mark mark = {.codes = keep(m, gy_buf_str(&codes)),
                                        .column = keep(m, gy_json_str(line, "column"))};
    return mark.codes.p && mark.column.p ? put_mark(m, id, &mark, err) : no_memory(err);
}

static bool take_line(void *ctx, int64_t number, struct gy_str text, yyjson_val *line)
{
    struct marking *x = ctx;
    struct gy_str state = gy_json_str(line, "state");
    (void)number;
    (void)text;
    if (gy_str_eqc(state, "replayed")) {
        x->status = take_done(x->m, line, x->err);
    } else if (gy_str_eqc(state, "refused")) {
        x->status = take_refused(x->m, line, x->err);
    }
    return x->status == GY_OK;
}

gy_status gy_replay_marks_read(const char *dlq, struct gy_replay_marks *ret, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    struct marking x = {ret, GY_OK, err};
    struct gy_err why = GY_ERR_INIT;
    GY_TRY(gy_replay_marks_path(dlq, path, err));
    gy_status status = gy_dlq_each(path, take_line, &x, &why);
    if (status == GY_E_NOTFOUND) {
        return GY_OK;
    }
    return status == GY_OK ? x.status : gy_err_set(err, status, "%s", why.msg);
}

bool gy_replay_marks_has(const struct gy_replay_marks *m, struct gy_str replay)
{
    for (size_t i = 0; i < m->n; i++) {
        if (gy_str_eq(m->replays[i]->replay, replay)) {
            return true;
        }
    }
    return false;
}

const struct gy_replay_mark *gy_replay_marks_find(const struct gy_replay_marks *m, const char *id)
{
    return gy_map_get(&m->by_id, gy_str_c(id));
}

/* Was the table made from the one after `done` by nothing but replays? */
static bool descends(const struct gy_replay_marks *m, const struct gy_replay_done *done,
                     const char *table)
{
    struct gy_str at = done->after;
    for (size_t steps = 0; steps <= m->n; steps++) {
        if (gy_str_eqc(at, table)) {
            return true;
        }
        const struct gy_replay_done *next = NULL;
        for (size_t i = 0; i < m->n; i++) {
            next = gy_str_eq(m->replays[i]->before, at) ? m->replays[i] : next;
        }
        if (!next) {
            return false;
        }
        at = next->after;
    }
    return false;
}

bool gy_replay_marks_open(const struct gy_replay_marks *m, const char *id, struct gy_str time,
                          const char *table)
{
    const struct gy_replay_mark *mark = gy_replay_marks_find(m, id);
    if (!mark || !mark->done) {
        return true;
    }
    /* Times of the log are all as long, so that they compare as texts. */
    return gy_str_cmp(time, mark->done->time) > 0 && !descends(m, mark->done, table);
}

/* ---- the journal ---- */

void gy_replay_journal_write(const struct gy_replay_journal *j, struct gy_buf *out)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "format", "gyre.replay/1");
    gy_jw_kv_strc(&w, "replay", j->replay);
    gy_jw_kv_str(&w, "dlq", j->dlq);
    gy_jw_kv_str(&w, "dataset", j->dataset);
    gy_jw_kv_str(&w, "source", j->source);
    gy_jw_kv_strc(&w, "before", j->before);
    gy_jw_kv_strc(&w, "after", j->after);
    gy_jw_kv_strc(&w, "md5", j->md5);
    gy_jw_kv_i64(&w, "size", j->size_bytes);
    gy_jw_kv_i64(&w, "rows", j->rows);
    gy_jw_kv_i64(&w, "read", j->read);
    gy_jw_kv_i64(&w, "dead", j->dead);
    gy_jw_kv_i64(&w, "base_version", j->base_version);
    gy_jw_key(&w, "schema");
    gy_jw_raw(&w, j->schema_json);
    gy_jw_key(&w, "ids");
    gy_jw_raw(&w, j->ids);
    gy_jw_kv_str(&w, "more", j->more);
    gy_jw_obj_end(&w);
}

static gy_status read_digest(yyjson_val *root, const char *key, char *out, size_t n,
                             struct gy_err *err)
{
    struct gy_str text = gy_json_str(root, key);
    if (!gy_is_hex(text, n)) {
        return gy_err_set(err, GY_E_CORRUPT, "the journal of a replay has no %s", key);
    }
    memcpy(out, text.p, n);
    out[n] = '\0';
    return GY_OK;
}

gy_status gy_replay_journal_read(yyjson_val *root, struct gy_buf *text,
                                 struct gy_replay_journal *ret, struct gy_err *err)
{
    struct gy_jw w;
    struct gy_str replay = gy_json_str(root, "replay");
    *ret = (struct gy_replay_journal){.dlq = gy_json_str(root, "dlq"),
                                      .dataset = gy_json_str(root, "dataset"),
                                      .source = gy_json_str(root, "source"),
                                      .size_bytes = gy_json_i64(root, "size", -1),
                                      .rows = gy_json_i64(root, "rows", -1),
                                      .read = gy_json_i64(root, "read", -1),
                                      .dead = gy_json_i64(root, "dead", -1),
                                      .base_version = gy_json_i64(root, "base_version", 0),
                                      .more = gy_json_str(root, "more")};
    GY_TRY(read_digest(root, "before", ret->before, GY_SHA256_HEX - 1, err));
    GY_TRY(read_digest(root, "after", ret->after, GY_SHA256_HEX - 1, err));
    GY_TRY(read_digest(root, "md5", ret->md5, GY_MD5_HEX - 1, err));
    yyjson_val *ids = gy_json_get(root, "ids"), *schema = gy_json_get(root, "schema");
    if (replay.n == 0 || replay.n >= sizeof ret->replay || ret->dlq.n == 0 || ret->dataset.n == 0 ||
        !yyjson_is_arr(ids) || !yyjson_is_obj(schema) || ret->size_bytes < 0 || ret->rows < 0 ||
        ret->read < 0 || ret->dead < 0) {
        return gy_err_set(err, GY_E_CORRUPT, "the journal of a replay is damaged");
    }
    memcpy(ret->replay, replay.p, replay.n);
    gy_buf_reset(text);
    gy_jw_init(&w, text);
    gy_jw_val(&w, ids);
    size_t n = text->n;
    gy_jw_init(&w, text);
    gy_jw_val(&w, schema);
    GY_TRY(gy_buf_check(text, "the journal of a replay", err));
    ret->ids = gy_str_n(text->p, n);
    ret->schema_json = gy_str_sub(gy_buf_str(text), n, SIZE_MAX);
    return GY_OK;
}

/* ---- lines ---- */

static void add_time(struct gy_jw *w)
{
    char time[32];
    gy_jw_kv_str(w, "time", gy_str_n(time, gy_time_iso(gy_now_us(), time)));
}

void gy_replay_add_done(struct gy_buf *out, const struct gy_replay_journal *j, const char *table,
                        int64_t version)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "state", "replayed");
    gy_jw_kv_strc(&w, "replay", j->replay);
    gy_jw_kv_strc(&w, "table", table);
    gy_jw_kv_strc(&w, "before", j->before);
    gy_jw_kv_strc(&w, "after", j->after);
    gy_jw_kv_str(&w, "dataset", j->dataset);
    gy_jw_kv_i64(&w, "version", version);
    add_time(&w);
    gy_jw_key(&w, "ids");
    gy_jw_raw(&w, j->ids);
    gy_jw_obj_end(&w);
    gy_buf_add_char(out, '\n');
}

static void add_codes(struct gy_jw *w, unsigned codes)
{
    gy_jw_arr(w);
    for (int code = 0; code < GY_DEAD_N; code++) {
        if (codes & (1U << code)) {
            gy_jw_strc(w, gy_dead_name((enum gy_dead_code)code));
        }
    }
    gy_jw_arr_end(w);
}

void gy_replay_add_refused(struct gy_buf *out, const char *id, const struct gy_reasons *r)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "state", "refused");
    gy_jw_kv_strc(&w, "id", id);
    gy_jw_key(&w, "codes");
    add_codes(&w, r->codes);
    gy_jw_kv_str(&w, "column", r->column ? r->column->name : GY_STR_NULL);
    add_time(&w);
    gy_jw_obj_end(&w);
    gy_buf_add_char(out, '\n');
}

bool gy_replay_is_news(const struct gy_replay_marks *m, const char *id, const struct gy_reasons *r)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf codes;
    struct gy_jw w;
    const struct gy_replay_mark *mark = gy_replay_marks_find(m, id);
    gy_buf_init(&codes, 4 * GY_KIB);
    gy_jw_init(&w, &codes);
    add_codes(&w, r->codes);
    return !mark || !gy_str_eq(mark->codes, gy_buf_str(&codes)) ||
           !gy_str_eq(mark->column, r->column ? r->column->name : GY_STR(""));
}

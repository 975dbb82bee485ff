/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of an import on their way (cli/import_job.h). */
#include "cli/import_job.h"

/* Which entity a line was, for the report: "run 0a1b..", "version iris 3". */
static void name_line(struct gy_ijob *j, int64_t number, const char *error)
{
    static const char *const names[] = {"what", "id",  "run",   "model",
                                        "name", "key", "alias", "path"};
    struct gy_str rest = gy_buf_str(&j->batch), line = GY_STR_NULL;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf where;
    for (int64_t i = 0; i <= number && gy_str_next(&rest, '\n', &line); i++) {
    }
    gy_buf_init(&where, 4 * GY_KIB);
    if (gy_json_parse(line, &doc, NULL) == GY_OK) {
        yyjson_val *o = yyjson_doc_get_root(doc);
        gy_buf_add(&where, gy_json_str(o, "kind"));
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            struct gy_str s = gy_str_sub(gy_json_str(o, names[i]), 0, 200);
            gy_buf_addc(&where, s.n ? " " : "");
            gy_buf_add(&where, s);
        }
        if (yyjson_is_int(gy_json_get(o, "id"))) {
            gy_buf_addf(&where, " %lld", (long long)gy_json_i64(o, "id", 0));
        }
        if (gy_json_get(o, "version")) {
            gy_buf_addf(&where, " %lld", (long long)gy_json_i64(o, "version", 0));
        }
    }
    gy_move_reject(&j->report, where.p, error);
}

static void note_place(struct gy_ijob *j, const struct gy_ijob_experiment *x, struct gy_str place)
{
    if (x->id == x->e.id) {
        return;
    }
    gy_move_note(&j->report,
                 gy_str_eqc(place, "merged")
                     ? "experiment '%.200s' (%lld) goes into the one of that name here, %lld"
                     : "experiment '%.200s': its id %lld is taken here by another, so it is %lld",
                 x->e.name.p, (long long)x->e.id, (long long)x->id);
}

static void take_places(struct gy_ijob *j, yyjson_val *list)
{
    size_t i, n;
    yyjson_val *m;
    yyjson_arr_foreach(list, i, n, m)
    {
        for (size_t k = 0; k < j->n_experiments; k++) {
            struct gy_ijob_experiment *x = &j->experiments[k];
            if (x->e.id == gy_json_i64(m, "source_id", -1)) {
                x->id = gy_json_i64(m, "id", -1);
                note_place(j, x, gy_json_str(m, "place"));
            }
        }
    }
}

gy_status gy_ijob_flush(struct gy_ijob *j, struct gy_err *err)
{
    GY_TRY(gy_buf_check(&j->batch, "a batch", err));
    if (j->batch.n == 0 || !j->caller) {
        gy_buf_reset(&j->batch);
        return GY_OK;
    }
    struct gy_mem_reader body;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_call_body(j->caller, "POST", j->batch_path, "application/x-ndjson",
                        gy_mem_reader_init(&body, gy_buf_str(&j->batch)), &j->answer, err));
    GY_TRY(gy_json_parse(gy_buf_str(&j->answer.body), &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc), *r;
    size_t i, n;
    take_places(j, gy_json_get(root, "experiments"));
    yyjson_arr_foreach(gy_json_get(root, "rejected"), i, n, r)
    {
        const char *error = yyjson_get_str(gy_json_get(r, "error"));
        name_line(j, gy_json_i64(r, "line", 0), error ? error : "");
    }
    gy_buf_reset(&j->batch);
    return GY_OK;
}

gy_status gy_ijob_line(struct gy_ijob *j, struct gy_err *err)
{
    GY_TRY(gy_buf_check(&j->line, "an entity", err));
    if (j->batch.n + j->line.n + 1 > GY_IMPORT_MAX_LINE) {
        GY_TRY(gy_ijob_flush(j, err));
    }
    gy_buf_add(&j->batch, gy_buf_str(&j->line));
    gy_buf_add_char(&j->batch, '\n');
    gy_buf_reset(&j->line);
    return j->batch.n >= GY_IMPORT_BATCH_BYTES ? gy_ijob_flush(j, err) : GY_OK;
}

gy_status gy_ijob_item(struct gy_ijob *j, const char *what, struct gy_str id,
                       const char *fingerprint, const struct gy_ijob_counts *c, struct gy_err *err)
{
    struct gy_jw w;
    gy_jw_init(&w, &j->line);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "kind", "item");
    gy_jw_kv_strc(&w, "what", what);
    gy_jw_kv_str(&w, "id", id);
    gy_jw_kv_strc(&w, "fingerprint", fingerprint);
    gy_jw_kv_i64(&w, "params", c->params);
    gy_jw_kv_i64(&w, "tags", c->tags);
    gy_jw_kv_i64(&w, "points", c->points);
    gy_jw_kv_i64(&w, "links", c->links);
    gy_jw_obj_end(&w);
    return gy_ijob_line(j, err);
}

void gy_ijob_add(struct gy_ijob_counts *to, const struct gy_ijob_counts *c)
{
    to->items++;
    to->params += c->params;
    to->tags += c->tags;
    to->points += c->points;
    to->links += c->links;
}

gy_status gy_ijob_ask_known(struct gy_ijob *j, const char *kind, const struct gy_str *ids, size_t n,
                            struct gy_map *ret, struct gy_err *err)
{
    if (!j->caller || n == 0 || j->o->full) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_jw w;
    gy_buf_init(&body, GY_MIB);
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "source", j->source.label);
    gy_jw_kv_strc(&w, "kind", kind);
    gy_jw_key(&w, "ids");
    gy_jw_arr(&w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_str(&w, ids[i]);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&body, "the request", err));
    GY_TRY(gy_call_json(j->caller, "POST", GY_IMPORT_BASE "/import/known", gy_buf_str(&body),
                        &j->answer, err));
    GY_TRY(gy_json_parse(gy_buf_str(&j->answer.body), &doc, err));
    size_t i, m;
    yyjson_val *x;
    yyjson_arr_foreach(gy_json_get(yyjson_doc_get_root(doc), "items"), i, m, x)
    {
        struct gy_ijob_known *k = gy_arena_calloc(&j->page, 1, sizeof *k);
        if (!k) {
            return gy_track_nomem(err);
        }
        (void)snprintf(k->fingerprint, sizeof k->fingerprint, "%" GY_STR_F,
                       GY_STR_A(gy_json_str(x, "fingerprint")));
        k->counts =
            (struct gy_ijob_counts){0, gy_json_i64(x, "params", 0), gy_json_i64(x, "tags", 0),
                                    gy_json_i64(x, "points", 0), gy_json_i64(x, "links", 0)};
        GY_TRY(gy_map_put(ret, gy_json_str(x, "id"), k, err));
    }
    return GY_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Logged models and the registry of an import (cli/import_job.h). */
#include "cli/import_job.h"

/* ---- logged models ---- */

static gy_status one_logged(struct gy_ijob *j, struct gy_ijob_experiment *x,
                            const struct gy_logged_model *m, const struct gy_map *known,
                            struct gy_err *err)
{
    char fingerprint[GY_SHA256_HEX];
    struct gy_logged_model sent = *m;
    bool moves = false;
    struct gy_jw w;
    struct gy_move_place place = {'m', m->id, m->artifact_uri, x->e.id};
    const char *tail = gy_arena_printf(&j->page, "models/%" GY_STR_F "/artifacts", GY_STR_A(m->id));
    if (!tail) {
        return gy_track_nomem(err);
    }
    GY_TRY(gy_ijob_place(j, x, &place, tail, &sent.artifact_uri, &moves, err));
    sent.experiment_id = x->id;
    gy_buf_reset(&j->line);
    gy_jw_init(&w, &j->line);
    gy_transfer_write_logged(&w, &sent);
    GY_TRY(gy_buf_check(&j->line, "a logged model", err));
    GY_TRY(gy_sha256_hex(gy_buf_str(&j->line), fingerprint, err));
    struct gy_ijob_counts c = {.params = (int64_t)m->n_params,
                               .tags = (int64_t)m->n_tags,
                               .points = (int64_t)m->n_metrics};
    const struct gy_ijob_known *k = gy_map_get(known, m->id);
    gy_ijob_add(&x->logged, &c);
    if (k && strcmp(k->fingerprint, fingerprint) == 0) {
        gy_buf_reset(&j->line);
        return gy_ijob_artifacts(j, &place, sent.artifact_uri, false, err);
    }
    GY_TRY(gy_ijob_line(j, err));
    GY_TRY(gy_ijob_artifacts(j, &place, sent.artifact_uri, moves, err));
    return gy_ijob_item(j, "logged_model", m->id, fingerprint, &c, err);
}

gy_status gy_ijob_logged(struct gy_ijob *j, struct gy_ijob_experiment *x, struct gy_err *err)
{
    bool end = false;
    for (size_t page = 0; !end; page++) {
        struct gy_logged_model *models = NULL;
        size_t n = 0;
        struct gy_map known;
        gy_arena_reset(&j->page);
        gy_map_init(&known, GY_MOVE_PAGE * 4);
        gy_status status =
            j->source.ops->logged(j->source.self, &x->e, page, &j->page, &models, &n, &end, err);
        struct gy_str *ids = gy_arena_calloc(&j->page, n + 1, sizeof *ids);
        for (size_t i = 0; ids && i < n; i++) {
            ids[i] = models[i].id;
        }
        if (status == GY_OK && !ids) {
            status = gy_track_nomem(err);
        }
        if (status == GY_OK) {
            status = gy_ijob_ask_known(j, "logged_model", ids, n, &known, err);
        }
        for (size_t i = 0; status == GY_OK && i < n; i++) {
            status = one_logged(j, x, &models[i], &known, err);
        }
        gy_map_done(&known);
        GY_TRY(status);
    }
    return GY_OK;
}

/* ---- the registry ---- */

/* A name that can be a folder, whatever the model is called. */
static gy_status folder_of(struct gy_ijob *j, const struct gy_model_version *v, struct gy_str *ret,
                           struct gy_err *err)
{
    char name[128];
    size_t n = v->name.n < sizeof name - 1 ? v->name.n : sizeof name - 1;
    for (size_t i = 0; i < n; i++) {
        char c = v->name.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_';
        name[i] = '_';
        if (plain) {
            name[i] = c;
        }
    }
    name[n] = '\0';
    const char *uri =
        gy_arena_printf(&j->page, "mlflow-artifacts:/imported-models/%s-%08x/%lld", name,
                        (unsigned)gy_crc32c(0, v->name.p, v->name.n), (long long)v->version);
    *ret = gy_str_c(uri);
    return uri ? GY_OK : gy_track_nomem(err);
}

/* Below an experiment that came, or else a folder of its own. */
static gy_status place_version(struct gy_ijob *j, const struct gy_model_version *v,
                               struct gy_str *ret, struct gy_err *err)
{
    bool moves = false;
    struct gy_str old = v->storage_location.n ? v->storage_location : v->source;
    GY_TRY(gy_ijob_map(j, old, ret, &moves, err));
    struct gy_move_place place = {'v', v->name, old, -1};
    if (!j->copy || moves || !j->source.ops->has_files(j->source.self, &place)) {
        return GY_OK;
    }
    GY_TRY(folder_of(j, v, ret, err));
    return gy_ijob_artifacts(j, &place, *ret, true, err);
}

static gy_status one_version(struct gy_ijob *j, const struct gy_transfer_version *v,
                             struct gy_err *err)
{
    char fingerprint[GY_SHA256_HEX];
    struct gy_transfer_version sent = *v;
    struct gy_jw w;
    struct gy_ijob_counts c = {.tags = (int64_t)v->n_tags};
    if (!v->deleted) {
        bool moves = false;
        struct gy_str old = v->v.storage_location.n ? v->v.storage_location : v->v.source;
        GY_TRY(place_version(j, &v->v, &sent.v.storage_location, err));
        GY_TRY(gy_ijob_map(j, v->v.source, &sent.v.source, &moves, err));
        if (!moves && gy_str_eq(v->v.source, old)) { /* it named the place itself */
            sent.v.source = sent.v.storage_location;
        }
        GY_TRY(gy_ijob_flush(j, err)); /* its files are named before it is, for the digest */
    }
    gy_jw_init(&w, &j->line);
    gy_transfer_write_version(&w, &sent);
    GY_TRY(gy_sha256_hex(gy_buf_str(&j->line), fingerprint, err));
    GY_TRY(gy_ijob_line(j, err));
    gy_ijob_add(&j->versions, &c);
    const char *id = gy_arena_printf(&j->page, "%" GY_STR_F "/%lld", GY_STR_A(v->v.name),
                                     (long long)v->v.version);
    return id ? gy_ijob_item(j, "version", gy_str_c(id), fingerprint, &c, err)
              : gy_track_nomem(err);
}

static gy_status one_model(struct gy_ijob *j, const struct gy_registered_model *m,
                           struct gy_err *err)
{
    char fingerprint[GY_SHA256_HEX];
    struct gy_transfer_version *versions = NULL;
    struct gy_jw w;
    size_t n = 0;
    struct gy_ijob_counts c = {.tags = (int64_t)m->n_tags, .links = (int64_t)m->n_aliases};
    gy_arena_reset(&j->page);
    gy_jw_init(&w, &j->line);
    gy_transfer_write_model(&w, m);
    GY_TRY(gy_sha256_hex(gy_buf_str(&j->line), fingerprint, err));
    GY_TRY(gy_ijob_line(j, err));
    GY_TRY(j->source.ops->versions(j->source.self, m, &j->page, &versions, &n, err));
    for (size_t i = 0; i < n; i++) {
        GY_TRY(one_version(j, &versions[i], err));
    }
    for (size_t i = 0; i < m->n_aliases; i++) {
        gy_jw_init(&w, &j->line);
        gy_transfer_write_alias(&w, m->name, m->aliases[i].alias, m->aliases[i].version);
        GY_TRY(gy_ijob_line(j, err));
    }
    gy_ijob_add(&j->registered, &c);
    return gy_ijob_item(j, "model", m->name, fingerprint, &c, err);
}

gy_status gy_ijob_registry(struct gy_ijob *j, struct gy_err *err)
{
    struct gy_registered_model *models = NULL;
    size_t n = 0;
    GY_TRY(j->source.ops->models(j->source.self, &j->keep, &models, &n, err));
    for (size_t i = 0; i < n; i++) {
        GY_TRY(one_model(j, &models[i], err));
    }
    return gy_ijob_flush(j, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Artifacts of an import: where they go, their bytes, and what models are among them
 * (cli/import_job.h). */
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/import_job.h"

#define MAX_MLMODEL (4 * GY_MIB)
#define OURS "mlflow-artifacts:/"

/* ---- where they go ---- */

/* What follows `from` in uri, starting with a slash or empty; the absent string: it is not below.
 */
static struct gy_str below(struct gy_str uri, struct gy_str from)
{
    struct gy_str u = gy_move_plain(uri), f = gy_move_plain(from);
    if (f.n == 0 || !gy_str_starts(u, f) || (u.n > f.n && u.p[f.n] != '/' && f.p[f.n - 1] != '/')) {
        return GY_STR_NULL;
    }
    return gy_str_sub(u, f.n, SIZE_MAX);
}

static gy_status add_prefix(struct gy_ijob *j, struct gy_str from, struct gy_str to,
                            struct gy_err *err)
{
    void *items = j->prefixes;
    GY_TRY(
        gy_track_grow(&j->keep, &items, j->n_prefixes, &j->cap_prefixes, sizeof *j->prefixes, err));
    j->prefixes = items;
    struct gy_ijob_prefix *p = &j->prefixes[j->n_prefixes++];
    *p = (struct gy_ijob_prefix){gy_arena_str(&j->keep, from), gy_arena_str(&j->keep, to)};
    return p->from.p && p->to.p ? GY_OK : gy_track_nomem(err);
}

gy_status gy_ijob_place(struct gy_ijob *j, const struct gy_ijob_experiment *x,
                        const struct gy_move_place *p, const char *tail, struct gy_str *ret_uri,
                        bool *ret_moves, struct gy_err *err)
{
    *ret_uri = p->uri;
    *ret_moves = false;
    if (!j->copy) {
        return GY_OK;
    }
    struct gy_str rest = x->moves ? below(p->uri, x->e.artifact_location) : GY_STR_NULL;
    if (!rest.p && !j->source.ops->has_files(j->source.self, p)) {
        j->n_remote++;
        gy_move_note(&j->report, "artifacts at %.*s... stay where they are: clients go there",
                     (int)gy_str_sub(p->uri, 0, gy_str_find(p->uri, ':') + 3).n, p->uri.p);
        return GY_OK;
    }
    const char *uri = rest.p && rest.n > 0
                          ? gy_arena_printf(&j->page, OURS "%lld%s%" GY_STR_F, (long long)x->id,
                                            rest.p[0] == '/' ? "" : "/", GY_STR_A(rest))
                          : gy_arena_printf(&j->page, OURS "%lld/%s", (long long)x->id, tail);
    if (!uri) {
        return gy_track_nomem(err);
    }
    *ret_uri = gy_str_c(uri);
    *ret_moves = true;
    return (rest.p && rest.n > 0) || p->uri.n == 0 ? GY_OK : add_prefix(j, p->uri, *ret_uri, err);
}

gy_status gy_ijob_map(struct gy_ijob *j, struct gy_str uri, struct gy_str *ret, bool *ret_moves,
                      struct gy_err *err)
{
    struct gy_str rest = GY_STR_NULL, to = GY_STR_NULL;
    size_t best = 0;
    *ret = uri;
    *ret_moves = false;
    if (!j->copy || uri.n == 0) {
        return GY_OK;
    }
    for (size_t i = 0; i < j->n_experiments; i++) {
        const struct gy_ijob_experiment *x = &j->experiments[i];
        struct gy_str tail = x->moves ? below(uri, x->e.artifact_location) : GY_STR_NULL;
        if (tail.p && x->e.artifact_location.n > best) {
            const char *place = gy_arena_printf(&j->page, OURS "%lld", (long long)x->id);
            best = x->e.artifact_location.n;
            rest = tail;
            to = gy_str_c(place);
        }
    }
    for (size_t i = 0; i < j->n_prefixes; i++) {
        struct gy_str tail = below(uri, j->prefixes[i].from);
        if (tail.p && j->prefixes[i].from.n > best) {
            best = j->prefixes[i].from.n;
            rest = tail;
            to = j->prefixes[i].to;
        }
    }
    if (best == 0) {
        return GY_OK;
    }
    const char *mapped = gy_arena_printf(&j->page, "%" GY_STR_F "%s%" GY_STR_F, GY_STR_A(to),
                                         rest.n > 0 && rest.p[0] != '/' ? "/" : "", GY_STR_A(rest));
    *ret = gy_str_c(mapped);
    *ret_moves = true;
    return mapped ? GY_OK : gy_track_nomem(err);
}

/* ---- models among them ---- */

static gy_status note_model(struct gy_ijob *j, struct gy_str uri, struct gy_str path,
                            const char *file, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_ijob_model m = {.why = "its MLmodel can not be read", .serve = GY_MOVE_NOT};
    gy_buf_init(&text, MAX_MLMODEL);
    if (gy_file_read(file, &text, NULL) == GY_OK) {
        struct gy_err why = GY_ERR_INIT;
        gy_status status = gy_move_servable(gy_buf_str(&text), &j->keep, &m.serve, &m.why, &why);
        if (status == GY_E_NOMEM) {
            return gy_track_nomem(err);
        }
        if (status != GY_OK) {
            m.serve = GY_MOVE_NOT;
            m.why = "its MLmodel is no YAML";
        }
    }
    path.n -= path.n > sizeof "/MLmodel" - 1 ? sizeof "/MLmodel" - 1 : path.n;
    m.where = gy_arena_printf(&j->keep, "%" GY_STR_F "%s%" GY_STR_F, GY_STR_A(uri),
                              path.n ? "/" : "", GY_STR_A(path));
    void *items = j->models;
    GY_TRY(gy_track_grow(&j->keep, &items, j->n_models, &j->cap_models, sizeof m, err));
    j->models = items;
    j->models[j->n_models++] = m;
    return m.where ? GY_OK : gy_track_nomem(err);
}

static bool is_ml_model(struct gy_str path)
{
    return gy_str_eqc(path, "MLmodel") || gy_str_ends(path, GY_STR("/MLmodel"));
}

/* ---- their bytes ---- */

struct there { /* a file that is here already */
    char sha256[GY_SHA256_HEX];
    int64_t size;
};

struct copying {
    struct gy_ijob *j;
    const struct gy_move_place *p;
    struct gy_str uri, root; /* root: the folder here; absent: nothing is copied */
    struct gy_map here;
    bool asked;
};

static gy_status ask_here(struct copying *c, struct gy_err *err)
{
    struct gy_ijob *j = c->j;
    const char *path = NULL;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_cli_path(j->cli, GY_IMPORT_BASE "/import/files?path={}", c->root, &path, err));
    GY_TRY(gy_call_json(j->caller, "GET", path, GY_STR_NULL, &j->answer, err));
    GY_TRY(gy_json_parse(gy_buf_str(&j->answer.body), &doc, err));
    size_t i, n;
    yyjson_val *f;
    yyjson_arr_foreach(gy_json_get(yyjson_doc_get_root(doc), "files"), i, n, f)
    {
        struct there *t = gy_arena_calloc(&j->page, 1, sizeof *t);
        if (!t) {
            return gy_track_nomem(err);
        }
        (void)snprintf(t->sha256, sizeof t->sha256, "%" GY_STR_F,
                       GY_STR_A(gy_json_str(f, "sha256")));
        t->size = gy_json_i64(f, "size", -1);
        GY_TRY(gy_map_put(&c->here, gy_json_str(f, "path"), t, err));
    }
    c->asked = true;
    return GY_OK;
}

static gy_status put_object(struct gy_ijob *j, const char *file, int64_t size,
                            struct gy_str *sha256, struct gy_err *err)
{
    struct gy_fd_reader r;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return gy_err_set(err, GY_E_NOTFOUND, "it can not be opened");
    }
    gy_status status =
        gy_call_body(j->caller, "POST", GY_IMPORT_BASE "/objects", "application/octet-stream",
                     gy_fd_reader_init(&r, fd, size), &j->answer, err);
    (void)close(fd); /* only read from */
    GY_TRY(status);
    GY_TRY(gy_json_parse(gy_buf_str(&j->answer.body), &doc, err));
    *sha256 = gy_arena_str(&j->page, gy_json_str(yyjson_doc_get_root(doc), "sha256"));
    return sha256->n > 0 ? GY_OK : gy_track_nomem(err);
}

static gy_status copy_file(struct copying *c, struct gy_str path, const char *file, int64_t size,
                           struct gy_err *err)
{
    struct gy_ijob *j = c->j;
    char sha256[GY_SHA256_HEX];
    if (!c->asked) {
        GY_TRY(ask_here(c, err));
    }
    const struct there *t = gy_map_get(&c->here, path);
    if (t && t->size == size && gy_file_digest(file, sha256, NULL, NULL, NULL) == GY_OK &&
        strcmp(sha256, t->sha256) == 0) {
        j->n_same_files++;
        return GY_OK;
    }
    struct gy_artifact f = {.size_bytes = size};
    struct gy_jw w;
    GY_TRY(put_object(j, file, size, &f.sha256, err));
    f.path = gy_artifact_join(c->root, path, &j->page);
    if (!f.path.p) {
        return gy_track_nomem(err);
    }
    gy_jw_init(&w, &j->line);
    gy_transfer_write_artifact(&w, &f);
    return gy_ijob_line(j, err);
}

static gy_status each_file(void *ctx, struct gy_str path, int64_t size, struct gy_err *err)
{
    struct copying *c = ctx;
    struct gy_ijob *j = c->j;
    bool copies = c->root.p && j->caller, model = is_ml_model(path), temporary = false;
    char file[GY_MAX_PATH];
    struct gy_err why = GY_ERR_INIT;
    j->n_files += c->root.p != NULL;
    j->n_bytes += c->root.p ? size : 0;
    if (!copies && !model) {
        return GY_OK;
    }
    gy_status status = j->source.ops->fetch(j->source.self, c->p, path, file, &temporary, &why);
    if (status == GY_OK && copies) {
        status = copy_file(c, path, file, temporary ? gy_file_size(file) : size, &why);
    }
    if (status == GY_OK && model) {
        status = note_model(j, c->uri, path, file, &why);
    }
    if (temporary) {
        (void)unlink(file); /* a file of ours in the scratch folder, which goes whole at the end */
    }
    if (status == GY_E_NOTFOUND || status == GY_E_DENIED || status == GY_E_IO) {
        const char *where = gy_arena_printf(&j->page, "%" GY_STR_F "/%" GY_STR_F,
                                            GY_STR_A(c->p->uri), GY_STR_A(path));
        gy_move_reject(&j->report, where ? where : "an artifact", why.msg);
        return GY_OK;
    }
    if (status != GY_OK && err) {
        *err = why;
    }
    return status;
}

gy_status gy_ijob_artifacts(struct gy_ijob *j, const struct gy_move_place *p, struct gy_str uri,
                            bool copies, struct gy_err *err)
{
    struct copying c = {.j = j, .p = p, .uri = uri};
    if (!j->source.ops->has_files(j->source.self, p)) {
        return GY_OK;
    }
    if (copies) {
        c.root = gy_str_sub(uri, sizeof OURS - 1, SIZE_MAX);
    }
    gy_map_init(&c.here, 1000000);
    gy_status status = j->source.ops->files(j->source.self, p, each_file, &c, err);
    gy_map_done(&c.here);
    return status;
}

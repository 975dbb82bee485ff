/* SPDX-License-Identifier: Apache-2.0 */
/* MLflow's file store, a folder mlruns (cli/move.h):
 *   EXPERIMENT/meta.yaml tags/KEY datasets/ID/meta.yaml models/m-ID/{meta.yaml,params,tags,metrics}
 *   EXPERIMENT/RUN/{meta.yaml,params/KEY,tags/KEY,metrics/KEY,inputs/ID/meta.yaml,outputs/..}
 *   .trash/EXPERIMENT/...    models/NAME/{meta.yaml,tags,aliases/ALIAS,version-N/{meta.yaml,tags}}
 * A key with slashes is a path of folders. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/yaml.h"
#include "cli/move.h"

#define MAX_VALUE (1 * GY_MIB) /* bytes of a param or tag file */

enum { MAX_DEPTH = 64, READ_BYTES = 64 * 1024 };

struct files {
    char root[GY_MAX_PATH];
    const char *artifacts_root; /* MAY be NULL */
    struct gy_move_report *report;
    struct gy_arena arena; /* folders of experiments */
    struct gy_map dirs;    /* experiment id -> folder */
    struct gy_arena page;  /* names of the experiment that is being read */
    const char **names;    /* its runs or logged models, sorted */
    size_t n_names, cap;
    const char *listed; /* the folder that they are in, while it is read */
};

static gy_status join(char out[GY_MAX_PATH], const char *dir, const char *name, struct gy_err *err)
{
    return gy_path_join(out, GY_MAX_PATH, dir, name, err);
}

/* What could not be read is the report's; only the end of memory ends the import. */
static gy_status reject(struct files *f, const char *where, const struct gy_err *why,
                        struct gy_err *err)
{
    if (why->code == GY_E_NOMEM) {
        return gy_err_set(err, GY_E_NOMEM, "%s", why->msg);
    }
    gy_move_reject(f->report, where, why->msg);
    return GY_OK;
}

/* A store is what lies in its folder: a link could bring in any file of this machine, and a pipe
 * would be waited for. */
static bool is_plain(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}
#define NOT_PLAIN "a link or a special file is not read"

/* A folder of the store that is a link is named, not passed over. */
static gy_status tell_link(struct files *f, const char *dir, const char *name, struct gy_err *err)
{
    char path[GY_MAX_PATH], meta[GY_MAX_PATH];
    GY_TRY(join(path, dir, name, err));
    GY_TRY(join(meta, path, "meta.yaml", err));
    if (gy_path_is_dir(path) && gy_path_exists(meta)) {
        gy_move_reject(f->report, path, "a link to a folder is not followed");
    }
    return GY_OK;
}

static const char *dir_of(const struct files *f, int64_t experiment)
{
    char id[32];
    (void)snprintf(id, sizeof id, "%lld", (long long)experiment);
    return gy_map_get(&f->dirs, gy_str_c(id));
}

/* ---- keys and values: a file each ---- */

struct pairs {
    struct files *f;
    struct gy_arena *a;
    void *items; /* struct gy_tag */
    size_t n, cap, depth;
    char dir[GY_MAX_PATH]; /* of the files */
    char key[GY_MAX_PATH]; /* folders so far, with a slash; "" */
};

static gy_status read_value(struct pairs *p, const char *path, struct gy_str key,
                            struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    struct gy_err why = GY_ERR_INIT;
    gy_buf_init(&bytes, MAX_VALUE);
    if (!is_plain(path)) {
        gy_move_reject(p->f->report, path, NOT_PLAIN);
        return GY_OK;
    }
    gy_status status = gy_file_read(path, &bytes, &why);
    if (status == GY_OK && (!gy_str_is_utf8(gy_buf_str(&bytes)) || !gy_str_is_utf8(key))) {
        status = gy_err_set(&why, GY_E_INVALID, "the value or its key is no UTF-8");
    }
    if (status != GY_OK) {
        return reject(p->f, path, &why, err);
    }
    GY_TRY(gy_track_grow(p->a, &p->items, p->n, &p->cap, sizeof(struct gy_tag), err));
    struct gy_tag *t = &((struct gy_tag *)p->items)[p->n++];
    t->key = gy_arena_str(p->a, key);
    t->value = gy_arena_str(p->a, gy_buf_str(&bytes));
    return t->key.p && t->value.p ? GY_OK : gy_track_nomem(err);
}

static gy_status add_pair(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct pairs *p = ctx;
    char path[GY_MAX_PATH], dir[GY_MAX_PATH], key[GY_MAX_PATH];
    GY_TRY(join(path, p->dir, name, err));
    int n = snprintf(key, sizeof key, "%s%s", p->key, name);
    if (n < 0 || (size_t)n + 2 > sizeof key || p->depth >= MAX_DEPTH) {
        gy_move_reject(p->f->report, path, "the key is too long or too deep");
        return GY_OK;
    }
    if (!is_dir) {
        return read_value(p, path, gy_str_c(key), err);
    }
    char outer[GY_MAX_PATH];
    (void)snprintf(outer, sizeof outer, "%s", p->key);
    (void)snprintf(dir, sizeof dir, "%s", p->dir);
    (void)snprintf(p->key, sizeof p->key, "%s/", key);
    (void)snprintf(p->dir, sizeof p->dir, "%s", path);
    p->depth++;
    gy_status status = gy_dir_each(path, add_pair, p, err);
    p->depth--;
    (void)snprintf(p->dir, sizeof p->dir, "%s", dir);
    (void)snprintf(p->key, sizeof p->key, "%s", outer);
    return status;
}

static gy_status read_pairs(struct files *f, const char *dir, const char *sub, struct gy_arena *a,
                            struct gy_tag **ret, size_t *ret_n, struct gy_err *err)
{
    struct pairs p = {.f = f, .a = a};
    *ret = NULL;
    *ret_n = 0;
    GY_TRY(join(p.dir, dir, sub, err));
    if (!gy_path_is_dir(p.dir)) {
        return GY_OK;
    }
    char top[GY_MAX_PATH];
    (void)snprintf(top, sizeof top, "%s", p.dir);
    GY_TRY(gy_dir_each(top, add_pair, &p, err));
    *ret = p.items;
    *ret_n = p.n;
    return GY_OK;
}

/* ---- experiments ---- */

struct listing {
    struct files *f;
    struct gy_arena *a;
    const char *dir;
    bool trash;
    void *items;
    size_t n, cap;
};

static bool all_digits(const char *name)
{
    return name[0] && strspn(name, "0123456789") == strlen(name);
}

static gy_status add_experiment(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct listing *l = ctx;
    struct gy_err why = GY_ERR_INIT;
    struct gy_experiment e;
    char dir[GY_MAX_PATH], path[GY_MAX_PATH], id[32];
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    if (!is_dir) {
        return tell_link(l->f, l->dir, name, err);
    }
    if (strcmp(name, ".trash") == 0 || strcmp(name, "models") == 0) {
        return GY_OK;
    }
    GY_TRY(join(dir, l->dir, name, err));
    GY_TRY(join(path, dir, "meta.yaml", err));
    if (!gy_path_exists(path) && !all_digits(name)) {
        return GY_OK; /* no experiment: a cache, a folder of somebody's */
    }
    gy_status status = gy_yaml_read_file(path, &y, &why);
    if (status == GY_OK) {
        status = gy_move_meta_experiment(y, l->a, &e, &why);
    }
    if (status != GY_OK) {
        return reject(l->f, path, &why, err);
    }
    e.deleted = e.deleted || l->trash;
    (void)snprintf(id, sizeof id, "%lld", (long long)e.id);
    if (gy_map_has(&l->f->dirs, gy_str_c(id))) {
        gy_move_reject(l->f->report, path, "another experiment has the same id");
        return GY_OK;
    }
    char *kept = gy_arena_strdup(&l->f->arena, gy_str_c(dir));
    if (!kept) {
        return gy_track_nomem(err);
    }
    GY_TRY(gy_map_put(&l->f->dirs, gy_str_c(id), kept, err));
    GY_TRY(read_pairs(l->f, dir, "tags", l->a, &e.tags, &e.n_tags, err));
    GY_TRY(gy_track_grow(l->a, &l->items, l->n, &l->cap, sizeof e, err));
    ((struct gy_experiment *)l->items)[l->n++] = e;
    return GY_OK;
}

static gy_status files_experiments(void *self, struct gy_arena *a, struct gy_experiment **ret,
                                   size_t *ret_n, struct gy_err *err)
{
    struct files *f = self;
    char trash[GY_MAX_PATH];
    struct listing l = {.f = f, .a = a, .dir = f->root};
    GY_TRY(gy_dir_each(f->root, add_experiment, &l, err));
    GY_TRY(join(trash, f->root, ".trash", err));
    if (gy_path_is_dir(trash)) {
        l.dir = trash;
        l.trash = true;
        GY_TRY(gy_dir_each(trash, add_experiment, &l, err));
    }
    *ret = l.items;
    *ret_n = l.n;
    return GY_OK;
}

/* ---- the folders of an experiment ---- */

static gy_status add_name(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct files *f = ctx;
    void *items = f->names;
    if (!is_dir) {
        return tell_link(f, f->listed, name, err);
    }
    if (f->n_names >= GY_MOVE_MAX_RUNS) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d runs in one experiment",
                          GY_MOVE_MAX_RUNS);
    }
    GY_TRY(gy_track_grow(&f->page, &items, f->n_names, &f->cap, sizeof *f->names, err));
    f->names = items;
    f->names[f->n_names] = gy_arena_strdup(&f->page, gy_str_c(name));
    return f->names[f->n_names++] ? GY_OK : gy_track_nomem(err);
}

static gy_status list_names(struct files *f, const char *dir, struct gy_err *err)
{
    gy_arena_reset(&f->page);
    f->names = NULL;
    f->n_names = f->cap = 0;
    f->listed = dir;
    return gy_path_is_dir(dir) ? gy_dir_each(dir, add_name, f, err) : GY_OK;
}

static bool is_reserved(const char *name)
{
    return strcmp(name, "tags") == 0 || strcmp(name, "datasets") == 0 ||
           strcmp(name, "traces") == 0 || strcmp(name, "models") == 0;
}

static gy_status count_entry(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    (void)name;
    (void)err;
    *(int64_t *)ctx += is_dir;
    return GY_OK;
}

/* ---- runs ---- */

struct links {
    struct files *f;
    struct gy_arena *a;
    struct gy_run *r;
    const char *experiment_dir, *dir;
    size_t cap_inputs, cap_in, cap_out;
    bool outputs;
};

/* The members of a map as tags. */
static gy_status map_tags(const struct gy_yaml_node *map, struct gy_arena *a, struct gy_tag **ret,
                          size_t *ret_n, struct gy_err *err)
{
    if (!map || map->kind != GY_YAML_MAP || map->n_items == 0) {
        return GY_OK;
    }
    *ret = gy_arena_calloc(a, map->n_items, sizeof **ret);
    for (size_t i = 0; *ret && i < map->n_items; i++) {
        (*ret)[i] = (struct gy_tag){
            gy_arena_str(a, map->keys[i]),
            gy_arena_str(a, map->items[i].text.p ? map->items[i].text : GY_STR(""))};
    }
    *ret_n = map->n_items;
    return *ret ? GY_OK : gy_track_nomem(err);
}

static struct gy_str scalar(const struct gy_yaml *y, const char *key, struct gy_arena *a)
{
    const struct gy_yaml_node *n = gy_yaml_get(gy_yaml_root(y), key);
    return n && n->kind != GY_YAML_NULL && n->text.p ? gy_arena_str(a, n->text) : GY_STR_NULL;
}

static gy_status add_dataset(struct links *l, const char *id, const struct gy_yaml *input,
                             struct gy_err *err)
{
    char dir[GY_MAX_PATH], one[GY_MAX_PATH], path[GY_MAX_PATH];
    struct gy_err why = GY_ERR_INIT;
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    GY_TRY(join(dir, l->experiment_dir, "datasets", err));
    GY_TRY(join(one, dir, id, err));
    GY_TRY(join(path, one, "meta.yaml", err));
    if (gy_yaml_read_file(path, &y, &why) != GY_OK) {
        return reject(l->f, path, &why, err);
    }
    struct gy_run_dataset d = {
        .name = scalar(y, "name", l->a),
        .digest = scalar(y, "digest", l->a),
        .source_type = scalar(y, "source_type", l->a),
        .source = scalar(y, "source", l->a),
        .schema = scalar(y, "schema", l->a),
        .profile = scalar(y, "profile", l->a),
    };
    if (d.name.n == 0 || d.digest.n == 0) {
        gy_move_reject(l->f->report, path, "a dataset without name or digest");
        return GY_OK;
    }
    GY_TRY(map_tags(gy_yaml_get(gy_yaml_root(input), "tags"), l->a, &d.tags, &d.n_tags, err));
    void *items = l->r->inputs;
    GY_TRY(gy_track_grow(l->a, &items, l->r->n_inputs, &l->cap_inputs, sizeof d, err));
    l->r->inputs = items;
    l->r->inputs[l->r->n_inputs++] = d;
    return GY_OK;
}

static gy_status add_link(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct links *l = ctx;
    struct gy_err why = GY_ERR_INIT;
    char dir[GY_MAX_PATH], path[GY_MAX_PATH];
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    if (!is_dir) {
        return GY_OK;
    }
    GY_TRY(join(dir, l->dir, name, err));
    GY_TRY(join(path, dir, "meta.yaml", err));
    if (gy_yaml_read_file(path, &y, &why) != GY_OK) {
        return reject(l->f, path, &why, err);
    }
    struct gy_str id = scalar(y, "source_id", l->a), type = scalar(y, "source_type", l->a);
    const struct gy_yaml_node *step = gy_yaml_get(gy_yaml_root(y), "step");
    if (id.n == 0 || gy_path_check_relative(id, NULL) != GY_OK) {
        gy_move_reject(l->f->report, path, "'source_id' is missing");
        return GY_OK;
    }
    if (!l->outputs && gy_str_eqc(type, "DATASET")) {
        return add_dataset(l, id.p, y, err);
    }
    struct gy_run_model m = {id, step && step->kind == GY_YAML_INT ? step->i : 0};
    void *items = l->outputs ? l->r->model_outputs : l->r->model_inputs;
    size_t *n = l->outputs ? &l->r->n_model_outputs : &l->r->n_model_inputs;
    GY_TRY(gy_track_grow(l->a, &items, *n, l->outputs ? &l->cap_out : &l->cap_in, sizeof m, err));
    ((struct gy_run_model *)items)[(*n)++] = m;
    if (l->outputs) {
        l->r->model_outputs = items;
    } else {
        l->r->model_inputs = items;
    }
    return GY_OK;
}

static gy_status read_links(struct files *f, const char *experiment_dir, const char *run_dir,
                            struct gy_arena *a, struct gy_run *r, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    struct links l = {.f = f, .a = a, .r = r, .experiment_dir = experiment_dir, .dir = dir};
    GY_TRY(join(dir, run_dir, "inputs", err));
    if (gy_path_is_dir(dir)) {
        GY_TRY(gy_dir_each(dir, add_link, &l, err));
    }
    GY_TRY(join(dir, run_dir, "outputs", err));
    l.outputs = true;
    return gy_path_is_dir(dir) ? gy_dir_each(dir, add_link, &l, err) : GY_OK;
}

/* The run's name is in its tag too, where old versions kept it alone. */
static void name_of_tag(struct gy_run *r)
{
    for (size_t i = 0; i < r->n_tags; i++) {
        if (r->name.n == 0 && gy_str_eqc(r->tags[i].key, "mlflow.runName")) {
            r->name = r->tags[i].value;
        }
    }
}

/* *ret_ok false: it was rejected. */
static gy_status read_run(struct files *f, const char *experiment_dir, const char *name,
                          int64_t experiment, struct gy_arena *a, struct gy_run *r, bool *ret_ok,
                          struct gy_err *err)
{
    char dir[GY_MAX_PATH], path[GY_MAX_PATH];
    struct gy_err why = GY_ERR_INIT;
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    *ret_ok = false;
    GY_TRY(join(dir, experiment_dir, name, err));
    GY_TRY(join(path, dir, "meta.yaml", err));
    gy_status status = gy_yaml_read_file(path, &y, &why);
    if (status == GY_OK) {
        status = gy_move_meta_run(y, a, r, &why);
    }
    if (status == GY_OK && !gy_str_eqc(r->id, name)) {
        status =
            gy_err_set(&why, GY_E_INVALID, "it is of run %" GY_STR_F ", in a folder of another",
                       GY_STR_A(gy_str_sub(r->id, 0, 100)));
    }
    if (status != GY_OK) {
        return reject(f, path, &why, err);
    }
    r->experiment_id = experiment;
    GY_TRY(read_pairs(f, dir, "params", a, &r->params, &r->n_params, err));
    GY_TRY(read_pairs(f, dir, "tags", a, &r->tags, &r->n_tags, err));
    name_of_tag(r);
    *ret_ok = true;
    return read_links(f, experiment_dir, dir, a, r, err);
}

static gy_status files_runs(void *self, const struct gy_experiment *e, size_t page,
                            struct gy_arena *a, struct gy_run **ret, size_t *ret_n, bool *ret_end,
                            struct gy_err *err)
{
    struct files *f = self;
    const char *dir = dir_of(f, e->id);
    char traces[GY_MAX_PATH];
    GY_REQUIRE(dir);
    if (page == 0) {
        GY_TRY(list_names(f, dir, err));
        GY_TRY(join(traces, dir, "traces", err));
        if (gy_path_is_dir(traces)) {
            GY_TRY(gy_dir_each(traces, count_entry, &f->report->not_taken, err));
        }
    }
    *ret = gy_arena_calloc(a, GY_MOVE_PAGE, sizeof **ret);
    *ret_n = 0;
    if (!*ret) {
        return gy_track_nomem(err);
    }
    size_t at = page * GY_MOVE_PAGE;
    for (; at < f->n_names && at < (page + 1) * GY_MOVE_PAGE; at++) {
        bool ok = false;
        if (!is_reserved(f->names[at])) {
            GY_TRY(read_run(f, dir, f->names[at], e->id, a, &(*ret)[*ret_n], &ok, err));
            *ret_n += ok;
        }
    }
    *ret_end = at >= f->n_names;
    return GY_OK;
}

/* ---- metrics ---- */

struct history {
    struct files *f;
    bool of_model;
    gy_move_point_fn fn;
    void *ctx;
    struct gy_hash *mark; /* instead of reading: name, size and time of each file */
    struct gy_arena *a;   /* of_model: what points to */
    char dir[GY_MAX_PATH], key[GY_MAX_PATH];
    size_t depth;
    char where[GY_MAX_PATH + 32];
};

static gy_status give_line(struct history *h, const char *path, size_t number, struct gy_str line,
                           struct gy_str key, struct gy_err *err)
{
    struct gy_metric m;
    struct gy_err why = GY_ERR_INIT;
    if (gy_str_trim(line).n == 0) {
        return GY_OK;
    }
    gy_status status = gy_str_is_utf8(line)
                           ? gy_move_metric_line(line, h->of_model, &m, &why)
                           : gy_err_set(&why, GY_E_INVALID, "the line is no UTF-8");
    if (status != GY_OK) {
        (void)snprintf(h->where, sizeof h->where, "%s:%zu", path, number);
        return reject(h->f, h->where, &why, err);
    }
    m.key = key;
    return h->fn(h->ctx, &m, err);
}

/* Line by line, however long the file is. */
static gy_status read_lines(struct history *h, const char *path, int fd, struct gy_str key,
                            struct gy_err *err)
{
    GY_AUTO(gy_free) char *buf = gy_malloc(READ_BYTES + GY_MOVE_MAX_LINE);
    size_t have = 0, number = 1;
    bool too_long = false;
    if (!buf) {
        return gy_track_nomem(err);
    }
    for (;;) {
        ssize_t n = read(fd, buf + have, READ_BYTES);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return gy_err_sys(err, errno, "reading '%s'", path);
        }
        size_t end = have + (size_t)n, from = 0;
        for (size_t i = have; i < end; i++) {
            if (buf[i] != '\n') {
                continue;
            }
            if (!too_long) {
                GY_TRY(give_line(h, path, number, gy_str_n(buf + from, i - from), key, err));
            }
            too_long = false;
            from = i + 1;
            number++;
        }
        have = end - from;
        if (n == 0) {
            return too_long || have == 0
                       ? GY_OK
                       : give_line(h, path, number, gy_str_n(buf + from, have), key, err);
        }
        if (have > GY_MOVE_MAX_LINE || too_long) {
            if (!too_long) {
                (void)snprintf(h->where, sizeof h->where, "%s:%zu", path, number);
                gy_move_reject(h->f->report, h->where, "the line is too long");
            }
            too_long = true;
            have = 0;
        }
        memmove(buf, buf + from, have);
    }
}

static gy_status read_history(struct history *h, const char *path, struct gy_str key,
                              struct gy_err *err)
{
    struct stat st;
    if (!is_plain(path)) {
        if (!h->mark) { /* who reads the points tells it */
            gy_move_reject(h->f->report, path, NOT_PLAIN);
        }
        return GY_OK;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        struct gy_err why = GY_ERR_INIT;
        (void)gy_err_sys(&why, errno, "opening"); /* its message is what is wanted */
        if (fd >= 0) {
            (void)close(fd);
        }
        return h->mark ? GY_OK : reject(h->f, path, &why, err);
    }
    gy_status status = GY_OK;
    if (h->mark) {
        char text[96];
        (void)snprintf(text, sizeof text, ":%lld:%lld.%09ld\n", (long long)st.st_size,
                       (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
        gy_hash_add(h->mark, key);
        gy_hash_add(h->mark, gy_str_c(text));
    } else {
        status = read_lines(h, path, fd, key, err);
    }
    (void)close(fd); /* only read from */
    return status;
}

static gy_status add_history(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct history *h = ctx;
    char path[GY_MAX_PATH], key[GY_MAX_PATH], dir[GY_MAX_PATH], outer[GY_MAX_PATH];
    GY_TRY(join(path, h->dir, name, err));
    int n = snprintf(key, sizeof key, "%s%s", h->key, name);
    if (n < 0 || (size_t)n + 2 > sizeof key || h->depth >= MAX_DEPTH ||
        !gy_str_is_utf8(gy_str_c(key))) {
        gy_move_reject(h->f->report, path, "the key is too long, too deep or no UTF-8");
        return GY_OK;
    }
    if (!is_dir) {
        return read_history(h, path, gy_str_c(key), err);
    }
    (void)snprintf(outer, sizeof outer, "%s", h->key);
    (void)snprintf(dir, sizeof dir, "%s", h->dir);
    (void)snprintf(h->key, sizeof h->key, "%s/", key);
    (void)snprintf(h->dir, sizeof h->dir, "%s", path);
    h->depth++;
    gy_status status = gy_dir_each(path, add_history, h, err);
    h->depth--;
    (void)snprintf(h->dir, sizeof h->dir, "%s", dir);
    (void)snprintf(h->key, sizeof h->key, "%s", outer);
    return status;
}

static gy_status walk_metrics(struct history *h, const char *dir, struct gy_err *err)
{
    char top[GY_MAX_PATH];
    GY_TRY(join(top, dir, "metrics", err));
    (void)snprintf(h->dir, sizeof h->dir, "%s", top);
    return gy_path_is_dir(top) ? gy_dir_each(top, add_history, h, err) : GY_OK;
}

static gy_status run_dir(const struct files *f, const struct gy_run *r, char out[GY_MAX_PATH],
                         struct gy_err *err)
{
    return join(out, dir_of(f, r->experiment_id), r->id.p, err);
}

static gy_status files_mark(void *self, const struct gy_run *r, struct gy_hash *mark,
                            struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    struct history h = {.f = self, .mark = mark};
    GY_TRY(run_dir(self, r, dir, err));
    return walk_metrics(&h, dir, err);
}

static gy_status files_points(void *self, const struct gy_run *r, gy_move_point_fn fn, void *ctx,
                              struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    struct history h = {.f = self, .fn = fn, .ctx = ctx};
    GY_TRY(run_dir(self, r, dir, err));
    return walk_metrics(&h, dir, err);
}

/* ---- logged models ---- */

struct model_points {
    struct gy_arena *a;
    struct gy_logged_model *m;
    size_t cap;
};

static gy_status keep_point(void *ctx, const struct gy_metric *p, struct gy_err *err)
{
    struct model_points *x = ctx;
    void *items = x->m->metrics;
    GY_TRY(gy_track_grow(x->a, &items, x->m->n_metrics, &x->cap, sizeof *p, err));
    x->m->metrics = items;
    struct gy_metric *kept = &x->m->metrics[x->m->n_metrics++];
    *kept = *p;
    kept->key = gy_arena_str(x->a, p->key);
    kept->run_id = gy_arena_str(x->a, p->run_id);
    kept->dataset_name = p->dataset_name.p ? gy_arena_str(x->a, p->dataset_name) : GY_STR_NULL;
    kept->dataset_digest =
        p->dataset_digest.p ? gy_arena_str(x->a, p->dataset_digest) : GY_STR_NULL;
    return kept->key.p && kept->run_id.p ? GY_OK : gy_track_nomem(err);
}

static gy_status read_logged(struct files *f, const char *dir, int64_t experiment,
                             struct gy_arena *a, struct gy_logged_model *m, bool *ret_ok,
                             struct gy_err *err)
{
    char path[GY_MAX_PATH];
    struct gy_err why = GY_ERR_INIT;
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    *ret_ok = false;
    GY_TRY(join(path, dir, "meta.yaml", err));
    gy_status status = gy_yaml_read_file(path, &y, &why);
    if (status == GY_OK) {
        status = gy_move_meta_logged(y, a, m, &why);
    }
    if (status != GY_OK) {
        return reject(f, path, &why, err);
    }
    m->experiment_id = experiment;
    GY_TRY(read_pairs(f, dir, "params", a, &m->params, &m->n_params, err));
    GY_TRY(read_pairs(f, dir, "tags", a, &m->tags, &m->n_tags, err));
    struct model_points x = {a, m, 0};
    struct history h = {.f = f, .of_model = true, .fn = keep_point, .ctx = &x};
    *ret_ok = true;
    return walk_metrics(&h, dir, err);
}

static gy_status files_logged(void *self, const struct gy_experiment *e, size_t page,
                              struct gy_arena *a, struct gy_logged_model **ret, size_t *ret_n,
                              bool *ret_end, struct gy_err *err)
{
    struct files *f = self;
    char dir[GY_MAX_PATH], one[GY_MAX_PATH];
    GY_TRY(join(dir, dir_of(f, e->id), "models", err));
    if (page == 0) {
        GY_TRY(list_names(f, dir, err));
    }
    *ret = gy_arena_calloc(a, GY_MOVE_PAGE, sizeof **ret);
    *ret_n = 0;
    if (!*ret) {
        return gy_track_nomem(err);
    }
    size_t at = page * GY_MOVE_PAGE;
    for (; at < f->n_names && at < (page + 1) * GY_MOVE_PAGE; at++) {
        bool ok = false;
        GY_TRY(join(one, dir, f->names[at], err));
        GY_TRY(read_logged(f, one, e->id, a, &(*ret)[*ret_n], &ok, err));
        *ret_n += ok;
    }
    *ret_end = at >= f->n_names;
    return GY_OK;
}

/* ---- the registry ---- */

static gy_status read_aliases(struct files *f, const char *dir, struct gy_arena *a,
                              struct gy_registered_model *m, struct gy_err *err)
{
    struct gy_tag *tags = NULL;
    size_t n = 0;
    GY_TRY(read_pairs(f, dir, "aliases", a, &tags, &n, err));
    m->aliases = gy_arena_calloc(a, n + 1, sizeof *m->aliases);
    if (!m->aliases) {
        return gy_track_nomem(err);
    }
    for (size_t i = 0; i < n; i++) {
        int64_t version = 0;
        if (gy_parse_i64(gy_str_trim(tags[i].value), 1, INT64_MAX, &version, NULL) != GY_OK) {
            char path[GY_MAX_PATH];
            (void)snprintf(path, sizeof path, "%s/aliases/%" GY_STR_F, dir, GY_STR_A(tags[i].key));
            gy_move_reject(f->report, path, "the alias names no version");
            continue;
        }
        m->aliases[m->n_aliases++] = (struct gy_model_alias){tags[i].key, version};
    }
    return GY_OK;
}

static gy_status add_model(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct listing *l = ctx;
    struct gy_err why = GY_ERR_INIT;
    struct gy_registered_model m;
    char dir[GY_MAX_PATH], path[GY_MAX_PATH];
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    if (!is_dir) {
        return GY_OK;
    }
    GY_TRY(join(dir, l->dir, name, err));
    GY_TRY(join(path, dir, "meta.yaml", err));
    gy_status status = gy_yaml_read_file(path, &y, &why);
    if (status == GY_OK) {
        status = gy_move_meta_model(y, l->a, &m, &why);
    }
    if (status == GY_OK && !gy_str_eqc(m.name, name)) {
        status =
            gy_err_set(&why, GY_E_INVALID, "it is of model '%" GY_STR_F "', in a folder of another",
                       GY_STR_A(gy_str_sub(m.name, 0, 100)));
    }
    if (status != GY_OK) {
        return reject(l->f, path, &why, err);
    }
    GY_TRY(read_pairs(l->f, dir, "tags", l->a, &m.tags, &m.n_tags, err));
    GY_TRY(read_aliases(l->f, dir, l->a, &m, err));
    GY_TRY(gy_track_grow(l->a, &l->items, l->n, &l->cap, sizeof m, err));
    ((struct gy_registered_model *)l->items)[l->n++] = m;
    return GY_OK;
}

static gy_status files_models(void *self, struct gy_arena *a, struct gy_registered_model **ret,
                              size_t *ret_n, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    struct listing l = {.f = self, .a = a, .dir = dir};
    GY_TRY(join(dir, l.f->root, "models", err));
    if (gy_path_is_dir(dir)) {
        GY_TRY(gy_dir_each(dir, add_model, &l, err));
    }
    *ret = l.items;
    *ret_n = l.n;
    return GY_OK;
}

static gy_status add_version(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct listing *l = ctx;
    struct gy_err why = GY_ERR_INIT;
    struct gy_transfer_version v;
    char dir[GY_MAX_PATH], path[GY_MAX_PATH];
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    if (!is_dir || strncmp(name, "version-", 8) != 0) {
        return GY_OK;
    }
    GY_TRY(join(dir, l->dir, name, err));
    GY_TRY(join(path, dir, "meta.yaml", err));
    gy_status status = gy_yaml_read_file(path, &y, &why);
    if (status == GY_OK) {
        status = gy_move_meta_version(y, l->a, &v, &why);
    }
    if (status != GY_OK) {
        return reject(l->f, path, &why, err);
    }
    GY_TRY(read_pairs(l->f, dir, "tags", l->a, &v.tags, &v.n_tags, err));
    GY_TRY(gy_track_grow(l->a, &l->items, l->n, &l->cap, sizeof v, err));
    ((struct gy_transfer_version *)l->items)[l->n++] = v;
    return GY_OK;
}

static int by_number(const void *a, const void *b)
{
    const struct gy_transfer_version *x = a, *y = b;
    return (x->v.version > y->v.version) - (x->v.version < y->v.version);
}

static gy_status files_versions(void *self, const struct gy_registered_model *m, struct gy_arena *a,
                                struct gy_transfer_version **ret, size_t *ret_n, struct gy_err *err)
{
    char models[GY_MAX_PATH], dir[GY_MAX_PATH];
    struct listing l = {.f = self, .a = a, .dir = dir};
    GY_TRY(join(models, l.f->root, "models", err));
    GY_TRY(join(dir, models, m->name.p, err));
    GY_TRY(gy_dir_each(dir, add_version, &l, err));
    if (l.n > 1) {
        qsort(l.items, l.n, sizeof **ret, by_number);
    }
    *ret = l.items;
    *ret_n = l.n;
    return GY_OK;
}

/* ---- artifacts ---- */

/* Beside the meta.yaml first: a folder that was moved still says where it used to be. */
static bool place_dir(struct files *f, const struct gy_move_place *p, char out[GY_MAX_PATH])
{
    const char *dir = p->kind == 'v' ? NULL : dir_of(f, p->experiment);
    if (dir) {
        int n = snprintf(out, GY_MAX_PATH, "%s/%s%" GY_STR_F "/artifacts", dir,
                         p->kind == 'm' ? "models/" : "", GY_STR_A(p->id));
        if (n > 0 && n < GY_MAX_PATH && gy_path_is_dir(out)) {
            return true;
        }
    }
    return gy_move_local(p->uri, f->root, f->artifacts_root, out);
}

static bool files_has_files(void *self, const struct gy_move_place *p)
{
    char dir[GY_MAX_PATH];
    return place_dir(self, p, dir);
}

static gy_status files_files(void *self, const struct gy_move_place *p, gy_move_file_fn fn,
                             void *ctx, struct gy_err *err)
{
    struct files *f = self;
    char dir[GY_MAX_PATH];
    return place_dir(f, p, dir) ? gy_move_walk(dir, f->report, fn, ctx, err) : GY_OK;
}

static gy_status files_fetch(void *self, const struct gy_move_place *p, struct gy_str path,
                             char out[GY_MAX_PATH], bool *ret_temporary, struct gy_err *err)
{
    char dir[GY_MAX_PATH], name[GY_MAX_PATH];
    *ret_temporary = false;
    if (!place_dir(self, p, dir) || path.n >= sizeof name) {
        return gy_err_set(err, GY_E_NOTFOUND, "no such artifact");
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)path.n, path.p);
    return join(out, dir, name, err);
}

static void files_free(void *self)
{
    struct files *f = self;
    gy_map_done(&f->dirs);
    gy_arena_done(&f->arena);
    gy_arena_done(&f->page);
    gy_free(f);
}

static const struct gy_move_source_ops files_ops = {
    1,
    "files",
    files_experiments,
    files_runs,
    files_mark,
    files_points,
    files_logged,
    files_models,
    files_versions,
    files_has_files,
    files_files,
    files_fetch,
    files_free,
};

gy_status gy_move_open_files(const char *dir, const char *artifacts_root,
                             struct gy_move_report *report, struct gy_move_source *ret,
                             struct gy_err *err)
{
    char real[PATH_MAX];
    if (!realpath(dir, real)) {
        return gy_err_sys(err, errno, "'%s'", dir);
    }
    if (!gy_path_is_dir(real) || strlen(real) >= sizeof ret->label) {
        (void)gy_err_set(err, GY_E_INVALID, "'%s' is no folder", dir);
        return gy_err_hint(err, "a database is named sqlite:///%s", dir);
    }
    struct files *f = gy_calloc(1, sizeof *f);
    if (!f) {
        return gy_track_nomem(err);
    }
    (void)snprintf(f->root, sizeof f->root, "%s", real);
    (void)snprintf(ret->label, sizeof ret->label, "%s", real);
    f->artifacts_root = artifacts_root;
    f->report = report;
    gy_map_init(&f->dirs, GY_MOVE_MAX_RUNS);
    gy_arena_init(&f->arena, GY_GIB);
    gy_arena_init(&f->page, 2 * GY_GIB);
    ret->ops = &files_ops;
    ret->self = f;
    return GY_OK;
}

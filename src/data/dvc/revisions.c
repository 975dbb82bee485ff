/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dvc/revisions.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/map.h"
#include "base/proc.h"
#include "data/dvc/stages.h"
#include "data/git.h"

static gy_status git(const char *root, const char *const *argv, struct gy_buf *out, int *ret_code,
                     struct gy_err *err)
{
    GY_TRY(gy_git(root, argv, out, ret_code, err));
    return *ret_code == 127 ? gy_err_set(err, GY_E_MISSINGDEP, "git is not installed") : GY_OK;
}

struct commits {
    struct gy_arena *a;
    struct gy_map seen;
};

static gy_status take_lines(struct commits *c, struct gy_str lines, struct gy_err *err)
{
    struct gy_str line;
    while (gy_str_next(&lines, '\n', &line)) {
        line = gy_str_trim(line);
        if (line.n == 0) {
            continue; /* a tag that is no object of its own */
        }
        if (!gy_is_hex(line, 40)) { /* else a gc would take it for a repository without commits */
            return gy_err_set(err, GY_E_UNSUPPORTED,
                              "'%.*s' of git is no SHA-1: other repositories are not supported",
                              line.n < 80 ? (int)line.n : 80, line.p);
        }
        GY_TRY(gy_map_put(&c->seen, line, c, err));
    }
    return GY_OK;
}

static gy_status take_output(const char *root, const char *const *argv, const char *what,
                             struct commits *c, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    int code = 0;
    gy_buf_init(&out, GY_DVC_MAX_GIT);
    GY_TRY(git(root, argv, &out, &code, err));
    if (code != 0) {
        return gy_err_set(err, GY_E_NOTFOUND, "git knows no %s in %s", what, root);
    }
    return take_lines(c, gy_buf_str(&out), err);
}

static gy_status take_scope(const char *root, const struct gy_dvc_scope *s, struct commits *c,
                            struct gy_err *err)
{
    /* %(*objectname): what an annotated tag stands for */
    static const char *const heads[] = {"git", "for-each-ref", "--format=%(objectname)",
                                        "refs/heads", NULL};
    static const char *const tags[] = {
        "git", "for-each-ref", "--format=%(objectname)%0a%(*objectname)", "refs/tags", NULL};
    static const char *const exps[] = {"git", "for-each-ref", "--format=%(objectname)", "refs/exps",
                                       NULL};
    static const char *const all[] = {"git", "rev-list", "--all", "HEAD", NULL};
    static const char *const head[] = {"git", "rev-parse", "--verify", "HEAD^{commit}", NULL};
    if (s->branches || s->commits) {
        GY_TRY(take_output(root, s->commits ? all : head, "commits", c, err));
    }
    if (s->branches) {
        GY_TRY(take_output(root, heads, "branches", c, err));
    }
    if (s->tags) {
        GY_TRY(take_output(root, tags, "tags", c, err));
    }
    if (s->experiments) {
        GY_TRY(take_output(root, exps, "experiments", c, err));
    }
    for (size_t i = 0; i < s->n_revs; i++) {
        char rev[GY_MAX_NAME + 16];
        const char *const one[] = {"git", "rev-parse", "--verify", "--end-of-options", rev, NULL};
        int n = snprintf(rev, sizeof rev, "%s^{commit}", s->revs[i]);
        if (n < 0 || n >= (int)sizeof rev) {
            return gy_err_set(err, GY_E_INVALID, "the name of a revision is too long");
        }
        char what[GY_MAX_NAME + 16];
        (void)snprintf(what, sizeof what, "revision '%.200s'", s->revs[i]);
        GY_TRY(take_output(root, one, what, c, err));
    }
    return GY_OK;
}

gy_status gy_dvc_commits(const char *root, const struct gy_dvc_scope *scope, struct gy_arena *a,
                         struct gy_str **ret, size_t *ret_n, struct gy_err *err)
{
    struct commits c = {.a = a};
    gy_map_init(&c.seen, GY_DVC_MAX_REVISIONS);
    gy_status status = take_scope(root, scope, &c, err);
    struct gy_str *list = gy_arena_calloc(a, c.seen.n_live + 1, sizeof *list);
    size_t pos = 0, n = 0;
    for (struct gy_map_entry *e; status == GY_OK && (e = gy_map_next(&c.seen, &pos)) != NULL;) {
        struct gy_str copy = list ? gy_arena_str(a, e->key) : GY_STR_NULL;
        if (!copy.p) {
            status = gy_err_set(err, GY_E_NOMEM, "out of memory for revisions");
            break;
        }
        list[n++] = copy;
    }
    gy_map_done(&c.seen);
    *ret = list;
    *ret_n = n;
    return status;
}

/* ---- the files of commits ---- */

static bool is_dvc_file(struct gy_str path)
{
    size_t at = path.n;
    while (at > 0 && path.p[at - 1] != '/') {
        at--;
    }
    struct gy_str name = gy_str_sub(path, at, path.n);
    return gy_str_eqc(name, "dvc.lock") || gy_str_eqc(name, "dvc.yaml") ||
           (name.n > 4 && gy_str_ends(name, GY_STR(".dvc")));
}

/* "<blob> <path>" of each file, each once; lines are ended by NUL. */
static gy_status list_commit(const char *root, struct gy_str commit, struct gy_map *files,
                             struct gy_err *err)
{
    char rev[48];
    (void)snprintf(rev, sizeof rev, "%" GY_STR_F, GY_STR_A(commit));
    const char *const argv[] = {"git", "ls-tree", "-r", "-z", rev, NULL};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    int code = 0;
    gy_buf_init(&out, GY_DVC_MAX_GIT);
    GY_TRY(git(root, argv, &out, &code, err));
    if (code != 0) {
        return gy_err_set(err, GY_E_NOTFOUND, "git can not list commit %s", rev);
    }
    struct gy_str rest = gy_buf_str(&out), line, meta, path;
    while (gy_str_next(&rest, '\0', &line)) {
        /* "100644 blob <40 digits>\t<path>" */
        if (!gy_str_cut(line, '\t', &meta, &path) || meta.n < 52 || !is_dvc_file(path) ||
            !gy_str_starts(meta, GY_STR("100"))) {
            continue;
        }
        GY_AUTO_DONE(gy_buf_done) struct gy_buf key;
        gy_buf_init(&key, 2 * GY_MAX_PATH);
        gy_buf_add(&key, gy_str_sub(meta, meta.n - 40, 40));
        gy_buf_add_char(&key, ' ');
        gy_buf_add(&key, path);
        GY_TRY(gy_buf_check(&key, "a path in git", err));
        GY_TRY(gy_map_put(files, gy_buf_str(&key), files, err));
    }
    return GY_OK;
}

/* All blobs in one process: their names go in by a file, for two pipes can block each other. */
static gy_status read_blobs(const char *root, const struct gy_map *files, struct gy_buf *out,
                            struct gy_err *err)
{
    int fd = -1, code = 0;
    GY_TRY(gy_file_aside(gy_temp_dir(), &fd, err));
    GY_AUTO_DONE(gy_buf_done) struct gy_buf names;
    gy_buf_init(&names, GY_DVC_MAX_GIT);
    size_t pos = 0;
    for (struct gy_map_entry *e; (e = gy_map_next(files, &pos)) != NULL;) {
        gy_buf_add(&names, gy_str_sub(e->key, 0, 40));
        gy_buf_add_char(&names, '\n');
    }
    gy_status status = gy_buf_check(&names, "names of blobs", err);
    if (status == GY_OK) {
        status = gy_fd_write(fd, "names of blobs", gy_buf_str(&names), err);
    }
    if (status == GY_OK && lseek(fd, 0, SEEK_SET) != 0) {
        status = gy_err_sys(err, errno, "names of blobs");
    }
    const char *const argv[] = {"git", "cat-file", "--batch", NULL};
    struct gy_proc_options o = {
        .argv = argv, .cwd = root, .stdin_fd = fd, .stdout_fd = -1, .stderr_fd = -1};
    if (status == GY_OK) {
        status = gy_proc_capture(&o, out, &code, err);
    }
    (void)close(fd); /* what was written has been read */
    return status == GY_OK && code != 0
               ? gy_err_set(err, GY_E_FAILED, "git cat-file ended with %d", code)
               : status;
}

/* "<blob> blob <size>\n<bytes>\n" for each, in their order. */
static gy_status pass_blobs(const struct gy_map *files, struct gy_str all, gy_dvc_file_fn fn,
                            void *ctx, struct gy_err *err)
{
    size_t pos = 0;
    for (struct gy_map_entry *e; (e = gy_map_next(files, &pos)) != NULL;) {
        struct gy_str head, rest;
        int64_t size = 0;
        bool ok = gy_str_cut(all, '\n', &head, &rest) && head.n > 46 &&
                  gy_str_eq(gy_str_sub(head, 0, 40), gy_str_sub(e->key, 0, 40)) &&
                  gy_parse_i64(gy_str_sub(head, 46, head.n), 0, (int64_t)rest.n - 1, &size, NULL) ==
                      GY_OK;
        if (!ok) {
            return gy_err_set(err, GY_E_NOTFOUND, "git has not the blob of %" GY_STR_F,
                              GY_STR_A(gy_str_sub(e->key, 41, e->key.n)));
        }
        GY_TRY(fn(ctx, gy_str_sub(e->key, 41, e->key.n), gy_str_sub(rest, 0, (size_t)size), err));
        all = gy_str_sub(rest, (size_t)size + 1, rest.n);
    }
    return GY_OK;
}

gy_status gy_dvc_files_at(const char *root, const struct gy_str *commits, size_t n,
                          gy_dvc_file_fn fn, void *ctx, struct gy_err *err)
{
    GY_AUTO_DONE(gy_map_done) struct gy_map files;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf blobs;
    gy_map_init(&files, GY_DVC_MAX_FILES);
    gy_buf_init(&blobs, GY_DVC_MAX_GIT);
    for (size_t i = 0; i < n; i++) {
        GY_TRY(list_commit(root, commits[i], &files, err));
    }
    if (files.n_live == 0) {
        return GY_OK;
    }
    GY_TRY(read_blobs(root, &files, &blobs, err));
    return pass_blobs(&files, gy_buf_str(&blobs), fn, ctx, err);
}

gy_status gy_dvc_files_here(struct gy_dvc_repo *r, gy_dvc_file_fn fn, void *ctx, struct gy_err *err)
{
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_dvc_stage *stages = NULL;
    size_t n = 0;
    gy_arena_init(&a, GY_GIB);
    GY_TRY(gy_dvc_stages(r, &a, &stages, &n, err));
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && gy_str_eq(stages[i].file, stages[i - 1].file)) {
            continue; /* the next stage of the same dvc.yaml */
        }
        char name[GY_MAX_PATH], path[GY_MAX_PATH];
        struct gy_str file = stages[i].file;
        bool pipeline = gy_str_ends(file, GY_STR("dvc.yaml"));
        (void)snprintf(name, sizeof name, "%" GY_STR_F "%s",
                       GY_STR_A(gy_str_sub(file, 0, file.n - (pipeline ? 4 : 0))),
                       pipeline ? "lock" : "");
        GY_TRY(gy_path_join(path, sizeof path, gy_dvc_repo_root(r), name, err));
        if (!gy_path_exists(path)) {
            continue; /* nothing was made yet */
        }
        GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
        gy_buf_init(&text, GY_MAX_YAML);
        GY_TRY(gy_file_read(path, &text, err));
        GY_TRY(fn(ctx, gy_str_c(name), gy_buf_str(&text), err));
    }
    return GY_OK;
}

/* ---- outputs of a revision ---- */

static gy_status write_there(void *ctx, struct gy_str path, struct gy_str text, struct gy_err *err)
{
    char name[GY_MAX_PATH], full[GY_MAX_PATH];
    GY_TRY(gy_path_check_relative(path, err));
    (void)snprintf(name, sizeof name, "%" GY_STR_F, GY_STR_A(path));
    GY_TRY(gy_path_join(full, sizeof full, ctx, name, err));
    GY_TRY(gy_dir_make_for(full, err));
    return gy_file_write(full, text, 0600, err);
}

static gy_status outs_in(const char *root, const char *dir, const char *rev, struct gy_arena *a,
                         struct gy_dvc_out **ret, size_t *ret_n, struct gy_err *err)
{
    struct gy_str *commits = NULL;
    size_t n = 0;
    GY_AUTO(gy_dvc_repo_free) struct gy_dvc_repo *there = NULL;
    struct gy_dvc_scope scope = {.revs = &rev, .n_revs = 1};
    GY_TRY(gy_dvc_commits(root, &scope, a, &commits, &n, err));
    /* no_scm: files that git ignores can not be in a commit. */
    GY_TRY(write_there((void *)(uintptr_t)dir, GY_STR(".dvc/config"),
                       GY_STR("[core]\n    no_scm = true\n"), err));
    GY_TRY(gy_dvc_files_at(root, commits, n, write_there, (void *)(uintptr_t)dir, err));
    GY_TRY(gy_dvc_repo_open(dir, &there, err));
    return gy_dvc_repo_outs(there, NULL, 0, a, ret, ret_n, err);
}

gy_status gy_dvc_outs_at(const char *root, const char *rev, struct gy_arena *a,
                         struct gy_dvc_out **ret, size_t *ret_n, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    GY_TRY(gy_path_join(dir, sizeof dir, gy_temp_dir(), "gyre-rev-XXXXXX", err));
    if (!mkdtemp(dir)) {
        return gy_err_sys(err, errno, "%s", dir);
    }
    gy_status status = outs_in(root, dir, rev, a, ret, ret_n, err);
    GY_IGNORE(gy_dir_remove(dir, NULL)); /* what stays there is of no harm */
    return status == GY_OK ? GY_OK : gy_err_wrap(err, "revision '%s'", rev);
}

/* ---- what they name ---- */

/* above: the kind of digest that an entry around says; that of a folder in the cloud is said once,
 * for all its files. */
static gy_status walk(const struct gy_yaml_node *node, const struct gy_yaml_node *above,
                      struct gy_dvc_oidset *set, int depth, struct gy_err *err)
{
    if (!node || (node->kind != GY_YAML_MAP && node->kind != GY_YAML_SEQ)) {
        return GY_OK;
    }
    if (depth > GY_MAX_JSON_DEPTH) {
        return gy_err_set(err, GY_E_TOOBIG, "nested deeper than %d", GY_MAX_JSON_DEPTH);
    }
    const struct gy_yaml_node *own = gy_yaml_get(node, "hash"), *md5 = gy_yaml_get(node, "md5");
    const struct gy_yaml_node *hash = own ? own : above;
    struct gy_dvc_oid oid;
    if (md5 && gy_dvc_oid_set(&oid, md5->text, !hash || !gy_str_eqc(hash->text, "md5")) &&
        oid.hex[0]) {
        GY_TRY(gy_dvc_oidset_add(set, &oid, NULL, NULL, err));
    }
    for (size_t i = 0; i < node->n_items; i++) {
        GY_TRY(walk(&node->items[i], hash, set, depth + 1, err));
    }
    return GY_OK;
}

gy_status gy_dvc_named_by(struct gy_str text, const char *name, struct gy_dvc_oidset *ret,
                          struct gy_err *err)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    GY_TRY(gy_yaml_parse(text, name, &y, err));
    return walk(gy_yaml_root(y), NULL, ret, 0, err);
}

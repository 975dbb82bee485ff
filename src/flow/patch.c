/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/patch.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"

#define MAX_LISTING (16 * GY_MIB)
#define SNIFF_BYTES 8000 /* where git looks for a NUL */

/* The person's configuration must not change what a patch looks like. */
#define DIFF                                                                                 \
    "git", "-c", "core.quotePath=true", "-c", "diff.noprefix=false", "-c",                   \
        "diff.mnemonicPrefix=false", "diff", "--no-color", "--no-ext-diff", "--no-textconv", \
        "--no-renames", "--full-index", "--src-prefix=a/", "--dst-prefix=b/", "-U3",         \
        "--ignore-submodules=all"

struct maker {
    char top[GY_MAX_PATH];
    struct gy_buf *out, diff; /* comments, and what follows them */
    struct gy_patch *ret;
    struct gy_arena arena;
    const char *exclude[GY_PATCH_MAX_FILES]; /* pathspecs */
    size_t n_exclude;
};

/* A path in a comment: one line, whatever is in it. */
static void add_path(struct gy_buf *out, struct gy_str path)
{
    for (size_t i = 0; i < path.n; i++) {
        gy_buf_add_char(out, (unsigned char)path.p[i] < 0x20 ? '?' : path.p[i]);
    }
}

static gy_status full_path(const struct maker *m, struct gy_str path, char out[GY_MAX_PATH],
                           struct gy_err *err)
{
    int n = snprintf(out, GY_MAX_PATH, "%s/%" GY_STR_F, m->top, GY_STR_A(path));
    return n > 0 && n < GY_MAX_PATH ? GY_OK : gy_err_set(err, GY_E_TOOBIG, "a path is too long");
}

static gy_status git(const struct maker *m, const char *const *argv, struct gy_buf *out,
                     int max_code, struct gy_err *err)
{
    int code = 0;
    GY_TRY(gy_git(m->top, argv, out, &code, err));
    return code <= max_code ? GY_OK
                            : gy_err_set(err, GY_E_FAILED, "git ended with %d in %s", code, m->top);
}

/* ---- what is not text ---- */

static gy_status name_binary(struct maker *m, struct gy_str path, struct gy_err *err)
{
    char full[GY_MAX_PATH], sha256[GY_SHA256_HEX];
    int64_t size = 0;
    m->ret->n_binary++;
    GY_TRY(full_path(m, path, full, err));
    gy_buf_addc(m->out, "# binary: ");
    add_path(m->out, path);
    if (gy_file_size(full) < 0) {
        gy_buf_addc(m->out, " removed\n");
        return GY_OK;
    }
    GY_TRY(gy_file_digest(full, sha256, NULL, &size, err));
    gy_buf_addf(m->out, " sha256 %s %lld bytes\n", sha256, (long long)size);
    return GY_OK;
}

static void leave_out(struct maker *m, struct gy_str path, int64_t size, const char *why)
{
    m->ret->n_omitted++;
    gy_buf_addc(m->out, "# left out: ");
    add_path(m->out, path);
    if (size >= 0) {
        gy_buf_addf(m->out, " %lld bytes", (long long)size);
    }
    gy_buf_addf(m->out, " (%s)\n", why);
}

/* "-\t-\tpath\0" of git diff --numstat -z. */
static gy_status find_binary(struct maker *m, struct gy_err *err)
{
    static const char *const argv[] = {DIFF, "--numstat", "-z", "HEAD", "--", NULL};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf list;
    gy_buf_init(&list, MAX_LISTING);
    GY_TRY(git(m, argv, &list, 0, err));
    struct gy_str rest = gy_buf_str(&list), one;
    while (rest.n > 0 && gy_str_next(&rest, '\0', &one)) {
        if (!gy_str_starts(one, GY_STR("-\t-\t"))) {
            continue;
        }
        struct gy_str path = gy_str_sub(one, 4, SIZE_MAX);
        if (m->n_exclude == GY_PATCH_MAX_FILES) {
            return gy_err_set(err, GY_E_TOOBIG, "more than %d binary files differ",
                              GY_PATCH_MAX_FILES);
        }
        const char *spec =
            gy_arena_printf(&m->arena, ":(top,exclude,literal)%" GY_STR_F, GY_STR_A(path));
        if (!spec) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory");
        }
        m->exclude[m->n_exclude++] = spec;
        GY_TRY(name_binary(m, path, err));
    }
    return GY_OK;
}

/* ---- text ---- */

static gy_status diff_tracked(struct maker *m, struct gy_err *err)
{
    static const char *const words[] = {DIFF, "HEAD", "--", ":/"};
    const size_t n_words = sizeof words / sizeof words[0];
    const char **argv = gy_arena_calloc(&m->arena, n_words + m->n_exclude + 1, sizeof *argv);
    if (!argv) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    memcpy(argv, words, sizeof words);
    for (size_t i = 0; i < m->n_exclude; i++) {
        argv[n_words + i] = m->exclude[i];
    }
    return git(m, argv, &m->diff, 0, err);
}

/* Names that people keep keys in: nobody expects them in a registry. */
static bool may_be_secret(struct gy_str path)
{
    static const char *const ends[] = {
        ".pem",   ".key",   ".p12",    ".pfx",    ".kdbx",     ".jks",       "credentials.json",
        ".netrc", ".npmrc", ".pypirc", ".pgpass", ".htpasswd", "credentials"};
    static const char *const starts[] = {".env",     "id_rsa",   "id_ed25519",
                                         "id_ecdsa", "secrets.", "secret."};
    struct gy_str name = path, head, tail;
    while (gy_str_cut(name, '/', &head, &tail)) {
        name = tail;
    }
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct gy_str end = gy_str_c(ends[i]);
        if (name.n >= end.n && gy_str_ieq(gy_str_sub(name, name.n - end.n, end.n), end)) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        struct gy_str start = gy_str_c(starts[i]);
        if (gy_str_ieq(gy_str_sub(name, 0, start.n), start)) {
            return true;
        }
    }
    return false;
}

static gy_status is_text(const char *full, bool *ret, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, GY_PATCH_MAX_FILE + 1);
    GY_TRY(gy_file_read(full, &bytes, err));
    *ret = gy_str_find(gy_str_sub(gy_buf_str(&bytes), 0, SNIFF_BYTES), '\0') == SIZE_MAX;
    return GY_OK;
}

static gy_status add_untracked(struct maker *m, struct gy_str path, struct gy_err *err)
{
    char full[GY_MAX_PATH];
    struct stat st;
    bool text = false;
    GY_TRY(full_path(m, path, full, err));
    if (lstat(full, &st) != 0 || !S_ISREG(st.st_mode)) {
        leave_out(m, path, -1, "no regular file");
        return GY_OK;
    }
    if (may_be_secret(path)) {
        leave_out(m, path, (int64_t)st.st_size, "may hold secrets");
        return GY_OK;
    }
    if (st.st_size > GY_PATCH_MAX_FILE) {
        leave_out(m, path, (int64_t)st.st_size, "over 262144");
        return GY_OK;
    }
    if (access(full, R_OK) != 0) { /* git could not read it either; the rest is worth keeping */
        leave_out(m, path, (int64_t)st.st_size, "can not be read");
        return GY_OK;
    }
    GY_TRY(is_text(full, &text, err));
    if (!text) {
        return name_binary(m, path, err);
    }
    const char *name = gy_arena_strdup(&m->arena, path);
    if (!name) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    const char *const argv[] = {DIFF, "--no-index", "--", "/dev/null", name, NULL};
    return git(m, argv, &m->diff, 1, err); /* 1: they differ */
}

static gy_status diff_untracked(struct maker *m, struct gy_err *err)
{
    static const char *const argv[] = {"git", "ls-files", "--others", "--exclude-standard",
                                       "-z",  "--",       ":/",       ":(top,exclude).gyre/",
                                       NULL};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf list;
    size_t n = 0;
    gy_buf_init(&list, MAX_LISTING);
    GY_TRY(git(m, argv, &list, 0, err));
    struct gy_str rest = gy_buf_str(&list), one;
    while (rest.n > 0 && gy_str_next(&rest, '\0', &one)) {
        if (one.n > 0 && ++n > GY_PATCH_MAX_FILES) {
            leave_out(m, GY_STR("all further untracked files"), -1, "more than 1000");
            return GY_OK;
        }
        if (one.n > 0) {
            GY_TRY(add_untracked(m, one, err));
        }
    }
    return GY_OK;
}

/* ---- the whole ---- */

static gy_status make(struct maker *m, struct gy_str commit, struct gy_err *err)
{
    gy_buf_addf(m->out,
                "# gyre: the working tree beside commit %" GY_STR_F "; git checkout %" GY_STR_F
                " && git apply <this file>\n",
                GY_STR_A(commit), GY_STR_A(commit));
    GY_TRY(find_binary(m, err));
    GY_TRY(diff_tracked(m, err));
    GY_TRY(diff_untracked(m, err));
    gy_buf_add(m->out, gy_buf_str(&m->diff));
    return gy_buf_check(m->out, "the patch of a dirty tree", err);
}

static gy_status find_top(struct maker *m, const char *dir, struct gy_err *err)
{
    static const char *const argv[] = {"git", "rev-parse", "--show-toplevel", NULL};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    int code = 0;
    gy_buf_init(&out, GY_MIB);
    GY_TRY(gy_git(dir, argv, &out, &code, err));
    struct gy_str top = gy_buf_str(&out);
    top = gy_str_ends(top, GY_STR("\n")) ? gy_str_sub(top, 0, top.n - 1) : top;
    if (code != 0 || top.n == 0 || top.n >= sizeof m->top) {
        return gy_err_set(err, GY_E_FAILED, "%s is no git working tree", dir);
    }
    (void)snprintf(m->top, sizeof m->top, "%" GY_STR_F, GY_STR_A(top));
    return GY_OK;
}

gy_status gy_flow_code_patch(const char *dir, const char *revision, struct gy_buf *out,
                             struct gy_patch *ret, struct gy_err *err)
{
    static const struct gy_str mark = {"+dirty", sizeof "+dirty" - 1};
    struct gy_str commit = gy_str_c(revision);
    *ret = (struct gy_patch){.dirty = gy_str_ends(commit, mark)};
    if (!ret->dirty) {
        return GY_OK;
    }
    struct maker *m = gy_calloc(1, sizeof *m);
    if (!m) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    m->out = out;
    m->ret = ret;
    gy_buf_init(&m->diff, GY_PATCH_MAX_BYTES);
    gy_arena_init(&m->arena, 64 * GY_MIB);
    gy_status status = find_top(m, dir, err);
    if (status == GY_OK) {
        status = make(m, gy_str_sub(commit, 0, commit.n - mark.n), err);
    }
    gy_buf_done(&m->diff);
    gy_arena_done(&m->arena);
    gy_free(m);
    return status;
}

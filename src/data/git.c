/* SPDX-License-Identifier: Apache-2.0 */
#include "data/git.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/proc.h"

gy_status gy_git(const char *dir, const char *const *argv, struct gy_buf *out, int *ret_code,
                 struct gy_err *err)
{
    static const char *const quiet[] = {"GIT_OPTIONAL_LOCKS=0", "LC_ALL=C", NULL};
    struct gy_err why = GY_ERR_INIT;
    int nowhere =
        open("/dev/null",
             O_WRONLY | O_CLOEXEC); /* its complaints are part of the answer "unversioned" */
    struct gy_proc_options o = {.argv = argv,
                                .cwd = dir,
                                .env_add = quiet,
                                .stdin_fd = -1,
                                .stdout_fd = -1,
                                .stderr_fd = nowhere};
    gy_status status = gy_proc_capture(&o, out, ret_code, &why);
    if (nowhere >= 0) {
        (void)close(nowhere); /* nothing was written by us */
    }
    if (status == GY_E_NOTFOUND || status == GY_E_FAILED) {
        *ret_code = 127;
        return GY_OK;
    }
    if (status != GY_OK && err) {
        *err = why;
    }
    return status;
}

/* The same where a list that is too long is a list. */
static gy_status git(const char *dir, const char *const *argv, struct gy_buf *out, int *ret_code,
                     struct gy_err *err)
{
    struct gy_err why = GY_ERR_INIT;
    gy_status status = gy_git(dir, argv, out, ret_code, &why);
    if (status == GY_E_TOOBIG) {
        *ret_code = 0;
        return GY_OK;
    }
    if (status != GY_OK && err) {
        *err = why;
    }
    return status;
}

gy_status gy_git_revision(const char *dir, char ret[GY_CODE_REVISION], struct gy_err *err)
{
    static const char *const head[] = {"git", "rev-parse", "--verify", "--quiet", "HEAD", NULL};
    static const char *const changes[] = {"git", "status", "--porcelain", "--untracked-files=no",
                                          NULL};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, GY_MIB);
    int code = 0;
    (void)snprintf(ret, GY_CODE_REVISION, "unversioned");
    GY_TRY(git(dir, head, &out, &code, err));
    struct gy_str rev = gy_str_trim(gy_buf_str(&out));
    if (code != 0 || rev.n < 40 || rev.n + 7 > GY_CODE_REVISION) {
        return GY_OK;
    }
    char text[GY_CODE_REVISION];
    (void)snprintf(text, sizeof text, "%" GY_STR_F, GY_STR_A(rev));
    gy_buf_reset(&out);
    GY_TRY(git(dir, changes, &out, &code, err));
    (void)snprintf(ret, GY_CODE_REVISION, "%.56s%s", text, out.n > 0 ? "+dirty" : "");
    return GY_OK;
}

/* The line that names full in the .gitignore beside it, with what patterns would read otherwise
 * escaped; and the path of that file. */
static gy_status ignore_line(const char *dir, struct gy_str full, struct gy_buf *line,
                             char file[GY_MAX_PATH], struct gy_err *err)
{
    const char *slash = full.n > 0 ? memrchr(full.p, '/', full.n) : NULL;
    struct gy_str name = gy_str_sub(full, slash ? (size_t)(slash - full.p) + 1 : 0, full.n);
    int n = snprintf(file, GY_MAX_PATH, "%s/%.*s.gitignore", dir, (int)(full.n - name.n), full.p);
    if (n < 0 || n >= GY_MAX_PATH) {
        return gy_err_set(err, GY_E_TOOBIG, "a path is too long");
    }
    gy_buf_add_char(line, '/');
    for (size_t i = 0; i < name.n; i++) {
        if (strchr("[]!*#?\\", name.p[i]) || (name.p[i] == ' ' && i + 1 == name.n)) {
            gy_buf_add_char(line, '\\');
        }
        gy_buf_add_char(line, name.p[i]);
    }
    return gy_buf_check(line, "a line of .gitignore", err);
}

gy_status gy_git_ignore(const char *dir, struct gy_str full, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    char ignore[GY_MAX_PATH];
    int n = snprintf(path, sizeof path, "%" GY_STR_F, GY_STR_A(full));
    if (n < 0 || n >= (int)sizeof path) {
        return gy_err_set(err, GY_E_TOOBIG, "a path is too long");
    }
    const char *const argv[] = {"git", "check-ignore", "--quiet", "--", path, NULL};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf line;
    gy_buf_init(&out, GY_MIB);
    gy_buf_init(&line, 2 * GY_MAX_PATH);
    int code = 0;
    GY_TRY(git(dir, argv, &out, &code, err));
    if (code != 1) { /* 0: ignored already; 128: no repository; 127: no git */
        return GY_OK;
    }
    GY_TRY(ignore_line(dir, full, &line, ignore, err));
    gy_buf_reset(&out);
    if (gy_path_exists(ignore)) {
        GY_TRY(gy_file_read(ignore, &out, err));
    }
    if (out.n > 0 && out.p[out.n - 1] != '\n') {
        gy_buf_add_char(&out, '\n');
    }
    gy_buf_add(&out, gy_buf_str(&line));
    gy_buf_add_char(&out, '\n');
    GY_TRY(gy_buf_check(&out, ignore, err));
    return gy_file_write(ignore, gy_buf_str(&out), 0666, err);
}

gy_status gy_git_unignore(const char *dir, struct gy_str full, struct gy_err *err)
{
    char ignore[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf was;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf now;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf line;
    gy_buf_init(&was, GY_MIB);
    gy_buf_init(&now, GY_MIB);
    gy_buf_init(&line, 2 * GY_MAX_PATH);
    GY_TRY(ignore_line(dir, full, &line, ignore, err));
    if (!gy_path_exists(ignore)) {
        return GY_OK;
    }
    GY_TRY(gy_file_read(ignore, &was, err));
    struct gy_str rest = gy_buf_str(&was);
    while (rest.n > 0) {
        size_t end = gy_str_find(rest, '\n');
        size_t n = end == SIZE_MAX ? rest.n : end + 1;
        if (!gy_str_eq(gy_str_trim(gy_str_sub(rest, 0, n)), gy_buf_str(&line))) {
            gy_buf_add(&now, gy_str_sub(rest, 0, n));
        }
        rest = gy_str_sub(rest, n, rest.n);
    }
    GY_TRY(gy_buf_check(&now, ignore, err));
    if (now.n == was.n) {
        return GY_OK;
    }
    if (now.n > 0) {
        return gy_file_write(ignore, gy_buf_str(&now), 0666, err);
    }
    return unlink(ignore) == 0 ? GY_OK : gy_err_sys(err, errno, "can not remove %s", ignore);
}

gy_status gy_git_tracks(const char *dir, struct gy_str full, bool *ret, struct gy_err *err)
{
    char path[GY_MAX_PATH + 16];
    int n = snprintf(path, sizeof path, ":(literal)%" GY_STR_F, GY_STR_A(full));
    if (n < 0 || n >= (int)sizeof path) {
        return gy_err_set(err, GY_E_TOOBIG, "a path is too long");
    }
    const char *const argv[] = {"git", "ls-files", "--error-unmatch", "-z", "--", path, NULL};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 256 * GY_MIB); /* a folder with many files in git */
    int code = 0;
    GY_TRY(git(dir, argv, &out, &code, err));
    *ret = code == 0 && out.n > 0;
    return GY_OK;
}

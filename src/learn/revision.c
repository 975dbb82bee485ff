/* SPDX-License-Identifier: Apache-2.0 */
/* The commit of the project, without running git: HEAD, the branch file it names, packed-refs
 * (gitrepository-layout(5)). */
#include <limits.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/limits.h"
#include "learn/publish.h"

#define MAX_REF_BYTES 1024
#define MAX_PACKED_BYTES (16 * GY_MIB)

static bool read_small(const char *dir, const char *name, struct gy_buf *out)
{
    char path[GY_MAX_PATH];
    gy_buf_reset(out);
    return gy_path_join(path, sizeof path, dir, name, NULL) == GY_OK &&
           gy_file_read(path, out, NULL) == GY_OK;
}

static bool take_commit(struct gy_str s, char ret[65])
{
    s = gy_str_trim(s);
    if (s.n != 40 && s.n != 64) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f'))) {
            return false;
        }
    }
    memcpy(ret, s.p, s.n);
    ret[s.n] = '\0';
    return true;
}

static bool from_packed(const char *common, struct gy_str ref, char ret[65])
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, MAX_PACKED_BYTES);
    struct gy_str line;
    if (!read_small(common, "packed-refs", &text)) {
        return false;
    }
    struct gy_str rest = gy_buf_str(&text);
    while (gy_str_next(&rest, '\n', &line)) {
        struct gy_str commit;
        struct gy_str name;
        if (gy_str_cut(line, ' ', &commit, &name) && gy_str_eq(gy_str_trim(name), ref)) {
            return take_commit(commit, ret);
        }
    }
    return false;
}

/* In a work tree made by `git worktree`, .git is a file that names the real folder, and refs stand
 * in the folder that its `commondir` names. */
static bool from_git_dir(const char *git, char ret[65])
{
    char common[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf head;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&head, MAX_REF_BYTES);
    gy_buf_init(&text, MAX_REF_BYTES + GY_MAX_PATH);
    if (gy_path_join(common, sizeof common, git, ".", NULL) != GY_OK) {
        return false;
    }
    if (read_small(git, "commondir", &text)) {
        struct gy_str s = gy_str_trim(gy_buf_str(&text));
        text.p[s.n] = '\0';
        if (s.n == 0 ||
            gy_path_join(common, sizeof common, s.p[0] == '/' ? "/" : git, s.p, NULL) != GY_OK) {
            return false;
        }
    }
    if (!read_small(git, "HEAD", &head)) {
        return false;
    }
    struct gy_str ref = gy_str_trim(gy_buf_str(&head));
    if (!gy_str_starts(ref, GY_STR("ref: "))) {
        return take_commit(ref, ret);
    }
    ref = gy_str_trim(gy_str_sub(ref, 5, ref.n));
    if (gy_path_check_relative(ref, NULL) != GY_OK) {
        return false;
    }
    head.p[(size_t)(ref.p - head.p) + ref.n] = '\0';
    return (read_small(common, ref.p, &text) && take_commit(gy_buf_str(&text), ret)) ||
           from_packed(common, ref, ret);
}

static bool from_git_file(const char *path, char ret[65])
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MAX_PATH + 16);
    if (gy_file_read(path, &text, NULL) != GY_OK ||
        !gy_str_starts(gy_buf_str(&text), GY_STR("gitdir: "))) {
        return false;
    }
    struct gy_str dir = gy_str_trim(gy_str_sub(gy_buf_str(&text), 8, text.n));
    text.p[(size_t)(dir.p - text.p) + dir.n] = '\0';
    return dir.n > 0 && dir.p[0] == '/' && from_git_dir(dir.p, ret);
}

bool gy_code_revision(const char *dir, char ret[65])
{
    char here[PATH_MAX];
    if (!realpath(dir, here)) {
        return false;
    }
    for (;;) {
        char git[GY_MAX_PATH];
        if (gy_path_join(git, sizeof git, here, ".git", NULL) != GY_OK) {
            return false;
        }
        if (gy_path_is_dir(git)) {
            return from_git_dir(git, ret);
        }
        if (gy_path_exists(git)) {
            return from_git_file(git, ret);
        }
        char *slash = strrchr(here, '/');
        if (!slash || slash == here) {
            return false;
        }
        *slash = '\0';
    }
}

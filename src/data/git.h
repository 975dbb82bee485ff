/* SPDX-License-Identifier: Apache-2.0 */
/* Which code this is: asked of git itself, so that worktrees, submodules and packed refs are git's
 * business. */
#ifndef GY_DATA_GIT_H
#define GY_DATA_GIT_H

#include "base/buf.h"

#define GY_CODE_REVISION 64

/* Run git in dir and append what it prints to out; its complaints go nowhere. *ret_code: its exit
 * code, 127 when there is no git. Fails: TOOBIG (over the ceiling of out), NOMEM, IO. */
GY_CHECKED gy_status gy_git(const char *dir, const char *const *argv, struct gy_buf *out,
                            int *ret_code, struct gy_err *err);
/* "<40 hex digits>", with "+dirty" when tracked files differ from it, or "unversioned" without a
 * repository, a commit or git. Fails: NOMEM. */
GY_CHECKED gy_status gy_git_revision(const char *dir, char ret[GY_CODE_REVISION],
                                     struct gy_err *err);
/* Append "/name" to the .gitignore beside full (relative to dir) unless git ignores it already;
 * nothing without a repository. As DVC does for outputs it keeps. Fails: IO, DENIED, NOMEM. */
GY_CHECKED gy_status gy_git_ignore(const char *dir, struct gy_str full, struct gy_err *err);
/* Take that line out again; a .gitignore that is empty then goes. Fails: IO, DENIED, NOMEM. */
GY_CHECKED gy_status gy_git_unignore(const char *dir, struct gy_str full, struct gy_err *err);
/* Is full, or anything in it, in git's index? Without a repository: no. Fails: IO, NOMEM. */
GY_CHECKED gy_status gy_git_tracks(const char *dir, struct gy_str full, bool *ret,
                                   struct gy_err *err);

#endif

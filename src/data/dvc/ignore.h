/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns in the syntax of gitignore: .dvcignore files, which say what DVC does not see, and
 * .gitignore files, which say where no .dvc files are looked for. One file a folder; what stands
 * deeper counts more, the last pattern that matches decides, and nothing inside an ignored folder
 * comes back. Rules are immutable once made and may be shared by threads. */
#ifndef GY_DATA_DVC_IGNORE_H
#define GY_DATA_DVC_IGNORE_H

#include "base/buf.h"

#define GY_DVC_MAX_IGNORE (4 * GY_MIB)      /* bytes of one ignore file */
#define GY_DVC_MAX_PATTERNS ((size_t)65536) /* of one ignore file */

struct gy_dvc_ignore; /* owns all rules of one kind in one repository */
struct gy_dvc_rules;  /* what counts in one folder */

/* name is ".dvcignore" or ".gitignore"; defaults are lines that count in the root before all
 * others. Fails: NOMEM. */
GY_CHECKED gy_status gy_dvc_ignore_new(const char *root, const char *name, const char *defaults,
                                       struct gy_dvc_ignore **ret, struct gy_err *err);
void gy_dvc_ignore_free(struct gy_dvc_ignore *g);
GY_DEFINE_AUTO(struct gy_dvc_ignore *, gy_dvc_ignore_free);

/* The rules of the root alone. */
const struct gy_dvc_rules *gy_dvc_ignore_root(const struct gy_dvc_ignore *g);
/* The rules inside a folder (path from the root, "" for the root), whose parent has the rules
 * above: with its own file's patterns when it has one. Thread safe. Fails: TOOBIG, IO, NOMEM. */
GY_CHECKED gy_status gy_dvc_ignore_enter(struct gy_dvc_ignore *g, const struct gy_dvc_rules *above,
                                         struct gy_str folder, const struct gy_dvc_rules **ret,
                                         struct gy_err *err);
/* Is the entry at path (from the root) ignored? Asked of entries whose folders are not. */
bool gy_dvc_ignored(const struct gy_dvc_rules *rules, struct gy_str path, bool is_dir);
/* The same of any path: each folder on the way is asked, too. *ret_why (MAY be NULL): the pattern,
 * absent when nothing ignores it; live as long as g. */
GY_CHECKED gy_status gy_dvc_ignore_look(struct gy_dvc_ignore *g, struct gy_str path, bool is_dir,
                                        bool *ret, struct gy_str *ret_why, struct gy_err *err);

/* Does the pattern, "**" between '/' included, match the whole path? Exposed for tests. */
bool gy_dvc_wildmatch(struct gy_str pattern, struct gy_str path);

#endif

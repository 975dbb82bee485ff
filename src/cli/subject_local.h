/* SPDX-License-Identifier: Apache-2.0 */
/* One person in the files of a project: tables, logs of dead letters, and what DVC keeps of them
 * (cache and remotes). What a home keeps is the server's (flow/erase.h). Main thread only. */
#ifndef GY_CLI_SUBJECT_LOCAL_H
#define GY_CLI_SUBJECT_LOCAL_H

#include "cli/cli_internal.h"
#include "data/subject.h"

struct gy_local_finding {
    const char *kind; /* letters, file, dvc, cache, remote */
    struct gy_str where;
    int64_t n;
    const char *state; /* as gy_erase_finding says */
    struct gy_str note;
};

struct gy_local_subject {
    struct gy_cli *cli;
    const struct gy_subject *subject;
    const struct gy_str *columns;
    size_t n_columns;
    const struct gy_str *md5; /* of versions that were erased */
    size_t n_md5;
    bool take_out, possible;
    struct gy_str erasure; /* its id; of take_out */
    gy_status (*found)(void *ctx, const struct gy_local_finding *f, struct gy_err *err);
    /* Each row as a JSON object. MAY be NULL. */
    gy_status (*record)(void *ctx, const char *kind, struct gy_str where, struct gy_str json,
                        struct gy_err *err);
    void *ctx;
    /* Set by these functions: files that were rewritten, absolute; MD5s of what they held. */
    struct gy_str *changed, *old_md5;
    size_t n_changed, cap_changed, n_old, cap_old;
};

/* Logs of dead letters; one that is not there is passed over unless named by a user. */
GY_CHECKED gy_status gy_local_letters(struct gy_local_subject *l, const char *path, bool named,
                                      struct gy_err *err);
/* A file, or a folder with all that is in it (hidden folders and links aside). */
GY_CHECKED gy_status gy_local_path(struct gy_local_subject *l, const char *path, bool named,
                                   struct gy_err *err);
/* The DVC repository that the working folder lies in, if any: outputs in the workspace first (as
 * gy_local_path), then .dvc files of what was rewritten, the cache, and all remotes.
 * (subject_dvc.c)
 */
GY_CHECKED gy_status gy_local_dvc(struct gy_local_subject *l, struct gy_err *err);

GY_CHECKED gy_status gy_local_add(struct gy_local_subject *l, struct gy_str **list, size_t *n,
                                  size_t *cap, struct gy_str text, struct gy_err *err);
GY_CHECKED gy_status gy_local_tell(struct gy_local_subject *l, const char *kind, const char *where,
                                   int64_t n, const char *state, const char *note,
                                   struct gy_err *err);
/* Does a file (an object of a cache) hold the subject: as text, or as a table whose header says so?
 */
GY_CHECKED gy_status gy_local_holds(const struct gy_local_subject *l, const char *path, bool *ret,
                                    struct gy_err *err);

#endif

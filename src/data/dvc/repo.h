/* SPDX-License-Identifier: Apache-2.0 */
/* gy_dvc_repo: a project as DVC sees it (3.x is written, 2.x is read too): the folder that holds
 * `.dvc/`, its configuration, its lock, its cache, and what it tracks: the outputs of .dvc files,
 * of dvc.yaml with dvc.lock. One owner; not thread safe unless said. */
#ifndef GY_DATA_DVC_REPO_H
#define GY_DATA_DVC_REPO_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "data/dvc/config.h"

#define GY_DVC_OID_HEX (GY_MD5_HEX + 4) /* "0cc1...ed69.dir" and its NUL */
#define GY_DVC_MAX_FILES 4000000        /* files of one folder that is tracked */

/* The name of an object: its MD5; a folder's is the MD5 of its list, with ".dir". */
struct gy_dvc_oid {
    char hex[GY_DVC_OID_HEX]; /* "": none */
    bool legacy;              /* of DVC 2.x: md5-dos2unix, in <cache>/ab/cdef... */
};
static inline bool gy_dvc_oid_is_dir(const struct gy_dvc_oid *o)
{
    return o->hex[0] && o->hex[GY_MD5_HEX - 1] == '.';
}

/* One tracked output. Paths are from the root with '/', normalised. Views into an arena. */
struct gy_dvc_out {
    struct gy_str path;
    struct gy_str file;  /* the .dvc file or the dvc.yaml that tracks it */
    struct gy_str stage; /* of dvc.yaml; absent: a .dvc file */
    struct gy_dvc_oid oid;
    int64_t size_bytes, n_files; /* -1: not known / a file */
    bool is_exec;
    bool cache; /* false: `cache: false`, DVC keeps no copy */
    bool push;
    bool imported;        /* of a .dvc file with deps: import, import-url */
    struct gy_str remote; /* it is pushed to this one; absent: the default */
};

/* One file of a folder's list. */
struct gy_dvc_entry {
    struct gy_str relpath; /* '/' between folders */
    char md5[GY_MD5_HEX];
};

struct gy_dvc_repo;

/* "" or an MD5 in hex, with ".dir" or not, of either case; false (and ret empty) when it is
 * neither.
 */
bool gy_dvc_oid_set(struct gy_dvc_oid *ret, struct gy_str hex, bool legacy);

/* The repository that dir lies in. Fails: NOTFOUND (with a hint), PARSE (config), IO, NOMEM. */
GY_CHECKED gy_status gy_dvc_repo_open(const char *dir, struct gy_dvc_repo **ret,
                                      struct gy_err *err);
/* The project at root (its very folder), whether it has a `.dvc` or not: without one, files can be
 * digested (gy_dvc_tree) and nothing can be saved or locked. */
GY_CHECKED gy_status gy_dvc_repo_open_at(const char *root, struct gy_dvc_repo **ret,
                                         struct gy_err *err);
bool gy_dvc_repo_is_bare(const struct gy_dvc_repo *r); /* there is no .dvc */
/* The same; made (`.dvc/`, its .gitignore, .dvcignore) when there is none, at the nearest of: the
 * project (gyre.yaml, dvc.yaml), the git repository, dir. */
GY_CHECKED gy_status gy_dvc_repo_init(const char *dir, struct gy_dvc_repo **ret,
                                      struct gy_err *err);
void gy_dvc_repo_free(struct gy_dvc_repo *r); /* gives the lock back */
GY_DEFINE_AUTO(struct gy_dvc_repo *, gy_dvc_repo_free);

const char *gy_dvc_repo_root(const struct gy_dvc_repo *r);  /* absolute */
const char *gy_dvc_repo_cache(const struct gy_dvc_repo *r); /* absolute; cache.dir */
struct gy_dvc_config *gy_dvc_repo_config(struct gy_dvc_repo *r);

/* Take DVC's own lock (.dvc/tmp/lock, as zc.lockfile does): `dvc` and Gyre exclude each other.
 * Waits wait_ms (-1: for ever). Held until the repo is freed. Fails: BUSY (who holds it), IO. */
GY_CHECKED gy_status gy_dvc_repo_lock(struct gy_dvc_repo *r, int64_t wait_ms, struct gy_err *err);

/* All that is tracked (n_targets 0), or what the targets name: a .dvc file, an output, a file or
 * folder inside one (then the whole output), a stage, a dvc.yaml. Sorted by path. Fails: NOTFOUND
 * (a target), PARSE with file:line, INVALID (two own one path), NOMEM. */
GY_CHECKED gy_status gy_dvc_repo_outs(struct gy_dvc_repo *r, const char *const *targets,
                                      size_t n_targets, struct gy_arena *a, struct gy_dvc_out **ret,
                                      size_t *ret_n, struct gy_err *err);

/* "<cache>/files/md5/ab/cdef...", or "<cache>/ab/cdef..." of a legacy one. */
GY_CHECKED gy_status gy_dvc_cache_path(const struct gy_dvc_repo *r, const struct gy_dvc_oid *oid,
                                       char ret[GY_MAX_PATH], struct gy_err *err);
/* Is the object in the cache and to be trusted (mode 0444)? Of another mode it is hashed, made 0444
 * when right and removed when not, as DVC does. Thread safe. */
GY_CHECKED gy_status gy_dvc_cache_has(const struct gy_dvc_repo *r, const struct gy_dvc_oid *oid,
                                      bool *ret, struct gy_err *err);
/* Move the file at tmp (in the cache's file system; see gy_dvc_cache_tmp) into the cache as oid. It
 * must have been checked to hold these bytes. Thread safe. */
GY_CHECKED gy_status gy_dvc_cache_take(struct gy_dvc_repo *r, const struct gy_dvc_oid *oid,
                                       const char *tmp, struct gy_err *err);
/* Make durable, in one go, what was taken since the last call, and let it be trusted: objects
 * become 0444 after they are on disk, so that a power loss leaves nothing that is trusted and
 * wrong. Up to 16 are synced one by one, more by one syncfs. To be called before a file that names
 * them is written, and before a checkout; gy_dvc_repo_free does it, too. Fails: IO, NOSPACE. */
GY_CHECKED gy_status gy_dvc_repo_settle(struct gy_dvc_repo *r, struct gy_err *err);
/* A fresh name for such a file. Thread safe. */
GY_CHECKED gy_status gy_dvc_cache_tmp(const struct gy_dvc_repo *r, char ret[GY_MAX_PATH],
                                      struct gy_err *err);

/* The list of a folder: from the cache (NOTFOUND when it is not there), from bytes, to bytes as DVC
 * writes them (entries are sorted first). */
GY_CHECKED gy_status gy_dvc_dir_load(const struct gy_dvc_repo *r, const struct gy_dvc_oid *oid,
                                     struct gy_arena *a, struct gy_dvc_entry **ret, size_t *ret_n,
                                     struct gy_err *err);
GY_CHECKED gy_status gy_dvc_dir_parse(struct gy_str json, struct gy_arena *a,
                                      struct gy_dvc_entry **ret, size_t *ret_n, struct gy_err *err);
GY_CHECKED gy_status gy_dvc_dir_json(struct gy_dvc_entry *entries, size_t n, struct gy_buf *out,
                                     struct gy_err *err);

/* Bring outputs into the workspace from the cache: reflink, hardlink, symlink or copy as cache.type
 * says; removes what is in the way only when the cache holds it, or force. Objects must be in the
 * cache: NOTFOUND names the first that is not. */
GY_CHECKED gy_status gy_dvc_checkout(struct gy_dvc_repo *r, const struct gy_dvc_out *outs, size_t n,
                                     bool force, struct gy_err *err);

#endif

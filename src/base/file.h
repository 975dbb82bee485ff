/* SPDX-License-Identifier: Apache-2.0 */
/* Files: whole reads with a ceiling, and writes that are either wholly there or not at all
 * (temporary file in the same folder, fsync, rename, fsync of the folder). The only place where
 * Gyre makes files durable. Thread safe. */
#ifndef GY_BASE_FILE_H
#define GY_BASE_FILE_H

#include <sys/types.h>

#include "base/buf.h"

/* Append the whole file to buf. Fails: NOTFOUND, DENIED, IO, TOOBIG (over buf->max_bytes), NOMEM.
 */
GY_CHECKED gy_status gy_file_read(const char *path, struct gy_buf *buf, struct gy_err *err);
/* Replace path by bytes, durably and atomically. Fails: NOSPACE, DENIED, IO. On failure the old
 * file is untouched. */
GY_CHECKED gy_status gy_file_write(const char *path, struct gy_str bytes, mode_t mode,
                                   struct gy_err *err);

/* The same, streamed: open, write as often as wanted, then commit (to path given at open, or to
 * another in the same file system) or abort. gy_file_writer_free aborts what was not committed. One
 * owner. */
struct gy_file_writer;
GY_CHECKED gy_status gy_file_writer_open(const char *path, mode_t mode, struct gy_file_writer **ret,
                                         struct gy_err *err);
/* The same without a name until commit, where the file system can: a process that is killed leaves
 * nothing behind. For large files. */
GY_CHECKED gy_status gy_file_writer_open_nameless(const char *path, mode_t mode,
                                                  struct gy_file_writer **ret, struct gy_err *err);
GY_CHECKED gy_status gy_file_writer_write(struct gy_file_writer *w, struct gy_str bytes,
                                          struct gy_err *err);
GY_CHECKED gy_status gy_file_writer_commit(struct gy_file_writer *w, const char *path_or_null,
                                           struct gy_err *err);
void gy_file_writer_free(struct gy_file_writer *w);
GY_DEFINE_AUTO(struct gy_file_writer *, gy_file_writer_free);

/* Append to a log of lines that must survive, all or nothing: open locks it (flock; others of Gyre
 * wait) and makes it with mode when absent; a torn last line, of a writer that was killed, is
 * closed first; commit makes durable what was written; free without commit takes it back. One
 * owner. */
struct gy_file_appender;
GY_CHECKED gy_status gy_file_appender_open(const char *path, mode_t mode,
                                           struct gy_file_appender **ret, struct gy_err *err);
GY_CHECKED gy_status gy_file_appender_write(struct gy_file_appender *a, struct gy_str bytes,
                                            struct gy_err *err);
GY_CHECKED gy_status gy_file_appender_commit(struct gy_file_appender *a, struct gy_err *err);
void gy_file_appender_free(struct gy_file_appender *a);
GY_DEFINE_AUTO(struct gy_file_appender *, gy_file_appender_free);
/* The same in one call. */
GY_CHECKED gy_status gy_file_append(const char *path, struct gy_str bytes, mode_t mode,
                                    struct gy_err *err);

/* The folder for temporary files: TMPDIR, else /tmp. */
const char *gy_temp_dir(void);
/* A file without a name in the folder dir, for what is put aside and read back: gone when it is
 * closed, or the process ends. */
GY_CHECKED gy_status gy_file_aside(const char *dir, int *ret_fd, struct gy_err *err);
/* Write all of bytes where fd stands; name is for messages. */
GY_CHECKED gy_status gy_fd_write(int fd, const char *name, struct gy_str bytes, struct gy_err *err);
/* Read exactly n bytes at offset. Fails: IO (they are not there, too). */
GY_CHECKED gy_status gy_fd_read_at(int fd, const char *name, char *buf, size_t n, int64_t offset,
                                   struct gy_err *err);

GY_CHECKED gy_status
gy_dir_make(const char *path, struct gy_err *err); /* mkdir -p, 0777 & ~umask; existing is fine */
/* As gy_dir_make, but when path itself is made it is its owner's alone (0700). */
GY_CHECKED gy_status gy_dir_make_private(const char *path, struct gy_err *err);
GY_CHECKED gy_status gy_dir_make_for(const char *path,
                                     struct gy_err *err); /* the folder that path is in */
GY_CHECKED gy_status gy_dir_sync(const char *path, struct gy_err *err); /* fsync of a folder */
GY_CHECKED gy_status gy_dir_remove(
    const char *path, struct gy_err *err); /* rm -r; absent is fine; never follows links */
bool gy_path_exists(const char *path);
bool gy_path_is_dir(const char *path);
int64_t gy_file_size(const char *path); /* -1: no such regular file */
/* dir + "/" + name into buf of GY_MAX_PATH; fails with TOOBIG. */
GY_CHECKED gy_status gy_path_join(char *out, size_t out_size, const char *dir, const char *name,
                                  struct gy_err *err);
/* A relative path from outside (artifact, package file): no empty, "." or ".." segment, no leading
 * '/', no NUL, no backslash. Fails: INVALID. */
GY_CHECKED gy_status gy_path_check_relative(struct gy_str path, struct gy_err *err);

/* Call fn for each entry (not "." and ".."), sorted bytewise. A failing fn ends the walk with its
 * status. */
typedef gy_status (*gy_dir_fn)(void *ctx, const char *name, bool is_dir, struct gy_err *err);
GY_CHECKED gy_status gy_dir_each(const char *path, gy_dir_fn fn, void *ctx, struct gy_err *err);

/* Fault hook for tests: called before each system call that writes, syncs or renames; a non-zero
 * return is the errno it is to fail with. `op` is "open", "write", "fsync", "rename", "unlink" or
 * "mkdir". NULL switches it off. Set while no other thread runs. */
typedef int (*gy_file_fault_fn)(void *ctx, const char *op, const char *path);
void gy_file_set_fault(gy_file_fault_fn fn, void *ctx);

#endif

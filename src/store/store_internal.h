/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the store share: a connection with its statement cache (statements.c), the
 * migrations (migrate.c) and the writer thread (writer.c). Not for other rooms. */
#ifndef GY_STORE_INTERNAL_H
#define GY_STORE_INTERNAL_H

#include <pthread.h>

#include "base/embed.h"
#include "store/scope.h"
#include "store/sql.h"

#define GY_STORE_STATEMENTS 256      /* prepared statements kept a connection */
#define GY_STORE_BUSY_MS 10000       /* how long to wait for another process's write lock */
#define GY_STORE_COMMIT_SAMPLES 1024 /* commit latencies remembered */
#define GY_STORE_WAL_LIMIT \
    (16 * GY_MIB)            /* log size at which a checkpoint does not wait for idleness */
#define GY_STORE_IDLE_MS 200 /* no work for this long: checkpoint */

/* A connection. One thread at a time. */
struct gy_db {
    const struct gy_sql_ops *ops;
    void *conn;
    struct gy_stmt **buckets;        /* by hash of the SQL text */
    struct gy_stmt *oldest, *newest; /* cached ones by last use */
    struct gy_stmt *live;            /* handed out and not finished */
    size_t n_cached;
    struct gy_scope *scope; /* of the closure that runs; NULL: none */
    const char *home;       /* of the store's options */
};

GY_CHECKED gy_status gy_db_open(struct gy_sql_driver driver, const struct gy_sql_config *cfg,
                                struct gy_db **ret, struct gy_err *err);
void gy_db_free(struct gy_db *db); /* NULL allowed */
GY_DEFINE_AUTO(struct gy_db *, gy_db_free);
void gy_db_finish_all(struct gy_db *db); /* what a closure left unfinished */

/* One more connection of a store, the caller's. Fails: UNSUPPORTED (in memory). */
struct gy_store;
GY_CHECKED gy_status gy_store_connect(struct gy_store *s, struct gy_db **ret, struct gy_err *err);

/* The migrations of this program, and bringing a database to them. backup_base: the database's
 * path, to which ".bak-<n>" is added; NULL: no backup (memory). allowed: an older database of a
 * backend that has no backup may be changed. migrations is a parameter so that tests can bring
 * their own. */
extern const struct gy_embedded gy_migrations[];
extern const size_t gy_migrations_count;
GY_CHECKED gy_status gy_store_migrate(struct gy_db *db, const struct gy_embedded *migrations,
                                      size_t n, const char *backup_base, bool allowed,
                                      struct gy_err *err);

/* The writer thread. db_lock (NULL: the connection is the writer's alone) is held while a group
 * runs; the queue's lock is never held while SQL runs. */
struct gy_writer;
GY_CHECKED gy_status gy_writer_start(struct gy_db *db, pthread_mutex_t *db_lock, size_t max_queue,
                                     int max_group, struct gy_writer **ret, struct gy_err *err);
/* As gy_store_compact. */
GY_CHECKED gy_status gy_writer_compact(struct gy_writer *w, const char *tables, struct gy_err *err);
/* Queue and wait for the commit. */
GY_CHECKED gy_status gy_writer_run(struct gy_writer *w, gy_db_fn fn, void *ctx, struct gy_err *err);
void gy_writer_get_stats(struct gy_writer *w, struct gy_store_stats *ret);
void gy_writer_stop(
    struct gy_writer *w); /* runs what is queued, joins, frees; the connection stays the caller's */

/* Marks this thread as inside a closure, where gy_store_* must not be called. */
extern _Thread_local bool gy_store_tl_in_closure;

#endif

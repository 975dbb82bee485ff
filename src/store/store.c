/* SPDX-License-Identifier: Apache-2.0 */
/* The store as other rooms see it: opening, the pool of read connections, and the way to the
 * writer. */
#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "store/store_internal.h"
#include "store/url.h"

#define DEFAULT_READERS 4
#define MAX_READERS 64
#define DEFAULT_QUEUE 10000
#define DEFAULT_GROUP 1000

struct reader {
    struct gy_db *db; /* opened on first use */
    bool taken;
};

struct gy_store {
    struct gy_sql_driver driver;
    struct gy_sql_config cfg;
    char location[GY_MAX_PATH];
    char *vfs;
    struct gy_db *db; /* the writer's; of a memory database the only one, under db_lock */
    struct gy_writer *writer;
    bool memory;
    pthread_mutex_t db_lock;

    char *home;

    pthread_mutex_t lease_lock; /* what follows */
    struct gy_db *lease_db;     /* a connection of its own, opened when somebody asks */
    bool leads;
    int64_t lease_asked_ns;

    pthread_mutex_t lock; /* the readers */
    pthread_cond_t reader_free;
    struct reader readers[MAX_READERS];
    int n_readers;
};

/* The driver of a URL and what of the URL it wants. */
static const struct gy_sql_driver *driver_of(struct gy_str url, struct gy_str *ret_location)
{
    struct gy_str file = GY_STR("sqlite://");
    *ret_location = url;
    if (gy_str_starts(url, file) && url.n > file.n) {
        *ret_location = gy_str_sub(url, file.n, SIZE_MAX);
        return &gy_sql_sqlite;
    }
    bool postgres =
        gy_str_starts(url, GY_STR("postgresql://")) || gy_str_starts(url, GY_STR("postgres://"));
    return postgres ? &gy_sql_postgres : NULL;
}

static gy_status configure(struct gy_store *s, const struct gy_store_options *o, struct gy_err *err)
{
    struct gy_str location;
    const struct gy_sql_driver *driver = driver_of(gy_str_c(o->url), &location);
    if (!driver || location.n >= sizeof s->location) {
        char shown[GY_STORE_URL_SHOWN];
        gy_err_set(err, GY_E_INVALID, "not a store: '%s'", gy_store_url_show(o->url, shown));
        return gy_err_hint(err, "use sqlite:///absolute/path/gyre.db or "
                                "postgresql://USER:PASSWORD@HOST:PORT/DATABASE");
    }
    memcpy(s->location, location.p, location.n);
    if (o->home) {
        s->home = gy_strdup(o->home);
        if (!s->home) {
            return gy_err_set(err, GY_E_NOMEM, "opening the store");
        }
    }
    if (o->vfs) {
        s->vfs = gy_strdup(o->vfs);
        if (!s->vfs) {
            return gy_err_set(err, GY_E_NOMEM, "opening the store");
        }
    }
    s->driver = o->driver ? *o->driver : *driver;
    s->cfg = (struct gy_sql_config){
        .location = gy_str_c(s->location), .vfs = s->vfs, .busy_timeout_ms = GY_STORE_BUSY_MS};
    s->memory = s->driver.ops->is_memory(s->driver.self, &s->cfg);
    s->n_readers = o->n_readers > 0 ? o->n_readers : DEFAULT_READERS;
    s->n_readers = s->n_readers > MAX_READERS ? MAX_READERS : s->n_readers;
    return GY_OK;
}

static gy_status open_db(struct gy_store *s, struct gy_db **ret, struct gy_err *err)
{
    GY_TRY(gy_db_open(s->driver, &s->cfg, ret, err));
    (*ret)->home = s->home;
    return GY_OK;
}

gy_status gy_store_open(const struct gy_store_options *o, struct gy_store **ret, struct gy_err *err)
{
    GY_AUTO(gy_store_free) struct gy_store *s = gy_calloc(1, sizeof *s);
    if (!s) {
        return gy_err_set(err, GY_E_NOMEM, "opening the store");
    }
    GY_REQUIRE(pthread_mutex_init(&s->db_lock, NULL) == 0 &&
               pthread_mutex_init(&s->lock, NULL) == 0 &&
               pthread_mutex_init(&s->lease_lock, NULL) == 0 &&
               pthread_cond_init(&s->reader_free, NULL) == 0);
    GY_TRY(configure(s, o, err));
    GY_TRY(open_db(s, &s->db, err));
    gy_status status = gy_store_migrate(s->db, gy_migrations, gy_migrations_count,
                                        s->memory ? NULL : s->location, o->migrate, err);
    if (status != GY_OK) {
        char shown[GY_STORE_URL_SHOWN];
        gy_err_wrap(err, "store '%s'", gy_store_url_show(o->url, shown));
        return status;
    }
    GY_TRY(gy_writer_start(s->db, s->memory ? &s->db_lock : NULL,
                           o->max_queue ? o->max_queue : DEFAULT_QUEUE,
                           o->max_group > 0 ? o->max_group : DEFAULT_GROUP, &s->writer, err));
    *ret = GY_TAKE(s);
    return GY_OK;
}

void gy_store_free(struct gy_store *s)
{
    if (!s) {
        return;
    }
    if (s->writer) {
        gy_writer_stop(s->writer);
    }
    for (int i = 0; i < s->n_readers; i++) {
        GY_REQUIRE(!s->readers[i].taken);
        gy_db_free(s->readers[i].db);
    }
    gy_db_free(s->lease_db);
    gy_db_free(s->db); /* the last connection moves the log into the database */
    pthread_cond_destroy(&s->reader_free);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->lease_lock);
    gy_free(s->home);
    pthread_mutex_destroy(&s->db_lock);
    gy_free(s->vfs);
    gy_free(s);
}

gy_status gy_store_write(struct gy_store *s, gy_db_fn fn, void *ctx, struct gy_err *err)
{
    GY_REQUIRE(!gy_store_tl_in_closure);
    return gy_writer_run(s->writer, fn, ctx, err);
}

gy_status gy_store_compact(struct gy_store *s, const char *tables, struct gy_err *err)
{
    GY_REQUIRE(!gy_store_tl_in_closure);
    return gy_writer_compact(s->writer, tables, err);
}

static gy_status run_read(struct gy_db *db, gy_db_fn fn, void *ctx, struct gy_err *err)
{
    GY_TRY(db->ops->begin(db->conn, false, err));
    db->scope = gy_scope_current();
    gy_store_tl_in_closure = true;
    gy_status status = fn(db, ctx, err);
    gy_store_tl_in_closure = false;
    db->scope = NULL;
    gy_db_finish_all(db);
    db->ops->rollback(db->conn); /* nothing was written; unlike commit it can not fail */
    return status;
}

/* An open connection first, so that idle ones stay unopened. */
static struct reader *take_reader(struct gy_store *s)
{
    struct reader *found = NULL;
    pthread_mutex_lock(&s->lock);
    while (!found) {
        for (int i = 0; i < s->n_readers; i++) {
            struct reader *r = &s->readers[i];
            if (!r->taken && (!found || (r->db && !found->db))) {
                found = r;
            }
        }
        if (!found) {
            pthread_cond_wait(&s->reader_free, &s->lock);
        }
    }
    found->taken = true;
    pthread_mutex_unlock(&s->lock);
    return found;
}

static void give_reader(struct gy_store *s, struct reader *r)
{
    pthread_mutex_lock(&s->lock);
    r->taken = false;
    pthread_cond_signal(&s->reader_free);
    pthread_mutex_unlock(&s->lock);
}

gy_status gy_store_read(struct gy_store *s, gy_db_fn fn, void *ctx, struct gy_err *err)
{
    GY_REQUIRE(!gy_store_tl_in_closure);
    if (s->memory) {
        pthread_mutex_lock(&s->db_lock);
        gy_status status = run_read(s->db, fn, ctx, err);
        pthread_mutex_unlock(&s->db_lock);
        return status;
    }
    struct reader *r = take_reader(s);
    gy_status status = r->db ? GY_OK : open_db(s, &r->db, err);
    if (status == GY_OK) {
        GY_REQUIRE(r->db);
        status = run_read(r->db, fn, ctx, err);
    }
    give_reader(s, r);
    return status;
}

gy_status gy_store_connect(struct gy_store *s, struct gy_db **ret, struct gy_err *err)
{
    if (s->memory) {
        return gy_err_set(err, GY_E_UNSUPPORTED, "a database in memory has one connection");
    }
    return open_db(s, ret, err);
}

bool gy_store_url_is_shared(const char *url)
{
    struct gy_str location;
    const struct gy_sql_driver *driver = driver_of(gy_str_c(url), &location);
    return driver && driver->ops->lease;
}

bool gy_store_is_shared(const struct gy_store *s)
{
    return s->driver.ops->lease != NULL;
}

#define LEASE_FRESH_NS 1000000000

bool gy_store_leads(struct gy_store *s)
{
    if (!gy_store_is_shared(s)) {
        return true;
    }
    pthread_mutex_lock(&s->lease_lock);
    int64_t now = gy_mono_ns();
    if (s->lease_asked_ns == 0 || now - s->lease_asked_ns > LEASE_FRESH_NS) {
        struct gy_err err = GY_ERR_INIT;
        bool held = false;
        gy_status status = s->lease_db ? GY_OK : open_db(s, &s->lease_db, &err);
        if (status == GY_OK) {
            status = s->driver.ops->lease(s->lease_db->conn, &held, &err);
        }
        if (status == GY_OK && held != s->leads) {
            gy_log(GY_LOG_INFO, "store",
                   held ? "this server does the background work"
                        : "another server does the background work");
        }
        s->leads = status == GY_OK && held;
        s->lease_asked_ns = gy_mono_ns();
    }
    bool leads = s->leads;
    pthread_mutex_unlock(&s->lease_lock);
    return leads;
}

void gy_store_get_stats(struct gy_store *s, struct gy_store_stats *ret)
{
    gy_writer_get_stats(s->writer, ret);
}

static gy_status check_closure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    return db->ops->check(db->conn, err);
}

gy_status gy_store_check(struct gy_store *s, struct gy_err *err)
{
    return gy_store_read(s, check_closure, NULL, err);
}

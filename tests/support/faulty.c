/* SPDX-License-Identifier: Apache-2.0 */
#include "faulty.h"

#include "base/mem.h"

bool fault_hit(struct fault *f, unsigned op)
{
    if (!(f->ops & op)) {
        return false;
    }
    long n = atomic_fetch_add(&f->seen, 1) + 1;
    if (f->at == 0 || n < f->at || (f->once && n > f->at)) {
        return false;
    }
    atomic_fetch_add(&f->fired, 1);
    return true;
}

void fault_reset(struct fault *f, unsigned ops, long at, bool once)
{
    f->ops = ops;
    f->at = at;
    f->once = once;
    f->code = GY_E_IO;
    f->torn = false;
    atomic_store(&f->seen, 0);
    atomic_store(&f->fired, 0);
}

static gy_status injected(struct fault *f, struct gy_err *err, const char *op)
{
    return gy_err_set(err, f->code, "injected: %s", op);
}

#define INJECT(f, op, err)                    \
    do {                                      \
        if (fault_hit((f), (op))) {           \
            return injected((f), (err), #op); \
        }                                     \
    } while (0)

/* ---- statements ---- */

struct conn {
    struct faulty_sql *f;
    const struct gy_sql_ops *ops;
    void *inner;
};

struct stmt {
    struct conn *conn;
    void *inner;
};

static bool sql_is_memory(void *self, const struct gy_sql_config *c)
{
    struct faulty_sql *f = self;
    return f->inner.ops->is_memory(f->inner.self, c);
}

static gy_status sql_open(void *self, const struct gy_sql_config *cfg, void **ret,
                          struct gy_err *err)
{
    struct faulty_sql *f = self;
    INJECT(&f->fault, FAULT_OPEN, err);
    struct conn *c = gy_calloc(1, sizeof *c);
    if (!c) {
        return gy_err_set(err, GY_E_NOMEM, "faulty connection");
    }
    *c = (struct conn){.f = f, .ops = f->inner.ops};
    gy_status status = f->inner.ops->open(f->inner.self, cfg, &c->inner, err);
    if (status != GY_OK) {
        gy_free(c);
        return status;
    }
    *ret = c;
    return GY_OK;
}

static void sql_close(void *conn)
{
    struct conn *c = conn;
    c->ops->close(c->inner);
    gy_free(c);
}

static gy_status sql_prepare(void *conn, const char *sql, void **ret, struct gy_err *err)
{
    struct conn *c = conn;
    INJECT(&c->f->fault, FAULT_PREPARE, err);
    struct stmt *s = gy_calloc(1, sizeof *s);
    if (!s) {
        return gy_err_set(err, GY_E_NOMEM, "faulty statement");
    }
    s->conn = c;
    gy_status status = c->ops->prepare(c->inner, sql, &s->inner, err);
    if (status != GY_OK) {
        gy_free(s);
        return status;
    }
    *ret = s;
    return GY_OK;
}

static void sql_finalize(void *stmt)
{
    struct stmt *s = stmt;
    s->conn->ops->finalize(s->inner);
    gy_free(s);
}

static gy_status sql_bind(void *stmt, const struct gy_val *vals, size_t n, bool copy,
                          struct gy_err *err)
{
    struct stmt *s = stmt;
    INJECT(&s->conn->f->fault, FAULT_BIND, err);
    return s->conn->ops->bind(s->inner, vals, n, copy, err);
}

static gy_status sql_step(void *stmt, bool *ret_row, struct gy_err *err)
{
    struct stmt *s = stmt;
    INJECT(&s->conn->f->fault, FAULT_STEP, err);
    return s->conn->ops->step(s->inner, ret_row, err);
}

static void sql_reset(void *stmt)
{
    struct stmt *s = stmt;
    s->conn->ops->reset(s->inner);
}

static int sql_n_columns(void *stmt)
{
    struct stmt *s = stmt;
    return s->conn->ops->n_columns(s->inner);
}

static void sql_column(void *stmt, int column, enum gy_val_kind want, struct gy_val *ret)
{
    struct stmt *s = stmt;
    s->conn->ops->column(s->inner, column, want, ret);
}

static int64_t sql_changes(void *conn)
{
    struct conn *c = conn;
    return c->ops->changes(c->inner);
}

static int64_t sql_last_id(void *conn)
{
    struct conn *c = conn;
    return c->ops->last_id(c->inner);
}

static gy_status sql_exec(void *conn, const char *sql, struct gy_err *err)
{
    struct conn *c = conn;
    INJECT(&c->f->fault, FAULT_EXEC, err);
    return c->ops->exec(c->inner, sql, err);
}

static gy_status sql_begin(void *conn, bool write, struct gy_err *err)
{
    struct conn *c = conn;
    INJECT(&c->f->fault, FAULT_BEGIN, err);
    return c->ops->begin(c->inner, write, err);
}

static gy_status sql_commit(void *conn, struct gy_err *err)
{
    struct conn *c = conn;
    INJECT(&c->f->fault, FAULT_COMMIT, err);
    return c->ops->commit(c->inner, err);
}

static void sql_rollback(void *conn)
{
    struct conn *c = conn;
    c->ops->rollback(c->inner);
}

static bool sql_in_transaction(void *conn)
{
    struct conn *c = conn;
    return c->ops->in_transaction(c->inner);
}

static gy_status sql_savepoint(void *conn, struct gy_err *err)
{
    struct conn *c = conn;
    INJECT(&c->f->fault, FAULT_SAVEPOINT, err);
    return c->ops->savepoint(c->inner, err);
}

static gy_status sql_release(void *conn, struct gy_err *err)
{
    struct conn *c = conn;
    INJECT(&c->f->fault, FAULT_RELEASE, err);
    return c->ops->release(c->inner, err);
}

static gy_status sql_rollback_to(void *conn, struct gy_err *err)
{
    struct conn *c = conn;
    INJECT(&c->f->fault, FAULT_ROLLBACK_TO, err);
    return c->ops->rollback_to(c->inner, err);
}

static int64_t sql_wal_bytes(void *conn)
{
    struct conn *c = conn;
    return c->ops->wal_bytes ? c->ops->wal_bytes(c->inner) : 0;
}

static gy_status sql_compact(void *conn, const char *tables, struct gy_err *err)
{
    struct conn *c = conn;
    INJECT(&c->f->fault, FAULT_CHECKPOINT, err);
    return c->ops->compact ? c->ops->compact(c->inner, tables, err) : GY_OK;
}

static gy_status sql_checkpoint(void *conn, struct gy_err *err)
{
    struct conn *c = conn;
    INJECT(&c->f->fault, FAULT_CHECKPOINT, err);
    return c->ops->checkpoint ? c->ops->checkpoint(c->inner, err) : GY_OK;
}

static gy_status sql_backup(void *conn, const char *path, struct gy_err *err)
{
    struct conn *c = conn;
    return c->ops->backup(c->inner, path, err);
}

static gy_status sql_check(void *conn, struct gy_err *err)
{
    struct conn *c = conn;
    return c->ops->check(c->inner, err);
}

static const struct gy_sql_ops faulty_sql_ops = {
    .version = 1,
    .name = "faulty",
    .dialect = GY_SQL_SQLITE,
    .is_memory = sql_is_memory,
    .open = sql_open,
    .close = sql_close,
    .prepare = sql_prepare,
    .finalize = sql_finalize,
    .bind = sql_bind,
    .step = sql_step,
    .reset = sql_reset,
    .n_columns = sql_n_columns,
    .column = sql_column,
    .changes = sql_changes,
    .last_id = sql_last_id,
    .exec = sql_exec,
    .begin = sql_begin,
    .commit = sql_commit,
    .rollback = sql_rollback,
    .in_transaction = sql_in_transaction,
    .savepoint = sql_savepoint,
    .release = sql_release,
    .rollback_to = sql_rollback_to,
    .wal_bytes = sql_wal_bytes,
    .checkpoint = sql_checkpoint,
    .backup = sql_backup,
    .check = sql_check,
    .compact = sql_compact,
};

struct gy_sql_driver faulty_sql(struct faulty_sql *f, struct gy_sql_driver inner)
{
    f->inner = inner;
    fault_reset(&f->fault, 0, 0, false);
    return (struct gy_sql_driver){&faulty_sql_ops, f};
}

/* ---- objects ---- */

struct faulty_put {
    struct faulty_objects *f;
    void *inner;
};

static gy_status objects_put_begin(void *self, void **ret_put, struct gy_err *err)
{
    struct faulty_objects *f = self;
    INJECT(&f->fault, FAULT_PUT_BEGIN, err);
    struct faulty_put *p = gy_calloc(1, sizeof *p);
    if (!p) {
        return gy_err_set(err, GY_E_NOMEM, "faulty put");
    }
    p->f = f;
    gy_status status = f->ops->put_begin(f->self, &p->inner, err);
    if (status != GY_OK) {
        gy_free(p);
        return status;
    }
    *ret_put = p;
    return GY_OK;
}

static gy_status objects_put_write(void *put, struct gy_str bytes, struct gy_err *err)
{
    struct faulty_put *p = put;
    INJECT(&p->f->fault, FAULT_PUT_WRITE, err);
    return p->f->ops->put_write(p->inner, bytes, err);
}

static gy_status objects_put_commit(void *put, const char *sha256, int64_t size_bytes,
                                    struct gy_err *err)
{
    struct faulty_put *p = put;
    INJECT(&p->f->fault, FAULT_PUT_COMMIT, err);
    return p->f->ops->put_commit(p->inner, sha256, size_bytes, err);
}

static void objects_put_free(void *put)
{
    struct faulty_put *p = put;
    p->f->ops->put_free(p->inner);
    gy_free(p);
}

static gy_status objects_open_fd(void *self, const char *sha256, int *ret_fd, int64_t *ret_size,
                                 struct gy_err *err)
{
    struct faulty_objects *f = self;
    INJECT(&f->fault, FAULT_OPEN_FD, err);
    return f->ops->open_fd(f->self, sha256, ret_fd, ret_size, err);
}

static gy_status objects_find(void *self, const char *sha256, bool durable, int64_t *ret_size,
                              struct gy_err *err)
{
    struct faulty_objects *f = self;
    INJECT(&f->fault, FAULT_FIND, err);
    return f->ops->find(f->self, sha256, durable, ret_size, err);
}

static void objects_free(void *self)
{
    struct faulty_objects *f = self;
    f->ops->free(f->self);
}

static gy_status objects_list(void *self, gy_object_fn fn, void *ctx, struct gy_err *err)
{
    struct faulty_objects *f = self;
    INJECT(&f->fault, FAULT_LIST, err);
    return f->ops->list(f->self, fn, ctx, err);
}

static gy_status objects_remove(void *self, const char *sha256, int64_t before_us,
                                bool *ret_removed, struct gy_err *err)
{
    struct faulty_objects *f = self;
    INJECT(&f->fault, FAULT_REMOVE, err);
    return f->ops->remove(f->self, sha256, before_us, ret_removed, err);
}

static gy_status objects_clean(void *self, int64_t before_us, int64_t *ret_n, struct gy_err *err)
{
    struct faulty_objects *f = self;
    INJECT(&f->fault, FAULT_CLEAN, err);
    return f->ops->clean(f->self, before_us, ret_n, err);
}

static const struct gy_objects_ops faulty_objects_ops = {
    .version = 1,
    .name = "faulty",
    .put_begin = objects_put_begin,
    .put_write = objects_put_write,
    .put_commit = objects_put_commit,
    .put_free = objects_put_free,
    .open_fd = objects_open_fd,
    .find = objects_find,
    .free = objects_free,
    .list = objects_list,
    .remove = objects_remove,
    .clean = objects_clean,
};

gy_status faulty_objects(struct faulty_objects *f, struct gy_objects **inner,
                         struct gy_objects **ret, struct gy_err *err)
{
    gy_objects_take_backend(*inner, &f->ops, &f->self);
    *inner = NULL;
    fault_reset(&f->fault, 0, 0, false);
    return gy_objects_new(&faulty_objects_ops, f, ret, err);
}

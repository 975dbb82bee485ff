/* SPDX-License-Identifier: Apache-2.0 */
/* Wrappers over the store's vtables, and a SQLite VFS, that fail on demand. All share one counter a
 * wrapper: operations that match are counted, and those from the Nth on fail (or the Nth alone).
 * Set while no other thread uses the wrapper. */
#ifndef GY_TESTS_FAULTY_H
#define GY_TESTS_FAULTY_H

#include <stdatomic.h>

#include "store/object_ops.h"
#include "store/sql.h"

struct fault {
    unsigned ops;      /* bits of the operations that count, 0: none */
    long at;           /* the Nth of them fails, 0: none */
    bool once;         /* only that one; else all from there on, as after a power loss */
    gy_status code;    /* with this (the VFS: see its own) */
    bool torn;         /* the VFS: a failing write leaves its first half behind */
    atomic_long seen;  /* matching operations so far */
    atomic_long fired; /* failures given */
};

/* True when this operation is to fail. */
bool fault_hit(struct fault *f, unsigned op);
void fault_reset(struct fault *f, unsigned ops, long at, bool once);

/* ---- statements ---- */
#define FAULT_OPEN (1u << 0)
#define FAULT_PREPARE (1u << 1)
#define FAULT_BIND (1u << 2)
#define FAULT_STEP (1u << 3)
#define FAULT_BEGIN (1u << 4)
#define FAULT_COMMIT (1u << 5)
#define FAULT_SAVEPOINT (1u << 6)
#define FAULT_RELEASE (1u << 7)
#define FAULT_ROLLBACK_TO (1u << 8)
#define FAULT_EXEC (1u << 9)
#define FAULT_CHECKPOINT (1u << 10)
#define FAULT_SQL_ALL ((1u << 11) - 1)

struct faulty_sql {
    struct gy_sql_driver inner;
    struct fault fault;
};
/* A driver over inner; f must outlive its connections. */
struct gy_sql_driver faulty_sql(struct faulty_sql *f, struct gy_sql_driver inner);

/* ---- objects ---- */
#define FAULT_PUT_BEGIN (1u << 0)
#define FAULT_PUT_WRITE (1u << 1)
#define FAULT_PUT_COMMIT (1u << 2)
#define FAULT_OPEN_FD (1u << 3)
#define FAULT_FIND (1u << 4)
#define FAULT_LIST (1u << 5)
#define FAULT_REMOVE (1u << 6)
#define FAULT_CLEAN (1u << 7)
#define FAULT_OBJECTS_ALL ((1u << 8) - 1)

struct faulty_objects {
    const struct gy_objects_ops *ops;
    void *self;
    struct fault fault;
};
/* Takes the backend out of *inner and wraps it; f must outlive the result. */
gy_status faulty_objects(struct faulty_objects *f, struct gy_objects **inner,
                         struct gy_objects **ret, struct gy_err *err);

/* ---- files below SQLite ---- */
#define FAULT_VFS "gyre-fault"
#define FAULT_WRITE (1u << 0)
#define FAULT_SYNC (1u << 1)
#define FAULT_TRUNCATE (1u << 2)
#define FAULT_FILE_OPEN (1u << 3)
#define FAULT_DELETE (1u << 4)
#define FAULT_READ (1u << 5)
#define FAULT_LOSING ((1u << 5) - 1) /* all that change the disk */

/* Register FAULT_VFS over the default one (again: does nothing) and give its only fault. code
 * NOSPACE: writes fail as on a full disk; else as a broken one. */
struct fault *fault_vfs(void);
/* Power loss: remember the old bytes of each write until its file is synced. Then, with every
 * connection closed, take back about half of them, by seed; returns how many. Off at first. */
void fault_vfs_track(bool on);
int fault_vfs_lose_unsynced(uint64_t seed);

/* ---- SQLite's own memory ---- */
#define FAULT_ALLOC (1u << 0)
/* Give SQLite an allocator that fails by this fault. Once, before anything of SQLite is used. */
struct fault *fault_sqlite_memory(void);
int64_t fault_sqlite_live(void); /* its blocks in use */

#endif

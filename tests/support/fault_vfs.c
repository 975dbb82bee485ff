/* SPDX-License-Identifier: Apache-2.0 */
/* A SQLite VFS over the default one that fails, or tears, the Nth operation (SQLite's "VFS shim",
 * sqlite.org/vfs.html). */
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "faulty.h"

static struct fault g_fault;
static sqlite3_vfs g_vfs, *g_real;

/* SQLite allocates szOsFile bytes: ours, then the real file's. */
struct file {
    sqlite3_file base;
    const char *path; /* SQLite's, lives as long as the file; NULL for its temporary ones */
    sqlite3_file *real;
};

/* What a power loss would take back: the old bytes of every write that no sync has followed, newest
 * first. */
struct undo {
    char path[256];
    sqlite3_int64 at, old_size;
    int n, n_old; /* bytes written; of them, over old ones */
    unsigned char *old;
    struct undo *older;
};

static pthread_mutex_t g_undo_lock = PTHREAD_MUTEX_INITIALIZER;
static struct undo *g_undo;
static bool g_undo_on;

static void undo_free(struct undo *u)
{
    free(u->old);
    free(u);
}

static void undo_note(struct file *f, int n, sqlite3_int64 at)
{
    if (!g_undo_on || !f->path) {
        return;
    }
    struct undo *u = calloc(1, sizeof *u);
    GY_REQUIRE(u && (size_t)snprintf(u->path, sizeof u->path, "%s", f->path) < sizeof u->path);
    u->at = at;
    u->n = n;
    GY_REQUIRE(f->real->pMethods->xFileSize(f->real, &u->old_size) == SQLITE_OK);
    sqlite3_int64 there = u->old_size > at ? u->old_size - at : 0;
    u->n_old = there < n ? (int)there : n;
    u->old = calloc(1, (size_t)u->n_old + 1);
    GY_REQUIRE(u->old && f->real->pMethods->xRead(f->real, u->old, u->n_old, at) == SQLITE_OK);
    pthread_mutex_lock(&g_undo_lock);
    u->older = g_undo;
    g_undo = u;
    pthread_mutex_unlock(&g_undo_lock);
}

/* path NULL: of all files. */
static void undo_forget(const char *path)
{
    pthread_mutex_lock(&g_undo_lock);
    for (struct undo **at = &g_undo; *at;) {
        struct undo *u = *at;
        if (!path || strcmp(u->path, path) == 0) {
            *at = u->older;
            undo_free(u);
        } else {
            at = &u->older;
        }
    }
    pthread_mutex_unlock(&g_undo_lock);
}

void fault_vfs_track(bool on)
{
    undo_forget(NULL);
    g_undo_on = on;
}

/* What was new at the end of the file goes; in its middle the blocks stay, never written. */
static void undo_apply(int fd, const struct undo *u)
{
    GY_REQUIRE(pwrite(fd, u->old, (size_t)u->n_old, u->at) == u->n_old);
    off_t size = lseek(fd, 0, SEEK_END);
    if (u->n_old == u->n || size < u->at + u->n_old) {
        return;
    }
    if (size <= u->at + u->n) {
        GY_REQUIRE(ftruncate(fd, u->at + u->n_old) == 0);
        return;
    }
    char *zeros = calloc(1, (size_t)(u->n - u->n_old));
    GY_REQUIRE(zeros);
    ssize_t done = pwrite(fd, zeros, (size_t)(u->n - u->n_old), u->at + u->n_old);
    GY_REQUIRE(done == u->n - u->n_old);
    free(zeros);
}

int fault_vfs_lose_unsynced(uint64_t seed)
{
    int lost = 0;
    g_undo_on = false;
    while (g_undo) {
        struct undo *u = g_undo;
        g_undo = u->older;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        int fd = seed >> 63 ? open(u->path, O_WRONLY | O_CLOEXEC)
                            : -1; /* a removed file has nothing to lose */
        if (fd >= 0) {
            undo_apply(fd, u);
            close(fd);
            lost++;
        }
        undo_free(u);
    }
    return lost;
}

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((struct file *)f)->real;
}

static int broken_write(void)
{
    return g_fault.code == GY_E_NOSPACE ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int file_close(sqlite3_file *f)
{
    sqlite3_file *r = real_of(f);
    return r->pMethods ? r->pMethods->xClose(r) : SQLITE_OK;
}

static int file_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    if (fault_hit(&g_fault, FAULT_READ)) {
        return SQLITE_IOERR_READ;
    }
    return real_of(f)->pMethods->xRead(real_of(f), p, n, at);
}

static int file_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    if (fault_hit(&g_fault, FAULT_WRITE)) {
        /* After the first failure nothing reaches the disk any more: only that one is torn. */
        if (g_fault.torn && n > 1 && atomic_load(&g_fault.fired) == 1) {
            undo_note((struct file *)f, n / 2, at);
            (void)real_of(f)->pMethods->xWrite(real_of(f), p, n / 2, at);
        }
        return broken_write();
    }
    undo_note((struct file *)f, n, at);
    return real_of(f)->pMethods->xWrite(real_of(f), p, n, at);
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return fault_hit(&g_fault, FAULT_TRUNCATE) ? SQLITE_IOERR_TRUNCATE
                                               : real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int file_sync(sqlite3_file *f, int flags)
{
    if (fault_hit(&g_fault, FAULT_SYNC)) {
        return SQLITE_IOERR_FSYNC;
    }
    int rc = real_of(f)->pMethods->xSync(real_of(f), flags);
    if (rc == SQLITE_OK && ((struct file *)f)->path) {
        undo_forget(((struct file *)f)->path);
    }
    return rc;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return real_of(f)->pMethods->xFileSize(real_of(f), size);
}

static int file_lock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int file_unlock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int file_check_reserved(sqlite3_file *f, int *out)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
    return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int file_sector_size(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int file_characteristics(sqlite3_file *f)
{
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int file_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, out);
}

static int file_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *f)
{
    real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int file_shm_unmap(sqlite3_file *f, int delete_it)
{
    return real_of(f)->pMethods->xShmUnmap(real_of(f), delete_it);
}

static const sqlite3_io_methods g_methods = {
    .iVersion = 2, /* without memory mapping, which would go past us */
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
    (void)vfs;
    struct file *file = (struct file *)f;
    memset(file, 0, sizeof *file);
    if (fault_hit(&g_fault, FAULT_FILE_OPEN)) {
        return SQLITE_CANTOPEN;
    }
    file->real = (sqlite3_file *)(file + 1);
    file->path = name;
    int rc = g_real->xOpen(g_real, name, file->real, flags, out_flags);
    if (rc == SQLITE_OK) {
        file->base.pMethods = &g_methods;
    }
    return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
    (void)vfs;
    return fault_hit(&g_fault, FAULT_DELETE) ? SQLITE_IOERR_DELETE
                                             : g_real->xDelete(g_real, name, sync_dir);
}

struct fault *fault_vfs(void)
{
    if (!g_real) {
        g_real = sqlite3_vfs_find(NULL);
        g_vfs = *g_real;
        g_vfs.pNext = NULL;
        g_vfs.zName = FAULT_VFS;
        g_vfs.szOsFile = (int)sizeof(struct file) + g_real->szOsFile;
        g_vfs.xOpen = vfs_open;
        g_vfs.xDelete = vfs_delete;
        GY_REQUIRE(sqlite3_vfs_register(&g_vfs, 0) == SQLITE_OK);
    }
    return &g_fault;
}

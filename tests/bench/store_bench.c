/* SPDX-License-Identifier: Apache-2.0 */
/* Durable commits a second through the store, beside what the disk itself can do.
 *   store_bench [DIR] [SECONDS]      DIR: where (default: here); SECONDS of each line (default 2)
 * Lines: fdatasync after appending, and after overwriting, 4 KiB of one file; then the store with
 * 1, 8 and 32 writers of one row each. The ratio is to the overwriting fdatasync, the fastest
 * durable thing there is. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/time.h"
#include "store/store.h"

static atomic_bool g_stop;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void must(gy_status status, const struct gy_err *err)
{
    if (status != GY_OK) {
        fprintf(stderr, "%s\n", err->msg);
        exit(1);
    }
}

static double bench_disk(const char *dir, bool append, double seconds)
{
    char path[GY_MAX_PATH], page[4096];
    snprintf(path, sizeof path, "%s/disk", dir);
    memset(page, 7, sizeof page);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || pwrite(fd, page, sizeof page, 0) < 0 || fsync(fd) != 0) {
        die(path);
    }
    int64_t start = gy_mono_ns(), n = 0;
    double elapsed;
    do {
        n++;
        if (pwrite(fd, page, sizeof page, append ? n * (int64_t)sizeof page : 0) < 0 ||
            fdatasync(fd) != 0) {
            die(path);
        }
        elapsed = (double)(gy_mono_ns() - start) / 1e9;
    } while (elapsed < seconds);
    close(fd);
    unlink(path);
    return (double)n / elapsed;
}

static gy_status make_table(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    return gy_db_exec(db, "CREATE TABLE rows (id INTEGER PRIMARY KEY, name TEXT, value REAL)",
                      GY_NO_VALS, NULL, err);
}

static gy_status insert(struct gy_db *db, void *ctx, struct gy_err *err)
{
    return gy_db_exec(db, "INSERT INTO rows (name, value) VALUES (?, ?)",
                      GY_VALS(gy_vc("accuracy"), gy_vf(*(double *)ctx)), NULL, err);
}

struct writer {
    pthread_t thread;
    struct gy_store *s;
    int64_t done;
};

static void *write_rows(void *arg)
{
    struct writer *w = arg;
    struct gy_err err = GY_ERR_INIT;
    while (!atomic_load_explicit(&g_stop, memory_order_relaxed)) {
        double value = (double)w->done;
        must(gy_store_write(w->s, insert, &value, &err), &err);
        w->done++;
    }
    return NULL;
}

static void bench_store(const char *dir, int n_writers, double seconds, double disk)
{
    static struct writer writers[64];
    char url[GY_MAX_PATH + 32];
    struct gy_err err = GY_ERR_INIT;
    struct gy_store *s = NULL;
    snprintf(url, sizeof url, "sqlite://%s/bench-%d.db", dir, n_writers);
    struct gy_store_options o = {.url = url};
    must(gy_store_open(&o, &s, &err), &err);
    must(gy_store_write(s, make_table, NULL, &err), &err);
    atomic_store(&g_stop, false);
    int64_t start = gy_mono_ns(), rows = 0;
    for (int i = 0; i < n_writers; i++) {
        writers[i] = (struct writer){.s = s};
        if (pthread_create(&writers[i].thread, NULL, write_rows, &writers[i]) != 0) {
            die("thread");
        }
    }
    usleep((useconds_t)(seconds * 1e6));
    atomic_store(&g_stop, true);
    for (int i = 0; i < n_writers; i++) {
        pthread_join(writers[i].thread, NULL);
        rows += writers[i].done;
    }
    double elapsed = (double)(gy_mono_ns() - start) / 1e9;
    struct gy_store_stats st;
    gy_store_get_stats(s, &st);
    printf("| %2d writers | %9.0f | %7.0f | %5.1f | %4lld / %4lld us | %5.2f |\n", n_writers,
           (double)rows / elapsed, (double)st.commits / elapsed,
           (double)st.closures / (double)st.commits, (long long)st.commit_us_p50,
           (long long)st.commit_us_p99, (double)rows / elapsed / disk);
    gy_store_free(s);
}

int main(int argc, char **argv)
{
    double seconds = 2;
    char dir[GY_MAX_PATH];
    struct gy_err err = GY_ERR_INIT;
    if (argc > 2 && gy_parse_f64(gy_str_c(argv[2]), &seconds, &err) != GY_OK) {
        fprintf(stderr, "store_bench [DIR] [SECONDS]: %s\n", err.msg);
        return 2;
    }
    snprintf(dir, sizeof dir, "%s/store-bench-XXXXXX", argc > 1 ? argv[1] : ".");
    if (!mkdtemp(dir)) {
        die(dir);
    }
    double append = bench_disk(dir, true, seconds), overwrite = bench_disk(dir, false, seconds);
    printf(
        "| what | durable rows/s | commits/s | rows a commit | commit p50 / p99 | to fdatasync |\n"
        "|---|---|---|---|---|---|\n");
    printf("| fdatasync, append 4 KiB | %9.0f | | | %4.0f us | %5.2f |\n", append, 1e6 / append,
           append / overwrite);
    printf("| fdatasync, overwrite 4 KiB | %9.0f | | | %4.0f us | 1.00 |\n", overwrite,
           1e6 / overwrite);
    const int counts[] = {1, 8, 32};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        bench_store(dir, counts[i], seconds, overwrite);
    }
    must(gy_dir_remove(dir, &err), &err);
    return 0;
}

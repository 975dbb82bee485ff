/* SPDX-License-Identifier: Apache-2.0 */
/* How long predictions and their feedback take to meet.
 *   join_bench [DIR] [ROWS]      DIR: where (default: here); ROWS of each (default 1000000)
 * Makes a real prediction log and a real feedback table, then reads both into a join, as a start of
 * the server does, and asks it for counts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/time.h"
#include "serve/predlog.h"
#include "watch/join.h"

#define CONFIG                                                                              \
    "{\"task\":\"binary\",\"inputs\":[\"HR\",\"Resp\",\"Temp\"],\"classes\":[\"0\",\"1\"]," \
    "\"numeric_classes\":true,\"threshold\":0.5,"                                           \
    "\"weights\":[{\"model\":\"sepsis\",\"version\":1,\"weight\":1}],\"rules\":[]}"

static void must(gy_status status, const struct gy_err *err)
{
    if (status != GY_OK) {
        fprintf(stderr, "%s\n", err->msg);
        exit(1);
    }
}

static void id_of(uint32_t n, unsigned char id[16])
{
    uint64_t mixed = n * 0x9e3779b97f4a7c15ULL;
    for (int i = 0; i < 4; i++) { /* grows as time does, then noise, as UUIDv7 */
        id[2 + i] = (unsigned char)(n >> (8 * (3 - i)));
    }
    id[0] = id[1] = 1;
    memset(id + 6, 0, 2);
    memcpy(id + 8, &mixed, 8);
}

static gy_status add_revision(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    int64_t number;
    const struct gy_revision r = {.endpoint = GY_STR("sepsis"),
                                  .kind = GY_STR("deploy"),
                                  .model_name = GY_STR("sepsis"),
                                  .model_version = 1,
                                  .model_digest = GY_STR("dd"),
                                  .config = GY_STR(CONFIG),
                                  .actor = GY_STR("bench")};
    return gy_revision_add(db, &r, &number, err);
}

static void write_log(const char *dir, uint32_t rows)
{
    struct gy_err err = GY_ERR_INIT;
    const struct gy_predlog_options o = {.dir = dir, .n_loops = 1, .sync_ms = 50};
    struct gy_predlog *log = NULL;
    must(gy_predlog_open(&o, &log, &err), &err);
    for (uint32_t i = 0; i < rows; i++) {
        const double inputs[3] = {60 + i % 100, 15, 37};
        const double outputs[2] = {i % 10 == 0, i % 10 == 0 ? 0.9 : 0.2};
        char request[32];
        (void)snprintf(request, sizeof request, "request-%u", i);
        struct gy_record r = {.time_us = 1000000 + i,
                              .revision = 1,
                              .n_rows = 1,
                              .total_rows = 1,
                              .status = 200,
                              .n_inputs = 3,
                              .n_outputs = 2,
                              .endpoint = GY_STR("sepsis"),
                              .model_version = GY_STR("1"),
                              .request_id = gy_str_c(request),
                              .inputs = inputs,
                              .outputs = outputs};
        id_of(i, r.id);
        while (!gy_predlog_append(log, 0, &r)) {
            must(gy_predlog_flush(log, false, &err), &err);
        }
    }
    gy_predlog_close(log);
}

struct batch {
    uint32_t first, n;
};

static gy_status add_batch(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct batch *b = ctx;
    struct gy_feedback list[1000];
    for (uint32_t i = 0; i < b->n; i++) {
        list[i] =
            (struct gy_feedback){.label = (b->first + i) % 12 == 0 ? GY_STR("1") : GY_STR("0"),
                                 .reward = NAN,
                                 .given_us = 5000000};
        id_of(b->first + i, list[i].id);
    }
    return gy_feedback_add(db, list, b->n, NULL, err);
}

/* What this thread worked: other programs on the machine do not count. */
static double cpu_seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds_since(int64_t start_ns)
{
    return (double)(gy_mono_ns() - start_ns) / 1e9;
}

int main(int argc, char **argv)
{
    struct gy_err err = GY_ERR_INIT;
    int64_t rows = 1000000;
    if (argc > 2) {
        must(gy_parse_i64(gy_str_c(argv[2]), 1, 100000000, &rows, &err), &err);
    }
    char dir[GY_MAX_PATH];
    char log[GY_MAX_PATH + 8];
    char url[GY_MAX_PATH + 32];
    (void)snprintf(dir, sizeof dir, "%s/join-bench-XXXXXX", argc > 1 ? argv[1] : ".");
    if (!mkdtemp(dir)) {
        perror(dir);
        return 1;
    }
    (void)snprintf(log, sizeof log, "%s/log", dir);
    (void)snprintf(url, sizeof url, "sqlite://%s/gyre.db", dir);
    const struct gy_store_options o = {.url = url};
    struct gy_store *store = NULL;
    must(gy_store_open(&o, &store, &err), &err);
    must(gy_store_write(store, add_revision, NULL, &err), &err);

    int64_t start = gy_mono_ns();
    write_log(log, (uint32_t)rows);
    printf("%lld predictions logged in %.2f s\n", (long long)rows, seconds_since(start));
    start = gy_mono_ns();
    for (struct batch b = {0, 1000}; b.first < rows; b.first += b.n) {
        b.n = rows - b.first < b.n ? (uint32_t)(rows - b.first) : b.n;
        must(gy_store_write(store, add_batch, &b, &err), &err);
    }
    printf("%lld pieces of feedback stored in %.2f s\n", (long long)rows, seconds_since(start));

    struct gy_shapes *shapes = NULL;
    struct gy_join *join = NULL;
    must(gy_shapes_new(store, &shapes, &err), &err);
    must(gy_join_new(shapes, (size_t)rows, &join, &err), &err);
    start = gy_mono_ns();
    double cpu = cpu_seconds();
    must(gy_join_rebuild(join, store, log, &err), &err);
    printf("joined from log and table in %.2f s (%.2f s of CPU)\n", seconds_since(start),
           cpu_seconds() - cpu);
    const struct gy_join_query q = {.endpoint = GY_STR("sepsis")};
    struct gy_join_counts c;
    start = gy_mono_ns();
    must(gy_join_counts(join, &q, NULL, &c, &err), &err);
    struct gy_join_stats stats;
    gy_join_get_stats(join, &stats);
    printf("counted in %.3f s: %llu labelled of %llu, tp %.0f fp %.0f fn %.0f tn %.0f\n",
           seconds_since(start), (unsigned long long)c.labelled, (unsigned long long)c.predictions,
           c.by[GY_BY_COMBINED].tp.n, c.by[GY_BY_COMBINED].fp.n, c.by[GY_BY_COMBINED].fn.n,
           c.by[GY_BY_COMBINED].tn.n);
    printf("%.0f bytes a row\n", (double)stats.bytes / (double)rows);
    gy_join_free(join);
    gy_shapes_free(shapes);
    gy_store_free(store);
    must(gy_dir_remove(dir, &err), &err);
    return c.labelled == (uint64_t)rows ? 0 : 1;
}

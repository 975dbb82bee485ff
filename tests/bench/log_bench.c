/* SPDX-License-Identifier: Apache-2.0 */
/* A prediction log as a busy server leaves it, and how long a look-up in it takes.
 *   log_bench make DIR ROWS ENDPOINT REVISION VERSION   segments of 16 MiB; prints some ids
 *   log_bench find DIR LOOKUPS ID...                    prints milliseconds
 * Records have the vitals of `gyre data synth patients` (HR, Resp, Temp) and no rules. The last
 * segment is left open, as by a running server. */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/time.h"
#include "serve/predlog.h"

#define SEGMENT_BYTES (16 * GY_MIB)
#define SHOWN 20 /* ids that are printed */

static void die(const struct gy_err *err)
{
    (void)fprintf(stderr, "log_bench: %s\n", err->msg);
    exit(1);
}

#define MUST(call)             \
    do {                       \
        if ((call) != GY_OK) { \
            die(&err);         \
        }                      \
    } while (0)

struct maker {
    const char *dir;
    unsigned char boot[16];
    uint32_t number;
    struct gy_buf out;
};

/* Ids as a server gives them: milliseconds, here of time_us, then a counter. */
static void make_id(int64_t time_us, uint32_t n, struct gy_rng *rng, unsigned char id[16])
{
    uint64_t ms = (uint64_t)time_us / 1000, random = gy_rng_u64(rng);
    for (int i = 0; i < 6; i++) {
        id[i] = (unsigned char)(ms >> (40 - 8 * i));
    }
    id[6] = (unsigned char)(0x70 | (n >> 8 & 0xf));
    id[7] = (unsigned char)n;
    memcpy(id + 8, &random, 8);
    id[8] = (unsigned char)(0x80 | (id[8] & 0x3f));
}

static void write_segment(struct maker *m, bool sealed)
{
    char name[128], path[GY_MAX_PATH];
    struct gy_err err = GY_ERR_INIT;
    struct gy_segment_info info;
    gy_segment_name(m->boot, 0, m->number, ".seg", name);
    MUST(gy_path_join(path, sizeof path, m->dir, name, &err));
    MUST(gy_file_write(path, gy_buf_str(&m->out), 0644, &err));
    if (sealed) {
        MUST(gy_segment_seal(path, &info, &err));
    }
    m->number++;
}

static void start_segment(struct maker *m)
{
    char header[GY_SEGMENT_HEADER];
    gy_segment_header(m->boot, 0, m->number, header);
    gy_buf_reset(&m->out);
    gy_buf_add_bytes(&m->out, header, sizeof header);
}

static int make(char **argv)
{
    struct gy_err err = GY_ERR_INIT;
    struct maker m = {.dir = argv[0]};
    struct gy_rng rng;
    int64_t rows = 0, revision = 0;
    MUST(gy_parse_i64(gy_str_c(argv[1]), 1, INT64_C(1000000000), &rows, &err));
    MUST(gy_parse_i64(gy_str_c(argv[3]), 1, INT32_MAX, &revision, &err));
    MUST(gy_dir_make(m.dir, &err));
    gy_rng_init(&rng, 1);
    gy_buf_init(&m.out, 2 * SEGMENT_BYTES);
    int64_t from_us = gy_now_us() - rows * 100; /* 10,000 a second until now */
    make_id(from_us, 0, &rng, m.boot);
    start_segment(&m);
    for (int64_t i = 0; i < rows; i++) {
        double inputs[3] = {60 + (double)gy_rng_below(&rng, 90),
                            12 + (double)gy_rng_below(&rng, 20),
                            35 + (double)gy_rng_below(&rng, 60) / 10};
        double p = gy_rng_f64(&rng);
        double outputs[2] = {p >= 0.5, p};
        struct gy_record r = {.seq = (uint64_t)i + 1,
                              .time_us = from_us + i * 100,
                              .latency_ns = 9000,
                              .revision = (uint32_t)revision,
                              .n_rows = 1,
                              .total_rows = 1,
                              .status = 200,
                              .n_inputs = 3,
                              .n_outputs = 2,
                              .endpoint = gy_str_c(argv[2]),
                              .model_version = gy_str_c(argv[4]),
                              .request_id = GY_STR("0197a3f2c1d04e5f"),
                              .inputs = inputs,
                              .outputs = outputs};
        make_id(r.time_us, (uint32_t)i, &rng, r.id);
        size_t n = gy_record_frame_bytes(&r);
        char *to = gy_buf_reserve(&m.out, n);
        if (!to) {
            MUST(gy_buf_check(&m.out, "a segment", &err));
        }
        gy_record_write(&r, to);
        gy_buf_commit(&m.out, n);
        if (i % (rows / SHOWN + 1) == rows / SHOWN / 2 || i == rows - 1) {
            char text[GY_UUID_TEXT];
            gy_uuid_text(r.id, text);
            (void)printf("%s\n", text);
        }
        if (m.out.n >= SEGMENT_BYTES) {
            write_segment(&m, true);
            start_segment(&m);
        }
    }
    write_segment(&m, false);
    gy_buf_done(&m.out);
    return 0;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static int find(int argc, char **argv)
{
    struct gy_err err = GY_ERR_INIT;
    int64_t lookups = 0;
    MUST(gy_parse_i64(gy_str_c(argv[1]), 1, 1000000, &lookups, &err));
    double *ms = calloc((size_t)lookups, sizeof *ms);
    for (int64_t i = 0; ms && i < lookups; i++) {
        unsigned char id[16];
        struct gy_arena a;
        struct gy_record *found = NULL;
        size_t n = 0;
        gy_arena_init(&a, GY_GIB);
        MUST(gy_uuid_parse(gy_str_c(argv[2 + i % (argc - 2)]), id, &err));
        int64_t start = gy_mono_ns();
        MUST(gy_predlog_find(NULL, argv[0], NULL, id, &a, &found, &n, &err));
        ms[i] = (double)(gy_mono_ns() - start) / 1e6;
        gy_arena_done(&a);
    }
    if (ms) {
        qsort(ms, (size_t)lookups, sizeof *ms, by_value);
        (void)printf("lookups %lld: median %.3f ms, p99 %.3f ms, max %.3f ms\n", (long long)lookups,
                     ms[lookups / 2], ms[lookups * 99 / 100], ms[lookups - 1]);
    }
    free(ms);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 7 && strcmp(argv[1], "make") == 0) {
        return make(argv + 2);
    }
    if (argc >= 5 && strcmp(argv[1], "find") == 0) {
        return find(argc - 2, argv + 2);
    }
    (void)fprintf(stderr, "usage: log_bench make DIR ROWS ENDPOINT REVISION VERSION\n"
                          "       log_bench find DIR LOOKUPS ID...\n");
    return 2;
}

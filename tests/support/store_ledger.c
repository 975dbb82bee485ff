/* SPDX-License-Identifier: Apache-2.0 */
/* For tests/fault/test_kill9_store.py: a process that is meant to be killed.
 *   store_ledger write DB LEDGER THREADS   write closures (two rows each) until killed; after each
 * acknowledged one a line "thread number" goes to the ledger, synced before the next closure is
 * asked for store_ledger check DB LEDGER           compare: JSON on stdout, exit 0 when all is as
 * promised */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "store/store.h"

#define MAX_THREADS 64

static void die(const char *what, const struct gy_err *err)
{
    fprintf(stderr, "%s: %s\n", what, err->msg);
    exit(3);
}

struct row {
    int64_t thread, number;
};

static gy_status make_tables(struct gy_db *db, void *ctx, struct gy_err *err)
{
    (void)ctx;
    GY_TRY(gy_db_exec(db,
                      "CREATE TABLE IF NOT EXISTS first (thread INTEGER, number INTEGER, PRIMARY "
                      "KEY (thread, number))",
                      GY_NO_VALS, NULL, err));
    return gy_db_exec(db,
                      "CREATE TABLE IF NOT EXISTS second (thread INTEGER, number INTEGER, PRIMARY "
                      "KEY (thread, number))",
                      GY_NO_VALS, NULL, err);
}

static gy_status write_row(struct gy_db *db, void *ctx, struct gy_err *err)
{
    const struct row *r = ctx;
    GY_TRY(gy_db_exec(db, "INSERT INTO first VALUES (?, ?)",
                      GY_VALS(gy_vi(r->thread), gy_vi(r->number)), NULL, err));
    return gy_db_exec(db, "INSERT INTO second VALUES (?, ?)",
                      GY_VALS(gy_vi(r->thread), gy_vi(r->number)), NULL, err);
}

static gy_status last_number(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct row *r = ctx;
    bool found;
    return gy_db_get_i64(db, "SELECT COALESCE(MAX(number), -1) FROM first WHERE thread=?",
                         GY_VALS(gy_vi(r->thread)), &found, &r->number, err);
}

struct worker {
    pthread_t thread;
    struct gy_store *s;
    struct row row;
    int ledger;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct gy_err err = GY_ERR_INIT;
    for (;; w->row.number++) {
        if (gy_store_write(w->s, write_row, &w->row, &err) != GY_OK) {
            die("write", &err);
        }
        char line[64];
        int n =
            snprintf(line, sizeof line, "%d %lld\n", (int)w->row.thread, (long long)w->row.number);
        if (write(w->ledger, line, (size_t)n) != n || fdatasync(w->ledger) != 0) {
            gy_err_sys(&err, errno, "ledger");
            die("write", &err);
        }
    }
    return NULL;
}

static int run_write(struct gy_store *s, const char *ledger, int n_threads)
{
    static struct worker workers[MAX_THREADS];
    struct gy_err err = GY_ERR_INIT;
    int fd = open(ledger, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0 || gy_store_write(s, make_tables, NULL, &err) != GY_OK) {
        die("start", &err);
    }
    for (int i = 0; i < n_threads; i++) {
        workers[i] = (struct worker){.s = s, .row = {.thread = i}, .ledger = fd};
        if (gy_store_read(s, last_number, &workers[i].row, &err) != GY_OK) {
            die("start", &err);
        }
        workers[i].row.number++; /* a row that was not acknowledged may be there: never the same
                                    number twice */
    }
    printf("ready\n");
    fflush(stdout);
    for (int i = 0; i < n_threads; i++) {
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            return 3;
        }
    }
    pthread_join(workers[0].thread, NULL); /* never: it is killed */
    return 3;
}

struct verdict {
    FILE *ledger;
    int64_t acknowledged, missing, rows, halves;
};

/* "thread number"; a last line without its end was never synced, and so never acknowledged. */
static bool next_line(FILE *f, char line[64], struct row *ret)
{
    struct gy_str thread, number;
    if (!fgets(line, 64, f)) {
        return false;
    }
    struct gy_str text = gy_str_c(line);
    return gy_str_ends(text, GY_STR("\n")) &&
           gy_str_cut(gy_str_trim(text), ' ', &thread, &number) &&
           gy_parse_i64(thread, 0, MAX_THREADS, &ret->thread, NULL) == GY_OK &&
           gy_parse_i64(number, 0, INT64_MAX, &ret->number, NULL) == GY_OK;
}

static gy_status compare(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct verdict *v = ctx;
    char line[64];
    struct row r;
    bool found;
    while (next_line(v->ledger, line, &r)) {
        int64_t n = 0;
        GY_TRY(gy_db_get_i64(db,
                             "SELECT COUNT(*) FROM first JOIN second USING (thread, number) WHERE "
                             "thread=? AND number=?",
                             GY_VALS(gy_vi(r.thread), gy_vi(r.number)), &found, &n, err));
        v->acknowledged++;
        v->missing += n != 1;
    }
    GY_TRY(gy_db_get_i64(db, "SELECT COUNT(*) FROM first", GY_NO_VALS, &found, &v->rows, err));
    return gy_db_get_i64(
        db,
        "SELECT (SELECT COUNT(*) FROM first WHERE NOT EXISTS (SELECT 1 FROM second s WHERE "
        "s.thread=first.thread AND s.number=first.number)) + (SELECT COUNT(*) FROM second WHERE "
        "NOT EXISTS "
        "(SELECT 1 FROM first f WHERE f.thread=second.thread AND f.number=second.number))",
        GY_NO_VALS, &found, &v->halves, err);
}

static int run_check(struct gy_store *s, const char *ledger)
{
    struct gy_err err = GY_ERR_INIT;
    struct verdict v = {.ledger = fopen(ledger, "re")};
    if (!v.ledger || gy_store_check(s, &err) != GY_OK ||
        gy_store_read(s, compare, &v, &err) != GY_OK) {
        die("check", &err);
    }
    fclose(v.ledger);
    printf("{\"acknowledged\":%lld,\"missing\":%lld,\"rows\":%lld,\"halves\":%lld}\n",
           (long long)v.acknowledged, (long long)v.missing, (long long)v.rows, (long long)v.halves);
    return v.missing == 0 && v.halves == 0 && v.rows >= v.acknowledged ? 0 : 1;
}

int main(int argc, char **argv)
{
    int64_t threads = 8;
    char url[GY_MAX_PATH + 16];
    struct gy_err err = GY_ERR_INIT;
    if (argc < 4 ||
        (argc > 4 && gy_parse_i64(gy_str_c(argv[4]), 1, MAX_THREADS, &threads, NULL) != GY_OK)) {
        fprintf(stderr, "store_ledger write|check DB LEDGER [THREADS]\n");
        return 2;
    }
    snprintf(url, sizeof url, "sqlite://%s", argv[2]);
    struct gy_store *s = NULL;
    struct gy_store_options o = {.url = url};
    if (gy_store_open(&o, &s, &err) != GY_OK) {
        die("open", &err);
    }
    int code =
        strcmp(argv[1], "check") == 0 ? run_check(s, argv[3]) : run_write(s, argv[3], (int)threads);
    gy_store_free(s);
    return code;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/dvc_work.h"

#include <stdlib.h>
#include <time.h>

#include "data/dvc/lock.h"

#define PATIENCE_MS 1000 /* of waiting without a word */
#define DRAW_MS 100

gy_status gy_cli_dvc_open(struct gy_cli *cli, bool make, struct gy_dvc_repo **ret,
                          struct gy_err *err)
{
    struct gy_err busy = GY_ERR_INIT;
    GY_AUTO(gy_dvc_repo_free) struct gy_dvc_repo *r = NULL;
    GY_TRY(make ? gy_dvc_repo_init(".", &r, err) : gy_dvc_repo_open(".", &r, err));
    gy_status status = gy_dvc_repo_lock(r, PATIENCE_MS, &busy);
    if (status == GY_E_BUSY) {
        gy_cli_note(cli, "waiting: %s\n", busy.msg);
        status = gy_dvc_repo_lock(r, -1, err);
    } else if (status != GY_OK && err) {
        *err = busy;
    }
    GY_TRY(status);
    *ret = GY_TAKE(r);
    return GY_OK;
}

gy_status gy_cli_dvc_outs_to_write(struct gy_cli *cli, struct gy_dvc_repo *r, struct gy_arena *a,
                                   struct gy_dvc_out **ret, size_t *ret_n, struct gy_err *err)
{
    bool in_stage = getenv("DVC_STAGE") != NULL;
    int64_t wait_ms = PATIENCE_MS;
    for (bool waited = true; waited;) {
        struct gy_err busy = GY_ERR_INIT;
        GY_TRY(gy_dvc_repo_lock(r, -1, err)); /* what is read now is what is locked */
        GY_TRY(gy_dvc_repo_outs(r, (const char *const *)cli->argv, (size_t)cli->argc, a, ret, ret_n,
                                err));
        struct gy_str *paths = gy_arena_calloc(a, *ret_n + 1, sizeof *paths);
        if (!paths) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for outputs");
        }
        for (size_t i = 0; i < *ret_n; i++) {
            paths[i] = (*ret)[i].path;
        }
        gy_status status =
            gy_dvc_repo_lock_paths(r, NULL, 0, paths, *ret_n, wait_ms, &waited, &busy);
        if (status == GY_E_BUSY && !in_stage) {
            gy_cli_note(cli, "waiting: %s\n", busy.msg);
            wait_ms = -1;
            waited = true;
        } else if (status != GY_OK) {
            if (err) {
                *err = busy;
            }
            return status;
        }
    }
    return GY_OK;
}

static void *draw(void *arg)
{
    struct gy_cli_dvc_bar *b = arg;
    struct timespec nap = {.tv_nsec = DRAW_MS * 1000000};
    while (!atomic_load(&b->stop)) {
        b->bar.total = atomic_load(&b->at.total_files);
        gy_progress_at(&b->bar, atomic_load(&b->at.done_files));
        (void)nanosleep(&nap, NULL);
    }
    return NULL;
}

void gy_cli_dvc_bar_start(struct gy_cli_dvc_bar *b, const struct gy_cli *cli, const char *what)
{
    atomic_init(&b->at.total_files, 0);
    atomic_init(&b->at.done_files, 0);
    atomic_init(&b->at.done_bytes, 0);
    atomic_init(&b->stop, false);
    b->running = false;
    gy_progress_start(&b->bar, cli, what, 0);
    if (cli->progress) {
        b->running = pthread_create(&b->thread, NULL, draw, b) == 0;
    }
}

void gy_cli_dvc_bar_end(struct gy_cli_dvc_bar *b)
{
    if (b->running) {
        atomic_store(&b->stop, true);
        (void)pthread_join(b->thread, NULL);
        b->running = false;
        gy_progress_end(&b->bar);
    }
}

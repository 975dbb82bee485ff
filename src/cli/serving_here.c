/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/serving_here.h"

#include "cli/transport.h"

static bool server_runs(struct gy_cli *cli)
{
    struct gy_home home = {.lock_fd = -1};
    if (cli->server && cli->server[0]) {
        return true;
    }
    bool runs = gy_cli_home(cli, &home, NULL) == GY_OK && gy_home_is_locked(&home);
    gy_home_done(&home);
    return runs;
}

gy_status gy_serving_here_open(struct gy_cli *cli, struct gy_serving_here *here,
                               struct gy_caller **ret, struct gy_err *err)
{
    int64_t pid = 0;
    if (server_runs(cli)) {
        return gy_cli_caller(cli, ret, err);
    }
    struct gy_app_options options = gy_cli_app_options(cli);
    const struct gy_app_serve_options serving = {.n_loops = 1, .log_sync_ms = -1};
    GY_TRY(gy_app_open(&options, &here->app, err));
    GY_TRY(gy_home_lock(&here->app->home, &pid, err));
    GY_TRY(gy_app_serve_open(here->app, &serving, err));
    GY_TRY(gy_local_caller_new(here->app, &here->caller, err));
    *ret = here->caller;
    return GY_OK;
}

void gy_serving_here_done(struct gy_serving_here *here)
{
    gy_caller_free(here->caller);
    if (here->app && here->app->serving) {
        gy_app_serve_close(here->app);
    }
    gy_app_free(here->app);
    *here = (struct gy_serving_here){0};
}

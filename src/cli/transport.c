/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/transport.h"

#include <stdlib.h>

#include "api/app.h"
#include "cli/headed.h"
#include "cli/patient.h"
#include "net/http_client.h"

gy_status gy_cli_home(struct gy_cli *cli, struct gy_home *ret, struct gy_err *err)
{
    return gy_home_find(cli->home, true, ret, err);
}

static gy_status open_socket(const struct gy_home *home, struct gy_caller **ret, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    char url[GY_MAX_PATH + 8];
    GY_TRY(gy_home_path(home, "sock", path, err));
    (void)snprintf(url, sizeof url, "unix:%s", path);
    return gy_http_client_new(url, ret, err);
}

/* A stage of a job may work on other homes, too: they have nothing to do with its server. */
static bool is_of_job(const struct gy_home *home)
{
    const char *job = getenv("GYRE_JOB");
    const char *own = getenv("GYRE_HOME");
    return job && job[0] && own && strcmp(home->dir, own) == 0;
}

/* Inside a job the server is the one that started it, also while it is away. */
static gy_status open_for_job(struct gy_cli *cli, const struct gy_home *home, struct gy_err *err)
{
    struct gy_caller *inner = NULL;
    GY_TRY(open_socket(home, &inner, err));
    if (getenv("GYRE_JOB_ONCE")) {
        cli->caller = inner;
        return GY_OK;
    }
    return gy_patient_new(inner, &cli->caller, err);
}

struct gy_app_options gy_cli_app_options(const struct gy_cli *cli)
{
    const char *migrate = getenv("GYRE_STORE_MIGRATE");
    return (struct gy_app_options){.home_dir = cli->home,
                                   .migrate = migrate && migrate[0],
                                   .store_url = cli->store,
                                   .objects_url = cli->objects,
                                   .s3_endpoint = cli->s3_endpoint};
}

/* Over HTTP who asks is told by a token; elsewhere by the system. */
static gy_status add_heads(struct gy_cli *cli, struct gy_err *err)
{
    struct gy_secret token = gy_secret_of(GY_STR_NULL);
    struct gy_str workspace = gy_str_c(cli->workspace);
    if (cli->server && cli->server[0]) {
        GY_TRY(gy_headed_token(cli, &token, err));
    }
    if (gy_secret_reveal(token).n == 0 && workspace.n == 0) {
        return GY_OK;
    }
    struct gy_caller *inner = GY_TAKE(cli->caller);
    return gy_headed_new(inner, token, workspace, &cli->caller, err);
}

static gy_status open_caller(struct gy_cli *cli, struct gy_err *err)
{
    if (cli->server && cli->server[0]) {
        GY_TRY(gy_http_client_new(cli->server, &cli->caller, err));
        gy_http_client_stall(cli->caller, cli->stall_s);
        gy_http_client_timeout(cli->caller, cli->call_max_ms);
        return GY_OK;
    }
    struct gy_home home = {.lock_fd = -1};
    GY_TRY(gy_cli_home(cli, &home, err));
    if (is_of_job(&home)) {
        GY_TRY(open_for_job(cli, &home, err));
    } else if (gy_home_is_locked(&home)) {
        GY_TRY(open_socket(&home, &cli->caller, err));
    } else {
        struct gy_app_options options = gy_cli_app_options(cli);
        options.home_dir = home.dir;
        GY_TRY(gy_app_open(&options, &cli->app, err));
        GY_TRY(gy_local_caller_new(cli->app, &cli->caller, err));
    }
    return GY_OK;
}

gy_status gy_cli_caller(struct gy_cli *cli, struct gy_caller **ret, struct gy_err *err)
{
    if (!cli->caller) {
        GY_TRY(open_caller(cli, err));
        GY_TRY(add_heads(cli, err));
    }
    *ret = cli->caller;
    return GY_OK;
}

void gy_cli_close_transport(struct gy_cli *cli)
{
    gy_caller_free(cli->caller);
    cli->caller = NULL;
    gy_app_free(cli->app);
    cli->app = NULL;
}

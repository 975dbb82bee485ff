/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/register_remote.h"

#include "base/limits.h"
#include "base/time.h"
#include "cli/made_package.h"
#include "learn/publish.h"
#include "learn/remote.h"

/* "500ms", "2s", "1m". */
static gy_status read_timeout(const char *text, int64_t *ret_ms, struct gy_err *err)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        struct gy_str s = gy_str_c(text);
        int64_t n = 0;
        if (gy_str_ends(s, gy_str_c(units[i].unit))) {
            s.n -= strlen(units[i].unit);
            if (gy_parse_i64(s, 1, 600000, &n, NULL) == GY_OK) {
                *ret_ms = n * units[i].ms;
                return GY_OK;
            }
        }
    }
    return gy_err_set(err, GY_E_USAGE, "--timeout %s: it looks like 500ms, 2s, 1m", text);
}

static gy_status answer(struct gy_cli *cli, const struct gy_remote_packaged *r,
                        const struct gy_published *p, struct gy_err *err)
{
    gy_cli_say(cli, "%s, %zu inputs, output %s, tensors as %s\n", r->task, r->n_inputs, r->output,
               r->binary ? "bytes" : "JSON");
    gy_cli_say(cli, "registered as %s, version %lld: %s%s%s\n", cli->argv[0], (long long)p->version,
               p->servable ? "servable" : "not servable", p->reason[0] ? ", " : "", p->reason);
    if (!cli->json) {
        return GY_OK;
    }
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json = {0};
    struct gy_jw w;
    gy_buf_init(&json, 4 * GY_KIB);
    gy_jw_init(&w, &json);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "name", cli->argv[0]);
    gy_jw_kv_i64(&w, "version", p->version);
    gy_jw_kv_strc(&w, "task", r->task);
    gy_jw_kv_i64(&w, "inputs", (int64_t)r->n_inputs);
    gy_jw_kv_strc(&w, "output", r->output);
    gy_jw_kv_bool(&w, "binary", r->binary);
    gy_jw_kv_strc(&w, "run_id", p->run_id);
    gy_jw_kv_strc(&w, "digest", p->digest);
    gy_jw_kv_bool(&w, "servable", p->servable);
    gy_jw_kv_strc(&w, "reason", p->reason);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &json, err);
}

static gy_status register_from(struct gy_cli *cli, const void *opts, const char *dir,
                               struct gy_err *err)
{
    const struct gy_remote_plan *plan = opts;
    struct gy_remote_packaged packaged;
    struct gy_published published = {.version = 0};
    struct gy_caller *caller = NULL;
    GY_TRY(gy_remote_package(plan, dir, &packaged, err));
    GY_TRY(gy_cli_caller(cli, &caller, err));
    GY_TRY(gy_publish_folder(caller, dir,
                             &(struct gy_publish_options){.run_name = GY_STR("remote"),
                                                          .register_as = gy_str_c(cli->argv[0]),
                                                          .start_us = gy_now_us()},
                             &published, err));
    return answer(cli, &packaged, &published, err);
}

gy_status gy_cli_register_remote(struct gy_cli *cli, const struct gy_cli_remote *o,
                                 struct gy_err *err)
{
    struct gy_remote_plan plan = {.url = gy_str_c(o->url),
                                  .model = gy_str_c(o->model),
                                  .version = gy_str_c(o->version),
                                  .token_env = gy_str_c(o->token_env),
                                  .token_file = gy_str_c(o->token_file),
                                  .output = gy_str_c(o->output),
                                  .classes = gy_str_c(o->classes),
                                  .inputs = gy_str_c(o->inputs),
                                  .schema = o->schema};
    if (cli->argc > 1 || !o->model) {
        return gy_err_set(err, GY_E_USAGE,
                          "which model of the upstream? models register NAME "
                          "--remote URL --model M, without a SOURCE");
    }
    GY_TRY(read_timeout(o->timeout, &plan.timeout_ms, err));
    return gy_cli_make_package(cli, NULL, register_from, &plan, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/faults.h"

#include "base/time.h"
#include "cli/ask.h"

static gy_status read_span(struct gy_cli *cli, yyjson_val *window, struct gy_faults *f,
                           struct gy_err *err)
{
    struct gy_str from;
    struct gy_str to;
    if (!gy_str_eqc(gy_json_str(window, "cause"), "sensor")) {
        return GY_OK;
    }
    struct gy_fault_span *s = &f->spans[f->n];
    GY_TRY(gy_json_need_str(window, "from", &from, err));
    GY_TRY(gy_json_need_str(window, "to", &to, err));
    GY_TRY(gy_time_parse_iso(from, &s->from_us, err));
    GY_TRY(gy_time_parse_iso(to, &s->to_us, err));
    s->version = gy_arena_str(&cli->arena, gy_json_str(window, "version"));
    f->n++;
    return s->version.p ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory for windows");
}

gy_status gy_faults_load(struct gy_cli *cli, const char *endpoint, struct gy_faults *ret,
                         struct gy_err *err)
{
    const char *path = NULL;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer a = {.doc = NULL};
    GY_TRY(gy_cli_path(cli, "/api/gyre/v1/watch/windows?limit=10000&endpoint={}",
                       gy_str_c(endpoint), &path, err));
    GY_TRY(gy_cli_ask(cli, "GET", path, GY_STR_NULL, &a, err));
    yyjson_val *windows = gy_json_get(a.root, "windows");
    ret->n = 0;
    ret->spans = gy_arena_calloc(&cli->arena, yyjson_arr_size(windows) + 1, sizeof *ret->spans);
    if (!ret->spans) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for windows");
    }
    yyjson_arr_iter it = yyjson_arr_iter_with(windows);
    for (yyjson_val *w; (w = yyjson_arr_iter_next(&it));) {
        GY_TRY(read_span(cli, w, ret, err));
    }
    return GY_OK;
}

bool gy_faults_has(const struct gy_faults *f, struct gy_str version, int64_t time_us)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct gy_fault_span *s = &f->spans[i];
        if (time_us >= s->from_us && time_us <= s->to_us && gy_str_eq(s->version, version)) {
            return true;
        }
    }
    return false;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ask.h"

#include "base/limits.h"
#include "base/time.h"

void gy_cli_answer_done(struct gy_cli_answer *a)
{
    gy_json_free(a->doc);
    gy_collect_done(&a->collect);
    a->doc = NULL;
    a->root = NULL;
}

gy_status gy_cli_ask(struct gy_cli *cli, const char *method, const char *path, struct gy_str body,
                     struct gy_cli_answer *ret, struct gy_err *err)
{
    struct gy_caller *caller = NULL;
    *ret = (struct gy_cli_answer){.doc = NULL};
    gy_collect_init(&ret->collect, GY_MAX_REPLY);
    GY_TRY(gy_cli_caller(cli, &caller, err));
    GY_TRY(gy_call_json(caller, method, path, body, &ret->collect, err));
    GY_TRY(gy_json_parse(gy_buf_str(&ret->collect.body), &ret->doc, err));
    ret->root = yyjson_doc_get_root(ret->doc);
    return GY_OK;
}

gy_status gy_cli_path(struct gy_cli *cli, const char *format, struct gy_str value, const char **ret,
                      struct gy_err *err)
{
    struct gy_str head, tail;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, GY_MIB);
    size_t mark = gy_str_find_str(gy_str_c(format), GY_STR("{}"));
    GY_REQUIRE(mark != SIZE_MAX);
    head = gy_str_sub(gy_str_c(format), 0, mark);
    tail = gy_str_sub(gy_str_c(format), mark + 2, SIZE_MAX);
    gy_buf_add(&path, head);
    gy_url_encode(&path, value, false);
    gy_buf_add(&path, tail);
    GY_TRY(gy_buf_check(&path, "a request's path", err));
    *ret = gy_arena_strdup(&cli->arena, gy_buf_str(&path));
    return *ret ? GY_OK : gy_err_set(err, GY_E_NOMEM, "out of memory");
}

gy_status gy_cli_print_answer(struct gy_cli *cli, const struct gy_cli_answer *a, struct gy_err *err)
{
    return gy_cli_print_json(cli, &a->collect.body, err);
}

struct gy_str gy_cli_cell(struct gy_cli *cli, struct gy_str text)
{
    return text.n > 0 ? gy_arena_str(&cli->arena, text) : GY_STR_NULL;
}

struct gy_str gy_cli_cellf(struct gy_cli *cli, const char *fmt, ...)
{
    char out[1024];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(out, sizeof out, fmt, args);
    va_end(args);
    return n > 0 ? gy_arena_str(&cli->arena, gy_str_c(out)) : GY_STR_NULL;
}

struct gy_str gy_cli_cell_ms(struct gy_cli *cli, int64_t time_ms)
{
    char iso[32];
    if (time_ms <= 0) {
        return GY_STR_NULL;
    }
    gy_time_iso(time_ms * 1000, iso);
    iso[10] = ' ';
    return gy_arena_str(&cli->arena, gy_str_n(iso, 19));
}

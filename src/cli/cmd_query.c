/* SPDX-License-Identifier: Apache-2.0 */
/* gyre __query: the process of one query of a server's client (api/query.h). It reads the request
 * from standard input, gives up whatever the query does not need, and answers on standard output:
 * rows or an error, as one line. */
#include <errno.h>
#include <unistd.h>

#include "api/query.h"
#include "base/jail.h"
#include "base/mem.h"
#include "cli/cli_internal.h"
#include "cli/query_json.h"
#include "data/duck_lib.h"

#define MAX_REQUEST (64 * GY_MIB)
#define MAX_FILES 256
/* What is mapped besides the memory itself: the library, stacks, what allocators keep in reserve.
 */
#define ADDRESS_SPACE ((int64_t)(1 * GY_GIB))

struct query {
    yyjson_val *request;
    struct gy_duck *duck;
    struct gy_tablefn *tables;
    const char *readable[2 * GY_QUERY_MAX_TABLES + 8];
    const char *parquet[GY_QUERY_MAX_TABLES];
    size_t n_parquet;
    bool walled; /* by the kernel */
};

static gy_status read_request(struct gy_buf *in, struct gy_err *err)
{
    for (;;) {
        char *to = gy_buf_reserve(in, 64 * GY_KIB);
        if (!to) {
            return gy_buf_check(in, "the query", err);
        }
        const ssize_t n = read(STDIN_FILENO, to, 64 * GY_KIB);
        if (n < 0 && errno != EINTR) {
            return gy_err_sys(err, errno, "reading the query");
        }
        if (n == 0) {
            return GY_OK;
        }
        gy_buf_commit(in, n > 0 ? (size_t)n : 0);
    }
}

/* What was found for the query by the server, and nothing else. */
static gy_status find_dataset(void *ctx, struct gy_str ref, struct gy_tablefn_dataset *ret,
                              struct gy_err *err)
{
    const struct query *q = ctx;
    size_t i, n;
    yyjson_val *d;
    yyjson_arr_foreach(gy_json_get(q->request, "datasets"), i, n, d)
    {
        if (!gy_str_eq(gy_json_str(d, "ref"), ref)) {
            continue;
        }
        struct gy_str path = gy_json_str(d, "path");
        struct gy_str parquet = q->walled ? gy_json_str(d, "parquet") : GY_STR("");
        yyjson_val *schema = gy_json_get(d, "schema");
        (void)snprintf(ret->path, sizeof ret->path, "%" GY_STR_F, GY_STR_A(path));
        (void)snprintf(ret->parquet, sizeof ret->parquet, "%" GY_STR_F, GY_STR_A(parquet));
        if (schema && !yyjson_is_null(schema)) {
            struct gy_jw w;
            gy_jw_init(&w, &ret->schema_json);
            gy_jw_val(&w, schema);
        }
        return gy_buf_check(&ret->schema_json, "the schema of a dataset", err);
    }
    (void)gy_err_set(err, GY_E_NOTFOUND, "no dataset '%" GY_STR_F "'",
                     GY_STR_A(gy_str_sub(ref, 0, 200)));
    return gy_err_hint(err, "its name is to stand in the SQL as it is: FROM \"name@3\"");
}

/* Views into the request, whose texts end in NUL. */
static void list_readable(struct query *q)
{
    static const char *const machine[] = {"/proc", "/sys/fs/cgroup", "/sys/devices/system/cpu"};
    size_t at = 0, i, n;
    yyjson_val *d;
    for (size_t k = 0; k < sizeof machine / sizeof machine[0]; k++) {
        q->readable[at++] = machine[k];
    }
    yyjson_arr_foreach(gy_json_get(q->request, "datasets"), i, n, d)
    {
        struct gy_str path = gy_json_str(d, "path"), parquet = gy_json_str(d, "parquet");
        if (path.p && i < GY_QUERY_MAX_TABLES) {
            q->readable[at++] = path.p;
        }
        if (parquet.n > 0 && i < GY_QUERY_MAX_TABLES) {
            q->readable[at++] = parquet.p;
            q->parquet[q->n_parquet++] = parquet.p;
        }
    }
    q->readable[at] = NULL;
}

static gy_status open_sql(struct query *q, struct gy_err *err)
{
    const int64_t memory = gy_json_i64(q->request, "memory_bytes", GY_QUERY_MEMORY);
    list_readable(q);
    GY_TRY(gy_duck_lib_open(err)); /* while files can still be opened */
    const struct gy_jail_options jail = {
        .memory_bytes = memory + ADDRESS_SPACE,
        .cpu_s = gy_json_i64(q->request, "cpu_s", GY_QUERY_STANDARD_SECONDS),
        .max_files = MAX_FILES,
        .readable = q->readable};
    GY_TRY(gy_jail_enter(&jail, &q->walled, err));
    if (!q->walled) { /* DuckDB writes, too, what it may read: COPY TO would empty the cache */
        q->n_parquet = 0;
    }
    const struct gy_duck_options duck = {.threads =
                                             gy_json_i64(q->request, "threads", GY_QUERY_THREADS),
                                         .memory_bytes = memory,
                                         .readable = q->parquet,
                                         .n_readable = q->n_parquet};
    GY_TRY(gy_duck_open(&duck, &q->duck, err));
    const struct gy_tablefn_options tables = {.dataset = find_dataset, .ctx = q};
    return gy_tablefn_add(q->duck, &tables, &q->tables, err);
}

static gy_status read_param(yyjson_val *key, yyjson_val *v, struct gy_duck_param *ret,
                            struct gy_err *err)
{
    *ret = (struct gy_duck_param){.name = gy_json_val_str(key), .kind = GY_DUCK_NULL};
    if (yyjson_is_bool(v)) {
        ret->kind = GY_DUCK_BOOL;
        ret->b = yyjson_get_bool(v);
    } else if (yyjson_is_sint(v) || (yyjson_is_uint(v) && yyjson_get_uint(v) <= INT64_MAX)) {
        ret->kind = GY_DUCK_INT;
        ret->i = yyjson_get_sint(v);
    } else if (yyjson_is_num(v)) {
        ret->kind = GY_DUCK_REAL;
        ret->f = yyjson_get_num(v);
    } else if (yyjson_is_str(v)) {
        ret->kind = GY_DUCK_TEXT;
        ret->text = gy_json_val_str(v);
    } else if (!yyjson_is_null(v)) {
        return gy_err_set(err, GY_E_INVALID,
                          "a parameter is a number, a text, true, false or null");
    }
    return GY_OK;
}

static gy_status answer(struct query *q, struct gy_buf *out, struct gy_err *err)
{
    yyjson_val *params = gy_json_get(q->request, "params"), *key;
    const size_t n_params = yyjson_obj_size(params);
    struct gy_duck_param list[GY_DUCK_MAX_PARAMS];
    size_t n = 0;
    if (n_params > GY_DUCK_MAX_PARAMS) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d parameters", GY_DUCK_MAX_PARAMS);
    }
    yyjson_obj_iter it = yyjson_obj_iter_with(params);
    while ((key = yyjson_obj_iter_next(&it))) {
        GY_TRY(read_param(key, yyjson_obj_iter_get_val(key), &list[n], err));
        n++;
    }
    GY_TRY(open_sql(q, err));
    GY_AUTO(gy_duck_rows_free) struct gy_duck_rows *rows = NULL;
    GY_TRY(gy_duck_query(q->duck, gy_json_str(q->request, "sql"), list, n, &rows, err));
    const struct gy_query_json json = {
        .limit = gy_json_i64(q->request, "limit", GY_QUERY_STANDARD_ROWS),
        .max_bytes = (size_t)gy_json_i64(q->request, "max_bytes", 1)};
    return gy_query_json(&json, rows, q->tables, out, err);
}

static gy_status say(const struct gy_buf *out, struct gy_err *err)
{
    return gy_fd_write(STDOUT_FILENO, "the answer", gy_buf_str(out), err);
}

static gy_status run_query(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    struct query q = {0};
    struct gy_err why = GY_ERR_INIT;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf in;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&in, MAX_REQUEST);
    gy_buf_init(&out, 2 * GY_DUCK_MAX_CELL);
    GY_TRY(read_request(&in, err));
    if (gy_json_parse(gy_buf_str(&in), &doc, NULL) != GY_OK) {
        return gy_err_set(err, GY_E_USAGE, "this command is started by the server only");
    }
    q.request = yyjson_doc_get_root(doc);
    if (answer(&q, &out, &why) == GY_OK) {
        GY_TRY(say(&out, err));
    } else {
        struct gy_jw w;
        gy_buf_reset(&out);
        gy_jw_init(&w, &out);
        gy_jw_obj(&w);
        gy_jw_key(&w, "error");
        gy_jw_obj(&w);
        gy_jw_kv_strc(&w, "code", gy_status_name(why.code));
        gy_jw_kv_strc(&w, "message", why.msg);
        gy_jw_kv_strc(&w, "hint", why.hint);
        gy_jw_obj_end(&w);
        gy_jw_obj_end(&w);
        gy_buf_add_char(&out, '\n');
        GY_TRY(say(&out, err));
        cli->exit_code = gy_status_exit(why.code);
    }
    gy_duck_free(q.duck);
    gy_tablefn_free(q.tables);
    return GY_OK;
}

static const struct gy_verb verbs[] = {
    {.noun = "__query",
     .summary = "the process of a query; started by the server",
     .examples = "  gyre data query \"SELECT 1\"",
     .run = run_query},
};

const struct gy_verb_table gy_cmd_query = GY_VERB_TABLE(verbs);

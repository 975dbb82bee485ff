/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/query_sql.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/ask.h"
#include "cli/dataset_get.h"
#include "cli/model_input.h"
#include "data/parquet_cache.h"

/* ---- datasets ---- */

/* A dataset can only be where there is a home or a server: none is made to look for one. */
static bool has_datasets(const struct gy_query_sql *q)
{
    return q->cli->server || q->home[0];
}

/* The bytes of the version as a local file: the object itself, else a copy for this command. */
static gy_status locate(struct gy_query_sql *q, yyjson_val *version, char *ret, struct gy_err *err)
{
    char name[GY_SHA256_HEX + 16], ref[GY_MAX_NAME + 32];
    struct gy_str sha256, dataset;
    GY_TRY(gy_json_need_str(version, "sha256", &sha256, err));
    GY_TRY(gy_json_need_str(version, "name", &dataset, err));
    const int64_t size = gy_json_i64(version, "size", -1);
    if (!gy_is_hex(sha256, GY_SHA256_HEX - 1) || !q->home[0]) {
        return gy_err_set(err, GY_E_INVALID, "the server names no bytes of %" GY_STR_F,
                          GY_STR_A(dataset));
    }
    (void)snprintf(name, sizeof name, "objects/%.2s/%.62s", sha256.p, sha256.p + 2);
    GY_TRY(gy_path_join(ret, GY_MAX_PATH, q->home, name, err));
    if (gy_file_size(ret) == size) {
        return GY_OK;
    }
    (void)snprintf(name, sizeof name, "cache/data/sql-%lld-%zu", (long long)getpid(), q->n_fetched);
    GY_TRY(gy_path_join(ret, GY_MAX_PATH, q->home, name, err));
    if (q->n_fetched == GY_QUERY_SQL_MAX_FETCHED) {
        return gy_err_set(err, GY_E_TOOBIG, "more than %d datasets of a server elsewhere",
                          GY_QUERY_SQL_MAX_FETCHED);
    }
    q->fetched[q->n_fetched] = gy_arena_strdup(&q->cli->arena, gy_str_c(ret));
    if (!q->fetched[q->n_fetched]) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    q->n_fetched++;
    (void)snprintf(ref, sizeof ref, "%" GY_STR_F "@%lld", GY_STR_A(dataset),
                   (long long)gy_json_i64(version, "version", 0));
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    GY_TRY(gy_dir_make_for(ret, err));
    return gy_cli_dataset_get(q->cli, ref, ret, &answer, err);
}

static gy_status schema_of(yyjson_val *version, struct gy_buf *out, struct gy_err *err)
{
    yyjson_val *schema = gy_json_get(version, "schema");
    if (schema && !yyjson_is_null(schema)) {
        struct gy_jw w;
        gy_jw_init(&w, out);
        gy_jw_val(&w, schema);
    }
    return gy_buf_check(out, "the schema of a dataset", err);
}

/* The Parquet of the version, made when it is worth it; "" when there is none. */
static gy_status find_parquet(struct gy_query_sql *q, struct gy_str ref, yyjson_val *version,
                              struct gy_tablefn_dataset *ret, struct gy_err *err)
{
    char dir[GY_MAX_PATH];
    ret->parquet[0] = '\0';
    if (!q->cache || gy_json_i64(version, "size", 0) < GY_PARQUET_CACHE_MIN_CSV) {
        return GY_OK;
    }
    GY_TRY(gy_path_join(dir, sizeof dir, q->home, "cache/parquet", err));
    const struct gy_parquet_cache_key key = {dir, gy_json_str(version, "sha256"),
                                             gy_buf_str(&ret->schema_json)};
    if (gy_parquet_cache_find(&key, ret->parquet)) {
        return GY_OK;
    }
    struct gy_err why = GY_ERR_INIT;
    gy_cli_note(q->cli, "gyre: making the Parquet cache of %" GY_STR_F " ...\n", GY_STR_A(ref));
    if (gy_parquet_cache_make(&key, ret->path, q->memory_bytes, ret->parquet, &why) != GY_OK) {
        ret->parquet[0] = '\0'; /* a cache that can not be made is done without */
        gy_cli_note(q->cli, "gyre: without it: %s\n", why.msg);
    }
    return GY_OK;
}

static gy_status find_dataset(void *ctx, struct gy_str ref, struct gy_tablefn_dataset *ret,
                              struct gy_err *err)
{
    struct gy_query_sql *q = ctx;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {0};
    gy_buf_init(&path, 4 * GY_KIB);
    if (!has_datasets(q)) {
        return gy_err_set(err, GY_E_NOTFOUND, "no dataset '%" GY_STR_F "': there is no .gyre here",
                          GY_STR_A(ref));
    }
    char *name = gy_arena_strdup(&q->cli->arena, ref);
    if (!name) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    GY_TRY(gy_cli_dataset_path(name, &path, err));
    GY_TRY(gy_cli_ask(q->cli, "GET", path.p, GY_STR_NULL, &answer, err));
    if (!q->home[0]) { /* of a server elsewhere: what is fetched needs a place */
        struct gy_home home = {.lock_fd = -1};
        GY_TRY(gy_cli_home(q->cli, &home, err));
        (void)snprintf(q->home, sizeof q->home, "%s", home.dir);
        gy_home_done(&home);
    }
    GY_TRY(locate(q, answer.root, ret->path, err));
    GY_TRY(schema_of(answer.root, &ret->schema_json, err));
    return find_parquet(q, ref, answer.root, ret, err);
}

/* ---- opening ---- */

/* Where DuckDB spills to: made by it when it does. */
static gy_status temp_dir(const struct gy_query_sql *q, char *out, struct gy_err *err)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s-%lld", q->home[0] ? "cache/sql" : "gyre-sql",
                   (long long)getpid());
    return gy_path_join(out, GY_MAX_PATH, q->home[0] ? q->home : gy_temp_dir(), name, err);
}

gy_status gy_query_sql_open(struct gy_cli *cli, const struct gy_query_sql_options *o,
                            struct gy_query_sql *ret, struct gy_err *err)
{
    struct gy_home home = {.lock_fd = -1};
    char spill[GY_MAX_PATH];
    *ret = (struct gy_query_sql){.cli = cli, .memory_bytes = o->memory_bytes, .cache = o->cache};
    if (gy_home_find(cli->home, false, &home, NULL) == GY_OK) {
        (void)snprintf(ret->home, sizeof ret->home, "%s", home.dir);
        gy_home_done(&home);
    }
    GY_TRY(temp_dir(ret, spill, err));
    const struct gy_duck_options duck = {.threads = o->threads,
                                         .memory_bytes = o->memory_bytes,
                                         .temp_dir = spill,
                                         .files = true,
                                         .unordered = o->unordered};
    const struct gy_tablefn_options tables = {.files = true,
                                              .strict = o->strict,
                                              .schema = o->schema,
                                              .dataset = find_dataset,
                                              .ctx = ret};
    GY_TRY(gy_duck_open(&duck, &ret->duck, err));
    return gy_tablefn_add(ret->duck, &tables, &ret->tables, err);
}

void gy_query_sql_close(struct gy_query_sql *q)
{
    gy_duck_free(q->duck);
    gy_tablefn_free(q->tables);
    q->duck = NULL;
    q->tables = NULL;
    while (q->n_fetched > 0) {
        (void)unlink(q->fetched[--q->n_fetched]); /* what stays is only room in a cache */
    }
}

/* ---- parameters ---- */

gy_status gy_query_sql_param(const char *text, struct gy_duck_param *ret, struct gy_err *err)
{
    struct gy_str value;
    *ret = (struct gy_duck_param){.kind = GY_DUCK_TEXT};
    if (!gy_str_cut(gy_str_c(text), '=', &ret->name, &value) || ret->name.n == 0) {
        return gy_err_set(err, GY_E_USAGE, "--param takes NAME=VALUE, not '%.100s'", text);
    }
    ret->text = value;
    const size_t sign = value.n > 0 && value.p[0] == '-' ? 1 : 0;
    /* "007" is no number: who writes so means the text. */
    const bool zeros = value.n > sign + 1 && value.p[sign] == '0' && value.p[sign + 1] != '.';
    if (value.n >= 2 && value.p[0] == '\'' && value.p[value.n - 1] == '\'') {
        ret->text = gy_str_sub(value, 1, value.n - 2);
    } else if (gy_str_eqc(value, "null")) {
        ret->kind = GY_DUCK_NULL;
    } else if (gy_str_eqc(value, "true") || gy_str_eqc(value, "false")) {
        ret->kind = GY_DUCK_BOOL;
        ret->b = value.n == 4;
    } else if (!zeros && gy_parse_i64(value, INT64_MIN, INT64_MAX, &ret->i, NULL) == GY_OK) {
        ret->kind = GY_DUCK_INT;
    } else if (!zeros && gy_parse_f64(value, &ret->f, NULL) == GY_OK) {
        ret->kind = GY_DUCK_REAL;
    }
    return GY_OK;
}

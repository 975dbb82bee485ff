/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/source_from.h"

#include <stdio.h>

#include "base/hash.h"
#include "data/source_pg.h"
#include "store/url.h"

void gy_cli_origin_done(struct gy_cli_origin *o)
{
    if (o) {
        gy_s3_free(GY_TAKE(o->s3));
        gy_cli_append_done(&o->append);
    }
}

static bool is_postgres(const char *url)
{
    return gy_str_starts(gy_str_c(url), GY_STR("postgresql://")) ||
           gy_str_starts(gy_str_c(url), GY_STR("postgres://"));
}

/* ---- what is appended ---- */

static gy_status begin_append(struct gy_cli *cli, const struct gy_cli_from *from,
                              struct gy_cli_origin *origin, const char *source,
                              struct gy_source_list *list, struct gy_err *err)
{
    const char *copy = gy_arena_strdup(&cli->arena, gy_str_c(source));
    if (!copy) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a source");
    }
    GY_TRY(gy_cli_append_open(cli, &from->append, from->name, copy, &origin->append, err));
    return gy_cli_append_base(&origin->append, from->output, list, err);
}

/* Another query, or another column, is another source: its rows have nothing to do with what was
 * taken. */
static gy_status name_query(const struct gy_cli_from *from, char *out, size_t size,
                            struct gy_err *err)
{
    char place[GY_STORE_URL_SHOWN], digest[GY_SHA256_HEX];
    GY_TRY(gy_sha256_hex(gy_str_trim(gy_str_c(from->query)), digest, err));
    (void)snprintf(out, size, "%s %.250s %.16s", gy_store_url_place(from->url, place),
                   from->append.watermark, digest);
    return GY_OK;
}

static gy_status append_query(struct gy_cli *cli, const struct gy_cli_from *from,
                              struct gy_cli_origin *origin, struct gy_pg_rows_options *o,
                              struct gy_source_list *list, struct gy_err *err)
{
    char source[GY_TAKEN_MAX_SOURCE];
    if (!from->append.watermark) {
        (void)gy_err_set(err, GY_E_USAGE, "which rows of the query are new?");
        return gy_err_hint(err, "--watermark COLUMN names the column that grows");
    }
    GY_TRY(name_query(from, source, sizeof source, err));
    GY_TRY(begin_append(cli, from, origin, source, list, err));
    const struct gy_str after = origin->append.from_watermark;
    o->watermark = from->append.watermark;
    o->equal_too = from->equal_too;
    if (after.p && !from->append.restart) {
        o->after = after.p; /* of a JSON document: it ends in NUL */
    }
    return GY_OK;
}

/* ---- databases ---- */

static gy_status from_postgres(struct gy_cli *cli, const struct gy_cli_from *from,
                               struct gy_cli_origin *origin, struct gy_source_list *ret,
                               struct gy_err *err)
{
    if (!from->query) {
        (void)gy_err_set(err, GY_E_USAGE, "a database needs a query");
        return gy_err_hint(err, "--query \"SELECT a, b FROM t ORDER BY id\"");
    }
    struct gy_pg_rows_options o = {.url = from->url, .query = from->query};
    if (from->append.append) {
        GY_TRY(append_query(cli, from, origin, &o, ret, err));
    }
    GY_TRY(gy_source_pg(&o, &origin->query, err));
    return gy_source_list_add(ret, origin->query, err);
}

/* ---- buckets ---- */

static gy_status pick_object(void *ctx, const struct gy_s3_object *o, bool *ret_take,
                             struct gy_err *err)
{
    char mark[GY_TAKEN_MAX_MARK];
    struct gy_cli_append *append = ctx;
    /* Without an ETag the time has to tell; a copy onto itself then counts as another content. */
    if (o->etag[0]) {
        (void)snprintf(mark, sizeof mark, "%.*s %lld", GY_S3_MAX_ETAG, o->etag,
                       (long long)o->size_bytes);
    } else {
        (void)snprintf(mark, sizeof mark, "time %lld %lld", (long long)o->modified_us,
                       (long long)o->size_bytes);
    }
    return gy_cli_append_pick(append, gy_str_c(o->key), gy_str_c(mark), ret_take, err);
}

static gy_status from_s3(struct gy_cli *cli, const struct gy_cli_from *from,
                         struct gy_cli_origin *origin, struct gy_source_list *ret,
                         struct gy_err *err)
{
    char bucket[64], prefix[GY_S3_MAX_NAME], source[128];
    GY_TRY(gy_source_s3_parse(from->url, bucket, prefix, err));
    const struct gy_s3_options o = {.bucket = bucket, .endpoint = cli->s3_endpoint};
    GY_TRY(gy_s3_open(&o, &origin->s3, err));
    if (!from->append.append) {
        return gy_source_list_add_s3(ret, origin->s3, bucket, prefix, NULL, NULL, NULL, err);
    }
    (void)snprintf(source, sizeof source, "s3://%s", bucket);
    GY_TRY(begin_append(cli, from, origin, source, ret, err));
    return gy_source_list_add_s3(ret, origin->s3, bucket, prefix, pick_object, &origin->append,
                                 NULL, err);
}

gy_status gy_cli_source_from(struct gy_cli *cli, const struct gy_cli_from *from,
                             struct gy_cli_origin *origin, struct gy_source_list *ret,
                             struct gy_err *err)
{
    char shown[GY_STORE_URL_SHOWN];
    const bool postgres = from->url && is_postgres(from->url);
    if ((from->query || from->append.watermark) && !postgres) {
        return gy_err_set(err, GY_E_USAGE, "%s is for --from postgresql://...",
                          from->query ? "--query" : "--watermark");
    }
    if (postgres) {
        return from_postgres(cli, from, origin, ret, err);
    }
    if (gy_str_starts(gy_str_c(from->url), GY_STR("s3://"))) {
        return from_s3(cli, from, origin, ret, err);
    }
    (void)gy_err_set(err, GY_E_USAGE, "--from '%s' is no source that is known",
                     gy_store_url_show(from->url, shown));
    return gy_err_hint(err, "postgresql://USER@HOST/DB or s3://BUCKET/PREFIX/");
}

/* ---- files ---- */

gy_status gy_cli_source_append_files(struct gy_cli *cli, const struct gy_cli_from *from,
                                     struct gy_cli_origin *origin, struct gy_source_list *ret,
                                     struct gy_err *err)
{
    GY_AUTO_DONE(gy_source_list_done) struct gy_source_list files = *ret;
    *ret = (struct gy_source_list){0};
    GY_TRY(begin_append(cli, from, origin, "files", ret, err));
    GY_TRY(gy_cli_append_files(&origin->append, &files, err));
    while (files.n > 0) { /* from the front: they are in order */
        struct gy_source *s = files.items[0];
        memmove(files.items, files.items + 1, --files.n * sizeof(struct gy_source *));
        GY_TRY(gy_source_list_add(ret, s, err));
    }
    return GY_OK;
}

gy_status gy_cli_source_is_new(const struct gy_cli_origin *origin,
                               const struct gy_source_list *list, bool *ret, struct gy_err *err)
{
    struct gy_str head;
    *ret = true;
    if (!origin->append.on || origin->append.base == 0) {
        return GY_OK;
    }
    *ret = list->n > 1; /* the base is one */
    if (origin->query) {
        GY_TRY(gy_source_head(origin->query, 1, &head, NULL, err));
        *ret = head.n > 0;
    }
    return GY_OK;
}

gy_status gy_cli_source_taken(const struct gy_cli_origin *origin, struct gy_buf *out,
                              struct gy_err *err)
{
    if (!origin->append.on) {
        return GY_OK;
    }
    if (!origin->query && !origin->s3) {
        GY_TRY(gy_cli_append_files_check(&origin->append, err));
    }
    return gy_cli_append_taken(&origin->append,
                               origin->query ? gy_source_pg_watermark(origin->query) : GY_STR_NULL,
                               out, err);
}

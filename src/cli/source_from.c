/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/source_from.h"

#include "data/source_pg.h"
#include "store/url.h"

void gy_cli_origin_done(struct gy_cli_origin *o)
{
    if (o) {
        gy_s3_free(GY_TAKE(o->s3));
    }
}

static bool is_postgres(const char *url)
{
    return gy_str_starts(gy_str_c(url), GY_STR("postgresql://")) ||
           gy_str_starts(gy_str_c(url), GY_STR("postgres://"));
}

static gy_status from_postgres(const struct gy_cli_from *from, struct gy_source_list *ret,
                               struct gy_err *err)
{
    struct gy_source *s = NULL;
    if (!from->query) {
        (void)gy_err_set(err, GY_E_USAGE, "a database needs a query");
        return gy_err_hint(err, "--query \"SELECT a, b FROM t ORDER BY id\"");
    }
    const struct gy_pg_rows_options o = {.url = from->url, .query = from->query};
    GY_TRY(gy_source_pg(&o, &s, err));
    return gy_source_list_add(ret, s, err);
}

static gy_status from_s3(const struct gy_cli *cli, const struct gy_cli_from *from,
                         struct gy_cli_origin *origin, struct gy_source_list *ret,
                         struct gy_err *err)
{
    char bucket[64], prefix[GY_S3_MAX_NAME];
    GY_TRY(gy_source_s3_parse(from->url, bucket, prefix, err));
    const struct gy_s3_options o = {.bucket = bucket, .endpoint = cli->s3_endpoint};
    GY_TRY(gy_s3_open(&o, &origin->s3, err));
    return gy_source_list_add_s3(ret, origin->s3, bucket, prefix, NULL, NULL, NULL, err);
}

gy_status gy_cli_source_from(struct gy_cli *cli, const struct gy_cli_from *from,
                             struct gy_cli_origin *origin, struct gy_source_list *ret,
                             struct gy_err *err)
{
    char shown[GY_STORE_URL_SHOWN];
    const bool postgres = from->url && is_postgres(from->url);
    if (from->query && !postgres) {
        return gy_err_set(err, GY_E_USAGE, "--query is for --from postgresql://...");
    }
    if (postgres) {
        GY_TRY(from_postgres(from, ret, err));
    } else if (gy_str_starts(gy_str_c(from->url), GY_STR("s3://"))) {
        GY_TRY(from_s3(cli, from, origin, ret, err));
    } else {
        (void)gy_err_set(err, GY_E_USAGE, "--from '%s' is no source that is known",
                         gy_store_url_show(from->url, shown));
        return gy_err_hint(err, "postgresql://USER@HOST/DB or s3://BUCKET/PREFIX/");
    }
    return GY_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/source_from.h"

#include "data/source_pg.h"
#include "store/url.h"

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

gy_status gy_cli_source_from(struct gy_cli *cli, const struct gy_cli_from *from,
                             struct gy_source_list *ret, struct gy_err *err)
{
    (void)cli;
    char shown[GY_STORE_URL_SHOWN];
    if (from->url && is_postgres(from->url)) {
        return from_postgres(from, ret, err);
    }
    if (from->query) {
        return gy_err_set(err, GY_E_USAGE, "--query is for --from postgresql://...");
    }
    (void)gy_err_set(err, GY_E_USAGE, "--from '%s' is no source that is known",
                     gy_store_url_show(from->url, shown));
    return gy_err_hint(err, "postgresql://USER@HOST/DB");
}

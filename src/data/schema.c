/* SPDX-License-Identifier: Apache-2.0 */
#include "data/schema.h"

#include <errno.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"

void gy_schema_free(struct gy_schema *s)
{
    if (s) {
        for (size_t i = 0; i < s->n_columns; i++) {
            gy_zone_free(s->columns[i].clock);
        }
        gy_map_done(&s->by_name);
        gy_arena_done(&s->arena);
        gy_free(s);
    }
}

const struct gy_column *gy_schema_column(const struct gy_schema *s, struct gy_str name)
{
    return gy_map_get(&s->by_name, name);
}

const struct gy_column *gy_schema_role(const struct gy_schema *s, enum gy_role role)
{
    for (size_t i = 0; i < s->n_columns; i++) {
        if (s->columns[i].role == role) {
            return &s->columns[i];
        }
    }
    return NULL;
}

static bool is_among(struct gy_str text, const struct gy_str *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (gy_str_eq(list[i], text)) {
            return true;
        }
    }
    return false;
}

bool gy_column_in(const struct gy_column *c, struct gy_str environment)
{
    return !environment.p || (!is_among(environment, c->not_in, c->n_not_in) &&
                              (c->n_in == 0 || is_among(environment, c->in, c->n_in)));
}

gy_status gy_schema_check_environment(const struct gy_schema *s, struct gy_str environment,
                                      struct gy_err *err)
{
    if (!environment.p || s->n_environments == 0 ||
        is_among(environment, s->environments, s->n_environments)) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is none of the schema's environments",
                     GY_STR_A(environment));
    return gy_err_hint(err, "the first of them is %s", s->environments[0].p);
}

enum gy_severity gy_schema_severity(const struct gy_schema *s, const struct gy_column *c,
                                    enum gy_anomaly_kind kind)
{
    for (size_t i = 0; c && i < c->n_severities; i++) {
        if (c->severities[i].kind == kind) {
            return c->severities[i].severity;
        }
    }
    for (size_t i = 0; i < s->n_severities; i++) {
        if (s->severities[i].kind == kind) {
            return s->severities[i].severity;
        }
    }
    return GY_SEVERITY_ERROR;
}

bool gy_schema_is_missing(const struct gy_schema *s, struct gy_str text)
{
    return text.n == 0 || is_among(text, s->missing, s->n_missing);
}

gy_status gy_schema_find(const char *dir, char ret_path[GY_MAX_PATH], struct gy_err *err)
{
    static const char *const tops[] = {"gyre.yaml", "dvc.yaml", ".git", NULL};
    char here[GY_MAX_PATH];
    if (!realpath(dir, here)) {
        return gy_err_sys(err, errno, "looking for schema.yaml in '%s'", dir);
    }
    for (;;) {
        GY_TRY(gy_path_join(ret_path, GY_MAX_PATH, here, "schema.yaml", err));
        if (gy_path_exists(ret_path)) {
            return GY_OK;
        }
        for (const char *const *top = tops; *top; top++) {
            char mark[GY_MAX_PATH];
            GY_TRY(gy_path_join(mark, sizeof mark, here, *top, err));
            if (gy_path_exists(mark)) {
                return gy_err_set(err, GY_E_NOTFOUND, "the project has no schema.yaml");
            }
        }
        char *slash = strrchr(here, '/');
        if (!slash || slash == here) {
            (void)gy_err_set(err, GY_E_NOTFOUND, "no schema.yaml in '%s' or above", dir);
            return gy_err_hint(err,
                               "`gyre data schema infer FILE` makes one; --schema FILE names one");
        }
        *slash = '\0';
    }
}

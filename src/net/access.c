/* SPDX-License-Identifier: Apache-2.0 */
#include "net/access.h"

static const char *const role_names[] = {"none", "viewer", "reviewer", "operator", "admin"};

const char *gy_auth_role_name(enum gy_auth_role role)
{
    return role_names[role <= GY_AUTH_ADMIN ? role : GY_AUTH_NONE];
}

bool gy_auth_role_parse(struct gy_str name, enum gy_auth_role *ret)
{
    for (int i = GY_AUTH_VIEWER; i <= GY_AUTH_ADMIN; i++) {
        if (gy_str_eqc(name, role_names[i])) {
            *ret = (enum gy_auth_role)i;
            return true;
        }
    }
    return false;
}

enum gy_access gy_access_of(enum gy_access access, const char *method)
{
    if (access != GY_ACCESS_DEFAULT) {
        return access;
    }
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    return reads ? GY_ACCESS_VIEWER : GY_ACCESS_OPERATOR;
}

enum gy_auth_role gy_access_role(enum gy_access access)
{
    switch (access) {
    case GY_ACCESS_VIEWER:
        return GY_AUTH_VIEWER;
    case GY_ACCESS_REVIEWER:
        return GY_AUTH_REVIEWER;
    case GY_ACCESS_OPERATOR:
        return GY_AUTH_OPERATOR;
    case GY_ACCESS_DEFAULT: /* not resolved: the strictest reading */
    case GY_ACCESS_ADMIN:
        return GY_AUTH_ADMIN;
    case GY_ACCESS_PUBLIC:
    case GY_ACCESS_LOGIN:
        return GY_AUTH_NONE;
    }
    return GY_AUTH_ADMIN;
}

const char *gy_access_name(enum gy_access access)
{
    switch (access) {
    case GY_ACCESS_PUBLIC:
        return "public";
    case GY_ACCESS_LOGIN:
        return "login";
    case GY_ACCESS_DEFAULT:
    case GY_ACCESS_VIEWER:
    case GY_ACCESS_REVIEWER:
    case GY_ACCESS_OPERATOR:
    case GY_ACCESS_ADMIN:
        break;
    }
    return gy_auth_role_name(gy_access_role(access));
}

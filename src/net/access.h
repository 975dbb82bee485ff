/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask what: the ordered roles of a caller, and what each route wants. The router knows
 * only these names; who a caller is and which role it holds is decided by the guard that the
 * program sets on it (api/auth.h). Values only; nothing here is shared. */
#ifndef GY_NET_ACCESS_H
#define GY_NET_ACCESS_H

#include "base/str.h"

/* Each may all that those before it may: viewers read and predict; reviewers also give verdicts and
 * feedback and decide on approvals; operators also write runs, models, data, and deploy; admins
 * also keep users, tokens of others and workspaces. */
enum gy_auth_role {
    GY_AUTH_NONE,
    GY_AUTH_VIEWER,
    GY_AUTH_REVIEWER,
    GY_AUTH_OPERATOR,
    GY_AUTH_ADMIN
};

/* What a route wants. DEFAULT: by method, GET and HEAD a viewer, others an operator. */
enum gy_access {
    GY_ACCESS_DEFAULT,
    GY_ACCESS_PUBLIC, /* anybody; credentials are not even looked at */
    GY_ACCESS_LOGIN,  /* anybody with a name, whatever the roles */
    GY_ACCESS_VIEWER,
    GY_ACCESS_REVIEWER,
    GY_ACCESS_OPERATOR,
    GY_ACCESS_ADMIN,
};

/* Flags of a route. */
enum {
    /* Somebody must answer for this: anonymous callers are refused also where no login is asked. */
    GY_ROUTE_NAMED = 1,
    /* Works inside the workspace of the request; all others work in "default" alone. */
    GY_ROUTE_SCOPED = 2,
    /* Comes by the thousand: its writes are not entered one by one in the audit log. */
    GY_ROUTE_BULK = 4,
    /* A review token (watch/review_token.h) is enough: the handler looks at it. */
    GY_ROUTE_REVIEW_TOKEN = 8,
    /* A gRPC method (net/grpc.h): HTTP/2 connections find it, too. */
    GY_ROUTE_GRPC = 16,
    /* Of it: a call may have any number of messages, each is a request of its own. */
    GY_ROUTE_GRPC_STREAM = 32,
    /* Of it: asked again and again; the client is told when the answer is another one. */
    GY_ROUTE_GRPC_WATCH = 64,
};

const char *gy_auth_role_name(enum gy_auth_role role); /* "viewer"; "none" */
/* False when there is no such role ("none" is none). */
bool gy_auth_role_parse(struct gy_str name, enum gy_auth_role *ret);
/* DEFAULT resolved for a method. */
enum gy_access gy_access_of(enum gy_access access, const char *method);
/* The least role for it: NONE for PUBLIC and LOGIN. */
enum gy_auth_role gy_access_role(enum gy_access access);
const char *gy_access_name(enum gy_access access); /* "public", "login", "viewer", ... */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP(S) client over libcurl (opened on first use): a gy_caller for "http://host:port" or
 * "unix:/path/to/sock". Follows no redirects. One handle a thread at a time is kept alive; thread
 * safe. Whom to trust with https: the system's authorities, or those of the PEM file that the
 * environment variable GYRE_CA_FILE names. */
#ifndef GY_NET_HTTP_CLIENT_H
#define GY_NET_HTTP_CLIENT_H

#include "net/call.h"

/* Fails: INVALID (not a URL), MISSINGDEP (libcurl), NOMEM. Does not connect yet. */
GY_CHECKED gy_status gy_http_client_new(const char *url, struct gy_caller **ret,
                                        struct gy_err *err);
/* The longest that a whole request may take (TIMEOUT beyond), 0: as long as it takes. Of a caller
 * that gy_http_client_new made, before its first call. */
void gy_http_client_timeout(struct gy_caller *c, int64_t timeout_ms);
/* A transfer that moves not a byte for so many seconds is given up (TIMEOUT), 0: never. For bodies
 * whose size, and so whose time, is not known. As above. */
void gy_http_client_stall(struct gy_caller *c, long stall_s);
/* Connect to no link-local address (169.254.0.0/16, fe80::/10), whatever the host's name resolves
 * to: there clouds hand out the machine's own credentials. For URLs that others have chosen. As
 * above. */
void gy_http_client_guard(struct gy_caller *c);
/* gy_call with a time limit of its own, which counts where it is shorter than the client's. Fails:
 * as gy_call, TIMEOUT. *ret_sent (MAY be NULL): false when the peer has surely not seen the
 * request, since no connection could be made. */
GY_CHECKED gy_status gy_http_client_call(struct gy_caller *c, struct gy_request *req,
                                         struct gy_reply *reply, int64_t timeout_ms, bool *ret_sent,
                                         struct gy_err *err);

#endif

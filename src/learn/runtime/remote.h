/* SPDX-License-Identifier: Apache-2.0 */
/* gy_remote: a model that another server answers for: any upstream that speaks the Open Inference
 * Protocol v2 over HTTP, or a worker process of our own over a socket (learn/runtime/python.h).
 *
 * What goes wrong is told apart: TIMEOUT (504), UNAVAILABLE (503: nobody there, or busy), NETWORK
 * (502: it broke off, answers something else, fails itself), INVALID (400: it refuses the rows). A
 * request is sent again only when no connection could be made, so when nobody can have seen it.
 * After GY_REMOTE_FAILURES failures one after the other the circuit is open: requests fail at once,
 * and after a while one is let through to see. Connections are kept alive. No redirects are
 * followed, no link-local address is asked, and messages name neither token nor body.
 *
 * The token comes from the environment variable or file that the package names. So that a package
 * can not send secrets of this machine anywhere, the variable must begin with GYRE_TOKEN_, and the
 * file lie in the folder that the variable GYRE_TOKEN_DIR names. Thread safe. */
#ifndef GY_LEARN_RUNTIME_REMOTE_H
#define GY_LEARN_RUNTIME_REMOTE_H

#include "learn/runtime/oip.h"

#define GY_REMOTE_FAILURES 5
#define GY_REMOTE_OPEN_MS 1000      /* at first; doubled by each look that fails */
#define GY_REMOTE_OPEN_MAX_MS 30000 /* at most */
#define GY_REMOTE_TIMEOUT_MS 2000   /* when the package says none */
#define GY_REMOTE_MAX_TIMEOUT_MS 600000
#define GY_REMOTE_TOKEN_PREFIX "GYRE_TOKEN_"
#define GY_REMOTE_TOKEN_DIR "GYRE_TOKEN_DIR"

struct gy_remote;

struct gy_remote_options {
    struct gy_str url;                   /* "http://host:port/prefix", "unix:/path" */
    struct gy_str token_env, token_file; /* absent: none */
    int64_t timeout_ms;
    const struct gy_oip_spec *spec; /* copied; what it points to lives longer */
    bool guarded;                   /* no link-local addresses */
    bool no_circuit;                /* whoever owns it knows better whether to ask */
};

/* Does not connect. Fails: INVALID (not a URL, with a user in it, a name of a token that may not be
 * named), NOTFOUND (no such token), MISSINGDEP (libcurl), NOMEM. */
GY_CHECKED gy_status gy_remote_new(const struct gy_remote_options *o, struct gy_remote **ret,
                                   struct gy_err *err);
void gy_remote_free(struct gy_remote *r);
GY_DEFINE_AUTO(struct gy_remote *, gy_remote_free);

/* As the runtime's try_run and ready. */
GY_CHECKED gy_status gy_remote_run(struct gy_remote *r, const double *x, size_t n_rows, double *out,
                                   int64_t deadline_ns, struct gy_err *err);
GY_CHECKED gy_status gy_remote_ready(struct gy_remote *r, struct gy_err *err);
/* GET a path, as JSON. Fails: as gy_remote_run. */
GY_CHECKED gy_status gy_remote_get(struct gy_remote *r, const char *path, yyjson_doc **ret,
                                   struct gy_err *err);

/* A URL that may be registered: http or https, a host, no user, no query. Fails: INVALID. */
GY_CHECKED gy_status gy_remote_check_url(struct gy_str url, struct gy_err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log: who did what, when, from where, and whether it was allowed. Rows are added and
 * never changed. Each carries the SHA-256 over the hash of the row before and its own canonical
 * text, so that a row that was changed, taken out, put in or moved breaks the chain from there on;
 * whoever keeps one (seq, hash) elsewhere also notices a chain that was made anew.
 *
 * Canonical text: seq and time_us as decimal digits, then actor, workspace, action, subject,
 * outcome, request_id, peer, detail; each of the ten as "<bytes>:<text>,". The hash of row 0, which
 * is not there, is 64 zeros. All functions run inside store closures. */
#ifndef GY_STORE_AUDIT_H
#define GY_STORE_AUDIT_H

#include "base/hash.h"
#include "store/store.h"

#define GY_AUDIT_MAX_TEXT 2000 /* bytes of each text; what is longer is cut */
#define GY_AUDIT_LIST_MAX 1000 /* rows a call */

struct gy_audit {
    int64_t seq, time_us;     /* gy_audit_add: given by it */
    struct gy_str actor;      /* "alice", "anonymous" */
    struct gy_str workspace;  /* "default" */
    struct gy_str action;     /* "POST /api/gyre/v1/endpoints/{name}/deploy", "login" */
    struct gy_str subject;    /* "name=sepsis" */
    struct gy_str outcome;    /* "done", "denied", "failed" */
    struct gy_str request_id; /* MAY be empty, as what follows */
    struct gy_str peer;       /* "192.0.2.7", "socket", "local" */
    struct gy_str detail;
    struct gy_str hash; /* gy_audit_add: ignored */
};

/* In the transaction of what it tells of. Absent strings become empty. */
GY_CHECKED gy_status gy_audit_add(struct gy_db *db, const struct gy_audit *entry,
                                  struct gy_err *err);
/* The hash of an entry behind prev. */
GY_CHECKED gy_status gy_audit_hash(struct gy_str prev, const struct gy_audit *entry,
                                   char out[GY_SHA256_HEX], struct gy_err *err);

struct gy_audit_filter {
    int64_t after, since_us; /* seq > after, time_us >= since_us */
    struct gy_str actor;     /* absent: any */
    struct gy_str action;    /* any part of it, absent: any */
    struct gy_str outcome;   /* absent: any */
    bool newest;             /* the newest first; after is then ignored */
};
/* At most max <= GY_AUDIT_LIST_MAX rows; strings in the arena. */
GY_CHECKED gy_status gy_audit_list(struct gy_db *db, const struct gy_audit_filter *f, size_t max,
                                   struct gy_arena *a, struct gy_audit **ret, size_t *ret_n,
                                   struct gy_err *err);

struct gy_audit_verdict {
    int64_t rows, last_seq;
    char last_hash[GY_SHA256_HEX];
    int64_t bad_seq; /* 0: the chain holds; else where it breaks */
    char why[160];   /* "row 7 is missing", "row 7 was changed", .. */
};
/* Walk the whole chain. expect_seq > 0: the row of that number must have expect_hash, too. A broken
 * chain is a result, not a failure. */
GY_CHECKED gy_status gy_audit_verify(struct gy_db *db, int64_t expect_seq,
                                     struct gy_str expect_hash, struct gy_audit_verdict *ret,
                                     struct gy_err *err);

#endif

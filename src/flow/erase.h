/* SPDX-License-Identifier: Apache-2.0 */
/* Where one person occurs in a home, told, written out or taken out: dataset versions, artifacts,
 * objects that nothing names any more, dead letters of uploads, predictions, reviews, feedback,
 * texts of tables, and files of the home. docs/erasure.md says what happens to each.
 *
 * Every step of taking out can be repeated: who was killed starts again and comes to the same end.
 * Order matters only where one step finds what the next removes: reviews and feedback go before the
 * predictions they belong to, a version is given up before its bytes.
 *
 * Holds are not looked at: who asks does that first, of what FIND says.
 * Not inside closures; one owner; takes as long as it takes. */
#ifndef GY_FLOW_ERASE_H
#define GY_FLOW_ERASE_H

#include "data/subject.h"
#include "serve/predlog.h"
#include "store/erasures.h"
#include "store/objects.h"

enum gy_erase_mode { GY_ERASE_FIND, GY_ERASE_EXPORT, GY_ERASE_TAKE_OUT };

/* One place where the subject is. state: "found" (erase takes it out), "erased" (it did),
 * "possible" (only with `possible`), "told" (nobody can take it out: note says why). */
struct gy_erase_finding {
    const char *kind; /* dataset, object, artifact, letters, predictions, reviews, feedback, text,
                         file, audit, backup */
    struct gy_str where;
    int64_t n; /* rows, records, pieces */
    const char *state;
    struct gy_str note; /* absent: none */
};

struct gy_erase_source {
    const struct gy_home *home;
    struct gy_store *store;
    struct gy_objects *objects;
    struct gy_predlog *log; /* the open log of this process, or NULL */
};

struct gy_erase_options {
    enum gy_erase_mode mode;
    const struct gy_subject *subject;
    bool possible;         /* also where no column is said to identify people */
    struct gy_str dataset; /* absent: everywhere; else only this dataset's versions */
    /* Signs gaps, and tells the id in columns that are logged as hashes. MAY be NULL but of
     * TAKE_OUT: those are not found then. */
    const struct gy_erasure_key *key;
    /* Of TAKE_OUT. */
    const struct gy_erasure *erasure;
    struct gy_str actor;
    gy_status (*found)(void *ctx, const struct gy_erase_finding *f, struct gy_err *err);
    /* EXPORT: each thing as a JSON object. MAY be NULL. */
    gy_status (*record)(void *ctx, const char *kind, struct gy_str where, struct gy_str json,
                        struct gy_err *err);
    /* MAY be NULL. total 0: not known. */
    gy_status (*progress)(void *ctx, const char *phase, int64_t done, int64_t total,
                          struct gy_err *err);
    void *ctx;
};

struct gy_erase_result {
    int64_t places, items;        /* found (or erased) */
    int64_t possible;             /* places that may be the subject's */
    const struct gy_str *columns; /* that identify people, by the schemas of all datasets */
    size_t n_columns;
    const struct gy_str
        *md5; /* of versions that were erased, now or before: what DVC names them by */
    size_t n_md5;
};
/* Results live in the arena. Fails: as stores do. */
GY_CHECKED gy_status gy_erase_run(const struct gy_erase_source *src,
                                  const struct gy_erase_options *o, struct gy_arena *a,
                                  struct gy_erase_result *ret, struct gy_err *err);

/* For retention and legal holds: does this segment of the log hold a prediction of the subject
 * (known by hashes of ids), or one of which that can not be told, because a column that identifies
 * people is logged as another hash (by the endpoint's setting, or since it is a text), or because
 * the revision is not known here? Fails: CORRUPT, IO, NOMEM, as the store does. */
GY_CHECKED gy_status gy_erase_concerns(const struct gy_erase_source *src,
                                       const struct gy_subject *subject, const char *segment,
                                       struct gy_arena *a, bool *ret, struct gy_err *err);

/* Bring a home up to date with a ledger (a snapshot that is older than erasures): the ledger's
 * entries become the home's, and each subject goes again, known by its hash. found and progress of
 * o MAY be NULL; its mode and subject are not looked at. *ret_n: entries. */
GY_CHECKED gy_status gy_erase_again(const struct gy_erase_source *src, const char *ledger,
                                    const struct gy_erase_options *o, struct gy_arena *a,
                                    size_t *ret_n, struct gy_err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* gy_publish: a training as an MLflow run, a model version and its proof, through the call seam: in
 * this process, over the socket or over HTTP, always by the same routes that any MLflow client
 * uses. The other direction, gy_package_fetch, brings a registered package back into a folder. */
#ifndef GY_LEARN_PUBLISH_H
#define GY_LEARN_PUBLISH_H

#include "learn/train.h"

#define GY_PUBLISH_PROOF_ROWS 5000

/* "gyre.part.1": "a/3", of a run that put registered versions together; track/runs.c makes it
 * lineage. */
#define GY_PUBLISH_PART_TAG "gyre.part."

struct gy_caller;

struct gy_publish_options {
    struct gy_str experiment;    /* made when absent; absent: "Default" */
    struct gy_str run_name;      /* absent: the server names it */
    struct gy_str register_as;   /* model name; absent: not registered */
    struct gy_str dataset;       /* "name@3"; absent: found by the data's digest, if registered */
    struct gy_str code_revision; /* absent: not known */
    struct gy_str code_patch;    /* what a dirty tree has beside it (flow/patch.h): kept as artifact
                                    code/dirty.patch; absent: none */
    struct gy_str step, job; /* "<flow run>/<stage>" and the job this happens in; absent: none */
    /* Names one piece of work: who registers the same model of the same data under it again gets
     * the version that is there, with what was missing done. Absent: each time a new version. */
    struct gy_str key;
    int64_t start_us;
    const char *source; /* of a folder: the command that made it; NULL: "gyre models import" */
    /* Of a folder: the registered versions it holds, "a/3": each is an edge of its lineage. */
    const struct gy_str *parts;
    size_t n_parts;
    struct gy_str parent_run_id; /* mlflow.parentRunId; absent: none */
};

struct gy_published {
    char run_id[64];
    char experiment_id[32];
    char digest[GY_SHA256_HEX];
    int64_t version; /* 0: not registered */
    bool servable;   /* registered ones are proven at once */
    bool found;      /* an earlier attempt had registered it; dir holds that package now */
    char reason[512];
};

/* dir: the folder that gy_train filled; it is sealed here with the run's id. Fails: as the
 * transport and the server do; CORRUPT when the server's digest of the package is another one. A
 * run that was begun is then marked FAILED. A death at any point leaves no version or a whole one:
 * the run ends as FINISHED only after its version was made; one that stays RUNNING is marked KILLED
 * by the next attempt with the same key. */
GY_CHECKED gy_status gy_publish(struct gy_caller *c, const char *dir, const struct gy_trained *t,
                                const struct gy_train_params *p, const struct gy_publish_options *o,
                                struct gy_published *ret, struct gy_err *err);

/* Register a run that gy_publish made without a version, as o->register_as, and prove it; o->key
 * does not count. dir: its package. ret: what gy_publish said; version, servable and reason are
 * set. Fails: as gy_publish. */
GY_CHECKED gy_status gy_publish_register(struct gy_caller *c, const char *dir,
                                         const struct gy_publish_options *o,
                                         struct gy_published *ret, struct gy_err *err);
/* A package folder that somebody else made (learn/import.h), stored with a run of its own,
 * registered as o->register_as and proven. Fails: as above. */
GY_CHECKED gy_status gy_publish_folder(struct gy_caller *c, const char *dir,
                                       const struct gy_publish_options *o, struct gy_published *ret,
                                       struct gy_err *err);

/* A registered version: "models:/sepsis@champion", "sepsis/3", ... */
struct gy_package_ref {
    struct gy_arena arena;
    struct gy_str name, digest, run_id;
    int64_t version;
};
void gy_package_ref_done(struct gy_package_ref *r);
GY_DEFINE_AUTO_DONE(struct gy_package_ref, gy_package_ref_done);
/* Put its files into root/<digest> (complete or not at all; one that is there already is checked
 * and used). ret_dir of GY_MAX_PATH; ret MAY be NULL. Fails: NOTFOUND, CORRUPT (digests), as the
 * transport does. */
GY_CHECKED gy_status gy_package_fetch(struct gy_caller *c, struct gy_str ref, const char *root,
                                      char *ret_dir, struct gy_package_ref *ret,
                                      struct gy_err *err);

/* The commit that the working folder is at: HEAD of the nearest .git upwards, read from its files.
 * false when there is none. */
bool gy_code_revision(const char *dir, char ret[65]);

#endif

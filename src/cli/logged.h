/* SPDX-License-Identifier: Apache-2.0 */
/* What gyre replay and gyre backtest share: they read the prediction log of the home themselves,
 * also beside its running server, and ask for everything else through the seam. Main thread, but
 * for gy_logged_shape. */
#ifndef GY_CLI_LOGGED_H
#define GY_CLI_LOGGED_H

#include "cli/cli_internal.h"
#include "serve/shape.h"

struct gy_logged {
    struct gy_cli *cli;
    struct gy_caller *caller;
    char dir[GY_MAX_PATH]; /* of the log */
    struct gy_str endpoint;
    struct gy_arena arena; /* of the shapes */
    struct gy_logged_revision {
        int64_t number;
        struct gy_shape shape;
        struct gy_str model; /* that the revision serves */
        yyjson_doc *doc;
        struct gy_logged_revision *next;
    } * revisions;
};
/* Open the seam and have a running server flush its log. Fails: USAGE with a --server elsewhere, as
 * the transport does. */
GY_CHECKED gy_status gy_logged_init(struct gy_logged *l, struct gy_cli *cli, struct gy_err *err);
void gy_logged_done(struct gy_logged *l);
GY_DEFINE_AUTO_DONE(struct gy_logged, gy_logged_done);

/* The revision of l->endpoint, kept until the end. ctx is the gy_logged; one thread at a time.
 * Fails: NOTFOUND, as the transport does. */
GY_CHECKED gy_status gy_logged_revision(struct gy_logged *l, int64_t revision,
                                        const struct gy_logged_revision **ret, struct gy_err *err);
GY_CHECKED gy_status gy_logged_shape(void *ctx, int64_t revision, const struct gy_shape **ret,
                                     struct gy_err *err);

/* --model: a package folder, a registered version, or the number of a version of `model`. */
GY_CHECKED gy_status gy_logged_predictor(struct gy_logged *l, const char *given,
                                         struct gy_str model, struct gy_predictor **ret,
                                         struct gy_err *err);
/* A value of an answer as a member of an open object: the class's label, or the number. */
void gy_logged_kv_value(struct gy_jw *w, const char *key, const struct gy_shape *s, double value);

#endif

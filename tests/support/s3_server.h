/* SPDX-License-Identifier: Apache-2.0 */
/* A real S3 server for a test: versitygw over a folder, on loopback. */
#ifndef GY_TESTS_S3_SERVER_H
#define GY_TESTS_S3_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "net/s3_sign.h"

struct s3_server {
    pid_t pid; /* 0: not running */
    int port;
    char endpoint[64];
    char folder[160]; /* folder/bucket/key is an object */
    struct gy_s3_keys keys;
};

/* False: there is none (deps/s3-server.sh was not run, or could not). dir: where it may write; the
 * bucket "bucket" is made. A server that does not come up fails the test. */
bool s3_server_start(struct s3_server *s, const char *dir);
void s3_server_stop(struct s3_server *s);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* A file as the end of an answer, sent by sendfile(2). Neither side of the server is held by it:
 * the loop never touches the file (a read that misses the page cache would stall all its
 * connections), and no worker waits for a slow client. A job on the worker pool sends until the
 * socket is full; the loop then waits for room and queues the next job. What a job may touch is the
 * exchange's own: its file and its copy of the socket's descriptor, so that it can outlive the
 * connection. */
#ifndef GY_NET_FILE_OUT_H
#define GY_NET_FILE_OUT_H

#include "net/server_internal.h"

enum {
    GY_FILE_STEP = 1024 * 1024,       /* bytes of one sendfile */
    GY_FILE_SLICE = 32 * 1024 * 1024, /* of one job; then it queues again, behind the others */
    GY_FILE_PATIENCE_MS = 5,          /* a job waits for a client that reads on as fast as this */
};

struct gy_file_wait; /* of a connection: the wait for room in its socket */

/* All of them on the loop's thread. Start the next job; the connection is closed when that can not
 * be. Without room in the queue it is tried again with the next tick. */
void gy_file_out_start(struct gy_conn *c);
void gy_file_out_wait(struct gy_conn *c); /* for room in the socket, then start */
/* Each tick: true when the client takes less than min_bytes_s over window_ms. */
bool gy_file_out_stalled(struct gy_conn *c, uint64_t now_ms, uint64_t window_ms,
                         uint64_t min_bytes_s);
void gy_file_out_drop(struct gy_conn *c); /* the answer is over; counts what went out */

#endif

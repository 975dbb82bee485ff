/* SPDX-License-Identifier: Apache-2.0 */
/* How a client says until when it wants an answer, and Gyre says it to an upstream. */
#ifndef GY_NET_DEADLINE_H
#define GY_NET_DEADLINE_H

/* A time that the client gives the request, from when the server has read it: 250ms, 2s. */
#define GY_DEADLINE_HEADER "Gyre-Timeout"
/* The same of a gRPC call, as gy_grpc_timeout reads it; a worker finds what is left of it. */
#define GY_GRPC_DEADLINE_HEADER "grpc-timeout"

#endif

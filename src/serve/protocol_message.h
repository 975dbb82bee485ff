/* SPDX-License-Identifier: Apache-2.0 */
/* How messages (serve/message.h) are asked: a protocol whose path no HTTP client can send. */
#ifndef GY_SERVE_PROTOCOL_MESSAGE_H
#define GY_SERVE_PROTOCOL_MESSAGE_H

#include "serve/protocol.h"

/* Before the endpoint's name. Without a slash in front it is no target of an HTTP request. */
#define GY_MESSAGE_PATH "gyre-message/"
/* Its presence means: neither logged nor counted. Only inside the process. */
#define GY_UNLOGGED_HEADER "Gyre-Log"

extern const struct gy_protocol gy_protocol_message;

#endif

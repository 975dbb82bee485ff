/* SPDX-License-Identifier: Apache-2.0 */
/* gy_unpack: a reader of what gzip (RFC 1952, any number of members, zeros behind the last) or zstd
 * (RFC 8878, any number of frames) packed, told from the first bytes; other bytes pass as they are.
 * Every checksum of the format is checked. Memory: the window of the format, at most 128 MiB. Not
 * thread safe; one owner. */
#ifndef GY_DATA_UNPACK_H
#define GY_DATA_UNPACK_H

#include "base/err.h"

struct gy_reader; /* net/call.h */
struct gy_unpack;

/* in must outlive it; name is for messages, and kept. The reader fails as in does, and PARSE: the
 * stream is damaged or ends early. Fails: NOMEM. */
GY_CHECKED gy_status gy_unpack_new(struct gy_reader *in, const char *name, struct gy_unpack **ret,
                                   struct gy_err *err);
struct gy_reader *gy_unpack_reader(struct gy_unpack *u);
void gy_unpack_free(struct gy_unpack *u);
GY_DEFINE_AUTO(struct gy_unpack *, gy_unpack_free);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* gy_zone: what UTC time a local time is. A zone is "UTC", an offset ("+01:00"), or a name of the
 * system's time zone files ("Europe/Berlin"; RFC 8536, version 2 and later). Where clocks are set
 * back a local time exists twice: it means the first one; where they are set forward it does not
 * exist: it is read with the offset that held before, as RFC 5545 does. Immutable; any number of
 * threads may use one. */
#ifndef GY_BASE_ZONE_H
#define GY_BASE_ZONE_H

#include "base/str.h"

#define GY_ZONE_MAX_NAME 64
#define GY_ZONE_MAX_FILE (1u << 20)

struct gy_zone;

/* Fails: INVALID (no such zone, with a hint), CORRUPT (its file), IO, NOMEM. */
GY_CHECKED gy_status gy_zone_open(struct gy_str name, struct gy_zone **ret, struct gy_err *err);
void gy_zone_free(struct gy_zone *z);
GY_DEFINE_AUTO(struct gy_zone *, gy_zone_free);

/* local_s: seconds since 1970-01-01T00:00:00 on the zone's own clock. The same instant in seconds
 * since the epoch, UTC. */
int64_t gy_zone_to_utc(const struct gy_zone *z, int64_t local_s);

#endif

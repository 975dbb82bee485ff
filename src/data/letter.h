/* SPDX-License-Identifier: Apache-2.0 */
/* gy_letter: a dead letter (data/deadletter.h) read back, with the bytes of its record and with a
 * name that is the same in every run and in every copy of the log. */
#ifndef GY_DATA_LETTER_H
#define GY_DATA_LETTER_H

#include "base/buf.h"
#include "base/json.h"
#include "base/limits.h"

#define GY_LETTER_ID 64 /* bytes of an id, with the NUL */

struct gy_letter {
    /* "<24 hex digits of the source's SHA-256>-<row>"; of letters of older programs, which do not
     * name their source, "old-<24 hex digits>" of file, place and bytes. */
    char id[GY_LETTER_ID];
    struct gy_str bytes; /* of the record, without its line end */
    struct gy_str file;
    struct gy_str header; /* absent: of a file without one, or not known */
    struct gy_str time;
    char delimiter;
    int64_t row;
};

/* json: an object of the log. Views into it, and into scratch (reset first) for bytes that stand in
 * base64. An "id" member is believed: it is what gyre dlq list gives out. Fails: INVALID (no
 * record in it, or an id that is none), TOOBIG, NOMEM. */
GY_CHECKED gy_status gy_letter_read(yyjson_val *json, struct gy_buf *scratch, struct gy_letter *ret,
                                    struct gy_err *err);
bool gy_letter_is_id(struct gy_str text);

#endif

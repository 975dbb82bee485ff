/* SPDX-License-Identifier: Apache-2.0 */
/* gy_checker: one record against a schema. Gives the record's canonical line, or every reason why
 * it is refused. The header decides which input field is which column; the canonical line has the
 * schema's columns in the schema's order (those of the environment, and others that the file has).
 * Not thread safe; one owner; it remembers the values of unique columns of accepted records. */
#ifndef GY_DATA_CHECK_H
#define GY_DATA_CHECK_H

#include "data/records.h"
#include "data/schema.h"

/* Why a record is dead. One record may have several reasons; each has a code.
 * FIELDS    another number of fields than the header
 * QUOTE     a quoted field is broken (records.h)
 * TOOLONG   a line longer than csv.record_max, as it is or in canonical form
 * UTF8      a field is not UTF-8
 * TYPE      a value is not of the column's type
 * RANGE     a number below min or above max
 * REQUIRED  a required value is missing
 * VALUES    a value is none of the allowed ones
 * UNIQUE    a value was in an accepted record before */
#define GY_DEAD_CODES(X) \
    X(FIELDS) X(QUOTE) X(TOOLONG) X(UTF8) X(TYPE) X(RANGE) X(REQUIRED) X(VALUES) X(UNIQUE)
enum gy_dead_code {
#define X(name) GY_DEAD_##name,
    GY_DEAD_CODES(X)
#undef X
        GY_DEAD_N
};
const char *gy_dead_name(enum gy_dead_code code); /* "FIELDS" */

#define GY_REASONS_MAX_TEXT (8 * GY_KIB) /* further reasons are counted in the codes alone */

struct gy_reasons {
    unsigned codes;                 /* bit 1 << GY_DEAD_x each; 0: the record is good */
    const struct gy_column *column; /* the first one at fault; NULL: the record as a whole */
    struct gy_buf text;             /* for people: "HR: 'abc' is not an int; Temp: ..." */
};
void gy_reasons_init(struct gy_reasons *r);
void gy_reasons_done(struct gy_reasons *r);
GY_DEFINE_AUTO_DONE(struct gy_reasons, gy_reasons_done);

struct gy_checker;

/* schema must outlive the checker. header: the fields of the header line. environment: absent for
 * all columns. Fails: SCHEMA (a header field that the schema does not know, one that is there
 * twice, a required column that is not there), NOMEM, TOOBIG. */
GY_CHECKED gy_status gy_checker_new(const struct gy_schema *schema, struct gy_str environment,
                                    const struct gy_csv_field *header, size_t n_header,
                                    struct gy_checker **ret, struct gy_err *err);
void gy_checker_free(struct gy_checker *c);
GY_DEFINE_AUTO(struct gy_checker *, gy_checker_free);

/* Check a record (faulty ones included; raw may be absent then). Without reasons its canonical line
 * with LF has been appended to out and its unique values are taken; else out is unchanged. reasons
 * is reset first. Fails only on NOMEM and TOOBIG, never because of the record. */
GY_CHECKED gy_status gy_checker_record(struct gy_checker *c, const struct gy_csv_item *item,
                                       char delimiter, struct gy_buf *out,
                                       struct gy_reasons *reasons, struct gy_err *err);
/* Append the canonical header line. */
void gy_checker_header(const struct gy_checker *c, struct gy_buf *out);
size_t gy_checker_n_columns(const struct gy_checker *c); /* of a canonical line */

#endif

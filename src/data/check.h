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
 * UNIQUE    a value was in an accepted record before
 * JSON      not JSON, no object, or an object with a key twice
 * FILE      an image's file is not there
 * IMAGE     it is there, but no PNG or JPEG that can be decoded
 * SIZE      it has not the width, height or channels that the column wants */
#define GY_DEAD_CODES(X) \
    X(FIELDS)            \
    X(QUOTE)             \
    X(TOOLONG)           \
    X(UTF8) X(TYPE) X(RANGE) X(REQUIRED) X(VALUES) X(UNIQUE) X(JSON) X(FILE) X(IMAGE) X(SIZE)
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
 * twice, a required column that is not there), INVALID (an environment that the schema does not
 * list), NOMEM, TOOBIG. */
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
/* One value of a record that is not CSV. kind says what the file wrote; a value of another kind
 * than its column's type wants is TYPE: NUMBER for int and float, BOOL for bool, STRING for the
 * others. A STRING that is a missing marker is missing in every column. */
enum gy_value_kind {
    GY_VALUE_PLAIN /* of CSV: any */,
    GY_VALUE_STRING,
    GY_VALUE_NUMBER,
    GY_VALUE_BOOL,
    GY_VALUE_NESTED
};
struct gy_value {
    struct gy_str text; /* absent or empty: missing */
    enum gy_value_kind kind;
};
/* May a value of this kind stand in a column of this type? */
bool gy_value_fits(enum gy_type type, enum gy_value_kind kind);
/* The same for values (one a field of the header) of a record of raw_bytes bytes of UTF-8. The
 * values' texts add up to at most raw_bytes. */
GY_CHECKED gy_status gy_checker_values(struct gy_checker *c, const struct gy_value *values,
                                       size_t raw_bytes, struct gy_buf *out,
                                       struct gy_reasons *reasons, struct gy_err *err);
/* Go on with another file, whose header is this one: unique values stay taken. Fails: as
 * gy_checker_new, and SCHEMA when its canonical columns would be others. */
GY_CHECKED gy_status gy_checker_next_file(struct gy_checker *c, const struct gy_csv_field *header,
                                          size_t n_header, struct gy_err *err);
/* Where the files of image columns are looked for; NULL (the start): they are not. Kept, not
 * copied. */
void gy_checker_folder(struct gy_checker *c, const char *folder);
/* The columns without repeated values that the canonical line has, and what the last record has in
 * them (canonical; empty: missing), if it has values at all and was not refused as a whole. Views
 * until the next record. */
size_t gy_checker_n_unique(const struct gy_checker *c);
const struct gy_column *gy_checker_unique_column(const struct gy_checker *c, size_t i);
struct gy_str gy_checker_unique_text(const struct gy_checker *c, size_t i);
bool gy_checker_has_values(const struct gy_checker *c);
/* With off, records that repeat a value are not refused for it: the caller decides. */
void gy_checker_refuse_repeated(struct gy_checker *c, bool on);
/* Refuse a record as a whole: r is reset and has this reason alone. */
void gy_reasons_whole(struct gy_reasons *r, enum gy_dead_code code, const char *why);
/* Refuse a record, for other reasons too perhaps, because of a value that was there before. */
void gy_reasons_repeated(struct gy_reasons *r, const struct gy_column *column, struct gy_str text);
/* Append the canonical header line. */
void gy_checker_header(const struct gy_checker *c, struct gy_buf *out);
size_t gy_checker_n_columns(const struct gy_checker *c); /* of a canonical line */

#endif

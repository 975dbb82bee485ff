/* SPDX-License-Identifier: Apache-2.0 */
/* gy_csv: the reader of CSV records. It exists because no reader at hand conserves every byte of a
 * broken file: here each byte belongs to exactly one item (header, record, blank line), so what was
 * read can be counted, and what is refused can be shown and replayed exactly.
 *
 * Format: RFC 4180 with a chosen or sniffed delimiter, LF or CRLF (a lone CR is data), "" inside
 * quotes, newlines inside quotes, an optional UTF-8 byte order mark. A quote inside an unquoted
 * field is an ordinary byte. A blank line (nothing but its line end) is no record.
 * Items tile the file: item.offset is the end of the item before, size_bytes counts the line end
 * (and a byte order mark, for the first item), and the sum of all size_bytes is the file's size.
 * The QUOTE rule: a quoted field that is not followed by delimiter, newline or end, that never
 * closes, or that makes its record longer than record_max, ends the record at its first physical
 * newline with fault QUOTE; reading resumes on the next line. A line longer than record_max without
 * such a field has fault TOOLONG. What a failed scan has learnt is kept, so that hostile files cost
 * linear time (see `memo` in records.c).
 * Memory: record_max + chunk_bytes, whatever the file. The items do not depend on chunk_bytes.
 * Not thread safe; one owner. Lifecycle: gy_csv_open -> gy_csv_next* -> gy_csv_free. */
#ifndef GY_DATA_RECORDS_H
#define GY_DATA_RECORDS_H

#include "base/buf.h"
#include "base/limits.h"

struct gy_reader; /* net/call.h */
struct gy_csv;

#define GY_CSV_SNIFF_BYTES (64 * GY_KIB) /* how much of the file the delimiter is guessed from */

struct gy_csv_options {
    char delimiter;         /* ',' ';' '\t' '|'; 0: sniffed from the first line */
    size_t record_max;      /* 0: GY_MAX_CSV_RECORD */
    size_t chunk_bytes;     /* asked from the reader at once; 0: 256 KiB */
    struct gy_spill *spill; /* gets the bytes of records whose raw is absent; NULL: they are lost */
};

/* Where the content of a record goes that is too long to be kept, in order and piece by piece,
 * before the item is given (a line end of two bytes may come with it: item.length counts). */
struct gy_spill {
    gy_status (*write)(struct gy_spill *self, struct gy_str bytes, struct gy_err *err);
};

enum gy_csv_kind { GY_CSV_HEADER, GY_CSV_RECORD, GY_CSV_BLANK, GY_CSV_LINES /* of gy_csv_more */ };
enum gy_csv_fault { GY_CSV_FINE, GY_CSV_QUOTE, GY_CSV_TOOLONG, GY_CSV_SYNTAX /* jsonrec.h */ };

struct gy_csv_item {
    enum gy_csv_kind kind;
    enum gy_csv_fault fault;
    int64_t row;        /* 0-based index among the records; -1 for header and blank lines */
    int64_t offset;     /* of the item's first byte in the file */
    int64_t size_bytes; /* with line end (and byte order mark) */
    int64_t skip;       /* bytes before the content: 3 with a byte order mark, else 0 */
    int64_t length;     /* of the content: without line end and byte order mark */
    struct gy_str raw;  /* the content, until the next call; absent when longer than record_max */
    bool quotes;        /* a quote is somewhere in raw */
};

/* One field of an item, a view into raw; quoted: without its outer quotes. */
struct gy_csv_field {
    const char *p;
    size_t n;
    bool quoted;
    bool escaped; /* "" occurs: read it with gy_csv_text */
};

/* The first line is the header. in must outlive the reader. Fails: INVALID (delimiter), NOMEM, and
 * as in->read does. */
GY_CHECKED gy_status gy_csv_open(struct gy_reader *in, const struct gy_csv_options *o,
                                 struct gy_csv **ret, struct gy_err *err);
void gy_csv_free(struct gy_csv *c);
GY_DEFINE_AUTO(struct gy_csv *, gy_csv_free);

/* The next item; *ret_more false at the end of the file (ret is untouched then). Bad input is never
 * an error, it is a fault of the item. Fails: as in->read does. */
GY_CHECKED gy_status gy_csv_next(struct gy_csv *c, struct gy_csv_item *ret, bool *ret_more,
                                 struct gy_err *err);
/* As gy_csv_next, but quick: where lines without a quote stand one after the other, they come as
 * one item of kind LINES, whose raw has them with their line ends and is at most max (and
 * record_max) bytes; gy_csv_line takes it apart. Items do not depend on chunk_bytes, but how they
 * are put together does, and their row is -1: whoever takes the lines apart counts. */
GY_CHECKED gy_status gy_csv_more(struct gy_csv *c, size_t max, struct gy_csv_item *ret,
                                 bool *ret_more, struct gy_err *err);
/* The next item (RECORD or BLANK, row -1) of lines, which is cut; false when nothing is left.
 * *offset is that of lines, and goes along. */
bool gy_csv_line(struct gy_str *lines, int64_t *offset, struct gy_csv_item *ret);
char gy_csv_delimiter(const struct gy_csv *c);

/* Split an item without fault whose raw is present. Writes at most max fields and returns how many
 * there are in all. */
size_t gy_csv_split(struct gy_str raw, bool quotes, char delimiter, struct gy_csv_field *out,
                    size_t max);
/* The field's text with "" made one quote: a view into the field, or into scratch (reset first)
 * when it was escaped. Absent when scratch failed. */
struct gy_str gy_csv_text(const struct gy_csv_field *f, struct gy_buf *scratch);
/* Append text as RFC 4180 wants it: quoted only when it holds a comma, a quote, CR or LF. */
void gy_csv_add_field(struct gy_buf *out, struct gy_str text);

#endif

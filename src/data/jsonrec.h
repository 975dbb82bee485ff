/* SPDX-License-Identifier: Apache-2.0 */
/* gy_jsonrec: the reader of JSON records, as gy_csv is that of CSV records: items tile the file, a
 * damaged one is a fault and not an error, memory is record_max + chunk_bytes whatever the file,
 * and the items do not depend on how the bytes arrive.
 *
 * Two shapes. GY_JSONREC_LINES (JSONL, NDJSON): a record a line, LF or CRLF, blank lines are none.
 * GY_JSONREC_ARRAY: the elements of one array, or objects one after the other without an array
 * around them, over any number of lines. A byte order mark may come first. Blanks, commas and the
 * array's brackets between elements are items of kind BLANK; whether a comma stands there is not
 * asked. The reader checks the grammar of an element as far as it takes to find its end (strings,
 * nesting, colons and commas; not what a bare word says): what is FINE ends where it should, but
 * may still be refused by a JSON parser.
 * The SYNTAX rule: an element that breaks the grammar ends, from the break on, before the first
 * comma that is followed (blanks aside) by an opening brace, or before the array's last bracket;
 * the comma right before the break counts. Reading goes on behind it. So a damaged object costs
 * itself, and a broken string at worst the object after it. An element longer than record_max has
 * fault TOOLONG (or SYNTAX) and no raw. Linear time: a byte is looked at twice at most.
 * Not thread safe; one owner. Lifecycle: gy_jsonrec_open -> gy_jsonrec_next* -> gy_jsonrec_free. */
#ifndef GY_DATA_JSONREC_H
#define GY_DATA_JSONREC_H

#include "data/records.h"

struct gy_jsonrec;

enum gy_jsonrec_shape { GY_JSONREC_ARRAY, GY_JSONREC_LINES };

struct gy_jsonrec_options {
    enum gy_jsonrec_shape shape;
    size_t record_max;      /* 0: GY_MAX_CSV_RECORD */
    size_t chunk_bytes;     /* asked from the reader at once; 0: 256 KiB */
    struct gy_spill *spill; /* as in gy_csv_options */
};

/* in must outlive the reader. Fails: NOMEM. */
GY_CHECKED gy_status gy_jsonrec_open(struct gy_reader *in, const struct gy_jsonrec_options *o,
                                     struct gy_jsonrec **ret, struct gy_err *err);
void gy_jsonrec_free(struct gy_jsonrec *j);
GY_DEFINE_AUTO(struct gy_jsonrec *, gy_jsonrec_free);

/* The next item, RECORD or BLANK; *ret_more false at the end of the file. Fails: PARSE when the
 * file starts with neither an array nor an object (ARRAY alone), and as in->read does. */
GY_CHECKED gy_status gy_jsonrec_next(struct gy_jsonrec *j, struct gy_csv_item *ret, bool *ret_more,
                                     struct gy_err *err);
/* At the end of the file: an array was opened and never closed. Its elements are good all the same;
 * who wrote the file may have been cut off. */
bool gy_jsonrec_unclosed(const struct gy_jsonrec *j);

#endif

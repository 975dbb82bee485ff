/* SPDX-License-Identifier: Apache-2.0 */
/* The checker over any bytes: each record is accepted or has a reason; and what was accepted is
 * accepted again, as it is, byte for byte (the canonical form is a fixed point). */
#include <stdlib.h>

#include "../unit/data/csv_oracle.h"
#include "data/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char SCHEMA[] = "columns:\n"
                             "  - {name: i, type: int, min: -5, max: 1000, unique: true}\n"
                             "  - {name: f, type: float}\n"
                             "  - {name: s, type: string}\n"
                             "  - {name: b, type: bool}\n"
                             "  - {name: t, type: time}\n"
                             "  - {name: z, type: time, zone: '+02:00'}\n"
                             "  - {name: n, type: time, zone: none}\n"
                             "  - {name: l, type: float, list: ';', value_count: {max: 9}}\n"
                             "  - {name: k, type: bool, list: ' '}\n"
                             "  - {name: v, type: string, values: [x, 'a,b'], required: true}\n"
                             "missing: ['', NaN, '?']\n";

/* The canonical table of csv into out. Returns the number of accepted records, -1 without a header
 * that fits. */
static int64_t canonical(const struct gy_schema *schema, struct gy_str csv, struct gy_buf *out,
                         bool all_good)
{
    struct slow_reader in = slow_reader(csv, 0);
    struct gy_csv_options o = {.delimiter = ',', .record_max = all_good ? 10000 : 1000};
    struct gy_csv_field fields[64];
    struct gy_reasons reasons;
    struct gy_csv *c = NULL;
    struct gy_checker *checker = NULL;
    int64_t accepted = -1;
    gy_reasons_init(&reasons);
    if (gy_csv_open(&in.reader, &o, &c, NULL) != GY_OK) {
        abort();
    }
    for (bool more = true; more;) {
        struct gy_csv_item item = {0};
        if (gy_csv_next(c, &item, &more, NULL) != GY_OK) {
            abort();
        }
        if (more && item.kind == GY_CSV_HEADER) {
            size_t n = item.fault ? 99 : gy_csv_split(item.raw, item.quotes, ',', fields, 64);
            if (n > 64 || gy_checker_new(schema, GY_STR_NULL, fields, n, &checker, NULL) != GY_OK) {
                break;
            }
            gy_checker_header(checker, out);
            accepted = 0;
        } else if (more && item.kind == GY_CSV_RECORD) {
            size_t before = out->n;
            if (gy_checker_record(checker, &item, ',', out, &reasons, NULL) != GY_OK ||
                (reasons.codes == 0) != (out->n > before) || (all_good && reasons.codes)) {
                abort();
            }
            accepted += reasons.codes == 0;
        }
    }
    gy_checker_free(checker);
    gy_csv_free(c);
    gy_reasons_done(&reasons);
    return accepted;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gy_schema *schema;
    if (!schema && gy_schema_parse(gy_str_c(SCHEMA), "fuzz", &schema, NULL) != GY_OK) {
        abort();
    }
    struct gy_buf once, twice;
    gy_buf_init(&once, 64 * GY_MIB);
    gy_buf_init(&twice, 64 * GY_MIB);
    int64_t accepted = canonical(schema, gy_str_n((const char *)data, size), &once, false);
    if (accepted >= 0 && (canonical(schema, gy_buf_str(&once), &twice, true) != accepted ||
                          !gy_str_eq(gy_buf_str(&once), gy_buf_str(&twice)))) {
        abort();
    }
    gy_buf_done(&once);
    gy_buf_done(&twice);
    return 0;
}

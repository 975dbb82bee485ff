/* SPDX-License-Identifier: Apache-2.0 */
/* SQL of anybody, taken apart: it ends, words lie in the text in order, and nothing but blanks,
 * comments and ';' is outside the statements. */
#include <stdint.h>
#include <stdlib.h>

#include "base/limits.h"
#include "data/duck_sql.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool yes)
{
    if (!yes) {
        abort();
    }
}

struct names {
    size_t n, bytes;
};

static gy_status take(void *ctx, struct gy_str name, struct gy_err *err)
{
    struct names *t = ctx;
    (void)err;
    need(name.p && name.n <= GY_MAX_PATH);
    t->n++;
    t->bytes += name.n;
    return GY_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct gy_str sql = gy_str_n((const char *)data, size);
    size_t words = 0, within = 0, signs = 0;
    struct gy_str rest = sql;
    for (const char *at = sql.p;;) {
        const struct gy_duck_token t = gy_duck_token_next(&rest);
        if (t.kind == GY_DUCK_WORD_END) {
            need(rest.n == 0);
            break;
        }
        need(t.text.n > 0 && t.text.p >= at && t.text.p + t.text.n == rest.p);
        at = rest.p;
        words++;
        signs += gy_str_eqc(t.text, ";") ? 1 : 0;
    }
    struct gy_str statement;
    struct names all = {0};
    rest = sql;
    while (gy_duck_statement_next(&rest, &statement)) {
        need(statement.n > 0 && statement.p >= sql.p && statement.p + statement.n <= sql.p + sql.n);
        for (struct gy_str inside = statement;; within++) {
            if (gy_duck_token_next(&inside).kind == GY_DUCK_WORD_END) {
                break;
            }
        }
        need(gy_duck_tables(statement, take, &all, NULL) == GY_OK);
        need(gy_duck_arguments(statement, "dataset", take, &all, NULL) == GY_OK);
    }
    need(words == within + signs && all.n <= words && all.bytes <= 2 * size);
    return 0;
}

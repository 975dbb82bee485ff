/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of a log of dead letters, as anybody may have edited them: each is read, tried against a
 * small table, and written with other reasons. A letter that is accepted adds one row to the table,
 * and nothing else does. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/letters.h"
#include "data/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct gy_schema *g_schema;
static char g_base[64], g_out[64];

static void need(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static void begin(void)
{
    static const char schema[] =
        "columns:\n  - {name: id, type: int, required: true, unique: true}\n"
        "  - {name: x, type: float, max: 10}\n  - {name: s, type: string}\n";
    if (g_schema) {
        return;
    }
    (void)snprintf(g_base, sizeof g_base, "/tmp/fuzz-letter-%d.csv", (int)getpid());
    (void)snprintf(g_out, sizeof g_out, "/tmp/fuzz-letter-%d.out", (int)getpid());
    need(gy_schema_parse(gy_str_c(schema), "schema", &g_schema, NULL) == GY_OK, "schema");
    need(gy_file_write(g_base, GY_STR("id,x,s\n1,2,a\n"), 0600, NULL) == GY_OK, "base");
}

static void try_line(struct gy_replay *r, struct gy_str line, int64_t *accepted)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf scratch;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf again;
    const struct gy_reasons *why = NULL;
    struct gy_letter l;
    gy_buf_init(&scratch, GY_MIB);
    gy_buf_init(&again, 4 * GY_MIB);
    if (gy_json_parse(line, &doc, NULL) != GY_OK ||
        gy_letter_read(yyjson_doc_get_root(doc), &scratch, &l, NULL) != GY_OK) {
        return;
    }
    need(gy_letter_is_id(gy_str_c(l.id)), "an id that is none");
    need(gy_replay_letter(r, &l, &why, NULL) == GY_OK, "a letter failed the replay");
    *accepted += why->codes == 0;
    if (why->codes) {
        GY_AUTO(gy_json_free) yyjson_doc *other = NULL;
        gy_letters_with_reasons(&again, yyjson_doc_get_root(doc), why);
        need(again.failed != GY_OK || gy_json_parse(gy_buf_str(&again), &other, NULL) == GY_OK,
             "what is written is not JSON");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GY_AUTO(gy_replay_free) struct gy_replay *r = NULL;
    struct gy_str rest = gy_str_n((const char *)data, size);
    struct gy_replay_result result;
    int64_t accepted = 0;
    begin();
    const struct gy_replay_options o = {.schema = g_schema, .base = g_base, .out = g_out};
    need(gy_replay_open(&o, &r, NULL) == GY_OK, "the replay does not begin");
    while (rest.n > 0) {
        struct gy_str line, after;
        (void)gy_str_cut(rest, '\n', &line, &after);
        try_line(r, line, &accepted);
        rest = after;
    }
    need(gy_replay_end(r, &result, NULL) == GY_OK && result.accepted == accepted &&
             result.base_rows == 1,
         "the counts are wrong");
    return 0;
}

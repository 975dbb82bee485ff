/* SPDX-License-Identifier: Apache-2.0 */
/* model.json of untrusted packages: what is accepted can be written, and then says the same again;
 * the parts and feeds of a chain are within their bounds. */
#include "base/mem.h"
#include "learn/chain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_chain(const struct gy_model *m)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    struct gy_chain_said said;
    gy_arena_init(&a, GY_MODEL_MAX_BYTES);
    GY_REQUIRE(gy_json_parse(m->params_json, &doc, NULL) == GY_OK);
    GY_REQUIRE(gy_chain_read(yyjson_doc_get_root(doc), &a, &said, NULL) == GY_OK);
    GY_REQUIRE(said.n_parts >= 2 && said.n_parts <= GY_CHAIN_MAX_PARTS);
    GY_REQUIRE(said.n_feeds <= GY_CHAIN_MAX_FEEDS);
    for (size_t i = 0; i < said.n_feeds; i++) {
        GY_REQUIRE(said.feeds[i].from < said.feeds[i].part);
        GY_REQUIRE(said.feeds[i].part < said.n_parts);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GY_AUTO_DONE(gy_model_done) struct gy_model m;
    GY_AUTO_DONE(gy_model_done) struct gy_model again;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_model_init(&m);
    gy_model_init(&again);
    gy_buf_init(&text, GY_MODEL_MAX_BYTES);
    if (gy_model_parse(gy_str_n((const char *)data, size), &m, NULL) != GY_OK) {
        return 0;
    }
    if (m.learner == GY_LEARNER_CHAIN) {
        check_chain(&m);
    }
    if (gy_model_write(&m, &text, NULL) == GY_OK &&
        gy_model_parse(gy_buf_str(&text), &again, NULL) == GY_OK) {
        GY_REQUIRE(again.learner == m.learner && again.n_inputs == m.n_inputs);
        GY_REQUIRE(again.n_classes == m.n_classes && again.n_values == m.n_values);
    }
    return 0;
}

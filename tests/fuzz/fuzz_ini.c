/* SPDX-License-Identifier: Apache-2.0 */
/* DVC's configuration dialect: whatever is read can be edited, what is written is read back, and
 * what was not edited is still there. */
#include <stdint.h>

#include "base/limits.h"
#include "data/dvc/ini.h"

static void edit(const struct gy_ini *ini, struct gy_str section, struct gy_str key,
                 struct gy_str value)
{
    struct gy_arena a;
    struct gy_ini again;
    struct gy_buf out;
    gy_arena_init(&a, 8 * GY_MIB);
    gy_buf_init(&out, 4 * GY_MIB);
    if (gy_ini_set(ini, section, key, value, &out, NULL) == GY_OK) {
        GY_REQUIRE(gy_ini_parse(gy_buf_str(&out), "again", &a, &again, NULL) == GY_OK);
        const struct gy_ini_entry *e = gy_ini_entry(&again, section, key);
        GY_REQUIRE(value.p ? e && gy_str_eq(e->value, value) : !e);
        for (size_t i = 0; i < ini->n_entries; i++) {
            const struct gy_ini_entry *was = &ini->entries[i];
            struct gy_str in =
                was->section == SIZE_MAX ? GY_STR("") : ini->sections[was->section].name;
            if (!gy_str_eq(in, section)) {
                e = gy_ini_entry(&again, in, was->key);
                GY_REQUIRE(e && gy_str_eq(e->value, was->value));
            }
        }
    }
    gy_buf_done(&out);
    gy_arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gy_arena a;
    struct gy_ini ini;
    struct gy_str text = gy_str_n((const char *)data, size), value, rest;
    gy_arena_init(&a, 8 * GY_MIB);
    if (!gy_str_cut(text, '\0', &value, &rest)) {
        value = GY_STR("a, 'b' # c");
        rest = text;
    }
    if (gy_ini_parse(rest, "fuzz", &a, &ini, NULL) == GY_OK) {
        edit(&ini, GY_STR("core"), GY_STR("remote"), value);
        edit(&ini, GY_STR("remote \"s\""), GY_STR("url"), value);
        edit(&ini, GY_STR("remote \"s\""), GY_STR("url"), GY_STR_NULL);
        edit(&ini, GY_STR("remote \"s\""), GY_STR_NULL, GY_STR_NULL);
    }
    gy_arena_done(&a);
    return 0;
}

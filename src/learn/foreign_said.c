/* SPDX-License-Identifier: Apache-2.0 */
/* What the one who logged a foreign model says of it: `metadata: {gyre: {...}}` of MLmodel, which
 * mlflow's log_model(metadata={"gyre": {...}}) writes. It is part of the package and its digest. */
#include "base/hash.h"
#include "base/yaml.h"
#include "learn/model_internal.h"

static gy_status wrong(struct gy_err *err, const char *key, const char *what)
{
    gy_err_set(err, GY_E_CORRUPT, "MLmodel: metadata.gyre.%s is no %s", key, what);
    return gy_err_hint(err, "log_model(..., metadata={\"gyre\": {\"target\": \"label\", "
                            "\"held_out_sha256\": sha256 of the file with the held-out rows}})");
}

gy_status gy_foreign_said(const struct gy_yaml_node *ml_model, struct gy_model *m,
                          struct gy_err *err)
{
    const struct gy_yaml_node *said = gy_yaml_path(ml_model, GY_STR("metadata.gyre"));
    const struct gy_yaml_node *target = gy_yaml_get(said, "target");
    const struct gy_yaml_node *held_out = gy_yaml_get(said, "held_out_sha256");
    if (target) {
        if (target->kind == GY_YAML_SEQ || target->kind == GY_YAML_MAP || target->text.n == 0 ||
            target->text.n > GY_MAX_NAME) {
            return wrong(err, "target", "name of a column");
        }
        m->target = gy_arena_str(&m->arena, target->text);
    }
    if (held_out) {
        if (!gy_is_hex(held_out->text, GY_SHA256_HEX - 1)) {
            return wrong(err, "held_out_sha256", "SHA-256 in small letters");
        }
        m->split_by = GY_STR("file");
        m->held_out_sha256 = gy_arena_str(&m->arena, held_out->text);
    }
    return m->target.p && (!held_out || m->held_out_sha256.p)
               ? GY_OK
               : gy_err_set(err, GY_E_NOMEM, "reading MLmodel");
}

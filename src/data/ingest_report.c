/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "data/ingest.h"

void gy_ingest_report(struct gy_jw *w, const struct gy_ingest_result *r)
{
    gy_jw_kv_i64(w, "read", r->read);
    gy_jw_kv_i64(w, "accepted", r->accepted);
    gy_jw_kv_i64(w, "dead", r->dead);
    gy_jw_kv_i64(w, "replaced", r->replaced);
    gy_jw_kv_i64(w, "unknown_keys", r->unknown_keys);
    gy_jw_kv_i64(w, "unclosed", r->unclosed);
    gy_jw_kv_strc(w, "sha256", r->sha256);
    gy_jw_kv_strc(w, "md5", r->md5);
    gy_jw_kv_i64(w, "size", r->size_bytes);
    gy_jw_kv_strc(w, "source_sha256", r->source_sha256);
    gy_jw_kv_i64(w, "source_bytes", r->source_bytes);
    gy_jw_kv_f64(w, "seconds", r->seconds);
    gy_jw_key(w, "codes");
    gy_jw_obj(w);
    for (int code = 0; code < GY_DEAD_N; code++) {
        if (r->codes[code] > 0) {
            gy_jw_kv_i64(w, gy_dead_name((enum gy_dead_code)code), r->codes[code]);
        }
    }
    gy_jw_obj_end(w);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "data/jsonfields.h"
#include "data/source.h"

#define INFER_BYTES (4 * GY_MIB) /* of a source without a schema that its types are told from */

gy_status gy_source_infer(struct gy_source *source, struct gy_schema **ret, struct gy_err *err)
{
    struct gy_str head;
    bool whole = false;
    enum gy_ingest_format format = GY_INGEST_AUTO;
    GY_TRY(gy_source_schema(source, ret, err));
    if (*ret) {
        return GY_OK;
    }
    GY_TRY(gy_source_format(source, &format, err));
    GY_TRY(gy_source_head(source, INFER_BYTES, &head, &whole, err));
    gy_status status = format == GY_INGEST_CSV
                           ? gy_schema_infer(head, whole, ret, err)
                           : gy_schema_infer_json(head, format == GY_INGEST_JSONL, whole, ret, err);
    return status == GY_OK ? GY_OK : gy_err_wrap(err, "'%s'", source->name);
}

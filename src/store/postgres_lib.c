/* SPDX-License-Identifier: Apache-2.0 */
#include "store/postgres_lib.h"

#include "base/dl.h"

static struct gy_pq_lib g_pq;
static void *g_pq_handle;

gy_status gy_pq_load(const struct gy_pq_lib **ret, struct gy_err *err)
{
#define SYMBOL(name, slot)                \
    {                                     \
        name, (void **)(void *)&g_pq.slot \
    }
    const struct gy_dl_symbol symbols[] = {
        SYMBOL("PQlibVersion", lib_version),
        SYMBOL("PQconnectdbParams", connect),
        SYMBOL("PQconninfoParse", parse),
        SYMBOL("PQconninfoFree", parse_free),
        SYMBOL("PQfreemem", free_mem),
        SYMBOL("PQfinish", finish),
        SYMBOL("PQstatus", status),
        SYMBOL("PQerrorMessage", error_message),
        SYMBOL("PQserverVersion", server_version),
        SYMBOL("PQparameterStatus", parameter_status),
        SYMBOL("PQsetNoticeReceiver", set_notice_receiver),
        SYMBOL("PQenterPipelineMode", enter_pipeline),
        SYMBOL("PQexitPipelineMode", exit_pipeline),
        SYMBOL("PQpipelineSync", pipeline_sync),
        SYMBOL("PQsendQueryParams", send_query),
        SYMBOL("PQsendPrepare", send_prepare),
        SYMBOL("PQsendDescribePrepared", send_describe),
        SYMBOL("PQsendQueryPrepared", send_prepared),
        SYMBOL("PQsetSingleRowMode", single_row),
        SYMBOL("PQgetResult", get_result),
        SYMBOL("PQexec", exec),
        SYMBOL("PQresultStatus", result_status),
        SYMBOL("PQresultErrorField", result_error_field),
        SYMBOL("PQclear", clear),
        SYMBOL("PQntuples", n_tuples),
        SYMBOL("PQnfields", n_fields),
        SYMBOL("PQfname", field_name),
        SYMBOL("PQftype", field_type),
        SYMBOL("PQgetisnull", is_null),
        SYMBOL("PQgetlength", get_length),
        SYMBOL("PQgetvalue", get_value),
        SYMBOL("PQcmdStatus", command_status),
        SYMBOL("PQcmdTuples", command_tuples),
        SYMBOL("PQnparams", n_params),
        SYMBOL("PQparamtype", param_type),
    };
#undef SYMBOL
    GY_TRY(gy_dl_open(&g_pq_handle, "libpq.so.5", "libpq5", symbols,
                      sizeof symbols / sizeof symbols[0], err));
    int version = g_pq.lib_version();
    if (version < GY_PQ_MIN_VERSION) {
        gy_err_set(err, GY_E_MISSINGDEP, "libpq.so.5 is of release %d, at least %d is needed",
                   version / 10000, GY_PQ_MIN_VERSION / 10000);
        return gy_err_hint(err, "install libpq5 of PostgreSQL's own package archive");
    }
    *ret = &g_pq;
    return GY_OK;
}

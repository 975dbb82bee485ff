/* SPDX-License-Identifier: Apache-2.0 */
#include "net/kafka_lib.h"

#include "base/dl.h"

#define OLDEST 0x010600ff /* 1.6.0 */

static struct gy_rd g_rd;
static void *g_handle;

#define SYMBOL(field, name)                \
    {                                      \
        name, (void **)(void *)&g_rd.field \
    }

gy_status gy_rd_open(const struct gy_rd **ret, struct gy_err *err)
{
    static const struct gy_dl_symbol symbols[] = {
        SYMBOL(version, "rd_kafka_version"),
        SYMBOL(conf_new, "rd_kafka_conf_new"),
        SYMBOL(conf_destroy, "rd_kafka_conf_destroy"),
        SYMBOL(conf_set, "rd_kafka_conf_set"),
        SYMBOL(conf_set_opaque, "rd_kafka_conf_set_opaque"),
        SYMBOL(conf_set_rebalance_cb, "rd_kafka_conf_set_rebalance_cb"),
        SYMBOL(conf_set_dr_msg_cb, "rd_kafka_conf_set_dr_msg_cb"),
        SYMBOL(conf_set_error_cb, "rd_kafka_conf_set_error_cb"),
        SYMBOL(conf_set_log_cb, "rd_kafka_conf_set_log_cb"),
        SYMBOL(client_new, "rd_kafka_new"),
        SYMBOL(destroy, "rd_kafka_destroy"),
        SYMBOL(err2str, "rd_kafka_err2str"),
        SYMBOL(fatal_error, "rd_kafka_fatal_error"),
        SYMBOL(poll_set_consumer, "rd_kafka_poll_set_consumer"),
        SYMBOL(list_new, "rd_kafka_topic_partition_list_new"),
        SYMBOL(list_add, "rd_kafka_topic_partition_list_add"),
        SYMBOL(list_destroy, "rd_kafka_topic_partition_list_destroy"),
        SYMBOL(subscribe, "rd_kafka_subscribe"),
        SYMBOL(assign, "rd_kafka_assign"),
        SYMBOL(assignment, "rd_kafka_assignment"),
        SYMBOL(consumer_poll, "rd_kafka_consumer_poll"),
        SYMBOL(message_destroy, "rd_kafka_message_destroy"),
        SYMBOL(topic_name, "rd_kafka_topic_name"),
        SYMBOL(commit, "rd_kafka_commit"),
        SYMBOL(position, "rd_kafka_position"),
        SYMBOL(watermarks, "rd_kafka_get_watermark_offsets"),
        SYMBOL(pause, "rd_kafka_pause_partitions"),
        SYMBOL(resume, "rd_kafka_resume_partitions"),
        SYMBOL(consumer_close, "rd_kafka_consumer_close"),
        SYMBOL(headers_new, "rd_kafka_headers_new"),
        SYMBOL(header_add, "rd_kafka_header_add"),
        SYMBOL(headers_destroy, "rd_kafka_headers_destroy"),
        SYMBOL(producev, "rd_kafka_producev"),
        SYMBOL(poll, "rd_kafka_poll"),
        SYMBOL(flush, "rd_kafka_flush"),
        SYMBOL(outq_len, "rd_kafka_outq_len"),
    };
    GY_TRY(gy_dl_open(&g_handle, "librdkafka.so.1", "librdkafka1", symbols,
                      sizeof symbols / sizeof symbols[0], err));
    if (g_rd.version() < OLDEST) {
        return gy_err_set(err, GY_E_VERSION, "librdkafka %x is older than 1.6",
                          (unsigned)g_rd.version());
    }
    *ret = &g_rd;
    return GY_OK;
}

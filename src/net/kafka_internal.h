/* SPDX-License-Identifier: Apache-2.0 */
/* What reading (kafka_consumer.c) and writing (kafka_producer.c) share. */
#ifndef GY_NET_KAFKA_INTERNAL_H
#define GY_NET_KAFKA_INTERNAL_H

#include "net/kafka.h"
#include "net/kafka_lib.h"

/* A configuration with brokers, log and error callbacks, and the caller's settings after `own`
 * (which ends with a NULL name). On GY_OK it is the caller's, for gy_kafka_client. */
GY_CHECKED gy_status gy_kafka_conf(const struct gy_rd *rd, const struct gy_kafka_options *o,
                                   const struct gy_kafka_setting *own, struct rd_conf **ret,
                                   struct gy_err *err);
/* Takes conf, also on failure. */
GY_CHECKED gy_status gy_kafka_client(const struct gy_rd *rd, enum rd_kind kind,
                                     struct rd_conf *conf, struct rd_client **ret,
                                     struct gy_err *err);
/* The status that a code of librdkafka stands for. */
gy_status gy_kafka_failed(const struct gy_rd *rd, int code, const char *what, struct gy_err *err);

#endif

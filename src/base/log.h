/* SPDX-License-Identifier: Apache-2.0 */
/* The log: one line an event, to stderr; text when that is a terminal, JSON lines otherwise. A
 * component, a fixed message and typed fields, never a formatted sentence, so that machines can
 * count. Secrets are never passed here. Thread safe (one write(2) a line). Libraries below cli/ and
 * api/ log only what no caller can be told (a background thread). */
#ifndef GY_BASE_LOG_H
#define GY_BASE_LOG_H

#include "base/str.h"

enum gy_log_level { GY_LOG_DEBUG, GY_LOG_INFO, GY_LOG_WARN, GY_LOG_ERROR, GY_LOG_OFF };

struct gy_kv {
    const char *key;
    char kind; /* 's' gy_str, 'i' int64, 'f' double */
    struct gy_str s;
    int64_t i;
    double f;
};
#define GY_KV_S(k, v) ((struct gy_kv){.key = (k), .kind = 's', .s = (v)})
#define GY_KV_C(k, v) ((struct gy_kv){.key = (k), .kind = 's', .s = gy_str_c(v)})
#define GY_KV_I(k, v) ((struct gy_kv){.key = (k), .kind = 'i', .i = (int64_t)(v)})
#define GY_KV_F(k, v) ((struct gy_kv){.key = (k), .kind = 'f', .f = (v)})

void gy_log_write(enum gy_log_level level, const char *component, const char *message,
                  const struct gy_kv *kvs, size_t n);
#define gy_log(level, component, message, ...)                             \
    do {                                                                   \
        if (gy_log_on((level), (component))) {                             \
            const struct gy_kv gy_log_kvs_[] = {{0}, ##__VA_ARGS__};       \
            gy_log_write((level), (component), (message), gy_log_kvs_ + 1, \
                         sizeof gy_log_kvs_ / sizeof gy_log_kvs_[0] - 1);  \
        }                                                                  \
    } while (0)
bool gy_log_on(enum gy_log_level level, const char *component);
/* "info" or "drift=debug,http=warn,info". Call before threads start. Fails: INVALID naming the
 * part. */
GY_CHECKED gy_status gy_log_setup(struct gy_str spec, struct gy_err *err);
enum gy_log_format { GY_LOG_AUTO, GY_LOG_TEXT, GY_LOG_JSON };
void gy_log_set_output(int fd, enum gy_log_format format); /* default: stderr, GY_LOG_AUTO */
/* An error, once, where it stops travelling: message, code, hint. */
void gy_log_err(enum gy_log_level level, const char *component, const char *message,
                const struct gy_err *err);

#endif

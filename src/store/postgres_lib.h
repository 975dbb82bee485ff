/* SPDX-License-Identifier: Apache-2.0 */
/* What we use of libpq, opened on first use (base/dl.h) and declared here, so that building needs
 * no header of it. libpq's ABI is append-only: the numbers below are those of its libpq-fe.h since
 * release 14, the first with pipelining, and an older library is refused. Not for other rooms. */
#ifndef GY_STORE_POSTGRES_LIB_H
#define GY_STORE_POSTGRES_LIB_H

#include "base/err.h"

#define GY_PQ_MIN_VERSION 140000

struct gy_pq;        /* PGconn */
struct gy_pq_result; /* PGresult */

enum gy_pq_result_status {
    GY_PQ_EMPTY_QUERY = 0,
    GY_PQ_COMMAND_OK = 1,
    GY_PQ_TUPLES_OK = 2,
    GY_PQ_SINGLE_TUPLE = 9,
    GY_PQ_PIPELINE_SYNC = 10,
    GY_PQ_PIPELINE_ABORTED = 11,
};
#define GY_PQ_CONNECTION_OK 0 /* of status */
#define GY_PQ_SQLSTATE 'C'    /* of result_error_field */
#define GY_PQ_SEVERITY 'V'    /* never in another language */
#define GY_PQ_PRIMARY 'M'
#define GY_PQ_DETAIL 'D'

struct gy_pq_option { /* PQconninfoOption */
    const char *keyword, *envvar, *compiled;
    char *val;
    const char *label, *dispchar;
    int dispsize;
};

struct gy_pq_lib {
    int (*lib_version)(void);
    struct gy_pq *(*connect)(const char *const *keywords, const char *const *values, int expand);
    struct gy_pq_option *(*parse)(const char *conninfo, char **ret_message);
    void (*parse_free)(struct gy_pq_option *options);
    void (*free_mem)(void *p);
    void (*finish)(struct gy_pq *c);
    int (*status)(const struct gy_pq *c);
    char *(*error_message)(const struct gy_pq *c);
    int (*server_version)(const struct gy_pq *c);
    const char *(*parameter_status)(const struct gy_pq *c, const char *name);
    void *(*set_notice_receiver)(struct gy_pq *c,
                                 void (*receiver)(void *arg, const struct gy_pq_result *r),
                                 void *arg);
    int (*enter_pipeline)(struct gy_pq *c);
    int (*exit_pipeline)(struct gy_pq *c);
    int (*pipeline_sync)(struct gy_pq *c);
    int (*send_query)(struct gy_pq *c, const char *sql, int n, const unsigned *types,
                      const char *const *values, const int *lengths, const int *formats,
                      int result_format);
    int (*send_prepare)(struct gy_pq *c, const char *name, const char *sql, int n,
                        const unsigned *types);
    int (*send_describe)(struct gy_pq *c, const char *name);
    int (*send_prepared)(struct gy_pq *c, const char *name, int n, const char *const *values,
                         const int *lengths, const int *formats, int result_format);
    int (*single_row)(struct gy_pq *c);
    struct gy_pq_result *(*get_result)(struct gy_pq *c);
    struct gy_pq_result *(*exec)(struct gy_pq *c, const char *sql);
    int (*result_status)(const struct gy_pq_result *r);
    char *(*result_error_field)(const struct gy_pq_result *r, int field);
    void (*clear)(struct gy_pq_result *r);
    int (*n_tuples)(const struct gy_pq_result *r);
    int (*n_fields)(const struct gy_pq_result *r);
    char *(*field_name)(const struct gy_pq_result *r, int field);
    unsigned (*field_type)(const struct gy_pq_result *r, int field);
    int (*is_null)(const struct gy_pq_result *r, int row, int field);
    int (*get_length)(const struct gy_pq_result *r, int row, int field);
    char *(*get_value)(const struct gy_pq_result *r, int row, int field);
    char *(*command_status)(struct gy_pq_result *r);
    char *(*command_tuples)(struct gy_pq_result *r);
    int (*n_params)(const struct gy_pq_result *r);
    unsigned (*param_type)(const struct gy_pq_result *r, int param);
};

/* The library, the same for all. Fails: MISSINGDEP (not installed, or too old). */
GY_CHECKED gy_status gy_pq_load(const struct gy_pq_lib **ret, struct gy_err *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What we use of DuckDB's C API, opened on first use (base/dl.h) and declared here, so that
 * building needs no header of it: deps/duckdb.sh fetches the library that this was written against,
 * and only that version is opened. A test compares these declarations with duckdb.h. Types keep
 * DuckDB's names; a function duckdb_x is gy_duck_lib()->x. For data/duck*.c and data/tablefn*.c
 * alone. */
#ifndef GY_DATA_DUCK_LIB_H
#define GY_DATA_DUCK_LIB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define GY_DUCK_VERSION "v1.4.4"

#ifndef GY_DUCK_TYPES_KNOWN /* by the test that has duckdb.h */
typedef uint64_t idx_t;
typedef int duckdb_state; /* enums of C are ints */
typedef unsigned duckdb_type, duckdb_result_type, duckdb_statement_type;
typedef struct {
    double percentage;
    uint64_t rows_processed, total_rows_to_process;
} duckdb_query_progress_type;
typedef struct {
    idx_t deprecated_column_count, deprecated_row_count, deprecated_rows_changed;
    void *deprecated_columns;
    char *deprecated_error_message;
    void *internal_data;
} duckdb_result;
typedef struct {
    union {
        struct {
            uint32_t length;
            char prefix[4];
            char *ptr;
        } pointer;
        struct {
            uint32_t length;
            char inlined[12];
        } inlined;
    } value;
} duckdb_string_t;
typedef struct {
    uint64_t offset, length;
} duckdb_list_entry;
typedef struct {
    int32_t months, days;
    int64_t micros;
} duckdb_interval;
typedef struct {
    uint64_t lower;
    int64_t upper;
} duckdb_hugeint;
#define GY_DUCK_HANDLE(name)        \
    typedef struct _duckdb_##name { \
        void *internal_ptr;         \
    } * duckdb_##name
GY_DUCK_HANDLE(database);
GY_DUCK_HANDLE(connection);
GY_DUCK_HANDLE(config);
GY_DUCK_HANDLE(logical_type);
GY_DUCK_HANDLE(data_chunk);
GY_DUCK_HANDLE(vector);
GY_DUCK_HANDLE(value);
GY_DUCK_HANDLE(prepared_statement);
GY_DUCK_HANDLE(extracted_statements);
GY_DUCK_HANDLE(table_function);
GY_DUCK_HANDLE(bind_info);
GY_DUCK_HANDLE(init_info);
GY_DUCK_HANDLE(function_info);
typedef void (*duckdb_delete_callback_t)(void *data);
typedef void (*duckdb_table_function_bind_t)(duckdb_bind_info info);
typedef void (*duckdb_table_function_init_t)(duckdb_init_info info);
typedef void (*duckdb_table_function_t)(duckdb_function_info info, duckdb_data_chunk output);
#endif

/* Where things lie in what is passed by value or read in place (x86-64 and other LP64 machines). */
#define GY_DUCK_LAYOUT(X)                              \
    X(sizeof(duckdb_result), 48)                       \
    X(offsetof(duckdb_result, internal_data), 40)      \
    X(sizeof(duckdb_string_t), 16)                     \
    X(offsetof(duckdb_string_t, value.pointer.ptr), 8) \
    X(sizeof(duckdb_list_entry), 16)                   \
    X(sizeof(duckdb_interval), 16)                     \
    X(offsetof(duckdb_interval, micros), 8)            \
    X(sizeof(duckdb_hugeint), 16)                      \
    X(sizeof(duckdb_query_progress_type), 24)          \
    X(sizeof(duckdb_type), 4)                          \
    X(sizeof(duckdb_state), 4)                         \
    X(sizeof(idx_t), 8)

enum { GY_DUCK_SUCCESS = 0, GY_DUCK_INLINE_MAX = 12 };

/* DUCKDB_TYPE_x and its number; those that a value can have. */
/* By hand, since the formatter moves these lines further to the right each time. */
/* clang-format off */
#define GY_DUCK_TYPES(X)                                                          \
    X(BOOLEAN, 1) X(TINYINT, 2) X(SMALLINT, 3) X(INTEGER, 4) X(BIGINT, 5)         \
    X(UTINYINT, 6) X(USMALLINT, 7) X(UINTEGER, 8) X(UBIGINT, 9) X(FLOAT, 10)      \
    X(DOUBLE, 11) X(TIMESTAMP, 12) X(DATE, 13) X(TIME, 14) X(INTERVAL, 15)        \
    X(HUGEINT, 16) X(VARCHAR, 17) X(BLOB, 18) X(DECIMAL, 19) X(TIMESTAMP_S, 20)   \
    X(TIMESTAMP_MS, 21) X(TIMESTAMP_NS, 22) X(ENUM, 23) X(LIST, 24) X(STRUCT, 25) \
    X(MAP, 26) X(UUID, 27) X(UNION, 28) X(BIT, 29) X(TIME_TZ, 30)                 \
    X(TIMESTAMP_TZ, 31) X(UHUGEINT, 32) X(ARRAY, 33) X(BIGNUM, 35) X(SQLNULL, 36) \
    X(TIME_NS, 39)
/* clang-format on */
enum gy_duck_type {
#define X(name, number) GY_DUCK_##name = (number),
    GY_DUCK_TYPES(X)
#undef X
};
/* Of a prepared statement, and of a result. */
enum { GY_DUCK_STATEMENT_SELECT = 1, GY_DUCK_STATEMENT_EXPLAIN = 4 };
enum { GY_DUCK_RESULT_ROWS = 3 };

#define GY_DUCK_FUNCTIONS(X)                                                                      \
    X(const char *, library_version, (void))                                                      \
    X(duckdb_state, create_config, (duckdb_config * out_config))                                  \
    X(duckdb_state, set_config, (duckdb_config config, const char *name, const char *option))     \
    X(void, destroy_config, (duckdb_config * config))                                             \
    X(duckdb_state, open_ext,                                                                     \
      (const char *path, duckdb_database *out_database, duckdb_config config, char **out_error))  \
    X(void, close, (duckdb_database * database))                                                  \
    X(duckdb_state, connect, (duckdb_database database, duckdb_connection * out_connection))      \
    X(void, disconnect, (duckdb_connection * connection))                                         \
    X(void, interrupt, (duckdb_connection connection))                                            \
    X(duckdb_query_progress_type, query_progress, (duckdb_connection connection))                 \
    X(void, free, (void *ptr))                                                                    \
    X(idx_t, extract_statements,                                                                  \
      (duckdb_connection connection, const char *query,                                           \
       duckdb_extracted_statements *out_extracted_statements))                                    \
    X(duckdb_state, prepare_extracted_statement,                                                  \
      (duckdb_connection connection, duckdb_extracted_statements extracted_statements,            \
       idx_t index, duckdb_prepared_statement * out_prepared_statement))                          \
    X(const char *, extract_statements_error, (duckdb_extracted_statements extracted_statements)) \
    X(void, destroy_extracted, (duckdb_extracted_statements * extracted_statements))              \
    X(const char *, prepare_error, (duckdb_prepared_statement prepared_statement))                \
    X(void, destroy_prepare, (duckdb_prepared_statement * prepared_statement))                    \
    X(idx_t, nparams, (duckdb_prepared_statement prepared_statement))                             \
    X(const char *, parameter_name, (duckdb_prepared_statement prepared_statement, idx_t index))  \
    X(duckdb_statement_type, prepared_statement_type, (duckdb_prepared_statement statement))      \
    X(duckdb_state, bind_varchar_length,                                                          \
      (duckdb_prepared_statement prepared_statement, idx_t param_idx, const char *val,            \
       idx_t length))                                                                             \
    X(duckdb_state, bind_null, (duckdb_prepared_statement prepared_statement, idx_t param_idx))   \
    X(duckdb_state, bind_int64,                                                                   \
      (duckdb_prepared_statement prepared_statement, idx_t param_idx, int64_t val))               \
    X(duckdb_state, bind_double,                                                                  \
      (duckdb_prepared_statement prepared_statement, idx_t param_idx, double val))                \
    X(duckdb_state, bind_boolean,                                                                 \
      (duckdb_prepared_statement prepared_statement, idx_t param_idx, bool val))                  \
    X(duckdb_state, execute_prepared_streaming,                                                   \
      (duckdb_prepared_statement prepared_statement, duckdb_result * out_result))                 \
    X(void, destroy_result, (duckdb_result * result))                                             \
    X(const char *, result_error, (duckdb_result * result))                                       \
    X(duckdb_result_type, result_return_type, (duckdb_result result))                             \
    X(idx_t, rows_changed, (duckdb_result * result))                                              \
    X(idx_t, column_count, (duckdb_result * result))                                              \
    X(const char *, column_name, (duckdb_result * result, idx_t col))                             \
    X(duckdb_logical_type, column_logical_type, (duckdb_result * result, idx_t col))              \
    X(duckdb_data_chunk, fetch_chunk, (duckdb_result result))                                     \
    X(void, destroy_data_chunk, (duckdb_data_chunk * chunk))                                      \
    X(idx_t, data_chunk_get_size, (duckdb_data_chunk chunk))                                      \
    X(duckdb_vector, data_chunk_get_vector, (duckdb_data_chunk chunk, idx_t col_idx))             \
    X(void, data_chunk_set_size, (duckdb_data_chunk chunk, idx_t size))                           \
    X(void *, vector_get_data, (duckdb_vector vector))                                            \
    X(uint64_t *, vector_get_validity, (duckdb_vector vector))                                    \
    X(void, vector_ensure_validity_writable, (duckdb_vector vector))                              \
    X(void, vector_assign_string_element_len,                                                     \
      (duckdb_vector vector, idx_t index, const char *str, idx_t str_len))                        \
    X(idx_t, vector_size, (void))                                                                 \
    X(duckdb_vector, list_vector_get_child, (duckdb_vector vector))                               \
    X(duckdb_vector, struct_vector_get_child, (duckdb_vector vector, idx_t index))                \
    X(duckdb_vector, array_vector_get_child, (duckdb_vector vector))                              \
    X(duckdb_logical_type, create_logical_type, (duckdb_type type))                               \
    X(void, destroy_logical_type, (duckdb_logical_type * type))                                   \
    X(duckdb_type, get_type_id, (duckdb_logical_type type))                                       \
    X(uint8_t, decimal_scale, (duckdb_logical_type type))                                         \
    X(duckdb_type, decimal_internal_type, (duckdb_logical_type type))                             \
    X(duckdb_type, enum_internal_type, (duckdb_logical_type type))                                \
    X(char *, enum_dictionary_value, (duckdb_logical_type type, idx_t index))                     \
    X(duckdb_logical_type, list_type_child_type, (duckdb_logical_type type))                      \
    X(duckdb_logical_type, array_type_child_type, (duckdb_logical_type type))                     \
    X(idx_t, array_type_array_size, (duckdb_logical_type type))                                   \
    X(duckdb_logical_type, map_type_key_type, (duckdb_logical_type type))                         \
    X(duckdb_logical_type, map_type_value_type, (duckdb_logical_type type))                       \
    X(idx_t, struct_type_child_count, (duckdb_logical_type type))                                 \
    X(char *, struct_type_child_name, (duckdb_logical_type type, idx_t index))                    \
    X(duckdb_logical_type, struct_type_child_type, (duckdb_logical_type type, idx_t index))       \
    X(char *, union_type_member_name, (duckdb_logical_type type, idx_t index))                    \
    X(duckdb_logical_type, union_type_member_type, (duckdb_logical_type type, idx_t index))       \
    X(duckdb_table_function, create_table_function, (void))                                       \
    X(void, destroy_table_function, (duckdb_table_function * table_function))                     \
    X(void, table_function_set_name, (duckdb_table_function table_function, const char *name))    \
    X(void, table_function_add_parameter,                                                         \
      (duckdb_table_function table_function, duckdb_logical_type type))                           \
    X(void, table_function_add_named_parameter,                                                   \
      (duckdb_table_function table_function, const char *name, duckdb_logical_type type))         \
    X(void, table_function_set_extra_info,                                                        \
      (duckdb_table_function table_function, void *extra_info, duckdb_delete_callback_t destroy)) \
    X(void, table_function_set_bind,                                                              \
      (duckdb_table_function table_function, duckdb_table_function_bind_t bind))                  \
    X(void, table_function_set_init,                                                              \
      (duckdb_table_function table_function, duckdb_table_function_init_t init))                  \
    X(void, table_function_set_local_init,                                                        \
      (duckdb_table_function table_function, duckdb_table_function_init_t init))                  \
    X(void, table_function_set_function,                                                          \
      (duckdb_table_function table_function, duckdb_table_function_t function))                   \
    X(void, table_function_supports_projection_pushdown,                                          \
      (duckdb_table_function table_function, bool pushdown))                                      \
    X(duckdb_state, register_table_function,                                                      \
      (duckdb_connection con, duckdb_table_function function))                                    \
    X(void *, bind_get_extra_info, (duckdb_bind_info info))                                       \
    X(void, bind_add_result_column,                                                               \
      (duckdb_bind_info info, const char *name, duckdb_logical_type type))                        \
    X(duckdb_value, bind_get_parameter, (duckdb_bind_info info, idx_t index))                     \
    X(duckdb_value, bind_get_named_parameter, (duckdb_bind_info info, const char *name))          \
    X(void, bind_set_bind_data,                                                                   \
      (duckdb_bind_info info, void *bind_data, duckdb_delete_callback_t destroy))                 \
    X(void, bind_set_cardinality, (duckdb_bind_info info, idx_t cardinality, bool is_exact))      \
    X(void, bind_set_error, (duckdb_bind_info info, const char *error))                           \
    X(void *, init_get_bind_data, (duckdb_init_info info))                                        \
    X(void, init_set_init_data,                                                                   \
      (duckdb_init_info info, void *init_data, duckdb_delete_callback_t destroy))                 \
    X(idx_t, init_get_column_count, (duckdb_init_info info))                                      \
    X(idx_t, init_get_column_index, (duckdb_init_info info, idx_t column_index))                  \
    X(void, init_set_max_threads, (duckdb_init_info info, idx_t max_threads))                     \
    X(void, init_set_error, (duckdb_init_info info, const char *error))                           \
    X(void *, function_get_bind_data, (duckdb_function_info info))                                \
    X(void *, function_get_init_data, (duckdb_function_info info))                                \
    X(void *, function_get_local_init_data, (duckdb_function_info info))                          \
    X(void, function_set_error, (duckdb_function_info info, const char *error))                   \
    X(bool, is_null_value, (duckdb_value value))                                                  \
    X(void, destroy_value, (duckdb_value * value))                                                \
    X(char *, get_varchar, (duckdb_value value))                                                  \
    X(bool, get_bool, (duckdb_value val))

struct gy_duck_lib {
#define X(type, name, arguments) type(*name) arguments;
    GY_DUCK_FUNCTIONS(X)
#undef X
};

/* The functions, once gy_duck_lib_open was GY_OK. */
const struct gy_duck_lib *gy_duck_lib(void);
/* Any thread. Fails: MISSINGDEP (no library, or of another version). */
GY_CHECKED gy_status gy_duck_lib_open(struct gy_err *err);

#endif

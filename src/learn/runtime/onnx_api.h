/* SPDX-License-Identifier: Apache-2.0 */
/* What we use of ONNX Runtime's C API, opened on first use (base/dl.h) and declared here, so that
 * building needs no header of it: deps/onnxruntime.sh fetches the library. The API is a table of
 * functions that later versions only append to, so a function is told by its place in the table; a
 * test compares places and types with onnxruntime_c_api.h. For learn/runtime/onnx*.c alone. Thread
 * safe. */
#ifndef GY_LEARN_RUNTIME_ONNX_API_H
#define GY_LEARN_RUNTIME_ONNX_API_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define GY_ORT_API_VERSION 21 /* of ONNX Runtime 1.21 */

#ifndef GY_ORT_TYPES_KNOWN /* by the test that has the header */
typedef struct OrtStatus OrtStatus;
typedef struct OrtEnv OrtEnv;
typedef struct OrtSession OrtSession;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtRunOptions OrtRunOptions;
typedef struct OrtValue OrtValue;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtAllocator OrtAllocator;
typedef struct OrtTensorTypeAndShapeInfo OrtTensorTypeAndShapeInfo;
typedef void (*OrtLoggingFunction)(void *param, unsigned severity, const char *category,
                                   const char *logid, const char *code_location,
                                   const char *message);
#endif

/* Numbers of the API's enumerations; ONNX's own data types among them. */
enum {
    GY_ORT_FLOAT = 1,
    GY_ORT_UINT8 = 2,
    GY_ORT_INT8 = 3,
    GY_ORT_UINT16 = 4,
    GY_ORT_INT16 = 5,
    GY_ORT_INT32 = 6,
    GY_ORT_INT64 = 7,
    GY_ORT_STRING = 8,
    GY_ORT_BOOL = 9,
    GY_ORT_FLOAT16 = 10,
    GY_ORT_DOUBLE = 11,
    GY_ORT_UINT32 = 12,
    GY_ORT_UINT64 = 13,
    GY_ORT_BFLOAT16 = 16,
    GY_ORT_TYPES = 17
};
enum { GY_ORT_TYPE_TENSOR = 1, GY_ORT_LOG_FATAL = 4, GY_ORT_DEVICE_ALLOCATOR = 0, GY_ORT_MEM = 0 };

/* X(place, type of the answer, name, arguments) */
/* clang-format off */
#define GY_ORT_FUNCTIONS(X)                                                                        \
    X(2, const char *, GetErrorMessage, (const OrtStatus *))                                       \
    X(4, OrtStatus *, CreateEnvWithCustomLogger,                                                   \
      (OrtLoggingFunction, void *, unsigned, const char *, OrtEnv **))                             \
    X(8, OrtStatus *, CreateSessionFromArray,                                                      \
      (const OrtEnv *, const void *, size_t, const OrtSessionOptions *, OrtSession **))            \
    X(9, OrtStatus *, Run,                                                                         \
      (OrtSession *, const OrtRunOptions *, const char *const *, const OrtValue *const *, size_t,  \
       const char *const *, size_t, OrtValue **))                                                  \
    X(10, OrtStatus *, CreateSessionOptions, (OrtSessionOptions **))                               \
    X(24, OrtStatus *, SetIntraOpNumThreads, (OrtSessionOptions *, int))                           \
    X(25, OrtStatus *, SetInterOpNumThreads, (OrtSessionOptions *, int))                           \
    X(48, OrtStatus *, CreateTensorAsOrtValue,                                                     \
      (OrtAllocator *, const int64_t *, size_t, unsigned, OrtValue **))                            \
    X(49, OrtStatus *, CreateTensorWithDataAsOrtValue,                                             \
      (const OrtMemoryInfo *, void *, size_t, const int64_t *, size_t, unsigned, OrtValue **))     \
    X(51, OrtStatus *, GetTensorMutableData, (OrtValue *, void **))                                \
    X(52, OrtStatus *, FillStringTensor, (OrtValue *, const char *const *, size_t))                \
    X(60, OrtStatus *, GetTensorElementType, (const OrtTensorTypeAndShapeInfo *, unsigned *))      \
    X(61, OrtStatus *, GetDimensionsCount, (const OrtTensorTypeAndShapeInfo *, size_t *))          \
    X(62, OrtStatus *, GetDimensions, (const OrtTensorTypeAndShapeInfo *, int64_t *, size_t))      \
    X(65, OrtStatus *, GetTensorTypeAndShape,                                                      \
      (const OrtValue *, OrtTensorTypeAndShapeInfo **))                                            \
    X(67, OrtStatus *, GetValueType, (const OrtValue *, unsigned *))                               \
    X(69, OrtStatus *, CreateCpuMemoryInfo, (int, int, OrtMemoryInfo **))                          \
    X(78, OrtStatus *, GetAllocatorWithDefaultOptions, (OrtAllocator **))                          \
    X(93, void, ReleaseStatus, (OrtStatus *))                                                      \
    X(94, void, ReleaseMemoryInfo, (OrtMemoryInfo *))                                              \
    X(95, void, ReleaseSession, (OrtSession *))                                                    \
    X(96, void, ReleaseValue, (OrtValue *))                                                        \
    X(99, void, ReleaseTensorTypeAndShapeInfo, (OrtTensorTypeAndShapeInfo *))                      \
    X(100, void, ReleaseSessionOptions, (OrtSessionOptions *))
/* clang-format on */

struct gy_ort {
#define X(place, type, name, arguments) type(*name) arguments;
    GY_ORT_FUNCTIONS(X)
#undef X
    OrtEnv *env;
};

/* The functions and the environment that all sessions share; both live as long as the process.
 * Fails: MISSINGDEP (no library, or one older than 1.21, with the hint what to do), IO. */
GY_CHECKED gy_status gy_ort_open(const struct gy_ort **ret, struct gy_err *err);

/* GY_OK for NULL; else `code` with the message, which is released. */
GY_CHECKED gy_status gy_ort_check(const struct gy_ort *ort, OrtStatus *status, gy_status code,
                                  const char *what, struct gy_err *err);

#endif

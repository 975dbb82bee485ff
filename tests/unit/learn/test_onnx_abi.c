/* SPDX-License-Identifier: Apache-2.0 */
/* What learn/runtime/onnx_api.h declares, held against ONNX Runtime's own header
 * (deps/onnxruntime.sh --header). */
#include "unit.h"

#if __has_include("../../../.deps/onnxruntime/onnxruntime_c_api.h")
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#pragma GCC diagnostic ignored "-Wundef"
#include "../../../.deps/onnxruntime/onnxruntime_c_api.h"
#pragma GCC diagnostic pop

#define GY_ORT_TYPES_KNOWN
#include "learn/runtime/onnx_api.h"

static void test_functions(void **state)
{
    (void)state;
    struct gy_ort ort;
    OrtApi api;
    size_t n = 0;
#define X(place, type, name, arguments)                                                        \
    _Static_assert(offsetof(OrtApi, name) == (place) * sizeof(void *), #name " is elsewhere"); \
    _Static_assert(__builtin_types_compatible_p(__typeof__(ort.name), __typeof__(api.name)),   \
                   #name " has another type");                                                 \
    n++;
    GY_ORT_FUNCTIONS(X)
#undef X
    (void)ort;
    (void)api;
    assert_int_equal((n + 1) * sizeof(void *), sizeof ort);
}

static void test_numbers(void **state)
{
    (void)state;
    assert_int_equal(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, GY_ORT_FLOAT);
    assert_int_equal(ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, GY_ORT_INT32);
    assert_int_equal(ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, GY_ORT_INT64);
    assert_int_equal(ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, GY_ORT_STRING);
    assert_int_equal(ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL, GY_ORT_BOOL);
    assert_int_equal(ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, GY_ORT_DOUBLE);
    assert_int_equal(ONNX_TYPE_TENSOR, GY_ORT_TYPE_TENSOR);
    assert_int_equal(ORT_LOGGING_LEVEL_FATAL, GY_ORT_LOG_FATAL);
    assert_int_equal(OrtDeviceAllocator, GY_ORT_DEVICE_ALLOCATOR);
    assert_int_equal(OrtMemTypeDefault, GY_ORT_MEM);
    assert_int_equal(ORT_API_VERSION, GY_ORT_API_VERSION);
    assert_int_equal(offsetof(OrtApiBase, GetApi), 0);
    assert_int_equal(offsetof(OrtApiBase, GetVersionString), sizeof(void *));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
static void test_nothing(void **state)
{
    (void)state;
    print_message("skipped: there is no onnxruntime_c_api.h (deps/onnxruntime.sh --header)\n");
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif

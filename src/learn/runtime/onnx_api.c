/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/runtime/onnx_api.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/dl.h"
#include "base/str.h"

struct api_base {
    const void *(*get_api)(uint32_t version);
    const char *(*get_version)(void);
};

static struct gy_ort g_ort;
static const struct api_base *(*g_get_base)(void);
static void *g_handle;
static bool g_ready;
static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;

/* What goes wrong comes back as a status; the library's own lines would end up among ours. */
static void no_log(void *param, unsigned severity, const char *category, const char *logid,
                   const char *code_location, const char *message)
{
    (void)param;
    (void)severity;
    (void)category;
    (void)logid;
    (void)code_location;
    (void)message;
}

gy_status gy_ort_check(const struct gy_ort *ort, OrtStatus *status, gy_status code,
                       const char *what, struct gy_err *err)
{
    if (!status) {
        return GY_OK;
    }
    struct gy_str message = gy_str_c(ort->GetErrorMessage(status));
    (void)gy_str_cut(message, '\n', &message, &(struct gy_str){0});
    (void)gy_err_set(err, code, "%s: %" GY_STR_F, what, GY_STR_A(gy_str_head(message, 300)));
    ort->ReleaseStatus(status);
    return code;
}

static gy_status missing(struct gy_err *err)
{
    return gy_err_hint(err, "ONNX models need ONNX Runtime 1.21 or later: deps/onnxruntime.sh "
                            "fetches it, or name the folder of its libonnxruntime.so.1 in "
                            "GYRE_LIBDIR");
}

/* A table that is too old is told by asking for the version that we know: NULL. The library then
 * writes a line to stderr itself. */
static gy_status fill(struct gy_err *err)
{
    const struct api_base *base = g_get_base();
    const void *api = base ? base->get_api(GY_ORT_API_VERSION) : NULL;
    if (!api) {
        (void)gy_err_set(err, GY_E_MISSINGDEP, "libonnxruntime.so.1 is of version %.32s",
                         base ? base->get_version() : "unknown");
        return missing(err);
    }
    const char *table = api;
#define X(place, type, name, arguments) \
    memcpy(&g_ort.name, table + (place) * sizeof(void *), sizeof g_ort.name);
    GY_ORT_FUNCTIONS(X)
#undef X
    return gy_ort_check(
        &g_ort, g_ort.CreateEnvWithCustomLogger(no_log, NULL, GY_ORT_LOG_FATAL, "gyre", &g_ort.env),
        GY_E_IO, "starting ONNX Runtime", err);
}

gy_status gy_ort_open(const struct gy_ort **ret, struct gy_err *err)
{
    static const struct gy_dl_symbol symbols[] = {{"OrtGetApiBase", (void **)(void *)&g_get_base}};
    if (gy_dl_open(&g_handle, "libonnxruntime.so.1", NULL, symbols, 1, err) != GY_OK) {
        return missing(err);
    }
    (void)pthread_mutex_lock(&g_lock);
    gy_status status = g_ready ? GY_OK : fill(err);
    g_ready = status == GY_OK;
    (void)pthread_mutex_unlock(&g_lock);
    *ret = &g_ort;
    return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The machine, as /proc tells it, and its graphics processors through NVML, NVIDIA's library, which
 * comes with the driver: looked for at the first scrape, then never again where it is not there. */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "api/metrics_internal.h"
#include "base/dl.h"
#include "base/file.h"
#include "base/limits.h"

#define MAX_PROC_BYTES (256 * GY_KIB)
#define MAX_GPUS 64

void gy_metric_family(struct gy_buf *b, const char *name, const char *type, const char *help)
{
    gy_buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void gy_metric_number(struct gy_buf *b, double v)
{
    char text[32];
    gy_buf_add_bytes(b, text, gy_fmt_f64_trim(v, text));
    gy_buf_add_char(b, '\n');
}

void gy_metric_one(struct gy_buf *b, const char *name, const char *type, const char *help, double v)
{
    gy_metric_family(b, name, type, help);
    gy_buf_addf(b, "%s ", name);
    gy_metric_number(b, v);
}

/* The n whole numbers that stand behind `key` in a text of lines; false: not there. */
static bool numbers_of(struct gy_str text, const char *key, int64_t *ret, size_t n)
{
    struct gy_str line, rest = text;
    size_t key_n = strlen(key);
    while (gy_str_next(&rest, '\n', &line)) {
        if (line.n <= key_n || !gy_str_starts(line, gy_str_c(key))) {
            continue;
        }
        struct gy_str words = gy_str_n(line.p + key_n, line.n - key_n), word;
        size_t got = 0;
        while (got < n && gy_str_next(&words, ' ', &word)) {
            if (word.n && gy_parse_i64(word, 0, INT64_MAX, &ret[got], NULL) == GY_OK) {
                got++;
            }
        }
        return got == n;
    }
    return false;
}

static void processors(struct gy_buf *b)
{
    enum { MODES = 4 };
    static const char *const modes[MODES] = {"user", "nice", "system", "idle"};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, MAX_PROC_BYTES);
    int64_t ticks[MODES];
    double hz = (double)sysconf(_SC_CLK_TCK);
    if (gy_file_read("/proc/stat", &text, NULL) == GY_OK &&
        numbers_of(gy_buf_str(&text), "cpu ", ticks, MODES)) {
        gy_metric_family(b, "gyre_host_cpu_seconds_total", "counter",
                         "Time of the machine's processors by mode.");
        for (int i = 0; i < MODES; i++) {
            gy_buf_addf(b, "gyre_host_cpu_seconds_total{mode=\"%s\"} ", modes[i]);
            gy_metric_number(b, (double)ticks[i] / hz);
        }
    }
    gy_metric_one(b, "gyre_host_cpus", "gauge", "Processors that are online.",
                  (double)sysconf(_SC_NPROCESSORS_ONLN));
    double load;
    gy_buf_reset(&text);
    if (gy_file_read("/proc/loadavg", &text, NULL) == GY_OK) {
        struct gy_str first, rest = gy_buf_str(&text);
        if (gy_str_next(&rest, ' ', &first) && gy_parse_f64(first, &load, NULL) == GY_OK) {
            gy_metric_one(b, "gyre_host_load1", "gauge", "Load average of a minute.", load);
        }
    }
}

static void memory(struct gy_buf *b)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, MAX_PROC_BYTES);
    int64_t total_kb = 0, available_kb = 0;
    if (gy_file_read("/proc/meminfo", &text, NULL) != GY_OK ||
        !numbers_of(gy_buf_str(&text), "MemTotal:", &total_kb, 1) ||
        !numbers_of(gy_buf_str(&text), "MemAvailable:", &available_kb, 1)) {
        return;
    }
    double total = (double)total_kb * 1024, available = (double)available_kb * 1024;
    gy_metric_one(b, "gyre_host_memory_bytes", "gauge", "Memory of the machine.", total);
    gy_metric_one(b, "gyre_host_memory_available_bytes", "gauge",
                  "Memory that programs can still get.", available);
    gy_metric_one(b, "nv_cpu_memory_total_bytes", "gauge", "Triton: memory of the machine.", total);
    gy_metric_one(b, "nv_cpu_memory_used_bytes", "gauge", "Triton: memory in use.",
                  total - available);
}

/* ---- NVML ---- */

typedef struct nvml_device *nvml_device;
struct nvml_utilization {
    unsigned gpu, memory; /* percent */
};
struct nvml_memory {
    unsigned long long total, free, used;
};

static struct {
    int (*init)(void);
    int (*count)(unsigned *n);
    int (*device)(unsigned index, nvml_device *ret);
    int (*uuid)(nvml_device d, char *text, unsigned n);
    int (*utilization)(nvml_device d, struct nvml_utilization *ret);
    int (*memory)(nvml_device d, struct nvml_memory *ret);
    int (*power)(nvml_device d, unsigned *milliwatts);
} g_nvml;
static void *g_nvml_handle;
static bool g_nvml_works;
static pthread_once_t g_nvml_once = PTHREAD_ONCE_INIT;

static void open_nvml(void)
{
    const struct gy_dl_symbol symbols[] = {
        {"nvmlInit_v2", (void **)&g_nvml.init},
        {"nvmlDeviceGetCount_v2", (void **)&g_nvml.count},
        {"nvmlDeviceGetHandleByIndex_v2", (void **)&g_nvml.device},
        {"nvmlDeviceGetUUID", (void **)&g_nvml.uuid},
        {"nvmlDeviceGetUtilizationRates", (void **)&g_nvml.utilization},
        {"nvmlDeviceGetMemoryInfo", (void **)&g_nvml.memory},
        {"nvmlDeviceGetPowerUsage", (void **)&g_nvml.power},
    };
    g_nvml_works = gy_dl_open(&g_nvml_handle, "libnvidia-ml.so.1", NULL, symbols,
                              sizeof symbols / sizeof symbols[0], NULL) == GY_OK &&
                   g_nvml.init() == 0;
}

struct gpu {
    char uuid[97];
    double utilization, total, used, watts; /* negative: it does not tell */
};

static size_t read_gpus(struct gpu *gpus)
{
    unsigned n = 0;
    (void)pthread_once(&g_nvml_once, open_nvml);
    if (!g_nvml_works || g_nvml.count(&n) != 0) {
        return 0;
    }
    size_t got = 0;
    for (unsigned i = 0; i < n && i < MAX_GPUS; i++) {
        nvml_device d;
        struct nvml_utilization use;
        struct nvml_memory mem;
        unsigned milliwatts;
        struct gpu *g = &gpus[got];
        if (g_nvml.device(i, &d) != 0 || g_nvml.uuid(d, g->uuid, sizeof g->uuid - 1) != 0) {
            continue;
        }
        g->utilization = g_nvml.utilization(d, &use) == 0 ? use.gpu / 100.0 : -1;
        bool told = g_nvml.memory(d, &mem) == 0;
        g->total = told ? (double)mem.total : -1;
        g->used = told ? (double)mem.used : -1;
        g->watts = g_nvml.power(d, &milliwatts) == 0 ? milliwatts / 1000.0 : -1;
        got++;
    }
    return got;
}

static void gpu_family(struct gy_buf *b, const char *name, const char *help, const struct gpu *gpus,
                       size_t n, size_t offset)
{
    bool begun = false;
    for (size_t i = 0; i < n; i++) {
        double v;
        memcpy(&v, (const char *)&gpus[i] + offset, sizeof v);
        if (v < 0) {
            continue;
        }
        if (!begun) {
            gy_metric_family(b, name, "gauge", help);
            begun = true;
        }
        gy_buf_addf(b, "%s{gpu_uuid=\"%s\"} ", name, gpus[i].uuid);
        gy_metric_number(b, v);
    }
}

static void graphics(struct gy_buf *b)
{
    struct gpu gpus[MAX_GPUS] = {0};
    size_t n = read_gpus(gpus);
    gpu_family(b, "nv_gpu_utilization", "Share of the time that the GPU was busy.", gpus, n,
               offsetof(struct gpu, utilization));
    gpu_family(b, "nv_gpu_memory_total_bytes", "Memory of the GPU.", gpus, n,
               offsetof(struct gpu, total));
    gpu_family(b, "nv_gpu_memory_used_bytes", "Memory of the GPU in use.", gpus, n,
               offsetof(struct gpu, used));
    gpu_family(b, "nv_gpu_power_usage", "Power that the GPU draws, watts.", gpus, n,
               offsetof(struct gpu, watts));
}

void gy_metrics_host(struct gy_buf *b)
{
    processors(b);
    memory(b);
    graphics(b);
}

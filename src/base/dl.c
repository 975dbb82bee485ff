/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"

/* How far above the program `.deps/lib` is looked for: build/gyre is one step, a unit test a few
 * more. */
#define MAX_STEPS_UP 5

static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;

static void *try_open(const char *dir, const char *soname)
{
    char path[GY_MAX_PATH];
    if (gy_path_join(path, sizeof path, dir, soname, NULL) != GY_OK || !gy_path_exists(path)) {
        return NULL;
    }
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

static void *open_beside_program(const char *soname)
{
    char dir[GY_MAX_PATH];
    ssize_t n = readlink("/proc/self/exe", dir, sizeof dir - 1);
    if (n <= 0) {
        return NULL;
    }
    dir[n] = '\0';
    for (int step = 0; step <= MAX_STEPS_UP; step++) {
        char *slash = strrchr(dir, '/');
        if (!slash) {
            return NULL;
        }
        *slash = '\0';
        char candidate[GY_MAX_PATH];
        void *handle = NULL;
        if (step == 1 &&
            gy_path_join(candidate, sizeof candidate, dir, "lib/gyre", NULL) == GY_OK) {
            handle = try_open(candidate, soname);
        }
        if (!handle && gy_path_join(candidate, sizeof candidate, dir, ".deps/lib", NULL) == GY_OK) {
            handle = try_open(candidate, soname);
        }
        if (handle) {
            return handle;
        }
    }
    return NULL;
}

static void *open_library(const char *soname)
{
    const char *configured = getenv("GYRE_LIBDIR");
    void *handle = configured && configured[0] == '/' ? try_open(configured, soname) : NULL;
    if (!handle) {
        handle = open_beside_program(soname);
    }
    return handle ? handle : dlopen(soname, RTLD_NOW | RTLD_LOCAL);
}

static gy_status fill_symbols(void *handle, const char *soname, const struct gy_dl_symbol *symbols,
                              size_t n, struct gy_err *err)
{
    for (size_t i = 0; i < n; i++) {
        void *address = dlsym(handle, symbols[i].name);
        if (!address) {
            return gy_err_set(err, GY_E_MISSINGDEP,
                              "%s has no function %s: it is of another version", soname,
                              symbols[i].name);
        }
        *symbols[i].slot = address;
    }
    return GY_OK;
}

gy_status gy_dl_open(void **handle_once, const char *soname, const char *package_hint,
                     const struct gy_dl_symbol *symbols, size_t n_symbols, struct gy_err *err)
{
    if (__atomic_load_n(handle_once, __ATOMIC_ACQUIRE)) {
        return GY_OK;
    }
    (void)pthread_mutex_lock(&g_lock);
    gy_status status = GY_OK;
    if (!*handle_once) {
        void *handle = open_library(soname);
        if (handle) {
            status = fill_symbols(handle, soname, symbols, n_symbols, err);
        } else {
            const char *why = dlerror();
            status = gy_err_set(err, GY_E_MISSINGDEP, "the library %s can not be opened: %s",
                                soname, why ? why : "?");
        }
        if (status == GY_OK) {
            /* Released after the symbols are in place: who sees the handle sees them too. */
            __atomic_store_n(handle_once, handle, __ATOMIC_RELEASE);
        } else if (package_hint) {
            (void)gy_err_hint(err, "install %s", package_hint);
        }
    }
    (void)pthread_mutex_unlock(&g_lock);
    return status;
}

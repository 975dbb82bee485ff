/* SPDX-License-Identifier: Apache-2.0 */
/* Libraries opened on first use (dlopen RTLD_NOW | RTLD_LOCAL, never closed). Searched by absolute
 * path in GYRE_LIBDIR, else $ORIGIN/../lib/gyre, else the `.deps/lib` beside the build, else by
 * plain soname from the system. Thread safe: opened once under a lock. */
#ifndef GY_BASE_DL_H
#define GY_BASE_DL_H

#include "base/err.h"

struct gy_dl_symbol {
    const char *name;
    void **slot; /* where the address goes */
};

/* Open soname and fill every symbol. handle_once (a static, initially NULL) keeps the handle: a
 * second call is free. Fails: MISSINGDEP naming the library and the Debian package that has it
 * (package_hint). */
GY_CHECKED gy_status gy_dl_open(void **handle_once, const char *soname, const char *package_hint,
                                const struct gy_dl_symbol *symbols, size_t n_symbols,
                                struct gy_err *err);

#endif
